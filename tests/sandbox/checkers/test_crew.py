"""All sixteen checkers and a real endpoint: when the check as a whole turns. In a time that jumps.

Developer Guide, "How Amazon Route 53 determines whether a health check is healthy" ("the page").
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sandbox.api.health_checkers import is_enough
from sandbox.checkers.checker import Observation
from sandbox.checkers.crew import Crew
from sandbox.checkers.places import CHECKERS
from tests.sandbox.checkers.endpoints import NAME, OK, free_port, listening, resolve, saying, vanished
from tests.sandbox.checkers.virtual import now, run

DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def told(port: int, id_: str = "check", version: int = 1, blind: int = 0, **config: Any) -> dict[str, Any]:
    """A check as the API tells it."""
    known = {"Type": "HTTP", "Port": port, "RequestInterval": 10, "FailureThreshold": 3}
    return {
        "id": id_,
        "version": version,
        "config": {**known, "FullyQualifiedDomainName": NAME, **config},
        "blind": blind,
    }


class Verdict:
    """What follows for the check from its checkers' observations, and when it changed."""

    def __init__(self) -> None:
        self.opinions: dict[int, bool] = {}
        self.changes: list[tuple[float, bool]] = []
        self.heard: list[Observation] = []

    def hear(self, observation: Observation) -> None:
        self.heard.append(observation)
        self.opinions[observation.checker] = observation.healthy
        if self.healthy != (self.changes[-1][1] if self.changes else True):
            self.changes.append((now(), self.healthy))

    @property
    def healthy(self) -> bool:
        return is_enough(CHECKERS - sum(not each for each in self.opinions.values()))


@asynccontextmanager
async def checking(*checks: dict[str, Any]) -> AsyncIterator[tuple[Crew, Verdict]]:
    verdict = Verdict()
    crew = Crew(resolve, verdict.hear)
    crew.take({"checks": list(checks)})
    try:
        yield crew, verdict
    finally:
        crew.stop()


def test_there_are_sixteen_checkers_and_each_probes_by_itself() -> None:
    """The page: an endpoint sees "several requests per second regardless of the interval"."""
    times: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(now())
        await saying(OK)(reader, writer)

    async def main() -> None:
        async with listening(answer) as port, checking(told(port)) as (_, verdict):
            await asyncio.sleep(9.999)
            assert len(times) == 16
            assert len({round(time, 3) for time in times}) == 16
            assert sorted(verdict.opinions) == list(range(16))
            await asyncio.sleep(50)
            assert len(times) == 16 * 6

    run(main())


