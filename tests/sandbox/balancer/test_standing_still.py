"""A balancer whose region is lost, as its clients see it: nobody answers, or everybody is refused."""

import json
import signal
import socket
from collections.abc import Callable

import pytest

from sandbox import processes
from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.balancer.process import Backend, Process
from tests.sandbox.checkout import eventually

# No answer for so long is none; a real one takes milliseconds. Real seconds.
SILENCE = 0.5


def stand_still(balancer: Process, how: str) -> None:
    assert balancer.process.stdin is not None
    balancer.process.stdin.write(json.dumps({"do": "stand-still", "how": how}).encode() + b"\n")
    balancer.process.stdin.flush()
    eventually(lambda: processes.is_still(balancer.process.pid), "standing still")


def served(balancer: Process, backend: Callable[[str], Backend]) -> Backend:
    target = backend("one")
    balancer.configure(target.as_target())
    eventually(lambda: balancer.state("one") == "healthy", "healthy")
    return target


def connecting(balancer: Process) -> type[OSError] | None:
    with socket.socket() as client:
        client.settimeout(SILENCE)
        try:
            client.connect((balancer.address, 80 + PORT_OFFSET))
        except OSError as error:
            return type(error)
    return None


@pytest.mark.parametrize(("how", "met"), [("refuse", ConnectionRefusedError), ("vanish", TimeoutError)])
def test_a_client_meets_what_it_would_meet_on_aws(
    balancer: Process, backend: Callable[[str], Backend], how: str, met: type[OSError]
) -> None:
    """A connection that is accepted and then hangs is noticed earlier than one that isn't: 2 seconds and not 4."""
    served(balancer, backend)
    stand_still(balancer, how)
    assert [connecting(balancer) for _ in range(3)] == [met] * 3
    balancer.process.send_signal(signal.SIGCONT)
    eventually(lambda: balancer.goes_on, "it goes on")
    assert balancer.ask() == (200, b"one")


def test_open_connections_are_reset_or_silent(balancer: Process, backend: Callable[[str], Backend]) -> None:
    """A client that keeps its connection doesn't see the next one's failure."""
    served(balancer, backend)
    kept = balancer.connect()
    kept.request("GET", "/", headers={"Host": "site.example.com"})
    kept.getresponse().read()
    assert kept.sock is not None
    stand_still(balancer, "vanish")
    kept.sock.settimeout(SILENCE)
    kept.request("GET", "/", headers={"Host": "site.example.com"})
    with pytest.raises(TimeoutError):
        kept.sock.recv(1)
    balancer.process.send_signal(signal.SIGCONT)
    kept.sock.settimeout(30)
    assert kept.getresponse().read() == b"one"
    stand_still(balancer, "refuse")
    with pytest.raises(ConnectionResetError):
        kept.sock.recv(1)
