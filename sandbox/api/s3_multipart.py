"""Multipart uploads: the checksums of parts, of the list of parts and of the whole, and their order.

Rules: API Reference, CreateMultipartUpload and CompleteMultipartUpload; S3 User Guide, "Checking object integrity".
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from moto.s3.models import FakeKey, FakeMultipart, MultipartChecksumBuilder
from moto.s3.responses import S3Response

from sandbox.api.change import Change, replace, wrap
from sandbox.api.s3_checksum import ALGORITHMS
from sandbox.api.s3_configuration import number_of, read_document, text_of
from sandbox.api.s3_error import S3Error, malformed_xml
from sandbox.api.s3_integrity import algorithm_named, bad_checksum, checksum_of
from sandbox.api.s3_request import S3Request, Stage, before_answering, current


def _check_upload(asked: S3Request) -> None:
    """CreateMultipartUpload: the algorithm is known, and has the type that is asked for."""
    if asked.operation.name != "CreateMultipartUpload":
        return
    name, kind = asked.headers.get("x-amz-checksum-algorithm"), asked.headers.get("x-amz-checksum-type")
    if kind and not name:
        raise S3Error(
            "InvalidRequest",
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )
    if not name:
        return
    algorithm = algorithm_named(name)
    if kind and kind not in algorithm.types:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.name.lower()} checksum algorithm.",
        )


def _keep_part_checksum(original: Callable[..., Any], response: S3Response) -> Any:
    status, headers, body = original(response)
    asked = current()
    upload = asked.bucket.multiparts.get(asked.query.get("uploadId", "")) if asked and asked.bucket else None
    if asked and upload:
        part = upload.parts[int(asked.query["partNumber"])]
        part.checksum_algorithm, part.checksum_value = response._get_checksum({})
    return status, headers, body


def _parts(response: S3Response, body: bytes) -> Iterator[tuple[int, str]]:
    """The parts that CompleteMultipartUpload names, after their order and checksums were compared with what was
    uploaded.
    """
    named = _named_parts(body)
    numbers = [int(part["PartNumber"]) for part in named]
    if any(a >= b for a, b in pairwise(numbers)):
        raise S3Error(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
        )
    asked = current()
    upload = asked.bucket.multiparts.get(asked.query.get("uploadId", "")) if asked and asked.bucket else None
    for number, part in zip(numbers, named, strict=True):
        if upload and number in upload.parts:
            _check_part(upload.parts[number], number, part)
        yield number, part["ETag"]


def _named_parts(body: bytes) -> list[dict[str, str]]:
    named: list[dict[str, str]] = read_document(body, "CompleteMultipartUpload", lists=("Part",)).get("Part", [])
    for part in named:
        if not isinstance(part, dict) or number_of(part, "PartNumber") is None or not text_of(part, "ETag"):
            raise malformed_xml()
    return named


def _check_part(uploaded: FakeKey, number: int, named: Mapping[str, str]) -> None:
    for algorithm in ALGORITHMS.values():
        claimed = named.get(f"Checksum{algorithm.name}")
        if claimed is not None and claimed != algorithm.of(uploaded.value):
            raise S3Error(
                "InvalidPart",
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
                f"specified entity tag may not match the part's entity tag: Checksum{algorithm.name} of part {number}",
                elements={"PartNumber": str(number)},
            )


def _remember_request(
    original: Callable[..., None], builder: MultipartChecksumBuilder, algorithm: str | None, kind: str | None
) -> None:
    original(builder, algorithm, kind)
    builder.lockstep_wanted = algorithm is not None  # type: ignore[attr-defined]


def _build_if_wanted(original: Callable[..., Any], builder: MultipartChecksumBuilder) -> Any:
    # Without an algorithm S3 keeps a CRC64NVME, which `checksum_of` computes when it is asked for.
    return original(builder) if builder.lockstep_wanted else None  # type: ignore[attr-defined]


def _complete(original: Callable[..., Any], upload: FakeMultipart, body: Iterator[tuple[int, str]]) -> Any:
    value, etag, details = original(upload, body)
    asked = current()
    if asked:
        _check_whole(asked, value, details)
    return value, etag, details


def _check_whole(asked: S3Request, value: bytes, details: tuple[str, str, int] | None) -> None:
    """The checksum that CompleteMultipartUpload was given for the whole object must be the one computed."""
    claimed = [(n.lower(), v) for n, v in asked.headers.items() if n.lower() in {a.header for a in ALGORITHMS.values()}]
    for name, given in claimed:
        algorithm = algorithm_named(name.removeprefix("x-amz-checksum-"))
        composite = f"{details[1]}-{details[2]}" if details and details[0] == "COMPOSITE" else None
        computed = composite or algorithm.of(value)
        if given not in (computed, computed.partition("-")[0]):
            raise bad_checksum(algorithm)


def _answer_completion(original: Callable[..., Any], response: S3Response, action_result: Any) -> Any:
    result = action_result.result
    asked = current()
    if asked and asked.operation.name == "CompleteMultipartUpload" and isinstance(result, dict) and asked.bucket:
        key = asked.existing
        if isinstance(key, FakeKey) and key.checksum_algorithm:
            algorithm, value, kind = checksum_of(key)
            result |= {f"Checksum{algorithm.name}": value, "ChecksumType": kind}
    if asked and asked.bucket and asked.operation.name == "ListParts":
        upload = asked.bucket.multiparts[asked.query["uploadId"]]
        for part in result["Parts"]:
            kept = upload.parts[part["PartNumber"]]
            if kept.checksum_algorithm:
                part[f"Checksum{kept.checksum_algorithm}"] = kept.checksum_value
    return original(response, action_result)


def _apply_multipart() -> None:
    before_answering(Stage.SOUND, _check_upload)
    wrap(S3Response, "upload_part", _keep_part_checksum)
    replace(S3Response, "_complete_multipart_body", _parts)
    wrap(MultipartChecksumBuilder, "__init__", _remember_request)
    wrap(MultipartChecksumBuilder, "build", _build_if_wanted)
    wrap(FakeMultipart, "complete", _complete)
    wrap(S3Response, "serialized", _answer_completion)


CHANGES = (
    Change(
        name="s3-multipart-checksums",
        why="moto ignores the checksums in CompleteMultipartUpload, doesn't answer with the object's, accepts "
        "parts in any order and any mix of algorithm and type, and doesn't list the parts' checksums (API Reference, "
        "CompleteMultipartUpload, ListParts).",
        apply=_apply_multipart,
    ),
)
