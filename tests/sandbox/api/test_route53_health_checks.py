"""Health checks, as AWS keeps and refuses them."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ClientFactory = Callable[..., Any]
Create = Callable[..., dict[str, Any]]

HTTP = {"Type": "HTTP", "FullyQualifiedDomainName": "primary.example.com", "Port": 80, "ResourcePath": "/health"}
ALARM = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "eu-central-1", "Name": "drain-primary"}}


@pytest.fixture
def route53(aws: ClientFactory) -> Any:
    return aws("route53")


@pytest.fixture
def drains(aws: ClientFactory) -> None:
    """The alarms that checks follow."""
    for region, name in (("eu-central-1", "drain-primary"), ("eu-west-1", "drain-secondary")):
        aws("cloudwatch", region).put_metric_alarm(
            AlarmName=name,
            Namespace="Lockstep",
            MetricName="Drain",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )


@pytest.fixture
def create(route53: Any) -> Create:
    """`create(config, reference="")`: a new health check."""

    def make(config: dict[str, Any], reference: str = "") -> dict[str, Any]:
        made = route53.create_health_check(CallerReference=reference or str(uuid.uuid4()), HealthCheckConfig=config)
        check: dict[str, Any] = made["HealthCheck"]
        return check

    return make


@pytest.fixture
def invalid(create: Create) -> Callable[[dict[str, Any]], str]:
    """The message with which AWS refuses a configuration."""

    def attempt(config: dict[str, Any]) -> str:
        with pytest.raises(ClientError) as refused:
            create(config)
        assert refused.value.response["Error"]["Code"] == "InvalidInput"
        return str(refused.value.response["Error"]["Message"])

    return attempt


def calculated(*children: str, threshold: int = 1) -> dict[str, Any]:
    return {"Type": "CALCULATED", "HealthThreshold": threshold, "ChildHealthChecks": list(children)}


@pytest.mark.change("route53-health-check-settings")
class TestSettings:
    def test_an_endpoint_check_is_returned_with_aws_defaults(self, create: Create) -> None:
        """A provider compares what it reads with its inputs; a default that differs is an endless update."""
        check = create({"Type": "HTTPS", "FullyQualifiedDomainName": "primary.example.com"})
        assert check["HealthCheckVersion"] == 1
        assert str(uuid.UUID(check["Id"])) == check["Id"]
        assert check["HealthCheckConfig"] == {
            "Type": "HTTPS",
            "FullyQualifiedDomainName": "primary.example.com",
            "Port": 443,
            "RequestInterval": 30,
            "FailureThreshold": 3,
            "MeasureLatency": False,
            "Inverted": False,
            "Disabled": False,
            "EnableSNI": True,
        }

    def test_settings_given_are_kept(self, create: Create, route53: Any) -> None:
        """Every setting decides when traffic moves."""
        given = HTTP | {
            "RequestInterval": 10,
            "FailureThreshold": 1,
            "MeasureLatency": True,
            "Inverted": True,
            "Disabled": True,
            "EnableSNI": False,
            "Regions": ["eu-west-1", "us-east-1", "us-west-2"],
        }
        check = create(given)
        assert route53.get_health_check(HealthCheckId=check["Id"])["HealthCheck"]["HealthCheckConfig"] == given

    def test_a_calculated_check_has_children_and_nothing_of_an_endpoint(self, create: Create) -> None:
        """AWS returns no port, interval or threshold of failures for it."""
        child = create(HTTP)["Id"]
        assert create(calculated(child))["HealthCheckConfig"] == calculated(child) | {
            "Inverted": False,
            "Disabled": False,
        }

    @pytest.mark.usefixtures("drains")
    def test_a_metric_check_keeps_its_alarm(self, create: Create, route53: Any) -> None:
        """moto loses the alarm: the drain switch would be a check of nothing."""
        check = create(ALARM | {"InsufficientDataHealthStatus": "LastKnownStatus"})
        expected = ALARM | {
            "InsufficientDataHealthStatus": "LastKnownStatus",
            "Inverted": False,
            "Disabled": False,
        }
        assert route53.get_health_check(HealthCheckId=check["Id"])["HealthCheck"]["HealthCheckConfig"] == expected

    @pytest.mark.parametrize(
        ("setting", "value", "part"),
        [
            ("FailureThreshold", 11, "maxInclusive '10'"),
            ("RequestInterval", 20, "Request interval must be 10 or 30, not 20."),
            ("RequestInterval", 31, "maxInclusive '30'"),
            ("Port", 65536, "maxInclusive '65535'"),
            ("ResourcePath", "health", "Resource path must begin with '/': 'health'."),
            ("ResourcePath", "/" + "x" * 255, "maxLength '255'"),
            ("FullyQualifiedDomainName", "x" * 256, "maxLength '255'"),
            ("Regions", ["eu-west-1", "eu-west-1", "us-east-1"], "At least 3 different regions"),
            ("Regions", ["eu-west-1", "us-east-1", "eu-north-1"], "Value 'eu-north-1' is not facet-valid"),
            ("IPAddress", "10.0.0.1", "'10.0.0.1' is in a local, private, non-routable or multicast range"),
            ("IPAddress", "127.0.0.1", "range"),
            ("IPAddress", "300.1.1.1", "'300.1.1.1' is not a valid IP address"),
            ("SearchString", "ok", "HTTP and HTTPS health checks must not have a search string specified."),
            ("HealthThreshold", 1, "Basic health checks must not have a health threshold specified."),
            (
                "AlarmIdentifier",
                ALARM["AlarmIdentifier"],
                "Invalid parameter : Basic health checks must not have an metric region specified.",
            ),
            (
                "InsufficientDataHealthStatus",
                "Healthy",
                "Invalid parameter : Basic health checks must not have an insufficient data health state specified.",
            ),
        ],
    )
    def test_an_endpoint_setting_out_of_range_is_refused(
        self, invalid: Callable[..., str], setting: str, value: object, part: str
    ) -> None:
        """Threshold 11 or interval 20 in the config must fail, as on AWS."""
        assert part in invalid(HTTP | {setting: value})

    @pytest.mark.parametrize(
        "config",
        [
            HTTP | {"FailureThreshold": 1, "RequestInterval": 10, "Port": 1},
            HTTP | {"FailureThreshold": 10, "RequestInterval": 30, "Port": 65535},
            HTTP | {"ResourcePath": "/" + "x" * 254, "FullyQualifiedDomainName": "x" * 255},
            {"Type": "TCP", "IPAddress": "8.8.8.8", "Port": 53},
            HTTP | {"Type": "HTTPS_STR_MATCH", "SearchString": "x" * 255},
        ],
    )
    def test_settings_at_the_limits_are_taken(self, create: Create, config: dict[str, Any]) -> None:
        """A limit that is one too tight fails a deployment that AWS would take."""
        assert create(config)["HealthCheckVersion"] == 1

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (
                {"Type": "HTTP"},
                "Basic health checks must have an IP address or a fully qualified domain name specified.",
            ),
            (
                {"Type": "TCP", "FullyQualifiedDomainName": "a.example.com"},
                "TCP health checks must have a port specified.",
            ),
            (HTTP | {"Type": "TCP"}, "TCP health checks must not have a resource path specified."),
            (HTTP | {"Type": "HTTP_STR_MATCH"}, "String match health checks must have a search string specified."),
            ({"Type": "CALCULATED"}, "Calculated health checks must have a health threshold specified."),
            (
                calculated() | {"FailureThreshold": 3},
                "Calculated health checks must not have a failure threshold specified.",
            ),
            (calculated() | {"Port": 80}, "Calculated health checks must not have a port specified."),
            (
                calculated() | {"ResourcePath": "/x"},
                "Calculated health checks must not have a resource path specified.",
            ),
            (
                calculated() | {"RequestInterval": 10},
                "Calculated health checks must not have a request interval specified.",
            ),
            (
                {"Type": "CLOUDWATCH_METRIC"},
                "CloudWatch metric health checks must have an alarm name and an metric region specified.",
            ),
            (ALARM | {"Port": 80}, "CloudWatch metric health checks must not have a port specified."),
        ],
    )
    def test_each_type_has_its_fields(self, invalid: Callable[..., str], config: dict[str, Any], message: str) -> None:
        """A field of another type is a check that does something else than its author thinks."""
        assert invalid(config) == f"Invalid parameter : {message}"

    def test_an_unknown_type_is_refused(self, invalid: Callable[..., str]) -> None:
        """A type with a typing error."""
        assert "Value 'PING' is not facet-valid with respect to enumeration" in invalid(HTTP | {"Type": "PING"})

    def test_a_routing_control_check_is_not_supported(self, create: Create) -> None:
        """The sandbox has no routing controls: the check would stand for nothing."""
        with pytest.raises(ClientError, match=r"\(NotImplemented\).*RECOVERY_CONTROL"):
            create({"Type": "RECOVERY_CONTROL", "RoutingControlArn": "arn:aws:route53-recovery-control::1:x"})


@pytest.mark.change("route53-health-check-settings")
class TestChildren:
    def test_children_exist(self, invalid: Callable[..., str]) -> None:
        """A calculated check over a missing child never changes."""
        missing = str(uuid.uuid4())
        assert invalid(calculated(missing)) == f"Invalid parameter : The child health check {missing} does not exist."

    def test_a_calculated_check_does_not_watch_calculated_ones(
        self, create: Create, invalid: Callable[..., str]
    ) -> None:
        """Developer Guide, "Monitoring other health checks": so none can watch itself by way of another."""
        parent = create(calculated(create(HTTP)["Id"]))["Id"]
        assert parent in invalid(calculated(parent))

    def test_a_calculated_check_does_not_watch_itself(self, create: Create, route53: Any) -> None:
        """It would be healthy because it is healthy."""
        parent = create(calculated(create(HTTP)["Id"]))["Id"]
        with pytest.raises(ClientError, match=r"\(InvalidInput\)"):
            route53.update_health_check(HealthCheckId=parent, ChildHealthChecks=[parent])

    def test_there_are_256_children_at_most(self, create: Create, invalid: Callable[..., str]) -> None:
        """API reference, HealthCheckConfig."""
        child = create(HTTP)["Id"]
        assert "more than 256" in invalid(calculated(*[child] * 257))

    @pytest.mark.parametrize(("threshold", "taken"), [(0, True), (256, True), (257, False)])
    def test_the_threshold_is_a_number_of_children(
        self, create: Create, invalid: Callable[..., str], threshold: int, taken: bool
    ) -> None:
        """0 is "always healthy" and more than there are children "never": both are allowed on AWS."""
        config = calculated(create(HTTP)["Id"], threshold=threshold)
        if taken:
            assert create(config)["HealthCheckConfig"]["HealthThreshold"] == threshold
        else:
            assert "maxInclusive '256'" in invalid(config)

    def test_a_child_is_there_once(self, create: Create, invalid: Callable[..., str]) -> None:
        """Counted twice, one endpoint would satisfy a threshold of two."""
        child = create(HTTP)["Id"]
        assert "different" in invalid(calculated(child, child))


@pytest.mark.change("route53-health-check-settings")
class TestUpdates:
    def test_every_update_counts_the_version_up(self, create: Create, route53: Any) -> None:
        """The version is how two writers notice each other."""
        check = create(HTTP)["Id"]
        versions = [
            route53.update_health_check(HealthCheckId=check, FailureThreshold=number)["HealthCheck"][
                "HealthCheckVersion"
            ]
            for number in (2, 3, 3)
        ]
        assert versions == [2, 3, 4]

    def test_an_update_of_another_version_is_refused(self, create: Create, route53: Any) -> None:
        """It would undo what somebody else has just changed."""
        check = create(HTTP)["Id"]
        route53.update_health_check(HealthCheckId=check, HealthCheckVersion=1, Disabled=True)
        with pytest.raises(ClientError, match=r"\(HealthCheckVersionMismatch\)") as refused:
            route53.update_health_check(HealthCheckId=check, HealthCheckVersion=1, Disabled=False)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
        kept = route53.get_health_check(HealthCheckId=check)["HealthCheck"]
        assert (kept["HealthCheckConfig"]["Disabled"], kept["HealthCheckVersion"]) == (True, 2)

    def test_an_update_changes_what_it_names_only(self, create: Create, route53: Any) -> None:
        """Type, interval and latency measurement stay as they were created: the operation has no such fields."""
        check = create(HTTP | {"RequestInterval": 10, "MeasureLatency": True})
        updated = route53.update_health_check(HealthCheckId=check["Id"], ResourcePath="/other", Inverted=True)
        expected = check["HealthCheckConfig"] | {"ResourcePath": "/other", "Inverted": True}
        assert updated["HealthCheck"]["HealthCheckConfig"] == expected

    def test_the_result_of_an_update_obeys_the_rules(self, create: Create, route53: Any) -> None:
        """What can't be created can't be reached by an update either, and nothing is changed."""
        check = create(HTTP)["Id"]
        for update in (
            {"FailureThreshold": 11},
            {"ResourcePath": "x"},
            {"HealthThreshold": 1},
            {"IPAddress": "8.8.8.8"},
        ):
            with pytest.raises(ClientError, match=r"\(InvalidInput\)"):
                route53.update_health_check(HealthCheckId=check, **update)
        assert route53.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckVersion"] == 1

    def test_elements_can_be_reset(self, create: Create, route53: Any) -> None:
        """How a provider takes a setting back to AWS's default."""
        check = create(HTTP | {"Regions": ["eu-west-1", "us-east-1", "us-west-2"]})["Id"]
        updated = route53.update_health_check(HealthCheckId=check, ResetElements=["Regions", "ResourcePath"])
        config = updated["HealthCheck"]["HealthCheckConfig"]
        assert "Regions" not in config
        assert "ResourcePath" not in config

    @pytest.mark.usefixtures("drains")
    def test_an_alarm_can_be_changed(self, create: Create, route53: Any) -> None:
        """After a change of the alarm the check has to be updated: Route 53 copies the alarm's settings."""
        check = create(ALARM)["Id"]
        other = {"Region": "eu-west-1", "Name": "drain-secondary"}
        updated = route53.update_health_check(HealthCheckId=check, AlarmIdentifier=other)["HealthCheck"]
        assert updated["HealthCheckConfig"]["AlarmIdentifier"] == other

    def test_a_missing_check_is_named(self, route53: Any) -> None:
        """Not to be taken for a check without settings."""
        missing = str(uuid.uuid4())
        for call in (route53.update_health_check, route53.get_health_check, route53.delete_health_check):
            with pytest.raises(ClientError, match=rf"\(NoSuchHealthCheck\).*{missing}") as refused:
                call(HealthCheckId=missing)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.change("route53-health-check-settings")
