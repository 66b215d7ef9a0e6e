"""A Python that has imported already what a Pulumi program and a policy pack import, for a campaign of many previews.

Importing pulumi and pulumi_aws takes most of a preview's time. The server imports them once and forks for each process
that a language host starts; what is of the program itself, its components, is imported anew each time. In a project,
`.venv/bin/python` is a client (`interpreter`) that hands its arguments, environment and files to the server and ends as
the fork ends.
"""

import contextlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

IMPORTS: Final = (
    "google.protobuf.struct_pb2",
    "grpc",
    "lockstep.config.program",
    "lockstep.deployment_record",
    "pulumi",
    "pulumi.runtime",
    "pulumi_aws",
    "pulumi_policy",
    "pydantic",
    "yaml",
)
_SECONDS_TO_IMPORT: Final = 120
_UNBUFFERED: Final = ("-u",)
_MESSAGE_MAX: Final = 1 << 20
_FILES: Final = 3

_CLIENT: Final = """#!{python} -IS
import json, os, socket, struct, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
text = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(server, [struct.pack("!I", len(text))], [0, 1, 2])
server.sendall(text)
status = server.recv(16)
os._exit(int(status) if status else 1)
"""


@contextmanager
def preloaded(folder: Path, environment: Mapping[str, str], address: Path) -> Iterator[None]:
    """A server for the programs of the checkout `folder`, listening at the socket `address`, while the block lasts."""
    server = subprocess.Popen(
        # Unbuffered, as its forks are: a policy pack writes its port, and waits.
        [sys.executable, "-u", "-m", "tests.campaigns.preloaded", str(address), str(folder)],
        env={**environment, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[2]}"},
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _SECONDS_TO_IMPORT
        while not address.exists():
            assert server.poll() is None, "the server of previews has ended"
            assert time.monotonic() < deadline, "the server of previews imports for too long"
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


def interpreter(folder: Path, address: Path) -> None:
    """Give `folder` a virtualenv whose Python is the server's."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_CLIENT.format(python=os.path.realpath(sys.executable), address=str(address)))
    python.chmod(0o755)


def _serve(address: Path, folder: Path) -> None:
    for name in IMPORTS:
        __import__(name)
    for path in (folder / "components").glob("*.py"):
        _import_of_aws(path)
    own = [name for name in sys.modules if name.partition(".")[0] in ("components", "lockstep_policies")]
    assert own == [], f"what is to differ was imported: {own}"
    listening = socket.socket(socket.AF_UNIX)
    partial = address.with_suffix(".new")
    listening.bind(str(partial))
    listening.listen(64)
    partial.rename(address)
    _Server(listening).run()


class _Server:
    """Forks for each client, and tells it how the fork ended. One thread: a fork inherits the locks of the others."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._ready = selectors.DefaultSelector()
        self._ready.register(listening, selectors.EVENT_READ)
        # By what becomes readable when one ends: a client's socket, or a child's descriptor.
        self._ends: dict[int, tuple[socket.socket, int, int]] = {}

    def run(self) -> None:
        while True:
            for key, _ in self._ready.select():
                if key.fd == self._listening.fileno():
                    self._start(self._listening.accept()[0])
                elif key.fd in self._ends:
                    self._end(*self._ends[key.fd])

    def _start(self, client: socket.socket) -> None:
        head, files, _, _ = socket.recv_fds(client, 4, 3)
        size, text = int.from_bytes(head, "big"), b""
        while len(text) < size:
            part = client.recv(min(_MESSAGE_MAX, size - len(text)))
            if not part:
                break
            text += part
        if len(text) == size and len(files) == _FILES:
            child = os.fork()
            if child == 0:
                self._listening.close()
                client.close()
                arguments, environment, folder = json.loads(text)
                _become(arguments, environment, folder, files)
            end = os.pidfd_open(child)
            for number in (client.fileno(), end):
                self._ready.register(number, selectors.EVENT_READ)
                self._ends[number] = client, child, end
        else:
            client.close()
        for file in files:
            os.close(file)

    def _end(self, client: socket.socket, child: int, end: int) -> None:
        """Either has ended: the child, or the client, which takes the child with it."""
        for number in (client.fileno(), end):
            self._ready.unregister(number)
            del self._ends[number]
        signal.pidfd_send_signal(end, signal.SIGTERM)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(OSError):
            client.sendall(str(status if status >= 0 else 1).encode())
        client.close()
        os.close(end)


def _import_of_aws(path: Path) -> None:
    """The modules of pulumi_aws that a file of the components names."""
    import ast

    import pulumi_aws

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pulumi_aws"):
            for alias in node.names:
                # It imports lazily, and whole modules: naming one loads it, and a class of it what it needs.
                found = getattr(pulumi_aws, alias.name, None)
                if found is not None:
                    dir(found)


def _become(arguments: list[str], environment: Mapping[str, str], folder: str, files: list[int]) -> None:
    """Be the process that was asked for, and end."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        # What is behind `-u`: the host's own starter, which ends a program with its parent; so does `_Server._end`.
        wanted = [each for each in arguments if each not in _UNBUFFERED][1:]
        if wanted[0] == "-m":
            sys.argv, path = wanted[1:], folder
        else:
            sys.argv, path = wanted, str(Path(wanted[0]).parent)
        inherited = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:] = [path, *inherited, *(each for each in sys.path if "site-packages" in each or "/lib/" in each)]
        if wanted[0] == "-m":
            runpy.run_module(wanted[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(wanted[0], run_name="__main__")
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
