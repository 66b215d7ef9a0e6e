"""The provider's IAM types against the sandbox's IAM."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.program import Program, Resource

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
INSTANCE_PROFILE = "aws:iam/instanceProfile:InstanceProfile"


def _document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def _trust(service: str = "ec2.amazonaws.com") -> str:
    return _document(Principal={"Service": service}, Action="sts:AssumeRole")


READ = _document(Action="s3:GetObject", Resource="*")
WRITE = _document(Action="s3:PutObject", Resource="*")


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def iam(program: Program) -> Any:
    return program.aws("iam")


@pytest.fixture
def role(program: Program) -> Resource:
    return program.up(ROLE, "web", assumeRolePolicy=_trust())


@pytest.fixture
def managed_policy(iam: Any) -> str:
    """The ARN of a managed policy."""
    return str(iam.create_policy(PolicyName="managed", PolicyDocument=READ)["Policy"]["Arn"])


@pytest.fixture
def make(program: Program, role: Resource, managed_policy: str) -> Callable[[str], Resource]:
    """Makes a resource of the type with a token."""
    declared: dict[str, dict[str, Any]] = {
        ROLE: {
            "assumeRolePolicy": _trust(),
            "description": "for tests",
            "maxSessionDuration": 7200,
            "path": "/tests/",
            "tags": {"Name": "it"},
        },
        ROLE_POLICY: {"role": role.id, "policy": READ},
        ATTACHMENT: {"role": role.id, "policyArn": managed_policy},
        INSTANCE_PROFILE: {"role": role.id, "path": "/tests/", "tags": {"Name": "it"}},
    }
    return lambda token: program.up(token, **declared[token])


ALL = (ROLE, ROLE_POLICY, ATTACHMENT, INSTANCE_PROFILE)
Make = Callable[[str], Resource]


@pytest.mark.parametrize("token", ALL)
def test_a_new_resource_has_no_drift_and_no_plan(token: str, make: Make) -> None:
    """Without it `pulumi refresh --expect-no-changes` right after `up` fails, and so does every demo."""
    made = make(token)
    assert made.refresh() == frozenset()
    assert not made.plan().changed


@pytest.mark.parametrize("token", ALL)
def test_every_output_that_the_description_promises_has_a_value(token: str, make: Make, program: Program) -> None:
    """Without it a program reads None where AWS would give an ARN."""
    described = program.engine.resource_type(token).properties
    assert {name for name, prop in described.items() if not prop.settable} <= make(token).state.keys()


@pytest.mark.parametrize("token", ALL)
def test_a_deleted_resource_is_gone_and_can_be_deleted_again(token: str, make: Make) -> None:
    """Without it a destroy that was cut off half way can't be run again."""
    made = make(token)
    made.delete()
    assert made.gone
    made.delete()


@pytest.mark.parametrize("token", ALL)
def test_an_import_reads_the_inputs_that_made_the_resource(token: str, make: Make, program: Program) -> None:
    """Without it `pulumi import` writes code that plans a change at once."""
    made = make(token)
    id, state, inputs = program.imported(token, made.id)
    assert id == made.id
    assert inputs.keys() >= made.declared.keys()
    assert program.engine.diff(program.config, token, state, inputs, made.inputs).changed == {}


@pytest.mark.parametrize("token", [ROLE_POLICY, ATTACHMENT])
def test_what_a_role_has_is_gone_with_the_role(token: str, make: Make, role: Resource, program: Program) -> None:
    """Without it a role deleted by hand makes every later refresh and destroy fail."""
    made = make(token)
    role.update(forceDetachPolicies=True).delete()
    assert made.gone
    made.delete()


@pytest.mark.parametrize(("token", "id"), [(ROLE_POLICY, "role"), (ATTACHMENT, "role"), (ATTACHMENT, "/arn")])
def test_an_id_of_another_form_is_refused_with_the_form(token: str, id: str, program: Program) -> None:
    """Without it an import with a slip in it says that the resource doesn't exist."""
    with pytest.raises(ProviderError, match="expected ROLE"):
        program.imported(token, id)


