"""From a question to an answer: zones, wildcards, aliases, chains of CNAMEs, and what is said of what isn't there.

Route 53 Developer Guide, "Choosing between alias and non-alias records", "DNS domain name format"; RFC 1034, RFC 2308,
RFC 4592, RFC 8482.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dnslib import AAAA, CAA, CNAME, MX, NS, PTR, QTYPE, RCODE, RR, SOA, SRV, TXT, A, DNSLabel

from sandbox.dns.choice import check_is_healthy, choose
from sandbox.dns.zones import ELB_SUFFIX, Record, Zone, Zones

# What Elastic Load Balancing's names have; aliases to them have no TTL of their own.
ELB_TTL: Final = 60
CHAIN_MAX: Final = 16
_NEGATIVE_TTL: Final = 86_400


class NotAnswerableError(Exception):
    """The sandbox can't answer this as Route 53 does."""


@dataclass
class Answer:
    """What goes back: response code, answer and authority records, and whether we are the authority."""

    rcode: int = RCODE.NOERROR
    answers: list[RR] = field(default_factory=list)
    authority: list[RR] = field(default_factory=list)
    authoritative: bool = True


class Answerer:
    """Answers from `zones`, which may be replaced at any time; `statuses` has the endpoints that are known."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self.zones = Zones()
        self.statuses: Mapping[str, bool] = {}
        self._chance = chance or random.Random()

    def answer(self, name: str, type_: str) -> Answer:
        """The answer to one question; `name` in lower case with a dot at the end."""
        zones = self.zones
        if name.endswith(ELB_SUFFIX):
            return self._balancer(zones, name, type_)
        zone = zones.zone_of(name)
        if zone is None:
            return Answer(rcode=RCODE.REFUSED, authoritative=False)
        answer = Answer()
        self._follow(zones, zone, name, type_, answer)
        if not answer.answers:
            answer.authority = _soa(zone)
        return answer

    def _balancer(self, zones: Zones, name: str, type_: str) -> Answer:
        found = zones.balancers.get(name.rstrip("."))
        if found is None:
            return Answer(rcode=RCODE.NXDOMAIN)
        answers = [RR(name, QTYPE.A, rdata=A(found["address"]), ttl=ELB_TTL)] if type_ in ("A", "ANY") else []
        return Answer(answers=answers)

    def _follow(self, zones: Zones, zone: Zone, name: str, type_: str, answer: Answer) -> None:
        """Records of the name, and, through CNAMEs, of the names that they lead to inside our zones."""
        for _ in range(CHAIN_MAX):
            owner = _owner(zone, name)
            if owner is None:
                if not answer.answers:
                    answer.rcode = RCODE.NXDOMAIN
                return
            records = zone.records.get((owner, type_), ())
            if type_ == "ANY":
                records = next((each for (each_name, _), each in zone.records.items() if each_name == owner), ())
            if records:
                answer.answers += self._rrs(zones, name, self._chosen(zones, records))
                return
            aliases = zone.records.get((owner, "CNAME"), ())
            if not aliases:
                return
            chosen = self._chosen(zones, aliases)
            found = self._rrs(zones, name, chosen)
            answer.answers += found
            if not found:
                return
            name = str(found[0].rdata).lower()
            following = zones.zone_of(name)
            if following is None:
                if name.endswith(ELB_SUFFIX):
                    return
                return
            zone = following

    def _chosen(self, zones: Zones, records: Any) -> Record:
        policies = {record.policy for record in records}
        if other := policies - {"simple", "weighted"}:
            raise NotAnswerableError(
                f"{records[0].name} {records[0].type} is chosen by {other.pop()}, which the sandbox doesn't do"
            )
        return choose(records, lambda record: self._is_healthy(zones, record), self._chance)

    def _is_healthy(self, zones: Zones, record: Record) -> bool:
        if record.check is not None and not check_is_healthy(record.check, zones.checks, self.statuses):
            return False
        if record.alias is None or not record.evaluates_target:
            return True
        if record.alias.endswith(ELB_SUFFIX):
            balancer = zones.balancers.get(record.alias.rstrip("."))
            return balancer is not None and bool(balancer["healthy"])
        zone = zones.zone_of(record.alias)
        targets = zone.records.get((record.alias, record.type), ()) if zone else ()
        return any(self._is_healthy(zones, target) for target in targets)

    def _rrs(self, zones: Zones, name: str, record: Record) -> list[RR]:
        if record.alias is None:
            return [
                RR(name, getattr(QTYPE, record.type), rdata=_rdata(record, value), ttl=record.ttl)
                for value in record.values
            ]
        if record.alias.endswith(ELB_SUFFIX):
            answer = self._balancer(zones, record.alias, record.type)
            return [RR(name, each.rtype, rdata=each.rdata, ttl=each.ttl) for each in answer.answers]
        zone = zones.zone_of(record.alias)
        if zone is None:
            raise NotAnswerableError(f"the alias {record.name} leads to {record.alias}, which isn't here")
        targets = zone.records.get((record.alias, record.type), ())
        return self._rrs(zones, name, self._chosen(zones, targets)) if targets else []


def _owner(zone: Zone, name: str) -> str | None:
    """The name whose records answer: itself if it exists, else the wildcard that covers it; None for neither."""
    if name in zone.names:
        return name
    for parent in _parents(name, zone.name):
        if f"*.{parent}" in zone.names:
            return f"*.{parent}"
        if parent in zone.names:
            # A name that exists ends the search (RFC 4592, section 2.2.1).
            return None
    return None


def _parents(name: str, top: str) -> Iterator[str]:
    while name != top:
        name = name.partition(".")[2]
        yield name


def _soa(zone: Zone) -> list[RR]:
    records = zone.records.get((zone.name, "SOA"), ())
    if not records or not records[0].values:
        return []
    record = records[0]
    rdata = _rdata(record, record.values[0])
    minimum = min(record.ttl or 0, int(rdata.times[4]))
    return [RR(zone.name, QTYPE.SOA, rdata=rdata, ttl=minimum)]


def _rdata(record: Record, value: str) -> Any:
    parts = value.split()
    if record.type == "A":
        return A(value)
    if record.type == "AAAA":
        return AAAA(value)
    if record.type == "CNAME":
        return CNAME(DNSLabel(value))
    if record.type == "NS":
        return NS(DNSLabel(value))
    if record.type == "PTR":
        return PTR(DNSLabel(value))
    if record.type == "MX":
        return MX(DNSLabel(parts[1]), int(parts[0]))
    if record.type == "SRV":
        return SRV(int(parts[0]), int(parts[1]), int(parts[2]), DNSLabel(parts[3]))
    if record.type == "CAA":
        return CAA(int(parts[0]), parts[1], parts[2].strip('"'))
    if record.type in ("TXT", "SPF"):
        return TXT([each for each in value.split('"') if each.strip()])
    if record.type == "SOA":
        return SOA(DNSLabel(parts[0]), DNSLabel(parts[1]), tuple(int(part) for part in parts[2:7]))
    raise NotAnswerableError(f"{record.name} has records of type {record.type}, which the sandbox doesn't answer")
