"""A site's fleet as AWS tells it, on the sandbox's API; and what is made of that, without a call."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.config.naming import errors_alarm_name, unhealthy_alarm_name
from lockstep.errors import InvalidInputError
from lockstep.fleet import FILTER_VALUES_MAX, FleetFacts, SiteFleet
from tests.lockstep.deployment.facts import AFTER, BEFORE, NEW, facts, instance, refresh
from tests.lockstep.site_fleets import APPLICATION, SITES, make_group

SITE, REGION = "primary", SITES["primary"]
Aws = Callable[..., Any]


class Calls:
    """A factory of clients that notes what they ask for, as `service Operation`."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.made: list[tuple[str, Any]] = []

    def __call__(self, service: str, region: str) -> Any:
        client = self._aws(service, region)
        client.meta.events.register("provide-client-params", self._note)
        return client

    def _note(self, params: Any, model: Any, **_: Any) -> None:
        self.made.append((model.name, params))

    def of(self, operation: str) -> list[Any]:
        """The parameters of each call of `operation`, further pages left out."""
        return [params for name, params in self.made if name == operation and "NextToken" not in params]


def fleet_of(aws: Aws, site: str = SITE) -> SiteFleet:
    return SiteFleet(aws, APPLICATION, site, SITES[site])


def test_a_site_that_is_not_up_is_told_from_an_empty_one(aws: Aws) -> None:
    """Deploying to nothing would succeed at once."""
    assert fleet_of(aws).facts_if_up() is None
    with pytest.raises(InvalidInputError, match=r"primary .*eu-west-1") as caught:
        fleet_of(aws).facts()
    assert caught.value.remedy == "lockstep up"
    make_group(aws, SITE).update(DesiredCapacity=0)
    assert fleet_of(aws).facts().desired == 0


def test_the_facts_are_the_sites_own(aws: Aws) -> None:
    """Another site's group, or another application's, would be rolled instead."""
    made, _ = make_group(aws, SITE, "1.0.0", instances=3), make_group(aws, "secondary", "2.0.0")
    found = fleet_of(aws).facts()
    assert (found.group, found.template_id, found.version, found.desired) == (SITE, made.template, 1, 3)
    assert sorted(each.id for each in found.instances) == sorted(made.members())
    assert {(each.release, each.version, each.target_state) for each in found.instances} == {("1.0.0", 1, "healthy")}
    assert found.refresh is None
    assert found.runs("1.0.0")
    assert fleet_of(aws, "secondary").facts().releases == {"2.0.0"}
    assert SiteFleet(aws, "billing", SITE, REGION).facts_if_up() is None


def test_a_fleet_of_any_size_is_known_whole(aws: Aws) -> None:
    """EC2 takes 200 values in the filters of a call: a larger fleet, or one of half that size while it is refreshed,
    could neither be deployed to nor looked at."""
    calls = Calls(aws)
    make_group(aws, SITE, instances=FILTER_VALUES_MAX + 1)
    found = fleet_of(calls).facts()
    assert len(found.instances) == FILTER_VALUES_MAX + 1
    assert found.runs("1.0.0")
    asked = [params["Filters"][0]["Values"] for params in calls.of("DescribeInstances")]
    assert [len(values) for values in asked] == [200, 1]
    assert {id for values in asked for id in values} == {each.id for each in found.instances}


def test_an_empty_fleet_asks_for_no_instances(aws: Aws) -> None:
    """A call without a filter's values would be refused, or tell of all instances of the account."""
    calls = Calls(aws)
    make_group(aws, SITE).update(DesiredCapacity=0)
    assert fleet_of(calls).facts().instances == ()
    assert calls.of("DescribeInstances") == []


def test_an_instance_that_ec2_does_not_show_is_there_without_a_release(aws: Aws) -> None:
    """EC2 is eventually consistent: Auto Scaling may know an instance before EC2's answers have it, and after."""
    made = make_group(aws, SITE)
    gone = made.members()[0]

    def forgetful(service: str, region: str) -> Any:
        client = aws(service, region)

        def forget(parsed: Any, **_: Any) -> None:
            for reservation in parsed["Reservations"]:
                reservation["Instances"] = [each for each in reservation["Instances"] if each["InstanceId"] != gone]

        client.meta.events.register("after-call.ec2.DescribeInstances", forget)
        return client

    found = fleet_of(forgetful).facts()
    assert {each.id: each.release for each in found.instances} == {gone: None, made.members()[1]: "1.0.0"}
    assert found.releases == {None, "1.0.0"}
    assert not found.runs("1.0.0")


