"""Replication configurations: what S3 accepts as one, and which rule replicates an object.

Sources: API Reference, PutBucketReplication; S3 User Guide, "Replication configuration file elements" and "What does
Amazon S3 replicate?". The texts of the refusals are S3's own.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sandbox.api.s3_bucket import is_valid_bucket_name
from sandbox.api.s3_configuration import child, number_of, read_document, switch_of, text_of, unknown_elements
from sandbox.api.s3_error import S3Error, invalid_argument, malformed_xml

ROOT = "ReplicationConfiguration"
MAX_RULES = 1000  # S3 User Guide, "Replication configuration file elements"
MAX_ID_LENGTH = 255
MAX_PRIORITY = 2**31 - 1
REPLICATION_TIME_MINUTES = 15  # The only value that S3 Replication Time Control has.
_RULE_ELEMENTS = frozenset(
    {
        "DeleteMarkerReplication",
        "Destination",
        "ExistingObjectReplication",
        "Filter",
        "ID",
        "Prefix",
        "Priority",
        "SourceSelectionCriteria",
        "Status",
    }
)
_DESTINATION_ELEMENTS = frozenset(
    {
        "AccessControlTranslation",
        "Account",
        "Bucket",
        "EncryptionConfiguration",
        "Metrics",
        "ReplicationTime",
        "StorageClass",
    }
)
_STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    }
)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/.+")
_KMS_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/.+")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One replication rule. `priority`: the higher one wins among rules with the same destination.

    `tags` must all be on the object. `delete_markers` says whether markers that users make are replicated;
    `kms_key_arn` is the key for the replicas of KMS-encrypted objects, None if such objects aren't selected.
    `replica_modifications` says whether new tags of replicas are carried back to where they came from, `metrics`
    whether CloudWatch is told what becomes of the rule's objects.
    """

    rule_id: str
    enabled: bool
    priority: int
    prefix: str
    tags: Mapping[str, str]
    delete_markers: bool
    kms_key_arn: str | None
    replica_modifications: bool
    metrics: bool
    bucket_name: str
    storage_class: str | None

    def selects(self, key_name: str, tags: Mapping[str, str]) -> bool:
        """Whether an object of this key and these tags is the rule's."""
        return (
            self.enabled
            and key_name.startswith(self.prefix)
            and all(tags.get(name) == value for name, value in self.tags.items())
        )


@dataclass(frozen=True, kw_only=True)
class Replication:
    """A bucket's replication configuration: the role that S3 assumes, the rules, and the document as it was put."""

    role_arn: str
    rules: tuple[Rule, ...]
    document: dict[str, Any]

    def rules_for(self, key_name: str, tags: Mapping[str, str]) -> tuple[Rule, ...]:
        """The rules that replicate an object: per destination, the one of highest priority that selects it."""
        chosen: dict[str, Rule] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.priority):
            if rule.selects(key_name, tags):
                chosen[rule.bucket_name] = rule
        return tuple(chosen.values())


def parse_replication(body: bytes, source: str) -> Replication:
    """The configuration in `body` for the bucket named `source`. Destinations aren't looked up here.

    Rules without an ID get one, as S3 gives them. Raises S3Error with S3's code and text.
    """
    document = read_document(body, ROOT, lists=("Rule",))
    unknown_elements(document, frozenset({"Role", "Rule"}))
    rules = document.get("Rule")
    role = text_of(document, "Role")
    if not role or not rules or not all(isinstance(rule, dict) for rule in rules):
        raise malformed_xml()
    if not _ROLE.fullmatch(role):
        raise invalid_argument("Invalid Role specified in replication configuration", "Role", role)
    if len(rules) > MAX_RULES:
        raise S3Error(
            "InvalidRequest", f"The number of replication rules must not exceed the allowed limit of {MAX_RULES} rules."
        )
    with_filters = all("Filter" in rule for rule in rules)
    parsed = tuple(_parse_rule(rule, source, with_filters) for rule in rules)
    _check_unique(parsed, with_filters)
    return Replication(role_arn=role, rules=parsed, document=document)


