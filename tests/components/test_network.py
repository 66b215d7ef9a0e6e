"""The network of a site."""

import ipaddress
import json
from typing import Any

import pulumi
import pytest

from components.network import Network, NetworkArgs
from lockstep.config.models import Egress
from tests.components.recording import Recording, run

CIDR = ipaddress.IPv4Network("10.10.0.0/16")
BUCKET = "arn:aws:s3:::bucket"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"


def network(zones: int = 2, offered: list[str] | None = None, **options: Any) -> Recording:
    """A network declared for `zones` zones, in a region that offers the account those in `offered`."""

    def program() -> None:
        args = NetworkArgs(cidr=CIDR, region="eu-west-1", zones=zones, package_bucket_arn=BUCKET, **options)
        Network("site", args, pulumi.ResourceOptions())

    return run(program, zones=offered)


def blocks(recording: Recording, kind: str) -> list[str]:
    """The subnets of a kind, in the order of their names."""
    subnets = sorted(recording.of("aws:ec2/subnet:Subnet"), key=lambda subnet: subnet.name)
    return [subnet.inputs["cidrBlock"] for subnet in subnets if f"-{kind}-" in subnet.name]


@pytest.mark.parametrize("zones", [2, 3])
def test_every_zone_has_a_public_and_a_private_subnet_within_the_sites_block(zones: int) -> None:
    """Losing one zone would take the whole site, or AWS would refuse a subnet."""
    recording = network(zones)
    subnets = recording.of("aws:ec2/subnet:Subnet")
    assert len(subnets) == 2 * zones
    networks = [ipaddress.IPv4Network(subnet.inputs["cidrBlock"]) for subnet in subnets]
    assert all(block.subnet_of(CIDR) for block in networks)
    assert not any(one.overlaps(other) for one in networks for other in networks if one is not other)
    for kind in ("public", "private"):
        in_zones = {subnet.inputs["availabilityZone"] for subnet in subnets if f"-{kind}-" in subnet.name}
        assert len(in_zones) == zones


def test_another_zone_moves_no_subnet() -> None:
    """Adding a zone would replace all subnets, and with them the balancer."""
    two, three = network(2), network(3)
    for kind in ("public", "private"):
        assert blocks(three, kind)[:2] == blocks(two, kind)


def test_zones_are_taken_in_the_order_of_their_names() -> None:
    """AWS answers in no fixed order: subnets would be replaced by an unrelated update."""
    recording = network()
    names = {subnet.name: subnet.inputs["availabilityZone"] for subnet in recording.of("aws:ec2/subnet:Subnet")}
    assert names["site-public-0"] == names["site-private-0"] == "eu-west-1a"
    assert names["site-public-1"] == names["site-private-1"] == "eu-west-1b"


def test_only_availability_zones_count_and_whatever_their_state() -> None:
    """A Local Zone lacks most instance types; and subnets must not move while a zone is impaired."""
    (zones,) = [args for token, args in network().invokes if token.endswith(":getAvailabilityZones")]
    assert "state" not in zones
    assert zones["filters"] == [{"name": "zone-type", "values": ["availability-zone"]}]


def test_private_subnets_have_no_way_to_the_internet() -> None:
    """An instance could send data out, or depend on what is out there to boot."""
    recording = network()
    route = recording.one("aws:ec2/route:Route")
    assert route.inputs["routeTableId"] == "site-public-id"
    assert route.inputs["destinationCidrBlock"] == "0.0.0.0/0"
    tables = {
        association.inputs["subnetId"]: association.inputs["routeTableId"]
        for association in recording.of("aws:ec2/routeTableAssociation:RouteTableAssociation")
    }
    assert tables == {
        "site-public-0-id": "site-public-id",
        "site-public-1-id": "site-public-id",
        "site-private-0-id": "site-private-id",
        "site-private-1-id": "site-private-id",
    }


def test_no_subnet_gives_instances_public_addresses() -> None:
    """What is launched there by mistake would be reachable from the internet."""
    assert not any(subnet.inputs["mapPublicIpOnLaunch"] for subnet in network().of("aws:ec2/subnet:Subnet"))


