"""The processes behind Elastic Load Balancing's balancers, and what they say of their targets.

A worker compares what should be with what was last sent to each process, and sends what has changed. A process that
ends by itself is started again, as AWS replaces a node that fails; its targets begin anew.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.elbv2.models import FakeTargetGroup, elbv2_backends
from moto.elbv2.responses import ELBV2Response

from sandbox import clock
from sandbox.api import addresses, machines
from sandbox.api.backend_lock import backend_lock
from sandbox.api.change import Change, wrap
from sandbox.api.children import Child
from sandbox.api.reachability import balancer_is_public, balancer_reaches
from sandbox.api.workers import Worker

TURN_SECONDS: Final = 0.1
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
_UNUSED: Final = {
    "state": "unused",
    "reason": "Target.NotInUse",
    "description": "Target group is not configured to receive traffic from the load balancer",
}
_NOT_REGISTERED: Final = {
    "state": "unused",
    "reason": "Target.NotRegistered",
    "description": "Target is not registered to the target group",
}
_STOPPED: Final = {
    "state": "unused",
    "reason": "Target.InvalidState",
    "description": "Target is in the stopped state",
}


@dataclass
class Balancer:
    """One process: its address, what it was last told, which ports it listens on, and its targets' health."""

    arn: str
    region: str
    dns_name: str
    address: str
    child: Child | None = None
    told: dict[str, Any] | None = None
    listening: tuple[int, ...] = ()
    health: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    stopping: bool = False


@dataclass
class Draining:
    """A target that was deregistered and may still answer requests."""

    target: dict[str, Any]
    since: Any


_balancers: dict[str, Balancer] = {}
_draining: dict[str, dict[str, Draining]] = {}


def addresses_by_name() -> dict[str, dict[str, Any]]:
    """For each balancer's DNS name, in lower case, its address and whether it counts as healthy.

    Healthy: a healthy target in each of its groups, and none of them empty (Route 53 API Reference, AliasTarget,
    "EvaluateTargetHealth").
    """
    return {
        each.dns_name.lower(): {"address": each.address, "healthy": _has_healthy_targets(each)}
        for each in _balancers.values()
        if not each.stopping
    }


def _has_healthy_targets(balancer: Balancer) -> bool:
    groups = list(balancer.health.values())
    return bool(groups) and all(any(target["state"] == "healthy" for target in each.values()) for each in groups)


def processes_in(region: str) -> list[int]:
    """The process ids of the balancers in a region."""
    children = [each.child for each in _balancers.values() if each.region == region]
    return [child.pid for child in children if child is not None and child.pid is not None]


def target_state(group_arn: str, instance_id: str) -> str | None:
    """Elastic Load Balancing's name for the state of a target; None if it isn't registered."""
    if instance_id in _draining.get(group_arn, {}):
        return "draining"
    for backend in _backends():
        group = backend.target_groups.get(group_arn)
        if group is not None:
            return None if instance_id not in group.targets else str(_health(backend, group, instance_id)["state"])
    return None


def _backends() -> Iterator[Any]:
    for account in list(elbv2_backends.values()):
        yield from list(account.values())


def _health(backend: Any, group: Any, target_id: str) -> dict[str, Any]:
    if target_id in _draining.get(group.arn, {}):
        return dict(_DRAINING)
    if target_id not in group.targets:
        return dict(_NOT_REGISTERED)
    instance = group.ec2_backend.get_instance_by_id(target_id)
    if instance is not None and instance.state != "running":
        return dict(_STOPPED)
    balancers = [each for each in _balancers.values() if _uses(each, group.arn)]
    if not balancers:
        return dict(_UNUSED)
    return balancers[0].health.get(group.arn, {}).get(target_id) or dict(_FIRST)


def _uses(balancer: Balancer, group_arn: str) -> bool:
    return balancer.told is not None and group_arn in balancer.told["groups"]