def _parse_rule(written: dict[str, Any], source: str, with_filters: bool) -> Rule:
    unknown_elements(written, _RULE_ELEMENTS)
    enabled = switch_of(written, "Status")
    destination = child(written, "Destination")
    if enabled is None or destination is None:
        raise malformed_xml()
    if "ExistingObjectReplication" in written:
        # S3 took this off the rules; Batch Replication copies existing objects.
        raise malformed_xml()
    prefix, tags = _filter(written)
    markers = _check_schema(written, with_filters, tags)
    selects_kms = _selects_kms_objects(written)
    return Rule(
        rule_id=_rule_id(written),
        enabled=enabled,
        priority=_priority(written),
        prefix=prefix,
        tags=tags,
        delete_markers=markers,
        kms_key_arn=_replica_key(destination, selects_kms),
        replica_modifications=_selects_replica_modifications(written),
        metrics=_has_metrics(destination),
        bucket_name=_destination_bucket(destination, source),
        storage_class=_storage_class(destination),
    )


def _rule_id(written: dict[str, Any]) -> str:
    given = text_of(written, "ID")
    if given and len(given) > MAX_ID_LENGTH:
        raise invalid_argument(f"Rule Id cannot be greater than {MAX_ID_LENGTH}", "ID", given)
    if not given:
        written["ID"] = given = secrets.token_urlsafe(36)
    return given


def _priority(written: dict[str, Any]) -> int:
    found = number_of(written, "Priority")
    if found is not None and not 0 <= found <= MAX_PRIORITY:
        raise S3Error("InvalidRequest", f"Priority must be between 0 and {MAX_PRIORITY}.")
    return found or 0


