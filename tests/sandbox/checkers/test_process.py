"""The checkers' process with the real API and name server: an endpoint fails, and DNS answers with the other one.

Developer Guide, "How Amazon Route 53 chooses records when health checking is configured" ("the page").
"""

import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dns.message
import dns.query
import pytest
from botocore.exceptions import ConnectionClosedError

from sandbox.api import health_checkers, zone_feed
from sandbox.api.server import ApiServer
from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.api import live
from tests.sandbox.checkout import REPOSITORY, eventually
from tests.sandbox.dns.snapshot import texts


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with pytest.MonkeyPatch.context() as patch, live.serving(tmp_path_factory.mktemp("machines")) as server:
        # A server that ends waits for the answers that are kept back.
        for module in (zone_feed, health_checkers):
            patch.setattr(module, "PATIENCE_SECONDS", 0.2)
        yield server


def start(module: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(module: str, *options: str) -> Iterator[str]:
    """The first line that a process says; it must end well when it is asked to."""
    process = start(module, *options)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


class Site(http.server.ThreadingHTTPServer):
    """A balancer's stand-in; answers with `status`, and notes who has asked for what."""

    def __init__(self, address: str) -> None:
        self.status = 200
        self.asked: list[tuple[str, str]] = []
        super().__init__((address, 0), _Handler)

    @property
    def port(self) -> int:
        return self.server_port - PORT_OFFSET


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class World:
    """Two sites with checks, the zone that has them, and questions to its name server."""

    addresses = ("127.70.0.3", "127.70.0.4")

    def __init__(self, api: ApiServer, port: int) -> None:
        self.api, self.dns = api, port
        self.route53 = live.client(api, "route53")
        self.sites = [Site(address) for address in self.addresses]
        self.checks: list[str] = []
        for site in self.sites:
            threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True).start()
        self._declare()

    def _declare(self) -> None:
        zone = self.route53.create_hosted_zone(Name="example.com", CallerReference="x")["HostedZone"]["Id"]
        changes = []
        for number, (site, address) in enumerate(zip(self.sites, self.addresses, strict=True)):
            name = f"site{number}.example.com"
            endpoint = {
                "Type": "HTTP",
                "FullyQualifiedDomainName": name,
                "Port": site.port,
                "ResourcePath": "/healthz",
                "RequestInterval": 10,
                "FailureThreshold": 2,
            }
            self.checks.append(self.create_check(endpoint))
            calculated = {"Type": "CALCULATED", "HealthThreshold": 1, "ChildHealthChecks": [self.checks[-1]]}
            own = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": address}]}
            shared = {
                "Name": "app.example.com",
                "Type": "CNAME",
                "TTL": 30,
                "SetIdentifier": name,
                "Weight": 1,
                "HealthCheckId": self.create_check(calculated),
                "ResourceRecords": [{"Value": name}],
            }
            changes += [{"Action": "CREATE", "ResourceRecordSet": each} for each in (own, shared)]
        self.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    def create_check(self, config: dict[str, Any]) -> str:
        reference = f"check-{len(self.route53.list_health_checks()['HealthChecks'])}"
        made = self.route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
        return str(made["HealthCheck"]["Id"])

    def served(self) -> set[str]:
        """The addresses that forty queries are answered with."""
        found = set()
        for _ in range(40):
            query = dns.message.make_query("app.example.com", "A")
            reply = dns.query.udp(query, "127.0.0.1", port=self.dns, timeout=10)
            found |= {line.rpartition(" ")[2] for line in texts(reply.answer)[1:]}
        return found

    def serves(self, *numbers: int) -> None:
        """Wait until DNS answers with these sites and no others."""
        wanted = {self.addresses[number] for number in numbers}
        eventually(lambda: self.served() == wanted, f"sites {numbers} are served")

    def tell(self, path: str, **wanted: Any) -> None:
        """To one of the sandbox's own paths."""
        body = json.dumps(wanted).encode()
        urllib.request.urlopen(f"{self.api.endpoint_url}/_sandbox/{path}", body, timeout=10).close()

    def unhealthy_checkers(self, number: int) -> int:
        with urllib.request.urlopen(f"{self.api.endpoint_url}/_sandbox/checkers", timeout=10) as answer:
            return 16 - int(json.load(answer)["checks"][self.checks[number]]["healthyCheckers"])

    def statuses(self, number: int) -> list[str]:
        found = self.route53.get_health_check_status(HealthCheckId=self.checks[number])["HealthCheckObservations"]
        return [each["StatusReport"]["Status"] for each in found]

    def end(self) -> None:
        for site in self.sites:
            site.shutdown()
            site.server_close()


