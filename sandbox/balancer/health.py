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

from sandbox import clock
from sandbox.balancer.configuration import Group, HealthCheck, Target

AGENT: Final = "ELB-HealthChecker/2.0"


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
    """Checks one target for as long as it is registered; `on_change` is called whenever its health changes."""

    def __init__(
        self, session: aiohttp.ClientSession, group: Group, target: Target, on_change: Callable[[], None]
    ) -> None:
        self._session = session
        self.group = group
        self.target = target
        self._on_change = on_change
        self.health = REGISTERING if group.check.enabled else UNCHECKED
        self._results: list[Health] = []
        self._task = asyncio.get_running_loop().create_task(self._run()) if group.check.enabled else None

    def update(self, group: Group, target: Target) -> None:
        """Go on with other settings, or another address of the same target."""
        self.group, self.target = group, target

    def stop(self) -> None:
        """Check no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        # Nodes of a balancer and targets of a group aren't in step with each other.
        await asyncio.sleep(clock.real(random.uniform(0, min(self.group.check.interval, 5.0))))
        while True:
            result = await self._check()
            check = self.group.check
            self._results = [*self._results, result][-max(check.healthy, check.unhealthy) :]
            before, self.health = self.health, next_health(check, self.health, self._results)
            if self.health != before:
                self._on_change()
            await asyncio.sleep(clock.real(check.interval))

    async def _check(self) -> Health:
        target, check = self.target, self.group.check
        timeout = clock.real(check.timeout)
        if target.host is None or not target.reachable:
            # Nothing answers there: on AWS that is a wait for the whole time-out.
            await asyncio.sleep(timeout)
            return TIMED_OUT
        url = f"http://{target.host}:{check.port or target.port}{check.path}"
        try:
            async with self._session.get(
                url,
                headers={"User-Agent": AGENT, "Connection": "close"},
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as answer:
                return HEALTHY if check.accepts(answer.status) else mismatch(answer.status)
        except TimeoutError:
            return TIMED_OUT
        except (aiohttp.ClientError, OSError):
            return FAILED
