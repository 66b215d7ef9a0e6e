"""The provider's network types against the sandbox's EC2."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.schema import State
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.program import Program, Resource

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE = "aws:ec2/route:Route"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
EIP = "aws:ec2/eip:Eip"
NAT = "aws:ec2/natGateway:NatGateway"
PEERING = "aws:ec2/vpcPeeringConnection:VpcPeeringConnection"
ACCEPTER = "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"

S3 = "com.amazonaws.eu-west-1.s3"
ANYWHERE = "0.0.0.0/0"


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def ec2(program: Program) -> Any:
    return program.aws("ec2")


@pytest.fixture
def vpc(program: Program) -> Resource:
    return program.up(VPC, cidrBlock="10.0.0.0/16")


def _subnet(program: Program, vpc: Resource, number: int = 0, **more: Any) -> Resource:
    zone = "eu-west-1" + "abc"[number]
    return program.up(SUBNET, vpcId=vpc.id, cidrBlock=f"10.0.{number}.0/24", availabilityZone=zone, **more)


def _gateway_route(program: Program, vpc: Resource, destination: str = ANYWHERE) -> Resource:
    gateway = program.up(INTERNET_GATEWAY, vpcId=vpc.id)
    table = program.up(ROUTE_TABLE, vpcId=vpc.id)
    return program.up(ROUTE, routeTableId=table.id, destinationCidrBlock=destination, gatewayId=gateway.id)


def _nat(program: Program, vpc: Resource, **more: Any) -> Resource:
    program.up(INTERNET_GATEWAY, vpcId=vpc.id)
    address = program.up(EIP, domain="vpc")
    return program.up(NAT, subnetId=_subnet(program, vpc).id, allocationId=address.state["allocationId"], **more)


def _peering(program: Program, vpc: Resource, cidr: str = "10.9.0.0/16", **more: Any) -> Resource:
    peer = program.up(VPC, region="eu-central-1", cidrBlock=cidr)
    return program.up(PEERING, vpcId=vpc.id, peerVpcId=peer.id, peerRegion="eu-central-1", **more)


def _accepter(program: Program, vpc: Resource, **more: Any) -> Resource:
    connection = _peering(program, vpc)
    return program.up(ACCEPTER, region="eu-central-1", vpcPeeringConnectionId=connection.id, autoAccept=True, **more)


def _writer(program: Program, service: str = "vpc-flow-logs.amazonaws.com", actions: str = "logs:*") -> Resource:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    role = program.up(ROLE, assumeRolePolicy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    program.up(ROLE_POLICY, role=role.state["name"], policy=document)
    return role


def _flow_log(program: Program, vpc: Resource, role: Resource | None = None, **more: Any) -> Resource:
    group = program.up(LOG_GROUP, retentionInDays=30)
    writer = role or _writer(program)
    return program.up(
        FLOW_LOG,
        vpcId=vpc.id,
        trafficType="ALL",
        logDestination=group.state["arn"],
        iamRoleArn=writer.state["arn"],
        **more,
    )


def _table(ec2: Any, id: str) -> Any:
    return ec2.describe_route_tables(RouteTableIds=[id])["RouteTables"][0]


Maker = Callable[[Program, Resource], Resource]

TAGGED: dict[str, Maker] = {
    VPC: lambda program, vpc: program.up(VPC, cidrBlock="10.1.0.0/16", tags={"Name": "it"}),
    SUBNET: lambda program, vpc: _subnet(program, vpc, tags={"Name": "it"}),
    INTERNET_GATEWAY: lambda program, vpc: program.up(INTERNET_GATEWAY, vpcId=vpc.id, tags={"Name": "it"}),
    ROUTE_TABLE: lambda program, vpc: program.up(ROUTE_TABLE, vpcId=vpc.id, tags={"Name": "it"}),
    ENDPOINT: lambda program, vpc: program.up(
        ENDPOINT,
        vpcId=vpc.id,
        serviceName=S3,
        routeTableIds=[program.up(ROUTE_TABLE, vpcId=vpc.id).id],
        tags={"Name": "it"},
    ),
    SECURITY_GROUP: lambda program, vpc: program.up(SECURITY_GROUP, vpcId=vpc.id, tags={"Name": "it"}),
    INGRESS: lambda program, vpc: program.up(
        INGRESS,
        securityGroupId=program.up(SECURITY_GROUP, vpcId=vpc.id).id,
        ipProtocol="tcp",
        fromPort=443,
        toPort=443,
        cidrIpv4=ANYWHERE,
        tags={"Name": "it"},
    ),
    EGRESS: lambda program, vpc: program.up(
        EGRESS,
        securityGroupId=program.up(SECURITY_GROUP, vpcId=vpc.id).id,
        ipProtocol="-1",
        cidrIpv4=ANYWHERE,
        tags={"Name": "it"},
    ),
    EIP: lambda program, vpc: program.up(EIP, domain="vpc", tags={"Name": "it"}),
    NAT: lambda program, vpc: _nat(program, vpc, tags={"Name": "it"}),
    PEERING: lambda program, vpc: _peering(program, vpc, tags={"Name": "it"}),
    FLOW_LOG: lambda program, vpc: _flow_log(program, vpc, tags={"Name": "it"}),
}
ALL: dict[str, Maker] = {
    **TAGGED,
    LOG_GROUP: lambda program, vpc: program.up(LOG_GROUP, retentionInDays=30, tags={"Name": "it"}),
    ROUTE: _gateway_route,
    ASSOCIATION: lambda program, vpc: program.up(
        ASSOCIATION, subnetId=_subnet(program, vpc).id, routeTableId=program.up(ROUTE_TABLE, vpcId=vpc.id).id
    ),
}


@pytest.mark.parametrize("token", ALL)
def test_a_new_resource_has_no_drift_and_no_plan(token: str, program: Program, vpc: Resource) -> None:
    """Without it `pulumi refresh --expect-no-changes` right after `up` fails, and so does every demo."""
    made = ALL[token](program, vpc)
    assert made.refresh() == frozenset()
    assert not made.plan().changed


@pytest.mark.parametrize("token", ALL)
def test_every_output_that_the_description_promises_has_a_value_or_aws_has_none(
    token: str, program: Program, vpc: Resource
) -> None:
    """Without it a program reads None where AWS would give an ARN or an owner."""
    absent_on_aws = {
        ROUTE: {"instanceId", "instanceOwnerId"},
        ENDPOINT: {"cidrBlocks", "requesterManaged"},
    }
    made = ALL[token](program, vpc)
    described = program.engine.resource_type(token).properties
    promised = {name for name, prop in described.items() if not prop.settable}
    assert promised - made.state.keys() <= absent_on_aws.get(token, set())


@pytest.mark.parametrize("token", ALL)
def test_a_deleted_resource_is_gone_and_can_be_deleted_again(token: str, program: Program, vpc: Resource) -> None:
    """Without it a destroy that was cut off half way can't be run again."""
    made = ALL[token](program, vpc)
    made.delete()
    assert made.gone
    made.delete()


