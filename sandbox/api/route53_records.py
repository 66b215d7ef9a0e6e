"""Changing and listing resource record sets, by AWS's rules.

A change batch is applied to a copy of the zone's record sets; the copy becomes the zone when nothing is wrong with it.
Sources: API reference, ChangeResourceRecordSets, ResourceRecordSet and ListResourceRecordSets. Error texts are AWS's,
as quoted in public bug reports, unless a comment says otherwise.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.route53.models import FakeZone, RecordSet, Route53Backend
from moto.route53.responses import Route53

from sandbox.api import route53_names as names
from sandbox.api import route53_values as values
from sandbox.api.change import Change, replace
from sandbox.api.route53_error import (
    InvalidChangeBatchError,
    InvalidInputError,
    Route53Error,
    check_length,
    check_range,
    not_in_enumeration,
)

ACTIONS = ("CREATE", "DELETE", "UPSERT")
TYPES = (
    "SOA",
    "A",
    "TXT",
    "NS",
    "CNAME",
    "MX",
    "NAPTR",
    "PTR",
    "SRV",
    "SPF",
    "AAAA",
    "CAA",
    "DS",
    "TLSA",
    "SSHFP",
    "SVCB",
    "HTTPS",
)
MAX_WEIGHT = 255
# RFC 2181, section 8: a TTL has 31 bits. Seconds.
MAX_TTL = 2**31 - 1
MAX_SET_IDENTIFIER = 128
# API reference, ResourceRecordSet: Weight.
MAX_WEIGHTED = 100
# API reference, ListResourceRecordSets.
MAX_ITEMS = 300

# Each field that makes a record set one of a group, and what AWS calls the group in its messages.
ROUTING = {
    "Weight": "weighted",
    "Region": "latency",
    "Failover": "failover",
    "GeoLocation": "geolocation",
    "MultiValueAnswer": "multivalue answer",
}
_UNSUPPORTED_FIELDS = ("TrafficPolicyInstanceId", "GeoProximityLocation", "CidrRoutingConfig")
# Developer Guide, "Choosing a routing policy": NS and SOA record sets have the simple policy only.
_SIMPLE_ONLY = ("NS", "SOA")

# `NAME-ID.REGION.elb.amazonaws.com`, for a network load balancer `NAME-ID.elb.REGION.amazonaws.com`.
_LOAD_BALANCER = re.compile(
    r"(?:dualstack\.)?(?P<name>[^.]+\.(?:(?P<alb>[a-z0-9-]+)\.elb|elb\.(?P<nlb>[a-z0-9-]+))\.amazonaws\.com)\."
)

Key = tuple[str, str, str | None]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a listing, and the record set that the next page begins with."""

    records: list[RecordSet]
    following: RecordSet | None


def change(backend: Route53Backend, zone_id: str, changes: Sequence[dict[str, Any]]) -> None:
    """Apply a change batch, all of it or nothing.

    Raises InvalidInputError for a malformed change, Route53Error `NoSuchHealthCheck` for a health check that doesn't
    exist, InvalidChangeBatchError with every problem that the zone has with the batch, and NotImplementedError for what
    the sandbox can't do.
    """
    zone = backend.get_hosted_zone(zone_id)
    for one in changes:
        _check_request(one)
    batch = _Batch(backend, zone)
    for one in changes:
        batch.apply(one["Action"], one["ResourceRecordSet"])
    batch.check()
    if batch.messages:
        raise InvalidChangeBatchError(list(dict.fromkeys(batch.messages)))
    zone.rrsets = list(batch.after.values())


def list_page(zone: FakeZone, start: tuple[str, str, str] | None, max_items: int) -> Page:
    """Record sets in AWS's order, from `start` (name, type and set identifier, empty where not given).

    Raises InvalidInputError if the name isn't one.
    """
    ordered = sorted(zone.rrsets, key=_sort_key)
    if start is not None:
        try:
            first = (names.sort_key(names.parse(start[0])), start[1], start[2])
        except names.InvalidNameError as error:
            raise InvalidInputError(str(error)) from error
        ordered = [record for record in ordered if _sort_key(record) >= first]
    return Page(records=ordered[:max_items], following=ordered[max_items] if len(ordered) > max_items else None)


def _sort_key(record: RecordSet) -> tuple[bytes, str, str]:
    return names.sort_key(names.parse(record.name)), str(record.type), record.set_identifier or ""


