"""Change batches and listings, as AWS does them."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ClientFactory = Callable[..., Any]
Changes = Callable[..., list[str]]


@pytest.fixture
def route53(aws: ClientFactory) -> Any:
    return aws("route53")


@pytest.fixture
def zone(route53: Any) -> str:
    """The id of a zone `example.com.`."""
    created = route53.create_hosted_zone(Name="example.com", CallerReference="zone")
    return str(created["HostedZone"]["Id"].rpartition("/")[2])


@pytest.fixture
def change(route53: Any, zone: str) -> Callable[..., None]:
    """`change(("CREATE", record), ...)`: one batch of changes of the zone."""

    def submit(*changes: tuple[str, dict[str, Any]]) -> None:
        batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})

    return submit


@pytest.fixture
def refused(change: Callable[..., None]) -> Changes:
    """`refused(("CREATE", record), ...)`: the messages with which AWS refuses a batch."""

    def submit(*changes: tuple[str, dict[str, Any]]) -> list[str]:
        with pytest.raises(ClientError) as error:
            change(*changes)
        assert error.value.response["Error"]["Code"] == "InvalidChangeBatch"
        answer: dict[str, Any] = {**error.value.response}
        messages: list[str] = answer["messages"]
        assert error.value.response["Error"]["Message"] == f"[{', '.join(messages)}]"
        return messages

    return submit


@pytest.fixture
def invalid(change: Callable[..., None]) -> Callable[..., str]:
    """`invalid(("CREATE", record))`: the message with which AWS refuses a malformed change."""

    def submit(*changes: tuple[str, dict[str, Any]]) -> str:
        with pytest.raises(ClientError) as error:
            change(*changes)
        assert error.value.response["Error"]["Code"] == "InvalidInput"
        return str(error.value.response["Error"]["Message"])

    return submit


@pytest.fixture
def listed(route53: Any, zone: str) -> Callable[[], list[tuple[str, ...]]]:
    """Name, type and set identifier of every record set in the zone but its own NS and SOA."""

    def names() -> list[tuple[str, ...]]:
        records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        found = [(record["Name"], record["Type"], record.get("SetIdentifier", "")) for record in records]
        return [record for record in found if record[1] not in ("NS", "SOA")]

    return names


def record(name: str = "www.example.com", type_: str = "A", *values: str, **more: Any) -> dict[str, Any]:
    """A record set; an address as its value where none is given."""
    records = [{"Value": value} for value in values or ("192.0.2.1",)]
    return {"Name": name, "Type": type_, "TTL": 30, "ResourceRecords": records} | more


def weighted(identifier: str, weight: int = 1, **more: Any) -> dict[str, Any]:
    """A member of the weighted group `app.example.com. CNAME`."""
    member = record("app.example.com", "CNAME", f"{identifier}.example.com")
    return member | {"SetIdentifier": identifier, "Weight": weight} | more


def alias(target: str, zone_id: str, **more: Any) -> dict[str, Any]:
    """An alias record set `www.example.com. A`."""
    target_ = {"HostedZoneId": zone_id, "DNSName": target, "EvaluateTargetHealth": False}
    return {"Name": "www.example.com", "Type": "A", "AliasTarget": target_} | more


@pytest.mark.change("route53-change-batch")
class TestSingleChanges:
    def test_a_record_outside_the_zone_is_refused(self, refused: Changes) -> None:
        """`notexample.com` ends with the zone's name and isn't in it: moto takes it."""
        assert refused(("CREATE", record("www.notexample.com"))) == [
            "RRSet with DNS name www.notexample.com. is not permitted in zone example.com."
        ]

    def test_creating_what_exists_is_refused(self, change: Callable[..., None], refused: Changes) -> None:
        """Two programs with one record: the second must not add a duplicate."""
        change(("CREATE", record()), ("CREATE", weighted("primary")))
        assert refused(("CREATE", record("WWW.example.com."))) == [
            "Tried to create resource record set [name='www.example.com.', type='A'] but it already exists"
        ]
        assert refused(("CREATE", weighted("primary"))) == [
            "Tried to create resource record set [name='app.example.com.', type='CNAME', set-identifier='primary'] "
            "but it already exists"
        ]

    def test_upsert_replaces_what_exists(
        self, change: Callable[..., None], route53: Any, zone: str, listed: Callable[[], list[tuple[str, ...]]]
    ) -> None:
        """A change of weight must not leave the old weight beside the new one."""
        change(("CREATE", weighted("primary", 1)), ("CREATE", weighted("secondary", 1)))
        change(("UPSERT", weighted("primary", 200)))
        records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        assert {one["SetIdentifier"]: one["Weight"] for one in records if "Weight" in one} == {
            "primary": 200,
            "secondary": 1,
        }

    def test_deleting_what_is_not_there_is_refused(self, refused: Changes) -> None:
        """moto says yes, so a program that lost its record would destroy without a word."""
        assert refused(("DELETE", record())) == [
            "Tried to delete resource record set [name='www.example.com.', type='A'] but it was not found"
        ]

    @pytest.mark.parametrize(
        "difference",
        [
            {"Weight": 2},
            {"TTL": 60},
            {"ResourceRecords": [{"Value": "other.example.com"}]},
        ],
    )
    def test_deleting_with_other_values_is_refused(
        self, change: Callable[..., None], refused: Changes, difference: dict[str, Any]
    ) -> None:
        """Whoever deletes a record that somebody else has changed must hear of it."""
        change(("CREATE", weighted("primary")))
        assert refused(("DELETE", weighted("primary") | difference)) == [
            "Tried to delete resource record set [name='app.example.com.', type='CNAME', set-identifier='primary'] "
            "but the values provided do not match the current values"
        ]

    def test_deleting_takes_one_member_of_a_group(
        self, change: Callable[..., None], listed: Callable[[], list[tuple[str, ...]]]
    ) -> None:
        """moto deletes every record with that set identifier, whatever its name."""
        other = record("api.example.com", "CNAME", "x.example.com", SetIdentifier="primary", Weight=1)
        change(("CREATE", weighted("primary")), ("CREATE", weighted("secondary")), ("CREATE", other))
        change(("DELETE", weighted("primary")))
        assert listed() == [("api.example.com.", "CNAME", "primary"), ("app.example.com.", "CNAME", "secondary")]

    def test_the_order_of_values_does_not_matter_for_deleting(
        self, change: Callable[..., None], listed: Callable[[], list[tuple[str, ...]]]
    ) -> None:
        """A set of records has no order; a provider may read it in another one than it sent."""
        change(("CREATE", record("www.example.com", "A", "192.0.2.1", "192.0.2.2")))
        change(("DELETE", record("www.example.com", "A", "192.0.2.2", "192.0.2.1")))
        assert listed() == []

    def test_a_health_check_must_exist(self, change: Callable[..., None]) -> None:
        """A record whose check is missing counts as healthy for ever: traffic never leaves a dead site."""
        missing = "11111111-2222-3333-4444-555555555555"
        with pytest.raises(ClientError) as error:
            change(("CREATE", weighted("primary", HealthCheckId=missing)))
        assert error.value.response["Error"] | {"message": ""} == {
            "Type": "Sender",
            "Code": "NoSuchHealthCheck",
            "Message": f"A health check with id {missing} does not exist.",
            "message": "",
        }

    def test_a_bad_value_and_a_bad_name_are_refused(self, refused: Changes) -> None:
        """Values and names have rules of their own (see their tests); batches must apply them."""
        assert refused(("CREATE", record("www.example.com", "A", "nowhere"))) == [
            "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) "
            "encountered with 'nowhere''"
        ]
        assert refused(("CREATE", record("a..example.com"))) == [
            "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with 'a..example.com'"
        ]


@pytest.mark.change("route53-change-batch")
class TestMalformedChanges:
    @pytest.mark.parametrize(("weight", "limit"), [(256, "maxInclusive '255'"), (300, "maxInclusive '255'")])
    def test_a_weight_has_one_byte(self, invalid: Callable[..., str], weight: int, limit: str) -> None:
        """`weight: 300` in the config must fail at preview, and if not there, then here."""
        message = invalid(("CREATE", weighted("primary", weight)))
        assert f"Value '{weight}' is not facet-valid" in message
        assert limit in message

    @pytest.mark.parametrize("weight", [0, 255])
    def test_weights_at_the_limits_are_taken(self, change: Callable[..., None], weight: int) -> None:
        """0 is how a site is made the last resort."""
        change(("CREATE", weighted("primary", weight)))

    def test_a_ttl_has_31_bits(self, invalid: Callable[..., str], change: Callable[..., None]) -> None:
        """RFC 2181; resolvers take the sign bit for zero."""
        assert "maxInclusive '2147483647'" in invalid(("CREATE", record(TTL=2**31)))
        change(("CREATE", record(TTL=2**31 - 1)), ("CREATE", record("zero.example.com", TTL=0)))

    def test_a_set_identifier_has_128_characters(self, invalid: Callable[..., str]) -> None:
        """Identifiers that are put together from names grow beyond it."""
        assert "maxLength '128'" in invalid(("CREATE", weighted("x" * 129)))

    def test_a_weight_needs_a_set_identifier(self, invalid: Callable[..., str]) -> None:
        """Without it AWS can't tell the members of a group apart."""
        member = weighted("primary")
        del member["SetIdentifier"]
        assert invalid(("CREATE", member)) == (
            "Invalid request: Missing field 'SetIdentifier' in Change with [Action=CREATE, Name=app.example.com, "
            "Type=CNAME, SetIdentifier=null]"
        )

    def test_a_set_identifier_needs_one_routing_policy(self, invalid: Callable[..., str]) -> None:
        """A forgotten weight is no weight of 0."""
        member = weighted("primary")
        del member["Weight"]
        expected = (
            "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, MultiValueAnswer, "
            "GeoProximityLocation, or CidrRoutingConfig], but found {} in Change with [Action=CREATE, "
            "Name=app.example.com, Type=CNAME, SetIdentifier=primary]"
        )
        assert invalid(("CREATE", member)) == expected.format("none")
        assert invalid(("CREATE", weighted("primary", Region="eu-west-1"))) == expected.format("more than one")

    @pytest.mark.parametrize(
        ("missing", "added", "found"),
        [
            ("TTL", {}, "none"),
            ("ResourceRecords", {}, "none"),
            ("", {"AliasTarget": alias("x.example.com", "Z1")["AliasTarget"]}, "more than one"),
            ("ResourceRecords", {"AliasTarget": alias("x.example.com", "Z1")["AliasTarget"]}, "more than one"),
        ],
    )
    def test_a_record_has_a_ttl_and_values_or_is_an_alias(
        self, invalid: Callable[..., str], missing: str, added: dict[str, Any], found: str
    ) -> None:
        """An alias takes its TTL from the target; everything else needs one."""
        given = {field: value for field, value in record().items() if field != missing} | added
        assert invalid(("CREATE", given)) == (
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
            f"TrafficPolicyInstanceId], but found {found} in Change with [Action=CREATE, Name=www.example.com, Type=A, "
            "SetIdentifier=null]"
        )

    @pytest.mark.parametrize(("field", "value"), [("Action", "REPLACE"), ("Type", "APL")])
    def test_actions_and_types_are_closed_sets(self, invalid: Callable[..., str], field: str, value: str) -> None:
        """An unknown action that is ignored looks like a change that was made."""
        action = value if field == "Action" else "CREATE"
        message = invalid((action, record(type_=value if field == "Type" else "A")))
        assert f"Value '{value}' is not facet-valid with respect to enumeration" in message

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("TrafficPolicyInstanceId", "11111111-2222-3333-4444-555555555555"),
            ("GeoProximityLocation", {"AWSRegion": "eu-west-1"}),
            ("CidrRoutingConfig", {"CollectionId": "11111111-2222-3333-4444-555555555555", "LocationName": "x"}),
        ],
    )
    def test_what_the_sandbox_cannot_route_by_is_named(
        self, change: Callable[..., None], field: str, value: object
    ) -> None:
        """moto drops these fields: the record would be there, and answer everybody the same."""
        with pytest.raises(ClientError, match=rf"\(NotImplemented\).*resource record sets with {field}"):
            change(("CREATE", record(SetIdentifier="x") | {field: value}))


