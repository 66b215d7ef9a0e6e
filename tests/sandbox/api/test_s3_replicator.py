"""Replication happens by the rules, in the background, and says what became of each object."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from moto.s3.models import FakeBucket

from components.package_bucket import policy_of as package_policy
from sandbox.api import s3_replica, s3_replicator
from sandbox.api.s3_replica import perform
from sandbox.api.s3_replication import Rule
from sandbox.api.s3_replication_changes import replicator as running
from sandbox.api.s3_replicator import Job, Kind, Progress, Replicator
from sandbox.api.server import ApiServer
from tests.sandbox.api.alarming import World, state

SOURCE, TARGET, THIRD = "packages-eu-west-1", "packages-eu-central-1", "packages-eu-north-1"
REGIONS = {SOURCE: "eu-west-1", TARGET: "eu-central-1", THIRD: "eu-north-1"}
ROLE = "arn:aws:iam::123456789012:role/replication"
ENABLED, DISABLED = {"Status": "Enabled"}, {"Status": "Disabled"}
ALLOWED = ["s3:GetReplicationConfiguration", "s3:ListBucket", "s3:Get*", "s3:Replicate*", "kms:*"]
DEADLINE = 20.0  # Seconds; replication takes a few hundredths.


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def poll(condition: Callable[[], Any]) -> Any:
    """What `condition` returns, once that is true; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, "didn't happen"
        time.sleep(0.01)
    return found


class Sites:
    """Versioned buckets in several regions, the role, and what was replicated between them."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws
        self.iam = aws("iam", "us-east-1")
        self.clients = {name: aws("s3", region) for name, region in REGIONS.items()}
        for name, region in REGIONS.items():
            self.clients[name].create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
            self.version(name, "Enabled")
        trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.iam.create_role(RoleName="replication", AssumeRolePolicyDocument=document(trust))
        self.allow(ALLOWED)

    def allow(self, actions: list[str]) -> None:
        permissions = document({"Effect": "Allow", "Action": actions, "Resource": "*"})
        self.iam.put_role_policy(RoleName="replication", PolicyName="replicate", PolicyDocument=permissions)

    def version(self, name: str, status: str) -> None:
        self.clients[name].put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})

    def replicate(self, *rules: dict[str, Any], source: str = SOURCE) -> None:
        configuration = {"Role": ROLE, "Rules": list(rules)}
        self.clients[source].put_bucket_replication(Bucket=source, ReplicationConfiguration=configuration)

    def put(self, key: str, body: bytes = b"content", bucket: str = SOURCE, **options: Any) -> str:
        return str(self.clients[bucket].put_object(Bucket=bucket, Key=key, Body=body, **options)["VersionId"])

    def head(self, key: str, bucket: str = SOURCE, **options: Any) -> Any:
        return self.clients[bucket].head_object(Bucket=bucket, Key=key, **options)

    def status(self, key: str, bucket: str = SOURCE) -> str | None:
        found: str | None = self.head(key, bucket).get("ReplicationStatus")
        return found

    def settled(self, key: str) -> str:
        """The status of a source object that is replicated, once it isn't PENDING."""
        return str(poll(lambda: self.status(key) in ("COMPLETED", "FAILED") and self.status(key)))

    def keys(self, bucket: str = TARGET) -> list[str]:
        listed = self.clients[bucket].list_objects_v2(Bucket=bucket).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def versions(self, bucket: str = TARGET) -> list[tuple[str, str]]:
        """Keys and ids of all versions and delete markers."""
        listed = self.clients[bucket].list_object_versions(Bucket=bucket)
        return sorted((v["Key"], v["VersionId"]) for v in listed.get("Versions", []) + listed.get("DeleteMarkers", []))

    def drain(self, source: str = SOURCE, target: str = TARGET) -> None:
        """Wait until what was due is done: jobs are done in order, so a later one proves the earlier ones."""
        key = f"drain/{time.monotonic_ns()}"
        rules = self.clients[source].get_bucket_replication(Bucket=source)["ReplicationConfiguration"]["Rules"]
        drain = rule(ID=key, Priority=999, Filter={"Prefix": key}, Destination=to(target))
        self.replicate(*rules, drain, source=source)
        self.put(key, bucket=source)
        poll(lambda: self.status(key, source) == "COMPLETED")
        self.replicate(*rules, source=source)
        for bucket in (source, target):
            self.clients[bucket].delete_object(Bucket=bucket, Key=key, VersionId=self.head(key, bucket)["VersionId"])


