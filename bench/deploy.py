"""A release rolled out in two sites at once against one, measured against what two cores give a CPU-bound process.

The sites go to and fro between two releases whose launch templates exist, without a bake time. The sandbox's timers
run six times faster; what they take is the same for one site and for two.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import ROOT, Result, sandbox, shell
from bench.parallel import SPIN, Taken, at_once
from sandbox import clock
from tests.campaigns.record import checkout

RELEASES = ("1.0.0", "1.1.0")
SITES = ("primary=eu-west-1", "secondary=eu-central-1")
SPEED = 6
ROUNDS = 3


def run() -> list[Result]:
    """How much longer two sites take than one, and two bare computations than one."""
    taken = Taken()
    with TemporaryDirectory(prefix="lockstep-bench-") as folder:
        # `deploy` writes the release into its project's Pulumi.yaml.
        project = checkout(Path(folder, "checkout"))
        with sandbox(LOCKSTEP_PROJECT=str(project), **{clock.VARIABLE: str(SPEED)}) as environment:
            shell("lockstep up --yes", environment)
            for release in RELEASES:
                shell(f"lockstep publish {release} {ROOT / 'examples/orders/rpms' / release} --yes", environment)
                shell(f"lockstep deploy {release} --yes", environment)
            for _ in range(ROUNDS):
                taken.one_site.append(_roll(RELEASES[0], SITES[:1], environment))
                _roll(RELEASES[0], SITES[1:], environment)
                taken.two_sites.append(_roll(RELEASES[1], SITES, environment))
                taken.one_process.append(at_once([SPIN], environment))
                taken.two_processes.append(at_once([SPIN, SPIN], environment))
    return taken.compared()


def _roll(release: str, sites: Sequence[str], environment: dict[str, str]) -> float:
    """Seconds until every one of `sites` runs the release."""
    return float(shell(f"python -m bench.roll_once {release} {' '.join(sites)}", environment))
