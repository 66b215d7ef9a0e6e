"""What a balancer makes of the headers of requests and answers.

User Guide for Application Load Balancers, "HTTP headers and Application Load Balancers", "Host header preservation",
"Request tracing", "Load balancer attributes".
"""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from sandbox.balancer.configuration import Configuration
from sandbox.balancer.routing import name_in

FORWARDED_FOR: Final = "X-Forwarded-For"
FORWARDED_MAX: Final = 30
"""Addresses in X-Forwarded-For ("Troubleshoot", HTTP 463)."""
TRACE: Final = "X-Amzn-Trace-Id"
_DEFAULT_PORTS: Final = (80, 443)
# RFC 9110 section 7.6.1.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# "routing.http.drop_invalid_header_fields.enabled": names that aren't of these characters.
_VALID_NAME: Final = re.compile(r"[-A-Za-z0-9]+")


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """`headers` without those of the connection, and those that it names."""
    named = {
        name.strip().lower()
        for key, value in headers.items()
        if key.lower() == "connection"
        for name in value.split(",")
    }
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )


def forwarded_addresses(headers: CIMultiDictProxy[str]) -> int:
    """How many addresses a request has in X-Forwarded-For."""
    return sum(len(value.split(",")) for value in headers.getall(FORWARDED_FOR, ()))


def for_target(
    headers: CIMultiDictProxy[str],
    configuration: Configuration,
    *,
    authority: str,
    listener_port: int,
    scheme: str = "http",
    client: tuple[str, int],
) -> CIMultiDict[str]:
    """The headers that a target gets of a request.

    `authority` is what the request line names if it is a whole URL, else empty; `client` the address and port that the
    request comes from; `scheme` is the listener's.
    """
    kept = end_to_end(headers)
    # The balancer has answered it.
    kept.popall("Expect", None)
    if configuration.drop_invalid_headers:
        for name in [name for name in kept if not _VALID_NAME.fullmatch(name)]:
            kept.popall(name, None)
    if not configuration.preserve_host:
        kept["Host"] = _host(authority or headers.get("Host") or configuration.dns_name, listener_port)
    _forwarded(kept, configuration, client)
    kept["X-Forwarded-Proto"] = scheme
    kept["X-Forwarded-Port"] = str(listener_port)
    kept[TRACE] = trace(kept.get(TRACE))
    return kept


def _host(host: str, listener_port: int) -> str:
    """The table of "Host header preservation": a port of its own is added, one by default taken away."""
    if listener_port in _DEFAULT_PORTS:
        return name_in(host)
    return host if name_in(host) != host else f"{host}:{listener_port}"


def _forwarded(headers: CIMultiDict[str], configuration: Configuration, client: tuple[str, int]) -> None:
    if configuration.forwarded_for == "remove":
        headers.popall(FORWARDED_FOR, None)
    elif configuration.forwarded_for == "append":
        last = f"{client[0]}:{client[1]}" if configuration.client_port else client[0]
        headers[FORWARDED_FOR] = ", ".join([*headers.getall(FORWARDED_FOR, ()), last])


def trace(given: str | None) -> str:
    """The trace header of a request that has `given`: its own fields are kept, `Self` is the balancer's."""
    here = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    fields = [field for field in (given or "").split(";") if field and not field.startswith("Self=")]
    if not any(field.startswith("Root=") for field in fields):
        return ";".join([f"Root={here}", *fields])
    return ";".join([f"Self={here}", *fields])
