"""Who may do what: bucket policies with their conditions, Block Public Access and ACLs, for every S3 request.

Rule: S3 User Guide, "How Amazon S3 authorizes a request". An explicit deny wins; a caller of the bucket's account is
allowed unless denied (the sandbox's credentials are the account's administrator, and IAM policies aren't enforced);
everybody else, unsigned requests included, needs a policy that allows it or a public ACL that counts.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from moto.ec2.models import ec2_backends
from moto.iam.access_control import (
    AssumedRoleAccessKey,
    CreateAccessKeyFailure,
    IAMUserAccessKey,
    PermissionResult,
    create_access_key,
)
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response
from moto.sts.models import sts_backends

from sandbox.api import request_context
from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_condition import Context
from sandbox.api.s3_configuration import read_document
from sandbox.api.s3_error import S3Error
from sandbox.api.s3_policy import Decision, Policy, PolicyError, Principal, parse_policy
from sandbox.api.s3_request import S3Request, Stage, before_answering, current, find_bucket

# The account's root may always repair a policy that locks it out (API Reference, PutBucketPolicy, the note on
# lock-out).
_ROOT_MAY_ALWAYS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
_READS = frozenset({"GetObject", "HeadObject"})
_LISTS = frozenset({"HeadBucket", "ListObjects", "ListObjectsV2", "ListObjectVersions"})
# S3 User Guide, "Enforce conditional writes on Amazon S3 buckets": whether an operation that needs s3:PutObject creates
# an object, or only a part of one.
_CREATES_OBJECT = {
    "PutObject": True,
    "CopyObject": True,
    "PostObject": True,
    "CompleteMultipartUpload": True,
    "CreateMultipartUpload": False,
    "UploadPart": False,
    "UploadPartCopy": False,
}
# By condition key, the operations that heed the header (API Reference, each of them). Elsewhere it promises nothing,
# and no policy may be satisfied by it: an upload by POST would overwrite with the header and all.
_HEEDED = {
    "if-match": frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject"}),
    "if-none-match": frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"}),
}
_QUERY_KEYS = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
    "versionId": "s3:versionid",
}


def policy_of(bucket: FakeBucket) -> Policy | None:
    """The bucket's policy as PutBucketPolicy parsed it, None without one."""
    return getattr(bucket, "lockstep_policy", None) if bucket.policy else None


def principal_of(asked: S3Request) -> Principal:
    """Who signed the request: a role's session, an IAM user, else the account's root; anonymous if nobody did."""
    if not is_signed(asked):
        return Principal()
    account = asked.response.current_account
    partition = asked.response.partition
    try:
        key = create_access_key(account, partition, _access_key(asked), dict(asked.headers))
    except CreateAccessKeyFailure:
        return Principal(arn=f"arn:{partition}:iam::{account}:root", account=account)
    if isinstance(key, AssumedRoleAccessKey):
        role = sts_backends[account][partition].get_assumed_role_from_access_key(_access_key(asked))
        return Principal(arn=key.arn, account=account, role_arn=role.role_arn if role else None)
    assert isinstance(key, IAMUserAccessKey)
    return Principal(arn=key.arn, account=account)


def is_signed(asked: S3Request) -> bool:
    """Whether the request carries a signature, in a header, in its query or in the form of a POST upload."""
    form = asked.response.form_data
    return (
        "Authorization" in asked.headers
        or "X-Amz-Signature" in asked.query
        or "Signature" in asked.query
        or any(name.lower() in ("x-amz-signature", "signature") for name in form)
    )


def _access_key(asked: S3Request) -> str:
    scope = re.search(r"Credential=([^/]+)/", asked.headers.get("Authorization", ""))
    if scope:
        return scope[1]
    credential = asked.query.get("X-Amz-Credential") or asked.response.form_data.get("x-amz-credential", "")
    return str(credential).split("/")[0] or asked.query.get("AWSAccessKeyId", "")


