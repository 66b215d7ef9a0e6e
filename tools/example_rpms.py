"""Builds the example application's packages, `make example-rpms`: says whether the committed ones are what comes out.

The same sources give the same bytes: times are those of `SOURCE_DATE_EPOCH`, and nothing of the machine goes in but
the version of rpm. With `--write` the committed packages are replaced.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "examples" / "orders"
COMMITTED = SOURCES / "rpms"
# Also where the system has an rpmbuild of its own: another version writes another header.
RPMBUILD = ROOT / ".tools" / "debian" / "packages" / "bin" / "rpmbuild"
# 2026-01-01T00:00:00Z: the time of every file of a package, and when it says that it was built.
EPOCH = "1767225600"


@dataclass(frozen=True)
class Version:
    """One package: its version, what its health path says, and what its report has beside the usual."""

    version: str
    healthy: bool = True
    greeting: str = ""

    @property
    def file(self) -> str:
        """The name of its RPM."""
        return f"orders-{self.version}-1.noarch.rpm"


VERSIONS = (
    Version("1.0.0"),
    Version("1.1.0", greeting="new in 1.1.0"),
    # For tests and drills: it starts, and its health path says 503.
    Version("1.2.0", healthy=False),
)

_DEFINES = {
    "_buildhost": "localhost",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "_binary_payload": "w9.gzdio",
    "_binary_filedigest_algorithm": "8",
    "debug_package": "%{nil}",
    "__os_install_post": "%{nil}",
    "__spec_install_pre": "%{___build_pre}\n rm -rf '%{buildroot}'\n mkdir -p '%{buildroot}'",
    "_build_id_links": "none",
    "dist": "%{nil}",
    "vendor": "Lockstep",
    "_unpackaged_files_terminate_build": "1",
}


# Sizes and digests of the rest, which tell something only if nothing else differs: then the packing does.
_DERIVED = tuple(
    f"  tag {name}:"
    for name in (
        "Archivesize",
        "Payloaddigest",
        "Payloaddigestalt",
        "Sha1header",
        "Sha256header",
        "Sigmd5",
        "Sigsize",
        "Size",
    )
)


class FailedError(Exception):
    """What couldn't be done, and what to do."""


def build(version: Version, target: Path, sources: Path = SOURCES) -> Path:
    """Build the package of `version` from the folder `sources` into the folder `target`.

    Raises FailedError with what rpmbuild said.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-rpm-") as top:
        # A path that is the same everywhere isn't needed: nothing of it gets into the package.
        defines = {
            **_DEFINES,
            "_topdir": top,
            "_tmppath": top,
            "_sourcedir": str(sources),
            "_rpmdir": f"{top}/rpms",
            "release_version": version.version,
            "release_healthy": "true" if version.healthy else "false",
        }
        if version.greeting:
            defines["release_greeting"] = version.greeting
        command = [str(RPMBUILD), "-bb", "--quiet", "--target", "noarch"]
        for name, value in defines.items():
            command += ["--define", f"{name} {value}"]
        done = subprocess.run(
            [*command, str(sources / "orders.spec")],
            env={"PATH": os.environ["PATH"], "HOME": top, "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FailedError(f"rpmbuild failed for {version.version}:\n{done.stdout}{done.stderr}")
        target.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(Path(top) / "rpms" / "noarch" / version.file, target / version.file))


def differences(built: Path, committed: Path) -> list[str]:
    """How two packages differ: nothing, or both digests, and each file and header tag that isn't the same in both.

    Raises FailedError if rpm can't read one of them.
    """
    if not committed.exists():
        return [f"{committed.name} isn't committed: `python tools/example_rpms.py --write` writes it"]
    if built.read_bytes() == committed.read_bytes():
        return []
    lines = [f"{committed.name}: {_digest(committed)} is committed, {_digest(built)} comes out"]
    tags = _unequal("tag", _tags(committed), _tags(built))
    causes = _unequal("file", _files(committed), _files(built))
    causes += [line for line in tags if not line.startswith(_DERIVED)]
    lines += causes or tags or ["  every file and header tag is the same: the lead or the padding differs"]
    return lines


def strangers(folder: Path) -> list[str]:
    """What is in the folder of committed packages that isn't built: nobody would notice when it is out of date."""
    known = {folder / version.version / version.file for version in VERSIONS}
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path not in known)
    return [
        f"{path.relative_to(folder)} is committed, and isn't one of those that are built: remove it" for path in found
    ]


def _unequal(kind: str, committed: Mapping[str, str], built: Mapping[str, str]) -> list[str]:
    names = dict.fromkeys([*committed, *built])
    return [
        f"  {kind} {name}: committed {committed.get(name, 'without it')}, built {built.get(name, 'without it')}"
        for name in names
        if committed.get(name) != built.get(name)
    ]


def _digest(path: Path) -> str:
    return f"{path.stat().st_size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _files(package: Path) -> dict[str, str]:
    """By path: size in bytes, time, digest, mode, owner and group (rpm(8), "--dump")."""
    rows = [line.rsplit(" ", 10) for line in _rpm("--dump", package).splitlines()]
    return {path: " ".join(values[:6]) for path, *values in rows}


def _tags(package: Path) -> dict[str, str]:
    """By name of a header tag, what it holds; without those that `_files` tells of in words."""
    root = xml.etree.ElementTree.fromstring(_rpm("--xml", package))
    tags = {
        tag.attrib["name"]: ", ".join((value.text or "").strip() for value in tag) or "nothing"
        for tag in root.iter("rpmTag")
    }
    told = ("Filesizes", "Filemtimes", "Filedigests", "Filemodes", "Fileusername", "Filegroupname")
    return {name: value for name, value in tags.items() if name not in told}


def _rpm(query: str, package: Path) -> str:
    command = [str(RPMBUILD.with_name("rpm")), "--nosignature", "-qp", query, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise FailedError(f"rpm can't read {package}: {done.stderr.strip()}")
    return done.stdout


def _compare(write: bool) -> list[str]:
    """Build every version; what differs from the committed one, or with `write`, has replaced it."""
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-rpms-") as folder:
        for version in VERSIONS:
            built = build(version, Path(folder) / version.version)
            committed = COMMITTED / version.version / version.file
            if write:
                committed.parent.mkdir(parents=True, exist_ok=True)
                new = committed.with_name(f".{committed.name}.new")
                shutil.copyfile(built, new)
                new.replace(committed)
            found += differences(built, committed)
    return found + strangers(COMMITTED)


def main() -> int:
    """Build all, compare or replace; returns 1 if something differs or can't be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="replace the committed packages")
    write = parser.parse_args().write
    if not RPMBUILD.exists():
        print("example-rpms: there is no rpmbuild yet: run `make tools-debian`", file=sys.stderr)
        return 1
    try:
        found = _compare(write)
    except FailedError as error:
        print(f"example-rpms: {error}", file=sys.stderr)
        return 1
    for line in found:
        print(f"example-rpms: {line}", file=sys.stderr)
    if not found:
        print(f"example-rpms: {len(VERSIONS)} packages, each as committed, byte for byte", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
