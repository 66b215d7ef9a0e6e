"""The provider's S3 types against the sandbox's S3."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.api.s3_bucket import is_valid_bucket_name
from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.program import Program, Resource

BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
REPLICATION = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
LOGGING = "aws:s3/bucketLogging:BucketLogging"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

ROLE = "arn:aws:iam::123456789012:role/replication"


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def s3(program: Program) -> Any:
    return program.aws("s3")


@pytest.fixture
def bucket(program: Program) -> Resource:
    return program.up(BUCKET, bucket="packages-eu-west-1")


def _policy(bucket: str, effect: str = "Deny") -> str:
    statement = {
        "Sid": "Tls",
        "Effect": effect,
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _encryption(algorithm: str = "AES256", **more: Any) -> list[dict[str, Any]]:
    return [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}, **more}]


def _rule(**more: Any) -> dict[str, Any]:
    return {
        "id": "releases",
        "status": "Enabled",
        "priority": 1,
        "filter": {"prefix": "releases/"},
        "deleteMarkerReplication": {"status": "Disabled"},
        "destination": {"bucket": "arn:aws:s3:::packages-eu-central-1", "storageClass": "STANDARD"},
        **more,
    }


def _replicated(program: Program, bucket: Resource, **more: Any) -> Resource:
    """A replication of `bucket` into another region, with what it needs."""
    versioned = {"versioningConfiguration": {"status": "Enabled"}}
    there = program.in_region("eu-central-1")
    program.up(VERSIONING, bucket=bucket.id, **versioned)
    there.up(VERSIONING, bucket=there.up(BUCKET, bucket="packages-eu-central-1").id, **versioned)
    trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam = program.aws("iam")
    iam.create_role(RoleName="replication", AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName="replication", PolicyName="all", PolicyDocument=_document(allowed))
    return program.up(REPLICATION, bucket=bucket.id, role=ROLE, **({"rules": [_rule()]} | more))


def _log_bucket(program: Program, name: str = "logs") -> Resource:
    """A bucket into which S3 may log."""
    logs = program.up(BUCKET, bucket=name)
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{name}/packages/*",
    }
    program.aws("s3").put_bucket_policy(Bucket=name, Policy=_document(allowed))
    return logs


def _logged(program: Program, bucket: Resource, **more: Any) -> Resource:
    """Access logs of `bucket`, with the bucket that takes them."""
    wanted = {
        "targetBucket": _log_bucket(program).id,
        "targetPrefix": "packages/",
        "targetObjectKeyFormat": PARTITIONED,
    }
    declared = {name: value for name, value in (wanted | more).items() if value is not None}
    return program.up(LOGGING, bucket=bucket.id, **declared)


PARTITIONED = {"partitionedPrefix": {"partitionDateSource": "EventTime"}}


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


Maker = Callable[[Program, Resource], Resource]

CONFIGURATIONS: dict[str, Maker] = {
    VERSIONING: lambda program, bucket: program.up(
        VERSIONING, bucket=bucket.id, versioningConfiguration={"status": "Enabled"}
    ),
    ENCRYPTION: lambda program, bucket: program.up(ENCRYPTION, bucket=bucket.id, rules=_encryption()),
    PUBLIC_ACCESS_BLOCK: lambda program, bucket: program.up(
        PUBLIC_ACCESS_BLOCK, bucket=bucket.id, blockPublicAcls=True, restrictPublicBuckets=True
    ),
    OWNERSHIP: lambda program, bucket: program.up(
        OWNERSHIP, bucket=bucket.id, rule={"objectOwnership": "BucketOwnerEnforced"}
    ),
    POLICY: lambda program, bucket: program.up(POLICY, bucket=bucket.id, policy=_policy(bucket.id)),
    REPLICATION: _replicated,
    LOGGING: _logged,
    LIFECYCLE: lambda program, bucket: program.up(
        LIFECYCLE,
        bucket=bucket.id,
        rules=[{"id": "uploads", "status": "Enabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}],
    ),
}
ALL: dict[str, Maker] = {BUCKET: lambda program, bucket: bucket, **CONFIGURATIONS}


@pytest.mark.parametrize("token", ALL)
def test_a_new_resource_has_no_drift_and_no_plan(token: str, program: Program, bucket: Resource) -> None:
    """Without it `pulumi refresh --expect-no-changes` right after `up` fails, and so does every demo."""
    made = ALL[token](program, bucket)
    assert made.refresh() == frozenset()
    assert not made.plan().changed


@pytest.mark.parametrize("token", ALL)
def test_a_resources_id_is_the_buckets_name(token: str, program: Program, bucket: Resource) -> None:
    """Without it `bucket=bucket.id`, as every program has it, and `pulumi import` name other things than on AWS."""
    made = ALL[token](program, bucket)
    assert (made.id, made.state["bucket"]) == (bucket.id, bucket.id)
    assert made.plan(bucket="another").replaces == {"bucket"}


@pytest.mark.parametrize("token", ALL)
def test_an_import_reads_the_inputs_that_made_the_resource(token: str, program: Program, bucket: Resource) -> None:
    """Without it `pulumi import` writes code that plans a change at once."""
    made = ALL[token](program, bucket)
    id, state, inputs = program.imported(token, made.id)
    assert id == made.id
    assert inputs["bucket"] == bucket.id
    assert program.engine.diff(program.config, token, state, inputs, made.inputs).changed == {}


@pytest.mark.parametrize("token", ALL)
def test_a_resource_without_its_bucket_is_gone(token: str, program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a bucket deleted by hand makes every later refresh and destroy fail."""
    made = ALL[token](program, bucket)
    if token == REPLICATION:
        s3.delete_bucket_replication(Bucket=bucket.id)
    s3.delete_bucket(Bucket=bucket.id)
    assert made.gone
    made.delete()


