"""Whether a Route 53 health check can take a dead site out of service, and how fast.

Sources: Route 53 API reference, HealthCheckConfig; developer guide, "How Amazon Route 53 determines whether a health
check is healthy" and "Best practices for Amazon Route 53 health checks".
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from lockstep_policies.findings import Findings, is_known
from lockstep_policies.view import UNKNOWN, Resource, Stack, dns_name_of

CHECK: Final = "aws:route53/healthCheck:HealthCheck"
ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE_ALARM: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
RECORD: Final = "aws:route53/record:Record"
BALANCERS: Final = (
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:alb/loadBalancer:LoadBalancer",
    "aws:elb/loadBalancer:LoadBalancer",
)

HTTP_TYPES: Final = frozenset({"HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH"})
ENDPOINT_TYPES: Final = HTTP_TYPES | {"TCP"}
CALCULATED: Final = "CALCULATED"
ALARM_TYPE: Final = "CLOUDWATCH_METRIC"
SWITCH_TYPE: Final = "RECOVERY_CONTROL"
ALL_TYPES: Final = ENDPOINT_TYPES | {CALCULATED, ALARM_TYPE, SWITCH_TYPE}

#: Defaults of HealthCheckConfig: consecutive failures, and seconds between the requests of one checker.
DEFAULT_FAILURE_THRESHOLD: Final = 3
DEFAULT_INTERVAL_SECONDS: Final = 30

INSUFFICIENT_DATA_STATUSES: Final = frozenset({"Healthy", "Unhealthy", "LastKnownStatus"})

# Names that no checker on the internet can resolve or reach: RFC 6761, RFC 6762 and RFC 8375 names, ICANN's `internal`,
# and the prefix that Elastic Load Balancing gives to balancers with private addresses. `.test` stays allowed: sandboxes
# use it.
_PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".invalid")
_INTERNAL_BALANCER_PREFIX: Final = "internal-"


def kind(check: Resource) -> Any:
    """The check's type in upper case, `UNKNOWN` or None."""
    value = check.get("type")
    return value.upper() if isinstance(value, str) else value


