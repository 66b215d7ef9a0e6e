"""The example application's packages: what is in them, to the eyes of rpm, dnf and a reader that isn't ours."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rpmfile

from components.cloud_config import cloud_config
from lockstep.publishing.rpm_header import read_header
from tests import debian
from tests.debian import needs
from tests.sandbox.machine.rpm_writer import Spec
from tests.sandbox.machine.rpm_writer import build as write_rpm
from tools.example_rpms import COMMITTED, SOURCES, VERSIONS, Version

FOLDER = "/usr/lib/orders"
UNITS = "/usr/lib/systemd/system"
FILES = {f"{FOLDER}/orders.py", f"{FOLDER}/settings.json", f"{UNITS}/orders.service", f"{UNITS}/orders.socket"}
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.version)


def committed(version: Version) -> Path:
    return COMMITTED / version.version / version.file


def content(version: Version) -> dict[str, bytes]:
    """The package's files by path."""
    with rpmfile.open(str(committed(version))) as package:
        return {f"/{each.name.lstrip('./')}": package.extractfile(each.name).read() for each in package.getmembers()}


@each_version
def test_it_has_the_committed_sources_and_nothing_else(version: Version) -> None:
    """What is read in review has to be what runs."""
    files = content(version)
    assert files.keys() - {FOLDER} == FILES
    for path in FILES - {f"{FOLDER}/settings.json"}:
        assert files[path] == (SOURCES / Path(path).name).read_bytes()


@each_version
def test_its_settings_say_the_version_of_the_package(version: Version) -> None:
    """A service that reports a version which isn't the one installed makes every verification worthless."""
    settings = json.loads(content(version)[f"{FOLDER}/settings.json"])
    extra = {"greeting": version.greeting} if version.greeting else {}
    assert settings == {
        "application": "orders",
        "version": version.version,
        "healthy": version.version != "1.2.0",
        "extra": extra,
    }


def test_each_release_shows_in_what_it_answers() -> None:
    """1.1.0 has something new, and 1.2.0 is the one that fails."""
    assert [each.version for each in VERSIONS] == ["1.0.0", "1.1.0", "1.2.0"]
    assert [bool(each.greeting) for each in VERSIONS] == [False, True, False]
    assert [each.healthy for each in VERSIONS] == [True, True, False]


@each_version
def test_it_has_no_scriptlets_and_is_small(version: Version) -> None:
    """Scriptlets are what makes two installations differ; the sandbox refuses them. Every clone carries these files."""
    data = committed(version).read_bytes()
    header = read_header(data)
    header.check_payload(memoryview(data))
    assert header.scriptlets == ()
    assert len(data) < 12_000


