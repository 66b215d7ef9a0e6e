"""From the health of a check to what the name servers know of it: the same, a while later."""

from collections import deque
from collections.abc import Mapping
from typing import Final

from sandbox import clock

PUSH_SECONDS: Final = 5.0
"""From the moment when enough checkers have changed their minds, or an alarm its state, until the name servers answer
by it. AWS's seconds.

An assumption: AWS publishes no figure, only that what checkers find goes to aggregators and from there to all name
servers all the time, changed or not (Amazon Builders' Library, "Reliability, constant work, and a good cup of coffee").
"""


class Push:
    """Verdicts by check on their way; none is lost or overtaken, so a check that flaps does so later as well."""

    def __init__(self) -> None:
        self._told: dict[str, bool] = {}
        # When each is there, on the monotonic clock, and what it says; oldest first.
        self._under_way: dict[str, deque[tuple[float, bool]]] = {}

    def start(self, id_: str, healthy: bool) -> None:
        """Have it be so from the beginning; what isn't told is healthy at first."""
        self._told[id_] = healthy

    def send(self, check_id: str, healthy: bool, now: float) -> None:
        """Have the name servers know this, if it is news."""
        queue = self._under_way.setdefault(check_id, deque())
        latest = queue[-1][1] if queue else self._told.get(check_id, True)
        if healthy != latest:
            queue.append((now + clock.real(PUSH_SECONDS), healthy))

    def forget(self, check_id: str) -> None:
        """It is healthy again, as one that is new."""
        self._told.pop(check_id, None)
        self._under_way.pop(check_id, None)

    def arrived(self, now: float) -> Mapping[str, bool]:
        """What the name servers know by now."""
        for check_id, queue in self._under_way.items():
            while queue and queue[0][0] <= now:
                self._told[check_id] = queue.popleft()[1]
        return dict(self._told)
