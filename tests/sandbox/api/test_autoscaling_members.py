"""Groups replace what is unhealthy, drain what they end, and wait after launches that fail; health is made up here."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.autoscaling.models import autoscaling_backends

from sandbox import clock
from sandbox.api import autoscaling_members, ec2_launch, instance_refresh
from sandbox.api.backend_lock import backend_lock
from tests.sandbox.api.test_autoscaling import Site

ACCOUNT, REGION = "123456789012", "eu-west-1"


class Fleet(Site):
    """A site whose targets and machines are as the test says."""

    def __init__(self, aws: Any) -> None:
        super().__init__(aws)
        self.targets_are: dict[str, str | None] = {}
        self.impaired: set[str] = set()

    def target_state(self, _group: str, instance_id: str) -> str | None:
        return self.targets_are.get(instance_id, "healthy")

    def settle(self) -> None:
        """What the API does several times a second."""
        with backend_lock:
            for group in list(autoscaling_backends[ACCOUNT][REGION].autoscaling_groups.values()):
                autoscaling_members.settle(group)

    def states(self) -> dict[str, str]:
        return {name: member["LifecycleState"] for name, member in self.members().items()}

    def in_service(self) -> set[str]:
        return {name for name, state in self.states().items() if state == "InService"}


@pytest.fixture
def fleet(aws: Any) -> Iterator[Fleet]:
    fleet = Fleet(aws)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoscaling_members, "_target_state", fleet.target_state)
        patch.setattr(autoscaling_members, "_is_impaired", fleet.impaired.__contains__)
        yield fleet


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as failed:
        call()
    return f"{failed.value.response['Error']['Code']}: {failed.value.response['Error']['Message']}"


def after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every moment so far were `seconds` and more ago, in AWS's time."""
    monkeypatch.setattr(clock, "SPEED", seconds * 1e9)


