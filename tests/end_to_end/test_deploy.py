"""A release reaches both sites, or neither: the real CLI, engine, machines and balancers."""

import json
import shutil
from pathlib import Path

import boto3
import pytest

from lockstep.config.naming import package_bucket_name
from tests.end_to_end.conftest import Shell
from tests.end_to_end.releases import (
    POLLS_A_SECOND,
    REGIONS,
    SITES,
    addresses,
    ask,
    bring_up,
    in_wanted,
    is_clean,
    polling,
    publish,
    set_faults,
    until_status,
    versions_at,
)

pytestmark = pytest.mark.engine

ACCOUNT = "123456789012"
# Of each site while a deployment runs: as many as there are in ten seconds, which none is done in.
ANSWERS_MIN = 10 * POLLS_A_SECOND


def both(version: str) -> dict[str, set[str]]:
    return {site: {version} for site in SITES}


def s3(shell: Shell, region: str):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        region_name=region,
        endpoint_url=addresses(shell)["api"],
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )


def damage(shell: Shell, region: str, version: str) -> None:
    """Put something else in the place of a published package, as nobody but an administrator can on AWS."""
    bucket, client = package_bucket_name("orders", ACCOUNT, region), s3(shell, region)
    name = f"orders-{version}-1.noarch.rpm"
    listed = client.list_objects_v2(Bucket=bucket, Prefix="packages/")["Contents"]
    (key,) = (each["Key"] for each in listed if each["Key"].endswith(name))
    content = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    content[-100] ^= 0xFF
    client.put_object(Bucket=bucket, Key=key, Body=bytes(content))


def test_a_release_reaches_both_sites_and_goes_back(shell: Shell) -> None:
    """The main job, as a person does it."""
    bring_up(shell, "1.0.0")
    first = shell.json("lockstep deploy 1.0.0 --yes --json")
    assert {site["releaseRunning"] for site in first["sites"].values()} == {"1.0.0"}
    publish(shell, "1.1.0")
    with polling(shell, ANSWERS_MIN) as client:
        shell("lockstep deploy 1.1.0 --yes")
    assert {release for _, release in client.answers} == {"1.0.0", "1.1.0"}
    assert versions_at(shell) == both("1.1.0")
    assert in_wanted(shell) == "1.1.0"
    assert is_clean(shell)
    status = shell.json("lockstep status --json")
    assert status["verdict"] == "ok"
    assert status["problems"] == []
    for name, site in status["sites"].items():
        assert (site["region"], site["release_wanted"], site["release_running"]) == (REGIONS[name], "1.1.0", "1.1.0")
        assert site["healthy"] == site["instances"] == 2
    assert shell.json("lockstep deploy 1.1.0 --yes --json")["result"] == "unchanged"
    shell("lockstep deploy 1.0.0 --yes")
    assert versions_at(shell) == both("1.0.0")
    assert ask(shell, "primary")[1]["region"] == "eu-west-1"


def test_a_release_that_fails_leaves_everything_as_it_was(shell: Shell) -> None:
    """The reason why all of this exists."""
    bring_up(shell, "1.0.0", "1.2.0")
    shell("lockstep deploy 1.0.0 --yes")
    with polling(shell, ANSWERS_MIN):
        done = shell("lockstep deploy 1.2.0 --yes", expect=5)
    assert "1.2.0" in done.stderr
    assert "503" in done.stderr
    assert versions_at(shell) == both("1.0.0")
    assert in_wanted(shell) == "1.0.0"
    assert is_clean(shell)
    assert shell.json("lockstep status --json")["verdict"] == "ok"
    # The record remembers: a merge that repeats it is stopped, with the command that tries it all the same.
    shell.edit("Pulumi.yaml", 'default: "1.0.0"', 'default: "1.2.0"')
    refused = shell("pulumi up --yes --skip-preview -s primary", expect=None)
    assert refused.returncode != 0
    assert "lockstep deploy 1.2.0" in refused.stdout + refused.stderr
    assert "rolled back" in shell("lockstep deploy --yes", expect=4).stderr


def test_a_package_that_was_damaged_in_one_region_stops_the_release_everywhere(shell: Shell) -> None:
    """One region's bucket must not decide what the other one runs."""
    bring_up(shell, "1.0.0", "1.1.0")
    shell("lockstep deploy 1.0.0 --yes")
    damage(shell, "eu-central-1", "1.1.0")
    done = shell("lockstep deploy 1.1.0 --yes", expect=5)
    for word in ("eu-central-1", "orders-1.1.0", "checksum"):
        assert word in done.stderr
    assert versions_at(shell) == both("1.0.0")
    assert is_clean(shell)


