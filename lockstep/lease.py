"""One deployment at a time: a lease on each region's package bucket, an object written only under a condition.

Rule: a lease is taken from somebody only if that somebody can't be at work any more: its process was on this machine
and is gone, or it hasn't renewed for longer than the lease lives, by S3's own clock. Buckets are taken in the same
order by everybody, so that of two who begin together one gets all and the other none.

S3 User Guide, "Add preconditions to S3 operations with conditional requests": If-None-Match: * succeeds where there is
no object, or only a delete marker; If-Match where the current version has that ETag. An ETag is a digest of the
content, so each renewal writes another one: who takes over what it has read can't take what was renewed meanwhile.
"""

import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from lockstep.config.naming import LEASES_PREFIX
from lockstep.errors import IncompleteError, InvalidInputError, RefusedError
from lockstep.regions import as_error, classify, in_every_region

KEY: Final = f"{LEASES_PREFIX}deployment"
# Seconds. A holder that can't renew for this long is taken for dead; it renews four times in that time.
TTL: Final = 60.0
RENEW_SECONDS: Final = 15.0

# How often somebody else may be faster, or be done, between looking and writing.
_ATTEMPTS: Final = 3
# S3 API Reference, PutObject and DeleteObject: the object isn't the one that was read, isn't there any more, or
# somebody is writing it at this moment.
_CONDITION_FAILED: Final = frozenset({"PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict"})
_ENDED_STATES: Final = ("Z", "X")

Client = Callable[[str, str], Any]


class Holder(BaseModel):
    """Who holds a lease: a process on a host. `since` is when it began, in UTC.

    `machine` tells apart hosts of the same name, as containers often are; `process_started` tells apart processes that
    got the same number. Both are Linux's own, and empty elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    who: str
    host: str
    machine: str = ""
    pid: PositiveInt
    process_started: str
    command: str
    since: str

    @classmethod
    def this_process(cls, command: str) -> Self:
        """This process, about to run `command`."""
        return cls(
            id=str(uuid.uuid4()),
            who=user(),
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            process_started=_process(os.getpid())[1],
            command=command,
            since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    @property
    def is_gone(self) -> bool:
        """Whether its process ran on this machine and doesn't any more."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
        state, started = _process(self.pid)
        # Killed, but not yet waited for by its parent; or the kernel has given the number to another process since.
        return state in _ENDED_STATES or started != self.process_started

    def __str__(self) -> str:
        return f"`{self.command}` of {self.who}@{self.host} (pid {self.pid}, since {self.since})"


class LeaseLostError(IncompleteError):
    """The lease is somebody else's, or may be, while this process is at work.

    It must change nothing more, not even to undo: whoever has the lease finds the record and settles.
    """


@dataclass(frozen=True)
class Found:
    """A lease as it stands in a bucket: who holds it, its ETag, and its age in seconds by S3's clock.

    `holder` is None where what is written there can't be read: it is respected until it runs out.
    """

    holder: Holder | None
    etag: str
    age: float

    @property
    def is_free(self) -> bool:
        """Whether nobody can be at work under it."""
        return self.age > TTL or (self.holder is not None and self.holder.is_gone)


