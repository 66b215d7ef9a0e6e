"""`make tools-debian`: Debian's programs without installing them, done once, and never left half done."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests import debian as debian_tests
from tests.debian import MISSING, needs, run
from tools import debian
from tools.debian import SETS, FailedError, Set, fetch

PROGRAM = """#!/bin/sh
echo "hello $* config=$RPM_CONFIGDIR libraries=$LD_LIBRARY_PATH"
"""
START = 'exec "$root/usr/bin/%(name)s" "$@"'
HELLO = Set(("hello",), {"hello": START})


class Apt:
    """Stands in for apt-get on the PATH: writes down how it was called, and `downloads` the package that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        self.package = folder / "hello.deb"
        self.lists = folder / "lists"
        self.lists.touch()
        self.build(PROGRAM)
        apt = folder / "bin" / "apt-get"
        apt.parent.mkdir()
        apt.write_text(
            f"""#!/bin/sh
echo "$*" >> '{self.calls_file}'
case " $* " in *" update "*) touch '{self.lists}'; exit 0;; esac
if [ ! -e '{self.lists}' ]; then echo 'E: Unable to locate package hello' >&2; exit 100; fi
for each in "$@"; do
  case "$each" in Dir::Cache::archives=*) cp '{self.package}' "${{each#*=}}/";; esac
done
"""
        )
        apt.chmod(0o755)

    def build(self, program: str) -> None:
        """The package, with `program` as its program."""
        content = self.folder / "content"
        (content / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (content / "DEBIAN" / "control").write_text(
            "Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: says hello\n"
        )
        for folder in ("usr/bin", "usr/lib/some-linux-gnu"):
            (content / folder).mkdir(parents=True, exist_ok=True)
        path = content / "usr" / "bin" / "hello"
        path.write_text(program)
        path.chmod(0o755)
        subprocess.run(["dpkg-deb", "--build", content, self.package], check=True, capture_output=True)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("only where there is a dpkg-deb")
    folder = tmp_path / "apt"
    folder.mkdir()
    made = Apt(folder)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setitem(SETS, "hello", HELLO)
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the tools go: a path with a blank, as checkouts have."""
    return tmp_path / "some where"


def test_the_programs_run_where_they_are_unpacked(apt: Apt, target: Path) -> None:
    """Debian's programs look in /usr for their libraries and their configuration."""
    assert fetch("hello", target) is True
    moved = target.rename(target.with_name("moved"))
    done = subprocess.run([moved / "hello" / "bin" / "hello", "a b"], capture_output=True, text=True, check=True)
    root = moved / "hello" / "root"
    assert done.stdout.startswith(f"hello a b config={root}/usr/lib/rpm libraries={root}/usr/lib/some-linux-gnu")
    assert sorted(path.name for path in (moved / "hello").iterdir()) == ["bin", "complete", "root"]


def test_only_what_is_missing_is_downloaded_and_nothing_is_installed(apt: Apt, target: Path) -> None:
    """A tool that changes the machine of whoever runs the tests isn't run twice. What is installed here is of another
    version, and is fetched all the same.
    """
    fetch("hello", target)
    (call,) = apt.calls
    words = call.split()
    assert {"--download-only", "--reinstall", "--no-install-recommends"} <= set(words)
    assert words[-2:] == ["install", "hello"]


def test_a_second_run_does_nothing(apt: Apt, target: Path) -> None:
    """It is part of every run of CI and of `make example-rpms`."""
    fetch("hello", target)
    assert fetch("hello", target) is False
    assert len(apt.calls) == 1


def test_a_set_that_has_changed_is_fetched_anew(apt: Apt, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that was there before a tool was added has no such tool, and says that all is there."""
    fetch("hello", target)
    (target / "hello" / "left").touch()
    monkeypatch.setitem(SETS, "hello", Set(("hello",), {"hello": START, "again": START.replace("%(name)s", "hello")}))
    assert fetch("hello", target) is True
    assert sorted(path.name for path in (target / "hello" / "bin").iterdir()) == ["again", "hello"]
    assert not (target / "hello" / "left").exists()


def test_two_runs_at_a_time_fetch_once(apt: Apt, target: Path) -> None:
    """Two shells, or CI and a person, in one checkout would unpack into each other's folder."""
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(fetch("hello", target))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False, False, False, True]
    assert len(apt.calls) == 1


def test_what_an_interrupted_run_has_left_is_not_used(apt: Apt, target: Path) -> None:
    """A folder with half of the tools that counts as whole fails every test that needs the other half."""
    for left in ("hello", "hello.new", "hello.old"):
        (target / left / "root" / "half").mkdir(parents=True)
    assert fetch("hello", target) is True
    assert not (target / "hello" / "root" / "half").exists()
    assert sorted(path.name for path in target.iterdir()) == ["hello", "lock"]


def test_a_program_that_does_not_start_is_an_error_and_changes_nothing(
    apt: Apt, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that is missing would show in a test of something else, as its failure."""
    fetch("hello", target)
    apt.build("#!/bin/sh\necho 'libother.so.1: cannot open shared object file' >&2\nexit 127\n")
    monkeypatch.setitem(SETS, "hello", Set(("hello", "other"), HELLO.programs))
    with pytest.raises(FailedError, match=r"hello --version` failed with status 127: libother\.so\.1: cannot open"):
        fetch("hello", target)
    assert (target / "hello" / "root" / "usr" / "bin" / "hello").read_text() == PROGRAM
    apt.build(PROGRAM)
    assert fetch("hello", target) is True


def test_without_lists_of_packages_root_gets_them(apt: Apt, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has none, and a machine that was off for a month has those of packages that are gone."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    apt.lists.unlink()
    assert fetch("hello", target) is True
    assert [call.split()[-1] for call in apt.calls] == ["hello", "update", "hello"]


def test_without_lists_of_packages_others_are_told_what_to_run(
    apt: Apt, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`apt-get update` is the one step that needs root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    apt.lists.unlink()
    with pytest.raises(FailedError, match=r"Unable to locate package hello\nRun `sudo apt-get update` once"):
        fetch("hello", target)
    assert len(apt.calls) == 1
    assert not (target / "hello").exists()


@pytest.mark.usefixtures("apt")
def test_elsewhere_than_on_debian_it_says_so(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product runs on macOS too; these tools don't."""
    monkeypatch.setenv("PATH", str(target))
    with pytest.raises(FailedError, match=r"apt-get isn't here: .* Use Debian or Ubuntu"):
        fetch("hello", target)


def test_the_command_line_names_sets(
    apt: Apt, target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that isn't one is an error before anything is downloaded."""
    monkeypatch.setattr("sys.argv", ["debian.py", "hello", "nonsense"])
    with pytest.raises(SystemExit) as ended:
        debian.main()
    assert ended.value.code == 2
    assert "no set is called nonsense: there are packages, chromium, hello" in capsys.readouterr().err
    assert apt.calls == []


@needs("dnf")
@pytest.mark.parametrize("name", sorted(SETS["packages"].programs))
def test_each_program_that_was_fetched_runs(name: str) -> None:
    """What CI fetches has to work on the machine that it was fetched to, whatever else is installed there."""
    done = run(name, "--version")
    assert done.returncode == 0, done.stderr
    assert any(character.isdigit() for character in done.stdout + done.stderr)


@pytest.mark.parametrize(("ci", "is_skipped"), [("1", False), ("", True)])
def test_a_missing_tool_skips_tests_but_not_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, is_skipped: bool
) -> None:
    """In CI, a comparison with dnf that isn't made must not look like one that went well."""
    monkeypatch.setattr(debian_tests, "FOLDER", tmp_path)
    monkeypatch.setenv("LOCKSTEP_CI", ci)
    assert needs("dnf").args == (is_skipped,)


@pytest.mark.parametrize(("reason", "counted"), [(MISSING, (MISSING, "s", "SKIPPED")), ("another reason", None)])
def test_what_is_not_run_is_counted_in_one_line(reason: str, counted: tuple[str, str, str] | None) -> None:
    """A line for each hides what else the summary says; not counting them hides that they weren't run."""
    longrepr = ("test_x.py", 1, f"Skipped: {reason}")
    report = pytest.TestReport("test_x.py::test_x", ("test_x.py", 1, "test_x"), {}, "skipped", longrepr, "setup")
    assert debian_tests.pytest_report_teststatus(report) == counted
