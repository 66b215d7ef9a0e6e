"""Two regions of the sandbox's API with their package buckets, folders to publish, and faults."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.api import faults
from sandbox.api.server import ApiServer
from tests.lockstep.publishing.regions import APPLICATION, REGIONS, REPOSITORY, Regions
from tests.sandbox.machine.rpm_writer import File, Spec, build

ClientFactory = Callable[..., Any]
WriteFolder = Callable[..., Path]


@pytest.fixture
def regions(api: ApiServer, aws: ClientFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Regions]:
    """The buckets of two regions, empty; `lockstep` of this process and of its children uses them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", api.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "sandbox")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sandbox")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    project = tmp_path / "project"
    project.mkdir()
    for path in REPOSITORY.glob("Pulumi*.yaml"):
        shutil.copy(path, project)
    made = Regions(aws, api.endpoint_url, project)
    for region in REGIONS:
        made.make_bucket(region)
    yield made
    faults.reset()


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """`write_folder(version, name, more=b"...")`: a folder with the application's package, and other files."""

    def write(version: str = "1.0.0", name: str = "rpms", **others: bytes) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        spec = Spec(APPLICATION, {"/usr/share/orders/version": File(version)}, version=version)
        (folder / spec.filename).write_bytes(build(spec))
        for path, content in others.items():
            (folder / path).write_bytes(content)
        return folder

    return write
