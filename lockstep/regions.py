"""The same work in several regions at once, and what a region's failure means.

An error of AWS is never turned into an empty answer: it is kept beside the answers of the other regions, with what it
means and what to do, until somebody decides whether the work can go on without that region.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from lockstep import aws
from lockstep.errors import (
    FailedUnchangedError,
    IncompleteError,
    InvalidInputError,
    LockstepError,
    RegionUnreachableError,
)

Result = TypeVar("Result")

# AWS General Reference, "Common errors", and each service's own; botocore has tried three times by then.
_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
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
        "InvalidToken",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)


# botocore has no common class for them: ConnectTimeoutError and EndpointConnectionError are of the first kind,
# ReadTimeoutError and ConnectionClosedError of the second, and the third is an answer that ended too soon.
_NO_ANSWER: Final = (ConnectionError, HTTPClientError, IncompleteReadError)
# Raised before anything is sent: the login is missing, incomplete, or has run out.
_NO_LOGIN: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_LOG_IN: Final = 'for the sandbox, run `eval "$(lockstep sandbox env)"`; for AWS, log in'
_DO_IT: Final = "do what it says, then run this again"


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
    if isinstance(error, _NO_LOGIN):
        nothing = isinstance(error, NoCredentialsError)
        said = "there are no AWS credentials in the environment" if nothing else f"no valid AWS credentials: {error}"
        return RegionFailure(
            region=region,
            kind=FailureKind.DENIED,
            code=type(error).__name__,
            text=f"{region}: {said}",
            remedy=_LOG_IN,
        )
    unreachable = isinstance(error, _NO_ANSWER)
    call = f" ({named})" if (named := aws.call_of(error)) else ""
    return RegionFailure(
        region=region,
        kind=FailureKind.UNREACHABLE if unreachable else FailureKind.REFUSED,
        code=type(error).__name__,
        text=f"{region} doesn't answer{call}: {error}" if unreachable else f"{region}{call}: {error}",
        remedy=_wait_for(region) if unreachable else _DO_IT,
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


def _wait_for(region: str) -> str:
    return f"see AWS Health for {region} (in the sandbox, `lockstep sandbox status`), then run this again"


def _refusal(region: str, error: ClientError) -> RegionFailure:
    answer: Any = error.response
    code, said = str(answer["Error"].get("Code", "")), str(answer["Error"].get("Message", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind, remedy = FailureKind.REFUSED, _DO_IT
    if code in _THROTTLED or status == 429:
        kind, remedy = FailureKind.THROTTLED, "wait a minute, then run this again"
    elif code in _DENIED or status == 401 or (status == 403 and code in ("403", "Forbidden")):
        kind, remedy = FailureKind.DENIED, "log in with a role that may do this, then run this again"
    elif status >= 500:
        kind = FailureKind.UNREACHABLE
        remedy = _wait_for(region)
    return RegionFailure(
        region=region,
        kind=kind,
        code=code,
        text=f"{region}: {aws.call_of(error)} failed with {code or status}{f': {said}' if said else ''}",
        remedy=remedy,
    )
