"""The resolver that the gateway and `lockstep sandbox request` use, against a real name server."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from dnslib import DNSRecord

from sandbox.dns import resolver
from sandbox.dns.resolver import NoSuchNameError, resolve
from sandbox.dns.server import NameServer
from tests.sandbox.dns.snapshot import ADDRESS, BALANCER, alias, answerer, record

LOOP = [record(f"c{at}.example.com.", "CNAME", f"c{(at + 1) % 20}.example.com.") for at in range(20)]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    made = NameServer(
        answerer(
            record("www.example.com.", "CNAME", "site.example.com.", ttl=30),
            alias("site.example.com.", f"{BALANCER}."),
            record("elb.example.com.", "CNAME", BALANCER, ttl=90),
            record("text.example.com.", "TXT", '"x"'),
            record("dangling.example.com.", "CNAME", "absent.example.com."),
            record("empty.example.com.", "CNAME", "text.example.com."),
            record("out.example.com.", "CNAME", "www.example.org."),
            record("many.example.com.", "A", *[f"127.0.0.{low}" for low in range(1, 100)]),
            record("nobody.example.com.", "NAPTR", "x"),
            record("failing.example.com.", "A", "127.0.0.1", policy="latency", set="x"),
            *LOOP,
        ),
        "127.0.0.1",
        0,
    )
    made.start()
    yield "127.0.0.1", made.port
    made.stop()


def test_a_name_is_followed_to_its_address(server: tuple[str, int]) -> None:
    """The application's name leads to a site's, and that to its balancer; the shortest TTL on the way holds."""
    found = resolve("www.example.com", server)
    assert (found.address, found.ttl) == (ADDRESS, 30)
    assert found.names == ("www.example.com", "site.example.com")


def test_a_chain_that_leaves_the_zone_is_asked_on(server: tuple[str, int]) -> None:
    """A CNAME to a balancer's own name takes a second question."""
    found = resolve("ELB.example.com.", server)
    assert (found.address, found.ttl) == (ADDRESS, 60)
    assert found.names == ("ELB.example.com", BALANCER)


def test_what_does_not_fit_into_udp_is_fetched_over_tcp(server: tuple[str, int]) -> None:
    """99 addresses are more than 512 bytes."""
    assert resolve("many.example.com", server).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.example.com", "absent.example.com: there is no such name"),
        ("dangling.example.com", "absent.example.com: there is no such name"),
        ("text.example.com", "text.example.com: the name has no address"),
        ("empty.example.com", "text.example.com: the name has no address"),
        ("out.example.com", "www.example.org: it is in no hosted zone of the sandbox"),
        ("failing.example.com", "failing.example.com: the name server can't answer"),
        ("127.0.0.1", "127.0.0.1: it is in no hosted zone"),
        ("c0.example.com", "more than 16 CNAMEs"),
        ("", "isn't a domain name"),
        ("a..example.com", "isn't a domain name"),
        (f"{'a' * 64}.example.com", "isn't a domain name"),
        ("a." * 130, "isn't a domain name"),
    ],
)
def test_a_name_without_an_address_is_an_error_that_says_why(server: tuple[str, int], name: str, reason: str) -> None:
    """ "No address" alone leaves the user to guess between a typing error, a missing record and a broken server."""
    with pytest.raises(NoSuchNameError) as caught:
        resolve(name, server)
    assert reason in str(caught.value)


class _OddServer:
    """Answers the queries that it gets with what `answers` makes of each."""

    def __init__(self, *answers: object) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._answers = answers
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._socket.getsockname()[1]

    def _serve(self) -> None:
        for answer in self._answers:
            packet, peer = self._socket.recvfrom(4096)
            for each in answer(DNSRecord.parse(packet)):  # type: ignore[operator]
                self._socket.sendto(each, peer)

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


def _good(query: DNSRecord) -> list[bytes]:
    return [bytes(query.replyZone(f"{query.q.qname} 60 A 127.0.0.7").pack())]


def _lost(_: DNSRecord) -> list[bytes]:
    return []


def _foreign(query: DNSRecord) -> list[bytes]:
    forged = query.replyZone(f"{query.q.qname} 60 A 127.0.0.8")
    forged.header.id = query.header.id ^ 1
    return [b"", b"scrap", struct.pack(">6H", query.header.id, 0, 1, 0, 0, 0), bytes(forged.pack()), *_good(query)]


def test_a_lost_packet_is_asked_again() -> None:
    """UDP may lose one when the machine is busy; a probe must not count that as a failure of the site."""
    server = _OddServer(_lost, _good)
    assert resolve("www.example.com", server.address, timeout=0.2).address == "127.0.0.7"
    server.close()


def test_what_is_not_the_answer_to_the_question_is_passed_over() -> None:
    """A late answer to an earlier question names another address."""
    server = _OddServer(_foreign)
    assert resolve("www.example.com", server.address).address == "127.0.0.7"
    server.close()


def test_a_server_that_says_nothing_is_given_up() -> None:
    """A client that waits for ever hangs with the sandbox."""
    server = _OddServer(*[_lost] * resolver.ATTEMPTS)
    with pytest.raises(TimeoutError, match="gave no answer"):
        resolve("www.example.com", server.address, timeout=0.05)
    server.close()


def test_a_server_that_is_gone_is_an_error() -> None:
    """The kernel says so at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    with pytest.raises(ConnectionRefusedError):
        resolve("www.example.com", address)
