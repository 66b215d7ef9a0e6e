"""Load balancers refuse what AWS refuses, and have the names, zones and attributes that AWS gives."""

import datetime
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.elbv2.models import elbv2_backends

from sandbox.api import elbv2_attributes, images
from sandbox.api.backend_lock import backend_lock
from sandbox.api.elbv2_configuration import configuration
from sandbox.balancer.configuration import Configuration

ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
FAILOVER = "target_group_health.dns_failover.minimum_healthy_targets"
IMAGE = images.image_id("eu-west-1", images.releases()[-1].image_name("x86_64"))


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


class Network:
    """A VPC with a subnet in each of three zones, an internet gateway and a security group."""

    def __init__(self, ec2: Any, region: str = "eu-west-1", block: int = 1) -> None:
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock=f"10.{block}.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.{block}.{number}.0/24", AvailabilityZone=f"{region}{letter}"
            )["Subnet"]["SubnetId"]
            for number, letter in enumerate("abc")
        ]
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.group = ec2.create_security_group(GroupName="web", Description="d", VpcId=self.vpc)["GroupId"]


@pytest.fixture
def elb(aws: Any) -> Any:
    return aws("elbv2")


@pytest.fixture
def network(aws: Any) -> Network:
    return Network(aws("ec2"))


def balancer(elb: Any, network: Network, **more: Any) -> dict[str, Any]:
    request = {"Name": "web", "Subnets": network.subnets[:2], "SecurityGroups": [network.group], **more}
    return dict(elb.create_load_balancer(**request)["LoadBalancers"][0])


def target_group(elb: Any, network: Network, **more: Any) -> dict[str, Any]:
    request = {"Name": "web", "Protocol": "HTTP", "Port": 80, "VpcId": network.vpc, **more}
    return dict(elb.create_target_group(**request)["TargetGroups"][0])


def listener(elb: Any, arn: str, group: str, **more: Any) -> dict[str, Any]:
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    request = {"LoadBalancerArn": arn, "Protocol": "HTTP", "Port": 80, "DefaultActions": actions, **more}
    return dict(elb.create_listener(**request)["Listeners"][0])


def instance(network: Network) -> str:
    started = network.ec2.run_instances(
        ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=network.subnets[0]
    )
    return str(started["Instances"][0]["InstanceId"])


@pytest.mark.change("elbv2-load-balancers")
@pytest.mark.parametrize(
    ("region", "zone"),
    [("eu-west-1", "Z32O12XQLNTSW2"), ("eu-central-1", "Z215JYRZR1TBD5"), ("us-east-1", "Z35SXDOTRQ7X7K")],
)
def test_a_balancer_has_the_hosted_zone_of_its_region(aws: Any, region: str, zone: str) -> None:
    """Without it alias records that AWS refuses are taken here."""
    made = balancer(aws("elbv2", region), Network(aws("ec2", region), region))
    assert made["CanonicalHostedZoneId"] == zone


@pytest.mark.change("elbv2-load-balancers")
def test_a_dns_name_is_never_given_twice(elb: Any, network: Network) -> None:
    """Without it a replaced balancer keeps its DNS name, and records that still name the old one go unnoticed."""
    first = balancer(elb, network, Name="Web-App")
    elb.delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])
    second = balancer(elb, network, Name="Web-App")
    for made in (first, second):
        assert re.fullmatch(r"web-app-\d{9,10}\.eu-west-1\.elb\.amazonaws\.com", made["DNSName"])
    assert first["DNSName"] != second["DNSName"]
    internal = balancer(elb, network, Name="inside", Scheme="internal")
    assert internal["DNSName"].startswith("internal-inside-")


@pytest.mark.change("elbv2-load-balancers")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" * 33, "cannot be longer than '32' characters"),
        ("with_underscore", "alphanumeric characters and hyphens"),
        ("-web", "cannot begin or end with '-'"),
        ("web-", "cannot begin or end with '-'"),
        ("internal-web", "cannot begin with 'internal-'"),
    ],
)
def test_a_balancer_name_follows_the_rules(elb: Any, network: Network, name: str, words: str) -> None:
    """Without it a name that AWS refuses is found at the first deployment."""
    code, message = refused(lambda: balancer(elb, network, Name=name))
    assert (code, words in message) == ("ValidationError", True)


