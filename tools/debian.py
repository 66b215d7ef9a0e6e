"""Fetches programs of Debian's that tests hold the project against, without installing them: `make tools-debian`.

They are unpacked into `.tools/debian/`, which git ignores: dnf and rpm (what instances install with), rpmbuild (example
packages), cloud-init (judges user data), dig (asks the sandbox's name server). `debian.py chromium` adds another set.
No root is needed, but for the first `apt-get update` of a machine. Standard library only.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".tools" / "debian"
STAMP = "complete"

# How a program that isn't where Debian expects it finds its libraries, its Python modules and its configuration.
_WRAPPER = """#!/bin/sh
root=$(CDPATH= cd -- "$(dirname -- "$0")/../root" && pwd)
for folder in "$root"/usr/lib/*-linux-gnu/pulseaudio "$root"/usr/lib/*-linux-gnu "$root"/lib/*-linux-gnu; do
  if [ -d "$folder" ]; then LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; fi
done
RPM_CONFIGDIR="$root/usr/lib/rpm"
PATH="$root/usr/bin:$root/usr/lib/rpm:$PATH"
export LD_LIBRARY_PATH RPM_CONFIGDIR PATH
%(start)s
"""
_BINARY = 'exec "$root/usr/bin/%(name)s" "$@"'
# It has `-v` where all others have `--version`.
_DIG = """if [ "$1" = --version ]; then set -- -v; fi
exec "$root/usr/bin/%(name)s" "$@\""""
# Debian's own interpreter: its compiled modules are for that one.
_SCRIPT = """unset PYTHONHOME VIRTUAL_ENV
PYTHONPATH="$root/usr/lib/python3/dist-packages"
export PYTHONPATH
if [ -x "$root/usr/bin/python3" ]; then python="$root/usr/bin/python3"; else python=/usr/bin/python3; fi
exec "$python" "$root/usr/bin/%(name)s" "$@\""""
# Its usr/bin has a script that looks in /usr/lib. The fonts are those that came with it: fonts.conf(5), `prefix="xdg"`.
_BROWSER = """XDG_DATA_HOME="$root/usr/share"
FONTCONFIG_PATH="$root/etc/fonts"
if [ ! -d "$FONTCONFIG_PATH" ]; then FONTCONFIG_PATH=/etc/fonts; fi
export XDG_DATA_HOME FONTCONFIG_PATH
exec "$root/usr/lib/chromium/%(name)s" "$@\""""


@dataclass(frozen=True)
class Set:
    """Debian's `packages` by name, and the `programs` in them: by name, how their wrapper starts them."""

    packages: tuple[str, ...]
    programs: dict[str, str]

    @property
    def stamp(self) -> str:
        """What a finished folder says of itself; it is made anew when this isn't what it says."""
        wrappers = [_wrapper(name, start) for name, start in self.programs.items()]
        return "\n".join([*self.packages, *wrappers])


SETS = {
    "packages": Set(
        # rpm-common has what RPM_CONFIGDIR points at.
        ("rpm", "rpm-common", "dnf", "cloud-init", "bind9-dnsutils"),
        {
            "rpm": _BINARY,
            "rpmbuild": _BINARY,
            "rpmkeys": _BINARY,
            "dnf": _SCRIPT,
            "cloud-init": _SCRIPT,
            "dig": _DIG,
        },
    ),
    "chromium": Set(("chromium",), {"chromium": _BROWSER}),
}


class FailedError(Exception):
    """What couldn't be done, and what to do."""


def fetch(name: str, folder: Path = FOLDER) -> bool:
    """Have the set `name` in `folder`; False if it was there. Half of one is never left in its place.

    Raises FailedError.
    """
    wanted, target = SETS[name], folder / name
    if _is_complete(target, wanted):
        return False
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FailedError(f"{tool} isn't here: these tools come from Debian's packages. Use Debian or Ubuntu")
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        if _is_complete(target, wanted):
            return False
        new, old = folder / f"{name}.new", folder / f"{name}.old"
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        _make(wanted, new)
        if target.exists():
            target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    return True


def _is_complete(folder: Path, wanted: Set) -> bool:
    stamp = folder / STAMP
    return stamp.exists() and stamp.read_text() == wanted.stamp


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Wait while another run fetches into `folder`. The lock goes with the process."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(wanted: Set, new: Path) -> None:
    archives, programs = new / "archives", new / "bin"
    (archives / "partial").mkdir(parents=True)
    (new / "root").mkdir()
    programs.mkdir()
    _download(wanted.packages, archives)
    for package in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(new / "root")])
    shutil.rmtree(archives)
    for name, start in wanted.programs.items():
        program = programs / name
        program.write_text(_wrapper(name, start))
        program.chmod(0o755)
        _run([str(program), "--version"])
    (new / STAMP).write_text(wanted.stamp)


def _download(packages: tuple[str, ...], archives: Path) -> None:
    """The packages, installed here or not, and what they need that isn't installed here."""
    command = [
        "apt-get",
        "--quiet=2",
        "--yes",
        "--download-only",
        "--reinstall",
        "--no-install-recommends",
        "-o",
        "Debug::NoLocking=true",
        "-o",
        f"Dir::Cache::archives={archives}",
        "-o",
        "APT::Sandbox::User=root",
        "install",
        *packages,
    ]
    try:
        _run(command)
    except FailedError as error:
        # There are no lists of packages yet, or they are so old that what they name is gone.
        if os.geteuid() != 0:
            raise FailedError(f"{error}\nRun `sudo apt-get update` once, then this again") from error
        _run(["apt-get", "--quiet=2", "update"])
        _run(command)


def _wrapper(name: str, start: str) -> str:
    return _WRAPPER % {"start": start % {"name": name}}


def _run(command: list[str]) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise FailedError(f"`{' '.join(command)}` failed with status {done.returncode}: {said}")


def main() -> int:
    """Fetch the sets that the command line names; the default is what tests need."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; default: packages")
    wanted = parser.parse_args().sets or ["packages"]
    if unknown := [name for name in wanted if name not in SETS]:
        parser.error(f"no set is called {', '.join(unknown)}: there are {', '.join(SETS)}")
    for name in wanted:
        try:
            new = fetch(name)
        except FailedError as error:
            print(f"tools-debian: {error}", file=sys.stderr)
            return 1
        print(
            f"tools-debian: {name} {'is in' if new else 'was in'} {(FOLDER / name).relative_to(ROOT)}", file=sys.stderr
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
