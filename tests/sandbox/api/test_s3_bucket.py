"""Buckets have S3's names, places and defaults, and are reached in their own region."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api.s3_bucket import is_valid_bucket_name


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def created(client: Any, name: str, **options: Any) -> Any:
    region = client.meta.region_name
    if region != "us-east-1":
        options.setdefault("CreateBucketConfiguration", {"LocationConstraint": region})
    return client.create_bucket(Bucket=name, **options)


@pytest.mark.parametrize(
    "name",
    ["abc", "a" * 63, "packages-eu-west-1", "www.example.com", "1.2.3.4.5", "0-0"],
)
def test_names_that_s3_takes(name: str) -> None:
    """Too strict a rule would refuse the program's own buckets."""
    assert is_valid_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Packages",
        "under_score",
        "-first",
        "last-",
        ".first",
        "two..dots",
        "192.168.5.4",
        "xn--bucket",
        "sthree-bucket",
        "amzn-s3-demo-bucket",
        "bucket-s3alias",
        "bucket--ol-s3",
        "bucket.mrap",
        "bucket--x-s3",
        "bucket--table-s3",
    ],
)
def test_names_that_s3_refuses(name: str) -> None:
    """A name made from a site's name and a region can break each of these rules."""
    assert not is_valid_bucket_name(name)


@pytest.mark.change("s3-bucket-creation-checked")
def test_a_bad_name_creates_nothing(aws: Any) -> None:
    """The error must come from the create call, as on AWS."""
    client = aws("s3")
    assert refused(lambda: created(client, "under_score"))[0] == "InvalidBucketName"
    assert client.list_buckets()["Buckets"] == []


@pytest.mark.change("s3-bucket-creation-checked")
@pytest.mark.parametrize(
    ("region", "constraint", "code"),
    [
        ("eu-west-1", None, "IllegalLocationConstraintException"),
        ("eu-west-1", "eu-central-1", "IllegalLocationConstraintException"),
        ("us-east-1", "eu-west-1", "IllegalLocationConstraintException"),
        ("us-east-1", "us-east-1", "InvalidLocationConstraint"),
        ("eu-west-1", "us-east-1", "InvalidLocationConstraint"),
        ("eu-west-1", "mars-north-1", "InvalidLocationConstraint"),
        ("eu-west-1", "EU", "NotImplemented"),
    ],
)
def test_a_bucket_is_made_in_the_region_of_the_endpoint(
    aws: Any, region: str, constraint: str | None, code: str
) -> None:
    """The wrong provider on a bucket is found here, not in the first deployment."""
    client = aws("s3", region)
    configuration = {"CreateBucketConfiguration": {"LocationConstraint": constraint}} if constraint else {}
    assert refused(lambda: client.create_bucket(Bucket="packages", **configuration))[0] == code
    assert client.list_buckets()["Buckets"] == []


@pytest.mark.change("s3-bucket-creation-checked")
def test_a_taken_name_is_taken_in_every_region(aws: Any) -> None:
    """Two sites with one bucket name: the second `up` must fail as on AWS."""
    created(aws("s3", "eu-west-1"), "packages")
    for region in ("eu-west-1", "eu-central-1"):
        client = aws("s3", region)
        code, _ = refused(lambda client=client: created(client, "packages"))  # type: ignore[misc]
        assert code == "BucketAlreadyOwnedByYou"


@pytest.mark.change("s3-bucket-creation-checked")
def test_us_east_1_answers_200_to_its_own_bucket_again(aws: Any) -> None:
    """The one region where creating twice passes, which a retry relies on; the bucket keeps what it has."""
    client = aws("s3", "us-east-1")
    created(client, "packages")
    client.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
    created(client, "packages")
    assert client.get_bucket_versioning(Bucket="packages")["Status"] == "Enabled"
    assert refused(lambda: created(aws("s3", "eu-west-1"), "packages"))[0] == "BucketAlreadyOwnedByYou"


