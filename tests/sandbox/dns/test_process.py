"""The name server's process with the real API: what is changed through Route 53 is what DNS answers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from sandbox.api import zone_feed
from sandbox.api.backend_lock import backend_lock
from sandbox.api.server import ApiServer
from tests.sandbox.api import live
from tests.sandbox.checkout import REPOSITORY, eventually
from tests.sandbox.dns.snapshot import rcode, texts


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with pytest.MonkeyPatch.context() as patch, live.serving(tmp_path_factory.mktemp("machines")) as server:
        # A server that ends waits for the answer that is kept back.
        patch.setattr(zone_feed, "PATIENCE_SECONDS", 0.2)
        yield server


class _NameServer:
    """The process, and questions to it."""

    def __init__(self, endpoint: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.dns", "--endpoint", endpoint, *options],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def port(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture(scope="module")
def port(api: ApiServer) -> Iterator[int]:
    made = _NameServer(api.endpoint_url)
    yield made.port()
    assert made.end() == 0


def ask(port: int, name: str) -> tuple[str, list[str]]:
    reply = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=10)
    return rcode(reply), [line.rpartition(" ")[2] for line in texts(reply.answer)]


def change(route53: Any, zone: str, action: str, address: str, name: str = "www.example.com") -> None:
    record_set = {"Name": name, "Type": "A", "TTL": 30, "ResourceRecords": [{"Value": address}]}
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record_set}]}
    )


def test_a_change_of_a_record_is_answered_soon_after(api: ApiServer, port: int) -> None:
    """Route 53's changes arrive "within 60 seconds"; a deployment that waits for one here mustn't wait for ever."""
    route53 = live.client(api, "route53")
    # The API tells of an earlier test's zone until its next turn.
    eventually(lambda: ask(port, "www.example.com") == ("REFUSED", []), "no zone")
    made = route53.create_hosted_zone(Name="example.com", CallerReference="first")["HostedZone"]["Id"]
    eventually(lambda: ask(port, "www.example.com")[0] == "NXDOMAIN", "the zone")
    for action, address in (("CREATE", "127.0.0.5"), ("UPSERT", "127.0.0.6")):
        change(route53, made, action, address)
        eventually(lambda address=address: ask(port, "www.example.com") == ("NOERROR", [address]), action)  # type: ignore[misc]
    change(route53, made, "DELETE", "127.0.0.6")
    eventually(lambda: ask(port, "www.example.com")[0] == "NXDOMAIN", "the deletion")
    route53.delete_hosted_zone(Id=made)
    eventually(lambda: ask(port, "www.example.com")[0] == "REFUSED", "the zone's end")


def test_answers_do_not_wait_for_the_api(api: ApiServer, port: int) -> None:
    """While the API works, or stands still because its region is down, DNS has to go on: it is another service."""
    route53 = live.client(api, "route53")
    made = route53.create_hosted_zone(Name="still.example", CallerReference="second")["HostedZone"]["Id"]
    change(route53, made, "CREATE", "127.0.0.7", "www.still.example")
    eventually(lambda: ask(port, "www.still.example")[1] == ["127.0.0.7"], "the record")
    with backend_lock:
        for _ in range(20):
            assert ask(port, "www.still.example") == ("NOERROR", ["127.0.0.7"])


def test_private_zones_are_not_answered(api: ApiServer, port: int) -> None:
    """They are for the resolver of a network; the public name servers know nothing of them."""
    ec2, route53 = live.client(api, "ec2"), live.client(api, "route53")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    route53.create_hosted_zone(
        Name="private.example",
        CallerReference="third",
        VPC={"VPCRegion": live.REGION, "VPCId": network},
        HostedZoneConfig={"PrivateZone": True},
    )
    public = route53.create_hosted_zone(Name="public.example", CallerReference="fourth")
    assert public["HostedZone"]["Id"]
    eventually(lambda: ask(port, "public.example")[0] == "NOERROR", "the zone that was made after it")
    assert ask(port, "private.example")[0] == "REFUSED"


def test_a_port_that_is_taken_is_said(api: ApiServer, port: int) -> None:
    """`sandbox up` shows this line."""
    second = _NameServer(api.endpoint_url, "--port", str(port))
    _, said = second.process.communicate(timeout=60)
    assert second.process.returncode == 1
    assert said.strip() == f"can't listen on 127.0.0.1:{port}, UDP and TCP: Address already in use"


def test_it_ends_while_it_waits_for_an_api_that_says_nothing(tmp_path: Path) -> None:
    """A failed `up` ends its members; one that can't be ended costs it five seconds."""
    made = _NameServer("http://127.0.0.1:9")
    assert made.process.stderr is not None
    assert "no zones from the API" in made.process.stderr.readline()
    assert made.end() == 0
