"""The gateway between a client that knows a name and a server that has an address."""

import contextlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstep.site_probe import SiteProbe
from sandbox.api import acm_authority
from sandbox.gateway import proxy
from sandbox.gateway.proxy import Gateway
from tests.sandbox.checkout import eventually
from tests.sandbox.gateway.sites import ADDRESS, SITE, answering, balancer, name_server, read_head, refused_port

OK = b"HTTP/1.1 200 OK\r\nLockstep-Release: 1.0.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[str, int]]:
    with name_server() as address, Gateway(0, address) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield "127.0.0.1", made.server_address[1]
        made.shutdown()
        thread.join()


def talk(gateway: tuple[str, int], request: bytes) -> bytes:
    """All that the gateway answers to `request`."""
    with socket.create_connection(gateway, timeout=60) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return stream.read()


def get(gateway: tuple[str, int], url: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*gateway, timeout=60)
    connection.request("GET", url)
    return connection.getresponse()


def error_of(answer: bytes) -> str:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith("X-Lockstep-Gateway-Error"))


def test_a_request_reaches_the_balancer_of_its_name(gateway: tuple[str, int]) -> None:
    """That is what it is for."""
    with balancer(answering(OK)) as port:
        answer = get(gateway, f"http://www.example.com:{port}/")
        assert (answer.status, answer.headers["Lockstep-Release"], answer.read()) == (200, "1.0.0", b"hi")


def test_the_probe_of_a_deployment_gets_its_answers_through_it(gateway: tuple[str, int]) -> None:
    """`lockstep deploy` counts them; it finds the gateway by LOCKSTEP_HTTP_PROXY."""
    environ = {"LOCKSTEP_HTTP_PROXY": "http://{}:{}".format(*gateway)}
    with balancer(answering(OK)) as port:
        found = SiteProbe(f"{SITE}:{port}", "/healthz", environ=environ).check(20, 30)
    assert found.all_from("1.0.0")
    lost = SiteProbe("absent.example.com", "/", environ=environ).check(1, 30)
    assert "absent.example.com: there is no such name (NXDOMAIN)" in lost.summary()


def test_the_balancer_gets_what_the_client_sent_but_for_what_concerns_the_connection(gateway: tuple[str, int]) -> None:
    """RFC 9110 section 7.6.1: a `Connection` that is passed on would keep the balancer's connection open."""
    got: list[list[str]] = []

    def serve(client: socket.socket) -> None:
        got.append(read_head(client)[0])
        client.sendall(OK)

    with balancer(serve) as port:
        talk(
            gateway,
            f"PURGE http://{SITE}:{port}/a%20b?c=d HTTP/1.1\r\nHost: wrong.example.com\r\nX-One: 1\r\nx-one: 2\r\n"
            "Proxy-Connection: keep-alive\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n"
            "Proxy-Authorization: Basic eDp5\r\nAccept: */*\r\n\r\n".encode(),
        )
    assert got == [
        [
            "PURGE /a%20b?c=d HTTP/1.1",
            f"Host: {SITE}:{port}",
            "X-One: 1",
            "x-one: 2",
            "Accept: */*",
            "Connection: close",
        ]
    ]


def test_the_client_gets_what_the_balancer_said_but_for_what_concerns_the_connection(gateway: tuple[str, int]) -> None:
    """A client that believes the connection to be kept sends its next request into nothing."""
    with balancer(answering(OK)) as port:
        answer = talk(gateway, f"GET http://{SITE}:{port}/ HTTP/1.1\r\n\r\n".encode())
    assert answer == (b"HTTP/1.1 200 OK\r\nLockstep-Release: 1.0.0\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_pass_in_both_directions_at_once(gateway: tuple[str, int], chunked: bool) -> None:
    """A proxy that reads one whole body before the other stands still when both are larger than the buffers."""
    size = 20_000_000

    def echo(client: socket.socket) -> None:
        lines, rest = read_head(client)
        framing = next(line for line in lines if line.lower().startswith(("content-length", "transfer-encoding")))
        client.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + rest)
        left = (body_length if chunked else size) - len(rest)
        while left:
            part = client.recv(65536)
            client.sendall(part)
            left -= len(part)

    body = bytes(size)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body
    body_length = len(sent)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    with balancer(echo) as port, socket.create_connection(gateway, timeout=60) as connection:
        head = f"POST http://{SITE}:{port}/ HTTP/1.1\r\n{framing}\r\n\r\n".encode()
        with ThreadPoolExecutor() as pool:
            sending = pool.submit(connection.sendall, head + sent)
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            assert answer.read() == body
            sending.result(60)