@pytest.mark.change("route53-change-batch")
class TestZoneRules:
    def test_no_cname_at_the_apex(self, refused: Changes) -> None:
        """The apex has NS and SOA, and a CNAME stands alone; an apex name needs an alias."""
        assert refused(("CREATE", record("example.com", "CNAME", "www.example.com"))) == [
            "RRSet of type CNAME with DNS name example.com. is not permitted at apex in zone example.com."
        ]

    def test_a_cname_stands_alone(self, change: Callable[..., None], refused: Changes) -> None:
        """RFC 1034, 3.6.2; moto keeps both and AWS neither."""
        change(("CREATE", record()), ("CREATE", record("old.example.com", "CNAME", "www.example.com")))
        assert refused(("CREATE", record("www.example.com", "CNAME", "x.example.com"))) == [
            "RRSet of type CNAME with DNS name www.example.com. is not permitted as it conflicts with other records "
            "with the same DNS name in zone example.com."
        ]
        assert refused(("CREATE", record("old.example.com", "TXT", '"x"'))) == [
            "RRSet of type TXT with DNS name old.example.com. is not permitted because a conflicting RRSet of type "
            "CNAME with the same DNS name already exists in zone example.com."
        ]

    def test_a_cname_has_one_value(self, refused: Changes) -> None:
        """Several targets need several weighted record sets."""
        assert len(refused(("CREATE", record("x.example.com", "CNAME", "a.example.com", "b.example.com")))) == 1

    def test_a_simple_record_has_no_group_beside_it(self, change: Callable[..., None], refused: Changes) -> None:
        """A leftover simple record would answer instead of the weighted group."""
        change(("CREATE", weighted("primary")))
        assert refused(("CREATE", record("app.example.com", "CNAME", "x.example.com"))) == [
            "RRSet with DNS name app.example.com., type CNAME cannot be created as other RRSets exist with the same "
            "name and type."
        ]

    def test_a_group_has_no_simple_record_beside_it(self, change: Callable[..., None], refused: Changes) -> None:
        """Going from one record to weighted ones takes a batch that deletes the old one."""
        simple = record("app.example.com", "CNAME", "x.example.com")
        change(("CREATE", simple))
        message = (
            "RRSet with DNS name app.example.com., type CNAME, SetIdentifier primary cannot be created as a "
            "non-weighted set exists with the same name and type."
        )
        assert refused(("CREATE", weighted("primary"))) == [message]
        change(("DELETE", simple), ("CREATE", weighted("primary")))

    def test_a_group_has_one_routing_policy(self, change: Callable[..., None], refused: Changes) -> None:
        """Route 53 can't choose by weight and by latency at once."""
        change(("CREATE", weighted("primary")))
        latency = weighted("secondary") | {"Region": "eu-west-1"}
        del latency["Weight"]
        assert refused(("CREATE", latency)) == [
            "RRSet with DNS name app.example.com., type CNAME, SetIdentifier secondary cannot be created as a "
            "non-latency set exists with the same name and type."
        ]

    def test_a_weighted_group_has_one_ttl(self, change: Callable[..., None], refused: Changes) -> None:
        """A new TTL has to come to all members in one batch, which a resource per record can't do."""
        change(("CREATE", weighted("primary")))
        assert refused(("CREATE", weighted("secondary", TTL=60))) == [
            "RRSet with DNS name app.example.com. and type CNAME, SetIdentifier secondary cannot be created as "
            "weighted sets must contain the same TTL."
        ]
        change(("UPSERT", weighted("primary", TTL=60)), ("CREATE", weighted("secondary", TTL=60)))

    def test_a_weighted_group_has_100_members(self, change: Callable[..., None], refused: Changes) -> None:
        """API reference, ResourceRecordSet: Weight."""
        change(*(("CREATE", weighted(f"n{number}")) for number in range(100)))
        (message,) = refused(("CREATE", weighted("one-more")))
        assert "more than 100 weighted sets" in message

    @pytest.mark.parametrize(
        ("policy", "text"),
        [
            ({"Region": "eu-west-1"}, "Region Name=eu-west-1 cannot be created because a latency RRSet"),
            ({"Failover": "PRIMARY"}, "Failover Type=PRIMARY cannot be created because a failover RRSet"),
            ({"GeoLocation": {"CountryCode": "*"}}, "cannot be created because a geolocation RRSet"),
        ],
    )
    def test_a_place_in_a_group_is_taken_once(
        self, change: Callable[..., None], refused: Changes, policy: dict[str, Any], text: str
    ) -> None:
        """Two PRIMARY records: which one answers would be chance."""
        change(("CREATE", record(SetIdentifier="one", **policy)))
        (message,) = refused(("CREATE", record(SetIdentifier="two", **policy)))
        assert text in message

    def test_multivalue_records_make_a_group(
        self, change: Callable[..., None], listed: Callable[[], list[Any]]
    ) -> None:
        """Several of them with one name are what the policy is for."""
        change(*(("CREATE", record(SetIdentifier=one, MultiValueAnswer=True)) for one in ("a", "b")))
        assert len(listed()) == 2

    def test_the_zone_keeps_its_own_records(self, route53: Any, zone: str, refused: Changes) -> None:
        """Without NS and SOA at the apex a zone is lame."""
        own = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        assert refused(*(("DELETE", one) for one in own)) == [
            "A HostedZone must contain exactly one SOA record.",
            "A HostedZone must contain at least one NS record for the zone itself.",
        ]

    @pytest.mark.parametrize(
        "unfit",
        [
            record("www.example.com", "SOA", "ns.example.com. host.example.com. 1 7200 900 1209600 86400"),
            record("*.example.com", "NS", "ns.example.net"),
            record("sub.example.com", "NS", "ns.example.net", SetIdentifier="x", Weight=1),
        ],
    )
    def test_ns_and_soa_have_their_places(self, refused: Changes, unfit: dict[str, Any]) -> None:
        """A second SOA below the apex, or a wildcard delegation, cuts a zone in two."""
        assert len(refused(("CREATE", unfit))) == 1


