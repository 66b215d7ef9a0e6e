"""S3 stores what the client meant to send, or refuses: checksums in headers, trailers and multipart uploads."""

import base64
import hashlib
import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from sandbox.api.s3_checksum import ALGORITHMS
from sandbox.api.server import ApiServer

BUCKET = "packages"
PART = b"x" * (5 * 1024 * 1024)
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=sandbox/20260101/eu-west-1/s3/aws4_request, Signature=0"}


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def put(api: ApiServer, s3: Any) -> Callable[..., tuple[int, str]]:
    """`put(body, **headers)`: status and body of a raw PUT of `BUCKET/k`; `_` in a header's name stands for `-`."""

    def send(body: bytes, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(str(urlsplit(api.endpoint_url).netloc), timeout=10)
        named = SIGNED | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("PUT", f"/{BUCKET}/k", body=body, headers=named)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    return send


def stored(s3: Any) -> bytes | None:
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return bytes(s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()) if listed else None


@pytest.mark.change("s3-body-verified")
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_wrong_checksum_is_refused_and_nothing_stored(s3: Any, name: str) -> None:
    """`publish` relies on S3 to notice a package that changed on its way."""
    wrong = {f"Checksum{name}": ALGORITHMS[name].of(b"other")}
    assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k", Body=b"body", **wrong)) == (
        "BadDigest",
        f"The {name} you specified did not match the calculated checksum.",
    )
    assert stored(s3) is None
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"body", **{f"Checksum{name}": ALGORITHMS[name].of(b"body")})
    assert stored(s3) == b"body"


@pytest.mark.change("s3-body-verified")
def test_content_md5_is_verified(s3: Any) -> None:
    """A wrong digest and one that is none are different errors."""
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k", Body=b"body", ContentMD5=md5))[0] == "BadDigest"
    assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="k", Body=b"body", ContentMD5="AAAA"))[0] == "InvalidDigest"
    assert stored(s3) is None


@pytest.mark.change("s3-body-verified")
def test_the_payload_must_be_the_one_that_was_hashed(s3: Any, put: Any) -> None:
    """The signature covers this hash: a body that doesn't have it was changed."""
    wrong, right = hashlib.sha256(b"other").hexdigest(), hashlib.sha256(b"body").hexdigest()
    status, body = put(b"body", x_amz_content_sha256=wrong)
    assert status == 400
    assert "<Code>XAmzContentSHA256Mismatch</Code>" in body
    assert f"<S3ComputedContentSHA256>{right}</S3ComputedContentSHA256>" in body
    assert "InvalidArgument" in put(b"body", x_amz_content_sha256="nonsense")[1]
    assert stored(s3) is None
    assert put(b"body", x_amz_content_sha256=right)[0] == 200
    assert put(b"body", x_amz_content_sha256="UNSIGNED-PAYLOAD")[0] == 200


