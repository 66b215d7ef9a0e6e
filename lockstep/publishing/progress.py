"""Shows how many bytes have arrived in each region: bars at a terminal, nothing elsewhere."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def bytes_progress(regions: Iterable[str], total: int) -> Iterator[Callable[[str, int], None]]:
    """One bar of `total` bytes for each region, on stderr; yields what is told of bytes, from any thread.

    rich is imported only where there is something to draw.
    """
    if not sys.stderr.isatty():
        yield lambda region, count: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from lockstep import console

    lock = threading.Lock()
    with Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console.stderr,
    ) as bars:
        tasks = {region: bars.add_task(region, total=total) for region in regions}

        def add(region: str, count: int) -> None:
            with lock:
                bars.advance(tasks[region], count)

        yield add
