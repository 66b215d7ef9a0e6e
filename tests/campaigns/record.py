"""A campaign's file, `docs/campaigns/NAME.json`: the commit, the seed, every case and its result. Resumable."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.conftest import ROOT

FOLDER: Final = ROOT / "docs" / "campaigns"
NOT_TRIED: Final = "not tried"


@dataclass
class Record:
    """Results by case; a case is named by a text. `cases` keeps their order."""

    name: str
    seed: int = 0
    commit: str = ""
    cases: list[str] = field(default_factory=list)
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Self:
        """What the file says; an empty record if there is none."""
        path = FOLDER / f"{name}.json"
        if not path.exists():
            return cls(name)
        given = json.loads(path.read_text())
        results = {case["case"]: case for case in given["cases"] if case["result"] != NOT_TRIED}
        return cls(name, given["seed"], given["commit"], [case["case"] for case in given["cases"]], results)

    def begin(self, cases: Sequence[str]) -> list[str]:
        """Take `cases` for the campaign's; returns those that have no result yet."""
        self.cases = list(cases)
        self.results = {case: result for case, result in self.results.items() if case in self.cases}
        self.commit = _commit()
        return [case for case in self.cases if case not in self.results]

    def add(self, case: str, **result: Any) -> None:
        """Keep the result of a case, on disk too."""
        self.results[case] = {"case": case, **result}
        self.write()

    def write(self) -> None:
        """Replace the file as a whole: a campaign may be killed at any moment."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        content = {
            "campaign": self.name,
            "commit": self.commit,
            "seed": self.seed,
            "tried": len(self.results),
            "failed": sum(result["result"] != "ok" for result in self.results.values()),
            "cases": [self.results.get(case, {"case": case, "result": NOT_TRIED}) for case in self.cases],
        }
        path = FOLDER / f"{self.name}.json"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(path)


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def tree_hash() -> int:
    """A number that depends on everything that is committed: what picks the sample."""
    done = subprocess.run(["git", "rev-parse", "HEAD^{tree}"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout.strip() or "0", 16)


def checkout(folder: Path) -> Path:
    """A copy of what git tracks, or would, without tests, and with the toolchain of the real checkout."""
    import shutil

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
