"""What Ctrl-C does to a deployment: the first time everything goes back, the second time it is left for `settle`."""

import signal
from types import FrameType
from typing import Any, Self

from lockstep import console
from lockstep.automation import PulumiRunner


class Stopping:
    """While it lasts, SIGINT and SIGTERM ask a deployment to go back; once more, they end the command at once."""

    def __init__(self, runner: PulumiRunner) -> None:
        self._runner = runner
        self._before: dict[int, Any] = {}
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody wants it to stop."""
        return self._asked

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._runner.interrupt()
        console.warning("stopping: every site returns to what it had; once more to leave that to `lockstep settle`")
