"""A release rolled out in two sites at once against one, measured against what two cores give a CPU-bound process.

Each site is rolled by its own `pulumi up`, which has no bake time: what a deployment does once its first instance has
been watched. The sandbox's timers run six times faster; what they take is the same for one site and for two.
"""

import shutil
import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import ROOT, Result, sandbox, shell
from bench.parallel import SITES, SPIN, at_once
from lockstep import release_setting
from sandbox import clock

ROUNDS = 3
SPEED = 6


def run() -> list[Result]:
    """How much longer two sites take than one, and two bare computations than one."""
    taken: dict[str, list[float]] = {"one site": [], "two sites": [], "one process": [], "two processes": []}
    with TemporaryDirectory(prefix="lockstep-bench-") as folder:
        checkout = _checkout(Path(folder) / "checkout")
        extra = {"LOCKSTEP_PROJECT": str(checkout), clock.VARIABLE: str(SPEED)}
        with sandbox(**extra) as environment:
            releases = [f"1.1.{number}" for number in range(2 * ROUNDS)]
            shell("lockstep up --yes", environment)
            for release in releases:
                _publish(release, Path(folder), environment)
            shell("lockstep deploy 1.1.0 --yes", environment, checkout)
            ups = [f"cd {checkout} && pulumi up --yes --skip-preview -s {site}" for site in SITES]
            for one, both in zip(releases[1::2], releases[2::2], strict=False):
                release_setting.write(checkout, one)
                taken["one site"].append(at_once(ups[:1], environment))
                shell(ups[1], environment)
                release_setting.write(checkout, both)
                taken["two sites"].append(at_once(ups, environment))
                taken["one process"].append(at_once([SPIN], environment))
                taken["two processes"].append(at_once([SPIN, SPIN], environment))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    sites = middle["two sites"] / middle["one site"]
    machine = middle["two processes"] / middle["one process"]
    return [
        *(Result(name, value, "s") for name, value in middle.items()),
        Result("two sites / one", sites, "x"),
        Result("two processes / one", machine, "x"),
        Result("sites' ratio / processes' ratio", sites / machine, "x", "1.4 or better"),
    ]


def _publish(release: str, folder: Path, environment: dict[str, str]) -> None:
    """The example's 1.1.0 under another name: what differs between releases is not what is measured."""
    content = folder / release
    shutil.copytree(ROOT / "examples" / "orders" / "rpms" / "1.1.0", content)
    shell(f"lockstep publish {release} {content} --yes", environment)


def _checkout(folder: Path) -> Path:
    """A copy of what git tracks: `pulumi up` and `deploy` read and write its Pulumi.yaml."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for tool in (".venv", ".tools"):
        if (ROOT / tool).exists():
            (folder / tool).symlink_to(ROOT / tool)
    return folder
