"""What AWS takes, refuses and describes of instance refreshes."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config

from sandbox.api.instance_refresh_preferences import obstacle_to_rollback
from sandbox.api.server import ApiServer
from tests.sandbox.api.refreshing import LAUNCH_FIRST, Fleet, World, alarm, refused


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def fleet(aws: Any, world: World) -> Fleet:
    return Fleet(aws, world)


@pytest.mark.change("autoscaling-instance-refresh")
class TestRequests:
    @pytest.mark.parametrize(
        ("preferences", "words"),
        [
            ({"MaxHealthyPercentage": 200}, "MinHealthyPercentage"),
            ({"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200}, "greater than 100"),
            ({"CheckpointPercentages": [50, 20]}, "ascending"),
            ({"CheckpointPercentages": [20, 20, 100]}, "unique"),
            ({"CheckpointDelay": 60}, "CheckpointPercentages"),
            ({"BakeTime": 172_801}, "172800"),
            ({"CheckpointPercentages": [50, 100], "CheckpointDelay": 172_801}, "172800"),
            ({"AlarmSpecification": {"Alarms": ["absent"]}}, "absent"),
            ({"AlarmSpecification": {"Alarms": [f"a{number}" for number in range(11)]}}, "At most 10"),
            ({"ScaleInProtectedInstances": "Keep"}, "Refresh, Ignore, Wait"),
            ({"StandbyInstances": "Keep"}, "Terminate, Ignore, Wait"),
        ],
    )
    def test_preferences_that_aws_refuses_are_refused(
        self, fleet: Fleet, preferences: dict[str, Any], words: str
    ) -> None:
        """A deployment that works here is refused on AWS, in the middle of a release."""
        code, message = refused(partial(fleet.start, **preferences))
        assert code == "ValidationError"
        assert words in message
        assert fleet.asg.describe_instance_refreshes(AutoScalingGroupName="fleet")["InstanceRefreshes"] == []

    @pytest.mark.parametrize(
        ("name", "values"),
        [("MinHealthyPercentage", (-1, 101)), ("MaxHealthyPercentage", (99, 201)), ("InstanceWarmup", (-1,))],
    )
    def test_percentages_and_times_have_ranges(
        self, fleet: Fleet, api: ApiServer, boto3_session: Any, name: str, values: tuple[int, ...]
    ) -> None:
        """RefreshPreferences, Valid Range. The SDK refuses some of them itself, other clients don't."""
        config = Config(parameter_validation=False)
        fleet.asg = boto3_session.client("autoscaling", "eu-west-1", endpoint_url=api.endpoint_url, config=config)
        for value in values:
            code, message = refused(partial(fleet.start, **{"MinHealthyPercentage": 100, name: value}))
            assert code == "ValidationError"
            assert f"{name} must be" in message

    def test_automatic_rollback_is_refused_where_aws_cant(self, aws: Any, world: World) -> None:
        """Whoever counts on a rollback that AWS doesn't do has none."""
        fleet = Fleet(aws, world)
        code, message = refused(partial(fleet.start, None, AutoRollback=True))
        assert (code, "without a desired configuration" in message) == ("ValidationError", True)
        # Nothing that AWS publishes says whether this is refused.
        for version in ("$Latest", "$Default"):
            code, message = refused(partial(fleet.start, version, AutoRollback=True))
            assert (code, version in message) == ("NotImplemented", True)
        fleet.start(None, AutoRollback=False)
        fleet.cancel()
        fleet.turn(2)
        fleet.update(LaunchTemplate=fleet.specification("$Latest"))
        assert "$Latest" in refused(partial(fleet.start, 2, AutoRollback=True))[1]

    def test_a_rollback_is_refused_where_aws_cant(self, aws: Any, world: World) -> None:
        """Whoever counts on a rollback that AWS doesn't do has none."""
        fleet = Fleet(aws, world)
        assert refused(fleet.roll_back)[0] == "ActiveInstanceRefreshNotFound"
        fleet.start(None)
        assert refused(fleet.roll_back)[0] == "IrreversibleInstanceRefresh"
        fleet.cancel()
        fleet.turn(2)
        fleet.start()
        fleet.roll_back()
        assert refused(fleet.roll_back)[0] == "ActiveInstanceRefreshNotFound"
        fleet.turn(3)
        fleet.update(LaunchTemplate=fleet.specification("$Default"))
        fleet.start()
        assert "$Default" in refused(fleet.roll_back)[1]
        assert refused(fleet.roll_back)[0] == "IrreversibleInstanceRefresh"

    def test_an_image_by_systems_manager_parameter_cant_be_rolled_back_to(self) -> None:
        """RollbackInstanceRefresh: what the parameter named before the refresh is known to nobody any more."""
        for image, prevents in (("resolve:ssm:/images/orders", True), ("ami-0123456789abcdef0", False)):
            version = SimpleNamespace(data={"ImageId": image})
            template = SimpleNamespace(id="lt-1", get_version=lambda _number, found=version: found)
            backend = SimpleNamespace(get_launch_template=lambda _id, found=template: found)
            group = SimpleNamespace(ec2_launch_template=template, launch_template_version="1", ec2_backend=backend)
            assert (obstacle_to_rollback(group) is not None) == prevents

    def test_a_version_that_starts_nothing_is_refused_at_the_start(self, fleet: Fleet) -> None:
        """Else the group would try for an hour to launch it."""
        assert "Could not find the specified version 9" in refused(partial(fleet.start, 9))[1]
        fleet.version(ImageId="ami-0123456789abcdef0")
        code, message = refused(partial(fleet.start, 3))
        assert code == "ValidationError"
        assert "ami-0123456789abcdef0" in message

    def test_what_the_sandbox_cant_do_is_refused_by_name(self, fleet: Fleet) -> None:
        """Taken and forgotten, it would be missed only on AWS."""
        start = partial(fleet.asg.start_instance_refresh, AutoScalingGroupName="fleet")
        assert "ReplaceRootVolume" in refused(partial(start, Strategy="ReplaceRootVolume"))[1]
        policy = {"MixedInstancesPolicy": {"LaunchTemplate": {"LaunchTemplateSpecification": fleet.specification(2)}}}
        assert "MixedInstancesPolicy" in refused(partial(start, DesiredConfiguration=policy))[1]

    def test_a_group_has_one_refresh_at_a_time(self, fleet: Fleet) -> None:
        """Two would replace each other's instances without end."""
        fleet.start()
        assert refused(fleet.start)[0] == "InstanceRefreshInProgress"
        fleet.cancel()
        assert refused(fleet.start)[0] == "InstanceRefreshInProgress"

    def test_a_missing_group_is_refused(self, fleet: Fleet) -> None:
        """A typing error would be taken for a group without refreshes."""
        for operation in ("start", "cancel", "rollback"):
            call = getattr(fleet.asg, f"{operation}_instance_refresh")
            assert refused(partial(call, AutoScalingGroupName="gone"))[0] == "ValidationError"
        describe = fleet.asg.describe_instance_refreshes
        assert refused(partial(describe, AutoScalingGroupName="gone"))[0] == "ValidationError"

    def test_refreshes_are_listed_newest_first_by_page_and_by_id(self, fleet: Fleet) -> None:
        """A client that asks for one record means the last refresh."""
        ids: list[str] = []
        for _ in range(3):
            ids.insert(0, fleet.start(SkipMatching=True, BakeTime=0))
            fleet.cancel()
            fleet.turn(2)
        describe = partial(fleet.asg.describe_instance_refreshes, AutoScalingGroupName="fleet")
        page = describe(MaxRecords=2)
        assert [each["InstanceRefreshId"] for each in page["InstanceRefreshes"]] == ids[:2]
        rest = describe(MaxRecords=2, NextToken=page["NextToken"])
        assert [each["InstanceRefreshId"] for each in rest["InstanceRefreshes"]] == ids[2:]
        assert "NextToken" not in rest
        found = describe(InstanceRefreshIds=ids[1:2])["InstanceRefreshes"]
        assert [each["InstanceRefreshId"] for each in found] == ids[1:2]
        assert refused(partial(describe, NextToken="x"))[0] == "InvalidNextToken"
        assert refused(partial(describe, MaxRecords=101))[0] == "ValidationError"
        fleet.world.wait(6 * 7 * 86_400)
        assert describe()["InstanceRefreshes"] == []

    def test_what_was_asked_for_is_described(self, fleet: Fleet) -> None:
        """Whoever takes over a deployment reads there what it was meant to do."""
        alarm(fleet)
        preferences = {
            **LAUNCH_FIRST,
            "InstanceWarmup": 30,
            "CheckpointPercentages": [25, 100],
            "CheckpointDelay": 60,
            "SkipMatching": True,
            "AutoRollback": True,
            "AlarmSpecification": {"Alarms": ["errors"]},
            "BakeTime": 5,
        }
        fleet.start(**preferences)
        refresh = fleet.refresh()
        assert refresh["Preferences"] == preferences
        assert refresh["DesiredConfiguration"] == {"LaunchTemplate": fleet.specification(2)}
        assert (refresh["AutoScalingGroupName"], refresh["Strategy"]) == ("fleet", "Rolling")
        assert (refresh["PercentageComplete"], refresh["InstancesToUpdate"]) == (0, 4)
        assert "RollbackDetails" not in refresh
        assert "EndTime" not in refresh

    def test_a_deleted_group_takes_its_refreshes_along(self, fleet: Fleet) -> None:
        """A refresh of a group that is gone would start instances that nobody ends."""
        fleet.start(**LAUNCH_FIRST)
        fleet.world.drains = True
        fleet.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
        fleet.turn(2)
        assert fleet.members() == []
        assert refused(fleet.start)[0] == "ResourceContention"
        fleet.world.drains = False
        fleet.turn()
        assert fleet.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
        states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        assert fleet.ec2.describe_instances(Filters=states)["Reservations"] == []


@pytest.mark.change("autoscaling-template-under-refresh")
def test_the_template_cant_be_changed_under_a_refresh_with_a_desired_configuration(fleet: Fleet) -> None:
    """On AWS a `pulumi up` that changes the template fails then; here it would pass, and undo the refresh."""
    fleet.start()
    change = partial(fleet.update, LaunchTemplate=fleet.specification(2))
    code, message = refused(change)
    assert code == "ValidationError"
    assert message.startswith("An active instance refresh with a desired configuration exists.")
    assert fleet.template_version() == "1"
    fleet.update(MaxSize=11)
    fleet.cancel()
    assert refused(change)[0] == "ValidationError"
    fleet.turn(2)
    change()
    assert fleet.template_version() == "2"
    fleet.start(None)
    fleet.update(LaunchTemplate=fleet.specification(1))
    assert fleet.template_version() == "1"
