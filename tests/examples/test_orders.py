"""The example application: what Lockstep asks of one, on its real process and a socket that was open before it."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests.debian import ROOT
from tests.http_server import Answering, listening
from tests.sandbox.checkout import eventually

SOURCE = ROOT / "examples" / "orders" / "orders.py"
# What systemd does: the socket is descriptor 3, and LISTEN_PID is the service's own process.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, sys.argv[2]])
"""
NOWHERE = "http://127.0.0.1:9"
# Longer than any test waits: what ends although it could wait so long ends for another reason.
LONG = 600.0


class Metadata(Answering):
    """An instance metadata service that wants tokens, and fails at first."""

    failures = 1
    values: dict[str, str] = {"placement/region": "eu-west-1", "instance-id": "i-1"}  # noqa: RUF012 - never changed

    def respond(self) -> None:
        if self.command == "GET":
            known = self.values.get(self.path.removeprefix("/latest/meta-data/"), "")
            self.answer(200 if known and self.headers["X-aws-ec2-metadata-token"] == "token" else 401, known.encode())
        elif Metadata.failures:
            Metadata.failures -= 1
            self.answer(503)
        else:
            self.answer(200 if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400, b"token")


def write_program(folder: Path, **constants: float) -> Path:
    """The application in `folder`, with other values of its `constants`."""
    text = SOURCE.read_text()
    for name, value in constants.items():
        text, count = re.subn(rf"^{name} = [\d.]+$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    program = folder / "orders.py"
    program.write_text(text)
    return program


class Service:
    """The application's process, on a socket that was open before it. After SIGTERM it waits for ever if it has to, or
    `patience` seconds.
    """

    def __init__(self, folder: Path, *, metadata: str = NOWHERE, patience: float = LONG, **settings: Any) -> None:
        program = write_program(folder, ANSWER_SECONDS=patience, FIRST_REQUEST_SECONDS=patience)
        content = {"application": "orders", "version": "9.9.9", "healthy": True, "extra": {}, **settings}
        (folder / "settings.json").write_text(json.dumps(content))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        descriptor = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(descriptor), str(program)],
            env={"LISTEN_FDS": "1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata},
            pass_fds=[descriptor],
            stderr=subprocess.PIPE,
        )

    def get(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, Message, bytes]:
        """Status, headers and body of the answer to one request on a connection of its own."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, data=body)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def connect(self) -> socket.socket:
        """A connection that has said nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, text: bytes) -> bytes:
        """Everything that comes back for `text` on one connection, which the service ends."""
        with self.connect() as connection:
            connection.sendall(text)
            return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def metadata() -> Iterator[str]:
    Metadata.failures = 1
    with listening(Metadata) as url:
        yield url


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """`start(settings...)`: the application, ended with the test."""
    started: list[Service] = []

    def make(**options: Any) -> Service:
        started.append(Service(tmp_path, **options))
        return started[-1]

    yield make
    for each in started:
        each.process.kill()
        each.process.communicate()
        each.listener.close()


@pytest.mark.parametrize("healthy", [True, False])
def test_it_says_what_runs_where_and_how_it_is(start: Callable[..., Service], metadata: str, healthy: bool) -> None:
    """People and drills tell sites and releases apart by it; what is new in a release shows."""
    service = start(metadata=metadata, healthy=healthy, extra={"greeting": "hello"})
    eventually(lambda: json.loads(service.get("/")[2])["region"] != "unknown", "the metadata is known")
    status, headers, body = service.get("/?x=1")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {
        "application": "orders",
        "version": "9.9.9",
        "region": "eu-west-1",
        "instance": "i-1",
        "healthy": healthy,
        "greeting": "hello",
    }


def test_it_serves_while_the_metadata_service_does_not_answer(start: Callable[..., Service]) -> None:
    """A health check must not wait for what only a report wants; outside of EC2 there is nobody to ask."""
    report = json.loads(start().get("/")[2])
    assert (report["region"], report["instance"]) == ("unknown", "unknown")


