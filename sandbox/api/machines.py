"""The machines behind EC2's instances: each one that runs is a process, `sandbox.machine`.

A worker compares what EC2 says should run with what runs, and starts and stops processes; whatever made the difference
(a request, Auto Scaling, a reset of everything) doesn't matter. A process that ends by itself isn't started again: its
instance goes on `running` and fails its status check, as one with a crashed system does. Nor is a stopped one: on AWS
its disk is as it was, and cloud-init doesn't do again what it did at the first boot, which a process that boots anew
would.
"""

import base64
import shutil
import sys
import tempfile
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse

from sandbox.api import addresses, backends, images, lost_regions
from sandbox.api.backend_lock import backend_lock
from sandbox.api.change import Change, wrap
from sandbox.api.children import Child
from sandbox.api.ec2_launch import refuse, unsupported
from sandbox.api.reachability import s3_endpoint_of
from sandbox.api.workers import Worker, alone

TURN_SECONDS: Final = 0.1
# EC2 User Guide, "Instance console output": 64 KB are kept.
CONSOLE_BYTES: Final = 64 * 1024
_CONSOLE_LINES: Final = 1_000
_ARCHITECTURES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}


@dataclass
class Machine:
    """One process: its address and file system, what its console says, and its state since `changed`.

    `state` is `booting`, `running`, `failed` (it didn't boot, and stays up) or `dead` (its process has ended). Why it
    is in that state, the console says.
    """

    instance_id: str
    region: str
    address: str
    root: Path
    state: str = "booting"
    changed: datetime = field(default_factory=utcnow)
    console: deque[str] = field(default_factory=lambda: deque(maxlen=_CONSOLE_LINES))
    child: Child | None = None
    stopping: bool = False


_machines: dict[str, Machine] = {}
# They outlive their machines: what ended an instance is asked for afterwards.
_consoles: dict[str, deque[str]] = {}
_endpoint = ""


def serve_from(endpoint_url: str) -> None:
    """Where machines find S3: the main port of the API. Without one instances are records."""
    global _endpoint
    _endpoint = endpoint_url


def address_of(instance_id: str) -> str | None:
    """The loopback address of an instance's sockets; None while it has no machine."""
    machine = _machines.get(instance_id)
    return None if machine is None or machine.stopping else machine.address


def console_of(instance_id: str) -> str:
    """The last lines of an instance's console; of one that has ended too, as long as EC2 lists it."""
    return "\r\n".join(_consoles.get(instance_id, ()))


def is_impaired(instance_id: str) -> bool:
    """Whether an instance that should run has no running process."""
    machine = _machines.get(instance_id)
    return machine is not None and machine.state == "dead"


def children_in(region: str) -> list[Child]:
    """The processes of the machines in a region that haven't ended."""
    children = [each.child for each in _machines.values() if each.region == region]
    return [child for child in children if child is not None and not child.has_ended]


def processes_in(region: str) -> list[int]:
    """Their process ids."""
    return [child.pid for child in children_in(region) if child.pid is not None]


def turn() -> None:
    """Start and stop what is due."""
    known = {
        instance.id: instance
        for backend in backends.every(ec2_backends)
        for reservation in backend.reservations.values()
        for instance in reservation.instances
    }
    wanted = {instance.id: instance for instance in known.values() if instance.state == "running"}
    for instance_id, machine in list(_machines.items()):
        if instance_id not in wanted and not machine.stopping and not lost_regions.is_lost(machine.region):
            with alone(f"machine {instance_id}"):
                _stop(machine)
    for instance_id in [instance_id for instance_id in _consoles if instance_id not in known]:
        del _consoles[instance_id]
    for instance_id, instance in wanted.items():
        if instance_id not in _machines and not lost_regions.is_lost(instance.region_name):
            with alone(f"machine {instance_id}"):
                _start(instance)


def _stop(machine: Machine) -> None:
    machine.stopping = True
    if machine.child is None or machine.state == "dead":
        _forget(machine)
        shutil.rmtree(machine.root, ignore_errors=True)
    else:
        machine.child.stop()


def _start(instance: Any) -> None:
    # What may fail comes first: there is nothing of the machine yet, so that the next turn tries again.
    (vpce, why), user_data = s3_endpoint_of(instance), _user_data(instance)
    root = Path(tempfile.mkdtemp(prefix=f"machine-{instance.id}-"))
    machine = Machine(instance.id, instance.region_name, addresses.reserve(), root)
    _machines[instance.id] = machine
    _consoles[instance.id] = machine.console
    machine.child = Child(
        f"machine {instance.id}",
        [sys.executable, "-m", "sandbox.machine"],
        lambda message: _hear(machine, message),
        lambda status: _ended(machine, status),
    )
    machine.child.send(
        {
            "root": str(root),
            "address": machine.address,
            "arch": _ARCHITECTURES.get(instance.architecture, instance.architecture),
            "user_data": user_data,
            "s3": {"region": instance.region_name, "url": _endpoint, "vpce": vpce, "why": why},
            "provides": images.provides(),
            "facts": {
                "account": instance.owner_id,
                "image_id": instance.image_id,
                "instance_id": instance.id,
                "instance_type": instance.instance_type,
                "private_ip": instance.private_ip,
                "region": instance.region_name,
                "zone": instance.placement.zone,
            },
        }
    )


