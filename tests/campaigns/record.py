"""A campaign's file, `docs/campaigns/NAME.json`: every case, its result, and the commit whose code had it. Resumable.

Rule: a result is of the code that ran, and of no other. So each has its own commit, taken when the code was copied; a
campaign doesn't begin on what isn't committed, unless it is told to, and what came of that is of no commit.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from tests.conftest import ROOT

FOLDER: Final = ROOT / "docs" / "campaigns"
NOT_TRIED: Final = "not tried"
OK: Final = "ok"
# What takes part when a command runs in the sandbox; the rest of the checkout changes no result.
RUNS: Final = ("lockstep", "components", "policies", "sandbox", "examples", "__main__.py", "Pulumi*.yaml")
WITH_CHANGES: Final = "+changes"


class UncommittedError(Exception):
    """What would run isn't what any commit has."""


@dataclass
class Record:
    """Results by case; a case is named by a text, whose first word is its kind. `cases` keeps their order."""

    name: str
    cases: list[str] = field(default_factory=list)
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: Path = FOLDER

    @classmethod
    def read(cls, name: str, folder: Path = FOLDER) -> Self:
        """What the file says; an empty record if there is none."""
        path = folder / f"{name}.json"
        if not path.exists():
            return cls(name, folder=folder)
        given = json.loads(path.read_text())["cases"]
        results = {case["case"]: case for case in given if case["result"] != NOT_TRIED}
        return cls(name, [case["case"] for case in given], results, folder)

    def begin(self, kinds: Mapping[str, Sequence[str]], *, keep: bool = False) -> list[str]:
        """Take `kinds`, cases by kind, for the campaign's; those of other kinds stay as they are.

        Returns the cases that are left to try: all but those that went well, with the code of now or, if they are to
        `keep`, with an older one.
        """
        others = [case for case in self.cases if _kind(case) not in kinds]
        wanted = [case for cases in kinds.values() for case in cases]
        self.cases = others + wanted
        known = set(self.cases)
        self.results = {case: result for case, result in self.results.items() if case in known}
        older = set() if keep else set(self.older())
        return [case for case in wanted if case in older or self.results.get(case, {}).get("result") != OK]

    def of(self, kind: str) -> list[str]:
        """The cases of a kind."""
        return [case for case in self.cases if _kind(case) == kind]

    def older(self) -> list[str]:
        """The cases that went well with code that isn't the committed one of now."""
        return [
            case
            for case, result in self.results.items()
            if result["result"] == OK and not is_current(result.get("commit", ""))
        ]

    def failed(self) -> list[str]:
        """The cases that went wrong."""
        return [case for case, result in self.results.items() if result["result"] != OK]

    def add(self, case: str, commit: str, **result: Any) -> None:
        """Keep the result of a case that ran the code of `commit`, on disk too."""
        self.results[case] = {"case": case, "commit": commit, **result}
        self.write()

    def write(self) -> None:
        """Replace the file as a whole: a campaign may be killed at any moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "campaign": self.name,
            "tried": len(self.results),
            "failed": len(self.failed()),
            "cases": [self.results.get(case, {"case": case, "result": NOT_TRIED}) for case in self.cases],
        }
        path = self.folder / f"{self.name}.json"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(path)


def _kind(case: str) -> str:
    return case.partition(" ")[0]


def is_current(commit: str) -> bool:
    """Whether what runs is the same at `commit` as at HEAD; a commit that isn't known here is another one."""
    return _is_same(commit, _git("rev-parse", "HEAD").stdout.strip())


@cache
def _is_same(commit: str, head: str) -> bool:
    # What is no hash could be an option, and an empty one would be compared with nothing.
    if not commit.isalnum():
        return False
    return commit == head or _git("diff", "--quiet", commit, head, "--", *RUNS).returncode == 0


def code(*, allow_changes: bool = False) -> str:
    """The commit of what would run now.

    Raises UncommittedError if it differs from that; if that is allowed, it is marked, and is never the code of now.
    """
    head = _git("rev-parse", "HEAD").stdout.strip()
    changed = _git("status", "--porcelain", "--", *RUNS).stdout.splitlines()
    if not changed:
        return head
    if not allow_changes:
        raise UncommittedError(
            "what would run isn't committed, so that no result could say what it is of:\n" + "\n".join(changed)
        )
    return head + WITH_CHANGES


def _git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def tree_hash() -> int:
    """A number that depends on everything that is committed: what picks the sample."""
    return int(_git("rev-parse", "HEAD^{tree}").stdout.strip() or "0", 16)


def checkout(folder: Path) -> Path:
    """A copy of what git tracks, or would, without tests, and with the toolchain of the real checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for tool in (".venv", ".tools"):
        if (ROOT / tool).exists():
            (folder / tool).symlink_to(ROOT / tool)
    return folder
