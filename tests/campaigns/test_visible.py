"""The judge of what a kill leaves of a release: it has to see each way in which that can be half there."""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.campaigns.visible import RegionView, Stored, half_visible

REGIONS = ("eu-central-1", "eu-west-1")
RELEASE = "1.0.0"
FOLDER = f"releases/{RELEASE}"
MANIFEST, REPOMD, PRIMARY = f"{FOLDER}/manifest.json", f"{FOLDER}/repodata/repomd.xml", f"{FOLDER}/repodata/primary.xml"
PACKAGE = "packages/0/orders.rpm"


class Region:
    """A region's bucket and record, with all of a release."""

    def __init__(self) -> None:
        package = b"a package"
        primary = gzip.compress(
            f'<metadata xmlns="http://linux.duke.edu/metadata/common"><package><size package="{len(package)}"/>'
            '<location href="../../packages/0/orders.rpm"/></package></metadata>'.encode()
        )
        repomd = (
            '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">'
            f'<checksum type="sha256">{hashlib.sha256(primary).hexdigest()}</checksum>'
            '<location href="repodata/primary.xml"/></data></repomd>'
        ).encode()
        self.objects = {PACKAGE: package, PRIMARY: primary, REPOMD: repomd}
        files, repodata = [self._entry(PACKAGE)], [self._entry(PRIMARY), self._entry(REPOMD)]
        self.objects[MANIFEST] = json.dumps({"files": files, "repodata": repodata}).encode()
        digest = hashlib.sha256(self.objects[MANIFEST]).hexdigest()
        self.record: dict[str, Any] | None = {"manifest": MANIFEST, "digest": digest}

    def _entry(self, key: str) -> dict[str, Any]:
        content = self.objects[key]
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        return {"key": key, "size": len(content), "checksum": checksum}

    def view(self) -> RegionView:
        def stored(key: str) -> Stored | None:
            return Stored.of(self.objects[key]) if key in self.objects else None

        return RegionView(self.record, stored, self.objects.get)


@pytest.fixture
def regions() -> dict[str, Region]:
    return {region: Region() for region in REGIONS}


def problems(regions: dict[str, Region]) -> list[str]:
    return half_visible(RELEASE, {name: region.view() for name, region in regions.items()})


def test_all_of_it_and_nothing_of_it_are_well(regions: dict[str, Region]) -> None:
    """Otherwise no kill would ever be."""
    assert problems(regions) == []
    for region in regions.values():
        region.record, region.objects = None, {}
    assert problems(regions) == []


def test_what_is_on_its_way_and_seen_by_nobody_is_well(regions: dict[str, Region]) -> None:
    """A kill while files are sent leaves exactly that."""
    for region in regions.values():
        region.record, region.objects = None, {PACKAGE: region.objects[PACKAGE]}
    del regions[REGIONS[0]].objects[PACKAGE]
    assert problems(regions) == []


def without_record(regions: dict[str, Region]) -> None:
    for region in regions.values():
        region.record = None


def without_manifest(regions: dict[str, Region]) -> None:
    without_record(regions)
    for region in regions.values():
        del region.objects[MANIFEST]


@pytest.mark.parametrize("before", [lambda _: None, without_record, without_manifest])
@pytest.mark.parametrize("damage", [lambda content: None, lambda content: content[:-1]])
@pytest.mark.parametrize("key", [PACKAGE, PRIMARY])
def test_what_repomd_or_a_manifest_or_a_record_promises_must_be_there(
    regions: dict[str, Region],
    key: str,
    damage: Callable[[bytes], bytes | None],
    before: Callable[[dict[str, Region]], None],
) -> None:
    """An instance that boots between the kill and the next run installs what it sees, or fails."""
    before(regions)
    objects = regions[REGIONS[1]].objects
    content = damage(objects.pop(key))
    if content is not None:
        objects[key] = content
    assert any(REGIONS[1] in each and key in each for each in problems(regions))


def test_a_record_in_one_region_promises_what_every_region_has(regions: dict[str, Region]) -> None:
    """Deployments take the release for whole as soon as one region says so."""
    regions[REGIONS[1]].record = None
    del regions[REGIONS[1]].objects[MANIFEST]
    assert f"{REGIONS[0]} has the record, and {REGIONS[1]} lacks the manifest" in problems(regions)


def test_the_regions_must_have_the_same_release(regions: dict[str, Region]) -> None:
    """Two half releases of one name would never be one."""
    other = regions[REGIONS[1]]
    other.objects[MANIFEST] += b"\n"
    other.record = {"manifest": MANIFEST, "digest": hashlib.sha256(other.objects[MANIFEST]).hexdigest()}
    assert "the regions have different manifests" in problems(regions)
    assert "the regions' records are of different manifests" in problems(regions)
