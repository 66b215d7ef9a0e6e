"""Builds the example application's packages, `make example-rpms`: says whether the committed ones are what comes out.

The same sources give the same bytes: times are those of `SOURCE_DATE_EPOCH`, and nothing of the machine goes in. With
`--write` the committed packages are replaced.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "examples" / "orders"
COMMITTED = SOURCES / "rpms"
RPMBUILD = ROOT / ".tools" / "debian" / "packages" / "bin" / "rpmbuild"
# 2026-01-01T00:00:00Z: no file of a package is newer, and it says that it was built then.
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
    "__spec_install_pre": "%{___build_pre}\n rm -rf %{buildroot}\n mkdir -p %{buildroot}",
    "_build_id_links": "none",
    "dist": "%{nil}",
    "vendor": "Lockstep",
    "_unpackaged_files_terminate_build": "1",
}


def build(version: Version, target: Path) -> Path:
    """Build the package of `version` into the folder `target`. Raises RuntimeError with what rpmbuild said."""
    with tempfile.TemporaryDirectory(prefix="lockstep-rpm-") as top:
        # A path that is the same everywhere isn't needed: nothing of it gets into the package.
        defines = {
            **_DEFINES,
            "_topdir": top,
            "_sourcedir": str(SOURCES),
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
            [*command, str(SOURCES / "orders.spec")],
            env={"PATH": os.environ["PATH"], "HOME": top, "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rpmbuild failed for {version.version}:\n{done.stdout}{done.stderr}")
        target.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(Path(top) / "rpms" / "noarch" / version.file, target / version.file))


def differences(built: Path, committed: Path) -> list[str]:
    """How two packages differ: nothing, or by size and digest, and by each line that rpm tells of them."""
    if not committed.exists():
        return [f"{committed.name} isn't committed"]
    if built.read_bytes() == committed.read_bytes():
        return []
    lines = [f"{committed.name}: {_digest(committed)} is committed, {_digest(built)} comes out"]
    ours, theirs = _described(built), _described(committed)
    lines += [f"  - {line}" for line in theirs if line not in ours]
    lines += [f"  + {line}" for line in ours if line not in theirs]
    return lines


def _digest(path: Path) -> str:
    return f"{path.stat().st_size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _described(path: Path) -> list[str]:
    """Every tag and file of a package, a line each."""
    command = [str(RPMBUILD.with_name("rpm")), "--nosignature", "-qp", "--xml", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def main() -> int:
    """Build all, compare or replace; returns 1 if something differs or can't be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="replace the committed packages")
    write = parser.parse_args().write
    if not RPMBUILD.exists():
        print("example-rpms: there is no rpmbuild yet: run `make tools-debian`", file=sys.stderr)
        return 1
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-rpms-") as folder:
        for version in VERSIONS:
            try:
                built = build(version, Path(folder) / version.version)
            except RuntimeError as error:
                print(f"example-rpms: {error}", file=sys.stderr)
                return 1
            committed = COMMITTED / version.version / version.file
            if write:
                committed.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(built, committed)
            found += differences(built, committed)
    for line in found:
        print(f"example-rpms: {line}", file=sys.stderr)
    if not found:
        print(f"example-rpms: {len(VERSIONS)} packages, each as committed, byte for byte", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
