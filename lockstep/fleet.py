"""The fleet of one site as AWS has it: its group, its instances with release and health, its refreshes.

A group is found by the tags of application and site, so that a site can be looked at, and returned to what it had,
while Pulumi's state is out of reach. An instance's release is its tag `lockstep:release`, which the launch template
puts there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockstep.config.naming import (
    APPLICATION_TAG,
    RELEASE_TAG,
    SITE_TAG,
    errors_alarm_name,
    unhealthy_alarm_name,
)
from lockstep.errors import InvalidInputError

Client = Callable[[str, str], Any]
"""`client(service, region)`: see `lockstep.aws.client`."""

# EC2 Auto Scaling API Reference, InstanceRefresh, Status.
ENDED: Final = frozenset(
    {"Successful", "Failed", "Cancelled", "RollbackFailed", "RollbackSuccessful"},
)
GOING_BACK: Final = "RollbackInProgress"

# EC2 API Reference, "Error codes", FilterLimitExceeded, which says: "The maximum number of filter values specified on a
# single call is 200". A fleet has up to 500 instances, and twice as many while it is refreshed.
FILTER_VALUES_MAX: Final = 200


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance of a group.

    `version` is that of the launch template it was started from, `lifecycle` and `health` are Auto Scaling's,
    `target_state` and `target_reason` Elastic Load Balancing's, None while it isn't registered.
    """

    id: str
    release: str | None
    version: int
    lifecycle: str
    health: str
    target_state: str | None = None
    target_reason: str = ""

    @property
    def in_service(self) -> bool:
        """Whether it counts for the group's capacity."""
        return self.lifecycle == "InService"

    @property
    def is_leaving(self) -> bool:
        """Whether it stays in the group only until its balancer has let go of it: minutes."""
        return self.lifecycle.startswith("Terminat")

    @property
    def serves(self) -> bool:
        """Whether it is in service and its balancer sends requests to it."""
        return self.in_service and self.health == "Healthy" and self.target_state == "healthy"


@dataclass(frozen=True, kw_only=True)
class Refresh:
    """An instance refresh: its id, status and percentage as AWS says them, and the template version it rolls to."""

    id: str
    status: str
    reason: str
    percentage: int
    version: str | None

    @property
    def active(self) -> bool:
        """Whether it still moves."""
        return self.status not in ENDED

    @property
    def is_ending(self) -> bool:
        """Whether it was stopped, or has stopped by itself, and only tidies up."""
        return self.status in (GOING_BACK, "Cancelling")

    def goes_to(self, version: int) -> bool:
        """Whether it moves the group to that version of the launch template."""
        return self.active and not self.is_ending and self.version == str(version)

    @property
    def has_failed(self) -> bool:
        """Whether it won't bring the group to its version any more."""
        return self.status == GOING_BACK or (not self.active and self.status != "Successful")


