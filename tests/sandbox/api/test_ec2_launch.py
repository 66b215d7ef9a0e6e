"""Launch templates keep and merge what they are given, and instances start with all of it or not at all."""

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api import images

NEWEST = images.releases()[-1]
IMAGE = images.image_id("eu-west-1", NEWEST.image_name("x86_64"))
ARM_IMAGE = images.image_id("eu-west-1", NEWEST.image_name("arm64"))
MISSING_IMAGE = "ami-0123456789abcdef0"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def ec2(aws: Any) -> Any:
    return aws("ec2")


@pytest.fixture
def network(ec2: Any) -> dict[str, str]:
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    return {
        "vpc": vpc,
        "subnet": ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24", AvailabilityZone="eu-west-1a")["Subnet"][
            "SubnetId"
        ],
        "group": ec2.create_security_group(GroupName="fleet", Description="d", VpcId=vpc)["GroupId"],
    }


@pytest.fixture
def profile(aws: Any) -> str:
    iam = aws("iam")
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="fleet")
    iam.add_role_to_instance_profile(InstanceProfileName="fleet", RoleName="fleet")
    return "fleet"


def template(ec2: Any, data: dict[str, Any], name: str = "fleet") -> str:
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
    return str(made["LaunchTemplateId"])


def data_of(ec2: Any, identifier: str, version: str) -> dict[str, Any]:
    found = ec2.describe_launch_template_versions(LaunchTemplateId=identifier, Versions=[version])
    (described,) = found["LaunchTemplateVersions"]
    return dict(described["LaunchTemplateData"])


def fleet_data(network: dict[str, str], profile: str) -> dict[str, Any]:
    """Every field that the fleet's template uses."""
    return {
        "ImageId": IMAGE,
        "InstanceType": "t3.micro",
        "EbsOptimized": True,
        "IamInstanceProfile": {"Name": profile},
        "Monitoring": {"Enabled": True},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "AssociatePublicIpAddress": False, "Groups": [network["group"]]},
        ],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 12, "VolumeType": "gp3", "Encrypted": True}}
        ],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "lockstep:site", "Value": "primary"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "lockstep:site", "Value": "primary"}]},
        ],
        "UserData": encoded("#cloud-config\npackages: [app]\n"),
    }


@pytest.mark.change("ec2-launch-templates")
def test_a_template_gives_back_every_field_that_the_fleet_uses(ec2: Any, network: dict[str, str], profile: str) -> None:
    """Without it a refresh reports drift in a template that nobody touched."""
    data = fleet_data(network, profile)
    identifier = template(ec2, data)
    assert data_of(ec2, identifier, "1") == data
    ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData=data)
    assert data_of(ec2, identifier, "2") == data


@pytest.mark.change("ec2-launch-templates")
def test_the_tags_of_a_template_are_its_own(ec2: Any) -> None:
    """Without it the template's tags turn up in its data, and changed tags never show."""
    made = ec2.create_launch_template(
        LaunchTemplateName="tagged",
        LaunchTemplateData={"ImageId": IMAGE},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "1"}]}],
    )["LaunchTemplate"]
    assert data_of(ec2, made["LaunchTemplateId"], "1") == {"ImageId": IMAGE}
    ec2.create_tags(Resources=[made["LaunchTemplateId"]], Tags=[{"Key": "a", "Value": "2"}])
    (described,) = ec2.describe_launch_templates(LaunchTemplateIds=[made["LaunchTemplateId"]])["LaunchTemplates"]
    assert described["Tags"] == [{"Key": "a", "Value": "2"}]


@pytest.mark.change("ec2-launch-templates")
def test_a_version_takes_from_its_source_what_it_does_not_give(ec2: Any) -> None:
    """Without it a new version that names only an image has no user data: instances come up empty."""
    first = {"ImageId": IMAGE, "InstanceType": "t3.micro", "UserData": encoded("one")}
    identifier = template(ec2, first)
    ec2.create_launch_template_version(
        LaunchTemplateId=identifier, SourceVersion="1", LaunchTemplateData={"ImageId": ARM_IMAGE}
    )
    assert data_of(ec2, identifier, "2") == {**first, "ImageId": ARM_IMAGE}
    ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData={"ImageId": ARM_IMAGE})
    assert data_of(ec2, identifier, "3") == {"ImageId": ARM_IMAGE}
    code, _ = refused(
        lambda: ec2.create_launch_template_version(
            LaunchTemplateId=identifier, SourceVersion="9", LaunchTemplateData={"ImageId": IMAGE}
        )
    )
    assert code == "InvalidLaunchTemplateId.VersionNotFound"


