"""Kill -9 of `lockstep` at its AWS calls, before and after each takes effect.

A case is a call: command, region, service, operation, the how-manieth of its kind. The sandbox holds that very call,
the command is killed while it waits, and what is left is looked at, settled, and compared with what an undisturbed run
ends in. `kinds` has the commands, `cases` which calls of each.
"""

import json
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any

from lockstep.lease import KEY as LEASE
from tests.campaigns.cases import RECORD_WRITE, Case
from tests.campaigns.kinds import KINDS, VERIFYING, Fault, Trial
from tests.campaigns.site import FAILING, REGIONS, SECONDS, Process, Site
from tests.campaigns.visible import half_visible

Record = Mapping[str, Any]


def compute(on: Site, kinds: Iterable[str] = tuple(KINDS)) -> dict[str, list[Case]]:
    """Every case of each of `kinds`."""
    return {kind: _compute(on, kind) for kind in kinds}


def _compute(on: Site, kind: str) -> list[Case]:
    trial = KINDS[kind].begin(on)
    with on.listening() as calls:
        process = _start(on, trial, trial.gate, ())
        status = process.wait()
    assert status == trial.exits, f"`{' '.join(trial.arguments)}` exited {status}: {process.said}"
    _tidy_up(on, trial)
    return KINDS[kind].select(kind, calls)


def run(on: Site, case: Case) -> dict[str, Any]:
    """Try one case; returns its result: `ok`, or what is wrong afterwards."""
    trial = KINDS[case.kind].begin(on)
    before = on.records()
    process = _start(on, trial, trial.gate, [_hold(case)])
    reached = on.wait_for_hold(process)
    process.kill()
    problems = [] if reached else [f"the call was never made: {process.said}"]
    if trial.folder:
        problems += [f"after the kill: {each}" for each in half_visible(trial.release, on.views(trial.release))]
    on.hold()
    if trial.folder:
        on(*trial.arguments)
        problems += _of_release(on, trial.release)
        ended = {"published": trial.release}
    else:
        left = on.records()
        ended = _settle(on)
        if wrong := misjudged(case, left, ended):
            problems.append(wrong)
        problems += _of_records(on, trial, ended["settle"])
        # The engine is at work only while a record says so: else there is nothing for it to see.
        if left != before or any(record["inProgress"] for record in left.values()):
            problems += _of_previews(on)
    problems += _of_sites(on) + _left_over(on)
    _tidy_up(on, trial)
    return {"result": "failed" if problems else "ok", **ended, **({"problems": problems} if problems else {})}


def _hold(case: Case) -> Fault:
    return {
        "region": case.region,
        "service": case.service,
        "operation": case.operation,
        "skip": case.nth - 1,
        "count": 1,
        "after": case.after,
    }


def _start(on: Site, trial: Trial, gate: Fault | None, then: Iterable[Fault]) -> Process:
    """Start the command with `then` held; with a gate, from where that was held, which is tried again when let go."""
    if gate is None:
        on.hold(*then)
        return on.start(trial.arguments)
    on.hold(gate)
    process = on.start(trial.arguments)
    assert on.wait_for_hold(process), f"it never came to {gate}: {process.said}"
    trial.at_gate()
    on.hold(*then)
    return process


