"""A release reaches both sites, or neither: the real CLI, engine, machines and balancers."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from lockstep.config.naming import package_bucket_name
from tests.end_to_end.releases import (
    FAILING,
    POLLS_A_SECOND,
    REGIONS,
    SITES,
    Serving,
    addresses,
    ask,
    both,
    in_wanted,
    is_clean,
    polling,
    until_status,
    versions_at,
)
from tests.end_to_end.shell import Shell

pytestmark = pytest.mark.engine

ACCOUNT = "123456789012"
REPLICATED_SECONDS = 60
# Of each site while a deployment runs: as many as there are in ten seconds, which none is done in.
ANSWERS_MIN = 10 * POLLS_A_SECOND


def s3(shell: Shell, region: str):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        region_name=region,
        endpoint_url=addresses(shell)["api"],
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )


@contextmanager
def unlocked(shell: Shell, region: str) -> Iterator[Any]:
    """S3's client, for the block without the policy of the region's package bucket, as an administrator can make it."""
    bucket, client = package_bucket_name("orders", ACCOUNT, region), s3(shell, region)
    policy = client.get_bucket_policy(Bucket=bucket)["Policy"]
    client.delete_bucket_policy(Bucket=bucket)
    try:
        yield client
    finally:
        client.put_bucket_policy(Bucket=bucket, Policy=policy)


@contextmanager
def damaged(shell: Shell, region: str, version: str) -> Iterator[None]:
    """For the block, put something else in the place of a published package, as only an administrator can on AWS."""
    bucket, client = package_bucket_name("orders", ACCOUNT, region), s3(shell, region)
    name = f"orders-{version}-1.noarch.rpm"
    listed = client.list_objects_v2(Bucket=bucket, Prefix="packages/")["Contents"]
    (key,) = (each["Key"] for each in listed if each["Key"].endswith(name))
    content = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    content[-100] ^= 0xFF
    with unlocked(shell, region):
        put = client.put_object(Bucket=bucket, Key=key, Body=bytes(content))
    try:
        yield
    finally:
        # It reaches the other regions, and what was published must not be put back before that.
        deadline = time.monotonic() + REPLICATED_SECONDS
        while client.head_object(Bucket=bucket, Key=key)["ReplicationStatus"] != "COMPLETED":
            assert time.monotonic() < deadline, f"{key} was never replicated"
            time.sleep(0.1)
        for each in REGIONS.values():
            bucket = package_bucket_name("orders", ACCOUNT, each)
            with unlocked(shell, each) as there:
                newest, *older = there.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
                assert newest["ETag"] == put["ETag"]
                assert older
                there.delete_object(Bucket=bucket, Key=key, VersionId=newest["VersionId"])


def test_a_release_reaches_both_sites_and_goes_back(serving: Serving) -> None:
    """The main job, as a person does it."""
    shell, before, release = serving.shell, serving.now, serving.following
    with polling(shell, ANSWERS_MIN) as client:
        shell(f"lockstep deploy {release} --yes")
    assert {release for _, release in client.answers} == {before, release}
    assert versions_at(shell) == both(release)
    assert in_wanted(shell) == release
    assert is_clean(shell)
    status = shell.json("lockstep status --json")
    assert status["verdict"] == "ok"
    assert status["problems"] == []
    for name, site in status["sites"].items():
        assert (site["region"], site["release_wanted"], site["release_running"]) == (REGIONS[name], release, release)
        assert site["healthy"] == site["instances"] == 2
    assert shell.json(f"lockstep deploy {release} --yes --json")["result"] == "unchanged"
    shell(f"lockstep deploy {before} --yes")
    assert versions_at(shell) == both(before)
    assert ask(shell, "primary")[1]["region"] == "eu-west-1"


def test_a_release_that_fails_leaves_everything_as_it_was(serving: Serving) -> None:
    """The reason why all of this exists."""
    shell = serving.shell
    with polling(shell, ANSWERS_MIN):
        done = shell(f"lockstep deploy {FAILING} --yes", expect=5)
    assert FAILING in done.stderr
    assert "503" in done.stderr
    assert versions_at(shell) == both(serving.now)
    assert in_wanted(shell) == serving.now
    assert is_clean(shell)
    assert shell.json("lockstep status --json")["verdict"] == "ok"
    # The record remembers: a merge that repeats it is stopped, with the command that tries it all the same.
    serving.want(FAILING)
    refused = shell("pulumi up --yes --skip-preview -s primary", expect=None)
    assert refused.returncode != 0
    assert f"lockstep deploy {FAILING}" in refused.stdout + refused.stderr
    assert "rolled back" in shell("lockstep deploy --yes", expect=4).stderr


def test_a_package_that_was_damaged_in_one_region_stops_the_release_everywhere(serving: Serving) -> None:
    """One region's bucket must not decide what the other one runs."""
    shell = serving.shell
    with damaged(shell, "eu-central-1", serving.following):
        done = shell(f"lockstep deploy {serving.following} --yes", expect=5)
    for word in ("eu-central-1", f"orders-{serving.following}", "checksum"):
        assert word in done.stderr
    assert versions_at(shell) == both(serving.now)
    assert is_clean(shell)


