"""Groups hold their number of instances, spread, healthy and registered, and refuse what AWS refuses."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from sandbox.api import images
from sandbox.api.autoscaling import KEPT
from sandbox.api.autoscaling_checks import UNSUPPORTED

# What moto or the sandbox acts on, beside what is kept and shown.
HANDLED = {
    "AutoScalingGroupName",
    "AvailabilityZones",
    "DesiredCapacity",
    "HealthCheckType",
    "LaunchTemplate",
    "MaxSize",
    "MinSize",
    "NewInstancesProtectedFromScaleIn",
    "Tags",
    "TargetGroupARNs",
    "VPCZoneIdentifier",
}
NEWEST = images.releases()[-1]
IMAGE = images.image_id("eu-west-1", NEWEST.image_name("x86_64"))
ARM_IMAGE = images.image_id("eu-west-1", NEWEST.image_name("arm64"))
MISSING_IMAGE = "ami-0123456789abcdef0"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


class Site:
    """A network in three zones with a launch template and a target group; the clients to work on it."""

    def __init__(self, aws: Any) -> None:
        self.ec2, self.elb, self.asg = aws("ec2"), aws("elbv2"), aws("autoscaling")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"eu-west-1{letter}"
            )["Subnet"]["SubnetId"]
            for number, letter in enumerate("abc")
        ]
        user_data = base64.b64encode(b"#cloud-config\n").decode()
        self.data = {"ImageId": IMAGE, "InstanceType": "t3.micro", "UserData": user_data}
        made = self.ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=self.data)
        self.template = made["LaunchTemplate"]["LaunchTemplateId"]
        group = self.elb.create_target_group(Name="fleet", Protocol="HTTP", Port=80, VpcId=self.vpc)
        self.targets = group["TargetGroups"][0]["TargetGroupArn"]

    def version(self, **data: Any) -> int:
        made = self.ec2.create_launch_template_version(
            LaunchTemplateId=self.template, LaunchTemplateData={**self.data, **data}
        )
        return int(made["LaunchTemplateVersion"]["VersionNumber"])

    def create(self, **more: Any) -> dict[str, Any]:
        request = {
            "AutoScalingGroupName": "fleet",
            "MinSize": 0,
            "MaxSize": 6,
            "DesiredCapacity": 2,
            "LaunchTemplate": {"LaunchTemplateId": self.template, "Version": "$Latest"},
            "VPCZoneIdentifier": ",".join(self.subnets),
            "TargetGroupARNs": [self.targets],
            **more,
        }
        self.asg.create_auto_scaling_group(**{key: value for key, value in request.items() if value is not None})
        return self.group()

    def group(self) -> dict[str, Any]:
        (found,) = self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["fleet"])["AutoScalingGroups"]
        return dict(found)

    def desire(self, number: int) -> None:
        self.asg.set_desired_capacity(AutoScalingGroupName="fleet", DesiredCapacity=number)

    def members(self) -> dict[str, dict[str, Any]]:
        return {instance["InstanceId"]: instance for instance in self.group()["Instances"]}

    def registered(self) -> set[str]:
        described = self.elb.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return {target["Target"]["Id"] for target in described}

    def running(self) -> set[str]:
        filters = [{"Name": "instance-state-name", "Values": ["running"]}]
        reservations = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return {instance["InstanceId"] for reservation in reservations for instance in reservation["Instances"]}

    def zones(self) -> Counter[str]:
        return Counter(member["AvailabilityZone"] for member in self.members().values())

    def activities(self) -> list[dict[str, Any]]:
        return list(self.asg.describe_scaling_activities(AutoScalingGroupName="fleet")["Activities"])


@pytest.fixture
def site(aws: Any) -> Site:
    return Site(aws)


@pytest.mark.change("autoscaling-group-rules")
@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"DesiredCapacity": 7}, "Desired capacity:7 must be between the specified min size:0 and max size:6"),
        ({"MinSize": 3}, "Desired capacity:2 must be between the specified min size:3 and max size:6"),
        ({"MinSize": 7, "DesiredCapacity": 7}, "Max bound, 6, must be greater than or equal to min bound, 7"),
        ({"MinSize": -1}, "greater than or equal to 0"),
        ({"VPCZoneIdentifier": "subnet-0123456789abcdef0"}, "The subnet ID 'subnet-0123456789abcdef0' does not exist"),
        ({"VPCZoneIdentifier": None}, "At least one Availability Zone or VPC Subnet is required."),
        ({"LaunchTemplate": None}, "Valid requests must contain either LaunchTemplate"),
        ({"HealthCheckType": "HTTP"}, "HTTP"),
        ({"HealthCheckType": "EBS,HTTP"}, "HTTP"),
        ({"HealthCheckGracePeriod": -1}, "HealthCheckGracePeriod"),
        (
            {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}},
            "You must use a valid fully-formed launch template. The specified launch template, with template ID "
            "lt-0123456789abcdef0, does not exist.",
        ),
        (
            {"LaunchTemplate": {"LaunchTemplateName": "fleet", "Version": "9"}},
            "You must use a valid fully-formed launch template. Could not find the specified version 9",
        ),
        (
            {"TargetGroupARNs": ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/x/0123456789abcdef"]},
            "Provided Target Groups may not be valid. Please ensure they exist and try again.",
        ),
    ],
)
def test_a_group_that_aws_refuses_is_refused(site: Site, sizes: dict[str, Any], words: str) -> None:
    """Without it a fleet that can't be made on AWS runs here."""
    code, message = refused(lambda: site.create(**sizes))
    assert code == "ValidationError"
    assert words in message
    assert site.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert site.running() == set()


