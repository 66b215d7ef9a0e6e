"""A group under instance refresh, with the time, the health and the capacity that it meets in the test's hands."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.autoscaling.models import autoscaling_backends
from moto.core.utils import utcnow

from sandbox.api import (
    autoscaling_members,
    ec2_launch,
    images,
    instance_refresh,
    instance_refresh_moves,
    instance_refresh_record,
)
from sandbox.api.backend_lock import backend_lock

IMAGE = images.image_id("eu-west-1", images.releases()[-1].image_name("x86_64"))
LAUNCH_FIRST = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


class World:
    """What the group depends on, in the hands of the test: the time, its targets' health, EC2's capacity."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.passed = timedelta()
        self.targets: dict[str, str] = {}
        self.drains = False
        self.full = False
        for module in (autoscaling_members, instance_refresh_moves, instance_refresh_record):
            patch.setattr(module, "utcnow", self.now)
        patch.setattr(autoscaling_members, "_target_state", self.target_state)
        patch.setattr(ec2_launch, "_lacks_capacity", lambda _region: self.full)

    def now(self) -> datetime:
        return utcnow() + self.passed

    def wait(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)

    def target_state(self, _group: str, instance_id: str) -> str:
        if self.drains and instance_id in _terminating():
            return "draining"
        return self.targets.get(instance_id, "healthy")


class Fleet:
    """A group of version 1 of its launch template, which has a version 2; turns are taken by hand."""

    def __init__(self, aws: Any, world: World, **more: Any) -> None:
        self.world = world
        self.ec2, self.elb, self.asg, self.alarms = aws("ec2"), aws("elbv2"), aws("autoscaling"), aws("cloudwatch")
        vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24", AvailabilityZone="eu-west-1a")
        user_data = base64.b64encode(b"#cloud-config\n").decode()
        self.data = {"ImageId": IMAGE, "InstanceType": "t3.micro", "UserData": user_data}
        made = self.ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=self.data)
        self.template = made["LaunchTemplate"]["LaunchTemplateId"]
        self.version()
        targets = self.elb.create_target_group(Name="fleet", Protocol="HTTP", Port=80, VpcId=vpc)
        request = {
            "AutoScalingGroupName": "fleet",
            "MinSize": 0,
            "MaxSize": 12,
            "DesiredCapacity": 4,
            "LaunchTemplate": self.specification(1),
            "VPCZoneIdentifier": self.subnet["Subnet"]["SubnetId"],
            "TargetGroupARNs": [targets["TargetGroups"][0]["TargetGroupArn"]],
            "HealthCheckType": "ELB",
            "HealthCheckGracePeriod": 60,
            **more,
        }
        self.asg.create_auto_scaling_group(**request)
        self.world.wait(1)

    def version(self, **data: Any) -> None:
        self.ec2.create_launch_template_version(LaunchTemplateId=self.template, LaunchTemplateData=self.data | data)

    def specification(self, version: object) -> dict[str, Any]:
        return {"LaunchTemplateId": self.template, "Version": str(version)}

    def start(self, version: object | None = 2, **preferences: Any) -> str:
        request: dict[str, Any] = {"AutoScalingGroupName": "fleet", "Preferences": preferences}
        if version is not None:
            request["DesiredConfiguration"] = {"LaunchTemplate": self.specification(version)}
        return str(self.asg.start_instance_refresh(**request)["InstanceRefreshId"])

    def turn(self, times: int = 1) -> None:
        """What the workers do, in one go."""
        for _ in range(times):
            with backend_lock:
                instance_refresh.turn()
                for group in _groups():
                    autoscaling_members.settle(group)

    def refresh(self) -> dict[str, Any]:
        return dict(self.asg.describe_instance_refreshes(AutoScalingGroupName="fleet")["InstanceRefreshes"][0])

    @property
    def status(self) -> str:
        return str(self.refresh()["Status"])

    def group(self) -> dict[str, Any]:
        return dict(self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["fleet"])["AutoScalingGroups"][0])

    def template_version(self) -> str:
        return str(self.group()["LaunchTemplate"]["Version"])

    def members(self, version: int | None = None) -> list[str]:
        return [
            each["InstanceId"]
            for each in self.group()["Instances"]
            if each["LifecycleState"] == "InService"
            and (version is None or each["LaunchTemplate"]["Version"] == str(version))
        ]

    def versions(self) -> dict[str, int]:
        return dict(
            Counter(
                each["LaunchTemplate"]["Version"]
                for each in self.group()["Instances"]
                if each["LifecycleState"] == "InService"
            )
        )

    def all_bad(self, version: int) -> None:
        """The instances of `version` fail their checks."""
        self.world.targets |= dict.fromkeys(self.members(version), "unhealthy")

    def cancel(self, **more: Any) -> None:
        self.asg.cancel_instance_refresh(AutoScalingGroupName="fleet", **more)

    def roll_back(self) -> None:
        self.asg.rollback_instance_refresh(AutoScalingGroupName="fleet")

    def update(self, **changes: Any) -> None:
        self.asg.update_auto_scaling_group(AutoScalingGroupName="fleet", **changes)


def _groups() -> Iterator[Any]:
    for account in list(autoscaling_backends.values()):
        for backend in list(account.values()):
            yield from list(backend.autoscaling_groups.values())


def _terminating() -> set[str]:
    members = (each for group in _groups() for each in group.instance_states)
    return {each.instance.id for each in members if each.lifecycle_state == "Terminating"}


def alarm(fleet: Fleet, name: str = "errors") -> Callable[[str], None]:
    """Makes an alarm; returns what sets its state."""
    fleet.alarms.put_metric_alarm(
        AlarmName=name,
        MetricName="Errors",
        Namespace="Lockstep",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    return lambda state: fleet.alarms.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")
