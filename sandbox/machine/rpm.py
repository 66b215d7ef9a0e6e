"""Opens an RPM as rpm does before it installs it: digests, signature, scriptlets, a payload that stays in the root."""

import hashlib
import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lockstep.publishing.rpm_header import NotAnRpmError, read_header
from sandbox.machine.errors import BootError

_SIGNATURE_TAGS: Final = ("rsaheader", "signature", "pgp", "gpg")


@dataclass(frozen=True)
class Member:
    """One file of a payload; `target` is that of a symbolic link."""

    path: PurePosixPath
    mode: int
    content: bytes

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


def check(name: str, content: bytes) -> None:
    """Raise BootError unless `content` is a whole RPM that the sandbox can install."""
    try:
        header = read_header(content)
        header.check_payload(memoryview(content))
    except NotAnRpmError as error:
        raise BootError(f"package {name}: {error}") from error
    if header.scriptlets:
        raise BootError(
            f"the sandbox doesn't run scriptlets, and package {name} has {', '.join(header.scriptlets)}: on AWS they "
            "would run"
        )


def check_signature(name: str, content: bytes, keys: list[bytes]) -> None:
    """Raise BootError unless the package is signed by one of `keys`, which are OpenPGP certificates."""
    import pysequoia

    certificates = [certificate for key in keys for certificate in pysequoia.Cert.split_bytes(key)]
    tags, header, start = _parts(content)
    for tag in _SIGNATURE_TAGS:
        if tag not in tags:
            continue
        # The first two are of the header alone, which holds the payload's digest; the others are of both.
        signed = header if tag in ("rsaheader", "signature") else content[start:]
        try:
            pysequoia.verify(
                bytes=signed, store=lambda _: certificates, signature=pysequoia.Sig.from_bytes(bytes(tags[tag]))
            )
        except Exception as error:
            raise BootError(f"package {name} has a signature that no key of the repository made: {error}") from error
        return
    raise BootError(f"Package {name} is not signed, and its repository has gpgcheck=1")


def unpack(name: str, content: bytes, root: Path, owners: Mapping[str, str]) -> list[str]:
    """Unpack into `root`; returns the paths. `owners` says which package has which path already."""
    paths = []
    for member in _members(content):
        path = str(member.path)
        if path in owners and not stat.S_ISDIR(member.mode):
            raise BootError(f"file {path} of {name} conflicts with file from package {owners[path]}")
        _write(name, member, root)
        paths.append(path)
    return paths


def _parts(content: bytes) -> tuple[Mapping[str, Any], bytes, int]:
    """Tags of the signature header, the bytes of the main header, and where that begins."""
    import rpmfile

    with rpmfile.open(fileobj=io.BytesIO(content)) as package:
        start, end = package.header_range
        return package.headers, content[start:end], start


def _members(content: bytes) -> list[Member]:
    """The payload: a cpio archive in the "new ASCII" format (cpio(5), "newc")."""
    import rpmfile

    with rpmfile.open(fileobj=io.BytesIO(content)) as package:
        try:
            archive = package.data_file.read()
        except Exception as error:
            raise BootError(f"a payload can't be unpacked: {error}") from error
    members: list[Member] = []
    at = 0
    while archive[at : at + 6] == b"070701":
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        data = at + 110 + name_size + (-(110 + name_size)) % 4
        if name == "TRAILER!!!":
            return members
        members.append(Member(_safe(name), mode, archive[data : data + size]))
        at = data + size + (-size) % 4
    raise BootError("a payload ends in the middle")


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath("/") / name.removeprefix(".")
    if ".." in path.parts:
        raise BootError(f"a payload has the path {name}, which leads out of the file system")
    return path


def _write(package: str, member: Member, root: Path) -> None:
    target = root.joinpath(*member.path.parts[1:])
    parent = target if stat.S_ISDIR(member.mode) else target.parent
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.resolve().is_relative_to(root.resolve()):
        raise BootError(f"{member.path} of {package} leads out of the file system through a link")
    if stat.S_ISDIR(member.mode):
        target.chmod(stat.S_IMODE(member.mode) | stat.S_IRWXU)
    elif member.is_link:
        target.unlink(missing_ok=True)
        target.symlink_to(member.content.decode())
    elif stat.S_ISREG(member.mode):
        target.unlink(missing_ok=True)
        target.write_bytes(member.content)
        target.chmod(stat.S_IMODE(member.mode))
    else:
        raise BootError(f"{member.path} of {package} is a device or a pipe: the sandbox makes none")


def sha256(content: bytes) -> str:
    """The digest that repositories name packages by."""
    return hashlib.sha256(content).hexdigest()
