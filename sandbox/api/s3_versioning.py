"""Versions and delete markers in the three states of a bucket: never versioned, enabled, suspended.

Rules: S3 User Guide, "Using versioning in S3 buckets", "Deleting object versions from a versioning-enabled bucket" and
"Working with objects in a versioning-suspended bucket".
"""

import re
from collections.abc import Callable
from typing import Any

from moto.s3 import notifications
from moto.s3.exceptions import AccessDeniedByLock
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend
from moto.s3.responses import S3Response

from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_error import S3Error, malformed_xml
from sandbox.api.s3_request import S3Request, Stage, before_answering, find_bucket

NULL = "null"

Version = FakeKey | FakeDeleteMarker


def versions_of(bucket: FakeBucket, key_name: str) -> list[Version]:
    """The versions of a key, oldest first; the last is the current one."""
    return list(bucket.keys.getlist(key_name, []))


def find_version(bucket: FakeBucket, key_name: str, version_id: str) -> Version | None:
    """One version or delete marker of a key, None if there is none of that id."""
    return next((v for v in versions_of(bucket, key_name) if str(v.version_id) == version_id), None)


def set_versions(bucket: FakeBucket, key_name: str, versions: list[Version]) -> None:
    """Make these the versions of a key, oldest first; without any, the key is gone. The content of others is freed."""
    for dropped in versions_of(bucket, key_name):
        if not any(dropped is kept for kept in versions) and isinstance(dropped, FakeKey):
            dropped.dispose()
    if versions:
        dict.__setitem__(bucket.keys, key_name, versions)
    else:
        dict.pop(bucket.keys, key_name, None)


def new_marker(bucket: FakeBucket, key_name: str, version_id: str | None) -> FakeDeleteMarker:
    """A delete marker for a key, which may never have existed; `version_id` None takes a new id."""
    current = bucket.keys.get(key_name)
    marker = FakeDeleteMarker(key=current if current is not None else _Nameless(key_name))  # type: ignore[arg-type]
    if version_id is not None:
        marker._version_id = version_id
    return marker


class _Nameless:
    """Stands where moto expects the object that a marker hides, when there is none."""

    def __init__(self, name: str) -> None:
        self.name = name


def _put_object(
    original: Callable[..., FakeKey], backend: S3Backend, bucket_name: str, key_name: str, *args: Any, **kwargs: Any
) -> FakeKey:
    bucket = backend.get_bucket(bucket_name)
    if bucket.versioning_status != "Suspended":
        return original(backend, bucket_name, key_name, *args, **kwargs)
    kept = [version for version in versions_of(bucket, key_name) if version.version_id != NULL]
    set_versions(bucket, key_name, kept)
    # moto replaces everything; what it doesn't see it can't drop.
    dict.pop(bucket.keys, key_name, None)
    try:
        new_key = original(backend, bucket_name, key_name, *args, **kwargs)
        new_key._is_versioned = True
        kept.append(new_key)
    finally:
        if kept:
            dict.__setitem__(bucket.keys, key_name, kept)
    return new_key


def _delete_object(
    backend: S3Backend,
    bucket_name: str,
    key_name: str,
    version_id: str | None = None,
    bypass: bool = False,
) -> tuple[bool, dict[str, Any]]:
    bucket = backend.get_bucket(bucket_name)
    if version_id is not None:
        return True, _delete_version(backend, bucket, key_name, version_id, bypass)
    if bucket.versioning_status is None:
        if key_name in bucket.keys:
            _removed(backend, bucket, bucket.keys[key_name])
            set_versions(bucket, key_name, [])
        return True, {}
    marker = new_marker(bucket, key_name, None if bucket.is_versioned else NULL)
    kept = [v for v in versions_of(bucket, key_name) if bucket.is_versioned or v.version_id != NULL]
    set_versions(bucket, key_name, [*kept, marker])
    return True, {"version-id": marker.version_id, "delete-marker": "true"}


