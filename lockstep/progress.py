"""Shows, on stderr, how the operations on several stacks go on: live bars at a terminal, lines elsewhere."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pulumi.automation import EngineEvent, OpType
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from lockstep import console

_SILENT = {OpType.SAME, OpType.READ, OpType.REFRESH}
# Without a terminal, one line a stack at most this often, so that a log stays readable.
_SECONDS_BETWEEN_LINES = 10.0


def _name(urn: str) -> str:
    """`type name` of a URN: what a person calls the resource."""
    parts = urn.split("::")
    return f"{parts[2].split('$')[-1]} {parts[3]}" if len(parts) == 4 else urn


class StackProgress:
    """One line per stack. Use it as a context manager; `event` may be called from any thread."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        terminal = Console(stderr=True)
        self._live = terminal.is_terminal
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, int] = {}
        self._last_line: dict[str, float] = {}
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[stack]:<12}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=terminal,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, stack: str, total: int | None = None) -> None:
        """Work on `stack` begins; `total` resources are expected, if known."""
        with self._lock:
            self._counts[stack] = 0
            self._last_line[stack] = self._clock()
            self._tasks[stack] = self._bars.add_task("starting", total=total, stack=stack)
            self._say(stack, "started")

    def event(self, stack: str, event: EngineEvent) -> None:
        """The engine has done something on `stack`."""
        started, done, failed = event.resource_pre_event, event.res_outputs_event, event.res_op_failed_event
        with self._lock:
            if started is not None and started.metadata.op not in _SILENT:
                self._bars.update(
                    self._tasks[stack], description=f"{started.metadata.op.value} {_name(started.metadata.urn)}"
                )
            if done is not None:
                self._counts[stack] += 1
                self._bars.update(self._tasks[stack], completed=self._counts[stack])
                if self._clock() - self._last_line[stack] >= _SECONDS_BETWEEN_LINES:
                    self._last_line[stack] = self._clock()
                    self._say(stack, f"{self._counts[stack]} resources done, now {_name(done.metadata.urn)}")
            if failed is not None:
                self._say(stack, f"failed: {failed.metadata.op.value} {_name(failed.metadata.urn)}")

    def end(self, stack: str, outcome: str) -> None:
        """Work on `stack` has ended; `outcome` in a few words."""
        with self._lock:
            self._bars.update(self._tasks[stack], description=outcome, total=self._counts[stack])
            self._say(stack, outcome)

    def _say(self, stack: str, text: str) -> None:
        if not self._live:
            console.progress(f"{self._what} {stack}: {text}")
