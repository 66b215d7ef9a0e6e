"""EC2's networks refuse what AWS refuses, with AWS's codes, and say what exists."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

MISSING_VPC = "vpc-0123456789abcdef0"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


@pytest.fixture
def ec2(aws: Any) -> Any:
    return aws("ec2")


@pytest.fixture
def vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"])


def subnet_in(ec2: Any, vpc: str, cidr: str = "10.1.0.0/24", zone: str = "eu-west-1a") -> str:
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"])


def group_in(ec2: Any, vpc: str, name: str = "web") -> str:
    return str(ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"])


def rules_of(ec2: Any, group: str, direction: str) -> list[dict[str, Any]]:
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    return [each for each in found if each["IsEgress"] == (direction == "egress")]


def main_table(ec2: Any, vpc: str) -> str:
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    return str(ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"])


def gateway_of(ec2: Any, vpc: str) -> str:
    gateway = str(ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"])
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return gateway


def prefix_list(ec2: Any, name: str) -> str:
    found = ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    assert len(found) == 1
    return str(found[0]["PrefixListId"])


@pytest.mark.change("ec2-filter-values")
@pytest.mark.parametrize("operation", ["describe_instances", "describe_vpcs", "describe_tags"])
def test_a_call_with_more_filter_values_than_aws_takes_is_refused(ec2: Any, operation: str) -> None:
    """Without it what looks at a large fleet works here and is refused on AWS, in the middle of a release."""
    describe = getattr(ec2, operation)
    several: list[dict[str, Any]] = [
        {"Name": "tag-key", "Values": ["a"]},
        {"Name": "tag:a", "Values": [str(number) for number in range(199)]},
    ]
    if operation == "describe_tags":
        several = [{"Name": "key", "Values": ["a"]}, {"Name": "value", "Values": several[1]["Values"]}]
    describe(Filters=several)
    several[0]["Values"].append("b")
    code, message = refused(lambda: describe(Filters=several))
    assert code == "FilterLimitExceeded"
    assert "200" in message


@pytest.mark.change("ec2-regions-and-zones")
def test_regions_of_an_account_are_those_that_need_no_opt_in(ec2: Any) -> None:
    """Without it a site in a region that the account never enabled passes here and fails on AWS."""
    regions = {region["RegionName"]: region["OptInStatus"] for region in ec2.describe_regions()["Regions"]}
    assert set(regions.values()) == {"opt-in-not-required"}
    assert {"eu-west-1", "eu-central-1", "us-east-1"} <= set(regions)
    assert not {"af-south-1", "eu-south-1", "cn-north-1", "us-gov-west-1"} & set(regions)
    everywhere = {
        region["RegionName"]: region["OptInStatus"] for region in ec2.describe_regions(AllRegions=True)["Regions"]
    }
    assert everywhere["af-south-1"] == "not-opted-in"
    assert "cn-north-1" not in everywhere


@pytest.mark.change("ec2-regions-and-zones")
def test_an_unknown_region_is_refused_by_name(ec2: Any) -> None:
    """Without it a misspelt region in a configuration is an empty list."""
    code, message = refused(lambda: ec2.describe_regions(RegionNames=["eu-west-9"]))
    assert code == "InvalidParameterValue"
    assert "eu-west-9" in message


@pytest.mark.change("ec2-regions-and-zones")
@pytest.mark.parametrize("region", ["eu-west-1", "eu-central-1"])
def test_zones_a_b_and_c_say_that_they_need_no_opt_in(aws: Any, region: str) -> None:
    """Without it a program that leaves local zones out by their opt-in status finds no zone at all."""
    filters = [
        {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
        {"Name": "state", "Values": ["available"]},
    ]
    zones = aws("ec2", region).describe_availability_zones(Filters=filters)["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones] == [f"{region}{letter}" for letter in "abc"]
    assert len({zone["ZoneId"] for zone in zones}) == 3
    assert {zone["OptInStatus"] for zone in zones} == {"opt-in-not-required"}
    assert {zone["NetworkBorderGroup"] for zone in zones} == {region}


@pytest.mark.change("ec2-regions-and-zones")
def test_a_zone_of_another_region_is_refused(ec2: Any) -> None:
    """Without it zones copied from the other site's configuration look fine."""
    code, message = refused(lambda: ec2.describe_availability_zones(ZoneNames=["eu-central-1a"]))
    assert (code, "eu-central-1a" in message) == ("InvalidParameterValue", True)


