"""The peer's drain switch."""

import pytest

from components.drain_switch import DrainSwitch, DrainSwitchArgs
from tests.components.recording import Recording, run

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def switch(*, protect: bool = True) -> Recording:
    """The switch of site primary, declared."""

    def program() -> None:
        DrainSwitch(
            "orders-secondary-drain-switch", DrainSwitchArgs(drains="primary", alarm_name="its-name", protect=protect)
        )

    return run(program)


def test_one_value_in_a_minute_drains_the_site_and_silence_changes_nothing() -> None:
    """A switch that needs several would lose minutes; one that fires without data would drain a site by itself."""
    alarm = switch().one(ALARM, "orders-secondary-drain-switch-alarm").inputs
    assert (alarm["namespace"], alarm["metricName"], alarm["dimensions"]) == ("Lockstep", "Drain", {"Site": "primary"})
    assert (alarm["statistic"], alarm["period"], alarm["evaluationPeriods"]) == ("Maximum", 60, 1)
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("GreaterThanOrEqualToThreshold", 1)
    assert alarm["treatMissingData"] == "missing"


def test_the_alarm_has_the_name_that_the_command_works_out() -> None:
    """Draining must find it while Pulumi's state is out of reach."""
    assert switch().one(ALARM).inputs["name"] == "its-name"


def test_the_alarm_is_one_that_route_53_can_follow() -> None:
    """It refuses M out of N, extended statistics and periods below a minute."""
    assert not switch().one(ALARM).inputs.keys() & {"datapointsToAlarm", "extendedStatistic", "metricQueries"}


def test_its_description_says_who_writes_it() -> None:
    """Somebody who finds an alarm without actions would delete it."""
    assert "lockstep undrain primary" in switch().one(ALARM).inputs["alarmDescription"]


@pytest.mark.parametrize("protect", [True, False])
def test_with_protection_an_alarm_outlives_its_replacement_and_no_update_is_refused(protect: bool) -> None:
    """A site that joins moves a switch: an update that is refused, or a health check whose alarm is gone."""
    alarm = switch(protect=protect).one(ALARM)
    assert (alarm.retain_on_delete, alarm.protect) == (protect, False)
