"""Kill -9 of `lockstep publish` and `lockstep deploy` at each AWS call of theirs, before and after it takes effect.

A case is a call: command, region, service, operation, the how-manieth of its kind. The sandbox holds that very call,
the command is killed while it waits, and what is left is looked at, settled, and compared with what an undisturbed run
ends in. Reads are tried at their first occurrence and before their answer only: killed after one, nothing is different.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from lockstep.config.naming import package_bucket_name
from lockstep.lease import KEY as LEASE
from tests.campaigns.record import checkout
from tests.conftest import ROOT

SPEED: Final = "12"
RPMS: Final = ROOT / "examples" / "orders" / "rpms"
REGIONS: Final = ("eu-central-1", "eu-west-1")
RELEASES: Final = ("1.0.0", "1.1.0")
ACCOUNT: Final = "123456789012"
SECONDS: Final = 240
AGENT: Final = "lockstep/"

# What changes something. How often the others are made depends on how long things take, and so does how often a lease
# is renewed.
_MUTATING: Final = (
    "Put",
    "Create",
    "Delete",
    "Start",
    "Update",
    "Rollback",
    "Cancel",
    "Complete",
    "Upload",
    "Abort",
)
_BY_THE_CLOCK: Final = ("GetConsoleOutput",)


@dataclass(frozen=True)
class Case:
    """One call to be killed at; `nth` counts from 1, `after` is whether it takes effect."""

    command: str
    region: str
    service: str
    operation: str
    nth: int
    after: bool

    def __str__(self) -> str:
        when = "after" if self.after else "before"
        return f"{self.command} {when} {self.region} {self.service} {self.operation} {self.nth}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        """The case that `str` names."""
        command, when, region, service, operation, nth = text.split(" ")
        return cls(command, region, service, operation, int(nth), when == "after")


def cases_of(command: str, calls: list[Mapping[str, Any]]) -> list[Case]:
    """The cases of a command, from the calls that an undisturbed run of it made."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for call in calls:
        if call["operation"] not in _BY_THE_CLOCK and call["region"] is not None:
            counts[(call["region"], call["service"], call["operation"])] += 1
    cases = []
    for (region, service, operation), count in sorted(counts.items()):
        mutating = operation.startswith(_MUTATING)
        # The lease's renewals come by the clock.
        times = count if mutating and not (command == "deploy" and operation == "PutObject") else 1
        for nth in range(1, times + 1):
            cases.append(Case(command, region, service, operation, nth, after=False))
            if mutating:
                cases.append(Case(command, region, service, operation, nth, after=True))
    return cases