@pytest.mark.parametrize("token", ALL)
def test_an_import_reads_the_inputs_that_made_the_resource(token: str, program: Program, vpc: Resource) -> None:
    """Without it `pulumi import` writes code that plans a change at once."""
    made = ALL[token](program, vpc)
    import_ids: dict[str, Callable[[State], str]] = {
        ROUTE: lambda state: f"{state['routeTableId']}_{state['destinationCidrBlock']}",
        ASSOCIATION: lambda state: f"{state['subnetId']}/{state['routeTableId']}",
    }
    id = import_ids[token](made.state) if token in import_ids else made.id
    _, state, inputs = program.imported(token, id)
    assert state["region"] == "eu-west-1"
    assert {key: inputs[key] for key in made.declared} == made.declared
    assert program.engine.diff(program.config, token, state, inputs, made.inputs).changed == {}


@pytest.mark.parametrize("token", ALL)
def test_what_is_not_known_yet_is_not_refused(token: str, program: Program, vpc: Resource) -> None:
    """Without it the first preview of a stack fails on values that the update would know."""
    made = ALL[token](program, vpc)
    for name in made.declared:
        assert program.refusals(token, **{**made.declared, name: UNKNOWN}) == {}


@pytest.mark.parametrize("token", TAGGED)
def test_tags_are_written_at_creation_changed_in_place_and_watched(
    token: str, program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it clean-up, which goes by tags, misses resources, or a tag that someone took away stays away."""
    made = TAGGED[token](program, vpc)

    def tags() -> dict[str, str]:
        found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [made.id]}])["Tags"]
        return {tag["Key"]: tag["Value"] for tag in found}

    assert tags() == {"Name": "it"}
    made.update(tags={"Name": "other", "more": "1"})
    assert tags() == {"Name": "other", "more": "1"}
    made.update(tags={"more": "1"})
    assert tags() == {"more": "1"}

    ec2.create_tags(Resources=[made.id], Tags=[{"Key": "more", "Value": "by hand"}])
    assert "tags" in made.refresh()
    made.repair()
    assert tags() == {"more": "1"}


@pytest.mark.parametrize("token", ALL)
def test_a_property_that_the_description_lacks_is_refused_by_name(token: str, program: Program) -> None:
    """Without it a program is told yes for something that the sandbox never does."""
    assert "doesNotExist" in program.refusals(token, doesNotExist="x")


@pytest.mark.parametrize(
    ("token", "name"), [(ROUTE_TABLE, "routes"), (SECURITY_GROUP, "ingress"), (SECURITY_GROUP, "egress")]
)
def test_rules_inside_their_parent_are_refused(token: str, name: str, program: Program) -> None:
    """Without it they would be dropped in silence: a route or a rule that the program declares and nobody makes."""
    assert "isn't supported" in program.refusals(token, **{name: []})[name]


@pytest.mark.parametrize(
    ("token", "name", "value"),
    [
        (VPC, "cidrBlock", "10.0.0.1/16"),
        (VPC, "cidrBlock", "10.0.0.0/15"),
        (VPC, "cidrBlock", "10.0.0.0/29"),
        (VPC, "cidrBlock", "10.0.0.0"),
        (SUBNET, "cidrBlock", "10.0.0.0/29"),
        (SUBNET, "cidrBlock", "ten"),
        (ROUTE, "destinationCidrBlock", "10.0.0.1/8"),
        (ROUTE, "destinationIpv6CidrBlock", "10.0.0.0/8"),
        (INGRESS, "cidrIpv4", "0.0.0.0"),
        (INGRESS, "fromPort", 65536),
        (EGRESS, "toPort", -2),
        (INGRESS, "description", "x" * 256),
        (SECURITY_GROUP, "name", "sg-mine"),
        (SECURITY_GROUP, "description", "schön"),
        (ENDPOINT, "vpcEndpointType", "GatewayLoadBalancer"),
        (ENDPOINT, "policy", "{"),
        (ENDPOINT, "policy", ""),
    ],
)
def test_what_aws_refuses_is_refused_before_anything_is_made(
    token: str, name: str, value: Any, program: Program
) -> None:
    """Without it the preview is clean and the update fails half way."""
    assert name in program.refusals(token, **{name: value})


def test_a_network_of_the_largest_and_of_the_smallest_size_is_accepted(program: Program) -> None:
    """Without it the limits could be off by one and refuse what AWS takes."""
    for size in (16, 28):
        assert "cidrBlock" not in program.refusals(SUBNET, vpcId="vpc-1", cidrBlock=f"10.0.0.0/{size}")


def test_a_vpcs_dns_changes_in_place_is_watched_and_its_network_replaces_it(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it the switch that gives endpoints their private names is lost, or takes the whole site down."""

    def hostnames() -> Any:
        answer = ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute="enableDnsHostnames")
        return answer["EnableDnsHostnames"]["Value"]

    assert hostnames() is False
    vpc.update(enableDnsHostnames=True)
    assert hostnames() is True
    ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsHostnames={"Value": False})
    ec2.modify_vpc_attribute(VpcId=vpc.id, EnableDnsSupport={"Value": False})
    assert vpc.refresh() == {"enableDnsHostnames", "enableDnsSupport"}
    vpc.repair()
    assert hostnames() is True
    assert vpc.plan(cidrBlock="10.8.0.0/16").replaces == {"cidrBlock"}


