"""The API lets in whom S3 lets in: policies with conditions, Block Public Access, ACLs, and anonymous machines."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.api.server import ApiServer

BUCKET = "packages-eu-west-1"
ARN = f"arn:aws:s3:::{BUCKET}"
EVERYTHING = [ARN, f"{ARN}/*"]
VPCE = "vpce-0123456789abcdef0"


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
    client.put_object(Bucket=BUCKET, Key="repodata/repomd.xml", Body=b"<repomd/>")
    return client


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


TLS_ONLY: dict[str, Any] = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": EVERYTHING,
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
MACHINES_READ: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": f"{ARN}/*",
    "Condition": {"StringEquals": {"aws:SourceVpce": VPCE}},
}
ALL_READ: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}


def anonymous(
    endpoint_url: str, path: str = f"/{BUCKET}/repodata/repomd.xml", method: str = "GET", **headers: str
) -> tuple[int, bytes]:
    """Status and body of an unsigned request, as curl or dnf on a machine makes it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(endpoint_url + path, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.change("s3-access-decided")
def test_a_tls_only_policy_stops_plain_http_and_nothing_else(api: ApiServer, aws: Any, s3: Any) -> None:
    """Every package bucket has this policy; with its condition ignored it locks everybody out."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(TLS_ONLY))
    assert s3.get_object(Bucket=BUCKET, Key="repodata/repomd.xml")["Body"].read() == b"<repomd/>"
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="new")
    plain = aws("s3", endpoint_url=api.plain_endpoint_url)
    for call in (
        lambda: plain.get_object(Bucket=BUCKET, Key="repodata/repomd.xml"),
        lambda: plain.put_object(Bucket=BUCKET, Key="new", Body=b"x"),
        lambda: plain.list_objects_v2(Bucket=BUCKET),
    ):
        code, message = refused(call)
        assert code == "AccessDenied"
        assert "explicit deny in a resource-based policy" in message


@pytest.mark.change("s3-access-decided")
def test_machines_read_without_credentials_through_their_endpoint_only(api: ApiServer, s3: Any) -> None:
    """Instances have no credentials for the repository: the VPC endpoint is what lets them in, and nobody else."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(TLS_ONLY, MACHINES_READ))
    assert anonymous(api.endpoint_url, X_Lockstep_Source_Vpce=VPCE) == (200, b"<repomd/>")
    assert anonymous(api.endpoint_url, X_Lockstep_Source_Vpce="vpce-other")[0] == 403
    assert anonymous(api.endpoint_url)[0] == 403
    assert anonymous(api.plain_endpoint_url, X_Lockstep_Source_Vpce=VPCE)[0] == 403
    assert anonymous(api.endpoint_url, method="PUT", X_Lockstep_Source_Vpce=VPCE)[0] == 403
    assert anonymous(api.endpoint_url, path=f"/{BUCKET}?list-type=2", X_Lockstep_Source_Vpce=VPCE)[0] == 403


@pytest.mark.change("s3-access-decided")
def test_an_address_counts_only_outside_of_endpoints(api: ApiServer, s3: Any) -> None:
    """A request through a VPC endpoint has no `aws:SourceIp`: a policy on addresses shuts the machines out."""
    here = {**ALL_READ, "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(here))
    assert anonymous(api.endpoint_url)[0] == 200
    assert anonymous(api.endpoint_url, X_Lockstep_Source_Vpce=VPCE)[0] == 403


@pytest.mark.change("s3-access-decided")
def test_machines_reach_the_bucket_by_its_host_name(api: ApiServer, s3: Any) -> None:
    """User data names `BUCKET.s3.REGION.amazonaws.com`, as on AWS; only the machine's resolver differs."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(MACHINES_READ))
    host = f"{BUCKET}.s3.eu-west-1.amazonaws.com"
    headers = {"Host": host, "X_Lockstep_Source_Vpce": VPCE}
    assert anonymous(api.endpoint_url, path="/repodata/repomd.xml", **headers) == (200, b"<repomd/>")
    elsewhere = {"Host": f"{BUCKET}.s3.eu-central-1.amazonaws.com", "X_Lockstep_Source_Vpce": VPCE}
    assert anonymous(api.endpoint_url, path="/repodata/repomd.xml", **elsewhere)[0] == 301


@pytest.mark.change("s3-access-decided")
def test_a_missing_object_is_forbidden_to_whoever_may_not_list(api: ApiServer, s3: Any) -> None:
    """dnf on a machine sees 403, not 404, for a package that isn't there: alerts and retries must expect that."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(MACHINES_READ))
    missing = f"/{BUCKET}/missing.rpm"
    assert anonymous(api.endpoint_url, path=missing, X_Lockstep_Source_Vpce=VPCE)[0] == 403
    listing = {**MACHINES_READ, "Action": "s3:ListBucket", "Resource": ARN}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(MACHINES_READ, listing))
    assert anonymous(api.endpoint_url, path=missing, X_Lockstep_Source_Vpce=VPCE)[0] == 404
    assert refused(lambda: s3.get_object(Bucket=BUCKET, Key="missing.rpm"))[0] == "NoSuchKey"


@pytest.mark.change("s3-access-decided")
def test_without_a_policy_anonymous_callers_get_nothing(api: ApiServer, s3: Any) -> None:
    """moto lets anybody list and write."""
    assert anonymous(api.endpoint_url)[0] == 403
    assert anonymous(api.endpoint_url, path=f"/{BUCKET}")[0] == 403
    assert anonymous(api.endpoint_url, path="/")[0] == 403
    assert anonymous(api.endpoint_url, path="/another-bucket", method="PUT")[0] == 403
    assert anonymous(api.endpoint_url, method="DELETE")[0] == 403
    assert anonymous(api.endpoint_url, path=f"/{BUCKET}?policy", method="DELETE")[0] == 403
    assert anonymous(api.endpoint_url, path="/no-such-bucket/key")[0] == 404
    assert s3.head_object(Bucket=BUCKET, Key="repodata/repomd.xml")["ContentLength"] == 9


@pytest.mark.change("s3-access-decided")
def test_a_presigned_url_is_a_signed_request(api: ApiServer, s3: Any) -> None:
    """A link made by the operator works in a browser that has no credentials."""
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "repodata/repomd.xml"})
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"<repomd/>"