@pytest.mark.change("autoscaling-group-rules")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"ImageId": MISSING_IMAGE}, f"The image id '[{MISSING_IMAGE}]' does not exist"),
        ({"InstanceType": "t3.tiny"}, "Invalid value 't3.tiny' for InstanceType."),
        ({"ImageId": ARM_IMAGE}, "matching architectures"),
        ({"IamInstanceProfile": {"Name": "absent"}}, "Invalid IAM Instance Profile name"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "'sg-0123456789abcdef0' does not exist"),
    ],
)
def test_a_template_that_starts_nothing_makes_no_group(site: Site, data: dict[str, Any], words: str) -> None:
    """Without it a group with an image that was deregistered is made, and stays empty only on AWS."""
    site.version(**data)
    code, message = refused(site.create)
    assert code == "ValidationError"
    assert message.startswith("You must use a valid fully-formed launch template. ")
    assert words in message
    site.create(LaunchTemplate={"LaunchTemplateId": site.template, "Version": "1"})
    latest = {"LaunchTemplateId": site.template, "Version": "$Latest"}
    update = partial(site.asg.update_auto_scaling_group, AutoScalingGroupName="fleet", LaunchTemplate=latest)
    assert words in refused(update)[1]


@pytest.mark.change("autoscaling-unknown-groups")
def test_a_missing_group_or_member_is_refused(site: Site) -> None:
    """Without it work on a group that was deleted behind Pulumi's back ends in a server error, retried for minutes."""
    site.create()
    tag = {
        "ResourceId": "gone",
        "ResourceType": "auto-scaling-group",
        "Key": "k",
        "Value": "v",
        "PropagateAtLaunch": True,
    }
    calls = [
        partial(site.asg.create_or_update_tags, Tags=[tag]),
        partial(site.asg.delete_tags, Tags=[tag]),
        partial(site.asg.describe_load_balancer_target_groups, AutoScalingGroupName="gone"),
        partial(site.asg.enable_metrics_collection, AutoScalingGroupName="gone", Granularity="1Minute"),
        partial(site.asg.describe_scaling_activities, AutoScalingGroupName="gone"),
        partial(site.asg.update_auto_scaling_group, AutoScalingGroupName="gone"),
        partial(
            site.asg.set_instance_protection,
            AutoScalingGroupName="fleet",
            InstanceIds=["i-0123456789abcdef0"],
            ProtectedFromScaleIn=True,
        ),
    ]
    for call in calls:
        assert refused(call)[0] == "ValidationError"
    site.asg.create_or_update_tags(Tags=[{**tag, "ResourceId": "fleet"}])
    assert [(t["Key"], t["Value"]) for t in site.group()["Tags"]] == [("k", "v")]


