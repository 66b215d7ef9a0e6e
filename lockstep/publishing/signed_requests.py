"""Requests to one bucket that carry, or ask for, objects: signed with the SHA-256 that is known already.

botocore's client hashes a body again for each region that it is sent to, and takes milliseconds for a request; that
would be most of what publishing costs (bench/publish.py). Its signer is used here without it, on connections of
urllib3, as botocore has them, with the user's proxies and certificates.
"""

import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast
from urllib.parse import quote, urlsplit

import botocore.session
import urllib3.exceptions as pool_errors
from botocore import exceptions as errors
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import ProxyConfiguration, get_cert_path, mask_proxy_url
from botocore.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

from lockstep import aws

ATTEMPTS: Final = 3
EMPTY_SHA256: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_OK: Final = 200
# S3 API Reference, "List of error codes": what passes, besides every 5xx.
_MAY_PASS: Final = frozenset({"RequestTimeout", "RequestTimeTooSkewed", "ConditionalRequestConflict"})
_SERVER_ERROR: Final = 500
_BACK_OFF_SECONDS: Final = 0.2
# What a socket has to have sent within one time-out: all connections together, a line of 1 Mbit/s has time for it.
_PIECE: Final = 64 * 1024
_TIMEOUT: Final = Timeout(connect=aws.CONNECT_SECONDS, read=aws.READ_SECONDS)


class _Signer(S3SigV4Auth):
    """Signs with the SHA-256 of the body that the request carries, instead of computing it."""

    def payload(self, request: Any) -> str:
        return str(request.context["sha256"])


