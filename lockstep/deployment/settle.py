"""Finishes or undoes what a deployment that was killed has left, and brings the records of all regions together.

Rule: forward only if nothing is left to do: every site runs the release, with all instances, at its own name. Anything
else goes back. Whether a deployment is still at work is told by its lease, which the caller holds by now.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lockstep import console, interrupted, release_setting
from lockstep.deployment.context import Context
from lockstep.deployment.marker import marked
from lockstep.deployment.progress import now_text
from lockstep.deployment.rolling import Say
from lockstep.deployment.steps import at_every_site, update_stacks, verify
from lockstep.deployment.undo import undo
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage
from lockstep.regions import raise_for
from lockstep.rollout import update_error


@dataclass(frozen=True)
class Settled:
    """What was done: `finished`, `undone`, `records` (only they differed) or `nothing`, and to which release."""

    what: str
    release: str | None

    def as_json(self) -> dict[str, str | None]:
        """The outcome as data."""
        return {"result": self.what, "release": self.release}


def settle(context: Context, say: Say) -> Settled:
    """Settle; the caller holds the lease. Raises IncompleteError or RegionUnreachableError if it can't be done now."""
    interrupted.settle_all(context.operations, list(context.needs))
    record = context.store.current()
    if record is None:
        return Settled("nothing", None)
    was = record.in_progress
    if was is None:
        return _bring_records_together(context, record)
    with marked(was.id):
        if _is_complete(context, was):
            return _finish(context, record, was)
        undo(context, record, "it was broken off", say)
    return Settled("undone", was.release_to)


def _is_complete(context: Context, was: InProgress) -> bool:
    """Whether all that was left is to say so."""
    if was.stage not in (Stage.ROLLING, Stage.VERIFYING):
        return False

    def check(site: str) -> Callable[[], object]:
        return lambda: verify(context, site, was.release_to)

    _, failed = at_every_site(context, {site: check(site) for site in was.sites_from})
    return not failed


def _finish(context: Context, record: DeploymentRecord, was: InProgress) -> Settled:
    if release_setting.read(context.root) != was.release_to:
        release_setting.write(context.root, was.release_to)
    # Another checkout may have been at work: this one's program brings the stacks to the same.
    error = update_error(context.operations, update_stacks(context, "finish"))
    if error is not None:
        raise error
    failures = context.store.write(record.settle(was.release_to, now_text()))
    if failures:
        raise_for(failures, "every site runs the release, but not every record says so", settle=True)
    return Settled("finished", was.release_to)


def _bring_records_together(context: Context, record: DeploymentRecord) -> Settled:
    """Give every region the newest record: one that couldn't be reached may have missed it."""
    records, _ = context.store.read_all()
    behind = [region for region, each in records.items() if each != record]
    if not behind:
        return Settled("nothing", record.settled)
    failures = context.store.write(record, behind)
    if failures:
        raise_for(failures, "the records of the other regions agree", settle=True)
    console.progress(f"brought the record up to date in {', '.join(sorted(behind))}")
    return Settled("records", record.settled)
