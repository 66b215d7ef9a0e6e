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
SUBNET: Final = "aws:ec2/subnet:Subnet"
TARGETS: Final = "aws:lb/targetGroup:TargetGroup"
LISTENER: Final = "aws:lb/listener:Listener"
INSTANCE: Final = "aws:rds/instance:Instance"
CLUSTER: Final = "aws:rds/cluster:Cluster"
GLOBAL_CLUSTER: Final = "aws:rds/globalCluster:GlobalCluster"
BACKUP_REPLICATION: Final = "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"
KEY: Final = "aws:kms/key:Key"
PLAN: Final = "aws:backup/plan:Plan"
SELECTION: Final = "aws:backup/selection:Selection"
VAULT: Final = "aws:backup/vault:Vault"
LOCK: Final = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
VPC: Final = "aws:ec2/vpc:Vpc"
SECURITY_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
INGRESS_RULE: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE: Final = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
TABLE: Final = "aws:ec2/routeTable:RouteTable"
ASSOCIATION: Final = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ROUTE: Final = "aws:ec2/route:Route"
ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
OWNERSHIP: Final = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
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


def add_switch(program: Program, site: str, peer: str) -> Declared:
    """A drain switch of a site in its peer's region, as the second child of its calculated check."""
    switch = program.add(
        CHECK,
        f"{site}-switch",
        {
            "id": f"switch-{site}",
            "type": "CLOUDWATCH_METRIC",
            "cloudwatchAlarmName": f"lockstep-app-drain-{site}",
            "cloudwatchAlarmRegion": SITES[peer],
            "insufficientDataHealthStatus": "LastKnownStatus",
        },
        {"cloudwatchAlarmName": [OUTSIDE]},
    )
    check = program[f"{site}-check"]
    check.props["childHealthchecks"] = [f"endpoint-{site}", f"switch-{site}"]
    check.props["childHealthThreshold"] = 2
    check.sources["childHealthchecks"].append(switch)
    return switch


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
    """The policy that refuses plain HTTP for a bucket and its objects, and to write over what is published."""
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
                },
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:PutObject",
                    "Resource": [f"arn:aws:s3:::{name}/releases/*", f"arn:aws:s3:::{name}/packages/*"],
                    "Condition": {
                        "Null": {"s3:if-none-match": "true"},
                        "Bool": {"s3:ObjectCreationOperation": "true"},
                    },
                },
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


def add_fleet(program: Program, site: str, region: str, balancer: Declared, provider: Provider | None) -> Declared:
    """An Auto Scaling group in two zones behind a balancer."""
    subnets: list[Declared | str] = [
        program.add(
            SUBNET,
            f"{site}-subnet-{zone}",
            {"id": f"subnet-{site}-{zone}", "availabilityZone": f"{region}{zone}"},
            provider=provider,
        )
        for zone in "ab"
    ]
    targets = program.add(
        TARGETS,
        f"{site}-targets",
        {"arn": arn(region), "id": arn(region), "healthCheck": {"enabled": True, "path": "/healthz"}},
        provider=provider,
    )
    balancer.props.setdefault("arn", f"arn:aws:elasticloadbalancing:{region}:123456789012:loadbalancer/app/{site}/50dc")
    program.add(
        LISTENER,
        f"{site}-listener",
        {
            "loadBalancerArn": balancer.props["arn"],
            "defaultActions": [{"type": "forward", "targetGroupArn": arn(region)}],
        },
        {"loadBalancerArn": [balancer], "defaultActions": [targets]},
        provider,
    )
    return program.add(
        GROUP,
        f"{site}-fleet",
        {
            "id": f"{site}-fleet",
            "name": f"{site}-fleet",
            "targetGroupArns": [arn(region)],
            "vpcZoneIdentifiers": [f"subnet-{site}-{zone}" for zone in "ab"],
            "availabilityZones": [f"{region}{zone}" for zone in "ab"],
            "healthCheckType": "ELB",
            "minSize": 2,
            "maxSize": 4,
            "suspendedProcesses": [],
        },
        {"targetGroupArns": [targets], "vpcZoneIdentifiers": subnets},
        provider,
    )


def fleets() -> Program:
    """A plain program, after its update: the weighted name over two balancers, each with its fleet."""
    program = traffic()
    for site, region in SITES.items():
        add_fleet(program, site, region, program[f"{site}-alb"], Provider(site, region))
    return program


def fleets_in_preview() -> Program:
    """The same program before its first update."""
    program = fleets()
    preview = traffic_in_preview()
    for resource in preview.resources:
        program[resource.name].props |= resource.props
    for site in SITES:
        _hide_fleet(program, site)
    return program


