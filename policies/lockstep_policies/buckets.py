"""Group `buckets`: what instances boot from exists in two regions, and nobody outside can read or change it.

Sources: S3 user guide, "Requirements and considerations for replication", "Replication configuration file elements" (a
rule without a filter is of version 1 and replicates delete markers), "Replicating encrypted objects", "Blocking public
access"; aws-dr facts: S3 bucket ARNs name no region, so the regions come from the program or from the contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from lockstep_policies import contracts
from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, is_known, judged_by
from lockstep_policies.view import UNKNOWN, Resource, Stack, arn_region, bucket_of_arn, field, first

# Version 7 of pulumi-aws has Bucket; states and programs of version 6 and earlier also have BucketV2. The split
# resources of both look alike. Settings inside of Bucket count only if the configuration says so: `Buckets._inline`.
BUCKETS: Final = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
VERSIONING: Final = ("aws:s3/bucketVersioning:BucketVersioning", "aws:s3/bucketVersioningV2:BucketVersioningV2")
ENCRYPTION: Final = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
)
PUBLIC_ACCESS: Final = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",)
POLICY: Final = ("aws:s3/bucketPolicy:BucketPolicy",)
REPLICATION: Final = ("aws:s3/bucketReplicationConfig:BucketReplicationConfig",)
LOGGING: Final = ("aws:s3/bucketLogging:BucketLogging", "aws:s3/bucketLoggingV2:BucketLoggingV2")
ROLE: Final = ("aws:iam/role:Role",)

#: The four switches of Block Public Access: wire name and argument.
PUBLIC_ACCESS_SWITCHES: Final = {
    "blockPublicAcls": "block_public_acls",
    "blockPublicPolicy": "block_public_policy",
    "ignorePublicAcls": "ignore_public_acls",
    "restrictPublicBuckets": "restrict_public_buckets",
}
SSE_S3: Final = "AES256"

#: What replication has to cover in a bucket of Lockstep, and what it must leave alone: leases are per region.
LOCKSTEP_PREFIXES: Final = ("releases/", "packages/")
LOCKSTEP_EXCLUDED: Final = ("leases/",)
EVERYTHING: Final = ("",)


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """Configuration of the group, as the engine sends it."""

    scope: str
    tag: str
    encryption: str
    two_way: bool
    inline: bool
    prefixes: tuple[str, ...] | None
    excluded_prefixes: tuple[str, ...] | None
    bucket_regions: dict[str, str]

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> BucketSettings:
        """The settings in a policy's configuration, with the pack's defaults."""
        return cls(
            scope=config.get("scope", "all"),
            tag=config.get("tag", "lockstep:application"),
            encryption=config.get("encryption", "auto"),
            two_way=config.get("replication", "both-ways") == "both-ways",
            inline=config.get("inlineSettings", False) is True,
            prefixes=tuple(config["prefixes"]) if "prefixes" in config else None,
            excluded_prefixes=tuple(config["excludedPrefixes"]) if "excludedPrefixes" in config else None,
            bucket_regions=dict(config.get("bucketRegions", {})),
        )


@dataclass(frozen=True, kw_only=True)
class Place:
    """A bucket as an end of replication: declared in this stack, or known by name only, or not known yet."""

    declared: Resource | None
    name: Any
    region: Any

    def is_same(self, other: Place) -> bool:
        """Whether both are certainly the same bucket."""
        if self.declared is not None and other.declared is not None:
            return self.declared is other.declared
        return is_known(self.name) and self.name == other.name


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One replication rule with what the checks ask of it, from the split resource or the inline form."""

    owner: Resource
    key: str
    source: Place
    destination: Place
    enabled: Any
    prefix: Any
    has_filter: Any
    has_tags: Any
    delete_markers: Any
    kms_objects: Any
    replica_key: Any
    role: Any


