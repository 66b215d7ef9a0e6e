"""Brings the sandbox up, takes it down, and says how it is.

Rule: until the supervisor has answered `committed`, the sandbox belongs to the process that runs `up`, and goes with
it; from then on it ends only by `down`, or when one of its processes dies. `sandbox.supervisor` has the details.
"""

import contextlib
import importlib.util
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from lockstep.errors import FailedUnchangedError, InvalidInputError, RegionUnreachableError
from sandbox import clock, leftovers, outages, processes, state
from sandbox.outages import Outage
from sandbox.start import HOST, PORT_OPTIONS, TURN_SECONDS, Ports, Project, Report, Start, fail, running
from sandbox.state import HomeLock, SandboxState
from sandbox.supervisor import describe, log_tail

_MODULES = ("aiohttp", "boto3", "dnslib", "flask", "grpc", "moto", "rpmfile", "werkzeug")


class Health(StrEnum):
    """How a sandbox is: all of it runs, part of it or nothing runs although it was brought up, or it was never up."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """One process of the sandbox as `status` shows it."""

    name: str
    pid: int
    alive: bool
    resident_bytes: int
    log: Path


@dataclass(frozen=True, kw_only=True)
class Status:
    """The sandbox in `home` at one moment. `record` is None if it isn't up; `log_tail` is set if something died.

    `lost` are the regions that are lost.
    """

    home: Path
    health: Health
    record: SandboxState | None = None
    processes: tuple[ProcessStatus, ...] = ()
    uptime_seconds: float = 0.0
    log_tail: str = ""
    lost: Mapping[str, Outage] = field(default_factory=dict)

    @property
    def resident_bytes(self) -> int:
        """Memory of all processes together, in bytes; pages that they share count for each."""
        return sum(process.resident_bytes for process in self.processes)

    def to_json(self) -> dict[str, Any]:
        """The object that `lockstep sandbox status --json` prints."""
        record = self.record
        return {
            "status": self.health.value,
            "home": str(self.home),
            "addresses": dict(record.addresses) if record else {},
            "zone": record.zone if record else None,
            "stacks": list(record.stacks) if record else [],
            "speed": record.speed if record else None,
            "uptimeSeconds": round(self.uptime_seconds, 1),
            "residentBytes": self.resident_bytes,
            "processes": [
                {"name": p.name, "pid": p.pid, "alive": p.alive, "residentBytes": p.resident_bytes, "log": str(p.log)}
                for p in self.processes
            ],
            "lost": {region: asdict(outage) for region, outage in self.lost.items()},
            "ended": record.ended if record else None,
        }


def up(project: Project, home: Path, ports: Ports, report: Report, *, speed: float | None = None) -> SandboxState:
    """Bring up the sandbox of `project` in `home`, with its hosted zone and stacks; returns its record.

    Its timers run `speed` times faster than AWS's; None stands for 1, or what a sandbox that is up has. `report` gets
    progress, line by line. Does nothing if the sandbox is up; ends and replaces what is left of one that is not. Raises
    InvalidInputError if something is missing or a port is taken, and FailedUnchangedError if it can't be started; then
    nothing of it is left.
    """
    check_platform()
    current = running(home)
    if current:
        return _confirm_running(current, project, ports, speed, report)
    pulumi = _check_requirements(project)
    state.check_home(home)
    with Start(project, home, speed or clock.DEFAULT, report) as start:
        if start.is_up_already():
            return _confirm_running(current_state(home), project, ports, speed, report)
        _check_ports(ports)
        try:
            start.members(ports, pulumi)
        except OSError as error:
            fail(describe(error))
    return current_state(home)


def down(home: Path, report: Report) -> bool:
    """End the sandbox in `home` and remove all of it; False if there was nothing to end or remove.

    Raises IncompleteError if a process or file can't be removed, and InvalidInputError if `home` isn't a sandbox's.
    """
    check_platform()
    if not home.exists():
        return leftovers.end_processes(home) > 0
    state.check_home(home)
    existed = any(home.iterdir())
    lock = HomeLock(home)
    waiting = "waiting for another `lockstep sandbox` command to finish"
    if not lock.acquire(timeout=TURN_SECONDS, on_wait=lambda: report(waiting)):
        _give_up_waiting(home)
    try:
        ended = leftovers.settle(home)
    finally:
        lock.release()
    return existed or ended > 0


def status(home: Path) -> Status:
    """How the sandbox in `home` is. Raises InvalidInputError if its record can't be read."""
    check_platform()
    record = state.read(home)
    if record is None:
        return Status(home=home, health=Health.DOWN)
    alive = set(record.living)
    members = tuple(
        ProcessStatus(
            name=member.name,
            pid=member.process.pid,
            alive=member in alive,
            resident_bytes=processes.resident_bytes(member.process) if member in alive else 0,
            log=home / member.log,
        )
        for member in record.members
    )
    return Status(
        home=home,
        health=Health.UP if record.is_up else Health.DEGRADED,
        record=record,
        processes=members,
        uptime_seconds=max(0.0, time.time() - record.started_at) if alive else 0.0,
        log_tail="" if record.is_up else _last_words(record, members),
        lost=outages.current(record) if record.is_up else {},
    )


