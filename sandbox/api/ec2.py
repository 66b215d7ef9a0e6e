"""EC2's networks as strict as AWS: regions, zones, VPCs, subnets, security groups, routes, endpoints, prefix lists.

Checks stand at the request, before moto's backend: what moto does inside itself (a default VPC, a VPC's own
cleaning up) isn't judged twice. Starting instances is in `ec2_launch`.
"""

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ec2.models.managed_prefixes import ManagedPrefixListBackend
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.network_acls import NetworkAclBackend
from moto.ec2.models.route_tables import RouteBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpc_peering_connections import VPCPeeringConnectionBackend
from moto.ec2.models.vpcs import AWS_ENDPOINT_SERVICES, COVERED_ENDPOINT_SERVICES, VPCBackend, VPCEndPoint
from moto.ec2.responses._base_response import EC2BaseResponse
from moto.ec2.responses.availability_zones_and_regions import AvailabilityZonesAndRegions
from moto.ec2.responses.internet_gateways import InternetGateways
from moto.ec2.responses.nat_gateways import NatGateways
from moto.ec2.responses.route_tables import RouteTables
from moto.ec2.responses.security_groups import SecurityGroups
from moto.ec2.responses.subnets import Subnets
from moto.ec2.responses.tags import TagResponse
from moto.ec2.responses.vpcs import VPCs

from sandbox.api.change import Change, wrap
from sandbox.api.ec2_launch import refuse, unsupported

# Regions that every account of the `aws` partition has from the start; all others are opt-in (AWS Account Management
# Reference Guide, "Enable or disable AWS Regions in your account").
ENABLED_REGIONS = frozenset(
    {
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    }
)
OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-")
# VPC User Guide, "VPC CIDR blocks" and "Subnet sizing".
LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28
# VPC User Guide, "AWS-managed prefix lists": Route 53 health checkers have one list for each address family. The
# ranges are examples of those that AWS publishes in ip-ranges.json under ROUTE53_HEALTHCHECKS.
HEALTH_CHECKER_LISTS = {
    "route53-healthchecks": ("IPv4", ("15.177.0.0/18", "54.183.255.128/26", "54.228.16.0/26", "54.255.254.192/26")),
    "ipv6.route53-healthchecks": ("IPv6", ("2600:1f14:7ff:f800::/56", "2600:1f18:3fff:f800::/56")),
}
# VPC User Guide, "AWS-managed prefix list weight": how many rules of a security group a rule for such a list counts as.
# A list of the customer's counts as its maximum number of entries.
LIST_WEIGHTS = {
    "s3": 1,
    "dynamodb": 1,
    "cloudfront.origin-facing": 55,
    "groundstation": 5,
    "vpc-lattice": 10,
    "route53-healthchecks": 25,
}
# Amazon VPC quotas, "Inbound or outbound rules per security group".
GROUP_RULES_MAX = 60
# EC2 API Reference, "Error codes", FilterLimitExceeded; the number is in what AWS answers.
FILTER_VALUES_MAX = 200
# EC2 User Guide, "Tag restrictions". Characters.
TAG_KEY_MAX, TAG_VALUE_MAX = 128, 256
GATEWAY_SERVICES = ("s3", "dynamodb")
# Where a request about security group rules has CIDR blocks, and of which kind.
RANGES = ("IpRanges", "Ipv6Ranges")
CIDRS: dict[str, type[ipaddress.IPv4Network] | type[ipaddress.IPv6Network]] = {
    "CidrIp": ipaddress.IPv4Network,
    "CidrIpv4": ipaddress.IPv4Network,
    "CidrIpv6": ipaddress.IPv6Network,
}
# What a CIDR block looks like: always with its length, where Python takes an address and a netmask too.
BLOCK = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")
POLICY_ROOT_KEYS = {"Version", "Id", "Statement"}


# --- every request ---------------------------------------------------------------------------------------------


def _filters(original: Any, responses: Any) -> Any:
    filters = original(responses)
    if sum(len(values) for values in filters.values()) > FILTER_VALUES_MAX:
        refuse(
            "FilterLimitExceeded",
            f"The maximum number of filter values specified on a single call is {FILTER_VALUES_MAX}",
        )
    return filters


# --- regions and zones ----------------------------------------------------------------------------------------


def _opt_in_status(region: str) -> str:
    return "opt-in-not-required" if region in ENABLED_REGIONS else "not-opted-in"


def _matches(filters: dict[str, list[str]], facts: dict[str, str], operation: str) -> bool:
    for name, values in filters.items():
        if name not in facts:
            unsupported(f"the filter '{name}' of {operation}")
        if facts[name] not in values:
            return False
    return True


def _describe_regions(_original: Any, responses: Any) -> ActionResult:
    responses.error_on_dryrun()
    wanted, filters = responses._get_param("RegionNames", []), responses._filters_from_querystring()
    known = {
        region.name: {
            "RegionName": region.name,
            "Endpoint": region.endpoint,
            "OptInStatus": _opt_in_status(region.name),
        }
        for region in RegionsAndZonesBackend.regions
        if not region.name.startswith(OTHER_PARTITIONS)
    }
    unknown = [name for name in wanted if name not in known]
    if unknown:
        refuse("InvalidParameterValue", f"Invalid region names: [{', '.join(unknown)}]")
    everything = bool(wanted) or responses._get_bool_param("AllRegions", False)
    shown = [
        region
        for name, region in known.items()
        if (name in wanted or not wanted)
        and (everything or region["OptInStatus"] != "not-opted-in")
        and _matches(
            filters,
            {"region-name": name, "endpoint": region["Endpoint"], "opt-in-status": region["OptInStatus"]},
            "DescribeRegions",
        )
    ]
    return ActionResult({"Regions": shown})


