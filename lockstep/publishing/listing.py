"""Every release that any region knows of, and what each region lacks of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from lockstep import release_record
from lockstep.config.naming import PACKAGES_PREFIX, RELEASES_PREFIX
from lockstep.deployment_record import compare_versions
from lockstep.errors import InvalidInputError
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.existing import named
from lockstep.publishing.manifest import MANIFEST, Manifest, release_key
from lockstep.regions import in_every_region, raise_for
from lockstep.release_record import ReleaseRecord

Client = Callable[[str, str], Any]


@dataclass(frozen=True)
class ListedRelease:
    """One release: its record by region, and what is missing, a sentence for each."""

    release: str
    records: Mapping[str, ReleaseRecord | None]
    problems: tuple[str, ...]

    @property
    def digest(self) -> str | None:
        """The digest that all records agree on; None if there is none."""
        found = {record.digest for record in self.records.values() if record}
        return found.pop() if len(found) == 1 else None

    @property
    def files(self) -> int:
        """How many files it has, by its newest record."""
        return max((record.files for record in self.records.values() if record), default=0)

    @property
    def size(self) -> int:
        """Its bytes in one region."""
        return max((record.size for record in self.records.values() if record), default=0)

    @property
    def is_complete(self) -> bool:
        """Whether every region has all of it."""
        return not self.problems

    def state_in(self, region: str) -> str:
        """One word for a table."""
        if self.records[region] is None:
            return "unrecorded"
        return "incomplete" if any(problem.startswith(f"{region} ") for problem in self.problems) else "published"

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return {
            "digest": self.digest,
            "complete": self.is_complete,
            "files": self.files,
            "bytes": self.size,
            "regions": {
                region: {"state": self.state_in(region), "publishedAt": record.published_at if record else None}
                for region, record in self.records.items()
            },
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class _Region:
    records: Mapping[str, ReleaseRecord]
    sizes: Mapping[str, int]
    manifests: Mapping[str, bytes]


def list_releases(client: Client, buckets: Mapping[str, ReleaseBucket], application: str) -> list[ListedRelease]:
    """Every release, oldest version first. Objects are looked for by name and size; nothing but manifests is read.

    Raises RegionUnreachableError, or what else is the matter, if a region can't be asked.
    """

    def look(region: str) -> _Region:
        bucket = buckets[region]
        sizes = {**bucket.sizes(RELEASES_PREFIX), **bucket.sizes(PACKAGES_PREFIX)}
        keys = [key for key in sizes if key.startswith(RELEASES_PREFIX) and key.endswith(f"/{MANIFEST}")]
        manifests = {key.split("/")[1]: bucket.read(key) or b"" for key in keys if key.count("/") == 2}
        return _Region(release_record.read_all(client, region, application), sizes, manifests)

    found, failures = in_every_region(buckets, look)
    raise_for({region: named(failure, buckets[region]) for region, failure in failures.items()})
    names = {name for region in found.values() for name in (*region.records, *region.manifests)}
    return [
        ListedRelease(
            release=name,
            records={region: each.records.get(name) for region, each in found.items()},
            problems=tuple(
                problem for region, each in found.items() for problem in _problems(region, name, each, found)
            ),
        )
        for name in sorted(names, key=cmp_to_key(compare_versions))
    ]


def _problems(region: str, name: str, here: _Region, everywhere: Mapping[str, _Region]) -> list[str]:
    problems = []
    record, content = here.records.get(name), here.manifests.get(name)
    if record is None:
        problems.append(f"{region} has no record of release {name}: publish it again to complete it")
    if content is None:
        return [*problems, f"{region} has no {release_key(name, MANIFEST)}"]
    try:
        manifest = Manifest.parse(content, f"{region} has a {release_key(name, MANIFEST)} that")
    except InvalidInputError as error:
        return [*problems, error.message]
    if record is not None and record.digest != manifest.digest:
        problems.append(f"{region} has a manifest of release {name} that isn't the recorded one")
    others = {each.records[name].digest for each in everywhere.values() if name in each.records}
    if len(others) > 1:
        problems.append(f"{region} has a release {name} that differs from another region's")
    for entry in manifest.entries:
        size = here.sizes.get(entry.key)
        if size is None:
            problems.append(f"{region} lacks {entry.key} of release {name}")
        elif size != entry.size:
            problems.append(f"{region} has {size} bytes of {entry.key}, not {entry.size}")
    return problems
