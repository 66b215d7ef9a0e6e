"""Writing objects: conditions hold, copies are what S3 makes of them, and many writers at once do no harm."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api.s3_checksum import ALGORITHMS

BUCKET = "packages"
PART = b"x" * (5 * 1024 * 1024)


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


def content(s3: Any, key: str = "k") -> bytes:
    return bytes(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def copy(s3: Any, source: str, key: str, **options: Any) -> Any:
    return s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source}, **options)


def completed(s3: Any, bodies: list[bytes], upload: str | None = None, **options: Any) -> Any:
    upload = upload or s3.create_multipart_upload(Bucket=BUCKET, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        answer = s3.upload_part(Bucket=BUCKET, Key="k", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    return s3.complete_multipart_upload(
        Bucket=BUCKET, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}, **options
    )


WRITES: dict[str, Callable[..., Any]] = {
    "put": lambda s3, **options: s3.put_object(Bucket=BUCKET, Key="k", Body=b"new", **options),
    "copy": lambda s3, **options: copy(s3, "source", "k", **options),
    "multipart": lambda s3, **options: completed(s3, [b"new"], **options),
}


@pytest.mark.change("s3-conditional-writes")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_if_none_match_writes_only_what_is_not_there(s3: Any, write: Callable[..., Any]) -> None:
    """The lease and the release record are taken by exactly this; a second owner would be a split brain."""
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"new")
    write(s3, IfNoneMatch="*")
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"kept")
    assert refused(lambda: write(s3, IfNoneMatch="*"))[0] == "PreconditionFailed"
    assert content(s3) == b"kept"
    assert refused(lambda: write(s3, IfNoneMatch='"etag"'))[0] == "NotImplemented"


@pytest.mark.change("s3-conditional-writes")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_if_match_writes_only_over_what_was_read(s3: Any, write: Callable[..., Any]) -> None:
    """A lease is renewed by its holder only, and not after it was lost."""
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"new")
    code, _ = refused(lambda: write(s3, IfMatch='"5d41402abc4b2a76b9719d911017c592"'))
    assert code == "NoSuchKey"
    etag = s3.put_object(Bucket=BUCKET, Key="k", Body=b"kept")["ETag"]
    assert refused(lambda: write(s3, IfMatch='"5d41402abc4b2a76b9719d911017c592"'))[0] == "PreconditionFailed"
    assert content(s3) == b"kept"
    write(s3, IfMatch=etag)
    assert content(s3) == b"new"


@pytest.mark.change("s3-conditional-writes")
def test_a_deleted_object_is_not_there(s3: Any) -> None:
    """A released lease can be taken again, delete marker or not."""
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"old")
    s3.delete_object(Bucket=BUCKET, Key="k")
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"new", IfNoneMatch="*")
    assert content(s3) == b"new"


@pytest.mark.change("s3-conditional-writes")
def test_completing_twice_is_answered_as_once(s3: Any) -> None:
    """A client that lost the answer asks again, with the same condition."""
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    answer = completed(s3, [b"new"], upload, IfNoneMatch="*")
    part = {"PartNumber": 1, "ETag": '"22af645d1859cb5ca6da0c484f1f37ea"'}
    again = s3.complete_multipart_upload(
        Bucket=BUCKET, Key="k", UploadId=upload, MultipartUpload={"Parts": [part]}, IfNoneMatch="*"
    )
    assert again["ETag"] == answer["ETag"]


@pytest.mark.change("s3-conditional-writes")
def test_one_of_many_writers_wins(aws: Any, s3: Any) -> None:
    """Two deployments at once: one holds the lease, the other is told so, neither gets a 500."""
    client = aws("s3")

    def write(number: int) -> str:
        try:
            client.put_object(Bucket=BUCKET, Key="k", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "written"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(write, range(40)))
    assert outcomes == ["PreconditionFailed"] * 39 + ["written"]


def test_overwriting_and_reading_one_key_in_parallel_never_fails(aws: Any, s3: Any) -> None:
    """moto answered 7 % of such writes with HTTP 500, having closed the file that another request was reading."""
    client = aws("s3")
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"0" * 1000)

    def work(number: int) -> int:
        if number % 2:
            return len(client.get_object(Bucket=BUCKET, Key="k")["Body"].read())
        client.put_object(Bucket=BUCKET, Key="k", Body=b"1" * 1000)
        return 1000

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(200))) == {1000}


@pytest.mark.change("s3-copy")
def test_a_copy_to_itself_must_change_something(s3: Any) -> None:
    """S3 refuses it, although the bucket has default encryption, which every bucket has."""
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    code, message = refused(lambda: copy(s3, "k", "k"))
    assert code == "InvalidRequest"
    assert "without changing" in message
    copy(s3, "k", "k", MetadataDirective="REPLACE", Metadata={"a": "b"})
    assert s3.head_object(Bucket=BUCKET, Key="k")["Metadata"] == {"a": "b"}


@pytest.mark.change("s3-copy")
def test_conditions_on_the_source_of_a_copy_hold(s3: Any) -> None:
    """Copy what was read, not what has replaced it meanwhile."""
    etag = s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")["ETag"]
    copy(s3, "k", "l", CopySourceIfMatch=etag)
    assert refused(lambda: copy(s3, "k", "l", CopySourceIfMatch='"other"'))[0] == "PreconditionFailed"
    assert refused(lambda: copy(s3, "k", "l", CopySourceIfNoneMatch=etag))[0] == "PreconditionFailed"
    source = {"Bucket": "nothing-here", "Key": "k"}
    assert refused(lambda: s3.copy_object(Bucket=BUCKET, Key="l", CopySource=source))[0] == "NoSuchBucket"


@pytest.mark.change("s3-copy")
def test_a_copy_of_a_multipart_object_is_one_piece(s3: Any) -> None:
    """Its checksum is one of the content; and deleting the source must not take the copy's content away."""
    completed(s3, [PART, b"rest"])
    copy(s3, "k", "l")
    s3.delete_object(Bucket=BUCKET, Key="k")
    assert content(s3, "l") == PART + b"rest"
    shown = s3.head_object(Bucket=BUCKET, Key="l", ChecksumMode="ENABLED")
    assert (shown["ChecksumSHA256"], shown["ChecksumType"]) == (ALGORITHMS["SHA256"].of(PART + b"rest"), "FULL_OBJECT")
    whole = s3.head_object(Bucket=BUCKET, Key="l", PartNumber=1)
    assert whole["ContentRange"] == f"bytes 0-{len(PART) + 3}/{len(PART) + 4}"
    assert "PartsCount" not in whole


@pytest.mark.change("s3-upload-must-exist")
def test_an_unknown_upload_is_not_found(s3: Any) -> None:
    """moto fails with HTTP 500, which clients retry for minutes."""
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload)
    place = {"Bucket": BUCKET, "Key": "k", "UploadId": upload}
    parts = {"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}
    for call in (
        lambda: s3.upload_part(**place, PartNumber=1, Body=b"x"),
        lambda: s3.complete_multipart_upload(**place, MultipartUpload=parts),
        lambda: s3.abort_multipart_upload(**place),
        lambda: s3.list_parts(**place),
    ):
        assert refused(call)[0] == "NoSuchUpload"