def _hide_fleet(program: Program, site: str) -> None:
    """Takes away what AWS computes."""
    program[f"{site}-alb"].props |= {"arn": UNKNOWN}
    for zone in "ab":
        program[f"{site}-subnet-{zone}"].props["id"] = UNKNOWN
    program[f"{site}-targets"].props |= {"arn": UNKNOWN, "id": UNKNOWN}
    program[f"{site}-listener"].props |= {
        "loadBalancerArn": UNKNOWN,
        "defaultActions": [{"type": "forward", "targetGroupArn": UNKNOWN}],
    }
    program[f"{site}-fleet"].props |= {
        "id": UNKNOWN,
        "targetGroupArns": [UNKNOWN],
        "vpcZoneIdentifiers": UNKNOWN,
        "availabilityZones": UNKNOWN,
        "suspendedProcesses": UNKNOWN,
    }


def key_arn(region: str) -> str:
    return f"arn:aws:kms:{region}:123456789012:key/1234abcd"


def database_arn(region: str, name: str = "orders") -> str:
    return f"arn:aws:rds:{region}:123456789012:db:{name}"


def databases() -> Program:
    """A plain program, after its update: an instance in Ireland, its replica and its backups in Frankfurt."""
    program = Program()
    ireland, frankfurt = Provider("ireland", IRELAND), Provider("frankfurt", FRANKFURT)
    keys = {
        region: program.add(KEY, f"key-{region}", {"arn": key_arn(region), "keyId": "1234abcd"}, provider=provider)
        for region, provider in ((IRELAND, ireland), (FRANKFURT, frankfurt))
    }
    source = program.add(
        INSTANCE,
        "source",
        {
            "id": "db-ABC",
            "identifier": "orders",
            "arn": database_arn(IRELAND),
            "storageEncrypted": True,
            "kmsKeyId": key_arn(IRELAND),
            "deletionProtection": True,
            "skipFinalSnapshot": False,
            "backupRetentionPeriod": 7,
        },
        {"kmsKeyId": [keys[IRELAND]]},
        ireland,
    )
    program.add(
        INSTANCE,
        "replica",
        {
            "id": "db-DEF",
            "identifier": "orders-replica",
            "arn": database_arn(FRANKFURT, "orders-replica"),
            "replicateSourceDb": database_arn(IRELAND),
            "storageEncrypted": True,
            "kmsKeyId": key_arn(FRANKFURT),
            "deletionProtection": True,
            "skipFinalSnapshot": True,
            "backupRetentionPeriod": 1,
        },
        {"kmsKeyId": [keys[FRANKFURT]], "replicateSourceDb": [source]},
        frankfurt,
    )
    program.add(
        BACKUP_REPLICATION,
        "copies",
        {"sourceDbInstanceArn": database_arn(IRELAND), "kmsKeyId": key_arn(FRANKFURT), "retentionPeriod": 7},
        {"kmsKeyId": [keys[FRANKFURT]], "sourceDbInstanceArn": [source]},
        frankfurt,
    )
    return program


def databases_in_preview() -> Program:
    """The same program before its first update."""
    program = databases()
    for region in (IRELAND, FRANKFURT):
        program[f"key-{region}"].props |= {"arn": UNKNOWN, "keyId": UNKNOWN}
    program["source"].props |= {"id": UNKNOWN, "arn": UNKNOWN, "kmsKeyId": UNKNOWN}
    program["replica"].props |= {"id": UNKNOWN, "arn": UNKNOWN, "kmsKeyId": UNKNOWN, "replicateSourceDb": UNKNOWN}
    program["copies"].props |= {"kmsKeyId": UNKNOWN, "sourceDbInstanceArn": UNKNOWN}
    return program


def clusters() -> Program:
    """A plain program, after its update: an Aurora global database over two regions."""
    program = Program()
    ireland = Provider("ireland", IRELAND)
    whole = program.add(
        GLOBAL_CLUSTER,
        "whole",
        {"id": "shop", "globalClusterIdentifier": "shop", "deletionProtection": True},
        provider=ireland,
    )
    for site, region in SITES.items():
        program.add(
            CLUSTER,
            f"{site}-cluster",
            {
                "id": f"shop-{site}",
                "clusterIdentifier": f"shop-{site}",
                "arn": f"arn:aws:rds:{region}:123456789012:cluster:shop-{site}",
                "globalClusterIdentifier": "shop",
                "storageEncrypted": True,
                "kmsKeyId": key_arn(region),
                "deletionProtection": True,
                "skipFinalSnapshot": False,
                "backupRetentionPeriod": 7,
            },
            {"globalClusterIdentifier": [whole]},
            Provider(site, region),
        )
    return program


