"""The package bucket of one region, as publishing uses it: objects are written once, and never over another.

Small objects go out on kept connections of our own, signed by botocore with the SHA-256 that is known already: its
client hashes each body again for each region, which is most of the time that publishing takes (bench/publish.py).
"""

import base64
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from urllib3 import HTTPResponse, PoolManager, Timeout
from urllib3.exceptions import ConnectTimeoutError as PoolConnectTimeout
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as PoolReadTimeout

from lockstep import aws
from lockstep.publishing.manifest import Entry

Client = Callable[[str, str], Any]

ATTEMPTS: Final = 3
CONNECTIONS: Final = 8
_PRECONDITION: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
# What is still being written by somebody else is there a moment later (S3 API Reference, PutObject, "If-None-Match").
_CONFLICT: Final = "ConditionalRequestConflict"
_TIMEOUT: Final = Timeout(connect=aws.CONNECT_SECONDS, read=aws.READ_SECONDS)


class OtherContentError(Exception):
    """An object is there with other content than the one that was to be written."""

    def __init__(self, region: str, bucket: str, key: str, found: str) -> None:
        super().__init__(f"{region}: s3://{bucket}/{key} is there with other content ({found})")


class _Signer(S3SigV4Auth):
    """Signs with the SHA-256 of the body that the request carries, instead of computing it."""

    def payload(self, request: Any) -> str:
        return str(request.context["sha256"])


