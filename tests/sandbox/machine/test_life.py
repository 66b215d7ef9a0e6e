"""How a machine ends: with its parent, its input, its sandbox; and that standing still doesn't hurt it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from sandbox import leftovers, processes
from tests.sandbox.checkout import REPOSITORY
from tests.sandbox.machine.bucket import RELEASE, Bucket
from tests.sandbox.machine.conftest import StartMachine
from tests.sandbox.machine.machine_process import MachineProcess, eventually
from tests.sandbox.machine.service_files import PORT, service_unit, user_data
from tests.sandbox.machine.test_boot import EXAMPLE, example, orders

# Starts a machine as the API does, says what the machine says, and then waits to be killed.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "sandbox.machine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdin.write(sys.stdin.buffer.readline())
child.stdin.flush()
print(child.pid, flush=True)
for line in child.stdout:
    print(line.decode(), end="", flush=True)
"""


def running(start_machine: StartMachine) -> MachineProcess:
    machine = start_machine(user_data(service_unit())).wait_for("running")
    assert machine.get("/", PORT)[0] == 200
    return machine


def all_of(machine: MachineProcess) -> set[processes.ProcessId]:
    itself = processes.identify(machine.process.pid)
    assert itself is not None
    services = machine.descendants()
    assert services
    return {itself, *services}


def test_the_end_of_its_input_stops_a_machine_in_order(start_machine: StartMachine) -> None:
    """An API that ends without a word would leave its machines behind."""
    machine = running(start_machine)
    everything = all_of(machine)
    assert machine.process.stdin is not None
    machine.process.stdin.close()
    assert machine.process.wait(30) == 0
    assert not processes.wait_until_gone(everything, timeout=10)
    eventually(lambda: machine.ends_of("probe.service") == [-signal.SIGTERM], machine.console)


def test_sigterm_stops_a_machine_in_order(start_machine: StartMachine) -> None:
    """`sandbox down` asks so what it finds left over."""
    machine = running(start_machine)
    machine.process.send_signal(signal.SIGTERM)
    assert machine.process.wait(30) == 0
    eventually(lambda: machine.ends_of("probe.service") == [-signal.SIGTERM], machine.console)


def test_a_machine_that_is_killed_takes_its_services_along(start_machine: StartMachine) -> None:
    """A service without its machine would keep answering for an instance that is gone."""
    machine = running(start_machine)
    everything = all_of(machine)
    machine.process.kill()
    assert not processes.wait_until_gone(everything, timeout=10)


def test_nothing_is_left_when_the_parent_is_killed(start_machine: StartMachine, tmp_path: Path) -> None:
    """kill -9 of the API must not leave machines that hold ports, also if they stand still at that moment."""
    configured = start_machine(user_data(service_unit()))
    line = configured.sent[0]
    configured.stop()
    home = tmp_path / "home"
    environment = {**os.environ, processes.MARK: processes.mark(processes.MEMBER, home)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(line)
        parent.stdin.flush()
        machine = int(parent.stdout.readline())
        while b'"running"' not in parent.stdout.readline():
            assert parent.poll() is None
        everything = processes.members_of(home)
        assert len(everything) == 3
        os.kill(machine, signal.SIGSTOP)
        parent.kill()
    assert not processes.wait_until_gone(everything, timeout=10)
    assert leftovers.find(home) == set()


def test_standing_still_is_harmless(start_machine: StartMachine) -> None:
    """A broken region's machines stand still, and have to go on where they were."""
    machine = running(start_machine)
    everything = all_of(machine)
    for process in everything:
        processes.send_signal(process, signal.SIGSTOP)
    for process in everything:
        processes.send_signal(process, signal.SIGCONT)
    assert machine.get("/", PORT)[0] == 200
    assert machine.states == ["booting", "running"]
    assert machine.stop() == 0


def test_a_machine_that_still_boots_stops_at_once(start_machine: StartMachine, bucket: Bucket) -> None:
    """Terminating an instance would wait until its packages have arrived."""
    bucket.publish({EXAMPLE: example()})
    index = f"/orders-packages/{RELEASE}repodata/repomd.xml"
    bucket.statuses[index] = [503] * 100
    machine = start_machine(orders())
    eventually(lambda: index in bucket.asked, "it didn't ask")
    assert machine.stop() == 0
    assert machine.states == ["booting"]


def test_input_that_is_no_command_changes_nothing(start_machine: StartMachine) -> None:
    """A message of a later version would end the machine."""
    machine = running(start_machine)
    machine.send({"do": "something"})
    assert machine.process.stdin is not None
    machine.process.stdin.write(b"nonsense\n[]\n")
    machine.process.stdin.flush()
    assert machine.get("/", PORT)[0] == 200
    assert machine.stop() == 0
