"""Rolling one site: what AWS is asked for, and what is made of what it shows."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from lockstep.deployment.rolling import (
    RegionLostError,
    RollFailedError,
    SiteRoll,
    StoppedError,
    canary_percentage,
    preferences,
    return_to,
)
from lockstep.fleet import FleetFacts, SiteFleet
from tests.lockstep.deployment.facts import AFTER, BEFORE, NEW, OLD, facts, instance, refresh


class Fleet(SiteFleet):
    """A fleet whose facts are given, one set for each poll; the last one stays."""

    def __init__(self, *polls: FleetFacts | Exception) -> None:
        self.site, self.region = "primary", "eu-west-1"
        self._polls: Iterator[FleetFacts | Exception] = iter(polls)
        self._now: FleetFacts | Exception = BEFORE
        self.calls: list[str] = []
        self.launch_failures: list[dict[str, str]] = [{}]
        self.console = ""
        self.start_error: ClientError | None = None
        self.preferences: dict[str, Any] = {}
        self.ringing: dict[str, str] = {}

    def facts(self) -> FleetFacts:
        self._now = next(self._polls, self._now)
        if isinstance(self._now, Exception):
            raise self._now
        return self._now

    def start_refresh(self, facts: FleetFacts, version: int, preferences: Any) -> str:
        self.calls.append(f"start {version}")
        self.preferences = dict(preferences)
        if self.start_error is not None:
            raise self.start_error
        return "r-1"

    def alarms(self) -> dict[str, str]:
        return self.ringing

    def roll_back(self, facts: FleetFacts) -> None:
        self.calls.append("roll back")

    def cancel(self, facts: FleetFacts) -> None:
        self.calls.append("cancel")

    def use_version(self, facts: FleetFacts, version: int) -> None:
        self.calls.append(f"use {version}")

    def failed_launches(self, facts: FleetFacts) -> dict[str, str]:
        """One set for each time that it is asked; the last one stays."""
        return self.launch_failures.pop(0) if len(self.launch_failures) > 1 else self.launch_failures[0]

    def console_tail(self, instance_id: str) -> str:
        return self.console


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def roll(fleet: Fleet, **options: Any) -> SiteRoll:
    clock = Clock()
    made = SiteRoll(fleet, "1.1.0", NEW, lambda site, text: None, sleep=clock.sleep, clock=clock, **options)
    made.start(BEFORE)
    return made


def half(**changes: Any) -> FleetFacts:
    """One new instance beside the old ones."""
    return facts(instance(1), instance(2), instance(3, NEW, **changes), refresh=refresh())


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}, "DescribeX")  # type: ignore[typeddict-item]


def test_a_roll_keeps_capacity_and_rolls_back_by_itself() -> None:
    """Terminating first loses requests; without automatic rollback a CLI that dies leaves a bad release rolling."""
    wanted = preferences(2)
    assert (wanted["MinHealthyPercentage"], wanted["MaxHealthyPercentage"]) == (100, 200)
    assert wanted["AutoRollback"] is True
    assert preferences(2, forward=False)["AutoRollback"] is False


def test_a_roll_ends_when_an_alarm_rings_but_not_one_that_rang_before() -> None:
    """Users would get errors until every instance has a bad release; or the release that cures them could not roll."""
    fleet, said = Fleet(), list[str]()
    fleet.ringing = {"errors": "OK", "unhealthy": "ALARM", "new": "INSUFFICIENT_DATA"}
    made = SiteRoll(fleet, "1.1.0", NEW, lambda site, text: said.append(text))
    made.start(BEFORE)
    assert fleet.preferences["AlarmSpecification"] == {"Alarms": ["errors", "new"]}
    assert said == ["alarm unhealthy rings already, and won't end this roll"]


def test_a_way_back_is_ended_by_no_alarm() -> None:
    """The alarm that has a release returned would stop its return."""
    fleet = Fleet()
    fleet.ringing = {"errors": "OK"}
    SiteRoll(fleet, "1.0.0", OLD, lambda site, text: None).start(AFTER, forward=False)
    assert "AlarmSpecification" not in fleet.preferences


def test_a_site_without_alarms_is_rolled_all_the_same() -> None:
    """The first update after they were added would fail, as AWS refuses an alarm that isn't there."""
    fleet = Fleet()
    SiteRoll(fleet, "1.1.0", NEW, lambda site, text: None).start(BEFORE)
    assert "AlarmSpecification" not in fleet.preferences


