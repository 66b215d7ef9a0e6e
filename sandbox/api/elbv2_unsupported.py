"""What balancers of AWS do and the sandbox's processes don't: refused by name, where there are processes.

Where only records are kept, as in tests of requests, nothing of it could act anyway.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.elbv2.models import ELBv2Backend
from moto.elbv2.responses import ELBV2Response
from moto.elbv2.ssl_policies import SSL_POLICIES

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_error import unsupported
from sandbox.api.elbv2_live import is_live
from sandbox.balancer.ports import PORT_OFFSET

PORT_MAX = 65535 - PORT_OFFSET
"""Balancers listen on their listener's port and PORT_OFFSET."""

# Attributes by the values that a process keeps to.
LOAD_BALANCER_ATTRIBUTES = {
    "access_logs.s3.enabled": ("false",),
    "connection_logs.s3.enabled": ("false",),
    "health_check_logs.s3.enabled": ("false",),
    "routing.http.desync_mitigation_mode": ("defensive",),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": ("false",),
}
TARGET_GROUP_ATTRIBUTES = {
    "load_balancing.algorithm.anomaly_mitigation": ("off",),
    "load_balancing.algorithm.type": ("round_robin", "least_outstanding_requests"),
    "load_balancing.cross_zone.enabled": ("true", "use_load_balancer_configuration"),
    "slow_start.duration_seconds": ("0",),
    "stickiness.enabled": ("false",),
    # A balancer of the sandbox has one address, so there are no zones to take out of DNS.
    "target_group_health.dns_failover.minimum_healthy_targets.count": ("1", "off"),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": ("off",),
}
# API Reference, CreateListener, "SslPolicy".
DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"
ACTIONS = ("fixed-response", "forward", "redirect")


def _check_load_balancer(ip_address_type: str | None) -> None:
    if ip_address_type not in (None, "ipv4"):
        unsupported(f"load balancers with the IP address type {ip_address_type}")


def _check_attributes(kind: str, attributes: dict[str, str], supported: Mapping[str, tuple[str, ...]]) -> None:
    for key, value in attributes.items():
        if key in supported and value not in supported[key]:
            unsupported(f"{kind} with {key}={value}")


def _check_target_group(settings: dict[str, Any]) -> None:
    if settings.get("protocol") == "HTTPS":
        unsupported("target groups with protocol HTTPS: targets are reached over HTTP")
    if settings.get("healthcheck_protocol") == "HTTPS":
        unsupported("target groups with HealthCheckProtocol HTTPS")
    if settings.get("protocol_version") not in (None, "HTTP1"):
        unsupported(f"target groups with ProtocolVersion {settings['protocol_version']}")
    if settings.get("ip_address_type") not in (None, "ipv4"):
        unsupported(f"target groups with the IP address type {settings['ip_address_type']}")


def _check_listener(request: Mapping[str, Any]) -> None:
    port, policy = request.get("Port"), request.get("SslPolicy")
    if request.get("Protocol") == "HTTPS" and not policy:
        unsupported(f"HTTPS listeners with the security policy that AWS chooses, {DEFAULT_POLICY}: name one")
    if policy in SSL_POLICIES and not _is_spoken(policy):
        unsupported(f"HTTPS listeners with the security policy {policy}")
    for certificate in request.get("Certificates") or ():
        if ":acm:" not in certificate["CertificateArn"]:
            unsupported("certificates of IAM's")
    if (request.get("MutualAuthentication") or {}).get("Mode", "off") != "off":
        unsupported("listeners with MutualAuthentication")
    if port is not None and int(port) > PORT_MAX:
        unsupported(f"listeners on port {port}: {PORT_MAX} is the last one that it can serve")
    _check_actions(request.get("DefaultActions") or [])


