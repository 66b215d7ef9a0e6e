"""What the name server answers, read by dnspython from the bytes that go over the wire."""

from collections import Counter

import dns.flags
import pytest

from sandbox.dns.answers import Answerer
from sandbox.dns.zones import Zones
from tests.sandbox.dns.snapshot import (
    ADDRESS,
    BALANCER,
    alias,
    answerer,
    ask,
    given,
    rcode,
    record,
    texts,
    weighted,
    zone,
)

SOA = "example.com. 900 IN SOA ns-1.awsdns-1.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"


def test_a_record_is_answered_with_its_values_its_ttl_and_authority() -> None:
    """Everything else stands on this."""
    reply = ask(answerer(record("www.example.com.", "A", "127.0.0.1", "127.0.0.2", ttl=30)), "www.example.com")
    assert texts(reply.answer) == ["www.example.com. 30 IN A 127.0.0.1", "www.example.com. 30 IN A 127.0.0.2"]
    assert reply.flags & dns.flags.AA
    assert not reply.flags & dns.flags.RA
    assert reply.authority == []


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("AAAA", "2001:db8::1"),
        ("MX", "10 mail.example.com."),
        ("SRV", "1 2 443 www.example.com."),
        ("CAA", '0 issue "ca.example"'),
        ("TXT", '"two" "strings"'),
        ("SPF", '"v=spf1 -all"'),
        ("PTR", "www.example.com."),
    ],
)
def test_every_supported_type_is_answered(type_: str, value: str) -> None:
    """Developer Guide, "Supported DNS record types": an application's other records must not vanish."""
    reply = ask(answerer(record("x.example.com.", type_, value)), "x.example.com", type_)
    assert texts(reply.answer) == [f"x.example.com. 300 IN {type_} {value}"]


def test_strings_have_their_escapes_resolved() -> None:
    """Developer Guide, "TXT record type": `\\041` is an exclamation mark; a certificate's proof is compared by byte."""
    reply = ask(answerer(record("x.example.com.", "TXT", r'"a\"b\\c\041" "; d"')), "x.example.com", "TXT")
    assert reply.answer[0][0].strings == (b'a"b\\c!', b"; d")


def test_ns_and_soa_of_the_apex_are_answered() -> None:
    """Tools find a zone by its SOA, and a delegation is checked by its NS."""
    of = answerer()
    assert texts(ask(of, "example.com", "SOA").answer) == [SOA]
    assert len(texts(ask(of, "example.com", "NS").answer)) == 2


def test_a_name_that_does_not_exist_is_nxdomain_with_the_soa() -> None:
    """RFC 2308: without the SOA, and its smaller TTL, a resolver may not remember that there is nothing."""
    reply = ask(answerer(), "absent.example.com")
    assert (rcode(reply), texts(reply.authority)) == ("NXDOMAIN", [SOA])
    assert reply.flags & dns.flags.AA


@pytest.mark.parametrize(("ttl", "minimum", "expected"), [(900, 60, 60), (60, 900, 60)])
def test_a_negative_answer_holds_for_the_smaller_of_the_soas_ttl_and_minimum(
    ttl: int, minimum: int, expected: int
) -> None:
    """RFC 2308 section 5: a name that was asked for too early stays away from resolvers for that long."""
    of = Answerer()
    told = zone()
    soa = next(each for each in told["records"] if each["type"] == "SOA")
    soa["ttl"], soa["values"] = ttl, [f"ns-1.awsdns-1.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 {minimum}"]
    of.zones = Zones.read(given(told))
    assert ask(of, "absent.example.com").authority[0].ttl == expected


@pytest.mark.parametrize("name", ["www.example.com", "b.example.com", "example.com"])
def test_a_name_without_such_a_record_is_noerror_with_the_soa(name: str) -> None:
    """NXDOMAIN for a name that exists would take away its other records and all names below it (RFC 8020)."""
    of = answerer(record("www.example.com.", "TXT", '"x"'), record("a.b.example.com.", "A", "127.0.0.1"))
    reply = ask(of, name)
    assert (rcode(reply), texts(reply.answer), texts(reply.authority)) == ("NOERROR", [], [SOA])


