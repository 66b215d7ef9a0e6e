"""Group `fleet`: a fleet survives the loss of a zone by itself, and carries the load that a lost peer sends it.

Sources: EC2 Auto Scaling user guide, "Health checks for instances in an Auto Scaling group" (a group that doesn't use
its balancer's checks keeps instances that run and don't serve), "Suspend and resume Amazon EC2 Auto Scaling processes";
AWS whitepaper "AWS Fault Isolation Boundaries", "Static stability" (what must be there at a failure is there before
it: launching is the control plane's work, and everybody launches then). So `min_size` counts, never `max_size`.
"""

from __future__ import annotations

import math
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
from lockstep_policies.health_checks import BALANCERS, RECORD
from lockstep_policies.view import UNKNOWN, Resource, Stack, dns_name_of, field, is_set, strings

GROUPS: Final = ("aws:autoscaling/group:Group",)
ATTACHMENTS: Final = (
    "aws:autoscaling/attachment:Attachment",
    "aws:autoscaling/trafficSourceAttachment:TrafficSourceAttachment",
)
SUBNETS: Final = ("aws:ec2/subnet:Subnet", "aws:ec2/defaultSubnet:DefaultSubnet")
TARGETS: Final = ("aws:lb/targetGroup:TargetGroup", "aws:alb/targetGroup:TargetGroup")
LISTENERS: Final = ("aws:lb/listener:Listener", "aws:alb/listener:Listener")

#: What puts a group behind a balancer: its own properties, and those of an attachment.
_BEHIND: Final = ("targetGroupArns", "trafficSources", "loadBalancers")
_ATTACHED: Final = ("lbTargetGroupArn", "trafficSource", "elb")

