"""What becomes a replication job, and how S3's API shows replication.

Rules: S3 User Guide, "What does Amazon S3 replicate?", "Getting replication status information" and "Replicating
delete markers between buckets". Whether an object is replicated, and by which rules, is decided when it is written;
so objects that were there before a rule, and replicas, never are. Deletions of versions never are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response

from sandbox.api import s3_replicator
from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_configuration import write_document
from sandbox.api.s3_error import S3Error
from sandbox.api.s3_replica import KMS, perform, tags_of
from sandbox.api.s3_replication import ROOT, Replication, Rule, parse_replication
from sandbox.api.s3_replicator import Job, Kind, Progress, Replicator
from sandbox.api.s3_request import current, find_bucket
from sandbox.api.s3_versioning import find_version

replicator = Replicator(perform)


def _replication_of(bucket: FakeBucket) -> Replication | None:
    found = getattr(bucket, "replication", None)
    return found if isinstance(found, Replication) else None


def _consider(bucket: FakeBucket, key: FakeKey) -> None:
    """Decide whether an object that was just written is replicated, and schedule it."""
    replication = _replication_of(bucket)
    if replication is None or not bucket.is_versioned:
        return
    rules = replication.rules_for(key.name, tags_of(bucket, key))
    if key.encryption in KMS:
        rules = tuple(rule for rule in rules if rule.kms_key_arn)
    if not rules:
        return
    key.lockstep_progress = Progress(  # type: ignore[attr-defined]
        by_destination={rule.bucket_name: "PENDING" for rule in rules}
    )
    for rule in rules:
        _schedule(Kind.OBJECT, bucket, key.name, key.version_id, rule, replication)


def _schedule(
    kind: Kind, bucket: FakeBucket, key_name: str, version_id: str, rule: Rule, replication: Replication
) -> None:
    job = Job(
        kind=kind, source=bucket, key_name=key_name, version_id=version_id, rule=rule, role_arn=replication.role_arn
    )
    replicator.schedule(job, s3_replicator.delay())


# Objects written by the request in progress: their tags come after them, and rules can ask for tags.
_written: ContextVar[list[tuple[FakeBucket, FakeKey]] | None] = ContextVar("lockstep_s3_written", default=None)


@contextmanager
def _collecting() -> Iterator[None]:
    written: list[tuple[FakeBucket, FakeKey]] = []
    token = _written.set(written)
    try:
        yield
    finally:
        _written.reset(token)
        for bucket, key in written:
            _consider(bucket, key)


def _answer(original: Callable[..., Any], response: S3Response, *args: Any) -> Any:
    with _collecting():
        return original(response, *args)


def _put_object(
    original: Callable[..., FakeKey], backend: S3Backend, bucket_name: str, *args: Any, **kwargs: Any
) -> FakeKey:
    key = original(backend, bucket_name, *args, **kwargs)
    bucket = backend.get_bucket(bucket_name)
    written = _written.get()
    if written is None:
        _consider(bucket, key)
    else:
        written.append((bucket, key))
    return key


def _delete_object(
    original: Callable[..., Any], backend: S3Backend, bucket_name: str, key_name: str, *args: Any, **kwargs: Any
) -> Any:
    deleted, meta = original(backend, bucket_name, key_name, *args, **kwargs)
    bucket = backend.get_bucket(bucket_name)
    replication = _replication_of(bucket)
    made_a_marker = "delete-marker" in meta and find_version(bucket, key_name, str(meta.get("version-id"))) is not None
    if replication and made_a_marker:
        for rule in replication.rules_for(key_name, {}):
            if rule.delete_markers:
                _schedule(Kind.DELETE_MARKER, bucket, key_name, meta["version-id"], rule, replication)
    return deleted, meta


def _tags_put(original: Callable[..., Any], backend: S3Backend, key: FakeKey, tags: dict[str, str] | None) -> Any:
    result = original(backend, key, tags)
    asked = current()
    if asked and asked.operation.name == "PutObjectTagging" and asked.bucket:
        _carry_tags(asked.bucket, key)
    return result


def _tags_deleted(
    original: Callable[..., Any], backend: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None
) -> Any:
    result = original(backend, bucket_name, key_name, version_id)
    key = backend.get_object(bucket_name, key_name, version_id=version_id)
    if key is not None:
        _carry_tags(backend.get_bucket(bucket_name), key)
    return result


def _carry_tags(bucket: FakeBucket, key: FakeKey) -> None:
    """New tags of a replicated object follow it; those of a replica go back only with ReplicaModifications."""
    replication = _replication_of(bucket)
    if replication is None:
        return
    progress = getattr(key, "lockstep_progress", None)
    for rule in replication.rules:
        if getattr(key, "lockstep_is_replica", False):
            follows = rule.enabled and rule.replica_modifications and key.name.startswith(rule.prefix)
        else:
            follows = progress is not None and progress.by_destination.get(rule.bucket_name) == "COMPLETED"
        if follows:
            if progress is not None:
                progress.by_destination[rule.bucket_name] = "PENDING"
            _schedule(Kind.TAGS, bucket, key.name, key.version_id, rule, replication)


def status_of(key: FakeKey) -> str | None:
    """What S3 says of the object's replication, None if it isn't replicated and isn't a replica."""
    if getattr(key, "lockstep_is_replica", False):
        return "REPLICA"
    progress = getattr(key, "lockstep_progress", None)
    return progress.status if progress else None


