"""The closed forms: against figures computed elsewhere, against each other, and against numeric integration."""

from dataclasses import replace
from typing import Any

import pytest

from lockstep.failover_model import Fault, OrderStatistic, predict
from tests.lockstep.failover_model.facts import mean_error, settings

FAULTS = (Fault.REFUSES, Fault.HANGS, Fault.VANISHES)


@pytest.mark.parametrize(
    ("interval", "threshold", "expected"),
    [
        (10, 1, ((8.3, 10.0), (10.3, 12.1), (12.2, 13.9))),
        (10, 2, ((18.4, 20.1), (22.4, 24.1), (26.2, 27.9))),
        (10, 3, ((28.5, 30.3), (34.5, 36.3), (40.2, 42.0))),
        (30, 1, ((24.8, 29.9), (26.7, 31.9), (28.7, 33.9))),
        (30, 3, ((85.0, 90.1), (91.0, 96.2), (96.7, 101.8))),
    ],
)
def test_detection_is_what_an_independent_simulation_found(
    interval: int, threshold: int, expected: tuple[tuple[float, float], ...]
) -> None:
    """Mean and maximum of 6,000 losses a row, simulated before this code was written; a maximum seen is below ours."""
    for fault, (mean, longest) in zip(FAULTS, expected, strict=True):
        found = predict(settings(interval=interval, threshold=threshold, fault=fault))
        error = 0.05 + mean_error(found.detection_deviation, 6000)
        assert found.detection_mean == pytest.approx(mean, abs=error)
        assert longest - 0.05 <= found.detection_max <= longest + 0.25


@pytest.mark.parametrize(
    ("changes", "lost", "back", "stale", "a_month", "of_year"),
    [
        ({"interval": 30, "ttl": 300}, 240, 387, 384, 1.1, 7.6),
        ({"interval": 30, "ttl": 60}, 120, 149, 275, 2.2, 3.8),
        ({"ttl": 60}, 63.5, 93, 218, 4.1, 2.0),
        ({"ttl": 60, "fault": Fault.VANISHES}, 75, 105, 230, 3.4, 2.4),
        ({"threshold": 2, "ttl": 60}, 53, 83, 208, 4.9, 1.7),
        ({"threshold": 1, "ttl": 60}, 43, 73, 198, 6.0, 1.4),
        ({"threshold": 1, "ttl": 10}, 18, 23, 175, 14.2, 0.6),
        ({"threshold": 1, "ttl": 0}, 13, 13, 171, 19.5, 0.4),
    ],
)
def test_lost_service_is_what_the_projects_design_rests_on(
    changes: dict[str, Any], lost: float, back: float, stale: float, a_month: float, of_year: float
) -> None:
    """The defaults were chosen by these figures; a model that drifts from them would unsay the choice."""
    found = predict(settings(**changes))
    assert found.lost == pytest.approx(lost, abs=0.6)
    assert found.back_99_of_mean == pytest.approx(back, abs=0.6)
    assert found.failovers_a_month == pytest.approx(a_month, abs=0.1)
    assert found.share_of_year * 100 == pytest.approx(of_year, abs=0.06)
    held = predict(settings(**changes, stale_share=0.0874))
    # The rounded figures are of 155 s for every TTL; the term is 0.0874 x (1800 - TTL/2).
    assert held.lost == pytest.approx(found.lost + 0.0874 * (1800 - found.settings.ttl / 2))
    assert held.lost == pytest.approx(stale, abs=13 if found.settings.ttl == 300 else 3)


def test_a_vanished_region_is_noticed_twelve_seconds_later_than_one_that_refuses() -> None:
    """Whoever tests by stopping the service only finds a failover that a real loss doesn't keep."""
    refuses, vanishes = (predict(settings(fault=fault)) for fault in (Fault.REFUSES, Fault.VANISHES))
    assert vanishes.detection_mean - refuses.detection_mean == pytest.approx(3 * 3.9)


def test_the_99_percent_figure_counts_late_detections() -> None:
    """At D + A + 0.99 TTL more than one client of a hundred is still away: half of all losses are later."""
    for ttl in (0, 1, 10, 30, 60, 300):
        for interval in (10, 30):
            found = predict(settings(interval=interval, ttl=ttl))
            assert found.back_by(found.back_99) == pytest.approx(0.99)
            assert found.back_99_of_mean < found.back_99 < found.back_max
            assert found.back_by(found.back_99_of_mean) < 0.99


