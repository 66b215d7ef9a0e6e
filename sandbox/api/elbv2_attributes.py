"""Attributes of load balancers and target groups: what there is, what it may be, and what it is by default."""

import re
from dataclasses import dataclass
from typing import Any

from moto.elbv2.models import ELBv2Backend

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_error import refuse

BOOLEAN = ("true", "false")


@dataclass(frozen=True)
class Between:
    """A whole number from `low` to `high`, without an end if that is None; or `off`, if it can be."""

    low: int
    high: int | None = None
    can_be_off: bool = False

    def takes(self, value: str) -> bool:
        """Whether it may be `value`."""
        if value == "off":
            return self.can_be_off
        # Other scripts' digits are no numbers to AWS, and longer ones none to anybody.
        if not re.fullmatch(r"[0-9]{1,9}", value):
            return False
        return self.low <= int(value) and (self.high is None or int(value) <= self.high)

    def __str__(self) -> str:
        """As AWS names it."""
        numbers = f"between '{self.low}-{self.high}' inclusive" if self.high is not None else f"'{self.low}' or more"
        return f"{numbers}, or 'off'" if self.can_be_off else numbers


Values = tuple[str, ...] | Between | None
"""What an attribute may be: one of some words, a number, or any text."""

# Elastic Load Balancing API Reference, LoadBalancerAttribute.
LOAD_BALANCER_ATTRIBUTES: dict[str, Values] = {
    "access_logs.s3.bucket": None,
    "access_logs.s3.enabled": BOOLEAN,
    "access_logs.s3.prefix": None,
    "client_keep_alive.seconds": Between(60, 604800),
    "connection_logs.s3.bucket": None,
    "connection_logs.s3.enabled": BOOLEAN,
    "connection_logs.s3.prefix": None,
    "deletion_protection.enabled": BOOLEAN,
    "health_check_logs.s3.bucket": None,
    "health_check_logs.s3.enabled": BOOLEAN,
    "health_check_logs.s3.prefix": None,
    "idle_timeout.timeout_seconds": Between(1, 4000),
    "ipv6.deny_all_igw_traffic": BOOLEAN,
    # Always on for application load balancers.
    "load_balancing.cross_zone.enabled": ("true",),
    "routing.http.desync_mitigation_mode": ("monitor", "defensive", "strictest"),
    "routing.http.drop_invalid_header_fields.enabled": BOOLEAN,
    "routing.http.preserve_host_header.enabled": BOOLEAN,
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": BOOLEAN,
    "routing.http.xff_client_port.enabled": BOOLEAN,
    "routing.http.xff_header_processing.mode": ("append", "preserve", "remove"),
    "routing.http2.enabled": BOOLEAN,
    "waf.fail_open.enabled": BOOLEAN,
    "zonal_shift.config.enabled": BOOLEAN,
}
LOAD_BALANCER_DEFAULTS = {
    "access_logs.s3.bucket": "",
    "access_logs.s3.enabled": "false",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "health_check_logs.s3.bucket": "",
    "health_check_logs.s3.enabled": "false",
    "health_check_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}

# Elastic Load Balancing API Reference, TargetGroupAttribute, those of instance and ip targets of an HTTP group.
TARGET_GROUP_ATTRIBUTES: dict[str, Values] = {
    "deregistration_delay.timeout_seconds": Between(0, 3600),
    "load_balancing.algorithm.anomaly_mitigation": ("on", "off"),
    "load_balancing.algorithm.type": ("round_robin", "least_outstanding_requests", "weighted_random"),
    "load_balancing.cross_zone.enabled": ("true", "false", "use_load_balancer_configuration"),
    "slow_start.duration_seconds": Between(0, 900),
    "stickiness.app_cookie.cookie_name": None,
    "stickiness.app_cookie.duration_seconds": Between(1, 604800),
    "stickiness.enabled": BOOLEAN,
    "stickiness.lb_cookie.duration_seconds": Between(1, 604800),
    "stickiness.type": ("lb_cookie", "app_cookie"),
    "target_group_health.dns_failover.minimum_healthy_targets.count": Between(1, can_be_off=True),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": Between(1, 100, can_be_off=True),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": Between(1),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": Between(1, 100, can_be_off=True),
}
TARGET_GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
_THRESHOLDS = ("target_group_health.dns_failover", "target_group_health.unhealthy_state_routing")


def _check(kind: str, attributes: dict[str, str], rules: dict[str, Values]) -> None:
    for key, value in attributes.items():
        if key not in rules:
            refuse("ValidationError", f"{kind} attribute key '{key}' is not recognized")
        rule = rules[key]
        if isinstance(rule, Between):
            if not rule.takes(value):
                refuse("ValidationError", f"'{key}' value '{value}' must be {rule}")
        elif rule is not None and value not in rule:
            refuse("ValidationError", f"'{key}' value '{value}' must be one of [{', '.join(rule)}]")


def _modify_load_balancer_attributes(_original: Any, backend: Any, arn: str, attrs: dict[str, str]) -> dict[str, str]:
    if arn not in backend.load_balancers:
        refuse("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    balancer = backend.load_balancers[arn]
    _check("Load balancer", attrs, LOAD_BALANCER_ATTRIBUTES)
    changed = {**balancer.attrs, **attrs}
    for log in ("access_logs", "connection_logs", "health_check_logs"):
        if changed[f"{log}.s3.enabled"] == "true" and not changed[f"{log}.s3.bucket"]:
            refuse("InvalidConfigurationRequest", f"{log}.s3.bucket must be set when {log}.s3.enabled is true")
    balancer.attrs = changed
    return changed


def _check_thresholds(attributes: dict[str, str]) -> None:
    """User Guide for Application Load Balancers, "Target group health", Requirements and considerations."""
    for unit in ("count", "percentage"):
        failover, routing = (attributes[f"{each}.minimum_healthy_targets.{unit}"] for each in _THRESHOLDS)
        if "off" not in (failover, routing) and int(failover) < int(routing):
            refuse(
                "ValidationError",
                "The threshold for DNS failover must be greater than or equal to the threshold for routing failover: "
                f"the {unit} is '{failover}' for the one and '{routing}' for the other",
            )


def _modify_target_group_attributes(_original: Any, backend: Any, target_group_arn: str, attributes: Any) -> None:
    group = backend.target_groups.get(target_group_arn)
    if group is None:
        refuse("TargetGroupNotFound", f"One or more target groups not found: '{target_group_arn}'")
    _check("Target group", attributes, TARGET_GROUP_ATTRIBUTES)
    slow_start = attributes.get("slow_start.duration_seconds", "0")
    if 0 < int(slow_start) < 30:
        refuse("ValidationError", f"'slow_start.duration_seconds' value '{slow_start}' must be 0 or '30-900' inclusive")
    changed = {**group.attributes, **attributes}
    if changed["stickiness.type"] == "app_cookie" and not changed["stickiness.app_cookie.cookie_name"]:
        refuse(
            "InvalidConfigurationRequest",
            "You must set an application cookie name to enable stickiness of type 'app_cookie'",
        )
    _check_thresholds(changed)
    group.attributes = changed


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-load-balancer-attributes",
        why=(
            "moto checks the keys of attributes only and lists few of the defaults. AWS checks values and gives every "
            "attribute (Elastic Load Balancing API Reference, LoadBalancerAttribute)."
        ),
        apply=lambda: wrap(ELBv2Backend, "modify_load_balancer_attributes", _modify_load_balancer_attributes),
    ),
    Change(
        name="elbv2-target-group-attributes",
        why=(
            "moto takes any value of a target group's attributes. AWS: Elastic Load Balancing API Reference, "
            "TargetGroupAttribute; User Guide for Application Load Balancers, 'Target group health'."
        ),
        apply=lambda: wrap(ELBv2Backend, "modify_target_group_attributes", _modify_target_group_attributes),
    ),
)
