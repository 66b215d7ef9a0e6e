"""Metrics, as AWS takes and returns them."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.sandbox.api.alarming import START, World, refused

ClientFactory = Callable[..., Any]
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.change("cloudwatch-metrics")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def cloudwatch(aws: ClientFactory, world: World) -> Any:
    return aws("cloudwatch")


def put(client: Any, *data: dict[str, Any], namespace: str = "Lockstep") -> None:
    client.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "Drain", **datum} for datum in data])


def statistics(client: Any, *names: str, **more: Any) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {
        "Namespace": "Lockstep",
        "MetricName": "Drain",
        "StartTime": START - 10 * MINUTE,
        "EndTime": START + 10 * MINUTE,
        "Period": 60,
        "Statistics": list(names),
        **more,
    }
    if not names:
        del asked["Statistics"]
    return list(client.get_metric_statistics(**asked)["Datapoints"])


class TestWhatIsRefused:
    """API reference, PutMetricData, MetricDatum, Dimension, StatisticSet."""

    @pytest.mark.parametrize(
        ("datum", "code", "part"),
        [
            ({"Value": float("nan")}, "InvalidParameterValue", "The value nan for parameter MetricData.member.1.Value"),
            ({"Value": float("inf")}, "InvalidParameterValue", "MetricData.member.1.Value is invalid"),
            ({"Value": 2.0**361}, "InvalidParameterValue", "MetricData.member.1.Value is invalid"),
            ({"Values": [1.0, -(2.0**361)]}, "InvalidParameterValue", "Values.member.2 is invalid"),
            ({"Values": [float(n) for n in range(151)]}, "InvalidParameterValue", "size greater than 150"),
            ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue", "must be of the same size"),
            ({"Values": [1.0], "Counts": [0.0]}, "InvalidParameterValue", "Counts.member.1 is invalid"),
            ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination", "mutually exclusive"),
            ({}, "MissingParameter", "One of the parameters"),
            ({"Value": 1.0, "Unit": "Apples"}, "InvalidParameterValue", "Unit must be a value in the set"),
            (
                {"Value": 1.0, "StorageResolution": 300},
                "InvalidParameterValue",
                "The parameter MetricData.member.1.StorageResolution must be a value in the set [ 1, 60 ].",
            ),
            (
                {"Value": 1.0, "Timestamp": START - timedelta(days=14, seconds=1)},
                "InvalidParameterValue",
                "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
            ),
            (
                {"Value": 1.0, "Timestamp": START + timedelta(hours=2, seconds=1)},
                "InvalidParameterValue",
                "no more than two hours in the future",
            ),
            (
                {"Value": 1.0, "Dimensions": [{"Name": f"d{n}", "Value": "x"} for n in range(31)]},
                "InvalidParameterValue",
                "size greater than 30",
            ),
            ({"Value": 1.0, "Dimensions": [{"Name": ":a", "Value": "x"}]}, "InvalidParameterValue", "colon"),
            ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": " "}]}, "InvalidParameterValue", "white space"),
            ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "ä"}]}, "InvalidParameterValue", "ASCII"),
            ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "x" * 1025}]}, "InvalidParameterValue", "1024"),
            ({"Value": 1.0, "MetricName": "x" * 256}, "InvalidParameterValue", "MetricName must be from 1 to 255"),
        ],
    )
    def test_a_datum_outside_of_the_limits(self, cloudwatch: Any, datum: dict[str, Any], code: str, part: str) -> None:
        """A drain that AWS would refuse must not seem to have drained."""
        found, message = refused(partial(put, cloudwatch, datum))
        assert (found, part in message) == (code, True), message

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            ({"SampleCount": 0.0}, "SampleCount is invalid"),
            ({"Minimum": 3.0, "Maximum": 2.0}, "Maximum must be greater than or equal"),
            ({"Sum": float("inf")}, "StatisticValues.Sum is invalid"),
        ],
    )
    def test_a_statistic_set_that_no_values_have(self, cloudwatch: Any, change: dict[str, float], part: str) -> None:
        """It would give an alarm a value that was never measured."""
        found = {"SampleCount": 2.0, "Sum": 4.0, "Minimum": 1.0, "Maximum": 3.0} | change
        assert part in refused(partial(put, cloudwatch, {"StatisticValues": found}))[1]

    def test_names_that_belong_to_aws_and_those_that_begin_with_a_colon(self, cloudwatch: Any) -> None:
        """PutMetricData, Namespace: AWS/ is for AWS's services."""
        assert refused(partial(put, cloudwatch, {"Value": 1.0}, namespace="AWS/Drain")) == (
            "InvalidParameterValue",
            "The value AWS/Drain for parameter Namespace is invalid.",
        )
        assert "namespace" in refused(partial(put, cloudwatch, {"Value": 1.0}, namespace=":x"))[1]

    def test_more_than_1000_metrics(self, cloudwatch: Any) -> None:
        """PutMetricData: the limit of one request."""
        put(cloudwatch, *[{"Value": 1.0}] * 1000)
        assert "1000" in refused(partial(put, cloudwatch, *[{"Value": 1.0}] * 1001))[1]

    def test_one_wrong_datum_keeps_out_the_others(self, cloudwatch: Any) -> None:
        """ "Validation errors in the metric data will fail the entire request"; each is told."""
        bad = {"Value": 1.0, "Timestamp": START - timedelta(days=15)}
        message = refused(partial(put, cloudwatch, {"Value": 1.0}, bad, bad))[1]
        assert [f"MetricData.member.{number}." in message for number in (1, 2, 3)] == [False, True, True]
        assert statistics(cloudwatch, "Sum") == []

    def test_what_is_at_the_limits_is_taken(self, cloudwatch: Any) -> None:
        """A limit that is one too tight refuses what AWS takes."""
        put(
            cloudwatch,
            {"Value": 2.0**360, "Timestamp": START - timedelta(days=14)},
            {"Value": -(2.0**360), "Timestamp": START + timedelta(hours=2)},
            {"Values": [float(n) for n in range(150)], "StorageResolution": 1},
            {"Value": 0.0, "Dimensions": [{"Name": f"d{n}", "Value": "x" * 1024} for n in range(30)]},
        )

    def test_entities_are_not_supported(self, cloudwatch: Any) -> None:
        """Kept and never told, they would seem to be."""
        call = partial(cloudwatch.put_metric_data, Namespace="Lockstep", EntityMetricData=[{"Entity": {}}])
        assert refused(call)[0] == "NotImplemented"