@pytest.mark.change("elbv2-load-balancers")
def test_a_name_is_one_balancer(elb: Any, network: Network) -> None:
    """Without it a repeated request makes a second balancer, and two stacks share a name."""
    made = balancer(elb, network)
    assert balancer(elb, network)["LoadBalancerArn"] == made["LoadBalancerArn"]
    assert refused(lambda: balancer(elb, network, Scheme="internal")) == (
        "DuplicateLoadBalancerName",
        "A load balancer with the same name 'web' exists, but with different settings",
    )
    assert len(elb.describe_load_balancers()["LoadBalancers"]) == 1


@pytest.mark.change("elbv2-load-balancers")
def test_a_balancer_needs_two_zones(elb: Any, network: Network) -> None:
    """Without it a site that one zone's loss takes away passes every check here."""
    assert refused(lambda: balancer(elb, network, Subnets=network.subnets[:1])) == (
        "ValidationError",
        "At least two subnets in two different Availability Zones must be specified",
    )
    same_zone = network.ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.1.9.0/24", AvailabilityZone="eu-west-1a")
    twice = [network.subnets[0], same_zone["Subnet"]["SubnetId"]]
    assert refused(lambda: balancer(elb, network, Subnets=twice))[0] == "InvalidConfigurationRequest"
    missing = [network.subnets[0], "subnet-0123456789abcdef0"]
    assert refused(lambda: balancer(elb, network, Subnets=missing))[0] == "SubnetNotFound"


@pytest.mark.change("elbv2-load-balancers")
def test_a_public_balancer_needs_an_internet_gateway(elb: Any, network: Network) -> None:
    """Without it a site that nobody can reach comes up green."""
    network.ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    code, message = refused(lambda: balancer(elb, network))
    assert (code, message) == ("InvalidSubnet", f"VPC {network.vpc} has no internet gateway")
    assert balancer(elb, network, Scheme="internal")["Scheme"] == "internal"


@pytest.mark.change("elbv2-load-balancers")
def test_security_groups_are_the_vpcs_own(aws: Any, elb: Any, network: Network) -> None:
    """Without it a balancer with the other site's security group is made here."""
    other = Network(aws("ec2"), block=2)
    for group in (other.group, "sg-0123456789abcdef0"):
        code, message = refused(partial(balancer, elb, network, SecurityGroups=[group]))
        assert (code, message) == ("InvalidConfigurationRequest", "One or more security groups are invalid")
    made = balancer(elb, network)
    arn = made["LoadBalancerArn"]
    code, _ = refused(lambda: elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[other.group]))
    assert code == "InvalidConfigurationRequest"
    code, _ = refused(lambda: network.ec2.delete_security_group(GroupId=network.group))
    assert code == "DependencyViolation"


@pytest.mark.change("elbv2-load-balancers")
def test_a_balancer_moves_to_other_subnets_but_never_to_one_zone(aws: Any, elb: Any, network: Network) -> None:
    """Without it an update can take a site's balancer out of all zones but one, or into another VPC."""
    arn = balancer(elb, network)["LoadBalancerArn"]
    move = partial(elb.set_subnets, LoadBalancerArn=arn)
    assert refused(partial(move, Subnets=network.subnets[:1]))[0] == "ValidationError"
    other = Network(aws("ec2"), block=2)
    assert refused(partial(move, Subnets=other.subnets))[0] == "InvalidConfigurationRequest"
    move(Subnets=network.subnets[1:])
    (found,) = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    assert {zone["ZoneName"] for zone in found["AvailabilityZones"]} == {"eu-west-1b", "eu-west-1c"}
    assert refused(lambda: network.ec2.delete_subnet(SubnetId=network.subnets[1]))[0] == "DependencyViolation"
    network.ec2.delete_subnet(SubnetId=network.subnets[0])


@pytest.mark.change("elbv2-load-balancers")
def test_a_missing_balancer_is_named(elb: Any, network: Network) -> None:
    """Without it asking for two balancers, one of them deleted, answers with one."""
    balancer(elb, network)
    code, message = refused(lambda: elb.describe_load_balancers(Names=["web", "gone"]))
    assert (code, "gone" in message) == ("LoadBalancerNotFound", True)


@pytest.mark.change("elbv2-load-balancers")
def test_other_kinds_of_balancers_are_refused_by_name(elb: Any, network: Network) -> None:
    """Without it a network load balancer is made that behaves like none."""
    code, message = refused(lambda: balancer(elb, network, Type="network", SecurityGroups=[]))
    assert (code, "network" in message) == ("NotImplemented", True)


