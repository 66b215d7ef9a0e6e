"""One probe of a real endpoint, in a time that jumps.

Developer Guide, "How Amazon Route 53 determines whether a health check is healthy" ("the page"), "Values that you
specify when you create or update health checks"; API Reference, HealthCheckConfig.
"""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import clock
from sandbox.balancer.ports import HEALTH_CHECKERS
from sandbox.checkers import probe as probes
from sandbox.checkers.endpoint import Endpoint
from sandbox.checkers.probe import Result, blind_probe, probe
from sandbox.dns.resolver import NoSuchNameError
from tests.sandbox.checkers.endpoints import (
    ADDRESS,
    NAME,
    OK,
    Answer,
    endpoint,
    free_port,
    listening,
    resolve,
    saying,
    vanished,
)
from tests.sandbox.checkers.virtual import now, run

RESOLVED = f"Failure: Resolved IP: {ADDRESS}. "


def head(status: str, *headers: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, "")).encode()


def result_of(answer: Answer, type_: str = "HTTP", **fields: Any) -> Result:
    """Of a probe of a server that answers so."""

    async def main() -> Result:
        async with listening(answer) as port:
            return await probe(endpoint(port, type_, **fields), resolve)

    return run(main())


def test_success_is_said_in_aws_words() -> None:
    """GetHealthCheckStatus: `lockstep status` and people read it."""
    assert result_of(saying(OK)) == Result(True, "Success: HTTP Status Code 200, OK")


def test_a_checker_asks_from_the_health_checkers_address() -> None:
    """A balancer that is open to clients only couldn't tell it from one of them."""
    peers: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        await saying(OK)(reader, writer)

    assert result_of(answer).passed
    assert peers == [HEALTH_CHECKERS]


@pytest.mark.parametrize(
    ("status", "passed"),
    [
        ("200 OK", True),
        ("204 No Content", True),
        ("302 Found", True),
        ("399 X", True),
        ("199 X", False),
        ("400 Bad Request", False),
        ("404 Not Found", False),
        ("503 Service Unavailable", False),
    ],
)
def test_a_status_of_2xx_or_3xx_passes(status: str, passed: bool) -> None:
    """The page, "HTTP and HTTPS health checks"; a balancer without targets says 503, a redirect is alive."""
    found = result_of(saying(head(status, "Content-Length: 0")))
    described = f"HTTP Status Code {status.replace(' ', ', ', 1)}"
    assert found == Result(passed, f"Success: {described}" if passed else f"{RESOLVED}{described}")


def test_a_redirect_is_not_followed() -> None:
    """The page: the status is what counts; followed, a dead site would be as healthy as the one it points at."""
    assert result_of(saying(head("301 Moved Permanently", "Location: http://nowhere.example/"))).passed


@pytest.mark.parametrize(("seconds", "passed"), [(1.9, True), (2.1, False)])
def test_the_status_is_due_two_seconds_after_the_connection(seconds: float, passed: bool) -> None:
    """The page: "within two seconds after connecting"."""
    found = result_of(saying(seconds, OK))
    assert found.passed == passed
    assert passed or found.status == RESOLVED + probes.ANSWER_TIMED_OUT


def test_a_status_that_trickles_in_is_late_as_well() -> None:
    """The page: the status is due, not its first byte."""
    assert not result_of(saying(b"HTTP/1.1 ", 1.5, b"200 ", 1.5, b"OK\r\n\r\n")).passed


@pytest.mark.parametrize(("type_", "seconds"), [("HTTP", 4), ("HTTP_STR_MATCH", 4), ("HTTPS", 4), ("TCP", 10)])
def test_a_connection_is_given_up_after_four_seconds_and_ten_for_tcp(type_: str, seconds: float) -> None:
    """The page: a region whose packets vanish is found out that much later than one that refuses."""

    async def main() -> None:
        async with vanished() as port:
            begun = now()
            found = await probe(endpoint(port, type_, search="x"), resolve)
            assert found == Result(False, RESOLVED + probes.CONNECT_TIMED_OUT)
            assert now() - begun == pytest.approx(seconds)

    run(main())