class TestWhatIsRead:
    """API reference, GetMetricStatistics and GetMetricData; User Guide, "Metrics concepts"."""

    def test_the_statistics_of_a_period(self, cloudwatch: Any) -> None:
        """Values with counts, a single value and a statistic set of one minute are one data point."""
        put(
            cloudwatch,
            {"Values": [1.0, 2.0], "Counts": [3.0, 1.0]},
            {"Value": 5.0},
            {"StatisticValues": {"SampleCount": 2.0, "Sum": 9.0, "Minimum": 0.5, "Maximum": 8.5}},
            {"Value": 7.0, "Timestamp": START + MINUTE},
        )
        found = sorted(
            statistics(cloudwatch, "SampleCount", "Sum", "Average", "Minimum", "Maximum"),
            key=lambda each: each["Timestamp"],
        )
        first, second = found
        assert (first["SampleCount"], first["Sum"], first["Average"]) == (7, 19, 19 / 7)
        assert (first["Minimum"], first["Maximum"], first["Unit"]) == (0.5, 8.5, "None")
        assert second["Timestamp"] - first["Timestamp"] == MINUTE

    def test_each_combination_of_dimensions_is_a_metric(self, cloudwatch: Any) -> None:
        """ "You can't retrieve statistics for it" otherwise: moto would give one site's data for another's."""
        put(cloudwatch, {"Value": 1.0, "Dimensions": [{"Name": "Site", "Value": "primary"}]})
        assert statistics(cloudwatch, "Sum") == []
        assert statistics(cloudwatch, "Sum", Dimensions=[{"Name": "Site", "Value": "secondary"}]) == []
        assert statistics(cloudwatch, "Sum", Dimensions=[{"Name": "Site", "Value": "primary"}])[0]["Sum"] == 1

    def test_units_are_kept_apart(self, cloudwatch: Any) -> None:
        """A second isn't added to a byte; a unit that nothing was put with gives nothing."""
        put(cloudwatch, {"Value": 1.0, "Unit": "Seconds"}, {"Value": 2.0, "Unit": "Bytes"})
        assert {each["Unit"]: each["Sum"] for each in statistics(cloudwatch, "Sum")} == {"Seconds": 1, "Bytes": 2}
        assert statistics(cloudwatch, "Sum", Unit="Percent") == []

    def test_regions_are_kept_apart(self, aws: ClientFactory, cloudwatch: Any) -> None:
        """A drain metric is in the peer's region, and nowhere else."""
        put(aws("cloudwatch", "eu-central-1"), {"Value": 1.0})
        assert statistics(cloudwatch, "Sum") == []

    def test_percentiles_need_raw_values(self, cloudwatch: Any) -> None:
        """ "If you publish data using a statistic set", only sets of equal values have percentiles; no negative one."""
        put(cloudwatch, {"Values": [1.0, 100.0], "Counts": [99.0, 1.0]})
        found = statistics(cloudwatch, ExtendedStatistics=["p50", "p99", "p99.9", "p100"])
        assert found[0]["ExtendedStatistics"] == {"p50": 1, "p99": 1, "p99.9": 100, "p100": 100}
        put(cloudwatch, {"Value": -1.0})
        assert statistics(cloudwatch, ExtendedStatistics=["p50"])[0].get("ExtendedStatistics", {}) == {}

    def test_less_than_a_minute_needs_high_resolution(self, cloudwatch: Any) -> None:
        """GetMetricStatistics, Period."""
        put(cloudwatch, {"Value": 1.0}, {"Value": 5.0, "StorageResolution": 1})
        assert [each["Sum"] for each in statistics(cloudwatch, "Sum", Period=10, EndTime=START + MINUTE)] == [5]

    @pytest.mark.parametrize(
        ("change", "code", "part"),
        [
            ({"Period": 45}, "InvalidParameterValue", "multiple of 60"),
            ({"EndTime": START - 11 * MINUTE}, "InvalidParameterValue", "StartTime must be less than"),
            ({"ExtendedStatistics": ["p99"]}, "InvalidParameterCombination", "must not both"),
            ({"StartTime": START - timedelta(days=2)}, "InvalidParameterCombination", "exceeds the limit of 1440"),
            ({"Statistics": ["Median"]}, "ValidationError", "enum"),
        ],
    )
    def test_a_question_that_aws_does_not_answer(
        self, cloudwatch: Any, change: dict[str, Any], code: str, part: str
    ) -> None:
        """API reference, GetMetricStatistics."""
        found, message = refused(partial(statistics, cloudwatch, "Sum", **change))
        assert (found, part in message) == (code, True), message

    def test_series_come_newest_first(self, cloudwatch: Any) -> None:
        """GetMetricData, ScanBy: whoever takes the first value takes the latest."""
        put(cloudwatch, *[{"Value": float(n), "Timestamp": START - n * MINUTE} for n in range(3)])
        query = {
            "Id": "drain",
            "MetricStat": {
                "Metric": {"Namespace": "Lockstep", "MetricName": "Drain"},
                "Period": 60,
                "Stat": "Maximum",
            },
        }
        span = {"StartTime": START - 5 * MINUTE, "EndTime": START + MINUTE}
        read = cloudwatch.get_metric_data
        (found,) = read(MetricDataQueries=[query], **span)["MetricDataResults"]
        assert (found["Id"], found["Values"], found["StatusCode"]) == ("drain", [0, 1, 2], "Complete")
        (found,) = read(MetricDataQueries=[query], ScanBy="TimestampAscending", **span)["MetricDataResults"]
        assert found["Values"] == [2, 1, 0]
        assert read(MetricDataQueries=[query | {"ReturnData": False}], **span)["MetricDataResults"] == []

    @pytest.mark.parametrize(
        ("query", "code", "part"),
        [
            ({"Expression": "SUM(METRICS())"}, "NotImplemented", "metric math"),
            ({}, "ValidationError", "MetricStat is required"),
        ],
    )
    def test_metric_math_is_refused_by_name(self, cloudwatch: Any, query: dict[str, Any], code: str, part: str) -> None:
        """moto answers it with nothing, as if there were no data."""
        call = partial(
            cloudwatch.get_metric_data,
            MetricDataQueries=[{"Id": "a", **query}],
            StartTime=START - MINUTE,
            EndTime=START,
        )
        found, message = refused(call)
        assert (found, part in message) == (code, True), message

    def test_metrics_are_listed_for_two_weeks(self, cloudwatch: Any, world: World) -> None:
        """API reference, ListMetrics: by name, and by any of the dimensions."""
        put(cloudwatch, {"Value": 1.0, "Dimensions": [{"Name": "Site", "Value": "a"}, {"Name": "Zone", "Value": "b"}]})
        put(cloudwatch, {"Value": 1.0, "MetricName": "Other"})
        wanted = {"Dimensions": [{"Name": "Site"}]}
        (found,) = cloudwatch.list_metrics(**wanted)["Metrics"]
        assert found["Dimensions"] == [{"Name": "Site", "Value": "a"}, {"Name": "Zone", "Value": "b"}]
        assert [each["MetricName"] for each in cloudwatch.list_metrics(MetricName="Other")["Metrics"]] == ["Other"]
        world.now += timedelta(days=14, seconds=1)
        assert cloudwatch.list_metrics()["Metrics"] == []
