"""Instance refreshes: a group's instances replaced by ones of another template version, in AWS's order.

EC2 Auto Scaling User Guide, "How an instance refresh works", "Understand the default values", "Add checkpoints", "Undo
changes with a rollback"; API Reference, StartInstanceRefresh, RefreshPreferences. The group's own template changes only
when a refresh with a desired configuration has succeeded.

AWS doesn't say from which version a group launches that has to replace or add an instance meanwhile; here it is the
one that is rolled to. Nor does it say when a refresh fails for instances that don't get healthy; the user guide's
troubleshooting speaks of an hour without progress.
"""

import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from sandbox import clock
from sandbox.api import ec2_launch
from sandbox.api.autoscaling_activities import at
from sandbox.api.autoscaling_checks import check_template
from sandbox.api.autoscaling_error import invalid, refuse, unsupported
from sandbox.api.autoscaling_members import (
    group_named,
    is_ready,
    launch,
    may_launch,
    settle,
    specification_of,
    subnets_of,
    suspended,
    terminate,
)
from sandbox.api.change import Change
from sandbox.api.workers import Worker

TURN_SECONDS: Final = 0.1
# "Troubleshoot an instance refresh". AWS's seconds.
NO_PROGRESS_SECONDS: Final = 3_600.0
DEFAULT_MIN_HEALTHY: Final = 90
DEFAULT_CHECKPOINT_DELAY: Final = 3_600
DELAY_MAX: Final = 172_800
ALARMS_MAX: Final = 10
UNPINNED: Final = ("$Latest", "$Default")

PENDING, IN_PROGRESS, BAKING, SUCCESSFUL = "Pending", "InProgress", "Baking", "Successful"
FAILED, CANCELLING, CANCELLED = "Failed", "Cancelling", "Cancelled"
GOING_BACK, BACK, NOT_BACK = "RollbackInProgress", "RollbackSuccessful", "RollbackFailed"
ACTIVE: Final = (PENDING, IN_PROGRESS, BAKING, CANCELLING, GOING_BACK)

_PREFERENCES: Final = {
    "AlarmSpecification",
    "AutoRollback",
    "BakeTime",
    "CheckpointDelay",
    "CheckpointPercentages",
    "InstanceWarmup",
    "MaxHealthyPercentage",
    "MinHealthyPercentage",
    "ScaleInProtectedInstances",
    "SkipMatching",
    "StandbyInstances",
}


@dataclass
class Refresh:
    """One refresh of one group. `old` and `new` are launch template specifications with the version's number."""

    id: str
    group: str
    old: dict[str, str]
    new: dict[str, str]
    desired: dict[str, Any] | None
    preferences: dict[str, Any]
    started: datetime
    to_update: int
    status: str = PENDING
    reason: str = ""
    ended: datetime | None = None
    percentage: int = 0
    left: int = 0
    checkpoint: int = 0
    waiting_since: datetime | None = None
    moved: datetime = field(default_factory=utcnow)
    rollback: dict[str, Any] | None = None

    @property
    def target(self) -> dict[str, str]:
        """The version that instances are replaced by."""
        return self.old if self.status == GOING_BACK else self.new

    @property
    def active(self) -> bool:
        """Whether it still moves."""
        return self.status in ACTIVE

    def preference(self, name: str, default: int) -> int:
        """A preference that is a number."""
        value = self.preferences.get(name)
        return default if value is None else int(value)


def refreshes_of(group: Any) -> list[Refresh]:
    """Every refresh of a group, oldest first."""
    found: list[Refresh] = group.__dict__.setdefault("instance_refreshes", [])
    return found


def active_of(group: Any) -> Refresh | None:
    """The refresh of a group that moves; None if none does."""
    return next((refresh for refresh in refreshes_of(group) if refresh.active), None)


# --- requests


def _start(responses: Any) -> ActionResult:
    backend, params = responses.autoscaling_backend, responses._get_params()
    group = group_named(backend, params["AutoScalingGroupName"])
    if params.get("Strategy", "Rolling") != "Rolling":
        unsupported(f"the strategy {params['Strategy']} of instance refreshes")
    preferences = params.get("Preferences") or {}
    desired = params.get("DesiredConfiguration")
    new = _wanted(backend, group, desired)
    _check_preferences(backend, group, preferences, desired, new)
    if active_of(group) is not None:
        refuse(
            "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this."
        )
    refresh = Refresh(
        id=str(uuid.uuid4()),
        group=group.name,
        old=_numbered(group, specification_of(group)),
        new=new,
        desired=desired,
        preferences=preferences,
        started=utcnow(),
        to_update=len(_outdated(group, new, preferences, utcnow())),
    )
    refresh.left = refresh.to_update
    refreshes_of(group).append(refresh)
    worker.wake()
    return ActionResult({"InstanceRefreshId": refresh.id})


