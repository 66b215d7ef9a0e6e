"""Brings objects into the buckets of all regions: each file read and hashed once, however many regions there are.

A file of up to 64 MiB is held in memory while it is sent; what becomes of a larger one, `large_file` says.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.errors import InvalidInputError
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.fan_out import FanOut
from lockstep.publishing.large_file import LargeFile, OnBytes
from lockstep.publishing.manifest import MANIFEST, Entry, entry_of_file
from lockstep.publishing.package_set import Content, LocalFile, raise_problems, read
from lockstep.publishing.rpm_header import RpmHeader
from lockstep.regions import RegionFailure, classify, in_every_region

Say = Callable[[str], None]


@dataclass
class RegionOutcome:
    """What was done in one region: objects and bytes that were sent, objects that were there, and the record."""

    uploaded: int = 0
    present: int = 0
    sent_bytes: int = 0
    record_written: bool = False

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return {
            "uploaded": self.uploaded,
            "present": self.present,
            "bytes": self.sent_bytes,
            "record": "written" if self.record_written else "present",
        }


class Upload:
    """`sizes` are the bytes of the objects that were there in the beginning, by region and key.

    `outcomes` counts what is done, `verified` has the keys by region whose checksum S3 has confirmed.
    """

    def __init__(
        self,
        buckets: Mapping[str, ReleaseBucket],
        sizes: Mapping[str, Mapping[str, int]],
        on_bytes: OnBytes,
        say: Say,
    ) -> None:
        self.outcomes = {region: RegionOutcome() for region in buckets}
        self.verified: dict[str, set[str]] = {region: set() for region in buckets}
        self._buckets = buckets
        self._sizes = sizes
        self._on_bytes = on_bytes
        self._say = say
        self._lock = threading.Lock()

    def send_files(
        self, files: Sequence[LocalFile], headers: Mapping[str, RpmHeader]
    ) -> tuple[dict[str, Content], dict[str, RegionFailure]]:
        """Read `files`, and send each to every region that lacks it; `headers` are those of the RPMs, by path.

        Returns what was read, by path and without the bytes, and the regions that have failed. Raises
        InvalidInputError with every file that can't be published, and OtherContentError.
        """
        contents: dict[str, Content] = {}
        problems: list[str] = []
        with FanOut(self._buckets, self._tell_failure) as fan:
            for file in files:
                held = 0 if file.is_large else file.size
                fan.take_memory(held)
                try:
                    content = read(file, headers.get(file.path))
                except InvalidInputError as error:
                    problems.append(error.message)
                    fan.give_memory(held)
                    continue
                contents[file.path] = content.without_data()
                if problems or not fan.alive:
                    fan.give_memory(held)
                elif file.is_large:
                    problems += self._send_large(fan, content)
                else:
                    self._send_whole(fan, content)
                if fan.failures and not fan.alive:
                    break
            fan.drain()
        raise_problems(problems)
        return contents, {region: classify(region, error) for region, error in fan.failures.items()}

    def put_everywhere(self, entry: Entry, content: bytes) -> dict[str, RegionFailure]:
        """Bring an object of the release itself into every region that lacks it; returns the regions that failed."""
        return in_every_region(self.note_present(entry), partial(self._put, entry, content))[1]

    def lacking(self, entry: Entry) -> list[str]:
        """The regions that lack an object, by its size; what was there is verified before a record is written."""
        return [region for region in self._buckets if self._sizes[region].get(entry.key) != entry.size]

    def note_present(self, entry: Entry) -> list[str]:
        """Count an object where it was there already; returns the regions that lack it."""
        lacking = self.lacking(entry)
        for region in self._buckets:
            if region not in lacking:
                self._count(region, entry, sent=False)
        return lacking

    def put_one(self, entry: Entry, content: bytes, region: str) -> RegionFailure | None:
        """Bring an object of the release itself into one region; returns what failed."""
        return in_every_region([region], partial(self._put, entry, content))[1].get(region)

    def _send_whole(self, fan: FanOut, content: Content) -> None:
        entry, data = entry_of_file(content), content.data
        assert data is not None
        fan.submit(self.note_present(entry), partial(self._put, entry, data), held=len(data))

    def _send_large(self, fan: FanOut, content: Content) -> list[str]:
        """Returns what is wrong with the file, if anything is by now."""
        entry = entry_of_file(content)

        def on_there(region: str, sent: bool) -> None:
            self._count(region, entry, sent=sent, shown=False)
            self._mark(region, entry)

        try:
            LargeFile(fan, self._buckets, content, self._on_bytes, on_there).send(self.note_present(entry))
        except InvalidInputError as error:
            return [error.message]
        return []

    def _put(self, entry: Entry, data: bytes, region: str) -> None:
        content_type = "application/json" if entry.path == MANIFEST else "application/octet-stream"
        sent = self._buckets[region].put(entry, data, content_type)
        self._count(region, entry, sent=sent)
        self._mark(region, entry)

    def _count(self, region: str, entry: Entry, *, sent: bool, shown: bool = True) -> None:
        with self._lock:
            outcome = self.outcomes[region]
            outcome.uploaded += int(sent)
            outcome.present += int(not sent)
            outcome.sent_bytes += entry.size if sent else 0
        if shown:
            self._on_bytes(region, entry.size)

    def _mark(self, region: str, entry: Entry) -> None:
        with self._lock:
            self.verified[region].add(entry.key)

    def _tell_failure(self, region: str, error: Exception) -> None:
        if isinstance(error, BotoCoreError | ClientError):
            failure = classify(region, error)
            others = "the other regions get what they lack" if len(self._buckets) > 1 else "nothing more is sent"
            self._say(f"{failure.text}; {others}, then this stops")