def test_a_refused_connection_fails_at_once() -> None:
    """A region that refuses is found out sooner than one that vanishes."""

    async def main() -> None:
        found = await probe(endpoint(free_port()), resolve)
        assert found == Result(False, RESOLVED + probes.REFUSED)
        assert now() == 0

    run(main())


def test_a_connection_that_is_closed_fails_at_once() -> None:
    """A process that dies; public reports have AWS's words."""
    assert result_of(saying()) == Result(False, f"{RESOLVED}The connection was closed by the endpoint.")


def test_what_is_not_http_fails() -> None:
    """A port of something else is no endpoint."""
    assert result_of(saying(b"220 mail.example.com ESMTP\r\n")) == Result(False, RESOLVED + probes.NOT_HTTP)
    assert result_of(saying(b"x" * 100_000)) == Result(False, RESOLVED + probes.NOT_HTTP)


def test_tcp_needs_a_connection_and_nothing_else() -> None:
    """The page, "TCP health checks"."""
    assert result_of(saying(60.0), "TCP").passed


# --- string match


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        (b"all is well", True),
        (b"x" * (5120 - 4) + b"well", True),
        (b"x" * (5120 - 3) + b"well", False),
        (b"all is WELL", False),
        (b"", False),
    ],
)
@pytest.mark.parametrize("form", ["length", "chunked", "until the end"])
def test_the_string_is_within_the_first_5120_bytes_of_the_body(form: str, body: bytes, passed: bool) -> None:
    """The page: "must appear entirely in the first 5,120 bytes"; HealthCheckConfig, "SearchString": case counts."""
    if form == "length":
        said = head("200 OK", f"Content-Length: {len(body)}") + body
    elif form == "chunked":
        chunks = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        encoded = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        said = head("200 OK", "Transfer-Encoding: chunked") + encoded + b"0\r\n\r\n"
    else:
        said = head("200 OK") + body
    found = result_of(saying(said), "HTTP_STR_MATCH", search="well")
    assert found.passed == passed
    assert passed or "The search string is not in the first 5120 bytes" in found.status


@pytest.mark.parametrize(("seconds", "passed"), [(1.9, True), (2.1, False)])
def test_the_body_is_due_two_seconds_after_the_status(seconds: float, passed: bool) -> None:
    """The page: "within the next two seconds", whatever the status took."""
    found = result_of(
        saying(1.9, head("200 OK", "Content-Length: 4"), seconds, b"well"), "HTTP_STR_MATCH", search="well"
    )
    assert found.passed == passed
    assert passed or found.status == RESOLVED + probes.BODY_TIMED_OUT


def test_the_string_does_not_make_up_for_the_status() -> None:
    """The page: 2xx or 3xx is due as for other HTTP checks; an error page may have the string."""
    found = result_of(saying(head("500 Oops", "Content-Length: 4") + b"well"), "HTTP_STR_MATCH", search="well")
    assert found == Result(False, f"{RESOLVED}HTTP Status Code 500, Oops")


def test_a_body_does_not_matter_without_a_string() -> None:
    """The page: the status decides."""
    assert result_of(saying(head("200 OK", "Content-Length: 4"), 60.0)).passed


def test_the_rest_of_an_answer_is_read_after_the_verdict() -> None:
    """RequestInterval begins with the response: a checker that read on would be late; one that did not would reset."""
    told, sent = asyncio.Event(), []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head("200 OK"))
        await told.wait()
        for _ in range(3):
            writer.write(b"more")
            await writer.drain()
            sent.append(True)
            await asyncio.sleep(0.01)

    async def main() -> None:
        async with listening(answer) as port:
            assert (await probe(endpoint(port), resolve)).passed
            told.set()
            while len(sent) < 3:
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 60))


# --- the request


