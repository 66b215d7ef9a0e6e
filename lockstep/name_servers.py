"""Asks the zone's own name servers where a name leads: what is true of traffic at this moment, without any cache.

It is Route 53's data plane: it answers while every control plane is gone. `LOCKSTEP_NAME_SERVER`, ADDRESS:PORT, names
the one to ask; else the zone's are found by the machine's resolver.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

VARIABLE: Final = "LOCKSTEP_NAME_SERVER"

_PORT: Final = 53
_SECONDS: Final = 2.0

Server = tuple[str, int]


class NoAnswerError(Exception):
    """Nobody tells; the text is why, on one line."""


class NameServers:
    """The name servers of `zone`. `resolver` is the machine's unless it is given."""

    def __init__(
        self,
        zone: str,
        *,
        environ: Mapping[str, str] = os.environ,
        resolver: dns.resolver.Resolver | None = None,
    ) -> None:
        self._zone = zone
        self._environ = environ
        self._resolver = resolver

    def targets(self, name: str, times: int) -> frozenset[str]:
        """The names that `name` leads to, asked `times` times in all. Raises NoAnswerError if nobody answers.

        Members of a weighted set are drawn anew for each question: one with a small weight may not be among them.
        """
        return self._ask(name, times, _cnames)

    def addresses(self, name: str, times: int) -> frozenset[str]:
        """The IPv4 addresses of `name`, as `targets`: what there is to see of an alias, which names no target."""
        return self._ask(name, times, _addresses)

    def _ask(self, name: str, times: int, question: Callable[[Server, str], set[str]]) -> frozenset[str]:
        servers = self._servers()
        found, silent = set[str](), ""
        for server in servers:
            try:
                for _ in range(-(-times // len(servers))):
                    found |= question(server, name)
            except (OSError, dns.exception.DNSException) as error:
                silent = f"{server[0]} port {server[1]}: {error or type(error).__name__}"
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
            resolver = self._resolver or dns.resolver.Resolver()
            names = [record.target for record in resolver.resolve(self._zone, "NS")]
            return [(str(next(iter(resolver.resolve(name, "A")))), _PORT) for name in names]
        except dns.exception.DNSException as error:
            raise NoAnswerError(f"the name servers of {self._zone} aren't known: {error}") from error


def _cnames(server: Server, name: str) -> set[str]:
    """Where `server` says that the name leads. Raises OSError or DNSException."""
    sets = _answers(server, name, dns.rdatatype.CNAME)
    return {str(record.target).rstrip(".").lower() for each in sets for record in each}


def _addresses(server: Server, name: str) -> set[str]:
    """The addresses that `server` gives for the name. Raises OSError or DNSException."""
    return {str(record.address) for each in _answers(server, name, dns.rdatatype.A) for record in each}


def _answers(server: Server, name: str, kind: dns.rdatatype.RdataType) -> list[dns.rrset.RRset]:
    query = dns.message.make_query(name, kind, flags=0)
    answer, _ = dns.query.udp_with_fallback(query, server[0], timeout=_SECONDS, port=server[1])
    if answer.rcode() != dns.rcode.NOERROR:
        raise OSError(f"it answers {dns.rcode.to_text(answer.rcode())}")
    return [each for each in answer.answer if each.rdtype == kind]
