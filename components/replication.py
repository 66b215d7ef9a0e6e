"""Replication of packages between all sites, in every direction.

Rule: what is published in one region reaches every other, what is deleted in one region is deleted there only, and
leases stay where they were taken. It is the backstop of publishing, which writes to every region itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import iam, s3

from components.names import REPLICATION_RULE_ID_MAX, ROLE_NAME_MAX, logical
from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX, shorten

REPLICATED_PREFIXES: Final = (RELEASES_PREFIX, PACKAGES_PREFIX)


@dataclass(frozen=True, kw_only=True)
class ReplicatedBucket:
    """The package bucket of one site. Its `region` is config: S3's ARNs don't tell."""

    site: str
    region: str
    name: pulumi.Input[str]
    arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class ReplicationArgs:
    """The buckets that replicate to each other, all of them versioned already."""

    buckets: Sequence[ReplicatedBucket]

    def __post_init__(self) -> None:
        if len(self.buckets) < 2:
            raise ValueError("replication needs two buckets or more")
        if len({bucket.region for bucket in self.buckets}) < len(self.buckets):
            raise ValueError("two buckets of one region: losing it would take both")


class Replication(pulumi.ComponentResource):
    """Two-way replication between every pair of package buckets.

    Creates: an IAM role limited to these buckets, with its policy; for every bucket one replication configuration, with
    a rule per other bucket and prefix.

    Data: delete markers aren't replicated, and the role may not replicate deletions either, so a deletion in one region
    can't reach the others. Replicas aren't replicated again, hence a rule for every ordered pair. Objects that existed
    before a rule are not copied by it: publishing the version again is what fills the gap.
    """

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ReplicationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "lockstep:replication:Replication", name, {"regions": [bucket.region for bucket in args.buckets]}, opts
        )
        child = pulumi.ResourceOptions(parent=self)

        role = iam.Role(
            logical(name, "role", ROLE_NAME_MAX),
            description="S3 replicates packages between the sites with it",
            assume_role_policy=json.dumps(_TRUST),
            opts=child,
        )
        policy = iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=pulumi.Output.all(*[bucket.arn for bucket in args.buckets]).apply(_policy),
            opts=child,
        )
        for source in args.buckets:
            s3.BucketReplicationConfig(
                f"{name}-{source.site}",
                bucket=source.name,
                region=source.region,
                role=role.arn,
                rules=_rules(source, [bucket for bucket in args.buckets if bucket is not source]),
                # S3 takes a role without rights and then fails every object, silently.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )

        self.role_arn = role.arn
        self.register_outputs({"roleArn": self.role_arn})


_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def _rules(
    source: ReplicatedBucket, destinations: Sequence[ReplicatedBucket]
) -> list[s3.BucketReplicationConfigRuleArgsDict]:
    """A rule per destination and prefix. S3 asks for priorities that differ, whatever they are."""
    pairs = [(destination, prefix) for destination in destinations for prefix in REPLICATED_PREFIXES]
    return [
        {
            "id": shorten(f"{prefix.rstrip('/')}-{source.site}-to-{destination.site}", REPLICATION_RULE_ID_MAX),
            "priority": priority,
            "status": "Enabled",
            "filter": {"prefix": prefix},
            "delete_marker_replication": {"status": "Disabled"},
            "destination": {"bucket": destination.arn},
        }
        for priority, (destination, prefix) in enumerate(pairs, start=1)
    ]


def _policy(arns: Sequence[str]) -> str:
    """What replication needs, on these buckets and prefixes (S3 User Guide, "Setting up permissions for live
    replication"), without s3:ReplicateDelete."""
    objects = [f"{arn}/{prefix}*" for arn in arns for prefix in REPLICATED_PREFIXES]
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "ReadConfiguration",
                    "Effect": "Allow",
                    "Action": ["s3:GetReplicationConfiguration", "s3:ListBucket"],
                    "Resource": list(arns),
                },
                {
                    "Sid": "ReadVersions",
                    "Effect": "Allow",
                    "Action": [
                        "s3:GetObjectVersionForReplication",
                        "s3:GetObjectVersionAcl",
                        "s3:GetObjectVersionTagging",
                    ],
                    "Resource": objects,
                },
                {
                    "Sid": "WriteReplicas",
                    "Effect": "Allow",
                    "Action": ["s3:ReplicateObject", "s3:ReplicateTags"],
                    "Resource": objects,
                },
            ],
        }
    )
