"""Asks a site at its own name which release it serves, as its users would: new connections, no redirects followed.

`LOCKSTEP_HTTP_PROXY` names a proxy for these requests, for operators whose machine reaches the sites only through one;
it alone: a proxy for everything else (HTTP_PROXY) may well not reach them.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from urllib3 import HTTPHeaderDict, PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import HTTPError, MaxRetryError

PROXY_VARIABLE: Final = "LOCKSTEP_HTTP_PROXY"
RELEASE_HEADER: Final = "Lockstep-Release"
"""The header in which an application's answers name the release; see the README, "What your application does"."""


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
    """Requests to `http://DOMAIN PATH`."""

    def __init__(self, domain: str, path: str, *, environ: Mapping[str, str] = os.environ) -> None:
        self._url = f"http://{domain}{path}"
        self._proxy = environ.get(PROXY_VARIABLE)

    @property
    def url(self) -> str:
        """What is asked."""
        return self._url

    def check(self, times: int, timeout: float) -> ProbeResult:
        """Ask `times` times, each on a connection of its own, `timeout` seconds at most for each step."""
        answers: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        pool = ProxyManager(self._proxy) if self._proxy else PoolManager()
        with pool:
            for _ in range(times):
                release, reason = self._ask(pool, timeout)
                if reason:
                    failures[reason] += 1
                else:
                    answers[release] += 1
        return ProbeResult(dict(answers), dict(failures))

    def _ask(self, pool: PoolManager, timeout: float) -> tuple[str, str]:
        """The release that answered, and why it wasn't a good answer; one of them empty."""
        try:
            answer = pool.request(
                "GET",
                self._url,
                # A kept connection would ask the same balancer node, and behind a proxy the same instance, again.
                headers={"Connection": "close"},
                timeout=Timeout(connect=timeout, read=timeout),
                retries=Retry(0, redirect=False, raise_on_status=False, raise_on_redirect=False),
                redirect=False,
            )
        except HTTPError as error:
            return "", _reason(error)
        if not 200 <= answer.status < 400:
            return "", f"HTTP {answer.status}{_said(answer.headers)}"
        release = answer.headers.get(RELEASE_HEADER, "")
        return release, "" if release else f"an answer without the header {RELEASE_HEADER}"


def _said(headers: HTTPHeaderDict) -> str:
    said = headers.get("X-Lockstep-Gateway-Error", "")
    return f": {said}" if said else ""


def _reason(error: HTTPError) -> str:
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    return type(cause).__name__
