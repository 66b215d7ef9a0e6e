"""The name server asked by Debian's `dig`, which reads answers as resolvers and people do."""

from collections import Counter
from collections.abc import Iterator

import pytest

from sandbox.dns.server import NameServer
from tests.debian import needs, run
from tests.sandbox.dns.snapshot import ADDRESS, BALANCER, alias, answerer, record, weighted

pytestmark = needs("dig")

CHECKS = {
    "endpoint": {"Type": "HTTP"},
    "drained": {"Type": "HTTP", "Inverted": True},
    "one": {"Type": "CALCULATED", "ChildHealthChecks": ["endpoint"], "HealthThreshold": 1},
    "two": {"Type": "CALCULATED", "ChildHealthChecks": ["endpoint", "drained"], "HealthThreshold": 2},
}
RECORDS = (
    alias("primary.example.com.", f"{BALANCER}."),
    record("secondary.example.com.", "A", "127.0.0.2", ttl=60),
    weighted("app.example.com.", "CNAME", "primary.example.com.", 1, check="one", ttl=30),
    weighted("app.example.com.", "CNAME", "secondary.example.com.", 1, check="two", ttl=30),
    weighted("both.example.com.", "A", "127.0.0.3", 1, ttl=30),
    weighted("both.example.com.", "A", "127.0.0.4", 1, ttl=30),
    record("long.example.com.", "TXT", *(f'"{n:0200}"' for n in range(60))),
)


@pytest.fixture
def port() -> Iterator[int]:
    server = NameServer(answerer(*RECORDS, checks=CHECKS), "127.0.0.1", 0)
    server.start()
    yield server.port
    server.stop()


def dig(port: int, *arguments: str) -> str:
    done = run("dig", "@127.0.0.1", "-p", str(port), "+tries=1", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines(port: int, *arguments: str) -> list[str]:
    return [" ".join(line.split()) for line in dig(port, "+noall", "+answer", *arguments).splitlines()]


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_chain_leads_to_the_healthy_site_with_its_ttls(port: int, transport: str) -> None:
    """Weighted CNAME with a calculated check, then an alias of a balancer: the way of every client of the product."""
    for _ in range(10):
        assert lines(port, transport, "app.example.com", "A") == [
            "app.example.com. 30 IN CNAME primary.example.com.",
            f"primary.example.com. 60 IN A {ADDRESS}",
        ]


def test_equal_weights_share_the_queries(port: int) -> None:
    """One `dig` asks forty times: each query is answered anew."""
    names = ["both.example.com"] * 40
    counted = Counter(line.rpartition(" ")[2] for line in lines(port, *names))
    assert counted.keys() == {"127.0.0.3", "127.0.0.4"}
    assert counted.total() == 40


def test_what_does_not_exist_and_what_is_not_ours(port: int) -> None:
    """The response codes, and the SOA that says for how long."""
    absent = dig(port, "absent.example.com")
    assert "status: NXDOMAIN" in absent
    assert "flags: qr aa rd;" in absent
    assert "awsdns-hostmaster.amazon.com." in absent
    assert "status: REFUSED" in dig(port, "example.org")


def test_what_does_not_fit_is_asked_for_again_over_tcp(port: int) -> None:
    """12 kilobytes of text: `dig` says so when it had to change over."""
    said = dig(port, "+bufsize=1232", "long.example.com", "TXT")
    assert "Truncated, retrying in TCP mode" in said
    assert "ANSWER: 60" in said
