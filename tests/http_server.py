"""HTTP servers on loopback, for as long as a block lasts."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answering(BaseHTTPRequestHandler, ABC):
    """A handler with `respond` for every method, whose answers take one line; it says nothing on the terminal."""

    @abstractmethod
    def respond(self) -> None:
        """Answer; `self.command` is the method."""

    def do_GET(self) -> None:
        """Respond."""
        self.respond()

    def do_PUT(self) -> None:
        """Respond."""
        self.respond()

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Answer with all of `body`."""
        self.announce(status, len(body), headers)
        self.wfile.write(body)

    def break_off(self, status: int, body: bytes) -> None:
        """Announce all of `body`, send the first half, and close the connection."""
        self.announce(status, len(body))
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def announce(self, status: int, length: int, headers: Mapping[str, str] | None = None) -> None:
        """Everything that comes before a body of that length."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server for the block; yields its URL, without a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