#: Without these processes a group doesn't replace what is dead.
NEEDED_PROCESSES: Final = frozenset({"Launch", "HealthCheck", "ReplaceUnhealthy", "AddToLoadBalancer"})
#: How far a record may point at a record that points at a record.
_MAX_INDIRECTIONS: Final = 5
_ROUTING: Final = ("weightedRoutingPolicies", "failoverRoutingPolicies", "latencyRoutingPolicies")


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """Configuration of the group, as the engine sends it."""

    minimum_zones: int
    load_instances: int | None

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> FleetSettings:
        """The settings in a policy's configuration, with the pack's defaults."""
        load = config.get("loadInstances")
        return cls(minimum_zones=int(config.get("minimumZones", 2)), load_instances=None if load is None else int(load))


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one site has ready and what Route 53 weighs it with. `ready` is a number, `UNKNOWN`, or None: not seen."""

    site: str
    resource: Resource
    ready: Any
    weight: int


class Fleets:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, settings: FleetSettings, findings: Findings) -> None:
        self._stack = stack
        self._settings = settings
        self._findings = findings
        self._attachments: dict[str, list[Resource]] = {}
        for attachment in stack.of(*ATTACHMENTS):
            for group in stack.referred(attachment, "autoscalingGroupName", GROUPS, by=("name", "id")):
                self._attachments.setdefault(group.urn, []).append(attachment)
        self._groups = [group for group in stack.of(*GROUPS) if self._serves(group)]
        self._targets_of = {group.urn: self._targets(group) for group in self._groups}
        # By URN of a target group or classic balancer: the groups that it reaches.
        self._reached: dict[str, list[Resource]] = {}
        for group in self._groups:
            for way in (*self._targets_of[group.urn], *self._classic(group)):
                self._reached.setdefault(way.urn, []).append(group)
        self._records = stack.of(RECORD)
        self._by_name: dict[str, list[Resource]] = {}
        for record in self._records:
            self._by_name.setdefault(dns_name_of(record.text("name") or ""), []).append(record)
        # By URN of the balancer: the target groups to which it sends.
        self._behind: dict[str, list[Resource]] = {}
        for listener in stack.of(*LISTENERS):
            targets = stack.referred(listener, "defaultActions", TARGETS, by=("arn", "id"))
            for balancer in stack.referred(listener, "loadBalancerArn", BALANCERS, by=("arn", "id")):
                self._behind.setdefault(balancer.urn, []).extend(targets)

    def run(self) -> None:
        """Judges every group that serves requests, and every set of records for what its members can carry."""
        for group in self._groups:
            for check in (
                self._judge_zones,
                self._judge_health_check,
                self._judge_processes,
                self._judge_targets,
                self._judge_ready,
            ):
                self._findings.guard(group, check, group)
        for members in self._sets():
            self._findings.guard(members[0], self._judge_set, members)
        self._findings.guard(self._stack.global_contract, self._judge_sites)

    # Which groups

    def _serves(self, group: Resource) -> bool:
        """Whether requests reach the group through a balancer. One that works off a queue isn't judged."""
        contract = self._stack.site_contract
        return (
            any(is_set(group.get(key)) for key in _BEHIND)
            or group.urn in self._attachments
            or (contract is not None and self._is_promised(contract, group))
        )

    def _is_promised(self, contract: Resource, group: Resource) -> bool:
        return group in self._stack.referred(contract, "fleetName", GROUPS, by=("name", "id"))

    def _is_empty_site(self) -> bool:
        """A site without a release is valid: everything but running instances."""
        contract = self._stack.site_contract
        return contract is not None and contract.get("release") is None

    # The group itself

    def _judge_zones(self, group: Resource) -> None:
        key, wanted = "vpcZoneIdentifiers", self._settings.minimum_zones
        listed = group.get(key)
        remedy = f"Give `vpc_zone_identifiers` subnets in {wanted} Availability Zones."
        if listed is None:
            self._judge_named_zones(group, remedy)
            return
        subnets = self._stack.referred(group, key, SUBNETS, by=("id",))
        zones = sorted({zone for subnet in subnets if (zone := _zone(subnet))})
        if isinstance(listed, list) and UNKNOWN not in listed and len(set(listed)) < wanted:
            self._findings.violation(
                "zones",
                group,
                f"it has {len(set(listed))} subnet, and a subnet is in one zone: the loss of that zone takes the "
                f"whole site down. {remedy}",
            )
        elif (
            len(zones) < wanted and subnets and all(_zone(subnet) for subnet in subnets) and not _more(listed, subnets)
        ):
            self._findings.violation(
                "zones",
                group,
                f"its {len(subnets)} subnets are all in {', '.join(zones)}: the loss of that zone takes the whole site "
                f"down. {remedy}",
            )
        elif listed is UNKNOWN or UNKNOWN in listed:
            self._findings.unproved(
                "zones", group, key, f"it can't be proved that it is in {wanted} zones", remedy=remedy
            )
        elif len(zones) < wanted:
            self._findings.advisory(
                "zones",
                group,
                f"it can't be seen in which zones its {len(listed)} subnets are, so it isn't proved that it is in "
                f"{wanted}. Declare the subnets in this program, with `availability_zone`.",
            )

    def _judge_named_zones(self, group: Resource, remedy: str) -> None:
        zones, wanted = group.get("availabilityZones"), self._settings.minimum_zones
        if zones is UNKNOWN or (isinstance(zones, list) and UNKNOWN in zones):
            self._findings.unproved(
                "zones",
                group,
                "availabilityZones",
                f"it can't be proved that it is in {wanted} zones",
                remedy=remedy,
            )
        elif zones is None or len(set(zones)) < wanted:
            found = ", ".join(sorted(set(zones or ()))) or "no zone that it names"
            self._findings.violation(
                "zones",
                group,
                f"it is in {found}; {wanted} are wanted, because the loss of one takes the whole site down. {remedy}",
            )

    def _judge_health_check(self, group: Resource) -> None:
        value = group.get("healthCheckType")
        remedy = 'Set `health_check_type="ELB"`.'
        if value is UNKNOWN:
            self._findings.unproved(
                "elb-check",
                group,
                "healthCheckType",
                "it can't be proved that it replaces instances that don't serve",
                remedy=remedy,
            )
        # A comma-separated list (API reference of EC2 Auto Scaling, CreateAutoScalingGroup).
        elif "ELB" not in {part.strip().upper() for part in (value or "EC2").split(",")}:
            self._findings.violation(
                "elb-check",
                group,
                f"`health_check_type` is {value or 'absent, so EC2'}: an instance that runs and answers no request is "
                f"healthy to it and is never replaced. {remedy}",
            )

    def _judge_processes(self, group: Resource) -> None:
        value = group.get("suspendedProcesses")
        remedy = "Take them out of `suspended_processes`."
        if value is UNKNOWN or (isinstance(value, list) and UNKNOWN in value):
            self._findings.unproved(
                "suspended",
                group,
                "suspendedProcesses",
                "it can't be proved that dead instances are replaced",
                remedy=remedy,
            )
            return
        stopped = sorted(NEEDED_PROCESSES & set(value or ()))
        if stopped:
            self._findings.violation(
                "suspended",
                group,
                f"its processes {', '.join(stopped)} are suspended, so what dies isn't replaced or isn't served. "
                f"{remedy}",
            )

    def _judge_targets(self, group: Resource) -> None:
        if group.urn not in self._attachments and not any(is_set(group.get(key)) for key in _BEHIND):
            self._findings.violation(
                "target-check",
                group,
                "it is the fleet that a contract promises, and no balancer sends it requests, or checks what it "
                "answers. Set `target_group_arns`.",
            )
        for targets in self._targets_of[group.urn]:
            enabled = field(targets.get("healthCheck"), "enabled")
            remedy = "Set `enabled` in `health_check` to True, or leave it out."
            if enabled is UNKNOWN:
                self._findings.unproved(
                    "target-check",
                    targets,
                    "healthCheck",
                    f"it can't be proved that {group!r} learns which instances serve",
                    remedy=remedy,
                )
            elif enabled is False:
                self._findings.violation(
                    "target-check",
                    targets,
                    f"its health check is off, so every target counts as healthy and {group!r} replaces none. {remedy}",
                )

    def _judge_ready(self, group: Resource) -> None:
        if self._is_empty_site():
            return
        ready, wanted = group.get("minSize"), self._settings.minimum_zones
        remedy = f"Set `min_size` to at least {wanted}, one for each zone."
        if ready is UNKNOWN:
            self._findings.unproved(
                "ready", group, "minSize", "it can't be proved how many instances it holds ready", remedy=remedy
            )
            return
        if (ready or 0) < wanted:
            self._findings.violation(
                "ready",
                group,
                f"`min_size` is {ready or 0}: it may shrink to so few instances that the loss of one zone leaves none, "
                f"and the whole site fails over for it. {remedy}",
            )
        contract = self._stack.site_contract
        promised = contract.get("readyInstances") if contract is not None else None
        if contract is not None and isinstance(promised, int) and promised > (ready or 0):
            self._findings.violation(
                "ready",
                contract,
                f"`readyInstances` promises {promised}, but {group!r} may shrink to {ready or 0}, and the others rely "
                f"on the promise. Set `min_size` to {promised}, or promise less.",
            )

    # What the members of a name can carry

    def _sets(self) -> list[list[Resource]]:
        found: dict[tuple[str, ...], list[Resource]] = {}
        for record in self._records:
            name = record.text("name")
            if name and any(is_set(record.get(key)) for key in _ROUTING):
                key = (str(record.text("zoneId")), dns_name_of(name), str(record.text("type")).upper())
                found.setdefault(key, []).append(record)
        return [members for members in found.values() if len(members) > 1]

    def _judge_set(self, members: list[Resource]) -> None:
        shares = []
        for record in members:
            groups = self._fleets_of(record)
            sizes = [group.get("minSize") for group in groups]
            if UNKNOWN in sizes:
                return  # already said, by rule ready
            weight = _weight(record)
            if weight is UNKNOWN:
                self._findings.unproved(
                    "capacity",
                    record,
                    "weightedRoutingPolicies",
                    "it can't be proved that each site carries what a lost one sends it",
                    remedy="Set `weight` to a plain number.",
                )
                return
            ready = sum(size or 0 for size in sizes) if groups else None
            shares.append(Share(site=record.name, resource=(groups or [record])[0], ready=ready, weight=weight))
        self._judge_shares(shares, self._settings.load_instances)

    def _judge_sites(self) -> None:
        contract = self._stack.global_contract
        ready = contract.get("readyInstances") if contract is not None else None
        if contract is None or not isinstance(ready, dict):
            return
        weights = {record.text("setIdentifier"): _weight(record) for record in self._records}
        running = contract.get("releases")
        sites = [
            site
            for site in contracts.sites(self._stack)
            # A site without a release has no instances, and says so by its absence.
            if site in ready or (isinstance(running, dict) and site in running)
        ]
        promised = contract.get("loadInstances")
        load = self._settings.load_instances or (promised if isinstance(promised, int) else None)
        shares = [
            Share(
                site=site,
                resource=contract,
                ready=ready.get(site),
                weight=weight if isinstance(weight := weights.get(site, 1), int) else 1,
            )
            for site in sites
        ]
        self._judge_shares(shares, load)

    def _judge_shares(self, shares: list[Share], load: int | None) -> None:
        """Every site must hold ready what it gets when any other is lost; without a number for the whole load, the
        largest fleet says what the whole load needs.
        """
        seen = [share.ready for share in shares if is_known(share.ready)]
        if not seen or len(shares) < 2:
            return
        whole = load or max(seen)
        for share in shares:
            needed, lost = max((_sent(share, other, shares, whole), other.site) for other in shares if other != share)
            if not is_known(share.ready):
                self._findings.advisory(
                    "capacity",
                    share.resource,
                    f"it can't be seen how many instances site {share.site} holds ready, so it isn't proved that it "
                    f"carries the load when {lost} is lost ({needed} of {whole} instances).",
                )
            elif share.ready < needed:
                self._findings.violation(
                    "capacity",
                    share.resource,
                    f"site {share.site} holds {share.ready} instances ready and has weight {share.weight}: when {lost} "
                    f"is lost it gets the load of {needed} of {whole} instances, and nobody can count on launching "
                    f"more then. Set `min_size` to {needed}, or lower its weight, or say what the whole load needs "
                    "(`loadInstances`).",
                )

    # From a record to the fleet that answers

    def _fleets_of(self, record: Resource) -> list[Resource]:
        balancers = self._balancers(record, 0)
        ways = [balancer.urn for balancer in balancers]
        ways += [target.urn for balancer in balancers for target in self._behind.get(balancer.urn, [])]
        return list(dict.fromkeys(group for way in ways for group in self._reached.get(way, [])))

    def _targets(self, group: Resource) -> list[Resource]:
        named = [(group, key) for key in _BEHIND[:2]] + [
            (attachment, key) for attachment in self._attachments.get(group.urn, []) for key in _ATTACHED[:2]
        ]
        found = [
            targets for owner, key in named for targets in self._stack.referred(owner, key, TARGETS, by=("arn", "id"))
        ]
        return list(dict.fromkeys(found))

    def _classic(self, group: Resource) -> list[Resource]:
        named = [(group, "loadBalancers")] + [
            (attachment, "elb") for attachment in self._attachments.get(group.urn, [])
        ]
        return [
            balancer
            for owner, key in named
            for balancer in self._stack.referred(owner, key, BALANCERS, by=("name", "id"))
        ]

    def _balancers(self, record: Resource, depth: int) -> list[Resource]:
        found = []
        for key in ("aliases", "records"):
            found += self._stack.referred(record, key, BALANCERS, by=("dnsName",))
            if depth < _MAX_INDIRECTIONS:
                targets = {dns_name_of(target) for target in strings(record.get(key))}
                others = [other for target in targets for other in self._by_name.get(target, [])]
                for other in others or record.sources(key, {RECORD}):
                    if other is not record:
                        found += self._balancers(other, depth + 1)
        return list(dict.fromkeys(found))


