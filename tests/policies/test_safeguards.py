"""Group `safeguards`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_policies import safeguards
from tests.policies import programs
from tests.policies.cases import (
    ADVISORY,
    PASSES,
    VIOLATION,
    Case,
    both,
    judge,
    props,
    rules_without_cases,
    sources,
    without,
)
from tests.policies.harness import UNKNOWN, Program, analyze
from tests.policies.programs import BUCKET, LIFECYCLE, OWNERSHIP, ROUTE

HELD = ("primary-bucket", "primary-alb", "primary-fleet", "primary-targets")


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    base = options.pop("base", programs.site)
    return Case(rule=f"safeguards/{name}", what=what, damage=damage, base=base, **options)


def protected(*but: str) -> Any:
    """Protects what holds data or traffic, but some of it."""

    def damage(program: Program) -> None:
        for name in HELD:
            program[name].protect = name not in but

    return damage


def members_protected(*but: str) -> Any:
    def damage(program: Program) -> None:
        for site in programs.SITES:
            for role in ("member", "check", "switch"):
                program[f"{site}-{role}"].protect = f"{site}-{role}" not in but

    return damage


def _unread_image() -> Program:
    program = programs.site()
    both(props("primary-template", imageId=UNKNOWN), sources("primary-template", "imageId", "primary-vpc"))(program)
    return program


CASES = [
    # Deletion
    *(
        case("protected", f"fails: {name} alone", protected(name), on=name, says="other resources of this stack")
        for name in HELD
    ),
    case("protected", "passes", protected(), outcome=PASSES),
    case("protected", "near miss: nothing is, before a teardown", lambda p: None, outcome=PASSES),
    case(
        "protected",
        "near miss: a drain switch, which moves when a site joins",
        both(protected(), lambda p: setattr(p["primary-switch"], "protect", False)),
        outcome=PASSES,
    ),
    case(
        "protected",
        "fails: a member's record",
        members_protected("primary-member"),
        base=programs.whole,
        on="primary-member",
    ),
    case(
        "protected",
        "fails: a member's check",
        members_protected("primary-check"),
        base=programs.whole,
        on="primary-check",
    ),
    case(
        "protected",
        "near miss: endpoint checks and simple records aren't",
        members_protected(),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "protected",
        "unknown: whether a record is a member",
        both(
            members_protected("primary-member"),
            props("primary-member", setIdentifier=UNKNOWN),
            sources("primary-member", "setIdentifier", "primary-check"),
        ),
        base=programs.whole,
        on="primary-member",
        also=("traffic/site-without-record",),
    ),
    case(
        "deletion",
        "fails: a balancer",
        both(protected(), props("primary-alb", enableDeletionProtection=False)),
        on="primary-alb",
        says="`enableDeletionProtection` is False",
    ),
    case(
        "deletion",
        "absent: a balancer's",
        both(protected(), props("primary-alb", enableDeletionProtection=None)),
        on="primary-alb",
        says="not set",
    ),
    case(
        "deletion",
        "unknown: a balancer's",
        both(
            protected(),
            props("primary-alb", enableDeletionProtection=UNKNOWN),
            sources("primary-alb", "enableDeletionProtection", "primary-vpc"),
        ),
        on="primary-alb",
    ),
    case(
        "deletion",
        "fails: a bucket",
        both(protected(), props("primary-bucket", forceDestroy=True)),
        on="primary-bucket",
        says="`forceDestroy` is True",
    ),
    case("deletion", "absent: a bucket's", protected(), outcome=PASSES),
    case(
        "deletion",
        "near miss: before a teardown",
        both(props("primary-alb", enableDeletionProtection=False), props("primary-bucket", forceDestroy=True)),
        outcome=PASSES,
    ),
    # Instances
    case(
        "metadata",
        "fails: tokens are optional",
        props("primary-template", metadataOptions={"httpTokens": "optional"}),
        on="primary-template",
        says="is optional",
    ),
    case("metadata", "absent", props("primary-template", metadataOptions=None), on="primary-template", says="not set"),
    case(
        "metadata",
        "unknown",
        both(
            props("primary-template", metadataOptions={"httpTokens": UNKNOWN}),
            sources("primary-template", "metadataOptions", "primary-vpc"),
        ),
        on="primary-template",
        says="not known",
    ),
    case(
        "metadata",
        "fails: many hops",
        props("primary-template", metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 64}),
        on="primary-template",
        says="is 64",
    ),
    case(
        "metadata",
        "near miss: two hops, for containers",
        props("primary-template", metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 2}),
        outcome=PASSES,
    ),
    case(
        "volumes",
        "fails",
        props("primary-template", blockDeviceMappings=[{"ebs": {"encrypted": "false"}}]),
        on="primary-template",
        says="is false",
    ),
    case(
        "volumes",
        "fails: the second",
        props("primary-template", blockDeviceMappings=[{"ebs": {"encrypted": "true"}}, {"ebs": {"volumeType": "gp3"}}]),
        on="primary-template",
        says="not set",
    ),
    case("volumes", "absent", props("primary-template", blockDeviceMappings=None), on="primary-template"),
    case(
        "volumes",
        "unknown",
        both(
            props("primary-template", blockDeviceMappings=[{"ebs": {"encrypted": UNKNOWN}}]),
            sources("primary-template", "blockDeviceMappings", "primary-vpc"),
        ),
        on="primary-template",
        says="not known",
    ),
    case(
        "volumes",
        "near miss: true as a boolean",
        props("primary-template", blockDeviceMappings=[{"ebs": {"encrypted": True}}]),
        outcome=PASSES,
    ),
    *(
        case(
            "template", f"absent: {key}", props("primary-template", **{key: None}), on="primary-template", says=argument
        )
        for key, argument in safeguards._TEMPLATE_NEEDS
    ),
    case("template", "unknown: image, before the first update", lambda p: None, base=_unread_image, outcome=PASSES),
    case(
        "matcher",
        "fails",
        props("primary-targets", healthCheck={"enabled": True, "matcher": "200-499"}),
        on="primary-targets",
        says="200-499",
    ),
    case("matcher", "absent: AWS's own", props("primary-targets", healthCheck={"enabled": True}), outcome=PASSES),
    case(
        "matcher",
        "near miss: redirects",
        props("primary-targets", healthCheck={"enabled": True, "matcher": "200,301-399"}),
        outcome=PASSES,
    ),
    case(
        "matcher",
        "unknown",
        both(
            props("primary-targets", healthCheck={"enabled": True, "matcher": UNKNOWN}),
            sources("primary-targets", "healthCheck", "primary-vpc"),
        ),
        outcome=PASSES,
    ),
    # Data
    *(
        case(
            "ownership",
            what,
            lambda p, rule=rule: p.add(OWNERSHIP, "ownership", {"rule": rule}),
            outcome=outcome,
            on="ownership" if outcome == VIOLATION else None,
        )
        for what, rule, outcome in (
            ("fails", {"objectOwnership": "ObjectWriter"}, VIOLATION),
            ("near miss: enforced", {"objectOwnership": "BucketOwnerEnforced"}, PASSES),
            ("absent", {}, VIOLATION),
            ("unknown", {"objectOwnership": UNKNOWN}, VIOLATION),
        )
    ),
    *(
        case(
            "versions",
            what,
            lambda p, rule=rule: p.add(LIFECYCLE, "lifecycle", {"rules": [{"status": "Enabled", **rule}]}),
            outcome=outcome,
            on="lifecycle" if outcome == VIOLATION else None,
        )
        for what, rule, outcome in (
            ("fails: a day", {"noncurrentVersionExpiration": {"noncurrentDays": 1}}, VIOLATION),
            ("near miss: a week", {"noncurrentVersionExpiration": {"noncurrentDays": 7}}, PASSES),
            ("absent: kept for ever", {}, PASSES),
            ("fails: current objects expire", {"expiration": {"days": 400}}, VIOLATION),
            ("near miss: a rule that is off", {"expiration": {"days": 400}, "status": "Disabled"}, PASSES),
            ("unknown", {"noncurrentVersionExpiration": {"noncurrentDays": UNKNOWN}}, PASSES),
        )
    ),
    case("rights", "fails", without("replication-policy"), base=programs.whole, on="replication"),
    case(
        "rights",
        "near miss: written inside of the role",
        both(without("replication-policy"), props("replication", inlinePolicies=[{"policy": "{}"}])),
        base=programs.whole,
        outcome=PASSES,
    ),
    case("rights", "unknown: before the first update", lambda p: None, base=programs.whole_in_preview, outcome=PASSES),
    # The network
    case("names", "fails", props("primary-vpc", enableDnsSupport=False), on="primary-vpc"),
    case("names", "absent: AWS's default", lambda p: None, outcome=PASSES),
    case(
        "names", "near miss: support without hostnames", props("primary-vpc", enableDnsHostnames=False), outcome=PASSES
    ),
    case("endpoint", "absent", props("primary-s3", policy=None), on="primary-s3"),
    case(
        "endpoint",
        "near miss: an interface endpoint",
        both(
            props("primary-s3", policy=None),
            lambda p: p.add(ROUTE, "nat", {"routeTableId": "rtb-private", "natGatewayId": "nat-1"}),
            props("primary-s3", vpcEndpointType="Interface"),
        ),
        outcome=PASSES,
    ),
    case(
        "endpoint",
        "unknown",
        both(props("primary-s3", policy=UNKNOWN), sources("primary-s3", "policy", "primary-bucket")),
        outcome=PASSES,
    ),
    case("routes", "fails: no default route", without("primary-default"), on="primary-public", says="internet gateway"),
    case("routes", "fails: not associated", without("primary-public-association"), on="primary-public"),
    case("routes", "fails: no endpoint", props("primary-s3", routeTableIds=None), on="primary-subnet-a"),
    case(
        "routes",
        "near miss: a NAT gateway",
        both(
            without("primary-s3"),
            lambda p: p.add(ROUTE, "nat", {"routeTableId": "rtb-private", "natGatewayId": "nat-1"}),
        ),
        outcome=PASSES,
    ),
    case("routes", "unknown: before the first update", lambda p: None, base=programs.site_in_preview, outcome=PASSES),
    # The way of a request
    case("headers", "fails", props("primary-alb", dropInvalidHeaderFields=False), on="primary-alb"),
    case("headers", "absent", props("primary-alb", dropInvalidHeaderFields=None), on="primary-alb"),
    case(
        "headers",
        "unknown",
        both(
            props("primary-alb", dropInvalidHeaderFields=UNKNOWN),
            sources("primary-alb", "dropInvalidHeaderFields", "primary-vpc"),
        ),
        on="primary-alb",
    ),
    case(
        "headers",
        "near miss: a program without a contract may differ",
        props("primary-alb", dropInvalidHeaderFields=False),
        base=programs.traffic,
        outcome=PASSES,
    ),
    *(
        case("way-in", f"fails: no {what} {way}", without(f"primary-{what}-{way}"), on=f"primary-{what}")
        for what in ("balancer", "instances")
        for way in ("in", "out")
    ),
    case(
        "way-in",
        "fails: private addresses only",
        props("primary-balancer-in", cidrIpv4="10.0.0.0/8"),
        on="primary-balancer",
        says="10.0.0.0/8",
    ),
    case(
        "way-in",
        "near miss: an internal balancer",
        both(props("primary-balancer-in", cidrIpv4="10.0.0.0/8"), props("primary-alb", internal=True)),
        outcome=PASSES,
    ),
    case("way-in", "near miss: a prefix list", props("primary-balancer-in", cidrIpv4=None), outcome=PASSES),
    case(
        "way-in",
        "unknown: ids, before the first update",
        lambda p: None,
        base=programs.site_in_preview,
        outcome=PASSES,
    ),
    case(
        "way-in",
        "absent: groups that this program doesn't declare",
        props("primary-alb", securityGroups=["sg-elsewhere"]),
        outcome=PASSES,
    ),
    case(
        "way-in",
        "fails: a balancer without a group",
        props("primary-alb", securityGroups=None),
        on="primary-alb",
        says="default one",
    ),
    case(
        "way-in",
        "near miss: a network balancer without a group",
        props("primary-alb", securityGroups=None, loadBalancerType="network"),
        outcome=PASSES,
    ),
    # The drain switch
    case(
        "drain-switch", "fails: forgets", props("primary-switch", treatMissingData="notBreaching"), on="primary-switch"
    ),
    case("drain-switch", "absent: CloudWatch's own", props("primary-switch", treatMissingData=None), outcome=PASSES),
    case("drain-switch", "fails: beyond reach", props("primary-switch", threshold=2), on="primary-switch"),
    case("drain-switch", "fails: always drained", props("primary-switch", threshold=0), on="primary-switch"),
    case(
        "drain-switch",
        "fails: the wrong way round",
        props("primary-switch", comparisonOperator="LessThanThreshold"),
        on="primary-switch",
    ),
    case(
        "drain-switch",
        "near miss: above a half",
        props("primary-switch", comparisonOperator="GreaterThanThreshold", threshold=0.5),
        outcome=PASSES,
    ),
    case(
        "drain-switch",
        "unknown: threshold",
        both(props("primary-switch", threshold=UNKNOWN), sources("primary-switch", "threshold", "primary-vpc")),
        outcome=ADVISORY,
        on="primary-switch",
    ),
    case("drain-switch", "absent: dimensions", props("primary-switch", dimensions=None), on="primary-switch"),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these an edit of one line could leave data or traffic to the next mistake."""
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule that nobody has seen fail is no rule."""
    assert rules_without_cases(CASES, safeguards) == (set(), set())


def test_a_program_without_a_contract_is_judged_for_deletion_only() -> None:
    """The other rules are about what Lockstep's stacks are like."""
    program = programs.buckets()
    program.add(BUCKET, "held", {"bucket": "held"}).protect = True
    found = analyze(program).of("safeguards/protected")
    assert len(found) == len([each for each in program.resources if each.type == BUCKET]) - 1
