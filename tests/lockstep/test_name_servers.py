"""Where the zone's name servers lead, asked as `dig` does: against a server that another library writes answers for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.resolver
import pytest
from dnslib import CNAME, NS, QTYPE, RCODE, RR, A, DNSRecord

from lockstep import name_servers
from lockstep.name_servers import VARIABLE, NameServers, NoAnswerError

NAME = "orders.example.com"
SITES = [f"{site}.{NAME}" for site in ("primary", "secondary")]


@contextmanager
def answering(targets: list[str], *, rcode: int = RCODE.NOERROR, cut: int | None = None) -> Iterator[str]:
    """A name server that leads to `targets` in turn; its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            number = 0
            while True:
                data, client = server.recvfrom(512)
                if not data:
                    return
                question = DNSRecord.parse(data)
                reply = question.reply()
                reply.header.rcode = rcode
                if question.q.qtype == QTYPE.NS:
                    reply.add_answer(RR(question.q.qname, QTYPE.NS, rdata=NS("ns-1.awsdns.example")))
                elif question.q.qtype == QTYPE.A:
                    reply.add_answer(RR(question.q.qname, QTYPE.A, rdata=A("127.0.0.1")))
                elif targets and question.q.qtype == QTYPE.CNAME:
                    target = targets[number % len(targets)]
                    number += 1
                    reply.add_answer(RR(question.q.qname, QTYPE.A, rdata=A("192.0.2.1")))
                    reply.add_answer(RR(question.q.qname, QTYPE.CNAME, rdata=CNAME(target)))
                server.sendto(reply.pack()[:cut], client)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = server.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"", (host, port))
            thread.join()


def targets(address: str, times: int = 4) -> frozenset[str]:
    return NameServers("example.com", environ={VARIABLE: address}).targets(NAME, times)


def test_every_target_of_the_set_is_found() -> None:
    """A site that still gets its share would be told as drained."""
    with answering([site.upper() for site in SITES]) as address:
        assert targets(address) == frozenset(SITES)
    with answering([*SITES, *SITES[1:] * 2]) as address:
        assert targets(address, times=1) == {SITES[0]}


def test_addresses_are_those_of_the_name() -> None:
    """An alias names no target: its balancer's addresses are all that tells where it leads."""
    with answering([]) as address:
        found = NameServers("example.com", environ={VARIABLE: address}).addresses(NAME, 2)
        assert found == {"127.0.0.1"}
        with pytest.raises(NoAnswerError):
            targets(address)


def test_names_that_are_not_shortened_are_read_too() -> None:
    """Servers are free to point back into the message or not to."""
    with answering(["elsewhere.example.org"]) as address:
        assert targets(address) == {"elsewhere.example.org"}


@pytest.mark.parametrize("options", [{"rcode": RCODE.SERVFAIL}, {"rcode": RCODE.REFUSED}, {"cut": 40}, {"cut": 5}])
def test_an_answer_that_is_none_is_told_and_not_taken_for_an_empty_one(options: dict[str, int]) -> None:
    """No answer isn't "the site is out"."""
    with answering(SITES, **options) as address, pytest.raises(NoAnswerError, match=r"127\.0\.0\.1"):
        targets(address)


def test_a_name_that_leads_nowhere_is_no_answer() -> None:
    """As above: the name may have been misspelt."""
    with answering([]) as address, pytest.raises(NoAnswerError, match="leads nowhere"):
        targets(address)


def test_nobody_there_is_no_answer() -> None:
    """Many networks let no questions out but to their own resolver."""
    with answering([]) as address:
        pass
    with pytest.raises(NoAnswerError):
        targets(address)


def test_the_zones_own_servers_are_asked_as_the_machines_resolver_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver answers from its cache, and would tell for as long as the TTL that a site isn't drained."""
    with answering([SITES[0]]) as resolving, answering([SITES[1]]) as own:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], int(resolving.rpartition(":")[2])
        monkeypatch.setattr(name_servers, "_PORT", int(own.rpartition(":")[2]))
        assert NameServers("example.com", environ={}, resolver=resolver).targets(NAME, 2) == {SITES[1]}


def test_a_zone_without_servers_is_told() -> None:
    """Somebody has to find out that it is the resolver, or the zone's name."""
    resolver = dns.resolver.Resolver(configure=False)
    with answering([], rcode=RCODE.NXDOMAIN) as address:
        resolver.nameservers, resolver.port = ["127.0.0.1"], int(address.rpartition(":")[2])
        servers = NameServers("example.com", environ={}, resolver=resolver)
        with pytest.raises(NoAnswerError, match=r"of example\.com aren't known"):
            servers.targets(NAME, 2)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:dns", ":53"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    """Somebody has to find out which variable it is."""
    with pytest.raises(NoAnswerError, match=f"{VARIABLE} is '{address}'"):
        targets(address)


def test_a_message_that_points_into_itself_ends() -> None:
    """Anybody can send such a packet, and the command would hang while a site is to be drained."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            data, client = server.recvfrom(512)
            header = data[:2] + b"\x80\x00" + b"\x00\x01\x00\x01\x00\x00\x00\x00"
            server.sendto(header + data[12:] + len(data).to_bytes(2, "big").replace(b"\x00", b"\xc0", 1), client)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = server.getsockname()
        with pytest.raises(NoAnswerError, match="pointer"):
            targets(f"{host}:{port}", times=1)
        thread.join()