@pytest.mark.change("ec2-launch-templates")
@pytest.mark.parametrize("name", ["ab", "a" * 129, "with space", "ä-template"])
def test_a_template_name_follows_the_rules(ec2: Any, name: str) -> None:
    """Without it a name that AWS refuses is found at the first deployment."""
    assert refused(lambda: template(ec2, {"ImageId": IMAGE}, name))[0] == (
        "InvalidLaunchTemplateName.MalformedException"
    )


@pytest.mark.change("ec2-launch-templates")
def test_a_template_name_is_used_once(ec2: Any) -> None:
    """Without it two stacks share a template without knowing."""
    template(ec2, {"ImageId": IMAGE})
    assert refused(lambda: template(ec2, {"ImageId": IMAGE}))[0] == "InvalidLaunchTemplateName.AlreadyExistsException"


@pytest.mark.change("ec2-launch-templates")
def test_user_data_is_base64_of_16_kilobytes_at_most(ec2: Any) -> None:
    """Without it user data that AWS refuses is a template here, in version 1 and in every later one."""
    identifier = template(ec2, {"UserData": encoded("x" * 16384)})
    for data in ({"UserData": "#cloud-config"}, {"UserData": encoded("x" * 16385)}):
        assert refused(partial(template, ec2, data, "other"))[0] == "InvalidUserData.Malformed"
        version = partial(ec2.create_launch_template_version, LaunchTemplateId=identifier, LaunchTemplateData=data)
        assert refused(version)[0] == "InvalidUserData.Malformed"


@pytest.mark.change("ec2-launch-templates")
def test_what_instances_here_cannot_have_is_refused_by_name(ec2: Any) -> None:
    """Without it a template asks for something that its instances silently lack."""
    code, message = refused(lambda: template(ec2, {"ImageId": IMAGE, "Placement": {"Tenancy": "dedicated"}}))
    assert (code, "Placement" in message) == ("NotImplemented", True)
    code, message = refused(lambda: template(ec2, {"MetadataOptions": {"HttpTokens": "perhaps"}}))
    assert (code, "HttpTokens" in message) == ("InvalidParameterValue", True)


@pytest.mark.change("ec2-launch-templates")
def test_listings_go_on_page_by_page(ec2: Any) -> None:
    """Without it the sixteenth template or version of an account doesn't exist for whoever lists them."""
    identifier = template(ec2, {"ImageId": IMAGE})
    for _ in range(17):
        ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData={"ImageId": IMAGE})
    pages = ec2.get_paginator("describe_launch_template_versions").paginate(
        LaunchTemplateId=identifier, PaginationConfig={"PageSize": 5}
    )
    numbers = [version["VersionNumber"] for page in pages for version in page["LaunchTemplateVersions"]]
    assert numbers == list(range(18, 0, -1))
    assert len(ec2.describe_launch_template_versions(LaunchTemplateId=identifier)["LaunchTemplateVersions"]) == 18


@pytest.mark.change("ec2-launch-templates")
def test_an_unknown_template_is_refused_by_what_named_it(ec2: Any) -> None:
    """Without it a deleted template reads as an empty list, and deleting it again as another error than AWS's."""
    missing = "lt-0123456789abcdef0"
    assert refused(lambda: ec2.describe_launch_templates(LaunchTemplateIds=[missing]))[0] == (
        "InvalidLaunchTemplateId.NotFound"
    )
    assert (
        refused(lambda: ec2.delete_launch_template(LaunchTemplateId=missing))[0] == "InvalidLaunchTemplateId.NotFound"
    )
    code, _ = refused(lambda: ec2.delete_launch_template(LaunchTemplateName="missing"))
    assert code == "InvalidLaunchTemplateName.NotFoundException"


