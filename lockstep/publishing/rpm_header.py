"""Reads what publishing must know of an RPM and createrepo_c doesn't tell: where its payload begins, and its digests.

RPM Package Manager, "RPM V4 Package format": a lead of 96 bytes, the signature header padded to 8 bytes, the header,
the payload. A header is 16 bytes (magic, reserved, number of index entries, size of the store), 16 bytes for each
entry (tag, type, offset, count), and the store. The signature header holds digest and size of what follows it, the
header that of the payload.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LEAD: Final = 96
LEAD_MAGIC: Final = b"\xed\xab\xee\xdb"
HEADER_MAGIC: Final = b"\x8e\xad\xe8\x01"
_INTRO: Final = struct.Struct(">4s4xII")
_ENTRY: Final = struct.Struct(">IIII")
# A header holds names of files and changelogs; more than this is no package.
HEADER_MAX: Final = 64 * 1024 * 1024

PAYLOAD_DIGEST: Final = 5092
PAYLOAD_DIGEST_ALGORITHM: Final = 5093
SHA256: Final = 8  # RFC 4880 section 9.4
# "Signature tags": of the header alone, and of header and payload together.
HEADER_SHA1: Final = 269
HEADER_SHA256: Final = 273
BOTH_LONG_SIZE: Final = 270
BOTH_SIZE: Final = 1000
BOTH_MD5: Final = 1004
_STRING_TYPES: Final = (6, 8, 9)
_INT32: Final = 4
_INT64: Final = 5
_BINARY: Final = 7

# "Tags": what runs when a package is installed, by its text or, as in `%post -p /sbin/ldconfig`, its interpreter alone.
SCRIPTLETS: Final = {
    1023: "%pre",
    1085: "%pre",
    1024: "%post",
    1086: "%post",
    1025: "%preun",
    1087: "%preun",
    1026: "%postun",
    1088: "%postun",
    1065: "%trigger",
    1079: "%verifyscript",
    1091: "%verifyscript",
    1151: "%pretrans",
    1153: "%pretrans",
    1152: "%posttrans",
    1154: "%posttrans",
    5066: "%filetrigger",
    5076: "%transfiletrigger",
    5104: "%preuntrans",
    5105: "%postuntrans",
}

_Tags = Mapping[int, tuple[int, int, int]]


class NotAnRpmError(Exception):
    """What is wrong with a file that should be an RPM."""


class CutOffError(NotAnRpmError):
    """The bytes end before the header does."""


@dataclass(frozen=True)
class RpmHeader:
    """`payload_start` is in bytes from the beginning of the file; `payload_sha256` is hexadecimal, None if not told.

    `header_start` is where the header begins, `header_digest` its algorithm and hexadecimal digest, `size_told` the
    bytes of header and payload, `md5_told` their MD5: what packages have from before RPM 4.14. None if not told.
    """

    payload_start: int
    payload_sha256: str | None
    scriptlets: tuple[str, ...]
    header_start: int = 0
    header_digest: tuple[str, str] | None = None
    size_told: int | None = None
    md5_told: str | None = None

    def check_header(self, beginning: memoryview, file_size: int) -> None:
        """Raise NotAnRpmError if the header in `beginning` isn't the one that was packed, or the file's size isn't."""
        if self.size_told is not None and self.header_start + self.size_told != file_size:
            raise NotAnRpmError(
                f"it has {file_size} bytes, and was packed with {self.header_start + self.size_told}: it is cut off"
                if file_size < self.header_start + self.size_told
                else f"it has {file_size} bytes, and was packed with {self.header_start + self.size_told}"
            )
        if self.header_digest is None:
            return
        algorithm, wanted = self.header_digest
        found = hashlib.new(algorithm, beginning[self.header_start : self.payload_start], usedforsecurity=False)
        if found.hexdigest() != wanted:
            raise NotAnRpmError(f"its header has {algorithm} {found.hexdigest()[:16]}…, not {wanted[:16]}…: damaged")

    def check_payload(self, content: memoryview) -> None:
        """Raise NotAnRpmError if the payload in `content`, the whole file, isn't the one that was packed."""
        check = PayloadCheck(self)
        check.update(content)
        check.finish()


