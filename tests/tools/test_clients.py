"""Clients that keep an answer for its TTL, against a name server and HTTP servers of the test's own."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dnslib import RR, A, DNSRecord

from sandbox.api import addresses
from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.checkout import eventually
from tools.clients import Clients

NAME = "orders.example.com"
SPEED = 10.0


class NameServer:
    """Answers every question with `address`, for `TTL`, and counts them."""

    TTL = 20

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.where: tuple[str, int] = self._socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            reply = DNSRecord.parse(question).reply()
            reply.add_answer(RR(NAME, rdata=A(self.address), ttl=self.TTL))
            self._socket.sendto(bytes(reply.pack()), client)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def site(region: str) -> Iterator[str]:
    """The address of a site that tells its region."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"region": region}).encode()
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Lockstep-Release", "1.0.0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    address = addresses.reserve()
    server = ThreadingHTTPServer((address, 80 + PORT_OFFSET), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        addresses.release(address)


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    made = NameServer("127.0.0.1")
    yield made
    made.close()


def test_an_answer_is_kept_for_its_ttl_and_no_longer(name_server: NameServer) -> None:
    """Asking each time, they would be back at once; keeping it longer, never."""
    with site("eu-west-1") as first, site("eu-central-1") as second:
        name_server.address = first
        with Clients(NAME, name_server.where, speed=SPEED, count=1, pace=1, spread=0) as clients:
            eventually(lambda: len(clients.requests) >= 2, "two requests")
            name_server.address = second
            eventually(lambda: clients.requests[-1].region == "eu-central-1", "another answer")
    regions = [each.region for each in clients.requests]
    assert regions == sorted(regions, reverse=True)
    kept = [each for each in clients.requests if each.region == "eu-west-1"]
    moved = next(each for each in clients.requests if each.region == "eu-central-1")
    assert moved.began - kept[0].began >= NameServer.TTL / SPEED
    assert name_server.asked == 2
    assert {each.release for each in clients.requests} == {"1.0.0"}


def test_failures_are_told_and_cost_no_more_than_a_client_s_patience(name_server: NameServer) -> None:
    """A client that hung for ever would look like one failure."""
    with socket.create_server((address := addresses.reserve(), 80 + PORT_OFFSET)):
        name_server.address = address
        with Clients(NAME, name_server.where, speed=SPEED, count=2, pace=1, spread=1) as clients:
            eventually(lambda: len(clients.requests) >= 4, "four requests")
    addresses.release(address)
    assert {each.client for each in clients.requests} == {0, 1}
    assert {each.failure for each in clients.requests} == {"timed out"}


def test_an_error_is_a_failure(name_server: NameServer) -> None:
    """HTTP 500 isn't service."""
    clients = Clients(NAME, name_server.where, speed=SPEED, count=1, pace=1, spread=0, path="/broken")
    with site("eu-west-1") as name_server.address, clients:
        eventually(lambda: bool(clients.requests), "a request")
    assert clients.requests[0].failure == "HTTP 500 Internal Server Error"
