"""Asks the sandbox's name server, over UDP and, when an answer doesn't fit, TCP. Nothing is kept."""

import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Final

from dnslib import QTYPE, RCODE, DNSRecord

TIMEOUT_SECONDS: Final = 3.0


class NoSuchNameError(Exception):
    """A name that has no address, and why."""


@dataclass(frozen=True)
class Resolved:
    """Where a name leads: an address, and for how many seconds that may be believed (the shortest TTL on the way)."""

    address: str
    ttl: int


def resolve(name: str, server: tuple[str, int]) -> Resolved:
    """The address of `name`. Raises NoSuchNameError if it has none, OSError if the server doesn't answer."""
    query = DNSRecord.question(name, "A")
    query.header.id = secrets.randbelow(65536)
    answer = _ask(query, server)
    if answer.header.rcode != RCODE.NOERROR:
        raise NoSuchNameError(f"{name}: the name server says {RCODE.get(answer.header.rcode)}")
    addresses = [record for record in answer.rr if record.rtype == QTYPE.A]
    if not addresses:
        # The last name of a chain that leaves the zone, to a load balancer.
        chain = [record for record in answer.rr if record.rtype == QTYPE.CNAME]
        if not chain:
            raise NoSuchNameError(f"{name} has no address")
        rest = resolve(str(chain[-1].rdata), server)
        return Resolved(rest.address, min(rest.ttl, *(record.ttl for record in chain)))
    return Resolved(str(addresses[0].rdata), min(record.ttl for record in answer.rr))


def _ask(query: DNSRecord, server: tuple[str, int]) -> DNSRecord:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT_SECONDS)
        udp.connect(server)
        udp.send(query.pack())
        answer = DNSRecord.parse(udp.recv(65535))
    if not answer.header.tc:
        return answer
    packed = query.pack()
    with socket.create_connection(server, timeout=TIMEOUT_SECONDS) as tcp:
        tcp.sendall(struct.pack(">H", len(packed)) + packed)
        with tcp.makefile("rb") as stream:
            (length,) = struct.unpack(">H", stream.read(2))
            return DNSRecord.parse(stream.read(length))
