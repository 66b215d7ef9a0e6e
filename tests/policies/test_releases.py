"""Group `releases`, rule by rule: passes, fails, near miss, absent, unknown."""

from __future__ import annotations

import contextvars
import json
from typing import Any

import pytest

from lockstep_policies import releases
from tests.policies import programs
from tests.policies.cases import ADVISORY, PASSES, Case, both, judge, props, rules_without_cases, sources
from tests.policies.harness import OUTSIDE, UNKNOWN, Program, analyze

POLICY = "sites-run-one-release"
IMAGE = "sha256:0a1b"
SAME = {"primary": IMAGE, "secondary": IMAGE}
DIFFERENT = {"primary": IMAGE, "secondary": "sha256:2c3d"}


def case(name: str, what: str, damage: Any, **options: Any) -> Case:
    return Case(rule=f"releases/{name}", what=what, damage=damage, base=options.pop("base", programs.whole), **options)


def promises(**values: Any) -> Any:
    """Changes what the contract says, without touching where it says that it comes from."""

    def damage(program: Program) -> None:
        program["contract"].props |= values

    return damage


def tags(specification: Any) -> Any:
    return props("primary-template", tagSpecifications=specification)


def instances(**values: str) -> Any:
    return tags([{"resourceType": "instance", "tags": values}])


TEMPLATE = "primary-template"

CASES = [
    # All sites
    case(
        "same-release",
        "fails",
        promises(releases={"primary": "1.0.0", "secondary": "1.1.0"}),
        on="contract",
        says="primary: 1.0.0, secondary: 1.1.0",
    ),
    case("same-release", "fails: one site has none", promises(releases={"primary": "1.0.0"}), on="contract"),
    case("same-release", "near miss: none anywhere", promises(releases={}), outcome=PASSES),
    case("same-release", "absent", props("contract", releases=None), outcome=PASSES),
    case(
        "same-release",
        "unknown: from another stack",
        promises(releases={"primary": "1.0.0", "secondary": UNKNOWN}),
        outcome=ADVISORY,
        on="contract",
    ),
    case(
        "same-release",
        "unknown: all of them",
        both(promises(releases=UNKNOWN), sources("contract", "releases", OUTSIDE)),
        outcome=ADVISORY,
        on="contract",
    ),
    *(
        part
        for key in releases.SAME_EVERYWHERE
        for part in (
            case("same-content", f"fails: {key}", promises(**{key: DIFFERENT}), on="contract", says="sha256:2c3d"),
            case(
                "same-content",
                f"fails: one site has no {key}",
                promises(**{key: {"primary": IMAGE}}),
                on="contract",
                says="secondary: none",
            ),
            case("same-content", f"passes: {key}", promises(**{key: SAME}), outcome=PASSES),
            case(
                "same-content",
                f"near miss: {key} of different releases",
                promises(**{key: DIFFERENT}, releases={"primary": "1.0.0", "secondary": "1.1.0"}),
                outcome=PASSES,
                also=("releases/same-release",),
            ),
            case(
                "same-content",
                f"unknown: {key}",
                both(promises(**{key: SAME | {"primary": UNKNOWN}}), sources("contract", key, OUTSIDE)),
                outcome=ADVISORY,
                on="contract",
            ),
        )
    ),
    # A site
    case(
        "contract",
        "fails: instances run another one",
        instances(**{"lockstep:release": "0.9.0"}),
        base=programs.site,
        on="contract",
        says="promises 1.0.0, but LaunchTemplate primary-template starts 0.9.0",
    ),
    case(
        "contract",
        "absent: no tag",
        instances(Name="primary"),
        base=programs.site,
        on="contract",
        says="without the tag",
    ),
    case(
        "contract",
        "near miss: the tag is on volumes",
        tags([{"resourceType": "volume", "tags": {"lockstep:release": "1.0.0"}}]),
        base=programs.site,
        on="contract",
    ),
    case("contract", "absent: no tags at all", tags(None), base=programs.site, on="contract"),
    case(
        "contract",
        "near miss: a site without a release",
        both(promises(release=""), instances(Name="primary")),
        base=programs.site,
        outcome=PASSES,
    ),
    case(
        "contract",
        "unknown: the tag, from a resource",
        both(instances(**{"lockstep:release": UNKNOWN}), sources(TEMPLATE, "tagSpecifications", "primary-vpc")),
        base=programs.site,
        outcome=ADVISORY,
        on=TEMPLATE,
    ),
    case(
        "contract",
        "unknown: the promise",
        both(promises(release=UNKNOWN), sources("contract", "release", "primary-vpc")),
        base=programs.site,
        outcome=ADVISORY,
        on="contract",
    ),
]


@pytest.mark.parametrize("damaged", CASES, ids=str)
def test_rule(damaged: Case) -> None:
    """Without these a failover changes the release too, and nobody knows which one is good."""
    judge(damaged)


def test_every_rule_has_a_case_that_fails_and_one_that_passes() -> None:
    """A rule without a failing case may never fire; one without a passing case may fire always."""
    assert rules_without_cases(CASES, releases) == (set(), set())


@pytest.mark.parametrize(
    ("wanted", "blocks"),
    [("1.1.0", False), ("1.0.0", False), ("2.0.0", False), (None, True)],
)
def test_a_preview_before_the_update_that_levels_the_sites_passes(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, blocks: bool
) -> None:
    """An update that was killed between two sites could never be finished: its preview would be refused."""
    # What the engine tells a pack before it analyzes a preview.
    for key, value in (("PROJECT", "lockstep"), ("STACK", "global"), ("DRY_RUN", "true")):
        monkeypatch.setenv(f"PULUMI_{key}", value)
    if wanted is not None:
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps({"lockstep:release": wanted}))
    program = programs.whole()
    promises(releases={"primary": "1.1.0", "secondary": "1.0.0"})(program)
    # The SDK keeps what it was told in the context; later tests run no preview.
    report = contextvars.copy_context().run(analyze, program)
    assert report.rules(mandatory=True) == (["releases/same-release"] if blocks else [])
    assert report.rules(mandatory=False) == ([] if blocks else ["releases/same-release"])


def test_the_update_of_the_global_stack_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after the sites': what differs then was set by a stack's own file, and stays."""
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({"lockstep:release": "1.1.0"}))
    program = programs.whole()
    promises(releases={"primary": "1.1.0", "secondary": "1.0.0"})(program)
    assert analyze(program).rules(mandatory=True) == ["releases/same-release"]
