"""User data as cloud-init reads it, as far as the sandbox does what it says; everything else is refused by name.

Keys and their meaning: cloud-init documentation, "Module reference" (Write Files, Yum Add Repo, Package Update Upgrade
Install, Runcmd), and "User-data formats".
"""

import base64
import binascii
import gzip
import re
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from sandbox.machine.errors import BootError
from sandbox.machine.repository_files import FOLDER

HEADER: Final = "#cloud-config"
_KEYS: Final = {"write_files", "yum_repos", "yum_repo_dir", "packages", "package_update", "package_upgrade", "runcmd"}
_FILE_KEYS: Final = {"path", "content", "encoding", "permissions", "owner", "append", "defer"}
_DEFAULT_PERMISSIONS: Final = "0644"
# What each encoding of write_files means: whether base64 comes first, whether gzip is in it.
_ENCODINGS: Final[Mapping[str, tuple[bool, bool]]] = {
    "text/plain": (False, False),
    "b64": (True, False),
    "base64": (True, False),
    "gz": (False, True),
    "gzip": (False, True),
    "gz+b64": (True, True),
    "gz+base64": (True, True),
    "gzip+b64": (True, True),
    "gzip+base64": (True, True),
}
# dnf.conf(5): what the id of a repository may hold.
_REPOSITORY_ID: Final = re.compile(r"[A-Za-z0-9._:-]+")
_OTHER_KINDS: Final[Mapping[str, str]] = {
    "#!": "a script",
    "## template: jinja": "a jinja template",
    "#include": "a list of addresses to include",
    "#cloud-boothook": "a boot hook",
    "#cloud-config-archive": "an archive",
    "#part-handler": "a part handler",
    "Content-Type:": "a MIME message",
    "MIME-Version:": "a MIME message",
    "From ": "a MIME message",
    "\x1f\ufffd": "gzip data",
}
_SHELL: Final = frozenset("&|;<>()$`\n*?")


@dataclass(frozen=True, kw_only=True)
class WriteFile:
    """One entry of `write_files`. `owner` is only known: all of a machine's files are of who runs the sandbox."""

    path: str
    content: bytes
    permissions: int
    owner: str
    append: bool
    deferred: bool


@dataclass(frozen=True, kw_only=True)
class CloudConfig:
    """What a machine does at its first boot. `repositories` has the options of each by its id; commands are words."""

    files: tuple[WriteFile, ...] = ()
    repositories: Mapping[str, Mapping[str, str]]
    repository_folder: str = FOLDER
    packages: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


def parse(user_data: str | None) -> CloudConfig:
    """The cloud-config in `user_data`; an empty one if there is none. Raises BootError for what isn't supported."""
    if not user_data or not user_data.strip():
        return CloudConfig(repositories={})
    _check_kind(user_data)
    document = _document(user_data)
    if unknown := sorted(str(key) for key in document if key not in _KEYS):
        raise BootError(f"the sandbox doesn't support {', '.join(unknown)} of cloud-config")
    for key in ("package_update", "package_upgrade"):
        if _flag(document, key, "cloud-config"):
            raise BootError(f"the sandbox doesn't support {key}: true of cloud-config")
    return CloudConfig(
        files=tuple(_file(entry) for entry in _list(document, "write_files")),
        repositories=_repositories(document.get("yum_repos") or {}),
        repository_folder=str(document.get("yum_repo_dir") or FOLDER),
        packages=tuple(_package(entry) for entry in _list(document, "packages")),
        commands=tuple(_command(entry) for entry in _list(document, "runcmd")),
    )


def _check_kind(user_data: str) -> None:
    first = user_data.splitlines()[0].rstrip()
    if first == HEADER:
        return
    kind = next((kind for start, kind in _OTHER_KINDS.items() if user_data.startswith(start)), "something else")
    raise BootError(f"the sandbox reads user data that begins {HEADER!r}, and this is {kind}, beginning {first[:40]!r}")


