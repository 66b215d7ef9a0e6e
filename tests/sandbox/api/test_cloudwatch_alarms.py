"""Metric alarms: what AWS refuses of them, and how they follow what is put."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from sandbox import clock
from sandbox.api import cloudwatch_turn, data_plane, lost_regions
from tests.sandbox.api import refreshing
from tests.sandbox.api.alarming import DRAIN, START, World, described, drain_alarm, put, refused, state

ClientFactory = Callable[..., Any]
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ops"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def cloudwatch(aws: ClientFactory, world: World) -> Any:
    return aws("cloudwatch")


@pytest.mark.change("cloudwatch-alarms")
class TestWhatIsRefused:
    """API reference, PutMetricAlarm."""

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            ({"Period": 45}, "Period must be 10, 20, 30 or a multiple of 60"),
            (
                {"Period": 60, "EvaluationPeriods": 1441},
                "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).",
            ),
            ({"Period": 10, "EvaluationPeriods": 8641}, "<= 86400"),
            ({"Period": 3600, "EvaluationPeriods": 169}, "<= 604800"),
            (
                {"EvaluationPeriods": 2, "DatapointsToAlarm": 3},
                "DatapointsToAlarm must be less than or equal to EvaluationPeriods",
            ),
            ({"Statistic": None}, "Exactly one of Statistic and ExtendedStatistic"),
            ({"ExtendedStatistic": "p99"}, "Exactly one of Statistic and ExtendedStatistic"),
            ({"Statistic": None, "ExtendedStatistic": "p101"}, "The value p101"),
            ({"MetricName": None}, "One of MetricName, Metrics and EvaluationCriteria"),
            ({"Metrics": [{"Id": "a"}]}, "MetricName and Metrics must not both"),
            ({"Threshold": None}, "The parameter Threshold is required"),
            ({"Namespace": None}, "The parameter Namespace is required"),
            ({"TreatMissingData": "ok"}, "Supported options for parameter TreatMissingData are breaching"),
            ({"EvaluateLowSampleCountPercentile": "x"}, "are evaluate, ignore"),
            (
                {"ComparisonOperator": "Equal"},
                "'comparisonOperator' failed to satisfy constraint: Member must satisfy enum",
            ),
            ({"Unit": "Apples"}, "'unit' failed to satisfy constraint"),
            (
                {"AlarmDescription": "x" * 1025},
                "'alarmDescription' failed to satisfy constraint: Member must have length less",
            ),
            ({"AlarmActions": [TOPIC] * 6}, "'alarmActions' failed to satisfy constraint"),
            ({"OKActions": ["ops"]}, "Invalid arn syntax: ops"),
            (
                {"AlarmActions": ["arn:aws:sns:eu-central-1:123456789012:ops"]},
                "Invalid region eu-central-1 specified. Only eu-west-1 is supported.",
            ),
            ({"Dimensions": [{"Name": f"d{n}", "Value": "x"} for n in range(31)]}, "'dimensions' failed"),
            ({"Namespace": ":x"}, "regular expression"),
        ],
    )
    def test_settings_that_no_alarm_has(self, cloudwatch: Any, change: dict[str, Any], part: str) -> None:
        """An alarm that can't be made on AWS must not be relied on here."""
        code, message = refused(partial(drain_alarm, cloudwatch, **change))
        assert (code, part in message) == ("ValidationError", True), message

    @pytest.mark.parametrize("name", ["x" * 256, "drain\n"])
    def test_a_name_that_no_alarm_has(self, cloudwatch: Any, name: str) -> None:
        """At most 255 characters, none of them a control character."""
        assert refused(partial(drain_alarm, cloudwatch, name))[0] == "ValidationError"

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            ({"ComparisonOperator": "GreaterThanUpperThreshold", "ThresholdMetricId": "a"}, "anomaly detection"),
            ({"ComparisonOperator": "LessThanLowerThreshold"}, "anomaly detection"),
            ({**dict.fromkeys((*DRAIN, "Statistic", "Period")), "Metrics": [{"Id": "a"}]}, "metric math"),
            ({"Statistic": None, "ExtendedStatistic": "tm90"}, "the statistic tm90"),
            ({"AlarmActions": ["arn:aws:automate:eu-west-1:ec2:stop:"]}, "actions of automate"),
        ],
    )
    def test_what_the_sandbox_cannot_evaluate(self, cloudwatch: Any, change: dict[str, Any], part: str) -> None:
        """An alarm that never goes off would seem to say that all is well."""
        code, message = refused(partial(drain_alarm, cloudwatch, **change))
        assert (code, part in message) == ("NotImplemented", True), message

    @pytest.mark.parametrize(
        "change",
        [
            {"EvaluationPeriods": 1440},
            {"Period": 10, "EvaluationPeriods": 8640},
            {"Period": 3600, "EvaluationPeriods": 168},
            {"Period": 604800},
            {"EvaluationPeriods": 3, "DatapointsToAlarm": 2},
            {"Statistic": None, "ExtendedStatistic": "p99.9", "EvaluateLowSampleCountPercentile": "ignore"},
            {"AlarmDescription": "x" * 1024, "AlarmActions": [TOPIC] * 5},
        ],
    )
    def test_settings_at_the_limits_are_taken(self, cloudwatch: Any, change: dict[str, Any]) -> None:
        """A limit that is one too tight refuses what AWS takes."""
        drain_alarm(cloudwatch, **change)
        found = described(cloudwatch)
        assert {name: found.get(name) for name in change} == change


