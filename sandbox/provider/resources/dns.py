"""Route 53: hosted zones, records and health checks. Global: none of them has a region."""

import ipaddress
import secrets
from collections.abc import Callable, Iterable, Iterator
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
    tag_list,
    updating,
)
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    Property,
    ResourceType,
    State,
    Update,
    blocks,
    boolean,
    integer,
    is_empty,
    length,
    one_of,
    output,
    string,
    string_map,
    string_set,
)
from sandbox.provider.values import Json


def _caller_reference(inputs: State) -> str:
    """A reference of its own for each creation, beginning as the program says (`referenceName`)."""
    return "-".join(filter(None, (inputs.get("referenceName"), secrets.token_hex(16))))


def _plain_name(name: Json) -> Json:
    """A domain name as the state keeps it: lower case, no trailing dot, `*` as itself."""
    return name.lower().removesuffix(".").replace(r"\052", "*") if isinstance(name, str) else name


def _write_tags(resource_type: str) -> Callable[[Aws, str, State, dict[str, str], list[str]], None]:
    def write(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
        changes = {"AddTags": tag_list(add), "RemoveTagKeys": remove}
        aws.call(
            "route53",
            "change_tags_for_resource",
            ResourceType=resource_type,
            ResourceId=id,
            **{name: value for name, value in changes.items() if value},
        )

    return write


def _tags_on_create(resource_type: str) -> Update:
    """Creation takes no tags in Route 53, so they are written after it; later changes go to `write_tags`."""
    write = _write_tags(resource_type)

    def run(aws: Aws, change: Change) -> None:
        if not change.old:
            write(aws, change.id, change.new, change.new["tagsAll"], [])

    return Update(properties=("tagsAll",), on_create=True, run=run)


def _read_tags(resource_type: str) -> Callable[[Aws, str, State], State | None]:
    return reading(
        Call("route53", "list_tags_for_resource", {"ResourceType": Constant(resource_type), "ResourceId": ID}),
        result="ResourceTagSet",
        outputs={},
        tags="Tags",
    )


# Hosted zone

# Route 53 API Reference, ChangeResourceRecordSets: changes in one batch.
_BATCH = 1000


def _create_zone(aws: Aws, inputs: State) -> str:
    answer = aws.call(
        "route53",
        "create_hosted_zone",
        Name=inputs["name"],
        CallerReference=_caller_reference(inputs),
        HostedZoneConfig={"Comment": inputs["comment"]},
    )
    return str(answer["HostedZone"]["Id"]).removeprefix("/hostedzone/")


def _read_zone(aws: Aws, id: str, state: State) -> State | None:
    try:
        answer = aws.call("route53", "get_hosted_zone", Id=id)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchHostedZone":
            return None
        raise
    zone, servers = answer["HostedZone"], answer["DelegationSet"]["NameServers"]
    return {
        "name": _plain_name(zone["Name"]),
        "comment": zone["Config"].get("Comment", ""),
        "arn": f"arn:aws:route53:::hostedzone/{id}",
        "zoneId": id,
        "nameServers": sorted(servers),
        "primaryNameServer": servers[0],
    }


def _empty_zone(aws: Aws, id: str, name: str) -> None:
    """Delete every record but the zone's own NS and SOA."""
    pages = aws.client("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=id)
    found = [record for page in pages for record in page["ResourceRecordSets"]]
    left = [
        record
        for record in found
        if _plain_name(record["Name"]) != _plain_name(name) or record["Type"] not in ("NS", "SOA")
    ]
    for start in range(0, len(left), _BATCH):
        _change_records(aws, id, *(("DELETE", record) for record in left[start : start + _BATCH]))


def _delete_zone(aws: Aws, id: str, state: State) -> None:
    try:
        if state.get("forceDestroy"):
            _empty_zone(aws, id, state["name"])
        aws.call("route53", "delete_hosted_zone", Id=id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchHostedZone":
            raise


ZONE = ResourceType(
    token="aws:route53/zone:Zone",
    properties={
        # Private zones (`vpcs`) and reusable delegation sets aren't part of the sandbox.
        "name": string(replaces=True, check=length(1, 1024), normal=_plain_name, auto_name=AutoName()),
        "comment": string(default="Managed by Pulumi", check=length(0, 256)),
        "forceDestroy": boolean(default=False),
        "arn": output(),
        "zoneId": output(),
        "nameServers": output(Kind.LIST, element=string()),
        "primaryNameServer": output(),
    },
    create=_create_zone,
    read=joining(_read_zone, _read_tags("hostedzone")),
    updates=(
        Update(
            properties=("comment",),
            run=updating(Call("route53", "update_hosted_zone_comment", {"Id": ID, "Comment": "comment"})),
        ),
        kept("forceDestroy"),
        _tags_on_create("hostedzone"),
    ),
    delete=_delete_zone,
    write_tags=_write_tags("hostedzone"),
    regional=False,
)


# Record

# Route 53 API Reference, ResourceRecordSet: Type.
_RECORD_TYPES = (
    "A",
    "AAAA",
    "CAA",
    "CNAME",
    "DS",
    "HTTPS",
    "MX",
    "NAPTR",
    "NS",
    "PTR",
    "SOA",
    "SPF",
    "SRV",
    "SSHFP",
    "SVCB",
    "TLSA",
    "TXT",
)
_LONGEST_TTL = 2147483647
# What the record says to each way of routing: property, and the name of the one field that AWS keeps apart.
_ROUTING = {
    "weightedRoutingPolicies": ("weight", "Weight"),
    "failoverRoutingPolicies": ("type", "Failover"),
    "latencyRoutingPolicies": ("region", "Region"),
}
_GEOLOCATION = {"continent": "ContinentCode", "country": "CountryCode", "subdivision": "SubdivisionCode"}
_ALIAS = {"name": "DNSName", "zoneId": "HostedZoneId", "evaluateTargetHealth": "EvaluateTargetHealth"}
_POLICIES = (*_ROUTING, "geolocationRoutingPolicies", "multivalueAnswerRoutingPolicy")
_QUOTED_TYPES = ("TXT", "SPF")


def _at_most_one(value: Json) -> str | None:
    return None if len(value) <= 1 else f"expected at most 1 element, got {len(value)}"


def _plain_alias(name: Json) -> Json:
    """An alias target's name as terraform-provider-aws compares it, with or without a balancer's `dualstack.`."""
    return _plain_name(name).removeprefix("dualstack.") if isinstance(name, str) else name


def _full_name(name: str, zone_name: str) -> str:
    """The record's full name: the zone's is added to a name that doesn't end in it."""
    plain, zone = _plain_name(name), _plain_name(zone_name)
    if plain.endswith(zone):
        return str(plain)
    return f"{plain}.{zone}" if plain else str(zone)


def _zone_name(aws: Aws, zone_id: str) -> str:
    return str(aws.call("route53", "get_hosted_zone", Id=zone_id)["HostedZone"]["Name"])


def _change_records(aws: Aws, zone_id: str, *changes: tuple[str, Json]) -> None:
    batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
    aws.call("route53", "change_resource_record_sets", HostedZoneId=zone_id, ChangeBatch={"Changes": batch})


def _first(state: State, name: str) -> State:
    """The one element of a property that pulumi-aws holds as a list."""
    elements = state.get(name)
    return elements[0] if elements else {}


def _record_set(state: State, full_name: str) -> dict[str, Json]:
    """The record as AWS takes it."""
    record: dict[str, Json] = {"Name": full_name, "Type": state["type"]}
    values = state.get("records")
    if values:
        quoted = state["type"] in _QUOTED_TYPES
        record["ResourceRecords"] = [{"Value": f'"{value}"' if quoted else value} for value in values]
        record["TTL"] = state.get("ttl")
    alias = _first(state, "aliases")
    record["AliasTarget"] = {key: alias[name] for name, key in _ALIAS.items()} if alias else None
    for policy, (field, key) in _ROUTING.items():
        record[key] = _first(state, policy).get(field)
    place = _first(state, "geolocationRoutingPolicies")
    record["GeoLocation"] = {key: place[name] for name, key in _GEOLOCATION.items() if place.get(name)} or None
    record["MultiValueAnswer"] = state.get("multivalueAnswerRoutingPolicy") or None
    record["SetIdentifier"] = state.get("setIdentifier") or None
    record["HealthCheckId"] = state.get("healthCheckId") or None
    return {name: value for name, value in record.items() if value is not None}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _record_state(record: dict[str, Json]) -> State:
    """The properties of a record that AWS answered with."""
    quoted = record["Type"] in _QUOTED_TYPES
    values = [_unquoted(item["Value"]) if quoted else item["Value"] for item in record.get("ResourceRecords", ())]
    alias = record.get("AliasTarget")
    place = record.get("GeoLocation")
    state: State = {
        "type": record["Type"],
        "ttl": record.get("TTL"),
        "records": values or None,
        "aliases": [{**{name: alias[key] for name, key in _ALIAS.items()}, "name": _plain_alias(alias["DNSName"])}]
        if alias
        else None,
        "setIdentifier": record.get("SetIdentifier"),
        "healthCheckId": record.get("HealthCheckId"),
        "multivalueAnswerRoutingPolicy": record.get("MultiValueAnswer"),
        "geolocationRoutingPolicies": [{name: place.get(key) for name, key in _GEOLOCATION.items()}] if place else None,
    }
    for policy, (field, key) in _ROUTING.items():
        state[policy] = [{field: record[key]}] if key in record else None
    return state


def _record_id(inputs: State) -> str:
    parts = (inputs["zoneId"], inputs["name"].lower().removesuffix("."), inputs["type"], inputs.get("setIdentifier"))
    return "_".join(filter(None, parts))


def _record_key(id: str, state: State) -> State:
    """What names the record: from the state, as an update can change all but the id; in an import, from the id."""
    if state.get("zoneId"):
        return {name: state.get(name) for name in ("zoneId", "name", "type", "setIdentifier")}
    zone_id, *rest = id.split("_")
    index = next((index for index, part in enumerate(rest) if index and part in _RECORD_TYPES), None)
    if index is None:
        raise UnusableAnswerError(
            f"unexpected format of ID ({id!r}), expected ZONEID_RECORDNAME_TYPE_SET-IDENTIFIER "
            "(e.g. Z4KAPRWWNC7JR_dev.example.com_NS_dev), where SET-IDENTIFIER is optional"
        )
    name, identifier = "_".join(rest[:index]), "_".join(rest[index + 1 :])
    return {"zoneId": zone_id, "name": name, "type": rest[index], "setIdentifier": identifier or None}


def _records_of(aws: Aws, zone_id: str, name: str, type: str) -> Iterator[dict[str, Any]]:
    """The records of one name and type; AWS lists them one after the other, from the first on."""
    pages = aws.client("route53").get_paginator("list_resource_record_sets")
    for page in pages.paginate(HostedZoneId=zone_id, StartRecordName=name, StartRecordType=type):
        for record in page["ResourceRecordSets"]:
            if (_plain_name(record["Name"]), record["Type"]) != (name, type):
                return
            yield record


def _find_record(aws: Aws, id: str, state: State) -> tuple[State, dict[str, Any] | None]:
    """What names the record, with its full name, and what AWS has under it."""
    key = _record_key(id, state)
    try:
        key["fqdn"] = _full_name(key["name"], _zone_name(aws, key["zoneId"]))
        for record in _records_of(aws, key["zoneId"], key["fqdn"], key["type"]):
            if record.get("SetIdentifier") == key["setIdentifier"]:
                return key, record
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchHostedZone":
            raise
    return key, None


def _create_record(aws: Aws, inputs: State) -> str:
    zone_id = inputs["zoneId"]
    action = "UPSERT" if inputs.get("allowOverwrite") else "CREATE"
    record = _record_set(inputs, _full_name(inputs["name"], _zone_name(aws, zone_id)))
    _change_records(aws, zone_id, (action, record))
    return _record_id(inputs)


def _read_record(aws: Aws, id: str, state: State) -> State | None:
    key, record = _find_record(aws, id, state)
    return None if record is None else {**key, **_record_state(record)}


def _update_record(aws: Aws, change: Change) -> None:
    zone_id = change.new["zoneId"]
    name = _full_name(change.new["name"], _zone_name(aws, zone_id))
    new = _record_set(change.new, name)
    if change.changed & {"type", "setIdentifier"}:
        # These name the record: AWS replaces it, in one batch so that the name never goes unanswered.
        action = "UPSERT" if change.new.get("allowOverwrite") else "CREATE"
        _change_records(aws, zone_id, ("DELETE", _record_set(change.old, name)), (action, new))
    else:
        _change_records(aws, zone_id, ("UPSERT", new))


def _delete_record(aws: Aws, id: str, state: State) -> None:
    key, record = _find_record(aws, id, state)
    if record is not None:
        _change_records(aws, key["zoneId"], ("DELETE", record))


def _check_record(inputs: State) -> Iterable[tuple[str, str]]:
    has = {name for name, value in inputs.items() if not is_empty(value) and value is not False}
    if "aliases" not in has and "records" not in has:
        yield "records", "one of aliases and records must be set"
    if "records" in has and "ttl" not in has:
        yield "ttl", "a record that isn't an alias needs a ttl"
    for policy in _POLICIES:
        if policy in has and "setIdentifier" not in has:
            yield "setIdentifier", f"{policy} needs a setIdentifier"


def _policy(name: str, field: str, prop: Property) -> Property:
    others = tuple(other for other in _POLICIES if other != name)
    return Property(kind=Kind.LIST, element=blocks({field: prop}).element, check=_at_most_one, conflicts=others)


RECORD = ResourceType(
    token="aws:route53/record:Record",
    properties={
        "zoneId": string(required=True, replaces=True, check=length(1, 32)),
        "name": string(required=True, replaces=True, normal=_plain_name),
        "type": string(required=True, check=one_of(*_RECORD_TYPES)),
        "ttl": integer(0, _LONGEST_TTL),
        "records": string_set(conflicts=("aliases",)),
        "aliases": blocks(
            {
                "name": string(required=True, check=length(1, 1024), normal=_plain_alias),
                "zoneId": string(required=True, check=length(1, 32)),
                "evaluateTargetHealth": boolean(required=True),
            },
            check=_at_most_one,
            conflicts=("records", "ttl"),
        ),
        "allowOverwrite": boolean(computed=True),
        "healthCheckId": string(),
        "setIdentifier": string(check=length(1, 128)),
        # Weights: Route 53 API Reference, ResourceRecordSet.
        "weightedRoutingPolicies": _policy("weightedRoutingPolicies", "weight", integer(0, 255, required=True)),
        "failoverRoutingPolicies": _policy(
            "failoverRoutingPolicies", "type", string(required=True, check=one_of("PRIMARY", "SECONDARY"))
        ),
        "latencyRoutingPolicies": _policy("latencyRoutingPolicies", "region", string(required=True)),
        "geolocationRoutingPolicies": blocks(
            {name: string() for name in _GEOLOCATION},
            check=_at_most_one,
            conflicts=tuple(policy for policy in _POLICIES if policy != "geolocationRoutingPolicies"),
        ),
        "multivalueAnswerRoutingPolicy": boolean(
            conflicts=tuple(policy for policy in _POLICIES if policy != "multivalueAnswerRoutingPolicy")
        ),
        "fqdn": output(),
    },
    create=_create_record,
    read=_read_record,
    updates=(
        Update(
            properties=("type", "ttl", "records", "aliases", "healthCheckId", "setIdentifier", *_POLICIES),
            run=_update_record,
        ),
        kept("allowOverwrite"),
    ),
    delete=_delete_record,
    validate=_check_record,
    regional=False,
)


# Health check

# Route 53 API Reference, HealthCheckConfig: the properties that CreateHealthCheck takes as they are.
_CHECK_FIELDS = {
    "type": "Type",
    "childHealthThreshold": "HealthThreshold",
    "childHealthchecks": "ChildHealthChecks",
    "disabled": "Disabled",
    "enableSni": "EnableSNI",
    "failureThreshold": "FailureThreshold",
    "fqdn": "FullyQualifiedDomainName",
    "insufficientDataHealthStatus": "InsufficientDataHealthStatus",
    "invertHealthcheck": "Inverted",
    "ipAddress": "IPAddress",
    "measureLatency": "MeasureLatency",
    "port": "Port",
    "regions": "Regions",
    "requestInterval": "RequestInterval",
    "resourcePath": "ResourcePath",
    "searchString": "SearchString",
}
_ALARM_FIELDS = {"cloudwatchAlarmName": "Name", "cloudwatchAlarmRegion": "Region"}
# Route 53 API Reference, UpdateHealthCheck, ResetElements: what can be taken away.
_RESETTABLE = {name: _CHECK_FIELDS[name] for name in ("fqdn", "regions", "resourcePath", "childHealthchecks")}
# terraform-provider-aws sends these only when they are on: checks of some types refuse them.
_ONLY_WHEN_ON = ("disabled", "invertHealthcheck", "measureLatency")
# RECOVERY_CONTROL isn't part of the sandbox.
_CHECK_TYPES = ("HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP", "CALCULATED", "CLOUDWATCH_METRIC")
# Route 53 API Reference, HealthCheckConfig, Regions: where the checkers are.
_CHECKER_REGIONS = (
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
)


def _check_address(value: Json) -> str | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"expected an IP address, got {value!r}"
    return None


def _plain_address(value: Json) -> Json:
    return value if not isinstance(value, str) or _check_address(value) else str(ipaddress.ip_address(value))


def _check_regions(value: Json) -> str | None:
    return None if 3 <= len(value) <= 64 else f"expected 3 to 64 regions, got {len(value)}"


def _check_children(value: Json) -> str | None:
    return None if len(value) <= 256 else f"expected at most 256 health checks, got {len(value)}"


def _alarm(inputs: State) -> Json:
    return {key: inputs[name] for name, key in _ALARM_FIELDS.items() if inputs.get(name)} or None


def _check_config(inputs: State) -> Json:
    config = {
        key: inputs[name]
        for name, key in _CHECK_FIELDS.items()
        if name in inputs and (inputs[name] or name not in _ONLY_WHEN_ON)
    }
    alarm = _alarm(inputs)
    return {**config, "AlarmIdentifier": alarm} if alarm else config


def _zero(prop: Property) -> Json:
    """What terraform-provider-aws sends for a property that the program took away."""
    return {Kind.BOOLEAN: False, Kind.INTEGER: 0}.get(prop.kind, "")


def _update_check(aws: Aws, change: Change) -> None:
    wanted: dict[str, Json] = {}
    reset = [key for name, key in _RESETTABLE.items() if name in change.changed and is_empty(change.new.get(name))]
    if reset:
        wanted["ResetElements"] = reset
    for name, key in _CHECK_FIELDS.items():
        if name in change.changed and key not in reset:
            value = change.new.get(name)
            wanted[key] = _zero(HEALTH_CHECK.properties[name]) if value is None else value
    # A new trigger says that the alarm has changed: Route 53 takes over an alarm's settings when it is named again.
    if change.changed & {*_ALARM_FIELDS, "triggers"} and _alarm(change.new):
        wanted["AlarmIdentifier"] = _alarm(change.new)
    if wanted:
        aws.call("route53", "update_health_check", HealthCheckId=change.id, **wanted)


HEALTH_CHECK = ResourceType(
    token="aws:route53/healthCheck:HealthCheck",
    properties={
        "type": string(required=True, replaces=True, check=one_of(*_CHECK_TYPES)),
        "referenceName": string(replaces=True, check=length(0, 27)),
        "requestInterval": integer(replaces=True, check=one_of(10, 30)),
        "measureLatency": boolean(default=False, replaces=True),
        "failureThreshold": integer(1, 10, computed=True),
        "fqdn": string(check=length(0, 255)),
        "ipAddress": string(check=_check_address, normal=_plain_address),
        "port": integer(1, 65535),
        "resourcePath": string(check=length(0, 255)),
        "searchString": string(check=length(0, 255)),
        "enableSni": boolean(computed=True),
        "regions": string_set(one_of(*_CHECKER_REGIONS), check=_check_regions),
        "disabled": boolean(default=False),
        "invertHealthcheck": boolean(),
        "childHealthThreshold": integer(0, 256),
        "childHealthchecks": string_set(length(0, 64), check=_check_children),
        "cloudwatchAlarmName": string(),
        "cloudwatchAlarmRegion": string(),
        "insufficientDataHealthStatus": string(check=one_of("Healthy", "Unhealthy", "LastKnownStatus")),
        "triggers": string_map(computed=True),
        "arn": output(),
    },
    create=creating(
        Call(
            "route53", "create_health_check", {"CallerReference": _caller_reference, "HealthCheckConfig": _check_config}
        ),
        id="HealthCheck.Id",
    ),
    read=joining(
        reading(
            Call("route53", "get_health_check", {"HealthCheckId": ID}),
            result="HealthCheck.HealthCheckConfig",
            outputs={
                **_CHECK_FIELDS,
                **{name: f"AlarmIdentifier.{key}" for name, key in _ALARM_FIELDS.items()},
            },
            missing=("NoSuchHealthCheck",),
        ),
        lambda aws, id, state: {"arn": f"arn:aws:route53:::healthcheck/{id}"},
        _read_tags("healthcheck"),
    ),
    updates=(
        Update(
            properties=(
                *(name for name in _CHECK_FIELDS if name not in ("type", "requestInterval", "measureLatency")),
                *_ALARM_FIELDS,
                "triggers",
            ),
            run=_update_check,
        ),
        _tags_on_create("healthcheck"),
    ),
    delete=deleting(Call("route53", "delete_health_check", {"HealthCheckId": ID}), missing=("NoSuchHealthCheck",)),
    write_tags=_write_tags("healthcheck"),
    regional=False,
)
