"""Memory of the sandbox with both sites and what joins them."""

import json

from bench.measure import Result, sandbox, shell


def run() -> list[Result]:
    """Resident memory by process, in MiB, after everything is up."""
    with sandbox() as environment:
        shell("lockstep up --yes", environment)
        processes = json.loads(shell("lockstep sandbox status --json", environment))["processes"]
    used = {each["name"]: each["residentBytes"] / 2**20 for each in processes}
    return [
        *(Result(name, value, "MiB") for name, value in used.items()),
        Result("sandbox with both sites", sum(used.values()), "MiB", "under 1024 MiB"),
    ]
