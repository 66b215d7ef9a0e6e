"""An S3 endpoint that keeps what it was told about objects and throws the content of most of them away.

`python -m bench.discarding_endpoint` answers what clients of the benchmarks ask: PutObject, HeadObject, ListObjectsV2,
multipart uploads, and for ours STS and SSM. It prints its port, and ends with its stdin. `GET /_counts` is JSON with
requests, PUTs and bytes; `/_reset` forgets all. One process with a thread for each connection; bodies are read into one
buffer, so that it takes as little of the machine as can be from the client that is measured.
"""

import base64
import hashlib
import json
import socketserver
import sys
import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

CHUNK: Final = 1 << 20
NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
# What a discarded body hashes to isn't known; clients compare an ETag only with what they were given before.
ETAG: Final = '"00000000000000000000000000000000"'


@dataclass
class Stored:
    """What is known of an object."""

    size: int
    checksum: str
    content: bytes = b""


@dataclass
class Upload:
    """A multipart upload: size and checksum by part number."""

    key: str
    parts: dict[int, tuple[int, str]] = field(default_factory=dict)


@dataclass
class Store:
    """Everything that the endpoint knows, and what it has counted."""

    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    puts: int = 0
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def counts(self) -> dict[str, int]:
        """What was asked so far; `puts` are those of objects, parts and parameters."""
        return {"requests": self.requests, "puts": self.puts, "bytes": self.bytes}


@dataclass(frozen=True)
class Request:
    """One request; `key` is the path below the root, bucket included."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    size: int
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


store = Store()


class Handler(socketserver.StreamRequestHandler):
    """One kept connection."""

    disable_nagle_algorithm = True
    rbufsize = CHUNK

    def handle(self) -> None:
        """Answer until the client hangs up."""
        buffer = bytearray(CHUNK)
        while line := self.rfile.readline():
            method, target, _ = line.decode("latin-1").split(" ", 2)
            headers = _headers(self.rfile)
            if headers.get("expect") == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # What a release's own objects say is read again; packages, nearly all of the bytes, are thrown away.
            keep = method == "POST" or "/releases/" in target
            size, body = _body(self.rfile, headers, buffer, keep=keep)
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            request = Request(method, unquote(parts.path).lstrip("/"), query, headers, size, body)
            with store.lock:
                answer = answer_to(request)
            self._send(answer, head=method == "HEAD")

    def _send(self, answer: Answer, *, head: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        headers = {"Content-Length": str(len(answer.body)), "x-amz-request-id": "0", **answer.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else answer.body))


def _headers(stream: Any) -> dict[str, str]:
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _body(stream: Any, headers: dict[str, str], buffer: bytearray, *, keep: bool) -> tuple[int, bytes]:
    """Read a body; returns its size, and the body itself if `keep`."""
    left = int(headers.get("content-length", "0"))
    if keep:
        body = stream.read(left)
        return len(body), body
    size, view = left, memoryview(buffer)
    while left:
        got = stream.readinto(view[: min(left, CHUNK)])
        if not got:
            raise ConnectionError("the client hung up in the middle of a body")
        left -= got
    return size, b""


def answer_to(request: Request) -> Answer:
    """The answer to one request; the store is changed under the caller's lock."""
    if request.key.startswith("_"):
        return _control(request)
    store.requests += 1
    if target := request.headers.get("x-amz-target"):
        return _ssm(target.rpartition(".")[2], json.loads(request.body))
    if request.method == "POST" and b"GetCallerIdentity" in request.body:
        return _xml(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>"
            "<Arn>arn:aws:iam::123456789012:root</Arn><UserId>0</UserId></GetCallerIdentityResult>"
            "</GetCallerIdentityResponse>"
        )
    if "uploadId" in request.query or "uploads" in request.query:
        return _multipart(request)
    if request.method == "PUT":
        return _put(request)
    if request.method == "HEAD":
        return _head(request)
    if "list-type" in request.query:
        return _list(request)
    found = store.objects.get(request.key)
    return Answer(body=found.content) if found else _error(404, "NoSuchKey")


def _control(request: Request) -> Answer:
    if request.key == "_reset":
        store.objects, store.uploads, store.parameters = {}, {}, {}
        store.requests = store.puts = store.bytes = 0
    return Answer(body=json.dumps(store.counts()).encode())


