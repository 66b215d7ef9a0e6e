"""Rules and actions of listeners are refused as AWS refuses them, and target groups say who uses them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


class Site:
    """A balancer with one listener, which answers itself, and two target groups."""

    def __init__(self, aws: Any, block: int = 1) -> None:
        self.elb, ec2 = aws("elbv2"), aws("ec2")
        vpc = ec2.create_vpc(CidrBlock=f"10.{block}.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{block}.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for number, zone in enumerate("ab")
        ]
        made = self.elb.create_load_balancer(Name=f"web{block}", Subnets=subnets)
        self.balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
        self.groups = [
            self.elb.create_target_group(Name=f"{name}{block}", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
                "TargetGroupArn"
            ]
            for name in ("one", "two")
        ]
        self.listener = self.listen(80, [fixed()])

    def listen(self, port: int, actions: list[dict[str, Any]]) -> str:
        made = self.elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=port, DefaultActions=actions
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def rule(self, **more: Any) -> str:
        request = {
            "ListenerArn": self.listener,
            "Priority": 10,
            "Conditions": [path("/a")],
            "Actions": [fixed()],
            **more,
        }
        return str(self.elb.create_rule(**request)["Rules"][0]["RuleArn"])

    def used_by(self, group: str) -> list[str]:
        (found,) = self.elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
        return list(found["LoadBalancerArns"])


def fixed(status: str = "200", body: str = "") -> dict[str, Any]:
    config = {"StatusCode": status, "ContentType": "text/plain", "MessageBody": body}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


def forward(*groups: str) -> dict[str, Any]:
    targets = [{"TargetGroupArn": arn, "Weight": 1} for arn in groups]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": targets}}


def path(*values: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(values)}}


def host(*values: str) -> dict[str, Any]:
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(values)}}


def header(name: str, *values: str) -> dict[str, Any]:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": list(values) or ["a"]}}


def redirect(status: str = "HTTP_301", **parts: str) -> dict[str, Any]:
    return {"Type": "redirect", "RedirectConfig": {"StatusCode": status, "Port": "443", **parts}}


def source(*values: str) -> dict[str, Any]:
    return {"Field": "source-ip", "SourceIpConfig": {"Values": list(values)}}


@pytest.fixture
def site(aws: Any) -> Site:
    return Site(aws)


@pytest.mark.change("elbv2-rules")
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"Priority": 50_001}, "ValidationError", "'50001'"),
        ({"Conditions": []}, "ValidationError", "at least one condition"),
        ({"Conditions": [path("/a"), path("/b")]}, "ValidationError", "one condition of type 'path-pattern'"),
        ({"Conditions": [path("/a", "/b", "/c", "/d", "/e", "/f")]}, "ValidationError", "'5' condition values"),
        ({"Conditions": [path("/*/*/*"), source("10.0.0.0/8")]}, "", ""),
        ({"Conditions": [path("/*/*/*/*/*/*")]}, "ValidationError", "'5' condition wildcards"),
        ({"Conditions": [path("/a b")]}, "ValidationError", "/a b"),
        ({"Conditions": [source("10.0.0.1")]}, "ValidationError", "10.0.0.1"),
        ({"Conditions": [source("10.0.0.1/8")]}, "ValidationError", "10.0.0.1/8"),
        ({"Conditions": [source("255.255.255.255/32")]}, "ValidationError", "255.255.255.255/32"),
        ({"Conditions": [host("*.example.com", "a?.example.com")]}, "", ""),
        ({"Conditions": [host("localhost")]}, "ValidationError", "'localhost' must contain a '.'"),
        ({"Conditions": [{"Field": "host-header", "Values": ["localhost"]}]}, "ValidationError", "'localhost'"),
        ({"Conditions": [host("*")]}, "ValidationError", "'*' must contain a '.'"),
        ({"Conditions": [host("example.c0m")]}, "ValidationError", "only letters after the last one"),
        ({"Conditions": [host("example.*")]}, "ValidationError", "only letters after the last one"),
        ({"Conditions": [host("example.com.")]}, "ValidationError", "only letters after the last one"),
        ({"Conditions": [host("a" * 124 + ".com")]}, "", ""),
        ({"Conditions": [host("a" * 125 + ".com")]}, "ValidationError", "the limit is '128'"),
        ({"Conditions": [header("X-Canary")]}, "", ""),
        ({"Conditions": [header("Host")]}, "ValidationError", "'host-header'"),
        ({"Conditions": [header("host")]}, "ValidationError", "'host-header'"),
        ({"Conditions": [header("X Canary")]}, "ValidationError", "'X Canary'"),
        ({"Conditions": [header("")]}, "ValidationError", "'' is empty"),
        ({"Conditions": [header("a" * 40)]}, "", ""),
        ({"Conditions": [header("a" * 41)]}, "ValidationError", "the limit is '40'"),
        ({"Conditions": [header("X-Canary", "a" * 129)]}, "ValidationError", "the limit is '128'"),
        ({"Actions": [redirect("HTTP_302")]}, "", ""),
        ({"Actions": [redirect("HTTP_307")]}, "ValidationError", "[HTTP_301, HTTP_302]"),
        ({"Actions": [redirect(Protocol="HTTPS", Host="www.#{host}", Path="/#{path}/#{port}", Query="")]}, "", ""),
        ({"Actions": [redirect(Protocol="#{protocol}", Port="#{port}", Path="/a")]}, "", ""),
        ({"Actions": [redirect(Protocol="FTP")]}, "ValidationError", "(HTTPS?|#\\{protocol\\})"),
        ({"Actions": [redirect(Protocol="https")]}, "ValidationError", "protocol"),
        *(
            ({"Actions": [redirect(Port=port)]}, "InvalidLoadBalancerAction", f"and is '{port}'")
            for port in ("0", "65536", "http", "", "²", "#{host}")
        ),
        ({"Actions": [redirect(Port="65535")]}, "", ""),
        ({"Actions": [redirect(Host="a" * 129)]}, "ValidationError", "redirectConfig.host"),
        ({"Actions": [redirect(Host="a" * 128)]}, "", ""),
        ({"Actions": [redirect(Path="/" + "a" * 128)]}, "ValidationError", "redirectConfig.path"),
        ({"Actions": [redirect(Path="/" + "a" * 127)]}, "", ""),
        ({"Actions": [redirect(Path="#{path}")]}, "InvalidLoadBalancerAction", "should start with a '/'"),
        ({"Actions": [redirect(Path="/#{path}/#{path}")]}, "InvalidLoadBalancerAction", "up to one of each"),
        ({"Actions": [redirect(Query="a" * 129)]}, "ValidationError", "redirectConfig.query"),
        ({"Actions": [redirect(Query="a" * 128)]}, "", ""),
        ({"Actions": [{"Type": "redirect"}]}, "InvalidLoadBalancerAction", "'RedirectConfig'"),
        ({"Actions": [fixed(body="a" * 1024)]}, "", ""),
        ({"Actions": [fixed(body="a" * 1025)]}, "ValidationError", "1024"),
        ({"Actions": []}, "ValidationError", "at least one action"),
        ({"Actions": [fixed(), fixed("404")]}, "InvalidLoadBalancerAction", "one action"),
        (
            {"Actions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Query": "a=b"}}]},
            "InvalidLoadBalancerAction",
            "creates a loop",
        ),
    ],
)
def test_a_rule_outside_awss_limits_is_refused(site: Site, change: dict[str, Any], code: str, words: str) -> None:
    """Without it a rule that AWS refuses decides about requests here."""
    if not code:
        assert site.rule(**change)
        return
    found, message = refused(partial(site.rule, **change))
    assert (found, words in message) == (code, True), message


@pytest.mark.change("elbv2-rules")
def test_a_rule_is_changed_within_the_same_limits(site: Site) -> None:
    """Without it what can't be created can be had by a change."""
    rule = site.rule()
    loop = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}
    modify = partial(site.elb.modify_rule, RuleArn=rule)
    assert refused(partial(modify, Conditions=[path("/a b")]))[0] == "ValidationError"
    assert refused(partial(modify, Actions=[loop]))[0] == "InvalidLoadBalancerAction"
    assert refused(partial(modify, Conditions=[host("localhost")]))[0] == "ValidationError"
    assert refused(partial(modify, Conditions=[header("Host")]))[0] == "ValidationError"
    assert refused(partial(modify, Actions=[redirect("HTTP_308")]))[0] == "ValidationError"
    modify(Conditions=[path("/b")])
    (found,) = site.elb.describe_rules(RuleArns=[rule])["Rules"]
    assert found["Conditions"] == [path("/b")]


