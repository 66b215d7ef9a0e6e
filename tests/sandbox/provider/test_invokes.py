"""The provider's functions (data sources), through the engine and the real API."""

import importlib
import inspect
import re
from typing import Any

import pytest

from sandbox.api import images
from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderConfig, ProviderError
from sandbox.provider.invokes import INVOKES
from sandbox.provider.schema import State
from tests.sandbox.provider.program import Program

AMI = "aws:ec2/getAmi:getAmi"
CALLER = "aws:index/getCallerIdentity:getCallerIdentity"
PARAMETER = "aws:ssm/getParameter:getParameter"
PARAMETERS = "aws:ssm/getParametersByPath:getParametersByPath"
PARTITION = "aws:index/getPartition:getPartition"
PREFIX_LIST = "aws:ec2/getManagedPrefixList:getManagedPrefixList"
REGION = "aws:index/getRegion:getRegion"
ZONE = "aws:route53/getZone:getZone"
ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"
NEWEST = images.releases()[-1].image_name("x86_64")


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


def call(program: Program, token: str, /, **arguments: Any) -> State:
    """The function's result. Fails the test if its arguments are refused."""
    result, failures = program.engine.invoke(program.config, token, arguments)
    assert not failures, failures
    return result


def refusals(program: Program, token: str, /, **arguments: Any) -> dict[str, str]:
    return {failure.property: failure.reason for failure in program.engine.invoke(program.config, token, arguments)[1]}


def named(name: str) -> dict[str, Any]:
    return {"name": "name", "values": [name]}


# In pulumi-aws' programs


def _function(token: str) -> tuple[Any, Any]:
    """pulumi-aws' function of a token, and the module that it is in."""
    _, path, name = token.split(":")
    package = path.split("/")[0]
    module_name = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    package_name = "pulumi_aws" if package == "index" else f"pulumi_aws.{package}"
    module = importlib.import_module(f"{package_name}.{module_name}")
    return getattr(module, module_name), module


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")
@pytest.mark.parametrize("token", INVOKES)
def test_arguments_are_those_of_pulumi_aws(token: str) -> None:
    """Without it the sandbox takes an argument that AWS' provider refuses, or calls one by another name."""
    function, module = _function(token)
    sent = set(re.findall(r"__args__\['(\w+)'\] =", inspect.getsource(function)))
    assert f"'{token}'" in inspect.getsource(module)
    assert sent >= set(INVOKES[token].arguments)
    assert ("region" in sent) == INVOKES[token].regional


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")
@pytest.mark.parametrize(
    ("token", "arguments"),
    [
        (CALLER, {}),
        (PARTITION, {}),
        (REGION, {}),
        (ZONES, {"state": "available"}),
        (AMI, {"owners": ["amazon"], "filters": [named(NEWEST)]}),
        (PREFIX_LIST, {"name": "com.amazonaws.eu-west-1.s3"}),
        (ZONE, {"name": "example.com"}),
        (PARAMETER, {"name": "/it"}),
    ],
)
def test_results_are_those_of_pulumi_aws(program: Program, token: str, arguments: State) -> None:
    """Without it a program reads a result that is None in the sandbox and a value on AWS."""
    program.aws("route53").create_hosted_zone(Name="example.com", CallerReference="it")
    program.aws("ssm").put_parameter(Name="/it", Type="String", Value="1")
    _, module = _function(token)
    result_class = next(
        item for name, item in vars(module).items() if name.endswith("Result") and "Awaitable" not in name
    )
    getters = {
        getattr(member.fget, "_pulumi_name", None) or re.sub(r"_(\w)", lambda found: found[1].upper(), name)
        for name, member in vars(result_class).items()
        if isinstance(member, property)
    }
    result = call(program, token, **arguments)
    assert result.keys() - getters == set()
    assert len(result) >= 4