def framed(body: bytes, trailers: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


CHUNKED = {
    "x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x_amz_trailer": "x-amz-checksum-crc32",
    "Content_Encoding": "aws-chunked",
}


@pytest.mark.change("s3-body-verified")
def test_trailing_checksums_are_verified(s3: Any, put: Any) -> None:
    """boto3 sends its default CRC32 as a trailer over TLS."""
    right = b"x-amz-checksum-crc32:%b\r\n" % ALGORITHMS["CRC32"].of(b"body").encode()
    wrong = b"x-amz-checksum-crc32:%b\r\n" % ALGORITHMS["CRC32"].of(b"other").encode()
    status, body = put(framed(b"body", wrong), **CHUNKED)
    assert (status, "<Code>BadDigest</Code>" in body) == (400, True)
    status, body = put(framed(b"body", b""), **CHUNKED)
    assert (status, "<Code>MalformedTrailerError</Code>" in body) == (400, True)
    assert stored(s3) is None
    assert put(framed(b"body", right), **CHUNKED)[0] == 200
    assert stored(s3) == b"body"
    assert s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == ALGORITHMS["CRC32"].of(
        b"body"
    )


@pytest.mark.change("s3-body-verified")
def test_a_chunked_body_that_breaks_off_is_refused(s3: Any, put: Any) -> None:
    """A proxy that cuts an upload must not leave half a package behind."""
    status, body = put(b"10\r\nhalf", **CHUNKED)
    assert (status, "<Code>IncompleteBody</Code>" in body) == (400, True)
    status, body = put(framed(b"body", b""), **CHUNKED, x_amz_decoded_content_length="5")
    assert (status, "<Code>IncompleteBody</Code>" in body) == (400, True)
    assert stored(s3) is None


@pytest.mark.change("s3-body-verified")
def test_signed_chunks_are_decoded_too(s3: Any, put: Any) -> None:
    """The form of SDKs that sign each chunk."""
    chunked = b"4;chunk-signature=ab\r\nbody\r\n0;chunk-signature=cd\r\n\r\n"
    headers = {"x_amz_content_sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x_amz_decoded_content_length": "4"}
    assert put(chunked, **headers)[0] == 200
    assert stored(s3) == b"body"


@pytest.mark.change("s3-form-content-type")
def test_a_body_with_the_content_type_of_a_form_is_stored_as_it_is(s3: Any, put: Any) -> None:
    """curl and urllib send this type unless told otherwise; moto stores an empty object, and says nothing."""
    assert put(b"key=a&b=c", Content_Type="application/x-www-form-urlencoded")[0] == 200
    assert stored(s3) == b"key=a&b=c"
    assert s3.head_object(Bucket=BUCKET, Key="k")["ContentType"] == "application/x-www-form-urlencoded"


@pytest.mark.change("s3-body-verified")
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x_amz_checksum_crc32": "AAAA"}, "Value for x-amz-checksum-crc32 header is invalid."),
        (
            {"x_amz_checksum_crc32": "AAAAAA==", "x_amz_checksum_crc32c": "AAAAAA=="},
            "Multiple checksum Types are not allowed.",
        ),
        ({"x_amz_checksum_xxhash64": "AAAAAAAAAAA="}, "XXHASH64"),
        ({"x_amz_sdk_checksum_algorithm": "MD4"}, "MD4"),
        ({"x_amz_sdk_checksum_algorithm": "SHA256"}, "no corresponding x-amz-checksum-* or x-amz-trailer headers"),
    ],
)
def test_checksums_that_cannot_be_verified_are_refused_by_name(
    s3: Any, put: Any, headers: dict[str, str], said: str
) -> None:
    """An unverified checksum is worse than none."""
    status, body = put(b"body", **headers)
    assert status == 400
    assert "<Code>InvalidRequest</Code>" in body
    assert said in body
    assert stored(s3) is None


@pytest.mark.change("s3-body-verified")
def test_configuration_calls_are_verified_too(s3: Any) -> None:
    """A policy damaged on its way must not be put."""
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()

    def damage(request: Any, **_: Any) -> None:
        request.headers["Content-MD5"] = md5

    s3.meta.events.register("before-sign.s3.PutBucketVersioning", damage)
    status = {"Status": "Enabled"}
    assert refused(lambda: s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=status))[0] == "BadDigest"


