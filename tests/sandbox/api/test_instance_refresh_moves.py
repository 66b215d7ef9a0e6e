"""Instance refreshes replace a group's instances in AWS's order, and put back what they can't bring to an end."""

from functools import partial
from typing import Any

import pytest

from tests.sandbox.api.refreshing import LAUNCH_FIRST, Fleet, World, alarm, refused

pytestmark = pytest.mark.change("autoscaling-instance-refresh")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def fleet(aws: Any, world: World) -> Fleet:
    return Fleet(aws, world)


class TestForward:
    def test_the_groups_template_changes_only_when_all_instances_are_replaced(self, fleet: Fleet) -> None:
        """AWS's order. Turned round, a rollback by AWS returns to the very version that is rolled back from."""
        old = set(fleet.members())
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=30)
        assert fleet.refresh()["Status"] == "Pending"
        fleet.turn()
        assert fleet.status == "InProgress"
        assert fleet.versions() == {"1": 4, "2": 4}
        assert fleet.template_version() == "1"
        fleet.world.wait(29)
        fleet.turn()
        assert fleet.refresh()["StatusReason"].startswith("Waiting for instances to warm up before continuing.")
        assert set(fleet.members(1)) == old
        fleet.world.wait(1)
        fleet.turn()
        assert fleet.template_version() == "1"
        fleet.turn()
        refresh = fleet.refresh()
        assert (refresh["Status"], refresh["PercentageComplete"], refresh["InstancesToUpdate"]) == (
            "Successful",
            100,
            0,
        )
        assert refresh["EndTime"] >= refresh["StartTime"]
        assert fleet.versions() == {"2": 4}
        assert fleet.template_version() == "2"

    def test_a_replacement_counts_only_while_its_balancer_finds_it_healthy(self, fleet: Fleet) -> None:
        """A warm-up that is over would end the old instances although the new ones answer nothing."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0)
        fleet.world.targets |= dict.fromkeys(fleet.members(1), "healthy")
        fleet.turn()
        fleet.world.targets |= dict.fromkeys(fleet.members(2), "initial")
        fleet.world.wait(50)
        fleet.turn(3)
        assert fleet.versions() == {"1": 4, "2": 4}
        assert "pass their health checks" in fleet.refresh()["StatusReason"]
        fleet.world.targets.clear()
        fleet.turn(2)
        assert fleet.status == "Successful"

    def test_a_replacement_that_turns_unhealthy_is_replaced_by_the_same_version(self, fleet: Fleet) -> None:
        """From the group's own template it would be an instance of the version that is being replaced."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=600)
        fleet.turn()
        bad = fleet.members(2)[0]
        fleet.world.targets[bad] = "unhealthy"
        fleet.world.wait(61)
        fleet.turn(2)
        assert bad not in fleet.members()
        assert fleet.versions() == {"1": 4, "2": 4}

    def test_without_a_maximum_one_instance_ends_while_its_replacement_starts(self, fleet: Fleet) -> None:
        """The default of AWS, which loses an instance: whoever relies on more has to see it here."""
        fleet.start(InstanceWarmup=0)
        fleet.turn()
        assert fleet.versions() == {"1": 3, "2": 1}
        fleet.world.wait(1)
        fleet.turn(8)
        assert fleet.status == "Successful"

    def test_the_maintenance_policy_of_the_group_is_the_default(self, aws: Any, world: World) -> None:
        """A group that promises to launch first would lose an instance in every refresh."""
        policy = {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 150}
        fleet = Fleet(aws, world, InstanceMaintenancePolicy=policy)
        fleet.start()
        fleet.turn()
        assert fleet.versions() == {"1": 2, "2": 4}

    @pytest.mark.parametrize(("default", "seconds"), [(None, 60), (200, 200), (0, 0)])
    def test_the_warm_up_is_the_groups_or_its_grace_period(
        self, aws: Any, world: World, default: int | None, seconds: int
    ) -> None:
        """RefreshPreferences, InstanceWarmup: another time and a deployment waits for nothing, or for too little."""
        fleet = Fleet(aws, world, **({} if default is None else {"DefaultInstanceWarmup": default}))
        fleet.start(**LAUNCH_FIRST)
        fleet.turn()
        fleet.world.wait(seconds - 1)
        fleet.turn()
        assert fleet.refresh()["PercentageComplete"] == (100 if seconds == 0 else 0)
        fleet.world.wait(1)
        fleet.turn()
        assert fleet.refresh()["PercentageComplete"] == 100

    def test_a_scale_out_meanwhile_starts_the_desired_configuration(self, fleet: Fleet) -> None:
        """User Guide, Core concepts, Desired configuration: else the group would be mixed when it is done."""
        fleet.start(**LAUNCH_FIRST, CheckpointPercentages=[25, 100])
        fleet.turn()
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=6)
        assert fleet.versions()["2"] >= 2
        assert fleet.versions()["1"] == 4
        assert fleet.template_version() == "1"

    def test_without_a_desired_configuration_the_groups_own_version_is_rolled(self, fleet: Fleet) -> None:
        """Instances that read something new at their start are renewed so; nothing of the group changes."""
        old = fleet.members()
        fleet.start(None, **LAUNCH_FIRST, InstanceWarmup=0)
        fleet.turn(4)
        assert fleet.status == "Successful"
        assert "DesiredConfiguration" not in fleet.refresh()
        assert fleet.versions() == {"1": 4}
        assert not set(old) & set(fleet.members())
        assert fleet.template_version() == "1"

    def test_what_matches_is_skipped_only_if_asked(self, fleet: Fleet) -> None:
        """A deployment that is repeated would replace every instance again, or never replace one that it should."""
        old = fleet.members()
        fleet.start(1, SkipMatching=True)
        fleet.turn(2)
        assert fleet.status == "Successful"
        assert fleet.members() == old
        fleet.start(1, **LAUNCH_FIRST, SkipMatching=False, InstanceWarmup=0)
        fleet.turn(4)
        assert fleet.status == "Successful"
        assert not set(old) & set(fleet.members())

    def test_a_new_latest_version_meanwhile_replaces_the_replaced_again(self, aws: Any, world: World) -> None:
        """User Guide, "Use an instance refresh with skip matching": the group would end with two versions."""
        fleet = Fleet(aws, world)
        fleet.start("$Latest", **LAUNCH_FIRST, InstanceWarmup=600)
        fleet.turn()
        assert fleet.versions() == {"1": 4, "2": 4}
        fleet.version()
        fleet.turn()
        fleet.world.wait(600)
        for _ in range(6):
            fleet.turn()
            fleet.world.wait(600)
        assert fleet.status == "Successful"
        assert fleet.versions() == {"3": 4}
        assert fleet.template_version() == "$Latest"

    def test_a_new_latest_version_begins_the_hour_anew(self, fleet: Fleet) -> None:
        """Instances that are on their way would be given up for those that were there before them."""
        preferences = {**LAUNCH_FIRST, "CheckpointPercentages": [50, 100], "CheckpointDelay": 86_400}
        fleet.start("$Latest", **preferences, InstanceWarmup=1_000)
        for _ in range(3):
            fleet.turn()
            fleet.world.wait(1_000)
        assert fleet.versions() == {"1": 2, "2": 2}
        fleet.version()
        fleet.turn()
        fleet.world.targets |= dict.fromkeys(fleet.members(3), "initial")
        fleet.world.wait(3_000)
        fleet.turn()
        fleet.world.targets.clear()
        fleet.turn()
        fleet.world.targets |= dict.fromkeys(fleet.members(3), "initial")
        fleet.world.wait(650)
        fleet.turn()
        assert fleet.status == "InProgress"

    def test_the_activities_say_that_it_was_an_instance_refresh(self, fleet: Fleet) -> None:
        """An operator who looks for why an instance went finds the deployment."""
        fleet.start(InstanceWarmup=0)
        fleet.turn()
        activities = fleet.asg.describe_scaling_activities(AutoScalingGroupName="fleet")["Activities"]
        launched, ended = activities[0]["Cause"], activities[1]["Cause"]
        assert "an instance was launched in response to an instance refresh." in launched
        assert "an instance was taken out of service in response to an instance refresh." in ended


