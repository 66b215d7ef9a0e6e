"""`lockstep up`: plan, consent, order, bad input, interruption, and what a killed run leaves to the next."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.campaigns.record import tree_hash
from tests.end_to_end.shell import STACKS, Shell, inventory

pytestmark = pytest.mark.engine


def test_up_brings_everything_up_and_again_changes_nothing(shell: Shell) -> None:
    """The one command that a newcomer runs."""
    first = shell.json("lockstep up --yes --json")
    assert {stack["result"] for stack in first["stacks"].values()} == {"succeeded"}
    assert all(stack["changes"].get("create", 0) > 0 for stack in first["stacks"].values())
    again = shell.json("lockstep up --yes --json")
    assert all(stack["changes"] == {} for stack in again["stacks"].values())


def test_without_consent_nothing_changes(unchanged: Shell) -> None:
    """A cron job that runs `lockstep up` by mistake must not."""
    done = unchanged("lockstep up", expect=4)
    assert "primary" in done.stdout
    assert "--yes" in done.stderr
    assert unchanged.json("pulumi stack export -s primary")["deployment"].get("resources", []) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("Pulumi.secondary.yaml", "eu-central-1", "eu-west-1", ("lockstep:region", "eu-west-1")),
        ("Pulumi.secondary.yaml", "eu-central-1", "eu-atlantis-1", ("lockstep:region", "eu-atlantis-1")),
        ("Pulumi.secondary.yaml", "10.20.0.0/16", "10.10.128.0/17", ("lockstep:cidr", "10.10.0.0/16")),
        ("Pulumi.yaml", "default: 30\n", "default: 0\n", ("lockstep:ttl", "0")),
        ("Pulumi.yaml", "threshold: 3", "threshold: 11", ("threshold", "11", "10")),
        ("Pulumi.yaml", "interval: 10", "interval: 20", ("interval", "20", "30")),
        ("Pulumi.yaml", "path: /healthz", "path: healthz", ("path", "healthz", "/")),
    ],
)
def test_bad_config_is_refused_by_command_and_by_preview(
    unchanged: Shell, name: str, old: str, new: str, words: tuple[str, ...]
) -> None:
    """What reaches AWS half made is worse than what is refused."""
    unchanged.edit(name, old, new)
    done = unchanged("lockstep up --yes", expect=3)
    by_hand = unchanged("pulumi preview -s primary", expect=None)
    assert by_hand.returncode != 0
    for word in words:
        assert word in done.stderr
        assert word in by_hand.stdout + by_hand.stderr
    assert "Traceback" not in done.stderr + by_hand.stdout + by_hand.stderr


@pytest.mark.parametrize(
    "weights", ["{primary: 300, secondary: 1}", "{primary: -1, secondary: 1}", "{primary: 0, secondary: 0}"]
)
def test_bad_weights_are_refused(unchanged: Shell, weights: str) -> None:
    """All zero means equal shares to Route 53, the opposite of what it looks like."""
    unchanged.edit(
        "Pulumi.yaml", "equal shares. 0 is a last resort, not off.\n    default: {}", f"x\n    default: {weights}"
    )
    assert "lockstep:weights" in unchanged("lockstep preview", expect=3).stderr


def test_missing_stack_names_the_command(shell: Shell) -> None:
    """The first thing that goes wrong on a backend of one's own."""
    shell("pulumi stack rm --yes --preserve-config secondary")
    assert "pulumi stack init secondary" in shell("lockstep up --yes", expect=3).stderr


def test_global_before_its_sites_is_refused_and_creates_nothing(unchanged: Shell) -> None:
    """Health checks of names that lead nowhere would be red from the first second."""
    done = unchanged("pulumi up --yes -s global", expect=None)
    assert done.returncode != 0
    assert "pulumi up -s primary" in done.stdout + done.stderr
    resources = unchanged.json("pulumi stack export -s global")["deployment"].get("resources", [])
    assert [each["type"] for each in resources if not each["type"].startswith("pulumi:")] == []


