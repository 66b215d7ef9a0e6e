"""CloudWatch: metrics as AWS takes them, alarms that are evaluated, and what isn't supported, by name."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from sandbox.api import cloudwatch_alarms, cloudwatch_put, cloudwatch_read, ec2_launch
from sandbox.api.change import Change, replace
from sandbox.api.cloudwatch_error import unsupported

Answer = Callable[[Any], ActionResult]

_METRICS: Final[dict[str, Answer]] = {
    "put_metric_data": cloudwatch_put.answer,
    "get_metric_data": cloudwatch_read.get_data,
    "get_metric_statistics": cloudwatch_read.get_statistics,
    "list_metrics": cloudwatch_read.list_metrics,
}
_ALARMS: Final[dict[str, Answer]] = {
    "put_metric_alarm": cloudwatch_alarms.put_metric_alarm,
    "describe_alarms": cloudwatch_alarms.describe_alarms,
    "describe_alarms_for_metric": cloudwatch_alarms.describe_alarms_for_metric,
    "delete_alarms": cloudwatch_alarms.delete_alarms,
    "set_alarm_state": cloudwatch_alarms.set_state,
    "enable_alarm_actions": cloudwatch_alarms.enable_actions,
    "disable_alarm_actions": cloudwatch_alarms.disable_actions,
}
_ADDED: Final[dict[str, Answer]] = {
    "put_composite_alarm": cloudwatch_alarms.put_composite_alarm,
    "describe_alarm_history": cloudwatch_alarms.describe_history,
}
UNSUPPORTED_OPERATIONS: Final = (
    "put_insight_rule",
    "describe_insight_rules",
    "delete_insight_rules",
    "disable_insight_rules",
    "enable_insight_rules",
)


def _replace_metrics() -> None:
    for operation, answer in _METRICS.items():
        replace(CloudWatchResponse, operation, answer)
    # Other services of moto's put their own metrics here.
    replace(CloudWatchBackend, "put_metric_data", cloudwatch_put.put)


def _replace_alarms() -> None:
    for operation, answer in _ALARMS.items():
        replace(CloudWatchResponse, operation, answer)
    for operation, answer in _ADDED.items():
        ec2_launch.add_operation(CloudWatchResponse, operation, answer)


def _refuse_unsupported() -> None:
    def refuse_insights(_responses: Any) -> NoReturn:
        unsupported("Contributor Insights")

    def refuse_alarms(_backend: Any, **_settings: Any) -> NoReturn:
        unsupported("policies with alarms of their own: nothing in the sandbox would scale by them")

    for operation in UNSUPPORTED_OPERATIONS:
        replace(CloudWatchResponse, operation, refuse_insights)
    # Application Auto Scaling of moto's makes its policies' alarms with it, past PutMetricAlarm.
    replace(CloudWatchBackend, "put_metric_alarm", refuse_alarms)


CHANGES: tuple[Change, ...] = (
    Change(
        name="cloudwatch-metrics",
        why="moto takes data of any time, unit, dimension and size, returns data of other dimensions than were asked "
        "for, and neither percentiles nor the API's limits. AWS refuses what is out of range and keeps each "
        "combination of dimensions as a metric of its own (API reference, PutMetricData, GetMetricStatistics, "
        "GetMetricData; User Guide, 'Metrics concepts'). What services of moto's would measure isn't told: only what "
        "was put. Metric math, Metrics Insights and trimmed statistics are refused by name.",
        apply=_replace_metrics,
    ),
    Change(
        name="cloudwatch-alarms",
        why="moto's alarms begin with OK, are never evaluated, have no history, and take any settings; it lacks "
        "PutCompositeAlarm. AWS's begin with INSUFFICIENT_DATA, follow their metric's data, run actions and refuse "
        "what it can't evaluate (API reference, PutMetricAlarm, PutCompositeAlarm; User Guide, 'Alarm evaluation', "
        "'Configuring how CloudWatch alarms treat missing data'). Metric math, anomaly detection, PromQL, windows and "
        "actions other than SNS topics are refused by name.",
        apply=_replace_alarms,
    ),
    Change(
        name="cloudwatch-unsupported",
        why="moto keeps Contributor Insights rules and evaluates none, and makes alarms for policies that never scale: "
        "they are refused by name, so that nobody takes them for tried out.",
        apply=_refuse_unsupported,
    ),
)
