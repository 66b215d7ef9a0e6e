"""Bucket policies: what S3 accepts as one, what one decides about a request, and whether S3 calls it public.

Sources: IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic"; S3 User Guide, "Bucket
policies for Amazon S3" and "Blocking public access", "The meaning of 'public'". The texts of the refusals are S3's
own.
"""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox.api.s3_condition import Condition, ConditionError, Context, check_applies, like, parse_block

MAX_POLICY_BYTES = 20 * 1024  # S3 User Guide, "Bucket restrictions and limitations"
_VERSIONS = ("2008-10-17", "2012-10-17")
_STATEMENT_FIELDS = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_PRINCIPAL_KINDS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_BUCKET_ACTIONS = (
    re.compile(r"s3:(CreateBucket|DeleteBucket|ListBucket)(\w*)"),
    re.compile(
        r"s3:(Get|Put|Delete)(Bucket|Accelerate|Encryption|Inventory|Lifecycle|Replication|Metrics|Analytics)\w*"
    ),
    re.compile(r"s3:(Get|Put)IntelligentTieringConfiguration"),
)
_OBJECT_ACTIONS = re.compile(
    r"s3:((Get|Put|Delete|Restore|Replicate|List|Bypass|Abort|Initiate|Update)(Object|Delete|Tags|Multipart|Governance|Replicate)"
    r"\w*|ObjectOwnerOverrideToBucketOwner)"
)
# A narrower range than these is "a set of CIDRs"; a wider one opens the bucket to the world.
_WIDEST_PRIVATE_PREFIX = {4: 8, 6: 32}
# Keys whose fixed values keep a statement from being public.
_RESTRICTING_KEYS = frozenset(
    {
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
_RESTRICTING_OPERATORS = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})


class PolicyError(Exception):
    """What is wrong with a policy document, in S3's words."""


class Decision(Enum):
    """What a policy says of a request. NEUTRAL: no statement applies."""

    ALLOW = "allow"
    DENY = "deny"
    NEUTRAL = "neutral"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks. All None for an anonymous request; `role_arn` only for the session of an assumed role, `service` only
    for a service of AWS's that asks in its own name.
    """

    arn: str | None = None
    account: str | None = None
    role_arn: str | None = None
    service: str | None = None

    @property
    def anonymous(self) -> bool:
        return self.arn is None and self.service is None

    @property
    def is_root(self) -> bool:
        return self.arn is not None and self.arn.endswith(":root")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement. Each of the three `not_…` says that the element was the inverse one (`NotAction`)."""

    allows: bool
    principals: tuple[str, ...]
    not_principals: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    conditions: tuple[Condition, ...]

    def applies(self, principal: Principal, action: str, resource: str, context: Context) -> bool:
        """Whether the statement is about this request and all its conditions hold."""
        return (
            any(_is(principal, named) for named in self.principals) != self.not_principals
            and any(like(action.lower(), pattern.lower()) for pattern in self.actions) != self.not_actions
            and any(like(resource, pattern) for pattern in self.resources) != self.not_resources
            and all(condition.holds(context) for condition in self.conditions)
        )

    @property
    def is_public(self) -> bool:
        """Whether S3 counts the statement as a grant to everyone: no fixed principal, and no condition on a fixed
        value.
        """
        if not self.allows:
            return False
        everyone = self.not_principals or "*" in self.principals
        return everyone and not any(_restricts(condition) for condition in self.conditions)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A bucket policy that S3 accepted."""

    statements: tuple[Statement, ...]

    @property
    def is_public(self) -> bool:
        """What GetBucketPolicyStatus calls `IsPublic`."""
        return any(statement.is_public for statement in self.statements)

    def decide(self, principal: Principal, action: str, resource: str, context: Context) -> Decision:
        """The policy's word on one action: an explicit deny wins over any allow."""
        applying = [s for s in self.statements if s.applies(principal, action, resource, context)]
        if any(not s.allows for s in applying):
            return Decision.DENY
        return Decision.ALLOW if applying else Decision.NEUTRAL