@pytest.mark.change("s3-access-decided")
def test_restrict_public_buckets_stops_strangers_of_a_public_policy(api: ApiServer, s3: Any) -> None:
    """Turning Block Public Access on again must take effect on a policy that is already there."""
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(ALL_READ))
    assert anonymous(api.endpoint_url)[0] == 200
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert anonymous(api.endpoint_url)[0] == 403
    assert s3.get_object(Bucket=BUCKET, Key="repodata/repomd.xml")["Body"].read() == b"<repomd/>"


@pytest.mark.change("s3-access-decided")
def test_a_copy_needs_to_read_its_source(s3: Any) -> None:
    """A deny on the source is otherwise walked around by copying."""
    private = {**ALL_READ, "Effect": "Deny", "Resource": f"{ARN}/repodata/*"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(private))
    source = {"Bucket": BUCKET, "Key": "repodata/repomd.xml"}
    code, message = refused(lambda: s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source))
    assert code == "AccessDenied"
    assert "s3:GetObject" in message


@pytest.mark.change("s3-access-decided")
def test_batch_deletion_is_denied_key_by_key(s3: Any) -> None:
    """An immutable prefix stays, the rest of the batch goes, and the answer is 200."""
    s3.put_object(Bucket=BUCKET, Key="scratch", Body=b"x")
    immutable = {**ALL_READ, "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": f"{ARN}/repodata/*"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(immutable))
    keys = [{"Key": "scratch"}, {"Key": "repodata/repomd.xml"}]
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["scratch"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("repodata/repomd.xml", "AccessDenied")]
    assert s3.head_object(Bucket=BUCKET, Key="repodata/repomd.xml")["ContentLength"] == 9


@pytest.mark.change("s3-access-decided")
def test_deleting_a_version_needs_its_own_permission(s3: Any) -> None:
    """`Deny s3:DeleteObjectVersion` is what keeps releases: a delete marker hides, a deleted version is gone."""
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=BUCKET, Key="release", Body=b"x")["VersionId"]
    keep = {**ALL_READ, "Effect": "Deny", "Action": "s3:DeleteObjectVersion"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(keep))
    assert refused(lambda: s3.delete_object(Bucket=BUCKET, Key="release", VersionId=version))[0] == "AccessDenied"
    assert s3.delete_object(Bucket=BUCKET, Key="release")["DeleteMarker"] is True


@pytest.mark.change("s3-access-decided")
def test_conditions_see_the_requests_own_headers_and_parameters(s3: Any) -> None:
    """`If-None-Match` can be demanded by policy, and listing be limited to a prefix."""
    once = {
        **ALL_READ,
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Condition": {"Null": {"s3:if-none-match": "true"}},
    }
    listed = {
        **ALL_READ,
        "Effect": "Deny",
        "Action": "s3:ListBucket",
        "Resource": ARN,
        "Condition": {"StringNotLike": {"s3:prefix": "releases/*"}},
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(once, listed))
    s3.put_object(Bucket=BUCKET, Key="releases/1", Body=b"x", IfNoneMatch="*")
    assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="releases/1", Body=b"y"))[0] == "AccessDenied"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="releases/")["KeyCount"] == 1
    assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET))[0] == "AccessDenied"


