"""Requests of our own to S3: where they go, how they are signed, and what becomes of an answer that doesn't come."""

import base64
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
)
from urllib3 import Timeout
from urllib3.connection import HTTPSConnection

from lockstep import aws
from lockstep.publishing import signed_requests
from lockstep.publishing.signed_requests import SignedRequests, bucket_url
from lockstep.regions import FailureKind, classify

CREDENTIALS = Credentials("key", "secret", "token")
BODY = bytes(range(256)) * 8000
SHA256 = hashlib.sha256(BODY).hexdigest()
# Of the test of a slow line.
FASTER = 10
SMALL_BUFFER = 16 * 1024
SLOW_BODY = BODY[: 256 * 1024]
NOT_YET = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class Endpoint:
    """Answers with `statuses`, one by one, then 200; `seen` are the requests."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.seen.append((self.command, self.path, dict(self.headers), body))
                status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                if status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                content = b"" if status == 200 else NOT_YET
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_CONNECT(self) -> None:
                endpoint.seen.append((self.command, self.path, dict(self.headers), b""))
                self.send_error(403)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/bucket/"


@contextmanager
def slow_endpoint(rate: int) -> Iterator[tuple[str, list[bytes], list[Any]]]:
    """Takes `rate` bytes per second from a connection; yields its URL, and lists of the bodies and connections so far.

    It holds a line's worth of bytes, which TCP bounds by what the receiver has room for.
    """
    arrived: list[bytes] = []
    connections: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        rbufsize = 0

        def setup(self) -> None:
            super().setup()
            connections.append(self.client_address)

        def do_PUT(self) -> None:
            left, begun, body = int(self.headers["Content-Length"]), time.monotonic(), b""
            while left:
                time.sleep(max(0.0, begun + len(body) / rate - time.monotonic()))
                body += (read := self.rfile.read(min(left, SMALL_BUFFER)))
                left -= len(read)
                if not read:
                    return
            arrived.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    server.server_bind()
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/bucket/", arrived, connections
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr(aws, "credentials", CREDENTIALS.get_frozen_credentials)
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def put(endpoint: Endpoint, waits: list[float]) -> Callable[[], Any]:
    """Puts `BODY`."""
    requests = SignedRequests(endpoint.url, "eu-west-1", connections=2, sleep=waits.append)
    return lambda: requests.send(
        "PUT", "packages/a+b c.rpm", operation="PutObject", body=BODY, sha256=SHA256, headers={"If-None-Match": "*"}
    )


@pytest.mark.parametrize(
    ("endpoint_url", "expected"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "https://bucket.s3.eu-west-1.amazonaws.com/"),
        ("https://s3.amazonaws.com", "https://bucket.s3.amazonaws.com/"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/bucket/"),
        ("https://minio.example.com/", "https://minio.example.com/bucket/"),
    ],
)
def test_a_bucket_is_asked_for_in_its_own_region(endpoint_url: str, expected: str) -> None:
    """By its global name a bucket depends on us-east-1, and a new one answers with redirects for hours."""
    assert bucket_url(endpoint_url, "bucket") == expected


def test_the_signature_is_that_of_botocores_own_signer_with_the_body(
    endpoint: Endpoint, put: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 refuses anything else; the sandbox's doesn't check signatures, so that no other test would notice."""
    put()
    ((method, path, headers, body),) = endpoint.seen
    assert body == BODY
    url = endpoint.url.removesuffix("/bucket/") + path
    signed = headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    own = {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
    lower = {name.lower(): value for name, value in headers.items()}
    request: Any = AWSRequest(
        method=method, url=url, data=body, headers={name: lower[name] for name in signed if name not in own}
    )
    stamp = datetime.strptime(lower["x-amz-date"], "%Y%m%dT%H%M%SZ")
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: stamp)
    S3SigV4Auth(CREDENTIALS, "s3", "eu-west-1").add_auth(request)
    assert request.headers["Authorization"] == headers["Authorization"]
    assert lower["x-amz-content-sha256"] == SHA256
    assert lower["x-amz-security-token"] == "token"
    assert path == "/bucket/packages/a%2Bb%20c.rpm"