@pytest.fixture(scope="module")
def made(api: ApiServer) -> Iterator[World]:
    with running("sandbox.dns", "--endpoint", api.endpoint_url) as port:
        options = ("--endpoint", api.endpoint_url, "--dns", f"127.0.0.1:{port}")
        with running("sandbox.checkers", *options) as said:
            assert said == "ready"
            world = World(api, int(port))
            try:
                yield world
            finally:
                world.end()


@pytest.fixture
def world(made: World) -> World:
    """All is well, and everybody knows it."""
    made.tell("checkers", blind=0)
    for site in made.sites:
        site.status = 200
    eventually(lambda: made.statuses(0) == made.statuses(1) == ["Success: HTTP Status Code 200, OK"] * 16, "all well")
    eventually(lambda: made.unhealthy_checkers(0) + made.unhealthy_checkers(1) == 0, "all checkers know")
    made.serves(0, 1)
    return made


def test_a_site_that_fails_is_not_served_until_it_is_well_again(world: World) -> None:
    """What the whole product is for: nobody has to act; and GetHealthCheckStatus tells the same."""
    world.sites[0].status = 503
    world.serves(1)
    eventually(
        lambda: all("HTTP Status Code 503, Service Unavailable" in each for each in world.statuses(0)), "all have seen"
    )
    assert world.statuses(0)[0].startswith("Failure: Resolved IP: 127.70.0.3. ")
    assert {each.partition(":")[0] for each in world.statuses(1)} == {"Success"}
    world.sites[0].status = 200
    world.serves(0, 1)
    failures = world.route53.get_health_check_last_failure_reason(HealthCheckId=world.checks[0])
    assert {each["StatusReport"]["Status"] for each in failures["HealthCheckObservations"]} == {
        "Failure: Resolved IP: 127.70.0.3. HTTP Status Code 503, Service Unavailable"
    }


def test_if_both_sites_fail_both_are_served(world: World) -> None:
    """The page: if nothing is healthy, all count as healthy."""
    for site in world.sites:
        site.status = 503
    eventually(lambda: world.unhealthy_checkers(0) == world.unhealthy_checkers(1) == 16, "both are red")
    world.serves(0, 1)


def test_thirteen_blind_checkers_move_nothing_and_fourteen_do(world: World) -> None:
    """More than 18 % must see the endpoint well."""
    world.tell("checkers", blind={world.checks[0]: 13})
    eventually(lambda: world.unhealthy_checkers(0) == 13, "the blind have noticed")
    assert world.served() == set(world.addresses)
    world.tell("checkers", blind={world.checks[0]: 14})
    world.serves(1)
    assert world.unhealthy_checkers(1) == 0


def test_an_inverted_or_disabled_check_counts_at_once(world: World) -> None:
    """API Reference, HealthCheckConfig: inverted is how to take a site out by hand, disabled how to stop checking."""
    check = world.checks[0]
    world.route53.update_health_check(HealthCheckId=check, Inverted=True)
    world.serves(1)
    world.route53.update_health_check(HealthCheckId=check, Inverted=True, Disabled=True)
    world.serves(1)
    world.sites[0].status = 503
    world.route53.update_health_check(HealthCheckId=check, Inverted=False, Disabled=True)
    world.serves(0, 1)
    eventually(lambda: world.statuses(0) == [], "nobody checks")
    world.sites[0].status = 200
    world.route53.update_health_check(HealthCheckId=check, Disabled=False)


def test_traffic_moves_while_nobody_answers_for_route_53(world: World) -> None:
    """Its control plane is in us-east-1 and may be lost; checkers and name servers are not part of it."""
    world.tell("faults", faults=[{"kind": "refuse", "service": "route53"}])
    try:
        with pytest.raises(ConnectionClosedError):
            world.statuses(0)
        world.sites[0].status = 503
        world.serves(1)
    finally:
        world.tell("faults", faults=[])


def test_the_checkers_ask_for_the_path_by_the_name(world: World) -> None:
    """A balancer that serves several names chooses by the Host header."""
    assert set(world.sites[0].asked) == {("/healthz", f"site0.example.com:{world.sites[0].port}")}


def test_it_ends_while_it_waits_for_an_api_that_says_nothing() -> None:
    """A failed `up` ends its members; one that can't be ended costs it five seconds."""
    process = start("sandbox.checkers", "--endpoint", "http://127.0.0.1:9", "--dns", "127.0.0.1:9")
    assert process.stderr is not None
    assert "health checkers: no checks from the API" in process.stderr.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
