"""Two sites brought up at once against one, measured against what two cores give a CPU-bound process."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.measure import ROUNDS, Result, sandbox, seconds, shell

SITES = ("primary", "secondary")
SPIN = "python -c 'sum(i * i for i in range(20_000_000))'"


@dataclass(frozen=True)
class Taken:
    """The seconds of each round, for sites and for bare computations."""

    one_site: list[float] = field(default_factory=list)
    two_sites: list[float] = field(default_factory=list)
    one_process: list[float] = field(default_factory=list)
    two_processes: list[float] = field(default_factory=list)

    def compared(self) -> list[Result]:
        """The medians and their ratios."""
        middle = {name.replace("_", " "): statistics.median(values) for name, values in vars(self).items()}
        sites = middle["two sites"] / middle["one site"]
        machine = middle["two processes"] / middle["one process"]
        return [
            *(Result(name, value, "s") for name, value in middle.items()),
            Result("two sites / one", sites, "x"),
            Result("two processes / one", machine, "x"),
            Result("sites' ratio / processes' ratio", sites / machine, "x", "1.4 or better"),
        ]


def at_once(lines: list[str], environment: dict[str, str]) -> float:
    """Seconds until all of `lines` have run, each in a shell of its own."""
    with ThreadPoolExecutor(len(lines)) as pool:
        return seconds(lambda: list(pool.map(lambda line: shell(line, environment), lines)))


def run() -> list[Result]:
    """How much longer two take than one, for sites and for a bare computation; a new sandbox for each round."""
    ups = [f"pulumi up --yes --skip-preview -s {site}" for site in SITES]
    taken = Taken()
    for _ in range(ROUNDS):
        with sandbox() as environment:
            taken.one_site.append(at_once(ups[:1], environment))
            taken.one_process.append(at_once([SPIN], environment))
        with sandbox() as environment:
            taken.two_sites.append(at_once(ups, environment))
            taken.two_processes.append(at_once([SPIN, SPIN], environment))
    return taken.compared()
