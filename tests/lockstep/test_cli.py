"""What `lockstep` makes of commands, errors, signals and pipes. Each case runs in a process of its own."""

import inspect
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from lockstep import cli

BOOM = """
import os, signal, sys, time
import typer
from lockstep import console, errors

def boom(kind: str, json: bool = False) -> None:
    "Fail in the way that KIND says."
    if kind == "refused":
        raise errors.RefusedError("it would drain the last site", "lockstep status")
    if kind == "defect":
        raise ValueError("impossible")
    if kind == "exit":
        raise typer.Exit(10)
    if kind == "lines":
        for number in range(100_000):
            console.data(str(number))
    if kind == "ask":
        console.confirm("Go on?", yes=False)
    if kind == "wait":
        console.data("ready")
        time.sleep(60)
    if kind == "rich":
        console.stdout.print("data", markup=False)
        console.stderr.print("notice", markup=False)
        console.data_json({"data": 1})
        console.progress("progress")
        console.warning("careful")
"""
RUN = """
import sys
from lockstep import cli
cli.COMMANDS = (cli.CommandEntry("boom", "boom_command", "boom", "Fail in the way that KIND says."),)
sys.exit(cli.main())
"""


@pytest.fixture
def boom(tmp_path: Path) -> Any:
    """`boom(ARGUMENTS)`: `lockstep ARGUMENTS` in a new process, with one command, `boom`."""
    (tmp_path / "boom_command.py").write_text(BOOM)

    def run(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if name != cli.DEBUG_VARIABLE}
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            env={**env, "PYTHONPATH": str(tmp_path), **options.pop("env", {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return run


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def lockstep(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")}
    done = subprocess.run(
        [sys.executable, "-m", "lockstep.cli", *arguments],
        cwd=cwd,
        env={**env, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_error_is_its_message_its_remedy_and_its_number(boom: Any) -> None:
    """At 3 a.m. the next command matters, and a traceback hides it."""
    assert outcome(boom("boom", "refused")) == (4, "", "error: it would drain the last site\nlockstep status\n")


def test_a_defect_is_short_unless_a_traceback_is_wanted(boom: Any) -> None:
    """Operators need one line and how to get more; developers need the traceback."""
    code, _, err = outcome(boom("boom", "defect"))
    assert code == 1
    assert err.startswith("error: unexpected: ValueError: impossible\n")
    assert "--debug" in err
    assert "Traceback" not in err
    for process in (boom("--debug", "boom", "defect"), boom("boom", "defect", env={"LOCKSTEP_DEBUG": "1"})):
        code, _, err = outcome(process)
        assert code == 1
        assert "Traceback" in err
        assert "in boom" in err


def test_a_command_chooses_its_status(boom: Any) -> None:
    """`status` says "degraded" by its number, and nothing went wrong in it."""
    assert outcome(boom("boom", "exit")) == (10, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ignored", [False, True])
def test_an_interrupted_command_exits_with_130(boom: Any, number: signal.Signals, ignored: bool) -> None:
    """A command that can't be stopped because a script started it in the background would have to be killed -9."""
    disposition = signal.SIG_IGN if ignored else signal.SIG_DFL
    process = boom("boom", "wait", preexec_fn=lambda: signal.signal(number, disposition))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert outcome(process) == (130, "", "error: interrupted\n")


def test_a_reader_that_has_enough_ends_the_command_quietly(boom: Any) -> None:
    """`lockstep history | head` must not end in a traceback, nor fail under `set -o pipefail`."""
    process = boom("boom", "lines")
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


def test_without_a_terminal_nobody_is_asked(boom: Any) -> None:
    """A pipeline must get 4 at once, and not hang at a question."""
    code, out, err = outcome(boom("boom", "ask"))
    assert (code, out) == (4, "")
    assert "--yes" in err


def test_data_goes_to_stdout_and_all_else_to_stderr(boom: Any) -> None:
    """`--json | jq` breaks on a single line of progress."""
    code, out, err = outcome(boom("boom", "rich"))
    assert code == 0
    assert out.startswith("data\n")
    assert json.loads(out.removeprefix("data\n")) == {"data": 1}
    assert err == "notice\nprogress\nwarning: careful\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["sandbx"], "Did you mean 'sandbox'"),
        (["--nonsense"], "No such option: --nonsense"),
        (["sandbox", "up", "--port", "65536"], "--port"),
        (["sandbox", "up", "--port", "http"], "--port"),
        (["sandbox", "env", "--shell", "fish"], "fish"),
        (["sandbox", "down", "extra"], "extra"),
    ],
)
def test_a_wrong_command_line_is_usage_and_says_where_help_is(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    """2 tells a script that it is wrong itself; the message has to say which word."""
    code, out, err = lockstep(*arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert complaint in err
    assert "--help` shows what it takes" in err


def test_outside_of_a_project_the_code_is_invalid_input(tmp_path: Path) -> None:
    """The most common mistake of all: the wrong working folder."""
    code, out, err = lockstep("sandbox", "status", cwd=tmp_path)
    assert (code, out) == (3, "")
    assert str(tmp_path) in err


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    """Bug reports start with it."""
    assert lockstep("--version", cwd=tmp_path) == (0, f"lockstep {version('lockstep')}\n", "")


def test_help_imports_no_command(tmp_path: Path) -> None:
    """Every command pays for what `lockstep` imports at its start; pulumi and boto3 alone cost half a second."""
    script = (
        "import sys; from lockstep import cli; status = cli.main(['--help'])\n"
        "heavy = {'pulumi', 'pulumi_aws', 'boto3', 'botocore', 'yaml', 'moto', 'grpc', 'pydantic.main'}\n"
        "loaded = heavy & set(sys.modules) | {n for n in sys.modules if n.startswith('lockstep.commands')}\n"
        "sys.exit(f'loaded: {sorted(loaded)}' if loaded else status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(entry.name in done.stdout for entry in cli.COMMANDS)


@pytest.mark.parametrize("entry", cli.COMMANDS, ids=lambda entry: entry.name)
def test_the_line_in_the_help_is_what_the_command_says_of_itself(entry: cli.CommandEntry) -> None:
    """The help is written without importing the command; it must not go on describing what the command once did."""
    command = cli.load(entry)
    assert inspect.cleandoc(command.help).splitlines()[0] == entry.help


def test_a_command_with_subcommands_shows_them(tmp_path: Path) -> None:
    """`lockstep sandbox --help` goes through the lazily loaded command."""
    code, out, _ = lockstep("sandbox", "--help", cwd=tmp_path)
    assert code == 0
    assert all(name in out for name in ("up", "down", "status", "env"))
    assert isinstance(cli.root_command(), typer.core.TyperGroup)
