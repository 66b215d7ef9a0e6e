"""What a machine does as systemd does it: sockets that outlive services, restarts and their limit, orderly stops."""

import json
import signal
import socket
import time
from typing import Any

import pytest

from sandbox import processes
from tests.sandbox.machine.conftest import StartMachine
from tests.sandbox.machine.machine_process import SPEED, MachineProcess, eventually
from tests.sandbox.machine.service_files import PORT, SOCKET_UNIT, service_unit, user_data

SERVICE = "probe.service"
FAILING = "import sys\nprint('no database', flush=True)\nsys.exit(3)\n"


def pid_of(machine: MachineProcess) -> int:
    return int(json.loads(machine.get("/", PORT)[1])["pid"])


def refuses(machine: MachineProcess) -> bool:
    with socket.socket() as client:
        return client.connect_ex((machine.address, PORT)) != 0


def failing(*lines: str, **options: Any) -> dict[str, Any]:
    """A service that ends with status 3 as soon as it runs."""
    unit = service_unit(*lines, command="/usr/bin/python3 /usr/lib/probe/fail.py", **options)
    return user_data(unit, others={"/usr/lib/probe/fail.py": FAILING})


def test_a_connection_starts_the_service(start_machine: StartMachine) -> None:
    """Socket activation is what keeps a port open while a service starts."""
    machine = start_machine(user_data(service_unit(), start=("probe.socket",))).wait_for("running")
    assert "Started" not in machine.console
    assert machine.get("/", PORT)[0] == 200
    assert machine.ends_of(SERVICE) == []


def test_the_socket_stays_open_across_a_restart_of_the_service(start_machine: StartMachine) -> None:
    """Requests would be refused whenever a service crashes, where on AWS they wait."""
    machine = start_machine(user_data(service_unit("Restart=always", "RestartSec=2"))).wait_for("running")
    first = pid_of(machine)
    with pytest.raises(OSError):  # noqa: PT011 - it may be cut off while it asks or while it reads
        machine.get("/die", PORT)
    # It connects at once, and is answered by the next process.
    second = pid_of(machine)
    assert second != first
    assert machine.ends_of(SERVICE) == [-signal.SIGKILL]
    assert f"{SERVICE}: was killed by SIGKILL" in machine.console
    assert machine.states == ["booting", "running"]


def test_a_service_that_ended_well_is_started_by_the_next_connection(start_machine: StartMachine) -> None:
    """Services that end when they are idle would never come back."""
    machine = start_machine(user_data(service_unit())).wait_for("running")
    first = pid_of(machine)
    with pytest.raises(OSError):  # noqa: PT011
        machine.get("/exit/0", PORT)
    assert pid_of(machine) != first
    assert machine.states == ["booting", "running"]


def test_a_service_that_fails_is_reported_and_recovers_by_the_next_connection(start_machine: StartMachine) -> None:
    """systemd leaves the socket listening after a failure, so a balancer's next check starts the service again."""
    machine = start_machine(user_data(service_unit())).wait_for("running")
    first = pid_of(machine)
    with pytest.raises(OSError):  # noqa: PT011
        machine.get("/exit/3", PORT)
    assert pid_of(machine) != first
    eventually(lambda: machine.states == ["booting", "running", "failed", "running"], str(machine.states))
    assert machine.reason_given == f"{SERVICE} ended with status 3"


@pytest.mark.parametrize("restart", ["always", "on-failure"])
def test_a_service_that_dies_in_a_loop_fails_the_boot_and_closes_its_port(
    start_machine: StartMachine, restart: str
) -> None:
    """A version that can't start must look dead to the balancer, not like one that is slow."""
    machine = start_machine(failing(f"Restart={restart}"))
    assert "Start request repeated too quickly" in machine.reason
    assert machine.ends_of(SERVICE) == [3] * 5
    assert "no database" in machine.console
    assert refuses(machine)