def test_outside_of_the_zones_is_refused() -> None:
    """An authoritative server that answers for others would send the sandbox's traffic anywhere."""
    for name in ("example.org", "com", ".", "notexample.com"):
        reply = ask(answerer(), name)
        assert (rcode(reply), reply.answer, reply.authority) == ("REFUSED", [], [])
        assert not reply.flags & dns.flags.AA


def test_the_innermost_zone_answers() -> None:
    """A zone for a subdomain is a zone of its own; its parent knows nothing of what is in it."""
    of = Answerer()
    inner = zone(record("www.sub.example.com.", "A", "127.0.0.2"), name="sub.example.com.", id_="Z2")
    of.zones = Zones.read(given(zone(record("www.sub.example.com.", "A", "127.0.0.1")), inner))
    assert texts(ask(of, "www.sub.example.com").answer) == ["www.sub.example.com. 300 IN A 127.0.0.2"]
    assert rcode(ask(of, "absent.sub.example.com")) == "NXDOMAIN"


def test_of_two_zones_of_one_name_the_older_answers(capfd: pytest.CaptureFixture[str]) -> None:
    """AWS gives each its own name servers; here one must win, always the same one, and say so."""
    of = Answerer()
    of.zones = Zones.read(given(zone(record("a.example.com.", "A", "127.0.0.1")), zone(id_="Z2")))
    assert rcode(ask(of, "a.example.com")) == "NOERROR"
    assert "Z1 answers, Z2 doesn't" in capfd.readouterr().err


# --- wildcards


WILD = (
    record("*.example.com.", "A", "127.0.0.9"),
    record("www.example.com.", "TXT", '"x"'),
    record("a.b.example.com.", "A", "127.0.0.1"),
)


@pytest.mark.parametrize("name", ["x.example.com", "y.x.example.com", "*.example.com"])
def test_a_wildcard_answers_for_names_that_do_not_exist(name: str) -> None:
    """Developer Guide, "Using an asterisk in the names of hosted zones and records"; RFC 4592."""
    assert texts(ask(answerer(*WILD), name).answer) == [f"{name}. 300 IN A 127.0.0.9"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("www.example.com", "NOERROR"), ("b.example.com", "NOERROR"), ("x.b.example.com", "NXDOMAIN")],
)
def test_a_wildcard_does_not_answer_for_what_exists_or_lies_below_it(name: str, expected: str) -> None:
    """RFC 4592 section 2.2.1: a name ends the reach of a wildcard above it, even one without records of its own."""
    reply = ask(answerer(*WILD), name)
    assert (rcode(reply), reply.answer) == (expected, [])


def test_a_wildcard_in_route_53s_spelling_is_one() -> None:
    """The API returns `\\052`; taken literally, it would be a name that nobody asks for."""
    assert ask(answerer(record("\\052.example.com.", "A", "127.0.0.9")), "x.example.com").answer


# --- CNAMEs


CHAIN = (
    record("www.example.com.", "CNAME", "site.example.com", ttl=30),
    record("site.example.com.", "CNAME", "host.example.com.", ttl=40),
    record("host.example.com.", "A", "127.0.0.1"),
    record("out.example.com.", "CNAME", "www.example.org."),
    record("dangling.example.com.", "CNAME", "absent.example.com."),
    record("loop.example.com.", "CNAME", "loop.example.com."),
)


def test_a_chain_of_cnames_within_the_zone_is_answered_whole() -> None:
    """One round trip, as with Route 53: the application's name, the site's and its address."""
    assert texts(ask(answerer(*CHAIN), "www.example.com").answer) == [
        "www.example.com. 30 IN CNAME site.example.com.",
        "site.example.com. 40 IN CNAME host.example.com.",
        "host.example.com. 300 IN A 127.0.0.1",
    ]