@pytest.mark.change("autoscaling-group-rules")
def test_a_group_name_is_used_once(site: Site) -> None:
    """Without it a second group silently takes the first one's place."""
    site.create()
    assert refused(site.create) == (
        "AlreadyExists",
        "AutoScalingGroup by this name already exists - A group with the name fleet already exists",
    )
    assert len(site.running()) == 2


@pytest.mark.change("autoscaling-group-rules")
@pytest.mark.parametrize("shape", ["CreateAutoScalingGroupType", "UpdateAutoScalingGroupType"])
def test_every_parameter_of_a_group_is_handled_kept_or_refused(shape: str) -> None:
    """Without it what AWS has added since is dropped without a word."""
    model: Any = botocore.session.get_session().get_service_model("autoscaling").shape_for(shape)
    assert set(model.members) - HANDLED - set(KEPT) == set(UNSUPPORTED) & set(model.members)
    assert not (HANDLED | set(KEPT)) & set(UNSUPPORTED)


@pytest.mark.change("autoscaling-group-rules")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AvailabilityZoneDistribution", {"CapacityDistributionStrategy": "balanced-only"}),
        ("AvailabilityZoneIds", ["euw1-az1"]),
        ("AvailabilityZoneImpairmentPolicy", {"ZonalShiftEnabled": True}),
        ("CapacityRebalance", True),
        (
            "CapacityReservationSpecification",
            {"CapacityReservationPreference": "capacity-reservations-only"},
        ),
        ("Context", "reserved"),
        ("DeletionProtection", "prevent-force-deletion"),
        ("DesiredCapacityType", "vcpu"),
        ("InstanceId", "i-0123456789abcdef0"),
        ("InstanceLifecyclePolicy", {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}),
        ("LaunchConfigurationName", "old"),
        (
            "LifecycleHookSpecificationList",
            [{"LifecycleHookName": "hook", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}],
        ),
        ("LoadBalancerNames", ["classic"]),
        ("MaxInstanceLifetime", 86_400),
        ("MixedInstancesPolicy", {"InstancesDistribution": {"OnDemandBaseCapacity": 1}}),
        ("Operator", {"Principal": "ecs.amazonaws.com"}),
        ("PlacementGroup", "cluster"),
        ("SkipZonalShiftValidation", True),
        ("TrafficSources", [{"Identifier": "arn:aws:vpc-lattice:eu-west-1:123456789012:targetgroup/tg-1"}]),
    ],
)
def test_what_would_never_act_is_refused_by_name(site: Site, name: str, value: object) -> None:
    """Without it a group that AWS wouldn't delete, say, is gone here, and nobody learns that it isn't protected."""
    code, message = refused(lambda: site.create(**{name: value}))
    assert (code, name in message) == ("NotImplemented", True), message
    site.create()
    update = site.asg.update_auto_scaling_group
    if name in update.__self__.meta.service_model.operation_model("UpdateAutoScalingGroup").input_shape.members:
        code, message = refused(partial(update, AutoScalingGroupName="fleet", **{name: value}))
        assert (code, name in message) == ("NotImplemented", True), message


@pytest.mark.change("autoscaling-group-rules")
def test_what_asks_for_nothing_is_taken(site: Site) -> None:
    """Without it a program that says what is so anyway runs on AWS only."""
    neutral = {
        "AvailabilityZoneDistribution": {"CapacityDistributionStrategy": "balanced-best-effort"},
        "AvailabilityZoneImpairmentPolicy": {
            "ZonalShiftEnabled": False,
            "ImpairedZoneHealthCheckBehavior": "IgnoreUnhealthy",
        },
        "CapacityRebalance": False,
        "CapacityReservationSpecification": {"CapacityReservationPreference": "default"},
        "DeletionProtection": "none",
        "DesiredCapacityType": "units",
        "InstanceLifecyclePolicy": {"RetentionTriggers": {"TerminateHookAbandon": "terminate"}},
        "MaxInstanceLifetime": 0,
        "SkipZonalShiftValidation": False,
    }
    site.create(**neutral)
    site.asg.update_auto_scaling_group(AutoScalingGroupName="fleet", **neutral)
    assert len(site.members()) == 2