@pytest.mark.change("elbv2-rules")
def test_the_default_rule_stays_and_a_missing_one_is_named(site: Site) -> None:
    """Without it a listener is left without any answer, or a mistyped rule counts as deleted."""
    (default,) = site.elb.describe_rules(ListenerArn=site.listener)["Rules"]
    assert refused(lambda: site.elb.delete_rule(RuleArn=default["RuleArn"]))[0] == "OperationNotPermitted"
    code, _ = refused(lambda: site.elb.modify_rule(RuleArn=default["RuleArn"], Actions=[fixed()]))
    assert code == "OperationNotPermitted"
    rule = site.rule()
    site.elb.delete_rule(RuleArn=rule)
    assert refused(lambda: site.elb.delete_rule(RuleArn=rule))[0] == "RuleNotFound"


@pytest.mark.change("elbv2-rules")
def test_rules_forward_to_groups_of_their_own_balancer(aws: Any, site: Site) -> None:
    """Without it two balancers share a target group by way of a rule, which AWS forbids."""
    other = Site(aws, block=2)
    code, _ = refused(lambda: site.rule(Actions=[forward(other.groups[0])]))
    assert code == "InvalidConfigurationRequest"
    missing = site.groups[0][:-4] + "0000"
    assert refused(lambda: site.rule(Actions=[forward(missing)]))[0] == "TargetGroupNotFound"
    six = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": site.groups[0]}] * 6}}
    assert refused(lambda: site.rule(Actions=[six]))[0] == "TooManyTargetGroups"
    heavy = {
        "Type": "forward",
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": site.groups[0], "Weight": 1000}]},
    }
    code, message = refused(lambda: site.rule(Actions=[heavy]))
    assert (code, "'1000'" in message) == ("ValidationError", True)


