"""What every test shares: where the toolchain is, and an environment that touches nothing of the user's."""

import os
import shutil
from pathlib import Path

import pytest

# pytest finds its hooks in this module.
from tests.debian import pytest_report_teststatus as pytest_report_teststatus

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each of two workers, who get half of the list, begin with tests that take minutes.

    At the end they would leave one of them alone with the last few. All that share a sandbox go to the same worker.
    """
    sharing = [item for item in items if "serving" in getattr(item, "fixturenames", ())]
    engine = [item for item in items if item.get_closest_marker("engine") and item not in sharing]
    rest = [item for item in items if item not in sharing and item not in engine]
    middle = max(0, len(items) // 2 - len(sharing))
    items[:] = [*sharing, *rest[:middle], *engine, *rest[middle:]]


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
    return environment_of_engine(tmp_path, tool_path)


def environment_of_engine(folder: Path, tool_path: str) -> dict[str, str]:
    """An environment for the Pulumi CLI with backend and home in `folder`, and no provider."""
    (folder / "backend").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment | {
        "PATH": tool_path,
        "PULUMI_HOME": str(folder / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "NO_COLOR": "1",
    }
