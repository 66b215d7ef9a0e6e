"""What can be asked of alarms, by AWS's rules.

API reference, PutMetricAlarm, PutCompositeAlarm, DescribeAlarms, DescribeAlarmsForMetric, DescribeAlarmHistory,
SetAlarmState and DeleteAlarms. Texts are AWS's where public bug reports quote them (DatapointsToAlarm, regions of
actions, missing children, deletion of children); the others follow their form.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from moto.cloudwatch.utils import make_arn_for_alarm
from moto.core.responses import ActionResult, EmptyResult

from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_alarm import ACTIONS, REASON_DATA_MAX, Alarm, enter, history_of, note
from sandbox.api.cloudwatch_error import check_shape, invalid, refuse, unsupported
from sandbox.api.cloudwatch_evaluation import COMPARISONS, TREATMENTS, watch_of
from sandbox.api.cloudwatch_metrics import key_of
from sandbox.api.cloudwatch_read import check_statistic
from sandbox.api.cloudwatch_rule import read

SHORT_PERIODS: Final = (10, 20, 30)
HOUR: Final = 3_600
DAY: Final = 86_400
WEEK: Final = 7 * DAY
PAGE: Final = 100
TAGS_MAX: Final = 50

_COMMON = ("AlarmDescription", "ActionsEnabled", *ACTIONS.values())
_METRIC = (
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
)
_WITHOUT_METRICS = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
# What AWS has and the sandbox hasn't, by the name to refuse it by.
_UNSUPPORTED_METRIC = {
    "EvaluationCriteria": "alarms on PromQL queries (EvaluationCriteria)",
    "EvaluationInterval": "EvaluationInterval",
    "EvaluationWindow": "EvaluationWindow",
    "WarmUpConfiguration": "WarmUpConfiguration",
    "ActionConfiguration": "ActionConfiguration",
    "ThresholdMetricId": "anomaly detection (ThresholdMetricId)",
    "Metrics": "alarms on metric math (Metrics)",
}
_UNSUPPORTED_COMPOSITE = (
    "ActionsSuppressor",
    "ActionsSuppressorWaitPeriod",
    "ActionsSuppressorExtensionPeriod",
    "ActionConfiguration",
)


def put_metric_alarm(responses: Any) -> ActionResult:
    """PutMetricAlarm."""
    parameters = responses._get_params()
    check_shape("PutMetricAlarm", parameters)
    _check_source(parameters)
    _check_metric(parameters)
    settings = _settings(parameters, _METRIC)
    settings["Dimensions"] = parameters.get("Dimensions") or []
    _put(responses.cloudwatch_backend, parameters, settings)
    return EmptyResult()


def put_composite_alarm(responses: Any) -> ActionResult:
    """PutCompositeAlarm."""
    parameters = responses._get_params()
    check_shape("PutCompositeAlarm", parameters)
    for name in _UNSUPPORTED_COMPOSITE:
        if parameters.get(name) is not None:
            unsupported(name)
    _put(responses.cloudwatch_backend, parameters, _settings(parameters, ("AlarmRule",)))
    return EmptyResult()


def _check_source(parameters: Mapping[str, Any]) -> None:
    """One of MetricName, Metrics and EvaluationCriteria, with what belongs to it; the last two aren't supported."""
    given = [name for name in ("MetricName", "Metrics", "EvaluationCriteria") if parameters.get(name)]
    if len(given) > 1:
        invalid(f"{given[0]} and {given[1]} must not both be specified")
    if not given:
        invalid("One of MetricName, Metrics and EvaluationCriteria must be specified")
    if given == ["Metrics"] and (more := [name for name in _WITHOUT_METRICS if parameters.get(name) is not None]):
        invalid(f"{', '.join(more)} must not be specified together with Metrics")
    for name, what in _UNSUPPORTED_METRIC.items():
        if parameters.get(name) is not None and parameters[name] != []:
            unsupported(what)
    operator = parameters.get("ComparisonOperator")
    if operator is not None and operator not in COMPARISONS:
        unsupported(f"anomaly detection (ComparisonOperator {operator})")