@pytest.mark.change("autoscaling-group-rules")
@pytest.mark.parametrize("kind", ["EBS", "VPC_LATTICE", "ELB,EBS"])
def test_checks_that_the_sandbox_lacks_are_refused_by_name(site: Site, kind: str) -> None:
    """Without it they are taken for no checks of AWS's, or for some that are made here."""
    code, message = refused(lambda: site.create(HealthCheckType=kind))
    assert (code, f"the HealthCheckType {kind.removeprefix('ELB,')}" in message) == ("NotImplemented", True), message


@pytest.mark.change("autoscaling-group-rules")
def test_a_target_group_of_addresses_is_refused(site: Site) -> None:
    """Without it a group registers instances' ids as addresses, which AWS says at the first deployment."""
    made = site.elb.create_target_group(Name="ips", Protocol="HTTP", Port=80, VpcId=site.vpc, TargetType="ip")
    addresses = made["TargetGroups"][0]["TargetGroupArn"]
    words = (
        f"Provided Target Group '{addresses}' has invalid target type. Please ensure all provided Target Groups have "
        "target type of instance"
    )
    assert refused(lambda: site.create(TargetGroupARNs=[site.targets, addresses])) == ("ValidationError", words)
    site.create()
    attach = partial(site.asg.attach_load_balancer_target_groups, AutoScalingGroupName="fleet")
    assert refused(partial(attach, TargetGroupARNs=[addresses])) == ("ValidationError", words)
    assert site.group()["TargetGroupARNs"] == [site.targets]


@pytest.mark.change("autoscaling-group-rules")
def test_settings_come_back_as_given_and_as_updated(site: Site) -> None:
    """Without it a refresh finds drift in settings that nobody touched, or none in those that were."""
    group = site.create()
    assert (group["HealthCheckGracePeriod"], group["DefaultCooldown"]) == (0, 300)
    assert group["AvailabilityZones"] == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    changes = {
        "HealthCheckType": "ELB",
        "HealthCheckGracePeriod": 90,
        "DefaultCooldown": 0,
        "DefaultInstanceWarmup": 60,
        "TerminationPolicies": ["OldestInstance"],
        "InstanceMaintenancePolicy": {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200},
    }
    site.asg.update_auto_scaling_group(AutoScalingGroupName="fleet", **changes)
    group = site.group()
    assert {key: group[key] for key in changes} == changes


@pytest.mark.change("autoscaling-group-rules")
def test_the_desired_number_stays_in_its_bounds(site: Site) -> None:
    """Without it a fleet grows past its maximum, or an update leaves it outside its new bounds."""
    site.create(MinSize=1)
    assert refused(lambda: site.desire(7)) == (
        "ValidationError",
        "New SetDesiredCapacity value 7 is above max value 6 for the AutoScalingGroup.",
    )
    assert refused(lambda: site.desire(0))[1].startswith("New SetDesiredCapacity value 0 is below min value 1")
    update = partial(site.asg.update_auto_scaling_group, AutoScalingGroupName="fleet")
    assert refused(partial(update, DesiredCapacity=9))[0] == "ValidationError"
    update(MinSize=4)
    assert (site.group()["DesiredCapacity"], len(site.running())) == (4, 4)
    update(MinSize=0, MaxSize=1)
    assert (site.group()["DesiredCapacity"], len(site.running())) == (1, 1)


@pytest.mark.change("autoscaling-members")
def test_instances_are_spread_over_all_zones(site: Site) -> None:
    """Without it a fleet stands in one zone, and losing that zone loses the site."""
    site.create(DesiredCapacity=6)
    assert set(site.zones().values()) == {2}
    site.desire(4)
    assert sorted(site.zones().values()) == [1, 1, 2]
    site.desire(3)
    assert set(site.zones().values()) == {1}
    for instance_id, member in site.members().items():
        (reservation,) = site.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        zone = reservation["Instances"][0]["Placement"]["AvailabilityZone"]
        assert zone == member["AvailabilityZone"]


