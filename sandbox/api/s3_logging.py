"""Server access logging: what S3 accepts as a configuration, returned as it was put. No log is delivered here.

Sources: API Reference, PutBucketLogging; S3 User Guide, "Logging requests with server access logging" ("Both the source
and destination buckets must be in the same AWS Region and owned by the same account") and "Enabling Amazon S3 server
access logging". The texts of the refusals are S3's own, but for that of a missing permission.
"""

from collections.abc import Callable
from typing import Any, Final

from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response

from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_access import acls_count, policy_of
from sandbox.api.s3_configuration import child, read_document, text_of, unknown_elements, write_document
from sandbox.api.s3_error import S3Error, invalid_argument, malformed_xml, not_in_the_sandbox
from sandbox.api.s3_policy import Decision, Principal
from sandbox.api.s3_request import S3Request, Stage, before_answering, current, find_bucket

ROOT: Final = "BucketLoggingStatus"
SERVICE: Final = "logging.s3.amazonaws.com"
PREFIX_MAX: Final = 1024  # S3 User Guide, "Naming Amazon S3 objects": bytes of a key.
_SOURCES: Final = ("EventTime", "DeliveryTime")


def check_logging(body: bytes, source: FakeBucket) -> dict[str, Any]:
    """The document in `body`, empty if it turns logging off. Raises S3Error with S3's code and text."""
    document = read_document(body, ROOT, lists=())
    unknown_elements(document, frozenset({"LoggingEnabled"}))
    logging = child(document, "LoggingEnabled")
    if logging is None:
        return {}
    unknown_elements(logging, frozenset({"TargetBucket", "TargetGrants", "TargetObjectKeyFormat", "TargetPrefix"}))
    name, prefix = text_of(logging, "TargetBucket"), text_of(logging, "TargetPrefix")
    if not name or prefix is None:
        raise malformed_xml()
    if len(prefix.encode()) > PREFIX_MAX:
        raise invalid_argument("The target prefix is too long", "TargetPrefix", prefix)
    if "TargetGrants" in logging:
        raise not_in_the_sandbox("TargetGrants", "Give rights to the log bucket by its policy")
    _check_format(logging)
    _check_target(name, prefix, source)
    return document


def _check_format(logging: dict[str, Any]) -> None:
    wanted = child(logging, "TargetObjectKeyFormat")
    if wanted is None:
        return
    unknown_elements(wanted, frozenset({"PartitionedPrefix", "SimplePrefix"}))
    if len(wanted) != 1:
        raise malformed_xml()
    partitioned = child(wanted, "PartitionedPrefix")
    if partitioned is None:
        return
    unknown_elements(partitioned, frozenset({"PartitionDateSource"}))
    if text_of(partitioned, "PartitionDateSource") not in _SOURCES:
        raise malformed_xml()


def _check_target(name: str, prefix: str, source: FakeBucket) -> None:
    target = find_bucket(name)
    if target is None:
        raise _unfit("The target bucket for logging does not exist", name)
    if target.account_id != source.account_id:
        raise _unfit("The owner for the bucket to be logged and the target bucket must be the same.", name)
    if target.region_name != source.region_name:
        raise S3Error(
            "CrossLocationLoggingProhibitted",
            "Cross S3 location logging not allowed. ",
            elements={"TargetBucketLocation": target.region_name, "SourceBucketLocation": source.region_name},
            status=403,
        )
    if not _may_write(target, prefix, source):
        raise _unfit(
            "You must either provide the necessary permissions to the logging service using a bucket policy or give "
            "the log-delivery group WRITE and READ_ACP permissions to the target bucket",
            name,
        )


def _unfit(message: str, target: str) -> S3Error:
    return S3Error("InvalidTargetBucketForLogging", message, elements={"TargetBucket": target})


def _may_write(target: FakeBucket, prefix: str, source: FakeBucket) -> bool:
    """Whether S3's logging service may write a log of `source` below `prefix`: by policy, or by ACLs that count."""
    policy = policy_of(target)
    key = f"{prefix}2026-01-01-00-00-00-0123456789ABCDEF"
    context = {
        "aws:principalisawsservice": ("true",),
        "aws:securetransport": ("true",),
        "aws:sourceaccount": (source.account_id,),
        "aws:sourcearn": (source.arn,),
    }
    service = Principal(service=SERVICE)
    decision = policy.decide(service, "s3:PutObject", f"{target.arn}/{key}", context) if policy else Decision.NEUTRAL
    if decision is not Decision.NEUTRAL:
        return decision is Decision.ALLOW
    return acls_count(target) and FakeBucket._log_permissions_enabled_acl(target)


def _check_request(asked: S3Request) -> None:
    if asked.operation.name == "PutBucketLogging" and asked.bucket is not None:
        asked.bucket.lockstep_logging = check_logging(asked.body, asked.bucket)  # type: ignore[attr-defined]


def _answer_put(original: Callable[..., Any], response: S3Response, *args: Any) -> Any:
    asked = current()
    # All has been checked; moto's own checks compare texts of the policy, and know of no conditions.
    return (200, {}, "") if asked and asked.operation.name == "PutBucketLogging" else original(response, *args)


def _get(original: Callable[..., Any], response: S3Response) -> Any:
    bucket = response.backend.get_bucket(response.bucket_name)
    return 200, {}, write_document(ROOT, getattr(bucket, "lockstep_logging", {}))


def _log_nothing(backend: S3Backend, request: Any, bucket_name: str) -> None:
    """S3 delivers logs "on a best-effort basis", most "within a few hours"; the sandbox doesn't last that long."""


def _apply() -> None:
    before_answering(Stage.SOUND, _check_request)
    wrap(S3Response, "_bucket_response_put", _answer_put)
    wrap(S3Response, "get_bucket_logging", _get)
    replace(S3Backend, "log_incoming_request", _log_nothing)


CHANGES = (
    Change(
        name="s3-logging",
        why="moto compares the log bucket's policy with texts that it expects, ignores its conditions and denials, "
        "loses TargetObjectKeyFormat, and writes a made-up record for every request. S3 asks whether its logging "
        "service may write, wants the same region and account, and returns what was put (API Reference, "
        "PutBucketLogging). Delivery isn't implemented; TargetGrants are refused by name.",
        apply=_apply,
    ),
)
