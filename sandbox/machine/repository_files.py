"""Which repositories dnf would use on a machine, and how: `/etc/dnf/dnf.conf` and the `.repo` files, dnf.conf(5)."""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem

CONFIGURATION: Final = "/etc/dnf/dnf.conf"
FOLDER: Final = "/etc/yum.repos.d"
# What the image has there before its first boot: as in Fedora, from which Amazon Linux 2023's dnf comes.
IMAGE_CONFIGURATION: Final = (
    "[main]\n"
    "gpgcheck=True\n"
    "installonly_limit=3\n"
    "clean_requirements_on_remove=True\n"
    "best=False\n"
    "skip_if_unavailable=True\n"
)
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")
_DONE: Final = frozenset({"name", "baseurl", "enabled", "gpgcheck", "gpgkey", "skip_if_unavailable"})
# Of no consequence for a machine that boots once, with nothing cached.
_WITHOUT_EFFECT: Final = frozenset({"metadata_expire", "type", "failovermethod"})
_DONE_IN_MAIN: Final = frozenset({"reposdir", "gpgcheck", "skip_if_unavailable"})
_WITHOUT_EFFECT_IN_MAIN: Final = frozenset({"installonly_limit", "clean_requirements_on_remove", "best", "keepcache"})
_VARIABLE: Final = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class Repository:
    """One enabled repository. One that can't be read is left out if `skip_if_unavailable`, and fails dnf if not."""

    name: str
    baseurl: str
    gpgcheck: bool
    gpgkeys: tuple[str, ...] = ()
    skip_if_unavailable: bool = True


def prepare(system: FileSystem) -> None:
    """Write what the image has."""
    system.write(CONFIGURATION, IMAGE_CONFIGURATION.encode())


def enabled_repositories(system: FileSystem, arch: str) -> list[Repository]:
    """The repositories that dnf would use: those of `reposdir` that are enabled. Raises BootError for an option that
    the sandbox doesn't honour.
    """
    main = _main(system)
    found: list[Repository] = []
    for folder in main.get("reposdir", FOLDER).replace(",", " ").split():
        for path in system.listing(folder, "*.repo"):
            found += _repositories(path, _parsed(system, path), main, arch)
    return found


def _main(system: FileSystem) -> Mapping[str, str]:
    parser = _parsed(system, CONFIGURATION)
    main = dict(parser["main"]) if parser.has_section("main") else {}
    if unknown := sorted(set(main) - _DONE_IN_MAIN - _WITHOUT_EFFECT_IN_MAIN):
        raise BootError(f"the sandbox doesn't support {', '.join(unknown)} in {CONFIGURATION}")
    return main


def _parsed(system: FileSystem, path: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="")
    try:
        parser.read_string(system.read_text(path), path)
    except configparser.Error as error:
        raise BootError(f"{path} can't be read: {' '.join(str(error).split())}") from error
    return parser


def _repositories(path: str, parser: configparser.ConfigParser, main: Mapping[str, str], arch: str) -> list[Repository]:
    found = []
    for name in parser.sections():
        options = dict(parser[name])
        if not _is_true(name, "enabled", options.get("enabled", "1")):
            continue
        if unknown := sorted(set(options) - _DONE - _WITHOUT_EFFECT):
            raise BootError(f"the sandbox doesn't support {', '.join(unknown)} of repository {name} ({path})")
        urls = options.get("baseurl", "").replace(",", " ").split()
        if len(urls) != 1:
            raise BootError(f"repository {name} ({path}) has {len(urls)} baseurl, and the sandbox reads one")
        keys = options.get("gpgkey", "").replace(",", " ").split()
        found.append(
            Repository(
                name=name,
                baseurl=_expanded(name, urls[0], arch),
                gpgcheck=_is_true(name, "gpgcheck", options.get("gpgcheck", main.get("gpgcheck", "0"))),
                gpgkeys=tuple(_expanded(name, key, arch) for key in keys),
                skip_if_unavailable=_is_true(
                    name,
                    "skip_if_unavailable",
                    options.get("skip_if_unavailable", main.get("skip_if_unavailable", "0")),
                ),
            )
        )
    return found


def _is_true(repository: str, option: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise BootError(f"{option}={value} of repository {repository} is neither true nor false")


def _expanded(repository: str, url: str, arch: str) -> str:
    """dnf.conf(5), "Repo variables"."""
    known = {"arch": arch, "basearch": arch}

    def replace(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise BootError(f"the sandbox doesn't know the variable {match[0]} of repository {repository} ({url})")
        return known[match[1]]

    return _VARIABLE.sub(replace, url)