class TestCallerReferences:
    def test_the_same_request_again_returns_the_same_check(self, create: Create, route53: Any) -> None:
        """A client that retries after a lost answer must not leave a second check behind."""
        assert create(HTTP, "once")["Id"] == create(HTTP, "once")["Id"]
        assert len(route53.list_health_checks()["HealthChecks"]) == 1

    def test_another_request_with_the_reference_is_refused(self, create: Create) -> None:
        """Taken for a retry, it would return a check with other settings."""
        create(HTTP, "once")
        with pytest.raises(ClientError) as refused:
            create(HTTP | {"Port": 8080}, "once")
        assert refused.value.response["Error"]["Code"] == "HealthCheckAlreadyExists"
        assert refused.value.response["Error"]["Message"] == (
            "A different health check has already been created with the specified caller reference."
        )
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409

    def test_the_reference_of_a_deleted_check_stays_taken(self, create: Create, route53: Any) -> None:
        """A provider with a constant reference can't replace its check on AWS."""
        route53.delete_health_check(HealthCheckId=create(HTTP, "once")["Id"])
        with pytest.raises(ClientError, match=r"\(HealthCheckAlreadyExists\)"):
            create(HTTP, "once")

    def test_another_reference_makes_another_check(self, create: Create) -> None:
        """Two sites with the same settings have a check each."""
        assert create(HTTP, "one")["Id"] != create(HTTP, "two")["Id"]


