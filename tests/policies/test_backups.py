"""Group `backups`, rule by rule: passes, fails, near miss, absent, unknown; and how often a schedule runs."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_policies import backups, view
from lockstep_policies.backups import DAY, HOUR, MINUTE, interval_seconds
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources, without
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, Provider, analyze
from tests.policies.programs import FRANKFURT, IRELAND, key_arn, vault_arn

POLICY = "backups-leave-their-region"
VAULT = f"vault-{FRANKFURT}"


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(rule=f"backups/{name}", what=what, damage=damage, base=programs.backups, **options)


def rule(**values: Any) -> Any:
    """Changes the plan's rule."""

    def damage(program: Program) -> None:
        program["plan"].props["rules"][0] |= values

    return damage


def copies(**values: Any) -> Any:
    """Changes the copy action of the plan's rule."""

    def damage(program: Program) -> None:
        program["plan"].props["rules"][0]["copyActions"][0] |= values

    return damage


def second_rule(**values: Any) -> Any:
    """Adds a rule like the first but for some values."""

    def damage(program: Program) -> None:
        first = program["plan"].props["rules"][0]
        program["plan"].props["rules"].append({**first, "ruleName": "second", **values})

    return damage


def under(name: str, region: str | None) -> Any:
    def damage(program: Program) -> None:
        program[name].provider = Provider("moved", region)

    return damage


def air_gapped(key: str) -> Any:
    def damage(program: Program) -> None:
        program.add(
            "aws:backup/logicallyAirGappedVault:LogicallyAirGappedVault",
            "air-gapped",
            {"encryptionKeyArn": key},
            provider=Provider("frankfurt", FRANKFURT),
        )

    return damage


UNKNOWN_COPY = copies(destinationVaultArn=UNKNOWN)
ENDLESS = both(rule(lifecycle={}), copies(lifecycle={}))

