"""DNS messages: what is asked, read once and without copies, and the answer to it.

RFC 1035 section 4.1, RFC 6891 (EDNS). Packing is dnslib's.
"""

import struct
from dataclasses import dataclass
from typing import Final

from dnslib import EDNS0, OPCODE, QTYPE, RCODE, DNSHeader, DNSLabel, DNSQuestion, DNSRecord

from sandbox.api.route53_names import Labels
from sandbox.dns.answers import Answer

UDP_MAX: Final = 512
"""Bytes of an answer to a client without EDNS (RFC 1035 section 4.2.1)."""

EDNS_MAX: Final = 4096
"""Bytes of an answer over UDP, whatever the client takes."""

_HEADER: Final = struct.Struct(">6H")
_QUESTION: Final = struct.Struct(">2H")
# Type, class, TTL, length of the data.
_RECORD: Final = struct.Struct(">2HIH")
_INTERNET: Final = 1
_POINTER: Final = 0xC0
_NAME_MAX: Final = 255
# RFC 6891 section 9: BADVERS is 16, of which the upper eight bits go into the OPT record.
_BADVERS_UPPER: Final = 1


@dataclass(frozen=True)
class Edns:
    """What the client's OPT record says: how many bytes it takes over UDP, and the version that it speaks."""

    size: int
    version: int
    wants_security: bool


@dataclass(frozen=True)
class Query:
    """One query. `rcode` is set if it can't be answered, whatever it asks."""

    id: int
    opcode: int
    recursion_desired: bool
    rcode: int = RCODE.NOERROR
    name: Labels | None = None
    type: int = 0
    class_: int = 0
    edns: Edns | None = None

    @property
    def limit(self) -> int:
        """Bytes of an answer over UDP."""
        return UDP_MAX if self.edns is None else max(UDP_MAX, min(self.edns.size, EDNS_MAX))


def read(packet: bytes) -> Query | None:
    """The query in a packet; None if it isn't one, and so isn't worth an answer."""
    if len(packet) < _HEADER.size:
        return None
    id_, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    if flags & 0x8000:
        return None
    opcode, desired = flags >> 11 & 15, bool(flags & 0x0100)
    if opcode != OPCODE.QUERY:
        return Query(id_, opcode, desired, RCODE.NOTIMP)
    try:
        if questions != 1:
            raise ValueError(f"{questions} questions")
        name, position = _name(packet, _HEADER.size)
        type_, class_ = _QUESTION.unpack_from(packet, position)
        edns = _edns(packet, position + _QUESTION.size, answers + authorities, additionals)
    except (ValueError, IndexError, struct.error):
        return Query(id_, opcode, desired, RCODE.FORMERR)
    return Query(id_, opcode, desired, RCODE.NOERROR, name, type_, class_, edns)


def write(query: Query, answer: Answer, limit: int | None) -> bytes:
    """The answer to a query in at most `limit` bytes; None for no limit. What doesn't fit is left out, and said so."""
    header = DNSHeader(id=query.id, qr=1, opcode=query.opcode, aa=int(answer.authoritative), rd=0, ra=0)
    header.rd, header.rcode = int(query.recursion_desired), answer.rcode
    message = DNSRecord(header)
    if query.name is not None:
        message.add_question(DNSQuestion(DNSLabel(query.name), query.type, query.class_))
    message.add_answer(*answer.answers)
    message.add_auth(*answer.authority)
    message.add_ar(*answer.additional)
    if query.edns is not None:
        upper = _BADVERS_UPPER if query.edns.version else 0
        flags = "do" if query.edns.wants_security else ""
        message.add_ar(EDNS0(ext_rcode=upper, udp_len=EDNS_MAX, flags=flags))
    packed = bytes(message.pack())
    if limit is not None and len(packed) > limit:
        header.tc = 1
        message.rr, message.auth = [], []
        message.ar = [each for each in message.ar if each.rtype == QTYPE.OPT]
        packed = bytes(message.pack())
    return packed


def is_internet(query: Query) -> bool:
    """Whether a query is of the one class there is here."""
    return query.class_ == _INTERNET


def _name(packet: bytes, position: int) -> tuple[Labels, int]:
    """The labels at a position, and the position behind them. Raises ValueError or IndexError."""
    labels = []
    start = position
    while length := packet[position]:
        # Nothing stands before the question that a pointer could lead to. The root's zero counts as well.
        if length & _POINTER or position + 1 + length + 1 - start > _NAME_MAX:
            raise ValueError("not a name")
        label = packet[position + 1 : position + 1 + length]
        if len(label) < length:
            raise ValueError("a name that ends early")
        labels.append(label)
        position += 1 + length
    return tuple(labels), position + 1


def _edns(packet: bytes, position: int, skipped: int, additionals: int) -> Edns | None:
    """The OPT record, behind `skipped` records of other sections. Raises ValueError, IndexError or struct.error."""
    found = None
    for index in range(skipped + additionals):
        position = _behind_name(packet, position)
        type_, size, extended, length = _RECORD.unpack_from(packet, position)
        position += _RECORD.size + length
        if position > len(packet):
            raise ValueError("a record that ends early")
        if type_ == QTYPE.OPT and index >= skipped:
            if found is not None:
                # RFC 6891 section 6.1.1.
                raise ValueError("two OPT records")
            found = Edns(size, extended >> 16 & 255, bool(extended & 0x8000))
    return found


def _behind_name(packet: bytes, position: int) -> int:
    while length := packet[position]:
        if length & _POINTER == _POINTER:
            return position + 2
        position += 1 + length
    return position + 1
