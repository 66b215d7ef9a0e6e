"""What dnf does at a boot: reads the enabled repositories, resolves what is asked for, verifies and installs it."""

import bz2
import configparser
import gzip
import hashlib
import json
import lzma
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lockstep.deployment_record import compare_versions
from lockstep.publishing.repodata import createrepo
from sandbox.machine import rpm
from sandbox.machine.bucket import S3Endpoint, join
from sandbox.machine.errors import BootError

INSTALLED: Final = "var/lib/lockstep/packages.json"
_TRUE: Final = ("1", "true", "yes", "on")
_COMPARE: Final[Mapping[str, Callable[[int], bool]]] = {
    "EQ": lambda order: order == 0,
    "LT": lambda order: order < 0,
    "LE": lambda order: order <= 0,
    "GT": lambda order: order > 0,
    "GE": lambda order: order >= 0,
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Repository:
    """One enabled repository, from a `.repo` file."""

    name: str
    baseurl: str
    gpgcheck: bool
    gpgkeys: tuple[str, ...]


@dataclass(frozen=True)
class Capability:
    """What a package provides or requires: a name, and for a version its comparison. As createrepo_c tells it."""

    name: str
    flag: str | None = None
    epoch: str | None = None
    version: str | None = None
    release: str | None = None

    def __str__(self) -> str:
        signs = {"EQ": "=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
        release = f"-{self.release}" if self.release else ""
        return self.name if self.flag is None else f"{self.name} {signs[self.flag]} {self.version}{release}"

    def is_met_by(self, provided: "Capability") -> bool:
        """RPM reference manual, "Dependencies": a provide without a version meets no versioned requirement."""
        if self.name != provided.name:
            return False
        if self.flag is None:
            return True
        if provided.version is None:
            return False
        return _COMPARE[self.flag](_compare(provided, self))


@dataclass(frozen=True)
class Package:
    """A package of a repository, as its metadata describes it."""

    repository: Repository
    name: str
    arch: str
    version: Capability
    href: str
    size: int
    sha256: str
    provides: tuple[Capability, ...] = field(repr=False, default=())
    requires: tuple[Capability, ...] = field(repr=False, default=())
    files: tuple[str, ...] = field(repr=False, default=())

    @property
    def nevra(self) -> str:
        """Its full name."""
        epoch = f"{self.version.epoch}:" if self.version.epoch not in (None, "0") else ""
        return f"{self.name}-{epoch}{self.version.version}-{self.version.release}.{self.arch}"

    def meets(self, wanted: Capability) -> bool:
        """Whether it provides `wanted`, by a capability or by a file."""
        return wanted.name in self.files or any(wanted.is_met_by(each) for each in self.provides)


def enabled_repositories(root: Path) -> list[Repository]:
    """The repositories that dnf would use on the file system `root`: those of `reposdir` in dnf.conf, if enabled."""
    main = configparser.ConfigParser(interpolation=None, strict=False)
    configuration = root / "etc/dnf/dnf.conf"
    if configuration.exists():
        text = configuration.read_text()
        main.read_string(text if text.lstrip().startswith("[") else f"[main]\n{text}")
    folders = main.get("main", "reposdir", fallback="/etc/yum.repos.d").replace(",", " ").split()
    found = []
    for folder in folders:
        for path in sorted((root / folder.lstrip("/")).glob("*.repo")):
            found += _read_repo_file(path)
    return found


def install(
    root: Path, wanted: Sequence[str], endpoint: S3Endpoint, arch: str, image_provides: Iterable[str], say: Say
) -> None:
    """Install `wanted` and what it requires into `root`. Raises BootError, with nothing unpacked unless all is well."""
    repositories = enabled_repositories(root)
    if not repositories:
        raise BootError("there are no enabled repositories")
    available: list[Package] = []
    for repository in repositories:
        available += _read_repository(repository, endpoint, arch)
        say(f"{repository.name}: {len(available)} packages")
    image = [Capability(name) for name in image_provides]
    chosen = resolve(wanted, available, image)
    contents = {}
    for package in chosen:
        contents[package] = _download(package, endpoint)
        rpm.check(package.nevra, contents[package])
        if package.repository.gpgcheck:
            rpm.check_signature(package.nevra, contents[package], _keys(package.repository, root, endpoint))
    owners: dict[str, str] = {}
    for package, content in contents.items():
        owners |= dict.fromkeys(rpm.unpack(package.nevra, content, root, owners), package.nevra)
        say(f"Installed: {package.nevra}")
    listing = root / INSTALLED
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text(json.dumps(sorted(package.nevra for package in chosen)))


def resolve(wanted: Sequence[str], available: Sequence[Package], image: Sequence[Capability]) -> list[Package]:
    """The packages to install: the newest that match, and what they require that the image doesn't provide."""
    chosen: list[Package] = []
    for name in wanted:
        matching = [each for each in available if _is_named(each, name)]
        if not matching:
            raise BootError(f"Unable to find a match: {name}")
        _add(_newest(matching), chosen)
    at = 0
    while at < len(chosen):
        for requirement in chosen[at].requires:
            if requirement.name.startswith("rpmlib(") or _is_met(requirement, image, chosen):
                continue
            providers = [each for each in available if each.meets(requirement)]
            if not providers:
                raise BootError(f"nothing provides {requirement} needed by {chosen[at].nevra}")
            _add(_newest(providers), chosen)
        at += 1
    return chosen


def _is_met(requirement: Capability, image: Sequence[Capability], chosen: Sequence[Package]) -> bool:
    on_image = any(each.name == requirement.name for each in image)
    return on_image or any(each.meets(requirement) for each in chosen)


def _add(package: Package, chosen: list[Package]) -> None:
    if package not in chosen:
        chosen.append(package)


def _is_named(package: Package, wanted: str) -> bool:
    version, release = package.version.version, package.version.release
    names = (
        package.name,
        f"{package.name}.{package.arch}",
        f"{package.name}-{version}",
        f"{package.name}-{version}-{release}",
        package.nevra,
    )
    return wanted in names or any(each.name == wanted for each in package.provides)


def _newest(packages: Sequence[Package]) -> Package:
    best = packages[0]
    for each in packages[1:]:
        if _compare(each.version, best.version) > 0:
            best = each
    return best


def _compare(one: Capability, other: Capability) -> int:
    """Epoch, version, release; a release that isn't asked for isn't compared."""
    ours, theirs = int(one.epoch or 0), int(other.epoch or 0)
    if ours != theirs:
        return 1 if ours > theirs else -1
    order = compare_versions(one.version or "", other.version or "")
    if order or one.release is None or other.release is None:
        return order
    return compare_versions(one.release, other.release)


def _read_repo_file(path: Path) -> list[Repository]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(path)
    found = []
    for name in parser.sections():
        section = parser[name]
        if section.get("enabled", "1").lower() not in _TRUE:
            continue
        unknown = sorted(
            set(section) - {"name", "baseurl", "enabled", "gpgcheck", "gpgkey", "priority", "repo_gpgcheck"}
        )
        if unknown or section.get("repo_gpgcheck", "0").lower() in _TRUE:
            raise BootError(f"the sandbox doesn't support {', '.join(unknown) or 'repo_gpgcheck'} of repository {name}")
        found.append(
            Repository(
                name=name,
                baseurl=section["baseurl"],
                gpgcheck=section.get("gpgcheck", "0").lower() in _TRUE,
                gpgkeys=tuple(section.get("gpgkey", "").split()),
            )
        )
    return found


def _read_repository(repository: Repository, endpoint: S3Endpoint, arch: str) -> list[Package]:
    with createrepo() as (library, folder):
        index = folder / "repomd.xml"
        index.write_bytes(endpoint.fetch(join(repository.baseurl, "repodata/repomd.xml")))
        try:
            repomd = library.Repomd(str(index))
        except Exception as error:
            raise BootError(f"repomd.xml of {repository.name} can't be read: {error}") from error
        primary = next((record for record in repomd.records if record.type == "primary"), None)
        if primary is None:
            raise BootError(f"repomd.xml of {repository.name} lists no primary metadata")
        plain = folder / "primary.xml"
        plain.write_bytes(_metadata(repository, primary, endpoint))
        packages: list[Any] = []
        try:
            library.xml_parse_primary(str(plain), None, packages.append, None, 1)
        except Exception as error:
            raise BootError(f"the primary metadata of {repository.name} can't be read: {error}") from error
        return [_package(repository, each) for each in packages if each.arch in ("noarch", arch)]


def _metadata(repository: Repository, record: Any, endpoint: S3Endpoint) -> bytes:
    packed = endpoint.fetch(join(repository.baseurl, record.location_href))
    _check_digest(f"metadata {record.location_href}", packed, record.checksum_type, record.checksum)
    plain = _unpacked(record.location_href, packed)
    if record.checksum_open:
        _check_digest(f"metadata {record.location_href}", plain, record.checksum_open_type, record.checksum_open)
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

        return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    return packed


def _check_digest(what: str, content: bytes, kind: str, wanted: str) -> None:
    if kind not in ("sha256", "sha512", "sha384", "sha1", "sha"):
        raise BootError(f"{what} has a checksum of the unknown kind {kind}")
    found = hashlib.new("sha1" if kind == "sha" else kind, content).hexdigest()
    if found != wanted:
        raise BootError(f"{what}: {kind} checksum is {found}, and should be {wanted}")


def _package(repository: Repository, found: Any) -> Package:
    if found.checksum_type != "sha256":
        raise BootError(f"package {found.name} has a checksum of the kind {found.checksum_type}, not sha256")
    return Package(
        repository=repository,
        name=found.name,
        arch=found.arch,
        version=Capability(found.name, "EQ", found.epoch, found.version, found.release),
        href=found.location_href,
        size=found.size_package,
        sha256=found.pkgId,
        provides=tuple(Capability(*each[:5]) for each in found.provides),
        requires=tuple(Capability(*each[:5]) for each in found.requires),
        files=tuple(f"{folder}{name}" for _, folder, name, *_ in found.files),
    )


def _download(package: Package, endpoint: S3Endpoint) -> bytes:
    content = endpoint.fetch(join(package.repository.baseurl, package.href))
    if len(content) != package.size:
        raise BootError(f"package {package.nevra} has {len(content)} bytes, and should have {package.size}")
    if (found := rpm.sha256(content)) != package.sha256:
        raise BootError(f"package {package.nevra}: sha256 checksum is {found}, and should be {package.sha256}")
    return content


def _keys(repository: Repository, root: Path, endpoint: S3Endpoint) -> list[bytes]:
    if not repository.gpgkeys:
        raise BootError(f"repository {repository.name} has gpgcheck=1 and no gpgkey")
    keys = []
    for url in repository.gpgkeys:
        if local := re.fullmatch(r"file://(/.*)", url):
            path = root / local[1].lstrip("/")
            if not path.is_file():
                raise BootError(f"gpgkey {url} of repository {repository.name} doesn't exist")
            keys.append(path.read_bytes())
        else:
            keys.append(endpoint.fetch(url))
    return keys
