"""Whether what is encrypted in a region has its key there: a key of a lost region can't decrypt anything."""

from __future__ import annotations

from typing import Final

from lockstep_policies.findings import Findings
from lockstep_policies.view import UNKNOWN, Resource, Stack, arn_region

KEYS: Final = (
    "aws:kms/key:Key",
    "aws:kms/replicaKey:ReplicaKey",
    "aws:kms/externalKey:ExternalKey",
    "aws:kms/replicaExternalKey:ReplicaExternalKey",
)
ALIASES: Final = ("aws:kms/alias:Alias",)


def judge_key(stack: Stack, findings: Findings, rule: str, resource: Resource, key: str) -> None:
    """The key that a property names is of the resource's own region.

    An id, unlike an ARN, names no region: KMS looks it up in the region of the request, so it is right by itself.
    """
    value, region = resource.get(key), resource.region
    if value is None or not isinstance(region, str):
        return  # rules of the resource itself say what an absent key means; regions are the business of `regions`
    remedy = f"Use a key of {region}: an `aws.kms.Key` there, or an `aws.kms.ReplicaKey` of a multi-region key."
    sources = stack.referred(resource, key, (*KEYS, *ALIASES), by=("arn", "id", "keyId"))
    found = {place} if (place := arn_region(value)) else {source.region for source in sources if value is UNKNOWN}
    foreign = sorted(place for place in found if isinstance(place, str) and place != region)
    if foreign:
        findings.violation(
            rule,
            resource,
            f"it is in {region}, but `{key}` names a key of {', '.join(foreign)}: without that region nothing of it "
            f"can be read. {remedy}",
        )
    elif value is UNKNOWN:
        findings.unproved(rule, resource, key, f"it can't be proved that its key is of {region}", remedy=remedy)