def test_dead_sandbox_is_named(shell: Shell) -> None:
    """Without its provider nothing can be said about AWS; the message must not blame the program."""
    environment = shell('lockstep sandbox env --unset >/dev/null; env -0 | tr "\\0" "\\n"').stdout
    variables = dict(line.split("=", 1) for line in environment.splitlines() if "=" in line)
    processes = shell.json("lockstep sandbox status --json")["processes"]
    pid = next(each["pid"] for each in processes if each["name"] == "api")
    os.kill(pid, signal.SIGKILL)
    done = subprocess.run(
        ["lockstep", "up", "--yes"],
        cwd=shell.folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (3, 7)
    assert "sandbox" in done.stderr


def start(shell: Shell) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", 'eval "$(lockstep sandbox env)" && exec lockstep up --yes'],
        cwd=shell.folder,
        env=shell.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_resources(shell: Shell, count: int) -> None:
    """Until the primary's state on disk names `count` resources: the update is well under way."""
    path = Path(shell.environment["LOCKSTEP_SANDBOX_HOME"])
    deadline = time.monotonic() + 120
    while True:
        states = list(path.glob("**/.pulumi/stacks/lockstep/primary.json"))
        if states and states[0].read_text().count('"urn"') >= count:
            return
        assert time.monotonic() < deadline, "the update never got under way"
        time.sleep(0.02)


def test_interrupt_ends_in_order_and_the_next_run_completes(shell: Shell) -> None:
    """Ctrl-C is what people press when they see something they don't like."""
    process = start(shell)
    wait_for_resources(shell, 8)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert shell.json("pulumi stack export -s primary")["deployment"].get("pending_operations", []) == []
    shell("lockstep up --yes")
    check_nothing_twice(shell)


def test_engine_that_outlives_its_command_finishes_and_loses_nothing(shell: Shell) -> None:
    """kill -9 of the command alone: the engines go on, and the next run must not put an older state in their way."""
    process = start(shell)
    wait_for_resources(shell, 8)
    process.kill()
    process.communicate(timeout=120)
    deadline = time.monotonic() + 120
    while (done := shell("lockstep up --yes", expect=None)).returncode == 4:
        assert "another" in done.stderr
        assert time.monotonic() < deadline, done.stderr
    assert done.returncode == 0, done.stderr
    check_nothing_twice(shell)


def test_site_moves_to_another_block(shell: Shell) -> None:
    """A balancer can't follow its subnets into another VPC: it has to be replaced with them."""
    shell("pulumi config set lockstep:protect false -s primary")
    shell("pulumi up --yes -s primary")
    shell("pulumi config set lockstep:cidr 10.30.0.0/16 -s primary")
    shell("pulumi up --yes -s primary")
    shell("pulumi preview -s primary --expect-no-changes")
    shell("pulumi refresh --yes -s primary --expect-no-changes")


def test_killed_run_is_settled_by_the_next(shell: Shell) -> None:
    """kill -9 of the command and of every engine it started, at any moment: nothing is lost, nothing exists twice."""
    process = start(shell)
    wait_for_resources(shell, random.Random(tree_hash()).randint(3, 25))
    for pid in [process.pid, *engines(shell)]:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=120)
    done = shell("lockstep up --yes")
    assert "Traceback" not in done.stderr
    check_nothing_twice(shell)


def engines(shell: Shell) -> list[int]:
    """The Pulumi CLIs that work on this test's backend."""
    marker = f"LOCKSTEP_SANDBOX_HOME={shell.environment['LOCKSTEP_SANDBOX_HOME']}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().split(b"\0")
                if command[0].endswith(b"pulumi"):
                    found.append(int(folder.name))
        except OSError:
            continue
    return found


def check_nothing_twice(shell: Shell) -> None:
    """What AWS has is what the state says, for each kind that could have been made twice."""
    for stack in STACKS:
        shell(f"pulumi preview --refresh -s {stack} --expect-no-changes")
    expected = Counter[str]()
    for stack in STACKS:
        resources = shell.json(f"pulumi stack export -s {stack}")["deployment"]["resources"]
        expected.update(resource["type"] for resource in resources)
    there = inventory(shell)
    assert there == {token: expected[token] for token in there}
