"""A large object on its way into one bucket, a part at a time; S3 checks each part, and the whole at the end.

Rule: what has arrived is never sent again. The key holds the digest of the content, so whatever upload is under way for
that key, of a run that was broken off or of somebody else's, is of the same content: it is continued. Somebody else may
complete it at any moment, or give it up: then the object is there, or it has to be begun anew. Parts that stay because
nobody comes back are removed by the bucket's lifecycle.
"""

import base64
import threading
from collections.abc import Set
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from lockstep.publishing.bucket import MISSING, NOT_ABSENT, OtherContentError, ReleaseBucket
from lockstep.publishing.manifest import Entry

_GONE = "NoSuchUpload"


class PartsUpload:
    """The upload of `entry` to `bucket`. `digests` are the SHA-256 of its parts, in order. Thread-safe.

    `done` is set when the object is there, whole. `gone` is S3's answer that the upload can't be completed, when the
    object wasn't there: unless it is by now, it has to be begun anew.
    """

    def __init__(self, bucket: ReleaseBucket, entry: Entry, digests: tuple[bytes, ...]) -> None:
        self.bucket = bucket
        self.done = False
        self.gone: ClientError | None = None
        self._entry = entry
        self._digests = digests
        self._parts: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._id = ""

    def begin(self) -> bool:
        """Begin it, or go on with one that was begun; False if the object is there by now.

        Raises OtherContentError if one with other content is.
        """
        begun = self._begun()
        # Asked after that: what isn't under way any more may have been completed.
        if self._is_there():
            return False
        self._id = (
            begun
            or self.bucket.s3.create_multipart_upload(
                Bucket=self.bucket.name, Key=self._entry.key, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
            )["UploadId"]
        )
        return True

    @property
    def is_open(self) -> bool:
        """Whether parts can be sent to it, as far as is known."""
        return not self.done and self.gone is None

    def lacks(self, number: int) -> bool:
        """Whether part `number`, the first is 1, has to be sent."""
        return self.is_open and number not in self._parts

    def send(self, number: int, part: bytes) -> None:
        """Send part `number`, unless there is no need any more."""
        if not self.is_open:
            return
        digest = self._digests[number - 1]
        checksum = base64.b64encode(digest).decode()
        try:
            answer = self.bucket.requests.send(
                "PUT",
                self._entry.key,
                operation="UploadPart",
                query=f"partNumber={number}&uploadId={quote(self._id, safe='~')}",
                headers={"x-amz-checksum-sha256": checksum, "x-amz-sdk-checksum-algorithm": "SHA256"},
                body=part,
                sha256=digest.hex(),
            )
        except ClientError as error:
            self._find_out(error)
            return
        self._arrived(number, answer["ETag"], checksum)

    def complete(self) -> None:
        """Make it an object, unless it is one, or `gone`. Raises OtherContentError if another one is there by now."""
        if not self.is_open:
            return
        try:
            self.bucket.s3.complete_multipart_upload(
                Bucket=self.bucket.name,
                Key=self._entry.key,
                UploadId=self._id,
                MultipartUpload={"Parts": [self._parts[number] for number in sorted(self._parts)]},
                IfNoneMatch="*",
            )
        except ClientError as error:
            try:
                # Completed by somebody else, or by an attempt whose answer was lost.
                self._find_out(error, NOT_ABSENT | {_GONE})
            except OtherContentError:
                self.abort()
                raise
            if self.done:
                self.abort()
            return
        if problem := self.bucket.problem_of(self._entry):
            raise OtherContentError(self.bucket.region, self.bucket.name, self._entry.key, problem)
        self.done = True

    def abort(self) -> None:
        """Give it up: parts that stay are paid for."""
        try:
            self.bucket.s3.abort_multipart_upload(Bucket=self.bucket.name, Key=self._entry.key, UploadId=self._id)
        except ClientError as error:
            if error.response["Error"]["Code"] != _GONE:
                raise

    def _is_there(self) -> bool:
        """Whether the object is. Raises OtherContentError if another one is."""
        problem = self.bucket.problem_of(self._entry)
        if problem not in (None, MISSING):
            raise OtherContentError(self.bucket.region, self.bucket.name, self._entry.key, problem)
        return problem is None

    def _find_out(self, error: ClientError, codes: Set[str] = frozenset({_GONE})) -> None:
        """Set `done` or `gone` if S3 says one of `codes`. Raises `error` if it says another, and OtherContentError."""
        if error.response["Error"]["Code"] not in codes:
            raise error
        if self._is_there():
            self.done = True
        else:
            self.gone = error

    def _begun(self) -> str | None:
        """An upload of the same that is under way, if there is one, with the parts of it that have arrived."""
        pages = self.bucket.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket.name, Prefix=self._entry.key
        )
        for page in pages:
            for upload in page.get("Uploads", ()):
                if upload["Key"] != self._entry.key or upload.get("ChecksumAlgorithm") != "SHA256":
                    continue
                try:
                    self._count_arrived(upload["UploadId"])
                except ClientError as error:
                    # It has ended since it was listed.
                    if error.response["Error"]["Code"] != _GONE:
                        raise
                    self._parts.clear()
                else:
                    return str(upload["UploadId"])
        return None

    def _count_arrived(self, upload: str) -> None:
        pages = self.bucket.s3.get_paginator("list_parts").paginate(
            Bucket=self.bucket.name, Key=self._entry.key, UploadId=upload
        )
        wanted = {number: base64.b64encode(digest).decode() for number, digest in enumerate(self._digests, 1)}
        for page in pages:
            for part in page.get("Parts", ()):
                number = part["PartNumber"]
                if part.get("ChecksumSHA256") == wanted.get(number):
                    self._arrived(number, part["ETag"], wanted[number])

    def _arrived(self, number: int, etag: str, checksum: str) -> None:
        with self._lock:
            self._parts[number] = {"ETag": etag, "PartNumber": number, "ChecksumSHA256": checksum}
