"""Lifecycle configurations: what S3 accepts, returned as they were put. Nothing expires in the sandbox.

Source: API Reference, PutBucketLifecycleConfiguration; S3 User Guide, "Lifecycle configuration elements" and
"Lifecycle and other bucket configurations". The texts of the refusals are S3's own.
"""

import copy
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

from sandbox.api.change import Change, wrap
from sandbox.api.s3_configuration import (
    child,
    number_of,
    read_document,
    switch_of,
    text_of,
    unknown_elements,
    write_document,
)
from sandbox.api.s3_error import S3Error, invalid_argument, malformed_xml
from sandbox.api.s3_request import S3Request, Stage, before_answering, current

ROOT = "LifecycleConfiguration"
MAX_RULES = 1000
MAX_ID_LENGTH = 255
MAX_NEWER_VERSIONS = 100
# Objects stay at least this long in STANDARD before these classes (User Guide, "Transitioning objects", constraints).
# Days.
MIN_DAYS_BEFORE = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
MINIMUM_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
_MINIMUM_SIZE_HEADER = "x-amz-transition-default-minimum-object-size"
_ACTIONS = frozenset(
    {
        "AbortIncompleteMultipartUpload",
        "Expiration",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "Transition",
    }
)
_FILTERS = frozenset({"And", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "Prefix", "Tag"})
_TRANSITION_CLASSES = frozenset(
    {"STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"}
)


def check_lifecycle(body: bytes) -> dict[str, Any]:
    """The configuration in `body`, with an ID in every rule. Raises S3Error with S3's code and text."""
    document = read_document(body, ROOT, lists=("Rule", "Transition", "NoncurrentVersionTransition"))
    unknown_elements(document, frozenset({"Rule"}))
    rules = document.get("Rule") or []
    if not 1 <= len(rules) <= MAX_RULES or not all(isinstance(rule, dict) for rule in rules):
        raise malformed_xml()
    seen: set[str] = set()
    for rule in rules:
        _check_rule(rule)
        if rule["ID"] in seen:
            raise invalid_argument("Rule ID must be unique. Found same ID for more than one rule", "ID", rule["ID"])
        seen.add(rule["ID"])
    return document


def _check_rule(rule: dict[str, Any]) -> None:
    unknown_elements(rule, _ACTIONS | {"Filter", "ID", "Prefix", "Status"})
    given = text_of(rule, "ID")
    if given and len(given) > MAX_ID_LENGTH:
        raise invalid_argument(f"ID length should not exceed allowed limit of {MAX_ID_LENGTH}", "ID", given)
    if not given:
        rule["ID"] = secrets.token_urlsafe(36)
    if switch_of(rule, "Status") is None:
        raise malformed_xml()
    _check_filter(rule)
    if not any(action in rule for action in _ACTIONS):
        raise S3Error("InvalidRequest", "At least one action needs to be specified in a rule")
    _check_expiration(rule)
    _check_noncurrent(rule)
    _check_transitions(rule)
    _check_abort(rule)


def _check_filter(rule: dict[str, Any]) -> None:
    selected = child(rule, "Filter")
    if selected is None:
        if "Prefix" not in rule:
            raise malformed_xml()
        return
    if "Prefix" in rule:
        text = "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter."
        raise S3Error("InvalidRequest", text)
    unknown_elements(selected, _FILTERS)
    if len(selected) > 1:
        raise malformed_xml()
    both = child(selected, "And")
    if both is None:
        return
    unknown_elements(both, _FILTERS - {"And"})
    tags = both.get("Tag", [])
    if len(both) - ("Tag" in both) + (len(tags) if isinstance(tags, list) else 1) < 2:
        raise malformed_xml()


def _has_tags(rule: dict[str, Any]) -> bool:
    selected = child(rule, "Filter") or {}
    return "Tag" in selected or "Tag" in (child(selected, "And") or {})


def _check_expiration(rule: dict[str, Any]) -> None:
    expiration = child(rule, "Expiration")
    if expiration is None:
        return
    unknown_elements(expiration, frozenset({"Date", "Days", "ExpiredObjectDeleteMarker"}))
    if len(expiration) != 1:
        raise malformed_xml()
    _check_positive(expiration, "Days", "'Days' for Expiration action must be a positive integer")
    _check_midnight(expiration)
    if "ExpiredObjectDeleteMarker" in expiration and _has_tags(rule):
        raise S3Error("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.")


def _check_positive(parent: dict[str, Any], name: str, refusal: str) -> None:
    found = number_of(parent, name)
    if found is not None and found <= 0:
        raise invalid_argument(refusal, name, str(found))


def _check_midnight(parent: dict[str, Any]) -> None:
    text = text_of(parent, "Date")
    if text is None:
        return
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise malformed_xml() from None
    if (found.hour, found.minute, found.second, found.microsecond) != (0, 0, 0, 0):
        raise invalid_argument("'Date' must be at midnight GMT", "Date", text)


def _check_noncurrent(rule: dict[str, Any]) -> None:
    expiration = child(rule, "NoncurrentVersionExpiration")
    if expiration is None:
        return
    unknown_elements(expiration, frozenset({"NoncurrentDays", "NewerNoncurrentVersions"}))
    if "NoncurrentDays" not in expiration:
        raise malformed_xml()
    refusal = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"
    _check_positive(expiration, "NoncurrentDays", refusal)
    _check_newer_versions(rule, expiration, "NoncurrentVersionExpiration")


