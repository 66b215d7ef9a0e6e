"""The processes behind Elastic Load Balancing's balancers, and what they say of their targets.

A worker compares what should be with what was last sent to each process, and sends what has changed. A process that
ends by itself is started again, as AWS replaces a node that fails; the new one is told what the old one knew of its
targets, and goes on from there.
"""

import itertools
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup, elbv2_backends
from moto.elbv2.responses import ELBV2Response

from sandbox.api import addresses, backends, elbv2_draining, elbv2_metrics, lost_regions
from sandbox.api.backend_lock import backend_lock
from sandbox.api.change import Change, wrap
from sandbox.api.children import Child
from sandbox.api.elbv2_configuration import REGISTRATION, configuration, unused_because
from sandbox.api.elbv2_live import go_live, is_live
from sandbox.api.workers import Worker, alone

__all__ = ["addresses_by_name", "children_in", "go_live", "is_live", "processes_in", "target_state", "worker"]

TURN_SECONDS: Final = 0.1
# A process that ends before it has listened is tried again after this, twice as long each time. Real seconds.
FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 30.0
# So many such ends in a row, and the balancer's state is `failed`.
ATTEMPTS: Final = 3

# What a target is until its balancer has said something about it.
_FIRST: Final = {
    "state": "initial",
    "reason": "Elb.RegistrationInProgress",
    "description": "Target registration is in progress",
}
_DRAINING: Final = {
    "state": "draining",
    "reason": "Target.DeregistrationInProgress",
    "description": "Target deregistration is in progress",
}
_NOT_IN_USE: Final = {
    "state": "unused",
    "reason": "Target.NotInUse",
    "description": "Target group is not configured to receive traffic from the load balancer",
}
_NOT_REGISTERED: Final = {
    "state": "unused",
    "reason": "Target.NotRegistered",
    "description": "Target is not registered to the target group",
}


@dataclass
class Balancer:
    """One balancer's process: its address, what it was last told, the ports that it listens on, its targets' health.

    `is_up` says whether this process has begun to listen, `was_up` whether any has. `failures` counts the processes in
    a row that ended before; `retry_at` is when the next one may be started, on the monotonic clock. `known` is the
    health that the last process has left behind.
    """

    arn: str
    region: str
    dns_name: str
    address: str
    child: Child | None = None
    told: dict[str, Any] | None = None
    is_up: bool = False
    was_up: bool = False
    health: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    known: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stopping: bool = False
    failures: int = 0
    retry_at: float = 0.0

    def uses(self, group_arn: str) -> bool:
        """Whether it sends requests to a target group."""
        return self.told is not None and group_arn in self.told["groups"]

    def health_of(self, group_arn: str, target_id: str, registration: int) -> dict[str, Any] | None:
        """What it said last of a target since it was registered."""
        for each in self.health.get(group_arn, ()):
            if (each["id"], each["registration"]) == (target_id, registration):
                return each
        return None


_balancers: dict[str, Balancer] = {}
_registrations = itertools.count(1)


def addresses_by_name() -> dict[str, dict[str, Any]]:
    """For each balancer's DNS name, in lower case, its address and whether it counts as healthy.

    Healthy: a healthy target in each of its groups, and none of them empty (Route 53 API Reference, AliasTarget,
    "EvaluateTargetHealth").
    """
    return {
        each.dns_name.lower(): {"address": each.address, "healthy": _is_healthy(each)}
        for each in _balancers.values()
        if not each.stopping
    }


def _is_healthy(balancer: Balancer) -> bool:
    groups = list(balancer.health.values())
    if lost_regions.is_lost(balancer.region):
        return False
    return bool(groups) and all(any(target["state"] == "healthy" for target in each) for each in groups)


def children_in(region: str) -> list[Child]:
    """The processes of the balancers in a region that haven't ended."""
    children = [each.child for each in _balancers.values() if each.region == region]
    return [child for child in children if child is not None and not child.has_ended]


def processes_in(region: str) -> list[int]:
    """Their process ids."""
    return [child.pid for child in children_in(region) if child.pid is not None]