@pytest.mark.change("elbv2-deletion-protection")
def test_a_protected_balancer_is_not_deleted(elb: Any, network: Network) -> None:
    """Without it a destroy that AWS would stop takes the site's balancer away here, and the hint is never tried."""
    arn = balancer(elb, network)["LoadBalancerArn"]

    def protect(value: str) -> None:
        attributes = [{"Key": "deletion_protection.enabled", "Value": value}]
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)

    protect("true")
    assert refused(lambda: elb.delete_load_balancer(LoadBalancerArn=arn))[0] == "OperationNotPermitted"
    assert len(elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]) == 1
    protect("false")
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert refused(lambda: elb.describe_load_balancers(LoadBalancerArns=[arn]))[0] == "LoadBalancerNotFound"


@pytest.mark.change("elbv2-load-balancer-attributes")
def test_attributes_have_defaults_and_come_back_as_set(elb: Any, network: Network) -> None:
    """Without it a refresh finds drift in attributes that nobody touched."""
    arn = balancer(elb, network)["LoadBalancerArn"]

    def attributes() -> dict[str, str]:
        found = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        return {attribute["Key"]: attribute["Value"] for attribute in found}

    before = attributes()
    assert before["idle_timeout.timeout_seconds"] == "60"
    assert before["client_keep_alive.seconds"] == "3600"
    assert before["routing.http.desync_mitigation_mode"] == "defensive"
    changes = {
        "idle_timeout.timeout_seconds": "4000",
        "client_keep_alive.seconds": "300",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value} for key, value in changes.items()]
    )
    assert attributes() == {**before, **changes}


@pytest.mark.change("elbv2-load-balancer-attributes")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("idle_timeout.timeout_seconds", "0"),
        ("idle_timeout.timeout_seconds", "4001"),
        ("idle_timeout.timeout_seconds", "soon"),
        ("client_keep_alive.seconds", "59"),
        ("deletion_protection.enabled", "yes"),
        ("routing.http.desync_mitigation_mode", "loose"),
        ("idle_timeout", "60"),
    ],
)
def test_an_attribute_outside_its_limits_is_refused_by_key(elb: Any, network: Network, key: str, value: str) -> None:
    """Without it a setting that AWS refuses is kept here."""
    arn = balancer(elb, network)["LoadBalancerArn"]
    change = partial(
        elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}]
    )
    code, message = refused(change)
    assert (code, key in message) == ("ValidationError", True)


@pytest.mark.change("elbv2-listeners")
def test_a_port_has_one_listener(elb: Any, network: Network) -> None:
    """Without it two listeners fight for one port on AWS only."""
    arn, group = balancer(elb, network)["LoadBalancerArn"], target_group(elb, network)["TargetGroupArn"]
    first = listener(elb, arn, group)
    assert "SslPolicy" not in first
    code, message = refused(lambda: listener(elb, arn, group))
    assert (code, arn in message) == ("DuplicateListener", True)
    second = listener(elb, arn, group, Port=81)
    code, _ = refused(lambda: elb.modify_listener(ListenerArn=second["ListenerArn"], Port=80))
    assert code == "DuplicateListener"
    assert refused(lambda: listener(elb, arn, group, Port=70000))[0] == "ValidationError"


@pytest.mark.change("elbv2-listeners")
def test_a_listener_has_a_protocol_of_its_balancer(elb: Any, network: Network) -> None:
    """Without it a listener that was changed to TCP is kept, and answers nobody."""
    arn, group = balancer(elb, network)["LoadBalancerArn"], target_group(elb, network)["TargetGroupArn"]
    modify = partial(elb.modify_listener, ListenerArn=listener(elb, arn, group)["ListenerArn"])
    code, message = refused(partial(listener, elb, arn, group, Protocol="TCP", Port=81))
    assert (code, message) == ("ValidationError", "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'")
    for protocol in ("TCP", "TLS", "UDP"):
        assert refused(partial(modify, Protocol=protocol)) == (code, message.replace("TCP", protocol))
    assert refused(partial(modify, Protocol="SPDY"))[0] == "ValidationError"
    (found,) = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    assert found["Protocol"] == "HTTP"
    modify(Protocol="HTTP", Port=82)