@pytest.mark.change("route53-change-batch")
class TestAliases:
    @pytest.fixture
    def balancer(self, aws: ClientFactory) -> dict[str, str]:
        """A load balancer in eu-west-1 as DescribeLoadBalancers shows it."""
        ec2, elbv2 = aws("ec2"), aws("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"]
            for n, zone in enumerate("ab")
        ]
        created = elbv2.create_load_balancer(Name="web", Subnets=[subnet["SubnetId"] for subnet in subnets])
        shown: dict[str, str] = created["LoadBalancers"][0]
        return shown

    def test_an_alias_of_a_load_balancer_is_returned_in_lower_case(
        self, change: Callable[..., None], route53: Any, zone: str, balancer: dict[str, str]
    ) -> None:
        """AWS returns the target in lower case with a dot at the end; a provider has to expect that."""
        change(("CREATE", alias(balancer["DNSName"].upper(), balancer["CanonicalHostedZoneId"])))
        (kept,) = (
            one
            for one in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
            if "AliasTarget" in one
        )
        assert kept["AliasTarget"] == {
            "HostedZoneId": balancer["CanonicalHostedZoneId"],
            "DNSName": f"{balancer['DNSName'].lower()}.",
            "EvaluateTargetHealth": False,
        }
        assert "TTL" not in kept

    def test_the_dualstack_name_of_a_load_balancer_is_its_name_too(
        self, change: Callable[..., None], balancer: dict[str, str]
    ) -> None:
        """The console and some tools prefix it, and AWS answers for both."""
        change(("CREATE", alias(f"dualstack.{balancer['DNSName']}", balancer["CanonicalHostedZoneId"])))

    def test_a_load_balancer_has_its_own_zone_id(self, refused: Changes, balancer: dict[str, str]) -> None:
        """The zone id is a constant per region; the wrong region's is the classic mistake."""
        assert refused(("CREATE", alias(balancer["DNSName"], "Z00000000000000000000"))) == [
            f"Tried to create an alias that targets {balancer['DNSName'].lower()}., type A in zone "
            "Z00000000000000000000, but the alias target name does not lie within the target zone"
        ]

    def test_a_load_balancer_must_exist(self, refused: Changes) -> None:
        """An alias of a deleted balancer answers nothing."""
        target = "gone-1.eu-west-1.elb.amazonaws.com"
        assert refused(("CREATE", alias(target, "Z00000000000000000000"))) == [
            f"Tried to create an alias that targets {target}., type A in zone Z00000000000000000000, but that target "
            "was not found"
        ]

    def test_a_target_in_the_zone_must_be_there(self, change: Callable[..., None], refused: Changes, zone: str) -> None:
        """A typing error in the target's name is found when the record is made."""
        told = f"Tried to create an alias that targets primary.example.com., type A in zone {zone}, "
        assert refused(("CREATE", alias("primary.example.com", zone))) == [f"{told}but that target was not found"]
        change(("CREATE", record("primary.example.com")), ("CREATE", alias("primary.example.com", zone)))

    def test_a_target_lies_in_the_zone_it_names(self, refused: Changes, zone: str) -> None:
        """The zone id of the record's own zone with a name from somewhere else."""
        told = f"Tried to create an alias that targets www.example.org., type A in zone {zone}, "
        assert refused(("CREATE", alias("www.example.org", zone))) == [
            f"{told}but the alias target name does not lie within the target zone",
            f"{told}but that target was not found",
        ]

    def test_other_targets_are_not_supported(self, change: Callable[..., None]) -> None:
        """The sandbox has no CloudFront to look the target up in, and says so."""
        with pytest.raises(ClientError, match=r"\(NotImplemented\).*d1.cloudfront.net"):
            change(("CREATE", alias("d1.cloudfront.net", "Z2FDTNDATAQYW2")))

    def test_an_alias_is_no_multivalue_answer(self, change: Callable[..., None], refused: Changes, zone: str) -> None:
        """API reference, ResourceRecordSet: MultiValueAnswer."""
        change(("CREATE", record("primary.example.com")))
        several = alias("primary.example.com", zone, SetIdentifier="x", MultiValueAnswer=True)
        assert len(refused(("CREATE", several))) == 1