class TestRefresh:
    def test_it_is_told_with_the_version_that_it_rolls_to(self, aws: Aws) -> None:
        """By that a deployment knows its own refresh from somebody else's."""
        made = make_group(aws, SITE)
        version = made.add_version("1.1.0")
        id = made.refresh_to(version)
        found = fleet_of(aws).facts()
        assert found.version == 1
        assert found.refresh is not None
        assert (found.refresh.id, found.refresh.version, found.refresh.active) == (id, str(version), True)
        assert not found.runs("1.0.0")

    def test_it_is_the_newest_one_and_costs_one_call(self, aws: Aws) -> None:
        """An old one's end would be taken for that of the one that moves; a group has had hundreds in six weeks."""
        made = make_group(aws, SITE)
        for _ in range(3):
            version = made.add_version("1.1.0")
            id = made.refresh_to(version)
            found = fleet_of(calls := Calls(aws)).facts().refresh
            assert found is not None
            assert (found.id, found.version, found.status) == (id, str(version), "Pending")
            assert len(calls.of("DescribeInstanceRefreshes")) == 1
            made.end_refresh()
            found = fleet_of(aws).facts().refresh
            assert found is not None
            assert (found.id, found.status) == (id, "Cancelled")

    @pytest.mark.parametrize(
        ("status", "active", "failed"),
        [
            ("Pending", True, False),
            ("InProgress", True, False),
            ("Baking", True, False),
            ("Cancelling", True, False),
            ("RollbackInProgress", True, True),
            ("Successful", False, False),
            ("Failed", False, True),
            ("Cancelled", False, True),
            ("RollbackSuccessful", False, True),
            ("RollbackFailed", False, True),
        ],
    )
    def test_its_status_tells_whether_it_moves_and_whether_it_can_succeed(
        self, status: str, active: bool, failed: bool
    ) -> None:
        """All of AWS's: one that is missing here is waited for, or given up, wrongly."""
        assert (refresh(status).active, refresh(status).has_failed) == (active, failed)


RUNS: list[tuple[str, FleetFacts, bool, str]] = [
    ("all-serve", BEFORE, True, ""),
    ("one-is-missing", facts(instance(1)), False, "1 of 2 instances serve"),
    ("another-release", facts(instance(1), instance(3, NEW)), False, "i-3 runs 1.1.0"),
    ("one-too-many", facts(instance(1), instance(2), instance(3)), False, "3 of 2"),
    ("unhealthy", facts(instance(1), instance(2, health="Unhealthy")), False, "i-2 is Unhealthy"),
    ("starting", facts(instance(1), instance(2, lifecycle="Pending")), False, "i-2 is Pending"),
    ("unregistered", facts(instance(1), instance(2, target_state=None)), False, "i-2 is not registered"),
    (
        "refused-by-its-balancer",
        facts(instance(1), instance(2, target_state="unhealthy", target_reason="codes: [503]")),
        False,
        "i-2 is unhealthy (codes: [503])",
    ),
    ("refreshing", facts(instance(1), instance(2), refresh=refresh(percentage=40)), False, "InProgress at 40 %"),
    ("refreshed", facts(instance(1), instance(2), refresh=refresh("Cancelled")), True, ""),
    ("nothing-wanted", facts(desired=0), False, "0 of 0"),
]


@pytest.mark.parametrize(("found", "runs", "why"), [case[1:] for case in RUNS], ids=[case[0] for case in RUNS])
def test_a_site_runs_a_release_when_all_that_is_wanted_serves_it_and_nothing_else_is_left(
    found: FleetFacts, runs: bool, why: str
) -> None:
    """A deployment would count a site that is half way there."""
    assert found.runs("1.0.0") is runs
    if not runs:
        assert why in found.shortfall("1.0.0")


def test_a_site_runs_nothing_when_nothing_is_wanted_and_nothing_left() -> None:
    """What a first deployment returns to."""
    assert facts(desired=0).runs(None)
    assert not facts(instance(1, lifecycle="Terminating"), desired=0).runs(None)
    assert not AFTER.runs(None)


def test_the_newest_version_is_told_with_its_release(aws: Aws) -> None:
    """A template that starts another release than the one being deployed must stop it."""
    made = make_group(aws, SITE)
    fleet = fleet_of(aws)
    assert fleet.newest_version(made.template) == (1, "1.0.0")
    made.add_version("1.1.0")
    made.add_version("1.1.0")
    assert fleet.newest_version(made.template) == (3, "1.1.0")
    assert fleet.is_same(made.template, 2, 3)
    assert not fleet.is_same(made.template, 1, 2)


def test_versions_are_the_same_whatever_order_their_tags_are_sent_in(aws: Aws) -> None:
    """A provider sends them in any: a site that runs what it should would be rolled for nothing."""
    made = make_group(aws, SITE)
    fleet = fleet_of(aws)
    one = made.add_version("1.0.0", Name="orders", team="a")
    assert fleet.is_same(made.template, one, made.add_version("1.0.0", team="a", Name="orders"))
    assert not fleet.is_same(made.template, one, made.add_version("1.0.0", team="orders", Name="a"))


def test_only_versions_of_the_group_are_changed_by_using_one(aws: Aws) -> None:
    """Instances that serve must not go because of it."""
    made = make_group(aws, SITE)
    version, before = made.add_version("1.1.0"), made.members()
    fleet_of(aws).use_version(fleet_of(aws).facts(), version)
    assert fleet_of(aws).facts().version == version
    assert made.members() == before


def test_the_alarms_of_a_roll_are_the_sites_own_as_far_as_they_exist(aws: Aws) -> None:
    """A refresh that names an alarm which isn't there is refused, and another site's would end it."""
    assert fleet_of(aws).alarms() == {}
    cloudwatch = aws("cloudwatch", REGION)
    for name in (unhealthy_alarm_name(APPLICATION, SITE), errors_alarm_name(APPLICATION, "secondary")):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/ApplicationELB",
            MetricName="UnHealthyHostCount",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=6,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            Threshold=1,
        )
    cloudwatch.set_alarm_state(
        AlarmName=unhealthy_alarm_name(APPLICATION, SITE), StateValue="ALARM", StateReason="a test"
    )
    assert fleet_of(aws).alarms() == {"lockstep-orders-unhealthy-primary": "ALARM"}