def issued_certificate(acm: Any) -> str:
    """The ARN of a certificate that ACM has issued: an imported one needs no validation."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "primary.example.test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    imported = acm.import_certificate(Certificate=signed.public_bytes(serialization.Encoding.PEM), PrivateKey=private)
    return str(imported["CertificateArn"])


@pytest.mark.change("elbv2-listeners")
def test_https_needs_an_issued_certificate(aws: Any, elb: Any, network: Network) -> None:
    """Without it a listener with a certificate that is still being validated, or gone, comes up here."""
    arn, group = balancer(elb, network)["LoadBalancerArn"], target_group(elb, network)["TargetGroupArn"]
    https = partial(listener, elb, arn, group, Protocol="HTTPS", Port=443)
    assert refused(https)[0] == "ValidationError"
    missing = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    assert refused(partial(https, Certificates=[{"CertificateArn": missing}]))[0] == "CertificateNotFound"
    acm = aws("acm")
    pending = acm.request_certificate(DomainName="primary.example.test", ValidationMethod="DNS")["CertificateArn"]
    assert refused(partial(https, Certificates=[{"CertificateArn": pending}]))[0] == "UnsupportedCertificate"
    issued = issued_certificate(acm)
    policy = partial(https, Certificates=[{"CertificateArn": issued}], SslPolicy="ELBSecurityPolicy-None")
    assert refused(policy)[0] == "SSLPolicyNotFound"
    made = https(Certificates=[{"CertificateArn": issued}])
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert [certificate["CertificateArn"] for certificate in made["Certificates"]] == [issued]


@pytest.mark.change("elbv2-listeners")
def test_https_is_redirected_to_https_only(aws: Any, elb: Any, network: Network) -> None:
    """Without it a listener that AWS refuses sends its clients from an encrypted connection to a plain one."""
    arn, group = balancer(elb, network)["LoadBalancerArn"], target_group(elb, network)["TargetGroupArn"]
    certificates = [{"CertificateArn": issued_certificate(aws("acm"))}]
    https = listener(elb, arn, group, Protocol="HTTPS", Port=443, Certificates=certificates)["ListenerArn"]

    def to(protocol: str) -> list[dict[str, Any]]:
        config = {"Protocol": protocol, "Host": "www.example.test", "StatusCode": "HTTP_301"}
        return [{"Type": "redirect", "RedirectConfig": config}]

    condition = {"Field": "path-pattern", "Values": ["/old"]}
    rule = partial(elb.create_rule, ListenerArn=https, Priority=1, Conditions=[condition])
    for change in (
        partial(elb.modify_listener, ListenerArn=https, DefaultActions=to("HTTP")),
        partial(rule, Actions=to("HTTP")),
        partial(
            listener, elb, arn, group, Protocol="HTTPS", Port=444, Certificates=certificates, DefaultActions=to("HTTP")
        ),
    ):
        code, message = refused(change)
        assert (code, "from HTTPS to HTTP" in message) == ("InvalidLoadBalancerAction", True), message
    rule(Actions=to("HTTPS"))
    elb.modify_listener(ListenerArn=https, DefaultActions=to("#{protocol}"))


@pytest.mark.change("elbv2-listeners")
def test_a_target_group_belongs_to_one_balancer_of_its_vpc(aws: Any, elb: Any, network: Network) -> None:
    """Without it both balancers of a replacement can hold one target group, which AWS forbids."""
    first, group = balancer(elb, network), target_group(elb, network)["TargetGroupArn"]
    listener(elb, first["LoadBalancerArn"], group)
    second = balancer(elb, network, Name="second")
    code, _ = refused(lambda: listener(elb, second["LoadBalancerArn"], group))
    assert code == "TargetGroupAssociationLimit"
    assert refused(lambda: elb.delete_target_group(TargetGroupArn=group))[0] == "ResourceInUse"
    elb.delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])
    listener(elb, second["LoadBalancerArn"], group)
    foreign = target_group(elb, Network(aws("ec2"), block=2), Name="foreign")["TargetGroupArn"]
    code, _ = refused(lambda: listener(elb, second["LoadBalancerArn"], foreign, Port=81))
    assert code == "InvalidConfigurationRequest"
    missing = group[:-4] + "0000"
    code, _ = refused(lambda: listener(elb, second["LoadBalancerArn"], missing, Port=81))
    assert code == "TargetGroupNotFound"


@pytest.mark.change("elbv2-target-groups")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Name": "a" * 33}, "cannot be longer than '32' characters"),
        ({"Name": "web_app"}, "alphanumeric characters and hyphens"),
        ({"Name": "-web"}, "cannot begin or end with '-'"),
        ({"VpcId": "vpc-0123456789abcdef0"}, "vpc-0123456789abcdef0"),
        ({"Port": 70000}, "'70000'"),
        ({"HealthCheckIntervalSeconds": 4}, "Health check interval '4'"),
        ({"HealthCheckIntervalSeconds": 301}, "Health check interval '301'"),
        ({"HealthCheckTimeoutSeconds": 1}, "Health check timeout '1'"),
        ({"HealthCheckTimeoutSeconds": 121, "HealthCheckIntervalSeconds": 300}, "Health check timeout '121'"),
        ({"HealthCheckIntervalSeconds": 5}, "must be smaller than the interval '5'"),
        ({"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 10}, "smaller than the interval"),
        ({"HealthyThresholdCount": 1}, "Healthy threshold count '1'"),
        ({"UnhealthyThresholdCount": 11}, "Unhealthy threshold count '11'"),
        ({"HealthCheckPath": "health"}, "must begin with a '/' character"),
        ({"HealthCheckPath": "/" + "a" * 1024}, "'1024' characters"),
        ({"Matcher": {"HttpCode": "199"}}, "'199'"),
        ({"Matcher": {"HttpCode": "200-500"}}, "'200-500'"),
        ({"Matcher": {"HttpCode": "ok"}}, "'ok'"),
        ({"HealthCheckPort": "0"}, "'0'"),
    ],
)
def test_a_target_group_outside_its_limits_is_refused(
    api: Any, network: Network, settings: dict[str, Any], words: str
) -> None:
    """Without it a health check that AWS refuses judges the fleet here."""
    # boto3 stops some of these itself; other clients send them.
    elb = boto3.client(
        "elbv2",
        region_name="eu-west-1",
        endpoint_url=api.endpoint_url,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(parameter_validation=False),
    )
    code, message = refused(lambda: target_group(elb, network, **settings))
    assert (code, words in message) == ("ValidationError", True), message


@pytest.mark.change("elbv2-target-groups")
def test_a_health_check_at_its_limits_is_taken_and_changed_within_them(elb: Any, network: Network) -> None:
    """Without it the strictest check that AWS allows can't be tried, or a later change goes unjudged."""
    group = target_group(
        elb,
        network,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=10,
        HealthCheckPath="/health",
        Matcher={"HttpCode": "200,301-302"},
    )
    arn = group["TargetGroupArn"]
    assert (group["HealthCheckIntervalSeconds"], group["HealthCheckTimeoutSeconds"]) == (5, 2)
    for change in (
        {"HealthCheckTimeoutSeconds": 5},
        {"HealthCheckIntervalSeconds": 301},
        {"HealthCheckPath": "x"},
        {"HealthyThresholdCount": 11},
        {"Matcher": {"HttpCode": "600"}},
    ):
        assert refused(partial(elb.modify_target_group, TargetGroupArn=arn, **change))[0] == "ValidationError"
    elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/ready", HealthCheckIntervalSeconds=10)
    (changed,) = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
    assert (changed["HealthCheckPath"], changed["HealthCheckIntervalSeconds"]) == ("/ready", 10)


