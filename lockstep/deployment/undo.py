"""Returns every site to the release it had, from nothing but the record of the deployment that is undone.

Rule: sites first, as they serve; then config and Pulumi's state, so that the next preview is clean; the record last, so
that whoever is killed here is followed by somebody who begins again. Each step does nothing where it is done already.
"""

from collections.abc import Callable, Mapping

from lockstep import console, release_setting, rollout
from lockstep.deployment.context import Context
from lockstep.deployment.plan import Plan
from lockstep.deployment.progress import now_text
from lockstep.deployment.rolling import (
    Check,
    RegionLostError,
    RollFailedError,
    Say,
    StoppedError,
    end_refresh,
    return_to,
)
from lockstep.deployment.steps import at_every_site, update_stacks
from lockstep.deployment_record import DeploymentRecord, InProgress
from lockstep.errors import (
    FailedUnchangedError,
    IncompleteError,
    InterruptedUpdateError,
    InvalidInputError,
    LockstepError,
    RefusedError,
    RegionUnreachableError,
)
from lockstep.fleet import FleetFacts
from lockstep.regions import raise_for

_SETTLE = "lockstep settle"


def undo(
    context: Context, record: DeploymentRecord, reason: str, say: Say, check: Check, *, blames: bool = False
) -> Mapping[str, FleetFacts]:
    """Undo the deployment that `record` has in progress; returns the facts of every site afterwards.

    The caller holds the lease and has marked Pulumi's operations with the deployment's id. `check` is called before
    anything is changed; `blames` says that the release is at fault, and will be refused. Raises IncompleteError, naming
    what is left, if it can't be undone now: the record stays as it is, and `lockstep settle` begins again.
    """
    was = record.in_progress
    assert was is not None
    record = record.undo(reason, blames=blames)
    check()
    failures = context.store.write(record)
    if failures:
        # A region that is gone can't be told; the others go back all the same.
        for failure in failures.values():
            console.warning(f"{failure.text}; the record there is behind")
    _, failed = at_every_site(context, {site: _returning(context, site, was, say, check) for site in was.sites_from})
    check()
    _restore_config(context, was)
    outcome = update_stacks(context, "undo", was.sites_from)
    error = rollout.update_error(context.operations, outcome)
    if failed or error is not None:
        causes = [str(each) for each in failed.values()] + ([error.message] if error else [])
        raise IncompleteError(
            f"{was.release_to} is only undone in part: {'; '.join(causes)}; what serves, serves on", _SETTLE
        )
    facts, behind = at_every_site(context, {site: _look(context, site, was) for site in was.sites_from})
    if behind:
        causes = [str(each) for each in behind.values()]
        raise IncompleteError(f"{was.release_to} is undone, but not every site is well: {'; '.join(causes)}", _SETTLE)
    record = record.undone(now_text())
    check()
    failures = context.store.write(record)
    if failures:
        raise_for(failures, "every site is as before, but not every record says so", settle=True)
    return facts


def as_error(error: RollFailedError | StoppedError | LockstepError | OSError, plan: Plan) -> LockstepError:
    """The failure of a deployment that has been undone, as the command's error."""
    had = {start.release for start in plan.before.values()}
    now = f"every site serves {had.pop() or 'nothing'}" if len(had) == 1 else "every site serves what it had"
    if isinstance(error, StoppedError):
        return InterruptedUpdateError(
            f"interrupted; {plan.release} is undone, {now}", f"lockstep deploy {plan.release}"
        )
    if isinstance(error, RegionLostError):
        return RegionUnreachableError(f"{error}; {plan.release} is undone, {now}", error.failure.remedy)
    if isinstance(error, RefusedError | InvalidInputError | RegionUnreachableError):
        return type(error)(f"{error.message}; {plan.release} is undone, {now}", error.remedy)
    text = error.message if isinstance(error, LockstepError) else str(error)
    return FailedUnchangedError(
        f"{plan.release} can't be deployed: {text}; it is undone, {now}",
        f"publish what is corrected under a new version, or try again: `lockstep deploy {plan.release}`",
    )


def _returning(context: Context, site: str, was: InProgress, say: Say, check: Check) -> Callable[[], object]:
    fleet, release = context.fleets[site], was.sites_from[site]
    if release is None:
        # Its instances go when Pulumi sets the group's size to nothing.
        return lambda: end_refresh(fleet, say, check=check)
    return lambda: return_to(fleet, release, was.versions_from[site], say, check=check)


def _look(context: Context, site: str, was: InProgress) -> Callable[[], FleetFacts]:
    def look() -> FleetFacts:
        facts = context.fleets[site].facts()
        release = was.sites_from[site]
        if release is not None and not facts.runs(release):
            raise RollFailedError(site, facts.shortfall(release))
        return facts

    return look


def _restore_config(context: Context, was: InProgress) -> None:
    """Put the release back into Pulumi.yaml, unless somebody has written another one there since."""
    if release_setting.read(context.root) == was.release_to:
        release_setting.write(context.root, was.release_from)