def vault_arn(region: str) -> str:
    return f"arn:aws:backup:{region}:123456789012:backup-vault:orders"


def backups() -> Program:
    """A plain program, after its update: a daily plan in Ireland that copies to a locked vault in Frankfurt."""
    program = Program()
    ireland, frankfurt = Provider("ireland", IRELAND), Provider("frankfurt", FRANKFURT)
    vaults = {}
    for region, provider in ((IRELAND, ireland), (FRANKFURT, frankfurt)):
        vaults[region] = program.add(
            VAULT,
            f"vault-{region}",
            {
                "id": "orders",
                "name": "orders",
                "arn": vault_arn(region),
                "kmsKeyArn": key_arn(region),
                "forceDestroy": False,
            },
            provider=provider,
        )
        program.add(
            LOCK, f"lock-{region}", {"backupVaultName": "orders"}, {"backupVaultName": [vaults[region]]}, provider
        )
    plan = program.add(
        PLAN,
        "plan",
        {
            "id": "plan-1",
            "arn": f"arn:aws:backup:{IRELAND}:123456789012:backup-plan:plan-1",
            "rules": [
                {
                    "ruleName": "daily",
                    "targetVaultName": "orders",
                    "schedule": "cron(0 5 * * ? *)",
                    "lifecycle": {"deleteAfter": 35},
                    "copyActions": [
                        {"destinationVaultArn": vault_arn(FRANKFURT), "lifecycle": {"deleteAfter": 35}},
                    ],
                }
            ],
        },
        {"rules": [vaults[IRELAND], vaults[FRANKFURT]]},
        ireland,
    )
    program.add(
        SELECTION,
        "selection",
        {"planId": "plan-1", "resources": [database_arn(IRELAND)]},
        {"planId": [plan]},
        ireland,
    )
    return program


def backups_in_preview() -> Program:
    """The same program before its first update."""
    program = backups()
    program["plan"].props |= {"id": UNKNOWN, "arn": UNKNOWN}
    program["plan"].props["rules"][0]["copyActions"][0]["destinationVaultArn"] = UNKNOWN
    program["selection"].props["planId"] = UNKNOWN
    for region in (IRELAND, FRANKFURT):
        program[f"vault-{region}"].props |= {"id": UNKNOWN, "arn": UNKNOWN}
    return program


def _add_routes(program: Program, balancer: Declared) -> None:
    """From the balancer's subnet to the internet, from the fleet's to S3's endpoint."""
    program.add(SUBNET, "primary-public", {"id": "subnet-public", "availabilityZone": "eu-west-1a"})
    balancer.props["subnets"] = ["subnet-public"]
    balancer.sources["subnets"] = [program["primary-public"]]
    for kind, subnets in (("public", ["primary-public"]), ("private", ["primary-subnet-a", "primary-subnet-b"])):
        table = program.add(TABLE, f"primary-{kind}-table", {"id": f"rtb-{kind}"})
        for name in subnets:
            program.add(
                ASSOCIATION,
                f"{name}-association",
                {"subnetId": program[name].props["id"], "routeTableId": f"rtb-{kind}"},
                {"subnetId": [program[name]], "routeTableId": [table]},
            )
    program.add(
        ROUTE,
        "primary-default",
        {"routeTableId": "rtb-public", "destinationCidrBlock": "0.0.0.0/0", "gatewayId": "igw-0abc"},
        {"routeTableId": [program["primary-public-table"]]},
    )
    program.add(
        ENDPOINT,
        "primary-s3",
        {"routeTableIds": ["rtb-private"], "vpcEndpointType": "Gateway", "policy": "{}"},
        {"routeTableIds": [program["primary-private-table"]]},
    )