@pytest.mark.change("cloudwatch-alarms")
class TestStates:
    """User Guide, "Alarm evaluation"; API reference, PutMetricAlarm, SetAlarmState."""

    def test_an_alarm_begins_without_data(self, cloudwatch: Any, world: World) -> None:
        """ "The alarm state is immediately set to INSUFFICIENT_DATA"; moto says OK, before anything was measured."""
        drain_alarm(cloudwatch)
        found = described(cloudwatch)
        assert (found["StateValue"], found["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
        world.wait(300)
        assert state(cloudwatch) == "INSUFFICIENT_DATA"

    def test_it_follows_the_data_from_minute_to_minute(self, cloudwatch: Any, world: World) -> None:
        """The drain switch: on with the minute in which 1 was put, off with the one in which 0 was."""
        drain_alarm(cloudwatch)
        put(cloudwatch, 1)
        world.wait(59)
        assert state(cloudwatch) == "INSUFFICIENT_DATA"
        world.wait(1)
        found = described(cloudwatch)
        assert found["StateValue"] == "ALARM"
        assert found["StateReason"].startswith(
            "Threshold Crossed: 1 out of the last 1 datapoints [1.0 (04/03/26 12:00:00)]"
        )
        assert found["StateUpdatedTimestamp"].replace(tzinfo=None) != found["AlarmConfigurationUpdatedTimestamp"]
        put(cloudwatch, 0)
        world.wait(60)
        assert state(cloudwatch) == "OK"
        world.wait(60 * 3)
        assert state(cloudwatch) == "INSUFFICIENT_DATA"

    def test_data_from_before_its_creation_counts(self, cloudwatch: Any, world: World) -> None:
        """User Guide: "CloudWatch retrieves the most recent data points from before the alarm was created"."""
        put(cloudwatch, 1)
        world.wait(90)
        drain_alarm(cloudwatch)
        world.turn()
        assert state(cloudwatch) == "ALARM"

    @pytest.mark.parametrize(
        ("dimensions", "unit"), [([], None), ([{"Name": "Site", "Value": "secondary"}], None), (None, "Percent")]
    )
    def test_another_metric_or_unit_is_not_looked_at(
        self, cloudwatch: Any, world: World, dimensions: Any, unit: str | None
    ) -> None:
        """PutMetricAlarm, Unit: "stuck in the INSUFFICIENT DATA state". One site's drain isn't another's."""
        drain_alarm(cloudwatch, Unit=unit, **({} if dimensions is None else {"Dimensions": dimensions}))
        put(cloudwatch, 1)
        world.wait(60)
        assert state(cloudwatch) == "INSUFFICIENT_DATA"

    @pytest.mark.parametrize(
        ("treatment", "states"),
        [
            ("missing", ["ALARM", "INSUFFICIENT_DATA"]),
            ("ignore", ["ALARM", "ALARM"]),
            ("breaching", ["ALARM", "ALARM"]),
            ("notBreaching", ["ALARM", "OK"]),
        ],
    )
    def test_missing_data_is_treated_as_it_says(
        self, cloudwatch: Any, world: World, treatment: str, states: list[str]
    ) -> None:
        """ "Configuring how CloudWatch alarms treat missing data", by way of the API; see the tables' own tests."""
        drain_alarm(cloudwatch, TreatMissingData=treatment)
        put(cloudwatch, 1)
        world.wait(60)
        found = [state(cloudwatch)]
        world.wait(60 * 3)
        assert [*found, state(cloudwatch)] == states

    def test_a_state_that_was_set_lasts_until_the_next_evaluation(self, cloudwatch: Any, world: World) -> None:
        """SetAlarmState. An alarm that stays as somebody left it says nothing of what it watches."""
        drain_alarm(cloudwatch, TreatMissingData="notBreaching")
        world.wait(60)
        assert state(cloudwatch) == "OK"
        cloudwatch.set_alarm_state(AlarmName="drain", StateValue="ALARM", StateReason="try", StateReasonData='{"a": 1}')
        world.turn()
        found = described(cloudwatch)
        assert (found["StateValue"], found["StateReason"], found["StateReasonData"]) == ("ALARM", "try", '{"a": 1}')
        world.wait(60)
        assert state(cloudwatch) == "OK"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"AlarmName": "absent"}, "ResourceNotFound"),
            ({"StateValue": "FINE"}, "ValidationError"),
            ({"StateReasonData": "{"}, "InvalidFormat"),
            ({"StateReason": "x" * 1024}, "ValidationError"),
        ],
    )
    def test_a_state_that_can_not_be_set(self, cloudwatch: Any, change: dict[str, str], code: str) -> None:
        """API reference, SetAlarmState."""
        drain_alarm(cloudwatch)
        wanted = {"AlarmName": "drain", "StateValue": "OK", "StateReason": "try"} | change
        assert refused(partial(cloudwatch.set_alarm_state, **wanted))[0] == code

    def test_a_change_keeps_the_state_and_replaces_all_settings(self, cloudwatch: Any, world: World) -> None:
        """PutMetricAlarm: "its state is left unchanged, but the update completely overwrites" the rest; tags stay."""
        drain_alarm(cloudwatch, AlarmDescription="a", Tags=[{"Key": "site", "Value": "primary"}])
        put(cloudwatch, 1)
        world.wait(60)
        drain_alarm(cloudwatch, Threshold=2.0, Tags=[{"Key": "site", "Value": "other"}])
        found = described(cloudwatch)
        assert (found["StateValue"], found["Threshold"], "AlarmDescription" in found) == ("ALARM", 2, False)
        tags = cloudwatch.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"]
        assert tags == [{"Key": "site", "Value": "primary"}]
        world.wait(60)
        assert state(cloudwatch) == "OK"

    def test_a_minute_passes_at_the_sandbox_speed(
        self, cloudwatch: Any, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At six times the speed a drain would otherwise take a simulated six minutes."""
        monkeypatch.setattr(clock, "SPEED", 6.0)
        drain_alarm(cloudwatch)
        put(cloudwatch, 1)
        world.wait(9)
        assert state(cloudwatch) == "INSUFFICIENT_DATA"
        world.wait(1)
        assert state(cloudwatch) == "ALARM"

    def test_a_lost_region_stands_still(self, cloudwatch: Any, world: World) -> None:
        """It would tell its subscribers that it is lost."""
        drain_alarm(cloudwatch)
        put(cloudwatch, 1)
        lost_regions.add("eu-west-1", "vanish")
        try:
            world.wait(60)
            assert state(cloudwatch) == "INSUFFICIENT_DATA"
        finally:
            lost_regions.remove("eu-west-1")
        world.turn()
        assert state(cloudwatch) == "ALARM"

    def test_what_was_put_fails_an_instance_refresh(
        self, aws: ClientFactory, cloudwatch: Any, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A release that makes errors would go on to the next instance, as nobody sets the state of its alarm."""
        fleet = refreshing.Fleet(aws, refreshing.World(monkeypatch))
        refreshing.alarm(fleet, "errors")
        fleet.start(**refreshing.LAUNCH_FIRST, InstanceWarmup=600, AlarmSpecification={"Alarms": ["errors"]})
        fleet.turn(2)
        assert fleet.status == "InProgress"
        cloudwatch.put_metric_data(Namespace="Lockstep", MetricData=[{"MetricName": "Errors", "Value": 2.0}])
        world.wait(60)
        fleet.turn()
        assert fleet.status == "Failed"

    def test_the_sandbox_evaluates_alarms(self) -> None:
        """Nothing else would take the worker's turns."""
        assert cloudwatch_turn.worker in data_plane.WORKERS


@pytest.mark.change("cloudwatch-alarms")
class TestActions:
    """User Guide, "Alarm actions"; API reference, DescribeAlarmHistory."""

    @pytest.fixture
    def messages(self, aws: ClientFactory) -> Callable[[], list[dict[str, Any]]]:
        """What subscribers of the topic have got since the last call."""
        sns, sqs = aws("sns"), aws("sqs")
        assert sns.create_topic(Name="ops")["TopicArn"] == TOPIC
        queue = sqs.create_queue(QueueName="ops")["QueueUrl"]
        sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint="arn:aws:sqs:eu-west-1:123456789012:ops")

        def take() -> list[dict[str, Any]]:
            found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(json.loads(each["Body"])["Message"]) for each in found]

        return take

    def test_a_change_of_state_is_published_once(
        self, cloudwatch: Any, world: World, messages: Callable[[], list[dict[str, Any]]]
    ) -> None:
        """Whoever is to be woken is woken, and not again each minute."""
        drain_alarm(cloudwatch, AlarmActions=[TOPIC])
        put(cloudwatch, 1)
        world.wait(60)
        (message,) = messages()
        told = ("AlarmName", "OldStateValue", "NewStateValue", "AWSAccountId")
        assert [message[name] for name in told] == ["drain", "INSUFFICIENT_DATA", "ALARM", "123456789012"]
        assert message["Trigger"]["Dimensions"] == [{"name": "Site", "value": "primary"}]
        put(cloudwatch, 1)
        world.wait(60)
        assert messages() == []

    def test_each_state_has_its_actions_and_they_can_be_disabled(
        self, cloudwatch: Any, messages: Callable[[], list[dict[str, Any]]]
    ) -> None:
        """SetAlarmState runs them "when the updated state differs", DisableAlarmActions takes them out."""
        drain_alarm(cloudwatch, OKActions=[TOPIC])
        set_state = partial(cloudwatch.set_alarm_state, AlarmName="drain", StateReason="try")
        set_state(StateValue="ALARM")
        assert messages() == []
        set_state(StateValue="OK")
        set_state(StateValue="OK")
        assert [each["NewStateValue"] for each in messages()] == ["OK"]
        cloudwatch.disable_alarm_actions(AlarmNames=["drain"])
        assert described(cloudwatch)["ActionsEnabled"] is False
        set_state(StateValue="ALARM")
        set_state(StateValue="OK")
        assert messages() == []
        cloudwatch.enable_alarm_actions(AlarmNames=["drain"])
        set_state(StateValue="ALARM")
        set_state(StateValue="OK")
        assert len(messages()) == 1

    def test_the_history_tells_changes_states_and_actions(self, cloudwatch: Any, world: World) -> None:
        """What a report after an incident is written from; "CloudWatch retains the history even if you delete"."""
        drain_alarm(cloudwatch, AlarmActions=[TOPIC])
        put(cloudwatch, 1)
        world.wait(60)
        cloudwatch.delete_alarms(AlarmNames=["drain"])
        history = partial(cloudwatch.describe_alarm_history, AlarmName="drain")
        found = history(ScanBy="TimestampAscending")["AlarmHistoryItems"]
        assert [(each["HistoryItemType"], each["HistorySummary"]) for each in found] == [
            ("ConfigurationUpdate", 'Alarm "drain" created'),
            ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM"),
            # CloudWatch doesn't look whether a topic exists.
            ("Action", f"Failed to execute action {TOPIC}"),
            ("ConfigurationUpdate", 'Alarm "drain" deleted'),
        ]
        assert json.loads(found[1]["HistoryData"])["newState"]["stateValue"] == "ALARM"
        newest = history(MaxRecords=1)
        assert newest["AlarmHistoryItems"][0]["HistorySummary"] == 'Alarm "drain" deleted'
        following = history(MaxRecords=1, NextToken=newest["NextToken"])["AlarmHistoryItems"]
        assert following[0]["HistoryItemType"] == "Action"
        assert len(history(HistoryItemType="StateUpdate")["AlarmHistoryItems"]) == 1
        assert history(EndDate=START - timedelta(seconds=1))["AlarmHistoryItems"] == []
        world.now += timedelta(days=31)
        assert history()["AlarmHistoryItems"] == []