@pytest.mark.change("elbv2-target-groups")
def test_a_name_is_one_target_group(elb: Any, network: Network) -> None:
    """Without it a repeated request fails here and passes on AWS, or the other way round."""
    group = target_group(elb, network, HealthCheckPath="/health")
    assert target_group(elb, network, HealthCheckPath="/health")["TargetGroupArn"] == group["TargetGroupArn"]
    code, message = refused(lambda: target_group(elb, network, HealthCheckPath="/other"))
    assert (code, message) == (
        "DuplicateTargetGroupName",
        "A target group with the same name 'web' exists, but with different settings",
    )


@pytest.mark.change("elbv2-target-group-attributes")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deregistration_delay.timeout_seconds", "3601"),
        ("slow_start.duration_seconds", "10"),
        ("stickiness.enabled", "maybe"),
        ("load_balancing.algorithm.type", "random"),
        ("deregistration_delay", "10"),
        *((f"{ROUTING}.count", value) for value in ("off", "0", "-1", "one", "1.5", "", "9" * 5000, "²")),
        *((f"{ROUTING}.percentage", value) for value in ("0", "101", "half", "5e1", "", "٣")),
        *((f"{FAILOVER}.count", value) for value in ("0", "on", "-1")),
        *((f"{FAILOVER}.percentage", value) for value in ("0", "101", "Off")),
    ],
)
def test_a_target_group_attribute_outside_its_limits_is_refused_by_key(
    elb: Any, network: Network, key: str, value: str
) -> None:
    """Without it a setting that AWS refuses is kept here."""
    arn = target_group(elb, network)["TargetGroupArn"]
    change = partial(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value}])
    code, message = refused(change)
    assert (code, key in message) == ("ValidationError", True)
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
    found = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    assert delay[0] in found
    assert {"Key": "stickiness.type", "Value": "lb_cookie"} in found


