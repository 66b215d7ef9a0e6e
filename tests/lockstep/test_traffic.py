"""What `lockstep status` makes of traffic: each thing that somebody may have changed by hand, on the sandbox's API."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockstep.drain_switch import followed
from lockstep.regions import FailureKind, RegionFailure
from lockstep.traffic import Check, Found, Record, SiteTraffic, Traffic, Wanted, judge, read
from tests.lockstep.site_traffic import DOMAIN, WANTED, HostedTraffic

Aws = Callable[..., Any]
NAME = f"primary.{DOMAIN}"
RESTORED = ("pulumi refresh -s global", "lockstep up")


def records(**changes: Any) -> tuple[Record, ...]:
    """Those that are declared; `changes` are the primary's."""
    both = [Record(site=site, weight=100, check_id=f"{site}-check", target=f"{site}.{DOMAIN}") for site in WANTED.sites]
    return (replace(both[0], **changes), both[1])


def checks(
    calculated: dict[str, Any] | None = None,
    endpoint: dict[str, Any] | None = None,
    switch: dict[str, Any] | None = None,
) -> dict[str, Check]:
    """Those that are declared; the changes are of the primary's."""
    made = {}
    for site in WANTED.sites:
        mine = site == "primary"
        above = Check(type="CALCULATED", children=(f"{site}-endpoint", f"{site}-switch"), threshold=2)
        below = Check(type="HTTP", target=f"{site}.{DOMAIN}", path="/healthz")
        beside = Check(
            type="CLOUDWATCH_METRIC",
            alarm=WANTED.sites[site].alarm,
            alarm_region=WANTED.sites[site].alarm_region,
            without_data="LastKnownStatus",
            followed=followed(site),
        )
        made[f"{site}-check"] = replace(above, **(calculated or {})) if mine else above
        made[f"{site}-endpoint"] = replace(below, **(endpoint or {})) if mine else below
        made[f"{site}-switch"] = replace(beside, **(switch or {})) if mine else beside
    return made


def without(check: str) -> dict[str, Check]:
    return {name: each for name, each in checks().items() if name != check}


WELL = Found(zone_id="Z1", records=records(), checks=checks())


def test_what_is_declared_has_no_problems() -> None:
    """A status that always complains is one that nobody reads."""
    assert judge(WELL, WANTED) == Traffic(
        sites={site: SiteTraffic(weight=100, check_id=f"{site}-check") for site in WANTED.sites}
    )