@pytest.mark.change("ec2-missing-ids-named")
def test_missing_ids_are_refused_by_id(ec2: Any, vpc: str) -> None:
    """Without it a refresh can't tell a deleted resource from an empty answer, or names the wrong one."""
    subnet = subnet_in(ec2, vpc)
    assert refused(lambda: ec2.describe_vpcs(VpcIds=[vpc, MISSING_VPC])) == (
        "InvalidVpcID.NotFound",
        f"The vpc ID '{MISSING_VPC}' does not exist",
    )
    assert refused(lambda: ec2.describe_subnets(SubnetIds=[subnet, "subnet-0123456789abcdef0"])) == (
        "InvalidSubnetID.NotFound",
        "The subnet ID 'subnet-0123456789abcdef0' does not exist",
    )
    assert refused(lambda: ec2.describe_security_groups(GroupIds=["sg-0123456789abcdef0"])) == (
        "InvalidGroup.NotFound",
        "The security group 'sg-0123456789abcdef0' does not exist",
    )
    code, _ = refused(lambda: ec2.describe_managed_prefix_lists(PrefixListIds=["pl-01234567"]))
    assert code == "InvalidPrefixListID.NotFound"
    code, _ = refused(lambda: ec2.get_managed_prefix_list_entries(PrefixListId="pl-01234567"))
    assert code == "InvalidPrefixListID.NotFound"
    nat = "nat-0123456789abcdef0"
    assert refused(lambda: ec2.describe_nat_gateways(NatGatewayIds=[nat]))[0] == "NatGatewayNotFound"
    assert refused(lambda: ec2.delete_nat_gateway(NatGatewayId=nat))[0] == "NatGatewayNotFound"
    assert refused(lambda: ec2.create_nat_gateway(SubnetId=subnet))[0] == "MissingParameter"
    peering = "pcx-0123456789abcdef0"
    code, _ = refused(lambda: ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[peering]))
    assert code == "InvalidVpcPeeringConnectionID.NotFound"
    code, _ = refused(lambda: ec2.describe_network_acls(NetworkAclIds=["acl-0123456789abcdef0"]))
    assert code == "InvalidNetworkAclID.NotFound"


@pytest.mark.change("ec2-tags")
@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("eni-0123456789abcdef0", "InvalidNetworkInterfaceID.NotFound"),
        ("nat-0123456789abcdef0", "InvalidNatGatewayID.NotFound"),
        ("eipalloc-0123456789abcdef0", "InvalidAllocationID.NotFound"),
        ("vpce-0123456789abcdef0", "InvalidVpcEndpointId.NotFound"),
        (MISSING_VPC, "InvalidVpcID.NotFound"),
    ],
)
def test_what_does_not_exist_is_not_tagged(ec2: Any, resource: str, code: str) -> None:
    """Without it repairing the tags of a resource that was deleted behind Pulumi's back seems to work."""
    assert refused(lambda: ec2.create_tags(Resources=[resource], Tags=[{"Key": "a", "Value": "b"}]))[0] == code


@pytest.mark.change("ec2-tags")
@pytest.mark.parametrize("tag", [{"Key": "aws:x", "Value": "y"}, {"Key": "k" * 129}, {"Key": "k", "Value": "v" * 257}])
def test_a_tag_that_aws_refuses_is_refused(ec2: Any, vpc: str, tag: dict[str, str]) -> None:
    """Without it a tag that no AWS resource can have is kept here."""
    assert refused(lambda: ec2.create_tags(Resources=[vpc], Tags=[tag]))[0] == "InvalidParameterValue"


