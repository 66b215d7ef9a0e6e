"""Group `traffic`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_policies import health_checks, traffic
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources, without
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, Provider, analyze
from tests.policies.programs import CHECK, FRANKFURT, IRELAND, RECORD, balancer_name

POLICY = "traffic-fails-over"


def case(rule: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(rule=f"traffic/{rule}", what=what, damage=damage, base=options.pop("base", programs.traffic), **options)


def alias_member(site: str, *, evaluate: Any, check: bool) -> Any:
    """Turns a member into an alias of its balancer, with or without its health check."""

    def damage(program: Program) -> None:
        member = program[f"{site}-member"]
        name = program[f"{site}-alb"].props["dnsName"]
        member.props["type"] = "A"
        member.props["aliases"] = [{"name": name, "zoneId": "Z3", "evaluateTargetHealth": evaluate}]
        member.props["ttl"] = 0
        member.sources["aliases"] = [program[f"{site}-alb"]]
        for key in ("records",) if check else ("records", "healthCheckId"):
            member.props.pop(key)
            member.sources.pop(key)

    return damage


def aliases(*, evaluate: Any, check: bool) -> Any:
    return both(*(alias_member(site, evaluate=evaluate, check=check) for site in programs.SITES))


def routing(policy: str, **by_site: Any) -> Any:
    """Gives the members another routing policy."""

    def damage(program: Program) -> None:
        for site in programs.SITES:
            member = program[f"{site}-member"]
            del member.props["weightedRoutingPolicies"]
            member.props[policy] = by_site[site]

    return damage


def alarm_check(site: str, **settings: Any) -> Any:
    """Replaces a member's calculated check by one of a CloudWatch alarm."""

    def damage(program: Program) -> None:
        check = program[f"{site}-check"]
        check.sources.clear()
        check.props = {
            "id": check.props["id"],
            "type": "CLOUDWATCH_METRIC",
            "cloudwatchAlarmName": f"{site}-alive",
            "cloudwatchAlarmRegion": "eu-west-3",
            "insufficientDataHealthStatus": "Unhealthy",
        } | settings
        program.add(programs.ALARM, f"{site}-alarm", {"name": f"{site}-alive", "period": 60, "evaluationPeriods": 1})

    return damage


def second_child(site: str, threshold: int, **settings: Any) -> Any:
    """Adds a switch as a second child to a calculated check, as a drain switch will be."""

    def damage(program: Program) -> None:
        switch = program.add(
            CHECK,
            f"{site}-switch",
            {
                "id": f"switch-{site}",
                "type": "CLOUDWATCH_METRIC",
                "cloudwatchAlarmName": f"{site}-drain",
                "cloudwatchAlarmRegion": programs.SITES["secondary"],
                "insufficientDataHealthStatus": "LastKnownStatus",
            }
            | settings,
        )
        check = program[f"{site}-check"]
        check.props["childHealthchecks"] = [f"endpoint-{site}", f"switch-{site}"]
        check.props["childHealthThreshold"] = threshold
        check.sources["childHealthchecks"].append(switch)

    return damage


def promised_check(site: str, check_id: str) -> Any:
    """Has the contract name another check of a site."""

    def damage(program: Program) -> None:
        contract = program["contract"]
        contract.props["healthCheckIds"] = contract.props["healthCheckIds"] | {site: check_id}

    return damage


def own_alarm_too(site: str) -> Any:
    """Adds an alarm in the site's own region as a third child."""

    def damage(program: Program) -> None:
        alarm = program.add(
            CHECK,
            f"{site}-errors",
            {
                "id": f"errors-{site}",
                "type": "CLOUDWATCH_METRIC",
                "cloudwatchAlarmName": f"{site}-errors",
                "cloudwatchAlarmRegion": programs.SITES[site],
                "insufficientDataHealthStatus": "Healthy",
            },
        )
        check = program[f"{site}-check"]
        check.props["childHealthchecks"] = [*check.props["childHealthchecks"], f"errors-{site}"]
        check.props["childHealthThreshold"] = 3
        check.sources["childHealthchecks"].append(alarm)

    return damage


def second_name(program: Program) -> None:
    """Gives the sites a second weighted name that follows the same checks."""
    for site in programs.SITES:
        member = program[f"{site}-member"]
        program.add(RECORD, f"{site}-shop", member.props | {"name": "shop.example.com", "fqdn": ""}, member.sources)


def in_zone(program: Program) -> None:
    """Gives the members relative names in a zone that the program declares."""
    zone = program.add(traffic.ZONE, "zone", {"name": "example.com", "zoneId": "Z1"})
    for site in programs.SITES:
        member = program[f"{site}-member"]
        member.props |= {"name": "app", "fqdn": ""}
        member.sources["zoneId"] = [zone]


def plain(name: str, record_type: str) -> Any:
    """Adds a record without a routing policy."""

    def damage(program: Program) -> None:
        program.add(RECORD, "plain", {"name": name, "type": record_type, "zoneId": "Z1", "records": ["x"], "ttl": 30})

    return damage


ENDPOINT = "primary-endpoint"
CALCULATED = "primary-check"
MEMBER = "primary-member"

