"""Keeps the API's process on this machine: moto has features that call out (SNS to HTTP, API Gateway's proxies)."""

import functools
import ipaddress
import sys
from typing import Any


@functools.cache
def refuse_other_hosts() -> None:
    """From now on, refuse in this process every connection and name look-up that would leave loopback.

    The attempt raises PermissionError, which names the address. It can't be undone: Python never removes an audit hook.
    """
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        # A path is a Unix socket, bytes an abstract one.
        if isinstance(address, tuple) and not _is_loopback(str(address[0])):
            _refuse(address)
    elif event == "socket.getaddrinfo" and arguments[0] is not None and not _is_loopback(_text(arguments[0])):
        _refuse(arguments[0])


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _text(host: str | bytes) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else host


def _refuse(address: object) -> None:
    raise PermissionError(f"the sandbox's API stays on this machine and doesn't connect to {address!r}")