@pytest.mark.parametrize("token", sorted(CONFIGURATIONS.keys() - {VERSIONING, ENCRYPTION}))
def test_a_configuration_that_is_deleted_is_gone_and_can_be_deleted_again(
    token: str, program: Program, bucket: Resource
) -> None:
    """Without it a destroy that was cut off half way can't be run again."""
    made = CONFIGURATIONS[token](program, bucket)
    made.delete()
    assert made.gone
    made.delete()


@pytest.mark.parametrize("token", ALL)
def test_what_is_not_known_yet_is_not_refused(token: str, program: Program, bucket: Resource) -> None:
    """Without it the first preview of a stack fails on values that the update would know."""
    made = ALL[token](program, bucket)
    for name in made.declared:
        assert program.refusals(token, **{**made.declared, name: UNKNOWN}) == {}


@pytest.mark.parametrize("token", ALL)
def test_a_property_that_the_description_lacks_is_refused_by_name(token: str, program: Program) -> None:
    """Without it a program is told yes for something that the sandbox never does."""
    assert "doesNotExist" in program.refusals(token, doesNotExist="x")


@pytest.mark.parametrize(
    "name",
    [
        "acl", "accelerationStatus", "corsRules", "grants", "lifecycleRules", "logging", "policy",
        "replicationConfiguration", "requestPayer", "serverSideEncryptionConfiguration", "versioning", "website",
    ],
)  # fmt: skip
def test_a_buckets_properties_of_old_are_refused(name: str, program: Program) -> None:
    """Without it a bucket would seem versioned or encrypted by a property that nobody acts on."""
    assert "isn't supported" in program.refusals(BUCKET, **{name: "x"})[name]


def test_a_bucket_gets_pulumis_name_in_lower_case(program: Program) -> None:
    """Without it a resource named in camel case has a bucket name that S3 refuses."""
    made = program.up(BUCKET, "Packages")
    assert made.id.startswith("packages-")
    assert made.id == made.inputs["bucket"]


