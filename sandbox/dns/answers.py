"""From a question to an answer: zones, wildcards, aliases, chains of CNAMEs, and what is said of what isn't there.

Route 53 Developer Guide, "Choosing between alias and non-alias records", "Using an asterisk in the names of hosted
zones and records", "Evaluate target health"; RFC 1034 section 4.3.2, RFC 2308, RFC 4592, RFC 6604, RFC 8482.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dnslib import CLASS, QTYPE, RCODE, RR, SOA, A, DNSLabel

from sandbox.api.route53_names import Labels
from sandbox.dns.choice import check_is_healthy, choose
from sandbox.dns.rdata import UnsupportedTypeError
from sandbox.dns.zones import Record, Zone, Zones, balancers_zone, is_balancers

ELB_TTL: Final = 60
"""Seconds. Of balancers' names, and so of aliases to them (Developer Guide, "TTL (seconds)")."""

# Longest chain of CNAMEs, or of aliases, that is followed.
_CHAIN_MAX: Final = 16
# What Elastic Load Balancing's zones have: serial, refresh, retry, expire, minimum.
_ELB_SOA: Final = (1, 7200, 900, 1209600, 60)
_ELB_MAILBOX: Final = DNSLabel("awsdns-hostmaster.amazon.com")


class NotAnswerableError(Exception):
    """The sandbox can't answer this as Route 53 does; the text names the record."""


@dataclass
class Answer:
    """What goes back: response code, the records of each section, and whether we are the authority."""

    rcode: int = RCODE.NOERROR
    answers: list[RR] = field(default_factory=list)
    authority: list[RR] = field(default_factory=list)
    additional: list[RR] = field(default_factory=list)
    authoritative: bool = True