def test_a_subnet_attribute_changes_in_place_and_its_network_does_not(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it a change of a flag would take the subnet, and everything in it, down."""
    subnet = _subnet(program, vpc, mapPublicIpOnLaunch=True)
    assert ec2.describe_subnets(SubnetIds=[subnet.id])["Subnets"][0]["MapPublicIpOnLaunch"] is True
    subnet.update(mapPublicIpOnLaunch=False, enableResourceNameDnsARecordOnLaunch=True)
    found = ec2.describe_subnets(SubnetIds=[subnet.id])["Subnets"][0]
    assert found["MapPublicIpOnLaunch"] is False
    assert found["PrivateDnsNameOptionsOnLaunch"]["EnableResourceNameDnsARecord"] is True
    for change in ({"cidrBlock": "10.0.9.0/24"}, {"availabilityZone": "eu-west-1b"}, {"vpcId": "vpc-2"}):
        assert subnet.plan(**change).replaces == change.keys()

    ec2.modify_subnet_attribute(SubnetId=subnet.id, MapPublicIpOnLaunch={"Value": True})
    assert subnet.refresh() == {"mapPublicIpOnLaunch"}


def test_overlapping_subnets_are_refused_with_awss_words(program: Program, vpc: Resource) -> None:
    """Without it an operator sees a failure and not the reason."""
    _subnet(program, vpc)
    with pytest.raises(ProviderError, match=r"CreateSubnet was refused: InvalidSubnet\.Conflict"):
        _subnet(program, vpc)


def test_an_internet_gateway_moves_to_another_vpc_and_comes_back_after_a_detach(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it a gateway detached by hand leaves a site without internet, and `pulumi up` says that all is well."""
    gateway = program.up(INTERNET_GATEWAY, vpcId=vpc.id)

    def attached() -> list[str]:
        found = ec2.describe_internet_gateways(InternetGatewayIds=[gateway.id])["InternetGateways"][0]
        return [attachment["VpcId"] for attachment in found["Attachments"]]

    assert attached() == [vpc.id]
    other = program.up(VPC, cidrBlock="10.1.0.0/16")
    gateway.update(vpcId=other.id)
    assert attached() == [other.id]

    ec2.detach_internet_gateway(InternetGatewayId=gateway.id, VpcId=other.id)
    assert gateway.refresh() == {"vpcId"}
    gateway.repair()
    assert attached() == [other.id]


def test_a_gateway_attached_by_hand_is_left_as_it_is(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it the repair of a half-finished creation fails with Resource.AlreadyAssociated, or cuts the internet."""
    gateway = program.up(INTERNET_GATEWAY)
    ec2.attach_internet_gateway(InternetGatewayId=gateway.id, VpcId=vpc.id)
    detached = []

    def note(**event: Any) -> None:
        detached.append(event)

    ec2.meta.events.register("before-call.ec2.DetachInternetGateway", note)
    try:
        gateway.update(vpcId=vpc.id)
    finally:
        ec2.meta.events.unregister("before-call.ec2.DetachInternetGateway", note)
    assert gateway.state["vpcId"] == vpc.id
    assert detached == []


def test_a_routes_id_is_terraforms(program: Program, vpc: Resource) -> None:
    """Without it state from AWS and state from the sandbox name the same route differently."""
    route = _gateway_route(program, vpc)
    assert route.id == f"r-{route.state['routeTableId']}1080289494"


def test_a_routes_target_changes_in_place_and_its_destination_does_not(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it a new NAT gateway would cut the old route first."""
    route = _gateway_route(program, vpc)
    subnet = _subnet(program, vpc)
    nat = ec2.create_nat_gateway(SubnetId=subnet.id, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    gateway_id = route.state["gatewayId"]
    route.update(gatewayId=None, natGatewayId=nat)
    assert (route.state.get("gatewayId"), route.state["natGatewayId"]) == (None, nat)
    assert route.refresh() == frozenset()
    route.update(gatewayId=gateway_id, natGatewayId=None)
    assert (route.state["gatewayId"], route.state.get("natGatewayId")) == (gateway_id, None)
    assert route.plan(destinationCidrBlock="10.9.0.0/16").replaces == {"destinationCidrBlock"}


def test_a_route_that_points_elsewhere_or_is_gone_is_found(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it traffic goes where someone sent it by hand, and no refresh says so."""
    route = _gateway_route(program, vpc)
    key = {"RouteTableId": route.state["routeTableId"], "DestinationCidrBlock": ANYWHERE}
    interface = ec2.create_network_interface(SubnetId=_subnet(program, vpc).id)["NetworkInterface"]
    ec2.replace_route(**key, NetworkInterfaceId=interface["NetworkInterfaceId"])
    assert route.refresh() == {"gatewayId", "networkInterfaceId"}
    route.repair()
    assert _table(ec2, key["RouteTableId"])["Routes"][1]["GatewayId"] == route.state["gatewayId"]
    ec2.delete_route(**key)
    assert route.gone


def test_a_route_whose_table_is_gone_is_gone(program: Program, vpc: Resource) -> None:
    """Without it a refresh fails with InvalidRouteTableID.NotFound, and nothing more can be done with the stack."""
    route = _gateway_route(program, vpc)
    program.engine.delete(program.config, ROUTE_TABLE, route.state["routeTableId"], {})
    assert route.gone
    route.delete()


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ({"destinationCidrBlock": ANYWHERE}, "vpcPeeringConnectionId"),
        ({"destinationCidrBlock": ANYWHERE, "gatewayId": "igw-1", "natGatewayId": "nat-1"}, "natGatewayId"),
        ({"gatewayId": "igw-1"}, "destinationPrefixListId"),
        ({"destinationCidrBlock": ANYWHERE, "egressOnlyGatewayId": "eigw-1"}, "destinationCidrBlock"),
    ],
)
def test_a_route_has_one_destination_and_one_target(declared: dict[str, str], named: str, program: Program) -> None:
    """Without it AWS, not the preview, refuses the route."""
    assert named in program.refusals(ROUTE, routeTableId="rtb-1", **declared)


def test_an_ipv6_route_is_the_same_however_its_zeros_are_written(program: Program, vpc: Resource) -> None:
    """Without it a route written in long form is replaced by every update after a refresh."""
    gateway = program.up(INTERNET_GATEWAY, vpcId=vpc.id)
    table = program.up(ROUTE_TABLE, vpcId=vpc.id)
    route = program.up(ROUTE, routeTableId=table.id, destinationIpv6CidrBlock="2001:DB8:0::/48", gatewayId=gateway.id)
    assert route.refresh() == frozenset()


def test_deleting_a_route_table_ends_its_associations(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it a table that someone associated by hand can't be destroyed."""
    table, subnet = program.up(ROUTE_TABLE, vpcId=vpc.id), _subnet(program, vpc)
    ec2.associate_route_table(RouteTableId=table.id, SubnetId=subnet.id)
    table.delete()
    assert table.gone


def test_an_association_follows_its_subnet_though_its_id_changes(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it the first change of a subnet's table makes the association vanish from the next refresh."""
    first, second = program.up(ROUTE_TABLE, vpcId=vpc.id), program.up(ROUTE_TABLE, vpcId=vpc.id)
    association = program.up(ASSOCIATION, subnetId=_subnet(program, vpc).id, routeTableId=first.id)
    assert association.id.startswith("rtbassoc-")
    association.update(routeTableId=second.id)
    found = _table(ec2, second.id)["Associations"]
    assert [item["SubnetId"] for item in found] == [association.state["subnetId"]]
    assert association.refresh() == frozenset()

    ec2.replace_route_table_association(AssociationId=found[0]["RouteTableAssociationId"], RouteTableId=first.id)
    assert association.refresh() == {"routeTableId"}
    association.repair()
    assert _table(ec2, first.id)["Associations"] == []
    association.delete()
    assert _table(ec2, second.id)["Associations"] == []


def test_a_gateway_can_have_a_route_table(program: Program, vpc: Resource) -> None:
    """Without it ingress routing can't be declared; AWS's filters for subnets don't find such an association."""
    gateway, table = program.up(INTERNET_GATEWAY, vpcId=vpc.id), program.up(ROUTE_TABLE, vpcId=vpc.id)
    association = program.up(ASSOCIATION, gatewayId=gateway.id, routeTableId=table.id)
    assert association.refresh() == frozenset()
    association.delete()
    assert association.gone


def test_an_association_needs_a_subnet_or_a_gateway_and_not_both(program: Program) -> None:
    """Without it AWS, not the preview, refuses the association."""
    assert "gatewayId" in program.refusals(ASSOCIATION, routeTableId="rtb-1")
    both = program.refusals(ASSOCIATION, routeTableId="rtb-1", subnetId="subnet-1", gatewayId="igw-1")
    assert "subnetId, gatewayId" in both["gatewayId"]


def test_a_gateway_endpoint_puts_its_prefix_list_into_the_route_tables_it_names(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it private instances can't reach their bucket."""
    first, second = program.up(ROUTE_TABLE, vpcId=vpc.id), program.up(ROUTE_TABLE, vpcId=vpc.id)
    endpoint = program.up(ENDPOINT, vpcId=vpc.id, serviceName=S3, routeTableIds=[first.id])

    def routed(table: Resource) -> bool:
        return any(
            route.get("DestinationPrefixListId") == endpoint.state["prefixListId"]
            for route in _table(ec2, table.id)["Routes"]
        )

    assert (routed(first), routed(second)) == (True, False)
    endpoint.update(routeTableIds=[second.id])
    assert (routed(first), routed(second)) == (False, True)
    endpoint.update(routeTableIds=[second.id, first.id])
    assert endpoint.plan(routeTableIds=[first.id, second.id]).changed == {}

    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint.id, RemoveRouteTableIds=[first.id])
    assert endpoint.refresh() == {"routeTableIds"}
    endpoint.repair()
    assert (routed(first), routed(second)) == (True, True)


def test_an_endpoints_policy_is_written_watched_and_equal_in_any_notation(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it an endpoint that lets everything through passes for one that doesn't."""
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"%s","Principal":"*","Action":"s3:*","Resource":"*"}]}'
    endpoint = program.up(ENDPOINT, vpcId=vpc.id, serviceName=S3)
    assert '"2008-10-17"' in endpoint.state["policy"]
    endpoint.update(policy=policy % "Allow")
    assert endpoint.plan(policy=(policy % "Allow").replace(":[", ": [ ")).changed == {}
    assert endpoint.refresh() == frozenset()
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint.id, PolicyDocument=policy % "Deny")
    assert endpoint.refresh() == {"policy"}
    endpoint.repair()
    found = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint.id])["VpcEndpoints"][0]
    assert '"Allow"' in found["PolicyDocument"]