def _user_data(instance: Any) -> str | None:
    """As the instance's metadata service would give it; what isn't text is the machine's to refuse."""
    if not instance.user_data:
        return None
    return base64.b64decode(str(instance.user_data)).decode(errors="replace")


def _hear(machine: Machine, message: dict[str, str]) -> None:
    with backend_lock:
        if "console" in message:
            machine.console.append(message["console"])
        if "state" in message:
            machine.state, machine.changed = message["state"], utcnow()


def _ended(machine: Machine, status: int) -> None:
    with backend_lock:
        if machine.stopping:
            _forget(machine)
        else:
            machine.state, machine.changed = "dead", utcnow()
            machine.console.append(f"The machine's process ended with status {status}")
    if machine.stopping:
        shutil.rmtree(machine.root, ignore_errors=True)


def _forget(machine: Machine) -> None:
    _machines.pop(machine.instance_id, None)
    addresses.release(machine.address)


# --- requests


def _console_output(_original: Any, responses: Any) -> ActionResult:
    instance_id = responses._get_param("InstanceId")
    if responses.ec2_backend.get_instance_by_id(instance_id) is None:
        refuse("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    output = base64.b64encode(console_of(instance_id).encode()[-CONSOLE_BYTES:]).decode()
    return ActionResult({"InstanceId": instance_id, "Timestamp": utcnow(), "Output": output})


def _instance_status(original: Any, responses: Any) -> ActionResult:
    """moto says `ok` of all; a machine that boots is `initializing`, one whose process is gone `impaired`."""
    answer: Any = original(responses)
    return ActionResult({"InstanceStatuses": [_described(instance) for instance in answer.result["InstanceStatuses"]]})


def _described(instance: Any) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.placement.zone,
        "InstanceState": {"Code": instance._state.code, "Name": instance.state},
        "InstanceStatus": _summary(_status(instance), _machines.get(instance.id)),
        # Nothing of the sandbox breaks the host below an instance.
        "SystemStatus": _summary("ok" if instance.state == "running" else "not-applicable", None),
    }


def _summary(status: str, machine: Machine | None) -> dict[str, Any]:
    if status == "not-applicable":
        return {"Status": status}
    detail: dict[str, Any] = {"Name": "reachability", "Status": _DETAILS[status]}
    if status == "impaired" and machine is not None:
        detail["ImpairedSince"] = machine.changed
    return {"Status": status, "Details": [detail]}


_DETAILS: Final = {"ok": "passed", "initializing": "initializing", "impaired": "failed"}


def _status(instance: Any) -> str:
    if instance.state != "running":
        return "not-applicable"
    machine = _machines.get(instance.id)
    if machine is None:
        return "initializing" if _endpoint else "ok"
    return {"booting": "initializing", "dead": "impaired"}.get(machine.state, "ok")


def _apply_no_second_boot() -> None:
    def refusing(operation: str) -> Any:
        def answer(_original: Any, _responses: Any) -> NoReturn:
            unsupported(f"{operation}: start another instance instead")

        return answer

    wrap(InstanceResponse, "reboot_instances", refusing("RebootInstances"))
    wrap(InstanceResponse, "start_instances", refusing("StartInstances"))


worker = Worker("machines", TURN_SECONDS, turn)

CHANGES: tuple[Change, ...] = (
    Change(
        name="ec2-console-output",
        why=(
            "moto answers with the same text for every instance, whether it exists or not. AWS gives the console of "
            "the instance (EC2 API Reference, GetConsoleOutput)."
        ),
        apply=lambda: wrap(General, "get_console_output", _console_output),
    ),
    Change(
        name="ec2-instance-status",
        why=(
            "moto says that every instance passes its status checks. AWS says `initializing` at first and `impaired` "
            "of one that isn't reachable (EC2 User Guide, 'Status checks for Amazon EC2 instances')."
        ),
        apply=lambda: wrap(InstanceResponse, "describe_instance_status", _instance_status),
    ),
    Change(
        name="ec2-no-second-boot",
        why=(
            "moto's instances have no disk, so starting or rebooting one changes a word. On AWS it boots from the disk "
            "that it had, without the modules that cloud-init runs once per instance (cloud-init documentation, "
            "'Module frequency'): that isn't built, and both are refused by name."
        ),
        apply=_apply_no_second_boot,
    ),
)
