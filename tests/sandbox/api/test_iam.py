"""Roles, profiles and policies are refused, and kept, where AWS does so."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def trust(**changes: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    changed = {key: value for key, value in {**statement, **changes}.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [changed]})


def permissions(actions: int = 1) -> str:
    names = [f"s3:GetObject{number:05}" for number in range(actions)]
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": names, "Resource": "*"}]})


@pytest.fixture
def iam(aws: Any) -> Any:
    return aws("iam")


@pytest.mark.change("iam-roles")
@pytest.mark.parametrize(
    "document",
    [
        "{not json",
        json.dumps({"Version": "2012-10-17"}),
        trust(Principal=None),
        trust(Action="s3:GetObject"),
        trust(Resource="*"),
        trust(Effect="Maybe"),
        trust(Principal={"Service": "ec2"}),
        trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/absent"}),
        trust(Principal={"Machine": "this"}),
    ],
)
def test_a_malformed_trust_policy_makes_no_role(iam: Any, document: str) -> None:
    """Without it a role that nothing can assume, or that AWS refuses, is made here."""
    code, _ = refused(lambda: iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=document))
    assert code == "MalformedPolicyDocument"
    assert iam.list_roles()["Roles"] == []
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=trust())
    code, _ = refused(lambda: iam.update_assume_role_policy(RoleName="fleet", PolicyDocument=document))
    assert code == "MalformedPolicyDocument"


@pytest.mark.change("iam-roles")
def test_the_principals_that_aws_takes_are_taken(iam: Any) -> None:
    """Without it a valid trust policy is refused here only."""
    iam.create_role(RoleName="first", AssumeRolePolicyDocument=trust())
    role = f"arn:aws:iam::{ACCOUNT}:role/first"
    for number, principal in enumerate(
        [{"Service": ["s3.amazonaws.com", "backup.amazonaws.com"]}, {"AWS": role}, {"AWS": ACCOUNT}, "*"]
    ):
        iam.create_role(RoleName=f"role{number}", AssumeRolePolicyDocument=trust(Principal=principal))
    assert len(iam.list_roles()["Roles"]) == 5


@pytest.mark.change("iam-roles")
def test_a_role_has_a_name_of_its_own_within_the_limits(iam: Any) -> None:
    """Without it two sites that make the same global role, or a name too long, are found on AWS only."""
    create = partial(iam.create_role, AssumeRolePolicyDocument=trust())
    create(RoleName="a" * 64)
    assert refused(partial(create, RoleName="A" * 64))[0] == "EntityAlreadyExists"
    for name in ("b" * 65, "with space", "slash/ed"):
        assert refused(partial(create, RoleName=name))[0] == "ValidationError"
    assert refused(partial(create, RoleName="c", MaxSessionDuration=43201))[0] == "ValidationError"
    assert refused(partial(create, RoleName="c", Description="d" * 1001))[0] == "ValidationError"
    large = trust(Condition={"StringEquals": {"aws:PrincipalTag/x": "y" * 2048}})
    assert refused(partial(iam.create_role, RoleName="c", AssumeRolePolicyDocument=large))[0] == "LimitExceeded"


def test_a_role_in_use_is_not_deleted(iam: Any) -> None:
    """Without it a destroy in the wrong order passes here and fails on AWS half way."""
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=trust())
    delete = partial(iam.delete_role, RoleName="fleet")
    iam.put_role_policy(RoleName="fleet", PolicyName="inline", PolicyDocument=permissions())
    assert refused(delete)[0] == "DeleteConflict"
    iam.delete_role_policy(RoleName="fleet", PolicyName="inline")
    policy = iam.create_policy(PolicyName="managed", PolicyDocument=permissions())["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="fleet", PolicyArn=policy)
    assert refused(delete)[0] == "DeleteConflict"
    iam.detach_role_policy(RoleName="fleet", PolicyArn=policy)
    iam.create_instance_profile(InstanceProfileName="fleet")
    iam.add_role_to_instance_profile(InstanceProfileName="fleet", RoleName="fleet")
    assert refused(delete)[0] == "DeleteConflict"
    assert refused(lambda: iam.delete_instance_profile(InstanceProfileName="fleet"))[0] == "DeleteConflict"
    iam.remove_role_from_instance_profile(InstanceProfileName="fleet", RoleName="fleet")
    delete()
    assert refused(delete)[0] == "NoSuchEntity"


@pytest.mark.change("iam-instance-profiles")
def test_an_instance_profile_follows_the_rules(iam: Any) -> None:
    """Without it a profile that AWS refuses is made here, and a tidy-up run twice ends in a server error."""
    create = iam.create_instance_profile
    create(InstanceProfileName="fleet")
    assert refused(lambda: create(InstanceProfileName="Fleet"))[0] == "EntityAlreadyExists"
    assert refused(lambda: create(InstanceProfileName="p" * 129))[0] == "ValidationError"
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=trust())
    remove = partial(iam.remove_role_from_instance_profile, InstanceProfileName="fleet", RoleName="fleet")
    assert refused(remove)[0] == "NoSuchEntity"
    assert refused(lambda: iam.list_instance_profiles_for_role(RoleName="absent"))[0] == "NoSuchEntity"


@pytest.mark.change("iam-policies")
def test_a_policy_in_use_is_not_deleted(iam: Any) -> None:
    """Without it roles lose permissions here that AWS would have kept."""
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=trust())
    arn = iam.create_policy(PolicyName="managed", PolicyDocument=permissions())["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="fleet", PolicyArn=arn)
    assert refused(lambda: iam.delete_policy(PolicyArn=arn))[0] == "DeleteConflict"
    iam.detach_role_policy(RoleName="fleet", PolicyArn=arn)
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=permissions(2))["PolicyVersion"]["VersionId"]
    assert refused(lambda: iam.delete_policy(PolicyArn=arn))[0] == "DeleteConflict"
    iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)


@pytest.mark.change("iam-policies")
def test_policies_have_a_size_limit(iam: Any) -> None:
    """Without it a policy that grew over AWS's limit is found at the next deployment."""
    code, _ = refused(lambda: iam.create_policy(PolicyName="managed", PolicyDocument=permissions(400)))
    assert code == "LimitExceeded"
    iam.create_role(RoleName="fleet", AssumeRolePolicyDocument=trust())
    put = partial(iam.put_role_policy, RoleName="fleet")
    put(PolicyName="one", PolicyDocument=permissions(300))
    assert refused(partial(put, PolicyName="two", PolicyDocument=permissions(300)))[0] == "LimitExceeded"
    put(PolicyName="one", PolicyDocument=permissions(301))
