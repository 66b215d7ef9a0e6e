"""What clients met while a region was lost: how long, how many, and a picture of it.

Times of requests are real ones, of `time.time`; results are in AWS's seconds, which pass `speed` times faster.
"""

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from tools.clients import Request

_HEIGHTS: Final = " ▁▂▃▄▅▆▇█"
NOBODY: Final = "no answer"


@dataclass(frozen=True, kw_only=True)
class Failover:
    """What happened after a region was lost. Seconds are AWS's; None where no request failed.

    `first` and `last` are when the first and the last failing request was sent, `back_99` when 99 % of the clients that
    had met a failure were served again, `lost` how long the average client was without service, and `share` the part
    of the requests sent from `first` to `last` that failed.
    """

    first: float | None
    last: float | None
    back_99: float | None
    lost: float
    failed: int
    share: float


def measure(requests: Iterable[Request], *, since: float, until: float, clients: int, speed: float) -> Failover:
    """Of the requests that were sent from `since` to `until`, by so many clients."""
    sent = sorted((each for each in requests if since <= each.began <= until), key=attrgetter("client", "began"))
    failed = sorted(each.began for each in sent if each.failure)
    if not failed:
        return Failover(first=None, last=None, back_99=None, lost=0.0, failed=0, share=0.0)
    without, back = 0.0, []
    for _, group in groupby(sent, key=attrgetter("client")):
        mine = list(group)
        without += _without_service(mine, until)
        last = max((number for number, each in enumerate(mine) if each.failure), default=None)
        if last is not None:
            back.append(mine[last + 1].began if last + 1 < len(mine) else until)
    during = [each for each in sent if failed[0] <= each.began <= failed[-1]]
    return Failover(
        first=(failed[0] - since) * speed,
        last=(failed[-1] - since) * speed,
        back_99=(_quantile(back, 0.99) - since) * speed,
        lost=without * speed / clients,
        failed=len(failed),
        share=len(failed) / len(during),
    )


def _without_service(mine: Sequence[Request], until: float) -> float:
    """Seconds from each failing request to the next one of the same client."""
    following = [each.began for each in mine[1:]] + [until]
    return sum(next_ - each.began for each, next_ in zip(mine, following, strict=True) if each.failure)


def _quantile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that so many of the values don't exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(fraction * len(ordered)) - 1]


def picture(
    requests: Sequence[Request],
    regions: Sequence[str],
    marks: Mapping[str, float],
    *,
    spans: Sequence[tuple[float, float]],
    speed: float,
    columns: int,
) -> list[str]:
    """Lines that show, for each moment of `spans`, who answered what share of the requests, in `columns` in all.

    `marks` are moments, by what happened then; they stand below.
    """
    names = [*regions, NOBODY]
    width = max(len(name) for name in names)
    step = sum(end - begin for begin, end in spans) / columns
    starts = [[begin + number * step for number in range(round((end - begin) / step))] for begin, end in spans]
    moments = [moment for span in starts for moment in span]
    counts = [_count(requests, moment, moment + step) for moment in moments]
    gaps = set(itertools.accumulate(len(span) for span in starts[:-1]))
    lines = [f"{'':{width}}  requests by who answered; one column is {step * speed:.1f} s"]
    for name in names:
        heights = [f"{'┆' if number in gaps else ''}{_height(count, name)}" for number, count in enumerate(counts)]
        lines.append(f"{name:>{width}} |{''.join(heights)}|")
    arrows, labels = "", ""
    for what, at in sorted(marks.items(), key=lambda mark: mark[1]):
        number = max(bisect.bisect(moments, at) - 1, 0)
        column = number + sum(gap <= number for gap in gaps)
        arrows = f"{arrows:{column}}^"
        labels = f"{labels:{max(column, len(labels) + 1 if labels else 0)}}{what}"
    return [*lines, f"{'':{width}}  {arrows}", f"{'':{width}}  {labels}"]


def _count(requests: Iterable[Request], begin: float, end: float) -> Counter[str]:
    """Who answered the requests that were sent then."""
    return Counter(NOBODY if each.failure else each.region for each in requests if begin <= each.began < end)


def _height(count: Mapping[str, int], name: str) -> str:
    total = sum(count.values())
    if not count[name]:
        return " "
    return _HEIGHTS[max(1, round(count[name] / total * (len(_HEIGHTS) - 1)))]
