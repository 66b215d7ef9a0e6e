"""Actions of listeners and rules as strict as AWS, and which target groups they forward to."""

from collections.abc import Sequence
from typing import Any

from moto.elbv2.models import ELBv2Backend

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_error import refuse

# Elastic Load Balancing API Reference, TargetGroupTuple; User Guide for Application Load Balancers, "Quotas".
WEIGHT_MAX = 999
GROUPS_MAX = 5
# API Reference, RedirectActionConfig: what each part of the URL is if it isn't given.
_KEPT = {"Protocol": "#{protocol}", "Host": "#{host}", "Port": "#{port}", "Path": "/#{path}"}


def check_actions(backend: Any, balancer: Any, actions: Sequence[dict[str, Any]]) -> None:
    """Refuse what a listener or rule of `balancer` can't do; an empty sequence is no change."""
    for action in actions:
        _check_groups(backend, balancer, action)
        _check_weights(action)
        if action["Type"] == "redirect":
            _check_redirect(action.get("RedirectConfig", {}))
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


def _check_redirect(config: dict[str, Any]) -> None:
    if all(config.get(part, kept) == kept for part, kept in _KEPT.items()):
        refuse("InvalidLoadBalancerAction", "The redirect configuration is not valid because it creates a loop.")


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
