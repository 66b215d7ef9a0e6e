"""Condition blocks of bucket policies: which operators and keys the sandbox knows, and when a block holds.

Rules: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or
values"; keys: "AWS global condition context keys" and Service Authorization Reference, "Condition keys for Amazon
S3".
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# What a request says, by condition key in lower case. A key that isn't there is absent, which isn't the same as empty.
Context = Mapping[str, tuple[str, ...]]

_GLOBAL_KEYS = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principaltype",
        "aws:referer",
        "aws:requestedregion",
        "aws:resourceaccount",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:useragent",
        "aws:viaawsservice",
        "s3:authtype",
        "s3:resourceaccount",
        "s3:signatureversion",
        "s3:tlsversion",
        "s3:x-amz-content-sha256",
    }
)
_LISTING = frozenset({"s3:ListBucket", "s3:ListBucketVersions"})
_WRITING = frozenset({"s3:PutObject"})
_GRANTING = frozenset(
    {"s3:CreateBucket", "s3:PutBucketAcl", "s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectVersionAcl"}
)
_OF_VERSIONS = frozenset(
    {
        "s3:DeleteObjectVersion",
        "s3:DeleteObjectVersionTagging",
        "s3:GetObjectVersion",
        "s3:GetObjectVersionAcl",
        "s3:GetObjectVersionTagging",
        "s3:PutObjectVersionAcl",
        "s3:PutObjectVersionTagging",
    }
)
# Keys that only some actions carry, with those actions.
_KEYS_OF_ACTIONS: dict[str, frozenset[str]] = {
    "s3:delimiter": _LISTING,
    "s3:max-keys": _LISTING,
    "s3:prefix": _LISTING,
    "s3:if-match": frozenset({"s3:DeleteObject", "s3:PutObject"}),
    "s3:if-none-match": _WRITING,
    "s3:objectcreationoperation": _WRITING,
    "s3:versionid": _OF_VERSIONS,
    "s3:x-amz-acl": _GRANTING,
    "s3:x-amz-copy-source": _WRITING,
    "s3:x-amz-grant-full-control": _GRANTING,
    "s3:x-amz-grant-read": _GRANTING,
    "s3:x-amz-grant-read-acp": _GRANTING,
    "s3:x-amz-grant-write": _GRANTING,
    "s3:x-amz-grant-write-acp": _GRANTING,
    "s3:x-amz-metadata-directive": _WRITING,
    "s3:x-amz-server-side-encryption": _WRITING,
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _WRITING,
    "s3:x-amz-storage-class": _WRITING,
    "s3:x-amz-website-redirect-location": _WRITING,
}


class ConditionError(Exception):
    """A condition that can't be used, with the reason in S3's words where S3 has some."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One condition operator. `negated` operators hold when no value matches, and when the key is absent."""

    name: str
    matches: Callable[[str, str], bool]
    negated: bool = False
    check_value: Callable[[str], None] = lambda value: None


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One key of a condition block: `operator` applied to it with any of `values`.

    `quantifier` is "ForAllValues", "ForAnyValue" or "". `if_exists` makes it hold when the key is absent.
    """

    operator: Operator
    key: str
    values: tuple[str, ...]
    quantifier: str
    if_exists: bool

    def holds(self, context: Context) -> bool:
        """Whether the request satisfies this condition; absent keys as the IAM User Guide says for each kind of
        operator.
        """
        found = context.get(self.key)
        if self.operator.name == "Null":
            return (found is None) == (self.values[0].lower() == "true")
        if found is None and self.if_exists:
            return True
        if self.quantifier == "ForAllValues":
            return all(self._accepts(value) for value in found or ())
        if self.quantifier == "ForAnyValue":
            return any(self._accepts(value) for value in found or ())
        if found is None:
            return self.operator.negated
        return all(self._accepts(value) for value in found)

    def _accepts(self, found: str) -> bool:
        return any(self._matches(found, wanted) for wanted in self.values) != self.operator.negated

    def _matches(self, found: str, wanted: str) -> bool:
        try:
            return self.operator.matches(found, wanted)
        except ValueError:
            # The request's value isn't of the operator's kind (max-keys=many): it equals nothing.
            return False


def parse_block(block: Any) -> tuple[Condition, ...]:
    """The conditions of a `Condition` element, all of which must hold.

    Raises ConditionError naming an operator, key or value that S3 refuses or that the sandbox can't evaluate: a
    condition that were silently ignored would make a policy pass here and fail on AWS, or the other way around.
    """
    if not isinstance(block, dict):
        raise ConditionError("Invalid policy syntax.")
    return tuple(
        _parse_condition(operator, key, values)
        for operator, keys in block.items()
        for key, values in _keys_of(operator, keys)
    )


def check_applies(condition: Condition, actions: tuple[str, ...]) -> None:
    """Refuse a key that an action of the statement never carries (`s3:prefix` on `s3:GetObject`), as PutBucketPolicy
    does.
    """
    carrying = _KEYS_OF_ACTIONS.get(condition.key)
    if carrying and not all(any(like(name, action) for name in carrying) for action in actions):
        raise ConditionError("Conditions do not apply to combination of actions and resources in statement")


def _keys_of(operator: str, keys: Any) -> list[tuple[str, Any]]:
    if not isinstance(keys, dict):
        raise ConditionError("Invalid policy syntax.")
    return list(keys.items())


def _parse_condition(written: str, key: str, values: Any) -> Condition:
    quantifier, separator, name = written.rpartition(":")
    if separator and quantifier not in ("ForAllValues", "ForAnyValue"):
        raise ConditionError(f"Invalid Condition type : {written}")
    if_exists = name.endswith("IfExists") and name != "NullIfExists"
    operator = _OPERATORS.get(name.removesuffix("IfExists") if if_exists else name)
    if operator is None:
        raise ConditionError(_unknown_operator(written, name))
    _check_key(key)
    texts = tuple(_text(value) for value in (values if isinstance(values, list) else [values]))
    if not texts:
        raise ConditionError("Invalid policy syntax.")
    for text in texts:
        _check_value(operator, key, text)
    return Condition(operator=operator, key=key.lower(), values=texts, quantifier=quantifier, if_exists=if_exists)


def _unknown_operator(written: str, name: str) -> str:
    if name.removesuffix("IfExists") == "BinaryEquals":
        return f"The sandbox doesn't evaluate the condition operator {written}, which AWS has: use a string operator"
    return f"Invalid Condition type : {written}"


def _check_key(key: str) -> None:
    lower = key.lower()
    if lower in _GLOBAL_KEYS or lower in _KEYS_OF_ACTIONS:
        return
    known = ", ".join(sorted(_GLOBAL_KEYS | _KEYS_OF_ACTIONS.keys()))
    raise ConditionError(f"Policy has an invalid condition key: {key} isn't one that the sandbox evaluates ({known})")


def _check_value(operator: Operator, key: str, text: str) -> None:
    if "${" in text:
        raise ConditionError(f"The sandbox doesn't evaluate policy variables: {key} is compared with {text}")
    try:
        operator.check_value(text)
    except ValueError:
        raise ConditionError(f"Invalid value {text!r} for {operator.name} of {key} in Conditions") from None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConditionError("Invalid policy syntax.")


def like(text: str, pattern: str) -> bool:
    """Whether `text` matches `pattern` with IAM's wildcards `*` and `?`; case counts."""
    return re.fullmatch(_regex(pattern), text, re.DOTALL) is not None


