"""A balancer's process, and targets of it that do as they are told."""

import contextlib
import http.client
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox import clock
from sandbox.api import addresses
from sandbox.balancer.ports import PORT_OFFSET
from tests.conftest import ROOT

SPEED = "30"
"""How many times faster than AWS these balancers are."""


class Backend:
    """A target: an HTTP server on an address of its own, whose health can be set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = addresses.reserve()
        self.health = 200
        self.seen: list[dict[str, str]] = []
        self.checks: list[str] = []
        self.hold = threading.Event()
        self.holding = threading.Event()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/healthz":
                    backend.checks.append(self.headers["User-Agent"])
                    self._answer(backend.health, b"")
                    return
                backend.seen.append({"path": self.path, **dict(self.headers.items())})
                if self.path == "/hold":
                    backend.holding.set()
                    backend.hold.wait(30)
                if self.path == "/reset":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._answer(200, backend.name.encode())

            do_HEAD = do_GET  # noqa: N815

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(200, body)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer((self.address, 8080), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def as_target(self, **more: Any) -> dict[str, Any]:
        return {"id": self.name, "port": 8080, "host": self.address, "reachable": True, **more}


class Process:
    """The balancer's process, and what it says."""

    def __init__(self) -> None:
        self.address = addresses.reserve()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.balancer"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, clock.VARIABLE: SPEED},
        )
        self.health: dict[str, dict[str, Any]] = {}
        self.listening: list[int] = []
        self.goes_on = False
        self.drained: queue.Queue[list[Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            for each in message.get("health", {}).get("group", ()):
                self.health[each["id"]] = each
            self.listening = message.get("listening", self.listening)
            self.goes_on = self.goes_on or message.get("still") is False
            if "drained" in message:
                self.drained.put(message["drained"])

    def configure(self, *targets: dict[str, Any], draining: tuple[dict[str, Any], ...] = (), **more: Any) -> None:
        check = {
            "enabled": True,
            "path": "/healthz",
            "port": None,
            "interval": 10,
            "timeout": 5,
            "healthy": 2,
            "unhealthy": 2,
            "matcher": "200",
        }
        forward = {"Type": "forward", "TargetGroupArn": "group"}
        configuration = {
            "address": self.address,
            "idle_timeout": 60,
            "drop_invalid_headers": True,
            "listeners": [{"port": 80, "rules": [{"conditions": [], "action": forward}]}],
            "groups": {
                "group": {
                    "arn": "group",
                    "check": {**check, **more.pop("check", {})},
                    "targets": list(targets),
                    "draining": list(draining),
                }
            },
            **more,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": "configure", "configuration": configuration}).encode() + b"\n")
        self.process.stdin.flush()

    def state(self, name: str) -> str:
        return str(self.health.get(name, {}).get("state"))

    def ask(
        self, path: str = "/", method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = self.connect()
        connection.request(method, path, body=body, headers={"Host": "site.example.com", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def raw(self, request: bytes) -> bytes:
        """What comes back for `request`, byte for byte, until the balancer closes the connection."""
        with socket.create_connection((self.address, 80 + PORT_OFFSET), timeout=30) as connection:
            connection.sendall(request)
            return read_to_end(connection)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, 80 + PORT_OFFSET, timeout=30)


class ScriptedTarget:
    """A target that does with each connection whatever `script` does.

    `script(connection, head)` is called with each request's head; the connection is closed when it returns False.
    `connections` counts those that were begun, `closed` is set when a client has closed one.
    """

    def __init__(self, script: Callable[[socket.socket, bytes], bool]) -> None:
        self.address = addresses.reserve()
        self.connections = 0
        self.heads: list[bytes] = []
        self.closed = threading.Event()
        self._script = script
        self._listener = socket.create_server((self.address, 8080))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        addresses.release(self.address)

    def as_target(self, **more: Any) -> dict[str, Any]:
        return {"id": "scripted", "port": 8080, "host": self.address, "reachable": True, **more}

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # Unbuffered, so that a body is left for the script to read.
        with connection, contextlib.suppress(OSError), connection.makefile("rb", buffering=0) as reader:
            self.connections += 1
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = reader.readline()
                    if not line:
                        self.closed.set()
                        return
                    head += line
                self.heads.append(head.removesuffix(b"\r\n\r\n"))
                if not self._script(connection, self.heads[-1]):
                    return


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes; a reset is an end as well."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    return data
