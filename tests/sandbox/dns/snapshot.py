"""Zones as the API tells them, and questions to a name server that has them, put by dnspython."""

import random
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from sandbox.dns.answers import Answerer
from sandbox.dns.server import Responder
from sandbox.dns.zones import Zones

BALANCER = "app-1.eu-west-1.elb.amazonaws.com"
ADDRESS = "127.70.1.2"
APEX = (
    {"name": "example.com.", "type": "NS", "values": ["ns-1.awsdns-1.org.", "ns-2.awsdns-2.com."], "ttl": 172800},
    {
        "name": "example.com.",
        "type": "SOA",
        "values": ["ns-1.awsdns-1.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"],
        "ttl": 900,
    },
)
_NOTHING = {"ttl": 300, "values": [], "policy": "simple", "set": None, "weight": None, "check": None, "alias": None}


def record(name: str, type_: str, *values: str, **fields: Any) -> dict[str, Any]:
    """A record set; `fields` as the feed has them."""
    return {**_NOTHING, "name": name, "type": type_, "values": list(values), **fields}


def weighted(name: str, type_: str, value: str, weight: int, **fields: Any) -> dict[str, Any]:
    """A weighted record set, its set identifier being its value."""
    return record(name, type_, value, **{"policy": "weighted", "set": value, "weight": weight, **fields})


def alias(name: str, target: str, type_: str = "A", *, evaluates: bool = False, **fields: Any) -> dict[str, Any]:
    """An alias record set."""
    return record(name, type_, ttl=None, alias={"name": target, "evaluatesTarget": evaluates}, **fields)


def zone(*records: dict[str, Any], name: str = "example.com.", id_: str = "Z1") -> dict[str, Any]:
    """A zone with its own NS and SOA, and `records`."""
    apex = [{**_NOTHING, **each, "name": name} for each in APEX]
    return {"id": id_, "name": name, "records": [*apex, *records]}


def given(
    *zones: dict[str, Any],
    healthy: bool = True,
    checks: dict[str, Any] | None = None,
    unhealthy: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the API tells: zones, checks, those of them that find something wrong, and one balancer."""
    return {
        "version": 1,
        "zones": list(zones),
        "checks": checks or {},
        "health": {check: check not in unhealthy for check in checks or {}},
        "balancers": {BALANCER: {"address": ADDRESS, "healthy": healthy}},
    }


def answerer(
    *records: dict[str, Any],
    unhealthy: tuple[str, ...] = (),
    healthy: bool = True,
    checks: dict[str, Any] | None = None,
    seed: int = 1,
) -> Answerer:
    """One that has the zone example.com with `records`."""
    made = Answerer(random.Random(seed))
    made.zones = Zones.read(given(zone(*records), healthy=healthy, checks=checks, unhealthy=unhealthy))
    return made


def ask(of: Answerer, name: str, type_: str = "A", **options: Any) -> dns.message.QueryMessage:
    """The answer over TCP, or with `over_udp=True` as UDP would have it; other options are dnspython's."""
    over_udp = options.pop("over_udp", False)
    query = dns.message.make_query(name, type_, **options)
    packet = Responder(of).reply(query.to_wire(), over_udp=over_udp)
    assert packet is not None
    reply = dns.message.from_wire(packet)
    assert isinstance(reply, dns.message.QueryMessage)
    assert query.is_response(reply)
    return reply


def texts(section: list[Any]) -> list[str]:
    """A section's records, a line each."""
    return [line for rrset in section for line in rrset.to_text().splitlines()]


def rcode(reply: dns.message.Message) -> str:
    """The response code's name."""
    return dns.rcode.to_text(reply.rcode())
