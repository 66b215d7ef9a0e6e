"""Metric alarms, through the engine and the real API."""

from typing import Any

import pytest
from moto.core.utils import get_service_model

from sandbox.api.server import ApiServer
from sandbox.provider.schema import State
from tests.sandbox.provider.program import Program, Resource

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DRAIN = {
    "name": "drain-primary",
    "namespace": "Lockstep",
    "metricName": "Drain",
    "dimensions": {"Site": "primary"},
    "statistic": "Maximum",
    "period": 60,
    "evaluationPeriods": 1,
    "datapointsToAlarm": 1,
    "threshold": 0.5,
    "comparisonOperator": "GreaterThanThreshold",
}


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def cloudwatch(program: Program) -> Any:
    return program.aws("cloudwatch")


@pytest.fixture
def alarm(program: Program) -> Resource:
    return program.up(ALARM, **DRAIN, tags={"site": "primary"})


def live(cloudwatch: Any) -> dict[str, Any]:
    (found,) = cloudwatch.describe_alarms()["MetricAlarms"]
    answer: dict[str, Any] = found
    return answer


def test_its_settings_reach_aws(alarm: Resource, cloudwatch: Any) -> None:
    """Without it the drain switch doesn't switch."""
    found = live(cloudwatch)
    assert alarm.id == found["AlarmName"] == "drain-primary"
    assert alarm.state["arn"] == found["AlarmArn"]
    assert (found["Namespace"], found["MetricName"], found["Statistic"]) == ("Lockstep", "Drain", "Maximum")
    assert found["Dimensions"] == [{"Name": "Site", "Value": "primary"}]
    assert (found["Period"], found["EvaluationPeriods"], found["Threshold"]) == (60, 1, 0.5)
    assert alarm.state["treatMissingData"] == "missing"
    assert alarm.state["tags"] == {"site": "primary"}
    assert alarm.refresh() == frozenset()


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("threshold", 1, "Threshold"),
        ("period", 120, "Period"),
        ("evaluationPeriods", 3, "EvaluationPeriods"),
        ("comparisonOperator", "GreaterThanOrEqualToThreshold", "ComparisonOperator"),
        ("treatMissingData", "breaching", "TreatMissingData"),
        ("alarmDescription", "takes traffic off", "AlarmDescription"),
        ("actionsEnabled", False, "ActionsEnabled"),
        ("alarmActions", ["arn:aws:sns:eu-west-1:123456789012:ops"], "AlarmActions"),
        ("okActions", ["arn:aws:sns:eu-west-1:123456789012:ops"], "OKActions"),
        ("insufficientDataActions", ["arn:aws:sns:eu-west-1:123456789012:ops"], "InsufficientDataActions"),
        ("statistic", "SampleCount", "Statistic"),
        ("unit", "Kilobytes/Second", "Unit"),
        ("namespace", "Other", "Namespace"),
        ("metricName", "Other", "MetricName"),
    ],
)
def test_a_setting_is_changed_in_place(alarm: Resource, cloudwatch: Any, name: str, value: Any, key: str) -> None:
    """Without it the alarm goes on by the old setting, or is replaced while a health check follows it."""
    alarm.update(**{name: value})
    assert live(cloudwatch)[key] == value
    assert live(cloudwatch)["Dimensions"] == [{"Name": "Site", "Value": "primary"}]
    assert alarm.refresh() == frozenset()


def test_what_is_taken_out_of_the_program_is_taken_off_the_alarm(alarm: Resource, cloudwatch: Any) -> None:
    """Without it an alarm still wakes people that the program no longer names."""
    alarm.update(alarmActions=["arn:aws:sns:eu-west-1:123456789012:ops"])
    alarm.update(alarmActions=None, dimensions=None)
    assert live(cloudwatch)["AlarmActions"] == []
    assert live(cloudwatch)["Dimensions"] == []
    assert alarm.refresh() == frozenset()


def test_tags_are_added_changed_and_removed(alarm: Resource, cloudwatch: Any) -> None:
    """Without it commands that act on tagged things pass it over."""
    alarm.update(tags={"owner": "ops"})
    assert cloudwatch.list_tags_for_resource(ResourceARN=alarm.state["arn"])["Tags"] == [
        {"Key": "owner", "Value": "ops"}
    ]
    assert alarm.refresh() == frozenset()


def test_another_name_replaces(alarm: Resource) -> None:
    """Without it the preview promises an update that AWS can't make."""
    assert alarm.plan(name="other").replaces == {"name"}


