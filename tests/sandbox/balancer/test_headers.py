"""What targets get of a request's headers: User Guide, "HTTP headers and Application Load Balancers"."""

import re
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from sandbox.balancer.configuration import Configuration
from sandbox.balancer.headers import for_target, trace


def sent(
    given: list[tuple[str, str]], *, port: int = 80, authority: str = "", **settings: Any
) -> CIMultiDictProxy[str]:
    """What a target gets of `given`, at a listener on `port`, from 192.0.2.7."""
    headers = CIMultiDictProxy(CIMultiDict(given))
    configuration = Configuration(address="127.0.0.1", dns_name="web-1.example.com", **settings)
    return CIMultiDictProxy(
        for_target(headers, configuration, authority=authority, listener_port=port, client=("192.0.2.7", 4711))
    )


@pytest.mark.parametrize(
    ("given", "port", "preserve", "host"),
    [
        ("example.com", 80, False, "example.com"),
        ("example.com:80", 80, False, "example.com"),
        ("example.com:8080", 443, False, "example.com"),
        ("example.com", 8080, False, "example.com:8080"),
        ("example.com:81", 8080, False, "example.com:81"),
        ("example.com:80", 80, True, "example.com:80"),
        ("example.com", 8080, True, "example.com"),
    ],
)
def test_the_host_is_that_of_awss_table(given: str, port: int, preserve: bool, host: str) -> None:
    """An application that builds links from it would point its users to another port."""
    assert sent([("Host", given)], port=port, preserve_host=preserve)["Host"] == host


def test_a_whole_url_says_which_host_is_meant() -> None:
    """Applications with several hosts would answer for the wrong one."""
    assert sent([("Host", "example.com")], authority="other.example.com")["Host"] == "other.example.com"


def test_an_old_client_without_host_gets_the_balancers_name() -> None:
    """HTTP/1.0 has no Host, and HTTP/1.1 towards the target demands one."""
    assert sent([])["Host"] == "web-1.example.com"


@pytest.mark.parametrize(
    ("mode", "given", "expected"),
    [
        ("append", [], "192.0.2.7"),
        ("append", ["127.0.0.4, 127.0.0.8"], "127.0.0.4, 127.0.0.8, 192.0.2.7"),
        ("append", ["127.0.0.4", "127.0.0.8"], "127.0.0.4, 127.0.0.8, 192.0.2.7"),
        ("preserve", ["127.0.0.4"], "127.0.0.4"),
        ("preserve", [], None),
        ("remove", ["127.0.0.4"], None),
    ],
)
def test_forwarded_addresses_follow_the_mode(mode: str, given: list[str], expected: str | None) -> None:
    """User Guide, "X-Forwarded-For": applications log, limit and refuse by it."""
    headers = sent([("Host", "x"), *(("X-Forwarded-For", each) for each in given)], forwarded_for=mode)
    assert headers.get("X-Forwarded-For") == expected
    assert len(headers.getall("X-Forwarded-For", [])) <= 1


def test_the_clients_port_is_added_if_asked_for() -> None:
    """Attribute routing.http.xff_client_port.enabled."""
    assert sent([("Host", "x")], client_port=True)["X-Forwarded-For"] == "192.0.2.7:4711"


def test_what_clients_say_of_the_protocol_is_replaced() -> None:
    """An application that trusts it would take a plain request for one over TLS."""
    headers = sent([("Host", "x"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443")])
    assert headers.getall("X-Forwarded-Proto") == ["http"]
    assert headers.getall("X-Forwarded-Port") == ["80"]


def test_headers_of_the_connection_stay_with_it() -> None:
    """RFC 9110 section 7.6.1. A target would answer in a form that this client can't read."""
    given = [
        ("Host", "x"),
        ("Connection", "close, X-Mine"),
        ("X-Mine", "1"),
        ("TE", "trailers"),
        ("Keep-Alive", "timeout=5"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("X-Other", "2"),
        ("X-Other", "3"),
    ]
    headers = sent(given)
    assert not {"Connection", "X-Mine", "TE", "Keep-Alive", "Upgrade", "Expect"} & set(headers)
    assert headers.getall("X-Other") == ["2", "3"]


def test_names_that_arent_valid_are_dropped_only_if_asked_for() -> None:
    """Attribute routing.http.drop_invalid_header_fields.enabled, which the program sets."""
    given = [("Host", "x"), ("Not_Valid", "1"), ("Not_Valid", "2")]
    assert sent(given).getall("Not_Valid") == ["1", "2"]
    assert "Not_Valid" not in sent(given, drop_invalid_headers=True)


ID = r"1-[0-9a-f]{8}-[0-9a-f]{24}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, f"Root={ID}"),
        ("", f"Root={ID}"),
        ("Root=1-0-a", f"Self={ID};Root=1-0-a"),
        ("Root=1-0-a;CalledFrom=app", f"Self={ID};Root=1-0-a;CalledFrom=app"),
        ("Self=1-0-b;Root=1-0-a", f"Self={ID};Root=1-0-a"),
        ("CalledFrom=app", f"Root={ID};CalledFrom=app"),
    ],
)
def test_requests_can_be_traced(given: str | None, expected: str) -> None:
    """User Guide, "Request tracing": who follows a request through several services finds nothing."""
    assert re.fullmatch(expected, trace(given))
    assert trace(given) != trace(given)
