"""Hosted zones, records and health checks, through the engine and the real API."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.schema import State
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.program import Program, Resource

ZONE = "aws:route53/zone:Zone"
RECORD = "aws:route53/record:Record"
CHECK = "aws:route53/healthCheck:HealthCheck"

ENDPOINT = {
    "type": "HTTP",
    "fqdn": "primary.app.example.com",
    "port": 80,
    "resourcePath": "/healthz",
    "requestInterval": 10,
    "failureThreshold": 3,
}


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def route53(program: Program) -> Any:
    return program.aws("route53")


@pytest.fixture
def zone(program: Program) -> Resource:
    return program.up(ZONE, name="example.com", tags={"site": "primary"})


@pytest.fixture
def check(program: Program) -> Resource:
    return program.up(CHECK, **ENDPOINT, tags={"site": "primary"})


@pytest.fixture
def weighted(program: Program, zone: Resource, check: Resource) -> Resource:
    return program.up(
        RECORD,
        zoneId=zone.id,
        name="app.example.com",
        type="CNAME",
        ttl=30,
        records=["primary.app.example.com"],
        setIdentifier="primary",
        weightedRoutingPolicies=[{"weight": 100}],
        healthCheckId=check.id,
    )


@pytest.fixture
def balancer(program: Program) -> State:
    """A load balancer, as AWS describes it."""
    ec2 = program.aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"]
        for index, zone in enumerate("ab")
    ]
    made = program.aws("elbv2").create_load_balancer(Name="it", Subnets=[subnet["SubnetId"] for subnet in subnets])
    found: State = made["LoadBalancers"][0]
    return found


def records(route53: Any, zone: Resource) -> list[dict[str, Any]]:
    """The zone's records but its own NS and SOA."""
    found = route53.list_resource_record_sets(HostedZoneId=zone.id)["ResourceRecordSets"]
    return [record for record in found if record["Type"] not in ("NS", "SOA")]


def change(route53: Any, zone: Resource, action: str, record: dict[str, Any]) -> None:
    """Change a record behind the program's back."""
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch=batch)


def settings(route53: Any, check: Resource) -> dict[str, Any]:
    config: dict[str, Any] = route53.get_health_check(HealthCheckId=check.id)["HealthCheck"]["HealthCheckConfig"]
    return config


class TestZone:
    def test_outputs_are_those_of_the_zone(self, zone: Resource, route53: Any) -> None:
        """Without it records go into another zone, and delegation points at servers that don't answer."""
        live = route53.get_hosted_zone(Id=zone.id)
        assert zone.id == zone.state["zoneId"]
        assert not zone.id.startswith("/")
        assert zone.state["name"] == "example.com"
        assert zone.state["nameServers"] == sorted(live["DelegationSet"]["NameServers"])
        assert zone.state["primaryNameServer"] == live["DelegationSet"]["NameServers"][0]
        assert zone.state["arn"] == f"arn:aws:route53:::hostedzone/{zone.id}"
        assert live["HostedZone"]["Config"]["Comment"] == "Managed by Pulumi"
        assert zone.state["tags"] == {"site": "primary"}
        assert "region" not in zone.state
        assert zone.refresh() == frozenset()

    def test_a_trailing_dot_and_capitals_are_the_same_name(self, program: Program, zone: Resource) -> None:
        """Without it a zone written `Example.com.` is replaced, and with it every record in it."""
        assert not zone.plan(name="Example.com.").changed
        other = program.up(ZONE, "other", name="Example.org.")
        assert other.state["name"] == "example.org"
        assert other.refresh() == frozenset()

    def test_comment_and_tags_are_changed_in_place(self, zone: Resource, route53: Any) -> None:
        """Without it the zone is replaced, and with it every record in it."""
        zone.update(comment="both sites", tags={"owner": "ops"})
        assert route53.get_hosted_zone(Id=zone.id)["HostedZone"]["Config"]["Comment"] == "both sites"
        found = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.id)
        assert found["ResourceTagSet"]["Tags"] == [{"Key": "owner", "Value": "ops"}]
        assert zone.refresh() == frozenset()

    def test_a_zone_with_records_is_deleted_only_by_force(
        self, zone: Resource, weighted: Resource, route53: Any
    ) -> None:
        """Without it a destroy takes away names that other programs have put there."""
        with pytest.raises(ProviderError, match="HostedZoneNotEmpty"):
            zone.delete()
        zone.update(forceDestroy=True)
        zone.delete()
        assert zone.gone

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(self, zone: Resource, route53: Any) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        route53.delete_hosted_zone(Id=zone.id)
        assert zone.gone
        zone.delete()

    def test_private_zones_are_refused_by_name(self, program: Program) -> None:
        """Without it a zone that should be private is public."""
        assert "isn't supported" in program.refusals(ZONE, name="example.com", vpcs=[{"vpcId": "vpc-1"}])["vpcs"]