def site() -> Program:
    """A site stack of Lockstep, after its update."""
    provider = Provider("primary", IRELAND)
    program = Program(provider)
    bucket = add_bucket(program, "primary", provider)
    balancer = program.add(
        BALANCER,
        "primary-alb",
        {
            "dnsName": balancer_name("primary", IRELAND),
            "zoneId": "Z32O12XQLNTSW2",
            "internal": False,
            "dropInvalidHeaderFields": True,
            "enableDeletionProtection": True,
            "securityGroups": ["sg-balancer"],
        },
    )
    template = program.add(
        TEMPLATE,
        "primary-template",
        {
            "id": "lt-0abc",
            "latestVersion": 1,
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}],
            "vpcSecurityGroupIds": ["sg-instances"],
            "imageId": "ami-0abc",
            "instanceType": "t4g.small",
            "userData": "I2Nsb3VkLWNvbmZpZwo=",
            "tagSpecifications": [
                {"resourceType": "volume", "tags": {"Name": "primary"}},
                {"resourceType": "instance", "tags": {"Name": "primary", "lockstep:release": "1.0.0"}},
            ],
        },
    )
    fleet = add_fleet(program, "primary", IRELAND, balancer, provider)
    program.add(VPC, "primary-vpc", {"id": "vpc-0abc", "arn": "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-0abc"})
    program.add(ROLE, "primary-role", {"arn": "arn:aws:iam::123456789012:role/primary"})
    for name in ("balancer", "instances"):
        group = program.add(SECURITY_GROUP, f"primary-{name}", {"id": f"sg-{name}"})
        open_to_all = {"cidrIpv4": "0.0.0.0/0"} if name == "balancer" else {}
        for way, token in (("in", INGRESS_RULE), ("out", EGRESS_RULE)):
            program.add(
                token,
                f"primary-{name}-{way}",
                {"securityGroupId": f"sg-{name}", **open_to_all},
                {"securityGroupId": [group]},
            )
    _add_routes(program, balancer)
    alarm = program.add(
        ALARM,
        "primary-switch",
        {
            "id": "lockstep-app-drain-secondary",
            "name": "lockstep-app-drain-secondary",
            "period": 60,
            "comparisonOperator": "GreaterThanOrEqualToThreshold",
            "threshold": 1,
            "treatMissingData": "missing",
            "dimensions": {"Site": "secondary"},
        },
    )
    program.add(
        SITE_CONTRACT,
        "contract",
        {
            "region": IRELAND,
            "peerRegion": FRANKFURT,
            "replicaBucketRegion": FRANKFURT,
            "rtoSeconds": 120,
            "rpoSeconds": 60,
            "drainAlarmName": "lockstep-app-drain-secondary",
            "bucketName": "packages-primary",
            "bucketArn": "arn:aws:s3:::packages-primary",
            "siteDomain": "primary.app.example.com",
            "albDnsName": balancer_name("primary", IRELAND),
            "albZoneId": "Z32O12XQLNTSW2",
            "fleetName": "primary-fleet",
            "launchTemplateId": "lt-0abc",
            "release": "1.0.0",
        },
        {
            "bucketName": [bucket],
            "bucketArn": [bucket],
            "albDnsName": [balancer],
            "albZoneId": [balancer],
            "fleetName": [fleet],
            "launchTemplateId": [template],
            "drainAlarmName": [alarm],
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
    _hide_fleet(program, "primary")
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
        add_switch(program, site, "secondary" if site == "primary" else "primary")
    role = program.add(ROLE, "replication", {"arn": "arn:aws:iam::123456789012:role/replication"})
    program.add(ROLE_POLICY, "replication-policy", {"role": "replication", "policy": "{}"}, {"role": [role]})
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
            "rpoSeconds": 60,
            "healthCheckIds": {site: f"check-{site}" for site in SITES},
            "recordNames": {site: f"{site}.app.example.com" for site in SITES},
            "regions": dict(SITES),
            "bucketNames": {site: f"packages-{site}" for site in SITES},
            "siteDomains": {site: f"{site}.app.example.com" for site in SITES},
            "releases": dict.fromkeys(SITES, "1.0.0"),
        },
        {
            "healthCheckIds": checks,
            "recordNames": names,
            "bucketNames": [OUTSIDE],
            "releases": [OUTSIDE],
        },
    )
    return program


def whole_in_preview() -> Program:
    """The global stack when no site is up yet: what comes from the sites is unknown, what comes from config isn't."""
    program = whole()
    for site in SITES:
        program[f"{site}-own"].props |= {"fqdn": UNKNOWN, "aliases": [{"name": UNKNOWN, "zoneId": UNKNOWN}]}
        program[f"{site}-endpoint"].props |= {"id": UNKNOWN}
        program[f"{site}-switch"].props |= {"id": UNKNOWN, "cloudwatchAlarmName": UNKNOWN}
        program[f"{site}-check"].props |= {"id": UNKNOWN, "childHealthchecks": [UNKNOWN, UNKNOWN]}
        program[f"{site}-member"].props |= {"fqdn": UNKNOWN, "healthCheckId": UNKNOWN}
        program[f"{site}-replication"].props |= {
            "bucket": UNKNOWN,
            "role": UNKNOWN,
            "rules": [rule(UNKNOWN, prefix) for prefix in ("releases/", "packages/")],
        }
    program["replication"].props["arn"] = UNKNOWN
    unknown = dict.fromkeys(SITES, UNKNOWN)
    program["contract"].props |= {"healthCheckIds": unknown, "bucketNames": unknown, "releases": {}}
    return program