class TestCheckpoints:
    def test_replacing_stops_at_a_checkpoint_for_its_delay(self, fleet: Fleet) -> None:
        """Without the stop there is no canary."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 100], CheckpointDelay=300)
        fleet.turn()
        assert fleet.versions() == {"1": 4, "2": 1}
        fleet.turn(3)
        assert fleet.versions() == {"1": 3, "2": 1}
        refresh = fleet.refresh()
        assert (refresh["Status"], refresh["PercentageComplete"], refresh["InstancesToUpdate"]) == ("InProgress", 25, 3)
        assert "300 seconds at the checkpoint of 25 percent" in refresh["StatusReason"]
        fleet.world.wait(299)
        fleet.turn(3)
        assert fleet.versions() == {"1": 3, "2": 1}
        fleet.world.wait(2)
        fleet.turn(4)
        assert fleet.status == "Successful"

    def test_the_delay_is_an_hour_unless_given(self, fleet: Fleet) -> None:
        """RefreshPreferences, CheckpointDelay; and an hour's wait isn't an hour without progress."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 100])
        fleet.turn(4)
        fleet.world.wait(3_590)
        fleet.turn(2)
        assert fleet.versions() == {"1": 3, "2": 1}
        fleet.world.wait(20)
        fleet.turn(4)
        assert fleet.status == "Successful"

    def test_a_wait_is_no_lack_of_progress(self, fleet: Fleet) -> None:
        """A checkpoint's wait may be two days, and a refresh without progress fails after an hour."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 100], CheckpointDelay=172_800)
        fleet.turn(4)
        fleet.world.wait(172_000)
        fleet.turn(2)
        assert (fleet.status, fleet.versions()) == ("InProgress", {"1": 3, "2": 1})

    def test_a_checkpoint_that_is_reached_during_a_wait_is_waited_at_in_full(self, fleet: Fleet) -> None:
        """The instances that reached it would have had less than the delay to show that they are bad."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 50, 100], CheckpointDelay=300)
        fleet.turn(4)
        fleet.world.wait(200)
        fleet.turn()
        # Auto Scaling replaces it, by the version that is rolled to.
        fleet.world.targets[fleet.members(1)[0]] = "unhealthy"
        fleet.turn(3)
        assert fleet.versions() == {"1": 2, "2": 2}
        fleet.world.wait(200)
        fleet.turn(2)
        assert fleet.versions() == {"1": 2, "2": 2}
        fleet.world.wait(110)
        fleet.turn(4)
        assert fleet.status == "Successful"

    def test_a_last_checkpoint_below_100_ends_the_refresh_there(self, fleet: Fleet) -> None:
        """User Guide, "Add checkpoints": it succeeds, so the group has the new template, and old instances."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[50])
        fleet.turn(4)
        refresh = fleet.refresh()
        assert (refresh["Status"], refresh["PercentageComplete"], refresh["InstancesToUpdate"]) == ("Successful", 50, 2)
        assert fleet.versions() == {"1": 2, "2": 2}
        assert fleet.template_version() == "2"

    def test_a_scale_in_at_a_checkpoint_takes_effect_at_once(self, fleet: Fleet) -> None:
        """Instances that were turned off would cost an hour more."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 100])
        fleet.turn(4)
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=2)
        fleet.turn(2)
        assert fleet.versions() == {"1": 1, "2": 1}


