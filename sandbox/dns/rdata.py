"""Values of Route 53's records in the form that goes over the wire.

Route 53 Developer Guide, "Supported DNS record types": how each type's value is written.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from dnslib import AAAA, CAA, CNAME, MX, NS, PTR, RD, SOA, SRV, TXT, A, DNSLabel

from sandbox.api.route53_names import parse

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)


class UnsupportedTypeError(Exception):
    """A record type that the name server doesn't answer."""


def rdata(type_: str, value: str) -> RD:
    """One value. Raises UnsupportedTypeError; ValueError if it isn't a value of its type."""
    make = _MAKERS.get(type_)
    if make is None:
        raise UnsupportedTypeError(f"type {type_}")
    return make(value)


def _label(name: str) -> DNSLabel:
    return DNSLabel(parse(name))


def _mx(value: str) -> RD:
    preference, exchange = value.split()
    return MX(_label(exchange), int(preference))


def _srv(value: str) -> RD:
    priority, weight, port, target = value.split()
    return SRV(int(priority), int(weight), int(port), _label(target))


def _soa(value: str) -> RD:
    server, mailbox, *times = value.split()
    return SOA(_label(server), _label(mailbox), tuple(int(each) for each in times))


def _caa(value: str) -> RD:
    flags, tag, text = value.split(maxsplit=2)
    return CAA(int(flags), tag, text.strip('"'))


def _txt(value: str) -> RD:
    return TXT([_ESCAPE.sub(_unescaped, text.encode()) for text in _QUOTED.findall(value)])


def _unescaped(found: re.Match[bytes]) -> bytes:
    """A backslash before three octal digits, or before the character itself."""
    text = found[1]
    return bytes([int(text, 8)]) if len(text) == 3 else text


_MAKERS: Final[Mapping[str, Callable[[str], RD]]] = {
    "A": A,
    "AAAA": AAAA,
    "CAA": _caa,
    "CNAME": lambda value: CNAME(_label(value)),
    "MX": _mx,
    "NS": lambda value: NS(_label(value)),
    "PTR": lambda value: PTR(_label(value)),
    "SOA": _soa,
    "SPF": _txt,
    "SRV": _srv,
    "TXT": _txt,
}