# What is changed at the primary, and the words that say so.
PROBLEMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no-record": ({"records": records()[1:]}, [f"{DOMAIN} has no record for it", "gets no traffic"]),
    "no-check": ({"records": records(check_id=None)}, ["has no health check", "healthy for ever"]),
    "another-weight": ({"records": records(weight=50)}, ["Route 53 has weight 50 for it, and config has 100"]),
    "weight-0": ({"records": records(weight=0)}, ["Route 53 has weight 0 for it, and config has 100"]),
    "no-weight": ({"records": records(weight=None)}, ["has no weight"]),
    "another-target": (
        {"records": records(target=f"secondary.{DOMAIN}")},
        [f"its record in Route 53 leads to secondary.{DOMAIN}, and not to {NAME}"],
    ),
    "check-is-gone": ({"checks": without("primary-check")}, ["check primary-check", "doesn't exist any more"]),
    "check-is-disabled": (
        {"checks": checks({"disabled": True})},
        ["its health check primary-check is disabled", "healthy for ever"],
    ),
    "check-is-inverted": ({"checks": checks({"inverted": True})}, ["its health check primary-check is inverted"]),
    "check-is-both": (
        {"checks": checks({"disabled": True, "inverted": True})},
        ["its health check primary-check is disabled and inverted", "failing for ever"],
    ),
    "check-of-another-type": (
        {"records": records(check_id="primary-endpoint")},
        ["its health check primary-endpoint is of type HTTP, and CALCULATED is declared"],
    ),
    "endpoint-is-gone": (
        {"checks": without("primary-endpoint")},
        ["primary-check counts on primary-endpoint, which doesn't exist any more"],
    ),
    "endpoint-is-missing": (
        {"checks": checks({"children": ("primary-switch",), "threshold": 1})},
        ["primary-check has no endpoint check", f"nothing asks whether {NAME} answers"],
    ),
    "endpoint-is-disabled": (
        {"checks": checks(endpoint={"disabled": True})},
        [f"endpoint check primary-endpoint of {NAME} is disabled"],
    ),
    "endpoint-is-inverted": (
        {"checks": checks(endpoint={"inverted": True})},
        [f"endpoint check primary-endpoint of {NAME} is inverted"],
    ),
    "endpoint-of-the-other-site": (
        {"checks": checks({"children": ("secondary-endpoint", "primary-switch")})},
        [f"primary-check asks secondary.{DOMAIN}, and not {NAME}"],
    ),
    "endpoint-of-an-address": (
        {"checks": checks(endpoint={"target": "192.0.2.1"})},
        [f"primary-check asks 192.0.2.1, and not {NAME}"],
    ),
    "endpoint-of-another-path": (
        {"checks": checks(endpoint={"path": "/"})},
        [f"endpoint check primary-endpoint of {NAME} asks for /, and config has /healthz"],
    ),
    "healthy-without-children": (
        {"checks": checks({"threshold": 0})},
        ["primary-check counts as healthy with 0 of its 2 children"],
    ),
    "healthy-with-one": (
        {"checks": checks({"threshold": 1})},
        ["primary-check counts as healthy with 1 of its 2 children"],
    ),
    "switch-is-gone": (
        {"checks": without("primary-switch")},
        ["primary-check counts on primary-switch, which doesn't exist any more"],
    ),
    "switch-is-missing": (
        {"checks": checks({"children": ("primary-endpoint",), "threshold": 1})},
        ["primary-check has no drain switch", "`lockstep drain primary` does nothing"],
    ),
    "switch-is-disabled": (
        {"checks": checks(switch={"disabled": True})},
        ["check primary-switch of its drain switch is disabled", "`lockstep drain primary` does nothing"],
    ),
    "switch-is-inverted": (
        {"checks": checks(switch={"inverted": True})},
        ["check primary-switch of its drain switch is inverted", "comes when the site is drained"],
    ),
    "switch-is-both": (
        {"checks": checks(switch={"disabled": True, "inverted": True})},
        ["primary-switch of its drain switch is disabled and inverted", "drained for ever"],
    ),
    "switch-of-the-other-site": (
        {"checks": checks({"children": ("primary-endpoint", "secondary-switch")})},
        ["follows the alarm lockstep-orders-drain-secondary in eu-west-1, and not its drain switch"],
    ),
    "switch-in-another-region": (
        {"checks": checks(switch={"alarm_region": "eu-west-1"})},
        ["drain-primary in eu-west-1, and not its drain switch lockstep-orders-drain-primary in eu-central-1"],
    ),
    "switch-forgets": (
        {"checks": checks(switch={"without_data": "Healthy"})},
        ["primary-switch of its drain switch counts as Healthy without data", "LastKnownStatus is declared"],
    ),
    "switch-follows-old-settings": (
        {"checks": checks(switch={"followed": followed("primary") | {"Threshold": 2.0}})},
        ["primary-switch of its drain switch follows other data", "(Threshold 2.0)"],
    ),
}


