"""Asks a site at its own name which release it serves, as its users would: new connections, no redirects followed.

`LOCKSTEP_HTTP_PROXY` names a proxy for these requests, for operators whose machine reaches the sites only through one;
it alone: a proxy for everything else (HTTP_PROXY) may well not reach them. `LOCKSTEP_CA_BUNDLE` names a file of
authorities that are trusted beside the system's, for sites whose certificates aren't a public authority's.
"""

import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from lockstep.errors import InvalidInputError

if TYPE_CHECKING:
    import ssl

PROXY_VARIABLE: Final = "LOCKSTEP_HTTP_PROXY"
BUNDLE_VARIABLE: Final = "LOCKSTEP_CA_BUNDLE"
RELEASE_HEADER: Final = "Lockstep-Release"
"""The header in which every answer of an application names its release."""

# Requests at once. Enough that a site that is silent costs a few time-outs and not one for each request, and few
# enough to be no load.
_AT_ONCE: Final = 5


@dataclass(frozen=True)
class ProbeResult:
    """Answers by the release that they name, and failures by their reason."""

    by_release: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)

    def all_from(self, release: str) -> bool:
        """Whether every request was answered well, by `release`."""
        return not self.failures and set(self.by_release) == {release}

    def summary(self) -> str:
        """All of it in one line."""
        parts = [f"{count} by {release}" for release, count in sorted(self.by_release.items())]
        parts += [f"{count} failed ({reason})" for reason, count in sorted(self.failures.items())]
        return ", ".join(parts) or "nothing was asked"


class SiteProbe:
    """Requests to `http://DOMAIN PATH`, or `https://` with `https`.

    Raises InvalidInputError if `LOCKSTEP_HTTP_PROXY` isn't a proxy's URL, or `LOCKSTEP_CA_BUNDLE` no file of
    certificates.
    """

    def __init__(self, domain: str, path: str, *, https: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        self._url = f"{'https' if https else 'http'}://{domain}{path}"
        self._context = _context(environ.get(BUNDLE_VARIABLE)) if https else None
        self._proxy = environ.get(PROXY_VARIABLE)
        if self._proxy:
            _check_proxy(self._proxy)

    @property
    def url(self) -> str:
        """What is asked."""
        return self._url

    def check(self, times: int, timeout: float) -> ProbeResult:
        """Ask `times` times, each on a connection of its own, `timeout` seconds at most for each step of a request."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            outcomes = list(pool.map(lambda _: self._ask(timeout), range(times)))
        answers = Counter(release for release, reason in outcomes if not reason)
        failures = Counter(reason for _, reason in outcomes if reason)
        return ProbeResult(dict(answers), dict(failures))

    def _pool(self) -> PoolManager:
        options: dict[str, Any] = {} if self._context is None else {"ssl_context": self._context}
        return ProxyManager(self._proxy, **options) if self._proxy else PoolManager(**options)

    def _ask(self, timeout: float) -> tuple[str, str]:
        """The release that answered, and why it wasn't a good answer; one of them empty."""
        # A pool of its own: a connection that is kept asks the same node of the balancer again, and behind a proxy the
        # same instance.
        with self._pool() as pool:
            try:
                answer = pool.request(
                    "GET",
                    self._url,
                    headers={"Connection": "close"},
                    timeout=Timeout(connect=timeout, read=timeout),
                    retries=False,
                    redirect=False,
                )
            except HTTPError as error:
                return "", _reason(error, timeout)
        return _judge(answer)


def _context(bundle: str | None) -> "ssl.SSLContext":
    # Sites without TLS do without OpenSSL, which takes its time to load.
    import ssl

    context = ssl.create_default_context()
    if bundle:
        try:
            context.load_verify_locations(bundle)
        except OSError as error:
            raise InvalidInputError(
                f"{BUNDLE_VARIABLE} is {bundle!r}, which holds no certificates: {error.strerror or error}",
                f"export {BUNDLE_VARIABLE}=FILE.pem, or unset it",
            ) from error
    return context


def _check_proxy(url: str) -> None:
    try:
        with ProxyManager(url) as manager:
            if not manager.proxy or not manager.proxy.host:
                raise LocationValueError("it names no host")
    except LocationValueError as error:
        raise InvalidInputError(
            f"{PROXY_VARIABLE} is {url!r}, which isn't the URL of a proxy: {error}",
            f"export {PROXY_VARIABLE}=http://HOST:PORT, or unset it",
        ) from error


def _judge(answer: BaseHTTPResponse) -> tuple[str, str]:
    if not 200 <= answer.status < 400:
        said = answer.headers.get("X-Lockstep-Gateway-Error", "")
        return "", f"HTTP {answer.status}{f': {said}' if said else ''}"
    release = answer.headers.get(RELEASE_HEADER, "")
    if not release:
        return "", f"an answer without the header {RELEASE_HEADER}, in which the application must send its version"
    return release, ""


def _reason(error: HTTPError, timeout: float) -> str:
    """Why there was no answer, in the same words for every request, so that they can be counted."""
    if isinstance(error, ProxyError):
        cause = error.original_error
        why = _reason(cause, timeout) if isinstance(cause, HTTPError) else _last_words(cause)
        return f"the proxy of {PROXY_VARIABLE}: {why}"
    if isinstance(error, NameResolutionError):
        return "its name isn't known to DNS"
    if isinstance(error, NewConnectionError):
        return "the connection was refused" if "refused" in str(error) else f"no connection: {_last_words(error)}"
    if isinstance(error, ConnectTimeoutError):
        return f"no connection within {timeout:g} s"
    if isinstance(error, ReadTimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, SSLError):
        return f"its certificate isn't trusted, or TLS failed: {_last_words(error)}"
    if isinstance(error, ProtocolError):
        return f"the connection broke off: {_last_words(error)}"
    return f"{type(error).__name__}: {_last_words(error)}"


def _last_words(error: Exception) -> str:
    """The system's own text, on one line; what urllib3 puts before it has addresses of objects in it."""
    cause = error.__cause__ or error.__context__ or (error.args[-1] if error.args else error)
    return " ".join(str(getattr(cause, "strerror", None) or cause).split())