class TestFailure:
    def test_without_progress_for_an_hour_it_fails_and_the_old_instances_stay(self, fleet: Fleet) -> None:
        """ "How an instance refresh works", One-hour timeout. Ending the oldest version then would be an outage."""
        old = fleet.members()
        fleet.start(**LAUNCH_FIRST)
        for _ in range(12):
            fleet.turn()
            fleet.all_bad(2)
            fleet.world.wait(299)
        assert fleet.status == "InProgress"
        fleet.world.wait(20)
        fleet.turn()
        refresh = fleet.refresh()
        assert refresh["Status"] == "Failed"
        assert "60 minutes" in refresh["StatusReason"]
        assert fleet.members() == old
        assert fleet.template_version() == "1"
        fleet.turn(3)
        assert fleet.members() == old
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=5)
        assert fleet.versions() == {"1": 5}

    def test_it_rolls_back_by_itself_if_asked(self, fleet: Fleet) -> None:
        """User Guide, "Undo changes": else somebody has to be awake for it."""
        old = fleet.members()
        fleet.start(MinHealthyPercentage=50, InstanceWarmup=30, AutoRollback=True)
        fleet.turn()
        assert fleet.versions() == {"1": 2, "2": 2}
        for _ in range(13):
            fleet.all_bad(2)
            fleet.world.wait(290)
            fleet.turn()
        refresh = fleet.refresh()
        assert refresh["Status"] == "RollbackInProgress"
        details = refresh["RollbackDetails"]
        assert "60 minutes" in details["RollbackReason"]
        assert details["RollbackStartTime"] > refresh["StartTime"]
        assert (details["PercentageCompleteOnRollback"], details["InstancesToUpdateOnRollback"]) == (0, 2)
        fleet.turn()
        fleet.world.wait(30)
        fleet.turn(2)
        assert fleet.status == "RollbackSuccessful"
        assert fleet.versions() == {"1": 4}
        assert fleet.members()[:2] == [each for each in old if each in fleet.members()]
        assert fleet.refresh()["InstancesToUpdate"] == 2
        assert fleet.template_version() == "1"

    def test_a_rollback_that_gets_nowhere_fails(self, fleet: Fleet) -> None:
        """User Guide, "Undo changes", Considerations: somebody who waits for its end would wait forever."""
        fleet.start(MinHealthyPercentage=50, InstanceWarmup=0)
        fleet.turn(2)
        fleet.roll_back()
        for _ in range(14):
            fleet.turn()
            fleet.world.targets |= dict.fromkeys(fleet.members()[2:], "unhealthy")
            fleet.world.wait(290)
        fleet.turn()
        assert fleet.status == "RollbackFailed"

    @pytest.mark.parametrize("rolls_back", [False, True])
    def test_an_alarm_in_alarm_fails_it(self, fleet: Fleet, rolls_back: bool) -> None:
        """The errors that only requests show would spread to the whole group."""
        set_state = alarm(fleet)
        set_state("INSUFFICIENT_DATA")
        alarms = {"Alarms": ["errors"]}
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=600, AlarmSpecification=alarms, AutoRollback=rolls_back)
        fleet.turn(2)
        assert fleet.status == "InProgress"
        set_state("ALARM")
        fleet.turn()
        refresh = fleet.refresh()
        assert refresh["Status"] == ("RollbackInProgress" if rolls_back else "Failed")
        assert "errors" in refresh["StatusReason"]
        # The alarm is still on: it doesn't fail the rollback that it caused.
        fleet.turn(3)
        assert fleet.status == ("RollbackSuccessful" if rolls_back else "Failed")
        assert fleet.versions() == {"1": 4}

    def test_baking_waits_for_alarms(self, fleet: Fleet) -> None:
        """A group that was replaced too quickly to be seen failing would be called a success."""
        set_state = alarm(fleet)
        preferences = {**LAUNCH_FIRST, "InstanceWarmup": 0, "AlarmSpecification": {"Alarms": ["errors"]}}
        fleet.start(**preferences, BakeTime=120, AutoRollback=True)
        fleet.turn(3)
        assert fleet.status == "Baking"
        assert fleet.refresh()["PercentageComplete"] == 100
        assert fleet.template_version() == "1"
        set_state("ALARM")
        fleet.turn(2)
        assert fleet.status == "RollbackInProgress"
        fleet.turn(3)
        assert fleet.status == "RollbackSuccessful"
        assert fleet.versions() == {"1": 4}
        set_state("OK")
        fleet.start(**preferences, BakeTime=120, AutoRollback=True)
        fleet.turn(3)
        fleet.world.wait(119)
        fleet.turn()
        assert fleet.status == "Baking"
        fleet.world.wait(2)
        fleet.turn()
        assert fleet.status == "Successful"
        assert fleet.template_version() == "2"

    @pytest.mark.parametrize("whole", [True, False])
    def test_a_template_that_is_gone_in_the_end_fails_it(self, fleet: Fleet, whole: bool) -> None:
        """The group would have a template that launches nothing; or half of it, and every turn ends in an error."""
        made = fleet.ec2.create_launch_template(LaunchTemplateName="next", LaunchTemplateData=fleet.data)
        wanted = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"]}
        fleet.ec2.create_launch_template_version(**wanted, LaunchTemplateData=fleet.data)
        fleet.asg.start_instance_refresh(
            AutoScalingGroupName="fleet",
            DesiredConfiguration={"LaunchTemplate": {**wanted, "Version": "2"}},
            Preferences={**LAUNCH_FIRST, "InstanceWarmup": 0, "BakeTime": 120},
        )
        fleet.turn(3)
        assert fleet.status == "Baking"
        if whole:
            fleet.ec2.delete_launch_template(**wanted)
        else:
            fleet.ec2.delete_launch_template_versions(**wanted, Versions=["2"])
        fleet.world.wait(121)
        fleet.turn()
        refresh = fleet.refresh()
        assert refresh["Status"] == "Failed"
        assert refresh["StatusReason"].startswith("The group can't use the launch template any more.")
        assert fleet.group()["LaunchTemplate"]["LaunchTemplateId"] == fleet.template
        assert fleet.template_version() == "1"

    def test_launches_that_fail_are_tried_again_and_named(self, fleet: Fleet) -> None:
        """A zone that is full for ten minutes isn't a failed deployment; one that stays full has to be seen."""
        fleet.world.full = True
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0)
        fleet.turn(3)
        refresh = fleet.refresh()
        assert refresh["Status"] == "InProgress"
        assert "capacity" in refresh["StatusReason"]
        assert fleet.versions() == {"1": 4}
        fleet.world.full = False
        fleet.world.wait(300)
        fleet.turn(4)
        assert fleet.status == "Successful"

    def test_a_rollback_doesnt_wait_for_a_launch_that_failed(self, fleet: Fleet) -> None:
        """The group would stay too small for minutes, for a capacity that the old version doesn't need."""
        fleet.world.full = True
        fleet.start(MinHealthyPercentage=50)
        fleet.turn()
        assert fleet.versions() == {"1": 2}
        fleet.world.full = False
        fleet.turn()
        assert fleet.versions() == {"1": 2}
        fleet.roll_back()
        fleet.turn()
        assert fleet.versions() == {"1": 4}

    def test_a_scale_in_while_it_bakes_takes_effect_at_once(self, fleet: Fleet) -> None:
        """Instances that were turned off would cost two days more."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, BakeTime=172_800)
        fleet.turn(3)
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=2)
        fleet.turn()
        assert (fleet.status, fleet.versions()) == ("Baking", {"2": 2})

    def test_no_refresh_takes_longer_than_two_weeks(self, fleet: Fleet) -> None:
        """ "How an instance refresh works", Limitations, Total duration."""
        fleet.start(**LAUNCH_FIRST, CheckpointPercentages=[25, 50, 75, 100], CheckpointDelay=172_800, InstanceWarmup=0)
        fleet.turn(4)
        fleet.world.wait(14 * 86_400 + 1)
        fleet.turn()
        assert fleet.status == "Failed"
        assert "14 days" in fleet.refresh()["StatusReason"]


class TestCancelling:
    def test_what_is_replaced_stays_and_the_template_too(self, fleet: Fleet) -> None:
        """A cancelled deployment that goes on, or changes what starts next, is not one that was cancelled."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 100])
        fleet.turn(4)
        fleet.cancel()
        assert fleet.status == "Cancelling"
        fleet.turn(3)
        refresh = fleet.refresh()
        assert (refresh["Status"], refresh["PercentageComplete"]) == ("Cancelled", 25)
        assert fleet.versions() == {"1": 3, "2": 1}
        assert fleet.template_version() == "1"
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=5)
        assert fleet.versions() == {"1": 4, "2": 1}
        assert refused(fleet.cancel)[0] == "ActiveInstanceRefreshNotFound"

    def test_replacements_that_dont_serve_yet_go(self, fleet: Fleet) -> None:
        """Else the group would end those that serve, to get to its size."""
        old = fleet.members()
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=600)
        fleet.turn()
        fleet.cancel()
        fleet.turn(2)
        assert fleet.status == "Cancelled"
        assert fleet.members() == old

    def test_it_waits_for_instances_on_their_way_out_unless_told_not_to(self, fleet: Fleet) -> None:
        """CancelInstanceRefresh, WaitForTransitioningInstances: what is started next would meet them."""
        for wait in (True, False):
            fleet.start(InstanceWarmup=0)
            fleet.world.drains = True
            fleet.turn()
            fleet.cancel(**({} if wait else {"WaitForTransitioningInstances": False}))
            fleet.turn(2)
            assert fleet.status == ("Cancelling" if wait else "Cancelled")
            assert refused(fleet.cancel)[0] == "ActiveInstanceRefreshNotFound"
            fleet.world.drains = False
            fleet.turn(2)
            assert fleet.status == "Cancelled"

    def test_what_starts_while_it_is_cancelled_is_the_groups_own(self, fleet: Fleet) -> None:
        """A version that somebody has just stopped would go on spreading."""
        fleet.start(InstanceWarmup=0)
        fleet.world.drains = True
        fleet.turn()
        fleet.cancel()
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=6)
        fleet.turn()
        assert (fleet.status, fleet.versions()) == ("Cancelling", {"1": 5, "2": 1})

    def test_a_rollback_can_be_cancelled(self, fleet: Fleet) -> None:
        """CancelInstanceRefresh: "or rollback"; a rollback that gets nowhere would block the group for an hour."""
        fleet.start(InstanceWarmup=0)
        fleet.turn()
        fleet.roll_back()
        fleet.cancel()
        fleet.turn(2)
        assert fleet.status == "Cancelled"


