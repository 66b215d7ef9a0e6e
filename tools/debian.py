"""Fetches programs of Debian's that tests hold the project against, without installing them: `make tools-debian`.

They are unpacked into `.tools/debian/`, which git ignores: dnf and rpm (what instances install with), rpmbuild (example
packages), cloud-init (judges user data). `debian.py chromium` adds another set. No root is needed, but for the first
`apt-get update` of a machine. Standard library only.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".tools" / "debian"
SETS = {"packages": ("rpm", "dnf", "cloud-init"), "chromium": ("chromium",)}
STAMP = "complete"

# How a program that isn't where Debian expects it finds its libraries, its Python modules and its configuration.
_WRAPPER = """#!/bin/sh
root=$(CDPATH= cd -- "$(dirname -- "$0")/../root" && pwd)
for folder in "$root"/usr/lib/*-linux-gnu "$root"/lib/*-linux-gnu; do
  LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
RPM_CONFIGDIR="$root/usr/lib/rpm"
PATH="$root/usr/bin:$root/usr/lib/rpm:$PATH"
export LD_LIBRARY_PATH RPM_CONFIGDIR PATH
%(start)s
"""
_BINARY = 'exec "$root/usr/bin/%(name)s" "$@"'
# Debian's own interpreter: its compiled modules are for that one.
_SCRIPT = """unset PYTHONHOME VIRTUAL_ENV
PYTHONPATH="$root/usr/lib/python3/dist-packages"
export PYTHONPATH
if [ -x "$root/usr/bin/python3" ]; then python="$root/usr/bin/python3"; else python=/usr/bin/python3; fi
exec "$python" "$root/usr/bin/%(name)s" "$@\""""
_PROGRAMS = {
    "rpm": _BINARY,
    "rpmbuild": _BINARY,
    "rpmkeys": _BINARY,
    "rpm2cpio": _BINARY,
    "dnf": _SCRIPT,
    "cloud-init": _SCRIPT,
    "chromium": _BINARY,
}


class FailedError(Exception):
    """What couldn't be done, and what to do."""


def fetch(name: str, folder: Path = FOLDER) -> bool:
    """Have the set `name` in `folder`; False if it was there. Half of one is never left behind."""
    target = folder / name
    if (target / STAMP).exists():
        return False
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FailedError(f"{tool} isn't here: these tools come from Debian's packages. Use Debian or Ubuntu")
    new = folder / f"{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    (new / "archives" / "partial").mkdir(parents=True)
    (new / "root").mkdir()
    _download(SETS[name], new / "archives")
    for package in sorted((new / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(new / "root")])
    shutil.rmtree(new / "archives")
    _write_wrappers(new)
    (new / STAMP).write_text("\n".join(SETS[name]) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)
    return True


def _download(packages: tuple[str, ...], archives: Path) -> None:
    """The packages and what they need that isn't installed here."""
    command = [
        "apt-get",
        "--quiet=2",
        "--yes",
        "--download-only",
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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "Unable to locate package" in done.stderr + done.stdout:
        if os.geteuid() != 0:
            raise FailedError("this machine has no lists of Debian's packages yet: run `sudo apt-get update` once")
        _run(["apt-get", "--quiet=2", "update"])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"apt-get can't download {', '.join(packages)}: {done.stderr.strip()}")


def _write_wrappers(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    for name, start in _PROGRAMS.items():
        if (folder / "root" / "usr" / "bin" / name).exists():
            wrapper = programs / name
            wrapper.write_text(_WRAPPER % {"start": start % {"name": name}})
            wrapper.chmod(0o755)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


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
