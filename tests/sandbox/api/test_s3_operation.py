"""Requests are told apart as S3 tells them apart, and what moto lacks is known by name."""

import pytest

from sandbox.api.s3_operation import Operation, operation_of


def named(method: str, query: dict[str, str] | None = None, *, key: bool = False, copies: bool = False) -> Operation:
    found = operation_of(method, key, query or {}, copies)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("method", "key", "query", "name", "action"),
    [
        ("GET", False, {}, "ListObjects", "s3:ListBucket"),
        ("GET", False, {"list-type": "2", "prefix": "a"}, "ListObjectsV2", "s3:ListBucket"),
        ("GET", False, {"versions": ""}, "ListObjectVersions", "s3:ListBucketVersions"),
        ("HEAD", False, {}, "HeadBucket", "s3:ListBucket"),
        ("PUT", False, {}, "CreateBucket", None),
        ("PUT", False, {"x-id": "CreateBucket"}, "CreateBucket", None),
        ("PUT", False, {"replication": ""}, "PutBucketReplication", "s3:PutReplicationConfiguration"),
        ("DELETE", False, {"lifecycle": ""}, "DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
        ("POST", False, {"delete": ""}, "DeleteObjects", None),
        ("GET", True, {}, "GetObject", "s3:GetObject"),
        ("GET", True, {"versionId": "v"}, "GetObject", "s3:GetObjectVersion"),
        ("HEAD", True, {"versionId": "v"}, "HeadObject", "s3:GetObjectVersion"),
        ("PUT", True, {"X-Amz-Signature": "s", "X-Amz-Date": "d"}, "PutObject", "s3:PutObject"),
        ("PUT", True, {"partNumber": "1", "uploadId": "u"}, "UploadPart", "s3:PutObject"),
        ("DELETE", True, {"versionId": "v"}, "DeleteObject", "s3:DeleteObjectVersion"),
        ("DELETE", True, {"uploadId": "u"}, "AbortMultipartUpload", "s3:AbortMultipartUpload"),
        ("POST", True, {"uploads": ""}, "CreateMultipartUpload", "s3:PutObject"),
        ("POST", True, {"uploadId": "u"}, "CompleteMultipartUpload", "s3:PutObject"),
        ("POST", True, {"select": "", "select-type": "2"}, "SelectObjectContent", "s3:GetObject"),
    ],
)
def test_an_operation_is_its_method_key_and_sub_resource(
    method: str, key: bool, query: dict[str, str], name: str, action: str | None
) -> None:
    """A wrong operation means a wrong permission: a deny would hit, or miss, something else."""
    assert named(method, query, key=key) == Operation(name=name, action=action)


def test_a_copy_source_makes_a_copy() -> None:
    """A copy needs permissions on two buckets."""
    assert named("PUT", key=True, copies=True).name == "CopyObject"
    assert named("PUT", {"partNumber": "1", "uploadId": "u"}, key=True, copies=True).name == "UploadPartCopy"


@pytest.mark.parametrize(
    ("method", "key", "query", "name"),
    [
        ("PUT", False, {"metrics": "", "id": "x"}, "PutBucketMetricsConfiguration"),
        ("PUT", False, {"requestPayment": ""}, "PutBucketRequestPayment"),
        ("PUT", False, {"analytics": "", "id": "x"}, "PutBucketAnalyticsConfiguration"),
        ("GET", True, {"retention": ""}, "GetObjectRetention"),
        ("GET", True, {"torrent": ""}, "GetObjectTorrent"),
        ("PUT", True, {"renameObject": ""}, "RenameObject"),
        ("DELETE", False, {"inventory": "", "id": "x"}, "DeleteBucketInventoryConfiguration"),
        ("PUT", False, {"frobnicate": ""}, "PUT of a bucket's sub-resource frobnicate"),
    ],
)
def test_what_moto_lacks_is_known_by_its_name(method: str, key: bool, query: dict[str, str], name: str) -> None:
    """moto takes these for the operation without the sub-resource, and creates a bucket or returns the object."""
    assert named(method, query, key=key) == Operation(name=name, action=None, known=False)


def test_a_preflight_is_no_operation() -> None:
    """OPTIONS carries no permission; moto answers it from the CORS rules."""
    assert operation_of("OPTIONS", False, {}, False) is None