class Buckets:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, settings: BucketSettings, findings: Findings) -> None:
        self._stack = stack
        self._settings = settings
        self._findings = findings
        self._lockstep = stack.has_contract
        self._declared = stack.of(*BUCKETS)
        self._wanted = settings.prefixes or (LOCKSTEP_PREFIXES if self._lockstep else EVERYTHING)
        excluded = settings.excluded_prefixes
        self._excluded = excluded if excluded is not None else (LOCKSTEP_EXCLUDED if self._lockstep else ())
        self._by_name = {name: bucket for bucket in self._declared if is_known(name := _bucket_name(bucket))}
        self._parts_of = self._index_parts()
        self._rules: list[Rule] = []
        self._configured: list[tuple[Resource, Place]] = []
        # Configurations of which rules aren't known: said once, where they are; nobody is told that a rule is missing.
        self._hidden: set[str] = set()
        self._packages = self._package_buckets()

    def run(self) -> None:
        """Judges every package bucket, every replication rule, and the contract's promise."""
        for resource in self._stack.of(*REPLICATION):
            self._findings.guard(resource, self._read_split, resource)
        for bucket in self._declared:
            self._findings.guard(bucket, self._read_inline, bucket)
        for rule in self._rules:
            self._findings.guard(rule.owner, self._judge_rule, rule)
        self._findings.guard(None, self._judge_single_configuration)
        for bucket in self._packages:
            for check in (
                self._judge_versioning,
                self._judge_encryption,
                self._judge_public_access,
                self._judge_transport,
                self._judge_overwriting,
                self._judge_replicated,
            ):
                self._findings.guard(bucket, check, bucket)
        for owner, _ in self._configured:
            self._findings.guard(owner, self._judge_coverage, owner)
        self._findings.guard(self._stack.global_contract, self._judge_sites)

    # Which buckets

    def _package_buckets(self) -> list[Resource]:
        """The buckets of this stack to which the rules apply.

        In a site stack of Lockstep the one that the contract names; elsewhere all, or those with a tag, but no bucket
        that only receives access logs.
        """
        site = self._stack.site_contract
        if site is not None:
            named = site.sources("bucketName", BUCKETS) or [
                bucket for bucket in self._declared if _bucket_name(bucket) == site.get("bucketName")
            ]
            return [bucket for bucket in named if bucket in self._declared]
        if self._stack.global_contract is not None:
            return []
        wanted = [bucket for bucket in self._declared if not self._receives_logs(bucket)]
        if self._settings.scope == "tagged":
            return [bucket for bucket in wanted if self._has_tag(bucket)]
        return wanted

    def _has_tag(self, bucket: Resource) -> bool:
        for key in ("tags", "tagsAll"):
            tags = bucket.get(key)
            # Tags that aren't known yet may hold the tag: judge the bucket.
            if tags is UNKNOWN or (isinstance(tags, dict) and self._settings.tag in tags):
                return True
        return False

    def _receives_logs(self, bucket: Resource) -> bool:
        for logging in self._stack.of(*LOGGING):
            if bucket in logging.sources("targetBucket") or (
                is_known(_bucket_name(bucket)) and logging.get("targetBucket") == _bucket_name(bucket)
            ):
                return True
        return False

    def _parts(self, bucket: Resource, types: Iterable[str]) -> list[Resource]:
        """The separate resources of some types that configure a bucket."""
        return [part for wanted in types for part in self._parts_of.get((wanted, bucket.urn), [])]

    def _index_parts(self) -> dict[tuple[str, str], list[Resource]]:
        found: dict[tuple[str, str], list[Resource]] = {}
        for part in self._stack.of(*VERSIONING, *ENCRYPTION, *PUBLIC_ACCESS, *POLICY):
            bucket = self._place(part, "bucket", part.get("bucket")).declared
            if bucket is not None:
                found.setdefault((part.type, bucket.urn), []).append(part)
        return found

    def _inline(self, bucket: Resource, key: str) -> Any:
        """A setting written inside of the bucket resource, None unless the configuration counts these.

        They mirror what S3 has: after a refresh a bucket still shows the versioning of a split resource that the
        program has just dropped. So they prove nothing, unless the program writes all of its settings this way.
        """
        return bucket.get(key) if self._settings.inline and bucket.type == BUCKETS[0] else None

    # The bucket itself

    def _judge_versioning(self, bucket: Resource) -> None:
        remedy = (
            "Declare `aws.s3.BucketVersioning` for it with `versioning_configuration={'status': 'Enabled'}`: "
            "replication needs versions, and so does undoing a deletion."
        )
        parts = self._parts(bucket, VERSIONING)
        if not parts:
            inline = self._inline(bucket, "versioning")
            if inline is UNKNOWN:
                self._findings.unproved(
                    "versioning", bucket, "versioning", "it can't be proved that it's versioned", remedy=remedy
                )
            elif field(inline, "enabled") is not True:
                self._findings.violation("versioning", bucket, f"it isn't versioned. {remedy}")
            return
        status = field(parts[0].get("versioningConfiguration"), "status")
        if status is UNKNOWN:
            self._findings.unproved(
                "versioning",
                parts[0],
                "versioningConfiguration",
                f"it can't be proved that {bucket!r} is versioned",
                remedy=remedy,
            )
        elif status != "Enabled":
            self._findings.violation(
                "versioning", bucket, f"{parts[0]!r} sets its versioning to {status}, not to Enabled. {remedy}"
            )

    def _judge_encryption(self, bucket: Resource) -> None:
        strict = self._settings.encryption == "sse-s3" or (self._settings.encryption == "auto" and self._lockstep)
        remedy = (
            "Declare `aws.s3.BucketServerSideEncryptionConfiguration` for it with `sse_algorithm='AES256'`, so that "
            "a change by hand is repaired."
        )
        owner, key, algorithm = self._algorithm(bucket)
        if algorithm is None:
            # Without a declaration S3 encrypts new objects with SSE-S3 (since 5 January 2023): enough for a bucket in
            # general.
            if strict:
                self._findings.violation("encryption", bucket, f"its encryption isn't declared. {remedy}")
        elif algorithm is UNKNOWN:
            self._findings.unproved(
                "encryption", owner, key, f"the encryption of {bucket!r} can't be proved", remedy=remedy
            )
        elif strict and algorithm != SSE_S3:
            self._findings.violation(
                "encryption",
                bucket,
                f"it is encrypted with {algorithm}. Instances read packages without credentials, and S3 refuses "
                f"anonymous reads of objects under KMS keys, so no instance would boot. {remedy}",
            )

    def _algorithm(self, bucket: Resource) -> tuple[Resource, str, Any]:
        path = ("applyServerSideEncryptionByDefault", "sseAlgorithm")
        for part in self._parts(bucket, ENCRYPTION):
            return part, "rules", field(part.get("rules"), *path)
        key = "serverSideEncryptionConfiguration"
        return bucket, key, field(self._inline(bucket, key), "rule", *path)

    def _judge_public_access(self, bucket: Resource) -> None:
        parts = self._parts(bucket, PUBLIC_ACCESS)
        arguments = ", ".join(f"{argument}=True" for argument in PUBLIC_ACCESS_SWITCHES.values())
        if not parts:
            self._findings.violation(
                "public-access",
                bucket,
                "nothing blocks public access to it, so one wrong policy or ACL opens it to everyone. Declare"
                f" `aws.s3.BucketPublicAccessBlock` for it with {arguments}.",
            )
            return
        off = []
        for key, argument in PUBLIC_ACCESS_SWITCHES.items():
            value = parts[0].get(key)
            if value is UNKNOWN:
                self._findings.unproved(
                    "public-access",
                    parts[0],
                    key,
                    f"it can't be proved that {bucket!r} is private",
                    remedy=f"Set `{argument}=True`.",
                )
            elif value is not True:
                off.append(f"`{argument}`")
        if off:
            self._findings.violation(
                "public-access", bucket, f"{parts[0]!r} leaves {', '.join(off)} off. Set all four: {arguments}."
            )

    def _judge_overwriting(self, bucket: Resource) -> None:
        """Only where the prefixes under which nothing may change are known: in a site of Lockstep."""
        if not self._lockstep:
            return
        remedy = (
            "Deny `s3:PutObject` to everyone on the objects below "
            f"{' and '.join(self._wanted)}, with the conditions"
            ' {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}.'
        )
        parts = self._parts(bucket, POLICY)
        owner = parts[0] if parts else bucket
        text = owner.get("policy") if parts else self._inline(bucket, "policy")
        if text is UNKNOWN:
            self._findings.unproved(
                "overwriting",
                owner,
                "policy",
                f"it can't be proved that nobody can write over what is in {bucket!r}",
                remedy=remedy,
            )
            return
        refused = [statement for statement in _statements(text) or () if _refuses_overwriting(statement)]
        name = _bucket_name(bucket)
        open_to = [
            prefix
            for prefix in self._wanted
            if not any(_covers_prefix(_listed(statement.get("Resource")), name, prefix) for statement in refused)
        ]
        if open_to:
            self._findings.violation(
                "overwriting",
                bucket,
                f"whoever may write to it can put another object in the place of one below {' and '.join(open_to)}, "
                f"and instances install what is there. {remedy}",
            )

    def _judge_transport(self, bucket: Resource) -> None:
        remedy = (
            "Declare `aws.s3.BucketPolicy` for it that denies `s3:*` to everyone on the bucket and on its objects, "
            "with the one condition"
            ' {"Bool": {"aws:SecureTransport": "false"}}.'
        )
        parts = self._parts(bucket, POLICY)
        owner = parts[0] if parts else bucket
        text = owner.get("policy") if parts else self._inline(bucket, "policy")
        if text is None:
            self._findings.violation("transport", bucket, f"no policy refuses plain HTTP. {remedy}")
        elif text is UNKNOWN:
            self._findings.unproved(
                "transport", owner, "policy", f"it can't be proved that {bucket!r} refuses plain HTTP", remedy=remedy
            )
        else:
            statements = _statements(text)
            if statements is None:
                self._findings.violation("transport", owner, f"`policy` isn't a policy document in JSON. {remedy}")
            elif not any(_refuses_plain_http(statement, _bucket_name(bucket)) for statement in statements):
                self._findings.violation(
                    "transport", bucket, f"no statement of {owner!r} refuses plain HTTP for all of it. {remedy}"
                )

    # Replication

    def _place(self, owner: Resource, key: str, value: Any, *, exclude: Resource | None = None) -> Place:
        """The bucket that a name or ARN in a property means."""
        name = bucket_of_arn(value) or value
        if is_known(name):
            declared = self._by_name.get(name)
            if declared is None:
                # In a preview a bucket's name may be unknown where a plain copy of it is known: fall back on the
                # dependency.
                declared = self._only(owner.sources(key, BUCKETS), exclude)
                declared = declared if declared is not None and not is_known(_bucket_name(declared)) else None
        else:
            declared = self._only(owner.sources(key, BUCKETS), exclude)
        return Place(declared=declared, name=name, region=self._region(declared, name))

    @staticmethod
    def _only(buckets: list[Resource], exclude: Resource | None) -> Resource | None:
        left = [bucket for bucket in buckets if bucket is not exclude]
        return left[0] if len(left) == 1 else None

    def _region(self, declared: Resource | None, name: Any) -> Any:
        if declared is not None:
            return declared.region
        if not is_known(name):
            return UNKNOWN
        return self._settings.bucket_regions.get(name) or contracts.bucket_region(self._stack, name)

    def _read_split(self, resource: Resource) -> None:
        source = self._place(resource, "bucket", resource.get("bucket"))
        if not is_known(source.region) and is_known(resource.region):
            # S3 answers this call only in the bucket's own region.
            source = Place(declared=source.declared, name=source.name, region=resource.region)
        self._configured.append((resource, source))
        rules = resource.get("rules")
        listed = rules if isinstance(rules, list) else []
        if rules is UNKNOWN or any(rule is UNKNOWN for rule in listed):
            self._hide(resource, "rules")
        for rule in listed:
            if rule is not UNKNOWN:
                self._rules.append(self._rule(resource, "rules", source, rule, resource.get("role")))

    def _read_inline(self, bucket: Resource) -> None:
        key = "replicationConfiguration"
        block = self._inline(bucket, key)
        # A refreshed bucket shows the rules of its separate resource too: those are judged where they are declared.
        if block is None or any(place.declared is bucket for _, place in self._configured):
            return
        source = Place(declared=bucket, name=_bucket_name(bucket), region=bucket.region)
        self._configured.append((bucket, source))
        if block is UNKNOWN or block.get("rules") is UNKNOWN:
            self._hide(bucket, key)
            return
        for rule in block.get("rules") or []:
            if isinstance(rule, dict):
                self._rules.append(self._rule(bucket, key, source, rule, block.get("role")))

    def _hide(self, owner: Resource, key: str) -> None:
        self._hidden.add(owner.urn)
        self._findings.unproved(
            "replication",
            owner,
            key,
            "it can't be proved that its rules copy everything to another region",
            remedy="Write the rules as a list in the program.",
        )

    def _rule(self, owner: Resource, key: str, source: Place, rule: Mapping[str, Any], role: Any) -> Rule:
        destination = field(rule.get("destination"), "bucket")
        filter_block = first(rule.get("filter"))
        markers = field(rule.get("deleteMarkerReplication"), "status")
        filter_tags = [field(filter_block, "tag"), field(filter_block, "tags"), field(filter_block, "and", "tags")]
        return Rule(
            owner=owner,
            key=key,
            source=source,
            destination=self._place(owner, key, destination, exclude=source.declared),
            enabled=rule.get("status"),
            prefix=_rule_prefix(rule, filter_block),
            has_filter=UNKNOWN if filter_block is UNKNOWN else filter_block is not None,
            has_tags=UNKNOWN if any(tags is UNKNOWN for tags in filter_tags) else any(filter_tags),
            delete_markers=markers if markers is not None else rule.get("deleteMarkerReplicationStatus"),
            kms_objects=_kms_objects(rule),
            replica_key=_replica_key(rule),
            role=role,
        )

    def _judge_rule(self, rule: Rule) -> None:
        if rule.enabled is UNKNOWN:
            self._unproved_rule(rule, "replication", "it can't be proved that its rule is enabled")
            return
        if rule.enabled != "Enabled":
            return  # counts as no rule; the bucket's own check says what is missing
        self._judge_delete_markers(rule)
        self._judge_destination(rule)
        self._judge_kms(rule)
        if rule.role is None:
            self._findings.violation(
                "replication-role",
                rule.owner,
                "it has no `role`, so S3 may copy nothing. Set `role` to the ARN of an IAM role.",
            )
        elif rule.role is UNKNOWN:
            self._findings.unproved(
                "replication-role",
                rule.owner,
                "role" if rule.owner.type in REPLICATION else rule.key,
                "it can't be proved that S3 may copy",
                types=ROLE if rule.owner.type in REPLICATION else None,
                remedy="Set `role` to the ARN of an `aws.iam.Role` of this program.",
            )

    def _judge_delete_markers(self, rule: Rule) -> None:
        remedy = (
            "Give the rule a `filter` (its `prefix` may be empty) and `delete_marker_replication={'status': "
            "'Disabled'}`: a deletion must not reach the other side."
        )
        if rule.delete_markers == "Enabled":
            self._findings.violation("delete-markers", rule.owner, f"a rule replicates delete markers. {remedy}")
        elif rule.has_filter is False:
            self._findings.violation(
                "delete-markers",
                rule.owner,
                f"a rule has no `filter`, so S3 treats it as version 1 and replicates delete markers. {remedy}",
            )
        elif rule.delete_markers is UNKNOWN or rule.has_filter is UNKNOWN:
            self._unproved_rule(rule, "delete-markers", "it can't be proved that a deletion stays on one side")

    def _judge_destination(self, rule: Rule) -> None:
        destination = rule.destination
        if destination.name is None:
            self._findings.violation(
                "replication", rule.owner, "a rule has no `destination`. Set the other region's bucket ARN."
            )
            return
        if not is_known(destination.region):
            self._judge_hidden_destination(rule)
        elif rule.source.declared is not None and not is_known(rule.source.region):
            self._judge_hidden_region(rule.source.declared)
        elif is_known(rule.source.region) and rule.source.region == destination.region:
            self._findings.violation(
                "same-region",
                rule.owner,
                f"a rule copies to a bucket in {destination.region}, the source's own region: both are lost together. "
                "Set the `destination` to a bucket in another region.",
            )
        elif not is_known(rule.source.region):
            self._findings.unproved(
                "same-region",
                rule.owner,
                "bucket",
                f"it can't be proved that the source isn't in {destination.region} too",
                remedy="Set `region`, or name a bucket of this program.",
            )
        if destination.declared is not None and destination.declared not in self._packages:
            self._findings.guard(destination.declared, self._judge_versioning, destination.declared)

    def _judge_hidden_destination(self, rule: Rule) -> None:
        means = "it can't be proved that the copies are in another region"
        if rule.destination.declared is not None:
            self._judge_hidden_region(rule.destination.declared)
        elif rule.destination.name is UNKNOWN:
            self._unproved_rule(rule, "same-region", means)
        elif rule.destination.region is UNKNOWN:
            self._findings.advisory(
                "same-region",
                rule.owner,
                f"the region of bucket {rule.destination.name} is known only after the update, so {means}.",
            )
        else:
            self._findings.violation(
                "same-region",
                rule.owner,
                f"a rule copies to bucket {rule.destination.name}, which isn't in this program, and S3 ARNs name no "
                f"region, so {means}."
                " Say where it is: `bucketRegions` in the policy's configuration.",
            )

    def _judge_hidden_region(self, bucket: Resource) -> None:
        self._findings.violation(
            "same-region",
            bucket,
            "its region can't be seen, so it can't be proved that the copies are in another region. Set `region` on "
            "it, or give it an explicit `aws.Provider` with a region.",
        )

    def _judge_kms(self, rule: Rule) -> None:
        source = rule.source.declared
        algorithm = self._algorithm(source)[2] if source is not None else None
        if isinstance(algorithm, str) and algorithm.startswith("aws:kms") and rule.kms_objects != "Enabled":
            self._findings.violation(
                "replication-kms",
                rule.owner,
                f"{source!r} is encrypted with {algorithm} and the rule doesn't opt in, so S3 skips every object "
                "without an error. Set `source_selection_criteria.sse_kms_encrypted_objects` and "
                "`destination.encryption_configuration.replica_kms_key_id`.",
            )
        key_region = arn_region(rule.replica_key)
        if key_region and is_known(rule.destination.region) and key_region != rule.destination.region:
            self._findings.violation(
                "replication-kms",
                rule.owner,
                f"`replica_kms_key_id` is a key of {key_region} but the copies are in {rule.destination.region}: S3 "
                "accepts that and then fails to copy every object. Use a key of the destination's region.",
            )

    def _unproved_rule(self, rule: Rule, name: str, means: str) -> None:
        self._findings.unproved(name, rule.owner, rule.key, means, remedy="Write it as a plain value in the program.")

    def _judge_single_configuration(self) -> None:
        seen: list[tuple[Resource, Place]] = []
        for owner, place in self._configured:
            twin = next((other for other, other_place in seen if place.is_same(other_place)), None)
            if twin is not None:
                self._findings.violation(
                    "replication-overwritten",
                    owner,
                    f"{twin!r} configures the same bucket, and a bucket has one replication configuration: the last "
                    "one written wins. Put all rules into one.",
                )
            seen.append((owner, place))

    def _effective(self, source: Resource | None = None, owner: Resource | None = None) -> list[Rule]:
        """Enabled rules that may lead to another region, of a bucket or of one configuration."""
        return [
            rule
            for rule in self._rules
            if (rule.enabled is UNKNOWN or rule.enabled == "Enabled")
            and (source is None or rule.source.declared is source)
            and (owner is None or rule.owner is owner)
            and not (is_known(rule.destination.region) and rule.destination.region == rule.source.region)
        ]

    def _judge_replicated(self, bucket: Resource) -> None:
        if self._stack.site_contract is not None:
            return  # deferred: the rules of a site's bucket are in the global stack, which must hold one for every site
        configured = [owner for owner, place in self._configured if place.declared is bucket]
        if self._effective(source=bucket) or any(owner.urn in self._hidden for owner in configured):
            return
        if not self._settings.two_way and any(rule.destination.declared is bucket for rule in self._effective()):
            return
        state = (
            f"{configured[0]!r} has no enabled rule that leads to another region"
            if configured
            else "nothing copies its objects to another region"
        )
        self._findings.violation(
            "replication",
            bucket,
            f"{state}, so its content is lost with its region. Declare `aws.s3.BucketReplicationConfig` for it with "
            "an enabled rule to a versioned bucket in another region (and one back, unless `replication` is one-way).",
        )

    def _judge_coverage(self, owner: Resource) -> None:
        rules = self._effective(owner=owner)
        if not rules or owner.urn in self._hidden:
            return
        prefixes = [rule.prefix for rule in rules if rule.has_tags is False]
        unknown = any(prefix is UNKNOWN for prefix in prefixes) or any(rule.has_tags is UNKNOWN for rule in rules)
        known = [prefix for prefix in prefixes if isinstance(prefix, str)]
        missing = [wanted for wanted in self._wanted if not any(wanted.startswith(prefix) for prefix in known)]
        if missing and unknown:
            self._findings.unproved(
                "coverage",
                owner,
                rules[0].key,
                "it can't be proved that its rules cover every package",
                remedy="Write the `filter` as plain values.",
            )
        elif missing:
            left_out = ", ".join(f"`{prefix}`" if prefix else "everything" for prefix in missing)
            self._findings.violation(
                "coverage",
                owner,
                f"its enabled rules don't cover {left_out} (a filter by tags covers nothing for certain), so the "
                "other region lacks those objects. Widen `filter.prefix`, or set `prefixes` in the policy's "
                "configuration.",
            )
        for prefix in self._excluded:
            if any(prefix.startswith(known_prefix) or known_prefix.startswith(prefix) for known_prefix in known):
                self._findings.violation(
                    "coverage",
                    owner,
                    f"a rule copies `{prefix}`, which belongs to one region only. Narrow `filter.prefix`.",
                )

    def _judge_sites(self) -> None:
        contract = self._stack.global_contract
        if contract is None:
            return
        waiting = [
            owner
            for owner, place in self._configured
            if not is_known(place.name) and (owner.urn in self._hidden or self._effective(owner=owner))
        ]
        for site in contracts.sites(self._stack):
            bucket = contracts.site_bucket(self._stack, site)
            if bucket is None:
                self._findings.violation(
                    "site-without-bucket",
                    contract,
                    f"the contract doesn't say which bucket site {site} has, so its replication can't be proved. Pass "
                    "on the site's `bucketName`.",
                )
            elif bucket is UNKNOWN:
                self._judge_waiting_site(contract, site, waiting)
            else:
                self._judge_known_site(contract, site, bucket)

    def _judge_waiting_site(self, contract: Resource, site: str, waiting: list[Resource]) -> None:
        if waiting:
            owner = waiting.pop(0)
            self._findings.advisory(
                "site-replication",
                owner,
                f"site {site} has no bucket yet, so it can't be proved that this copies its packages. Run `pulumi up "
                f"-s {site}` first.",
            )
        else:
            self._findings.violation("site-replication", contract, _site_message(site, "out of its bucket"))

    def _judge_known_site(self, contract: Resource, site: str, bucket: str) -> None:
        rules = self._effective()
        hidden = [place.name for owner, place in self._configured if owner.urn in self._hidden]
        missing = []
        if bucket not in hidden and not any(rule.source.name == bucket for rule in rules):
            missing.append("out of")
        if self._settings.two_way and not hidden and not any(rule.destination.name == bucket for rule in rules):
            missing.append("into")
        if missing:
            self._findings.violation(
                "site-replication", contract, _site_message(site, f"{' or '.join(missing)} {bucket}")
            )