def _check_metric(parameters: Mapping[str, Any]) -> None:
    for name in ("Namespace", "Period", "EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if parameters.get(name) is None:
            invalid(f"The parameter {name} is required for an alarm on a metric.")
    if bool(parameters.get("Statistic")) == bool(parameters.get("ExtendedStatistic")):
        invalid("Exactly one of Statistic and ExtendedStatistic must be specified")
    check_statistic(parameters.get("Statistic") or parameters["ExtendedStatistic"])
    period, periods = parameters["Period"], parameters["EvaluationPeriods"]
    if period not in SHORT_PERIODS and period % cloudwatch_time.MINUTE:
        invalid(f"Period must be 10, 20, 30 or a multiple of 60, and is {period}")
    longest, spoken = (DAY, "a day") if period < HOUR else (WEEK, "seven days")
    if period * periods > longest:
        invalid(
            f"Metrics cannot be checked across more than {spoken} (EvaluationPeriods * Period must be <= {longest})."
        )
    if (parameters.get("DatapointsToAlarm") or periods) > periods:
        invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    _check_option(parameters, "TreatMissingData", TREATMENTS)
    _check_option(parameters, "EvaluateLowSampleCountPercentile", ("evaluate", "ignore"))


def _check_option(parameters: Mapping[str, Any], name: str, options: Iterable[str]) -> None:
    if parameters.get(name) is not None and parameters[name] not in options:
        invalid(
            f"Option {parameters[name]} is not supported. Supported options for parameter {name} are "
            f"{', '.join(options)}."
        )


def _settings(parameters: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    settings = {name: parameters[name] for name in (*_COMMON, *names) if parameters.get(name) is not None}
    settings.setdefault("ActionsEnabled", True)
    for name in ACTIONS.values():
        settings.setdefault(name, [])
    return settings


def _check_actions(region: str, settings: Mapping[str, Any]) -> None:
    for name in ACTIONS.values():
        for action in settings[name]:
            parts = action.split(":", 5)
            if len(parts) < 6 or parts[0] != "arn" or not parts[5]:
                invalid(f"Invalid arn syntax: {action}")
            if parts[2] != "sns":
                unsupported(f"actions of {parts[2]} in {name}, {action}: it notifies SNS topics only")
            if parts[3] != region:
                invalid(f"Invalid region {parts[3]} specified. Only {region} is supported.")


def _put(backend: Any, parameters: Mapping[str, Any], settings: dict[str, Any]) -> None:
    """Create or change an alarm. A change leaves its state and its tags as they are (PutMetricAlarm)."""
    name = parameters["AlarmName"]
    if re.search(r"[\x00-\x1f\x7f]", name):
        invalid(f"AlarmName must not contain ASCII control characters: {name!r}")
    _check_actions(backend.region_name, settings)
    before: Alarm | None = backend.alarms.get(name)
    now = cloudwatch_time.now()
    alarm = Alarm(
        name=name,
        alarm_arn=make_arn_for_alarm(backend.region_name, backend.account_id, name),
        region=backend.region_name,
        account=backend.account_id,
        settings=settings,
        configured=now,
        updated=now,
        transitioned=now,
    )
    if "AlarmRule" in settings:
        alarm.rule = read(settings["AlarmRule"])
        missing = [child for child in alarm.rule.children if resolve(backend, child) is None]
        if missing:
            invalid(
                f"Could not save the composite alarm as alarms [{', '.join(missing)}] in the alarm rule do not exist"
            )
    else:
        alarm.watch = watch_of(settings)
    if before is not None and before.type != alarm.type:
        invalid(f"{name} is a {before.type} already, and can't become a {alarm.type}")
    if len(parameters.get("Tags") or ()) > TAGS_MAX:
        invalid(f"Tags must not have more than {TAGS_MAX} elements, and has {len(parameters['Tags'])}")
    if before is not None:
        for kept in ("state_value", "state_reason", "state_reason_data", "updated", "transitioned"):
            setattr(alarm, kept, getattr(before, kept))
    elif parameters.get("Tags"):
        backend.tagger.tag_resource(alarm.alarm_arn, parameters["Tags"])
    backend.alarms[name] = alarm
    verb = "created" if before is None else "updated"
    note(backend, alarm, "ConfigurationUpdate", f'Alarm "{name}" {verb}', {"type": verb.capitalize()[:-1], **settings})


def resolve(backend: Any, reference: str) -> Alarm | None:
    """The alarm that a rule means by a name or an ARN; None if the region has none."""
    prefix = make_arn_for_alarm(backend.region_name, backend.account_id, "")
    found: Alarm | None = backend.alarms.get(reference.removeprefix(prefix))
    return found


def children_of(backend: Any, alarm: Alarm) -> list[Alarm]:
    """The alarms that a composite alarm's rule names."""
    found = (resolve(backend, child) for child in (alarm.rule.children if alarm.rule else ()))
    return [child for child in found if child is not None]


def parents_of(backend: Any, alarm: Alarm) -> list[Alarm]:
    """The composite alarms whose rules name an alarm."""
    return [each for each in backend.alarms.values() if alarm in children_of(backend, each)]


def delete_alarms(responses: Any) -> ActionResult:
    """DeleteAlarms: names that no alarm has are passed over."""
    parameters, backend = responses._get_params(), responses.cloudwatch_backend
    check_shape("DeleteAlarms", parameters)
    going: list[Alarm] = [backend.alarms[name] for name in parameters["AlarmNames"] if name in backend.alarms]
    if sum(alarm.rule is not None for alarm in going) > 1:
        invalid("You cannot delete more than one composite alarm in one operation")
    watched = [alarm for alarm in going if any(parent not in going for parent in parents_of(backend, alarm))]
    # Nothing of a cycle can be deleted, not even one that watches only itself.
    watched += [alarm for alarm in going if alarm not in watched and alarm in children_of(backend, alarm)]
    if watched:
        names, them = ",".join(alarm.name for alarm in watched), "it" if len(watched) == 1 else "them"
        invalid(f"Cannot delete {names} as there are composite alarm(s) depending on {them}.")
    for alarm in going:
        backend.alarms.pop(alarm.name, None)
        backend.tagger.delete_all_tags_for_resource(alarm.alarm_arn)
        note(backend, alarm, "ConfigurationUpdate", f'Alarm "{alarm.name}" deleted', {"type": "Delete"})
    return EmptyResult()


def describe_alarms(responses: Any) -> ActionResult:
    """DescribeAlarms: metric alarms only, unless AlarmTypes says otherwise."""
    parameters, backend = responses._get_params(), responses.cloudwatch_backend
    check_shape("DescribeAlarms", parameters)
    related = [name for name in ("ChildrenOfAlarmName", "ParentsOfAlarmName") if parameters.get(name)]
    if related:
        return _describe_related(backend, related[0], parameters)
    names, prefix = parameters.get("AlarmNames"), parameters.get("AlarmNamePrefix")
    if names and prefix:
        invalid("AlarmNames and AlarmNamePrefix must not both be specified")
    types = parameters.get("AlarmTypes") or ["MetricAlarm"]
    found = [
        alarm
        for alarm in sorted(backend.alarms.values(), key=lambda each: str(each.name))
        if alarm.type in types
        and (not names or alarm.name in names)
        and alarm.name.startswith(prefix or "")
        and parameters.get("StateValue") in (None, alarm.state_value)
        and (not parameters.get("ActionPrefix") or _has_action(alarm, parameters["ActionPrefix"]))
    ]
    page, following = _page(found, parameters)
    return _answer([(alarm, alarm.described()) for alarm in page], following)


def _describe_related(backend: Any, by: str, parameters: Mapping[str, Any]) -> ActionResult:
    """API reference, DescribeAlarms: with these, nothing else, and only names and states are told."""
    if more := sorted(set(parameters) - {by, "MaxRecords", "NextToken"}):
        invalid(f"{', '.join(more)} must not be specified together with {by}")
    alarm = backend.alarms.get(parameters[by])
    if alarm is None:
        refuse("ResourceNotFound", f"The alarm {parameters[by]} does not exist")
    children = by == "ChildrenOfAlarmName"
    page, following = _page((children_of if children else parents_of)(backend, alarm), parameters)
    told = ("AlarmName", "AlarmArn", *(("StateValue", "StateUpdatedTimestamp") if children else ()))
    return _answer([(each, {name: each.described()[name] for name in told}) for each in page], following)


def _answer(found: list[tuple[Alarm, dict[str, Any]]], following: str | None) -> ActionResult:
    answer = {
        "MetricAlarms": [told for alarm, told in found if alarm.rule is None],
        "CompositeAlarms": [told for alarm, told in found if alarm.rule is not None],
        "NextToken": following,
    }
    return ActionResult(answer)


def _has_action(alarm: Alarm, prefix: str) -> bool:
    return any(action.startswith(prefix) for name in ACTIONS.values() for action in alarm.settings[name])


def _page(found: list[Any], parameters: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    token = parameters.get("NextToken") or "0"
    if not token.isdecimal():
        refuse("InvalidNextToken", f"The next token {token} is invalid")
    start, size = int(token), parameters.get("MaxRecords") or PAGE
    return found[start : start + size], str(start + size) if len(found) > start + size else None


def describe_alarms_for_metric(responses: Any) -> ActionResult:
    """DescribeAlarmsForMetric: of a metric with just these dimensions."""
    parameters, backend = responses._get_params(), responses.cloudwatch_backend
    check_shape("DescribeAlarmsForMetric", parameters)
    key = key_of(parameters["Namespace"], parameters["MetricName"], parameters.get("Dimensions") or ())
    wanted = [name for name in ("Statistic", "ExtendedStatistic", "Period", "Unit") if parameters.get(name) is not None]
    found = [
        alarm.described()
        for alarm in backend.alarms.values()
        if alarm.watch is not None
        and alarm.watch.key == key
        and all(alarm.settings.get(name) == parameters[name] for name in wanted)
    ]
    return ActionResult({"MetricAlarms": found})


def describe_history(responses: Any) -> ActionResult:
    """DescribeAlarmHistory: of metric alarms, unless AlarmTypes says otherwise; newest first."""
    parameters, backend = responses._get_params(), responses.cloudwatch_backend
    check_shape("DescribeAlarmHistory", parameters)
    types = parameters.get("AlarmTypes") or ["MetricAlarm"]
    start, end = (
        None if parameters.get(name) is None else cloudwatch_time.plain(parameters[name])
        for name in ("StartDate", "EndDate")
    )
    found = [
        item
        for item in history_of(backend)
        if item["AlarmType"] in types
        and parameters.get("AlarmName") in (None, item["AlarmName"])
        and parameters.get("HistoryItemType") in (None, item["HistoryItemType"])
        and (start is None or item["Timestamp"] >= start)
        and (end is None or item["Timestamp"] <= end)
    ]
    if parameters.get("ScanBy") != "TimestampAscending":
        found.reverse()
    page, following = _page(found, parameters)
    return ActionResult({"AlarmHistoryItems": page, "NextToken": following})


def set_state(responses: Any) -> ActionResult:
    """SetAlarmState: until the next evaluation, or for a composite alarm until a child's state changes."""
    parameters, backend = responses._get_params(), responses.cloudwatch_backend
    check_shape("SetAlarmState", parameters)
    data = parameters.get("StateReasonData")
    try:
        json.loads(data or "{}")
    except ValueError:
        refuse("InvalidFormat", f"StateReasonData must be JSON, and is {data[:REASON_DATA_MAX]!r}")
    alarm = backend.alarms.get(parameters["AlarmName"])
    if alarm is None:
        refuse("ResourceNotFound", f"The alarm {parameters['AlarmName']} does not exist")
    enter(backend, alarm, parameters["StateValue"], parameters["StateReason"], data)
    return EmptyResult()


def enable_actions(responses: Any) -> ActionResult:
    """EnableAlarmActions."""
    return _switch_actions(responses, "EnableAlarmActions", enabled=True)


def disable_actions(responses: Any) -> ActionResult:
    """DisableAlarmActions."""
    return _switch_actions(responses, "DisableAlarmActions", enabled=False)


def _switch_actions(responses: Any, operation: str, *, enabled: bool) -> ActionResult:
    parameters, backend = responses._get_params(), responses.cloudwatch_backend
    check_shape(operation, parameters)
    for name in parameters["AlarmNames"]:
        alarm = backend.alarms.get(name)
        if alarm is not None and alarm.settings["ActionsEnabled"] != enabled:
            alarm.settings["ActionsEnabled"] = enabled
            alarm.configured = cloudwatch_time.now()
            note(backend, alarm, "ConfigurationUpdate", f'Alarm "{name}" updated', {"type": "Update"})
    return EmptyResult()
