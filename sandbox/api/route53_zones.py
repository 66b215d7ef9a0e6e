"""Hosted zones, change ids and tags, by AWS's rules.

Sources: API reference, CreateHostedZone, DeleteHostedZone, ListHostedZonesByName, GetChange and ChangeTagsForResource;
Developer Guide, "NS and SOA records that Amazon Route 53 creates for a public hosted zone".
"""

import string
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.route53.models import FakeZone, HostedZoneIdentifier, RecordSet, Route53Backend
from moto.route53.responses import Route53

from sandbox.api import route53_health_checks
from sandbox.api import route53_names as names
from sandbox.api.change import Change, replace, wrap
from sandbox.api.route53_error import InvalidInputError, Route53Error, check_length
from sandbox.api.route53_records import new_record_set

_ID_CHARACTERS = string.ascii_uppercase + string.digits
# API reference, CreateHostedZone: Nonce.
MAX_CALLER_REFERENCE = 128
# API reference, ListHostedZonesByName.
MAX_ITEMS = 100
# API reference, ChangeTagsForResource.
MAX_TAGS = 10

# Every operation whose answer has a ChangeInfo.
_CHANGING = (
    "create_hosted_zone",
    "delete_hosted_zone",
    "associate_vpc_with_hosted_zone",
    "disassociate_vpc_from_hosted_zone",
    "change_resource_record_sets",
)


def _generate_zone_id(original: Callable[..., str], self: HostedZoneIdentifier, *args: Any, **kwargs: Any) -> str:
    """AWS's zone ids begin with Z and have 21 characters or fewer; tools tell zones from other ids by that."""
    return "Z" + original(self, *args, **kwargs)[:20]


def _create_zone(original: Callable[..., FakeZone], self: Route53Backend, name: str, **kwargs: Any) -> FakeZone:
    caller_reference = kwargs.get("caller_reference")
    check_length(caller_reference, 1, MAX_CALLER_REFERENCE, "Nonce")
    if any(zone.caller_reference == caller_reference for zone in self.zones.values()):
        raise Route53Error(
            "HostedZoneAlreadyExists", "A hosted zone has already been created with the specified caller reference."
        )
    zone = original(self, _zone_name(name), **kwargs)
    zone.rrsets = _first_records(zone)
    return zone


def _zone_name(name: str) -> str:
    try:
        return names.canonical(name)
    except names.InvalidNameError as error:
        raise Route53Error("InvalidDomainName", f"{name} is not a valid domain name: {error}") from error


def _first_records(zone: FakeZone) -> list[RecordSet]:
    servers = zone.delegation_set.name_servers if zone.delegation_set else []
    soa = f"{servers[0]}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
    return [
        new_record_set(
            {"Name": zone.name, "Type": "NS", "TTL": 172800, "ResourceRecords": [f"{one}." for one in servers]}
        ),
        new_record_set({"Name": zone.name, "Type": "SOA", "TTL": 900, "ResourceRecords": [soa]}),
    ]


def _delete_zone(original: Callable[..., FakeZone | None], self: Route53Backend, id_: str) -> FakeZone | None:
    zone = self.get_hosted_zone(id_)
    if any(record.name != zone.name or record.type not in ("NS", "SOA") for record in zone.rrsets):
        raise Route53Error(
            "HostedZoneNotEmpty",
            "The specified hosted zone contains non-required resource record sets and so cannot be deleted.",
        )
    return original(self, id_)


def _list_by_name(self: Route53) -> ActionResult:
    """From a name on, and not, as moto does, of that name only: AWS's answer for a missing name is the next zones."""
    name, zone_id = self._get_param("DNSName"), self._get_param("HostedZoneId")
    if zone_id and not name:
        raise InvalidInputError("The input is not valid: HostedZoneId needs DNSName")
    max_items = min(int(self._get_param("MaxItems") or MAX_ITEMS), MAX_ITEMS)
    zones = sorted(self.backend.zones.values(), key=_zone_order)
    if name:
        first = (names.sort_key(names.parse(_zone_name(name))), (zone_id or "").rpartition("/")[2])
        zones = [zone for zone in zones if _zone_order(zone) >= first]
    following = zones[max_items] if len(zones) > max_items else None
    return ActionResult(
        {
            "HostedZones": zones[:max_items],
            "DNSName": name,
            "HostedZoneId": zone_id,
            "IsTruncated": following is not None,
            "NextDNSName": following and following.name,
            "NextHostedZoneId": following and following.resource_id,
            "MaxItems": str(max_items),
        }
    )


def _zone_order(zone: FakeZone) -> tuple[bytes, str]:
    return names.sort_key(names.parse(zone.name)), zone.resource_id


