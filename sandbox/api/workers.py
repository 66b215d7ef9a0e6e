"""What the API does without being asked: replace what isn't healthy, move a refresh on, tell balancers their targets.

A worker is a function that looks at the state and does what is due, as often as needed: missing a turn, or having one
too many, changes nothing.
"""

import sys
import threading
import traceback
from collections.abc import Callable

from sandbox.api.backend_lock import backend_lock


class Worker:
    """Calls `turn` under the backend lock every `interval` real seconds while the API serves, and soon after `wake`."""

    def __init__(self, name: str, interval: float, turn: Callable[[], None]) -> None:
        self._name = name
        self._interval = interval
        self._turn = turn
        self._due = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the next turn now instead of at the end of the interval."""
        self._due.set()

    def start(self) -> None:
        """Begin to take turns, in a thread of this worker's own."""
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the turn that is being taken. Not to be called under the backend lock, which it may wait for."""
        if self._thread is None:
            return
        self._ending = True
        self._due.set()
        self._thread.join()
        self._thread = None

    def _work(self) -> None:
        while not self._ending:
            try:
                with backend_lock:
                    self._turn()
            # The next turn finds the same state and may do better; what failed is in the log of the API.
            except Exception as error:
                print(f"sandbox API: {self._name} failed: {error}", file=sys.stderr)
                traceback.print_exception(error, file=sys.stderr)
            self._due.wait(self._interval)
            self._due.clear()
