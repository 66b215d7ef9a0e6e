"""Auto Scaling groups that keep what they promise: the desired number of healthy instances, spread over their zones.

A group changes only through `launch` and `terminate`; `settle` decides how many of each. Everything that may make a
group unequal to what it should be (a request, an instance that ends or stops, a process resumed) ends in `settle`.
"""

import json
import uuid
from collections import Counter
from datetime import datetime
from typing import Any, NoReturn

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import ASG_NAME_TAG, AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.instances import InstanceResponse

from sandbox.api import ec2_launch
from sandbox.api.change import Change, wrap

# EC2 Auto Scaling API Reference, SuspendProcesses.
PROCESSES = (
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
)
# EC2 Auto Scaling API Reference, CreateAutoScalingGroup.
NAME_MAX = 255
HEALTH_CHECKS = ("EC2", "ELB")
TERMINATION_POLICIES = ("Default", "OldestInstance", "NewestInstance", "OldestLaunchTemplate")
DEFAULT_COOLDOWN = 300
DEFAULT_GRACE = 0
# Parameters that would be kept and never act.
UNSUPPORTED = (
    "CapacityRebalance",
    "Context",
    "DesiredCapacityType",
    "InstanceId",
    "LaunchConfigurationName",
    "LifecycleHookSpecificationList",
    "LoadBalancerNames",
    "MaxInstanceLifetime",
    "MixedInstancesPolicy",
    "PlacementGroup",
    "TrafficSources",
)
# Operations whose effect moto only writes down, or that end in groups which `settle` doesn't know.
UNSUPPORTED_OPERATIONS = {
    "attach_instances": "AttachInstances",
    "attach_load_balancers": "AttachLoadBalancers",
    "batch_put_scheduled_update_group_action": "BatchPutScheduledUpdateGroupAction",
    "detach_instances": "DetachInstances",
    "enter_standby": "EnterStandby",
    "exit_standby": "ExitStandby",
    "put_lifecycle_hook": "PutLifecycleHook",
    "put_scaling_policy": "PutScalingPolicy",
    "put_scheduled_update_group_action": "PutScheduledUpdateGroupAction",
    "put_warm_pool": "PutWarmPool",
}
INSTANCE_REFRESH = {
    "start_instance_refresh": "StartInstanceRefresh",
    "describe_instance_refreshes": "DescribeInstanceRefreshes",
    "cancel_instance_refresh": "CancelInstanceRefresh",
    "rollback_instance_refresh": "RollbackInstanceRefresh",
}
# Parameters that moto drops on create or update, and what its group calls them.
KEPT = {
    "DefaultCooldown": "default_cooldown",
    "DefaultInstanceWarmup": "default_instance_warmup",
    "HealthCheckGracePeriod": "health_check_grace_period",
    "InstanceMaintenancePolicy": "instance_maintenance_policy",
    "ServiceLinkedRoleARN": "service_linked_role_arn",
    "TerminationPolicies": "termination_policies",
}

UNHEALTHY = (
    "an instance was taken out of service in response to an EC2 health check indicating it has been terminated or "
    "stopped."
)
REPORTED_UNHEALTHY = "an instance was taken out of service in response to a user health-check."


class Member(InstanceState):
    """An instance of a group, and the launch template version that it was started from."""

    def __init__(self, instance: Any, group: Any, template: dict[str, str]) -> None:
        super().__init__(
            instance,
            protected_from_scale_in=group.new_instances_protected_from_scale_in,
            autoscaling_group=group,
        )
        self.template = template
        self.launched = utcnow()

    @property
    def launch_template(self) -> dict[str, Any]:
        """The template by id and name, and the version as a number, whatever the group asks for by now."""
        return self.template

    @property
    def launch_configuration_name(self) -> None:
        """No instance of the sandbox is of a launch configuration."""
        return None


def _refuse(code: str, message: str) -> NoReturn:
    raise AutoscalingClientError(code, message)


def _invalid(message: str) -> NoReturn:
    _refuse("ValidationError", message)


def _unsupported(what: str) -> NoReturn:
    _refuse("NotImplemented", f"the sandbox doesn't support {what}")


def _group(backend: Any, name: str) -> Any:
    if name not in backend.autoscaling_groups:
        _invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def _suspended(group: Any, *processes: str) -> bool:
    return any(process in group._suspended_processes for process in processes)


# --- activities -----------------------------------------------------------------------------------------------


