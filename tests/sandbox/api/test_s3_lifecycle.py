"""Lifecycle configurations are refused as on S3, and come back as they were put."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET = "packages"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def rule(**changes: Any) -> dict[str, Any]:
    plain = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "releases/"}, "Expiration": {"Days": 90}}
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def put(s3: Any, *rules: dict[str, Any], **options: Any) -> Any:
    return s3.put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration={"Rules": list(rules)}, **options
    )


RULES = [
    rule(),
    rule(ID="disabled", Status="Disabled", Filter={}),
    rule(ID="tag", Filter={"Tag": {"Key": "keep", "Value": "no"}}),
    rule(ID="size", Filter={"ObjectSizeGreaterThan": 1024}),
    rule(ID="and", Filter={"And": {"Prefix": "a", "Tags": [{"Key": "b", "Value": "c"}, {"Key": "d", "Value": ""}]}}),
    rule(ID="legacy", Filter=None, Prefix="logs/"),
    rule(ID="marker", Expiration={"ExpiredObjectDeleteMarker": True}),
    rule(
        ID="versions", Expiration=None, NoncurrentVersionExpiration={"NoncurrentDays": 30, "NewerNoncurrentVersions": 3}
    ),
    rule(ID="uploads", Expiration=None, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
    rule(
        ID="classes",
        Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}],
        NoncurrentVersionTransitions=[
            {"NoncurrentDays": 30, "NewerNoncurrentVersions": 2, "StorageClass": "ONEZONE_IA"},
        ],
    ),
]


@pytest.mark.change("s3-lifecycle-configuration")
def test_rules_come_back_as_they_were_put(s3: Any) -> None:
    """What moto loses, NewerNoncurrentVersions for one, would be a difference in every preview."""
    put(s3, *RULES)
    answer = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)
    assert answer["Rules"] == RULES
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"


@pytest.mark.change("s3-lifecycle-configuration")
def test_the_minimum_size_of_transitions_is_kept(s3: Any) -> None:
    """The provider reads it back, and would set it again in every `up`."""
    answer = put(s3, rule(), TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    found = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)
    assert found["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    code, _ = refused(lambda: put(s3, rule(), TransitionDefaultMinimumObjectSize="128K"))
    assert code == "InvalidArgument"


@pytest.mark.change("s3-lifecycle-configuration")
def test_a_rule_without_an_id_gets_one(s3: Any) -> None:
    """Two nameless rules are two rules."""
    put(s3, rule(ID=None), rule(ID=None))
    ids = [found["ID"] for found in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]]
    assert len(set(ids)) == 2


@pytest.mark.change("s3-lifecycle-configuration")
def test_a_deleted_configuration_is_gone(s3: Any) -> None:
    """What was kept beside moto's rules must go with them."""
    put(s3, rule())
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    code, _ = refused(lambda: s3.get_bucket_lifecycle_configuration(Bucket=BUCKET))
    assert code == "NoSuchLifecycleConfiguration"


@pytest.mark.change("s3-lifecycle-configuration")
@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"Status": "On"}, "MalformedXML", ""),
        ({"ID": "x" * 256}, "InvalidArgument", "255"),
        ({"Filter": None}, "MalformedXML", ""),
        ({"Prefix": "a"}, "InvalidRequest", "Base level prefix"),
        ({"Filter": {"Prefix": "a", "ObjectSizeLessThan": 5}}, "MalformedXML", ""),
        ({"Filter": {"And": {"Prefix": "a"}}}, "MalformedXML", ""),
        ({"Expiration": None}, "InvalidRequest", "At least one action"),
        ({"Expiration": {"Days": 0}}, "InvalidArgument", "'Days' for Expiration action must be a positive integer"),
        ({"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}, "MalformedXML", ""),
        ({"Expiration": {"Date": "2030-01-01T10:00:00Z"}}, "InvalidArgument", "midnight"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}, "InvalidArgument", "NoncurrentDays"),
        ({"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 2}}, "MalformedXML", ""),
        (
            {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}},
            "InvalidArgument",
            "NewerNoncurrentVersions",
        ),
        ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}, "InvalidArgument", "DaysAfterInitiation"),
        (
            {
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                "Filter": {"Tag": {"Key": "a", "Value": "b"}},
            },
            "InvalidRequest",
            "Tags",
        ),
        ({"Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]}, "InvalidArgument", "30"),
        ({"Transitions": [{"Days": 1, "StorageClass": "STANDARD"}]}, "MalformedXML", ""),
        ({"Transitions": [{"Days": 90, "StorageClass": "GLACIER"}]}, "InvalidArgument", "must be greater than"),
        (
            {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}, {"Days": 2, "StorageClass": "GLACIER"}]},
            "InvalidRequest",
            "StorageClass",
        ),
    ],
)
def test_rules_that_s3_refuses(s3: Any, changes: dict[str, Any], code: str, said: str) -> None:
    """A typo in days is found in the sandbox, not in the first deployment."""
    found, message = refused(lambda: put(s3, rule(**changes)))
    assert found == code
    assert said in message


@pytest.mark.change("s3-lifecycle-configuration")
def test_ids_are_unique_and_there_is_a_rule(s3: Any) -> None:
    """The ID is how a rule is found again."""
    assert refused(lambda: put(s3, rule(), rule()))[0] == "InvalidArgument"
    assert refused(lambda: put(s3))[0] == "MalformedXML"
