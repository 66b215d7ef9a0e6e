"""One S3 request as the sandbox's checks see it, and the order in which the checks run before moto answers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response

from sandbox.api.change import wrap
from sandbox.api.s3_operation import Operation, operation_of


class Stage(IntEnum):
    """When a check runs. AWS routes a request to the bucket's region before it looks at permissions, and reads the
    body last.
    """

    NAMED = 1
    ROUTED = 2
    ALLOWED = 3
    INTACT = 4
    SOUND = 5


@dataclass(frozen=True, kw_only=True)
class S3Request:
    """What a request asks of S3. `key` is None for operations on a bucket; `query` has decoded names and values."""

    response: S3Response
    operation: Operation
    bucket_name: str
    key: str | None
    query: Mapping[str, str]

    @property
    def headers(self) -> Any:
        """The request's headers; names are case-insensitive."""
        return self.response.headers

    @property
    def backend(self) -> S3Backend:
        """moto's S3 of the caller's account."""
        return self.response.backend

    @cached_property
    def bucket(self) -> FakeBucket | None:
        """The bucket that the request names, of whichever account; None if there is none."""
        return find_bucket(self.bucket_name)

    @property
    def existing(self) -> FakeKey | FakeDeleteMarker | None:
        """The current version of the key that the request names, a delete marker included; None if there is none."""
        if self.bucket is None or self.key is None:
            return None
        found: FakeKey | FakeDeleteMarker | None = self.bucket.keys.get(self.key)
        return found

    @property
    def body(self) -> bytes:
        """The payload as the client meant it, without the framing of `aws-chunked`."""
        body = self.response.body
        return body.encode() if isinstance(body, str) else body or b""


Check = Callable[[S3Request], None]

_checks: list[tuple[Stage, Check]] = []
_current: ContextVar[S3Request | None] = ContextVar("lockstep_s3_request", default=None)


def find_bucket(name: str) -> FakeBucket | None:
    """The bucket of that name, in whichever account: the name space is one for all of them."""
    owner = s3_backends.bucket_accounts.get(name)
    if owner is None:
        return None
    partition, account = owner
    backend = s3_backends[account][partition]
    return backend.buckets.get(name) or backend.table_buckets.get(name)


def current() -> S3Request | None:
    """The S3 request that this thread is answering, None outside of one."""
    return _current.get()


def before_answering(stage: Stage, check: Check) -> None:
    """Run `check` on every request at `stage`, before moto answers; it refuses by raising an S3Error."""
    if not _checks:
        wrap(S3Response, "_bucket_response", _checked)
        wrap(S3Response, "_key_response", _checked)
    _checks.append((stage, check))
    _checks.sort(key=lambda entry: entry[0])


def _checked(original: Callable[..., Any], response: S3Response, request: Any, full_url: str) -> Any:
    asked = _request_of(response, original.__name__ == "_key_response")
    if asked is None:
        return original(response, request, full_url)
    for _, check in _checks:
        check(asked)
    with _answering(asked):
        return original(response, request, full_url)


def _request_of(response: S3Response, has_key: bool) -> S3Request | None:
    query = dict(parse_qsl(response.parsed_url.query, keep_blank_values=True))
    operation = operation_of(response.method, has_key, query, "x-amz-copy-source" in response.headers)
    if operation is None:
        return None
    if not has_key and not response.bucket_name:
        operation = Operation(name="ListBuckets", action=None)
    return S3Request(
        response=response,
        operation=operation,
        bucket_name=response.bucket_name or "",
        key=response.parse_key_name() if has_key else None,
        query=query,
    )


@contextmanager
def _answering(asked: S3Request) -> Iterator[None]:
    token = _current.set(asked)
    try:
        yield
    finally:
        _current.reset(token)
