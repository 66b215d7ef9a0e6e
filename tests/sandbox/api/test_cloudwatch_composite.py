"""Composite alarms: CloudWatch User Guide, "Create a composite alarm"; API reference, PutCompositeAlarm."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from moto.cloudwatch.exceptions import CloudWatchException

from sandbox.api.cloudwatch_rule import read
from tests.sandbox.api.alarming import World, described, drain_alarm, put, refused, state

ClientFactory = Callable[..., Any]
STATES = {"up": "OK", "down": "ALARM", "new": "INSUFFICIENT_DATA"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def cloudwatch(aws: ClientFactory, world: World) -> Any:
    """With three metric alarms: one for each state."""
    client = aws("cloudwatch")
    for name, value in STATES.items():
        drain_alarm(client, name, TreatMissingData="ignore")
        client.set_alarm_state(AlarmName=name, StateValue=value, StateReason="test")
    return client


def composite(client: Any, name: str, rule: str, **more: Any) -> None:
    client.put_composite_alarm(AlarmName=name, AlarmRule=rule, **more)


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("ALARM(down)", True),
        ("ALARM(up)", False),
        ("OK(up)", True),
        ("INSUFFICIENT_DATA(new)", True),
        ("""ALARM("down") AND OK('up')""", True),
        ("ALARM(down) AND ALARM(up)", False),
        ("ALARM(down) AND NOT ALARM(up)", True),
        ("(ALARM(up) OR ALARM(down)) AND OK(up)", True),
        ("ALARM(down) OR ALARM(up) AND ALARM(up)", True),
        ("NOT (ALARM(down) OR FALSE)", False),
        ("NOT NOT TRUE", True),
        ("TRUE AND FALSE", False),
        ("alarm( down ) and not ok(down)", True),
    ],
)
def test_a_rule_is_read_as_it_is_documented(rule: str, holds: bool) -> None:
    """A rule that is taken for another one keeps silent, or wakes people for nothing."""
    assert read(rule).holds(STATES.__getitem__) == holds


@pytest.mark.parametrize(
    "rule",
    [
        "ALARM",
        "ALARM()",
        "ALARM(a) OK(b)",
        "ALARM(a) AND",
        "(ALARM(a)",
        "ALARM(a))",
        "AND ALARM(a)",
        "NOT",
        "a",
        "RED(a)",
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    """Read in part, it would be another rule."""
    with pytest.raises(CloudWatchException, match="AlarmRule must be a valid rule expression"):
        read(rule)


def test_a_rule_has_100_children_and_500_elements_at_most() -> None:
    """ "Elements are child alarms, TRUE or FALSE statements, and parentheses"; a pair of these is one."""
    assert len(read(" OR ".join(f"ALARM(a{n})" for n in range(100))).children) == 100
    read(" OR ".join(["(TRUE)"] * 250))
    for rule in (" OR ".join(f"ALARM(a{n})" for n in range(101)), " OR ".join(["(TRUE)"] * 250 + ["TRUE"])):
        with pytest.raises(CloudWatchException, match="must not have more than"):
            read(rule)
    with pytest.raises(NotImplementedError, match="AT_LEAST"):
        read("AT_LEAST(2, ALARM, (a, b, c))")


@pytest.mark.change("cloudwatch-alarms")
class TestCompositeAlarms:
    def test_it_begins_without_data_and_follows_its_children(self, cloudwatch: Any, world: World) -> None:
        """ "This initial time after creation is the only time that the alarm can be in INSUFFICIENT_DATA state"."""
        composite(cloudwatch, "both", "ALARM(down) AND ALARM(up)")
        assert state(cloudwatch, "both") == "INSUFFICIENT_DATA"
        world.turn()
        assert state(cloudwatch, "both") == "OK"
        put(cloudwatch, 1)
        world.wait(60)
        assert state(cloudwatch, "both") == "ALARM"

    def test_it_follows_other_composite_alarms_in_the_same_turn(self, cloudwatch: Any, world: World) -> None:
        """Each level would otherwise be as late as the one below it again."""
        composite(cloudwatch, "b", "ALARM(down)")
        arn = described(cloudwatch, "b")["AlarmArn"]
        composite(cloudwatch, "a", f"ALARM({arn})")
        world.turn()
        assert [state(cloudwatch, name) for name in ("b", "a")] == ["ALARM", "ALARM"]

    def test_a_state_that_was_set_stays_until_a_child_changes(self, cloudwatch: Any, world: World) -> None:
        """SetAlarmState: "only once any of its children alarms change state"."""
        composite(cloudwatch, "any", "ALARM(up)")
        world.turn()
        cloudwatch.set_alarm_state(AlarmName="any", StateValue="ALARM", StateReason="try")
        world.wait(600)
        assert state(cloudwatch, "any") == "ALARM"
        cloudwatch.set_alarm_state(AlarmName="up", StateValue="INSUFFICIENT_DATA", StateReason="try")
        world.turn()
        assert state(cloudwatch, "any") == "OK"

    def test_missing_children_are_refused(self, cloudwatch: Any) -> None:
        """A rule about an alarm that isn't there is never true."""
        assert refused(partial(composite, cloudwatch, "c", "ALARM(down) OR OK(gone) OR OK(lost)")) == (
            "ValidationError",
            "Could not save the composite alarm as alarms [gone, lost] in the alarm rule do not exist",
        )

    def test_what_a_composite_alarm_watches_is_not_deleted(self, cloudwatch: Any) -> None:
        """Otherwise it would go on without a word about what it can't see."""
        composite(cloudwatch, "c", "ALARM(down) OR ALARM(up)")
        delete = cloudwatch.delete_alarms
        assert refused(partial(delete, AlarmNames=["down"])) == (
            "ValidationError",
            "Cannot delete down as there are composite alarm(s) depending on it.",
        )
        assert (
            "down,up as there are composite alarm(s) depending on them"
            in refused(partial(delete, AlarmNames=["down", "up", "new"]))[1]
        )
        assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == 3
        delete(AlarmNames=["c", "down"])
        assert [each["AlarmName"] for each in cloudwatch.describe_alarms()["MetricAlarms"]] == ["new", "up"]

    def test_one_composite_alarm_is_deleted_at_a_time(self, cloudwatch: Any) -> None:
        """DeleteAlarms: "no more than one composite alarm"."""
        composite(cloudwatch, "a", "TRUE")
        composite(cloudwatch, "b", "TRUE")
        assert refused(partial(cloudwatch.delete_alarms, AlarmNames=["a", "b"]))[0] == "ValidationError"

    def test_a_cycle_is_neither_evaluated_nor_deleted(self, cloudwatch: Any, world: World) -> None:
        """ "You can't delete any composite alarm that is part of the cycle"; a rule of FALSE breaks it."""
        composite(cloudwatch, "a", "TRUE")
        composite(cloudwatch, "b", "ALARM(a)")
        world.turn()
        composite(cloudwatch, "a", "ALARM(b) AND FALSE")
        world.turn()
        assert [state(cloudwatch, name) for name in ("a", "b")] == ["ALARM", "ALARM"]
        for name in ("a", "b"):
            assert refused(partial(cloudwatch.delete_alarms, AlarmNames=[name]))[0] == "ValidationError"
        composite(cloudwatch, "a", "FALSE")
        world.turn()
        assert [state(cloudwatch, name) for name in ("a", "b")] == ["OK", "OK"]
        cloudwatch.delete_alarms(AlarmNames=["b"])

    def test_they_are_described_when_they_are_asked_for(self, cloudwatch: Any) -> None:
        """DescribeAlarms, AlarmTypes, ChildrenOfAlarmName, ParentsOfAlarmName."""
        composite(cloudwatch, "c", "ALARM(down) OR ALARM(up)")
        describe = cloudwatch.describe_alarms
        assert describe(AlarmNames=["c"])["CompositeAlarms"] == []
        assert described(cloudwatch, "c")["AlarmRule"] == "ALARM(down) OR ALARM(up)"
        children = describe(ChildrenOfAlarmName="c")["MetricAlarms"]
        assert [(each["AlarmName"], each["StateValue"]) for each in children] == [("down", "ALARM"), ("up", "OK")]
        (parent,) = describe(ParentsOfAlarmName="down")["CompositeAlarms"]
        assert (parent["AlarmName"], "StateValue" in parent) == ("c", False)
        assert refused(partial(describe, ParentsOfAlarmName="c", StateValue="OK"))[0] == "ValidationError"

    def test_a_name_belongs_to_one_type(self, cloudwatch: Any) -> None:
        """Names are unique in a region: a metric alarm can't turn into another kind of alarm."""
        assert refused(partial(composite, cloudwatch, "down", "TRUE"))[0] == "ValidationError"

    def test_suppressors_are_refused_by_name(self, cloudwatch: Any) -> None:
        """Actions would run that somebody believes suppressed."""
        code, message = refused(partial(composite, cloudwatch, "c", "TRUE", ActionsSuppressor="down"))
        assert (code, "ActionsSuppressor" in message) == ("NotImplemented", True)
