"""What becomes of requests, and of targets and clients that don't behave, byte for byte on the real process."""

import gzip
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.balancer.conftest import MakeTarget
from tests.sandbox.balancer.process import Backend, Process, ScriptedTarget, read_to_end
from tests.sandbox.checkout import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: site.example.com\r\nConnection: close\r\n\r\n"
# Nothing is left to chance by checks that come between the requests of a test.
UNCHECKED: dict[str, Any] = {"check": {"enabled": False}}


def status_of(answer: bytes) -> int:
    """The status of the last answer in what a client read."""
    return int(re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)[-1])


def head_of(answer: bytes) -> dict[str, str]:
    """The headers of an answer, in lower case."""
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def serve(balancer: Process, target: ScriptedTarget, **settings: Any) -> None:
    """Have `balancer` send requests to `target`, and wait until it listens."""
    balancer.configure(target.as_target(), **UNCHECKED, **settings)
    eventually(lambda: balancer.state("scripted") == "unavailable", "it knows the target")


def always(answer: bytes, keep: bool = True) -> Callable[[socket.socket, bytes], bool]:
    """A script that answers each request so."""

    def script(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(answer)
        return keep

    return script


def test_an_answer_passes_as_the_target_gave_it(balancer: Process, scripted: MakeTarget) -> None:
    """A header too many, or one that is lost, and clients of the sandbox see what clients of AWS don't."""
    target = scripted(always(OK.replace(b"OK\r\n", b"Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")))
    serve(balancer, target)
    answer = balancer.raw(GET.replace(b"Connection: close\r\n", b"") + GET)
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert rest.startswith(b"ok")
    names = sorted(line.partition(b":")[0].lower() for line in first.split(b"\r\n")[1:])
    assert names == [b"connection", b"content-length", b"date", b"set-cookie", b"set-cookie"]
    assert first.startswith(b"HTTP/1.1 200 Fine\r\n")
    assert head_of(answer)["connection"] == "keep-alive"
    assert target.connections == 1


def test_bodies_pass_unread(balancer: Process, scripted: MakeTarget) -> None:
    """A compressed body that arrives unpacked, under a header that says it isn't, can't be read."""
    packed = gzip.compress(b"a" * 100_000)

    def script(connection: socket.socket, head: bytes) -> bool:
        body = b""
        while len(body) < len(packed):
            body += connection.recv(65536)
        encoding = b"Content-Encoding: gzip\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (encoding, len(body), body))
        return True

    target = scripted(script)
    serve(balancer, target)
    request = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    answer = balancer.raw(request % len(packed) + packed)
    assert answer.endswith(b"\r\n\r\n" + packed)
    assert head_of(answer)["content-encoding"] == "gzip"
    assert b"content-length: %d" % len(packed) in target.heads[0].lower()


def test_answers_pass_as_they_come(balancer: Process, scripted: MakeTarget) -> None:
    """A server that reports progress, or sends events, would say nothing until it is done."""
    go_on = threading.Event()

    def script(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        go_on.wait(30)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        return True

    serve(balancer, scripted(script))
    with socket.create_connection((balancer.address, 80 + PORT_OFFSET), timeout=30) as client:
        client.sendall(GET)
        seen = b""
        while b"one" not in seen:
            seen += client.recv(65536)
        assert b"two" not in seen
        go_on.set()
        seen += read_to_end(client)
    assert seen.endswith(b"\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_client_of_http_1_0_is_answered_to_the_end_of_the_connection(balancer: Process, scripted: MakeTarget) -> None:
    """It doesn't know chunks, and would take their sizes for content."""
    target = scripted(always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"))
    serve(balancer, target, dns_name="web-1.example.com")
    answer = balancer.raw(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer.endswith(b"\r\n\r\none")
    assert "transfer-encoding" not in head_of(answer)
    assert b"\r\nHost: web-1.example.com\r\n" in target.heads[0] + b"\r\n"


def test_a_client_that_asks_may_send_its_body_at_once(balancer: Process, scripted: MakeTarget) -> None:
    """curl waits a second before each upload otherwise."""
    target = scripted(always(OK))
    serve(balancer, target)
    with socket.create_connection((balancer.address, 80 + PORT_OFFSET), timeout=30) as client:
        client.sendall(
            b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hi")
        assert status_of(read_to_end(client)) == 200
    assert b"expect" not in target.heads[0].lower()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n", 405),
        (b"CONNECT site.example.com:443 HTTP/1.1\r\nHost: x\r\n", 400),
        (b"GET / HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n", 400),
        (b"nonsense\r\n", 400),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 17_000 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 8_000) for n in range(9)), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + b", ".join([b"192.0.2.1"] * 31) + b"\r\n", 463),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", 501),
    ],
)
def test_what_isnt_passed_on_is_answered_with_awss_status(
    balancer: Process, scripted: MakeTarget, request_head: bytes, status: int
) -> None:
    """User Guide, "Troubleshoot": a target would see requests that AWS never lets through."""
    target = scripted(always(OK))
    serve(balancer, target)
    answer = balancer.raw(request_head + b"\r\n")
    assert status_of(answer) == status
    assert head_of(answer)["server"] == "awselb/2.0"
    assert head_of(answer)["connection"] == "close"
    assert target.heads == []


def test_long_heads_within_the_limits_pass(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Quotas": 16 K a line, 64 K in all. Cookies of some applications are that long."""
    target = scripted(always(OK))
    serve(balancer, target)
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 15_000) for number in range(3))
    answer = balancer.raw(GET.replace(b"GET /", b"GET /" + b"a" * 15_000)[:-2] + headers + b"\r\n")
    assert status_of(answer) == 200
    assert len(target.heads[0]) > 60_000


