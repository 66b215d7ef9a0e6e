"""Group `traffic`: every record that shares a name has a health check that takes a dead site out in time.

Sources: Route 53 developer guide, "How Amazon Route 53 chooses records when health checking is configured", "Values
specific for weighted records", "Choosing between alias and non-alias records" (an alias has no TTL of its own; 60
seconds for balancers).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from lockstep_policies import contracts
from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, is_known, judged_by
from lockstep_policies.global_types import is_global
from lockstep_policies.health_checks import (
    ALARM_TYPE,
    BALANCERS,
    CALCULATED,
    CHECK,
    RECORD,
    SWITCH_TYPE,
    HealthChecks,
    kind,
)
from lockstep_policies.view import (
    UNKNOWN,
    Resource,
    Stack,
    balancer_region,
    dns_name_of,
    field,
)

ZONE: Final = "aws:route53/zone:Zone"

#: Wire names of the routing policies of a record, and what Route 53 calls them.
ROUTING: Final = {
    "weightedRoutingPolicies": "weighted",
    "failoverRoutingPolicies": "failover",
    "latencyRoutingPolicies": "latency",
    "geolocationRoutingPolicies": "geolocation",
    "geoproximityRoutingPolicy": "geoproximity",
    "cidrRoutingPolicy": "IP-based",
    "multivalueAnswerRoutingPolicy": "multivalue",
}
ALIAS_TTL_SECONDS: Final = 60
#: Recovery time by which a program without an objective is judged: AWS's default check (3 x 30 s) and a TTL of 60 s
#: pass.
DEFAULT_RTO_SECONDS: Final = 180
#: How far a record may point at a record that points at a record, before its region counts as not visible.
MAX_INDIRECTIONS: Final = 5
#: What a switch counts as while its alarm says nothing: it holds what it was told.
SWITCH_WITHOUT_DATA: Final = "LastKnownStatus"


@dataclass(frozen=True, kw_only=True)
class TrafficSettings:
    """Configuration of the group, as the engine sends it."""

    rto_seconds: float | None
    minimum_members: int
    minimum_regions: int

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> TrafficSettings:
        """The settings in a policy's configuration, with the pack's defaults."""
        return cls(
            rto_seconds=config.get("rtoSeconds"),
            minimum_members=int(config.get("minimumMembers", 2)),
            minimum_regions=int(config.get("minimumRegions", 2)),
        )

    def rto_for(self, stack: Stack) -> float:
        """The stricter of the contract's objective and the configured one, in seconds."""
        promised = [value for value in (contracts.rto_seconds(stack), self.rto_seconds) if value is not None]
        return min(promised, default=DEFAULT_RTO_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A record that shares its name with others by a routing policy."""

    record: Resource
    routing: str

    @property
    def is_last_resort(self) -> bool:
        """Whether Route 53 serves it only when the others are red, so that it needs no check of its own."""
        return bool(field(self.record.get("failoverRoutingPolicies"), "type") == "SECONDARY")


class Traffic:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, settings: TrafficSettings, findings: Findings) -> None:
        self._stack = stack
        self._settings = settings
        self._findings = findings
        self._checks = HealthChecks(stack, findings)
        self._records = stack.of(RECORD)
        self._rto = settings.rto_for(stack)
        self._check_of: dict[str, Resource] = {}
        self._names_of = {record.urn: self._read_names(record) for record in self._records}
        self._by_name: dict[str, list[Resource]] = {}
        for record in self._records:
            for name in self._names_of[record.urn]:
                self._by_name.setdefault(name, []).append(record)

    def run(self) -> None:
        """Judges every record, every check that a record uses, every set of records, and the contract's promise."""
        members = self._members()
        for member in members:
            self._findings.guard(member.record, self._judge_check_of, member)
        for member in members:
            self._findings.guard(member.record, self._judge_own_name, member)
            self._findings.guard(member.record, self._judge_budget, member)
            self._findings.guard(member.record, self._judge_alarm_region, member)
            if self._stack.global_contract is not None:
                self._findings.guard(member.record, self._judge_drain_switch, member)
        for group in self._sets(members).values():
            self._findings.guard(group[0].record, self._judge_set, group)
        routed = {member.record.urn: member for member in members}
        for record in self._records:
            if record.urn not in routed:
                self._findings.guard(record, self._judge_simple, record, routed)
        self._findings.guard(self._stack.global_contract, self._judge_sites, members)

    # Members

    def _members(self) -> list[Member]:
        found = []
        for record in self._records:
            routing = next((label for key, label in ROUTING.items() if _is_set(record.get(key))), None)
            if routing is not None:
                found.append(Member(record=record, routing=routing))
        return found

    def _judge_check_of(self, member: Member) -> None:
        record = member.record
        value = record.get("healthCheckId")
        if value is None:
            self._judge_without_check(member)
            return
        candidates = self._checks.named(record, "healthCheckId", value)
        if len(candidates) == 1:
            self._check_of[record.urn] = candidates[0]
            self._checks.judge(candidates[0])
            if value is UNKNOWN:
                self._findings.advisory(
                    "health-check",
                    record,
                    f"`healthCheckId` is known only after the update (it comes from {candidates[0]!r}, which is "
                    "judged here).",
                )
            return
        means = "it can't be proved that a dead site loses its traffic"
        remedy = "Set `health_check_id` to the id of one `aws.route53.HealthCheck` of this program."
        if value is UNKNOWN:
            self._findings.unproved("health-check", record, "healthCheckId", means, types={CHECK}, remedy=remedy)
        else:
            self._findings.violation(
                "health-check", record, f"`health_check_id` names no health check of this program, so {means}. {remedy}"
            )

    def _judge_without_check(self, member: Member) -> None:
        evaluates = field(member.record.get("aliases"), "evaluateTargetHealth")
        remedy = "Set `health_check_id` to a check of this site's own endpoint"
        if evaluates is UNKNOWN:
            self._findings.unproved(
                "health-check",
                member.record,
                "aliases",
                "it can't be proved that the alias evaluates its target's health",
                remedy=f"{remedy}, or `evaluate_target_health=True`.",
            )
        elif not evaluates and not member.is_last_resort:
            alias = (
                ", or `evaluate_target_health=True` in `aliases`" if member.record.get("aliases") is not None else ""
            )
            self._findings.violation(
                "health-check",
                member.record,
                f"this {member.routing} record has no health check, so Route 53 counts it as healthy for ever and a "
                f"dead site keeps its traffic. {remedy}{alias}.",
            )

    def _judge_own_name(self, member: Member) -> None:
        check = self._check_of.get(member.record.urn)
        if check is None:
            return
        names = self._names(member.record)
        for endpoint in self._checks.endpoints(check):
            # With an address, `fqdn` is only the Host header, and the shared name is then the right one.
            if endpoint.get("ipAddress") is None and self._asks_name(endpoint, member.record, names):
                self._findings.violation(
                    "check-own-name",
                    member.record,
                    f"its health check {endpoint!r} asks the record's own name, which the other members answer too, "
                    "so a dead site looks healthy. Set the check's `fqdn` to a name that only this site has.",
                )

    def _asks_name(self, endpoint: Resource, record: Resource, names: set[str]) -> bool:
        asked = endpoint.get("fqdn")
        if isinstance(asked, str):
            return self._is_one_of(dns_name_of(asked), record, names)
        return any(names & self._names(source) for source in endpoint.sources("fqdn", {RECORD}))

    def _is_one_of(self, asked: str, record: Resource, names: set[str]) -> bool:
        if asked in names:
            return True
        # A relative name ("www") is completed by the zone's name. Without the zone in sight, NAME.anything is that
        # name.
        relative = record.get("name")
        return (
            isinstance(relative, str)
            and self._zone_name(record) is None
            and asked.startswith(f"{dns_name_of(relative)}.")
        )

    def _judge_budget(self, member: Member) -> None:
        record = member.record
        check = self._check_of.get(record.urn)
        if check is None:
            return
        detection = self._checks.detection_seconds(check)
        if detection is None:
            self._judge_never_red(check)
            return
        ttl = ALIAS_TTL_SECONDS if record.get("aliases") is not None else record.get("ttl")
        if ttl is UNKNOWN:
            self._findings.unproved(
                "budget",
                record,
                "ttl",
                "its part of the recovery time can't be proved",
                remedy="Set `ttl` to a plain number.",
            )
        elif detection is UNKNOWN:
            self._findings.advisory(
                "budget",
                record,
                f"the time in which {check!r} detects a dead site isn't known or not visible in this program, so it "
                f"can't be compared with the {self._rto:g} s objective.",
            )
        elif detection + (ttl or 0) > self._rto:
            self._findings.violation(
                "budget",
                record,
                f"a dead site is noticed after {detection:g} s (failure threshold x interval) and resolvers keep the "
                f"old answer for {ttl or 0:g} s more (TTL): {detection + (ttl or 0):g} s, above the objective of "
                f"{self._rto:g} s. Lower"
                " `failure_threshold`, `request_interval` (10 or 30) or `ttl`, or raise the objective.",
            )

    def _judge_never_red(self, check: Resource) -> None:
        parts = {kind(part) for part in self._checks.tree(check)}
        if parts <= {SWITCH_TYPE, "CALCULATED"}:
            reason = (
                "it is only a switch, so nothing turns it red when the site dies. Combine it with a check of the "
                "endpoint."
            )
        elif not check.get("childHealthThreshold"):
            return  # already said, by rule check-threshold
        else:
            reason = (
                "it stays green when every endpoint in it is red, because its other children are enough for the "
                "threshold. Set `child_health_threshold` to the number of children."
            )
        self._findings.violation("check-never-red", check, reason)

    def _judge_alarm_region(self, member: Member) -> None:
        check = self._check_of.get(member.record.urn)
        if check is None or self._checks.endpoints(check):
            return
        site = self._region(member.record)
        for alarm in self._checks.tree(check):
            at_risk = kind(alarm) == ALARM_TYPE and is_known(site) and alarm.get("cloudwatchAlarmRegion") == site
            if at_risk and alarm.get("insufficientDataHealthStatus") in {"Healthy", "LastKnownStatus"}:
                self._findings.violation(
                    "alarm-dies-with-site",
                    alarm,
                    f"it is the only kind of check of a site in {site}, its alarm is in that region too, and without "
                    "data it stays as it was: when the region dies nothing turns red. Set "
                    "`insufficient_data_health_status` to Unhealthy, or put the alarm in another region.",
                )

    def _judge_drain_switch(self, member: Member) -> None:
        """A person has to be able to take traffic off a site whose region is lost, or half lost."""
        record = member.record
        check = self._check_of.get(record.urn)
        if check is None:
            return
        remedy = (
            "Make it a calculated check, and list in its `child_healthchecks` one of type CLOUDWATCH_METRIC whose alarm"
            " is in another site's region, with `insufficient_data_health_status` LastKnownStatus."
        )
        parts = self._checks.tree(check)
        if any(kind(part) == SWITCH_TYPE for part in parts):
            return
        switches = [part for part in parts if part is not check and kind(part) == ALARM_TYPE]
        if (
            kind(check) == CALCULATED
            and not switches
            and _has_hidden_children(check, len(self._checks.children(check)))
        ):
            self._findings.unproved(
                "drain-switch",
                check,
                "childHealthchecks",
                "it can't be proved that the site can be drained",
                types={CHECK},
                remedy=remedy,
            )
        elif not switches:
            self._findings.violation(
                "drain-switch",
                record,
                f"its health check {check!r} has no drain switch under it, so that nobody can take traffic off the "
                f"site by order. {remedy}",
            )
        elif not any(self._holds(switch, self._site_region(record)) for switch in switches):
            for switch in switches:
                self._judge_switch(switch, self._site_region(record))

    def _site_region(self, record: Resource) -> Any:
        """The region of the site that a record is of, by the contract, else by where it leads."""
        identifier = record.get("setIdentifier")
        found = contracts.site_region(self._stack, identifier) if isinstance(identifier, str) else None
        return self._region(record) if found is None else found

    def _holds(self, switch: Resource, site: Any) -> bool:
        region = switch.get("cloudwatchAlarmRegion")
        return (
            is_known(site)
            and is_known(region)
            and region != site
            and switch.get("insufficientDataHealthStatus") == SWITCH_WITHOUT_DATA
        )

    def _judge_switch(self, switch: Resource, site: Any) -> None:
        region, status = switch.get("cloudwatchAlarmRegion"), switch.get("insufficientDataHealthStatus")
        for key, value in (("cloudwatchAlarmRegion", region), ("insufficientDataHealthStatus", status)):
            if value is UNKNOWN:
                self._findings.unproved(
                    "drain-switch",
                    switch,
                    key,
                    "it can't be proved that it takes traffic off a site whose region is lost",
                    remedy="Set it to a plain string.",
                )
        if not is_known(site):
            self._findings.advisory(
                "drain-switch",
                switch,
                "the region of the site that it drains isn't known yet, so it can't be proved that the alarm is in "
                "another one.",
            )
        elif region == site:
            self._findings.violation(
                "drain-switch",
                switch,
                f"its alarm is in {site}, the region of the site that it drains: when that region is lost nobody can "
                "throw it. Put the alarm into another site's region, and set `cloudwatch_alarm_region` to that.",
            )
        if status is not UNKNOWN and status != SWITCH_WITHOUT_DATA:
            self._findings.violation(
                "drain-switch",
                switch,
                f"`insufficient_data_health_status` isn't {SWITCH_WITHOUT_DATA}: minutes after somebody drains the "
                f"site the switch has no data, and forgets what it was told. Set it to {SWITCH_WITHOUT_DATA}.",
            )

    # Sets

    def _sets(self, members: list[Member]) -> dict[tuple[str, ...], list[Member]]:
        found: dict[tuple[str, ...], list[Member]] = {}
        for member in members:
            name, record_type = member.record.get("name"), member.record.get("type")
            if not isinstance(name, str) or not isinstance(record_type, str):
                self._findings.unproved(
                    "set",
                    member.record,
                    "name" if not isinstance(name, str) else "type",
                    "it can't be proved that the record has a partner",
                    remedy="Set it to a plain string.",
                )
                continue
            found.setdefault((self._zone_key(member.record), dns_name_of(name), record_type.upper()), []).append(member)
        return found

    def _judge_set(self, group: list[Member]) -> None:
        self._findings.guard(group[0].record, self._judge_members, group)
        self._findings.guard(group[0].record, self._judge_identifiers, group)
        self._findings.guard(group[0].record, self._judge_ttls, group)
        self._findings.guard(group[0].record, self._judge_weights, group)
        self._findings.guard(group[0].record, self._judge_regions, group)
        self._findings.guard(group[0].record, self._judge_sharing, group)
        self._findings.guard(group[0].record, self._judge_swapped, group)

    def _judge_members(self, group: list[Member]) -> None:
        record = group[0].record
        if len(group) < self._settings.minimum_members:
            self._findings.violation(
                "set-too-small",
                record,
                f"the name has {len(group)} {group[0].routing} record of this type, {self._settings.minimum_members} "
                "are wanted: when this one is red Route 53 serves it all the same. Declare the other site's record "
                "with the same name and type, or set `minimumMembers` if another program does.",
            )
        kinds = sorted({member.routing for member in group})
        if len(kinds) > 1:
            self._findings.violation(
                "set-mixed",
                record,
                f"the records of its name and type use different routing policies ({', '.join(kinds)}), which Route "
                "53 refuses. Use one.",
            )

    def _judge_identifiers(self, group: list[Member]) -> None:
        seen: dict[Any, Resource] = {}
        for member in group:
            identifier = member.record.get("setIdentifier")
            if identifier is UNKNOWN:
                continue
            if identifier is None:
                self._findings.violation(
                    "set-identifier",
                    member.record,
                    "it has no `set_identifier`. Set a fixed one, for example the site's name.",
                )
            elif identifier in seen:
                self._findings.violation(
                    "set-identifier",
                    member.record,
                    f"it has the `set_identifier` of {seen[identifier]!r}, so one overwrites the other. Give each "
                    "member its own.",
                )
            else:
                seen[identifier] = member.record

    def _judge_ttls(self, group: list[Member]) -> None:
        by_ttl: dict[int, Resource] = {}
        for member in group:
            ttl = member.record.get("ttl")
            if isinstance(ttl, int) and member.record.get("aliases") is None:
                by_ttl.setdefault(ttl, member.record)
        if len(by_ttl) > 1:
            values = ", ".join(f"{ttl} s ({record.name})" for ttl, record in sorted(by_ttl.items()))
            self._findings.violation(
                "set-ttl",
                group[0].record,
                f"the records of its name and type have different TTLs: {values}; Route 53 wants one for all. Set the "
                "same `ttl`.",
            )

    def _judge_weights(self, group: list[Member]) -> None:
        weights = [
            field(member.record.get("weightedRoutingPolicies"), "weight")
            for member in group
            if member.routing == "weighted"
        ]
        if len(weights) < 2 or not all(isinstance(weight, int) for weight in weights):
            return
        serving = sum(weight > 0 for weight in weights)
        if serving == 0:
            self._findings.violation(
                "set-weights",
                group[0].record,
                "every weight of the name is 0, which Route 53 treats as equal weights: nothing is switched off. "
                "Give the serving sites a weight above 0.",
            )
        elif serving == 1:
            self._findings.advisory(
                "set-weights",
                group[0].record,
                "only one member has a weight above 0. The others take over when its check is red (weight 0 means "
                "last resort, not off), but carry no traffic until then, so nobody knows that they can.",
            )

    def _judge_regions(self, group: list[Member]) -> None:
        regions = [self._region(member.record) for member in group]
        known = sorted({region for region in regions if is_known(region)})
        if len(known) >= self._settings.minimum_regions or len(group) < 2:
            return
        hidden = [member.record for member, region in zip(group, regions, strict=True) if not is_known(region)]
        if not hidden:
            self._findings.violation(
                "set-regions",
                group[0].record,
                f"all {len(group)} records of its name and type lead to {', '.join(known)}; "
                f"{self._settings.minimum_regions} regions are"
                " wanted, because the loss of one takes the name down. Point a member at a site in another region.",
            )
        else:
            self._findings.advisory(
                "set-regions",
                group[0].record,
                f"it can't be seen in which regions the records of its name lead ({', '.join(map(repr, hidden))}), so "
                f"it isn't proved that they cover {self._settings.minimum_regions}.",
            )

    def _judge_sharing(self, group: list[Member]) -> None:
        users: dict[str, list[Member]] = {}
        parts: dict[str, Resource] = {}
        for member in group:
            check = self._check_of.get(member.record.urn)
            for part in self._checks.tree(check) if check else []:
                parts[part.urn] = part
                users.setdefault(part.urn, []).append(member)
        for urn, members in users.items():
            if len(members) > 1:
                names = ", ".join(member.record.name for member in members)
                self._findings.violation(
                    "check-shared",
                    parts[urn],
                    f"it decides for several members of one name ({names}): they turn red together, and then Route 53 "
                    "serves all of them, the dead one included. Give each member a check of its own site.",
                )

    def _judge_swapped(self, group: list[Member]) -> None:
        for member in group:
            check = self._check_of.get(member.record.urn)
            for endpoint in self._checks.endpoints(check) if check else []:
                asked = _origins(endpoint, ("fqdn", "ipAddress"))
                if asked & _origins(member.record, ("records", "aliases")):
                    continue
                for other in group:
                    if other is not member and asked & _origins(other.record, ("records", "aliases")):
                        self._findings.violation(
                            "check-of-other-site",
                            member.record,
                            f"its health check {endpoint!r} asks the endpoint of {other.record!r}: when that site "
                            "dies this one is taken out. Watch this record's own target.",
                        )

    # Where a record leads

    def _region(self, record: Resource, depth: int = 0) -> Any:
        """The region to which the record leads; None if that can't be seen."""
        for key, part in (("latencyRoutingPolicies", "region"), ("geoproximityRoutingPolicy", "awsRegion")):
            declared = field(record.get(key), part)
            if is_known(declared):
                return declared
        targets = _targets(record)
        for target in targets:
            by_name = contracts.site_region_of(self._stack, target) or balancer_region(target)
            if by_name:
                return by_name
        if depth >= MAX_INDIRECTIONS:
            return None
        for key in ("records", "aliases"):
            for source in record.sources(key):
                region = self._region(source, depth + 1) if source.type == RECORD else _own_region(source)
                if is_known(region):
                    return region
        for target in targets:
            for other in self._by_name.get(target, []):
                if other is not record:
                    return self._region(other, depth + 1)
        return None

    def _names(self, record: Resource) -> set[str]:
        return self._names_of[record.urn]

    def _read_names(self, record: Resource) -> set[str]:
        name, full = record.get("name"), record.get("fqdn")
        names = {dns_name_of(value) for value in (name, full) if isinstance(value, str)}
        zone = self._zone_name(record)
        if zone is not None and isinstance(name, str) and not f".{dns_name_of(name)}".endswith(f".{zone}"):
            names.add(f"{dns_name_of(name)}.{zone}")
        return names

    def _zone_name(self, record: Resource) -> str | None:
        zones = record.sources("zoneId", {ZONE})
        name = zones[0].get("name") if len(zones) == 1 else None
        return dns_name_of(name) if isinstance(name, str) else None

    def _zone_key(self, record: Resource) -> str:
        zones = record.sources("zoneId", {ZONE})
        if zones:
            return zones[0].urn
        zone = record.get("zoneId")
        return zone if isinstance(zone, str) else "?"

    # Simple records, and the contract

    def _judge_simple(self, record: Resource, routed: Mapping[str, Member]) -> None:
        names = self._names(record)
        same_name = [other for name in names for other in self._by_name[name] if other.urn in routed]
        partner = next((other for other in same_name if _conflict(record, other)), None)
        if partner is not None:
            self._findings.violation(
                "simple-record",
                record,
                f"it has no routing policy but the name of {partner!r}; Route 53 refuses both together, and "
                "alone it can't fail over. Add a routing policy with a health check, or remove it.",
            )
        elif self._leads_elsewhere(record, names):
            self._findings.violation(
                "own-name",
                record,
                "it is one site's own name but leads to a balancer in another site's region, so that site's health "
                "check watches the other one. Point it at the site's own balancer.",
            )
        elif self._bypasses_failover(record, names):
            self._findings.violation(
                "simple-record",
                record,
                "it leads to one site's balancer under a name that isn't the site's own, so traffic by that name "
                "doesn't fail over. Let clients use the application's name, or make the record a member of a "
                "weighted set with a health check.",
            )

    def _leads_elsewhere(self, record: Resource, names: set[str]) -> bool:
        site = next((region for name in names if (region := contracts.site_region_of(self._stack, name))), None)
        found = {region for target in _targets(record) if (region := balancer_region(target))}
        return site is not None and bool(found) and found != {site}

    def _bypasses_failover(self, record: Resource, names: set[str]) -> bool:
        if not self._stack.has_contract or names & contracts.own_names(self._stack):
            return False
        if names & contracts.application_names(self._stack):
            return True
        balancers = record.sources("aliases", BALANCERS) or record.sources("records", BALANCERS)
        leads = any(
            balancer_region(target) or contracts.is_own_name(self._stack, target) for target in _targets(record)
        )
        return bool(balancers) or leads

    def _judge_sites(self, members: list[Member]) -> None:
        contract = self._stack.global_contract
        if contract is None:
            return
        for site in contracts.sites(self._stack):
            if not any(member.record.get("setIdentifier") == site for member in members):
                self._findings.violation(
                    "site-without-record",
                    contract,
                    f"site {site} of `lockstep:sites` has no routed record with `set_identifier` {site}: it gets no "
                    "traffic, and nothing fails over to it. Declare its weighted record with its health check.",
                )


def _has_hidden_children(check: Resource, declared: int) -> bool:
    """Whether a calculated check has children whose ids aren't known and that no resource in sight is."""
    ids = check.get("childHealthchecks")
    return ids is UNKNOWN or (isinstance(ids, list) and UNKNOWN in ids and declared < len(ids))


def _own_region(resource: Resource) -> Any:
    """Where a resource is; None for one of a global service, whose provider's region says nothing."""
    return None if is_global(resource.type) else resource.region


def _is_set(value: Any) -> bool:
    return value is UNKNOWN or bool(value)


def _conflict(record: Resource, other: Resource) -> bool:
    types = {record.get("type"), other.get("type")}
    # A CNAME excludes every other record of its name (RFC 1034, section 3.6.2).
    return len(types) == 1 or "CNAME" in types


def _targets(record: Resource) -> list[str]:
    """Names and addresses to which the record leads, as far as they are known."""
    alias = field(record.get("aliases"), "name")
    values = record.get("records")
    listed = values if isinstance(values, list) else []
    # An alias to a balancer may carry the prefix that the console adds for IPv6.
    return [dns_name_of(value).removeprefix("dualstack.") for value in (alias, *listed) if isinstance(value, str)]


def _origins(resource: Resource, keys: tuple[str, ...]) -> set[str]:
    """What a property says or comes from: names, addresses and URNs, to compare two resources by."""
    found = set()
    for key in keys:
        found |= {source.urn for source in resource.sources(key)}
        value = resource.get(key)
        if isinstance(value, str):
            found.add(dns_name_of(value))
    if resource.type == RECORD:
        found |= set(_targets(resource))
    return found


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    stack, config = Stack(args.resources), args.get_config()
    Traffic(stack, TrafficSettings.read(config), findings).run()


traffic_policy = StackValidationPolicy(
    name="traffic-fails-over",
    display_name="Traffic leaves a dead site",
    description="Records that share a name have health checks that take a dead site out of service in time.",
    validate=judged_by("traffic", _judge),
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.CRITICAL,
    tags=["disaster-recovery", "route53"],
    remediation_steps=(
        "Give every record with a routing policy a `health_check_id` of an `aws.route53.HealthCheck` that asks the "
        "site's own name, isn't disabled, inverted or shared, and has `failure_threshold` x `request_interval` + "
        "`ttl` within the objective."
    ),
    url="https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover.html",
    config_schema=PolicyConfigSchema(
        properties={
            "rtoSeconds": {
                "type": "number",
                "minimum": 1,
                "description": (
                    "Recovery time objective of reads, in seconds. The contract's objective holds too; the smaller "
                    f"one counts. Without either: {DEFAULT_RTO_SECONDS}."
                ),
            },
            "minimumMembers": {
                "type": "integer",
                "minimum": 1,
                "default": 2,
                "description": (
                    "Records that a name with a routing policy needs in this stack. 1 if each site's stack declares "
                    "its own."
                ),
            },
            "minimumRegions": {
                "type": "integer",
                "minimum": 1,
                "default": 2,
                "description": "Regions to which the records of one name must lead.",
            },
            "exemptions": EXEMPTIONS_SCHEMA,
        }
    ),
)
