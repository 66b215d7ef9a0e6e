"""Publishes a release: the same content into every region's bucket, visible nowhere before it is complete everywhere.

Rule: packages are stored under their digest, where nobody looks for them by name. Then the manifest claims the
release's name, in one region after the other and always in the same order, so that of two who publish different content
under one name one is refused before anything of it can be seen. Then the repository, `repomd.xml` last. The records
come when every region has verified everything. All of it is written only where nothing is, so that any run can be
broken off and repeated.
"""

import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from lockstep import release_record
from lockstep.config.naming import PACKAGES_PREFIX
from lockstep.errors import InvalidInputError, LockstepError, RefusedError
from lockstep.publishing.bucket import CONNECTIONS, OtherContentError, PartsUpload, ReleaseBucket
from lockstep.publishing.manifest import MANIFEST, Entry, Manifest, package_key, release_key
from lockstep.publishing.package_set import IN_MEMORY_MAX, Content, LocalFile, parts_of, raise_problems, read
from lockstep.publishing.repodata import MetadataFile, Package, describe
from lockstep.regions import RegionFailure, as_error, classify, in_every_region, raise_for
from lockstep.release_record import ReleaseRecord

Client = Callable[[str, str], Any]
OnBytes = Callable[[str, int], None]
"""`on_bytes(region, count)`: so many more bytes have arrived in a region."""

# Bytes of files that are in memory at once, on their way to all regions.
MEMORY: Final = 2 * IN_MEMORY_MAX


@dataclass
class RegionOutcome:
    """What was done in one region: objects and bytes that were sent, objects that were there, and the record."""

    uploaded: int = 0
    present: int = 0
    sent_bytes: int = 0
    record_written: bool = False

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return {
            "uploaded": self.uploaded,
            "present": self.present,
            "bytes": self.sent_bytes,
            "record": "written" if self.record_written else "present",
        }


@dataclass(frozen=True)
class Published:
    """The outcome of publishing."""

    manifest: Manifest
    regions: Mapping[str, RegionOutcome]
    warnings: Sequence[str] = ()

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


@dataclass(frozen=True)
class Existing:
    """What the regions have of a release before it is published: its records, its manifest, and all packages."""

    records: Mapping[str, ReleaseRecord | None]
    manifest: Manifest | None
    sizes: Mapping[str, Mapping[str, int]]


