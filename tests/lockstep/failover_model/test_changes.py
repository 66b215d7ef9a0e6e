"""What a change of the settings buys, and its price."""

import pytest

from lockstep.failover_model import Fault, changes, predict
from tests.lockstep.failover_model.facts import settings

FAULTS = (Fault.REFUSES, Fault.VANISHES)


def test_each_change_is_of_one_setting_and_none_is_what_there_is() -> None:
    """Two at once would hide which of them bought it."""
    now = settings()
    listed = changes(now, FAULTS, 2, fixed_ttl=False)
    assert [each.what for each in listed] == [
        "as it is",
        "interval 30",
        "threshold 1",
        "threshold 2",
        "threshold 5",
        "TTL 10",
        "TTL 60",
        "TTL 300",
    ]
    for change in listed:
        for fault, prediction in change.predictions.items():
            found = prediction.settings
            assert found.fault is fault
            differing = [
                name for name in ("interval", "threshold", "ttl") if getattr(found, name) != getattr(now, name)
            ]
            assert len(differing) == (0 if change.what == "as it is" else 1)


def test_what_is_saved_is_the_difference() -> None:
    """The sign decides what somebody buys."""
    for change in changes(settings(), FAULTS, 2, fixed_ttl=False):
        for fault in FAULTS:
            saved = predict(settings(fault=fault)).lost - change.predictions[fault].lost
            assert change.saves[fault] == pytest.approx(saved)
    saves = {change.what: change.saves for change in changes(settings(), FAULTS, 2, fixed_ttl=False)}
    assert saves["TTL 10"][Fault.REFUSES] == pytest.approx(10)
    assert saves["threshold 2"][Fault.VANISHES] == pytest.approx(14)
    assert saves["interval 30"][Fault.REFUSES] < 0


def test_the_fast_interval_costs_a_dollar_for_each_site() -> None:
    """Route 53's price for an optional feature of a check; the slow interval is no feature."""
    prices = {change.what: change.dollars for change in changes(settings(), FAULTS, 3, fixed_ttl=False)}
    assert prices["as it is"] == prices["threshold 1"] == 3
    assert prices["interval 30"] == 0


def test_an_aliass_ttl_isnt_offered() -> None:
    """AWS doesn't let it be changed."""
    listed = changes(settings(ttl=60), FAULTS, 2, fixed_ttl=True)
    assert len(listed) > 1
    assert {prediction.settings.ttl for change in listed for prediction in change.predictions.values()} == {60}
