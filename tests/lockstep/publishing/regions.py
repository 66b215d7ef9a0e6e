"""What the tests of publishing do in the regions, and how they look at what is there."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.package_bucket import policy_of
from lockstep import aws as factory
from lockstep.config.naming import bucket_arn, package_bucket_name
from lockstep.publishing import package_set
from lockstep.publishing.bucket import ReleaseBucket
from lockstep.publishing.existing import look
from lockstep.publishing.publish import Published, Publisher

APPLICATION = "orders"
ACCOUNT = "123456789012"
# Those of the committed stack files.
REGIONS = ("eu-central-1", "eu-west-1")
REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 60.0
# What a region that publishes nothing new is asked.
READING = ("Get", "List", "Head", "Describe")


@dataclass
class Regions:
    """The API at `url`, where `aws(service, region)` makes clients, and a project of its own for the command."""

    aws: Callable[..., Any]
    url: str
    project: Path

    def bucket(self, region: str) -> str:
        return package_bucket_name(APPLICATION, ACCOUNT, region)

    def make_bucket(self, region: str) -> None:
        s3 = self.aws("s3", region)
        s3.create_bucket(Bucket=self.bucket(region), CreateBucketConfiguration={"LocationConstraint": region})
        s3.put_bucket_versioning(Bucket=self.bucket(region), VersioningConfiguration={"Status": "Enabled"})
        # That of a site's bucket: what publishing does has to be allowed by it.
        policy = policy_of(bucket_arn(self.bucket(region)), "vpce-1", protect=True)
        s3.put_bucket_policy(Bucket=self.bucket(region), Policy=policy)

    @contextmanager
    def unlocked(self, region: str) -> Iterator[Any]:
        """Without the bucket's policy for the block, as an administrator can make it: S3's client."""
        s3, name = self.aws("s3", region), self.bucket(region)
        policy = s3.get_bucket_policy(Bucket=name)["Policy"]
        s3.delete_bucket_policy(Bucket=name)
        yield s3
        s3.put_bucket_policy(Bucket=name, Policy=policy)

    def objects(self, region: str) -> dict[str, int]:
        """Size of every object, by key."""
        pages = self.aws("s3", region).get_paginator("list_objects_v2").paginate(Bucket=self.bucket(region))
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}

    def versions(self, region: str) -> int:
        """How many versions all objects have: more than objects if something was written over."""
        listed = self.aws("s3", region).list_object_versions(Bucket=self.bucket(region))
        return len(listed.get("Versions", ())) + len(listed.get("DeleteMarkers", ()))

    def read(self, region: str, key: str) -> bytes:
        content: bytes = self.aws("s3", region).get_object(Bucket=self.bucket(region), Key=key)["Body"].read()
        return content

    def uploads(self, region: str) -> list[dict[str, Any]]:
        """Multipart uploads that were begun and neither completed nor aborted."""
        listed = self.aws("s3", region).list_multipart_uploads(Bucket=self.bucket(region))
        return list(listed.get("Uploads", ()))

    def key(self, region: str, ending: str) -> str:
        """The one key that ends so."""
        (key,) = [key for key in self.objects(region) if key.endswith(ending)]
        return key

    def delete(self, region: str, key: str) -> None:
        with self.unlocked(region) as s3:
            s3.delete_object(Bucket=self.bucket(region), Key=key)

    def overwrite(self, region: str, key: str, content: bytes) -> None:
        with self.unlocked(region) as s3:
            s3.put_object(Bucket=self.bucket(region), Key=key, Body=content, ChecksumAlgorithm="SHA256")

    def record(self, region: str, release: str = "1.0.0") -> dict[str, Any] | None:
        """The release's record, as it is stored."""
        ssm = self.aws("ssm", region)
        try:
            found = ssm.get_parameter(Name=f"/lockstep/{APPLICATION}/releases/{release}")
        except ssm.exceptions.ParameterNotFound:
            return None
        value: dict[str, Any] = json.loads(found["Parameter"]["Value"])
        return value

    def state(self) -> dict[str, Any]:
        """All that publishing leaves, without what differs from run to run: the time in a record."""
        state: dict[str, Any] = {}
        for region in REGIONS:
            record = self.record(region)
            state[region] = {
                "objects": self.objects(region),
                "versions": self.versions(region),
                "uploads": len(self.uploads(region)),
                "record": {name: value for name, value in (record or {}).items() if name != "publishedAt"},
            }
        return state

    def control(self, path: str, data: Any = None) -> Any:
        """Ask one of the sandbox's own paths."""
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(f"{self.url}/_sandbox/{path}", body, timeout=10) as answer:
            return json.load(answer)

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Replace all faults of the API."""
        self.control("faults", {"faults": list(faults)})

    def calls_of(self, work: Callable[[], object]) -> list[str]:
        """The operations that `work` asks for, such as `s3 PutObject`."""
        self.control("calls?record=1")
        try:
            work()
        finally:
            calls = self.control("calls?record=0")["calls"]
        return [f"{call['service']} {call['operation']}" for call in calls if call["service"] in ("s3", "ssm", "sts")]

    def open_buckets(self) -> dict[str, ReleaseBucket]:
        return {region: ReleaseBucket(factory.client, region, self.bucket(region)) for region in REGIONS}

    def publish(self, folder: Path, release: str = "1.0.0", **settings: Any) -> Published:
        """Publish in this process, as the command does."""
        files = package_set.find(folder)
        buckets = self.open_buckets()
        existing = look(factory.client, buckets, APPLICATION, release)
        publisher = Publisher(factory.client, APPLICATION, release, buckets, existing, **settings)
        publisher.prepare(files)
        return publisher.publish(files)

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the real `lockstep ARGUMENTS` to its end."""
        process = self.start(*arguments, **environment)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(list(arguments), process.returncode, out, err)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start the real `lockstep ARGUMENTS`."""
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep.cli", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "LOCKSTEP_PROJECT": str(self.project), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def is_reading(call: str) -> bool:
    """Whether an operation changes nothing."""
    return call.split(" ", 1)[1].startswith(READING)
