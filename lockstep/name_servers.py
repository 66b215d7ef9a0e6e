"""Asks the zone's own name servers where a name leads: what is true of traffic at this moment, without any cache.

It is Route 53's data plane: it answers while every control plane is gone. `LOCKSTEP_NAME_SERVER`, ADDRESS:PORT, names
the one to ask; else the zone's are found by the machine's resolver. Message format: RFC 1035, section 4.
"""

import os
import secrets
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "LOCKSTEP_NAME_SERVER"

_RESOLVERS: Final = Path("/etc/resolv.conf")
_PORT: Final = 53
_SECONDS: Final = 2.0
_PACKET_MAX: Final = 65535
_IN, _NS, _CNAME = 1, 2, 5
_RECURSION_DESIRED: Final = 0x0100
_ANSWER_OK: Final = 0x8000
# Response bit and response code.
_CHECKED: Final = 0x800F
_POINTER: Final = 0xC0

Server = tuple[str, int]


class NoAnswerError(Exception):
    """Nobody tells; the text is why, on one line."""


class NameServers:
    """The name servers of `zone`."""

    def __init__(self, zone: str, *, environ: Mapping[str, str] = os.environ) -> None:
        self._zone = zone
        self._environ = environ

    def targets(self, name: str, times: int) -> frozenset[str]:
        """The names that `name` leads to, asked `times` times in all. Raises NoAnswerError if nobody answers.

        Members of a weighted set are drawn anew for each question: one with a small weight may not be among them.
        """
        servers = self._servers()
        found, silent = set[str](), ""
        for server in servers:
            try:
                for _ in range(-(-times // len(servers))):
                    found |= set(_ask(server, name, _CNAME, 0))
            except (OSError, ValueError) as error:
                silent = f"{server[0]} port {server[1]}: {error}"
        if not found:
            raise NoAnswerError(silent or f"{name} leads nowhere")
        return frozenset(found)

    def _servers(self) -> list[Server]:
        named = self._environ.get(VARIABLE)
        if named:
            host, _, port = named.rpartition(":")
            if not host or not port.isdecimal():
                raise NoAnswerError(f"{VARIABLE} is {named!r}, and not of the form ADDRESS:PORT")
            return [(host, int(port))]
        try:
            names = _ask((_resolver(), _PORT), self._zone, _NS, _RECURSION_DESIRED)
            found = [socket.getaddrinfo(name, _PORT, socket.AF_INET, socket.SOCK_DGRAM) for name in names]
        except (OSError, ValueError) as error:
            raise NoAnswerError(f"the name servers of {self._zone} aren't known: {error}") from error
        if not found:
            raise NoAnswerError(f"{self._zone} has no name servers")
        return [(str(each[0][4][0]), _PORT) for each in found]


def _resolver() -> str:
    """The machine's own. Raises OSError."""
    for line in _RESOLVERS.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest and ":" not in rest[0]:
            return rest[0]
    raise OSError(f"{_RESOLVERS} names no resolver with an IPv4 address")


def _ask(server: Server, name: str, type_: int, flags: int) -> list[str]:
    """The names in records of `type_` in the answer. Raises OSError, or ValueError if it isn't an answer."""
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(part)]) + part.encode("ascii") for part in name.rstrip(".").split("."))
    question = struct.pack(">6H", number, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", type_, _IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_SECONDS)
        asking.connect(server)
        asking.send(question)
        answer = asking.recv(_PACKET_MAX)
    try:
        return list(_names(answer, number, type_, len(question)))
    except (IndexError, struct.error) as error:
        raise ValueError("its answer is cut off") from error


def _names(answer: bytes, number: int, type_: int, start: int) -> Iterator[str]:
    """The question, as long as it was asked, comes first."""
    id_, flags, _, count, _, _ = struct.unpack_from(">6H", answer)
    if id_ != number or flags & _CHECKED != _ANSWER_OK:
        raise ValueError(f"its answer isn't one (response code {flags & 0xF})")
    position = start
    for _ in range(count):
        _, position = _name(answer, position)
        found, _, _, length = struct.unpack_from(">2HIH", answer, position)
        position += 10
        if found == type_:
            yield _name(answer, position)[0].lower()
        position += length


def _name(message: bytes, position: int) -> tuple[str, int]:
    """The name at `position`, and where it ends there; names may go on elsewhere (section 4.1.4), always before."""
    labels: list[str] = []
    end = 0
    while length := message[position]:
        if length & _POINTER == _POINTER:
            end = end or position + 2
            target = struct.unpack_from(">H", message, position)[0] & 0x3FFF
            if target >= position:
                raise ValueError("its answer goes round in circles")
            position = target
            continue
        labels.append(message[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    return ".".join(labels), end or position + 1
