"""`lockstep model`, as a process: its figures, its refusals, its status."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep import config, console
from lockstep.commands import model as command
from lockstep.config import RecordType, stack_files
from lockstep.errors import ExitCode, InvalidInputError
from lockstep.failover_model import Fault, predict
from lockstep.project import GLOBAL_STACK
from tests.lockstep.failover_model.facts import settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the committed configuration."""
    for name in stack_files(("primary", "secondary")):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def configure(project: Path, **values: Any) -> None:
    """Set defaults in Pulumi.yaml."""
    file = project / "Pulumi.yaml"
    document = yaml.safe_load(file.read_text())
    for name, value in values.items():
        document["config"][f"lockstep:{name}"]["default"] = value
    file.write_text(yaml.safe_dump(document))


def model(project: Path, *arguments: str) -> tuple[int, str, str]:
    """Run it without a way to AWS or to a sandbox: no endpoint, no key, no region."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LOCKSTEP_", "PULUMI_"))}
    done = subprocess.run(
        [sys.executable, "-m", "lockstep.cli", "model", *arguments],
        cwd=project,
        env={**kept, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def figures(project: Path, *arguments: str) -> dict[str, Any]:
    """Its figures, whose promise is kept."""
    code, out, err = model(project, "--json", *arguments)
    assert (code, err) == (ExitCode.DONE, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_it_tells_what_the_configuration_means(project: Path) -> None:
    """The figures have to be those of this project, and not of the defaults."""
    configure(
        project,
        healthCheck={"path": "/healthz", "interval": 10, "threshold": 2},
        ttl=20,
        weights={"primary": 60, "secondary": 40},
        objectives={"rtoSeconds": 90, "rpoSeconds": 60},
    )
    found = figures(project)
    for fault in Fault:
        expected = predict(settings(threshold=2, ttl=20, fault=fault))
        ours = found["faults"][fault.value]
        assert ours["detectionMean"] == pytest.approx(expected.detection_mean, abs=0.001)
        assert ours["back99"] == pytest.approx(expected.back_99, abs=0.001)
        assert ours["lost"] == pytest.approx(expected.lost, abs=0.001)
        assert ours["simulated"]["losses"] == 2000
        assert ours["simulated"]["back99"] == pytest.approx(expected.back_99, abs=1)
        for site, share in (("primary", 0.6), ("secondary", 0.4)):
            assert found["sites"][site]["share"] == share
            assert found["sites"][site]["faults"][fault.value]["lost"] == pytest.approx(share * expected.lost, abs=0.01)
    worst = predict(settings(threshold=2, ttl=20, fault=Fault.VANISHES)).back_99
    assert found["objective"] == {"rtoSeconds": 90, "back99": pytest.approx(worst, abs=0.001), "met": True}


def test_options_stand_in_for_the_configuration(project: Path) -> None:
    """To ask what another setting would do without writing it anywhere."""
    before = (project / "Pulumi.yaml").read_text()
    found = figures(
        project,
        *("--threshold", "1", "--ttl", "10", "--fault", "hangs", "--checkers", "8", "--push", "2"),
        *("--stale-share", "0.001", "--stale-seconds", "100", "--losses", "10", "--seed", "9"),
    )
    expected = predict(
        settings(threshold=1, ttl=10, fault=Fault.HANGS, checkers=8, push=2.0, stale_share=0.001, stale_seconds=100.0)
    )
    assert list(found["faults"]) == ["hangs"]
    assert found["faults"]["hangs"]["lost"] == pytest.approx(expected.lost, abs=0.001)
    assert found["faults"]["hangs"]["back99"] == pytest.approx(expected.back_99, abs=0.001)
    assert found["faults"]["hangs"]["simulated"]["losses"] == 10
    assert found["settings"]["redsNeeded"] == 7
    assert figures(project, "--interval", "30", "--threshold", "2")["settings"]["interval"] == 30
    assert (project / "Pulumi.yaml").read_text() == before


def test_the_same_seed_prints_the_same(project: Path) -> None:
    """Two reports are compared by diff."""
    assert figures(project, "--seed", "4", "--losses", "50") == figures(project, "--seed", "4", "--losses", "50")
    assert figures(project, "--seed", "4", "--losses", "50") != figures(project, "--seed", "5", "--losses", "50")


def test_a_promise_that_cant_be_kept_is_8_and_says_what_would_keep_it(project: Path) -> None:
    """A pipeline has to learn it before a region is lost; by how much, and what to do."""
    configure(project, objectives={"rtoSeconds": 75, "rpoSeconds": 60})
    code, out, err = model(project, "--json")
    assert code == ExitCode.OBJECTIVE_MISSED
    assert json.loads(out)["objective"]["met"] is False
    assert "after 75.3 s" in err
    assert "promises 75 s" in err
    assert "threshold 1 or threshold 2 or TTL 10 would keep it" in err
    assert "rtoSeconds in Pulumi.yaml to 76 or more" in err
    assert model(project, "--threshold", "2", "--losses", "10")[0] == ExitCode.DONE
    assert model(project, "--fault", "refuses", "--losses", "10")[0] == ExitCode.DONE
    configure(project, objectives={"rtoSeconds": 76, "rpoSeconds": 60})
    assert model(project, "--losses", "10")[0] == ExitCode.DONE


def test_no_ttl_is_computed_that_an_alias_cant_have(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS fixes an alias's TTL. `alias` can't be configured yet, so the configuration is changed once it was read."""
    found = config.load(project, GLOBAL_STACK).model_copy(update={"record_type": RecordType.ALIAS})
    monkeypatch.setenv("LOCKSTEP_PROJECT", str(project))
    monkeypatch.setattr(config, "load", lambda root, stack: found)
    with pytest.raises(InvalidInputError, match="--ttl 10: lockstep:recordType is alias") as caught:
        command.model(ttl=10)
    assert caught.value.exit_code == ExitCode.INVALID
    printed: list[dict[str, Any]] = []
    monkeypatch.setattr(console, "data_json", printed.append)
    assert command.model(ttl=60, losses=10, as_json=True) == ExitCode.DONE
    assert {change["ttl"] for change in printed[0]["changes"]} == {60}


