"""What a balancer's process is told, from what Elastic Load Balancing has on record of it."""

from typing import Any

from moto.acm.models import acm_backends
from moto.elbv2.ssl_policies import SSL_POLICIES

from sandbox.api import elbv2_draining, machines
from sandbox.api.elbv2_actions import forwards_to
from sandbox.api.elbv2_instances import instance_of
from sandbox.api.reachability import balancer_admits, balancer_reaches

REGISTRATION = "Registration"
"""Where a target of a group has the number of its registration, which tells it from earlier ones."""
_HEALTHY = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"


def configuration(address: str, backend: Any, balancer: Any) -> dict[str, Any]:
    """`sandbox.balancer.configuration.Configuration` of a balancer at `address`, as JSON has it.

    A listener that nobody can reach isn't there: on AWS packets to it vanish, and nothing on loopback can do that.
    """
    attributes = balancer.attrs
    return {
        "address": address,
        "dns_name": balancer.dns_name,
        "idle_timeout": float(attributes["idle_timeout.timeout_seconds"]),
        "client_keep_alive": float(attributes["client_keep_alive.seconds"]),
        "drop_invalid_headers": attributes["routing.http.drop_invalid_header_fields.enabled"] == "true",
        "preserve_host": attributes["routing.http.preserve_host_header.enabled"] == "true",
        "forwarded_for": attributes["routing.http.xff_header_processing.mode"],
        "client_port": attributes["routing.http.xff_client_port.enabled"] == "true",
        "listeners": [
            {"port": int(each.port), "rules": _rules(each), "admits": admits, "tls": _tls(backend, each)}
            for each in balancer.listeners.values()
            if (admits := balancer_admits(backend.ec2_backend, balancer, int(each.port)))
        ],
        "groups": {
            arn: _group(backend, balancer, backend.target_groups[arn])
            for arn in sorted(forwards_to(backend, balancer))
            if arn in backend.target_groups
        },
    }


def _tls(backend: Any, listener: Any) -> dict[str, Any] | None:
    """`sandbox.balancer.configuration.Tls` of an HTTPS listener."""
    if listener.protocol != "HTTPS":
        return None
    bundle = acm_backends[backend.account_id][backend.region_name].get_certificate(listener.certificate)
    policy = SSL_POLICIES[listener.ssl_policy]
    versions = sorted(policy["ssl_protocols"])
    return {
        "certificate": f"{bundle.cert.decode()}\n{bundle.chain.decode()}",
        "key": bundle.key.decode(),
        "ciphers": [cipher for cipher in policy["ciphers"] if not cipher.startswith("TLS_")],
        "minimum": versions[0],
        "maximum": versions[-1],
    }


def _rules(listener: Any) -> list[dict[str, Any]]:
    """In the order of their priorities, the default one last."""
    ordered = sorted(
        listener.rules.values(), key=lambda rule: float("inf") if rule.is_default else float(rule.priority)
    )
    return [{"conditions": rule.conditions, "action": rule.actions[-1].data} for rule in ordered]


def _group(backend: Any, balancer: Any, group: Any) -> dict[str, Any]:
    percentage = group.attributes[f"{_HEALTHY}.percentage"]
    return {
        "arn": group.arn,
        "algorithm": group.attributes["load_balancing.algorithm.type"],
        "healthy_count": int(group.attributes[f"{_HEALTHY}.count"]),
        "healthy_percentage": 0 if percentage == "off" else int(percentage),
        "check": {
            "enabled": bool(group.health_check_enabled),
            "path": group.health_check_path or "/",
            "port": _check_port(group),
            "interval": float(group.health_check_interval_seconds),
            "timeout": float(group.health_check_timeout_seconds),
            "healthy": int(group.healthy_threshold_count),
            "unhealthy": int(group.unhealthy_threshold_count),
            "matcher": str(group.matcher.get("HttpCode", "200")),
        },
        "targets": [
            _target(backend, balancer, group, each)
            for each in group.targets.values()
            if unused_because(balancer, group, each["Id"]) is None
        ],
        "draining": elbv2_draining.told(group.arn),
    }


def _check_port(group: Any) -> int | None:
    return None if group.health_check_port in (None, "traffic-port") else int(group.health_check_port)


def _target(backend: Any, balancer: Any, group: Any, target: dict[str, Any]) -> dict[str, Any]:
    instance = instance_of(group, target["Id"])
    port = int(target["Port"])

    def reaches(port: int) -> bool:
        return instance is not None and balancer_reaches(backend.ec2_backend, balancer, instance, port)

    return {
        "id": target["Id"],
        "port": port,
        "host": machines.address_of(instance.id) if instance is not None else None,
        "private_address": str(instance.private_ip) if instance is not None else target["Id"],
        "reachable": reaches(port),
        "registration": target.get(REGISTRATION, 0),
        "checkable": reaches(_check_port(group) or port),
    }


def unused_because(balancer: Any, group: Any, target_id: str) -> tuple[str, str] | None:
    """Why `balancer` doesn't use a registered target, as reason and description of its state; None if it does.

    User Guide for Application Load Balancers, "Health check reason codes".
    """
    instance = instance_of(group, target_id)
    if instance is None:
        gone = group.target_type == "instance"
        return ("Target.InvalidState", "Target is in the terminated state") if gone else None
    if instance.state != "running":
        state = "terminated" if instance.state in ("shutting-down", "terminated") else "stopped"
        return "Target.InvalidState", f"Target is in the {state} state"
    if instance.placement.zone not in {subnet.availability_zone for subnet in balancer.subnets}:
        return "Target.NotInUse", "Target is in an Availability Zone that is not enabled for the load balancer"
    return None
