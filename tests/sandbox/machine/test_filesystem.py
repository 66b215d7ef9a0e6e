"""A machine's file system: links are followed as on the machine, and nothing leads out of it."""

from pathlib import Path

import pytest

from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem


@pytest.fixture
def system(tmp_path: Path) -> FileSystem:
    (tmp_path / "root").mkdir()
    return FileSystem(tmp_path / "root")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/etc/x", "etc/x"),
        ("etc//x", "etc/x"),
        ("/../../x", "x"),
        ("/usr/../etc/x", "etc/x"),
        ("/", ""),
        ("//x", "x"),
    ],
)
def test_a_path_begins_at_the_machines_root(system: FileSystem, path: str, found: str) -> None:
    """`..` would leave the machine."""
    assert system.locate(path) == system.root / found


def test_links_are_followed_as_on_the_machine(system: FileSystem) -> None:
    """/lib is a link to usr/lib on the image, and absolute links lead into the machine, not into the host."""
    system.write("/usr/lib/file", b"content")
    (system.root / "lib").symlink_to("usr/lib")
    (system.root / "absolute").symlink_to("/usr/lib/file")
    (system.root / "escape").symlink_to("../../../../etc")
    assert system.read_text("/lib/file") == system.read_text("/absolute") == "content"
    assert system.locate("/escape/passwd") == system.root / "etc/passwd"
    assert system.locate("/absolute", follow=False) == system.root / "absolute"
    assert system.locate("/lib/file", follow=False) == system.root / "usr/lib/file"


def test_links_in_a_circle_are_refused(system: FileSystem) -> None:
    """The machine would hang instead of saying what is wrong."""
    (system.root / "a").symlink_to("b")
    (system.root / "b").symlink_to("/a")
    with pytest.raises(BootError, match="too many levels of symbolic links"):
        system.locate("/a")


def test_writing_into_the_machine_does_not_follow_a_link_out_of_it(system: FileSystem, tmp_path: Path) -> None:
    """write_files after a package could otherwise write to the developer's disk."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (system.root / "out").symlink_to(outside)
    system.write("/out/file", b"x")
    assert list(outside.iterdir()) == []


def test_something_in_the_way_is_refused_by_path(system: FileSystem) -> None:
    """A file where a folder should be has to be named."""
    system.write("/etc", b"")
    with pytest.raises(BootError, match="/etc/x can't be written"):
        system.write("/etc/x", b"")
