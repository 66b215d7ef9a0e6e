"""Faults of the API, and the paths that set them."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from sandbox.api import faults
from sandbox.api.server import ApiServer
from tests.sandbox.checkout import eventually

ClientFactory = Callable[..., Any]


@pytest.fixture
def control(api: ApiServer) -> Iterator[Callable[..., Any]]:
    """`control(path, data)`: asks the sandbox's own paths; all faults are gone after the test."""

    def ask(path: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(f"{api.endpoint_url}/_sandbox/{path}", body, timeout=10) as answer:
            return json.load(answer)

    yield ask
    faults.reset()


def test_a_refusing_region_takes_no_other_region_along(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise a test of a lost region proves nothing about the one that is left."""
    control("faults", {"faults": [{"kind": "refuse", "region": "eu-west-1"}]})
    with pytest.raises(ConnectionClosedError):
        aws("ec2", "eu-west-1").describe_vpcs()
    assert aws("ec2", "eu-central-1").describe_vpcs()["Vpcs"]
    assert control("faults")["faults"][0]["hit"] >= 1


def test_a_vanished_region_answers_nobody_until_it_is_healed(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise time-outs of a client are never used."""
    control("faults", {"faults": [{"kind": "vanish", "region": "eu-west-1", "count": 1}]})
    answered: list[Any] = []
    # Its second attempt, after the first has ended without an answer, is let through.
    thread = threading.Thread(target=lambda: answered.append(aws("ec2", "eu-west-1").describe_vpcs()))
    thread.start()
    eventually(lambda: control("faults")["faults"][0]["hit"] == 1, "the request is held")
    assert aws("ec2", "eu-central-1").describe_vpcs()["Vpcs"]
    assert not answered
    control("faults", {"faults": []})
    thread.join(10)
    assert len(answered) == 1


def test_a_request_waits_for_the_end_of_the_faults_that_it_met(control: Callable[..., Any]) -> None:
    """One that is held by faults which were replaced just then would be held until the sandbox ends."""
    vanish = {"faults": [{"kind": "vanish"}]}
    control("faults", vanish)
    met = faults.begin(faults.Call("eu-west-1", "ec2", "DescribeVpcs", "a test"))
    assert met is not None
    control("faults", vanish)
    ended: list[Exception] = []

    def wait() -> None:
        try:
            faults.break_connection(met)
        except ConnectionResetError as error:
            ended.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(10)
    assert len(ended) == 1


def test_a_lost_answer_is_of_a_request_that_took_effect(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise nobody sees what a client makes of a call that worked and that it heard nothing of."""
    ssm = aws("ssm")
    control("faults", {"faults": [{"kind": "refuse", "operation": "PutParameter", "after": True}]})
    with pytest.raises(ConnectionClosedError):
        ssm.put_parameter(Name="/a", Value="1", Type="String")
    assert ssm.get_parameter(Name="/a")["Parameter"]["Value"] == "1"


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "SlowDown"),
        ("ec2", "describe_vpcs", "RequestLimitExceeded"),
        ("autoscaling", "describe_auto_scaling_groups", "Throttling"),
        ("ssm", "describe_parameters", "ThrottlingException"),
    ],
)
def test_a_throttled_call_is_answered_as_its_service_does(
    control: Callable[..., Any], aws: ClientFactory, service: str, operation: str, code: str
) -> None:
    """Otherwise retries that depend on the code are never used."""
    control("faults", {"faults": [{"kind": "throttle"}]})
    with pytest.raises(ClientError) as caught:
        getattr(aws(service), operation)()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_share_of_the_calls_is_hit_the_same_in_each_run(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise a failure under throttling can't be had again."""

    def outcomes() -> list[str]:
        control("faults", {"faults": [{"kind": "deny", "service": "ssm", "share": 0.5}]})
        found = []
        for _ in range(12):
            try:
                aws("ssm").describe_parameters()
                found.append("ok")
            except ClientError as error:
                found.append(error.response["Error"]["Code"])
        return found

    first = outcomes()
    assert set(first) == {"ok", "AccessDeniedException"}
    assert outcomes() == first


def test_skip_and_count_pick_one_call(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise a campaign can't stop a command at each of its calls."""
    control("faults", {"faults": [{"kind": "deny", "operation": "DescribeVpcs", "skip": 1, "count": 1}]})
    codes = []
    for _ in range(3):
        try:
            aws("ec2").describe_vpcs()
            codes.append("ok")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert codes == ["ok", "UnauthorizedOperation", "ok"]


def test_a_request_without_a_signature_is_of_its_buckets_region(
    control: Callable[..., Any], aws: ClientFactory, api: ApiServer
) -> None:
    """Otherwise machines still read their packages from a region that is lost."""
    aws("s3").create_bucket(Bucket="packages-1", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    control("faults", {"faults": [{"kind": "refuse", "region": "eu-west-1"}]})
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        urllib.request.urlopen(f"{api.endpoint_url}/packages-1/key", timeout=10)


def test_calls_are_listed_in_order(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise a campaign doesn't know which calls there are."""
    control("calls?record=1")
    aws("ec2", "eu-central-1").describe_vpcs()
    aws("ssm").describe_parameters()
    calls = control("calls?record=0")["calls"]
    assert [(call["region"], call["service"], call["operation"]) for call in calls] == [
        ("eu-central-1", "ec2", "DescribeVpcs"),
        ("eu-west-1", "ssm", "DescribeParameters"),
    ]
    assert "Boto3" in calls[0]["user_agent"]
    assert control("calls")["calls"] == []


def test_a_body_is_whole_although_its_operation_was_looked_at(control: Callable[..., Any], aws: ClientFactory) -> None:
    """Otherwise listening in changes what is stored."""
    control("calls?record=1")
    s3 = aws("s3")
    s3.create_bucket(Bucket="packages-2", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="packages-2", Key="k", Body=b"x" * 100_000)
    assert s3.get_object(Bucket="packages-2", Key="k")["Body"].read() == b"x" * 100_000


@pytest.mark.parametrize(
    "fault",
    [{"kind": "burn"}, {"kind": "deny", "share": 0}, {"kind": "deny", "after": True}, {"kind": "deny", "regoin": "x"}],
)
def test_a_fault_that_makes_no_sense_is_refused(control: Callable[..., Any], fault: dict[str, Any]) -> None:
    """Otherwise a test with a typing mistake tests nothing."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        control("faults", {"faults": [fault]})
    assert caught.value.code == 400
    assert json.load(caught.value)["error"]


def test_an_unknown_path_says_which_there_are(control: Callable[..., Any]) -> None:
    """Otherwise a mistyped path looks like an S3 bucket."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        control("nothing")
    assert "/_sandbox/faults" in json.load(caught.value)["error"]


def test_capacity_is_missing_where_the_fault_says(control: Callable[..., Any]) -> None:
    """Otherwise both regions run out at once, and nothing is left to test."""
    control("faults", {"faults": [{"kind": "capacity", "region": "eu-west-1"}]})
    assert faults.lacks_capacity("eu-west-1")
    assert not faults.lacks_capacity("eu-central-1")
