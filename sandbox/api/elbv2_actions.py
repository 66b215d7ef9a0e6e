"""Actions of listeners and rules as strict as AWS, and which target groups they forward to."""

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from moto.elbv2.models import ELBv2Backend

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_error import refuse

# Elastic Load Balancing API Reference, TargetGroupTuple; User Guide for Application Load Balancers, "Quotas".
WEIGHT_MAX = 999
GROUPS_MAX = 5
# API Reference, RedirectActionConfig: what each part of the URL is if it isn't given.
_KEPT = {"Protocol": "#{protocol}", "Host": "#{host}", "Port": "#{port}", "Path": "/#{path}"}
_REDIRECTS = ("HTTP_301", "HTTP_302")
# There: how long its parts may be, what they look like, and which keywords a path may have.
_REDIRECT_LENGTHS = {"Host": (1, 128), "Path": (1, 128), "Query": (0, 128)}
_REDIRECT_PROTOCOL = re.compile(r"HTTPS?|#\{protocol\}")
_REDIRECT_PORT = re.compile(r"[0-9]{1,5}|#\{port\}")
_PATH_KEYWORDS = ("#{path}", "#{host}", "#{port}")
# API Reference, FixedResponseActionConfig. The other parts, moto knows.
MESSAGE_MAX = 1024


def check_actions(backend: Any, balancer: Any, protocol: str | None, actions: Sequence[dict[str, Any]]) -> None:
    """Refuse what a listener or rule of `balancer` can't do with requests of `protocol`; no actions are no change."""
    for action in actions:
        _check_groups(backend, balancer, action)
        _check_weights(action)
        if action["Type"] == "redirect":
            _check_redirect(action.get("RedirectConfig"), protocol)
        if len(action.get("FixedResponseConfig", {}).get("MessageBody") or "") > MESSAGE_MAX:
            _violated("fixedResponseConfig.messageBody", f"have length less than or equal to {MESSAGE_MAX}")
    # API Reference, CreateRule: "the list of actions includes exactly one of forward, fixed-response, redirect".
    if len(actions) > 1 and not any(action["Type"].startswith("authenticate-") for action in actions):
        refuse("InvalidLoadBalancerAction", "A rule can only have one action of type forward, redirect, fixed-response")


def _check_groups(backend: Any, balancer: Any, action: dict[str, Any]) -> None:
    for arn in backend._get_target_group_arns_from(action):
        group = backend.target_groups.get(arn)
        if group is None:
            refuse("TargetGroupNotFound", f"Target group '{arn}' not found")
        if group.vpc_id != balancer.vpc_id:
            refuse(
                "InvalidConfigurationRequest",
                f"The target group '{arn}' and the load balancer '{balancer.arn}' are not in the same VPC",
            )
        if any(used != balancer.arn for used in group.load_balancer_arns):
            refuse(
                "TargetGroupAssociationLimit",
                f"The following target groups cannot be associated with more than one load balancer: {arn}",
            )


def _check_weights(action: dict[str, Any]) -> None:
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    if len(groups) > GROUPS_MAX:
        refuse("TooManyTargetGroups", f"A forward action can have at most '{GROUPS_MAX}' target groups")
    for each in groups:
        weight = int(each.get("Weight", 1))
        if not 0 <= weight <= WEIGHT_MAX:
            refuse(
                "ValidationError", f"Target group weight '{weight}' must be between '0' and '{WEIGHT_MAX}' inclusive"
            )


def _check_redirect(config: dict[str, Any] | None, protocol: str | None) -> None:
    if not config:
        refuse(
            "InvalidLoadBalancerAction",
            "For actions of type 'redirect', you must specify the following fields: 'RedirectConfig'",
        )
    if config.get("StatusCode") not in _REDIRECTS:
        _violated("redirectConfig.statusCode", f"satisfy enum value set: [{', '.join(_REDIRECTS)}]")
    to = config.get("Protocol", _KEPT["Protocol"])
    if not _REDIRECT_PROTOCOL.fullmatch(to):
        _violated("redirectConfig.protocol", "satisfy regular expression pattern: ^(HTTPS?|#\\{protocol\\})$")
    for part, (low, high) in _REDIRECT_LENGTHS.items():
        if part in config and not low <= len(config[part]) <= high:
            _violated(f"redirectConfig.{part.lower()}", f"have length between {low} and {high}")
    _check_destination(config)
    if (protocol, to) == ("HTTPS", "HTTP"):
        refuse("InvalidLoadBalancerAction", "You cannot redirect from HTTPS to HTTP.")
    if all(config.get(part, kept) == kept for part, kept in _KEPT.items()):
        refuse("InvalidLoadBalancerAction", "The redirect configuration is not valid because it creates a loop.")


def _check_destination(config: dict[str, Any]) -> None:
    port, path = str(config.get("Port", _KEPT["Port"])), config.get("Path", _KEPT["Path"])
    if not _REDIRECT_PORT.fullmatch(port) or (port != _KEPT["Port"] and not 1 <= int(port) <= 65535):
        refuse(
            "InvalidLoadBalancerAction",
            f"The Port parameter must be a number from 1 to 65535, or '#{{port}}', and is '{port}'",
        )
    if not path.startswith("/") or any(path.count(keyword) > 1 for keyword in _PATH_KEYWORDS):
        refuse(
            "InvalidLoadBalancerAction",
            "The Path parameter must be a valid path, should start with a '/', and may contain up to one of each of "
            "these placeholders: '#{path}', '#{host}', '#{port}'.",
        )


def _violated(member: str, constraint: str) -> NoReturn:
    refuse(
        "ValidationError",
        f"1 validation error detected: Value at 'actions.1.member.{member}' failed to satisfy constraint: Member must "
        f"{constraint}",
    )


def forwards_to(backend: Any, balancer: Any) -> set[str]:
    """The ARNs of the target groups that `balancer` uses in any listener or rule."""
    return {
        arn
        for listener in balancer.listeners.values()
        for rule in listener.rules.values()
        for action in rule.actions
        for arn in backend._get_target_group_arns_from(action.data)
    }


def _associate(backend: Any) -> None:
    """Have each target group say which balancers use it."""
    used = {balancer.arn: forwards_to(backend, balancer) for balancer in backend.load_balancers.values()}
    for group in backend.target_groups.values():
        group.load_balancer_arns = [arn for arn, groups in used.items() if group.arn in groups]


def _associating(original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    result = original(backend, *args, **kwargs)
    _associate(backend)
    return result


_OPERATIONS = (
    "create_listener",
    "create_rule",
    "delete_listener",
    "delete_load_balancer",
    "delete_rule",
    "modify_listener",
    "modify_rule",
)


def _apply() -> None:
    for operation in _OPERATIONS:
        wrap(ELBv2Backend, operation, _associating)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-associations",
        why=(
            "moto adds a balancer to a target group's LoadBalancerArns for each rule, and never takes one away but "
            "with the balancer. On AWS the list follows the rules (Elastic Load Balancing API Reference, TargetGroup)."
        ),
        apply=_apply,
    ),
)
