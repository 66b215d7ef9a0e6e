"""The repository's metadata: what createrepo_c would say of the whole files, the same bytes anywhere."""

import gzip
import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lockstep.publishing import repodata
from lockstep.publishing.package_set import find, read
from tests.sandbox.machine.rpm_writer import File, Spec, build

SPECS = (
    Spec("orders", {"/usr/share/orders/version": File("1.0.0")}, version="1.0.0", requires=["library >= 2"]),
    Spec("library", {"/usr/lib/library": File("x" * 5000)}, version="2.1", arch="x86_64"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rpms"
    made.mkdir()
    for spec in SPECS:
        (made / spec.filename).write_bytes(build(spec))
    return made


def repository(folder: Path) -> dict[str, bytes]:
    packages = repodata.open_packages(find(folder))
    contents = {package.file.path: read(package.file, package.header) for package in packages}
    return {file.path: file.content for file in repodata.metadata(packages, contents)}


def unpacked(files: dict[str, bytes], kind: str) -> str:
    (content,) = [content for path, content in files.items() if path.endswith(f"-{kind}.xml.gz")]
    return gzip.decompress(content).decode()


def test_it_says_what_createrepo_c_says_of_the_whole_files(folder: Path) -> None:
    """createrepo_c gets only the headers here: what it can't see must have been filled in rightly."""
    text = unpacked(repository(folder), "primary")
    with repodata.createrepo() as (library, _):
        for spec in SPECS:
            path = folder / spec.filename
            whole = library.package_from_rpm(str(path), library.SHA256)
            whole.time_file = whole.time_build
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.location_href = f"../../packages/{digest}/{spec.filename}"
            assert library.xml_dump_primary(whole) in text


def test_it_is_the_same_wherever_and_whenever_it_is_made(folder: Path, tmp_path: Path) -> None:
    """A time in it, or an order of the disk, would make another release of the same packages."""
    other = tmp_path / "other"
    other.mkdir()
    for number, spec in enumerate(reversed(SPECS)):
        path = other / spec.filename
        path.write_bytes((folder / spec.filename).read_bytes())
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    assert repository(folder) == repository(other)


def test_repomd_lists_the_others_with_their_digests_and_is_last(folder: Path) -> None:
    """dnf compares each with what is listed, and takes nothing else."""
    files = repository(folder)
    *others, last = files
    assert last == "repodata/repomd.xml"
    root = ElementTree.fromstring(files[last])
    listed = {
        data.find("{*}location").get("href"): data.findtext("{*}checksum")  # type: ignore[union-attr]
        for data in root.findall("{*}data")
    }
    assert listed == {path: hashlib.sha256(files[path]).hexdigest() for path in others}
    assert len(others) == 3


def test_a_file_that_is_there_twice_is_listed_once(folder: Path) -> None:
    """dnf warns of a package that is listed twice on every instance, at every call."""
    (folder / "copy.rpm").write_bytes((folder / SPECS[0].filename).read_bytes())
    assert 'packages="2"' in unpacked(repository(folder), "primary")


def test_a_plus_in_a_files_name_is_left_for_dnf_to_encode(folder: Path) -> None:
    """dnf encodes what is listed; encoded twice it isn't found."""
    spec = Spec("c++lib", {"/a": File("x")}, version="1~rc1")
    (folder / spec.filename).write_bytes(build(spec))
    assert re.search(r'href="[^"]*/c\+\+lib-1~rc1-1\.noarch\.rpm"', unpacked(repository(folder), "primary"))


def test_a_release_without_packages_has_a_repository_that_lists_none(tmp_path: Path) -> None:
    """An empty repository is valid; what makes it none must not be a failure in the middle of publishing."""
    (tmp_path / "notes").write_text("x")
    assert 'packages="0"' in unpacked(repository(tmp_path), "primary")


def test_nothing_is_said_where_rpm_isnt_installed(folder: Path) -> None:
    """The RPM library in createrepo_c complains of its missing configuration, on every machine without rpm."""
    code = (
        "import sys; from pathlib import Path; from lockstep.publishing import package_set, repodata; "
        "print(len(repodata.open_packages(package_set.find(Path(sys.argv[1])))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
    assert done.stderr == ""
