"""Tells whether a release can be deployed: whether every region has all of it, and the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep import release_record
from lockstep.errors import InvalidInputError
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.existing import named
from lockstep.publishing.manifest import MANIFEST, Manifest, release_key
from lockstep.regions import in_every_region, raise_for
from lockstep.release_record import ReleaseRecord

Client = Callable[[str, str], Any]


@dataclass(frozen=True)
class ReleaseCheck:
    """What the regions have of a release. `problems` is empty if it can be deployed; `published` if any region has a
    record of it."""

    records: Mapping[str, ReleaseRecord | None]
    problems: tuple[str, ...]

    @property
    def published(self) -> bool:
        """Whether anybody has ever published it."""
        return any(self.records.values())


def check_release(client: Client, buckets: Mapping[str, ReleaseBucket], application: str, release: str) -> ReleaseCheck:
    """Look at a release in every region: its record, its manifest, and the size and checksum of every object.

    Nothing is downloaded: S3 tells the checksum that it computed when an object was written. Raises
    RegionUnreachableError, or what else is the matter, if a region can't be asked.
    """

    def look(region: str) -> tuple[ReleaseRecord | None, list[str]]:
        record = release_record.read(client, region, application, release)
        if record is None:
            return None, [f"{region} has no record of release {release}"]
        return record, _problems(buckets[region], record)

    answers, failures = in_every_region(buckets, look)
    raise_for({region: named(failure, buckets[region]) for region, failure in failures.items()})
    records = {region: record for region, (record, _) in answers.items()}
    problems = [problem for _, found in answers.values() for problem in found]
    digests = {record.digest for record in records.values() if record is not None}
    if len(digests) > 1:
        each = ", ".join(f"{region} {record.digest[:16]}" for region, record in records.items() if record)
        problems.append(f"the regions have different releases {release}: {each}")
    return ReleaseCheck(records, tuple(problems))


def _problems(bucket: ReleaseBucket, record: ReleaseRecord) -> list[str]:
    key = release_key(record.release, MANIFEST)
    content = bucket.read(key)
    if content is None:
        return [f"{bucket.region}: s3://{bucket.name}/{key} is missing"]
    try:
        manifest = Manifest.parse(content, f"{bucket.region}: s3://{bucket.name}/{key}")
    except InvalidInputError as error:
        return [error.message]
    if manifest.digest != record.digest:
        return [f"{bucket.region}: s3://{bucket.name}/{key} isn't the manifest that the record names"]
    return bucket.problems_of(manifest.entries)
