"""What leads out of EC2's networks is refused as AWS refuses it."""

from typing import Any

import pytest

from tests.sandbox.api.test_ec2 import gateway_of, group_in, main_table, prefix_list, refused, subnet_in


@pytest.fixture
def ec2(aws: Any) -> Any:
    return aws("ec2")


@pytest.fixture
def vpc(ec2: Any) -> str:
    made = str(ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"])
    ec2.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
    return made


@pytest.mark.change("ec2-nat-gateways")
def test_addresses_are_few_and_released_when_free(ec2: Any, vpc: str) -> None:
    """EC2 quotas: 5 addresses a region, of which NAT gateways take one a zone."""
    addresses = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(5)]
    assert refused(lambda: ec2.allocate_address(Domain="vpc"))[0] == "AddressLimitExceeded"
    gateway_of(ec2, vpc)
    subnet = subnet_in(ec2, vpc)
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=addresses[0])["NatGateway"]["NatGatewayId"]
    assert refused(lambda: ec2.release_address(AllocationId=addresses[0]))[0] == "InvalidIPAddress.InUse"
    ec2.delete_nat_gateway(NatGatewayId=nat)
    for address in addresses:
        ec2.release_address(AllocationId=address)
    ec2.delete_subnet(SubnetId=subnet)


@pytest.mark.change("ec2-nat-gateways")
def test_a_nat_gateway_fails_where_nothing_leads_to_the_internet(ec2: Any, vpc: str) -> None:
    """VPC User Guide, "Troubleshoot NAT gateways": its state, and the reason, say so."""
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=subnet_in(ec2, vpc), AllocationId=address)["NatGateway"]
    (found,) = ec2.describe_nat_gateways(NatGatewayIds=[made["NatGatewayId"]])["NatGateways"]
    assert (found["State"], found["FailureCode"]) == ("failed", "Gateway.NotAttached")


@pytest.mark.change("ec2-interface-endpoints")
def test_an_interface_endpoint_is_of_one_network_with_one_subnet_a_zone(ec2: Any, vpc: str) -> None:
    """AWS refuses what would never answer, or answer twice."""
    other = str(ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"])
    first, twin = subnet_in(ec2, vpc), subnet_in(ec2, vpc, "10.1.1.0/24")

    def endpoint(**more: Any) -> Any:
        request = {"VpcId": vpc, "ServiceName": "com.amazonaws.eu-west-1.ssm", "VpcEndpointType": "Interface"}
        return ec2.create_vpc_endpoint(**request | {"SubnetIds": [first]} | more)["VpcEndpoint"]

    assert refused(lambda: endpoint(SubnetIds=[first, twin]))[0] == "DuplicateSubnetsInSameZone"
    assert refused(lambda: endpoint(SubnetIds=[subnet_in(ec2, other, "10.2.0.0/24")]))[0] == "InvalidParameter"
    assert refused(lambda: endpoint(SecurityGroupIds=[group_in(ec2, other)]))[0] == "InvalidParameter"
    assert refused(lambda: endpoint(SecurityGroupIds=["sg-0123456789abcdef0"]))[0] == "InvalidGroup.NotFound"
    assert [group["GroupName"] for group in endpoint()["Groups"]] == ["default"]
    code, message = refused(endpoint)
    assert (code, "conflicting DNS domain" in message) == ("InvalidParameter", True)
    endpoint(PrivateDnsEnabled=False)


@pytest.mark.change("ec2-interface-endpoints")
def test_private_names_need_the_networks_own_dns(ec2: Any, vpc: str) -> None:
    """Programs would look for the service on the internet, and find no way there."""
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
    request = {"VpcId": vpc, "ServiceName": "com.amazonaws.eu-west-1.ssm", "VpcEndpointType": "Interface"}
    _, message = refused(lambda: ec2.create_vpc_endpoint(**request, SubnetIds=[subnet_in(ec2, vpc)]))
    assert "enableDnsSupport and enableDnsHostnames" in message


@pytest.mark.change("ec2-peering")
def test_a_network_is_peered_with_another_once(ec2: Any, aws: Any, vpc: str) -> None:
    """EC2 API Reference, CreateVpcPeeringConnection, and its errors."""
    there = aws("ec2", "eu-central-1")
    peer, same = (str(there.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]) for cidr in ("10.2.0.0/16", "10.1.128.0/17"))

    def connect(peer_id: str, region: str = "eu-central-1") -> Any:
        made = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer_id, PeerRegion=region)
        return made["VpcPeeringConnection"]["VpcPeeringConnectionId"]

    def status(connection: str) -> str:
        found = ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[connection])["VpcPeeringConnections"]
        return str(found[0]["Status"]["Code"])

    connection = connect(peer)
    there.accept_vpc_peering_connection(VpcPeeringConnectionId=connection)
    assert status(connection) == "active"
    assert refused(lambda: connect(peer))[0] == "VpcPeeringConnectionAlreadyExists"
    assert refused(lambda: connect(vpc, "eu-west-1"))[0] == "InvalidParameterValue"
    assert status(connect(same)) == "failed"


