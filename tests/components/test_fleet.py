"""The fleet of a site."""

import base64
from typing import Any

import pulumi
import pytest

from components.access import Outbound
from components.fleet import Fleet, FleetArgs
from tests.components.recording import Recording, run

TAGS = {"lockstep:application": "orders", "lockstep:site": "primary"}
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
TARGETS = "aws:lb/targetGroup:TargetGroup"
GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
LISTENER = "aws:lb/listener:Listener"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
POLICY = "aws:autoscaling/policy:Policy"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


def arguments(**options: Any) -> FleetArgs:
    """A fleet of three instances that runs release 1.2.3."""
    given: dict[str, Any] = {
        "application": "orders",
        "site": "primary",
        "region": "eu-west-1",
        "release": "1.2.3",
        "image": "al2023-ami-1",
        "instance_type": "t4g.small",
        "instances": 3,
        "health_check_path": "/healthz",
        "protect": True,
        "tags": TAGS,
        "vpc_id": "vpc-1",
        "public_subnet_ids": ["public-0", "public-1"],
        "private_subnet_ids": ["private-0", "private-1"],
        "outbound": Outbound(s3_prefix_list_id="pl-1"),
        "bucket_name": "packages",
        "deregistration_seconds": 30,
        "errors_per_minute": 60,
    }
    return FleetArgs(**given | options)


def fleet(name: str = "orders-primary", **options: Any) -> Recording:
    """The fleet declared."""

    def program() -> None:
        Fleet(name, arguments(**options))

    return run(program)


def sizes(recording: Recording) -> tuple[int, int, int]:
    """Minimum, desired and maximum of the group."""
    inputs = recording.one(GROUP).inputs
    return int(inputs["minSize"]), int(inputs["desiredCapacity"]), int(inputs["maxSize"])


def test_the_group_runs_the_configured_instances_over_all_private_subnets() -> None:
    """The site couldn't carry its load, or losing a zone would take it."""
    recording = fleet()
    assert sizes(recording) == (3, 3, 6)
    assert recording.one(GROUP).inputs["vpcZoneIdentifiers"] == ["private-0", "private-1"]


def test_without_a_release_everything_exists_but_instances() -> None:
    """Instances with nothing to run would be replaced for ever; without the rest, records would point at nothing."""
    recording = fleet(release=None)
    assert sizes(recording) == (0, 0, 0)
    for type_ in (BALANCER, TARGETS, TEMPLATE, "aws:lb/listener:Listener"):
        recording.one(type_)


def test_an_instance_that_fails_the_balancers_check_is_replaced() -> None:
    """An instance whose service has died would stay, because the machine still runs."""
    inputs = fleet().one(GROUP).inputs
    assert inputs["healthCheckType"] == "ELB"
    assert inputs["targetGroupArns"] == ["arn:orders-primary-targets"]


def test_a_group_keeps_its_template_until_a_roll_has_succeeded() -> None:
    """An update would switch all new instances to a release that nobody has tried, with no way back for a refresh."""
    group = fleet().one(GROUP)
    assert group.ignore_changes == ("launchTemplate",)
    assert "instanceRefresh" not in group.inputs
    assert group.inputs["launchTemplate"] == {"id": "orders-primary-template-id", "version": "7"}


def test_rolling_is_done_by_hooks_and_the_provider_waits_for_nothing() -> None:
    """The provider counts an instance that runs as good, whether or not it serves: an update would seem to succeed."""

    def program() -> None:
        hooks = {name: pulumi.ResourceHook(name, lambda _: None) for name in ("after_template", "after_group")}
        Fleet("orders-primary", arguments(**hooks))

    recording = run(program)
    assert recording.one(TEMPLATE).hooks == {"after_update": ("after_template",)}
    assert recording.one(GROUP).hooks == {"after_create": ("after_group",), "after_update": ("after_group",)}
    assert recording.one(GROUP).inputs["waitForCapacityTimeout"] == "0"


def test_instances_wait_for_their_way_in_and_out() -> None:
    """The first instances would boot without their packages, or unused by the balancer, and be replaced."""
    recording = fleet()
    needed = [*recording.of(INGRESS), *recording.of(EGRESS), recording.one("aws:lb/listener:Listener")]
    assert len(needed) == 5
    assert {resource.urn for resource in needed} <= set(recording.one(GROUP).dependencies)


def test_what_the_group_launches_has_the_tags() -> None:
    """A provider's default tags reach neither groups' instances nor their volumes: nobody would know whose they are."""
    recording = fleet()
    tags = {tag["key"]: tag["value"] for tag in recording.one(GROUP).inputs["tags"] if tag["propagateAtLaunch"]}
    assert tags == {"Name": "orders-primary", **TAGS}
    specifications = recording.one(TEMPLATE).inputs["tagSpecifications"]
    assert [one["resourceType"] for one in specifications] == ["instance", "volume"]
    instance, volume = (one["tags"] for one in specifications)
    assert volume == {"Name": "orders-primary", **TAGS}
    assert instance == {**volume, "lockstep:release": "1.2.3"}


