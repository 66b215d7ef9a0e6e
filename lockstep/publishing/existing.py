"""What the regions have of a release before it is published, and what is to be done about it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lockstep import release_record
from lockstep.config.naming import PACKAGES_PREFIX
from lockstep.errors import RefusedError
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.manifest import MANIFEST, Manifest, release_key
from lockstep.publishing.package_set import LocalFile
from lockstep.regions import RegionFailure, in_every_region, raise_for
from lockstep.release_record import ReleaseRecord

Client = Callable[[str, str], Any]


@dataclass(frozen=True)
class Existing:
    """Records by region, the manifest that one region or more has, and all objects' sizes by region and key."""

    release: str
    records: Mapping[str, ReleaseRecord | None]
    manifest: Manifest | None
    sizes: Mapping[str, Mapping[str, int]]

    @property
    def is_known(self) -> bool:
        """Whether anybody has claimed the release's name."""
        return self.manifest is not None or any(self.records.values())

    @property
    def is_complete(self) -> bool:
        """Whether every region has its record and every object, by size."""
        return all(self.records.values()) and not any(self.missing(region) for region in self.records)

    def missing(self, region: str) -> list[str]:
        """The keys that the manifest lists and `region` lacks, the manifest's own included."""
        if self.manifest is None:
            return []
        own = release_key(self.release, MANIFEST)
        wanted = {own: len(self.manifest.content())} | {entry.key: entry.size for entry in self.manifest.entries}
        return [key for key, size in wanted.items() if self.sizes[region].get(key) != size]

    def plan(self, files: Sequence[LocalFile]) -> list[str]:
        """A line for each region: what is there and what is to come, as far as names and sizes tell."""
        total = sum(file.size for file in files)
        lines = []
        for region, record in self.records.items():
            there = {(key.rpartition("/")[2], size) for key, size in self.sizes[region].items()}
            same = [file for file in files if (file.name, file.size) in there]
            left = total - sum(file.size for file in same)
            state = "has its record" if record else "has no record of it yet"
            if record and (missing := self.missing(region)):
                state = f"has its record, and lacks {len(missing)} objects"
            lines.append(
                f"{region} {state}: {len(files)} files, {total:,} bytes, of which {len(same)} are there by name and "
                f"size, and {left:,} bytes to be sent"
            )
        return lines


def look(client: Client, buckets: Mapping[str, ReleaseBucket], application: str, release: str) -> Existing:
    """Ask every region. Reads only.

    Raises RegionUnreachableError, or what else is the matter, if a region can't be asked, and RefusedError if the
    regions have different releases of that name.
    """

    def ask(region: str) -> tuple[ReleaseRecord | None, bytes | None, dict[str, int]]:
        bucket = buckets[region]
        sizes = {**bucket.sizes(release_key(release, "")), **bucket.sizes(PACKAGES_PREFIX)}
        key = release_key(release, MANIFEST)
        manifest = bucket.read(key) if key in sizes else None
        return release_record.read(client, region, application, release), manifest, sizes

    answers, failures = in_every_region(buckets, ask)
    raise_for({region: named(failure, buckets[region]) for region, failure in failures.items()})
    manifests = {
        region: Manifest.parse(content, f"{region}: {release_key(release, MANIFEST)}")
        for region, (_, content, _) in answers.items()
        if content is not None
    }
    records = {region: record for region, (record, _, _) in answers.items()}
    digests = {f"manifest in {region}": each.digest for region, each in manifests.items()}
    digests |= {f"record in {region}": record.digest for region, record in records.items() if record}
    if len(set(digests.values())) > 1:
        raise RefusedError(
            f"the regions have different releases {release}: "
            + ", ".join(f"{where} {digest[:16]}" for where, digest in digests.items()),
            "publish under a new version, and don't deploy this one",
        )
    return Existing(
        release=release,
        records=records,
        manifest=next(iter(manifests.values()), None),
        sizes={region: sizes for region, (_, _, sizes) in answers.items()},
    )


def named(failure: RegionFailure, bucket: ReleaseBucket) -> RegionFailure:
    """A failure, with what is missing where it is the bucket."""
    if failure.code != "NoSuchBucket":
        return failure
    return replace(
        failure, text=f"{bucket.region} has no bucket {bucket.name}: its site isn't up", remedy="lockstep up"
    )