def turn() -> None:
    """Start, stop and configure what is due."""
    wanted = {
        balancer.arn: (backend, balancer)
        for backend in _backends()
        for balancer in backend.load_balancers.values()
        if balancer.type == "application"
    }
    for arn, running in list(_balancers.items()):
        if arn not in wanted and not running.stopping:
            running.stopping = True
            if running.child is not None:
                running.child.stop()
    _forget_drained()
    for arn, (backend, balancer) in wanted.items():
        if arn not in _balancers:
            _balancers[arn] = Balancer(arn, backend.region_name, balancer.dns_name, addresses.reserve())
        _configure(_balancers[arn], backend, balancer)


def _forget_drained() -> None:
    """Give up waiting for targets whose delay is over, or whose group is gone."""
    groups = {arn: group for backend in _backends() for arn, group in backend.target_groups.items()}
    for arn, targets in list(_draining.items()):
        group = groups.get(arn)
        if group is None or not any(_uses(each, arn) for each in _balancers.values()):
            del _draining[arn]
            continue
        delay = clock.real(float(group.attributes["deregistration_delay.timeout_seconds"]))
        for target_id, each in list(targets.items()):
            if (utcnow() - each.since).total_seconds() >= delay or machines.address_of(target_id) is None:
                del targets[target_id]


def _configure(running: Balancer, backend: Any, balancer: Any) -> None:
    if running.stopping:
        return
    if running.child is None:
        running.told, running.health = None, {}
        running.child = Child(
            f"balancer {balancer.name}",
            [sys.executable, "-m", "sandbox.balancer"],
            lambda message: _hear(running, message),
            lambda status: _ended(running),
        )
    configuration = _configuration(running.address, backend, balancer)
    if configuration != running.told:
        running.told = configuration
        running.child.send({"do": "configure", "configuration": configuration})


def _configuration(address: str, backend: Any, balancer: Any) -> dict[str, Any]:
    listeners = [
        each
        for each in balancer.listeners.values()
        if each.protocol == "HTTP" and balancer_is_public(backend.ec2_backend, balancer, int(each.port))
    ]
    arns = {arn for each in balancer.listeners.values() for rule in each.rules.values() for arn in _forwards(rule)}
    return {
        "address": address,
        "idle_timeout": float(balancer.attrs.get("idle_timeout.timeout_seconds", 60)),
        "drop_invalid_headers": balancer.attrs.get("routing.http.drop_invalid_header_fields.enabled") == "true",
        "listeners": [{"port": int(each.port), "rules": _rules(each)} for each in listeners],
        "groups": {
            arn: _group(backend, balancer, backend.target_groups[arn])
            for arn in sorted(arns)
            if arn in backend.target_groups
        },
    }


def _rules(listener: Any) -> list[dict[str, Any]]:
    """In the order of their priorities, the default one last."""
    ordered = sorted(
        listener.rules.values(), key=lambda rule: float("inf") if rule.is_default else float(rule.priority)
    )
    return [{"conditions": rule.conditions, "action": _action(rule.actions[-1])} for rule in ordered]


def _action(action: Any) -> dict[str, Any]:
    data: dict[str, Any] = action.data
    return data


def _forwards(rule: Any) -> list[str]:
    found = []
    for action in rule.actions:
        data = action.data
        if data.get("TargetGroupArn"):
            found.append(data["TargetGroupArn"])
        found += [each["TargetGroupArn"] for each in data.get("ForwardConfig", {}).get("TargetGroups", ())]
    return found


def _group(backend: Any, balancer: Any, group: Any) -> dict[str, Any]:
    port = group.health_check_port
    return {
        "arn": group.arn,
        "check": {
            "enabled": bool(group.health_check_enabled),
            "path": group.health_check_path or "/",
            "port": None if port in (None, "traffic-port") else int(port),
            "interval": float(group.health_check_interval_seconds),
            "timeout": float(group.health_check_timeout_seconds),
            "healthy": int(group.healthy_threshold_count),
            "unhealthy": int(group.unhealthy_threshold_count),
            "matcher": str(group.matcher.get("HttpCode", "200")),
        },
        "targets": [
            target for each in group.targets.values() if (target := _target(backend, balancer, group, each)) is not None
        ],
        "draining": [each.target for each in _draining.get(group.arn, {}).values()],
    }


