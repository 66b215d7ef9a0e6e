"""Set-up: which Pulumi CLI is used, what is said when something is missing, and that nothing is done twice."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import setup


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but this folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("version", "used"), [("v3.259.0", True), ("3.300.1", True), ("v4.0.0", True), ("v3.258.9", False)]
)
def test_installed_cli_is_used_if_new_enough(
    bin_folder: Path, version: str, used: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old engine fails later, in words that nobody connects with its age."""
    executable(bin_folder / "pulumi", f"echo {version}")
    executable(bin_folder / "pulumi-language-python", "")
    assert setup.usable_pulumi() is used
    named = capsys.readouterr().err
    assert ("older than 3.259.0: it is not used" in named) is not used


def test_cli_without_language_host_is_not_used(bin_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CLI that `go install` built can't run a Python program."""
    executable(bin_folder / "pulumi", "echo v3.259.0")
    assert not setup.usable_pulumi()
    assert "no pulumi-language-python beside it" in capsys.readouterr().err


def test_cli_that_tells_no_version_is_not_used(bin_folder: Path) -> None:
    """Something else may be called pulumi."""
    executable(bin_folder / "pulumi", "exit 1")
    executable(bin_folder / "pulumi-language-python", "")
    assert not setup.usable_pulumi()


def test_our_own_build_does_not_count_as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `lockstep sandbox env` in the shell, our build is first on PATH; removing it would remove the only one."""
    monkeypatch.setenv("PATH", str(setup.BIN))
    assert setup.installed_pulumi() is None


def test_no_cli_and_no_go_is_one_line_with_the_way_on(bin_folder: Path) -> None:
    """The whole answer, on the machine of somebody who has just cloned this."""
    with pytest.raises(SystemExit) as ended:
        setup.go_command()
    message = str(ended.value)
    assert message.count("\n") == 0
    assert "pulumi.com/docs/install" in message
    assert "go.dev/doc/install" in message


def test_python_that_is_too_old_is_one_line(tmp_path: Path) -> None:
    """`make setup` uses whatever `python3` is; an older one must get as far as the check."""
    text = (ROOT / "tools" / "setup.py").read_text().replace("(3, 11)", "(99, 0)")
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "setup.py").write_text(text)
    old = "import sys, runpy; sys.modules['tomllib'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", old, folder / "setup.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: Python 3.11 or newer is needed")
    assert done.stderr.count("\n") == 1


def test_go_that_is_too_old_is_one_line(bin_folder: Path) -> None:
    """Otherwise the answer is a page of the compiler's."""
    executable(bin_folder / "go", "exit 1")
    with pytest.raises(SystemExit, match=r"older than Go 1\.26"):
        setup.go_command()


def test_second_run_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every make target runs set-up first."""
    monkeypatch.setattr(setup, "run", lambda command, *_, **__: pytest.fail(f"ran {command}"))
    setup.main()


def test_changed_lock_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a pull with a new lock the old packages would stay."""
    for name in ("requirements-dev.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    commands: list[str] = []
    monkeypatch.setattr(setup, "run", lambda command, *_, **__: commands.append(" ".join(map(str, command))))
    (tmp_path / ".venv").mkdir()
    setup.set_up_venv()
    assert any("--require-hashes" in command for command in commands)
    commands.clear()
    setup.set_up_venv()
    assert commands == []
    (tmp_path / "requirements-dev.txt").write_text("other")
    setup.set_up_venv()
    assert commands


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    """A lock that names an index installs from there, wherever the user's own settings point."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--find-links" not in text
    pins = [line for line in text.splitlines() if line and line[0].isalpha()]
    assert pins
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)


def test_product_lock_is_a_part_of_the_development_lock() -> None:
    """Two versions of one package would mean that what is tested isn't what runs."""

    def pins(name: str) -> set[str]:
        return {line.split(" ")[0] for line in (ROOT / name).read_text().splitlines() if line and line[0].isalpha()}

    assert pins("requirements.txt") <= pins("requirements-dev.txt")
