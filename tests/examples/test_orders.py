"""The example application and its packages."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.cloud_config import cloud_config
from lockstep.publishing.rpm_header import read_header
from tests.conftest import ROOT
from tests.debian import needs, tool
from tests.sandbox.checkout import eventually
from tools.example_rpms import COMMITTED, VERSIONS, build, differences

SOURCE = ROOT / "examples" / "orders" / "orders.py"
# What systemd does: the socket is descriptor 3, and LISTEN_PID is the service's own process.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, sys.argv[2]])
"""


class Metadata(BaseHTTPRequestHandler):
    """An instance metadata service that wants tokens."""

    def do_PUT(self) -> None:
        self._answer(200 if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400, "token")

    def do_GET(self) -> None:
        values = {"placement/region": "eu-west-1", "instance-id": "i-1"}
        known = values.get(self.path.removeprefix("/latest/meta-data/"), "")
        self._answer(200 if known and self.headers["X-aws-ec2-metadata-token"] == "token" else 401, known)

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Service:
    """The application's process, on a socket that was open before it."""

    def __init__(self, folder: Path, settings: Mapping[str, object], metadata: str) -> None:
        program = folder / "orders.py"
        program.write_bytes(SOURCE.read_bytes())
        (folder / "settings.json").write_text(json.dumps(settings))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        descriptor = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(descriptor), str(program)],
            env={"LISTEN_FDS": "1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata},
            pass_fds=[descriptor],
        )

    def get(self, path: str, method: str = "GET") -> tuple[int, Message, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


@pytest.fixture
def metadata() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=[True, False], ids=["healthy", "failing"])
def service(request: pytest.FixtureRequest, tmp_path: Path, metadata: str) -> Iterator[Service]:
    settings = {"application": "orders", "version": "9.9.9", "healthy": request.param, "extra": {"greeting": "hello"}}
    made = Service(tmp_path, settings, metadata)
    yield made
    made.process.kill()
    made.process.wait()
    made.listener.close()


def test_it_reports_itself_and_names_its_release_in_every_answer(service: Service) -> None:
    """A deployment is verified by that header; what doesn't name its release can't be deployed."""
    eventually(lambda: json.loads(service.get("/")[2])["instance"] == "i-1", "the metadata is known")
    status, headers, body = service.get("/?x=1")
    report = json.loads(body)
    assert (status, report["version"], report["region"], report["greeting"]) == (200, "9.9.9", "eu-west-1", "hello")
    healthy = report["healthy"]
    assert service.get("/healthz")[0] == (200 if healthy else 503)
    assert service.get("/nothing")[0] == 404
    assert service.get("/", "POST")[0] == 501
    for path in ("/", "/healthz", "/nothing"):
        assert service.get(path)[1]["Lockstep-Release"] == "9.9.9"
    status, headers, body = service.get("/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_sigterm_ends_it_and_the_socket_stays_open(service: Service) -> None:
    """systemd keeps the socket: a connection that comes meanwhile waits for the next start."""
    assert service.get("/")[0] == 200
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0
    with socket.create_connection(("127.0.0.1", service.port), timeout=5):
        pass


@pytest.mark.parametrize("version", VERSIONS, ids=lambda each: each.version)
def test_a_package_has_no_scriptlets_and_is_small(version: object) -> None:
    """Scriptlets are what makes two installations differ."""
    path = COMMITTED / version.version / version.file  # type: ignore[attr-defined]
    content = path.read_bytes()
    header = read_header(content)
    header.check_payload(memoryview(content))
    assert header.scriptlets == ()
    assert len(content) < 20_000


@needs("rpmbuild")
def test_the_committed_packages_are_what_the_sources_give(tmp_path: Path) -> None:
    """A package that nobody can build again can't be trusted."""
    for version in VERSIONS:
        built = build(version, tmp_path / version.version)
        assert differences(built, COMMITTED / version.version / version.file) == []


@needs("rpmbuild")
def test_a_difference_is_said(tmp_path: Path) -> None:
    """ "Differs" alone sends people to a hex editor."""
    built = build(VERSIONS[0], tmp_path)
    lines = differences(built, COMMITTED / VERSIONS[1].version / VERSIONS[1].file)
    assert hashlib.sha256(built.read_bytes()).hexdigest()[:16] in lines[0]
    assert any(re.search(r"1\.1\.0", line) for line in lines[1:])


@needs("rpm")
def test_rpm_reads_the_packages(tmp_path: Path) -> None:
    """Our reader agreeing with our writer proves nothing."""
    for version in VERSIONS:
        path = COMMITTED / version.version / version.file
        asked = [
            str(tool("rpm")),
            "--nosignature",
            "-qp",
            "--queryformat",
            "%{NAME} %{VERSION} %{ARCH}\n",
            "-l",
            "--scripts",
        ]
        done = subprocess.run([*asked, str(path)], capture_output=True, text=True, check=True, env=_plain())
        assert "/usr/lib/systemd/system/orders.socket" in done.stdout
        assert "scriptlet" not in done.stdout
        checked = subprocess.run(
            [str(tool("rpmkeys")), "-K", str(path)], capture_output=True, text=True, check=True, env=_plain()
        )
        assert "digests OK" in checked.stdout


@needs("cloud-init")
@pytest.mark.parametrize("release", ["1.0.0", None])
def test_cloud_init_accepts_the_user_data(tmp_path: Path, release: str | None) -> None:
    """What cloud-init's own schema refuses is ignored at boot, without anybody noticing."""
    text = cloud_config(application="orders", release=release, bucket_name="packages", region="eu-west-1")
    path = tmp_path / "user-data"
    path.write_text(text)
    done = subprocess.run(
        [str(tool("cloud-init")), "schema", "--config-file", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=_plain(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


def _plain() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C"}