def to(bucket: str, **more: Any) -> dict[str, Any]:
    return {"Bucket": f"arn:aws:s3:::{bucket}", **more}


def rule(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "ID": "releases",
        "Priority": 1,
        "Filter": {"Prefix": "releases/"},
        "Status": "Enabled",
        "Destination": to(TARGET),
        "DeleteMarkerReplication": DISABLED,
    }
    return plain | changes


@pytest.fixture
def sites(aws: Any) -> Iterator[Sites]:
    before = s3_replicator.delay()
    s3_replicator.set_delay(0.01)
    yield Sites(aws)
    s3_replicator.set_delay(before)
    running.forget()


pytestmark = pytest.mark.change("s3-replication")


def test_an_object_arrives_with_all_that_belongs_to_it(sites: Sites) -> None:
    """The other region serves the same package: content, version, metadata, tags, checksum and time of writing."""
    sites.replicate(rule())
    version = sites.put(
        "releases/1/a.rpm", b"rpm", Metadata={"origin": "ci"}, Tagging="kind=rpm", ContentType="application/x-rpm"
    )
    assert sites.settled("releases/1/a.rpm") == "COMPLETED"
    assert sites.status("releases/1/a.rpm", TARGET) == "REPLICA"
    original = sites.head("releases/1/a.rpm", ChecksumMode="ENABLED")
    replica = sites.head("releases/1/a.rpm", TARGET, ChecksumMode="ENABLED")
    same = ("VersionId", "ETag", "Metadata", "ContentType", "LastModified", "ChecksumCRC32", "ServerSideEncryption")
    assert {name: replica[name] for name in same} == {name: original[name] for name in same}
    assert replica["VersionId"] == version
    client = sites.clients[TARGET]
    assert client.get_object(Bucket=TARGET, Key="releases/1/a.rpm")["Body"].read() == b"rpm"
    tags = client.get_object_tagging(Bucket=TARGET, Key="releases/1/a.rpm")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "rpm"}]


def test_until_it_is_due_an_object_is_pending_and_not_there(sites: Sites) -> None:
    """Replication is not immediate; a `publish` that relied on it must be caught."""
    s3_replicator.set_delay(3600)
    sites.replicate(rule())
    sites.put("releases/1")
    assert sites.status("releases/1") == "PENDING"
    assert sites.keys() == []


def test_copies_and_multipart_uploads_are_replicated_too(sites: Sites) -> None:
    """Large packages come in parts, and releases are made by copying."""
    sites.replicate(rule())
    client = sites.clients[SOURCE]
    sites.put("staging/a")
    client.copy_object(Bucket=SOURCE, Key="releases/copy", CopySource={"Bucket": SOURCE, "Key": "staging/a"})
    upload = client.create_multipart_upload(Bucket=SOURCE, Key="releases/parts", ChecksumAlgorithm="SHA256")["UploadId"]
    place = {"Bucket": SOURCE, "Key": "releases/parts", "UploadId": upload}
    etag = client.upload_part(**place, PartNumber=1, Body=b"part", ChecksumAlgorithm="SHA256")["ETag"]
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert sites.settled("releases/copy") == sites.settled("releases/parts") == "COMPLETED"
    assert sites.keys() == ["releases/copy", "releases/parts"]
    shown = sites.head("releases/parts", TARGET, ChecksumMode="ENABLED")
    assert shown["ETag"] == sites.head("releases/parts")["ETag"]
    assert shown["ChecksumType"] == "COMPOSITE"


def test_only_what_a_rule_selects_is_replicated(sites: Sites) -> None:
    """Leases must never reach the other region, or both would hold them."""
    tagged = {"And": {"Prefix": "packages/", "Tags": [{"Key": "publish", "Value": "yes"}]}}
    off = rule(ID="off", Priority=3, Filter={"Prefix": "off/"}, Status="Disabled")
    sites.replicate(rule(), rule(ID="tagged", Priority=2, Filter=tagged), off)
    sites.put("leases/deploy")
    sites.put("off/a")
    sites.put("packages/untagged")
    sites.put("packages/no", Tagging="publish=no")
    sites.put("packages/yes", Tagging="publish=yes&more=x")
    sites.put("releases/1")
    sites.drain()
    assert sites.keys() == ["packages/yes", "releases/1"]
    assert [sites.status(key) for key in ("leases/deploy", "off/a", "packages/no")] == [None, None, None]


