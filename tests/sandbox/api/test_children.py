"""Processes of the API: told and heard in lines of JSON, never waited for, all of them ended."""

import os
import signal
import sys
import threading
from typing import Any

import pytest

from sandbox.api import children
from sandbox.api.children import Child
from tests.sandbox.checkout import eventually, is_running

ECHO = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("do") == "stop":
        break
    print(json.dumps({"heard": message}), flush=True)
print(json.dumps({"last": True}))
"""


class Recorder:
    """Starts a child and keeps what it says."""

    def __init__(self, code: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status: int | None = None
        self.child = Child("test", [sys.executable, "-c", code], self.messages.append, self._end)

    def _end(self, status: int) -> None:
        self.status = status


def test_a_child_hears_and_is_heard_to_its_last_word() -> None:
    """Otherwise a machine's last console line, the reason of its failure, is lost."""
    recorder = Recorder(ECHO)
    recorder.child.send({"n": 1})
    recorder.child.send({"n": 2})
    recorder.child.stop()
    assert recorder.child.wait(10)
    assert recorder.messages == [{"heard": {"n": 1}}, {"heard": {"n": 2}}, {"last": True}]
    assert recorder.status == 0
    assert recorder.child.pid is None


def test_a_child_that_stands_still_holds_up_nobody() -> None:
    """Otherwise a region that vanishes (SIGSTOP) would stop the API of the others."""
    frozen, other = Recorder(ECHO), Recorder(ECHO)
    eventually(lambda: frozen.child.pid is not None, "the child has started")
    assert frozen.child.pid
    os.kill(frozen.child.pid, signal.SIGSTOP)
    for number in range(2_000):
        frozen.child.send({"padding": "x" * 100, "n": number})
    other.child.send({"n": 1})
    eventually(lambda: other.messages == [{"heard": {"n": 1}}], "the other child answers")
    os.kill(frozen.child.pid, signal.SIGCONT)
    eventually(lambda: len(frozen.messages) == 2_000, "everything that was said arrives")
    assert [message["heard"]["n"] for message in frozen.messages] == list(range(2_000))
    for recorder in (frozen, other):
        recorder.child.kill()
        assert recorder.child.wait(10)
        assert recorder.status == -signal.SIGKILL


def test_stop_all_ends_children_that_do_not_listen() -> None:
    """Otherwise `sandbox down` leaves machines behind."""
    deaf = Recorder("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)")
    willing = Recorder(ECHO)
    eventually(lambda: deaf.child.pid is not None, "the child has started")
    pid = deaf.child.pid
    assert pid
    children.stop_all(timeout=0.5)
    assert not is_running(pid)
    assert deaf.status == -signal.SIGKILL
    assert willing.status == 0


def test_a_child_that_cannot_start_has_ended(capfd: pytest.CaptureFixture[str]) -> None:
    """Otherwise an instance without a process stays pending for ever."""
    ended = threading.Event()
    child = Child("test", ["/nonexistent/program"], lambda _: None, lambda _: ended.set())
    assert child.wait(10)
    assert ended.is_set()
    assert "test can't be started" in capfd.readouterr().err


def test_what_fails_in_a_callback_fails_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Otherwise one malformed line ends the thread that hears every machine."""

    def fail(_: dict[str, Any]) -> None:
        raise ValueError("no")

    child = Child("odd", [sys.executable, "-c", ECHO], fail, lambda _: None)
    child.send({"n": 1})
    child.stop()
    assert child.wait(10)
    assert "odd said" in capfd.readouterr().err
    recorder = Recorder(ECHO)
    recorder.child.stop()
    assert recorder.child.wait(10)
