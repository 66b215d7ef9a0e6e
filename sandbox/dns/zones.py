"""The zones as the API tells them, arranged for answering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

ELB_SUFFIX: Final = ".elb.amazonaws.com."


@dataclass(frozen=True, kw_only=True)
class Record:
    """One resource record set. `ttl` is None for an alias; `weight` is None unless the policy is weighted."""

    name: str
    type: str
    ttl: int | None
    values: tuple[str, ...]
    policy: str
    set_identifier: str | None = None
    weight: int | None = None
    check: str | None = None
    alias: str | None = None
    evaluates_target: bool = False


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One hosted zone: its records by name and type, and every name that exists, those in between included."""

    id: str
    name: str
    records: Mapping[tuple[str, str], Sequence[Record]]
    names: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Zones:
    """All zones, the settings of health checks by id, and balancers' addresses by DNS name."""

    zones: Sequence[Zone] = ()
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    balancers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From what the API says."""
        return cls(
            zones=tuple(_zone(each) for each in given["zones"]), checks=given["checks"], balancers=given["balancers"]
        )

    def zone_of(self, name: str) -> Zone | None:
        """The zone that `name` is in: the one with the longest name, if several are."""
        found = [zone for zone in self.zones if name == zone.name or name.endswith(f".{zone.name}")]
        return max(found, key=lambda zone: len(zone.name), default=None)


def _zone(given: Mapping[str, Any]) -> Zone:
    records: dict[tuple[str, str], list[Record]] = {}
    names = {given["name"]}
    for each in given["records"]:
        record = _record(each)
        records.setdefault((record.name, record.type), []).append(record)
        labels = record.name.split(".")
        names |= {".".join(labels[at:]) for at in range(len(labels)) if ".".join(labels[at:]).endswith(given["name"])}
    return Zone(id=given["id"], name=given["name"], records=records, names=frozenset(names))


def _record(given: Mapping[str, Any]) -> Record:
    alias = given["alias"] or {}
    target = alias.get("DNSName")
    return Record(
        name=given["name"],
        type=given["type"],
        ttl=None if target else int(given["ttl"]),
        values=tuple(given["values"]),
        policy=given["policy"],
        set_identifier=given["set"],
        weight=None if given["weight"] is None else int(given["weight"]),
        check=given["check"],
        alias=None if target is None else target.rstrip(".").lower().removeprefix("dualstack.") + ".",
        evaluates_target=str(alias.get("EvaluateTargetHealth", "false")).lower() == "true",
    )
