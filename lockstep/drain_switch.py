"""The drain switch of a site: an alarm in the *peer's* region on a metric that `drain` and `undrain` write alone.

Rule: a switch holds what it was last told. Route 53 follows the metric's data by a copy of the alarm's settings, taken
when its health check is made or told of the alarm again; without data it keeps the last known status, and a check that
has had none is healthy (Developer Guide, "Values that you specify when you create or update health checks"). So nothing
has to be written for as long as a site is drained, and nothing that is lost with the site's region is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lockstep.config import Config
from lockstep.config.models import Site
from lockstep.config.naming import drain_alarm_name

NAMESPACE: Final = "Lockstep"
METRIC: Final = "Drain"
DIMENSION: Final = "Site"
DRAINED: Final = 1.0
OPEN: Final = 0.0

STATISTIC: Final = "Maximum"
PERIOD_SECONDS: Final = 60
PERIODS: Final = 1
COMPARISON: Final = "GreaterThanOrEqualToThreshold"
MISSING_DATA: Final = "missing"
# How an alarm's health check counts while its data doesn't say.
WITHOUT_DATA: Final = "LastKnownStatus"

# CloudWatch API reference, GetMetricData, StartTime: a period of a minute may be asked for up to 15 days back.
REMEMBERED: Final = timedelta(days=14)

Client = Callable[[str, str], Any]


def triggers(site: str) -> dict[str, str]:
    """What Route 53 has copied of the switch of `site`: when one of it changes, its health check must copy it again."""
    return {
        "metric": f"{NAMESPACE}/{METRIC} {DIMENSION}={site}",
        "condition": f"{STATISTIC} {COMPARISON} {DRAINED:g}",
        "periods": f"{PERIODS} of {PERIOD_SECONDS} s",
        "missing": MISSING_DATA,
    }


def followed(site: str) -> dict[str, Any]:
    """The copy itself, as GetHealthCheck and ListHealthChecks have it (CloudWatchAlarmConfiguration)."""
    return {
        "EvaluationPeriods": PERIODS,
        "Threshold": DRAINED,
        "ComparisonOperator": COMPARISON,
        "Period": PERIOD_SECONDS,
        "MetricName": METRIC,
        "Namespace": NAMESPACE,
        "Statistic": STATISTIC,
        "Dimensions": [{"Name": DIMENSION, "Value": site}],
    }


@dataclass(frozen=True, kw_only=True)
class SwitchFacts:
    """What CloudWatch says of a switch: the alarm's state, None if there is no alarm; and what was last written, and
    when, None if that is nothing, or longer ago than it remembers.

    `drained` is None too where both were written in the same minute, and the alarm has forgotten: data keeps no order.
    """

    state: str | None
    drained: bool | None = None
    at: datetime | None = None


class DrainSwitch:
    """The switch of `site`, whose alarm `name` is in `region`. Calls CloudWatch there, and nothing else anywhere."""

    def __init__(self, client: Client, site: str, name: str, region: str) -> None:
        self._client = client
        self.site = site
        self.name = name
        self.region = region

    @classmethod
    def of(cls, client: Client, config: Config, site: Site) -> "DrainSwitch":
        """As `config` has it."""
        return cls(client, site.name, drain_alarm_name(config.application, site.name), config.peer_of(site).region)

    def write(self, *, drained: bool) -> None:
        """Tell it, for the minute that it is. Raises what AWS refuses."""
        datum = {**self._metric, "Value": DRAINED if drained else OPEN}
        datum.pop("Namespace")
        self._client("cloudwatch", self.region).put_metric_data(Namespace=NAMESPACE, MetricData=[datum])

    def state(self) -> str | None:
        """The alarm's state; None if there is no alarm. Raises what AWS refuses."""
        answer = self._client("cloudwatch", self.region).describe_alarms(
            AlarmNames=[self.name], AlarmTypes=["MetricAlarm"]
        )
        found = answer["MetricAlarms"]
        return str(found[0]["StateValue"]) if found else None

    def facts(self) -> SwitchFacts:
        """All that CloudWatch says. Raises what AWS refuses."""
        now = datetime.now(UTC)
        answer = self._client("cloudwatch", self.region).get_metric_data(
            MetricDataQueries=[
                {
                    "Id": statistic.lower(),
                    "MetricStat": {"Metric": self._metric, "Period": PERIOD_SECONDS, "Stat": statistic},
                }
                for statistic in ("Maximum", "Minimum")
            ],
            StartTime=now - REMEMBERED,
            # The minute that it is belongs to it.
            EndTime=now + timedelta(seconds=PERIOD_SECONDS),
            ScanBy="TimestampDescending",
        )
        found = {each["Id"]: each for each in answer["MetricDataResults"]}
        high, low = found["maximum"], found["minimum"]
        state = self.state()
        if not high["Values"]:
            return SwitchFacts(state=state)
        told = {each["Values"][0] >= DRAINED for each in (high, low)}
        by_alarm = {"ALARM": True, "OK": False}.get(state or "")
        return SwitchFacts(state=state, drained=told.pop() if len(told) == 1 else by_alarm, at=high["Timestamps"][0])

    @property
    def _metric(self) -> Mapping[str, Any]:
        return {
            "Namespace": NAMESPACE,
            "MetricName": METRIC,
            "Dimensions": [{"Name": DIMENSION, "Value": self.site}],
        }