@pytest.mark.parametrize("token", ALL)
def test_what_is_not_known_yet_is_not_refused(token: str, make: Make, program: Program) -> None:
    """Without it the first preview of a stack fails on values that the update would know."""
    made = make(token)
    for name in made.declared:
        assert program.refusals(token, **{**made.declared, name: UNKNOWN}) == {}


@pytest.mark.parametrize("token", ALL)
def test_a_property_that_the_description_lacks_is_refused_by_name(token: str, program: Program) -> None:
    """Without it a program is told yes for something that the sandbox never does."""
    assert "doesNotExist" in program.refusals(token, doesNotExist="x")


@pytest.mark.parametrize("token", ALL)
def test_iams_types_have_no_region(token: str, make: Make, program: Program) -> None:
    """Without it IAM's resources are replaced when a stack's provider moves to a region that lives."""
    made = make(token)
    assert "region" not in made.state
    assert "region" in program.refusals(token, region="eu-west-1")
    moved = program.in_region("eu-central-1")
    assert moved.engine.diff(moved.config, token, made.state, made.inputs, made.inputs).changed == {}


@pytest.mark.parametrize("name", ["inlinePolicies", "managedPolicyArns"])
def test_policies_inside_their_role_are_refused(name: str, program: Program) -> None:
    """Without it they would be dropped in silence: a right that the program declares and nobody gives."""
    assert "isn't supported" in program.refusals(ROLE, **{name: []})[name]


@pytest.mark.parametrize(
    ("token", "name", "value"),
    [
        (ROLE, "name", "a" * 65),
        (ROLE, "name", "with space"),
        (ROLE, "path", "tests"),
        (ROLE, "path", "/tests"),
        (ROLE, "maxSessionDuration", 3599),
        (ROLE, "maxSessionDuration", 43201),
        (ROLE, "description", "x" * 1001),
        (ROLE, "assumeRolePolicy", "{"),
        (ROLE, "permissionsBoundary", "PowerUserAccess"),
        (ROLE_POLICY, "name", "a" * 129),
        (ROLE_POLICY, "role", "arn:aws:iam::123456789012:role/web"),
        (ROLE_POLICY, "policy", json.dumps({"Statement": "x" * 10240})),
        (ATTACHMENT, "policyArn", "managed"),
        (INSTANCE_PROFILE, "name", "a" * 129),
    ],
)
def test_what_aws_refuses_is_refused_before_anything_is_made(
    token: str, name: str, value: Any, program: Program
) -> None:
    """Without it the preview is clean and the update fails half way."""
    assert name in program.refusals(token, **{name: value})


def test_white_space_does_not_count_towards_the_size_of_a_policy(program: Program) -> None:
    """Without it a policy in readable form is refused though AWS takes it."""
    assert program.refusals(ROLE_POLICY, role="web", policy=READ + " " * 10240) == {}


def test_names_are_pulumis(program: Program, role: Resource, make: Make) -> None:
    """Without it a name is longer than IAM allows, or two resources of one name clash."""
    assert re.fullmatch(r"web-[0-9a-f]{7}", role.id)
    assert len(program.up(ROLE, "x" * 100, assumeRolePolicy=_trust()).id) == 64
    policy = make(ROLE_POLICY)
    assert policy.id == f"{role.id}:{policy.state['name']}"
    attachment = make(ATTACHMENT)
    assert attachment.id == f"{role.id}/{attachment.state['policyArn']}"