def test_a_bucket_has_the_addresses_that_aws_gives_it(program: Program) -> None:
    """Without it policies name the wrong ARN, and machines ask the wrong host."""
    state = program.in_region("eu-central-1").up(BUCKET, bucket="packages").state
    assert state["arn"] == "arn:aws:s3:::packages"
    assert state["bucketDomainName"] == "packages.s3.amazonaws.com"
    assert state["bucketRegionalDomainName"] == "packages.s3.eu-central-1.amazonaws.com"
    assert state["bucketRegion"] == "eu-central-1"


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_bucket_that_exists_is_not_taken_over(region: str, program: Program) -> None:
    """Without it, in us-east-1, a second stack takes over the first one's bucket and deletes it with its own."""
    there = program.in_region(region)
    there.up(BUCKET, bucket="packages")
    with pytest.raises(ProviderError, match="BucketAlreadyOwnedByYou"):
        there.up(BUCKET, bucket="packages")


@pytest.mark.parametrize(
    "name",
    [
        "ab", "a" * 64, "Upper", "under_score", "-a-b", "a-b-", "a..b", "10.0.0.1", "xn--a", "sthree-a",
        "amzn-s3-demo-a", "a-s3alias", "a--ol-s3", "a.mrap", "a--x-s3", "a--table-s3",
    ],
)  # fmt: skip
def test_a_name_that_s3_refuses_is_refused_before_anything_is_made(name: str, program: Program) -> None:
    """Without it the preview is clean, and S3 refuses the bucket half way through the update."""
    assert "bucket" in program.refusals(BUCKET, bucket=name)
    assert not is_valid_bucket_name(name)


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a.b-c", "1a2", "10.0.0.256.1", "a-s3alias-b"])
def test_a_name_that_s3_takes_is_accepted(name: str, program: Program) -> None:
    """Without it the check could refuse more than S3 does."""
    assert program.refusals(BUCKET, bucket=name) == {}
    assert is_valid_bucket_name(name)


def test_a_buckets_tags_are_written_at_creation_changed_and_watched(program: Program, s3: Any) -> None:
    """Without it clean-up, which goes by tags, misses the bucket."""
    made = program.up(BUCKET, bucket="packages", tags={"Name": "it"})

    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=made.id)["TagSet"]}

    assert tags() == {"Name": "it"}
    made.update(tags={"Name": "other", "more": "1"})
    assert tags() == {"Name": "other", "more": "1"}
    s3.put_bucket_tagging(Bucket=made.id, Tagging={"TagSet": [{"Key": "Name", "Value": "by hand"}]})
    assert made.refresh() >= {"tags"}
    made.repair()
    assert tags() == {"Name": "other", "more": "1"}
    made.update(tags={})
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchTagSet"):
        tags()


def _fill(s3: Any, bucket: str) -> None:
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="kept", Body=body)
        s3.put_object(Bucket=bucket, Key="deleted", Body=body)
    s3.delete_object(Bucket=bucket, Key="deleted")