def test_per_destination_the_rule_of_highest_priority_decides(sites: Sites) -> None:
    """Overlapping rules are told apart by priority; different destinations each get a copy."""
    sites.replicate(
        rule(ID="low", Priority=1, Filter={}, Destination=to(TARGET, StorageClass="STANDARD_IA")),
        rule(ID="high", Priority=2, Filter={}, Destination=to(TARGET, StorageClass="GLACIER_IR")),
        rule(ID="third", Priority=3, Filter={}, Destination=to(THIRD)),
    )
    sites.put("releases/1")
    assert sites.settled("releases/1") == "COMPLETED"
    assert sites.head("releases/1", TARGET)["StorageClass"] == "GLACIER_IR"
    assert "StorageClass" not in sites.head("releases/1", THIRD)


def test_what_was_there_before_the_rule_stays_where_it_is(sites: Sites) -> None:
    """Replication is no backfill: a bucket made later needs the packages published again."""
    sites.put("releases/old")
    sites.replicate(rule())
    sites.put("releases/new")
    sites.drain()
    assert sites.keys() == ["releases/new"]
    assert sites.status("releases/old") is None


def test_replicas_are_not_replicated_again(sites: Sites) -> None:
    """Rules both ways must not send an object round for ever."""
    everything = rule(Filter={})
    sites.replicate(everything)
    sites.replicate(everything | {"Destination": to(SOURCE)}, source=TARGET)
    sites.put("releases/1")
    assert sites.settled("releases/1") == "COMPLETED"
    sites.drain(TARGET, SOURCE)
    assert sites.status("releases/1") == "COMPLETED"
    assert sites.status("releases/1", TARGET) == "REPLICA"
    assert [key for key, _ in sites.versions(SOURCE)] == [key for key, _ in sites.versions(TARGET)] == ["releases/1"]


def test_both_directions_work_at_once(sites: Sites) -> None:
    """Each site publishes to its own bucket, and both end with everything."""
    sites.replicate(rule())
    sites.replicate(rule(Destination=to(SOURCE)), source=TARGET)
    sites.put("releases/west")
    sites.put("releases/central", bucket=TARGET)
    poll(lambda: sites.keys(SOURCE) == sites.keys(TARGET) == ["releases/central", "releases/west"])


def test_every_version_arrives_under_its_own_id_and_in_order(sites: Sites) -> None:
    """A version id written down in one region must find the same content in the other."""
    sites.replicate(rule())
    ids = [sites.put("releases/1", str(n).encode()) for n in range(3)]
    sites.drain()
    assert sorted(ids) == [version for _, version in sites.versions()]
    client = sites.clients[TARGET]
    contents = [client.get_object(Bucket=TARGET, Key="releases/1", VersionId=v)["Body"].read() for v in ids]
    assert contents == [b"0", b"1", b"2"]
    assert client.get_object(Bucket=TARGET, Key="releases/1")["Body"].read() == b"2"


def test_a_late_replica_does_not_hide_what_was_written_after_it(sites: Sites) -> None:
    """The current version is the one written last, wherever it was written."""
    s3_replicator.set_delay(0.3)
    sites.replicate(rule())
    sites.put("releases/1", b"early")
    sites.put("releases/1", b"late", bucket=TARGET)
    assert sites.settled("releases/1") == "COMPLETED"
    assert len(sites.versions()) == 2
    assert sites.clients[TARGET].get_object(Bucket=TARGET, Key="releases/1")["Body"].read() == b"late"


def test_delete_markers_go_over_only_where_the_rule_says_so(sites: Sites) -> None:
    """A deletion by mistake in one region must not reach the other."""
    sites.replicate(
        rule(), rule(ID="mirror", Priority=2, Filter={"Prefix": "mirror/"}, DeleteMarkerReplication=ENABLED)
    )
    for key in ("releases/1", "mirror/1"):
        sites.put(key)
        assert sites.settled(key) == "COMPLETED"
        sites.clients[SOURCE].delete_object(Bucket=SOURCE, Key=key)
    sites.drain()
    assert sites.keys(SOURCE) == []
    assert sites.keys() == ["releases/1"]
    of_source = [entry for entry in sites.versions(SOURCE) if entry[0] == "mirror/1"]
    assert [entry for entry in sites.versions() if entry[0] == "mirror/1"] == of_source


