"""The sandbox's processes: telling them from all others, ending them, and tying a child's life to its parent's.

Rule: a signal goes only to a process that is known to be the sandbox's, by pid *and* start time, through a pidfd, so
that a pid which the kernel has given to somebody else is never hit. A process is the sandbox's if STATE/sandbox.json
lists it, if its environment carries the sandbox's mark, or if one of its ancestors is such a process. Needs Linux 5.3
or newer (pidfd_open(2)).
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "LOCKSTEP_SANDBOX_PROCESS"
"""Environment variable of every process of a sandbox: `ROLE:STATE`. Never exported to a user's shell."""

SUPERVISOR = "supervisor"
MEMBER = "member"

POLL_SECONDS = 0.01

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1  # prctl(2)
# proc_pid_stat(5): zombie, dead; stopped on a signal.
_DEAD_STATES = frozenset("ZXx")
_STOPPED_STATES = frozenset("T")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, order=True)
class ProcessId:
    """One process, for good: `start_ticks` is its start time in clock ticks after boot (proc_pid_stat(5), field 22)."""

    pid: int
    start_ticks: int


@dataclass(frozen=True)
class _Stat:
    process: ProcessId
    state: str
    parent: int
    resident_bytes: int


def mark(role: str, home: Path) -> str:
    """The value of `MARK` for a process with `role` in the sandbox whose state is in `home`."""
    return f"{role}:{home}"


def boot_id() -> str:
    """The kernel's id of this boot: start times of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> ProcessId | None:
    """The process that has `pid` now, or None if there is none, or only a zombie."""
    stat = _read_stat(pid)
    return stat.process if stat and stat.state not in _DEAD_STATES else None


def is_alive(process: ProcessId) -> bool:
    """Whether `process` still runs. A zombie does not: it holds no memory, no file and no port."""
    return identify(process.pid) == process


def is_still(pid: int) -> bool:
    """Whether the process that has `pid` is stopped (SIGSTOP), or is no more."""
    stat = _read_stat(pid)
    return stat is None or stat.state in _STOPPED_STATES | _DEAD_STATES


def stop_descendants() -> list[ProcessId]:
    """Stop (SIGSTOP) all that this process has started, and all that was started by them; returns them.

    The caller must have no other thread that starts any.
    """
    stopped: dict[ProcessId, None] = {}
    while True:
        stats = {stat.process.pid: stat for stat in _all_stats() if stat.state not in _DEAD_STATES}
        found = {stats[pid].process for pid in _with_descendants({os.getpid()}, stats) - {os.getpid()} if pid in stats}
        # What one of them has started before it was stopped itself is seen by the next look.
        if not found - stopped.keys():
            return list(stopped)
        for process in found - stopped.keys():
            send_signal(process, signal.SIGSTOP)
            stopped[process] = None


def resident_bytes(process: ProcessId) -> int:
    """Resident memory of `process` in bytes; 0 if it is gone."""
    stat = _read_stat(process.pid)
    return stat.resident_bytes if stat and stat.process == process else 0


def send_signal(process: ProcessId, number: signal.Signals) -> bool:
    """Signal `process`, and only it; False if it is gone.

    Raises PermissionError if it belongs to another user.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The pidfd pins the process that has the pid now; only then does comparing start times prove which one that is.
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_until_gone(
    processes: Iterable[ProcessId],
    *,
    timeout: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[ProcessId]:
    """Wait at most `timeout` seconds for all `processes` to end; returns those that still run."""
    deadline = clock() + timeout
    alive = [process for process in processes if is_alive(process)]
    while alive and clock() < deadline:
        sleep(POLL_SECONDS)
        alive = [process for process in alive if is_alive(process)]
    return alive


def members_of(home: Path, recorded: Iterable[ProcessId] = ()) -> set[ProcessId]:
    """Every living process of the sandbox in `home`: `recorded` ones, marked ones, their descendants.

    The supervisor of a marked process belongs to them. One that merely waits for its turn, and so has started nothing,
    does not.
    """
    stats = {stat.process.pid: stat for stat in _all_stats() if stat.state not in _DEAD_STATES}
    known = set(recorded)
    found = {pid for pid, stat in stats.items() if stat.process in known or _has_mark(pid, mark(MEMBER, home))}
    parents = {stats[pid].parent for pid in found}
    found |= {pid for pid in parents if pid in stats and _has_mark(pid, mark(SUPERVISOR, home))}
    found -= {os.getpid()}
    return {stats[pid].process for pid in _with_descendants(found, stats)}


def supervisors_among(processes: Iterable[ProcessId], home: Path) -> set[ProcessId]:
    """Those of `processes` that are supervisors of the sandbox in `home`."""
    return {process for process in processes if _has_mark(process.pid, mark(SUPERVISOR, home))}


def die_with_parent() -> Callable[[], None]:
    """A `preexec_fn` that has the kernel kill the child as soon as the calling thread is gone, however that ended.

    Call it in the thread that starts the child: prctl(2) ties PR_SET_PDEATHSIG to the thread, not to the process.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        if prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        # A parent that died before the call above sends nothing any more.
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _with_descendants(pids: set[int], stats: dict[int, _Stat]) -> set[int]:
    found = set(pids)
    while True:
        children = {pid for pid, stat in stats.items() if stat.parent in found} - found - {os.getpid()}
        if not children:
            return found
        found |= children


def _all_stats() -> list[_Stat]:
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    return [stat for pid in pids if (stat := _read_stat(pid))]


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(
        process=ProcessId(pid, int(fields[19])),
        state=fields[0],
        parent=int(fields[1]),
        resident_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def _has_mark(pid: int, value: str) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # Gone, or another user's and so not ours.
    return f"{MARK}={value}".encode() in environment.split(b"\0")
