"""An API whose instances, balancers and groups are processes, twenty times faster than AWS, and what tests start there.

The tests of requests share a server that only keeps records; these need one that does something behind them.
"""

import base64
import http.client
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from sandbox import clock, processes
from sandbox.api import addresses, images, machines
from sandbox.api.backend_lock import backend_lock
from sandbox.api.server import ApiServer
from tests.sandbox.checkout import eventually

REGION = "eu-west-1"
SPEED = 20.0
PORT = 8080
IMAGE = images.image_id(REGION, images.releases()[-1].image_name("x86_64"))

# Tells its process; `/break` has `/healthz` answer 503 from then on, `/hold` is answered when `/release` was asked for.
SERVER = """
import http.server, os, socket, threading

broken, released = threading.Event(), threading.Event()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/break":
            broken.set()
        if self.path == "/release":
            released.set()
        if self.path == "/hold":
            print("holding", flush=True)
            released.wait(60)
        body = str(os.getpid()).encode()
        self.send_response(503 if self.path == "/healthz" and broken.is_set() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("", 8080), Handler, False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
"""

SERVICE = {
    "write_files": [
        {"path": "/usr/lib/probe/server.py", "content": SERVER},
        {
            "path": "/etc/systemd/system/probe.service",
            "content": "[Service]\nExecStart=/usr/bin/python3 /usr/lib/probe/server.py\nTimeoutStopSec=20\n",
        },
        {"path": "/etc/systemd/system/probe.socket", "content": f"[Socket]\nListenStream={PORT}\n"},
    ],
    "runcmd": [["systemctl", "start", "probe.socket", "probe.service"]],
}
"""cloud-config of an instance that serves on PORT."""

# Doesn't end before there is a file `go` beside it.
WAIT = """
import pathlib, time

while not pathlib.Path(__file__).with_name("go").exists():
    time.sleep(0.02)
"""

WAITING = {
    "write_files": [
        {"path": "/usr/lib/probe/wait.py", "content": WAIT},
        {
            "path": "/etc/systemd/system/probe.service",
            "content": "[Service]\nExecStartPre=/usr/bin/python3 /usr/lib/probe/wait.py\n"
            "ExecStart=/usr/bin/python3 -m http.server -b 127.0.0.1 0\n",
        },
    ],
    "runcmd": [["systemctl", "start", "probe.service"]],
}
"""cloud-config of an instance that boots until it may go on: see `let_boot`."""


@contextmanager
def serving(folder: Path, speed: float = SPEED) -> Iterator[ApiServer]:
    """Such an API; its machines have their file systems in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "SPEED", speed)
        patch.setenv(clock.VARIABLE, str(speed))
        patch.setattr("tempfile.tempdir", str(folder))
        patch.setenv(processes.MARK, f"member:{folder}")
        with ApiServer(data_plane=True) as server:
            # moto's state is the process's, and another module may have left some.
            reset(server)
            yield server
        machines.serve_from("")


def reset(server: ApiServer) -> None:
    """Empty the API, and wait until every machine is gone."""
    request = urllib.request.Request(f"{server.endpoint_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=10).close()
    eventually(lambda: not pids(), "the end of all machines")


# One for all tests: it keeps the service descriptions, which take longer to read than a test takes to run.
_session: Any = boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="sandbox")


def client(server: ApiServer, service: str) -> Any:
    """A boto3 client of the API."""
    return _session.client(
        service, region_name=REGION, endpoint_url=server.endpoint_url, config=Config(retries={"max_attempts": 1})
    )


def pids() -> list[int]:
    """The process ids of all machines in REGION that run."""
    with backend_lock:
        return machines.processes_in(REGION)


def pid_of(instance_id: str) -> int:
    """The process id of one machine, which has to run."""
    with backend_lock:
        child = machines._machines[instance_id].child
        assert child is not None
        assert child.pid is not None
        return child.pid


def root_of(instance_id: str) -> Path:
    """The file system of a machine."""
    with backend_lock:
        return machines._machines[instance_id].root


def let_boot(instance_id: str) -> None:
    """Have an instance with WAITING go on."""
    folder = root_of(instance_id) / "usr" / "lib" / "probe"
    eventually(folder.is_dir, "its files")
    (folder / "go").touch()


def state_of(instance_id: str) -> str:
    """The state of a machine; empty while there is none."""
    with backend_lock:
        machine = machines._machines.get(instance_id)
        return "" if machine is None else machine.state


def wait_for(instance_id: str, state: str) -> str:
    """The address of an instance whose machine has got to `state`."""
    eventually(lambda: state_of(instance_id) in (state, "failed", "dead"), f"{instance_id} is {state}")
    assert state_of(instance_id) == state, machines.console_of(instance_id)
    address = machines.address_of(instance_id)
    assert address is not None
    return address


def get(address: str, path: str = "/", port: int = PORT) -> tuple[int, str]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection(address, port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def cloud_config(document: Mapping[str, Any]) -> str:
    """User data that is cloud-config."""
    return "#cloud-config\n" + yaml.safe_dump(dict(document), sort_keys=False)


def encoded(text: str) -> str:
    """As launch templates have it."""
    return base64.b64encode(text.encode()).decode()


def is_held(address: str) -> bool:
    """Whether somebody on this machine has a reserved address."""
    return address in addresses._held