def _with_change_id(original: Callable[..., ActionResult], self: Route53) -> ActionResult:
    """Give the change an id of its own; it is in sync at once, as the sandbox has one copy of each zone."""
    answer = original(self)
    result: Any = answer.result
    info = result["ChangeInfo"]
    comment = self._get_param("ChangeBatch.Comment") or self._get_param("Comment")
    info["Id"] = "/change/C" + "".join(mock_random.choice(_ID_CHARACTERS) for _ in range(20))
    info["Comment"] = comment
    _changes(self.backend)[info["Id"]] = info
    return answer


def _changes(backend: Route53Backend) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = backend.__dict__.setdefault("lockstep_changes", {})
    return found


def _get_change(self: Route53) -> ActionResult:
    id_ = "/change/" + self._get_param("Id").rpartition("/")[2]
    info = _changes(self.backend).get(id_)
    if info is None:
        raise Route53Error("NoSuchChange", f"A change with id {id_} does not exist.")
    return ActionResult({"ChangeInfo": info})


def _create_zone_response(original: Callable[..., ActionResult], self: Route53) -> ActionResult:
    _zone_name(self._get_param("Name") or "")
    return original(self)


def _change_tags(
    original: Callable[..., None],
    self: Route53Backend,
    resource_type: str,
    resource_id: str,
    add_tags: list[dict[str, str]],
    remove_tag_keys: list[str],
) -> None:
    _check_taggable(self, resource_type, resource_id)
    kept = set(self.resource_tags.get(resource_id, {})) - set(remove_tag_keys or ())
    if len(kept | {tag["Key"] for tag in add_tags or ()}) > MAX_TAGS:
        raise InvalidInputError(f"{resource_type} {resource_id} would have more than {MAX_TAGS} tags")
    original(self, resource_type, resource_id, add_tags, remove_tag_keys)


def _list_tags(original: Callable[..., ActionResult], self: Route53) -> ActionResult:
    """Of one resource (`ResourceId`) or of several (`ResourceIds`)."""
    for resource_id in self._get_param("ResourceIds") or [self._get_param("ResourceId")]:
        _check_taggable(self.backend, self._get_param("ResourceType"), resource_id)
    return original(self)


def _check_taggable(backend: Route53Backend, resource_type: str, resource_id: str) -> None:
    if resource_type == "healthcheck":
        route53_health_checks.get(backend, resource_id)
    else:
        backend.get_hosted_zone(resource_id)


def _apply_creation() -> None:
    wrap(HostedZoneIdentifier, "generate", _generate_zone_id)
    wrap(Route53Backend, "create_hosted_zone", _create_zone)
    wrap(Route53, "create_hosted_zone", _create_zone_response)


def _apply_change_ids() -> None:
    for operation in _CHANGING:
        wrap(Route53, operation, _with_change_id)
    replace(Route53, "get_change", _get_change)


def _apply_tags() -> None:
    wrap(Route53Backend, "change_tags_for_resource", _change_tags)
    wrap(Route53, "list_tags_for_resource", _list_tags)
    wrap(Route53, "list_tags_for_resources", _list_tags)


CHANGES = (
    Change(
        name="route53-zone-creation",
        why="moto's zone ids don't begin with Z, one caller reference makes many zones, names aren't checked, and the "
        "SOA value is a Python dictionary as text. AWS: API reference, CreateHostedZone; Developer Guide, NS and "
        "SOA records.",
        apply=_apply_creation,
    ),
    Change(
        name="route53-zone-deletion",
        why="moto deletes a zone that has a delegation (NS below the apex) in it; AWS refuses a zone with anything but "
        "its own NS and SOA records (API reference, DeleteHostedZone).",
        apply=lambda: wrap(Route53Backend, "delete_hosted_zone", _delete_zone),
    ),
    Change(
        name="route53-zones-by-name",
        why="moto answers with zones of exactly that name and without IsTruncated and MaxItems. AWS's list begins at "
        "the name, so that of a missing zone holds other zones (API reference, ListHostedZonesByName): a caller has "
        "to compare names.",
        apply=lambda: replace(Route53, "list_hosted_zones_by_name", _list_by_name),
    ),
    Change(
        name="route53-change-ids",
        why="moto gives every change the same id and says INSYNC of any; AWS's ids are unique, and an unknown one is "
        "NoSuchChange (API reference, GetChange).",
        apply=_apply_change_ids,
    ),
    Change(
        name="route53-tags",
        why="moto tags health checks that don't exist, lists tags of anything, and has no limit. AWS: "
        "NoSuchHealthCheck, NoSuchHostedZone, 10 tags (API reference, ChangeTagsForResource, ListTagsForResources).",
        apply=_apply_tags,
    ),
)