def test_an_interface_endpoint_has_interfaces_and_names(program: Program, vpc: Resource) -> None:
    """Without it instances in a site without internet can't reach Systems Manager."""
    group, subnet = program.up(SECURITY_GROUP, vpcId=vpc.id), _subnet(program, vpc)
    vpc.update(enableDnsHostnames=True)
    endpoint = program.up(
        ENDPOINT,
        vpcId=vpc.id,
        serviceName="com.amazonaws.eu-west-1.ssm",
        vpcEndpointType="Interface",
        subnetIds=[subnet.id],
        securityGroupIds=[group.id],
        privateDnsEnabled=True,
    )
    assert endpoint.state["networkInterfaceIds"][0].startswith("eni-")
    assert endpoint.state["dnsEntries"][0].keys() == {"dnsName", "hostedZoneId"}
    assert endpoint.refresh() == frozenset()
    other = program.up(SECURITY_GROUP, "other", vpcId=vpc.id)
    endpoint.update(securityGroupIds=[other.id])
    assert endpoint.state["securityGroupIds"] == [other.id]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Gateway", "subnetIds", ["subnet-1"]),
        ("Gateway", "securityGroupIds", ["sg-1"]),
        ("Gateway", "privateDnsEnabled", True),
        ("Interface", "routeTableIds", ["rtb-1"]),
    ],
)
def test_an_endpoint_takes_only_what_its_type_has(kind: str, name: str, value: Any, program: Program) -> None:
    """Without it AWS, not the preview, refuses the endpoint."""
    declared = {"vpcId": "vpc-1", "serviceName": S3, "vpcEndpointType": kind, name: value}
    assert name in program.refusals(ENDPOINT, **declared)


