"""Health checks that follow the data of a CloudWatch alarm.

Route 53 Developer Guide, "How Amazon Route 53 determines the status of health checks that monitor CloudWatch alarms".
"""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sandbox import clock
from sandbox.api import data_plane, lost_regions, metric_checks
from sandbox.api.backend_lock import backend_lock
from tests.sandbox.api.alarming import DRAIN, World, drain_alarm, put, refused, state

ClientFactory = Callable[..., Any]
REGION = "eu-central-1"
pytestmark = pytest.mark.change("route53-health-check-settings")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def cloudwatch(aws: ClientFactory, world: World) -> Any:
    """CloudWatch of the alarm's region: not the one of Route 53, us-east-1."""
    return aws("cloudwatch", REGION)


@pytest.fixture
def route53(aws: ClientFactory) -> Any:
    return aws("route53")


def check(route53: Any, without: str = "LastKnownStatus", region: str = REGION, name: str = "drain") -> str:
    """The id of a new health check of the drain alarm."""
    config = {
        "Type": "CLOUDWATCH_METRIC",
        "AlarmIdentifier": {"Region": region, "Name": name},
        "InsufficientDataHealthStatus": without,
    }
    made = route53.create_health_check(CallerReference=str(uuid.uuid4()), HealthCheckConfig=config)
    return str(made["HealthCheck"]["Id"])


def is_healthy(check_id: str) -> bool:
    """What the name server is told; a check that it isn't told of is healthy."""
    with backend_lock:
        return metric_checks.states().get(check_id, True)