def _seconds_awake_or_not() -> float:
    """A clock that goes on while the machine sleeps: Linux has one of its own for that, macOS no other."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """The lease of `holder` on `buckets`, given by region. `renew_seconds` is how often it is renewed."""

    def __init__(
        self,
        client: Client,
        buckets: Mapping[str, str],
        holder: Holder,
        *,
        renew_seconds: float = RENEW_SECONDS,
        clock: Callable[[], float] = _seconds_awake_or_not,
    ) -> None:
        holds = (_BucketLease(client, region, bucket, holder, clock) for region, bucket in sorted(buckets.items()))
        self._holds = {each.region: each for each in holds}
        self._renew_seconds = renew_seconds

    @contextmanager
    def hold(self) -> Iterator[Self]:
        """Hold the lease, renewed in the background, for the block.

        Raises RefusedError if somebody else holds it, RegionUnreachableError or what else is the matter if a region
        can't be asked; nothing is held then.
        """
        ended = threading.Event()
        renewing: list[threading.Thread] = []
        try:
            for each in self._holds.values():
                each.take()
                # A thread for each: one that waits for a lost region must not keep the others from renewing.
                thread = threading.Thread(target=self._renew_until, args=(each, ended), name="lease", daemon=True)
                thread.start()
                renewing.append(thread)
            yield self
        finally:
            ended.set()
            for thread in renewing:
                thread.join()
            # Best effort: what can't be given back runs out by itself.
            in_every_region(self._holds, lambda region: self._holds[region].give_back())

    def check(self) -> None:
        """Raise LeaseLostError if the lease is, or may be, somebody else's by now.

        A region that doesn't answer gives the lease to nobody who needs the others too, so that one that is renewed in
        time is enough; but what has run out is renewed before it counts, as the region may answer again.
        """
        for each in self._holds.values():
            if each.ran_out:
                each.renew()
        lost = next((each.lost for each in self._holds.values() if each.lost is not None), None)
        if lost is None and self._holds and all(each.ran_out for each in self._holds.values()):
            regions = ", ".join(self._holds)
            lost = f"the lease in {regions} couldn't be renewed for {TTL:.0f} s and has run out"
        if lost is not None:
            raise LeaseLostError(
                f"{lost}; what was begun is left as it is",
                "see who is at work: `lockstep status`; then `lockstep settle`",
            )

    def _renew_until(self, each: "_BucketLease", ended: threading.Event) -> None:
        while not ended.wait(self._renew_seconds):
            each.renew()


class _BucketLease:
    """The lease in one bucket. `lost` says whose it is by now; None while nobody has taken it."""

    def __init__(self, client: Client, region: str, bucket: str, holder: Holder, clock: Callable[[], float]) -> None:
        self.region = region
        self.lost: str | None = None
        self._client = client
        self._bucket = bucket
        self._holder = holder
        self._clock = clock
        self._written = False
        self._etag: str | None = None
        self._renewed = 0.0
        self._writes = 0
        self._writing = threading.Lock()

    @property
    def ran_out(self) -> bool:
        """Whether it hasn't been renewed in time, so that anybody may have taken it."""
        return self._clock() - self._renewed > TTL

    def take(self) -> None:
        """Take it. Raises RefusedError if somebody has it, and what `lockstep.regions` makes of AWS's errors."""
        try:
            self._take()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                raise InvalidInputError(
                    f"there is no bucket {self._bucket} in {self.region}: its site isn't up", "lockstep up"
                ) from error
            raise as_error({self.region: classify(self.region, error)}) from error
        except BotoCoreError as error:
            raise as_error({self.region: classify(self.region, error)}) from error

    def renew(self) -> None:
        """Renew it, or find out that it is lost. What AWS refuses, or doesn't answer, shows by its running out."""
        with self._writing:
            if self.lost is not None or self._etag is None:
                return
            try:
                if not self._put(IfMatch=self._etag):
                    self._see_whose_it_is()
            except (BotoCoreError, ClientError):
                return

    def give_back(self) -> None:
        """Delete it if it is ours and lives. Raises what AWS refuses."""
        with self._writing:
            if not self._written or self.lost is not None or (self._etag is not None and self.ran_out):
                return
            if self._etag is not None and self._delete(self._etag):
                return
            # A write whose answer was lost may have taken effect.
            found = peek(self._client, self._bucket, self.region)
            if found is not None and found.holder == self._holder:
                self._delete(found.etag)

    def _take(self) -> None:
        found = None
        for _ in range(_ATTEMPTS):
            found = peek(self._client, self._bucket, self.region)
            if found is not None and found.holder == self._holder:
                # Sent again by botocore, as the first answer was lost, the write met itself.
                self._is_ours(found)
                return
            if found is not None and not found.is_free:
                break
            if self._put(IfNoneMatch="*") if found is None else self._put(IfMatch=found.etag):
                return
        raise _held(self.region, found)

    def _put(self, **condition: str) -> bool:
        """Write it; False if the condition doesn't hold."""
        began = self._clock()
        self._written = True
        self._writes += 1
        body = {**self._holder.model_dump(), "writes": self._writes}
        try:
            answer = self._client("s3", self.region).put_object(
                Bucket=self._bucket,
                Key=KEY,
                Body=json.dumps(body).encode(),
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONDITION_FAILED:
                return False
            raise
        self._etag, self._renewed = answer["ETag"], began
        return True

    def _delete(self, etag: str) -> bool:
        try:
            self._client("s3", self.region).delete_object(Bucket=self._bucket, Key=KEY, IfMatch=etag)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONDITION_FAILED:
                return False
            raise
        return True

    def _see_whose_it_is(self) -> None:
        found = peek(self._client, self._bucket, self.region)
        if found is not None and found.holder == self._holder:
            self._is_ours(found)
            return
        self.lost = f"the lease in {self.region} is {found.holder or 'somebody unknown' if found else 'nobody'}'s now"

    def _is_ours(self, found: Found) -> None:
        self._etag, self._renewed = found.etag, self._clock() - found.age


def peek(client: Client, bucket: str, region: str) -> Found | None:
    """The lease in `bucket`; None if there is none. Raises what AWS refuses."""
    try:
        answer = client("s3", region).get_object(Bucket=bucket, Key=KEY)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    age = (now - answer["LastModified"]).total_seconds()
    return Found(_holder(answer["Body"].read()), answer["ETag"], age)


def _holder(text: bytes) -> Holder | None:
    try:
        return Holder.model_validate_json(text)
    except ValidationError:
        return None


def _held(region: str, found: Found | None) -> RefusedError:
    if found is None or found.is_free:
        return RefusedError(
            f"others take and give back the lease in {region} all the time; nothing was changed", "run this again"
        )
    return RefusedError(
        f"another deployment is at work in {region}: {found.holder or 'somebody unknown'}; nothing was changed",
        f"wait for it; its lease runs out {max(0.0, TTL - found.age):.0f} s from now if it was killed. Then run this "
        "again",
    )


def user() -> str:
    """The user's name, or number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # Containers often run under a number that has no name.
        return f"user {os.getuid()}"


def _machine() -> str:
    """The running kernel and the process numbers that count: random(4), "boot_id", and pid_namespaces(7)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it points at no path
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, str]:
    """State and start time of a process as Linux tells them (proc_pid_stat(5), fields 3 and 22); empty elsewhere."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
