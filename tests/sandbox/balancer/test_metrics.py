"""What a balancer counts, and when it tells."""

import pytest

from sandbox import clock
from sandbox.balancer.metrics import Metrics

MINUTE = 100


def at(seconds: float) -> Metrics:
    """Metrics at so many of AWS's seconds of MINUTE."""
    return Metrics(lambda: clock.real(MINUTE * 60 + seconds))


def test_requests_and_answers_are_counted_once_and_by_group() -> None:
    """An alarm would ring for another site's errors, or for ever."""
    metrics = at(56)
    for status in (200, 204, 404, 500, 503):
        metrics.chosen("one")
        metrics.answered("one", status)
    metrics.chosen("other")
    first = metrics.report({})
    assert first == {
        "minute": MINUTE,
        "groups": {
            "one": {
                "RequestCount": 5,
                "HTTPCode_Target_2XX_Count": 2,
                "HTTPCode_Target_4XX_Count": 1,
                "HTTPCode_Target_5XX_Count": 2,
            },
            "other": {"RequestCount": 1},
        },
    }
    assert metrics.report({})["groups"] == {}


def test_hosts_are_told_of_groups_that_have_any() -> None:
    """A group without targets would look like one whose targets are all well."""
    states = {"one": ["healthy", "unhealthy", "initial", "unhealthy"], "empty": []}
    assert at(56).report(states)["groups"] == {"one": {"HealthyHostCount": 1, "UnHealthyHostCount": 2}}


@pytest.mark.parametrize(("into", "left"), [(0, 56), (55, 1), (56, 60), (59, 57)])
def test_a_minute_is_told_shortly_before_it_ends(into: float, left: float) -> None:
    """Who evaluates an alarm at its end would always miss the newest minute."""
    assert clock.simulated(at(into).seconds_left()) == pytest.approx(left, abs=0.001)
