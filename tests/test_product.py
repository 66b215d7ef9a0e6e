"""The product without the sandbox: what runs on AWS needs nothing that only stands in for it."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import ROOT

BLOCKED = "moto flask werkzeug sandbox tools tests pytest mypy boto3_stubs types_boto3"
IMPORT_ALL = f"""
import importlib, pkgutil, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED.split()!r}:
            raise ImportError(f"{{name}} isn't part of the product")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, "policies")
import lockstep, components, lockstep_policies
names = []
for package in (lockstep, components, lockstep_policies):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
        names.append(found.name)
print(len(names))
"""


def test_program_command_and_policies_import_nothing_of_the_sandbox() -> None:
    """On AWS there is no moto, and a preview must not need one."""
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_wheel_holds_the_command_and_nothing_of_the_sandbox(tmp_path: Path) -> None:
    """What is installed beside an application must not bring packages called `sandbox` or `tests`."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "lockstep").symlink_to(ROOT / "lockstep")
    (copy / "sandbox").symlink_to(ROOT / "sandbox")
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(copy)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"lockstep/cli.py", "lockstep/commands/up.py", "lockstep/config/models.py"} <= set(names)
    assert {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")} == {"lockstep"}