class _Connection(HTTPConnection):
    """Waits for what it sends as long as for an answer; urllib3 takes the time for connecting, on a kept one too."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(aws.READ_SECONDS)

    def endheaders(self, *given: Any, **named: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(aws.READ_SECONDS)
        super().endheaders(*given, **named)


class _TlsConnection(_Connection, HTTPSConnection):
    """As above."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class SignedRequests:
    """Requests below `base`, a bucket's URL with a slash at its end, in `region`. Thread-safe.

    As many connections as there are threads, at most `connections`, are kept.
    """

    def __init__(
        self, base: str, region: str, *, connections: int, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._base = base
        self._region = region
        self._sleep = sleep
        self._proxy = _Proxy.for_url(base)
        self._pool = _pool(base, self._proxy, connections)
        # A proxy is asked for whole URLs, unless it is one for TLS, which it only hands on.
        parts = urlsplit(base)
        whole = self._proxy is not None and parts.scheme == "http"
        self._left_out = 0 if whole else len(f"{parts.scheme}://{parts.netloc}")

    def send(
        self,
        method: str,
        key: str,
        *,
        operation: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sha256: str = EMPTY_SHA256,
    ) -> Mapping[str, str]:
        """The headers of the answer to a request for an object, tried three times while it may pass.

        `operation` is S3's name for it, for messages; `sha256` is that of `body`, hexadecimal. Raises ClientError for
        what S3 refuses, and botocore's errors of connections.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._send_once(method, key, operation, query, headers or {}, body, sha256)
            except ClientError as error:
                if attempt == ATTEMPTS or not _may_pass(error):
                    raise
            except pool_errors.HTTPError as error:
                if attempt == ATTEMPTS:
                    raise self._no_answer(operation, error) from error
            self._sleep(_BACK_OFF_SECONDS * 2**attempt)
        raise AssertionError("every way out of the last attempt is above")

    def _send_once(
        self,
        method: str,
        key: str,
        operation: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        sha256: str,
    ) -> Mapping[str, str]:
        url = self._base + quote(key, safe="/~") + (f"?{query}" if query else "")
        given = {"User-Agent": aws.USER_AGENT, "Content-Length": str(len(body)), **headers}
        request: Any = AWSRequest(method=method, url=url, headers=given)
        request.context["sha256"] = sha256
        # Asked for each time: those of a role expire, and are renewed behind this.
        _Signer(aws.credentials(), "s3", self._region).add_auth(request)
        answer = self._pool.urlopen(
            method,
            url[self._left_out :],
            body=_pieces(body) if body else None,
            headers=dict(request.headers.items()),
            retries=False,
            redirect=False,
            assert_same_host=False,
        )
        if answer.status != _OK:
            raise _error(operation, answer.status, answer.data)
        return answer.headers

    def _no_answer(self, operation: str, error: pool_errors.HTTPError) -> errors.BotoCoreError:
        """What a client of botocore would raise, and which call it is of, as `lockstep.aws` has it."""
        kinds: tuple[tuple[type[Exception], type[errors.BotoCoreError]], ...] = (
            (pool_errors.NewConnectionError, errors.EndpointConnectionError),
            (pool_errors.ConnectTimeoutError, errors.ConnectTimeoutError),
            (pool_errors.ReadTimeoutError, errors.ReadTimeoutError),
            (pool_errors.SSLError, errors.SSLError),
        )
        kind = next((kind for found, kind in kinds if isinstance(error, found)), errors.ConnectionClosedError)
        if isinstance(error, pool_errors.ProxyError) and self._proxy:
            made: Any = errors.ProxyConnectionError(proxy_url=mask_proxy_url(self._proxy.url), error=error)
        else:
            made = kind(endpoint_url=self._base, error=error, request=None)
        made.lockstep_call = f"s3 {operation}"
        return cast(errors.BotoCoreError, made)


@dataclass(frozen=True)
class _Proxy:
    """The user's proxy; `headers` are for itself, the password that its URL may have among them."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def for_url(cls, url: str) -> Self | None:
        """The one for `url` in the environment, read as botocore reads it; None if there is none."""
        proxies = ProxyConfiguration(get_environ_proxies(url))
        found = proxies.proxy_url_for(url)
        return cls(found, proxies.proxy_headers_for(found)) if found else None


def bucket_url(endpoint: str, bucket: str) -> str:
    """The URL below which a bucket's objects are, given that of S3 in its region.

    AWS names buckets in the host name, which keeps one region's requests away from other regions' name servers; an
    endpoint that the user has set may not be able to (S3 User Guide, "Virtual hosting of buckets").
    """
    parts = urlsplit(endpoint)
    if (parts.hostname or "").endswith(".amazonaws.com"):
        return f"{parts.scheme}://{bucket}.{parts.netloc}/"
    return f"{endpoint.rstrip('/')}/{bucket}/"


def _pool(base: str, proxy: _Proxy | None, connections: int) -> HTTPConnectionPool:
    """Connections to `base`, by way of `proxy` if there is one, with the user's list of authorities."""
    settings: dict[str, Any] = {"maxsize": connections, "block": True, "timeout": _TIMEOUT}
    if base.startswith("https:") or (proxy and proxy.url.startswith("https:")):
        settings |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": _authorities()}
    manager = ProxyManager(proxy.url, proxy_headers=proxy.headers, **settings) if proxy else PoolManager(**settings)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager.connection_from_url(base)


def _authorities() -> str:
    """Where botocore looks for the list of authorities: AWS_CA_BUNDLE, the profile, its own."""
    configured = botocore.session.get_session().get_config_variable("ca_bundle")
    return str(configured or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True))


def _pieces(body: bytes) -> Any:
    """An iterator of pieces of it, which aren't copied. urllib3 sends any bytes-like object, and types don't say so."""
    view = memoryview(body)
    return (view[start : start + _PIECE] for start in range(0, len(body), _PIECE))


def _may_pass(error: ClientError) -> bool:
    status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return status >= _SERVER_ERROR or error.response["Error"]["Code"] in _MAY_PASS


def _error(operation: str, status: int, content: bytes) -> ClientError:
    """S3's refusal as a client of botocore raises it; to HEAD it answers without a body, and then it is the status."""
    code, message = str(status), ""
    if content:
        try:
            root = ElementTree.fromstring(content)
            code, message = root.findtext("Code") or code, root.findtext("Message") or ""
        except ElementTree.ParseError:
            message = content[:200].decode(errors="replace")
    metadata: Any = {"HTTPStatusCode": status, "LockstepService": "s3"}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)
