"""systemd's unit files, as far as the sandbox does what they say; everything else is refused by unit, section and key.

systemd.syntax(7), systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.exec(5).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.machine.errors import BootError

FOLDERS: Final = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")

# What the sandbox does.
_DONE: Final[Mapping[str, frozenset[str]]] = {
    "Unit": frozenset({"Requires", "Wants", "BindsTo", "After", "Before", "ConditionPathExists"}),
    "Service": frozenset(
        {
            "Type",
            "ExecStart",
            "ExecStartPre",
            "Environment",
            "EnvironmentFile",
            "WorkingDirectory",
            "Restart",
            "RestartSec",
            "TimeoutStopSec",
            "KillSignal",
            "Sockets",
            "StandardOutput",
            "StandardError",
        }
    ),
    "Socket": frozenset({"ListenStream", "Accept", "Service", "FileDescriptorName", "Backlog", "NoDelay"}),
    "Install": frozenset({"WantedBy", "RequiredBy", "Also"}),
}
_DOCUMENTARY: Final = frozenset({"Description", "Documentation"})
# What a service may not do on AWS and may here: it is a process of the user who runs the sandbox.
CONFINEMENT: Final = frozenset(
    {
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "DynamicUser",
        "Group",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateTmp",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectSystem",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "SystemCallArchitectures",
        "SystemCallFilter",
        "UMask",
        "User",
    }
)
_SECTIONS: Final = {".service": ("Unit", "Service", "Install"), ".socket": ("Unit", "Socket", "Install")}
_TYPES: Final = ("simple", "exec")
_RESTARTS: Final = ("no", "on-failure", "always", "on-success")
_SPECIFIER: Final = re.compile("%(.)")
_SPANS: Final = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Unit:
    """A unit: its name, and the values of each key of each section, in order."""

    name: str
    sections: Mapping[str, Mapping[str, tuple[str, ...]]]

    @property
    def stem(self) -> str:
        """Its name without the suffix."""
        return self.name.rpartition(".")[0]

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket."""
        return self.name.endswith(".socket")

    def all(self, section: str, key: str) -> tuple[str, ...]:
        """Every value of a key."""
        return self.sections.get(section, {}).get(key, ())

    def one(self, section: str, key: str, default: str = "") -> str:
        """The last value of a key, which is the one that counts."""
        values = self.all(section, key)
        return values[-1] if values else default

    def words(self, section: str, *keys: str) -> list[str]:
        """Every word of every value of `keys`."""
        return [word for key in keys for value in self.all(section, key) for word in value.split()]

    @property
    def confinement(self) -> list[str]:
        """The keys that confine a service on AWS and don't here."""
        return sorted(set(self.sections.get("Service", {})) & CONFINEMENT)


def load(root: Path, name: str) -> Unit | None:
    """The unit `name` in the file system `root`; None if there is none. Raises BootError for what isn't supported."""
    for folder in FOLDERS:
        path = root / folder / name
        if path.is_file():
            return parse(name, path.read_text())
    return None


def parse(name: str, text: str) -> Unit:
    """The unit in `text`. Raises BootError for what isn't supported, by unit, section and key."""
    suffix = f".{name.rpartition('.')[2]}"
    if suffix not in _SECTIONS:
        raise BootError(f"the sandbox has no units of the kind {suffix} ({name})")
    sections: dict[str, dict[str, tuple[str, ...]]] = {}
    section = ""
    for line in _lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            if section not in _SECTIONS[suffix] and not section.startswith("X-"):
                raise BootError(f"the sandbox doesn't support section [{section}] of {name}")
            continue
        key, sign, value = line.partition("=")
        if not sign or not section:
            raise BootError(f"{name}: {line!r} is neither a section nor KEY=VALUE")
        if not section.startswith("X-"):
            _keep(name, sections.setdefault(section, {}), section, key.strip(), value.strip())
    unit = Unit(name, sections)
    _check(unit)
    return unit


def seconds(unit: Unit, section: str, key: str, default: float) -> float:
    """A span of time, systemd.time(7): a number of seconds, or numbers with units. Raises BootError if it isn't one."""
    text = unit.one(section, key)
    if not text:
        return default
    total, rest = 0.0, text.replace(" ", "")
    while rest:
        match = re.match(r"([0-9.]+)([a-z]*)", rest)
        if match is None or (match[2] and match[2] not in _SPANS):
            raise BootError(f"{key}={text} of {unit.name} isn't a span of time that the sandbox reads")
        total += float(match[1]) * _SPANS.get(match[2], 1.0)
        rest = rest[match.end() :]
    return total


def _lines(text: str) -> list[str]:
    """Lines without comments, those that end in a backslash joined with the next."""
    lines: list[str] = []
    pending = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if pending + line:
            lines.append((pending + line).strip())
        pending = ""
    return [line for line in lines if line]


def _keep(name: str, section: dict[str, tuple[str, ...]], title: str, key: str, value: str) -> None:
    known = _DONE[title] | _DOCUMENTARY | (CONFINEMENT if title == "Service" else frozenset())
    if key not in known:
        raise BootError(f"the sandbox doesn't support {key}= in [{title}] of {name}")
    # An empty assignment takes back what was assigned before.
    section[key] = (*section.get(key, ()), _specified(name, value)) if value else ()


def _specified(name: str, value: str) -> str:
    stem = name.rpartition(".")[0]
    known = {"n": name, "N": stem, "p": stem, "i": "", "%": "%"}

    def replace(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise BootError(f"the sandbox doesn't support the specifier {match[0]} in {name}")
        return known[match[1]]

    return _SPECIFIER.sub(replace, value)


def _check(unit: Unit) -> None:
    if unit.is_socket:
        if not unit.all("Socket", "ListenStream"):
            raise BootError(f"{unit.name} has no ListenStream=, and the sandbox has no other sockets")
        if unit.one("Socket", "Accept", "no") not in ("no", "false", "0"):
            raise BootError(f"the sandbox doesn't support Accept={unit.one('Socket', 'Accept')} of {unit.name}")
        return
    if len(unit.all("Service", "ExecStart")) != 1:
        raise BootError(f"{unit.name} has {len(unit.all('Service', 'ExecStart'))} ExecStart=, and needs one")
    if (kind := unit.one("Service", "Type", "simple")) not in _TYPES:
        raise BootError(f"the sandbox doesn't support Type={kind} of {unit.name}")
    if (restart := unit.one("Service", "Restart", "no")) not in _RESTARTS:
        raise BootError(f"the sandbox doesn't support Restart={restart} of {unit.name}")