class _Memory:
    """Bounds the bytes that are read and not sent yet."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size

    def give_back(self, size: int) -> None:
        with self._changed:
            self._free += size
            self._changed.notify_all()


@dataclass
class Publisher:
    """Publishes `release` of `application` to `buckets`, given by region in the order in which names are claimed."""

    client: Client
    application: str
    release: str
    buckets: Mapping[str, ReleaseBucket]
    on_bytes: OnBytes = lambda region, count: None
    _outcomes: dict[str, RegionOutcome] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> Existing:
        """What is there. Raises RegionUnreachableError, or what else is the matter, if a region can't be asked."""

        def ask(region: str) -> tuple[ReleaseRecord | None, bytes | None, dict[str, int]]:
            bucket = self.buckets[region]
            record = release_record.read(self.client, region, self.application, self.release)
            manifest = bucket.read(release_key(self.release, MANIFEST))
            return record, manifest, {**bucket.sizes(PACKAGES_PREFIX), **bucket.sizes(release_key(self.release, ""))}

        answers, failures = in_every_region(self.buckets, ask)
        raise_for({region: _named(each, self.buckets[region]) for region, each in failures.items()})
        stored = {
            manifest.digest: manifest
            for region, (_, content, _) in answers.items()
            if content is not None
            for manifest in [Manifest.parse(content, f"{region}: {release_key(self.release, MANIFEST)}")]
        }
        if len(stored) > 1:
            digests = ", ".join(sorted(digest[:16] for digest in stored))
            raise RefusedError(
                f"the regions have different releases {self.release}: digests {digests}",
                "publish under a new version, and don't deploy this one",
            )
        return Existing(
            records={region: record for region, (record, _, _) in answers.items()},
            manifest=next(iter(stored.values()), None),
            sizes={region: sizes for region, (_, _, sizes) in answers.items()},
        )

    def publish(self, files: Sequence[LocalFile], existing: Existing) -> Published:
        """Bring `files` into every region. Raises LockstepError; run again, it goes on where it was."""
        self._outcomes = {region: RegionOutcome() for region in self.buckets}
        # Sent at once while it is read, unless the name is taken: then it must be the same, and mostly is all there.
        known = existing.manifest is not None
        contents = self._read(files, existing, send=not known)
        packages, repository = describe(contents)
        self._check(packages)
        manifest = self._manifest(contents, repository)
        if existing.manifest is not None:
            _refuse_other(existing.manifest, manifest)
            self._resend(contents, existing)
        self._claim(manifest, existing)
        self._put_repository(manifest, repository, existing)
        if not all(existing.records.values()):
            self._verify(manifest)
        self._record(manifest, existing)
        return Published(manifest, self._outcomes, _warnings(contents, packages, self.release))

    def _read(self, files: Sequence[LocalFile], existing: Existing, *, send: bool) -> list[Content]:
        """Read and hash every file once, and send it to every region that lacks it meanwhile."""
        memory = _Memory(MEMORY)
        contents: dict[str, Content] = {}
        problems: list[str] = []
        sending: set[Future[None]] = set()
        workers = CONNECTIONS * len(self.buckets)
        with ThreadPoolExecutor(max_workers=workers) as pool:
            for file in files:
                held = 0 if file.is_large else file.size
                memory.take(held)
                try:
                    content = read(file)
                except InvalidInputError as error:
                    problems.append(error.message)
                    memory.give_back(held)
                    continue
                contents[file.path] = _without_data(content)
                if not send or problems:
                    memory.give_back(held)
                elif file.is_large:
                    self._send_large(content, existing)
                else:
                    sending |= self._send_small(pool, content, existing, memory)
                sending = _raise_failed(sending)
            while sending:
                wait(sending, return_when=FIRST_COMPLETED)
                sending = _raise_failed(sending)
        raise_problems(problems)
        return [contents[file.path] for file in files]

    def _send_small(
        self, pool: ThreadPoolExecutor, content: Content, existing: Existing, memory: _Memory
    ) -> set[Future[None]]:
        entry, data = _file_entry(content), content.data
        assert data is not None
        wanting = self._wanting(entry, existing)
        if not wanting:
            memory.give_back(content.file.size)
            return set()
        left = [len(wanting)]

        def send(region: str) -> None:
            try:
                self._put(entry, data, region)
            finally:
                with self._lock:
                    left[0] -= 1
                    last = left[0] == 0
                if last:
                    memory.give_back(content.file.size)

        return {pool.submit(self._guarded, region, send) for region in wanting}

    def _send_large(self, content: Content, existing: Existing) -> None:
        """A part at a time, to all regions at once: it is read again, as its name is the digest of all of it."""
        entry = _file_entry(content)
        wanting = self._wanting(entry, existing)
        uploads: dict[str, PartsUpload] = {}

        def begin(region: str) -> None:
            self.buckets[region].abort_uploads([entry.key])
            upload = self.buckets[region].put_in_parts(entry)
            if upload is None:
                self._count(region, present=1)
            else:
                uploads[region] = upload

        try:
            self._in_regions(begin, wanting)
            if uploads:
                for part, digest in zip(parts_of(content.file), content.parts, strict=True):
                    self._in_regions(partial(self._send_part, uploads, part, digest), uploads)
                self._in_regions(lambda region: uploads[region].complete(), uploads)
        except BaseException:
            for upload in uploads.values():
                # What can't be aborted now is, by the next run or the bucket's lifecycle.
                with suppress(BotoCoreError, ClientError):
                    upload.abort()
            raise
        for region in uploads:
            self._count(region, uploaded=1, sent=entry.size)

    def _send_part(self, uploads: Mapping[str, PartsUpload], part: bytes, digest: bytes, region: str) -> None:
        uploads[region].send(part, digest)
        self.on_bytes(region, len(part))

    def _resend(self, contents: Sequence[Content], existing: Existing) -> None:
        """What a run that was broken off, or somebody's deletion, has left missing."""
        for content in contents:
            entry = _file_entry(content)
            wanting = self._wanting(entry, existing)
            if not wanting:
                continue
            again = read(content.file)
            if again.sha256 != content.sha256:
                raise InvalidInputError(
                    f"{content.file.path} was changed while it was read", "wait until it is complete"
                )
            if content.file.is_large:
                self._send_large(again, existing)
            else:
                self._in_regions(partial(self._put, entry, again.data or b""), wanting)

    def _wanting(self, entry: Entry, existing: Existing) -> list[str]:
        """The regions that lack an object; one that is stored under its digest is told by its size alone."""
        wanting = [region for region in self.buckets if existing.sizes[region].get(entry.key) != entry.size]
        for region in self.buckets.keys() - set(wanting):
            self._count(region, present=1)
        return wanting

    def _put(self, entry: Entry, data: bytes, region: str) -> None:
        content_type = "application/json" if entry.path == MANIFEST else "application/octet-stream"
        sent = self.buckets[region].put(entry, data, content_type)
        self._count(region, uploaded=int(sent), present=int(not sent), sent=len(data) if sent else 0)
        self.on_bytes(region, len(data))

    def _count(self, region: str, *, uploaded: int = 0, present: int = 0, sent: int = 0) -> None:
        with self._lock:
            outcome = self._outcomes[region]
            outcome.uploaded += uploaded
            outcome.present += present
            outcome.sent_bytes += sent

    def _check(self, packages: Sequence[Package]) -> None:
        if not any(package.name == self.application for package in packages):
            names = ", ".join(sorted({package.name for package in packages})) or "no package at all"
            raise InvalidInputError(
                f"there is no package {self.application} among the files ({names}), and instances install it by that "
                "name; nothing of the release can be seen",
                "add it, or set lockstep:application to the name of the package",
            )

    def _manifest(self, contents: Sequence[Content], repository: Sequence[MetadataFile]) -> Manifest:
        return Manifest(
            application=self.application,
            release=self.release,
            files=tuple(_file_entry(content) for content in contents),
            repodata=tuple(
                _bytes_entry(file.path, release_key(self.release, file.path), file.content) for file in repository
            ),
        )

    def _claim(self, manifest: Manifest, existing: Existing) -> None:
        """The manifest into one region after the other. The first one decides who has the name."""
        content = manifest.content()
        entry = _bytes_entry(MANIFEST, release_key(self.release, MANIFEST), content)
        for region in self._wanting(entry, existing):
            self._in_regions(partial(self._put, entry, content), [region])

    def _put_repository(self, manifest: Manifest, repository: Sequence[MetadataFile], existing: Existing) -> None:
        """One file after the other: `repomd.xml`, the last, makes the others be looked for."""
        for entry, file in zip(manifest.repodata, repository, strict=True):
            self._in_regions(partial(self._put, entry, file.content), self._wanting(entry, existing))

    def _verify(self, manifest: Manifest) -> None:
        problems: dict[str, list[str]] = {}

        def check(region: str) -> None:
            problems[region] = self.buckets[region].problems_of(manifest.entries)

        self._in_regions(check)
        found = [problem for region in self.buckets for problem in problems[region]]
        if found:
            raise RefusedError(
                "what is stored isn't what was published:\n" + "\n".join(found) + "\nno record was written",
                "delete these objects (`aws s3 rm`), then run this again",
            )

    def _record(self, manifest: Manifest, existing: Existing) -> None:
        record = ReleaseRecord(
            release=self.release,
            digest=manifest.digest,
            files=len(manifest.files),
            size=manifest.size,
            published_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        for region, found in existing.records.items():
            if found is not None and not found.is_same(record):
                raise _other_record(region, found, record)

        def write(region: str) -> None:
            if existing.records[region] is None:
                self._outcomes[region].record_written = release_record.write(
                    self.client, region, self.application, record
                )

        self._in_regions(write, settle=any(existing.records.values()))

    def _in_regions(
        self, work: Callable[[str], None], regions: Iterable[str] | None = None, *, settle: bool = False
    ) -> None:
        try:
            failures = in_every_region(self.buckets if regions is None else regions, work)[1]
        except OtherContentError as error:
            raise _other_content(error) from error
        raise_for(
            failures,
            f"release {self.release} isn't complete; run this again to go on",
            settle=settle,
        )

    def _guarded(self, region: str, work: Callable[[str], None]) -> None:
        """`work` with the errors of AWS turned into what the user reads."""
        try:
            work(region)
        except OtherContentError as error:
            raise _other_content(error) from error
        except (BotoCoreError, ClientError) as error:
            left = f"release {self.release} isn't complete; run this again to go on"
            raise as_error({region: classify(region, error)}, left) from error


def _raise_failed(sending: set[Future[None]]) -> set[Future[None]]:
    """Those that are still under way; raises what the first failed one raised."""
    done = {future for future in sending if future.done()}
    for future in done:
        try:
            future.result()
        except LockstepError:
            for other in sending:
                other.cancel()
            raise
    return sending - done


def _named(failure: RegionFailure, bucket: ReleaseBucket) -> RegionFailure:
    """A failure, with what is missing where it is the bucket."""
    if failure.code != "NoSuchBucket":
        return failure
    return replace(
        failure, text=f"{bucket.region} has no bucket {bucket.name}: its site isn't up", remedy="lockstep up"
    )


def _without_data(content: Content) -> Content:
    return replace(content, data=None)


def _file_entry(content: Content) -> Entry:
    return Entry(
        path=content.file.path,
        key=package_key(content.sha256, content.file.name),
        size=content.file.size,
        sha256=content.sha256,
        checksum=content.checksum,
    )


def _bytes_entry(path: str, key: str, content: bytes) -> Entry:
    digest = hashlib.sha256(content)
    return Entry(
        path=path,
        key=key,
        size=len(content),
        sha256=digest.hexdigest(),
        checksum=b64encode(digest.digest()).decode(),
    )


def _refuse_other(there: Manifest, new: Manifest) -> None:
    if there.digest == new.digest:
        return
    had = {entry.path: entry.sha256 for entry in there.files}
    has = {entry.path: entry.sha256 for entry in new.files}
    lines = [f"  - {path}" for path in sorted(had.keys() - has.keys())]
    lines += [f"  + {path}" for path in sorted(has.keys() - had.keys())]
    lines += [f"  ~ {path}" for path in sorted(had.keys() & has.keys()) if had[path] != has[path]]
    detail = "\n".join(lines) or "  only the repository's metadata differs: another version of createrepo_c made it"
    raise RefusedError(
        f"release {new.release} is published with other content, and a release is never changed:\n{detail}",
        "publish under a new version",
    )


def _other_content(error: OtherContentError) -> RefusedError:
    return RefusedError(
        f"{error}: a release is never changed, and nothing was written over it",
        "publish under a new version; if the object was damaged, delete it (`aws s3 rm`) and run this again",
    )


def _other_record(region: str, found: ReleaseRecord, new: ReleaseRecord) -> RefusedError:
    return RefusedError(
        f"{region} has a record of release {new.release} with digest {found.digest[:16]}, not {new.digest[:16]}",
        "publish under a new version",
    )


def _warnings(contents: Sequence[Content], packages: Sequence[Package], release: str) -> list[str]:
    warnings = [
        f"{content.file.path} has {', '.join(content.scriptlets)}: instances run that on AWS, the sandbox's refuse it"
        for content in contents
        if content.scriptlets
    ]
    other = sorted({f"{each.name} {each.version}" for each in packages if each.version != release})
    if other:
        warnings.append(f"release {release} has packages of other versions: {', '.join(other)}")
    return warnings