def test_an_unknown_service_is_refused_with_awss_words(program: Program, vpc: Resource) -> None:
    """Without it an endpoint for a service of another region looks made."""
    with pytest.raises(ProviderError, match="InvalidServiceName"):
        program.up(ENDPOINT, vpcId=vpc.id, serviceName="com.amazonaws.eu-west-1.nope")


def test_a_new_security_group_lets_nothing_out(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it the sandbox is more open than AWS under Pulumi, and a missing egress rule goes unnoticed."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id)
    found = ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]
    assert (found["IpPermissions"], found["IpPermissionsEgress"]) == ([], [])


def test_a_security_group_gets_pulumis_name_and_description(program: Program, vpc: Resource) -> None:
    """Without it groups are called otherwise in the sandbox than on AWS, and a second one of its kind clashes."""
    group = program.up(SECURITY_GROUP, "web", vpcId=vpc.id)
    assert re.fullmatch(r"web-[0-9a-f]{7}", group.state["name"])
    assert group.state["description"] == "Managed by Pulumi"


def test_a_security_groups_name_and_description_replace_it(program: Program, vpc: Resource) -> None:
    """Without it the plan promises an update that AWS can't do."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id, name="a", description="b")
    assert group.plan(name="c").replaces == {"name"}
    assert group.plan(description="c").replaces == {"description"}
    assert not group.plan(revokeRulesOnDelete=True).replaces


def test_a_security_group_that_another_one_names_is_deleted_only_with_leave(
    program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it two groups that name each other can't be destroyed, or rules vanish that nobody meant to lose."""
    group, other = program.up(SECURITY_GROUP, "a", vpcId=vpc.id), program.up(SECURITY_GROUP, "b", vpcId=vpc.id)
    rule = program.up(INGRESS, securityGroupId=other.id, ipProtocol="-1", referencedSecurityGroupId=group.id)
    with pytest.raises(ProviderError, match="DependencyViolation"):
        group.delete()
    group.update(revokeRulesOnDelete=True)
    group.delete()
    assert rule.gone
    assert ec2.describe_security_groups(GroupIds=[other.id])["SecurityGroups"][0]["IpPermissions"] == []


