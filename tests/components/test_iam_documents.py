"""Every policy document that the program makes, against AWS's Service Authorization Reference."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.components.iam_documents import findings
from tests.components.recording import Recording
from tests.test_program import STACKS, bring_up

# By property of the type that holds it: who is named in there, or what it is attached to.
OF_RESOURCES = {
    "aws:s3/bucketPolicy:BucketPolicy.policy",
    "aws:ec2/vpcEndpoint:VpcEndpoint.policy",
    "aws:iam/role:Role.assumeRolePolicy",
    "aws:kms/key:Key.policy",
    "aws:kms/replicaKey:ReplicaKey.policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy.policy",
    "aws:secretsmanager/secret:Secret.policy",
    "aws:sns/topicPolicy:TopicPolicy.policy",
    "aws:backup/vaultPolicy:VaultPolicy.policy",
}
OF_IDENTITIES = {
    "aws:iam/rolePolicy:RolePolicy.policy",
    "aws:iam/policy:Policy.policy",
    "aws:iam/role:Role.inlinePolicies",
}
TRUST = "aws:iam/role:Role.assumeRolePolicy"


def documents(value: Any) -> Iterator[str]:
    """The texts in a value that are policies."""
    if isinstance(value, dict):
        for part in value.values():
            yield from documents(part)
    elif isinstance(value, list):
        for part in value:
            yield from documents(part)
    elif isinstance(value, str) and '"Statement"' in value:
        yield value


def policies(recording: Recording) -> list[tuple[str, str, str]]:
    """Property, resource and text of every policy that was declared."""
    return [
        (f"{resource.type}.{name}", resource.name, text)
        for resource in recording.managed
        for name, value in resource.inputs.items()
        for text in documents(value)
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_policies_grant_what_exists_on_what_it_acts_on(stack: str) -> None:
    """IAM takes a misspelt action without a word; a replica or a read is refused on the day it matters."""
    found = policies(bring_up(stack))
    assert found, "no policy was declared"
    for where, name, text in found:
        assert where in OF_RESOURCES | OF_IDENTITIES, f"{where} of {name}: say here what it is attached to"
        assert findings(text, of_resource=where in OF_RESOURCES, trust=where == TRUST) == [], f"{where} of {name}"


GOOD = {
    "Sid": "Read",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::bucket/releases/1/*",
    "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1", "s3:ExistingObjectTag/team": "a"}},
}


def judge(**changes: Any) -> list[str]:
    statement = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return findings(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), of_resource=True)


def test_a_good_policy_has_no_finding() -> None:
    """A linter that cries wolf is switched off."""
    assert judge() == []
    assert judge(Action="s3:*", Resource=["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"], Condition=None) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Action": "s3:GetObjects"}, "there is no action s3:GetObjects"),
        ({"Action": "s4:GetObject"}, "there is no action s4:GetObject"),
        ({"Action": ["s3:GetObject", "s3:ListBucket"]}, "s3:ListBucket acts on none of"),
        ({"Resource": "arn:aws:s3:::bucket"}, "acts on none of arn:aws:s3:::bucket"),
        ({"Resource": ["arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket"]}, "none of s3:GetObject acts on"),
        ({"Resource": None}, "no resource"),
        ({"Condition": {"StringEquals": {"aws:SourceVpcee": "vpce-1"}}}, "has the condition key aws:SourceVpcee"),
        ({"Condition": {"StringEquals": {"s3:prefix": "a"}}}, "has the condition key s3:prefix"),
        ({"Condition": {"StringIs": {"aws:SourceVpce": "vpce-1"}}}, "no operator of a condition: StringIs"),
        ({"Effect": "allow"}, "Effect is allow"),
        ({"Principal": None}, "it says nobody to apply to"),
        ({"Principals": "*"}, "no element of a statement: Principals"),
    ],
)
def test_what_grants_nothing_is_found(changes: dict[str, Any], said: str) -> None:
    """Each of these is taken by AWS's API or was, and does something else than it says."""
    assert any(said in finding for finding in judge(**changes)), judge(**changes)


def test_what_is_no_policy_is_found() -> None:
    """Neither JSON nor a version or a statement is a matter of course in text that a program puts together."""
    assert findings("{", of_resource=True)[0].startswith("no JSON")
    assert findings(json.dumps({"Version": "2008-10-17", "Statement": GOOD}), of_resource=True) == [
        "Version is 2008-10-17, not 2012-10-17"
    ]
    assert "no statement" in findings(json.dumps({"Version": "2012-10-17"}), of_resource=True)
    twice = json.dumps({"Version": "2012-10-17", "Statement": [GOOD, GOOD]})
    assert findings(twice, of_resource=True) == ["a Sid stands twice: ['Read', 'Read']"]
