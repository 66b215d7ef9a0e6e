"""How a machine's process ends: with its parent, whatever ends that, or when it is told to."""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)
_BUFFER = 65536


class Stopped(BaseException):
    """The machine was told to stop while there was nothing to stop yet."""


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends.

    By SIGKILL, because a machine of a broken region stands still (SIGSTOP), and would be left standing by any other.
    """
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def input_lines() -> Iterator[bytes]:
    """The lines of standard input. Not through `sys.stdin`, whose lock a thread that waits would hold at the end."""
    pending = b""
    while data := os.read(0, _BUFFER):
        *lines, pending = (pending + data).split(b"\n")
        yield from lines


class StopRequest:
    """Whether the machine was told to stop: by `{"do": "stop"}`, by the end of its input, or by SIGTERM.

    `stand_still` is called with `how` of each `{"do": "stand-still", "how": …}`, in the main thread.
    """

    def __init__(self, stand_still: Callable[[str], None]) -> None:
        self.is_told = False
        self._stand_still = stand_still
        self._how = ""
        self._interrupts = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, lambda *_: self._stand_still(self._how))
        # Ctrl-C in a terminal is meant for the sandbox, which ends its machines itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def listen(self, lines: Iterator[bytes]) -> None:
        """Read commands from `lines` from now on, in a thread of its own."""
        threading.Thread(target=self._listen, args=[lines], name="commands", daemon=True).start()

    def wake(self, selector: selectors.BaseSelector) -> None:
        """Have `selector` report something as soon as the machine is told to stop."""
        selector.register(self._reader, selectors.EVENT_READ, self._drain)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise Stopped in here as soon as the machine is told to stop: for work that waits and needs no stopping."""
        self._interrupts = True
        try:
            if self.is_told:
                raise Stopped
            yield
        finally:
            self._interrupts = False

    def _listen(self, lines: Iterator[bytes]) -> None:
        # In the main thread, so that it interrupts what that waits for.
        main = threading.main_thread().ident or 0
        for line in lines:
            command = _read(line)
            if command.get("do") == "stop":
                signal.pthread_kill(main, signal.SIGTERM)
            if command.get("do") == "stand-still":
                self._how = command["how"]
                signal.pthread_kill(main, signal.SIGUSR1)
        signal.pthread_kill(main, signal.SIGTERM)

    def _on_signal(self, *_: object) -> None:
        self.is_told = True
        with contextlib.suppress(BlockingIOError):
            self._writer.send(b".")
        if self._interrupts:
            self._interrupts = False
            raise Stopped

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)


def _read(line: bytes) -> dict[str, Any]:
    try:
        command = json.loads(line)
        if command["do"] in ("stop", "stand-still"):
            return dict(command)
    except (ValueError, TypeError, KeyError):
        pass
    print(f'sandbox machine: {line!r} isn\'t a command: a JSON object, {{"do": "stop"}}', file=sys.stderr)
    return {}