class Site:
    """A checkout and a sandbox of its own, with both sites up, and two releases published."""

    def __init__(self, folder: Path) -> None:
        self.folder = checkout(folder / "checkout")
        self.home = folder / "sandbox"
        self._base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
        self._base.pop("PYTHONDONTWRITEBYTECODE", None)
        self._base |= {
            "LOCKSTEP_PROJECT": str(self.folder),
            "LOCKSTEP_SANDBOX_HOME": str(self.home),
            "LOCKSTEP_SANDBOX_SPEED": SPEED,
            "NO_COLOR": "1",
            "PATH": f"{ROOT / '.venv' / 'bin'}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}",
        }
        self.environment: dict[str, str] = {}
        self.published = 0

    def up(self) -> None:
        """Bring it up, with release 1.0.0 in both sites."""
        subprocess.run(
            ["lockstep", "sandbox", "up"],
            cwd=self.folder,
            env=self._base,
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        shown = subprocess.run(
            ["bash", "-c", 'eval "$(lockstep sandbox env)" && env -0'],
            cwd=self.folder,
            env=self._base,
            check=True,
            capture_output=True,
        )
        self.environment = dict(line.split("=", 1) for line in shown.stdout.decode().split("\0") if "=" in line)
        self("up", "--yes")
        for release in RELEASES:
            self("publish", release, str(RPMS / release), "--yes")
        self("deploy", RELEASES[0], "--yes")

    def down(self) -> None:
        """Take it down."""
        subprocess.run(
            ["lockstep", "sandbox", "down"], cwd=self.folder, env=self._base, check=False, capture_output=True
        )

    def __call__(self, *arguments: str, expect: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run `lockstep ARGUMENTS`. Raises AssertionError unless it exits as expected."""
        done = subprocess.run(
            ["lockstep", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode in expect, f"lockstep {' '.join(arguments)} exited {done.returncode}:\n{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `lockstep ARGUMENTS` in a session of its own."""
        return subprocess.Popen(
            ["lockstep", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def control(self, path: str, data: Any = None) -> Any:
        """Ask the sandbox's own paths."""
        body = None if data is None else json.dumps(data).encode()
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_sandbox/{path}"
        with urllib.request.urlopen(url, body, timeout=30) as answer:
            return json.load(answer)

    def client(self, service: str, region: str) -> Any:
        """A client that no fault is about."""
        session: Any = boto3.Session()
        return session.client(
            service,
            region_name=region,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
        )

    def new_release(self) -> tuple[str, Path]:
        """A release that was never published, with content that no other has: a name and its folder."""
        self.published += 1
        name = f"1.1.0-k{self.published}"
        folder = self.home.parent / "releases" / name
        shutil.copytree(RPMS / "1.1.0", folder)
        (folder / "notes.txt").write_text(f"release {name}\n")
        return name, folder

    def settled(self) -> str:
        """The release that is settled."""
        return str(json.loads(self("status", "--json").stdout)["settled"])

    def calls_of(self, *arguments: str) -> list[Mapping[str, Any]]:
        """The calls of an undisturbed run of `lockstep ARGUMENTS`."""
        self.control("calls?record=1")
        self(*arguments)
        calls = self.control("calls?record=0")["calls"]
        return [call for call in calls if AGENT in call["user_agent"]]


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A site that lives as long as the block."""
    made = Site(folder)
    try:
        made.up()
        yield made
    finally:
        made.down()


def other(release: str) -> str:
    """The release to deploy next."""
    return RELEASES[1 - RELEASES.index(release)]


def compute(on: Site) -> list[Case]:
    """Every case there is."""
    name, folder = on.new_release()
    publish = on.calls_of("publish", name, str(folder), "--yes")
    deploy = on.calls_of("deploy", other(on.settled()), "--yes")
    return [*cases_of("publish", publish), *cases_of("deploy", deploy)]


def run(on: Site, case: Case) -> dict[str, Any]:
    """Try one case; returns its result: `ok`, or what is wrong afterwards."""
    before = on.settled()
    if case.command == "publish":
        name, folder = on.new_release()
        arguments: tuple[str, ...] = ("publish", name, str(folder), "--yes")
    else:
        name, arguments = other(before), ("deploy", other(before), "--yes")
    fault = {
        "kind": "vanish",
        "region": case.region,
        "service": case.service,
        "operation": case.operation,
        "user_agent": AGENT,
        "skip": case.nth - 1,
        "count": 1,
        "after": case.after,
    }
    on.control("faults", {"faults": [fault]})
    process = on.start(*arguments)
    reached = _wait_for_hit(on, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    on.control("faults", {"faults": []})
    if case.command == "publish":
        on(*arguments)
        ended = {"published": name}
    else:
        ended = {"settle": _settle(on), "release": on.settled()}
    problems = _problems(on, name, case)
    if not reached:
        problems.append("the call was never made")
    return {"result": "ok" if not problems else "failed", **ended, **({"problems": problems} if problems else {})}


def _wait_for_hit(on: Site, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if on.control("faults")["faults"][0]["hit"]:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    return False


def _settle(on: Site) -> str:
    """Settle what is left. The engine's own processes end their updates first, and hold their locks meanwhile."""
    deadline = time.monotonic() + SECONDS
    while True:
        done = on("settle", "--yes", "--json", expect=(0, 4, 6))
        if done.returncode == 0:
            return str(json.loads(done.stdout)["result"])
        assert time.monotonic() < deadline, f"never settled: {done.stderr}"
        time.sleep(0.5)


def _problems(on: Site, release: str, case: Case) -> list[str]:
    """How the end differs from that of an undisturbed run."""
    problems = []
    status = json.loads(on("status", "--json", expect=(0, 6, 7, 10)).stdout)
    if status["verdict"] != "ok":
        problems.append(f"verdict {status['verdict']}: {status['problems']}")
    running = {each["release_running"] for each in status["sites"].values()}
    if running != {status["settled"]}:
        problems.append(f"the sites run {running}, and {status['settled']} is settled")
    if any(each["instances"] != 2 or each["healthy"] != 2 for each in status["sites"].values()):
        problems.append("not two instances in each site")
    if case.command == "deploy":
        stacks = json.loads(on("preview", "--json").stdout)["stacks"]
        changed = {name: stack["changes"] for name, stack in stacks.items() if stack["changes"]}
        if changed:
            problems.append(f"previews have changes: {changed}")
    else:
        listed = json.loads(on("releases", "--json").stdout)["releases"]
        if not listed.get(release, {}).get("complete"):
            problems.append(f"{release} isn't complete: {listed.get(release)}")
    return problems + _left_over(on)


def _left_over(on: Site) -> list[str]:
    """What an undisturbed run doesn't leave."""
    found = []
    for region in REGIONS:
        bucket, s3 = package_bucket_name("orders", ACCOUNT, region), on.client("s3", region)
        if s3.list_objects_v2(Bucket=bucket, Prefix=LEASE).get("KeyCount"):
            found.append(f"{region}: a lease")
        if s3.list_multipart_uploads(Bucket=bucket).get("Uploads"):
            found.append(f"{region}: an unfinished upload")
        groups = on.client("autoscaling", region).describe_auto_scaling_groups()["AutoScalingGroups"]
        instances = [each for group in groups for each in group["Instances"]]
        reservations = on.client("ec2", region).describe_instances(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )["Reservations"]
        alive = sum(len(reservation["Instances"]) for reservation in reservations)
        if len(groups) != 1 or alive != len(instances):
            found.append(f"{region}: {alive} instances, {len(instances)} of them in {len(groups)} groups")
    return found