def _show_status() -> None:
    describe: Any = FakeKey.response_dict.fget  # type: ignore[attr-defined]

    def response_dict(key: FakeKey) -> dict[str, Any]:
        status = status_of(key)
        headers: dict[str, Any] = describe(key)
        return headers | {"x-amz-replication-status": status} if status else headers

    FakeKey.response_dict = property(response_dict)  # type: ignore[method-assign,assignment]


def _reset(original: Callable[..., None], backend: S3Backend) -> None:
    replicator.forget()
    original(backend)


def _apply_replication() -> None:
    wrap(S3Response, "_key_response", _answer)
    wrap(S3Response, "_bucket_response", _answer)
    wrap(S3Backend, "put_object", _put_object)
    wrap(S3Backend, "delete_object", _delete_object)
    wrap(S3Backend, "put_object_tagging", _tags_put)
    wrap(S3Backend, "delete_object_tagging", _tags_deleted)
    wrap(S3Backend, "reset", _reset)
    _show_status()


def _read_configuration(response: S3Response, body: bytes) -> Replication:
    return parse_replication(body, response.bucket_name)


def _put_configuration(backend: S3Backend, bucket_name: str, replication: Replication) -> None:
    for rule in replication.rules:
        destination = find_bucket(rule.bucket_name)
        if destination is None:
            raise S3Error("InvalidRequest", "Destination bucket must exist.")
        if not destination.is_versioned:
            raise S3Error("InvalidRequest", "Destination bucket must have versioning enabled.")
    backend.get_bucket(bucket_name).replication = replication  # type: ignore[attr-defined]


def _get_configuration(original: Callable[..., Any], response: S3Response) -> Any:
    replication = _replication_of(response.backend.get_bucket(response.bucket_name))
    if replication is None:
        return original(response)
    return 200, {}, write_document(ROOT, replication.document)


def _apply_configuration() -> None:
    replace(S3Response, "_replication_config_from_xml", _read_configuration)
    replace(S3Backend, "put_bucket_replication", _put_configuration)
    wrap(S3Response, "get_bucket_replication", _get_configuration)


CHANGES = (
    Change(
        name="s3-replication-configuration",
        why="moto accepts any replication configuration and returns it without Filter, DeleteMarkerReplication and "
        "SourceSelectionCriteria. S3 validates it, wants the destination to exist with versioning, and returns "
        "what was put (API Reference, PutBucketReplication).",
        apply=_apply_configuration,
    ),
    Change(
        name="s3-replication",
        why="moto copies nothing. S3 replicates what is written after the rule, by prefix and tags, delete markers "
        "where the rule says so, KMS objects where they are selected, versions under their own id, never replicas "
        "or deletions of versions; and says PENDING, COMPLETED, FAILED or REPLICA (S3 User Guide, What does Amazon "
        "S3 replicate?); rules with metrics tell CloudWatch of failures. The role's "
        "permissions and the buckets' policies decide here as on AWS, but not the conditions in the role's policies.",
        apply=_apply_replication,
    ),
)
