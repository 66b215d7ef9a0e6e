"""The package bucket of a site: the releases that its instances install, and the leases of deployments.

Rule: an object under `releases/` or `packages/` is never changed once it is written. The bucket's policy refuses a
write that isn't conditional on nothing being there and, while the site is protected, a deletion, which would make room
for another object of the same name; versions keep what was overwritten or deleted all the same, and a deletion isn't
replicated to the other sites.
"""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX


@dataclass(frozen=True, kw_only=True)
class AccessLogs:
    """A bucket in the same region, whose policy lets S3 write below `target_prefix`, which ends with a slash."""

    bucket_name: pulumi.Input[str]
    target_prefix: str


@dataclass(frozen=True, kw_only=True)
class PackageBucketArgs:
    """`protect` keeps the bucket and its objects on a destroy; `noncurrent_days` is how long versions stay that were
    overwritten or deleted, `upload_days` how long unfinished uploads. `access_logs` is where S3 logs its requests."""

    bucket_name: pulumi.Input[str]
    s3_endpoint_id: pulumi.Input[str]
    protect: bool
    noncurrent_days: int = 90
    upload_days: int = 7
    access_logs: AccessLogs | None = None

    def __post_init__(self) -> None:
        if self.noncurrent_days < 1 or self.upload_days < 1:
            raise ValueError("S3 expires objects after 1 day or more")


class PackageBucket(pulumi.ComponentResource):
    """A private, versioned bucket that the instances of its own site read over HTTPS, and nobody else does.

    Creates: a bucket; its versioning, default encryption, ownership, public access block, policy and lifecycle; with
    `access_logs` its server access logging, in folders by account, region, bucket and day of the request.

    Instances have no credentials for it: the policy admits them by the site's VPC endpoint, which Block Public Access
    accepts as not public (S3 User Guide, "The meaning of public"). That is why encryption is SSE-S3: S3 refuses
    anonymous reads of objects under a KMS key.

    Data: `protect` refuses to delete the bucket and what was published; without it a destroy empties it first. Nobody
    is exempt, the account's root included: to withdraw an object, an administrator takes protection off the site and
    brings it up, or changes the policy, which only s3:PutBucketPolicy allows and the next `pulumi refresh` shows.
    Publishing again after that is conditional as ever. A lifecycle rule needs no such permission (API Reference,
    PutBucketLifecycleConfiguration, "Permissions"): the one here expires no current object. Versioning keeps what is
    overwritten or deleted for `noncurrent_days`. Replication to the other sites belongs to stack `global`, which needs
    versioning at both ends.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]

    def __init__(self, name: str, args: PackageBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:package_bucket:PackageBucket", name, {"bucketName": args.bucket_name}, opts)
        child = pulumi.ResourceOptions(parent=self)

        bucket = s3.Bucket(
            f"{name}-bucket",
            bucket=args.bucket_name,
            force_destroy=not args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        versioning = s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=child,
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
        s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            policy=pulumi.Output.all(bucket.arn, args.s3_endpoint_id).apply(
                lambda ids: policy_of(ids[0], ids[1], protect=args.protect)
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=[
                {
                    "id": "expire-noncurrent-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": args.noncurrent_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": args.upload_days},
                }
            ],
            # Rules about noncurrent versions have none to act on before versioning is on.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )

        if args.access_logs is not None:
            s3.BucketLogging(
                f"{name}-logging",
                bucket=bucket.bucket,
                target_bucket=args.access_logs.bucket_name,
                target_prefix=args.access_logs.target_prefix,
                target_object_key_format={"partitioned_prefix": {"partition_date_source": "EventTime"}},
                opts=child,
            )

        self.bucket_name = bucket.bucket
        self.bucket_arn = bucket.arn
        self.register_outputs({"bucketName": self.bucket_name, "bucketArn": self.bucket_arn})


def policy_of(bucket_arn: str, s3_endpoint_id: str, *, protect: bool) -> str:
    """The policy of a package bucket, as JSON: TLS for everyone, reads of packages through the site's own endpoint, and
    nothing that is published changed or, with `protect`, deleted.

    Conditional writes are demanded as the S3 User Guide says in "Enforce conditional writes on Amazon S3 buckets": of
    what creates an object, as the calls that begin an upload and send its parts take no condition. Copies into these
    prefixes end with that. Replication isn't concerned: it needs s3:ReplicateObject, not s3:PutObject ("Setting up
    permissions for live replication"), and so keeps the versions of two regions together even where both wrote at once.
    """
    published = [f"{bucket_arn}/{RELEASES_PREFIX}*", f"{bucket_arn}/{PACKAGES_PREFIX}*"]
    statements: list[dict[str, Any]] = [
        {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "InstancesReadPackages",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": published,
            "Condition": {"StringEquals": {"aws:SourceVpce": s3_endpoint_id}},
        },
        {
            "Sid": "WriteOnlyWhatIsNotThere",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": published,
            "Condition": {
                "Null": {"s3:if-none-match": "true"},
                "Bool": {"s3:ObjectCreationOperation": "true"},
            },
        },
    ]
    if protect:
        statements.append(
            {
                "Sid": "KeepWhatIsPublished",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                "Resource": published,
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