def test_a_body_gets_through_on_a_slow_line(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen connections on 2 Mbit/s have 16 KB/s each: what is handed to one at once must be gone within a time-out.

    Here everything is ten times faster. The second body goes over the connection of the first.
    """
    monkeypatch.setattr(aws, "READ_SECONDS", aws.READ_SECONDS / FASTER)
    monkeypatch.setattr(signed_requests, "_TIMEOUT", Timeout(connect=aws.CONNECT_SECONDS / FASTER, read=10))
    original = signed_requests._Connection.connect

    def connect(self: Any) -> None:
        original(self)
        # What the system takes into its own memory doesn't wait for the line.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)

    monkeypatch.setattr(signed_requests._Connection, "connect", connect)
    with slow_endpoint(2_000_000 // 8 // 16 * FASTER) as (url, arrived, connections):
        requests = SignedRequests(url, "eu-west-1", connections=1, sleep=lambda _: pytest.fail("it is sent again"))
        for _ in range(2):
            requests.send("PUT", "key", operation="PutObject", body=SLOW_BODY, sha256=SHA256)
    assert arrived == [SLOW_BODY] * 2
    assert len(connections) == 1


@pytest.mark.parametrize("status", [500, 503, 0])
def test_what_may_pass_is_tried_three_times_with_all_of_the_body(
    endpoint: Endpoint, put: Callable[[], Any], waits: list[float], status: int
) -> None:
    """S3 answers 503 to whoever is quick, and connections break: both are everyday."""
    endpoint.statuses = [status, status]
    put()
    assert [body for _, _, _, body in endpoint.seen] == [BODY] * 3
    assert waits == sorted(waits)
    assert len(waits) == 2


def test_an_endpoint_that_always_refuses_is_given_up_with_its_own_words(
    endpoint: Endpoint, put: Callable[[], Any]
) -> None:
    """Three attempts, as all other clients here make; then the region is named with what it said."""
    endpoint.statuses = [503] * 10
    with pytest.raises(ClientError) as caught:
        put()
    assert len(endpoint.seen) == 3
    failure = classify("eu-west-1", caught.value)
    assert failure.kind is FailureKind.THROTTLED
    assert "s3 PutObject failed with SlowDown: Reduce your request rate." in failure.text


def test_a_refusal_is_not_tried_again(endpoint: Endpoint, put: Callable[[], Any]) -> None:
    """Access denied stays denied; asking again only takes time."""
    endpoint.statuses = [403]
    with pytest.raises(ClientError):
        put()
    assert len(endpoint.seen) == 1


def test_a_connection_that_breaks_every_time_is_an_unreachable_region(
    endpoint: Endpoint, put: Callable[[], Any]
) -> None:
    """The exit status and the remedy depend on it."""
    endpoint.statuses = [0] * 3
    with pytest.raises(ConnectionClosedError) as caught:
        put()
    failure = classify("eu-west-1", caught.value)
    assert failure.kind is FailureKind.UNREACHABLE
    assert "s3 PutObject" in failure.text


def test_a_region_that_never_answers_ends_in_a_time_out(
    endpoint: Endpoint, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command hangs on a lost region."""
    monkeypatch.setattr(signed_requests, "_TIMEOUT", Timeout(connect=0.5, read=0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/bucket/"
        requests = SignedRequests(url, "eu-west-1", connections=1, sleep=waits.append)
        with pytest.raises(ReadTimeoutError) as caught:
            requests.send("HEAD", "key", operation="HeadObject")
    assert classify("eu-west-1", caught.value).kind is FailureKind.UNREACHABLE
    assert len(waits) == 2


def test_a_port_that_nobody_listens_on_is_an_unreachable_region(endpoint: Endpoint, waits: list[float]) -> None:
    """Refused connections are what a region looks like whose load balancers are gone."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/bucket/"
    requests = SignedRequests(url, "eu-west-1", connections=1, sleep=waits.append)
    with pytest.raises(EndpointConnectionError) as caught:
        requests.send("HEAD", "key", operation="HeadObject")
    assert classify("eu-west-1", caught.value).kind is FailureKind.UNREACHABLE


@pytest.fixture
def use_proxy(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`use_proxy("http://user:password@{}")`: the endpoint is a proxy, whose address goes where the braces are."""

    def use(form: str) -> None:
        host = endpoint.url.removeprefix("http://").removesuffix("/bucket/")
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", form.format(host))
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", form.format(host))
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")

    return use


@pytest.mark.parametrize("form", ["http://{}", "http://{}/", "//{}", "{}"])
def test_a_proxy_in_the_environment_is_used(
    endpoint: Endpoint, waits: list[float], use_proxy: Callable[[str], None], form: str
) -> None:
    """Build machines often reach AWS through one, and only through it; curl, and botocore, do without its scheme."""
    use_proxy(form)
    requests = SignedRequests("http://s3.invalid/bucket/", "eu-west-1", connections=1, sleep=waits.append)
    requests.send("PUT", "a b", operation="PutObject", body=BODY, sha256=SHA256)
    ((_, path, headers, body),) = endpoint.seen
    assert (path, body) == ("http://s3.invalid/bucket/a%20b", BODY)
    assert headers["Host"] == "s3.invalid"
    assert "Proxy-Authorization" not in headers


def test_a_proxy_gets_its_user_and_password(
    endpoint: Endpoint, waits: list[float], use_proxy: Callable[[str], None]
) -> None:
    """Without, it answers 407 to every file, when STS and SSM, which botocore asks, have answered."""
    use_proxy("http://us%40er:pass%3Aword@{}")
    requests = SignedRequests("http://s3.invalid/bucket/", "eu-west-1", connections=1, sleep=waits.append)
    requests.send("PUT", "key", operation="PutObject", body=BODY, sha256=SHA256)
    ((_, _, headers, _),) = endpoint.seen
    assert headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"us@er:pass:word").decode()
    assert "roxy" not in headers["Authorization"]


def test_a_tunnel_is_asked_for_with_user_and_password_and_gets_the_path_alone(
    endpoint: Endpoint, waits: list[float], use_proxy: Callable[[str], None]
) -> None:
    """To AWS it is TLS all the way: the proxy learns the host, and nothing else may go to it."""
    use_proxy("http://user:password@{}")
    requests = SignedRequests("https://s3.invalid/bucket/", "eu-west-1", connections=1, sleep=waits.append)
    with pytest.raises(ProxyConnectionError) as caught:
        requests.send("HEAD", "key", operation="HeadObject")
    method, path, headers, _ = endpoint.seen[0]
    assert (method, path) == ("CONNECT", "s3.invalid:443")
    assert headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"user:password").decode()
    text = classify("eu-west-1", caught.value).text
    assert "http://***:***@127.0.0.1" in text
    assert "password" not in text


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", [None, "http://{}"])
def test_a_slow_line_has_as_much_time_whatever_the_way(
    endpoint: Endpoint, use_proxy: Callable[[str], None], scheme: str, proxy: str | None
) -> None:
    """urllib3's own connections wait no longer for what they send than for a connection."""
    if proxy:
        use_proxy(proxy)
    requests = SignedRequests(f"{scheme}://s3.invalid/bucket/", "eu-west-1", connections=1)
    made = requests._pool._new_conn()
    assert isinstance(made, signed_requests._Connection)
    assert isinstance(made, HTTPSConnection) is (scheme == "https")
