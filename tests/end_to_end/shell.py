"""A copy of the checkout and a sandbox of its own, used through a shell as a person would."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.record import checkout
from tests.conftest import ROOT

STACKS = ("primary", "secondary", "global")
TIMEOUT_SECONDS = 600
SPEED = "6"


@dataclass(frozen=True)
class Shell:
    """Runs lines in the checkout's copy, with the sandbox's environment."""

    folder: Path
    environment: dict[str, str]

    def __call__(
        self, line: str, *, expect: int | None = 0, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `line` in bash; fail the test unless it exits with `expect` (None: whatever it exits with)."""
        done = subprocess.run(
            ["bash", "-c", f'variables=$(lockstep sandbox env) || exit 97\neval "$variables"\n{line}'],
            cwd=folder or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if expect is not None and done.returncode != expect:
            pytest.fail(f"`{line}` exited {done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, line: str, *, expect: int = 0) -> Any:
        """Run `line` and read what it prints as JSON."""
        return json.loads(self(line, expect=expect).stdout)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace `old` by `new` in a file of the checkout; the text must be there exactly once."""
        path = self.folder / name
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new))

    @contextmanager
    def edits_undone(self) -> Iterator[None]:
        """Have what is edited in the block, of what people edit, back afterwards."""
        before = {path: path.read_bytes() for path in _edited(self.folder)}
        try:
            yield
        finally:
            for path, content in before.items():
                if path.read_bytes() != content:
                    path.write_bytes(content)


def _edited(folder: Path) -> list[Path]:
    return [*folder.glob("Pulumi*.yaml"), *folder.glob("components/*.py")]


@contextmanager
def sandbox(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """A shell on a checkout and a sandbox in `folder`, that live as long as the block."""
    copy, home = checkout(folder / "checkout"), folder / "sandbox"
    variables = {name: value for name, value in environment.items() if not name.startswith("PULUMI_")} | {
        "LOCKSTEP_PROJECT": str(copy),
        "LOCKSTEP_SANDBOX_HOME": str(home),
        "LOCKSTEP_SANDBOX_SPEED": SPEED,
    }
    up = subprocess.run(
        ["lockstep", "sandbox", "up"], cwd=copy, env=variables, capture_output=True, text=True, check=False
    )
    assert up.returncode == 0, up.stderr
    try:
        yield Shell(copy, variables)
    finally:
        subprocess.run(["lockstep", "sandbox", "down"], cwd=copy, env=variables, capture_output=True, check=False)
    assert not home.exists()


def environment_of_sandbox(shell: Shell) -> dict[str, str]:
    """The environment in which `shell`'s lines run, the sandbox's included."""
    shown = shell("env -0").stdout
    return dict(pair.split("=", 1) for pair in shown.split("\0") if "=" in pair)


def inventory(shell: Shell) -> dict[str, int]:
    """How many resources AWS holds, by Pulumi type."""
    counts: dict[str, int] = shell.json(f"python {ROOT / 'tests' / 'end_to_end' / 'inventory.py'}")
    return counts
