"""Versions survive what they survive on S3: overwriting, deleting, suspending."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET = "packages"


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


def versioning(s3: Any, status: str) -> None:
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})


def put(s3: Any, body: bytes) -> str | None:
    version: str | None = s3.put_object(Bucket=BUCKET, Key="k", Body=body).get("VersionId")
    return version


def versions(s3: Any) -> list[str]:
    """Version ids of `k`, newest first, with `marker ` before delete markers."""
    listed = s3.list_object_versions(Bucket=BUCKET)
    found = [(v["LastModified"], v["VersionId"]) for v in listed.get("Versions", [])]
    markers = [(m["LastModified"], f"marker {m['VersionId']}") for m in listed.get("DeleteMarkers", [])]
    return [name for _, name in sorted(found + markers, key=lambda entry: entry[0], reverse=True)]


def content(s3: Any, version: str | None = None) -> bytes:
    options = {"VersionId": version} if version else {}
    return bytes(s3.get_object(Bucket=BUCKET, Key="k", **options)["Body"].read())


@pytest.mark.change("s3-versions-kept")
def test_writing_in_a_suspended_bucket_replaces_the_null_version_only(s3: Any) -> None:
    """Suspending versioning to save space must not destroy every release that was published."""
    put(s3, b"before")
    versioning(s3, "Enabled")
    first = put(s3, b"one")
    versioning(s3, "Suspended")
    assert put(s3, b"two") == "null"
    assert put(s3, b"three") == "null"
    assert sorted(versions(s3)) == sorted([str(first), "null"])
    assert content(s3) == content(s3, "null") == b"three"
    assert content(s3, first) == b"one"
    assert s3.head_object(Bucket=BUCKET, Key="k", VersionId=first)["ContentLength"] == 3


@pytest.mark.change("s3-versions-kept")
def test_deleting_in_a_suspended_bucket_leaves_a_null_marker(s3: Any) -> None:
    """The versions made before stay behind the marker."""
    versioning(s3, "Enabled")
    first = put(s3, b"one")
    versioning(s3, "Suspended")
    put(s3, b"two")
    answer = s3.delete_object(Bucket=BUCKET, Key="k")
    assert (answer["VersionId"], answer["DeleteMarker"]) == ("null", True)
    assert sorted(versions(s3)) == sorted([str(first), "marker null"])
    assert content(s3, first) == b"one"
    s3.delete_object(Bucket=BUCKET, Key="k", VersionId=first)
    assert versions(s3) == ["marker null"]


@pytest.mark.change("s3-versions-kept")
def test_a_delete_marker_hides_and_is_taken_away_again(s3: Any) -> None:
    """The way back from a deletion by mistake."""
    versioning(s3, "Enabled")
    put(s3, b"one")
    marker = s3.delete_object(Bucket=BUCKET, Key="k")["VersionId"]
    assert refused(lambda: content(s3))[0] == "NoSuchKey"
    assert refused(lambda: content(s3, marker))[0] == "MethodNotAllowed"
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    answer = s3.delete_object(Bucket=BUCKET, Key="k", VersionId=marker)
    assert (answer["VersionId"], answer["DeleteMarker"]) == (marker, True)
    assert content(s3) == b"one"


@pytest.mark.change("s3-versions-kept")
def test_deleting_what_is_not_there_makes_a_marker_in_a_versioned_bucket(s3: Any) -> None:
    """Such markers cost money and replicate; teardown must find them."""
    assert "DeleteMarker" not in s3.delete_object(Bucket=BUCKET, Key="k")
    versioning(s3, "Enabled")
    assert s3.delete_object(Bucket=BUCKET, Key="k")["DeleteMarker"] is True
    assert len(versions(s3)) == 1
    assert s3.delete_object(Bucket=BUCKET, Key="k", VersionId="missing")["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.change("s3-versions-kept")
def test_without_versioning_a_deleted_object_is_gone_with_its_tags(s3: Any) -> None:
    """The next object of that key starts without them."""
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", Tagging="a=b")
    s3.delete_object(Bucket=BUCKET, Key="k")
    assert versions(s3) == []
    s3.copy_object(Bucket=BUCKET, Key="k", CopySource={"Bucket": BUCKET, "Key": put_other(s3)})
    assert s3.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"] == []


def put_other(s3: Any) -> str:
    s3.put_object(Bucket=BUCKET, Key="other", Body=b"x")
    return "other"


@pytest.mark.change("s3-versioning-state")
def test_versioning_is_enabled_or_suspended_and_nothing_else(s3: Any) -> None:
    """moto stores whatever it is told."""
    with pytest.raises(ClientError) as failed:
        versioning(s3, "Off")
    assert failed.value.response["Error"]["Code"] == "MalformedXML"
    code, _ = refused(lambda: s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={}))
    assert code == "IllegalVersioningConfigurationException"
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)


@pytest.mark.change("s3-versioning-state")
def test_object_lock_keeps_versioning_on(aws: Any) -> None:
    """A lock on versions that aren't kept would lock nothing."""
    s3 = aws("s3")
    s3.create_bucket(
        Bucket=BUCKET,
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
        ObjectLockEnabledForBucket=True,
    )
    with pytest.raises(ClientError) as failed:
        versioning(s3, "Suspended")
    assert failed.value.response["Error"]["Code"] == "InvalidBucketState"
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
