"""Opens an RPM as rpm does before it installs it: digests, signature, scriptlets, files that get in each other's way.

RPM Package Manager, "RPM V4 Package format" and "Tags"; the payload is a cpio archive in the "new ASCII" format
(cpio(5), "newc"), of which the last of several hard links has the content.
"""

import hashlib
import io
import lzma
import stat
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

from lockstep.publishing.rpm_header import NotAnRpmError, read_header
from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem

# The signature's header: the first two sign the header, which holds the payload's digest; the others sign both.
_SIGNATURES_OF_HEADER: Final = ("rsaheader", "signature")
_SIGNATURES_OF_ALL: Final = ("pgp", "gpg")
# What runs when packages are installed or removed. An interpreter without a text (`%post -p /sbin/ldconfig`) runs too.
_SCRIPTLETS: Final[Mapping[str, str]] = {
    "prein": "%pre",
    "preinprog": "%pre",
    "postin": "%post",
    "postinprog": "%post",
    "preun": "%preun",
    "preunprog": "%preun",
    "postun": "%postun",
    "postunprog": "%postun",
    "pretrans": "%pretrans",
    "pretransprog": "%pretrans",
    "posttrans": "%posttrans",
    "posttransprog": "%posttrans",
    "preuntrans": "%preuntrans",
    "preuntransprog": "%preuntrans",
    "postuntrans": "%postuntrans",
    "postuntransprog": "%postuntrans",
    "verifyscript": "%verifyscript",
    "verifyscriptprog": "%verifyscript",
    "triggername": "%trigger",
    "triggerscripts": "%trigger",
    "filetriggername": "%filetrigger",
    "filetriggerscripts": "%filetrigger",
    "transfiletriggername": "%transfiletrigger",
    "transfiletriggerscripts": "%transfiletrigger",
}
# "Tags", FILEFLAGS.
_CONFIG: Final = 1 << 0
_NO_REPLACE: Final = 1 << 4
_CPIO_MAGIC: Final = b"070701"
_CPIO_HEADER: Final = 110
_CPIO_END: Final = "TRAILER!!!"


@dataclass(frozen=True)
class Member:
    """One file of a payload; the content of a symbolic link is its target. `flags` are RPM's (configuration files)."""

    path: str
    mode: int
    content: bytes
    flags: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True)
class Rpm:
    """A package that was opened: its name in messages, its tags, its header's bytes, and where the payload begins."""

    name: str
    content: bytes
    tags: Mapping[str, Any]
    header: bytes
    header_start: int

    @property
    def scriptlets(self) -> list[str]:
        """The kinds of scriptlet that it has."""
        return sorted({kind for tag, kind in _SCRIPTLETS.items() if tag in self.tags})


def read(name: str, content: bytes) -> Rpm:
    """Open the RPM in `content`, whose digests of header and payload have to be right.

    Raises BootError if it isn't whole, or has scriptlets.
    """
    import rpmfile

    try:
        header = read_header(content)
        header.check_payload(memoryview(content))
        with rpmfile.open(fileobj=io.BytesIO(content)) as package:
            start, end = package.header_range
            opened = Rpm(name, content, package.headers, content[start:end], start)
    except NotAnRpmError as error:
        raise BootError(f"package {name}: {error}") from error
    except (ValueError, LookupError, AssertionError, OSError, rpmfile.headers.RPMError) as error:
        raise BootError(f"package {name}: its header can't be read: {error}") from error
    _check_header(opened)
    if opened.scriptlets:
        raise BootError(
            f"the sandbox doesn't run scriptlets, and package {name} has {', '.join(opened.scriptlets)}: on AWS they "
            "would run; build the package without them"
        )
    return opened


def check_signature(package: Rpm, keys: Sequence[bytes]) -> None:
    """Raise BootError unless the package is signed by one of `keys`, which are OpenPGP certificates."""
    import pysequoia

    certificates = [certificate for key in keys for certificate in _certificates(key)]
    everything = package.content[package.header_start :]
    for names, signed in ((_SIGNATURES_OF_HEADER, package.header), (_SIGNATURES_OF_ALL, everything)):
        for name in names:
            if name not in package.tags:
                continue
            try:
                signature = pysequoia.Sig.from_bytes(bytes(package.tags[name]))
                pysequoia.verify(bytes=signed, store=lambda _: certificates, signature=signature)
            except Exception as error:
                fingerprints = ", ".join(each.fingerprint for each in certificates)
                raise BootError(
                    f"package {package.name}: no key of its repository ({fingerprints}) made its signature: {error}"
                ) from error
            return
    raise BootError(f"package {package.name} is not signed, and its repository has gpgcheck=1")


def members(package: Rpm) -> list[Member]:
    """The files of the package. Raises BootError for a payload that can't be unpacked, and for devices."""
    import zstandard

    try:
        archive = _archive(package)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise BootError(f"the payload of package {package.name} can't be unpacked: {error}") from error
    flags = _flags(package.tags)
    found = [replace(each, flags=flags.get(each.path, 0)) for each in _members(package.name, archive)]
    for each in found:
        if not (each.is_folder or each.is_link or stat.S_ISREG(each.mode)):
            raise BootError(f"{each.path} of package {package.name} is a device or a pipe: the sandbox makes none")
    return found


