"""Target groups and their targets as strict as AWS."""

import ipaddress
import re
from typing import Any

from moto.elbv2.models import ELBv2Backend, FakeTargetGroup

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_attributes import TARGET_GROUP_DEFAULTS
from sandbox.api.elbv2_error import check_name, check_port, refuse, unsupported

# Elastic Load Balancing API Reference, CreateTargetGroup: limits of a health check; interval and timeout in seconds.
INTERVAL = (5, 300)
TIMEOUT = (2, 120)
THRESHOLD = (2, 10)
PATH_MAX = 1024
# "The codes to use when checking for a healthy target": 200 to 499 for application load balancers.
CODES = (200, 499)
MATCHER = re.compile(r"\d{3}(?:-\d{3})?(?:,\d{3}(?:-\d{3})?)*")
HTTP = ("HTTP", "HTTPS")
# User Guide for Application Load Balancers, "Target type": addresses of an `ip` group.
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))


def _check_between(what: str, value: Any, limits: tuple[int, int]) -> None:
    low, high = limits
    if value is not None and not low <= int(value) <= high:
        refuse("ValidationError", f"{what} '{value}' must be between '{low}' and '{high}' inclusive")


def _check_matcher(codes: str | None) -> None:
    if codes is None:
        return
    low, high = CODES
    numbers = [int(code) for code in re.findall(r"\d+", codes)]
    if not MATCHER.fullmatch(codes) or not all(low <= number <= high for number in numbers):
        refuse("ValidationError", f"Health check matcher HTTP code '{codes}' must be within '{low}-{high}' inclusive")


