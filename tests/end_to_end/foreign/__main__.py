"""A shop in two regions: downloads replicated both ways, and a weighted name over two balancers of another team.

Config `foreign:without` leaves out a part that disaster recovery needs: `health-check` (of one record) or `replication`
(of one bucket).
"""

import json

import pulumi
from pulumi_aws import Provider, iam, route53, s3

BALANCERS = {
    "eu-west-1": "shop-1234567890.eu-west-1.elb.amazonaws.com",
    "eu-central-1": "shop-0987654321.eu-central-1.elb.amazonaws.com",
}
IRELAND, FRANKFURT = BALANCERS
PARTS = ("", "health-check", "replication")

without = pulumi.Config().get("without") or ""
if without not in PARTS:
    raise pulumi.RunError(f"foreign:without is {without!r}; it can be {', '.join(repr(part) for part in PARTS)}")


def downloads(region: str, provider: Provider) -> tuple[s3.Bucket, s3.BucketVersioning]:
    """A private, versioned bucket that refuses plain HTTP."""
    opts = pulumi.ResourceOptions(provider=provider)
    bucket = s3.Bucket(f"downloads-{region}", force_destroy=True, opts=opts)
    versioning = s3.BucketVersioning(
        f"downloads-{region}", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=opts
    )
    private = s3.BucketPublicAccessBlock(
        f"downloads-{region}",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    s3.BucketPolicy(
        f"downloads-{region}",
        bucket=bucket.id,
        policy=bucket.arn.apply(tls_only),
        opts=pulumi.ResourceOptions(provider=provider, depends_on=[private]),
    )
    return bucket, versioning


def tls_only(arn: str) -> str:
    """A bucket policy that refuses plain HTTP."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def member(region: str, hostname: str, zone: route53.Zone, provider: Provider) -> None:
    """One region's share of the shop's name."""
    opts = pulumi.ResourceOptions(provider=provider)
    check = route53.HealthCheck(
        f"shop-{region}",
        type="HTTPS",
        fqdn=hostname,
        port=443,
        resource_path="/health",
        failure_threshold=3,
        request_interval=10,
        opts=opts,
    )
    unchecked = without == "health-check" and region == FRANKFURT
    route53.Record(
        f"shop-{region}",
        zone_id=zone.zone_id,
        name="shop.example.net",
        type="CNAME",
        ttl=60,
        records=[hostname],
        set_identifier=region,
        weighted_routing_policies=[{"weight": 50}],
        health_check_id=None if unchecked else check.id,
        opts=opts,
    )


providers = {region: Provider(region, region=region) for region in BALANCERS}
buckets = {region: downloads(region, provider) for region, provider in providers.items()}
trust = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
role = iam.Role(
    "replication",
    assume_role_policy=json.dumps(trust),
    opts=pulumi.ResourceOptions(provider=providers[IRELAND]),
)
for source, destination in ((IRELAND, FRANKFURT), (FRANKFURT, IRELAND)):
    if without == "replication" and source == FRANKFURT:
        continue
    s3.BucketReplicationConfig(
        f"downloads-{source}",
        bucket=buckets[source][0].id,
        role=role.arn,
        rules=[
            {
                "id": "everything",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "delete_marker_replication": {"status": "Disabled"},
                "destination": {"bucket": buckets[destination][0].arn},
            }
        ],
        opts=pulumi.ResourceOptions(
            provider=providers[source], depends_on=[buckets[source][1], buckets[destination][1]]
        ),
    )
zone = route53.Zone("shop", name="example.net", opts=pulumi.ResourceOptions(provider=providers[IRELAND]))
for region, hostname in BALANCERS.items():
    member(region, hostname, zone, providers[region])
