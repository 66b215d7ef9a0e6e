"""Amazon's public images: found by one name in every region, under an id of the region's own."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.api import images
from sandbox.machine import capabilities

NEWEST = images.releases()[-1]


def image_named(ec2: Any, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": [name]}])[
        "Images"
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.change("ec2-public-images")
def test_an_image_name_exists_in_every_region_with_an_id_of_its_own(aws: Any) -> None:
    """Without it a program that looks its image up by name finds it in one site only, or both sites share an id."""
    name = NEWEST.image_name("x86_64")
    regions = ("eu-west-1", "eu-central-1", "us-east-1", "ap-northeast-2", "eu-south-2")
    ids = {region: image_named(aws("ec2", region), name)["ImageId"] for region in regions}
    assert len(set(ids.values())) == len(regions)


@pytest.mark.change("ec2-public-images")
def test_every_region_of_the_partition_has_the_same_names() -> None:
    """Without it a third site in a region nobody tried has no image to start from."""
    regions = boto3.Session().get_available_regions("ec2")
    names = {release.image_name(architecture) for release in images.releases() for architecture in images.ARCHITECTURES}
    ids = {images.image_id(region, name) for region in regions for name in names}
    assert len(names) >= 6
    assert len(ids) == len(names) * len(regions)


@pytest.mark.change("ec2-public-images")
def test_a_public_image_has_the_fields_of_amazons(aws: Any) -> None:
    """Without it block device mappings that fit on AWS don't fit here: the root device has another name."""
    image = image_named(aws("ec2"), NEWEST.image_name("arm64"))
    assert image["Architecture"] == "arm64"
    assert image["OwnerId"] == images.AMAZON
    assert image["ImageOwnerAlias"] == "amazon"
    assert image["VirtualizationType"] == "hvm"
    assert image["RootDeviceName"] == "/dev/xvda"
    assert image["State"] == "available"
    assert image["Public"] is True
    assert image["EnaSupport"] is True
    assert image["CreationDate"] == "2025-11-05T20:31:42.000Z"
    (root,) = image["BlockDeviceMappings"]
    assert root["DeviceName"] == "/dev/xvda"
    assert root["Ebs"]["VolumeSize"] == 8
    assert root["Ebs"]["VolumeType"] == "gp3"
    assert root["Ebs"]["DeleteOnTermination"] is True


@pytest.mark.change("ec2-public-images")
def test_the_newest_of_a_family_is_found_by_a_name_pattern(aws: Any) -> None:
    """Without it `most_recent` look-ups with a pattern, the usual way to choose an image, find nothing."""
    pattern = [
        {"Name": "name", "Values": ["al2023-ami-2023.*-kernel-6.1-x86_64"]},
        {"Name": "architecture", "Values": ["x86_64"]},
    ]
    found = aws("ec2").describe_images(Owners=["137112412989"], Filters=pattern)["Images"]
    assert len(found) == len(images.releases())
    assert max(found, key=lambda image: image["CreationDate"])["Name"] == NEWEST.image_name("x86_64")


@pytest.mark.change("ec2-public-images")
def test_an_unknown_image_is_refused_by_its_id(aws: Any) -> None:
    """Without it a deregistered image in a configuration goes unnoticed until instances don't start on AWS."""
    ec2 = aws("ec2")
    with pytest.raises(ClientError, match=r"InvalidAMIID\.NotFound.*\[ami-0123456789abcdef0\]"):
        ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])
    with pytest.raises(ClientError, match=r"InvalidAMIID\.Malformed"):
        ec2.describe_images(ImageIds=["al2023"])


@pytest.mark.change("ssm-public-image-parameters")
@pytest.mark.parametrize("architecture", images.ARCHITECTURES)
def test_the_public_parameter_holds_the_newest_image_of_its_region(aws: Any, architecture: str) -> None:
    """Without it look-ups by public parameter give an image that the region doesn't have."""
    for region in ("eu-west-1", "eu-central-1"):
        newest = image_named(aws("ec2", region), NEWEST.image_name(architecture))["ImageId"]
        for kernel in ("6.1", "default"):
            name = f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-{kernel}-{architecture}"
            assert aws("ssm", region).get_parameter(Name=name)["Parameter"]["Value"] == newest


@pytest.mark.change("ssm-public-image-parameters")
def test_public_parameters_are_listed_by_path(aws: Any) -> None:
    """Without it a listing by path, how people find the names, is empty."""
    listed = aws("ssm").get_parameters_by_path(Path="/aws/service/ami-amazon-linux-latest")["Parameters"]
    assert len(listed) == 4


def test_what_an_image_provides_is_written_as_rpm_has_it() -> None:
    """A capability that nobody can read would end every boot that installs a package."""
    known = [capabilities.parse(text) for text in images.provides()]
    assert any(each.overlaps(capabilities.parse("python3 >= 3.9")) for each in known)
    assert not any(each.overlaps(capabilities.parse("python3 >= 3.10")) for each in known)
    assert {"systemd", "/usr/bin/python3"} <= {each.name for each in known}
