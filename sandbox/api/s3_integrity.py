"""Bodies are what the client says they are: Content-MD5, SHA-256 of the payload, and S3's additional checksums.

Rules: S3 User Guide, "Checking object integrity for data uploads"; API Reference, PutObject, UploadPart and
CompleteMultipartUpload.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import moto.s3.models
import moto.s3.responses
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response

from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_checksum import ALGORITHMS, DEFAULT_ALGORITHM, Algorithm, FramingError, decode_aws_chunked
from sandbox.api.s3_error import S3Error
from sandbox.api.s3_request import S3Request, Stage, before_answering, current

_PREFIX = "x-amz-checksum-"
# Headers with that prefix that carry no checksum.
_NOT_CHECKSUMS = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"})
_STREAMED = frozenset(
    {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }
)
_STORED = frozenset({"PutObject", "UploadPart"})


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """A checksum that a client sent: the algorithm, its value in base64."""

    algorithm: Algorithm
    value: str


def _sent_checksum(headers: Iterable[tuple[str, str]], trailers: Mapping[str, str]) -> Checksum | None:
    """The one checksum among headers and trailers. More than one, an unknown or a malformed one is refused."""
    everything = [(name.lower(), value) for name, value in headers] + list(trailers.items())
    sent = [(name, value) for name, value in everything if name.startswith(_PREFIX) and name not in _NOT_CHECKSUMS]
    if not sent:
        return None
    if len(sent) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    name, value = sent[0]
    algorithm = algorithm_named(name.removeprefix(_PREFIX))
    if not algorithm.is_value(value):
        raise S3Error("InvalidRequest", f"Value for {name} header is invalid.")
    return Checksum(algorithm=algorithm, value=value)


def algorithm_named(name: str) -> Algorithm:
    """The algorithm of that name, in any case; raises S3Error naming one that the sandbox can't compute."""
    found = ALGORITHMS.get(name.upper())
    if found is None:
        raise S3Error(
            "InvalidRequest",
            f"Checksum algorithm provided is unsupported: the sandbox doesn't compute {name.upper()}. Please try "
            f"again with any of the valid types: [{', '.join(ALGORITHMS)}]",
        )
    return found


def _check_body(asked: S3Request) -> None:
    framing = getattr(asked.response, "lockstep_framing", None)
    if isinstance(framing, FramingError):
        raise S3Error("IncompleteBody", f"The request body terminated unexpectedly: {framing}")
    _check_decoded_length(asked)
    _check_payload_hash(asked)
    _check_md5(asked)
    if asked.operation.name == "CompleteMultipartUpload":
        return  # Its checksum header is about the object, not about the list of parts in the body.
    trailers: dict[str, str] = getattr(asked.response, "lockstep_trailers", {})
    _check_promised_trailer(asked, trailers)
    sent = _sent_checksum(asked.headers.items(), trailers)
    if sent is None:
        _check_no_checksum_was_named(asked)
    elif sent.algorithm.of(asked.body) != sent.value:
        raise bad_checksum(sent.algorithm)


def bad_checksum(algorithm: Algorithm) -> S3Error:
    """What S3 says to a checksum that isn't the body's."""
    return S3Error("BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum.")


def _check_decoded_length(asked: S3Request) -> None:
    promised = asked.headers.get("x-amz-decoded-content-length")
    if promised and asked.headers.get("x-amz-content-sha256") in _STREAMED and promised != str(len(asked.body)):
        raise S3Error(
            "IncompleteBody",
            f"The request body terminated unexpectedly: x-amz-decoded-content-length is {promised}, and "
            f"{len(asked.body)} bytes came",
        )