def test_plain_pulumi_up_rolls_its_own_site(shell: Shell) -> None:
    """A merge brings the sites up one after the other; each must roll, and say so if it can't.

    In a sandbox of its own, as a release that was ever settled, or refused, isn't rolled to like this.
    """
    serving = Serving.bring_up(shell)
    before, release = serving.now, serving.following
    serving.want(release)
    for site in SITES:
        shell(f"pulumi up --yes --skip-preview -s {site}")
    assert versions_at(shell) == both(release)
    assert shell.json("lockstep status --json")["settled"] == release
    serving.want(FAILING)
    failed = shell("pulumi up --yes --skip-preview -s primary", expect=None)
    assert failed.returncode != 0
    assert f"serves {release} as before" in failed.stdout + failed.stderr
    assert versions_at(shell) == both(release)
    # Older than what is settled: a checkout that is a day old.
    serving.want(before)
    stale = shell("pulumi preview -s secondary", expect=None)
    assert stale.returncode != 0
    assert f"lockstep deploy {before}" in stale.stdout + stale.stderr


def test_one_region_that_fails_fails_the_deployment_and_nothing_else(serving: Serving) -> None:
    """Each way in which a region can let a deployment down, before and while it runs."""
    shell, region, deploy = serving.shell, "eu-central-1", f"lockstep deploy {serving.following} --yes"
    serving.set_faults({"kind": "refuse", "region": region})
    down = shell(deploy, expect=7)
    assert region in down.stderr
    assert "nothing was changed" in down.stderr
    serving.set_faults({"kind": "deny", "region": region, "service": "ssm"})
    denied = shell(deploy, expect=3)
    for word in (region, "ssm GetParameter", "AccessDenied"):
        assert word in denied.stderr
    serving.set_faults({"kind": "capacity", "region": region})
    full = shell(deploy, expect=5)
    assert "sufficient t4g.small capacity" in full.stderr
    serving.set_faults()
    assert versions_at(shell) == both(serving.now)
    assert is_clean(shell)
    serving.set_faults({"kind": "throttle", "share": 0.1, "user_agent": "lockstep"})
    shell(deploy)
    serving.set_faults()
    assert versions_at(shell) == both(serving.following)


def test_before_the_stacks_are_up_nothing_can_be_deployed(unchanged: Shell) -> None:
    """What somebody meets who begins at the wrong end."""
    assert "lockstep up" in unchanged("lockstep deploy 1.0.0 --yes", expect=3).stderr


def test_what_cannot_be_deployed_is_refused_before_anything_changes(serving: Serving, tmp_path: Path) -> None:
    """A release that was never published, an image that doesn't exist, nobody who agrees."""
    shell, release = serving.shell, serving.following
    assert "isn't published" in shell("lockstep deploy 3.0.0 --yes", expect=3).stderr
    assert "--yes" in shell(f"lockstep deploy {release}", expect=4).stderr
    with shell.edits_undone():
        serving.want(None)
        assert shell("lockstep deploy", expect=2).stderr
    with shell.edits_undone():
        shell.edit("Pulumi.yaml", "al2023-ami-2023.9.20251105.0", "al2023-ami-2023.9.19990101.0")
        image = shell(f"lockstep deploy {release} --yes", expect=3)
        assert "19990101" in image.stderr
    # Another checkout, while this one's deployment is at work.
    other = tmp_path / "other"
    shutil.copytree(shell.folder, other, symlinks=True)
    done = shell(
        f"lockstep deploy {release} --yes & first=$!\n"
        + until_status('"verdict": "in progress"', "$first")
        + f"(cd {other} && LOCKSTEP_PROJECT={other} lockstep deploy {release} --yes); second=$?\n"
        "wait $first; echo $? $second",
    )
    assert done.stdout.split()[-2:] == ["0", "4"], done.stderr
    assert "another deployment is at work" in done.stderr


def test_a_region_that_is_lost_while_a_deployment_runs_is_settled_when_it_is_back(serving: Serving) -> None:
    """The other site goes back at once; the lost one as soon as anybody can reach it."""
    shell = serving.shell
    api = addresses(shell)["api"]
    fault = json.dumps({"faults": [{"kind": "refuse", "region": "eu-central-1"}]})
    done = shell(
        f"lockstep deploy {serving.following} --yes & first=$!\n"
        + until_status('"stage": "canary"', "$first")
        + f"curl -sf -o /dev/null -d '{fault}' {api}/_sandbox/faults\n"
        "wait $first",
        expect=6,
    )
    assert "eu-central-1" in done.stderr
    assert "lockstep settle" in done.stderr
    assert "eu-central-1" in shell("lockstep settle --yes", expect=7).stderr
    assert {str(ask(shell, "primary")[1]["version"]) for _ in range(8)} == {serving.now}
    serving.set_faults()
    shell("lockstep settle --yes")
    assert versions_at(shell) == both(serving.now)
    assert in_wanted(shell) == serving.now
    assert is_clean(shell)
    assert shell.json("lockstep status --json")["verdict"] == "ok"