class PayloadCheck:
    """Compares the payload of an RPM, which is read piece by piece, with what its header says of it."""

    def __init__(self, header: RpmHeader) -> None:
        self._header = header
        self._wanted = header.payload_sha256 or header.md5_told
        self._algorithm = "sha256" if header.payload_sha256 else "md5"
        self._skip = header.payload_start if header.payload_sha256 else header.header_start
        self._hash: Any = hashlib.new(self._algorithm, usedforsecurity=False)

    def update(self, piece: memoryview) -> None:
        """The next bytes of the file, from its very beginning on."""
        if self._wanted is None:
            return
        self._hash.update(piece[self._skip :])
        self._skip = max(0, self._skip - len(piece))

    def finish(self) -> None:
        """Raise NotAnRpmError if it isn't the one that was packed."""
        if self._wanted is None:
            return
        found = self._hash.hexdigest()
        if found != self._wanted:
            raise NotAnRpmError(
                f"its payload has {self._algorithm} {found[:16]}…, and its header says {self._wanted[:16]}…: it is "
                "damaged or cut off"
            )


def read_header(beginning: bytes | memoryview) -> RpmHeader:
    """The header in the first bytes of a file.

    Raises NotAnRpmError, and of that CutOffError if more bytes of the file are needed.
    """
    if len(beginning) < len(LEAD_MAGIC) or bytes(beginning[: len(LEAD_MAGIC)]) != LEAD_MAGIC:
        raise NotAnRpmError("it doesn't begin as an RPM does")
    signature_end = _end(beginning, LEAD)
    start = signature_end + (-signature_end) % 8
    end = _end(beginning, start)
    told, tags = _tags(beginning, LEAD), _tags(beginning, start)
    algorithm = _integer(beginning, tags, PAYLOAD_DIGEST_ALGORITHM)
    size = _integer(beginning, told, BOTH_LONG_SIZE)
    return RpmHeader(
        payload_start=end,
        payload_sha256=_string(beginning, tags, PAYLOAD_DIGEST) if algorithm == SHA256 else None,
        scriptlets=tuple(dict.fromkeys(name for tag, name in SCRIPTLETS.items() if tag in tags)),
        header_start=start,
        header_digest=_header_digest(beginning, told),
        size_told=_integer(beginning, told, BOTH_SIZE) if size is None else size,
        md5_told=_hexadecimal(beginning, told, BOTH_MD5),
    )


def _header_digest(content: bytes | memoryview, told: _Tags) -> tuple[str, str] | None:
    for tag, algorithm in ((HEADER_SHA256, "sha256"), (HEADER_SHA1, "sha1")):
        if digest := _string(content, told, tag):
            return algorithm, digest
    return None


def _end(content: bytes | memoryview, start: int) -> int:
    if len(content) < start + _INTRO.size:
        raise CutOffError("it is cut off in its header")
    magic, entries, store = _INTRO.unpack_from(content, start)
    if magic != HEADER_MAGIC:
        raise NotAnRpmError(f"there is no RPM header at byte {start}")
    end: int = start + _INTRO.size + entries * _ENTRY.size + store
    if end - start > HEADER_MAX:
        raise NotAnRpmError(f"its header would have {end - start} bytes")
    if len(content) < end:
        raise CutOffError("it is cut off in its header")
    return end


def _tags(content: bytes | memoryview, start: int) -> _Tags:
    """Type, offset in the file and count of each tag."""
    _, entries, _ = _INTRO.unpack_from(content, start)
    index = start + _INTRO.size
    store = index + entries * _ENTRY.size
    listed = _ENTRY.iter_unpack(content[index:store])
    return {tag: (kind, store + offset, count) for tag, kind, offset, count in listed}


def _string(content: bytes | memoryview, tags: _Tags, tag: int) -> str | None:
    kind, offset, _ = tags.get(tag, (0, 0, 0))
    if kind not in _STRING_TYPES:
        return None
    return bytes(content[offset : offset + 4096]).partition(b"\0")[0].decode(errors="replace")


def _hexadecimal(content: bytes | memoryview, tags: _Tags, tag: int) -> str | None:
    kind, offset, count = tags.get(tag, (0, 0, 0))
    return bytes(content[offset : offset + count]).hex() if kind == _BINARY else None


def _integer(content: bytes | memoryview, tags: _Tags, tag: int) -> int | None:
    kind, offset, _ = tags.get(tag, (0, 0, 0))
    width = {_INT32: 4, _INT64: 8}.get(kind)
    if width is None or len(content) < offset + width:
        return None
    return int.from_bytes(content[offset : offset + width], "big")