@pytest.mark.change("route53-health-check-deletion")
class TestDeletion:
    def test_a_check_in_use_can_be_deleted(self, create: Create, route53: Any) -> None:
        """AWS lets it happen, and what the record's health is then is undefined: only protection prevents it."""
        zone = route53.create_hosted_zone(Name="example.com", CallerReference="zone")["HostedZone"]["Id"]
        child = create(HTTP)["Id"]
        parent = create(calculated(child))["Id"]
        record = {
            "Name": "www.example.com",
            "Type": "A",
            "TTL": 30,
            "ResourceRecords": [{"Value": "192.0.2.1"}],
            "SetIdentifier": "primary",
            "Weight": 1,
            "HealthCheckId": parent,
        }
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
        route53.delete_health_check(HealthCheckId=child)
        route53.delete_health_check(HealthCheckId=parent)
        assert route53.list_health_checks()["HealthChecks"] == []
        records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        assert [one["HealthCheckId"] for one in records if "HealthCheckId" in one] == [parent]


@pytest.mark.change("route53-health-check-listing")
def test_checks_are_listed_in_pages(create: Create, route53: Any) -> None:
    """A reader of one page believes it has seen all checks, and makes those it missed again."""
    made = {create(HTTP)["Id"] for _ in range(5)}
    seen = []
    marker: dict[str, str] = {}
    while True:
        page = route53.list_health_checks(MaxItems="2", **marker)
        assert page["MaxItems"] == "2"
        seen += [check["Id"] for check in page["HealthChecks"]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["NextMarker"]}
    assert (set(seen), len(seen)) == (made, 5)
