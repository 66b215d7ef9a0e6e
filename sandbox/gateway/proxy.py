"""An HTTP forward proxy (RFC 9112 section 3.2.2, absolute-form) that reaches the sandbox's sites and nothing else.

HTTPS goes through it as a tunnel (RFC 9110 section 9.3.6, CONNECT): it sees nothing of that.

It asks the name server for every request and keeps nothing, so that what a client sees is what DNS says at that moment.
A connection carries one request: whoever counts answers must not be tied to one balancer by a connection that is kept.
Messages pass as they come, in both directions at once; only their heads are read.
"""

import contextlib
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from sandbox.gateway.destination import InvalidUrlError, Target, UnreachableError, connect, locate, parse

HOST: Final = "127.0.0.1"
ERROR_HEADER: Final = "X-Lockstep-Gateway-Error"
IDLE_SECONDS: Final = 75.0
"""How long a message may stand still before its connection ends: more than a balancer waits for a target (60 s)."""

_CHUNK: Final = 64 * 1024
_HEAD_MAX: Final = 64 * 1024
_HEAD_END: Final = b"\r\n\r\n"
# RFC 9110 section 7.6.1, but for Transfer-Encoding: bodies pass in the form that they come in.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"upgrade",
    }
)
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) (HTTP/1\.[01])")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?")
_TUNNEL: Final = re.compile(rb"([^\s:/]+):(\d{1,5})")
_BAD_GATEWAY: Final = 502
_PHRASES: Final = {400: "Bad Request", _BAD_GATEWAY: "Bad Gateway"}


class Gateway(socketserver.ThreadingTCPServer):
    """Listens on loopback, with a thread for each client. Raises OSError if `port` can't be had; 0 takes a free one."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, name_server: tuple[str, int]) -> None:
        self.name_server = name_server
        super().__init__((HOST, port), _Handler)


class _RefusedError(Exception):
    """A request that isn't passed on: the status that the client gets, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _BrokenOffError(Exception):
    """An answer that ends early, after its head."""


class _Handler(socketserver.BaseRequestHandler):
    """One client, one request."""

    server: Gateway
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(IDLE_SECONDS)
        # A client that is gone needs no answer.
        with contextlib.suppress(OSError):
            try:
                self._serve()
            except _RefusedError as refusal:
                self._refuse(refusal.status, str(refusal))
            except _BrokenOffError:
                # Resets the connection: without a length, an orderly end would pass for the whole of the answer.
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.request.close()

    def _serve(self) -> None:
        try:
            head, rest = _read_head(self.request)
        except ValueError as error:
            raise _RefusedError(400, str(error)) from error
        first, _, _ = head.partition(b"\r\n")
        is_tunnel = first.startswith(b"CONNECT ")
        target, request = (_tunnel(first), b"") if is_tunnel else _request(head)
        try:
            destination = locate(target, self.server.name_server)
            upstream = connect(target, destination)
        except UnreachableError as error:
            raise _RefusedError(502, str(error)) from error
        with upstream:
            upstream.settimeout(IDLE_SECONDS)
            if is_tunnel:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._join(upstream, rest)
                return
            self._exchange(upstream, request + rest, f"{target.host} is {destination.address}, which")

    def _join(self, upstream: socket.socket, first: bytes) -> None:
        """Pass on whatever comes, in both directions, until one of the ends ends."""
        passing = threading.Thread(target=self._pass_request, args=(upstream, first), daemon=True)
        passing.start()
        try:
            while part := _receive(upstream):
                self.request.sendall(part)
        finally:
            for end, how in ((upstream, socket.SHUT_RDWR), (self.request, socket.SHUT_RD)):
                with contextlib.suppress(OSError):
                    end.shutdown(how)
            passing.join()

    def _exchange(self, upstream: socket.socket, request: bytes, where: str) -> None:
        """Pass on the request, whose rest a thread of its own brings, and the answer."""
        passing = threading.Thread(target=self._pass_request, args=(upstream, request), daemon=True)
        passing.start()
        try:
            self._pass_answer(upstream, where)
        finally:
            # Wakes the thread, which waits at one end or the other.
            for end, how in ((upstream, socket.SHUT_RDWR), (self.request, socket.SHUT_RD)):
                with contextlib.suppress(OSError):
                    end.shutdown(how)
            passing.join()

    def _pass_request(self, upstream: socket.socket, request: bytes) -> None:
        """Until there is no more: then the client is gone, and the answer of no use to anybody."""
        with contextlib.suppress(OSError):
            upstream.sendall(request)
            while part := self.request.recv(_CHUNK):
                upstream.sendall(part)
            upstream.shutdown(socket.SHUT_RDWR)

    def _pass_answer(self, upstream: socket.socket, where: str) -> None:
        try:
            for head in _answer_heads(upstream):
                self.request.sendall(head)
        except TimeoutError as error:
            raise _RefusedError(502, f"{where} gave no answer for {IDLE_SECONDS:g} s") from error
        except (ConnectionError, ValueError) as error:
            raise _RefusedError(502, f"{where} broke off its answer: {error}") from error
        while part := _receive(upstream):
            self.request.sendall(part)

    def _refuse(self, status: int, reason: str) -> None:
        line = " ".join(reason.split())
        body = f"{line}\n".encode()
        lines = (
            # Clients show nothing else of a tunnel that isn't there.
            f"HTTP/1.1 {status} {line if status == _BAD_GATEWAY else _PHRASES[status]}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            f"{ERROR_HEADER}: {line}",
            "Connection: close",
        )
        self.request.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)


