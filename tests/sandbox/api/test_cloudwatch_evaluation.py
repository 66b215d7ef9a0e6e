"""What state data points give an alarm. CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data":
the tables of "How alarm state is evaluated when data is missing", row by row.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sandbox import clock
from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_evaluation import ALARM, INSUFFICIENT_DATA, OK, Point, Watch, boundary, judge, verdict_at
from sandbox.api.cloudwatch_metrics import key_of, sample_of

RETAIN = None
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
WATCH = Watch(
    key=key_of("Lockstep", "Drain", ()),
    statistic="Maximum",
    unit=None,
    period=300,
    periods=3,
    needed=3,
    comparison="GreaterThanThreshold",
    threshold=3.0,
    missing="missing",
)
VALUES = {"0": 1.0, "X": 5.0, "-": None}


def points(text: str) -> list[Point]:
    """The guide's notation: 0 doesn't breach, X does, - is missing; the most recent is last."""
    return [Point(index * 300.0, VALUES[sign]) for index, sign in enumerate(text.split())]


def states(watch: Watch, text: str) -> list[str | None]:
    return [judge(replace(watch, missing=treatment), points(text)).state for treatment in TREATMENTS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 - X - X", [OK, OK, OK, OK]),
        ("0 - - - -", [OK, OK, OK, OK]),
        ("- - - - -", [INSUFFICIENT_DATA, RETAIN, ALARM, OK]),
        ("0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
        ("- - X - -", [ALARM, RETAIN, ALARM, OK]),
    ],
)
def test_three_of_three(text: str, expected: list[str | None]) -> None:
    """The first table. A switch that flips on a gap in its data moves traffic for nothing, or doesn't when it must."""
    assert states(WATCH, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
        ("0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
        ("0 - X - -", [OK, OK, ALARM, OK]),
        ("- - - - 0", [OK, OK, ALARM, OK]),
        ("- - - X -", [ALARM, RETAIN, ALARM, OK]),
    ],
)
def test_two_of_three(text: str, expected: list[str | None]) -> None:
    """The second table."""
    assert states(replace(WATCH, needed=2), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- - - - X", [INSUFFICIENT_DATA, RETAIN, ALARM, OK]),
        ("- - - X -", [INSUFFICIENT_DATA, RETAIN, ALARM, OK]),
        ("X - - - -", [ALARM, RETAIN, ALARM, OK]),
        ("- - - X 0", [OK, OK, OK, OK]),
        ("- - X - 0", [OK, OK, OK, OK]),
    ],
)
def test_no_premature_alarm(text: str, expected: list[str | None]) -> None:
    """ "Avoiding premature transitions to alarm state": the next point may be a good one.

    The first and the third row are from the table in the guide's edition of 2020.
    """
    assert states(WATCH, text) == expected


def test_one_point_is_enough_for_one_of_one() -> None:
    """The drain switch: 1 of 1, missing. What was written last counts for as long as it is in the evaluation range."""
    drain = replace(WATCH, periods=1, needed=1)
    assert [judge(drain, points(text)).state for text in ("- - X", "X - -", "X - 0", "- - -")] == [
        ALARM,
        ALARM,
        OK,
        INSUFFICIENT_DATA,
    ]


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [False, False, True]),
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_the_statistic_is_the_first_operand(comparison: str, breaching: list[bool]) -> None:
    """PutMetricAlarm, ComparisonOperator. An alarm the wrong way round is on while all is well."""
    watch = replace(WATCH, comparison=comparison)
    assert [watch.breaches(value) for value in (2.0, 3.0, 4.0)] == breaching


def test_the_reason_names_values_times_and_threshold() -> None:
    """It is what somebody reads at night: DescribeAlarms, StateReason."""
    verdict = judge(
        replace(WATCH, periods=1, needed=1), [Point(cloudwatch_time.position(datetime(2026, 3, 4, 12)), 5.0)]
    )
    assert verdict.reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (04/03/26 12:00:00)] was greater than the threshold "
        "(3.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert "not greater than the threshold" in judge(WATCH, points("0 0 0")).reason
    assert judge(replace(WATCH, missing="breaching"), points("- - -")).reason.endswith("treated as [Breaching].")
    assert judge(WATCH, points("- - -")).reason == "Insufficient Data: 3 datapoints were unknown."


class TestWindows:
    """User Guide, "Alarm evaluation"."""

    def test_an_alarm_is_evaluated_each_minute_or_shorter_period(self) -> None:
        """A five-minute alarm that looks every five minutes only is four minutes late."""
        assert [replace(WATCH, period=period).step for period in (10, 30, 60, 300)] == [10, 30, 60, 60]

    def test_a_window_slides_with_the_evaluation_and_leaves_out_the_running_minute(self) -> None:
        """Half a minute of data would be taken for a whole one."""
        watch = replace(WATCH, periods=1, needed=1, statistic="Sum")
        start = datetime(2026, 3, 4, 12)
        samples = [sample_of(start + timedelta(minutes=minute), {1.0: 1.0}) for minute in range(7)]
        number = boundary(watch, cloudwatch_time.position(start + timedelta(minutes=6, seconds=59)))
        assert verdict_at(watch, samples, number).points[-1].value == 5
        assert verdict_at(watch, samples, number).points[-1].start == cloudwatch_time.position(
            start + timedelta(minutes=1)
        )

    def test_standard_resolution_is_a_minute(self) -> None:
        """PutMetricAlarm, Period: a ten-second alarm on such a metric "does not receive data" for most attempts."""
        watch = replace(WATCH, period=10, periods=1, needed=1)
        start = datetime(2026, 3, 4, 12)
        for resolution, state in ((60, INSUFFICIENT_DATA), (1, ALARM)):
            samples = [sample_of(start + timedelta(seconds=45), {5.0: 1.0}, resolution=resolution)]
            number = boundary(watch, cloudwatch_time.position(start + timedelta(seconds=50)))
            assert verdict_at(watch, samples, number).state == state

    def test_periods_run_at_the_sandbox_speed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A minute of the alarm is ten real seconds at six times the speed, as for every timer of the sandbox."""
        monkeypatch.setattr(clock, "SPEED", 6.0)
        watch = replace(WATCH, period=60, periods=1, needed=1)
        start = datetime(2026, 3, 4, 12)
        samples = [sample_of(start + timedelta(seconds=2), {5.0: 1.0})]
        states = [
            verdict_at(
                watch, samples, boundary(watch, cloudwatch_time.position(start + timedelta(seconds=second)))
            ).state
            for second in (9, 10, 39, 40)
        ]
        assert states == [INSUFFICIENT_DATA, ALARM, ALARM, INSUFFICIENT_DATA]

    @pytest.mark.parametrize(("statistic", "enough"), [("p99", 1000), ("p90", 100), ("p50", 20), ("p10", 100)])
    def test_percentiles_of_few_samples_can_be_ignored(self, statistic: str, enough: int) -> None:
        """ "Percentile-based CloudWatch alarms and low data samples": 10/(1-p) samples from p50 on, 10/p below."""
        watch = replace(WATCH, period=60, periods=1, needed=1, statistic=statistic, sparse=True)
        start = datetime(2026, 3, 4, 12)
        number = boundary(watch, cloudwatch_time.position(start + timedelta(minutes=1)))
        found = [
            verdict_at(watch, [sample_of(start, {5.0: float(count)})], number).state for count in (enough - 1, enough)
        ]
        assert found == [RETAIN, ALARM]
        assert verdict_at(replace(watch, sparse=False), [sample_of(start, {5.0: 1.0})], number).state == ALARM