class Answerer:
    """Answers from `zones`, which may be replaced at any time, by any thread."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self.zones = Zones()
        self._chance = chance or random.Random()

    def answer(self, asked: Labels, type_: int) -> Answer:
        """The answer to one question; records of the name that was asked for keep its spelling.

        Raises NotAnswerableError.
        """
        lookup = _Lookup(self.zones, self._chance)
        try:
            return lookup.answer(asked, QTYPE.forward.get(type_, ""))
        except (UnsupportedTypeError, ValueError) as error:
            raise NotAnswerableError(f"the sandbox can't answer {DNSLabel(asked)}: {error}") from error


class _Lookup:
    """One question, answered from one snapshot."""

    def __init__(self, zones: Zones, chance: random.Random) -> None:
        self._zones = zones
        self._chance = chance

    def answer(self, asked: Labels, type_: str) -> Answer:
        name = tuple(label.lower() for label in asked)
        zone = self._zones.zone_of(name)
        if zone is not None:
            return self._from_zone(zone, asked, name, type_)
        if is_balancers(name):
            return self._from_balancers(asked, name, type_)
        return Answer(rcode=RCODE.REFUSED, authoritative=False)

    def _from_balancers(self, asked: Labels, name: Labels, type_: str) -> Answer:
        balancer = self._zones.balancer_at(name)
        if balancer is not None and type_ in ("A", "ANY"):
            return Answer(answers=[_rr(DNSLabel(asked), "A", A(balancer.address), ELB_TTL)])
        zone = DNSLabel(balancers_zone(name))
        soa = _rr(zone, "SOA", SOA(zone, _ELB_MAILBOX, _ELB_SOA), ELB_TTL)
        return Answer(rcode=RCODE.NXDOMAIN if balancer is None else RCODE.NOERROR, authority=[soa])

    def _from_zone(self, zone: Zone, asked: Labels, name: Labels, type_: str) -> Answer:
        """Records of the name and, through CNAMEs, of the names of this zone that they lead to."""
        answer, label, seen = Answer(), DNSLabel(asked), {name}
        for _ in range(_CHAIN_MAX):
            delegated = zone.delegation_of(name)
            if delegated:
                return _referral(zone, delegated, answer)
            owner = zone.owner_of(name)
            if owner is None:
                # Of the last name of a chain, as RFC 6604 section 3 has it.
                answer.rcode = RCODE.NXDOMAIN
                break
            found, chain = self._found(zone, owner, label, type_)
            if not found:
                break
            answer.answers += found
            if not chain:
                return answer
            label = found[0].rdata.label
            name = tuple(part.lower() for part in label.label)
            if self._zones.zone_of(name) is not zone or name in seen:
                # Whoever asks goes on from there; a loop ends where it begins again.
                return answer
            seen.add(name)
        answer.authority += _soa(zone)
        return answer

    def _found(self, zone: Zone, owner: Labels, label: DNSLabel, type_: str) -> tuple[list[RR], bool]:
        """The records of `owner`, named `label`, and whether they are a CNAME on the way to what was asked for."""
        types = zone.records[owner]
        if type_ == "ANY":
            # One set of records, of any type, is an answer (RFC 8482 section 4.1).
            type_ = next(iter(types), "")
        if type_ in types:
            return self._rrs(zone, types[type_], label), False
        return (self._rrs(zone, types["CNAME"], label), True) if "CNAME" in types else ([], False)

    def _rrs(self, zone: Zone, records: Sequence[Record], label: DNSLabel) -> list[RR]:
        """One of `records`, or what it is an alias of, named `label`."""
        for _ in range(_CHAIN_MAX):
            record = self._chosen(zone, records)
            if record.alias is None:
                return [_rr(label, record.type, data, record.ttl or 0) for data in record.data]
            if is_balancers(record.alias):
                balancer = self._zones.balancer_at(record.alias)
                known = balancer is not None and record.type == "A"
                return [_rr(label, "A", A(balancer.address), ELB_TTL)] if balancer is not None and known else []
            records = _targets(zone, record)
            if not records:
                return []
        raise NotAnswerableError(f"the alias {records[0]} leads back to itself")

    def _chosen(self, zone: Zone, records: Sequence[Record]) -> Record:
        other = next((record for record in records if record.policy not in ("simple", "weighted")), None)
        if other is not None:
            raise NotAnswerableError(
                f"{other} has the routing policy {other.policy}, which the sandbox doesn't have: it has simple and "
                "weighted"
            )
        return choose(records, lambda record: self._is_healthy(zone, record), self._chance)

    def _is_healthy(self, zone: Zone, record: Record, depth: int = 0) -> bool:
        zones = self._zones
        if record.check is not None and not check_is_healthy(record.check, zones.checks, zones.health):
            return False
        if record.alias is None or not record.evaluates_target:
            return True
        if is_balancers(record.alias):
            balancer = self._zones.balancer_at(record.alias)
            return balancer is not None and balancer.healthy
        if depth == _CHAIN_MAX:
            raise NotAnswerableError(f"the alias {record} leads back to itself")
        return any(self._is_healthy(zone, target, depth + 1) for target in _targets(zone, record))


def _targets(zone: Zone, record: Record) -> Sequence[Record]:
    """What an alias to records of its zone stands for. Raises NotAnswerableError if it leads out of the zone."""
    assert record.alias is not None
    if record.alias[-len(zone.name) :] != zone.name:
        raise NotAnswerableError(
            f"{record} is an alias of {DNSLabel(record.alias)}, and the sandbox has nothing of that kind: an alias "
            "leads to an application load balancer or to a record of its zone"
        )
    return zone.find(record.alias, record.type)


def _rr(label: DNSLabel, type_: str, data: object, ttl: int) -> RR:
    return RR(label, QTYPE.reverse[type_], CLASS.IN, ttl, data)


def _referral(zone: Zone, delegated: Sequence[Record], answer: Answer) -> Answer:
    """To the name servers of a part of the zone, with the addresses that the zone has of them."""
    record = delegated[0]
    servers = [_rr(DNSLabel(record.name), "NS", data, record.ttl or 0) for data in record.data]
    for server in servers:
        name = tuple(label.lower() for label in server.rdata.label.label)
        for glue in zone.find(name, "A"):
            answer.additional += [_rr(DNSLabel(name), "A", data, glue.ttl or 0) for data in glue.data]
    answer.authority = servers
    answer.authoritative = bool(answer.answers)
    return answer


def _soa(zone: Zone) -> list[RR]:
    """With the TTL for which a negative answer holds (RFC 2308 section 5)."""
    for record in zone.find(zone.name, "SOA"):
        data = record.data[0]
        return [_rr(DNSLabel(zone.name), "SOA", data, min(record.ttl or 0, int(data.times[4])))]
    return []