def test_the_application_runs_on_the_python_of_amazon_linux_2023() -> None:
    """It has Python 3.9, where newer syntax is an error before the first line runs."""
    done = subprocess.run(
        [sys.executable, "-c", "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 9))"],
        input=(SOURCES / "orders.py").read_text(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_service_gets_its_socket_however_it_is_started() -> None:
    """`systemctl enable --now orders.service` is all that boots do: systemd.unit(5), "Requires=", "After=", "Also="."""
    service = (SOURCES / "orders.service").read_text().splitlines()
    assert {"Requires=orders.socket", "After=orders.socket", "Also=orders.socket", "Type=simple"} <= set(service)
    assert "ListenStream=8080" in (SOURCES / "orders.socket").read_text().splitlines()


@each_version
def test_systemd_waits_longer_than_the_application(version: Version) -> None:
    """Answers that are being given would be cut off by SIGKILL."""
    files = content(version)
    allowed = re.search(rb"^TimeoutStopSec=(\d+)$", files[f"{UNITS}/orders.service"], re.MULTILINE)
    waits = re.findall(rb"^(?:ANSWER|FIRST_REQUEST)_SECONDS = ([\d.]+)$", files[f"{FOLDER}/orders.py"], re.MULTILINE)
    assert allowed is not None
    assert len(waits) == 2
    assert float(allowed[1]) > max(map(float, waits))


@needs("rpm")
@each_version
def test_rpm_reads_it(version: Version) -> None:
    """Our reader agreeing with our writer proves nothing."""
    form = "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{PAYLOADCOMPRESSOR}\n"
    asked = debian.run("rpm", "--nosignature", "-qp", "--queryformat", form, committed(version))
    assert asked.stdout == f"orders {version.version} 1 noarch gzip\n", asked.stderr
    listed = debian.run("rpm", "--nosignature", "-qpl", committed(version))
    assert set(listed.stdout.split()) == {*FILES, FOLDER}
    required = debian.run("rpm", "--nosignature", "-qp", "--requires", committed(version))
    assert {line for line in required.stdout.splitlines() if not line.startswith("rpmlib(")} == {"python3", "systemd"}
    scripts = debian.run("rpm", "--nosignature", "-qp", "--scripts", "--triggers", "--filetriggers", committed(version))
    assert (scripts.returncode, scripts.stdout) == (0, "")
    checked = debian.run("rpmkeys", "-K", committed(version))
    assert (checked.returncode, checked.stdout.strip()) == (0, f"{committed(version)}: digests OK")


@needs("rpm")
@each_version
def test_every_file_is_roots_and_nobody_elses_to_write(version: Version) -> None:
    """The service's user must not be able to change what runs at the next start."""
    dumped = debian.run("rpm", "--nosignature", "-qp", "--dump", committed(version)).stdout.splitlines()
    assert len(dumped) == 5
    for line in dumped:
        path, _, _, _, mode, owner, group, *_ = line.split()
        assert (mode, owner, group) == ("040755" if path == FOLDER else "0100644", "root", "root")


@needs("dnf")
def test_dnf_installs_the_newest_with_what_it_needs(tmp_path: Path) -> None:
    """dnf's solver and checksums are what an instance has; a package that it can't place reaches no machine."""
    repository, target = tmp_path / "repository", tmp_path / "target"
    repository.mkdir()
    for version in VERSIONS[:2]:
        (repository / version.file).write_bytes(committed(version).read_bytes())
    for needed in (Spec("python3"), Spec("systemd")):
        (repository / needed.filename).write_bytes(write_rpm(needed))
    createrepo = Path(sys.executable).with_name("createrepo_c")
    subprocess.run([createrepo, "--quiet", repository], check=True, capture_output=True)
    root, url = tmp_path / "root", repository.as_uri()
    listed = debian.dnf(root, url, "repoquery", "--queryformat=%{name} %{version}", "orders")
    assert listed.stdout.splitlines() == ["orders 1.0.0", "orders 1.1.0"], listed.stderr
    done = debian.dnf(root, url, "install", "--downloadonly", f"--downloaddir={target}", "orders")
    assert done.returncode == 0, done.stdout + done.stderr
    got = {path.name for path in target.iterdir()}
    assert got == {VERSIONS[1].file, Spec("python3").filename, Spec("systemd").filename}


@needs("cloud-init")
@pytest.mark.parametrize("release", ["1.0.0", None])
def test_cloud_init_accepts_the_user_data(tmp_path: Path, release: str | None) -> None:
    """What cloud-init's own schema refuses is ignored at boot, without anybody noticing."""
    path = tmp_path / "user-data"
    path.write_text(cloud_config(application="orders", release=release, bucket_name="packages", region="eu-west-1"))
    done = debian.run("cloud-init", "schema", "--config-file", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


@needs("cloud-init")
def test_cloud_init_refuses_what_is_wrong(tmp_path: Path) -> None:
    """A judge that accepts everything would make the test before this one worthless."""
    path = tmp_path / "user-data"
    text = cloud_config(application="orders", release="1.0.0", bucket_name="packages", region="eu-west-1")
    path.write_text(text.replace("enabled: true", "enabled: [1]"))
    done = debian.run("cloud-init", "schema", "--config-file", path)
    assert done.returncode == 1
    assert "yum_repos.lockstep" in done.stdout + done.stderr
