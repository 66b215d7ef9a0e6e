"""What a region's failure means: pure where botocore's errors can be made, on the real API where they are AWS's."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lockstep import aws as factory
from lockstep.errors import (
    ExitCode,
    FailedUnchangedError,
    IncompleteError,
    InvalidInputError,
    LockstepError,
    RegionUnreachableError,
)
from lockstep.regions import FailureKind, RegionFailure, as_error, classify, in_every_region, raise_for
from sandbox.api import faults
from sandbox.api.server import ApiServer

REGION, OTHER = "eu-central-1", "eu-west-1"
PATIENCE = 10.0


def refusal(code: str, status: int = 400, message: str = "the reason") -> ClientError:
    """What botocore raises for an answer of AWS."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "DescribeThings",
    )


def failure(region: str = REGION, kind: FailureKind = FailureKind.UNREACHABLE) -> RegionFailure:
    return RegionFailure(region=region, kind=kind, code="C", text=f"{region} is {kind}", remedy=f"mend {region}")


URL = {"endpoint_url": "https://x"}
MEANINGS: list[tuple[BotoCoreError | ClientError, FailureKind]] = [
    (exceptions.EndpointConnectionError(**URL), FailureKind.UNREACHABLE),
    (exceptions.ConnectTimeoutError(**URL), FailureKind.UNREACHABLE),
    (exceptions.ReadTimeoutError(**URL), FailureKind.UNREACHABLE),
    (exceptions.ConnectionClosedError(**URL), FailureKind.UNREACHABLE),
    (exceptions.ProxyConnectionError(proxy_url="http://x"), FailureKind.UNREACHABLE),
    (exceptions.ResponseStreamingError(error="x"), FailureKind.UNREACHABLE),
    (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), FailureKind.UNREACHABLE),
    (refusal("InternalError", 500), FailureKind.UNREACHABLE),
    (refusal("ServiceUnavailable", 503), FailureKind.UNREACHABLE),
    (refusal("SlowDown", 503), FailureKind.THROTTLED),
    (refusal("ThrottlingException"), FailureKind.THROTTLED),
    (refusal("RequestLimitExceeded", 503), FailureKind.THROTTLED),
    (refusal("EC2ThrottledException"), FailureKind.THROTTLED),
    (refusal("Whatever", 429), FailureKind.THROTTLED),
    (refusal("AccessDenied", 403), FailureKind.DENIED),
    (refusal("UnauthorizedOperation", 403), FailureKind.DENIED),
    (refusal("ExpiredToken"), FailureKind.DENIED),
    (refusal("RequestExpired"), FailureKind.DENIED),
    (refusal("SignatureDoesNotMatch", 403), FailureKind.DENIED),
    # The answer to HEAD has no body: S3 API Reference, HeadObject.
    (refusal("403", 403), FailureKind.DENIED),
    (exceptions.NoCredentialsError(), FailureKind.DENIED),
    (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), FailureKind.DENIED),
    (exceptions.UnauthorizedSSOTokenError(), FailureKind.DENIED),
    (exceptions.SSOTokenLoadError(error_msg="x"), FailureKind.DENIED),
    (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), FailureKind.DENIED),
    (exceptions.CredentialRetrievalError(provider="x", error_msg="x"), FailureKind.DENIED),
    (exceptions.ProfileNotFound(profile="x"), FailureKind.DENIED),
    (refusal("NoSuchBucket", 404), FailureKind.REFUSED),
    (refusal("ValidationError"), FailureKind.REFUSED),
    (exceptions.ParamValidationError(report="x"), FailureKind.REFUSED),
]


@pytest.mark.parametrize(
    ("error", "kind"), MEANINGS, ids=[f"{type(error).__name__} {error}"[:60] for error, _ in MEANINGS]
)
def test_each_error_has_a_meaning(error: BotoCoreError | ClientError, kind: FailureKind) -> None:
    """Whoever takes a login that ran out for a region that is down fails over for nothing."""
    found = classify(REGION, error)
    assert found.kind is kind
    assert found.may_pass is (kind in (FailureKind.UNREACHABLE, FailureKind.THROTTLED))
    assert REGION in found.text
    assert ("log in" in found.remedy) is (kind is FailureKind.DENIED)
    assert ("AWS Health" in found.remedy) is (kind is FailureKind.UNREACHABLE)


def test_a_refusal_is_told_in_aws_words() -> None:
    """They name the value that is wrong, which nobody here knows."""
    found = classify(REGION, refusal("ValidationError", message="CIDR 10.0.0.0/99 is invalid"))
    assert found.text == f"{REGION}: DescribeThings failed with ValidationError: CIDR 10.0.0.0/99 is invalid"
    assert found.code == "ValidationError"


def test_a_refusal_without_words_has_its_status() -> None:
    """The answer to a HEAD request says nothing else."""
    assert classify(REGION, refusal("", 404, "")).text == f"{REGION}: DescribeThings failed with 404"


