"""What packages provide and require, and whether the one meets the other.

RPM reference manual, "Dependencies"; ranges overlap as rpmdsCompare has it.
"""

import re
from dataclasses import dataclass
from typing import Final

from sandbox.machine.errors import BootError

# "=", "<", ... as createrepo_c names them: does the comparison hold for an older, the same, a newer version?
_FLAGS: Final = {"LT": "<", "LE": "<=", "EQ": "=", "GE": ">=", "GT": ">"}
_SIGNS: Final = {sign: flag for flag, sign in _FLAGS.items()}
_WRITTEN: Final = re.compile(r"(?P<name>\S+)(?:\s+(?P<sign><=|>=|=|<|>)\s+(?P<version>\S+))?")
_VERSION: Final = re.compile(r"(?:(?P<epoch>\d+):)?(?P<version>[^-]+)(?:-(?P<release>[^-]+))?")


@dataclass(frozen=True)
class Version:
    """Epoch, version, and release where it is told."""

    epoch: str | None
    version: str
    release: str | None = None

    def __str__(self) -> str:
        epoch = "" if self.epoch in (None, "0") else f"{self.epoch}:"
        return f"{epoch}{self.version}" + (f"-{self.release}" if self.release else "")

    def compare(self, other: "Version") -> int:
        """-1, 0 or 1. A release that one of them doesn't tell isn't compared."""
        # Late: most machines compare nothing, and it brings the whole configuration along.
        from lockstep.deployment_record import compare_versions

        ours, theirs = int(self.epoch or 0), int(other.epoch or 0)
        if ours != theirs:
            return 1 if ours > theirs else -1
        order = compare_versions(self.version, other.version)
        if order or not self.release or not other.release:
            return order
        return compare_versions(self.release, other.release)


@dataclass(frozen=True)
class Capability:
    """A name; with a version also how it compares: `flag` is LT, LE, EQ, GE or GT."""

    name: str
    flag: str | None = None
    version: Version | None = None

    def __str__(self) -> str:
        return self.name if self.flag is None else f"{self.name} {_FLAGS[self.flag]} {self.version}"

    def overlaps(self, other: "Capability") -> bool:
        """Whether a provide and a requirement meet: without a version, either is met by every version."""
        if self.name != other.name:
            return False
        if self.flag is None or other.flag is None or self.version is None or other.version is None:
            return True
        order = self.version.compare(other.version)
        if order < 0:
            return self.flag in ("GT", "GE") or other.flag in ("LT", "LE")
        if order > 0:
            return self.flag in ("LT", "LE") or other.flag in ("GT", "GE")
        both = {self.flag, other.flag}
        return both <= {"EQ", "LE", "GE"} or both <= {"LT", "LE"} or both <= {"GT", "GE"}


def parse(text: str) -> Capability:
    """A capability as it is written: `NAME`, or `NAME SIGN [EPOCH:]VERSION[-RELEASE]`. Raises BootError."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise BootError(f"{text!r} isn't a capability: NAME, or NAME = VERSION, with <, <=, = , >= or >")
    if match["sign"] is None:
        return Capability(match["name"])
    version = _VERSION.fullmatch(match["version"])
    if version is None:
        raise BootError(f"{text!r} isn't a capability: {match['version']} isn't [EPOCH:]VERSION[-RELEASE]")
    return Capability(
        match["name"], _SIGNS[match["sign"]], Version(version["epoch"], version["version"], version["release"])
    )


def from_metadata(entry: tuple[str, str | None, str | None, str | None, str | None, object]) -> Capability:
    """A capability as createrepo_c tells it: name, flag, epoch, version, release, whether it is needed to install."""
    name, flag, epoch, version, release, *_ = entry
    return Capability(name, flag, Version(epoch, version, release)) if flag and version else Capability(name)
