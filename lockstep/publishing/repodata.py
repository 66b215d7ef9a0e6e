"""The repository metadata of a release, by createrepo_c: the same bytes whoever makes them, wherever.

createrepo_c gets only the beginning of each package, up to its payload: the checksum, for which it would read the rest,
is known by then. There is no ready-made createrepo_c for macOS among Python's packages; there it is built from source.
"""

import gzip
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockstep.errors import InvalidInputError
from lockstep.publishing.manifest import package_key
from lockstep.publishing.package_set import Content

# A release's folder is two levels below the root of the bucket, next to that of the packages.
_TO_ROOT: Final = "../../"
_REPODATA: Final = "repodata"


@dataclass(frozen=True)
class MetadataFile:
    """A file of the repository: its path in the release and its content."""

    path: str
    content: bytes


@dataclass(frozen=True)
class Package:
    """What a package says of itself."""

    name: str
    version: str
    nevra: str


def describe(contents: Sequence[Content]) -> tuple[list[Package], list[MetadataFile]]:
    """The packages among `contents`, and the repository that lists them, `repomd.xml` last.

    Raises InvalidInputError with every package that can't be read, and with different ones of one name.
    """
    with createrepo() as (library, folder):
        loaded, problems = [], []
        for content in contents:
            if not content.file.is_package:
                continue
            try:
                loaded.append((content, _load(library, folder, content)))
            except Exception as error:
                problems.append(f"{content.file.path} isn't an RPM that createrepo_c can read: {error}")
        packages = [Package(each.name, each.version, each.nevra()) for _, each in loaded]
        problems += _doubles(loaded)
        if problems:
            raise InvalidInputError(
                "nothing was published:\n" + "\n".join(problems), "correct that, then run this again"
            )
        unique = {content.sha256: each for content, each in loaded}
        return packages, _metadata(library, list(unique.values()))


def _load(library: Any, folder: Path, content: Content) -> Any:
    beginning = folder / "package.rpm"
    beginning.write_bytes(content.header)
    package = library.package_from_rpm(str(beginning), library.SHA256)
    package.pkgId = content.sha256
    package.size_package = content.file.size
    # When it was built, not when it was copied here: that would differ from one publisher to the next.
    package.time_file = package.time_build
    package.location_href = f"{_TO_ROOT}{package_key(content.sha256, content.file.name)}"
    return package


def _doubles(loaded: Sequence[tuple[Content, Any]]) -> list[str]:
    seen: dict[str, Content] = {}
    problems = []
    for content, package in loaded:
        first = seen.setdefault(package.nevra(), content)
        if first.sha256 != content.sha256:
            problems.append(
                f"{first.file.path} and {content.file.path} are both {package.nevra()}, with different content"
            )
    return problems


def _metadata(library: Any, packages: Sequence[Any]) -> list[MetadataFile]:
    ordered = sorted(packages, key=lambda package: (package.nevra(), package.pkgId))
    newest = max((package.time_build for package in ordered), default=0)
    kinds: dict[str, tuple[str, str, Callable[[Any], str]]] = {
        "primary": (
            'metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
            "metadata",
            library.xml_dump_primary,
        ),
        "filelists": (
            'filelists xmlns="http://linux.duke.edu/metadata/filelists"',
            "filelists",
            library.xml_dump_filelists,
        ),
        "other": ('otherdata xmlns="http://linux.duke.edu/metadata/other"', "otherdata", library.xml_dump_other),
    }
    repomd = library.Repomd()
    repomd.revision = str(newest)
    files = []
    for kind, (opening, closing, dump) in kinds.items():
        chunks = "".join(dump(package) for package in ordered)
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{opening} packages="{len(ordered)}">\n{chunks}</{closing}>\n'
        plain = text.encode()
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
