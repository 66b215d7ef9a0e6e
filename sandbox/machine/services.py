"""What systemd does on a machine: enables, starts, restarts and stops services, and holds their sockets for them.

A socket is open from when its unit starts until the machine stops, across every restart of its service: a connection
that comes meanwhile waits instead of being refused (systemd.socket(5), sd_listen_fds(3)).
"""

import contextlib
import fcntl
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox import processes
from sandbox.machine import units
from sandbox.machine.errors import BootError
from sandbox.machine.units import Unit

Say = Callable[[str], None]

# systemd-system.conf(5): DefaultStartLimitIntervalSec, DefaultStartLimitBurst, DefaultRestartSec,
# DefaultTimeoutStopSec.
START_INTERVAL: Final = 10.0
START_BURST: Final = 5
RESTART_SECONDS: Final = 0.1
STOP_SECONDS: Final = 90.0
BACKLOG: Final = 4096
_HIGH_DESCRIPTOR: Final = 100
# A service of Type=simple counts as started once its process runs; one that fails at once fails the boot all the same.
SETTLE_SECONDS: Final = 0.3
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The one interpreter that machines share with their host; the image has a python3 of its own on AWS.
_PYTHONS: Final = ("/usr/bin/python3", "/usr/bin/env python3")

# Becomes the service: LISTEN_PID has to be its own process id, which only the new process knows. It dies with the
# machine (prctl(2), PR_SET_PDEATHSIG).
_EXEC = """
import ctypes, os, sys
parent, count, names, descriptors, program = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != parent:
    os._exit(1)
if count != "0":
    for target, source in enumerate(map(int, descriptors.split(",")), 3):
        os.dup2(source, target)
        os.close(source)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execve(program[0], program, os.environ)
"""


@dataclass
class Socket:
    """A socket unit that was started."""

    unit: Unit
    listeners: list[socket.socket]

    @property
    def name(self) -> str:
        """What the service finds in LISTEN_FDNAMES."""
        return self.unit.one("Socket", "FileDescriptorName", self.unit.name)


@dataclass
class Service:
    """A service that was started, or is to be."""

    unit: Unit
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)
    restart_at: float | None = None
    failed: str = ""
    stopping: bool = False


