"""What systemd does on a machine: enables, starts, restarts and stops services, and holds their sockets for them.

A socket is open from when its unit starts, across every restart of its service: a connection that comes meanwhile
waits instead of being refused, and starts the service if that doesn't run (systemd.socket(5)). Only a service that was
started too often takes its sockets with it (systemd.unit(5), StartLimitBurst=).
"""

import contextlib
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sandbox import processes, standstill
from sandbox.clock import real
from sandbox.machine import dependencies, execution, units
from sandbox.machine.errors import BootError
from sandbox.machine.execution import Process
from sandbox.machine.filesystem import FileSystem
from sandbox.machine.sockets import ListeningSocket, listen
from sandbox.machine.systemctl import parse
from sandbox.machine.units import Unit

Say = Callable[[str], None]
OnEnd = Callable[[str, int], None]

# systemd-system.conf(5): DefaultStartLimitIntervalSec, DefaultStartLimitBurst, DefaultRestartSec,
# DefaultTimeoutStartSec, DefaultTimeoutStopSec. AWS's seconds.
START_INTERVAL: Final = 10.0
START_BURST: Final = 5
RESTART_SECONDS: Final = 0.1
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 90.0
SETTLE_SECONDS: Final = 0.3
"""How long a service has to run to count as started: Type=simple says so at once, also of one that fails. Real
seconds.
"""
# systemd.service(5), "Restart=": these end a service cleanly.
_CLEAN: Final = frozenset({0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE})
_TURN_SECONDS: Final = 0.05


@dataclass
class Service:
    """A service that was started. `before` are the commands that have to succeed first; times are of time.monotonic.

    `deadline` is when its process is asked to end because it takes too long, and, if it has been asked, when it is
    killed; `timed_out` is whether it has, and `was_late` whether a start has failed of it since it ran. `failed` says
    why it doesn't run and won't by itself.
    """

    unit: Unit
    process: Process | None = None
    before: list[str] = field(default_factory=list)
    is_main: bool = False
    started_at: float = 0.0
    starts: list[float] = field(default_factory=list)
    restart_at: float | None = None
    deadline: float | None = None
    timed_out: bool = False
    was_late: bool = False
    stopping: bool = False
    failed: str = ""

    @property
    def is_preparing(self) -> bool:
        """Whether a command runs that has to succeed first."""
        return self.process is not None and not self.is_main

    @property
    def is_active(self) -> bool:
        """Whether it runs, or is about to."""
        return self.process is not None or self.restart_at is not None

    @property
    def has_settled(self) -> bool:
        """Whether it has run for a moment, or has ended for good, well or not."""
        if not self.is_active:
            return True
        return self.process is not None and self.is_main and time.monotonic() - self.started_at >= SETTLE_SECONDS


