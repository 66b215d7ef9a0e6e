"""The table of security rules says what the program is like."""

import pytest

from tests.test_program import STACKS, bring_up
from tools.security import RULES, Rule, Status

JUDGED = [rule for rule in RULES if rule.holds is not None]


@pytest.fixture(scope="module")
def declared() -> dict[str, list[dict[str, object]]]:
    """Inputs of everything in the three stacks, by type."""
    found: dict[str, list[dict[str, object]]] = {}
    for stack in STACKS:
        for resource in bring_up(stack).managed:
            found.setdefault(resource.type, []).append(dict(resource.inputs))
    return found


@pytest.mark.parametrize("rule", JUDGED, ids=lambda rule: rule.what)
def test_a_rule_is_met_where_the_table_says_so_and_nowhere_else(
    rule: Rule, declared: dict[str, list[dict[str, object]]]
) -> None:
    """Whoever audits the program reads the table; a row that is met by now has to move too."""
    assert rule.holds is not None
    assert rule.holds(declared) is (rule.status is Status.MET), f"{rule.what}: change its row in tools/security.py"


def test_every_rule_that_is_met_is_judged_or_says_where() -> None:
    """A claim that nothing holds against the program is a hope."""
    assert [rule.what for rule in RULES if rule.status is Status.MET and rule.holds is None] == []
    assert [rule.what for rule in RULES if rule.status is Status.MET and ".py" not in rule.why] == []
    assert len(JUDGED) >= 35


@pytest.mark.parametrize("rule", JUDGED, ids=lambda rule: rule.what)
def test_nothing_is_met_by_a_program_without_resources(rule: Rule) -> None:
    """A check that passes on nothing would pass on a type that was renamed."""
    assert rule.holds is not None
    assert rule.holds({}) is False
