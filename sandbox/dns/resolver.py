"""Asks the sandbox's name server, as a resolver does, over UDP and, when an answer doesn't fit, TCP. Keeps nothing."""

import contextlib
import secrets
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any, Final

from dnslib import QTYPE, RCODE, DNSError, DNSLabel, DNSRecord

TIMEOUT_SECONDS: Final = 1.0
"""How long an answer is waited for before the question is put again. Real seconds."""

ATTEMPTS: Final = 3

# Longest chain of CNAMEs that is followed.
_CHAIN_MAX: Final = 16
_LABEL_MAX: Final = 63
_NAME_MAX: Final = 253
_PACKET_MAX: Final = 65535
_MEANINGS: Final = {
    RCODE.NXDOMAIN: "there is no such name (NXDOMAIN)",
    RCODE.REFUSED: "it is in no hosted zone of the sandbox (REFUSED)",
    RCODE.SERVFAIL: "the name server can't answer, and its log says why (SERVFAIL)",
}


class NoSuchNameError(Exception):
    """A name that has no address; the text says which, and why."""


@dataclass(frozen=True)
class Resolved:
    """Where a name leads: an address, for how many seconds that holds, and the names on the way, the first included."""

    address: str
    ttl: int
    names: tuple[str, ...]


def resolve(name: str, server: tuple[str, int], timeout: float = TIMEOUT_SECONDS) -> Resolved:
    """The address of `name`, by way of its CNAMEs.

    Raises NoSuchNameError if it has none, TimeoutError or another OSError if the server doesn't answer `ATTEMPTS`
    times in a row, each for `timeout` real seconds.
    """
    names, ttls = [_label(name)], []
    while len(names) <= _CHAIN_MAX:
        answer = _ask(names[-1], server, timeout)
        before = len(names)
        while aliases := _of(answer, names[-1], QTYPE.CNAME):
            names.append(aliases[0].rdata.label)
            ttls.append(aliases[0].ttl)
            if len(names) > _CHAIN_MAX:
                break
        addresses = _of(answer, names[-1], QTYPE.A)
        if addresses:
            texts = tuple(str(each).rstrip(".") for each in names)
            return Resolved(str(addresses[0].rdata), min([*ttls, addresses[0].ttl]), texts)
        if answer.header.rcode != RCODE.NOERROR or len(names) == before:
            raise NoSuchNameError(f"{str(names[-1]).rstrip('.')}: {_meaning(answer)}")
    raise NoSuchNameError(f"{name}: more than {_CHAIN_MAX} CNAMEs, one behind the other")


def _label(name: str) -> DNSLabel:
    with contextlib.suppress(UnicodeError):
        label = DNSLabel(name)
        if label.label and len(label) <= _NAME_MAX and all(0 < len(part) <= _LABEL_MAX for part in label.label):
            return label
    raise NoSuchNameError(f"{name!r} isn't a domain name")


def _of(answer: DNSRecord, name: DNSLabel, type_: int) -> list[Any]:
    return [record for record in answer.rr if record.rtype == type_ and record.rname == name]


def _meaning(answer: DNSRecord) -> str:
    rcode = answer.header.rcode
    if rcode == RCODE.NOERROR:
        return "the name has no address"
    return _MEANINGS.get(rcode, f"the name server says {RCODE.get(rcode)}")


def _ask(name: DNSLabel, server: tuple[str, int], timeout: float) -> DNSRecord:
    query = DNSRecord.question(name, "A")
    query.header.id = secrets.randbelow(65536)
    packed = bytes(query.pack())
    answer = _over_udp(packed, query.header.id, server, timeout)
    return _over_tcp(packed, server, timeout) if answer.header.tc else answer


def _over_udp(packed: bytes, id_: int, server: tuple[str, int], timeout: float) -> DNSRecord:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(server)
        for _ in range(ATTEMPTS):
            udp.send(packed)
            deadline = time.monotonic() + timeout
            while (left := deadline - time.monotonic()) > 0:
                udp.settimeout(left)
                with contextlib.suppress(TimeoutError, DNSError):
                    answer = DNSRecord.parse(udp.recv(_PACKET_MAX))
                    if answer.header.id == id_ and answer.header.qr:
                        return answer
    raise TimeoutError(f"the name server on {server[0]}:{server[1]} gave no answer in {ATTEMPTS * timeout:g} s")


def _over_tcp(packed: bytes, server: tuple[str, int], timeout: float) -> DNSRecord:
    with socket.create_connection(server, timeout=timeout) as tcp, tcp.makefile("rb") as stream:
        tcp.sendall(struct.pack(">H", len(packed)) + packed)
        try:
            (length,) = struct.unpack(">H", stream.read(2))
            return DNSRecord.parse(stream.read(length))
        except (struct.error, DNSError) as error:
            raise ConnectionError(f"the name server on {server[0]}:{server[1]} broke off its answer") from error
