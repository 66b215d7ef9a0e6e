"""IAM: roles, what they may do, and the instance profiles that give them to machines.

What each property is follows the schemas of terraform-provider-aws v6, internal/service/iam; ids are that provider's
too. IAM is one service for all regions: these types have no region. A role's own `inlinePolicies` and
`managedPolicyArns` would fight with the resources for them and are refused by name.
"""

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import (
    ID,
    Call,
    Constant,
    UnusableAnswerError,
    creating,
    deleting,
    joining,
    kept,
    reading,
    search,
    tag_list,
    updating,
)
from sandbox.provider.schema import (
    AutoName,
    Change,
    Property,
    ResourceType,
    State,
    Update,
    ValueCheck,
    boolean,
    integer,
    is_empty,
    json_text,
    length,
    output,
    string,
)
from sandbox.provider.values import Json

_GONE = ("NoSuchEntity",)
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
# IAM and STS quotas, "IAM name requirements" and "IAM and STS character limits".
_LONGEST_ROLE_NAME = 64
_LONGEST_NAME = 128
_LONGEST_INLINE_POLICIES = 10240
# IAM API Reference, CreateRole, AssumeRolePolicyDocument.
_LONGEST_DOCUMENT = 131072
_ARN = re.compile(r"arn:[a-z-]+:iam::(aws|\d{12}):policy/.+")


def _name_check(longest: int) -> ValueCheck:
    def check(value: Json) -> str | None:
        if _NAME.fullmatch(value) and len(value) <= longest:
            return None
        return f"expected at most {longest} letters, digits and characters of _+=,.@-, got {value!r}"

    return check


def _name(longest: int, named: int = 255) -> Property:
    """A name that Pulumi makes, of `named` characters at most, if the program doesn't; AWS allows `longest`."""
    return string(computed=True, replaces=True, auto_name=AutoName(max_length=named), check=_name_check(longest))


def _path(value: Json) -> str | None:
    if len(value) <= 512 and re.fullmatch(r"/|/[!-~]+/", value):
        return None
    return f"expected at most 512 characters that begin and end with a slash, got {value!r}"


def _policy_arn(value: Json) -> str | None:
    return None if _ARN.fullmatch(value) else f"expected a policy's ARN, got {value!r}"


def _inline_policy(value: Json) -> str | None:
    size = len("".join(value.split()))
    if 0 < size <= _LONGEST_INLINE_POLICIES:
        return None
    return f"expected 1 to {_LONGEST_INLINE_POLICIES} characters, white space not counted, got {size}"


def _text(document: Json) -> str:
    """A policy document, which boto3 gives as an object, as the text that pulumi-aws has for it."""
    return json.dumps(document, separators=(",", ":"))


