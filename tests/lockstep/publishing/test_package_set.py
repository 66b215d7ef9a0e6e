"""What can be published, and what is refused before anything is sent."""

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.errors import InvalidInputError
from lockstep.publishing import package_set, repodata
from lockstep.publishing.package_set import find, read
from lockstep.publishing.rpm_header import NotAnRpmError
from tests.sandbox.machine.rpm_writer import File, Spec, build

ORDERS = Spec("orders", {"/usr/share/orders/version": File("1.0.0")}, version="1.0.0")
RPM = build(ORDERS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rpms"
    made.mkdir()
    return made


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(InvalidInputError) as caught:
        work()
    assert caught.value.remedy
    return caught.value.message


def opened(folder: Path) -> list[repodata.Package]:
    return repodata.open_packages(find(folder))


def damaged(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def test_files_are_found_in_folders_too_in_the_order_of_their_paths(folder: Path) -> None:
    """The manifest lists them so; in the order of the disk it would differ from machine to machine."""
    (folder / "b").mkdir()
    for path in ("c.txt", "b/z.txt", "b/a.txt", "a.txt"):
        (folder / path).write_text(path)
    assert [file.path for file in find(folder)] == ["a.txt", "b/a.txt", "b/z.txt", "c.txt"]


def test_a_link_within_the_folder_is_the_file_that_it_leads_to(folder: Path) -> None:
    """`latest.rpm -> orders-1.0.0.rpm` is usual; its size and time are those of the file."""
    (folder / "file").write_text("content")
    (folder / "link").symlink_to("file")
    assert [(file.path, file.size) for file in find(folder)] == [("file", 7), ("link", 7)]


def test_everything_that_cant_be_published_is_named_at_once(folder: Path, tmp_path: Path) -> None:
    """Whoever corrects one thing after the other runs this as many times as there are mistakes."""
    (tmp_path / "secret").write_text("not part of it")
    (tmp_path / "outside").mkdir()
    (folder / "inside").mkdir()
    (folder / "to-file").symlink_to(tmp_path / "secret")
    (folder / "to-folder").symlink_to(tmp_path / "outside")
    (folder / "to-inside").symlink_to("inside")
    (folder / "to-nothing").symlink_to("nothing")
    (folder / "to-itself").symlink_to("to-itself")
    os.mkfifo(folder / "pipe")
    (folder / "line\nbreak").write_text("x")
    message = refused(lambda: find(folder))
    for expected in (
        f"to-file is a link to {tmp_path}/secret, outside of the folder",
        "to-folder is a link to",
        "to-inside is a link to a folder",
        "to-nothing is a link that leads nowhere",
        "to-itself is a link that leads nowhere",
        "pipe isn't a file",
        "'line\\nbreak' can't be the name of an object",
    ):
        assert expected in message


def test_a_file_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found when everything else has been sent, it would be found late. (Root may read anything, tests run as root.)"""
    (folder / "private").write_text("x")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "private")
    assert "private can't be read: permission denied" in refused(lambda: find(folder))


def test_an_empty_folder_is_no_release(folder: Path) -> None:
    """A wrong path, or a build that made nothing, must not become a release without packages."""
    (folder / "empty").mkdir()
    assert "is empty" in refused(lambda: find(folder))
    assert "isn't a folder" in refused(lambda: find(folder / "nothing"))
    (folder / "circle").symlink_to("circle")
    assert "isn't a folder" in refused(lambda: find(folder / "circle"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"not an rpm at all", "it doesn't begin as an RPM does", id="something-else"),
        pytest.param(b"", "it doesn't begin as an RPM does", id="empty"),
        pytest.param(RPM[:50], "it is cut off in its header", id="cut-off-in-the-lead"),
        pytest.param(RPM[:400], "it is cut off in its header", id="cut-off-in-the-header"),
        pytest.param(RPM[:-10], "it is cut off", id="cut-off-in-the-payload"),
        pytest.param(RPM + b"x", f"was packed with {len(RPM)}", id="longer"),
        pytest.param(damaged(RPM, RPM.index(b"Made for a test")), "its header has sha256", id="damaged-header"),
    ],
)
def test_an_rpm_that_isnt_whole_is_refused_before_anything_is_sent(folder: Path, content: bytes, expected: str) -> None:
    """dnf refuses it on every instance, after the old release was stopped there."""
    (folder / "orders.rpm").write_bytes(content)
    (folder / "other.rpm").write_bytes(b"neither is this")
    message = refused(lambda: opened(folder))
    assert "orders.rpm isn't a whole RPM" in message
    assert expected in message
    assert "other.rpm isn't a whole RPM" in message


def test_a_damaged_payload_is_refused_when_the_file_is_read(folder: Path) -> None:
    """A bad disk or a broken copy leaves name, size and header as they were."""
    (folder / "orders.rpm").write_bytes(damaged(RPM, len(RPM) - 5))
    (package,) = opened(folder)
    message = refused(lambda: read(package.file, package.header))
    assert "orders.rpm isn't a whole RPM: its payload has sha256" in message


def test_a_damaged_payload_of_a_large_package_is_refused_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files are read a part at a time, and the payload begins and ends anywhere in them."""
    content = build(Spec("orders", {"/data": File(os.urandom(50_000))}, compressor="zstd"))
    monkeypatch.setattr(package_set, "IN_MEMORY_MAX", 1000)
    monkeypatch.setattr(package_set, "PART_SIZE", 777)
    (folder / "good.rpm").write_bytes(content)
    (folder / "bad.rpm").write_bytes(damaged(content, len(content) - 5))
    bad, good = opened(folder)
    assert good.file.is_large
    assert len(read(good.file, good.header).parts) == -(-len(content) // 777)
    assert "its payload has sha256" in refused(lambda: read(bad.file, bad.header))


def test_an_rpm_that_is_cut_off_after_it_was_found_is_named_with_the_others(folder: Path) -> None:
    """A copy that is begun anew is shorter for a moment: whoever waits for the rest of it waits for ever."""
    for name in ("a.rpm", "b.rpm"):
        (folder / name).write_bytes(RPM)
    (folder / "c.rpm").write_bytes(b"not an rpm at all")
    files = find(folder)
    (folder / "a.rpm").write_bytes(RPM[:400])
    (folder / "b.rpm").write_bytes(RPM[:50])
    message = refused(lambda: repodata.open_packages(files))
    assert "a.rpm was changed while it was read" in message
    assert "b.rpm was changed while it was read" in message
    assert "c.rpm isn't a whole RPM" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda path: path.unlink(), "large was changed while it was read", id="deleted"),
        pytest.param(lambda path: path.write_bytes(b"x" * 15), "large was changed while it was read", id="shorter"),
        pytest.param(lambda path: path.write_bytes(b"x" * 10), "large was changed while it was read", id="a-part-less"),
        pytest.param(lambda path: path.write_bytes(b"x" * 200), None, id="longer"),
    ],
)
def test_a_large_file_has_the_parts_that_its_size_says_or_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], expected: str | None
) -> None:
    """It is read twice, and the second time must not be of more parts, or of others, than the first."""
    monkeypatch.setattr(package_set, "PART_SIZE", 10)
    (folder / "large").write_bytes(b"x" * 25)
    (file,) = find(folder)
    change(folder / "large")
    if expected is None:
        assert [len(part) for part in package_set.parts_of(file)] == [10, 10, 5]
    else:
        assert expected in refused(lambda: list(package_set.parts_of(file)))
    assert "large was changed while it was read" in refused(lambda: package_set.check_unchanged(file))