def _settle(on: Site) -> dict[str, str]:
    """Settle what is left; returns what that says. The engine's own processes end their updates first, and hold their
    locks meanwhile.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        done = on("settle", "--yes", "--json", expect=(0, 4, 6))
        if done.returncode == 0:
            said: dict[str, str] = json.loads(done.stdout)
            return {"settle": said["result"], "release": said["release"]}
        assert time.monotonic() < deadline, f"never settled: {done.stderr}"
        time.sleep(0.5)


def misjudged(case: Case, records: Mapping[str, Record], ended: Mapping[str, str]) -> str | None:
    """What is wrong with how settling `ended`, by the `records` that were left; None if all is well.

    A region that says that it is over is believed. Otherwise, what goes back goes on back, and what had only to be said
    is said: a deployment writes its record for the last time but one when every site runs the release. Before that, how
    far the sites are is a matter of time.
    """
    newest = max(records.values(), key=lambda record: (int(record["epoch"]), record["inProgress"] is not None))
    was = newest["inProgress"]
    if was is None:
        differ = any(record != newest for record in records.values())
        expected = {"records" if differ else "nothing": newest["settled"]}
    else:
        back, forth = {"undone": was["releaseTo"]}, {"finished": was["releaseTo"]}
        said_all_run = case.kind == "deploy" and case.operation == RECORD_WRITE and case.nth >= VERIFYING
        if was["stage"] == "verifying" or said_all_run:
            expected = forth
        else:
            expected = back | forth if was["stage"] == "rolling" else back
    if expected.get(ended["settle"]) == ended["release"]:
        return None
    return f"it was settled as {ended}, not as {expected}, though the records were {records}"


def _of_release(on: Site, release: str) -> list[str]:
    """What is wrong with a release that was published again after the kill."""
    problems = half_visible(release, on.views(release))
    listed = json.loads(on("releases", "--json").stdout)["releases"].get(release, {})
    return problems if listed.get("complete") else [*problems, f"{release} isn't complete: {listed}"]


def _of_records(on: Site, trial: Trial, settle: str) -> list[str]:
    """What is wrong with the records after what was left by the kill was settled, by its own word `settle`."""
    problems = []
    first, *others = on.records().values()
    if first["settled"] not in trial.ends:
        problems.append(f"{first['settled']} is settled, not {' or '.join(sorted(trial.ends))}")
    if settle in ("finished", "undone") and (settle == "finished") != (first["settled"] == trial.release):
        problems.append(f"{trial.release} was {settle}, and {first['settled']} is settled")
    if any(record != first for record in others):
        problems.append(f"the records differ: {[first, *others]}")
    if first["inProgress"] is not None:
        problems.append(f"the record is still in progress: {first}")
    if any(past["fate"] == "refused" and past["release"] != FAILING for past in first["past"]):
        problems.append(f"a release is refused that was only broken off: {first}")
    return problems


def _of_previews(on: Site) -> list[str]:
    """What the engine would change."""
    stacks = json.loads(on("preview", "--json").stdout)["stacks"]
    changed = {name: stack["changes"] for name, stack in stacks.items() if stack["changes"]}
    return [f"previews have changes: {changed}"] if changed else []


def _of_sites(on: Site) -> list[str]:
    """How what the sites run differs from what is settled."""
    problems = []
    status = json.loads(on("status", "--json", expect=(0, 6, 7, 10)).stdout)
    if status["verdict"] != "ok":
        problems.append(f"verdict {status['verdict']}: {status['problems']}")
    running = {each["release_running"] for each in status["sites"].values()}
    if running != {status["settled"]}:
        problems.append(f"the sites run {running}, and {status['settled']} is settled")
    wanted = {each["release_wanted"] for each in status["sites"].values()}
    if wanted != {status["settled"]}:
        problems.append(f"config wants {wanted}, and {status['settled']} is settled")
    if any(each["instances"] != 2 or each["healthy"] != 2 for each in status["sites"].values()):
        problems.append("not two instances in each site")
    return problems


def _left_over(on: Site) -> list[str]:
    """What an undisturbed run doesn't leave."""
    found = [f"{each}, an instance refresh" for each in on.refreshes()]
    for region in REGIONS:
        bucket, s3 = on.bucket(region), on.client("s3", region)
        if s3.list_objects_v2(Bucket=bucket, Prefix=LEASE).get("KeyCount"):
            found.append(f"{region}: a lease")
        # One whose object is there, as replication was faster, is the bucket's lifecycle rule's to end.
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            if not s3.list_objects_v2(Bucket=bucket, Prefix=upload["Key"]).get("KeyCount"):
                found.append(f"{region}: an unfinished upload of {upload['Key']}")
        groups = on.client("autoscaling", region).describe_auto_scaling_groups()["AutoScalingGroups"]
        instances = [each for group in groups for each in group["Instances"]]
        reservations = on.client("ec2", region).describe_instances(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )["Reservations"]
        alive = sum(len(reservation["Instances"]) for reservation in reservations)
        if len(groups) != 1 or alive != len(instances):
            found.append(f"{region}: {alive} instances, {len(instances)} of them in {len(groups)} groups")
    return found


def _tidy_up(on: Site, trial: Trial) -> None:
    if trial.folder:
        shutil.rmtree(trial.folder)
        on.forget_large()
