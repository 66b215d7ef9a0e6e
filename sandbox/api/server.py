"""The sandbox's AWS API over HTTP, on two loopback ports.

werkzeug's server is kept for its threads and for `werkzeug.socket` in the environ (whoever simulates a fault needs the
raw connection); its request handling is replaced, because it closes the connection after each answer and mixes reading
the body with running the application.
"""

import contextlib
import socket
import tempfile
import threading
import time
from io import BytesIO
from types import TracebackType
from typing import IO, Any, Self, cast

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer

from lockstep.errors import FailedUnchangedError
from sandbox.api import changes, children, faults, loopback, s3
from sandbox.api.application import SECURE, Application, Response

HOST = "127.0.0.1"

# A body larger than this is spooled to an unnamed temporary file until moto reads it. Bytes.
_BODY_IN_MEMORY = 4 * 1024 * 1024
_BLOCK = 256 * 1024

# How long `stop` waits for answers that are being written. Seconds.
_DRAIN = 5.0
# How often the accept loop looks whether it should stop. Seconds.
_POLL = 0.05


class RequestHandler(MotoRequestHandler):
    """HTTP/1.1 with keep-alive: reads a request whole, has it answered, writes the answer whole."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = _BLOCK
    server: "_Server"

    def setup(self) -> None:
        """Called by socketserver when a connection begins."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Called by socketserver when a connection ends."""
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_expect_100(self) -> bool:
        """Send `100 Continue` now: the client holds its body back until it has it."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer the request whose line and headers have been read."""
        try:
            body, length = self._read_body()
        except (ValueError, OSError) as error:
            if isinstance(error, ConnectionError):
                raise
            # Ends the connection as well: nobody knows where the next request begins.
            self.send_error(400, f"unreadable request body: {error}")
            return
        with body:
            environ = self.make_environ()
            environ["wsgi.input"] = body
            environ["CONTENT_LENGTH"] = str(length)
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            environ[SECURE] = self.server.secure
            response = self.server.application.respond(environ)
        self._write(response)

    def _read_body(self) -> tuple[IO[bytes], int]:
        """The body, rewound, and its length in bytes.

        Raises ValueError or OSError for a length or chunk that isn't one, ConnectionError if the client goes away.
        """
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._spool(DechunkedInput(cast(IO[bytes], self.rfile)), None)
        length = int(self.headers.get("Content-Length") or 0)
        if length < 0:
            raise ValueError(f"Content-Length {length} is negative")
        if length > _BODY_IN_MEMORY:
            return self._spool(self.rfile, length)
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise ConnectionResetError("the client closed the connection inside a request body")
        return BytesIO(body), length

    @staticmethod
    def _spool(source: Any, length: int | None) -> tuple[IO[bytes], int]:
        """Copy `length` bytes, or all, from `source`; to a temporary file once they are many."""
        spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_BODY_IN_MEMORY)  # noqa: SIM115 - the caller closes it
        copied = 0
        while length is None or copied < length:
            block = source.read(_BLOCK if length is None else min(_BLOCK, length - copied))
            if not block:
                break
            spool.write(block)
            copied += len(block)
        if length is not None and copied < length:
            spool.close()
            raise ConnectionResetError("the client closed the connection inside a request body")
        spool.seek(0)
        return spool, copied

    def _write(self, response: Response) -> None:
        code, _, phrase = response.status.partition(" ")
        self.send_response_only(int(code), phrase)
        names = set()
        for name, value in response.headers:
            names.add(name.lower())
            self.send_header(name, value)
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        bodiless = self.command == "HEAD" or code in ("204", "304")
        if "content-length" not in names and not bodiless:
            self.send_header("Content-Length", str(sum(map(len, response.body))))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless:
            for part in response.body:
                self.wfile.write(part)
        self.wfile.flush()


class _Server(ThreadedWSGIServer):
    """One listening port: a thread accepts, and each connection has a thread of its own."""

    def __init__(self, port: int, application: Application, *, secure: bool) -> None:
        self.application = application
        self.secure = secure
        self.connections: set[socket.socket] = set()
        # werkzeug ends the process when it can't bind, so it is given a socket that is bound already.
        with _listen(port) as listener:
            super().__init__(HOST, port, application, RequestHandler, fd=listener.fileno())

    def drain(self, timeout: float) -> None:
        """End idle connections at once, the others after their answer; give up after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.connections and time.monotonic() < deadline:
            for connection in list(self.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
            time.sleep(0.005)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(_Server.request_queue_size)
    except OSError as error:
        listener.close()
        raise FailedUnchangedError(
            f"the sandbox's API can't listen on {HOST}:{port}: {error.strerror}; nothing was started",
            remedy=f"see what uses the port with `ss -ltnp 'sport = :{port}'`, or choose another port",
        ) from error
    return listener


class ApiServer:
    """Serves the API until stopped; usable as a context manager.

    With `data_plane`, what it keeps records of runs as well: machines, balancers, groups. The main port counts as TLS
    for `aws:SecureTransport`, the plain port as HTTP. Port 0 takes a free one. Raises
    FailedUnchangedError if a port can't be had. From then on this process connects to nothing but this machine.
    """

    def __init__(self, port: int = 0, plain_port: int = 0, *, data_plane: bool = False) -> None:
        loopback.refuse_other_hosts()
        changes.install()
        application = Application()
        main = _Server(port, application, secure=True)
        try:
            plain = _Server(plain_port, application, secure=False)
        except BaseException:
            main.server_close()
            raise
        self._servers = (main, plain)
        self._threads: list[threading.Thread] = []
        self._data_plane = data_plane

    @property
    def endpoint_url(self) -> str:
        """Where AWS clients go; counts as TLS."""
        return f"http://{HOST}:{self._servers[0].port}"

    @property
    def plain_endpoint_url(self) -> str:
        """The same API, counted as plain HTTP."""
        return f"http://{HOST}:{self._servers[1].port}"

    def start(self) -> None:
        """Begin to answer, in threads of this process."""
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(_POLL,), name=f"api-{server.port}", daemon=True)
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()
        if self._data_plane:
            # It works on moto's backends, which must have been changed before they are imported there.
            from sandbox.api import data_plane

            data_plane.start(self.endpoint_url)

    def stop(self) -> None:
        """Stop accepting, let answers in progress finish (at most 5 s), free the ports, and end what was started.

        Requests that a fault holds end without an answer; nobody would let them go any more.
        """
        faults.reset()
        # `shutdown` of a server that never ran waits for ever.
        for server in self._servers if self._threads else ():
            server.shutdown()
        for server in self._servers:
            server.drain(_DRAIN)
            server.server_close()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._data_plane:
            from sandbox.api import data_plane

            data_plane.stop()
        children.stop_all()
        s3.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
