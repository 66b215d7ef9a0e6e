"""The files that a release is made of: found, judged, read and hashed once each."""

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import Final

from lockstep.errors import InvalidInputError
from lockstep.publishing.rpm_header import CutOffError, NotAnRpmError, PayloadCheck, RpmHeader, read_header

# Up to this size a file is kept in memory between being hashed and sent; above, it is sent in parts and read again.
IN_MEMORY_MAX: Final = 64 * 1024 * 1024
# S3 User Guide, "Multipart upload limits": 5 MiB to 5 GiB for a part, 10,000 parts.
PART_SIZE: Final = 16 * 1024 * 1024
PARTS_MAX: Final = 10_000
FILE_MAX: Final = PART_SIZE * PARTS_MAX
# S3 User Guide, "Object key naming": 1,024 bytes, of which prefix and digest take some.
PATH_MAX: Final = 512
# Most headers are smaller; a longer one is read in a second go.
_HEADER_GUESS: Final = 16 * 1024


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file of the release: where it is, its path below the folder, and what it was when it was found.

    `size` is in bytes, `modified` in nanoseconds.
    """

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
    """A file that was read: its digests, and its bytes unless it is large.

    `sha256` is hexadecimal, `checksum` S3's ChecksumSHA256, `parts` the SHA-256 of each part of a large file.
    """

    file: LocalFile
    sha256: str
    checksum: str
    data: bytes | None = field(repr=False, default=None)
    parts: tuple[bytes, ...] = field(repr=False, default=())

    def without_data(self) -> "Content":
        """The same without its bytes, which are to be held no longer than they are sent."""
        return replace(self, data=None)


def find(folder: Path) -> list[LocalFile]:
    """Every file below `folder`, sorted by path. Raises InvalidInputError with everything that can't be published."""
    if not folder.is_dir():
        raise InvalidInputError(
            f"{folder} isn't a folder", "`lockstep publish VERSION DIR` with the folder of the RPMs"
        )
    root = folder.resolve()
    problems: list[str] = []
    found = []
    for relative in _walk(root, problems):
        try:
            found.append(_local_file(root, relative))
        except _UnfitError as error:
            problems.append(f"{relative!a} {error}" if not relative.isprintable() else f"{relative} {error}")
        except OSError as error:
            problems.append(f"{relative} can't be read: {error.strerror}")
    if not found and not problems:
        problems.append(f"{folder} is empty")
    raise_problems(problems)
    return sorted(found, key=lambda file: file.path)


def raise_problems(problems: Sequence[str]) -> None:
    """Raise InvalidInputError with all of `problems`, if there are any."""
    if problems:
        raise InvalidInputError("nothing was published:\n" + "\n".join(problems), "correct that, then run this again")


def read_beginning(file: LocalFile) -> tuple[RpmHeader, bytes]:
    """The header of an RPM, and the file up to the end of it.

    Raises NotAnRpmError, InvalidInputError if the file is shorter than it was when it was found, and OSError.
    """
    with file.source.open("rb", buffering=0) as source:
        wanted = _HEADER_GUESS
        while True:
            source.seek(0)
            asked = min(wanted, file.size)
            beginning = source.read(asked)
            try:
                header = read_header(beginning)
            except CutOffError:
                if len(beginning) < asked:
                    raise _changed(file) from None
                if asked == file.size:
                    raise
                wanted *= 16
                continue
            header.check_header(memoryview(beginning), file.size)
            return header, beginning[: header.payload_start]


def read(file: LocalFile, header: RpmHeader | None) -> Content:
    """Read and hash `file`, and check the payload of an RPM, which is the one with a `header`.

    Raises InvalidInputError if it is damaged, has changed since it was found, or can't be read.
    """
    try:
        content = _read_large(file, header) if file.is_large else _read_small(file, header)
        check_unchanged(file)
    except NotAnRpmError as error:
        check_unchanged(file)
        raise InvalidInputError(f"{file.path} isn't a whole RPM: {error}", "build or copy it anew") from error
    except OSError as error:
        raise _unreadable(file, error) from error
    return content


def check_unchanged(file: LocalFile) -> None:
    """Raise InvalidInputError if `file` isn't what it was when it was found."""
    try:
        now = file.source.stat()
    except OSError as error:
        raise _changed(file) from error
    if (now.st_size, now.st_mtime_ns) != (file.size, file.modified):
        raise _changed(file)


