"""A release reaches every site, or none: the one function behind `lockstep deploy`.

Rule: before anything is changed, the record in every region says what is being changed and what each site had. From
then on every way out, a failure, a signal or a kill, ends in `undo` or in `settle`, and both need nothing but that
record. A site counts only when every instance of it serves the release and its own name answers with it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lockstep import console, release_setting, rollout
from lockstep.deployment import undo
from lockstep.deployment.context import Context
from lockstep.deployment.marker import marked
from lockstep.deployment.plan import Plan
from lockstep.deployment.progress import now_text, this_holder
from lockstep.deployment.rolling import RollFailedError, Say, StoppedError
from lockstep.deployment.steps import (
    CanaryCheck,
    at_every_site,
    preview_stacks,
    roll_of,
    update_stacks,
    verify,
)
from lockstep.deployment.stopping import Stopping
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage
from lockstep.deployment_store import RecordMovedError
from lockstep.errors import InterruptedUpdateError, LockstepError
from lockstep.fleet import FleetFacts
from lockstep.lease import Lease, LeaseLostError
from lockstep.regions import raise_for


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a deployment ended. `failure` says why it was undone; None if every site runs the release."""

    release: str
    before: Mapping[str, str | None]
    sites: Mapping[str, FleetFacts]
    failure: LockstepError | None = None

    def as_json(self, regions: Mapping[str, str]) -> dict[str, Any]:
        """The outcome as data."""
        return {
            "release": self.release,
            "result": "deployed" if self.failure is None else "undone",
            "reason": self.failure.message if self.failure else None,
            "sites": {
                site: {
                    "region": regions[site],
                    "releaseBefore": self.before[site],
                    "releaseRunning": self.release if self.failure is None else self.before[site],
                    "instances": len(facts.instances),
                    "healthy": len(facts.serving),
                }
                for site, facts in self.sites.items()
            },
        }