# As the S3 User Guide demands conditional writes ("Enforce conditional writes on Amazon S3 buckets").
ONCE = {
    **ALL_READ,
    "Effect": "Deny",
    "Action": "s3:PutObject",
    "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
}


def in_parts(s3: Any, key: str, **conditions: Any) -> None:
    """Upload an object in one part."""
    where = {"Bucket": BUCKET, "Key": key}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    part = {"PartNumber": 1, "ETag": s3.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]}
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]}, **conditions)


def by_form(s3: Any, key: str) -> int:
    """Upload an object as a browser's form does, with a header that such an upload doesn't heed; returns the status."""
    form = s3.generate_presigned_post(BUCKET, key)
    boundary = "boundary"
    fields = {**form["fields"], "file": "posted"}
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "If-None-Match": "*"}
    request = urllib.request.Request(form["url"], f"{body}--{boundary}--\r\n".encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.change("s3-access-decided")
def test_conditional_writes_are_enforced_for_what_creates_an_object(s3: Any) -> None:
    """The calls that begin an upload and send its parts take no condition; all that make an object need one."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(ONCE))
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"once", IfNoneMatch="*")
    in_parts(s3, "b", IfNoneMatch="*")
    source = {"Bucket": BUCKET, "Key": "a"}
    for attempt in (
        lambda: s3.put_object(Bucket=BUCKET, Key="a", Body=b"twice"),
        lambda: s3.put_object(Bucket=BUCKET, Key="a", Body=b"twice", IfMatch='"0"'),
        lambda: s3.copy_object(Bucket=BUCKET, Key="b", CopySource=source),
        lambda: in_parts(s3, "a"),
    ):
        code, text = refused(attempt)
        assert (code, "explicit deny" in text) == ("AccessDenied", True)
    assert refused(lambda: s3.put_object(Bucket=BUCKET, Key="a", Body=b"2", IfNoneMatch="*"))[0] == "PreconditionFailed"
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"once"


@pytest.mark.change("s3-access-decided")
def test_a_form_cannot_meet_a_condition_that_uploads_by_form_do_not_heed(s3: Any) -> None:
    """It would overwrite what it claims not to."""
    assert by_form(s3, "form") in (200, 204)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(ONCE))
    assert by_form(s3, "form") == 403


@pytest.mark.change("s3-access-decided")
def test_deleting_many_versions_needs_the_permission_for_versions(s3: Any) -> None:
    """A deny of one of both would be walked around by the call for many."""
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")["VersionId"]
    s3.put_bucket_policy(
        Bucket=BUCKET, Policy=policy({**ALL_READ, "Effect": "Deny", "Action": "s3:DeleteObjectVersion"})
    )
    one = {"Objects": [{"Key": "k", "VersionId": version}]}
    assert s3.delete_objects(Bucket=BUCKET, Delete=one)["Errors"][0]["Code"] == "AccessDenied"
    assert "Errors" not in s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy({**ALL_READ, "Effect": "Deny", "Action": "s3:DeleteObject"}))
    assert "Errors" not in s3.delete_objects(Bucket=BUCKET, Delete=one)


@pytest.mark.change("s3-access-decided")
def test_the_root_of_the_account_can_repair_a_policy_that_locks_it_out(s3: Any) -> None:
    """S3 keeps three calls open to the owner; everything else stays denied."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy({**TLS_ONLY, "Condition": {}}))
    assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET))[0] == "AccessDenied"
    assert "Deny" in s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
    s3.delete_bucket_policy(Bucket=BUCKET)
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


@pytest.mark.change("s3-access-decided")
def test_a_roles_session_is_the_principal_that_policies_name(api: ApiServer, aws: Any, s3: Any) -> None:
    """A deny of everybody but the deployment role must spare that role, and nobody else."""
    trust = policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    role = aws("iam", "us-east-1").create_role(RoleName="deploy", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    session = aws("sts").assume_role(RoleArn=role, RoleSessionName="s1")["Credentials"]
    deny = {**TLS_ONLY, "Condition": {"ArnNotEquals": {"aws:PrincipalArn": role}}}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(deny))
    as_role = boto3.client(
        "s3",
        region_name="eu-west-1",
        endpoint_url=api.endpoint_url,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    assert as_role.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET))[0] == "AccessDenied"


