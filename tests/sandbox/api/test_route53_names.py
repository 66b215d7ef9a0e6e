"""Domain names in Route 53's form."""

import pytest

from sandbox.api.route53_names import InvalidNameError, canonical, is_within, parse, sort_key


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        ("www.example.com", "www.example.com."),
        ("www.example.com.", "www.example.com."),
        ("WWW.Example.COM", "www.example.com."),
        ("*.example.com", "\\052.example.com."),
        ("\\052.example.com", "\\052.example.com."),
        ("_acme-challenge.example.com", "_acme-challenge.example.com."),
        ("a\\056b.example.com", "a\\056b.example.com."),
        ("a@b.example.com", "a\\100b.example.com."),
        ("\\101.example.com", "a.example.com."),
    ],
)
def test_names_are_returned_in_one_form(given: str, returned: str) -> None:
    """A provider compares what it sent with what it reads: a difference in form is an endless update."""
    assert canonical(given) == returned


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with ''"),
        ("a..example.com", "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with 'a..example.com'"),
        (".example.com", "FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with '.example.com'"),
        (
            f"{'a' * 64}.example.com",
            f"FATAL problem: DomainLabelTooLong (Domain label is too long) encountered with '{'a' * 64}'",
        ),
        (
            "a b.example.com",
            "FATAL problem: UnsupportedCharacter (Value contains unsupported characters) encountered with ' '",
        ),
        (
            "ä.example.com",
            "FATAL problem: UnsupportedCharacter (Value contains unsupported characters) encountered with 'ä'",
        ),
        (
            "a\\9.example.com",
            "FATAL problem: UnsupportedCharacter (Value contains unsupported characters) encountered with '\\'",
        ),
    ],
)
def test_what_is_not_a_name_is_refused_in_aws_words(name: str, message: str) -> None:
    """A name that only the emulator takes fails in the first deployment on AWS."""
    with pytest.raises(InvalidNameError) as refused:
        parse(name)
    assert str(refused.value) == message


def test_a_name_has_255_octets_on_the_wire_and_no_more() -> None:
    """Four labels of 63 are one octet too many; the limit counts the length bytes."""
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(parse(longest)) == 4
    with pytest.raises(InvalidNameError, match="DomainNameTooLong"):
        parse(longest + "a")


def test_a_label_of_63_is_allowed() -> None:
    """Names at the limit come from code that shortens longer ones."""
    assert parse(f"{'a' * 63}.com") == (b"a" * 63, b"com")


@pytest.mark.parametrize(
    ("name", "within"),
    [("example.com", True), ("www.example.com", True), ("notexample.com", False), ("com", False)],
)
def test_a_zone_holds_its_apex_and_what_is_below(name: str, within: bool) -> None:
    """`notexample.com` ends with the zone's name too, and belongs to somebody else."""
    assert is_within(parse(name), parse("example.com")) is within


def test_order_is_by_reversed_labels_with_a_dot_after_each() -> None:
    """AWS lists so; whoever looks for the first name that isn't smaller finds another one otherwise."""
    names = ["b", "ab", "z.a", "a", "a-b", "*"]
    ordered = sorted(
        ["example.com", *(f"{name}.example.com" for name in names)], key=lambda name: sort_key(parse(name))
    )
    assert ordered == [
        "example.com",
        "*.example.com",
        "a-b.example.com",
        "a.example.com",
        "z.a.example.com",
        "ab.example.com",
        "b.example.com",
    ]