def test_a_cname_that_is_asked_for_is_not_followed() -> None:
    """`dig CNAME` shows the record itself."""
    assert texts(ask(answerer(*CHAIN), "www.example.com", "CNAME").answer) == [
        "www.example.com. 30 IN CNAME site.example.com."
    ]


def test_a_cname_that_leaves_the_zone_ends_there() -> None:
    """Who asks has to ask on; an authoritative server doesn't."""
    reply = ask(answerer(*CHAIN), "out.example.com")
    assert texts(reply.answer) == ["out.example.com. 300 IN CNAME www.example.org."]
    assert (rcode(reply), reply.authority) == ("NOERROR", [])


def test_a_cname_to_nothing_is_nxdomain() -> None:
    """RFC 6604 section 3: the code is that of the last name."""
    reply = ask(answerer(*CHAIN), "dangling.example.com")
    assert (rcode(reply), len(reply.answer), texts(reply.authority)) == ("NXDOMAIN", 1, [SOA])


def test_a_cname_to_itself_ends() -> None:
    """Route 53 takes such a record; a server that followed it for ever would answer nobody any more."""
    assert texts(ask(answerer(*CHAIN), "loop.example.com").answer) == [
        "loop.example.com. 300 IN CNAME loop.example.com."
    ]


def test_a_loop_of_cnames_is_answered_once_around() -> None:
    """Sixteen records of two names would be a defect of the server's, and too long for UDP."""
    there = record("a.example.com.", "CNAME", "b.example.com.")
    back = record("b.example.com.", "CNAME", "a.example.com.")
    assert texts(ask(answerer(there, back), "a.example.com").answer) == [
        "a.example.com. 300 IN CNAME b.example.com.",
        "b.example.com. 300 IN CNAME a.example.com.",
    ]


def test_a_cname_does_not_answer_what_its_target_lacks() -> None:
    """AAAA of a name with IPv4 only: the chain, and then nothing, with the SOA."""
    reply = ask(answerer(*CHAIN), "www.example.com", "AAAA")
    assert (len(texts(reply.answer)), rcode(reply), texts(reply.authority)) == (2, "NOERROR", [SOA])


# --- aliases


def test_an_alias_of_a_balancer_is_its_address_for_60_seconds() -> None:
    """Developer Guide, "Choosing between alias and non-alias records": the balancer's TTL, and no CNAME to be seen."""
    of = answerer(alias("site.example.com.", f"dualstack.{BALANCER}."))
    assert texts(ask(of, "site.example.com").answer) == [f"site.example.com. 60 IN A {ADDRESS}"]
    assert texts(ask(of, "site.example.com", "AAAA").authority) == [SOA]


def test_an_alias_of_a_balancer_that_is_gone_is_nothing() -> None:
    """As on AWS: the name exists, and has no address; SERVFAIL would be retried elsewhere."""
    reply = ask(answerer(alias("site.example.com.", "gone-1.eu-west-1.elb.amazonaws.com.")), "site.example.com")
    assert (rcode(reply), reply.answer, texts(reply.authority)) == ("NOERROR", [], [SOA])


def test_an_alias_of_a_record_is_that_record_under_the_aliass_name() -> None:
    """Same page: type and TTL are the target's; aliases of aliases work."""
    of = answerer(
        alias("example.com.", "a.example.com."),
        alias("a.example.com.", "b.example.com."),
        record("b.example.com.", "A", "127.0.0.5", ttl=30),
        record("b.example.com.", "TXT", '"x"'),
    )
    assert texts(ask(of, "example.com").answer) == ["example.com. 30 IN A 127.0.0.5"]
    assert ask(of, "example.com", "TXT").answer == []


def test_an_alias_of_a_weighted_group_is_chosen_from_it() -> None:
    """The apex of an application is such an alias."""
    of = answerer(
        alias("example.com.", "w.example.com."),
        weighted("w.example.com.", "A", "127.0.0.1", 10),
        weighted("w.example.com.", "A", "127.0.0.2", 10),
    )
    assert {ask(of, "example.com").answer[0][0].address for _ in range(50)} == {"127.0.0.1", "127.0.0.2"}


