"""Group `fleet`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_policies import fleets
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources, without
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, Provider, analyze
from tests.policies.programs import GROUP, IRELAND

POLICY = "fleets-carry-the-load"
FLEET = "primary-fleet"


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(rule=f"fleet/{name}", what=what, damage=damage, base=options.pop("base", programs.fleets), **options)


def zone(name: str) -> Any:
    """Puts both subnets of the primary fleet into one zone."""
    return both(
        props("primary-subnet-a", availabilityZone=f"{IRELAND}{name}"),
        props("primary-subnet-b", availabilityZone=f"{IRELAND}{name}"),
    )


def weights(primary: int, secondary: int) -> Any:
    return both(
        props("primary-member", weightedRoutingPolicies=[{"weight": primary}]),
        props("secondary-member", weightedRoutingPolicies=[{"weight": secondary}]),
    )


def ready(primary: Any, secondary: Any) -> Any:
    return both(props(FLEET, minSize=primary), props("secondary-fleet", minSize=secondary))


def promises(**values: Any) -> Any:
    def damage(program: Program) -> None:
        program["contract"].props |= values

    return damage


def queue_workers(program: Program) -> None:
    program.add(GROUP, "workers", {"id": "workers", "minSize": 0, "availabilityZones": ["eu-west-1a"]})


def attached(program: Program) -> None:
    """Says by an attachment what the group said by itself."""
    props(FLEET, targetGroupArns=None)(program)
    program.add(
        "aws:autoscaling/attachment:Attachment",
        "attachment",
        {"autoscalingGroupName": FLEET, "lbTargetGroupArn": programs.arn(IRELAND)},
        {"autoscalingGroupName": [program[FLEET]], "lbTargetGroupArn": [program["primary-targets"]]},
    )


def third_site(weight: int, size: int) -> Any:
    def damage(program: Program) -> None:
        region, provider = "eu-south-1", Provider("third", "eu-south-1")
        own = programs.add_site_name(program, "third", region, provider)
        programs.add_member(program, "third", [own])
        programs.add_fleet(program, "third", region, program["third-alb"], provider)
        props("third-fleet", minSize=size)(program)
        props("third-member", weightedRoutingPolicies=[{"weight": weight}])(program)

    return damage


CASES = [
    # Zones
    case("zones", "fails: two subnets in one zone", zone("a"), on=FLEET, says="all in eu-west-1a"),
    case(
        "zones", "fails: one subnet", props(FLEET, vpcZoneIdentifiers=["subnet-primary-a"]), on=FLEET, says="1 subnet"
    ),
    case(
        "zones",
        "near miss: the same subnet twice",
        props(FLEET, vpcZoneIdentifiers=["subnet-primary-a", "subnet-primary-a"]),
        on=FLEET,
    ),
    case(
        "zones",
        "near miss: the state still shows two zones, the program's subnets are in one",
        both(zone("b"), props(FLEET, availabilityZones=["eu-west-1a", "eu-west-1b"])),
        on=FLEET,
    ),
    case(
        "zones",
        "fails: three are wanted",
        lambda p: None,
        config={POLICY: {"minimumZones": 3}},
        on=FLEET,
        also=("fleet/ready",),
    ),
    case(
        "zones",
        "near miss: zones by id",
        both(
            props("primary-subnet-a", availabilityZone=None, availabilityZoneId="euw1-az1"),
            props("primary-subnet-b", availabilityZone=None, availabilityZoneId="euw1-az2"),
        ),
        outcome=PASSES,
    ),
    case(
        "zones",
        "absent: zones named on the group",
        props(FLEET, vpcZoneIdentifiers=None),
        outcome=PASSES,
    ),
    case(
        "zones",
        "absent: one zone named on the group",
        props(FLEET, vpcZoneIdentifiers=None, availabilityZones=["eu-west-1a"]),
        on=FLEET,
        says="it is in eu-west-1a",
    ),
    case("zones", "absent: neither", props(FLEET, vpcZoneIdentifiers=None, availabilityZones=None), on=FLEET),
    case("zones", "unknown: from subnets here", props(FLEET, vpcZoneIdentifiers=UNKNOWN), outcome=ADVISORY, on=FLEET),
    case(
        "zones",
        "unknown: from subnets here that are in one zone",
        both(props(FLEET, vpcZoneIdentifiers=UNKNOWN), zone("a")),
        on=FLEET,
    ),
    case(
        "zones",
        "unknown: from another stack",
        both(props(FLEET, vpcZoneIdentifiers=UNKNOWN), sources(FLEET, "vpcZoneIdentifiers", OUTSIDE)),
        outcome=ADVISORY,
        on=FLEET,
    ),
    case(
        "zones",
        "unknown: zones on the group",
        both(
            props(FLEET, vpcZoneIdentifiers=None, availabilityZones=[UNKNOWN]),
            sources(FLEET, "availabilityZones", "primary-subnet-a"),
        ),
        outcome=ADVISORY,
        on=FLEET,
    ),
    case(
        "zones",
        "unknown: subnets that no resource here is",
        both(props(FLEET, vpcZoneIdentifiers=["subnet-1", "subnet-2"]), sources(FLEET, "vpcZoneIdentifiers", OUTSIDE)),
        outcome=ADVISORY,
        on=FLEET,
        says="can't be seen",
    ),
    # Health checks
    case("elb-check", "fails", props(FLEET, healthCheckType="EC2"), on=FLEET, says='health_check_type="ELB"'),
    case("elb-check", "absent", props(FLEET, healthCheckType=None), on=FLEET, says="absent, so EC2"),
    case("elb-check", "near miss: a list that has it", props(FLEET, healthCheckType="EBS,ELB"), outcome=PASSES),
    case("elb-check", "near miss: another balancer's", props(FLEET, healthCheckType="VPC_LATTICE"), on=FLEET),
    case(
        "elb-check",
        "unknown: from a resource",
        both(props(FLEET, healthCheckType=UNKNOWN), sources(FLEET, "healthCheckType", "primary-targets")),
        outcome=ADVISORY,
        on=FLEET,
    ),
    case("elb-check", "unknown: AWS will choose", props(FLEET, healthCheckType=UNKNOWN), on=FLEET),
    case("elb-check", "near miss: no balancer in front", queue_workers, outcome=PASSES),
    case("elb-check", "fails: attached from outside", both(attached, props(FLEET, healthCheckType="EC2")), on=FLEET),
    case(
        "suspended", "fails", props(FLEET, suspendedProcesses=["ReplaceUnhealthy"]), on=FLEET, says="ReplaceUnhealthy"
    ),
    case("suspended", "near miss: harmless ones", props(FLEET, suspendedProcesses=["AZRebalance"]), outcome=PASSES),
    case("suspended", "absent", props(FLEET, suspendedProcesses=None), outcome=PASSES),
    case(
        "suspended",
        "unknown: from a resource",
        both(props(FLEET, suspendedProcesses=UNKNOWN), sources(FLEET, "suspendedProcesses", "primary-targets")),
        outcome=ADVISORY,
        on=FLEET,
    ),
    case(
        "target-check",
        "fails",
        props("primary-targets", healthCheck={"enabled": False}),
        on="primary-targets",
        says="off",
    ),
    case("target-check", "absent", props("primary-targets", healthCheck=None), outcome=PASSES),
    case(
        "target-check", "near miss: all defaults", props("primary-targets", healthCheck={"path": "/"}), outcome=PASSES
    ),
    case(
        "target-check",
        "unknown: from a resource",
        both(
            props("primary-targets", healthCheck={"enabled": UNKNOWN}),
            sources("primary-targets", "healthCheck", "primary-alb"),
        ),
        outcome=ADVISORY,
        on="primary-targets",
    ),
    case(
        "target-check",
        "fails: a site's fleet without targets",
        props(FLEET, targetGroupArns=None),
        base=programs.site,
        on=FLEET,
        says="no balancer sends it requests",
    ),
    case("target-check", "near miss: a group that nobody promises", queue_workers, outcome=PASSES),
    # What is held ready
    case("ready", "fails: one instance", ready(1, 1), on=FLEET, says="`min_size` is 1"),
    case("ready", "fails: scales to nothing", ready(0, 0), on=FLEET),
    case("ready", "near miss: large at its best", both(ready(1, 1), props(FLEET, maxSize=20)), on=FLEET),
    case("ready", "absent", props(FLEET, minSize=None), on=FLEET, also=("fleet/capacity",)),
    case(
        "ready",
        "unknown: from a resource",
        both(props(FLEET, minSize=UNKNOWN), sources(FLEET, "minSize", "primary-targets")),
        outcome=ADVISORY,
        on=FLEET,
    ),
    case("ready", "passes: more than enough", ready(9, 9), outcome=PASSES),
    case(
        "ready",
        "near miss: a site without a release",
        both(promises(release=None), props(FLEET, minSize=0)),
        base=programs.site,
        outcome=PASSES,
    ),
    case("ready", "fails: a site with a release", props(FLEET, minSize=0), base=programs.site, on=FLEET),
    case(
        "ready",
        "fails: less than its contract promises",
        promises(readyInstances=3),
        base=programs.site,
        on="contract",
        says="promises 3",
    ),
    case("ready", "passes: as promised", promises(readyInstances=2), base=programs.site, outcome=PASSES),
    # What a lost site sends
    case("capacity", "fails: the standby is smaller", ready(10, 2), on="secondary-fleet", says="10 of 10"),
    case("capacity", "fails: the heavier one is smaller", both(ready(2, 10), weights(9, 1)), on=FLEET),
    case(
        "capacity",
        "fails: weight 0 takes everything at last",
        both(ready(10, 2), weights(1, 0)),
        on="secondary-fleet",
    ),
    case(
        "capacity",
        "fails: the load is said",
        lambda p: None,
        config={POLICY: {"loadInstances": 4}},
        on=FLEET,
        says="4 of 4",
    ),
    case("capacity", "near miss: equal", ready(10, 10), outcome=PASSES),
    case(
        "capacity",
        "near miss: the load is said to be less",
        ready(10, 2),
        config={POLICY: {"loadInstances": 2}},
        outcome=PASSES,
    ),
    case(
        "capacity",
        "near miss: room at the top only",
        both(ready(10, 2), props("secondary-fleet", maxSize=10)),
        on="secondary-fleet",
    ),
    case("capacity", "near miss: three sites share", both(third_site(1, 5), ready(10, 5)), outcome=PASSES),
    case("capacity", "fails: three sites, a small one", both(third_site(1, 2), ready(10, 10)), on="third-fleet"),
    case(
        "capacity",
        "near miss: three sites, a small one of small weight",
        both(third_site(1, 2), ready(10, 10), weights(9, 9)),
        outcome=PASSES,
    ),
    case(
        "capacity",
        "fails: attached from outside",
        both(ready(2, 10), attached),
        on=FLEET,
    ),
    case(
        "capacity",
        "absent: a fleet that isn't here",
        both(without("secondary-fleet")),
        outcome=ADVISORY,
        on="secondary-member",
        says="can't be seen",
    ),
    case(
        "capacity",
        "absent: no fleet at all",
        without("primary-fleet", "secondary-fleet"),
        outcome=PASSES,
    ),
    case(
        "capacity",
        "unknown: a weight from a resource",
        both(
            props("primary-member", weightedRoutingPolicies=[{"weight": UNKNOWN}]),
            sources("primary-member", "weightedRoutingPolicies", "primary-alb"),
        ),
        outcome=ADVISORY,
        on="primary-member",
    ),
    case(
        "capacity",
        "fails: by the contract",
        promises(readyInstances={"primary": 6, "secondary": 2}),
        base=programs.whole,
        on="contract",
        says="site secondary holds 2",
    ),
    case(
        "capacity",
        "fails: by the contract's load",
        promises(readyInstances={"primary": 4, "secondary": 4}, loadInstances=6),
        base=programs.whole,
        on="contract",
    ),
    case(
        "capacity",
        "near miss: by the contract",
        promises(readyInstances={"primary": 6, "secondary": 6}),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "capacity",
        "absent: a site that runs a release",
        promises(readyInstances={"primary": 6}),
        base=programs.whole,
        outcome=ADVISORY,
        on="contract",
    ),
    case(
        "capacity",
        "near miss: a site without a release",
        promises(readyInstances={"primary": 6}, releases={}),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "capacity",
        "unknown: in the contract",
        promises(readyInstances={"primary": 6, "secondary": UNKNOWN}),
        base=programs.whole,
        outcome=ADVISORY,
        on="contract",
    ),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these a site goes down with one zone, keeps dead instances, or falls over under the other's load."""
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    assert rules_without_cases(CASES, fleets) == (set(), set())


