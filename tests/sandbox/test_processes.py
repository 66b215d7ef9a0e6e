"""Telling the sandbox's processes from others, and tying children to their parent."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep.errors import IncompleteError
from sandbox import leftovers, processes, state
from sandbox.processes import MARK, MEMBER, SUPERVISOR, ProcessId
from tests.sandbox.checkout import eventually, is_running

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(ARGUMENTS, mark=...)`: a process with this mark, or none; ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, mark: str = "") -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            arguments or ("sleep", "600"),
            env={**os.environ, MARK: mark},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def identity(process: "subprocess.Popen[str]") -> ProcessId:
    found = processes.identify(process.pid)
    assert found
    return found


def test_a_process_is_its_pid_and_its_start_time(start: Start) -> None:
    """Pids come round again; start times within one boot don't."""
    process = identity(start())
    assert processes.is_alive(process)
    assert not processes.is_alive(ProcessId(process.pid, process.start_ticks - 1))


def test_a_zombie_is_not_alive(start: Start) -> None:
    """A container without an init never reaps; `down` would wait for a zombie for ever."""
    process = start()
    found = identity(process)
    process.kill()
    assert processes.wait_until_gone([found], timeout=10) == []
    assert Path(f"/proc/{process.pid}/stat").exists()
    assert not processes.is_alive(found)
    assert processes.resident_bytes(found) == 0


def test_a_name_with_parentheses_and_blanks_does_not_shift_the_fields(tmp_path: Path, start: Start) -> None:
    """/proc/PID/stat is split by blanks, and its second field is whatever the program is called."""
    program = tmp_path / "a) b (1 2"
    program.write_bytes(Path("/bin/sleep").resolve().read_bytes())
    program.chmod(0o755)
    process = start(str(program), "600")
    eventually(lambda: "a) b" in Path(f"/proc/{process.pid}/stat").read_text(), "the program has its name")
    found = identity(process)
    assert found.pid == process.pid
    assert processes.is_alive(found)
    # It has its name before it has memory of its own.
    eventually(lambda: processes.resident_bytes(found) > 0, "the program is loaded")


def test_a_signal_reaches_the_process_that_was_meant(start: Start) -> None:
    """This is how everything is ended."""
    process = start()
    assert processes.send_signal(identity(process), signal.SIGTERM)
    assert process.wait(timeout=10) == -signal.SIGTERM


def test_a_signal_never_reaches_another_process_with_the_same_pid(start: Start) -> None:
    """`down` an hour after a crash must not end what has the pid now."""
    process = start()
    found = identity(process)
    assert not processes.send_signal(ProcessId(found.pid, found.start_ticks + 1), signal.SIGKILL)
    assert processes.is_alive(found)
    process.kill()
    process.wait()
    assert not processes.send_signal(found, signal.SIGKILL)


def test_waiting_gives_up_and_names_who_is_left(start: Start) -> None:
    """After it, the next step is SIGKILL for exactly these."""
    found = identity(start())
    ticks = iter(range(100))
    left = processes.wait_until_gone([found], timeout=3, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    assert left == [found]


def test_members_are_found_by_their_mark_and_not_those_of_another_sandbox(tmp_path: Path, start: Start) -> None:
    """Two checkouts on one machine; a path that begins like another's must not match."""
    mine = start(mark=processes.mark(MEMBER, tmp_path))
    start(mark=processes.mark(MEMBER, tmp_path / "other"))
    start(mark=processes.mark(MEMBER, Path(f"{tmp_path}-2")))
    start()
    eventually(lambda: bool(processes.members_of(tmp_path)), "the mark is seen")
    assert processes.members_of(tmp_path) == {identity(mine)}


def test_descendants_belong_to_the_sandbox_without_a_mark(tmp_path: Path, start: Start) -> None:
    """A service with an environment of its own, as systemd gives one, runs on an instance of the sandbox as well."""
    script = "env -i setsid sleep 600 & echo $!; wait"
    mine = start("sh", "-c", script, mark=processes.mark(MEMBER, tmp_path))
    assert mine.stdout is not None
    child = int(mine.stdout.readline())
    eventually(lambda: "sleep" in Path(f"/proc/{child}/cmdline").read_text(), "the child runs")
    assert {process.pid for process in processes.members_of(tmp_path)} == {mine.pid, child}
    assert leftovers.end_processes(tmp_path) == 2
    assert not is_running(child)


def test_a_waiting_supervisor_is_left_alone_and_one_with_members_is_not(tmp_path: Path, start: Start) -> None:
    """A second `up` that waits for its turn must not be ended by the first one's cleaning up."""
    start(mark=processes.mark(SUPERVISOR, tmp_path))
    inner = f"{MARK}={processes.mark(MEMBER, tmp_path)}"
    working = start("sh", "-c", f"env '{inner}' sleep 600 & echo; wait", mark=processes.mark(SUPERVISOR, tmp_path))
    assert working.stdout is not None
    working.stdout.readline()
    eventually(lambda: len(processes.members_of(tmp_path)) == 2, "supervisor and member are found")
    found = processes.members_of(tmp_path)
    assert working.pid in {process.pid for process in found}
    assert {process.pid for process in processes.supervisors_among(found, tmp_path)} == {working.pid}


def test_what_ignores_sigterm_is_killed(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process that hangs must not keep the sandbox from going down."""
    monkeypatch.setattr(leftovers, "MEMBER_SECONDS", 0.1)
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    stubborn = start(sys.executable, "-c", script, mark=processes.mark(MEMBER, tmp_path))
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    assert leftovers.settle(tmp_path) == 1
    assert stubborn.wait(timeout=10) == -signal.SIGKILL


def test_what_cannot_be_ended_is_named_and_its_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With STATE removed, nobody would know any more what the process belongs to."""
    home = tmp_path / "state"
    home.mkdir()
    monkeypatch.setattr(processes, "members_of", lambda *_: {ProcessId(4242, 1)})
    with pytest.raises(IncompleteError, match="4242"):
        leftovers.settle(home)
    assert home.exists()


def test_settling_works_with_an_unreadable_record(tmp_path: Path, start: Start) -> None:
    """A damaged sandbox.json must not make its processes immortal."""
    home = tmp_path / "state"
    home.mkdir()
    (home / state.STATE_FILE).write_text("{")
    member = start(mark=processes.mark(MEMBER, home))
    eventually(lambda: bool(processes.members_of(home)), "the mark is seen")
    assert leftovers.settle(home) == 1
    assert member.wait(timeout=10) == -signal.SIGTERM
    assert not home.exists()


PARENT = """
import subprocess, sys, time
from sandbox.processes import die_with_parent
child = subprocess.Popen(["sleep", "600"], preexec_fn=die_with_parent())
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_dies_with_its_parent_however_that_dies(start: Start) -> None:
    """kill -9 of the supervisor must not leave an API that holds a port and a gigabyte."""
    parent = start(sys.executable, "-c", PARENT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    eventually(lambda: not is_running(child), "the child is gone")


ORPHAN = """
import os, sys
from sandbox.processes import die_with_parent
tie = die_with_parent()
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        pass
    tie()
    print("still here", flush=True)
"""


def test_a_child_whose_parent_is_dead_already_does_not_start() -> None:
    """Between fork and prctl the parent may die; then no signal comes any more."""
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
