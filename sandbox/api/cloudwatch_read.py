"""GetMetricStatistics, GetMetricData and ListMetrics over what was put. Periods are real seconds here, as time stamps.

API reference, GetMetricStatistics, GetMetricData, MetricStat and ListMetrics.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from moto.core.responses import ActionResult

from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_error import check_shape, invalid, refuse, unsupported
from sandbox.api.cloudwatch_metrics import (
    STATISTICS,
    Sample,
    between,
    key_of,
    percentile_of,
    statistic_of,
    store_of,
)

DATAPOINTS_MAX: Final = 1440
QUERIES_MAX: Final = 500
SHORT_PERIODS: Final = (1, 5, 10, 20, 30)
LISTED: Final = timedelta(weeks=2)
PAGE: Final = 500


def check_statistic(statistic: str) -> None:
    """Refuse a statistic that isn't one of AWS's, and those that the sandbox can't compute."""
    if statistic in STATISTICS or percentile_of(statistic) is not None:
        return
    if statistic == "IQM" or statistic.lower().startswith(("tm", "tc", "ts", "wm", "pr")):
        unsupported(f"the statistic {statistic}; it computes {', '.join(STATISTICS)} and percentiles such as p99")
    invalid(f"The value {statistic} for parameter Stat is invalid.")


def get_statistics(responses: Any) -> ActionResult:
    """GetMetricStatistics."""
    parameters = responses._get_params()
    check_shape("GetMetricStatistics", parameters)
    plain, extended = parameters.get("Statistics") or [], parameters.get("ExtendedStatistics") or []
    if not plain and not extended:
        refuse("InvalidParameterCombination", "Must specify either Statistics or ExtendedStatistics")
    if plain and extended:
        refuse("InvalidParameterCombination", "Statistics and ExtendedStatistics must not both be specified")
    for statistic in extended:
        check_statistic(statistic)
    start, end = _span(parameters, "InvalidParameterValue")
    period = _period(parameters["Period"], "InvalidParameterValue")
    asked = int((end - start).total_seconds() / period)
    if asked > DATAPOINTS_MAX:
        refuse(
            "InvalidParameterCombination",
            f"You have requested up to {asked} datapoints, which exceeds the limit of {DATAPOINTS_MAX}. You may reduce "
            "the datapoints requested by increasing Period, or decreasing the time range.",
        )
    samples = _samples(responses.cloudwatch_backend, parameters, period)
    points = []
    for time, found in _periods(samples, start, end, period, parameters.get("Unit")):
        for unit in sorted({each.unit for each in found}):
            of_unit = [each for each in found if each.unit == unit]
            point: dict[str, Any] = {"Timestamp": time, "Unit": unit}
            point |= {name: statistic_of(of_unit, name) for name in plain}
            percentiles = {name: statistic_of(of_unit, name) for name in extended}
            if extended:
                point["ExtendedStatistics"] = {name: value for name, value in percentiles.items() if value is not None}
            points.append(point)
    return ActionResult({"Label": parameters["MetricName"], "Datapoints": points})


def get_data(responses: Any) -> ActionResult:
    """GetMetricData."""
    parameters = responses._get_params()
    check_shape("GetMetricData", parameters)
    for name in ("NextToken", "MaxDatapoints", "LabelOptions"):
        if parameters.get(name) is not None:
            unsupported(name)
    queries = parameters["MetricDataQueries"]
    if not 1 <= len(queries) <= QUERIES_MAX:
        invalid(f"The collection MetricDataQueries must have a size from 1 to {QUERIES_MAX}, and has {len(queries)}.")
    if len({query["Id"] for query in queries}) < len(queries):
        invalid("The values for parameter id in the MetricDataQueries are not unique.")
    span = _span(parameters, "ValidationError")
    newest_first = (parameters.get("ScanBy") or "TimestampDescending") == "TimestampDescending"
    results = [_result(responses.cloudwatch_backend, query, *span, newest_first) for query in queries]
    wanted = [result for query, result in zip(queries, results, strict=True) if query.get("ReturnData") is not False]
    return ActionResult({"MetricDataResults": wanted, "Messages": []})