def _check_request(one: dict[str, Any]) -> None:
    """What Route 53 says of a change before it looks at the zone."""
    record_set = one["ResourceRecordSet"]
    if one["Action"] not in ACTIONS:
        raise not_in_enumeration(one["Action"], ACTIONS)
    if record_set["Type"] not in TYPES:
        raise not_in_enumeration(record_set["Type"], TYPES)
    for field in _UNSUPPORTED_FIELDS:
        if record_set.get(field):
            raise NotImplementedError(f"resource record sets with {field}")
    check_range(record_set.get("Weight"), 0, MAX_WEIGHT, "ResourceRecordSetWeight")
    check_range(record_set.get("TTL"), 0, MAX_TTL, "TTL")
    check_length(record_set.get("SetIdentifier"), 1, MAX_SET_IDENTIFIER, "ResourceRecordSetIdentifier")
    context = (
        f"in Change with [Action={one['Action']}, Name={record_set['Name']}, Type={record_set['Type']}, "
        f"SetIdentifier={record_set.get('SetIdentifier') or 'null'}]"
    )
    _check_content(record_set, context)
    _check_routing(record_set, context)


def _check_content(record_set: dict[str, Any], context: str) -> None:
    """Either an alias, or a TTL and records."""
    alias = record_set.get("AliasTarget") is not None
    ttl = record_set.get("TTL") is not None
    records = bool(record_set.get("ResourceRecords"))
    if (alias and not ttl and not records) or (not alias and ttl and records):
        return
    found = "more than one" if alias else "none"
    raise InvalidInputError(
        "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
        f"TrafficPolicyInstanceId], but found {found} {context}"
    )


def _check_routing(record_set: dict[str, Any], context: str) -> None:
    """A set identifier, and one routing policy, or neither."""
    # A weight of 0 equals False, and is a weight.
    policies = [field for field in ROUTING if record_set.get(field) is not None and record_set[field] is not False]
    if not record_set.get("SetIdentifier"):
        if policies:
            raise InvalidInputError(f"Invalid request: Missing field 'SetIdentifier' {context}")
        return
    if len(policies) != 1:
        found = "more than one" if policies else "none"
        raise InvalidInputError(
            "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, MultiValueAnswer, "
            f"GeoProximityLocation, or CidrRoutingConfig], but found {found} {context}"
        )