def check_conflicts(packages: Mapping[str, Sequence[Member]]) -> None:
    """Raise BootError if a path is of two packages, unless both have the same there, as rpm allows."""
    owners: dict[str, tuple[str, Member]] = {}
    for name, files in packages.items():
        for member in files:
            owner, other = owners.setdefault(member.path, (name, member))
            same = (member.mode, member.content) == (other.mode, other.content)
            if owner != name and not same and not (member.is_folder and other.is_folder):
                raise BootError(f"file {member.path} of package {name} conflicts with file of package {owner}")


def unpack(name: str, files: Sequence[Member], system: FileSystem, say: Callable[[str], None]) -> None:
    """Write the files of a package. Raises BootError if something else is in the way."""
    for member in files:
        try:
            _write(member, system, say)
        except OSError as error:
            raise BootError(f"{member.path} of package {name} can't be written: {error.strerror}") from error


def sha256(content: bytes) -> str:
    """The digest that repositories name packages by."""
    return hashlib.sha256(content).hexdigest()


def _check_header(package: Rpm) -> None:
    wanted = package.tags.get("sha256")
    if wanted is not None and sha256(package.header) != bytes(wanted).decode("ascii", "replace"):
        raise BootError(f"package {package.name}: its header isn't the one that was packed: its sha256 differs")


def _certificates(key: bytes) -> list[Any]:
    import pysequoia

    try:
        return list(pysequoia.Cert.split_bytes(key))
    except Exception as error:
        raise BootError(f"a gpgkey isn't an OpenPGP certificate: {error}") from error


def _archive(package: Rpm) -> bytes:
    import rpmfile

    with rpmfile.open(fileobj=io.BytesIO(package.content)) as opened:
        archive: bytes = opened.data_file.read()
        return archive


def _flags(tags: Mapping[str, Any]) -> dict[str, int]:
    """RPM's flags of each path: base name, folder by index, flags, three lists side by side."""
    names = _strings(tags.get("basenames"))
    folders = _strings(tags.get("dirnames"))
    indexes, flags = _integers(tags.get("dirindexes")), _integers(tags.get("fileflags"))
    return {
        f"{folders[at]}{name}": flag for name, at, flag in zip(names, indexes, flags, strict=False) if at < len(folders)
    }


def _strings(value: Any) -> list[str]:
    """rpmfile gives a single value instead of a list of one."""
    values = [value] if isinstance(value, bytes) else value or []
    return [each.decode(errors="surrogateescape") for each in values]


def _integers(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value or [])


def _members(package: str, archive: bytes) -> list[Member]:
    found: list[Member] = []
    contents: dict[int, bytes] = {}
    links: dict[int, list[int]] = {}
    at = 0
    while archive[at : at + len(_CPIO_MAGIC)] == _CPIO_MAGIC:
        try:
            fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        except ValueError:
            break
        inode, mode, link_count, size, name_size = fields[0], fields[1], fields[4], fields[6], fields[11]
        name_start = at + _CPIO_HEADER
        name = archive[name_start : name_start + name_size - 1].decode(errors="surrogateescape")
        data = _aligned(name_start + name_size)
        content = archive[data : data + size]
        if name == _CPIO_END:
            return [_linked(member, n, links, contents) for n, member in enumerate(found)]
        if len(content) < size:
            break
        if stat.S_ISREG(mode) and link_count > 1:
            links.setdefault(inode, []).append(len(found))
            contents[inode] = content or contents.get(inode, b"")
        found.append(Member(_safe(package, name), mode, content))
        at = _aligned(data + size)
    if archive[at : at + len(_CPIO_MAGIC)].startswith(b"07070X"):
        raise BootError(f"package {package} has files of 4 GiB or more, whose archive the sandbox doesn't read")
    raise BootError(f"the payload of package {package} ends in the middle")


def _linked(member: Member, number: int, links: Mapping[int, list[int]], contents: Mapping[int, bytes]) -> Member:
    for inode, numbers in links.items():
        if number in numbers:
            return replace(member, content=contents[inode])
    return member


def _aligned(offset: int) -> int:
    return offset + (-offset) % 4


def _safe(package: str, name: str) -> str:
    path = PurePosixPath("/") / name.removeprefix(".").lstrip("/")
    if ".." in path.parts or "\0" in name:
        raise BootError(f"package {package} has the path {name!r}, which leads out of the file system")
    return str(path)


def _write(member: Member, system: FileSystem, say: Callable[[str], None]) -> None:
    target = system.locate(member.path, follow=member.is_folder)
    if member.is_folder:
        target.mkdir(parents=True, exist_ok=True)
        # Whoever runs the sandbox isn't root, and has to be able to write into it and to remove it.
        target.chmod(stat.S_IMODE(member.mode) | stat.S_IRWXU)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.is_link:
        target.unlink(missing_ok=True)
        target.symlink_to(member.content.decode(errors="surrogateescape"))
        return
    if member.flags & _CONFIG and target.is_file() and target.read_bytes() != member.content:
        # What a file that cloud-init wrote beforehand makes of a configuration file: rpm(8), "CONFIGURATION FILES".
        if member.flags & _NO_REPLACE:
            say(f"warning: {member.path} created as {member.path}.rpmnew")
            target = target.with_name(f"{target.name}.rpmnew")
        else:
            say(f"warning: {member.path} saved as {member.path}.rpmorig")
            target.replace(target.with_name(f"{target.name}.rpmorig"))
    target.unlink(missing_ok=True)
    target.write_bytes(member.content)
    target.chmod(stat.S_IMODE(member.mode))