def _put(request: Request) -> Answer:
    store.puts += 1
    if request.headers.get("if-none-match") and request.key in store.objects:
        return _error(412, "PreconditionFailed")
    checksum = request.headers.get("x-amz-checksum-sha256", "")
    store.objects[request.key] = Stored(request.size, checksum, request.body)
    store.bytes += request.size
    return Answer(headers=_told(checksum))


def _head(request: Request) -> Answer:
    found = store.objects.get(request.key)
    if found is None:
        return Answer(404)
    return Answer(headers={**_told(found.checksum), "Content-Length": str(found.size)})


def _list(request: Request) -> Answer:
    """A page: the keys after a token, which is the last key of the page before."""
    bucket = request.key.rstrip("/")
    prefix, after = request.query.get("prefix", ""), request.query.get("continuation-token", "")
    keys = sorted(key.removeprefix(f"{bucket}/") for key in store.objects if key.startswith(f"{bucket}/{prefix}"))
    left = [key for key in keys if key > after]
    page = left[: int(request.query.get("max-keys", "1000"))]
    more = len(left) > len(page)
    # In the future, so that a client that compares times finds nothing to do.
    modified = "2100-01-01T00:00:00.000Z"
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{modified}</LastModified><ETag>{escape(ETAG)}</ETag>"
        f"<Size>{store.objects[f'{bucket}/{key}'].size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return _xml(
        f"<ListBucketResult {NAMESPACE}><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
        f"<KeyCount>{len(page)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{token}{rows}</ListBucketResult>"
    )


def _multipart(request: Request) -> Answer:
    if request.method == "GET":
        root = "ListPartsResult" if "uploadId" in request.query else "ListMultipartUploadsResult"
        return _xml(f"<{root} {NAMESPACE}><IsTruncated>false</IsTruncated></{root}>")
    if "uploads" in request.query:
        name = f"upload-{len(store.uploads)}"
        store.uploads[name] = Upload(request.key)
        return _xml(
            f"<InitiateMultipartUploadResult {NAMESPACE}><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        )
    upload = store.uploads[request.query["uploadId"]]
    if request.method == "PUT":
        store.puts += 1
        store.bytes += request.size
        checksum = request.headers.get("x-amz-checksum-sha256", "")
        upload.parts[int(request.query["partNumber"])] = (request.size, checksum)
        return Answer(headers=_told(checksum))
    if request.method == "POST":
        digests = b"".join(base64.b64decode(checksum) for _, (_, checksum) in sorted(upload.parts.items()))
        whole = f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(upload.parts)}"
        store.objects[upload.key] = Stored(sum(size for size, _ in upload.parts.values()), whole)
        return _xml(
            f"<CompleteMultipartUploadResult {NAMESPACE}><ETag>{escape(ETAG)}</ETag>"
            f"<ChecksumSHA256>{whole}</ChecksumSHA256></CompleteMultipartUploadResult>"
        )
    del store.uploads[request.query["uploadId"]]
    return Answer(204)


def _ssm(operation: str, asked: dict[str, Any]) -> Answer:
    if operation == "GetParameter":
        value = store.parameters.get(asked["Name"])
        if value is None:
            return Answer(400, json.dumps({"__type": "ParameterNotFound"}).encode())
        return Answer(body=json.dumps({"Parameter": {"Name": asked["Name"], "Value": value}}).encode())
    store.puts += 1
    store.parameters[asked["Name"]] = asked["Value"]
    return Answer(body=json.dumps({"Version": 1}).encode())


def _told(checksum: str) -> dict[str, str]:
    now = formatdate(usegmt=True)
    return {"ETag": ETAG, "Last-Modified": now} | ({"x-amz-checksum-sha256": checksum} if checksum else {})


def _xml(text: str) -> Answer:
    return Answer(body=f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), headers={"Content-Type": "text/xml"})


def _error(status: int, code: str) -> Answer:
    answer = _xml(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>")
    return Answer(status, answer.body, answer.headers)


class Server(socketserver.ThreadingTCPServer):
    """On a free port of the loopback interface."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main() -> None:
    """Serve until stdin ends, which it does when whoever started this is gone."""
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