class TestRollingBack:
    def test_only_what_was_deployed_is_replaced(self, fleet: Fleet) -> None:
        """Instances that were never touched would lose their requests for nothing."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[50, 100])
        fleet.turn(4)
        untouched = fleet.members(1)
        assert len(untouched) == 2
        fleet.roll_back()
        refresh = fleet.refresh()
        assert refresh["Status"] == "RollbackInProgress"
        details = refresh["RollbackDetails"]
        assert (details["PercentageCompleteOnRollback"], details["InstancesToUpdateOnRollback"]) == (50, 2)
        assert refresh["PercentageComplete"] == 50
        fleet.turn()
        assert fleet.versions() == {"1": 4, "2": 2}
        fleet.turn()
        assert fleet.refresh()["PercentageComplete"] == 0
        fleet.turn()
        refresh = fleet.refresh()
        assert (refresh["Status"], refresh["PercentageComplete"]) == ("RollbackSuccessful", 0)
        assert refresh["RollbackDetails"] == details
        assert fleet.members()[:2] == untouched
        assert fleet.versions() == {"1": 4}
        assert fleet.template_version() == "1"

    def test_the_same_version_needs_no_replacing(self, fleet: Fleet) -> None:
        """Instances that match what the group had would be replaced by their like."""
        fleet.start(1, **LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[50, 100])
        fleet.turn(4)
        members = fleet.members()
        fleet.roll_back()
        fleet.turn()
        refresh = fleet.refresh()
        assert (refresh["Status"], refresh["PercentageComplete"]) == ("RollbackSuccessful", 0)
        assert fleet.members() == members

    def test_instances_that_never_served_go_at_once(self, fleet: Fleet) -> None:
        """Waiting for them to get healthy takes an hour; waiting for their drain isn't needed either."""
        old = fleet.members()
        fleet.start(**LAUNCH_FIRST)
        fleet.turn()
        fleet.all_bad(2)
        fleet.roll_back()
        fleet.turn()
        assert fleet.members() == old
        fleet.turn()
        assert fleet.status == "RollbackSuccessful"


