"""The same by events: every probe of every checker, every answer of a client's resolver. It uses no closed form.

Seeded: the same settings and seed give the same outcome on every machine.
"""

import heapq
import math
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from lockstep.failover_model.settings import Settings

BACK: Final = 0.99


@dataclass(frozen=True)
class Losses:
    """Many losses of a site, each with a client of its own, so that they don't depend on each other.

    `detected` and `lost` have an entry for each; `back` for each whose client held the lost site's address when the
    name servers stopped to give it.
    """

    detected: tuple[float, ...]
    back: tuple[float, ...]
    lost: tuple[float, ...]

    @property
    def detection_mean(self) -> float:
        """Mean seconds until Route 53 counted the site as unhealthy."""
        return statistics.fmean(self.detected)

    @property
    def detection_max(self) -> float:
        """The longest of them."""
        return max(self.detected)

    @property
    def mean_lost(self) -> float:
        """Mean seconds that a client wasn't served."""
        return statistics.fmean(self.lost)

    @property
    def back_99(self) -> float | None:
        """When 99 % of the clients were back; None if none had been away."""
        if not self.back:
            return None
        return sorted(self.back)[math.ceil(BACK * len(self.back)) - 1]


@dataclass(frozen=True)
class Flapping:
    """A site that goes and comes back, half of each `period` each: when Route 53's verdict on it changed."""

    period: float
    seconds: float
    changes: tuple[float, ...]

    @property
    def shortest_stay(self) -> float | None:
        """The shortest time between two changes; None if there weren't two."""
        pairs = zip(self.changes, self.changes[1:], strict=False)
        return min((after - before for before, after in pairs), default=None)

    def changes_per(self, seconds: float) -> float:
        """How often the verdict changed in `seconds`, on average."""
        return len(self.changes) * seconds / self.seconds


def simulate_losses(settings: Settings, *, count: int, seed: int) -> Losses:
    """`count` losses of the site, each at a random moment."""
    randomness = random.Random(seed)
    detected, back, lost = [], [], []
    for _ in range(count):
        change = next(_verdict_changes(settings, randomness, lambda at: True))
        detected.append(change)
        away_until, away = _follow_client(settings, change + settings.push, randomness)
        lost.append(away)
        if away_until is not None:
            back.append(away_until)
    return Losses(tuple(detected), tuple(back), tuple(lost))


def simulate_flapping(settings: Settings, *, period: float, seconds: float, seed: int) -> Flapping:
    """A site that is lost for the first half of every `period` and well for the second, watched for `seconds`.

    As a rule traffic moves at most once in the time that it takes to notice the loss. Not always: if the period is a
    little longer than a failing probe and the wait after it, the probes of all checkers fall into step with the site,
    and it may move more often, as it may with a threshold of 1.
    """
    randomness = random.Random(seed)
    begin = randomness.random() * period

    def is_lost(at: float) -> bool:
        return (at + begin) % period < period / 2

    return Flapping(period, seconds, tuple(_verdict_changes(settings, randomness, is_lost, seconds)))


def _verdict_changes(
    settings: Settings, randomness: random.Random, is_lost: Callable[[float], bool], until: float = math.inf
) -> Iterator[float]:
    """When Route 53's verdict changes, beginning with well. What the site is when a probe is sent decides its result.

    A checker turns after `threshold` results in a row that differ from what it says: red and green alike.
    """
    interval, threshold, takes = float(settings.interval), settings.threshold, settings.fault.probe_seconds
    needed, reds, unhealthy = settings.reds_needed, 0, False
    is_red, differing = [False] * settings.checkers, [0] * settings.checkers
    results = []
    for checker in range(settings.checkers):
        sent = randomness.random() * interval
        failed = is_lost(sent)
        results.append((sent + takes if failed else sent, checker, failed))
    heapq.heapify(results)
    while True:
        now, checker, failed = results[0]
        if now > until:
            return
        if failed is is_red[checker]:
            differing[checker] = 0
        else:
            differing[checker] += 1
            if differing[checker] == threshold:
                is_red[checker], differing[checker] = failed, 0
                reds += 1 if failed else -1
                if (reds >= needed) is not unhealthy:
                    unhealthy = not unhealthy
                    yield now
        sent = now + interval
        failed = is_lost(sent)
        heapq.heapreplace(results, (sent + takes if failed else sent, checker, failed))


def _follow_client(settings: Settings, switched: float, randomness: random.Random) -> tuple[float | None, float]:
    """When a client that held the lost site's address at `switched` is rid of it, None if it didn't; seconds away."""
    kept = settings.stale_seconds if randomness.random() < settings.stale_share else float(settings.ttl)
    if kept == 0:
        return (switched if settings.share else None), settings.share * switched
    now, away = 0.0, 0.0
    expires = randomness.random() * kept
    while True:
        is_away = randomness.random() < settings.share
        if is_away:
            away += expires - now
        if expires >= switched:
            return (expires if is_away else None), away
        now, expires = expires, expires + kept
