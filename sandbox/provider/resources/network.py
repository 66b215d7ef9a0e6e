"""EC2's network: VPC, subnets, routes, endpoints, security groups.

What each property is (its default, whether a change replaces the resource, what it conflicts with) follows the schemas
of terraform-provider-aws v6, internal/service/ec2, files vpc_*.go; ids are that provider's too.
"""

import ipaddress
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import (
    ID,
    Call,
    Constant,
    UnusableAnswerError,
    creating,
    deleting,
    joining,
    kept,
    reading,
    search,
    updating,
    write_ec2_tags,
)
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    ResourceType,
    State,
    Update,
    ValueCheck,
    boolean,
    integer,
    is_empty,
    json_text,
    length,
    one_of,
    output,
    string,
    string_set,
)
from sandbox.provider.values import Json, contains_unknown, is_unknown

# VPC User Guide, "VPC CIDR blocks" and "Subnet sizing": the same limits for both, in bits of the network part.
_LARGEST_NETWORK = 16
_SMALLEST_NETWORK = 28


def _network(
    family: type[ipaddress.IPv4Network | ipaddress.IPv6Network], example: str, low: int, high: int
) -> ValueCheck:
    def check(value: Json) -> str | None:
        try:
            network = family(value)
        except ValueError as error:
            return f"expected a network such as {example}: {error}"
        if "/" not in value:
            return f"expected a network such as {example}, got {value!r} without a prefix length"
        if not low <= network.prefixlen <= high:
            return f"expected a prefix length from /{low} to /{high}, got {value}"
        return None

    return check


def _ipv4_network(low: int = 0, high: int = 32) -> ValueCheck:
    """A check for an IPv4 network in canonical form, whose prefix length lies from `low` to `high`."""
    return _network(ipaddress.IPv4Network, "10.0.0.0/16", low, high)


def _ipv6_network() -> ValueCheck:
    """A check for an IPv6 network in canonical form."""
    return _network(ipaddress.IPv6Network, "2001:db8::/32", 0, 128)


def _normal_network(value: Json) -> Json:
    """An IPv6 network as AWS writes it: lower case, zeros shortened."""
    return str(ipaddress.ip_network(value, strict=False))


