"""Whether a packet would arrive: security groups, route tables and gateways, as far as the sandbox's traffic goes.

VPC User Guide, "Security group rules", "Route table concepts", "Gateway endpoints for Amazon S3".
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from sandbox.balancer.ports import HEALTH_CHECKERS

S3_PORT: Final = 443
_ANYWHERE: Final = "0.0.0.0/0"
_LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")


def allows(
    rules: Iterable[Any],
    port: int,
    *,
    peer_groups: Iterable[str] = (),
    peer_address: str | None = None,
    prefix_lists: Iterable[str] = (),
) -> bool:
    """Whether one of a security group's `rules` lets TCP to `port` pass.

    The peer is known by its security groups, its address (`0.0.0.0/0` stands for anybody) or the prefix lists that it
    is in; a rule about any of them is enough.
    """
    groups, lists = set(peer_groups), set(prefix_lists)
    return any(_covers(rule, port) and _names(rule, groups, peer_address, lists) for rule in rules)


def _covers(rule: Any, port: int) -> bool:
    if rule.ip_protocol == "-1":
        return True
    return bool(rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port)


def _names(rule: Any, groups: set[str], address: str | None, lists: set[str]) -> bool:
    if rule.source_group.get("GroupId") in groups or rule.prefix_list_id in lists:
        return True
    cidr = rule.ip_range.get("CidrIp")
    if not cidr or address is None:
        return False
    peer, block = (ipaddress.IPv4Network(each, strict=False) for each in (address, cidr))
    return peer.subnet_of(block)


def s3_endpoint_of(instance: Any) -> tuple[str | None, str]:
    """The gateway endpoint that leads from `instance` to S3; or None, and why nothing does."""
    backend, subnet_id = instance.ec2_backend, instance.subnet_id
    table = _route_table(backend, subnet_id, instance.vpc_id)
    endpoints = [
        endpoint
        for endpoint in backend.vpc_end_points.values()
        if endpoint.vpc_id == instance.vpc_id
        and endpoint.service_name == f"com.amazonaws.{backend.region_name}.s3"
        and table is not None
        and table.id in (endpoint.route_table_ids or ())
    ]
    if not endpoints:
        return None, f"the route table of subnet {subnet_id} has no gateway endpoint for S3"
    lists = [each.id for each in backend.managed_prefix_lists.values() if str(each.prefix_list_name).endswith(".s3")]
    egress = [rule for group in instance.security_groups for rule in group.egress_rules]
    if not allows(egress, S3_PORT, prefix_lists=lists, peer_address=_ANYWHERE):
        groups = ", ".join(group.id for group in instance.security_groups)
        return None, f"no outbound rule of {groups} lets TCP port {S3_PORT} out to S3"
    return endpoints[0].id, ""


def balancer_admits(backend: Any, balancer: Any, port: int) -> list[str]:
    """The blocks of the sandbox's addresses whose connections reach `port` of a load balancer, by its scheme, its
    subnets' routes and its groups; none if nobody's do.

    The sandbox's clients are on the internet and have loopback addresses, and internal balancers have no clients. Route
    53's health checkers are on HEALTH_CHECKERS there, and let in by the managed prefix list of theirs or by rules that
    together hold every entry of it. A balancer with a private subnet among its own counts as unreachable: on AWS a part
    of the connections, those to the node there, time out.
    """
    if balancer.scheme != "internet-facing":
        return []
    for subnet in balancer.subnets:
        table = _route_table(backend, subnet.id, balancer.vpc_id)
        if table is None or not _leads_out(backend, table):
            return []
    rules = [rule for group in _groups(backend, balancer.security_groups) for rule in group.ingress_rules]
    if allows(rules, port, peer_address=_ANYWHERE):
        return [_ANYWHERE]
    blocks = {rule.ip_range.get("CidrIp") for rule in rules if _covers(rule, port)} - {None}
    networks = sorted(ipaddress.IPv4Network(block, strict=False) for block in blocks)
    admitted = [str(network) for network in networks if network.overlaps(_LOOPBACK)]
    return admitted + ([f"{HEALTH_CHECKERS}/32"] if _admits_checkers(backend, rules, port) else [])


def _admits_checkers(backend: Any, rules: list[Any], port: int) -> bool:
    name = f"com.amazonaws.{backend.region_name}.route53-healthchecks"
    for each in backend.managed_prefix_lists.values():
        if each.prefix_list_name == name:
            entries = [entry["Cidr"] for entries in each.entries.values() for entry in entries]
            return all(allows(rules, port, peer_address=entry, prefix_lists=[each.id]) for entry in entries)
    return False


def _leads_out(backend: Any, table: Any) -> bool:
    """Whether a route table has a way to the internet; one to a gateway that is detached is a black hole."""
    return any(
        route.destination_cidr_block == _ANYWHERE
        and (gateway := backend.internet_gateways.get(route.gateway_id)) is not None
        and gateway.vpc is not None
        for route in table.routes
    )


def balancer_reaches(backend: Any, balancer: Any, instance: Any, port: int) -> bool:
    """Whether a load balancer's requests, from each of its subnets, reach `port` of an instance."""
    own = _groups(backend, balancer.security_groups)
    out = [rule for group in own for rule in group.egress_rules]
    into = [rule for group in instance.security_groups for rule in group.ingress_rules]
    sent = allows(
        out,
        port,
        peer_groups=[group.id for group in instance.security_groups],
        peer_address=f"{instance.private_ip}/32",
    )
    subnets = [str(subnet.cidr_block) for subnet in balancer.subnets]
    peers = [group.id for group in own]
    return sent and all(allows(into, port, peer_groups=peers, peer_address=subnet) for subnet in subnets)


def _groups(backend: Any, ids: Iterable[str]) -> list[Any]:
    found = (backend.get_security_group_from_id(group_id) for group_id in ids)
    return [group for group in found if group is not None]


def _route_table(backend: Any, subnet_id: str, vpc_id: str) -> Any | None:
    """The table that is associated with a subnet, else the main one of its VPC."""
    tables = [table for table in backend.route_tables.values() if table.vpc_id == vpc_id]
    for table in tables:
        if subnet_id in table._associations.values():
            return table
    return next((table for table in tables if table.main_association_id is not None), None)
