"""The package bucket of a site."""

import json
from typing import Any

import pytest

from components.package_bucket import AccessLogs, PackageBucket, PackageBucketArgs
from tests.components.recording import Recording, run

ARN = "arn:aws:s3:::packages"
LOGGING = "aws:s3/bucketLogging:BucketLogging"


def bucket(protect: bool = True) -> Recording:
    """A package bucket that instances read through endpoint `vpce-1`."""

    def program() -> None:
        PackageBucket("site", PackageBucketArgs(bucket_name="packages", s3_endpoint_id="vpce-1", protect=protect))

    return run(program)


def statements(protect: bool = True) -> dict[str, dict[str, Any]]:
    """The statements of the bucket's policy by their names."""
    policy = json.loads(bucket(protect).one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_it_is_versioned() -> None:
    """S3 would refuse replication, and what is overwritten would be gone."""
    versioning = bucket().one("aws:s3/bucketVersioning:BucketVersioning")
    assert versioning.inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_it_is_encrypted_with_s3s_own_keys() -> None:
    """S3 refuses anonymous reads of objects under a KMS key: no instance could install anything."""
    encryption = bucket().one("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    (rule,) = encryption.inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


def test_all_public_access_is_blocked() -> None:
    """One wrong ACL or policy would publish the releases."""
    block = bucket().one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert {name: block.inputs[name] for name in switches} == dict.fromkeys(switches, True)


def test_the_owner_of_the_bucket_owns_every_object() -> None:
    """An ACL on one object could open or close it regardless of the policy."""
    ownership = bucket().one("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
    assert ownership.inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_plain_http_is_refused_for_everything() -> None:
    """Packages could be exchanged on their way to an instance."""
    statement = statements()["RefusePlainHttp"]
    assert statement["Effect"] == "Deny"
    assert (statement["Principal"], statement["Action"]) == ("*", "s3:*")
    assert statement["Resource"] == [ARN, f"{ARN}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_instances_read_packages_without_credentials_through_their_endpoint_only() -> None:
    """dnf has no S3 credentials: instances couldn't install anything; without the condition anyone could read."""
    allowing = [statement for statement in statements().values() if statement["Effect"] == "Allow"]
    (statement,) = allowing
    assert statement["Action"] == "s3:GetObject"
    assert statement["Resource"] == [f"{ARN}/releases/*", f"{ARN}/packages/*"]
    # The form that Block Public Access takes for "not public": a fixed value of aws:SourceVpce.
    assert statement["Condition"] == {"StringEquals": {"aws:SourceVpce": "vpce-1"}}


@pytest.mark.parametrize("protect", [True, False])
def test_only_what_is_not_there_can_be_written_where_releases_are(protect: bool) -> None:
    """Anybody with s3:PutObject could put another package under a name that instances install; leases are renewed."""
    statement = statements(protect)["WriteOnlyWhatIsNotThere"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:PutObject")
    assert statement["Resource"] == [f"{ARN}/releases/*", f"{ARN}/packages/*"]
    # As the S3 User Guide has it; without the second condition no large file could be uploaded in parts.
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_what_is_published_cannot_be_deleted_while_the_site_is_protected() -> None:
    """A deletion makes room for another object of the same name, and a version that is deleted never comes back."""
    statement = statements()["KeepWhatIsPublished"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Action"] == ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    assert statement["Resource"] == [f"{ARN}/releases/*", f"{ARN}/packages/*"]
    # A teardown empties the bucket.
    assert "KeepWhatIsPublished" not in statements(protect=False)


def test_access_settings_are_written_one_after_the_other() -> None:
    """S3 answers 409 OperationAborted to two changes of a bucket's access at once, now and then."""
    recording = bucket()
    block = recording.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    ownership = recording.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
    policy = recording.one("aws:s3/bucketPolicy:BucketPolicy")
    assert ownership.urn in block.dependencies
    assert block.urn in policy.dependencies


@pytest.mark.parametrize("protect", [True, False])
def test_protection_keeps_the_bucket_and_what_is_in_it(protect: bool) -> None:
    """A destroy by mistake would take all releases; or, without protection, a teardown would fail on them."""
    made = bucket(protect).one("aws:s3/bucket:Bucket")
    assert made.protect is protect
    assert made.inputs["forceDestroy"] is not protect


def test_its_name_is_given() -> None:
    """Publishing and the endpoint's policy couldn't know it without Pulumi's state."""
    assert bucket().one("aws:s3/bucket:Bucket").inputs["bucket"] == "packages"


def test_versions_that_nobody_uses_go_in_the_end() -> None:
    """Storage would grow for ever, or an object deleted by mistake couldn't be had back for a while."""
    (rule,) = bucket().one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert rule["status"] == "Enabled"
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 90}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert "expiration" not in rule


def test_versions_go_when_config_says() -> None:
    """Keeping them is paid for."""

    def program() -> None:
        args = PackageBucketArgs(bucket_name="packages", s3_endpoint_id="vpce-1", protect=True, noncurrent_days=7)
        PackageBucket("site", args)

    (rule,) = run(program).one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 7}
    assert rule.keys() == {"id", "status", "filter", "noncurrentVersionExpiration", "abortIncompleteMultipartUpload"}


def test_requests_are_logged_where_it_is_asked_for() -> None:
    """Who read, and who was refused, can't be found out afterwards; and the log costs, so it isn't on by itself."""
    assert not bucket().has(LOGGING)

    def program() -> None:
        logs = AccessLogs(bucket_name="logs", target_prefix="packages/")
        args = PackageBucketArgs(bucket_name="packages", s3_endpoint_id="vpce-1", protect=True, access_logs=logs)
        PackageBucket("site", args)

    logging = run(program).one(LOGGING).inputs
    assert (logging["bucket"], logging["targetBucket"], logging["targetPrefix"]) == ("packages", "logs", "packages/")
    assert logging["targetObjectKeyFormat"] == {"partitionedPrefix": {"partitionDateSource": "EventTime"}}


def test_days_below_one_are_refused() -> None:
    """S3 would refuse the lifecycle half way through an update."""
    with pytest.raises(ValueError, match="1 day or more"):
        PackageBucketArgs(bucket_name="b", s3_endpoint_id="vpce-1", protect=True, noncurrent_days=0)