def test_a_bucket_with_objects_is_not_deleted(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a destroy by mistake takes every published release with it."""
    CONFIGURATIONS[VERSIONING](program, bucket)
    _fill(s3, bucket.id)
    with pytest.raises(ProviderError, match="BucketNotEmpty"):
        bucket.delete()
    assert len(s3.list_object_versions(Bucket=bucket.id)["Versions"]) == 4


def test_force_destroy_empties_a_bucket_of_versions_and_delete_markers(
    program: Program, bucket: Resource, s3: Any
) -> None:
    """Without it the documented teardown stops at the first bucket that ever had versions."""
    CONFIGURATIONS[VERSIONING](program, bucket)
    _fill(s3, bucket.id)
    assert not bucket.plan(forceDestroy=True).replaces
    bucket.update(forceDestroy=True)
    assert bucket.refresh() == frozenset()
    bucket.delete()
    assert bucket.gone


def test_force_destroy_empties_a_bucket_of_more_objects_than_one_call_takes(
    program: Program, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a bucket with more than a thousand versions stays behind half empty."""
    monkeypatch.setattr("sandbox.provider.resources.bucket._MOST_KEYS", 2)
    made = program.up(BUCKET, bucket="packages", forceDestroy=True)
    for number in range(5):
        s3.put_object(Bucket=made.id, Key=str(number), Body=b"")
    made.delete()
    assert made.gone


def test_versioning_is_suspended_by_hand_found_and_repaired(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it an overwritten release can't be brought back, and no refresh says so."""
    versioning = CONFIGURATIONS[VERSIONING](program, bucket)

    def status() -> str:
        return str(s3.get_bucket_versioning(Bucket=bucket.id)["Status"])

    assert status() == "Enabled"
    s3.put_bucket_versioning(Bucket=bucket.id, VersioningConfiguration={"Status": "Suspended"})
    assert versioning.refresh() == {"versioningConfiguration"}
    versioning.repair()
    assert status() == "Enabled"
    versioning.update(versioningConfiguration={"status": "Suspended"})
    assert status() == "Suspended"


def test_deleting_versioning_suspends_it(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it old versions could seem to go, or the deletion fail: versioning can't be taken off a bucket."""
    CONFIGURATIONS[VERSIONING](program, bucket).delete()
    assert s3.get_bucket_versioning(Bucket=bucket.id)["Status"] == "Suspended"


def test_a_bucket_that_never_had_versions_stays_so_and_one_that_had_cant_go_back(
    program: Program, bucket: Resource, s3: Any
) -> None:
    """Without it "Disabled" would suspend a bucket, or claim to take versioning off one."""
    versioning = program.up(VERSIONING, bucket=bucket.id, versioningConfiguration={"status": "Disabled"})
    assert versioning.refresh() == frozenset()
    versioning.delete()
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket.id)
    versioning.update(versioningConfiguration={"status": "Enabled"})
    with pytest.raises(ProviderError, match="MalformedXML"):
        versioning.update(versioningConfiguration={"status": "Disabled"})


def test_encryption_changes_in_place_and_its_loss_is_found(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a bucket that must have one key is encrypted with another, and no refresh says so."""
    encryption = CONFIGURATIONS[ENCRYPTION](program, bucket)
    encryption.update(
        rules=[
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "alias/packages"},
                "bucketKeyEnabled": True,
            }
        ]
    )
    found = s3.get_bucket_encryption(Bucket=bucket.id)["ServerSideEncryptionConfiguration"]["Rules"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/packages"}
    assert found == [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    assert encryption.refresh() == frozenset()
    # S3 goes back to its own keys: a bucket without encryption doesn't exist.
    s3.delete_bucket_encryption(Bucket=bucket.id)
    assert encryption.refresh() == {"rules"}
    encryption.repair()
    assert encryption.refresh() == frozenset()


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ([], "rules"),
        (_encryption() + _encryption(), "rules"),
        (_encryption("rot13"), "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm"),
        (
            [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256", "kmsMasterKeyId": "alias/a"}}],
            "rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId",
        ),
    ],
)
def test_an_encryption_that_s3_refuses_is_refused_before_anything_is_made(
    rules: Any, named: str, program: Program
) -> None:
    """Without it the preview is clean and the update fails half way."""
    assert named in program.refusals(ENCRYPTION, bucket="packages", rules=rules)


def test_a_public_access_block_says_no_to_what_it_leaves_out(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a block that names two settings would leave the others as S3 had them, not as Terraform has them."""
    block = CONFIGURATIONS[PUBLIC_ACCESS_BLOCK](program, bucket)

    def settings() -> set[str]:
        found = s3.get_public_access_block(Bucket=bucket.id)["PublicAccessBlockConfiguration"]
        return {name for name, on in found.items() if on}

    assert settings() == {"BlockPublicAcls", "RestrictPublicBuckets"}
    block.update(blockPublicAcls=False, blockPublicPolicy=True, ignorePublicAcls=True)
    assert settings() == {"BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    s3.put_public_access_block(Bucket=bucket.id, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    assert block.refresh() == {"ignorePublicAcls", "restrictPublicBuckets"}
    block.repair()
    assert settings() == {"BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}


def test_a_public_access_block_can_outlive_its_resource(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it `skipDestroy` opens the bucket that it was meant to keep closed."""
    CONFIGURATIONS[PUBLIC_ACCESS_BLOCK](program, bucket).update(skipDestroy=True).delete()
    assert s3.get_public_access_block(Bucket=bucket.id)["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True


def test_ownership_changes_in_place_and_is_watched(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it ACLs come back to a bucket that was to have none."""
    ownership = CONFIGURATIONS[OWNERSHIP](program, bucket)
    ownership.update(rule={"objectOwnership": "BucketOwnerPreferred"})
    found = s3.get_bucket_ownership_controls(Bucket=bucket.id)["OwnershipControls"]["Rules"]
    assert found == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    by_hand = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket.id, OwnershipControls=by_hand)
    assert ownership.refresh() == {"rule"}
    assert "rule.objectOwnership" in program.refusals(OWNERSHIP, bucket="a", rule={"objectOwnership": "Nobody"})


def test_a_bucket_policy_is_watched_and_equal_in_any_notation(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a policy edited by hand lets the world read, and no refresh says so."""
    policy = CONFIGURATIONS[POLICY](program, bucket)
    assert policy.plan(policy=json.dumps(json.loads(_policy(bucket.id)), indent=2)).changed == {}
    s3.put_bucket_policy(Bucket=bucket.id, Policy=_policy(bucket.id).replace("GetObject", "PutObject"))
    assert policy.refresh() == {"policy"}
    policy.repair()
    assert "s3:GetObject" in s3.get_bucket_policy(Bucket=bucket.id)["Policy"]
    policy.update(policy=_policy(bucket.id).replace("Tls", "OnlyTls"))
    assert "OnlyTls" in s3.get_bucket_policy(Bucket=bucket.id)["Policy"]


def test_a_bucket_policy_that_s3_refuses_fails_with_its_words(program: Program, bucket: Resource) -> None:
    """Without it a policy with a slip in it seems to protect the bucket."""
    with pytest.raises(ProviderError, match="PutBucketPolicy was refused: MalformedPolicy"):
        program.up(POLICY, bucket=bucket.id, policy=_policy(bucket.id, effect="Maybe"))
    assert "policy" in program.refusals(POLICY, bucket="packages", policy="{")


def test_replication_is_sent_whole_and_read_back_whole(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a detail that is lost on the way, or on the way back, plans an update for ever."""
    rule = _rule(
        filter={"and": {"prefix": "releases/", "tags": {"keep": "yes", "copy": "all"}}},
        destination={
            "bucket": "arn:aws:s3:::packages-eu-central-1",
            "account": "123456789012",
            "storageClass": "STANDARD_IA",
            "accessControlTranslation": {"owner": "Destination"},
            "encryptionConfiguration": {"replicaKmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/1"},
            "metrics": {"status": "Enabled", "eventThreshold": {"minutes": 15}},
            "replicationTime": {"status": "Enabled", "time": {"minutes": 15}},
        },
        sourceSelectionCriteria={
            "replicaModifications": {"status": "Enabled"},
            "sseKmsEncryptedObjects": {"status": "Enabled"},
        },
    )
    replication = _replicated(program, bucket, rules=[rule])
    found = s3.get_bucket_replication(Bucket=bucket.id)["ReplicationConfiguration"]
    assert found["Role"] == ROLE
    assert found["Rules"][0]["Filter"]["And"]["Prefix"] == "releases/"
    assert found["Rules"][0]["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"].endswith("key/1")
    assert replication.state["rules"] == [rule]
    assert replication.refresh() == frozenset()


def test_a_replication_rule_switched_off_by_hand_is_found_and_repaired(
    program: Program, bucket: Resource, s3: Any
) -> None:
    """Without it a site loses its copy of the releases for weeks, until the day on which it is needed."""
    replication = _replicated(program, bucket)
    live = s3.get_bucket_replication(Bucket=bucket.id)["ReplicationConfiguration"]
    live["Rules"][0]["Status"] = "Disabled"
    s3.put_bucket_replication(Bucket=bucket.id, ReplicationConfiguration=live)
    assert replication.refresh() == {"rules"}
    replication.repair()
    assert s3.get_bucket_replication(Bucket=bucket.id)["ReplicationConfiguration"]["Rules"][0]["Status"] == "Enabled"
    replication.update(rules=[_rule(priority=2, filter={})])
    rule = s3.get_bucket_replication(Bucket=bucket.id)["ReplicationConfiguration"]["Rules"][0]
    assert (rule["Priority"], rule["Filter"].get("Prefix", "")) == (2, "")
    assert replication.refresh() == frozenset()


def test_a_replication_rule_without_a_filter_is_of_the_old_schema(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a rule with a prefix of its own is sent with elements that S3 refuses there."""
    old = {key: value for key, value in _rule().items() if key in ("status", "destination")} | {"prefix": "releases/"}
    replication = _replicated(program, bucket, rules=[old])
    rule = s3.get_bucket_replication(Bucket=bucket.id)["ReplicationConfiguration"]["Rules"][0]
    assert rule["Prefix"] == "releases/"
    assert not rule.keys() & {"Priority", "Filter"}
    assert replication.refresh() == frozenset()


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ([], "rules"),
        ([_rule(deleteMarkerReplication=None)], "rules[0].deleteMarkerReplication"),
        ([_rule(filter=None)], "rules[0].priority"),
        ([_rule(status="on")], "rules[0].status"),
        ([_rule(existingObjectReplication={"status": "Enabled"})], "rules[0].existingObjectReplication"),
        ([_rule(destination={})], "rules[0].destination.bucket"),
        ([_rule(), {"status": "Enabled", "destination": {"bucket": "arn:aws:s3:::b"}}], "rules"),
    ],
)
def test_a_replication_that_s3_refuses_is_refused_before_anything_is_made(
    rules: Any, named: str, program: Program
) -> None:
    """Without it the preview is clean and the update fails half way."""
    assert named in program.refusals(REPLICATION, bucket="packages", role=ROLE, rules=rules)


def test_replication_needs_versioning_and_says_so(program: Program, bucket: Resource) -> None:
    """Without it a replication that never copies anything looks made."""
    with pytest.raises(ProviderError, match="PutBucketReplication was refused: InvalidRequest: Versioning"):
        program.up(REPLICATION, bucket=bucket.id, role=ROLE, rules=[_rule()])


def test_a_lifecycle_is_sent_whole_and_read_back_whole(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a detail that is lost on the way, or on the way back, plans an update for ever."""
    rules: list[dict[str, Any]] = [
        {"id": "all", "status": "Disabled", "filter": {}, "expiration": {"expiredObjectDeleteMarker": True}},
        {
            "id": "old",
            "status": "Enabled",
            "filter": {"and": {"prefix": "a", "tags": {"k": "v"}, "objectSizeGreaterThan": 5}},
            "expiration": {"days": 90},
            "transitions": [
                {"days": 60, "storageClass": "GLACIER"},
                {"days": 30, "storageClass": "STANDARD_IA"},
            ],
            "noncurrentVersionExpiration": {"noncurrentDays": 30, "newerNoncurrentVersions": 3},
            "noncurrentVersionTransitions": [
                {"noncurrentDays": 30, "storageClass": "STANDARD_IA", "newerNoncurrentVersions": 2}
            ],
        },
        {
            "id": "dated",
            "status": "Enabled",
            "filter": {"tag": {"key": "k", "value": "v"}},
            "expiration": {"date": "2030-01-01T00:00:00Z"},
        },
        {"id": "small", "status": "Enabled", "filter": {"objectSizeLessThan": 9}, "expiration": {"days": 1}},
    ]
    lifecycle = program.up(LIFECYCLE, bucket=bucket.id, rules=rules)
    assert lifecycle.refresh() == frozenset()
    assert lifecycle.state["transitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    found = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket.id)["Rules"]}
    assert found["old"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3}
    assert found["old"]["Filter"]["And"]["ObjectSizeGreaterThan"] == 5
    assert found["dated"]["Expiration"]["Date"].isoformat() == "2030-01-01T00:00:00+00:00"


def test_a_lifecycle_changed_by_hand_is_found_and_repaired(program: Program, bucket: Resource, s3: Any) -> None:
    """Without it a rule that someone added deletes releases, and no refresh says so."""
    lifecycle = CONFIGURATIONS[LIFECYCLE](program, bucket)
    rule = {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket.id, LifecycleConfiguration={"Rules": [rule]})
    assert lifecycle.refresh() == {"rules"}
    lifecycle.repair()
    assert lifecycle.refresh() == frozenset()
    lifecycle.update(transitionDefaultMinimumObjectSize="varies_by_storage_class")
    found = s3.get_bucket_lifecycle_configuration(Bucket=bucket.id)
    assert found["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"status": "Enabled"}, "rules[0].id"),
        ({"id": "a", "status": "on"}, "rules[0].status"),
        ({"id": "a", "status": "Enabled", "transitions": [{"days": 1, "storageClass": "TAPE"}]}, "storageClass"),
        ({"id": "a", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": 0}}, "noncurrentDays"),
    ],
)
def test_a_lifecycle_that_s3_refuses_is_refused_before_anything_is_made(
    rule: dict[str, Any], named: str, program: Program
) -> None:
    """Without it the preview is clean and the update fails half way."""
    refused = program.refusals(LIFECYCLE, bucket="packages", rules=[rule])
    assert any(path.endswith(named) for path in refused)


@pytest.mark.parametrize("wanted", [PARTITIONED, {"simplePrefix": {}}, None])
def test_access_logs_come_back_in_the_form_that_was_asked_for(
    wanted: dict[str, Any] | None, program: Program, bucket: Resource, s3: Any
) -> None:
    """Without it every preview shows a change of it."""
    made = _logged(program, bucket, targetObjectKeyFormat=wanted)
    assert made.refresh() == frozenset()
    assert not made.plan().changed
    found = s3.get_bucket_logging(Bucket=bucket.id)["LoggingEnabled"]
    assert (found["TargetBucket"], found["TargetPrefix"]) == ("logs", "packages/")


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"targetObjectKeyFormat": {**PARTITIONED, "simplePrefix": {}}}, "exactly one"),
        ({"targetObjectKeyFormat": {}}, "exactly one"),
        ({"targetObjectKeyFormat": {"partitionedPrefix": {"partitionDateSource": "Now"}}}, "EventTime"),
        ({"targetGrants": [{"permission": "READ"}]}, "targetGrants"),
        ({"expectedBucketOwner": "123456789012"}, "expectedBucketOwner"),
    ],
)
def test_access_logs_that_s3_or_the_sandbox_would_refuse_are_refused_in_a_preview(
    wanted: dict[str, Any], named: str, program: Program
) -> None:
    """Without it an update stops half way."""
    whole = {"bucket": "packages", "targetBucket": "logs", "targetPrefix": "packages/", **wanted}
    assert named in str(program.refusals(LOGGING, **whole))
