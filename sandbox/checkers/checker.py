"""One of the checkers of a check: probes at its own times, and changes its mind after enough results in a row.

Developer Guide, "How Amazon Route 53 determines whether a health check is healthy": checkers "don't coordinate with one
another"; each reports what the failure threshold makes of its own results.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from sandbox import clock
from sandbox.checkers.endpoint import Endpoint
from sandbox.checkers.probe import Result


@dataclass(frozen=True)
class Opinion:
    """What a checker makes of its results: `streak` of them in a row, the latest included, say the contrary.

    A checker begins with a good one: a check is healthy until there is enough data (same page).
    """

    healthy: bool = True
    streak: int = 0

    def after(self, passed: bool, threshold: int) -> "Opinion":
        """The opinion after one more result."""
        if passed == self.healthy:
            return Opinion(self.healthy)
        streak = self.streak + 1
        return Opinion(passed) if streak >= threshold else Opinion(self.healthy, streak)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The state of one checker: its opinion, its last probe, and the last one that failed.

    Times are seconds since the epoch. `since` is when it began.
    """

    check: str
    version: int
    checker: int
    since: float
    healthy: bool = True
    status: str = ""
    at: float = 0.0
    failure: str | None = None
    failed_at: float | None = None


class Checker:
    """Probes `endpoint` until it is stopped, and passes on what it finds."""

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        probe: Callable[[Endpoint, int], Awaitable[Result]],
        tell: Callable[[Observation], None],
    ) -> None:
        self._number = number
        self._endpoint = endpoint
        self._probe = probe
        self._tell = tell
        self._opinion = Opinion()
        self._observed = Observation(check=endpoint.id, version=endpoint.version, checker=number, since=time.time())
        self.task = self._begin()

    def update(self, endpoint: Endpoint) -> None:
        """Go on with other settings. AWS documents no other effect: what the checker thinks stays until it has enough
        results with the new ones.
        """
        self.task.cancel()
        self._endpoint = endpoint
        self._opinion = Opinion(self._opinion.healthy)
        self._observed = replace(self._observed, version=endpoint.version)
        self.task = self._begin()

    def stop(self) -> None:
        """Probe no more."""
        self.task.cancel()

    def _begin(self) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(self._run(), name=f"{self._endpoint.id} {self._number}")

    async def _run(self) -> None:
        await asyncio.sleep(clock.real(random.uniform(0, self._endpoint.interval)))
        while True:
            result = await self._probe(self._endpoint, self._number)
            self._opinion = self._opinion.after(result.passed, self._endpoint.threshold)
            self._observed = _with(self._observed, result, self._opinion.healthy, time.time())
            self._tell(self._observed)
            # "The number of seconds between the time that Amazon Route 53 gets a response from your endpoint and the
            # time that it sends the next health check request" (API Reference, HealthCheckConfig, "RequestInterval").
            await asyncio.sleep(clock.real(self._endpoint.interval))


def _with(observed: Observation, result: Result, healthy: bool, now: float) -> Observation:
    seen: dict[str, Any] = {"healthy": healthy, "status": result.status, "at": now}
    if not result.passed:
        seen |= {"failure": result.status, "failed_at": now}
    return replace(observed, **seen)