@pytest.mark.change("s3-access-decided")
def test_the_expected_owner_must_be_the_owner(s3: Any) -> None:
    """The guard against writing into a stranger's bucket of the same name."""
    owner = "123456789012"
    assert s3.list_objects_v2(Bucket=BUCKET, ExpectedBucketOwner=owner)["KeyCount"] == 1
    assert refused(lambda: s3.list_objects_v2(Bucket=BUCKET, ExpectedBucketOwner="999999999999"))[0] == "AccessDenied"


@pytest.mark.change("s3-policy-validated")
def test_a_policy_that_s3_refuses_is_refused_and_the_old_one_stays(s3: Any) -> None:
    """moto stores any text, so a misspelled policy is found on AWS first."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(TLS_ONLY))
    foreign = {**ALL_READ, "Resource": "arn:aws:s3:::another-bucket/*"}
    assert refused(lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(foreign))) == (
        "MalformedPolicy",
        "Policy has invalid resource",
    )
    assert refused(lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy="nonsense"))[0] == "MalformedPolicy"
    unknown = {**TLS_ONLY, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}
    code, message = refused(lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(unknown)))
    assert code == "MalformedPolicy"
    assert "aws:PrincipalOrgID" in message
    assert json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"] == [TLS_ONLY]


@pytest.mark.change("s3-policy-validated")
def test_a_policy_can_only_name_roles_that_exist(aws: Any, s3: Any) -> None:
    """S3 asks IAM at once; a program that makes the policy before the role fails on AWS only."""
    named = {**ALL_READ, "Principal": {"AWS": "arn:aws:iam::123456789012:role/reader"}}
    assert refused(lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(named))) == (
        "MalformedPolicy",
        "Invalid principal in policy",
    )
    trust = policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    aws("iam", "us-east-1").create_role(RoleName="reader", AssumeRolePolicyDocument=trust)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(named))


@pytest.mark.change("s3-policy-validated")
def test_block_public_policy_refuses_public_policies_only(s3: Any) -> None:
    """The machines' policy is limited to a VPC endpoint, so it isn't public; one without the condition is."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(MACHINES_READ))
    assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is False
    code, message = refused(lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(ALL_READ)))
    assert code == "AccessDenied"
    assert "BlockPublicPolicy" in message
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(ALL_READ))
    assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is True


@pytest.mark.change("s3-policy-validated")
def test_a_deleted_policy_decides_nothing(api: ApiServer, s3: Any) -> None:
    """What was parsed must go with what was stored."""
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(MACHINES_READ))
    s3.delete_bucket_policy(Bucket=BUCKET)
    assert anonymous(api.endpoint_url, X_Lockstep_Source_Vpce=VPCE)[0] == 403
    assert refused(lambda: s3.get_bucket_policy(Bucket=BUCKET))[0] == "NoSuchBucketPolicy"
    assert refused(lambda: s3.get_bucket_policy_status(Bucket=BUCKET))[0] == "NoSuchBucketPolicy"


@pytest.mark.change("s3-acl-refused")
def test_acls_are_refused_unless_ownership_allows_them(s3: Any) -> None:
    """A program that still sets ACLs works in moto and fails on every new bucket of AWS."""
    for call in (
        lambda: s3.put_bucket_acl(Bucket=BUCKET, ACL="private"),
        lambda: s3.put_object_acl(Bucket=BUCKET, Key="repodata/repomd.xml", ACL="public-read"),
        lambda: s3.put_object(Bucket=BUCKET, Key="new", Body=b"", ACL="public-read"),
        lambda: s3.put_object(Bucket=BUCKET, Key="new", Body=b"", GrantRead='uri="x"'),
        lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="new", ACL="private"),
    ):
        assert refused(call) == ("AccessControlListNotSupported", "The bucket does not allow ACLs")
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"", ACL="bucket-owner-full-control")


@pytest.mark.change("s3-acl-refused")
def test_public_acls_are_blocked_and_ignored_by_block_public_access(api: ApiServer, s3: Any) -> None:
    """Each of the two settings has its own effect: one on new ACLs, one on those that are there."""
    ownership = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=ownership)
    public = {"Bucket": BUCKET, "Key": "open", "Body": b"hello", "ACL": "public-read"}
    assert refused(lambda: s3.put_object(**public))[0] == "AccessDenied"
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    s3.put_object(**public)
    assert anonymous(api.endpoint_url, path=f"/{BUCKET}/open")[0] == 403
    s3.delete_public_access_block(Bucket=BUCKET)
    assert anonymous(api.endpoint_url, path=f"/{BUCKET}/open") == (200, b"hello")
    assert anonymous(api.endpoint_url)[0] == 403
