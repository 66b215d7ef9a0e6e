"""What state the data of a metric gives an alarm: pure.

CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data". What AWS leaves
open: how many data points more than EvaluationPeriods an alarm looks at (its examples have two more for three, so here
it is two more for any), and what becomes of a breaching point that is too new to be an alarm ("- - - - X", 3 of 3,
missing): an earlier edition's table says INSUFFICIENT_DATA, which the current one doesn't contradict.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_metrics import Key, Sample, between, key_of, percentile_of, statistic_of

OK: Final = "OK"
ALARM: Final = "ALARM"
INSUFFICIENT_DATA: Final = "INSUFFICIENT_DATA"
STATES: Final = (OK, ALARM, INSUFFICIENT_DATA)
TREATMENTS: Final = ("breaching", "notBreaching", "ignore", "missing")
EXTRA_POINTS: Final = 2
# API reference, PutMetricAlarm, TreatMissingData.
IGNORING_NAMESPACE: Final = "AWS/DynamoDB"

COMPARISONS: Final[dict[str, tuple[Callable[[float, float], bool], str]]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What an alarm compares with what. `needed` is DatapointsToAlarm, `sparse` whether too few samples are ignored."""

    key: Key
    statistic: str
    unit: str | None
    period: int
    periods: int
    needed: int
    comparison: str
    threshold: float
    missing: str
    sparse: bool = False

    @property
    def step(self) -> int:
        """Seconds between two evaluations: a minute, or a shorter period."""
        return min(self.period, cloudwatch_time.MINUTE)

    def breaches(self, value: float) -> bool:
        """Whether a data point is outside of the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Point:
    """A data point: where its period begins on the time line of alarms, and its value; None if it is missing."""

    start: float
    value: float | None


@dataclass(frozen=True)
class Verdict:
    """The state that the data gives, None if it leaves the state as it is, and why."""

    state: str | None
    reason: str
    points: tuple[Point, ...] = ()


def watch_of(settings: dict[str, Any]) -> Watch:
    """What the settings of a metric alarm ask for (PutMetricAlarm's parameters)."""
    treatment = settings.get("TreatMissingData") or "missing"
    return Watch(
        key=key_of(settings["Namespace"], settings["MetricName"], settings.get("Dimensions") or ()),
        statistic=settings.get("Statistic") or settings["ExtendedStatistic"],
        unit=settings.get("Unit"),
        period=settings["Period"],
        periods=settings["EvaluationPeriods"],
        needed=settings.get("DatapointsToAlarm") or settings["EvaluationPeriods"],
        comparison=settings["ComparisonOperator"],
        threshold=settings["Threshold"],
        missing="ignore" if settings["Namespace"] == IGNORING_NAMESPACE else treatment,
        sparse=settings.get("EvaluateLowSampleCountPercentile") == "ignore",
    )


def boundary(watch: Watch, position: float) -> int:
    """The number of the last evaluation that is due at a position on the time line of alarms."""
    return math.floor(position / watch.step)


def verdict_at(watch: Watch, samples: Sequence[Sample], number: int) -> Verdict:
    """What `samples`, all of the metric, say at the evaluation of a number: of periods that have ended by then."""
    end = number * watch.step
    reach = watch.periods + EXTRA_POINTS
    starts = [end - (reach - index) * watch.period for index in range(reach)]
    first = cloudwatch_time.moment(starts[0] - 1)
    placed = [(_place(each), each) for each in between(samples, first, cloudwatch_time.moment(end), watch.unit)]
    inside = [[each for place, each in placed if start <= place < start + watch.period] for start in starts]
    if watch.sparse and _too_few([each for found in inside[-watch.periods :] for each in found], watch.statistic):
        return Verdict(None, "Unchanged: there are too few samples for a percentile")
    points = [Point(start, statistic_of(found, watch.statistic)) for start, found in zip(starts, inside, strict=True)]
    return judge(watch, points)


def _place(sample: Sample) -> float:
    """Standard resolution is a minute (User Guide, "High-resolution metrics")."""
    place = cloudwatch_time.position(sample.time)
    return place - place % cloudwatch_time.MINUTE if sample.resolution >= cloudwatch_time.MINUTE else place


def _too_few(samples: Sequence[Sample], statistic: str) -> bool:
    """User Guide, "Percentile-based CloudWatch alarms and low data samples"."""
    percentage = percentile_of(statistic)
    if percentage is None or percentage in (0, 100):
        return False
    rarer = 100 - percentage if percentage >= 50 else percentage
    return math.fsum(each.count for each in samples) < round(10 * 100 / rarer, 6)


def judge(watch: Watch, points: Sequence[Point]) -> Verdict:
    """The state for data points of the evaluation range, oldest first."""
    real = [point for point in points if point.value is not None]
    if len(real) >= watch.periods:
        return _threshold(watch, real[-watch.periods :], 0)
    absent = watch.periods - len(real)
    if watch.missing in ("breaching", "notBreaching"):
        return _threshold(watch, real, absent)
    breaching = [point for point in real if _breaches(watch, point)]
    if len(breaching) >= watch.needed or len(breaching) < len(real):
        return _threshold(watch, real, 0)
    if watch.missing == "ignore":
        return Verdict(None, "Unchanged: missing data is ignored", tuple(real))
    if breaching and len(points) - points.index(breaching[0]) >= watch.needed:
        # "Avoiding premature transitions to alarm state": everything since the oldest breaching one may be breaching.
        return _crossed(watch, ALARM, real, 0)
    plural = "datapoint was" if absent == 1 else "datapoints were"
    return Verdict(INSUFFICIENT_DATA, f"Insufficient Data: {absent} {plural} unknown.", tuple(real))


def _breaches(watch: Watch, point: Point) -> bool:
    return point.value is not None and watch.breaches(point.value)


def _threshold(watch: Watch, real: Sequence[Point], absent: int) -> Verdict:
    filled = absent if watch.missing == "breaching" else 0
    breaching = sum(_breaches(watch, point) for point in real) + filled
    return _crossed(watch, ALARM if breaching >= watch.needed else OK, real, absent)


def _crossed(watch: Watch, state: str, real: Sequence[Point], absent: int) -> Verdict:
    """The form in which CloudWatch gives its reasons."""
    spoken = f"{'' if state == ALARM else 'not '}{COMPARISONS[watch.comparison][1]} the threshold ({watch.threshold})"
    if not real:
        treated = "Breaching" if watch.missing == "breaching" else "NonBreaching"
        reason = (
            f"Threshold Crossed: no datapoints were received for {absent} period{'s' if absent > 1 else ''} and "
            f"{absent} missing datapoint{'s were' if absent > 1 else ' was'} treated as [{treated}]."
        )
        return Verdict(state, reason)
    counted = [point for point in real if _breaches(watch, point) == (state == ALARM)] or list(real)
    shown = ", ".join(f"{point.value} ({_spoken(point)})" for point in reversed(counted))
    verb = "was" if len(counted) == 1 else "were"
    change = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    least = watch.needed if state == ALARM else watch.periods - watch.needed + 1
    reason = (
        f"Threshold Crossed: {len(counted)} out of the last {watch.periods} datapoints [{shown}] {verb} {spoken} "
        f"(minimum {least} datapoint{'s' if least > 1 else ''} for {change} transition)."
    )
    return Verdict(state, reason, tuple(real))


def _spoken(point: Point) -> str:
    return f"{cloudwatch_time.moment(point.start):%d/%m/%y %H:%M:%S}"
