"""What Route 53 is told of the application's name, and whether it can take traffic off a site that fails. Reads only.

Rule: what is configured is compared with what is declared (`components/traffic.py`); which site gets traffic at this
moment isn't asked. All of it is Route 53's control plane, which is in us-east-1 alone: without it nobody can tell what
is configured, while answers and health checks go on (Developer Guide, "Resilience in Amazon Route 53").
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lockstep import drain_switch
from lockstep.config import Config, RecordType
from lockstep.config.naming import drain_alarm_name
from lockstep.regions import RegionFailure, classify

CONTROL_PLANE: Final = "us-east-1"

_RESTORE: Final = "`pulumi refresh -s global` shows what was changed by hand, and `lockstep up` then restores it"
_STAYS: Final = "so that traffic stays on the site when it fails"
# A CNAME has no others beside it; addresses are those of aliases.
_TYPES: Final = ("CNAME", "A", "AAAA")
# API reference, ListHealthChecks. An account has 200 unless it asks for more (Developer Guide, "Quotas").
_CHECKS_AT_ONCE: Final = "1000"

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class WantedSite:
    """One site as it is declared: its own name, its share, and its drain switch: an alarm, and that one's region."""

    domain: str
    weight: int
    alarm: str
    alarm_region: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Traffic as it is declared: the application's name in a zone, and its sites. `path` is what checks ask for."""

    zone: str
    domain: str
    path: str
    sites: Mapping[str, WantedSite]
    is_alias: bool = False

    @classmethod
    def of(cls, config: Config) -> "Wanted":
        """As `config` has it."""
        return cls(
            zone=config.zone,
            domain=config.domain,
            path=config.health_check.path,
            is_alias=config.record_type is RecordType.ALIAS,
            sites={
                site.name: WantedSite(
                    domain=site.domain,
                    weight=site.weight,
                    alarm=drain_alarm_name(config.application, site.name),
                    alarm_region=config.peer_of(site).region,
                )
                for site in config.sites
            },
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of the application's name. `target` is the name that it leads to, an alias's its balancer's.

    One without routing has no `site`.
    """

    site: str | None
    weight: int | None
    check_id: str | None
    target: str
    is_alias: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """A health check. `target` and `path` are what an endpoint check asks, `children` and `threshold` a calculated
    check's, the rest is of one that follows an alarm: `followed` is its copy of the alarm's settings.
    """

    type: str
    disabled: bool = False
    inverted: bool = False
    target: str = ""
    path: str = ""
    children: tuple[str, ...] = ()
    threshold: int = 0
    alarm: str = ""
    alarm_region: str = ""
    without_data: str = ""
    followed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What Route 53 says: None is what it doesn't, and `failures` have why. A zone that isn't there has no id."""

    zone_id: str | None
    records: tuple[Record, ...] | None
    checks: Mapping[str, Check] | None
    failures: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SiteTraffic:
    """One site's record: its weight and its health check, None if it has none, and what is wrong with them."""

    weight: int | None = None
    check_id: str | None = None
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return {"weight": self.weight, "check_id": self.check_id, "problems": list(self.problems)}


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Each site's, none of them if nobody can tell, and what is wrong with no site of its own."""

    sites: Mapping[str, SiteTraffic] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read(client: Callable[[str, str], Any], wanted: Wanted) -> Found:
    """Ask Route 53: three calls. Never raises for AWS: what it doesn't say is part of the answer."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        listing = pool.submit(_ask, lambda: _checks(client("route53", CONTROL_PLANE)))
        reading = pool.submit(_ask, lambda: _records(client("route53", CONTROL_PLANE), wanted))
    checks, no_checks = listing.result()
    found, no_records = reading.result()
    zone_id, records = found or (None, None)
    failures = tuple(failure for failure in (no_records, no_checks) if failure is not None)
    return Found(zone_id=zone_id, records=records, checks=checks, failures=failures)


def _ask(work: Callable[[], Result]) -> tuple[Result | None, RegionFailure | None]:
    try:
        return work(), None
    except (BotoCoreError, ClientError) as error:
        return None, classify(CONTROL_PLANE, error)


def _records(route53: Any, wanted: Wanted) -> tuple[str | None, tuple[Record, ...]]:
    """The public zone's id, and the records of the application's name: those of one name follow each other."""
    # Zones are listed by name from the one that is asked for on; names that are equal may be of private zones.
    zones = route53.list_hosted_zones_by_name(DNSName=wanted.zone)["HostedZones"]
    public = [
        zone for zone in zones if zone["Name"] == f"{wanted.zone}." and not zone.get("Config", {}).get("PrivateZone")
    ]
    if not public:
        return None, ()
    zone_id = str(public[0]["Id"]).rpartition("/")[2]
    records: list[Record] = []
    pages = route53.get_paginator("list_resource_record_sets")
    for page in pages.paginate(HostedZoneId=zone_id, StartRecordName=wanted.domain):
        for each in page["ResourceRecordSets"]:
            if each["Name"] != f"{wanted.domain}.":
                return zone_id, tuple(records)
            if each["Type"] in _TYPES:
                records.append(_record(each))
    return zone_id, tuple(records)


def _record(each: Mapping[str, Any]) -> Record:
    values = [value["Value"] for value in each.get("ResourceRecords", ())]
    target = each["AliasTarget"]["DNSName"] if "AliasTarget" in each else ", ".join(values)
    return Record(
        site=each.get("SetIdentifier"),
        weight=each.get("Weight"),
        check_id=each.get("HealthCheckId"),
        target=target.rstrip(".").lower(),
        is_alias="AliasTarget" in each,
    )


def _checks(route53: Any) -> Mapping[str, Check]:
    pages = route53.get_paginator("list_health_checks").paginate(PaginationConfig={"PageSize": _CHECKS_AT_ONCE})
    return {each["Id"]: _check(each) for page in pages for each in page["HealthChecks"]}


def _check(each: Mapping[str, Any]) -> Check:
    config = each["HealthCheckConfig"]
    alarm = config.get("AlarmIdentifier", {})
    return Check(
        type=config["Type"],
        disabled=config.get("Disabled", False),
        inverted=config.get("Inverted", False),
        # With an address the name is only a header.
        target=config.get("IPAddress") or config.get("FullyQualifiedDomainName", "").rstrip(".").lower(),
        path=config.get("ResourcePath", "/"),
        children=tuple(config.get("ChildHealthChecks", ())),
        threshold=config.get("HealthThreshold", 0),
        alarm=alarm.get("Name", ""),
        alarm_region=alarm.get("Region", ""),
        without_data=config.get("InsufficientDataHealthStatus", ""),
        followed=each.get("CloudWatchAlarmConfiguration", {}),
    )


def judge(found: Found, wanted: Wanted) -> Traffic:
    """What is wrong with traffic: pure."""
    problems = _unknown(found)
    if found.records is None:
        return Traffic(problems=tuple(problems))
    if found.zone_id is None:
        problems.append(
            f"this account has no public hosted zone {wanted.zone}, so that {wanted.domain} can't lead to any site: "
            "log in to the account that has it, or correct lockstep:zone in Pulumi.yaml"
        )
    elif not any(record.weight is not None for record in found.records):
        problems.append(
            f"{wanted.domain} has no weighted record in the zone {wanted.zone} ({found.zone_id}), so that nobody gets "
            "to a site by it: run `lockstep up`"
        )
    else:
        problems += _strange(found.records, found.zone_id, wanted)
        return Traffic(
            sites={name: _site(name, found.records, found.checks, wanted) for name in wanted.sites},
            problems=tuple(problems),
        )
    return Traffic(sites=dict.fromkeys(wanted.sites, SiteTraffic()), problems=tuple(problems))


def _unknown(found: Found) -> list[str]:
    """What isn't known, and why; a control plane that is gone is said once."""
    if not found.failures:
        return []
    unread = [name for name, what in (("records", found.records), ("health checks", found.checks)) if what is None]
    first, *others = found.failures
    failures = [first, *(other for other in others if other.kind is not first.kind)]
    why = "; ".join(f"{failure.text}; {failure.remedy}" for failure in failures)
    return [
        f"what Route 53's {' and '.join(unread)} are isn't known. It goes on answering and checking as it was last "
        f"told, so that traffic still moves by itself: {why}"
    ]


def _strange(records: tuple[Record, ...], zone_id: str, wanted: Wanted) -> list[str]:
    """Records that are no site's; Pulumi takes away only what it made."""
    return [
        f"{wanted.domain} also leads to {record.target} (set identifier {record.site}, weight {record.weight}), which "
        "is no site: run `lockstep up`, and if it is still there, it was made by hand: delete it where "
        f"`aws route53 list-resource-record-sets --hosted-zone-id {zone_id} --start-record-name {wanted.domain}` "
        "shows it"
        for record in records
        if record.site not in wanted.sites
    ]


def _site(name: str, records: tuple[Record, ...], checks: Mapping[str, Check] | None, wanted: Wanted) -> SiteTraffic:
    own = [record for record in records if record.site == name]
    if not own:
        gap = f"{wanted.domain} has no record for it in Route 53, so that it gets no traffic"
        return SiteTraffic(problems=(f"{gap}: {_RESTORE}",))
    site = wanted.sites[name]
    gaps = []
    for record in own:
        gaps += [
            *_of_record(record, site, is_alias=wanted.is_alias),
            *_of_check(record.check_id, checks, name, site, wanted.path),
        ]
    return SiteTraffic(
        weight=own[0].weight,
        check_id=own[0].check_id,
        # An alias has one record for each kind of address.
        problems=tuple(f"{gap}: {_RESTORE}" for gap in dict.fromkeys(gaps)),
    )


def _of_record(record: Record, site: WantedSite, *, is_alias: bool) -> list[str]:
    gaps = []
    if record.weight is None:
        gaps.append("its record in Route 53 has no weight, and is routed by something else")
    elif record.weight != site.weight:
        gaps.append(f"Route 53 has weight {record.weight} for it, and config has {site.weight}")
    if record.is_alias is not is_alias:
        found, meant = ("an alias", "cname") if record.is_alias else ("no alias", "alias")
        gaps.append(f"its record in Route 53 is {found}, and lockstep:recordType is {meant}")
    if not record.is_alias and record.target != site.domain:
        gaps.append(f"its record in Route 53 leads to {record.target}, and not to {site.domain}, which is checked")
    return gaps


def _of_check(
    check_id: str | None, checks: Mapping[str, Check] | None, name: str, site: WantedSite, path: str
) -> list[str]:
    if check_id is None:
        return [f"its record in Route 53 has no health check and counts as healthy for ever, {_STAYS}"]
    if checks is None:
        return []
    check = checks.get(check_id)
    if check is None:
        # API reference, DeleteHealthCheck: "the future status of the health check can't be predicted and may change".
        return [
            f"its record in Route 53 has the health check {check_id}, which doesn't exist any more: AWS doesn't say "
            "what that counts as, and if it is healthy, traffic stays on the site when it fails"
        ]
    gaps = _of_switches(f"its health check {check_id}", check)
    if check.type != "CALCULATED":
        gaps.append(f"its health check {check_id} is of type {check.type}, and CALCULATED is declared")
        return gaps
    missing = [
        f"its health check {check_id} counts on {child}, which doesn't exist any more, so that nobody can tell what it "
        "says"
        for child in check.children
        if child not in checks
    ]
    under = {child: checks[child] for child in check.children if child in checks}
    gaps += [*missing, *_of_endpoints(check_id, under, site, path, complete=not missing)]
    gaps += _of_drain_switch(check_id, under, name, site, complete=not missing)
    if not missing and check.threshold != len(check.children):
        gaps.append(
            f"its health check {check_id} counts as healthy with {check.threshold} of its {len(check.children)} "
            "children, and all of them are declared"
        )
    return gaps


def _of_switches(what: str, check: Check) -> list[str]:
    """API reference, HealthCheckConfig: a disabled check is healthy for ever, and an inverted one then unhealthy."""
    if check.disabled and check.inverted:
        return [f"{what} is disabled and inverted: it counts as failing for ever, and keeps traffic off the site"]
    if check.disabled:
        return [f"{what} is disabled and counts as healthy for ever, {_STAYS}"]
    if check.inverted:
        return [f"{what} is inverted: traffic leaves the site while it is well, and comes when it fails"]
    return []


def _of_endpoints(
    check_id: str, under: Mapping[str, Check], site: WantedSite, path: str, *, complete: bool
) -> list[str]:
    """What is wrong with what asks the site; one that isn't there is told only of `complete` children."""
    what = f"its health check {check_id}"
    gaps = []
    asking = {child: each for child, each in under.items() if each.target}
    own = {child: each for child, each in asking.items() if each.target == site.domain}
    if not own and asking:
        others = ", ".join(sorted(each.target for each in asking.values()))
        gaps.append(f"{what} asks {others}, and not {site.domain}: it tells of another place than the site")
    elif not own and complete:
        gaps.append(f"{what} has no endpoint check under it: nothing asks whether {site.domain} answers")
    for child, each in own.items():
        gaps += _of_switches(f"the endpoint check {child} of {site.domain}", each)
        if each.path != path:
            gaps.append(f"the endpoint check {child} of {site.domain} asks for {each.path}, and config has {path}")
    return gaps


def _of_drain_switch(
    check_id: str, under: Mapping[str, Check], name: str, site: WantedSite, *, complete: bool
) -> list[str]:
    """What keeps `lockstep drain` from taking traffic off the site."""
    command = f"`lockstep drain {name}`"
    alarms = {child: each for child, each in under.items() if each.alarm}
    own = {
        child: each
        for child, each in alarms.items()
        if (each.alarm, each.alarm_region) == (site.alarm, site.alarm_region)
    }
    if not own and alarms:
        others = ", ".join(sorted(f"{each.alarm} in {each.alarm_region}" for each in alarms.values()))
        return [
            f"its health check {check_id} follows the alarm {others}, and not its drain switch {site.alarm} in "
            f"{site.alarm_region}, so that {command} does nothing"
        ]
    if not own and complete:
        return [f"its health check {check_id} has no drain switch under it, so that {command} does nothing"]
    return [
        gap
        for child, each in own.items()
        for gap in _of_alarm_check(f"the check {child} of its drain switch", each, name)
    ]


def _of_alarm_check(what: str, check: Check, name: str) -> list[str]:
    gaps = []
    if check.disabled and check.inverted:
        gaps.append(f"{what} is disabled and inverted: it counts as drained for ever, and keeps traffic off the site")
    elif check.disabled:
        gaps.append(f"{what} is disabled and counts as healthy for ever, so that `lockstep drain {name}` does nothing")
    elif check.inverted:
        gaps.append(f"{what} is inverted: traffic comes when the site is drained, and leaves it when it isn't")
    if check.without_data != drain_switch.WITHOUT_DATA:
        gaps.append(
            f"{what} counts as {check.without_data} without data, and {drain_switch.WITHOUT_DATA} is declared: it "
            "holds what it was told for minutes only"
        )
    wanted = drain_switch.followed(name)
    strange = {key: check.followed.get(key) for key, value in wanted.items() if check.followed.get(key) != value}
    if strange:
        found = ", ".join(f"{key} {value}" for key, value in strange.items())
        gaps.append(f"{what} follows other data than `lockstep drain {name}` writes ({found})")
    return gaps