def _site_message(site: str, where: str) -> str:
    return (
        f"site {site} of `lockstep:sites` has no enabled rule that copies packages {where}, so one region's loss takes "
        "them with it. Declare `aws.s3.BucketReplicationConfig` for every site's bucket, to a bucket in another region."
    )


def _bucket_name(bucket: Resource) -> Any:
    name = bucket.get("bucket")
    return name if name is not None else bucket.get("id")


def _rule_prefix(rule: Mapping[str, Any], filter_block: Any) -> Any:
    """The prefix of the keys that a rule copies; "" is everything, `UNKNOWN` if it isn't known."""
    if filter_block is UNKNOWN:
        return UNKNOWN
    for value in (field(filter_block, "prefix"), field(filter_block, "and", "prefix"), rule.get("prefix")):
        if value is not None:
            return value
    return ""


def _kms_objects(rule: Mapping[str, Any]) -> Any:
    criteria = rule.get("sourceSelectionCriteria")
    status = field(criteria, "sseKmsEncryptedObjects", "status")
    if status is not None:
        return status
    return "Enabled" if field(criteria, "sseKmsEncryptedObjects", "enabled") is True else None


def _replica_key(rule: Mapping[str, Any]) -> Any:
    destination = rule.get("destination")
    split = field(destination, "encryptionConfiguration", "replicaKmsKeyId")
    return split if split is not None else field(destination, "replicaKmsKeyId")


