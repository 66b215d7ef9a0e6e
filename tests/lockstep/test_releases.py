"""`lockstep releases`: what each region has of each release, by reading only."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.errors import ExitCode
from tests.lockstep.publishing.conftest import regions, write_folder
from tests.lockstep.publishing.regions import REGIONS, Regions, is_reading

__all__ = ["regions", "write_folder"]

WriteFolder = Callable[..., Path]

FIRST, SECOND = REGIONS


def listed(regions: Regions) -> dict[str, dict[str, object]]:
    """`lockstep releases --json`."""
    done = regions.run("releases", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)["releases"]
    return found


def test_releases_are_listed_oldest_first_with_their_state_in_each_region(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """1.10 comes after 1.9; as text it would not, and the wrong one would be taken for the newest."""
    for version in ("1.10.0", "1.9.0"):
        regions.publish(write_folder(version, f"folder-{version}"), version)
    done = regions.run("releases")
    assert done.returncode == ExitCode.DONE, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split()[:3] == ["release", *REGIONS]
    assert [row.split()[:3] for row in rows] == [
        ["1.9.0", "published", "published"],
        ["1.10.0", "published", "published"],
    ]
    found = listed(regions)
    assert list(found) == ["1.9.0", "1.10.0"]
    record = regions.record(FIRST, "1.9.0")
    assert record is not None
    assert found["1.9.0"]["digest"] == record["digest"]
    assert found["1.9.0"]["complete"] is True


def test_it_only_reads(regions: Regions, write_folder: WriteFolder) -> None:
    """Somebody who looks, with a role that may only look, must get an answer and change nothing."""
    regions.publish(write_folder())
    calls = regions.calls_of(lambda: regions.run("releases"))
    assert calls
    assert all(is_reading(call) for call in calls), calls


def test_no_release_at_all_is_an_empty_list(regions: Regions) -> None:
    """The state of every new installation."""
    assert listed(regions) == {}


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("noarch.rpm", f"{SECOND} lacks packages/"),
        ("repomd.xml", f"{SECOND} lacks releases/1.0.0/repodata/repomd.xml of release 1.0.0"),
        ("manifest.json", f"{SECOND} has no releases/1.0.0/manifest.json"),
    ],
)
def test_what_a_region_lacks_is_named(regions: Regions, write_folder: WriteFolder, ending: str, expected: str) -> None:
    """A release that is incomplete in one site can't be deployed, and looks published in the other."""
    regions.publish(write_folder())
    regions.delete(SECOND, regions.key(SECOND, ending))
    done = regions.run("releases")
    assert done.returncode == ExitCode.DONE
    assert expected in done.stderr
    assert done.stdout.splitlines()[1].split()[:3] == ["1.0.0", "published", "incomplete"]
    assert listed(regions)["1.0.0"]["complete"] is False


def test_a_release_that_was_broken_off_is_listed_as_unrecorded(regions: Regions, write_folder: WriteFolder) -> None:
    """Whoever wonders why it can't be deployed finds here that publishing wasn't completed, and where."""
    regions.set_faults({"kind": "deny", "operation": "PutParameter", "region": SECOND})
    folder = write_folder()
    assert regions.run("publish", "1.0.0", str(folder), "--yes").returncode == ExitCode.INCOMPLETE
    regions.set_faults()
    done = regions.run("releases")
    assert done.stdout.splitlines()[1].split()[:3] == ["1.0.0", "published", "unrecorded"]
    assert f"{SECOND} has no record of release 1.0.0: publish it again to complete it" in done.stderr


def test_a_damaged_manifest_hides_no_other_release(regions: Regions, write_folder: WriteFolder) -> None:
    """One object that somebody has overwritten must not make the whole list unreadable."""
    regions.publish(write_folder("1.0.0", "a"))
    regions.publish(write_folder("1.1.0", "b"), "1.1.0")
    regions.overwrite(FIRST, "releases/1.0.0/manifest.json", b"{}")
    found = listed(regions)
    assert found["1.1.0"]["complete"] is True
    assert any("isn't a manifest of a release" in problem for problem in found["1.0.0"]["problems"])  # type: ignore[attr-defined]


def test_a_region_that_doesnt_answer_is_named(regions: Regions) -> None:
    """An empty answer of a region that is down would look as if nothing was published there."""
    regions.set_faults({"kind": "refuse", "region": SECOND})
    done = regions.run("releases")
    assert done.returncode == ExitCode.REGION_UNREACHABLE
    assert SECOND in done.stderr
