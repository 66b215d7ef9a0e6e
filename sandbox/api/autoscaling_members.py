"""The instances of Auto Scaling groups: how they are launched, judged, drained and ended.

A group changes only through `launch` and `terminate`; `settle` decides how many of each. Everything that may make a
group unequal to what it should be (a request, an instance that ends, a target that fails its checks, a process resumed)
ends in `settle`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError

from sandbox import clock
from sandbox.api import ec2_launch
from sandbox.api.autoscaling_activities import at, record
from sandbox.api.autoscaling_error import invalid
from sandbox.api.autoscaling_maintenance import Bounds, bounds_of, ending
from sandbox.api.workers import alone

IN_SERVICE, TERMINATING = "InService", "Terminating"
# The status of a group that is deleted by force (API Reference, AutoScalingGroup).
DELETING = "Delete in progress"
UNHEALTHY = (
    "an instance was taken out of service in response to an EC2 health check indicating it has been terminated or "
    "stopped."
)
IMPAIRED = "an instance was taken out of service in response to an EC2 instance status checks failure."
REPORTED_UNHEALTHY = "an instance was taken out of service in response to a user health-check."
FAILED_TARGET = "an instance was taken out of service in response to an ELB system health check failure."
# How long a group waits after a launch that failed, and how that grows. Seconds; AWS gives no figures.
FIRST_RETRY, LONGEST_RETRY = 10.0, 300.0
_DOUBLINGS = 5

TargetState = Callable[[str, str], str | None]
"""`state(target group's ARN, instance id)`: Elastic Load Balancing's name for the target's state; None if unknown."""
_target_state: TargetState = lambda group, instance: None  # noqa: E731 - replaced as a whole
_is_impaired: Callable[[str], bool] = lambda instance: False  # noqa: E731


def use_health_of(target_state: TargetState, is_impaired: Callable[[str], bool]) -> None:
    """Where groups learn of their instances' health. Without it all are healthy as long as they run."""
    global _target_state, _is_impaired
    _target_state, _is_impaired = target_state, is_impaired


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
        self.illness: str | None = None
        self.ending: dict[str, Any] | None = None

    @property
    def launch_template(self) -> dict[str, Any]:
        """The template by id and name, and the version as a number, whatever the group asks for by now."""
        return self.template

    @property
    def launch_configuration_name(self) -> None:
        """No instance of the sandbox is of a launch configuration."""
        return None

    @property
    def age(self) -> float:
        """Seconds since it was launched, in AWS's time."""
        return clock.simulated((utcnow() - self.launched).total_seconds())


def group_named(backend: Any, name: str) -> Any:
    """The group called `name`, or AWS's refusal."""
    if name not in backend.autoscaling_groups:
        invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def is_deleting(group: Any) -> bool:
    """Whether `group` was deleted by force and waits for its last instance to be gone."""
    return bool(group.__dict__.get("status") == DELETING)


def suspended(group: Any, *processes: str) -> bool:
    """Whether one of `processes` is suspended."""
    return any(process in group._suspended_processes for process in processes)


def specification_of(group: Any) -> dict[str, Any]:
    """The launch template and version that the group asks for."""
    return {"LaunchTemplateId": group.ec2_launch_template.id, "Version": group.launch_template_version}


def target_groups(group: Any) -> list[Any]:
    """The group's target groups that still exist: they may be deleted before it."""
    known = group.autoscaling_backend.elbv2_backend.target_groups
    return [known[arn] for arn in group.target_group_arns if arn in known]


def register(group: Any, members: list[Any]) -> None:
    """Register those of `members` that run with the group's target groups."""
    if suspended(group, "AddToLoadBalancer"):
        return
    for target_group in target_groups(group):
        running = [member.instance.id for member in members if member.instance.state == "running"]
        new = [instance_id for instance_id in running if instance_id not in target_group.targets]
        target_group.register([{"Id": instance_id, "Port": target_group.port} for instance_id in new])


def subnets_of(group: Any) -> list[Any]:
    """The group's subnets that still exist: those without an instance may be deleted before it."""
    known = {subnet.id: subnet for subnet in group.ec2_backend.describe_subnets()}
    return [known[subnet_id] for subnet_id in group.vpc_zone_identifier.split(",") if subnet_id in known]