def test_plain_pulumi_up_rolls_its_own_site(shell: Shell) -> None:
    """A merge brings the sites up one after the other; each must roll, and say so if it can't."""
    bring_up(shell, "1.0.0", "1.1.0", "1.2.0")
    shell("lockstep deploy 1.0.0 --yes")
    shell.edit("Pulumi.yaml", 'default: "1.0.0"', 'default: "1.1.0"')
    for site in SITES:
        shell(f"pulumi up --yes --skip-preview -s {site}")
    assert versions_at(shell) == both("1.1.0")
    assert shell.json("lockstep status --json")["settled"] == "1.1.0"
    shell.edit("Pulumi.yaml", 'default: "1.1.0"', 'default: "1.2.0"')
    failed = shell("pulumi up --yes --skip-preview -s primary", expect=None)
    assert failed.returncode != 0
    assert "serves 1.1.0 as before" in failed.stdout + failed.stderr
    assert versions_at(shell) == both("1.1.0")
    # Older than what is settled: a checkout that is a day old.
    shell.edit("Pulumi.yaml", 'default: "1.2.0"', 'default: "1.0.0"')
    stale = shell("pulumi preview -s secondary", expect=None)
    assert stale.returncode != 0
    assert "lockstep deploy 1.0.0" in stale.stdout + stale.stderr


def test_one_region_that_fails_fails_the_deployment_and_nothing_else(shell: Shell) -> None:
    """Each way in which a region can let a deployment down, before and while it runs."""
    bring_up(shell, "1.0.0", "1.1.0")
    shell("lockstep deploy 1.0.0 --yes")
    region = "eu-central-1"
    set_faults(shell, {"kind": "refuse", "region": region})
    down = shell("lockstep deploy 1.1.0 --yes", expect=7)
    assert region in down.stderr
    assert "nothing was changed" in down.stderr
    set_faults(shell, {"kind": "deny", "region": region, "service": "ssm"})
    denied = shell("lockstep deploy 1.1.0 --yes", expect=3)
    for word in (region, "ssm GetParameter", "AccessDenied"):
        assert word in denied.stderr
    set_faults(shell, {"kind": "capacity", "region": region})
    full = shell("lockstep deploy 1.1.0 --yes", expect=5)
    assert "sufficient t4g.small capacity" in full.stderr
    set_faults(shell)
    assert versions_at(shell) == both("1.0.0")
    assert is_clean(shell)
    set_faults(shell, {"kind": "throttle", "share": 0.1, "user_agent": "lockstep"})
    shell("lockstep deploy 1.1.0 --yes")
    set_faults(shell)
    assert versions_at(shell) == both("1.1.0")


def test_what_cannot_be_deployed_is_refused_before_anything_changes(shell: Shell, tmp_path: Path) -> None:
    """A release that was never published, an image that doesn't exist, nobody who agrees, no stacks."""
    assert "lockstep up" in shell("lockstep deploy 1.0.0 --yes", expect=3).stderr
    bring_up(shell, "1.0.0")
    assert "isn't published" in shell("lockstep deploy 3.0.0 --yes", expect=3).stderr
    assert "--yes" in shell("lockstep deploy 1.0.0", expect=4).stderr
    assert shell("lockstep deploy", expect=2).stderr
    before = (shell.folder / "Pulumi.yaml").read_text()
    shell.edit("Pulumi.yaml", "al2023-ami-2023.9.20251105.0", "al2023-ami-2023.9.19990101.0")
    image = shell("lockstep deploy 1.0.0 --yes", expect=3)
    assert "19990101" in image.stderr
    (shell.folder / "Pulumi.yaml").write_text(before)
    # Another checkout, while this one's deployment is at work.
    other = tmp_path / "other"
    shutil.copytree(shell.folder, other, symlinks=True)
    done = shell(
        "lockstep deploy 1.0.0 --yes & first=$!\n"
        + until_status('"verdict": "in progress"', "$first")
        + f"(cd {other} && LOCKSTEP_PROJECT={other} lockstep deploy 1.0.0 --yes); second=$?\n"
        "wait $first; echo $? $second",
    )
    assert done.stdout.split()[-2:] == ["0", "4"], done.stderr
    assert "another deployment is at work" in done.stderr


def test_a_region_that_is_lost_while_a_deployment_runs_is_settled_when_it_is_back(shell: Shell) -> None:
    """The other site goes back at once; the lost one as soon as anybody can reach it."""
    bring_up(shell, "1.0.0", "1.1.0")
    shell("lockstep deploy 1.0.0 --yes")
    api = addresses(shell)["api"]
    fault = json.dumps({"faults": [{"kind": "refuse", "region": "eu-central-1"}]})
    done = shell(
        "lockstep deploy 1.1.0 --yes & first=$!\n"
        + until_status('"stage": "canary"', "$first")
        + f"curl -sf -o /dev/null -d '{fault}' {api}/_sandbox/faults\n"
        "wait $first",
        expect=6,
    )
    assert "eu-central-1" in done.stderr
    assert "lockstep settle" in done.stderr
    assert "eu-central-1" in shell("lockstep settle --yes", expect=7).stderr
    assert {str(ask(shell, "primary")[1]["version"]) for _ in range(8)} == {"1.0.0"}
    set_faults(shell)
    shell("lockstep settle --yes")
    assert versions_at(shell) == both("1.0.0")
    assert in_wanted(shell) == "1.0.0"
    assert is_clean(shell)
    assert shell.json("lockstep status --json")["verdict"] == "ok"
