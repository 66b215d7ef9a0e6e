"""The example application: says over HTTP which release of it runs, where, and whether it is healthy.

What Lockstep asks of an application is in here: it answers its health path with 2xx or 3xx while it can serve, names
its release in the header `Lockstep-Release` of every answer, and takes its listening socket from systemd, so that no
connection is refused while it starts. Standard library only; Python 3.9, which Amazon Linux 2023 has.
"""

import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SETTINGS = Path(__file__).resolve().with_name("settings.json")
PORT = 8080
FIRST_SOCKET = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
METADATA = (os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254").rstrip("/")
METADATA_SECONDS = 1.0
METADATA_PAUSE_MAX = 60.0
UNKNOWN = "unknown"
# After SIGTERM, in seconds: for answers that are being given, and for connections that haven't asked for anything yet.
# Both together are less than the unit's TimeoutStopSec.
ANSWER_SECONDS = 20.0
FIRST_REQUEST_SECONDS = 5.0
BODY_MAX = 65_536


class Place:
    """Region and instance, asked of the instance's metadata service (IMDSv2) without keeping a request waiting."""

    def __init__(self):
        self.region = UNKNOWN
        self.instance = UNKNOWN
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self):
        for attempt in itertools.count(1):
            try:
                token = fetch("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
                headers = {"X-aws-ec2-metadata-token": token}
                region = fetch("/latest/meta-data/placement/region", "GET", headers)
                self.instance = fetch("/latest/meta-data/instance-id", "GET", headers)
                self.region = region
                return
            except (OSError, ValueError):
                time.sleep(min(attempt * METADATA_SECONDS, METADATA_PAUSE_MAX))


def fetch(path, method, headers):
    """One request to the metadata service, past any proxy."""
    request = urllib.request.Request(METADATA + path, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=METADATA_SECONDS) as answer:
        return answer.read().decode()


class Handler(BaseHTTPRequestHandler):
    """Answers `/` and the health path, GET and HEAD."""

    protocol_version = "HTTP/1.1"
    # A request line without a version gets an answer with headers too: every answer names the release.
    default_request_version = "HTTP/1.0"
    server_version = "orders"
    sys_version = ""
    settings = None
    place = None
    # Ends a connection that says nothing. Seconds; longer than a balancer keeps one, or it would use a closed one.
    timeout = 75

    def parse_request(self):
        """A request has begun to arrive."""
        self.server.begin_answer(self.connection)
        return super().parse_request()

    def handle_one_request(self):
        """From waiting for a request to the end of its answer."""
        try:
            super().handle_one_request()
        finally:
            self.server.end_answer(self.connection)

    def do_GET(self):
        """The report, or the health alone: 503 tells balancers and health checkers to go elsewhere."""
        path = self.path.partition("?")[0]
        healthy = self.settings["healthy"]
        if path == "/healthz":
            self._answer(200 if healthy else 503, {"healthy": healthy})
        elif path == "/":
            self._answer(200, self._report(healthy))
        else:
            self._answer(404, {"error": f"there is no {path}"})

    do_HEAD = do_GET  # noqa: N815

    def _refuse_method(self):
        self._answer(405, {"error": f"{self.command} isn't allowed"}, {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method  # noqa: N815

    def send_error(self, code, message=None, explain=None):
        """What http.server itself refuses: a request that can't be read, a method that it doesn't know."""
        self.close_connection = True
        self.log_error("%s: answered %d", self.client_address[0], code)
        self._answer(code, {"error": message or self.responses[code][0]})

    def _report(self, healthy):
        report = {
            "application": self.settings["application"],
            "version": self.settings["version"],
            "region": self.place.region,
            "instance": self.place.instance,
            "healthy": healthy,
        }
        return {**report, **self.settings.get("extra", {})}

    def _answer(self, status, content, headers=None):
        self._discard_body()
        if self.server.ending.is_set():
            self.close_connection = True
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Lockstep-Release", self.settings["version"])
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _discard_body(self):
        """Nothing here takes a body: it must neither be read as the next request nor make the kernel reset."""
        asked = getattr(self, "headers", None) or {}
        length = asked.get("Content-Length", "0")
        if length != "0" or "Transfer-Encoding" in asked:
            self.close_connection = True
        if length.isdecimal() and length.isascii():
            self.rfile.read(min(int(length), BODY_MAX))

    def log_message(self, form, *values):
        """Balancers ask every few seconds: only what went wrong is worth a line."""

    def log_error(self, form, *values):
        """To stderr, which systemd's journal takes."""
        print(form % values, file=sys.stderr, flush=True)


class Server(ThreadingHTTPServer):
    """Takes systemd's socket if there is one; ends when every request that had begun is answered."""

    request_queue_size = 128

    def __init__(self):
        self.ending = threading.Event()
        # Connections that were accepted and have said nothing yet, and those with a request that isn't answered yet.
        self._silent = set()
        self._answering = set()
        super().__init__(("", PORT), Handler, bind_and_activate=False)
        if os.environ.get("LISTEN_PID") == str(os.getpid()) and int(os.environ.get("LISTEN_FDS", "0")) >= 1:
            self.socket.close()
            self.socket = socket.socket(fileno=FIRST_SOCKET)
            self.server_address = self.socket.getsockname()
        else:
            self.server_bind()
            self.server_activate()

    def process_request(self, request, client_address):
        """A connection was accepted: its first request may be on its way."""
        self._silent.add(request)
        super().process_request(request, client_address)

    def finish_request(self, request, client_address):
        """Small answers go out at once."""
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().finish_request(request, client_address)

    def shutdown_request(self, request):
        """A connection ends, however that came about."""
        self._silent.discard(request)
        self._answering.discard(request)
        super().shutdown_request(request)

    def begin_answer(self, connection):
        """A request has begun to arrive on `connection`."""
        self._answering.add(connection)
        self._silent.discard(connection)

    def end_answer(self, connection):
        """The request on `connection` is answered."""
        self._answering.discard(connection)

    def wait_for_answers(self):
        """Let what had begun end; a connection that is kept and idle isn't waited for."""
        begun = time.monotonic()
        while True:
            waited = time.monotonic() - begun
            answering = self._answering and waited < ANSWER_SECONDS
            silent = self._silent and waited < FIRST_REQUEST_SECONDS
            if not answering and not silent:
                return
            time.sleep(0.02)


def main():
    """Serve until SIGTERM."""
    Handler.settings = json.loads(SETTINGS.read_text())
    Handler.place = Place()
    server = Server()

    def end(*_):
        server.ending.set()
        # `shutdown` waits for the loop that this signal has interrupted.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    server.serve_forever(poll_interval=0.1)
    server.wait_for_answers()
    # The threads of connections that are kept and idle would run until those time out.
    os._exit(0)


if __name__ == "__main__":
    main()