class Services:
    """The services of the machine at `address`. Used from one thread, which calls the data of what `selector` reports
    and then `turn`.

    `on_end` gets the name of a service and the status of its process (negative: the signal).
    """

    def __init__(
        self, system: FileSystem, address: str, environment: Mapping[str, str], say: Say, on_end: OnEnd
    ) -> None:
        self._system = system
        self._address = address
        self._environment = dict(environment)
        self._say = say
        self._on_end = on_end
        self._enabled: set[str] = set()
        self._sockets: dict[str, ListeningSocket] = {}
        self._services: dict[str, Service] = {}
        self._closing = False
        self.selector = selectors.DefaultSelector()

    @property
    def failures(self) -> list[str]:
        """The services that have failed for good, each with its reason."""
        return [f"{name} {each.failed}" for name, each in self._services.items() if each.failed]

    # --- systemctl

    def systemctl(self, words: Sequence[str]) -> None:
        """Do one `systemctl` command. Raises BootError for what isn't supported or fails."""
        command, names, now = parse(words)
        if command == "daemon-reload":
            return
        for name in names:
            if command == "enable":
                self._enable(name)
            elif command == "disable":
                self._disable(name)
        if command in ("stop", "restart") or (command == "disable" and now):
            stopped = [other for name in names for other in self._stop(name)]
            names = list(dict.fromkeys([*names, *reversed(stopped)]))
        if command in ("start", "restart") or (command == "enable" and now):
            for name in names:
                self._start(name)

    def settle(self, is_told_to_stop: Callable[[], bool] = lambda: False) -> None:
        """Wait until every service has run for a moment. Raises BootError if one has failed, or keeps being restarted
        for longer than systemd counts its starts; the time that its ExecStartPre takes is none of that, unless it took
        too long before.
        """
        deadline = time.monotonic() + real(START_INTERVAL) + SETTLE_SECONDS
        while not self.failures and not is_told_to_stop():
            unsettled = [name for name, each in self._services.items() if not each.has_settled]
            if not unsettled:
                return
            now = time.monotonic()
            if now > deadline:
                raise BootError(f"{', '.join(unsettled)} didn't stay up, and will be restarted")
            services = [self._services[name] for name in unsettled]
            is_preparing = any(each.is_preparing and not each.was_late for each in services)
            self.turn(_TURN_SECONDS)
            if is_preparing:
                deadline += time.monotonic() - now
        if self.failures:
            raise BootError("; ".join(self.failures))

    def turn(self, at_most: float | None = None) -> None:
        """Wait for something to happen, at most so many seconds, and deal with it; start again what is due."""
        for key, _ in self.selector.select(self._until_next(at_most)):
            # What came first may have ended what this is about.
            if key.fd in self.selector.get_map():
                key.data()
        now = time.monotonic()
        for service in list(self._services.values()):
            if service.restart_at is not None and service.restart_at <= now:
                service.restart_at = None
                self._launch(service)
            if service.deadline is not None and service.deadline <= now:
                self._end_late(service)

    def stand_still(self, how: str) -> None:
        """Stop this process and all services until SIGCONT: `standstill.stand_still`. Then they go on.

        What they had waited for goes on too, as for a machine whose clock stood still.
        """
        began = time.monotonic()
        stopped = processes.stop_descendants()
        standstill.stand_still(how, [each for sockets in self._sockets.values() for each in sockets.with_backlog()])
        for process in stopped:
            processes.send_signal(process, signal.SIGCONT)
        lost = time.monotonic() - began
        for service in self._services.values():
            service.started_at += lost
            service.starts = [at + lost for at in service.starts]
            if service.restart_at is not None:
                service.restart_at += lost
            if service.deadline is not None:
                service.deadline += lost

    def stop(self) -> None:
        """Stop every service, all at once, then close the sockets."""
        self._closing = True
        self._end([each for each in self._services.values() if each.is_active])
        for each in self._sockets.values():
            self._ignore_connections(each)
            each.close()
        self._sockets.clear()

    def _until_next(self, at_most: float | None) -> float | None:
        now = time.monotonic()
        times = [at for each in self._services.values() for at in (each.restart_at, each.deadline) if at is not None]
        waits = [at - now for at in times]
        if at_most is not None:
            waits.append(at_most)
        return max(0.0, min(waits)) if waits else None

    # --- units

    def _unit(self, name: str) -> Unit:
        unit = units.load(self._system, name)
        if unit is None:
            raise BootError(f"Unit {name} not found")
        return unit

    def _enable(self, name: str) -> None:
        if name in self._enabled:
            return
        unit = self._unit(name)
        if not unit.words("Install", "WantedBy", "RequiredBy", "Also"):
            raise BootError(f"{name} has no [Install] section that says what wants it, so it can't be enabled")
        self._enabled.add(name)
        self._say(f"Created symlink for {name}, wanted by {', '.join(unit.words('Install', 'WantedBy', 'RequiredBy'))}")
        for other in unit.words("Install", "Also"):
            self._enable(other)

    def _disable(self, name: str) -> None:
        self._enabled.difference_update([name, *self._unit(name).words("Install", "Also")])

    def _start(self, name: str) -> None:
        """Start a unit and what it needs. A unit that runs already is left alone."""
        for unit in self._in_order(name):
            if not self._may_start(unit):
                continue
            if unit.is_socket:
                self._listen(unit)
            else:
                service = self._services.setdefault(unit.name, Service(unit))
                service.unit = unit
                if unit.confinement:
                    self._say(f"{unit.name}: not confined here as on AWS: {', '.join(unit.confinement)}")
                self._launch(service)

    def _may_start(self, unit: Unit) -> bool:
        if unit.name in self._sockets or (unit.name in self._services and self._services[unit.name].is_active):
            return False
        for path in unit.all("Unit", "ConditionPathExists"):
            if path.startswith("|"):
                raise BootError(f"the sandbox doesn't support ConditionPathExists={path} of {unit.name}")
            if self._system.exists(path.removeprefix("!")) == path.startswith("!"):
                self._say(f"{unit.name} was skipped because of an unmet condition check (ConditionPathExists={path})")
                return False
        return True

    def _in_order(self, name: str) -> list[Unit]:
        """The unit and all that it needs, what has to be started first in front."""
        needed: dict[str, Unit] = {}
        pending = [(name, True)]
        while pending:
            other, must = pending.pop(0)
            if other in needed:
                continue
            unit = self._unit(other) if must else units.load(self._system, other)
            if unit is not None:
                needed[other] = unit
                pending += [(each, True) for each in dependencies.required(unit)]
                pending += [(each, False) for each in dependencies.wanted(unit)]
        return dependencies.in_order(needed)

    def _stop(self, name: str) -> list[str]:
        """Stop a unit and what requires it; returns what was stopped, in that order."""
        active = [each for each, service in self._services.items() if service.is_active] + list(self._sockets)
        stopped: list[str] = []
        for other in active:
            if other != name and name in self._unit(other).words("Unit", "Requires", "BindsTo"):
                stopped += self._stop(other)
        if name in self._sockets:
            listening = self._sockets.pop(name)
            self._ignore_connections(listening)
            listening.close()
        elif name in self._services:
            self._end([self._services[name]])
            self._services[name].failed = ""
        elif self._unit(name):
            return stopped
        return [*stopped, name]

    # --- sockets

    def _listen(self, unit: Unit) -> None:
        service = self._services.get(unit.service)
        if service is not None and service.is_active:
            raise BootError(f"{unit.name}: {unit.service} is already active, so its socket can't be started")
        self._unit(unit.service)
        started = self._sockets[unit.name] = listen(unit, self._address)
        self._say(f"Listening on {unit.name}: {', '.join(unit.all('Socket', 'ListenStream'))}")
        self._await_connections(started)

    def _await_connections(self, listening: ListeningSocket) -> None:
        """While its service doesn't run, a connection starts it."""

        def activate() -> None:
            self._ignore_connections(listening)
            try:
                self._start(listening.unit.service)
            except BootError as error:
                self._fail(listening.unit.service, str(error))

        service = self._services.get(listening.unit.service)
        if self._closing or (service is not None and service.is_active):
            return
        for listener in listening.listeners:
            with contextlib.suppress(KeyError):
                self.selector.register(listener, selectors.EVENT_READ, activate)

    def _ignore_connections(self, listening: ListeningSocket) -> None:
        for listener in listening.listeners:
            with contextlib.suppress(KeyError):
                self.selector.unregister(listener)

    def _sockets_of(self, service: Service) -> list[ListeningSocket]:
        return [each for each in self._sockets.values() if each.serves(service.unit)]

    # --- processes

    def _launch(self, service: Service) -> None:
        """Start a service, its ExecStartPre first."""
        now = time.monotonic()
        interval = real(service.unit.seconds("Unit", "StartLimitIntervalSec", START_INTERVAL))
        burst = service.unit.number("Unit", "StartLimitBurst", START_BURST)
        service.starts = [at for at in service.starts if now - at < interval]
        service.failed = ""
        if burst and len(service.starts) >= burst:
            self._fail(
                service.unit.name, f"was started {burst} times in a row and ended: Start request repeated too quickly"
            )
            for listening in self._sockets_of(service):
                self._ignore_connections(listening)
                listening.close()
                del self._sockets[listening.unit.name]
            return
        service.starts.append(now)
        service.stopping = False
        service.before = list(service.unit.all("Service", "ExecStartPre"))
        self._run_next(service)

    def _run_next(self, service: Service) -> None:
        """The next command of a start: one that has to succeed first, or the service itself."""
        service.is_main = not service.before
        service.deadline, service.timed_out = None, False
        command = service.unit.one("Service", "ExecStart") if service.is_main else service.before[0]
        sockets = self._sockets_of(service)
        for each in sockets:
            self._ignore_connections(each)
        listeners = [(each.name, listener) for each in sockets for listener in each.listeners]
        try:
            process = execution.start(
                self._system,
                service.unit,
                command.removeprefix("-"),
                self._environment,
                listeners if service.is_main else (),
            )
        except BootError as error:
            self._fail(service.unit.name, str(error))
            for each in sockets:
                self._await_connections(each)
            return
        service.process, service.started_at = process, time.monotonic()
        self.selector.register(process.output, selectors.EVENT_READ, lambda: self._hear(service, process))
        self.selector.register(process.ended, selectors.EVENT_READ, lambda: self._ended(service, process))
        if not service.is_main:
            # Each of these commands has it anew; a service of a type that the sandbox knows has started once it runs.
            service.deadline = _after(service.unit.timeout("TimeoutStartSec", START_SECONDS))
        else:
            service.was_late = False
            self._say(f"Started {service.unit.one('Unit', 'Description') or service.unit.name} ({service.unit.name})")

    def _hear(self, service: Service, process: Process) -> None:
        try:
            for line in process.lines():
                self._say_of(service, process, line)
        except EOFError:
            self.selector.unregister(process.output)

    def _say_of(self, service: Service, process: Process, line: str) -> None:
        name = service.unit.one("Service", "SyslogIdentifier") or service.unit.stem
        self._say(f"{name}[{process.pid}]: {line}")

    def _ended(self, service: Service, process: Process) -> None:
        self.selector.unregister(process.ended)
        with contextlib.suppress(KeyError):
            self.selector.unregister(process.output)
        status, last = process.finish()
        for line in last:
            self._say_of(service, process, line)
        service.process, service.deadline = None, None
        how = _how(status)
        if not service.is_main and not service.stopping:
            command = service.before.pop(0)
            if service.timed_out:
                how = f"wasn't done in time, and {how}: Failed with result 'timeout'"
            elif status == 0 or command.startswith("-"):
                self._run_next(service)
                return
            how = f"ExecStartPre={command} {how}"
        self._say(f"{service.unit.name}: {how}")
        self._on_end(service.unit.name, status)
        self._decide(service, status, how)

    def _decide(self, service: Service, status: int, how: str) -> None:
        """What follows from the end of a service: nothing, another start, or failure."""
        if not service.stopping:
            clean = status in _CLEAN and service.is_main
            tolerated = service.is_main and service.unit.one("Service", "ExecStart").startswith("-")
            if _is_restarted(service.unit.one("Service", "Restart", "no"), clean=clean or tolerated):
                wait = service.unit.seconds("Service", "RestartSec", RESTART_SECONDS)
                service.restart_at = time.monotonic() + real(wait)
                return
            if not clean and not tolerated:
                self._fail(service.unit.name, how)
        for each in self._sockets_of(service):
            self._await_connections(each)

    def _fail(self, name: str, reason: str) -> None:
        service = self._services.get(name)
        if service is not None:
            service.failed = reason
            service.restart_at = None
        self._say(f"Failed to start {name}: {reason}")

    def _end(self, ending: Sequence[Service]) -> None:
        """Ask services to end, and wait until they have."""
        for service in ending:
            service.stopping, service.restart_at = True, None
            if service.process is not None:
                self._ask_to_end(service, service.process)
        while any(each.process is not None for each in ending):
            self.turn(_TURN_SECONDS)

    def _ask_to_end(self, service: Service, process: Process) -> None:
        group = service.unit.one("Service", "KillMode", "control-group") == "control-group"
        process.signal(service.unit.stop_signal, group=group)
        service.deadline = _after(service.unit.timeout("TimeoutStopSec", STOP_SECONDS))

    def _end_late(self, service: Service) -> None:
        """What has to succeed first is asked to end, as systemd does (TimeoutStartFailureMode=terminate); what was
        asked already is killed.
        """
        service.deadline = None
        if service.process is None:
            return
        if service.stopping or service.timed_out:
            self._say(f"{service.unit.name}: didn't end in time, killing it")
            service.process.signal(signal.SIGKILL, group=True)
        else:
            service.timed_out = service.was_late = True
            self._say(f"{service.unit.name}: start-pre operation timed out. Terminating.")
            self._ask_to_end(service, service.process)


def _after(timeout: float | None) -> float | None:
    """When so many of AWS's seconds from now are over."""
    return None if timeout is None else time.monotonic() + real(timeout)


def _is_restarted(restart: str, *, clean: bool) -> bool:
    return restart == "always" or restart == ("on-success" if clean else "on-failure")


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