@pytest.mark.change("autoscaling-members")
def test_an_instance_says_the_template_version_that_it_was_started_from(site: Site) -> None:
    """Without it a deployment can't tell old instances from new ones: a release counts that runs nowhere."""
    site.create()
    assert {member["LaunchTemplate"]["Version"] for member in site.members().values()} == {"1"}
    assert site.version(InstanceType="t3.small") == 2
    site.desire(4)
    started = Counter(
        (member["LaunchTemplate"]["Version"], member["InstanceType"]) for member in site.members().values()
    )
    assert started == {("1", "t3.micro"): 2, ("2", "t3.small"): 2}
    listed = site.asg.describe_auto_scaling_instances()["AutoScalingInstances"]
    assert Counter(instance["LaunchTemplate"]["Version"] for instance in listed) == {"1": 2, "2": 2}
    site.desire(2)
    assert {member["LaunchTemplate"]["Version"] for member in site.members().values()} == {"2"}


@pytest.mark.change("autoscaling-members")
def test_instances_carry_the_tags_of_group_and_template(site: Site) -> None:
    """Without it instances can't be found by site, or billed."""
    site.version(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}])
    site.create(Tags=[{"Key": "lockstep:site", "Value": "primary", "PropagateAtLaunch": True}, {"Key": "own"}])
    instance_id = next(iter(site.members()))
    (reservation,) = site.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    tags = {tag["Key"]: tag["Value"] for tag in reservation["Instances"][0]["Tags"]}
    assert tags == {
        "from": "template",
        "lockstep:site": "primary",
        "aws:autoscaling:groupName": "fleet",
        "aws:ec2launchtemplate:id": site.template,
        "aws:ec2launchtemplate:version": "2",
    }


@pytest.mark.change("autoscaling-members")
@pytest.mark.parametrize("operation", ["terminate_instances", "stop_instances"])
def test_an_instance_that_ends_or_stops_is_replaced(site: Site, operation: str) -> None:
    """Without it a group stays short of an instance, or keeps a stopped one for good."""
    site.create()
    lost, kept = sorted(site.members())
    getattr(site.ec2, operation)(InstanceIds=[lost])
    members = set(site.members())
    assert len(members) == 2
    assert kept in members
    assert lost not in members
    assert site.running() == members


@pytest.mark.change("autoscaling-members")
def test_an_instance_reported_unhealthy_is_replaced_after_its_grace_period(site: Site) -> None:
    """Without it an operator's word that an instance is ill changes nothing, or kills one that is still starting."""
    site.create(HealthCheckGracePeriod=300)
    ill = sorted(site.members())[0]
    report = partial(site.asg.set_instance_health, InstanceId=ill, HealthStatus="Unhealthy")
    report()
    assert ill in site.members()
    report(ShouldRespectGracePeriod=False)
    assert ill not in site.members()
    assert len(site.running()) == 2
    assert refused(report)[0] == "ValidationError"


