"""Work that the API does by itself."""

import threading

import pytest

from sandbox.api.workers import Worker
from tests.sandbox.checkout import eventually


def test_a_turn_that_fails_is_followed_by_another(capfd: pytest.CaptureFixture[str]) -> None:
    """Otherwise one bad moment ends the replacing of unhealthy instances for good."""
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 1:
            raise ValueError("bad moment")

    worker = Worker("test", 0.01, turn)
    worker.start()
    eventually(lambda: len(turns) > 2, "more turns")
    worker.stop()
    assert "test failed: bad moment" in capfd.readouterr().err


def test_wake_does_not_wait_for_the_interval_and_stop_ends() -> None:
    """Otherwise a target that is registered waits for its balancer's next turn."""
    taken = threading.Event()
    worker = Worker("test", 3600, taken.set)
    worker.start()
    assert taken.wait(10)
    taken.clear()
    worker.wake()
    assert taken.wait(10)
    worker.stop()
    taken.clear()
    worker.wake()
    assert not taken.is_set()
