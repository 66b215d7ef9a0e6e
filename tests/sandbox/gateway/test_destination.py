"""Where a URL leads in the sandbox."""

from collections.abc import Iterator

import pytest

from sandbox.gateway.destination import (
    Destination,
    InvalidUrlError,
    Target,
    UnreachableError,
    connect,
    locate,
    parse,
)
from tests.sandbox.gateway.sites import ADDRESS, SITE, name_server, refused_port


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    with name_server() as address:
        yield address


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://a.example.com", Target("a.example.com", 80, "a.example.com", "/")),
        ("http://A.example.com/x?y=/z#part", Target("a.example.com", 80, "A.example.com", "/x?y=/z")),
        ("http://a.example.com:8080?y", Target("a.example.com", 8080, "a.example.com:8080", "/?y")),
        ("http://me:secret@a.example.com/", Target("a.example.com", 80, "a.example.com", "/")),
    ],
)
def test_a_url_names_host_port_and_path(url: str, target: Target) -> None:
    """What the balancer gets as Host and path decides which rule answers."""
    assert parse(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example.com/",
        "a.example.com",
        "http:///x",
        "http://a.example.com:0/",
        "http://a.example.com:57536/",
        "http://a.example.com:x/",
        "http://[::1/",
        "",
    ],
)
def test_anything_but_an_http_url_is_refused_and_quoted(url: str) -> None:
    """Ports above 57535 have no place 8000 higher."""
    with pytest.raises(InvalidUrlError) as caught:
        parse(url)
    assert repr(url) in str(caught.value)


def test_a_name_leads_to_its_balancers_address_and_a_port_8000_higher(server: tuple[str, int]) -> None:
    """Balancers can't have the ports below 1024."""
    assert locate(parse("http://www.example.com/"), server) == Destination(ADDRESS, 8080, ("www.example.com", SITE))
    assert locate(parse("http://www.example.com:81/"), server).port == 8081


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("absent.example.com", "NXDOMAIN"),
        ("text.example.com", "no address"),
        ("www.example.org", "in no hosted zone of the sandbox"),
        ("127.0.0.1", "in no hosted zone of the sandbox"),
        ("outside.example.com", "outside.example.com is 203.0.113.7, which isn't the sandbox's"),
    ],
)
def test_a_name_that_leads_nowhere_or_out_of_the_sandbox_is_an_error(
    server: tuple[str, int], host: str, reason: str
) -> None:
    """A record with a real address must not send the sandbox's requests into the Internet."""
    with pytest.raises(UnreachableError, match=reason):
        locate(parse(f"http://{host}/"), server)


def test_a_connection_that_is_refused_is_told_with_the_address(server: tuple[str, int]) -> None:
    """ "Connection refused" alone doesn't say which site it was."""
    target = parse(f"http://www.example.com:{refused_port()}/")
    with pytest.raises(UnreachableError, match=f"www.example.com is {ADDRESS}, which refused the connection to port"):
        connect(target, locate(target, server))
