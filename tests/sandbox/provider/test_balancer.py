"""Load balancers, target groups and listeners, through the engine and the real API."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.schema import State
from sandbox.provider.values import UNKNOWN
from tests.sandbox.conftest import ClientFactory
from tests.sandbox.provider.program import Program, Resource

BALANCER = "aws:lb/loadBalancer:LoadBalancer"
GROUP = "aws:lb/targetGroup:TargetGroup"
LISTENER = "aws:lb/listener:Listener"
HEALTH = {"path": "/healthz", "interval": 10, "timeout": 5, "matcher": "200-299"}


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def elbv2(aws: ClientFactory) -> Any:
    return aws("elbv2")


@pytest.fixture
def network(aws: ClientFactory) -> State:
    """A VPC with an internet gateway, a subnet in three zones, and two security groups."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"eu-west-1{zone}")
        for index, zone in enumerate("abc")
    ]
    groups = [ec2.create_security_group(VpcId=vpc, GroupName=name, Description=name) for name in ("one", "two")]
    return {
        "vpc": vpc,
        "subnets": [subnet["Subnet"]["SubnetId"] for subnet in subnets],
        "groups": [group["GroupId"] for group in groups],
    }


@pytest.fixture
def balancer(program: Program, network: State) -> Resource:
    return program.up(
        BALANCER, subnets=network["subnets"][:2], securityGroups=network["groups"][:1], tags={"site": "primary"}
    )


@pytest.fixture
def group(program: Program, network: State) -> Resource:
    return program.up(
        GROUP, port=8080, protocol="HTTP", vpcId=network["vpc"], healthCheck=HEALTH, tags={"site": "primary"}
    )


@pytest.fixture
def listener(program: Program, balancer: Resource, group: Resource) -> Resource:
    return program.up(
        LISTENER,
        loadBalancerArn=balancer.id,
        port=80,
        defaultActions=[{"type": "forward", "targetGroupArn": group.id}],
    )


def attributes(elbv2: Any, arn: str) -> dict[str, str]:
    answer = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)
    return {item["Key"]: item["Value"] for item in answer["Attributes"]}


def group_attributes(elbv2: Any, arn: str) -> dict[str, str]:
    answer = elbv2.describe_target_group_attributes(TargetGroupArn=arn)
    return {item["Key"]: item["Value"] for item in answer["Attributes"]}


