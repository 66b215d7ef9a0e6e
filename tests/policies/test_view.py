"""`lockstep_policies.view` on the real proxies of the policy SDK."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy import PolicyResource, PolicyResourceOptions
from pulumi_policy.policy import PolicyCustomTimeouts, PolicyProviderResource
from pulumi_policy.proxy import unknown_checking_proxy

from lockstep_policies import view
from tests.policies.harness import UNKNOWN

OPTIONS = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])


def resource(
    props: dict[str, Any],
    sources: dict[str, list[PolicyResource]] | None = None,
    provider: tuple[str, dict[str, Any]] | None = None,
    name: str = "a",
) -> PolicyResource:
    given = None
    if provider is not None:
        given = PolicyProviderResource(
            "pulumi:providers:aws", unknown_checking_proxy(provider[1]), "urn:p", provider[0]
        )
    return PolicyResource(
        "aws:s3/bucket:Bucket",
        unknown_checking_proxy(props),
        f"urn:{name}",
        name,
        OPTIONS,
        given,
        None,
        [],
        sources or {},
    )


def seen(*resources: PolicyResource) -> view.Resource:
    return view.Stack(list(resources)).resources[0]


def test_a_value_is_read_as_plain_data_with_unknowns_in_place() -> None:
    """The proxies raise on almost any access to an unknown, and one raise ends a policy."""
    found = seen(resource({"rules": [{"a": 443.0, "b": 0.5, "c": [UNKNOWN, "x"], "d": ""}]}))
    assert found.get("rules") == [{"a": 443, "b": 0.5, "c": [view.UNKNOWN, "x"], "d": None}]


@pytest.mark.parametrize("empty", ["", [], {}, None])
def test_an_empty_value_is_absent(empty: Any) -> None:
    """pulumi-aws reports what isn't set as an empty text or list; a check must not take that for a value."""
    assert seen(resource({"key": empty})).get("key") is None


def test_false_and_zero_are_values() -> None:
    """A switch that is off and a threshold of 0 are what several rules are about."""
    found = seen(resource({"off": False, "none": 0.0}))
    assert found.get("off") is False
    assert found.get("none") == 0


def test_an_unknown_that_nobody_set_is_absent() -> None:
    """AWS chooses it later: a property that the program doesn't set is judged by its default."""
    assert seen(resource({"key": UNKNOWN})).get("key") is None


def test_an_unknown_from_a_resource_is_unknown() -> None:
    """It is what the rules about proof turn on."""
    origin = resource({}, name="origin")
    found = seen(resource({"key": UNKNOWN}, {"key": [origin]}), origin)
    assert found.get("key") is view.UNKNOWN
    assert [source.name for source in found.sources("key")] == ["origin"]
    assert found.sources("key", {"aws:iam/role:Role"}) == []
    assert not found.is_from_outside("key")


def test_a_property_that_comes_from_a_resource_and_is_missing_is_unknown() -> None:
    """Some providers leave out in a preview what they can't know; absent would be judged as not set."""
    origin = resource({}, name="origin")
    assert seen(resource({}, {"key": [origin]}), origin).get("key") is view.UNKNOWN


def test_a_value_from_another_stack_is_told_from_a_literal() -> None:
    """The SDK drops what isn't managed here and leaves an empty list; a literal has no entry at all."""
    found = seen(resource({"key": "x", "literal": "y"}, {"key": []}))
    assert found.is_from_outside("key")
    assert not found.is_from_outside("literal")


def test_an_unknown_is_neither_true_nor_false() -> None:
    """`if value:` on an unknown is a mistake that must not pass silently."""
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(view.UNKNOWN)


@pytest.mark.parametrize(
    ("own", "provider", "expected"),
    [
        ("eu-west-1", ("p", {"region": "eu-west-2"}), "eu-west-1"),
        ("", ("p", {"region": "eu-west-2"}), "eu-west-2"),
        (UNKNOWN, ("p", {"region": "eu-west-2"}), "eu-west-2"),
        (None, ("p", {}), None),
        (None, None, None),
        (None, ("p", {"region": UNKNOWN}), view.UNKNOWN),
    ],
    ids=str,
)
def test_the_region_is_the_resources_own_else_its_providers(own: Any, provider: Any, expected: Any) -> None:
    """pulumi-aws 7 lets a resource name its region; judging by the provider alone would miss that."""
    assert seen(resource({"region": own}, provider=provider)).region == expected


@pytest.mark.parametrize(
    ("name", "is_default"),
    [
        ("default", True),
        ("default_7_51_1", True),
        ("default_7_51_1-alpha.1", True),
        ("default-eu", False),
        ("aws", False),
    ],
)
def test_the_default_provider_is_known_by_its_name(name: str, is_default: bool) -> None:
    """The engine names it so; an explicit provider may have a name that is alike."""
    assert seen(resource({}, provider=(name, {}))).has_default_provider is is_default


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("arn:aws:kms:eu-west-1:123456789012:key/1", "eu-west-1"),
        ("arn:aws-cn:kms:cn-north-1:123456789012:key/1", "cn-north-1"),
        ("arn:aws:s3:::bucket", None),
        ("arn:aws:iam::123456789012:role/a", None),
        ("see arn:aws:kms:eu-west-1:123456789012:key/1", None),
        ("arn:aws:kms", None),
        (12, None),
        (view.UNKNOWN, None),
    ],
)
def test_the_region_of_an_arn(value: Any, region: str | None) -> None:
    """A wrong reading either misses a dependency on the other region or blocks a program that has none."""
    assert view.arn_region(value) == region


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("app-1234567890.eu-west-1.elb.amazonaws.com", "eu-west-1"),
        ("dualstack.app-1234567890.us-gov-west-1.elb.amazonaws.com.", "us-gov-west-1"),
        ("App-0123abcd.elb.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("app-1.cn-north-1.elb.amazonaws.com.cn", "cn-north-1"),
        ("bucket.s3.eu-west-1.amazonaws.com", None),
        ("app.example.com", None),
        (None, None),
    ],
)
def test_the_region_of_a_balancers_name(name: Any, region: str | None) -> None:
    """It is often the only thing that tells in which region a record leads."""
    assert view.balancer_region(name) == region


@pytest.mark.parametrize(
    ("value", "bucket"), [("arn:aws:s3:::a.b-c", "a.b-c"), ("arn:aws:s3:::a/b", None), ("a", None), (None, None)]
)
def test_the_bucket_of_an_arn(value: Any, bucket: str | None) -> None:
    """Replication names its destination by ARN, everything else by name."""
    assert view.bucket_of_arn(value) == bucket