def test_the_first_schema_replicates_delete_markers(sites: Sites) -> None:
    """Rules without a Filter behave as they did when they were the only ones."""
    legacy = {"ID": "all", "Prefix": "", "Status": "Enabled", "Destination": to(TARGET)}
    sites.replicate(legacy)
    sites.put("releases/1")
    sites.clients[SOURCE].delete_object(Bucket=SOURCE, Key="releases/1")
    poll(lambda: len(sites.versions()) == 2)
    assert sites.keys() == []


def test_deleting_a_version_is_never_replicated(sites: Sites) -> None:
    """What protects the other region from a malicious deletion."""
    sites.replicate(rule(DeleteMarkerReplication=ENABLED))
    version = sites.put("releases/1")
    assert sites.settled("releases/1") == "COMPLETED"
    sites.clients[SOURCE].delete_object(Bucket=SOURCE, Key="releases/1", VersionId=version)
    sites.drain()
    assert sites.versions(SOURCE) == []
    assert sites.versions() == [("releases/1", version)]


def test_a_version_deleted_before_its_time_is_not_replicated(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing left to copy, and that is no failure."""
    jobs: list[Job] = []
    sites.replicate(rule())
    monkeypatch.setattr(running, "schedule", lambda job, delay: jobs.append(job))
    version = sites.put("releases/1")
    sites.clients[SOURCE].delete_object(Bucket=SOURCE, Key="releases/1", VersionId=version)
    for due in jobs:
        perform(due)
    assert len(jobs) == 1
    assert sites.versions() == []


def test_a_failure_that_nobody_foresaw_fails_the_object(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object must not stay PENDING for ever: `status` would wait for it."""
    monkeypatch.setattr(s3_replica, "why_not", lambda *_: 1 / 0)
    sites.replicate(rule())
    sites.put("releases/1")
    assert sites.settled("releases/1") == "FAILED"


def test_kms_objects_are_replicated_only_when_selected_and_with_a_key_of_the_destination(sites: Sites) -> None:
    """Encrypting the bucket with KMS silently ends replication, unless the rule selects such objects."""
    here = sites.aws("kms", "eu-west-1").create_key()["KeyMetadata"]["Arn"]
    there = sites.aws("kms", "eu-central-1").create_key()["KeyMetadata"]["Arn"]
    selected = {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": ENABLED}}
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": here}

    def kms_rule(number: int, prefix: str, key: str) -> dict[str, Any]:
        destination = to(TARGET, EncryptionConfiguration={"ReplicaKmsKeyID": key})
        return rule(ID=prefix, Priority=number, Filter={"Prefix": prefix}, Destination=destination, **selected)

    sites.replicate(rule(), kms_rule(2, "kms/", there), kms_rule(3, "wrong/", here))
    for key in ("releases/1", "kms/1", "wrong/1"):
        sites.put(key, **encrypted)
    assert sites.settled("kms/1") == "COMPLETED"
    assert sites.settled("wrong/1") == "FAILED"
    sites.drain()
    assert sites.status("releases/1") is None
    assert sites.keys() == ["kms/1"]
    replica = sites.head("kms/1", TARGET)
    assert (replica["ServerSideEncryption"], replica["SSEKMSKeyId"]) == ("aws:kms", there)
    sites.aws("kms", "eu-central-1").disable_key(KeyId=there.rpartition("/")[2])
    sites.put("kms/2", **encrypted)
    assert sites.settled("kms/2") == "FAILED"


def test_a_destination_that_is_gone_or_suspended_fails_the_object(sites: Sites) -> None:
    """FAILED is what `status` must show; nothing retries by itself."""
    sites.replicate(rule(), rule(ID="third", Priority=2, Filter={"Prefix": "third/"}, Destination=to(THIRD)))
    sites.version(TARGET, "Suspended")
    sites.clients[THIRD].delete_bucket(Bucket=THIRD)
    sites.put("releases/1")
    sites.put("third/1")
    assert sites.settled("releases/1") == sites.settled("third/1") == "FAILED"
    sites.version(TARGET, "Enabled")
    sites.put("releases/2")
    assert sites.settled("releases/2") == "COMPLETED"


@pytest.mark.parametrize(
    "granted",
    [["s3:Get*"], ["s3:Replicate*"], ["s3:GetObjectVersion*", "s3:Replicate*"], ["s3:Get*", "s3:ReplicateDelete"]],
)
def test_a_role_that_lacks_a_permission_fails_the_object(sites: Sites, granted: list[str]) -> None:
    """PutBucketReplication accepts any role; a program that grants too little is found by its objects only."""
    sites.replicate(rule())
    sites.allow(granted)
    sites.put("releases/1")
    assert sites.settled("releases/1") == "FAILED"
    sites.allow(["s3:GetReplicationConfiguration", "s3:GetObjectVersionForReplication", "s3:ReplicateObject"])
    sites.put("releases/2")
    assert sites.settled("releases/2") == "COMPLETED"


def test_a_role_that_s3_cannot_assume_or_that_is_gone_fails_the_object(sites: Sites) -> None:
    """The trust policy names s3.amazonaws.com, or nothing is replicated."""
    sites.replicate(rule())
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    sites.iam.update_assume_role_policy(RoleName="replication", PolicyDocument=document(trust))
    sites.put("releases/1")
    assert sites.settled("releases/1") == "FAILED"
    sites.iam.delete_role_policy(RoleName="replication", PolicyName="replicate")
    sites.iam.delete_role(RoleName="replication")
    sites.put("releases/2")
    assert sites.settled("releases/2") == "FAILED"


def test_a_deny_in_the_destinations_policy_binds_the_role(sites: Sites) -> None:
    """`Deny` whatever doesn't come through our VPC endpoint also stops S3's own replication."""
    sites.replicate(rule())
    arn = f"arn:aws:s3:::{TARGET}"
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"{arn}/*",
        "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
    }
    put_policy = sites.clients[TARGET].put_bucket_policy
    put_policy(Bucket=TARGET, Policy=document(deny))
    sites.put("releases/1")
    assert sites.settled("releases/1") == "FAILED"
    put_policy(Bucket=TARGET, Policy=document(deny | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}))
    sites.put("releases/2")
    assert sites.settled("releases/2") == "COMPLETED"


