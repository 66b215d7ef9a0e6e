"""Runs a campaign to its end, or on from where it was: `python -m tests.campaigns NAME`."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaigns import faults, kills, mutants
from tests.campaigns.cases import Case
from tests.campaigns.kinds import KINDS_OF
from tests.campaigns.record import OK, Record, UncommittedError, code
from tests.campaigns.site import SPEED, Site, site
from tests.conftest import ROOT

# After so many cases a campaign begins in a new sandbox: moto forgets nothing, and slows down.
CASES_PER_SANDBOX = 40


@dataclass(frozen=True)
class Campaign:
    """One campaign: `compute(world, kinds)` gives the cases by kind, `attempt(world, case)` the result of one.

    `world` is what `look` makes of the site, by default the site. `at_once` cases are tried at a time; more than one
    only if they leave no trace, and then all are tried in one sandbox.
    """

    name: str
    kinds: Sequence[str]
    speed: str
    compute: Callable[[Any, Sequence[str]], Mapping[str, Sequence[str]]]
    attempt: Callable[[Any, str], dict[str, Any]]
    look: Callable[[Site], AbstractContextManager[Any]] = nullcontext
    at_once: int = 1


def _mutants_of(world: mutants.Previews, kinds: Sequence[str]) -> dict[str, list[str]]:
    world.check_unchanged()
    return {kind: cases for kind, cases in mutants.cases(world.folder).items() if kind in kinds}


def _kills_of(made: Site, kinds: Sequence[str]) -> dict[str, list[str]]:
    return {kind: [str(each) for each in cases] for kind, cases in kills.compute(made, kinds).items()}


CAMPAIGNS = {
    each.name: each
    for each in (
        *(
            Campaign(name, kinds, SPEED, _kills_of, lambda made, case: kills.run(made, Case.parse(case)))
            for name, kinds in KINDS_OF.items()
        ),
        Campaign(
            "faults",
            list(faults.cases()),
            faults.SPEED,
            lambda _, kinds: {kind: cases for kind, cases in faults.cases().items() if kind in kinds},
            lambda made, case: faults.run(faults.World(made), case),
        ),
        Campaign(
            "mutants",
            list(mutants.cases(ROOT)),
            SPEED,
            _mutants_of,
            mutants.Previews.run,
            look=lambda made: mutants.previews(made.folder, made.environment),
            at_once=2,
        ),
    )
}


def run(campaign: Campaign, kinds: Sequence[str], limit: float, *, keep: bool, allow_changes: bool) -> int:
    """Every case of `kinds`, until all have a result or `limit` seconds are over; returns how many failed.

    Raises UncommittedError if it isn't clear what code would run.
    """
    record, ended = Record.read(campaign.name), time.monotonic() + limit
    left: list[str] | None = None
    while left is None or (left and time.monotonic() < ended):
        commit = code(allow_changes=allow_changes)
        with (
            tempfile.TemporaryDirectory(prefix=f"lockstep-{campaign.name}-") as folder,
            site(Path(folder), campaign.speed) as made,
            campaign.look(made) as world,
        ):
            if code(allow_changes=allow_changes) != commit:
                # Somebody has committed while the code was copied.
                continue
            if left is None:
                found = campaign.compute(world, kinds)
                left = record.begin(found, keep=keep)
                record.write()
                print(f"{sum(map(len, found.values()))} cases, {len(left)} to try", flush=True)
            chosen = left if campaign.at_once > 1 else left[:CASES_PER_SANDBOX]
            for case, result in _try_all(campaign, world, list(chosen), ended):
                left.remove(case)
                record.add(case, commit, **result)
                print(f"{case}: {result}", flush=True)
                if result["result"] != OK and campaign.at_once == 1:
                    # What it has left would fail the next case too.
                    break
    return len(record.failed())


def _try_all(campaign: Campaign, world: Any, cases: list[str], ended: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """The results, as they come, of the cases that are begun before `ended`."""
    with ThreadPoolExecutor(campaign.at_once) as pool:
        waiting, running = iter(cases), dict[Future[dict[str, Any]], str]()
        while True:
            # One is begun when another's result was taken: who stops taking them has begun none in vain.
            while len(running) < campaign.at_once and time.monotonic() < ended and (case := next(waiting, None)):
                running[pool.submit(_try, campaign, world, case)] = case
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                yield running.pop(each), each.result()


def _try(campaign: Campaign, world: Any, case: str) -> dict[str, Any]:
    begun = time.monotonic()
    try:
        result = campaign.attempt(world, case)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        result = {"result": "failed", "problems": [str(error)[-2_000:]]}
    return {**result, "seconds": round(time.monotonic() - begun)}


def main() -> int:
    """Run the campaign that is named."""
    parser = argparse.ArgumentParser(prog="make campaign")
    parser.add_argument("name", choices=list(CAMPAIGNS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again to go on")
    parser.add_argument("--kinds", nargs="+", help="cases of these only")
    parser.add_argument("--keep", action="store_true", help="keep what went well with the code of an earlier commit")
    parser.add_argument(
        "--allow-changes", action="store_true", help="try what isn't committed too; its results count for no commit"
    )
    arguments = parser.parse_args()
    campaign = CAMPAIGNS[arguments.name]
    kinds = arguments.kinds or campaign.kinds
    if unknown := set(kinds) - set(campaign.kinds):
        parser.error(f"{campaign.name} has no {', '.join(sorted(unknown))}; it has {', '.join(campaign.kinds)}")
    # What a script starts in the background inherits "ignore SIGINT"; either way the sandbox has to come down.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        failed = run(campaign, kinds, arguments.seconds, keep=arguments.keep, allow_changes=arguments.allow_changes)
    except UncommittedError as error:
        print(f"{error}\ncommit that, or say --allow-changes", file=sys.stderr)
        return 2
    print(f"{failed} cases failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