def test_own_errors_have_the_form_of_awss(balancer: Process) -> None:
    """Who tells them from a target's errors does so by this."""
    balancer.configure()
    eventually(lambda: balancer.listening == [80], "it listens")
    answer = balancer.raw(GET)
    head = head_of(answer)
    assert answer.startswith(b"HTTP/1.1 503 Service Temporarily Unavailable\r\n")
    assert (head["server"], head["content-type"], head["content-length"]) == ("awselb/2.0", "text/html", "162")
    assert b"<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n" in answer


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 33_000 + b"\r\n\r\n",
    ],
    ids=["none", "malformed", "cut", "long"],
)
def test_an_answer_that_isnt_one_is_a_502(balancer: Process, scripted: MakeTarget, answer: bytes) -> None:
    """User Guide, "Troubleshoot", HTTP 502."""
    serve(balancer, scripted(always(answer, keep=False)))
    assert status_of(balancer.raw(GET)) == 502


def test_a_request_is_never_sent_twice(balancer: Process, scripted: MakeTarget) -> None:
    """AWS answers 502 when a target closes a kept connection as it is used; trying again would hide a keep-alive that
    is too short, until it is seen on AWS."""
    answered: list[bytes] = []

    def script(connection: socket.socket, head: bytes) -> bool:
        if answered:
            return False
        answered.append(head)
        connection.sendall(OK)
        return True

    target = scripted(script)
    serve(balancer, target)
    assert status_of(balancer.raw(GET)) == 200
    assert status_of(balancer.raw(GET)) == 502
    assert (target.connections, len(target.heads)) == (1, 2)


def test_half_an_answer_is_not_a_whole_one(balancer: Process, scripted: MakeTarget) -> None:
    """A download that broke off would be kept as if it were complete."""
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    serve(balancer, scripted(always(cut, keep=False)))
    assert balancer.raw(GET).endswith(b"3\r\none\r\n")
    with socket.create_connection((balancer.address, 80 + PORT_OFFSET), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError), client.makefile("rb") as answer:
            answer.read()


