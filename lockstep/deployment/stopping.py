"""What Ctrl-C does to a deployment: the first time everything goes back, the second time it is left for `settle`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from lockstep import console
from lockstep.automation import PulumiRunner
from lockstep.lease import Lease


class Stopping:
    """While it lasts, SIGINT and SIGTERM ask a deployment to go back; once more, they end the command at once.

    Only what goes forward is broken off by the first one: what goes back, or settles, is on its way to where the one
    who stops it wants to be.
    """

    def __init__(self, runner: PulumiRunner) -> None:
        self._runner = runner
        self._before: dict[int, Any] = {}
        self._forward = False
        self._asked = False
        self._at_once = False

    @property
    def asked(self) -> bool:
        """Whether somebody wants it to stop."""
        return self._asked

    @contextmanager
    def going_forward(self) -> Iterator[None]:
        """For the block, the first signal breaks off what Pulumi does; afterwards Pulumi may go on."""
        self._forward = True
        try:
            yield
        finally:
            self._forward = False
            if not self._at_once:
                self._runner.go_on()

    def guard(self, lease: Lease) -> Callable[[], None]:
        """What to call before anything is changed on the way back, from any thread, as signals reach only one.

        It raises KeyboardInterrupt if the command was told to end at once, LeaseLostError if the lease is lost.
        """

        def check() -> None:
            if self._at_once:
                raise KeyboardInterrupt
            lease.check()

        return check

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            self._at_once = True
            self._runner.interrupt()
            raise KeyboardInterrupt
        self._asked = True
        what = "this goes on until nothing is half done"
        if self._forward:
            self._runner.interrupt()
            what = "stopping: every site returns to what it had"
        console.warning(f"{what}; once more to leave that to `lockstep settle`")