def parts_of(file: LocalFile) -> Iterator[bytes]:
    """The parts of a large file, one at a time: as many as its size says, whatever becomes of it meanwhile.

    Raises InvalidInputError if it ends before, or can't be read.
    """
    try:
        with file.source.open("rb", buffering=0) as source:
            for start in range(0, file.size, PART_SIZE):
                yield _read_exactly(source, min(PART_SIZE, file.size - start), file)
    except OSError as error:
        check_unchanged(file)
        raise _unreadable(file, error) from error


def _changed(file: LocalFile) -> InvalidInputError:
    return InvalidInputError(
        f"{file.path} was changed while it was read", "wait until it is complete, then run this again"
    )


def _unreadable(file: LocalFile, error: OSError) -> InvalidInputError:
    return InvalidInputError(f"{file.path} can't be read: {error.strerror}", "then run this again")


def _read_exactly(source: FileIO, size: int, file: LocalFile) -> bytes:
    """The next `size` bytes. A read of a regular file returns less only at its end, or when a signal came."""
    part = source.read(size)
    while len(part) < size:
        rest = source.read(size - len(part))
        if not rest:
            raise _changed(file)
        part += rest
    return part


class _UnfitError(Exception):
    """Why something in the folder can't be published."""


def _walk(root: Path, problems: list[str]) -> Iterator[str]:
    """The path below `root` of everything but folders.

    A link to a folder is one of them: nobody follows it, and it mustn't be left out in silence.
    """

    def note(error: OSError) -> None:
        problems.append(f"{error.filename} can't be read: {error.strerror}")

    for parent, folders, names in os.walk(root, onerror=note):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        # Strings: with many thousands of files, paths take longer than reading the folders.
        below = parent[len(str(root)) :].lstrip("/")
        for name in (*links, *names):
            yield f"{below}/{name}" if below else name


def _local_file(root: Path, relative: str) -> LocalFile:
    path = root / relative
    facts, target = path.lstat(), path
    if stat.S_ISLNK(facts.st_mode):
        target = _end_of(path)
        if not target.is_relative_to(root):
            raise _UnfitError(f"is a link to {target}, outside of the folder")
        facts = target.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise _UnfitError("is a link to a folder: put the files themselves there")
    if not stat.S_ISREG(facts.st_mode):
        raise _UnfitError("isn't a file")
    if not os.access(target, os.R_OK):
        raise _UnfitError("can't be read: permission denied")
    if facts.st_size > FILE_MAX:
        raise _UnfitError(f"has {facts.st_size} bytes, and at most {FILE_MAX} can be sent")
    if not relative.isprintable() or len(os.fsencode(relative)) > PATH_MAX:
        raise _UnfitError(f"can't be the name of an object: it is unprintable, or longer than {PATH_MAX} bytes")
    return LocalFile(source=target, path=relative, size=facts.st_size, modified=facts.st_mtime_ns)


def _end_of(link: Path) -> Path:
    """What a link leads to. `Path.resolve` meets a circle with another error in each version of Python."""
    try:
        return Path(os.path.realpath(link, strict=True))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise _UnfitError("is a link that leads nowhere") from error
        raise


def _read_small(file: LocalFile, header: RpmHeader | None) -> Content:
    with file.source.open("rb", buffering=0) as source:
        data = source.read(file.size + 1)
    if len(data) != file.size:
        raise _changed(file)
    digest = hashlib.sha256(data)
    if header is not None:
        header.check_payload(memoryview(data))
    return Content(
        file=file,
        sha256=digest.hexdigest(),
        checksum=base64.b64encode(digest.digest()).decode(),
        data=data,
    )


def _read_large(file: LocalFile, header: RpmHeader | None) -> Content:
    whole, parts = hashlib.sha256(), []
    payload = PayloadCheck(header) if header else None
    for part in parts_of(file):
        whole.update(part)
        parts.append(hashlib.sha256(part).digest())
        if payload is not None:
            payload.update(memoryview(part))
    if payload is not None:
        payload.finish()
    composite = base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()
    return Content(file=file, sha256=whole.hexdigest(), checksum=f"{composite}-{len(parts)}", parts=tuple(parts))
