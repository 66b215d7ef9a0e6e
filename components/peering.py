"""The way from one site's network to another's, over AWS's own network.

Rule: sites reach each other's databases by it and nothing else. Routes are by address block, as are rules: groups of
another region can't be named (VPC Peering Guide, "Update your security groups").
"""

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, vpc

DATABASE_PORT: Final = 5432


@dataclass(frozen=True, kw_only=True)
class PeeredNetwork:
    """The network of one site: its block, the tables that route its private subnets, and its instances' group."""

    site: str
    region: str
    cidr: ipaddress.IPv4Network
    vpc_id: pulumi.Input[str]
    private_route_table_ids: Sequence[pulumi.Input[str]]
    instance_group_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class PeeringArgs:
    """The networks that are peered, each with each: peering isn't transitive."""

    networks: Sequence[PeeredNetwork]

    def __post_init__(self) -> None:
        if len(self.networks) < 2:
            raise ValueError("peering needs two networks or more")
        for one, other in itertools.combinations(self.networks, 2):
            if one.region == other.region:
                raise ValueError(f"{one.site} and {other.site} are both in {one.region}: losing it would take both")
            if one.cidr.overlaps(other.cidr):
                raise ValueError(f"{one.site} has {one.cidr}, {other.site} {other.cidr}: AWS peers no common addresses")


class Peering(pulumi.ComponentResource):
    """VPC peering between every pair of sites.

    Creates: per pair of sites a peering connection, in the region of the first, and its accepter, in the region of the
    other; for each of them a route to the other's block in every private route table, and a rule that lets its
    instances out to the other's databases.

    It holds no data. Names aren't resolved across the connection (`allow_remote_vpc_dns_resolution` stays off): a
    database that isn't public has a name that is its private address everywhere, and nothing else is asked by name.
    Between regions AWS encrypts what passes, and packets are 1,500 bytes at most.
    """

    connection_ids: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: PeeringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:peering:Peering", name, {"regions": [each.region for each in args.networks]}, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)

        accepted = [self._connect(one, other) for one, other in itertools.combinations(args.networks, 2)]

        self.connection_ids = pulumi.Output.all(*[each.id for each in accepted])
        self.register_outputs({"connectionIds": self.connection_ids})

    def _connect(self, asks: PeeredNetwork, accepts: PeeredNetwork) -> ec2.VpcPeeringConnectionAccepter:
        """Connect two networks, and give each its way to the other."""
        pair = f"{self._name}-{asks.site}-{accepts.site}"
        connection = ec2.VpcPeeringConnection(
            pair,
            region=asks.region,
            vpc_id=asks.vpc_id,
            peer_vpc_id=accepts.vpc_id,
            peer_region=accepts.region,
            tags={"Name": pair},
            opts=self._child,
        )
        accepter = ec2.VpcPeeringConnectionAccepter(
            f"{pair}-accepter",
            region=accepts.region,
            vpc_peering_connection_id=connection.id,
            auto_accept=True,
            tags={"Name": pair},
            opts=self._child,
        )
        for here, there in ((asks, accepts), (accepts, asks)):
            way = f"{self._name}-{here.site}-to-{there.site}"
            for index, table_id in enumerate(here.private_route_table_ids):
                ec2.Route(
                    f"{way}-{index}",
                    region=here.region,
                    route_table_id=table_id,
                    destination_cidr_block=str(there.cidr),
                    # Of the accepter, so that the route leads somewhere from its first moment.
                    vpc_peering_connection_id=accepter.id,
                    opts=self._child,
                )
            vpc.SecurityGroupEgressRule(
                f"{way}-database",
                region=here.region,
                security_group_id=here.instance_group_id,
                description=f"To the databases of {there.site}",
                cidr_ipv4=str(there.cidr),
                ip_protocol="tcp",
                from_port=DATABASE_PORT,
                to_port=DATABASE_PORT,
                opts=self._child,
            )
        return accepter
