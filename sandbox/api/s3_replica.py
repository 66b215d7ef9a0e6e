"""Carrying one version to its destination, or finding out why it can't be carried.

Rules: S3 User Guide, "What does Amazon S3 replicate?", "Getting replication status information" and "Replicating
encrypted objects".
"""

import logging

from moto.cloudwatch.models import cloudwatch_backends
from moto.kms.models import kms_backends
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends

from sandbox.api import cloudwatch_metrics, cloudwatch_time, lost_regions
from sandbox.api.backend_lock import backend_lock
from sandbox.api.s3_access import policy_of
from sandbox.api.s3_policy import Decision, Principal
from sandbox.api.s3_replication import Rule
from sandbox.api.s3_replicator import Job, Kind
from sandbox.api.s3_request import find_bucket
from sandbox.api.s3_role import Permission, why_not
from sandbox.api.s3_versioning import find_version, new_marker, set_versions, versions_of

log = logging.getLogger(__name__)

KMS = frozenset({"aws:kms", "aws:kms:dsse"})


def perform(job: Job) -> bool:
    """Carry one version over, or mark it FAILED; False if that has to wait, as a region is lost. Takes the lock of
    moto's state.
    """
    with backend_lock:
        if find_bucket(job.source.name) is not job.source:
            return True
        version = find_version(job.source, job.key_name, job.version_id)
        if version is None:
            return True
        if any(lost_regions.is_lost(bucket.region_name) for bucket in (job.source, _destination(job)) if bucket):
            return False
        try:
            problem = _carry(job, version)
        except Exception as error:
            # Whatever went wrong, the object must not stay PENDING for ever.
            log.exception("replication of s3://%s/%s stopped", job.source.name, job.key_name)
            problem = repr(error)
        if problem is not None:
            source = f"s3://{job.source.name}/{job.key_name}"
            log.warning("%s isn't replicated to %s: %s", source, job.rule.bucket_name, problem)
        if job.rule.metrics:
            _measure(job, failed=problem is not None)
        progress = getattr(version, "lockstep_progress", None)
        if progress is not None:
            progress.by_destination[job.rule.bucket_name] = "FAILED" if problem else "COMPLETED"
    return True


def _measure(job: Job, *, failed: bool) -> None:
    """Tell CloudWatch of an operation, in the source's region: the sum is how many failed, the number of samples how
    many there were (S3 User Guide, "Metrics and dimensions", "S3 Replication metrics in CloudWatch"). The metrics of
    what is pending aren't published here.
    """
    dimensions = {
        "SourceBucket": job.source.name,
        "DestinationBucket": job.rule.bucket_name,
        "RuleId": job.rule.rule_id,
    }
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    cloudwatch_metrics.record(
        cloudwatch_backends[job.source.account_id][job.source.region_name],
        cloudwatch_metrics.key_of("AWS/S3", "OperationsFailedReplication", named),
        cloudwatch_metrics.sample_of(cloudwatch_time.now(), {float(failed): 1.0}, unit="Count"),
    )


def _destination(job: Job) -> FakeBucket | None:
    return find_bucket(job.rule.bucket_name)


def _carry(job: Job, version: FakeKey | FakeDeleteMarker) -> str | None:
    """Carry the version over; returns why it can't be, None if it was."""
    destination = _destination(job)
    if destination is None:
        return "the destination bucket doesn't exist"
    problem = _problem(job, version, destination)
    if problem is None:
        _copy(job, version, destination)
    return problem


def _problem(job: Job, version: FakeKey | FakeDeleteMarker, destination: FakeBucket) -> str | None:
    if not destination.is_versioned:
        return "versioning isn't enabled on the destination bucket"
    encrypted = isinstance(version, FakeKey) and version.encryption in KMS
    if encrypted and not _key_is_usable(str(job.rule.kms_key_arn), destination):
        return f"{job.rule.kms_key_arn} is no enabled key in {destination.region_name}, where the destination bucket is"
    refused = why_not(job.role_arn, _needed(job, version, destination))
    return refused or _refused_by_policy(job, destination)


def _needed(job: Job, version: FakeKey | FakeDeleteMarker, destination: FakeBucket) -> tuple[Permission, ...]:
    source, target = f"{job.source.arn}/{job.key_name}", f"{destination.arn}/{job.key_name}"
    needed = [
        Permission(action="s3:GetReplicationConfiguration", resource=job.source.arn),
        Permission(action="s3:GetObjectVersionForReplication", resource=source),
        Permission(action=_WRITES[job.kind], resource=target),
    ]
    if isinstance(version, FakeKey) and tags_of(job.source, version):
        needed += [
            Permission(action="s3:GetObjectVersionTagging", resource=source),
            Permission(action="s3:ReplicateTags", resource=target),
        ]
    if isinstance(version, FakeKey) and version.encryption in KMS:
        needed.append(Permission(action="kms:Encrypt", resource=str(job.rule.kms_key_arn)))
        if version.kms_key_id and version.kms_key_id.startswith("arn:"):
            needed.append(Permission(action="kms:Decrypt", resource=version.kms_key_id))
    return tuple(needed)


