"""What an instance does when it boots: standard cloud-config, which cloud-init's own schema can judge."""

import base64
from typing import Any, Final

import yaml

from lockstep.config.naming import RELEASES_PREFIX

# EC2 User Guide, "Instance user data": 16 KB before it is encoded.
USER_DATA_MAX: Final = 16_384

# The only folder in which dnf looks for repositories at boot. Those of the distribution are elsewhere, so that nothing
# is fetched from them: a private subnet couldn't, and two boots could differ. What they offer is in the image.
REPOSITORY_FOLDER: Final = "/etc/lockstep/repositories"


def cloud_config(*, application: str, release: str | None, bucket_name: str, region: str) -> str:
    """The user data, beginning `#cloud-config`.

    With a release: its repository in the bucket of the instance's own region, the application's package from it, and
    the package's service. Without: nothing, because there is nothing to run. Raises ValueError if it is longer than
    EC2 takes.
    """
    document = {} if release is None else _release(application, release, bucket_name, region)
    text = "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False, width=1_000)
    size = len(text.encode())
    if size > USER_DATA_MAX:
        raise ValueError(f"the user data has {size} bytes, and EC2 takes {USER_DATA_MAX}")
    return text


def encoded(text: str) -> str:
    """User data as EC2's API takes it."""
    return base64.b64encode(text.encode()).decode("ascii")


def repository_url(*, bucket_name: str, region: str, release: str) -> str:
    """The repository of a release: the regional host name, so that a boot never asks another region."""
    return f"https://{bucket_name}.s3.{region}.amazonaws.com/{RELEASES_PREFIX}{release}/"


def _release(application: str, release: str, bucket_name: str, region: str) -> dict[str, Any]:
    return {
        "write_files": [
            {"path": "/etc/dnf/dnf.conf", "append": True, "content": f"\nreposdir={REPOSITORY_FOLDER}\n"},
        ],
        "yum_repo_dir": REPOSITORY_FOLDER,
        "yum_repos": {
            "lockstep": {
                "name": f"{application} {release}",
                "baseurl": repository_url(bucket_name=bucket_name, region=region, release=release),
                "enabled": True,
                # Packages come over TLS from a bucket that only publishing writes to, and dnf compares each with the
                # checksum in the repository's metadata.
                "gpgcheck": False,
            }
        },
        "packages": [application],
        "runcmd": [["systemctl", "enable", "--now", f"{application}.service"]],
    }
