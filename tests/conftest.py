"""What every test shares: where the toolchain is, and an environment that touches nothing of the user's."""

import os
import shutil
from pathlib import Path

import pytest

# pytest finds its hooks in this module.
from tests.debian import pytest_report_teststatus as pytest_report_teststatus

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT


@pytest.fixture(scope="session")
def tool_path() -> str:
    """A PATH with the virtualenv and the Pulumi CLI that `make setup` found or built."""
    path = os.pathsep.join([str(ROOT / ".venv" / "bin"), str(ROOT / ".tools" / "bin"), os.environ["PATH"]])
    assert shutil.which("pulumi", path=path), "no Pulumi CLI: run `make setup`"
    return path


@pytest.fixture
def engine_environment(tmp_path: Path, tool_path: str) -> dict[str, str]:
    """An environment for the Pulumi CLI with a backend and a home of its own, and no provider."""
    (tmp_path / "backend").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment | {
        "PATH": tool_path,
        "PULUMI_HOME": str(tmp_path / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "NO_COLOR": "1",
    }
