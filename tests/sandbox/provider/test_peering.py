"""What the peering of two sites declares, made one after the other by the provider, against the sandbox's EC2."""

import ipaddress
from typing import Any

import pytest

from components.peering import PeeredNetwork
from sandbox.api.server import ApiServer
from tests.components.test_peering import BLOCKS, REGIONS, peering
from tests.sandbox.provider.program import Program, Resource

SITES = ("primary", "secondary")


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


def _network(program: Program, site: str) -> PeeredNetwork:
    """A network of a site with two private route tables."""
    region = {"region": REGIONS[site]}
    vpc = program.up("aws:ec2/vpc:Vpc", **region, cidrBlock=BLOCKS[site])
    tables = [program.up("aws:ec2/routeTable:RouteTable", **region, vpcId=vpc.id).id for _ in range(2)]
    return PeeredNetwork(
        site=site,
        region=REGIONS[site],
        cidr=ipaddress.IPv4Network(BLOCKS[site]),
        vpc_id=vpc.id,
        private_route_table_ids=tables,
        instance_group_id=program.up("aws:ec2/securityGroup:SecurityGroup", **region, vpcId=vpc.id).id,
    )


def _bring_up(program: Program, networks: list[PeeredNetwork]) -> list[Resource]:
    """All that the component declares, with the ids that AWS gives in the place of the recording's."""
    made: list[Resource] = []
    ids: dict[str, str] = {}
    for each in peering(*networks).managed:
        inputs = {key: _given(value, ids) for key, value in each.inputs.items()}
        made.append(program.up(each.type, each.name, **inputs))
        ids[f"{each.name}-id"] = made[-1].id
    return made


def _given(value: Any, ids: dict[str, str]) -> Any:
    """An input as the engine hands it to the provider; numbers come from the recording as protobuf has them."""
    if isinstance(value, float):
        return int(value)
    return ids.get(value, value) if isinstance(value, str) else value


def test_sites_are_joined_in_both_directions_and_nothing_drifts(program: Program) -> None:
    """A region, a side or a route that is mixed up shows on AWS when the writer has to be reached, at 3 a.m."""
    networks = [_network(program, site) for site in SITES]
    made = _bring_up(program, networks)
    assert len(made) == 2 + 4 + 2
    for each in made:
        assert each.refresh() == frozenset()
        assert not each.plan().changed
    clients = {network.site: program.in_region(network.region).aws("ec2") for network in networks}
    (connection,) = clients["primary"].describe_vpc_peering_connections()["VpcPeeringConnections"]
    assert connection["Status"]["Code"] == "active"
    for here, there in (networks, networks[::-1]):
        tables = clients[here.site].describe_route_tables(RouteTableIds=here.private_route_table_ids)["RouteTables"]
        assert len(tables) == 2
        for table in tables:
            ways: dict[str, Any] = {route["DestinationCidrBlock"]: route for route in table["Routes"]}
            assert ways[str(there.cidr)]["VpcPeeringConnectionId"] == connection["VpcPeeringConnectionId"]


def test_sites_are_parted_again(program: Program) -> None:
    """A teardown would end half way, with a connection that nobody declares."""
    made = _bring_up(program, [_network(program, site) for site in SITES])
    for each in reversed(made):
        each.delete()
    assert all(each.gone for each in made)