def _regex(pattern: str) -> str:
    """`*` is any text and `?` one character; everything else stands for itself, brackets included."""
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)


def _arn_like(found: str, pattern: str) -> bool:
    """Part by part: a wildcard doesn't reach over one of the first five colons (IAM User Guide, ARN condition
    operators).
    """
    if pattern == "*":
        return True
    parts, patterns = found.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(like, parts, patterns))


def _check_arn(text: str) -> None:
    if text != "*" and len(text.split(":", 5)) != 6:
        raise ValueError(text)


def _in_network(found: str, network: str) -> bool:
    address, wanted = ipaddress.ip_address(found), ipaddress.ip_network(network, strict=False)
    return address.version == wanted.version and address in wanted


def _check_network(text: str) -> None:
    ipaddress.ip_network(text, strict=False)


def _instant(text: str) -> datetime:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _check_instant(text: str) -> None:
    _instant(text)


def _check_number(text: str) -> None:
    float(text)


def _check_truth(text: str) -> None:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)


def _compared(compare: Callable[[Any, Any], bool], read: Callable[[str], Any]) -> Callable[[str, str], bool]:
    return lambda found, wanted: compare(read(found), read(wanted))


def _ordered(family: str, read: Callable[[str], Any], check_value: Callable[[str], None]) -> list[Operator]:
    def operator(suffix: str, compare: Callable[[Any, Any], bool], negated: bool = False) -> Operator:
        return Operator(
            name=family + suffix, matches=_compared(compare, read), negated=negated, check_value=check_value
        )

    return [
        operator("Equals", lambda a, b: a == b),
        operator("NotEquals", lambda a, b: a == b, negated=True),
        operator("LessThan", lambda a, b: a < b),
        operator("LessThanEquals", lambda a, b: a <= b),
        operator("GreaterThan", lambda a, b: a > b),
        operator("GreaterThanEquals", lambda a, b: a >= b),
    ]


def _same_ignoring_case(found: str, wanted: str) -> bool:
    return found.lower() == wanted.lower()


_OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator(name="StringEquals", matches=str.__eq__),
        Operator(name="StringNotEquals", matches=str.__eq__, negated=True),
        Operator(name="StringEqualsIgnoreCase", matches=_same_ignoring_case),
        Operator(name="StringNotEqualsIgnoreCase", matches=_same_ignoring_case, negated=True),
        Operator(name="StringLike", matches=like),
        Operator(name="StringNotLike", matches=like, negated=True),
        # ArnEquals and ArnLike behave identically (IAM User Guide, ARN condition operators).
        Operator(name="ArnEquals", matches=_arn_like, check_value=_check_arn),
        Operator(name="ArnLike", matches=_arn_like, check_value=_check_arn),
        Operator(name="ArnNotEquals", matches=_arn_like, negated=True, check_value=_check_arn),
        Operator(name="ArnNotLike", matches=_arn_like, negated=True, check_value=_check_arn),
        Operator(name="Bool", matches=_same_ignoring_case, check_value=_check_truth),
        Operator(name="IpAddress", matches=_in_network, check_value=_check_network),
        Operator(name="NotIpAddress", matches=_in_network, negated=True, check_value=_check_network),
        Operator(name="Null", matches=_same_ignoring_case, check_value=_check_truth),
        *_ordered("Numeric", float, _check_number),
        *_ordered("Date", _instant, _check_instant),
    )
}
