"""A release published to two regions, against `s5cmd sync` once for each; the same again, against `aws s3 sync`.

All of them send to an endpoint that discards what it gets. CPU time is that of the client's process alone.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import ROOT, ROUNDS, Result
from tests.sandbox.machine.rpm_writer import File, Spec, build

FILES = 300
TOTAL = 256 * 2**20
LARGE = 2 * 2**30
REGIONS = ("eu-west-1", "eu-central-1")
# What `aws s3 sync` runs in: its botocore isn't ours.
AWS_CLI = ROOT / ".tools" / "bench" / "awscli"
AWS_CLI_VERSION = "1.46.3"


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds of CPU and of wall time, bytes of memory at its peak."""

    cpu: float
    wall: float
    peak: int


@dataclass(frozen=True)
class Endpoint:
    """The discarding endpoint, and the environment that points clients at it."""

    url: str
    environment: Mapping[str, str]

    def counts(self) -> dict[str, int]:
        """What it was asked so far."""
        counts: dict[str, int] = self._get("_counts")
        return counts

    def reset(self) -> None:
        """Have it forget all."""
        self._get("_reset")

    def _get(self, path: str) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
            return found


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """An endpoint of its own, in a process of its own."""
    command = [sys.executable, "-m", "bench.discarding_endpoint"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        environment |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": REGIONS[0],
            "LOCKSTEP_PROJECT": str(ROOT),
        }
        try:
            yield Endpoint(url, environment)
        finally:
            process.stdin.close()


def cost(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run `command`, which has to succeed."""
    with TemporaryDirectory(prefix="lockstep-bench-") as folder, Path(folder, "output").open("w+") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise subprocess.CalledProcessError(process.returncode, command, output.read()[-2000:])
        return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024)


def total(costs: Sequence[Cost]) -> Cost:
    """Of processes that ran one after the other."""
    return Cost(sum(each.cpu for each in costs), sum(each.wall for each in costs), max(each.peak for each in costs))


def write_packages(folder: Path) -> None:
    """300 packages of 256 MB in all, whose content can't be compressed; one is the application's."""
    for number in range(FILES):
        name = "orders" if number == 0 else f"library{number:03}"
        spec = Spec(name, {f"/usr/share/{name}": File(os.urandom(TOTAL // FILES))}, "1.0.0", compressor="zstd")
        (folder / spec.filename).write_bytes(build(spec))


def medians_of(*works: Callable[[], Cost]) -> list[Cost]:
    """The median cost of each, run in turn."""
    taken: list[list[Cost]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for index, work in enumerate(works):
            taken[index].append(work())
    return [
        Cost(
            statistics.median(each.cpu for each in costs),
            statistics.median(each.wall for each in costs),
            max(each.peak for each in costs),
        )
        for costs in taken
    ]


def run() -> list[Result]:
    """CPU, bytes read, memory, and what it costs to publish the same again."""
    with endpoint() as discarding, TemporaryDirectory(prefix="lockstep-bench-") as work:
        packages = Path(work, "packages")
        packages.mkdir()
        write_packages(packages)
        return [
            *_against_s5cmd(discarding, packages),
            *_bytes_read(discarding, packages),
            *_repeated(discarding, packages),
            *_large(discarding, Path(work), packages),
        ]


def _publish(discarding: Endpoint, folder: Path) -> Cost:
    command = [sys.executable, "-m", "lockstep.cli", "publish", "1.0.0", str(folder), "--yes", "--json"]
    return cost(command, discarding.environment)


def _against_s5cmd(discarding: Endpoint, folder: Path) -> list[Result]:
    s5cmd = shutil.which("s5cmd", path=str(Path(sys.executable).parent)) or "s5cmd"

    def ours() -> Cost:
        discarding.reset()
        return _publish(discarding, folder)

    def theirs() -> Cost:
        discarding.reset()
        line = [s5cmd, "--endpoint-url", discarding.url, "--log", "error", "sync", f"{folder}/"]
        return total([cost([*line, f"s3://bucket-{region}/"], discarding.environment) for region in REGIONS])

    ours()
    one, other = medians_of(ours, theirs)
    return [
        Result(f"publish, {len(REGIONS)} regions, CPU", one.cpu, "s"),
        Result(f"s5cmd sync, {len(REGIONS)} times, CPU", other.cpu, "s"),
        Result("s5cmd / publish, CPU", other.cpu / one.cpu, "x", "1.5 or better"),
        Result("s5cmd / publish, wall time", other.wall / one.wall, "x"),
    ]


def _bytes_read(discarding: Endpoint, folder: Path) -> list[Result]:
    def read(*regions: str) -> int:
        discarding.reset()
        command = [sys.executable, "-m", "bench.publish_once", str(folder), *regions]
        done = subprocess.run(
            command, cwd=ROOT, env=dict(discarding.environment), capture_output=True, text=True, check=True
        )
        count: int = json.loads(done.stdout)["read"]
        return count

    one, two = read(REGIONS[0]), read(*REGIONS)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return [
        Result("bytes read, one region / bytes of files", one / size, "x"),
        Result("bytes read, two regions / one", two / one, "x", "1.00"),
    ]


def _repeated(discarding: Endpoint, folder: Path) -> list[Result]:
    aws = _aws_cli()
    discarding.reset()
    _publish(discarding, folder)

    def theirs() -> Cost:
        line = [aws, "s3", "sync", "--only-show-errors", str(folder)]
        return total([cost([*line, f"s3://bucket-{region}/"], discarding.environment) for region in REGIONS])

    theirs()
    before = discarding.counts()["puts"]
    one, other = medians_of(lambda: _publish(discarding, folder), theirs)
    return [
        Result("publish again, CPU", one.cpu, "s"),
        Result(f"aws s3 sync again, {len(REGIONS)} times, CPU", other.cpu, "s"),
        Result("aws s3 sync / publish again, CPU", other.cpu / one.cpu, "x", "0.6 or better"),
        Result("aws s3 sync / publish again, wall time", other.wall / one.wall, "x", "0.6 or better"),
        Result("PUTs of all of these", discarding.counts()["puts"] - before, "", "0"),
    ]


def _large(discarding: Endpoint, work: Path, packages: Path) -> list[Result]:
    folder = work / "large"
    folder.mkdir()
    application = next(packages.glob("orders-*.rpm"))
    shutil.copy(application, folder)
    with (folder / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    discarding.reset()
    used = _publish(discarding, folder)
    return [
        Result("one file of 2 GiB, memory", used.peak / 2**20, "MiB", "under 300 MiB"),
        Result("one file of 2 GiB, CPU", used.cpu, "s"),
    ]


def _aws_cli() -> str:
    program = AWS_CLI / "bin" / "aws"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(AWS_CLI)], check=True)
        pip = [str(AWS_CLI / "bin" / "pip"), "install", "--quiet", f"awscli=={AWS_CLI_VERSION}"]
        subprocess.run(pip, check=True)
    return str(program)
