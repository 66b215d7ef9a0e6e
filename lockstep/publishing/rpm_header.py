"""Reads what publishing must know of an RPM and createrepo_c doesn't tell: where its payload begins, and its digest.

RPM Package Manager, "RPM V4 Package format": a lead of 96 bytes, the signature header padded to 8 bytes, the header,
the payload. A header is 16 bytes (magic, reserved, number of index entries, size of the store), 16 bytes for each
entry (tag, type, offset, count), and the store.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LEAD: Final = 96
LEAD_MAGIC: Final = b"\xed\xab\xee\xdb"
HEADER_MAGIC: Final = b"\x8e\xad\xe8\x01"
_INTRO: Final = struct.Struct(">4s4xII")
_ENTRY: Final = struct.Struct(">IIII")
# A header holds names of files and changelogs; more than this is no package.
HEADER_MAX: Final = 64 * 1024 * 1024

NAME: Final = 1000
PAYLOAD_DIGEST: Final = 5092
PAYLOAD_DIGEST_ALGORITHM: Final = 5093
SHA256: Final = 8  # RFC 4880 section 9.4
_STRING_TYPES: Final = (6, 8, 9)
_INT32: Final = 4

# "Tags": what runs when a package is installed.
SCRIPTLETS: Final = {
    1023: "%pre",
    1024: "%post",
    1025: "%preun",
    1026: "%postun",
    1065: "%trigger",
    1079: "%verifyscript",
    1151: "%pretrans",
    1152: "%posttrans",
    5066: "%filetrigger",
    5076: "%transfiletrigger",
    5104: "%preuntrans",
    5105: "%postuntrans",
}


class NotAnRpmError(Exception):
    """What is wrong with a file that should be an RPM."""


@dataclass(frozen=True)
class RpmHeader:
    """`payload_start` is in bytes from the beginning of the file; `payload_sha256` is hexadecimal, None if not told."""

    payload_start: int
    payload_sha256: str | None
    scriptlets: tuple[str, ...]

    def check_payload(self, content: memoryview) -> None:
        """Raise NotAnRpmError if the payload in `content`, the whole file, isn't the one that was packed."""
        if self.payload_sha256 is None:
            return
        found = hashlib.sha256(content[self.payload_start :]).hexdigest()
        if found != self.payload_sha256:
            raise NotAnRpmError(
                f"its payload has sha256 {found[:16]}…, and its header says {self.payload_sha256[:16]}…: it is damaged "
                "or cut off"
            )


def read_header(beginning: bytes | memoryview) -> RpmHeader:
    """The header in the first bytes of a file. Raises NotAnRpmError, also if there are too few of them."""
    if bytes(beginning[:4]) != LEAD_MAGIC:
        raise NotAnRpmError("it doesn't begin as an RPM does")
    signature_end = _end(beginning, LEAD)
    start = signature_end + (-signature_end) % 8
    end = _end(beginning, start)
    tags = _tags(beginning, start)
    algorithm = _integer(beginning, tags, start, PAYLOAD_DIGEST_ALGORITHM)
    digest = _string(beginning, tags, start, PAYLOAD_DIGEST) if algorithm == SHA256 else None
    return RpmHeader(end, digest, tuple(name for tag, name in SCRIPTLETS.items() if tag in tags))


def _end(content: bytes | memoryview, start: int) -> int:
    if len(content) < start + _INTRO.size:
        raise NotAnRpmError("it is cut off in its header")
    magic, entries, store = _INTRO.unpack_from(content, start)
    if magic != HEADER_MAGIC:
        raise NotAnRpmError(f"there is no RPM header at byte {start}")
    end: int = start + _INTRO.size + entries * _ENTRY.size + store
    if end - start > HEADER_MAX:
        raise NotAnRpmError(f"its header would have {end - start} bytes")
    if len(content) < end:
        raise NotAnRpmError("it is cut off in its header")
    return end


def _tags(content: bytes | memoryview, start: int) -> Mapping[int, tuple[int, int, int]]:
    """Type, offset in the file and count of each tag."""
    _, entries, _ = _INTRO.unpack_from(content, start)
    store = start + _INTRO.size + entries * _ENTRY.size
    found = {}
    for number in range(entries):
        tag, kind, offset, count = _ENTRY.unpack_from(content, start + _INTRO.size + number * _ENTRY.size)
        found[tag] = (kind, store + offset, count)
    return found


def _string(content: bytes | memoryview, tags: Mapping[int, tuple[int, int, int]], start: int, tag: int) -> str | None:
    kind, offset, _ = tags.get(tag, (0, 0, 0))
    if kind not in _STRING_TYPES:
        return None
    return bytes(content[offset : offset + 4096]).partition(b"\0")[0].decode(errors="replace")


def _integer(content: bytes | memoryview, tags: Mapping[int, tuple[int, int, int]], start: int, tag: int) -> int | None:
    kind, offset, _ = tags.get(tag, (0, 0, 0))
    if kind != _INT32 or len(content) < offset + 4:
        return None
    value: int = struct.unpack_from(">I", content, offset)[0]
    return value
