"""Timing and the shape of a result."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5


@dataclass(frozen=True)
class Result:
    """One line of a benchmark: what was measured, in which unit, and the aim if the project has one."""

    what: str
    value: float
    unit: str
    aim: str = ""


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes, in seconds of wall time."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def medians(*works: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The median seconds of each of `works`, run in turn (A B A B ...), so that a drifting machine drifts for all."""
    taken: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(rounds):
        for index, work in enumerate(works):
            taken[index].append(seconds(work))
    return [statistics.median(values) for values in taken]


def shell(line: str, environment: Mapping[str, str], folder: Path = ROOT) -> str:
    """Run `line` in bash and return its stdout. Raises CalledProcessError with the output in its notes."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        error = subprocess.CalledProcessError(done.returncode, line, done.stdout, done.stderr)
        error.add_note(done.stdout[-2000:] + done.stderr[-2000:])
        raise error
    return done.stdout


@contextmanager
def sandbox(**extra: str) -> Iterator[dict[str, str]]:
    """A sandbox of its own, made with the variables `extra`; yields the environment that points at it."""
    with TemporaryDirectory(prefix="lockstep-bench-") as folder:
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(ROOT / ".venv/bin"), str(ROOT / ".tools/bin"), os.environ["PATH"]]),
            "LOCKSTEP_SANDBOX_HOME": str(Path(folder, "sandbox")),
            **extra,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        shell("lockstep sandbox up", environment)
        try:
            text = shell('eval "$(lockstep sandbox env)" && env -0', environment)
            yield dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)
        finally:
            shell("lockstep sandbox down", environment)
