"""Checks targets as Elastic Load Balancing does, and says what their states are.

User Guide for Application Load Balancers, "Health checks for your target groups", "Target health status", "Health check
reason codes".
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from sandbox import clock
from sandbox.balancer.configuration import Group, HealthCheck, Target

AGENT: Final = "ELB-HealthChecker/2.0"
# Registration takes a moment on AWS, and nodes of a balancer aren't in step: up to this until a target's first check.
FIRST_CHECK_SECONDS: Final = 5.0
# A request is work and takes what it takes at any speed of the clock: below this, a busy machine looks like one that
# doesn't answer. Real seconds.
LEAST_TIMEOUT: Final = 0.5
# How much of an answer is read, so that a target doesn't see its connection reset while it writes.
_BODY_MAX: Final = 64 * 1024


@dataclass(frozen=True)
class Health:
    """A state with its reason, in AWS's words."""

    state: str
    reason: str = ""
    description: str = ""


REGISTERING: Final = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING: Final = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
HEALTHY: Final = Health("healthy")
TIMED_OUT: Final = Health("unhealthy", "Target.Timeout", "Request timed out")
FAILED: Final = Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
UNCHECKED: Final = Health("unavailable", "Target.HealthCheckDisabled", "Health checks are disabled for this target")
DRAINING: Final = Health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")


def mismatch(status: int) -> Health:
    """Answered, but not with what the matcher has."""
    return Health("unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")


def next_health(check: HealthCheck, now: Health, results: list[Health]) -> Health:
    """The state after the latest of `results`, oldest first; each is HEALTHY or how the check failed.

    A new target is healthy after its first good check; one that was unhealthy needs as many in a row as the threshold
    says, and one that isn't needs as many bad ones to become so.
    """
    latest = results[-1]
    if latest == HEALTHY:
        needed = 1 if now.state == "initial" else check.healthy
        in_a_row = results[-needed:]
        good = len(in_a_row) == needed and all(each == HEALTHY for each in in_a_row)
        return HEALTHY if good else now
    in_a_row = results[-check.unhealthy :]
    if len(in_a_row) == check.unhealthy and all(each != HEALTHY for each in in_a_row):
        return latest
    return CHECKING if now == REGISTERING else now


class TargetChecker:
    """Checks one target for as long as it is registered; `on_change` is called whenever its health changes.

    `known` is what another node found before this one began.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        group: Group,
        target: Target,
        on_change: Callable[[], None],
        known: Health | None = None,
    ) -> None:
        self._session = session
        self.group = group
        self.target = target
        self._on_change = on_change
        self._results: list[Health] = []
        self._task: asyncio.Task[None] | None = None
        if not group.check.enabled:
            self.health = UNCHECKED
            return
        self.health = known if known and known.state in ("healthy", "unhealthy") else REGISTERING
        self._begin(random.uniform(0, min(group.check.interval, FIRST_CHECK_SECONDS)))

    def update(self, group: Group, target: Target) -> None:
        """Go on with other settings, or another address of the same target."""
        before, self.group, self.target = self.group.check, group, target
        if group.check != before and self._task is not None:
            # Else a long interval would have to end before a short one begins.
            self._task.cancel()
            self._begin(0.0)

    def stop(self) -> None:
        """Check no more."""
        if self._task is not None:
            self._task.cancel()

    def _begin(self, delay: float) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(delay))

    async def _run(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + clock.real(delay)
        while True:
            # "The time it takes for the target to respond does not affect the interval for the next health check."
            await asyncio.sleep(due - loop.time())
            if self.health == REGISTERING:
                self._become(CHECKING)
            result = await self._check()
            check = self.group.check
            self._results = [*self._results, result][-max(check.healthy, check.unhealthy) :]
            self._become(next_health(check, self.health, self._results))
            due = max(due + clock.real(check.interval), loop.time())

    def _become(self, health: Health) -> None:
        if health != self.health:
            self.health = health
            self._on_change()

    async def _check(self) -> Health:
        target, check = self.target, self.group.check
        timeout = max(clock.real(check.timeout), LEAST_TIMEOUT)
        checkable = target.reachable if target.checkable is None else target.checkable
        if target.host is None or not checkable:
            # Nothing answers there: on AWS that is a wait for the whole time-out.
            await asyncio.sleep(timeout)
            return TIMED_OUT
        port = check.port or target.port
        try:
            async with self._session.get(
                URL(f"http://{target.host}:{port}{check.path}", encoded=True),
                headers={
                    "Host": f"{target.private_address or target.host}:{port}",
                    "User-Agent": AGENT,
                    "Accept-Encoding": "gzip, compressed",
                },
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as answer:
                await self._read(answer)
                return HEALTHY if check.accepts(answer.status) else mismatch(answer.status)
        except TimeoutError:
            return TIMED_OUT
        except (aiohttp.ClientError, OSError):
            return FAILED

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        read = 0
        async for block in answer.content.iter_any():
            read += len(block)
            if read > _BODY_MAX:
                return