class _Batch:
    """A zone's record sets as they would be after the changes, and what AWS objects to."""

    def __init__(self, backend: Route53Backend, zone: FakeZone) -> None:
        self.backend = backend
        self.zone = zone
        self.zone_labels = names.parse(zone.name)
        self.after: dict[Key, RecordSet] = {_key(record): record for record in zone.rrsets}
        self.messages: list[str] = []
        self._written: dict[Key, RecordSet] = {}
        self._deleted: set[Key] = set()

    def apply(self, action: str, record_set: dict[str, Any]) -> None:
        """Make one change, or note why it can't be made."""
        try:
            labels = names.parse(record_set["Name"])
            record = _record(record_set)
        except names.InvalidNameError as error:
            self.messages.append(str(error))
            return
        if not names.is_within(labels, self.zone_labels):
            self.messages.append(f"RRSet with DNS name {record.name} is not permitted in zone {self.zone.name}")
            return
        key = _key(record)
        if key in self._written or (action == "DELETE" and key in self._deleted):
            self.messages.append(
                "The request contains an invalid set of changes for a resource record set "
                f"'{record.type} {record.name}'"
            )
        elif action == "DELETE":
            self._delete(key, record)
        else:
            self._write(action, key, record)

    def _delete(self, key: Key, record: RecordSet) -> None:
        current = self.after.get(key)
        what = f"Tried to delete resource record set {_described(record)}"
        if current is None:
            self.messages.append(f"{what} but it was not found")
        elif _content(current) != _content(record):
            self.messages.append(f"{what} but the values provided do not match the current values")
        else:
            del self.after[key]
            self._deleted.add(key)

    def _write(self, action: str, key: Key, record: RecordSet) -> None:
        health_check = record.health_check_id
        if health_check and health_check not in self.backend.health_checks:
            raise Route53Error("NoSuchHealthCheck", f"A health check with id {health_check} does not exist.")
        if action == "CREATE" and key in self.after:
            self.messages.append(f"Tried to create resource record set {_described(record)} but it already exists")
            return
        if not record.alias_target:
            self.messages.extend(values.problems(str(record.type), record.records))
        self.after[key] = record
        self._written[key] = record

    def check(self) -> None:
        """Note what is wrong with the zone as it would be."""
        for record in self._written.values():
            self.messages.extend(self._type_problems(record))
            self.messages.extend(self._group_problems(record))
            if record.alias_target:
                self.messages.extend(self._alias_problems(record, record.alias_target))
        at_apex = [record.type for record in self.after.values() if record.name == self.zone.name]
        if at_apex.count("SOA") != 1:
            self.messages.append("A HostedZone must contain exactly one SOA record.")
        if "NS" not in at_apex:
            self.messages.append("A HostedZone must contain at least one NS record for the zone itself.")

    def _type_problems(self, record: RecordSet) -> Iterator[str]:
        """Where a type may be, beside what, and how often."""
        described = f"RRSet of type {record.type} with DNS name {record.name}"
        beside = {other.type for other in self.after.values() if other.name == record.name} - {record.type}
        if record.type == "CNAME":
            if record.name == self.zone.name:
                yield f"{described} is not permitted at apex in zone {self.zone.name}"
            elif beside:
                yield (
                    f"{described} is not permitted as it conflicts with other records with the same DNS name in zone "
                    f"{self.zone.name}"
                )
        elif "CNAME" in beside and record.name != self.zone.name:
            yield (
                f"{described} is not permitted because a conflicting RRSet of type CNAME with the same DNS name "
                f"already exists in zone {self.zone.name}"
            )
        # The texts from here on are ours: AWS refuses these, and its words aren't public.
        if record.type in ("CNAME", "SOA") and len(record.records) > 1:
            yield f"{described} must have exactly one value"
        if record.type == "SOA" and record.name != self.zone.name:
            yield f"{described} is permitted at the apex of zone {self.zone.name} only"
        if record.type == "NS" and record.name.startswith("\\052."):
            yield f"{described} is not permitted: an NS record can't have a wildcard name"
        if record.type in _SIMPLE_ONLY and record.set_identifier:
            yield f"{described} can't have a routing policy other than simple"

    def _group_problems(self, record: RecordSet) -> Iterator[str]:
        """Record sets with one name and type are one simple one, or a group under one routing policy."""
        group = [
            other for key, other in self.after.items() if key[:2] == (record.name, record.type) and other is not record
        ]
        described = f"RRSet with DNS name {record.name}, type {record.type}"
        policy = _policy(record)
        if policy is None:
            if group:
                yield f"{described} cannot be created as other RRSets exist with the same name and type."
            return
        described += f", SetIdentifier {record.set_identifier}"
        if any(_policy(other) != policy for other in group):
            yield f"{described} cannot be created as a non-{policy} set exists with the same name and type."
        elif policy == "weighted":
            yield from self._weighted_problems(record, group)
        else:
            yield from self._same_place_problems(record, group, policy, described)

    @staticmethod
    def _weighted_problems(record: RecordSet, group: list[RecordSet]) -> Iterator[str]:
        if record.ttl is not None and any(other.ttl not in (None, record.ttl) for other in group):
            yield (
                f"RRSet with DNS name {record.name} and type {record.type}, SetIdentifier {record.set_identifier} "
                "cannot be created as weighted sets must contain the same TTL."
            )
        if len(group) >= MAX_WEIGHTED:
            yield f"RRSet with DNS name {record.name}, type {record.type} has more than {MAX_WEIGHTED} weighted sets"

    @staticmethod
    def _same_place_problems(record: RecordSet, group: list[RecordSet], policy: str, described: str) -> Iterator[str]:
        """One record set per region, failover role or location. AWS's text is known for latency, the others follow."""
        if policy == "latency" and any(other.region == record.region for other in group):
            yield (
                f"{described}, and Region Name={record.region} cannot be created because a latency RRSet with the same "
                "name, type and region already exists."
            )
        if policy == "failover" and any(other.failover == record.failover for other in group):
            yield (
                f"{described}, and Failover Type={record.failover} cannot be created because a failover RRSet with the "
                "same name, type and failover type already exists."
            )
        if policy == "geolocation" and any(other.geo_location == record.geo_location for other in group):
            yield (
                f"{described} cannot be created because a geolocation RRSet with the same name, type and location "
                "already exists."
            )

    def _alias_problems(self, record: RecordSet, alias: dict[str, Any]) -> Iterator[str]:
        """An alias names a record set of its own type in its own zone, or a load balancer with that one's zone id."""
        zone_id, target = alias["HostedZoneId"], alias["DNSName"]
        described = f"Tried to create an alias that targets {target}, type {record.type} in zone {zone_id}"
        not_in_zone = f"{described}, but the alias target name does not lie within the target zone"
        not_found = f"{described}, but that target was not found"
        if record.multi_value_answer:
            yield f"RRSet with DNS name {record.name}, type {record.type} is an alias and can't be a multivalue answer"
        if zone_id in self.backend.zones:
            if zone_id != self.zone.resource_id or not names.is_within(names.parse(target), self.zone_labels):
                yield not_in_zone
                yield not_found
            elif not any(key[:2] == (target, record.type) for key in self.after):
                yield not_found
        elif match := _LOAD_BALANCER.fullmatch(target):
            balancer = _load_balancer(self.backend, match["name"], match["alb"] or match["nlb"])
            if balancer is None:
                yield not_found
            elif balancer.canonical_hosted_zone_id != zone_id:
                yield not_in_zone
        else:
            raise NotImplementedError(
                f"the alias target {target} in zone {zone_id}: it is neither a load balancer nor in a zone that exists"
            )