@pytest.mark.change("ec2-default-vpc-internet-gateway")
def test_the_default_vpc_reaches_the_internet(ec2: Any) -> None:
    """Without it a balancer in the default VPC can't face the internet."""
    default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    filters = [{"Name": "attachment.vpc-id", "Values": [default]}]
    (gateway,) = ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    routes = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [default]}])["RouteTables"][0]["Routes"]
    assert ("0.0.0.0/0", gateway["InternetGatewayId"]) in {
        (route["DestinationCidrBlock"], route["GatewayId"]) for route in routes
    }


@pytest.mark.change("ec2-vpc-rules")
@pytest.mark.parametrize(("cidr", "code"), [("10.0.0.0/15", "InvalidVpc.Range"), ("10.0.0.0/29", "InvalidVpc.Range")])
def test_a_vpc_is_between_16_and_28(ec2: Any, cidr: str, code: str) -> None:
    """Without it a network that AWS can't make is planned and previewed."""
    assert refused(lambda: ec2.create_vpc(CidrBlock=cidr))[0] == code


@pytest.mark.change("ec2-vpc-rules")
def test_a_cidr_block_is_kept_in_its_canonical_form(ec2: Any) -> None:
    """Without it a refresh finds no drift here where it finds drift on AWS at every run."""
    assert ec2.create_vpc(CidrBlock="10.9.3.7/16")["Vpc"]["CidrBlock"] == "10.9.0.0/16"
    # CreateSubnet and CreateRoute say the same.
    vpc = ec2.create_vpc(CidrBlock="100.68.0.18/18")["Vpc"]
    assert vpc["CidrBlock"] == "100.68.0.0/18"
    subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="100.68.1.7/24")["Subnet"]
    assert subnet["CidrBlock"] == "100.68.1.0/24"


@pytest.mark.change("ec2-vpc-rules")
@pytest.mark.change("ec2-subnet-rules")
@pytest.mark.parametrize(
    "block", ["10.9.0.0", "10.9.0.0/255.255.0.0", "10.9.0.0/0.0.255.255", "10.9.0.0/33", "2001:db8::/56"]
)
def test_a_network_that_is_no_block_is_refused(ec2: Any, vpc: str, block: str) -> None:
    """Without it a netmask that AWS doesn't read makes a network here."""
    for create in (partial(ec2.create_vpc, CidrBlock=block), partial(ec2.create_subnet, VpcId=vpc, CidrBlock=block)):
        code, message = refused(create)
        assert (code, "not a valid CIDR block" in message) == ("InvalidParameterValue", True), message