def _write_tags(kind: str, parameter: str) -> Callable[[Aws, str, State, dict[str, str], list[str]], None]:
    """`write_tags` of a type whose calls are `tag_KIND` and `untag_KIND`, with the name as `parameter`."""

    def write(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
        if remove:
            aws.call("iam", f"untag_{kind}", **{parameter: id}, TagKeys=remove)
        if add:
            aws.call("iam", f"tag_{kind}", **{parameter: id}, Tags=tag_list(add))

    return write


def _date(found: Json) -> str:
    return str(found.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


_get_role = reading(
    Call("iam", "get_role", {"RoleName": ID}),
    result="Role",
    outputs={
        "name": "RoleName",
        "path": "Path",
        "description": "Description",
        "maxSessionDuration": "MaxSessionDuration",
        "permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn",
        "assumeRolePolicy": "AssumeRolePolicyDocument",
        "arn": "Arn",
        "createDate": "CreateDate",
        "uniqueId": "RoleId",
    },
    missing=_GONE,
    tags="Tags",
)


def _read_role(aws: Aws, id: str, state: State) -> State | None:
    found = _get_role(aws, id, state)
    if found is None:
        return None
    trust, created = _text(found["assumeRolePolicy"]), _date(found["createDate"])
    return {**found, "assumeRolePolicy": trust, "createDate": created}


def _change_boundary(aws: Aws, change: Change) -> None:
    boundary = change.new.get("permissionsBoundary")
    if is_empty(boundary):
        aws.call("iam", "delete_role_permissions_boundary", RoleName=change.id)
    else:
        aws.call("iam", "put_role_permissions_boundary", RoleName=change.id, PermissionsBoundary=boundary)


def _listed(aws: Aws, operation: str, found: str, **parameters: Any) -> list[Json]:
    """All pages of a list call: what the JMESPath `found` gives of each."""
    pages = aws.client("iam").get_paginator(operation).paginate(**parameters)
    return [item for page in pages for item in search(found, page)]


def _detach_everything(aws: Aws, id: str) -> None:
    """Take off the policies that someone gave the role behind Pulumi's back."""
    for policy_arn in _listed(aws, "list_attached_role_policies", "AttachedPolicies[].PolicyArn", RoleName=id):
        aws.call("iam", "detach_role_policy", RoleName=id, PolicyArn=policy_arn)
    for name in _listed(aws, "list_role_policies", "PolicyNames", RoleName=id):
        aws.call("iam", "delete_role_policy", RoleName=id, PolicyName=name)


def _delete_role(aws: Aws, id: str, state: State) -> None:
    """As under Terraform a role leaves its instance profiles first, and its policies only with forceDetachPolicies."""
    try:
        operation, found = "list_instance_profiles_for_role", "InstanceProfiles[].InstanceProfileName"
        for profile in _listed(aws, operation, found, RoleName=id):
            aws.call("iam", "remove_role_from_instance_profile", InstanceProfileName=profile, RoleName=id)
        if state.get("forceDetachPolicies"):
            _detach_everything(aws, id)
        aws.call("iam", "delete_role", RoleName=id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise


ROLE = ResourceType(
    token="aws:iam/role:Role",
    regional=False,
    properties={
        # pulumi-aws, provider/resources.go, aws_iam_role: automatic names have the length that roles have.
        "name": _name(_LONGEST_ROLE_NAME, named=_LONGEST_ROLE_NAME),
        "path": string(default="/", replaces=True, check=_path),
        "assumeRolePolicy": json_text(required=True, check=length(1, _LONGEST_DOCUMENT)),
        "description": string(check=length(0, 1000)),
        "maxSessionDuration": integer(3600, 43200, default=3600),
        "permissionsBoundary": string(check=_policy_arn),
        "forceDetachPolicies": boolean(default=False),
        "arn": output(),
        "createDate": output(),
        "uniqueId": output(),
    },
    create=creating(
        Call(
            "iam",
            "create_role",
            {
                "RoleName": "name",
                "Path": "path",
                "AssumeRolePolicyDocument": "assumeRolePolicy",
                "Description": "description",
                "MaxSessionDuration": "maxSessionDuration",
                "PermissionsBoundary": "permissionsBoundary",
            },
        ),
        id="Role.RoleName",
        tags="Tags",
    ),
    read=_read_role,
    updates=(
        Update(
            properties=("assumeRolePolicy",),
            run=updating(
                Call("iam", "update_assume_role_policy", {"RoleName": ID, "PolicyDocument": "assumeRolePolicy"})
            ),
        ),
        Update(
            properties=("description", "maxSessionDuration"),
            run=updating(
                Call(
                    "iam",
                    "update_role",
                    {
                        "RoleName": ID,
                        "Description": lambda inputs: inputs.get("description", ""),
                        "MaxSessionDuration": "maxSessionDuration",
                    },
                )
            ),
        ),
        Update(properties=("permissionsBoundary",), run=_change_boundary),
        kept("forceDetachPolicies"),
    ),
    delete=_delete_role,
    write_tags=_write_tags("role", "RoleName"),
)


def _halves(id: str, mark: str, form: str) -> tuple[str, str]:
    first, found, second = id.partition(mark)
    if not (first and found and second):
        raise UnusableAnswerError(f"{id!r} isn't such a resource's id: expected {form}")
    return first, second


def _role_policy(id: str) -> dict[str, Constant]:
    """The template of a call for a policy inside a role."""
    role, name = _halves(id, ":", "ROLE:POLICY")
    return {"RoleName": Constant(role), "PolicyName": Constant(name)}


_put_role_policy = Call(
    "iam", "put_role_policy", {"RoleName": "role", "PolicyName": "name", "PolicyDocument": "policy"}
)


def _create_role_policy(aws: Aws, inputs: State) -> str:
    _put_role_policy(aws, "", inputs)
    return f"{inputs['role']}:{inputs['name']}"


def _read_role_policy(aws: Aws, id: str, state: State) -> State | None:
    outputs = {"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"}
    read = reading(Call("iam", "get_role_policy", _role_policy(id)), "@", outputs, missing=_GONE)
    found = read(aws, id, state)
    return found and {**found, "policy": _text(found["policy"])}


ROLE_POLICY = ResourceType(
    token="aws:iam/rolePolicy:RolePolicy",
    regional=False,
    properties={
        "role": string(required=True, replaces=True, check=_name_check(_LONGEST_ROLE_NAME)),
        "name": _name(_LONGEST_NAME),
        "policy": json_text(required=True, check=_inline_policy),
    },
    create=_create_role_policy,
    read=_read_role_policy,
    updates=(Update(properties=("policy",), run=updating(_put_role_policy)),),
    delete=lambda aws, id, state: deleting(Call("iam", "delete_role_policy", _role_policy(id)), missing=_GONE)(
        aws, id, state
    ),
)


def _attachment(id: str) -> tuple[str, str]:
    """A role's name and a policy's ARN."""
    return _halves(id, "/", "ROLE/POLICY_ARN")


def _attach_policy(aws: Aws, inputs: State) -> str:
    Call("iam", "attach_role_policy", {"RoleName": "role", "PolicyArn": "policyArn"})(aws, "", inputs)
    return f"{inputs['role']}/{inputs['policyArn']}"


def _read_attachment(aws: Aws, id: str, state: State) -> State | None:
    role, policy_arn = _attachment(id)
    try:
        attached = _listed(aws, "list_attached_role_policies", "AttachedPolicies[].PolicyArn", RoleName=role)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise
    return {"role": role, "policyArn": policy_arn} if policy_arn in attached else None


def _detach_policy(aws: Aws, id: str, state: State) -> None:
    role, policy_arn = _attachment(id)
    call = {"RoleName": Constant(role), "PolicyArn": Constant(policy_arn)}
    deleting(Call("iam", "detach_role_policy", call), missing=_GONE)(aws, id, state)


ROLE_POLICY_ATTACHMENT = ResourceType(
    token="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    regional=False,
    properties={
        "role": string(required=True, replaces=True),
        "policyArn": string(required=True, replaces=True, check=_policy_arn),
    },
    create=_attach_policy,
    read=_read_attachment,
    delete=_detach_policy,
    # pulumi-aws, provider/resources.go: the new attachment can be the old one, which would be taken off after it.
    delete_before_replace=True,
)


def _set_profile_role(aws: Aws, id: str, role: str | None) -> None:
    """Give an instance profile `role` and no other; it can have one at most."""
    answer = aws.call("iam", "get_instance_profile", InstanceProfileName=id)
    present = search("InstanceProfile.Roles[].RoleName", answer)
    for other in present:
        if other != role:
            aws.call("iam", "remove_role_from_instance_profile", InstanceProfileName=id, RoleName=other)
    if role and role not in present:
        aws.call("iam", "add_role_to_instance_profile", InstanceProfileName=id, RoleName=role)


def _delete_profile(aws: Aws, id: str, state: State) -> None:
    try:
        _set_profile_role(aws, id, None)
        aws.call("iam", "delete_instance_profile", InstanceProfileName=id)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise


INSTANCE_PROFILE = ResourceType(
    token="aws:iam/instanceProfile:InstanceProfile",
    regional=False,
    properties={
        "name": _name(_LONGEST_NAME),
        "path": string(default="/", replaces=True, check=_path),
        "role": string(),
        "arn": output(),
        "createDate": output(),
        "uniqueId": output(),
    },
    create=creating(
        Call("iam", "create_instance_profile", {"InstanceProfileName": "name", "Path": "path"}),
        id="InstanceProfile.InstanceProfileName",
        tags="Tags",
    ),
    read=joining(
        reading(
            Call("iam", "get_instance_profile", {"InstanceProfileName": ID}),
            result="InstanceProfile",
            outputs={
                "name": "InstanceProfileName",
                "path": "Path",
                "role": "Roles[0].RoleName",
                "arn": "Arn",
                "createDate": "CreateDate",
                "uniqueId": "InstanceProfileId",
            },
            missing=_GONE,
            tags="Tags",
        ),
        lambda aws, id, state: {"createDate": _date(state["createDate"])},
    ),
    updates=(
        Update(
            properties=("role",),
            on_create=True,
            run=lambda aws, change: _set_profile_role(aws, change.id, change.new.get("role")),
        ),
    ),
    delete=_delete_profile,
    write_tags=_write_tags("instance_profile", "InstanceProfileName"),
)