class HealthChecks:
    """The health checks of a stack: their rules, their trees and their detection times."""

    def __init__(self, stack: Stack, findings: Findings) -> None:
        self._findings = findings
        self._checks = stack.of(CHECK)
        self._alarms = stack.of(ALARM)
        self._by_id = {check_id: check for check in self._checks if isinstance(check_id := check.get("id"), str)}
        self._judged: set[str] = set()

    def named(self, resource: Resource, key: str, value: Any) -> list[Resource]:
        """The checks that an id in a property may name: exactly one if that is certain, several if it isn't."""
        sources = resource.sources(key, {CHECK})
        if isinstance(value, str) and value in self._by_id:
            return [self._by_id[value]]
        return sources

    def children(self, check: Resource) -> list[Resource]:
        """The children of a calculated check that this program declares."""
        ids = check.get("childHealthchecks")
        if not isinstance(ids, list):
            return check.sources("childHealthchecks", {CHECK})
        by_id = [self._by_id[value] for value in ids if isinstance(value, str) and value in self._by_id]
        if len(by_id) == len(ids):
            return by_id
        return by_id + [child for child in check.sources("childHealthchecks", {CHECK}) if child not in by_id]

    def tree(self, check: Resource) -> list[Resource]:
        """The check and everything that decides its status, each once."""
        found: list[Resource] = []
        waiting = [check]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.append(current)
                waiting.extend(self.children(current))
        return found

    def endpoints(self, check: Resource) -> list[Resource]:
        """The checks in the tree that ask an endpoint."""
        return [part for part in self.tree(check) if kind(part) in ENDPOINT_TYPES]

    def judge(self, check: Resource) -> None:
        """Applies the rules that hold for a check whoever uses it; each check of the tree once."""
        for part in self.tree(check):
            if part.urn not in self._judged:
                self._judged.add(part.urn)
                self._findings.guard(part, self._judge_switches, part)
                self._findings.guard(part, self._judge_kind, part)

    def _judge_switches(self, check: Resource) -> None:
        rules = (
            (
                "disabled",
                "check-disabled",
                "a disabled check counts as healthy for ever: a dead site keeps its traffic",
            ),
            (
                "invertHealthcheck",
                "check-inverted",
                "an inverted check takes a site out when it is well and serves it when dead",
            ),
        )
        for key, rule, consequence in rules:
            argument = {"disabled": "disabled", "invertHealthcheck": "invert_healthcheck"}[key]
            value = check.get(key)
            if value is UNKNOWN:
                remedy = f"Set `{argument}=False`."
                self._findings.unproved(
                    rule, check, key, f"it can't be proved that it isn't set ({consequence})", remedy=remedy
                )
            elif value:
                self._findings.violation(rule, check, f"`{argument}` is true; {consequence}. Set `{argument}=False`.")

    def _judge_kind(self, check: Resource) -> None:
        found = kind(check)
        if found is UNKNOWN:
            self._findings.unproved(
                "check-type", check, "type", "nothing can be proved about it", remedy="Set `type` to a plain string."
            )
        elif found not in ALL_TYPES:
            self._findings.violation(
                "check-type", check, f"`type` is none that Route 53 has; use one of {', '.join(sorted(ALL_TYPES))}."
            )
        elif found == CALCULATED:
            self._judge_calculated(check)
        elif found == ALARM_TYPE:
            self._judge_alarm(check)
        elif found in ENDPOINT_TYPES:
            self._judge_endpoint(check, found)

    def _judge_endpoint(self, check: Resource, found: str) -> None:
        self._judge_address(check)
        if found in {"HTTP_STR_MATCH", "HTTPS_STR_MATCH"} and check.get("searchString") is None:
            self._findings.violation(
                "check-search-string",
                check,
                f"it is of type {found} and has no `search_string`, so it looks for nothing. Set `search_string` to "
                "text that only a healthy answer has in its first 5,120 bytes.",
            )
        if found == "TCP" and check.get("port") is None:
            self._findings.violation("check-endpoint", check, "a TCP check needs `port`. Set the port of the listener.")
        path = check.get("resourcePath")
        if found in HTTP_TYPES and isinstance(path, str) and not path.startswith("/"):
            self._findings.violation(
                "check-endpoint", check, "`resource_path` doesn't begin with `/`. Write it as an absolute path."
            )

    def _judge_address(self, check: Resource) -> None:
        address, name = check.get("ipAddress"), check.get("fqdn")
        remedy = (
            "Route 53's checkers are outside of every VPC: set `fqdn` or `ip_address` to a public endpoint of the "
            "site, or use a check of type CLOUDWATCH_METRIC."
        )
        if address is None and name is None:
            self._findings.violation("check-endpoint", check, f"it has neither `fqdn` nor `ip_address`. {remedy}")
        elif address is UNKNOWN:
            self._findings.unproved(
                "check-endpoint", check, "ipAddress", "it can't be proved that checkers reach it", remedy=remedy
            )
        elif address is not None:
            if not _is_public(address):
                self._findings.violation("check-endpoint", check, f"`ip_address` isn't a public address. {remedy}")
        elif name is UNKNOWN:
            self._judge_unknown_name(check, remedy)
        elif _is_private_name(name):
            self._findings.violation("check-endpoint", check, f"`fqdn` is a private name. {remedy}")

    def _judge_unknown_name(self, check: Resource, remedy: str) -> None:
        internal = [balancer for balancer in check.sources("fqdn", BALANCERS) if balancer.get("internal") is True]
        if internal:
            self._findings.violation(
                "check-endpoint",
                check,
                f"`fqdn` is the name of {internal[0]!r}, a balancer with private addresses. {remedy}",
            )
        else:
            self._findings.unproved(
                "check-endpoint", check, "fqdn", "it can't be proved what it watches", remedy=remedy
            )

    def _judge_alarm(self, check: Resource) -> None:
        for key, argument in (
            ("cloudwatchAlarmName", "cloudwatch_alarm_name"),
            ("cloudwatchAlarmRegion", "cloudwatch_alarm_region"),
        ):
            if check.get(key) is None:
                self._findings.violation(
                    "check-alarm",
                    check,
                    f"it watches an alarm but `{argument}` isn't set. Set the alarm's name and its region.",
                )
        status = check.get("insufficientDataHealthStatus")
        if status is UNKNOWN or status in INSUFFICIENT_DATA_STATUSES:
            return
        self._findings.violation(
            "check-insufficient-data",
            check,
            "`insufficient_data_health_status` isn't chosen; a region that dies stops reporting, and then this value "
            "alone decides. Set it to Unhealthy (no news is bad news), or LastKnownStatus for a switch.",
        )

    def _judge_calculated(self, check: Resource) -> None:
        ids, threshold = check.get("childHealthchecks"), check.get("childHealthThreshold")
        declared = self.children(check)
        if ids is None:
            self._findings.violation(
                "check-children",
                check,
                "it is calculated from nothing. List the site's checks in `child_healthchecks`.",
            )
            return
        remedy = "List ids of health checks of this program in `child_healthchecks`."
        count = len(ids) if isinstance(ids, list) else len(declared)
        hidden = ids is UNKNOWN or any(value is UNKNOWN for value in ids)
        if hidden and not declared:
            self._findings.unproved(
                "check-children",
                check,
                "childHealthchecks",
                "it can't be proved that the children work",
                types={CHECK},
                remedy=remedy,
            )
        elif len(declared) < count:
            self._findings.violation(
                "check-children",
                check,
                f"only {len(declared)} of its {count} children are health checks of this program; the others can't be "
                f"judged. {remedy}",
            )
        self._judge_threshold(check, threshold, count)

    def _judge_threshold(self, check: Resource, threshold: Any, count: int) -> None:
        wanted = f"Set `child_health_threshold={max(count, 1)}`: healthy only while every child is."
        if threshold is UNKNOWN:
            self._findings.unproved(
                "check-threshold",
                check,
                "childHealthThreshold",
                "it can't be proved that it can turn red",
                remedy=wanted,
            )
        elif not threshold:
            self._findings.violation(
                "check-threshold",
                check,
                f"`child_health_threshold` is 0 or absent: Route 53 then always considers the check healthy. {wanted}",
            )
        elif threshold > count > 0:
            self._findings.violation(
                "check-threshold",
                check,
                f"`child_health_threshold` is {threshold} with {count} children: Route 53 then always considers the "
                f"check unhealthy. {wanted}",
            )

    def detection_seconds(self, check: Resource, above: tuple[Resource, ...] = ()) -> Any:
        """Seconds from the endpoint's death to the check's red status, by its own settings.

        A number; `UNKNOWN` if a part of it isn't known or visible; None if the check doesn't turn red by itself. For
        endpoints it is failure threshold x request interval, for alarms evaluation periods x period. A calculated check
        is red when its number of red children exceeds children - threshold; if any child watches an endpoint, the
        others (alarms, switches) are taken to stay healthy, because they may watch something else.
        """
        found = kind(check)
        if found in ENDPOINT_TYPES:
            return _endpoint_seconds(check)
        if found == ALARM_TYPE:
            return self._alarm_seconds(check)
        if found == CALCULATED and check not in above:
            return self._calculated_seconds(check, (*above, check))
        return UNKNOWN if found is UNKNOWN else None

    def _alarm_seconds(self, check: Resource) -> Any:
        name = check.get("cloudwatchAlarmName")
        alarms = check.sources("cloudwatchAlarmName", {ALARM}) or [
            alarm for alarm in self._alarms if is_known(name) and alarm.get("name") == name
        ]
        if len(alarms) != 1:
            return UNKNOWN
        period, periods = alarms[0].get("period"), alarms[0].get("evaluationPeriods")
        if not isinstance(period, int) or not isinstance(periods, int):
            return UNKNOWN
        return period * periods

    def _calculated_seconds(self, check: Resource, above: tuple[Resource, ...]) -> Any:
        ids, threshold = check.get("childHealthchecks"), check.get("childHealthThreshold")
        children = self.children(check)
        count = max(len(children), len(ids) if isinstance(ids, list) else 0)
        if threshold is UNKNOWN or (ids is UNKNOWN and not children):
            return UNKNOWN
        if not threshold:
            return None
        watching = [child for child in children if self.endpoints(child)] or children
        times = [self.detection_seconds(child, above) for child in watching]
        known = sorted(seconds for seconds in times if is_known(seconds))
        red_needed = max(count - threshold + 1, 1)
        if red_needed <= len(known):
            return known[red_needed - 1]
        possible = len(known) + sum(seconds is UNKNOWN for seconds in times)
        return UNKNOWN if red_needed <= possible or len(children) < count else None


def _endpoint_seconds(check: Resource) -> Any:
    threshold, interval = check.get("failureThreshold"), check.get("requestInterval")
    if threshold is UNKNOWN or interval is UNKNOWN:
        return UNKNOWN
    return (threshold or DEFAULT_FAILURE_THRESHOLD) * (interval or DEFAULT_INTERVAL_SECONDS)


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _is_private_name(name: str) -> bool:
    bare = dns_name_of(name)
    return "." not in bare or bare.endswith(_PRIVATE_SUFFIXES) or bare.startswith(_INTERNAL_BALANCER_PREFIX)