def context_of(asked: S3Request, principal: Principal, bucket: FakeBucket) -> Context:
    """What the request says, by condition key in lower case. Keys that don't apply are absent."""
    now = datetime.now(UTC)
    found: dict[str, str | None] = {
        "aws:currenttime": now.isoformat(),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:referer": asked.headers.get("Referer"),
        "aws:requestedregion": asked.response.region,
        "aws:resourceaccount": bucket.account_id,
        "aws:useragent": asked.headers.get("User-Agent"),
        "s3:resourceaccount": bucket.account_id,
        "s3:x-amz-content-sha256": asked.headers.get("x-amz-content-sha256"),
        **_network_keys(asked),
        **_principal_keys(asked, principal),
        **{key: asked.query.get(parameter) for parameter, key in _QUERY_KEYS.items()},
        **_writing_keys(asked),
        **{f"s3:{name.lower()}": value for name, value in asked.headers.items() if name.lower().startswith("x-amz-")},
    }
    return {key: (value,) for key, value in found.items() if value is not None}


def _writing_keys(asked: S3Request) -> dict[str, str | None]:
    name = asked.operation.name
    creates = _CREATES_OBJECT.get(name)
    return {
        "s3:objectcreationoperation": None if creates is None else str(creates).lower(),
        **{f"s3:{header}": asked.headers.get(header) for header, heeding in _HEEDED.items() if name in heeding},
    }


def _network_keys(asked: S3Request) -> dict[str, str | None]:
    seen = request_context.current()
    endpoint = seen.source_vpce
    return {
        "aws:securetransport": "true" if seen.secure else "false",
        "aws:sourcevpce": endpoint,
        "aws:sourcevpc": _vpc_of(endpoint, asked.response.current_account) if endpoint else None,
        # A request through a VPC endpoint has a private address, which this key never shows.
        "aws:sourceip": None if endpoint else asked.response.request.remote_addr,
        "s3:tlsversion": "1.3" if seen.secure else None,
    }


def _vpc_of(endpoint: str, account: str) -> str | None:
    for backend in ec2_backends[account].values():
        if endpoint in backend.vpc_end_points:
            return str(backend.vpc_end_points[endpoint].vpc_id)
    return None


def _principal_keys(asked: S3Request, principal: Principal) -> dict[str, str | None]:
    if principal.anonymous:
        return {"aws:principaltype": "Anonymous", "aws:principalisawsservice": "false", "aws:viaawsservice": "false"}
    kind = "AssumedRole" if principal.role_arn else "Account" if principal.is_root else "User"
    return {
        "aws:principalaccount": principal.account,
        "aws:principalarn": principal.role_arn or principal.arn,
        "aws:principalisawsservice": "false",
        "aws:principaltype": kind,
        "aws:viaawsservice": "false",
        "s3:authtype": "REST-HEADER" if "Authorization" in asked.headers else "REST-QUERY-STRING",
        "s3:signatureversion": "AWS" if "Signature" in asked.query else "AWS4-HMAC-SHA256",
    }


def _needed(asked: S3Request) -> Iterator[tuple[str, FakeBucket, str | None]]:
    """The permissions that the request needs: action, bucket, key."""
    if asked.bucket and asked.operation.action:
        yield asked.operation.action, asked.bucket, asked.key or asked.response.form_data.get("key")
    source = asked.headers.get("x-amz-copy-source")
    if source and asked.operation.name in ("CopyObject", "UploadPartCopy"):
        address = urlsplit(source)
        name, _, key = unquote(address.path).lstrip("/").partition("/")
        bucket = find_bucket(name)
        if bucket:
            yield "s3:GetObjectVersion" if "versionId=" in address.query else "s3:GetObject", bucket, key


def _authorize(asked: S3Request) -> None:
    principal = principal_of(asked)
    if principal.anonymous and asked.operation.name in ("ListBuckets", "CreateBucket"):
        raise S3Error("AccessDenied", "Access Denied")
    _check_expected_owner(asked)
    for action, bucket, key in _needed(asked):
        refusal = _refusal(asked, principal, action, bucket, key)
        if refusal:
            raise refusal
    _hide_what_is_missing(asked, principal)


def _check_expected_owner(asked: S3Request) -> None:
    expected = asked.headers.get("x-amz-expected-bucket-owner")
    if expected and asked.bucket and expected != asked.bucket.account_id:
        raise S3Error("AccessDenied", "Access Denied")


