"""The real `lockstep publish`: what it says, how it ends, and what is left when it is killed."""

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep import aws as factory
from lockstep.errors import ExitCode
from lockstep.publishing.check import check_release
from tests.lockstep.publishing.regions import APPLICATION, REGIONS, Regions, is_reading
from tests.sandbox.checkout import eventually
from tests.sandbox.machine.rpm_writer import File, Spec, build, scriptlet

WriteFolder = Callable[..., Path]

FIRST, SECOND = REGIONS
# Of the calls that publishing a small release makes, some are tried here; the campaign tries each.
KILLS = 6
SEED = 4


def test_it_shows_the_plan_and_asks_before_anything_is_sent(regions: Regions, write_folder: WriteFolder) -> None:
    """A script without `--yes` must end, having said what it would have done."""
    done = regions.run("publish", "1.0.0", str(write_folder(notes=b"read me")))
    assert done.returncode == ExitCode.REFUSED
    for region in REGIONS:
        assert f"{region} has no record of it yet: 2 files" in done.stderr
        assert regions.objects(region) == {}
    assert "--yes" in done.stderr


def test_it_publishes_and_reports_as_json_and_says_when_there_was_nothing_to_do(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """Pipelines read stdout; people read stderr."""
    folder = str(write_folder(notes=b"read me"))
    done = regions.run("publish", "1.0.0", folder, "--yes", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["version"], outcome["unchanged"]) == ("1.0.0", False)
    size = sum(regions.objects(FIRST).values())
    assert outcome["regions"] == {
        region: {"uploaded": 7, "present": 0, "bytes": size, "record": "written"} for region in REGIONS
    }
    record = regions.record(FIRST)
    assert record is not None
    assert outcome["digest"] == record["digest"]

    again = regions.run("publish", "1.0.0", folder, "--json")
    assert again.returncode == ExitCode.DONE, again.stderr
    assert json.loads(again.stdout)["unchanged"]
    assert "was published already, and is complete" in again.stderr


@pytest.mark.parametrize("version", ["", "latest", "1.0/2", "../1", "-1", "1.0.0 ", "a" * 200, "1~rc1", "1+git"])
def test_a_name_that_cant_be_one_is_refused(regions: Regions, write_folder: WriteFolder, version: str) -> None:
    """It becomes part of keys, URLs and of an SSM parameter's name, which takes letters, digits and `.-_` only."""
    done = regions.run("publish", "--yes", "--", version, str(write_folder()))
    assert done.returncode == ExitCode.INVALID
    assert "can't be the name of a release" in done.stderr
    assert regions.objects(FIRST) == {}


def test_bad_files_are_refused_before_anybody_is_asked(regions: Regions, write_folder: WriteFolder) -> None:
    """Nobody should agree to a plan that can't be carried out."""
    folder = write_folder()
    (folder / "broken.rpm").write_bytes(b"not an rpm")
    calls = regions.calls_of(lambda: _ends(regions, ExitCode.INVALID, "broken.rpm", "publish", "1.0.0", str(folder)))
    assert all(is_reading(call) for call in calls)
    done = regions.run("publish", "1.0.0", str(folder), "--yes")
    assert done.returncode == ExitCode.INVALID
    assert regions.objects(FIRST) == {}


def test_scriptlets_and_other_versions_are_warned_of(regions: Regions, write_folder: WriteFolder) -> None:
    """Both are allowed, and both are often an oversight: the package that was built last week, a leftover script."""
    folder = write_folder("1.0.1")
    spec = Spec("tool", {"/a": File("x")}, version="1.0.0", tags=scriptlet(1024))
    (folder / spec.filename).write_bytes(build(spec))
    done = regions.run("publish", "1.0.0", str(folder), "--yes")
    assert done.returncode == ExitCode.DONE
    assert "warning: tool-1.0.0-1.noarch.rpm has %post" in done.stderr
    assert "warning: release 1.0.0 has packages of other versions: orders 1.0.1" in done.stderr


def _ends(regions: Regions, status: ExitCode, expected: str, *arguments: str) -> None:
    done = regions.run(*arguments)
    assert done.returncode == status, done.stderr
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("fault", "status", "expected"),
    [
        ({"kind": "refuse", "region": SECOND}, ExitCode.REGION_UNREACHABLE, SECOND),
        (
            {"kind": "refuse", "region": SECOND, "operation": "PutObject", "skip": 1},
            ExitCode.REGION_UNREACHABLE,
            "s3 PutObject",
        ),
        ({"kind": "deny", "operation": "PutObject"}, ExitCode.INVALID, "AccessDenied"),
        ({"kind": "deny", "service": "sts"}, ExitCode.INVALID, "sts GetCallerIdentity failed with AccessDenied"),
        ({"kind": "throttle", "service": "sts", "region": FIRST}, ExitCode.DONE, "release 1.0.0 is published"),
        ({"kind": "deny", "region": FIRST, "operation": "PutParameter"}, ExitCode.INCOMPLETE, "has the record"),
    ],
)
def test_each_failure_has_its_exit_status_and_names_the_region(
    regions: Regions, write_folder: WriteFolder, fault: dict[str, Any], status: ExitCode, expected: str
) -> None:
    """Scripts decide by the status whether to try again, to wake somebody, or to log in."""
    folder = str(write_folder(notes=b"read me"))
    regions.set_faults(fault)
    _ends(regions, status, expected, "publish", "1.0.0", folder, "--yes")
    regions.set_faults()
    _ends(regions, ExitCode.DONE, "release 1.0.0", "publish", "1.0.0", folder, "--yes")
    assert regions.state()[FIRST] == regions.state()[SECOND]


