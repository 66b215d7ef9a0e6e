"""The processes that the API starts: machines and balancers. They talk in lines of JSON, both ways.

One thread starts them all and lives as long as the API's process: a child asks the kernel to end it with its parent
(prctl(2), PR_SET_PDEATHSIG), which means the thread that started it. The same thread reads what they say, writes what
they are told, and sees them end; it never waits for any of them, so one that stands still (SIGSTOP) holds up nobody.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

from sandbox import processes

OnMessage = Callable[[dict[str, Any]], None]
OnEnd = Callable[[int], None]

STOP_SECONDS: Final = 5.0
"""How long `stop_all` waits for children to end by themselves. Real seconds."""

_BUFFER: Final = 65536


class Child:
    """One process. `on_message` gets each JSON object that it prints, but for those of `wait_until_going`, `on_end` its
    exit status (negative: the signal).

    Both are called in the thread of the children, without the backend lock. What the child writes to stderr goes to the
    log of the API.
    """

    def __init__(self, name: str, command: Sequence[str], on_message: OnMessage, on_end: OnEnd) -> None:
        self.name = name
        self._command = list(command)
        self._on_message = on_message
        self._on_end = on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._descriptor = -1
        self._said = b""
        self._to_say: deque[bytes] = deque()
        self._ended = threading.Event()
        self._goes_on = threading.Event()
        _room.post(self._start)

    @property
    def pid(self) -> int | None:
        """Its process id; None before it has started and after it has ended."""
        return None if self._process is None or self._ended.is_set() else self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Tell it something; nothing happens if it has ended."""
        line = json.dumps(message).encode() + b"\n"
        _room.post(lambda: self._say(line))

    def stop(self) -> None:
        """Ask it to end: `{"do": "stop"}`. It goes on listening, as it may have to stand still on its way."""
        self.send({"do": "stop"})

    def kill(self) -> None:
        """End it at once."""
        _room.post(lambda: self._signal(signal.SIGKILL))

    def stand_still(self, how: str) -> None:
        """Tell it to stop where it is (`standstill.stand_still`), until `go_on`. See `is_still`."""
        self.send({"do": "stand-still", "how": how})

    @property
    def is_still(self) -> bool:
        """Whether it stands still, or has ended."""
        return self.has_ended or (self.pid is not None and processes.is_still(self.pid))

    @property
    def has_ended(self) -> bool:
        """Whether its process is no more."""
        return self._ended.is_set()

    def go_on(self) -> None:
        """Have it go on; only once it `is_still`, else it would stop afterwards. See `wait_until_going`."""
        if not self.has_ended:
            self._goes_on.clear()
        _room.post(self._continue)

    def wait_until_going(self, timeout: float) -> bool:
        """Wait until it has said `{"still": false}`, or has ended; False after `timeout` real seconds."""
        return self._goes_on.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended and `on_end` has run; False if it hasn't after `timeout` real seconds.

        Not to be called under the backend lock, which its callbacks may need.
        """
        return self._ended.wait(timeout)

    # --- in the thread of the children

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            print(f"sandbox API: {self.name} can't be started: {error}", file=sys.stderr)
            self._finish(127)
            return
        os.set_blocking(_stream(self._process.stdin).fileno(), False)
        self._descriptor = os.pidfd_open(self._process.pid)
        _room.selector.register(_stream(self._process.stdout), selectors.EVENT_READ, self._listen)
        _room.selector.register(self._descriptor, selectors.EVENT_READ, self._notice_end)
        _room.children.add(self)

    def _say(self, line: bytes) -> None:
        self._to_say.append(line)
        self._write()

    def _write(self) -> None:
        if self._process is None or _stream(self._process.stdin).closed:
            return
        stdin = _stream(self._process.stdin)
        try:
            while self._to_say:
                written = os.write(stdin.fileno(), self._to_say[0])
                rest = self._to_say.popleft()[written:]
                if rest:
                    self._to_say.appendleft(rest)
        except BlockingIOError:
            with contextlib.suppress(KeyError):
                _room.selector.register(stdin, selectors.EVENT_WRITE, self._write)
            return
        except BrokenPipeError:
            self._to_say.clear()
        with contextlib.suppress(KeyError):
            _room.selector.unregister(stdin)

    def _listen(self) -> None:
        stdout = _stream(_running(self._process).stdout)
        data = os.read(stdout.fileno(), _BUFFER)
        if not data:
            _room.selector.unregister(stdout)
            return
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            if message.get("still") is False:
                self._goes_on.set()
            else:
                self._on_message(message)
        except Exception as error:
            print(f"sandbox API: {self.name} said {line!r}, and that failed: {error}", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)

    def _notice_end(self) -> None:
        process = _running(self._process)
        _room.selector.unregister(self._descriptor)
        os.close(self._descriptor)
        # What it said last may still be in the pipe.
        while _stream(process.stdout) in _room.selector.get_map():
            self._listen()
        status = process.wait()
        stdin = _stream(process.stdin)
        with contextlib.suppress(KeyError, ValueError):
            _room.selector.unregister(stdin)
        stdin.close()
        _stream(process.stdout).close()
        _room.children.discard(self)
        self._finish(status)

    def _finish(self, status: int) -> None:
        try:
            self._on_end(status)
        except Exception as error:
            print(f"sandbox API: the end of {self.name} failed: {error}", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
        finally:
            self._ended.set()
            self._goes_on.set()

    def _continue(self) -> None:
        if self.has_ended:
            # It ended between the question and this.
            self._goes_on.set()
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and not self._ended.is_set():
            signal.pidfd_send_signal(self._descriptor, number)


class _Room:
    """The thread, what it waits for, and what it was asked to do."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.children: set[Child] = set()
        self._requests: deque[Callable[[], None]] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.selector.register(self._reader, selectors.EVENT_READ, self._on_request)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def post(self, request: Callable[[], None]) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="children", daemon=True)
                self._thread.start()
        self._requests.append(request)
        # A full buffer wakes the thread as well.
        with contextlib.suppress(BlockingIOError):
            self._writer.send(b".")

    def _run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                # An earlier event of the same round may have ended what this one is about.
                if key.fileobj in self.selector.get_map():
                    key.data()

    def _on_request(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(_BUFFER):
                pass
        while self._requests:
            self._requests.popleft()()


_room = _Room()


def stop_all(timeout: float = STOP_SECONDS) -> None:
    """End every child: asked first, killed after `timeout` real seconds. Not to be called under the backend lock."""
    # Those that were asked for and haven't started yet are behind this request.
    settled = threading.Event()
    _room.post(settled.set)
    settled.wait()
    children = list(_room.children)
    for child in children:
        child.stop()
    for child in children:
        if not child.wait(timeout):
            child.kill()
            child.wait(timeout)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _running(process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes]:
    assert process is not None
    return process
