"""The gateway's process: `python -m sandbox.gateway`. Its first line of output is its port.

An HTTP forward proxy (RFC 9110 section 7.6, absolute-form targets) that reaches the sandbox and nothing else. It asks
the name server for each request, so that what it reports is what DNS says now, and adds what balancers add to their
ports.
"""

import argparse
import contextlib
import os
import signal
import socket
import socketserver
import sys
from typing import Final
from urllib.parse import urlsplit

from sandbox.balancer.ports import PORT_OFFSET
from sandbox.dns.resolver import NoSuchNameError, resolve

HOST: Final = "127.0.0.1"
CONNECT_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 75.0
_CHUNK: Final = 64 * 1024
_HEAD_MAX: Final = 64 * 1024


class Gateway(socketserver.ThreadingTCPServer):
    """One thread for each client; a connection carries one request."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, name_server: tuple[str, int]) -> None:
        self.name_server = name_server
        super().__init__((HOST, port), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: Gateway

    def handle(self) -> None:
        self.request.settimeout(IDLE_SECONDS)
        with contextlib.suppress(OSError):
            head, rest = self._read_head()
            if head:
                self._pass_on(head, rest)

    def _read_head(self) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data and len(data) < _HEAD_MAX:
            part = self.request.recv(_CHUNK)
            if not part:
                return b"", b""
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def _pass_on(self, head: bytes, rest: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        words = first.decode("latin-1").split(" ")
        if len(words) != 3 or words[0] == "CONNECT" or not words[1].startswith("http://"):
            self._refuse(400, "this proxy takes requests of the form METHOD http://NAME/PATH HTTP/1.1")
            return
        method, url, version = words
        target = urlsplit(url)
        host = target.hostname or ""
        try:
            address = resolve(host, self.server.name_server).address
        except NoSuchNameError as error:
            self._refuse(502, str(error))
            return
        except OSError as error:
            self._refuse(502, f"{host}: the name server doesn't answer: {error}")
            return
        port = (target.port or 80) + PORT_OFFSET
        try:
            upstream = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            self._refuse(502, f"{host} is {address}, and port {port} there: {error.strerror or error}")
            return
        kept = [line for line in lines if not line.lower().startswith((b"proxy-", b"connection:"))]
        path = url[url.index("/", len("http://")) :] if "/" in url[len("http://") :] else "/"
        request = f"{method} {path} {version}".encode("latin-1")
        with upstream:
            upstream.settimeout(IDLE_SECONDS)
            upstream.sendall(b"\r\n".join([request, *kept, b"Connection: close", b"", b""]) + rest)
            self._exchange(upstream, lines, len(rest))

    def _exchange(self, upstream: socket.socket, lines: list[bytes], sent: int) -> None:
        """The rest of the body, then the answer to its end, as the target closes the connection."""
        length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        while sent < length and (part := self.request.recv(_CHUNK)):
            upstream.sendall(part)
            sent += len(part)
        while part := upstream.recv(_CHUNK):
            self.request.sendall(part)

    def _refuse(self, status: int, reason: str) -> None:
        phrase = {400: "Bad Request", 502: "Bad Gateway"}[status]
        body = f"{reason}\n".encode()
        lines = (
            f"HTTP/1.1 {status} {phrase}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            f"X-Lockstep-Gateway-Error: {reason}",
            "Connection: close",
        )
        self.request.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sandbox.gateway")
    parser.add_argument("--dns", required=True, help="HOST:PORT of the name server")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    arguments = parser.parse_args()
    host, _, port = arguments.dns.rpartition(":")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    with Gateway(arguments.port, (host, int(port))) as gateway:
        print(gateway.server_address[1], flush=True)
        gateway.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