def test_the_share_that_is_back_is_the_mean_of_detection_over_the_cached_answers() -> None:
    """The convolution in closed form against a sum over a thousand ages of the answer."""
    steps = 1000
    for changes in ({}, {"interval": 30, "ttl": 7}, {"checkers": 3, "ttl": 120, "fault": Fault.HANGS}):
        found = predict(settings(**changes))
        at_once = predict(replace(found.settings, ttl=0))
        ttl = found.settings.ttl
        for seconds in range(0, 200, 3):
            mean = sum(at_once.back_by(seconds - ttl * (step + 0.5) / steps) for step in range(steps)) / steps
            assert found.back_by(seconds) == pytest.approx(mean, abs=2e-3)


def test_nobody_is_back_before_the_name_servers_know_and_all_are_at_the_end() -> None:
    """Before the earliest detection plus the way to the name servers there is nowhere else to go."""
    for fault in FAULTS:
        found = predict(settings(fault=fault))
        earliest = found.detection_max - found.settings.interval + found.settings.push
        assert found.back_by(earliest) == 0
        assert found.back_by(earliest + 5) > 0
        assert found.back_by(found.back_max - 0.01) < 1
        assert found.back_by(found.back_max) == pytest.approx(1)


def test_everything_takes_longer_with_more_of_anything() -> None:
    """A sign that is wrong somewhere would recommend the slower setting."""
    base = predict(settings(threshold=2, ttl=30, fault=Fault.HANGS))
    worse: tuple[dict[str, Any], ...] = (
        {"interval": 30},
        {"threshold": 3},
        {"ttl": 60},
        {"fault": Fault.VANISHES},
        {"push": 9.0},
        {"stale_share": 0.05},
    )
    for change in worse:
        other = predict(replace(base.settings, **change))
        assert other.lost > base.lost
        assert other.back_99 > base.back_99
        assert other.back_max > base.back_max


def test_a_site_loses_its_share_only_and_its_clients_return_no_sooner() -> None:
    """A 60/40 pair that counted the whole outage would overstate it; a client of the lost site waits as long."""
    whole, part = predict(settings()), predict(settings(share=0.6))
    assert part.lost == pytest.approx(0.6 * whole.lost)
    assert part.back_99 == whole.back_99
    nothing = predict(settings(share=0.0))
    assert (nothing.lost, nothing.failovers_a_month) == (0, None)


def test_stale_resolvers_own_the_tail() -> None:
    """With 8.74 % of the clients at 1 h the 99 % figure is theirs; with half a percent it is everybody else's."""
    clean = predict(settings())
    many, few = predict(settings(stale_share=0.0874)), predict(settings(stale_share=0.005))
    expected = many.detection_mean + 5 + 3600 * (1 - 0.01 / 0.0874)
    assert many.back_99 == pytest.approx(expected, abs=1)
    assert clean.back_99 < few.back_99 < clean.back_max


def test_the_number_of_checkers_hardly_matters() -> None:
    """AWS doesn't publish it: a prediction that depended on it would be a guess."""
    means = [predict(settings(checkers=count)).detection_mean for count in range(3, 25)]
    assert max(means) - min(means) < 1.3
    of_six = predict(settings(checkers=6)).detection_mean
    assert of_six == pytest.approx(3 * 10.1 - 10 + 10 * 5 / 7)


def test_an_order_statistic_of_one_is_the_number_itself() -> None:
    """The one case that can be checked by eye, and the ends, where a sum of powers could leave 0 to 1."""
    one = OrderStatistic(1, 1)
    assert one.mean == pytest.approx(1 / 2)
    assert one.deviation == pytest.approx(12**-0.5)
    for x in (0.0, 0.25, 0.5, 1.0):
        assert one.below(x) == pytest.approx(x)
        assert one.integral(x) == pytest.approx(x * x / 2)
    most = OrderStatistic(164, 200)
    assert (most.below(-1), most.below(0), most.below(1), most.below(2)) == (0, 0, 1, 1)
    assert most.integral(1) == pytest.approx(1 - most.mean)
