"""Checksums that S3 knows, in pure Python where the standard library has none, and the framing of `aws-chunked`
bodies.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

# Reflected polynomials: CRC-32C (RFC 3720, appendix B.4) and CRC-64/NVME (NVM Express NVM Command Set Specification,
# "64b CRC", reflected form of 0xAD93D23594C93659).
_CRC32C = 0x82F63B78
_CRC64NVME = 0x9A6C9329AC4BC9B5


def _table(polynomial: int) -> tuple[int, ...]:
    entries = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


def _crc(data: bytes, table: tuple[int, ...], width: int) -> bytes:
    """The reflected CRC of `data` with all bits set before and inverted after, `width` bytes, big-endian as S3
    encodes it.
    """
    mask = (1 << (8 * width)) - 1
    value = mask
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return (value ^ mask).to_bytes(width, "big")


_CRC32C_TABLE = _table(_CRC32C)
_CRC64NVME_TABLE = _table(_CRC64NVME)


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """One checksum algorithm: its name in `ChecksumAlgorithm`, its length in bytes, and how to compute it.

    `types` are the values that ChecksumType may have in a multipart upload, the default first (S3 User Guide, "Checking
    object integrity", the table of multipart uploads).
    """

    name: str
    size: int
    digest: Callable[[bytes], bytes]
    types: tuple[str, ...]

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.name.lower()}"

    def of(self, data: bytes) -> str:
        """The checksum of `data` in base64, as headers carry it."""
        return base64.b64encode(self.digest(data)).decode()

    def is_value(self, text: str) -> bool:
        """Whether `text` is base64 of the right length."""
        try:
            return len(base64.b64decode(text, validate=True)) == self.size
        except binascii.Error:
            return False


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            name="CRC32", size=4, digest=lambda d: zlib.crc32(d).to_bytes(4, "big"), types=("COMPOSITE", "FULL_OBJECT")
        ),
        Algorithm(
            name="CRC32C", size=4, digest=lambda d: _crc(d, _CRC32C_TABLE, 4), types=("COMPOSITE", "FULL_OBJECT")
        ),
        Algorithm(name="CRC64NVME", size=8, digest=lambda d: _crc(d, _CRC64NVME_TABLE, 8), types=("FULL_OBJECT",)),
        Algorithm(name="SHA1", size=20, digest=lambda d: hashlib.sha1(d).digest(), types=("COMPOSITE",)),
        Algorithm(name="SHA256", size=32, digest=lambda d: hashlib.sha256(d).digest(), types=("COMPOSITE",)),
    )
}
# What S3 computes for an object that came without a checksum (S3 User Guide, "Checking object integrity").
DEFAULT_ALGORITHM = ALGORITHMS["CRC64NVME"]


class FramingError(Exception):
    """A body that isn't `aws-chunked` although its headers say so."""


def decode_aws_chunked(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """The payload of an `aws-chunked` body, and its trailing headers by name in lower case.

    Both forms are read: chunks with signatures and without (API Reference, "Signature calculations: transferring
    payload in multiple chunks"). Chunk signatures aren't verified, as no signature is. Raises FramingError.
    """
    payload = bytearray()
    position = 0
    while True:
        line, position = _line(raw, position)
        size = _chunk_size(line)
        if size == 0:
            return bytes(payload), _trailers(raw[position:])
        if raw[position + size : position + size + 2] != b"\r\n":
            raise FramingError(f"a chunk of {size} bytes ends early")
        payload += raw[position : position + size]
        position += size + 2


def _line(raw: bytes, position: int) -> tuple[bytes, int]:
    end = raw.find(b"\r\n", position)
    if end < 0:
        raise FramingError("the body ends inside a chunk's header")
    return raw[position:end], end + 2


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";", 1)[0], 16)
    except ValueError:
        raise FramingError(f"{line[:32]!r} is no chunk size") from None


def _trailers(rest: bytes) -> dict[str, str]:
    found = {}
    for line in rest.decode("latin-1").split("\r\n"):
        name, separator, value = line.partition(":")
        if separator:
            found[name.strip().lower()] = value.strip()
    return found
