"""Brings the sandbox up, takes it down, and says how it is.

Rule: until the supervisor has answered `committed`, the sandbox belongs to the process that runs `up`, and goes with
it; from then on it ends only by `down`, or when one of its processes dies. `sandbox.supervisor` has the details.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import lockstep.errors
from lockstep.errors import FailedUnchangedError, InvalidInputError, LockstepError, RegionUnreachableError
from sandbox import clock, leftovers, processes, state
from sandbox.state import FORMAT, HomeLock, SandboxState
from sandbox.supervisor import LOG_TAIL_LINES, describe, how_it_ended, log_tail

HOST = "127.0.0.1"

START_SECONDS = 60.0
"""How long `up` waits for a process to answer before it gives up."""

TURN_SECONDS = 90.0
"""How long a command waits for another one that is starting or ending the same sandbox."""

CLEAN_SECONDS = 30.0
"""How long a failed `up` waits for its supervisor to have removed everything."""

# What the sandbox's processes take over from the caller. All else stays out, so that a profile, a proxy or an endpoint
# in a user's shell can't change what the sandbox does.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_MODULES = ("aiohttp", "boto3", "dnslib", "flask", "grpc", "moto", "rpmfile", "werkzeug")
_BUFFER = 65536

# What `up` says of each process that starts once the API is there.
_NOTES = {
    "provider": "Pulumi provider `aws`",
    "dns": "name server, UDP and TCP,",
    "gateway": "HTTP proxy to the sites' names",
}

Report = Callable[[str], None]


class Health(StrEnum):
    """How a sandbox is: all of it runs, part of it or nothing runs although it was brought up, or it was never up."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Loopback ports to listen on; 0 takes a free one."""

    api: int = 0
    plain: int = 0
    provider: int = 0
    dns: int = 0
    gateway: int = 0


@dataclass(frozen=True)
class PortOption:
    """How a user sets one of `Ports`, and where `SandboxState.addresses` has what was taken."""

    field: str
    address: str
    option: str
    variable: str


PORT_OPTIONS = (
    PortOption("api", "api", "--port", "LOCKSTEP_SANDBOX_PORT"),
    PortOption("plain", "apiPlain", "--plain-port", "LOCKSTEP_SANDBOX_PLAIN_PORT"),
    PortOption("provider", "provider", "--provider-port", "LOCKSTEP_SANDBOX_PROVIDER_PORT"),
    PortOption("dns", "dns", "--dns-port", "LOCKSTEP_SANDBOX_DNS_PORT"),
    PortOption("gateway", "gateway", "--gateway-port", "LOCKSTEP_SANDBOX_GATEWAY_PORT"),
)


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
    """The sandbox in `home` at one moment. `record` is None if it isn't up; `log_tail` is set if something died."""

    home: Path
    health: Health
    record: SandboxState | None = None
    processes: tuple[ProcessStatus, ...] = ()
    uptime_seconds: float = 0.0
    log_tail: str = ""

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
            "ended": record.ended if record else None,
        }


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the sandbox needs to know of a project: its folder, the hosted zone and the stacks to make."""

    root: Path
    zone: str
    stacks: tuple[str, ...]


def up(project: Project, home: Path, ports: Ports, report: Report, *, speed: float | None = None) -> SandboxState:
    """Bring up the sandbox of `project` in `home`, with its hosted zone and stacks; returns its record.

    Its timers run `speed` times faster than AWS's; None stands for 1, or what a sandbox that is up has. `report` gets
    progress, line by line. Does nothing if the sandbox is up; ends and replaces what is left of one that is not. Raises
    InvalidInputError if something is missing or a port is taken, and FailedUnchangedError if it can't be started; then
    nothing of it is left.
    """
    check_platform()
    current = _running(home)
    if current:
        return _confirm_running(current, project, ports, speed, report)
    pulumi = _check_requirements(project)
    state.check_home(home)
    with _Start(project, home, speed or clock.DEFAULT, report) as start:
        if start.is_up_already():
            return _confirm_running(current_state(home), project, ports, speed, report)
        _check_ports(ports)
        try:
            start.members(ports, pulumi)
        except OSError as error:
            _fail(describe(error))
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


class _Start:
    """One attempt to bring the sandbox up. Leaving the `with` block by an error leaves nothing behind."""

    def __init__(self, project: Project, home: Path, speed: float, report: Report) -> None:
        self._project = project
        self._home = home
        self._speed = speed
        self._report = report
        self._stacks: list[_StackInit] = []
        self._supervisor = _SupervisorClient(project.root, home, speed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stack in self._stacks:
            stack.kill()
        self._supervisor.close()
        if error:
            self._supervisor.wait_until_clean()

    def is_up_already(self) -> bool:
        """Wait for STATE; True if whoever had it has brought the sandbox up meanwhile."""
        answer = self._supervisor.receive("ready", "already-up", "waiting", timeout=START_SECONDS)
        if answer["event"] == "waiting":
            self._report("waiting for another `lockstep sandbox` command to finish")
            silence = f"another `lockstep sandbox` command has held {self._home} for {TURN_SECONDS:g} s"
            answer = self._supervisor.receive("ready", "already-up", timeout=TURN_SECONDS, silence=silence)
        if answer.get("settled"):
            self._report(f"ended {answer['settled']} processes that an earlier sandbox had left")
        return bool(answer["event"] == "already-up")

    def members(self, ports: Ports, pulumi: Path) -> None:
        """Start the processes, and meanwhile make the stacks; then hand over to the supervisor."""
        self._supervisor.send("start", name="api", command=_api_command(ports, self._project.zone))
        for stack in self._project.stacks:
            self._stacks.append(_StackInit(self._project, self._home, stack, pulumi))
        addresses = _api_addresses(self._started()["line"])
        self._report(f"AWS API on {addresses['api']}, as plain HTTP on {addresses['apiPlain']}")
        self._report(f"hosted zone {self._project.zone}")
        self._supervisor.send("start", name="provider", command=_provider_command(addresses["api"], ports))
        self._supervisor.send("start", name="dns", command=_dns_command(addresses["api"], ports))
        # In whatever order they are ready: the provider takes longest, and the gateway needs the name server only.
        while not addresses.keys() >= _NOTES.keys():
            answer = self._started()
            name, address = answer["name"], _address(answer)
            addresses[name] = address
            self._report(f"{_NOTES[name]} on {address}")
            if name == "dns":
                self._supervisor.send("start", name="gateway", command=_gateway_command(address, ports))
        for running in self._stacks:
            running.finish()
        self._report(f"stacks {', '.join(self._project.stacks)}")
        self._supervisor.send("commit", record=self._record(addresses))
        self._supervisor.receive("committed", timeout=START_SECONDS)

    def _started(self) -> dict[str, Any]:
        return self._supervisor.receive("started", timeout=START_SECONDS)

    def _record(self, addresses: Mapping[str, str]) -> dict[str, Any]:
        """What the supervisor can't know; it adds the processes."""
        return {
            "format": FORMAT,
            "project": str(self._project.root),
            "startedAt": time.time(),
            "addresses": {option.address: addresses[option.address] for option in PORT_OPTIONS},
            "zone": self._project.zone,
            "stacks": list(self._project.stacks),
            "speed": self._speed,
        }