class TestStatus:
    def test_it_follows_the_data(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """The drain switch: traffic leaves a site when 1 is put, and returns when 0 is."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        assert is_healthy(drain)
        put(cloudwatch, 1)
        world.wait(60)
        assert not is_healthy(drain)
        put(cloudwatch, 0)
        world.wait(60)
        assert is_healthy(drain)

    def test_the_state_of_the_alarm_does_not_count(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """ "You can't force the status of a health check to change by using SetAlarmState"."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        put(cloudwatch, 0)
        world.wait(60)
        cloudwatch.set_alarm_state(AlarmName="drain", StateValue="ALARM", StateReason="try")
        world.turn()
        assert (state(cloudwatch), is_healthy(drain)) == ("ALARM", True)

    @pytest.mark.parametrize(
        ("without", "new", "after_bad", "after_good"),
        [
            ("Healthy", True, True, True),
            ("Unhealthy", False, False, False),
            # "For new health checks that have no last known status, the default status is healthy."
            ("LastKnownStatus", True, False, True),
        ],
    )
    def test_without_data_it_is_what_the_check_says(
        self, cloudwatch: Any, route53: Any, world: World, without: str, new: bool, after_bad: bool, after_good: bool
    ) -> None:
        """InsufficientDataHealthStatus: a drained site must not come back because nobody writes that it is drained."""
        drain_alarm(cloudwatch)
        drain = check(route53, without)
        world.turn()
        assert is_healthy(drain) == new
        for value, expected in ((1, after_bad), (0, after_good)):
            put(cloudwatch, value)
            world.wait(60)
            assert is_healthy(drain) == (value == 0)
            world.wait(60 * 5)
            assert is_healthy(drain) == expected

    @pytest.mark.parametrize(
        ("treatment", "healthy"), [("missing", True), ("ignore", True), ("notBreaching", True), ("breaching", False)]
    )
    def test_missing_data_is_treated_as_the_alarm_says(
        self, cloudwatch: Any, route53: Any, world: World, treatment: str, healthy: bool
    ) -> None:
        """ "Missing data will cause the health check to fail", with `breaching`.

        EventBridge User Guide, "AWS CloudFormation template for setting up the Route 53 health check".
        """
        drain_alarm(cloudwatch, TreatMissingData=treatment)
        drain = check(route53, "Healthy")
        world.wait(60)
        assert is_healthy(drain) == healthy

    def test_a_lost_region_has_no_data(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """The switch of a site is in its peer's region. Lost, nobody can write there; the last known status stays."""
        drain_alarm(cloudwatch)
        checks = {without: check(route53, without) for without in ("Healthy", "Unhealthy", "LastKnownStatus")}
        put(cloudwatch, 0)
        world.wait(60)
        lost_regions.add(REGION, "refuse")
        try:
            world.turn()
            found = {without: is_healthy(id_) for without, id_ in checks.items()}
        finally:
            lost_regions.remove(REGION)
        assert found == {"Healthy": True, "Unhealthy": False, "LastKnownStatus": True}
        world.turn()
        assert all(map(is_healthy, checks.values()))

    def test_other_lost_regions_leave_it_alone(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """Without us-east-1 there is no control plane of Route 53; its health checks go on."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        put(cloudwatch, 1)
        lost_regions.add("us-east-1", "vanish")
        try:
            world.wait(60)
            assert not is_healthy(drain)
        finally:
            lost_regions.remove("us-east-1")

    def test_periods_run_at_the_sandbox_speed(
        self, cloudwatch: Any, route53: Any, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A drain takes a sixth of the time at six times the speed."""
        monkeypatch.setattr(clock, "SPEED", 6.0)
        drain_alarm(cloudwatch)
        drain = check(route53)
        put(cloudwatch, 1)
        world.wait(9)
        assert is_healthy(drain)
        world.wait(1)
        assert not is_healthy(drain)

    def test_a_deleted_check_is_forgotten(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """The feed would tell of more and more checks."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        world.turn()
        route53.delete_health_check(HealthCheckId=drain)
        assert drain not in metric_checks.states()
        world.turn()
        assert drain not in metric_checks._known

    def test_the_sandbox_follows_metrics(self) -> None:
        """Nothing else would take the worker's turns."""
        assert metric_checks.worker in data_plane.WORKERS


class TestSettings:
    """Developer Guide, "Updating health checks when you change CloudWatch alarm settings"."""

    def test_a_changed_alarm_counts_only_after_an_update(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """ "Route 53 doesn't automatically update the alarm settings in the health check"."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        drain_alarm(cloudwatch, Threshold=2.0)
        put(cloudwatch, 1)
        world.wait(60)
        assert not is_healthy(drain)
        route53.update_health_check(HealthCheckId=drain, Disabled=False)
        world.turn()
        assert not is_healthy(drain)
        route53.update_health_check(HealthCheckId=drain, AlarmIdentifier={"Region": REGION, "Name": "drain"})
        world.turn()
        assert is_healthy(drain)

    def test_a_deleted_alarm_is_still_followed(self, cloudwatch: Any, route53: Any, world: World) -> None:
        """The settings are a copy, and the data is the metric's."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        cloudwatch.delete_alarms(AlarmNames=["drain"])
        put(cloudwatch, 1)
        world.wait(60)
        assert not is_healthy(drain)

    def test_the_copy_is_told(self, cloudwatch: Any, route53: Any) -> None:
        """API reference, HealthCheck, CloudWatchAlarmConfiguration: how somebody sees that it is out of date."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        drain_alarm(cloudwatch, Threshold=2.0)
        found = route53.get_health_check(HealthCheckId=drain)["HealthCheck"]["CloudWatchAlarmConfiguration"]
        assert found == {
            **DRAIN,
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0.5,
            "ComparisonOperator": "GreaterThanThreshold",
        }

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            ({"Period": 10}, "high-resolution metrics aren't supported"),
            ({"Statistic": None, "ExtendedStatistic": "p99"}, "extended statistics aren't supported"),
            ({"EvaluationPeriods": 3, "DatapointsToAlarm": 2}, "M out of N alarms aren't supported"),
            ({"Dimensions": [{"Name": f"d{n}", "Value": "x"} for n in range(11)]}, "more than 10 dimensions"),
        ],
    )
    def test_an_alarm_that_route_53_can_not_follow(
        self, cloudwatch: Any, route53: Any, change: dict[str, Any], part: str
    ) -> None:
        """ "Values that you specify when you create or update health checks", "CloudWatch alarm"."""
        drain_alarm(cloudwatch, **change)
        code, message = refused(partial(check, route53))
        assert (code, part in message) == ("InvalidInput", True), message

    @pytest.mark.parametrize("statistic", ["Average", "Minimum", "Maximum", "Sum", "SampleCount"])
    def test_the_statistics_that_route_53_follows(self, cloudwatch: Any, route53: Any, statistic: str) -> None:
        """All but extended ones, and as many datapoints to alarm as periods are all of them."""
        drain_alarm(cloudwatch, Statistic=statistic, EvaluationPeriods=3, DatapointsToAlarm=3)
        assert check(route53)

    def test_a_composite_alarm_has_no_data(self, cloudwatch: Any, route53: Any) -> None:
        """CloudWatchAlarmConfiguration is of one metric."""
        cloudwatch.put_composite_alarm(AlarmName="drain", AlarmRule="TRUE")
        assert "composite" in refused(partial(check, route53))[1]

    @pytest.mark.parametrize(
        ("region", "name"), [(REGION, "absent"), ("eu-west-1", "drain"), ("eu-nowhere-1", "drain")]
    )
    def test_an_alarm_that_is_not_there(self, cloudwatch: Any, route53: Any, region: str, name: str) -> None:
        """The settings can't be copied, and a drain would never drain."""
        drain_alarm(cloudwatch)
        code, message = refused(partial(check, route53, region=region, name=name))
        assert (code, "does not exist" in message) == ("InvalidInput", True), message

    def test_a_refused_update_changes_nothing(self, cloudwatch: Any, route53: Any) -> None:
        """A check of an alarm that isn't there would be healthy for ever."""
        drain_alarm(cloudwatch)
        drain = check(route53)
        update = partial(route53.update_health_check, HealthCheckId=drain)
        assert refused(partial(update, AlarmIdentifier={"Region": REGION, "Name": "absent"}))[0] == "InvalidInput"
        kept = route53.get_health_check(HealthCheckId=drain)["HealthCheck"]
        assert (kept["HealthCheckConfig"]["AlarmIdentifier"]["Name"], kept["HealthCheckVersion"]) == ("drain", 1)
