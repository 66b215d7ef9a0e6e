"""Refusals have S3's form: code, status, and the elements that SDKs act on."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api.s3_error import S3Error

pytestmark = pytest.mark.change("s3-error-form")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("InvalidBucketState", 409),
        ("MalformedPolicy", 400),
        ("NoSuchUpload", 404),
        ("NotImplemented", 501),
        ("PermanentRedirect", 301),
        ("PreconditionFailed", 412),
    ],
)
def test_every_code_has_s3s_status(code: str, status: int) -> None:
    """Clients decide by the status whether to retry, to follow or to give up."""
    assert S3Error(code, "text").response()[0] == status


def test_elements_are_written_beside_the_message_and_escaped() -> None:
    """A key with an ampersand must not break the answer."""
    _, _, body = S3Error("InvalidArgument", "a & b", elements={"ArgumentName": "<prefix>"}).response()
    assert "<Code>InvalidArgument</Code><Message>a &amp; b</Message><ArgumentName>&lt;prefix&gt;</ArgumentName>" in body


def test_a_client_reads_the_refusal(aws: Any) -> None:
    """The whole way through the server: code, message, own elements, status, request id."""
    s3 = aws("s3")
    s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with pytest.raises(ClientError) as failed:
        s3.put_object(Bucket="packages", Key="k", Body=b"x", ContentMD5="AAAA")
    answer = failed.value.response
    error: dict[str, Any] = dict(answer["Error"])
    assert (error["Code"], error["Content-MD5"]) == ("InvalidDigest", "AAAA")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["ResponseMetadata"]["RequestId"]
