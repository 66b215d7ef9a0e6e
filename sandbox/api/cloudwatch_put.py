"""PutMetricData, by AWS's rules.

API reference, PutMetricData, MetricDatum, Dimension and StatisticSet. Texts are AWS's where public bug reports quote
them (time stamps, storage resolutions, values that exclude each other); the others follow their form.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from moto.cloudwatch.models import CloudWatchBackend
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import get_service_model

from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_error import check_shape, refuse, unsupported
from sandbox.api.cloudwatch_metrics import NO_UNIT, Sample, key_of, record, sample_of

METRICS_MAX: Final = 1000
DIMENSIONS_MAX: Final = 30
VALUES_MAX: Final = 150
LARGEST: Final = 2.0**360
OLDEST: Final = timedelta(weeks=2)
NEWEST: Final = timedelta(hours=2)
RESOLUTIONS: Final = (1, 60)
RESERVED: Final = "AWS/"

_STATISTIC_SET = ("SampleCount", "Sum", "Minimum", "Maximum")


def answer(responses: Any) -> ActionResult:
    """PutMetricData."""
    parameters = responses._get_params()
    if parameters.get("EntityMetricData"):
        unsupported("EntityMetricData")
    namespace = parameters.get("Namespace")
    if namespace is not None and namespace.startswith(RESERVED):
        refuse("InvalidParameterValue", f"The value {namespace} for parameter Namespace is invalid.")
    check_shape("PutMetricData", {"Namespace": namespace})
    put(responses.cloudwatch_backend, namespace, parameters.get("MetricData") or [])
    return EmptyResult()


def put(backend: CloudWatchBackend, namespace: str, data: list[dict[str, Any]]) -> None:
    """Record all of `data`, or nothing of it. Raises CloudWatchException."""
    if not data:
        refuse("MissingParameter", "The parameter MetricData is required.")
    if len(data) > METRICS_MAX:
        refuse(
            "InvalidParameterValue",
            f"The collection MetricData must not have a size greater than {METRICS_MAX}, and has {len(data)}.",
        )
    now = cloudwatch_time.now()
    for number, datum in enumerate(data, 1):
        _check_exclusive(datum, f"MetricData.member.{number}")
    problems = [
        problem
        for number, datum in enumerate(data, 1)
        for problem in _problems(datum, f"MetricData.member.{number}", now)
    ]
    if problems:
        refuse("InvalidParameterValue", "\n".join(problems))
    for datum in data:
        record(backend, key_of(namespace, datum["MetricName"], datum.get("Dimensions") or ()), _sample(datum, now))


def _check_exclusive(datum: Mapping[str, Any], path: str) -> None:
    given = [name for name in ("Value", "Values", "StatisticValues") if datum.get(name) not in (None, [])]
    if len(given) > 1:
        refuse(
            "InvalidParameterCombination",
            f"The parameters {path}.{given[0]} and {path}.{given[1]} are mutually exclusive and you have specified "
            "both.",
        )
    if not given:
        refuse("MissingParameter", f"One of the parameters {path}.Value, Values and StatisticValues is required.")


def _problems(datum: Mapping[str, Any], path: str, now: datetime) -> Iterator[str]:
    name = datum.get("MetricName") or ""
    if not 1 <= len(name) <= 255:
        yield f"The parameter {path}.MetricName must be from 1 to 255 characters long, and has {len(name)}."
    yield from _dimension_problems(datum.get("Dimensions") or [], f"{path}.Dimensions")
    yield from _value_problems(datum, path)
    moment = datum.get("Timestamp")
    if moment is not None and cloudwatch_time.plain(moment) < now - OLDEST:
        yield f"The parameter {path}.Timestamp must specify a time within the past two weeks."
    if moment is not None and cloudwatch_time.plain(moment) > now + NEWEST:
        yield f"The parameter {path}.Timestamp must specify a time no more than two hours in the future."
    units = get_service_model("cloudwatch").shape_for("StandardUnit").metadata["enum"]
    if datum.get("Unit") is not None and datum["Unit"] not in units:
        yield f"The parameter {path}.Unit must be a value in the set [ {', '.join(units)} ]."
    if datum.get("StorageResolution") not in (None, *RESOLUTIONS):
        yield f"The parameter {path}.StorageResolution must be a value in the set [ 1, 60 ]."


def _dimension_problems(dimensions: list[dict[str, str]], path: str) -> Iterator[str]:
    if len(dimensions) > DIMENSIONS_MAX:
        yield f"The collection {path} must not have a size greater than {DIMENSIONS_MAX}."
    for number, dimension in enumerate(dimensions, 1):
        for part, longest in (("Name", 255), ("Value", 1024)):
            text = dimension.get(part) or ""
            where = f"The parameter {path}.member.{number}.{part}"
            if not 1 <= len(text) <= longest:
                yield f"{where} must be from 1 to {longest} characters long, and has {len(text)}."
            elif not text.isascii() or not text.isprintable() or not text.strip():
                yield f"{where} must contain only ASCII characters, no control characters, and more than white space."
            elif part == "Name" and text.startswith(":"):
                yield f"{where} must not begin with a colon."
    if len({each.get("Name") for each in dimensions}) < len(dimensions):
        yield f"The collection {path} must not contain a dimension name more than once."


def _value_problems(datum: Mapping[str, Any], path: str) -> Iterator[str]:
    if datum.get("Value") is not None and not _is_storable(datum["Value"]):
        yield f"The value {datum['Value']} for parameter {path}.Value is invalid."
    values, counts = datum.get("Values") or [], datum.get("Counts")
    if len(values) > VALUES_MAX:
        yield f"The collection {path}.Values must not have a size greater than {VALUES_MAX}."
    if counts is not None and len(counts) != len(values):
        yield f"The parameters {path}.Values and {path}.Counts must be of the same size."
    for number, value in enumerate(values, 1):
        if not _is_storable(value):
            yield f"The value {value} for parameter {path}.Values.member.{number} is invalid."
    for number, count in enumerate(counts or (), 1):
        if not _is_storable(count) or count <= 0:
            yield f"The value {count} for parameter {path}.Counts.member.{number} is invalid."
    if datum.get("StatisticValues") is not None:
        yield from _set_problems(datum["StatisticValues"], f"{path}.StatisticValues")


def _set_problems(found: Mapping[str, float], path: str) -> Iterator[str]:
    missing = [name for name in _STATISTIC_SET if found.get(name) is None]
    for name in missing:
        yield f"The parameter {path}.{name} is required."
    wrong = [name for name in _STATISTIC_SET if name not in missing and not _is_storable(found[name])]
    for name in wrong:
        yield f"The value {found[name]} for parameter {path}.{name} is invalid."
    if missing or wrong:
        return
    if found["SampleCount"] <= 0:
        yield f"The value {found['SampleCount']} for parameter {path}.SampleCount is invalid."
    if found["Minimum"] > found["Maximum"]:
        yield f"The parameter {path}.Maximum must be greater than or equal to {path}.Minimum."


def _is_storable(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= LARGEST


def _sample(datum: Mapping[str, Any], now: datetime) -> Sample:
    moment = datum.get("Timestamp")
    time = now if moment is None else cloudwatch_time.plain(moment)
    common: dict[str, Any] = {
        "unit": datum.get("Unit") or NO_UNIT,
        "resolution": datum.get("StorageResolution") or RESOLUTIONS[1],
    }
    found = datum.get("StatisticValues")
    if found is not None:
        return Sample(
            time=time,
            count=float(found["SampleCount"]),
            total=float(found["Sum"]),
            low=float(found["Minimum"]),
            high=float(found["Maximum"]),
            **common,
        )
    values = datum.get("Values") or [datum["Value"]]
    occurrences: dict[float, float] = {}
    for value, count in zip(values, datum.get("Counts") or [1.0] * len(values), strict=True):
        occurrences[float(value)] = occurrences.get(float(value), 0.0) + float(count)
    return sample_of(time, occurrences, **common)
