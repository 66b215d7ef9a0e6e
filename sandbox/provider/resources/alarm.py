"""CloudWatch: metric alarms on one metric.

Alarms on metric math, anomaly detection and PromQL are refused by the names of their properties; composite alarms,
which the components don't use, by the name of their type.
"""

import re
from collections.abc import Iterable

from sandbox.provider.aws import Aws
from sandbox.provider.calls import ID, Call, deleting, fill, joining, reading, tag_list
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    Property,
    ResourceType,
    State,
    Update,
    boolean,
    integer,
    length,
    one_of,
    output,
    string,
    string_map,
    string_set,
)
from sandbox.provider.values import Json

# CloudWatch API Reference, PutMetricAlarm: Period, ExtendedStatistic, and the most actions of one kind.
_SHORT_PERIODS = (10, 20, 30)
_HOUR, _DAY, _WEEK = 3_600, 86_400, 604_800
_EXTENDED_STATISTIC = re.compile(
    r"(p|tm|wm|tc|ts)(\d{1,2}(\.\d{1,2})?|100)|IQM|(TM|WM|PR|TC|TS)\((\d+(\.\d+)?%?)?:(\d+(\.\d+)?%?)?\)"
)
_MOST_ACTIONS = 5
# CloudWatch API Reference, MetricDatum: Unit.
_SIZES = tuple(f"{scale}{kind}" for kind in ("bytes", "bits") for scale in ("", "Kilo", "Mega", "Giga", "Tera"))
_AMOUNTS = tuple(size[:1].upper() + size[1:] for size in _SIZES)
_UNITS = (
    "Seconds",
    "Microseconds",
    "Milliseconds",
    *_AMOUNTS,
    "Percent",
    "Count",
    *(f"{amount}/Second" for amount in (*_AMOUNTS, "Count")),
    "None",
)


def _check_period(value: Json) -> str | None:
    if value in _SHORT_PERIODS or (value > 0 and value % 60 == 0):
        return None
    return f"expected 10, 20, 30 or a multiple of 60, got {value}"


def _check_extended_statistic(value: Json) -> str | None:
    return None if _EXTENDED_STATISTIC.fullmatch(value) else f"expected a statistic such as p99, got {value!r}"


def _check_actions(value: Json) -> str | None:
    return None if len(value) <= _MOST_ACTIONS else f"expected at most {_MOST_ACTIONS} actions, got {len(value)}"


def _check_namespace(value: Json) -> str | None:
    return f"must not begin with a colon, got {value!r}" if value.startswith(":") else length(1, 255)(value)


def _check_alarm(inputs: State) -> Iterable[tuple[str, str]]:
    statistics = [name for name in ("statistic", "extendedStatistic") if inputs.get(name)]
    if len(statistics) != 1:
        yield "statistic", "one of statistic and extendedStatistic must be set"
    periods, needed = inputs.get("evaluationPeriods"), inputs.get("datapointsToAlarm")
    if isinstance(periods, int) and isinstance(needed, int) and needed > periods:
        yield "datapointsToAlarm", f"expected at most evaluationPeriods, {periods}, got {needed}"
    period = inputs.get("period")
    if isinstance(period, int) and isinstance(periods, int):
        longest = _DAY if period < _HOUR else _WEEK
        if period * periods > longest:
            yield (
                "evaluationPeriods",
                f"expected at most {longest} seconds, {longest // period} times {period}, got {periods}",
            )


def _dimensions(inputs: State) -> Json:
    return [{"Name": name, "Value": value} for name, value in (inputs.get("dimensions") or {}).items()] or None


_PARAMETERS = {
    "ActionsEnabled": "actionsEnabled",
    "AlarmActions": "alarmActions",
    "AlarmDescription": "alarmDescription",
    "ComparisonOperator": "comparisonOperator",
    "DatapointsToAlarm": "datapointsToAlarm",
    "Dimensions": _dimensions,
    "EvaluateLowSampleCountPercentile": "evaluateLowSampleCountPercentiles",
    "EvaluationPeriods": "evaluationPeriods",
    "ExtendedStatistic": "extendedStatistic",
    "InsufficientDataActions": "insufficientDataActions",
    "MetricName": "metricName",
    "Namespace": "namespace",
    "OKActions": "okActions",
    "Period": "period",
    "Statistic": "statistic",
    "Threshold": "threshold",
    "TreatMissingData": "treatMissingData",
    "Unit": "unit",
}