def _check_health_check(
    *,
    interval: Any,
    timeout: Any,
    healthy: Any,
    unhealthy: Any,
    path: str | None,
    port: Any,
    codes: str | None,
    protocol: str | None,
) -> None:
    _check_between("Health check interval", interval, INTERVAL)
    _check_between("Health check timeout", timeout, TIMEOUT)
    _check_between("Healthy threshold count", healthy, THRESHOLD)
    _check_between("Unhealthy threshold count", unhealthy, THRESHOLD)
    if protocol is not None and protocol not in HTTP:
        refuse("InvalidConfigurationRequest", f"Health check protocol '{protocol}' must be one of {', '.join(HTTP)}")
    if port not in (None, "traffic-port"):
        if not str(port).isdigit():
            refuse(
                "ValidationError", f"Health check port '{port}' must be between '1-65535' inclusive or 'traffic-port'"
            )
        check_port(port, "healthCheckPort")
    if path is not None and not path.startswith("/"):
        refuse("ValidationError", f"Health check path '{path}' must begin with a '/' character")
    if path is not None and len(path) > PATH_MAX:
        refuse("ValidationError", f"Health check path cannot be longer than '{PATH_MAX}' characters")
    _check_matcher(codes)
    if interval is not None and timeout is not None and int(timeout) >= int(interval):
        refuse("ValidationError", f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")


def _check_enabled(enabled: Any, target_type: str) -> None:
    # API Reference, CreateTargetGroup: "health checks are always enabled and can't be disabled".
    if str(enabled).lower() == "false":
        refuse(
            "InvalidConfigurationRequest",
            f"Health check enabled must be true for target groups of type '{target_type}'",
        )


def _check_group(backend: Any, name: str, settings: dict[str, Any]) -> None:
    check_name("Target group", name)
    if settings.get("target_type") not in ("instance", "ip"):
        unsupported(f"target groups of type {settings.get('target_type')}")
    if settings.get("protocol") not in HTTP:
        unsupported(f"target groups with protocol {settings.get('protocol')}")
    check_port(settings.get("port"))
    _check_enabled(settings.get("healthcheck_enabled"), settings["target_type"])
    if settings.get("vpc_id") not in backend.ec2_backend.vpcs:
        refuse("ValidationError", f"The VPC ID '{settings.get('vpc_id')}' is not found")
    # What a request leaves out is the default of an HTTP group: 30 s and 5 s.
    _check_health_check(
        interval=settings.get("healthcheck_interval_seconds") or 30,
        timeout=settings.get("healthcheck_timeout_seconds") or 5,
        healthy=settings.get("healthy_threshold_count"),
        unhealthy=settings.get("unhealthy_threshold_count"),
        path=settings.get("healthcheck_path"),
        port=settings.get("healthcheck_port"),
        codes=(settings.get("matcher") or {}).get("HttpCode"),
        protocol=settings.get("healthcheck_protocol"),
    )


# Elastic Load Balancing API Reference, CreateTargetGroup: where moto has another default, or none.
DEFAULTS = {"healthcheck_path": "/", "healthcheck_timeout_seconds": 5, "protocol_version": "HTTP1"}

# What CreateTargetGroup gives moto, and where moto's target group keeps it.
GROUP_SETTINGS = {
    "protocol": "protocol",
    "port": "port",
    "vpc_id": "vpc_id",
    "target_type": "target_type",
    "healthcheck_protocol": "health_check_protocol",
    "healthcheck_port": "health_check_port",
    "healthcheck_path": "health_check_path",
    "healthcheck_interval_seconds": "health_check_interval_seconds",
    "healthcheck_timeout_seconds": "health_check_timeout_seconds",
    "healthy_threshold_count": "healthy_threshold_count",
    "unhealthy_threshold_count": "unhealthy_threshold_count",
    "matcher": "matcher",
}


def _create_target_group(original: Any, backend: Any, name: str, **settings: Any) -> Any:
    _check_group(backend, name, settings)
    for existing in backend.target_groups.values():
        if existing.name == name:
            if all(
                str(getattr(existing, attribute)) == str(settings[key])
                for key, attribute in GROUP_SETTINGS.items()
                if settings.get(key) is not None
            ):
                return existing
            refuse(
                "DuplicateTargetGroupName",
                f"A target group with the same name '{name}' exists, but with different settings",
            )
    for setting, default in DEFAULTS.items():
        settings[setting] = settings.get(setting) or default
    group = original(backend, name, **settings)
    group.attributes = dict(TARGET_GROUP_DEFAULTS)
    return group


def _modify_target_group(original: Any, backend: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
    names = ("proto", "port", "path", "interval", "timeout", "healthy", "unhealthy", "codes")
    given = dict(zip(names, args, strict=False))
    group = backend.target_groups.get(arn)
    if group is None:
        refuse("TargetGroupNotFound", f"One or more target groups not found: '{arn}'")
    interval, timeout = given.get("interval"), given.get("timeout")
    _check_health_check(
        interval=group.health_check_interval_seconds if interval is None else interval,
        timeout=group.health_check_timeout_seconds if timeout is None else timeout,
        healthy=given.get("healthy"),
        unhealthy=given.get("unhealthy"),
        path=given.get("path"),
        port=given.get("port"),
        codes=given.get("codes"),
        protocol=given.get("proto"),
    )
    _check_enabled(kwargs.get("health_check_enabled"), group.target_type)
    return original(backend, arn, *args, **kwargs)


def _register(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    if group.target_type == "instance":
        _check_instances(group, [target["Id"] for target in targets])
    else:
        _check_addresses([target["Id"] for target in targets])
    for target in targets:
        check_port(target.get("Port"), "targets.member.port")
    _check_ports(group, targets)
    original(group, targets)


def _check_ports(group: Any, targets: list[dict[str, Any]]) -> None:
    """AWS keeps a target once for each of its ports, moto once."""
    ports = {target_id: int(target["Port"]) for target_id, target in group.targets.items()}
    for target in targets:
        port = int(target.get("Port") or group.port)
        if ports.setdefault(target["Id"], port) != port:
            unsupported(
                f"a target on several ports of a target group: {target['Id']}, {ports[target['Id']]} and {port}"
            )


def _check_addresses(addresses: list[str]) -> None:
    for text in addresses:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            refuse("ValidationError", f"The IP address '{text}' is not a valid IPv4 address")
        if not any(address in block for block in PRIVATE):
            refuse("ValidationError", f"The IP address '{text}' is not in a private address range")


def _check_instances(group: Any, instance_ids: list[str]) -> None:
    for instance_id in instance_ids:
        if not re.fullmatch(r"i-[0-9a-f]{8,17}", instance_id):
            refuse("ValidationError", f"Instance ID '{instance_id}' is not valid")
    instances = {instance_id: group.ec2_backend.get_instance_by_id(instance_id) for instance_id in instance_ids}
    missing = [f"'{identifier}'" for identifier, instance in instances.items() if instance is None]
    if missing:
        refuse("InvalidTarget", f"The following instances do not exist: {', '.join(missing)}")
    idle = [f"'{identifier}'" for identifier, instance in instances.items() if instance.state != "running"]
    if idle:
        refuse(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: {', '.join(idle)}",
        )
    foreign = [f"'{identifier}'" for identifier, instance in instances.items() if instance.vpc_id != group.vpc_id]
    if foreign:
        refuse(
            "InvalidTarget",
            f"The following targets are not in the target group VPC '{group.vpc_id}': {', '.join(foreign)}",
        )


def _deregister(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    # API Reference, DeregisterTargets: "If the specified target does not exist, the action returns successfully."
    original(group, [target for target in targets if target["Id"] in group.targets])


def _describe_tags(original: Any, backend: Any, resource_arns: list[str]) -> Any:
    for arn in resource_arns:
        backend._get_resource_by_arn(arn)
    return original(backend, resource_arns)


def _apply() -> None:
    wrap(ELBv2Backend, "create_target_group", _create_target_group)
    wrap(ELBv2Backend, "modify_target_group", _modify_target_group)


def _apply_targets() -> None:
    wrap(FakeTargetGroup, "register", _register)
    wrap(FakeTargetGroup, "deregister", _deregister)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-target-groups",
        why=(
            "moto takes any interval, timeout, threshold, path and matcher, and refuses to create again what exists "
            "with the same settings. AWS: Elastic Load Balancing API Reference, CreateTargetGroup, "
            "ModifyTargetGroup."
        ),
        apply=_apply,
    ),
    Change(
        name="elbv2-tags",
        why=(
            "moto answers with no tags for what doesn't exist. AWS answers …NotFound (Elastic Load Balancing API "
            "Reference, DescribeTags)."
        ),
        apply=lambda: wrap(ELBv2Backend, "describe_tags", _describe_tags),
    ),
    Change(
        name="elbv2-targets",
        why=(
            "moto registers instances that don't exist or are in another VPC, and refuses to deregister what isn't "
            "registered. AWS: Elastic Load Balancing API Reference, RegisterTargets (InvalidTarget), DeregisterTargets."
        ),
        apply=_apply_targets,
    ),
)
