"""Metrics as they were put, and the statistics of what lies in a span of time.

CloudWatch User Guide, "Metrics concepts" and "CloudWatch statistics definitions".
"""

import bisect
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sandbox.api import cloudwatch_time

STATISTICS: Final = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
# API reference, GetMetricStatistics: how long data is kept, at a minute's resolution.
KEPT: Final = timedelta(days=15)
NO_UNIT: Final = "None"

Key = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, name and dimensions: each combination is a metric of its own."""

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100(?:\.0{1,10})?)")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was put at one time. `values` has the number of times that each value occurred; a statistic set has none."""

    time: datetime
    count: float
    total: float
    low: float
    high: float
    values: Mapping[float, float] = field(default_factory=dict)
    unit: str = NO_UNIT
    resolution: int = cloudwatch_time.MINUTE


def sample_of(time: datetime, values: Mapping[float, float], **more: Any) -> Sample:
    """The sample of values and the number of times that each occurred."""
    total = math.fsum(value * count for value, count in values.items())
    count = math.fsum(values.values())
    return Sample(time=time, count=count, total=total, low=min(values), high=max(values), values=values, **more)


def key_of(namespace: str, name: str, dimensions: Iterable[Mapping[str, str]]) -> Key:
    """The key of a metric; `dimensions` as the API has them."""
    return namespace, name, frozenset((each["Name"], each["Value"]) for each in dimensions)


def store_of(backend: Any) -> dict[Key, list[Sample]]:
    """The metrics of a region; samples in the order of their times. A reset of the backend forgets them."""
    found: dict[Key, list[Sample]] = backend.__dict__.setdefault("lockstep_metrics", {})
    return found


def record(backend: Any, key: Key, sample: Sample) -> None:
    """Add a sample to a metric, and forget what is too old to be asked for."""
    samples = store_of(backend).setdefault(key, [])
    bisect.insort(samples, sample, key=lambda each: each.time)
    expired = bisect.bisect_left(samples, cloudwatch_time.now() - KEPT, key=lambda each: each.time)
    del samples[:expired]


def between(samples: Sequence[Sample], start: datetime, end: datetime, unit: str | None = None) -> list[Sample]:
    """Those of sorted `samples` from `start` up to, but without, `end`; of one unit, if it is given."""
    first = bisect.bisect_left(samples, start, key=lambda each: each.time)
    last = bisect.bisect_left(samples, end, key=lambda each: each.time)
    return [each for each in samples[first:last] if unit in (None, each.unit)]


def percentile_of(statistic: str) -> float | None:
    """The percentage of a percentile such as p99.9; None if it isn't one."""
    found = _PERCENTILE.fullmatch(statistic)
    return None if found is None else float(found[1])


def statistic_of(samples: Sequence[Sample], statistic: str) -> float | None:
    """One statistic of samples; None if there is none.

    A percentile is the smallest value that at least so many percent of all don't exceed; AWS doesn't tell its own way.
    """
    if not samples:
        return None
    match statistic:
        case "SampleCount":
            return math.fsum(each.count for each in samples)
        case "Sum":
            return math.fsum(each.total for each in samples)
        case "Average":
            return math.fsum(each.total for each in samples) / math.fsum(each.count for each in samples)
        case "Minimum":
            return min(each.low for each in samples)
        case "Maximum":
            return max(each.high for each in samples)
        case _:
            percentage = percentile_of(statistic)
            assert percentage is not None, statistic
            return _percentile(samples, percentage)


def _percentile(samples: Sequence[Sample], percentage: float) -> float | None:
    """API reference, GetMetricStatistics: raw values are needed, or a set of equal ones; none may be negative."""
    counts: dict[float, float] = {}
    for sample in samples:
        if sample.low < 0:
            return None
        for value, count in _raw(sample):
            counts[value] = counts.get(value, 0.0) + count
    if not counts:
        return None
    wanted, so_far = percentage / 100 * math.fsum(counts.values()), 0.0
    for value in sorted(counts):
        so_far += counts[value]
        if so_far >= wanted:
            return value
    return max(counts)


def _raw(sample: Sample) -> Iterator[tuple[float, float]]:
    if sample.values:
        yield from sample.values.items()
    elif sample.low == sample.high or sample.count == 1:
        yield sample.low, sample.count
