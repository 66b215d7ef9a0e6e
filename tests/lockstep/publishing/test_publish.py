"""What publishing leaves in the regions: all of a release or nothing that can be seen, once, and never changed."""

import contextlib
import gzip
import hashlib
import json
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import IncompleteError, InvalidInputError, LockstepError, RefusedError, RegionUnreachableError
from lockstep.publishing import package_set
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.manifest import Entry, Manifest
from tests.lockstep.publishing.regions import REGIONS, Regions, is_reading
from tests.sandbox.machine.rpm_writer import Spec, build

WriteFolder = Callable[..., Path]

FIRST, SECOND = REGIONS
REPOMD = "releases/1.0.0/repodata/repomd.xml"
MANIFEST = "releases/1.0.0/manifest.json"


def manifest(regions: Regions, region: str = FIRST, release: str = "1.0.0") -> Manifest:
    key = f"releases/{release}/manifest.json"
    return Manifest.parse(regions.read(region, key), key)


def deny(operation: str, **more: Any) -> dict[str, Any]:
    """A fault that isn't retried."""
    return {"kind": "deny", "operation": operation, **more}


def test_every_region_gets_the_same_and_a_record_of_it(regions: Regions, write_folder: WriteFolder) -> None:
    """Sites that run one release with different content are what all of this is there to prevent."""
    folder = write_folder(notes=b"read me")
    published = regions.publish(folder)
    state = regions.state()
    assert state[FIRST] == state[SECOND]
    assert set(state[FIRST]["objects"]) == {MANIFEST, *(entry.key for entry in published.manifest.entries)}
    assert state[FIRST]["record"] == {
        "release": "1.0.0",
        "digest": hashlib.sha256(regions.read(FIRST, MANIFEST)).hexdigest(),
        "manifest": MANIFEST,
        "packageSet": published.manifest.package_set,
        "files": 2,
        "size": sum(entry.size for entry in published.manifest.entries),
    }
    for entry in published.manifest.entries:
        content = regions.read(SECOND, entry.key)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.size, entry.sha256)


def test_s3_knows_the_checksum_of_every_object(regions: Regions, write_folder: WriteFolder) -> None:
    """Without it nobody can tell, short of downloading everything, whether a region still has what was published."""
    regions.publish(write_folder(notes=b"read me"))
    bucket = regions.open_buckets()[FIRST]
    entries = manifest(regions).entries
    assert len(entries) == 6
    assert bucket.problems_of(entries) == []


def test_the_repository_leads_to_the_packages_by_relative_paths(regions: Regions, write_folder: WriteFolder) -> None:
    """Instances have a base URL and nothing else: another region's name in it would tie the sites together."""
    regions.publish(write_folder())
    primary = gzip.decompress(regions.read(FIRST, regions.key(FIRST, "-primary.xml.gz")))
    location = ElementTree.fromstring(primary).find(".//{*}location")
    assert location is not None
    package = next(entry for entry in manifest(regions).files if entry.path.endswith(".rpm"))
    assert location.get("href") == f"../../{package.key}"


def test_publishing_the_same_again_changes_nothing(regions: Regions, write_folder: WriteFolder) -> None:
    """A pipeline that is run again must be able to publish again: without a PUT, and as a success."""
    folder = write_folder(notes=b"read me")
    regions.publish(folder)
    before = regions.state()
    calls = regions.calls_of(lambda: regions.publish(folder))
    assert calls
    assert all(is_reading(call) for call in calls), calls
    assert regions.publish(folder).unchanged
    assert regions.state() == before


def test_the_same_files_from_another_machine_are_the_same_release(
    regions: Regions, write_folder: WriteFolder, tmp_path: Path
) -> None:
    """A copy has other times and another folder; a release that depends on those can be published only once."""
    folder = write_folder(notes=b"read me")
    regions.publish(folder)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert regions.publish(copy).unchanged