def _delete_version(
    backend: S3Backend, bucket: FakeBucket, key_name: str, version_id: str, bypass: bool
) -> dict[str, Any]:
    found = find_version(bucket, key_name, version_id)
    # S3 answers 204 for a version that isn't there: deleting is idempotent.
    meta = {"version-id": version_id} if bucket.versioning_status or found else {}
    if found is None:
        return meta
    if isinstance(found, FakeKey):
        if found.is_locked(governance_bypass=bypass):
            raise AccessDeniedByLock
        _removed(backend, bucket, found)
    else:
        meta["delete-marker"] = "true"
    set_versions(bucket, key_name, [v for v in versions_of(bucket, key_name) if v is not found])
    return meta


def _removed(backend: S3Backend, bucket: FakeBucket, key: Version) -> None:
    if isinstance(key, FakeKey):
        backend.tagger.delete_all_tags_for_resource(key.arn)
        event = notifications.S3NotificationEvent.OBJECT_REMOVED_DELETE_EVENT
        notifications.send_event(backend.account_id, event, bucket, key)


def _put_versioning(original: Callable[..., None], backend: S3Backend, bucket_name: str, status: str) -> None:
    bucket = backend.get_bucket(bucket_name)
    if status not in ("Enabled", "Suspended"):
        raise malformed_xml()
    if status == "Suspended" and getattr(bucket, "replication", None):
        raise S3Error(
            "InvalidBucketState",
            "A replication configuration is present on this bucket, so you cannot change the versioning state. To "
            "change the versioning state, first delete the replication configuration.",
        )
    if status == "Suspended" and bucket.object_lock_enabled:
        raise S3Error(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        )
    original(backend, bucket_name, status)


def _check_versioning(asked: S3Request) -> None:
    if asked.operation.name == "PutBucketVersioning" and not re.search(rb"<Status>\s*\w+\s*</Status>", asked.body):
        raise S3Error("IllegalVersioningConfigurationException", "The Versioning element must be specified")


def _check_marker(asked: S3Request) -> None:
    """Reading a delete marker: 404 as the current version, 405 by its id (API Reference, GetObject)."""
    if asked.operation.name != "GetObject" or asked.bucket is None or asked.key is None:
        return
    wanted = asked.query.get("versionId")
    found = find_version(asked.bucket, asked.key, wanted) if wanted else asked.existing
    if not isinstance(found, FakeDeleteMarker):
        return
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": str(found.version_id)}
    if wanted is None:
        text = "The specified key does not exist."
        raise S3Error("NoSuchKey", text, elements={"Key": asked.key}, headers=headers)
    text = "The specified method is not allowed against this resource."
    elements = {"Method": "GET", "ResourceType": "DeleteMarker"}
    raise S3Error("MethodNotAllowed", text, elements=elements, headers=headers | {"Allow": "DELETE"})


def _head_object(
    original: Callable[..., Any], response: S3Response, bucket_name: str, *args: Any, **kwargs: Any
) -> Any:
    bucket = find_bucket(bucket_name)
    if bucket is None or bucket.versioning_status != "Suspended":
        return original(response, bucket_name, *args, **kwargs)
    # moto answers 400 to a version id unless versioning is on; the versions of a suspended bucket can be read as ever.
    bucket.versioning_status = "Enabled"
    try:
        return original(response, bucket_name, *args, **kwargs)
    finally:
        bucket.versioning_status = "Suspended"


def _apply_versions() -> None:
    wrap(S3Backend, "put_object", _put_object)
    replace(S3Backend, "delete_object", _delete_object)
    wrap(S3Response, "head_object", _head_object)
    before_answering(Stage.SOUND, _check_marker)


def _apply_state() -> None:
    wrap(S3Backend, "put_bucket_versioning", _put_versioning)
    before_answering(Stage.SOUND, _check_versioning)


CHANGES = (
    Change(
        name="s3-versions-kept",
        why="In a bucket with suspended versioning moto's PUT and DELETE destroy every version; S3 replaces only "
        "the null version and hides the rest with a null delete marker. Deleting a key that isn't there makes a "
        "marker on S3, and deleting a marker is answered with x-amz-delete-marker (S3 User Guide, Deleting object "
        "versions).",
        apply=_apply_versions,
    ),
    Change(
        name="s3-versioning-state",
        why="moto suspends versioning of any bucket. S3 refuses with InvalidBucketState while the bucket has a "
        "replication or Object Lock configuration (S3 User Guide, Replication configuration; Object Lock "
        "considerations).",
        apply=_apply_state,
    ),
)