@pytest.mark.change("route53-change-batch")
class TestBatches:
    def test_a_batch_is_made_whole_or_not_at_all(
        self, change: Callable[..., None], refused: Changes, listed: Callable[[], list[tuple[str, ...]]]
    ) -> None:
        """Half a batch is a zone that nobody planned."""
        change(("CREATE", record("kept.example.com")))
        refused(
            ("DELETE", record("kept.example.com")),
            ("CREATE", record("new.example.com")),
            ("CREATE", record("www.example.org")),
        )
        assert listed() == [("kept.example.com.", "A", "")]

    def test_all_problems_are_told_at_once(self, refused: Changes) -> None:
        """One problem per attempt makes an attempt per problem."""
        assert refused(
            ("CREATE", record("www.example.org")),
            ("DELETE", record("gone.example.com")),
            ("CREATE", record("bad.example.com", "A", "nowhere")),
            ("CREATE", record("a..example.com")),
        ) == [
            "RRSet with DNS name www.example.org. is not permitted in zone example.com.",
            "Tried to delete resource record set [name='gone.example.com.', type='A'] but it was not found",
            "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) "
            "encountered with 'nowhere''",
            "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with 'a..example.com'",
        ]

    def test_a_record_can_be_replaced_by_another_type_in_one_batch(
        self, change: Callable[..., None], listed: Callable[[], list[tuple[str, ...]]]
    ) -> None:
        """How a provider replaces a record: there is no moment without an answer."""
        old = record("www.example.com", "CNAME", "x.example.com")
        change(("CREATE", old))
        change(("DELETE", old), ("CREATE", record()))
        assert listed() == [("www.example.com.", "A", "")]

    def test_one_record_set_is_changed_once(self, refused: Changes) -> None:
        """Two changes of one record in a batch come from a list with duplicates."""
        message = "The request contains an invalid set of changes for a resource record set 'A www.example.com.'"
        assert refused(("UPSERT", record()), ("UPSERT", record("WWW.example.com", "A", "192.0.2.9"))) == [message]

    def test_one_record_set_is_deleted_once(self, change: Callable[..., None], refused: Changes) -> None:
        """API reference, ChangeResourceRecordSets: the same deletion twice is InvalidChangeBatch."""
        change(("CREATE", record()))
        assert refused(("DELETE", record()), ("DELETE", record())) == [
            "The request contains an invalid set of changes for a resource record set 'A www.example.com.'"
        ]

    def test_a_zone_that_does_not_exist_is_named(self, route53: Any) -> None:
        """A deleted zone must not look like an empty one."""
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record()}]}
        with pytest.raises(ClientError, match=r"\(NoSuchHostedZone\).*Z0000"):
            route53.change_resource_record_sets(HostedZoneId="Z0000", ChangeBatch=batch)