@pytest.mark.parametrize(("instances", "percentage"), [(2, 50), (3, 33), (4, 25), (500, 1)])
def test_the_canary_is_one_instance(instances: int, percentage: int) -> None:
    """A checkpoint of half the fleet tries a bad release on half of the users."""
    assert canary_percentage(instances) == percentage
    wanted = preferences(instances, bake=60)
    assert wanted["CheckpointPercentages"] == [percentage, 100]
    assert wanted["CheckpointDelay"] == 60
    assert percentage * instances <= 100 or percentage == 1


def test_a_fleet_of_one_bakes_at_the_end() -> None:
    """A checkpoint at 100 % is none: the refresh would succeed without anybody watching."""
    wanted = preferences(1, bake=60)
    assert wanted["BakeTime"] == 60
    assert "CheckpointPercentages" not in wanted


def test_a_roll_is_done_when_all_instances_serve_the_release() -> None:
    """A refresh that has succeeded may still leave an instance that the balancer refuses."""
    not_yet = facts(instance(3, NEW), instance(4, NEW, target_state="initial"), refresh=refresh("Successful", 100))
    fleet = Fleet(half(), not_yet, AFTER)
    roll(fleet).wait()
    assert fleet.calls == ["start 2"]


@pytest.mark.parametrize(
    "status", ["Failed", "Cancelled", "RollbackInProgress", "RollbackSuccessful", "RollbackFailed"]
)
def test_a_refresh_that_aws_gives_up_has_failed(status: str) -> None:
    """Otherwise the command waits for what won't come."""
    with pytest.raises(RollFailedError, match=status):
        roll(Fleet(half(), facts(instance(1), instance(2), refresh=refresh(status)))).wait()


def test_another_refresh_in_its_place_is_a_failure() -> None:
    """Somebody else's refresh would be taken for this one."""
    with pytest.raises(RollFailedError, match="r-9") as caught:
        roll(Fleet(facts(*BEFORE.instances, refresh=refresh(id="r-9")))).wait()
    assert not caught.value.blames


def test_a_refresh_that_aws_does_not_list_yet_is_waited_for() -> None:
    """What is listed right after the start may be the one before, and neither its success nor its failure is ours."""
    earlier = facts(*AFTER.instances, version=NEW, refresh=refresh("Successful", 100, "r-0"))
    failed = facts(*BEFORE.instances, refresh=refresh("Failed", 50, "r-0"))
    for polls in ([earlier, AFTER], [failed, half(), AFTER]):
        fleet = Fleet(*polls)
        roll(fleet).wait()
        assert next(fleet._polls, None) is None


def test_a_start_whose_answer_was_lost_meets_itself() -> None:
    """botocore sends it again, and AWS refuses a second refresh."""
    fleet = Fleet(half(), half(), AFTER)
    fleet.start_error = refused("InstanceRefreshInProgress")
    roll(fleet).wait()
    fleet = Fleet(facts(*BEFORE.instances, refresh=dataclasses.replace(refresh(), version="7")))
    fleet.start_error = refused("InstanceRefreshInProgress")
    with pytest.raises(ClientError):
        roll(fleet)


def test_an_instance_that_is_replaced_ends_the_roll_at_once_and_says_why() -> None:
    """AWS would go on for an hour, replacing instances that never get healthy."""
    sick = half(target_state="unhealthy", target_reason="Health checks failed with these codes: [503]")
    fleet = Fleet(sick, facts(instance(1), instance(2), instance(4, NEW), refresh=refresh()))
    fleet.console = "nothing provides python4"
    with pytest.raises(RollFailedError) as caught:
        roll(fleet).wait()
    for words in ("i-3", "[503]", "nothing provides python4"):
        assert words in str(caught.value)


def test_an_instance_on_its_way_out_counts_as_replaced() -> None:
    """It stays in the group until its balancer has let go of it: minutes."""
    leaving = facts(instance(1), instance(2), instance(3, NEW, lifecycle="Terminating"), refresh=refresh())
    with pytest.raises(RollFailedError, match="i-3"):
        roll(Fleet(half(), leaving)).wait()


def test_old_instances_that_leave_are_the_point() -> None:
    """Otherwise no roll ever succeeds."""
    one_left = facts(instance(2), instance(3, NEW), refresh=refresh("InProgress", 50))
    roll(Fleet(half(), one_left, AFTER)).wait()


