"""Refusals in Amazon S3's form: an error code, its HTTP status, and the elements that S3 adds to the body."""

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

from sandbox.api.change import Change, wrap

# Amazon S3 API Reference, "Error responses", "List of error codes". What isn't here is 400 Bad Request.
_STATUS = {
    "AccessDenied": 403,
    "BucketNotEmpty": 409,
    "InvalidBucketState": 409,
    "MethodNotAllowed": 405,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PermanentRedirect": 301,
    "PreconditionFailed": 412,
}


class S3Error(S3ClientError):
    """A refusal with S3's code and text; `elements` (`Region`, for one) go into the body."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        elements: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.status = status or _STATUS.get(code, 400)
        self.elements = elements or {}
        self.headers = headers or {}

    def response(self) -> tuple[int, dict[str, str], str]:
        """Status, headers and XML body, as moto's dispatcher wants them; moto fills in the request id."""
        elements = {"Code": self.code, "Message": self.message, **self.elements}
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}<RequestId></RequestId></Error>'
        return self.status, {"Content-Type": "application/xml", **self.headers}, body


def malformed_xml() -> S3Error:
    """What S3 says to a body that isn't XML, or not the XML of the operation."""
    return S3Error(
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )


def invalid_argument(message: str, name: str, value: str) -> S3Error:
    """`InvalidArgument` with the argument's name and the value found, as S3 reports them."""
    return S3Error("InvalidArgument", message, elements={"ArgumentName": name, "ArgumentValue": value})


def not_in_the_sandbox(what: str, remedy: str) -> S3Error:
    """A refusal of something that AWS does and the sandbox doesn't: by name, and with 400 because clients retry 5xx."""
    return S3Error("NotImplemented", f"The sandbox doesn't implement {what}. {remedy}", status=400)


def _serialized(original: Callable[..., Any], response: Any, action_result: Any) -> Any:
    if isinstance(action_result.result, S3Error):
        return action_result.result.response()
    return original(response, action_result)


CHANGES = (
    Change(
        name="s3-error-form",
        why="moto answers every error code that isn't in its model with status 400 and without S3's extra "
        "elements. S3 gives each code its status and adds elements such as Region, which SDKs act on (API "
        "Reference, Error responses).",
        apply=lambda: wrap(S3Response, "serialized", _serialized),
    ),
)
