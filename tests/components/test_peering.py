"""The way from one site's network to another's."""

import ipaddress
from typing import Any

import pytest

from components.peering import PeeredNetwork, Peering, PeeringArgs
from tests.components.recording import Recording, run

CONNECTION = "aws:ec2/vpcPeeringConnection:VpcPeeringConnection"
ACCEPTER = "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter"
ROUTE = "aws:ec2/route:Route"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"

REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1", "tertiary": "eu-west-3"}
BLOCKS = {"primary": "10.10.0.0/16", "secondary": "10.20.0.0/16", "tertiary": "10.30.0.0/16"}


def network(site: str, **options: Any) -> PeeredNetwork:
    """The network of a site, with one private route table."""
    given: dict[str, Any] = {
        "site": site,
        "region": REGIONS[site],
        "cidr": ipaddress.IPv4Network(BLOCKS[site]),
        "vpc_id": f"vpc-{site}",
        "private_route_table_ids": [f"rtb-{site}"],
        "instance_group_id": f"sg-{site}",
    }
    return PeeredNetwork(**given | options)


def peering(*networks: PeeredNetwork) -> Recording:
    """The peering declared."""

    def program() -> None:
        Peering("peering", PeeringArgs(networks=networks))

    return run(program, stack="global")


def test_one_site_asks_and_the_other_accepts_each_in_its_region() -> None:
    """A connection that nobody accepts expires after a week, and passes nothing until then."""
    recording = peering(network("primary"), network("secondary"))
    connection, accepter = recording.one(CONNECTION).inputs, recording.one(ACCEPTER).inputs
    assert (connection["region"], connection["vpcId"]) == ("eu-west-1", "vpc-primary")
    assert (connection["peerRegion"], connection["peerVpcId"]) == ("eu-central-1", "vpc-secondary")
    assert (accepter["region"], accepter["autoAccept"]) == ("eu-central-1", True)
    assert accepter["vpcPeeringConnectionId"] == "peering-primary-secondary-id"


def test_each_site_has_a_route_to_the_other_in_every_private_table() -> None:
    """Packets would get there and no answer back, or from one zone and not from another."""
    tables = ["rtb-a", "rtb-b"]
    recording = peering(network("primary", private_route_table_ids=tables), network("secondary"))
    routes = {
        (each.inputs["region"], each.inputs["routeTableId"]): each.inputs["destinationCidrBlock"]
        for each in recording.of(ROUTE)
    }
    assert routes == {
        ("eu-west-1", "rtb-a"): "10.20.0.0/16",
        ("eu-west-1", "rtb-b"): "10.20.0.0/16",
        ("eu-central-1", "rtb-secondary"): "10.10.0.0/16",
    }
    accepter = recording.one(ACCEPTER)
    for route in recording.of(ROUTE):
        assert accepter.urn in route.property_dependencies["vpcPeeringConnectionId"]


def test_instances_are_let_out_to_the_other_sites_databases_and_nothing_else() -> None:
    """A site that was taken over could go on to the other by any port."""
    recording = peering(network("primary"), network("secondary"))
    rules = {each.inputs["securityGroupId"]: each.inputs for each in recording.of(EGRESS)}
    assert set(rules) == {"sg-primary", "sg-secondary"}
    rule = rules["sg-primary"]
    assert (rule["region"], rule["cidrIpv4"]) == ("eu-west-1", "10.20.0.0/16")
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 5432, 5432)


def test_every_pair_of_sites_is_connected_once() -> None:
    """Peering isn't transitive: the third site would reach one of the others only."""
    recording = peering(*map(network, REGIONS))
    assert {each.name for each in recording.of(CONNECTION)} == {
        "peering-primary-secondary",
        "peering-primary-tertiary",
        "peering-secondary-tertiary",
    }
    assert len(recording.of(ROUTE)) == 6


def test_another_site_leaves_what_connects_the_others_alone() -> None:
    """Adding a site would interrupt the writes of those that there are."""
    two = {each.urn: each.inputs for each in peering(network("primary"), network("secondary")).managed}
    three = {each.urn: each.inputs for each in peering(*map(network, REGIONS)).managed}
    assert two.items() <= three.items()


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        ([network("primary")], "two networks or more"),
        ([network("primary"), network("secondary", region="eu-west-1")], "both in eu-west-1"),
        (
            [network("primary"), network("secondary", cidr=ipaddress.IPv4Network("10.10.128.0/17"))],
            "AWS peers no common addresses",
        ),
    ],
)
def test_networks_that_cannot_be_peered_are_refused(networks: list[PeeredNetwork], reason: str) -> None:
    """AWS makes the connection, and fails it a moment later."""
    with pytest.raises(ValueError, match=reason):
        PeeringArgs(networks=networks)
