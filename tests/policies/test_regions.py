"""Group `regions`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_policies import regions
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources, without
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, Provider, analyze
from tests.policies.programs import FRANKFURT, IRELAND, SITE_CONTRACT, STOCKHOLM, VPC

POLICY = "sites-keep-to-their-region"


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(rule=f"regions/{name}", what=what, damage=damage, base=options.pop("base", programs.site), **options)


def under(name: str, provider: Provider) -> Any:
    def damage(program: Program) -> None:
        program[name].provider = provider

    return damage


def promises(**values: Any) -> Any:
    """Changes what the contract says, without touching where it says that it comes from."""

    def damage(program: Program) -> None:
        program["contract"].props |= values

    return damage


def promised(key: str, site: str, value: Any) -> Any:
    """Changes one site's value in the global contract."""

    def damage(program: Program) -> None:
        program["contract"].props[key] = program["contract"].props[key] | {site: value}

    return damage


def second_contract(program: Program) -> None:
    program.add(SITE_CONTRACT, "second", {"region": IRELAND})


def key(region: str) -> str:
    return f"arn:aws:kms:{region}:123456789012:key/1234abcd"


CASES = [
    # Where a resource is
    case(
        "region",
        "fails: another provider",
        under("primary-vpc", Provider("frankfurt", FRANKFURT)),
        on="primary-vpc",
        says=f"it is in {FRANKFURT}",
    ),
    case("region", "fails: a region of its own", props("primary-vpc", region=FRANKFURT), on="primary-vpc"),
    case(
        "region",
        "near miss: its own region is the site's",
        both(under("primary-vpc", Provider("frankfurt", FRANKFURT)), props("primary-vpc", region=IRELAND)),
        outcome=PASSES,
    ),
    case(
        "region",
        "near miss: a role belongs to no region",
        under("primary-role", Provider("frankfurt", FRANKFURT)),
        outcome=PASSES,
    ),
    case(
        "region",
        "absent: provider without a region",
        under("primary-vpc", Provider("somewhere", None)),
        on="primary-vpc",
        says="names no region",
    ),
    case(
        "region",
        "unknown: from a resource",
        both(props("primary-vpc", region=UNKNOWN), sources("primary-vpc", "region", "primary-alb")),
        outcome=ADVISORY,
        on="primary-vpc",
    ),
    case(
        "region",
        "unknown: AWS will tell, so the provider's holds",
        props("primary-vpc", region=UNKNOWN),
        outcome=PASSES,
    ),
    case(
        "region",
        "fails: replication in another region than its bucket",
        props("primary-replication", region=FRANKFURT),
        base=programs.whole,
        on="primary-replication",
        says=f"Set `region` to the bucket's region, {IRELAND}",
    ),
    case(
        "region",
        "absent: replication in the provider's region",
        props("primary-replication", region=None),
        base=programs.whole,
        on="primary-replication",
    ),
    case(
        "region",
        "unknown: the region of the replication's bucket",
        both(promised("regions", "primary", UNKNOWN), props("primary-replication", region=STOCKHOLM)),
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "explicit-provider",
        "fails",
        under("primary-vpc", Provider("default_7_51_1", IRELAND)),
        on="primary-vpc",
        says="default provider",
    ),
    case(
        "explicit-provider",
        "fails: for a role too",
        under("primary-role", Provider("default", IRELAND)),
        on="primary-role",
    ),
    case(
        "explicit-provider",
        "fails: in the global stack",
        under("primary-check", Provider("default_7_51_1", IRELAND)),
        base=programs.whole,
        on="primary-check",
    ),
    case(
        "explicit-provider",
        "near miss: an explicit one that is called so",
        under("primary-vpc", Provider("default-region", IRELAND)),
        outcome=PASSES,
    ),
    case(
        "explicit-provider",
        "absent: components have no provider",
        lambda p: p.add("lockstep:network:Network", "network", {}),
        outcome=PASSES,
    ),
    case(
        "explicit-provider",
        "unknown: region of an explicit provider",
        under("primary-role", Provider("aws", UNKNOWN)),
        outcome=PASSES,
    ),
    # What it uses
    case(
        "foreign-arn",
        "fails",
        props("primary-vpc", kmsKeyId=key(FRANKFURT)),
        on="primary-vpc",
        says=f"`kmsKeyId` holds an ARN of {FRANKFURT}",
    ),
    case(
        "foreign-arn",
        "fails: deep inside",
        props("primary-vpc", settings=[{"keys": {"main": key(FRANKFURT)}}]),
        on="primary-vpc",
    ),
    case("foreign-arn", "near miss: of this region", props("primary-vpc", kmsKeyId=key(IRELAND)), outcome=PASSES),
    case(
        "foreign-arn",
        "near miss: without a region",
        props("primary-vpc", roleArn="arn:aws:iam::123456789012:role/a"),
        outcome=PASSES,
    ),
    case("foreign-arn", "near miss: in a tag", props("primary-vpc", tags={"peer": key(FRANKFURT)}), outcome=PASSES),
    case(
        "foreign-arn",
        "near miss: named in a document",
        props("primary-vpc", policy='{"Resource": "' + key(FRANKFURT) + '"}'),
        outcome=PASSES,
    ),
    case(
        "foreign-arn",
        "near miss: source of a replica",
        lambda p: p.add(
            "aws:rds/instance:Instance",
            "replica",
            programs.databases()["replica"].props
            | {"kmsKeyId": key(IRELAND), "replicateSourceDb": f"arn:aws:rds:{FRANKFURT}:123456789012:db:app"}
            | {"arn": programs.database_arn(IRELAND)},
            provider=p.provider,
        ),
        outcome=PASSES,
    ),
    case(
        "foreign-arn",
        "near miss: by configuration",
        props("primary-vpc", kmsKeyId=key(FRANKFURT)),
        config={POLICY: {"crossRegionProperties": [f"{VPC}.kmsKeyId"]}},
        outcome=PASSES,
    ),
    case(
        "foreign-arn",
        "fails: only the listed property may",
        props("primary-vpc", otherKeyId=key(FRANKFURT)),
        config={POLICY: {"crossRegionProperties": [f"{VPC}.kmsKeyId"]}},
        on="primary-vpc",
    ),
    case("foreign-arn", "absent and unknown", props("primary-vpc", kmsKeyId=UNKNOWN), outcome=PASSES),
    # What the contract says of a site
    case(
        "contract",
        "absent",
        without("contract"),
        base=lambda: _with_component(programs.site()),
        also=("buckets/replication",),
        says="no contract",
    ),
    case("contract", "fails: two", second_contract, on="second", says="has a contract already"),
    case(
        "contract",
        "fails: region of another site",
        promises(region=FRANKFURT),
        on="contract",
        says="`peerRegion`",
        also=("regions/foreign-arn", "regions/region"),
    ),
    case("contract", "absent: region", promises(region=""), on="contract", says="`region`"),
    case(
        "contract",
        "unknown: region from a resource",
        both(promises(region=UNKNOWN), sources("contract", "region", "primary-vpc")),
        outcome=ADVISORY,
        on="contract",
    ),
    case(
        "contract", "fails: peer in the same region", promises(peerRegion=IRELAND), on="contract", says="`peerRegion`"
    ),
    case(
        "contract",
        "fails: replica in the same region",
        promises(replicaBucketRegion=IRELAND),
        on="contract",
        says="`replicaBucketRegion`",
    ),
    case(
        "contract",
        "absent: bucket",
        props("contract", bucketName=None),
        on="contract",
        says="doesn't say `bucketName`",
    ),
    *(
        case(
            "contract",
            f"fails: {name} says something else than its resource",
            promises(**{name: "elsewhere"}),
            on="contract",
            says=f"`{name}` is the value of no",
        )
        for name in regions.SITE_PROMISES
    ),
    case(
        "contract",
        "fails: a check of another stack, where ids aren't repeated",
        both(
            lambda p: [r.props.pop("id", None) for r in p.resources],
            sources("contract", "healthCheckIds", OUTSIDE),
        ),
        base=programs.whole,
        on="contract",
        says="`healthCheckIds`",
    ),
    *(
        case(
            "contract",
            f"fails: {name} of nothing here",
            both(promises(**{name: "elsewhere"}), sources("contract", name)),
            on="contract",
            says=f"`{name}`",
        )
        for name in regions.SITE_PROMISES
    ),
    *(
        case(
            "contract",
            f"unknown: {name} from another stack",
            both(promises(**{name: UNKNOWN}), sources("contract", name, OUTSIDE)),
            on="contract",
            says=f"`{name}` comes from no",
        )
        for name in regions.SITE_PROMISES
    ),
    *(
        case("contract", f"absent: {name}", props("contract", **{name: None}), on="contract", says=f"`{name}`")
        for name in (*regions.SITE_PROMISES, *regions.SITE_VALUES)
        if name != "bucketName"
    ),
    *(
        case(
            "contract",
            f"absent: {name} in the global stack",
            props("contract", **{name: None}),
            base=programs.whole,
            on="contract",
            says=f"`{name}`",
        )
        for name in regions.GLOBAL_VALUES
        if name != "siteDomains"
    ),
    case("contract", "near miss: no release yet", props("contract", release=None), outcome=PASSES),
    case(
        "contract",
        "unknown: from the resource",
        promises(launchTemplateId=UNKNOWN),
        outcome=ADVISORY,
        on="contract",
        says="LaunchTemplate primary-template",
    ),
    case(
        "contract",
        "near miss: known here, not yet there",
        both(promises(fleetName="primary-fleet"), props("primary-fleet", id=UNKNOWN, name=UNKNOWN)),
        outcome=PASSES,
    ),
    case(
        "contract",
        "near miss: names in another case",
        promises(albDnsName=programs.balancer_name("Primary", IRELAND)),
        outcome=PASSES,
    ),
    # What the contract says of all sites
    case(
        "contract",
        "fails: two sites in one region",
        both(promised("regions", "secondary", IRELAND), props("secondary-replication", region=IRELAND)),
        base=programs.whole,
        on="contract",
        says="both in eu-west-1",
        also=(
            "buckets/same-region",
            "buckets/site-replication",
            "traffic/drain-switch",
            "traffic/own-name",
            "traffic/set-regions",
        ),
    ),
    case(
        "contract",
        "absent: a site's region",
        promises(regions={"primary": IRELAND}),
        base=programs.whole,
        on="contract",
        says="region of site secondary",
        also=("buckets/same-region",),
    ),
    case(
        "contract",
        "unknown: a site's region",
        promised("regions", "secondary", UNKNOWN),
        base=programs.whole,
        outcome=ADVISORY,
        on="contract",
        says="`pulumi up -s secondary`",
    ),
    case(
        "contract",
        "fails: a check that isn't here",
        promised("healthCheckIds", "primary", "0a1b2c"),
        base=programs.whole,
        on="contract",
        says="`healthCheckIds` of site primary",
    ),
    case(
        "contract",
        "fails: a record that isn't here",
        promised("recordNames", "primary", "old.example.com"),
        base=programs.whole,
        on="contract",
        says="`recordNames` of site primary",
    ),
    case(
        "contract",
        "fails: a site's own name that isn't here",
        promised("siteDomains", "primary", "old.example.com"),
        base=programs.whole,
        on="contract",
        says="`siteDomains` of site primary",
        also=("traffic/simple-record",),
    ),
    case(
        "contract",
        "fails: another application's name",
        promises(appDomain="other.example.com"),
        base=programs.whole,
        on="contract",
        says="`appDomain`",
    ),
    case(
        "contract",
        "near miss: ids that the provider doesn't repeat",
        lambda p: [r.props.pop("id", None) for r in p.resources],
        base=programs.whole,
        outcome=PASSES,
    ),
    case(
        "contract",
        "unknown: a check from another stack",
        both(promised("healthCheckIds", "primary", UNKNOWN), sources("contract", "healthCheckIds", OUTSIDE)),
        base=programs.whole,
        on="contract",
    ),
]