def test_an_alias_of_what_the_sandbox_does_not_have_is_servfail_with_the_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """CloudFront and others: an empty answer would look like a missing record."""
    of = answerer(alias("cdn.example.com.", "d123.cloudfront.net."))
    assert rcode(ask(of, "cdn.example.com")) == "SERVFAIL"
    said = capfd.readouterr().err
    assert "cdn.example.com. A is an alias of d123.cloudfront.net." in said


def test_aliases_in_a_circle_are_servfail_with_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    """They must not take the server with them."""
    circle = (alias("a.example.com.", "b.example.com."), alias("b.example.com.", "a.example.com."))
    assert rcode(ask(answerer(*circle), "a.example.com")) == "SERVFAIL"
    assert "leads back to itself" in capfd.readouterr().err


def test_balancers_own_names_are_answered() -> None:
    """They are public names of AWS; a CNAME to one leaves the zone and is resolved there."""
    of = answerer()
    for name in (BALANCER, f"dualstack.{BALANCER}", BALANCER.upper()):
        assert texts(ask(of, name).answer) == [f"{name}. 60 IN A {ADDRESS}"]
    nothing = ask(of, BALANCER, "AAAA")
    assert (rcode(nothing), nothing.answer, nothing.authority[0].ttl) == ("NOERROR", [], 60)
    absent = ask(of, "absent-1.eu-west-1.elb.amazonaws.com")
    assert (rcode(absent), absent.authority[0].name.to_text()) == ("NXDOMAIN", "eu-west-1.elb.amazonaws.com.")


# --- groups and health


PAIR = (
    weighted("app.example.com.", "CNAME", "one.example.com.", 1, check="one"),
    weighted("app.example.com.", "CNAME", "two.example.com.", 1, check="two"),
    record("one.example.com.", "A", "127.0.0.1"),
    record("two.example.com.", "A", "127.0.0.2"),
)
CHECKS = {"one": {"Type": "HTTP"}, "two": {"Type": "HTTP"}}


def addresses(of: Answerer, name: str = "app.example.com", times: int = 60) -> Counter[str]:
    return Counter(ask(of, name).answer[-1][0].address for _ in range(times))


def test_each_query_is_answered_by_one_record_of_a_group_by_weight() -> None:
    """Two sites of equal weight share the traffic, query by query."""
    found = addresses(answerer(*PAIR, checks=CHECKS), times=400)
    assert found.keys() == {"127.0.0.1", "127.0.0.2"}
    assert 140 < found["127.0.0.1"] < 260


def test_an_unhealthy_record_does_not_answer() -> None:
    """That is how a site that fails loses its traffic."""
    of = answerer(*PAIR, checks=CHECKS, unhealthy=("one",))
    assert addresses(of).keys() == {"127.0.0.2"}


def test_if_all_are_unhealthy_all_answer() -> None:
    """All red means all served."""
    of = answerer(*PAIR, checks=CHECKS, unhealthy=tuple(CHECKS))
    assert addresses(of).keys() == {"127.0.0.1", "127.0.0.2"}


def test_a_record_without_a_check_is_healthy() -> None:
    """Developer Guide, same page: so one without a check is never taken out, and policies insist on one."""
    of = answerer(
        weighted("w.example.com.", "A", "127.0.0.1", 1),
        weighted("w.example.com.", "A", "127.0.0.2", 1, check="one"),
        checks=CHECKS,
        unhealthy=tuple(CHECKS),
    )
    assert addresses(of, "w.example.com").keys() == {"127.0.0.1"}


@pytest.mark.parametrize(("evaluates", "expected"), [(True, {"127.0.0.9"}), (False, {ADDRESS, "127.0.0.9"})])
def test_a_balancer_without_healthy_targets_counts_only_if_it_is_evaluated(evaluates: bool, expected: set[str]) -> None:
    """API Reference, AliasTarget, "EvaluateTargetHealth"."""
    of = answerer(
        alias("w.example.com.", f"{BALANCER}.", evaluates=evaluates, policy="weighted", set="balancer", weight=1),
        weighted("w.example.com.", "A", "127.0.0.9", 1),
        healthy=False,
    )
    assert addresses(of, "w.example.com").keys() == expected


