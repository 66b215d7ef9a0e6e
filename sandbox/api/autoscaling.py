"""EC2 Auto Scaling's requests on groups, as strict as AWS; what they lead to is in `autoscaling_members`."""

from typing import Any

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult
from moto.core.utils import utcnow
from moto.ec2.responses.instances import InstanceResponse

from sandbox.api import autoscaling_unsupported
from sandbox.api.autoscaling_activities import at
from sandbox.api.autoscaling_activities import describe as _describe_activities
from sandbox.api.autoscaling_checks import (
    check_health_check,
    check_maintenance,
    check_name,
    check_processes,
    check_sizes,
    check_subnets,
    check_supported,
    check_target_groups,
    check_template,
)
from sandbox.api.autoscaling_error import invalid, refuse, unsupported
from sandbox.api.autoscaling_members import (
    delete,
    group_named,
    is_deleting,
    register,
    settle,
    settle_all,
    specification_of,
    subnets_of,
    target_groups,
    terminate,
)
from sandbox.api.change import Change, wrap

DEFAULT_COOLDOWN = 300
DEFAULT_GRACE = 0
# Parameters that moto drops on create or update, and what its group calls them.
KEPT = {
    "DefaultCooldown": "default_cooldown",
    "DefaultInstanceWarmup": "default_instance_warmup",
    "HealthCheckGracePeriod": "health_check_grace_period",
    "InstanceMaintenancePolicy": "instance_maintenance_policy",
    "ServiceLinkedRoleARN": "service_linked_role_arn",
    "TerminationPolicies": "termination_policies",
}


def _keep(group: Any, params: dict[str, Any]) -> None:
    for name, attribute in KEPT.items():
        if params.get(name) is not None:
            setattr(group, attribute, params[name])
    # moto lists a zone once for each subnet in it.
    group.availability_zones = sorted({subnet.availability_zone for subnet in subnets_of(group)})


def _create(original: Any, responses: Any) -> EmptyResult:
    backend, params = responses.autoscaling_backend, responses._get_params()
    name = params["AutoScalingGroupName"]
    check_name(backend, name)
    check_supported(params)
    for required, member in (("MinSize", "minSize"), ("MaxSize", "maxSize")):
        if params.get(required) is None:
            invalid(
                f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must "
                "not be null"
            )
    low, high = params["MinSize"], params["MaxSize"]
    desired = low if params.get("DesiredCapacity") is None else params["DesiredCapacity"]
    check_sizes(low, high, desired)
    check_health_check(params)
    check_maintenance(params)
    if not params.get("VPCZoneIdentifier"):
        if params.get("AvailabilityZones"):
            unsupported("Auto Scaling groups without subnets (VPCZoneIdentifier)")
        invalid("At least one Availability Zone or VPC Subnet is required.")
    subnets = check_subnets(backend, params["VPCZoneIdentifier"])
    if not params.get("LaunchTemplate"):
        invalid(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
            "MixedInstancesPolicy parameter."
        )
    check_template(backend, params["LaunchTemplate"], subnets)
    check_target_groups(backend, params.get("TargetGroupARNs", []), subnets)
    original(responses)
    group = backend.autoscaling_groups[name]
    # moto's defaults are those of the console.
    group.default_cooldown, group.health_check_grace_period = DEFAULT_COOLDOWN, DEFAULT_GRACE
    _keep(group, params)
    settle(group, f"a user request created an AutoScalingGroup changing the desired capacity from 0 to {desired}.")
    return EmptyResult()


def _changeable(backend: Any, name: str) -> Any:
    """The group called `name`, which isn't about to be gone."""
    group = group_named(backend, name)
    if is_deleting(group):
        invalid("The AutoScaling group may not be modified while it is pending delete")
    return group