def test_a_target_that_says_nothing_is_a_504(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Troubleshoot", HTTP 504: the idle time-out, and the connection ends with it."""
    target = scripted(lambda _connection, _head: True)
    serve(balancer, target, idle_timeout=15)
    assert status_of(balancer.raw(GET)) == 504
    assert target.closed.wait(30)


def test_a_target_that_cant_be_reached_is_a_504(balancer: Process) -> None:
    """A security group that is closed drops packets: nothing is refused."""
    shut = {"id": "shut", "port": 8080, "host": "127.0.0.1", "reachable": False}
    balancer.configure(shut, **UNCHECKED)
    eventually(lambda: balancer.state("shut") == "unavailable", "it knows the target")
    assert status_of(balancer.raw(GET)) == 504


def test_a_client_that_stops_sending_is_a_408(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Troubleshoot", HTTP 408. Its target would be held for ever."""
    target = scripted(lambda _connection, _head: True)
    serve(balancer, target, idle_timeout=15)
    answer = balancer.raw(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    assert status_of(answer) == 408
    assert target.closed.wait(30)


def test_nothing_times_out_while_something_moves(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Connection idle timeout": an upload that takes longer than the time-out would always fail."""
    idle = 0.5
    pauses, pause = 4, 0.3

    def script(connection: socket.socket, _head: bytes) -> bool:
        got = b""
        while len(got) < pauses:
            got += connection.recv(65536)
        connection.sendall(OK)
        return True

    serve(balancer, scripted(script), idle_timeout=idle * 30)
    with socket.create_connection((balancer.address, 80 + PORT_OFFSET), timeout=30) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % pauses)
        for _ in range(pauses):
            threading.Event().wait(pause)
            client.sendall(b"x")
        assert status_of(read_to_end(client)) == 200


def test_a_client_that_goes_away_frees_its_target(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Troubleshoot", HTTP 460. A target that drains would be waited for, for nobody."""
    asked = threading.Event()

    def script(_connection: socket.socket, _head: bytes) -> bool:
        asked.set()
        return True

    target = scripted(script)
    serve(balancer, target, idle_timeout=4000)
    with socket.create_connection((balancer.address, 80 + PORT_OFFSET), timeout=30) as client:
        client.sendall(GET)
        assert asked.wait(30)
        balancer.configure(draining=(target.as_target(),), idle_timeout=4000, **UNCHECKED)
        eventually(lambda: balancer.state("scripted") == "draining", "it drains")
        assert balancer.drained.empty()
    assert balancer.drained.get(timeout=30) == ["group", "scripted", 8080]
    assert target.closed.wait(30)


def test_a_request_ends_with_the_deregistration_delay(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Troubleshoot", HTTP 502: else a request that never ends keeps a deployment from ending."""
    asked = threading.Event()

    def script(_connection: socket.socket, _head: bytes) -> bool:
        asked.set()
        return True

    target = scripted(script)
    serve(balancer, target)
    answers: list[bytes] = []
    slow = threading.Thread(target=lambda: answers.append(balancer.raw(GET)))
    slow.start()
    assert asked.wait(30)
    balancer.configure(draining=(target.as_target(),), **UNCHECKED)
    eventually(lambda: balancer.state("scripted") == "draining", "it drains")
    balancer.configure(**UNCHECKED)
    slow.join(30)
    assert [status_of(each) for each in answers] == [502]
    assert target.closed.wait(30)


def test_a_connection_ends_when_it_has_lasted_long_enough(balancer: Process, scripted: MakeTarget) -> None:
    """Attribute client_keep_alive.seconds: clients that never look up the name again would stay with a dead site."""
    serve(balancer, scripted(always(OK)), client_keep_alive=0)
    answer = balancer.raw(GET.replace(b"Connection: close\r\n", b""))
    assert status_of(answer) == 200
    assert head_of(answer)["connection"] == "close"


def test_a_connection_that_isnt_used_ends(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Connection idle timeout"."""
    serve(balancer, scripted(always(OK)), idle_timeout=15)
    answer = balancer.raw(GET.replace(b"Connection: close\r\n", b""))
    assert status_of(answer) == 200
    assert head_of(answer)["connection"] == "keep-alive"
    assert balancer.raw(b"") == b""
    assert balancer.raw(b"GET / HTTP/1.1\r\nHo") == b""


def test_listeners_come_and_go_while_requests_are_answered(
    balancer: Process, backend: Callable[[str], Backend]
) -> None:
    """A change of a listener would cost the clients of the others their answers."""
    one = backend("one")
    balancer.configure(one.as_target())
    eventually(lambda: balancer.state("one") == "healthy", "healthy")
    answers: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: answers.append(balancer.ask("/hold")))
    slow.start()
    assert one.holding.wait(10)
    forward = {"Type": "forward", "TargetGroupArn": "group"}
    balancer.configure(one.as_target(), listeners=[{"port": 81, "rules": [{"conditions": [], "action": forward}]}])
    eventually(lambda: balancer.listening == [81], "another port")
    with pytest.raises(ConnectionRefusedError):
        balancer.ask()
    with socket.create_connection((balancer.address, 81 + PORT_OFFSET), timeout=30) as client:
        client.sendall(GET)
        assert status_of(read_to_end(client)) == 200
    one.hold.set()
    slow.join(30)
    assert answers == [(200, b"one")]


def test_checks_look_like_awss(balancer: Process, scripted: MakeTarget) -> None:
    """Applications let them past their redirects and host checks by this."""
    target = scripted(always(OK))
    balancer.configure(target.as_target(private_address="10.1.2.3"), check={"path": "/health?deep=1"})
    eventually(lambda: balancer.state("scripted") == "healthy", "healthy")
    assert target.heads[0].split(b"\r\n")[0] == b"GET /health?deep=1 HTTP/1.1"
    assert head_of(target.heads[0] + b"\r\n\r\n") == {
        "host": "10.1.2.3:8080",
        "user-agent": "ELB-HealthChecker/2.0",
        "accept-encoding": "gzip, compressed",
        "connection": "close",
    }


def test_checks_follow_no_redirect(balancer: Process, scripted: MakeTarget) -> None:
    """User Guide, "Health check settings": a login page would pass for a healthy application."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"

    def script(connection: socket.socket, head: bytes) -> bool:
        connection.sendall(OK if b"login" in head else moved)
        return True

    target = scripted(script)
    balancer.configure(target.as_target())
    eventually(lambda: balancer.state("scripted") == "unhealthy", "unhealthy")
    assert balancer.health["scripted"]["description"] == "Health checks failed with these codes: [302]"
    assert not any(b"login" in head for head in target.heads)


def test_a_change_of_the_check_applies_at_once(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """Who shortens an interval of five minutes would wait them out first."""
    one = backend("one")
    one.health = 500
    balancer.configure(one.as_target(), check={"interval": 300, "timeout": 5})
    eventually(lambda: balancer.state("one") == "initial" and len(one.checks) == 1, "its first check")
    balancer.configure(one.as_target(), check={"interval": 5, "timeout": 4})
    eventually(lambda: balancer.state("one") == "unhealthy", "unhealthy")
