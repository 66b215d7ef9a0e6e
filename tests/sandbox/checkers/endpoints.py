"""Endpoints that answer as a test wants, and checks of them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sandbox.balancer.ports import PORT_OFFSET
from sandbox.checkers.endpoint import Endpoint

ADDRESS = "127.70.0.1"
NAME = "site.example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def endpoint(port: int, type_: str = "HTTP", **fields: Any) -> Endpoint:
    """A check of `port`, as a listener has it, of NAME."""
    known: dict[str, Any] = {"id": "check", "version": 1, "interval": 10, "threshold": 3, "name": NAME, **fields}
    return Endpoint(type=type_, port=port, **known)


async def resolve(name: str) -> str:
    """NAME is ADDRESS."""
    assert name == NAME
    return ADDRESS


@asynccontextmanager
async def listening(answer: Answer, **options: Any) -> AsyncIterator[int]:
    """A server at ADDRESS: its listener's port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, ADDRESS, 0, **options)
    try:
        yield server.sockets[0].getsockname()[1] - PORT_OFFSET
    finally:
        server.close()


def saying(*parts: bytes | float) -> Answer:
    """Takes a request, then sends what is bytes and waits for what are seconds; the end closes the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            else:
                await asyncio.sleep(part)

    return answer


def free_port() -> int:
    """A listener's port at ADDRESS where nothing listens."""
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        return int(taken.getsockname()[1]) - PORT_OFFSET


@asynccontextmanager
async def vanished() -> AsyncIterator[int]:
    """A listener's port to which packets get lost: its queue of connections is full, and nobody takes one."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind((ADDRESS, 0))
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1]) - PORT_OFFSET
