"""Real dnf, of `make tools-debian`, reads what was published, as an instance does: over HTTP, by the VPC endpoint."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import debian
from tests.debian import needs
from tests.http_server import Answering, listening
from tests.lockstep.publishing.regions import REGIONS, REPOSITORY, Regions
from tests.sandbox.machine.rpm_writer import File, Spec, build

WriteFolder = Callable[..., Path]

RPMS = REPOSITORY / "examples" / "orders" / "rpms"
VPCE = "vpce-0123456789abcdef0"
(_, REGION) = REGIONS

pytestmark = needs("dnf")


@pytest.fixture
def repository_url(regions: Regions) -> Iterator[str]:
    """The bucket's URL by a gateway endpoint: what passes it gets the header that the sandbox knows endpoints by."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{regions.bucket(REGION)}/*",
        "Condition": {"StringEquals": {"aws:SourceVpce": VPCE}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    regions.aws("s3", REGION).put_bucket_policy(Bucket=regions.bucket(REGION), Policy=policy)

    class Gateway(Answering):
        def respond(self) -> None:
            request = urllib.request.Request(
                f"{regions.url}/{regions.bucket(REGION)}{self.path}", headers={"X-Lockstep-Source-Vpce": VPCE}
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    self.answer(error.code)

    with listening(Gateway) as url:
        yield url


@pytest.fixture
def dnf(tmp_path: Path) -> Callable[..., str]:
    """`dnf(url, arguments...)` with the repository at `url`, and nothing of this machine's; returns its stdout."""

    def run(url: str, *arguments: str) -> str:
        done = debian.dnf(tmp_path / "root", url, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_dnf_lists_what_was_published_release_by_release(
    regions: Regions, repository_url: str, dnf: Callable[..., str]
) -> None:
    """Each release has a repository of its own: an instance of an old one must not see the new one's packages."""
    for version in ("1.0.0", "1.1.0"):
        regions.publish(RPMS / version, version)
    for version in ("1.0.0", "1.1.0"):
        listed = dnf(f"{repository_url}/releases/{version}/", "repoquery", "--queryformat=%{name} %{evr} %{arch}")
        assert listed.splitlines() == [f"orders {version}-1 noarch"]


def test_dnf_downloads_by_the_repositorys_relative_paths(
    regions: Regions, repository_url: str, dnf: Callable[..., str], write_folder: WriteFolder, tmp_path: Path
) -> None:
    """Instances have dnf and nothing of ours. It compares size and checksum of what it gets with what is listed."""
    folder = write_folder()
    extra = Spec("c++lib", {"/usr/lib/c++lib": File("x" * 1000)}, version="2~rc1")
    (folder / extra.filename).write_bytes(build(extra))
    regions.publish(folder)
    target = tmp_path / "downloaded"
    url = f"{repository_url}/releases/1.0.0/"
    dnf(url, "install", "--downloadonly", f"--downloaddir={target}", "orders", "c++lib")
    downloaded = sorted(path.read_bytes() for path in target.glob("*.rpm"))
    assert downloaded == sorted(path.read_bytes() for path in folder.glob("*.rpm"))


def test_dnf_refuses_a_package_that_was_damaged_in_the_bucket(
    regions: Regions, repository_url: str, dnf: Callable[..., str], write_folder: WriteFolder, tmp_path: Path
) -> None:
    """The repository must tell checksums that are those of the files: dnf believes them and nothing else."""
    regions.publish(write_folder())
    key = regions.key(REGION, "noarch.rpm")
    content = regions.read(REGION, key)
    regions.overwrite(REGION, key, content[:-1] + bytes([content[-1] ^ 1]))
    url = f"{repository_url}/releases/1.0.0/"
    target = tmp_path / "downloaded"
    with pytest.raises(AssertionError, match="Cannot download, all mirrors were already tried"):
        dnf(url, "install", "--downloadonly", f"--downloaddir={target}", "orders")
    assert not list(target.glob("*.rpm"))