def test_the_request_is_what_aws_sends() -> None:
    """HealthCheckConfig, "FullyQualifiedDomainName": the Host header has the port unless it is 80; public logs have the
    user agent.
    """
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def main() -> int:
        async with listening(answer) as port:
            checked = endpoint(port, path="/health?full=1")
            assert (await probe(checked, resolve)).passed
            return port

    port = run(main())
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "GET /health?full=1 HTTP/1.1"
    assert f"Host: {NAME}:{port}" in lines
    assert "User-Agent: Amazon-Route53-Health-Check-Service (ref check; report http://amzn.to/1vsZADi)" in lines
    assert endpoint(80).host == NAME
    assert endpoint(443).host == f"{NAME}:443"


def test_without_a_name_the_host_is_the_address() -> None:
    """HealthCheckConfig: "substitutes the value of IPAddress in the Host header"."""
    assert endpoint(443, "HTTPS", name=None, address="198.51.100.7").host == "198.51.100.7"
    assert endpoint(80, "HTTPS", name=None, address="198.51.100.7").host == "198.51.100.7:80"


# --- names and addresses


@pytest.mark.parametrize("error", [NoSuchNameError("no such name"), TimeoutError("no answer")])
def test_a_name_that_does_not_resolve_fails(error: Exception) -> None:
    """HealthCheckConfig: 'the health check fails with a "DNS resolution failed" error'."""

    async def unknown(_: str) -> str:
        raise error

    assert run(probe(endpoint(80), unknown)) == Result(False, f"Failure: DNS resolution failed: {error}")


def test_nothing_is_sent_to_other_machines() -> None:
    """A sandbox that probes the internet would be a nuisance, and one that says "healthy" of it would be wrong."""
    other = Endpoint(id="x", version=1, type="HTTP", port=80, interval=10, threshold=1, address="8.8.8.8")
    found = run(probe(other, resolve))
    assert not found.passed
    assert "Port 80 of 8.8.8.8 is not the sandbox's" in found.status
    assert "Port 60000 of 127.70.0.1 is not the sandbox's" in run(probe(endpoint(60000), resolve)).status


def test_a_blind_checker_sees_nothing_for_as_long_as_a_connection_may_take() -> None:
    """Its packets get lost, as those to a region that vanishes."""

    async def main() -> None:
        assert await blind_probe(endpoint(80)) == Result(False, f"Failure: {probes.CONNECT_TIMED_OUT}")
        assert now() == 4
        await blind_probe(endpoint(80, "TCP"))
        assert now() == 14

    run(main())


# --- HTTPS


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's, self-signed, of another name, and out of date."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other.example")])
    ended = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ended - timedelta(days=1))
        .not_valid_after(ended)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize("sends_name", [True, False])
def test_https_takes_any_certificate_and_sends_the_name_if_it_is_to(tmp_path: Path, sends_name: bool) -> None:
    """The page: "HTTPS health checks don't validate SSL/TLS certificates"; HealthCheckConfig, "EnableSNI"."""
    context, asked = certificate(tmp_path), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def main() -> Result:
        async with listening(saying(OK), ssl=context) as port:
            return await probe(endpoint(port, "HTTPS", sends_name=sends_name), resolve)

    assert run(main()) == Result(True, "Success: HTTP Status Code 200, OK")
    assert asked == [NAME if sends_name else None]


def test_https_of_a_port_without_tls_fails() -> None:
    """A listener of HTTP at the port of HTTPS serves nobody."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    found = result_of(answer, "HTTPS")
    assert not found.passed
    assert found.status.startswith(RESOLVED)


# --- the sandbox's speed


def test_time_outs_run_at_the_sandboxs_speed_but_not_below_what_work_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """At speed 6 four seconds are two thirds; at 60 a busy machine would look dead if they were a fifteenth."""

    async def main() -> list[float]:
        times = []
        for speed in (6.0, 60.0):
            monkeypatch.setattr(clock, "SPEED", speed)
            begun = now()
            await blind_probe(endpoint(80))
            times.append(now() - begun)
        return times

    assert run(main()) == [pytest.approx(4 / 6), pytest.approx(probes.LEAST_TIMEOUT)]
    assert probes.ANSWER_SECONDS / 6 > probes.LEAST_TIMEOUT
