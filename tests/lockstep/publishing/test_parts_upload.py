"""Files too large to be held in memory: sent in parts, verified, and continued where they were broken off."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lockstep.errors import ExitCode, InvalidInputError, LockstepError, RefusedError
from lockstep.publishing import package_set
from lockstep.publishing.parts_upload import PartsUpload
from lockstep.publishing.publish import Published
from tests.lockstep.publishing.regions import PATIENCE, REGIONS, Regions, is_reading
from tests.sandbox.checkout import eventually

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


def meanwhile(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], after: int = 1) -> None:
    """Have `work` done, once, when the first publisher has read `after` parts of the large file to send them."""
    original, begun = package_set.parts_of, threading.Event()

    def parts_of(file: package_set.LocalFile) -> Any:
        for number, part in enumerate(original(file), 1):
            yield part
            if number == after and not begun.is_set():
                begun.set()
                work()

    monkeypatch.setattr("lockstep.publishing.large_file.parts_of", parts_of)


def counted(published: Published, region: str) -> int:
    """The objects of a release, by what is said of them."""
    outcome = published.regions[region]
    return outcome.uploaded + outcome.present


@pytest.mark.parametrize("after", [1, PARTS])
def test_of_two_who_share_an_upload_both_succeed(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The slower one finds the upload gone, as the faster one has made the object of it: that is what both wanted."""
    others: list[Published] = []
    shown = dict.fromkeys(REGIONS, 0)

    def on_bytes(region: str, count: int) -> None:
        shown[region] += count

    meanwhile(monkeypatch, lambda: others.append(regions.publish(folder)), after)
    published = regions.publish(folder, on_bytes=on_bytes)
    assert len(others) == 1
    for region in REGIONS:
        assert regions.read(region, regions.key(region, "/large")) == (folder / "large").read_bytes()
        assert regions.uploads(region) == []
        assert regions.versions(region) == len(regions.objects(region))
        assert shown[region] == sum(regions.objects(region).values())
        for each in (published, *others):
            assert counted(each, region) == len(regions.objects(region))
    assert published.manifest.digest == others[0].manifest.digest