@pytest.mark.change("ec2-vpc-rules")
def test_a_further_cidr_block_overlaps_none_of_the_vpc(ec2: Any, vpc: str) -> None:
    """Without it an address plan that collides with itself passes here."""
    code, _ = refused(lambda: ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.1.128.0/17"))
    assert code == "CidrConflict"
    assert refused(lambda: ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.2.0.0/12"))[0] == "InvalidVpc.Range"
    made = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.2.3.4/16")["CidrBlockAssociation"]
    assert made["CidrBlock"] == "10.2.0.0/16"
    subnet_in(ec2, vpc, "10.2.1.0/24")


@pytest.mark.change("ec2-vpc-rules")
def test_a_vpc_with_anything_in_it_is_not_deleted(ec2: Any, vpc: str) -> None:
    """Without it a destroy in the wrong order passes here and hangs on AWS."""
    gateway = gateway_of(ec2, vpc)
    assert refused(lambda: ec2.delete_vpc(VpcId=vpc))[0] == "DependencyViolation"
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    group = group_in(ec2, vpc)
    assert refused(lambda: ec2.delete_vpc(VpcId=vpc))[0] == "DependencyViolation"
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=vpc)
    assert refused(lambda: ec2.delete_vpc(VpcId=vpc))[0] == "InvalidVpcID.NotFound"


@pytest.mark.change("ec2-vpc-rules")
def test_a_vpc_has_one_internet_gateway(ec2: Any, vpc: str) -> None:
    """Without it two gateways for one VPC pass here."""
    gateway_of(ec2, vpc)
    assert refused(lambda: gateway_of(ec2, vpc))[0] == "Resource.AlreadyAssociated"


@pytest.mark.change("ec2-subnet-rules")
def test_a_subnet_is_in_a_zone_of_its_region(ec2: Any, vpc: str) -> None:
    """Without it a site can be built in the other site's zones."""
    code, message = refused(lambda: subnet_in(ec2, vpc, zone="eu-central-1a"))
    assert code == "InvalidParameterValue"
    assert "eu-west-1a, eu-west-1b, eu-west-1c" in message


@pytest.mark.change("ec2-subnet-rules")
def test_a_subnet_fits_its_vpc_and_no_other_subnet(ec2: Any, vpc: str) -> None:
    """Without it overlapping address plans are found only on AWS."""
    subnet_in(ec2, vpc, "10.1.0.0/24")
    assert refused(lambda: subnet_in(ec2, vpc, "10.1.0.128/25"))[0] == "InvalidSubnet.Conflict"
    assert refused(lambda: subnet_in(ec2, vpc, "10.2.0.0/24"))[0] == "InvalidSubnet.Range"
    assert refused(lambda: subnet_in(ec2, vpc, "10.1.9.0/29"))[0] == "InvalidSubnet.Range"


@pytest.mark.change("ec2-subnet-rules")
def test_a_new_subnet_gives_no_public_addresses(ec2: Any, vpc: str) -> None:
    """Without it private instances seem to need nothing to be private."""
    zone = {"Name": "availability-zone", "Values": ["eu-west-1b"]}
    for default in ec2.describe_subnets(Filters=[zone])["Subnets"]:
        ec2.delete_subnet(SubnetId=default["SubnetId"])
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24", AvailabilityZone="eu-west-1b")["Subnet"]
    assert subnet["MapPublicIpOnLaunch"] is False
    assert subnet["DefaultForAz"] is False
    assert subnet["AvailableIpAddressCount"] == 251


@pytest.mark.change("ec2-subnet-rules")
def test_a_subnet_in_use_is_not_deleted(ec2: Any, vpc: str) -> None:
    """Without it a destroy in the wrong order passes here and hangs on AWS."""
    subnet = subnet_in(ec2, vpc)
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    assert refused(lambda: ec2.delete_subnet(SubnetId=subnet))[0] == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_subnet(SubnetId=subnet)


@pytest.mark.change("ec2-security-group-rules")
def test_a_security_group_in_use_is_not_deleted(ec2: Any, vpc: str) -> None:
    """Without it replacing a group that instances still have passes here and hangs on AWS."""
    group, other = group_in(ec2, vpc), group_in(ec2, vpc, "other")
    interface = ec2.create_network_interface(SubnetId=subnet_in(ec2, vpc), Groups=[group])["NetworkInterface"]
    assert refused(lambda: ec2.delete_security_group(GroupId=group)) == (
        "DependencyViolation",
        f"resource {group} has a dependent object",
    )
    ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    assert refused(lambda: ec2.delete_security_group(GroupId=group))[0] == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[rule])
    ec2.delete_security_group(GroupId=group)


