"""The name server's sockets and messages, with dnspython on the other side."""

import random
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from sandbox.dns.answers import Answer, Answerer
from sandbox.dns.server import NameServer, Responder
from tests.sandbox.dns.snapshot import answerer, ask, rcode, record, texts

MANY = [f"127.0.{high}.{low}" for high in range(2) for low in range(1, 151)]
RECORDS = (
    record("www.example.com.", "A", "127.0.0.1"),
    record("many.example.com.", "A", *MANY),
    record("some.example.com.", "A", *MANY[:60]),
)


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    made = NameServer(answerer(*RECORDS), "127.0.0.1", 0)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("ask_over", [dns.query.udp, dns.query.tcp])
def test_udp_and_tcp_answer_on_one_port(server: NameServer, ask_over: object) -> None:
    """Resolvers use either, by the size of the answer."""
    assert callable(ask_over)
    reply = ask_over(dns.message.make_query("www.example.com", "A"), "127.0.0.1", port=server.port, timeout=10)
    assert texts(reply.answer) == ["www.example.com. 300 IN A 127.0.0.1"]


def test_what_does_not_fit_into_udp_is_asked_again_over_tcp(server: NameServer) -> None:
    """Without the bit a client would believe an empty answer, or a part of one."""
    query = dns.message.make_query("many.example.com", "A")
    reply = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=10)
    assert reply.flags & dns.flags.TC
    assert reply.answer == []
    whole, used_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", port=server.port, timeout=10)
    assert used_tcp
    assert len(texts(whole.answer)) == len(MANY)


def test_one_tcp_connection_carries_many_queries(server: NameServer) -> None:
    """RFC 7766 section 6.2.1: resolvers keep connections."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for name in ("www.example.com", "absent.example.com", "www.example.com"):
            query = dns.message.make_query(name, "A")
            dns.query.send_tcp(connection, query)
            reply, _ = dns.query.receive_tcp(connection)
            assert query.is_response(reply)


def test_a_tcp_connection_that_waits_holds_up_nobody(server: NameServer) -> None:
    """One client that says nothing must not be everybody's end."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as idle:
        idle.sendall(b"\x00")
        query = dns.message.make_query("www.example.com", "A")
        assert dns.query.tcp(query, "127.0.0.1", port=server.port, timeout=10).answer
        assert dns.query.udp(query, "127.0.0.1", port=server.port, timeout=10).answer


