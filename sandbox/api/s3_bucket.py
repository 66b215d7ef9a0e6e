"""Buckets: one name space for everybody, names and locations as S3 wants them, safe defaults, and the region they
live in.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
from moto.s3.models import FakeBucket, PublicAccessBlock, S3Backend

from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_access import acls_count
from sandbox.api.s3_configuration import read_document, text_of
from sandbox.api.s3_error import S3Error, malformed_xml, not_in_the_sandbox
from sandbox.api.s3_request import S3Request, Stage, before_answering

# S3 User Guide, "General purpose bucket naming rules".
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_FIRST_REGION = "us-east-1"
# A name that LocationConstraint keeps from before regions had names (API Reference, CreateBucketConfiguration).
_EU = "EU"
_OWNERSHIP = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")


def is_valid_bucket_name(name: str) -> bool:
    """Whether S3 lets a bucket have this name."""
    return bool(
        _NAME.fullmatch(name)
        and ".." not in name
        and not _IP_ADDRESS.fullmatch(name)
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
    )


@cache
def _regions() -> frozenset[str]:
    return frozenset(boto3.Session().get_available_regions("s3"))


def _check_creation(asked: S3Request) -> None:
    if asked.operation.name != "CreateBucket":
        return
    if not is_valid_bucket_name(asked.bucket_name):
        raise S3Error(
            "InvalidBucketName",
            "The specified bucket is not valid.",
            elements={"BucketName": asked.bucket_name},
        )
    _check_location(_location_of(asked.body), signed_region(asked) or _FIRST_REGION)
    _check_ownership(asked)


def _location_of(body: bytes) -> str | None:
    if not body.strip():
        return None
    configuration = read_document(body, "CreateBucketConfiguration", lists=())
    if "Location" in configuration:
        raise not_in_the_sandbox("directory buckets", "Use a general purpose bucket: leave Location out")
    return text_of(configuration, "LocationConstraint")


def _check_location(location: str | None, region: str) -> None:
    """The constraint must name the region of the endpoint, and be absent in us-east-1."""
    if location is None and region != _FIRST_REGION:
        raise _illegal_location("unspecified")
    if location == _EU:
        raise not_in_the_sandbox("the LocationConstraint EU", "Use eu-west-1, which is what it stands for")
    if location == _FIRST_REGION or (location is not None and location not in _regions()):
        raise S3Error("InvalidLocationConstraint", "The specified location-constraint is not valid")
    if location is not None and location != region:
        raise _illegal_location(location)


def _illegal_location(location: str) -> S3Error:
    return S3Error(
        "IllegalLocationConstraintException",
        f"The {location} location constraint is incompatible for the region specific endpoint this request was sent "
        "to.",
    )


def _check_ownership(asked: S3Request) -> None:
    ownership = asked.headers.get("x-amz-object-ownership", _OWNERSHIP[0])
    if ownership not in _OWNERSHIP:
        raise S3Error("InvalidArgument", f"Invalid x-amz-object-ownership header: {ownership}")
    acl = asked.headers.get("x-amz-acl", "private")
    grants = any(name.lower().startswith("x-amz-grant-") for name, _ in asked.headers.items())
    if ownership == _OWNERSHIP[0] and (grants or acl not in ("private", "bucket-owner-full-control")):
        raise S3Error(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        )
    if acl in _PUBLIC_ACLS:
        # Block Public Access is on before the ACL is set, so that a public ACL can never be given at creation.
        raise S3Error(
            "InvalidBucketAclWithBlockPublicAccessError",
            "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
        )


def _with_defaults(original: Callable[..., None], bucket: FakeBucket, *args: Any, **kwargs: Any) -> None:
    original(bucket, *args, **kwargs)
    bucket.encryption = _default_encryption()
    bucket.public_access_block = PublicAccessBlock(True, True, True, True)
    bucket.ownership_rule = _OWNERSHIP[0]  # type: ignore[assignment]


def _default_encryption() -> dict[str, Any]:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}
    return {"Rule": rule}


def _reset_encryption(backend: S3Backend, bucket_name: str) -> None:
    # DeleteBucketEncryption goes back to SSE-S3; a bucket without encryption doesn't exist any more.
    backend.get_bucket(bucket_name).encryption = _default_encryption()


def _put_ownership(original: Callable[..., None], backend: S3Backend, bucket_name: str, ownership: Any) -> None:
    if ownership not in _OWNERSHIP:
        raise malformed_xml()
    bucket = backend.get_bucket(bucket_name)
    granted = bucket.acl.grants if bucket.acl and acls_count(bucket) else []
    if ownership == _OWNERSHIP[0] and len(granted) > 1:
        raise S3Error(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        )
    original(backend, bucket_name, ownership)


def _apply_defaults() -> None:
    wrap(FakeBucket, "__init__", _with_defaults)
    replace(S3Backend, "delete_bucket_encryption", _reset_encryption)
    wrap(S3Backend, "put_bucket_ownership_controls", _put_ownership)


def signed_region(asked: S3Request) -> str | None:
    """The region in the request's signature; None without one, or with one of version 2, which has none."""
    scope = re.search(r"Credential=[^/]+/[^/]+/([^/]+)/", asked.headers.get("Authorization", ""))
    if scope:
        return scope[1]
    parts = asked.query.get("X-Amz-Credential", "").split("/")
    return parts[2] if len(parts) == 5 else None