def test_a_program_that_is_right_passes_without_a_word() -> None:
    """After `up` nothing may be left open."""
    assert analyze(programs.fleets()).findings == []


def test_the_first_preview_passes_with_advisories() -> None:
    """Subnets have no ids then: a violation would block the first deployment for good."""
    report = analyze(programs.fleets_in_preview())
    assert report.rules(mandatory=True) == [], report.text
    assert "fleet/zones" in report.rules(mandatory=False)
    assert "fleet/capacity" not in report.rules(mandatory=False)


def test_the_first_preview_finds_what_is_known() -> None:
    """Sizes and weights are known before anything exists; a pull request must fail then, not after the update."""
    program = programs.fleets_in_preview()
    ready(10, 2)(program)
    assert analyze(program).rules(mandatory=True) == ["fleet/capacity"]


def test_an_unknown_fleet_does_not_mute_the_other() -> None:
    """The SDK ends a policy at the first unknown; the violations behind it would be lost."""
    program = programs.fleets()
    for key in program[FLEET].props:
        program[FLEET].props[key] = UNKNOWN
    props("secondary-fleet", healthCheckType="EC2")(program)
    found = analyze(program).of("fleet/elb-check")
    assert program["secondary-fleet"].urn in {finding.urn for finding in found if finding.mandatory}
