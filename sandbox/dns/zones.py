"""The zones as the API tells them, arranged for answering: a snapshot, which the next one replaces as a whole."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

from dnslib import RD

from sandbox.api.route53_names import Labels, parse
from sandbox.dns.rdata import rdata

# Behind the region: NAME.REGION.elb.amazonaws.com.
_ELB_SUFFIX: Final = (b"elb", b"amazonaws", b"com")
_ELB_ZONE_LABELS: Final = 4
# Elastic Load Balancing User Guide, "DNS name": the same addresses, of both IP versions.
_DUALSTACK: Final = b"dualstack"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One resource record set. `ttl` (seconds) is None for an alias, `weight` unless the policy is weighted.

    `text` is the name as Route 53 writes it, for messages.
    """

    name: Labels
    text: str
    type: str
    ttl: int | None = None
    values: tuple[str, ...] = ()
    policy: str = "simple"
    set_identifier: str | None = None
    weight: int | None = None
    check: str | None = None
    alias: Labels | None = None
    evaluates_target: bool = False

    @cached_property
    def data(self) -> tuple[RD, ...]:
        """The values in DNS's form. Raises UnsupportedTypeError for a type that isn't answered."""
        return tuple(rdata(self.type, value) for value in self.values)

    def __str__(self) -> str:
        return f"{self.text} {self.type}" + (f" ({self.set_identifier})" if self.set_identifier else "")


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One hosted zone: records by name and type. A name that is only above others has an entry without types."""

    id: str
    name: Labels
    records: Mapping[Labels, Mapping[str, Sequence[Record]]]

    def find(self, name: Labels, type_: str) -> Sequence[Record]:
        """The records of exactly this name and type: one, or a group that one is chosen from."""
        return self.records.get(name, {}).get(type_, ())

    def owner_of(self, name: Labels) -> Labels | None:
        """The name whose records answer for `name`: itself, else the wildcard that covers it; None for neither.

        Only a wildcard right below the nearest name that exists covers (RFC 4592 section 3.3.1, "closest encloser").
        """
        if name in self.records:
            return name
        encloser = next(each for each in _parents(name) if each in self.records)
        wildcard = (b"*", *encloser)
        return wildcard if wildcard in self.records else None

    def delegation_of(self, name: Labels) -> Sequence[Record]:
        """The NS records that give away the part of the zone that `name` is in; empty if it is the zone's own."""
        cuts = (name[at:] for at in range(len(name) - len(self.name)))
        return next((found for cut in reversed(list(cuts)) if (found := self.find(cut, "NS"))), ())


@dataclass(frozen=True, kw_only=True)
class Balancer:
    """A load balancer's address, and whether Route 53 takes it as healthy where a record evaluates it."""

    address: str
    healthy: bool


@dataclass(frozen=True, kw_only=True)
class Zones:
    """Public zones by name, balancers by DNS name, and health checks by id: settings (HealthCheckConfig) and health.

    `health` is what was found out of those that aren't calculated, "Inverted" and "Disabled" left out of account.
    """

    zones: Mapping[Labels, Zone] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    health: Mapping[str, bool] = field(default_factory=dict)
    balancers: Mapping[Labels, Balancer] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From what the API says. Raises KeyError, TypeError or ValueError if that isn't understood."""
        zones: dict[Labels, Zone] = {}
        for each in given["zones"]:
            zone = _zone(each)
            first = zones.setdefault(zone.name, zone)
            if first is not zone:
                # On AWS each has name servers of its own, and the registrar says which are asked.
                print(f"name server: two zones {each['name']}: {first.id} answers, {zone.id} doesn't", file=sys.stderr)
        balancers = {
            parse(name): Balancer(address=str(each["address"]), healthy=bool(each["healthy"]))
            for name, each in given["balancers"].items()
        }
        health = {id_: bool(healthy) for id_, healthy in given["health"].items()}
        return cls(zones=zones, checks=dict(given["checks"]), health=health, balancers=balancers)

    def zone_of(self, name: Labels) -> Zone | None:
        """The zone that `name` is in, the innermost if several are."""
        return next((self.zones[name[at:]] for at in range(len(name)) if name[at:] in self.zones), None)

    def balancer_at(self, name: Labels) -> Balancer | None:
        """The balancer with this DNS name, with `dualstack.` in front or without."""
        return self.balancers.get(name[1:] if name[:1] == (_DUALSTACK,) else name)


def is_balancers(name: Labels) -> bool:
    """Whether a name is one of those that Elastic Load Balancing gives to application load balancers."""
    return len(name) > _ELB_ZONE_LABELS and name[-3:] == _ELB_SUFFIX


def balancers_zone(name: Labels) -> Labels:
    """The zone of a balancer's name: its region's, REGION.elb.amazonaws.com."""
    return name[-_ELB_ZONE_LABELS:]


def _parents(name: Labels) -> Iterator[Labels]:
    return (name[at:] for at in range(1, len(name)))


def _zone(given: Mapping[str, Any]) -> Zone:
    apex = parse(given["name"])
    records: dict[Labels, dict[str, list[Record]]] = {apex: {}}
    for each in given["records"]:
        record = _record(each)
        for at in range(len(record.name) - len(apex)):
            records.setdefault(record.name[at:], {})
        records[record.name].setdefault(record.type, []).append(record)
    return Zone(id=given["id"], name=apex, records=records)


def _record(given: Mapping[str, Any]) -> Record:
    alias = given["alias"]
    return Record(
        name=parse(given["name"]),
        text=given["name"],
        type=given["type"],
        ttl=None if alias else int(given["ttl"]),
        values=tuple(given["values"]),
        policy=given["policy"],
        set_identifier=given["set"],
        weight=None if given["weight"] is None else int(given["weight"]),
        check=given["check"],
        alias=parse(alias["name"]) if alias else None,
        evaluates_target=bool(alias and alias["evaluatesTarget"]),
    )
