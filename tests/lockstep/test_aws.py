"""Whose account it is: asked of one region after the other, and told plainly if nobody can say."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, UnauthorizedSSOTokenError

from lockstep import aws as factory
from lockstep.errors import ExitCode, FailedUnchangedError, InvalidInputError, LockstepError, RegionUnreachableError
from sandbox.api import faults
from sandbox.api.server import ApiServer

ACCOUNT = "123456789012"
FIRST, SECOND = REGIONS = ("eu-central-1", "eu-west-1")


@pytest.fixture
def set_faults(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`set_faults({"kind": ...})` for the API, which `lockstep.aws` uses."""
    for name, value in {
        "AWS_ENDPOINT_URL": api.endpoint_url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
    }.items():
        monkeypatch.setenv(name, value)
    yield lambda *wanted: faults._replace(list(wanted))
    faults.reset()


def asked_of(*errors: Exception | None) -> tuple[Callable[[str, str], Any], list[str]]:
    """Clients of STS that fail so, region by region; and the regions that were asked."""
    asked: list[str] = []

    class Sts:
        def __init__(self, region: str) -> None:
            self.region = region

        def get_caller_identity(self) -> dict[str, str]:
            asked.append(self.region)
            if error := errors[REGIONS.index(self.region)]:
                raise error
            return {"Account": ACCOUNT}

    return lambda service, region: Sts(region), asked


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetCallerIdentity")


def test_the_first_region_that_answers_tells_the_account(set_faults: Callable[..., None]) -> None:
    """One region's STS is as good as the other's, and a region that is lost is what all of this is for."""
    assert factory.account_id(factory.client, REGIONS) == ACCOUNT
    for kind in ("throttle", "refuse"):
        set_faults({"kind": kind, "region": FIRST, "service": "sts"})
        assert factory.account_id(factory.client, REGIONS) == ACCOUNT


@pytest.mark.parametrize(
    "error",
    [refusal("InternalFailure", 500), refusal("Throttling", 400), EndpointConnectionError(endpoint_url="https://sts")],
    ids=str,
)
def test_what_may_pass_is_the_regions_own(error: Exception) -> None:
    """Nothing is said of the credentials by that."""
    clients, asked = asked_of(error, None)
    assert factory.account_id(clients, REGIONS) == ACCOUNT
    assert asked == [FIRST, SECOND]


@pytest.mark.parametrize(
    "error",
    [
        refusal("ExpiredToken", 403),
        refusal("InvalidClientTokenId", 403),
        UnauthorizedSSOTokenError(),
        NoCredentialsError(),
    ],
    ids=str,
)
def test_a_login_that_isnt_valid_is_told_as_such_and_asked_once(error: Exception) -> None:
    """Every morning's first command: it is nobody's defect, and "log in" is the whole answer."""
    clients, asked = asked_of(error, error)
    with pytest.raises(InvalidInputError) as caught:
        factory.account_id(clients, REGIONS)
    assert caught.value.exit_code == ExitCode.INVALID
    assert caught.value.message.startswith(f"{FIRST}: ")
    assert caught.value.message.endswith("; nothing was changed")
    assert "log in" in caught.value.remedy
    assert asked == [FIRST]


def test_a_login_that_isnt_valid_counts_more_than_a_region_that_is_down() -> None:
    """Whoever waits for the region finds then that it was the login."""
    clients, _ = asked_of(refusal("ServiceUnavailable", 503), refusal("ExpiredToken", 403))
    with pytest.raises(InvalidInputError, match=f"^{SECOND}: .*ExpiredToken"):
        factory.account_id(clients, REGIONS)


def test_any_other_refusal_is_told_in_aws_words() -> None:
    """It is an answer, which nobody here could foresee."""
    clients, asked = asked_of(refusal("ValidationError", 400), None)
    with pytest.raises(FailedUnchangedError, match="ValidationError: why"):
        factory.account_id(clients, REGIONS)
    assert asked == [FIRST]


def test_the_real_api_denies_with_an_exit_status_of_3(set_faults: Callable[..., None]) -> None:
    """A role that may not ask who it is may do nothing here."""
    set_faults({"kind": "deny", "service": "sts"})
    with pytest.raises(LockstepError) as caught:
        factory.account_id(factory.client, REGIONS)
    assert caught.value.exit_code == ExitCode.INVALID
    assert f"{FIRST}: sts GetCallerIdentity failed with AccessDenied" in caught.value.message


def test_no_region_that_answers_is_an_unreachable_region_and_each_is_named() -> None:
    """With both regions silent it is more often the network here."""
    clients, asked = asked_of(EndpointConnectionError(endpoint_url="https://one"), refusal("ServiceUnavailable", 503))
    with pytest.raises(RegionUnreachableError) as caught:
        factory.account_id(clients, REGIONS)
    assert caught.value.exit_code == ExitCode.REGION_UNREACHABLE
    assert all(region in caught.value.message for region in REGIONS)
    assert caught.value.remedy
    assert asked == [FIRST, SECOND]