SOURCES = {
    "cidrIpv4": "10.0.0.0/8",
    "cidrIpv6": "2001:db8::/32",
    "prefixListId": "pl",
    "referencedSecurityGroupId": "sg",
}


@pytest.mark.parametrize("token", [INGRESS, EGRESS])
@pytest.mark.parametrize("source", SOURCES)
def test_a_rule_of_each_kind_of_source_is_made_changed_and_watched(
    source: str, token: str, program: Program, vpc: Resource, ec2: Any
) -> None:
    """Without it a load balancer's rule for its group, or one for S3's prefix list, can't be declared."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id)
    lists = ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [S3]}])["PrefixLists"]
    value = {"pl": lists[0]["PrefixListId"], "sg": group.id}.get(SOURCES[source], SOURCES[source])
    declared: dict[str, Any] = {
        "securityGroupId": group.id,
        "ipProtocol": "tcp",
        "fromPort": 80,
        "toPort": 81,
        "description": "web",
        source: value,
    }
    rule = program.up(token, **declared)
    assert rule.id == rule.state["securityGroupRuleId"]
    assert {key: rule.state[key] for key in declared} == declared
    assert rule.refresh() == frozenset()
    rule.update(ipProtocol="udp", fromPort=53, toPort=53, description=None)
    assert (rule.state["ipProtocol"], rule.state["fromPort"], rule.state["toPort"]) == ("udp", 53, 53)
    assert not rule.state.get("description")
    assert rule.refresh() == frozenset()

    change = {
        "IpProtocol": "udp",
        "FromPort": 53,
        "ToPort": 54,
        "CidrIpv4" if source == "cidrIpv4" else _request_name(source): value,
    }
    ec2.modify_security_group_rules(
        GroupId=group.id, SecurityGroupRules=[{"SecurityGroupRuleId": rule.id, "SecurityGroupRule": change}]
    )
    assert rule.refresh() == {"toPort"}
    rule.repair()
    assert rule.state["toPort"] == 53


def _request_name(source: str) -> str:
    return {
        "cidrIpv6": "CidrIpv6",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupId",
    }[source]


def test_a_rules_ipv4_network_changes_in_place_and_another_kind_of_source_replaces_it(
    program: Program, vpc: Resource
) -> None:
    """Without it widening a network would close the port for a moment."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id)
    rule = program.up(
        INGRESS, securityGroupId=group.id, ipProtocol="tcp", fromPort=80, toPort=80, cidrIpv4="10.0.0.0/8"
    )
    rule.update(cidrIpv4="10.0.0.0/16")
    assert rule.state["cidrIpv4"] == "10.0.0.0/16"
    swapped = rule.plan(cidrIpv4=None, referencedSecurityGroupId=group.id)
    assert "referencedSecurityGroupId" in swapped.replaces