def test_an_unknown_argument_is_refused_by_name(program: Program) -> None:
    """Without it a filter that the sandbox doesn't know is passed over, and another image is found than on AWS."""
    refused = refusals(program, AMI, owners=["amazon"], nameRegex="al2023-.*")
    assert "nameRegex" in refused
    assert "isn't supported by the sandbox" in refused["nameRegex"]


def test_an_unknown_function_is_refused_by_name(program: Program) -> None:
    """Without it a program goes on with an empty answer."""
    with pytest.raises(ProviderError, match="getPolicyDocument"):
        program.engine.invoke(program.config, "aws:iam/getPolicyDocument:getPolicyDocument", {})


# Account and region


def test_the_account_is_the_sandboxs(program: Program) -> None:
    """Without it ARNs that the program builds name another account."""
    result = call(program, CALLER)
    assert result["accountId"] == result["id"] == "123456789012"
    assert ":123456789012:" in result["arn"]


def test_the_region_is_the_providers_or_the_arguments(program: Program) -> None:
    """Without it one site's program works with the other site's region."""
    here = call(program, REGION)
    assert (here["region"], here["id"], here["name"]) == ("eu-west-1", "eu-west-1", "eu-west-1")
    assert here["description"] == "Europe (Ireland)"
    assert here["endpoint"] == "ec2.eu-west-1.amazonaws.com"
    assert call(program, REGION, region="eu-central-1")["description"] == "Europe (Frankfurt)"


def test_a_region_that_doesnt_exist_is_refused(program: Program) -> None:
    """Without it a misspelt region is found only when its endpoint doesn't answer."""
    assert "isn't an AWS region" in refusals(program, REGION, region="eu-nowhere-9")["region"]


def test_the_partition_is_the_commercial_one(program: Program) -> None:
    """Without it ARNs and host names that the program builds don't fit."""
    result = call(program, PARTITION)
    assert (result["partition"], result["dnsSuffix"]) == ("aws", "amazonaws.com")


# EC2


def test_zones_are_those_of_the_region_in_order(program: Program) -> None:
    """Without it subnets change places between two runs."""
    result = call(program, ZONES, state="available")
    assert result["names"][:3] == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    assert len(result["zoneIds"]) == len(result["names"])
    assert result["id"] == "eu-west-1"
    assert call(program, ZONES, region="eu-central-1")["names"][0] == "eu-central-1a"


def test_zones_are_left_out_by_name_and_by_id(program: Program) -> None:
    """Without it a zone that lacks the instance type can't be kept out."""
    every = call(program, ZONES)
    left = call(program, ZONES, excludeNames=["eu-west-1a"], excludeZoneIds=[every["zoneIds"][1]])
    assert left["names"] == every["names"][2:]
    assert left["zoneIds"] == every["zoneIds"][2:]


def test_zones_are_filtered_as_ec2_does(program: Program) -> None:
    """Without it a filter is passed over and every zone is used."""
    result = call(program, ZONES, filters=[{"name": "zone-name", "values": ["eu-west-1b"]}])
    assert result["names"] == ["eu-west-1b"]


def test_an_image_is_found_by_its_name_in_every_region(program: Program) -> None:
    """Without it a site starts from another image than its peer."""
    here = call(program, AMI, owners=["amazon"], filters=[named(NEWEST)])
    there = call(program, AMI, owners=["amazon"], filters=[named(NEWEST)], region="eu-central-1")
    assert here["id"] == here["imageId"] == images.image_id("eu-west-1", NEWEST)
    assert there["id"] == images.image_id("eu-central-1", NEWEST)
    assert here["name"] == there["name"] == NEWEST
    assert here["arn"] == f"arn:aws:ec2:eu-west-1::image/{here['id']}"
    assert here["rootDeviceName"] == here["blockDeviceMappings"][0]["deviceName"] == "/dev/xvda"
    assert here["rootSnapshotId"] == here["blockDeviceMappings"][0]["ebs"]["snapshot_id"]
    assert here["blockDeviceMappings"][0]["ebs"]["volume_size"] == "8"


