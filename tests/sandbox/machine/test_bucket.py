"""How a machine finds S3 by AWS's names, and nothing else."""

import pytest

from sandbox.machine.bucket import S3Endpoint, join
from sandbox.machine.errors import BootError
from tests.sandbox.machine.bucket import NAME, REGION, VPCE, Bucket


@pytest.mark.parametrize(
    "url",
    [
        f"https://{NAME}.s3.{REGION}.amazonaws.com/a/b%20c",
        f"https://{NAME}.s3.{REGION}.amazonaws.com/a/b c",
        f"https://s3.{REGION}.amazonaws.com/{NAME}/a/b%20c",
    ],
)
def test_a_bucket_is_found_by_either_of_its_names(bucket: Bucket, url: str) -> None:
    """Both styles are S3's."""
    bucket.objects[f"/{NAME}/a/b%20c"] = b"found"
    assert S3Endpoint(region=REGION, url=bucket.url, vpce=VPCE).fetch(url) == b"found"


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com/b/x",
        f"https://b.s3.{REGION}.amazonaws.com.example.com/x",
        "https://dynamodb.eu-west-1.amazonaws.com/x",
        "https://169.254.169.254/latest",
        "https://127.0.0.1/x",
        "file:///etc/passwd",
        "/x",
    ],
)
def test_nothing_else_is_reached(bucket: Bucket, url: str) -> None:
    """A private subnet reaches only its region's S3, through the endpoint."""
    with pytest.raises(BootError):
        S3Endpoint(region=REGION, url=bucket.url, vpce=VPCE).fetch(url)
    assert bucket.asked == []


def test_a_server_that_breaks_off_is_an_error_after_some_attempts(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file must not pass for a whole one."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    url = f"https://{NAME}.s3.{REGION}.amazonaws.com/x"
    bucket.statuses[f"/{NAME}/x"] = [500] * 100
    with pytest.raises(BootError, match=f"Failed to download {url}: Status code: 500"):
        S3Endpoint(region=REGION, url=bucket.url, vpce=VPCE).fetch(url)
    assert len(bucket.asked) == 4


@pytest.mark.parametrize(
    ("base", "href", "url"),
    [
        ("https://h/releases/1/", "../../packages/a/b.rpm", "https://h/packages/a/b.rpm"),
        ("https://h/releases/1", "repodata/repomd.xml", "https://h/releases/1/repodata/repomd.xml"),
        ("https://h/r/", "../../../../x", "https://h/x"),
        ("https://h/r/", "https://other/x", "https://other/x"),
    ],
)
def test_references_are_resolved_as_urls(base: str, href: str, url: str) -> None:
    """Packages are stored once, beside the releases that name them."""
    assert join(base, href) == url
