"""What signals do to a deployment, by its phase."""

import os
import signal
from typing import cast

import pytest

from lockstep.automation import PulumiRunner
from lockstep.deployment.stopping import Stopping
from lockstep.lease import Lease, LeaseLostError


class Runner:
    """Counts what Pulumi is told."""

    def __init__(self) -> None:
        self.interruptions = 0
        self.is_interrupted = False

    def interrupt(self) -> None:
        self.interruptions += 1
        self.is_interrupted = True

    def go_on(self) -> None:
        self.is_interrupted = False


class AnyLease:
    """One that is held, or lost."""

    def __init__(self, *, lost: bool = False) -> None:
        self._lost = lost

    def check(self) -> None:
        if self._lost:
            raise LeaseLostError("lost", "look")


def stopping(runner: Runner) -> Stopping:
    return Stopping(cast(PulumiRunner, runner))


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_going_forward_the_first_signal_breaks_off_what_pulumi_does(number: signal.Signals) -> None:
    """A CI system ends a job by SIGTERM; what follows, on the way back, runs to its end."""
    runner = Runner()
    with stopping(runner) as stop:
        with stop.going_forward():
            send(number)
            assert stop.asked
            assert runner.is_interrupted
        assert not runner.is_interrupted
        stop.guard(cast(Lease, AnyLease()))()


def test_going_back_the_first_signal_breaks_off_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Half a way back is neither here nor there."""
    runner = Runner()
    with stopping(runner) as stop:
        send(signal.SIGINT)
        assert stop.asked
        assert runner.interruptions == 0
        stop.guard(cast(Lease, AnyLease()))()
    assert "once more" in capsys.readouterr().err


def test_the_second_signal_ends_it_in_every_thread() -> None:
    """Only the main thread gets it, and waits for the others."""
    runner = Runner()
    with stopping(runner) as stop:
        check = stop.guard(cast(Lease, AnyLease()))
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert runner.interruptions == 1
        with pytest.raises(KeyboardInterrupt):
            check()


def test_the_second_signal_keeps_pulumi_from_going_on() -> None:
    """Its next operation would begin after the command was told to end."""
    runner = Runner()

    def go_forward() -> None:
        with stop.going_forward():
            send(signal.SIGINT)
            send(signal.SIGINT)

    with stopping(runner) as stop:
        with pytest.raises(KeyboardInterrupt):
            go_forward()
        assert runner.is_interrupted


def test_the_guard_tells_of_a_lost_lease() -> None:
    """Two would undo against each other."""
    with stopping(Runner()) as stop, pytest.raises(LeaseLostError):
        stop.guard(cast(Lease, AnyLease(lost=True)))()


def test_signals_are_as_before_afterwards() -> None:
    """Ctrl-C after a deployment would do nothing."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stopping(Runner()):
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
