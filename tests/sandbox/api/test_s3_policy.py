"""Bucket policies are accepted, decided and called public as S3 does it."""

import json
from typing import Any

import pytest

from sandbox.api.s3_policy import Decision, Policy, PolicyError, Principal, parse_policy

BUCKET = "arn:aws:s3:::site-bucket"
ROOT = Principal(arn="arn:aws:iam::123456789012:root", account="123456789012")
USER = Principal(arn="arn:aws:iam::123456789012:user/ann", account="123456789012")
SESSION = Principal(
    arn="arn:aws:sts::123456789012:assumed-role/deploy/s1",
    account="123456789012",
    role_arn="arn:aws:iam::123456789012:role/deploy",
)
NOBODY = Principal()


def statement(**changes: Any) -> dict[str, Any]:
    plain = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def parsed(*statements: Any, **document: Any) -> Policy:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements), **document})
    return parse_policy(text.encode(), "site-bucket", lambda arn: "missing" not in arn)


def decided(policy: Policy, principal: Principal = NOBODY, action: str = "s3:GetObject", **context: str) -> Decision:
    found = {f"aws:{key.lower()}": (value,) for key, value in context.items()}
    return policy.decide(principal, action, f"{BUCKET}/key", found)


def test_a_deny_wins_over_every_allow() -> None:
    """The order of statements must not decide who gets in."""
    policy = parsed(statement(), statement(Effect="Deny", Action="s3:*"), statement())
    assert decided(policy) is Decision.DENY


def test_without_an_applying_statement_a_policy_says_nothing() -> None:
    """Neutral and denied differ: the account's own callers are let in on neutral."""
    assert decided(parsed(statement()), action="s3:PutObject") is Decision.NEUTRAL


