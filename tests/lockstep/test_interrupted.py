"""Finding what a killed update created: each kind of resource, on the real API."""

import json
from typing import Any

import pytest

from lockstep.interrupted import _FINDERS, Pending, find_pending
from sandbox.provider.aws import ClientCache
from sandbox.provider.engine import Engine, ProviderConfig
from tests.test_program import bring_up

REGION = "eu-west-1"
CONFIG = ProviderConfig(region=REGION, default_tags={"lockstep:application": "orders", "lockstep:site": "primary"})
PROVIDER = "urn:pulumi:primary::lockstep::pulumi:providers:aws::aws"


@pytest.fixture
def engine(api: Any) -> Engine:
    return Engine(ClientCache(api.endpoint_url))


class Made:
    """Creates resources as an update would, and keeps the inputs that the state would hold as pending."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.pending: list[dict[str, Any]] = []

    def __call__(self, token: str, **inputs: Any) -> str:
        checked, failures = self._engine.check(CONFIG, token, "thing", inputs, {}, b"seed")
        assert failures == []
        id, _ = self._engine.create(CONFIG, token, checked)
        self.note(token, checked)
        return id

    def note(self, token: str, inputs: dict[str, Any], kind: str = "creating") -> None:
        resource = {
            "urn": f"urn:pulumi:primary::lockstep::{token}::thing",
            "type": token,
            "custom": True,
            "inputs": inputs,
            "provider": f"{PROVIDER}::id",
        }
        self.pending.append({"resource": resource, "type": kind})

    def found(self, aws: Any, *known: str) -> list[Pending]:
        provider = {"urn": PROVIDER, "type": "pulumi:providers:aws", "inputs": {"region": REGION}}
        deployment = {
            "resources": [provider, *({"urn": id, "type": "aws:x:X", "id": id} for id in known)],
            "pending_operations": self.pending,
        }
        return find_pending(deployment, lambda region: lambda service: aws(service, region))


@pytest.fixture
def made(engine: Engine) -> Made:
    return Made(engine)


def test_network_is_found(made: Made, aws: Any) -> None:
    """A second VPC would never be noticed, and cost."""
    vpc = made("aws:ec2/vpc:Vpc", cidrBlock="10.1.0.0/16", tags={"Name": "net"})
    subnet = made("aws:ec2/subnet:Subnet", vpcId=vpc, cidrBlock="10.1.0.0/24", tags={"Name": "a"})
    gateway = made("aws:ec2/internetGateway:InternetGateway", vpcId=vpc, tags={"Name": "net"})
    table = made("aws:ec2/routeTable:RouteTable", vpcId=vpc, tags={"Name": "net"})
    made("aws:ec2/route:Route", routeTableId=table, destinationCidrBlock="0.0.0.0/0", gatewayId=gateway)
    made("aws:ec2/routeTableAssociation:RouteTableAssociation", routeTableId=table, subnetId=subnet)
    group = made("aws:ec2/securityGroup:SecurityGroup", vpcId=vpc, description="x", tags={"Name": "web"})
    rule = {"securityGroupId": group, "ipProtocol": "tcp", "fromPort": 80, "toPort": 80}
    http = made("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", **rule, cidrIpv4="0.0.0.0/0")
    made("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", **rule, referencedSecurityGroupId=group)
    out = {"securityGroupId": group, "ipProtocol": "-1", "cidrIpv4": "10.9.0.0/16"}
    egress = made("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", **out)
    ids = [each.id for each in made.found(aws)]
    assert ids[:4] == [vpc, subnet, gateway, table]
    assert ids[4:7] == [f"{table}_0.0.0.0/0", f"{subnet}/{table}", group]
    assert ids[7] == http
    assert ids[8] not in (None, http)
    assert ids[9] == egress


def test_named_resources_are_found(made: Made, aws: Any) -> None:
    """Their names are taken: creating them again fails."""
    bucket = made("aws:s3/bucket:Bucket", bucket="orders-packages")
    trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = made("aws:iam/role:Role", assumeRolePolicy=document)
    profile = made("aws:iam/instanceProfile:InstanceProfile", role=role)
    alarm = made(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        name="drain", namespace="Lockstep", metricName="Drain", comparisonOperator="GreaterThanOrEqualToThreshold",
        threshold=1, evaluationPeriods=1, period=60, statistic="Maximum",
    )  # fmt: skip
    assert [each.id for each in made.found(aws)] == [bucket, role, profile, alarm]


def test_records_and_checks_are_found(made: Made, aws: Any) -> None:
    """A record that exists can't be created; a second health check costs and checks for nobody."""
    zone = aws("route53").create_hosted_zone(Name="example.com", CallerReference="z")["HostedZone"]["Id"]
    zone = zone.rsplit("/", 1)[-1]
    check = made(
        "aws:route53/healthCheck:HealthCheck",
        type="HTTP", fqdn="primary.example.com", port=80, resourcePath="/healthz",
        failureThreshold=3, requestInterval=10, tags={"Name": "primary"},
    )  # fmt: skip
    made(
        "aws:route53/record:Record",
        zoneId=zone, name="app.example.com", type="CNAME", ttl=30, records=["primary.example.com"],
        setIdentifier="primary", weightedRoutingPolicies=[{"weight": 100}], healthCheckId=check,
    )  # fmt: skip
    assert [each.id for each in made.found(aws)] == [check, f"{zone}_app.example.com_CNAME_primary"]


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.1.0.0/16", "tagsAll": {"Name": "net"}}),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.1.0.0/16"}),
        ("aws:s3/bucket:Bucket", {"bucket": "orders-packages"}),
        ("aws:iam/role:Role", {"name": "nobody"}),
        ("aws:lb/loadBalancer:LoadBalancer", {"name": "none"}),
        ("aws:lb/targetGroup:TargetGroup", {"name": "none"}),
        ("aws:autoscaling/group:Group", {"name": "none"}),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"name": "none"}),
        ("aws:ec2/route:Route", {"routeTableId": "rtb-12345678", "destinationCidrBlock": "0.0.0.0/0"}),
        ("aws:s3/bucketVersioning:BucketVersioning", {"bucket": "orders-packages"}),
    ],
)
def test_what_is_not_there_is_not_found(made: Made, aws: Any, token: str, inputs: dict[str, Any]) -> None:
    """Taken into the state with an id of something else, it would be changed or deleted later."""
    made.note(token, inputs)
    assert [each.id for each in made.found(aws)] == [None]


