"""`make setup`: the virtualenv from the hashed lock, and a Pulumi CLI that is new enough.

Standard library only: it runs before anything is installed. What is up to date is left alone; what is made is made
beside its place and moved there, so that an interrupted run leaves nothing half made.
"""

from __future__ import annotations  # so that an older Python gets as far as being told

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
BIN = TOOLS / "bin"
MODULE = ROOT / "tools" / "pulumi"
PULUMI_VERSION = (3, 259, 0)
PULUMI_TEXT = ".".join(map(str, PULUMI_VERSION))
_SDK_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
BUILD_FLAGS = [
    "-trimpath",
    "-buildvcs=false",
    "-tags=osusergo,grpcnotrace",
    f"-ldflags=-s -w -X {_SDK_VERSION}=v{PULUMI_TEXT}",
]
LAUNCHER = """#!/bin/sh
# Starts the Python language host of this checkout; written by `make setup`.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
export LOCKSTEP_LANGUAGE_EXECUTOR="$here/pulumi-language-python-exec"
cd -- "$root" && exec "$root/.venv/bin/python" -u -m tools.language_host "$@"
"""


def fail(message: str) -> NoReturn:
    """End with one line that names the missing thing and the command that gets it."""
    sys.exit(f"setup: {message}")


def say(message: str) -> None:
    """Progress, on stderr."""
    print(f"setup: {message}", file=sys.stderr, flush=True)


def digest(*parts: bytes) -> str:
    """One SHA-256 over `parts`, kept as a stamp beside what was made from them."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def run(command: list[str], what: str, **options: Any) -> None:
    """Run `command` with its output on stderr; end with one line if it fails."""
    try:
        subprocess.run(command, check=True, stdout=sys.stderr, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"{what} failed ({error}); its output is above. Mend that and run `make setup` again")


def entry_points() -> bytes:
    """The part of pyproject.toml that an editable install writes down."""
    import tomllib  # Python 3.11's; `main` says so to an older one

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return json.dumps([project["build-system"], project["project"], project["tool"]["setuptools"]]).encode()


def set_up_venv() -> None:
    """`.venv` with exactly what the lock names, and `lockstep` on its PATH."""
    lock = ROOT / "requirements-dev.txt"
    stamp = VENV / "lockstep-setup"
    wanted = digest(lock.read_bytes(), entry_points(), sys.version.encode(), bytes(ROOT))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    python = VENV / "bin" / "python"
    say("installing the locked Python packages into .venv")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], "creating .venv")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install"]
    run([*pip, "--require-hashes", "-r", str(lock)], "installing requirements-dev.txt", env=environment)
    run(
        [*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
        "installing the lockstep command",
        env=environment,
    )
    stamp.write_text(wanted)


def installed_pulumi() -> tuple[Path, tuple[int, ...]] | None:
    """The Pulumi CLI on PATH that isn't ours, with its version; None if there is none."""
    elsewhere = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if Path(entry) != BIN]
    found = shutil.which("pulumi", path=os.pathsep.join(elsewhere))
    if found is None:
        return None
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    output = subprocess.run([found, "version"], env=environment, capture_output=True, text=True, check=False).stdout
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", output.strip())
    return Path(found), tuple(map(int, match.groups())) if match else (0, 0, 0)


def usable_pulumi() -> bool:
    """Whether the Pulumi CLI on PATH is new enough and can run Python programs; names one that isn't."""
    found = installed_pulumi()
    if found is None:
        return False
    path, version = found
    text = ".".join(map(str, version))
    if version < PULUMI_VERSION:
        say(f"{path} is Pulumi {text}, older than {PULUMI_TEXT}: it is not used")
        return False
    if not (path.resolve().parent / "pulumi-language-python").exists() and not shutil.which("pulumi-language-python"):
        say(f"{path} has no pulumi-language-python beside it and can't run Python programs: it is not used")
        return False
    return True


def go_command() -> str:
    """The Go toolchain, or the end with the two ways on."""
    go = shutil.which("go")
    if go is None:
        fail(
            f"neither Pulumi {PULUMI_TEXT} nor Go is on PATH: install the Pulumi CLI (pulumi.com/docs/install), "
            "or Go 1.26 or newer to build it (go.dev/doc/install)"
        )
    # An older Go fetches the toolchain that go.mod asks for, unless it is too old for that, or told not to.
    if subprocess.run([go, "list", "-m"], cwd=MODULE, capture_output=True, check=False).returncode != 0:
        fail(f"{go} is older than Go 1.26 and can't fetch it: install a newer one (go.dev/doc/install)")
    return go


def set_up_pulumi() -> None:
    """A Pulumi CLI of `PULUMI_TEXT` or newer: the installed one, else one built into `.tools/bin`."""
    if usable_pulumi():
        shutil.rmtree(BIN, ignore_errors=True)
        return
    stamp = BIN / "lockstep-setup"
    inputs = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]
    wanted = digest(*inputs, " ".join(BUILD_FLAGS).encode(), LAUNCHER.encode())
    if stamp.exists() and stamp.read_text() == wanted:
        return
    go = go_command()
    say(f"building the Pulumi CLI {PULUMI_TEXT} from its Go module into .tools/bin (about four minutes)")
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="build-") as folder:
        made = Path(folder, "bin")
        made.mkdir()
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        target = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
        run(
            [go, "build", *BUILD_FLAGS, "-o", str(made / "pulumi"), target],
            "building the Pulumi CLI",
            cwd=MODULE,
            env=environment,
        )
        query = [go, "list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3"]
        sdk = subprocess.run(query, cwd=MODULE, env=environment, capture_output=True, text=True, check=True).stdout
        name = "pulumi-language-python-exec"
        shutil.copyfile(Path(sdk.strip(), "python", "cmd", name), made / name)
        launcher = made / "pulumi-language-python"
        launcher.write_text(LAUNCHER)
        launcher.chmod(0o755)
        (made / stamp.name).write_text(wanted)
        shutil.rmtree(BIN, ignore_errors=True)
        made.rename(BIN)


def main() -> None:
    """Set up whatever isn't."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before anything has checked requires-python
        fail(
            f"Python 3.11 or newer is needed, and {sys.executable} is {sys.version.split()[0]}: "
            "apt-get install python3.11 python3.11-venv, then make setup PYTHON=python3.11"
        )
    if importlib.util.find_spec("ensurepip") is None:
        fail("this Python has no venv: run `apt-get install python3-venv`")
    set_up_venv()
    set_up_pulumi()


if __name__ == "__main__":
    main()
