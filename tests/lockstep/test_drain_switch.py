"""What CloudWatch is told of a drain switch, and tells: on the sandbox's API."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lockstep import config
from lockstep.drain_switch import DrainSwitch, SwitchFacts
from lockstep.project import GLOBAL_STACK
from tests.conftest import ROOT
from tests.lockstep.site_traffic import WANTED, HostedTraffic

Aws = Callable[..., Any]


@pytest.fixture
def switch(aws: Aws) -> DrainSwitch:
    """That of the primary, whose alarm is there."""
    HostedTraffic(aws).alarm("primary")
    settings = config.load(ROOT, GLOBAL_STACK)
    return DrainSwitch.of(aws, settings, settings.site_named("primary"))


def put(aws: Aws, switch: DrainSwitch, *, hours: int, value: float) -> None:
    """As it was told at a full hour, so many hours ago: always in the same minute."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    aws("cloudwatch", switch.region).put_metric_data(
        Namespace="Lockstep",
        MetricData=[
            {
                "MetricName": "Drain",
                "Dimensions": [{"Name": "Site", "Value": "primary"}],
                "Timestamp": hour - timedelta(hours=hours),
                "Value": value,
            }
        ],
    )


def test_it_is_the_alarm_that_the_peers_stack_declares(switch: DrainSwitch) -> None:
    """The command would tell a metric that nobody follows."""
    assert (switch.name, switch.region) == (WANTED.sites["primary"].alarm, WANTED.sites["primary"].alarm_region)


def test_what_was_told_last_is_what_it_holds(switch: DrainSwitch) -> None:
    """`status` compares it with the record."""
    assert switch.facts() == SwitchFacts(state="INSUFFICIENT_DATA")
    switch.write(drained=False)
    assert switch.facts().drained is False
    assert switch.facts().at is not None


def test_of_two_in_one_minute_the_alarm_tells_which_it_holds(switch: DrainSwitch, aws: Aws) -> None:
    """Data keeps no order within a minute, and one that is guessed would contradict the record."""
    put(aws, switch, hours=1, value=1.0)
    put(aws, switch, hours=1, value=0.0)
    assert switch.facts().drained is None
    for state, drained in (("ALARM", True), ("OK", False)):
        aws("cloudwatch", switch.region).set_alarm_state(AlarmName=switch.name, StateValue=state, StateReason="test")
        assert switch.facts().drained is drained


def test_the_newest_minute_decides(switch: DrainSwitch, aws: Aws) -> None:
    """A site that was drained yesterday, and has served since, would be told as drained."""
    put(aws, switch, hours=30, value=1.0)
    put(aws, switch, hours=20, value=0.0)
    assert switch.facts().drained is False


def test_the_other_sites_switch_is_another_metric(switch: DrainSwitch, aws: Aws) -> None:
    """Both would be drained by one order."""
    settings = config.load(ROOT, GLOBAL_STACK)
    other = DrainSwitch.of(aws, settings, settings.site_named("secondary"))
    other.write(drained=True)
    assert switch.facts().drained is None
    assert other.facts() == SwitchFacts(state=None, drained=True, at=other.facts().at)


def test_an_alarm_that_is_gone_is_none(switch: DrainSwitch, aws: Aws) -> None:
    """Not one without data, which is the usual state."""
    aws("cloudwatch", switch.region).delete_alarms(AlarmNames=[switch.name])
    assert switch.state() is None