def test_a_service_that_cannot_even_start_closes_its_port_in_the_end(start_machine: StartMachine) -> None:
    """Connections would hang, and a balancer see time-outs where on AWS it is refused."""
    machine = start_machine(user_data(service_unit("EnvironmentFile=/etc/missing"), start=("probe.socket",)))
    machine.wait_for("running")
    with socket.socket() as client:
        client.connect((machine.address, PORT))
        eventually(lambda: "Start request repeated too quickly" in machine.console, machine.console)
        assert refuses(machine)
    assert "EnvironmentFile=/etc/missing doesn't exist" in machine.console


def test_the_limit_of_starts_is_the_units(start_machine: StartMachine) -> None:
    """A unit that allows two starts would get five here."""
    machine = start_machine(failing("Restart=always", unit="StartLimitBurst=2\nStartLimitIntervalSec=1h"))
    assert "Start request repeated too quickly" in machine.reason
    assert machine.ends_of(SERVICE) == [3] * 2


def test_restart_no_leaves_a_failed_service_down(start_machine: StartMachine) -> None:
    """Restarted anyway, a crash would go unnoticed here that takes a site down on AWS."""
    machine = start_machine(failing())
    assert machine.reason == f"{SERVICE} ended with status 3"
    assert machine.ends_of(SERVICE) == [3]


@pytest.mark.parametrize(
    ("lines", "restarted"),
    [(("Restart=on-failure",), False), (("Restart=on-success",), True), (("Restart=always",), True)],
)
def test_a_clean_end_is_restarted_as_the_unit_says(
    start_machine: StartMachine, lines: tuple[str, ...], restarted: bool
) -> None:
    """Wrong either way, a service behaves differently on AWS."""
    program = (
        "import pathlib, sys, time\nmark = pathlib.Path('mark')\nif mark.exists(): time.sleep(600)\nmark.touch()\n"
    )
    unit = service_unit(*lines, command="/usr/bin/python3 /usr/lib/probe/once.py")
    machine = start_machine(
        user_data(unit, socket=None, start=(SERVICE,), others={"/usr/lib/probe/once.py": program})
    ).wait_for("running")
    assert machine.ends_of(SERVICE) == [0]
    assert machine.console.count(f"({SERVICE})") == 1 + restarted


def test_what_has_to_run_first_runs_first_and_decides(start_machine: StartMachine) -> None:
    """A migration that failed would not keep the service from starting."""
    check = "import sys\nprint('checking', flush=True)\nsys.exit(int(sys.argv[1]))\n"
    others = {"/usr/lib/probe/check.py": check}
    before = "ExecStartPre={}/usr/bin/python3 /usr/lib/probe/check.py {}"
    good = start_machine(user_data(service_unit(before.format("", 0), before.format("-", 1)), others=others)).wait_for(
        "running"
    )
    assert good.console.count("checking") == 2
    assert good.get("/", PORT)[0] == 200
    bad = start_machine(user_data(service_unit(before.format("", 7)), others=others))
    assert "ExecStartPre=/usr/bin/python3 /usr/lib/probe/check.py 7 ended with status 7" in bad.reason
    assert f"({SERVICE})" not in bad.console


def preparing(program: str, *lines: str) -> dict[str, Any]:
    """A service whose ExecStartPre is this program."""
    unit = service_unit("ExecStartPre=/usr/bin/python3 /usr/lib/probe/before.py", *lines)
    return user_data(unit, others={"/usr/lib/probe/before.py": program})


def test_what_has_to_run_first_may_take_longer_than_a_service_to_stay_up(start_machine: StartMachine) -> None:
    """A migration of half a minute would fail the boot here, and no boot on AWS."""
    wanted = preparing("import time\ntime.sleep(1.5)\n", "TimeoutStartSec=infinity")
    # Thirty of AWS's seconds, where a service that doesn't stay up is given ten.
    machine = start_machine(wanted, speed="20").wait_for("running")
    assert machine.get("/", PORT)[0] == 200


HANGING = "import time\ntime.sleep(600)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HANGING