def _filter(written: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Prefix and tags of a rule: V1 has a `Prefix`, V2 a `Filter` with at most one of Prefix, Tag and And."""
    selected = child(written, "Filter")
    prefix = text_of(written, "Prefix")
    if selected is None:
        if prefix is None:
            raise malformed_xml()
        return prefix, {}
    if prefix is not None or len(selected) > 1:
        raise malformed_xml()
    unknown_elements(selected, frozenset({"Prefix", "Tag", "And"}))
    both = child(selected, "And")
    if both is None:
        return text_of(selected, "Prefix") or "", _tags(selected)
    unknown_elements(both, frozenset({"Prefix", "Tag"}))
    tags = _tags(both)
    if len(tags) + ("Prefix" in both) < 2:
        raise malformed_xml()
    return text_of(both, "Prefix") or "", tags


def _tags(parent: dict[str, Any]) -> dict[str, str]:
    written = parent.get("Tag", [])
    found: dict[str, str] = {}
    for tag in written if isinstance(written, list) else [written]:
        if not isinstance(tag, dict) or not tag.get("Key"):
            raise malformed_xml()
        if tag["Key"] in found:
            raise S3Error("InvalidRequest", "Duplicate Tag Keys are not allowed.")
        found[tag["Key"]] = tag.get("Value") or ""
    return found


def _check_schema(written: dict[str, Any], with_filters: bool, tags: Mapping[str, str]) -> bool:
    """The elements that V2 needs and V1 can't have; returns whether the rule replicates delete markers."""
    for element in ("Priority", "DeleteMarkerReplication"):
        if (element in written) != with_filters:
            verb = "must be specified" if with_filters else "cannot be used"
            raise S3Error(
                "InvalidRequest",
                f"{element} {verb} for this version of Cross Region Replication configuration schema. Please refer "
                "to S3 Developer Guide for more information.",
            )
    if not with_filters:
        # V1 replicates the delete markers that users make (S3 User Guide, "How delete operations affect replication").
        return True
    markers = switch_of(child(written, "DeleteMarkerReplication") or {}, "Status")
    if markers is None:
        raise malformed_xml()
    if markers and tags:
        raise S3Error(
            "InvalidRequest",
            "Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 "
            "Developer Guide for more information.",
        )
    return markers


def _selects_kms_objects(written: dict[str, Any]) -> bool | None:
    """Whether KMS-encrypted objects are replicated; None if the rule doesn't say."""
    criteria = child(written, "SourceSelectionCriteria")
    if criteria is None:
        return None
    unknown_elements(criteria, frozenset({"SseKmsEncryptedObjects", "ReplicaModifications"}))
    if not criteria:
        raise S3Error("InvalidRequest", "SourceSelectionCriteria cannot be empty.")
    for element in criteria:
        if switch_of(child(criteria, element) or {}, "Status") is None:
            raise malformed_xml()
    selected = child(criteria, "SseKmsEncryptedObjects")
    return None if selected is None else switch_of(selected, "Status")


def _selects_replica_modifications(written: dict[str, Any]) -> bool:
    selected = child(child(written, "SourceSelectionCriteria") or {}, "ReplicaModifications")
    return bool(selected and switch_of(selected, "Status"))


def _replica_key(destination: dict[str, Any], selects_kms: bool | None) -> str | None:
    encryption = child(destination, "EncryptionConfiguration")
    key = text_of(encryption, "ReplicaKmsKeyID") if encryption else None
    if encryption is not None and selects_kms is None:
        raise S3Error(
            "InvalidRequest", "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present."
        )
    if selects_kms is not None and not key:
        raise S3Error("InvalidRequest", "ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present.")
    if key and not _KMS_KEY.fullmatch(key):
        raise invalid_argument("Invalid ReplicaKmsKeyID ARN.", "ReplicaKmsKeyID", key)
    return key if selects_kms else None


def _destination_bucket(destination: dict[str, Any], source: str) -> str:
    unknown_elements(destination, _DESTINATION_ELEMENTS)
    arn = text_of(destination, "Bucket")
    if arn is None:
        raise malformed_xml()
    found = re.fullmatch(r"arn:aws[a-z-]*:s3:::(.+)", arn)
    if not found or not is_valid_bucket_name(found[1]):
        raise invalid_argument("Invalid bucket ARN", "Bucket", arn)
    if found[1] == source:
        raise S3Error("InvalidRequest", "Destination bucket cannot be the same as the source bucket.")
    _check_owner(destination)
    return found[1]


def _storage_class(destination: dict[str, Any]) -> str | None:
    found = text_of(destination, "StorageClass")
    if found is not None and found not in _STORAGE_CLASSES:
        raise malformed_xml()
    return found


def _check_owner(destination: dict[str, Any]) -> None:
    translation = child(destination, "AccessControlTranslation")
    if translation is None:
        return
    if text_of(translation, "Owner") != "Destination":
        raise malformed_xml()
    if "Account" not in destination:
        raise S3Error(
            "InvalidRequest", "Account must be specified if the Owner in AccessControlTranslation has a value"
        )


def _has_metrics(destination: dict[str, Any]) -> bool:
    """Whether the rule's metrics are on, which S3 Replication Time Control can't do without; they can be without it (S3
    User Guide, "Using S3 Replication metrics").
    """
    metrics, control = child(destination, "Metrics"), child(destination, "ReplicationTime")
    measured = switch_of(metrics, "Status") if metrics is not None else False
    if measured is None:
        raise malformed_xml()
    unknown_elements(metrics or {}, frozenset({"Status", "EventThreshold"}))
    _check_minutes(metrics or {}, "EventThreshold")
    if control is None:
        return measured
    unknown_elements(control, frozenset({"Status", "Time"}))
    timed = switch_of(control, "Status")
    if timed is None or "Time" not in control:
        raise malformed_xml()
    _check_minutes(control, "Time")
    if metrics is None or timed != measured or (timed and "EventThreshold" not in metrics):
        raise S3Error(
            "InvalidRequest", "Replication destination must contain both ReplicationTime and Metrics or neither."
        )
    return measured


def _check_minutes(parent: dict[str, Any], name: str) -> None:
    """A `Minutes` inside of the element `name`, if that is there: there is one value that S3 takes."""
    element = child(parent, name)
    if element is None:
        return
    minutes = number_of(element, "Minutes")
    if minutes is None:
        raise malformed_xml()
    if minutes != REPLICATION_TIME_MINUTES:
        shown = "ReplicationTime" if name == "Time" else name
        raise invalid_argument("Invalid time minute value", shown, str(minutes))


def _check_unique(rules: tuple[Rule, ...], with_filters: bool) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.rule_id in seen:
            raise invalid_argument("Rule Id must be unique", "ID", rule.rule_id)
        seen.add(rule.rule_id)
    if not with_filters:
        _check_prefixes(rules)
        return
    priorities: set[int] = set()
    for rule in rules:
        if rule.priority in priorities:
            raise S3Error("InvalidRequest", f"Found duplicate priority {rule.priority}.")
        priorities.add(rule.priority)


def _check_prefixes(rules: tuple[Rule, ...]) -> None:
    """V1 has no priorities, so two rules may not select the same object."""
    prefixes = sorted(rule.prefix for rule in rules)
    for shorter, longer in pairwise(prefixes):
        if longer.startswith(shorter):
            raise S3Error("InvalidRequest", f"Found overlapping prefixes '{shorter}' and '{longer}'")