@pytest.mark.change("ec2-launch-template-versions-deleted")
def test_a_deleted_version_leaves_the_numbers_of_the_others(ec2: Any) -> None:
    """Without it old versions pile up to AWS's limit, or deleting one gives instances another version's data."""
    identifier = template(ec2, {"InstanceType": "t3.micro"})
    for kind in ("t3.small", "t3.medium"):
        ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData={"InstanceType": kind})
    answer = ec2.delete_launch_template_versions(LaunchTemplateId=identifier, Versions=["2", "1", "9"])
    assert [v["VersionNumber"] for v in answer["SuccessfullyDeletedLaunchTemplateVersions"]] == [2]
    failed = {
        v["VersionNumber"]: v["ResponseError"]["Code"] for v in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    }
    assert failed == {1: "unexpectedError", 9: "launchTemplateVersionDoesNotExist"}
    assert data_of(ec2, identifier, "3") == {"InstanceType": "t3.medium"}
    assert data_of(ec2, identifier, "$Default") == {"InstanceType": "t3.micro"}
    ec2.delete_launch_template_versions(LaunchTemplateId=identifier, Versions=["3"])
    made = ec2.create_launch_template_version(
        LaunchTemplateId=identifier, LaunchTemplateData={"InstanceType": "t3.large"}
    )["LaunchTemplateVersion"]
    assert made["VersionNumber"] == 4


@pytest.mark.change("ec2-launch-template-versions-deleted")
def test_latest_and_default_are_found_by_number(ec2: Any) -> None:
    """Without it setting another default, or asking for a version that isn't there, gives the wrong data."""
    identifier = template(ec2, {"InstanceType": "t3.micro"})
    ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData={"InstanceType": "t3.small"})
    ec2.modify_launch_template(LaunchTemplateId=identifier, DefaultVersion="2")
    assert data_of(ec2, identifier, "$Default") == data_of(ec2, identifier, "$Latest") == {"InstanceType": "t3.small"}
    for version in ("0", "3", "first"):
        assert refused(partial(data_of, ec2, identifier, version))[0] == ("InvalidLaunchTemplateId.VersionNotFound")


def run(ec2: Any, **request: Any) -> dict[str, Any]:
    started = ec2.run_instances(MinCount=1, MaxCount=1, **request)["Instances"][0]
    (reservation,) = ec2.describe_instances(InstanceIds=[started["InstanceId"]])["Reservations"]
    return dict(reservation["Instances"][0])


@pytest.mark.change("ec2-run-instances")
def test_an_instance_has_all_that_its_template_says(aws: Any, ec2: Any, network: dict[str, str], profile: str) -> None:
    """Without it instances lack their role, their tags or IMDSv2, and carry a volume that nobody asked for."""
    identifier = template(ec2, {"InstanceType": "t3.nano"})
    ec2.create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData=fleet_data(network, profile))
    instance = run(
        ec2,
        LaunchTemplate={"LaunchTemplateId": identifier, "Version": "$Latest"},
        SubnetId=network["subnet"],
    )
    assert instance["ImageId"] == IMAGE
    assert instance["InstanceType"] == "t3.micro"
    assert instance["EbsOptimized"] is True
    assert instance["Monitoring"]["State"] == "enabled"
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    arn = aws("iam").get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Arn"]
    assert instance["IamInstanceProfile"]["Arn"] == arn
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [network["group"]]
    assert instance["SubnetId"] == network["subnet"]
    assert "PublicIpAddress" not in instance
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags == {
        "lockstep:site": "primary",
        "aws:ec2launchtemplate:id": identifier,
        "aws:ec2launchtemplate:version": "2",
    }
    (device,) = instance["BlockDeviceMappings"]
    assert (instance["RootDeviceName"], device["DeviceName"]) == ("/dev/xvda", "/dev/xvda")
    (volume,) = ec2.describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (12, "gp3", True)
    assert volume["Tags"] == [{"Key": "lockstep:site", "Value": "primary"}]
    user_data = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert base64.b64decode(user_data["UserData"]["Value"]) == b"#cloud-config\npackages: [app]\n"


@pytest.mark.change("ec2-run-instances")
def test_a_request_wins_over_its_template(ec2: Any, network: dict[str, str], profile: str) -> None:
    """Without it a canary with another type than the fleet's is just another member of the fleet."""
    identifier = template(ec2, fleet_data(network, profile))
    instance = run(
        ec2,
        LaunchTemplate={"LaunchTemplateId": identifier},
        SubnetId=network["subnet"],
        InstanceType="t3.large",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "lockstep:site", "Value": "canary"}]}],
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "DeleteOnTermination": False}}],
    )
    assert instance["InstanceType"] == "t3.large"
    assert {"Key": "lockstep:site", "Value": "canary"} in instance["Tags"]
    assert instance["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is False
    volume = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"] == 20


@pytest.mark.change("ec2-run-instances")
def test_an_amazon_linux_instance_requires_metadata_tokens(ec2: Any) -> None:
    """Without it IMDSv1 works in the sandbox and not on AWS, where the image asks for version 2."""
    options = run(ec2, ImageId=IMAGE, InstanceType="t3.micro")["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)


@pytest.mark.change("ec2-run-instances")
def test_max_count_instances_start(ec2: Any) -> None:
    """Without it a request for one to three instances starts one."""
    started = ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=3)["Instances"]
    assert len(started) == 3
    code, _ = refused(lambda: ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=2, MaxCount=1))
    assert code == "InvalidParameterValue"