@pytest.mark.parametrize(
    ("program", "lines", "speed", "ended"),
    [
        (HANGING, ("TimeoutStartSec=1",), "2", "SIGTERM"),
        (HANGING, (), "60", "SIGTERM"),
        (STUBBORN, ("TimeoutStartSec=120", "TimeoutStopSec=1"), "60", "SIGKILL"),
        # Restarted at once, on AWS after the command that started it has failed.
        (HANGING, ("TimeoutStartSec=1", "Restart=on-failure"), "2", "SIGTERM"),
    ],
)
def test_what_has_to_run_first_is_ended_when_it_takes_too_long(
    start_machine: StartMachine, program: str, lines: tuple[str, ...], speed: str, ended: str
) -> None:
    """A command that hangs fails the service on AWS, after 90 seconds unless the unit says otherwise."""
    machine = start_machine(preparing(program, *lines), speed=speed)
    assert machine.reason
    assert f"{SERVICE}: start-pre operation timed out. Terminating." in machine.console
    how = f"ExecStartPre=/usr/bin/python3 /usr/lib/probe/before.py wasn't done in time, and was killed by {ended}"
    assert how in machine.console
    assert f"({SERVICE})" not in machine.console
    assert machine.ends_of(SERVICE)[0] == -signal.Signals[ended]


def test_a_failure_that_is_ignored_is_none_that_takes_too_long(start_machine: StartMachine) -> None:
    """`-` is about how a command ends; one that hangs fails the start all the same (systemd, service.c)."""
    unit = service_unit("ExecStartPre=-/usr/bin/python3 /usr/lib/probe/before.py", "TimeoutStartSec=1")
    machine = start_machine(user_data(unit, others={"/usr/lib/probe/before.py": HANGING}))
    assert "wasn't done in time" in machine.reason


def test_stop_and_restart_by_systemctl(start_machine: StartMachine) -> None:
    """A runcmd that restarts a service after it wrote its settings would leave the old one running."""
    wanted = user_data(service_unit())
    wanted["runcmd"] += ["systemctl restart probe", "systemctl stop probe", ["systemctl", "start", "probe"]]
    machine = start_machine(wanted).wait_for("running")
    assert machine.get("/", PORT)[0] == 200
    assert machine.ends_of(SERVICE) == [-signal.SIGTERM] * 2


def test_stopping_a_socket_stops_what_requires_it(start_machine: StartMachine) -> None:
    """The port would stay open although its unit was stopped."""
    wanted = user_data(service_unit(unit="Requires=probe.socket"))
    wanted["runcmd"] += ["systemctl stop probe.socket"]
    machine = start_machine(wanted).wait_for("running")
    assert refuses(machine)
    assert machine.ends_of(SERVICE) == [-signal.SIGTERM]


def test_enable_now_starts_what_the_service_requires(start_machine: StartMachine) -> None:
    """The fleet's user data says no more than this."""
    wanted = user_data(service_unit(unit="Requires=probe.socket"))
    wanted["runcmd"] = [["systemctl", "enable", "--now", SERVICE]]
    machine = start_machine(wanted).wait_for("running")
    assert json.loads(machine.get("/", PORT)[1])["environment"]["LISTEN_FDS"] == "1"
    assert machine.console.index("Listening on probe.socket") < machine.console.index("Started")


def test_enable_without_now_starts_nothing(start_machine: StartMachine) -> None:
    """An instance would serve here that doesn't on AWS until it is booted again."""
    wanted = user_data(service_unit())
    wanted["runcmd"] = [["systemctl", "enable", "probe.socket", SERVICE]]
    assert refuses(start_machine(wanted).wait_for("running"))


def test_a_condition_that_is_not_met_skips_the_unit(start_machine: StartMachine) -> None:
    """A service that must not run without its settings would."""
    wanted = user_data(service_unit(unit="ConditionPathExists=/etc/probe.conf"), start=(SERVICE,))
    machine = start_machine(wanted).wait_for("running")
    assert "unmet condition check" in machine.console
    assert f"({SERVICE})" not in machine.console


def test_confinement_that_has_no_effect_is_said(start_machine: StartMachine) -> None:
    """Nobody would know that a service which writes outside of its folders still fails on AWS."""
    machine = start_machine(user_data(service_unit("ProtectSystem=strict", "DynamicUser=yes"))).wait_for("running")
    assert f"{SERVICE}: not confined here as on AWS: DynamicUser, ProtectSystem" in machine.console