def test_a_large_file_that_cant_be_read_is_named_with_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad disk isn't a build that is still writing: waiting doesn't help."""
    (folder / "large").write_bytes(b"x" * 25)
    (file,) = find(folder)

    def read(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(package_set, "_read_exactly", read)
    assert "large can't be read: Input/output error" in refused(lambda: list(package_set.parts_of(file)))


def test_packages_from_before_payload_digests_are_checked_by_their_md5(folder: Path) -> None:
    """RPMs built before 2017 have only that, of header and payload; vendors still ship some."""
    (folder / "orders.rpm").write_bytes(RPM)
    header = opened(folder)[0].header
    told = hashlib.md5(RPM[header.header_start :], usedforsecurity=False).hexdigest()
    old = replace(header, payload_sha256=None, md5_told=told)
    old.check_payload(memoryview(RPM))
    with pytest.raises(NotAnRpmError, match="its payload has md5"):
        old.check_payload(memoryview(damaged(RPM, len(RPM) - 1)))


def test_two_different_packages_of_one_name_are_refused(folder: Path) -> None:
    """dnf takes any of the two, and instances may differ."""
    (folder / "a.rpm").write_bytes(RPM)
    (folder / "same.rpm").write_bytes(RPM)
    (folder / "z.rpm").write_bytes(build(Spec("orders", {"/other": File("x")}, version="1.0.0")))
    message = refused(lambda: opened(folder))
    assert "a.rpm and z.rpm are both orders-0:1.0.0-1.noarch, with different content" in message
    assert "same.rpm" not in message


def test_a_header_longer_than_the_first_read_is_read_whole(folder: Path) -> None:
    """Packages with many thousands of files have headers of megabytes."""
    files = {f"/usr/share/orders/{number:05}": File("x") for number in range(3000)}
    content = build(Spec("orders", files))
    (folder / "orders.rpm").write_bytes(content)
    (package,) = opened(folder)
    assert package.header.payload_start > 100_000
    read(package.file, package.header)
