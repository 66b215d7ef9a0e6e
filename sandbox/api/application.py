"""The WSGI application: moto's backends, one request at a time, with every failure turned into an AWS error."""

import functools
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qs

from botocore.loaders import Loader
from flask import Flask
from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import MethodNotAllowed, NotFound

from sandbox.api import control, faults, unsupported
from sandbox.api.backend_lock import backend_lock
from sandbox.api.request_context import RequestContext, answering
from sandbox.outages import CONTROL_PLANES

SECURE = "lockstep.secure"
SOURCE_VPCE = "lockstep.source_vpce"
_SOURCE_VPCE_HEADER = "HTTP_X_LOCKSTEP_SOURCE_VPCE"

# How much of a body is read to name its operation in an error: a form-encoded request has it in front. Bytes.
_FORM_LIMIT = 1024 * 1024


class UnsupportedError(Exception):
    """Nothing in the sandbox answers this request."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP answer, complete; `body` may be given in parts that nobody has to join."""

    status: str
    headers: list[tuple[str, str]]
    body: list[bytes]


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, but it remembers what it found for a host, and says so when it found nothing."""

    def __init__(self) -> None:
        super().__init__(_create_app)
        self._services: dict[str, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """moto's name of the service behind a host name; raises UnsupportedError if it has none."""
        if host is None:
            return None
        if host not in self._services:
            # moto lists a folder of 200 entries and tries 200 patterns, so once for each host and not on each request.
            is_name = host in backends.list_of_moto_modules()
            self._services[host] = host if is_name else backends.get_service_from_url(f"http://{host}")
        service = self._services[host]
        if service is None:
            raise UnsupportedError
        return service


class Application:
    """The API as a WSGI application.

    Needs a key of the environ beside the usual ones: `lockstep.secure` (bool: the request came in on the TLS port).
    Sets `lockstep.source_vpce` from the header `X-Lockstep-Source-Vpce`, which it takes away. `wsgi.input` must hold
    the whole body.
    """

    def __init__(self) -> None:
        self._dispatcher = Dispatcher()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        response = self.respond(environ)
        start_response(response.status, response.headers)
        return response.body

    def respond(self, environ: dict[str, Any]) -> Response:
        """Answer one request. Connection failures of the caller are let through; nothing else is raised."""
        if environ["PATH_INFO"].startswith(control.PREFIX):
            return _control(environ)
        environ[SOURCE_VPCE] = environ.pop(_SOURCE_VPCE_HEADER, None)
        context = _context(environ)
        with answering(context):
            try:
                if context.region is not None and context.region not in _regions():
                    return _unknown_region(environ, context)
                return self._answer(environ, context)
            except (UnsupportedError, NotImplementedError) as error:
                return _not_supported(environ, context, str(error))
            except ConnectionError:
                raise
            except Exception as error:
                return _internal_failure(environ, context, error)

    def _answer(self, environ: dict[str, Any], context: RequestContext) -> Response:
        met = _fault(environ, context)
        if met is not None and met.fault.kind in ("throttle", "deny"):
            return _response(faults.error(met.fault, _operation(environ, context)))
        if met is not None and not met.fault.after:
            faults.break_connection(met)
        with backend_lock:
            response = self._dispatch(environ, context)
        if met is not None:
            faults.break_connection(met)
        return response

    def _dispatch(self, environ: dict[str, Any], context: RequestContext) -> Response:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [status, headers]

        parts = self._dispatcher(environ, start_response)
        try:
            body = [part for part in parts if part]
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = started
        if _means_no_such_operation(environ, context, status, body):
            raise UnsupportedError
        return Response(status=status, headers=headers, body=body)


def _create_app(service: Any) -> Flask:
    app = create_backend_app(service)
    # moto switches Flask's debug mode on, which costs time on each request; its one use is to let exceptions through.
    app.debug = False
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.register_error_handler(NotFound, _no_route)
    app.register_error_handler(MethodNotAllowed, _no_route)
    return app


def _no_route(_: Exception) -> NoReturn:
    raise UnsupportedError


def _means_no_such_operation(environ: dict[str, Any], context: RequestContext, status: str, body: list[bytes]) -> bool:
    """moto says 404 without a word when a known path isn't an operation it has. S3 HEAD requests do so rightly."""
    return status.startswith("404") and not body and environ["REQUEST_METHOD"] != "HEAD" and context.service != "s3"


def _context(environ: dict[str, Any]) -> RequestContext:
    region, service = _credential_scope(environ)
    return RequestContext(secure=environ[SECURE], source_vpce=environ[SOURCE_VPCE], region=region, service=service)


def _credential_scope(environ: dict[str, Any]) -> tuple[str | None, str | None]:
    """Region and service of `KEY/DATE/REGION/SERVICE/aws4_request`, in the header or a presigned URL; or None twice."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if "Credential=" in authorization:
        scope = authorization.partition("Credential=")[2].partition(",")[0]
    else:
        scope = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    parts = scope.split("/")
    return (parts[2], parts[3].lower()) if len(parts) == 5 else (None, None)


@functools.cache
def _regions() -> frozenset[str]:
    """Every region of every AWS partition that botocore knows, the `aws-global` kind included."""
    partitions = Loader().load_data("partitions")["partitions"]
    return frozenset(region for partition in partitions for region in partition["regions"])


def _operation(environ: dict[str, Any], context: RequestContext) -> unsupported.Operation:
    stream = environ["wsgi.input"]
    body = b""
    if stream.seekable():
        stream.seek(0)
        body = stream.read(_FORM_LIMIT)
    return unsupported.identify(environ, context.service, body)


def _fault(environ: dict[str, Any], context: RequestContext) -> faults.Met | None:
    """The fault that is set for this request."""
    if not faults.active():
        return None
    operation = _operation(environ, context)
    stream = environ["wsgi.input"]
    if stream.seekable():
        stream.seek(0)
    signed = context.region or faults.bucket_region(environ["PATH_INFO"])
    region = CONTROL_PLANES.get(operation.service, signed)
    agent = environ.get("HTTP_USER_AGENT", "")
    return faults.begin(faults.Call(region, operation.service, operation.name, agent))


def _control(environ: dict[str, Any]) -> Response:
    status, body = control.answer(environ)
    return Response(status=status, headers=[("Content-Type", "application/json")], body=[body])


def _unknown_region(environ: dict[str, Any], context: RequestContext) -> Response:
    operation = _operation(environ, context)
    return _response(
        unsupported.error_response(
            operation,
            status=400,
            code="UnknownRegion",
            message=f"AWS has no region {context.region!r}, so {operation.service} has no endpoint there: on AWS its "
            "host name wouldn't resolve. Check the region that the client is set to",
        )
    )


def _not_supported(environ: dict[str, Any], context: RequestContext, detail: str) -> Response:
    # moto's own words for an operation it lacks add nothing to the operation's name.
    said = "" if detail.endswith("action has not been implemented") else detail
    return _response(unsupported.not_supported(_operation(environ, context), said))


def _internal_failure(environ: dict[str, Any], context: RequestContext, error: Exception) -> Response:
    operation = _operation(environ, context)
    described = f"{type(error).__name__}: {error}"
    print(f"sandbox API: {operation.service} {operation.name} failed: {described}", file=sys.stderr)
    traceback.print_exception(error, file=sys.stderr)
    return _response(unsupported.error_response(operation, status=500, code="InternalFailure", message=described))


def _response(error: unsupported.ErrorResponse) -> Response:
    phrase = "Internal Server Error" if error.status >= 500 else "Bad Request"
    return Response(status=f"{error.status} {phrase}", headers=list(error.headers), body=[error.body])
