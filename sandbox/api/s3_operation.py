"""Which S3 operation a request is: from its method, whether it names a key, and its sub-resource (`?policy`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, urlsplit

import botocore.session


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An S3 API operation and the IAM action that allows it.

    Actions: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3". `action` is None
    for what no bucket policy governs. `known` is False for operations that S3 has and moto doesn't.
    """

    name: str
    action: str | None
    known: bool = True


# By (method, names a key), then by sub-resource; "" is the operation without one. Only what moto implements.
_OPERATIONS: dict[tuple[str, bool], dict[str, tuple[str, str | None]]] = {
    ("HEAD", False): {"": ("HeadBucket", "s3:ListBucket")},
    ("GET", False): {
        "": ("ListObjects", "s3:ListBucket"),
        "list-type": ("ListObjectsV2", "s3:ListBucket"),
        "accelerate": ("GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration"),
        "acl": ("GetBucketAcl", "s3:GetBucketAcl"),
        "cors": ("GetBucketCors", "s3:GetBucketCORS"),
        "encryption": ("GetBucketEncryption", "s3:GetEncryptionConfiguration"),
        "inventory": ("ListBucketInventoryConfigurations", "s3:GetInventoryConfiguration"),
        "lifecycle": ("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
        "location": ("GetBucketLocation", "s3:GetBucketLocation"),
        "logging": ("GetBucketLogging", "s3:GetBucketLogging"),
        "notification": ("GetBucketNotificationConfiguration", "s3:GetBucketNotification"),
        "object-lock": ("GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration"),
        "ownershipControls": ("GetBucketOwnershipControls", "s3:GetBucketOwnershipControls"),
        "policy": ("GetBucketPolicy", "s3:GetBucketPolicy"),
        "policyStatus": ("GetBucketPolicyStatus", "s3:GetBucketPolicyStatus"),
        "publicAccessBlock": ("GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
        "replication": ("GetBucketReplication", "s3:GetReplicationConfiguration"),
        "tagging": ("GetBucketTagging", "s3:GetBucketTagging"),
        "uploads": ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        "versioning": ("GetBucketVersioning", "s3:GetBucketVersioning"),
        "versions": ("ListObjectVersions", "s3:ListBucketVersions"),
        "website": ("GetBucketWebsite", "s3:GetBucketWebsite"),
    },
    ("PUT", False): {
        "": ("CreateBucket", None),
        "accelerate": ("PutBucketAccelerateConfiguration", "s3:PutAccelerateConfiguration"),
        "acl": ("PutBucketAcl", "s3:PutBucketAcl"),
        "cors": ("PutBucketCors", "s3:PutBucketCORS"),
        "encryption": ("PutBucketEncryption", "s3:PutEncryptionConfiguration"),
        "inventory": ("PutBucketInventoryConfiguration", "s3:PutInventoryConfiguration"),
        "lifecycle": ("PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
        "logging": ("PutBucketLogging", "s3:PutBucketLogging"),
        "notification": ("PutBucketNotificationConfiguration", "s3:PutBucketNotification"),
        "object-lock": ("PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"),
        "ownershipControls": ("PutBucketOwnershipControls", "s3:PutBucketOwnershipControls"),
        "policy": ("PutBucketPolicy", "s3:PutBucketPolicy"),
        "publicAccessBlock": ("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        "replication": ("PutBucketReplication", "s3:PutReplicationConfiguration"),
        "tagging": ("PutBucketTagging", "s3:PutBucketTagging"),
        "versioning": ("PutBucketVersioning", "s3:PutBucketVersioning"),
        "website": ("PutBucketWebsite", "s3:PutBucketWebsite"),
    },
    ("DELETE", False): {
        "": ("DeleteBucket", "s3:DeleteBucket"),
        "cors": ("DeleteBucketCors", "s3:PutBucketCORS"),
        "encryption": ("DeleteBucketEncryption", "s3:PutEncryptionConfiguration"),
        "lifecycle": ("DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
        "ownershipControls": ("DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls"),
        "policy": ("DeleteBucketPolicy", "s3:DeleteBucketPolicy"),
        "publicAccessBlock": ("DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        "replication": ("DeleteBucketReplication", "s3:PutReplicationConfiguration"),
        "tagging": ("DeleteBucketTagging", "s3:PutBucketTagging"),
        "website": ("DeleteBucketWebsite", "s3:DeleteBucketWebsite"),
    },
    # DeleteObjects is allowed or denied key by key, inside a 200 answer (API Reference, DeleteObjects, "Permissions").
    ("POST", False): {"": ("PostObject", "s3:PutObject"), "delete": ("DeleteObjects", None)},
    ("HEAD", True): {"": ("HeadObject", "s3:GetObject")},
    ("GET", True): {
        "": ("GetObject", "s3:GetObject"),
        "acl": ("GetObjectAcl", "s3:GetObjectAcl"),
        "attributes": ("GetObjectAttributes", "s3:GetObject"),
        "legal-hold": ("GetObjectLegalHold", "s3:GetObjectLegalHold"),
        "tagging": ("GetObjectTagging", "s3:GetObjectTagging"),
        "uploadId": ("ListParts", "s3:ListMultipartUploadParts"),
    },
    ("PUT", True): {
        "": ("PutObject", "s3:PutObject"),
        "acl": ("PutObjectAcl", "s3:PutObjectAcl"),
        "legal-hold": ("PutObjectLegalHold", "s3:PutObjectLegalHold"),
        "partNumber": ("UploadPart", "s3:PutObject"),
        "retention": ("PutObjectRetention", "s3:PutObjectRetention"),
        "tagging": ("PutObjectTagging", "s3:PutObjectTagging"),
        "uploadId": ("UploadPart", "s3:PutObject"),
    },
    ("DELETE", True): {
        "": ("DeleteObject", "s3:DeleteObject"),
        "tagging": ("DeleteObjectTagging", "s3:DeleteObjectTagging"),
        "uploadId": ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
    },
    ("POST", True): {
        "restore": ("RestoreObject", "s3:RestoreObject"),
        "select": ("SelectObjectContent", "s3:GetObject"),
        "uploadId": ("CompleteMultipartUpload", "s3:PutObject"),
        "uploads": ("CreateMultipartUpload", "s3:PutObject"),
    },
}

# Reading or deleting one version needs its own permission.
_VERSIONED_ACTIONS = {
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


@cache
def _all_of_s3() -> dict[tuple[str, bool], dict[str, str]]:
    """Every sub-resource of S3's service model with its operation, by (method, names a key).

    Where two operations share one, the later name wins: it is the one that isn't deprecated.
    """
    model = botocore.session.get_session().get_service_model("s3")
    found: dict[tuple[str, bool], dict[str, str]] = {}
    for name in model.operation_names:
        http = model.operation_model(name).http
        address = urlsplit(http["requestUri"])
        for parameter, _ in parse_qsl(address.query, keep_blank_values=True):
            found.setdefault((http["method"], "{Key" in address.path), {})[parameter] = name
    return found


def _unknown_to_moto(method: str, has_key: bool, query: Mapping[str, str]) -> Operation | None:
    known = {name for name, _ in _OPERATIONS.get((method, has_key), {}).values()}
    for parameter, name in _all_of_s3().get((method, has_key), {}).items():
        if parameter in query and name not in known:
            return Operation(name=name, action=None, known=False)
    return None


def _creates_by_mistake(method: str, has_key: bool, query: Mapping[str, str]) -> Operation | None:
    """A PUT of a bucket with a parameter that nobody knows: moto would make the bucket."""
    if method != "PUT" or has_key:
        return None
    strange = [p for p in query if p != "x-id" and not p.lower().startswith("x-amz-") and p not in _SIGNATURE_V2]
    if not strange:
        return None
    return Operation(name=f"PUT of a bucket's sub-resource {strange[0]}", action=None, known=False)


_SIGNATURE_V2 = ("AWSAccessKeyId", "Signature", "Expires")


def operation_of(method: str, has_key: bool, query: Mapping[str, str], copies: bool) -> Operation | None:
    """The operation of a request; `copies` says that it has an `x-amz-copy-source`.

    None if no S3 operation has this method (OPTIONS, PATCH); an operation with `known=False` if moto lacks it.
    """
    known = _OPERATIONS.get((method, has_key))
    if known is None:
        return None
    missing = _unknown_to_moto(method, has_key, query)
    if missing:
        return missing
    for parameter, (name, action) in known.items():
        if parameter and parameter in query:
            return _refined(name, action, query, copies)
    strange = _creates_by_mistake(method, has_key, query)
    if strange or "" not in known:
        return strange or Operation(name=f"{method} of an object without a sub-resource", action=None, known=False)
    return _refined(*known[""], query, copies)


def _refined(name: str, action: str | None, query: Mapping[str, str], copies: bool) -> Operation:
    if copies:
        name = _COPIES.get(name, name)
    if action and query.get("versionId"):
        action = _VERSIONED_ACTIONS.get(action, action)
    return Operation(name=name, action=action)