def test_a_rule_removed_by_hand_is_gone(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it a closed port stays closed: no refresh notices, no update opens it again."""
    rule = TAGGED[INGRESS](program, vpc)
    ec2.revoke_security_group_ingress(GroupId=rule.state["securityGroupId"], SecurityGroupRuleIds=[rule.id])
    assert rule.gone


def test_a_rule_twice_is_refused_with_awss_words(program: Program, vpc: Resource) -> None:
    """Without it two resources own one rule, and deleting one closes the other's port."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id)
    declared = {"securityGroupId": group.id, "ipProtocol": "-1", "cidrIpv4": ANYWHERE}
    program.up(EGRESS, "one", **declared)
    with pytest.raises(ProviderError, match=r"InvalidPermission\.Duplicate"):
        program.up(EGRESS, "two", **declared)


def test_a_protocol_by_number_is_the_protocol_by_name(program: Program, vpc: Resource) -> None:
    """Without it a rule for protocol 6 differs from AWS's tcp after every refresh."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id)
    rule = program.up(INGRESS, securityGroupId=group.id, ipProtocol="6", fromPort=80, toPort=80, cidrIpv4=ANYWHERE)
    assert rule.refresh() == frozenset()
    assert rule.plan(ipProtocol="TCP").changed == {}
    rule.update(toPort=81)
    assert rule.refresh() == frozenset()


def test_icmp_of_every_type_keeps_its_ports_of_minus_one(program: Program, vpc: Resource) -> None:
    """Without it -1, which means every type for ICMP, would be taken for AWS's sign of a rule without ports."""
    group = program.up(SECURITY_GROUP, vpcId=vpc.id)
    rule = program.up(INGRESS, securityGroupId=group.id, ipProtocol="icmp", fromPort=-1, toPort=-1, cidrIpv4=ANYWHERE)
    assert (rule.state["fromPort"], rule.state["toPort"]) == (-1, -1)
    assert rule.refresh() == frozenset()


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ({"ipProtocol": "tcp", "cidrIpv4": ANYWHERE}, "fromPort"),
        ({"ipProtocol": "17", "cidrIpv4": ANYWHERE, "fromPort": 1}, "toPort"),
        ({"ipProtocol": "tcp", "cidrIpv4": ANYWHERE, "fromPort": 9, "toPort": 8}, "toPort"),
        ({"ipProtocol": "tcp", "cidrIpv4": ANYWHERE, "fromPort": -1, "toPort": 8}, "fromPort"),
        ({"ipProtocol": "all", "cidrIpv4": ANYWHERE, "fromPort": 0}, "fromPort"),
        ({"ipProtocol": "-1"}, "referencedSecurityGroupId"),
        ({"ipProtocol": "-1", "cidrIpv4": ANYWHERE, "cidrIpv6": "::/0"}, "cidrIpv6"),
    ],
)
@pytest.mark.parametrize("token", [INGRESS, EGRESS])
def test_a_rule_has_one_source_and_the_ports_its_protocol_wants(
    token: str, declared: dict[str, Any], named: str, program: Program
) -> None:
    """Without it AWS, not the preview, refuses the rule; or the rule opens more than it says."""
    assert named in program.refusals(token, securityGroupId="sg-1", **declared)


