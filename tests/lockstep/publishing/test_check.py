"""Whether a release can be deployed: every kind of damage in one region's bucket is found, without a download."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep import aws as factory
from lockstep.errors import LockstepError, RegionUnreachableError
from lockstep.publishing.check import ReleaseCheck, check_release
from tests.lockstep.publishing.regions import APPLICATION, REGIONS, Regions, is_reading

WriteFolder = Callable[..., Path]
Damage = Callable[[Regions, str], None]

FIRST, SECOND = REGIONS


def check(regions: Regions, release: str = "1.0.0") -> ReleaseCheck:
    return check_release(factory.client, regions.open_buckets(), APPLICATION, release)


@pytest.fixture
def published(regions: Regions, write_folder: WriteFolder) -> Regions:
    regions.publish(write_folder(notes=b"read me"))
    return regions


def test_a_published_release_has_no_problems_and_nothing_is_downloaded(published: Regions) -> None:
    """`deploy` checks every time: packages of gigabytes can't be read for that."""
    found = check(published)
    assert (found.published, found.problems) == (True, ())
    calls = published.calls_of(lambda: check(published))
    assert all(is_reading(call) for call in calls)
    assert calls.count("s3 GetObject") == len(REGIONS)
    assert calls.count("s3 HeadObject") == 6 * len(REGIONS)


def test_what_was_never_published_is_told_from_what_is_damaged(regions: Regions) -> None:
    """The one needs `lockstep publish`, the other somebody who looks at what happened."""
    found = check(regions)
    assert not found.published
    assert len(found.problems) == len(REGIONS)


def _overwrite(ending: str, content: bytes) -> Damage:
    return lambda regions, region: regions.overwrite(region, regions.key(region, ending), content)


def _delete(ending: str) -> Damage:
    return lambda regions, region: regions.delete(region, regions.key(region, ending))


def _delete_record(regions: Regions, region: str) -> None:
    regions.aws("ssm", region).delete_parameter(Name=f"/lockstep/{APPLICATION}/releases/1.0.0")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(_overwrite("/notes", b"DAMAGED"), "(notes) has SHA-256 checksum", id="same-size"),
        pytest.param(_overwrite("/notes", b"longer than it was"), "(notes) has 18 bytes, not 7", id="other-size"),
        pytest.param(_delete("noarch.rpm"), "(orders-1.0.0-1.noarch.rpm) is missing", id="package-deleted"),
        pytest.param(_delete("repomd.xml"), "(repodata/repomd.xml) is missing", id="repository-deleted"),
        pytest.param(_delete("manifest.json"), "manifest.json is missing", id="manifest-deleted"),
        pytest.param(_overwrite("manifest.json", b"{}"), "isn't a manifest of a release", id="manifest-damaged"),
        pytest.param(_delete_record, "has no record of release 1.0.0", id="record-deleted"),
    ],
)
def test_damage_in_one_region_is_named_with_region_and_object(
    published: Regions, damage: Damage, expected: str
) -> None:
    """Found on the instances instead, it stops the release half way, in one site only."""
    damage(published, SECOND)
    (problem,) = check(published).problems
    assert SECOND in problem
    assert FIRST not in problem
    assert expected in problem


def test_regions_with_different_releases_of_one_name_are_found(published: Regions, write_folder: WriteFolder) -> None:
    """Each is whole in itself, and the sites would still run different things."""
    other = write_folder("1.0.0", "other", notes=b"something else")
    for ending in ("manifest.json", "repomd.xml"):
        published.delete(SECOND, published.key(SECOND, ending))
    _delete_record(published, SECOND)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.lockstep.publishing.regions.REGIONS", (SECOND,))
        published.publish(other)
    assert any("the regions have different releases 1.0.0" in problem for problem in check(published).problems)


def test_a_region_that_cant_be_asked_is_no_missing_release(published: Regions) -> None:
    """Taken for "not published", it would be published again, to a region that is down."""
    published.set_faults({"kind": "refuse", "region": SECOND})
    with pytest.raises(RegionUnreachableError, match=SECOND):
        check(published)
    published.set_faults({"kind": "deny", "region": SECOND, "operation": "HeadObject"})
    with pytest.raises(LockstepError, match=f"{SECOND}: s3 HeadObject failed with 403"):
        check(published)