def _statements(policy: Any) -> list[dict[str, Any]] | None:
    """The statements of a policy document, None if it isn't one."""
    try:
        document = json.loads(policy) if isinstance(policy, str) else policy
        statements = document["Statement"]
    except (ValueError, TypeError, KeyError):
        return None
    listed = statements if isinstance(statements, list) else [statements]
    return [statement for statement in listed if isinstance(statement, dict)]


def _refuses_plain_http(statement: Mapping[str, Any], bucket: Any) -> bool:
    if statement.get("Effect") != "Deny" or statement.get("Principal") not in ("*", {"AWS": "*"}, {"AWS": ["*"]}):
        return False
    if not {"s3:*", "*"} & set(_listed(statement.get("Action"))):
        return False
    # A second condition would let plain HTTP through wherever it doesn't hold.
    conditions = statement.get("Condition")
    if (
        not isinstance(conditions, dict)
        or list(conditions) != ["Bool"]
        or list(conditions["Bool"]) != ["aws:SecureTransport"]
    ):
        return False
    if [str(value).lower() for value in _listed(conditions["Bool"]["aws:SecureTransport"])] != ["false"]:
        return False
    return _covers_bucket(_listed(statement.get("Resource")), bucket)


def _refuses_overwriting(statement: Mapping[str, Any]) -> bool:
    """Whether it denies everyone to create an object without `If-None-Match`, as the S3 User Guide has it in "Enforce
    conditional writes on Amazon S3 buckets"; that it may spare the parts of an upload doesn't weaken it.
    """
    if statement.get("Effect") != "Deny" or statement.get("Principal") not in ("*", {"AWS": "*"}, {"AWS": ["*"]}):
        return False
    if not {"s3:PutObject", "s3:Put*", "s3:*", "*"} & set(_listed(statement.get("Action"))):
        return False
    conditions = statement.get("Condition")
    if not isinstance(conditions, dict):
        return False
    found = {
        (operator, str(key).lower(), str(value).lower())
        for operator, keys in conditions.items()
        for key, values in (keys.items() if isinstance(keys, dict) else ())
        for value in _listed(values)
    }
    wanted, spared = ("Null", "s3:if-none-match", "true"), ("Bool", "s3:objectcreationoperation", "true")
    return wanted in found and found <= {wanted, spared}


