"""What Route 53 makes of the data that a CloudWatch alarm looks at: the status of health checks of type
CLOUDWATCH_METRIC.

Developer Guide, "How Amazon Route 53 determines the status of health checks that monitor CloudWatch alarms", "Values
that you specify when you create or update health checks" and "Updating health checks when you change CloudWatch alarm
settings". Route 53 copies an alarm's settings when a check is created or its alarm is named in an update, and follows
the metric's data by them: neither the alarm's state, nor SetAlarmState, nor a later change of the alarm counts. AWS
doesn't say how long Route 53 takes to read the data, so it is as late here as an alarm.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.session import Session
from moto.cloudwatch.models import cloudwatch_backends
from moto.route53.models import route53_backends

from sandbox.api import backends, cloudwatch_time, lost_regions
from sandbox.api.cloudwatch_alarm import Alarm
from sandbox.api.cloudwatch_evaluation import INSUFFICIENT_DATA, OK, Watch, boundary, verdict_at, watch_of
from sandbox.api.cloudwatch_metrics import STATISTICS, store_of
from sandbox.api.route53_error import InvalidInputError
from sandbox.api.workers import Worker, alone

TYPE: Final = "CLOUDWATCH_METRIC"
TURN_SECONDS: Final = 0.1
# API reference, CloudWatchAlarmConfiguration: Dimensions.
DIMENSIONS_MAX: Final = 10

_CONFIGURATION = (
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
    "Period",
    "MetricName",
    "Namespace",
    "Statistic",
    "Dimensions",
)


@dataclass(frozen=True)
class Followed:
    """A copy of an alarm's settings: `configuration` as GetHealthCheck tells it (CloudWatchAlarmConfiguration)."""

    account: str
    region: str
    watch: Watch
    configuration: Mapping[str, Any]


@dataclass
class _Status:
    """What is known of a check: which evaluation was the last, what it said, and what the last one with data said."""

    followed: Followed
    evaluated: int | None = None
    state: str = INSUFFICIENT_DATA
    last_known: bool = True


# By the check's id. A check that is deleted is forgotten with the next turn.
_known: dict[str, _Status] = {}


def follow(account: str, config: Mapping[str, Any]) -> Followed:
    """The settings of the alarm that a health check's `config` names, as they are now.

    Raises InvalidInputError if there is no such alarm in this account, or it is one that Route 53 can't follow. AWS
    documents what it supports, not the texts of its refusals.
    """
    name, region = config["AlarmIdentifier"]["Name"], config["AlarmIdentifier"]["Region"]
    if region not in _regions():
        raise _invalid(f"The region '{region}' of the CloudWatch alarm {name} does not exist.")
    if lost_regions.is_lost(region):
        raise _invalid(f"The CloudWatch alarm {name} can't be read: CloudWatch in {region} doesn't answer.")
    alarm = cloudwatch_backends[account][region].alarms.get(name)
    if alarm is None:
        raise _invalid(f"The CloudWatch alarm {name} does not exist in the region {region}.")
    assert isinstance(alarm, Alarm)
    _check_supported(alarm)
    configuration = {name: alarm.settings[name] for name in _CONFIGURATION}
    return Followed(account, region, watch_of(alarm.settings), configuration)


@functools.cache
def _regions() -> frozenset[str]:
    return frozenset(Session().get_available_regions("cloudwatch"))


def _check_supported(alarm: Alarm) -> None:
    watch = alarm.watch
    if watch is None:
        raise _invalid(f"{alarm.name} is a composite alarm: Route 53 follows the data of one metric.")
    if watch.period < cloudwatch_time.MINUTE:
        raise _invalid(f"{alarm.name} has a period of {watch.period} s: high-resolution metrics aren't supported.")
    if watch.statistic not in STATISTICS:
        raise _invalid(f"{alarm.name} uses {watch.statistic}: extended statistics aren't supported.")
    if watch.needed != watch.periods:
        raise _invalid(
            f"{alarm.name} needs {watch.needed} out of {watch.periods} datapoints: M out of N alarms aren't supported."
        )
    if len(alarm.settings["Dimensions"]) > DIMENSIONS_MAX:
        raise _invalid(f"{alarm.name} has a metric with more than {DIMENSIONS_MAX} dimensions.")


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(f"Invalid parameter : {message}")


def states() -> Mapping[str, bool]:
    """Health by id of health checks of type CLOUDWATCH_METRIC, "Inverted" and "Disabled" left out of account.

    A check that is missing is healthy: nothing is known of it yet. Call it under the backend lock.
    """
    checks = _checks()
    return {id_: _healthy(checks[id_].config, status) for id_, status in _known.items() if id_ in checks}


def _healthy(config: Mapping[str, Any], status: _Status) -> bool:
    if status.state != INSUFFICIENT_DATA:
        return status.state == OK
    without = config["InsufficientDataHealthStatus"]
    return status.last_known if without == "LastKnownStatus" else without == "Healthy"


def _checks() -> dict[str, Any]:
    return {
        check.id: check
        for backend in backends.every(route53_backends)
        for check in backend.health_checks.values()
        if check.config["Type"] == TYPE
    }


def turn() -> None:
    """Read the data of every check's metric, if that is due. Call it under the backend lock."""
    checks = _checks()
    for gone in set(_known) - set(checks):
        del _known[gone]
    position = cloudwatch_time.position(cloudwatch_time.now())
    for id_, check in checks.items():
        with alone(f"health check {id_}"):
            _read(id_, check, position)


def _read(id_: str, check: Any, position: float) -> None:
    followed: Followed = check.followed
    status = _known.setdefault(id_, _Status(followed))
    if status.followed != followed:
        # The last known status stays: it is that of the check, not of the settings.
        status.followed, status.evaluated = followed, None
    if lost_regions.is_lost(followed.region):
        # Its data can't be read, which is insufficient data; healed, it is read with the next turn.
        status.state, status.evaluated = INSUFFICIENT_DATA, None
        return
    number = boundary(followed.watch, position)
    if status.evaluated is not None and number <= status.evaluated:
        return
    status.evaluated = number
    samples = store_of(cloudwatch_backends[followed.account][followed.region]).get(followed.watch.key, ())
    # Data that would leave an alarm as it is doesn't determine its state.
    status.state = verdict_at(followed.watch, samples, number).state or INSUFFICIENT_DATA
    if status.state != INSUFFICIENT_DATA:
        status.last_known = status.state == OK


worker: Final = Worker("metric health checks", TURN_SECONDS, turn)
