"""What EC2 Auto Scaling refuses of an instance refresh, and what its preferences are if they aren't given.

API Reference, RefreshPreferences, StartInstanceRefresh; EC2 Auto Scaling User Guide, "Understand the default values for
an instance refresh".
"""

from typing import Any, Final

from moto.cloudwatch.models import cloudwatch_backends

from sandbox.api import ec2_launch
from sandbox.api.autoscaling_error import invalid, unsupported
from sandbox.api.autoscaling_members import specification_of
from sandbox.api.instance_refresh_steps import Bounds, bounds

DEFAULT_MIN_HEALTHY: Final = 90
DEFAULT_CHECKPOINT_DELAY: Final = 3_600
DELAY_MAX: Final = 172_800
ALARMS_MAX: Final = 10
UNPINNED: Final = ("$Latest", "$Default")
SSM: Final = "resolve:ssm:"

_SCALE_IN_PROTECTED: Final = ("Refresh", "Ignore", "Wait")
_STANDBY: Final = ("Terminate", "Ignore", "Wait")
_RANGES: Final[dict[str, tuple[int, int | None]]] = {
    "MinHealthyPercentage": (0, 100),
    "MaxHealthyPercentage": (100, 200),
    "InstanceWarmup": (0, None),
    "CheckpointDelay": (0, DELAY_MAX),
    "BakeTime": (0, DELAY_MAX),
}
_KNOWN: Final = {
    *_RANGES,
    "AlarmSpecification",
    "AutoRollback",
    "CheckpointPercentages",
    "ScaleInProtectedInstances",
    "SkipMatching",
    "StandbyInstances",
}


def check_preferences(group: Any, preferences: dict[str, Any]) -> None:
    """Refuse preferences that AWS refuses, whatever is rolled to."""
    if unknown := sorted(set(preferences) - _KNOWN):
        unsupported(f"the preferences {', '.join(unknown)} of instance refreshes")
    for name, (low, high) in _RANGES.items():
        _check_between(preferences, name, low, high)
    _check_one_of(preferences, "ScaleInProtectedInstances", _SCALE_IN_PROTECTED)
    _check_one_of(preferences, "StandbyInstances", _STANDBY)
    _check_healthy(preferences.get("MinHealthyPercentage"), preferences.get("MaxHealthyPercentage"))
    percentages = checkpoints_of(preferences)
    if list(percentages) != sorted(set(percentages)) or any(not 1 <= each <= 100 for each in percentages):
        invalid(f"CheckpointPercentages must be unique, ascending and from 1 to 100, and are {list(percentages)}")
    if preferences.get("CheckpointDelay") is not None and not percentages:
        invalid("If you specify CheckpointDelay, you must also specify CheckpointPercentages")
    _check_alarms(group, preferences)


def _check_between(preferences: dict[str, Any], name: str, low: int, high: int | None) -> None:
    value = preferences.get(name)
    if value is not None and not (low <= int(value) and (high is None or int(value) <= high)):
        invalid(f"{name} must be {low} or more{'' if high is None else f', and at most {high}'}, and is {value}")


def _check_healthy(low: int | None, high: int | None) -> None:
    if high is None:
        return
    if low is None:
        invalid("If you specify MaxHealthyPercentage, you must also specify MinHealthyPercentage")
    if int(high) - int(low) > 100:
        invalid(
            "The difference between MinHealthyPercentage and MaxHealthyPercentage must not be greater than 100, and "
            f"they are {low} and {high}"
        )


def _check_one_of(preferences: dict[str, Any], name: str, values: tuple[str, ...]) -> None:
    if preferences.get(name) is not None and preferences[name] not in values:
        invalid(f"{name} must be one of {', '.join(values)}, and is {preferences[name]}")


def _check_alarms(group: Any, preferences: dict[str, Any]) -> None:
    names = alarms_of(preferences)
    if len(names) > ALARMS_MAX:
        invalid(f"At most {ALARMS_MAX} alarms can be specified, and there are {len(names)}")
    if missing := [name for name in names if name not in _alarms_in_region(group)]:
        invalid(f"The following alarms don't exist in the region: {', '.join(missing)}")


def check_auto_rollback(group: Any, desired: dict[str, Any] | None) -> None:
    """Refuse automatic rollback where AWS can't roll back (RefreshPreferences, AutoRollback), or isn't known to."""
    if desired is None:
        invalid("AutoRollback can't be used without a desired configuration")
    version = desired["LaunchTemplate"].get("Version") or "$Default"
    # AWS's documentation forbids these to the group only, and doesn't say what it does with them here.
    if version in UNPINNED:
        unsupported(f"AutoRollback with the launch template version {version} as the desired configuration")
    if obstacle := obstacle_to_rollback(group):
        invalid(f"AutoRollback can't be used: {obstacle}")


def obstacle_to_rollback(group: Any) -> str | None:
    """Why AWS couldn't return to what the group has; None if it could (RollbackInstanceRefresh)."""
    if group.launch_template_version in UNPINNED:
        return f"the group uses the launch template version {group.launch_template_version}"
    version = ec2_launch.template_version(group.ec2_backend, specification_of(group))
    if str(version.data.get("ImageId", "")).startswith(SSM):
        return "the group's launch template uses a Systems Manager parameter instead of an AMI ID"
    return None


def checkpoints_of(preferences: dict[str, Any]) -> tuple[int, ...]:
    """The checkpoints, in percent."""
    return tuple(int(each) for each in preferences.get("CheckpointPercentages") or ())


def checkpoint_delay_of(preferences: dict[str, Any]) -> int:
    """How long to wait at a checkpoint. Seconds."""
    delay = preferences.get("CheckpointDelay")
    return DEFAULT_CHECKPOINT_DELAY if delay is None else int(delay)


def alarms_of(preferences: dict[str, Any]) -> list[str]:
    """The names of the alarms that fail the refresh."""
    return list((preferences.get("AlarmSpecification") or {}).get("Alarms") or [])


def ringing(group: Any, preferences: dict[str, Any]) -> str | None:
    """The first of its alarms that is in state ALARM; None if none is."""
    alarms = _alarms_in_region(group)
    names = alarms_of(preferences)
    return next((name for name in names if name in alarms and alarms[name].state_value == "ALARM"), None)


def _alarms_in_region(group: Any) -> dict[str, Any]:
    backend = group.autoscaling_backend
    alarms: dict[str, Any] = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    return alarms


def bounds_of(group: Any, preferences: dict[str, Any]) -> Bounds:
    """The bounds of a group under refresh: from the preferences, its maintenance policy, or AWS's defaults."""
    low, high = preferences.get("MinHealthyPercentage"), preferences.get("MaxHealthyPercentage")
    policy = group.__dict__.get("instance_maintenance_policy") or {}
    # -1 takes a policy away (API Reference, InstanceMaintenancePolicy).
    if int(policy.get("MinHealthyPercentage", -1)) >= 0:
        low = policy["MinHealthyPercentage"] if low is None else low
        high = policy["MaxHealthyPercentage"] if high is None else high
    return bounds(
        group.desired_capacity,
        DEFAULT_MIN_HEALTHY if low is None else int(low),
        None if high is None else int(high),
    )


def warm_up_of(group: Any, preferences: dict[str, Any]) -> int:
    """Seconds from when an instance is in service to when it counts as initialized."""
    for value in (preferences.get("InstanceWarmup"), group.__dict__.get("default_instance_warmup")):
        # -1 takes the group's away (API Reference, UpdateAutoScalingGroup, DefaultInstanceWarmup).
        if value is not None and int(value) >= 0:
            return int(value)
    return int(group.health_check_grace_period)