# A probe's failure takes: nothing if refused or answered with 503, 2 s of silence, or 4 s for a connection.
@pytest.mark.parametrize(("fault", "takes"), [("refuses", 0), ("says 503", 0), ("hangs", 2), ("vanishes", 4)])
@pytest.mark.parametrize(("interval", "threshold"), [(10, 1), (10, 3), (30, 3)])
def test_a_failure_is_found_out_when_the_fourteenth_checker_has_found_it(
    fault: str, takes: float, interval: int, threshold: int
) -> None:
    """The page, threshold and interval: never before the thresholds' time, nor after every checker has had its turn.

    Sooner or later than this, the sandbox's drills say nothing of AWS.
    """

    async def main() -> None:
        async def fail(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if fault == "says 503":
                await saying(DOWN)(_, writer)
            await asyncio.sleep(60)

        async with listening(fail) as failing, vanished() as lost:
            port = {"refuses": free_port(), "vanishes": lost}.get(fault, failing)
            check = told(port, RequestInterval=interval, FailureThreshold=threshold)
            async with checking(check) as (_, verdict):
                least = takes + (threshold - 1) * (interval + takes)
                await asyncio.sleep(least + interval + 0.1)
                (moment, healthy), *others = verdict.changes
                assert not healthy
                assert not others
                assert least < moment <= least + interval
                # All others turn as well, and after the first 13 that had to.
                assert not any(verdict.opinions.values())

    run(main())


@pytest.mark.parametrize(("blind", "healthy"), [(0, True), (13, True), (14, False), (16, False)])
def test_fourteen_blind_checkers_turn_a_check_and_thirteen_do_not(blind: int, healthy: bool) -> None:
    """The page: "more than 18%"; 3 of 16 are 18.75 %, 2 are 12.5 %. A network fault near some checkers is no outage."""

    async def main() -> None:
        async with listening(saying(OK)) as port, checking(told(port, blind=blind)) as (_, verdict):
            await asyncio.sleep(60)
            assert sum(not each for each in verdict.opinions.values()) == blind
            assert verdict.healthy == healthy

    run(main())


def test_who_sees_again_comes_back() -> None:
    """Checks move traffic both ways."""

    async def main() -> None:
        async with listening(saying(OK)) as port, checking(told(port, blind=14)) as (crew, verdict):
            await asyncio.sleep(60)
            crew.take({"checks": [told(port, blind=13)]})
            await asyncio.sleep(60)
            assert [healthy for _, healthy in verdict.changes] == [False, True]

    run(main())


# Half of an interval to five times the detection time of 10 s and 3 results, which is 28.5 s at a mean.
@pytest.mark.parametrize("period", [5.0, 20.0, 57.0, 60.0, 142.5])
def test_an_endpoint_that_flaps_turns_its_check_at_most_once_per_detection_time(period: float) -> None:
    """The page: consecutive results; DNS that follows every failure would be worse than the failures."""

    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await saying(OK if now() % period < period / 2 else DOWN)(reader, writer)

        async with listening(answer) as port, checking(told(port)) as (_, verdict):
            await asyncio.sleep(300)
            moments = [moment for moment, _ in verdict.changes]
            # Two intervals lie between the first of three results and the third.
            assert all(after - before >= 20 for before, after in itertools.pairwise(moments))
            # What fails for no longer than that isn't noticed; what fails for twice as long always is.
            if period <= 20:
                assert not moments
            if period > 120:
                assert len(moments) >= 3

    run(main())


def test_checks_come_go_and_change_without_the_others() -> None:
    """A change of one check that starts all anew would leave every failure undetected for a while."""

    async def main() -> None:
        async with listening(saying(OK)) as port, checking(told(port, "one"), told(port, "two")) as (crew, verdict):
            await asyncio.sleep(25)
            crew.take({"checks": [told(port, "one"), told(port, "three", ResourcePath="/x")]})
            before = len(verdict.heard)
            await asyncio.sleep(10)
            heard = [(each.check, each.version) for each in verdict.heard[before:]]
            assert {each for each, _ in heard} == {"one", "three"}
            assert heard.count(("one", 1)) == 16
            crew.take({"checks": [told(port, "one", version=2, FailureThreshold=1)]})
            before = len(verdict.heard)
            await asyncio.sleep(10)
            assert {(each.check, each.version) for each in verdict.heard[before:]} == {("one", 2)}

    run(main())


def test_what_is_not_understood_changes_nothing() -> None:
    """The checks that are known go on."""

    async def main() -> None:
        async with listening(saying(OK)) as port, checking(told(port)) as (crew, verdict):
            with pytest.raises(KeyError):
                crew.take({"checks": [{"id": "x"}]})
            await asyncio.sleep(10)
            assert len(verdict.heard) == 16

    run(main())


def test_a_checker_that_fails_is_not_lost_in_silence() -> None:
    """Its check would look healthy for ever; so the process ends, and the sandbox with it."""

    async def broken(_: str) -> str:
        raise ZeroDivisionError

    async def main() -> None:
        crew = Crew(broken, lambda _: None)
        crew.take({"checks": [told(80)]})
        with pytest.raises(ZeroDivisionError):
            await crew.failed
        crew.stop()

    run(main())
