"""What EC2 Auto Scaling refuses of a group."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from moto.ec2.exceptions import EC2ClientError

from sandbox.api import ec2_launch
from sandbox.api.autoscaling_error import invalid, refuse, unsupported

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
# Others that AWS has: nothing of the sandbox finds a volume or a VPC Lattice target unhealthy.
UNSUPPORTED_HEALTH_CHECKS = ("EBS", "VPC_LATTICE")
TERMINATION_POLICIES = ("Default", "OldestInstance", "NewestInstance", "OldestLaunchTemplate")
# Parameters that would be kept and never act, each with the values that ask for nothing, beside empty ones (EC2 Auto
# Scaling API Reference, CreateAutoScalingGroup and the types of its parameters).
UNSUPPORTED: Final[Mapping[str, Sequence[object]]] = {
    "AvailabilityZoneDistribution": [{"CapacityDistributionStrategy": "balanced-best-effort"}],
    "AvailabilityZoneIds": (),
    "AvailabilityZoneImpairmentPolicy": [
        {"ZonalShiftEnabled": False},
        {"ZonalShiftEnabled": False, "ImpairedZoneHealthCheckBehavior": "IgnoreUnhealthy"},
        {"ZonalShiftEnabled": False, "ImpairedZoneHealthCheckBehavior": "ReplaceUnhealthy"},
    ],
    "CapacityRebalance": (),
    # Without Capacity Reservations both mean On-Demand capacity.
    "CapacityReservationSpecification": [{"CapacityReservationPreference": each} for each in ("default", "none")],
    "Context": (),
    "DeletionProtection": ["none"],
    "DesiredCapacityType": ["units"],
    "InstanceId": (),
    "InstanceLifecyclePolicy": [{"RetentionTriggers": {"TerminateHookAbandon": "terminate"}}],
    "LaunchConfigurationName": (),
    "LifecycleHookSpecificationList": (),
    "LoadBalancerNames": (),
    "MaxInstanceLifetime": (),
    "MixedInstancesPolicy": (),
    "Operator": (),
    "PlacementGroup": (),
    "SkipZonalShiftValidation": (),
    "TrafficSources": (),
}


def check_supported(params: dict[str, Any]) -> None:
    """Refuse parameters that would be kept and never act."""
    for name, neutral in UNSUPPORTED.items():
        if params.get(name) and params[name] not in neutral:
            unsupported(f"Auto Scaling groups with {name}")


def check_sizes(low: int, high: int, desired: int) -> None:
    """The rules for minimum, maximum and desired capacity."""
    for name, value in (("minSize", low), ("maxSize", high), ("desiredCapacity", desired)):
        if value < 0:
            invalid(
                f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must "
                "have value greater than or equal to 0"
            )
    if low > high:
        invalid(f"Max bound, {high}, must be greater than or equal to min bound, {low}")
    if not low <= desired <= high:
        invalid(f"Desired capacity:{desired} must be between the specified min size:{low} and max size:{high}")


def check_subnets(backend: Any, identifier: str) -> list[Any]:
    """The subnets of a list of ids, all there and in one VPC."""
    known = {subnet.id: subnet for subnet in backend.ec2_backend.describe_subnets()}
    wanted = [subnet_id.strip() for subnet_id in identifier.split(",")]
    for subnet_id in wanted:
        if subnet_id not in known:
            invalid(f"The subnet ID '{subnet_id}' does not exist")
    subnets = [known[subnet_id] for subnet_id in wanted]
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        invalid("All subnets of an Auto Scaling group must be in the same VPC")
    return subnets


def check_template(backend: Any, specification: dict[str, Any], subnets: list[Any]) -> None:
    """AWS tries the template in each subnet when a group is told to use it."""
    if bool(specification.get("LaunchTemplateId")) == bool(specification.get("LaunchTemplateName")):
        invalid("Valid requests must contain either launchTemplateId or LaunchTemplateName")
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
        invalid(f"You must use a valid fully-formed launch template. {error.message}")


def check_target_groups(backend: Any, arns: list[str], subnets: list[Any]) -> None:
    """Target groups of instances that exist, in the VPC of the subnets."""
    known, vpcs = backend.elbv2_backend.target_groups, {subnet.vpc_id for subnet in subnets}
    if any(arn not in known or known[arn].vpc_id not in vpcs for arn in arns):
        invalid("Provided Target Groups may not be valid. Please ensure they exist and try again.")
    for arn in arns:
        if known[arn].target_type != "instance":
            invalid(
                f"Provided Target Group '{arn}' has invalid target type. Please ensure all provided Target Groups have "
                "target type of instance"
            )


def check_health_check(params: dict[str, Any]) -> None:
    """Kinds of health checks, periods, termination policies."""
    if params.get("HealthCheckType") is not None:
        _check_kinds(str(params["HealthCheckType"]).split(","))
    for name in ("HealthCheckGracePeriod", "DefaultCooldown"):
        if params.get(name) is not None and int(params[name]) < 0:
            invalid(f"{name} must be 0 or more seconds, and is {params[name]}")
    for policy in params.get("TerminationPolicies") or []:
        if policy not in TERMINATION_POLICIES:
            unsupported(f"the termination policy {policy}")


def _check_kinds(kinds: list[str]) -> None:
    known = (*HEALTH_CHECKS, *UNSUPPORTED_HEALTH_CHECKS)
    if not set(kinds) <= set(known):
        invalid(f"Invalid HealthCheckType '{','.join(kinds)}': it must be one or more of {', '.join(known)}")
    for kind in kinds:
        if kind in UNSUPPORTED_HEALTH_CHECKS:
            unsupported(f"Auto Scaling groups with the HealthCheckType {kind}")


def check_name(backend: Any, name: str) -> None:
    """A name that is free and fits."""
    if not 1 <= len(name) <= NAME_MAX:
        invalid(f"The group's name has {len(name)} characters; it must have 1 to {NAME_MAX}")
    if name in backend.autoscaling_groups:
        taken = f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
        if backend.autoscaling_groups[name].__dict__.get("status"):
            taken += (
                " and is pending delete.  Please wait until Autoscaling completes the deletion process before creating "
                "another group with the same name."
            )
        refuse("AlreadyExists", taken)


def check_maintenance(params: dict[str, Any]) -> None:
    """The percentages of an instance maintenance policy."""
    policy = params.get("InstanceMaintenancePolicy")
    if not policy:
        return
    low, high = policy.get("MinHealthyPercentage"), policy.get("MaxHealthyPercentage")
    if low is None or high is None:
        invalid("Both MinHealthyPercentage and MaxHealthyPercentage must be specified.")
    if (low, high) == (-1, -1):
        return
    if not (0 <= low <= 100 <= high <= 200 and high - low <= 100):
        invalid(
            f"MinHealthyPercentage {low} must be 0 to 100, MaxHealthyPercentage {high} 100 to 200, and the difference "
            "between them at most 100"
        )


def check_processes(processes: list[str]) -> None:
    """Names of scaling processes."""
    unknown = [process for process in processes if process not in PROCESSES]
    if unknown:
        invalid(f"Invalid scaling processes: {', '.join(unknown)}; they must be of {', '.join(PROCESSES)}")