@pytest.mark.change("cloudwatch-alarms")
class TestDescribing:
    """API reference, DescribeAlarms, DescribeAlarmsForMetric."""

    def test_alarms_are_found_by_name_prefix_state_and_action(self, cloudwatch: Any) -> None:
        """A filter that is passed over shows alarms that somebody doesn't own."""
        drain_alarm(cloudwatch, "drain-a", AlarmActions=[TOPIC])
        drain_alarm(cloudwatch, "drain-b")
        drain_alarm(cloudwatch, "other")
        cloudwatch.set_alarm_state(AlarmName="other", StateValue="OK", StateReason="try")

        def names(**asked: Any) -> list[str]:
            return [each["AlarmName"] for each in cloudwatch.describe_alarms(**asked)["MetricAlarms"]]

        assert names() == ["drain-a", "drain-b", "other"]
        assert names(AlarmNames=["other", "absent"]) == ["other"]
        assert names(AlarmNamePrefix="drain") == ["drain-a", "drain-b"]
        assert names(AlarmNamePrefix="drain", StateValue="OK") == []
        assert names(StateValue="OK") == ["other"]
        assert names(ActionPrefix="arn:aws:sns") == ["drain-a"]
        assert refused(partial(names, AlarmNames=["a"], AlarmNamePrefix="a"))[0] == "ValidationError"
        pages = cloudwatch.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 2})
        assert [len(page["MetricAlarms"]) for page in pages] == [2, 1]

    def test_alarms_of_a_metric_are_those_with_its_dimensions(self, cloudwatch: Any) -> None:
        """ "If the metric has any associated dimensions, you must specify them"."""
        drain_alarm(cloudwatch)
        asked = partial(cloudwatch.describe_alarms_for_metric, Namespace="Lockstep", MetricName="Drain")
        assert asked()["MetricAlarms"] == []
        assert len(asked(Dimensions=DRAIN["Dimensions"])["MetricAlarms"]) == 1
        assert asked(Dimensions=DRAIN["Dimensions"], Statistic="Sum")["MetricAlarms"] == []

    def test_a_deleted_alarm_leaves_no_tags_to_the_next(self, cloudwatch: Any) -> None:
        """Commands that act on tagged things would take a new alarm for theirs."""
        drain_alarm(cloudwatch, Tags=[{"Key": "site", "Value": "primary"}])
        cloudwatch.delete_alarms(AlarmNames=["drain", "absent"])
        assert cloudwatch.describe_alarms()["MetricAlarms"] == []
        drain_alarm(cloudwatch)
        assert cloudwatch.list_tags_for_resource(ResourceARN=described(cloudwatch)["AlarmArn"])["Tags"] == []


@pytest.mark.change("cloudwatch-unsupported")
def test_contributor_insights_are_refused_by_name(cloudwatch: Any) -> None:
    """moto keeps its rules, and none ever says anything."""
    code, message = refused(partial(cloudwatch.put_insight_rule, RuleName="a", RuleDefinition="{}"))
    assert (code, "Contributor Insights" in message) == ("NotImplemented", True)


@pytest.mark.change("cloudwatch-unsupported")
def test_a_policy_that_scales_nothing_is_refused_by_name(aws: ClientFactory, cloudwatch: Any) -> None:
    """moto makes its alarms, and nothing ever scales."""
    scaling = aws("application-autoscaling")
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/leases",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    policy = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
    }
    call = partial(
        scaling.put_scaling_policy,
        PolicyName="reads",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=policy,
        **target,
    )
    code, message = refused(call)
    assert (code, "PutScalingPolicy: policies with alarms" in message) == ("NotImplemented", True), message
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