def test_the_image_is_found_by_its_name_among_amazons() -> None:
    """An id is another image in another region; anybody can publish an image of any name."""
    ((token, args),) = fleet().invokes
    assert token == "aws:ec2/getAmi:getAmi"
    assert args["owners"] == ["amazon"]
    assert args["filters"] == [{"name": "name", "values": ["al2023-ami-1"]}]
    assert "mostRecent" not in args
    assert args["includeDeprecated"] is True
    assert fleet().one(TEMPLATE).inputs["imageId"] == "ami-1"


def test_instances_boot_with_the_release_of_their_own_region() -> None:
    """Instances would run something else than the contract says."""
    text = base64.b64decode(fleet().one(TEMPLATE).inputs["userData"]).decode()
    assert text.startswith("#cloud-config\n")
    assert "https://packages.s3.eu-west-1.amazonaws.com/releases/1.2.3/" in text


def test_instance_metadata_needs_a_token() -> None:
    """A request that the application is tricked into could read what the metadata service gives away."""
    options = fleet().one(TEMPLATE).inputs["metadataOptions"]
    assert options == {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}


def test_root_volumes_are_encrypted_and_go_with_their_instance() -> None:
    """Data would stay readable on disks that nobody watches."""
    (mapping,) = fleet().one(TEMPLATE).inputs["blockDeviceMappings"]
    assert mapping["deviceName"] == "/dev/xvda"
    assert mapping["ebs"] == {"encrypted": "true", "volumeType": "gp3", "deleteOnTermination": "true"}


def test_the_balancer_faces_the_internet_from_the_public_subnets() -> None:
    """Nobody could reach the site, Route 53's checkers included."""
    inputs = fleet().one(BALANCER).inputs
    assert inputs["internal"] is False
    assert inputs["subnets"] == ["public-0", "public-1"]
    assert inputs["dropInvalidHeaderFields"] is True


def test_balancer_and_route_53_ask_for_the_same_path_and_take_the_same_answers() -> None:
    """A release that fails one of the checks but not the other gives errors that move no traffic."""
    check = fleet(health_check_path="/ready").one(TARGETS).inputs["healthCheck"]
    assert check["path"] == "/ready"
    assert check["matcher"] == "200-399"
    assert check["timeout"] < check["interval"]


def test_only_the_balancer_reaches_instances_and_instances_reach_only_s3() -> None:
    """Instances could be reached around the balancer, or send data anywhere."""
    recording = fleet()
    ingress = {rule.name: rule.inputs for rule in recording.of(INGRESS)}
    egress = {rule.name: rule.inputs for rule in recording.of(EGRESS)}
    assert set(ingress) == {"orders-primary-balancer-http", "orders-primary-instances-balancer"}
    assert set(egress) == {"orders-primary-balancer-instances", "orders-primary-instances-s3"}
    inward = ingress["orders-primary-instances-balancer"]
    assert inward["securityGroupId"] == "orders-primary-instances-id"
    assert inward["referencedSecurityGroupId"] == "orders-primary-balancer-id"
    outward = egress["orders-primary-instances-s3"]
    assert (outward["prefixListId"], outward["fromPort"], outward["toPort"]) == ("pl-1", 443, 443)
    assert ingress["orders-primary-balancer-http"]["cidrIpv4"] == "0.0.0.0/0"
    assert egress["orders-primary-balancer-instances"]["toPort"] == inward["toPort"] == 8080


def test_the_balancer_asks_instances_on_the_port_that_is_open() -> None:
    """Every target would be unhealthy."""
    recording = fleet()
    opened = recording.one(INGRESS, "orders-primary-instances-balancer").inputs["toPort"]
    assert recording.one(TARGETS).inputs["port"] == opened


@pytest.mark.parametrize("protect", [True, False])
def test_protection_covers_balancer_targets_and_group(protect: bool) -> None:
    """A destroy by mistake would take what records point at; or, without it, a teardown would be refused."""
    recording = fleet(protect=protect)
    assert {type_: recording.one(type_).protect for type_ in (BALANCER, TARGETS, GROUP)} == dict.fromkeys(
        (BALANCER, TARGETS, GROUP), protect
    )
    assert recording.one(BALANCER).inputs["enableDeletionProtection"] is protect


def test_names_of_a_long_application_fit() -> None:
    """Elastic Load Balancing refuses names of more than 32 characters, of which Pulumi appends 8."""
    recording = fleet(name=f"{'a' * 63}-secondary")
    assert all(len(recording.one(type_).name) <= 24 for type_ in (BALANCER, TARGETS))
    assert recording.one(BALANCER).name != recording.one(TARGETS).name


