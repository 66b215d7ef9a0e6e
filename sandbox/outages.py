"""Losing a region of a sandbox that is up, and having it back: what `lockstep sandbox break` and `heal` ask the API."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lockstep.errors import FailedUnchangedError, IncompleteError, InvalidInputError
from sandbox.state import SandboxState

CONTROL_PLANES: Final = {"iam": "us-east-1", "route53": "us-east-1"}
"""Where requests of global services are served, whatever region they are signed for (AWS Fault Isolation Boundaries,
"Global services").
"""

PATH: Final = "/_sandbox/outages"
"""On the API: `GET` tells how each lost region is lost, `POST` loses one or has it back. See `sandbox.api.outages`."""

# A region with many machines takes a moment to stand still. Real seconds.
_ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Outage:
    """How a region is lost (`sandbox.standstill.WAYS`), since when (seconds of `time.time`), and how many of its
    processes stand still.
    """

    how: str
    processes: int
    since: float


def lose(record: SandboxState, region: str, how: str) -> dict[str, Outage]:
    """Have `region` be lost, wait until it is, and return all that are.

    Raises InvalidInputError if AWS has no such region.
    """
    return _ask(record, {"region": region, "how": how})


def heal(record: SandboxState, region: str | None) -> dict[str, Outage]:
    """Have `region`, or every lost one, go on where it was, and return those still lost.

    Raises InvalidInputError if AWS has no such region.
    """
    return _ask(record, {"region": region, "how": None})


def current(record: SandboxState) -> dict[str, Outage]:
    """What is lost now, by region."""
    return _ask(record, None)


def _ask(record: SandboxState, wanted: Mapping[str, str | None] | None) -> dict[str, Outage]:
    connection = http.client.HTTPConnection(urlsplit(record.addresses["api"]).netloc, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET" if wanted is None else "POST", PATH, json.dumps(wanted) if wanted else None)
        answer = connection.getresponse()
        given = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        silent = f"the sandbox's API on {record.addresses['api']} gave no answer: {error}"
        if wanted is None:
            raise FailedUnchangedError(silent, "look at it with `lockstep sandbox status`") from error
        raise IncompleteError(
            f"{silent}. It may be doing it all the same", "`lockstep sandbox status` shows which regions are lost"
        ) from error
    finally:
        connection.close()
    if answer.status == http.client.BAD_REQUEST:
        raise InvalidInputError(given["error"], "`lockstep status` shows the sites' regions")
    if answer.status != http.client.OK:
        raise FailedUnchangedError(
            f"the sandbox's API answered HTTP {answer.status}: {given.get('error')}",
            "its log is in the folder that `lockstep sandbox status` names",
        )
    return {region: Outage(**each) for region, each in given.items()}