def test_launches_that_keep_failing_end_the_roll() -> None:
    """A region without capacity would hold the deployment for an hour."""
    text = "no t4g.small capacity"
    fleet = Fleet(facts(instance(1), instance(2), refresh=refresh()))
    fleet.launch_failures = [{}, {"a-1": text}, {"a-2": text, "a-1": text}]
    with pytest.raises(RollFailedError, match=r"no t4g\.small capacity") as caught:
        roll(fleet).wait()
    assert not caught.value.blames
    fleet = Fleet(half(), AFTER)
    fleet.launch_failures = [{}, {"a-1": text}]
    roll(fleet).wait()


def test_launches_that_had_failed_before_do_not_count() -> None:
    """The way back would fail for the way there."""
    before = {"a-2": "no capacity", "a-1": "no capacity"}
    fleet = Fleet(half(), AFTER)
    fleet.launch_failures = [before, {"a-3": "no capacity", **before}]
    roll(fleet).wait()
    started_by_the_group = Fleet(AFTER)
    started_by_the_group.launch_failures = [before]
    clock = Clock()
    SiteRoll(
        started_by_the_group, "1.1.0", NEW, lambda site, text: None, sleep=clock.sleep, clock=clock
    ).wait_for_group()


def test_a_region_that_is_silent_for_a_moment_is_asked_again() -> None:
    """One lost packet would undo a deployment in every region."""
    silence = ConnectTimeoutError(endpoint_url="https://x")
    roll(Fleet(half(), silence, silence, AFTER)).wait()


def test_a_region_that_stays_silent_is_lost() -> None:
    """The command would hang on it."""
    with pytest.raises(RegionLostError, match="eu-west-1"):
        roll(Fleet(half(), ConnectTimeoutError(endpoint_url="https://x"))).wait()


def test_a_refusal_is_not_waited_for() -> None:
    """Permissions don't come back by asking again, and say nothing of the release."""
    with pytest.raises(RollFailedError, match="AccessDenied") as caught:
        roll(Fleet(half(), refused("AccessDenied"))).wait()
    assert not caught.value.blames


def test_what_never_moves_ends() -> None:
    """A bounded time, whatever AWS does."""
    with pytest.raises(RollFailedError, match="nothing has changed for 30 minutes"):
        roll(Fleet(half())).wait()


def test_stop_is_obeyed_at_the_next_poll() -> None:
    """Ctrl-C, or another site's failure, must not wait for the end of the roll; nor is a refresh started then."""
    stop = [False]
    going = roll(Fleet(half()), stop=lambda: stop[0])
    stop[0] = True
    with pytest.raises(StoppedError):
        going.wait()
    fleet = Fleet(BEFORE)
    with pytest.raises(StoppedError):
        roll(fleet, stop=lambda: True)
    assert fleet.calls == []


def test_the_canary_is_past_when_the_second_instance_comes() -> None:
    """The bake time is AWS's to count; what is waited for is what it does next."""
    fleet = Fleet(
        half(target_state="initial"),
        half(),
        half(),
        facts(instance(2), instance(3, NEW), instance(4, NEW, target_state="initial"), refresh=refresh()),
    )
    seen: list[bool] = []
    roll(fleet).wait_for_canary(2, seen.append)
    assert seen == [False, True, True, True]


def test_the_canary_of_a_fleet_of_one_is_past_when_the_refresh_has_succeeded() -> None:
    """Its bake time is part of the refresh."""
    baking = facts(instance(3, NEW), desired=1, refresh=refresh("Baking", 100))
    done = facts(instance(3, NEW), desired=1, version=NEW, refresh=refresh("Successful", 100))
    seen: list[bool] = []
    roll(Fleet(baking, done)).wait_for_canary(1, seen.append)
    assert len(seen) == 2


def test_what_the_canary_check_finds_ends_the_roll() -> None:
    """A release that answers 500 behind a green health path would go on to every site."""

    def bad(serves: bool) -> None:
        raise RollFailedError("primary", "its own name fails")

    with pytest.raises(RollFailedError, match="its own name fails"):
        roll(Fleet(half())).wait_for_canary(2, bad)