def test_one_failed_destination_of_two_is_a_failure(sites: Sites) -> None:
    """COMPLETED means everywhere."""
    sites.replicate(rule(), rule(ID="third", Priority=2, Destination=to(THIRD)))
    sites.version(THIRD, "Suspended")
    sites.put("releases/1")
    assert sites.settled("releases/1") == "FAILED"
    poll(lambda: sites.keys() == ["releases/1"])


def test_new_tags_follow_the_object_and_come_back_only_when_asked_for(sites: Sites) -> None:
    """Tags that mark a release as retired must be the same in both regions."""
    sites.replicate(rule())
    back = rule(Destination=to(SOURCE))
    sites.replicate(back, source=TARGET)
    sites.put("releases/1", Tagging="state=new")
    assert sites.settled("releases/1") == "COMPLETED"

    def tag(bucket: str, value: str) -> None:
        tags = {"TagSet": [{"Key": "state", "Value": value}]}
        sites.clients[bucket].put_object_tagging(Bucket=bucket, Key="releases/1", Tagging=tags)

    def tags(bucket: str) -> list[str]:
        found = sites.clients[bucket].get_object_tagging(Bucket=bucket, Key="releases/1")["TagSet"]
        return [entry["Value"] for entry in found]

    tag(SOURCE, "retired")
    poll(lambda: tags(TARGET) == ["retired"])
    tag(TARGET, "local")
    sites.drain(TARGET, SOURCE)
    assert tags(SOURCE) == ["retired"]
    sites.replicate(back | {"SourceSelectionCriteria": {"ReplicaModifications": ENABLED}}, source=TARGET)
    tag(TARGET, "gone")
    poll(lambda: tags(SOURCE) == ["gone"])
    sites.clients[SOURCE].delete_object_tagging(Bucket=SOURCE, Key="releases/1")
    poll(lambda: tags(TARGET) == [])


def test_a_reset_drops_what_is_due(sites: Sites, monkeypatch: pytest.MonkeyPatch, api: ApiServer) -> None:
    """The next `sandbox up` in this process starts with nothing in the air."""
    forgotten: list[bool] = []
    monkeypatch.setattr(running, "forget", lambda: forgotten.append(True))
    reset(api)
    assert forgotten


