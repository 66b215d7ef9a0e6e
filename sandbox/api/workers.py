"""What the API does without being asked: replace what isn't healthy, move a refresh on, tell balancers their targets.

A worker is a function that looks at the state and does what is due, as often as needed: missing a turn, or having one
too many, changes nothing. A turn is about many objects, and deals with each of them in an `alone`: one that fails keeps
no other from its turn.
"""

import contextlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

from sandbox.api.backend_lock import backend_lock

# What each one failed with since it last went well.
_failures: dict[str, set[str]] = {}


@contextlib.contextmanager
def alone(what: str) -> Iterator[None]:
    """Let what fails in here fail alone. The log has each error of `what` once, until it goes well again."""
    try:
        yield
    # The next turn finds the same state and may do better; what failed is in the log of the API.
    except Exception as error:
        described = f"{type(error).__name__}: {error}"
        known = _failures.setdefault(what, set())
        if described not in known:
            known.add(described)
            print(f"sandbox API: {what} failed: {described}", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
    else:
        _failures.pop(what, None)


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
            with alone(self._name), backend_lock:
                self._turn()
            self._due.wait(self._interval)
            self._due.clear()
