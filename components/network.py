"""The network of a site: where its balancer and its instances are, and how those reach their packages."""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, get_availability_zones_output

from lockstep.config import limits
from lockstep.config.models import SUBNET_BITS, ZONES_MAX
from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`cidr` is the site's block, of which each subnet is a sixteenth; `zones` counts Availability Zones."""

    cidr: ipaddress.IPv4Network
    region: str
    zones: int
    package_bucket_arn: pulumi.Input[str]

    def __post_init__(self) -> None:
        if not limits.ZONES_MIN <= self.zones <= ZONES_MAX:
            raise ValueError(f"{self.zones} zones: the layout has room for {limits.ZONES_MIN} to {ZONES_MAX}")
        longest = limits.BALANCER_SUBNET_PREFIX_MAX - SUBNET_BITS
        if not limits.VPC_PREFIX_MIN <= self.cidr.prefixlen <= longest:
            raise ValueError(f"{self.cidr}: a VPC of this layout is between /{limits.VPC_PREFIX_MIN} and /{longest}")


class Network(pulumi.ComponentResource):
    """A VPC over several Availability Zones, with the balancer in public and the instances in private subnets.

    Creates: a VPC; an internet gateway; per zone a public and a private subnet; a route table for each kind and its
    associations; the public default route; a gateway endpoint to S3 whose policy lets through reads of the site's own
    packages and nothing else.

    It holds no data. Private subnets have no way out but that endpoint: what an instance needs is in its image or in
    its region's package bucket, so that a boot depends on no other region and on no service outside of AWS.

    `private_subnet_ids` are known once the subnets can reach S3, so that what is launched into them boots.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: pulumi.Output[Sequence[str]]
    private_subnet_ids: pulumi.Output[Sequence[str]]
    s3_endpoint_id: pulumi.Output[str]
    s3_prefix_list_id: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:network:Network", name, {"cidr": str(args.cidr), "zones": args.zones}, opts)
        self._name = name
        self._zone_names = self._find_zones(args)
        blocks = list(args.cidr.subnets(prefixlen_diff=SUBNET_BITS))

        vpc = ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(args.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._child(),
        )
        gateway = ec2.InternetGateway(
            f"{name}-internet", vpc_id=vpc.id, tags={"Name": f"{name}-internet"}, opts=self._child()
        )
        public = self._subnets("public", vpc, blocks[: args.zones])
        private = self._subnets("private", vpc, blocks[ZONES_MAX : ZONES_MAX + args.zones])

        public_routes = self._route_table("public", vpc)
        default_route = ec2.Route(
            f"{name}-public-default",
            route_table_id=public_routes.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child(),
        )
        public_associations = self._associate("public", public_routes, public)

        private_routes = self._route_table("private", vpc)
        private_associations = self._associate("private", private_routes, private)
        endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[private_routes.id],
            policy=pulumi.Output.from_input(args.package_bucket_arn).apply(_read_packages_only),
            tags={"Name": f"{name}-s3"},
            opts=self._child(),
        )

        self.vpc_id = vpc.id
        self.public_subnet_ids = _ids_once(public, [default_route, *public_associations])
        self.private_subnet_ids = _ids_once(private, [endpoint, *private_associations])
        self.s3_endpoint_id = endpoint.id
        self.s3_prefix_list_id = endpoint.prefix_list_id
        self.register_outputs(
            {
                "vpcId": self.vpc_id,
                "publicSubnetIds": self.public_subnet_ids,
                "privateSubnetIds": self.private_subnet_ids,
                "s3EndpointId": self.s3_endpoint_id,
                "s3PrefixListId": self.s3_prefix_list_id,
            }
        )

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _find_zones(self, args: NetworkArgs) -> pulumi.Output[Sequence[str]]:
        """The names of as many zones as asked for. Raises pulumi.RunError where the region has fewer."""
        found = get_availability_zones_output(
            # Whatever their state: while a zone is impaired, the subnets must not move to other zones.
            # Local and Wavelength Zones have neither balancers over several of them nor all instance types.
            filters=[{"name": "zone-type", "values": ["availability-zone"]}],
            opts=pulumi.InvokeOptions(parent=self),
        )

        def first(names: Sequence[str]) -> Sequence[str]:
            if len(names) < args.zones:
                raise pulumi.RunError(
                    f"lockstep:fleet.zones is {args.zones}, and {args.region} offers this account {len(names)} "
                    f"Availability Zones ({', '.join(sorted(names))}): "
                    f"`pulumi config set --path lockstep:fleet.zones {len(names)} --stack {pulumi.get_stack()}`"
                )
            return sorted(names)[: args.zones]

        return found.names.apply(first)

    def _subnets(self, kind: str, vpc: ec2.Vpc, blocks: Sequence[ipaddress.IPv4Network]) -> list[ec2.Subnet]:
        """One subnet per zone. None gives instances public addresses: balancers get theirs in any case."""
        return [
            ec2.Subnet(
                f"{self._name}-{kind}-{index}",
                vpc_id=vpc.id,
                cidr_block=str(block),
                availability_zone=self._zone_names[index],
                map_public_ip_on_launch=False,
                tags={"Name": f"{self._name}-{kind}-{index}"},
                opts=self._child(),
            )
            for index, block in enumerate(blocks)
        ]

    def _route_table(self, kind: str, vpc: ec2.Vpc) -> ec2.RouteTable:
        table = f"{self._name}-{kind}"
        return ec2.RouteTable(table, vpc_id=vpc.id, tags={"Name": table}, opts=self._child())

    def _associate(
        self, kind: str, table: ec2.RouteTable, subnets: Sequence[ec2.Subnet]
    ) -> list[ec2.RouteTableAssociation]:
        return [
            ec2.RouteTableAssociation(
                f"{self._name}-{kind}-{index}", subnet_id=subnet.id, route_table_id=table.id, opts=self._child()
            )
            for index, subnet in enumerate(subnets)
        ]


def _ids_once(subnets: Sequence[ec2.Subnet], ready: Sequence[pulumi.CustomResource]) -> pulumi.Output[Sequence[str]]:
    """The subnets' ids, but only when all of `ready` exist."""
    count = len(subnets)
    return pulumi.Output.all(*[subnet.id for subnet in subnets], *[resource.id for resource in ready]).apply(
        lambda ids: [str(subnet_id) for subnet_id in ids[:count]]
    )


def _read_packages_only(bucket_arn: str) -> str:
    """What may pass the endpoint: anonymous reads of the site's own packages."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "ReadOwnPackages",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "s3:GetObject",
                    "Resource": [f"{bucket_arn}/{RELEASES_PREFIX}*", f"{bucket_arn}/{PACKAGES_PREFIX}*"],
                }
            ],
        }
    )
