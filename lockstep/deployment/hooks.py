"""What the Pulumi program of a site does about its fleet: rolls what it has changed, and what an earlier run couldn't.

A deployment that runs the program (`LOCKSTEP_DEPLOYMENT`) rolls the fleets itself, all of them or none. A plain
`pulumi up` has only this: the hook after the launch template's update rolls this one site and fails the update if the
roll fails.

Rule: no `pulumi up` succeeds while its site doesn't run what its template says. Pulumi saves a new template before the
hook runs and would see no change the next time, whatever kept the hook from rolling; so each run ends by comparing what
the fleet has with what it should have (`after_all`), whether or not anything has changed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from lockstep import aws, console
from lockstep.config import Config
from lockstep.config.naming import package_bucket_name
from lockstep.deployment.marker import deployment_id
from lockstep.deployment.progress import now_text, say, this_holder
from lockstep.deployment.rolling import POLL_SECONDS, RollFailedError, SiteRoll, end_refresh, return_to
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage, heads, merged, what_stops
from lockstep.deployment_store import DeploymentStore, RecordMovedError
from lockstep.errors import LockstepError, RefusedError
from lockstep.fleet import FleetFacts, SiteFleet
from lockstep.lease import Holder, Lease, peek
from lockstep.regions import classify, in_every_region

Client = Callable[[str, str], Any]

# How long a site waits for the updates of others. Real seconds.
TURN_SECONDS: Final = 1_800.0
# How a lease names a plain update, which ends by itself and is waited for.
_COMMAND: Final = "pulumi up -s "
_SETTLE: Final = "Run `lockstep settle`, then this again"


class HookFailedError(Exception):
    """What Pulumi shows of a hook that failed."""


@dataclass(frozen=True)
class SiteHooks:
    """The hooks of the running stack's site."""

    config: Config
    client: Client = aws.client
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def after_template(self, version: int) -> None:
        """The launch template has `version` now: have the fleet run it.

        A group without instances is pointed at it, as its next instances are about to be launched; one with instances
        is rolled, unless a deployment does that. One whose instances are as the version says keeps the number that they
        have: AWS tells by the number whether an instance has to be replaced, and a roll that is given up would replace
        all of them, which needs room that may be what the roll failed for. Raises HookFailedError.
        """
        release = self.config.site.release
        with self._as_hook_failure():
            fleet = self._fleet
            facts = fleet.facts_if_up()
            if facts is None or release is None:
                return
            if facts.is_empty:
                if facts.version != version:
                    fleet.use_version(facts, version)
            elif self._differs(facts, version) and deployment_id() is None:
                self._roll(release, version)

    def after_group(self) -> None:
        """The group was created, or has changed: wait until all of its instances serve. Raises HookFailedError."""
        release = self.config.site.release
        if release is None or deployment_id() is not None:
            return
        with self._as_hook_failure():
            facts = self._fleet.facts()
            if not facts.runs(release):
                try:
                    self._roll_of(release, facts.version).wait_for_group()
                except RollFailedError as error:
                    raise HookFailedError(
                        f"release {release} doesn't serve: {error}. Publish it (`lockstep publish {release} DIR`) or "
                        "correct it, then run this again"
                    ) from error
            self._note(release)

    def after_all(self) -> None:
        """Everything is as declared: do what an earlier run's hooks couldn't, if anything. Raises HookFailedError."""
        release = self.config.site.release
        if release is None or deployment_id() is not None:
            return
        with self._as_hook_failure():
            fleet = self._fleet
            facts = fleet.facts_if_up()
            if facts is None:
                return
            version, _ = fleet.newest_version(facts.template_id)
            if self._differs(facts, version):
                self.after_template(version)
            if facts.desired > 0 and not self._is_noted(release):
                self.after_group()

    @cached_property
    def _fleet(self) -> SiteFleet:
        site = self.config.site
        return SiteFleet(self.client, self.config.application, site.name, site.region)

    @cached_property
    def _store(self) -> DeploymentStore:
        return DeploymentStore(self.client, self.config.application, [site.region for site in self.config.sites])

    def _differs(self, facts: FleetFacts, version: int) -> bool:
        """Whether anything of the fleet, its next instances included, is started otherwise than by `version`."""
        has = {facts.version, *(each.version for each in facts.instances if not each.is_leaving)} - {version}
        return any(not self._fleet.is_same(facts.template_id, each, version) for each in has)

    @contextmanager
    def _as_hook_failure(self) -> Iterator[None]:
        """Has what goes wrong shown with what to do about it."""
        try:
            yield
        except LockstepError as error:
            raise HookFailedError(". ".join(filter(None, (error.message, error.remedy)))) from error
        except (BotoCoreError, ClientError) as error:
            failure = classify(self.config.site.region, error)
            raise HookFailedError(f"{failure.text}. {failure.remedy}") from error

    @contextmanager
    def _turn(self, release: str) -> Iterator[Lease]:
        """For the block, no deployment and no other site's update is at work; gives the lease of this site's region.

        The lease of every region is taken, as a deployment does, so that whoever reads and writes the record does so
        alone: any two have a region in common. But a site that is updated alone must not need the other one: a region
        that doesn't answer, or has no bucket yet, is left out, and only the own lease has to last.

        Updates of other sites are waited for: `lockstep up` begins all at once.
        """
        own, holder = self.config.site.region, Holder.this_process(f"{_COMMAND}{self.config.stack} (release {release})")
        account = aws.account_id(self.client, [own])
        buckets = {
            site.region: package_bucket_name(self.config.application, account, site.region)
            for site in self.config.sites
        }
        began, told = self.clock(), False
        while True:
            with ExitStack() as held:
                try:
                    leases = self._take(buckets, holder, held)
                except RefusedError as error:
                    refused = error
                else:
                    yield leases[own]
                    return
            if not self._may_wait_for(buckets) or self.clock() - began > TURN_SECONDS:
                raise refused
            if not told:
                told = True
                say(self.config.stack, f"waits for its turn: {refused.message}")
            self.sleep(POLL_SECONDS)

    def _take(self, buckets: Mapping[str, str], holder: Holder, held: ExitStack) -> Mapping[str, Lease]:
        """Take the lease of every region that answers, the own one's in any case, in the order that everybody uses."""
        leases = {}
        for region, bucket in sorted(buckets.items()):
            lease = Lease(self.client, {region: bucket}, holder)
            try:
                leases[region] = held.enter_context(lease.hold())
            except RefusedError:
                raise
            except LockstepError as error:
                if region == self.config.site.region:
                    raise
                console.warning(f"{self.config.stack} goes on without {region}: {error.message}")
        return leases

    def _may_wait_for(self, buckets: Mapping[str, str]) -> bool:
        """Whether all who are at work are plain updates. A deployment is about this site too, and needs its stack."""
        found, _ = in_every_region(buckets, lambda region: peek(self.client, buckets[region], region))
        busy = [each.holder for each in found.values() if each is not None and not each.is_free]
        return all(holder is not None and holder.command.startswith(_COMMAND) for holder in busy)

    def _is_noted(self, release: str) -> bool:
        """Whether the record of the own region says that this site runs `release`."""
        record = self._store.read(self.config.site.region)
        return record is not None and record.sites.get(self.config.site.name) == release

    def _change(self, change: Callable[[DeploymentRecord], DeploymentRecord], release: str) -> DeploymentRecord:
        """Write what `change` makes of the newest record to the regions that answer; returns it.

        Raises HookFailedError if the records forbid `release`: others may have been at work since the program asked.
        """
        own = self.config.site.region
        records, failures = self._store.read_all()
        if own in failures:
            raise HookFailedError(f"{failures[own].text}. {failures[own].remedy}")
        for failure in failures.values():
            console.warning(f"{failure.text}; {self.config.stack} goes on without it")
        for record in heads(records.values()):
            problem = what_stops(record, self.config.site.name, release, None)
            if problem is not None:
                raise HookFailedError(problem)
        current = merged({site.name: records.get(site.region) for site in self.config.sites}) or DeploymentRecord()
        others = {site.name: None for site in self.config.sites if site.name not in current.sites}
        # A release is settled once all sites run it, those that never ran any included.
        changed = change(current.model_copy(update={"sites": {**others, **current.sites}}))
        # What couldn't be read may be newer.
        problem = self._write(changed, records)
        if problem is not None:
            raise HookFailedError(f"{problem}. Run this again once that is over")
        return changed

    def _write(self, record: DeploymentRecord, regions: Iterable[str]) -> str | None:
        """Write to the own region first, and only then to the others of `regions`; returns why the own couldn't be.

        The other way, a record of what nobody has begun would stop everybody. Raises RecordMovedError.
        """
        own = self.config.site.region
        for failure in self._store.write(record, [own]).values():
            return failure.text
        for failure in self._store.write(record, [each for each in regions if each != own]).values():
            console.warning(f"{failure.text}; the record there is behind, `lockstep settle` brings it up to date")
        return None

    def _left_unwritten(self, record: DeploymentRecord) -> str | None:
        """Write; returns why it couldn't be. Raises RecordMovedError if somebody else has written the own region's."""
        try:
            return self._write(record, [site.region for site in self.config.sites])
        except LockstepError as error:
            if isinstance(error, RecordMovedError) and error.region == self.config.site.region:
                raise
            return error.message

    def _roll(self, release: str, version: int) -> None:
        """Roll this site; put it back if that fails."""
        with self._turn(release) as lease:
            before = self._fleet.facts()
            site = self.config.site.name
            id_ = f"pulumi-up-{site}-{datetime.now(UTC).strftime('%Y%m%d%H%M%S')}"

            def begin(current: DeploymentRecord) -> DeploymentRecord:
                if before.refresh and before.refresh.active:
                    raise HookFailedError(
                        f"an instance refresh of {before.group} that no record knows is {before.refresh.status}: wait "
                        f"for it, or end it (`aws autoscaling cancel-instance-refresh --auto-scaling-group-name "
                        f"{before.group} --region {self.config.site.region}`), then run this again"
                    )
                return current.begin(self._in_progress(id_, current, before, release))

            self._forward_or_back(self._change(begin, release), before, version, lease)

    def _in_progress(self, id_: str, record: DeploymentRecord, facts: FleetFacts, release: str) -> InProgress:
        site = self.config.site.name
        # What nobody was ever served with is nothing to go back to.
        serving = {each.release for each in facts.serving}
        had = serving.pop() if len(serving) == 1 else record.sites.get(site)
        return InProgress(
            id=id_,
            release_to=release,
            release_from=had,
            sites_from={site: had},
            versions_from={site: facts.version},
            started_at=now_text(),
            holder=this_holder(),
            stage=Stage.ROLLING,
        )

    def _roll_of(self, release: str, version: int, check: Callable[[], None] = lambda: None) -> SiteRoll:
        def stop() -> bool:
            check()
            return False

        return SiteRoll(self._fleet, release, version, say, stop=stop, sleep=self.sleep, clock=self.clock)

    def _forward_or_back(self, record: DeploymentRecord, before: FleetFacts, version: int, lease: Lease) -> None:
        was = record.in_progress
        assert was is not None
        release, site = was.release_to, self.config.site.name
        try:
            roll = self._roll_of(release, version, lease.check)
            roll.start(before)
            roll.wait()
            lease.check()
        except (RollFailedError, BotoCoreError, ClientError) as error:
            # What AWS refuses to begin says nothing against the release.
            blames = isinstance(error, RollFailedError) and error.blames
            self._back(record, before, self._text(error), lease, blames=blames)
        # Lost, the lease is somebody else's, who finds the record and settles: two would roll against each other.
        problem = self._left_unwritten(record.settle(release, now_text()))
        if problem is not None:
            raise HookFailedError(f"{site} runs {release}, but the record doesn't say so: {problem}. {_SETTLE}")

    def _back(
        self, record: DeploymentRecord, before: FleetFacts, reason: str, lease: Lease, *, blames: bool
    ) -> NoReturn:
        """Undo what the record has in progress, and raise HookFailedError; LeaseLostError if nothing may be changed."""
        lease.check()
        record = record.undo(reason, blames=blames)
        was, site = record.in_progress, self.config.site.name
        assert was is not None
        # The site goes back all the same.
        if (problem := self._left_unwritten(record)) is not None:
            console.warning(f"{problem}; the record there is behind")
        had = was.sites_from[site]
        try:
            if had is None:
                end_refresh(self._fleet, say, check=lease.check, sleep=self.sleep, clock=self.clock)
            else:
                return_to(self._fleet, had, before.version, say, check=lease.check, sleep=self.sleep, clock=self.clock)
            lease.check()
        except (RollFailedError, BotoCoreError, ClientError) as stuck:
            raise HookFailedError(f"{reason}; and it can't go back: {self._text(stuck)}. {_SETTLE}") from stuck
        now = f"{reason}; {site} serves {had} as before" if had else f"{reason}; {site} served nothing before either"
        if (problem := self._left_unwritten(record.undone(now_text()))) is not None:
            raise HookFailedError(f"{now}, but the record doesn't say so: {problem}. {_SETTLE}")
        raise HookFailedError(f"{now}. {self._remedy(was, had)}")

    def _remedy(self, was: InProgress, had: str | None) -> str:
        if not was.blame:
            return "Run this again once that is put right"
        if was.release_to == had:
            return (
                "Correct what was changed about its machines in the configuration (lockstep:fleet), or put it back, "
                "then run this again"
            )
        try_again = f"`lockstep deploy {was.release_to}` tries the release once more, in every site"
        return f"Write {had or 'another release'} into Pulumi.yaml and run this again; {try_again}"

    def _text(self, error: RollFailedError | BotoCoreError | ClientError) -> str:
        if isinstance(error, BotoCoreError | ClientError):
            return classify(self.config.site.region, error).text
        return str(error)

    def _note(self, release: str) -> None:
        """Write down that this site runs `release`, if the record doesn't say so."""
        if self._is_noted(release):
            return

        def settle(record: DeploymentRecord) -> DeploymentRecord:
            return record.settle(release, now_text(), [self.config.site.name])

        with self._turn(release):
            self._change(settle, release)
