"""`lockstep sandbox request`, up to what it prints."""

import socket
from collections.abc import Iterator

import pytest

from sandbox.gateway import request
from sandbox.gateway.destination import parse
from sandbox.gateway.request import Outcome, Summary, ask
from tests.sandbox.gateway.sites import ADDRESS, SITE, answering, balancer, name_server, read_head, refused_port


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with name_server() as address:
        yield address


def test_an_answer_is_told_with_who_gave_it(server: tuple[str, int]) -> None:
    """Address, release and status are what somebody asks for who looks where a name leads."""
    said = b"HTTP/1.1 503 Unavailable\r\nlockstep-release: 1.1.0\r\nX-A: b\r\n\r\nbody\xff"
    with balancer(answering(said)) as port:
        found = ask(parse(f"http://www.example.com:{port}/x"), server)
    assert (found.status, found.reason, found.release, found.is_good) == (503, "Unavailable", "1.1.0", False)
    assert found.address == f"{ADDRESS}:{port + 8000}"
    told = found.to_json()
    assert told.pop("seconds") >= 0
    assert told == {
        "address": f"{ADDRESS}:{port + 8000}",
        "names": ["www.example.com", SITE],
        "status": 503,
        "release": "1.1.0",
        "headers": [["lockstep-release", "1.1.0"], ["X-A", "b"]],
        "body": "body\ufffd",
        "failure": None,
    }


def test_the_request_is_a_plain_one_for_the_name(server: tuple[str, int]) -> None:
    """The balancer's rules go by the name."""
    got: list[list[str]] = []

    def serve(client: socket.socket) -> None:
        got.append(read_head(client)[0])
        client.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with balancer(serve) as port:
        assert ask(parse(f"http://www.example.com:{port}/a?b=c"), server).is_good
    assert got[0][0] == "GET /a?b=c HTTP/1.1"
    assert f"Host: www.example.com:{port}" in got[0]


def test_a_redirect_is_an_answer_and_not_followed(server: tuple[str, int]) -> None:
    """Where it leads is something else to ask for."""
    with balancer(answering(b"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n")) as port:
        found = ask(parse(f"http://{SITE}:{port}/"), server)
    assert (found.status, found.is_good) == (301, True)


def test_a_name_that_leads_nowhere_is_told(server: tuple[str, int]) -> None:
    """Nobody was asked, so there is no address."""
    found = ask(parse("http://absent.example.com/"), server)
    assert (found.status, found.address) == (None, None)
    assert "NXDOMAIN" in found.failure


def test_a_connection_that_is_refused_is_told_with_its_address(server: tuple[str, int]) -> None:
    """Which of the sites doesn't answer is the question."""
    found = ask(parse(f"http://{SITE}:{refused_port()}/"), server)
    assert f"{SITE} is {ADDRESS}, which refused" in found.failure
    assert found.address is not None


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"nonsense\r\n\r\n"])
def test_an_answer_that_breaks_off_is_none(server: tuple[str, int], said: bytes) -> None:
    """Half an answer counts as none, for a user as well."""
    with balancer(answering(said)) as port:
        found = ask(parse(f"http://{SITE}:{port}/"), server)
    assert found.status is None
    assert f"{SITE} is {ADDRESS}, which broke off its answer" in found.failure


def test_a_site_that_stands_still_is_given_up(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes take connections and answer none."""
    monkeypatch.setattr(request, "ANSWER_SECONDS", 0.2)
    with socket.create_server((ADDRESS, 0)) as listener:
        found = ask(parse(f"http://{SITE}:{listener.getsockname()[1] - 8000}/"), server)
    assert found.failure == f"{SITE} is {ADDRESS}, which gave no answer in 0.2 s"


def test_many_answers_are_counted_by_release_address_and_status() -> None:
    """Two releases at once, or one site that fails, is seen at a glance."""
    one = Outcome(status=200, headers=(("Lockstep-Release", "1.0.0"),))
    two = Outcome(status=502)
    lost = Outcome(failure="nobody there")
    found = Summary.of([one, two, one, lost])
    assert found.to_json() == {
        "answers": [
            {"release": None, "address": "", "status": 502, "count": 1},
            {"release": "1.0.0", "address": "", "status": 200, "count": 2},
        ],
        "failures": [{"failure": "nobody there", "count": 1}],
    }
