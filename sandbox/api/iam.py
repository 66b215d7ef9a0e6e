"""IAM roles, instance profiles and policies with AWS's names, limits and conflicts."""

import json
import re
from typing import Any, NoReturn

from moto.iam.exceptions import IAMException, NotFoundException
from moto.iam.models import IAMBackend
from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

from sandbox.api.change import Change, wrap

# IAM User Guide, "IAM and AWS STS quotas". Sizes are characters without white space.
ROLE_NAME_MAX = 64
PROFILE_NAME_MAX = 128
POLICY_NAME_MAX = 128
DESCRIPTION_MAX = 1000
TRUST_POLICY_MAX = 2048
INLINE_POLICIES_MAX = 10240
MANAGED_POLICY_MAX = 6144
# IAM API Reference, CreateRole. Seconds.
SESSION = (3600, 43200)
NAME_PATTERN = r"[\w+=,.@-]+"


def _refuse(code: str, message: str) -> NoReturn:
    raise IAMException(code, message)


def _check_name(parameter: str, name: str, longest: int) -> None:
    found = f"1 validation error detected: Value '{name}' at '{parameter}' failed to satisfy constraint: Member must"
    if len(name) > longest:
        _refuse("ValidationError", f"{found} have length less than or equal to {longest}")
    if not re.fullmatch(NAME_PATTERN, name, re.ASCII):
        _refuse(
            "ValidationError",
            f"The specified value for {parameter} is invalid. It must contain only alphanumeric "
            f"characters and/or the following: +=,.@_-",
        )


def _size(document: str) -> int:
    return len(re.sub(r"\s", "", document))


