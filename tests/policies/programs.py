"""Programs that pass, for the tests to damage in one place."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.policies.harness import OUTSIDE, UNKNOWN, Declared, Program, Provider

IRELAND: Final = "eu-west-1"
FRANKFURT: Final = "eu-central-1"
STOCKHOLM: Final = "eu-north-1"
SITES: Final = {"primary": IRELAND, "secondary": FRANKFURT}

RECORD: Final = "aws:route53/record:Record"
CHECK: Final = "aws:route53/healthCheck:HealthCheck"
ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
BUCKET: Final = "aws:s3/bucket:Bucket"
VERSIONING: Final = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PUBLIC_ACCESS: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
REPLICATION: Final = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
ROLE: Final = "aws:iam/role:Role"
GROUP: Final = "aws:autoscaling/group:Group"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
VPC: Final = "aws:ec2/vpc:Vpc"
SITE_CONTRACT: Final = "lockstep:contract:SiteContract"
GLOBAL_CONTRACT: Final = "lockstep:contract:GlobalContract"


def balancer_name(site: str, region: str) -> str:
    return f"{site}-1234567890.{region}.elb.amazonaws.com"


def add_site_name(program: Program, site: str, region: str, provider: Provider | None) -> Declared:
    """A balancer, and the site's own name that leads to it."""
    balancer = program.add(
        BALANCER,
        f"{site}-alb",
        {"dnsName": balancer_name(site, region), "zoneId": "Z32O12XQLNTSW2", "internal": False},
        provider=provider,
    )
    return program.add(
        RECORD,
        f"{site}-own",
        {
            "name": f"{site}.app.example.com",
            "fqdn": f"{site}.app.example.com",
            "type": "A",
            "zoneId": "Z1",
            "aliases": [{"name": balancer.props["dnsName"], "zoneId": "Z32O12XQLNTSW2", "evaluateTargetHealth": False}],
            "healthCheckId": "",
            "weightedRoutingPolicies": [],
        },
        {"aliases": [balancer]},
        provider=provider,
    )


def add_member(program: Program, site: str, target: list[Declared | str]) -> None:
    """A weighted record with a calculated check over an endpoint check of the site's own name."""
    endpoint = program.add(
        CHECK,
        f"{site}-endpoint",
        {
            "id": f"endpoint-{site}",
            "type": "HTTP",
            "fqdn": f"{site}.app.example.com",
            "port": 80,
            "resourcePath": "/healthz",
            "failureThreshold": 3,
            "requestInterval": 10,
            "disabled": False,
            "invertHealthcheck": False,
            "searchString": "",
        },
        {"fqdn": target},
    )
    check = program.add(
        CHECK,
        f"{site}-check",
        {
            "id": f"check-{site}",
            "type": "CALCULATED",
            "childHealthchecks": [f"endpoint-{site}"],
            "childHealthThreshold": 1,
            "disabled": False,
            "invertHealthcheck": False,
            # What pulumi-aws reports for a check without these.
            "failureThreshold": 0,
            "fqdn": "",
        },
        {"childHealthchecks": [endpoint]},
    )
    program.add(
        RECORD,
        f"{site}-member",
        {
            "name": "app.example.com",
            "fqdn": "app.example.com",
            "type": "CNAME",
            "zoneId": "Z1",
            "records": [f"{site}.app.example.com"],
            "ttl": 30,
            "setIdentifier": site,
            "weightedRoutingPolicies": [{"weight": 1}],
            "healthCheckId": f"check-{site}",
        },
        {"healthCheckId": [check], "records": target},
    )


def traffic() -> Program:
    """A plain program, after its update: two balancers in two regions and a weighted name over them."""
    program = Program(Provider("aws", STOCKHOLM))
    for site, region in SITES.items():
        own = add_site_name(program, site, region, Provider(site, region))
        add_member(program, site, [own])
    return program


def traffic_in_preview() -> Program:
    """The same program before its first update: what AWS computes is unknown."""
    program = traffic()
    for site in SITES:
        program[f"{site}-alb"].props |= {"dnsName": UNKNOWN, "zoneId": UNKNOWN}
        program[f"{site}-own"].props |= {"fqdn": UNKNOWN, "aliases": [{"name": UNKNOWN, "zoneId": UNKNOWN}]}
        program[f"{site}-endpoint"].props |= {"id": UNKNOWN, "fqdn": UNKNOWN, "failureThreshold": UNKNOWN}
        program[f"{site}-check"].props |= {"id": UNKNOWN, "childHealthchecks": [UNKNOWN], "failureThreshold": UNKNOWN}
        program[f"{site}-member"].props |= {"fqdn": UNKNOWN, "healthCheckId": UNKNOWN, "records": [UNKNOWN]}
    return program


