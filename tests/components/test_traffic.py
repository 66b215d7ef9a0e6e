"""Weighted DNS with a health check on every record."""

from typing import Any

import pytest

from components.traffic import Traffic, TrafficArgs, TrafficSite
from lockstep import drain_switch
from lockstep.config import HealthCheck, RecordType
from tests.components.recording import ZONE_ID, Declared, Recording, run

RECORD = "aws:route53/record:Record"
CHECK = "aws:route53/healthCheck:HealthCheck"
SITES = ("primary", "secondary", "tertiary")


def site(name: str, weight: int = 100) -> TrafficSite:
    """One site."""
    return TrafficSite(
        name=name,
        domain=f"{name}.orders.example.com",
        weight=weight,
        alb_dns_name=f"{name}.elb.amazonaws.com",
        alb_zone_id="ZLB",
        switch_alarm=f"switch-of-{name}",
        switch_region=f"region-after-{name}",
    )


def arguments(**options: Any) -> TrafficArgs:
    """Traffic of three sites."""
    given: dict[str, Any] = {
        "zone": "example.com",
        "domain": "orders.example.com",
        "ttl": 30,
        "health_check": HealthCheck(path="/ready", interval=30, threshold=5),
        "protect": True,
        "sites": [site(name) for name in SITES],
    }
    return TrafficArgs(**given | options)


def traffic(**options: Any) -> Recording:
    """Traffic declared."""

    def program() -> None:
        Traffic("orders", arguments(**options))

    return run(program)


def weighted(recording: Recording) -> dict[str, Declared]:
    """The weighted records by their set identifiers."""
    found = {
        record.inputs["setIdentifier"]: record
        for record in recording.of(RECORD)
        if "weightedRoutingPolicies" in record.inputs
    }
    assert found
    return found


def test_every_weighted_record_has_a_health_check_of_its_own() -> None:
    """A record without one counts as healthy for ever: a dead site would keep its share of the traffic."""
    recording = traffic()
    checks = {name: record.inputs["healthCheckId"] for name, record in weighted(recording).items()}
    assert checks == {name: f"orders-{name}-id" for name in SITES}


def test_a_site_gets_traffic_while_its_endpoint_and_its_switch_are_healthy() -> None:
    """A switch that one healthy child outvotes takes nothing off; and two sites could fall together."""
    recording = traffic()
    for name in SITES:
        check = recording.one(CHECK, f"orders-{name}").inputs
        assert check["type"] == "CALCULATED"
        assert check["childHealthchecks"] == [f"orders-{name}-endpoint-id", f"orders-{name}-switch-id"]
        assert check["childHealthThreshold"] == 2


def test_a_switch_is_the_alarm_in_another_region_and_keeps_what_it_was_told() -> None:
    """Without data the site would come back by itself, or be out from the first day."""
    recording = traffic()
    for name in SITES:
        check = recording.one(CHECK, f"orders-{name}-switch").inputs
        assert check["type"] == "CLOUDWATCH_METRIC"
        assert (check["cloudwatchAlarmName"], check["cloudwatchAlarmRegion"]) == (
            f"switch-of-{name}",
            f"region-after-{name}",
        )
        assert check["insufficientDataHealthStatus"] == "LastKnownStatus"


