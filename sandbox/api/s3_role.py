"""What a role may do for the service that it is for, from its trust policy and its permission policies in IAM.

moto doesn't enforce IAM, and the sandbox does so only for the roles of replication and of flow logs, because a role
that lacks a permission is why those fail in practice: PutBucketReplication accepts every role, and the objects then
fail one by one (S3 User Guide, "Setting up permissions for live replication"). `Condition` elements of the role's
policies aren't evaluated.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import Role, iam_backends

from sandbox.api.s3_condition import like

_S3 = "s3.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One action on one resource."""

    action: str
    resource: str


def why_not(role_arn: str, needed: tuple[Permission, ...], service: str = _S3) -> str | None:
    """Why `service` can't do `needed` as the role, None if it can."""
    role = _find(role_arn)
    if role is None:
        return f"the role {role_arn} doesn't exist"
    if not _trusts(role, service):
        return f"the trust policy of {role_arn} doesn't let {service} assume it"
    statements = list(_statements(role))
    for permission in needed:
        if not _allowed(statements, permission):
            return f"{role_arn} isn't allowed {permission.action} on {permission.resource}"
    return None


def _find(role_arn: str) -> Role | None:
    _, partition, _, _, account, path = role_arn.split(":", 5)
    try:
        return iam_backends[account][partition].get_role(path.rsplit("/", 1)[1])
    except NotFoundException:
        return None


def _trusts(role: Role, service: str) -> bool:
    return any(
        statement.get("Effect") == "Allow" and service in _listed(statement.get("Principal", {}).get("Service", []))
        for statement in _read(role.assume_role_policy_document)
        if isinstance(statement.get("Principal"), dict)
    )


def _statements(role: Role) -> Iterator[dict[str, Any]]:
    for document in role.policies.values():
        yield from _read(document)
    for policy in role.managed_policies.values():
        for version in policy.versions:
            if version.is_default:
                yield from _read(version.document)


def _read(document: Any) -> list[dict[str, Any]]:
    read = json.loads(document) if isinstance(document, str) else document or {}
    return [statement for statement in _listed(read.get("Statement", [])) if isinstance(statement, dict)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _allowed(statements: list[dict[str, Any]], permission: Permission) -> bool:
    applying = [statement.get("Effect") for statement in statements if _covers(statement, permission)]
    return "Allow" in applying and "Deny" not in applying


def _covers(statement: dict[str, Any], permission: Permission) -> bool:
    return _matches(statement, "Action", permission.action, fold=True) and _matches(
        statement, "Resource", permission.resource, fold=False
    )


def _matches(statement: dict[str, Any], element: str, text: str, *, fold: bool) -> bool:
    inverse = f"Not{element}"
    patterns = [str(p) for p in _listed(statement.get(element, statement.get(inverse, [])))]
    if fold:
        text, patterns = text.lower(), [p.lower() for p in patterns]
    return any(like(text, pattern) for pattern in patterns) != (inverse in statement)
