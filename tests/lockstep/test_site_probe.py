"""What a site answers at its own name, asked of real sockets."""

import contextlib
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from lockstep.errors import ExitCode, InvalidInputError
from lockstep.site_probe import ProbeResult, SiteProbe

# Seconds. Only what never answers costs it.
TIMEOUT = 0.3
GENEROUS = 10.0


class Site(socketserver.ThreadingTCPServer):
    """A server that answers with whatever `answer(number of the connection, request)` gives."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[[int, str], bytes] = lambda number, request: ok("1.0.0")
        self.requests: list[str] = []
        self.ended = threading.Event()
        self.resets = False
        self.keeps_connections = False
        self.connections = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def probe(self, path: str = "/healthz", **environ: str) -> SiteProbe:
        return SiteProbe(self.address, path, environ=environ)


class _Handler(socketserver.BaseRequestHandler):
    server: Site

    def handle(self) -> None:
        self.server.connections += 1
        while request := self.request.recv(65536).decode():
            self.server.requests.append(request)
            if self.server.resets:
                # socket(7), SO_LINGER: closing with a linger time of nothing resets the connection.
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            answer = self.server.answer(len(self.server.requests), request)
            with contextlib.suppress(ConnectionError):
                self.request.sendall(answer)
            if not self.server.keeps_connections:
                return


def response(status: str, *headers: str, body: str = "x") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


def ok(release: str) -> bytes:
    return response("200 OK", f"Lockstep-Release: {release}")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server
        server.ended.set()
        server.shutdown()
        serving.join()


def test_answers_are_counted_by_the_release_that_they_name(site: Site) -> None:
    """A site in the middle of a roll answers with both; to call it done then is how half a release gets out."""
    site.answer = lambda number, request: ok("1.1.0" if number % 4 else "1.0.0")
    result = site.probe().check(8, GENEROUS)
    assert result == ProbeResult({"1.1.0": 6, "1.0.0": 2})
    assert not result.all_from("1.1.0")
    assert result.summary() == "2 by 1.0.0, 6 by 1.1.0"


def test_a_site_that_answers_with_one_release_is_known(site: Site) -> None:
    """No deployment would ever succeed."""
    result = site.probe().check(3, GENEROUS)
    assert result.all_from("1.0.0")
    assert not result.all_from("1.0")
    assert not ProbeResult().all_from("1.0.0")
    assert not ProbeResult({"1.0.0": 19}, {"HTTP 503": 1}).all_from("1.0.0")


def test_each_request_has_a_connection_of_its_own(site: Site) -> None:
    """On one connection the same node, and often the same instance, answers all: the bad one isn't met."""
    site.keeps_connections = True
    assert site.probe().check(7, GENEROUS).all_from("1.0.0")
    assert (len(site.requests), site.connections) == (7, 7)
    assert all("connection: close" in request.lower() for request in site.requests)


def test_the_request_is_for_the_site_and_the_path(site: Site) -> None:
    """Balancers choose by them."""
    probe = site.probe("/ready?deep=1")
    assert probe.url == f"http://{site.address}/ready?deep=1"
    probe.check(1, GENEROUS)
    assert site.requests[0].startswith("GET /ready?deep=1 HTTP/1.1\r\n")
    assert f"host: {site.address}\r\n" in site.requests[0].lower()


def test_redirects_are_not_followed(site: Site) -> None:
    """Where they lead may be the other site, which answers well."""
    site.answer = lambda number, request: response(
        "301 Moved", "Lockstep-Release: 1.0.0", f"Location: http://{site.address}/elsewhere"
    )
    assert site.probe().check(2, GENEROUS).all_from("1.0.0")
    assert not any("elsewhere" in request for request in site.requests)


BAD_ANSWERS = {
    "HTTP 503": response("503 Service Unavailable", "Lockstep-Release: 1.0.0"),
    "HTTP 404": response("404 Not Found", "Lockstep-Release: 1.0.0"),
    "HTTP 502: no such name": response("502 Bad Gateway", "X-Lockstep-Gateway-Error: no such name"),
    "an answer without the header Lockstep-Release, in which the application must send its version": response("200 OK"),
    "the connection broke off: Remote end closed connection without response": b"",
    "the connection broke off: IncompleteRead(1 bytes read, 1 more expected)": response("200 OK", body="xx")[:-1],
    "the connection broke off: hello": b"hello\r\n\r\n",
}