def test_instances_reach_s3_through_a_gateway_endpoint_of_their_own_region() -> None:
    """Instances couldn't install anything, or the bucket's policy, which asks for the endpoint, would refuse them."""
    endpoint = network().one("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    assert endpoint.inputs["serviceName"] == "com.amazonaws.eu-west-1.s3"
    assert endpoint.inputs["routeTableIds"] == ["site-private-id"]


def test_the_endpoint_lets_through_reads_of_the_own_and_the_distributions_packages_only() -> None:
    """An instance that was taken over could send data to any bucket in the world."""
    endpoint = network().one("aws:ec2/vpcEndpoint:VpcEndpoint")
    own, distribution = json.loads(endpoint.inputs["policy"])["Statement"]
    for statement in (own, distribution):
        assert statement["Effect"] == "Allow"
        assert statement["Action"] == "s3:GetObject"
    assert own["Resource"] == [f"{BUCKET}/releases/*", f"{BUCKET}/packages/*"]
    assert distribution["Resource"] == ["arn:aws:s3:::al2023-repos-eu-west-1-de612dc2/*"]


def test_interface_endpoints_are_in_every_zone_and_answer_to_aws_own_names() -> None:
    """Losing a zone would cut the others off; and without private DNS every request would look for the internet."""
    recording = network(egress=Egress.ENDPOINTS, endpoint_services=["ssm", "ecr.api"])
    endpoints = {
        each.inputs["serviceName"]: each
        for each in recording.of(ENDPOINT)
        if each.inputs["vpcEndpointType"] == "Interface"
    }
    assert set(endpoints) == {"com.amazonaws.eu-west-1.ssm", "com.amazonaws.eu-west-1.ecr.api"}
    for endpoint in endpoints.values():
        assert endpoint.inputs["privateDnsEnabled"] is True
        assert endpoint.inputs["subnetIds"] == ["site-private-0-id", "site-private-1-id"]
        assert endpoint.inputs["securityGroupIds"] == ["site-endpoints-id"]


def test_the_endpoints_group_lets_nobody_in_by_itself() -> None:
    """Whatever is in the VPC could reach AWS's services: who comes in is for those who have a reason."""
    recording = network(egress=Egress.ENDPOINTS, endpoint_services=["ssm"])
    group = recording.one("aws:ec2/securityGroup:SecurityGroup")
    assert "ingress" not in group.inputs
    assert not any("Rule" in each.type for each in recording.managed)


def test_every_zone_has_its_own_nat_gateway_and_way_to_it() -> None:
    """Losing the zone of the only gateway would take the way out of all the others."""
    recording = network(3, egress=Egress.NAT)
    gateways = {each.name: each.inputs for each in recording.of("aws:ec2/natGateway:NatGateway")}
    assert set(gateways) == {f"site-nat-{index}" for index in range(3)}
    tables = {each.inputs["subnetId"]: each.inputs["routeTableId"] for each in recording.of(ASSOCIATION)}
    for index in range(3):
        assert gateways[f"site-nat-{index}"]["subnetId"] == f"site-public-{index}-id"
        assert gateways[f"site-nat-{index}"]["allocationId"] == f"site-nat-{index}-allocation"
        assert tables[f"site-private-{index}-id"] == f"site-private-{index}-id"
        route = recording.one("aws:ec2/route:Route", f"site-private-{index}-default").inputs
        assert (route["routeTableId"], route["natGatewayId"]) == (f"site-private-{index}-id", f"site-nat-{index}-id")
        assert route["destinationCidrBlock"] == "0.0.0.0/0"
    assert recording.one(ENDPOINT).inputs["routeTableIds"] == [f"site-private-{index}-id" for index in range(3)]


def test_nat_gateways_wait_for_the_internet() -> None:
    """A gateway without a route out comes up, and what it should send is lost."""
    recording = network(egress=Egress.NAT)
    way = recording.one("aws:ec2/route:Route", "site-public-default").urn
    assert all(way in gateway.dependencies for gateway in recording.of("aws:ec2/natGateway:NatGateway"))


def test_by_default_nothing_costs_by_the_hour() -> None:
    """A site that nobody configured would cost hundreds of dollars a month."""
    recording = network()
    assert not recording.has("aws:ec2/natGateway:NatGateway")
    assert not recording.has("aws:ec2/eip:Eip")
    assert [each.inputs["vpcEndpointType"] for each in recording.of(ENDPOINT)] == ["Gateway"]


def test_endpoints_without_a_service_are_refused() -> None:
    """Nobody would notice that instances reach nothing."""
    with pytest.raises(ValueError, match="no service"):
        network(egress=Egress.ENDPOINTS)


@pytest.mark.parametrize(
    ("options", "ready"),
    [
        ({}, {"site-s3"}),
        ({"egress": Egress.NAT}, {"site-s3", "site-private-0-default", "site-private-1-default"}),
        ({"egress": Egress.ENDPOINTS, "endpoint_services": ["ssm"]}, {"site-s3", "site-ssm"}),
    ],
)
def test_private_subnets_count_as_ready_when_they_have_their_way_out(options: dict[str, Any], ready: set[str]) -> None:
    """The first instances would boot before their packages can be reached, and be replaced as unhealthy."""
    kept = Recording()

    def program() -> None:
        args = NetworkArgs(cidr=CIDR, region="eu-west-1", zones=2, package_bucket_arn=BUCKET, **options)
        made = Network("site", args)

        class Probe(pulumi.ComponentResource):
            def __init__(self) -> None:
                super().__init__("test:Probe", "probe", {"subnets": made.private_subnet_ids})

        Probe()

    run(program, recording=kept)
    probe = kept.one("test:Probe")
    names = {urn.rpartition("::")[2] for urn in probe.property_dependencies["subnets"]}
    assert probe.inputs["subnets"] == ["site-private-0-id", "site-private-1-id"]
    assert ready | {"site-private-0", "site-private-1"} <= names


def test_a_region_with_too_few_zones_is_refused() -> None:
    """The site would come up in fewer zones than promised."""
    with pytest.raises(pulumi.RunError, match=r"lockstep:fleet\.zones is 3, and eu-west-1 offers this account 2"):
        network(3, offered=["eu-west-1a", "eu-west-1b"])


@pytest.mark.parametrize("zones", [1, 5])
def test_a_number_of_zones_that_the_layout_has_no_room_for_is_refused(zones: int) -> None:
    """One zone is no redundancy, and the subnets of a fifth would be those of another kind."""
    with pytest.raises(ValueError, match="2 to 4"):
        NetworkArgs(cidr=CIDR, region="eu-west-1", zones=zones, package_bucket_arn=BUCKET)


@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/24"])
def test_a_block_of_the_wrong_size_is_refused(cidr: str) -> None:
    """AWS would refuse the VPC, or the balancer in subnets that are too small for it."""
    with pytest.raises(ValueError, match="between /16 and /23"):
        NetworkArgs(cidr=ipaddress.IPv4Network(cidr), region="eu-west-1", zones=2, package_bucket_arn=BUCKET)
