"""CrossGuard policies that prove disaster recovery across two regions, for any Pulumi program that uses pulumi-aws.

Importing this package starts nothing; `policies/__main__.py` serves `POLICIES`.
"""

from __future__ import annotations

from typing import Final

from pulumi_policy import Policy

from lockstep_policies.advisories import advisory_policy
from lockstep_policies.backups import backups_policy
from lockstep_policies.buckets import buckets_policy
from lockstep_policies.databases import databases_policy
from lockstep_policies.fleets import fleets_policy
from lockstep_policies.regions import regions_policy
from lockstep_policies.releases import releases_policy
from lockstep_policies.safeguards import safeguards_policy
from lockstep_policies.traffic import traffic_policy

# Few policies with many checks each: the SDK decodes every resource again for every policy. The advisory policy stays
# last, because it reports what the groups before it left open.
POLICIES: Final[list[Policy]] = [
    traffic_policy,
    buckets_policy,
    databases_policy,
    backups_policy,
    fleets_policy,
    releases_policy,
    regions_policy,
    safeguards_policy,
    advisory_policy,
]

#: The group whose rules a policy judges by: the first half of a rule's name in messages and exemptions.
GROUPS: Final[dict[str, str]] = {
    traffic_policy.name: "traffic",
    buckets_policy.name: "buckets",
    databases_policy.name: "databases",
    backups_policy.name: "backups",
    fleets_policy.name: "fleet",
    releases_policy.name: "releases",
    regions_policy.name: "regions",
    safeguards_policy.name: "safeguards",
}

__all__ = ["GROUPS", "POLICIES"]