def test_a_nat_gateway_without_an_internet_gateway_fails_with_awss_reason(program: Program, vpc: Resource) -> None:
    """Without it a network comes up here whose instances reach nothing on AWS."""
    address = program.up(EIP, domain="vpc")
    with pytest.raises(ProviderError, match=r"Gateway\.NotAttached.*has no Internet gateway"):
        program.up(NAT, subnetId=_subnet(program, vpc).id, allocationId=address.state["allocationId"])


def test_what_a_nat_gateway_held_is_free_when_it_is_gone(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it a teardown fails on the address or the subnet."""
    program.up(INTERNET_GATEWAY, vpcId=vpc.id)
    address, subnet = program.up(EIP, domain="vpc"), _subnet(program, vpc)
    nat = program.up(NAT, subnetId=subnet.id, allocationId=address.state["allocationId"])
    assert nat.state["publicIp"] == address.state["publicIp"]
    with pytest.raises(ProviderError, match=r"InvalidIPAddress\.InUse"):
        address.delete()
    nat.delete()
    address.delete()
    subnet.delete()


@pytest.mark.parametrize(
    "declared", [{"connectivityType": "public"}, {"connectivityType": "private", "allocationId": "eipalloc-1"}]
)
def test_only_public_nat_gateways_have_an_address(declared: dict[str, str], program: Program) -> None:
    """Without it the update fails, half way, on what a preview could have said."""
    assert "allocationId" in program.refusals(NAT, subnetId="subnet-1", **declared)


def test_a_peering_is_accepted_in_the_other_region_and_routed(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it sites are joined here by what would stay pending on AWS."""
    connection = _peering(program, vpc)
    assert connection.state["acceptStatus"] == "pending-acceptance"
    accepter = program.up(ACCEPTER, region="eu-central-1", vpcPeeringConnectionId=connection.id, autoAccept=True)
    assert accepter.state["acceptStatus"] == "active"
    assert accepter.id == connection.id
    assert accepter.refresh() == frozenset()
    assert not accepter.plan().changed
    assert connection.refresh() == frozenset()
    assert connection.state["acceptStatus"] == "active"
    table = program.up(ROUTE_TABLE, vpcId=vpc.id)
    route = program.up(
        ROUTE, routeTableId=table.id, destinationCidrBlock="10.9.0.0/16", vpcPeeringConnectionId=connection.id
    )
    assert route.refresh() == frozenset()
    accepter.delete()
    assert not connection.gone, "the accepter's end is no end of the connection"
    connection.delete()
    assert connection.gone
    assert accepter.gone


def test_networks_with_common_addresses_are_not_peered(program: Program, vpc: Resource) -> None:
    """Without it the sandbox joins sites that AWS can't."""
    with pytest.raises(ProviderError, match="overlapping CIDR range"):
        _peering(program, vpc, cidr="10.0.128.0/17")


def test_a_connection_between_regions_accepts_itself_never(program: Program) -> None:
    """pulumi-aws refuses it too: the accepter is a resource of the other region."""
    declared = {"vpcId": "vpc-1", "peerVpcId": "vpc-2", "peerRegion": "eu-central-1", "autoAccept": True}
    assert "autoAccept" in program.refusals(PEERING, **declared)


def test_a_log_groups_retention_changes_in_place_and_only_to_days_that_aws_has(program: Program) -> None:
    """Without it a change of the retention throws the records away."""
    group = program.up(LOG_GROUP, retentionInDays=30)
    group.update(retentionInDays=90)
    assert group.refresh() == frozenset()
    assert group.state["retentionInDays"] == 90
    group.update(retentionInDays=0)
    assert group.refresh() == frozenset()
    assert "retentionInDays" in program.refusals(LOG_GROUP, retentionInDays=10)


@pytest.mark.parametrize(
    ("service", "actions", "status"),
    [
        ("vpc-flow-logs.amazonaws.com", "logs:*", "SUCCESS"),
        ("ec2.amazonaws.com", "logs:*", "FAILED"),
        ("vpc-flow-logs.amazonaws.com", "logs:Get*", "FAILED"),
    ],
)
def test_flow_logs_are_delivered_if_their_role_may(
    program: Program, vpc: Resource, ec2: Any, service: str, actions: str, status: str
) -> None:
    """Without it a role that nobody may assume looks as good as a right one; AWS says so only here, and later."""
    made = _flow_log(program, vpc, role=_writer(program, service, actions))
    (described,) = ec2.describe_flow_logs(FlowLogIds=[made.id])["FlowLogs"]
    assert described["DeliverLogsStatus"] == status
    assert described.get("DeliverLogsErrorMessage") == (None if status == "SUCCESS" else "Access error")


def test_a_flow_log_that_is_gone_is_found(program: Program, vpc: Resource, ec2: Any) -> None:
    """Without it nobody notices that the records have ended."""
    made = _flow_log(program, vpc)
    ec2.delete_flow_logs(FlowLogIds=[made.id])
    assert made.gone
