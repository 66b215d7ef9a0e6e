"""What dnf does at a boot: reads the enabled repositories, resolves what is asked for, verifies and installs it."""

import bz2
import gzip
import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sandbox.machine import capabilities, rpm
from sandbox.machine.bucket import S3Endpoint, join
from sandbox.machine.capabilities import Capability, Version
from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem
from sandbox.machine.repository_files import Repository, enabled_repositories
from sandbox.machine.resolver import Package, resolve

INSTALLED: Final = "/var/lib/lockstep/packages.json"
_DIGESTS: Final[Mapping[str, str]] = {
    "sha": "sha1",
    "sha1": "sha1",
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
}
# createrepo_c, `PackageIn*`: the caller can't go on with less than all of the metadata.
_WITH_FILES: Final = 1

Say = Callable[[str], None]


def install(
    system: FileSystem,
    wanted: Sequence[str],
    endpoint: S3Endpoint,
    arch: str,
    image_provides: Iterable[str],
    say: Say,
) -> None:
    """Install `wanted` and what it requires. Raises BootError, with nothing unpacked unless everything is verified."""
    available, unavailable = _available(enabled_repositories(system, arch), endpoint, say)
    image = [capabilities.parse(text) for text in image_provides]
    try:
        chosen = resolve(wanted, available, image, arch)
    except BootError as error:
        raise BootError("; ".join([str(error), *unavailable])) from error
    contents = {}
    for package in chosen:
        opened = rpm.read(package.nevra, _download(package, endpoint))
        if package.repository.gpgcheck:
            rpm.check_signature(opened, _keys(package.repository, system, endpoint))
        contents[package.nevra] = rpm.members(opened)
    rpm.check_conflicts(contents)
    for name, files in contents.items():
        rpm.unpack(name, files, system, say)
        say(f"  Installed: {name}")
    listing = [
        {"nevra": each.nevra, "name": each.name, "version": str(each.version), "arch": each.arch, "sha256": each.sha256}
        for each in sorted(chosen, key=lambda package: package.nevra)
    ]
    system.write(INSTALLED, json.dumps(listing, indent=1).encode())


def _available(
    repositories: Sequence[Repository], endpoint: S3Endpoint, say: Say
) -> tuple[list[Package], Sequence[str]]:
    """The packages of all repositories, and why some can't be read. Raises BootError for one that must be readable."""
    if not repositories:
        raise BootError("There are no enabled repositories")
    packages: list[Package] = []
    unavailable = []
    for repository in repositories:
        try:
            found = _read_repository(repository, endpoint)
        except BootError as error:
            reason = f"Failed to download metadata for repo '{repository.name}': {error}"
            if not repository.skip_if_unavailable:
                raise BootError(reason) from error
            say(f"Error: {reason}")
            say(f"Ignoring repositories: {repository.name}")
            unavailable.append(reason)
            continue
        say(f"{repository.name}: {len(found)} packages")
        packages += found
    return packages, unavailable


def _read_repository(repository: Repository, endpoint: S3Endpoint) -> list[Package]:
    # Late, because a machine without packages needs none of it.
    from lockstep.publishing.repodata import createrepo

    with createrepo() as (library, folder):
        index = folder / "repomd.xml"
        index.write_bytes(endpoint.fetch(join(repository.baseurl, "repodata/repomd.xml")))
        try:
            repomd = library.Repomd(str(index))
        except Exception as error:
            raise BootError(f"repomd.xml can't be read: {error}") from error
        primary = next((record for record in repomd.records if record.type == "primary"), None)
        if primary is None:
            raise BootError("repomd.xml lists no primary metadata")
        plain = folder / "primary.xml"
        plain.write_bytes(_metadata(repository, primary, endpoint))
        packages: list[Any] = []
        try:
            library.xml_parse_primary(str(plain), None, packages.append, None, _WITH_FILES)
        except Exception as error:
            raise BootError(f"the primary metadata can't be read: {error}") from error
        return [_package(repository, each) for each in packages]


def _metadata(repository: Repository, record: Any, endpoint: S3Endpoint) -> bytes:
    packed = endpoint.fetch(join(repository.baseurl, record.location_href))
    _check_digest(record.location_href, packed, record.checksum_type, record.checksum)
    try:
        plain = _unpacked(record.location_href, packed)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise BootError(f"{record.location_href} can't be unpacked: {error}") from error
    if record.checksum_open:
        _check_digest(f"{record.location_href}, unpacked", plain, record.checksum_open_type, record.checksum_open)
    return plain


def _unpacked(href: str, packed: bytes) -> bytes:
    if href.endswith(".gz"):
        return gzip.decompress(packed)
    if href.endswith(".xz"):
        return lzma.decompress(packed)
    if href.endswith(".bz2"):
        return bz2.decompress(packed)
    if href.endswith(".zst"):
        import zstandard

        try:
            return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
    return packed


def _check_digest(what: str, content: bytes, kind: str, wanted: str) -> None:
    if kind not in _DIGESTS:
        raise BootError(f"{what} has a checksum of the unknown kind {kind}")
    found = hashlib.new(_DIGESTS[kind], content).hexdigest()
    if found != wanted:
        raise BootError(
            f"{what}: {kind} checksum is {found}, and should be {wanted}: it is damaged, or not the one listed"
        )


def _package(repository: Repository, found: Any) -> Package:
    if found.checksum_type != "sha256":
        raise BootError(f"package {found.name} has a checksum of the kind {found.checksum_type}, not sha256")
    return Package(
        repository=repository,
        name=found.name,
        arch=found.arch,
        version=Version(found.epoch, found.version, found.release),
        href=found.location_href,
        size=found.size_package,
        sha256=found.pkgId,
        provides=_capabilities(found.provides),
        requires=_capabilities(found.requires),
        conflicts=_capabilities(found.conflicts),
        obsoletes=_capabilities(found.obsoletes),
        recommends=_capabilities(found.recommends),
        files=tuple(f"{folder}{name}" for _, folder, name, *_ in found.files),
    )


def _capabilities(entries: Any) -> tuple[Capability, ...]:
    return tuple(capabilities.from_metadata(each) for each in entries)


def _download(package: Package, endpoint: S3Endpoint) -> bytes:
    try:
        content = endpoint.fetch(join(package.repository.baseurl, package.href))
    except BootError as error:
        raise BootError(f"package {package.nevra}: {error}") from error
    if len(content) != package.size:
        raise BootError(
            f"package {package.nevra} has {len(content)} bytes, and should have {package.size}: it is cut off, or not "
            "the one listed"
        )
    if (found := rpm.sha256(content)) != package.sha256:
        raise BootError(
            f"package {package.nevra}: sha256 checksum is {found}, and should be {package.sha256}: it is damaged, or "
            "not the one listed"
        )
    return content


def _keys(repository: Repository, system: FileSystem, endpoint: S3Endpoint) -> list[bytes]:
    if not repository.gpgkeys:
        raise BootError(f"repository {repository.name} has gpgcheck=1 and no gpgkey")
    keys = []
    for url in repository.gpgkeys:
        if local := re.fullmatch(r"file://(/.*)", url):
            if not system.is_file(local[1]):
                raise BootError(f"gpgkey {url} of repository {repository.name} doesn't exist")
            keys.append(system.locate(local[1]).read_bytes())
        else:
            keys.append(endpoint.fetch(url))
    return keys