@pytest.mark.parametrize(
    ("token", "kind", "shape"),
    [(ROLE, "role", "Role"), (INSTANCE_PROFILE, "instance_profile", "InstanceProfile")],
)
def test_tags_are_written_at_creation_changed_in_place_and_watched(
    token: str, kind: str, shape: str, make: Make, iam: Any
) -> None:
    """Without it clean-up, which goes by tags, misses the resource, or a tag that someone took away stays away."""
    made = make(token)

    def tags() -> dict[str, str]:
        found = getattr(iam, f"get_{kind}")(**{f"{shape}Name": made.id})[shape]
        return {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}

    assert tags() == {"Name": "it"}
    made.update(tags={"Name": "other", "more": "1"})
    assert tags() == {"Name": "other", "more": "1"}
    made.update(tags={"more": "1"})
    assert tags() == {"more": "1"}
    getattr(iam, f"untag_{kind}")(**{f"{shape}Name": made.id}, TagKeys=["more"])
    assert "tags" in made.refresh()
    made.repair()
    assert tags() == {"more": "1"}


def test_a_role_changes_in_place(make: Make, iam: Any, managed_policy: str) -> None:
    """Without it a longer session or another description would take a role, and all that run as it, down."""
    role = make(ROLE)
    role.update(
        assumeRolePolicy=_trust("s3.amazonaws.com"),
        description="other",
        maxSessionDuration=3600,
        permissionsBoundary=managed_policy,
    )
    found = iam.get_role(RoleName=role.id)["Role"]
    assert found["AssumeRolePolicyDocument"] == json.loads(_trust("s3.amazonaws.com"))
    assert (found["Description"], found["MaxSessionDuration"]) == ("other", 3600)
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == managed_policy
    assert role.refresh() == frozenset()

    iam.delete_role_permissions_boundary(RoleName=role.id)
    iam.update_role(RoleName=role.id, Description="by hand", MaxSessionDuration=7200)
    assert role.refresh() == {"description", "maxSessionDuration", "permissionsBoundary"}
    role.repair()
    assert role.refresh() == frozenset()

    role.update(maxSessionDuration=None, permissionsBoundary=None)
    found = iam.get_role(RoleName=role.id)["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("other", 3600)
    assert "PermissionsBoundary" not in found
    role.update(description=None)
    assert not iam.get_role(RoleName=role.id)["Role"].get("Description")
    assert role.refresh() == frozenset()
    assert role.plan(path="/").replaces == {"path"}
    assert role.plan(name="other").replaces == {"name"}


def test_a_trust_policy_is_watched_and_equal_in_any_notation(role: Resource, iam: Any) -> None:
    """Without it someone else may assume the role, and no refresh says so."""
    assert role.plan(assumeRolePolicy=json.dumps(json.loads(_trust()), indent=2)).changed == {}
    iam.update_assume_role_policy(RoleName=role.id, PolicyDocument=_trust("lambda.amazonaws.com"))
    assert role.refresh() == {"assumeRolePolicy"}
    role.repair()
    assert iam.get_role(RoleName=role.id)["Role"]["AssumeRolePolicyDocument"] == json.loads(_trust())


def test_a_role_that_has_policies_is_deleted_only_with_leave(role: Resource, iam: Any, managed_policy: str) -> None:
    """Without it a role is deleted with rights that someone gave it by hand, or can't be deleted at all."""
    iam.put_role_policy(RoleName=role.id, PolicyName="by-hand", PolicyDocument=READ)
    iam.attach_role_policy(RoleName=role.id, PolicyArn=managed_policy)
    with pytest.raises(ProviderError, match="DeleteConflict"):
        role.delete()
    assert not role.plan(forceDetachPolicies=True).replaces
    role.update(forceDetachPolicies=True).delete()
    assert role.gone


def test_a_role_leaves_its_instance_profile_when_it_is_deleted(make: Make, role: Resource) -> None:
    """Without it a profile made by hand keeps the role, and the stack, from being destroyed."""
    profile = make(INSTANCE_PROFILE)
    role.delete()
    assert profile.refresh() == {"role"}


def test_a_role_that_exists_is_not_taken_over(role: Resource, program: Program) -> None:
    """Without it two stacks own one role, and the first to go takes it along."""
    with pytest.raises(ProviderError, match="CreateRole was refused: EntityAlreadyExists"):
        program.up(ROLE, name=role.id, assumeRolePolicy=_trust())


def test_an_inline_policy_changes_in_place_and_is_watched(make: Make, iam: Any) -> None:
    """Without it a right added by hand stays, and no refresh says so."""
    policy = make(ROLE_POLICY)
    key = {"RoleName": policy.state["role"], "PolicyName": policy.state["name"]}

    def document() -> Any:
        return iam.get_role_policy(**key)["PolicyDocument"]

    policy.update(policy=WRITE)
    assert document() == json.loads(WRITE)
    iam.put_role_policy(**key, PolicyDocument=READ)
    assert policy.refresh() == {"policy"}
    policy.repair()
    assert document() == json.loads(WRITE)
    assert policy.plan(role="other").replaces == {"role"}
    iam.delete_role_policy(**key)
    assert policy.gone


def test_a_policy_that_iam_refuses_fails_with_its_words(program: Program, role: Resource) -> None:
    """Without it a policy with a slip in it seems to give a right."""
    with pytest.raises(ProviderError, match="PutRolePolicy was refused: MalformedPolicyDocument"):
        program.up(ROLE_POLICY, role=role.id, policy='{"Statement": [{"Effect": "Maybe"}]}')


def test_an_attachment_is_replaced_by_taking_the_old_one_off_first(make: Make, program: Program) -> None:
    """Without it a replacement by the same attachment would end with none."""
    attachment = make(ATTACHMENT)
    difference = attachment.plan(policyArn="arn:aws:iam::aws:policy/PowerUserAccess")
    assert difference.replaces == {"policyArn"}
    assert difference.delete_before_replace


def test_an_attachment_is_found_among_more_than_a_page_of_them(role: Resource, program: Program, iam: Any) -> None:
    """Without it the last policies of a role with many vanish from the state at the next refresh."""
    arns = [
        iam.create_policy(PolicyName=f"p{number:03}", PolicyDocument=READ)["Policy"]["Arn"] for number in range(101)
    ]
    attachments = [program.up(ATTACHMENT, role=role.id, policyArn=arn) for arn in arns]
    assert attachments[-1].refresh() == frozenset()
    assert attachments[0].refresh() == frozenset()


def test_an_attachment_taken_off_by_hand_is_gone(make: Make, iam: Any) -> None:
    """Without it machines lose a right, and no refresh says so."""
    attachment = make(ATTACHMENT)
    iam.detach_role_policy(RoleName=attachment.state["role"], PolicyArn=attachment.state["policyArn"])
    assert attachment.gone


def test_an_instance_profile_changes_its_role_and_gets_it_back(
    make: Make, role: Resource, program: Program, iam: Any
) -> None:
    """Without it machines start with no rights, or with another role's."""
    profile = make(INSTANCE_PROFILE)

    def roles() -> list[str]:
        found = iam.get_instance_profile(InstanceProfileName=profile.id)["InstanceProfile"]["Roles"]
        return [item["RoleName"] for item in found]

    assert roles() == [role.id]
    other = program.up(ROLE, "other", assumeRolePolicy=_trust())
    profile.update(role=other.id)
    assert roles() == [other.id]
    iam.remove_role_from_instance_profile(InstanceProfileName=profile.id, RoleName=other.id)
    assert profile.refresh() == {"role"}
    profile.repair()
    assert roles() == [other.id]
    profile.update(role=None)
    assert roles() == []


def test_an_instance_profile_for_an_unknown_role_fails_and_leaves_the_profile_in_the_state(
    program: Program, iam: Any
) -> None:
    """Without it the profile exists and nobody knows: the next update fails with EntityAlreadyExists, for ever."""
    inputs, _ = program.check(INSTANCE_PROFILE, role="nobody")
    with pytest.raises(ProviderError, match="NoSuchEntity") as failure:
        program.engine.create(program.config, INSTANCE_PROFILE, inputs)
    assert getattr(failure.value, "id", None) == inputs["name"]