CASES = [
    # Out of the region
    case("copy", "absent", rule(copyActions=[]), on="plan", says="rule daily copies nothing"),
    case("copy", "fails: one rule of two", second_rule(copyActions=[]), on="plan", says="rule second"),
    case("copy", "passes: two rules", second_rule(), outcome=PASSES),
    case(
        "copy",
        "near miss: one copy here and one away",
        rule(copyActions=[{"destinationVaultArn": vault_arn(region)} for region in (IRELAND, FRANKFURT)]),
        outcome=PASSES,
    ),
    case("copy", "unknown: to a vault here that is away", UNKNOWN_COPY, outcome=ADVISORY, on="plan"),
    case(
        "copy",
        "unknown: to another stack's vault",
        both(UNKNOWN_COPY, sources("plan", "rules", OUTSIDE)),
        outcome=ADVISORY,
        on="plan",
    ),
    case(
        "copy",
        "unknown: all rules",
        props("plan", rules=UNKNOWN),
        outcome=ADVISORY,
        on="plan",
    ),
    case("copy", "unknown: where the plan is", under("plan", None), outcome=ADVISORY, on="plan"),
    case("same-region", "fails", copies(destinationVaultArn=vault_arn(IRELAND)), on="plan", says="within eu-west-1"),
    case(
        "same-region",
        "unknown: only vaults of here",
        both(UNKNOWN_COPY, sources("plan", "rules", f"vault-{IRELAND}")),
        on="plan",
    ),
    case("same-region", "near miss: a plan of the other region", under("plan", "eu-north-1"), outcome=PASSES),
    # Often enough
    case("interval", "fails: weekly", rule(schedule="cron(0 5 ? * SUN *)"), on="plan", says="every 168 hours"),
    case("interval", "near miss: weekly and daily", second_rule(schedule="cron(0 5 ? * 1 *)"), outcome=PASSES),
    case(
        "interval", "near miss: on weekdays", rule(schedule="cron(0 5 ? * MON-FRI *)"), on="plan", says="every 72 hours"
    ),
    case("interval", "absent: daily", rule(schedule=""), outcome=PASSES),
    case("interval", "unknown", rule(schedule=UNKNOWN), outcome=ADVISORY, on="plan"),
    case(
        "interval",
        "fails: hourly is wanted",
        lambda p: None,
        config={POLICY: {"maximumIntervalHours": 1}},
        on="plan",
    ),
    # For long enough
    case(
        "retention", "fails: too short", rule(lifecycle={"deleteAfter": 6}), on="plan", says="keeps its backups for 6"
    ),
    case(
        "retention", "fails: the copies", copies(lifecycle={"deleteAfter": 1}), on="plan", says="keeps its copies for 1"
    ),
    case(
        "retention",
        "fails: below the schedule",
        second_rule(schedule="cron(0 5 1 * ? *)", lifecycle={"deleteAfter": 30}),
        on="plan",
        says="makes one every 31",
    ),
    case(
        "retention",
        "near miss: as long as the schedule",
        second_rule(
            schedule="cron(0 5 1 * ? *)",
            lifecycle={"deleteAfter": 31},
            copyActions=[{"destinationVaultArn": vault_arn(FRANKFURT), "lifecycle": {"deleteAfter": 31}}],
        ),
        outcome=PASSES,
    ),
    case("retention", "near miss: just long enough", rule(lifecycle={"deleteAfter": 7}), outcome=PASSES),
    case("retention", "absent: for ever", ENDLESS, outcome=PASSES),
    case("retention", "unknown", rule(lifecycle={"deleteAfter": UNKNOWN}), outcome=ADVISORY, on="plan"),
    # Of something
    case("selection", "absent", without("selection"), on="plan", says="nothing is selected"),
    case(
        "selection",
        "fails: for another plan",
        both(props("selection", planId="plan-2"), sources("selection", "planId")),
        on="plan",
    ),
    case("selection", "unknown: for this plan", props("selection", planId=UNKNOWN), outcome=PASSES),
    # Vaults
    case("vault-key", "fails", props(VAULT, kmsKeyArn=key_arn(IRELAND)), on=VAULT, says=f"a key of {IRELAND}"),
    case("vault-key", "fails: air-gapped", air_gapped(key_arn(IRELAND)), on="air-gapped"),
    case("vault-key", "near miss: air-gapped", air_gapped(key_arn(FRANKFURT)), outcome=PASSES),
    case("vault-key", "absent: the account's own key", props(VAULT, kmsKeyArn=None), outcome=PASSES),
    case(
        "vault-key",
        "unknown: from another stack",
        both(props(VAULT, kmsKeyArn=UNKNOWN), sources(VAULT, "kmsKeyArn", OUTSIDE)),
        outcome=ADVISORY,
        on=VAULT,
    ),
    case("vault-deletion", "fails", props(VAULT, forceDestroy=True), on=VAULT, says="force_destroy=False"),
    case("vault-deletion", "absent", props(VAULT, forceDestroy=None), outcome=PASSES),
    case(
        "vault-deletion",
        "unknown: from a resource",
        both(props(VAULT, forceDestroy=UNKNOWN), sources(VAULT, "forceDestroy", "plan")),
        outcome=ADVISORY,
        on=VAULT,
    ),
    case("vault-lock", "absent", without(f"lock-{FRANKFURT}"), outcome=ADVISORY, on=VAULT),
    case("vault-lock", "passes", lambda p: None, outcome=PASSES),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these backups are lost together with what they are backups of."""
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    assert rules_without_cases(CASES, backups) == (set(), set())


def test_a_program_that_is_right_passes_without_a_word() -> None:
    """After `up` nothing may be left open."""
    assert analyze(programs.backups()).findings == []


def test_the_first_preview_passes_with_advisories() -> None:
    """ARNs of vaults are unknown then: a violation would block the first deployment for good."""
    report = analyze(programs.backups_in_preview())
    assert report.rules(mandatory=True) == [], report.text
    assert report.rules(mandatory=False) == ["backups/copy"]


def test_an_unknown_vault_does_not_mute_the_plan() -> None:
    """The SDK ends a policy at the first unknown; the violations behind it would be lost."""
    program = programs.backups()
    for key in program[VAULT].props:
        program[VAULT].props[key] = UNKNOWN
    rule(copyActions=[])(program)
    assert analyze(program).rules(mandatory=True) == ["backups/copy"]


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (None, DAY),
        ("cron(0 5 * * ? *)", DAY),
        ("cron(0 5 ? * * *)", DAY),
        ("cron(0 5,17 * * ? *)", 12 * HOUR),
        ("cron(0 5,6 * * ? *)", 23 * HOUR),
        ("cron(0 */8 * * ? *)", 8 * HOUR),
        ("cron(0 0/8 * * ? *)", 8 * HOUR),
        ("cron(0 * * * ? *)", HOUR),
        ("cron(0/15 * * * ? *)", 15 * MINUTE),
        ("cron(* * * * ? *)", MINUTE),
        ("cron(0 5 ? * MON *)", 7 * DAY),
        ("cron(0 5 ? * 2 *)", 7 * DAY),
        ("cron(0 5 ? * MON,THU *)", 4 * DAY),
        ("cron(0 5 ? * MON-FRI *)", 3 * DAY),
        ("cron(0 5 1 * ? *)", 31 * DAY),
        ("cron(0 5 L * ? *)", 31 * DAY),
        ("cron(0 5 1,15 * ? *)", 17 * DAY),
        ("cron(0 5 1 1 ? *)", 12 * 31 * DAY),
        ("cron(0 5 1 1,7 ? *)", 6 * 31 * DAY),
        ("rate(1 hour)", HOUR),
        ("rate(2 days)", 2 * DAY),
        ("rate(90 minutes)", 90 * MINUTE),
    ],
)
def test_the_longest_time_between_two_backups_is_read_from_the_schedule(schedule: str | None, seconds: int) -> None:
    """Two backups an hour apart and then none for a day are a day of data at risk."""
    assert interval_seconds({"schedule": schedule}) == seconds


@pytest.mark.parametrize("schedule", ["cron(0 5 ? * 2#1 *)", "cron(0 5 1 JAN ? *)", "at(2026-01-01T00:00:00)", "x"])
def test_a_schedule_that_can_not_be_read_is_not_taken_for_a_good_one(schedule: str) -> None:
    """What isn't understood isn't proved."""
    assert interval_seconds({"schedule": schedule}) is view.UNKNOWN
