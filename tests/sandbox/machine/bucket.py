"""A bucket for machines: S3's anonymous GET behind a gateway endpoint, and a repository in it."""

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lockstep.publishing.repodata import createrepo
from tests.http_server import Answering, listening

NAME = "orders-packages"
REGION = "eu-west-1"
VPCE = "vpce-0123456789abcdef0"
RELEASE = "releases/1.0.0/"
URL = f"https://{NAME}.s3.{REGION}.amazonaws.com/{RELEASE}"


@dataclass
class Bucket:
    """What is under each path, `/BUCKET/KEY`; `statuses` are answered instead, one by one; `asked` is what was got.

    Of each path in `breaking_off`, so many answers end halfway.
    """

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    breaking_off: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, key: str, content: bytes) -> None:
        self.objects[f"/{NAME}/{key}"] = content

    def key_of(self, name: str) -> str:
        """The one key that ends with `name`."""
        (path,) = [each for each in self.objects if each.endswith(name)]
        return path.removeprefix(f"/{NAME}/")

    def publish(
        self,
        rpms: Mapping[str, bytes],
        *,
        pack: tuple[str, Callable[[bytes], bytes]] = (".gz", lambda plain: gzip.compress(plain, mtime=0)),
        edit: Callable[[bytes], bytes] = lambda primary: primary,
        release: str = RELEASE,
    ) -> None:
        """Put packages and a repository that lists them, as `lockstep publish` lays them out."""
        suffix, packer = pack
        with createrepo() as (library, work):
            entries = []
            for name, content in rpms.items():
                digest = hashlib.sha256(content).hexdigest()
                self.put(f"packages/{digest}/{name}", content)
                file = work / name
                file.write_bytes(content)
                package = library.package_from_rpm(str(file), library.SHA256)
                package.location_href = f"../../packages/{digest}/{name}"
                entries.append(library.xml_dump_primary(package))
            opening = (
                '<metadata xmlns="http://linux.duke.edu/metadata/common" '
                f'xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{len(entries)}">'
            )
            plain = edit(f'<?xml version="1.0"?>\n{opening}\n{"".join(entries)}</metadata>\n'.encode())
            packed = packer(plain)
            record = library.RepomdRecord("primary", None)
            record.location_href = f"repodata/primary.xml{suffix}"
            record.checksum_type, record.checksum = "sha256", hashlib.sha256(packed).hexdigest()
            record.checksum_open_type, record.checksum_open = "sha256", hashlib.sha256(plain).hexdigest()
            record.size, record.size_open, record.timestamp = len(packed), len(plain), 1
            repomd = library.Repomd()
            repomd.set_record(record)
            self.put(f"{release}repodata/primary.xml{suffix}", packed)
            self.put(f"{release}repodata/repomd.xml", repomd.xml_dump().encode())


@contextmanager
def serving() -> Iterator[Bucket]:
    """A bucket that answers on loopback, only to requests through the endpoint."""
    bucket = Bucket("")

    class Handler(Answering):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            bucket.asked.append(self.path)
            pending = bucket.statuses.get(self.path, [])
            if self.headers.get("X-Lockstep-Source-Vpce") != VPCE or self.headers.get("Authorization"):
                self.answer(403)
            elif pending:
                self.answer(pending.pop(0))
            elif self.path not in bucket.objects:
                self.answer(404)
            elif bucket.breaking_off.get(self.path, 0):
                bucket.breaking_off[self.path] -= 1
                self.break_off(200, bucket.objects[self.path])
            else:
                self.answer(200, bucket.objects[self.path])

    with listening(Handler) as bucket.url:
        yield bucket


def repositories(urls: Sequence[str] = (URL,), **options: Any) -> dict[str, Any]:
    """cloud-config's `yum_repos` for these."""
    return {
        f"lockstep{number or ''}": {"name": "Lockstep", "baseurl": url, "enabled": True, "gpgcheck": False, **options}
        for number, url in enumerate(urls)
    }