def _update(original: Any, responses: Any) -> EmptyResult:
    backend, params = responses.autoscaling_backend, responses._get_params()
    group = _changeable(backend, params["AutoScalingGroupName"])
    check_supported(params)
    low, high = params.get("MinSize", group.min_size), params.get("MaxSize", group.max_size)
    before = group.desired_capacity
    # API Reference, UpdateAutoScalingGroup: without a new desired capacity, the old one moves into the new bounds.
    desired = params.get("DesiredCapacity")
    check_sizes(low, high, min(max(before, low), high) if desired is None else desired)
    check_health_check(params)
    check_maintenance(params)
    subnets = subnets_of(group)
    if params.get("VPCZoneIdentifier"):
        subnets = check_subnets(backend, params["VPCZoneIdentifier"])
    if params.get("LaunchTemplate") or params.get("VPCZoneIdentifier"):
        check_template(backend, params.get("LaunchTemplate") or specification_of(group), subnets)
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
    group = _changeable(backend, group_name)
    if desired_capacity > group.max_size:
        invalid(
            f"New SetDesiredCapacity value {desired_capacity} is above max value {group.max_size} for the "
            "AutoScalingGroup."
        )
    if desired_capacity < group.min_size:
        invalid(
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
    group = group_named(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    if group.instance_states and not responses._get_bool_param("ForceDelete", False):
        refuse(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
            "still in the group.",
        )
    return original(responses)


def _delete_group(_original: Any, backend: Any, group_name: str) -> None:
    group = group_named(backend, group_name)
    delete(group, f"At {at(utcnow())} a user request deleted the AutoScalingGroup by force.")


def _update_targets(_original: Any, backend: Any, group_name: str) -> None:
    group = backend.autoscaling_groups[group_name]
    register(group, group.instance_states)


def _attach_target_groups(original: Any, backend: Any, group_name: str, target_group_arns: list[str]) -> None:
    group = group_named(backend, group_name)
    check_target_groups(backend, target_group_arns, subnets_of(group))
    original(backend, group_name, target_group_arns)


def _detach_target_groups(_original: Any, backend: Any, group_name: str, target_group_arns: list[str]) -> None:
    group = group_named(backend, group_name)
    if not set(target_group_arns) <= set(group.target_group_arns):
        invalid(f"Trying to remove Target Groups that are not part of the group {group_name}")
    for member in group.instance_states:
        for target_group in target_groups(group):
            if target_group.arn in target_group_arns:
                target_group.deregister([{"Id": member.instance.id}])
    group.target_group_arns = [arn for arn in group.target_group_arns if arn not in target_group_arns]


def _suspend(original: Any, backend: Any, group_name: str, scaling_processes: list[str]) -> None:
    group_named(backend, group_name)
    check_processes(scaling_processes)
    original(backend, group_name, scaling_processes)


def _resume(original: Any, backend: Any, group_name: str, scaling_processes: list[str]) -> None:
    group = group_named(backend, group_name)
    check_processes(scaling_processes)
    original(backend, group_name, scaling_processes)
    settle(group)
    register(group, group.active_instances())


def _member(backend: Any, instance_id: str) -> tuple[Any, Any]:
    found = [
        (group, member)
        for group in backend.autoscaling_groups.values()
        for member in group.instance_states
        if member.instance.id == instance_id
    ]
    if not found:
        invalid(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")
    return found[0]


def _instances_ended(_original: Any, backend: Any, _instance_ids: list[str]) -> None:
    settle_all(backend)


def _stop_instances(original: Any, responses: Any) -> Any:
    from moto.autoscaling.models import autoscaling_backends

    result = original(responses)
    _instances_ended(None, autoscaling_backends[responses.current_account][responses.region], [])
    return result


def _set_health(_original: Any, responses: Any) -> EmptyResult:
    status, instance_id = responses._get_param("HealthStatus"), responses._get_param("InstanceId")
    if status not in ("Healthy", "Unhealthy"):
        invalid(f"Valid instance health states are: [Healthy, Unhealthy]. '{status}' isn't one.")
    group, member = _member(responses.autoscaling_backend, instance_id)
    respects_grace = responses._get_bool_param("ShouldRespectGracePeriod", True)
    in_grace = member.age < int(group.health_check_grace_period)
    if not (respects_grace and in_grace):
        member.health_status = status
        settle(group)
    return EmptyResult()


def _terminate_in_group(_original: Any, backend: Any, instance_id: str, should_decrement: bool) -> dict[str, Any]:
    group, member = _member(backend, instance_id)
    if member.ending is not None:
        refuse("ScalingActivityInProgress", f"Activity {member.ending['ActivityId']} is in progress.")
    if should_decrement and group.desired_capacity <= group.min_size:
        invalid(
            f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement "
            "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
            "lower group's min size."
        )
    before = group.desired_capacity
    cause = f"At {at(utcnow())} instance {instance_id} was taken out of service in response to a user request"
    if should_decrement:
        group.desired_capacity -= 1
        cause += f", shrinking the capacity from {before} to {group.desired_capacity}"
    activity = terminate(group, member, f"{cause}.")
    settle(group)
    return activity


def _of_group(original: Any, responses: Any) -> Any:
    """For operations on a group by name, in which moto fails on a name that doesn't exist."""
    group_named(responses.autoscaling_backend, responses._get_param("AutoScalingGroupName"))
    return original(responses)


def _on_tags(original: Any, responses: Any) -> Any:
    for tag in responses._get_param("Tags", []):
        group_named(responses.autoscaling_backend, tag.get("ResourceId"))
    return original(responses)


def _protect(original: Any, responses: Any) -> Any:
    name = responses._get_param("AutoScalingGroupName")
    members = {member.instance.id for member in group_named(responses.autoscaling_backend, name).instance_states}
    for instance_id in responses._get_param("InstanceIds", []):
        if instance_id not in members:
            invalid(f"The instance {instance_id} is not part of Auto Scaling group {name}.")
    return original(responses)


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
    *autoscaling_unsupported.CHANGES,
)