def _next_subnet(group: Any) -> Any | None:
    """The subnet with fewest members in the zone with fewest (User Guide, "Availability Zone distribution")."""
    zones = Counter(member.availability_zone for member in group.active_instances())
    subnets = Counter(member.instance.subnet_id for member in group.active_instances())
    by_members = sorted(subnets_of(group), key=lambda subnet: (zones[subnet.availability_zone], subnets[subnet.id]))
    return by_members[0] if by_members else None


def launch(group: Any, cause: str, specification: dict[str, Any] | None = None) -> Member | None:
    """Start one instance of `group`, and register it: from the template version that the group asks for now, or from
    the one that an instance refresh is rolling to, or from `specification`.

    What EC2 refuses is a failed activity, not an error: None is returned then, and `settle` waits before it tries
    again.
    """
    subnet = _next_subnet(group)
    if subnet is None:
        gone = f"The subnet ID '{group.vpc_zone_identifier}' does not exist. Launching EC2 instance failed."
        _failed(group, cause, "", group.vpc_zone_identifier, gone)
        return None
    zone = subnet.availability_zone
    wanted = specification or group.__dict__.get("refreshing_to") or specification_of(group)
    try:
        version = ec2_launch.template_version(group.ec2_backend, wanted)
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
        _failed(group, cause, zone, subnet.id, f"{error.message}. Launching EC2 instance failed.")
        return None
    template = {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "Version": str(version.number),
    }
    member = Member(reservation.instances[0], group, template)
    group.instance_states.append(member)
    register(group, [member])
    record(group, f"Launching a new EC2 instance: {member.instance.id}", cause, zone, subnet.id)
    group.__dict__.pop("failed_launches", None)
    return member


def _failed(group: Any, cause: str, zone: str, subnet: str, failure: str) -> None:
    record(group, "Launching a new EC2 instance.", cause, zone, subnet, failure)
    group.failed_launches = [*group.__dict__.get("failed_launches", []), utcnow()]


def may_launch(group: Any) -> bool:
    """Whether a launch may be tried: not suspended, not to be deleted, and not soon after one that failed."""
    failed = group.__dict__.get("failed_launches")
    if suspended(group, "Launch") or is_deleting(group):
        return False
    if not failed:
        return True
    wait = min(FIRST_RETRY * 2 ** min(len(failed) - 1, _DOUBLINGS), LONGEST_RETRY)
    return bool(clock.simulated((utcnow() - failed[-1]).total_seconds()) >= wait)


def terminate(group: Any, member: Any, cause: str) -> dict[str, Any]:
    """Take `member` out of service: it leaves its target groups now, and the group once they have let go of it.

    Returns the activity, which goes on until then (User Guide, "Use Elastic Load Balancing", connection draining).
    """
    instance = member.instance
    for target_group in target_groups(group):
        target_group.deregister([{"Id": instance.id}])
    activity = record(
        group, f"Terminating EC2 instance: {instance.id}", cause, member.availability_zone, instance.subnet_id
    )
    member.lifecycle_state, member.ending = TERMINATING, activity
    if not _is_draining(group, member):
        _finish(group, member)
    else:
        activity.update(StatusCode="WaitingForELBConnectionDraining", EndTime=None, Progress=50)
    return activity


def _is_draining(group: Any, member: Any) -> bool:
    return any(_target_state(each.arn, member.instance.id) == "draining" for each in target_groups(group))


def _finish(group: Any, member: Any) -> None:
    instance = member.instance
    group.instance_states.remove(member)
    if instance.state != "terminated":
        # Only scale-in protection counts for a group (User Guide, "Instance scale-in protection").
        instance.disable_api_termination = False
        group.ec2_backend.terminate_instances([instance.id])
    member.ending.update(StatusCode="Successful", EndTime=utcnow(), Progress=100)


def is_ready(group: Any, member: Any) -> bool:
    """Whether `member` is in service and healthy, to its balancers too where the group looks at them."""
    if member.lifecycle_state != IN_SERVICE or _illness(group, member) is not None:
        return False
    if "ELB" not in group.health_check_type or suspended(group, "HealthCheck"):
        return True
    states = [_target_state(each.arn, member.instance.id) for each in target_groups(group)]
    return all(state in (None, "healthy", "unused") for state in states)