@pytest.mark.change("ec2-security-group-rules")
def test_the_default_security_group_stays(ec2: Any, vpc: str) -> None:
    """Without it a program can delete what AWS keeps."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    (default,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    assert refused(lambda: ec2.delete_security_group(GroupId=default["GroupId"]))[0] == "CannotDelete"


@pytest.mark.change("ec2-security-group-rules")
def test_a_rule_names_what_exists(ec2: Any, vpc: str) -> None:
    """Without it a rule for a prefix list of the other region is taken and opens nothing on AWS."""
    group = group_in(ec2, vpc)
    rule: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}

    def authorize(**more: Any) -> Any:
        return ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{**rule, **more}])

    assert refused(lambda: authorize(PrefixListIds=[{"PrefixListId": "pl-12345678"}]))[0] == (
        "InvalidPrefixListID.NotFound"
    )
    pairs = [{"GroupId": "sg-0123456789abcdef0"}]
    assert refused(lambda: authorize(UserIdGroupPairs=pairs))[0] == "InvalidGroup.NotFound"
    anyone = [{"CidrIp": "0.0.0.0/0"}]
    assert refused(lambda: authorize(IpRanges=anyone, FromPort=500))[0] == "InvalidParameterValue"
    authorize(IpRanges=anyone)


@pytest.mark.change("ec2-security-group-rules")
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_the_blocks_of_rules_have_no_host_bits(ec2: Any, vpc: str, direction: str) -> None:
    """Without it a block that AWS takes stops whatever asks who may reach whom: every balancer and machine."""
    group = group_in(ec2, vpc)
    authorize = partial(getattr(ec2, f"authorize_security_group_{direction}"), GroupId=group)
    revoke = partial(getattr(ec2, f"revoke_security_group_{direction}"), GroupId=group)
    describe = getattr(ec2, f"update_security_group_rule_descriptions_{direction}")

    def rule(kind: str, **block: str) -> list[dict[str, Any]]:
        return [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, kind: [block]}]

    def blocks() -> list[str]:
        # Beside a new group's own rule, which lets everything out.
        found = [each for each in rules_of(ec2, group, direction) if each["IpProtocol"] == "tcp"]
        return [each.get("CidrIpv4") or each["CidrIpv6"] for each in found]

    authorize(IpPermissions=rule("IpRanges", CidrIp="100.68.0.18/18"))
    authorize(IpPermissions=rule("Ipv6Ranges", CidrIpv6="2001:DB8:0::7/32"))
    assert blocks() == ["100.68.0.0/18", "2001:db8::/32"]
    for block in ("100.68.0.0/18", "100.68.63.1/18"):
        code, _ = refused(partial(authorize, IpPermissions=rule("IpRanges", CidrIp=block)))
        assert code == "InvalidPermission.Duplicate"
    describe(GroupId=group, IpPermissions=rule("IpRanges", CidrIp="100.68.0.19/18", Description="shared"))
    revoke(IpPermissions=rule("IpRanges", CidrIp="100.68.1.0/18"))
    assert blocks() == ["2001:db8::/32"]


@pytest.mark.change("ec2-security-group-rules")
def test_a_block_has_no_host_bits_however_it_is_given(ec2: Any, vpc: str) -> None:
    """Without it the older forms of a request, and changes of a rule, keep what rules can't be compared by."""
    group = group_in(ec2, vpc)
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="100.68.0.18/18"
    )
    (rule,) = rules_of(ec2, group, "ingress")
    assert rule["CidrIpv4"] == "100.68.0.0/18"
    change = {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "CidrIpv4": "198.51.100.7/24"}
    changes = [{"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": change}]
    ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=changes)
    (rule,) = rules_of(ec2, group, "ingress")
    assert (rule["CidrIpv4"], rule["FromPort"]) == ("198.51.100.0/24", 81)


@pytest.mark.change("ec2-security-group-rules")
@pytest.mark.parametrize(
    ("kind", "key", "block"),
    [
        *(
            ("IpRanges", "CidrIp", block)
            for block in ("10.0.0.1", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/8\n", "anywhere", "10.0.0.300/8")
        ),
        # Of the other kind.
        ("IpRanges", "CidrIp", "2001:db8::/32"),
        ("Ipv6Ranges", "CidrIpv6", "10.0.0.0/8"),
        ("Ipv6Ranges", "CidrIpv6", "2001:db8::/129"),
    ],
)
def test_a_block_that_is_none_is_refused(ec2: Any, vpc: str, kind: str, key: str, block: str) -> None:
    """Without it a rule that can't be read is kept."""
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, kind: [{key: block}]}
    group = group_in(ec2, vpc)
    code, message = refused(lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule]))
    assert (code, "is malformed" in message) == ("InvalidParameterValue", True)


