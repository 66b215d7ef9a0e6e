"""The example application: says over HTTP which release of it runs, where, and whether it is healthy.

What Lockstep asks of an application is in here: it answers its health path with 2xx or 3xx while it can serve, names
its release in the header `Lockstep-Release` of every answer, and takes its listening socket from systemd, so that no
connection is refused while it starts. Standard library only; Python 3.9, which Amazon Linux 2023 has.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SETTINGS = Path(__file__).resolve().with_name("settings.json")
PORT = 8080
FIRST_SOCKET = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
METADATA_SECONDS = 1.0
METADATA_ATTEMPTS = 30
UNKNOWN = "unknown"


class Place:
    """Region and instance, asked of the instance's metadata service (IMDSv2) without keeping a request waiting."""

    def __init__(self):
        self.region = UNKNOWN
        self.instance = UNKNOWN
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self):
        for _ in range(METADATA_ATTEMPTS):
            try:
                token = fetch("/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
                headers = {"X-aws-ec2-metadata-token": token}
                self.region = fetch("/latest/meta-data/placement/region", "GET", headers)
                self.instance = fetch("/latest/meta-data/instance-id", "GET", headers)
                return
            except (OSError, ValueError):
                time.sleep(METADATA_SECONDS)


def fetch(path, method, headers):
    """One request to the metadata service, past any proxy."""
    request = urllib.request.Request(METADATA + path, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=METADATA_SECONDS) as answer:
        return answer.read().decode()


class Handler(BaseHTTPRequestHandler):
    """Answers `/` and the health path, GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server_version = "orders"
    sys_version = ""
    settings = None
    place = None
    # Ends a connection that says nothing, so that a kept one can't hold up the end. Seconds; longer than a balancer's.
    timeout = 75

    def parse_request(self):
        """A request has begun to arrive."""
        self.server.answering.add(self)
        return super().parse_request()

    def handle_one_request(self):
        """From waiting for a request to the end of its answer."""
        try:
            super().handle_one_request()
        finally:
            self.server.answering.discard(self)

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

    def _report(self, healthy):
        report = {
            "application": self.settings["application"],
            "version": self.settings["version"],
            "region": self.place.region,
            "instance": self.place.instance,
            "healthy": healthy,
        }
        return {**report, **self.settings.get("extra", {})}

    def _answer(self, status, content):
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Lockstep-Release", self.settings["version"])
        if self.server.ending.is_set():
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, form, *values):
        """Balancers ask every few seconds: only what went wrong is worth a line."""

    def log_error(self, form, *values):
        """To stderr, which systemd's journal takes."""
        print(form % values, file=sys.stderr, flush=True)


class Server(ThreadingHTTPServer):
    """Takes systemd's socket if there is one; ends when every request that had begun is answered."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self):
        self.ending = threading.Event()
        self.answering = set()
        super().__init__(("", PORT), Handler, bind_and_activate=False)
        if os.environ.get("LISTEN_PID") == str(os.getpid()) and int(os.environ.get("LISTEN_FDS", "0")) >= 1:
            self.socket.close()
            self.socket = socket.socket(fileno=FIRST_SOCKET)
            self.server_address = self.socket.getsockname()
        else:
            self.server_bind()
            self.server_activate()

    def finish_request(self, request, client_address):
        """Small answers go out at once."""
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().finish_request(request, client_address)


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
    # Connections that are kept but idle would be waited for until they time out.
    os._exit(wait_for_requests(server))


def wait_for_requests(server, seconds=20.0):
    """Let requests that are being answered end; returns the exit status."""
    deadline = time.monotonic() + seconds
    while server.answering and time.monotonic() < deadline:
        time.sleep(0.02)
    return 0


if __name__ == "__main__":
    main()