class _SupervisorClient:
    """The supervisor's process and the line to it, as `up` sees them."""

    def __init__(self, root: Path, home: Path, speed: float) -> None:
        self._home = home
        self._pending = b""
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.supervisor", str(home), "--control", str(theirs.fileno())],
                cwd=root,
                # Its members take it over.
                env={**_member_environment(home, processes.SUPERVISOR), clock.VARIABLE: str(speed)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,  # Until it has a log.
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def send(self, request: str, **facts: Any) -> None:
        # A supervisor that is gone is noticed, and explained, by the `receive` that follows.
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps({"do": request, **facts}).encode() + b"\n")

    def receive(self, *expected: str, timeout: float, silence: str = "") -> dict[str, Any]:
        """The next answer, which must be one of `expected`.

        Raises what the supervisor reports as failed, and FailedUnchangedError if it is gone, or, with `silence` as the
        reason, if nothing comes for `timeout` seconds.
        """
        self._connection.settimeout(timeout)
        while b"\n" not in self._pending:
            try:
                data = self._connection.recv(_BUFFER)
            except TimeoutError:
                _fail(silence or f"its processes gave no answer for {timeout:g} s")
            except OSError:
                data = b""
            if not data:
                self._explain_end()
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if answer["event"] == "failed":
            _raise_reported(answer)
        if answer["event"] not in expected:
            _fail(f"its supervisor answered {answer['event']!r} where {' or '.join(expected)} was due")
        return answer

    def close(self) -> None:
        """Close the line. A supervisor that has not answered `commit` then ends everything."""
        self._connection.close()
        if self._process.stderr:
            self._process.stderr.close()

    def wait_until_clean(self) -> None:
        """Have the supervisor end and remove everything; if it died itself, or has just committed, finish that here."""
        self._process.terminate()
        try:
            self._process.wait(timeout=CLEAN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _discard(self._home)

    def _explain_end(self) -> NoReturn:
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip()
        how = how_it_ended(self._process.wait())
        _fail(f"its supervisor (pid {self._process.pid}) {how}", "\n".join(said.splitlines()[-LOG_TAIL_LINES:]))


class _StackInit:
    """One `pulumi stack init`, running. It dies with this process.

    It works on a copy of the stack's file, in STATE: `stack init` writes an `encryptionsalt` into a file that has none,
    and a run that is killed couldn't take that back.
    """

    def __init__(self, project: Project, home: Path, stack: str, pulumi: Path) -> None:
        self._stack = stack
        self._folder = folder = home / "tmp" / f"stack-{stack}"
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text("name: lockstep\nruntime: python\n")
        shutil.copyfile(project.root / f"Pulumi.{stack}.yaml", folder / f"Pulumi.{stack}.yaml")
        self._process = subprocess.Popen(
            [pulumi, "stack", "init", stack, "--no-select", "--non-interactive", "--color", "never"],
            cwd=folder,
            env={**_member_environment(home, processes.MEMBER), **state.pulumi_variables(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=processes.die_with_parent(),
        )

    def finish(self) -> None:
        """Wait for it. Raises FailedUnchangedError with what Pulumi said if it failed."""
        try:
            _, said = self._process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            _fail(f"`pulumi stack init {self._stack}` took more than {START_SECONDS:g} s")
        if self._process.returncode != 0:
            how = how_it_ended(self._process.returncode)
            _fail(f"`pulumi stack init {self._stack}` {how}", said.decode(errors="replace").strip())
        shutil.rmtree(self._folder)

    def kill(self) -> None:
        """End it if it still runs."""
        self._process.kill()
        self._process.communicate()


def _running(home: Path) -> SandboxState | None:
    """The record of a sandbox that is up, looked at without waiting for anybody."""
    try:
        record = state.read(home)
    except InvalidInputError:
        return None  # The supervisor clears it away.
    return record if record and record.is_up else None


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


def _member_environment(home: Path, role: str) -> dict[str, str]:
    """The whole environment of a process of the sandbox."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **inherited,
        processes.MARK: processes.mark(role, home),
        # Uploads that are spooled to disk go with STATE.
        "TMPDIR": str(home / "tmp"),
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _api_command(ports: Ports, zone: str) -> list[str]:
    listen = ["--port", str(ports.api), "--plain-port", str(ports.plain)]
    return [sys.executable, "-m", "sandbox.api", *listen, "--zone", zone]


def _provider_command(endpoint: str, ports: Ports) -> list[str]:
    return [sys.executable, "-m", "sandbox.provider", "--endpoint", endpoint, "--port", str(ports.provider)]


def _api_addresses(line: str) -> dict[str, str]:
    try:
        urls = json.loads(line)
        return {"api": urls["endpoint"], "apiPlain": urls["plainEndpoint"]}
    except (ValueError, KeyError, TypeError):
        _fail(f"its API printed {line!r} where its addresses were due")


def _dns_command(endpoint: str, ports: Ports) -> list[str]:
    return [sys.executable, "-m", "sandbox.dns", "--endpoint", endpoint, "--port", str(ports.dns)]


def _gateway_command(name_server: str, ports: Ports) -> list[str]:
    return [sys.executable, "-m", "sandbox.gateway", "--dns", name_server, "--port", str(ports.gateway)]


def _address(answer: Mapping[str, Any]) -> str:
    """Where a member listens, from the line with its port."""
    if not answer["line"].strip().isdecimal():
        _fail(f"its {answer['name']} printed {answer['line']!r} where its port was due")
    # What LOCKSTEP_HTTP_PROXY takes is a URL.
    return f"{'http://' if answer['name'] == 'gateway' else ''}{HOST}:{int(answer['line'])}"


def _last_words(record: SandboxState, members: tuple[ProcessStatus, ...]) -> str:
    """The end of the log of what died first: named by the supervisor, or else the first dead process."""
    dead = [member for member in members if not member.alive]
    named = [member for member in dead if record.ended and f" {member.name} (pid {member.pid})" in record.ended]
    return log_tail((named or dead)[0].log) if dead else ""


def _discard(home: Path) -> None:
    """Remove what a supervisor that was killed has left, unless another command has STATE, or has brought it up."""
    lock = HomeLock(home)
    if not home.exists() or not lock.try_acquire():
        return
    try:
        if _running(home) is None:
            leftovers.settle(home)
    finally:
        lock.release()


def _give_up_waiting(home: Path) -> NoReturn:
    raise FailedUnchangedError(
        f"another `lockstep sandbox` command has held {home} for {TURN_SECONDS:g} s; nothing was changed",
        f"see which (`fuser -v {home / state.LOCK_FILE}`), end it, and run this again",
    )


def _raise_reported(answer: Mapping[str, Any]) -> NoReturn:
    """Raise what the supervisor has reported, as the error that it was there."""
    kind = getattr(lockstep.errors, answer.get("kind", ""), None)
    if isinstance(kind, type) and issubclass(kind, LockstepError):
        raise kind(answer["message"], answer["remedy"])
    _fail(answer["message"], answer.get("log", ""))


def _fail(what: str, detail: str = "") -> NoReturn:
    raise FailedUnchangedError(
        f"the sandbox didn't come up: {what}" + (f"\n{detail}" if detail else "") + "\nNothing of it is left.",
        "correct that, then `lockstep sandbox up` again",
    )