def _exactly_one(inputs: State, names: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The refusal of inputs that give none, or more than one, of `names`."""
    wanted = list(names)
    given = [name for name in wanted if not is_empty(inputs.get(name))]
    if len(given) != 1:
        yield (
            (given or wanted)[-1],
            f"exactly one of {', '.join(wanted)} must be set, got {', '.join(given) or 'none'}",
        )


def _arn(resource: str) -> Callable[[Aws, str, State], State]:
    """A `read` that gives the ARN, which most of EC2's calls leave out."""

    def read(aws: Aws, id: str, state: State) -> State:
        return {"arn": f"arn:{aws.PARTITION}:ec2:{aws.region}:{aws.ACCOUNT_ID}:{resource}/{id}"}

    return read


def _filters(**wanted: Any) -> list[dict[str, Any]]:
    """The template of EC2's Filters, from names (underscores for hyphens, double ones for dots) and value templates."""
    return [
        {"Name": Constant(name.replace("__", ".").replace("_", "-")), "Values": [value]}
        for name, value in wanted.items()
    ]


def _vpc_attribute(attribute: str, name: str) -> Update:
    """A VPC attribute: ModifyVpcAttribute takes one at a time, and CreateVpc none."""
    parameters = {"VpcId": ID, attribute: {"Value": name}}
    return Update(properties=(name,), on_create=True, run=updating(Call("ec2", "modify_vpc_attribute", parameters)))


VPC = ResourceType(
    token="aws:ec2/vpc:Vpc",
    properties={
        "cidrBlock": string(computed=True, replaces=True, check=_ipv4_network(_LARGEST_NETWORK, _SMALLEST_NETWORK)),
        "instanceTenancy": string(default="default", replaces=True, check=one_of("default", "dedicated")),
        "enableDnsSupport": boolean(default=True),
        "enableDnsHostnames": boolean(computed=True),
        "arn": output(),
        "ownerId": output(),
        "mainRouteTableId": output(),
        "defaultSecurityGroupId": output(),
        "defaultNetworkAclId": output(),
        "defaultRouteTableId": output(),
        "dhcpOptionsId": output(),
    },
    create=creating(
        Call("ec2", "create_vpc", {"CidrBlock": "cidrBlock", "InstanceTenancy": "instanceTenancy"}),
        id="Vpc.VpcId",
        ec2_tags="vpc",
    ),
    read=joining(
        reading(
            Call("ec2", "describe_vpcs", {"VpcIds": [ID]}),
            result="Vpcs[0]",
            outputs={
                "cidrBlock": "CidrBlock",
                "instanceTenancy": "InstanceTenancy",
                "ownerId": "OwnerId",
                "dhcpOptionsId": "DhcpOptionsId",
            },
            missing=("InvalidVpcID.NotFound",),
            tags="Tags",
        ),
        _arn("vpc"),
        reading(
            Call("ec2", "describe_vpc_attribute", {"VpcId": ID, "Attribute": Constant("enableDnsSupport")}),
            result="@",
            outputs={"enableDnsSupport": "EnableDnsSupport.Value"},
        ),
        reading(
            Call("ec2", "describe_vpc_attribute", {"VpcId": ID, "Attribute": Constant("enableDnsHostnames")}),
            result="@",
            outputs={"enableDnsHostnames": "EnableDnsHostnames.Value"},
        ),
        reading(
            Call(
                "ec2",
                "describe_route_tables",
                {"Filters": _filters(vpc_id=ID, association__main=Constant("true"))},
            ),
            result="RouteTables[0]",
            outputs={"mainRouteTableId": "RouteTableId", "defaultRouteTableId": "RouteTableId"},
        ),
        reading(
            Call(
                "ec2",
                "describe_security_groups",
                {"Filters": _filters(vpc_id=ID, group_name=Constant("default"))},
            ),
            result="SecurityGroups[0]",
            outputs={"defaultSecurityGroupId": "GroupId"},
        ),
        reading(
            Call("ec2", "describe_network_acls", {"Filters": _filters(vpc_id=ID, default=Constant("true"))}),
            result="NetworkAcls[0]",
            outputs={"defaultNetworkAclId": "NetworkAclId"},
        ),
    ),
    updates=(
        _vpc_attribute("EnableDnsSupport", "enableDnsSupport"),
        _vpc_attribute("EnableDnsHostnames", "enableDnsHostnames"),
    ),
    delete=deleting(Call("ec2", "delete_vpc", {"VpcId": ID}), missing=("InvalidVpcID.NotFound",)),
    write_tags=write_ec2_tags,
)


def _subnet_attribute(attribute: str, name: str) -> Update:
    """A subnet attribute: ModifySubnetAttribute takes one at a time, and CreateSubnet none."""
    parameters = {"SubnetId": ID, attribute: {"Value": name}}
    return Update(properties=(name,), on_create=True, run=updating(Call("ec2", "modify_subnet_attribute", parameters)))


SUBNET = ResourceType(
    token="aws:ec2/subnet:Subnet",
    properties={
        "vpcId": string(required=True, replaces=True),
        "cidrBlock": string(computed=True, replaces=True, check=_ipv4_network(_LARGEST_NETWORK, _SMALLEST_NETWORK)),
        "availabilityZone": string(computed=True, replaces=True, conflicts=("availabilityZoneId",)),
        "availabilityZoneId": string(computed=True, replaces=True, conflicts=("availabilityZone",)),
        "mapPublicIpOnLaunch": boolean(default=False),
        "enableResourceNameDnsARecordOnLaunch": boolean(default=False),
        "arn": output(),
        "ownerId": output(),
        "privateDnsHostnameTypeOnLaunch": output(),
    },
    create=creating(
        Call(
            "ec2",
            "create_subnet",
            {
                "VpcId": "vpcId",
                "CidrBlock": "cidrBlock",
                "AvailabilityZone": "availabilityZone",
                "AvailabilityZoneId": "availabilityZoneId",
            },
        ),
        id="Subnet.SubnetId",
        ec2_tags="subnet",
    ),
    read=reading(
        Call("ec2", "describe_subnets", {"SubnetIds": [ID]}),
        result="Subnets[0]",
        outputs={
            "vpcId": "VpcId",
            "cidrBlock": "CidrBlock",
            "availabilityZone": "AvailabilityZone",
            "availabilityZoneId": "AvailabilityZoneId",
            "mapPublicIpOnLaunch": "MapPublicIpOnLaunch",
            "enableResourceNameDnsARecordOnLaunch": "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord",
            "privateDnsHostnameTypeOnLaunch": "PrivateDnsNameOptionsOnLaunch.HostnameType",
            "arn": "SubnetArn",
            "ownerId": "OwnerId",
        },
        missing=("InvalidSubnetID.NotFound",),
        tags="Tags",
    ),
    updates=(
        _subnet_attribute("MapPublicIpOnLaunch", "mapPublicIpOnLaunch"),
        _subnet_attribute("EnableResourceNameDnsARecordOnLaunch", "enableResourceNameDnsARecordOnLaunch"),
    ),
    delete=deleting(Call("ec2", "delete_subnet", {"SubnetId": ID}), missing=("InvalidSubnetID.NotFound",)),
    write_tags=write_ec2_tags,
)


_describe_internet_gateway = Call("ec2", "describe_internet_gateways", {"InternetGatewayIds": [ID]})
_GATEWAY_MISSING = ("InvalidInternetGatewayID.NotFound",)


def _detach_gateway(aws: Aws, id: str, keep: str | None = None) -> bool:
    """Detach an internet gateway from the VPC it hangs on, if that isn't `keep`; whether it hangs on `keep`."""
    attached = search("InternetGateways[0].Attachments[].VpcId", _describe_internet_gateway(aws, id, {}))
    for vpc_id in attached:
        if vpc_id != keep:
            aws.call("ec2", "detach_internet_gateway", InternetGatewayId=id, VpcId=vpc_id)
    return keep in attached


def _move_gateway(aws: Aws, change: Change) -> None:
    vpc_id = change.new.get("vpcId")
    if not _detach_gateway(aws, change.id, keep=vpc_id) and vpc_id:
        aws.call("ec2", "attach_internet_gateway", InternetGatewayId=change.id, VpcId=vpc_id)


def _delete_gateway(aws: Aws, id: str, state: State) -> None:
    try:
        _detach_gateway(aws, id)
        aws.call("ec2", "delete_internet_gateway", InternetGatewayId=id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GATEWAY_MISSING:
            raise


INTERNET_GATEWAY = ResourceType(
    token="aws:ec2/internetGateway:InternetGateway",
    properties={"vpcId": string(computed=True), "arn": output(), "ownerId": output()},
    create=creating(
        Call("ec2", "create_internet_gateway", {}),
        id="InternetGateway.InternetGatewayId",
        ec2_tags="internet-gateway",
    ),
    read=joining(
        reading(
            _describe_internet_gateway,
            result="InternetGateways[0]",
            outputs={"vpcId": "Attachments[0].VpcId", "ownerId": "OwnerId"},
            missing=_GATEWAY_MISSING,
            tags="Tags",
        ),
        _arn("internet-gateway"),
    ),
    updates=(Update(properties=("vpcId",), on_create=True, run=_move_gateway),),
    delete=_delete_gateway,
    write_tags=write_ec2_tags,
)


_TABLE_MISSING = ("InvalidRouteTableID.NotFound",)


def _delete_route_table(aws: Aws, id: str, state: State) -> None:
    """AWS refuses to delete a table with associations, so they end first, as they do under Terraform."""
    try:
        tables = aws.call("ec2", "describe_route_tables", RouteTableIds=[id])["RouteTables"]
        for association in search("[].Associations[] | [?!Main].RouteTableAssociationId", tables):
            aws.call("ec2", "disassociate_route_table", AssociationId=association)
        aws.call("ec2", "delete_route_table", RouteTableId=id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in (*_TABLE_MISSING, "InvalidAssociationID.NotFound"):
            raise


# Routes are resources of their own here. A table with routes of its own (`routes`) takes away every other one, and so
# would fight with them; it is refused by name, like every property that isn't described.
ROUTE_TABLE = ResourceType(
    token="aws:ec2/routeTable:RouteTable",
    properties={"vpcId": string(required=True, replaces=True), "arn": output(), "ownerId": output()},
    create=creating(
        Call("ec2", "create_route_table", {"VpcId": "vpcId"}), id="RouteTable.RouteTableId", ec2_tags="route-table"
    ),
    read=joining(
        reading(
            Call("ec2", "describe_route_tables", {"RouteTableIds": [ID]}),
            result="RouteTables[0]",
            outputs={"vpcId": "VpcId", "ownerId": "OwnerId"},
            missing=_TABLE_MISSING,
            tags="Tags",
        ),
        _arn("route-table"),
    ),
    delete=_delete_route_table,
    write_tags=write_ec2_tags,
)


_DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}
_TARGETS = {
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}
_ROUTE_KEY = {"RouteTableId": "routeTableId", **{parameter: name for name, parameter in _DESTINATIONS.items()}}
_ROUTE = {**_ROUTE_KEY, **{parameter: name for name, parameter in _TARGETS.items()}}


def _create_route(aws: Aws, inputs: State) -> str:
    Call("ec2", "create_route", _ROUTE)(aws, "", inputs)
    destination = next(inputs[name] for name in _DESTINATIONS if not is_empty(inputs.get(name)))
    # terraform-provider-aws, internal/service/ec2/id.go and internal/create/hashcode.go: the destination's CRC-32.
    return f"r-{inputs['routeTableId']}{zlib.crc32(destination.encode())}"


def _route_key(id: str, state: State) -> State:
    """The route's table and destination; an import knows them from its id, TABLE_DESTINATION."""
    if state.get("routeTableId"):
        return state
    table, found, destination = id.partition("_")
    if not found:
        raise UnusableAnswerError(f"{id!r} isn't the id of a route to import: expected ROUTETABLEID_DESTINATION")
    for mark, name in ((":", "destinationIpv6CidrBlock"), (".", "destinationCidrBlock")):
        if mark in destination:
            return {"routeTableId": table, name: destination}
    return {"routeTableId": table, "destinationPrefixListId": destination}


def _read_route(aws: Aws, id: str, state: State) -> State | None:
    key = _route_key(id, state)
    describe = Call("ec2", "describe_route_tables", {"RouteTableIds": ["routeTableId"]})
    tables = reading(describe, "RouteTables[0]", {"routes": "Routes"}, missing=_TABLE_MISSING)(aws, id, key)
    for route in (tables or {}).get("routes") or ():
        if all(is_empty(key.get(name)) or route.get(field) == key[name] for name, field in _DESTINATIONS.items()):
            fields = {**_DESTINATIONS, **_TARGETS, "instanceId": "InstanceId", "instanceOwnerId": "InstanceOwnerId"}
            found = {name: route.get(field) for name, field in fields.items()}
            return {**found, "routeTableId": key["routeTableId"], "origin": route["Origin"], "state": route["State"]}
    return None


def _validate_route(inputs: State) -> Iterable[tuple[str, str]]:
    yield from _exactly_one(inputs, _DESTINATIONS)
    yield from _exactly_one(inputs, _TARGETS)


ROUTE = ResourceType(
    token="aws:ec2/route:Route",
    properties={
        "routeTableId": string(required=True, replaces=True),
        "destinationCidrBlock": string(replaces=True, check=_ipv4_network(), conflicts=("egressOnlyGatewayId",)),
        "destinationIpv6CidrBlock": string(replaces=True, check=_ipv6_network(), normal=_normal_network),
        "destinationPrefixListId": string(replaces=True),
        "egressOnlyGatewayId": string(conflicts=("destinationCidrBlock",)),
        **{name: string() for name in _TARGETS if name != "egressOnlyGatewayId"},
        "instanceId": output(),
        "instanceOwnerId": output(),
        "origin": output(),
        "state": output(),
    },
    create=_create_route,
    read=_read_route,
    updates=(Update(properties=tuple(_TARGETS), run=updating(Call("ec2", "replace_route", _ROUTE))),),
    delete=deleting(Call("ec2", "delete_route", _ROUTE_KEY), missing=("InvalidRoute.NotFound", *_TABLE_MISSING)),
    validate=_validate_route,
)


def _association(aws: Aws, id: str, state: State) -> State | None:
    """The association of a subnet or gateway with a route table, whatever its id is by now.

    ReplaceRouteTableAssociation gives an association a new id, while a Pulumi resource keeps the one it was born with;
    but a subnet or gateway has one association at most. An import's id is TARGET/TABLE.
    """
    target = state.get("subnetId") or state.get("gatewayId") or id.partition("/")[0]
    pages = aws.client("ec2").get_paginator("describe_route_tables").paginate()
    for association in search("[].RouteTables[].Associations[]", list(pages)):
        if target in (
            association.get("SubnetId"),
            association.get("GatewayId"),
            association["RouteTableAssociationId"],
        ):
            return dict(association)
    return None


def _read_association(aws: Aws, id: str, state: State) -> State | None:
    found = _association(aws, id, state)
    return found and {
        "routeTableId": found["RouteTableId"],
        "subnetId": found.get("SubnetId"),
        "gatewayId": found.get("GatewayId"),
    }


def _replace_association(aws: Aws, change: Change) -> None:
    found = _association(aws, change.id, change.new)
    table_id = change.new["routeTableId"]
    if found is None:
        _associate(aws, change.id, change.new)
    elif found["RouteTableId"] != table_id:
        association_id = found["RouteTableAssociationId"]
        aws.call("ec2", "replace_route_table_association", AssociationId=association_id, RouteTableId=table_id)


def _delete_association(aws: Aws, id: str, state: State) -> None:
    found = _association(aws, id, state)
    if found is not None:
        disassociate = Call("ec2", "disassociate_route_table", {"AssociationId": ID})
        deleting(disassociate, missing=("InvalidAssociationID.NotFound",))(aws, found["RouteTableAssociationId"], state)


_associate = Call(
    "ec2", "associate_route_table", {"RouteTableId": "routeTableId", "SubnetId": "subnetId", "GatewayId": "gatewayId"}
)

ROUTE_TABLE_ASSOCIATION = ResourceType(
    token="aws:ec2/routeTableAssociation:RouteTableAssociation",
    properties={
        "routeTableId": string(required=True),
        "subnetId": string(replaces=True),
        "gatewayId": string(replaces=True),
    },
    create=creating(_associate, id="AssociationId"),
    read=_read_association,
    updates=(Update(properties=("routeTableId",), run=_replace_association),),
    delete=_delete_association,
    validate=lambda inputs: _exactly_one(inputs, ("subnetId", "gatewayId")),
)


_ENDPOINT_MISSING = ("InvalidVpcEndpointId.NotFound",)
_ENDPOINT_SETS = {
    "routeTableIds": "RouteTableIds",
    "subnetIds": "SubnetIds",
    "securityGroupIds": "SecurityGroupIds",
}


def _endpoint_set(name: str, parameter: str) -> Update:
    """ModifyVpcEndpoint doesn't take a set's new contents, only what to add and what to take away."""

    def run(aws: Aws, change: Change) -> None:
        old, new = set(change.old.get(name) or ()), set(change.new.get(name) or ())
        differences = {f"Add{parameter}": sorted(new - old), f"Remove{parameter}": sorted(old - new)}
        calls = {key: value for key, value in differences.items() if value}
        if calls:
            aws.call("ec2", "modify_vpc_endpoint", VpcEndpointId=change.id, **calls)

    return Update(properties=(name,), run=run)


def _delete_endpoint(aws: Aws, id: str, state: State) -> None:
    """DeleteVpcEndpoints succeeds as a call even where it fails for the endpoint."""
    failures = aws.call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[id])["Unsuccessful"]
    for error in (failure["Error"] for failure in failures):
        # The answer uses another code than DescribeVpcEndpoints for the same thing.
        if error["Code"] not in ("InvalidVpcEndpoint.NotFound", *_ENDPOINT_MISSING):
            raise ClientError({"Error": error}, "DeleteVpcEndpoints")


def _validate_endpoint(inputs: State) -> Iterable[tuple[str, str]]:
    if is_unknown(inputs["vpcEndpointType"]):
        return
    interface = inputs["vpcEndpointType"] == "Interface"
    for name in ("routeTableIds",) if interface else ("subnetIds", "securityGroupIds"):
        if not is_empty(inputs.get(name)):
            yield name, f"endpoints of type {inputs['vpcEndpointType']} don't take {name}"
    if inputs.get("privateDnsEnabled") is True and not interface:
        yield "privateDnsEnabled", "private DNS is for endpoints of type Interface"


VPC_ENDPOINT = ResourceType(
    token="aws:ec2/vpcEndpoint:VpcEndpoint",
    properties={
        "vpcId": string(required=True, replaces=True),
        "serviceName": string(required=True, replaces=True),
        "vpcEndpointType": string(default="Gateway", replaces=True, check=one_of("Gateway", "Interface")),
        # AWS PrivateLink quotas, "VPC endpoint policy size".
        "policy": json_text(computed=True, check=length(1, 20480)),
        # AWS changes it in place for interface endpoints. moto ignores that, and a change without effect must not pass.
        "privateDnsEnabled": boolean(computed=True, replaces=True),
        **{name: string_set(computed=True) for name in _ENDPOINT_SETS},
        "arn": output(),
        "cidrBlocks": output(Kind.LIST),
        "dnsEntries": output(Kind.LIST),
        "networkInterfaceIds": output(Kind.SET, volatile=True),
        "ownerId": output(),
        "prefixListId": output(),
        "requesterManaged": output(Kind.BOOLEAN),
        "state": output(),
    },
    create=creating(
        Call(
            "ec2",
            "create_vpc_endpoint",
            {
                "VpcId": "vpcId",
                "ServiceName": "serviceName",
                "VpcEndpointType": "vpcEndpointType",
                "PolicyDocument": "policy",
                "PrivateDnsEnabled": lambda inputs: bool(inputs.get("privateDnsEnabled")),
                **{parameter: name for name, parameter in _ENDPOINT_SETS.items()},
            },
        ),
        id="VpcEndpoint.VpcEndpointId",
        ec2_tags="vpc-endpoint",
    ),
    read=joining(
        reading(
            Call("ec2", "describe_vpc_endpoints", {"VpcEndpointIds": [ID]}),
            # A deleted endpoint can be described for a while.
            result="VpcEndpoints[?State!='deleted'] | [0]",
            outputs={
                "vpcId": "VpcId",
                "serviceName": "ServiceName",
                "vpcEndpointType": "VpcEndpointType",
                "policy": "PolicyDocument",
                "privateDnsEnabled": "PrivateDnsEnabled",
                "routeTableIds": "RouteTableIds",
                "subnetIds": "SubnetIds",
                "securityGroupIds": "Groups[].GroupId",
                "dnsEntries": "DnsEntries[].{dnsName: DnsName, hostedZoneId: HostedZoneId}",
                "networkInterfaceIds": "NetworkInterfaceIds",
                "ownerId": "OwnerId",
                "requesterManaged": "RequesterManaged",
                "state": "State",
            },
            missing=_ENDPOINT_MISSING,
            tags="Tags",
        ),
        _arn("vpc-endpoint"),
        reading(
            Call("ec2", "describe_prefix_lists", {"Filters": _filters(prefix_list_name="serviceName")}),
            result="PrefixLists[0]",
            outputs={"prefixListId": "PrefixListId", "cidrBlocks": "Cidrs"},
        ),
    ),
    updates=(
        *(_endpoint_set(name, parameter) for name, parameter in _ENDPOINT_SETS.items()),
        Update(
            properties=("policy",),
            run=updating(Call("ec2", "modify_vpc_endpoint", {"VpcEndpointId": ID, "PolicyDocument": "policy"})),
        ),
    ),
    delete=_delete_endpoint,
    write_tags=write_ec2_tags,
    validate=_validate_endpoint,
)


# EC2 API Reference, CreateSecurityGroup and IpRange: what names and descriptions may hold.
_GROUP_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")


def _group_text(value: Json) -> str | None:
    """A check for a security group's name or description, or a rule's description."""
    if _GROUP_TEXT.fullmatch(value):
        return None
    return f"expected at most 255 of the characters a-z, A-Z, 0-9, space and ._-:/()#,@[]+=&;{{}}!$*, got {value!r}"


def _group_name(value: Json) -> str | None:
    if value.lower().startswith("sg-"):
        return f"a security group's name can't begin with sg-, got {value!r}"
    return _group_text(value)


def _revoke_default_egress(aws: Aws, change: Change) -> None:
    """AWS gives a new group a rule that lets everything out. Terraform takes it away: only declared rules count."""
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    aws.call("ec2", "revoke_security_group_egress", GroupId=change.id, IpPermissions=everything)


def _revoke_rules(aws: Aws, id: str) -> None:
    """Revoke the group's own rules and those of other groups that point at it."""
    pages = aws.client("ec2").get_paginator("describe_security_group_rules").paginate()
    for rule in search("[].SecurityGroupRules[]", list(pages)):
        if id in (rule["GroupId"], rule.get("ReferencedGroupInfo", {}).get("GroupId")):
            direction = "egress" if rule["IsEgress"] else "ingress"
            rule_ids = [rule["SecurityGroupRuleId"]]
            aws.call(
                "ec2", f"revoke_security_group_{direction}", GroupId=rule["GroupId"], SecurityGroupRuleIds=rule_ids
            )


def _delete_group(aws: Aws, id: str, state: State) -> None:
    if state.get("revokeRulesOnDelete"):
        _revoke_rules(aws, id)
    deleting(Call("ec2", "delete_security_group", {"GroupId": ID}), missing=("InvalidGroup.NotFound",))(aws, id, state)


# Rules are resources of their own here; a group's own `ingress` and `egress` would fight with them.
SECURITY_GROUP = ResourceType(
    token="aws:ec2/securityGroup:SecurityGroup",
    properties={
        "name": string(computed=True, replaces=True, auto_name=AutoName(), check=_group_name),
        # pulumi-aws, provider/resources.go, aws_security_group.
        "description": string(default="Managed by Pulumi", replaces=True, check=_group_text),
        "vpcId": string(computed=True, replaces=True),
        "revokeRulesOnDelete": boolean(default=False),
        "arn": output(),
        "ownerId": output(),
    },
    create=creating(
        Call(
            "ec2",
            "create_security_group",
            {"GroupName": "name", "Description": "description", "VpcId": "vpcId"},
        ),
        id="GroupId",
        ec2_tags="security-group",
    ),
    read=joining(
        reading(
            Call("ec2", "describe_security_groups", {"GroupIds": [ID]}),
            result="SecurityGroups[0]",
            outputs={"name": "GroupName", "description": "Description", "vpcId": "VpcId", "ownerId": "OwnerId"},
            missing=("InvalidGroup.NotFound",),
            tags="Tags",
        ),
        _arn("security-group"),
    ),
    updates=(
        # A group always has a name and is replaced when that changes: this runs once, after creation.
        Update(properties=("name",), on_create=True, run=_revoke_default_egress),
        kept("revokeRulesOnDelete"),
    ),
    delete=_delete_group,
    write_tags=write_ec2_tags,
)


_ALL_PROTOCOLS = "-1"
# EC2 API Reference, IpPermission: these four protocols go by name, all others by their IANA number.
_PROTOCOL_NAMES = {"all": _ALL_PROTOCOLS, "1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
_PORT_PROTOCOLS = ("tcp", "udp")
_ANY_PORT = -1
_RULE_SOURCES = {
    "cidrIpv4": "CidrIpv4",
    "cidrIpv6": "CidrIpv6",
    "prefixListId": "PrefixListId",
    "referencedSecurityGroupId": "ReferencedGroupId",
}


def _protocol(value: Json) -> Json:
    """A rule's protocol as AWS writes it."""
    return _PROTOCOL_NAMES.get(value.lower(), value.lower())


def _permission(inputs: State) -> dict[str, Any]:
    """A rule as an IpPermission with one source."""
    described = {"Description": inputs["description"]} if not is_empty(inputs.get("description")) else {}
    sources = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    name = next(name for name in sources if not is_empty(inputs.get(name)))
    where, key = sources[name]
    permission = {"IpProtocol": _protocol(inputs["ipProtocol"]), where: [{key: inputs[name], **described}]}
    ports = {"FromPort": inputs.get("fromPort"), "ToPort": inputs.get("toPort")}
    return permission | {key: port for key, port in ports.items() if port is not None}


_modify_rule = Call(
    "ec2",
    "modify_security_group_rules",
    {
        "GroupId": "securityGroupId",
        "SecurityGroupRules": [
            {
                "SecurityGroupRuleId": ID,
                "SecurityGroupRule": {
                    "IpProtocol": lambda inputs: _protocol(inputs["ipProtocol"]),
                    "FromPort": lambda inputs: inputs.get("fromPort", _ANY_PORT),
                    "ToPort": lambda inputs: inputs.get("toPort", _ANY_PORT),
                    "Description": lambda inputs: inputs.get("description", ""),
                    **{parameter: name for name, parameter in _RULE_SOURCES.items()},
                },
            }
        ],
    },
)


def _describe_new_rule(aws: Aws, change: Change) -> None:
    """moto forgets the description that a new rule for a prefix list or a group comes with, not one for a network."""
    new = not change.old
    if new and is_empty(change.new.get("cidrIpv4")) and is_empty(change.new.get("cidrIpv6")):
        _modify_rule(aws, change.id, change.new)


def _validate_rule(inputs: State) -> Iterable[tuple[str, str]]:
    yield from _exactly_one(inputs, _RULE_SOURCES)
    ports = {name: inputs.get(name) for name in ("fromPort", "toPort")}
    if contains_unknown([inputs["ipProtocol"], *ports.values()]):
        return
    protocol = _protocol(inputs["ipProtocol"])
    for name, port in ports.items():
        if protocol in _PORT_PROTOCOLS and port is None:
            yield name, f"a rule for {protocol} needs fromPort and toPort"
        if protocol in _PORT_PROTOCOLS and port == _ANY_PORT:
            yield name, f"a rule for {protocol} needs ports from 0 to 65535, got {port}"
        if protocol == _ALL_PROTOCOLS and port is not None:
            yield name, f"a rule for all protocols ({inputs['ipProtocol']}) has no ports, got {port}"
    low, high = ports.values()
    if protocol in _PORT_PROTOCOLS and low is not None and high is not None and low > high:
        yield "toPort", f"the port range ends before it begins: {low} to {high}"


def _read_rule(aws: Aws, id: str, state: State) -> State | None:
    current = _describe_rule(aws, id, state)
    for name in ("fromPort", "toPort") if current else ():
        # -1 is how AWS says that the rule has no ports.
        if current and current[name] == _ANY_PORT and state.get(name) is None:
            current[name] = None
    return current


_describe_rule = joining(
    reading(
        Call("ec2", "describe_security_group_rules", {"SecurityGroupRuleIds": [ID]}),
        result="SecurityGroupRules[0]",
        outputs={
            "securityGroupId": "GroupId",
            "securityGroupRuleId": "SecurityGroupRuleId",
            "ipProtocol": "IpProtocol",
            "fromPort": "FromPort",
            "toPort": "ToPort",
            "cidrIpv4": "CidrIpv4",
            "cidrIpv6": "CidrIpv6",
            "prefixListId": "PrefixListId",
            "referencedSecurityGroupId": "ReferencedGroupInfo.GroupId",
            "description": "Description",
        },
        missing=("InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound"),
        tags="Tags",
    ),
    _arn("security-group-rule"),
)


def _security_group_rule(name: str, direction: str) -> ResourceType:
    """The type of the rules that let traffic in (`ingress`) or out (`egress`)."""
    return ResourceType(
        token=f"aws:vpc/securityGroup{name}Rule:SecurityGroup{name}Rule",
        properties={
            "securityGroupId": string(required=True, replaces=True),
            "ipProtocol": string(required=True, normal=_protocol),
            "fromPort": integer(-1, 65535),
            "toPort": integer(-1, 65535),
            "description": string(check=_group_text),
            # A rule keeps the kind of its source for life: terraform-provider-aws replaces it when the kind changes,
            # and so does this. It also replaces a rule whose source is another IPv6 network, list or group, which
            # ModifySecurityGroupRules could change in place: moto doesn't.
            "cidrIpv4": string(check=_ipv4_network()),
            "cidrIpv6": string(replaces=True, check=_ipv6_network(), normal=_normal_network),
            "prefixListId": string(replaces=True),
            "referencedSecurityGroupId": string(replaces=True),
            "arn": output(),
            "securityGroupRuleId": output(),
        },
        create=creating(
            Call(
                "ec2",
                f"authorize_security_group_{direction}",
                {"GroupId": "securityGroupId", "IpPermissions": [_permission]},
            ),
            id="SecurityGroupRules[0].SecurityGroupRuleId",
            ec2_tags="security-group-rule",
        ),
        read=_read_rule,
        updates=(
            Update(
                properties=("ipProtocol", "fromPort", "toPort", "description", "cidrIpv4"), run=updating(_modify_rule)
            ),
            Update(properties=("description",), on_create=True, run=_describe_new_rule),
        ),
        delete=deleting(
            Call(
                "ec2",
                f"revoke_security_group_{direction}",
                {"GroupId": "securityGroupId", "SecurityGroupRuleIds": [ID]},
            ),
            missing=("InvalidGroup.NotFound", "InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"),
        ),
        write_tags=write_ec2_tags,
        validate=_validate_rule,
    )


SECURITY_GROUP_INGRESS_RULE = _security_group_rule("Ingress", "ingress")
SECURITY_GROUP_EGRESS_RULE = _security_group_rule("Egress", "egress")