def test_an_answer_streams(gateway: tuple[str, int]) -> None:
    """A client sees the first part while the balancer has still to send the second."""
    first_seen = threading.Event()

    def serve(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        assert first_seen.wait(60)
        client.sendall(b"two")

    with balancer(serve) as port:
        answer = get(gateway, f"http://{SITE}:{port}/")
        assert answer.read(3) == b"one"
        first_seen.set()
        assert answer.read() == b"two"


def test_interim_answers_pass(gateway: tuple[str, int]) -> None:
    """Without its `100 Continue` a client keeps its body back."""

    def serve(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.recv(100) == b"body"
        client.sendall(OK)

    with balancer(serve) as port, socket.create_connection(gateway, timeout=60) as connection:
        head = f"POST http://{SITE}:{port}/ HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert read_head(connection)[0] == ["HTTP/1.1 100 Continue"]
        connection.sendall(b"body")
        assert read_head(connection)[0][0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("absent.example.com", "absent.example.com: there is no such name (NXDOMAIN)"),
        ("www.example.org", "www.example.org: it is in no hosted zone of the sandbox (REFUSED)"),
        ("outside.example.com", "outside.example.com is 203.0.113.7, which isn't the sandbox's"),
        ("127.0.0.1", "127.0.0.1: it is in no hosted zone of the sandbox (REFUSED)"),
    ],
)
def test_what_is_not_the_sandboxes_is_502_with_the_reason(gateway: tuple[str, int], host: str, reason: str) -> None:
    """A proxy that reached more would hide that a name isn't there, and lead out of this machine."""
    answer = get(gateway, f"http://{host}/")
    assert answer.status == 502
    assert answer.headers["X-Lockstep-Gateway-Error"].startswith(reason)
    assert answer.read().decode().startswith(reason)


def test_a_balancer_that_refuses_is_502_with_its_address(gateway: tuple[str, int]) -> None:
    """The probe's report says which site it was."""
    port = refused_port()
    answer = get(gateway, f"http://www.example.com:{port}/")
    assert answer.status == 502
    assert answer.headers["X-Lockstep-Gateway-Error"] == (
        f"www.example.com is {ADDRESS}, which refused the connection to port {port}"
    )


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"SSH-2.0-server\r\n\r\n"])
def test_a_balancer_that_breaks_off_before_its_answer_is_502(gateway: tuple[str, int], said: bytes) -> None:
    """A balancer's process that is killed does just that."""
    with balancer(answering(said)) as port:
        answer = get(gateway, f"http://{SITE}:{port}/")
        assert answer.status == 502
        assert "broke off its answer" in answer.headers["X-Lockstep-Gateway-Error"]


