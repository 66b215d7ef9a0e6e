"""All checkers of all checks, kept to what the API says there is to check."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.checkers.checker import Checker, Observation
from sandbox.checkers.endpoint import Endpoint
from sandbox.checkers.places import CHECKERS
from sandbox.checkers.probe import Resolve, Result, blind_probe, probe


class Crew:
    """Sixteen checkers for each check; `tell` gets every observation. Works in the loop that is running.

    `failed` ends when a checker does, which none should: a check that nobody makes would look healthy for ever.
    """

    def __init__(self, resolve: Resolve, tell: Callable[[Observation], None]) -> None:
        self._resolve = resolve
        self._tell = tell
        self._checkers: dict[str, list[Checker]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        # How many of a check's checkers see nothing, the first ones.
        self._blind: dict[str, int] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, given: Mapping[str, Any]) -> None:
        """Make these checks and no others. Raises KeyError, TypeError or ValueError if they aren't understood."""
        endpoints = {each.id: each for each in map(Endpoint.read, given["checks"])}
        self._blind = {each["id"]: int(each["blind"]) for each in given["checks"]}
        for id_ in self._checkers.keys() - endpoints.keys():
            del self._endpoints[id_]
            for checker in self._checkers.pop(id_):
                checker.stop()
        for id_, endpoint in endpoints.items():
            if id_ not in self._checkers:
                self._checkers[id_] = [Checker(n, endpoint, self._probe, self._tell) for n in range(CHECKERS)]
            elif endpoint != self._endpoints[id_]:
                for checker in self._checkers[id_]:
                    checker.update(endpoint)
            else:
                continue
            self._endpoints[id_] = endpoint
            for checker in self._checkers[id_]:
                checker.task.add_done_callback(self._ended)

    def stop(self) -> None:
        """End all checks."""
        for checkers in self._checkers.values():
            for checker in checkers:
                checker.stop()

    async def _probe(self, endpoint: Endpoint, number: int) -> Result:
        if number < self._blind.get(endpoint.id, 0):
            return await blind_probe(endpoint)
        return await probe(endpoint, self._resolve)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self.failed.done():
            return
        error = task.exception() or AssertionError(f"checker {task.get_name()} has ended")
        self.failed.set_exception(error)
