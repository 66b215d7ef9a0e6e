"""Finishes or undoes what a deployment that was killed has left, and brings the records of all regions together.

Rule: forward only if nothing is left to do: every site runs the release, with all instances, from its newest launch
template, at its own name. Anything else goes back. Whether a deployment is still at work is told by its lease, which
the caller holds by now.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockstep import console, interrupted, release_setting
from lockstep.deployment.context import Context
from lockstep.deployment.marker import marked
from lockstep.deployment.progress import now_text
from lockstep.deployment.rolling import Check, RollFailedError, Say
from lockstep.deployment.steps import at_every_site, update_stacks, verify
from lockstep.deployment.undo import undo
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage, brought_together, merged, newest
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


def settle(context: Context, say: Say, check: Check) -> Settled:
    """Settle; the caller holds the lease, and `check` raises if that is lost, before anything is changed.

    Raises IncompleteError or RegionUnreachableError if it can't be done now.
    """
    check()
    interrupted.settle_all(context.operations, list(context.needs))
    records, failures = context.store.read_all()
    # The one that can't be asked might have the newest.
    raise_for(failures)
    record = merged({site.name: records[site.region] for site in context.sites})
    if record is None:
        return Settled("nothing", None)
    was = record.in_progress
    if was is None:
        return _bring_records_together(context, records, check)
    with marked(was.id):
        if _is_complete(context, was):
            return _finish(context, record, was, check)
        undo(context, record, "it was broken off", say, check)
    return Settled("undone", was.release_to)


def _is_complete(context: Context, was: InProgress) -> bool:
    """Whether all that was left is to say so."""
    if was.stage not in (Stage.ROLLING, Stage.VERIFYING):
        return False

    def check(site: str) -> Callable[[], object]:
        return lambda: _verify_all(context, site, was.release_to)

    _, failed = at_every_site(context, {site: check(site) for site in was.sites_from})
    return not failed


def _verify_all(context: Context, site: str, release: str) -> None:
    """Raise RollFailedError unless the site runs `release`, on machines as its template has them now.

    A deployment may change only those, an image for one: what served before serves the release too.
    """
    facts, fleet = verify(context, site, release), context.fleets[site]
    newest_version, _ = fleet.newest_version(facts.template_id)
    for version in {facts.version, *(each.version for each in facts.instances)} - {newest_version}:
        if not fleet.is_same(facts.template_id, version, newest_version):
            raise RollFailedError(site, f"it has version {version} of its launch template, not {newest_version}")


def _finish(context: Context, record: DeploymentRecord, was: InProgress, check: Check) -> Settled:
    check()
    if release_setting.read(context.root) != was.release_to:
        release_setting.write(context.root, was.release_to)
    # Another checkout may have been at work: this one's program brings the stacks to the same. Those of its sites only:
    # the template of another one would change and nothing would roll it.
    error = update_error(context.operations, update_stacks(context, "finish", was.sites_from))
    if error is not None:
        raise error
    check()
    failures = context.store.write(record.settle(was.release_to, now_text()))
    if failures:
        raise_for(failures, "every site runs the release, but not every record says so", settle=True)
    return Settled("finished", was.release_to)


def _bring_records_together(context: Context, records: Mapping[str, DeploymentRecord | None], check: Check) -> Settled:
    """Give every region the same record: one that couldn't be reached may have missed the last."""
    latest = newest(records.values())
    assert latest is not None
    behind = [region for region, each in records.items() if each != latest]
    if not behind:
        return Settled("nothing", latest.settled)
    # A new one: two regions may have different ones of the same epoch, and neither gives way.
    record = brought_together({site.name: records[site.region] for site in context.sites}, now_text())
    check()
    failures = context.store.write(record)
    if failures:
        raise_for(failures, "the records of the other regions agree", settle=True)
    console.progress(f"brought the record up to date in {', '.join(sorted(behind))}")
    return Settled("records", record.settled)
