"""The same work in several regions at once, and what a region's failure means.

An error of AWS is never turned into an empty answer: it is kept beside the answers of the other regions, with what it
means and what to do, until somebody decides whether the work can go on without that region.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from lockstep import aws
from lockstep.errors import (
    FailedUnchangedError,
    IncompleteError,
    InvalidInputError,
    LockstepError,
    RegionUnreachableError,
)

Result = TypeVar("Result")

# AWS General Reference, "Common errors", and each service's own; botocore retries these three times before.
_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "PriorRequestNotComplete",
    }
)
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)


class FailureKind(StrEnum):
    """Why a region didn't do what it was asked."""

    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    DENIED = "denied"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class RegionFailure:
    """What a region answered instead. `text` names region, service and operation; `remedy` is what to do."""

    region: str
    kind: FailureKind
    code: str
    text: str
    remedy: str

    @property
    def may_pass(self) -> bool:
        """Whether asking again, later, may succeed."""
        return self.kind in (FailureKind.UNREACHABLE, FailureKind.THROTTLED)


def classify(region: str, error: BotoCoreError | ClientError) -> RegionFailure:
    """What `error`, raised by a call in `region`, means."""
    if isinstance(error, ClientError):
        return _refusal(region, error)
    if isinstance(error, NoCredentialsError):
        return RegionFailure(
            region=region,
            kind=FailureKind.DENIED,
            code=type(error).__name__,
            text=f"{region}: there are no AWS credentials in the environment",
            remedy='for the sandbox, run `eval "$(lockstep sandbox env)"`; for AWS, log in',
        )
    unreachable = isinstance(error, HTTPClientError)
    call = f" ({named})" if (named := aws.call_of(error)) else ""
    return RegionFailure(
        region=region,
        kind=FailureKind.UNREACHABLE if unreachable else FailureKind.REFUSED,
        code=type(error).__name__,
        text=f"{region} doesn't answer{call}: {error}" if unreachable else f"{region}{call}: {error}",
        remedy=f"see AWS Health for {region} (in the sandbox, `lockstep sandbox status`), then run this again",
    )


def in_every_region(
    regions: Iterable[str], work: Callable[[str], Result]
) -> tuple[dict[str, Result], dict[str, RegionFailure]]:
    """Run `work` in all of `regions` in parallel; returns the answers and the failures, by region.

    Anything but an error of AWS is raised, after all have ended.
    """
    wanted = tuple(regions)
    answers: dict[str, Result] = {}
    failures: dict[str, RegionFailure] = {}
    with ThreadPoolExecutor(max_workers=len(wanted) or 1) as pool:
        running = {region: pool.submit(work, region) for region in wanted}
    for region, future in running.items():
        error = future.exception()
        if error is None:
            answers[region] = future.result()
        elif isinstance(error, BotoCoreError | ClientError):
            failures[region] = classify(region, error)
        else:
            raise error
    return answers, failures


def as_error(
    failures: Mapping[str, RegionFailure], left: str = "nothing was changed", *, settle: bool = False
) -> LockstepError:
    """The one error that `failures` are to a user. `left` says how things are; `settle`, that they are half done."""
    worst = sorted(failures.values(), key=lambda each: (not each.may_pass, each.region))
    text = "; ".join(each.text for each in worst)
    if settle:
        return IncompleteError(f"{text}; {left}", "lockstep settle")
    kind: type[LockstepError] = FailedUnchangedError
    if all(each.may_pass for each in worst):
        kind = RegionUnreachableError
    elif all(each.kind is FailureKind.DENIED for each in worst):
        kind = InvalidInputError
    return kind(f"{text}; {left}", worst[0].remedy)


def raise_for(
    failures: Mapping[str, RegionFailure], left: str = "nothing was changed", *, settle: bool = False
) -> None:
    """Raise `as_error(...)` if there is any failure."""
    if failures:
        raise as_error(failures, left, settle=settle)


def _refusal(region: str, error: ClientError) -> RegionFailure:
    answer: Any = error.response
    code, said = str(answer["Error"].get("Code", "")), str(answer["Error"].get("Message", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind, remedy = FailureKind.REFUSED, "do what it says, then run this again"
    if code in _THROTTLED:
        kind, remedy = FailureKind.THROTTLED, "wait a minute, then run this again"
    elif code in _DENIED or status == 401 or (status == 403 and code in ("403", "Forbidden")):
        kind, remedy = FailureKind.DENIED, "log in with a role that may do this, then run this again"
    elif status >= 500:
        kind = FailureKind.UNREACHABLE
        remedy = f"see AWS Health for {region}, then run this again"
    return RegionFailure(
        region=region,
        kind=kind,
        code=code,
        text=f"{region}: {aws.call_of(error)} failed with {code or status}{f': {said}' if said else ''}",
        remedy=remedy,
    )