def target_state(group_arn: str, instance_id: str) -> str | None:
    """Elastic Load Balancing's name for the state of a target; None if it isn't registered.

    Not what DescribeTargetHealth shows of a target that has finished draining: this is what Auto Scaling waits for.
    """
    if elbv2_draining.is_under_way(group_arn, instance_id):
        return "draining"
    for backend in backends.every(elbv2_backends):
        group = backend.target_groups.get(group_arn)
        if group is not None:
            return None if instance_id not in group.targets else str(_health(backend, group, instance_id)["state"])
    return None


def _health(backend: Any, group: Any, target_id: str) -> dict[str, Any]:
    if target_id not in group.targets:
        return _DRAINING if target_id in elbv2_draining.shown(group.arn) else _NOT_REGISTERED
    running = next((each for each in _balancers.values() if each.uses(group.arn)), None)
    balancer = backend.load_balancers.get(running.arn) if running is not None else None
    if running is None or balancer is None:
        return _NOT_IN_USE
    unused = unused_because(balancer, group, target_id)
    if unused is not None:
        return {"state": "unused", "reason": unused[0], "description": unused[1]}
    return running.health_of(group.arn, target_id, group.targets[target_id].get(REGISTRATION, 0)) or _FIRST


# --- the processes


def turn() -> None:
    """Start, stop and configure what is due."""
    wanted = {
        balancer.arn: (backend, balancer)
        for backend in backends.every(elbv2_backends)
        for balancer in backend.load_balancers.values()
        if balancer.type == "application"
    }
    for arn, running in list(_balancers.items()):
        if arn not in wanted and not running.stopping and not lost_regions.is_lost(running.region):
            with alone(f"balancer {arn}"):
                _stop(running)
    groups = {arn: group for backend in backends.every(elbv2_backends) for arn, group in backend.target_groups.items()}
    elbv2_draining.settle(groups, {arn for arn in groups if any(each.uses(arn) for each in _balancers.values())})
    for arn, (backend, balancer) in wanted.items():
        if lost_regions.is_lost(backend.region_name):
            continue
        with alone(f"balancer {arn}"):
            if arn not in _balancers:
                _balancers[arn] = Balancer(arn, backend.region_name, balancer.dns_name, addresses.reserve())
            _configure(_balancers[arn], backend, balancer)


def _stop(running: Balancer) -> None:
    running.stopping = True
    if running.child is None:
        _forget(running)
    else:
        running.child.stop()


def _forget(running: Balancer) -> None:
    _balancers.pop(running.arn, None)
    addresses.release(running.address)


def _configure(running: Balancer, backend: Any, balancer: Any) -> None:
    if running.stopping or (running.child is None and time.monotonic() < running.retry_at):
        return
    if running.child is None:
        running.told, running.is_up = None, False
        running.child = Child(
            f"balancer {balancer.name}",
            [sys.executable, "-m", "sandbox.balancer"],
            lambda message: _hear(running, message),
            lambda _status: _ended(running),
        )
    wanted = configuration(running.address, backend, balancer)
    if wanted != running.told:
        known = {"health": running.known} if running.told is None else {}
        running.told = wanted
        running.child.send({"do": "configure", "configuration": wanted, **known})


def _hear(running: Balancer, message: dict[str, Any]) -> None:
    with backend_lock:
        if "listening" in message:
            running.is_up, running.was_up, running.failures = True, True, 0
        if "health" in message:
            running.health = message["health"]
        if "measured" in message:
            elbv2_metrics.publish(running.region, running.arn, message["measured"])
        if "drained" in message:
            arn, target_id, _port = message["drained"]
            elbv2_draining.finish(arn, target_id)
            worker.wake()


def _ended(running: Balancer) -> None:
    with backend_lock:
        running.child = None
        running.known, running.health = running.health or running.known, {}
        if running.stopping:
            _forget(running)
            return
        if not running.is_up:
            running.retry_at = time.monotonic() + min(FIRST_RETRY * 2**running.failures, LONGEST_RETRY)
            running.failures += 1
    worker.wake()


# --- requests


