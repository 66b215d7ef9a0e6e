"""The package bucket of one region, as publishing uses it: objects are written once, and never over another."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from botocore.exceptions import ClientError

from lockstep.publishing.manifest import Entry
from lockstep.publishing.signed_requests import SignedRequests, bucket_url

Client = Callable[[str, str], Any]

# Requests to one bucket at once.
CONNECTIONS: Final = 8
# S3 API Reference, PutObject and CompleteMultipartUpload, "If-None-Match": something is there, or is being written.
NOT_ABSENT: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
MISSING: Final = "is missing"


class OtherContentError(Exception):
    """An object is there with other content than the one that was to be written."""

    def __init__(self, region: str, bucket: str, key: str, found: str) -> None:
        super().__init__(f"{region}: s3://{bucket}/{key} is there with other content: it {found}")


class ReleaseBucket:
    """The bucket `name` in `region`. Thread-safe. Errors are botocore's."""

    def __init__(self, client: Client, region: str, name: str) -> None:
        self.region = region
        self.name = name
        self.s3 = client("s3", region)
        base = bucket_url(self.s3.meta.endpoint_url, name)
        self.requests = SignedRequests(base, region, connections=CONNECTIONS)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Size in bytes of every current object below `prefix`, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}

    def read(self, key: str) -> bytes | None:
        """The content of an object; None if there is none."""
        try:
            content: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
            return content
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def problem_of(self, entry: Entry) -> str | None:
        """What is wrong with an object, by what S3 knows of it; None if it is the one that `entry` describes."""
        try:
            head = self.requests.send(
                "HEAD", entry.key, operation="HeadObject", headers={"x-amz-checksum-mode": "ENABLED"}
            )
        except ClientError as error:
            # A delete marker too is "not found".
            if error.response["Error"]["Code"] == "404":
                return MISSING
            raise
        size, checksum = int(head["Content-Length"]), head.get("x-amz-checksum-sha256")
        if size != entry.size:
            return f"has {size} bytes, not {entry.size}"
        if checksum != entry.checksum:
            return f"has SHA-256 checksum {checksum or 'unknown'}, not {entry.checksum}"
        return None

    def problems_of(self, entries: Iterable[Entry]) -> list[str]:
        """What is wrong with any of `entries`, each with its object's name."""
        wanted = list(entries)
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
            found = list(pool.map(self.problem_of, wanted))
        return [
            f"{self.region}: s3://{self.name}/{entry.key} ({entry.path}) {problem}"
            for entry, problem in zip(wanted, found, strict=True)
            if problem
        ]

    def put(self, entry: Entry, content: bytes, content_type: str = "application/octet-stream") -> bool:
        """Write an object; False if it was there with the same content. Either way it has been verified by S3.

        Raises OtherContentError if it was there with another one.
        """
        try:
            answer = self.requests.send(
                "PUT",
                entry.key,
                operation="PutObject",
                headers={
                    "Content-Type": content_type,
                    "If-None-Match": "*",
                    "x-amz-checksum-sha256": entry.checksum,
                    "x-amz-sdk-checksum-algorithm": "SHA256",
                },
                body=content,
                sha256=entry.sha256,
            )
        except ClientError as error:
            self.refuse_other(entry, error)
            return False
        # S3 stores nothing whose checksum isn't the one that was sent, and says so by repeating it. An endpoint that
        # doesn't repeat it may not know of checksums.
        if answer.get("x-amz-checksum-sha256") != entry.checksum and (problem := self.problem_of(entry)):
            raise OtherContentError(self.region, self.name, entry.key, problem)
        return True

    def refuse_other(self, entry: Entry, error: ClientError) -> None:
        """Return if `error`, by its code, says that an object is there, and it is the one of `entry`.

        Raises OtherContentError if it is another one, and `error` itself if it says something else or nothing is there.
        """
        if error.response["Error"]["Code"] not in NOT_ABSENT:
            raise error
        problem = self.problem_of(entry)
        if problem == MISSING:
            raise error
        if problem is not None:
            raise OtherContentError(self.region, self.name, entry.key, problem) from error