def test_a_machine_that_is_told_to_stop_asks_its_services_first(start_machine: StartMachine) -> None:
    """Requests in flight would be cut off at every scale-in."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('finishing', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    unit = service_unit(command="/usr/bin/python3 /usr/lib/probe/slow.py")
    machine = start_machine(
        user_data(unit, socket=None, start=(SERVICE,), others={"/usr/lib/probe/slow.py": program})
    ).wait_for("running")
    eventually(lambda: "up" in machine.console, machine.console)
    assert machine.stop() == 0
    eventually(lambda: machine.ends_of(SERVICE) == [0], machine.console)
    assert "finishing" in machine.console


@pytest.mark.parametrize(
    ("lines", "heard"),
    [
        ((), {"out", "err"}),
        (("StandardOutput=null",), set()),
        (("StandardOutput=null", "StandardError=journal"), {"err"}),
        (("StandardError=null",), {"out"}),
    ],
)
def test_a_service_is_heard_as_its_unit_says(
    start_machine: StartMachine, lines: tuple[str, ...], heard: set[str]
) -> None:
    """A service that says nothing, or only what is wrong, would fail the boot."""
    program = (
        "import sys, time\nprint('said out', flush=True)\nprint('said err', file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    unit = service_unit(*lines, command="/usr/bin/python3 /usr/lib/probe/say.py")
    machine = start_machine(
        user_data(unit, socket=None, start=(SERVICE,), others={"/usr/lib/probe/say.py": program})
    ).wait_for("running")
    eventually(lambda: all(f"said {each}" in machine.console for each in heard), machine.console)
    assert {each for each in ("out", "err") if f"said {each}" in machine.console} == heard
    assert machine.stop() == 0
    assert machine.ends_of(SERVICE) == [-signal.SIGTERM]


def test_a_service_that_does_not_end_is_killed_with_all_that_it_started(start_machine: StartMachine) -> None:
    """A service that ignores SIGTERM would keep an instance from ever ending."""
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.fork()\nprint('up', os.getpid(), flush=True)\ntime.sleep(600)\n"
    )
    unit = service_unit("TimeoutStopSec=1", command="/usr/bin/python3 /usr/lib/probe/deaf.py")
    machine = start_machine(
        user_data(unit, socket=None, start=(SERVICE,), others={"/usr/lib/probe/deaf.py": program})
    ).wait_for("running")
    eventually(lambda: machine.console.count("up ") == 2, machine.console)
    started = machine.descendants()
    assert len(started) == 2
    assert machine.stop() == 0
    assert not processes.wait_until_gone(started, timeout=10)
    assert "didn't end in time, killing it" in machine.console


def test_what_a_service_leaves_behind_is_killed_when_it_ends(start_machine: StartMachine) -> None:
    """A worker of a service that is gone would keep its files and its port, also across a restart."""
    program = "import os, time\nos.fork()\nprint('up', os.getpid(), flush=True)\ntime.sleep(600)\n"
    unit = service_unit("KillMode=mixed", command="/usr/bin/python3 /usr/lib/probe/two.py")
    machine = start_machine(
        user_data(unit, socket=None, start=(SERVICE,), others={"/usr/lib/probe/two.py": program})
    ).wait_for("running")
    eventually(lambda: machine.console.count("up ") == 2, machine.console)
    started = machine.descendants()
    assert len(started) == 2
    assert machine.stop() == 0
    assert machine.ends_of(SERVICE) == [-signal.SIGTERM]
    assert not processes.wait_until_gone(started, timeout=10)


def test_another_signal_asks_if_the_unit_says_so(start_machine: StartMachine) -> None:
    """A service whose orderly end is SIGINT would be ended by SIGTERM, in the middle of its work."""
    machine = start_machine(user_data(service_unit("KillSignal=SIGUSR1"))).wait_for("running")
    assert machine.stop() == 0
    eventually(lambda: machine.ends_of(SERVICE) == [-signal.SIGUSR1], machine.console)


@pytest.mark.parametrize(
    ("service", "socket_unit", "expected"),
    [
        (service_unit("StateDirectory=probe"), SOCKET_UNIT, "doesn't support StateDirectory= in [Service] of probe"),
        (service_unit("Type=forking"), SOCKET_UNIT, "doesn't support Type=forking in [Service] of probe.service"),
        (service_unit(unit="OnFailure=alarm.service"), SOCKET_UNIT, "doesn't support OnFailure= in [Unit]"),
        (service_unit(), "[Socket]\nListenDatagram=53\n", "doesn't support ListenDatagram= in [Socket]"),
        (service_unit(), "[Socket]\nListenStream=127.0.0.1:8080\n", "doesn't support ListenStream=127.0.0.1:8080"),
        (service_unit(unit="Requires=disk.mount"), SOCKET_UNIT, "the sandbox has no disk.mount"),
        (service_unit(unit="Requires=other.service"), SOCKET_UNIT, "Unit other.service not found"),
        (service_unit(command="/usr/bin/java -jar x"), SOCKET_UNIT, "/usr/bin/java is neither in a package"),
        (service_unit("EnvironmentFile=/etc/missing"), SOCKET_UNIT, "EnvironmentFile=/etc/missing doesn't exist"),
        (service_unit("WorkingDirectory=/srv"), SOCKET_UNIT, "WorkingDirectory=/srv doesn't exist"),
    ],
)
def test_what_the_sandbox_does_not_do_fails_the_boot_by_name(
    start_machine: StartMachine, service: str, socket_unit: str, expected: str
) -> None:
    """Ignored, it would make the service behave otherwise than on AWS."""
    assert expected in start_machine(user_data(service, socket=socket_unit)).reason


def test_a_port_that_is_taken_fails_the_boot(start_machine: StartMachine) -> None:
    """Two units on one port is a packaging error that must not end in a machine that answers by chance."""
    other = SOCKET_UNIT.replace("[Socket]", "[Socket]\nService=probe.service")
    wanted = user_data(
        service_unit(), start=("probe.socket", "other.socket"), others={"/etc/systemd/system/other.socket": other}
    )
    assert "other.socket can't listen on port 8080" in start_machine(wanted).reason


@pytest.mark.parametrize("how", ["vanish", "refuse"])
def test_standing_still_stops_everything_and_loses_nothing(start_machine: StartMachine, how: str) -> None:
    """A region that comes back has the machines that it had, with what they were doing."""
    machine = start_machine(user_data(service_unit())).wait_for("running")
    before = pid_of(machine)
    machine.send({"do": "stand-still", "how": how})
    eventually(lambda: processes.is_still(machine.process.pid), "the machine stands still")
    assert all(processes.is_still(each.pid) for each in machine.descendants())
    with socket.socket() as client:
        client.settimeout(0.5)
        with pytest.raises(ConnectionRefusedError if how == "refuse" else TimeoutError):
            client.connect((machine.address, PORT))
    machine.process.send_signal(signal.SIGCONT)
    eventually(lambda: {"still": False} in machine.messages, "it goes on")
    assert pid_of(machine) == before
    assert machine.states == ["booting", "running"]
    assert machine.stop() == 0


def test_time_that_it_stood_still_is_no_time_for_its_services(start_machine: StartMachine) -> None:
    """A service that was about to be started would be given up as too slow."""
    wait = "import time\ntime.sleep(3)\n"
    unit = service_unit("ExecStartPre=/usr/bin/python3 /usr/lib/probe/wait.py", "TimeoutStartSec=8")
    machine = start_machine(user_data(unit, others={"/usr/lib/probe/wait.py": wait}))
    eventually(lambda: len(machine.descendants()) > 0, "its first command")
    machine.send({"do": "stand-still", "how": "vanish"})
    eventually(lambda: processes.is_still(machine.process.pid), "the machine stands still")
    # Longer than the service may take: 8 seconds, at the speed of these machines.
    time.sleep(8 / float(SPEED) + 0.5)
    machine.process.send_signal(signal.SIGCONT)
    machine.wait_for("running")
