"""Sending to several regions at once: bounded memory, and nobody waits for a region that is down."""

import threading

import pytest
from botocore.exceptions import EndpointConnectionError

from lockstep.publishing.bucket import CONNECTIONS, OtherContentError
from lockstep.publishing.fan_out import FanOut

DOWN = EndpointConnectionError(endpoint_url="https://s3")


def quiet(region: str, error: Exception) -> None:
    """Nobody listens."""


def test_no_more_bytes_are_held_than_the_bound() -> None:
    """Packages of any number and size go through a machine that builds them with little memory."""
    held = most = 0
    lock = threading.Lock()
    with FanOut(["a", "b"], quiet, memory=100) as fan:

        def work(region: str) -> None:
            nonlocal held
            if region == "b":
                with lock:
                    held -= 40

        for _ in range(50):
            fan.take_memory(40)
            with lock:
                held += 40
                most = max(most, held)
            fan.submit(["a", "b"], work, held=40)
        fan.drain()
        fan.take_memory(100)
    assert 0 < most <= 120


def test_a_region_that_failed_is_asked_no_more_and_the_others_get_everything() -> None:
    """A region that is down costs seconds for each request: a thousand files of it would be hours."""
    asked: dict[str, int] = {"up": 0, "down": 0}
    told: list[str] = []
    lock = threading.Lock()

    def work(region: str) -> None:
        with lock:
            asked[region] += 1
        if region == "down":
            raise DOWN

    with FanOut(["up", "down"], lambda region, error: told.append(region), memory=100) as fan:
        fan.submit(["up", "down"], work)
        fan.drain()
        for _ in range(199):
            fan.take_memory(10)
            fan.submit(["up", "down"], work, held=10)
        fan.drain()
        assert fan.failures == {"down": DOWN}
        assert fan.alive == ["up"]
    assert asked == {"up": 200, "down": 1}
    assert told == ["down"]


def test_what_waits_for_a_region_is_dropped_when_it_fails() -> None:
    """Up to 96 MiB of small files may wait by then, and each would be tried for nine seconds."""
    all_submitted = threading.Event()
    asked: list[str] = []

    def work(region: str) -> None:
        asked.append(region)
        assert all_submitted.wait(30)
        raise DOWN

    with FanOut(["down"], quiet, memory=1000) as fan:
        for _ in range(200):
            fan.submit(["down"], work)
        all_submitted.set()
        fan.drain()
    assert 0 < len(asked) <= CONNECTIONS


def test_a_slow_region_holds_no_other_up_while_there_is_memory() -> None:
    """One region's bad day must not be the other's: it gets its files, and can be published to at once again."""
    go_on, done = threading.Event(), threading.Event()
    fast: list[str] = []

    def work(region: str) -> None:
        if region == "slow":
            assert go_on.wait(30)
            return
        fast.append(region)
        if len(fast) == 30:
            done.set()

    with FanOut(["fast", "slow"], quiet, memory=1000) as fan:
        for _ in range(30):
            fan.take_memory(10)
            fan.submit(["fast", "slow"], work, held=10)
        arrived = done.wait(30)
        go_on.set()
        fan.drain()
    assert arrived


def test_content_that_differs_stops_everything() -> None:
    """What is refused in one region must not go on being sent to the other."""

    def work(region: str) -> None:
        raise OtherContentError(region, "bucket", "key", "is something else")

    with FanOut(["a"], quiet, memory=10) as fan:
        fan.submit(["a"], work)
        with pytest.raises(OtherContentError):
            fan.drain()
        with pytest.raises(OtherContentError):
            fan.take_memory(10)


def test_what_waits_is_given_up_when_it_is_interrupted() -> None:
    """Ctrl-C ends what is under way, and doesn't send the rest first."""
    begun, go_on = threading.Event(), threading.Event()
    sent: list[str] = []

    def work(region: str) -> None:
        begun.set()
        assert go_on.wait(30)
        sent.append(region)

    with pytest.raises(KeyboardInterrupt), FanOut(["a"], quiet, memory=1000) as fan:  # noqa: PT012 - leaving it is the point
        for _ in range(100):
            fan.submit(["a"], work)
        assert begun.wait(30)
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt
    assert 0 < len(sent) < 100
