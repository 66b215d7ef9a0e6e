"""A checkout and a sandbox of its own, both sites up in it, and what a campaign does to it."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from lockstep.config.naming import package_bucket_name
from lockstep.deployment_record import parameter_name
from lockstep.publishing.package_set import IN_MEMORY_MAX
from lockstep.release_record import releases_path
from tests.campaigns.cases import Call
from tests.campaigns.record import checkout
from tests.campaigns.visible import RegionView, Stored
from tests.conftest import ROOT

SPEED: Final = "12"
RPMS: Final = ROOT / "examples" / "orders" / "rpms"
REGIONS: Final = ("eu-central-1", "eu-west-1")
RELEASES: Final = ("1.0.0", "1.1.0")
FAILING: Final = "1.2.0"
"""Its health path fails."""
APPLICATION: Final = "orders"
ACCOUNT: Final = "123456789012"
AGENT: Final = "lockstep/"
LARGE: Final = "large.bin"
SECONDS: Final = 240


class Process:
    """A `lockstep` that runs. What it says on stderr is kept."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], said: Path) -> None:
        self._said = said
        with said.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    @property
    def said(self) -> str:
        """The end of what it has said."""
        return self._said.read_text(errors="replace")[-1_000:]

    def kill(self) -> None:
        """End it as a machine that is taken away does; what it has started lives on."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(SECONDS)


class Site:
    """Both sites, with the releases published and the first of them deployed."""

    def __init__(self, folder: Path, speed: str = SPEED) -> None:
        self.folder = checkout(folder / "checkout")
        self.home = folder / "sandbox"
        self._base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
        self._base.pop("PYTHONDONTWRITEBYTECODE", None)
        self._base |= {
            "LOCKSTEP_PROJECT": str(self.folder),
            "LOCKSTEP_SANDBOX_HOME": str(self.home),
            "LOCKSTEP_SANDBOX_SPEED": speed,
            "NO_COLOR": "1",
            "PATH": f"{ROOT / '.venv' / 'bin'}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}",
            # The command too is to be the copy's: that of the checkout may change while a campaign runs.
            "PYTHONPATH": str(self.folder),
        }
        self.environment: dict[str, str] = {}
        self._published = 0

    def up(self) -> None:
        """Bring it up, with the first release in both sites."""
        self._sandbox("up", check=True)
        shown = subprocess.run(
            ["bash", "-c", 'eval "$(lockstep sandbox env)" && env -0'],
            cwd=self.folder,
            env=self._base,
            check=True,
            capture_output=True,
        )
        self.environment = dict(line.split("=", 1) for line in shown.stdout.decode().split("\0") if "=" in line)
        self("up", "--yes")
        for release in (*RELEASES, FAILING):
            self("publish", release, str(RPMS / release), "--yes")
        self("deploy", RELEASES[0], "--yes")

    def down(self) -> None:
        """Take it down."""
        self._sandbox("down", check=False)

    def _sandbox(self, command: str, *, check: bool) -> None:
        subprocess.run(
            ["lockstep", "sandbox", command],
            cwd=self.folder,
            env=self._base,
            check=check,
            capture_output=True,
            timeout=SECONDS,
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

    def start(self, arguments: Sequence[str]) -> Process:
        """Start `lockstep ARGUMENTS` in a session of its own."""
        return Process(["lockstep", *arguments], self.folder, self.environment, self.home.parent / "said")

    def control(self, path: str, data: Any = None) -> Any:
        """Ask the sandbox's own paths."""
        body = None if data is None else json.dumps(data).encode()
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_sandbox/{path}"
        with urllib.request.urlopen(url, body, timeout=30) as answer:
            return json.load(answer)

    def hold(self, *faults: Mapping[str, Any]) -> None:
        """Hold calls of `lockstep` from now on, and no others; what was held goes on, and ends without an answer."""
        common = {"kind": "vanish", "user_agent": AGENT}
        self.control("faults", {"faults": [{**common, **fault} for fault in faults]})

    def wait_for_hold(self, process: Process, times: int = 1) -> bool:
        """Wait until so many calls are held; False if the command ends, or nothing happens any more."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if self.control("faults")["faults"][0]["hit"] >= times:
                return True
            if process.ended:
                return False
            time.sleep(0.02)
        return False

    def wait_until(self, what: str, check: Callable[[], bool]) -> None:
        """Raise AssertionError unless `check` becomes true."""
        deadline = time.monotonic() + SECONDS
        while not check():
            assert time.monotonic() < deadline, f"never happened: {what}"
            time.sleep(0.1)

    @contextmanager
    def listening(self) -> Iterator[list[Call]]:
        """The list that, after the block, has the calls that `lockstep` has made in it, in order."""
        calls: list[Call] = []
        self.control("calls?record=1")
        yield calls
        calls += [call for call in self.control("calls?record=0")["calls"] if AGENT in call["user_agent"]]

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

    def new_release(self, *, large: bool = False) -> tuple[str, Path]:
        """A release that was never published, with content that no other has: a name and its folder.

        With a `large` file it is sent in parts. That file takes hardly any room, as it is empty but for its beginning.
        """
        self._published += 1
        name = f"1.1.0-k{self._published}"
        folder = self.home.parent / "releases" / name
        shutil.copytree(RPMS / "1.1.0", folder)
        (folder / "notes.txt").write_text(f"release {name}\n")
        if large:
            with (folder / LARGE).open("wb") as file:
                file.write(name.encode())
                file.truncate(IN_MEMORY_MAX + 1)
        return name, folder

    def forget_large(self) -> None:
        """Make room: what was published of large files is of no use any more."""
        for region in REGIONS:
            bucket, s3 = self.bucket(region), self.client("s3", region)
            # It refuses deletions while the site is protected.
            policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
            s3.delete_bucket_policy(Bucket=bucket)
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="packages/"):
                for each in page.get("Versions", ()):
                    if each["Key"].endswith(f"/{LARGE}"):
                        s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
            s3.put_bucket_policy(Bucket=bucket, Policy=policy)

    def settled(self) -> str:
        """The release that is settled."""
        return str(json.loads(self("status", "--json").stdout)["settled"])

    def bucket(self, region: str) -> str:
        """The package bucket of a region."""
        return package_bucket_name(APPLICATION, ACCOUNT, region)

    def parameter(self, region: str, name: str) -> dict[str, Any] | None:
        """What an SSM parameter holds; None if there is none."""
        ssm = self.client("ssm", region)
        try:
            found: dict[str, Any] = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return None
        return found

    def records(self) -> dict[str, dict[str, Any]]:
        """The deployment record of each region."""
        return {region: self.parameter(region, parameter_name(APPLICATION)) or {} for region in REGIONS}

    def views(self, release: str) -> dict[str, RegionView]:
        """What each region has of a release."""
        return {region: self._view(region, release) for region in REGIONS}

    def _view(self, region: str, release: str) -> RegionView:
        bucket, s3 = self.bucket(region), self.client("s3", region)

        def stored(key: str) -> Stored | None:
            try:
                head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                # Without a body, S3 says nothing but the status.
                if error.response["Error"]["Code"] != "404":
                    raise
                return None
            return Stored(head["ContentLength"], head.get("ChecksumSHA256", ""))

        def read(key: str) -> bytes | None:
            try:
                content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                return None
            return content

        return RegionView(self.parameter(region, f"{releases_path(APPLICATION)}/{release}"), stored, read)

    def refreshes(self) -> list[str]:
        """The instance refreshes that still move, by region and status."""
        found = []
        for region in REGIONS:
            autoscaling = self.client("autoscaling", region)
            for group in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
                listed = autoscaling.describe_instance_refreshes(AutoScalingGroupName=group["AutoScalingGroupName"])
                statuses = [each["Status"] for each in listed["InstanceRefreshes"] if "EndTime" not in each]
                found += [f"{region}: {status}" for status in statuses]
        return found


@contextmanager
def site(folder: Path, speed: str = SPEED) -> Iterator[Site]:
    """A site that lives as long as the block, its timers so many times faster than AWS's."""
    made = Site(folder, speed)
    try:
        made.up()
        yield made
    finally:
        made.down()


def other(release: str) -> str:
    """The release to deploy next."""
    return RELEASES[1 - RELEASES.index(release)]