def test_no_image_is_an_error(program: Program) -> None:
    """Without it a fleet is planned without an image."""
    with pytest.raises(ProviderError, match="Your query returned no results"):
        call(program, AMI, owners=["amazon"], filters=[named("al2023-ami-1999*")])


def test_several_images_are_an_error_unless_the_newest_is_asked_for(program: Program) -> None:
    """Without it the image is whichever comes first."""
    pattern = named("al2023-ami-2023.*-x86_64")
    with pytest.raises(ProviderError, match="Your query returned more than one result"):
        call(program, AMI, owners=["amazon"], filters=[pattern])
    assert call(program, AMI, owners=["amazon"], filters=[pattern], mostRecent=True)["name"] == NEWEST


def test_the_newest_of_anybodys_images_is_refused(program: Program) -> None:
    """Without it a stranger's image of that name becomes the fleet's: pulumi-aws 7 refuses it too."""
    pattern = named("al2023-ami-2023.*-x86_64")
    with pytest.raises(ProviderError, match="Most Recent Image Not Filtered"):
        call(program, AMI, filters=[pattern], mostRecent=True)
    assert call(program, AMI, filters=[pattern], mostRecent=True, allowUnsafeFilter=True)["name"] == NEWEST
    by_owner = {"name": "owner-id", "values": [images.AMAZON]}
    assert call(program, AMI, filters=[pattern, by_owner], mostRecent=True)["name"] == NEWEST


def test_a_prefix_list_is_found_by_name_and_by_id(program: Program) -> None:
    """Without it security groups can't be opened for the health checkers alone."""
    name = "com.amazonaws.eu-west-1.route53-healthchecks"
    by_name = call(program, PREFIX_LIST, name=name)
    assert by_name["id"].startswith("pl-")
    assert by_name["name"] == name
    assert by_name["entries"]
    assert call(program, PREFIX_LIST, id=by_name["id"])["name"] == name


def test_a_prefix_list_that_isnt_there_or_isnt_the_only_one_is_an_error(program: Program) -> None:
    """Without it a rule is made for another list."""
    with pytest.raises(ProviderError, match="no matching EC2 Managed Prefix List found"):
        call(program, PREFIX_LIST, name="com.amazonaws.eu-west-1.nothing")
    with pytest.raises(ProviderError, match="multiple EC2 Managed Prefix Lists matched"):
        call(program, PREFIX_LIST)


# Route 53


def test_a_zone_is_found_by_name_and_by_id(program: Program) -> None:
    """Without it the records of both sites go nowhere."""
    route53 = program.aws("route53")
    made = route53.create_hosted_zone(Name="example.com", CallerReference="it")
    id = made["HostedZone"]["Id"].removeprefix("/hostedzone/")
    route53.change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=id, AddTags=[{"Key": "owner", "Value": "ops"}]
    )
    for arguments in ({"name": "example.com"}, {"name": "Example.com."}, {"zoneId": id}):
        result = call(program, ZONE, **arguments)
        assert result["id"] == result["zoneId"] == id
        assert result["name"] == "example.com"
        assert result["nameServers"] == made["DelegationSet"]["NameServers"]
        assert result["primaryNameServer"] == result["nameServers"][0]
        assert result["privateZone"] is False
        assert result["tags"] == {"owner": "ops"}
        assert result["resourceRecordSetCount"] == 2


def test_a_zone_that_isnt_there_or_isnt_the_only_one_is_an_error(program: Program) -> None:
    """Without it a site's records go into a zone that nobody asks."""
    with pytest.raises(ProviderError, match="no matching Route 53 Hosted Zone found"):
        call(program, ZONE, name="example.com")
    for reference in ("one", "two"):
        program.aws("route53").create_hosted_zone(Name="example.com", CallerReference=reference)
    with pytest.raises(ProviderError, match="multiple Route 53 Hosted Zones matched"):
        call(program, ZONE, name="example.com")
    with pytest.raises(ProviderError, match="NoSuchHostedZone"):
        call(program, ZONE, zoneId="Z0123456789ABCDEFGHIJ")