def _described_zone(zone: Zone) -> dict[str, Any]:
    return {
        "ZoneName": zone.name,
        "ZoneId": zone.zone_id,
        "ZoneType": zone.zone_type,
        "RegionName": zone.region_name,
        "State": zone.state,
        "OptInStatus": "opt-in-not-required",
        "GroupName": f"{zone.region_name}-zg-1",
        "NetworkBorderGroup": zone.region_name,
        "Messages": [],
    }


def _describe_zones(_original: Any, responses: Any) -> ActionResult:
    responses.error_on_dryrun()
    names, ids = responses._get_param("ZoneNames", []), responses._get_param("ZoneIds", [])
    filters = responses._filters_from_querystring()
    zones = RegionsAndZonesBackend.zones.get(responses.region, [])
    unknown = set(names) - {zone.name for zone in zones} | set(ids) - {zone.zone_id for zone in zones}
    if unknown:
        refuse("InvalidParameterValue", f"Invalid availability zone: [{', '.join(sorted(unknown))}]")
    shown = []
    for zone in zones:
        described = _described_zone(zone)
        facts = {
            "zone-name": described["ZoneName"],
            "zone-id": described["ZoneId"],
            "zone-type": described["ZoneType"],
            "region-name": described["RegionName"],
            "state": described["State"],
            "opt-in-status": described["OptInStatus"],
            "group-name": described["GroupName"],
        }
        chosen = (not names or zone.name in names) and (not ids or zone.zone_id in ids)
        if chosen and _matches(filters, facts, "DescribeAvailabilityZones"):
            shown.append(described)
    return ActionResult({"AvailabilityZones": shown})


# --- what doesn't exist ---------------------------------------------------------------------------------------


def _describe_peerings(original: Any, backend: Any, vpc_peering_ids: list[str] | None = None) -> Any:
    kind, code = "vpcPeeringConnection", "InvalidVpcPeeringConnectionID.NotFound"
    _check_exists(kind, code, vpc_peering_ids or [], backend.vpc_pcxs)
    return original(backend, vpc_peering_ids)


def _describe_network_acls(original: Any, backend: Any, network_acl_ids: Any = None, filters: Any = None) -> Any:
    _check_exists("networkAcl", "InvalidNetworkAclID.NotFound", network_acl_ids or [], backend.network_acls)
    return original(backend, network_acl_ids, filters)


def _prefix_list_entries(original: Any, backend: Any, prefix_list_id: str) -> Any:
    _check_exists("prefix list", "InvalidPrefixListID.NotFound", [prefix_list_id], backend.managed_prefix_lists)
    return original(backend, prefix_list_id)


def _check_nat_gateways(backend: Any, wanted: list[str]) -> None:
    for identifier in wanted:
        if identifier not in backend.nat_gateways:
            refuse("NatGatewayNotFound", f"NatGateway {identifier} was not found")


def _describe_nat_gateways(original: Any, backend: Any, filters: Any, nat_gateway_ids: list[str] | None) -> Any:
    _check_nat_gateways(backend, nat_gateway_ids or [])
    return original(backend, filters, nat_gateway_ids)


def _delete_nat_gateway(original: Any, backend: Any, nat_gateway_id: str) -> Any:
    _check_nat_gateways(backend, [nat_gateway_id])
    return original(backend, nat_gateway_id)


def _create_nat_gateway(original: Any, responses: Any) -> Any:
    public = (responses._get_param("ConnectivityType") or "public") == "public"
    if public and not responses._get_param("AllocationId"):
        refuse("MissingParameter", "The request must include the AllocationId parameter. Add the required parameter.")
    return original(responses)


def _check_tagged(original: Any, backend: Any, resource_ids: list[str]) -> Any:
    # moto looks for few kinds of resources, and takes any instance.
    known = {
        "i": ("instance", "InvalidInstanceID.NotFound", {instance.id for instance in backend.all_instances()}),
        "eni": ("networkInterface", "InvalidNetworkInterfaceID.NotFound", backend.enis),
        "nat": ("natGateway", "InvalidNatGatewayID.NotFound", backend.nat_gateways),
        "eipalloc": (
            "allocation",
            "InvalidAllocationID.NotFound",
            {address.allocation_id for address in backend.addresses},
        ),
        "vpce": ("VpcEndpoint", "InvalidVpcEndpointId.NotFound", backend.vpc_end_points),
        "pl": ("prefix list", "InvalidPrefixListID.NotFound", backend.managed_prefix_lists),
    }
    for resource_id in resource_ids:
        found = known.get(resource_id.rpartition("-")[0])
        if found:
            kind, code, ids = found
            _check_exists(kind, code, [resource_id], ids)
    return original(backend, resource_ids)