def _target(backend: Any, balancer: Any, group: Any, target: dict[str, Any]) -> dict[str, Any] | None:
    instance = group.ec2_backend.get_instance_by_id(target["Id"])
    if instance is None or instance.state != "running":
        return None
    port = int(target["Port"])
    return {
        "id": target["Id"],
        "port": port,
        "host": machines.address_of(target["Id"]),
        "reachable": balancer_reaches(backend.ec2_backend, balancer, instance, port),
    }


def _hear(running: Balancer, message: dict[str, Any]) -> None:
    with backend_lock:
        if "listening" in message:
            running.listening = tuple(message["listening"])
        if "health" in message:
            running.health = {
                arn: {target["id"]: target for target in targets} for arn, targets in message["health"].items()
            }
        if "drained" in message:
            arn, target_id, _ = message["drained"]
            _draining.get(arn, {}).pop(target_id, None)
            worker.wake()


def _ended(running: Balancer) -> None:
    with backend_lock:
        running.child, running.told = None, None
        if running.stopping:
            _balancers.pop(running.arn, None)
            addresses.release(running.address)
        worker.wake()


def _deregister(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    """What is deregistered drains, if anything may be under way to it."""
    leaving = {target["Id"]: group.targets[target["Id"]] for target in targets if target["Id"] in group.targets}
    original(group, targets)
    if not any(_uses(each, group.arn) for each in _balancers.values()):
        return
    for target_id, target in leaving.items():
        address = machines.address_of(target_id)
        if address is not None:
            told = {"id": target_id, "port": int(target["Port"]), "host": address, "reachable": True}
            _draining.setdefault(group.arn, {})[target_id] = Draining(told, utcnow())
    worker.wake()


def _register(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    original(group, targets)
    for target in targets:
        _draining.get(group.arn, {}).pop(target["Id"], None)
    worker.wake()


def _describe_health(original: Any, responses: Any) -> Any:
    """From the balancers where there are processes; moto's answer, that all are healthy, where there are none."""
    if not is_live():
        return original(responses)
    backend, arn = responses.elbv2_backend, responses._get_param("TargetGroupArn")
    # Refuses a group that doesn't exist.
    backend.describe_target_groups(None, [arn], None)
    group = backend.target_groups[arn]
    asked = [target["Id"] for target in responses._get_param("Targets", [])]
    ids = asked or [*group.targets, *(each for each in _draining.get(arn, {}) if each not in group.targets)]
    return ActionResult({"TargetHealthDescriptions": [_described(backend, group, each) for each in ids]})


def _described(backend: Any, group: Any, target_id: str) -> dict[str, Any]:
    health = _health(backend, group, target_id)
    draining = _draining.get(group.arn, {}).get(target_id)
    port = int(group.targets.get(target_id, {}).get("Port") or (draining.target["port"] if draining else group.port))
    check_port = port if group.health_check_port in (None, "traffic-port") else group.health_check_port
    described: dict[str, Any] = {"State": health["state"]}
    if health.get("reason"):
        described |= {"Reason": health["reason"], "Description": health["description"]}
    return {
        "Target": {"Id": target_id, "Port": port},
        "HealthCheckPort": str(check_port),
        "TargetHealth": described,
    }


_live = False


def is_live() -> bool:
    """Whether balancers and machines are processes here, and not only records."""
    return _live


def go_live(live: bool) -> None:
    """Whether they are, from now on."""
    global _live
    _live = live


worker = Worker("balancers", TURN_SECONDS, turn)


def _apply_draining() -> None:
    wrap(FakeTargetGroup, "deregister", _deregister)
    wrap(FakeTargetGroup, "register", _register)


CHANGES: tuple[Change, ...] = (
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