def test_damage_that_deploy_finds_is_named_again_until_it_is_deleted_and_then_repaired(
    regions: Regions, write_folder: WriteFolder
) -> None:
    """`deploy` ends with "run `lockstep publish`", and must not hear that the release is complete."""
    folder = str(write_folder(notes=b"read me"))
    _ends(regions, ExitCode.DONE, "is published", "publish", "1.0.0", folder, "--yes")
    before = regions.state()
    key = regions.key(SECOND, "/notes")
    regions.overwrite(SECOND, key, b"DAMAGED")
    done = regions.run("publish", "1.0.0", folder, "--yes")
    assert done.returncode == ExitCode.REFUSED, done.stderr
    assert f"{SECOND}: s3://{regions.bucket(SECOND)}/{key} (notes) has SHA-256 checksum" in done.stderr
    assert "nothing was written over it" in done.stderr
    assert "`aws s3 rm`" in done.stderr
    # The next command must be one that isn't refused.
    assert "lockstep:protect is false" in done.stderr
    assert "is complete" not in done.stderr
    assert regions.read(SECOND, key) == b"DAMAGED"
    regions.delete(SECOND, key)
    _ends(regions, ExitCode.DONE, "release 1.0.0 is published", "publish", "1.0.0", folder, "--yes")
    assert check_release(factory.client, regions.open_buckets(), APPLICATION, "1.0.0").problems == ()
    assert {region: each["objects"] for region, each in regions.state().items()} == {
        region: each["objects"] for region, each in before.items()
    }


def test_other_content_ends_with_4_and_lists_the_difference(regions: Regions, write_folder: WriteFolder) -> None:
    """The person who sees it has to know which file it is about."""
    regions.publish(write_folder(notes=b"1"))
    other = str(write_folder("1.0.0", "other", notes=b"2"))
    _ends(regions, ExitCode.REFUSED, "~ notes", "publish", "1.0.0", other, "--yes")


def test_killed_at_any_moment_the_next_run_ends_in_the_same_state(
    regions: Regions, write_folder: WriteFolder, api: Any
) -> None:
    """Machines are taken away in the middle: nothing may be left that the next run doesn't complete, once."""
    folder = str(write_folder(notes=b"read me"))
    calls = regions.calls_of(lambda: _ends(regions, ExitCode.DONE, "", "publish", "1.0.0", folder, "--yes"))
    wanted = regions.state()
    chance = random.Random(SEED)
    for skip in sorted(chance.sample(range(len(calls)), KILLS)):
        for region in REGIONS:
            _empty(regions, region)
        # Every later call is held too: nothing happens between the moment of the kill and the kill itself.
        regions.set_faults({"kind": "vanish", "skip": skip, "after": chance.random() < 0.5})
        process = regions.start("publish", "1.0.0", folder, "--yes")
        eventually(lambda: regions.control("faults")["faults"][0]["hit"] > 0, f"call {skip} is held")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        regions.set_faults()
        state = regions.state()
        for region in REGIONS:
            assert state[region]["objects"].items() <= wanted[region]["objects"].items(), f"killed at call {skip}"
        if any(state[region]["record"] for region in REGIONS):
            assert state[FIRST]["objects"] == state[SECOND]["objects"] == wanted[FIRST]["objects"]
        _ends(regions, ExitCode.DONE, "", "publish", "1.0.0", folder, "--yes")
        assert regions.state() == wanted, f"killed at call {skip}"


def _empty(regions: Regions, region: str) -> None:
    bucket = regions.bucket(region)
    with regions.unlocked(region) as s3:
        listed = s3.list_object_versions(Bucket=bucket)
        for each in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
            s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    if regions.record(region):
        regions.aws("ssm", region).delete_parameter(Name="/lockstep/orders/releases/1.0.0")


def test_ctrl_c_ends_it_with_130_and_the_next_run_goes_on(regions: Regions, write_folder: WriteFolder) -> None:
    """An interrupted upload is everyday; it must end soon, and not after everything has been sent."""
    folder = str(write_folder(**{f"file{number}": bytes([number]) for number in range(30)}))
    regions.set_faults({"kind": "vanish", "operation": "PutObject", "skip": 10})
    process = regions.start("publish", "1.0.0", folder, "--yes")
    eventually(lambda: regions.control("faults")["faults"][0]["hit"] > 0, "a call is held")
    process.send_signal(signal.SIGINT)
    regions.set_faults()
    _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert regions.record(FIRST) is None
    _ends(regions, ExitCode.DONE, "is published", "publish", "1.0.0", folder, "--yes")
