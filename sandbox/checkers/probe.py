"""One probe of an endpoint, as Route 53's health checkers make it, and what it is told of it.

Developer Guide, "How Amazon Route 53 determines whether a health check is healthy". Of the texts, those of a success
over HTTP, of a wrong status, of a time-out while connecting and of a connection that was closed are AWS's where AWS's
documents and public reports quote them; the others follow their form.
"""

import asyncio
import contextlib
import functools
import http
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox import clock
from sandbox.balancer.ports import HEALTH_CHECKERS, PORT_OFFSET
from sandbox.checkers.endpoint import Endpoint
from sandbox.dns.resolver import NoSuchNameError

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS: Final = 4.0
"""For a connection of an HTTP or HTTPS check. AWS's seconds, like all below."""

TCP_CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 2.0
"""From the connection to the status."""

BODY_SECONDS: Final = 2.0
"""From the status to the body, where a string is looked for."""

SEARCHED_BYTES: Final = 5120
"""The string must be within so many bytes of the body."""

LEAST_TIMEOUT: Final = 0.3
"""Real seconds. At any speed a request is work and takes what it takes: below this, a busy machine looks like an
endpoint that doesn't answer. It is less than ANSWER_SECONDS at the demo's speed, 6, where nothing is changed by it."""

_AGENT: Final = "Amazon-Route53-Health-Check-Service (ref {id}; report http://amzn.to/1vsZADi)"
# How much of a body that doesn't matter is read, so that a balancer doesn't see its connection reset while it writes.
_DRAINED_BYTES: Final = 64 * 1024
_LINE_MAX: Final = 16 * 1024
_HEADERS_MAX: Final = 256
_PORT_MAX: Final = 65535

CONNECT_TIMED_OUT: Final = "The health checker could not establish a connection within the timeout limit."
ANSWER_TIMED_OUT: Final = (
    "The health checker established a connection, but the endpoint did not respond within the timeout limit."
)
BODY_TIMED_OUT: Final = "The endpoint did not send the response body within the timeout limit."
REFUSED: Final = "The endpoint refused the connection."
CLOSED: Final = "The connection was closed by the endpoint."
NOT_HTTP: Final = "The endpoint did not respond with HTTP."

Resolve = Callable[[str], Awaitable[str]]
"""`await resolve(name)`: an IPv4 address. Raises NoSuchNameError or OSError."""


# The loop itself keeps tasks weakly.
_ending: Final[set[asyncio.Task[None]]] = set()


@dataclass(frozen=True)
class Result:
    """How a probe went: passed or not, and StatusReport's text."""

    passed: bool
    status: str


class _FailedError(Exception):
    """The endpoint doesn't pass; the text says why."""


def connect_seconds(endpoint: Endpoint) -> float:
    """How long a connection may take."""
    return TCP_CONNECT_SECONDS if endpoint.type == "TCP" else CONNECT_SECONDS


async def blind_probe(endpoint: Endpoint) -> Result:
    """What a checker finds whose packets get nowhere."""
    await asyncio.sleep(_real(connect_seconds(endpoint)))
    return Result(False, f"Failure: {CONNECT_TIMED_OUT}")


async def probe(endpoint: Endpoint, resolve: Resolve) -> Result:
    """Look at the endpoint once."""
    address, resolved = endpoint.address, ""
    if address is None:
        try:
            address = await resolve(endpoint.name or "")
        except (NoSuchNameError, OSError) as error:
            return Result(False, f"Failure: DNS resolution failed: {error}")
        resolved = f"Resolved IP: {address}. "
    try:
        return Result(True, f"Success: {await _examined(endpoint, address)}")
    except _FailedError as error:
        return Result(False, f"Failure: {resolved}{error}")


async def _examined(endpoint: Endpoint, address: str) -> str:
    connection = await _connect(address, endpoint.port, connect_seconds(endpoint))
    if endpoint.type == "TCP":
        connection.close()
        return "A TCP connection was established"
    writer: asyncio.StreamWriter | None = None
    ended_elsewhere = False
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _real(ANSWER_SECONDS)
    try:
        async with _within(deadline, ANSWER_TIMED_OUT):
            reader, writer = await _opened(endpoint, connection)
            writer.write(_request(endpoint))
            status, phrase = await _status(reader)
        described = f"HTTP Status Code {status}, {phrase}"
        if not 200 <= status < 400:
            raise _FailedError(described)
        if endpoint.search is None:
            _end_in_order(reader, writer, deadline)
            ended_elsewhere = True
            return described
        async with _within(loop.time() + _real(BODY_SECONDS), BODY_TIMED_OUT):
            body = await _body(reader, await _headers(reader))
        if endpoint.search.encode() not in body:
            raise _FailedError(
                f"{described}. The search string is not in the first {SEARCHED_BYTES} bytes of the response body."
            )
        return described
    finally:
        if writer is None:
            # It is asyncio's all the same, which closes it when it sees this end: closed here, its number could be
            # another connection's before that.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        elif not ended_elsewhere:
            writer.close()


