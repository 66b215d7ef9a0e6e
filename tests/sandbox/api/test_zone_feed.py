"""What the API tells the name server, and when."""

import json
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.api import balancers, zone_feed
from sandbox.api.backend_lock import backend_lock
from sandbox.api.health_push import PUSH_SECONDS
from sandbox.api.server import ApiServer
from sandbox.api.versions import Versions
from sandbox.dns.feed import PATH
from sandbox.dns.zones import Zones

ClientFactory = Callable[..., Any]
BALANCER = "app-1234.eu-west-1.elb.amazonaws.com"


def told() -> dict[str, Any]:
    with backend_lock:
        found: dict[str, Any] = json.loads(json.dumps(zone_feed.snapshot()))
    return found


def upsert(route53: Any, zone: str, *record_sets: dict[str, Any]) -> None:
    changes = [{"Action": "UPSERT", "ResourceRecordSet": each} for each in record_sets]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def test_a_record_set_is_told_with_all_that_its_answer_depends_on(aws: ClientFactory) -> None:
    """What is left out here, the name server answers wrongly."""
    route53 = aws("route53")
    zone = route53.create_hosted_zone(Name="Example.com", CallerReference="x")["HostedZone"]["Id"]
    check = route53.create_health_check(
        CallerReference="x",
        HealthCheckConfig={"Type": "HTTP", "FullyQualifiedDomainName": "one.example.com", "RequestInterval": 10},
    )["HealthCheck"]["Id"]
    weighted = {"Name": "app.example.com", "Type": "CNAME", "TTL": 30, "SetIdentifier": "one", "Weight": 0}
    site = {"Name": "site.example.com", "Type": "A", "TTL": 30, "ResourceRecords": [{"Value": "127.0.0.1"}]}
    target = {"HostedZoneId": zone.rpartition("/")[2], "DNSName": "site.example.com", "EvaluateTargetHealth": True}
    upsert(
        route53,
        zone,
        {**weighted, "HealthCheckId": check, "ResourceRecords": [{"Value": "one.example.com"}]},
        site,
        {"Name": "*.example.com", "Type": "A", "AliasTarget": target},
    )
    found = told()
    assert [each["name"] for each in found["zones"]] == ["example.com."]
    records = {(each["name"], each["type"]): each for each in found["zones"][0]["records"]}
    assert records.keys() >= {("example.com.", "NS"), ("example.com.", "SOA")}
    assert records[("app.example.com.", "CNAME")] == {
        "name": "app.example.com.",
        "type": "CNAME",
        "ttl": 30,
        "values": ["one.example.com"],
        "policy": "weighted",
        "set": "one",
        "weight": 0,
        "check": check,
        "alias": None,
    }
    assert records[("\\052.example.com.", "A")]["alias"] == {"name": "site.example.com.", "evaluatesTarget": True}
    assert found["checks"][check]["Type"] == "HTTP"
    # And the name server understands it.
    read = Zones.read(found).zones[(b"example", b"com")]
    assert read.find((b"*", b"example", b"com"), "A")[0].evaluates_target
    assert read.find((b"app", b"example", b"com"), "CNAME")[0].weight == 0


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ({"Failover": "PRIMARY"}, "failover"),
        ({"Region": "eu-west-1"}, "latency"),
        ({"GeoLocation": {"CountryCode": "DE"}}, "geolocation"),
        ({"MultiValueAnswer": True}, "multivalue answer"),
        ({"Weight": 0}, "weighted"),
    ],
)
def test_the_routing_policy_is_told_by_its_name(aws: ClientFactory, fields: dict[str, Any], policy: str) -> None:
    """The name server refuses what it can't choose by; unrecognised, it would answer it at random."""
    route53 = aws("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="x")["HostedZone"]["Id"]
    record_set = {"Name": "x.example.com", "Type": "A", "TTL": 30, "ResourceRecords": [{"Value": "127.0.0.1"}]}
    upsert(route53, zone, {**record_set, "SetIdentifier": "x", **fields})
    found = next(each for each in told()["zones"][0]["records"] if each["name"] == "x.example.com.")
    assert found["policy"] == policy


def test_balancers_are_told(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases lead to them."""
    known = {BALANCER: {"address": "127.70.0.1", "healthy": False}}
    monkeypatch.setattr(balancers, "addresses_by_name", lambda: known)
    assert told()["balancers"] == known


def test_a_balancer_s_health_reaches_the_name_servers_later(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias that follows its target would leave a lost region sooner than any check can."""
    now = 100.0
    name = "lost-1234.eu-west-1.elb.amazonaws.com"
    known = {name: {"address": "127.70.0.1", "healthy": True}}
    monkeypatch.setattr(zone_feed, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(balancers, "addresses_by_name", lambda: known)
    told()
    known[name]["healthy"] = False
    assert told()["balancers"][name]["healthy"]
    now += PUSH_SECONDS
    assert not told()["balancers"][name]["healthy"]


def test_only_a_difference_is_a_new_version() -> None:
    """A version each turn would have the name server read all zones ten times a second."""
    versions = Versions()
    versions.tell({"zones": []})
    assert versions.after(0, 0) == {"version": 1, "zones": []}
    versions.tell({"zones": []})
    assert versions.after(1, 0) == {"version": 1}
    versions.tell({"zones": [1]})
    assert versions.after(1, 0) == {"version": 2, "zones": [1]}


def test_who_waits_is_told_as_soon_as_there_is_something_newer() -> None:
    """Asking at intervals would be slow, or a load."""
    versions, waiting = Versions(), threading.Event()
    with ThreadPoolExecutor() as pool:

        def ask() -> dict[str, Any]:
            waiting.set()
            return versions.after(0, 60)

        answer = pool.submit(ask)
        assert waiting.wait(60)
        versions.tell({"zones": []})
        assert answer.result(30) == {"version": 1, "zones": []}


def test_nobody_is_kept_waiting_when_the_api_ends() -> None:
    """`sandbox down` would take as long as the patience of whoever asks."""
    versions, waiting = Versions(), threading.Event()
    with ThreadPoolExecutor() as pool:

        def ask() -> dict[str, Any]:
            waiting.set()
            return versions.after(0, 60)

        answer = pool.submit(ask)
        assert waiting.wait(60)
        versions.close()
        assert answer.result(30) == {"version": 0}
        assert versions.after(0, 60) == {"version": 0}


def test_the_path_is_on_the_apis_port(api: ApiServer) -> None:
    """The name server has no other way to ask."""
    zone_feed.versions.tell({"zones": ["a marker of this test"]})
    with urllib.request.urlopen(f"{api.endpoint_url}{PATH}?after=0", timeout=30) as answer:
        assert json.load(answer)["zones"] == ["a marker of this test"]
