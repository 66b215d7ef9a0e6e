"""What leads out of EC2's networks and is written down of them, as strict as AWS: Elastic IP addresses, NAT gateways,
interface endpoints, peering connections, flow logs.
"""

import ipaddress
from typing import Any

from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.flow_logs import FlowLogsBackend
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.vpc_peering_connections import VPCPeeringConnectionBackend
from moto.ec2.responses.elastic_ip_addresses import ElasticIPAddresses
from moto.ec2.responses.vpcs import VPCs

from sandbox.api.change import Change, wrap
from sandbox.api.ec2_launch import refuse, unsupported
from sandbox.api.s3_role import Permission, why_not

# Amazon EC2 quotas, "EC2-VPC Elastic IPs".
ADDRESSES_MAX = 5
# EC2 API Reference, CreateFlowLogs.
TRAFFIC_TYPES = ("ACCEPT", "REJECT", "ALL")
# VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs"; those that name the group.
DELIVERY_ACTIONS = ("CreateLogStream", "PutLogEvents", "DescribeLogStreams")
FLOW_LOGS_SERVICE = "vpc-flow-logs.amazonaws.com"


# --- addresses and NAT gateways -------------------------------------------------------------------------------


def _allocate(original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    if len(backend.addresses) >= ADDRESSES_MAX:
        refuse("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    return original(backend, *args, **kwargs)


def _release(original: Any, responses: Any) -> Any:
    allocation_id = responses._get_param("AllocationId")
    if allocation_id:
        (address,) = responses.ec2_backend.address_by_allocation([allocation_id])
        if address.association_id:
            refuse("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    return original(responses)


def _create_nat_gateway(original: Any, backend: Any, subnet_id: str, allocation_id: Any, *args: Any, **kw: Any) -> Any:
    made = original(backend, subnet_id, allocation_id, *args, **kw)
    attached = {each.vpc.id for each in backend.internet_gateways.values() if each.vpc}
    if made.connectivity_type != "private" and made.vpc_id not in attached:
        # VPC User Guide, "Troubleshoot NAT gateways": it is made, and fails after a moment.
        made.state, made.failure_code = "failed", "Gateway.NotAttached"
        made.failure_message = f"Network {made.vpc_id} has no Internet gateway attached"
    return made


def _delete_nat_gateway(original: Any, backend: Any, nat_gateway_id: str) -> Any:
    gone = original(backend, nat_gateway_id)
    for address in backend.addresses:
        if address.eni is gone._eni:
            backend.disassociate_address(address=address.public_ip)
    backend.enis.pop(gone._eni.id, None)
    return gone


# --- interface endpoints --------------------------------------------------------------------------------------


def _create_endpoint(original: Any, responses: Any) -> Any:
    backend = responses.ec2_backend
    if responses._get_param("VpcEndpointType") != "Interface":
        return original(responses)
    vpc = backend.get_vpc(responses._get_param("VpcId"))
    zones: dict[str, str] = {}
    for subnet_id in responses._get_param("SubnetIds", []):
        subnet = backend.get_subnet(subnet_id)
        if subnet.vpc_id != vpc.id:
            refuse("InvalidParameter", f"Subnet {subnet_id} and VPC {vpc.id} belong to different networks")
        other = zones.setdefault(subnet.availability_zone, subnet_id)
        if other != subnet_id:
            refuse(
                "DuplicateSubnetsInSameZone",
                f"Found another VPC endpoint subnet in the availability zone of {subnet_id}",
            )
    groups = responses._get_param("SecurityGroupIds", [])
    for group_id in groups:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            refuse("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group.vpc_id != vpc.id:
            refuse("InvalidParameter", f"Security group {group_id} and VPC {vpc.id} belong to different networks")
    if not groups:
        default = backend.get_security_group_from_name("default", vpc.id)
        responses.params["SecurityGroupIds"] = [default.id]
    if responses._get_bool_param("PrivateDnsEnabled", True):
        _check_private_dns(backend, vpc, responses._get_param("ServiceName"))
    return original(responses)


def _check_private_dns(backend: Any, vpc: Any, service: str) -> None:
    if not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        refuse(
            "InvalidParameter",
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for "
            f"{vpc.id}",
        )
    for other in backend.vpc_end_points.values():
        same = other.vpc_id == vpc.id and other.service_name == service and other.vpc_endpoint_type == "Interface"
        if same and other.private_dns_enabled:
            refuse(
                "InvalidParameter",
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{service} in the VPC {vpc.id}",
            )


# --- peering --------------------------------------------------------------------------------------------------


def _create_peering(original: Any, backend: Any, vpc: Any, peer_vpc: Any, tags: Any = None) -> Any:
    pair = {vpc.id, peer_vpc.id}
    if len(pair) == 1:
        refuse("InvalidParameterValue", "The requester and the accepter VPC must be two VPCs")
    for other in backend.vpc_pcxs.values():
        if {other.vpc.id, other.peer_vpc.id} == pair and other._status.code == "active":
            refuse("VpcPeeringConnectionAlreadyExists", f"{other.id} between {vpc.id} and {peer_vpc.id} already exists")
    made = original(backend, vpc, peer_vpc, tags)
    if any(one.overlaps(other) for one in _blocks(vpc) for other in _blocks(peer_vpc)):
        # EC2 API Reference, CreateVpcPeeringConnection: such a request is made, and its status is `failed`.
        made._status.code = "failed"
        made._status.message = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"
    return made


def _blocks(vpc: Any) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(each["cidr_block"]) for each in vpc.get_cidr_block_association_set()]


# --- flow logs ------------------------------------------------------------------------------------------------


def _create_flow_logs(
    original: Any,
    backend: Any,
    resource_type: str,
    resource_ids: list[str],
    traffic_type: str,
    deliver_logs_permission_arn: str,
    log_destination_type: str,
    log_destination: str,
    log_group_name: str,
    log_format: str,
    max_aggregation_interval: int,
) -> Any:
    if log_destination_type not in (None, "cloud-watch-logs"):
        unsupported(f"flow logs to {log_destination_type}")
    if traffic_type not in TRAFFIC_TYPES:
        refuse("InvalidParameter", f"Invalid traffic type {traffic_type}: expected {', '.join(TRAFFIC_TYPES)}")
    if log_destination and not log_group_name:
        # arn:aws:logs:REGION:ACCOUNT:log-group:NAME, with or without :* at its end.
        parts = log_destination.split(":")
        if len(parts) < 7 or parts[2] != "logs" or parts[5] != "log-group":
            refuse("InvalidParameter", f"LogDestination {log_destination} isn't the ARN of a log group")
        log_group_name = parts[6]
    made, failed = original(
        backend,
        resource_type,
        resource_ids,
        traffic_type,
        deliver_logs_permission_arn,
        log_destination_type,
        log_destination,
        log_group_name,
        log_format,
        max_aggregation_interval,
    )
    for each in made:
        group = f"arn:aws:logs:{backend.region_name}:{backend.account_id}:log-group:{log_group_name}:*"
        needed = tuple(Permission(action=f"logs:{action}", resource=group) for action in DELIVERY_ACTIONS)
        if why_not(deliver_logs_permission_arn, needed, FLOW_LOGS_SERVICE) is not None:
            # VPC User Guide, "Troubleshoot VPC Flow Logs", "Access error".
            each.deliver_logs_status, each.deliver_logs_error_message = "FAILED", "Access error"
    return made, failed


def _apply_gateways() -> None:
    wrap(ElasticAddressBackend, "allocate_address", _allocate)
    wrap(ElasticIPAddresses, "release_address", _release)
    wrap(NatGatewayBackend, "create_nat_gateway", _create_nat_gateway)
    wrap(NatGatewayBackend, "delete_nat_gateway", _delete_nat_gateway)


CHANGES: tuple[Change, ...] = (
    Change(
        name="ec2-nat-gateways",
        why=(
            "moto's NAT gateways work in a VPC without an internet gateway, and keep their interface and address when "
            "they are deleted; it gives any number of addresses and releases those in use. AWS: VPC User Guide, "
            "'Troubleshoot NAT gateways'; EC2 API Reference, ReleaseAddress (InvalidIPAddress.InUse), AllocateAddress "
            "(AddressLimitExceeded)."
        ),
        apply=_apply_gateways,
    ),
    Change(
        name="ec2-interface-endpoints",
        why=(
            "moto takes subnets and groups of other VPCs, two subnets of a zone, groups that don't exist, and private "
            "names twice or where the VPC has no DNS. AWS PrivateLink Guide, 'Access an AWS service using an interface "
            "VPC endpoint', 'Considerations' and 'Prerequisites'; EC2 API Reference, CreateVpcEndpoint."
        ),
        apply=lambda: wrap(VPCs, "create_vpc_endpoint", _create_endpoint),
    ),
    Change(
        name="ec2-peering",
        why=(
            "moto peers VPCs with common addresses, a VPC with itself, and the same two twice. AWS: EC2 API Reference, "
            "CreateVpcPeeringConnection (status `failed`), 'Error codes' (VpcPeeringConnectionAlreadyExists)."
        ),
        apply=lambda: wrap(VPCPeeringConnectionBackend, "create_vpc_peering_connection", _create_peering),
    ),
    Change(
        name="ec2-flow-logs",
        why=(
            "moto fails on a log group that is named by its ARN, takes any traffic type, and says that logs are "
            "delivered whatever the role may do. AWS: EC2 API Reference, CreateFlowLogs; VPC User Guide, 'Troubleshoot "
            "VPC Flow Logs' (Access error)."
        ),
        apply=lambda: wrap(FlowLogsBackend, "create_flow_logs", _create_flow_logs),
    ),
)
