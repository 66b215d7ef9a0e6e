"""One attempt to bring the sandbox up: the processes and stacks that it starts, and what it leaves when it fails.

Rule: until the supervisor has answered `committed`, all of it belongs to the process that runs `up`, and goes with it.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import lockstep.errors
from lockstep.errors import FailedUnchangedError, InvalidInputError, LockstepError
from sandbox import clock, leftovers, processes, state
from sandbox.state import FORMAT, HomeLock, SandboxState
from sandbox.supervisor import LOG_TAIL_LINES, how_it_ended

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
_BUFFER = 65536

# What `up` says of each process that starts once the API is there.
_NOTES = {
    "provider": "Pulumi provider `aws`",
    "dns": "name server, UDP and TCP,",
    "gateway": "HTTP proxy to the sites' names",
}
# That of one that has no address: nobody asks the health checkers anything.
_CHECKERS = "checkers"
_CHECKERS_NOTE = "health checkers of Route 53"

Report = Callable[[str], None]


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
class Project:
    """What the sandbox needs to know of a project: its folder, the hosted zone and the stacks to make."""

    root: Path
    zone: str
    stacks: tuple[str, ...]


class Start:
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
        addresses, authority = _of_api(self._started()["line"])
        # Written here, where a full disk can be told.
        (self._home / state.AUTHORITY_FILE).write_text(authority)
        self._report(f"AWS API on {addresses['api']}, as plain HTTP on {addresses['apiPlain']}")
        self._report(f"hosted zone {self._project.zone}")
        self._supervisor.send("start", name="provider", command=_provider_command(addresses["api"], ports))
        self._supervisor.send("start", name="dns", command=_dns_command(addresses["api"], ports))
        # In whatever order they are ready: the provider takes longest; gateway and checkers need the name server.
        awaited = {*_NOTES, _CHECKERS}
        while awaited:
            answer = self._started()
            name = answer["name"]
            awaited.discard(name)
            if name == _CHECKERS:
                self._report(_CHECKERS_NOTE)
                continue
            address = addresses[name] = _address(answer)
            self._report(f"{_NOTES[name]} on {address}")
            if name == "dns":
                self._supervisor.send("start", name="gateway", command=_gateway_command(address, ports))
                self._supervisor.send("start", name=_CHECKERS, command=_checkers_command(addresses["api"], address))
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
                fail(silence or f"its processes gave no answer for {timeout:g} s")
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
            fail(f"its supervisor answered {answer['event']!r} where {' or '.join(expected)} was due")
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
        fail(f"its supervisor (pid {self._process.pid}) {how}", "\n".join(said.splitlines()[-LOG_TAIL_LINES:]))


class _StackInit:
    """One `pulumi stack init`, running. It dies with this process.

    It works on a copy of the stack's file, in STATE, with which that goes: `stack init` writes an `encryptionsalt` into
    a file that has none, and a run that is killed couldn't take that back.
    """

    def __init__(self, project: Project, home: Path, stack: str, pulumi: Path) -> None:
        self._stack = stack
        folder = home / "tmp" / f"stack-{stack}"
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
            fail(f"`pulumi stack init {self._stack}` took more than {START_SECONDS:g} s")
        if self._process.returncode != 0:
            how = how_it_ended(self._process.returncode)
            fail(f"`pulumi stack init {self._stack}` {how}", said.decode(errors="replace").strip())

    def kill(self) -> None:
        """End it if it still runs."""
        self._process.kill()
        self._process.communicate()


def running(home: Path) -> SandboxState | None:
    """The record of a sandbox that is up, looked at without waiting for anybody."""
    try:
        record = state.read(home)
    except InvalidInputError:
        return None  # The supervisor clears it away.
    return record if record and record.is_up else None


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


def _of_api(line: str) -> tuple[dict[str, str], str]:
    """The API's addresses, and the certificate of its authority."""
    try:
        began = json.loads(line)
        return {"api": began["endpoint"], "apiPlain": began["plainEndpoint"]}, began["authority"]
    except (ValueError, KeyError, TypeError):
        fail(f"its API printed {line!r} where its addresses were due")


def _dns_command(endpoint: str, ports: Ports) -> list[str]:
    return [sys.executable, "-m", "sandbox.dns", "--endpoint", endpoint, "--port", str(ports.dns)]


def _gateway_command(name_server: str, ports: Ports) -> list[str]:
    return [sys.executable, "-m", "sandbox.gateway", "--dns", name_server, "--port", str(ports.gateway)]


def _checkers_command(endpoint: str, name_server: str) -> list[str]:
    return [sys.executable, "-m", "sandbox.checkers", "--endpoint", endpoint, "--dns", name_server]


def _address(answer: Mapping[str, Any]) -> str:
    """Where a member listens, from the line with its port."""
    if not answer["line"].strip().isdecimal():
        fail(f"its {answer['name']} printed {answer['line']!r} where its port was due")
    # What LOCKSTEP_HTTP_PROXY takes is a URL.
    return f"{'http://' if answer['name'] == 'gateway' else ''}{HOST}:{int(answer['line'])}"


def _discard(home: Path) -> None:
    """Remove what a supervisor that was killed has left, unless another command has STATE, or has brought it up."""
    lock = HomeLock(home)
    if not home.exists() or not lock.try_acquire():
        return
    try:
        if running(home) is None:
            leftovers.settle(home)
    finally:
        lock.release()


def _raise_reported(answer: Mapping[str, Any]) -> NoReturn:
    """Raise what the supervisor has reported, as the error that it was there."""
    kind = getattr(lockstep.errors, answer.get("kind", ""), None)
    if isinstance(kind, type) and issubclass(kind, LockstepError):
        raise kind(answer["message"], answer["remedy"])
    fail(answer["message"], answer.get("log", ""))


def fail(what: str, detail: str = "") -> NoReturn:
    """Raise FailedUnchangedError: `what` went wrong, and `detail` is what is known of it."""
    raise FailedUnchangedError(
        f"the sandbox didn't come up: {what}" + (f"\n{detail}" if detail else "") + "\nNothing of it is left.",
        "correct that, then `lockstep sandbox up` again",
    )