@pytest.mark.change("elbv2-target-group-attributes")
@pytest.mark.parametrize("unit", ["count", "percentage"])
def test_dns_fails_over_no_later_than_routing(elb: Any, network: Network, unit: str) -> None:
    """Without it a zone gets requests that AWS's configuration never sends there."""
    modify = partial(elb.modify_target_group_attributes, TargetGroupArn=target_group(elb, network)["TargetGroupArn"])

    def set_to(failover: str, routing: str) -> None:
        pairs = ((f"{FAILOVER}.{unit}", failover), (f"{ROUTING}.{unit}", routing))
        modify(Attributes=[{"Key": key, "Value": value} for key, value in pairs])

    set_to("40", "40")
    set_to("off", "50")
    code, message = refused(partial(set_to, "9", "10"))
    assert (code, "is '9' for the one and '10' for the other" in message) == ("ValidationError", True)
    # Against what it has already.
    assert refused(partial(modify, Attributes=[{"Key": f"{FAILOVER}.{unit}", "Value": "49"}]))[0] == "ValidationError"
    modify(Attributes=[{"Key": f"{FAILOVER}.{unit}", "Value": "50"}])


def values_to_try(allowed: elbv2_attributes.Values) -> list[str]:
    """What an attribute may be or may be taken for, by its rule and beside it."""
    numbers = [allowed.low, allowed.high] if isinstance(allowed, elbv2_attributes.Between) else []
    near = [str(number + step) for number in numbers if number is not None for step in (-1, 0, 1)]
    words = list(allowed) if isinstance(allowed, tuple) else []
    return [*words, *near, "", "off", "true", "-1", "0", "1", "007", "1.5", "1e2", " 1", "²", "٣", "9" * 9, "9" * 5000]


@pytest.mark.change("elbv2-load-balancer-attributes")
@pytest.mark.change("elbv2-target-group-attributes")
def test_every_value_that_is_taken_makes_a_configuration(elb: Any, network: Network) -> None:
    """Without it one attribute that can't be read stops the balancers of every region."""
    arn, group = balancer(elb, network)["LoadBalancerArn"], target_group(elb, network)["TargetGroupArn"]
    listener(elb, arn, group)
    backend = elbv2_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"]
    taken: dict[str, list[str]] = {}
    codes: set[str] = set()
    # The other thresholds may be any beside these.
    none = [{"Key": f"{FAILOVER}.{unit}", "Value": "off"} for unit in ("count", "percentage")]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=none)
    for modify, rules in (
        (partial(elb.modify_load_balancer_attributes, LoadBalancerArn=arn), elbv2_attributes.LOAD_BALANCER_ATTRIBUTES),
        (partial(elb.modify_target_group_attributes, TargetGroupArn=group), elbv2_attributes.TARGET_GROUP_ATTRIBUTES),
    ):
        for key, allowed in rules.items():
            for value in values_to_try(allowed):
                try:
                    modify(Attributes=[{"Key": key, "Value": value}])
                except ClientError as error:
                    codes.add(error.response["Error"]["Code"])
                    continue
                taken.setdefault(key, []).append(value)
                elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=none)
                with backend_lock:
                    made = configuration("127.9.9.9", backend, backend.load_balancers[arn])
                assert Configuration.read(json.loads(json.dumps(made))).groups[group].healthy_count >= 1
    assert codes == {"ValidationError"}
    assert set(taken) == {*elbv2_attributes.LOAD_BALANCER_ATTRIBUTES, *elbv2_attributes.TARGET_GROUP_ATTRIBUTES}
    assert {"1", "999999999"} <= set(taken[f"{ROUTING}.count"])
    assert {"off", "1", "100"} <= set(taken[f"{ROUTING}.percentage"])
    assert {"off", "1", "100"} <= set(taken[f"{FAILOVER}.percentage"])
    assert {"off", "1"} <= set(taken[f"{FAILOVER}.count"])