def test_an_upload_that_is_gone_a_moment_before_the_object_is_seen_is_counted_once(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two parts are refused while the other one's completion takes effect: one sees no object yet, the next does."""
    seen, asked = threading.Event(), iter(range(1000))
    original = PartsUpload._find_out

    def find_out(self: PartsUpload, error: ClientError, *codes: Any) -> None:
        if self.bucket.region == SECOND and next(asked) == 0:
            assert seen.wait(PATIENCE)
            self.gone = error
            return
        original(self, error, *codes)
        if self.bucket.region == SECOND:
            seen.set()

    monkeypatch.setattr(PartsUpload, "_find_out", find_out)
    meanwhile(monkeypatch, lambda: regions.publish(folder))
    published = regions.publish(folder)
    for region in REGIONS:
        assert counted(published, region) == len(regions.objects(region))
        assert regions.uploads(region) == []


def test_two_processes_that_publish_a_large_file_at_once_both_succeed(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """A pipeline that was started twice, with files as they are: the first one's parts are held till the other ends."""
    folder = str(write_folder(large=os.urandom(package_set.IN_MEMORY_MAX + 1)))
    held = 2 * -(-(package_set.IN_MEMORY_MAX + 1) // package_set.PART_SIZE)
    regions.set_faults({"kind": "vanish", "operation": "UploadPart", "count": held})
    slow = regions.start("publish", "1.0.0", folder, "--yes")
    try:
        eventually(lambda: regions.control("faults")["faults"][0]["hit"] == held, "all parts of the first are held")
        fast = regions.run("publish", "1.0.0", folder, "--yes")
        regions.set_faults()
        _, err = slow.communicate(timeout=60)
    finally:
        slow.kill()
    assert (fast.returncode, slow.returncode) == (ExitCode.DONE, ExitCode.DONE), fast.stderr + err
    state = regions.state()
    assert state[FIRST] == state[SECOND]
    assert state[FIRST]["uploads"] == 0


@pytest.mark.parametrize("after", [1, PARTS])
def test_an_upload_that_the_other_gives_up_is_begun_anew(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The other one's file has changed, and ours hasn't; with our parts in the same upload, both would be gone."""
    given_up: list[str] = []

    def give_up() -> None:
        for upload in regions.uploads(SECOND):
            given_up.append(upload["UploadId"])
            regions.aws("s3", SECOND).abort_multipart_upload(
                Bucket=regions.bucket(SECOND), Key=upload["Key"], UploadId=upload["UploadId"]
            )

    meanwhile(monkeypatch, give_up, after)
    shown = dict.fromkeys(REGIONS, 0)

    def on_bytes(region: str, count: int) -> None:
        shown[region] += count

    calls = regions.calls_of(lambda: regions.publish(folder, on_bytes=on_bytes))
    assert len(given_up) == 1
    assert calls.count("s3 CreateMultipartUpload") == len(REGIONS) + 1
    for region in REGIONS:
        assert regions.read(region, regions.key(region, "/large")) == (folder / "large").read_bytes()
        assert shown[region] == sum(regions.objects(region).values())
    assert regions.uploads(SECOND) == []


def test_an_upload_that_is_gone_each_time_is_a_failure_of_its_region(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun again and again, with somebody who aborts whatever is under way, it would send gigabytes for ever."""
    original = PartsUpload.send

    def send(self: PartsUpload, number: int, part: bytes) -> None:
        if self.bucket.region == SECOND:
            self.abort()
        original(self, number, part)

    monkeypatch.setattr(PartsUpload, "send", send)
    with pytest.raises(LockstepError, match=f"{SECOND}: s3 UploadPart failed with NoSuchUpload"):
        regions.publish(folder)
    assert regions.read(FIRST, regions.key(FIRST, "/large")) == (folder / "large").read_bytes()


@pytest.mark.parametrize("completed", [True, False])
def test_an_upload_that_ends_between_two_questions_is_left_aside(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch, completed: bool
) -> None:
    """It was listed, and its parts are gone: the other one has completed it, or given it up."""
    regions.set_faults({"kind": "deny", "operation": "UploadPart", "region": SECOND, "skip": 2})
    with pytest.raises(LockstepError):
        regions.publish(folder)
    regions.set_faults()
    (begun,) = regions.uploads(SECOND)
    original = PartsUpload._count_arrived
    ended: list[str] = []

    def count_arrived(self: PartsUpload, upload: str) -> None:
        if upload == begun["UploadId"] and not ended:
            ended.append(upload)
            if completed:
                regions.publish(folder)
            else:
                regions.aws("s3", SECOND).abort_multipart_upload(
                    Bucket=self.bucket.name, Key=begun["Key"], UploadId=upload
                )
        original(self, upload)

    monkeypatch.setattr(PartsUpload, "_count_arrived", count_arrived)
    calls = regions.calls_of(lambda: regions.publish(folder))
    assert ended
    assert calls.count("s3 CreateMultipartUpload") == int(not completed)
    for region in REGIONS:
        assert regions.read(region, regions.key(region, "/large")) == (folder / "large").read_bytes()
        assert regions.uploads(region) == []


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

    monkeypatch.setattr("lockstep.publishing.large_file.parts_of", parts_of)
    with pytest.raises(InvalidInputError, match="large was changed while it was read"):
        regions.publish(folder)
    for region in REGIONS:
        assert not any(key.endswith("/large") for key in regions.objects(region))
        assert regions.uploads(region) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: path.unlink(), id="deleted"),
        pytest.param(lambda path: os.truncate(path, PART), id="shorter"),
        pytest.param(lambda path: os.truncate(path, PART * (PARTS + 1)), id="longer-by-a-part"),
    ],
)
def test_a_file_that_is_written_anew_between_its_two_readings_is_refused(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    """A build that goes on meanwhile: what is said must be that, and other files' problems must not be lost."""
    original = PartsUpload.begin
    (folder / "notes").write_text("read me")

    def begin(self: PartsUpload) -> bool:
        begun = original(self)
        if self.bucket.region == SECOND:
            change(folder / "large")
            (folder / "notes").write_text("read this")
        return begun

    monkeypatch.setattr(PartsUpload, "begin", begin)
    with pytest.raises(InvalidInputError) as caught:
        regions.publish(folder)
    assert "large was changed while it was read" in caught.value.message
    assert "notes was changed while it was read" in caught.value.message
    for region in REGIONS:
        assert not any(key.endswith("/large") for key in regions.objects(region))
        assert regions.uploads(region) == []


def test_the_rest_of_a_file_isnt_read_when_every_region_has_failed(
    regions: Regions, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 160 GB, for nothing."""
    told: list[str] = []
    read: list[int] = []
    original = package_set.parts_of

    def parts_of(file: package_set.LocalFile) -> Any:
        for number, part in enumerate(original(file), 1):
            read.append(number)
            yield part
            eventually(lambda: len(told) == len(REGIONS), "both regions have failed")

    monkeypatch.setattr("lockstep.publishing.large_file.parts_of", parts_of)
    regions.set_faults({"kind": "deny", "operation": "UploadPart"})
    with pytest.raises(LockstepError, match="AccessDenied"):
        regions.publish(folder, say=told.append)
    assert read == [1, 2]


def test_a_part_that_changes_on_the_way_is_not_taken(regions: Regions, folder: Path, monkeypatch: Any) -> None:
    """S3 compares each part with the digest of the first reading: nothing else may come in under that name."""
    original = package_set.parts_of

    def parts_of(file: package_set.LocalFile) -> Any:
        for part in original(file):
            yield bytes([part[0] ^ 1]) + part[1:]

    monkeypatch.setattr("lockstep.publishing.large_file.parts_of", parts_of)
    with pytest.raises(LockstepError):
        regions.publish(folder)
    for region in REGIONS:
        assert not any(key.endswith("/large") for key in regions.objects(region))