class TestStandingStill:
    @pytest.mark.parametrize("process", ["InstanceRefresh", "Launch", "Terminate"])
    def test_a_suspended_process_pauses_it(self, fleet: Fleet, process: str) -> None:
        """User Guide, "How suspended processes affect other processes": the pause is meant to stop everything."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=600)
        fleet.turn()
        new = fleet.members(2)
        fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=[process])
        fleet.turn()
        fleet.world.wait(7_200)
        fleet.turn(2)
        assert fleet.versions() == {"1": 4, "2": 4}
        assert process in fleet.refresh()["StatusReason"]
        # The time that it stood isn't an hour without progress.
        fleet.world.targets |= dict.fromkeys(new, "initial")
        fleet.asg.resume_processes(AutoScalingGroupName="fleet", ScalingProcesses=[process])
        fleet.turn()
        assert fleet.status == "InProgress"
        fleet.world.targets.clear()
        fleet.turn(3)
        assert fleet.status == "Successful"

    @pytest.mark.parametrize("process", ["InstanceRefresh", "Launch"])
    def test_a_paused_group_can_be_made_smaller(self, fleet: Fleet, process: str) -> None:
        """Auto Scaling leaves it to the refresh, which would leave it for as long as the pause takes: weeks."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, CheckpointPercentages=[25, 100], CheckpointDelay=172_800)
        fleet.turn(4)
        assert fleet.versions() == {"1": 3, "2": 1}
        fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=[process])
        fleet.turn()
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=2)
        fleet.turn()
        assert fleet.versions() == {"1": 1, "2": 1}
        fleet.turn(3)
        assert fleet.versions() == {"1": 1, "2": 1}
        # A request that comes between the last turn and the pause is one of the pause.
        fleet.asg.resume_processes(AutoScalingGroupName="fleet", ScalingProcesses=[process])
        fleet.turn()
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=1)
        fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=[process])
        fleet.turn(2)
        assert fleet.versions() == {"2": 1}
        assert fleet.status == "InProgress"

    def test_a_paused_group_that_is_made_smaller_keeps_what_was_launched_in_addition(self, fleet: Fleet) -> None:
        """Ending more than was asked for would be the replacing that is paused."""
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0)
        fleet.turn()
        assert fleet.versions() == {"1": 4, "2": 4}
        fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=["InstanceRefresh"])
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=3)
        fleet.turn(3)
        assert fleet.versions() == {"1": 3, "2": 4}

    def test_nothing_is_terminated_while_that_is_suspended(self, fleet: Fleet) -> None:
        """SuspendProcesses, Terminate: the scale-in waits for its end, and is not forgotten."""
        fleet.start(InstanceWarmup=0)
        fleet.turn()
        processes = ["InstanceRefresh", "Terminate"]
        fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=processes)
        fleet.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=2)
        fleet.turn(2)
        assert fleet.versions() == {"1": 3, "2": 1}
        fleet.asg.resume_processes(AutoScalingGroupName="fleet", ScalingProcesses=["Terminate"])
        fleet.turn()
        assert fleet.versions() == {"1": 1, "2": 1}

    def test_a_paused_refresh_can_be_cancelled(self, fleet: Fleet) -> None:
        """It would block the group until somebody finds the process that is suspended."""
        fleet.start()
        fleet.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=["InstanceRefresh"])
        fleet.turn()
        fleet.cancel()
        fleet.turn(2)
        assert fleet.status == "Cancelled"

    @pytest.mark.parametrize(
        ("what", "status", "replaced"), [("Ignore", "Successful", 3), ("Refresh", "Successful", 4)]
    )
    def test_protected_instances_are_left_or_replaced_as_told(
        self, fleet: Fleet, what: str, status: str, replaced: int
    ) -> None:
        """RefreshPreferences, ScaleInProtectedInstances."""
        old = fleet.members()
        fleet.asg.set_instance_protection(AutoScalingGroupName="fleet", InstanceIds=old[:1], ProtectedFromScaleIn=True)
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0, ScaleInProtectedInstances=what)
        fleet.turn(4)
        assert fleet.status == status
        assert len(set(old) - set(fleet.members())) == replaced
        assert len(fleet.members()) == 4

    def test_protected_instances_are_waited_for_by_default(self, fleet: Fleet) -> None:
        """ "How an instance refresh works", One-hour timeout."""
        protected = fleet.members()[:1]
        protect = partial(fleet.asg.set_instance_protection, AutoScalingGroupName="fleet", InstanceIds=protected)
        protect(ProtectedFromScaleIn=True)
        fleet.start(**LAUNCH_FIRST, InstanceWarmup=0)
        fleet.turn(4)
        assert fleet.versions() == {"1": 1, "2": 3}
        assert protected[0] in fleet.refresh()["StatusReason"]
        fleet.world.wait(3_590)
        fleet.turn()
        assert fleet.status == "InProgress"
        fleet.world.wait(20)
        fleet.turn()
        assert fleet.status == "Failed"