def test_a_job_of_a_bucket_that_is_gone_touches_nothing(
    sites: Sites, monkeypatch: pytest.MonkeyPatch, api: ApiServer
) -> None:
    """A bucket of the same name that was made later must not get the old one's delete markers."""
    jobs: list[Job] = []
    monkeypatch.setattr(running, "schedule", lambda due, delay: jobs.append(due))
    sites.replicate(rule(DeleteMarkerReplication=ENABLED))
    sites.clients[SOURCE].delete_object(Bucket=SOURCE, Key="releases/1")
    reset(api)
    again = Sites(sites.aws)
    for due in jobs:
        perform(due)
    assert [due.kind for due in jobs] == [Kind.DELETE_MARKER]
    assert again.versions() == []


def reset(api: ApiServer) -> None:
    request = urllib.request.Request(f"{api.endpoint_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def job(key: str) -> Job:
    selected = Rule(
        rule_id="r",
        enabled=True,
        priority=1,
        prefix="",
        tags={},
        delete_markers=False,
        kms_key_arn=None,
        replica_modifications=False,
        metrics=False,
        bucket_name=TARGET,
        storage_class=None,
    )
    bucket = cast(FakeBucket, SimpleNamespace(name="nowhere"))
    return Job(kind=Kind.OBJECT, source=bucket, key_name=key, version_id="v", rule=selected, role_arn=ROLE)


class Worker:
    """A replicator whose jobs note their key; that of `fails` raises, that of `waits` can't be done at first."""

    def __init__(self, fails: str = "", waits: str = "") -> None:
        self.done: list[str] = []
        self.fails, self.waits = fails, waits
        self.replicator = Replicator(self.perform)

    def perform(self, due: Job) -> bool:
        self.done.append(due.key_name)
        if due.key_name == self.fails:
            raise OSError("no space left on device")
        return due.key_name != self.waits or self.done.count(self.waits) > 1


def test_jobs_are_done_in_the_order_in_which_they_are_due(api: ApiServer) -> None:
    """Versions of one key written one after the other arrive in that order."""
    worker = Worker()
    worker.replicator.schedule(job("later"), 0.2)
    worker.replicator.schedule(job("first"), 0.0)
    worker.replicator.schedule(job("second"), 0.0)
    poll(lambda: worker.done == ["first", "second", "later"])
    worker.replicator.stop()


def test_a_job_that_fails_does_not_end_the_others(api: ApiServer) -> None:
    """One object's trouble must not stop replication until the sandbox is restarted."""
    worker = Worker(fails="bad")
    worker.replicator.schedule(job("bad"), 0.0)
    worker.replicator.schedule(job("good"), 0.0)
    poll(lambda: worker.done == ["bad", "good"])
    worker.replicator.stop()


def test_a_job_that_has_to_wait_is_done_later(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while the other region is lost would never get there."""
    monkeypatch.setattr(s3_replicator, "RETRY_SECONDS", 0.05)
    worker = Worker(waits="lost")
    worker.replicator.schedule(job("lost"), 0.0)
    worker.replicator.schedule(job("other"), 0.0)
    poll(lambda: worker.done == ["lost", "other", "lost"])
    worker.replicator.stop()


def test_what_was_forgotten_is_not_done(api: ApiServer) -> None:
    """A reset empties the world that the jobs are about."""
    worker = Worker()
    worker.replicator.schedule(job("forgotten"), 0.1)
    worker.replicator.forget()
    worker.replicator.schedule(job("kept"), 0.2)
    poll(lambda: worker.done)
    assert worker.done == ["kept"]
    worker.replicator.stop()


def test_stopping_ends_the_thread_and_drops_what_is_due(api: ApiServer) -> None:
    """`sandbox down` leaves nothing behind; and a replicator that was stopped works again."""
    worker = Worker()
    threads = set(threading.enumerate())
    worker.replicator.schedule(job("dropped"), 3600)
    started = set(threading.enumerate()) - threads
    assert len(started) == 1
    worker.replicator.stop()
    assert not started & set(threading.enumerate())
    worker.replicator.stop()
    worker.replicator.schedule(job("again"), 0.0)
    poll(lambda: worker.done == ["again"])
    worker.replicator.stop()


def test_any_failure_fails_and_any_wait_is_pending() -> None:
    """The header sums up all destinations."""
    assert Progress(by_destination={"a": "COMPLETED", "b": "PENDING"}).status == "PENDING"
    assert Progress(by_destination={"a": "FAILED", "b": "PENDING"}).status == "FAILED"
    assert Progress(by_destination={"a": "COMPLETED", "b": "COMPLETED"}).status == "COMPLETED"


def test_the_delay_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo wants it short, a test of lost regions long; a typo must not mean zero."""
    monkeypatch.delenv(s3_replicator.DELAY_VARIABLE, raising=False)
    assert s3_replicator.delay_from_environment() == s3_replicator.DEFAULT_DELAY
    monkeypatch.setenv(s3_replicator.DELAY_VARIABLE, "0.5")
    assert s3_replicator.delay_from_environment() == 0.5
    for wrong in ("soon", "-1", "inf", "nan", ""):
        monkeypatch.setenv(s3_replicator.DELAY_VARIABLE, wrong)
        with pytest.raises(ValueError, match=s3_replicator.DELAY_VARIABLE):
            s3_replicator.delay_from_environment()


METRIC = {
    "Namespace": "AWS/S3",
    "MetricName": "OperationsFailedReplication",
    "Dimensions": [
        {"Name": "SourceBucket", "Value": SOURCE},
        {"Name": "DestinationBucket", "Value": TARGET},
        {"Name": "RuleId", "Value": "releases"},
    ],
}


def failures(cloudwatch: Any) -> list[tuple[float, float]]:
    """Sum and number of samples of the rule's failures, in one region."""
    found = cloudwatch.get_metric_statistics(
        **METRIC,
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(hours=1),
        Period=7200,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    return [(each["Sum"], each["SampleCount"]) for each in found]


def test_what_fails_is_told_to_cloudwatch_in_the_region_of_the_source(sites: Sites) -> None:
    """Nobody looks at each object's status: an alarm on this metric is how people hear of it."""
    sites.replicate(rule(Destination=to(TARGET, Metrics=ENABLED)))
    here, there = sites.aws("cloudwatch", REGIONS[SOURCE]), sites.aws("cloudwatch", REGIONS[TARGET])
    sites.put("releases/1")
    assert sites.settled("releases/1") == "COMPLETED"
    assert sum(total for total, _ in failures(here)) == 0
    sites.allow([action for action in ALLOWED if action != "s3:Replicate*"])
    sites.put("releases/2")
    assert sites.settled("releases/2") == "FAILED"
    assert [sum(column) for column in zip(*failures(here), strict=True)] == [1, 2]
    assert failures(there) == []


@pytest.mark.parametrize("destination", [to(TARGET), to(TARGET, Metrics=DISABLED)])
def test_a_rule_without_metrics_tells_nothing(sites: Sites, destination: dict[str, Any]) -> None:
    """An alarm on it would look well for ever."""
    sites.replicate(rule(Destination=destination))
    sites.allow([action for action in ALLOWED if action != "s3:Replicate*"])
    sites.put("releases/1")
    assert sites.settled("releases/1") == "FAILED"
    assert failures(sites.aws("cloudwatch", REGIONS[SOURCE])) == []


def test_an_alarm_on_failures_goes_off_and_a_policy_that_demands_conditional_writes_is_no_failure(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm that the component makes, on buckets with the policy that the component gives them."""
    world = World(monkeypatch)
    world.now = datetime.now(UTC).replace(tzinfo=None)
    for name, client in sites.clients.items():
        arn = f"arn:aws:s3:::{name}"
        client.put_bucket_policy(Bucket=name, Policy=package_policy(arn, "vpce-1", protect=True))
    cloudwatch = sites.aws("cloudwatch", REGIONS[SOURCE])
    cloudwatch.put_metric_alarm(
        AlarmName="failed",
        **METRIC,
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    sites.replicate(rule(Destination=to(TARGET, Metrics=ENABLED)))
    sites.put("releases/1", IfNoneMatch="*")
    assert sites.settled("releases/1") == "COMPLETED"
    world.wait(330)
    assert state(cloudwatch, "failed") == "OK"
    sites.allow([action for action in ALLOWED if action != "s3:Replicate*"])
    sites.put("releases/2", IfNoneMatch="*")
    assert sites.settled("releases/2") == "FAILED"
    world.wait(330)
    assert state(cloudwatch, "failed") == "ALARM"
    world.wait(660)
    assert state(cloudwatch, "failed") == "OK"