class Services:
    """The services of the machine at `address`, whose file system is `root`. Used from one thread."""

    def __init__(self, root: Path, address: str, environment: Mapping[str, str], say: Say) -> None:
        self._root = root
        self._address = address
        self._environment = dict(environment)
        self._say = say
        self._enabled: set[str] = set()
        self._sockets: dict[str, Socket] = {}
        self._services: dict[str, Service] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def selector(self) -> selectors.BaseSelector:
        """What has to be waited for; call the data of what is ready."""
        return self._selector

    @property
    def failures(self) -> list[str]:
        """The services that have failed for good, each with its reason."""
        return [f"{name} {each.failed}" for name, each in self._services.items() if each.failed]

    def systemctl(self, words: Sequence[str]) -> None:
        """Do one `systemctl` command. Raises BootError for what isn't supported or fails."""
        options = [word for word in words if word.startswith("-")]
        command, *names = [word for word in words if not word.startswith("-")] or [""]
        if unknown := set(options) - {"--now", "--quiet", "-q", "--no-block"}:
            raise BootError(f"the sandbox doesn't support systemctl {' '.join(sorted(unknown))}")
        wanted = [name if "." in name else f"{name}.service" for name in names]
        if command == "daemon-reload":
            return
        if command not in ("enable", "disable", "start", "stop", "restart"):
            raise BootError(f"the sandbox doesn't support systemctl {command}")
        for name in wanted:
            self._do(command, name, now="--now" in options)

    def turn(self) -> float | None:
        """Start again what is due; returns the seconds until something is, None if nothing will be."""
        now = time.monotonic()
        for service in self._services.values():
            if service.restart_at is not None and service.restart_at <= now:
                service.restart_at = None
                self._launch(service)
        due = [each.restart_at for each in self._services.values() if each.restart_at is not None]
        return max(0.0, min(due) - now) if due else None

    def settle(self) -> None:
        """Wait a moment, and raise BootError if a service has failed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not self.failures:
            for key, _ in self._selector.select(0.02):
                key.data()
            self.turn()
        if self.failures:
            raise BootError("; ".join(self.failures))

    def stop(self) -> None:
        """Stop every service in order, then close the sockets."""
        for service in self._services.values():
            self._end(service)
        for each in self._sockets.values():
            for listener in each.listeners:
                listener.close()

    def _do(self, command: str, name: str, *, now: bool) -> None:
        if command == "enable":
            self._enable(name)
            if now:
                self._start(name)
        elif command == "start":
            self._start(name)
        elif command == "disable":
            self._enabled.discard(name)
            if now:
                self._stop(name)
        elif command == "stop":
            self._stop(name)
        else:
            self._stop(name)
            self._start(name)

    def _unit(self, name: str) -> Unit:
        unit = units.load(self._root, name)
        if unit is None:
            raise BootError(f"Unit file {name} does not exist")
        return unit

    def _enable(self, name: str) -> None:
        if name in self._enabled:
            return
        unit = self._unit(name)
        if not unit.all("Install", "WantedBy") and not unit.all("Install", "RequiredBy"):
            raise BootError(f"{name} has no [Install] section that says what wants it")
        self._enabled.add(name)
        for other in unit.words("Install", "Also"):
            self._enable(other)

    def _start(self, name: str) -> None:
        if name in self._sockets or (name in self._services and self._services[name].process is not None):
            return
        unit = self._unit(name)
        for path in unit.all("Unit", "ConditionPathExists"):
            if path.startswith("!") == (self._root / path.lstrip("!/")).exists():
                self._say(f"{name}: condition ConditionPathExists={path} isn't met")
                return
        for other in unit.words("Unit", "Requires", "BindsTo"):
            if other.endswith((".service", ".socket")):
                self._start(other)
        for other in unit.words("Unit", "Wants"):
            if other.endswith((".service", ".socket")) and units.load(self._root, other):
                self._start(other)
        if unit.is_socket:
            self._listen(unit)
        else:
            service = self._services[name] = Service(unit)
            if unit.confinement:
                self._say(f"{name}: not confined here as on AWS: {', '.join(unit.confinement)}")
            self._launch(service)

    def _stop(self, name: str) -> None:
        if name in self._services:
            self._end(self._services.pop(name))
        elif name in self._sockets:
            for listener in self._sockets.pop(name).listeners:
                listener.close()

    def _listen(self, unit: Unit) -> None:
        listeners = []
        for value in unit.all("Socket", "ListenStream"):
            host, _, port = value.rpartition(":")
            if not port.isdecimal() or host not in ("", "0.0.0.0", "[::]", "127.0.0.1"):
                raise BootError(f"the sandbox doesn't support ListenStream={value} of {unit.name}")
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self._address, int(port)))
                listener.listen(int(unit.one("Socket", "Backlog", str(BACKLOG))))
            except OSError as error:
                raise BootError(f"{unit.name} can't listen on port {port}: {error.strerror}") from error
            listeners.append(listener)
        started = self._sockets[unit.name] = Socket(unit, listeners)
        self._say(f"Listening on {unit.name}")
        self._activate_on_connection(started)

    def _activate_on_connection(self, started: Socket) -> None:
        """While its service doesn't run, the first connection starts it."""
        name = started.unit.one("Socket", "Service", f"{started.unit.stem}.service")

        def activate() -> None:
            self._forget_connections(started)
            if name not in self._services:
                self._start(name)

        running = self._services.get(name)
        if running is None or (running.process is None and not running.failed):
            for listener in started.listeners:
                with contextlib.suppress(KeyError):
                    self._selector.register(listener, selectors.EVENT_READ, activate)

    def _forget_connections(self, started: Socket) -> None:
        for listener in started.listeners:
            with contextlib.suppress(KeyError):
                self._selector.unregister(listener)

    def _sockets_of(self, service: Service) -> list[Socket]:
        named = service.unit.words("Service", "Sockets")
        wanted = [*named, f"{service.unit.stem}.socket"]
        return [
            each
            for name, each in self._sockets.items()
            if name in wanted or each.unit.one("Socket", "Service") == service.unit.name
        ]

    def _launch(self, service: Service) -> None:
        now = time.monotonic()
        service.starts = [at for at in service.starts if now - at < START_INTERVAL]
        if len(service.starts) >= START_BURST:
            service.failed = f"start request repeated too quickly: it ended {START_BURST} times in {START_INTERVAL:g} s"
            self._say(f"{service.unit.name}: {service.failed}")
            return
        service.starts.append(now)
        for command in service.unit.all("Service", "ExecStartPre"):
            if not self._run_first(service, command):
                return
        sockets = self._sockets_of(service)
        for each in sockets:
            self._forget_connections(each)
        listeners = [(each.name, listener) for each in sockets for listener in each.listeners]
        program = self._program(service.unit, service.unit.one("Service", "ExecStart"))
        # High numbers, so that copying one to its place can't overwrite the next.
        passed = [fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR) for _, listener in listeners]
        wrapper = [
            sys.executable,
            "-E",
            "-S",
            "-c",
            _EXEC,
            str(os.getpid()),
            str(len(listeners)),
            ":".join(name for name, _ in listeners),
            ",".join(map(str, passed)),
            *program,
        ]
        try:
            service.process = subprocess.Popen(
                wrapper,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder(service.unit),
                env=self._environment_of(service.unit),
                pass_fds=passed,
                start_new_session=True,
            )
        finally:
            for descriptor in passed:
                os.close(descriptor)
        assert service.process.stdout is not None
        output = service.process.stdout
        os.set_blocking(output.fileno(), False)
        self._selector.register(output, selectors.EVENT_READ, lambda: self._hear(service, output.fileno()))
        descriptor = os.pidfd_open(service.process.pid)
        self._selector.register(descriptor, selectors.EVENT_READ, lambda: self._ended(service, descriptor))
        self._say(f"Started {service.unit.name}")

    def _run_first(self, service: Service, command: str) -> bool:
        """ExecStartPre: the service starts only if it succeeds, or is told not to mind by a leading `-`."""
        optional = command.startswith("-")
        done = subprocess.run(
            self._program(service.unit, command.lstrip("-")),
            env=self._environment_of(service.unit),
            cwd=self._folder(service.unit),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0 or optional:
            return True
        service.failed = f"ExecStartPre={command} ended with status {done.returncode}"
        self._say(f"{service.unit.name}: {service.failed}")
        return False

    def _program(self, unit: Unit, command: str) -> list[str]:
        """The words of a command, with paths that the machine has turned into those of the host."""
        words = shlex.split(command)
        if not words or not words[0].startswith("/"):
            raise BootError(f"{command!r} of {unit.name} doesn't begin with the path of a program")
        mapped = [self._mapped(word) for word in words]
        if Path(mapped[0]).exists() and mapped[0] != words[0]:
            return mapped
        if words[0] in _PYTHONS:
            # Without what the environment and the user's folder add: the image's interpreter has none of it.
            return [sys.executable, "-E", "-s", *mapped[1:]]
        raise BootError(f"{unit.name}: {words[0]} isn't on the machine")

    def _mapped(self, word: str) -> str:
        inside = self._root / word.lstrip("/")
        return str(inside) if word.startswith("/") and inside.exists() else word

    def _folder(self, unit: Unit) -> Path:
        path = unit.one("Service", "WorkingDirectory", "/").lstrip("-")
        return self._root / path.lstrip("/")

    def _environment_of(self, unit: Unit) -> dict[str, str]:
        environment = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/", **self._environment}
        for file in unit.all("Service", "EnvironmentFile"):
            path = self._root / file.lstrip("-/")
            if path.is_file():
                environment |= _assignments(path.read_text().splitlines())
            elif not file.startswith("-"):
                raise BootError(f"{unit.name}: EnvironmentFile {file} doesn't exist")
        for value in unit.all("Service", "Environment"):
            environment |= _assignments(shlex.split(value))
        if processes.MARK in os.environ:
            environment[processes.MARK] = os.environ[processes.MARK]
        return environment

    def _hear(self, service: Service, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(descriptor)
            return
        for line in data.decode(errors="replace").splitlines():
            self._say(f"{service.unit.stem}: {line}")

    def _ended(self, service: Service, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        process = service.process
        assert process is not None
        assert process.stdout is not None
        with contextlib.suppress(KeyError, ValueError):
            self._hear(service, process.stdout.fileno())
            self._selector.unregister(process.stdout)
        process.stdout.close()
        status = process.wait()
        service.process = None
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._say(f"{service.unit.name}: {how}")
        if service.stopping:
            return
        restart = service.unit.one("Service", "Restart", "no")
        # systemd.service(5), "Restart=": SIGHUP, SIGINT, SIGTERM and SIGPIPE are clean ends.
        clean = status in (0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE)
        if restart == "always" or ((restart == "on-failure") != clean and restart in ("on-failure", "on-success")):
            wait = units.seconds(service.unit, "Service", "RestartSec", RESTART_SECONDS)
            service.restart_at = time.monotonic() + wait
        elif not clean:
            service.failed = how
        else:
            del self._services[service.unit.name]
            for each in self._sockets_of(service):
                self._activate_on_connection(each)

    def _end(self, service: Service) -> None:
        service.stopping, service.restart_at = True, None
        process = service.process
        if process is None:
            return
        name = service.unit.one("Service", "KillSignal", "SIGTERM")
        process.send_signal(getattr(signal, name, signal.SIGTERM))
        deadline = time.monotonic() + units.seconds(service.unit, "Service", "TimeoutStopSec", STOP_SECONDS)
        while service.process is not None and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.05):
                key.data()
        if service.process is not None:
            process.kill()
            process.wait()


def _assignments(items: Sequence[str]) -> dict[str, str]:
    pairs = (item.partition("=") for item in items if item.strip() and not item.lstrip().startswith(("#", ";")))
    return {name.strip(): value.strip().strip("\"'") for name, sign, value in pairs if sign}
