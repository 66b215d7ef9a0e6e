"""What the API makes of what checkers find: the verdict, what name servers know of it, and what AWS's API shows.

Developer Guide, "How Amazon Route 53 determines whether a health check is healthy" ("the page").
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox import clock
from sandbox.api import health_checkers, metric_checks, zone_feed
from sandbox.api.backend_lock import backend_lock
from sandbox.api.health_checkers import is_enough
from sandbox.api.health_push import PUSH_SECONDS, Push
from sandbox.checkers.endpoint import Endpoint
from sandbox.checkers.places import places

ClientFactory = Callable[..., Any]
HTTP = {"Type": "HTTP", "FullyQualifiedDomainName": "site.example.com", "RequestInterval": 10, "FailureThreshold": 3}
ALARM = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "eu-central-1", "Name": "drain-primary"}}
CHECKED = 1_790_000_000.125


@pytest.fixture
def route53(aws: ClientFactory) -> Any:
    return aws("route53")


@pytest.fixture
def ask(api: Any) -> Iterator[Callable[..., Any]]:
    """`ask(path, data)`: the sandbox's own paths; every checker sees again after the test."""

    def asked(path: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(f"{api.endpoint_url}/_sandbox/{path}", body, timeout=10) as answer:
            return json.load(answer)

    yield asked
    health_checkers.reset()


def create(route53: Any, config: dict[str, Any]) -> str:
    made = route53.create_health_check(CallerReference=f"{time.time_ns()}", HealthCheckConfig=config)
    return str(made["HealthCheck"]["Id"])


@pytest.fixture
def alarm_check(aws: ClientFactory, route53: Any) -> Callable[[], str]:
    """`alarm_check()`: the id of a new check of an alarm."""
    aws("cloudwatch", "eu-central-1").put_metric_alarm(
        AlarmName="drain-primary",
        Namespace="Lockstep",
        MetricName="Drain",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    return lambda: create(route53, ALARM)


def look() -> dict[str, bool]:
    """A turn of the feed: what the name servers know."""
    with backend_lock:
        found: dict[str, bool] = zone_feed.snapshot()["health"]
    return found


def observed(check: str, checker: int, *, passed: bool = True, healthy: bool = True, **fields: Any) -> dict[str, Any]:
    status = "Success: HTTP Status Code 200, OK" if passed else "Failure: HTTP Status Code 503, Service Unavailable"
    failure = {"failure": None if passed else status, "failed_at": None if passed else CHECKED}
    known = {"check": check, "version": 1, "checker": checker, "since": CHECKED - 60, "at": CHECKED}
    return {**known, "healthy": healthy, "status": status, **failure, **fields}


def report(ask: Callable[..., Any], check: str, unhealthy: int, **fields: Any) -> None:
    """All sixteen checkers have found something, the first ones that the endpoint is unhealthy."""
    each = [observed(check, n, passed=n >= unhealthy, healthy=n >= unhealthy, **fields) for n in range(16)]
    ask("observations", {"observations": each})


def verdict(ask: Callable[..., Any], check: str) -> bool:
    return bool(ask("checkers")["checks"][check]["healthy"])


# --- the verdict


def test_a_check_is_healthy_if_more_than_18_percent_of_its_checkers_say_so() -> None:
    """The page. 3 of 16 are 18.75 %, 2 are 12.5 %."""
    assert [count for count in range(17) if not is_enough(count)] == [0, 1, 2]


@pytest.mark.parametrize(("unhealthy", "healthy"), [(0, True), (13, True), (14, False), (16, False)])
def test_the_verdict_follows_from_all_checkers(
    route53: Any, ask: Callable[..., Any], unhealthy: int, healthy: bool
) -> None:
    """The page: the same as above, for what is reported."""
    check = create(route53, HTTP)
    look()
    report(ask, check, unhealthy)
    assert verdict(ask, check) == healthy


def test_checkers_that_have_found_nothing_yet_count_as_healthy(route53: Any, ask: Callable[..., Any]) -> None:
    """The page: healthy "until there's enough data"; the first of sixteen is not enough."""
    check = create(route53, HTTP)
    look()
    assert verdict(ask, check)
    ask("observations", {"observations": [observed(check, n, passed=False, healthy=False) for n in range(13)]})
    assert verdict(ask, check)


def test_observations_of_earlier_settings_do_not_count(route53: Any, ask: Callable[..., Any]) -> None:
    """They are on their way while UpdateHealthCheck is answered, and about another endpoint."""
    check = create(route53, HTTP)
    route53.update_health_check(HealthCheckId=check, ResourcePath="/health")
    look()
    report(ask, check, 16, version=1)
    assert verdict(ask, check)
    report(ask, check, 16, version=2)
    assert not verdict(ask, check)


def test_an_update_keeps_what_is_known(route53: Any, ask: Callable[..., Any]) -> None:
    """UpdateHealthCheck documents no reset: a check that is edited mustn't send traffic to a dead site."""
    check = create(route53, HTTP)
    look()
    report(ask, check, 16)
    route53.update_health_check(HealthCheckId=check, FailureThreshold=1)
    look()
    assert not verdict(ask, check)


def test_a_disabled_check_is_not_looked_at_and_begins_anew(route53: Any, ask: Callable[..., Any]) -> None:
    """HealthCheckConfig, "Disabled": "stops submitting requests"."""
    check = create(route53, HTTP)
    look()
    report(ask, check, 16)
    route53.update_health_check(HealthCheckId=check, Disabled=True)
    look()
    assert check not in ask("checkers")["checks"]
    assert ask("checks")["checks"] == []
    assert route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"] == []
    route53.update_health_check(HealthCheckId=check, Disabled=False)
    assert look() == {check: True}
    assert verdict(ask, check)


def test_a_deleted_check_is_forgotten(route53: Any, ask: Callable[..., Any]) -> None:
    """Its checkers stop, and what they still say is about nothing."""
    check = create(route53, HTTP)
    look()
    route53.delete_health_check(HealthCheckId=check)
    assert look() == {}
    report(ask, check, 16)
    assert ask("checkers")["checks"] == {}


# --- what the checkers are told


def test_checkers_are_told_what_they_need(
    route53: Any, ask: Callable[..., Any], alarm_check: Callable[[], str]
) -> None:
    """What is left out here is checked wrongly, or not at all."""
    made: dict[str, dict[str, Any]] = {
        "HTTP_STR_MATCH": {"Port": 8080, "ResourcePath": "/health?x=1", "SearchString": "well"},
        "HTTPS": {"EnableSNI": False},
        "TCP": {"Port": 5432},
    }
    ids = {type_: create(route53, {**HTTP, "Type": type_, **more}) for type_, more in made.items()}
    create(route53, {"Type": "CALCULATED", "HealthThreshold": 1, "ChildHealthChecks": list(ids.values())})
    alarm_check()
    look()
    found = {each.id: each for each in map(Endpoint.read, ask("checks")["checks"])}
    known: dict[str, Any] = {"version": 1, "interval": 10, "threshold": 3, "name": "site.example.com"}
    assert found == {
        ids["HTTP_STR_MATCH"]: Endpoint(
            id=ids["HTTP_STR_MATCH"], type="HTTP_STR_MATCH", port=8080, path="/health?x=1", search="well", **known
        ),
        ids["HTTPS"]: Endpoint(id=ids["HTTPS"], type="HTTPS", port=443, **known),
        ids["TCP"]: Endpoint(id=ids["TCP"], type="TCP", port=5432, **known),
    }


def test_an_address_is_told(route53: Any, ask: Callable[..., Any]) -> None:
    """HealthCheckConfig, "IPAddress": then nothing is resolved."""
    create(route53, {"Type": "HTTPS", "IPAddress": "8.8.8.8"})
    look()
    (told,) = map(Endpoint.read, ask("checks")["checks"])
    assert (told.address, told.name, told.sends_name) == ("8.8.8.8", None, True)


def test_checkers_are_blinded_all_or_those_of_a_check(route53: Any, ask: Callable[..., Any]) -> None:
    """A network fault near the checkers is one of the faults that a drill is about."""
    one, two = create(route53, HTTP), create(route53, HTTP)

    def told() -> dict[str, int]:
        look()
        return {each["id"]: each["blind"] for each in ask("checks")["checks"]}

    assert told() == {one: 0, two: 0}
    assert ask("checkers", {"blind": 13})["blind"] == 13
    assert told() == {one: 13, two: 13}
    assert ask("checkers", {"blind": {one: 14}})["blind"] == {one: 14}
    assert told() == {one: 14, two: 0}
    ask("checkers", {"blind": 0})
    assert told() == {one: 0, two: 0}


@pytest.mark.parametrize("wanted", [{"blind": 17}, {"blind": -1}, {"blind": "x"}, {"blind": {"x": 17}}, {}, {"bl": 1}])
def test_more_than_all_checkers_or_none_can_not_be_blinded(ask: Callable[..., Any], wanted: Any) -> None:
    """A fault that isn't set makes a drill that proves nothing."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask("checkers", wanted)
    assert refused.value.code == 400
    assert "with N from 0 to 16" in json.load(refused.value)["error"]


# --- what the name servers know


def test_a_verdict_takes_a_while_to_the_name_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failover model counts this time as well; without it the sandbox would promise more than AWS does."""
    for speed in (1.0, 6.0):
        monkeypatch.setattr(clock, "SPEED", speed)
        push, there = Push(), 100 + PUSH_SECONDS / speed
        push.send("check", healthy=False, now=100.0)
        assert push.arrived(there - 0.01).get("check", True)
        assert not push.arrived(there)["check"]


def test_a_check_that_flaps_does_so_later() -> None:
    """What is told is what was, not what is: a change that is taken back within the time isn't lost."""
    push = Push()
    for now, healthy in ((0.0, True), (1.0, False), (2.0, False), (3.0, True)):
        push.send("check", healthy, now)
    assert [push.arrived(PUSH_SECONDS + now).get("check", True) for now in (0.9, 1.0, 2.9, 3.0)] == [
        True,
        False,
        False,
        True,
    ]


def test_name_servers_are_told_of_endpoints(
    route53: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is how a site that fails loses its traffic."""
    monkeypatch.setattr("sandbox.api.health_push.PUSH_SECONDS", 0.0)
    check, other = create(route53, HTTP), create(route53, HTTP)
    look()
    report(ask, check, 14)
    assert look() == {check: False, other: True}
    report(ask, check, 13)
    assert look() == {check: True, other: True}


def test_name_servers_are_told_of_alarms(alarm_check: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain switch is one, and takes its way to the name servers as any other check."""
    monkeypatch.setattr("sandbox.api.health_push.PUSH_SECONDS", 0.0)
    check, other = alarm_check(), alarm_check()
    monkeypatch.setattr(metric_checks, "states", lambda: {check: False})
    look()
    assert look() == {check: False, other: True}


def test_calculated_checks_are_the_name_servers_to_work_out(route53: Any) -> None:
    """Told as well, there would be two truths about them."""
    create(route53, {"Type": "CALCULATED", "HealthThreshold": 0})
    assert look() == {}


# --- what AWS's API shows


@pytest.mark.change("route53-health-check-status")
class TestStatus:
    def test_a_new_check_has_none(self, route53: Any) -> None:
        """Developer Guide, "Viewing health check status and the reason for health check failures": not until its
        checkers know of it. moto says "success", so a test of a failover would pass without one.
        """
        check = create(route53, HTTP)
        for answer in (route53.get_health_check_status, route53.get_health_check_last_failure_reason):
            assert answer(HealthCheckId=check)["HealthCheckObservations"] == []

    def test_it_has_what_each_checker_found_last(self, route53: Any, ask: Callable[..., Any]) -> None:
        """API Reference, HealthCheckObservation, StatusReport: as on the name servers, from the same observations."""
        check = create(route53, HTTP)
        look()
        report(ask, check, 14)
        found = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        assert [(each["Region"], each["IPAddress"]) for each in found] == [
            (place.region, place.address) for place in places()
        ]
        texts = [each["StatusReport"]["Status"] for each in found]
        assert (
            texts
            == ["Failure: HTTP Status Code 503, Service Unavailable"] * 14 + ["Success: HTTP Status Code 200, OK"] * 2
        )
        moment = datetime.fromtimestamp(CHECKED, UTC).replace(microsecond=0)
        assert {each["StatusReport"]["CheckedTime"].replace(microsecond=0) for each in found} == {moment}

    def test_only_checkers_that_have_probed_are_in_it(self, route53: Any, ask: Callable[..., Any]) -> None:
        """API Reference: "each Amazon Route 53 health checker that is reporting a status"."""
        check = create(route53, HTTP)
        look()
        ask("observations", {"observations": [observed(check, 3), observed(check, 1)]})
        found = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        assert [each["IPAddress"] for each in found] == [places()[1].address, places()[3].address]

    def test_its_checkers_are_in_the_checks_regions(self, route53: Any, ask: Callable[..., Any]) -> None:
        """API Reference, HealthCheckConfig, "Regions"."""
        regions = ["eu-west-1", "us-east-1", "us-west-2"]
        check = create(route53, {**HTTP, "Regions": regions})
        look()
        report(ask, check, 0)
        found = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
        assert {each["Region"] for each in found} == set(regions)
        assert len(found) == 16

    def test_the_last_failure_stays_when_all_is_well_again(self, route53: Any, ask: Callable[..., Any]) -> None:
        """API Reference, GetHealthCheckLastFailureReason: it is how one finds out afterwards what was wrong."""
        check = create(route53, HTTP)
        look()
        earlier: dict[str, Any] = {"failure": "Failure: DNS resolution failed: x", "failed_at": CHECKED - 30}
        ask("observations", {"observations": [observed(check, 0, **earlier), observed(check, 1)]})
        first, second = route53.get_health_check_last_failure_reason(HealthCheckId=check)["HealthCheckObservations"]
        assert first["StatusReport"]["Status"] == "Failure: DNS resolution failed: x"
        assert first["StatusReport"]["CheckedTime"].timestamp() == pytest.approx(CHECKED - 30, abs=1)
        started = datetime.fromtimestamp(CHECKED - 60, UTC).isoformat(timespec="milliseconds")
        assert second["StatusReport"]["Status"] == (
            "The health check endpoint has not failed since the Route 53 health checker for this endpoint restarted "
            f"at {started}"
        )
        assert second["StatusReport"]["CheckedTime"].timestamp() == pytest.approx(CHECKED, abs=1)

    @pytest.mark.parametrize("operation", ["get_health_check_status", "get_health_check_last_failure_reason"])
    def test_what_aws_refuses_is_refused(self, route53: Any, operation: str) -> None:
        """API Reference, both operations, "HealthCheckId": not of calculated checks."""
        calculated = create(route53, {"Type": "CALCULATED", "HealthThreshold": 0})
        with pytest.raises(ClientError) as refused:
            getattr(route53, operation)(HealthCheckId=calculated)
        assert refused.value.response["Error"]["Code"] == "InvalidInput"
        assert "a calculated health check" in refused.value.response["Error"]["Message"]
        with pytest.raises(ClientError) as refused:
            getattr(route53, operation)(HealthCheckId="absent")
        assert refused.value.response["Error"]["Code"] == "NoSuchHealthCheck"

    @pytest.mark.parametrize("operation", ["get_health_check_status", "get_health_check_last_failure_reason"])
    def test_what_aws_does_not_document_is_not_invented(
        self, route53: Any, operation: str, alarm_check: Callable[[], str]
    ) -> None:
        """No checker looks at an alarm's endpoint; an empty list would read as "no failure"."""
        check = alarm_check()
        with pytest.raises(ClientError, match=r"\(NotImplemented\).*a health check of type CLOUDWATCH_METRIC"):
            getattr(route53, operation)(HealthCheckId=check)
