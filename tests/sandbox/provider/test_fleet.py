"""Launch templates and Auto Scaling groups, through the engine and the real API."""

import base64
from typing import Any

import pytest

from sandbox.api import images
from sandbox.api.server import ApiServer
from sandbox.provider.calls import UnusableAnswerError, wait_for
from sandbox.provider.engine import PartialFailureError, ProviderError
from sandbox.provider.schema import State
from sandbox.provider.values import UNKNOWN
from tests.sandbox.conftest import ClientFactory
from tests.sandbox.provider.program import Program, Resource

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
USER_DATA = base64.b64encode(b"#cloud-config\n").decode()
IMAGE = images.image_id("eu-west-1", images.releases()[-1].image_name("x86_64"))


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def ec2(aws: ClientFactory) -> Any:
    return aws("ec2")


@pytest.fixture
def autoscaling(aws: ClientFactory) -> Any:
    return aws("autoscaling")


@pytest.fixture
def network(ec2: Any) -> State:
    """A VPC with a subnet in two zones, and a security group."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"eu-west-1{zone}")
        for index, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(VpcId=vpc, GroupName="fleet", Description="fleet")
    return {"vpc": vpc, "subnets": [item["Subnet"]["SubnetId"] for item in subnets], "group": group["GroupId"]}


@pytest.fixture
def template(program: Program, network: State) -> Resource:
    return program.up(
        TEMPLATE,
        imageId=IMAGE,
        instanceType="t3.micro",
        userData=USER_DATA,
        vpcSecurityGroupIds=[network["group"]],
        metadataOptions={"httpTokens": "required", "httpEndpoint": "enabled"},
        tags={"site": "primary"},
    )


@pytest.fixture
def group(program: Program, network: State, template: Resource) -> Resource:
    return program.up(
        GROUP,
        minSize=1,
        maxSize=4,
        vpcZoneIdentifiers=network["subnets"],
        launchTemplate={"id": template.id, "version": template.state["latestVersion"]},
        tags=[{"key": "site", "value": "primary", "propagateAtLaunch": True}],
    )


def data_of(ec2: Any, template: Resource, version: str = "$Latest") -> dict[str, Any]:
    (found,) = ec2.describe_launch_template_versions(LaunchTemplateId=template.id, Versions=[version])[
        "LaunchTemplateVersions"
    ]
    data: dict[str, Any] = found["LaunchTemplateData"]
    return data


def live(autoscaling: Any, group: Resource) -> dict[str, Any]:
    (found,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group.id])["AutoScalingGroups"]
    answer: dict[str, Any] = found
    return answer


class TestLaunchTemplate:
    def test_its_data_reaches_aws(self, template: Resource, ec2: Any, network: State) -> None:
        """Without it instances start with another image, or without the metadata service's protection."""
        data = data_of(ec2, template)
        assert (data["ImageId"], data["InstanceType"], data["UserData"]) == (IMAGE, "t3.micro", USER_DATA)
        assert data["SecurityGroupIds"] == [network["group"]]
        assert data["MetadataOptions"]["HttpTokens"] == "required"

    def test_outputs_are_those_of_the_template(self, template: Resource) -> None:
        """Without it a group uses another version than the program's."""
        assert template.id.startswith("lt-")
        assert template.state["arn"] == f"arn:aws:ec2:eu-west-1:123456789012:launch-template/{template.id}"
        assert (template.state["latestVersion"], template.state["defaultVersion"]) == (1, 1)
        assert template.refresh() == frozenset()

    def test_nested_settings_come_back_as_they_were(self, program: Program, ec2: Any, network: State) -> None:
        """Without it every refresh of a fleet reports drift that isn't there."""
        made = program.up(
            TEMPLATE,
            imageId=IMAGE,
            instanceType="t3.micro",
            ebsOptimized="true",
            monitoring={"enabled": True},
            iamInstanceProfile={"name": "fleet"},
            networkInterfaces=[
                {
                    "deviceIndex": 0,
                    "associatePublicIpAddress": "false",
                    "subnetId": network["subnets"][0],
                    "securityGroups": [network["group"]],
                }
            ],
            blockDeviceMappings=[
                {
                    "deviceName": "/dev/xvda",
                    "ebs": {"volumeSize": 8, "volumeType": "gp3", "encrypted": "true", "deleteOnTermination": "true"},
                }
            ],
            tagSpecifications=[{"resourceType": "instance", "tags": {"site": "primary"}}],
        )
        data = data_of(ec2, made)
        assert data["EbsOptimized"] is True
        assert data["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False
        assert data["NetworkInterfaces"][0]["Groups"] == [network["group"]]
        assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        assert data["TagSpecifications"] == [
            {"ResourceType": "instance", "Tags": [{"Key": "site", "Value": "primary"}]}
        ]
        assert made.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("name", "value", "key"),
        [("instanceType", "t3.small", "InstanceType"), ("userData", base64.b64encode(b"#!").decode(), "UserData")],
    )
    def test_a_change_makes_a_new_version_with_everything_in_it(
        self, template: Resource, ec2: Any, name: str, value: str, key: str
    ) -> None:
        """Without it the next version lacks image or security group, and no instance of it starts."""
        template.update(**{name: value})
        assert template.state["latestVersion"] == 2
        data = data_of(ec2, template)
        assert data[key] == value
        assert data["ImageId"] == IMAGE
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data_of(ec2, template, "1")["InstanceType"] == "t3.micro"
        assert template.state["defaultVersion"] == 1
        assert template.refresh() == frozenset()

    def test_a_property_taken_out_of_the_program_is_out_of_the_next_version(self, template: Resource, ec2: Any) -> None:
        """Without it user data that the program has dropped still runs on new instances."""
        template.update(userData=None)
        assert "UserData" not in data_of(ec2, template)

    def test_the_default_version_follows_when_the_program_says_so(self, template: Resource) -> None:
        """Without it groups on $Default stay on the first version."""
        template.update(updateDefaultVersion=True, instanceType="t3.small")
        assert (template.state["latestVersion"], template.state["defaultVersion"]) == (2, 2)

    def test_the_default_version_is_the_programs(self, template: Resource) -> None:
        """Without it a program can't go back to an earlier version."""
        template.update(instanceType="t3.small")
        template.update(defaultVersion=2)
        assert template.state["defaultVersion"] == 2
        template.update(defaultVersion=1)
        assert (template.state["latestVersion"], template.state["defaultVersion"]) == (2, 1)

    def test_the_latest_version_is_unknown_while_an_update_is_planned(self, template: Resource) -> None:
        """Without it the preview says that the fleet stays as it is, and the update rolls it."""
        news = {**template.inputs, "instanceType": "t3.small"}
        assert template.program.engine.preview_update(TEMPLATE, template.state, news)["latestVersion"] == UNKNOWN

    def test_a_version_made_by_hand_is_found_and_repaired(self, template: Resource, ec2: Any) -> None:
        """Without it the next instance starts from data that is in no program."""
        ec2.create_launch_template_version(
            LaunchTemplateId=template.id, LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "t3.large"}
        )
        assert {"instanceType", "userData", "metadataOptions"} <= template.refresh()
        template.repair()
        assert template.state["latestVersion"] == 3
        assert data_of(ec2, template)["InstanceType"] == "t3.micro"
        assert template.refresh() == frozenset()

    def test_a_tag_changed_by_hand_is_found_and_repaired(self, template: Resource, ec2: Any) -> None:
        """Without it commands that act on tagged things pass it over."""
        ec2.delete_tags(Resources=[template.id], Tags=[{"Key": "site"}])
        assert template.refresh() == {"tags", "tagsAll"}
        template.repair()
        assert template.refresh() == frozenset()
        assert template.state["latestVersion"] == 1

    def test_another_name_replaces(self, template: Resource) -> None:
        """Without it the preview promises an update that AWS can't make."""
        assert template.plan(name="another").replaces == {"name"}

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(self, template: Resource, ec2: Any) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        ec2.delete_launch_template(LaunchTemplateId=template.id)
        assert template.gone
        template.delete()

    def test_a_name_that_is_taken_is_refused_by_aws(self, template: Resource, program: Program) -> None:
        """Without it the sandbox makes two templates of one name."""
        with pytest.raises(ProviderError, match=r"InvalidLaunchTemplateName\.AlreadyExists"):
            program.up(TEMPLATE, name=template.state["name"], imageId=IMAGE)

    @pytest.mark.parametrize(
        ("declared", "path", "reason"),
        [
            ({"metadataOptions": {"httpTokens": "yes"}}, "metadataOptions.httpTokens", "one of optional, required"),
            (
                {"metadataOptions": {"httpPutResponseHopLimit": 65}},
                "metadataOptions.httpPutResponseHopLimit",
                "from 1 to 64, got 65",
            ),
            ({"name": "x"}, "name", "3 to 128 characters"),
            ({"name": "a b c"}, "name", "may only hold"),
            ({"ebsOptimized": "yes"}, "ebsOptimized", "expected true or false"),
            ({"updateDefaultVersion": True, "defaultVersion": 1}, "defaultVersion", "conflicts with"),
            ({"hibernationOptions": {"configured": True}}, "hibernationOptions", "isn't supported by the sandbox"),
            (
                {"blockDeviceMappings": [{"ebs": {"volumeType": "gp4"}}]},
                "blockDeviceMappings[0].ebs.volumeType",
                "expected one of",
            ),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, program: Program, declared: State, path: str, reason: str) -> None:
        """Without it a wrong value is found when the first instance doesn't start."""
        assert reason in program.refusals(TEMPLATE, **declared)[path]


class TestGroup:
    def test_its_instances_are_there_when_it_is_made(
        self, group: Resource, autoscaling: Any, template: Resource
    ) -> None:
        """Without it the next step of a program asks a fleet that isn't there."""
        found = live(autoscaling, group)
        assert [item["LifecycleState"] for item in found["Instances"]] == ["InService"]
        assert found["LaunchTemplate"]["LaunchTemplateId"] == template.id
        assert found["LaunchTemplate"]["Version"] == "1"
        assert group.id == group.state["name"] == found["AutoScalingGroupName"]
        assert group.state["arn"] == found["AutoScalingGroupARN"]
        assert group.state["desiredCapacity"] == 1
        assert group.state["healthCheckGracePeriod"] == 300
        assert group.refresh() == frozenset()

    def test_a_group_without_instances_is_made(self, program: Program, network: State, template: Resource) -> None:
        """Without it a site that has no release yet can't be brought up."""
        made = program.up(
            GROUP,
            minSize=0,
            maxSize=0,
            desiredCapacity=0,
            vpcZoneIdentifiers=network["subnets"],
            launchTemplate={"id": template.id, "version": "$Latest"},
        )
        assert made.state["desiredCapacity"] == 0
        assert made.refresh() == frozenset()

    def test_processes_are_suspended_when_the_first_instances_are_there(
        self, program: Program, network: State, template: Resource, autoscaling: Any
    ) -> None:
        """Without it a group that starts with `Launch` suspended waits for instances that nothing launches."""
        made = program.up(
            GROUP,
            minSize=1,
            maxSize=1,
            vpcZoneIdentifiers=network["subnets"],
            launchTemplate={"id": template.id},
            suspendedProcesses=["Launch"],
            waitForCapacityTimeout="5s",
        )
        assert len(live(autoscaling, made)["Instances"]) == 1
        assert [item["ProcessName"] for item in live(autoscaling, made)["SuspendedProcesses"]] == ["Launch"]

    def test_settings_come_back_as_they_were(
        self, program: Program, network: State, template: Resource, autoscaling: Any
    ) -> None:
        """Without it every refresh of a fleet reports drift that isn't there."""
        made = program.up(
            GROUP,
            minSize=0,
            maxSize=2,
            vpcZoneIdentifiers=network["subnets"],
            launchTemplate={"name": template.state["name"]},
            healthCheckType="ELB",
            healthCheckGracePeriod=60,
            defaultCooldown=30,
            defaultInstanceWarmup=45,
            terminationPolicies=["OldestInstance", "Default"],
            protectFromScaleIn=True,
            suspendedProcesses=["AZRebalance"],
            enabledMetrics=["GroupInServiceInstances"],
            instanceMaintenancePolicy={"minHealthyPercentage": 100, "maxHealthyPercentage": 200},
        )
        found = live(autoscaling, made)
        assert (found["HealthCheckType"], found["HealthCheckGracePeriod"]) == ("ELB", 60)
        assert (found["DefaultCooldown"], found["DefaultInstanceWarmup"]) == (30, 45)
        assert found["TerminationPolicies"] == ["OldestInstance", "Default"]
        assert found["NewInstancesProtectedFromScaleIn"] is True
        assert [item["ProcessName"] for item in found["SuspendedProcesses"]] == ["AZRebalance"]
        assert [item["Metric"] for item in found["EnabledMetrics"]] == ["GroupInServiceInstances"]
        assert found["InstanceMaintenancePolicy"] == {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
        assert made.refresh() == frozenset()

    def test_sizes_are_changed_in_place_and_waited_for(self, group: Resource, autoscaling: Any) -> None:
        """Without it an update is done before its instances run."""
        group.update(minSize=2, desiredCapacity=3)
        assert len(live(autoscaling, group)["Instances"]) == 3
        group.update(minSize=0, desiredCapacity=1)
        assert len(live(autoscaling, group)["Instances"]) == 1
        assert group.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("name", "value", "key"),
        [
            ("healthCheckType", "ELB", "HealthCheckType"),
            ("healthCheckGracePeriod", 30, "HealthCheckGracePeriod"),
            ("defaultCooldown", 10, "DefaultCooldown"),
            ("defaultInstanceWarmup", 20, "DefaultInstanceWarmup"),
            ("terminationPolicies", ["NewestInstance"], "TerminationPolicies"),
            ("protectFromScaleIn", True, "NewInstancesProtectedFromScaleIn"),
            ("maxSize", 6, "MaxSize"),
        ],
    )
    def test_a_setting_is_changed_in_place(
        self, group: Resource, autoscaling: Any, name: str, value: Any, key: str
    ) -> None:
        """Without it the group goes on by the old setting."""
        group.update(**{name: value})
        assert live(autoscaling, group)[key] == value
        assert group.refresh() == frozenset()

    def test_termination_policies_taken_out_of_the_program_go_back_to_the_default(
        self, group: Resource, autoscaling: Any
    ) -> None:
        """Without it a scale-in ends instances by a rule that is in no program."""
        group.update(terminationPolicies=["NewestInstance"])
        group.update(terminationPolicies=None)
        assert live(autoscaling, group)["TerminationPolicies"] == ["Default"]
        assert group.refresh() == frozenset()

    def test_a_maintenance_policy_taken_out_of_the_program_is_taken_away(
        self, group: Resource, autoscaling: Any
    ) -> None:
        """Without it AWS goes on replacing instances by a rule that is in no program."""
        group.update(instanceMaintenancePolicy={"minHealthyPercentage": 100, "maxHealthyPercentage": 150})
        assert live(autoscaling, group)["InstanceMaintenancePolicy"]["MaxHealthyPercentage"] == 150
        group.update(instanceMaintenancePolicy=None)
        assert live(autoscaling, group).get("InstanceMaintenancePolicy", {}).get("MaxHealthyPercentage", -1) == -1
        assert "instanceMaintenancePolicy" not in group.state
        assert group.refresh() == frozenset()

    def test_a_new_template_version_is_used_for_the_next_instance(
        self, group: Resource, template: Resource, autoscaling: Any
    ) -> None:
        """Without it a rolled fleet starts its next instance from the old release."""
        template.update(instanceType="t3.small")
        group.update(launchTemplate={"id": template.id, "version": template.state["latestVersion"]})
        group.update(desiredCapacity=2)
        versions = sorted(item["LaunchTemplate"]["Version"] for item in live(autoscaling, group)["Instances"])
        assert versions == ["1", "2"]
        assert group.refresh() == frozenset()

    def test_a_template_version_set_by_hand_is_found(
        self, group: Resource, template: Resource, autoscaling: Any
    ) -> None:
        """Without it nobody sees that a fleet starts instances from another version than the program's."""
        template.update(instanceType="t3.small")
        autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=group.id, LaunchTemplate={"LaunchTemplateId": template.id, "Version": "2"}
        )
        assert group.refresh() == {"launchTemplate"}
        group.repair()
        assert live(autoscaling, group)["LaunchTemplate"]["Version"] == "1"

    def test_target_groups_are_attached_and_detached(
        self, group: Resource, aws: ClientFactory, network: State, autoscaling: Any
    ) -> None:
        """Without it the fleet's instances get no traffic, or go on getting it."""
        elbv2 = aws("elbv2")
        first, second = (
            elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=network["vpc"])["TargetGroups"][0][
                "TargetGroupArn"
            ]
            for name in ("first", "second")
        )
        group.update(targetGroupArns=[first])
        (instance,) = live(autoscaling, group)["Instances"]
        targets = elbv2.describe_target_health(TargetGroupArn=first)["TargetHealthDescriptions"]
        assert [item["Target"]["Id"] for item in targets] == [instance["InstanceId"]]
        group.update(targetGroupArns=[second])
        assert live(autoscaling, group)["TargetGroupARNs"] == [second]
        assert group.refresh() == frozenset()

    def test_processes_are_suspended_and_resumed(self, group: Resource, autoscaling: Any) -> None:
        """Without it a process that the program has resumed stays off for ever."""
        group.update(suspendedProcesses=["AZRebalance", "ReplaceUnhealthy"])
        assert len(live(autoscaling, group)["SuspendedProcesses"]) == 2
        group.update(suspendedProcesses=["AZRebalance"])
        assert [item["ProcessName"] for item in live(autoscaling, group)["SuspendedProcesses"]] == ["AZRebalance"]
        assert group.refresh() == frozenset()

    def test_tags_are_added_changed_and_removed(self, group: Resource, autoscaling: Any) -> None:
        """Without it instances start with the tags of an older program."""
        tag = {"key": "site", "value": "primary", "propagateAtLaunch": False}
        group.update(tags=[tag, {"key": "owner", "value": "ops", "propagateAtLaunch": True}])
        found = {item["Key"]: (item["Value"], item["PropagateAtLaunch"]) for item in live(autoscaling, group)["Tags"]}
        assert found == {"site": ("primary", False), "owner": ("ops", True)}
        group.update(tags=[tag])
        assert [item["Key"] for item in live(autoscaling, group)["Tags"]] == ["site"]
        assert group.refresh() == frozenset()

    def test_the_group_has_no_map_of_all_tags(self, program: Program, group: Resource) -> None:
        """Without it a policy sees a property that pulumi-aws' group doesn't have."""
        assert "tagsAll" not in group.state

    def test_a_desired_capacity_changed_by_hand_is_found_if_the_program_sets_it(
        self, group: Resource, autoscaling: Any
    ) -> None:
        """Without it somebody's scale-in at night stays, and the fleet is too small in the morning."""
        autoscaling.set_desired_capacity(AutoScalingGroupName=group.id, DesiredCapacity=2)
        assert group.refresh() == frozenset()
        group.update(desiredCapacity=3)
        autoscaling.set_desired_capacity(AutoScalingGroupName=group.id, DesiredCapacity=1)
        assert group.refresh() == {"desiredCapacity"}
        group.repair()
        assert len(live(autoscaling, group)["Instances"]) == 3

    def test_a_tag_changed_by_hand_is_found_and_repaired(self, group: Resource, autoscaling: Any) -> None:
        """Without it commands that act on tagged things pass the fleet over."""
        tag = {"ResourceId": group.id, "ResourceType": "auto-scaling-group", "Key": "site", "Value": "other"}
        autoscaling.create_or_update_tags(Tags=[{**tag, "PropagateAtLaunch": True}])
        assert group.refresh() == {"tags"}
        group.repair()
        assert group.refresh() == frozenset()

    def test_deletion_ends_the_instances_first(self, group: Resource, autoscaling: Any, ec2: Any) -> None:
        """Without it AWS refuses the deletion, or its instances go on without a group."""
        (instance,) = live(autoscaling, group)["Instances"]
        group.delete()
        assert autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []
        (found,) = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"][0]["Instances"]
        assert found["State"]["Name"] == "terminated"

    def test_deletion_ends_protected_instances_too(self, group: Resource, autoscaling: Any) -> None:
        """Without it a protected fleet can never be destroyed: the wait for an empty group has no end."""
        (instance,) = live(autoscaling, group)["Instances"]
        autoscaling.set_instance_protection(
            AutoScalingGroupName=group.id, InstanceIds=[instance["InstanceId"]], ProtectedFromScaleIn=True
        )
        group.delete()
        assert autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []

    def test_a_forced_deletion_takes_the_instances_along(self, group: Resource, autoscaling: Any) -> None:
        """Without it `forceDelete` waits like any other deletion."""
        group.update(forceDelete=True)
        autoscaling.suspend_processes(AutoScalingGroupName=group.id, ScalingProcesses=["Terminate"])
        group.delete()
        assert autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(self, group: Resource, autoscaling: Any) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group.id, ForceDelete=True)
        assert group.gone
        group.delete()

    def test_a_group_whose_instances_dont_start_is_remembered(
        self, program: Program, network: State, template: Resource, group: Resource, autoscaling: Any
    ) -> None:
        """Without it a group that failed half way is lost, and the next `up` finds its name taken."""
        autoscaling.suspend_processes(AutoScalingGroupName=group.id, ScalingProcesses=["Launch"])
        group.update(waitForCapacityTimeout="10ms")
        with pytest.raises(PartialFailureError, match="at 1 of 3 instances") as failure:
            group.update(desiredCapacity=3)
        assert failure.value.id == group.id
        assert failure.value.state["desiredCapacity"] == 3

    def test_without_a_time_to_wait_nothing_is_waited_for(self, group: Resource, autoscaling: Any) -> None:
        """Without it a program that doesn't want to wait does."""
        autoscaling.suspend_processes(AutoScalingGroupName=group.id, ScalingProcesses=["Launch"])
        group.update(waitForCapacityTimeout="0", desiredCapacity=3)
        assert len(live(autoscaling, group)["Instances"]) == 1

    def test_sizes_that_dont_fit_are_refused_by_aws(self, program: Program, network: State, template: Resource) -> None:
        """Without it the sandbox says yes to a group that AWS wouldn't make."""
        with pytest.raises(ProviderError, match=r"ValidationError.*Desired capacity:3 must be between"):
            program.up(
                GROUP,
                minSize=0,
                maxSize=2,
                desiredCapacity=3,
                vpcZoneIdentifiers=network["subnets"],
                launchTemplate={"id": template.id},
            )

    def test_instance_refresh_is_refused_with_its_reason(self, program: Program) -> None:
        """Without it a rollback would quietly go to the new release."""
        refused = program.refusals(
            GROUP,
            minSize=0,
            maxSize=1,
            vpcZoneIdentifiers=["subnet-1"],
            launchTemplate={"id": "lt-1"},
            instanceRefresh={"strategy": "Rolling"},
        )
        assert list(refused) == ["instanceRefresh"]
        assert "DesiredConfiguration" in refused["instanceRefresh"]

    @pytest.mark.parametrize(
        ("declared", "path", "reason"),
        [
            ({"minSize": -1}, "minSize", "at least 0, got -1"),
            ({"launchTemplate": {}}, "launchTemplate", "needs id or name"),
            ({"healthCheckType": "TCP"}, "healthCheckType", "one of EC2, ELB"),
            ({"waitForCapacityTimeout": "10 minutes"}, "waitForCapacityTimeout", "a duration such as 10m"),
            ({"tags": [{"key": "a", "value": "b"}]}, "tags[0].propagateAtLaunch", "missing required property"),
            (
                {"instanceMaintenancePolicy": {"minHealthyPercentage": 100, "maxHealthyPercentage": 90}},
                "instanceMaintenancePolicy.maxHealthyPercentage",
                "from 100 to 200, got 90",
            ),
            ({"mixedInstancesPolicy": {}}, "mixedInstancesPolicy", "isn't supported by the sandbox"),
            ({"name": "x" * 256}, "name", "1 to 255 characters"),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, program: Program, declared: State, path: str, reason: str) -> None:
        """Without it a wrong value is found only while the site is half made."""
        base = {
            "minSize": 0,
            "maxSize": 1,
            "vpcZoneIdentifiers": ["subnet-1"],
            "launchTemplate": {"id": "lt-1"},
        }
        assert reason in program.refusals(GROUP, **{**base, **declared})[path]


class TestWaiting:
    def test_it_ends_when_the_state_is_reached(self) -> None:
        """Without it a resource counts as ready too early, or never."""
        states = iter(["pending", "pending", "active"])
        pauses: list[float] = []
        wait_for(lambda: next(states), "active", "a thing", timeout=10, sleep=pauses.append, clock=lambda: 0)
        assert len(pauses) == 2
        assert pauses[0] < pauses[1]

    def test_it_gives_up_with_the_last_state_seen(self) -> None:
        """Without it a hanging resource hangs the deployment, or fails without saying how it stood."""
        times = iter(range(100))
        with pytest.raises(UnusableAnswerError, match="waiting for a thing: after 5 s it is pending"):
            wait_for(
                lambda: "pending", "active", "a thing", timeout=5, sleep=lambda pause: None, clock=lambda: next(times)
            )
