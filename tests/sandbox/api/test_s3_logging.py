"""Server access logging is taken, refused and given back as S3 does."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

SOURCE, LOGS = "packages-eu-west-1", "logs-eu-west-1"
ACCOUNT = "123456789012"
PARTITIONED = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}

pytestmark = pytest.mark.change("s3-logging")


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def bucket(s3: Any, name: str, region: str = "eu-west-1") -> None:
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})


def admit(s3: Any, name: str = LOGS, **changes: Any) -> None:
    """Let S3 log the source into a bucket, as the User Guide has it."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{name}/packages/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{SOURCE}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
        **changes,
    }
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws("s3")
    bucket(client, SOURCE)
    bucket(client, LOGS)
    admit(client)
    return client


def put(s3: Any, **changes: Any) -> None:
    enabled = {"TargetBucket": LOGS, "TargetPrefix": "packages/", **changes}
    s3.put_bucket_logging(Bucket=SOURCE, BucketLoggingStatus={"LoggingEnabled": enabled})


@pytest.mark.parametrize("wanted", [{}, {"TargetObjectKeyFormat": PARTITIONED}])
def test_it_comes_back_as_it_was_put_and_can_be_turned_off(s3: Any, wanted: dict[str, Any]) -> None:
    """What is lost on the way is a change in every preview."""
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=SOURCE)
    put(s3, **wanted)
    found = s3.get_bucket_logging(Bucket=SOURCE)["LoggingEnabled"]
    assert found == {"TargetBucket": LOGS, "TargetPrefix": "packages/", **wanted}
    s3.put_bucket_logging(Bucket=SOURCE, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=SOURCE)


def test_a_target_that_is_missing_or_elsewhere_is_refused(aws: Any, s3: Any) -> None:
    """Both have to be in one region."""
    code, text = refused(lambda: put(s3, TargetBucket="nowhere"))
    assert (code, "does not exist" in text) == ("InvalidTargetBucketForLogging", True)
    there = aws("s3", "eu-central-1")
    bucket(there, "logs-eu-central-1", "eu-central-1")
    admit(there, "logs-eu-central-1")
    code, _ = refused(lambda: put(s3, TargetBucket="logs-eu-central-1"))
    assert code == "CrossLocationLoggingProhibitted"
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=SOURCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"Resource": f"arn:aws:s3:::{LOGS}/other/*"},
        {"Action": "s3:GetObject"},
        {"Principal": {"Service": "delivery.logs.amazonaws.com"}},
        {"Effect": "Deny"},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::another"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "210987654321"}}},
    ],
)
def test_a_target_that_the_logging_service_may_not_write_to_is_refused(s3: Any, changes: dict[str, Any]) -> None:
    """Logs would never arrive, and nobody would be told."""
    put(s3)
    admit(s3, **changes)
    code, text = refused(lambda: put(s3))
    assert (code, "bucket policy" in text) == ("InvalidTargetBucketForLogging", True)


def test_a_target_without_a_policy_is_refused(s3: Any) -> None:
    """With ACLs off, as they are on a new bucket, the policy is the only way."""
    s3.delete_bucket_policy(Bucket=LOGS)
    assert refused(lambda: put(s3))[0] == "InvalidTargetBucketForLogging"


def test_a_bucket_may_log_into_itself(s3: Any) -> None:
    """S3 lets it, though each log is logged again: "any bucket that you own, including the same bucket"."""
    admit(s3, SOURCE)
    put(s3, TargetBucket=SOURCE)
    assert s3.get_bucket_logging(Bucket=SOURCE)["LoggingEnabled"]["TargetBucket"] == SOURCE


def test_a_log_bucket_of_everyones_policy_is_one_too(s3: Any) -> None:
    """A statement about every principal is about services."""
    admit(s3, Principal="*")
    put(s3)


def test_what_the_sandbox_lacks_is_refused_by_name(s3: Any) -> None:
    """It would be taken for tried out."""
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": "0" * 64}, "Permission": "READ"}
    code, text = refused(lambda: put(s3, TargetGrants=[grant]))
    assert (code, "TargetGrants" in text) == ("NotImplemented", True)


@pytest.mark.parametrize(
    "wanted",
    [
        {"PartitionedPrefix": {"PartitionDateSource": "Now"}},
        {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}, "SimplePrefix": {}},
        {"PartitionedPrefix": {}},
    ],
)
def test_a_format_that_is_none_is_refused(s3: Any, wanted: dict[str, Any]) -> None:
    """Logs would be where nobody looks."""
    assert refused(lambda: put(s3, TargetObjectKeyFormat=wanted))[0] == "MalformedXML"


def test_requests_write_no_made_up_records(s3: Any) -> None:
    """A log that tells of requests with an address of 0.0.0.0 is worse than none yet."""
    put(s3)
    s3.put_object(Bucket=SOURCE, Key="packages/a", Body=b"a")
    assert "Contents" not in s3.list_objects_v2(Bucket=LOGS)
