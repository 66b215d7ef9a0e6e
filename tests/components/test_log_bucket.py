"""The log bucket of a site."""

import json
from typing import Any

import pytest

from components.log_bucket import BalancerLogs, LogBucket, LogBucketArgs, Sender, ServerAccessLogs
from sandbox.api.s3_policy import parse_policy
from tests.components.recording import ACCOUNT, Recording, run

SOURCE = "arn:aws:s3:::packages"
PACKAGES = ServerAccessLogs(prefix="packages", source_arn=SOURCE)
BALANCER = BalancerLogs(prefix="balancer")
NAME = "site-logs-bucket-1234567"
ARN = f"arn:aws:s3:::{NAME}"


def logs(*senders: Sender, protect: bool = True) -> Recording:
    """A log bucket of these senders."""

    def program() -> None:
        args = LogBucketArgs(account_id=ACCOUNT, senders=senders or [PACKAGES, BALANCER], days=30, protect=protect)
        LogBucket("site-logs", args)

    return run(program)


def statements(*senders: Sender) -> dict[str, dict[str, Any]]:
    """The statements of the policy by their names; S3 must take it, for the bucket that it names."""
    text = logs(*senders).one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"]
    parse_policy(text.encode(), NAME, lambda arn: True)
    return {statement["Sid"]: statement for statement in json.loads(text)["Statement"]}


def test_s3_may_log_one_bucket_of_one_account_below_its_prefix() -> None:
    """Without the conditions any account could have S3 write into the bucket."""
    statement = statements()["ServerAccessLogsPackages"]
    assert statement["Effect"] == "Allow"
    assert statement["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert statement["Action"] == "s3:PutObject"
    assert statement["Resource"] == f"{ARN}/packages/*"
    assert statement["Condition"] == {
        "ArnLike": {"aws:SourceArn": SOURCE},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }


def test_balancers_may_log_below_their_prefix_and_the_account() -> None:
    """Elastic Load Balancing refuses a bucket that it can't write a test object to, in just this place."""
    statement = statements()["BalancerLogsBalancer"]
    assert statement["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert (statement["Effect"], statement["Action"]) == ("Allow", "s3:PutObject")
    assert statement["Resource"] == f"{ARN}/balancer/AWSLogs/{ACCOUNT}/*"


def test_only_senders_that_are_asked_for_may_write() -> None:
    """A right that nobody needs is one to be misused."""
    assert set(statements(PACKAGES)) == {"RefusePlainHttp", "ServerAccessLogsPackages"}
    assert set(statements(BALANCER)) == {"RefusePlainHttp", "BalancerLogsBalancer"}


def test_plain_http_is_refused() -> None:
    """Logs tell who read what from where."""
    statement = statements()["RefusePlainHttp"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [ARN, f"{ARN}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_it_is_private_and_encrypted_with_s3s_own_keys_and_has_no_acls() -> None:
    """Log delivery doesn't write under a customer's KMS key, and fails silently."""
    recording = logs()
    block = recording.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert block[switch] is True
    encryption = recording.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    ).inputs
    assert encryption["rules"] == [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]
    ownership = recording.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_logs_expire() -> None:
    """They are personal data, and are paid for."""
    (rule,) = logs().one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert (rule["status"], rule["filter"], rule["expiration"]) == ("Enabled", {"prefix": ""}, {"days": 30})


def test_its_name_waits_for_its_policy() -> None:
    """S3 refuses to log into a bucket that it may not write to, and would do so on every first update."""
    recording = logs()
    policy = recording.one("aws:s3/bucketPolicy:BucketPolicy")
    block = recording.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert block.urn in policy.dependencies
    (component,) = [each for each in recording.resources if each.type == "lockstep:log_bucket:LogBucket"]
    assert recording.outputs[component.urn] == {"bucketName": NAME}


@pytest.mark.parametrize("protect", [True, False])
def test_protection_keeps_the_bucket_and_its_logs(protect: bool) -> None:
    """A destroy by mistake would take them; without protection a teardown would fail on them."""
    made = logs(protect=protect).one("aws:s3/bucket:Bucket")
    assert made.protect is protect
    assert made.inputs["forceDestroy"] is not protect


@pytest.mark.parametrize(
    ("senders", "days", "said"),
    [
        ([], 30, "nobody writes"),
        ([PACKAGES], 0, "1 day or more"),
        ([BalancerLogs(prefix="")], 30, "must not be empty"),
        ([BalancerLogs(prefix="logs/")], 30, "begin or end with /"),
        ([BalancerLogs(prefix="AWSLogs")], 30, "hold AWSLogs"),
        ([PACKAGES, BalancerLogs(prefix="packages/balancer")], 30, "inside of another"),
        ([PACKAGES, BalancerLogs(prefix="packages")], 30, "inside of another"),
    ],
)
def test_what_aws_would_refuse_later_is_refused(senders: list[Sender], days: int, said: str) -> None:
    """Half way through an update, or by logs that never arrive."""
    with pytest.raises(ValueError, match=said):
        LogBucketArgs(account_id=ACCOUNT, senders=senders, days=days, protect=True)
