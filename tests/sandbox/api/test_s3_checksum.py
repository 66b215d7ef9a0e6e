"""Checksums have the published check values, and aws-chunked bodies are taken apart whole."""

import pytest

from sandbox.api.s3_checksum import ALGORITHMS, FramingError, decode_aws_chunked


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_check_values_are_the_published_ones(name: str, expected: str) -> None:
    """`123456789` is the input of every CRC catalogue; another polynomial would refuse every honest upload."""
    algorithm = ALGORITHMS[name]
    assert algorithm.digest(b"123456789").hex() == expected
    assert algorithm.size == len(expected) // 2
    assert algorithm.is_value(algorithm.of(b""))


def test_a_value_of_another_length_is_no_value() -> None:
    """S3 tells a malformed checksum from a wrong one."""
    assert not ALGORITHMS["SHA256"].is_value(ALGORITHMS["SHA1"].of(b""))
    assert not ALGORITHMS["CRC32"].is_value("not base64")


def test_chunks_are_joined_and_trailers_read() -> None:
    """The form that SDKs use over TLS: the checksum comes after the content."""
    raw = b"5\r\nhello\r\n1;chunk-signature=ab\r\n!\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-other: y\r\n\r\n"
    assert decode_aws_chunked(raw) == (b"hello!", {"x-amz-checksum-crc32": "AAAAAA==", "x-other": "y"})


def test_content_that_looks_like_framing_is_content() -> None:
    """A package may hold any bytes, line ends included."""
    content = b"0\r\n\r\nx-amz-checksum-crc32:AAAA\r\n"
    raw = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    assert decode_aws_chunked(raw) == (content, {})


@pytest.mark.parametrize("raw", [b"", b"5\r\nhel", b"5\r\nhello!!0\r\n", b"hello\r\n", b"5\r\nhello\r\n"])
def test_a_body_that_breaks_off_is_refused(raw: bytes) -> None:
    """A half upload must never be stored as a whole one."""
    with pytest.raises(FramingError):
        decode_aws_chunked(raw)
