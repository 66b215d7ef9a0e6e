"""Real dnf, of `make tools-debian`, reads what was published, as an instance does: over HTTP, by the VPC endpoint."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.debian import needs, tool
from tests.lockstep.publishing.regions import REGIONS, REPOSITORY, Regions
from tests.sandbox.machine.rpm_writer import File, Spec, build

WriteFolder = Callable[..., Path]

DNF = tool("dnf")
RPMS = REPOSITORY / "examples" / "orders" / "rpms"
VPCE = "vpce-0123456789abcdef0"
(_, REGION) = REGIONS

pytestmark = needs("dnf")


@pytest.fixture
def repository_url(regions: Regions) -> Iterator[str]:
    """The bucket's URL by a gateway endpoint: what passes it gets the header that the sandbox knows endpoints by."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{regions.bucket(REGION)}/*",
        "Condition": {"StringEquals": {"aws:SourceVpce": VPCE}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    regions.aws("s3", REGION).put_bucket_policy(Bucket=regions.bucket(REGION), Policy=policy)

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = urllib.request.Request(
                f"{regions.url}/{regions.bucket(REGION)}{self.path}", headers={"X-Lockstep-Source-Vpce": VPCE}
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self._answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    self._answer(error.code, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def dnf(tmp_path: Path) -> Callable[..., str]:
    """`dnf(url, arguments...)` with the repository at `url`, and nothing of this machine's; returns its stdout."""
    root = tmp_path / "root"
    for folder in ("etc/yum.repos.d", "log", "cache", "state"):
        (root / folder).mkdir(parents=True)
    (root / "etc" / "dnf.conf").write_text("[main]\nplugins=0\n")

    def run(url: str, *arguments: str) -> str:
        command = [
            str(DNF),
            f"--config={root}/etc/dnf.conf",
            f"--installroot={root}",
            f"--setopt=cachedir={root}/cache",
            f"--setopt=logdir={root}/log",
            f"--setopt=persistdir={root}/state",
            f"--setopt=reposdir={root}/etc/yum.repos.d",
            "--setopt=module_platform_id=platform:al2023",
            f"--repofrompath=lockstep,{url}",
            "--repo=lockstep",
            "--nogpgcheck",
            "--releasever=2023",
            "--forcearch=x86_64",
            "--assumeyes",
            "--quiet",
            *arguments,
        ]
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_dnf_lists_what_was_published_release_by_release(
    regions: Regions, repository_url: str, dnf: Callable[..., str]
) -> None:
    """Each release has a repository of its own: an instance of an old one must not see the new one's packages."""
    for version in ("1.0.0", "1.1.0"):
        regions.publish(RPMS / version, version)
    for version in ("1.0.0", "1.1.0"):
        listed = dnf(f"{repository_url}/releases/{version}/", "repoquery", "--queryformat=%{name} %{evr} %{arch}")
        assert listed.splitlines() == [f"orders {version}-1 noarch"]


def test_dnf_downloads_by_the_repositorys_relative_paths(
    regions: Regions, repository_url: str, dnf: Callable[..., str], write_folder: WriteFolder, tmp_path: Path
) -> None:
    """Instances have dnf and nothing of ours. It compares size and checksum of what it gets with what is listed."""
    folder = write_folder()
    extra = Spec("c++lib", {"/usr/lib/c++lib": File("x" * 1000)}, version="2~rc1")
    (folder / extra.filename).write_bytes(build(extra))
    regions.publish(folder)
    target = tmp_path / "downloaded"
    url = f"{repository_url}/releases/1.0.0/"
    dnf(url, "install", "--downloadonly", f"--downloaddir={target}", "orders", "c++lib")
    downloaded = sorted(path.read_bytes() for path in target.glob("*.rpm"))
    assert downloaded == sorted(path.read_bytes() for path in folder.glob("*.rpm"))


def test_dnf_refuses_a_package_that_was_damaged_in_the_bucket(
    regions: Regions, repository_url: str, dnf: Callable[..., str], write_folder: WriteFolder, tmp_path: Path
) -> None:
    """The repository must tell checksums that are those of the files: dnf believes them and nothing else."""
    regions.publish(write_folder())
    key = regions.key(REGION, "noarch.rpm")
    content = regions.read(REGION, key)
    regions.overwrite(REGION, key, content[:-1] + bytes([content[-1] ^ 1]))
    url = f"{repository_url}/releases/1.0.0/"
    target = tmp_path / "downloaded"
    with pytest.raises(AssertionError, match="Cannot download, all mirrors were already tried"):
        dnf(url, "install", "--downloadonly", f"--downloaddir={target}", "orders")
    assert not list(target.glob("*.rpm"))
