"""The sandbox's supervisor: starts its members, sees when one dies, and ends all of them together.

A process of its own, and not part of the API's, because the API is the process that grows, and so the one that the
kernel kills when memory runs out: whoever ends the rest and says why must outlive it. Standard library only: 15 MiB.

It is started by `lockstep sandbox up`, which talks to it over a socket in lines of JSON, and it owns STATE and its lock
until `up` says `commit`. If the socket closes before that, whatever the reason (Ctrl-C, kill -9), it ends everything
and removes STATE. After `commit` it belongs to nobody, and lives until SIGTERM or until a member dies.

| `up` sends | answer |
|---|---|
| (nothing) | `waiting` if another command has STATE; `already-up`; or `ready`, with how many old processes it ended |
| `start`: name, command | `started` with the first line the member prints |
| `commit`: record | `committed`, when `sandbox.json` is on disk |
| any | `failed` with message and log, after which it ends everything |
"""

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from lockstep.errors import LockstepError
from sandbox import leftovers, processes, state
from sandbox.processes import ProcessId
from sandbox.state import HomeLock, Member, SandboxState

MEMBER_SECONDS = 5.0
"""How long members may take to end after SIGTERM."""

LOCK_POLL_SECONDS = 0.05
LOG_TAIL_LINES = 12
FOLDERS = ("log", "tmp", "backend", "pulumi")

_BUFFER = 65536


class _StoppedError(Exception):
    """`up` is gone, or has been told that it failed: everything ends."""


@dataclass
class _Running:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    identity: ProcessId
    log: Path
    descriptor: int
    first_line: bytes = b""
    started: bool = False


@dataclass
class _Control:
    """The line to `up`: JSON objects, one a line, both ways."""

    connection: socket.socket
    pending: bytes = field(default=b"")

    def send(self, event: str, **facts: Any) -> None:
        # `up` may be gone already; then the end of the stream, read next, says so.
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps({"event": event, **facts}).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]]:
        """The requests that have arrived. Raises _StoppedError at the end of the stream."""
        try:
            data = self.connection.recv(_BUFFER)
        except OSError:
            data = b""
        if not data:
            raise _StoppedError
        *lines, self.pending = (self.pending + data).split(b"\n")
        return [json.loads(line) for line in lines]