class TestReturning:
    """Back to what a site had."""

    @staticmethod
    def back(fleet: Fleet) -> list[str]:
        clock = Clock()
        return_to(fleet, "1.0.0", OLD, lambda site, text: None, sleep=clock.sleep, clock=clock)
        return fleet.calls

    def test_a_site_that_has_it_is_left_alone(self) -> None:
        """Undoing twice must not roll twice."""
        assert self.back(Fleet(BEFORE)) == []

    def test_a_refresh_that_moves_is_rolled_back_by_aws(self) -> None:
        """A second refresh is refused while the first one moves."""
        going = facts(instance(1), instance(3, NEW), refresh=refresh("RollbackInProgress"))
        back = facts(instance(1), instance(5), refresh=refresh("RollbackSuccessful"))
        assert self.back(Fleet(half(), going, back)) == ["roll back"]

    def test_one_that_is_on_its_way_back_is_waited_for(self) -> None:
        """AWS may have begun by itself."""
        going = facts(instance(1), instance(3, NEW), refresh=refresh("RollbackInProgress"))
        assert self.back(Fleet(going, facts(instance(1), instance(5), refresh=refresh("RollbackSuccessful")))) == []

    def test_a_site_that_had_finished_is_returned_by_a_second_refresh(self) -> None:
        """Nothing is left to roll back once a refresh has succeeded."""
        done = facts(instance(1), instance(2), refresh=refresh("Successful", 100))
        fleet = Fleet(AFTER, half(), done)
        assert self.back(fleet) == ["start 1"]
        assert fleet.preferences["AutoRollback"] is False

    def test_one_that_aws_cannot_roll_back_is_cancelled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise it goes on forward."""

        def irreversible(fleet: Fleet, facts: FleetFacts) -> None:
            raise refused("IrreversibleInstanceRefresh")

        monkeypatch.setattr(Fleet, "roll_back", irreversible)
        cancelled = facts(instance(1), instance(3, NEW), refresh=refresh("Cancelled"))
        done = facts(instance(1), instance(2), refresh=refresh("Successful", 100))
        assert self.back(Fleet(half(), half(), cancelled, half(), done)) == ["cancel", "start 1"]

    def test_a_group_without_instances_is_pointed_back(self) -> None:
        """Its next instances would be of the release that was undone."""
        empty = facts(version=NEW, desired=0)
        assert self.back(Fleet(empty)) == ["use 1"]
        draining = facts(instance(3, NEW, lifecycle="Terminating"), version=NEW, desired=0)
        assert self.back(Fleet(draining)) == ["use 1"]

    def test_instances_that_leave_are_not_rolled(self) -> None:
        """They are what a refresh has just replaced; a second one would replace those that serve."""
        leaving = instance(3, NEW, lifecycle="Terminating")
        fleet = Fleet(facts(instance(1), instance(2), leaving), BEFORE)
        assert self.back(fleet) == []

    def test_a_refresh_back_that_was_left_alone_goes_on(self) -> None:
        """AWS rolls a refresh back to what the group had when it began: the release that is undone."""
        back = dataclasses.replace(refresh(), version=str(OLD))
        going = facts(instance(1), instance(3, NEW), instance(4, NEW), version=NEW, refresh=back)
        done = facts(instance(1), instance(2), refresh=dataclasses.replace(back, status="Successful"))
        assert self.back(Fleet(going, going, done)) == []

    def test_a_region_that_is_silent_for_a_moment_is_asked_again(self) -> None:
        """The way back takes minutes too, and needs more of AWS than the way there."""
        silence = ConnectTimeoutError(endpoint_url="https://x")
        going = facts(instance(1), instance(3, NEW), refresh=refresh("RollbackInProgress"))
        back = facts(instance(1), instance(5), refresh=refresh("RollbackSuccessful"))
        assert self.back(Fleet(silence, half(), silence, silence, going, silence, back)) == ["roll back"]
        with pytest.raises(RegionLostError):
            self.back(Fleet(half(), silence))

    @pytest.mark.parametrize("polls", [0, 1])
    @pytest.mark.parametrize("begun", [half(), AFTER, facts(version=NEW, desired=0)])
    def test_who_has_lost_the_lease_changes_nothing(self, polls: int, begun: FleetFacts) -> None:
        """Whoever has it now has settled, and deployed something else by then."""

        class LostError(Exception):
            pass

        fleet, left = Fleet(begun), [polls]

        def check() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise LostError

        clock = Clock()
        with pytest.raises(LostError):
            return_to(fleet, "1.0.0", OLD, lambda site, text: None, check=check, sleep=clock.sleep, clock=clock)
        assert fleet.calls == []