@pytest.mark.change("elbv2-targets")
def test_only_running_instances_of_the_vpc_are_registered(aws: Any, elb: Any, network: Network) -> None:
    """Without it a target group full of instances that don't exist is healthy."""
    arn = target_group(elb, network)["TargetGroupArn"]

    def register(identifier: str) -> None:
        elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": identifier}])

    code, message = refused(lambda: register("i-0123456789abcdef0"))
    assert (code, message) == ("InvalidTarget", "The following instances do not exist: 'i-0123456789abcdef0'")
    assert refused(lambda: register("10.1.0.4"))[0] == "ValidationError"
    foreign = instance(Network(aws("ec2"), block=2))
    code, message = refused(lambda: register(foreign))
    assert (code, network.vpc in message) == ("InvalidTarget", True)
    stopped = instance(network)
    network.ec2.stop_instances(InstanceIds=[stopped])
    assert refused(lambda: register(stopped))[0] == "InvalidTarget"
    running = instance(network)
    register(running)
    described = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert [target["Target"]["Id"] for target in described] == [running]


@pytest.mark.change("elbv2-targets")
def test_deregistering_what_is_not_registered_succeeds(elb: Any, network: Network) -> None:
    """Without it tidying up twice fails here."""
    arn, target = target_group(elb, network)["TargetGroupArn"], {"Id": instance(network)}
    elb.register_targets(TargetGroupArn=arn, Targets=[target])
    for _ in range(2):
        elb.deregister_targets(TargetGroupArn=arn, Targets=[target])
    assert elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"] == []


@pytest.mark.change("elbv2-target-groups")
def test_health_checks_have_awss_defaults_and_cant_be_disabled(elb: Any, network: Network) -> None:
    """Without it a group that says nothing of its checks waits twice as long here, or is never checked."""
    group = target_group(elb, network)
    assert group["HealthCheckEnabled"] is True
    assert (group["HealthCheckPath"], group["HealthCheckTimeoutSeconds"]) == ("/", 5)
    assert (group["HealthCheckIntervalSeconds"], group["ProtocolVersion"]) == (30, "HTTP1")
    code, _ = refused(lambda: target_group(elb, network, Name="unchecked", HealthCheckEnabled=False))
    assert code == "InvalidConfigurationRequest"
    arn = group["TargetGroupArn"]
    code, _ = refused(lambda: elb.modify_target_group(TargetGroupArn=arn, HealthCheckEnabled=False))
    assert code == "InvalidConfigurationRequest"


@pytest.mark.change("elbv2-targets")
def test_addresses_are_private_ones(elb: Any, network: Network) -> None:
    """Without it a group of public addresses, which AWS refuses, is made here."""
    arn = target_group(elb, network, TargetType="ip")["TargetGroupArn"]
    for address in ("198.51.100.7", "10.1.0.300", "i-0123456789abcdef0"):
        code, message = refused(partial(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": address}]))
        assert (code, address in message) == ("ValidationError", True)
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.1.0.7"}])


@pytest.mark.change("elbv2-targets")
def test_a_target_on_several_ports_is_refused_by_name(elb: Any, network: Network) -> None:
    """AWS keeps it once for each port, moto once: the second registration would take the first one away."""
    arn, started = target_group(elb, network)["TargetGroupArn"], instance(network)
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": started}])
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": started, "Port": 80}])
    twice = partial(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": started, "Port": 81}])
    code, message = refused(twice)
    assert (code, started in message) == ("NotImplemented", True)


@pytest.mark.change("elbv2-tags")
def test_tags_of_a_missing_resource_are_refused(elb: Any, network: Network) -> None:
    """Without it a balancer that was deleted behind Pulumi's back reads as one without tags."""
    made = balancer(elb, network, Tags=[{"Key": "lockstep:site", "Value": "primary"}])["LoadBalancerArn"]
    (described,) = elb.describe_tags(ResourceArns=[made])["TagDescriptions"]
    assert described["Tags"] == [{"Key": "lockstep:site", "Value": "primary"}]
    elb.delete_load_balancer(LoadBalancerArn=made)
    assert refused(lambda: elb.describe_tags(ResourceArns=[made]))[0] == "LoadBalancerNotFound"