def _create_tags(original: Any, responses: Any) -> Any:
    for tag in responses._get_param("Tags", []):
        key, value = tag.get("Key") or "", tag.get("Value") or ""
        if key.lower().startswith("aws:"):
            refuse("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if not 1 <= len(key) <= TAG_KEY_MAX or len(value) > TAG_VALUE_MAX:
            refuse(
                "InvalidParameterValue",
                f"Tag key '{key}' or its value is too long: at most {TAG_KEY_MAX} and {TAG_VALUE_MAX} characters",
            )
    return original(responses)


def _check_exists(kind: str, code: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    missing = [identifier for identifier in wanted if identifier not in set(known)]
    if len(missing) == 1:
        refuse(code, f"The {kind} ID '{missing[0]}' does not exist")
    if missing:
        refuse(code, f"The {kind} IDs '{', '.join(missing)}' do not exist")


def _describe_vpcs(original: Any, backend: Any, vpc_ids: list[str] | None = None, filters: Any = None) -> Any:
    _check_exists("vpc", "InvalidVpcID.NotFound", vpc_ids or [], backend.vpcs)
    return original(backend, vpc_ids, filters)


def _describe_subnets(original: Any, backend: Any, subnet_ids: list[str] | None = None, filters: Any = None) -> Any:
    known = [subnet_id for subnets in backend.subnets.values() for subnet_id in subnets]
    _check_exists("subnet", "InvalidSubnetID.NotFound", subnet_ids or [], known)
    return original(backend, subnet_ids, filters)


def _describe_groups(
    original: Any, backend: Any, group_ids: Any = None, groupnames: Any = None, filters: Any = None
) -> Any:
    for group_id in group_ids or []:
        if backend.get_security_group_from_id(group_id) is None:
            refuse("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
    return original(backend, group_ids, groupnames, filters)


def _describe_prefix_lists(original: Any, backend: Any, prefix_list_ids: Any = None, filters: Any = None) -> Any:
    _check_exists("prefix list", "InvalidPrefixListID.NotFound", prefix_list_ids or [], backend.managed_prefix_lists)
    return original(backend, prefix_list_ids, filters)


# --- VPCs and subnets -----------------------------------------------------------------------------------------


def _network(cidr: str, parameter: str = "cidrBlock") -> ipaddress.IPv4Network:
    """The block as AWS keeps it, without host bits (EC2 API Reference, CreateVpc, CreateSubnet, CreateRoute)."""
    if not _is_block(cidr, ipaddress.IPv4Network):
        refuse(
            "InvalidParameterValue",
            f"Value ({cidr}) for parameter {parameter} is invalid. This is not a valid CIDR block.",
        )
    return ipaddress.IPv4Network(cidr, strict=False)


def _is_block(cidr: str, kind: type[ipaddress.IPv4Network] | type[ipaddress.IPv6Network]) -> bool:
    try:
        kind(cidr, strict=False)
    except ValueError:
        return False
    return bool(BLOCK.fullmatch(cidr))


def _canonical(cidr: str | None) -> str | None:
    """The block with its host bits cleared, which is what AWS keeps; anything that isn't a block as it is."""
    try:
        return str(ipaddress.ip_network(cidr or "", strict=False))
    except ValueError:
        return cidr


def _create_vpc(original: Any, backend: Any, cidr_block: str, *args: Any, **kwargs: Any) -> Any:
    network = _network(cidr_block)
    if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
        refuse("InvalidVpc.Range", f"The CIDR '{cidr_block}' is invalid.")
    return original(backend, str(network), *args, **kwargs)


def _associate_vpc_cidr(original: Any, backend: Any, vpc_id: str, cidr_block: str, ipv6: bool) -> Any:
    if ipv6 or not cidr_block:
        return original(backend, vpc_id, cidr_block, ipv6)
    network = _network(cidr_block)
    if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
        refuse("InvalidVpc.Range", f"The CIDR '{cidr_block}' is invalid.")
    for association in backend.get_vpc(vpc_id).get_cidr_block_association_set():
        if network.overlaps(ipaddress.IPv4Network(association["cidr_block"])):
            refuse(
                "CidrConflict", f"The CIDR '{cidr_block}' conflicts with CIDR '{association['cidr_block']}' of {vpc_id}"
            )
    return original(backend, vpc_id, str(network), ipv6)


def _create_default_vpc(original: Any, backend: Any) -> Any:
    vpc = original(backend)
    gateway = backend.create_internet_gateway()
    backend.attach_internet_gateway(gateway.id, vpc.id)
    main = next(table for table in backend.route_tables.values() if table.vpc_id == vpc.id)
    backend.create_route(main.id, "0.0.0.0/0", gateway_id=gateway.id)
    return vpc


def _delete_vpc(original: Any, responses: Any) -> Any:
    backend, vpc_id = responses.ec2_backend, responses._get_param("VpcId")
    backend.get_vpc(vpc_id)
    users = [gateway.id for gateway in backend.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc_id]
    users += [group.id for group in backend.groups[vpc_id].values() if not group.is_default]
    users += [endpoint.id for endpoint in backend.vpc_end_points.values() if endpoint.vpc_id == vpc_id]
    users += [eni.id for eni in backend.enis.values() if eni.vpc_id == vpc_id]
    if users:
        refuse("DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    return original(responses)


def _create_subnet(original: Any, backend: Any, vpc_id: str, cidr_block: str, *args: Any, **kwargs: Any) -> Any:
    zones = backend.zones.get(backend.region_name, [])
    zone = kwargs.get("availability_zone") or (args[1] if len(args) > 1 else None)
    if zone and zone not in {known.name for known in zones}:
        names = ", ".join(known.name for known in zones)
        refuse(
            "InvalidParameterValue",
            f"Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
            f"following availability zones: {names}.",
        )
    if cidr_block:
        network = _network(cidr_block)
        if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
            refuse("InvalidSubnet.Range", f"The CIDR '{cidr_block}' is invalid.")
        cidr_block = str(network)
    subnet = original(backend, vpc_id, cidr_block, *args, **kwargs)
    if not backend.get_vpc(vpc_id).is_default:
        # moto takes the first subnet of a zone for a default one and gives public addresses in it.
        subnet.default_for_az = False
        subnet.map_public_ip_on_launch = False
    return subnet


def _load_balancers(backend: Any) -> list[Any]:
    from moto.elbv2.models import elbv2_backends

    return list(elbv2_backends[backend.account_id][backend.region_name].load_balancers.values())


def _delete_subnet(original: Any, responses: Any) -> Any:
    backend, subnet_id = responses.ec2_backend, responses._get_param("SubnetId")
    backend.get_subnet(subnet_id)
    users = [eni.id for eni in backend.enis.values() if eni.subnet.id == subnet_id]
    users += [lb.arn for lb in _load_balancers(backend) if subnet_id in {subnet.id for subnet in lb.subnets}]
    users += [
        gateway.id
        for gateway in backend.nat_gateways.values()
        if gateway.subnet_id == subnet_id and gateway.state != "deleted"
    ]
    if users:
        refuse("DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    for table in backend.route_tables.values():
        # AWS ends a deleted subnet's association with its route table.
        table._associations = {key: target for key, target in table._associations.items() if target != subnet_id}
    return original(responses)


def _attach_internet_gateway(original: Any, responses: Any) -> Any:
    backend, vpc_id = responses.ec2_backend, responses._get_param("VpcId")
    backend.get_internet_gateway(responses._get_param("InternetGatewayId"))
    backend.get_vpc(vpc_id)
    if any(gateway.vpc and gateway.vpc.id == vpc_id for gateway in backend.internet_gateways.values()):
        refuse("Resource.AlreadyAssociated", f"Network {vpc_id} already has an internet gateway attached")
    return original(responses)


# --- security groups ------------------------------------------------------------------------------------------


def _database_groups(backend: Any) -> set[str]:
    from moto.rds.models import rds_backends

    databases = rds_backends[backend.account_id][backend.region_name].databases.values()
    return {group for database in databases for group in database.vpc_security_group_ids or []}


def _group_users(backend: Any, group: Any) -> list[str]:
    """What keeps a security group from being deleted: interfaces, balancers, endpoints, databases, others' rules."""
    users = [eni.id for eni in backend.enis.values() if group.id in {member.id for member in eni.group_set}]
    users += [lb.arn for lb in _load_balancers(backend) if group.id in (lb.security_groups or [])]
    users += [e.id for e in backend.vpc_end_points.values() if group.id in (e.security_group_ids or [])]
    users += ["a database"] if group.id in _database_groups(backend) else []
    others = [other for groups in backend.groups.values() for other in groups.values() if other.id != group.id]
    users += [
        other.id
        for other in others
        for rule in [*other.ingress_rules, *other.egress_rules]
        if rule.source_group and rule.source_group.get("GroupId") == group.id
    ]
    return users


def _delete_security_group(original: Any, responses: Any) -> Any:
    backend = responses.ec2_backend
    group = backend.get_security_group_by_name_or_id(
        responses._get_param("GroupId") or responses._get_param("GroupName") or ""
    )
    if group and group.is_default:
        refuse("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    if group and _group_users(backend, group):
        refuse("DependencyViolation", f"resource {group.id} has a dependent object")
    return original(responses)


def _create_security_group(original: Any, responses: Any) -> Any:
    if responses._get_param("VpcId"):
        responses.ec2_backend.get_vpc(responses._get_param("VpcId"))
    name = responses._get_param("GroupName") or ""
    # EC2 API Reference, CreateSecurityGroup: length, and names that mean ids.
    if not 1 <= len(name) <= 255 or name.startswith("sg-"):
        refuse("InvalidParameterValue", f"Value ({name}) for parameter GroupName is invalid.")
    return original(responses)


def _block(cidr: str, kind: type[ipaddress.IPv4Network] | type[ipaddress.IPv6Network]) -> str:
    """The block as AWS keeps it in a rule, with its host bits cleared."""
    if not _is_block(cidr, kind):
        refuse("InvalidParameterValue", f"CIDR block {cidr} is malformed")
    return str(kind(cidr, strict=False))


def _canonicalize(responses: Any) -> None:
    """Clear the host bits of every block that a request about rules names (EC2 API Reference, IpRange, Ipv6Range)."""
    permissions = responses._get_param("IpPermissions", [])
    ranges = [each for permission in permissions for kind in RANGES for each in permission.get(kind, [])]
    changed = [each.get("SecurityGroupRule", {}) for each in responses._get_param("SecurityGroupRules", [])]
    for holder in [responses.params, *ranges, *changed]:
        for key, kind in CIDRS.items():
            if holder.get(key):
                holder[key] = _block(holder[key], kind)


def _about_rules(original: Any, responses: Any) -> Any:
    _canonicalize(responses)
    return original(responses)


def _authorize_ingress(original: Any, responses: Any) -> Any:
    return _authorize(original, responses, "ingress_rules")


def _authorize_egress(original: Any, responses: Any) -> Any:
    return _authorize(original, responses, "egress_rules")


def _weight(backend: Any, prefix_list_id: str) -> int:
    found = backend.managed_prefix_lists.get(prefix_list_id)
    if found is None:
        return 1
    if found.owner_id != "AWS":
        return int(found.max_entries)
    name = str(found.prefix_list_name)
    return next((weight for end, weight in LIST_WEIGHTS.items() if name.endswith(f".{end}")), 1)


def _check_number(responses: Any, direction: str) -> None:
    """Refuse more rules than a security group may have; moto leaves prefix lists out of its count."""
    backend = responses.ec2_backend
    group = backend.get_security_group_by_name_or_id(
        responses._get_param("GroupId") or responses._get_param("GroupName") or ""
    )
    if group is None:
        return
    number = sum(
        _weight(backend, rule.prefix_list_id) if rule.prefix_list_id else 1 for rule in getattr(group, direction)
    )
    for permission in responses._get_param("IpPermissions", []):
        number += sum(len(permission.get(kind, [])) for kind in (*RANGES, "UserIdGroupPairs"))
        number += sum(_weight(backend, each["PrefixListId"]) for each in permission.get("PrefixListIds", []))
    if number > GROUP_RULES_MAX:
        refuse("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")


def _authorize(original: Any, responses: Any, direction: str) -> Any:
    _canonicalize(responses)
    backend = responses.ec2_backend
    for permission in responses._get_param("IpPermissions", []):
        for entry in permission.get("PrefixListIds", []):
            if entry.get("PrefixListId") not in backend.managed_prefix_lists:
                refuse("InvalidPrefixListID.NotFound", f"The prefix list ID '{entry['PrefixListId']}' does not exist")
        for pair in permission.get("UserIdGroupPairs", []):
            if pair.get("GroupId") and backend.get_security_group_from_id(pair["GroupId"]) is None:
                refuse("InvalidGroup.NotFound", f"The security group '{pair['GroupId']}' does not exist")
        _check_ports(permission)
    _check_number(responses, direction)
    return original(responses)


def _check_ports(permission: dict[str, Any]) -> None:
    protocol = str(permission.get("IpProtocol", "")).lower()
    if protocol not in ("tcp", "udp", "6", "17"):
        return
    low, high = permission.get("FromPort"), permission.get("ToPort")
    if low is None or high is None:
        refuse(
            "InvalidParameterValue", "Invalid value for portRange. Must specify both from and to ports with TCP/UDP."
        )
    if not (0 <= int(low) <= 65535 and 0 <= int(high) <= 65535):
        refuse("InvalidParameterValue", f"Invalid value '{low}-{high}' for portRange: ports are 0 to 65535.")
    if int(low) > int(high):
        refuse("InvalidParameterValue", f"Invalid TCP/UDP port range ({low}:{high})")


# --- routes ---------------------------------------------------------------------------------------------------

TARGETS = {
    "GatewayId": "gatewayId",
    "InstanceId": "instanceId",
    "NatGatewayId": "natGatewayId",
    "EgressOnlyInternetGatewayId": "egressOnlyInternetGatewayId",
    "TransitGatewayId": "transitGatewayId",
    "NetworkInterfaceId": "networkInterfaceId",
    "VpcPeeringConnectionId": "vpcPeeringConnectionId",
    "CarrierGatewayId": "carrierGatewayId",
    "VpcEndpointId": "vpcEndpointId",
}


def _check_target(responses: Any, table: Any) -> None:
    backend = responses.ec2_backend
    named = {key: value for key in TARGETS if (value := responses._get_param(key))}
    if len(named) != 1:
        refuse(
            "MissingParameter" if not named else "InvalidParameterCombination",
            f"The request must contain exactly one of {', '.join(TARGETS.values())}",
        )
    gateway = named.get("GatewayId", "")
    if gateway.startswith("igw-"):
        if gateway not in backend.internet_gateways:
            refuse("InvalidGatewayID.NotFound", f"The gateway ID '{gateway}' does not exist")
        attached = backend.internet_gateways[gateway].vpc
        if attached is None or attached.id != table.vpc_id:
            refuse(
                "InvalidParameterValue",
                f"route table {table.id} and network gateway {gateway} belong to different networks",
            )
    elif gateway and not gateway.startswith("vgw-"):
        refuse("InvalidGatewayID.NotFound", f"The gateway ID '{gateway}' does not exist")
    nat = named.get("NatGatewayId")
    if nat and (nat not in backend.nat_gateways or backend.nat_gateways[nat].state == "deleted"):
        refuse("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat}' does not exist")
    peering = named.get("VpcPeeringConnectionId")
    if peering:
        # VPC Peering Guide, "Update your route tables": one that is pending may have a route already.
        found = backend.vpc_pcxs.get(peering)
        if found is None or found._status.code not in ("pending-acceptance", "active"):
            refuse("InvalidVpcPeeringConnectionID.NotFound", f"The vpcPeeringConnection ID '{peering}' does not exist")
        if table.vpc_id not in (found.vpc.id, found.peer_vpc.id):
            refuse("InvalidParameterValue", f"route table {table.id} and {peering} belong to different networks")
    transit = named.get("TransitGatewayId")
    if transit and transit not in backend.transit_gateways:
        refuse("InvalidTransitGatewayID.NotFound", f"Transit Gateway {transit} was deleted or does not exist.")


def _check_destination(responses: Any, table: Any) -> None:
    cidr = responses._get_param("DestinationCidrBlock")
    if cidr:
        destination = _network(cidr, "destinationCidrBlock")
        responses.params["DestinationCidrBlock"] = str(destination)
        for route in table.routes:
            if not route.destination_cidr_block:
                continue
            existing = ipaddress.IPv4Network(route.destination_cidr_block)
            if destination == existing:
                refuse("RouteAlreadyExists", f"The route identified by {destination} already exists.")
            if route.local and destination.subnet_of(existing) and not _at_interface(responses):
                refuse(
                    "InvalidParameterValue",
                    f"The destination CIDR block {destination} is equal to or more specific than one of this VPC's "
                    "CIDR blocks. This route can target only an interface or an instance.",
                )
    prefix_list = responses._get_param("DestinationPrefixListId")
    if prefix_list:
        if prefix_list not in responses.ec2_backend.managed_prefix_lists:
            refuse("InvalidPrefixListID.NotFound", f"The prefix list ID '{prefix_list}' does not exist")
        if any(route.destination_prefix_list_id == prefix_list for route in table.routes):
            refuse("RouteAlreadyExists", f"The route identified by {prefix_list} already exists.")


def _at_interface(responses: Any) -> bool:
    return bool(responses._get_param("NetworkInterfaceId") or responses._get_param("InstanceId"))


def _create_route(original: Any, responses: Any) -> Any:
    table = responses.ec2_backend.get_route_table(responses._get_param("RouteTableId"))
    _check_destination(responses, table)
    _check_target(responses, table)
    return original(responses)


def _replace_route(original: Any, responses: Any) -> Any:
    table = responses.ec2_backend.get_route_table(responses._get_param("RouteTableId"))
    responses.params["DestinationCidrBlock"] = _canonical(responses._get_param("DestinationCidrBlock"))
    _check_target(responses, table)
    return original(responses)


def _delete_route(original: Any, responses: Any) -> Any:
    responses.params["DestinationCidrBlock"] = _canonical(responses._get_param("DestinationCidrBlock"))
    return original(responses)


def _associate_route_table(
    original: Any, backend: Any, table_id: str, gateway: Any = None, subnet_id: Any = None
) -> Any:
    backend.get_route_table(table_id)
    if subnet_id:
        subnet = backend.get_subnet(subnet_id)
        if subnet.vpc_id != backend.get_route_table(table_id).vpc_id:
            refuse(
                "InvalidParameterValue", f"Route table {table_id} and subnet {subnet_id} belong to different networks"
            )
        for other in backend.route_tables.values():
            if other.id != table_id and subnet_id in other._associations.values():
                refuse(
                    "Resource.AlreadyAssociated",
                    f"the specified association for route table {table_id} conflicts with an existing association",
                )
    return original(backend, table_id, gateway, subnet_id)


def _delete_route_table(original: Any, responses: Any) -> Any:
    table = responses.ec2_backend.get_route_table(responses._get_param("RouteTableId"))
    if table.main_association_id:
        refuse("DependencyViolation", f"The routeTable '{table.id}' has dependencies and cannot be deleted.")
    return original(responses)


# --- endpoints and prefix lists -------------------------------------------------------------------------------


def _create_default_lists(original: Any, backend: Any) -> None:
    original(backend)
    for suffix, (family, blocks) in HEALTH_CHECKER_LISTS.items():
        backend._create_aws_managed_prefix_list(
            name=f"com.amazonaws.{backend.region_name}.{suffix}",
            address_family=family,
            entries=[{"Cidr": block, "Description": "default"} for block in blocks],
        )


def _check_policy(document: str | None) -> None:
    if not document:
        return
    try:
        policy = json.loads(document)
    except ValueError:
        refuse("InvalidPolicyDocument", "The policy document isn't valid JSON.")
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements or set(policy) - POLICY_ROOT_KEYS:
        refuse(
            "InvalidPolicyDocument", "The policy document must hold a Statement, and nothing but Version and Id beside."
        )
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            refuse("InvalidPolicyDocument", "Each statement of a policy must have the Effect Allow or Deny.")
        for wanted in (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")):
            if not any(key in statement for key in wanted):
                refuse("InvalidPolicyDocument", f"A statement of the policy has no {wanted[0]}.")


def _check_endpoint_service(backend: Any, service: str, kind: str) -> None:
    prefix = f"com.amazonaws.{backend.region_name}."
    known = GATEWAY_SERVICES if kind == "Gateway" else (*AWS_ENDPOINT_SERVICES, *COVERED_ENDPOINT_SERVICES)
    if not service.startswith(prefix) or service.removeprefix(prefix) not in known:
        refuse("InvalidServiceName", f"The Vpc Endpoint Service '{service}' does not exist")


def _check_endpoint_tables(backend: Any, vpc_id: str, table_ids: list[str], service: str) -> None:
    list_name = service
    for table_id in table_ids:
        table = backend.get_route_table(table_id)
        if table.vpc_id != vpc_id:
            refuse("InvalidParameter", f"Route table {table_id} and VPC {vpc_id} belong to different networks")
        for route in table.routes:
            known = route.destination_prefix_list
            if known and known.prefix_list_name == list_name:
                refuse(
                    "RouteAlreadyExists",
                    f"route table {table_id} already has a route with destination-prefix-list-id {known.id}",
                )


def _create_endpoint(original: Any, responses: Any) -> Any:
    backend, kind = responses.ec2_backend, responses._get_param("VpcEndpointType") or "Gateway"
    if kind not in ("Gateway", "Interface"):
        unsupported(f"VPC endpoints of type {kind}")
    vpc_id, service = responses._get_param("VpcId"), responses._get_param("ServiceName")
    backend.get_vpc(vpc_id)
    _check_endpoint_service(backend, service, kind)
    _check_policy(responses._get_param("PolicyDocument"))
    tables = responses._get_param("RouteTableIds", [])
    if kind == "Interface" and tables:
        refuse("InvalidParameter", "Endpoint type (Interface) does not support route tables")
    if kind == "Gateway":
        for foreign in ("SubnetIds", "SecurityGroupIds"):
            if responses._get_param(foreign):
                refuse("InvalidParameter", f"Endpoint type (Gateway) does not support {foreign}")
        _check_endpoint_tables(backend, vpc_id, tables, service)
        # The default applies to interface endpoints only.
        responses.params["PrivateDnsEnabled"] = False
    responses.params["VpcEndpointType"] = kind
    return original(responses)


def _modify_endpoint(original: Any, responses: Any) -> Any:
    backend = responses.ec2_backend
    endpoint = backend.describe_vpc_endpoints([responses._get_param("VpcEndpointId")])[0]
    policy = responses._get_param("PolicyDocument")
    _check_policy(policy)
    added, removed = responses._get_param("AddRouteTableIds", []), responses._get_param("RemoveRouteTableIds", [])
    for table_id in removed:
        backend.get_route_table(table_id)
    new = [table_id for table_id in added if table_id not in endpoint.route_table_ids]
    _check_endpoint_tables(backend, endpoint.vpc_id, new, endpoint.service_name)
    gone = [table_id for table_id in removed if table_id in endpoint.route_table_ids]
    if responses._get_bool_param("ResetPolicy", False):
        endpoint.policy_document = json.dumps(VPCEndPoint.DEFAULT_POLICY)
    result = original(responses)
    if endpoint.destination_prefix_list_id:
        # moto changes the list of tables and leaves their routes as they were.
        for table_id in new:
            backend.create_route(
                table_id,
                None,
                gateway_id=endpoint.id,
                destination_prefix_list_id=endpoint.destination_prefix_list_id,
            )
        for table_id in gone:
            backend.delete_route(table_id, endpoint.destination_prefix_list_id)
    return result


def _delete_endpoints(_original: Any, responses: Any) -> ActionResult:
    backend, failed = responses.ec2_backend, []
    for identifier in responses._get_param("VpcEndpointIds", []):
        endpoint = backend.vpc_end_points.pop(identifier, None)
        if endpoint is None:
            message = f"The Vpc Endpoint Id '{identifier}' does not exist"
            failed.append(
                {"ResourceId": identifier, "Error": {"Code": "InvalidVpcEndpoint.NotFound", "Message": message}}
            )
            continue
        for eni_id in endpoint.network_interface_ids:
            backend.enis.pop(eni_id, None)
        for table in backend.route_tables.values():
            table._routes = {key: route for key, route in table._routes.items() if route.gateway_id != identifier}
    return ActionResult({"Unsuccessful": failed})


def _apply_missing() -> None:
    wrap(VPCBackend, "describe_vpcs", _describe_vpcs)
    wrap(SubnetBackend, "describe_subnets", _describe_subnets)
    wrap(SecurityGroupBackend, "describe_security_groups", _describe_groups)
    wrap(ManagedPrefixListBackend, "describe_managed_prefix_lists", _describe_prefix_lists)
    wrap(ManagedPrefixListBackend, "get_managed_prefix_list_entries", _prefix_list_entries)
    wrap(VPCPeeringConnectionBackend, "describe_vpc_peering_connections", _describe_peerings)
    wrap(NetworkAclBackend, "describe_network_acls", _describe_network_acls)
    wrap(NatGatewayBackend, "describe_nat_gateways", _describe_nat_gateways)
    wrap(NatGatewayBackend, "delete_nat_gateway", _delete_nat_gateway)
    wrap(NatGateways, "create_nat_gateway", _create_nat_gateway)


def _apply_tags() -> None:
    wrap(EC2Backend, "do_resources_exist", _check_tagged)
    wrap(TagResponse, "create_tags", _create_tags)


def _apply_regions() -> None:
    wrap(AvailabilityZonesAndRegions, "describe_regions", _describe_regions)
    wrap(AvailabilityZonesAndRegions, "describe_availability_zones", _describe_zones)


def _apply_vpcs() -> None:
    wrap(VPCBackend, "create_vpc", _create_vpc)
    wrap(VPCBackend, "associate_vpc_cidr_block", _associate_vpc_cidr)
    wrap(VPCs, "delete_vpc", _delete_vpc)
    wrap(InternetGateways, "attach_internet_gateway", _attach_internet_gateway)


def _apply_subnets() -> None:
    wrap(SubnetBackend, "create_subnet", _create_subnet)
    wrap(Subnets, "delete_subnet", _delete_subnet)


def _apply_groups() -> None:
    wrap(SecurityGroups, "create_security_group", _create_security_group)
    wrap(SecurityGroups, "delete_security_group", _delete_security_group)
    wrap(SecurityGroups, "authorize_security_group_ingress", _authorize_ingress)
    wrap(SecurityGroups, "authorize_security_group_egress", _authorize_egress)
    for operation in (
        "modify_security_group_rules",
        "revoke_security_group_egress",
        "revoke_security_group_ingress",
        "update_security_group_rule_descriptions_egress",
        "update_security_group_rule_descriptions_ingress",
    ):
        wrap(SecurityGroups, operation, _about_rules)


def _apply_routes() -> None:
    wrap(RouteTables, "create_route", _create_route)
    wrap(RouteTables, "replace_route", _replace_route)
    wrap(RouteTables, "delete_route", _delete_route)
    wrap(RouteTables, "delete_route_table", _delete_route_table)
    wrap(RouteBackend, "associate_route_table", _associate_route_table)


def _apply_endpoints() -> None:
    wrap(VPCs, "create_vpc_endpoint", _create_endpoint)
    wrap(VPCs, "modify_vpc_endpoint", _modify_endpoint)
    wrap(VPCs, "delete_vpc_endpoints", _delete_endpoints)


CHANGES: tuple[Change, ...] = (
    Change(
        name="ec2-filter-values",
        why=(
            "moto takes any number of values in the filters of a call. AWS takes 200, so that a fleet that is larger "
            "can't be described by its ids in one (EC2 API Reference, 'Error codes': FilterLimitExceeded)."
        ),
        apply=lambda: wrap(EC2BaseResponse, "_filters_from_querystring", _filters),
    ),
    Change(
        name="ec2-regions-and-zones",
        why=(
            "moto lists regions of all partitions, says of three opt-in regions that they need none, ignores "
            "AllRegions and filters, and gives zones no opt-in status. AWS: EC2 API Reference, DescribeRegions and "
            "DescribeAvailabilityZones; which regions are opt-in: AWS Account Management Reference Guide."
        ),
        apply=_apply_regions,
    ),
    Change(
        name="ec2-missing-ids-named",
        why=(
            "moto answers a list of ids in which one doesn't exist with a message about others, prefix lists, NAT "
            "gateways and peerings with an empty list, and fails on deleting an unknown NAT gateway. AWS names the "
            "missing ids (EC2 API Reference, 'Error codes': Invalid….NotFound)."
        ),
        apply=_apply_missing,
    ),
    Change(
        name="ec2-tags",
        why=(
            "moto tags instances, interfaces, gateways and endpoints that don't exist, with any key. AWS answers "
            "…NotFound, and keeps aws: for itself (EC2 API Reference, CreateTags; EC2 User Guide, 'Tag "
            "restrictions')."
        ),
        apply=_apply_tags,
    ),
    Change(
        name="ec2-default-vpc-internet-gateway",
        why=(
            "moto's default VPC has no internet gateway, so that nothing in it can face the internet. AWS's has one, "
            "with a route in the main table (VPC User Guide, 'Default VPC components')."
        ),
        apply=lambda: wrap(VPCBackend, "create_default_vpc", _create_default_vpc),
    ),
    Change(
        name="ec2-vpc-rules",
        why=(
            "moto keeps host bits in a VPC's CIDR block, takes overlapping further blocks, two internet gateways, and "
            "deletes a VPC with gateways, groups or endpoints. AWS: EC2 API Reference, CreateVpc (canonical form), "
            "AssociateVpcCidrBlock, AttachInternetGateway, DeleteVpc."
        ),
        apply=_apply_vpcs,
    ),
    Change(
        name="ec2-subnet-rules",
        why=(
            "moto takes zones of other regions, subnets smaller than /28, gives public addresses in the first subnet "
            "of a zone, and deletes a subnet with interfaces in it. AWS: EC2 API Reference, CreateSubnet, "
            "DeleteSubnet (DependencyViolation); VPC User Guide, 'Subnet sizing'."
        ),
        apply=_apply_subnets,
    ),
    Change(
        name="ec2-security-group-rules",
        why=(
            "moto deletes security groups that are in use and the default one, takes rules with unknown prefix lists "
            "or groups and reversed ports, keeps host bits in their CIDR blocks, and counts no rules about prefix "
            "lists. AWS: EC2 API Reference, DeleteSecurityGroup (DependencyViolation), AuthorizeSecurityGroupIngress, "
            "IpRange (canonical form); VPC User Guide, 'AWS-managed prefix list weight'."
        ),
        apply=_apply_groups,
    ),
    Change(
        name="ec2-routes",
        why=(
            "moto makes routes without a target or to one that doesn't exist, twice to one destination, and gives a "
            "subnet's old association for a new one. AWS: EC2 API Reference, CreateRoute, AssociateRouteTable, "
            "'Error codes' (RouteAlreadyExists, Resource.AlreadyAssociated)."
        ),
        apply=_apply_routes,
    ),
    Change(
        name="ec2-managed-prefix-lists",
        why=(
            "moto has no prefix lists of the Route 53 health checkers. AWS has one for each address family (VPC User "
            "Guide, 'Available AWS-managed prefix lists'); a load balancer's security group opens for them."
        ),
        apply=lambda: wrap(ManagedPrefixListBackend, "create_default_pls", _create_default_lists),
    ),
    Change(
        name="ec2-vpc-endpoints",
        why=(
            "moto takes any service name, policy and route table, leaves routes behind when an endpoint's tables "
            "change, and shows deleted endpoints for ever. AWS: EC2 API Reference, CreateVpcEndpoint, "
            "ModifyVpcEndpoint, 'Error codes' (InvalidServiceName, InvalidPolicyDocument)."
        ),
        apply=_apply_endpoints,
    ),
)