def test_without_a_change_that_is_enough_none_is_named(project: Path) -> None:
    """Advice that doesn't help costs the time that was to be saved."""
    configure(project, objectives={"rtoSeconds": 10, "rpoSeconds": 60})
    code, _, err = model(project)
    assert code == ExitCode.OBJECTIVE_MISSED
    assert "No single change keeps it" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--interval", "20"], "20 is neither 10 nor 30"),
        (["--interval", "0"], "0 is neither 10 nor 30"),
        (["--threshold", "0"], "--threshold"),
        (["--threshold", "11"], "--threshold"),
        (["--ttl", "-1"], "--ttl"),
        (["--fault", "explodes"], "explodes"),
        (["--checkers", "0"], "--checkers"),
        (["--stale-share", "1.5"], "--stale-share"),
        (["--losses", "0"], "--losses"),
    ],
)
def test_what_route_53_doesnt_have_is_a_wrong_command_line(project: Path, arguments: list[str], complaint: str) -> None:
    """A figure for an interval that no check can have would be believed."""
    code, out, err = model(project, *arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert complaint in err


@pytest.mark.parametrize("option", ["--push", "--stale-seconds"])
@pytest.mark.parametrize("value", ["inf", "1e18", "nan"])
def test_a_time_without_an_end_is_refused(project: Path, option: str, value: str) -> None:
    """A client would be followed from answer to answer for ever, and no figure would come."""
    code, out, err = model(project, option, value)
    assert (code, out) == (ExitCode.USAGE, "")
    assert option in err


def test_a_configuration_that_is_wrong_is_told_as_everywhere(project: Path) -> None:
    """The model reads the same configuration as the program, with the same checks."""
    configure(project, healthCheck={"path": "/healthz", "interval": 15, "threshold": 3})
    code, out, err = model(project)
    assert (code, out) == (ExitCode.INVALID, "")
    assert "10 or 30" in err


def test_for_people_it_prints_tables(project: Path) -> None:
    """What is read at a terminal, with the figures that the JSON has, and an empty share where there is none."""
    configure(project, weights={"primary": 1, "secondary": 0})
    code, out, err = model(project)
    assert (code, err) == (ExitCode.DONE, "")
    lines = out.splitlines()
    assert lines[0].startswith("orders.example.com: a check every 10 s, 3 failures in a row, TTL 30 s.")
    (vanishes,) = [line for line in lines if line.startswith("vanishes  40.2 / ")]
    assert "75.3 / " in vanishes
    (secondary,) = [line for line in lines if line.startswith("secondary")]
    assert secondary.split()[:4] == ["secondary", "0%", "0.0,", "-"]
    (as_it_is,) = [line for line in lines if line.startswith("as it is")]
    assert as_it_is.endswith("2.00")
    assert max(map(len, lines)) <= 120
