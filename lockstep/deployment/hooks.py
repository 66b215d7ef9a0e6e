"""What the Pulumi program of a site does about its fleet: it stops what records forbid, and rolls what it has changed.

A deployment that runs the program (`LOCKSTEP_DEPLOYMENT`) rolls the fleets itself, all of them or none. A plain
`pulumi up` has only this: the hook after the launch template's update rolls this one site and fails the update if the
roll fails. Pulumi has saved the new template by then and would see no change the next time; so that it failed is in the
record, and stops the next run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lockstep import aws, console
from lockstep.config import Config
from lockstep.config.naming import package_bucket_name
from lockstep.deployment.marker import deployment_id
from lockstep.deployment.progress import now_text, say, this_holder
from lockstep.deployment.rolling import POLL_SECONDS, RollFailedError, SiteRoll, return_to
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage, newest
from lockstep.deployment_store import DeploymentStore
from lockstep.errors import IncompleteError, LockstepError
from lockstep.fleet import FleetFacts, SiteFleet
from lockstep.lease import Holder, Lease

Client = Callable[[str, str], Any]

# How long a site waits for another one's roll. Real seconds.
TURN_SECONDS: Final = 1_800.0


class HookFailedError(Exception):
    """What Pulumi shows of a hook that failed."""


@dataclass(frozen=True)
class SiteHooks:
    """The hooks of the running stack's site."""

    config: Config
    client: Client = aws.client
    sleep: Callable[[float], None] = time.sleep

    def after_template(self, version: int) -> None:
        """The launch template has `version` now: have the fleet run it.

        A group without instances is pointed at it, as its next instances are about to be launched; one with instances
        is rolled, unless a deployment does that. Raises HookFailedError.
        """
        fleet, release = self._fleet, self.config.site.release
        facts = fleet.facts_if_up()
        if facts is None or release is None:
            return
        if not facts.instances or fleet.is_same(facts.template_id, facts.version, version):
            fleet.use_version(facts, version)
            return
        if deployment_id() is None:
            self._roll(facts, release, version)

    def after_group(self) -> None:
        """The group was created, or has changed: wait until all of its instances serve. Raises HookFailedError."""
        release = self.config.site.release
        if release is None or deployment_id() is not None:
            return
        facts = self._fleet.facts()
        if facts.runs(release):
            self._note(release)
            return
        try:
            SiteRoll(self._fleet, release, facts.version, say, sleep=self.sleep).wait_for_group()
        except RollFailedError as error:
            raise HookFailedError(
                f"release {release} doesn't serve: {error}. Publish it (`lockstep publish {release} DIR`) or correct "
                "it, then run this again"
            ) from error
        self._note(release)

    @property
    def _fleet(self) -> SiteFleet:
        site = self.config.site
        return SiteFleet(self.client, self.config.application, site.name, site.region)

    @property
    def _store(self) -> DeploymentStore:
        return DeploymentStore(self.client, self.config.application, [site.region for site in self.config.sites])

    def _current(self) -> DeploymentRecord:
        """The newest record of the regions that answer; this site's own must."""
        records, failures = self._store.read_all()
        if self.config.site.region in failures:
            raise HookFailedError(failures[self.config.site.region].text)
        return newest(records.values()) or DeploymentRecord()

    def _write(self, record: DeploymentRecord) -> None:
        """To every region that answers: a site that is updated alone must not need the other one."""
        for region, failure in self._store.write(record).items():
            if region == self.config.site.region:
                raise HookFailedError(failure.text)
            console.warning(f"{failure.text}; the record there is behind, `lockstep settle` brings it up to date")

    def _roll(self, before: FleetFacts, release: str, version: int) -> None:
        """Roll this site; put it back if that fails."""
        try:
            with self._lease(release).hold() as lease:
                record = self._change(lambda current: current.begin(self._in_progress(current, before, release)))
                self._forward_or_back(record, before, release, version, lease)
        except LockstepError as error:
            raise HookFailedError(f"{error.message}. {error.remedy}") from error

    def _change(self, change: Callable[[DeploymentRecord], DeploymentRecord]) -> DeploymentRecord:
        """Write what `change` makes of the newest record, once no other site's roll is in progress; returns it.

        Sites whose stacks are updated side by side take turns: the record has room for one.
        """
        told, waited = False, 0.0
        while True:
            current = self._current()
            if current.in_progress is None:
                try:
                    record = change(current)
                    self._write(record)
                    return record
                except IncompleteError:
                    # Somebody else was quicker; theirs is the newest now.
                    pass
            elif not told:
                told = True
                say(self.config.stack, f"waits for the deployment of {current.in_progress.release_to} to end")
            if waited > TURN_SECONDS:
                raise HookFailedError(
                    f"another deployment has been in progress for {TURN_SECONDS / 60:g} minutes; `lockstep status` "
                    "shows which, `lockstep settle` ends it if it was broken off"
                )
            self.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    def _forward_or_back(
        self, record: DeploymentRecord, before: FleetFacts, release: str, version: int, lease: Lease
    ) -> None:
        site = self.config.site.name
        roll = SiteRoll(self._fleet, release, version, say, sleep=self.sleep)
        try:
            roll.start(self._fleet.facts())
            roll.wait()
            lease.check()
        except RollFailedError as error:
            record = record.undo(str(error))
            self._write(record)
            had = (record.in_progress.sites_from[site] if record.in_progress else None) or "nothing"
            try:
                return_to(self._fleet, had, before.version, say, sleep=self.sleep)
            except RollFailedError as stuck:
                raise HookFailedError(f"{error}; and it can't go back: {stuck}. Run `lockstep settle`") from stuck
            self._write(record.undone(now_text()))
            raise HookFailedError(
                f"{error}; {site} serves {had} as before. Write {had} into Pulumi.yaml and run this again; "
                f"`lockstep deploy {release}` tries the release once more, in every site"
            ) from error
        self._write(record.settle(release, now_text()))

    def _in_progress(self, record: DeploymentRecord, facts: FleetFacts, release: str) -> InProgress:
        site = self.config.site.name
        running = facts.releases
        had = next(iter(running)) if len(running) == 1 else record.sites.get(site)
        return InProgress(
            id=f"pulumi-up-{site}-{datetime.now(UTC).strftime('%Y%m%d%H%M%S')}",
            release_to=release,
            release_from=had,
            sites_from={site: had},
            versions_from={site: facts.version},
            started_at=now_text(),
            holder=this_holder(),
            stage=Stage.ROLLING,
        )

    def _lease(self, release: str) -> Lease:
        """On this site's own bucket: a deployment holds all of them, so that the two exclude each other."""
        region = self.config.site.region
        account = aws.account_id(self.client, [region])
        bucket = package_bucket_name(self.config.application, account, region)
        command = f"pulumi up -s {self.config.site.name} (release {release})"
        return Lease(self.client, {region: bucket}, Holder.this_process(command))

    def _note(self, release: str) -> None:
        """Write down that this site runs `release`, if the record doesn't say so."""
        site = self.config.site.name
        if self._current().sites.get(site) == release:
            return

        def settle(record: DeploymentRecord) -> DeploymentRecord:
            others = {each.name: None for each in self.config.sites if each.name not in record.sites}
            with_all = record.model_copy(update={"sites": {**others, **record.sites}})
            return with_all.settle(release, now_text(), [site])

        self._change(settle)
