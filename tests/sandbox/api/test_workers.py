"""Work that the API does by itself."""

import threading

import pytest

from sandbox.api.workers import Worker, alone
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
    assert "test failed: ValueError: bad moment" in capfd.readouterr().err


def test_wake_does_not_wait_for_the_interval_and_stop_ends() -> None:
    """Otherwise a target that is registered waits for its balancer's next turn."""
    taken = threading.Event()
    worker = Worker("wakes", 3600, taken.set)
    worker.start()
    assert taken.wait(10)
    taken.clear()
    worker.wake()
    assert taken.wait(10)
    (thread,) = [each for each in threading.enumerate() if each.name == "wakes"]
    worker.stop()
    assert not thread.is_alive()


def test_an_error_is_in_the_log_once_until_it_goes_well_again(capfd: pytest.CaptureFixture[str]) -> None:
    """Ten tracebacks a second bury what else there is; an error that comes back is news."""

    def fail(*errors: Exception) -> list[str]:
        for error in errors:
            with alone("the test's object"):
                raise error
        return [line for line in capfd.readouterr().err.splitlines() if line.startswith("sandbox API:")]

    said = "sandbox API: the test's object failed: {}"
    assert fail(ValueError("a"), ValueError("a"), KeyError("a")) == [
        said.format("ValueError: a"),
        said.format("KeyError: 'a'"),
    ]
    assert fail(KeyError("a"), ValueError("a")) == []
    with alone("the test's object"):
        pass
    assert fail(ValueError("a")) == [said.format("ValueError: a")]
    with alone("the test's object"):
        pass