class ReleaseBucket:
    """The bucket `name` in `region`. Thread-safe. Errors are botocore's."""

    def __init__(self, client: Client, region: str, name: str) -> None:
        self.region = region
        self.name = name
        self._s3 = client("s3", region)
        self._base = self._object_base()
        self._pool = PoolManager(num_pools=2, maxsize=CONNECTIONS, block=True, timeout=_TIMEOUT, retries=False)
        self._credentials = aws.credentials()

    def sizes(self, prefix: str) -> dict[str, int]:
        """Size in bytes of every current object below `prefix`, by key."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}

    def read(self, key: str) -> bytes | None:
        """The content of an object; None if there is none."""
        try:
            content: bytes = self._s3.get_object(Bucket=self.name, Key=key)["Body"].read()
            return content
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def problem_of(self, entry: Entry) -> str | None:
        """What is wrong with an object, by what S3 knows of it; None if it is the one that `entry` describes."""
        try:
            head = self._s3.head_object(Bucket=self.name, Key=entry.key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return "is missing"
            raise
        if head["ContentLength"] != entry.size:
            return f"has {head['ContentLength']} bytes, not {entry.size}"
        checksum = head.get("ChecksumSHA256")
        if checksum != entry.checksum:
            return f"has checksum {checksum}, not {entry.checksum}"
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
        """Write an object, which S3 checks; False if it was there with the same content.

        Raises OtherContentError if it was there with another one.
        """
        for attempt in range(1, ATTEMPTS + 1):
            error = self._put_once(entry, content, content_type)
            if error is None:
                return True
            code = error.response["Error"]["Code"]
            if code in _PRECONDITION:
                problem = self.problem_of(entry)
                if problem is None:
                    return False
                if code != _CONFLICT or attempt == ATTEMPTS:
                    raise OtherContentError(self.region, self.name, entry.key, problem) from error
            elif error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 or attempt == ATTEMPTS:
                raise error
            time.sleep(0.2 * 2**attempt)
        raise AssertionError("every way out of the last attempt is above")

    def put_in_parts(self, entry: Entry) -> "PartsUpload | None":
        """Begin to write a large object in parts; None if it is there with the same content."""
        problem = self.problem_of(entry)
        if problem is None:
            return None
        if problem != "is missing":
            raise OtherContentError(self.region, self.name, entry.key, problem)
        return PartsUpload(self, self._s3, entry)

    def abort_uploads(self, keys: Iterable[str]) -> None:
        """Give up what earlier runs have begun of `keys` and not completed."""
        wanted = set(keys)
        if not wanted:
            return
        for upload in self._s3.list_multipart_uploads(Bucket=self.name).get("Uploads", ()):
            if upload["Key"] in wanted:
                self._s3.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])

    def _object_base(self) -> str:
        """The URL below which this bucket's objects are: botocore knows the region's, and what the user has set."""
        url = self._s3.generate_presigned_url("get_object", Params={"Bucket": self.name, "Key": "x"}, ExpiresIn=1)
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('x')}"

    def _put_once(self, entry: Entry, content: bytes, content_type: str) -> ClientError | None:
        url = self._base + quote(entry.key, safe="/~")
        request: Any = AWSRequest(
            method="PUT",
            url=url,
            headers={
                "Content-Length": str(len(content)),
                "Content-Type": content_type,
                "If-None-Match": "*",
                "x-amz-checksum-sha256": entry.checksum,
                "x-amz-sdk-checksum-algorithm": "SHA256",
                "User-Agent": aws.USER_AGENT,
            },
        )
        request.context["sha256"] = entry.sha256
        _Signer(self._credentials, "s3", self.region).add_auth(request)
        answer = self._send(url, dict(request.headers.items()), content)
        return None if answer.status == 200 else _error(answer)

    def _send(self, url: str, headers: Mapping[str, str], content: bytes) -> HTTPResponse:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return cast(HTTPResponse, self._pool.request("PUT", url, body=content, headers=headers))
            except PoolConnectTimeout as error:
                last: Exception = ConnectTimeoutError(endpoint_url=self._base, error=error)
            except PoolReadTimeout as error:
                last = ReadTimeoutError(endpoint_url=self._base, error=error)
            except HTTPError as error:
                last = EndpointConnectionError(endpoint_url=self._base, error=error)
            if attempt < ATTEMPTS:
                time.sleep(0.1 * 2**attempt)
        last.lockstep_call = "s3 PutObject"  # type: ignore[attr-defined]
        raise last


class PartsUpload:
    """A large object on its way into one bucket, a part at a time; S3 checks each part, and the whole at the end."""

    def __init__(self, bucket: ReleaseBucket, s3: Any, entry: Entry) -> None:
        self.bucket = bucket
        self._s3 = s3
        self._entry = entry
        self._parts: list[dict[str, Any]] = []
        self._id = s3.create_multipart_upload(
            Bucket=bucket.name, Key=entry.key, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
        )["UploadId"]

    def send(self, part: bytes, digest: bytes) -> None:
        """Send the next part, whose SHA-256 is `digest`."""
        checksum, number = base64.b64encode(digest).decode(), len(self._parts) + 1
        answer = self._s3.upload_part(
            Bucket=self.bucket.name,
            Key=self._entry.key,
            UploadId=self._id,
            PartNumber=number,
            Body=part,
            ChecksumSHA256=checksum,
        )
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number, "ChecksumSHA256": checksum})

    def complete(self) -> None:
        """Make it an object. Raises OtherContentError if one is there by now."""
        try:
            self._s3.complete_multipart_upload(
                Bucket=self.bucket.name,
                Key=self._entry.key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _PRECONDITION:
                raise
            self.abort()
            problem = self.bucket.problem_of(self._entry)
            if problem is not None:
                raise OtherContentError(self.bucket.region, self.bucket.name, self._entry.key, problem) from error

    def abort(self) -> None:
        """Give it up: parts that stay are paid for."""
        self._s3.abort_multipart_upload(Bucket=self.bucket.name, Key=self._entry.key, UploadId=self._id)


def _error(answer: HTTPResponse) -> ClientError:
    code, message = str(answer.status), ""
    try:
        root = ElementTree.fromstring(answer.data)
        code, message = root.findtext("Code") or code, root.findtext("Message") or ""
    except ElementTree.ParseError:
        message = answer.data[:200].decode(errors="replace")
    metadata: Any = {"HTTPStatusCode": answer.status, "LockstepService": "s3"}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "PutObject")