def _with_component(program: Program) -> Program:
    program.add("lockstep:network:Network", "network", {})
    return program


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these a release of the pack could let a site depend on the other's region, or believe a wrong
    contract.
    """
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    assert rules_without_cases(CASES, regions) == (set(), set())


@pytest.mark.parametrize("base", [programs.site, programs.whole], ids=["site", "global"])
def test_a_stack_that_is_right_passes_without_a_word(base: Any) -> None:
    """After `up` nothing may be left open."""
    assert analyze(base()).findings == []


def test_the_first_preview_of_a_site_passes_with_advisories() -> None:
    """Ids, ARNs and names of balancers are unknown then: a violation would block the first deployment for good."""
    report = analyze(programs.site_in_preview())
    assert report.rules(mandatory=True) == []
    assert report.rules(mandatory=False) == [
        "buckets/overwriting",
        "buckets/transport",
        "fleet/zones",
        "regions/contract",
    ]


def test_the_first_preview_of_the_global_stack_passes_with_advisories() -> None:
    """Before any site is up the global stack can be previewed, and says what it couldn't prove."""
    report = analyze(programs.whole_in_preview())
    assert report.rules(mandatory=True) == []
    assert report.rules(mandatory=False) == [
        "buckets/replication-role",
        "buckets/same-region",
        "buckets/site-replication",
        "regions/contract",
        "traffic/health-check",
    ]


def test_the_group_does_not_apply_to_other_programs() -> None:
    """A program without sites must not be told to use explicit providers."""
    program = programs.traffic()
    program.provider = Provider("default_7_51_1", IRELAND)
    report = analyze(program)
    assert report.not_applicable == ["sites-run-one-release", POLICY]
    assert report.findings == []