class TestRecord:
    def test_it_is_in_the_zone_under_its_terraform_id(
        self, weighted: Resource, zone: Resource, check: Resource, route53: Any
    ) -> None:
        """Without it clients don't find the site, and an import by pulumi-aws' ids finds nothing."""
        (live,) = records(route53, zone)
        assert weighted.id == f"{zone.id}_app.example.com_CNAME_primary"
        assert live["Name"] == "app.example.com."
        assert (live["TTL"], live["Weight"], live["SetIdentifier"]) == (30, 100, "primary")
        assert live["ResourceRecords"] == [{"Value": "primary.app.example.com"}]
        assert live["HealthCheckId"] == check.id
        assert weighted.state["fqdn"] == "app.example.com"
        assert weighted.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("name", "full"),
        [
            ("www", "www.example.com"),
            ("www.example.com", "www.example.com"),
            ("WWW.Example.com.", "www.example.com"),
            ("*.app", "*.app.example.com"),
            ("", "example.com"),
        ],
    )
    def test_names_are_completed_as_terraform_does(
        self, program: Program, zone: Resource, name: str, full: str
    ) -> None:
        """Without it a record of another name is made, or found gone in every refresh."""
        made = program.up(RECORD, zoneId=zone.id, name=name, type="A", ttl=60, records=["192.0.2.1"])
        assert made.state["fqdn"] == full
        assert made.refresh() == frozenset()
        made.delete()
        assert made.gone

    def test_a_trailing_dot_in_the_name_changes_nothing(self, weighted: Resource) -> None:
        """Without it a record is replaced because its name is written another way."""
        assert not weighted.plan(name="APP.example.com.").changed

    @pytest.mark.parametrize(
        ("changes", "key", "value"),
        [
            ({"ttl": 60}, "TTL", 60),
            ({"weightedRoutingPolicies": [{"weight": 0}]}, "Weight", 0),
            ({"weightedRoutingPolicies": [{"weight": 255}]}, "Weight", 255),
            ({"records": ["other.example.com"]}, "ResourceRecords", [{"Value": "other.example.com"}]),
        ],
    )
    def test_a_value_is_changed_in_place(
        self, weighted: Resource, zone: Resource, route53: Any, changes: State, key: str, value: Any
    ) -> None:
        """Without it a new weight replaces the record, and the name goes unanswered for a moment."""
        weighted.update(**changes)
        (live,) = records(route53, zone)
        assert live[key] == value
        assert weighted.refresh() == frozenset()

    def test_a_health_check_taken_out_of_the_program_is_taken_off_the_record(
        self, weighted: Resource, zone: Resource, route53: Any
    ) -> None:
        """Without it the record still follows a check that the program doesn't know."""
        weighted.update(healthCheckId=None)
        (live,) = records(route53, zone)
        assert "HealthCheckId" not in live
        assert weighted.refresh() == frozenset()

    def test_a_new_identifier_or_type_replaces_the_record_in_one_batch(
        self, weighted: Resource, zone: Resource, route53: Any
    ) -> None:
        """Without it two records of one site are answered, or none."""
        weighted.update(setIdentifier="first")
        (live,) = records(route53, zone)
        assert live["SetIdentifier"] == "first"
        assert weighted.refresh() == frozenset()
        weighted.update(type="A", records=["192.0.2.1"])
        (live,) = records(route53, zone)
        assert (live["Type"], live["ResourceRecords"]) == ("A", [{"Value": "192.0.2.1"}])
        weighted.delete()
        assert records(route53, zone) == []

    @pytest.mark.parametrize(("name", "value"), [("name", "other.example.com"), ("zoneId", "Z123")])
    def test_another_name_or_zone_replaces(self, weighted: Resource, name: str, value: str) -> None:
        """Without it the preview promises an update that Route 53 can't make."""
        assert weighted.plan(**{name: value}).replaces == {name}

    def test_an_alias_is_made_without_a_ttl(
        self, program: Program, zone: Resource, balancer: State, route53: Any
    ) -> None:
        """Without it the site's own name doesn't follow its balancer."""
        name, balancer_zone = balancer["DNSName"], balancer["CanonicalHostedZoneId"]
        alias = {"name": name, "zoneId": balancer_zone, "evaluateTargetHealth": False}
        made = program.up(RECORD, zoneId=zone.id, name="primary.example.com", type="A", aliases=[alias])
        (live,) = records(route53, zone)
        assert live["AliasTarget"]["HostedZoneId"] == balancer_zone
        assert live["AliasTarget"]["EvaluateTargetHealth"] is False
        assert "TTL" not in live
        assert made.refresh() == frozenset()
        assert not made.plan(aliases=[{**alias, "name": f"dualstack.{name}."}]).changed

    def test_txt_values_are_quoted_for_aws_and_plain_in_the_state(
        self, program: Program, zone: Resource, route53: Any
    ) -> None:
        """Without it AWS refuses the value, or every refresh shows a change."""
        made = program.up(RECORD, zoneId=zone.id, name="txt", type="TXT", ttl=60, records=["v=1 a b"])
        (live,) = records(route53, zone)
        assert live["ResourceRecords"] == [{"Value": '"v=1 a b"'}]
        assert made.state["records"] == ["v=1 a b"]
        assert made.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("policy", "value", "key", "live_value"),
        [
            ("failoverRoutingPolicies", [{"type": "PRIMARY"}], "Failover", "PRIMARY"),
            ("latencyRoutingPolicies", [{"region": "eu-west-1"}], "Region", "eu-west-1"),
            ("geolocationRoutingPolicies", [{"country": "IE"}], "GeoLocation", {"CountryCode": "IE"}),
            ("multivalueAnswerRoutingPolicy", True, "MultiValueAnswer", True),
        ],
    )
    def test_each_way_of_routing_is_kept(
        self,
        program: Program,
        zone: Resource,
        check: Resource,
        route53: Any,
        policy: str,
        value: Any,
        key: str,
        live_value: Any,
    ) -> None:
        """Without it records are answered by another rule than the program's."""
        made = program.up(
            RECORD,
            zoneId=zone.id,
            name="app",
            type="A",
            ttl=60,
            records=["192.0.2.1"],
            setIdentifier="it",
            healthCheckId=check.id,
            **{policy: value},
        )
        (live,) = records(route53, zone)
        assert live[key] == live_value
        assert made.refresh() == frozenset()

    def test_the_other_sites_record_of_the_same_name_is_another_resource(
        self, program: Program, zone: Resource, weighted: Resource, check: Resource, route53: Any
    ) -> None:
        """Without it one site's refresh or deletion acts on the other site's record."""
        other = program.up(
            RECORD,
            zoneId=zone.id,
            name="app.example.com",
            type="CNAME",
            ttl=30,
            records=["secondary.app.example.com"],
            setIdentifier="secondary",
            weightedRoutingPolicies=[{"weight": 50}],
            healthCheckId=check.id,
        )
        assert weighted.refresh() == frozenset()
        assert other.refresh() == frozenset()
        weighted.delete()
        assert weighted.gone
        assert [record["SetIdentifier"] for record in records(route53, zone)] == ["secondary"]

    def test_a_record_that_exists_is_overwritten_only_if_the_program_says_so(
        self, program: Program, zone: Resource, route53: Any
    ) -> None:
        """Without it a program takes over names of others, or two sites can't share one validation record."""
        declared = {"zoneId": zone.id, "name": "_acme", "type": "CNAME", "ttl": 60, "records": ["a.example.com"]}
        program.up(RECORD, **declared)
        with pytest.raises(ProviderError, match="already exists"):
            program.up(RECORD, **declared)
        program.up(RECORD, **{**declared, "records": ["b.example.com"]}, allowOverwrite=True)
        (live,) = records(route53, zone)
        assert live["ResourceRecords"] == [{"Value": "b.example.com"}]

    def test_a_weight_and_a_value_changed_by_hand_are_found_and_repaired(
        self, weighted: Resource, zone: Resource, route53: Any
    ) -> None:
        """Without it traffic that somebody has moved by hand stays moved, and nobody sees it."""
        (live,) = records(route53, zone)
        moved = {**live, "Weight": 0, "ResourceRecords": [{"Value": "elsewhere.example.com"}]}
        change(route53, zone, "UPSERT", moved)
        assert weighted.refresh() == {"weightedRoutingPolicies", "records"}
        weighted.repair()
        assert records(route53, zone) == [live]
        assert weighted.refresh() == frozenset()

    def test_a_health_check_taken_off_by_hand_is_found(self, weighted: Resource, zone: Resource, route53: Any) -> None:
        """Without it a record that nothing can fail over goes unnoticed."""
        (live,) = records(route53, zone)
        change(route53, zone, "UPSERT", {key: value for key, value in live.items() if key != "HealthCheckId"})
        assert weighted.refresh() == {"healthCheckId"}

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(
        self, weighted: Resource, zone: Resource, route53: Any
    ) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        (live,) = records(route53, zone)
        change(route53, zone, "DELETE", live)
        assert weighted.gone
        weighted.delete()

    def test_a_zone_that_is_gone_takes_its_records_with_it(self, weighted: Resource, zone: Resource) -> None:
        """Without it a refresh after a lost zone stops with an error instead of finding its records gone."""
        zone.update(forceDestroy=True)
        zone.delete()
        assert weighted.gone
        weighted.delete()

    def test_it_is_deleted_as_it_is_not_as_the_state_says(
        self, weighted: Resource, zone: Resource, route53: Any
    ) -> None:
        """Without it Route 53 refuses a deletion after a change by hand: it wants the record's true values."""
        (live,) = records(route53, zone)
        change(route53, zone, "UPSERT", {**live, "TTL": 300})
        weighted.delete()
        assert records(route53, zone) == []

    def test_it_is_imported_by_its_id(self, program: Program, weighted: Resource) -> None:
        """Without it an existing record can't come under Pulumi."""
        _, state, inputs = program.imported(RECORD, weighted.id)
        assert state["fqdn"] == "app.example.com"
        assert inputs["weightedRoutingPolicies"] == [{"weight": 100}]
        assert (inputs["name"], inputs["type"], inputs["setIdentifier"]) == ("app.example.com", "CNAME", "primary")

    def test_an_id_of_another_form_is_refused(self, program: Program) -> None:
        """Without it an import of a wrong id says that the record is gone."""
        with pytest.raises(ProviderError, match="unexpected format of ID"):
            program.imported(RECORD, "app.example.com")

    def test_a_record_in_a_missing_zone_is_refused_by_aws(self, program: Program) -> None:
        """Without it a wrong zone is found when no client finds the site."""
        with pytest.raises(ProviderError, match="NoSuchHostedZone"):
            program.up(RECORD, zoneId="Z0123456789ABCDEFGHIJ", name="a", type="A", ttl=1, records=["192.0.2.1"])

    def test_a_missing_health_check_is_refused_by_aws(self, weighted: Resource) -> None:
        """Without it a record follows a check that doesn't exist."""
        with pytest.raises(ProviderError, match="NoSuchHealthCheck"):
            weighted.update(healthCheckId="00000000-0000-4000-8000-000000000000")

    @pytest.mark.parametrize(
        ("declared", "path", "reason"),
        [
            ({"weightedRoutingPolicies": [{"weight": 300}]}, "weightedRoutingPolicies[0].weight", "from 0 to 255"),
            ({"weightedRoutingPolicies": [{"weight": -1}]}, "weightedRoutingPolicies[0].weight", "from 0 to 255"),
            ({"weightedRoutingPolicies": [{}]}, "weightedRoutingPolicies[0].weight", "missing required property"),
            (
                {"weightedRoutingPolicies": [{"weight": 1}, {"weight": 2}]},
                "weightedRoutingPolicies",
                "at most 1 element",
            ),
            ({"weightedRoutingPolicies": [{"weight": 1}]}, "setIdentifier", "needs a setIdentifier"),
            (
                {
                    "weightedRoutingPolicies": [{"weight": 1}],
                    "failoverRoutingPolicies": [{"type": "PRIMARY"}],
                    "setIdentifier": "x",
                },
                "failoverRoutingPolicies",
                "conflicts with 'weightedRoutingPolicies'",
            ),
            ({"ttl": None}, "ttl", "needs a ttl"),
            ({"ttl": -1}, "ttl", "from 0 to 2147483647"),
            ({"records": None, "ttl": None}, "records", "one of aliases and records"),
            ({"type": "ANAME"}, "type", "expected one of"),
            ({"aliases": [{"name": "a", "zoneId": "Z", "evaluateTargetHealth": True}]}, "aliases", "conflicts with"),
            ({"geoproximityRoutingPolicy": {}}, "geoproximityRoutingPolicy", "isn't supported by the sandbox"),
            ({"region": "eu-west-1"}, "region", "isn't supported by the sandbox"),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, program: Program, declared: State, path: str, reason: str) -> None:
        """Without it a wrong value is found only while the site is half made."""
        base = {"zoneId": "Z1", "name": "a", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}
        wanted = {key: value for key, value in {**base, **declared}.items() if value is not None}
        assert reason in program.refusals(RECORD, **wanted)[path]

    def test_values_that_arent_known_yet_are_accepted_in_a_preview(self, program: Program) -> None:
        """Without it the first preview of an empty stack fails."""
        refused = program.refusals(
            RECORD,
            zoneId=UNKNOWN,
            name="a",
            type="A",
            aliases=[{"name": UNKNOWN, "zoneId": UNKNOWN, "evaluateTargetHealth": True}],
            healthCheckId=UNKNOWN,
        )
        assert refused == {}


class TestHealthCheck:
    def test_its_settings_reach_aws(self, check: Resource, route53: Any) -> None:
        """Without it a failed site is found later than the objective says, or never."""
        live = settings(route53, check)
        assert (live["Type"], live["Port"], live["ResourcePath"]) == ("HTTP", 80, "/healthz")
        assert (live["RequestInterval"], live["FailureThreshold"]) == (10, 3)
        assert live["FullyQualifiedDomainName"] == "primary.app.example.com"
        assert check.state["arn"] == f"arn:aws:route53:::healthcheck/{check.id}"
        assert check.state["disabled"] is False
        assert check.state["tags"] == {"site": "primary"}
        assert "region" not in check.state
        assert check.refresh() == frozenset()

    def test_a_calculated_check_has_its_children(self, program: Program, check: Resource, route53: Any) -> None:
        """Without it the record's check doesn't follow the endpoint's."""
        made = program.up(CHECK, type="CALCULATED", childHealthThreshold=1, childHealthchecks=[check.id])
        live = settings(route53, made)
        assert (live["HealthThreshold"], live["ChildHealthChecks"]) == (1, [check.id])
        assert made.refresh() == frozenset()
        other = program.up(CHECK, **{**ENDPOINT, "fqdn": "other.example.com"})
        made.update(childHealthThreshold=2, childHealthchecks=[check.id, other.id])
        live = settings(route53, made)
        assert (live["HealthThreshold"], set(live["ChildHealthChecks"])) == (2, {check.id, other.id})
        assert made.refresh() == frozenset()

    def test_a_check_of_an_alarm_is_changed_when_its_trigger_changes(self, program: Program, route53: Any) -> None:
        """Without it a drain switch goes on by the alarm's old settings: Route 53 copies them when it is told to."""
        program.aws("cloudwatch").put_metric_alarm(
            AlarmName="drain",
            Namespace="Lockstep",
            MetricName="Drain",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
        made = program.up(
            CHECK,
            type="CLOUDWATCH_METRIC",
            cloudwatchAlarmName="drain",
            cloudwatchAlarmRegion="eu-west-1",
            insufficientDataHealthStatus="LastKnownStatus",
            triggers={"threshold": "0"},
        )
        live = settings(route53, made)
        assert live["AlarmIdentifier"] == {"Region": "eu-west-1", "Name": "drain"}
        assert live["InsufficientDataHealthStatus"] == "LastKnownStatus"
        assert made.refresh() == frozenset()
        before = route53.get_health_check(HealthCheckId=made.id)["HealthCheck"]["HealthCheckVersion"]
        made.update(triggers={"threshold": "1"})
        assert route53.get_health_check(HealthCheckId=made.id)["HealthCheck"]["HealthCheckVersion"] == before + 1
        assert made.state["triggers"] == {"threshold": "1"}

    @pytest.mark.parametrize(
        ("name", "value", "key"),
        [
            ("failureThreshold", 5, "FailureThreshold"),
            ("fqdn", "other.example.com", "FullyQualifiedDomainName"),
            ("port", 8080, "Port"),
            ("resourcePath", "/ready", "ResourcePath"),
            ("disabled", True, "Disabled"),
            ("invertHealthcheck", True, "Inverted"),
        ],
    )
    def test_a_setting_is_changed_in_place(
        self, check: Resource, route53: Any, name: str, value: Any, key: str
    ) -> None:
        """Without it the check is replaced while a record follows it."""
        check.update(**{name: value})
        assert settings(route53, check)[key] == value
        assert check.refresh() == frozenset()

    @pytest.mark.parametrize("name", ["disabled", "invertHealthcheck"])
    def test_a_switch_taken_out_of_the_program_is_off(self, check: Resource, name: str) -> None:
        """Without it a check stays disabled, which counts as healthy, after the program has enabled it again."""
        check.update(**{name: True})
        check.update(**{name: None})
        assert not check.state.get(name)
        assert check.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("name", "value", "key"),
        [
            ("resourcePath", "/ready", "ResourcePath"),
            ("regions", ["us-east-1", "eu-west-1", "us-west-1"], "Regions"),
        ],
    )
    def test_a_setting_taken_out_of_the_program_is_reset(
        self, check: Resource, route53: Any, name: str, value: Any, key: str
    ) -> None:
        """Without it the check goes on by a setting that is in no program."""
        check.update(**{name: value})
        assert settings(route53, check)[key]
        check.update(**{name: None})
        assert not settings(route53, check).get(key)
        assert check.refresh() == frozenset()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("type", "HTTPS"), ("requestInterval", 30), ("measureLatency", True), ("referenceName", "it")],
    )
    def test_what_aws_cant_change_replaces(self, check: Resource, name: str, value: Any) -> None:
        """Without it the preview promises an update that Route 53 can't make."""
        assert check.plan(**{name: value}).replaces == {name}

    def test_a_threshold_and_a_tag_changed_by_hand_are_found_and_repaired(self, check: Resource, route53: Any) -> None:
        """Without it a failed site is found later than the objective says, and nobody knows."""
        route53.update_health_check(HealthCheckId=check.id, FailureThreshold=9)
        route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=check.id, RemoveTagKeys=["site"])
        assert check.refresh() == {"failureThreshold", "tags", "tagsAll"}
        check.repair()
        assert settings(route53, check)["FailureThreshold"] == 3
        assert check.refresh() == frozenset()

    def test_two_checks_with_the_same_settings_are_two_checks(self, program: Program, check: Resource) -> None:
        """Without it two sites share one check: AWS answers a used caller reference with the check it made."""
        assert program.up(CHECK, **ENDPOINT).id != check.id

    def test_a_reference_name_begins_the_caller_reference(self, program: Program, route53: Any) -> None:
        """Without it checks can't be told apart in the console."""
        made = program.up(CHECK, **ENDPOINT, referenceName="primary")
        live = route53.get_health_check(HealthCheckId=made.id)["HealthCheck"]
        assert live["CallerReference"].startswith("primary-")

    def test_an_address_may_be_written_in_other_ways(self, program: Program) -> None:
        """Without it an IPv6 address that AWS writes shorter is drift for ever."""
        declared = {key: value for key, value in ENDPOINT.items() if key != "fqdn"}
        made = program.up(CHECK, **declared, ipAddress="2606:4700:0:0:0:0:0:1111")
        assert not made.plan(ipAddress="2606:4700::1111").changed

    def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(self, check: Resource, route53: Any) -> None:
        """Without it a destroy stops at what somebody has deleted before."""
        route53.delete_health_check(HealthCheckId=check.id)
        assert check.gone
        check.delete()

    def test_delete_deletes(self, check: Resource, route53: Any) -> None:
        """Without it a destroyed stack goes on costing money."""
        check.delete()
        with pytest.raises(ClientError, match="NoSuchHealthCheck"):
            route53.get_health_check(HealthCheckId=check.id)

    def test_a_child_that_doesnt_exist_is_refused_by_aws(self, program: Program) -> None:
        """Without it a calculated check counts a child that nobody checks."""
        with pytest.raises(ProviderError, match="CreateHealthCheck was refused"):
            program.up(
                CHECK,
                type="CALCULATED",
                childHealthThreshold=1,
                childHealthchecks=["00000000-0000-4000-8000-000000000000"],
            )

    @pytest.mark.parametrize(
        ("declared", "path", "reason"),
        [
            ({"failureThreshold": 11}, "failureThreshold", "from 1 to 10, got 11"),
            ({"requestInterval": 20}, "requestInterval", "one of 10, 30, got 20"),
            ({"port": 0}, "port", "from 1 to 65535"),
            ({"resourcePath": "/" + "x" * 255}, "resourcePath", "0 to 255 characters"),
            ({"ipAddress": "300.1.1.1"}, "ipAddress", "expected an IP address"),
            ({"regions": ["eu-west-1"]}, "regions", "3 to 64 regions, got 1"),
            ({"regions": ["eu-west-1", "us-east-1", "eu-central-1"]}, "regions[2]", "expected one of"),
            ({"childHealthThreshold": 257}, "childHealthThreshold", "from 0 to 256"),
            ({"insufficientDataHealthStatus": "Ok"}, "insufficientDataHealthStatus", "one of Healthy"),
            ({"type": "RECOVERY_CONTROL"}, "type", "expected one of"),
            ({"referenceName": "x" * 28}, "referenceName", "0 to 27 characters"),
            ({"routingControlArn": "arn"}, "routingControlArn", "isn't supported by the sandbox"),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, program: Program, declared: State, path: str, reason: str) -> None:
        """Without it a wrong value is found only while the site is half made."""
        assert reason in program.refusals(CHECK, **{**ENDPOINT, **declared})[path]