def test_a_zone_is_looked_for_by_one_of_name_and_id(program: Program) -> None:
    """Without it a zone of another name than the program's is used."""
    with pytest.raises(ProviderError, match="only one of"):
        call(program, ZONE, name="example.com", zoneId="Z1")


def test_a_private_zone_is_found_only_when_it_is_asked_for(program: Program) -> None:
    """Without it public records are written where nobody outside sees them."""
    vpc = program.aws("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    program.aws("route53").create_hosted_zone(
        Name="example.com",
        CallerReference="it",
        VPC={"VPCRegion": "eu-west-1", "VPCId": vpc},
        HostedZoneConfig={"PrivateZone": True},
    )
    with pytest.raises(ProviderError, match="no matching"):
        call(program, ZONE, name="example.com")
    found = call(program, ZONE, name="example.com", privateZone=True)
    assert found["privateZone"] is True
    assert found["primaryNameServer"] == found["nameServers"][0]


# Systems Manager


def test_a_parameter_is_read_with_its_version(program: Program) -> None:
    """Without it a program works by an old record."""
    ssm = program.aws("ssm")
    ssm.put_parameter(Name="/it", Type="String", Value="1")
    ssm.put_parameter(Name="/it", Type="String", Value="2", Overwrite=True)
    result = call(program, PARAMETER, name="/it")
    assert (result["value"], result["insecureValue"], result["version"]) == ("2", "2", 2)
    assert result["id"] == result["name"] == "/it"
    assert result["arn"].endswith(":parameter/it")


def test_a_secret_is_decrypted_unless_the_program_says_otherwise(program: Program) -> None:
    """Without it a program works with ciphertext."""
    program.aws("ssm").put_parameter(Name="/it", Type="SecureString", Value="hidden")
    result = call(program, PARAMETER, name="/it")
    assert result["value"] == "hidden"
    assert result["insecureValue"] is None
    assert call(program, PARAMETER, name="/it", withDecryption=False)["value"] != "hidden"


def test_a_parameter_of_the_other_region_isnt_found(program: Program) -> None:
    """Without it a program reads a record that the region it survives in doesn't have."""
    program.aws("ssm").put_parameter(Name="/it", Type="String", Value="1")
    with pytest.raises(ProviderError, match=r"reading SSM Parameter \(/it\): couldn't find resource"):
        call(program, PARAMETER, name="/it", region="eu-central-1")


def test_all_parameters_of_a_path_are_returned_and_none_is_no_error(program: Program) -> None:
    """Without it a program can't tell a record that was never written from one that it may not read."""
    assert call(program, PARAMETERS, path="/app")["names"] == []
    for number in range(12):
        program.aws("ssm").put_parameter(Name=f"/app/{number:02}", Type="String", Value=f"v{number}")
    program.aws("ssm").put_parameter(Name="/app/deeper/1", Type="String", Value="deep")
    result = call(program, PARAMETERS, path="/app")
    assert sorted(result["names"]) == [f"/app/{number:02}" for number in range(12)]
    assert dict(zip(result["names"], result["values"], strict=True))["/app/11"] == "v11"
    assert len(call(program, PARAMETERS, path="/app", recursive=True)["names"]) == 13


def test_a_required_argument_is_named(program: Program) -> None:
    """Without it AWS is asked for a parameter without a name."""
    assert refusals(program, PARAMETER) == {"name": "argument 'name' is required"}


def test_without_any_region_it_says_so(program: Program) -> None:
    """Without it the function answers for whichever region comes first."""
    _, failures = program.engine.invoke(ProviderConfig(region=None), ZONES, {})
    assert "missing region" in failures[0].reason
