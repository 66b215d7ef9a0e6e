"""The conditions of listener rules, as the User Guide has them ("Condition types for listener rules")."""

from typing import Any

import pytest

from sandbox.balancer.configuration import Group, HealthCheck, Listener, Rule, Target
from sandbox.balancer.routing import action_for, choose, eligible

CHECK = HealthCheck(enabled=True, path="/", port=None, interval=10, timeout=5, healthy=2, unhealthy=2, matcher="200")
TARGETS = tuple(Target(id=f"i-{number}", port=80, host="127.0.0.1", reachable=True) for number in range(4))


def matches(*conditions: dict[str, Any], **request: Any) -> bool:
    """Whether a rule with these conditions decides about `request`."""
    rules = (Rule(conditions=conditions, action={"Type": "this"}), Rule(conditions=(), action={"Type": "default"}))
    facts = {"host": "site.example.com", "path": "/", **request}
    return bool(action_for(Listener(port=80, rules=rules), **facts)["Type"] == "this")


def header(name: str, *values: str) -> dict[str, Any]:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": list(values)}}


def query(*pairs: dict[str, str]) -> dict[str, Any]:
    return {"Field": "query-string", "QueryStringConfig": {"Values": list(pairs)}}


def source(*blocks: str) -> dict[str, Any]:
    return {"Field": "source-ip", "SourceIpConfig": {"Values": list(blocks)}}


@pytest.mark.parametrize(
    ("condition", "request_headers", "holds"),
    [
        (header("User-Agent", "*Chrome*", "*Safari*"), [("user-agent", "x CHROME y")], True),
        (header("User-Agent", "*Chrome*"), [("User-Agent", "curl")], False),
        (header("X-A", "1"), [("X-A", "2"), ("X-A", "1")], True),
        (header("X-A", "*"), [], False),
    ],
)
def test_headers_are_compared_without_case(
    condition: dict[str, Any], request_headers: list[tuple[str, str]], holds: bool
) -> None:
    """A canary that is chosen by a header would get no requests, or all of them."""
    assert matches(condition, headers=request_headers) is holds


@pytest.mark.parametrize(
    ("condition", "asked", "holds"),
    [
        (query({"Key": "version", "Value": "v1"}), "a=b&VERSION=V1", True),
        (query({"Key": "version", "Value": "v1"}), "version=v12", False),
        (query({"Value": "*example*"}), "any=an+example%21", True),
        (query({"Key": "v*", "Value": "?"}), "version=1", True),
        (query({"Value": "1"}), "", False),
    ],
)
def test_query_strings_are_compared_by_pair(condition: dict[str, Any], asked: str, holds: bool) -> None:
    """A rule about `?version=v1` would answer for every version, or for none."""
    assert matches(condition, query=asked) is holds


def test_methods_are_compared_exactly() -> None:
    """Writes that go to a group of their own would be read by the other."""
    condition = {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST", "PUT"]}}
    assert matches(condition, method="PUT")
    assert not matches(condition, method="put")


def test_sources_are_compared_by_block() -> None:
    """A maintenance page for all but the office would be for the office too."""
    assert matches(source("192.0.2.0/24", "198.51.100.10/32"), client="192.0.2.77")
    assert not matches(source("192.0.2.0/24"), client="198.51.100.10")
    assert not matches(source("2001:db8::/32"), client="198.51.100.10")


def test_all_conditions_of_a_rule_have_to_hold() -> None:
    """A rule would take over requests that only half fit it."""
    both = (header("X-A", "1"), source("192.0.2.0/24"))
    assert matches(*both, headers=[("X-A", "1")], client="192.0.2.1")
    assert not matches(*both, headers=[("X-A", "1")], client="198.51.100.1")


def test_characters_that_mean_something_elsewhere_mean_themselves() -> None:
    """`.` and `[` are no wildcards: a rule for one file would take over its neighbours."""
    pattern = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a.b/[x]/*"]}}
    assert matches(pattern, path="/a.b/[x]/y\n/z")
    assert not matches(pattern, path="/aXb/[x]/y")
    assert not matches(pattern, path="/a.b/x/y")


def group(**settings: Any) -> Group:
    return Group(arn="group", check=CHECK, targets=TARGETS, **settings)


@pytest.mark.parametrize(
    ("settings", "healthy", "reached"),
    [
        ({"healthy_count": 2}, 2, 2),
        ({"healthy_count": 2}, 1, 4),
        ({"healthy_percentage": 50}, 2, 2),
        ({"healthy_percentage": 51}, 2, 4),
        ({"healthy_count": 1, "healthy_percentage": 75}, 2, 4),
    ],
)
def test_too_few_healthy_targets_fail_open(settings: dict[str, Any], healthy: int, reached: int) -> None:
    """User Guide, "Target group health": whichever threshold is breached. The few would be overloaded."""
    states = {(f"i-{number}", 80): "healthy" if number < healthy else "unhealthy" for number in range(4)}
    assert len(eligible(group(**settings), states)) == reached


def test_targets_take_turns() -> None:
    """Round robin: half of a fleet idle is half of its capacity."""
    chosen = [choose(group(), TARGETS[:3], turn, lambda _: 0).id for turn in range(6)]
    assert chosen == ["i-0", "i-1", "i-2"] * 2


def test_the_target_with_the_fewest_requests_is_next() -> None:
    """Least outstanding requests: a slow target would be given as much as a fast one."""
    requests = {"i-0": 3, "i-1": 1, "i-2": 2, "i-3": 1}
    least = group(algorithm="least_outstanding_requests")
    chosen = [choose(least, TARGETS, turn, lambda each: requests[each.id]).id for turn in range(4)]
    assert set(chosen) == {"i-1", "i-3"}