@pytest.mark.change("elbv2-rules")
def test_a_balancer_has_a_hundred_rules(site: Site) -> None:
    """Without it a set of rules that AWS refuses is first refused there."""
    for number in range(100):
        site.rule(Priority=number + 1)
    assert refused(lambda: site.rule(Priority=101))[0] == "TooManyRules"


@pytest.mark.change("elbv2-associations")
def test_a_group_says_which_balancer_uses_it(site: Site) -> None:
    """Without it a group that nothing uses any more can't go to another balancer, and a plan shows a stale one."""
    one, two = site.groups
    assert site.used_by(one) == []
    rule = site.rule(Actions=[forward(one, two)])
    second = site.rule(Priority=11, Actions=[forward(one)])
    assert site.used_by(one) == site.used_by(two) == [site.balancer]
    site.elb.modify_rule(RuleArn=rule, Actions=[forward(two)])
    assert site.used_by(one) == [site.balancer]
    site.elb.delete_rule(RuleArn=second)
    assert site.used_by(one) == []
    site.elb.modify_listener(ListenerArn=site.listener, DefaultActions=[forward(one)])
    assert site.used_by(one) == [site.balancer]
    site.elb.delete_listener(ListenerArn=site.listener)
    assert site.used_by(one) == site.used_by(two) == []
    site.listen(81, [forward(two)])
    assert site.used_by(two) == [site.balancer]
    site.elb.delete_load_balancer(LoadBalancerArn=site.balancer)
    assert site.used_by(two) == []
