"""The supervisor with small members in place of the API: who ends, when, and what is left."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import processes, state
from sandbox.supervisor import how_it_ended, log_tail
from tests.sandbox.checkout import PATIENCE, REPOSITORY, eventually, is_running

READY = ["sh", "-c", "echo ready; exec sleep 600"]
RECORD = {
    "format": state.FORMAT,
    "project": "/project",
    "startedAt": 0,
    "addresses": {"api": "http://127.0.0.1:1", "apiPlain": "http://127.0.0.1:2", "provider": "127.0.0.1:3"},
    "zone": "example.com",
    "stacks": ["primary", "global"],
    "speed": 6.0,
}


class Line:
    """A supervisor in a process of its own, and the line to it."""

    def __init__(self, home: Path, wrap: tuple[str, ...] = ()) -> None:
        self.home = home
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(PATIENCE)
        self._reader = self._connection.makefile("r")
        with theirs:
            self.process = subprocess.Popen(
                [*wrap, sys.executable, "-m", "sandbox.supervisor", str(home), "--control", str(theirs.fileno())],
                cwd=REPOSITORY,
                env={**os.environ, processes.MARK: processes.mark(processes.SUPERVISOR, home)},
                pass_fds=(theirs.fileno(),),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def ask(self, request: str, **facts: Any) -> dict[str, Any]:
        self._connection.sendall(json.dumps({"do": request, **facts}).encode() + b"\n")
        return self.answer()

    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._reader.readline())
        return found

    def start(self, name: str, command: list[str]) -> dict[str, Any]:
        return self.ask("start", name=name, command=command)

    def close(self) -> None:
        self._reader.close()
        self._connection.close()

    def wait(self) -> int:
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A STATE whose processes are gone after the test."""
    yield tmp_path / "state"
    for process in processes.members_of(tmp_path / "state"):
        processes.send_signal(process, signal.SIGKILL)


@pytest.fixture
def line(home: Path) -> Iterator[Line]:
    made = Line(home)
    yield made
    made.close()
    made.process.kill()
    made.process.wait()


def members(home: Path) -> set[int]:
    return {process.pid for process in processes.members_of(home)}


def test_a_members_first_line_is_passed_on_and_the_rest_is_logged(line: Line, home: Path) -> None:
    """The first line is the address; everything after it is what explains a failure."""
    assert line.answer() == {"event": "ready", "settled": 0}
    command = ["sh", "-c", "echo 4711; echo out; echo err >&2; exec sleep 600"]
    assert line.start("api", command) == {"event": "started", "name": "api", "line": "4711"}
    eventually(lambda: set(log_tail(home / "log/api.log").split()) == {"out", "err"}, "both lines are in the log")


def test_without_commit_the_end_of_the_line_is_the_end_of_all(line: Line, home: Path) -> None:
    """The kernel closes the line however `up` died; nothing may stay."""
    line.answer()
    line.start("api", READY)
    line.start("provider", READY)
    assert len(members(home)) == 3
    line.close()
    assert line.wait() == 1
    assert members(home) == set()
    assert not home.exists()


def test_after_commit_the_end_of_the_line_means_nothing(line: Line, home: Path) -> None:
    """`up` ends, the sandbox stays."""
    line.answer()
    line.start("api", READY)
    assert line.ask("commit", record=RECORD) == {"event": "committed"}
    line.close()
    found = state.read(home)
    assert found
    assert [member.name for member in found.members] == ["supervisor", "api"]
    eventually(lambda: found.is_up, "supervisor and member run")
    assert line.process.poll() is None
    os.kill(line.process.pid, signal.SIGTERM)
    assert line.wait() == 0
    assert members(home) == set()


def test_a_member_that_dies_before_commit_is_reported_with_its_log(line: Line, home: Path) -> None:
    """`up` has to show why the API didn't start, and its log is gone with STATE."""
    line.answer()
    answer = line.start("api", ["sh", "-c", "echo no module named moto >&2; exit 3"])
    assert answer["event"] == "failed"
    assert "api" in answer["message"]
    assert "ended with status 3" in answer["message"]
    assert answer["log"] == "no module named moto"
    assert line.wait() == 1
    assert not home.exists()


def test_a_command_that_does_not_exist_is_reported(line: Line, home: Path) -> None:
    """A wrong path is a failure like any other, and not an endless wait."""
    line.answer()
    answer = line.start("api", ["/nonexistent/python"])
    assert answer["event"] == "failed"
    assert "/nonexistent/python" in answer["message"]
    assert line.wait() == 1
    assert not home.exists()


