"""Where a balancer takes requests: its listeners' ports, and the connections of clients."""

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sandbox.balancer import answers, configuration
from sandbox.balancer.configuration import Tls
from sandbox.balancer.connections import reset
from sandbox.balancer.ports import PORT_OFFSET
from sandbox.standstill import Listener

# User Guide for Application Load Balancers, "Quotas", HTTP headers. Bytes.
LINE_MAX: Final = 16 * 1024
HEAD_MAX: Final = 64 * 1024
# So that their sum is what limits headers.
_HEADERS_MAX: Final = HEAD_MAX // 4
# How long a body that nobody wants is read, so that its sender sees the answer. Real seconds.
LINGER_SECONDS: Final = 1.0

# listen(2): connections that wait to be accepted.
BACKLOG: Final = 128

# What clients send, and that they go away, is no news.
_silent = logging.getLogger(f"{__name__}.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False

Handler = Callable[[int, web.BaseRequest], Awaitable[web.StreamResponse]]
"""`await handler(listener's port, request)`: the answer, sent or not."""


class Connection(web.RequestHandler):
    """A client's connection. `opened` is the loop's time of its beginning."""

    opened = 0.0
    admits: Callable[[str], bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called when it begins.

        One that no security group's rule lets in is reset: on AWS its packets vanish, and nothing on loopback can do
        that.
        """
        super().connection_made(transport)
        self.opened = asyncio.get_running_loop().time()
        if self.admits is not None and not self.admits(transport.get_extra_info("peername")[0]):
            assert isinstance(transport, asyncio.Transport)
            reset(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what isn't a request, or couldn't be answered; it ends the connection.

        Raises ConnectionError if an answer has begun, which can't be taken back.
        """
        if not isinstance(exc, HttpProcessingError | ConnectionError):
            print(f"sandbox balancer: a request failed: {exc}", file=sys.stderr)
            traceback.print_exception(exc, file=sys.stderr)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        # "Troubleshoot", HTTP 501: a Transfer-Encoding that isn't `chunked` or `identity`.
        unknown_coding = isinstance(exc, HttpProcessingError) and "`Transfer-Encoding`" in str(exc)
        answer = answers.error(501 if unknown_coding else status)
        answer.force_close()
        return answer


class _Server(web.Server):
    """Makes the connections of one listener."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Any],
        idle_timeout: Callable[[], float],
        admits: Callable[[str], bool],
    ) -> None:
        # A client that goes away ends what is done for it ("Troubleshoot", HTTP 460).
        super().__init__(handler, handler_cancellation=True)
        self._idle_timeout = idle_timeout
        self._admits = admits

    def __call__(self) -> web.RequestHandler:
        """A connection that begins."""
        made = Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._idle_timeout(),
            access_log=_silent,
            logger=_silent,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=_HEADERS_MAX,
            lingering_time=LINGER_SECONDS,
            # Bodies pass as they are.
            auto_decompress=False,
        )
        made.admits = self._admits
        return made


@dataclass(frozen=True)
class _Open:
    """A listener that is open; `context` is that of TLS, if it speaks that."""

    context: ssl.SSLContext | None
    runner: web.ServerRunner
    site: web.SockSite
    socket: socket.socket

    def speaks(self, tls: Tls | None) -> bool:
        """Whether it may go on with `tls`: TLS or none, as it has now."""
        return (self.context is None) == (tls is None)

    def transports(self) -> list[asyncio.Transport]:
        """The connections of clients."""
        server = self.runner.server
        assert server is not None
        return [each.transport for each in server.connections if each.transport is not None]


class Listeners:
    """The open ports. `idle_timeout` says how long a client may keep a connection that it doesn't use. Real seconds."""

    def __init__(self, handler: Handler, idle_timeout: Callable[[], float]) -> None:
        self._handler = handler
        self._idle_timeout = idle_timeout
        self._open: dict[int, _Open] = {}
        self._admitted: dict[int, list[ipaddress.IPv4Network]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def ports(self) -> list[int]:
        """The listeners' ports that are open."""
        return sorted(self._open)

    @property
    def sockets(self) -> list[Listener]:
        """What listens, each with its backlog."""
        return [(each.socket, BACKLOG) for each in self._open.values()]

    async def reset_connections(self) -> None:
        """End every client's connection at once, by RST."""
        while connections := [each for opened in self._open.values() for each in opened.transports()]:
            for each in connections:
                reset(each)
            await asyncio.sleep(0)

    async def have(self, address: str, listeners: Sequence[configuration.Listener], patience: float) -> None:
        """Listen on the ports of these at `address` and on no others, with TLS and for the clients that they say.

        Requests at a port that closes have `patience` real seconds to end, and a connection that is open stays so
        whatever the blocks become (VPC User Guide, "Security group connection tracking"). Raises OSError if a port
        can't be had.
        """
        ports = {each.port: each.tls for each in listeners}
        # A port that closes keeps what it admitted: what comes until then is refused, and not reset.
        self._admitted |= {each.port: [ipaddress.IPv4Network(block) for block in each.admits] for each in listeners}
        kept = {port for port, tls in ports.items() if port in self._open and self._open[port].speaks(tls)}
        for port in self._open.keys() - kept:
            opened = self._open.pop(port)
            await opened.site.stop()
            closing = asyncio.get_running_loop().create_task(_end(opened.runner, patience))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        for port in kept:
            # Connections that begin from now on have the new certificate.
            _set_up(self._open[port].context, ports[port])
        for port in ports.keys() - kept:
            self._open[port] = await self._listen(address, port, ports[port])

    async def close(self, patience: float) -> None:
        """Take no more requests; those under way have `patience` real seconds to end."""
        await self.have("", (), patience)
        await asyncio.gather(*self._closing)

    async def _listen(self, address: str, port: int, tls: Tls | None) -> _Open:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handler(port, request)

        def admits(client: str) -> bool:
            return any(ipaddress.IPv4Address(client) in block for block in self._admitted.get(port, ()))

        context = _context(tls)
        runner = web.ServerRunner(_Server(answer, self._idle_timeout, admits))
        await runner.setup()
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port + PORT_OFFSET))
            site = web.SockSite(runner, listening, backlog=BACKLOG, ssl_context=context)
            await site.start()
        except BaseException:
            listening.close()
            await runner.cleanup()
            raise
        return _Open(context, runner, site, listening)


def _context(tls: Tls | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_up(context, tls)
    return context


def _set_up(context: ssl.SSLContext | None, tls: Tls | None) -> None:
    """Have `context` as a listener's certificate and security policy say."""
    if context is None or tls is None:
        return
    context.minimum_version, context.maximum_version = (
        ssl.TLSVersion[version.replace(".", "_")] for version in (tls.minimum, tls.maximum)
    )
    if tls.ciphers:
        context.set_ciphers(":".join(tls.ciphers))
    # OpenSSL takes files only, and a private key is to be in none.
    with os.fdopen(os.memfd_create("certificate"), "wb") as file:
        file.write(f"{tls.key}\n{tls.certificate}".encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


async def _end(runner: web.ServerRunner, patience: float) -> None:
    server = runner.server
    assert server is not None
    server.pre_shutdown()
    await server.shutdown(patience)
    await runner.cleanup()