def _is_spoken(policy: str) -> bool:
    """Whether a process keeps to a security policy: to versions before TLS 1.2 it doesn't, nor to post-quantum keys."""
    versions = set(SSL_POLICIES[policy]["ssl_protocols"])
    return versions <= {"TLSv1.2", "TLSv1.3"} and "-PQ-" not in policy and "FIPS" not in policy


def _check_actions(actions: Sequence[dict[str, Any]]) -> None:
    for action in actions:
        if action["Type"] not in ACTIONS:
            unsupported(f"actions of type {action['Type']}")
        stickiness = action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {})
        if str(stickiness.get("Enabled", False)).lower() == "true":
            unsupported("forward actions with TargetGroupStickinessConfig")


def _check_rule(request: dict[str, Any]) -> None:
    if request.get("Transforms"):
        unsupported("rules with Transforms")
    for condition in request.get("Conditions") or []:
        configs = [config for config in condition.values() if isinstance(config, dict)]
        if condition.get("RegexValues") or any(config.get("RegexValues") for config in configs):
            unsupported(f"{condition.get('Field')} conditions with RegexValues")
    _check_actions(request.get("Actions") or [])


def _refusing(check: Callable[..., None]) -> Callable[..., Any]:
    """A wrapper that has `check` look at the arguments of an operation first."""

    def wrapper(original: Any, owner: Any, *args: Any, **kwargs: Any) -> Any:
        if is_live():
            check(owner, *args, **kwargs)
        return original(owner, *args, **kwargs)

    return wrapper


def _apply_load_balancers() -> None:
    def create(_backend: Any, *_args: Any, ip_address_type: str | None = None, **_kwargs: Any) -> None:
        _check_load_balancer(ip_address_type)

    def set_type(_backend: Any, _arn: str, ip_type: str) -> None:
        _check_load_balancer(ip_type)

    def modify(_backend: Any, _arn: str, attrs: dict[str, str]) -> None:
        _check_attributes("load balancers", attrs, LOAD_BALANCER_ATTRIBUTES)

    wrap(ELBv2Backend, "create_load_balancer", _refusing(create))
    wrap(ELBv2Backend, "set_ip_address_type", _refusing(set_type))
    wrap(ELBv2Backend, "modify_load_balancer_attributes", _refusing(modify))


def _apply_target_groups() -> None:
    def create(_backend: Any, _name: str, **settings: Any) -> None:
        _check_target_group(settings)

    def modify(_backend: Any, _arn: str, health_check_proto: str | None = None, *_args: Any, **_kwargs: Any) -> None:
        _check_target_group({"healthcheck_protocol": health_check_proto})

    def modify_attributes(_backend: Any, target_group_arn: str, attributes: dict[str, str]) -> None:
        _check_attributes("target groups", attributes, TARGET_GROUP_ATTRIBUTES)

    wrap(ELBv2Backend, "create_target_group", _refusing(create))
    wrap(ELBv2Backend, "modify_target_group", _refusing(modify))
    wrap(ELBv2Backend, "modify_target_group_attributes", _refusing(modify_attributes))


def _apply_listeners() -> None:
    def listener(responses: Any) -> None:
        _check_listener(responses._get_params())

    def rule(responses: Any) -> None:
        _check_rule(responses._get_params())

    for operation in ("create_listener", "modify_listener"):
        wrap(ELBV2Response, operation, _refusing(listener))
    for operation in ("create_rule", "modify_rule"):
        wrap(ELBV2Response, operation, _refusing(rule))

    def certificates(responses: Any) -> None:
        unsupported("more certificates of a listener than its own")

    wrap(ELBV2Response, "add_listener_certificates", _refusing(certificates))


def _apply() -> None:
    _apply_load_balancers()
    _apply_target_groups()
    _apply_listeners()


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-unsupported",
        why=(
            "moto keeps every setting and acts on none. What the sandbox's balancers can't do is refused by name, so "
            "that nobody takes it for tried out: HTTP/2, gRPC, stickiness, slow start, logs, authentication."
        ),
        apply=_apply,
    ),
)