def _check_newer_versions(rule: dict[str, Any], action: dict[str, Any], name: str) -> None:
    newer = number_of(action, "NewerNoncurrentVersions")
    if newer is None:
        return
    if not 1 <= newer <= MAX_NEWER_VERSIONS:
        text = f"'NewerNoncurrentVersions' for {name} action must be between 1 and {MAX_NEWER_VERSIONS}"
        raise invalid_argument(text, "NewerNoncurrentVersions", str(newer))
    if "Filter" not in rule:
        raise S3Error(
            "InvalidRequest", "NewerNoncurrentVersions cannot be specified in Lifecycle V1: the rule needs a Filter"
        )


def _check_transitions(rule: dict[str, Any]) -> None:
    for name, days in (("Transition", "Days"), ("NoncurrentVersionTransition", "NoncurrentDays")):
        classes: list[str] = []
        for transition in rule.get(name, []):
            if not isinstance(transition, dict):
                raise malformed_xml()
            classes.append(_check_transition(rule, transition, name, days))
        if len(set(classes)) != len(classes):
            text = f"'StorageClass' must be different for '{name}' actions in same 'Rule' with prefix"
            raise S3Error("InvalidRequest", text)
    _check_order(rule)


def _check_transition(rule: dict[str, Any], transition: dict[str, Any], name: str, days: str) -> str:
    unknown_elements(transition, frozenset({"Date", "StorageClass", "NewerNoncurrentVersions", days}))
    storage_class = text_of(transition, "StorageClass")
    if storage_class not in _TRANSITION_CLASSES or (days in transition) == ("Date" in transition):
        raise malformed_xml()
    found = number_of(transition, days)
    if found is not None and found < MIN_DAYS_BEFORE.get(storage_class, 0):
        text = (
            f"'{days}' in {name} action must be greater than or equal to {MIN_DAYS_BEFORE[storage_class]} for "
            f"storageClass '{storage_class}'"
        )
        raise invalid_argument(text, days, str(found))
    if found is not None and found < 0:
        raise invalid_argument(f"'{days}' for {name} action must be a nonnegative integer", days, str(found))
    _check_midnight(transition)
    _check_newer_versions(rule, transition, name)
    return storage_class


def _check_order(rule: dict[str, Any]) -> None:
    """Nothing may expire before it was to be moved."""
    expires = number_of(child(rule, "Expiration") or {}, "Days")
    for transition in rule.get("Transition", []):
        moves = number_of(transition, "Days")
        if expires is not None and moves is not None and expires <= moves:
            text = "'Days' in the Expiration action must be greater than 'Days' in the Transition action"
            raise invalid_argument(text, "Days", str(expires))


def _check_abort(rule: dict[str, Any]) -> None:
    abort = child(rule, "AbortIncompleteMultipartUpload")
    if abort is None:
        return
    if number_of(abort, "DaysAfterInitiation") is None:
        raise malformed_xml()
    refusal = "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer"
    _check_positive(abort, "DaysAfterInitiation", refusal)
    if _has_tags(rule):
        raise S3Error("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags.")


def _check_request(asked: S3Request) -> None:
    if asked.operation.name != "PutBucketLifecycleConfiguration" or asked.bucket is None:
        return
    size = asked.headers.get(_MINIMUM_SIZE_HEADER, MINIMUM_SIZES[0])
    if size not in MINIMUM_SIZES:
        raise invalid_argument("Invalid TransitionDefaultMinimumObjectSize found", _MINIMUM_SIZE_HEADER, size)
    document = check_lifecycle(asked.body)
    asked.bucket.lockstep_lifecycle = (document, size)  # type: ignore[attr-defined]


def _put(original: Callable[..., None], backend: S3Backend, bucket_name: str, rules: list[dict[str, Any]]) -> None:
    # moto's own record of the rules, which other parts of moto read, changes what it is given.
    original(backend, bucket_name, copy.deepcopy(rules))


def _answer_put(original: Callable[..., Any], response: S3Response, *args: Any) -> Any:
    answer = original(response, *args)
    asked = current()
    if asked is None or asked.operation.name != "PutBucketLifecycleConfiguration" or asked.bucket is None:
        return answer
    _, size = asked.bucket.lockstep_lifecycle  # type: ignore[attr-defined]
    return 200, {_MINIMUM_SIZE_HEADER: size}, ""


def _get(original: Callable[..., Any], response: S3Response) -> Any:
    bucket = response.backend.get_bucket(response.bucket_name)
    if not bucket.rules or not hasattr(bucket, "lockstep_lifecycle"):
        return original(response)
    document, size = bucket.lockstep_lifecycle
    return 200, {_MINIMUM_SIZE_HEADER: size}, write_document(ROOT, document)


def _apply() -> None:
    before_answering(Stage.SOUND, _check_request)
    wrap(S3Backend, "put_bucket_lifecycle", _put)
    wrap(S3Response, "_bucket_response_put", _answer_put)
    wrap(S3Response, "get_bucket_lifecycle", _get)


CHANGES = (
    Change(
        name="s3-lifecycle-configuration",
        why="moto accepts lifecycle rules that S3 refuses (no action, the same ID twice, days of 0, classes too "
        "early), and loses NewerNoncurrentVersions and object sizes. S3 returns what was put (API Reference, "
        "PutBucketLifecycleConfiguration).",
        apply=_apply,
    ),
)
