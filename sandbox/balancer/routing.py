"""Which action a request gets, and which target: pure decisions.

User Guide for Application Load Balancers, "Condition types for listener rules", "Routing algorithms", "Target group
health".
"""

import ipaddress
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from sandbox.balancer.configuration import LEAST_OUTSTANDING_REQUESTS, Group, Listener, Rule, Target

Headers = Sequence[tuple[str, str]]


def action_for(
    listener: Listener,
    host: str,
    path: str,
    *,
    method: str = "GET",
    headers: Headers = (),
    query: str = "",
    client: str = "127.0.0.1",
) -> Mapping[str, Any]:
    """The action of the first rule whose conditions hold; the last rule has none.

    `host` is the Host header, `query` what follows the question mark, as sent; `client` the address that the request
    comes from.
    """

    def holds(condition: Mapping[str, Any]) -> bool:
        match condition["Field"]:
            case "host-header":
                return _any_like(_values(condition, "HostHeaderConfig"), [name_in(host)], ignore_case=True)
            case "path-pattern":
                return _any_like(_values(condition, "PathPatternConfig"), [path], ignore_case=False)
            case "http-header":
                return _header_holds(condition["HttpHeaderConfig"], headers)
            case "http-request-method":
                return method in condition["HttpRequestMethodConfig"]["Values"]
            case "query-string":
                return _query_holds(condition["QueryStringConfig"]["Values"], query)
            case "source-ip":
                return _comes_from(client, condition["SourceIpConfig"]["Values"])
            case other:
                raise ValueError(f"no load balancer has conditions on {other}")

    def applies(rule: Rule) -> bool:
        return all(holds(condition) for condition in rule.conditions)

    return next(rule.action for rule in listener.rules if applies(rule))


def name_in(host: str) -> str:
    """The name in a Host header, without the port."""
    return re.sub(r":\d*$", "", host)


def _values(condition: Mapping[str, Any], config: str) -> Sequence[str]:
    values: Sequence[str] = condition.get("Values") or condition.get(config, {}).get("Values", ())
    return values


def _any_like(patterns: Iterable[str], texts: Sequence[str], *, ignore_case: bool) -> bool:
    return any(_like(text, pattern, ignore_case=ignore_case) for pattern in patterns for text in texts)


def _like(text: str, pattern: str, *, ignore_case: bool) -> bool:
    """`*` (anything) and `?` (one character) are all the wildcards that there are."""
    wildcards = {"*": ".*", "?": "."}
    expression = "".join(wildcards.get(character) or re.escape(character) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def _header_holds(config: Mapping[str, Any], headers: Headers) -> bool:
    name = config["HttpHeaderName"].lower()
    found = [value for each, value in headers if each.lower() == name]
    return _any_like(config["Values"], found, ignore_case=True)


def _query_holds(wanted: Iterable[Mapping[str, str]], query: str) -> bool:
    """A pair without `Key` is about the values of all keys."""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    for each in wanted:
        values = [
            unquote_plus(value)
            for key, _, value in pairs
            if "Key" not in each or _like(unquote_plus(key), each["Key"], ignore_case=True)
        ]
        if _any_like([each["Value"]], values, ignore_case=True):
            return True
    return False


def _comes_from(client: str, blocks: Iterable[str]) -> bool:
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(block) for block in blocks)


def group_for(action: Mapping[str, Any], chance: random.Random) -> str | None:
    """The ARN of the target group that a forward action picks, by weight; None if all weights are 0.

    User Guide, "Weighted target groups": a group that has no healthy targets, or none at all, is picked all the same.
    """
    if action.get("TargetGroupArn"):
        return str(action["TargetGroupArn"])
    weighted = action.get("ForwardConfig", {}).get("TargetGroups", [])
    weights = [int(each.get("Weight", 1)) for each in weighted]
    if not sum(weights):
        return None
    return str(chance.choices(weighted, weights)[0]["TargetGroupArn"])


def eligible(group: Group, states: Mapping[tuple[str, int], str]) -> list[Target]:
    """The targets that requests may go to: the healthy ones; all registered ones if those are too few (fail-open).

    Targets whose checks are disabled count as healthy. Those that haven't passed or failed a check yet don't, and don't
    keep the group from failing open: the User Guide has the balancer send traffic to all targets when "the number of
    healthy targets is below" the minimum ("Target group attributes", unhealthy_state_routing), and answer 503 only when
    none is registered ("Troubleshoot", HTTP 503).
    """
    healthy = [each for each in group.targets if states.get(each.key) in ("healthy", "unavailable")]
    too_few = len(healthy) < group.healthy_count or len(healthy) * 100 < group.healthy_percentage * len(group.targets)
    return list(group.targets) if too_few else healthy


def choose(group: Group, targets: Sequence[Target], turn: int, under_way: Callable[[Target], int]) -> Target:
    """The one of `targets` (not empty) whose turn it is; by the group's algorithm, of those with the fewest requests.

    `turn` counts the group's requests, `under_way` those that a target is answering.
    """
    if group.algorithm == LEAST_OUTSTANDING_REQUESTS:
        fewest = min(under_way(each) for each in targets)
        targets = [each for each in targets if under_way(each) == fewest]
    return targets[turn % len(targets)]