class Supervisor:
    """Runs the members of the sandbox in `home` for the `up` at the other end of `connection`."""

    def __init__(self, home: Path, connection: socket.socket) -> None:
        self._home = home
        self._control = _Control(connection)
        self._lock = HomeLock(home)
        self._selector = selectors.DefaultSelector()
        self._members: list[_Running] = []
        self._committed = False
        self._signals, self._wakeup = socket.socketpair()
        self._requests: dict[str, Callable[..., None]] = {"start": self._start, "commit": self._commit}

    def run(self) -> int:
        """Serve until the sandbox ends; returns the process's exit status."""
        self._listen_for_signals()
        self._selector.register(self._control.connection, selectors.EVENT_READ, self._on_request)
        owned = False
        try:
            if not self._acquire():
                return 0
            owned = True
            self._prepare()
            while True:
                self._wait()
        except _StoppedError as reason:
            print(f"ending: {reason or 'the command that started the sandbox is gone'}", flush=True)
        except (OSError, LockstepError) as error:
            self._report_failure(error)
        finally:
            # Whatever runs in STATE before this process owns it is somebody else's.
            if owned:
                self._end()
        return 0 if self._committed else 1

    def _acquire(self) -> bool:
        """Wait for STATE; False if there is nothing to do, because the sandbox runs already."""
        told = False
        while not self._lock.try_acquire():
            if not told:
                self._control.send("waiting")
                told = True
            self._wait(timeout=LOCK_POLL_SECONDS)
        current = self._readable_state()
        if current is None or not current.is_up:
            return True
        self._lock.release()
        self._control.send("already-up")
        return False

    def _readable_state(self) -> SandboxState | None:
        try:
            return state.read(self._home)
        except LockstepError:
            return None  # Settled like anything else that is left over.

    def _prepare(self) -> None:
        settled = leftovers.end_processes(self._home)
        state.empty(self._home)
        for name in FOLDERS:
            (self._home / name).mkdir(mode=0o700)
        self._write_output_to(self._home / "log" / "supervisor.log")
        self._control.send("ready", settled=settled)

    def _wait(self, timeout: float | None = None) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()

    def _on_request(self) -> None:
        for request in self._control.receive():
            self._requests[request.pop("do")](**request)

    def _start(self, name: str, command: list[str]) -> None:
        log = self._home / "log" / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, processes.MARK: processes.mark(processes.MEMBER, self._home)},
                preexec_fn=processes.die_with_parent(),
            )
        identity = processes.identify(process.pid) or ProcessId(process.pid, 0)
        member = _Running(name, command, process, identity, log, os.pidfd_open(process.pid))
        self._members.append(member)
        self._selector.register(_output_of(member), selectors.EVENT_READ, lambda: self._on_output(member))
        self._selector.register(member.descriptor, selectors.EVENT_READ, lambda: self._on_death(member))

    def _on_output(self, member: _Running) -> None:
        """Pass a member's first line to `up`, and what follows to its log."""
        stream = _output_of(member)
        data = os.read(stream.fileno(), _BUFFER)
        if not data:
            self._selector.unregister(stream)
            return
        if not member.started:
            member.first_line, end, data = (member.first_line + data).partition(b"\n")
            if not end:
                return
            member.started = True
            self._control.send("started", name=member.name, line=member.first_line.decode(errors="replace"))
        # A full disk costs the line, not the sandbox.
        with contextlib.suppress(OSError), member.log.open("ab") as log:
            log.write(data)

    def _on_death(self, member: _Running) -> None:
        self._selector.unregister(member.descriptor)
        reason = f"{member.name} (pid {member.identity.pid}) {how_it_ended(member.process.wait())}"
        if self._committed:
            self._record_end(reason)
        else:
            self._control.send("failed", message=f"its {reason}", log=log_tail(member.log))
        raise _StoppedError(reason)

    def _commit(self, record: Mapping[str, Any]) -> None:
        members = [Member(name="supervisor", process=_own_identity(), log="log/supervisor.log")]
        members += [Member(name=m.name, process=m.identity, log=f"log/{m.log.name}") for m in self._members]
        complete = SandboxState.from_json(
            {**record, "bootId": processes.boot_id(), "processes": [], "ended": None, "home": str(self._home)}
        )
        state.write(replace(complete, members=tuple(members)))
        self._committed = True
        self._selector.unregister(self._control.connection)
        self._control.send("committed")
        self._control.connection.close()
        self._lock.release()

    def _on_signal(self) -> None:
        number = self._signals.recv(1)[0]
        reason = f"the supervisor (pid {os.getpid()}) was asked to end by {signal.Signals(number).name}"
        if self._committed:
            self._record_end(reason)
        raise _StoppedError(reason)

    def _record_end(self, reason: str) -> None:
        """Tell `lockstep sandbox status` what happened; if that can't be written, the dead processes still show it."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            state.record_end(self._home, f"{moment} {reason}")
        except (OSError, LockstepError) as error:
            print(f"couldn't record that {reason}: {error}", flush=True)

    def _report_failure(self, error: OSError | LockstepError) -> None:
        traceback.print_exception(error)
        if isinstance(error, LockstepError):
            self._control.send("failed", message=error.message, remedy=error.remedy, kind=type(error).__name__)
        else:
            self._control.send("failed", message=describe(error))
        if self._committed:
            self._record_end(f"the supervisor (pid {os.getpid()}) failed: {error}")

    def _end(self) -> None:
        """End all members; if `up` never committed, remove STATE as well, so that its failure leaves nothing."""
        self._end_members()
        if self._committed:
            return
        try:
            leftovers.settle(self._home)
        finally:
            self._lock.release()

    def _end_members(self) -> None:
        for member in reversed(self._members):
            processes.send_signal(member.identity, signal.SIGTERM)
        left = processes.wait_until_gone([m.identity for m in self._members], timeout=MEMBER_SECONDS)
        for process in {*left, *processes.members_of(self._home, left)}:
            processes.send_signal(process, signal.SIGKILL)
        for member in self._members:
            member.process.wait()

    def _listen_for_signals(self) -> None:
        """Installed explicitly: what a script starts in the background inherits "ignore SIGINT"."""
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._selector.register(self._signals, selectors.EVENT_READ, self._on_signal)

    @staticmethod
    def _write_output_to(path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)


def how_it_ended(status: int) -> str:
    """A member's end in words; `status` as Popen.wait returns it: negative for the signal that killed it."""
    if status < 0:
        return f"was killed by signal {-status} ({signal.Signals(-status).name})"
    return f"ended with status {status}"


def log_tail(path: Path) -> str:
    """The last lines of a log, empty if there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-LOG_TAIL_LINES:])


def describe(error: OSError) -> str:
    """An OSError in words: what the system said, and about which file."""
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)


def _own_identity() -> ProcessId:
    identity = processes.identify(os.getpid())
    assert identity is not None
    return identity


def _output_of(member: _Running) -> IO[bytes]:
    assert member.process.stdout is not None
    return member.process.stdout


def main() -> int:
    """Run the supervisor for STATE on the inherited socket `--control`."""
    parser = argparse.ArgumentParser(prog="sandbox.supervisor")
    parser.add_argument("home", type=Path)
    parser.add_argument("--control", type=int, required=True)
    arguments = parser.parse_args()
    return Supervisor(arguments.home, socket.socket(fileno=arguments.control)).run()


if __name__ == "__main__":
    sys.exit(main())