def test_clients_and_instances_let_go_in_time_for_a_failover() -> None:
    """Requests would go on to a site that is drained for an hour, and each instance hold up a roll for five minutes."""
    recording = fleet(deregistration_seconds=45)
    assert recording.one(TARGETS).inputs["deregistrationDelay"] == 45
    balancer = recording.one(BALANCER).inputs
    assert (balancer["clientKeepAlive"], balancer["idleTimeout"]) == (60, 60)


def test_with_a_certificate_requests_are_served_over_tls_only() -> None:
    """Passwords would cross the internet in the clear, or everybody with an old link would find nothing."""
    recording = fleet(certificate_arn="arn:certificate")
    listeners = {listener.inputs["port"]: listener.inputs for listener in recording.of(LISTENER)}
    assert set(listeners) == {80, 443}
    assert listeners[443]["protocol"] == "HTTPS"
    assert listeners[443]["certificateArn"] == "arn:certificate"
    assert "TLS13" in listeners[443]["sslPolicy"]
    assert listeners[443]["defaultActions"] == [{"type": "forward", "targetGroupArn": "arn:orders-primary-targets"}]
    assert listeners[80]["defaultActions"] == [
        {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}}
    ]
    opened = {rule.inputs["toPort"] for rule in recording.of(INGRESS) if "cidrIpv4" in rule.inputs}
    assert opened == {80, 443}
    assert {each.urn for each in recording.of(LISTENER)} <= set(recording.one(GROUP).dependencies)


def test_without_a_certificate_nothing_listens_at_the_port_of_tls() -> None:
    """A listener without a certificate is refused half way through an update."""
    recording = fleet()
    assert recording.one(LISTENER).inputs["port"] == 80
    assert recording.one(LISTENER).inputs["defaultActions"][0]["type"] == "forward"


def test_alarms_watch_the_targets_of_this_balancer_under_names_that_rolls_find() -> None:
    """A roll would go on while users get errors, or be rolled back by another site's."""
    recording = fleet(errors_per_minute=7)
    alarms = {alarm.inputs["name"]: alarm.inputs for alarm in recording.of(ALARM)}
    assert set(alarms) == {"lockstep-orders-unhealthy-primary", "lockstep-orders-errors-primary"}
    errors = alarms["lockstep-orders-errors-primary"]
    assert (errors["metricName"], errors["statistic"], errors["threshold"]) == ("HTTPCode_Target_5XX_Count", "Sum", 7)
    for alarm in alarms.values():
        assert alarm["dimensions"] == {
            "LoadBalancer": "suffix:orders-primary-alb",
            "TargetGroup": "suffix:orders-primary-targets",
        }
        assert alarm["treatMissingData"] == "notBreaching"


def test_an_instance_that_may_still_boot_rings_no_alarm() -> None:
    """A target is unhealthy while it boots: every roll would be rolled back."""
    recording = fleet()
    alarm = recording.one(ALARM, "orders-primary-unhealthy").inputs
    assert (alarm["metricName"], alarm["statistic"], alarm["threshold"]) == ("UnHealthyHostCount", "Maximum", 1)
    assert alarm["period"] * alarm["evaluationPeriods"] > recording.one(GROUP).inputs["healthCheckGracePeriod"]


def test_a_group_grows_by_requests_only_where_it_is_told_to() -> None:
    """Nobody would know what a site costs; or, told to, it would return to its smallest size with every update."""
    assert not fleet().has(POLICY)
    recording = fleet(target_requests=600, max_instances=7)
    inputs = recording.one(GROUP).inputs
    assert (inputs["minSize"], inputs["maxSize"]) == (3, 7)
    assert "desiredCapacity" not in inputs
    tracking = recording.one(POLICY).inputs["targetTrackingConfiguration"]
    assert tracking["targetValue"] == 600
    metric = tracking["predefinedMetricSpecification"]
    assert metric["predefinedMetricType"] == "ALBRequestCountPerTarget"
    assert metric["resourceLabel"] == "suffix:orders-primary-alb/suffix:orders-primary-targets"


@pytest.mark.parametrize("options", [{"target_requests": 1}, {"max_instances": 9}])
def test_growing_needs_an_end_and_a_measure(options: dict[str, int]) -> None:
    """One without the other does nothing, or never ends."""
    with pytest.raises(ValueError, match="needs an end"):
        arguments(**options)


def test_a_group_does_not_grow_to_less_than_it_has() -> None:
    """AWS would refuse it half way through an update."""
    with pytest.raises(ValueError, match="no room to replace 3"):
        arguments(target_requests=1, max_instances=5)


def test_a_fleet_of_nothing_is_refused() -> None:
    """A site with a release and no instance would count as up."""
    with pytest.raises(ValueError, match="1 or more"):
        arguments(instances=0)