def _refusal(
    asked: S3Request, principal: Principal, action: str, bucket: FakeBucket, key: str | None
) -> S3Error | None:
    """Why the action is refused, None if it is allowed."""
    resource = f"{bucket.arn}/{key}" if key is not None else bucket.arn
    policy = policy_of(bucket)
    decision = (
        policy.decide(principal, action, resource, context_of(asked, principal, bucket)) if policy else Decision.NEUTRAL
    )
    if decision is Decision.DENY and not (principal.is_root and action in _ROOT_MAY_ALWAYS):
        return _denied(principal, bucket, action, resource)
    if principal.account == bucket.account_id:
        return None
    restricted = policy is not None and policy.is_public and _blocks(bucket, "restrict_public_buckets")
    if decision is Decision.ALLOW and not restricted:
        return None
    if _allowed_by_acl(asked, bucket):
        return None
    return S3Error("AccessDenied", "Access Denied")


def _denied(principal: Principal, bucket: FakeBucket, action: str, resource: str) -> S3Error:
    if principal.account != bucket.account_id:
        return S3Error("AccessDenied", "Access Denied")
    return S3Error(
        "AccessDenied",
        f'User: {principal.arn} is not authorized to perform: {action} on resource: "{resource}" with an explicit deny '
        "in a resource-based policy",
    )


def _hide_what_is_missing(asked: S3Request, principal: Principal) -> None:
    """To a caller who may not list the bucket, a missing object is 403, not 404 (API Reference, GetObject,
    Permissions).
    """
    bucket = asked.bucket
    if not bucket or asked.operation.name not in _READS or principal.account == bucket.account_id:
        return
    if isinstance(asked.existing, FakeKey) or "versionId" in asked.query:
        return
    refusal = _refusal(asked, principal, "s3:ListBucket", bucket, None)
    if refusal:
        raise refusal


def _blocks(bucket: FakeBucket, setting: str) -> bool:
    return bool(getattr(bucket.public_access_block, setting, False))


def acls_count(bucket: FakeBucket) -> bool:
    """Whether ACLs have any effect: not with the ownership setting that new buckets have."""
    return str(bucket.ownership_rule or "ObjectWriter") != "BucketOwnerEnforced"


def _allowed_by_acl(asked: S3Request, bucket: FakeBucket) -> bool:
    if not acls_count(bucket) or _blocks(bucket, "ignore_public_acls"):
        return False
    if asked.operation.name in _LISTS:
        return bool(bucket.acl and bucket.acl.public_read)
    found = asked.existing if asked.operation.name in _READS else None
    # moto gives an object that came without an ACL the bucket's own; on AWS such an object is private.
    return bool(isinstance(found, FakeKey) and found.acl and found.acl is not bucket.acl and found.acl.public_read)


