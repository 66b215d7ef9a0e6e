"""Which action a request gets, and which target: pure decisions.

User Guide for Application Load Balancers, "Listener rules", "Routing algorithms", "Target group health".
"""

import fnmatch
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.balancer.configuration import Group, Listener, Rule, Target


def action_for(listener: Listener, host: str, path: str) -> Mapping[str, Any]:
    """The action of the first rule whose conditions hold; the last rule has none."""
    return next(rule.action for rule in listener.rules if _holds(rule, host, path))


def _holds(rule: Rule, host: str, path: str) -> bool:
    for condition in rule.conditions:
        if condition["Field"] == "host-header":
            values = [value.lower() for value in _values(condition, "HostHeaderConfig")]
            if not any(_matches(host.lower().partition(":")[0], value) for value in values):
                return False
        elif not any(_matches(path, value) for value in _values(condition, "PathPatternConfig")):
            return False
    return True


def _values(condition: Mapping[str, Any], config: str) -> Sequence[str]:
    values: Sequence[str] = condition.get("Values") or condition.get(config, {}).get("Values", ())
    return values


def _matches(text: str, pattern: str) -> bool:
    """`*` and `?` are all the wildcards that there are."""
    translated = fnmatch.translate(pattern.replace("[", "[[]"))
    return re.fullmatch(translated, text) is not None


def group_for(action: Mapping[str, Any], chance: random.Random) -> str | None:
    """The ARN of the target group that a forward action picks, by weight; None if all weights are 0."""
    if action.get("TargetGroupArn"):
        return str(action["TargetGroupArn"])
    weighted = action.get("ForwardConfig", {}).get("TargetGroups", [])
    weights = [int(each.get("Weight", 1)) for each in weighted]
    if not sum(weights):
        return None
    return str(chance.choices(weighted, weights)[0]["TargetGroupArn"])


def eligible(group: Group, states: Mapping[tuple[str, int], str]) -> list[Target]:
    """The targets that requests may go to: the healthy ones; all registered ones if none is (it fails open).

    Targets whose checks are disabled count as healthy.
    """
    healthy = [each for each in group.targets if states.get(each.key) in ("healthy", "unavailable")]
    return healthy or list(group.targets)
