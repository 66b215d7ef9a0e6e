"""Writing objects: conditions on what is there, copies, and multipart uploads that don't exist."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from moto.s3.models import FakeKey, S3Backend

from sandbox.api.change import Change, wrap
from sandbox.api.s3_checksum import ALGORITHMS
from sandbox.api.s3_error import S3Error
from sandbox.api.s3_request import S3Request, Stage, before_answering, find_bucket
from sandbox.api.s3_versioning import find_version

_CONDITIONAL = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})


def _check_conditions(asked: S3Request) -> None:
    """`If-None-Match: *` writes only what isn't there, `If-Match` only over the ETag given (API Reference,
    PutObject).
    """
    if asked.operation.name not in _CONDITIONAL or asked.bucket is None or _is_completed(asked):
        return
    none_match, match = asked.headers.get("If-None-Match"), asked.headers.get("If-Match")
    existing = asked.existing
    there = existing if isinstance(existing, FakeKey) else None
    if none_match is not None and none_match != "*":
        raise S3Error(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            elements={"Header": "If-None-Match"},
        )
    if none_match and there:
        raise _precondition_failed("If-None-Match")
    if match and there is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.", elements={"Key": asked.key or ""})
    if match and there and _bare(match) != _bare(there.etag):
        raise _precondition_failed("If-Match")


def _is_completed(asked: S3Request) -> bool:
    """Completing the same upload again is answered as the first time, whatever its conditions."""
    if asked.operation.name != "CompleteMultipartUpload" or asked.bucket is None:
        return False
    existing = asked.existing
    upload = existing.multipart if isinstance(existing, FakeKey) else None
    return upload is not None and upload.id == asked.query.get("uploadId")


def _bare(etag: str) -> str:
    return etag.replace('"', "")


def _precondition_failed(condition: str) -> S3Error:
    return S3Error(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        elements={"Condition": condition},
    )


def _check_copy(asked: S3Request) -> None:
    if asked.operation.name not in ("CopyObject", "UploadPartCopy"):
        return
    source = _source(asked)
    wanted = asked.headers.get("x-amz-copy-source-if-match")
    if source and wanted and _bare(wanted) != _bare(source.etag):
        raise _precondition_failed("x-amz-copy-source-If-Match")
    refused = asked.headers.get("x-amz-copy-source-if-none-match")
    if source and refused and _bare(refused) == _bare(source.etag):
        raise _precondition_failed("x-amz-copy-source-If-None-Match")
    if asked.operation.name == "CopyObject" and source and _changes_nothing(asked, source):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )


def _source(asked: S3Request) -> FakeKey | None:
    address = urlsplit(asked.headers["x-amz-copy-source"])
    bucket_name, separator, key_name = unquote(address.path).lstrip("/").partition("/")
    if not separator or not key_name:
        raise S3Error(
            "InvalidArgument",
            "Invalid copy source object key",
            elements={"ArgumentName": "x-amz-copy-source", "ArgumentValue": asked.headers["x-amz-copy-source"]},
        )
    bucket = find_bucket(bucket_name)
    if bucket is None:
        raise S3Error(
            "NoSuchBucket", "The specified bucket does not exist", elements={"BucketName": bucket_name}, status=404
        )
    version = parse_qs(address.query).get("versionId", [None])[0]
    found = find_version(bucket, key_name, version) if version else bucket.keys.get(key_name)
    return found if isinstance(found, FakeKey) else None


def _changes_nothing(asked: S3Request, source: FakeKey) -> bool:
    if (source.bucket_name, source.name) != (asked.bucket_name, asked.key):
        return False
    if "versionId=" in asked.headers["x-amz-copy-source"]:
        return False  # An older version is brought back, which is a change.
    changing = ("x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-website-redirect-location")
    return asked.headers.get("x-amz-metadata-directive") != "REPLACE" and not any(h in asked.headers for h in changing)


def _copy_object(
    original: Callable[..., None], backend: S3Backend, source: FakeKey, bucket_name: str, key_name: str, **kwargs: Any
) -> None:
    original(backend, source, bucket_name, key_name, **kwargs)
    copy = backend.get_bucket(bucket_name).keys[key_name]
    # A copy is one piece, whatever its source was made of, and has a checksum of its whole content.
    copy.multipart = None
    copy.checksum_type = "FULL_OBJECT" if source.checksum_value else None
    if source.checksum_type == "COMPOSITE" and source.checksum_algorithm:
        copy.checksum_value = ALGORITHMS[source.checksum_algorithm].of(copy.value)


def _check_upload_exists(asked: S3Request) -> None:
    upload = asked.query.get("uploadId")
    if upload is None or asked.bucket is None or _is_completed(asked):
        return
    found = asked.bucket.multiparts.get(upload)
    if found is None or found.key_name != asked.key:
        raise S3Error(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed.",
            elements={"UploadId": upload},
        )


def _apply_copies() -> None:
    before_answering(Stage.SOUND, _check_copy)
    wrap(S3Backend, "copy_object", _copy_object)


CHANGES = (
    Change(
        name="s3-conditional-writes",
        why="moto ignores If-None-Match and If-Match on CopyObject, and If-Match on CompleteMultipartUpload, which "
        "S3 honours (S3 User Guide, How to prevent object overwrites with conditional writes).",
        apply=lambda: before_answering(Stage.SOUND, _check_conditions),
    ),
    Change(
        name="s3-copy",
        why="moto lets an object be copied to itself unchanged when its bucket has default encryption, which every "
        "bucket has; ignores x-amz-copy-source-if-match; and lets a copy share the parts and the composite "
        "checksum of its source (API Reference, CopyObject).",
        apply=_apply_copies,
    ),
    Change(
        name="s3-upload-must-exist",
        why="moto fails with HTTP 500 on an unknown upload id; S3 answers 404 NoSuchUpload (API Reference, "
        "UploadPart).",
        apply=lambda: before_answering(Stage.SOUND, _check_upload_exists),
    ),
)