def _result(backend: Any, query: Mapping[str, Any], start: datetime, end: datetime, newest_first: bool) -> Any:
    if query.get("Expression"):
        unsupported(f"metric math and Metrics Insights queries: Expression {query['Expression']!r}")
    if query.get("AccountId"):
        unsupported("metrics of other accounts (AccountId)")
    asked = query.get("MetricStat")
    if asked is None:
        invalid(f"The parameter MetricDataQueries.{query['Id']}.MetricStat is required.\n")
    check_statistic(asked["Stat"])
    period = _period(asked["Period"], "ValidationError")
    samples = _samples(backend, asked["Metric"], period)
    found = [
        (time, value)
        for time, inside in _periods(samples, start, end, period, asked.get("Unit"))
        if (value := statistic_of(inside, asked["Stat"])) is not None
    ]
    ordered = found[::-1] if newest_first else found
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or asked["Metric"]["MetricName"],
        "Timestamps": [time for time, _ in ordered],
        "Values": [value for _, value in ordered],
        "StatusCode": "Complete",
    }


def list_metrics(responses: Any) -> ActionResult:
    """ListMetrics: what has had data within two weeks. Pages are cut by position."""
    parameters = responses._get_params()
    check_shape("ListMetrics", parameters)
    for name in ("IncludeLinkedAccounts", "OwningAccount"):
        if parameters.get(name):
            unsupported(f"{name}: metrics of other accounts")
    recent = cloudwatch_time.now() - (timedelta(hours=3) if parameters.get("RecentlyActive") else LISTED)
    found = [
        {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in sorted(dimensions)],
        }
        for (namespace, name, dimensions), samples in store_of(responses.cloudwatch_backend).items()
        if samples[-1].time >= recent
        and parameters.get("Namespace") in (None, namespace)
        and parameters.get("MetricName") in (None, name)
        and all(_has_dimension(dimensions, wanted) for wanted in parameters.get("Dimensions") or ())
    ]
    token = parameters.get("NextToken") or "0"
    if not token.isdecimal():
        refuse("InvalidParameterValue", "Request parameter NextToken is invalid")
    start = int(token)
    following = str(start + PAGE) if len(found) > start + PAGE else None
    return ActionResult({"Metrics": found[start : start + PAGE], "NextToken": following})


def _has_dimension(dimensions: frozenset[tuple[str, str]], wanted: Mapping[str, str]) -> bool:
    return any(name == wanted["Name"] and wanted.get("Value") in (None, value) for name, value in dimensions)


def _span(parameters: Mapping[str, Any], code: str) -> tuple[datetime, datetime]:
    """Start, rounded down to the minute, and end."""
    start, end = (cloudwatch_time.plain(parameters[name]) for name in ("StartTime", "EndTime"))
    if start >= end:
        refuse(code, "The parameter StartTime must be less than the parameter EndTime.")
    return start.replace(second=0, microsecond=0), end


def _period(period: int, code: str) -> int:
    if period not in SHORT_PERIODS and period % cloudwatch_time.MINUTE:
        refuse(code, f"The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60, and is {period}.")
    return int(period)


def _samples(backend: Any, metric: Mapping[str, Any], period: int) -> list[Sample]:
    """Those of a metric; for less than a minute only those that were put with such a resolution."""
    key = key_of(metric["Namespace"], metric["MetricName"], metric.get("Dimensions") or ())
    found = store_of(backend).get(key, [])
    return [each for each in found if period >= cloudwatch_time.MINUTE or each.resolution < cloudwatch_time.MINUTE]


def _periods(
    samples: Sequence[Sample], start: datetime, end: datetime, period: int, unit: str | None
) -> Iterator[tuple[datetime, list[Sample]]]:
    """Each period that has samples, by its start, oldest first."""
    inside: dict[int, list[Sample]] = {}
    for each in between(samples, start, end, unit):
        inside.setdefault(int((each.time - start).total_seconds() // period), []).append(each)
    for number, found in sorted(inside.items()):
        yield start + timedelta(seconds=number * period), found