def test_a_balancer_that_says_nothing_is_502(gateway: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A region whose processes stand still takes connections and answers none."""
    monkeypatch.setattr(proxy, "IDLE_SECONDS", 0.3)
    ended = threading.Event()

    def serve(_: socket.socket) -> None:
        ended.wait(60)

    with balancer(serve) as port:
        answer = get(gateway, f"http://{SITE}:{port}/")
        ended.set()
    assert answer.status == 502
    assert "gave no answer for 0.3 s" in answer.headers["X-Lockstep-Gateway-Error"]


def test_an_answer_that_breaks_off_later_does_not_look_whole(gateway: tuple[str, int]) -> None:
    """Without a length the end of the connection is the end of the answer: it has to be a reset."""

    def serve(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\npart")
        seen.wait(60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    seen = threading.Event()
    with balancer(serve) as port, socket.create_connection(gateway, timeout=60) as connection:
        connection.sendall(f"GET http://{SITE}:{port}/ HTTP/1.1\r\n\r\n".encode())
        _, rest = read_head(connection)
        while rest != b"part":
            rest += connection.recv(100)
        seen.set()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_a_client_that_goes_away_ends_its_request(gateway: tuple[str, int]) -> None:
    """A probe that gives up must not leave a connection at a balancer that stands still, for every try."""
    gone = threading.Event()

    def serve(client: socket.socket) -> None:
        read_head(client)
        asked.set()
        if client.recv(100) == b"":
            gone.set()

    asked = threading.Event()
    with balancer(serve) as port:
        with socket.create_connection(gateway, timeout=60) as connection:
            connection.sendall(f"GET http://{SITE}:{port}/ HTTP/1.1\r\n\r\n".encode())
            assert asked.wait(60)
        eventually(gone.is_set, "the balancer sees its client go")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", 400),
        ("GET https://site.example.com/ HTTP/1.1", 400),
        ("GET http://site.example.com:70000/ HTTP/1.1", 400),
        ("nonsense", 400),
        ("GET http://site.example.com/ HTTP/2.0", 400),
        ("CONNECT site.example.com HTTP/1.1", 400),
        ("CONNECT site.example.com:0 HTTP/1.1", 400),
        ("CONNECT outside.example.com:443 HTTP/1.1", 502),
    ],
)
def test_a_request_that_is_not_for_a_proxy_of_http_is_refused(
    gateway: tuple[str, int], request_line: str, status: int
) -> None:
    """A client with the wrong setting, or one that wants TLS, has to see what is wrong."""
    answer = talk(gateway, f"{request_line}\r\nHost: {SITE}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert error_of(answer)


def test_tls_passes_through_a_tunnel_that_sees_nothing_of_it(gateway: tuple[str, int], tmp_path: Path) -> None:
    """The proof of a site's name has to come from the site, or anybody in between could be it."""
    issued = acm_authority.issue([SITE])
    (tmp_path / "site.pem").write_bytes(issued.key + issued.certificate)
    bundle = tmp_path / "authority.pem"
    bundle.write_bytes(acm_authority.pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "site.pem")

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as secured:
            answering(OK)(secured)

    environ = {"LOCKSTEP_HTTP_PROXY": "http://{}:{}".format(*gateway), "LOCKSTEP_CA_BUNDLE": str(bundle)}
    with balancer(serve) as port:
        assert SiteProbe(f"{SITE}:{port}", "/", https=True, environ=environ).check(3, 10.0).by_release == {"1.0.0": 3}
        stranger = SiteProbe(f"www.example.com:{port}", "/", https=True, environ=environ).check(1, 10.0)
        assert "certificate isn't trusted" in next(iter(stranger.failures))
        del environ["LOCKSTEP_CA_BUNDLE"]
        assert not SiteProbe(f"{SITE}:{port}", "/", https=True, environ=environ).check(1, 10.0).by_release


def test_a_tunnel_to_nowhere_says_why(gateway: tuple[str, int]) -> None:
    """A client shows the status line of a proxy that refuses a tunnel, and nothing else."""
    environ = {"LOCKSTEP_HTTP_PROXY": "http://{}:{}".format(*gateway)}
    found = SiteProbe(f"{SITE}:{refused_port()}", "/", https=True, environ=environ).check(1, 10.0)
    assert "refused the connection" in next(iter(found.failures))


def test_a_head_without_end_is_refused(gateway: tuple[str, int]) -> None:
    """It would fill the memory."""
    answer = talk(gateway, b"GET http://site.example.com/ HTTP/1.1\r\nX: " + b"a" * 131_072)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_client_that_waits_holds_up_nobody(gateway: tuple[str, int]) -> None:
    """Twenty requests a second from several clients, one of which stands still."""
    with socket.create_connection(gateway, timeout=60) as idle, balancer(answering(OK)) as port:
        idle.sendall(b"GET ")
        with ThreadPoolExecutor(max_workers=8) as pool:
            found = list(pool.map(lambda _: get(gateway, f"http://{SITE}:{port}/").status, range(100)))
    assert found == [200] * 100
