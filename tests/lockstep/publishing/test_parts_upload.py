"""Files too large to be held in memory: sent in parts, verified, and continued where they were broken off."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lockstep.errors import InvalidInputError, LockstepError, RefusedError
from lockstep.publishing import package_set
from lockstep.publishing.parts_upload import PartsUpload
from tests.lockstep.publishing.regions import REGIONS, Regions, is_reading

WriteFolder = Callable[..., Path]

FIRST, SECOND = REGIONS
# S3 takes no smaller part but the last.
PART = 5 * 1024 * 1024
PARTS = 4


@pytest.fixture
def folder(write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The application's package, and a file of four parts."""
    monkeypatch.setattr(package_set, "IN_MEMORY_MAX", PART)
    monkeypatch.setattr(package_set, "PART_SIZE", PART)
    return write_folder(large=os.urandom(PART * (PARTS - 1) + 1000))


def test_a_large_file_arrives_whole_in_every_region(regions: Regions, folder: Path) -> None:
    """Parts that are sent at once, in any order, must come together in the file's."""
    regions.publish(folder)
    content = (folder / "large").read_bytes()
    for region in REGIONS:
        assert regions.read(region, regions.key(region, "/large")) == content
        assert regions.uploads(region) == []
    again = regions.calls_of(lambda: regions.publish(folder))
    assert all(is_reading(call) for call in again)


def test_parts_that_have_arrived_are_not_sent_again(regions: Regions, folder: Path) -> None:
    """On a slow line a file of gigabytes would never arrive, if each run began anew."""
    regions.set_faults({"kind": "deny", "operation": "UploadPart", "region": SECOND, "skip": 2})
    with pytest.raises(LockstepError):
        regions.publish(folder)
    regions.set_faults()
    (begun,) = regions.uploads(SECOND)
    listed = regions.aws("s3", SECOND).list_parts(
        Bucket=regions.bucket(SECOND), Key=begun["Key"], UploadId=begun["UploadId"]
    )
    arrived = len(listed["Parts"])
    assert arrived == 2
    calls = regions.calls_of(lambda: regions.publish(folder))
    assert calls.count("s3 UploadPart") == PARTS - arrived
    assert "s3 CreateMultipartUpload" not in calls
    for region in REGIONS:
        assert regions.read(region, regions.key(region, "/large")) == (folder / "large").read_bytes()
        assert regions.uploads(region) == []


@pytest.mark.parametrize("after", [False, True])
def test_a_completion_whose_answer_is_lost_counts_as_done(regions: Regions, folder: Path, after: bool) -> None:
    """The upload is gone then, and so it may be for another reason: what is there decides."""
    regions.set_faults({"kind": "refuse", "operation": "CompleteMultipartUpload", "after": after, "count": 1})
    regions.publish(folder)
    for region in REGIONS:
        assert regions.read(region, regions.key(region, "/large")) == (folder / "large").read_bytes()
        assert regions.uploads(region) == []


def test_an_upload_that_is_gone_was_completed_or_is_a_failure(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else completes what both have continued, or the bucket's lifecycle removes it: S3 says the same."""
    original = PartsUpload.complete
    gone = ClientError({"Error": {"Code": "NoSuchUpload", "Message": "gone"}}, "CompleteMultipartUpload")
    gone.response["ResponseMetadata"] = {"HTTPStatusCode": 404}  # type: ignore[typeddict-item]

    def complete(self: PartsUpload) -> None:
        s3 = self.bucket.s3
        finish = s3.complete_multipart_upload

        def answer(**asked: Any) -> None:
            if self.bucket.region == FIRST or second_completes:
                finish(**asked)
            raise gone

        s3.complete_multipart_upload = answer
        original(self)

    monkeypatch.setattr(PartsUpload, "complete", complete)
    second_completes = False
    with pytest.raises(LockstepError, match="NoSuchUpload"):
        regions.publish(folder)
    assert regions.read(FIRST, regions.key(FIRST, "/large")) == (folder / "large").read_bytes()
    assert not any(key.endswith("/large") for key in regions.objects(SECOND))
    second_completes = True
    regions.publish(folder)
    assert regions.state()[FIRST] == regions.state()[SECOND]


def test_another_object_in_its_place_is_refused_and_the_parts_are_removed(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that nobody will ever complete are paid for."""
    original = PartsUpload.complete

    def complete(self: PartsUpload) -> None:
        regions.overwrite(self.bucket.region, self._entry.key, b"something else")
        original(self)

    monkeypatch.setattr(PartsUpload, "complete", complete)
    with pytest.raises(RefusedError, match="is there with other content"):
        regions.publish(folder)
    assert any(regions.uploads(region) == [] for region in REGIONS)
    monkeypatch.undo()


def test_a_file_that_changes_between_its_two_readings_is_refused(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is read twice: first for its digest, which names it, then to be sent."""
    original = package_set.parts_of

    def parts_of(file: package_set.LocalFile) -> Any:
        yield from original(file)
        os.utime(file.source, (1, 1))

    monkeypatch.setattr("lockstep.publishing.upload.parts_of", parts_of)
    with pytest.raises(InvalidInputError, match="large was changed while it was read"):
        regions.publish(folder)
    for region in REGIONS:
        assert not any(key.endswith("/large") for key in regions.objects(region))
        assert regions.uploads(region) == []


def test_a_part_that_changes_on_the_way_is_not_taken(regions: Regions, folder: Path, monkeypatch: Any) -> None:
    """S3 compares each part with the digest of the first reading: nothing else may come in under that name."""
    original = package_set.parts_of

    def parts_of(file: package_set.LocalFile) -> Any:
        for part in original(file):
            yield bytes([part[0] ^ 1]) + part[1:]

    monkeypatch.setattr("lockstep.publishing.upload.parts_of", parts_of)
    with pytest.raises(LockstepError):
        regions.publish(folder)
    for region in REGIONS:
        assert not any(key.endswith("/large") for key in regions.objects(region))