def test_a_file_of_two_releases_is_stored_once(regions: Regions, write_folder: WriteFolder) -> None:
    """Most packages stay the same from one release to the next, and there may be hundreds of releases."""
    regions.publish(write_folder("1.0.0", "one", library=b"the same in both"))
    published = regions.publish(write_folder("1.1.0", "two", library=b"the same in both"), "1.1.0")
    assert len([key for key in regions.objects(FIRST) if key.endswith("/library")]) == 1
    assert published.regions[FIRST].present == 1


def test_other_content_under_a_published_name_is_refused(regions: Regions, write_folder: WriteFolder) -> None:
    """A name that means two things makes every site run something else, depending on when it started."""
    regions.publish(write_folder(same=b"1", changed=b"1", removed=b"1"))
    before = regions.state()
    other = write_folder("1.0.0", "other", same=b"1", changed=b"2", added=b"1")
    with pytest.raises(RefusedError) as caught:
        regions.publish(other)
    for line in ("- removed", "+ added", "~ changed"):
        assert line in caught.value.message
    assert "same" not in caught.value.message
    assert regions.state() == before


def test_nothing_is_listed_before_it_is_there(
    regions: Regions, write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that starts in the middle of publishing must find no repository, or all of one."""
    asked: list[str] = []
    original = ReleaseBucket.put

    def note(self: ReleaseBucket, entry: Entry, *args: Any, **more: Any) -> bool:
        done = original(self, entry, *args, **more)
        asked.append(f"{self.region} {entry.path}")
        return done

    monkeypatch.setattr(ReleaseBucket, "put", note)
    regions.publish(write_folder(notes=b"read me"))
    for region in REGIONS:
        own = [each.split(" ", 1)[1] for each in asked if each.startswith(region)]
        assert set(own[:2]) == {"notes", "orders-1.0.0-1.noarch.rpm"}
        assert own[2] == "manifest.json"
        assert own[-1] == "repodata/repomd.xml"
    claims = [each for each in asked if each.endswith("manifest.json")]
    last_package = max(n for n, each in enumerate(asked) if "repodata" not in each and "manifest" not in each)
    assert claims == [f"{region} manifest.json" for region in sorted(REGIONS)]
    assert asked.index(claims[0]) > last_package


def test_no_record_is_written_while_a_region_lacks_anything(regions: Regions, write_folder: WriteFolder) -> None:
    """A record says that every region has everything: `deploy` begins by believing it."""
    regions.set_faults(deny("PutObject", region=SECOND, skip=3))
    with pytest.raises(LockstepError):
        regions.publish(write_folder(notes=b"read me"))
    assert [regions.record(region) for region in REGIONS] == [None, None]


@pytest.mark.parametrize("operation", ["PutObject", "HeadObject", "PutParameter", "GetParameter", "ListObjectsV2"])
@pytest.mark.parametrize("skip", [0, 1, 4])
def test_broken_off_anywhere_it_goes_on_where_it_was(
    regions: Regions, write_folder: WriteFolder, operation: str, skip: int
) -> None:
    """Runs are cancelled, and credentials expire; what is left must be the beginning of the same release."""
    folder = write_folder(notes=b"read me")
    regions.set_faults(deny(operation, skip=skip))
    with contextlib.suppress(LockstepError):
        regions.publish(folder)
    regions.set_faults()
    sent = sum(len(regions.objects(region)) for region in REGIONS)
    rest = regions.publish(folder)
    state = regions.state()
    assert state[FIRST] == state[SECOND]
    assert sent + sum(outcome.uploaded for outcome in rest.regions.values()) == 2 * len(state[FIRST]["objects"])
    assert state[FIRST]["versions"] == len(state[FIRST]["objects"]) == 7
    assert state[FIRST]["record"]["digest"] == rest.manifest.digest


def test_a_put_whose_answer_is_lost_counts_as_done(regions: Regions, write_folder: WriteFolder) -> None:
    """Tried again, S3 says that something is there: it is our own, and not somebody else's content."""
    regions.set_faults({"kind": "refuse", "operation": "PutObject", "after": True, "count": 1})
    regions.publish(write_folder(notes=b"read me"))
    state = regions.state()
    assert state[FIRST] == state[SECOND]
    assert state[FIRST]["versions"] == 7


def test_a_region_that_is_down_from_the_start_stops_it_before_anything_is_sent(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """Publishing to the one that is left makes a release that can't be deployed, and nothing to hurry for."""
    regions.set_faults({"kind": "refuse", "region": SECOND})
    with pytest.raises(RegionUnreachableError) as caught:
        regions.publish(write_folder())
    assert SECOND in caught.value.message
    assert caught.value.remedy
    regions.set_faults()
    assert regions.objects(FIRST) == {}


def test_a_region_that_fails_on_the_way_leaves_only_itself_to_be_done(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """What is sent to the region that works, perhaps gigabytes, must not have to be sent again."""
    folder = write_folder(**{f"file{number}": bytes([number]) for number in range(12)})
    regions.set_faults({"kind": "refuse", "region": SECOND, "operation": "PutObject", "skip": 2})
    told: list[str] = []
    with pytest.raises(RegionUnreachableError) as caught:
        regions.publish(folder, say=told.append)
    assert SECOND in caught.value.message
    assert "PutObject" in caught.value.message
    assert len(told) == 1
    regions.set_faults()
    assert len(regions.objects(FIRST)) == 13
    assert not any(key.startswith("releases/") for region in REGIONS for key in regions.objects(region))
    rest = regions.publish(folder)
    assert rest.regions[FIRST].present == 13
    assert rest.regions[SECOND].present == 2


def test_nothing_more_is_read_when_every_region_has_failed(
    regions: Regions, write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With credentials that have expired, a folder of many gigabytes would be read to its end for nothing."""
    folder = write_folder(**{f"file{number}": bytes([number]) for number in range(20)})
    told, both = [], threading.Event()
    seen: list[str] = []
    original = package_set.read

    def say(text: str) -> None:
        told.append(text)
        if len(told) == len(REGIONS):
            both.set()

    def read(file: package_set.LocalFile, *more: Any) -> Any:
        if seen:
            assert both.wait(30)
        seen.append(file.path)
        return original(file, *more)

    monkeypatch.setattr("lockstep.publishing.upload.read", read)
    regions.set_faults(deny("PutObject"))
    with pytest.raises(LockstepError):
        regions.publish(folder, say=say)
    assert len(seen) == 2


def test_requests_that_are_throttled_are_sent_again(regions: Regions, write_folder: WriteFolder) -> None:
    """S3 says SlowDown to whoever is quick, and expects to be asked again."""
    folder = write_folder(**{f"file{number}": bytes([number]) for number in range(20)})
    regions.set_faults({"kind": "throttle", "share": 0.1})
    regions.publish(folder)
    regions.set_faults()
    state = regions.state()
    assert state[FIRST] == state[SECOND]
    assert len(state[FIRST]["objects"]) == 26


def test_a_record_in_some_regions_only_is_incomplete(regions: Regions, write_folder: WriteFolder) -> None:
    """The release can be seen by then: the exit status must say that the work isn't at an end."""
    folder = write_folder()
    regions.set_faults(deny("PutParameter", region=SECOND))
    with pytest.raises(IncompleteError) as caught:
        regions.publish(folder)
    assert SECOND in caught.value.message
    assert "lockstep publish 1.0.0" in caught.value.remedy
    regions.set_faults()
    assert regions.record(FIRST)
    rest = regions.publish(folder)
    assert [rest.regions[region].record_written for region in REGIONS] == [False, True]
    assert regions.record(FIRST) is not None
    assert regions.record(SECOND) is not None


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("again", range(3))
def test_of_two_contents_under_one_name_one_is_published_and_the_other_refused(
    regions: Regions, write_folder: WriteFolder, order: tuple[int, int], again: int
) -> None:
    """Two pipelines that run at once must not leave one region with the one and the other region with the other."""
    folders = [write_folder("1.0.0", f"folder{number}", notes=bytes([number]) * 1000) for number in order]
    outcomes: list[Any] = [None, None]
    start = threading.Barrier(2)

    def run(number: int) -> None:
        start.wait()
        try:
            outcomes[number] = regions.publish(folders[number])
        except LockstepError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (refused,) = [each for each in outcomes if isinstance(each, LockstepError)]
    (published,) = [each for each in outcomes if not isinstance(each, LockstepError)]
    assert isinstance(refused, RefusedError)
    for region in REGIONS:
        assert manifest(regions, region).digest == published.manifest.digest
        record = regions.record(region)
        assert record is not None
        assert record["digest"] == published.manifest.digest


def test_of_one_content_published_twice_at_once_both_succeed(regions: Regions, write_folder: WriteFolder) -> None:
    """A pipeline that was started twice isn't an error: what is there is what was to be there."""
    folder = write_folder(**{f"file{number}": bytes([number]) for number in range(8)})
    failed: list[Exception] = []

    def run() -> None:
        try:
            regions.publish(folder)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    state = regions.state()
    assert state[FIRST] == state[SECOND]
    assert state[FIRST]["versions"] == len(state[FIRST]["objects"])


def test_what_was_deleted_is_brought_back(regions: Regions, write_folder: WriteFolder) -> None:
    """Publishing again is the remedy that `deploy` names for a region that lacks something."""
    folder = write_folder(notes=b"read me")
    regions.publish(folder)
    before = regions.state()[FIRST]["objects"]
    for ending in ("/notes", "repomd.xml", "manifest.json"):
        regions.delete(FIRST, regions.key(FIRST, ending))
    rest = regions.publish(folder)
    assert rest.regions[FIRST].uploaded == 3
    assert rest.regions[SECOND].uploaded == 0
    assert regions.objects(FIRST) == before


def test_an_object_that_was_overwritten_is_never_recorded(regions: Regions, write_folder: WriteFolder) -> None:
    """With the right size, only its checksum tells; a record would vouch for what instances then refuse, or run."""
    folder = write_folder(notes=b"read me")
    regions.set_faults(deny("PutParameter"))
    with pytest.raises(LockstepError):
        regions.publish(folder)
    regions.set_faults()
    key = regions.key(SECOND, "/notes")
    regions.overwrite(SECOND, key, b"DAMAGED")
    with pytest.raises(RefusedError) as caught:
        regions.publish(folder)
    assert f"{SECOND}: s3://{regions.bucket(SECOND)}/{key}" in caught.value.message
    assert regions.record(SECOND) is None


@pytest.mark.parametrize("ending", ["/notes", "-primary.xml.gz", "repomd.xml"])
def test_a_release_that_was_damaged_after_it_was_recorded_is_not_called_complete(
    regions: Regions, write_folder: WriteFolder, ending: str
) -> None:
    """Names and sizes are as they were: whoever was told by `deploy` to publish again would go in a circle."""
    folder = write_folder(notes=b"read me")
    regions.publish(folder)
    key = regions.key(SECOND, ending)
    regions.overwrite(SECOND, key, bytes(regions.objects(SECOND)[key]))
    regions.delete(FIRST, regions.key(FIRST, "noarch.rpm"))
    with pytest.raises(RefusedError) as caught:
        regions.publish(folder)
    assert f"{SECOND}: s3://{regions.bucket(SECOND)}/{key}" in caught.value.message
    assert FIRST not in caught.value.message
    # What was missing has been brought back all the same.
    assert regions.key(FIRST, "noarch.rpm")
    regions.delete(SECOND, key)
    assert regions.publish(folder).regions[SECOND].uploaded == 1
    assert regions.publish(folder).unchanged


def test_a_repair_that_fails_says_what_becomes_of_the_release(regions: Regions, write_folder: WriteFolder) -> None:
    """Sites may run it: "nothing of it can be seen yet" would be no answer to whether they still can."""
    folder = write_folder(notes=b"read me")
    regions.publish(folder)
    for region in REGIONS:
        regions.delete(region, regions.key(region, "/notes"))
    regions.set_faults(deny("PutObject", region=SECOND))
    with pytest.raises(LockstepError) as caught:
        regions.publish(folder)
    assert caught.value.message.endswith(
        f"{FIRST} has all files, but release 1.0.0 stays as it was, incomplete in {SECOND}; run this again to go on"
    )
    regions.set_faults()
    assert regions.publish(folder).regions[SECOND].uploaded == 1


def test_what_is_there_with_another_size_is_named_and_kept(regions: Regions, write_folder: WriteFolder) -> None:
    """Whatever it is, somebody has put it there: writing over it would destroy the only trace."""
    folder = write_folder(notes=b"read me")
    digest = hashlib.sha256(b"read me").hexdigest()
    regions.overwrite(SECOND, f"packages/{digest}/notes", b"something else")
    with pytest.raises(RefusedError) as caught:
        regions.publish(folder)
    assert f"packages/{digest}/notes" in caught.value.message
    assert SECOND in caught.value.message
    assert regions.read(SECOND, f"packages/{digest}/notes") == b"something else"


def test_the_first_publishers_repository_stays_when_this_machine_makes_another(
    regions: Regions, write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another createrepo_c, or zlib, makes other bytes of the same packages: that isn't another release."""
    folder = write_folder()
    regions.publish(folder)
    before = regions.state()
    original = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda plain, mtime: original(plain, 1, mtime=mtime))
    assert regions.publish(folder).unchanged
    regions.delete(SECOND, regions.key(SECOND, "-primary.xml.gz"))
    assert regions.publish(folder).regions[SECOND].uploaded == 1
    assert {region: each["objects"] for region, each in regions.state().items()} == {
        region: each["objects"] for region, each in before.items()
    }


def test_regions_with_different_releases_of_one_name_are_named(regions: Regions, write_folder: WriteFolder) -> None:
    """Going on would complete one of them in the other's bucket."""
    regions.publish(write_folder())
    other = json.loads(regions.read(SECOND, MANIFEST))
    other["files"][0]["path"] = "another.rpm"
    regions.overwrite(SECOND, MANIFEST, json.dumps(other).encode())
    with pytest.raises(RefusedError) as caught:
        regions.publish(write_folder())
    assert FIRST in caught.value.message
    assert SECOND in caught.value.message


def test_a_manifest_that_is_gone_everywhere_isnt_claimed_for_other_content(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """The records still name the content that was published, and sites may run it."""
    regions.publish(write_folder())
    for region in REGIONS:
        regions.delete(region, MANIFEST)
    with pytest.raises(RefusedError):
        regions.publish(write_folder("1.0.0", "other", notes=b"other"))
    assert MANIFEST not in regions.objects(FIRST)
    assert regions.publish(write_folder()).regions[FIRST].uploaded == 1


def test_a_file_that_changes_meanwhile_is_refused(
    regions: Regions, write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that is still writing makes a release of half a file, which has a fine checksum."""
    folder = write_folder(notes=b"read me")
    original = package_set.find

    def find(path: Path) -> list[package_set.LocalFile]:
        found = original(path)
        (folder / "notes").write_bytes(b"read me, and more")
        return found

    monkeypatch.setattr(package_set, "find", find)
    with pytest.raises(InvalidInputError, match="notes was changed while it was read"):
        regions.publish(folder)
    assert not any(key.startswith("releases/") for key in regions.objects(FIRST))


def test_a_release_without_the_applications_package_is_refused(regions: Regions, tmp_path: Path) -> None:
    """Instances install the package by that name, and would fail, all of them, when the release is deployed."""
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "notes").write_text("no package")
    with pytest.raises(InvalidInputError, match=r"no package orders among the files \(no package at all\)"):
        regions.publish(folder)
    # The name in the package counts, not the file's.
    (folder / "orders.rpm").write_bytes(build(Spec("billing", version="1.0.0")))
    with pytest.raises(InvalidInputError, match=r"no package orders among the files \(billing\)"):
        regions.publish(folder)
    assert regions.objects(FIRST) == {}


def test_a_bucket_that_isnt_there_means_that_the_site_isnt_up(regions: Regions, write_folder: WriteFolder) -> None:
    """S3's own words, "the specified bucket does not exist", don't tell anybody what to do."""
    regions.aws("s3", SECOND).delete_bucket(Bucket=regions.bucket(SECOND))
    with pytest.raises(LockstepError) as caught:
        regions.publish(write_folder())
    assert regions.bucket(SECOND) in caught.value.message
    assert caught.value.remedy == "lockstep up"
