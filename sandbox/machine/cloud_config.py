"""User data as cloud-init reads it, as far as the sandbox does what it says; everything else is refused by name.

Keys and their meaning: cloud-init documentation, "Module reference" (Write Files, Yum Add Repo, Package Update Upgrade
Install, Runcmd).
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from sandbox.machine.errors import BootError

HEADER: Final = "#cloud-config"
REPOSITORY_FOLDER: Final = "/etc/yum.repos.d"
_KEYS: Final = {"write_files", "yum_repos", "yum_repo_dir", "packages", "package_update", "package_upgrade", "runcmd"}
_FILE_KEYS: Final = {"path", "content", "encoding", "permissions", "owner", "append", "defer"}
_ENCODINGS: Final = ("text/plain",)


@dataclass(frozen=True, kw_only=True)
class WriteFile:
    """One entry of `write_files`; `permissions` is None where it is left as it is (0644 for a new file)."""

    path: str
    content: str
    append: bool = False
    permissions: int | None = None


@dataclass(frozen=True, kw_only=True)
class CloudConfig:
    """What a machine does at its first boot. `repositories` has the options of each by its id; commands are words."""

    files: tuple[WriteFile, ...] = ()
    repositories: Mapping[str, Mapping[str, Any]]
    repository_folder: str = REPOSITORY_FOLDER
    packages: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


def parse(user_data: str | None) -> CloudConfig:
    """The cloud-config in `user_data`; an empty one if there is none. Raises BootError for what isn't supported."""
    if not user_data or not user_data.strip():
        return CloudConfig(repositories={})
    first = user_data.splitlines()[0].strip()
    if first != HEADER:
        raise BootError(f"the sandbox reads user data that begins {HEADER!r}, and this begins {first[:40]!r}")
    try:
        document = yaml.safe_load(user_data)
    except yaml.YAMLError as error:
        raise BootError(f"the user data isn't YAML: {' '.join(str(error).split())}") from error
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise BootError("the user data isn't a mapping of cloud-config's keys")
    if unknown := sorted(set(document) - _KEYS):
        raise BootError(f"the sandbox doesn't support cloud-config's {', '.join(unknown)}")
    for key in ("package_update", "package_upgrade"):
        if document.get(key):
            raise BootError(f"the sandbox doesn't support cloud-config's {key}: true; it would make two boots differ")
    return CloudConfig(
        files=tuple(_file(entry) for entry in _list(document, "write_files")),
        repositories=_repositories(document.get("yum_repos") or {}),
        repository_folder=str(document.get("yum_repo_dir") or REPOSITORY_FOLDER),
        packages=tuple(_package(entry) for entry in _list(document, "packages")),
        commands=tuple(_command(entry) for entry in _list(document, "runcmd")),
    )


def _list(document: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise BootError(f"cloud-config's {key} isn't a list")
    return value


def _file(entry: Any) -> WriteFile:
    if not isinstance(entry, dict) or "path" not in entry:
        raise BootError(f"an entry of write_files has no path: {entry!r}")
    if unknown := sorted(set(entry) - _FILE_KEYS):
        raise BootError(f"the sandbox doesn't support {', '.join(unknown)} of write_files ({entry['path']})")
    if entry.get("encoding", "text/plain") not in _ENCODINGS:
        raise BootError(f"the sandbox doesn't support the encoding {entry['encoding']} of write_files")
    if entry.get("defer"):
        raise BootError(f"the sandbox doesn't support defer of write_files ({entry['path']})")
    permissions = entry.get("permissions")
    try:
        mode = None if permissions is None else int(str(permissions), 8)
    except ValueError:
        raise BootError(f"permissions of {entry['path']} aren't an octal number: {permissions!r}") from None
    return WriteFile(
        path=str(entry["path"]),
        content=str(entry.get("content", "")),
        append=bool(entry.get("append", False)),
        permissions=mode,
    )


def _repositories(value: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, dict):
        raise BootError("cloud-config's yum_repos isn't a mapping")
    for name, options in value.items():
        if not isinstance(options, dict) or not options.get("baseurl"):
            raise BootError(f"repository {name} of yum_repos has no baseurl, and the sandbox has no mirrors")
    return value


def _package(entry: Any) -> str:
    """A package as dnf is told it: a name, or name and version."""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
        return f"{entry[0]}-{entry[1]}"
    raise BootError(f"an entry of packages is neither a name nor [name, version]: {entry!r}")


def _command(entry: Any) -> tuple[str, ...]:
    if isinstance(entry, list) and entry:
        return tuple(str(word) for word in entry)
    if isinstance(entry, str):
        return tuple(shlex.split(entry))
    raise BootError(f"an entry of runcmd is neither a text nor a list: {entry!r}")
