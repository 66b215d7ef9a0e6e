"""Which record of a group answers: Route 53's rules, without a name server."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.dns.choice import candidates, check_is_healthy, choose
from sandbox.dns.zones import Record


def group(**weights: int) -> list[Record]:
    return [
        Record(
            name=(b"www", b"example", b"com"),
            text="www.example.com.",
            type="A",
            ttl=60,
            values=(name,),
            policy="weighted",
            set_identifier=name,
            weight=weight,
            check=name,
        )
        for name, weight in weights.items()
    ]


def chosen_from(records: list[Record], *unhealthy: str) -> list[str]:
    found = candidates(records, lambda record: record.check not in unhealthy)
    return [str(record.set_identifier) for record in found]


def counted(records: list[Record], times: int = 4000) -> Mapping[str, int]:
    chance = random.Random(7)
    return Counter(str(choose(records, lambda _: True, chance).set_identifier) for _ in range(times))


def test_only_healthy_records_are_considered() -> None:
    """Developer Guide, "How Amazon Route 53 chooses records when health checking is configured", steps 1 to 3.

    Otherwise a lost site would get its share of the traffic for ever.
    """
    assert chosen_from(group(a=10, b=10, c=5), "b") == ["a", "c"]


def test_if_nothing_is_healthy_everything_counts_as_healthy() -> None:
    """Same page: Route 53 has to answer something, and its checkers may be what is wrong; weights count again."""
    assert chosen_from(group(a=10, b=20, c=0), "a", "b", "c") == ["a", "b"]


def test_weight_zero_is_left_out_while_a_record_with_more_is_healthy() -> None:
    """Same page, "weighted": a record of weight zero in use would send users to the site that was taken out."""
    assert chosen_from(group(a=1, b=0)) == ["a"]


def test_weight_zero_answers_if_all_records_with_more_are_unhealthy() -> None:
    """Same page: weight zero is a last resort, not "off"; a stand-in that keeps it off promises more than AWS does."""
    assert chosen_from(group(a=10, b=5, c=0, d=0), "a", "b", "d") == ["c"]


def test_with_all_weights_zero_all_healthy_records_are_equally_likely() -> None:
    """Values specific for weighted records: "if you set Weight to 0 for all", equal probability."""
    assert chosen_from(group(a=0, b=0)) == ["a", "b"]
    assert chosen_from(group(a=0, b=0), "a") == ["b"]
    found = counted(group(a=0, b=0))
    assert found.keys() == {"a", "b"}
    assert abs(found["a"] - found["b"]) < 400


def test_records_answer_in_the_proportion_of_their_weights() -> None:
    """Values specific for weighted records: weight through the sum of weights. A canary of 1 in 256 must be that."""
    found = counted(group(a=192, b=64))
    assert 0.72 < found["a"] / 4000 < 0.78


def test_the_largest_and_the_smallest_weight_are_255_and_0() -> None:
    """API Reference, ResourceRecordSet, "Weight": 0 to 255."""
    found = counted(group(a=255, b=1, c=0), 20000)
    assert set(found) == {"a", "b"}
    assert 20 < found["b"] < 160


def test_a_record_that_is_alone_answers_whatever_its_health() -> None:
    """Nothing else could, and "all unhealthy" means all."""
    assert choose(group(a=0), lambda _: False, random.Random()).set_identifier == "a"


CHECKS: dict[str, dict[str, Any]] = {
    "good": {"Type": "HTTP"},
    "bad": {"Type": "HTTP"},
    "good-inverted": {"Type": "HTTP", "Inverted": True},
    "bad-inverted": {"Type": "TCP", "Inverted": True},
    "bad-disabled": {"Type": "HTTP", "Disabled": True},
    "good-disabled-inverted": {"Type": "HTTP", "Disabled": True, "Inverted": True},
    "one-of-two": {"Type": "CALCULATED", "ChildHealthChecks": ["good", "bad"], "HealthThreshold": 1},
    "two-of-two": {"Type": "CALCULATED", "ChildHealthChecks": ["good", "bad"], "HealthThreshold": 2},
    "two-of-two-inverted": {
        "Type": "CALCULATED",
        "ChildHealthChecks": ["good", "bad"],
        "HealthThreshold": 2,
        "Inverted": True,
    },
    "none-of-none": {"Type": "CALCULATED", "ChildHealthChecks": [], "HealthThreshold": 0},
    "none-of-two": {"Type": "CALCULATED", "ChildHealthChecks": ["bad", "bad-inverted"], "HealthThreshold": 0},
    "three-of-two": {"Type": "CALCULATED", "ChildHealthChecks": ["good", "bad-inverted"], "HealthThreshold": 3},
    "of-a-disabled-child": {"Type": "CALCULATED", "ChildHealthChecks": ["bad-disabled"], "HealthThreshold": 1},
    "of-a-deleted-child": {"Type": "CALCULATED", "ChildHealthChecks": ["gone"], "HealthThreshold": 1},
    "drained": {"Type": "CALCULATED", "ChildHealthChecks": ["good", "good-inverted"], "HealthThreshold": 2},
}


@pytest.mark.parametrize(
    ("check", "healthy"),
    [
        ("good", True),
        ("bad", False),
        ("good-inverted", False),
        ("bad-inverted", True),
        ("bad-disabled", True),
        ("good-disabled-inverted", False),
        ("one-of-two", True),
        ("two-of-two", False),
        ("two-of-two-inverted", True),
        ("none-of-none", True),
        ("none-of-two", True),
        ("three-of-two", False),
        ("of-a-disabled-child", True),
        ("of-a-deleted-child", True),
        ("drained", False),
        ("gone", True),
    ],
)
def test_the_status_of_a_check_follows_from_its_settings_and_its_children(check: str, healthy: bool) -> None:
    """API Reference, HealthCheckConfig: Inverted, Disabled, HealthThreshold, ChildHealthChecks.

    The drain switch is a child; a wrong count of children leaves a drained site in, or takes a healthy one out.
    """
    found = {id_: id_.startswith("good") for id_ in CHECKS}
    assert check_is_healthy(check, CHECKS, found) == healthy


def test_a_check_that_has_no_data_yet_is_healthy_and_unhealthy_if_inverted() -> None:
    """API Reference, HealthCheckConfig, "Inverted": until there is enough data. A first `up` must not begin all red."""
    assert check_is_healthy("good", CHECKS, {})
    assert not check_is_healthy("bad-inverted", CHECKS, {})
