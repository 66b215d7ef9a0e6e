"""What the processes behind load balancers can't do is refused by name where they run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api import elbv2_live
from tests.sandbox.api.test_elbv2_rules import Site, fixed, forward, path


@pytest.fixture
def site(aws: Any) -> Site:
    return Site(aws)


@pytest.fixture(autouse=True)
def live(site: Site) -> Iterator[None]:
    """As if processes ran; nothing of the refusals needs one."""
    elbv2_live.go_live(True)
    yield
    elbv2_live.go_live(False)


def set_balancer(key: str, value: str) -> Callable[[Site], Any]:
    return lambda site: site.elb.modify_load_balancer_attributes(
        LoadBalancerArn=site.balancer, Attributes=[{"Key": key, "Value": value}]
    )


def set_group(key: str, value: str) -> Callable[[Site], Any]:
    return lambda site: site.elb.modify_target_group_attributes(
        TargetGroupArn=site.groups[0], Attributes=[{"Key": key, "Value": value}]
    )


def make_group(**settings: Any) -> Callable[[Site], Any]:
    def make(site: Site) -> Any:
        (group,) = site.elb.describe_target_groups(TargetGroupArns=site.groups[:1])["TargetGroups"]
        request = {"Name": "other", "Protocol": "HTTP", "Port": 80, "VpcId": group["VpcId"], **settings}
        return site.elb.create_target_group(**request)

    return make


def make_listener(**settings: Any) -> Callable[[Site], Any]:
    request = {"Protocol": "HTTP", "Port": 81, "DefaultActions": [fixed()], **settings}
    return lambda site: site.elb.create_listener(LoadBalancerArn=site.balancer, **request)


COGNITO = {
    "UserPoolArn": "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_a",
    "UserPoolClientId": "a",
    "UserPoolDomain": "a",
}
STICKY = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}


@pytest.mark.change("elbv2-unsupported")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (set_balancer("routing.http.desync_mitigation_mode", "strictest"), "desync_mitigation_mode=strictest"),
        (set_balancer("access_logs.s3.enabled", "true"), "access_logs.s3.enabled=true"),
        (set_group("stickiness.enabled", "true"), "stickiness.enabled=true"),
        (set_group("slow_start.duration_seconds", "30"), "slow_start.duration_seconds=30"),
        (set_group("load_balancing.algorithm.type", "weighted_random"), "weighted_random"),
        (set_group("load_balancing.cross_zone.enabled", "false"), "cross_zone.enabled=false"),
        (set_group("target_group_health.dns_failover.minimum_healthy_targets.count", "2"), "dns_failover"),
        (make_group(Protocol="HTTPS"), "protocol HTTPS"),
        (make_group(HealthCheckProtocol="HTTPS"), "HealthCheckProtocol HTTPS"),
        (make_group(ProtocolVersion="GRPC"), "ProtocolVersion GRPC"),
        (make_group(ProtocolVersion="HTTP2"), "ProtocolVersion HTTP2"),
        (
            lambda site: site.elb.modify_target_group(TargetGroupArn=site.groups[0], HealthCheckProtocol="HTTPS"),
            "HTTPS",
        ),
        (make_listener(Protocol="HTTPS", Port=443), "HTTPS listeners"),
        (
            make_listener(Protocol="HTTPS", Port=443, SslPolicy="ELBSecurityPolicy-TLS13-1-0-2021-06"),
            "the security policy ELBSecurityPolicy-TLS13-1-0-2021-06",
        ),
        (
            make_listener(Protocol="HTTPS", Port=443, SslPolicy="ELBSecurityPolicy-TLS13-1-2-PQ-2025-09"),
            "the security policy ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
        ),
        (
            make_listener(
                Protocol="HTTPS",
                Port=443,
                SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
                Certificates=[{"CertificateArn": "arn:aws:iam::123456789012:server-certificate/a"}],
            ),
            "certificates of IAM's",
        ),
        (
            make_listener(MutualAuthentication={"Mode": "passthrough"}),
            "MutualAuthentication",
        ),
        (
            lambda site: site.elb.add_listener_certificates(
                ListenerArn=site.listener, Certificates=[{"CertificateArn": "arn:aws:acm:eu-west-1:1:certificate/a"}]
            ),
            "more certificates",
        ),
        (
            set_balancer("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "true"),
            "x_amzn_tls_version_and_cipher_suite",
        ),
        (make_listener(Port=57_536), "port 57536"),
        (lambda site: site.elb.modify_listener(ListenerArn=site.listener, Port=65_535), "port 65535"),
        (
            make_listener(DefaultActions=[{"Type": "forward", "ForwardConfig": STICKY}]),
            "TargetGroupStickinessConfig",
        ),
        (
            lambda site: site.rule(
                Actions=[
                    {"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": COGNITO},
                    {**fixed(), "Order": 2},
                ]
            ),
            "authenticate-cognito",
        ),
        (
            lambda site: site.rule(
                Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a"]}}]
            ),
            "RegexValues",
        ),
        (
            lambda site: site.rule(
                Transforms=[
                    {
                        "Type": "url-rewrite",
                        "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": "/b"}]},
                    }
                ]
            ),
            "Transforms",
        ),
        (
            lambda site: site.elb.set_ip_address_type(LoadBalancerArn=site.balancer, IpAddressType="dualstack"),
            "dualstack",
        ),
    ],
)
def test_what_no_process_does_is_refused_by_name(site: Site, call: Callable[[Site], Any], words: str) -> None:
    """Without it somebody takes a setting that does nothing for one that was tried out."""
    with pytest.raises(ClientError) as failed:
        call(site)
    error = failed.value.response["Error"]
    assert (error["Code"], words in error["Message"]) == ("NotImplemented", True), error["Message"]


@pytest.mark.change("elbv2-unsupported")
def test_what_processes_do_is_taken(site: Site) -> None:
    """A refusal too many, and a program that runs on AWS can't be tried here."""
    set_balancer("idle_timeout.timeout_seconds", "4000")(site)
    set_balancer("routing.http.desync_mitigation_mode", "defensive")(site)
    set_group("load_balancing.algorithm.type", "least_outstanding_requests")(site)
    set_group("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "50")(site)
    set_group("target_group_health.dns_failover.minimum_healthy_targets.count", "off")(site)
    make_group(ProtocolVersion="HTTP1")(site)
    make_listener(Port=57_535, DefaultActions=[forward(*site.groups)])(site)
    site.rule(Conditions=[path("/a")], Actions=[forward(*site.groups)])


@pytest.mark.change("elbv2-unsupported")
def test_records_keep_what_no_process_does(site: Site) -> None:
    """Tests of requests, where nothing runs, would have no way to see how a setting is kept."""
    elbv2_live.go_live(False)
    set_group("stickiness.enabled", "true")(site)