@pytest.mark.change("route53-record-listing")
class TestListing:
    @pytest.fixture
    def page(self, route53: Any, zone: str) -> Callable[..., Any]:
        return lambda **start: route53.list_resource_record_sets(HostedZoneId=zone, **start)

    @pytest.fixture
    def filled(self, change: Callable[..., None]) -> None:
        change(
            *(("CREATE", record(f"{name}.example.com")) for name in ("b", "z.a", "a", "a-b", "*")),
            ("CREATE", record("a.example.com", "TXT", '"x"')),
            *(("CREATE", weighted(identifier)) for identifier in ("c", "a", "b")),
        )

    @pytest.mark.usefixtures("filled")
    def test_order_is_name_by_reversed_labels_then_type_then_identifier(
        self, listed: Callable[[], list[tuple[str, ...]]]
    ) -> None:
        """AWS's order; a reader that stops at the first other name depends on it."""
        assert listed() == [
            ("\\052.example.com.", "A", ""),
            ("a-b.example.com.", "A", ""),
            ("a.example.com.", "A", ""),
            ("a.example.com.", "TXT", ""),
            ("z.a.example.com.", "A", ""),
            ("app.example.com.", "CNAME", "a"),
            ("app.example.com.", "CNAME", "b"),
            ("app.example.com.", "CNAME", "c"),
            ("b.example.com.", "A", ""),
        ]

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_pages_hold_every_record_once(self, page: Callable[..., Any], size: int) -> None:
        """A page that ends inside a weighted group must go on inside it: moto starts the group again, for ever."""
        seen: list[tuple[str, ...]] = []
        start: dict[str, str] = {}
        while True:
            got = page(MaxItems=str(size), **start)
            assert len(got["ResourceRecordSets"]) <= size
            seen += [(one["Name"], one["Type"], one.get("SetIdentifier", "")) for one in got["ResourceRecordSets"]]
            assert got["MaxItems"] == str(size)
            if not got["IsTruncated"]:
                break
            following = {"Name": got["NextRecordName"], "Type": got["NextRecordType"]}
            if "NextRecordIdentifier" in got:
                following["Identifier"] = got["NextRecordIdentifier"]
            start = {f"StartRecord{field}": value for field, value in following.items()}
        assert len(seen) == len(set(seen)) == 11

    @pytest.mark.usefixtures("filled")
    def test_a_listing_begins_at_the_first_name_that_is_not_smaller(self, page: Callable[..., Any]) -> None:
        """How a record is looked up: the first answer may be another record, and a caller has to compare."""
        first = page(StartRecordName="APP.example.com", StartRecordType="CNAME", StartRecordIdentifier="b")
        assert first["ResourceRecordSets"][0]["SetIdentifier"] == "b"
        assert page(StartRecordName="aa.example.com")["ResourceRecordSets"][0]["Name"] == "app.example.com."
        typed = page(StartRecordName="a.example.com", StartRecordType="CNAME")["ResourceRecordSets"][0]
        assert (typed["Name"], typed["Type"]) == ("a.example.com.", "TXT")

    @pytest.mark.parametrize(
        "start",
        [
            {"StartRecordType": "A"},
            {"StartRecordName": "a.example.com", "StartRecordIdentifier": "x"},
            {"StartRecordName": "a..example.com"},
            {"StartRecordName": "a.example.com", "StartRecordType": "APL"},
            {"MaxItems": "0"},
            {"MaxItems": "many"},
        ],
    )
    def test_a_start_that_makes_no_sense_is_refused(self, page: Callable[..., Any], start: dict[str, str]) -> None:
        """API reference, ListResourceRecordSets: a type without a name is InvalidInput."""
        with pytest.raises(ClientError, match=r"\(InvalidInput\)"):
            page(**start)

    def test_a_page_has_300_records_at_most(self, page: Callable[..., Any], change: Callable[..., None]) -> None:
        """Whoever asks for more and doesn't look at IsTruncated misses records, on AWS as here."""
        change(*(("CREATE", record(f"n{number}.example.com")) for number in range(310)))
        got = page(MaxItems="1000")
        assert (len(got["ResourceRecordSets"]), got["IsTruncated"], got["MaxItems"]) == (300, True, "300")