@dataclass(frozen=True, kw_only=True)
class FleetFacts:
    """A group at one moment. `version` is that of the launch template which its next instance will have."""

    group: str
    template_id: str
    version: int
    desired: int
    instances: tuple[Instance, ...]
    refresh: Refresh | None

    @property
    def serving(self) -> tuple[Instance, ...]:
        """The instances that requests go to."""
        return tuple(instance for instance in self.instances if instance.serves)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it stays, so that what serves next is what its template starts next."""
        return self.desired == 0 or all(instance.is_leaving for instance in self.instances)

    @property
    def releases(self) -> frozenset[str | None]:
        """The releases of all that is in service; None stands for an instance without the tag."""
        return frozenset(instance.release for instance in self.instances if instance.in_service)

    def runs(self, release: str | None) -> bool:
        """Whether the site has settled on `release`: as many instances as wanted, all healthy, nothing else left."""
        if release is None:
            return self.desired == 0 and not self.instances
        return (
            not (self.refresh and self.refresh.active)
            and self.desired > 0
            and len(self.serving) == len(self.instances) == self.desired
            and self.releases == {release}
        )

    def shortfall(self, release: str) -> str:
        """Why `runs(release)` is false, in words for a person."""
        if self.refresh and self.refresh.active:
            return f"an instance refresh is {self.refresh.status} at {self.refresh.percentage} %"
        others = sorted(f"{each.id} runs {each.release}" for each in self.instances if each.release != release)
        sick = sorted(f"{each.id} is {describe(each)}" for each in self.instances if not each.serves)
        counted = f"{len(self.serving)} of {self.desired} instances serve"
        return "; ".join([counted, *others, *sick])


def describe(instance: Instance) -> str:
    """The state of an instance that doesn't serve, in AWS's words."""
    if not instance.in_service:
        return instance.lifecycle
    if instance.health != "Healthy":
        return instance.health
    reason = f" ({instance.target_reason})" if instance.target_reason else ""
    return f"{instance.target_state or 'not registered with its balancer'}{reason}"


class SiteFleet:
    """The calls on one site's group that reporting and rolling need. Errors of AWS are raised as they are."""

    def __init__(self, client: Client, application: str, site: str, region: str) -> None:
        self.site = site
        self.region = region
        self._application = application
        self._client = client
        self._autoscaling = client("autoscaling", region)
        self._ec2 = client("ec2", region)
        self._balancing = client("elbv2", region)

    def facts(self) -> FleetFacts:
        """The group now. Raises InvalidInputError if the site has none yet."""
        group = self._group()
        if group is None:
            raise InvalidInputError(
                f"{self.site} has no Auto Scaling group in {self.region} with tags {APPLICATION_TAG}="
                f"{self._application} and {SITE_TAG}={self.site}: its stack isn't up",
                "lockstep up",
            )
        return self._facts(group)

    def facts_if_up(self) -> FleetFacts | None:
        """The group now, or None if the site has none yet."""
        group = self._group()
        return None if group is None else self._facts(group)

    def newest_version(self, template_id: str) -> tuple[int, str | None]:
        """Number and release of the newest version of the launch template."""
        version = self._version(template_id, "$Latest")
        return version["VersionNumber"], _release_of(version)

    def is_same(self, template_id: str, one: int, other: int) -> bool:
        """Whether two versions of the launch template start the same instances."""
        one_data, other_data = (self._version(template_id, str(each))["LaunchTemplateData"] for each in (one, other))
        return bool(_in_order(one_data) == _in_order(other_data))

    def use_version(self, facts: FleetFacts, version: int) -> None:
        """Have the group start its next instances from `version`; those that run stay as they are."""
        self._autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=facts.group,
            LaunchTemplate={"LaunchTemplateId": facts.template_id, "Version": str(version)},
        )

    def start_refresh(self, facts: FleetFacts, version: int, preferences: Mapping[str, Any]) -> str:
        """Begin to roll the group to `version`; returns the refresh's id."""
        answer = self._autoscaling.start_instance_refresh(
            AutoScalingGroupName=facts.group,
            Strategy="Rolling",
            DesiredConfiguration={
                "LaunchTemplate": {"LaunchTemplateId": facts.template_id, "Version": str(version)},
            },
            Preferences=dict(preferences),
        )
        return str(answer["InstanceRefreshId"])

    def alarms(self) -> dict[str, str]:
        """The state of each alarm by which rolls of the site end, by its name; those that the site hasn't got are left
        out."""
        names = [name(self._application, self.site) for name in (unhealthy_alarm_name, errors_alarm_name)]
        answer = self._client("cloudwatch", self.region).describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm"])
        return {each["AlarmName"]: each["StateValue"] for each in answer["MetricAlarms"]}

    def roll_back(self, facts: FleetFacts) -> None:
        """Have the active refresh return the group to the version it had."""
        self._autoscaling.rollback_instance_refresh(AutoScalingGroupName=facts.group)

    def cancel(self, facts: FleetFacts) -> None:
        """Have the active refresh stop where it is."""
        self._autoscaling.cancel_instance_refresh(AutoScalingGroupName=facts.group)

    def failed_launches(self, facts: FleetFacts) -> dict[str, str]:
        """What Auto Scaling says of the launches that failed lately, by the id of the activity, newest first."""
        activities = self._autoscaling.describe_scaling_activities(AutoScalingGroupName=facts.group, MaxRecords=20)
        return {
            each["ActivityId"]: str(each.get("StatusMessage", each["Description"]))
            for each in activities["Activities"]
            if each["StatusCode"] == "Failed"
        }

    def console_tail(self, instance_id: str) -> str:
        """The last lines of an instance's console; empty if EC2 has none, or no longer has the instance."""
        from botocore.exceptions import ClientError

        try:
            answer = self._ec2.get_console_output(InstanceId=instance_id)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidInstanceID.NotFound":
                return ""
            raise
        lines = [line for line in str(answer.get("Output", "")).splitlines() if line.strip()]
        return "\n".join(lines[-3:])

    def _group(self) -> dict[str, Any] | None:
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
            Filters=[
                {"Name": f"tag:{APPLICATION_TAG}", "Values": [self._application]},
                {"Name": f"tag:{SITE_TAG}", "Values": [self.site]},
            ]
        )
        # One that is being deleted is on its way out, and one that is replaced exists beside its successor for a while.
        found = [group for page in pages for group in page["AutoScalingGroups"] if not group.get("Status")]
        return max(found, key=lambda group: group["CreatedTime"], default=None)

    def _facts(self, group: Mapping[str, Any]) -> FleetFacts:
        name, ids = group["AutoScalingGroupName"], [each["InstanceId"] for each in group["Instances"]]
        releases, targets = self._releases(ids), self._targets(group["TargetGroupARNs"])
        return FleetFacts(
            group=name,
            template_id=group["LaunchTemplate"]["LaunchTemplateId"],
            version=int(group["LaunchTemplate"]["Version"]),
            desired=group["DesiredCapacity"],
            instances=tuple(
                Instance(
                    id=each["InstanceId"],
                    release=releases.get(each["InstanceId"]),
                    version=int(each["LaunchTemplate"]["Version"]),
                    lifecycle=each["LifecycleState"],
                    health=each["HealthStatus"],
                    target_state=targets.get(each["InstanceId"], (None, ""))[0],
                    target_reason=targets.get(each["InstanceId"], (None, ""))[1],
                )
                for each in group["Instances"]
            ),
            refresh=self._refresh(name),
        )

    def _releases(self, ids: Sequence[str]) -> dict[str, str]:
        """The release of each instance that EC2 knows and that has the tag."""
        describe = self._ec2.get_paginator("describe_instances")
        parts = [ids[start : start + FILTER_VALUES_MAX] for start in range(0, len(ids), FILTER_VALUES_MAX)]
        # A filter, unlike InstanceIds, isn't refused for an instance that has just gone, or that EC2 doesn't show yet.
        return {
            instance["InstanceId"]: tag["Value"]
            for part in parts
            for page in describe.paginate(Filters=[{"Name": "instance-id", "Values": part}])
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
            for tag in instance.get("Tags", ())
            if tag["Key"] == RELEASE_TAG
        }

    def _targets(self, arns: list[str]) -> dict[str, tuple[str, str]]:
        found = {}
        for arn in arns:
            for each in self._balancing.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
                health = each["TargetHealth"]
                found[each["Target"]["Id"]] = health["State"], health.get("Description", health.get("Reason", ""))
        return found

    def _refresh(self, group: str) -> Refresh | None:
        """The newest one, which is the active one if any is: a group has no two at once.

        EC2 Auto Scaling API Reference, DescribeInstanceRefreshes, "InstanceRefreshes": sorted by creation timestamp in
        descending order. Their StartTime wouldn't do, as one that is Pending hasn't started.
        """
        answer = self._autoscaling.describe_instance_refreshes(AutoScalingGroupName=group, MaxRecords=1)
        for each in answer["InstanceRefreshes"]:
            wanted = each.get("DesiredConfiguration", {}).get("LaunchTemplate", {})
            return Refresh(
                id=each["InstanceRefreshId"],
                status=each["Status"],
                reason=each.get("StatusReason", ""),
                percentage=each.get("PercentageComplete", 0),
                version=wanted.get("Version"),
            )
        return None

    def _version(self, template_id: str, version: str) -> dict[str, Any]:
        answer = self._ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[version])
        found: dict[str, Any] = answer["LaunchTemplateVersions"][0]
        return found


def _in_order(data: Any) -> Any:
    """A launch template's data with its lists sorted: providers send tags and sets in any order, and none matters."""
    if isinstance(data, Mapping):
        return {name: _in_order(data[name]) for name in sorted(data)}
    return sorted(map(_in_order, data), key=repr) if isinstance(data, list) else data


def _release_of(version: Mapping[str, Any]) -> str | None:
    for specification in version["LaunchTemplateData"].get("TagSpecifications", ()):
        if specification["ResourceType"] == "instance":
            for tag in specification["Tags"]:
                if tag["Key"] == RELEASE_TAG:
                    return str(tag["Value"])
    return None
