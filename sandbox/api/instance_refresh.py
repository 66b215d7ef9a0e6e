"""Instance refreshes: a group's instances replaced by ones of another template version, in AWS's order.

The four requests are answered here, as EC2 Auto Scaling's API Reference has them: StartInstanceRefresh,
DescribeInstanceRefreshes, CancelInstanceRefresh, RollbackInstanceRefresh. `instance_refresh_moves` does the rest, turn
by turn.
"""

import uuid
from collections.abc import Callable
from typing import Any, Final

from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from sandbox.api import backends, ec2_launch
from sandbox.api.autoscaling_checks import check_template
from sandbox.api.autoscaling_error import invalid, refuse, unsupported
from sandbox.api.autoscaling_members import group_named, is_deleting, specification_of, subnets_of
from sandbox.api.change import Change, wrap
from sandbox.api.instance_refresh_moves import cancel, facts_of, move, roll_back
from sandbox.api.instance_refresh_preferences import check_auto_rollback, check_preferences, obstacle_to_rollback
from sandbox.api.instance_refresh_record import (
    CANCELLING,
    GOING_BACK,
    Refresh,
    active_of,
    numbered,
    refreshes_of,
    seconds_since,
)
from sandbox.api.workers import Worker, alone

TURN_SECONDS: Final = 0.1
# API Reference, DescribeInstanceRefreshes.
RECORDS_DEFAULT: Final = 50
RECORDS_MAX: Final = 100
REMEMBERED_SECONDS: Final = 6 * 7 * 86_400


def _start(responses: Any) -> ActionResult:
    backend, params = responses.autoscaling_backend, responses._get_params()
    group = group_named(backend, params["AutoScalingGroupName"])
    if (params.get("Strategy") or "Rolling") != "Rolling":
        unsupported(f"the strategy {params['Strategy']} of instance refreshes")
    preferences, desired = params.get("Preferences") or {}, params.get("DesiredConfiguration")
    new = _wanted(backend, group, desired)
    check_preferences(group, preferences)
    if preferences.get("AutoRollback"):
        check_auto_rollback(group, desired)
    if is_deleting(group):
        refuse("ResourceContention", f"The Auto Scaling group {group.name} is being deleted.")
    if active_of(group) is not None:
        refuse(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        )
    refresh = Refresh(
        id=str(uuid.uuid4()),
        group=group.name,
        old=numbered(group, specification_of(group)),
        new=new,
        desired=desired,
        preferences=preferences,
        wanted=group.desired_capacity,
    )
    refresh.left = facts_of(group, refresh).left
    refreshes_of(group).append(refresh)
    worker.wake()
    return ActionResult({"InstanceRefreshId": refresh.id})


def _wanted(backend: Any, group: Any, desired: dict[str, Any] | None) -> dict[str, str]:
    """What is rolled to; a template that can't be launched is refused now, as when a group is told to use it."""
    if desired is None:
        return numbered(group, specification_of(group))
    if desired.get("MixedInstancesPolicy"):
        unsupported("MixedInstancesPolicy in the desired configuration of an instance refresh")
    specification = desired.get("LaunchTemplate")
    if not specification:
        invalid("The desired configuration must have either a LaunchTemplate or a MixedInstancesPolicy.")
    check_template(backend, specification, subnets_of(group))
    return numbered(group, specification)


def _describe(responses: Any) -> ActionResult:
    group = group_named(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    wanted = responses._get_param("InstanceRefreshIds", [])
    count = responses._get_int_param("MaxRecords") or RECORDS_DEFAULT
    if not 1 <= count <= RECORDS_MAX:
        invalid(f"MaxRecords must be from 1 to {RECORDS_MAX}, and is {count}")
    token = responses._get_param("NextToken") or "0"
    if not token.isdecimal():
        refuse("InvalidNextToken", "The NextToken value is not valid.")
    found = [
        each
        for each in reversed(refreshes_of(group))
        if (not wanted or each.id in wanted) and seconds_since(each.started) < REMEMBERED_SECONDS
    ]
    start, end = int(token), int(token) + count
    return ActionResult(
        {
            "InstanceRefreshes": [each.described() for each in found[start:end]],
            "NextToken": str(end) if end < len(found) else None,
        }
    )


def _active(responses: Any, *but: str) -> tuple[Any, Refresh]:
    """The group and its active refresh, or AWS's refusal; one whose status is of `but` counts as ended."""
    group = group_named(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    refresh = active_of(group)
    if refresh is None or refresh.status in but:
        refuse(
            "ActiveInstanceRefreshNotFound",
            f"No in progress or pending Instance Refresh found for Auto Scaling group {group.name}",
        )
    return group, refresh


def _cancel(responses: Any) -> ActionResult:
    group, refresh = _active(responses, CANCELLING)
    cancel(group, refresh, wait=responses._get_bool_param("WaitForTransitioningInstances", True))
    worker.wake()
    return ActionResult({"InstanceRefreshId": refresh.id})


def _roll_back(responses: Any) -> ActionResult:
    group, refresh = _active(responses, CANCELLING, GOING_BACK)
    if refresh.desired is None:
        refuse("IrreversibleInstanceRefresh", "The instance refresh has no desired configuration to roll back from.")
    if obstacle := obstacle_to_rollback(group):
        refuse("IrreversibleInstanceRefresh", f"The instance refresh can't be rolled back: {obstacle}.")
    roll_back(group, refresh, "Rolled back by a user request.")
    worker.wake()
    return ActionResult({"InstanceRefreshId": refresh.id})


def _update_group(original: Any, responses: Any) -> Any:
    params = responses._get_params()
    group = responses.autoscaling_backend.autoscaling_groups.get(params["AutoScalingGroupName"])
    refresh = None if group is None else active_of(group)
    if refresh is not None and refresh.desired is not None and params.get("LaunchTemplate"):
        invalid(
            "An active instance refresh with a desired configuration exists. All configuration options derived from "
            "the desired configuration are not available for update while the instance refresh is active."
        )
    return original(responses)


def turn() -> None:
    """Move every refresh on by what is due."""
    for backend in backends.alive(autoscaling_backends):
        for group in list(backend.autoscaling_groups.values()):
            with alone(f"instance refresh of {group.arn}"):
                refresh = active_of(group)
                if refresh is not None:
                    move(group, refresh)


worker = Worker("instance refreshes", TURN_SECONDS, turn)

_OPERATIONS: Final[dict[str, Callable[[Any], ActionResult]]] = {
    "start_instance_refresh": _start,
    "describe_instance_refreshes": _describe,
    "cancel_instance_refresh": _cancel,
    "rollback_instance_refresh": _roll_back,
}


def _apply() -> None:
    for operation, answer in _OPERATIONS.items():
        ec2_launch.add_operation(AutoScalingResponse, operation, answer)


CHANGES: tuple[Change, ...] = (
    Change(
        name="autoscaling-instance-refresh",
        why=(
            "moto lacks instance refreshes. AWS replaces a group's instances in steps, with checkpoints, alarms and "
            "rollback, and changes the group's template last (EC2 Auto Scaling User Guide, 'Use an instance refresh to "
            "update instances in an Auto Scaling group')."
        ),
        apply=_apply,
    ),
    Change(
        name="autoscaling-template-under-refresh",
        why=(
            "moto takes a new launch template for a group at any time. AWS refuses one while an instance refresh with "
            "a desired configuration is active (EC2 Auto Scaling User Guide, 'How an instance refresh works', "
            "Limitations)."
        ),
        apply=lambda: wrap(AutoScalingResponse, "update_auto_scaling_group", _update_group),
    ),
)