def current_state(home: Path) -> SandboxState:
    """The record of the sandbox in `home`, which must be up. Raises RegionUnreachableError if it is not."""
    check_platform()
    record = state.read(home)
    if record is None:
        raise RegionUnreachableError(f"no sandbox is up in {home}", "`lockstep sandbox up` starts it")
    if not record.is_up:
        reason = record.ended or "some of its processes are gone"
        raise RegionUnreachableError(
            f"the sandbox in {home} is no longer up: {reason}",
            "`lockstep sandbox status` shows what died; `lockstep sandbox up` clears it away and starts anew",
        )
    return record


def check_platform() -> None:
    """Raises InvalidInputError on anything but Linux."""
    if sys.platform != "linux":
        raise InvalidInputError(
            f"the sandbox runs on Linux only, and this is {sys.platform}",
            "run it in a Linux container or virtual machine; on AWS, everything else of lockstep works here",
        )


def _confirm_running(
    record: SandboxState, project: Project, ports: Ports, speed: float | None, report: Report
) -> SandboxState:
    """`up` of a sandbox that is up: fine, if it is the one that was asked for."""
    if record.project != project.root:
        raise InvalidInputError(
            f"the sandbox in {record.home} belongs to the project in {record.project}, not to {project.root}",
            f"set {state.HOME_VARIABLE} to another folder, or `lockstep sandbox down` first",
        )
    if speed not in (None, record.speed):
        raise InvalidInputError(
            f"the sandbox is up at speed {record.speed:g}, and --speed asks for {speed:g}",
            f"`lockstep sandbox down` first, or leave out --speed (and {clock.VARIABLE})",
        )
    for option in PORT_OPTIONS:
        wanted = getattr(ports, option.field)
        address = record.addresses[option.address]
        if wanted and not address.endswith(f":{wanted}"):
            raise InvalidInputError(
                f"the sandbox is up with {address}, and {option.option} asks for port {wanted}",
                f"`lockstep sandbox down` first, or leave out {option.option} (and {option.variable})",
            )
    report(f"the sandbox in {record.home} is up already")
    return record


def _check_requirements(project: Project) -> Path:
    """The Pulumi CLI to use. Raises InvalidInputError if it, or a module of the sandbox, is missing."""
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidInputError(
            f"the sandbox needs Python modules that {sys.executable} doesn't have: {', '.join(missing)}",
            "run `make setup`, then `.venv/bin/lockstep sandbox up`",
        )
    built = project.root / ".tools" / "bin" / "pulumi"
    found = str(built) if built.exists() else shutil.which("pulumi")
    if not found:
        raise InvalidInputError("no Pulumi CLI: `pulumi` is neither in .tools/bin nor on PATH", "run `make setup`")
    return Path(found)


def _check_ports(ports: Ports) -> None:
    """Raises InvalidInputError if a port that was asked for can't be listened on."""
    with contextlib.ExitStack() as held:
        for option in PORT_OPTIONS:
            port = getattr(ports, option.field)
            if port == 0:
                continue
            try:
                for kind in (socket.SOCK_STREAM, *([socket.SOCK_DGRAM] if option.field == "dns" else [])):
                    _listen(held, kind, port)
            except OSError as error:
                raise InvalidInputError(
                    f"{option.option} {port}: can't listen on {HOST}:{port}: {error.strerror}",
                    f"free the port (`ss -ltunp 'sport = :{port}'` shows who has it), or choose another one with "
                    f"{option.option} or {option.variable}; 0 takes a free one",
                ) from error


def _listen(held: contextlib.ExitStack, kind: int, port: int) -> None:
    """Hold a port as a member of the sandbox will. Raises OSError."""
    listener = held.enter_context(socket.socket(socket.AF_INET, kind))
    if kind == socket.SOCK_STREAM:
        # As a port that a server has just left is free to the next one; UDP has no such delay, and would share.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    if kind == socket.SOCK_STREAM:
        listener.listen()


def _last_words(record: SandboxState, members: tuple[ProcessStatus, ...]) -> str:
    """The end of the log of what died first: named by the supervisor, or else the first dead process."""
    dead = [member for member in members if not member.alive]
    named = [member for member in dead if record.ended and f" {member.name} (pid {member.pid})" in record.ended]
    return log_tail((named or dead)[0].log) if dead else ""


def _give_up_waiting(home: Path) -> NoReturn:
    raise FailedUnchangedError(
        f"another `lockstep sandbox` command has held {home} for {TURN_SECONDS:g} s; nothing was changed",
        f"see which (`fuser -v {home / state.LOCK_FILE}`), end it, and run this again",
    )