@pytest.mark.change("ec2-run-instances")
def test_a_terminated_instance_gives_its_address_and_group_back(ec2: Any, network: dict[str, str]) -> None:
    """Without it subnets run full and security groups can't be deleted after a few deployments."""

    def free() -> int:
        found = ec2.describe_subnets(SubnetIds=[network["subnet"]])["Subnets"][0]
        return int(found["AvailableIpAddressCount"])

    instance = run(
        ec2, ImageId=IMAGE, InstanceType="t3.micro", SubnetId=network["subnet"], SecurityGroupIds=[network["group"]]
    )
    assert free() == 250
    assert refused(lambda: ec2.delete_security_group(GroupId=network["group"]))[0] == "DependencyViolation"
    volume = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    assert free() == 251
    ec2.delete_security_group(GroupId=network["group"])
    assert refused(lambda: ec2.describe_volumes(VolumeIds=[volume]))[0] == "InvalidVolume.NotFound"


@pytest.mark.change("ec2-run-instances")
@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"ImageId": MISSING_IMAGE}, "InvalidAMIID.NotFound", f"The image id '[{MISSING_IMAGE}]' does not exist"),
        ({"ImageId": "ami-nothex"}, "InvalidAMIID.Malformed", "ami-nothex"),
        ({"InstanceType": "t3.tiny"}, "InvalidParameterValue", "Invalid value 't3.tiny' for InstanceType."),
        ({"ImageId": ARM_IMAGE}, "InvalidParameterValue", "matching architectures"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound", "subnet-0123456789abcdef0"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", "sg-0123456789abcdef0"),
        ({"IamInstanceProfile": {"Name": "absent"}}, "InvalidParameterValue", "absent"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}]},
            "InvalidBlockDeviceMapping",
            "expect size >= 8GB",
        ),
        ({"UserData": "x" * 16385}, "InvalidParameterValue", "User data is limited to 16384 bytes"),
    ],
)
def test_what_does_not_exist_or_fit_starts_no_instance(
    ec2: Any, request_: dict[str, Any], code: str, words: str
) -> None:
    """Without it a site comes up here with an image, type or role that AWS doesn't have."""
    arguments = {"ImageId": IMAGE, "InstanceType": "t3.micro", **request_}
    found, message = refused(lambda: run(ec2, **arguments))
    assert found == code
    assert words in message
    assert ec2.describe_instances()["Reservations"] == []


@pytest.mark.change("ec2-run-instances")
def test_a_disabled_image_starts_no_instance(ec2: Any) -> None:
    """Without it an image that was withdrawn still starts instances here."""
    ec2.disable_image(ImageId=IMAGE)
    code, message = refused(lambda: run(ec2, ImageId=IMAGE, InstanceType="t3.micro"))
    assert (code, IMAGE in message) == ("InvalidAMIID.Unavailable", True)


@pytest.mark.change("ec2-run-instances")
def test_subnet_and_security_group_are_of_one_vpc(ec2: Any, network: dict[str, str]) -> None:
    """Without it a fleet with another VPC's security group runs here."""
    other = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="other", Description="d", VpcId=other)["GroupId"]
    code, message = refused(
        lambda: run(ec2, ImageId=IMAGE, InstanceType="t3.micro", SubnetId=network["subnet"], SecurityGroupIds=[group])
    )
    assert (code, "belong to different networks" in message) == ("InvalidParameter", True)


@pytest.mark.change("ec2-run-instances")
def test_a_full_subnet_starts_no_instance(ec2: Any) -> None:
    """Without it a subnet takes any number of instances, and the address plan is never tried."""
    vpc = ec2.create_vpc(CidrBlock="10.3.0.0/28")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.3.0.0/28", AvailabilityZone="eu-west-1a")["Subnet"]["SubnetId"]
    arguments = {"ImageId": IMAGE, "InstanceType": "t3.micro", "SubnetId": subnet}
    ec2.run_instances(MinCount=11, MaxCount=11, **arguments)
    assert refused(lambda: run(ec2, **arguments))[0] == "InsufficientFreeAddressesInSubnet"
