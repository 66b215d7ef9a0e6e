"""The network of a site: where its balancer and its instances are, and how those reach their packages."""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, get_availability_zones_output

from components.access import Outbound
from components.names import GROUP_NAME_MAX, logical
from lockstep.config import limits
from lockstep.config.models import SUBNET_BITS, ZONES_MAX, Egress
from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`cidr` is the site's block, of which each subnet is a sixteenth; `zones` counts Availability Zones. `egress` is
    the way out of private subnets; `endpoint_services` are the services with an interface endpoint where it is
    `endpoints`, by the last part of their names."""

    cidr: ipaddress.IPv4Network
    region: str
    zones: int
    package_bucket_arn: pulumi.Input[str]
    egress: Egress = Egress.S3
    endpoint_services: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not limits.ZONES_MIN <= self.zones <= ZONES_MAX:
            raise ValueError(f"{self.zones} zones: the layout has room for {limits.ZONES_MIN} to {ZONES_MAX}")
        longest = limits.BALANCER_SUBNET_PREFIX_MAX - SUBNET_BITS
        if not limits.VPC_PREFIX_MIN <= self.cidr.prefixlen <= longest:
            raise ValueError(f"{self.cidr}: a VPC of this layout is between /{limits.VPC_PREFIX_MIN} and /{longest}")
        if self.egress is Egress.ENDPOINTS and not self.endpoint_services:
            raise ValueError("egress by interface endpoints, and no service that has one")


class Network(pulumi.ComponentResource):
    """A VPC over several Availability Zones, with the balancer in public and the instances in private subnets.

    Creates: a VPC; an internet gateway; per zone a public and a private subnet; a route table for each kind and its
    associations; the public default route; a gateway endpoint to S3 whose policy lets through reads of the site's own
    packages and of Amazon Linux's repositories, and nothing else. With egress `endpoints` also a security group, and an
    interface endpoint with private DNS, in every zone, for each service. With egress `nat` also, per zone, an Elastic
    IP address, a NAT gateway, and a private route table of its own with a default route.

    It holds no data. By default private subnets have no way out but the endpoint to S3: what an instance needs is in
    its image or in its region's package bucket, so that a boot depends on no other region and on no service outside of
    AWS. A NAT gateway in every zone keeps the loss of one zone within it, and pays no transfer between zones.

    `private_subnet_ids` are known once the subnets have their way out, so that what is launched into them boots.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: pulumi.Output[Sequence[str]]
    private_subnet_ids: pulumi.Output[Sequence[str]]
    private_route_table_ids: pulumi.Output[Sequence[str]]
    s3_endpoint_id: pulumi.Output[str]
    outbound: Outbound

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
        public_associations = self._associate("public", [public_routes], public)

        gateways = self._nat_gateways(public, default_route) if args.egress is Egress.NAT else []
        tables = [
            self._route_table(f"private-{index}" if gateways else "private", vpc) for index in range(len(gateways) or 1)
        ]
        ways_out: list[pulumi.CustomResource] = [
            ec2.Route(
                f"{name}-private-{index}-default",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateway.id,
                opts=self._child(),
            )
            for index, (table, gateway) in enumerate(zip(tables, gateways, strict=False))
        ]
        ways_out += self._associate("private", tables, private)
        endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            policy=pulumi.Output.from_input(args.package_bucket_arn).apply(
                lambda bucket_arn: _read_packages_only(bucket_arn, args.region)
            ),
            tags={"Name": f"{name}-s3"},
            opts=self._child(),
        )

        endpoint_group: ec2.SecurityGroup | None = None
        if args.egress is Egress.ENDPOINTS:
            endpoint_group = self._endpoint_group(vpc)
            ways_out += self._interface_endpoints(args, vpc, private, endpoint_group)

        self.vpc_id = vpc.id
        self.public_subnet_ids = _ids_once(public, [default_route, *public_associations])
        self.private_subnet_ids = _ids_once(private, [endpoint, *ways_out])
        self.private_route_table_ids = pulumi.Output.all(*[table.id for table in tables])
        self.s3_endpoint_id = endpoint.id
        self.outbound = Outbound(
            s3_prefix_list_id=endpoint.prefix_list_id,
            endpoint_group_id=None if endpoint_group is None else endpoint_group.id,
            internet=bool(gateways),
        )
        self.register_outputs(
            {
                "vpcId": self.vpc_id,
                "publicSubnetIds": self.public_subnet_ids,
                "privateSubnetIds": self.private_subnet_ids,
                "privateRouteTableIds": self.private_route_table_ids,
                "s3EndpointId": self.s3_endpoint_id,
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
        self, kind: str, tables: Sequence[ec2.RouteTable], subnets: Sequence[ec2.Subnet]
    ) -> list[ec2.RouteTableAssociation]:
        """Each subnet with its own table, or all of them with the one that there is."""
        return [
            ec2.RouteTableAssociation(
                f"{self._name}-{kind}-{index}",
                subnet_id=subnet.id,
                route_table_id=tables[index % len(tables)].id,
                opts=self._child(),
            )
            for index, subnet in enumerate(subnets)
        ]

    def _nat_gateways(self, public: Sequence[ec2.Subnet], default_route: ec2.Route) -> list[ec2.NatGateway]:
        """One per zone, each with an address of its own."""
        # A gateway without the route comes up and sends nothing out.
        opts = pulumi.ResourceOptions(parent=self, depends_on=[default_route])
        return [
            ec2.NatGateway(
                f"{self._name}-nat-{index}",
                subnet_id=subnet.id,
                connectivity_type="public",
                allocation_id=ec2.Eip(
                    f"{self._name}-nat-{index}",
                    domain="vpc",
                    tags={"Name": f"{self._name}-nat-{index}"},
                    opts=self._child(),
                ).allocation_id,
                tags={"Name": f"{self._name}-nat-{index}"},
                opts=opts,
            )
            for index, subnet in enumerate(public)
        ]

    def _endpoint_group(self, vpc: ec2.Vpc) -> ec2.SecurityGroup:
        """Without rules: those who come in write theirs, by reference."""
        return ec2.SecurityGroup(
            logical(self._name, "endpoints", GROUP_NAME_MAX),
            vpc_id=vpc.id,
            description="Requests from the instances to AWS services",
            tags={"Name": f"{self._name}-endpoints"},
            opts=self._child(),
        )

    def _interface_endpoints(
        self, args: NetworkArgs, vpc: ec2.Vpc, subnets: Sequence[ec2.Subnet], group: ec2.SecurityGroup
    ) -> list[ec2.VpcEndpoint]:
        """One per service, with an interface in every zone; private DNS has AWS's own names lead to it."""
        return [
            ec2.VpcEndpoint(
                f"{self._name}-{service.replace('.', '-')}",
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{args.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[group.id],
                tags={"Name": f"{self._name}-{service}"},
                opts=self._child(),
            )
            for service in args.endpoint_services
        ]


def _ids_once(subnets: Sequence[ec2.Subnet], ready: Sequence[pulumi.CustomResource]) -> pulumi.Output[Sequence[str]]:
    """The subnets' ids, but only when all of `ready` exist."""
    count = len(subnets)
    return pulumi.Output.all(*[subnet.id for subnet in subnets], *[resource.id for resource in ready]).apply(
        lambda ids: [str(subnet_id) for subnet_id in ids[:count]]
    )


def _read_packages_only(bucket_arn: str, region: str) -> str:
    """What may pass the endpoint: reads of the site's own packages and of Amazon Linux's, which are in S3 too."""
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
                },
                {
                    # The bucket that the mirror lists of Amazon Linux 2023 lead to, by one name in every region. At
                    # boot only our own repository is enabled; this is for `dnf` by hand or by Systems Manager.
                    "Sid": "ReadDistribution",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "s3:GetObject",
                    "Resource": [f"arn:aws:s3:::al2023-repos-{region}-de612dc2/*"],
                },
            ],
        }
    )
