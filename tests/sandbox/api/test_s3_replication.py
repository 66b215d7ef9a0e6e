"""Replication configurations are refused as on S3, come back as they were put, and choose rules as S3 does."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

SOURCE = "packages-eu-west-1"
TARGET = "packages-eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/replication"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
ENABLED, DISABLED = {"Status": "Enabled"}, {"Status": "Disabled"}


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def bucket(aws: Any, name: str, region: str, status: str | None = "Enabled") -> None:
    client = aws("s3", region)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    if status:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


@pytest.fixture
def s3(aws: Any) -> Any:
    bucket(aws, SOURCE, "eu-west-1")
    bucket(aws, TARGET, "eu-central-1")
    return aws("s3")


def rule(**changes: Any) -> dict[str, Any]:
    plain = {
        "ID": "releases",
        "Priority": 1,
        "Filter": {"Prefix": "releases/"},
        "Status": "Enabled",
        "Destination": {"Bucket": f"arn:aws:s3:::{TARGET}"},
        "DeleteMarkerReplication": DISABLED,
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def legacy(**changes: Any) -> dict[str, Any]:
    return rule(**{"Filter": None, "Priority": None, "DeleteMarkerReplication": None, "Prefix": "logs/", **changes})


def to(**more: Any) -> dict[str, Any]:
    return {"Bucket": f"arn:aws:s3:::{TARGET}", **more}


def put(s3: Any, *rules: dict[str, Any], role: str = ROLE) -> Any:
    return s3.put_bucket_replication(Bucket=SOURCE, ReplicationConfiguration={"Role": role, "Rules": list(rules)})


KMS = {
    "SourceSelectionCriteria": {"SseKmsEncryptedObjects": ENABLED},
    "Destination": to(EncryptionConfiguration={"ReplicaKmsKeyID": KEY}),
}
RULES = [
    rule(),
    rule(ID="all", Priority=2, Filter={}, DeleteMarkerReplication=ENABLED, Status="Disabled"),
    rule(ID="tag", Priority=3, Filter={"Tag": {"Key": "a", "Value": "b"}}),
    rule(ID="and", Priority=4, Filter={"And": {"Prefix": "p", "Tags": [{"Key": "a", "Value": "b"}]}}),
    rule(ID="kms", Priority=5, **KMS),
    rule(ID="class", Priority=6, Destination=to(StorageClass="STANDARD_IA")),
    rule(
        ID="owner",
        Priority=7,
        Destination=to(Account="123456789012", AccessControlTranslation={"Owner": "Destination"}),
    ),
    rule(ID="back", Priority=8, SourceSelectionCriteria={"ReplicaModifications": ENABLED}),
    rule(ID="measured", Priority=10, Destination=to(Metrics={"Status": "Enabled"})),
    rule(
        ID="timed",
        Priority=9,
        Destination=to(
            ReplicationTime={"Status": "Enabled", "Time": {"Minutes": 15}},
            Metrics={"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
        ),
    ),
]


@pytest.mark.change("s3-replication-configuration")
def test_the_configuration_comes_back_as_it_was_put(s3: Any) -> None:
    """What moto loses (Filter, DeleteMarkerReplication, SourceSelectionCriteria) is a difference in every preview."""
    put(s3, *RULES)
    found = s3.get_bucket_replication(Bucket=SOURCE)["ReplicationConfiguration"]
    assert found == {"Role": ROLE, "Rules": RULES}


@pytest.mark.change("s3-replication-configuration")
def test_the_first_schema_comes_back_as_it_was_put(s3: Any) -> None:
    """Rules with a Prefix of their own have no priority, and must not get one."""
    put(s3, legacy(), legacy(ID="other", Prefix="other/"))
    found = s3.get_bucket_replication(Bucket=SOURCE)["ReplicationConfiguration"]
    assert found["Rules"] == [legacy(), legacy(ID="other", Prefix="other/")]


@pytest.mark.change("s3-replication-configuration")
def test_a_rule_without_an_id_gets_one(s3: Any) -> None:
    """The ID is what a rule is found by."""
    put(s3, rule(ID=None), rule(ID=None, Priority=2))
    rules = s3.get_bucket_replication(Bucket=SOURCE)["ReplicationConfiguration"]["Rules"]
    assert len({found["ID"] for found in rules}) == 2


@pytest.mark.change("s3-replication-configuration")
def test_a_deleted_configuration_is_gone(s3: Any) -> None:
    """A refresh must see that replication is off."""
    put(s3, rule())
    s3.delete_bucket_replication(Bucket=SOURCE)
    code, _ = refused(lambda: s3.get_bucket_replication(Bucket=SOURCE))
    assert code == "ReplicationConfigurationNotFoundError"


@pytest.mark.change("s3-replication-configuration")
def test_both_buckets_need_versioning(aws: Any) -> None:
    """The order of resources in the program: versioning first, then replication."""
    bucket(aws, SOURCE, "eu-west-1", status=None)
    s3 = aws("s3")
    assert refused(lambda: put(s3, rule())) == (
        "InvalidRequest",
        "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
    )
    s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration=ENABLED)
    assert refused(lambda: put(s3, rule())) == ("InvalidRequest", "Destination bucket must exist.")
    bucket(aws, TARGET, "eu-central-1", status="Suspended")
    assert refused(lambda: put(s3, rule())) == ("InvalidRequest", "Destination bucket must have versioning enabled.")
    aws("s3", "eu-central-1").put_bucket_versioning(Bucket=TARGET, VersioningConfiguration=ENABLED)
    put(s3, rule())


@pytest.mark.change("s3-versioning-state")
def test_versioning_of_a_replicated_bucket_cannot_be_suspended(s3: Any) -> None:
    """Teardown in the wrong order fails here as on AWS, with 409."""
    put(s3, rule())
    code, message = refused(
        lambda: s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Suspended"})
    )
    assert code == "InvalidBucketState"
    assert "replication configuration" in message
    s3.delete_bucket_replication(Bucket=SOURCE)
    s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.change("s3-replication-configuration")
@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"Priority": None}, "InvalidRequest", "Priority must be specified for this version"),
        (
            {"DeleteMarkerReplication": None},
            "InvalidRequest",
            "DeleteMarkerReplication must be specified for this version",
        ),
        ({"Priority": -1}, "InvalidRequest", "Priority must be between 0 and"),
        ({"ID": "x" * 256}, "InvalidArgument", "255"),
        ({"Status": "On"}, "MalformedXML", ""),
        ({"Filter": None}, "MalformedXML", ""),
        ({"Prefix": "a"}, "MalformedXML", ""),
        ({"Filter": {"Prefix": "a", "Tag": {"Key": "a", "Value": "b"}}}, "MalformedXML", ""),
        ({"Filter": {"And": {"Prefix": "a"}}}, "MalformedXML", ""),
        ({"ExistingObjectReplication": ENABLED}, "MalformedXML", ""),
        (
            {"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "DeleteMarkerReplication": ENABLED},
            "InvalidRequest",
            "Delete marker replication is not supported if any Tag filter is specified.",
        ),
        ({"SourceSelectionCriteria": {}}, "InvalidRequest", "SourceSelectionCriteria cannot be empty."),
        (
            {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": ENABLED}},
            "InvalidRequest",
            "ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present.",
        ),
        (
            {"Destination": KMS["Destination"]},
            "InvalidRequest",
            "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present.",
        ),
        (
            {**KMS, "Destination": to(EncryptionConfiguration={"ReplicaKmsKeyID": "11111111"})},
            "InvalidArgument",
            "ReplicaKmsKeyID",
        ),
        ({"Destination": {"Bucket": TARGET}}, "InvalidArgument", "Invalid bucket ARN"),
        ({"Destination": {"Bucket": f"arn:aws:s3:::{SOURCE}"}}, "InvalidRequest", "cannot be the same"),
        ({"Destination": to(StorageClass="FAST")}, "MalformedXML", ""),
        ({"Destination": to(AccessControlTranslation={"Owner": "Destination"})}, "InvalidRequest", "Account"),
        (
            {"Destination": to(Metrics={"Status": "Enabled", "EventThreshold": {"Minutes": 5}})},
            "InvalidArgument",
            "Invalid time minute value",
        ),
        (
            {
                "Destination": to(
                    ReplicationTime={"Status": "Enabled", "Time": {"Minutes": 15}},
                    Metrics={"Status": "Disabled", "EventThreshold": {"Minutes": 15}},
                )
            },
            "InvalidRequest",
            "both ReplicationTime and Metrics",
        ),
        (
            {
                "Destination": to(
                    ReplicationTime={"Status": "Enabled", "Time": {"Minutes": 15}}, Metrics={"Status": "Enabled"}
                )
            },
            "InvalidRequest",
            "both ReplicationTime and Metrics",
        ),
        (
            {"Destination": to(ReplicationTime={"Status": "Enabled", "Time": {"Minutes": 15}})},
            "InvalidRequest",
            "both ReplicationTime and Metrics",
        ),
        (
            {
                "Destination": to(
                    ReplicationTime={"Status": "Enabled", "Time": {"Minutes": 5}},
                    Metrics={"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
                )
            },
            "InvalidArgument",
            "Invalid time minute value",
        ),
    ],
)
def test_rules_that_s3_refuses(s3: Any, changes: dict[str, Any], code: str, said: str) -> None:
    """moto accepts all of these; on AWS `up` fails half way through."""
    found, message = refused(lambda: put(s3, rule(**changes)))
    assert found == code
    assert said in message


@pytest.mark.change("s3-replication-configuration")
@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        ([rule(), rule(Priority=2)], "InvalidArgument", "Rule Id must be unique"),
        ([rule(), rule(ID="other")], "InvalidRequest", "Found duplicate priority 1."),
        (
            [legacy(), legacy(ID="other", Prefix="logs/a")],
            "InvalidRequest",
            "Found overlapping prefixes 'logs/' and 'logs/a'",
        ),
        ([legacy(Priority=1)], "InvalidRequest", "Priority cannot be used for this version"),
        ([legacy(DeleteMarkerReplication=DISABLED)], "InvalidRequest", "DeleteMarkerReplication cannot be used"),
    ],
)
def test_rules_must_go_together(s3: Any, rules: list[dict[str, Any]], code: str, said: str) -> None:
    """Which of two rules wins must never be a question."""
    found, message = refused(lambda: put(s3, *rules))
    assert found == code
    assert said in message


@pytest.mark.change("s3-replication-configuration")
@pytest.mark.parametrize("role", ["replication", "arn:aws:iam::123456789012:user/ann", "arn:aws:iam::1:role/x"])
def test_the_role_is_the_arn_of_a_role(s3: Any, role: str) -> None:
    """A name instead of an ARN is the usual mistake."""
    assert refused(lambda: put(s3, rule(), role=role))[0] == "InvalidArgument"


@pytest.mark.change("s3-replication-configuration")
def test_a_key_of_another_region_is_accepted(s3: Any) -> None:
    """S3 finds out only when it encrypts: the objects fail, not the call."""
    wrong = to(EncryptionConfiguration={"ReplicaKmsKeyID": KEY.replace("eu-central-1", "eu-west-1")})
    put(s3, rule(**{**KMS, "Destination": wrong}))
