"""What a balancer reports of itself each minute: requests, answers, hosts. Nothing that it doesn't measure.

User Guide for Application Load Balancers, "CloudWatch metrics for your Application Load Balancer".
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox import clock

MINUTE: Final = 60.0
"""AWS's seconds."""

# So long before a minute's end it is told, so that who evaluates it at the end has it. AWS's seconds.
_EARLY: Final = 4.0

REQUESTS: Final = "RequestCount"
HEALTHY: Final = "HealthyHostCount"
UNHEALTHY: Final = "UnHealthyHostCount"


class Metrics:
    """Counts by target group, from one report to the next. `now` is in seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._counts: dict[str, Counter[str]] = {}

    def chosen(self, arn: str) -> None:
        """A request for which a target of the group was chosen."""
        self._counts.setdefault(arn, Counter())[REQUESTS] += 1

    def answered(self, arn: str, status: int) -> None:
        """A target's answer."""
        self._counts.setdefault(arn, Counter())[f"HTTPCode_Target_{status // 100}XX_Count"] += 1

    def seconds_left(self) -> float:
        """Real seconds until the next report is due."""
        into = clock.simulated(self._now()) % MINUTE
        left = MINUTE - _EARLY - into
        return clock.real(left if left > 0 else left + MINUTE)

    def report(self, states: Mapping[str, list[str]]) -> dict[str, Any]:
        """The minute that ends, and what it had; `states` are those of each group's targets.

        What is zero isn't reported, but hosts of a group that has any.
        """
        counts, self._counts = self._counts, {}
        groups: dict[str, dict[str, int]] = {arn: dict(found) for arn, found in counts.items()}
        for arn, found in states.items():
            if found:
                hosts = {HEALTHY: found.count("healthy"), UNHEALTHY: found.count("unhealthy")}
                groups.setdefault(arn, {}).update(hosts)
        return {"minute": int(clock.simulated(self._now()) // MINUTE), "groups": groups}
