"""Values of resource records."""

import pytest

from sandbox.api.route53_values import problems


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("CAA", '0 issue "ca.example.net"'),
        ("CNAME", "primary.example.com."),
        ("CNAME", "_token.acm-validations.aws"),
        ("MX", "10 mail.example.com"),
        ("NS", "ns-1.example.net."),
        ("PTR", "www.example.com"),
        ("SOA", "ns.example.com. host.example.com. 1 7200 900 1209600 86400"),
        ("SPF", '"v=spf1 -all"'),
        ("SRV", "1 10 5269 xmpp.example.com."),
        ("TXT", '"one" "two \\" quoted"'),
    ],
)
def test_values_of_each_type_are_taken(type_: str, value: str) -> None:
    """A value that AWS takes must not fail in the sandbox only."""
    assert problems(type_, [value]) == []


@pytest.mark.parametrize(
    ("type_", "value", "problem"),
    [
        ("A", "www.example.com", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("A", "256.0.2.1", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("A", "192.0.2.01", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"),
        ("CAA", "issue ca.example.net", "CAARRDATAIllegal"),
        ("CNAME", "a..b", "DomainLabelEmpty (Domain label is empty)"),
        ("MX", "mail.example.com", "MXRRDATAIllegal"),
        ("MX", "70000 mail.example.com", "MXRRDATAIllegal"),
        ("SOA", "ns.example.com. host.example.com. 1 7200 900", "SOARRDATAIllegal"),
        ("SRV", "1 10 xmpp.example.com.", "SRVRRDATAIllegal"),
        ("TXT", "bare", "InvalidCharacterString (Value should be enclosed in quotation marks)"),
        ("TXT", f'"{"x" * 256}"', "CharacterStringTooLong"),
        ("TXT", " ".join(['"' + "x" * 250 + '"'] * 16), "ValueTooLong"),
    ],
)
def test_bad_values_are_refused_with_the_value(type_: str, value: str, problem: str) -> None:
    """moto takes any text, so a record that AWS refuses would pass every test."""
    (found,) = problems(type_, [value])
    assert found.startswith(f"Invalid Resource Record: 'FATAL problem: {problem}")
    assert found.endswith(f"encountered with '{value}''")


def test_a_value_may_be_there_once() -> None:
    """Two equal values come from a list that was joined with itself."""
    assert problems("A", ["192.0.2.1", "192.0.2.2", "192.0.2.1"]) == ["Duplicate Resource Record: '192.0.2.1'"]


def test_a_type_that_cannot_be_judged_is_not_supported() -> None:
    """Taking it unseen would be looser than AWS without saying so."""
    with pytest.raises(NotImplementedError, match="type SVCB"):
        problems("SVCB", ["1 ."])