class Deployment:
    """One deployment, from its record to its end. The lease is held by the caller for all of it."""

    def __init__(self, context: Context, plan: Plan, lease: Lease, say: Say, stopping: Stopping, bake: int) -> None:
        self._context = context
        self._plan = plan
        self._lease = lease
        self._say = say
        self._stopping = stopping
        self._bake = bake
        self._record = DeploymentRecord()

    def run(self) -> Outcome:
        """Deploy; undo if it fails. Raises IncompleteError or RegionUnreachableError if undoing fails too."""
        if self._stopping.asked:
            raise InterruptedUpdateError("interrupted; nothing was changed")
        self._begin()
        assert self._record.in_progress is not None
        with marked(self._record.in_progress.id):
            try:
                with self._stopping.going_forward():
                    facts = self._forward()
            except (LeaseLostError, RecordMovedError):
                # Whoever goes on now finds the record and settles; two would undo and deploy against each other.
                raise
            except (RollFailedError, StoppedError, LockstepError, OSError) as error:
                return self._back(error)
            # Nothing is left to undo: if this fails, `settle` writes it.
            self._record = self._record.settle(self._plan.release, now_text())
            self._write("every site runs the release, but not every record says so", settle=True)
        return Outcome(release=self._plan.release, before=self._before, sites=facts)

    @property
    def _before(self) -> dict[str, str | None]:
        return {site: start.release for site, start in self._plan.before.items()}

    def _begin(self) -> None:
        """Write down what is about to happen, everywhere, before it does."""
        plan = self._plan
        current = self._context.store.current() or DeploymentRecord()
        self._record = current.begin(
            InProgress(
                id=str(uuid.uuid4()),
                release_to=plan.release,
                release_from=plan.release_before,
                sites_from=self._before,
                versions_from={site: start.version for site, start in plan.before.items()},
                started_at=now_text(),
                holder=this_holder(),
                stage=Stage.PREPARING,
            )
        )
        failures = self._context.store.write(self._record)
        begun = len(failures) < len(self._context.regions)
        left = f"{plan.release} has begun in the records and nowhere else" if begun else "nothing was changed"
        raise_for(failures, left, settle=begun)

    def _forward(self) -> dict[str, FleetFacts]:
        """Every site runs the release afterwards, or RollFailedError, StoppedError or LockstepError is raised."""
        self._prepare()
        versions = self._versions()
        self._roll(versions)
        self._enter(Stage.VERIFYING)
        facts = self._everywhere({site: self._verifying(site) for site in self._plan.before})
        self._lease.check()
        return facts

    def _prepare(self) -> None:
        """Config, plan and launch templates; a site without instances gets its first ones here."""
        release_setting.write(self._context.root, self._plan.release)
        plan = preview_stacks(self._context)
        self._pass_on(rollout.preview_error(self._context.operations, plan), plan)
        outcome = update_stacks(self._context, "prepare")
        self._pass_on(rollout.update_error(self._context.operations, outcome), outcome)

    def _versions(self) -> dict[str, int]:
        """The version of each site's launch template that starts the release."""

        def newest(site: str) -> int:
            fleet = self._context.fleets[site]
            number, release = fleet.newest_version(fleet.facts().template_id)
            if release != self._plan.release:
                found = f"its newest launch template starts {release}, not {self._plan.release}"
                raise RollFailedError(site, found, blames=False)
            return number

        return self._everywhere({site: partial(newest, site) for site in self._plan.before})

    def _roll(self, versions: Mapping[str, int]) -> None:
        """One instance of one site first; then all sites at once, the first one going on by itself."""
        canary = self._plan.canary
        rolls = {
            site: roll_of(self._context, site, self._plan.release, version, self._say, self._is_over)
            for site, version in versions.items()
        }
        if canary is not None:
            self._enter(Stage.CANARY)
            check = CanaryCheck(self._context, canary, self._plan.release)

            def first() -> None:
                facts = self._context.fleets[canary].facts()
                rolls[canary].start(facts, bake=self._bake)
                rolls[canary].wait_for_canary(facts.desired, check)
                check.finish()

            self._everywhere({canary: first})
        self._enter(Stage.ROLLING)

        def rest(site: str) -> None:
            if site == canary:
                rolls[site].wait()
                return
            facts = self._context.fleets[site].facts()
            if any(each.version != versions[site] for each in facts.instances):
                rolls[site].start(facts)
                rolls[site].wait()
            else:
                rolls[site].wait_for_group()

        self._everywhere({site: partial(rest, site) for site in rolls})

    def _verifying(self, site: str) -> Callable[[], FleetFacts]:
        return lambda: verify(self._context, site, self._plan.release)

    def _everywhere(self, work: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Run the work of all sites; when one fails the others stop, as all of them go back."""
        self._failing = False

        def guarded(run: Callable[[], Any]) -> Callable[[], Any]:
            def call() -> Any:
                try:
                    return run()
                except Exception:
                    self._failing = True
                    raise

            return call

        done, failed = at_every_site(self._context, {site: guarded(run) for site, run in work.items()})
        if failed:
            raise next(iter(failed.values()))
        self._check()
        return done

    _failing = False

    def _is_over(self) -> bool:
        # A roll takes minutes; whoever has the lease by then must not find this one still at work.
        self._lease.check()
        return self._failing or self._stopping.asked

    def _check(self) -> None:
        """Go on only while nobody has asked to stop and nobody has taken the lease."""
        if self._stopping.asked:
            raise StoppedError
        self._lease.check()

    def _enter(self, stage: Stage) -> None:
        self._check()
        self._record = self._record.at(stage)
        self._write("the deployment is undone")

    def _write(self, left: str, *, settle: bool = False) -> None:
        failures = self._context.store.write(self._record)
        if failures:
            raise_for(failures, left, settle=settle)

    def _pass_on(self, error: LockstepError | None, outcome: rollout.Outcome) -> None:
        self._check()
        if error is not None:
            rollout.show_aside(outcome)
            raise error

    def _back(self, error: RollFailedError | StoppedError | LockstepError | OSError) -> Outcome:
        reason = "it was interrupted" if isinstance(error, StoppedError) else _text(error)
        console.progress(f"{self._plan.release} can't be deployed: {reason}; every site returns to what it had")
        check, blames = self._stopping.guard(self._lease), isinstance(error, RollFailedError) and error.blames
        facts = undo.undo(self._context, self._record, reason, self._say, check, blames=blames)
        return Outcome(
            release=self._plan.release, before=self._before, sites=facts, failure=undo.as_error(error, self._plan)
        )


def _text(error: RollFailedError | LockstepError | StoppedError | OSError) -> str:
    return error.message if isinstance(error, LockstepError) else str(error)
