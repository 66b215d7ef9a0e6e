"""EC2's ways out of a network: Elastic IP addresses, NAT gateways, and peering connections between networks.

What each property is follows the schemas of terraform-provider-aws v6, internal/service/ec2, files ec2_eip.go and
vpc_nat_gateway.go, vpc_peering_connection.go and vpc_peering_connection_accepter.go; ids are that provider's too.
"""

from collections.abc import Iterable

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import (
    ID,
    Call,
    UnusableAnswerError,
    creating,
    deleting,
    reading,
    search,
    wait_for,
    write_ec2_tags,
)
from sandbox.provider.schema import (
    Change,
    Property,
    ResourceType,
    State,
    Update,
    boolean,
    is_empty,
    one_of,
    output,
    string,
)

# terraform-provider-aws gives NAT gateways 10 minutes to come up and 30 to go, peerings 1 to be requested. Seconds.
_NAT_UP, _NAT_DOWN, _PEERING = 600, 1800, 60


def _read_address(aws: Aws, id: str, state: State) -> State | None:
    found = _describe_address(aws, id, state)
    return found and {**found, "arn": f"arn:{aws.PARTITION}:ec2:{aws.region}:{aws.ACCOUNT_ID}:elastic-ip/{id}"}


_describe_address = reading(
    Call("ec2", "describe_addresses", {"AllocationIds": [ID]}),
    result="Addresses[0]",
    outputs={"domain": "Domain", "allocationId": "AllocationId", "publicIp": "PublicIp"},
    missing=("InvalidAllocationID.NotFound",),
    tags="Tags",
)

# What the address is associated with belongs to what uses it.
EIP = ResourceType(
    token="aws:ec2/eip:Eip",
    properties={
        "domain": string(computed=True, replaces=True, check=one_of("vpc")),
        "arn": output(),
        "allocationId": output(),
        "publicIp": output(),
    },
    create=creating(
        Call("ec2", "allocate_address", {"Domain": lambda inputs: inputs.get("domain", "vpc")}),
        id="AllocationId",
        ec2_tags="elastic-ip",
    ),
    read=_read_address,
    delete=deleting(Call("ec2", "release_address", {"AllocationId": ID}), missing=("InvalidAllocationID.NotFound",)),
    write_tags=write_ec2_tags,
)


_NAT_MISSING = ("NatGatewayNotFound",)
_describe_nat = Call("ec2", "describe_nat_gateways", {"NatGatewayIds": [ID]})


def _nat_state(aws: Aws, id: str) -> str:
    try:
        found = search("NatGateways[0]", _describe_nat(aws, id, {}))
    except ClientError as error:
        if error.response["Error"]["Code"] in _NAT_MISSING:
            return "deleted"
        raise
    if found["State"] == "failed":
        raise UnusableAnswerError(
            f"NAT gateway {id} failed: {found.get('FailureCode', '')}: {found.get('FailureMessage', '')}"
        )
    return str(found["State"])


def _nat_ready(aws: Aws, id: str, state: State) -> None:
    wait_for(lambda: _nat_state(aws, id), "available", f"NAT gateway {id} to be available", _NAT_UP)


def _delete_nat(aws: Aws, id: str, state: State) -> None:
    """Its address and subnet are free when it is gone, not when it begins to go."""
    deleting(Call("ec2", "delete_nat_gateway", {"NatGatewayId": ID}), missing=_NAT_MISSING)(aws, id, state)
    wait_for(lambda: _nat_state(aws, id), "deleted", f"NAT gateway {id} to be deleted", _NAT_DOWN)


def _validate_nat(inputs: State) -> Iterable[tuple[str, str]]:
    # A value that isn't known yet isn't empty.
    public, address = inputs["connectivityType"] == "public", not is_empty(inputs.get("allocationId"))
    if public and not address:
        yield "allocationId", "a public NAT gateway needs an Elastic IP address"
    if inputs["connectivityType"] == "private" and address:
        yield "allocationId", "a private NAT gateway has no Elastic IP address"


NAT_GATEWAY = ResourceType(
    token="aws:ec2/natGateway:NatGateway",
    properties={
        "subnetId": string(required=True, replaces=True),
        "connectivityType": string(default="public", replaces=True, check=one_of("public", "private")),
        "allocationId": string(replaces=True),
        "associationId": output(),
        "networkInterfaceId": output(),
        "privateIp": output(),
        "publicIp": output(),
    },
    create=creating(
        Call(
            "ec2",
            "create_nat_gateway",
            {"SubnetId": "subnetId", "ConnectivityType": "connectivityType", "AllocationId": "allocationId"},
        ),
        id="NatGateway.NatGatewayId",
        ec2_tags="natgateway",
    ),
    ready=_nat_ready,
    read=reading(
        _describe_nat,
        # A deleted gateway is described for about an hour.
        result="NatGateways[?State!='deleted'] | [0]",
        outputs={
            "subnetId": "SubnetId",
            "connectivityType": "ConnectivityType",
            "allocationId": "NatGatewayAddresses[0].AllocationId",
            "associationId": "NatGatewayAddresses[0].AssociationId",
            "networkInterfaceId": "NatGatewayAddresses[0].NetworkInterfaceId",
            "privateIp": "NatGatewayAddresses[0].PrivateIp",
            "publicIp": "NatGatewayAddresses[0].PublicIp",
        },
        missing=_NAT_MISSING,
        tags="Tags",
    ),
    delete=_delete_nat,
    write_tags=write_ec2_tags,
    validate=_validate_nat,
)


