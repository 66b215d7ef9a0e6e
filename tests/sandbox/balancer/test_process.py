"""The real process of a balancer, between real clients and real targets."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from sandbox.api import addresses
from tests.conftest import ROOT
from tests.sandbox.balancer.process import Backend, Process
from tests.sandbox.checkout import eventually, is_running


def test_requests_are_spread_over_healthy_targets(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """Half of a fleet idle is half of its capacity."""
    one, two = backend("one"), backend("two")
    balancer.configure(one.as_target(), two.as_target())
    eventually(lambda: balancer.state("one") == balancer.state("two") == "healthy", "both healthy")
    assert sorted(balancer.ask()[1].decode() for _ in range(4)) == ["one", "one", "two", "two"]
    assert one.checks[0] == "ELB-HealthChecker/2.0"


def test_a_target_that_fails_its_checks_gets_nothing_and_comes_back(
    balancer: Process, backend: Callable[[str], Backend]
) -> None:
    """What a deployment, and a client, rely on."""
    one, two = backend("one"), backend("two")
    balancer.configure(one.as_target(), two.as_target())
    eventually(lambda: balancer.state("one") == balancer.state("two") == "healthy", "both healthy")
    one.health = 503
    eventually(lambda: balancer.state("one") == "unhealthy", "one unhealthy")
    assert balancer.health["one"]["reason"] == "Target.ResponseCodeMismatch"
    assert {balancer.ask()[1] for _ in range(6)} == {b"two"}
    one.health = 200
    eventually(lambda: balancer.state("one") == "healthy", "one healthy again")


def test_the_reason_says_how_a_target_fails(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """Whoever reads it looks at the service, the port or the security groups accordingly."""
    gone = addresses.reserve()
    balancer.configure(
        {"id": "closed", "port": 8080, "host": gone, "reachable": True},
        {"id": "shut out", "port": 8080, "host": gone, "reachable": False},
        {"id": "no machine", "port": 8080, "host": None, "reachable": True},
    )
    names = ("closed", "shut out", "no machine")
    eventually(lambda: all(balancer.state(name) == "unhealthy" for name in names), "all unhealthy")
    reasons = {name: balancer.health[name]["reason"] for name in names}
    assert reasons == {
        "closed": "Target.FailedHealthChecks",
        "shut out": "Target.Timeout",
        "no machine": "Target.Timeout",
    }
    assert balancer.ask()[0] in (502, 504)
    addresses.release(gone)


def test_unhealthy_targets_are_better_than_none(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """Fail-open: a health path that breaks must not take the application off."""
    one = backend("one")
    one.health = 500
    balancer.configure(one.as_target())
    eventually(lambda: balancer.state("one") == "unhealthy", "unhealthy")
    assert balancer.ask() == (200, b"one")


def test_a_draining_target_finishes_what_it_has_begun(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """A deployment ends instances; no client may notice."""
    one, two = backend("one"), backend("two")
    balancer.configure(one.as_target())
    eventually(lambda: balancer.state("one") == "healthy", "healthy")
    answers: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: answers.append(balancer.ask("/hold")))
    slow.start()
    assert one.holding.wait(10)
    balancer.configure(two.as_target(), draining=(one.as_target(),))
    eventually(lambda: balancer.state("one") == "draining", "draining")
    assert {balancer.ask()[1] for _ in range(4)} == {b"two"}
    assert balancer.drained.empty()
    one.hold.set()
    slow.join()
    assert answers == [(200, b"one")]
    assert balancer.drained.get(timeout=10) == ["group", "one", 8080]


def test_a_target_without_requests_is_drained_at_once(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """User Guide, "Deregistration delay": only requests under way are waited for."""
    one = backend("one")
    balancer.configure(draining=(one.as_target(),))
    assert balancer.drained.get(timeout=10) == ["group", "one", 8080]


def test_without_targets_it_answers_503_itself(balancer: Process) -> None:
    """User Guide, "Troubleshoot": the target groups for the load balancer have no registered targets."""
    balancer.configure()
    eventually(lambda: balancer.listening == [80], "it listens")
    connection = balancer.connect()
    connection.request("GET", "/", headers={"Host": "x"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Server"]) == (503, "awselb/2.0")
    assert b"503 Service Temporarily Unavailable" in answer.read()


def test_a_target_that_resets_is_a_502(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """User Guide, "Troubleshoot", HTTP 502."""
    one = backend("one")
    balancer.configure(one.as_target())
    eventually(lambda: balancer.state("one") == "healthy", "healthy")
    assert balancer.ask("/reset")[0] == 502


def test_headers_and_bodies_pass_as_they_should(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """Applications read X-Forwarded-*; names that aren't valid are dropped if the balancer is told to."""
    one = backend("one")
    balancer.configure(one.as_target())
    eventually(lambda: balancer.state("one") == "healthy", "healthy")
    balancer.ask(
        "/a%2Fb?c=%20d", headers={"X-Forwarded-For": "192.0.2.7", "Bad_Name": "1", "Connection": "X-Hop", "X-Hop": "1"}
    )
    seen = {name.lower(): value for name, value in one.seen[-1].items()}
    assert seen["path"] == "/a%2Fb?c=%20d"
    assert seen["host"] == "site.example.com"
    assert seen["x-forwarded-for"].startswith("192.0.2.7, 127.")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("http", "80")
    assert "bad_name" not in seen
    assert "x-hop" not in seen
    big = os.urandom(3_000_000)
    assert balancer.ask("/", "POST", big) == (200, big)
    assert balancer.ask("/", "HEAD") == (200, b"")


