"""A large file on its way into several regions: read a second time, a part at a time, as its key is the digest of all.

Each part goes to every region that lacks it. What an earlier run, or somebody else, has sent of it is left out.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from lockstep.errors import InvalidInputError
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.fan_out import FanOut
from lockstep.publishing.manifest import entry_of_file
from lockstep.publishing.package_set import Content, check_unchanged, parts_of
from lockstep.publishing.parts_upload import PartsUpload

# How often an upload is begun that vanishes again, as whoever shares it gives it up.
ROUNDS: Final = 3

OnBytes = Callable[[str, int], None]
"""`on_bytes(region, count)`: so many more bytes are in a region."""
OnThere = Callable[[str, bool], None]
"""`on_there(region, sent)`: the object is in a region, and whether this has sent it."""


class LargeFile:
    """Sends `content` by `fan` to `buckets`, given by region."""

    def __init__(
        self,
        fan: FanOut,
        buckets: Mapping[str, ReleaseBucket],
        content: Content,
        on_bytes: OnBytes,
        on_there: OnThere,
    ) -> None:
        self._fan = fan
        self._buckets = buckets
        self._content = content
        self._entry = entry_of_file(content)
        self._on_bytes = on_bytes
        self._on_there = on_there
        self._uploads: dict[str, PartsUpload] = {}
        self._shown = dict.fromkeys(buckets, 0)
        self._lock = threading.Lock()

    def send(self, regions: Iterable[str]) -> None:
        """Bring it into `regions`; those that fail are known to `fan`.

        Raises InvalidInputError if the file isn't any more what it was when its digests were taken.
        """
        lacking = list(regions)
        for _ in range(ROUNDS):
            self._uploads = {}
            self._do(lacking, self._begin)
            if self._wanting():
                self._send_parts()
            self._do(self._uploads, self._complete)
            lacking = [region for region, upload in self._uploads.items() if upload.gone and not upload.done]
            if not lacking:
                return
        self._do(lacking, self._give_up)

    def _do(self, regions: Iterable[str], work: Callable[[str], None]) -> None:
        self._fan.submit(regions, work)
        self._fan.drain()

    def _begin(self, region: str) -> None:
        upload = PartsUpload(self._buckets[region], self._entry, self._content.parts)
        if upload.begin():
            self._uploads[region] = upload
        else:
            self._is_there(region, sent=False)

    def _send_parts(self) -> None:
        try:
            for number, part in enumerate(parts_of(self._content.file), 1):
                wanting = self._wanting()
                if not wanting:
                    break
                lacking = [region for region in wanting if self._uploads[region].lacks(number)]
                for region in wanting:
                    if region not in lacking:
                        self._show(region, len(part))
                self._fan.take_memory(len(part))
                self._fan.submit(lacking, partial(self._send_part, number, part), held=len(part))
            self._fan.drain()
            check_unchanged(self._content.file)
        except InvalidInputError:
            self._fan.drain()
            # What has arrived is of content that is nowhere any more, unless somebody else brings it.
            self._do(self._uploads, lambda region: self._uploads[region].abort())
            raise

    def _wanting(self) -> list[str]:
        """The regions that parts may still be sent to."""
        return [region for region in self._fan.alive if region in self._uploads and self._uploads[region].is_open]

    def _send_part(self, number: int, part: bytes, region: str) -> None:
        self._uploads[region].send(number, part)
        self._show(region, len(part))

    def _complete(self, region: str) -> None:
        upload = self._uploads[region]
        by_others = upload.done
        upload.complete()
        if upload.done:
            self._is_there(region, sent=not by_others)
        else:
            self._show(region, -self._shown[region])

    def _give_up(self, region: str) -> None:
        gone = self._uploads[region].gone
        assert gone is not None
        raise gone

    def _is_there(self, region: str, *, sent: bool) -> None:
        self._show(region, self._entry.size - self._shown[region])
        self._on_there(region, sent)

    def _show(self, region: str, count: int) -> None:
        with self._lock:
            self._shown[region] += count
        self._on_bytes(region, count)
