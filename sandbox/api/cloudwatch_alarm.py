"""An alarm, its history, and what happens when its state changes.

CloudWatch API Reference, MetricAlarm, CompositeAlarm and AlarmHistoryItem; User Guide, "Using CloudWatch alarms".
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from moto.sns.models import sns_backends

from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_evaluation import ALARM, INSUFFICIENT_DATA, OK, Watch
from sandbox.api.cloudwatch_rule import Rule
from sandbox.api.workers import alone

# User Guide, "Common features of CloudWatch alarms".
HISTORY_KEPT: Final = timedelta(days=30)
HISTORY_DATA_MAX: Final = 4095
REASON_MAX: Final = 1023
REASON_DATA_MAX: Final = 4000
ACTIONS: Final = {OK: "OKActions", ALARM: "AlarmActions", INSUFFICIENT_DATA: "InsufficientDataActions"}


@dataclass(kw_only=True)
class Alarm:
    """An alarm of either type: `watch` is a metric alarm's, `rule` a composite one's.

    `settings` are the parameters of the request, defaults filled in. `evaluated` tells what was looked at last: the
    number of an evaluation, or the children's states; None: nothing yet. moto's own code reads `name`, `alarm_arn` and
    `state_value`.
    """

    name: str
    alarm_arn: str
    region: str
    account: str
    settings: dict[str, Any]
    configured: datetime
    updated: datetime
    transitioned: datetime
    watch: Watch | None = None
    rule: Rule | None = None
    evaluated: Any = None
    state_value: str = INSUFFICIENT_DATA
    state_reason: str = "Unchecked: Initial alarm creation"
    state_reason_data: str | None = None

    @property
    def type(self) -> str:
        """AWS's name of its type."""
        return "MetricAlarm" if self.rule is None else "CompositeAlarm"

    def described(self) -> dict[str, Any]:
        """As DescribeAlarms has it."""
        found = {
            **self.settings,
            "AlarmName": self.name,
            "AlarmArn": self.alarm_arn,
            "AlarmConfigurationUpdatedTimestamp": self.configured,
            "StateValue": self.state_value,
            "StateReason": self.state_reason,
            "StateReasonData": self.state_reason_data,
            "StateUpdatedTimestamp": self.updated,
            "StateTransitionedTimestamp": self.transitioned,
        }
        return {name: value for name, value in found.items() if value is not None}


def history_of(backend: Any) -> list[dict[str, Any]]:
    """The history of a region's alarms, deleted ones included, oldest first, for as long as AWS keeps it."""
    found: list[dict[str, Any]] = backend.__dict__.setdefault("lockstep_alarm_history", [])
    limit = cloudwatch_time.now() - HISTORY_KEPT
    while found and found[0]["Timestamp"] < limit:
        found.pop(0)
    return found


def note(backend: Any, alarm: Alarm, kind: str, summary: str, data: dict[str, Any]) -> None:
    """Add to an alarm's history."""
    history_of(backend).append(
        {
            "AlarmName": alarm.name,
            "AlarmType": alarm.type,
            "Timestamp": cloudwatch_time.now(),
            "HistoryItemType": kind,
            "HistorySummary": summary[:255],
            "HistoryData": json.dumps({"version": "1.0", **data}, default=str)[:HISTORY_DATA_MAX],
        }
    )


def enter(backend: Any, alarm: Alarm, state: str, reason: str, reason_data: str | None = None) -> None:
    """Put an alarm into a state. If that changes the state, it is history, and its actions are run.

    API Reference, SetAlarmState: actions run when the new state differs from the one before.
    """
    before, reason_before = alarm.state_value, alarm.state_reason
    alarm.updated = cloudwatch_time.now()
    alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason[:REASON_MAX], reason_data
    if state == before:
        return
    alarm.transitioned = alarm.updated
    old = {"stateValue": before, "stateReason": reason_before}
    new = {"stateValue": state, "stateReason": alarm.state_reason}
    data = {"oldState": old, "newState": new}
    note(backend, alarm, "StateUpdate", f"Alarm updated from {before} to {state}", data)
    if alarm.settings["ActionsEnabled"]:
        for action in alarm.settings[ACTIONS[state]]:
            _run(backend, alarm, action, before)


def _run(backend: Any, alarm: Alarm, action: str, before: str) -> None:
    """Publish to an SNS topic, whether or not it exists: "CloudWatch doesn't test or validate the actions"."""
    account, region = action.split(":")[4], action.split(":")[3]
    topic = sns_backends[account][region].topics.get(action)
    published = False
    # What a subscriber does must not keep the alarm from its state.
    with alone(f"action {action} of {alarm.alarm_arn}"):
        if topic is not None:
            message = json.dumps(_notification(alarm, before), default=str)
            topic.publish(message, subject=f'{alarm.state_value}: "{alarm.name}" in {alarm.region}'[:100])
            published = True
    data = {"actionState": "Succeeded" if published else "Failed", "notificationResource": action}
    note(
        backend,
        alarm,
        "Action",
        f"{'Successfully executed' if published else 'Failed to execute'} action {action}",
        data,
    )


def _notification(alarm: Alarm, before: str) -> dict[str, Any]:
    """The message that subscribers get."""
    settings = alarm.settings
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": settings.get("AlarmDescription"),
        "AWSAccountId": alarm.account,
        "AlarmConfigurationUpdatedTimestamp": _spoken(alarm.configured),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _spoken(alarm.transitioned),
        "Region": alarm.region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        **{name: settings[name] for name in ACTIONS.values()},
    }
    if alarm.rule is not None:
        return message | {"AlarmRule": alarm.rule.text}
    trigger = {
        name: settings.get(name)
        for name in (
            "MetricName",
            "Namespace",
            "Statistic",
            "ExtendedStatistic",
            "Unit",
            "Period",
            "EvaluationPeriods",
            "DatapointsToAlarm",
            "ComparisonOperator",
            "Threshold",
            "TreatMissingData",
        )
    }
    dimensions = [{"name": each["Name"], "value": each["Value"]} for each in settings["Dimensions"]]
    return message | {"Trigger": {**trigger, "Dimensions": dimensions}}


def _spoken(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