def _sent(share: Share, lost: Share, shares: list[Share], whole: int) -> int:
    """Instances whose load a site gets when another one is lost. Only weights of 0 left means equal shares."""
    left = [other for other in shares if other != lost]
    total = sum(other.weight for other in left)
    return math.ceil(whole * share.weight / total) if total else math.ceil(whole / len(left))


def _weight(record: Resource) -> Any:
    """The record's weight; 1 where the routing policy has none, as the other site then takes everything."""
    policies = record.get("weightedRoutingPolicies")
    weight = field(policies, "weight")
    return 1 if policies is None or weight is None else weight


def _zone(subnet: Resource) -> str | None:
    return subnet.text("availabilityZone") or subnet.text("availabilityZoneId")


def _more(listed: Any, subnets: list[Resource]) -> bool:
    """Whether the group has subnets that this program doesn't show."""
    return isinstance(listed, list) and len(set(listed) - {UNKNOWN}) > len(subnets)


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    Fleets(Stack(args.resources), FleetSettings.read(args.get_config()), findings).run()


fleets_policy = StackValidationPolicy(
    name="fleets-carry-the-load",
    display_name="Fleets carry the load",
    description="Fleets behind a balancer survive a zone, replace what doesn't serve, and can take a lost peer's load.",
    validate=judged_by("fleet", _judge),
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["disaster-recovery", "autoscaling"],
    remediation_steps=(
        'Give the group subnets in two zones or more and `health_check_type="ELB"`, and hold ready with `min_size` '
        "what the site gets when another one is lost."
    ),
    url="https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/static-stability.html",
    config_schema=PolicyConfigSchema(
        properties={
            "minimumZones": {
                "type": "integer",
                "minimum": 1,
                "default": 2,
                "description": "Availability Zones over which a fleet must spread, and instances that it must hold.",
            },
            "loadInstances": {
                "type": "integer",
                "minimum": 1,
                "description": (
                    "Instances that the whole load needs. Without it: the contract's number, else the largest fleet's."
                ),
            },
            "exemptions": EXEMPTIONS_SCHEMA,
        }
    ),
)
