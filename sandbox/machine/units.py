"""systemd's unit files, as far as the sandbox does what they say; everything else is refused by unit, section and key.

systemd.syntax(7), systemd.unit(5); what is known is in `unit_keys`.
"""

import math
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem
from sandbox.machine.unit_keys import CONFINEMENT, DONE, SECTIONS, SPANS, TRUE, VALUES

# systemd.unit(5), "Unit File Load Path": what is in a former folder hides what is in a latter.
FOLDERS: Final = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
_MASK: Final = "/dev/null"
_SPECIFIER: Final = re.compile("%(.)")
_SPAN: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*)\s*")

Sections = dict[str, dict[str, tuple[str, ...]]]


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

    def is_true(self, section: str, key: str) -> bool:
        """Whether a key is set, and to true."""
        return self.one(section, key).lower() in TRUE

    def seconds(self, section: str, key: str, default: float) -> float:
        """A span of time in seconds. Raises BootError if it isn't one."""
        text = self.one(section, key)
        if not text:
            return default
        if text == "infinity":
            return math.inf
        total, at = 0.0, 0
        for match in _SPAN.finditer(text):
            if match.start() != at or match["unit"] not in SPANS:
                break
            total += float(match["number"]) * SPANS[match["unit"]]
            at = match.end()
        if at != len(text):
            raise BootError(f"{key}={text} of {self.name} isn't a span of time that the sandbox reads")
        return total

    def timeout(self, key: str, default: float) -> float | None:
        """A time-out of a service in seconds, None if there is none: for `infinity` and, as it has always been, for 0
        (systemd, load-fragment.c, config_parse_sec_fix_0). Raises BootError if it isn't a span of time.
        """
        seconds = self.seconds("Service", key, default)
        return seconds if 0 < seconds < math.inf else None

    def number(self, section: str, key: str, default: int) -> int:
        """A whole number. Raises BootError if it isn't one."""
        text = self.one(section, key) or str(default)
        if not text.isdecimal():
            raise BootError(f"{key}={text} of {self.name} isn't a number")
        return int(text)

    @property
    def service(self) -> str:
        """Of a socket: the service that a connection starts."""
        return self.one("Socket", "Service", f"{self.stem}.service")

    @property
    def stop_signal(self) -> signal.Signals:
        """What asks the service to end. Raises BootError if there is no such signal."""
        name = self.one("Service", "KillSignal", "SIGTERM")
        try:
            return signal.Signals[name]
        except KeyError:
            raise BootError(f"KillSignal={name} of {self.name} isn't the name of a signal") from None

    @property
    def confinement(self) -> list[str]:
        """The keys that confine a service on AWS and don't here."""
        return sorted(set(self.sections.get("Service", {})) & CONFINEMENT)


def load(system: FileSystem, name: str) -> Unit | None:
    """The unit `name` with its drop-ins; None if there is none. Raises BootError for what isn't supported."""
    if "@" in name:
        raise BootError(f"the sandbox has no templates of units ({name})")
    for folder in FOLDERS:
        path = f"{folder}/{name}"
        if _is_masked(system, path):
            raise BootError(f"Unit {name} is masked")
        if system.is_file(path):
            return parse(name, system.read_text(path), *_drop_ins(system, name))
    return None


def parse(name: str, *texts: str) -> Unit:
    """The unit in `texts`: its file and its drop-ins. Raises BootError for what isn't supported, by unit, section and
    key.
    """
    suffix = PurePosixPath(name).suffix
    if suffix not in SECTIONS:
        raise BootError(f"the sandbox has no units of the kind {suffix or 'without a suffix'} ({name})")
    sections: Sections = {}
    for text in texts:
        _read(name, text, SECTIONS[suffix], sections)
    unit = Unit(name, sections)
    _check(unit)
    return unit


def _is_masked(system: FileSystem, path: str) -> bool:
    at = system.locate(path, follow=False)
    return at.is_symlink() and str(at.readlink()) == _MASK


def _drop_ins(system: FileSystem, name: str) -> list[str]:
    """systemd.unit(5): of files of one name the one in the former folder counts; they are read in order of name."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for path in system.listing(f"{folder}/{name}.d", "*.conf"):
            found.setdefault(PurePosixPath(path).name, path)
    return [system.read_text(found[file]) for file in sorted(found)]


def _read(name: str, text: str, known: tuple[str, ...], sections: Sections) -> None:
    section = ""
    for line in _lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            if section not in known and not section.startswith("X-"):
                raise BootError(f"the sandbox doesn't support section [{section}] of {name}")
            continue
        key, sign, value = line.partition("=")
        if not sign or not section:
            raise BootError(f"{name}: {line!r} is neither a section nor KEY=VALUE in one")
        if not section.startswith("X-"):
            _keep(name, sections.setdefault(section, {}), section, key.strip(), value.strip())


def _lines(text: str) -> Iterator[str]:
    """Lines without comments, those that end in a backslash joined with the next."""
    pending = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if whole := (pending + line).strip():
            yield whole
        pending = ""
    if pending.strip():
        yield pending.strip()


def _keep(name: str, section: dict[str, tuple[str, ...]], title: str, key: str, value: str) -> None:
    known = DONE[title] | (CONFINEMENT if title == "Service" else frozenset())
    if key not in known and not key.startswith("X-"):
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
    for (section, key), values in VALUES.items():
        if (value := unit.one(section, key)) and value not in values:
            raise BootError(f"the sandbox doesn't support {key}={value} in [{section}] of {unit.name}")
    if unit.is_socket:
        if not unit.all("Socket", "ListenStream"):
            raise BootError(f"{unit.name} has no ListenStream=, and the sandbox has no other sockets")
        return
    if (count := len(unit.all("Service", "ExecStart"))) != 1:
        raise BootError(f"{unit.name} has {count} ExecStart=, and needs one")
    for key in ("RestartSec", "TimeoutStartSec", "TimeoutStopSec"):
        unit.seconds("Service", key, 0.0)
    unit.seconds("Unit", "StartLimitIntervalSec", 0.0)
    unit.number("Unit", "StartLimitBurst", 0)
    assert unit.stop_signal
