"""CloudWatch with its time in the test's hands: what alarms and health checks make of metrics, minute by minute."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api import cloudwatch_time, cloudwatch_turn, metric_checks
from sandbox.api.backend_lock import backend_lock

START = datetime(2026, 3, 4, 12, 0)
DRAIN = {"Namespace": "Lockstep", "MetricName": "Drain", "Dimensions": [{"Name": "Site", "Value": "primary"}]}


class World:
    """Time, which stands still unless a test moves it, and what the workers do when it moves."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = START
        patch.setattr(cloudwatch_time, "now", lambda: self.now)

    def wait(self, seconds: float) -> None:
        """Let real time pass, and the workers look at what there is."""
        self.now += timedelta(seconds=seconds)
        self.turn()

    def turn(self) -> None:
        """What the workers do."""
        with backend_lock:
            cloudwatch_turn.turn()
            metric_checks.turn()


def put(client: Any, value: float, **more: Any) -> None:
    """Put one value of the drain metric."""
    datum = {key: DRAIN[key] for key in ("MetricName", "Dimensions")} | {"Value": value} | more
    client.put_metric_data(Namespace=DRAIN["Namespace"], MetricData=[datum])


def drain_alarm(client: Any, name: str = "drain", **more: Any) -> None:
    """Make or change an alarm on the drain metric: above 0.5, 1 of 1 minutes."""
    wanted = {
        **DRAIN,
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }
    client.put_metric_alarm(AlarmName=name, **{key: value for key, value in wanted.items() if value is not None})


def described(client: Any, name: str = "drain") -> dict[str, Any]:
    """An alarm of either type."""
    answer = client.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    (found,) = answer["MetricAlarms"] + answer["CompositeAlarms"]
    return dict(found)


def state(client: Any, name: str = "drain") -> str:
    """The state of an alarm."""
    return str(described(client, name)["StateValue"])


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """The code and message of the error that `call` ends with; it must end with one."""
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    return str(error["Code"]), str(error["Message"])
