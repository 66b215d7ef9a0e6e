"""Replication of packages between all sites, in every direction.

Rule: what is published in one region reaches every other, what is deleted in one region is deleted there only, and
leases stay where they were taken. It is the backstop of publishing, which writes to every region itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, iam, s3

from components.names import ALARM_ACTIONS_MAX, REPLICATION_RULE_ID_MAX, ROLE_NAME_MAX, logical
from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX, shorten

REPLICATED_PREFIXES: Final = (RELEASES_PREFIX, PACKAGES_PREFIX)
# Seconds. CloudWatch gets the metrics by the minute, some of them late ("delivered on a best-effort basis").
FAILURE_PERIOD: Final = 300


@dataclass(frozen=True, kw_only=True)
class ReplicatedBucket:
    """The package bucket of one site. Its `region` is config: S3's ARNs don't tell.

    `alarm_actions` are ARNs of topics in that region, which hear of objects of this bucket that aren't replicated.
    """

    site: str
    region: str
    name: pulumi.Input[str]
    arn: pulumi.Input[str]
    alarm_actions: Sequence[pulumi.Input[str]] = ()

    def __post_init__(self) -> None:
        # CloudWatch API Reference, PutMetricAlarm, "AlarmActions".
        if len(self.alarm_actions) > ALARM_ACTIONS_MAX:
            raise ValueError(f"{len(self.alarm_actions)} alarm actions: CloudWatch takes {ALARM_ACTIONS_MAX} at most")


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """What one rule copies where."""

    source: ReplicatedBucket
    destination: ReplicatedBucket
    prefix: str
    priority: int

    @property
    def id(self) -> str:
        """Its name, within S3's limit."""
        text = f"{self.prefix.rstrip('/')}-{self.source.site}-to-{self.destination.site}"
        return shorten(text, REPLICATION_RULE_ID_MAX)


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
    a rule per other bucket and prefix; for every rule, in the source's region, an alarm on objects that fail.

    Every rule has S3's replication metrics, four custom metrics of CloudWatch (some 1.20 USD a month; two sites have
    four rules). S3 Replication Time Control isn't used: for 0.015 USD a GB it promises 15 minutes, and replication is
    the backstop here, as publishing has verified every region before a release is on record. An object that failed
    isn't tried again by S3, and the alarm is over after five minutes without another: publishing its version again
    writes it where it is missing. Objects that are only late raise no alarm; that metric is published in the
    destination's region.

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
            rules = _rules(source, [bucket for bucket in args.buckets if bucket is not source])
            s3.BucketReplicationConfig(
                f"{name}-{source.site}",
                bucket=source.name,
                region=source.region,
                role=role.arn,
                rules=[_as_declared(rule) for rule in rules],
                # S3 takes a role without rights and then fails every object, silently.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
            for rule in rules:
                self._watch(name, rule)

        self.role_arn = role.arn
        self.register_outputs({"roleArn": self.role_arn})

    def _watch(self, name: str, rule: _Rule) -> None:
        """The alarm on the objects of a rule that fail: S3 User Guide, "Using S3 Replication metrics"."""
        source, destination = rule.source, rule.destination
        cloudwatch.MetricAlarm(
            f"{name}-{rule.id}-fails",
            region=source.region,
            alarm_description=(
                f"Objects below {rule.prefix} aren't replicated from {source.region} to {destination.region}. S3 "
                "doesn't try them again: repair why, then publish their releases again, which writes what is missing."
            ),
            namespace="AWS/S3",
            metric_name="OperationsFailedReplication",
            dimensions={"SourceBucket": source.name, "DestinationBucket": destination.name, "RuleId": rule.id},
            statistic="Sum",
            period=FAILURE_PERIOD,
            evaluation_periods=1,
            threshold=0,
            comparison_operator="GreaterThanThreshold",
            # The metric isn't published while nothing is replicated.
            treat_missing_data="notBreaching",
            alarm_actions=list(source.alarm_actions) or None,
            opts=pulumi.ResourceOptions(parent=self),
        )


_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def _rules(source: ReplicatedBucket, destinations: Sequence[ReplicatedBucket]) -> list[_Rule]:
    """A rule per destination and prefix. S3 asks for priorities that differ, whatever they are."""
    pairs = [(destination, prefix) for destination in destinations for prefix in REPLICATED_PREFIXES]
    return [
        _Rule(source=source, destination=destination, prefix=prefix, priority=priority)
        for priority, (destination, prefix) in enumerate(pairs, start=1)
    ]


def _as_declared(rule: _Rule) -> s3.BucketReplicationConfigRuleArgsDict:
    return {
        "id": rule.id,
        "priority": rule.priority,
        "status": "Enabled",
        "filter": {"prefix": rule.prefix},
        "delete_marker_replication": {"status": "Disabled"},
        "destination": {"bucket": rule.destination.arn, "metrics": {"status": "Enabled"}},
    }


def _policy(arns: Sequence[str]) -> str:
    """What replication needs, on these buckets and prefixes, each of which is a source and a destination (S3 User
    Guide, "Setting up permissions for live replication"); without s3:ReplicateDelete, which only delete markers need,
    and without s3:ObjectOwnerOverrideToBucketOwner, as all are of one account.
    """
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