@pytest.mark.change("ec2-routes")
def test_a_route_leads_to_something_that_exists(ec2: Any, vpc: str) -> None:
    """Without it a route to a gateway of another VPC, or to nothing, is a working network here."""
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]

    def route(**target: str) -> Any:
        return ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)

    assert refused(route)[0] == "MissingParameter"
    assert refused(lambda: route(GatewayId="igw-0123456789abcdef0"))[0] == "InvalidGatewayID.NotFound"
    assert refused(lambda: route(NatGatewayId="nat-0123456789abcdef0"))[0] == "InvalidNatGatewayID.NotFound"
    stranger = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    code, message = refused(lambda: route(GatewayId=stranger))
    assert (code, "belong to different networks" in message) == ("InvalidParameterValue", True)
    gateway = gateway_of(ec2, vpc)
    route(GatewayId=gateway)
    assert refused(lambda: route(GatewayId=gateway))[0] == "RouteAlreadyExists"


@pytest.mark.change("ec2-routes")
def test_no_route_is_more_specific_than_the_vpc_itself(ec2: Any, vpc: str) -> None:
    """Without it a route inside the VPC's own block passes here."""
    gateway, table = gateway_of(ec2, vpc), main_table(ec2, vpc)

    def route(cidr: str) -> Any:
        return ec2.create_route(RouteTableId=table, DestinationCidrBlock=cidr, GatewayId=gateway)

    assert refused(lambda: route("10.1.0.0/16"))[0] == "RouteAlreadyExists"
    code, message = refused(lambda: route("10.1.2.0/24"))
    assert (code, "equal to or more specific" in message) == ("InvalidParameterValue", True)


@pytest.mark.change("ec2-routes")
def test_a_subnet_has_one_route_table(ec2: Any, vpc: str) -> None:
    """Without it a subnet silently keeps its old table."""
    subnet = subnet_in(ec2, vpc)
    first, second = (ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    association = ec2.associate_route_table(RouteTableId=first, SubnetId=subnet)["AssociationId"]
    code, _ = refused(lambda: ec2.associate_route_table(RouteTableId=second, SubnetId=subnet))
    assert code == "Resource.AlreadyAssociated"
    ec2.disassociate_route_table(AssociationId=association)
    ec2.associate_route_table(RouteTableId=second, SubnetId=subnet)


@pytest.mark.change("ec2-routes")
def test_the_main_route_table_is_not_deleted(ec2: Any, vpc: str) -> None:
    """Without it a VPC can lose the table that all its subnets fall back to."""
    assert refused(lambda: ec2.delete_route_table(RouteTableId=main_table(ec2, vpc)))[0] == "DependencyViolation"


@pytest.mark.change("ec2-managed-prefix-lists")
@pytest.mark.parametrize("region", ["eu-west-1", "eu-central-1"])
def test_health_checkers_and_s3_have_prefix_lists_in_every_region(aws: Any, region: str) -> None:
    """Without it a balancer's security group can't be opened for the health checkers by name."""
    ec2 = aws("ec2", region)
    for name in ("s3", "route53-healthchecks", "ipv6.route53-healthchecks"):
        identifier = prefix_list(ec2, f"com.amazonaws.{region}.{name}")
        assert ec2.get_managed_prefix_list_entries(PrefixListId=identifier)["Entries"]
    assert prefix_list(aws("ec2", "eu-west-1"), "com.amazonaws.eu-west-1.s3") != prefix_list(
        aws("ec2", "eu-central-1"), "com.amazonaws.eu-central-1.s3"
    )


def endpoint(ec2: Any, vpc: str, tables: list[str], service: str = "com.amazonaws.eu-west-1.s3", **more: Any) -> str:
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, RouteTableIds=tables, **more)["VpcEndpoint"]
    assert made["VpcEndpointType"] == "Gateway"
    return str(made["VpcEndpointId"])


