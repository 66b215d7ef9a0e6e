"""A balancer's process that speaks TLS, and real clients of it."""

import http.client
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.api import acm_authority
from sandbox.balancer.ports import PORT_OFFSET
from tests.sandbox.balancer.process import Backend, Process
from tests.sandbox.checkout import eventually

SITE = "site.example.com"


def tls(*names: str, **more: Any) -> dict[str, Any]:
    """What a balancer is told of a certificate for `names`."""
    issued = acm_authority.issue(names)
    return {
        "certificate": (issued.certificate + issued.chain).decode(),
        "key": issued.key.decode(),
        "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"],
        "minimum": "TLSv1.2",
        "maximum": "TLSv1.3",
        **more,
    }


def listeners(secure: dict[str, Any]) -> list[dict[str, Any]]:
    """HTTPS that forwards, HTTP that redirects to it."""
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    return [
        {
            "port": 443,
            "rules": [{"conditions": [], "action": {"Type": "forward", "TargetGroupArn": "group"}}],
            "tls": secure,
        },
        {"port": 80, "rules": [{"conditions": [], "action": {"Type": "redirect", "RedirectConfig": redirect}}]},
    ]


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend("one")
    yield made
    made.close()


@pytest.fixture
def balancer(backend: Backend) -> Iterator[Process]:
    made = Process()
    made.configure(backend.as_target(), listeners=listeners(tls(SITE)))
    eventually(lambda: made.listening == [80, 443] and made.state("one") == "healthy", "the balancer serves")
    yield made
    made.process.kill()
    made.process.wait()


def trusting(**settings: Any) -> ssl.SSLContext:
    """A client that trusts the sandbox's authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=acm_authority.pem().decode())
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def ask(balancer: Process, context: ssl.SSLContext, name: str = SITE) -> tuple[int, bytes, str]:
    """Status and body of a request over TLS, and the version that was spoken."""
    connection = http.client.HTTPSConnection(name, 443, context=context, timeout=30)
    plain = http.client.HTTPConnection(balancer.address, 443 + PORT_OFFSET, timeout=30)
    plain.connect()
    assert plain.sock is not None
    connection.sock = context.wrap_socket(plain.sock, server_hostname=name)
    with connection.sock:
        connection.request("GET", "/hello")
        answer = connection.getresponse()
        return answer.status, answer.read(), str(connection.sock.version())


def test_it_terminates_tls_and_tells_its_targets(balancer: Process, backend: Backend) -> None:
    """An application that believes in HTTP would send its users there."""
    assert ask(balancer, trusting()) == (200, b"one", "TLSv1.3")
    (seen,) = [each for each in backend.seen if each["path"] == "/hello"]
    assert (seen["X-Forwarded-Proto"], seen["X-Forwarded-Port"], seen["Host"]) == ("https", "443", SITE)


def test_it_proves_the_names_of_its_certificate_only(balancer: Process) -> None:
    """A site with the wrong certificate would pass here and fail on AWS."""
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(balancer, trusting(), "other.example.com")


def test_plain_http_is_sent_to_tls(balancer: Process) -> None:
    """Old links and typed names would find nothing."""
    connection = balancer.connect()
    connection.request("GET", "/a?b=c", headers={"Host": SITE})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{SITE}:443/a?b=c")


def test_it_speaks_no_version_that_its_policy_leaves_out(balancer: Process, backend: Backend) -> None:
    """A policy would be a word."""
    old = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert ask(balancer, old)[2] == "TLSv1.2"
    balancer.configure(backend.as_target(), listeners=listeners(tls(SITE, minimum="TLSv1.3")))

    def is_refused() -> bool:
        try:
            ask(balancer, old)
        except (ssl.SSLError, ConnectionError):
            return True
        return False

    eventually(is_refused, "TLS 1.2 is refused")
    assert ask(balancer, trusting())[2] == "TLSv1.3"


def test_another_certificate_takes_over_without_a_gap(balancer: Process, backend: Backend) -> None:
    """A listener that closes for a new certificate would fail health checks."""
    balancer.configure(backend.as_target(), listeners=listeners(tls("new.example.com", SITE)))

    def is_new() -> bool:
        try:
            return ask(balancer, trusting(), "new.example.com")[0] == 200
        except ssl.SSLCertVerificationError:
            assert ask(balancer, trusting())[0] == 200
            return False

    eventually(is_new, "the new certificate")