def _covers_prefix(resources: list[Any], bucket: Any, prefix: str) -> bool:
    """Whether one of a statement's resources is all objects below a prefix, by IAM's wildcards at the end of an ARN."""
    names = {text.partition(":::")[2] or text for text in resources if isinstance(text, str)}
    # A bucket whose name isn't known is the one that the policy is about: S3 takes no other.
    mine = [name for name in names if "/" in name and (not is_known(bucket) or name.partition("/")[0] == bucket)]
    ends = {name.partition("/")[2] for name in mine}
    return "*" in names or any(end.endswith("*") and prefix.startswith(end[:-1]) for end in ends)


def _covers_bucket(resources: list[Any], bucket: Any) -> bool:
    texts = [text for text in resources if isinstance(text, str)]
    if "*" in texts:
        return True
    names = {text.partition(":::")[2] for text in texts if text.partition(":::")[1]}
    if is_known(bucket):
        return {bucket, f"{bucket}/*"} <= names or f"{bucket}*" in names
    return any(f"{name}/*" in names for name in names) or any(name.endswith("*") and "/" not in name for name in names)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    stack, config = Stack(args.resources), args.get_config()
    Buckets(stack, BucketSettings.read(config), findings).run()


buckets_policy = StackValidationPolicy(
    name="packages-in-two-regions",
    display_name="Packages exist in two regions",
    description="Package buckets are versioned, encrypted, private, and replicated to a bucket in another region.",
    validate=judged_by("buckets", _judge),
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["disaster-recovery", "s3"],
    remediation_steps=(
        "Declare BucketVersioning, BucketServerSideEncryptionConfiguration, BucketPublicAccessBlock, a TLS-only "
        "BucketPolicy and a BucketReplicationConfig with an enabled rule to another region, without delete markers, "
        "for every package bucket."
    ),
    url="https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html",
    config_schema=PolicyConfigSchema(
        properties={
            "scope": {
                "type": "string",
                "enum": ["all", "tagged"],
                "default": "all",
                "description": (
                    "Outside of Lockstep: judge all buckets (but those that receive access logs), or those with the "
                    "tag."
                ),
            },
            "tag": {
                "type": "string",
                "default": "lockstep:application",
                "description": "Key of the tag for scope `tagged`.",
            },
            "encryption": {
                "type": "string",
                "enum": ["auto", "sse-s3", "any"],
                "default": "auto",
                "description": (
                    "sse-s3: must be declared as SSE-S3; any: KMS too; auto: sse-s3 in Lockstep's stacks, else any."
                ),
            },
            "replication": {
                "type": "string",
                "enum": ["both-ways", "one-way"],
                "default": "both-ways",
                "description": "one-way: a bucket that only receives copies needs no rule of its own.",
            },
            "inlineSettings": {
                "type": "boolean",
                "default": False,
                "description": (
                    "Count settings written inside of `aws.s3.Bucket` (pulumi-aws 6 and earlier). Off, because they "
                    "also show what S3 still has when the program has dropped the separate resource."
                ),
            },
            "prefixes": {
                "type": "array",
                "items": {"type": "string"},
                "description": (
                    "Key prefixes that the rules must cover. Default: releases/ in Lockstep's stacks, else everything."
                ),
            },
            "excludedPrefixes": {
                "type": "array",
                "items": {"type": "string"},
                "description": (
                    "Key prefixes that no rule may copy. Default: leases/ in Lockstep's stacks, else none."
                ),
            },
            "bucketRegions": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "default": {},
                "description": "Region by bucket name, for destinations that are in no program that the policy sees.",
            },
            "exemptions": EXEMPTIONS_SCHEMA,
        }
    ),
)
