"""Hosted zones, change ids and tags, as AWS has them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ClientFactory = Callable[..., Any]


@pytest.fixture
def route53(aws: ClientFactory) -> Any:
    return aws("route53")


@pytest.fixture
def zone(route53: Any) -> str:
    """The id of a zone `example.com.`, without the `/hostedzone/` in front."""
    return create(route53)


def create(route53: Any, name: str = "example.com", reference: str = "zone") -> str:
    created = route53.create_hosted_zone(Name=name, CallerReference=reference)
    return str(created["HostedZone"]["Id"].rpartition("/")[2])


def add(route53: Any, zone: str, name: str, type_: str, value: str) -> dict[str, Any]:
    record = {"Name": name, "Type": type_, "TTL": 30, "ResourceRecords": [{"Value": value}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}], "Comment": "a release"}
    info: dict[str, Any] = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]
    return info


@pytest.mark.change("route53-zone-creation")
class TestCreation:
    def test_zone_ids_look_like_zone_ids(self, zone: str) -> None:
        """Providers cut `/hostedzone/` off and check the rest."""
        assert re.fullmatch(r"Z[A-Z0-9]{12,31}", zone)

    def test_a_zone_begins_with_its_name_servers_and_soa(self, route53: Any, zone: str) -> None:
        """Resolvers take the time to remember a missing name from the SOA; moto's is a Python dictionary."""
        servers = route53.get_hosted_zone(Id=zone)["DelegationSet"]["NameServers"]
        assert len(servers) == 4
        assert route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] == [
            {
                "Name": "example.com.",
                "Type": "NS",
                "TTL": 172800,
                "ResourceRecords": [{"Value": f"{server}."} for server in servers],
            },
            {
                "Name": "example.com.",
                "Type": "SOA",
                "TTL": 900,
                "ResourceRecords": [{"Value": f"{servers[0]}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}],
            },
        ]

    def test_a_caller_reference_makes_one_zone(self, route53: Any, zone: str) -> None:
        """A retry would leave a second zone of the same name, and half of the world asks that one."""
        with pytest.raises(ClientError) as refused:
            create(route53, "example.org")
        assert refused.value.response["Error"]["Code"] == "HostedZoneAlreadyExists"
        assert refused.value.response["Error"]["Message"] == (
            "A hosted zone has already been created with the specified caller reference."
        )
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409

    def test_two_zones_may_have_one_name(self, route53: Any, zone: str) -> None:
        """AWS allows it, so a look-up by name can be ambiguous."""
        assert create(route53, "example.com", "other") != zone

    @pytest.mark.parametrize("name", ["", "a..com", f"{'a' * 64}.com", "a b.com"])
    def test_a_name_that_is_none_is_refused(self, route53: Any, name: str) -> None:
        """A zone that nobody can ask for."""
        with pytest.raises(ClientError, match=r"\(InvalidDomainName\)"):
            create(route53, name)

    def test_a_name_is_kept_in_one_form(self, route53: Any) -> None:
        """Look-ups by name compare with the form that AWS returns."""
        zone = create(route53, "Example.COM")
        assert route53.get_hosted_zone(Id=zone)["HostedZone"]["Name"] == "example.com."


@pytest.mark.change("route53-zone-deletion")
class TestDeletion:
    @pytest.mark.parametrize(
        ("name", "type_", "value"),
        [
            ("www.example.com", "A", "192.0.2.1"),
            ("example.com", "TXT", '"x"'),
            ("sub.example.com", "NS", "ns.example.net"),
        ],
    )
    def test_a_zone_with_records_is_kept(self, route53: Any, zone: str, name: str, type_: str, value: str) -> None:
        """A teardown in the wrong order must fail, and not take the records with it."""
        add(route53, zone, name, type_, value)
        with pytest.raises(ClientError) as refused:
            route53.delete_hosted_zone(Id=zone)
        assert refused.value.response["Error"]["Code"] == "HostedZoneNotEmpty"
        assert refused.value.response["Error"]["Message"] == (
            "The specified hosted zone contains non-required resource record sets and so cannot be deleted."
        )

    def test_an_empty_zone_can_be_deleted(self, route53: Any, zone: str) -> None:
        """The zone's own records don't keep it."""
        route53.delete_hosted_zone(Id=zone)
        with pytest.raises(ClientError, match=r"\(NoSuchHostedZone\)"):
            route53.get_hosted_zone(Id=zone)


@pytest.mark.change("route53-zones-by-name")
class TestByName:
    @pytest.fixture
    def zones(self, route53: Any) -> None:
        for name in ("example.org", "a.example.com", "example.com", "b.com"):
            create(route53, name, name)

    @pytest.mark.usefixtures("zones")
    def test_order_is_by_reversed_labels(self, route53: Any) -> None:
        """AWS's order; pages follow it."""
        found = route53.list_hosted_zones_by_name()["HostedZones"]
        assert [zone["Name"] for zone in found] == ["b.com.", "example.com.", "a.example.com.", "example.org."]

    @pytest.mark.usefixtures("zones")
    def test_a_missing_name_is_answered_with_the_next_zones(self, route53: Any) -> None:
        """Whoever takes the first answer unseen writes its records into somebody else's zone."""
        found = route53.list_hosted_zones_by_name(DNSName="c.com")
        assert [zone["Name"] for zone in found["HostedZones"]] == ["example.com.", "a.example.com.", "example.org."]
        assert found["DNSName"] == "c.com"

    @pytest.mark.usefixtures("zones")
    def test_pages_hold_every_zone_once(self, route53: Any) -> None:
        """A look-up that reads one page finds no zone in an account with many."""
        seen = []
        start: dict[str, str] = {}
        while True:
            page = route53.list_hosted_zones_by_name(MaxItems="1", **start)
            seen += [zone["Name"] for zone in page["HostedZones"]]
            if not page["IsTruncated"]:
                break
            start = {"DNSName": page["NextDNSName"], "HostedZoneId": page["NextHostedZoneId"]}
        assert seen == ["b.com.", "example.com.", "a.example.com.", "example.org."]


@pytest.mark.change("route53-change-ids")
class TestChangeIds:
    def test_each_change_has_an_id_that_can_be_asked_for(self, route53: Any, zone: str) -> None:
        """A waiter for one change that sees another's state goes on too early."""
        infos = [add(route53, zone, f"n{number}.example.com", "A", "192.0.2.1") for number in range(3)]
        assert len({info["Id"] for info in infos}) == 3
        for info in infos:
            assert re.fullmatch(r"/change/C[A-Z0-9]{20}", info["Id"])
            known = route53.get_change(Id=info["Id"])["ChangeInfo"]
            assert (known["Id"], known["Status"], known["Comment"]) == (info["Id"], "INSYNC", "a release")

    def test_an_unknown_change_is_not_in_sync(self, route53: Any) -> None:
        """moto says INSYNC of any id, so a wrong id waits for nothing."""
        with pytest.raises(ClientError, match=r"\(NoSuchChange\)"):
            route53.get_change(Id="C00000000000000000000")

    def test_creating_and_deleting_a_zone_are_changes_too(self, route53: Any) -> None:
        """Providers wait for both."""
        created = route53.create_hosted_zone(Name="example.com", CallerReference="x")
        deleted = route53.delete_hosted_zone(Id=created["HostedZone"]["Id"])
        ids = {created["ChangeInfo"]["Id"], deleted["ChangeInfo"]["Id"]}
        assert len(ids) == 2
        assert {route53.get_change(Id=id_)["ChangeInfo"]["Status"] for id_ in ids} == {"INSYNC"}


@pytest.mark.change("route53-tags")
class TestTags:
    @pytest.fixture
    def check(self, route53: Any) -> str:
        config = {"Type": "TCP", "FullyQualifiedDomainName": "a.example.com", "Port": 80}
        return str(route53.create_health_check(CallerReference="x", HealthCheckConfig=config)["HealthCheck"]["Id"])

    def test_zones_and_checks_keep_their_tags(self, route53: Any, zone: str, check: str) -> None:
        """Lockstep finds what is its own by tags."""
        for kind, resource in (("hostedzone", zone), ("healthcheck", check)):
            tags = [{"Key": "lockstep:site", "Value": kind}, {"Key": "Name", "Value": "x"}]
            route53.change_tags_for_resource(ResourceType=kind, ResourceId=resource, AddTags=tags)
            route53.change_tags_for_resource(ResourceType=kind, ResourceId=resource, RemoveTagKeys=["Name"])
            found = route53.list_tags_for_resource(ResourceType=kind, ResourceId=resource)["ResourceTagSet"]
            assert found == {"ResourceType": kind, "ResourceId": resource, "Tags": tags[:1]}
            several = route53.list_tags_for_resources(ResourceType=kind, ResourceIds=[resource])
            assert several["ResourceTagSets"] == [found]

    @pytest.mark.parametrize(
        ("kind", "code"), [("hostedzone", "NoSuchHostedZone"), ("healthcheck", "NoSuchHealthCheck")]
    )
    def test_what_does_not_exist_has_no_tags(self, route53: Any, kind: str, code: str) -> None:
        """Tags on a wrong id are lost in silence."""
        with pytest.raises(ClientError, match=code):
            route53.change_tags_for_resource(ResourceType=kind, ResourceId="x", AddTags=[{"Key": "k", "Value": "v"}])
        with pytest.raises(ClientError, match=code):
            route53.list_tags_for_resource(ResourceType=kind, ResourceId="x")
        with pytest.raises(ClientError, match=code):
            route53.list_tags_for_resources(ResourceType=kind, ResourceIds=["x"])

    def test_there_are_ten_tags_at_most(self, route53: Any, zone: str) -> None:
        """API reference, ChangeTagsForResource; Lockstep's own three leave seven."""
        ten = [{"Key": f"k{number}", "Value": "v"} for number in range(10)]
        route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=ten)
        more = [{"Key": "k10", "Value": "v"}]
        with pytest.raises(ClientError, match=r"\(InvalidInput\).*more than 10 tags"):
            route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=more)
