"""What holds for every rule: exemptions, advisories, defects of a check, secrets."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from lockstep_policies import GROUPS, buckets, findings, health_checks, traffic
from tests.policies import programs
from tests.policies.cases import props, sources, without
from tests.policies.harness import UNKNOWN, analyze, configure, secret, servicer

TRAFFIC = "traffic-fails-over"
ADVISORIES = "not-proved-yet"
TODAY = datetime.date(2026, 6, 1)
COMPLETE = {
    "rule": "traffic/health-check",
    "resource": "primary-member",
    "reason": "moves to the new balancer this month",
    "owner": "traffic team",
    "expires": "2026-06-30",
}


@pytest.fixture(autouse=True)
def _first_of_june(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "today", lambda: TODAY)


def unchecked_with(*exemptions: dict[str, str]) -> Any:
    program = programs.traffic()
    props("primary-member", healthCheckId=None)(program)
    return analyze(program, {TRAFFIC: {"exemptions": list(exemptions)}})


@pytest.mark.parametrize("resource", ["primary-member", "primary-*", "*::primary-member", "*"])
@pytest.mark.parametrize("rule", ["traffic/health-check", "traffic/*"])
def test_a_complete_exemption_takes_the_finding_away(rule: str, resource: str) -> None:
    """Otherwise the only way past a finding is to switch the whole policy off."""
    assert unchecked_with(COMPLETE | {"rule": rule, "resource": resource}).findings == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"resource": "secondary-member"}, ["traffic/health-check"]),
        ({"rule": "traffic/budget"}, ["traffic/health-check"]),
        ({"reason": ""}, ["traffic/exemption", "traffic/health-check"]),
        ({"reason": "  "}, ["traffic/exemption", "traffic/health-check"]),
        ({"owner": ""}, ["traffic/exemption", "traffic/health-check"]),
        ({"expires": ""}, ["traffic/exemption", "traffic/health-check"]),
        ({"expires": "soon"}, ["traffic/exemption", "traffic/health-check"]),
        ({"expires": "2026-05-31"}, ["traffic/exemption", "traffic/health-check"]),
        ({"expires": "2027-06-03"}, ["traffic/exemption", "traffic/health-check"]),
        ({"expires": "2026-06-01"}, []),
        ({"expires": "2027-06-02"}, []),
    ],
    ids=str,
)
def test_an_exemption_that_does_not_hold_is_a_violation_and_exempts_nothing(
    change: dict[str, str], found: list[str]
) -> None:
    """An exemption that nobody answers for, or that ran out, would switch a rule off for good without anybody
    noticing.
    """
    assert unchecked_with(COMPLETE | change).rules(mandatory=True) == found


@pytest.mark.parametrize("policy", GROUPS)
def test_an_expired_exemption_is_a_violation_in_every_group(policy: str) -> None:
    """Also where the group finds nothing else: whoever owned the exemption has to take it away."""
    for base in (programs.site, programs.whole):
        report = analyze(base(), {policy: {"exemptions": [COMPLETE | {"expires": "2026-05-31"}]}})
        assert report.rules(mandatory=True) == [f"{GROUPS[policy]}/exemption"]


@pytest.mark.parametrize(
    ("policy", "base", "damage", "rule", "resource"),
    [
        (
            "databases-outlive-their-region",
            programs.databases,
            props("source", deletionProtection=False),
            "databases/deletion",
            "source",
        ),
        ("backups-leave-their-region", programs.backups, without("selection"), "backups/selection", "plan"),
        (
            "fleets-carry-the-load",
            programs.fleets,
            props("primary-fleet", healthCheckType="EC2"),
            "fleet/elb-check",
            "primary-fleet",
        ),
        (
            "sites-run-one-release",
            programs.whole,
            props("contract", releases={"primary": "1.0.0"}),
            "releases/same-release",
            "contract",
        ),
    ],
)
def test_an_exemption_holds_in_every_group(policy: str, base: Any, damage: Any, rule: str, resource: str) -> None:
    """A policy without a way past it is switched off as a whole."""
    program = base()
    damage(program)
    assert analyze(program).rules(mandatory=True) == [rule]
    exemption = COMPLETE | {"rule": rule, "resource": resource}
    assert analyze(program, {policy: {"exemptions": [exemption]}}).findings == []


def test_an_exemption_can_not_exempt_exemptions() -> None:
    """One exemption for everything would otherwise hide that it ran out."""
    everything = COMPLETE | {"rule": "*", "resource": "*"}
    report = unchecked_with(everything, COMPLETE | {"expires": "2026-01-01"})
    assert report.rules(mandatory=True) == ["traffic/exemption"]
    assert "expired on 2026-01-01" in report.text


def test_an_exemption_covers_advisories_too() -> None:
    """A value that stays unknown for a known reason would be repeated in every preview."""
    program = programs.traffic()
    props("primary-member", healthCheckId=UNKNOWN)(program)
    assert analyze(program).rules(mandatory=False) == ["traffic/health-check"]
    assert analyze(program, {TRAFFIC: {"exemptions": [COMPLETE]}}).findings == []


def test_an_unknown_of_one_resource_does_not_mute_another() -> None:
    """The SDK ends a policy at the first unknown that it meets; the violations behind it would be lost."""
    program = programs.traffic()
    for name in ("primary-alb", "primary-own", "primary-endpoint", "primary-check", "primary-member"):
        for key in program[name].props:
            if key not in {"name", "type", "setIdentifier", "weightedRoutingPolicies"}:
                program[name].props[key] = UNKNOWN
    props("secondary-endpoint", disabled=True)(program)
    without("secondary-alb")(program)
    assert [finding.urn for finding in analyze(program).of("traffic/check-disabled")] == [
        program["secondary-endpoint"].urn
    ]


def test_a_defect_in_a_check_does_not_mute_the_others_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a policy ends the whole call of the engine: every other finding would be lost."""

    def broken(*_: Any) -> None:
        raise KeyError("hunter2")

    monkeypatch.setattr(health_checks.HealthChecks, "_judge_kind", broken)
    program = programs.traffic()
    props("secondary-member", healthCheckId=None)(program)
    report = analyze(program)
    assert report.rules(mandatory=True) == ["traffic/health-check", "traffic/internal"]
    assert "KeyError at test_findings.py" in report.text
    assert "hunter2" not in report.text


