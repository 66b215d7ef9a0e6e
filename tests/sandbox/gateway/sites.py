"""A name server with a zone, and small servers on loopback addresses in place of balancers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandbox.balancer.ports import PORT_OFFSET
from sandbox.dns.server import NameServer
from tests.sandbox.dns.snapshot import answerer, record

SITE = "site.example.com"
ADDRESS = "127.70.0.1"
RECORDS = (
    record(f"{SITE}.", "A", ADDRESS),
    record("www.example.com.", "CNAME", f"{SITE}.", ttl=30),
    record("other.example.com.", "A", "127.70.0.2"),
    record("outside.example.com.", "A", "203.0.113.7"),
    record("text.example.com.", "TXT", '"x"'),
)

Serve = Callable[[socket.socket], None]


@contextmanager
def name_server() -> Iterator[tuple[str, int]]:
    """The address of a name server with RECORDS."""
    made = NameServer(answerer(*RECORDS), "127.0.0.1", 0)
    made.start()
    try:
        yield "127.0.0.1", made.port
    finally:
        made.stop()


@contextmanager
def balancer(serve: Serve) -> Iterator[int]:
    """The listener's port of a balancer at ADDRESS that has `serve` speak to each client, in a thread of its own."""
    with socket.create_server((ADDRESS, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
        try:
            yield listener.getsockname()[1] - PORT_OFFSET
        finally:
            # Ends an `accept` that waits.
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, serve: Serve) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, serve), daemon=True).start()


def _serve(client: socket.socket, serve: Serve) -> None:
    with client:
        client.settimeout(60)
        serve(client)


def read_head(client: socket.socket) -> tuple[list[str], bytes]:
    """The lines of the head that the client sends, and what has come behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        assert part, data
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), rest


def answering(answer: bytes) -> Serve:
    """Reads a head, and says `answer`."""

    def serve(client: socket.socket) -> None:
        read_head(client)
        client.sendall(answer)

    return serve


def refused_port() -> int:
    """The listener's port of a balancer at ADDRESS that isn't there."""
    with socket.create_server((ADDRESS, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port - PORT_OFFSET