def _real(seconds: float) -> float:
    return max(clock.real(seconds), LEAST_TIMEOUT)


@contextlib.asynccontextmanager
async def _within(deadline: float, late: str) -> AsyncIterator[None]:
    """Raise _FailedError with `late` at the loop's time `deadline`, and with what is wrong with the answer."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as error:
        raise _FailedError(late) from error
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise _FailedError(CLOSED) from error
    except OSError as error:
        # TLS, for one.
        raise _FailedError(f"{error.strerror or error}.") from error
    except (ValueError, asyncio.LimitOverrunError) as error:
        raise _FailedError(NOT_HTTP) from error


async def _connect(address: str, port: int, seconds: float) -> socket.socket:
    """A connection to a balancer, which listens on its listener's port and PORT_OFFSET."""
    if not ipaddress.ip_address(address).is_loopback or port + PORT_OFFSET > _PORT_MAX:
        # Nothing of the sandbox may send anything to other machines.
        raise _FailedError(
            f"Port {port} of {address} is not the sandbox's: its health checkers reach ports from 1 to "
            f"{_PORT_MAX - PORT_OFFSET} of its load balancers, which have loopback addresses"
        )
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.bind((HEALTH_CHECKERS, 0))
        async with asyncio.timeout(_real(seconds)):
            await asyncio.get_running_loop().sock_connect(connection, (address, port + PORT_OFFSET))
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            raise _FailedError(CONNECT_TIMED_OUT) from error
        if isinstance(error, ConnectionRefusedError):
            raise _FailedError(REFUSED) from error
        if isinstance(error, OSError):
            raise _FailedError(f"{error.strerror or error}.") from error
        raise
    return connection


async def _opened(endpoint: Endpoint, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not endpoint.is_secure:
        return await asyncio.open_connection(sock=connection, limit=_LINE_MAX)
    name = endpoint.name if endpoint.sends_name else ""
    return await asyncio.open_connection(sock=connection, limit=_LINE_MAX, ssl=_context(), server_hostname=name or "")


@functools.cache
def _context() -> "ssl.SSLContext":
    # Most sandboxes have no such check, and OpenSSL is several megabytes.
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # "HTTPS health checks don't validate SSL/TLS certificates."
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _request(endpoint: Endpoint) -> bytes:
    lines = (
        f"GET {endpoint.path} HTTP/1.1",
        f"Host: {endpoint.host}",
        f"User-Agent: {_AGENT.format(id=endpoint.id)}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


async def _status(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Code and phrase. Raises ValueError if it isn't HTTP."""
    line = await reader.readuntil(b"\n")
    version, code, *phrase = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError(f"{line!r} isn't a status line")
    status = int(code)
    return status, "".join(phrase) or _phrase(status)


def _phrase(status: int) -> str:
    return next((known.phrase for known in http.HTTPStatus if known == status), "")


async def _headers(reader: asyncio.StreamReader) -> Mapping[str, str]:
    """By lower-case name. Raises ValueError if there is no end to them."""
    found: dict[str, str] = {}
    for _ in range(_HEADERS_MAX):
        line = (await reader.readuntil(b"\n")).decode("latin-1").strip()
        if not line:
            return found
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    raise ValueError("too many headers")


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """As much of it as is searched."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    if "content-length" in headers:
        return await reader.readexactly(min(int(headers["content-length"]), SEARCHED_BYTES))
    body = b""
    while len(body) < SEARCHED_BYTES and (part := await reader.read(SEARCHED_BYTES - len(body))):
        body += part
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while len(body) < SEARCHED_BYTES:
        size = int((await reader.readuntil(b"\n")).partition(b";")[0], 16)
        if not size:
            break
        body += await reader.readexactly(min(size, SEARCHED_BYTES - len(body)))
        if len(body) < SEARCHED_BYTES:
            await reader.readexactly(2)
    return body


def _end_in_order(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deadline: float) -> None:
    """Read the rest of an answer that has told enough already, so that its sender doesn't meet a reset."""

    async def end() -> None:
        try:
            await _drain(reader, deadline)
        finally:
            writer.close()

    ending = asyncio.get_running_loop().create_task(end())
    _ending.add(ending)
    ending.add_done_callback(_ending.discard)


async def _drain(reader: asyncio.StreamReader, deadline: float) -> None:
    read = 0
    with contextlib.suppress(OSError):
        async with asyncio.timeout_at(deadline):
            while read < _DRAINED_BYTES and (part := await reader.read(_LINE_MAX)):
                read += len(part)