@pytest.mark.parametrize(("changes", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_each_change_is_one_problem_of_its_site_with_what_to_do(changes: dict[str, Any], words: list[str]) -> None:
    """It is found on the day when traffic doesn't leave a dead site."""
    found = judge(replace(WELL, **changes), WANTED)
    (problem,) = found.sites["primary"].problems
    for word in (*words, *RESTORED):
        assert word in problem
    assert found.problems == found.sites["secondary"].problems == ()


def test_an_alias_leads_to_its_balancer() -> None:
    """Where the zone begins there can't be a CNAME."""
    alias = records(target="orders-1.eu-west-1.elb.amazonaws.com", is_alias=True)
    found = judge(replace(WELL, records=alias), replace(WANTED, is_alias=True))
    assert found.sites["primary"] == judge(WELL, WANTED).sites["primary"]


def test_a_record_of_the_other_kind_is_told() -> None:
    """A plan would show a change that nobody asked for, and refuse it."""
    alias = records(target="orders-1.eu-west-1.elb.amazonaws.com", is_alias=True)
    for found, wanted, says in (
        (replace(WELL, records=alias), WANTED, "is an alias, and lockstep:recordType is cname"),
        (WELL, replace(WANTED, is_alias=True), "is no alias, and lockstep:recordType is alias"),
    ):
        assert any(says in problem for problem in judge(found, wanted).sites["primary"].problems)


def test_what_routes_to_no_site_is_a_problem_of_none() -> None:
    """A third of the users would get something else."""
    for site, weight in (("test", 100), (None, None)):
        other = Record(site=site, weight=weight, check_id=None, target="elsewhere.example.com")
        found = judge(replace(WELL, records=(*records(), other)), WANTED)
        (problem,) = found.problems
        for word in (f"{DOMAIN} also leads to elsewhere.example.com", f"set identifier {site}", "--hosted-zone-id Z1"):
            assert word in problem
        assert [each.problems for each in found.sites.values()] == [(), ()]


def test_an_application_without_any_weighted_record_is_one_problem() -> None:
    """`global` isn't up yet, and one command brings all of it."""
    for left in ((), (Record(site=None, weight=None, check_id=None, target="elsewhere.example.com"),)):
        found = judge(replace(WELL, records=left, checks={}), WANTED)
        (problem,) = found.problems
        assert "run `lockstep up`" in problem
        assert found.sites == dict.fromkeys(WANTED.sites, SiteTraffic())


def test_a_zone_that_is_not_there_is_one_problem() -> None:
    """The login may be of another account, which has neither."""
    (problem,) = judge(Found(zone_id=None, records=(), checks={}), WANTED).problems
    assert "no public hosted zone example.com" in problem
    assert "lockstep:zone" in problem


def failure(kind: FailureKind, call: str) -> RegionFailure:
    return RegionFailure(region="us-east-1", kind=kind, code="C", text=f"{call} failed", remedy="mend it")


def test_a_control_plane_that_is_gone_is_said_once_and_traffic_moves_on() -> None:
    """Somebody who believes that traffic needs the control plane does harm by hand."""
    gone = (failure(FailureKind.UNREACHABLE, "first"), failure(FailureKind.UNREACHABLE, "second"))
    found = judge(Found(zone_id=None, records=None, checks=None, failures=gone), WANTED)
    (problem,) = found.problems
    for word in (
        "records and health checks",
        "isn't known",
        "first failed",
        "mend it",
        "traffic still moves by itself",
    ):
        assert word in problem
    assert "second" not in problem
    assert found.sites == {}


def test_what_cannot_be_read_hides_only_itself() -> None:
    """A login that may not list the account's checks may well see a record that is missing."""
    denied = (failure(FailureKind.DENIED, "route53 ListHealthChecks"),)
    found = judge(Found(zone_id="Z1", records=records(weight=50), checks=None, failures=denied), WANTED)
    (problem,) = found.problems
    assert "what Route 53's health checks are isn't known" in problem
    assert "route53 ListHealthChecks failed" in problem
    assert ["weight 50" in each for each in found.sites["primary"].problems] == [True]
    assert found.sites["secondary"] == SiteTraffic(weight=100, check_id="secondary-check")
    found = judge(Found(zone_id=None, records=None, checks=checks(), failures=denied), WANTED)
    assert "what Route 53's records are isn't known" in found.problems[0]


@pytest.fixture
def hosted(aws: Aws) -> HostedTraffic:
    made = HostedTraffic(aws)
    made.bring_up()
    return made


def look(aws: Aws, wanted: Wanted = WANTED) -> Traffic:
    return judge(read(aws, wanted), wanted)


def test_what_the_stack_leaves_is_read_as_it_is(hosted: HostedTraffic, aws: Aws) -> None:
    """Otherwise nothing here proves anything."""
    assert look(aws) == Traffic(
        sites={site: SiteTraffic(weight=100, check_id=hosted.checks[site]) for site in WANTED.sites}
    )
    assert read(aws, WANTED).zone_id == hosted.zone_id


def follow_another_metric(on: HostedTraffic) -> None:
    """The switch's alarm changed, and Route 53 told to follow it."""
    wanted = WANTED.sites["primary"]
    on.alarm("primary", MetricName="Other")
    on.route53.update_health_check(
        HealthCheckId=on.switches["primary"], AlarmIdentifier={"Name": wanted.alarm, "Region": wanted.alarm_region}
    )


BY_HAND: dict[str, tuple[Callable[[HostedTraffic], object], str]] = {
    "record-deleted": (lambda on: on.change("DELETE", on.record("primary")), "has no record for it"),
    "check-taken-off": (
        lambda on: on.change("UPSERT", on.record("primary", HealthCheckId=None)),
        "has no health check",
    ),
    "check-deleted": (
        lambda on: on.route53.delete_health_check(HealthCheckId=on.checks["primary"]),
        "doesn't exist any more",
    ),
    "check-disabled": (
        lambda on: on.route53.update_health_check(HealthCheckId=on.checks["primary"], Disabled=True),
        "is disabled",
    ),
    "endpoint-deleted": (
        lambda on: on.route53.delete_health_check(HealthCheckId=on.endpoints["primary"]),
        "which doesn't exist any more",
    ),
    "endpoint-inverted": (
        lambda on: on.route53.update_health_check(HealthCheckId=on.endpoints["primary"], Inverted=True),
        "is inverted",
    ),
    "endpoint-moved": (
        lambda on: on.route53.update_health_check(
            HealthCheckId=on.endpoints["primary"], FullyQualifiedDomainName=f"Secondary.{DOMAIN}."
        ),
        f"asks secondary.{DOMAIN}",
    ),
    "endpoint-of-an-address": (
        lambda on: on.route53.update_health_check(
            HealthCheckId=on.checks["primary"],
            ChildHealthChecks=[
                on.check("new", Type="HTTP", IPAddress="8.8.8.8", FullyQualifiedDomainName=NAME),
                on.switches["primary"],
            ],
        ),
        "asks 8.8.8.8",
    ),
    "target-changed": (
        lambda on: on.change("UPSERT", on.record("primary", ResourceRecords=[{"Value": "elsewhere.example.com."}])),
        "leads to elsewhere.example.com, and not",
    ),
    "path-changed": (
        lambda on: on.route53.update_health_check(HealthCheckId=on.endpoints["primary"], ResourcePath="/always"),
        "asks for /always",
    ),
    "switch-deleted": (
        lambda on: on.route53.delete_health_check(HealthCheckId=on.switches["primary"]),
        "which doesn't exist any more",
    ),
    "switch-disabled": (
        lambda on: on.route53.update_health_check(HealthCheckId=on.switches["primary"], Disabled=True),
        "of its drain switch is disabled",
    ),
    "switch-taken-out": (
        lambda on: on.route53.update_health_check(
            HealthCheckId=on.checks["primary"], ChildHealthChecks=[on.endpoints["primary"]], HealthThreshold=1
        ),
        "has no drain switch",
    ),
    "switch-of-another-metric": (
        follow_another_metric,
        "(MetricName Other)",
    ),
    "threshold-0": (
        lambda on: on.route53.update_health_check(HealthCheckId=on.checks["primary"], HealthThreshold=0),
        "healthy with 0 of its 2",
    ),
    "weight-changed": (lambda on: on.change("UPSERT", on.record("primary", Weight=0)), "has weight 0 for it"),
}


@pytest.mark.parametrize(("by_hand", "words"), BY_HAND.values(), ids=BY_HAND)
def test_what_was_changed_by_hand_is_found(
    hosted: HostedTraffic, aws: Aws, by_hand: Callable[[HostedTraffic], object], words: str
) -> None:
    """Route 53 lets anybody do it, at three in the morning, and nothing looks wrong until the next outage."""
    by_hand(hosted)
    found = look(aws)
    (problem,) = found.sites["primary"].problems
    assert words in problem
    assert found.problems == found.sites["secondary"].problems == ()


def test_a_record_beside_the_sites_is_found(hosted: HostedTraffic, aws: Aws) -> None:
    """It gets its share, without a check."""
    hosted.change("CREATE", hosted.record("third"))
    (problem,) = look(aws).problems
    assert f"{DOMAIN} also leads to third.{DOMAIN}" in problem


def test_what_else_is_in_the_zone_and_the_account_is_nobodys_business(hosted: HostedTraffic, aws: Aws) -> None:
    """Zones are listed from a name on, and records too: what comes after isn't of that name."""
    texts = [hosted.record(f"{n}", Name=f"{n}.{DOMAIN}", SetIdentifier=None, Weight=None) for n in range(3)]
    hosted.change("CREATE", *texts, hosted.record("x", Name="z.example.com", Weight=7))
    for name, more in (("sub.example.com", {}), ("example.com", private()), ("example.org", {})):
        aws("route53").create_hosted_zone(Name=name, CallerReference=name, **more)
    assert look(aws).problems == ()
    other = replace(WANTED, zone="example.net", domain="orders.example.net")
    assert "no public hosted zone example.net" in look(aws, other).problems[0]


def private() -> dict[str, Any]:
    return {"VPC": {"VPCRegion": "eu-west-1", "VPCId": "vpc-1"}, "HostedZoneConfig": {"PrivateZone": True}}


def test_checks_beyond_the_first_page_are_read(hosted: HostedTraffic, aws: Aws) -> None:
    """A check that is on the second page would be one that was deleted."""
    for number in range(110):
        hosted.check(f"more-{number}", Type="TCP", FullyQualifiedDomainName="example.org", Port=number + 1)
    assert look(aws).sites["primary"].problems == ()
    found = read(aws, WANTED)
    assert found.checks is not None
    assert len(found.checks) == 116
