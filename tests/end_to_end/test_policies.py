"""The policy pack under the real engine, on our program and on one that knows nothing of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.end_to_end.releases import Serving
from tests.end_to_end.shell import Shell

pytestmark = pytest.mark.engine


def findings(outcome: Any) -> dict[str, list[str]]:
    """Levels of the policies' findings by stack."""
    return {name: [each["level"] for each in stack.get("policies", [])] for name, stack in outcome["stacks"].items()}


def test_first_preview_has_advisories_only_and_none_is_left_after_up(shell: Shell) -> None:
    """A gate that rejects an empty account can't be used; one that is still unsure afterwards proves nothing."""
    before = findings(shell.json("lockstep preview --json"))
    assert {level for levels in before.values() for level in levels} == {"advisory"}
    shell("lockstep up --yes")
    assert findings(shell.json("lockstep preview --json")) == {"primary": [], "secondary": [], "global": []}


def rejection(shell: Shell, stack: str) -> str:
    done = shell(f"pulumi preview -s {stack} --policy-pack policies", expect=None)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def test_record_without_health_check_is_rejected(serving: Serving) -> None:
    """Route 53 would serve the site for ever, dead or alive."""
    serving.shell.edit("components/traffic.py", "health_check_id=", "# health_check_id=")
    text = rejection(serving.shell, "global")
    assert "healthCheckId" in text or "health_check_id" in text
    assert "aws:route53:Record" in text


def test_bucket_without_replication_is_rejected(serving: Serving) -> None:
    """A package that is in one region only can't be installed in the other."""
    serving.shell.edit("components/joint.py", "    Replication(\n", "    (lambda *_: None)(\n")
    rejected = rejection(serving.shell, "global")
    assert "replication" in rejected.lower()


@pytest.fixture
def foreign(shell: Shell, tmp_path: Path) -> Path:
    folder = tmp_path / "foreign"
    shutil.copytree(ROOT / "tests" / "end_to_end" / "foreign", folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def test_pack_works_on_a_program_that_knows_nothing_of_ours(shell: Shell, foreign: Path) -> None:
    """The rules are about AWS, not about our components."""
    preview = f"pulumi preview -s dev --policy-pack {shell.folder / 'policies'}"
    shell("pulumi stack init dev", folder=foreign)
    assert shell(preview, folder=foreign).returncode == 0
    for part, word in (("health-check", "health"), ("replication", "replicat")):
        shell(f"pulumi config set without {part} -s dev", folder=foreign)
        done = shell(preview, folder=foreign, expect=None)
        assert done.returncode != 0
        assert word in (done.stdout + done.stderr).lower()