def _check_payload_hash(asked: S3Request) -> None:
    promised = asked.headers.get("x-amz-content-sha256")
    if promised is None or promised == "UNSIGNED-PAYLOAD" or promised in _STREAMED:
        return
    if not re.fullmatch(r"[0-9a-f]{64}", promised):
        raise S3Error(
            "InvalidArgument",
            f"x-amz-content-sha256 must be UNSIGNED-PAYLOAD, {', '.join(sorted(_STREAMED))}, or a valid sha256 value.",
            elements={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": promised},
        )
    if _is_form(asked):
        return
    found = hashlib.sha256(asked.response.raw_body or b"").hexdigest()
    if found != promised:
        raise S3Error(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            elements={"ClientComputedContentSHA256": promised, "S3ComputedContentSHA256": found},
        )


def _is_form(asked: S3Request) -> bool:
    # moto takes a form apart before anybody can hash it.
    return bool(asked.response.form_data)


def _check_md5(asked: S3Request) -> None:
    promised = asked.headers.get("Content-MD5")
    if promised is None or _is_form(asked):
        return
    try:
        wanted = base64.b64decode(promised, validate=True)
    except binascii.Error:
        wanted = b""
    if len(wanted) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.", elements={"Content-MD5": promised})
    found = hashlib.md5(asked.response.raw_body or b"", usedforsecurity=False).digest()
    if found != wanted:
        raise S3Error(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            elements={"ExpectedDigest": promised, "CalculatedDigest": base64.b64encode(found).decode()},
        )


def _check_promised_trailer(asked: S3Request, trailers: Mapping[str, str]) -> None:
    promised = asked.headers.get("x-amz-trailer")
    if promised and promised.strip().lower() not in trailers:
        raise S3Error(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to our published schema.",
        )


def _check_no_checksum_was_named(asked: S3Request) -> None:
    named = asked.headers.get("x-amz-sdk-checksum-algorithm")
    if not named:
        return
    algorithm_named(named)
    raise S3Error(
        "InvalidRequest",
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
        "were found.",
    )


def _decode(response: S3Response, raw: bytes, decoded_length: int | None = None) -> bytes:
    """The payload; its length is compared with `x-amz-decoded-content-length` later, when an answer can say so."""
    try:
        payload, trailers = decode_aws_chunked(raw)
    except FramingError as refused:
        # Outside of what moto turns into an answer: `_check_body` says it.
        response.lockstep_framing = refused  # type: ignore[attr-defined]
        return b""
    response.lockstep_trailers = trailers  # type: ignore[attr-defined]
    return payload


def stored_checksum(response: S3Response, headers: dict[str, Any]) -> tuple[str, str | None]:
    """The verified checksum to keep with the object, in moto's form; S3 repeats it in the answer to an upload."""
    trailers: dict[str, str] = getattr(response, "lockstep_trailers", {})
    sent = _sent_checksum(response.headers.items(), trailers)
    asked = current()
    if sent is None or asked is None or asked.operation.name not in _STORED:
        return "", None
    headers[sent.algorithm.header] = sent.value
    if asked.operation.name == "PutObject":
        headers["x-amz-checksum-type"] = "FULL_OBJECT"
    return sent.algorithm.name, sent.value


def _keep_form_bodies(
    original: Callable[..., None], response: S3Response, request: Any, *args: Any, **kwargs: Any
) -> None:
    """Read a body with the content type of a form as it is: only multipart/form-data is a form to S3."""
    environ = request.environ
    written = environ.get("CONTENT_TYPE", "")
    if not written.startswith("application/x-www-form-urlencoded"):
        original(response, request, *args, **kwargs)
        return
    environ["CONTENT_TYPE"] = "application/octet-stream"
    try:
        original(response, request, *args, **kwargs)
    finally:
        environ["CONTENT_TYPE"] = written
    if "Content-Type" in response.querystring:
        # Without a query moto has the headers there, and reads the object's metadata from both.
        response.querystring["Content-Type"] = written


def _apply_verification() -> None:
    replace(S3Response, "_handle_encoded_body", _decode)
    replace(S3Response, "_handle_v4_chunk_signatures", _decode)
    replace(S3Response, "_get_checksum", stored_checksum)
    before_answering(Stage.INTACT, _check_body)


def _compute(body: bytes, algorithm: str, encode_base64: bool = True) -> bytes:
    """moto's compute_checksum, right for every algorithm."""
    digest = algorithm_named(algorithm).digest(body)
    return base64.b64encode(digest) if encode_base64 else digest


def checksum_of(key: FakeKey) -> tuple[Algorithm, str, str]:
    """The object's checksum: algorithm, value as S3 shows it (`-N` for a composite one of N parts), and ChecksumType.

    S3 gives every object a CRC64NVME if the client sent nothing. Computing it takes time here (some 15 MB a second),
    so it waits until somebody asks.
    """
    if not key.checksum_algorithm or not key.checksum_value:
        key.checksum_algorithm = DEFAULT_ALGORITHM.name
        key.checksum_value = DEFAULT_ALGORITHM.of(key.value)
        key.checksum_type = "FULL_OBJECT"
    algorithm = algorithm_named(key.checksum_algorithm)
    if key.checksum_type != "COMPOSITE":
        return algorithm, key.checksum_value, "FULL_OBJECT"
    return algorithm, f"{key.checksum_value}-{key.checksum_parts}", "COMPOSITE"


def _answer_with_checksum(original: Callable[..., Any], response: S3Response, *args: Any, **kwargs: Any) -> Any:
    status, headers, body = original(response, *args, **kwargs)
    for name in [n for n in headers if n.lower().startswith(_PREFIX)]:
        del headers[name]
    asked = current()
    if asked is None or status not in (200, 206) or asked.headers.get("x-amz-checksum-mode") != "ENABLED":
        return status, headers, body
    found = response.backend.get_object(asked.bucket_name, asked.key or "", version_id=asked.query.get("versionId"))
    if found is not None and "partNumber" not in asked.query:
        algorithm, value, kind = checksum_of(found)
        headers[algorithm.header] = value
        headers["x-amz-checksum-type"] = kind
    return status, headers, body


def _attributes(original: Callable[..., Any], backend: S3Backend, key: FakeKey, wanted: list[str]) -> dict[str, Any]:
    wanted = [name.strip() for name in wanted]
    found: dict[str, Any] = original(backend, key, wanted)
    if "Checksum" in wanted:
        algorithm, value, kind = checksum_of(key)
        found["checksum"] = {algorithm.name: value, "type": kind}
    return found


def _apply_answers() -> None:
    moto.s3.models.compute_checksum = _compute  # type: ignore[attr-defined]
    moto.s3.responses.compute_checksum = _compute  # type: ignore[attr-defined]
    wrap(S3Response, "get_object", _answer_with_checksum)
    wrap(S3Response, "head_object", _answer_with_checksum)
    wrap(S3Backend, "get_object_attributes", _attributes)


CHANGES = (
    Change(
        name="s3-form-content-type",
        why="moto takes a body with Content-Type application/x-www-form-urlencoded apart, and stores an empty "
        "object. curl and urllib send that type unless told otherwise; S3 stores the body (API Reference, "
        "PutObject).",
        apply=lambda: wrap(S3Response, "setup_class", _keep_form_bodies),
    ),
    Change(
        name="s3-body-verified",
        why="moto accepts any checksum for any body. S3 refuses a wrong Content-MD5 or x-amz-checksum-* with "
        "BadDigest and a wrong x-amz-content-sha256 with XAmzContentSHA256Mismatch, in headers and in aws-chunked "
        "trailers (S3 User Guide, Checking object integrity for data uploads). Algorithms that the sandbox can't "
        "compute are refused by name.",
        apply=_apply_verification,
    ),
    Change(
        name="s3-checksum-answers",
        why="moto answers checksum mode without ChecksumType, shows a composite value without its -N, and computes "
        "CRC32 for CRC32C and CRC64NVME when optional libraries are missing. S3 also has a CRC64NVME for objects "
        "that came without a checksum (API Reference, HeadObject, GetObjectAttributes).",
        apply=_apply_answers,
    ),
)
