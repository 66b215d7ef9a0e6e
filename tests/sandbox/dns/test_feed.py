"""How the name server keeps to what the API says, and what it does while that says nothing."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.dns.feed import PATH, Feed
from sandbox.dns.zones import Zones
from tests.sandbox.checkout import eventually
from tests.sandbox.dns.snapshot import given, record, zone


class _Api(HTTPServer):
    """Gives `answers` one after the other, status and body, and then none any more; keeps what it was asked."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Api

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if not self.server.answers:
            # As a connection that breaks.
            return
        status, body = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _told(version: int, address: str) -> tuple[int, bytes]:
    told = given(zone(record("www.example.com.", "A", address)))
    return 200, json.dumps({**told, "version": version}).encode()


@pytest.fixture
def taken() -> list[str]:
    """The addresses of www in the zones that were taken."""
    return []


@contextmanager
def _following(api: _Api, taken: list[str]) -> Iterator[None]:
    def take(told: Mapping[str, Any]) -> None:
        name = (b"www", b"example", b"com")
        taken.append(Zones.read(told).zones[name[1:]].find(name, "A")[0].values[0])

    ended = threading.Event()
    serving = threading.Thread(target=api.serve_forever, args=(0.02,))
    following = threading.Thread(target=Feed(api.endpoint, PATH, "zones", "name server", take).follow, args=(ended,))
    serving.start()
    following.start()
    try:
        yield
    finally:
        ended.set()
        following.join()
        api.shutdown()
        serving.join()
        api.server_close()


def test_each_new_version_is_taken_and_only_what_is_newer_is_asked_for(taken: list[str]) -> None:
    """A change that isn't taken leaves a site's old address in DNS."""
    api = _Api(_told(3, "127.0.0.1"), (200, b'{"version": 3}'), _told(4, "127.0.0.2"))
    with _following(api, taken):
        eventually(lambda: len(api.asked) > 3, "it asks on")
    assert taken == ["127.0.0.1", "127.0.0.2"]
    versions = [parse_qs(urlsplit(path).query)["after"][0] for path in api.asked[:4]]
    assert versions == ["0", "3", "3", "4"]
    assert {urlsplit(path).path for path in api.asked} == {PATH}


@pytest.mark.parametrize(
    "answer",
    [
        (500, b'{"error": "a defect"}'),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"zones": []}'),
        (200, b'{"version": 9, "zones": [{}], "checks": {}, "health": {}, "balancers": {}}'),
        (200, b'{"version": "x"}'),
    ],
)
def test_an_answer_that_is_not_understood_is_said_and_asked_for_again(
    answer: tuple[int, bytes], taken: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The thread must not die of it: the zones would stand still from then on, in silence."""
    api = _Api(answer, _told(3, "127.0.0.1"))
    with _following(api, taken):
        eventually(lambda: taken == ["127.0.0.1"], "the zones are taken after all")
    assert "no zones from the API" in capfd.readouterr().err


def test_an_api_that_breaks_off_is_asked_again_and_said_once(
    taken: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A restart of the API, or a fault that is simulated, ends; five lines a second in the log say no more than one."""
    api = _Api()
    with _following(api, taken):
        eventually(lambda: len(api.asked) >= 4, "it asks again and again")
        assert capfd.readouterr().err.count("no zones from the API") == 1
        api.answers.append(_told(1, "127.0.0.1"))
        eventually(lambda: taken == ["127.0.0.1"], "the zones are taken then")