def _wanted(backend: Any, group: Any, desired: dict[str, Any] | None) -> dict[str, str]:
    if desired is None:
        return _numbered(group, specification_of(group))
    if desired.get("MixedInstancesPolicy"):
        unsupported("MixedInstancesPolicy in the desired configuration of an instance refresh")
    specification = desired.get("LaunchTemplate")
    if not specification:
        invalid("The desired configuration must have a launch template or a mixed instances policy.")
    check_template(backend, specification, subnets_of(group))
    return _numbered(group, specification)


def _numbered(group: Any, specification: dict[str, Any]) -> dict[str, str]:
    version = ec2_launch.template_version(group.ec2_backend, specification)
    return {"LaunchTemplateId": version.template.id, "Version": str(version.number)}


def _check_preferences(
    backend: Any, group: Any, preferences: dict[str, Any], desired: dict[str, Any] | None, new: dict[str, str]
) -> None:
    if unknown := sorted(set(preferences) - _PREFERENCES):
        invalid(f"Unknown preferences: {', '.join(unknown)}")
    for name in ("ScaleInProtectedInstances", "StandbyInstances"):
        if preferences.get(name, "Ignore") not in ("Ignore", "Wait"):
            unsupported(f"{name} {preferences[name]} of instance refreshes")
    _check_between(preferences, "MinHealthyPercentage", 0, 100)
    _check_between(preferences, "MaxHealthyPercentage", 100, 200)
    _check_between(preferences, "InstanceWarmup", 0, None)
    for name in ("CheckpointDelay", "BakeTime"):
        _check_between(preferences, name, 0, DELAY_MAX)
    low, high = preferences.get("MinHealthyPercentage"), preferences.get("MaxHealthyPercentage")
    if high is not None and low is None:
        invalid("MinHealthyPercentage must be specified if MaxHealthyPercentage is")
    if high is not None and low is not None and int(high) - int(low) > 100:
        invalid("The difference between MaxHealthyPercentage and MinHealthyPercentage can't be more than 100")
    percentages = [int(each) for each in preferences.get("CheckpointPercentages") or ()]
    if percentages != sorted(set(percentages)) or any(not 1 <= each <= 100 for each in percentages):
        invalid("CheckpointPercentages must be unique, in ascending order, from 1 to 100")
    if "CheckpointDelay" in preferences and not percentages:
        invalid("CheckpointDelay can't be specified without CheckpointPercentages")
    alarms = (preferences.get("AlarmSpecification") or {}).get("Alarms") or []
    if len(alarms) > ALARMS_MAX:
        invalid(f"At most {ALARMS_MAX} alarms can be specified")
    known = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    if missing := [name for name in alarms if name not in known]:
        invalid(f"The following alarms do not exist: {', '.join(missing)}")
    if preferences.get("AutoRollback"):
        _check_rollback(group, desired)


def _check_between(preferences: dict[str, Any], name: str, low: int, high: int | None) -> None:
    value = preferences.get(name)
    if value is not None and not (low <= int(value) and (high is None or int(value) <= high)):
        invalid(f"{name} must be {low} or more{'' if high is None else f', and at most {high}'}, and is {value}")


def _check_rollback(group: Any, desired: dict[str, Any] | None) -> None:
    if desired is None:
        invalid("AutoRollback requires a desired configuration")
    wanted = (desired or {}).get("LaunchTemplate", {}).get("Version", "$Default")
    if wanted in UNPINNED or group.launch_template_version in UNPINNED:
        invalid("AutoRollback can't be used with a launch template version of $Latest or $Default")


