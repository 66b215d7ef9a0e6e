"""Requests to a site by its name, as a user's machine makes them: a question to the name server, then HTTP.

Without the gateway, and without anything that is kept between two requests.
"""

import http.client
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.gateway.destination import Destination, Target, UnreachableError, connect, locate

ANSWER_SECONDS: Final = 10.0
"""How long an answer may stand still; real seconds, as in all of `lockstep`."""

RELEASE_HEADER: Final = "Lockstep-Release"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one request. Without an answer, `status` is None and `failure` says why, in one line.

    `seconds` is real time, from the question to the end of the answer.
    """

    destination: Destination | None = None
    status: int | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    failure: str = ""
    seconds: float = 0.0

    @property
    def address(self) -> str | None:
        """Who was asked: ADDRESS:PORT."""
        return f"{self.destination.address}:{self.destination.port}" if self.destination else None

    @property
    def release(self) -> str | None:
        """The release that answered, if it says so."""
        return next((value for name, value in self.headers if name.lower() == RELEASE_HEADER.lower()), None)

    @property
    def is_good(self) -> bool:
        """Whether it was answered, and not by an error."""
        return self.status is not None and self.status < http.client.BAD_REQUEST

    def to_json(self) -> dict[str, Any]:
        """One of `requests` of `lockstep sandbox request --json`."""
        return {
            "address": self.address,
            "names": list(self.destination.names) if self.destination else [],
            "status": self.status,
            "release": self.release,
            "headers": [list(each) for each in self.headers],
            "body": self.body.decode(errors="replace"),
            "failure": self.failure or None,
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True)
class Summary:
    """How many answers came from each release and each address with each status, and why the others didn't come."""

    answers: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Summary":
        """Counted."""
        answered = [each for each in outcomes if each.status is not None]
        return cls(
            Counter((each.release or "", each.address or "", each.status or 0) for each in answered),
            Counter(each.failure for each in outcomes if each.status is None),
        )

    def to_json(self) -> dict[str, Any]:
        """`summary` of `lockstep sandbox request --json`."""
        return {
            "answers": [
                {"release": release or None, "address": address, "status": status, "count": count}
                for (release, address, status), count in sorted(self.answers.items())
            ],
            "failures": [{"failure": failure, "count": count} for failure, count in sorted(self.failures.items())],
        }


def ask(target: Target, name_server: tuple[str, int], authority: Path | None = None) -> Outcome:
    """One GET, on a connection of its own; redirects aren't followed.

    Over HTTPS the answer counts only with a certificate that `authority`, a PEM file, vouches for.
    """
    begun = time.monotonic()
    destination = None
    try:
        destination = locate(target, name_server)
        return _get(target, destination, begun, authority)
    except UnreachableError as error:
        failure = str(error)
    except TimeoutError:
        failure = (
            f"{target.host} is {destination and destination.address}, which gave no answer in {ANSWER_SECONDS:g} s"
        )
    except (OSError, http.client.HTTPException) as error:
        failure = f"{target.host} is {destination and destination.address}, which broke off its answer: {_words(error)}"
    return Outcome(destination=destination, failure=failure, seconds=time.monotonic() - begun)


def _get(target: Target, destination: Destination, begun: float, authority: Path | None) -> Outcome:
    connection = http.client.HTTPConnection(destination.address, destination.port)
    connection.sock = connect(target, destination)
    connection.sock.settimeout(ANSWER_SECONDS)
    if target.secure:
        connection.sock = _secured(connection.sock, target.host, authority)
    try:
        connection.request("GET", target.path, headers={"Host": target.authority, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return Outcome(
        destination=destination,
        status=answer.status,
        reason=answer.reason,
        headers=tuple(answer.getheaders()),
        body=body,
        seconds=time.monotonic() - begun,
    )


def _secured(plain: socket.socket, host: str, authority: Path | None) -> socket.socket:
    # Most requests are without.
    import ssl

    try:
        return ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
