"""One checker: its times, and when it changes its mind. In a time that jumps.

Developer Guide, "How Amazon Route 53 determines whether a health check is healthy" ("the page"); API Reference,
HealthCheckConfig.
"""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from sandbox import clock
from sandbox.checkers.checker import Checker, Observation, Opinion
from sandbox.checkers.endpoint import Endpoint
from sandbox.checkers.probe import Result
from tests.sandbox.checkers.endpoints import endpoint
from tests.sandbox.checkers.virtual import now, run

Probe = Callable[[Endpoint, int], Result]


def opinions(results: str, threshold: int) -> str:
    """What a checker thinks after each of `results`: `+` is healthy or passed, `-` is not."""
    opinion, thought = Opinion(), ""
    for result in results:
        opinion = opinion.after(result == "+", threshold)
        thought += "+" if opinion.healthy else "-"
    return thought


@pytest.mark.parametrize(
    ("threshold", "results", "thought"),
    [
        (1, "+-+-", "+-+-"),
        (3, "---", "++-"),
        (3, "--+--+", "++++++"),
        (3, "---++-+++", "++------+"),
        (10, "----------", "+++++++++-"),
    ],
)
def test_a_checker_changes_its_mind_after_so_many_results_in_a_row(threshold: int, results: str, thought: str) -> None:
    """HealthCheckConfig, "FailureThreshold": consecutive, and as many both ways; one lost probe moves nobody."""
    assert opinions(results, threshold) == thought


def test_a_new_checker_thinks_well_of_its_endpoint() -> None:
    """The page: healthy "until there's enough data"; a first `up` would begin all red."""
    assert Opinion().healthy
    assert opinions("-", 2) == "+"


class Watched:
    """Checkers of one check, whose probes take `takes` seconds; when each probe began, by checker."""

    def __init__(self, checked: Endpoint, takes: float = 0.0, passed: bool = True) -> None:
        self.began: dict[int, list[float]] = {}
        self.observed: list[Observation] = []
        self.takes, self.passed = takes, passed
        self.checkers: list[Checker] = []
        self.checked = checked

    def add(self, count: int) -> None:
        for number in range(count):
            self.checkers.append(Checker(number, self.checked, self.probe, self.observed.append))

    async def probe(self, _: Endpoint, number: int) -> Result:
        self.began.setdefault(number, []).append(now())
        await asyncio.sleep(self.takes)
        return Result(self.passed, f"at {now():.0f}")


def test_phases_are_spread_over_the_interval() -> None:
    """The page: checkers "don't coordinate with one another"; in step, all would find a failure in the same second."""

    async def main() -> None:
        watched = Watched(endpoint(80, interval=30))
        watched.add(300)
        await asyncio.sleep(30)
        first = sorted(times[0] for times in watched.began.values())
        assert len(first) == 300
        # Of a uniform distribution: each tenth has a tenth, give or take five standard deviations.
        for tenth in range(10):
            assert 4 <= sum(tenth * 3 <= time < tenth * 3 + 3 for time in first) <= 56

    run(main())


@pytest.mark.parametrize("interval", [10, 30])
@pytest.mark.parametrize("takes", [0.0, 4.0])
def test_the_interval_begins_when_a_probe_has_ended(interval: int, takes: float) -> None:
    """HealthCheckConfig, "RequestInterval": from response to next request; a slow endpoint is found out later."""

    async def main() -> None:
        watched = Watched(endpoint(80, interval=interval), takes)
        watched.add(1)
        await asyncio.sleep(interval * 6)
        times = watched.began[0]
        assert len(times) >= 4
        for before, after in itertools.pairwise(times):
            assert after - before == pytest.approx(interval + takes)

    run(main())


def test_the_interval_runs_at_the_sandboxs_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """At speed 6 a check of every 10 seconds probes every 1.7 real ones."""
    monkeypatch.setattr(clock, "SPEED", 6.0)

    async def main() -> None:
        watched = Watched(endpoint(80))
        watched.add(1)
        await asyncio.sleep(10)
        times = watched.began[0]
        assert times[0] <= 10 / 6
        assert times[1] - times[0] == pytest.approx(10 / 6)

    run(main())


def test_an_observation_tells_the_last_probe_and_the_last_that_failed() -> None:
    """GetHealthCheckLastFailureReason asks for the second when all is well again."""

    async def main() -> None:
        watched = Watched(endpoint(80, threshold=1), passed=False)
        watched.add(1)
        await asyncio.sleep(10.5)
        failed = watched.observed[-1]
        assert (failed.healthy, failed.failure, failed.failed_at) == (False, failed.status, failed.at)
        watched.passed = True
        await asyncio.sleep(10)
        passed = watched.observed[-1]
        assert passed.healthy
        assert (passed.failure, passed.failed_at) == (failed.failure, failed.failed_at)
        assert passed.status != failed.status

    run(main())


def test_other_settings_are_used_from_then_on_and_change_no_opinion() -> None:
    """UpdateHealthCheck documents no reset: a check that is changed doesn't send traffic back to a dead site."""

    async def main() -> None:
        watched = Watched(endpoint(80, threshold=1), passed=False)
        watched.add(1)
        await asyncio.sleep(10.5)
        watched.passed = True
        watched.checkers[0].update(endpoint(80, threshold=2, version=2))
        before = len(watched.observed)
        await asyncio.sleep(25)
        found = [(each.version, each.healthy) for each in watched.observed[before:]]
        assert found[:2] == [(2, False), (2, True)]

    run(main())


def test_a_stopped_checker_probes_no_more() -> None:
    """A deleted check that goes on would be traffic from nowhere."""

    async def main() -> None:
        watched = Watched(endpoint(80))
        watched.add(1)
        await asyncio.sleep(15)
        watched.checkers[0].stop()
        probes = len(watched.began[0])
        await asyncio.sleep(60)
        assert len(watched.began[0]) == probes

    run(main())