@pytest.mark.parametrize(("healthy", "status"), [(True, 200), (False, 503)])
def test_its_health_path_says_whether_traffic_should_come(
    start: Callable[..., Service], healthy: bool, status: int
) -> None:
    """The failing release has to fail by what balancers look at, or it tests nothing."""
    found, _, body = start(healthy=healthy).get("/healthz")
    assert (found, json.loads(body)) == (status, {"healthy": healthy})


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", 200),
        (b"GET /healthz HTTP/1.1", 200),
        (b"HEAD / HTTP/1.1", 200),
        (b"GET / HTTP/1.0", 200),
        (b"GET /nothing HTTP/1.1", 404),
        (b"DELETE / HTTP/1.1", 405),
        (b"BREW / HTTP/1.1", 501),
        (b"GET / HTTP/3.0", 505),
        (b"nonsense", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1", 414),
    ],
    ids=lambda value: value[:24].decode() if isinstance(value, bytes) else None,
)
def test_every_answer_names_the_release(start: Callable[..., Service], request_line: bytes, status: int) -> None:
    """A deployment is verified by that header; an answer without it counts as one of another release."""
    answer = start().ask(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert headers["Lockstep-Release"] == "9.9.9"
    if request_line.startswith(b"HEAD"):
        assert (body, int(headers["Content-Length"]) > 0) == (b"", True)
    else:
        assert len(body) == int(headers["Content-Length"])
        assert isinstance(json.loads(body), dict)


def test_what_it_does_not_do_is_refused_with_what_it_does(start: Callable[..., Service]) -> None:
    """RFC 9110 section 15.5.6: a 405 carries Allow."""
    status, headers, _ = start().get("/", "POST", b"x")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_body_is_taken_before_it_is_refused(start: Callable[..., Service]) -> None:
    """Closing a connection with bytes unread resets it: a client that writes all before it reads never sees why."""
    with start().connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(b"x" * 60_000)
        assert read_to_end(connection).startswith(b"HTTP/1.1 405 ")


def test_a_body_is_never_read_as_the_next_request(start: Callable[..., Service]) -> None:
    """Behind a balancer, whose connections many clients share, that would give one client another's answer."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    service = start()
    for header, body in ((b"Content-Length: %d" % len(hidden), hidden), (b"Transfer-Encoding: chunked", chunk)):
        answer = service.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n" + body)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in answer


def test_a_connection_is_kept_for_the_next_request(start: Callable[..., Service]) -> None:
    """Balancers keep theirs; a service that closes them makes each check and request a new handshake."""
    get = b"GET / HTTP/1.1\r\nHost: x\r\n"
    answer = start().ask(get + b"\r\n" + get + b"\r\n" + get + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"Connection: close") == 1


def test_sigterm_lets_a_request_that_has_begun_end(start: Callable[..., Service]) -> None:
    """A replaced instance that cuts off an answer is an error that a user sees in the middle of a deployment."""
    service = start()
    with service.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        # Later connections are accepted after this one, so that its thread has been started.
        assert service.get("/")[0] == 200
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_ending(service), "it accepts nothing more")
        assert service.process.poll() is None
        connection.sendall(b"\r\n")
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer
    assert service.process.wait(10) == 0


def test_sigterm_does_not_cut_off_a_connection_that_was_just_accepted(start: Callable[..., Service]) -> None:
    """Its request is on its way: whoever sent it would see a reset."""
    service = start()
    with service.connect() as connection:
        assert service.get("/")[0] == 200
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_ending(service), "it accepts nothing more")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK")
    assert service.process.wait(10) == 0


def test_sigterm_does_not_wait_for_connections_that_are_kept(start: Callable[..., Service]) -> None:
    """A balancer's idle connections live a minute; a service that waits for them is killed at TimeoutStopSec."""
    service = start()
    with service.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65_536)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0


def test_sigterm_does_not_wait_for_ever(start: Callable[..., Service]) -> None:
    """A client that stops in the middle of a request, or says nothing, could keep an old release running."""
    service = start(patience=0.1)
    with service.connect() as stopped, service.connect():
        stopped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert service.get("/")[0] == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0


def test_the_socket_outlives_it(start: Callable[..., Service]) -> None:
    """systemd keeps the socket: a connection that comes meanwhile waits for the next start."""
    service = start()
    assert service.get("/")[0] == 200
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0
    with service.connect():
        pass


def test_a_socket_for_another_process_is_not_taken(tmp_path: Path) -> None:
    """sd_listen_fds(3): LISTEN_PID says for whom it is; the descriptor may be anything else's."""
    # It binds its port by itself then, which can't be done with this one.
    program = write_program(tmp_path, PORT=-1)
    settings = {"application": "orders", "version": "9.9.9", "healthy": True}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, str(program)],
        env={"LISTEN_FDS": "1", "LISTEN_PID": "1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": NOWHERE},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "port must be" in done.stderr


def is_ending(service: Service) -> bool:
    """Whether it has stopped accepting: a connection then waits in the socket's queue, and nobody answers it."""
    with service.connect() as connection:
        connection.settimeout(0.2)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try:
            return not connection.recv(1)
        except (TimeoutError, ConnectionResetError):
            return True
