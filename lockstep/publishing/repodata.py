"""The repository metadata of a release, by createrepo_c: the same bytes whoever makes them, wherever.

createrepo_c gets only the beginning of each package, up to its payload: the checksum, for which it would read the rest,
is known by then. There is no ready-made createrepo_c for macOS among Python's packages; there it is built from source.
"""

import gzip
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockstep.errors import InvalidInputError
from lockstep.publishing.manifest import package_key
from lockstep.publishing.package_set import Content, LocalFile, raise_problems, read_beginning
from lockstep.publishing.rpm_header import NotAnRpmError, RpmHeader

# A release's folder is two levels below the root of the bucket, next to that of the packages.
_TO_ROOT: Final = "../../"
_REPODATA: Final = "repodata"
_ROOTS: Final = {
    "primary": 'metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
    "filelists": 'filelists xmlns="http://linux.duke.edu/metadata/filelists"',
    "other": 'otherdata xmlns="http://linux.duke.edu/metadata/other"',
}


@dataclass(frozen=True)
class MetadataFile:
    """A file of the repository: its path in the release and its content."""

    path: str
    content: bytes


@dataclass(frozen=True)
class Package:
    """A package whose header was read. `nevra` is its name, epoch, version, release and architecture."""

    file: LocalFile
    header: RpmHeader
    name: str
    version: str
    nevra: str
    beginning_sha256: str
    parsed: Any
    """createrepo_c's own package, which lacks what is known only when the file was read: checksum, and with it href."""


def open_packages(files: Sequence[LocalFile]) -> list[Package]:
    """The packages among `files`, by their headers alone.

    Raises InvalidInputError with every one that can't be read, and with those that differ and have one name.
    """
    packages: list[Package] = []
    problems: list[str] = []
    with createrepo() as (library, folder):
        for file in files:
            if not file.is_package:
                continue
            try:
                packages.append(_open(library, folder, file))
            except NotAnRpmError as error:
                problems.append(f"{file.path} isn't a whole RPM: {error}")
            except InvalidInputError as error:
                problems.append(error.message)
            except OSError as error:
                # createrepo_c raises these too, without a number.
                problems.append(f"{file.path} can't be read: {error.strerror or error}")
    raise_problems([*problems, *_doubles(packages)])
    return packages


def metadata(packages: Sequence[Package], contents: Mapping[str, Content]) -> list[MetadataFile]:
    """The repository of `packages`, whose contents are given by path; `repomd.xml` last."""
    with createrepo() as (library, _):
        unique: dict[str, Any] = {}
        for package in packages:
            content = contents[package.file.path]
            unique.setdefault(content.sha256, _completed(package, content))
        ordered = sorted(unique.values(), key=lambda parsed: (parsed.nevra(), parsed.pkgId))
        return _repository(library, ordered)


@contextmanager
def createrepo() -> Iterator[tuple[Any, Path]]:
    """createrepo_c and a folder to work in.

    The RPM library in it looks for its configuration when it is loaded, and complains on stderr where RPM isn't
    installed; it needs none of it to read a package, so it gets an empty one.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-publish-") as folder:
        path = Path(folder)
        for name in ("rpmrc", "macros"):
            (path / name).touch()
        before = os.environ.get("RPM_CONFIGDIR")
        os.environ["RPM_CONFIGDIR"] = folder
        try:
            import createrepo_c

            yield createrepo_c, path
        finally:
            if before is None:
                del os.environ["RPM_CONFIGDIR"]
            else:
                os.environ["RPM_CONFIGDIR"] = before


def _open(library: Any, folder: Path, file: LocalFile) -> Package:
    header, beginning = read_beginning(file)
    copy = folder / "package.rpm"
    copy.write_bytes(beginning)
    parsed = library.package_from_rpm(str(copy), library.SHA256)
    return Package(
        file=file,
        header=header,
        name=parsed.name,
        version=parsed.version,
        nevra=parsed.nevra(),
        beginning_sha256=hashlib.sha256(beginning).hexdigest(),
        parsed=parsed,
    )


def _doubles(packages: Sequence[Package]) -> list[str]:
    """Headers hold the payload's digest, so that what differs anywhere differs in its beginning."""
    seen: dict[str, Package] = {}
    problems = []
    for package in packages:
        first = seen.setdefault(package.nevra, package)
        if first.beginning_sha256 != package.beginning_sha256:
            problems.append(
                f"{first.file.path} and {package.file.path} are both {package.nevra}, with different content"
            )
    return problems


def _completed(package: Package, content: Content) -> Any:
    parsed = package.parsed
    parsed.pkgId = content.sha256
    parsed.size_package = content.file.size
    # When it was built, not when it was copied here: that would differ from one publisher to the next.
    parsed.time_file = parsed.time_build
    # Not encoded, as createrepo_c leaves it: dnf encodes it (librepo pull request 188), once more if it was.
    parsed.location_href = _TO_ROOT + package_key(content.sha256, content.file.name)
    return parsed


def _repository(library: Any, packages: Sequence[Any]) -> list[MetadataFile]:
    """What is listed before what lists it. The newest package's build time stands for the time of all."""
    dumps: dict[str, Callable[[Any], str]] = {
        "primary": library.xml_dump_primary,
        "filelists": library.xml_dump_filelists,
        "other": library.xml_dump_other,
    }
    newest = max((package.time_build for package in packages), default=0)
    repomd = library.Repomd()
    repomd.revision = str(newest)
    files = []
    for kind, dump in dumps.items():
        plain = _document(_ROOTS[kind], [dump(package) for package in packages])
        packed = gzip.compress(plain, mtime=0)
        digest = hashlib.sha256(packed).hexdigest()
        path = f"{_REPODATA}/{digest}-{kind}.xml.gz"
        files.append(MetadataFile(path, packed))
        record = library.RepomdRecord(kind, None)
        record.location_href = path
        record.checksum_type, record.checksum = "sha256", digest
        record.checksum_open_type, record.checksum_open = "sha256", hashlib.sha256(plain).hexdigest()
        record.size, record.size_open, record.timestamp = len(packed), len(plain), newest
        repomd.set_record(record)
    files.append(MetadataFile(f"{_REPODATA}/repomd.xml", repomd.xml_dump().encode()))
    return files


def _document(root: str, chunks: Sequence[str]) -> bytes:
    opening = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} packages="{len(chunks)}">\n'
    return f"{opening}{''.join(chunks)}</{root.partition(' ')[0]}>\n".encode()
