"""The log bucket of a site: what services of AWS write about requests, each below a prefix of its own.

Rule: a service may write below its own prefix, for what it logs and for nothing else, and nobody reads logs by policy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

from components.names import logical
from lockstep.config.limits import BUCKET_NAME_MAX


@dataclass(frozen=True, kw_only=True)
class ServerAccessLogs:
    """S3's log of the requests to the bucket with ARN `source_arn`, below `prefix`, which has no slash at its end."""

    prefix: str
    source_arn: pulumi.Input[str]

    @property
    def target_prefix(self) -> str:
        """The prefix as BucketLogging takes it."""
        return f"{self.prefix}/"

    def statement(self, bucket_arn: str, account_id: str, source_arn: str) -> dict[str, Any]:
        """S3 User Guide, "Enabling Amazon S3 server access logging", "Permissions for log delivery". The conditions
        keep other accounts from having S3 write here in our name.
        """
        return {
            "Sid": _sid("ServerAccessLogs", self.prefix),
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/{self.target_prefix}*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": source_arn},
                "StringEquals": {"aws:SourceAccount": account_id},
            },
        }


@dataclass(frozen=True, kw_only=True)
class BalancerLogs:
    """The access log of the account's Application Load Balancers, below `prefix`, which has no slash at its end."""

    prefix: str
    source_arn: None = None

    def statement(self, bucket_arn: str, account_id: str, source_arn: None) -> dict[str, Any]:
        """User Guide for Application Load Balancers, "Enable access logs", the policy for all regions, which names no
        condition: what limits it is the account's id in the path, which Elastic Load Balancing puts there.
        """
        return {
            "Sid": _sid("BalancerLogs", self.prefix),
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/{self.prefix}/AWSLogs/{account_id}/*",
        }


Sender = ServerAccessLogs | BalancerLogs


@dataclass(frozen=True, kw_only=True)
class LogBucketArgs:
    """`senders` write the logs, `days` is how long these stay; `protect` keeps the bucket and its logs on a destroy."""

    account_id: pulumi.Input[str]
    senders: Sequence[Sender]
    days: int
    protect: bool

    def __post_init__(self) -> None:
        prefixes = [sender.prefix for sender in self.senders]
        if not prefixes:
            raise ValueError("a log bucket to which nobody writes")
        for index, prefix in enumerate(prefixes):
            # Elastic Load Balancing API Reference, LoadBalancerAttribute, "access_logs.s3.prefix", and its User Guide.
            if not prefix or prefix != prefix.strip("/") or "AWSLogs" in prefix:
                raise ValueError(f"the prefix {prefix!r}: it must not be empty, begin or end with / or hold AWSLogs")
            if any(f"{prefix}/".startswith(f"{other}/") for other in prefixes[:index] + prefixes[index + 1 :]):
                raise ValueError(f"the prefix {prefix!r} is inside of another one: its sender's logs couldn't be told")
        if self.days < 1:
            raise ValueError("S3 expires objects after 1 day or more")


class LogBucket(pulumi.ComponentResource):
    """A private bucket in which services of AWS put their logs, one for a site.

    Creates: a bucket; its default encryption, ownership, public access block, policy and lifecycle.

    Encryption is SSE-S3: neither S3's nor the load balancers' log delivery writes to a bucket under a customer's KMS
    key (S3 User Guide, "Enabling Amazon S3 server access logging"; User Guide for Application Load Balancers, "Access
    logs"). ACLs are off, so that the services' rights are all in the policy. It isn't versioned: what expires is gone.

    Data: logs go after `days`. `protect` refuses to delete the bucket, so switching logs off takes protection off
    first; without it a destroy empties it. Delivery is S3's "best effort", usually within hours. Logs aren't
    replicated.
    """

    bucket_name: pulumi.Output[str]

    def __init__(self, name: str, args: LogBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:log_bucket:LogBucket", name, {"days": args.days}, opts)
        child = pulumi.ResourceOptions(parent=self)

        bucket = s3.Bucket(
            logical(name, "bucket", BUCKET_NAME_MAX),
            force_destroy=not args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        ownership = s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=child,
        )
        # One after the other: S3 answers 409 OperationAborted to two changes of a bucket's access at once.
        private = s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[ownership]),
        )
        sources = [sender.source_arn for sender in args.senders]
        policy = s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            policy=pulumi.Output.all(bucket.arn, args.account_id, *sources).apply(
                lambda known: _policy(args.senders, known[0], known[1], known[2:])
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "expire-logs",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": args.days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=child,
        )

        # Known once the policy is there: S3 and Elastic Load Balancing refuse a bucket that they may not write to.
        self.bucket_name = pulumi.Output.all(bucket.bucket, policy.id).apply(lambda known: str(known[0]))
        self.register_outputs({"bucketName": self.bucket_name})


def _policy(senders: Sequence[Sender], bucket_arn: str, account_id: str, sources: Sequence[Any]) -> str:
    """TLS for everyone, and each sender below its prefix."""
    refused = {
        "Sid": "RefusePlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    allowed = [
        sender.statement(bucket_arn, account_id, source) for sender, source in zip(senders, sources, strict=True)
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": [refused, *allowed]})


def _sid(kind: str, prefix: str) -> str:
    """A name in the letters and digits that IAM allows for it."""
    return kind + "".join(part.capitalize() for part in prefix.replace("-", "/").split("/") if part.isalnum())
