"""The sandbox's AWS API: moto's backends, with the sandbox's changes, behind two loopback ports."""

import threading
from types import TracebackType
from typing import Self

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from sandbox.api import changes

HOST = "127.0.0.1"


class ApiServer:
    """Serves the API until stopped; usable as a context manager.

    The main port counts as TLS for `aws:SecureTransport`, the plain port as HTTP. Port 0 takes a free one.
    """

    def __init__(self, port: int = 0, plain_port: int = 0) -> None:
        changes.install()
        app = DomainDispatcherApplication(create_backend_app)
        self._servers: list[BaseWSGIServer] = [
            make_server(HOST, p, app, threaded=True, request_handler=MotoRequestHandler) for p in (port, plain_port)
        ]
        self._threads: list[threading.Thread] = []

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
        self._threads = [threading.Thread(target=s.serve_forever, daemon=True) for s in self._servers]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop answering and free the ports."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