@pytest.fixture
def clients(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Clients of `lockstep.aws` in two regions; the one in REGION has little patience."""
    for name, value in {
        "AWS_ENDPOINT_URL": api.endpoint_url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
    }.items():
        monkeypatch.setenv(name, value)
    patient = factory.client("ec2", OTHER)
    hasty = Config(connect_timeout=5, read_timeout=0.3, retries={"total_max_attempts": 1})
    monkeypatch.setattr(factory, "CONFIG", hasty)
    yield {REGION: factory.client("ec2", REGION), OTHER: patient}
    faults.reset()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("refuse", FailureKind.UNREACHABLE),
        ("vanish", FailureKind.UNREACHABLE),
        ("throttle", FailureKind.THROTTLED),
        ("deny", FailureKind.DENIED),
    ],
)
def test_a_broken_region_is_named_with_the_call_and_the_others_answer(
    clients: dict[str, Any], kind: str, expected: FailureKind
) -> None:
    """A message without region, service and operation leaves the operator to guess in the night."""
    faults._replace([{"kind": kind, "region": REGION}])
    answers, failures = in_every_region([REGION, OTHER], lambda region: clients[region].describe_vpcs())
    assert list(answers) == [OTHER]
    assert list(failures) == [REGION]
    assert failures[REGION].kind is expected
    assert failures[REGION].text.startswith(REGION)
    assert "ec2 DescribeVpcs" in failures[REGION].text


def test_regions_are_asked_at_the_same_time() -> None:
    """One that takes its time, as a lost one does, would make the others wait."""
    together = threading.Barrier(2)

    def ask(region: str) -> str:
        together.wait(PATIENCE)
        return region.upper()

    assert in_every_region([REGION, OTHER], ask) == ({REGION: REGION.upper(), OTHER: OTHER.upper()}, {})
    assert in_every_region([], ask) == ({}, {})


def test_what_is_no_error_of_aws_is_raised_after_all_have_ended() -> None:
    """A defect of ours must not look like a region that is down, nor leave work running behind the message."""
    ended = []

    def ask(region: str) -> None:
        if region == REGION:
            raise KeyError("a defect")
        ended.append(region)

    with pytest.raises(KeyError, match="a defect"):
        in_every_region([REGION, OTHER], ask)
    assert ended == [OTHER]


def test_an_empty_answer_is_an_answer() -> None:
    """Nothing found and nobody asked are two things."""
    answers, failures = in_every_region([REGION], lambda region: None)
    assert answers == {REGION: None}
    assert not failures


ERRORS: list[tuple[list[RegionFailure], type[LockstepError], ExitCode]] = [
    ([failure()], RegionUnreachableError, ExitCode.REGION_UNREACHABLE),
    ([failure(kind=FailureKind.THROTTLED)], RegionUnreachableError, ExitCode.REGION_UNREACHABLE),
    ([failure(kind=FailureKind.DENIED)], InvalidInputError, ExitCode.INVALID),
    ([failure(kind=FailureKind.REFUSED)], FailedUnchangedError, ExitCode.FAILED_UNCHANGED),
    ([failure(), failure(OTHER, FailureKind.THROTTLED)], RegionUnreachableError, ExitCode.REGION_UNREACHABLE),
    ([failure(), failure(OTHER, FailureKind.REFUSED)], FailedUnchangedError, ExitCode.FAILED_UNCHANGED),
]


@pytest.mark.parametrize(("found", "kind", "code"), ERRORS)
def test_failures_become_one_error_that_names_all(
    found: list[RegionFailure], kind: type[LockstepError], code: ExitCode
) -> None:
    """Scripts try again on 7, and on nothing else."""
    error = as_error({each.region: each for each in found}, "every site serves 1.0.0")
    assert type(error) is kind
    assert error.exit_code is code
    assert all(each.text in error.message for each in found)
    assert error.message.endswith("; every site serves 1.0.0")
    assert error.remedy == f"mend {REGION}"


def test_half_done_work_says_so_whatever_failed() -> None:
    """Exit 7 means that nothing was changed."""
    error = as_error({REGION: failure()}, "half of it is done", settle=True)
    assert type(error) is IncompleteError
    assert (error.exit_code, error.remedy) == (ExitCode.INCOMPLETE, "lockstep settle")


def test_nothing_is_raised_where_nothing_failed() -> None:
    """Every command would end with an error."""
    raise_for({})
    with pytest.raises(RegionUnreachableError, match="nothing was changed"):
        raise_for({REGION: failure()})


def test_a_client_of_any_service_tells_its_calls(api: ApiServer, aws: Callable[..., Any]) -> None:
    """Errors of a client that wasn't made by the factory still name the operation."""
    faults._replace([{"kind": "deny", "region": REGION}])
    try:
        _, failures = in_every_region([REGION], lambda region: aws("ssm", region).get_parameter(Name="/x"))
    finally:
        faults.reset()
    assert "GetParameter failed with AccessDeniedException" in failures[REGION].text