def test_a_switch_is_copied_again_when_its_alarm_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Route 53 would go on with the old settings, and nobody would see why draining does nothing."""
    before = traffic().one(CHECK, "orders-primary-switch").inputs["triggers"]
    assert "Site=primary" in before["metric"]
    for setting, value in (("PERIOD_SECONDS", 120), ("METRIC", "Other"), ("MISSING_DATA", "breaching")):
        with monkeypatch.context() as changed:
            changed.setattr(drain_switch, setting, value)
            assert traffic().one(CHECK, "orders-primary-switch").inputs["triggers"] != before


def test_an_endpoint_check_asks_for_the_sites_own_name() -> None:
    """The shared name answers with whichever site DNS picks: the check would judge another site."""
    recording = traffic()
    for name in SITES:
        check = recording.one(CHECK, f"orders-{name}-endpoint").inputs
        assert check["fqdn"] == f"{name}.orders.example.com"
        assert (check["type"], check["port"], check["resourcePath"]) == ("HTTP", 80, "/ready")
        assert (check["requestInterval"], check["failureThreshold"]) == (30, 5)


def test_no_check_is_disabled_or_inverted() -> None:
    """A disabled check counts as healthy for ever, an inverted one takes a healthy site off."""
    for check in traffic().of(CHECK):
        assert not check.inputs.get("disabled")
        assert not check.inputs.get("invertHealthcheck")


def test_the_applications_name_is_one_weighted_set_with_one_ttl() -> None:
    """Route 53 refuses members of one set with different TTLs, and a record outside the set would hide it."""
    recording = traffic(sites=[site("primary", 1), site("secondary", 0)], ttl=60)
    records = weighted(recording)
    assert {name: record.inputs["weightedRoutingPolicies"] for name, record in records.items()} == {
        "primary": [{"weight": 1}],
        "secondary": [{"weight": 0}],
    }
    for name, record in records.items():
        assert (record.inputs["name"], record.inputs["type"]) == ("orders.example.com", "CNAME")
        assert (record.inputs["ttl"], record.inputs["zoneId"]) == (60, ZONE_ID)
        assert record.inputs["records"] == [f"{name}.orders.example.com"]


def test_a_sites_own_name_answers_with_its_balancer_whatever_its_health() -> None:
    """The check of a sick site would find no address, and people couldn't look at it."""
    recording = traffic()
    for name in SITES:
        record = recording.one(RECORD, f"orders-{name}-own").inputs
        assert (record["name"], record["type"]) == (f"{name}.orders.example.com", "A")
        assert record["aliases"] == [
            {"name": f"{name}.elb.amazonaws.com", "zoneId": "ZLB", "evaluateTargetHealth": False}
        ]
        assert "setIdentifier" not in record


def test_the_zone_is_looked_up_and_never_declared() -> None:
    """A teardown would delete the zone with everything else in it."""
    recording = traffic()
    assert [args for token, args in recording.invokes if token.endswith(":getZone")] == [
        {"name": "example.com", "privateZone": False}
    ]
    assert not recording.has("aws:route53/zone:Zone")


@pytest.mark.parametrize("protect", [True, False])
def test_protection_covers_weighted_records_and_their_checks(protect: bool) -> None:
    """A site taken out of the list by mistake would lose its traffic; or a teardown would be refused."""
    recording = traffic(protect=protect)
    assert all(record.protect is protect for record in weighted(recording).values())
    for part in ("", "-switch"):
        assert all(recording.one(CHECK, f"orders-{name}{part}").protect is protect for name in SITES)


def test_outputs_name_checks_and_records_by_site() -> None:
    """Status and policies couldn't tell which check belongs to which site."""
    recording = traffic()
    (outputs,) = [values for urn, values in recording.outputs.items() if "lockstep:traffic:Traffic" in urn]
    assert outputs == {
        "appDomain": "orders.example.com",
        "zoneId": ZONE_ID,
        "healthCheckIds": {name: f"orders-{name}-id" for name in SITES},
        "recordNames": {name: f"{name}.orders.example.com" for name in SITES},
    }


def test_one_site_alone_is_refused() -> None:
    """There would be nowhere for its traffic to go."""
    with pytest.raises(ValueError, match="only one"):
        arguments(sites=[site("primary")])


def test_all_weights_zero_are_refused() -> None:
    """Meant as "take everything off", it serves all sites equally."""
    with pytest.raises(ValueError, match="all weights are 0"):
        arguments(sites=[site("primary", 0), site("secondary", 0)])


def test_an_alias_leads_to_the_balancer_and_follows_the_check() -> None:
    """Where a zone begins there is no CNAME; an alias that evaluated its target would ignore the drain switch."""
    recording = traffic(domain="example.com", record_type=RecordType.ALIAS)
    for name, record in weighted(recording).items():
        inputs = record.inputs
        assert (inputs["type"], inputs["name"], inputs["healthCheckId"]) == ("A", "example.com", f"orders-{name}-id")
        assert inputs["aliases"] == [
            {"name": f"{name}.elb.amazonaws.com", "zoneId": "ZLB", "evaluateTargetHealth": False}
        ]
        assert not inputs.keys() & {"ttl", "records"}
    with pytest.raises(ValueError, match="no CNAME where a zone begins"):
        arguments(domain="example.com")
