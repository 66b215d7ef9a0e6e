"""Shows how many bytes have arrived in each region: bars at a terminal, nothing elsewhere."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class BytesProgress:
    """One bar for each region, on stderr. `add` may be called from any thread."""

    def __init__(self, regions: Iterable[str], total: int) -> None:
        terminal = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=terminal,
            disable=not terminal.is_terminal,
        )
        self._lock = threading.Lock()
        self._tasks = {region: self._bars.add_task(region, total=total) for region in regions}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def add(self, region: str, count: int) -> None:
        """`count` more bytes have arrived in `region`."""
        with self._lock:
            self._bars.advance(self._tasks[region], count)
