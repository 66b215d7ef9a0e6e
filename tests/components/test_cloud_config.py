"""The user data of an instance."""

import base64
from typing import Any

import pytest
import yaml

from components.cloud_config import REPOSITORY_FOLDER, USER_DATA_MAX, cloud_config, encoded, repository_url


def rendered(**options: Any) -> dict[str, Any]:
    """The document for release 1.2.3 of `orders`, read back."""
    given = {"application": "orders", "release": "1.2.3", "bucket_name": "bucket", "region": "eu-west-1"} | options
    text = cloud_config(**given)
    assert text.startswith("#cloud-config\n")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_it_begins_with_the_line_by_which_cloud_init_knows_it() -> None:
    """cloud-init would take it for something else and do nothing; the instance would stay unhealthy."""
    assert cloud_config(application="orders", release=None, bucket_name="b", region="r").startswith("#cloud-config\n")


def test_packages_come_from_the_bucket_of_the_own_region() -> None:
    """A boot would depend on another region, which may be the one that was lost."""
    (repository,) = rendered()["yum_repos"].values()
    assert repository["baseurl"] == "https://bucket.s3.eu-west-1.amazonaws.com/releases/1.2.3/"
    assert repository["enabled"] is True
    assert repository_url(bucket_name="b", region="eu-central-1", release="9").startswith("https://b.s3.eu-central-1.")


def test_no_other_repository_is_asked_at_boot() -> None:
    """dnf would wait for the distribution's servers, which a private subnet can't reach, and two boots could differ."""
    document = rendered()
    assert document["yum_repo_dir"] == REPOSITORY_FOLDER
    (file,) = document["write_files"]
    assert file["path"] == "/etc/dnf/dnf.conf"
    assert file["append"] is True
    assert file["content"].splitlines() == ["", f"reposdir={REPOSITORY_FOLDER}"]


def test_the_application_is_installed_and_started() -> None:
    """An instance would boot, serve nothing, and be replaced for ever."""
    document = rendered()
    assert document["packages"] == ["orders"]
    assert document["runcmd"] == [["systemctl", "enable", "--now", "orders.service"]]


def test_without_a_release_there_is_nothing_to_install() -> None:
    """The template of a new site would name a repository that doesn't exist."""
    assert rendered(release=None) == {}


def test_another_release_is_another_text() -> None:
    """A deployment would change nothing."""
    assert rendered(release="1.2.4") != rendered()


def test_the_same_release_is_the_same_text() -> None:
    """Every preview would show a change."""
    assert cloud_config(application="a", release="1", bucket_name="b", region="r") == cloud_config(
        application="a", release="1", bucket_name="b", region="r"
    )


def test_more_than_ec2_takes_is_refused() -> None:
    """EC2 would refuse the template in the middle of an update."""
    with pytest.raises(ValueError, match=str(USER_DATA_MAX)):
        rendered(application="a" * USER_DATA_MAX)


def test_user_data_is_encoded_as_the_api_takes_it() -> None:
    """EC2 would answer that the user data is malformed."""
    assert base64.b64decode(encoded("#cloud-config\n{}\n")) == b"#cloud-config\n{}\n"