@pytest.mark.change("s3-checksum-answers")
def test_the_stored_checksum_and_its_type_are_shown_when_asked_for(s3: Any) -> None:
    """Parity of two regions is proved by comparing these."""
    value = ALGORITHMS["SHA256"].of(b"body")
    answer = s3.put_object(Bucket=BUCKET, Key="k", Body=b"body", ChecksumSHA256=value)
    assert (answer["ChecksumSHA256"], answer["ChecksumType"]) == (value, "FULL_OBJECT")
    assert "ChecksumSHA256" not in s3.head_object(Bucket=BUCKET, Key="k")
    for call in (s3.head_object, s3.get_object):
        shown = call(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
        assert (shown["ChecksumSHA256"], shown["ChecksumType"]) == (value, "FULL_OBJECT")
    found = s3.get_object_attributes(Bucket=BUCKET, Key="k", ObjectAttributes=["Checksum"])["Checksum"]
    assert found == {"ChecksumSHA256": value, "ChecksumType": "FULL_OBJECT"}


@pytest.mark.change("s3-checksum-answers")
def test_an_object_without_a_checksum_has_a_crc64nvme(s3: Any, put: Any) -> None:
    """S3 computes one for every object; tools that compare regions read it."""
    assert put(b"body")[0] == 200
    shown = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert (shown["ChecksumCRC64NVME"], shown["ChecksumType"]) == (ALGORITHMS["CRC64NVME"].of(b"body"), "FULL_OBJECT")


class Upload:
    """A multipart upload in progress."""

    def __init__(self, s3: Any, **options: Any) -> None:
        self.s3 = s3
        self.id = s3.create_multipart_upload(Bucket=BUCKET, Key="k", **options)["UploadId"]
        self.parts: list[dict[str, Any]] = []

    def add(self, body: bytes, **options: Any) -> Any:
        number = len(self.parts) + 1
        answer = self.s3.upload_part(Bucket=BUCKET, Key="k", UploadId=self.id, PartNumber=number, Body=body, **options)
        sums = {name: value for name, value in answer.items() if name in {f"Checksum{a}" for a in ALGORITHMS}}
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
        return answer

    def complete(self, **options: Any) -> Any:
        return self.s3.complete_multipart_upload(
            Bucket=BUCKET, Key="k", UploadId=self.id, MultipartUpload={"Parts": self.parts}, **options
        )


@pytest.mark.change("s3-multipart-checksums")
def test_a_composite_checksum_is_one_of_the_parts_checksums(s3: Any) -> None:
    """`-N` is what tells it from a checksum of the content; comparing the two would never match."""
    upload = Upload(s3, ChecksumAlgorithm="SHA256")
    for body in (PART, b"rest"):
        answer = upload.add(body, ChecksumAlgorithm="SHA256")
        assert answer["ChecksumSHA256"] == ALGORITHMS["SHA256"].of(body)
    digests = b"".join(hashlib.sha256(body).digest() for body in (PART, b"rest"))
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    answer = upload.complete()
    assert (answer["ChecksumSHA256"], answer["ChecksumType"]) == (expected, "COMPOSITE")
    for call in (s3.head_object, s3.get_object):
        shown = call(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
        assert (shown["ChecksumSHA256"], shown["ChecksumType"]) == (expected, "COMPOSITE")


@pytest.mark.change("s3-multipart-checksums")
def test_a_full_object_checksum_is_one_of_the_content(s3: Any) -> None:
    """The same value as an upload in one piece has, so that it can be compared with it."""
    upload = Upload(s3, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    for body in (PART, b"rest"):
        upload.add(body, ChecksumAlgorithm="CRC32")
    expected = ALGORITHMS["CRC32"].of(PART + b"rest")
    answer = upload.complete(ChecksumCRC32=expected, ChecksumType="FULL_OBJECT")
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (expected, "FULL_OBJECT")


@pytest.mark.change("s3-multipart-checksums")
def test_a_wrong_checksum_stops_a_multipart_upload_at_every_step(s3: Any) -> None:
    """A part, the list of parts, and the whole are each checked."""
    upload = Upload(s3, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    wrong = ALGORITHMS["CRC32"].of(b"other")
    assert refused(lambda: upload.add(b"body", ChecksumCRC32=wrong))[0] == "BadDigest"
    upload.add(b"body", ChecksumAlgorithm="CRC32")
    assert refused(lambda: upload.complete(ChecksumCRC32=wrong))[0] == "BadDigest"
    upload.parts[0]["ChecksumCRC32"] = wrong
    assert refused(upload.complete)[0] == "InvalidPart"
    upload.parts[0]["ChecksumCRC32"] = ALGORITHMS["CRC32"].of(b"body")
    upload.complete()
    assert stored(s3) == b"body"


@pytest.mark.change("s3-multipart-checksums")
def test_parts_are_named_in_ascending_order(s3: Any) -> None:
    """moto accepts any order, and joins the parts in it."""
    upload = Upload(s3)
    upload.add(PART)
    upload.add(b"rest")
    upload.parts.reverse()
    assert refused(upload.complete)[0] == "InvalidPartOrder"
    upload.parts.reverse()
    upload.complete()
    assert stored(s3) == PART + b"rest"


@pytest.mark.change("s3-multipart-checksums")
@pytest.mark.parametrize(
    ("algorithm", "kind"), [("SHA256", "FULL_OBJECT"), ("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")]
)
def test_some_algorithms_have_one_type_only(s3: Any, algorithm: str, kind: str) -> None:
    """A hash can't be combined from parts, and CRC64NVME is always of the whole."""
    code, message = refused(lambda: Upload(s3, ChecksumAlgorithm=algorithm, ChecksumType=kind))
    assert code == "InvalidRequest"
    assert kind in message
    assert algorithm.lower() in message
