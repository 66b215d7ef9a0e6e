"""One deployment at a time: a lease on each region's package bucket, an object written only under a condition.

Rule: a lease is taken from somebody only if that somebody can't be at work any more: its process was on this machine
and is gone, or it hasn't renewed for longer than the lease lives, by S3's own clock. Buckets are taken in the same
order by everybody, so that of two who begin together one gets all and the other none.
"""

import getpass
import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.config.naming import LEASES_PREFIX
from lockstep.errors import InvalidInputError, LockstepError, RefusedError
from lockstep.regions import as_error, classify

KEY: Final = f"{LEASES_PREFIX}deployment"
# Seconds. A holder that can't renew for this long is taken for dead; it renews four times in that time.
TTL: Final = 60.0
RENEW_SECONDS: Final = 15.0

Client = Callable[[str, str], Any]


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease: a process on a host. `process_started` is the kernel's start time, empty where unknown."""

    id: str
    who: str
    host: str
    pid: int
    process_started: str
    command: str
    since: str

    @classmethod
    def this_process(cls, command: str) -> Self:
        """This process, about to run `command`."""
        return cls(
            id=str(uuid.uuid4()),
            who=getpass.getuser(),
            host=socket.gethostname(),
            pid=os.getpid(),
            process_started=_process_started(os.getpid()),
            command=command,
            since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    @property
    def is_gone(self) -> bool:
        """Whether its process ran on this machine and doesn't any more."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # The kernel may have given the number to another process since.
        return _process_started(self.pid) != self.process_started

    def __str__(self) -> str:
        return f"`{self.command}` of {self.who}@{self.host} (pid {self.pid}, since {self.since})"


class LeaseLostError(LockstepError):
    """Somebody else has taken the lease while this process was at work."""


@dataclass(frozen=True)
class Found:
    """A lease as it stands in a bucket: who holds it, its ETag, and its age in seconds by S3's clock."""

    holder: Holder | None
    etag: str
    age: float

    @property
    def is_free(self) -> bool:
        """Whether nobody can be at work under it."""
        return self.age > TTL or (self.holder is not None and self.holder.is_gone)


class Lease:
    """The lease of `holder` on `buckets`, given by region."""

    def __init__(self, client: Client, buckets: Mapping[str, str], holder: Holder) -> None:
        self._client = client
        self._buckets = dict(sorted(buckets.items()))
        self._holder = holder
        self._etags: dict[str, str] = {}
        self._lost: str | None = None
        self._guard = threading.Lock()

    @contextmanager
    def hold(self) -> Iterator[Self]:
        """Hold the lease, renewed in the background, for the block.

        Raises RefusedError if somebody else holds it, RegionUnreachableError or what else is the matter if a region
        can't be asked; nothing is held then.
        """
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew_until, args=(ended,), name="lease", daemon=True)
        try:
            for region in self._buckets:
                self._take(region)
            renewing.start()
            yield self
        finally:
            ended.set()
            if renewing.is_alive():
                renewing.join()
            self._give_back()

    def check(self) -> None:
        """Raise LeaseLostError if the lease is somebody else's by now."""
        if self._lost is not None:
            raise LeaseLostError(self._lost, "see who is at work: `lockstep status`; then `lockstep settle`")

    def _take(self, region: str) -> None:
        try:
            found = peek(self._client, self._buckets[region], region)
            if found is None:
                self._put(region, IfNoneMatch="*")
            elif found.is_free:
                self._put(region, IfMatch=found.etag)
            else:
                raise _held(region, found)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NoSuchBucket":
                raise InvalidInputError(
                    f"there is no bucket {self._buckets[region]} in {region}: its site isn't up", "lockstep up"
                ) from error
            if code in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise _held(region, peek(self._client, self._buckets[region], region)) from error
            raise as_error({region: classify(region, error)}) from error
        except BotoCoreError as error:
            raise as_error({region: classify(region, error)}) from error

    def _put(self, region: str, **condition: str) -> None:
        answer = self._client("s3", region).put_object(
            Bucket=self._buckets[region],
            Key=KEY,
            Body=json.dumps(asdict(self._holder)).encode(),
            ContentType="application/json",
            **condition,
        )
        self._etags[region] = answer["ETag"]

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(RENEW_SECONDS):
            for region in list(self._etags):
                self._renew(region)

    def _renew(self, region: str) -> None:
        try:
            self._put(region, IfMatch=self._etags[region])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict"):
                # Answered late, an earlier renewal may have taken effect all the same.
                found = peek(self._client, self._buckets[region], region)
                if found is not None and found.holder == self._holder:
                    self._etags[region] = found.etag
                    return
                self._lost = f"the lease in {region} is {found.holder if found else 'nobody'}'s now"
        except BotoCoreError:
            # A region that can't be reached can't give the lease to anybody either.
            return

    def _give_back(self) -> None:
        """Best effort: what can't be given back runs out by itself."""
        for region, etag in self._etags.items():
            try:
                self._client("s3", region).delete_object(Bucket=self._buckets[region], Key=KEY, IfMatch=etag)
            except (BotoCoreError, ClientError):
                continue
        self._etags.clear()


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
    """None for what isn't ours to read: it is respected until it runs out."""
    try:
        return Holder(**json.loads(text))
    except (TypeError, ValueError):
        return None


def _held(region: str, found: Found | None) -> RefusedError:
    who = str(found.holder or "somebody unknown") if found else "somebody who has just finished"
    left = max(0.0, TTL - found.age) if found else 0.0
    return RefusedError(
        f"another deployment is at work in {region}: {who}; nothing was changed",
        f"wait for it; its lease runs out {left:.0f} s from now if it was killed. Then run this again",
    )


def _process_started(pid: int) -> str:
    """The start time of a process as Linux tells it (proc_pid_stat(5), field 22); empty elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
