"""Sends blocks of bytes to several regions at once, each in its own time, within a bound on memory.

A region that fails is sent nothing more, and the others get all the rest: the next run then has only that region to do.
One that is slow has its own connections, and holds the others up only when all of the memory waits for it.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.publishing.bucket import CONNECTIONS
from lockstep.publishing.package_set import IN_MEMORY_MAX

# Bytes of files that are in memory at once. The largest file that is held whole has to fit.
MEMORY: Final = IN_MEMORY_MAX + IN_MEMORY_MAX // 2

OnFailure = Callable[[str, Exception], None]


class FanOut:
    """Use it in a `with`, which ends what is under way. `on_failure(region, error)` is told of each region once."""

    def __init__(self, regions: Iterable[str], on_failure: OnFailure, memory: int = MEMORY) -> None:
        self.failures: dict[str, BotoCoreError | ClientError] = {}
        self._on_failure = on_failure
        self._pools = {
            region: ThreadPoolExecutor(CONNECTIONS, thread_name_prefix=f"publish-{region}") for region in regions
        }
        self._changed = threading.Condition()
        self._free = memory
        self._under_way = 0
        self._fatal: Exception | None = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.shutdown()

    @property
    def alive(self) -> list[str]:
        """The regions that haven't failed."""
        return [region for region in self._pools if region not in self.failures]

    def take_memory(self, size: int) -> None:
        """Wait until `size` more bytes may be held. Raises what must stop everything."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size or self._fatal)
            if self._fatal:
                raise self._fatal
            self._free -= size

    def give_memory(self, size: int) -> None:
        """`size` bytes are held no longer."""
        with self._changed:
            self._free += size
            self._changed.notify_all()

    def submit(self, regions: Iterable[str], work: Callable[[str], None], held: int = 0) -> None:
        """Have `work(region)` done for each of `regions`; `held` bytes of memory are given back after the last."""
        wanted = list(regions)
        left = len(wanted)
        if not wanted:
            self.give_memory(held)

        def run(region: str) -> None:
            nonlocal left
            try:
                if region not in self.failures and not self._ended and self._fatal is None:
                    work(region)
            except Exception as error:
                self._fail(region, error)
            finally:
                with self._changed:
                    left -= 1
                    self._under_way -= 1
                    if left == 0:
                        self._free += held
                    self._changed.notify_all()

        with self._changed:
            self._under_way += left
        for region in wanted:
            self._pools[region].submit(run, region)

    def drain(self) -> None:
        """Wait until all that was submitted is done. Raises what must stop everything."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0 or self._fatal)
            if self._fatal:
                raise self._fatal

    def _fail(self, region: str, error: Exception) -> None:
        with self._changed:
            if not isinstance(error, BotoCoreError | ClientError):
                self._fatal = self._fatal or error
                self._changed.notify_all()
                return
            if region in self.failures:
                return
            self.failures[region] = error
        self._on_failure(region, error)