_PEERING_MISSING = ("InvalidVpcPeeringConnectionID.NotFound",)
_ENDED = ("deleted", "expired", "failed", "rejected")
_describe_peering = Call("ec2", "describe_vpc_peering_connections", {"VpcPeeringConnectionIds": [ID]})
# Who asks and who accepts is the same from both sides where they are of one account.
_read_live_peering = reading(
    _describe_peering,
    result="VpcPeeringConnections[0]",
    outputs={
        "vpcId": "RequesterVpcInfo.VpcId",
        "peerVpcId": "AccepterVpcInfo.VpcId",
        "peerOwnerId": "AccepterVpcInfo.OwnerId",
        "peerRegion": "AccepterVpcInfo.Region",
        "acceptStatus": "Status.Code",
    },
    missing=_PEERING_MISSING,
    tags="Tags",
)


def _read_peering(aws: Aws, id: str, state: State) -> State | None:
    found = _read_live_peering(aws, id, state)
    return None if found is None or found["acceptStatus"] in _ENDED else found


def _read_accepter(aws: Aws, id: str, state: State) -> State | None:
    found = _read_peering(aws, id, state)
    return found and {**found, "vpcPeeringConnectionId": id}


def _status(aws: Aws, id: str) -> str:
    found = search("VpcPeeringConnections[0].Status", _describe_peering(aws, id, {}))
    if found["Code"] in _ENDED:
        raise UnusableAnswerError(f"VPC peering connection {id} is {found['Code']}: {found.get('Message', '')}")
    return str(found["Code"])


def _accept(aws: Aws, change: Change) -> None:
    if change.new.get("autoAccept") and _status(aws, change.id) == "pending-acceptance":
        aws.call("ec2", "accept_vpc_peering_connection", VpcPeeringConnectionId=change.id)


def _peering_ready(aws: Aws, id: str, state: State) -> None:
    wanted = "active" if state.get("autoAccept") else "pending-acceptance"

    def observe() -> str:
        seen = _status(aws, id)
        # Another side may have accepted it by now.
        return wanted if seen == "active" else seen

    wait_for(observe, wanted, f"VPC peering connection {id} to be {wanted}", _PEERING)


def _validate_peering(inputs: State) -> Iterable[tuple[str, str]]:
    if inputs.get("autoAccept") is True and not is_empty(inputs.get("peerRegion")):
        yield "autoAccept", "peerRegion can't be set while autoAccept is true: the other region accepts"


_ACCEPT = Update(properties=("autoAccept",), on_create=True, run=_accept)
_ACCEPTS: Property = boolean()

# Options of either side would fight with the resource for them.
PEERING_CONNECTION = ResourceType(
    token="aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
    properties={
        "vpcId": string(required=True, replaces=True),
        "peerVpcId": string(required=True, replaces=True),
        "peerOwnerId": string(computed=True, replaces=True),
        "peerRegion": string(computed=True, replaces=True),
        "autoAccept": _ACCEPTS,
        "acceptStatus": output(volatile=True),
    },
    create=creating(
        Call(
            "ec2",
            "create_vpc_peering_connection",
            {"VpcId": "vpcId", "PeerVpcId": "peerVpcId", "PeerOwnerId": "peerOwnerId", "PeerRegion": "peerRegion"},
        ),
        id="VpcPeeringConnection.VpcPeeringConnectionId",
        ec2_tags="vpc-peering-connection",
    ),
    ready=_peering_ready,
    read=_read_peering,
    updates=(_ACCEPT,),
    delete=deleting(
        Call("ec2", "delete_vpc_peering_connection", {"VpcPeeringConnectionId": ID}), missing=_PEERING_MISSING
    ),
    write_tags=write_ec2_tags,
    validate=_validate_peering,
)

PEERING_ACCEPTER = ResourceType(
    token="aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter",
    properties={
        "vpcPeeringConnectionId": string(required=True, replaces=True),
        "autoAccept": _ACCEPTS,
        "acceptStatus": output(volatile=True),
        "vpcId": output(),
        "peerVpcId": output(),
        "peerOwnerId": output(),
        "peerRegion": output(),
    },
    create=lambda aws, inputs: _adopt(aws, inputs),
    ready=_peering_ready,
    read=_read_accepter,
    updates=(_ACCEPT,),
    # The connection belongs to the one who asked for it, as under Terraform.
    delete=lambda aws, id, state: None,
    write_tags=write_ec2_tags,
)


def _adopt(aws: Aws, inputs: State) -> str:
    """The connection is there already; what its accepter adds are tags of its own region."""
    id = str(inputs["vpcPeeringConnectionId"])
    _status(aws, id)
    if tags := inputs.get("tagsAll"):
        write_ec2_tags(aws, id, {}, tags, [])
    return id