@pytest.mark.change("s3-bucket-creation-checked")
def test_acls_at_creation_go_with_ownership(aws: Any) -> None:
    """S3 refuses at once what could never take effect."""
    client = aws("s3")
    code, _ = refused(lambda: created(client, "packages", ACL="public-read"))
    assert code == "InvalidBucketAclWithObjectOwnership"
    options = {"ACL": "public-read", "ObjectOwnership": "ObjectWriter"}
    assert refused(lambda: created(client, "packages", **options))[0] == "InvalidBucketAclWithBlockPublicAccessError"
    created(client, "packages", ObjectOwnership="ObjectWriter")
    controls = client.get_bucket_ownership_controls(Bucket="packages")["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "ObjectWriter"}]


@pytest.mark.change("s3-bucket-defaults")
def test_a_new_bucket_is_encrypted_private_and_without_acls(aws: Any) -> None:
    """A policy check that demands these must pass, or fail, on the same buckets as on AWS."""
    client = aws("s3")
    created(client, "packages")
    rules = client.get_bucket_encryption(Bucket="packages")["ServerSideEncryptionConfiguration"]["Rules"]
    assert [rule["ApplyServerSideEncryptionByDefault"] for rule in rules] == [{"SSEAlgorithm": "AES256"}]
    block = client.get_public_access_block(Bucket="packages")["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    controls = client.get_bucket_ownership_controls(Bucket="packages")["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    client.put_object(Bucket="packages", Key="k", Body=b"x")
    assert client.head_object(Bucket="packages", Key="k")["ServerSideEncryption"] == "AES256"


@pytest.mark.change("s3-bucket-defaults")
def test_deleting_the_encryption_goes_back_to_sse_s3(aws: Any) -> None:
    """There is no bucket without encryption any more; a refresh after deletion sees AES256."""
    client = aws("s3")
    created(client, "packages")
    kms = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
    client.put_bucket_encryption(Bucket="packages", ServerSideEncryptionConfiguration=kms)
    client.delete_bucket_encryption(Bucket="packages")
    rules = client.get_bucket_encryption(Bucket="packages")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


@pytest.mark.change("s3-region-redirect")
def test_a_request_signed_for_another_region_is_redirected(aws: Any) -> None:
    """A client with the wrong region works only by following the redirect; one that can't follow must see it fail."""
    created(aws("s3", "eu-west-1"), "packages")
    client = aws("s3", "eu-central-1")
    answers: list[tuple[int, str | None]] = []
    client.meta.events.register(
        "response-received.s3",
        lambda parsed_response, **_: answers.append(
            (
                parsed_response["ResponseMetadata"]["HTTPStatusCode"],
                parsed_response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region"),
            )
        ),
    )
    client.list_objects_v2(Bucket="packages")
    assert [status for status, _ in answers] == [301, 200]
    assert answers[0][1] == "eu-west-1"


@pytest.mark.change("s3-region-redirect")
def test_boto3_follows_the_redirect_for_every_kind_of_call(aws: Any) -> None:
    """The CLI and the program may hold a client of another region; HEAD has no body to read the region from."""
    home = aws("s3", "eu-west-1")
    created(home, "packages")
    home.put_object(Bucket="packages", Key="k", Body=b"x")
    calls: dict[str, dict[str, Any]] = {
        "head_bucket": {},
        "list_objects_v2": {},
        "head_object": {"Key": "k"},
        "get_object": {"Key": "k"},
        "put_object": {"Key": "l", "Body": b"y"},
        "get_bucket_versioning": {},
    }
    for name, options in calls.items():
        answer = getattr(aws("s3", "eu-central-1"), name)(Bucket="packages", **options)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert aws("s3", "eu-central-1").head_bucket(Bucket="packages")["BucketRegion"] == "eu-west-1"


@pytest.mark.change("s3-region-redirect")
def test_us_east_1_says_where_any_bucket_is(aws: Any) -> None:
    """Tools ask us-east-1 for the location before they know it; null stands for us-east-1 itself."""
    created(aws("s3", "eu-west-1"), "packages")
    created(aws("s3", "us-east-1"), "first-region")
    client = aws("s3", "us-east-1")
    assert client.get_bucket_location(Bucket="packages")["LocationConstraint"] == "eu-west-1"
    assert client.get_bucket_location(Bucket="first-region")["LocationConstraint"] is None


def test_a_missing_bucket_is_missing_in_every_region(aws: Any) -> None:
    """No redirect to nowhere."""
    assert refused(lambda: aws("s3").head_bucket(Bucket="nothing-here"))[0] == "404"
    assert refused(lambda: aws("s3").list_objects_v2(Bucket="nothing-here"))[0] == "NoSuchBucket"


@pytest.mark.change("s3-unknown-operation-refused")
def test_an_unknown_sub_resource_is_refused_by_name_and_creates_nothing(aws: Any) -> None:
    """moto answers 200 in us-east-1, having created a bucket."""
    client = aws("s3", "us-east-1")
    metrics = {"Id": "all"}
    code, message = refused(
        lambda: client.put_bucket_metrics_configuration(Bucket="packages", Id="all", MetricsConfiguration=metrics)
    )
    assert code == "NotImplemented"
    assert "PutBucketMetricsConfiguration" in message
    assert client.list_buckets()["Buckets"] == []
    created(client, "packages")
    client.put_object(Bucket="packages", Key="k", Body=b"x")
    code, message = refused(lambda: client.get_object_retention(Bucket="packages", Key="k"))
    assert (code, "GetObjectRetention" in message) == ("NotImplemented", True)


@pytest.mark.change("s3-document-checked")
def test_a_document_of_another_operation_is_malformed(aws: Any) -> None:
    """moto fails with HTTP 500, which clients retry."""
    client = aws("s3")
    created(client, "packages")

    def send(body: bytes) -> str:
        def replace_body(request: Any, **_: Any) -> None:
            request.data = body
            for header in [
                name for name in request.headers if name.lower().startswith(("x-amz-checksum", "x-amz-sdk"))
            ]:
                del request.headers[header]

        client.meta.events.register_first("before-sign.s3.PutBucketTagging", replace_body)
        code, _ = refused(lambda: client.put_bucket_tagging(Bucket="packages", Tagging={"TagSet": []}))
        client.meta.events.unregister("before-sign.s3.PutBucketTagging", replace_body)
        return code

    assert send(b"<Tagging>") == "MalformedXML"
    assert send(b"<VersioningConfiguration/>") == "MalformedXML"
    assert send(b"") == "MissingRequestBodyError"


@pytest.mark.change("s3-bucket-deletion")
def test_a_bucket_with_versions_or_markers_is_not_empty(aws: Any) -> None:
    """Teardown must empty a versioned bucket of all it has, and the message says so."""
    client = aws("s3")
    created(client, "packages")
    client.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket="packages", Key="k", Body=b"x")["VersionId"]
    marker = client.delete_object(Bucket="packages", Key="k")["VersionId"]
    code, message = refused(lambda: client.delete_bucket(Bucket="packages"))
    assert code == "BucketNotEmpty"
    assert "You must delete all versions in the bucket." in message
    client.delete_object(Bucket="packages", Key="k", VersionId=version)
    assert refused(lambda: client.delete_bucket(Bucket="packages"))[0] == "BucketNotEmpty"
    client.delete_object(Bucket="packages", Key="k", VersionId=marker)
    client.delete_bucket(Bucket="packages")
    assert client.list_buckets()["Buckets"] == []


@pytest.mark.change("s3-bucket-deletion")
def test_deleting_a_bucket_frees_its_name_and_everything_it_had(aws: Any) -> None:
    """The next site with that name must not inherit tags, policy or region."""
    client = aws("s3", "eu-west-1")
    created(client, "packages")
    client.put_bucket_tagging(Bucket="packages", Tagging={"TagSet": [{"Key": "site", "Value": "primary"}]})
    client.delete_bucket(Bucket="packages")
    other = aws("s3", "eu-central-1")
    created(other, "packages")
    assert refused(lambda: other.get_bucket_tagging(Bucket="packages"))[0] == "NoSuchTagSet"
    assert other.head_bucket(Bucket="packages")["BucketRegion"] == "eu-central-1"