def test_someone_elses_vpc_of_the_same_name_is_not_taken(made: Made, engine: Engine, aws: Any) -> None:
    """A name is no proof; the tags of application and site are."""
    other = ProviderConfig(region=REGION, default_tags={"lockstep:application": "billing", "lockstep:site": "primary"})
    inputs, _ = engine.check(
        other, "aws:ec2/vpc:Vpc", "thing", {"cidrBlock": "10.1.0.0/16", "tags": {"Name": "net"}}, {}, b""
    )
    engine.create(other, "aws:ec2/vpc:Vpc", inputs)
    made.note("aws:ec2/vpc:Vpc", {**inputs, "tagsAll": {**inputs["tagsAll"], "lockstep:application": "orders"}})
    assert [each.id for each in made.found(aws)] == [None]


def test_the_old_resource_of_a_replacement_is_not_taken_for_the_new_one(made: Made, aws: Any) -> None:
    """They are alike in name and tags; the old one, taken, would be deleted while it serves."""
    old = made("aws:ec2/vpc:Vpc", cidrBlock="10.1.0.0/16", tags={"Name": "net"})
    assert [each.id for each in made.found(aws, old)] == [None]
    new = made("aws:ec2/vpc:Vpc", cidrBlock="10.2.0.0/16", tags={"Name": "net"})
    assert made.found(aws, old)[-1].id == new


def test_updates_and_deletions_are_left_to_refresh(made: Made, aws: Any) -> None:
    """They have an id; reading them is enough."""
    for kind in ("updating", "deleting"):
        made.note("aws:ec2/vpc:Vpc", {}, kind)
    assert made.found(aws) == []


def test_every_type_of_the_program_has_a_finder_or_is_a_setting() -> None:
    """A new component whose resource can't be found again would break the promise of `lockstep up` silently."""
    settings = {
        "aws:iam/rolePolicy:RolePolicy",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketReplicationConfig:BucketReplicationConfig",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
    }
    used = {each.type for stack in ("primary", "global") for each in bring_up(stack).managed}
    assert used
    assert used - settings <= set(_FINDERS)