def endpoint_routes(ec2: Any, table: str) -> list[str]:
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    return [route["GatewayId"] for route in routes if "DestinationPrefixListId" in route]


@pytest.mark.change("ec2-vpc-endpoints")
def test_an_endpoint_names_a_service_of_its_own_region(ec2: Any, vpc: str) -> None:
    """Without it the endpoint of one site is declared for the other site's S3 and carries nothing on AWS."""
    for service in ("com.amazonaws.eu-central-1.s3", "com.amazonaws.eu-west-1.sqs", "s3"):
        assert refused(partial(endpoint, ec2, vpc, [], service)) == (
            "InvalidServiceName",
            f"The Vpc Endpoint Service '{service}' does not exist",
        )


@pytest.mark.change("ec2-vpc-endpoints")
def test_an_endpoint_needs_route_tables_of_its_vpc(ec2: Any, vpc: str) -> None:
    """Without it an endpoint that no subnet uses looks complete."""
    assert refused(lambda: endpoint(ec2, vpc, ["rtb-0123456789abcdef0"]))[0] == "InvalidRouteTableID.NotFound"
    other = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    assert refused(lambda: endpoint(ec2, vpc, [main_table(ec2, other)]))[0] == "InvalidParameter"
    table = main_table(ec2, vpc)
    first = endpoint(ec2, vpc, [table])
    assert endpoint_routes(ec2, table) == [first]
    assert refused(lambda: endpoint(ec2, vpc, [table]))[0] == "RouteAlreadyExists"


@pytest.mark.change("ec2-vpc-endpoints")
@pytest.mark.parametrize(
    "document",
    [
        "{not json",
        json.dumps({"Version": "2012-10-17"}),
        json.dumps({"Statement": [{"Effect": "Permit", "Principal": "*", "Action": "*", "Resource": "*"}]}),
        json.dumps({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}),
    ],
)
def test_an_endpoint_policy_is_a_policy(ec2: Any, vpc: str, document: str) -> None:
    """Without it a broken policy document is found only when AWS refuses it."""
    assert refused(lambda: endpoint(ec2, vpc, [], PolicyDocument=document))[0] == "InvalidPolicyDocument"
    made = endpoint(ec2, vpc, [])
    code, _ = refused(lambda: ec2.modify_vpc_endpoint(VpcEndpointId=made, PolicyDocument=document))
    assert code == "InvalidPolicyDocument"


@pytest.mark.change("ec2-vpc-endpoints")
def test_changing_an_endpoint_moves_its_routes(ec2: Any, vpc: str) -> None:
    """Without it instances of a new subnet reach S3 here and not on AWS, or the other way round."""
    old, new = (ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    made = endpoint(ec2, vpc, [old])
    policy = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}]})
    ec2.modify_vpc_endpoint(
        VpcEndpointId=made, AddRouteTableIds=[new], RemoveRouteTableIds=[old], PolicyDocument=policy
    )
    (described,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[made])["VpcEndpoints"]
    assert described["RouteTableIds"] == [new]
    assert json.loads(described["PolicyDocument"]) == json.loads(policy)
    assert (endpoint_routes(ec2, old), endpoint_routes(ec2, new)) == ([], [made])


@pytest.mark.change("ec2-vpc-endpoints")
def test_a_deleted_endpoint_is_gone_with_its_routes(ec2: Any, vpc: str) -> None:
    """Without it a refresh finds endpoints that were deleted."""
    table = main_table(ec2, vpc)
    made = endpoint(ec2, vpc, [table])
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=[made])["Unsuccessful"] == []
    assert endpoint_routes(ec2, table) == []
    assert refused(lambda: ec2.describe_vpc_endpoints(VpcEndpointIds=[made]))[0] == "InvalidVpcEndpointId.NotFound"
    (failed,) = ec2.delete_vpc_endpoints(VpcEndpointIds=[made])["Unsuccessful"]
    assert failed["Error"]["Code"] == "InvalidVpcEndpoint.NotFound"
