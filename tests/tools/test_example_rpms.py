"""`make example-rpms`: the same bytes from the same sources, and what differs if they aren't the same."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.debian import ROOT, needs
from tests.sandbox.machine.rpm_writer import File, Spec
from tests.sandbox.machine.rpm_writer import build as write_rpm
from tools import example_rpms
from tools.example_rpms import COMMITTED, SOURCES, VERSIONS, FailedError, build, differences, main, strangers

FIRST, SECOND = VERSIONS[:2]


def committed(version: example_rpms.Version) -> Path:
    return COMMITTED / version.version / version.file


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["example_rpms.py", *arguments])
    return main()


@needs("rpmbuild")
def test_the_committed_packages_are_what_the_sources_give(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that nobody can build again can't be trusted."""
    assert run_main(monkeypatch) == 0, capsys.readouterr().err
    assert f"{len(VERSIONS)} packages, each as committed, byte for byte" in capsys.readouterr().err


@needs("rpmbuild")
def test_folder_times_umask_zone_and_language_leave_no_trace(tmp_path: Path) -> None:
    """A checkout elsewhere, by somebody else and years later, has to give the same bytes."""
    sources = tmp_path / "some where" / "else"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("rpms"))
    for path in sources.iterdir():
        path.chmod(0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    program = f"""
import sys
from pathlib import Path
from tools.example_rpms import VERSIONS, build
build(VERSIONS[0], Path({str(tmp_path)!r}), Path({str(sources)!r}))
"""
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "TMPDIR": str(tmp_path)},
        umask=0o077,
        check=True,
    )
    assert (tmp_path / FIRST.file).read_bytes() == committed(FIRST).read_bytes()


@needs("rpmbuild")
def test_a_difference_is_named_by_file_and_tag() -> None:
    """ "Differs" alone sends people to a hex editor."""
    lines = differences(committed(SECOND), committed(FIRST))
    assert lines[0].startswith(f"{FIRST.file}: {committed(FIRST).stat().st_size} bytes, sha256 ")
    assert any(line.startswith("  file /usr/lib/orders/settings.json: committed ") for line in lines)
    assert "  tag Version: committed 1.0.0, built 1.1.0" in lines
    assert not any("orders.py" in line or "tag Size" in line for line in lines)


@needs("rpmbuild")
def test_a_file_that_only_one_has_is_named(tmp_path: Path) -> None:
    """A file that a change of the spec dropped is found at installation otherwise."""
    more, less = tmp_path / "more.rpm", tmp_path / "less.rpm"
    one, other = File("one"), File("other")
    less.write_bytes(write_rpm(Spec("x", {"/usr/lib/one": one})))
    more.write_bytes(write_rpm(Spec("x", {"/usr/lib/one": one, "/usr/lib/other": other})))
    (missing,) = [line for line in differences(less, more) if line.startswith("  file ")]
    (added,) = [line for line in differences(more, less) if line.startswith("  file ")]
    assert missing.startswith("  file /usr/lib/other: committed 5 ")
    assert missing.endswith("built without it")
    assert added.startswith("  file /usr/lib/other: committed without it, built 5 ")


@needs("rpmbuild")
def test_another_packing_of_the_same_is_named_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another zlib packs otherwise, and everything in the package is as it was."""
    one, other = tmp_path / "one.rpm", tmp_path / "other.rpm"
    spec = Spec("x", {"/usr/lib/one": File("one " * 100)})
    one.write_bytes(write_rpm(spec))
    pack = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda data, *_, **__: pack(data, 0, mtime=0))
    other.write_bytes(write_rpm(spec))
    lines = differences(other, one)
    assert len(lines) > 1
    assert all(line.startswith(("  tag Payloaddigest", "  tag S", "  tag Archivesize")) for line in lines[1:]), lines


@needs("rpmbuild")
def test_a_package_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It would count as one without tags."""
    broken = tmp_path / FIRST.file
    broken.write_bytes(b"no package")
    with pytest.raises(FailedError, match=rf"rpm can't read {broken}: "):
        differences(broken, committed(FIRST))


@needs("rpmbuild")
def test_a_spec_that_does_not_build_is_said_in_rpmbuilds_words(tmp_path: Path) -> None:
    """Whoever changed the spec needs the line."""
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("rpms", "orders.socket"))
    with pytest.raises(FailedError, match=r"rpmbuild failed for 1\.0\.0:\n[^$]*orders\.socket"):
        build(FIRST, tmp_path / "built", sources)


def test_a_package_that_is_not_committed_is_named(tmp_path: Path) -> None:
    """A new version in the list, and no package of it."""
    assert differences(committed(FIRST), tmp_path / "orders-2.rpm") == [
        "orders-2.rpm isn't committed: `python tools/example_rpms.py --write` writes it"
    ]


def test_what_is_committed_and_not_built_is_named(tmp_path: Path) -> None:
    """An RPM of a version that was taken out of the list is never compared again."""
    left = tmp_path / "0.9.0" / "orders-0.9.0-1.noarch.rpm"
    left.parent.mkdir()
    left.touch()
    assert strangers(COMMITTED) == []
    assert strangers(tmp_path) == [
        "0.9.0/orders-0.9.0-1.noarch.rpm is committed, and isn't one of those that are built: remove it"
    ]


@needs("rpmbuild")
def test_only_write_replaces_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison that mends what it compares never fails."""
    folder = tmp_path / "rpms"
    shutil.copytree(COMMITTED, folder)
    monkeypatch.setattr(example_rpms, "COMMITTED", folder)
    changed = folder / SECOND.version / SECOND.file
    shutil.copyfile(committed(FIRST), changed)
    assert run_main(monkeypatch) == 1
    assert "tag Version: committed 1.0.0, built 1.1.0" in capsys.readouterr().err
    assert changed.read_bytes() == committed(FIRST).read_bytes()
    assert run_main(monkeypatch, "--write") == 0
    assert changed.read_bytes() == committed(SECOND).read_bytes()
    assert strangers(folder) == []


def test_without_rpmbuild_it_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that happens to somebody who doesn't use make."""
    monkeypatch.setattr(example_rpms, "RPMBUILD", tmp_path / "rpmbuild")
    assert run_main(monkeypatch) == 1
    assert "run `make tools-debian`" in capsys.readouterr().err
