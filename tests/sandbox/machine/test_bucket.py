"""How a machine finds S3 by AWS's names, and nothing else."""

import pytest

from sandbox.machine.bucket import S3Endpoint, join
from sandbox.machine.errors import BootError
from tests.sandbox.machine.bucket import NAME, REGION, VPCE, Bucket

URL = f"https://{NAME}.s3.{REGION}.amazonaws.com/"


def fetch(bucket: Bucket, key: str) -> bytes:
    return S3Endpoint(region=REGION, url=bucket.url, vpce=VPCE).fetch(URL + key)


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


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts."""
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_waits")
def test_a_server_that_always_fails_is_an_error_after_some_attempts(bucket: Bucket) -> None:
    """A boot that is going to fail says why, while somebody waits."""
    bucket.statuses[f"/{NAME}/x"] = [500] * 100
    with pytest.raises(BootError, match=f"Failed to download {URL}x: Status code: 500"):
        fetch(bucket, "x")
    assert len(bucket.asked) == 4


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("broken_off", [1, 3])
def test_an_answer_that_is_cut_short_is_got_again(bucket: Bucket, broken_off: int) -> None:
    """Half a file must not pass for a whole one, and a connection that breaks once must not fail a boot."""
    bucket.put("x", b"all of it")
    bucket.breaking_off[f"/{NAME}/x"] = broken_off
    assert fetch(bucket, "x") == b"all of it"
    assert len(bucket.asked) == broken_off + 1


@pytest.mark.usefixtures("no_waits")
def test_an_answer_that_is_always_cut_short_is_an_error(bucket: Bucket) -> None:
    """What came of it is of no use, even where the checksum isn't known, as that of repomd.xml."""
    bucket.put("x", b"all of it")
    bucket.breaking_off[f"/{NAME}/x"] = 100
    with pytest.raises(BootError, match=f"Failed to download {URL}x: IncompleteRead"):
        fetch(bucket, "x")
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