def _activities(backend: Any) -> list[dict[str, Any]]:
    """What happened in a region's groups, oldest first; deleted groups included."""
    happened: list[dict[str, Any]] = backend.__dict__.setdefault("activities", [])
    return happened


def _at(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _record(
    group: Any, description: str, cause: str, zone: str, subnet: str, failure: str | None = None
) -> dict[str, Any]:
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
    _activities(group.autoscaling_backend).append(activity)
    return activity


def _describe_activities(_original: Any, responses: Any) -> ActionResult:
    backend = responses.autoscaling_backend
    name, ids = responses._get_param("AutoScalingGroupName"), responses._get_param("ActivityIds", [])
    deleted_too = responses._get_bool_param("IncludeDeletedGroups", False)
    if name and not deleted_too:
        _group(backend, name)
    wanted = [
        activity
        for activity in reversed(_activities(backend))
        if (not name or activity["AutoScalingGroupName"] == name)
        and (not ids or activity["ActivityId"] in ids)
        and (deleted_too or activity["AutoScalingGroupName"] in backend.autoscaling_groups)
    ]
    start = int(responses._get_param("NextToken") or 0)
    end = start + (responses._get_int_param("MaxRecords") or 100)
    return ActionResult({"Activities": wanted[start:end], "NextToken": str(end) if end < len(wanted) else None})


# --- launch and terminate -------------------------------------------------------------------------------------


def _target_groups(group: Any) -> list[Any]:
    """The group's target groups that still exist: they may be deleted before it."""
    known = group.autoscaling_backend.elbv2_backend.target_groups
    return [known[arn] for arn in group.target_group_arns if arn in known]


def _register(group: Any, members: list[Any]) -> None:
    if _suspended(group, "AddToLoadBalancer"):
        return
    for target_group in _target_groups(group):
        running = [member.instance.id for member in members if member.instance.state == "running"]
        new = [instance_id for instance_id in running if instance_id not in target_group.targets]
        target_group.register([{"Id": instance_id, "Port": target_group.port} for instance_id in new])


def _deregister(group: Any, member: Any) -> None:
    for target_group in _target_groups(group):
        target_group.deregister([{"Id": member.instance.id}])


def _subnets(group: Any) -> list[Any]:
    """The group's subnets that still exist: those without an instance may be deleted before it."""
    known = {subnet.id: subnet for subnet in group.ec2_backend.describe_subnets()}
    return [known[subnet_id] for subnet_id in group.vpc_zone_identifier.split(",") if subnet_id in known]


def _next_subnet(group: Any) -> Any | None:
    """The subnet with fewest members in the zone with fewest (User Guide, "Availability Zone distribution")."""
    zones = Counter(member.availability_zone for member in group.active_instances())
    subnets = Counter(member.instance.subnet_id for member in group.active_instances())
    by_members = sorted(_subnets(group), key=lambda subnet: (zones[subnet.availability_zone], subnets[subnet.id]))
    return by_members[0] if by_members else None


def launch(group: Any, cause: str) -> Member | None:
    """Start one instance of `group`, from the template version that the group asks for now, and register it.

    What EC2 refuses is a failed activity, not an error: None is returned then.
    """
    subnet = _next_subnet(group)
    if subnet is None:
        gone = f"The subnet ID '{group.vpc_zone_identifier}' does not exist. Launching EC2 instance failed."
        _record(group, "Launching a new EC2 instance.", cause, "", group.vpc_zone_identifier, gone)
        return None
    zone = subnet.availability_zone
    try:
        version = ec2_launch.template_version(group.ec2_backend, _specification(group))
        reservation = group.ec2_backend.run_instances(
            None,
            1,
            None,
            [],
            launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
            is_instance_type_default=True,
            subnet_id=subnet.id,
            tags={"instance": {**group.get_propagated_tags(), ASG_NAME_TAG: group.name}},
        )
    except EC2ClientError as error:
        failure = f"{error.message}. Launching EC2 instance failed."
        _record(group, "Launching a new EC2 instance.", cause, zone, subnet.id, failure)
        return None
    template = {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "Version": str(version.number),
    }
    member = Member(reservation.instances[0], group, template)
    group.instance_states.append(member)
    _register(group, [member])
    _record(group, f"Launching a new EC2 instance: {member.instance.id}", cause, zone, subnet.id)
    return member


def terminate(group: Any, member: Any, cause: str) -> dict[str, Any]:
    """Take `member` out of the group's target groups and the group, and end its instance; returns the activity."""
    instance = member.instance
    _deregister(group, member)
    if instance.state != "terminated":
        # Only scale-in protection counts for a group (User Guide, "Instance scale-in protection").
        instance.disable_api_termination = False
        group.ec2_backend.terminate_instances([instance.id])
    group.instance_states.remove(member)
    zone, subnet = member.availability_zone, instance.subnet_id
    return _record(group, f"Terminating EC2 instance: {instance.id}", cause, zone, subnet)


def _victim(group: Any) -> Any | None:
    """Who goes at a scale-in: unprotected, in the fullest zone, then by the group's first termination policy."""
    members = group.active_instances()
    zones = Counter(member.availability_zone for member in members)
    free = [member for member in members if not member.protected_from_scale_in]
    if not free:
        return None
    fullest = max(zones[member.availability_zone] for member in free)
    # `active_instances` is in launch order, and min and max keep the first of equals.
    candidates = [member for member in free if zones[member.availability_zone] == fullest]
    policy = (group.termination_policies or ["Default"])[0]
    if policy == "NewestInstance":
        return candidates[-1]
    if policy == "OldestInstance":
        return candidates[0]
    return min(candidates, key=lambda member: int(member.template["Version"]))


def _is_unhealthy(group: Any, member: Any) -> bool:
    if member.health_status == "Unhealthy":
        return True
    return not _suspended(group, "HealthCheck") and member.instance.state != "running"


def _replace_unhealthy(group: Any) -> None:
    if _suspended(group, "ReplaceUnhealthy", "Terminate"):
        return
    for member in [member for member in group.instance_states if _is_unhealthy(group, member)]:
        reason = REPORTED_UNHEALTHY if member.health_status == "Unhealthy" else UNHEALTHY
        terminate(group, member, f"At {_at(utcnow())} {reason}")


def _leave_foreign_subnets(group: Any) -> None:
    """Move members out of subnets that the group no longer has: a new one is there before an old one goes."""
    if _suspended(group, "AZRebalance", "Launch", "Terminate"):
        return
    own = set(group.vpc_zone_identifier.split(","))
    for member in [member for member in group.active_instances() if member.instance.subnet_id not in own]:
        cause = f"At {_at(utcnow())} instances were launched to balance instances in the zones of the group."
        if launch(group, cause) is None:
            return
        terminate(group, member, cause)


def settle(group: Any, trigger: str = "") -> None:
    """Bring `group` to its desired number of healthy instances in its own subnets, as far as no process is suspended.

    `trigger` is the sentence that the activities give as the first cause, without its time.
    """
    _replace_unhealthy(group)
    _leave_foreign_subnets(group)
    before, now = len(group.active_instances()), _at(utcnow())
    first = f"At {now} {trigger}  " if trigger else ""
    difference = f"in response to a difference between desired and actual capacity, {{}} the capacity from {before} to "
    started = difference.format("increasing") + f"{group.desired_capacity}."
    while len(group.active_instances()) < group.desired_capacity and not _suspended(group, "Launch"):
        if launch(group, f"{first}At {now} an instance was started {started}") is None:
            return
    stopped = difference.format("shrinking") + f"{group.desired_capacity}."
    while len(group.active_instances()) > group.desired_capacity and not _suspended(group, "Terminate"):
        member = _victim(group)
        if member is None:
            return
        selected = f"At {now} instance {member.instance.id} was selected for termination."
        terminate(group, member, f"{first}At {now} an instance was taken out of service {stopped}  {selected}")


# --- checks ---------------------------------------------------------------------------------------------------


def _specification(group: Any) -> dict[str, Any]:
    return {"LaunchTemplateId": group.ec2_launch_template.id, "Version": group.launch_template_version}


def _check_supported(params: dict[str, Any]) -> None:
    for name in UNSUPPORTED:
        if params.get(name) not in (None, False, 0, "", "units", [], {}):
            _unsupported(f"Auto Scaling groups with {name}")


def _check_sizes(low: int, high: int, desired: int) -> None:
    for name, value in (("minSize", low), ("maxSize", high), ("desiredCapacity", desired)):
        if value < 0:
            _invalid(
                f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must "
                "have value greater than or equal to 0"
            )
    if low > high:
        _invalid(f"Max bound, {high}, must be greater than or equal to min bound, {low}")
    if not low <= desired <= high:
        _invalid(f"Desired capacity:{desired} must be between the specified min size:{low} and max size:{high}")


def _check_subnets(backend: Any, identifier: str) -> list[Any]:
    known = {subnet.id: subnet for subnet in backend.ec2_backend.describe_subnets()}
    wanted = [subnet_id.strip() for subnet_id in identifier.split(",")]
    for subnet_id in wanted:
        if subnet_id not in known:
            _invalid(f"The subnet ID '{subnet_id}' does not exist")
    subnets = [known[subnet_id] for subnet_id in wanted]
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        _invalid("All subnets of an Auto Scaling group must be in the same VPC")
    return subnets


def _check_template(backend: Any, specification: dict[str, Any], subnets: list[Any]) -> None:
    """AWS tries the template in each subnet when a group is told to use it."""
    if bool(specification.get("LaunchTemplateId")) == bool(specification.get("LaunchTemplateName")):
        _invalid("Valid requests must contain either launchTemplateId or LaunchTemplateName")
    try:
        for subnet in subnets:
            ec2_launch.plan(
                backend.ec2_backend,
                image_id=None,
                count=0,
                user_data=None,
                security_group_names=[],
                arguments={
                    "launch_template": specification,
                    "is_instance_type_default": True,
                    "subnet_id": subnet.id,
                },
            )
    except EC2ClientError as error:
        _invalid(f"You must use a valid fully-formed launch template. {error.message}")


def _check_target_groups(backend: Any, arns: list[str], subnets: list[Any]) -> None:
    known, vpcs = backend.elbv2_backend.target_groups, {subnet.vpc_id for subnet in subnets}
    if any(arn not in known or known[arn].vpc_id not in vpcs for arn in arns):
        _invalid("Provided Target Groups may not be valid. Please ensure they exist and try again.")


def _check_health_check(params: dict[str, Any]) -> None:
    kind = params.get("HealthCheckType")
    if kind is not None and not set(kind.split(",")) <= set(HEALTH_CHECKS):
        _invalid(f"Invalid HealthCheckType '{kind}': it must be one of {', '.join(HEALTH_CHECKS)}, or both")
    for name in ("HealthCheckGracePeriod", "DefaultCooldown"):
        if params.get(name) is not None and int(params[name]) < 0:
            _invalid(f"{name} must be 0 or more seconds, and is {params[name]}")
    for policy in params.get("TerminationPolicies") or []:
        if policy not in TERMINATION_POLICIES:
            _unsupported(f"the termination policy {policy}")


def _check_name(backend: Any, name: str) -> None:
    if not 1 <= len(name) <= NAME_MAX:
        _invalid(f"The group's name has {len(name)} characters; it must have 1 to {NAME_MAX}")
    if name in backend.autoscaling_groups:
        _refuse(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
        )


def _keep(group: Any, params: dict[str, Any]) -> None:
    for name, attribute in KEPT.items():
        if params.get(name) is not None:
            setattr(group, attribute, params[name])
    # moto lists a zone once for each subnet in it.
    group.availability_zones = sorted({subnet.availability_zone for subnet in _subnets(group)})


# --- requests -------------------------------------------------------------------------------------------------


def _create(original: Any, responses: Any) -> EmptyResult:
    backend, params = responses.autoscaling_backend, responses._get_params()
    name = params["AutoScalingGroupName"]
    _check_name(backend, name)
    _check_supported(params)
    for required, member in (("MinSize", "minSize"), ("MaxSize", "maxSize")):
        if params.get(required) is None:
            _invalid(
                f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must "
                "not be null"
            )
    low, high = params["MinSize"], params["MaxSize"]
    desired = low if params.get("DesiredCapacity") is None else params["DesiredCapacity"]
    _check_sizes(low, high, desired)
    _check_health_check(params)
    if not params.get("VPCZoneIdentifier"):
        if params.get("AvailabilityZones"):
            _unsupported("Auto Scaling groups without subnets (VPCZoneIdentifier)")
        _invalid("At least one Availability Zone or VPC Subnet is required.")
    subnets = _check_subnets(backend, params["VPCZoneIdentifier"])
    if not params.get("LaunchTemplate"):
        _invalid(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
            "MixedInstancesPolicy parameter."
        )
    _check_template(backend, params["LaunchTemplate"], subnets)
    _check_target_groups(backend, params.get("TargetGroupARNs", []), subnets)
    original(responses)
    group = backend.autoscaling_groups[name]
    # moto's defaults are those of the console.
    group.default_cooldown, group.health_check_grace_period = DEFAULT_COOLDOWN, DEFAULT_GRACE
    _keep(group, params)
    settle(group, f"a user request created an AutoScalingGroup changing the desired capacity from 0 to {desired}.")
    return EmptyResult()


def _update(original: Any, responses: Any) -> EmptyResult:
    backend, params = responses.autoscaling_backend, responses._get_params()
    group = _group(backend, params["AutoScalingGroupName"])
    _check_supported(params)
    low, high = params.get("MinSize", group.min_size), params.get("MaxSize", group.max_size)
    before = group.desired_capacity
    # API Reference, UpdateAutoScalingGroup: without a new desired capacity, the old one moves into the new bounds.
    desired = params.get("DesiredCapacity")
    _check_sizes(low, high, min(max(before, low), high) if desired is None else desired)
    _check_health_check(params)
    subnets = _subnets(group)
    if params.get("VPCZoneIdentifier"):
        subnets = _check_subnets(backend, params["VPCZoneIdentifier"])
    if params.get("LaunchTemplate") or params.get("VPCZoneIdentifier"):
        _check_template(backend, params.get("LaunchTemplate") or _specification(group), subnets)
    original(responses)
    group.desired_capacity = min(max(before, low), high) if desired is None else desired
    _keep(group, params)
    settle(
        group,
        f"a user request update of AutoScalingGroup constraints to min: {low}, max: {high}, desired: "
        f"{group.desired_capacity} changing the desired capacity from {before} to {group.desired_capacity}.",
    )
    return EmptyResult()


def _set_desired(_original: Any, backend: Any, group_name: str, desired_capacity: int) -> None:
    group = _group(backend, group_name)
    if desired_capacity > group.max_size:
        _invalid(
            f"New SetDesiredCapacity value {desired_capacity} is above max value {group.max_size} for the "
            "AutoScalingGroup."
        )
    if desired_capacity < group.min_size:
        _invalid(
            f"New SetDesiredCapacity value {desired_capacity} is below min value {group.min_size} for the "
            "AutoScalingGroup."
        )
    before, group.desired_capacity = group.desired_capacity, desired_capacity
    settle(
        group,
        f"a user request explicitly set group desired capacity changing the desired capacity from {before} to "
        f"{desired_capacity}.",
    )


def _set_number(_original: Any, group: Any, new_capacity: int | None) -> None:
    """moto starts and ends instances here, all in one zone; `settle` does that."""
    group.desired_capacity = group.min_size if new_capacity is None else new_capacity


def _delete(original: Any, responses: Any) -> Any:
    group = _group(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    if group.instance_states and not responses._get_bool_param("ForceDelete", False):
        _refuse(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
            "still in the group.",
        )
    return original(responses)


def _delete_group(_original: Any, backend: Any, group_name: str) -> None:
    group = _group(backend, group_name)
    for member in list(group.instance_states):
        terminate(group, member, f"At {_at(utcnow())} a user request deleted the AutoScalingGroup by force.")
    del backend.autoscaling_groups[group_name]


def _update_targets(_original: Any, backend: Any, group_name: str) -> None:
    group = backend.autoscaling_groups[group_name]
    _register(group, group.instance_states)


def _attach_target_groups(original: Any, backend: Any, group_name: str, target_group_arns: list[str]) -> None:
    group = _group(backend, group_name)
    _check_target_groups(backend, target_group_arns, _subnets(group))
    original(backend, group_name, target_group_arns)


def _detach_target_groups(_original: Any, backend: Any, group_name: str, target_group_arns: list[str]) -> None:
    group = _group(backend, group_name)
    if not set(target_group_arns) <= set(group.target_group_arns):
        _invalid(f"Trying to remove Target Groups that are not part of the group {group_name}")
    for member in group.instance_states:
        for target_group in _target_groups(group):
            if target_group.arn in target_group_arns:
                target_group.deregister([{"Id": member.instance.id}])
    group.target_group_arns = [arn for arn in group.target_group_arns if arn not in target_group_arns]


def _check_processes(processes: list[str]) -> None:
    unknown = [process for process in processes if process not in PROCESSES]
    if unknown:
        _invalid(f"Invalid scaling processes: {', '.join(unknown)}; they must be of {', '.join(PROCESSES)}")


def _suspend(original: Any, backend: Any, group_name: str, scaling_processes: list[str]) -> None:
    _group(backend, group_name)
    _check_processes(scaling_processes)
    original(backend, group_name, scaling_processes)


def _resume(original: Any, backend: Any, group_name: str, scaling_processes: list[str]) -> None:
    group = _group(backend, group_name)
    _check_processes(scaling_processes)
    original(backend, group_name, scaling_processes)
    settle(group)
    _register(group, group.active_instances())


def _member(backend: Any, instance_id: str) -> tuple[Any, Any]:
    for group in backend.autoscaling_groups.values():
        for member in group.instance_states:
            if member.instance.id == instance_id:
                return group, member
    _invalid(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def _instances_ended(_original: Any, backend: Any, _instance_ids: list[str]) -> None:
    for group in list(backend.autoscaling_groups.values()):
        settle(group)


def _stop_instances(original: Any, responses: Any) -> Any:
    from moto.autoscaling.models import autoscaling_backends

    result = original(responses)
    _instances_ended(None, autoscaling_backends[responses.current_account][responses.region], [])
    return result


def _set_health(_original: Any, responses: Any) -> EmptyResult:
    status, instance_id = responses._get_param("HealthStatus"), responses._get_param("InstanceId")
    if status not in ("Healthy", "Unhealthy"):
        _invalid(f"Valid instance health states are: [Healthy, Unhealthy]. '{status}' isn't one.")
    group, member = _member(responses.autoscaling_backend, instance_id)
    respects_grace = responses._get_bool_param("ShouldRespectGracePeriod", True)
    in_grace = (utcnow() - member.launched).total_seconds() < int(group.health_check_grace_period)
    if not (respects_grace and in_grace):
        member.health_status = status
        settle(group)
    return EmptyResult()


def _terminate_in_group(_original: Any, backend: Any, instance_id: str, should_decrement: bool) -> dict[str, Any]:
    group, member = _member(backend, instance_id)
    if should_decrement and group.desired_capacity <= group.min_size:
        _invalid(
            f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement "
            "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
            "lower group's min size."
        )
    before = group.desired_capacity
    cause = f"At {_at(utcnow())} instance {instance_id} was taken out of service in response to a user request"
    if should_decrement:
        group.desired_capacity -= 1
        cause += f", shrinking the capacity from {before} to {group.desired_capacity}"
    activity = terminate(group, member, f"{cause}.")
    settle(group)
    return activity


def _of_group(original: Any, responses: Any) -> Any:
    """For operations on a group by name, in which moto fails on a name that doesn't exist."""
    _group(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    return original(responses)


def _on_tags(original: Any, responses: Any) -> Any:
    for tag in responses._get_param("Tags", []):
        _group(responses.autoscaling_backend, tag.get("ResourceId"))
    return original(responses)


def _protect(original: Any, responses: Any) -> Any:
    name = responses._get_param("AutoScalingGroupName")
    members = {member.instance.id for member in _group(responses.autoscaling_backend, name).instance_states}
    for instance_id in responses._get_param("InstanceIds", []):
        if instance_id not in members:
            _invalid(f"The instance {instance_id} is not part of Auto Scaling group {name}.")
    return original(responses)


def _no_launch_configuration(_original: Any, _responses: Any) -> NoReturn:
    _refuse(
        "UnsupportedOperation",
        "The Launch Configuration creation operation is not available in your account. Use launch templates to create "
        "configuration templates for your Auto Scaling groups.",
    )


def _apply_unsupported() -> None:
    def answering(name: str) -> Any:
        return lambda _original, _responses: _unsupported(name)

    def refusing(name: str) -> Any:
        return lambda _responses: _unsupported(name)

    for operation, name in UNSUPPORTED_OPERATIONS.items():
        wrap(AutoScalingResponse, operation, answering(name))
    for operation, name in INSTANCE_REFRESH.items():
        ec2_launch.add_operation(AutoScalingResponse, operation, refusing(name))
    wrap(AutoScalingResponse, "create_launch_configuration", _no_launch_configuration)


def _apply_groups() -> None:
    wrap(AutoScalingResponse, "create_auto_scaling_group", _create)
    wrap(AutoScalingResponse, "update_auto_scaling_group", _update)
    wrap(AutoScalingBackend, "set_desired_capacity", _set_desired)


def _apply_unknown_groups() -> None:
    for operation in (
        "describe_load_balancer_target_groups",
        "describe_lifecycle_hooks",
        "describe_warm_pool",
        "enable_metrics_collection",
    ):
        wrap(AutoScalingResponse, operation, _of_group)
    wrap(AutoScalingResponse, "create_or_update_tags", _on_tags)
    wrap(AutoScalingResponse, "delete_tags", _on_tags)
    wrap(AutoScalingResponse, "set_instance_protection", _protect)


def _apply_members() -> None:
    wrap(FakeAutoScalingGroup, "set_desired_capacity", _set_number)
    wrap(AutoScalingBackend, "notify_terminate_instances", _instances_ended)
    wrap(InstanceResponse, "stop_instances", _stop_instances)
    wrap(AutoScalingResponse, "set_instance_health", _set_health)
    wrap(AutoScalingBackend, "terminate_instance", _terminate_in_group)


def _apply_targets() -> None:
    wrap(AutoScalingBackend, "update_attached_target_groups", _update_targets)
    wrap(AutoScalingBackend, "attach_load_balancer_target_groups", _attach_target_groups)
    wrap(AutoScalingBackend, "detach_load_balancer_target_groups", _detach_target_groups)


def _apply_deletion() -> None:
    wrap(AutoScalingResponse, "delete_auto_scaling_group", _delete)
    wrap(AutoScalingBackend, "delete_auto_scaling_group", _delete_group)


def _apply_processes() -> None:
    wrap(AutoScalingBackend, "suspend_processes", _suspend)
    wrap(AutoScalingBackend, "resume_processes", _resume)


CHANGES: tuple[Change, ...] = (
    Change(
        name="autoscaling-group-rules",
        why=(
            "moto takes any sizes, names, subnets, target groups and templates, turns a grace period of 0 into 300 s "
            "and drops cool-down, warm-up and termination policies of an update. AWS: EC2 Auto Scaling API "
            "Reference, CreateAutoScalingGroup, UpdateAutoScalingGroup, SetDesiredCapacity; it tries the launch "
            "template first."
        ),
        apply=_apply_groups,
    ),
    Change(
        name="autoscaling-unknown-groups",
        why=(
            "moto ends in a server error for tags, protection, metrics or target groups of a group that doesn't "
            "exist. AWS answers ValidationError (EC2 Auto Scaling API Reference, 'Common errors')."
        ),
        apply=_apply_unknown_groups,
    ),
    Change(
        name="autoscaling-members",
        why=(
            "moto starts all instances in the first subnet, says version 1 of each, keeps stopped and unhealthy ones "
            "and starts from the default version. AWS spreads over zones and replaces what isn't healthy (EC2 Auto "
            "Scaling User Guide, 'Availability Zone distribution', 'Health checks for instances in an Auto Scaling "
            "group')."
        ),
        apply=_apply_members,
    ),
    Change(
        name="autoscaling-targets",
        why=(
            "moto registers no replacement with the target groups and leaves ended instances in them. AWS registers "
            "and deregisters with each launch and termination (EC2 Auto Scaling User Guide, 'Use Elastic Load "
            "Balancing')."
        ),
        apply=_apply_targets,
    ),
    Change(
        name="autoscaling-group-deletion",
        why=(
            "moto deletes a group that has instances. AWS answers ResourceInUse unless ForceDelete is given (EC2 Auto "
            "Scaling API Reference, DeleteAutoScalingGroup)."
        ),
        apply=_apply_deletion,
    ),
    Change(
        name="autoscaling-activities",
        why=(
            "moto's list of activities is always empty. AWS lists each launch and termination with cause and result, "
            "and launches that failed (EC2 Auto Scaling API Reference, DescribeScalingActivities)."
        ),
        apply=lambda: wrap(AutoScalingResponse, "describe_scaling_activities", _describe_activities),
    ),
    Change(
        name="autoscaling-processes",
        why=(
            "moto stores suspended processes and goes on as before. AWS stops launching, ending, registering and "
            "replacing until they are resumed (EC2 Auto Scaling User Guide, 'Suspend and resume processes')."
        ),
        apply=_apply_processes,
    ),
    Change(
        name="autoscaling-unsupported",
        why=(
            "moto keeps scaling policies, schedules, hooks and warm pools that never act, and instance refresh isn't "
            "there yet: both are refused by name. New AWS accounts have no launch configurations (EC2 Auto Scaling "
            "User Guide, 'Launch configurations')."
        ),
        apply=_apply_unsupported,
    ),
)
