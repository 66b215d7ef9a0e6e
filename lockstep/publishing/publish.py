"""Publishes a release: the same content into every region's bucket, visible nowhere before it is complete everywhere.

Rule: packages are stored under their digest, where nobody looks for them by name. Then the manifest claims the
release's name, in one region after the other and always in the same order, so that of two who publish different content
under one name one is refused before anything of it can be seen. Then the repository, `repomd.xml` last. The records
come when every region has verified everything. All of it is written only where nothing is, so that any run can be
broken off and repeated. What somebody has damaged is therefore never written over, but named, for them to delete it; a
run that ends well has verified everything, whether it had anything to do or not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from lockstep import release_record
from lockstep.errors import IncompleteError, InvalidInputError, LockstepError, RefusedError
from lockstep.publishing.bucket import OtherContentError, ReleaseBucket
from lockstep.publishing.existing import Existing
from lockstep.publishing.large_file import OnBytes
from lockstep.publishing.manifest import MANIFEST, Entry, Manifest, entry_of_bytes, entry_of_file, release_key
from lockstep.publishing.package_set import Content, LocalFile
from lockstep.publishing.repodata import MetadataFile, Package, metadata, open_packages
from lockstep.publishing.rpm_header import RpmHeader
from lockstep.publishing.upload import RegionOutcome, Say, Upload
from lockstep.regions import RegionFailure, in_every_region, raise_for
from lockstep.release_record import ReleaseRecord

Client = Callable[[str, str], Any]

# The bucket refuses deletions of a protected site (docs/adr/0016).
_DELETING: Final = (
    "`aws s3 rm`, which the site's bucket allows once lockstep:protect is false there and it was brought up"
)


@dataclass(frozen=True)
class Published:
    """The outcome of publishing."""

    manifest: Manifest
    regions: Mapping[str, RegionOutcome]

    @property
    def unchanged(self) -> bool:
        """Whether everything was there already."""
        return not any(each.uploaded or each.record_written for each in self.regions.values())

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return {
            "version": self.manifest.release,
            "digest": self.manifest.digest,
            "unchanged": self.unchanged,
            "regions": {region: outcome.as_json() for region, outcome in self.regions.items()},
        }


@dataclass
class Publisher:
    """Publishes `release` of `application` to `buckets`, given by region in the order in which names are claimed.

    `existing` is what they have of it; `say` tells the person who waits of a region that failed.
    """

    client: Client
    application: str
    release: str
    buckets: Mapping[str, ReleaseBucket]
    existing: Existing
    on_bytes: OnBytes = lambda region, count: None
    say: Say = lambda text: None
    _upload: Upload = field(init=False)
    _packages: Sequence[Package] | None = None

    def prepare(self, files: Sequence[LocalFile]) -> list[str]:
        """Judge the packages among `files` by their headers; returns what may be meant as it is, and may not.

        Files of a release that is known are only compared with it. Raises InvalidInputError with all that is wrong.
        """
        if self.existing.is_known:
            return []
        self._packages = open_packages(files)
        _check_packages(self.application, self._packages)
        return _warnings(self.release, self._packages)

    def publish(self, files: Sequence[LocalFile]) -> Published:
        """Bring `files` into every region. Raises LockstepError; run again, it goes on where it was."""
        self._upload = Upload(self.buckets, self.existing.sizes, self.on_bytes, self.say)
        try:
            if self.existing.is_known:
                # Compared before anything is sent: what is known to be of another content must not leave anything.
                contents = self._read_only(files)
                manifest, repository = self._agree(files, contents)
                self._send(self._missing(files, contents), {})
            else:
                packages = self._opened(files)
                contents = self._send(files, {package.file.path: package.header for package in packages})
                manifest, repository = self._describe(packages, contents)
            self._claim(manifest)
            self._put_repository(manifest, repository)
        except OtherContentError as error:
            raise RefusedError(
                f"{error}. A release is never changed, and nothing was written over it",
                f"publish under a new version; if the object was damaged, delete it ({_DELETING}) and run this again",
            ) from error
        self._verify(manifest)
        self._record(manifest)
        return Published(manifest, self._upload.outcomes)

    def _opened(self, files: Sequence[LocalFile]) -> Sequence[Package]:
        if self._packages is None:
            self._packages = open_packages(files)
            _check_packages(self.application, self._packages)
        return self._packages

    def _read_only(self, files: Sequence[LocalFile]) -> dict[str, Content]:
        """Digests only: what has the published digest is whole, as what was published was."""
        return Upload({}, {}, self.on_bytes, self.say).send_files(files, {})[0]

    def _send(self, files: Sequence[LocalFile], headers: Mapping[str, RpmHeader]) -> dict[str, Content]:
        contents, failures = self._upload.send_files(files, headers)
        whole = [region for region in self.buckets if region not in failures]
        rest = f"{', '.join(whole)} has all files, but " if whole else ""
        left = f"nothing of release {self.release} can be seen yet"
        if self.existing.is_known:
            left = f"release {self.release} stays as it was, incomplete in {', '.join(failures)}"
        raise_for(failures, f"{rest}{left}; run this again to go on")
        return contents

    def _missing(self, files: Sequence[LocalFile], contents: Mapping[str, Content]) -> list[LocalFile]:
        """What a region lacks though the release's name is taken: somebody has deleted it."""
        missing = []
        for file in files:
            entry = entry_of_file(contents[file.path])
            if self._upload.lacking(entry):
                missing.append(file)
            else:
                self._upload.note_present(entry)
        return missing

    def _describe(
        self, packages: Sequence[Package], contents: Mapping[str, Content]
    ) -> tuple[Manifest, dict[str, bytes]]:
        """The manifest of what was read, and its repository's files by path."""
        repository: list[MetadataFile] = metadata(packages, contents)
        repodata = tuple(entry_of_bytes(self.release, file.path, file.content) for file in repository)
        return self._manifest(contents, repodata), {file.path: file.content for file in repository}

    def _manifest(self, contents: Mapping[str, Content], repodata: tuple[Entry, ...]) -> Manifest:
        files = tuple(entry_of_file(contents[path]) for path in sorted(contents))
        return Manifest(application=self.application, release=self.release, files=files, repodata=repodata)

    def _agree(self, files: Sequence[LocalFile], contents: Mapping[str, Content]) -> tuple[Manifest, dict[str, bytes]]:
        """The manifest that is there, if what was read is the same; raises RefusedError if it isn't.

        With it come those files of its repository that a region lacks. Another version of createrepo_c, or of zlib,
        makes another repository of the same packages: the one that is there then stays, and what a region lacks of it
        is taken from one that has it.
        """
        there = self.existing.manifest
        if there is None:
            return self._agree_with_record(*self._describe(self._opened(files), contents))
        new = self._manifest(contents, ())
        if there.package_set != new.package_set:
            raise _other_files(there, new)
        lacking = [entry for entry in there.repodata if self._upload.lacking(entry)]
        if not lacking:
            return there, {}
        made, repository = self._describe(self._opened(files), contents)
        same = set(made.repodata)
        return there, {entry.path: repository[entry.path] if entry in same else self._fetch(entry) for entry in lacking}

    def _agree_with_record(self, new: Manifest, repository: dict[str, bytes]) -> tuple[Manifest, dict[str, bytes]]:
        record = next(record for record in self.existing.records.values() if record)
        if record.digest != new.digest:
            raise RefusedError(
                f"release {self.release} is published with digest {record.digest[:16]}, this would be "
                f"{new.digest[:16]}, and no region has the manifest any more: a release is never changed",
                "publish under a new version",
            )
        return new, repository

    def _fetch(self, entry: Entry) -> bytes:
        """A file of the repository, from a region that has it."""
        lacking = self._upload.lacking(entry)
        for region in [region for region in self.buckets if region not in lacking]:
            content = self.buckets[region].read(entry.key)
            if content is not None and entry_of_bytes(self.release, entry.path, content) == entry:
                return content
        raise RefusedError(
            f"no region has {entry.key} any more, and this machine makes another one of the same packages (another "
            "version of createrepo_c or zlib)",
            "run this where the release was published first, or publish under a new version",
        )

    def _claim(self, manifest: Manifest) -> None:
        """The manifest into one region after the other. The first one decides who has the name."""
        content = manifest.content()
        entry = entry_of_bytes(self.release, MANIFEST, content)
        for region in self._upload.note_present(entry):
            if failure := self._upload.put_one(entry, content, region):
                raise_for({region: failure}, self._left())

    def _put_repository(self, manifest: Manifest, repository: Mapping[str, bytes]) -> None:
        """One file after the other: `repomd.xml`, the last, makes the others be looked for."""
        for entry in manifest.repodata:
            raise_for(self._upload.put_everywhere(entry, repository.get(entry.path, b"")), self._left())

    def _left(self) -> str:
        return f"no region has a record of release {self.release} that it hadn't before; run this again to go on"

    def _verify(self, manifest: Manifest) -> None:
        """S3 has confirmed what was sent just now; what was there before is asked for."""

        def check(region: str) -> list[str]:
            known = self._upload.verified[region]
            return self.buckets[region].problems_of([each for each in manifest.entries if each.key not in known])

        answers, failures = in_every_region(self.buckets, check)
        raise_for(failures, self._left())
        found = [problem for region in self.buckets for problem in answers[region]]
        if found:
            raise RefusedError(
                "what is stored isn't what was published:\n"
                + "\n".join(found)
                + "\nnothing was written over it, and no record was written",
                f"delete these objects ({_DELETING}), then run this again",
            )

    def _record(self, manifest: Manifest) -> None:
        record = ReleaseRecord(
            release=self.release,
            digest=manifest.digest,
            manifest=release_key(self.release, MANIFEST),
            package_set=manifest.package_set,
            files=len(manifest.files),
            size=manifest.size,
            published_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        lacking = [region for region, found in self.existing.records.items() if found is None]
        write = partial(self._write_record, record)
        failures = in_every_region(lacking, write)[1]
        if not failures:
            return
        have = [region for region in self.buckets if region not in failures]
        if have:
            raise self._half_recorded(have, failures)
        raise_for(failures, self._left())

    def _write_record(self, record: ReleaseRecord, region: str) -> None:
        written = release_record.write(self.client, region, self.application, record)
        self._upload.outcomes[region].record_written = written

    def _half_recorded(self, have: Sequence[str], failures: Mapping[str, RegionFailure]) -> LockstepError:
        texts = "; ".join(failure.text for failure in failures.values())
        return IncompleteError(
            f"{texts}; {', '.join(have)} has the record of release {self.release}, and {', '.join(failures)} has "
            "everything but the record, so that it can't be deployed",
            f"{next(iter(failures.values())).remedy}: `lockstep publish {self.release} DIR` completes it",
        )


def _check_packages(application: str, packages: Sequence[Package]) -> None:
    """Raise InvalidInputError unless the package that instances install is among `packages`."""
    if not any(package.name == application for package in packages):
        names = ", ".join(sorted({package.name for package in packages})) or "no package at all"
        raise InvalidInputError(
            f"there is no package {application} among the files ({names}), and instances install it by that name; "
            "nothing was published",
            "add it, or set lockstep:application to the name of the package",
        )


def _warnings(release: str, packages: Sequence[Package]) -> list[str]:
    """What may be meant as it is, and may not."""
    found = [
        f"{package.file.path} has {', '.join(package.header.scriptlets)}: instances run that on AWS, the sandbox's "
        "refuse it"
        for package in packages
        if package.header.scriptlets
    ]
    other = sorted({f"{each.name} {each.version}" for each in packages if each.version != release})
    if other:
        found.append(f"release {release} has packages of other versions: {', '.join(other)}")
    return found


def _other_files(there: Manifest, new: Manifest) -> RefusedError:
    had = {entry.path: entry.sha256 for entry in there.files}
    has = {entry.path: entry.sha256 for entry in new.files}
    lines = [f"  - {path}" for path in sorted(had.keys() - has.keys())]
    lines += [f"  + {path}" for path in sorted(has.keys() - had.keys())]
    lines += [f"  ~ {path}" for path in sorted(had.keys() & has.keys()) if had[path] != has[path]]
    return RefusedError(
        f"release {new.release} is published with other content, and a release is never changed (removed -, added +, "
        "changed ~):\n" + "\n".join(lines),
        "publish under a new version",
    )
