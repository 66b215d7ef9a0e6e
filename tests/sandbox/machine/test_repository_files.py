"""Which repositories dnf would use, and how."""

from pathlib import Path

import pytest

from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem
from sandbox.machine.repository_files import CONFIGURATION, Repository, enabled_repositories, prepare

URL = "https://b.s3.eu-west-1.amazonaws.com/"


@pytest.fixture
def system(tmp_path: Path) -> FileSystem:
    system = FileSystem(tmp_path)
    prepare(system)
    return system


def read(system: FileSystem, text: str, folder: str = "/etc/yum.repos.d") -> list[Repository]:
    system.write(f"{folder}/x.repo", text.encode())
    return enabled_repositories(system, "aarch64")


def test_a_repository_has_dnfs_defaults_and_the_images(system: FileSystem) -> None:
    """Signatures are checked unless the repository says otherwise: so it is on the image."""
    assert read(system, f"[x]\nbaseurl={URL}\n") == [Repository("x", URL, gpgcheck=True, skip_if_unavailable=True)]


def test_a_repository_is_stronger_than_the_configuration(system: FileSystem) -> None:
    """Our user data sets gpgcheck=0 for its own repository only."""
    text = f"[x]\nbaseurl={URL}\ngpgcheck=0\nskip_if_unavailable=no\ngpgkey=file:///a,\n  file:///b\n"
    assert read(system, text) == [
        Repository("x", URL, gpgcheck=False, gpgkeys=("file:///a", "file:///b"), skip_if_unavailable=False)
    ]


def test_variables_are_expanded(system: FileSystem) -> None:
    """$basearch is how a repository for several architectures names its folders."""
    (found,) = read(system, f"[x]\nbaseurl={URL}$basearch/${{arch}}/\n")
    assert found.baseurl == f"{URL}aarch64/aarch64/"


def test_reposdir_takes_the_place_of_the_usual_folder(system: FileSystem) -> None:
    """It is appended to the image's file, as our user data does."""
    read(system, f"[usual]\nbaseurl={URL}\n")
    system.write(CONFIGURATION, b"\nreposdir=/a, /b\n", append=True)
    system.write("/a/1.repo", f"[one]\nbaseurl={URL}\n[two]\nenabled=0\nbaseurl={URL}\n".encode())
    assert [each.name for each in read(system, f"[three]\nbaseurl={URL}\n", "/b")] == ["one", "three"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x]\nbaseurl=", "repository x (/etc/yum.repos.d/x.repo) has 0 baseurl"),
        (f"[x]\nbaseurl={URL} {URL}", "has 2 baseurl"),
        (f"[x]\nbaseurl={URL}\nmetalink=y", "doesn't support metalink of repository x"),
        (f"[x]\nbaseurl={URL}\nenabled=maybe", "enabled=maybe of repository x is neither true nor false"),
        (f"[x]\nbaseurl={URL}$releasever", "doesn't know the variable $releasever of repository x"),
        ("baseurl=x", "/etc/yum.repos.d/x.repo can't be read"),
    ],
)
def test_what_dnf_would_do_and_the_sandbox_does_not_is_refused(system: FileSystem, text: str, expected: str) -> None:
    """Ignored, another set of packages would be installed."""
    with pytest.raises(BootError) as caught:
        read(system, text)
    assert expected in str(caught.value)


def test_options_of_the_configuration_are_refused_too(system: FileSystem) -> None:
    """A proxy in dnf.conf decides whether anything is reached at all."""
    system.write(CONFIGURATION, b"proxy=http://x\n", append=True)
    with pytest.raises(BootError, match=r"doesn't support proxy in /etc/dnf/dnf\.conf"):
        enabled_repositories(system, "aarch64")
