"""Requests to the sandbox's sites by their own names, as a resolver and an HTTP client would make them."""

import http.client
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from lockstep.errors import InvalidInputError, RegionUnreachableError
from lockstep.site_probe import RELEASE_HEADER
from sandbox.balancer.ports import PORT_OFFSET
from sandbox.dns.resolver import NoSuchNameError, Resolved, resolve
from sandbox.state import SandboxState

TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: where it came from, its status, the release that it names (None if it names none) and its body."""

    address: str
    ttl: int
    status: int
    release: str | None
    body: str

    def to_json(self) -> dict[str, Any]:
        """The object that `lockstep sandbox request --json` prints, one for each request."""
        return {
            "address": self.address,
            "ttl": self.ttl,
            "status": self.status,
            "release": self.release,
            "body": self.body,
        }


def request(record: SandboxState, url: str) -> Answer:
    """Resolve the name in `url` anew, and GET it. Redirects aren't followed.

    Raises InvalidInputError for anything but an http URL, RegionUnreachableError if there is no such name or nothing
    answers there.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInputError(
            f"{url!r} isn't a URL of the form http://NAME/PATH", "the sandbox's balancers speak HTTP"
        )
    host, _, port = record.addresses["dns"].rpartition(":")
    try:
        found = resolve(parts.hostname, (host, int(port)))
    except NoSuchNameError as error:
        raise RegionUnreachableError(str(error), "`lockstep up` makes the records; `dig` asks for others") from error
    return _get(found, parts.port or 80, parts.netloc, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")


def _get(found: Resolved, port: int, host: str, path: str) -> Answer:
    connection = http.client.HTTPConnection(found.address, port + PORT_OFFSET, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise RegionUnreachableError(
            f"{host} is {found.address}, and nothing answers at port {port + PORT_OFFSET} there: {error}",
            "`lockstep status` shows which site serves",
        ) from error
    finally:
        connection.close()
    return Answer(
        address=found.address,
        ttl=found.ttl,
        status=answer.status,
        release=answer.headers.get(RELEASE_HEADER),
        body=body,
    )