@pytest.mark.parametrize(("reason", "answer"), BAD_ANSWERS.items(), ids=BAD_ANSWERS)
def test_a_bad_answer_is_a_failure_with_its_reason(site: Site, reason: str, answer: bytes) -> None:
    """The message of a deployment that was undone is all that an operator has at night."""
    site.answer = lambda number, request: answer
    result = site.probe().check(3, GENEROUS)
    assert result == ProbeResult({}, {reason: 3})
    assert result.summary() == f"3 failed ({reason})"


def test_silence_is_a_failure_after_the_time_out(site: Site) -> None:
    """A region whose packets vanish must not hold a deployment for ever."""

    def answer_late(number: int, request: str) -> bytes:
        site.ended.wait(10 * TIMEOUT)
        return ok("1.0.0")

    site.answer = answer_late
    assert site.probe().check(2, TIMEOUT).failures == {"no answer within 0.3 s": 2}


def test_a_silent_site_costs_few_time_outs(site: Site) -> None:
    """Twenty requests of five seconds each, three times over, are five minutes in which users have no answer."""
    together = threading.Barrier(5)

    def wait_for_the_others(number: int, request: str) -> bytes:
        together.wait(GENEROUS)
        return ok("1.0.0")

    site.answer = wait_for_the_others
    assert site.probe().check(10, GENEROUS).all_from("1.0.0")


def test_a_connection_that_is_reset_is_a_failure(site: Site) -> None:
    """As a balancer does that is going away."""

    site.resets = True
    (reason,) = site.probe().check(1, GENEROUS).failures
    assert reason.startswith("the connection broke off: ")


def test_a_closed_port_is_a_failure() -> None:
    """As a region does that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    probe = SiteProbe(f"127.0.0.1:{port}", "/", environ={})
    assert probe.check(2, GENEROUS).failures == {"the connection was refused": 2}


def test_a_name_that_does_not_exist_is_a_failure() -> None:
    """The record is missing, or the operator's resolver doesn't see the zone."""
    # RFC 6761 section 6.4: .invalid never exists. In a process of its own, because the sandbox's API, once it runs in
    # this one, lets it look up nothing.
    asking = "from lockstep.site_probe import SiteProbe; print(SiteProbe('site.invalid', '/', environ={}).check(1, 10))"
    told = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(ProbeResult({}, {"its name isn't known to DNS": 1}))


def test_requests_go_through_the_named_proxy_and_no_other(site: Site) -> None:
    """The sandbox's names exist behind its gateway only; a company's proxy for the Internet doesn't know them."""
    site.answer = lambda number, request: ok("1.1.0")
    closed = "http://127.0.0.1:1"
    general = {"HTTP_PROXY": closed, "http_proxy": closed, "ALL_PROXY": closed}
    probe = SiteProbe("primary.orders.invalid", "/healthz", environ={"LOCKSTEP_HTTP_PROXY": f"http://{site.address}"})
    assert probe.check(2, GENEROUS).all_from("1.1.0")
    assert site.requests[0].startswith("GET http://primary.orders.invalid/healthz HTTP/1.1\r\n")
    assert site.probe(**general).check(1, GENEROUS).all_from("1.1.0")


def test_the_environment_of_a_general_proxy_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP libraries take it up by themselves."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert SiteProbe(site.address, "/").check(1, GENEROUS).all_from("1.0.0")


def test_a_proxy_that_is_down_is_named() -> None:
    """The site isn't to blame."""
    probe = SiteProbe("site.invalid", "/", environ={"LOCKSTEP_HTTP_PROXY": "http://127.0.0.1:1"})
    assert probe.check(1, GENEROUS).failures == {"the proxy of LOCKSTEP_HTTP_PROXY: the connection was refused": 1}


@pytest.mark.parametrize("value", ["127.0.0.1:8080", "ftp://proxy", "http://", "socks5://proxy:1080"])
def test_a_variable_that_names_no_proxy_is_refused(value: str) -> None:
    """Every request would fail, and a release would be rolled back for it."""
    with pytest.raises(InvalidInputError, match="LOCKSTEP_HTTP_PROXY") as refused:
        SiteProbe("site.invalid", "/", environ={"LOCKSTEP_HTTP_PROXY": value})
    assert refused.value.exit_code is ExitCode.INVALID
    assert value in refused.value.message
    assert "http://HOST:PORT" in refused.value.remedy