def self_signed(domain: str) -> dict[str, bytes]:
    """A certificate for `domain` and its key, as ACM imports them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"Certificate": certificate.public_bytes(serialization.Encoding.PEM), "PrivateKey": private}


class TestLoadBalancer:
    def test_outputs_are_those_of_the_balancer(self, balancer: Resource, elbv2: Any, network: State) -> None:
        """Without it the site's alias record points at nothing: it is made of dnsName and zoneId."""
        (live,) = elbv2.describe_load_balancers()["LoadBalancers"]
        state = balancer.state
        assert balancer.id == state["arn"] == live["LoadBalancerArn"]
        assert (state["dnsName"], state["zoneId"]) == (live["DNSName"], live["CanonicalHostedZoneId"])
        assert state["vpcId"] == network["vpc"]
        assert state["arnSuffix"] == live["LoadBalancerArn"].split("loadbalancer/")[1]
        assert state["internal"] is False
        assert state["tags"] == state["tagsAll"] == {"site": "primary"}
        assert live["State"]["Code"] == "active"

    def test_an_automatic_name_fits_into_32_characters(self, program: Program) -> None:
        """Without it a long resource name passes the preview and AWS refuses it while the site is half made."""
        inputs, failures = program.check(BALANCER, "a-component-with-a-very-long-name", subnets=["a", "b"])
        assert not failures
        assert len(inputs["name"]) == 32
        assert inputs["name"].startswith("a-component-with-a-very-")

    def test_nothing_differs_right_after_creation(self, balancer: Resource) -> None:
        """Without it every `pulumi refresh` reports drift that isn't there."""
        assert balancer.refresh() == frozenset()

    def test_attributes_reach_aws_at_creation(self, program: Program, network: State, elbv2: Any) -> None:
        """Without it a balancer that the program protects can be deleted."""
        made = program.up(
            BALANCER,
            subnets=network["subnets"][:2],
            enableDeletionProtection=True,
            idleTimeout=30,
            dropInvalidHeaderFields=True,
            enableHttp2=False,
            clientKeepAlive=600,
        )
        found = attributes(elbv2, made.id)
        assert found["deletion_protection.enabled"] == "true"
        assert found["idle_timeout.timeout_seconds"] == "30"
        assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"
        assert found["routing.http2.enabled"] == "false"
        assert found["client_keep_alive.seconds"] == "600"
        assert made.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("name", "value", "key", "text"),
        [
            ("idleTimeout", 120, "idle_timeout.timeout_seconds", "120"),
            ("clientKeepAlive", 60, "client_keep_alive.seconds", "60"),
            ("enableDeletionProtection", True, "deletion_protection.enabled", "true"),
            ("dropInvalidHeaderFields", True, "routing.http.drop_invalid_header_fields.enabled", "true"),
            ("preserveHostHeader", True, "routing.http.preserve_host_header.enabled", "true"),
            ("xffHeaderProcessingMode", "remove", "routing.http.xff_header_processing.mode", "remove"),
            ("desyncMitigationMode", "strictest", "routing.http.desync_mitigation_mode", "strictest"),
        ],
    )
    def test_an_attribute_is_changed_in_place(
        self, balancer: Resource, elbv2: Any, name: str, value: Any, key: str, text: str
    ) -> None:
        """Without it a changed time-out is in the state and the balancer keeps the old one."""
        balancer.update(**{name: value})
        assert attributes(elbv2, balancer.id)[key] == text
        assert balancer.state[name] == value
        assert balancer.refresh() == frozenset()

    def test_an_attribute_taken_out_of_the_program_goes_back_to_its_default(
        self, balancer: Resource, elbv2: Any
    ) -> None:
        """Without it a time-out that the program no longer names stays for ever."""
        balancer.update(idleTimeout=120)
        balancer.update(idleTimeout=None)
        assert attributes(elbv2, balancer.id)["idle_timeout.timeout_seconds"] == "60"

    def test_subnets_and_security_groups_are_changed_in_place(
        self, balancer: Resource, elbv2: Any, network: State
    ) -> None:
        """Without it a third zone replaces the balancer, and with it the name that DNS points at."""
        balancer.update(subnets=network["subnets"], securityGroups=network["groups"][1:])
        (live,) = elbv2.describe_load_balancers()["LoadBalancers"]
        assert {zone["SubnetId"] for zone in live["AvailabilityZones"]} == set(network["subnets"])
        assert live["SecurityGroups"] == network["groups"][1:]
        assert balancer.refresh() == frozenset()

    def test_the_order_of_subnets_doesnt_count(self, balancer: Resource, network: State) -> None:
        """Without it a zone list that is read in another order shows a change in every preview."""
        assert not balancer.plan(subnets=[network["subnets"][1], network["subnets"][0]]).changed

    def test_an_internal_balancer_is_internal(self, program: Program, network: State, elbv2: Any) -> None:
        """Without it what should be reachable from the VPC alone is reachable from the internet."""
        made = program.up(BALANCER, subnets=network["subnets"][:2], internal=True)
        (live,) = elbv2.describe_load_balancers()["LoadBalancers"]
        assert live["Scheme"] == "internal"
        assert made.state["internal"] is True
        assert made.refresh() == frozenset()

    @pytest.mark.parametrize(("name", "value"), [("name", "another"), ("internal", True)])
    def test_name_and_scheme_replace(self, balancer: Resource, name: str, value: Any) -> None:
        """Without it the preview promises an update that AWS can't make."""
        assert balancer.plan(**{name: value}).replaces == {name}

    def test_logs_are_switched_on_and_off(self, balancer: Resource, elbv2: Any, aws: ClientFactory) -> None:
        """Without it access logs stay on after the program has taken them out."""
        aws("s3").create_bucket(Bucket="logs-of-it", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        logs = {"bucket": "logs-of-it", "enabled": True, "prefix": "site"}
        balancer.update(accessLogs=logs)
        assert attributes(elbv2, balancer.id)["access_logs.s3.bucket"] == "logs-of-it"
        assert balancer.refresh() == frozenset()
        balancer.update(accessLogs={**logs, "enabled": False})
        assert attributes(elbv2, balancer.id)["access_logs.s3.enabled"] == "false"
        assert balancer.refresh() == frozenset()

    def test_a_tag_and_an_attribute_changed_by_hand_are_found_and_repaired(
        self, balancer: Resource, elbv2: Any
    ) -> None:
        """Without it a change behind Pulumi's back goes unnoticed until it hurts."""
        elbv2.add_tags(ResourceArns=[balancer.id], Tags=[{"Key": "site", "Value": "other"}])
        elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=balancer.id, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "4"}]
        )
        assert balancer.refresh() == {"idleTimeout", "tags", "tagsAll"}
        balancer.repair()
        assert balancer.refresh() == frozenset()
        assert attributes(elbv2, balancer.id)["idle_timeout.timeout_seconds"] == "60"

    def test_tags_are_added_changed_and_removed(self, balancer: Resource, elbv2: Any) -> None:
        """Without it cost reports and the deleting commands see the tags of an older program."""
        balancer.update(tags={"owner": "ops"})
        (found,) = elbv2.describe_tags(ResourceArns=[balancer.id])["TagDescriptions"]
        assert found["Tags"] == [{"Key": "owner", "Value": "ops"}]

    def test_a_name_that_is_taken_is_refused(self, balancer: Resource, program: Program, network: State) -> None:
        """Without it two programs own one balancer: AWS answers a second creation with the first one's."""
        with pytest.raises(ProviderError, match=rf"Load Balancer \({balancer.state['name']}\) already exists"):
            program.up(BALANCER, name=balancer.state["name"], subnets=network["subnets"][:2])

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(self, balancer: Resource, elbv2: Any) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        elbv2.delete_load_balancer(LoadBalancerArn=balancer.id)
        assert balancer.gone
        balancer.delete()

    def test_delete_deletes(self, balancer: Resource, elbv2: Any) -> None:
        """Without it a destroyed stack goes on costing money."""
        balancer.delete()
        assert elbv2.describe_load_balancers()["LoadBalancers"] == []

    def test_an_unknown_subnet_is_refused_by_aws(self, program: Program, network: State) -> None:
        """Without it the sandbox says yes to a balancer that AWS wouldn't make."""
        with pytest.raises(ProviderError, match="CreateLoadBalancer was refused"):
            program.up(BALANCER, subnets=[network["subnets"][0], "subnet-0123456789abcdef0"])

    @pytest.mark.parametrize(
        ("declared", "path", "reason"),
        [
            ({"subnets": ["a"], "name": "x" * 33}, "name", "at most 32 characters"),
            ({"subnets": ["a"], "name": "-x"}, "name", "begin or end with a hyphen"),
            ({"subnets": ["a"], "name": "x_y"}, "name", "alphanumeric"),
            ({"subnets": ["a"], "name": "internal-x"}, "name", "internal-"),
            ({"subnets": ["a"], "idleTimeout": 4001}, "idleTimeout", "from 1 to 4000, got 4001"),
            ({"subnets": ["a"], "loadBalancerType": "network"}, "loadBalancerType", "application load balancers only"),
            ({"subnets": ["a"], "ipAddressType": "ipv6"}, "ipAddressType", "expected one of ipv4"),
            ({}, "subnets", "missing required property"),
            ({"subnets": ["a"], "subnetMappings": []}, "subnetMappings", "isn't supported by the sandbox"),
            ({"subnets": ["a"], "accessLogs": {"enabled": True}}, "accessLogs.bucket", "missing required property"),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, program: Program, declared: State, path: str, reason: str) -> None:
        """Without it a wrong value is found only while the site is half made."""
        assert reason in program.refusals(BALANCER, **declared)[path]


class TestTargetGroup:
    def test_outputs_are_those_of_the_group(self, group: Resource, elbv2: Any) -> None:
        """Without it the listener and the fleet point at another group."""
        (live,) = elbv2.describe_target_groups()["TargetGroups"]
        assert group.id == group.state["arn"] == live["TargetGroupArn"]
        assert group.state["arnSuffix"] == group.id.split(":")[-1]
        assert group.state["healthCheck"]["path"] == live["HealthCheckPath"] == "/healthz"
        assert group.state["healthCheck"]["healthyThreshold"] == live["HealthyThresholdCount"] == 3
        assert group.refresh() == frozenset()

    def test_a_group_without_a_health_check_gets_aws_own(self, program: Program, network: State) -> None:
        """Without it a group that says nothing shows a change in every refresh."""
        made = program.up(GROUP, port=80, protocol="HTTP", vpcId=network["vpc"])
        assert made.state["healthCheck"]["path"] == "/"
        assert made.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("field", "value", "key"),
        [
            ("path", "/ready", "HealthCheckPath"),
            ("interval", 15, "HealthCheckIntervalSeconds"),
            ("timeout", 4, "HealthCheckTimeoutSeconds"),
            ("healthyThreshold", 2, "HealthyThresholdCount"),
            ("unhealthyThreshold", 5, "UnhealthyThresholdCount"),
            ("port", "8081", "HealthCheckPort"),
        ],
    )
    def test_the_health_check_is_changed_in_place(
        self, group: Resource, elbv2: Any, field: str, value: Any, key: str
    ) -> None:
        """Without it instances are judged by the old check, or the group is replaced under traffic."""
        group.update(healthCheck={**HEALTH, field: value})
        (live,) = elbv2.describe_target_groups()["TargetGroups"]
        assert live[key] == value
        assert group.refresh() == frozenset()

    def test_the_matcher_is_changed_in_place(self, group: Resource, elbv2: Any) -> None:
        """Without it redirects count as healthy after the program has forbidden them."""
        group.update(healthCheck={**HEALTH, "matcher": "200"})
        (live,) = elbv2.describe_target_groups()["TargetGroups"]
        assert live["Matcher"] == {"HttpCode": "200"}

    @pytest.mark.parametrize(
        ("name", "value", "key", "text"),
        [
            ("deregistrationDelay", 30, "deregistration_delay.timeout_seconds", "30"),
            ("slowStart", 45, "slow_start.duration_seconds", "45"),
            ("loadBalancingAlgorithmType", "least_outstanding_requests", "load_balancing.algorithm.type", None),
            ("loadBalancingCrossZoneEnabled", "true", "load_balancing.cross_zone.enabled", None),
        ],
    )
    def test_an_attribute_is_changed_in_place(
        self, group: Resource, elbv2: Any, name: str, value: Any, key: str, text: str | None
    ) -> None:
        """Without it a rolling deployment drains for the old time."""
        group.update(**{name: value})
        assert group_attributes(elbv2, group.id)[key] == (text or value)
        assert group.refresh() == frozenset()

    def test_attributes_reach_aws_at_creation(self, program: Program, network: State, elbv2: Any) -> None:
        """Without it a group drains for five minutes whatever the program says."""
        made = program.up(
            GROUP,
            port=80,
            protocol="HTTP",
            vpcId=network["vpc"],
            deregistrationDelay=0,
            stickiness={"type": "lb_cookie", "cookieDuration": 60},
        )
        found = group_attributes(elbv2, made.id)
        assert found["deregistration_delay.timeout_seconds"] == "0"
        assert (found["stickiness.enabled"], found["stickiness.lb_cookie.duration_seconds"]) == ("true", "60")
        assert made.refresh() == frozenset()

    def test_the_health_that_dns_follows_is_kept(self, group: Resource, elbv2: Any) -> None:
        """Without it an alias that evaluates target health answers by another rule than the program's."""
        group.update(targetGroupHealth={"dnsFailover": {"minimumHealthyTargetsCount": "2"}})
        key = "target_group_health.dns_failover.minimum_healthy_targets.count"
        assert group_attributes(elbv2, group.id)[key] == "2"
        assert group.state["targetGroupHealth"]["dnsFailover"]["minimumHealthyTargetsPercentage"] == "off"
        assert group.refresh() == frozenset()

    def test_a_health_check_and_a_delay_changed_by_hand_are_found_and_repaired(
        self, group: Resource, elbv2: Any
    ) -> None:
        """Without it somebody's trial setting decides which instances get traffic."""
        elbv2.modify_target_group(TargetGroupArn=group.id, HealthCheckPath="/", UnhealthyThresholdCount=9)
        elbv2.modify_target_group_attributes(
            TargetGroupArn=group.id, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
        )
        assert group.refresh() == {"healthCheck", "deregistrationDelay"}
        group.repair()
        assert group.refresh() == frozenset()
        (live,) = elbv2.describe_target_groups()["TargetGroups"]
        assert (live["HealthCheckPath"], live["UnhealthyThresholdCount"]) == ("/healthz", 3)

    @pytest.mark.parametrize(
        ("name", "value"), [("name", "another"), ("port", 81), ("protocol", "HTTPS"), ("targetType", "ip")]
    )
    def test_what_aws_cant_change_replaces(self, group: Resource, name: str, value: Any) -> None:
        """Without it the preview promises an update that AWS can't make."""
        assert group.plan(**{name: value}).replaces == {name}

    def test_a_name_that_is_taken_is_refused(self, group: Resource, program: Program, network: State) -> None:
        """Without it two programs own one target group."""
        with pytest.raises(ProviderError, match="already exists"):
            program.up(GROUP, name=group.state["name"], port=8080, protocol="HTTP", vpcId=network["vpc"])

    def test_a_group_that_a_listener_uses_cant_be_deleted(self, listener: Resource, group: Resource) -> None:
        """Without it the sandbox deletes what AWS keeps, and a wrong order of deletion is found on AWS."""
        with pytest.raises(ProviderError, match=r"ResourceInUse.*in use by a listener"):
            group.delete()

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(self, group: Resource, elbv2: Any) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        elbv2.delete_target_group(TargetGroupArn=group.id)
        assert group.gone
        group.delete()

    @pytest.mark.parametrize(
        ("declared", "path", "reason"),
        [
            ({"healthCheck": {"interval": 4}}, "healthCheck.interval", "from 5 to 300, got 4"),
            ({"healthCheck": {"healthyThreshold": 11}}, "healthCheck.healthyThreshold", "from 2 to 10, got 11"),
            ({"healthCheck": {"path": "healthz"}}, "healthCheck.path", 'must begin with "/"'),
            ({"healthCheck": {"path": "/" + "x" * 1024}}, "healthCheck.path", "1 to 1024 characters"),
            ({"healthCheck": {"port": "http"}}, "healthCheck.port", "traffic-port"),
            ({"healthCheck": {"interval": 10, "timeout": 10}}, "healthCheck.timeout", "smaller than the interval"),
            ({"healthCheck": {"protocol": "TCP"}}, "healthCheck.protocol", "one of HTTP, HTTPS"),
            ({"protocol": "TCP"}, "protocol", "one of HTTP, HTTPS"),
            ({"targetType": "lambda"}, "targetType", "one of instance, ip"),
            ({"slowStart": 10}, "slowStart", "expected 0 (off) or a number from 30 to 900"),
            ({"deregistrationDelay": 3601}, "deregistrationDelay", "from 0 to 3600"),
            ({"proxyProtocolV2": True}, "proxyProtocolV2", "isn't supported by the sandbox"),
            (
                {"targetGroupHealth": {"dnsFailover": {"minimumHealthyTargetsPercentage": "101"}}},
                "targetGroupHealth.dnsFailover.minimumHealthyTargetsPercentage",
                "from 1 to 100",
            ),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, program: Program, declared: State, path: str, reason: str) -> None:
        """Without it a wrong value is found only while the site is half made."""
        base = {"port": 80, "protocol": "HTTP", "vpcId": "vpc-1"}
        assert reason in program.refusals(GROUP, **{**base, **declared})[path]

    def test_an_unknown_health_check_is_accepted_in_a_preview(self, program: Program) -> None:
        """Without it a preview of an empty stack fails on values that are only known later."""
        assert program.refusals(GROUP, port=80, protocol="HTTP", vpcId=UNKNOWN, healthCheck=UNKNOWN) == {}


class TestListener:
    def test_it_forwards_to_the_group(
        self, listener: Resource, balancer: Resource, group: Resource, elbv2: Any
    ) -> None:
        """Without it the balancer answers 503 to everything."""
        (live,) = elbv2.describe_listeners(LoadBalancerArn=balancer.id)["Listeners"]
        assert listener.id == listener.state["arn"] == live["ListenerArn"]
        assert (live["Port"], live["Protocol"]) == (80, "HTTP")
        assert live["DefaultActions"][0]["TargetGroupArn"] == group.id
        assert listener.state["protocol"] == "HTTP"
        assert listener.refresh() == frozenset()

    def test_weights_are_kept(self, listener: Resource, group: Resource, program: Program, elbv2: Any) -> None:
        """Without it a canary behind the balancer gets all traffic or none."""
        other = program.up(GROUP, "other", port=80, protocol="HTTP", vpcId=group.state["vpcId"])
        targets = [{"arn": group.id, "weight": 90}, {"arn": other.id, "weight": 10}]
        listener.update(defaultActions=[{"type": "forward", "forward": {"targetGroups": targets}}])
        (live,) = elbv2.describe_listeners(ListenerArns=[listener.id])["Listeners"]
        weights = {
            item["TargetGroupArn"]: int(item["Weight"])
            for item in live["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        }
        assert weights == {group.id: 90, other.id: 10}
        assert listener.refresh() == frozenset()

    def test_a_redirect_is_completed_with_pulumi_aws_defaults(
        self, program: Program, balancer: Resource, elbv2: Any
    ) -> None:
        """Without it a redirect to HTTPS loses path and query."""
        redirect = {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}
        made = program.up(
            LISTENER,
            loadBalancerArn=balancer.id,
            port=80,
            defaultActions=[{"type": "redirect", "redirect": redirect}],
        )
        (live,) = elbv2.describe_listeners(ListenerArns=[made.id])["Listeners"]
        assert live["DefaultActions"][0]["RedirectConfig"] == {
            "Host": "#{host}",
            "Path": "/#{path}",
            "Query": "#{query}",
            "Port": "443",
            "Protocol": "HTTPS",
            "StatusCode": "HTTP_301",
        }
        assert made.refresh() == frozenset()

    def test_a_fixed_response_is_kept(self, program: Program, balancer: Resource, elbv2: Any) -> None:
        """Without it a site's maintenance page isn't what the program says."""
        response = {"contentType": "text/plain", "messageBody": "no such host", "statusCode": "404"}
        made = program.up(
            LISTENER,
            loadBalancerArn=balancer.id,
            port=80,
            defaultActions=[{"type": "fixed-response", "fixedResponse": response}],
        )
        (live,) = elbv2.describe_listeners(ListenerArns=[made.id])["Listeners"]
        assert live["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
        assert made.refresh() == frozenset()

    def test_https_takes_a_certificate_and_a_policy(
        self, program: Program, balancer: Resource, group: Resource, aws: ClientFactory
    ) -> None:
        """Without it the certificate that browsers see isn't the program's."""
        acm = aws("acm")
        first, second = (
            acm.import_certificate(**self_signed(f"{name}.example.com"))["CertificateArn"] for name in "ab"
        )
        made = program.up(
            LISTENER,
            loadBalancerArn=balancer.id,
            port=443,
            protocol="HTTPS",
            sslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
            certificateArn=first,
            defaultActions=[{"type": "forward", "targetGroupArn": group.id}],
        )
        assert made.state["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
        made.update(certificateArn=second)
        assert made.state["certificateArn"] == second
        assert made.refresh() == frozenset()

    def test_port_and_action_are_changed_in_place(self, listener: Resource, elbv2: Any) -> None:
        """Without it a new port replaces the listener while clients still use the old one."""
        response = {"contentType": "text/plain", "statusCode": "503"}
        listener.update(port=8080, defaultActions=[{"type": "fixed-response", "fixedResponse": response}])
        (live,) = elbv2.describe_listeners(ListenerArns=[listener.id])["Listeners"]
        assert live["Port"] == 8080
        assert [action["Type"] for action in live["DefaultActions"]] == ["fixed-response"]
        assert listener.refresh() == frozenset()

    def test_another_balancer_replaces(self, listener: Resource) -> None:
        """Without it the preview promises an update that AWS can't make."""
        assert listener.plan(loadBalancerArn="arn:other").replaces == {"loadBalancerArn"}

    def test_an_action_changed_by_hand_is_found_and_repaired(
        self, listener: Resource, group: Resource, elbv2: Any
    ) -> None:
        """Without it a listener that somebody has turned into an error page stays one."""
        error_page = {
            "Type": "fixed-response",
            "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"},
        }
        elbv2.modify_listener(ListenerArn=listener.id, DefaultActions=[error_page])
        assert listener.refresh() == {"defaultActions"}
        listener.repair()
        (live,) = elbv2.describe_listeners(ListenerArns=[listener.id])["Listeners"]
        assert live["DefaultActions"][0]["TargetGroupArn"] == group.id

    def test_a_balancer_that_is_gone_takes_its_listener_with_it(self, listener: Resource, balancer: Resource) -> None:
        """Without it a refresh after a lost balancer stops with an error instead of finding both gone."""
        balancer.delete()
        assert listener.gone
        listener.delete()

    def test_an_unknown_target_group_is_refused_by_aws(
        self, program: Program, balancer: Resource, group: Resource
    ) -> None:
        """Without it the sandbox says yes to a listener that AWS wouldn't make."""
        with pytest.raises(ProviderError, match="TargetGroupNotFound"):
            program.up(
                LISTENER,
                loadBalancerArn=balancer.id,
                port=81,
                defaultActions=[{"type": "forward", "targetGroupArn": group.id[:-1] + "x"}],
            )

    @pytest.mark.parametrize(
        ("action", "path", "reason"),
        [
            ({"type": "forward"}, "defaultActions[0]", "needs targetGroupArn or forward"),
            ({"type": "redirect", "targetGroupArn": "a"}, "defaultActions[0].targetGroupArn", "can't be set"),
            ({"type": "authenticate-oidc"}, "defaultActions[0].type", "one of forward, redirect, fixed-response"),
            (
                {"type": "fixed-response", "fixedResponse": {"contentType": "text/plain", "statusCode": "302"}},
                "defaultActions[0].fixedResponse.statusCode",
                "2xx, 4xx or 5xx",
            ),
        ],
    )
    def test_a_bad_action_is_refused_by_name(self, program: Program, action: State, path: str, reason: str) -> None:
        """Without it a wrong action is found only while the site is half made."""
        refused = program.refusals(LISTENER, loadBalancerArn="arn", port=80, defaultActions=[action])
        assert reason in refused[path]