def parse_policy(document: bytes, bucket_name: str, principal_exists: Callable[[str], bool]) -> Policy:
    """The policy that `document` holds, for the bucket of that name.

    `principal_exists` is asked about every ARN of an IAM user or role, as S3 asks IAM. Raises PolicyError with S3's
    text for what S3 refuses, and naming what the sandbox can't evaluate.
    """
    if len(document) > MAX_POLICY_BYTES:
        raise PolicyError("Policy exceeds the maximum allowed document size.")
    read = _load(document)
    for field in read:
        if field not in ("Version", "Id", "Statement"):
            raise PolicyError(f"Unknown field {field}")
    if read.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise PolicyError("The policy must contain a valid version string")
    if "Statement" not in read:
        raise PolicyError("Missing required field Statement")
    written = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    if not written:
        raise PolicyError("Could not parse the policy: Statement is empty!")
    return Policy(statements=tuple(_parse_statement(s, bucket_name, principal_exists) for s in written))


def _load(document: bytes) -> dict[str, Any]:
    if not document.startswith(b"{"):
        raise PolicyError("Policies must be valid JSON and the first byte must be '{'")
    try:
        read = json.loads(document, object_pairs_hook=_without_duplicates)
    except (ValueError, UnicodeDecodeError):
        raise PolicyError("This policy contains invalid Json") from None
    assert isinstance(read, dict)
    return read


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json.loads would keep the last of two; S3 refuses, and a lost Deny is not a detail.
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise PolicyError(f"Duplicate field {name} in the policy: S3 accepts each once")
        found[name] = value
    return found


