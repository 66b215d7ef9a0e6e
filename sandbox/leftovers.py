"""Ends whatever is left of a sandbox: the one place that kills processes and removes STATE.

Rule: the caller holds the lock of STATE. Processes are found as `sandbox.processes` says, asked to end (SIGTERM, the
supervisor first, as it ends its members in order), then killed; STATE is removed only when none is left.
"""

import signal
from collections.abc import Iterable
from pathlib import Path

from lockstep.errors import IncompleteError, InvalidInputError
from sandbox import processes, state
from sandbox.processes import ProcessId

SUPERVISOR_SECONDS = 12.0
"""How long a supervisor may take to end its members: longer than `supervisor.MEMBER_SECONDS` and the kill after it."""

MEMBER_SECONDS = 3.0
KILL_SECONDS = 5.0


def settle(home: Path) -> int:
    """End every process of the sandbox in `home` and remove `home`; returns how many processes were ended.

    Raises IncompleteError if a process or file outlives that.
    """
    count = end_processes(home)
    state.remove(home)
    return count


def end_processes(home: Path) -> int:
    """End every process of the sandbox in `home`; returns how many there were.

    Raises IncompleteError if one can't be ended.
    """
    seen: set[ProcessId] = set()
    for number, seconds, supervisors_only in (
        (signal.SIGTERM, SUPERVISOR_SECONDS, True),
        (signal.SIGTERM, MEMBER_SECONDS, False),
        (signal.SIGKILL, KILL_SECONDS, False),
        # What a process started while it was being killed shows up only now.
        (signal.SIGKILL, KILL_SECONDS, False),
    ):
        found = find(home)
        seen |= found
        targets = processes.supervisors_among(found, home) if supervisors_only else found
        signalled = [process for process in targets if _signal(process, number)]
        processes.wait_until_gone(signalled, timeout=seconds)
    if left := find(home):
        pids = ",".join(str(process.pid) for process in sorted(left))
        raise IncompleteError(
            f"processes {pids} of the sandbox in {home} are still there {KILL_SECONDS:g} s after SIGKILL",
            f"see what holds them (`ps -o pid,stat,wchan,args -p {pids}`), then `lockstep sandbox down`",
        )
    return len(seen)


def find(home: Path) -> set[ProcessId]:
    """Every living process of the sandbox in `home`, also if its record is missing or unreadable."""
    return processes.members_of(home, _recorded(home))


def _recorded(home: Path) -> Iterable[ProcessId]:
    try:
        found = state.read(home)
    except InvalidInputError:
        return ()  # The marks in the processes' environments still tell them.
    return found.recorded if found else ()


def _signal(process: ProcessId, number: signal.Signals) -> bool:
    try:
        return processes.send_signal(process, number)
    except PermissionError as error:
        raise IncompleteError(
            f"process {process.pid} of the sandbox belongs to another user, so it can't be ended",
            "run `lockstep sandbox down` as the user who ran `lockstep sandbox up`",
        ) from error