def _document(user_data: str) -> Mapping[Any, Any]:
    try:
        document = yaml.safe_load(user_data)
    except yaml.YAMLError as error:
        raise BootError(f"the user data isn't YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BootError(f"the user data isn't a mapping of cloud-config's keys but {type(document).__name__}")
    return document


def _list(document: Mapping[Any, Any], key: str) -> Sequence[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise BootError(f"{key} of cloud-config isn't a list but {value!r}")
    return value


def _flag(mapping: Mapping[Any, Any], key: str, where: str) -> bool:
    value = mapping.get(key, False)
    if not isinstance(value, bool):
        raise BootError(f"{key} of {where} is neither true nor false but {value!r}")
    return value


def _file(entry: Any) -> WriteFile:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise BootError(f"an entry of write_files has no path: {entry!r}")
    where = f"write_files ({entry['path']})"
    if not entry["path"].startswith("/"):
        raise BootError(f"path of {where} isn't absolute")
    if unknown := sorted(str(key) for key in entry if key not in _FILE_KEYS):
        raise BootError(f"the sandbox doesn't support {', '.join(unknown)} of {where}")
    return WriteFile(
        path=entry["path"],
        content=_decoded(str(entry.get("content", "")), str(entry.get("encoding", "text/plain")), where),
        permissions=_mode(entry.get("permissions", _DEFAULT_PERMISSIONS), where),
        owner=str(entry.get("owner", "root:root")),
        append=_flag(entry, "append", where),
        deferred=_flag(entry, "defer", where),
    )


def _mode(permissions: Any, where: str) -> int:
    """Without quotes YAML makes a number of them, octal or not by how it begins; cloud-init's schema wants a text."""
    try:
        if isinstance(permissions, str):
            return int(permissions, 8)
    except ValueError:
        pass
    raise BootError(f"permissions of {where} aren't an octal number in quotes but {permissions!r}")


def _decoded(content: str, encoding: str, where: str) -> bytes:
    if encoding.lower() not in _ENCODINGS:
        raise BootError(f"encoding of {where} is none of {', '.join(_ENCODINGS)} but {encoding!r}")
    in_base64, in_gzip = _ENCODINGS[encoding.lower()]
    try:
        data = base64.b64decode(content) if in_base64 else content.encode()
        return gzip.decompress(data) if in_gzip else data
    except (binascii.Error, OSError, EOFError, zlib.error) as error:
        raise BootError(f"content of {where} isn't {encoding}: {error}") from error


def _repositories(value: Any) -> Mapping[str, Mapping[str, str]]:
    if not isinstance(value, dict):
        raise BootError(f"yum_repos of cloud-config isn't a mapping but {value!r}")
    found = {}
    for name, options in value.items():
        if not _REPOSITORY_ID.fullmatch(str(name)):
            raise BootError(f"{name!r} of yum_repos isn't an id of a repository")
        if not isinstance(options, dict) or not options.get("baseurl"):
            raise BootError(f"repository {name} of yum_repos has no baseurl, and the sandbox has no mirrors")
        found[str(name)] = {str(key): _option(each) for key, each in options.items()}
    return found


def _option(value: Any) -> str:
    """As cloud-init writes it into a `.repo` file."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return "\n    ".join(_option(each) for each in value)
    return str(value)


def _package(entry: Any) -> str:
    """A package as dnf is told it: a name, or name and version."""
    if isinstance(entry, str) and entry:
        return entry
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
        return f"{entry[0]}-{entry[1]}"
    raise BootError(f"an entry of packages is neither a name nor [name, version] but {entry!r}")


def _command(entry: Any) -> tuple[str, ...]:
    """A text is for a shell, a list isn't; the sandbox has no shell, so the text must be without its signs."""
    if isinstance(entry, list) and entry:
        return tuple(str(word) for word in entry)
    if not isinstance(entry, str) or not entry.strip():
        raise BootError(f"an entry of runcmd is neither a text nor a list but {entry!r}")
    if signs := sorted(_SHELL & set(entry.strip())):
        raise BootError(f"the sandbox has no shell for {' '.join(signs)!r} in the runcmd {entry.strip()!r}")
    try:
        return tuple(shlex.split(entry))
    except ValueError as error:
        raise BootError(f"the runcmd {entry!r} can't be read: {error}") from error