def _check_trust(backend: Any, document: str) -> None:
    IAMTrustPolicyDocumentValidator(document).validate()
    if _size(document) > TRUST_POLICY_MAX:
        _refuse("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_MAX}")
    statements = json.loads(document)["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        if principal is None:
            _refuse("MalformedPolicyDocument", "Missing required field Principal")
        for kind, values in principal.items() if isinstance(principal, dict) else ():
            for value in [values] if isinstance(values, str) else values:
                _check_principal(backend, kind, value)


def _check_principal(backend: Any, kind: str, value: str) -> None:
    own = f"arn:{backend.partition}:iam::{backend.account_id}:"
    known = {role.arn for role in backend.get_roles()} | {user.arn for user in backend.users.values()}
    if kind == "Service":
        valid = re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?", value) is not None
    elif kind == "AWS":
        account = re.fullmatch(r"\*|\d{12}|arn:aws[a-z-]*:(iam|sts)::\d{12}:.+", value) is not None
        valid = account and (not value.startswith((f"{own}role/", f"{own}user/")) or value in known)
    else:
        valid = kind in ("Federated", "CanonicalUser")
    if not valid:
        _refuse("MalformedPolicyDocument", f'Invalid principal in policy: "{kind.upper()}":"{value}"')


def _create_role(
    original: Any,
    backend: Any,
    role_name: str,
    assume_role_policy_document: str,
    path: str,
    permissions_boundary: str | None,
    description: str,
    tags: list[dict[str, str]],
    max_session_duration: str | None,
    linked_service: str | None = None,
) -> Any:
    _check_name("roleName", role_name, ROLE_NAME_MAX)
    if description and len(description) > DESCRIPTION_MAX:
        _refuse(
            "ValidationError",
            f"The description of role {role_name} has {len(description)} characters; the maximum is {DESCRIPTION_MAX}",
        )
    low, high = SESSION
    if max_session_duration is not None and not low <= int(max_session_duration) <= high:
        _refuse("ValidationError", f"MaxSessionDuration {max_session_duration} must be {low} to {high} seconds")
    # API Reference, CreateRole: names are not distinguished by case.
    if any(role.name.lower() == role_name.lower() for role in backend.get_roles()):
        _refuse("EntityAlreadyExists", f"Role with name {role_name} already exists.")
    _check_trust(backend, assume_role_policy_document)
    return original(
        backend,
        role_name,
        assume_role_policy_document,
        path,
        permissions_boundary,
        description,
        tags,
        max_session_duration,
        linked_service,
    )


def _update_trust(original: Any, backend: Any, role_name: str, policy_document: str) -> None:
    backend.get_role(role_name)
    _check_trust(backend, policy_document)
    original(backend, role_name, policy_document)


def _put_role_policy(original: Any, backend: Any, role_name: str, policy_name: str, policy_json: str) -> None:
    role = backend.get_role(role_name)
    _check_name("policyName", policy_name, POLICY_NAME_MAX)
    others = {name: document for name, document in role.policies.items() if name != policy_name}
    if sum(map(_size, [*others.values(), policy_json])) > INLINE_POLICIES_MAX:
        _refuse("LimitExceeded", f"Maximum policy size of {INLINE_POLICIES_MAX} bytes exceeded for role {role_name}")
    original(backend, role_name, policy_name, policy_json)


def _create_profile(original: Any, backend: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    _check_name("instanceProfileName", name, PROFILE_NAME_MAX)
    if any(profile.name.lower() == name.lower() for profile in backend.get_instance_profiles()):
        _refuse("EntityAlreadyExists", f"Instance Profile {name} already exists.")
    return original(backend, name, *args, **kwargs)


def _remove_role(original: Any, backend: Any, profile_name: str, role_name: str) -> None:
    profile = backend.get_instance_profile(profile_name)
    if role_name not in {role.name for role in profile.roles}:
        raise NotFoundException(f"Role {role_name} in Instance Profile {profile_name} cannot be found.")
    original(backend, profile_name, role_name)


def _profiles_of_role(original: Any, backend: Any, role_name: str) -> Any:
    backend.get_role(role_name)
    return original(backend, role_name)


def _create_policy(
    original: Any, backend: Any, description: str, path: str, policy_document: str, policy_name: str, tags: Any
) -> Any:
    _check_name("policyName", policy_name, POLICY_NAME_MAX)
    if _size(policy_document) > MANAGED_POLICY_MAX:
        _refuse("LimitExceeded", f"Cannot exceed quota for PolicySize: {MANAGED_POLICY_MAX}")
    return original(backend, description, path, policy_document, policy_name, tags)


def _delete_policy(original: Any, backend: Any, policy_arn: str) -> None:
    policy = backend.get_policy(policy_arn)
    if policy.attachment_count:
        _refuse("DeleteConflict", "Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        _refuse(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy.",
        )
    original(backend, policy_arn)


def _apply_roles() -> None:
    wrap(IAMBackend, "create_role", _create_role)
    wrap(IAMBackend, "update_assume_role_policy", _update_trust)


def _apply_profiles() -> None:
    wrap(IAMBackend, "create_instance_profile", _create_profile)
    wrap(IAMBackend, "remove_role_from_instance_profile", _remove_role)
    wrap(IAMBackend, "get_instance_profiles_for_role", _profiles_of_role)


def _apply_policies() -> None:
    wrap(IAMBackend, "put_role_policy", _put_role_policy)
    wrap(IAMBackend, "create_policy", _create_policy)
    wrap(IAMBackend, "delete_policy", _delete_policy)


CHANGES: tuple[Change, ...] = (
    Change(
        name="iam-roles",
        why=(
            "moto takes any trust policy at creation, names of any length, and two roles that differ in case. AWS: "
            "IAM API Reference, CreateRole (MalformedPolicyDocument, EntityAlreadyExists); IAM User Guide, 'IAM and "
            "AWS STS quotas'."
        ),
        apply=_apply_roles,
    ),
    Change(
        name="iam-instance-profiles",
        why=(
            "moto takes names of any length, and fails on removing a role that isn't in the profile. AWS: IAM API "
            "Reference, CreateInstanceProfile, RemoveRoleFromInstanceProfile (NoSuchEntity)."
        ),
        apply=_apply_profiles,
    ),
    Change(
        name="iam-policies",
        why=(
            "moto deletes policies that are attached or have versions, and takes documents of any size. AWS: IAM API "
            "Reference, DeletePolicy (DeleteConflict); IAM User Guide, 'IAM and AWS STS quotas'."
        ),
        apply=_apply_policies,
    ),
)