def _read_head(connection: socket.socket, data: bytes = b"") -> tuple[bytes, bytes]:
    """The head of a message that begins with `data`, without its end, and what has come behind it.

    Raises ConnectionError if the connection ends before, ValueError if the head is too long.
    """
    while _HEAD_END not in data:
        if len(data) > _HEAD_MAX:
            raise ValueError(f"a head of more than {_HEAD_MAX} bytes")
        part = connection.recv(_CHUNK)
        if not part:
            raise ConnectionError("it closed the connection" + (" in the middle of the head" if data else ""))
        data += part
    head, _, rest = data.partition(_HEAD_END)
    return head, rest


def _receive(upstream: socket.socket) -> bytes:
    """More of the body; nothing at its end. Raises _BrokenOffError."""
    try:
        return upstream.recv(_CHUNK)
    except OSError as error:
        raise _BrokenOffError from error


def _request(head: bytes) -> tuple[Target, bytes]:
    """What the client asks for, and the head of the request to send. Raises _RefusedError."""
    first, *lines = head.split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise _RefusedError(400, "the request has no line of the form METHOD http://NAME/PATH HTTP/1.1")
    method, url, version = found.groups()
    try:
        target = parse(url.decode("latin-1"))
    except InvalidUrlError as error:
        raise _RefusedError(400, str(error)) from error
    if target.secure:
        raise _RefusedError(400, "requests for https URLs come by CONNECT: this proxy sees nothing of them")
    # RFC 9112 section 3.2.2: what the URL says replaces what the client said.
    kept = _end_to_end([line for line in lines if _name(line) != b"host"])
    line = b" ".join([method, target.path.encode("latin-1"), version])
    return target, _head([line, b"Host: " + target.authority.encode("latin-1"), *kept])


def _tunnel(line: bytes) -> Target:
    """Where a CONNECT leads. Raises _RefusedError."""
    _, _, rest = line.partition(b" ")
    found = _TUNNEL.fullmatch(rest.partition(b" ")[0])
    if found is None:
        raise _RefusedError(400, "the request has no line of the form CONNECT NAME:PORT HTTP/1.1")
    try:
        return parse(f"https://{found[1].decode('latin-1')}:{int(found[2])}/")
    except InvalidUrlError as error:
        raise _RefusedError(400, str(error)) from error


def _answer_heads(upstream: socket.socket) -> Iterator[bytes]:
    """The heads of an answer, interim ones (100 Continue) included, and with the last one what has come behind it.

    Raises ConnectionError if it breaks off, ValueError if it isn't HTTP, TimeoutError.
    """
    data = b""
    while True:
        head, data = _read_head(upstream, data)
        first, *lines = head.split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        if status is None:
            raise ValueError("it doesn't begin as HTTP does")
        if not status[1].startswith(b"1"):
            yield _head([first, *_end_to_end(lines)]) + data
            return
        yield head + _HEAD_END


def _head(lines: Sequence[bytes]) -> bytes:
    return b"\r\n".join([*lines, b"Connection: close"]) + _HEAD_END


def _end_to_end(lines: Sequence[bytes]) -> list[bytes]:
    """The header lines that aren't about a single connection: those in `Connection` aren't either."""
    named = b",".join(line.partition(b":")[2] for line in lines if _name(line) == b"connection")
    dropped = _HOP_BY_HOP | {option.strip().lower() for option in named.split(b",")}
    return [line for line in lines if _name(line) not in dropped]


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()
