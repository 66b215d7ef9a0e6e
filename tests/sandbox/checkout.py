"""A project in a folder of its own, the real `lockstep` command on it, and a look at what a sandbox has left behind."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds after which something that should happen counts as not happening."""


@dataclass(frozen=True)
class Checkout:
    """A project with sandbox and tools of this repository, and its own Pulumi.yaml, stack files and STATE."""

    root: Path
    home: Path

    def environment(self, **extra: str) -> dict[str, str]:
        """What a user's shell would give to `lockstep`, without anything that points at another sandbox."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, "LOCKSTEP_PROJECT": str(self.root), "LOCKSTEP_SANDBOX_HOME": str(self.home), **extra}

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start `lockstep ARGUMENTS`, in a session of its own as a shell would; output through pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep.cli", *arguments],
            cwd=REPOSITORY,
            env=self.environment() if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `lockstep ARGUMENTS` to its end."""
        process = self.start(*arguments, env=env, **options)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(list(arguments), process.returncode, out, err)

    def up(self, *options: str, **settings: Any) -> dict[str, Any]:
        """`sandbox up`, which must succeed; returns what `sandbox.json` says then."""
        done = self.run("sandbox", "up", *options, **settings)
        assert done.returncode == 0, done.stderr
        return self.record()

    def record(self) -> dict[str, Any]:
        """The contents of `sandbox.json`."""
        found: dict[str, Any] = json.loads((self.home / "sandbox.json").read_text())
        return found

    def left_over(self) -> list[str]:
        """Every process that knows STATE, by its arguments or environment, and STATE itself if it is there."""
        found = [f"process {pid}" for pid in _pids() if str(self.home) in _texts_of(pid)]
        return found + [str(path) for path in (self.home,) if path.exists()]


def make(root: Path, home: Path) -> Checkout:
    """Make a checkout in the empty folder `root`, with STATE in `home`, which must not exist yet."""
    for name in ("Pulumi.yaml", "Pulumi.primary.yaml", "Pulumi.secondary.yaml", "Pulumi.global.yaml"):
        shutil.copyfile(REPOSITORY / name, root / name)
    for name in ("sandbox", "tools", ".tools"):
        (root / name).symlink_to(REPOSITORY / name)
    return Checkout(root=root, home=home)


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as `condition` holds; fail, naming `what`, if it doesn't within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether `pid` is a process that still runs, and not a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _texts_of(pid: int) -> str:
    try:
        return "".join(
            Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace") for name in ("cmdline", "environ")
        )
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
