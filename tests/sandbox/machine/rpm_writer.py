"""Writes small RPMs, right ones and wrong ones: what rpmbuild makes, and what it would refuse to make.

RPM Package Manager, "RPM V4 Package format": lead, signature header, header, payload (a cpio archive, "newc").
"""

import gzip
import hashlib
import lzma
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

_INT16, _INT32, _STRING, _BIN, _STRINGS, _I18N = 3, 4, 6, 7, 8, 9
_WIDTH = {_INT16: ("H", 2), _INT32: ("I", 4)}
_SENSE = {"<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12}
SIGNATURE_TAG = 267
CONFIG, NO_REPLACE = 1, 16


@dataclass(frozen=True)
class File:
    """One file; of a symbolic link `content` is the target. Files with one `inode` are hard links of each other."""

    content: str | bytes = ""
    mode: int = 0o100644
    flags: int = 0
    inode: int = 0

    @property
    def data(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content


def folder(mode: int = 0o755) -> File:
    return File(mode=stat.S_IFDIR | mode)


def link(target: str) -> File:
    return File(target, stat.S_IFLNK | 0o777)


@dataclass(frozen=True)
class Spec:
    """What a package says of itself; dependencies are written as in a spec file: `NAME`, `NAME >= 1.0`."""

    name: str
    files: Mapping[str, File] = field(default_factory=dict)
    version: str = "1.0"
    release: str = "1"
    arch: str = "noarch"
    provides: Sequence[str] = ()
    requires: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    obsoletes: Sequence[str] = ()
    recommends: Sequence[str] = ()
    tags: Mapping[int, tuple[int, Any]] = field(default_factory=dict)
    compressor: str = "gzip"

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"


def scriptlet(tag: int, text: str = "true") -> Mapping[int, tuple[int, Any]]:
    """A scriptlet's tag for `Spec.tags`."""
    return {tag: (_STRING, text)}


def build(
    spec: Spec,
    *,
    sign: Callable[[bytes], bytes] | None = None,
    payload: Callable[[bytes], bytes] = lambda packed: packed,
) -> bytes:
    """The RPM. `sign` makes the signature of the header; `payload` damages what the header has the digest of."""
    packed = _packed(spec.compressor, _archive(spec))
    header = _header(63, _tags(spec, packed))
    damaged = payload(packed)
    signature: dict[int, tuple[int, Any]] = {
        273: (_STRING, hashlib.sha256(header).hexdigest()),
        1000: (_INT32, [len(header) + len(damaged)]),
    }
    if sign is not None:
        signature[SIGNATURE_TAG] = (_BIN, sign(header))
    signature_header = _header(62, signature)
    padding = b"\0" * (-len(signature_header) % 8)
    return _lead(spec) + signature_header + padding + header + damaged


def _lead(spec: Spec) -> bytes:
    name = f"{spec.name}-{spec.version}-{spec.release}".encode()
    return struct.pack(">4sBBHH66sHH16x", b"\xed\xab\xee\xdb", 3, 0, 0, 1, name, 1, 5)


def _packed(compressor: str, archive: bytes) -> bytes:
    if compressor == "xz":
        return lzma.compress(archive)
    if compressor == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().compress(archive)
    return gzip.compress(archive, mtime=0)


def _archive(spec: Spec) -> bytes:
    archive = b""
    last = {file.inode: path for path, file in spec.files.items() if file.inode}
    for number, (path, file) in enumerate(spec.files.items(), 1):
        links = sum(1 for other in spec.files.values() if file.inode and other.inode == file.inode) or 1
        # Of hard links only the last one has the content.
        data = file.data if not file.inode or last[file.inode] == path else b""
        archive += _entry(f".{path}", file.mode, data, file.inode or 1000 + number, links)
    return archive + _entry("TRAILER!!!", 0, b"", 0, 1)


def _entry(name: str, mode: int, data: bytes, inode: int, links: int) -> bytes:
    fields = [inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + "".join(f"{each:08x}" for each in fields).encode() + name.encode() + b"\0"
    head += b"\0" * (-len(head) % 4)
    return head + data + b"\0" * (-len(data) % 4)


def _tags(spec: Spec, packed: bytes) -> dict[int, tuple[int, Any]]:
    tags: dict[int, tuple[int, Any]] = {
        1000: (_STRING, spec.name),
        1001: (_STRING, spec.version),
        1002: (_STRING, spec.release),
        1004: (_I18N, ["Made for a test"]),
        1005: (_I18N, ["Made for a test"]),
        1006: (_INT32, [1_700_000_000]),
        1009: (_INT32, [sum(len(file.data) for file in spec.files.values())]),
        1014: (_STRING, "Apache-2.0"),
        1016: (_I18N, ["Unspecified"]),
        1021: (_STRING, "linux"),
        1022: (_STRING, spec.arch),
        1044: (_STRING, f"{spec.name}-{spec.version}-{spec.release}.src.rpm"),
        1064: (_STRING, "4.16.1.3"),
        1124: (_STRING, "cpio"),
        1125: (_STRING, spec.compressor),
        1126: (_STRING, "9"),
        5092: (_STRINGS, [hashlib.sha256(packed).hexdigest()]),
        5093: (_INT32, [8]),
    }
    own = f"{spec.name} = {spec.version}-{spec.release}"
    tags |= _dependencies([own, *spec.provides], 1047, 1112, 1113)
    tags |= _dependencies(["rpmlib(CompressedFileNames) <= 3.0.4-1", *spec.requires], 1049, 1048, 1050)
    tags |= _dependencies(spec.conflicts, 1054, 1053, 1055)
    tags |= _dependencies(spec.obsoletes, 1090, 1114, 1115)
    tags |= _dependencies(spec.recommends, 5046, 5048, 5047)
    return tags | _files(spec.files) | dict(spec.tags)


def _dependencies(texts: Sequence[str], names: int, flags: int, versions: int) -> dict[int, tuple[int, Any]]:
    if not texts:
        return {}
    parts = [(text, "", "") if text.startswith("(") else (*text.split(), "", "")[:3] for text in texts]
    return {
        names: (_STRINGS, [name for name, _, _ in parts]),
        flags: (_INT32, [_SENSE.get(sign, 0) for _, sign, _ in parts]),
        versions: (_STRINGS, [version for _, _, version in parts]),
    }


def _files(files: Mapping[str, File]) -> dict[int, tuple[int, Any]]:
    if not files:
        return {}
    folders = sorted({f"{PurePosixPath(path).parent}".rstrip("/") + "/" for path in files})
    count = len(files)
    each = list(files.values())
    return {
        1028: (_INT32, [len(file.data) for file in each]),
        1030: (_INT16, [file.mode for file in each]),
        1033: (_INT16, [0] * count),
        1034: (_INT32, [1_700_000_000] * count),
        1035: (_STRINGS, [hashlib.sha256(f.data).hexdigest() if stat.S_ISREG(f.mode) else "" for f in each]),
        1036: (_STRINGS, [str(f.content) if stat.S_ISLNK(f.mode) else "" for f in each]),
        1037: (_INT32, [file.flags for file in each]),
        1039: (_STRINGS, ["root"] * count),
        1040: (_STRINGS, ["root"] * count),
        1045: (_INT32, [0xFFFFFFFF] * count),
        1095: (_INT32, [1] * count),
        1096: (_INT32, [f.inode or 1000 + n for n, f in enumerate(each, 1)]),
        1097: (_STRINGS, [""] * count),
        1116: (_INT32, [folders.index(f"{PurePosixPath(path).parent}".rstrip("/") + "/") for path in files]),
        1117: (_STRINGS, [PurePosixPath(path).name for path in files]),
        1118: (_STRINGS, folders),
        5011: (_INT32, [8]),
    }


def _header(region: int, tags: Mapping[int, tuple[int, Any]]) -> bytes:
    """Index and store; the first entry is the region, whose data at the store's end says how much of it is covered."""
    index, store = b"", b""
    for tag, (kind, value) in sorted(tags.items()):
        data, count = _data(kind, value)
        if kind in _WIDTH:
            store += b"\0" * (-len(store) % _WIDTH[kind][1])
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    entries = len(tags) + 1
    index = struct.pack(">IIII", region, _BIN, len(store), 16) + index
    store += struct.pack(">IIiI", region, _BIN, -16 * entries, 16)
    return struct.pack(">4s4xII", b"\x8e\xad\xe8\x01", entries, len(store)) + index + store


def _data(kind: int, value: Any) -> tuple[bytes, int]:
    if kind in _WIDTH:
        return struct.pack(f">{len(value)}{_WIDTH[kind][0]}", *value), len(value)
    if kind == _STRING:
        return value.encode() + b"\0", 1
    if kind == _BIN:
        return value, len(value)
    return b"".join(each.encode() + b"\0" for each in value), len(value)
