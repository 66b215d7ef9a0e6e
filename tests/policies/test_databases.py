"""Group `databases`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_policies import databases
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources, without
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, Provider, analyze
from tests.policies.programs import FRANKFURT, INSTANCE, IRELAND, database_arn, key_arn

POLICY = "databases-outlive-their-region"


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(
        rule=f"databases/{name}", what=what, damage=damage, base=options.pop("base", programs.databases), **options
    )


def under(name: str, region: str | None) -> Any:
    """Moves a resource, and its key with it."""

    def damage(program: Program) -> None:
        program[name].provider = Provider("moved", region)
        if region is not None and "kmsKeyId" in program[name].props:
            program[name].props["kmsKeyId"] = key_arn(region)

    return damage


def planned(schedule: str, region: str = FRANKFURT) -> Any:
    """A backup plan is the only thing that copies the source."""

    def damage(program: Program) -> None:
        without("replica", "copies")(program)
        plan = programs.backups()
        plan["plan"].props["rules"][0] |= {"schedule": schedule}
        plan["plan"].props["rules"][0]["copyActions"][0]["destinationVaultArn"] = programs.vault_arn(region)
        selection = plan["selection"]
        selection.sources["resources"] = [program["source"]]
        program.resources += plan.resources

    return damage


def of_sites(**arns: Any) -> Any:
    def damage(program: Program) -> None:
        program["contract"].props["databaseArns"] = arns
        program["contract"].sources["databaseArns"] = [OUTSIDE]

    return damage


def in_a_site(program: Program) -> None:
    """The source alone, in a site of Lockstep."""
    program.resources = [
        *programs.site().resources,
        *(part for part in program.resources if part.name in {"source", f"key-{IRELAND}"}),
    ]


ONLY_BACKUPS = without("replica")
RPO = {POLICY: {"rpoSeconds": 60}}
HOURLY = "cron(0 * * * ? *)"
DAILY = "cron(0 5 * * ? *)"

CASES = [
    # A copy elsewhere
    case("copy", "fails: none", without("replica", "copies"), on="source", says="one region only"),
    case("copy", "passes: a replica", without("copies"), outcome=PASSES),
    case("copy", "passes: replicated backups", ONLY_BACKUPS, outcome=PASSES),
    case("copy", "passes: a plan that copies", planned(DAILY), outcome=PASSES),
    case(
        "copy",
        "near miss: a replica of another database",
        both(
            without("copies"),
            props("replica", replicateSourceDb=database_arn(IRELAND, "other")),
            sources("replica", "replicateSourceDb"),
        ),
        on="source",
    ),
    case(
        "copy",
        "near miss: a plan for another database",
        both(
            planned(DAILY),
            props("selection", resources=[database_arn(IRELAND, "other")]),
            sources("selection", "resources"),
        ),
        on="source",
    ),
    case("copy", "near miss: a site's replica is in another stack", in_a_site, outcome=PASSES),
    case(
        "copy",
        "unknown: where the replica is",
        both(without("copies"), under("replica", None)),
        outcome=ADVISORY,
        on="source",
    ),
    case("copy", "unknown: which source", props("replica", replicateSourceDb=UNKNOWN), outcome=PASSES),
    case(
        "copy",
        "passes: a global cluster",
        lambda p: None,
        base=programs.clusters,
        outcome=PASSES,
    ),
    case(
        "copy",
        "fails: a global cluster with one member",
        without("secondary-cluster"),
        base=programs.clusters,
        on="primary-cluster",
    ),
    case(
        "same-region",
        "fails: a replica",
        both(without("copies"), under("replica", IRELAND)),
        on="source",
        says="Instance replica",
    ),
    case(
        "same-region",
        "fails: a plan",
        planned(DAILY, IRELAND),
        on="source",
        also=("backups/same-region",),
    ),
    case("same-region", "fails: replicated backups", under("copies", IRELAND), on="copies", says="RDS refuses"),
    case(
        "same-region",
        "fails: a global cluster",
        under("secondary-cluster", IRELAND),
        base=programs.clusters,
        on="primary-cluster",
    ),
    case(
        "copy",
        "near miss: a replica of a database of the same name in its own region",
        both(
            without("copies"),
            props("replica", replicateSourceDb="orders"),
            sources("replica", "replicateSourceDb"),
        ),
        on="source",
    ),
    case("same-region", "near miss: one replica here, one there", under("replica", IRELAND), outcome=PASSES),
    # Young enough
    case("rpo", "fails: backups only", ONLY_BACKUPS, config=RPO, on="source", says="600 s old"),
    case("rpo", "fails: a daily plan", planned(DAILY), config=RPO, on="source", says="86400 s old"),
    case("rpo", "passes: a replica", lambda p: None, config=RPO, outcome=PASSES),
    case(
        "rpo",
        "near miss: a replica that may lag",
        without("copies"),
        config={POLICY: {"rpoSeconds": 60, "replicaLagSeconds": 61}},
        on="source",
    ),
    case("rpo", "near miss: just in time", planned(HOURLY), config={POLICY: {"rpoSeconds": 3600}}, outcome=PASSES),
    case("rpo", "fails: just too late", planned(HOURLY), config={POLICY: {"rpoSeconds": 3599}}, on="source"),
    case(
        "rpo",
        "absent: a weekly plan without an objective",
        planned("rate(7 days)"),
        on="source",
        also=("backups/interval",),
    ),
    case("rpo", "absent: a daily plan without a schedule", planned(""), outcome=PASSES),
    case("rpo", "unknown: schedule", planned("every full moon"), outcome=ADVISORY, on="source"),
    # Encrypted, with a key that is there when the other region isn't
    case("encryption", "fails", props("source", storageEncrypted=False), on="source", says="storage_encrypted=True"),
    case("encryption", "absent", props("source", storageEncrypted=None), on="source"),
    case(
        "encryption",
        "absent: cluster",
        props("primary-cluster", storageEncrypted=None),
        base=programs.clusters,
        on="primary-cluster",
    ),
    case("encryption", "near miss: the account's own key", props("source", kmsKeyId=None), outcome=PASSES),
    case(
        "encryption",
        "unknown: from a resource",
        both(props("source", storageEncrypted=UNKNOWN), sources("source", "storageEncrypted", f"key-{IRELAND}")),
        outcome=ADVISORY,
        on="source",
    ),
    case(
        "key",
        "fails: a replica with the source's key",
        props("replica", kmsKeyId=key_arn(IRELAND)),
        on="replica",
        says=IRELAND,
    ),
    case("key", "fails: copies with the source's key", props("copies", kmsKeyId=key_arn(IRELAND)), on="copies"),
    case(
        "key",
        "fails: a cluster with the other's key",
        props("secondary-cluster", kmsKeyId=key_arn(IRELAND)),
        base=programs.clusters,
        on="secondary-cluster",
    ),
    case("key", "absent: on the replica", props("replica", kmsKeyId=None), on="replica", says="names no key"),
    case(
        "key",
        "near miss: a replica in the source's region needs none",
        both(under("replica", IRELAND), props("replica", kmsKeyId=None)),
        outcome=PASSES,
    ),
    case("key", "near miss: an id names no region", props("replica", kmsKeyId="1234abcd"), outcome=PASSES),
    case("key", "unknown: a key of here", props("replica", kmsKeyId=UNKNOWN), outcome=ADVISORY, on="replica"),
    case(
        "key",
        "unknown: a key of the source's region",
        both(props("replica", kmsKeyId=UNKNOWN), sources("replica", "kmsKeyId", f"key-{IRELAND}")),
        on="replica",
        says=f"a key of {IRELAND}",
    ),
    # Deletion
    case("deletion", "fails", props("source", deletionProtection=False), on="source", says="deletion_protection=True"),
    case("deletion", "fails: the replica", props("replica", deletionProtection=False), on="replica"),
    case(
        "deletion",
        "fails: the global cluster",
        props("whole", deletionProtection=False),
        base=programs.clusters,
        on="whole",
    ),
    case("deletion", "absent", props("source", deletionProtection=None), on="source"),
    case(
        "deletion",
        "fails: no final snapshot",
        props("source", skipFinalSnapshot=True),
        on="source",
        says="final snapshot",
    ),
    case("deletion", "near miss: a replica has none", props("replica", skipFinalSnapshot=True), outcome=PASSES),
    case(
        "deletion",
        "unknown: from a resource",
        both(props("source", deletionProtection=UNKNOWN), sources("source", "deletionProtection", f"key-{IRELAND}")),
        outcome=ADVISORY,
        on="source",
    ),
    case(
        "deletion",
        "unknown: final snapshot",
        both(props("source", skipFinalSnapshot=UNKNOWN), sources("source", "skipFinalSnapshot", f"key-{IRELAND}")),
        outcome=ADVISORY,
        on="source",
    ),
    # Backups
    case("retention", "fails: off", props("source", backupRetentionPeriod=0), on="source", says="0 days"),
    case("retention", "fails: too short", props("source", backupRetentionPeriod=6), on="source"),
    case("retention", "absent: instance", props("source", backupRetentionPeriod=None), on="source", says="0 days"),
    case(
        "retention",
        "absent: cluster",
        props("primary-cluster", backupRetentionPeriod=None),
        base=programs.clusters,
        on="primary-cluster",
        says="1 days",
    ),
    case(
        "retention", "fails: replica without", props("replica", backupRetentionPeriod=0), on="replica", says="promotion"
    ),
    case(
        "retention",
        "near miss: a day is enough for a replica",
        props("replica", backupRetentionPeriod=1),
        outcome=PASSES,
    ),
    case(
        "retention",
        "unknown: from a resource",
        both(
            props("source", backupRetentionPeriod=UNKNOWN), sources("source", "backupRetentionPeriod", f"key-{IRELAND}")
        ),
        outcome=ADVISORY,
        on="source",
    ),
    case("retention", "fails: replicated backups", props("copies", retentionPeriod=1), on="copies"),
    case(
        "retention", "absent: replicated backups have seven days", props("copies", retentionPeriod=None), outcome=PASSES
    ),
    case(
        "retention",
        "unknown: replicated backups",
        both(props("copies", retentionPeriod=UNKNOWN), sources("copies", "retentionPeriod", f"key-{IRELAND}")),
        outcome=ADVISORY,
        on="copies",
    ),
    # All sites
    case(
        "site-copy",
        "fails: one site has none",
        of_sites(primary=database_arn(IRELAND)),
        base=programs.whole,
        on="contract",
        says="site secondary has no database",
    ),
    case(
        "site-copy",
        "fails: both in one region",
        of_sites(primary=database_arn(IRELAND), secondary=database_arn(IRELAND)),
        base=programs.whole,
        on="contract",
        says="names a database of eu-west-1",
    ),
    case(
        "site-copy",
        "passes",
        of_sites(primary=database_arn(IRELAND), secondary=database_arn(FRANKFURT)),
        base=programs.whole,
        outcome=PASSES,
    ),
    case("site-copy", "absent: really stateless", lambda p: None, base=programs.whole, outcome=PASSES),
    case(
        "site-copy",
        "unknown",
        of_sites(primary=database_arn(IRELAND), secondary=UNKNOWN),
        base=programs.whole,
        outcome=ADVISORY,
        on="contract",
    ),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these the data of a lost region is gone, or there and unreadable."""
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    assert rules_without_cases(CASES, databases) == (set(), set())


