"""The language host under the real engine: programs and policy packs, in the background too, and when they fail."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.engine

Run = Callable[..., subprocess.CompletedProcess[str]]

PROJECT = """\
name: sample
runtime: {name: python, options: {toolchain: pip, virtualenv: %s}}
"""
COMPONENT = """\
import pulumi
class Thing(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("sample:index:Thing", name, {"colour": "red"})
        self.register_outputs({"colour": "red"})
Thing("one")
pulumi.export("greeting", pulumi.Config().require("greeting"))
"""
PACK_PROJECT = """\
runtime: {name: python, options: {toolchain: pip, virtualenv: %s}}
version: 1.2.3
"""
PACK = """\
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy
import pulumi
def check(args, report):
    for resource in args.resources:
        if resource.resource_type == "sample:index:Thing":
            report(f"{pulumi.get_stack()}: {resource.props['colour']} is not a colour", resource.urn)
PolicyPack("sample", policies=[StackValidationPolicy("no-red", "No red.", check, EnforcementLevel.MANDATORY)])
"""


@pytest.fixture
def project(tmp_path: Path, engine_environment: dict[str, str]) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(PROJECT % (ROOT / ".venv"))
    (folder / "__main__.py").write_text(COMPONENT)
    subprocess.run(
        "pulumi stack init dev && pulumi config set greeting hello",
        shell=True, cwd=folder, env=engine_environment, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text(PACK_PROJECT % (ROOT / ".venv"))
    (folder / "__main__.py").write_text(PACK)
    return folder


@pytest.fixture
def run(project: Path, engine_environment: dict[str, str]) -> Run:
    def command(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            line,
            shell=True,
            cwd=project,
            env=engine_environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return command


def test_program_runs_with_its_config(run: Run) -> None:
    """Without config and outputs there is no stack to speak of."""
    done = run("pulumi up --yes --skip-preview && pulumi stack output greeting")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("hello")


def test_program_error_is_shown_once_and_fails(run: Run, project: Path) -> None:
    """A program that dies must not look like one that declares nothing, which would delete everything."""
    (project / "__main__.py").write_text("import pulumi\nraise pulumi.RunError('the zone is missing')\n")
    done = run("pulumi up --yes --skip-preview")
    assert done.returncode != 0
    assert "the zone is missing" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_crashed_program_fails(run: Run, project: Path) -> None:
    """A program killed by the system reports nothing itself."""
    (project / "__main__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = run("pulumi preview")
    assert done.returncode != 0
    assert "exit code -9" in done.stdout + done.stderr


def test_missing_virtualenv_names_the_command(run: Run, project: Path) -> None:
    """The first thing that goes wrong on a new machine."""
    (project / "Pulumi.yaml").write_text(PROJECT % "nowhere")
    done = run("pulumi preview")
    assert done.returncode != 0
    assert "make setup" in done.stdout + done.stderr


def test_policy_pack_sees_the_stack_and_rejects(run: Run, pack: Path) -> None:
    """A pack that isn't run rejects nothing."""
    done = run(f"pulumi preview --policy-pack {pack}")
    assert done.returncode != 0
    assert "dev: red is not a colour" in done.stdout
    assert "1.2.3" in done.stdout


def test_broken_policy_pack_fails_with_its_own_words(run: Run, pack: Path) -> None:
    """A pack that can't start must not count as one that passes."""
    (pack / "__main__.py").write_text("raise SystemExit('no such rule')\n")
    done = run(f"pulumi preview --policy-pack {pack}")
    assert done.returncode != 0
    assert "no such rule" in done.stdout + done.stderr


def test_analyze_works_without_a_configured_stack(run: Run, pack: Path) -> None:
    """`pulumi policy analyze` never configures the stack; the pack must start all the same."""
    assert run("pulumi up --yes --skip-preview").returncode == 0
    done = run(f"pulumi policy analyze --policy-pack {pack} --stack dev")
    assert "is not a colour" in done.stdout + done.stderr


def test_background_job_ends_as_quickly_as_one_in_front(run: Run) -> None:
    """A script's background job ignores SIGINT; a host that inherits that is waited for by the engine for seconds.

    The engine itself says when it had to kill a plugin; no time is measured.
    """
    done = run("sh -c 'pulumi preview -v=5 --logtostderr & wait $!'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killing" not in done.stderr.lower()
    assert "Traceback" not in done.stdout + done.stderr


def descendants(pid: int) -> list[int]:
    """Every process below `pid`."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    for child in children.get(pid, []):
        found += [child, *descendants(child)]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_program_outlives_its_operation(project: Path, engine_environment: dict[str, str], number: int) -> None:
    """A program left behind would go on registering resources with an engine that is gone."""
    (project / "__main__.py").write_text(
        "import pathlib, time\npathlib.Path('started').touch()\nwhile True: time.sleep(0.1)\n"
    )
    process = subprocess.Popen(
        ["pulumi", "preview"], cwd=project, env=engine_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 60
    while not (project / "started").exists():
        assert time.monotonic() < deadline, "the program never started"
        time.sleep(0.05)
    everyone = descendants(process.pid)
    assert everyone
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    while alive := [pid for pid in everyone if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)
    assert b"Traceback" not in output