def _create_alarm(aws: Aws, inputs: State) -> str:
    """As pulumi-aws, without asking whether there is one: PutMetricAlarm "creates or updates" (API Reference)."""
    name = str(inputs["name"])
    parameters = fill(_PARAMETERS, "", inputs)
    if inputs.get("tagsAll"):
        parameters["Tags"] = tag_list(inputs["tagsAll"])
    aws.call("cloudwatch", "put_metric_alarm", AlarmName=name, **parameters)
    return name


def _update_alarm(aws: Aws, change: Change) -> None:
    # PutMetricAlarm replaces an alarm: what isn't given is taken away.
    aws.call("cloudwatch", "put_metric_alarm", AlarmName=change.id, **fill(_PARAMETERS, change.id, change.new))


def _write_tags(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    if remove:
        aws.call("cloudwatch", "untag_resource", ResourceARN=state["arn"], TagKeys=remove)
    if add:
        aws.call("cloudwatch", "tag_resource", ResourceARN=state["arn"], Tags=tag_list(add))


def _read_dimensions(aws: Aws, id: str, state: State) -> State:
    found = state.get("dimensions") or ()
    return {"dimensions": {item["Name"]: item["Value"] for item in found} or None}


METRIC_ALARM = ResourceType(
    token="aws:cloudwatch/metricAlarm:MetricAlarm",
    properties={
        "name": string(replaces=True, check=length(1, 255), auto_name=AutoName()),
        "actionsEnabled": boolean(default=True),
        "alarmActions": string_set(check=_check_actions),
        "alarmDescription": string(check=length(0, 1024)),
        "comparisonOperator": string(
            required=True,
            check=one_of(
                "GreaterThanOrEqualToThreshold",
                "GreaterThanThreshold",
                "LessThanThreshold",
                "LessThanOrEqualToThreshold",
            ),
        ),
        "datapointsToAlarm": integer(1, None),
        "dimensions": string_map(),
        "evaluateLowSampleCountPercentiles": string(computed=True, check=one_of("evaluate", "ignore")),
        "evaluationPeriods": integer(1, None, required=True),
        "extendedStatistic": string(check=_check_extended_statistic, conflicts=("statistic",)),
        "insufficientDataActions": string_set(check=_check_actions),
        # pulumi-aws takes `metricQueries` instead.
        "metricName": string(required=True, check=length(1, 255)),
        "namespace": string(required=True, check=_check_namespace),
        "okActions": string_set(check=_check_actions),
        "period": Property(kind=Kind.INTEGER, required=True, check=_check_period),
        "statistic": string(
            check=one_of("SampleCount", "Average", "Sum", "Minimum", "Maximum"), conflicts=("extendedStatistic",)
        ),
        "threshold": Property(kind=Kind.NUMBER, required=True),
        "treatMissingData": string(default="missing", check=one_of("breaching", "notBreaching", "ignore", "missing")),
        "unit": string(check=one_of(*_UNITS)),
        "arn": output(),
    },
    create=_create_alarm,
    read=joining(
        reading(
            Call("cloudwatch", "describe_alarms", {"AlarmNames": [ID]}),
            result="MetricAlarms[0]",
            outputs={
                "name": "AlarmName",
                "arn": "AlarmArn",
                **{template: parameter for parameter, template in _PARAMETERS.items() if isinstance(template, str)},
                "dimensions": "Dimensions",
                "treatMissingData": "TreatMissingData || 'missing'",
            },
        ),
        _read_dimensions,
        reading(
            Call("cloudwatch", "list_tags_for_resource", {"ResourceARN": "arn"}), result="@", outputs={}, tags="Tags"
        ),
    ),
    updates=(
        Update(
            properties=(*(name for name in _PARAMETERS.values() if isinstance(name, str)), "dimensions"),
            run=_update_alarm,
        ),
    ),
    delete=deleting(Call("cloudwatch", "delete_alarms", {"AlarmNames": [ID]}), missing=("ResourceNotFound",)),
    write_tags=_write_tags,
    validate=_check_alarm,
)
