"""The simulation by events against the closed forms, within what chance allows."""

import random
from dataclasses import replace
from typing import Any

import pytest

from lockstep.failover_model import Fault, predict, simulate_flapping, simulate_losses
from tests.lockstep.failover_model.facts import mean_error, settings, share_error

LOSSES = 2000
CASES: list[dict[str, Any]] = [
    {},
    {"fault": Fault.HANGS, "ttl": 60},
    {"fault": Fault.VANISHES},
    {"interval": 30, "fault": Fault.VANISHES, "ttl": 300},
    {"threshold": 1, "ttl": 0},
    {"threshold": 1, "ttl": 1, "push": 0.0},
    {"threshold": 10, "fault": Fault.VANISHES, "ttl": 45},
    {"checkers": 1},
    {"checkers": 6, "interval": 30},
    {"checkers": 50, "fault": Fault.HANGS},
    {"share": 0.6, "ttl": 60},
    {"stale_share": 0.0874},
]


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_losses_agree_with_the_closed_forms(changes: dict[str, Any]) -> None:
    """Two derivations that share no formula; where they differ, one of them promises what isn't so."""
    expected = predict(settings(**changes))
    found = simulate_losses(expected.settings, count=LOSSES, seed=53)
    error = mean_error(expected.detection_deviation, LOSSES)
    assert found.detection_mean == pytest.approx(expected.detection_mean, abs=error)
    assert found.detection_max <= expected.detection_max
    mean_of_lost = sum(found.lost) / LOSSES
    spread = (sum((each - mean_of_lost) ** 2 for each in found.lost) / LOSSES) ** 0.5
    assert found.mean_lost == pytest.approx(expected.lost, abs=mean_error(spread, LOSSES))
    assert len(found.back) == pytest.approx(
        LOSSES * expected.settings.share, abs=LOSSES * share_error(expected.settings.share, LOSSES)
    )
    for fraction in (0.25, 0.5, 0.9, 0.99):
        when = expected.back(fraction)
        by_then = sum(each <= when for each in found.back) / len(found.back)
        assert by_then == pytest.approx(fraction, abs=share_error(fraction, len(found.back)))


def test_any_settings_agree() -> None:
    """Cases picked by hand agree where somebody looked; these weren't."""
    randomness = random.Random(5)
    for number in range(25):
        expected = predict(
            settings(
                interval=randomness.choice((10, 30)),
                threshold=randomness.randint(1, 10),
                ttl=randomness.choice((0, randomness.uniform(1, 600))),
                fault=randomness.choice(list(Fault)),
                checkers=randomness.randint(1, 30),
                push=randomness.uniform(0, 60),
            )
        )
        found = simulate_losses(expected.settings, count=300, seed=number)
        error = mean_error(expected.detection_deviation, 300)
        assert found.detection_mean == pytest.approx(expected.detection_mean, abs=error), expected.settings
        for fraction in (0.5, 0.9):
            when = expected.back(fraction)
            by_then = sum(each <= when for each in found.back) / 300
            assert by_then == pytest.approx(fraction, abs=share_error(fraction, 300)), expected.settings


def test_the_same_seed_gives_the_same_losses() -> None:
    """A figure in a report has to be found again."""
    first, again, other = (simulate_losses(settings(), count=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_weights_split_the_loss_between_the_sites() -> None:
    """Of a 60/40 pair one loses 60 and the other 40 of 100, however the clients ask."""
    both = [simulate_losses(settings(share=share), count=LOSSES, seed=7).mean_lost for share in (0.6, 0.4)]
    whole = predict(settings()).lost
    assert sum(both) == pytest.approx(whole, rel=0.05)
    assert both[0] / both[1] == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize("fault", list(Fault))
def test_traffic_returns_when_a_fifth_of_the_checkers_see_the_site_well(fault: Fault) -> None:
    """Sooner than it left: an operator who heals a site has to expect its traffic back by then."""
    expected = predict(settings(fault=fault))
    randomness, delays = random.Random(13), []
    for seed in range(600):
        # Not always the same length: probes of a lost site come in rounds, and the end has to hit any part of one.
        lost_for = randomness.uniform(200, 200 + 10 * (10 + fault.probe_seconds))
        found = simulate_flapping(expected.settings, period=2 * lost_for, seconds=2.4 * lost_for, seed=seed)
        # A loss before the beginning isn't a whole one.
        if len(found.changes) >= 2 and found.changes[0] > expected.detection_max:
            delays.append(found.changes[1] - found.changes[0] - lost_for + expected.detection_mean)
    assert len(delays) > 200
    mean = sum(delays) / len(delays)
    spread = (sum((each - mean) ** 2 for each in delays) / len(delays)) ** 0.5
    assert mean == pytest.approx(expected.return_mean, abs=mean_error(spread, len(delays)))
    assert expected.return_mean < expected.return_max < expected.detection_max


@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.VANISHES])
@pytest.mark.parametrize("interval", [10, 30])
def test_traffic_moves_at_most_once_per_detection_time(fault: Fault, interval: int) -> None:
    """From half an interval to five detection times: users of a site that comes and goes aren't sent to and fro."""
    ours = settings(interval=interval, fault=fault)
    detection = predict(ours).detection_mean
    moved = {}
    for period in (interval / 2, interval, detection, 2 * detection, 3 * detection, 5 * detection):
        found = simulate_flapping(ours, period=period, seconds=100 * detection, seed=3)
        moved[period] = found.changes_per(detection)
    assert max(moved.values()) <= 1.0
    assert moved[interval / 2] == moved[interval] == 0
    assert moved[5 * detection] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("fault", list(Fault))
def test_only_results_in_a_row_count(fault: Fault) -> None:
    """Each checker meets the site lost, then well, in turn: three failures that it has seen by then are no outage."""
    for seed in range(5):
        period = 20 + fault.probe_seconds
        assert simulate_flapping(settings(fault=fault), period=period, seconds=5000, seed=seed).changes == ()


def test_a_threshold_of_one_has_no_damping() -> None:
    """Every lost round of probes moves traffic: the reason for not shipping the fastest setting."""
    ours = settings(threshold=1, fault=Fault.VANISHES)
    detection = predict(ours).detection_mean
    moves = [
        simulate_flapping(ours, period=factor * detection, seconds=100 * detection, seed=3).changes_per(detection)
        for factor in (0.6, 1.0, 1.5)
    ]
    assert max(moves) > 1.0


def test_probes_that_fall_into_step_with_a_site_move_traffic_more_often() -> None:
    """The limit of the rule above: promising it for any site that comes and goes would be wrong."""
    ours = settings(fault=Fault.HANGS)
    detection = predict(ours).detection_mean
    found = simulate_flapping(ours, period=10 + 1.2 * 2.1, seconds=100 * detection, seed=0)
    assert found.changes_per(detection) > 1.5


def test_a_well_site_never_moves() -> None:
    """Halves longer than the time watched: it begins lost or well, and there is at most one change to see."""
    for seed in range(20):
        found = simulate_flapping(settings(), period=1e6, seconds=1000, seed=seed)
        assert len(found.changes) <= 1
        assert found.shortest_stay is None
        assert replace(found, changes=()).changes_per(60) == 0
