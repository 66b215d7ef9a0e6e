"""Conditions of bucket policies hold as the IAM User Guide says, and unknown ones are refused by name."""

from typing import Any

import pytest

from sandbox.api.s3_condition import ConditionError, check_applies, like, parse_block


def holds(block: dict[str, Any], **context: str) -> bool:
    """Whether all of `block` holds; keys of `context` are written with `__` for the colon and `_` for the hyphen."""
    found = {key.replace("__", ":").replace("_", "-").lower(): (value,) for key, value in context.items()}
    return all(condition.holds(found) for condition in parse_block(block))


@pytest.mark.parametrize(
    ("operator", "wanted", "found", "expected"),
    [
        ("StringEquals", "vpce-1", "vpce-1", True),
        ("StringEquals", "vpce-1", "VPCE-1", False),
        ("StringNotEquals", "vpce-1", "vpce-1", False),
        ("StringNotEquals", "vpce-1", "vpce-2", True),
        ("StringEqualsIgnoreCase", "vpce-1", "VPCE-1", True),
        ("StringNotEqualsIgnoreCase", "vpce-1", "VPCE-1", False),
        ("StringLike", "vpce-*", "vpce-2", True),
        ("StringLike", "vpce-?", "vpce-22", False),
        ("StringNotLike", "vpce-*", "vpce-2", False),
    ],
)
def test_strings_compare_as_their_operator_says(operator: str, wanted: str, found: str, expected: bool) -> None:
    """A policy on the VPC endpoint would let in, or lock out, the wrong machines."""
    assert holds({operator: {"aws:SourceVpce": wanted}}, aws__SourceVpce=found) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringLike", False),
        ("StringNotEquals", True),
        ("StringNotLike", True),
        ("ArnLike", False),
        ("ArnNotLike", True),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
    ],
)
def test_an_absent_key_fails_positive_operators_and_passes_negated_ones(operator: str, expected: bool) -> None:
    """`Deny` unless `aws:SourceVpce` is ours must hit the caller who comes through no endpoint at all."""
    assert holds({operator: {"aws:SourceVpce": "arn:aws:ec2:eu-west-1:1:vpc-endpoint/1"}}) is expected


@pytest.mark.parametrize(("wanted", "expected"), [("true", False), ("false", True), (True, False), (False, True)])
def test_null_asks_whether_the_key_is_there(wanted: Any, expected: bool) -> None:
    """Requiring encryption headers is written with Null."""
    assert holds({"Null": {"s3:x-amz-acl": wanted}}, s3__x_amz_acl="private") is expected
    assert holds({"Null": {"s3:x-amz-acl": wanted}}) is not expected


def test_one_value_of_several_is_enough_and_a_negated_operator_needs_none() -> None:
    """Two endpoints in one list are the normal case."""
    assert holds({"StringEquals": {"aws:SourceVpce": ["a", "b"]}}, aws__SourceVpce="b")
    assert not holds({"StringNotEquals": {"aws:SourceVpce": ["a", "b"]}}, aws__SourceVpce="b")


def test_all_keys_and_all_operators_of_a_block_must_hold() -> None:
    """A block that held on one of two conditions would open the bucket."""
    block = {"StringEquals": {"aws:SourceVpce": "a"}, "Bool": {"aws:SecureTransport": "true"}}
    assert holds(block, aws__SourceVpce="a", aws__SecureTransport="true")
    assert not holds(block, aws__SourceVpce="a", aws__SecureTransport="false")


def test_bool_takes_json_booleans_and_any_case() -> None:
    """Pulumi programs write `false` as often as `"false"`."""
    assert holds({"Bool": {"aws:SecureTransport": False}}, aws__SecureTransport="false")
    assert holds({"Bool": {"AWS:SecureTransport": "FALSE"}}, aws__SecureTransport="false")