def _host_region(asked: S3Request) -> str | None:
    """The region in a host name in AWS's form (`bucket.s3.eu-west-1.amazonaws.com`)."""
    found = re.search(
        r"(?:^|\.)s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com", asked.headers.get("Host", "")
    )
    return found[1] if found else None


def _route(asked: S3Request) -> None:
    bucket = asked.bucket
    signed, host = signed_region(asked), _host_region(asked)
    if signed and host and signed != host:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{signed}' is wrong; expecting '{host}'",
            elements={"Region": host},
        )
    region = signed or host
    if bucket is None or region is None or region == bucket.region_name or _asks_anywhere(asked, region):
        return
    raise S3Error(
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all "
        "future requests to this endpoint.",
        elements={"Endpoint": f"s3.{bucket.region_name}.amazonaws.com", "Bucket": bucket.name},
        headers={"x-amz-bucket-region": bucket.region_name},
    )


def _asks_anywhere(asked: S3Request, region: str) -> bool:
    """CreateBucket finds a taken name itself; us-east-1 answers where any bucket is (API Reference,
    GetBucketLocation).
    """
    name = asked.operation.name
    return name == "CreateBucket" or (name == "GetBucketLocation" and region == _FIRST_REGION)


def _delete_bucket(original: Callable[..., Any], backend: S3Backend, bucket_name: str) -> Any:
    bucket = backend.get_bucket(bucket_name)
    if bucket.keys:
        text = "The bucket you tried to delete is not empty"
        if bucket.versioning_status:
            text += ". You must delete all versions in the bucket."
        raise S3Error("BucketNotEmpty", text, elements={"BucketName": bucket_name})
    removed = original(backend, bucket_name)
    # moto would give the tags to the next bucket of this name.
    backend.tagger.delete_all_tags_for_resource(bucket.arn)
    return removed


def _check_known(asked: S3Request) -> None:
    if not asked.operation.known:
        parameters = "&".join(name for name in asked.query if name != "x-id")
        raise not_in_the_sandbox(
            f"{asked.operation.name} ({asked.response.method} ?{parameters})",
            "Leave the call out when AWS_ENDPOINT_URL points at the sandbox, or add it to sandbox/api",
        )


# The root element of each document that moto reads without looking whether it is one.
_ROOTS = {
    "DeleteObjects": "Delete",
    "PutBucketAccelerateConfiguration": "AccelerateConfiguration",
    "PutBucketCors": "CORSConfiguration",
    "PutBucketEncryption": "ServerSideEncryptionConfiguration",
    "PutBucketLogging": "BucketLoggingStatus",
    "PutBucketNotificationConfiguration": "NotificationConfiguration",
    "PutBucketOwnershipControls": "OwnershipControls",
    "PutBucketTagging": "Tagging",
    "PutBucketVersioning": "VersioningConfiguration",
    "PutObjectTagging": "Tagging",
    "PutPublicAccessBlock": "PublicAccessBlockConfiguration",
}


def _check_document(asked: S3Request) -> None:
    root = _ROOTS.get(asked.operation.name)
    if root is None:
        return
    if not asked.body.strip():
        raise S3Error("MissingRequestBodyError", "Request Body is empty")
    read_document(asked.body, root, lists=())


CHANGES = (
    Change(
        name="s3-document-checked",
        why="moto fails with HTTP 500 on a configuration that isn't XML or is that of another operation. S3 answers "
        "MalformedXML, and MissingRequestBodyError without a body (API Reference, Error responses).",
        apply=lambda: before_answering(Stage.SOUND, _check_document),
    ),
    Change(
        name="s3-unknown-operation-refused",
        why="moto takes a sub-resource that it doesn't know for the operation without one: "
        "PutBucketMetricsConfiguration creates a bucket, GetObjectRetention returns the object. Such calls are "
        "refused by name.",
        apply=lambda: before_answering(Stage.NAMED, _check_known),
    ),
    Change(
        name="s3-region-redirect",
        why="moto serves every bucket from every region. S3 answers a request signed for another region than the "
        "bucket's with 301 PermanentRedirect and x-amz-bucket-region, which SDKs follow by signing again (S3 User "
        "Guide, Making requests, Request redirection). The endpoint's region is the signature's, as all regions "
        "share one port here.",
        apply=lambda: before_answering(Stage.ROUTED, _route),
    ),
    Change(
        name="s3-bucket-creation-checked",
        why="moto checks only the length of a bucket's name, and lets a us-east-1 client create anywhere. S3 has "
        "naming rules, and a regional endpoint makes buckets of its own region only (S3 User Guide, General "
        "purpose bucket naming rules; API Reference, CreateBucket).",
        apply=lambda: before_answering(Stage.SOUND, _check_creation),
    ),
    Change(
        name="s3-bucket-defaults",
        why="A new moto bucket has no encryption, no Block Public Access and takes ACLs. On AWS it has SSE-S3 "
        "(since January 2023), all four Block Public Access settings and BucketOwnerEnforced (since April 2023).",
        apply=_apply_defaults,
    ),
    Change(
        name="s3-bucket-deletion",
        why="moto keeps a deleted bucket's tags for the next bucket of that name, and doesn't say that versions "
        "are what is left. On AWS a bucket is gone with everything it had.",
        apply=lambda: wrap(S3Backend, "delete_bucket", _delete_bucket),
    ),
)