@pytest.mark.parametrize(
    ("unhealthy", "expected"),
    [
        ((), {"127.0.0.1", "127.0.0.2", "127.0.0.9"}),
        (("one",), {"127.0.0.2", "127.0.0.9"}),
        (("one", "two"), {"127.0.0.9"}),
    ],
)
def test_an_alias_that_evaluates_records_is_healthy_if_one_of_them_is(
    unhealthy: tuple[str, ...], expected: set[str]
) -> None:
    """Developer Guide, "How health checks work in complex Amazon Route 53 configurations"."""
    of = answerer(
        alias("w.example.com.", "inner.example.com.", evaluates=True, policy="weighted", set="inner", weight=2),
        weighted("w.example.com.", "A", "127.0.0.9", 1),
        weighted("inner.example.com.", "A", "127.0.0.1", 1, check="one"),
        weighted("inner.example.com.", "A", "127.0.0.2", 1, check="two"),
        checks=CHECKS,
        unhealthy=unhealthy,
    )
    assert addresses(of, "w.example.com", 100).keys() == expected


def test_aliases_that_evaluate_each_other_in_a_circle_are_servfail() -> None:
    """They must not take the server with them."""
    of = answerer(
        alias("a.example.com.", "b.example.com.", evaluates=True, policy="weighted", set="1", weight=1),
        weighted("a.example.com.", "A", "127.0.0.9", 1),
        alias("b.example.com.", "a.example.com.", evaluates=True, policy="weighted", set="1", weight=1),
        weighted("b.example.com.", "A", "127.0.0.9", 1),
    )
    assert "SERVFAIL" in {rcode(ask(of, "a.example.com")) for _ in range(20)}


@pytest.mark.parametrize("policy", ["failover", "geolocation", "latency", "multivalue answer"])
def test_another_routing_policy_is_servfail_and_named(policy: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Chosen at random instead, traffic would go where it wouldn't on AWS."""
    of = answerer(record("x.example.com.", "A", "127.0.0.1", policy=policy, set="first"))
    assert rcode(ask(of, "x.example.com")) == "SERVFAIL"
    assert f"x.example.com. A (first) has the routing policy {policy}" in capfd.readouterr().err


def test_a_type_that_is_not_answered_is_servfail_and_named(capfd: pytest.CaptureFixture[str]) -> None:
    """ "No such record" would be wrong."""
    of = answerer(record("x.example.com.", "NAPTR", '100 50 "u" "E2U+sip" "" .'))
    assert rcode(ask(of, "x.example.com", "NAPTR")) == "SERVFAIL"
    assert "type NAPTR" in capfd.readouterr().err
    assert rcode(ask(of, "x.example.com", "A")) == "NOERROR"


# --- delegation


DELEGATED = (
    record("sub.example.com.", "NS", "ns.sub.example.com.", "ns.example.org.", ttl=600),
    record("ns.sub.example.com.", "A", "127.0.0.53"),
    record("www.sub.example.com.", "A", "127.0.0.1"),
)


@pytest.mark.parametrize(("name", "type_"), [("sub.example.com", "NS"), ("www.sub.example.com", "A")])
def test_a_part_of_the_zone_that_is_given_away_is_a_referral(name: str, type_: str) -> None:
    """Developer Guide, "Creating a subdomain that uses Route 53 ... without migrating the parent domain"; RFC 1034."""
    reply = ask(answerer(*DELEGATED), name, type_)
    assert reply.answer == []
    assert texts(reply.authority) == [
        "sub.example.com. 600 IN NS ns.sub.example.com.",
        "sub.example.com. 600 IN NS ns.example.org.",
    ]
    assert texts(reply.additional) == ["ns.sub.example.com. 300 IN A 127.0.0.53"]
    assert not reply.flags & dns.flags.AA