def test_a_port_that_is_taken_for_udp_is_taken() -> None:
    """A name server that answers over TCP only would time out on nearly every query."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            NameServer(Answerer(), "127.0.0.1", taken.getsockname()[1])


def test_a_server_that_stops_frees_its_port() -> None:
    """The next `up` with the same --dns-port needs it."""
    first = NameServer(Answerer(), "127.0.0.1", 0)
    first.start()
    first.stop()
    second = NameServer(Answerer(), "127.0.0.1", first.port)
    second.start()
    second.stop()


def test_zones_that_change_are_answered_from_the_next_query_on(server: NameServer) -> None:
    """The zones are replaced by another thread, under load."""
    of = answerer(record("x.example.com.", "A", "127.0.0.1"))
    before, after = of.zones, answerer(record("x.example.com.", "A", "127.0.0.2")).zones
    changing = NameServer(of, "127.0.0.1", 0)
    changing.start()
    ended = threading.Event()

    def change() -> None:
        while not ended.is_set():
            of.zones = after if of.zones is before else before

    thread = threading.Thread(target=change)
    thread.start()
    try:
        query = dns.message.make_query("x.example.com", "A")
        for _ in range(100):
            reply = dns.query.udp(query, "127.0.0.1", port=changing.port, timeout=10)
            assert texts(reply.answer)[0].rpartition(" ")[2] in ("127.0.0.1", "127.0.0.2")
    finally:
        ended.set()
        thread.join()
        changing.stop()


# --- messages


def test_the_question_comes_back_in_its_own_spelling() -> None:
    """Resolvers mix upper and lower case, and drop an answer that has another mix ("0x20", against forged answers)."""
    reply = ask(answerer(*RECORDS), "wWw.eXample.COM")
    assert reply.question[0].name.to_text() == "wWw.eXample.COM."
    assert reply.answer[0].name.to_text() == "wWw.eXample.COM."


@pytest.mark.parametrize(("size", "truncated"), [(None, True), (512, True), (1232, False), (100, True)])
def test_the_size_that_a_client_takes_decides_what_fits(size: int | None, truncated: bool) -> None:
    """RFC 6891 section 6.2.3, and 512 bytes without EDNS or below that."""
    options: dict[str, Any] = {} if size is None else {"use_edns": 0, "payload": size}
    reply = ask(answerer(*RECORDS), "some.example.com", over_udp=True, **options)
    assert bool(reply.flags & dns.flags.TC) is truncated
    assert (reply.edns == 0) is (size is not None)


def test_no_answer_over_udp_is_larger_than_4096_bytes() -> None:
    """A client that says 65535 would get fragments, or nothing."""
    reply = ask(answerer(*RECORDS), "many.example.com", over_udp=True, use_edns=0, payload=65535)
    assert reply.flags & dns.flags.TC


def test_an_unknown_version_of_edns_is_badvers() -> None:
    """RFC 6891 section 6.1.3: the client then asks again in a version that both know."""
    reply = ask(answerer(*RECORDS), "www.example.com", use_edns=1)
    assert reply.rcode() == dns.rcode.BADVERS
    assert reply.answer == []


def test_unknown_options_of_edns_are_ignored() -> None:
    """Resolvers send cookies and client subnets."""
    options = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678"), dns.edns.ECSOption("192.0.2.0", 24)]
    assert ask(answerer(*RECORDS), "www.example.com", use_edns=0, options=options, want_dnssec=True).answer


def test_any_is_answered_with_one_set_of_records() -> None:
    """RFC 8482 section 4.1: all of them would serve attackers, none of them breaks old clients."""
    of = answerer(record("x.example.com.", "A", "127.0.0.1"), record("x.example.com.", "TXT", '"x"'))
    reply = ask(of, "x.example.com", "ANY")
    assert [rrset.rdtype.name for rrset in reply.answer] == ["A"]
    assert rcode(ask(of, "absent.example.com", "ANY")) == "NXDOMAIN"


def test_other_classes_are_refused_and_other_operations_not_implemented() -> None:
    """`version.bind`, updates and notifications come from scanners and secondaries; each has its proper answer."""
    assert rcode(ask(answerer(), "example.com", "TXT", rdclass="CH")) == "REFUSED"
    update = dns.message.make_query("example.com", "SOA")
    update.set_opcode(dns.opcode.UPDATE)
    packet = Responder(answerer()).reply(update.to_wire(), over_udp=True)
    assert packet is not None
    assert packet[:2] == update.to_wire()[:2]
    assert packet[3] & 15 == dns.rcode.NOTIMP


HEADER = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0)
QUESTION = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01"


@pytest.mark.parametrize(
    "packet",
    [
        HEADER,
        HEADER + QUESTION[:-1],
        HEADER + b"\x3fwww",
        HEADER + b"\xc0\x0c\x00\x01\x00\x01",
        HEADER + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01",
        struct.pack(">6H", 7, 0, 0, 0, 0, 0),
        struct.pack(">6H", 7, 0, 2, 0, 0, 0) + QUESTION * 2,
        struct.pack(">6H", 7, 0, 1, 0, 0, 1) + QUESTION + b"\x00\x00\x29",
        struct.pack(">6H", 7, 0, 1, 0, 0, 2) + QUESTION + (b"\x00\x00\x29\x10\x00" + bytes(6)) * 2,
        struct.pack(">6H", 7, 0, 1, 0, 0, 1) + QUESTION + b"\x00\x00\x29\x10\x00" + bytes(4) + b"\x00\x09",
    ],
    ids=[
        "no question",
        "half",
        "half a name",
        "pointer",
        "long name",
        "none",
        "two",
        "half OPT",
        "two OPT",
        "long OPT",
    ],
)
def test_a_broken_query_is_formerr(packet: bytes) -> None:
    """Silence would be taken for a dead server, and asked again and again."""
    reply = Responder(answerer(*RECORDS)).reply(packet, over_udp=True)
    assert reply is not None
    assert reply[:2] == packet[:2]
    assert reply[3] & 15 == dns.rcode.FORMERR


def test_answers_and_scraps_are_not_answered() -> None:
    """Two servers that answer each other's answers never end."""
    responder = Responder(answerer(*RECORDS))
    query = dns.message.make_query("www.example.com", "A")
    reply = responder.reply(query.to_wire(), over_udp=True)
    assert reply is not None
    assert responder.reply(reply, over_udp=True) is None
    assert responder.reply(b"", over_udp=True) is None
    assert responder.reply(HEADER[:11], over_udp=True) is None


def test_no_packet_brings_the_server_down() -> None:
    """It is one process for the whole sandbox: bytes turned over, cut off and made up."""
    responder, chance = Responder(answerer(*RECORDS)), random.Random(3)
    packet = dns.message.make_query("www.example.com", "A", use_edns=0).to_wire()
    for _ in range(3000):
        damaged = bytearray(packet[: chance.randrange(len(packet) + 1)])
        for _ in range(chance.randrange(4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        responder.reply(bytes(damaged), over_udp=True)
        responder.reply(chance.randbytes(chance.randrange(80)), over_udp=False)


class _Failing(Answerer):
    def answer(self, asked: object, type_: int) -> Answer:
        raise RuntimeError("a defect of ours")


def test_a_defect_is_servfail_and_in_the_log_once(capfd: pytest.CaptureFixture[str]) -> None:
    """A thread that dies would leave a server that listens and says nothing; one line a query would fill the disk."""
    responder = Responder(_Failing())
    query = dns.message.make_query("www.example.com", "A").to_wire()
    for _ in range(3):
        reply = responder.reply(query, over_udp=True)
        assert reply is not None
        assert reply[3] & 15 == dns.rcode.SERVFAIL
    assert capfd.readouterr().err.count("RuntimeError: a defect of ours") == 1