def _load_balancer(backend: Route53Backend, dns_name: str, region: str) -> Any:
    # Loading EC2 takes a second, and whoever has a load balancer to point at has it loaded.
    from moto.elbv2.models import elbv2_backends

    account = elbv2_backends[backend.account_id]
    if region not in account:
        return None
    balancers = account[region].load_balancers.values()
    return next((balancer for balancer in balancers if balancer.dns_name.lower() == dns_name), None)


def new_record_set(fields: dict[str, Any]) -> RecordSet:
    """moto's object for a record set; fields as in the API, but `ResourceRecords` is a list of texts."""
    # moto's class lacks methods for CloudFormation that its base declares abstract; nothing here calls those.
    return RecordSet(fields)  # type: ignore[abstract]


def _record(record_set: dict[str, Any]) -> RecordSet:
    """The record set as it is kept: names in Route 53's form, values as plain texts."""
    kept = {**record_set, "Name": names.canonical(record_set["Name"])}
    kept["ResourceRecords"] = [record["Value"] for record in record_set.get("ResourceRecords") or ()]
    if alias := record_set.get("AliasTarget"):
        kept["AliasTarget"] = {**alias, "DNSName": names.canonical(alias["DNSName"])}
    return new_record_set(kept)


def _key(record: RecordSet) -> Key:
    return record.name, str(record.type), record.set_identifier or None


def _policy(record: RecordSet) -> str | None:
    """What AWS calls the routing policy of a record set; None for a simple one."""
    held = (record.weight, record.region, record.failover, record.geo_location, record.multi_value_answer or None)
    return next((name for name, value in zip(ROUTING.values(), held, strict=True) if value is not None), None)


def _described(record: RecordSet) -> str:
    identifier = f", set-identifier='{record.set_identifier}'" if record.set_identifier else ""
    return f"[name='{record.name}', type='{record.type}'{identifier}]"


def _content(record: RecordSet) -> tuple[Any, ...]:
    """Everything that a DELETE has to repeat; the order of values doesn't count."""
    return (
        None if record.ttl is None else int(record.ttl),
        sorted(record.records),
        record.weight,
        record.region,
        record.failover,
        record.geo_location,
        bool(record.multi_value_answer),
        record.health_check_id or None,
        record.alias_target,
    )


def _backend_change(self: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
    change(self, zoneid, change_list)


def _list_response(self: Route53) -> ActionResult:
    zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
    name, type_ = self._get_param("StartRecordName"), self._get_param("StartRecordType")
    identifier = self._get_param("StartRecordIdentifier")
    max_items = _max_items(self._get_param("MaxItems"))
    if (type_ and not name) or (identifier and not type_):
        raise InvalidInputError(
            "The input is not valid: StartRecordType needs StartRecordName, StartRecordIdentifier both"
        )
    if type_ and type_ not in TYPES:
        raise not_in_enumeration(type_, TYPES)
    page = list_page(zone, (name, type_ or "", identifier or "") if name else None, max_items)
    following = page.following
    return ActionResult(
        {
            "ResourceRecordSets": page.records,
            "IsTruncated": following is not None,
            "NextRecordName": following and following.name,
            "NextRecordType": following and following.type,
            "NextRecordIdentifier": following and following.set_identifier,
            "MaxItems": str(max_items),
        }
    )


def _max_items(given: str | None) -> int:
    if given is None:
        return MAX_ITEMS
    if not str(given).isdecimal() or int(given) < 1:
        raise InvalidInputError(f"The input is not valid: MaxItems is {given!r}, a number from 1 is expected")
    return min(int(given), MAX_ITEMS)


CHANGES = (
    Change(
        name="route53-change-batch",
        why="moto looks only at whether a name ends with the zone's, stores the rest as it comes, and stops half way "
        "through a bad batch. AWS checks each change and the zone that would result, answers with all problems and "
        "changes nothing (API reference, ChangeResourceRecordSets and ResourceRecordSet).",
        apply=lambda: replace(Route53Backend, "change_resource_record_sets", _backend_change),
    ),
    Change(
        name="route53-record-listing",
        why="moto ignores StartRecordIdentifier, so a group larger than a page can't be read, and sorts escaped names "
        "wrongly. AWS sorts by reversed labels, type and set identifier (API reference, ListResourceRecordSets).",
        apply=lambda: replace(Route53, "list_resource_record_sets", _list_response),
    ),
)