def test_arns_match_part_by_part() -> None:
    """A wildcard in the account must not swallow the rest of the ARN."""
    found = "arn:aws:iam::123456789012:role/deploy"
    assert holds({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}, aws__PrincipalArn=found)
    assert holds({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/d*"}}, aws__PrincipalArn=found)
    assert not holds({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}, aws__PrincipalArn=found)


def test_addresses_are_compared_as_networks() -> None:
    """An office range is a network, not a text."""
    block = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}
    assert holds(block, aws__SourceIp="10.9.9.9")
    assert not holds(block, aws__SourceIp="192.168.0.1")
    assert holds({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, aws__SourceIp="192.168.0.1")


@pytest.mark.parametrize(
    ("operator", "wanted", "expected"),
    [
        ("NumericEquals", 10, True),
        ("NumericNotEquals", "10", False),
        ("NumericLessThan", 11, True),
        ("NumericLessThanEquals", 10, True),
        ("NumericGreaterThan", 10, False),
        ("NumericGreaterThanEquals", 10.0, True),
    ],
)
def test_numbers_compare_as_numbers(operator: str, wanted: Any, expected: bool) -> None:
    """As texts, 9 would be more than 10."""
    assert holds({operator: {"s3:max-keys": wanted}}, s3__max_keys="10") is expected
    assert not holds({"NumericLessThan": {"s3:max-keys": 10}}, s3__max_keys="many")


def test_dates_compare_as_instants() -> None:
    """A policy that ends on a day compares ISO texts with and without a zone."""
    assert holds({"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}, aws__CurrentTime="2026-05-01T10:00:00Z")
    assert holds({"DateGreaterThan": {"aws:EpochTime": "1700000000"}}, aws__EpochTime="1800000000")


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"StringIs": {"aws:SourceVpce": "a"}}, "Invalid Condition type : StringIs"),
        ({"ForSomeValues:StringEquals": {"aws:SourceVpce": "a"}}, "ForSomeValues:StringEquals"),
        ({"NullIfExists": {"aws:SourceVpce": "true"}}, "NullIfExists"),
        ({"BinaryEquals": {"aws:SourceVpce": "a"}}, "sandbox doesn't evaluate the condition operator BinaryEquals"),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, "aws:PrincipalOrgID"),
        ({"StringEquals": {"s3:nonsense": "o-1"}}, "s3:nonsense"),
        ({"StringEquals": {"aws:SourceVpce": "${aws:username}"}}, "policy variables"),
        ({"IpAddress": {"aws:SourceIp": "10.0.0/8"}}, "10.0.0/8"),
        ({"Bool": {"aws:SecureTransport": "yes"}}, "yes"),
        ({"NumericEquals": {"s3:max-keys": "ten"}}, "ten"),
        ({"ArnLike": {"aws:PrincipalArn": "role/deploy"}}, "role/deploy"),
        ({"StringEquals": {"aws:SourceVpce": []}}, "Invalid policy syntax."),
        ({"StringEquals": {"aws:SourceVpce": {"a": 1}}}, "Invalid policy syntax."),
        ({"StringEquals": "a"}, "Invalid policy syntax."),
        ([], "Invalid policy syntax."),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(block: Any, named: str) -> None:
    """A condition that were silently ignored would make a policy pass here and fail on AWS."""
    with pytest.raises(ConditionError) as refused:
        parse_block(block)
    assert named in str(refused.value)


def test_a_key_that_an_action_never_carries_is_refused() -> None:
    """S3 refuses the whole policy for `s3:prefix` on GetObject."""
    (condition,) = parse_block({"StringLike": {"s3:prefix": "releases/*"}})
    check_applies(condition, ("s3:ListBucket",))
    check_applies(condition, ("s3:List*",))
    check_applies(condition, ("s3:*",))
    with pytest.raises(ConditionError, match="Conditions do not apply to combination of actions and resources"):
        check_applies(condition, ("s3:ListBucket", "s3:GetObject"))


def test_wildcards_take_every_other_character_as_itself() -> None:
    """Keys may hold brackets and dots, which shell and regular expression patterns read otherwise."""
    assert like("a[1].txt", "a[1].*")
    assert not like("a1.txt", "a[1].txt")
    assert like("a\nb", "a*b")