def _describe(responses: Any) -> ActionResult:
    group = group_named(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    wanted = responses._get_param("InstanceRefreshIds", [])
    found = [each for each in reversed(refreshes_of(group)) if not wanted or each.id in wanted]
    start = int(responses._get_param("NextToken") or 0)
    end = start + (responses._get_int_param("MaxRecords") or 50)
    return ActionResult(
        {
            "InstanceRefreshes": [_described(each) for each in found[start:end]],
            "NextToken": str(end) if end < len(found) else None,
        }
    )


def _described(refresh: Refresh) -> dict[str, Any]:
    described: dict[str, Any] = {
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": refresh.group,
        "Status": refresh.status,
        "StatusReason": refresh.reason or None,
        "StartTime": refresh.started,
        "EndTime": refresh.ended,
        "PercentageComplete": refresh.percentage,
        "InstancesToUpdate": refresh.left,
        "Preferences": refresh.preferences,
        "Strategy": "Rolling",
    }
    if refresh.desired is not None:
        described["DesiredConfiguration"] = refresh.desired
    if refresh.rollback is not None:
        described["RollbackDetails"] = refresh.rollback
    return described


def _active(responses: Any) -> tuple[Any, Refresh]:
    group = group_named(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    refresh = active_of(group)
    if refresh is None:
        refuse("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for this group.")
    return group, refresh


def _cancel(responses: Any) -> ActionResult:
    group, refresh = _active(responses)
    refresh.status, refresh.reason = CANCELLING, "Cancelled by user request."
    group.__dict__.pop("refreshing_to", None)
    worker.wake()
    return ActionResult({"InstanceRefreshId": refresh.id})


def _roll_back_request(responses: Any) -> ActionResult:
    group, refresh = _active(responses)
    if refresh.desired is None or refresh.status in (CANCELLING, GOING_BACK):
        refuse("IrreversibleInstanceRefresh", "This Instance Refresh can't be rolled back.")
    if group.launch_template_version in UNPINNED:
        refuse("IrreversibleInstanceRefresh", "The group's launch template version is $Latest or $Default.")
    _roll_back(group, refresh, "Rollback by user request.")
    worker.wake()
    return ActionResult({"InstanceRefreshId": refresh.id})


# --- what becomes of a refresh


def turn() -> None:
    """Move every refresh on by what is due."""
    for group in list(_groups()):
        refresh = active_of(group)
        if refresh is not None and not suspended(group, "InstanceRefresh"):
            _move(group, refresh)


def _groups() -> Iterator[Any]:
    for account in list(autoscaling_backends.values()):
        for backend in list(account.values()):
            yield from list(backend.autoscaling_groups.values())


def _move(group: Any, refresh: Refresh) -> None:
    if refresh.status == PENDING:
        refresh.status, refresh.moved = IN_PROGRESS, utcnow()
    if refresh.status == CANCELLING:
        _end(group, refresh, CANCELLED, refresh.reason)
        return
    if refresh.status != GOING_BACK and (alarm := _alarm(group, refresh)):
        _fail(group, refresh, f"Alarm {alarm} is in the ALARM state.")
        return
    group.refreshing_to = refresh.target
    before = (len(_outdated_of(group, refresh)), _count_ready(group, refresh))
    if refresh.status == BAKING:
        _bake(group, refresh)
        return
    if _wait_at_checkpoint(group, refresh):
        return
    _replace(group, refresh)
    if (len(_outdated_of(group, refresh)), _count_ready(group, refresh)) != before:
        refresh.moved = utcnow()
    _report(group, refresh)
    if _is_replaced(group, refresh):
        _complete(group, refresh)
    elif _seconds_since(refresh.moved) > NO_PROGRESS_SECONDS:
        _fail(group, refresh, "The Instance Refresh has made no progress for an hour: instances don't become healthy.")


def _outdated(group: Any, target: dict[str, str], preferences: dict[str, Any], started: datetime) -> list[Any]:
    """The members that are to be replaced: all that were there before, or only those that differ."""
    members = group.active_instances()
    differing = [each for each in members if _of(each) != target]
    if preferences.get("SkipMatching"):
        return differing
    return [each for each in members if each in differing or each.launched < started]


def _outdated_of(group: Any, refresh: Refresh) -> list[Any]:
    if refresh.status == GOING_BACK:
        return [each for each in group.active_instances() if _of(each) != refresh.target]
    return _outdated(group, refresh.target, refresh.preferences, refresh.started)


def _of(member: Any) -> dict[str, str]:
    return {name: member.template[name] for name in ("LaunchTemplateId", "Version")}


def _fresh(group: Any, refresh: Refresh) -> list[Any]:
    outdated = _outdated_of(group, refresh)
    return [each for each in group.active_instances() if each not in outdated]


def _is_warm(group: Any, refresh: Refresh, member: Any) -> bool:
    default = group.__dict__.get("default_instance_warmup")
    fallback = int(group.health_check_grace_period) if default is None else int(default)
    return bool(member.age >= refresh.preference("InstanceWarmup", fallback))


def _count_ready(group: Any, refresh: Refresh) -> int:
    return sum(is_ready(group, each) and _is_warm(group, refresh, each) for each in _fresh(group, refresh))


def _limit(refresh: Refresh) -> int:
    """How many instances may have been replaced by now: up to the next checkpoint."""
    percentages = refresh.preferences.get("CheckpointPercentages") or []
    if refresh.status == GOING_BACK or refresh.checkpoint >= len(percentages):
        return refresh.to_update
    return math.ceil(refresh.to_update * int(percentages[refresh.checkpoint]) / 100)


def _replaced(group: Any, refresh: Refresh) -> int:
    return max(0, refresh.to_update - len(_outdated_of(group, refresh)))


def _replace(group: Any, refresh: Refresh) -> None:
    desired = group.desired_capacity
    outdated, fresh = _outdated_of(group, refresh), _fresh(group, refresh)
    most = math.floor(desired * refresh.preference("MaxHealthyPercentage", 100) / 100)
    least = math.ceil(desired * refresh.preference("MinHealthyPercentage", DEFAULT_MIN_HEALTHY) / 100)
    ready_fresh = [each for each in fresh if is_ready(group, each) and _is_warm(group, refresh, each)]
    ready = len(ready_fresh) + sum(is_ready(group, each) for each in outdated)
    allowed = _limit(refresh) - _replaced(group, refresh)
    cause = f"At {at(utcnow())} an instance was replaced in response to an instance refresh."
    # What turned unhealthy is no loss: it goes first.
    spare = max(0, len(group.active_instances()) - max(desired, least) if most > desired else ready - least)
    for member in sorted(outdated, key=lambda each: is_ready(group, each))[: max(0, allowed)]:
        if suspended(group, "Terminate"):
            break
        sound = is_ready(group, member)
        if sound and (spare <= 0 or ready - 1 < least):
            break
        terminate(group, member, cause)
        spare, ready, allowed = spare - 1, ready - int(sound), allowed - 1
    room = most - len(group.active_instances())
    pending = len(_fresh(group, refresh)) - len(ready_fresh)
    wanted = min(room, max(0, allowed - pending)) if most > desired else desired - len(group.active_instances())
    for _ in range(max(0, wanted)):
        if not may_launch(group) or launch(group, cause, refresh.target) is None:
            return
    _end_surplus(group, refresh, cause)


def _end_surplus(group: Any, refresh: Refresh, cause: str) -> None:
    """When nothing is left to replace, what was launched too much goes."""
    while not _outdated_of(group, refresh) and len(group.active_instances()) > group.desired_capacity:
        terminate(group, group.active_instances()[-1], cause)


def _is_replaced(group: Any, refresh: Refresh) -> bool:
    """Nothing outdated is left, not even on its way out, and everything that is wanted is ready."""
    return (
        not _outdated_of(group, refresh)
        and len(group.instance_states) == len(group.active_instances()) == group.desired_capacity
        and _count_ready(group, refresh) == group.desired_capacity
    )


def _wait_at_checkpoint(group: Any, refresh: Refresh) -> bool:
    """Whether the refresh stands at a checkpoint; past the delay it goes on."""
    percentages = refresh.preferences.get("CheckpointPercentages") or []
    if refresh.status == GOING_BACK or refresh.checkpoint >= len(percentages) or refresh.to_update == 0:
        return False
    limit = _limit(refresh)
    reached = _replaced(group, refresh) >= limit and _count_ready(group, refresh) >= limit
    last = refresh.checkpoint == len(percentages) - 1
    if not reached or (last and int(percentages[-1]) == 100):
        return False
    if refresh.waiting_since is None:
        refresh.waiting_since = utcnow()
        _report(group, refresh)
        refresh.reason = f"Waiting for checkpoint delay after {percentages[refresh.checkpoint]} % were replaced."
    if _seconds_since(refresh.waiting_since) < refresh.preference("CheckpointDelay", DEFAULT_CHECKPOINT_DELAY):
        refresh.moved = utcnow()
        return True
    refresh.waiting_since, refresh.reason = None, ""
    refresh.checkpoint += 1
    if last:
        _complete(group, refresh)
        return True
    return False


def _report(group: Any, refresh: Refresh) -> None:
    refresh.left = len(_outdated_of(group, refresh))
    done = min(_replaced(group, refresh), _count_ready(group, refresh))
    percentage = 100 if refresh.to_update == 0 else math.floor(100 * done / refresh.to_update)
    if refresh.status == GOING_BACK:
        assert refresh.rollback is not None
        refresh.rollback["InstancesToUpdateOnRollback"] = refresh.left
    else:
        refresh.percentage = max(refresh.percentage, min(percentage, 100))


def _complete(group: Any, refresh: Refresh) -> None:
    if refresh.status == GOING_BACK:
        _end(group, refresh, BACK, refresh.reason)
        return
    refresh.percentage, refresh.left = 100 if not refresh.left else refresh.percentage, refresh.left
    if refresh.preference("BakeTime", 0) > 0:
        refresh.status, refresh.waiting_since = BAKING, utcnow()
        return
    _succeed(group, refresh)


def _bake(group: Any, refresh: Refresh) -> None:
    assert refresh.waiting_since is not None
    if _seconds_since(refresh.waiting_since) >= refresh.preference("BakeTime", 0):
        _succeed(group, refresh)


def _succeed(group: Any, refresh: Refresh) -> None:
    if refresh.desired is not None:
        # moto keeps what was asked for beside what it works with.
        version = refresh.desired["LaunchTemplate"].get("Version", "$Default")
        group.launch_template_version = group.provided_launch_template_version = version
        group.ec2_launch_template = group.ec2_backend.get_launch_template(refresh.new["LaunchTemplateId"])
    _end(group, refresh, SUCCESSFUL, "")


def _end(group: Any, refresh: Refresh, status: str, reason: str) -> None:
    refresh.status, refresh.reason, refresh.ended = status, reason, utcnow()
    group.__dict__.pop("refreshing_to", None)
    settle(group)


def _fail(group: Any, refresh: Refresh, reason: str) -> None:
    if refresh.status == GOING_BACK:
        _end(group, refresh, NOT_BACK, reason)
    elif refresh.preferences.get("AutoRollback"):
        _roll_back(group, refresh, reason)
    else:
        _end(group, refresh, FAILED, reason)


def _roll_back(group: Any, refresh: Refresh, reason: str) -> None:
    refresh.rollback = {
        "RollbackReason": reason,
        "RollbackStartTime": utcnow(),
        "PercentageCompleteOnRollback": refresh.percentage,
        "InstancesToUpdateOnRollback": refresh.left,
    }
    refresh.status, refresh.reason, refresh.moved = GOING_BACK, reason, utcnow()
    group.refreshing_to = refresh.target
    refresh.to_update = max(1, len(_outdated_of(group, refresh)))
    # A capacity that was missing for the new version may be there for the old one.
    group.__dict__.pop("failed_launches", None)


def _alarm(group: Any, refresh: Refresh) -> str | None:
    """The first of the refresh's alarms that is in state ALARM."""
    names = (refresh.preferences.get("AlarmSpecification") or {}).get("Alarms") or []
    backend = group.autoscaling_backend
    alarms = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    return next((name for name in names if name in alarms and alarms[name].state_value == "ALARM"), None)


def _seconds_since(moment: datetime) -> float:
    return clock.simulated((utcnow() - moment).total_seconds())


worker = Worker("instance refreshes", TURN_SECONDS, turn)

_OPERATIONS: Final[dict[str, Callable[[Any], ActionResult]]] = {
    "start_instance_refresh": _start,
    "describe_instance_refreshes": _describe,
    "cancel_instance_refresh": _cancel,
    "rollback_instance_refresh": _roll_back_request,
}


def _apply() -> None:
    for operation, answer in _OPERATIONS.items():
        ec2_launch.add_operation(AutoScalingResponse, operation, answer)


CHANGES: tuple[Change, ...] = (
    Change(
        name="autoscaling-instance-refresh",
        why=(
            "moto lacks instance refreshes. AWS replaces a group's instances in steps, with checkpoints, alarms and "
            "rollback, and changes the group's template last (EC2 Auto Scaling User Guide, 'Instance refresh')."
        ),
        apply=_apply,
    ),
)