def _illness(group: Any, member: Any) -> str | None:
    """Why `member` has to be replaced; None if it hasn't."""
    if member.health_status == "Unhealthy":
        return member.illness or REPORTED_UNHEALTHY
    if suspended(group, "HealthCheck"):
        return None
    if member.instance.state != "running":
        return UNHEALTHY
    # User Guide, "Set the health check grace period": checks that fail sooner don't count.
    if member.age < int(group.health_check_grace_period):
        return None
    if _is_impaired(member.instance.id):
        return IMPAIRED
    if "ELB" in group.health_check_type and any(
        _target_state(each.arn, member.instance.id) == "unhealthy" for each in target_groups(group)
    ):
        return FAILED_TARGET
    return None


def _end_unhealthy(group: Any) -> int:
    """End what is unhealthy, as far as it may be now; returns how many instances stay until others are ready."""
    if suspended(group, "ReplaceUnhealthy", "Terminate"):
        return 0
    unhealthy = []
    for member in group.active_instances():
        illness = _illness(group, member)
        if illness is None:
            continue
        member.health_status, member.illness = "Unhealthy", illness
        unhealthy.append(member)
    gone = [member for member in unhealthy if member.instance.state != "running"]
    ill = [member for member in unhealthy if member not in gone]
    ready = sum(is_ready(group, member) and _is_warm(group, member) for member in group.active_instances())
    count = ending(_bounds(group), desired=group.desired_capacity, ready=ready, unhealthy=len(ill))
    for member in [*gone, *ill[:count]]:
        terminate(group, member, f"At {at(utcnow())} {member.illness}")
    return len(ill) - count


def _bounds(group: Any) -> Bounds | None:
    return bounds_of(group.__dict__.get("instance_maintenance_policy"), group.desired_capacity)


def _is_warm(group: Any, member: Any) -> bool:
    return bool(member.age >= int(group.__dict__.get("default_instance_warmup") or 0))


def delete(group: Any, cause: str) -> None:
    """End all of a group's instances, and the group with the last of them."""
    group.status = DELETING
    for member in group.active_instances():
        terminate(group, member, cause)
    settle(group)


def _finish_terminations(group: Any) -> None:
    for member in [member for member in group.instance_states if member.lifecycle_state == TERMINATING]:
        if not _is_draining(group, member):
            _finish(group, member)
    if is_deleting(group) and not group.instance_states:
        group.autoscaling_backend.autoscaling_groups.pop(group.name, None)


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


def _leave_foreign_subnets(group: Any) -> None:
    """Move members out of subnets that the group no longer has: a new one is there before an old one goes."""
    if suspended(group, "AZRebalance", "Terminate"):
        return
    own = set(group.vpc_zone_identifier.split(","))
    for member in [member for member in group.active_instances() if member.instance.subnet_id not in own]:
        cause = f"At {at(utcnow())} instances were launched to balance instances in the zones of the group."
        if not may_launch(group) or launch(group, cause) is None:
            return
        terminate(group, member, cause)


def settle(group: Any, trigger: str = "") -> None:
    """Bring `group` to its desired number of healthy instances in its own subnets, as far as no process is suspended.

    `trigger` is the sentence that the activities give as the first cause, without its time. While an instance refresh
    is under way the group may have more instances than it wants: the refresh ends them.
    """
    _finish_terminations(group)
    if is_deleting(group):
        return
    staying, bounds = _end_unhealthy(group), _bounds(group)
    wanted = group.desired_capacity + staying
    most = wanted if bounds is None else min(wanted, bounds.most)
    _leave_foreign_subnets(group)
    before, now = len(group.active_instances()), at(utcnow())
    first = f"At {now} {trigger}  " if trigger else ""
    difference = f"in response to a difference between desired and actual capacity, {{}} the capacity from {before} to "
    started = difference.format("increasing") + f"{group.desired_capacity}."
    while len(group.active_instances()) < most and may_launch(group):
        if launch(group, f"{first}At {now} an instance was started {started}") is None:
            return
    if group.__dict__.get("refreshing_to") is not None and group.desired_capacity > 0:
        return
    stopped = difference.format("shrinking") + f"{group.desired_capacity}."
    while len(group.active_instances()) > wanted and not suspended(group, "Terminate"):
        member = _victim(group)
        if member is None:
            return
        selected = f"At {now} instance {member.instance.id} was selected for termination."
        terminate(group, member, f"{first}At {now} an instance was taken out of service {stopped}  {selected}")


def settle_all(backend: Any) -> None:
    """`settle` every group of `backend`. One that fails keeps no other from it."""
    for group in list(backend.autoscaling_groups.values()):
        with alone(f"Auto Scaling group {group.arn}"):
            settle(group)