def _decided_already(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    asked = current()
    if asked is None or asked.operation.name != "DeleteObjects":
        return PermissionResult.PERMITTED
    key, principal = resource.split(":::", 1)[1].partition("/")[2], principal_of(asked)
    refused = any(_refusal(asked, principal, each, bucket, key) for each in _deletions_of(asked, key))
    return PermissionResult.DENIED if refused else PermissionResult.PERMITTED


def _deletions_of(asked: S3Request, key: str) -> set[str]:
    """What DeleteObjects needs for a key (API Reference, "Permissions"): moto asks of each, and doesn't say which
    version. Of a key that is named both ways both are needed here.
    """
    named: list[Any] = read_document(asked.body, "Delete", lists=("Object",)).get("Object") or []
    versions = {each.get("VersionId") for each in named if isinstance(each, dict) and each.get("Key") == key}
    return {"s3:DeleteObjectVersion" if version else "s3:DeleteObject" for version in versions or {None}}


def _apply_evaluation() -> None:
    before_answering(Stage.ALLOWED, _authorize)
    replace(FakeBucket, "get_permission", _decided_already)


def _principal_exists(bucket: FakeBucket) -> Callable[[str], bool]:
    """Whether IAM has a user or role of that ARN. Only the sandbox's own account can be asked."""

    def exists(arn: str) -> bool:
        _, _, _, _, account, path = arn.split(":", 5)
        if account != bucket.account_id:
            return True
        backend = iam_backends[account][bucket.partition]
        find = backend.get_role if path.startswith("role/") else backend.get_user
        try:
            find(path.rsplit("/", 1)[1])
        except NotFoundException:
            return False
        return True

    return exists


def _put_policy(original: Callable[..., Any], backend: S3Backend, bucket_name: str, document: bytes) -> None:
    bucket = backend.get_bucket(bucket_name)
    try:
        policy = parse_policy(document, bucket_name, _principal_exists(bucket))
    except PolicyError as refused:
        raise S3Error("MalformedPolicy", str(refused)) from None
    if policy.is_public and _blocks(bucket, "block_public_policy"):
        raise _public_policy_blocked(bucket)
    original(backend, bucket_name, document)
    bucket.lockstep_policy = policy  # type: ignore[attr-defined]


def _public_policy_blocked(bucket: FakeBucket) -> S3Error:
    asked = current()
    caller = principal_of(asked).arn if asked else f"arn:{bucket.partition}:iam::{bucket.account_id}:root"
    return S3Error(
        "AccessDenied",
        f'User: {caller} is not authorized to perform: s3:PutBucketPolicy on resource: "{bucket.arn}" because public '
        "policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
    )


def _answer_put_policy(original: Callable[..., Any], response: S3Response, *args: Any) -> Any:
    answer = original(response, *args)
    asked = current()
    # moto answers PutBucketPolicy with the text "True"; S3 with 204 and nothing.
    return (204, {}, "") if asked and asked.operation.name == "PutBucketPolicy" else answer


def _policy_status(original: Callable[..., Any], response: S3Response) -> Any:
    policy = policy_of(response.backend.get_bucket(response.bucket_name))
    if policy is None:
        return original(response)
    text = "true" if policy.is_public else "false"
    return (
        200,
        {},
        f'<PolicyStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsPublic>{text}</IsPublic></PolicyStatus>',
    )


def _apply_validation() -> None:
    wrap(S3Backend, "put_bucket_policy", _put_policy)
    wrap(S3Response, "_bucket_response_put", _answer_put_policy)
    wrap(S3Response, "get_bucket_policy_status", _policy_status)


def _check_acl(asked: S3Request) -> None:
    bucket = asked.bucket
    if not bucket or not _sets_acl(asked):
        return
    canned = asked.headers.get("x-amz-acl")
    if not acls_count(bucket):
        if canned != "bucket-owner-full-control":
            raise S3Error("AccessControlListNotSupported", "The bucket does not allow ACLs")
    elif _blocks(bucket, "block_public_acls") and _is_public_acl(asked, canned):
        raise S3Error("AccessDenied", "Access Denied")


def _sets_acl(asked: S3Request) -> bool:
    if asked.operation.name in ("PutBucketAcl", "PutObjectAcl"):
        return True
    writes = asked.operation.name in ("PutObject", "CopyObject", "CreateMultipartUpload")
    return writes and any(
        n.lower() == "x-amz-acl" or n.lower().startswith("x-amz-grant-") for n, _ in asked.headers.items()
    )


def _is_public_acl(asked: S3Request, canned: str | None) -> bool:
    granted = [value for name, value in asked.headers.items() if name.lower().startswith("x-amz-grant-")]
    everyone = re.compile(r"groups/global/(AllUsers|AuthenticatedUsers)")
    return (
        canned in ("public-read", "public-read-write", "authenticated-read")
        or any(everyone.search(value) for value in granted)
        or everyone.search(asked.body.decode(errors="replace")) is not None
    )


CHANGES = (
    Change(
        name="s3-access-decided",
        why="moto ignores the conditions of a bucket policy, its principals and who is asking: a policy that "
        "denies plain HTTP locks everybody out, and anonymous callers may list and write every bucket. AWS "
        "evaluates policy, Block Public Access and ACLs (S3 User Guide, How Amazon S3 authorizes a request).",
        apply=_apply_evaluation,
    ),
    Change(
        name="s3-policy-validated",
        why="moto stores any text as a bucket policy. S3 refuses malformed, foreign and, with BlockPublicPolicy, "
        "public policies (API Reference, PutBucketPolicy; S3 User Guide, Blocking public access). Operators and "
        "keys that the sandbox can't evaluate are refused by name.",
        apply=_apply_validation,
    ),
    Change(
        name="s3-acl-refused",
        why="moto takes every ACL. With Object Ownership BucketOwnerEnforced, the default since April 2023, S3 "
        "refuses all but bucket-owner-full-control, and BlockPublicAcls refuses public ones (S3 User Guide, "
        "Controlling ownership of objects and disabling ACLs).",
        apply=lambda: before_answering(Stage.SOUND, _check_acl),
    ),
)