def test_conditions_decide_whether_a_statement_applies() -> None:
    """The usual `deny plain HTTP` statement locks everybody out when its condition is ignored."""
    policy = parsed(statement(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    assert decided(policy, SecureTransport="true") is Decision.NEUTRAL
    assert decided(policy, SecureTransport="false") is Decision.DENY


@pytest.mark.parametrize(
    ("named", "matching"),
    [
        ({"AWS": "*"}, {"root", "user", "session", "nobody"}),
        ({"AWS": "123456789012"}, {"root", "user", "session"}),
        ({"AWS": "arn:aws:iam::123456789012:root"}, {"root", "user", "session"}),
        ({"AWS": "arn:aws:iam::123456789012:user/ann"}, {"user"}),
        ({"AWS": "arn:aws:iam::123456789012:role/deploy"}, {"session"}),
        ({"AWS": ["arn:aws:sts::123456789012:assumed-role/deploy/s1"]}, {"session"}),
        ({"Service": "logging.s3.amazonaws.com"}, set()),
    ],
)
def test_principals_match_who_they_name(named: Any, matching: set[str]) -> None:
    """A statement for the deployment role must not apply to the world."""
    policy = parsed(statement(Principal=named))
    callers = {"root": ROOT, "user": USER, "session": SESSION, "nobody": NOBODY}
    assert {name for name, caller in callers.items() if decided(policy, caller) is Decision.ALLOW} == matching


def test_inverse_elements_match_the_rest() -> None:
    """`Deny` to all but one role is written with NotPrincipal, NotAction and NotResource."""
    everyone_else = {"AWS": "arn:aws:iam::123456789012:user/ann"}
    policy = parsed(statement(Effect="Deny", Principal=None, NotPrincipal=everyone_else))
    assert decided(policy, USER) is Decision.NEUTRAL
    assert decided(policy, NOBODY) is Decision.DENY
    policy = parsed(statement(Action=None, NotAction="s3:Put*", Resource=None, NotResource=f"{BUCKET}/other"))
    assert decided(policy) is Decision.ALLOW
    assert decided(policy, action="s3:PutObject") is Decision.NEUTRAL


def test_actions_match_in_any_case_and_resources_in_their_own() -> None:
    """IAM reads actions without case; keys that differ in case are different objects."""
    policy = parsed(statement(Action="S3:getobject", Resource=f"{BUCKET}/Key"))
    assert decided(policy) is Decision.NEUTRAL
    assert policy.decide(NOBODY, "s3:GetObject", f"{BUCKET}/Key", {}) is Decision.ALLOW


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        (b"[]", "Policies must be valid JSON and the first byte must be '{'"),
        (b" {}", "Policies must be valid JSON and the first byte must be '{'"),
        (b"{,}", "This policy contains invalid Json"),
        (b'{"Statement": [], "Statement": []}', "Duplicate field Statement"),
        (b"{}", "Missing required field Statement"),
        (b'{"Statement": []}', "Could not parse the policy: Statement is empty!"),
        (b'{"Version": "2020-01-01", "Statement": [{}]}', "The policy must contain a valid version string"),
        (b'{"Name": "x", "Statement": [{}]}', "Unknown field Name"),
        (b"{" + b" " * 20480 + b"}", "Policy exceeds the maximum allowed document size."),
    ],
)
def test_a_malformed_document_is_refused_with_s3s_words(document: bytes, refusal: str) -> None:
    """What S3 refuses must fail here too, or the first `pulumi up` on AWS finds it."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(document, "site-bucket", lambda arn: True)
    assert refusal in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"Effect": None}, "Missing required field Effect"),
        ({"Effect": "allow"}, "Invalid effect: allow"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Principal": {}}, "Missing required field Principal cannot be empty!"),
        ({"Principal": "ann"}, "Invalid principal in policy"),
        ({"Principal": {"Group": "x"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:role/*"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:role/missing"}}, "Invalid principal in policy"),
        ({"Principal": {"Service": "s3"}}, "Invalid principal in policy"),
        ({"NotPrincipal": "*"}, "Invalid policy syntax."),
        ({"Action": None}, "Missing required field Action"),
        ({"Action": "GetObject"}, "Policy has invalid action"),
        ({"Action": "ec2:RunInstances"}, "Policy has invalid action"),
        ({"Action": []}, "Missing required field Action cannot be empty!"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"Resource": "arn:aws:s3:::other-bucket/*"}, "Policy has invalid resource"),
        ({"Resource": [f"{BUCKET}/*", "arn:aws:s3:::other-bucket/*"]}, "Policy has invalid resource"),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": f"{BUCKET}/${{aws:username}}"}, "policy variables"),
        ({"Resource": BUCKET}, "Action does not apply to any resource(s) in statement"),
        ({"Action": "s3:ListBucket"}, "Action does not apply to any resource(s) in statement"),
        ({"Condition": {"StringIs": {"aws:SourceVpce": "a"}}}, "Invalid Condition type : StringIs"),
        ({"Condition": {"StringLike": {"s3:prefix": "a"}}}, "Conditions do not apply to combination of actions"),
        ({"Conditon": {}}, "Unknown field Conditon"),
    ],
)
def test_a_malformed_statement_is_refused_with_s3s_words(changes: dict[str, Any], refusal: str) -> None:
    """A misspelled element is a hole in the policy, and S3 says so."""
    with pytest.raises(PolicyError) as refused:
        parsed(statement(**changes))
    assert refusal in str(refused.value)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:ListBucket", BUCKET),
        ("s3:*", BUCKET),
        ("s3:*", f"{BUCKET}/*"),
        ("s3:Get*", BUCKET),
        (["s3:ListBucket", "s3:GetObject"], [BUCKET, f"{BUCKET}/*"]),
        ("s3:GetObject", "arn:aws:s3:::site-*"),
        ("s3:ReplicateObject", f"{BUCKET}/releases/*"),
    ],
)
def test_actions_go_with_the_resources_they_can_have(action: Any, resource: Any) -> None:
    """Too strict a reading would refuse the policies of the program itself."""
    assert len(parsed(statement(Action=action, Resource=resource)).statements) == 1


def test_a_single_statement_needs_no_list() -> None:
    """AWS's own examples write it both ways."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statement()})
    assert parse_policy(text.encode(), "site-bucket", lambda arn: True).is_public


VPCE = {"StringEquals": {"aws:SourceVpce": "vpce-1"}}


@pytest.mark.parametrize(
    ("changes", "public"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"AWS": "123456789012"}}, False),
        ({"Principal": None, "NotPrincipal": {"AWS": "123456789012"}}, True),
        ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, False),
        ({"Condition": VPCE}, False),
        ({"Condition": {"StringEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceVpce": "vpce-*"}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}}, True),
        ({"Condition": {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}}}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:eu-west-1:123456789012:*"}}}, False),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:eu-west-1:*:topic"}}}, True),
    ],
)
def test_public_means_what_the_s3_guide_says(changes: dict[str, Any], public: bool) -> None:
    """Block Public Access refuses public policies: the bucket's own, limited to a VPC endpoint, must not be one."""
    assert parsed(statement(**changes)).is_public is public


def test_one_public_statement_makes_the_policy_public() -> None:
    """A safe statement beside it doesn't help."""
    assert parsed(statement(Condition=VPCE), statement()).is_public