@pytest.mark.parametrize("group", [(traffic, "Traffic"), (buckets, "Buckets")], ids=str)
def test_a_defect_before_the_first_check_blocks(monkeypatch: pytest.MonkeyPatch, group: tuple[Any, str]) -> None:
    """A group that fails as a whole must not look like one that found nothing."""
    monkeypatch.setattr(*group, None)
    name = group[1].lower()
    assert analyze(programs.traffic()).rules(mandatory=True) == [f"{name}/internal"]


def test_the_same_finding_is_said_once() -> None:
    """A check that two members share would otherwise be reported for each of them."""
    program = programs.traffic()
    props("secondary-member", healthCheckId="check-primary")(program)
    sources("secondary-member", "healthCheckId", "primary-check")(program)
    props("primary-endpoint", disabled=True)(program)
    assert len(analyze(program).of("traffic/check-disabled")) == 1


def test_no_value_of_a_secret_reaches_a_message() -> None:
    """Policies get secrets in clear, and messages end in logs of pull requests."""
    program = programs.traffic()
    hidden = "s3cret-value"
    for name in ("primary-endpoint", "primary-check", "primary-member", "primary-own"):
        for key, value in list(program[name].props.items()):
            if isinstance(value, str) and key != "type":
                program[name].props[key] = secret(hidden)
    program["primary-endpoint"].props["searchString"] = secret(hidden)
    report = analyze(program)
    assert len(report.findings) > 3
    assert hidden not in report.text


def test_secrets_are_judged_like_other_values() -> None:
    """A value that happens to be secret must neither pass nor fail for that reason."""
    program = programs.traffic()
    program["primary-endpoint"].props["fqdn"] = secret("primary.app.example.com")
    program["primary-member"].props["ttl"] = secret(30)
    assert analyze(program).findings == []
    program["primary-endpoint"].props["disabled"] = secret(True)
    assert analyze(program).rules(mandatory=True) == ["traffic/check-disabled"]


def test_advisories_of_one_preview_do_not_appear_in_the_next() -> None:
    """The pack's process can serve several calls; findings of a program that is gone would confuse everybody."""
    server = servicer()
    configure(server)
    preview = server.AnalyzeStack(programs.traffic_in_preview().request(), None)
    assert {item.policyName for item in preview.diagnostics} == {ADVISORIES}
    assert list(server.AnalyzeStack(programs.traffic().request(), None).diagnostics) == []


def test_advisories_never_block() -> None:
    """A first deployment has dozens of values that nobody can know; as violations they would stop it."""
    report = analyze(programs.whole_in_preview())
    assert report.findings
    assert {finding.policy for finding in report.findings} == {ADVISORIES}
    assert not any(finding.mandatory for finding in report.findings)
