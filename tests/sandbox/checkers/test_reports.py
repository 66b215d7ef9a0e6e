"""How observations get to the API. In a time that jumps, but for the thread that sends."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.checkers.checker import Observation
from sandbox.checkers.reports import Reports


def observation(checker: int, healthy: bool = True, status: str = "") -> Observation:
    return Observation(check="check", version=1, checker=checker, since=0.0, healthy=healthy, status=status)


class Api:
    """Takes reports, each once it may; fails first as often as `errors` says."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.taken: list[list[dict[str, Any]]] = []
        self.may = threading.Event()
        self.may.set()

    def take(self, report: Mapping[str, Any]) -> None:
        self.may.wait(60)
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(list(report["observations"]))

    async def has(self, count: int) -> None:
        """Wait until it has taken so many."""
        while len(self.taken) < count:
            await asyncio.sleep(0.005)


def statuses(report: list[dict[str, Any]]) -> dict[int, str]:
    return {each["checker"]: each["status"] for each in report}


def test_observations_are_gathered_and_of_each_checker_the_last_is_sent() -> None:
    """Sixteen requests for each check and interval would be work for the API; an older one would undo a newer."""
    api = Api()

    async def main() -> None:
        reports = Reports(api.take)
        going = asyncio.create_task(reports.go_on())
        for number in range(16):
            reports.add(observation(number, status="first"))
        reports.add(observation(3, status="second"))
        await api.has(1)
        going.cancel()

    asyncio.run(main())
    assert statuses(api.taken[0]) == {**dict.fromkeys(range(16), "first"), 3: "second"}


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), ValueError("HTTP 500: a defect")])
def test_what_was_not_taken_is_sent_again_and_said_once(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    """A report that is lost is a failure that nobody finds out until the next interval."""
    api = Api(error, error)

    async def main() -> None:
        reports = Reports(api.take)
        going = asyncio.create_task(reports.go_on())
        reports.add(observation(1, healthy=False, status="old"))
        await asyncio.sleep(0)
        reports.add(observation(2, healthy=False, status="other"))
        await api.has(1)
        going.cancel()

    asyncio.run(main())
    assert {number for report in api.taken for number in statuses(report)} == {1, 2}
    assert capfd.readouterr().err.count("the API takes no observations") == 1


def test_a_newer_observation_replaces_one_that_could_not_be_sent() -> None:
    """Sent in the wrong order, the API would keep the older."""
    api = Api(ConnectionResetError("gone"))
    api.may.clear()

    async def main() -> None:
        reports = Reports(api.take)
        going = asyncio.create_task(reports.go_on())
        reports.add(observation(1, healthy=False, status="old"))
        # It is being sent, and fails once it may.
        await asyncio.sleep(0.05)
        reports.add(observation(1, healthy=True, status="new"))
        api.may.set()
        await api.has(1)
        going.cancel()

    asyncio.run(main())
    assert [statuses(report) for report in api.taken] == [{1: "new"}]