def test_a_client_keeps_its_connection(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """A new connection for each request costs clients a round trip."""
    one = backend("one")
    balancer.configure(one.as_target())
    eventually(lambda: balancer.state("one") == "healthy", "healthy")
    connection = balancer.connect()
    for _ in range(3):
        connection.request("GET", "/", headers={"Host": "x"})
        assert connection.getresponse().read() == b"one"
    assert connection.sock is not None


def test_fixed_answers_and_redirects(balancer: Process) -> None:
    """Issue a redirect to HTTPS, or a maintenance page, without any target."""
    listeners = [
        {
            "port": 80,
            "rules": [
                {
                    "conditions": [{"Field": "path-pattern", "Values": ["/fixed"]}],
                    "action": {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {"StatusCode": "418", "MessageBody": "tea", "ContentType": "text/plain"},
                    },
                },
                {
                    "conditions": [],
                    "action": {
                        "Type": "redirect",
                        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
                    },
                },
            ],
        }
    ]
    balancer.configure(listeners=listeners)
    eventually(lambda: balancer.listening == [80], "it listens")
    assert balancer.ask("/fixed") == (418, b"tea")
    connection = balancer.connect()
    connection.request("GET", "/a?b=c", headers={"Host": "site.example.com"})
    answer = connection.getresponse()
    assert answer.status == 301
    # With the port, though it is HTTPS's own: so does AWS.
    assert answer.headers["Location"] == "https://site.example.com:443/a?b=c"


def test_it_ends_when_its_parent_is_gone(balancer: Process) -> None:
    """A balancer that outlives its sandbox holds its ports."""
    balancer.configure()
    eventually(lambda: balancer.listening == [80], "it listens")
    assert balancer.process.stdin is not None
    balancer.process.stdin.close()
    assert balancer.process.wait(10) == 0


def test_it_ends_with_the_process_that_started_it() -> None:
    """kill -9 of the API leaves nothing."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'sandbox.balancer'], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    # Only once it has asked for it does it die with its parent.
    eventually(lambda: b"sandbox.balancer" in _arguments(pid) and _has_handler(pid), "it runs")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    eventually(lambda: not is_running(pid), "it is gone")


def _arguments(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
        return file.read()


def _has_handler(pid: int) -> bool:
    """Whether the process has set up its signal handlers, which comes after it has tied itself to its parent."""
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123
        caught = next(line for line in file if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & (1 << (signal.SIGTERM - 1)))