CASES = [
    # A record has a check
    case("health-check", "fails: none", props(MEMBER, healthCheckId=None), on=MEMBER, says="no health check"),
    case(
        "health-check",
        "absent: reported as an empty text",
        both(props(MEMBER, healthCheckId=None), props(MEMBER, healthCheckId="")),
        on=MEMBER,
        says="`health_check_id`",
    ),
    case(
        "health-check",
        "fails: latency record",
        both(
            routing("latencyRoutingPolicies", primary=[{"region": IRELAND}], secondary=[{"region": FRANKFURT}]),
            props(MEMBER, healthCheckId=None),
        ),
        on=MEMBER,
        says="latency",
    ),
    case(
        "health-check",
        "fails: geolocation record",
        both(
            routing("geolocationRoutingPolicies", primary=[{"country": "IE"}], secondary=[{"country": "*"}]),
            props(MEMBER, healthCheckId=None),
        ),
        on=MEMBER,
        says="geolocation",
    ),
    case(
        "health-check",
        "fails: geoproximity record",
        both(
            routing("geoproximityRoutingPolicy", primary={"awsRegion": IRELAND}, secondary={"awsRegion": FRANKFURT}),
            props(MEMBER, healthCheckId=None),
        ),
        on=MEMBER,
        says="geoproximity",
    ),
    case(
        "health-check",
        "fails: IP-based record",
        both(
            routing(
                "cidrRoutingPolicy",
                primary={"collectionId": "c", "locationName": "a"},
                secondary={"collectionId": "c", "locationName": "b"},
            ),
            props(MEMBER, healthCheckId=None),
        ),
        on=MEMBER,
        says="IP-based",
    ),
    case(
        "health-check",
        "fails: multivalue record",
        both(routing("multivalueAnswerRoutingPolicy", primary=True, secondary=True), props(MEMBER, healthCheckId=None)),
        on=MEMBER,
        says="multivalue",
    ),
    case(
        "health-check",
        "fails: first of a failover pair",
        both(
            routing("failoverRoutingPolicies", primary=[{"type": "PRIMARY"}], secondary=[{"type": "SECONDARY"}]),
            props(MEMBER, healthCheckId=None),
        ),
        on=MEMBER,
        says="failover",
    ),
    case(
        "health-check",
        "near miss: last resort of a failover pair",
        both(
            routing("failoverRoutingPolicies", primary=[{"type": "PRIMARY"}], secondary=[{"type": "SECONDARY"}]),
            props("secondary-member", healthCheckId=None),
        ),
        outcome=PASSES,
    ),
    case(
        "health-check",
        "near miss: simple record without a check",
        props("primary-own", healthCheckId=None),
        outcome=PASSES,
    ),
    case(
        "health-check",
        "near miss: alias that evaluates its target",
        aliases(evaluate=True, check=False),
        outcome=PASSES,
    ),
    case(
        "health-check",
        "fails: alias that doesn't evaluate its target",
        aliases(evaluate=False, check=False),
        on=MEMBER,
        says="`evaluate_target_health=True`",
    ),
    case("health-check", "near miss: alias with a check instead", aliases(evaluate=False, check=True), outcome=PASSES),
    case(
        "health-check",
        "unknown: alias evaluation from a resource",
        aliases(evaluate=UNKNOWN, check=False),
        outcome=ADVISORY,
        on=MEMBER,
        says="aliases",
    ),
    case(
        "health-check",
        "fails: id that names no check here",
        both(props(MEMBER, healthCheckId=None), props(MEMBER, healthCheckId="0a1b2c")),
        on=MEMBER,
        says="names no health check of this program",
    ),
    case(
        "health-check",
        "unknown: from a check that passes",
        props(MEMBER, healthCheckId=UNKNOWN),
        outcome=ADVISORY,
        on=MEMBER,
        says="HealthCheck primary-check",
    ),
    case(
        "health-check",
        "unknown: from another stack",
        both(props(MEMBER, healthCheckId=UNKNOWN), sources(MEMBER, "healthCheckId", OUTSIDE)),
        outcome=ADVISORY,
        on=MEMBER,
        says="another stack",
    ),
    case(
        "health-check",
        "unknown: from a resource that is no check",
        both(props(MEMBER, healthCheckId=UNKNOWN), sources(MEMBER, "healthCheckId", "primary-alb")),
        on=MEMBER,
        says="comes from no resource that can be judged",
    ),
    case(
        "health-check",
        "unknown: from nowhere",
        both(props(MEMBER, healthCheckId=None), props(MEMBER, healthCheckId=UNKNOWN)),
        on=MEMBER,
    ),
    case(
        "health-check",
        "absent: left out by the provider although set",
        both(lambda p: p[MEMBER].props.pop("healthCheckId")),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    # The check can turn red
    case("check-disabled", "fails", props(ENDPOINT, disabled=True), on=ENDPOINT, says="Set `disabled=False`"),
    case("check-disabled", "fails: the calculated one", props(CALCULATED, disabled=True), on=CALCULATED),
    case(
        "check-disabled",
        "near miss: a check that no record uses",
        lambda p: p.add(CHECK, "spare", {"type": "HTTP", "fqdn": "x.example.com", "disabled": True}),
        outcome=PASSES,
    ),
    case("check-disabled", "absent", props(ENDPOINT, disabled=None), outcome=PASSES),
    case(
        "check-disabled",
        "unknown: from a resource",
        both(props(ENDPOINT, disabled=UNKNOWN), sources(ENDPOINT, "disabled", "primary-own")),
        outcome=ADVISORY,
        on=ENDPOINT,
    ),
    case(
        "check-inverted",
        "fails",
        props(ENDPOINT, invertHealthcheck=True),
        on=ENDPOINT,
        says="Set `invert_healthcheck=False`",
    ),
    case(
        "check-inverted",
        "near miss: a check that no record uses",
        lambda p: p.add(CHECK, "spare", {"type": "HTTP", "fqdn": "x.example.com", "invertHealthcheck": True}),
        outcome=PASSES,
    ),
    case("check-inverted", "absent", props(ENDPOINT, invertHealthcheck=None), outcome=PASSES),
    case(
        "check-inverted",
        "unknown: from a resource",
        both(props(ENDPOINT, invertHealthcheck=UNKNOWN), sources(ENDPOINT, "invertHealthcheck", "primary-own")),
        outcome=ADVISORY,
        on=ENDPOINT,
    ),
    case(
        "check-type",
        "fails",
        props(ENDPOINT, type="PING"),
        on=ENDPOINT,
        says="none that Route 53 has",
        also=("traffic/check-never-red",),
    ),
    case("check-type", "near miss: lower case", props(ENDPOINT, type="https"), outcome=PASSES),
    case("check-type", "absent", props(ENDPOINT, type=None), on=ENDPOINT, also=("traffic/check-never-red",)),
    case(
        "check-type",
        "unknown: from a resource",
        both(props(ENDPOINT, type=UNKNOWN), sources(ENDPOINT, "type", "primary-own")),
        outcome=ADVISORY,
        on=ENDPOINT,
    ),
    # The endpoint
    case(
        "check-endpoint",
        "absent: neither name nor address",
        props(ENDPOINT, fqdn=None),
        on=ENDPOINT,
        says="neither `fqdn` nor `ip_address`",
    ),
    case(
        "check-endpoint",
        "fails: private address",
        props(ENDPOINT, ipAddress="10.1.2.3"),
        on=ENDPOINT,
        says="isn't a public address",
    ),
    case("check-endpoint", "fails: shared address space", props(ENDPOINT, ipAddress="100.64.0.1"), on=ENDPOINT),
    case("check-endpoint", "fails: text for an address", props(ENDPOINT, ipAddress="primary"), on=ENDPOINT),
    case("check-endpoint", "near miss: public address", props(ENDPOINT, ipAddress="9.9.9.9"), outcome=PASSES),
    case(
        "check-endpoint",
        "fails: internal balancer by its name",
        props(ENDPOINT, fqdn="internal-app-1.eu-west-1.elb.amazonaws.com"),
        on=ENDPOINT,
        says="private name",
    ),
    case("check-endpoint", "fails: private zone", props(ENDPOINT, fqdn="app.service.internal"), on=ENDPOINT),
    case(
        "check-endpoint",
        "near miss: a public name that only contains the word",
        props(ENDPOINT, fqdn="internal.example.com"),
        outcome=PASSES,
    ),
    case(
        "check-endpoint",
        "fails: balancer with private addresses",
        both(
            props(ENDPOINT, fqdn=UNKNOWN), sources(ENDPOINT, "fqdn", "primary-alb"), props("primary-alb", internal=True)
        ),
        on=ENDPOINT,
        says="LoadBalancer primary-alb",
    ),
    case(
        "check-endpoint",
        "near miss: balancer with public addresses",
        both(props(ENDPOINT, fqdn=UNKNOWN), sources(ENDPOINT, "fqdn", "primary-alb")),
        outcome=ADVISORY,
        on=ENDPOINT,
    ),
    case(
        "check-endpoint",
        "fails: relative path",
        props(ENDPOINT, resourcePath="healthz"),
        on=ENDPOINT,
        says="begin with `/`",
    ),
    case("check-endpoint", "near miss: no path, which is /", props(ENDPOINT, resourcePath=None), outcome=PASSES),
    case(
        "check-endpoint",
        "absent: TCP without a port",
        props(ENDPOINT, type="TCP", port=None),
        on=ENDPOINT,
        says="`port`",
    ),
    case("check-endpoint", "near miss: TCP with a port", props(ENDPOINT, type="TCP"), outcome=PASSES),
    case(
        "check-endpoint",
        "unknown: name from the site's record",
        props(ENDPOINT, fqdn=UNKNOWN),
        outcome=ADVISORY,
        on=ENDPOINT,
        says="Record primary-own",
    ),
    case(
        "check-endpoint",
        "unknown: name from nowhere",
        both(props(ENDPOINT, fqdn=None), props(ENDPOINT, fqdn=UNKNOWN)),
        on=ENDPOINT,
    ),
    case(
        "check-endpoint",
        "unknown: address from a resource",
        both(props(ENDPOINT, ipAddress=UNKNOWN), sources(ENDPOINT, "ipAddress", "primary-alb")),
        outcome=ADVISORY,
        on=ENDPOINT,
    ),
    case("check-search-string", "absent", props(ENDPOINT, type="HTTP_STR_MATCH"), on=ENDPOINT, says="`search_string`"),
    case("check-search-string", "fails: HTTPS too", props(ENDPOINT, type="HTTPS_STR_MATCH"), on=ENDPOINT),
    case("check-search-string", "near miss: another type needs none", props(ENDPOINT, type="HTTPS"), outcome=PASSES),
    case(
        "check-search-string",
        "near miss: given",
        props(ENDPOINT, type="HTTP_STR_MATCH", searchString="ready"),
        outcome=PASSES,
    ),
    case(
        "check-search-string",
        "unknown: from a resource",
        both(
            props(ENDPOINT, type="HTTP_STR_MATCH", searchString=UNKNOWN),
            sources(ENDPOINT, "searchString", "primary-own"),
        ),
        outcome=PASSES,
    ),
    # Calculated checks
    case(
        "check-threshold",
        "fails: 0",
        props(CALCULATED, childHealthThreshold=0),
        on=CALCULATED,
        says="always considers the check healthy",
    ),
    case(
        "check-threshold",
        "absent",
        props(CALCULATED, childHealthThreshold=None),
        on=CALCULATED,
        says="`child_health_threshold=1`",
    ),
    case(
        "check-threshold",
        "fails: more than there are children",
        props(CALCULATED, childHealthThreshold=2),
        on=CALCULATED,
        says="unhealthy",
    ),
    case("check-threshold", "near miss: two of two", second_child("primary", 2), outcome=PASSES),
    case(
        "check-threshold",
        "unknown: from a resource",
        both(
            props(CALCULATED, childHealthThreshold=UNKNOWN), sources(CALCULATED, "childHealthThreshold", "primary-own")
        ),
        outcome=ADVISORY,
        on=CALCULATED,
    ),
    case(
        "check-never-red",
        "fails: a switch alone keeps it green",
        second_child("primary", 1),
        on=CALCULATED,
        says="`child_health_threshold`",
    ),
    case(
        "check-never-red",
        "near miss: one of two endpoints may die",
        second_child("primary", 1, type="HTTP", fqdn="two.primary.example.com"),
        outcome=PASSES,
    ),
    case(
        "check-never-red",
        "fails: routing control alone",
        props(ENDPOINT, type="RECOVERY_CONTROL", fqdn=None),
        on=CALCULATED,
        says="only a switch",
    ),
    case(
        "check-children",
        "absent",
        props(CALCULATED, childHealthchecks=None),
        on=CALCULATED,
        says="calculated from nothing",
        also=("traffic/check-never-red",),
    ),
    case(
        "check-children",
        "fails: a child that isn't here",
        props(CALCULATED, childHealthchecks=["endpoint-primary", "0a1b2c"], childHealthThreshold=2),
        on=CALCULATED,
        says="only 1 of its 2 children",
    ),
    case("check-children", "near miss: two that are here", second_child("primary", 2), outcome=PASSES),
    case(
        "check-children",
        "unknown: from another stack",
        both(props(CALCULATED, childHealthchecks=[UNKNOWN]), sources(CALCULATED, "childHealthchecks", OUTSIDE)),
        outcome=ADVISORY,
        on=CALCULATED,
        says="another stack",
    ),
    # Alarms
    case(
        "check-alarm",
        "absent: name",
        alarm_check("primary", cloudwatchAlarmName=""),
        on=CALCULATED,
        says="`cloudwatch_alarm_name`",
    ),
    case(
        "check-alarm",
        "absent: region",
        alarm_check("primary", cloudwatchAlarmRegion=""),
        on=CALCULATED,
        says="`cloudwatch_alarm_region`",
    ),
    case("check-alarm", "near miss: both", alarm_check("primary"), outcome=PASSES),
    case(
        "check-insufficient-data",
        "absent",
        alarm_check("primary", insufficientDataHealthStatus=""),
        on=CALCULATED,
        says="isn't chosen",
    ),
    case(
        "check-insufficient-data",
        "fails: no such status",
        alarm_check("primary", insufficientDataHealthStatus="Fine"),
        on=CALCULATED,
    ),
    case(
        "check-insufficient-data",
        "near miss: chosen",
        alarm_check("primary", insufficientDataHealthStatus="Healthy"),
        outcome=PASSES,
    ),
    case(
        "check-insufficient-data",
        "near miss: an endpoint check needs none",
        props(ENDPOINT, insufficientDataHealthStatus=None),
        outcome=PASSES,
    ),
    case(
        "check-insufficient-data",
        "unknown: from a resource",
        both(
            alarm_check("primary", insufficientDataHealthStatus=UNKNOWN),
            sources(CALCULATED, "insufficientDataHealthStatus", "primary-own"),
        ),
        outcome=PASSES,
    ),
    case(
        "alarm-dies-with-site",
        "fails: alarm in the site's region, last status kept",
        alarm_check("primary", cloudwatchAlarmRegion=IRELAND, insufficientDataHealthStatus="LastKnownStatus"),
        on=CALCULATED,
        says=IRELAND,
    ),
    case(
        "alarm-dies-with-site",
        "near miss: without data unhealthy",
        alarm_check("primary", cloudwatchAlarmRegion=IRELAND),
        outcome=PASSES,
    ),
    case(
        "alarm-dies-with-site",
        "near miss: alarm in the other region",
        alarm_check("primary", cloudwatchAlarmRegion=FRANKFURT, insufficientDataHealthStatus="LastKnownStatus"),
        outcome=PASSES,
    ),
    # Whose check it is
    case("check-own-name", "fails", props(ENDPOINT, fqdn="app.example.com"), on=MEMBER, says="own name"),
    case("check-own-name", "fails: other case, final dot", props(ENDPOINT, fqdn="APP.example.com."), on=MEMBER),
    case(
        "check-own-name",
        "unknown: it comes from another member",
        both(props(ENDPOINT, fqdn=UNKNOWN), sources(ENDPOINT, "fqdn", "secondary-member")),
        on=MEMBER,
        says="own name",
    ),
    case(
        "check-own-name",
        "fails: relative name completed by the zone",
        both(
            props(MEMBER, name="app", fqdn=None),
            props("secondary-member", name="app", fqdn=None),
            props(ENDPOINT, fqdn="app.example.com"),
        ),
        on=MEMBER,
    ),
    case(
        "check-own-name",
        "near miss: with an address the name is only the Host header",
        props(ENDPOINT, fqdn="app.example.com", ipAddress="9.9.9.9"),
        outcome=PASSES,
    ),
    case("check-own-name", "near miss: a name below it", props(ENDPOINT, fqdn="eu.app.example.com"), outcome=PASSES),
    case("check-own-name", "absent: no name", props(ENDPOINT, fqdn=None, ipAddress="9.9.9.9"), outcome=PASSES),
    case(
        "check-shared",
        "fails: one calculated check for both",
        both(
            props("secondary-member", healthCheckId="check-primary"),
            sources("secondary-member", "healthCheckId", CALCULATED),
        ),
        on=CALCULATED,
        says="primary-member, secondary-member",
        also=("traffic/check-of-other-site",),
    ),
    case(
        "check-shared",
        "fails: one endpoint below two calculated checks",
        both(
            props("secondary-check", childHealthchecks=["endpoint-primary"]),
            sources("secondary-check", "childHealthchecks", ENDPOINT),
        ),
        on=ENDPOINT,
        also=("traffic/check-of-other-site",),
    ),
    case("check-shared", "near miss: one check for two names of a site", second_name, outcome=PASSES),
    case(
        "check-of-other-site",
        "fails: swapped",
        both(
            props(ENDPOINT, fqdn="secondary.app.example.com"),
            sources(ENDPOINT, "fqdn", "secondary-own"),
            props("secondary-endpoint", fqdn="primary.app.example.com"),
            sources("secondary-endpoint", "fqdn", "primary-own"),
        ),
        on=MEMBER,
        says="when that site dies this one is taken out",
    ),
    case(
        "check-of-other-site",
        "unknown: swapped, by where the names come from",
        both(
            props(ENDPOINT, fqdn=UNKNOWN),
            sources(ENDPOINT, "fqdn", "secondary-own"),
            props(MEMBER, records=[UNKNOWN]),
            props("secondary-member", records=[UNKNOWN]),
        ),
        on=MEMBER,
    ),
    case(
        "check-of-other-site",
        "near miss: a name that no member has",
        both(props(ENDPOINT, fqdn="probe.example.com"), sources(ENDPOINT, "fqdn")),
        outcome=PASSES,
    ),
    # The recovery time
    case(
        "budget",
        "fails: slow check",
        props(ENDPOINT, requestInterval=30, failureThreshold=10),
        on=MEMBER,
        says="above the objective of 180 s",
    ),
    case(
        "budget",
        "fails: long TTL",
        both(props(MEMBER, ttl=300), props("secondary-member", ttl=300)),
        on=MEMBER,
        says="300 s more (TTL)",
    ),
    case(
        "budget",
        "near miss: exactly the objective",
        both(props(MEMBER, ttl=150), props("secondary-member", ttl=150)),
        outcome=PASSES,
    ),
    case(
        "budget", "fails: one second more", both(props(MEMBER, ttl=151), props("secondary-member", ttl=151)), on=MEMBER
    ),
    case(
        "budget",
        "absent: Route 53's defaults, 3 times 30 s, pass",
        props(ENDPOINT, requestInterval=None, failureThreshold=None),
        outcome=PASSES,
    ),
    case(
        "budget",
        "fails: the defaults with a stricter objective",
        props(ENDPOINT, requestInterval=None, failureThreshold=None),
        config={POLICY: {"rtoSeconds": 119}},
        on=MEMBER,
        says="90 s",
    ),
    case(
        "budget",
        "unknown: TTL from a resource",
        both(props(MEMBER, ttl=UNKNOWN), sources(MEMBER, "ttl", "primary-own")),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    case(
        "budget",
        "unknown: alarm of another program",
        alarm_check("primary", cloudwatchAlarmName="elsewhere"),
        outcome=ADVISORY,
        on=MEMBER,
        says="not visible",
    ),
    case(
        "budget",
        "fails: alarm over many periods",
        both(alarm_check("primary"), props("primary-alarm", evaluationPeriods=5)),
        on=MEMBER,
        says="300 s",
    ),
    case(
        "budget",
        "fails: alias with its fixed 60 s",
        aliases(evaluate=False, check=True),
        config={POLICY: {"rtoSeconds": 89}},
        on=MEMBER,
        says="60 s more",
    ),
    case(
        "budget",
        "near miss: alias with its fixed 60 s",
        aliases(evaluate=False, check=True),
        config={POLICY: {"rtoSeconds": 90}},
        outcome=PASSES,
    ),
    case(
        "budget",
        "fails: the contract's objective",
        props("contract", rtoSeconds=59),
        base=programs.whole,
        on=MEMBER,
        says="above the objective of 59 s",
    ),
    case(
        "budget",
        "near miss: the contract's objective",
        props("contract", rtoSeconds=60),
        base=programs.whole,
        outcome=PASSES,
    ),
    case("check-endpoint", "fails: a name without a dot", props(ENDPOINT, fqdn="intranet"), on=ENDPOINT),
    case("check-endpoint", "near miss: TCP has no path", props(ENDPOINT, type="TCP", resourcePath="x"), outcome=PASSES),
    case(
        "check-children",
        "unknown: the whole list from another stack",
        both(props(CALCULATED, childHealthchecks=UNKNOWN), sources(CALCULATED, "childHealthchecks", OUTSIDE)),
        outcome=ADVISORY,
        on=CALCULATED,
    ),
    case(
        "check-children",
        "unknown: the whole list from the children",
        props(CALCULATED, childHealthchecks=UNKNOWN),
        outcome=PASSES,
    ),
    case(
        "check-children",
        "unknown: from a resource that is no check",
        both(props(CALCULATED, childHealthchecks=[UNKNOWN]), sources(CALCULATED, "childHealthchecks", "primary-alb")),
        on=CALCULATED,
    ),
    case(
        "check-never-red",
        "fails: its own child",
        both(props(CALCULATED, childHealthchecks=["check-primary"]), sources(CALCULATED, "childHealthchecks")),
        on=CALCULATED,
    ),
    case(
        "budget",
        "unknown: failure threshold from a resource",
        both(props(ENDPOINT, failureThreshold=UNKNOWN), sources(ENDPOINT, "failureThreshold", "primary-own")),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    case(
        "budget",
        "unknown: interval from a resource",
        both(props(ENDPOINT, requestInterval=UNKNOWN), sources(ENDPOINT, "requestInterval", "primary-own")),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    case(
        "budget",
        "unknown: name of the alarm, which is there",
        both(
            alarm_check("primary", cloudwatchAlarmName=UNKNOWN),
            sources(CALCULATED, "cloudwatchAlarmName", "primary-alarm"),
        ),
        outcome=PASSES,
    ),
    case(
        "budget",
        "absent: an alarm of a calculation has no period",
        both(alarm_check("primary"), props("primary-alarm", period=None)),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    case(
        "budget",
        "absent: an alarm without a number of periods",
        both(alarm_check("primary"), props("primary-alarm", evaluationPeriods=None)),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    case(
        "budget",
        "fails: the slower of two endpoints counts when one of two may die",
        both(
            second_child("primary", 1, type="HTTP", fqdn="two.example.com", requestInterval=30, failureThreshold=10),
        ),
        on=MEMBER,
        says="300 s",
    ),
    case(
        "budget",
        "near miss: the faster of two endpoints counts when none may die",
        both(
            second_child("primary", 2, type="HTTP", fqdn="two.example.com", requestInterval=30, failureThreshold=10),
        ),
        outcome=PASSES,
    ),
    # The set
    case(
        "set",
        "unknown: name from a resource",
        both(props(MEMBER, name=UNKNOWN), sources(MEMBER, "name", "primary-alb")),
        outcome=ADVISORY,
        on=MEMBER,
        also=("traffic/set-too-small",),
    ),
    case("set", "unknown: name from nowhere", props(MEMBER, name=UNKNOWN), on=MEMBER, also=("traffic/set-too-small",)),
    case("set-too-small", "fails", without("secondary-member"), on=MEMBER, says="1 weighted record"),
    case("set-too-small", "fails: the partner has another type", props("secondary-member", type="A"), on=MEMBER),
    case(
        "set-too-small",
        "near miss: other case, final dot",
        props("secondary-member", name="App.Example.com."),
        outcome=PASSES,
    ),
    case(
        "set-too-small",
        "near miss: the partner is in another program",
        without("secondary-member"),
        config={POLICY: {"minimumMembers": 1}},
        outcome=PASSES,
    ),
    case(
        "set-mixed",
        "fails",
        both(
            props("secondary-member", weightedRoutingPolicies=None),
            props("secondary-member", latencyRoutingPolicies=[{"region": FRANKFURT}]),
        ),
        on=MEMBER,
        says="latency, weighted",
    ),
    case(
        "set-mixed",
        "near miss: another type of record",
        both(
            lambda p: [
                p.add(
                    RECORD,
                    f"{s}-txt",
                    p[f"{s}-member"].props
                    | {"type": "TXT", "weightedRoutingPolicies": [], "latencyRoutingPolicies": [{"region": r}]},
                    p[f"{s}-member"].sources,
                )
                for s, r in programs.SITES.items()
            ]
        ),
        outcome=PASSES,
    ),
    case(
        "set-identifier",
        "fails: twice the same",
        props("secondary-member", setIdentifier="primary"),
        on="secondary-member",
        says="overwrites",
    ),
    case("set-identifier", "absent", props(MEMBER, setIdentifier=None), on=MEMBER, says="no `set_identifier`"),
    case(
        "set-identifier",
        "near miss: other case is another identifier",
        props("secondary-member", setIdentifier="Primary"),
        outcome=PASSES,
    ),
    case(
        "set-identifier",
        "unknown: from a resource",
        both(props(MEMBER, setIdentifier=UNKNOWN), sources(MEMBER, "setIdentifier", "primary-own")),
        outcome=PASSES,
    ),
    case(
        "set-ttl",
        "fails",
        props("secondary-member", ttl=31),
        on=MEMBER,
        says="30 s (primary-member), 31 s (secondary-member)",
    ),
    case("set-ttl", "near miss: aliases report 0", aliases(evaluate=True, check=True), outcome=PASSES),
    case(
        "set-ttl",
        "unknown: one of them",
        both(props(MEMBER, ttl=UNKNOWN), sources(MEMBER, "ttl", "primary-own")),
        outcome=PASSES,
    ),
    case(
        "set-weights",
        "fails: all 0",
        both(
            props(MEMBER, weightedRoutingPolicies=[{"weight": 0}]),
            props("secondary-member", weightedRoutingPolicies=[{"weight": 0}]),
        ),
        on=MEMBER,
        says="equal weights",
    ),
    case(
        "set-weights",
        "fails softly: one carries everything",
        props("secondary-member", weightedRoutingPolicies=[{"weight": 0}]),
        outcome=ADVISORY,
        on=MEMBER,
        says="last resort",
    ),
    case(
        "set-weights",
        "near miss: very unequal",
        props("secondary-member", weightedRoutingPolicies=[{"weight": 255}]),
        outcome=PASSES,
    ),
    case(
        "set-weights",
        "unknown: from a resource",
        both(
            props(MEMBER, weightedRoutingPolicies=[{"weight": UNKNOWN}]),
            sources(MEMBER, "weightedRoutingPolicies", "primary-own"),
        ),
        outcome=PASSES,
    ),
    # Regions
    case(
        "set-regions",
        "fails: both balancers in one region",
        both(
            lambda p: setattr(p["secondary-alb"], "provider", p["primary-alb"].provider),
            props("secondary-alb", dnsName=UNKNOWN),
            props("secondary-own", aliases=[{"name": UNKNOWN, "zoneId": UNKNOWN}]),
        ),
        on=MEMBER,
        says=IRELAND,
    ),
    case(
        "set-regions",
        "fails: both names say one region",
        both(
            *(
                both(
                    props(f"{s}-member", records=[balancer_name(s, IRELAND)]),
                    sources(f"{s}-member", "records"),
                    props(f"{s}-endpoint", fqdn=balancer_name(s, IRELAND)),
                    sources(f"{s}-endpoint", "fqdn"),
                )
                for s in programs.SITES
            )
        ),
        on=MEMBER,
    ),
    case(
        "set-regions",
        "near miss: names of two regions",
        both(
            *(
                both(
                    props(f"{s}-member", records=[balancer_name(s, r)]),
                    sources(f"{s}-member", "records"),
                    props(f"{s}-endpoint", fqdn=balancer_name(s, r)),
                    sources(f"{s}-endpoint", "fqdn"),
                )
                for s, r in programs.SITES.items()
            )
        ),
        outcome=PASSES,
    ),
    case(
        "set-regions",
        "near miss: latency records name their regions",
        both(
            routing("latencyRoutingPolicies", primary=[{"region": IRELAND}], secondary=[{"region": FRANKFURT}]),
            without("primary-alb", "secondary-alb", "primary-own", "secondary-own"),
        ),
        outcome=PASSES,
    ),
    case(
        "set-regions",
        "absent: a target that tells nothing",
        both(props("secondary-member", records=["b.example.org"]), sources("secondary-member", "records")),
        outcome=ADVISORY,
        on=MEMBER,
        says="Record secondary-member",
    ),
    case(
        "set-regions",
        "unknown: targets from balancers in two regions",
        both(
            *(
                both(props(f"{s}-member", records=[UNKNOWN]), sources(f"{s}-member", "records", f"{s}-alb"))
                for s in programs.SITES
            )
        ),
        outcome=PASSES,
    ),
    case(
        "set-regions",
        "near miss: one region is enough by configuration",
        both(props("secondary-member", records=["b.example.org"]), sources("secondary-member", "records")),
        config={POLICY: {"minimumRegions": 1}},
        outcome=PASSES,
    ),
    case(
        "check-of-other-site",
        "fails: swapped, by names alone",
        both(
            *(
                sources(f"{site}-{part}", key)
                for site in programs.SITES
                for part, key in (("endpoint", "fqdn"), ("member", "records"))
            ),
            props(ENDPOINT, fqdn="secondary.app.example.com"),
            props("secondary-endpoint", fqdn="primary.app.example.com"),
        ),
        on=MEMBER,
    ),
    case(
        "health-check",
        "unknown: the routing policy, from a resource",
        both(
            props(MEMBER, healthCheckId=None),
            props(MEMBER, weightedRoutingPolicies=UNKNOWN),
            sources(MEMBER, "weightedRoutingPolicies", "primary-own"),
        ),
        on=MEMBER,
    ),
    case(
        "simple-record",
        "fails: an address of the name of a set of addresses",
        both(aliases(evaluate=True, check=True), plain("app.example.com", "A")),
        on="plain",
    ),
    case(
        "simple-record",
        "fails: an alias of the name of a set of addresses",
        both(aliases(evaluate=True, check=True), plain("app.example.com", "CNAME")),
        on="plain",
    ),
    case(
        "simple-record",
        "near miss: another type of the name of a set of addresses",
        both(aliases(evaluate=True, check=True), plain("app.example.com", "TXT")),
        outcome=PASSES,
    ),
    case(
        "check-own-name",
        "fails: relative name completed by a zone of the program",
        both(in_zone, props(ENDPOINT, fqdn="app.example.com")),
        on=MEMBER,
    ),
    case(
        "check-own-name",
        "near miss: relative name in another zone",
        both(in_zone, props(ENDPOINT, fqdn="app.other.example.org")),
        outcome=PASSES,
    ),
    case(
        "alarm-dies-with-site",
        "near miss: a check of the endpoint beside the alarm",
        second_child("primary", 2, cloudwatchAlarmRegion=IRELAND),
        outcome=PASSES,
    ),
    case(
        "check-own-name",
        "near miss: from a record of another name",
        both(plain("probe.example.com", "A"), props(ENDPOINT, fqdn=UNKNOWN), sources(ENDPOINT, "fqdn", "plain")),
        outcome=PASSES,
    ),
    case(
        "set-ttl",
        "near miss: an alias beside a record",
        both(alias_member("primary", evaluate=False, check=True), props("secondary-member", type="A")),
        outcome=PASSES,
    ),
    case(
        "set-regions",
        "near miss: the targets are names of records of the program",
        both(sources(MEMBER, "records"), sources("secondary-member", "records")),
        outcome=PASSES,
    ),
    case(
        "set-regions",
        "absent: a target of a global service",
        both(
            lambda p: p.add(
                "aws:cloudfront/distribution:Distribution", "cdn", {}, provider=Provider("us", "us-east-1")
            ),
            props("secondary-member", records=["d1.cloudfront.net"]),
            sources("secondary-member", "records", "cdn"),
        ),
        outcome=ADVISORY,
        on=MEMBER,
    ),
    case(
        "set-too-small",
        "fails: the partner is in another zone",
        props("secondary-member", zoneId="Z2"),
        on=MEMBER,
    ),
    case(
        "set-too-small",
        "unknown: the zone of both is one of the program",
        both(in_zone, props(MEMBER, zoneId=UNKNOWN), props("secondary-member", zoneId=UNKNOWN)),
        outcome=PASSES,
    ),
    case(
        "set",
        "unknown: type from a resource",
        both(props(MEMBER, type=UNKNOWN), sources(MEMBER, "type", "primary-alb")),
        outcome=ADVISORY,
        on=MEMBER,
        also=("traffic/set-too-small",),
    ),
    case(
        "simple-record",
        "fails: another name for a site's own name",
        lambda p: p.add(
            RECORD,
            "plain",
            {"name": "shop.example.com", "type": "CNAME", "zoneId": "Z1", "records": ["primary.app.example.com"]},
        ),
        base=programs.whole,
        on="plain",
    ),
    case(
        "simple-record",
        "unknown: a name for a balancer of the site's stack",
        lambda p: p.add(
            RECORD,
            "plain",
            {"name": "shop.example.com", "type": "CNAME", "zoneId": "Z1", "records": [UNKNOWN]},
            {"records": [p["primary-alb"]]},
        ),
        base=programs.site,
        on="plain",
    ),
    # Simple records, and the contract
    case(
        "simple-record",
        "fails: of the name of a set",
        lambda p: p.add(
            RECORD,
            "plain",
            {"name": "app.example.com", "type": "CNAME", "zoneId": "Z1", "records": ["x.example.com"], "ttl": 30},
        ),
        on="plain",
        says="refuses both",
    ),
    case(
        "simple-record",
        "near miss: of another name",
        lambda p: p.add(
            RECORD, "plain", {"name": "www.example.com", "type": "A", "zoneId": "Z1", "records": ["9.9.9.9"], "ttl": 30}
        ),
        outcome=PASSES,
    ),
    case(
        "simple-record",
        "fails: the application's name for one site",
        lambda p: p.add(
            RECORD,
            "plain",
            {"name": "app.example.com", "type": "AAAA", "zoneId": "Z1", "records": ["2001:db8::1"], "ttl": 30},
        ),
        base=programs.whole,
        on="plain",
    ),
    case(
        "simple-record",
        "fails: another name for one site's balancer",
        lambda p: p.add(
            RECORD,
            "plain",
            {
                "name": "shop.example.com",
                "type": "A",
                "zoneId": "Z1",
                "aliases": [{"name": balancer_name("primary", IRELAND)}],
            },
        ),
        base=programs.whole,
        on="plain",
        says="doesn't fail over",
    ),
    case(
        "simple-record",
        "near miss: another record in the zone",
        lambda p: p.add(
            RECORD, "plain", {"name": "_a.example.com", "type": "TXT", "zoneId": "Z1", "records": ["x"], "ttl": 30}
        ),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "simple-record",
        "unknown: to a balancer of the site's stack",
        lambda p: p.add(
            RECORD,
            "plain",
            {"name": "shop.example.com", "type": "A", "zoneId": "Z1", "aliases": [{"name": UNKNOWN}]},
            {"aliases": [p["primary-alb"]]},
        ),
        base=programs.site,
        on="plain",
    ),
    case(
        "own-name",
        "fails: leads to the other site",
        props("primary-own", aliases=[{"name": balancer_name("secondary", FRANKFURT)}]),
        base=programs.whole,
        on="primary-own",
        says="another site's region",
    ),
    case(
        "own-name",
        "near miss: with the console's prefix",
        props("primary-own", aliases=[{"name": f"dualstack.{balancer_name('primary', IRELAND)}."}]),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "own-name",
        "unknown: from the site's stack",
        props("primary-own", aliases=[{"name": UNKNOWN}]),
        base=programs.whole,
        outcome=PASSES,
    ),
    case("drain-switch", "passes", props("primary-switch"), base=programs.whole, outcome=PASSES),
    case(
        "drain-switch",
        "absent: the endpoint alone",
        both(
            without("primary-switch"),
            props("primary-check", childHealthchecks=["endpoint-primary"], childHealthThreshold=1),
        ),
        base=programs.whole,
        on="primary-member",
        says="no drain switch",
    ),
    case(
        "drain-switch",
        "fails: the record follows the endpoint's check itself",
        both(
            without("primary-check", "primary-switch"),
            props("primary-member", healthCheckId="endpoint-primary"),
            sources("primary-member", "healthCheckId", "primary-endpoint"),
            promised_check("primary", "endpoint-primary"),
        ),
        base=programs.whole,
        on="primary-member",
        says="no drain switch",
    ),
    case(
        "drain-switch",
        "fails: in the site's own region",
        props("primary-switch", cloudwatchAlarmRegion=IRELAND),
        base=programs.whole,
        on="primary-switch",
        says="nobody can throw it",
    ),
    case(
        "drain-switch",
        "fails: healthy without data",
        props("primary-switch", insufficientDataHealthStatus="Healthy"),
        base=programs.whole,
        on="primary-switch",
        says="forgets what it was told",
    ),
    case(
        "drain-switch",
        "near miss: a third region",
        props("primary-switch", cloudwatchAlarmRegion="eu-west-3"),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "drain-switch",
        "near miss: an alarm of the site's own beside it",
        own_alarm_too("primary"),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "drain-switch",
        "near miss: Application Recovery Controller's switch",
        props("primary-switch", type="RECOVERY_CONTROL"),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "drain-switch",
        "near miss: a program without a contract",
        props("primary-check"),
        base=programs.traffic,
        outcome=PASSES,
    ),
    case(
        "drain-switch",
        "unknown: the alarm's region, from another stack",
        both(
            props("primary-switch", cloudwatchAlarmRegion=UNKNOWN),
            sources("primary-switch", "cloudwatchAlarmRegion", OUTSIDE),
        ),
        base=programs.whole,
        outcome=ADVISORY,
        on="primary-switch",
    ),
    case(
        "site-without-record",
        "absent",
        without("secondary-member"),
        base=programs.whole,
        on="contract",
        says="site secondary",
        also=("traffic/set-too-small",),
    ),
    case(
        "site-without-record",
        "near miss: an identifier of another site",
        props("secondary-member", setIdentifier="tertiary"),
        base=programs.whole,
        on="contract",
    ),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these a release of the pack could let a dead site keep its traffic, or block a program that is right."""
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    never_fails, never_passes = rules_without_cases(CASES, traffic, health_checks)
    assert never_fails == set()
    # Without a record for a site there is nothing of that site's that could pass.
    assert never_passes == {"site-without-record"}


def test_a_program_that_is_right_passes_without_a_word() -> None:
    """Noise on a sound program makes people switch the pack off."""
    assert analyze(programs.traffic()).findings == []


def test_the_first_preview_passes_with_advisories_that_name_the_values() -> None:
    """Everything that AWS computes is unknown then: a violation would block the first deployment for good."""
    report = analyze(programs.traffic_in_preview())
    assert report.rules(mandatory=True) == []
    assert report.rules(mandatory=False) == ["traffic/check-endpoint", "traffic/health-check"]
    assert all("`fqdn`" in finding.message or "`healthCheckId`" in finding.message for finding in report.findings)


def test_a_site_that_only_the_configuration_names_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract built from the same loop that forgot a site must not hide that site."""
    monkeypatch.setenv("PULUMI_CONFIG", '{"lockstep:sites": "[\\"primary\\", \\"secondary\\", \\"tertiary\\"]"}')
    report = analyze(programs.whole())
    assert "site tertiary" in report.of("traffic/site-without-record")[0].message
