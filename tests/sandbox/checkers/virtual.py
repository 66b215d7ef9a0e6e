"""An event loop whose time jumps to the next timer when nothing is left to do, so that a test may wait for hours.

Real sockets of this machine work in it, if all of their ends do: what is written can be read at once.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Real seconds until what was written to a socket counts as read by nobody.
_SETTLED = 0.002


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else min(timeout, _SETTLED))
        if not ready and timeout:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of `main`, which sees time only as this loop's `time()`."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def now() -> float:
    """The time of the loop that runs, in seconds since its beginning."""
    return asyncio.get_running_loop().time()
