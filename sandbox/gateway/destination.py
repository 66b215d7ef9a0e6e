"""Where a site's name leads in the sandbox, and when it leads nowhere: what the gateway and `request` go by."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sandbox.balancer.ports import PORT_OFFSET
from sandbox.dns.resolver import NoSuchNameError, resolve

_PORTS: Final = {"http": 80, "https": 443}
CONNECT_SECONDS: Final = 3.0
"""How long a connection may take to be made; real seconds, as in all of `lockstep`."""

_PORT_MAX: Final = 65535 - PORT_OFFSET


class InvalidUrlError(ValueError):
    """Not the URL of something in the sandbox."""


class UnreachableError(Exception):
    """No way to what a URL names; the text is one line."""


@dataclass(frozen=True)
class Target:
    """What a URL asks for: `authority` is HOST or HOST:PORT as it was written, `path` includes the query."""

    host: str
    port: int
    authority: str
    path: str
    secure: bool = False


@dataclass(frozen=True)
class Destination:
    """Where to connect for a target: a loopback address, a port, and the names that led there."""

    address: str
    port: int
    names: tuple[str, ...]


def parse(url: str) -> Target:
    """The parts of an http or https URL. Raises InvalidUrlError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError as error:
        raise InvalidUrlError(f"{url!r} isn't a URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise InvalidUrlError(f"{url!r} isn't of the form http://NAME[:PORT]/PATH or https://NAME[:PORT]/PATH")
    if not 1 <= port <= _PORT_MAX:
        raise InvalidUrlError(f"{url!r}: a balancer's listener has a port from 1 to {_PORT_MAX}")
    authority = parts.netloc.rpartition("@")[2]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port, authority, path, secure=parts.scheme == "https")


def locate(target: Target, name_server: tuple[str, int]) -> Destination:
    """Ask the name server. Raises UnreachableError if the name leads nowhere, or out of the sandbox."""
    try:
        found = resolve(target.host, name_server)
    except NoSuchNameError as error:
        raise UnreachableError(str(error)) from error
    except OSError as error:
        raise UnreachableError(f"{target.host}: {error}") from error
    if not ipaddress.ip_address(found.address).is_loopback:
        raise UnreachableError(
            f"{target.host} is {found.address}, which isn't the sandbox's: on this machine only its balancers are"
        )
    return Destination(found.address, target.port + PORT_OFFSET, found.names)


def connect(target: Target, destination: Destination) -> socket.socket:
    """A connection. Raises UnreachableError."""
    where = f"{target.host} is {destination.address}, which"
    try:
        return socket.create_connection((destination.address, destination.port), timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise UnreachableError(
            f"{where} didn't take a connection to port {target.port} for {CONNECT_SECONDS:g} s"
        ) from error
    except ConnectionRefusedError as error:
        raise UnreachableError(f"{where} refused the connection to port {target.port}") from error
    except OSError as error:
        raise UnreachableError(f"{where} can't be reached at port {target.port}: {error.strerror or error}") from error
