"""The files that a release is made of: found, judged, read and hashed once each."""

import base64
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lockstep.errors import InvalidInputError
from lockstep.publishing.rpm_header import NotAnRpmError, RpmHeader, read_header

# Up to this size a file is kept in memory between being hashed and sent; above, it is sent in parts and read again.
IN_MEMORY_MAX: Final = 64 * 1024 * 1024
# S3 User Guide, "Multipart upload limits": 5 MiB to 5 GiB for a part, 10,000 parts.
PART_SIZE: Final = 16 * 1024 * 1024
PARTS_MAX: Final = 10_000
FILE_MAX: Final = PART_SIZE * PARTS_MAX


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file of the release: where it is, its path below the folder, and what it was when it was found."""

    source: Path
    path: str
    size: int
    modified: int

    @property
    def is_package(self) -> bool:
        """Whether its name says that it is an RPM."""
        return self.path.endswith(".rpm")

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.path.rpartition("/")[2]

    @property
    def is_large(self) -> bool:
        """Whether it is sent in parts."""
        return self.size > IN_MEMORY_MAX


@dataclass(frozen=True, kw_only=True)
class Content:
    """A file that was read: its digests, its header if it is an RPM, and its bytes unless it is large.

    `checksum` is S3's ChecksumSHA256; `parts` are those of the parts of a large file.
    """

    file: LocalFile
    sha256: str
    checksum: str
    header: bytes = field(repr=False, default=b"")
    data: bytes | None = field(repr=False, default=None)
    parts: tuple[bytes, ...] = field(repr=False, default=())
    scriptlets: tuple[str, ...] = ()


def find(folder: Path) -> list[LocalFile]:
    """Every file below `folder`, sorted by path. Raises InvalidInputError with everything that can't be published."""
    if not folder.is_dir():
        raise InvalidInputError(
            f"{folder} isn't a folder", "`lockstep publish VERSION DIR` with the folder of the RPMs"
        )
    root = folder.resolve()
    problems: list[str] = []
    found = []
    for path in _walk(root, problems):
        relative = path.relative_to(root).as_posix()
        target = path.resolve()
        if not target.is_relative_to(root):
            problems.append(f"{relative} is a link to {target}, outside of the folder")
            continue
        try:
            facts = target.stat()
        except OSError as error:
            problems.append(f"{relative} can't be read: {error.strerror}")
            continue
        if not stat.S_ISREG(facts.st_mode):
            problems.append(f"{relative} isn't a file")
        elif not os.access(target, os.R_OK):
            problems.append(f"{relative} can't be read: permission denied")
        elif facts.st_size > FILE_MAX:
            problems.append(f"{relative} has {facts.st_size} bytes, and at most {FILE_MAX} can be sent")
        elif not relative.isprintable() or len(relative.encode()) > 512:
            problems.append(f"{relative!r} can't be the name of an object: unprintable, or longer than 512 bytes")
        else:
            found.append(LocalFile(source=target, path=relative, size=facts.st_size, modified=facts.st_mtime_ns))
    if not found and not problems:
        problems.append(f"{folder} is empty")
    raise_problems(problems)
    return sorted(found, key=lambda file: file.path)


def raise_problems(problems: Sequence[str]) -> None:
    """Raise InvalidInputError with all of `problems`, if there are any."""
    if problems:
        raise InvalidInputError("nothing was published:\n" + "\n".join(problems), "correct that, then run this again")


def read(file: LocalFile) -> Content:
    """Read and hash `file`, and check an RPM's payload. Raises InvalidInputError if it is damaged or has changed."""
    try:
        content = _read_large(file) if file.is_large else _read_small(file)
        now = file.source.stat()
    except NotAnRpmError as error:
        raise InvalidInputError(f"{file.path} isn't a whole RPM: {error}", "build or copy it anew") from error
    except OSError as error:
        raise InvalidInputError(f"{file.path} can't be read: {error.strerror}", "then run this again") from error
    if (now.st_size, now.st_mtime_ns) != (file.size, file.modified):
        raise InvalidInputError(f"{file.path} was changed while it was read", "wait until it is complete")
    return content


def parts_of(file: LocalFile) -> Iterator[bytes]:
    """The parts of a large file, one at a time."""
    with file.source.open("rb", buffering=0) as source:
        while part := source.read(PART_SIZE):
            yield part


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        problems.append(f"{error.filename} can't be read: {error.strerror}")

    for parent, _, names in os.walk(folder, onerror=note):
        for name in names:
            yield Path(parent) / name


def _read_small(file: LocalFile) -> Content:
    with file.source.open("rb", buffering=0) as source:
        data = source.read(file.size + 1)
    digest = hashlib.sha256(data)
    header = _header(memoryview(data)) if file.is_package else None
    if header is not None:
        header.check_payload(memoryview(data))
    return Content(
        file=file,
        sha256=digest.hexdigest(),
        checksum=base64.b64encode(digest.digest()).decode(),
        header=data[: header.payload_start] if header else b"",
        data=data,
        scriptlets=header.scriptlets if header else (),
    )


def _read_large(file: LocalFile) -> Content:
    whole, payload = hashlib.sha256(), hashlib.sha256()
    parts, header, beginning, done = [], None, b"", 0
    for part in parts_of(file):
        whole.update(part)
        parts.append(hashlib.sha256(part).digest())
        if file.is_package and done == 0:
            header = _header(memoryview(part))
            beginning = part[: header.payload_start]
        if header is not None:
            payload.update(memoryview(part)[max(0, header.payload_start - done) :])
        done += len(part)
    if header is not None and header.payload_sha256 not in (None, payload.hexdigest()):
        raise NotAnRpmError(f"its payload has sha256 {payload.hexdigest()[:16]}…, not what its header says")
    composite = base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()
    return Content(
        file=file,
        sha256=whole.hexdigest(),
        checksum=f"{composite}-{len(parts)}",
        header=beginning,
        parts=tuple(parts),
        scriptlets=header.scriptlets if header else (),
    )


def _header(content: memoryview) -> RpmHeader:
    return read_header(content)
