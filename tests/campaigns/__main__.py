"""Runs a campaign to its end, or on from where it was: `python -m tests.campaigns NAME`."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns import kills
from tests.campaigns.record import Record

# After so many cases a campaign begins in a new sandbox: moto forgets nothing, and slows down.
CASES_PER_SANDBOX = 25


def run_kills(limit: float) -> int:
    """Every kill, until all have a result or `limit` seconds are over; returns how many failed."""
    record, ended = Record.read("kills"), time.monotonic() + limit
    left: list[str] | None = None
    while left is None or (left and time.monotonic() < ended):
        with tempfile.TemporaryDirectory(prefix="lockstep-kills-") as folder, kills.site(Path(folder)) as site:
            if left is None:
                left = record.begin([str(case) for case in kills.compute(site)])
                record.write()
                print(f"{len(record.cases)} cases, {len(left)} to try", flush=True)
            batch, left = left[:CASES_PER_SANDBOX], left[CASES_PER_SANDBOX:]
            for at, case in enumerate(batch):
                if time.monotonic() > ended:
                    left = batch[at:] + left
                    break
                begun = time.monotonic()
                try:
                    result = kills.run(site, kills.Case.parse(case))
                except AssertionError as error:
                    result = {"result": "failed", "problems": [str(error)[-2_000:]]}
                record.add(case, **result)
                print(f"{case}: {result} ({time.monotonic() - begun:.0f} s)", flush=True)
                if result["result"] != "ok":
                    # What it has left would fail the next case too.
                    left = batch[at + 1 :] + left
                    break
    return sum(result["result"] != "ok" for result in record.results.values())


def main() -> int:
    """Run the campaign that is named."""
    parser = argparse.ArgumentParser(prog="make campaign")
    parser.add_argument("name", choices=["kills"])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again to go on")
    arguments = parser.parse_args()
    # What a script starts in the background inherits "ignore SIGINT"; either way the sandbox has to come down.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    failed = run_kills(arguments.seconds)
    print(f"{failed} cases failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
