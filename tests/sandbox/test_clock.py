"""The factor of time."""

import pytest

from sandbox import clock


def test_a_timer_is_shorter_by_the_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise parts of a fast sandbox run at different speeds, and reports name a wrong one."""
    monkeypatch.setattr(clock, "SPEED", 6.0)
    assert clock.real(30) == 5
    assert clock.simulated(5) == 30


@pytest.mark.parametrize("text", ["0", "0.5", "61", "-6", "fast", "nan"])
def test_a_factor_that_makes_no_sense_is_refused(text: str) -> None:
    """Otherwise health checks wait for ever, or fire faster than a process can start."""
    with pytest.raises(ValueError, match=r"isn't from|could not convert"):
        clock.parse(text)