_WRITES = {
    Kind.OBJECT: "s3:ReplicateObject",
    Kind.DELETE_MARKER: "s3:ReplicateDelete",
    Kind.TAGS: "s3:ReplicateTags",
}


def _refused_by_policy(job: Job, destination: FakeBucket) -> str | None:
    """Bucket policies bind S3's own role as well: a deny of everything that isn't from one VPC endpoint stops
    replication.
    """
    account = job.role_arn.split(":")[4]
    session = job.role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/s3-replication"
    principal = Principal(arn=session, account=account, role_arn=job.role_arn)
    context = {
        "aws:principalaccount": (account,),
        "aws:principalarn": (job.role_arn,),
        "aws:principalisawsservice": ("false",),
        "aws:principaltype": ("AssumedRole",),
        "aws:securetransport": ("true",),
        "aws:viaawsservice": ("false",),
    }
    for bucket, action in ((job.source, "s3:GetObjectVersionForReplication"), (destination, _WRITES[job.kind])):
        policy = policy_of(bucket)
        decision = (
            policy.decide(principal, action, f"{bucket.arn}/{job.key_name}", context) if policy else Decision.NEUTRAL
        )
        if decision is Decision.DENY or (decision is Decision.NEUTRAL and account != bucket.account_id):
            return f"the policy of {bucket.name} doesn't let {job.role_arn} do {action}"
    return None


def _key_is_usable(arn: str, destination: FakeBucket) -> bool:
    _, _, _, region, account, name = arn.split(":", 5)
    if region != destination.region_name:
        return False
    backend = kms_backends[account][region]
    key_id = backend.get_key_id_from_alias(name) if name.startswith("alias/") else name.removeprefix("key/")
    key = backend.keys.get(str(key_id).rsplit("/", 1)[-1])
    return key is not None and bool(key.enabled) and key.key_state == "Enabled"


def _copy(job: Job, version: FakeKey | FakeDeleteMarker, destination: FakeBucket) -> None:
    if isinstance(version, FakeDeleteMarker):
        marker = new_marker(destination, job.key_name, str(version.version_id))
        marker.last_modified = version.last_modified
        _insert(destination, job.key_name, marker)
    elif job.kind is Kind.TAGS:
        replica = find_version(destination, job.key_name, job.version_id)
        if isinstance(replica, FakeKey):
            _copy_tags(job.source, version, destination, replica)
    else:
        replica = _replica_of(version, destination, job.rule)
        _insert(destination, job.key_name, replica)
        _copy_tags(job.source, version, destination, replica)


def _replica_of(original: FakeKey, destination: FakeBucket, rule: Rule) -> FakeKey:
    """The same object: content, version id, metadata, time of writing. Encrypted with the rule's key if the original
    was.
    """
    kms = original.encryption in KMS
    replica = FakeKey(
        name=original.name,
        value=original.value,
        account_id=destination.account_id,
        region_name=original.region_name,
        storage=rule.storage_class or original.storage_class,
        etag=original.etag.replace('"', ""),
        is_versioned=True,
        version_id=original.version_id,
        bucket_name=destination.name,
        encryption=original.encryption,
        kms_key_id=rule.kms_key_arn if kms else None,
        bucket_key_enabled=original.bucket_key_enabled if kms else None,
        lock_mode=original.lock_mode,
        lock_legal_status=original.lock_legal_status,
        lock_until=original.lock_until,
        checksum_value=original.checksum_value,
        checksum_type=original.checksum_type,
        checksum_parts=original.checksum_parts,
    )
    replica.checksum_algorithm = original.checksum_algorithm
    replica.website_redirect_location = original.website_redirect_location
    replica.set_metadata(dict(original.metadata))
    replica.last_modified = original.last_modified
    replica.lockstep_is_replica = True  # type: ignore[attr-defined]
    return replica


def _insert(bucket: FakeBucket, key_name: str, version: FakeKey | FakeDeleteMarker) -> None:
    """Put a version where its time of writing belongs: a late replica doesn't hide what was written after it."""
    others = [v for v in versions_of(bucket, key_name) if v.version_id != version.version_id]
    set_versions(bucket, key_name, sorted([*others, version], key=lambda v: v.last_modified))


def _backend_of(bucket: FakeBucket) -> S3Backend:
    return s3_backends[bucket.account_id][bucket.partition]


def tags_of(bucket: FakeBucket, key: FakeKey) -> dict[str, str]:
    """The tags of an object in `bucket`."""
    tags: dict[str, str] = _backend_of(bucket).tagger.get_tag_dict_for_resource(key.arn)
    return tags


def _copy_tags(source: FakeBucket, original: FakeKey, destination: FakeBucket, replica: FakeKey) -> None:
    tagger = _backend_of(destination).tagger
    tagger.delete_all_tags_for_resource(replica.arn)
    tagger.tag_resource(replica.arn, tagger.convert_dict_to_tags_input(tags_of(source, original)))