def _activate(original: Any, balancer: Any) -> None:
    """A balancer is active once its process listens."""
    running = _balancers.get(balancer.arn)
    if not is_live() or (running is not None and running.was_up):
        original(balancer)
    elif running is not None and running.failures >= ATTEMPTS:
        balancer.state = "failed"


def _deregister(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    """What is deregistered drains, if anything may be under way to it."""
    leaving = [group.targets[target["Id"]] for target in targets if target["Id"] in group.targets]
    original(group, targets)
    _drain(group, leaving)


def _deregister_terminated(original: Any, group: Any, instance_ids: list[str]) -> None:
    """An instance that ends is deregistered, and drains as any other."""
    leaving = [target for target_id, target in group.targets.items() if target_id in instance_ids]
    original(group, instance_ids)
    _drain(group, leaving)


def _drain(group: Any, leaving: list[dict[str, Any]]) -> None:
    if any(each.uses(group.arn) for each in _balancers.values()):
        elbv2_draining.begin(group, leaving)
        worker.wake()


def _register(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    before = {target_id: target.get(REGISTRATION) for target_id, target in group.targets.items()}
    original(group, targets)
    for target in targets:
        target_id = target["Id"]
        group.targets[target_id][REGISTRATION] = before.get(target_id) or next(_registrations)
    elbv2_draining.cancel(group.arn, [target["Id"] for target in targets])
    worker.wake()


def _describe_health(original: Any, responses: Any) -> Any:
    """From the balancers where there are processes; moto's answer, that all are healthy, where there are none."""
    if not is_live():
        return original(responses)
    backend, arn = responses.elbv2_backend, responses._get_param("TargetGroupArn")
    # Refuses a group that doesn't exist.
    backend.describe_target_groups(None, [arn], None)
    group = backend.target_groups[arn]
    asked = responses._get_param("Targets", [])
    if not asked:
        asked = [{"Id": each} for each in (*group.targets, *elbv2_draining.shown(arn))]
    return ActionResult({"TargetHealthDescriptions": [_described(backend, group, each) for each in asked]})


def _described(backend: Any, group: Any, asked: dict[str, Any]) -> dict[str, Any]:
    target_id = asked["Id"]
    health = _health(backend, group, target_id)
    registered = group.targets.get(target_id, {}).get("Port") or elbv2_draining.shown(group.arn).get(target_id)
    port = int(asked.get("Port") or registered or group.port)
    if registered is not None and port != int(registered):
        health = _NOT_REGISTERED
    check_port = port if group.health_check_port in (None, "traffic-port") else group.health_check_port
    described: dict[str, Any] = {"State": health["state"]}
    if health.get("reason"):
        described |= {"Reason": health["reason"], "Description": health["description"]}
    return {
        "Target": {"Id": target_id, "Port": port},
        "HealthCheckPort": str(check_port),
        "TargetHealth": described,
    }


worker = Worker("balancers", TURN_SECONDS, turn)


def _apply_draining() -> None:
    wrap(FakeTargetGroup, "deregister", _deregister)
    wrap(FakeTargetGroup, "deregister_terminated_instances", _deregister_terminated)
    wrap(FakeTargetGroup, "register", _register)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-load-balancer-state",
        why=(
            "moto's balancers are active as soon as somebody looks. Here one is `provisioning` until its process "
            "listens, and `failed` if it never does (Elastic Load Balancing API Reference, LoadBalancerState)."
        ),
        apply=lambda: wrap(FakeLoadBalancer, "activate", _activate),
    ),
    Change(
        name="elbv2-target-health",
        why=(
            "moto says that every target is healthy. Here a balancer's process checks its targets, and what it finds "
            "is the answer, with AWS's states and reasons (Elastic Load Balancing API Reference, TargetHealth)."
        ),
        apply=lambda: wrap(ELBV2Response, "describe_target_health", _describe_health),
    ),
    Change(
        name="elbv2-draining",
        why=(
            "moto forgets a target as soon as it is deregistered. AWS drains it: no new requests, until those under "
            "way are answered or the delay is over (User Guide for Application Load Balancers, 'Deregistration delay')."
        ),
        apply=_apply_draining,
    ),
)
