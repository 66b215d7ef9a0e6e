"""Errors of the sandbox itself, in the form that the caller's AWS client expects.

moto answers an operation that it lacks with an HTML page or an empty 404, which a client reports as a parse error or
retries for minutes. Here it becomes an AWS error that names service and operation, with a status that clients don't
retry.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import botocore.session
from botocore.exceptions import UnknownServiceError
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

# Services that share a signing name, told apart by the API version in the request (botocore's service-2.json files).
_SHARED_SIGNING_NAMES = {("elasticloadbalancing", "2015-12-01"): "elbv2", ("elasticloadbalancing", "2012-06-01"): "elb"}

# Signing names that aren't botocore's name of the service, for the services that this project uses.
_BOTOCORE_NAMES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What a request asks for.

    `service` is botocore's name, `name` the operation's as in AWS's API reference, `protocol` what the answer must
    follow: `query`, `ec2`, `json`, `rest-json`, `rest-xml` or `s3`.
    """

    service: str
    name: str
    protocol: str


@dataclass(frozen=True, kw_only=True)
class ErrorResponse:
    """An HTTP answer with an AWS error in it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def identify(environ: Mapping[str, Any], signing_name: str | None, body: bytes) -> Operation:
    """Work out which operation a request is, from the same things that AWS's front ends look at.

    `body` is the request's body where it may name the operation (form-encoded requests); it may be empty otherwise.
    """
    form = _form(environ, body)
    service = _service(signing_name or "s3", form.get("Version"))
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return Operation(service=service, name=target.rpartition(".")[2], protocol="json")
    if "Action" in form:
        return Operation(service=service, name=form["Action"], protocol="ec2" if service == "ec2" else "query")
    return Operation(service=service, name=_rest_operation(service, environ), protocol=_protocol(service))


def not_supported(operation: Operation, detail: str = "") -> ErrorResponse:
    """The answer to an operation that the sandbox doesn't have; HTTP 400, because clients retry 5xx."""
    return error_response(
        operation,
        status=400,
        code="NotImplemented",
        message=f"the sandbox doesn't support {operation.service} {operation.name}{f': {detail}' if detail else ''}",
    )


def error_response(operation: Operation, *, status: int, code: str, message: str) -> ErrorResponse:
    """An AWS error in the protocol of `operation`."""
    request_id = str(uuid.uuid4())
    if operation.protocol in ("json", "rest-json"):
        content_type = "application/json" if operation.protocol == "rest-json" else "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message})
    else:
        content_type = "text/xml"
        body = _xml_error(operation.protocol, status, escape(code), escape(message), request_id)
    headers = (
        ("Content-Type", content_type),
        ("x-amzn-RequestId", request_id),
        ("x-amzn-ErrorType", code),
    )
    return ErrorResponse(status=status, headers=headers, body=body.encode())


def _xml_error(protocol: str, status: int, code: str, message: str, request_id: str) -> str:
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if protocol == "s3":
        return f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    if protocol == "ec2":
        return f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    fault = "Sender" if status < 500 else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{fault}</Type>{error}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _form(environ: Mapping[str, Any], body: bytes) -> dict[str, str]:
    query = parse_qs(environ.get("QUERY_STRING", ""))
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        query |= parse_qs(body.decode("utf-8", "replace"))
    return {name: values[0] for name, values in query.items()}


def _service(signing_name: str, version: str | None) -> str:
    shared = _SHARED_SIGNING_NAMES.get((signing_name, version or ""))
    return shared or _BOTOCORE_NAMES.get(signing_name, signing_name)


def _protocol(service: str) -> str:
    if service == "s3":
        return "s3"
    try:
        protocol = str(get_service_model(service).protocol)
    except UnknownServiceError:
        return "rest-json"
    # Newer models put `smithy-rpc-v2-cbor` first; boto3 speaks JSON to those.
    return protocol if protocol in ("query", "ec2", "json", "rest-json", "rest-xml") else "json"


def _rest_operation(service: str, environ: Mapping[str, Any]) -> str:
    unnamed = f"{environ.get('REQUEST_METHOD', 'GET')} {environ.get('PATH_INFO', '/')}"
    if service not in _available_services():
        return unnamed
    try:
        operation, _ = get_service_router(service).match(Request({**environ, "wsgi.input": BytesIO()}))
    except (HTTPException, NotImplementedError):
        return unnamed
    return str(operation.name)


def _available_services() -> list[str]:
    return list(botocore.session.get_session().get_available_services())