def test_a_threshold_and_a_tag_changed_by_hand_are_found_and_repaired(alarm: Resource, cloudwatch: Any) -> None:
    """Without it a drain switch that somebody has bent doesn't drain, and nobody knows."""
    found = live(cloudwatch)
    kept = ("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods")
    cloudwatch.put_metric_alarm(
        **{key: found[key] for key in kept},
        DatapointsToAlarm=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=99,
        TreatMissingData="missing",
    )
    cloudwatch.untag_resource(ResourceARN=alarm.state["arn"], TagKeys=["site"])
    assert alarm.refresh() == {"threshold", "tags", "tagsAll"}
    alarm.repair()
    assert live(cloudwatch)["Threshold"] == 0.5
    assert alarm.refresh() == frozenset()


def test_an_alarm_that_exists_is_taken_over_as_on_aws(alarm: Resource, program: Program, cloudwatch: Any) -> None:
    """An update that was killed after it had made the alarm goes on by itself on AWS, and has to here."""
    again = program.up(ALARM, **{**DRAIN, "threshold": 0.7})
    assert (again.id, live(cloudwatch)["Threshold"]) == (alarm.id, 0.7)
    assert alarm.refresh() == {"threshold"}


def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(alarm: Resource, cloudwatch: Any) -> None:
    """Without it a destroy stops at what somebody has deleted before."""
    cloudwatch.delete_alarms(AlarmNames=[alarm.id])
    assert alarm.gone
    alarm.delete()


def test_delete_deletes(alarm: Resource, cloudwatch: Any) -> None:
    """Without it a destroyed stack goes on waking people."""
    alarm.delete()
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize(
    ("declared", "path", "reason"),
    [
        ({"period": 45}, "period", "10, 20, 30 or a multiple of 60"),
        ({"statistic": "Median"}, "statistic", "one of SampleCount"),
        ({"statistic": None}, "statistic", "one of statistic and extendedStatistic"),
        ({"statistic": None, "extendedStatistic": "q99"}, "extendedStatistic", "a statistic such as p99"),
        ({"extendedStatistic": "p99"}, "extendedStatistic", "conflicts with 'statistic'"),
        ({"evaluationPeriods": 0}, "evaluationPeriods", "at least 1"),
        ({"namespace": ":x"}, "namespace", "must not begin with a colon"),
        ({"treatMissingData": "ok"}, "treatMissingData", "one of breaching"),
        ({"metricQueries": []}, "metricQueries", "isn't supported by the sandbox"),
        ({"thresholdMetricId": "a"}, "thresholdMetricId", "isn't supported by the sandbox"),
        ({"comparisonOperator": "LessThanLowerThreshold"}, "comparisonOperator", "one of GreaterThan"),
        ({"unit": "Apples"}, "unit", "one of Seconds"),
        ({"datapointsToAlarm": 2}, "datapointsToAlarm", "at most evaluationPeriods, 1, got 2"),
        ({"evaluationPeriods": 1441}, "evaluationPeriods", "at most 86400 seconds, 1440 times 60"),
        ({"period": 3600, "evaluationPeriods": 169}, "evaluationPeriods", "at most 604800 seconds"),
    ],
)
def test_a_bad_value_is_refused_by_name(program: Program, declared: State, path: str, reason: str) -> None:
    """Without it a wrong value is found only while the site is half made."""
    wanted = {key: value for key, value in {**DRAIN, **declared}.items() if value is not None}
    assert reason in program.refusals(ALARM, **wanted)[path]


def test_an_alarm_on_a_percentile_has_all_that_belongs_to_it(program: Program, cloudwatch: Any) -> None:
    """Without it an alarm on latency is an endless update: AWS keeps what the program doesn't see."""
    wanted = {**DRAIN, "extendedStatistic": "p99.9", "evaluateLowSampleCountPercentiles": "ignore"}
    del wanted["statistic"]
    made = program.up(ALARM, **wanted | {"evaluationPeriods": 3, "datapointsToAlarm": 2})
    found = live(cloudwatch)
    assert (found["ExtendedStatistic"], found["EvaluateLowSampleCountPercentile"]) == ("p99.9", "ignore")
    assert (found["EvaluationPeriods"], found["DatapointsToAlarm"], "Statistic" in found) == (3, 2, False)
    assert made.refresh() == frozenset()


def test_every_unit_of_aws_is_taken(program: Program) -> None:
    """Without it an alarm that AWS takes can't be declared."""
    units = get_service_model("cloudwatch").shape_for("StandardUnit").metadata["enum"]
    assert len(units) == 27
    assert [unit for unit in units if program.refusals(ALARM, **DRAIN, unit=unit)] == []