def test_an_instance_that_its_balancer_finds_unhealthy_is_replaced_after_its_grace_period(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the grace period no instance lives long enough to boot; without the check a dead service is kept."""
    fleet.create(HealthCheckType="ELB", HealthCheckGracePeriod=300)
    bad, good = fleet.members()
    fleet.targets_are[bad] = "unhealthy"
    fleet.settle()
    assert set(fleet.members()) == {bad, good}
    after(300, monkeypatch)
    fleet.settle()
    (new,) = set(fleet.members()) - {good}
    assert new != bad
    assert fleet.running() == {good, new}
    assert fleet.registered() == {good, new}
    causes = [each["Cause"] for each in fleet.activities() if "Terminating" in each["Description"]]
    assert [cause.endswith("in response to an ELB system health check failure.") for cause in causes] == [True]


def test_a_group_with_ec2_checks_ignores_its_balancers(fleet: Fleet) -> None:
    """AWS looks at target health only where the group says so."""
    fleet.create(HealthCheckType="EC2")
    fleet.targets_are = dict.fromkeys(fleet.members(), "unhealthy")
    before = fleet.members()
    fleet.settle()
    assert fleet.members() == before


def test_an_impaired_instance_is_replaced_whatever_the_balancers_say(fleet: Fleet) -> None:
    """A machine that is gone would be kept by a group that looks at EC2 only."""
    fleet.create(HealthCheckType="EC2")
    lost, sound = fleet.members()
    fleet.impaired.add(lost)
    fleet.settle()
    assert lost not in fleet.members()
    assert sound in fleet.members()
    assert len(fleet.in_service()) == 2


def test_an_instance_drains_before_it_ends(fleet: Fleet) -> None:
    """Otherwise every scale-in and every deployment cuts off the requests that are under way."""
    fleet.create()
    leaving, staying = fleet.members()
    fleet.targets_are[leaving] = "draining"
    fleet.asg.terminate_instance_in_auto_scaling_group(InstanceId=leaving, ShouldDecrementDesiredCapacity=True)
    fleet.settle()
    assert fleet.states() == {leaving: "Terminating", staying: "InService"}
    assert fleet.running() == {leaving, staying}
    assert fleet.registered() == {staying}
    activity = fleet.activities()[0]
    assert (activity["StatusCode"], "EndTime" in activity) == ("WaitingForELBConnectionDraining", False)
    again = partial(
        fleet.asg.terminate_instance_in_auto_scaling_group, InstanceId=leaving, ShouldDecrementDesiredCapacity=False
    )
    assert refused(again) == f"ScalingActivityInProgress: Activity {activity['ActivityId']} is in progress."

    fleet.targets_are[leaving] = None
    fleet.settle()
    assert fleet.states() == {staying: "InService"}
    assert fleet.running() == {staying}
    activity = fleet.activities()[0]
    assert (activity["StatusCode"], activity["Progress"], "EndTime" in activity) == ("Successful", 100, True)


def test_a_replacement_is_launched_while_the_unhealthy_one_drains(fleet: Fleet) -> None:
    """A group that waited for a drain of minutes would be short of an instance for as long."""
    fleet.create(HealthCheckType="EC2")
    lost, sound = fleet.members()
    fleet.impaired.add(lost)
    fleet.targets_are[lost] = "draining"
    fleet.settle()
    assert fleet.states()[lost] == "Terminating"
    assert len(fleet.in_service()) == 2
    fleet.settle()
    assert len(fleet.in_service()) == 2
    assert sound in fleet.in_service()


LAUNCH_FIRST = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 110}


def test_a_policy_has_the_replacement_ready_before_the_unhealthy_one_ends(fleet: Fleet) -> None:
    """A group of two would lose half of its capacity for a check that failed."""
    fleet.create(HealthCheckType="ELB", HealthCheckGracePeriod=0, InstanceMaintenancePolicy=LAUNCH_FIRST)
    bad, good = fleet.members()
    fleet.targets_are[bad] = "unhealthy"
    fleet.settle()
    (new,) = fleet.in_service() - {bad, good}
    fleet.targets_are[new] = "initial"
    fleet.settle()
    assert fleet.in_service() == {bad, good, new}
    assert fleet.members()[bad]["HealthStatus"] == "Unhealthy"
    fleet.targets_are[new] = "healthy"
    fleet.settle()
    assert fleet.in_service() == {good, new}
    assert "ELB system health check" in fleet.activities()[0]["Cause"]


def test_replacements_that_turn_unhealthy_dont_pile_up(fleet: Fleet) -> None:
    """A version that never gets healthy would start instances without end."""
    fleet.create(HealthCheckType="ELB", HealthCheckGracePeriod=0, InstanceMaintenancePolicy=LAUNCH_FIRST)
    for _ in range(5):
        fleet.targets_are |= dict.fromkeys(fleet.members(), "unhealthy")
        fleet.settle()
        assert len(fleet.members()) <= 3
        assert len(fleet.running()) == len(fleet.members())


@pytest.mark.change("autoscaling-group-rules")
@pytest.mark.parametrize("percentages", [(100, None), (100, 201), (101, 150), (50, 99), (0, 150), (-1, 100)])
def test_a_policy_that_aws_refuses_is_refused(fleet: Fleet, percentages: tuple[int, int | None]) -> None:
    """Without it a policy that does nothing is taken for one that protects."""
    low, high = percentages
    policy = {"MinHealthyPercentage": low} | ({} if high is None else {"MaxHealthyPercentage": high})
    assert "MaxHealthyPercentage" in refused(lambda: fleet.create(InstanceMaintenancePolicy=policy))


@pytest.mark.change("ec2-run-instances")
def test_a_launch_without_capacity_fails_and_is_tried_again_later(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that asks again at once floods its list of activities; one that never does stays empty."""
    fleet.create(DesiredCapacity=1)
    full = {REGION}
    monkeypatch.setattr(ec2_launch, "_lacks_capacity", full.__contains__)
    fleet.desire(2)
    for _ in range(3):
        fleet.settle()
    (failed,) = [each for each in fleet.activities() if each["StatusCode"] == "Failed"]
    assert "We currently do not have sufficient t3.micro capacity" in failed["StatusMessage"]
    assert len(fleet.members()) == 1
    request = partial(fleet.ec2.run_instances, LaunchTemplate={"LaunchTemplateId": fleet.template}, MinCount=1)
    assert refused(partial(request, MaxCount=1)).startswith("InsufficientInstanceCapacity: ")
    full.clear()
    fleet.settle()
    assert len(fleet.members()) == 1
    after(10, monkeypatch)
    fleet.settle()
    assert len(fleet.members()) == 2


def test_the_wait_after_failed_launches_has_a_limit(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that failed for days has to come back minutes after capacity does, and not fail at counting."""
    fleet.create(DesiredCapacity=1)
    with backend_lock:
        group: Any = autoscaling_backends[ACCOUNT][REGION].autoscaling_groups["fleet"]
        group.failed_launches = [group.instance_states[0].launched] * 5_000
        assert not autoscaling_members.may_launch(group)
        after(autoscaling_members.LONGEST_RETRY, monkeypatch)
        assert autoscaling_members.may_launch(group)


@pytest.mark.change("autoscaling-group-deletion")
def test_a_group_deleted_by_force_is_there_until_its_instances_are_gone(fleet: Fleet) -> None:
    """Who makes a group of the same name too soon is refused on AWS; and requests under way would be cut off."""
    fleet.create()
    fleet.targets_are = dict.fromkeys(fleet.members(), "draining")
    fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=["Terminate"])
    fleet.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
    fleet.settle()
    assert fleet.group()["Status"] == "Delete in progress"
    assert set(fleet.states().values()) == {"Terminating"}
    assert len(fleet.running()) == 2
    assert refused(fleet.create).startswith("AlreadyExists: ")
    assert "is pending delete" in refused(fleet.create)
    pending = "ValidationError: The AutoScaling group may not be modified while it is pending delete"
    assert refused(lambda: fleet.desire(3)) == pending
    assert refused(partial(fleet.asg.update_auto_scaling_group, AutoScalingGroupName="fleet", MaxSize=9)) == pending
    fleet.targets_are = {}
    fleet.settle()
    assert fleet.running() == set()
    assert fleet.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    fleet.create(DesiredCapacity=0)
    assert "Status" not in fleet.group()


@pytest.mark.change("autoscaling-group-deletion")
def test_a_refresh_starts_nothing_in_a_group_that_is_being_deleted(fleet: Fleet) -> None:
    """The group would never be empty, and a destroy would wait for its time-out."""
    fleet.create()
    fleet.targets_are = dict.fromkeys(fleet.members(), "draining")
    fleet.asg.start_instance_refresh(AutoScalingGroupName="fleet")
    fleet.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
    for _ in range(3):
        with backend_lock:
            instance_refresh.turn()
        fleet.settle()
    assert set(fleet.states().values()) == {"Terminating"}
    fleet.targets_are = {}
    fleet.settle()
    assert fleet.running() == set()