@pytest.mark.change("ec2-routes")
def test_a_route_leads_to_a_peering_of_its_own_network(ec2: Any, aws: Any, vpc: str) -> None:
    """A route to another network's connection would be a black hole."""
    peer = aws("ec2", "eu-central-1").create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    asked = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer, PeerRegion="eu-central-1")
    connection = asked["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    stranger = str(ec2.create_vpc(CidrBlock="10.3.0.0/16")["Vpc"]["VpcId"])

    def route(table: str, target: str) -> Any:
        return ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=target)

    missing = "pcx-0123456789abcdef0"
    assert refused(lambda: route(main_table(ec2, vpc), missing))[0] == "InvalidVpcPeeringConnectionID.NotFound"
    assert refused(lambda: route(main_table(ec2, stranger), connection))[0] == "InvalidParameterValue"
    route(main_table(ec2, vpc), connection)


@pytest.mark.change("ec2-flow-logs")
def test_flow_logs_name_their_group_and_their_traffic(ec2: Any, vpc: str) -> None:
    """EC2 API Reference, CreateFlowLogs."""

    def create(**more: Any) -> Any:
        request = {
            "ResourceIds": [vpc],
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogDestination": "arn:aws:logs:eu-west-1:123456789012:log-group:flows",
            "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/nobody",
        }
        return ec2.create_flow_logs(**request | more)

    assert refused(lambda: create(TrafficType="NONE"))[0] == "InvalidParameter"
    assert refused(lambda: create(LogDestination="arn:aws:s3:::bucket"))[0] == "InvalidParameter"
    (made,) = create()["FlowLogIds"]
    (found,) = ec2.describe_flow_logs(FlowLogIds=[made])["FlowLogs"]
    assert (found["LogGroupName"], found["DeliverLogsStatus"]) == ("flows", "FAILED")


@pytest.mark.change("logs-retention")
def test_logs_are_kept_for_days_that_cloudwatch_has(aws: Any) -> None:
    """CloudWatch Logs API Reference, PutRetentionPolicy."""
    logs = aws("logs")
    logs.create_log_group(logGroupName="flows")
    code, _ = refused(lambda: logs.put_retention_policy(logGroupName="flows", retentionInDays=10))
    assert code == "InvalidParameterException"
    logs.put_retention_policy(logGroupName="flows", retentionInDays=30)


@pytest.mark.change("ec2-security-group-rules")
def test_a_prefix_list_counts_as_much_as_it_weighs(ec2: Any, vpc: str) -> None:
    """A list of clients that AWS has no room for beside the health checkers would come up here."""
    checkers = prefix_list(ec2, "com.amazonaws.eu-west-1.route53-healthchecks")
    group = group_in(ec2, vpc)

    def admit(**source: Any) -> Any:
        permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, **source}
        return ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])

    admit(PrefixListIds=[{"PrefixListId": checkers}])
    admit(IpRanges=[{"CidrIp": f"203.0.{number}.0/24"} for number in range(35)])
    assert refused(lambda: admit(IpRanges=[{"CidrIp": "198.51.100.0/24"}]))[0] == "RulesPerSecurityGroupLimitExceeded"
