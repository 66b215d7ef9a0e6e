"""Which action and which target a request gets."""

import random
from collections import Counter
from typing import Any

from sandbox.balancer.configuration import Group, HealthCheck, Listener, Rule, Target
from sandbox.balancer.routing import action_for, eligible, group_for

CHECK = HealthCheck(enabled=True, path="/", port=None, interval=10, timeout=5, healthy=2, unhealthy=2, matcher="200")
TARGETS = tuple(Target(id=f"i-{number}", port=80, host="127.0.0.1", reachable=True) for number in range(3))
GROUP = Group(arn="group", check=CHECK, targets=TARGETS)


def rule(answer: str, *conditions: dict[str, Any]) -> Rule:
    return Rule(conditions=conditions, action={"Type": "fixed-response", "answer": answer})


def host(*values: str) -> dict[str, Any]:
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(values)}}


def path(*values: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "Values": list(values)}


def test_the_first_rule_whose_conditions_hold_decides() -> None:
    """User Guide, "Listener rules": by priority, the default rule last."""
    listener = Listener(
        port=80,
        rules=(
            rule("admin", host("admin.example.com"), path("/api/*")),
            rule("wild", host("*.example.com")),
            rule("file", path("/img/?.png")),
            rule("default"),
        ),
    )

    def answer(of_host: str, of_path: str) -> str:
        return str(action_for(listener, of_host, of_path)["answer"])

    assert answer("ADMIN.example.com:80", "/api/x") == "admin"
    assert answer("admin.example.com", "/") == "wild"
    assert answer("other.test", "/img/a.png") == "file"
    assert answer("other.test", "/img/ab.png") == "default"
    assert answer("other.test", "/IMG/a.png") == "default"


def test_requests_go_to_healthy_targets_only() -> None:
    """The reason to have checks."""
    states = {("i-0", 80): "unhealthy", ("i-1", 80): "healthy", ("i-2", 80): "initial"}
    assert [each.id for each in eligible(GROUP, states)] == ["i-1"]


def test_if_none_is_healthy_all_get_requests() -> None:
    """User Guide, "Target group health": fail-open. An error in the check would take the whole site off."""
    states = dict.fromkeys([("i-0", 80), ("i-1", 80), ("i-2", 80)], "unhealthy")
    assert len(eligible(GROUP, states)) == 3
    assert len(eligible(GROUP, {})) == 3


def test_groups_are_chosen_by_weight() -> None:
    """User Guide, "Weighted target groups": a group of weight zero gets nothing."""
    action = {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": [
                {"TargetGroupArn": "a", "Weight": 3},
                {"TargetGroupArn": "b", "Weight": 1},
                {"TargetGroupArn": "c", "Weight": 0},
            ]
        },
    }
    found = Counter(group_for(action, random.Random(seed)) for seed in range(2_000))
    assert set(found) == {"a", "b"}
    assert found["a"] > 2 * found["b"]
    assert group_for({"Type": "forward", "ForwardConfig": {"TargetGroups": []}}, random.Random(0)) is None
