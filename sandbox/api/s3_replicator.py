"""When replication happens: jobs wait until they are due, and one thread does them.

Deciding what becomes a job is `s3_replication_changes`, doing one is `s3_replica`.
"""

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from moto.s3.models import FakeBucket

from sandbox.api.s3_replication import Rule

log = logging.getLogger(__name__)

DELAY_VARIABLE = "LOCKSTEP_REPLICATION_SECONDS"
# S3 replicates most objects within 15 minutes, small ones usually in seconds; seconds is what a person waits for here.
DEFAULT_DELAY = 3.0
RETRY_SECONDS = 1.0
"""How long a job waits that can't be done because a region is lost. Real seconds."""


class Kind(Enum):
    """What a job carries over."""

    OBJECT = "object"
    DELETE_MARKER = "delete marker"
    TAGS = "tags"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One version to carry to one destination. `source` is the bucket itself, not its name: names are used again."""

    kind: Kind
    source: FakeBucket
    key_name: str
    version_id: str
    rule: Rule
    role_arn: str


@dataclass(kw_only=True)
class Progress:
    """How far a source object's replication is: the state of each destination, by bucket name."""

    by_destination: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """What `x-amz-replication-status` says: FAILED if any failed, else PENDING while any is."""
        states = self.by_destination.values()
        return next((state for state in ("FAILED", "PENDING") if state in states), "COMPLETED")


class Replicator:
    """Does jobs when they are due, in one thread, which starts with the first job.

    `perform` does one job; False if it can't be done now, and is to be tried again.
    """

    def __init__(self, perform: Callable[[Job], bool]) -> None:
        self._perform = perform
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def schedule(self, job: Job, delay: float) -> None:
        """Do `job` in `delay` seconds."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._numbers), job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="s3-replication", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self) -> None:
        """Drop all jobs: what they are about is gone."""
        with self._changed:
            self._due.clear()
            self._changed.notify_all()

    def stop(self) -> None:
        """Drop all jobs and end the thread, after the job in progress. The next job starts a new one."""
        with self._changed:
            self._due.clear()
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                if not self._perform(job):
                    self.schedule(job, RETRY_SECONDS)
            except Exception:
                # One object's trouble must not end replication of all others.
                log.exception("replication of %s/%s failed unexpectedly", job.source.name, job.key_name)

    def _next(self) -> Job | None:
        """The next job, once it is due; None when this thread isn't the replicator's any more."""
        with self._changed:
            while self._thread is threading.current_thread():
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
            return None


def delay_from_environment() -> float:
    """Seconds from a write to its replication: LOCKSTEP_REPLICATION_SECONDS, else the default. Raises ValueError."""
    text = os.environ.get(DELAY_VARIABLE)
    if text is None:
        return DEFAULT_DELAY
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(
            f"{DELAY_VARIABLE} is {text!r}, and must be a number of seconds, 0 or more: S3 replication would have "
            f"no delay. Unset it for {DEFAULT_DELAY:g}, or set it to a number"
        )
    return found


_delay = delay_from_environment()


def delay() -> float:
    """Seconds from a write to its replication."""
    return _delay


def set_delay(seconds: float) -> None:
    """Replicate what is written from now on after `seconds`."""
    global _delay
    _delay = seconds