def _parse_statement(written: Any, bucket_name: str, principal_exists: Callable[[str], bool]) -> Statement:
    if not isinstance(written, dict):
        raise PolicyError("Invalid policy syntax.")
    for field in written:
        if field not in _STATEMENT_FIELDS:
            raise PolicyError(f"Unknown field {field}")
    effect = _required(written, "Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"Invalid effect: {effect}")
    principals, not_principals = _element(written, "Principal")
    actions, not_actions = _element(written, "Action")
    resources, not_resources = _element(written, "Resource")
    statement = Statement(
        allows=effect == "Allow",
        principals=_parse_principals(principals, principal_exists),
        not_principals=not_principals,
        actions=_parse_actions(actions),
        not_actions=not_actions,
        resources=_parse_resources(resources, bucket_name),
        not_resources=not_resources,
        conditions=_parse_conditions(written),
    )
    _check_combination(statement, bucket_name)
    return statement


def _required(written: dict[str, Any], field: str) -> Any:
    if field not in written:
        raise PolicyError(f"Missing required field {field}")
    if not written[field]:
        raise PolicyError(f"Missing required field {field} cannot be empty!")
    return written[field]


def _element(written: dict[str, Any], field: str) -> tuple[Any, bool]:
    """The value of `field` or of its inverse, and whether it was the inverse. Exactly one of them may be there."""
    inverse = f"Not{field}"
    if field in written and inverse in written:
        raise PolicyError("Invalid policy syntax.")
    name = inverse if inverse in written else field
    return _required(written, name), name == inverse


def _texts(value: Any, refusal: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(text, str) for text in values):
        raise PolicyError(refusal)
    return tuple(values)


def _parse_principals(written: Any, principal_exists: Callable[[str], bool]) -> tuple[str, ...]:
    refusal = "Invalid principal in policy"
    if written == "*":
        return ("*",)
    if not isinstance(written, dict) or not written.keys() <= _PRINCIPAL_KINDS:
        raise PolicyError(refusal)
    found: list[str] = []
    for kind, value in written.items():
        for name in _texts(value, refusal):
            found.append(_parse_principal(kind, name, principal_exists))
    return tuple(found)


def _parse_principal(kind: str, name: str, principal_exists: Callable[[str], bool]) -> str:
    if kind != "AWS":
        if kind == "Service" and not re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com", name):
            raise PolicyError("Invalid principal in policy")
        return f"{kind}:{name}"
    if name == "*":
        return name
    account = re.fullmatch(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?", name)
    if account:
        return account[1]
    arn = re.fullmatch(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:(user|role|assumed-role|federated-user)/[^*?]+", name)
    if not arn or (arn[1] == "iam" and not principal_exists(name)):
        raise PolicyError("Invalid principal in policy")
    return name


def _parse_actions(written: Any) -> tuple[str, ...]:
    refusal = "Policy has invalid action"
    actions = _texts(written, refusal)
    for action in actions:
        if action != "*" and not re.fullmatch(r"s3:[A-Za-z*?]+", action, re.IGNORECASE):
            raise PolicyError(refusal)
    return actions


def _parse_resources(written: Any, bucket_name: str) -> tuple[str, ...]:
    refusal = "Policy has invalid resource"
    resources = _texts(written, refusal)
    for resource in resources:
        name = re.fullmatch(r"arn:aws[a-z-]*:s3:::(.+)", resource, re.DOTALL)
        if not name or not like(bucket_name, name[1].split("/", 1)[0]):
            raise PolicyError(refusal)
        if "${" in resource:
            raise PolicyError(f"The sandbox doesn't evaluate policy variables: {resource}")
    return resources


def _parse_conditions(written: dict[str, Any]) -> tuple[Condition, ...]:
    try:
        return parse_block(written.get("Condition", {}))
    except ConditionError as refused:
        raise PolicyError(str(refused)) from None


def _check_combination(statement: Statement, bucket_name: str) -> None:
    """Refuse conditions and actions that can never be about the statement's resources."""
    if statement.not_actions:
        return
    try:
        for condition in statement.conditions:
            check_applies(condition, statement.actions)
    except ConditionError as refused:
        raise PolicyError(str(refused)) from None
    if statement.not_resources:
        return
    on_bucket = any(like(bucket_name, r.split(":::", 1)[1]) for r in statement.resources)
    on_objects = any("/" in r or r.endswith("*") for r in statement.resources)
    for action in statement.actions:
        if (_is_bucket_action(action) and not on_bucket) or (_is_object_action(action) and not on_objects):
            raise PolicyError("Action does not apply to any resource(s) in statement")


def _is_bucket_action(action: str) -> bool:
    return "*" not in action and "?" not in action and any(p.fullmatch(action) for p in _BUCKET_ACTIONS)


def _is_object_action(action: str) -> bool:
    return "*" not in action and not _is_bucket_action(action) and _OBJECT_ACTIONS.fullmatch(action) is not None


def _is(principal: Principal, named: str) -> bool:
    if named == "*":
        return True
    service = principal.service and f"Service:{principal.service}"
    return named in (principal.arn, principal.role_arn, principal.account, service)


def _restricts(condition: Condition) -> bool:
    if condition.if_exists or condition.quantifier == "ForAllValues":
        return False
    if condition.operator.name == "IpAddress" and condition.key == "aws:sourceip":
        return all(_is_narrow(value) for value in condition.values)
    return (
        condition.operator.name in _RESTRICTING_OPERATORS
        and condition.key in _RESTRICTING_KEYS
        and all(_is_fixed(condition.key, value) for value in condition.values)
    )


def _is_fixed(key: str, value: str) -> bool:
    if key == "aws:sourcearn" and value.count(":") >= 5:
        # A wildcard in the resource's name leaves the account fixed.
        account = value.split(":", 5)[4]
        return bool(account) and "*" not in account and "?" not in account
    return "*" not in value and "?" not in value


def _is_narrow(network: str) -> bool:
    found = ipaddress.ip_network(network, strict=False)
    return found.is_private or found.prefixlen >= _WIDEST_PRIVATE_PREFIX[found.version]