@pytest.mark.change("autoscaling-members")
def test_terminating_in_the_group_replaces_or_shrinks(site: Site) -> None:
    """Without it taking one instance out leaves the group with a number that nobody asked for."""
    site.create(MinSize=1)
    first, second = sorted(site.members())
    end = site.asg.terminate_instance_in_auto_scaling_group
    activity = end(InstanceId=first, ShouldDecrementDesiredCapacity=False)["Activity"]
    assert activity["Description"] == f"Terminating EC2 instance: {first}"
    assert len(site.members()) == 2
    end(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    (last,) = site.members()
    assert site.group()["DesiredCapacity"] == 1
    code, message = refused(lambda: end(InstanceId=last, ShouldDecrementDesiredCapacity=True))
    assert (code, "desiredSize equals minSize (1)" in message) == ("ValidationError", True)


@pytest.mark.change("autoscaling-members")
def test_protected_instances_survive_a_scale_in(site: Site) -> None:
    """Without it a canary that is protected is taken out by a scale-in."""
    site.create(DesiredCapacity=3)
    oldest = site.group()["Instances"][0]["InstanceId"]
    site.asg.set_instance_protection(AutoScalingGroupName="fleet", InstanceIds=[oldest], ProtectedFromScaleIn=True)
    site.desire(0)
    assert set(site.members()) == {oldest}


@pytest.mark.change("autoscaling-members")
def test_a_scale_in_keeps_the_zones_even(site: Site) -> None:
    """Without it a scale-in by age empties a zone that others have two instances in."""
    site.create(DesiredCapacity=5, TerminationPolicies=["OldestInstance"])
    oldest = [member["InstanceId"] for member in site.group()["Instances"][:2]]
    site.asg.set_instance_protection(AutoScalingGroupName="fleet", InstanceIds=oldest, ProtectedFromScaleIn=True)
    site.desire(4)
    assert sorted(site.zones().values()) == [1, 1, 2]
    site.desire(3)
    assert set(site.zones().values()) == {1}


@pytest.mark.change("autoscaling-members")
def test_termination_protection_of_ec2_stops_no_scale_in(site: Site) -> None:
    """Without it a fleet whose template protects its instances can't shrink or be replaced."""
    site.version(DisableApiTermination=True)
    site.create()
    kept = sorted(site.members())[0]
    code, _ = refused(lambda: site.ec2.terminate_instances(InstanceIds=[kept]))
    assert code == "OperationNotPermitted"
    site.desire(0)
    assert site.running() == set()


@pytest.mark.change("autoscaling-members")
def test_instances_leave_subnets_that_the_group_gave_up(site: Site) -> None:
    """Without it a zone that was taken out of the configuration still holds instances."""
    site.create(DesiredCapacity=3)
    site.asg.update_auto_scaling_group(AutoScalingGroupName="fleet", VPCZoneIdentifier=",".join(site.subnets[:2]))
    assert set(site.zones()) == {"eu-west-1a", "eu-west-1b"}
    assert len(site.running()) == 3


@pytest.mark.change("autoscaling-targets")
def test_targets_are_the_members_at_every_moment(site: Site) -> None:
    """Without it requests go to instances that are gone, or a replacement gets none."""
    site.create()
    assert site.registered() == set(site.members())
    site.ec2.terminate_instances(InstanceIds=[sorted(site.members())[0]])
    assert site.registered() == set(site.members())
    site.desire(4)
    assert len(site.registered()) == 4
    site.desire(1)
    assert site.registered() == set(site.members())
    assert len(site.registered()) == 1


@pytest.mark.change("autoscaling-targets")
def test_target_groups_are_attached_and_detached_with_all_members(site: Site) -> None:
    """Without it a target group attached later stays empty, or one detached keeps its targets."""
    site.create(TargetGroupARNs=[])
    attach = partial(site.asg.attach_load_balancer_target_groups, AutoScalingGroupName="fleet")
    assert refused(partial(attach, TargetGroupARNs=[site.targets[:-4] + "0000"]))[0] == "ValidationError"
    attach(TargetGroupARNs=[site.targets])
    assert site.registered() == set(site.members())
    site.asg.detach_load_balancer_target_groups(AutoScalingGroupName="fleet", TargetGroupARNs=[site.targets])
    assert site.registered() == set()
    assert len(site.members()) == 2


@pytest.mark.change("autoscaling-group-deletion")
def test_a_group_with_instances_is_deleted_by_force_only(site: Site) -> None:
    """Without it a destroy that AWS would stop takes a running fleet away here."""
    site.create()
    assert refused(lambda: site.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet")) == (
        "ResourceInUse",
        "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in "
        "the group.",
    )
    site.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
    assert site.running() == set()
    assert site.registered() == set()
    code, message = refused(lambda: site.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet"))
    assert (code, "not found" in message) == ("ValidationError", True)
    site.create(DesiredCapacity=0)
    site.asg.delete_auto_scaling_group(AutoScalingGroupName="fleet")


@pytest.mark.change("autoscaling-activities")
def test_activities_tell_what_happened_and_why(site: Site) -> None:
    """Without it nobody can see why instances came and went."""
    site.create()
    newest, oldest = site.activities()
    assert {newest["StatusCode"], oldest["StatusCode"]} == {"Successful"}
    assert oldest["Description"].startswith("Launching a new EC2 instance: i-")
    assert "a user request created an AutoScalingGroup changing the desired capacity from 0 to 2" in oldest["Cause"]
    assert json.loads(oldest["Details"])["Availability Zone"] == "eu-west-1a"
    site.desire(1)
    last = site.activities()[0]
    assert last["Description"].startswith("Terminating EC2 instance: i-")
    assert "changing the desired capacity from 2 to 1" in last["Cause"]
    assert "was selected for termination" in last["Cause"]
    limited = site.asg.describe_scaling_activities(AutoScalingGroupName="fleet", MaxRecords=2)
    assert [a["ActivityId"] for a in limited["Activities"]] == [a["ActivityId"] for a in site.activities()[:2]]
    assert limited["NextToken"]
    (found,) = site.asg.describe_scaling_activities(ActivityIds=[oldest["ActivityId"]])["Activities"]
    assert found == oldest


@pytest.mark.change("autoscaling-activities")
def test_a_launch_that_ec2_refuses_is_a_failed_activity(site: Site) -> None:
    """Without it a group whose image was deregistered looks as if it wanted no instances."""
    site.create()
    site.ec2.deregister_image(ImageId=IMAGE)
    site.desire(3)
    assert len(site.members()) == 2
    failed = site.activities()[0]
    assert failed["StatusCode"] == "Failed"
    assert IMAGE in failed["StatusMessage"]
    assert failed["StatusMessage"].endswith("Launching EC2 instance failed.")


@pytest.mark.change("autoscaling-processes")
def test_suspended_processes_do_nothing_until_resumed(site: Site) -> None:
    """Without it a fleet that was frozen for an investigation goes on changing."""
    site.create()
    before = set(site.members())

    def suspend(*processes: str) -> None:
        site.asg.suspend_processes(AutoScalingGroupName="fleet", ScalingProcesses=list(processes))

    def resume(*processes: str) -> None:
        site.asg.resume_processes(AutoScalingGroupName="fleet", ScalingProcesses=list(processes))

    suspend("Launch")
    site.desire(3)
    assert set(site.members()) == before
    resume("Launch")
    assert len(site.members()) == 3
    suspend("Terminate")
    site.desire(1)
    assert len(site.members()) == 3
    resume("Terminate")
    assert len(site.members()) == 1
    suspend("AddToLoadBalancer")
    site.desire(2)
    assert len(site.registered()) == 1
    resume("AddToLoadBalancer")
    assert site.registered() == set(site.members())
    suspend("ReplaceUnhealthy")
    lost = sorted(site.members())[0]
    site.ec2.terminate_instances(InstanceIds=[lost])
    # Another process resumed: the ended instance stays a member, and isn't registered again.
    resume("Launch")
    assert lost in site.members()
    assert lost not in site.registered()
    resume("ReplaceUnhealthy")
    assert lost not in site.members()
    assert len(site.running()) == 2
    assert refused(lambda: suspend("Dance"))[0] == "ValidationError"


@pytest.mark.change("autoscaling-unsupported")
def test_what_the_sandbox_lacks_is_refused_by_name(site: Site) -> None:
    """Without it a schedule or a policy is accepted and nothing ever comes of it."""
    site.create()
    calls: dict[str, Callable[[], Any]] = {
        "PutScalingPolicy": partial(site.asg.put_scaling_policy, AutoScalingGroupName="fleet", PolicyName="p"),
        "PutWarmPool": partial(site.asg.put_warm_pool, AutoScalingGroupName="fleet"),
        "EnterStandby": partial(
            site.asg.enter_standby, AutoScalingGroupName="fleet", ShouldDecrementDesiredCapacity=True
        ),
        "MixedInstancesPolicy": partial(
            site.create,
            AutoScalingGroupName="other",
            LaunchTemplate=None,
            MixedInstancesPolicy={
                "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": site.template}}
            },
        ),
    }
    for name, call in calls.items():
        code, message = refused(call)
        assert (code, name in message) == ("NotImplemented", True), message
    assert len(site.members()) == 2


@pytest.mark.change("autoscaling-unsupported")
def test_launch_configurations_are_gone(site: Site) -> None:
    """Without it a program can be written that no new AWS account runs."""
    code, message = refused(
        lambda: site.asg.create_launch_configuration(
            LaunchConfigurationName="old", ImageId=IMAGE, InstanceType="t3.micro"
        )
    )
    assert (code, "Use launch templates" in message) == ("UnsupportedOperation", True)