def tls_only(name: str) -> str:
    """The policy that refuses plain HTTP for a bucket and its objects."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
    )


def add_bucket(program: Program, site: str, provider: Provider) -> Declared:
    """A bucket with everything but its replication."""
    name = f"packages-{site}"
    bucket = program.add(
        BUCKET,
        f"{site}-bucket",
        # After a refresh the bucket mirrors what S3 has, whoever declared it.
        {"id": name, "bucket": name, "arn": f"arn:aws:s3:::{name}", "versioning": {"enabled": True}},
        provider=provider,
    )
    of_bucket = {"bucket": [bucket]}
    program.add(
        VERSIONING,
        f"{site}-versioning",
        {"bucket": name, "versioningConfiguration": {"status": "Enabled"}},
        of_bucket,
        provider,
    )
    program.add(
        ENCRYPTION,
        f"{site}-encryption",
        {"bucket": name, "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        of_bucket,
        provider,
    )
    program.add(
        PUBLIC_ACCESS,
        f"{site}-public-access",
        {
            "bucket": name,
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
        of_bucket,
        provider,
    )
    program.add(
        POLICY, f"{site}-policy", {"bucket": name, "policy": tls_only(name)}, of_bucket | {"policy": [bucket]}, provider
    )
    return bucket


def rule(destination: Any, prefix: str = "") -> dict[str, Any]:
    """An enabled rule that leaves delete markers alone."""
    return {
        "status": "Enabled",
        "filter": {"prefix": prefix},
        "deleteMarkerReplication": {"status": "Disabled"},
        "destination": {"bucket": destination},
    }


def buckets() -> Program:
    """A plain program, after its update: two buckets that replicate to each other."""
    program = Program()
    providers = {site: Provider(site, region) for site, region in SITES.items()}
    declared = {site: add_bucket(program, site, providers[site]) for site in SITES}
    role = program.add(
        ROLE, "replication", {"arn": "arn:aws:iam::123456789012:role/replication"}, provider=providers["primary"]
    )
    for site, peer in (("primary", "secondary"), ("secondary", "primary")):
        program.add(
            REPLICATION,
            f"{site}-replication",
            {"bucket": f"packages-{site}", "role": role.props["arn"], "rules": [rule(f"arn:aws:s3:::packages-{peer}")]},
            {"bucket": [declared[site]], "rules": [declared[peer]], "role": [role]},
            providers[site],
        )
    return program


def buckets_in_preview() -> Program:
    """The same program before its first update."""
    program = buckets()
    for site in SITES:
        program[f"{site}-bucket"].props |= {"id": UNKNOWN, "arn": UNKNOWN, "versioning": UNKNOWN}
        for part in ("versioning", "encryption", "public-access", "policy", "replication"):
            program[f"{site}-{part}"].props["bucket"] = UNKNOWN
        program[f"{site}-policy"].props["policy"] = UNKNOWN
        program[f"{site}-replication"].props |= {"role": UNKNOWN, "rules": [rule(UNKNOWN)]}
    program["replication"].props["arn"] = UNKNOWN
    return program


def site() -> Program:
    """A site stack of Lockstep, after its update."""
    provider = Provider("primary", IRELAND)
    program = Program(provider)
    bucket = add_bucket(program, "primary", provider)
    balancer = program.add(
        BALANCER,
        "primary-alb",
        {"dnsName": balancer_name("primary", IRELAND), "zoneId": "Z32O12XQLNTSW2", "internal": False},
    )
    template = program.add(TEMPLATE, "primary-template", {"id": "lt-0abc", "latestVersion": 1})
    fleet = program.add(
        GROUP, "primary-fleet", {"id": "primary-fleet", "name": "primary-fleet", "targetGroupArns": [arn(IRELAND)]}
    )
    program.add(VPC, "primary-vpc", {"id": "vpc-0abc", "arn": "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-0abc"})
    program.add(ROLE, "primary-role", {"arn": "arn:aws:iam::123456789012:role/primary"})
    program.add(
        SITE_CONTRACT,
        "contract",
        {
            "region": IRELAND,
            "peerRegion": FRANKFURT,
            "replicaBucketRegion": FRANKFURT,
            "rtoSeconds": 120,
            "bucketName": "packages-primary",
            "bucketArn": "arn:aws:s3:::packages-primary",
            "siteDomain": "primary.app.example.com",
            "albDnsName": balancer_name("primary", IRELAND),
            "albZoneId": "Z32O12XQLNTSW2",
            "fleetName": "primary-fleet",
            "launchTemplateId": "lt-0abc",
        },
        {
            "bucketName": [bucket],
            "bucketArn": [bucket],
            "albDnsName": [balancer],
            "albZoneId": [balancer],
            "fleetName": [fleet],
            "launchTemplateId": [template],
        },
    )
    return program


def arn(region: str) -> str:
    return f"arn:aws:elasticloadbalancing:{region}:123456789012:targetgroup/app/73e2d6bc24d8a067"


def site_in_preview() -> Program:
    """The site before its first update."""
    program = site()
    program["primary-bucket"].props |= {"id": UNKNOWN, "arn": UNKNOWN, "versioning": UNKNOWN}
    for part in ("versioning", "encryption", "public-access", "policy"):
        program[f"primary-{part}"].props["bucket"] = UNKNOWN
    program["primary-policy"].props["policy"] = UNKNOWN
    program["primary-alb"].props |= {"dnsName": UNKNOWN, "zoneId": UNKNOWN}
    program["primary-template"].props["id"] = UNKNOWN
    program["primary-vpc"].props |= {"id": UNKNOWN, "arn": UNKNOWN}
    program["primary-fleet"].props |= {"id": UNKNOWN, "targetGroupArns": [UNKNOWN]}
    program["contract"].props |= dict.fromkeys(
        ("bucketName", "bucketArn", "albDnsName", "albZoneId", "launchTemplateId"), UNKNOWN
    )
    return program


def whole() -> Program:
    """The global stack of Lockstep, after its update."""
    program = Program(Provider("global", STOCKHOLM))
    for site, region in SITES.items():
        program.add(
            RECORD,
            f"{site}-own",
            {
                "name": f"{site}.app.example.com",
                "fqdn": f"{site}.app.example.com",
                "type": "A",
                "zoneId": "Z1",
                "aliases": [
                    {"name": balancer_name(site, region), "zoneId": "Z32O12XQLNTSW2", "evaluateTargetHealth": False}
                ],
            },
            {"aliases": [OUTSIDE]},
        )
        add_member(program, site, [])
    role = program.add(ROLE, "replication", {"arn": "arn:aws:iam::123456789012:role/replication"})
    for site, peer in (("primary", "secondary"), ("secondary", "primary")):
        program.add(
            REPLICATION,
            f"{site}-replication",
            {
                "bucket": f"packages-{site}",
                "region": SITES[site],
                "role": role.props["arn"],
                "rules": [rule(f"arn:aws:s3:::packages-{peer}", prefix) for prefix in ("releases/", "packages/")],
            },
            {"bucket": [OUTSIDE], "rules": [OUTSIDE], "role": [role]},
        )
    checks: list[Declared | str] = [program[f"{site}-check"] for site in SITES]
    names: list[Declared | str] = [program[f"{site}-own"] for site in SITES]
    program.add(
        GLOBAL_CONTRACT,
        "contract",
        {
            "appDomain": "app.example.com",
            "zoneId": "Z1",
            "rtoSeconds": 120,
            "healthCheckIds": {site: f"check-{site}" for site in SITES},
            "recordNames": {site: f"{site}.app.example.com" for site in SITES},
            "regions": dict(SITES),
            "bucketNames": {site: f"packages-{site}" for site in SITES},
            "siteDomains": {site: f"{site}.app.example.com" for site in SITES},
        },
        {
            "healthCheckIds": checks,
            "recordNames": names,
            "bucketNames": [OUTSIDE],
        },
    )
    return program


def whole_in_preview() -> Program:
    """The global stack when no site is up yet: what comes from the sites is unknown, what comes from config isn't."""
    program = whole()
    for site in SITES:
        program[f"{site}-own"].props |= {"fqdn": UNKNOWN, "aliases": [{"name": UNKNOWN, "zoneId": UNKNOWN}]}
        program[f"{site}-endpoint"].props |= {"id": UNKNOWN}
        program[f"{site}-check"].props |= {"id": UNKNOWN, "childHealthchecks": [UNKNOWN]}
        program[f"{site}-member"].props |= {"fqdn": UNKNOWN, "healthCheckId": UNKNOWN}
        program[f"{site}-replication"].props |= {
            "bucket": UNKNOWN,
            "role": UNKNOWN,
            "rules": [rule(UNKNOWN, prefix) for prefix in ("releases/", "packages/")],
        }
    program["replication"].props["arn"] = UNKNOWN
    unknown = dict.fromkeys(SITES, UNKNOWN)
    program["contract"].props |= {"healthCheckIds": unknown, "bucketNames": unknown}
    return program
