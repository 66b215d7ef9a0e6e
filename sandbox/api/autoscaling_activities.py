"""What happened in Auto Scaling groups: each launch and termination, with its cause and its result."""

import json
import uuid
from datetime import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from sandbox.api.autoscaling_error import invalid


def activities(backend: Any) -> list[dict[str, Any]]:
    """What happened in a region's groups, oldest first; deleted groups included."""
    happened: list[dict[str, Any]] = backend.__dict__.setdefault("activities", [])
    return happened


def at(time: datetime) -> str:
    """A time as causes have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def record(
    group: Any, description: str, cause: str, zone: str, subnet: str, failure: str | None = None
) -> dict[str, Any]:
    """Note what is happening to one instance; returns the activity, which may go on."""
    now = utcnow()
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": description,
        "Cause": cause,
        "StartTime": now,
        "EndTime": now,
        "StatusCode": "Failed" if failure else "Successful",
        "StatusMessage": failure,
        "Progress": 100,
        "Details": json.dumps({"Subnet ID": subnet, "Availability Zone": zone}),
    }
    activities(group.autoscaling_backend).append(activity)
    return activity


def describe(_original: Any, responses: Any) -> ActionResult:
    """Answer DescribeScalingActivities."""
    backend = responses.autoscaling_backend
    name, ids = responses._get_param("AutoScalingGroupName"), responses._get_param("ActivityIds", [])
    deleted_too = responses._get_bool_param("IncludeDeletedGroups", False)
    if name and not deleted_too and name not in backend.autoscaling_groups:
        invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    wanted = [
        activity
        for activity in reversed(activities(backend))
        if (not name or activity["AutoScalingGroupName"] == name)
        and (not ids or activity["ActivityId"] in ids)
        and (deleted_too or activity["AutoScalingGroupName"] in backend.autoscaling_groups)
    ]
    start = int(responses._get_param("NextToken") or 0)
    end = start + (responses._get_int_param("MaxRecords") or 100)
    return ActionResult({"Activities": wanted[start:end], "NextToken": str(end) if end < len(wanted) else None})
