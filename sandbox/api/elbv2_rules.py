"""Rules of listeners as strict as AWS: priorities, conditions, actions."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from moto.elbv2.models import ELBv2Backend

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_actions import check_actions
from sandbox.api.elbv2_error import refuse
from sandbox.api.elbv2_listeners import listener_with

# Elastic Load Balancing API Reference, CreateRule: `Priority`.
PRIORITY_MAX = 50_000
# User Guide for Application Load Balancers, "Quotas", Rules.
RULES_MAX = 100
VALUES_MAX = 5
WILDCARDS_MAX = 5
# User Guide, "Condition types for listener rules": at most one of each of these in a rule.
SINGLE = ("host-header", "http-request-method", "path-pattern", "source-ip")
# API Reference, RuleCondition: where each kind of condition has its values.
CONFIGS = {
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "path-pattern": "PathPatternConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
_WITH_WILDCARDS = ("host-header", "http-header", "path-pattern", "query-string")
# User Guide, "Host conditions" and "Path conditions".
_HOST = re.compile(r"[A-Za-z0-9.*?_-]+")
# API Reference, HostHeaderConditionConfig and HttpHeaderConditionConfig. How long they may be, moto knows.
_HOST_END = re.compile(r".*\.[A-Za-z]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH = re.compile(r"""[A-Za-z0-9_.$/~"'@:+&*?-]+""")
_METHOD = re.compile(r"[A-Z_-]+")


def _values(condition: dict[str, Any]) -> list[str]:
    """What a condition is compared with; of a query string the values and the keys."""
    given = condition.get("Values") or condition.get(CONFIGS[condition["Field"]], {}).get("Values", [])
    return [text for each in given for text in (each.values() if isinstance(each, dict) else [each])]


def _check_conditions(conditions: Sequence[dict[str, Any]]) -> None:
    fields = Counter(condition.get("Field") for condition in conditions)
    for field in SINGLE:
        if fields[field] > 1:
            refuse("ValidationError", f"A rule can only have one condition of type '{field}'")
    known = [condition for condition in conditions if condition.get("Field") in CONFIGS]
    evaluations = sum(
        len(each.get("Values") or each.get(CONFIGS[each["Field"]], {}).get("Values", [])) for each in known
    )
    if evaluations > VALUES_MAX:
        refuse("ValidationError", f"A rule can only have '{VALUES_MAX}' condition values")
    wild = [value for each in known if each["Field"] in _WITH_WILDCARDS for value in _values(each)]
    if sum(value.count("*") + value.count("?") for value in wild) > WILDCARDS_MAX:
        refuse("ValidationError", f"A rule can only have '{WILDCARDS_MAX}' condition wildcards")
    for condition in known:
        for problem in _problems(condition):
            refuse("ValidationError", problem)


def _problems(condition: dict[str, Any]) -> Iterator[str]:
    field, values = condition["Field"], _values(condition)
    if not values:
        yield "A condition value must be specified"
    for value in values:
        if field == "source-ip" and not _is_block(value):
            yield f"The source-ip value '{value}' is not a valid CIDR block"
        patterns = {"host-header": _HOST, "path-pattern": _PATH, "http-request-method": _METHOD}
        if field in patterns and not patterns[field].fullmatch(value):
            yield f"The {field} value '{value}' contains invalid characters"
        if field == "host-header" and not _HOST_END.fullmatch(value):
            yield f"The host-header value '{value}' must contain a '.', and only letters after the last one"
    if field == "http-header":
        name = condition.get("HttpHeaderConfig", {}).get("HttpHeaderName") or ""
        if not _HEADER.fullmatch(name):
            yield f"The HTTP header name '{name}' is empty or contains invalid characters"
        if name.lower() == "host":
            yield "The host header can't be used in a condition of type 'http-header': use one of type 'host-header'"


def _is_block(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    # "You can't specify the 255.255.255.255/32 CIDR."
    return "/" in value and value != "255.255.255.255/32"


def _create_rule(
    original: Any,
    backend: Any,
    listener_arn: str,
    conditions: list[dict[str, Any]],
    priority: int,
    actions: list[dict[str, Any]],
    tags: list[dict[str, str]] | None = None,
) -> Any:
    balancer, listener = listener_with(backend, listener_arn)
    if not 1 <= int(priority) <= PRIORITY_MAX:
        refuse("ValidationError", f"Rule priority '{priority}' must be between '1' and '{PRIORITY_MAX}' inclusive")
    if not conditions:
        refuse("ValidationError", "A rule must have at least one condition")
    if not actions:
        refuse("ValidationError", "A rule must have at least one action")
    rules = sum(not rule.is_default for each in balancer.listeners.values() for rule in each.rules.values())
    if rules >= RULES_MAX:
        refuse("TooManyRules", f"The maximum number of rules on load balancer '{balancer.arn}' has been reached")
    _check_conditions(conditions)
    check_actions(backend, balancer, listener.protocol, actions)
    return original(backend, listener_arn, conditions, priority, actions, tags)


def _modify_rule(
    original: Any, backend: Any, rule_arn: str, conditions: list[dict[str, Any]], actions: list[dict[str, Any]]
) -> Any:
    # Refuses a rule that doesn't exist.
    (rule,) = backend.describe_rules(None, [rule_arn])
    if rule.is_default:
        refuse("OperationNotPermitted", f"Default rule '{rule_arn}' cannot be modified")
    balancer, listener = listener_with(backend, rule.listener_arn)
    _check_conditions(conditions)
    check_actions(backend, balancer, listener.protocol, actions)
    return original(backend, rule_arn, conditions, actions)


def _delete_rule(original: Any, backend: Any, arn: str) -> None:
    (rule,) = backend.describe_rules(None, [arn])
    if rule.is_default:
        refuse("OperationNotPermitted", f"Default rule '{arn}' cannot be deleted")
    original(backend, arn)


def _apply() -> None:
    wrap(ELBv2Backend, "create_rule", _create_rule)
    wrap(ELBv2Backend, "modify_rule", _modify_rule)
    wrap(ELBv2Backend, "delete_rule", _delete_rule)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-rules",
        why=(
            "moto takes any priority, number of conditions and values, host and header, redirects to themselves or to "
            "what is no URL, and target groups of other balancers, and deletes a rule that doesn't exist. AWS: Elastic "
            "Load Balancing API Reference, CreateRule, ModifyRule, DeleteRule, RedirectActionConfig; User Guide for "
            "Application Load Balancers, 'Condition types for listener rules', 'Quotas'."
        ),
        apply=_apply,
    ),
)
