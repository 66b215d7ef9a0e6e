"""The manifest of a release: every object that belongs to it, with what S3 says of it. The same bytes in every region.

The digest of a release is that of its manifest: two releases with the same digest have the same content.
"""

import base64
import hashlib
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX
from lockstep.errors import InvalidInputError
from lockstep.publishing.package_set import Content

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Entry(_Part):
    """One object: its path in the release, its key in the bucket, its size in bytes, the SHA-256 of its content.

    `checksum` is what S3 calls ChecksumSHA256: for an object that was uploaded in parts, that of the parts' checksums
    with their number (S3 User Guide, "Checking object integrity").
    """

    path: str
    key: str
    size: int
    sha256: str
    checksum: str


class Manifest(_Part):
    """All entries of a release, sorted by path: `packages` and other files, and the `repodata` that lists them."""

    format: int = FORMAT
    application: str
    release: str
    files: tuple[Entry, ...]
    repodata: tuple[Entry, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every object, what is listed before what lists it."""
        return (*self.files, *self.repodata)

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(entry.size for entry in self.entries)

    def content(self) -> bytes:
        """The manifest as it is stored."""
        return self.model_dump_json(by_alias=True, indent=1).encode() + b"\n"

    @property
    def package_set(self) -> str:
        """SHA-256 of the files' paths and digests, hexadecimal: the same whatever tool made the repository of them."""
        lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def digest(self) -> str:
        """SHA-256 of the stored manifest, hexadecimal."""
        return hashlib.sha256(self.content()).hexdigest()

    @classmethod
    def parse(cls, content: bytes, where: str) -> Self:
        """The manifest in `content`. Raises InvalidInputError, naming `where`, if it isn't one."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise InvalidInputError(
                f"{where} isn't a manifest of a release ({error.errors()[0]['msg']})",
                "it has been overwritten: restore its first version in the bucket, or publish under a new version",
            ) from error


def package_key(sha256: str, name: str) -> str:
    """Where a file's content is, however many releases have it."""
    return f"{PACKAGES_PREFIX}{sha256}/{name}"


def release_key(release: str, path: str) -> str:
    """Where a release's own object is."""
    return f"{RELEASES_PREFIX}{release}/{path}"


def entry_of_file(content: Content) -> Entry:
    """A file of the release, which is stored once per region however many releases have it."""
    return Entry(
        path=content.file.path,
        key=package_key(content.sha256, content.file.name),
        size=content.file.size,
        sha256=content.sha256,
        checksum=content.checksum,
    )


def entry_of_bytes(release: str, path: str, content: bytes) -> Entry:
    """An object of the release's own."""
    digest = hashlib.sha256(content)
    return Entry(
        path=path,
        key=release_key(release, path),
        size=len(content),
        sha256=digest.hexdigest(),
        checksum=base64.b64encode(digest.digest()).decode(),
    )