@pytest.mark.parametrize("base", [programs.databases, programs.clusters], ids=["instances", "clusters"])
def test_a_program_that_is_right_passes_without_a_word(base: Any) -> None:
    """After `up` nothing may be left open."""
    assert analyze(base()).findings == []


def test_the_first_preview_passes_with_advisories() -> None:
    """ARNs of keys and databases are unknown then: a violation would block the first deployment for good."""
    report = analyze(programs.databases_in_preview())
    assert report.rules(mandatory=True) == [], report.text
    assert report.rules(mandatory=False) == ["databases/key"]


def test_the_first_preview_finds_a_replica_in_the_same_region() -> None:
    """It is the one mistake that leaves everything looking replicated."""
    program = programs.databases_in_preview()
    both(without("copies"), under("replica", IRELAND), props("replica", kmsKeyId=None))(program)
    assert analyze(program).rules(mandatory=True) == ["databases/same-region"]


def test_the_first_preview_finds_a_replica_without_a_key() -> None:
    """RDS refuses it halfway through the update, when the source's ARN is known at last."""
    program = programs.databases_in_preview()
    props("replica", kmsKeyId=None)(program)
    assert analyze(program).rules(mandatory=True) == ["databases/key"]


def test_the_contract_of_the_stack_counts_too() -> None:
    """The objective that people were promised is in the contract, not in the policy's configuration."""
    program = programs.databases()
    ONLY_BACKUPS(program)
    program.add("lockstep:contract:GlobalContract", "contract", {"rpoSeconds": 60, "regions": {}})
    assert "databases/rpo" in analyze(program).rules(mandatory=True)


def test_an_unknown_database_does_not_mute_the_other() -> None:
    """The SDK ends a policy at the first unknown; the violations behind it would be lost."""
    program = programs.databases()
    program.resources.insert(0, program.resources.pop(program.resources.index(program["replica"])))
    for key in program["replica"].props:
        program["replica"].props[key] = UNKNOWN
    program.add(INSTANCE, "second", dict.fromkeys(program["source"].props, UNKNOWN), provider=Provider("a", IRELAND))
    props("source", deletionProtection=False)(program)
    found = analyze(program).of("databases/deletion")
    assert program["source"].urn in {finding.urn for finding in found if finding.mandatory}