def test_a_member_that_dies_ends_the_others_and_is_on_record(line: Line, home: Path) -> None:
    """Half a sandbox answers some calls and hangs on others; it is better gone, with its reason."""
    line.answer()
    line.start("api", READY)
    line.start("provider", READY)
    line.ask("commit", record=RECORD)
    found = state.read(home)
    assert found
    api = next(member.process for member in found.members if member.name == "api")
    processes.send_signal(api, signal.SIGKILL)
    assert line.wait() == 0
    assert members(home) == set()
    after = state.read(home)
    assert after
    assert after.ended is not None
    assert f"api (pid {api.pid}) was killed by signal 9 (SIGKILL)" in after.ended


def test_members_die_with_a_supervisor_that_is_killed(line: Line, home: Path) -> None:
    """Nobody is left to end them then but the kernel."""
    line.answer()
    line.start("api", READY)
    line.ask("commit", record=RECORD)
    pids = members(home)
    line.process.kill()
    eventually(lambda: not any(is_running(pid) for pid in pids), "all members are gone")


def test_a_member_that_ignores_sigterm_is_killed(line: Line, home: Path) -> None:
    """A hanging API must not keep the sandbox up."""
    line.answer()
    line.start("api", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    line.close()
    assert line.wait() == 1
    assert members(home) == set()
    assert not home.exists()


def test_what_a_member_has_detached_ends_as_well(line: Line, home: Path) -> None:
    """A database server puts itself into a session of its own."""
    line.answer()
    answer = line.start("api", ["sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600"])
    detached = int(answer["line"])
    line.close()
    assert line.wait() == 1
    assert not is_running(detached)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_work_where_they_were_ignored(home: Path, number: signal.Signals) -> None:
    """A script's background job starts its children with SIGINT ignored."""
    line = Line(home, ("sh", "-c", 'trap "" INT TERM; exec "$@"', "sh"))
    line.answer()
    line.start("api", READY)
    line.ask("commit", record=RECORD)
    os.kill(line.process.pid, number)
    assert line.wait() == 0
    line.close()
    assert members(home) == set()
    found = state.read(home)
    assert found
    assert found.ended is not None
    assert number.name in found.ended


def test_a_second_supervisor_waits_and_then_finds_the_sandbox_up(line: Line, home: Path) -> None:
    """The second of two `up`s must neither fail nor touch what the first has started."""
    line.answer()
    line.start("api", READY)
    second = Line(home)
    assert second.answer() == {"event": "waiting"}
    line.ask("commit", record=RECORD)
    assert second.answer() == {"event": "already-up"}
    assert second.wait() == 0
    second.close()
    found = state.read(home)
    assert found
    assert found.is_up


def test_a_supervisor_takes_over_from_one_that_failed(line: Line, home: Path) -> None:
    """If the first `up` is killed, the one that waits starts from nothing."""
    line.answer()
    line.start("api", READY)
    second = Line(home)
    assert second.answer() == {"event": "waiting"}
    line.close()
    assert second.answer()["event"] == "ready"
    assert second.start("api", READY)["event"] == "started"
    second.close()
    assert second.wait() == 1
    assert not home.exists()


def test_a_supervisor_whose_up_is_gone_while_it_waits_leaves_the_other_alone(line: Line, home: Path) -> None:
    """Ctrl-C of the second `up` must not cost the first one its files."""
    line.answer()
    line.start("api", READY)
    second = Line(home)
    second.answer()
    second.close()
    assert second.wait() == 1
    assert line.ask("commit", record=RECORD) == {"event": "committed"}
    assert home.exists()


def test_leftovers_of_a_killed_sandbox_are_settled_first(home: Path) -> None:
    """After kill -9 of the supervisor, `up` alone has to be enough."""
    first = Line(home)
    first.answer()
    detached = int(first.start("api", ["sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600"])["line"])
    first.ask("commit", record=RECORD)
    first.process.kill()
    first.wait()
    assert is_running(detached)
    second = Line(home)
    assert second.answer() == {"event": "ready", "settled": 1}
    assert not is_running(detached)
    assert state.read(home) is None
    first.close()
    second.close()
    second.wait()


def test_a_folder_that_is_not_a_sandboxes_is_refused_and_kept(home: Path) -> None:
    """The supervisor is the one that removes files, so it has to look itself."""
    home.mkdir()
    (home / "thesis").touch()
    line = Line(home)
    answer = line.answer()
    assert (answer["event"], answer["kind"]) == ("failed", "InvalidInputError")
    assert line.wait() == 1
    line.close()
    assert [path.name for path in home.iterdir()] == ["thesis"]


def test_an_end_is_told_in_words() -> None:
    """ "-9" means nothing to whoever reads `status`."""
    assert how_it_ended(-9) == "was killed by signal 9 (SIGKILL)"
    assert how_it_ended(3) == "ended with status 3"
