"""What a deployment would do: from facts to a plan, without a call."""

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.deployment_record import DeploymentRecord, Fate, InProgress
from lockstep.errors import RefusedError, UsageError
from lockstep.fleet import FleetFacts


@dataclass(frozen=True, kw_only=True)
class SiteStart:
    """What a site has before: its release (None: nothing runs), its launch template's version and its capacity."""

    release: str | None
    version: int
    desired: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A deployment of `release`. `before` is what each site returns to if it fails, `release_before` what config gets
    back then; `leftover` is an earlier deployment that was never finished and is settled first."""

    release: str
    release_before: str | None
    before: Mapping[str, SiteStart]
    canary: str | None
    leftover: InProgress | None
    done: bool

    def lines(self, regions: Mapping[str, str], bake: int) -> list[str]:
        """The plan for a person."""
        if self.done:
            return [f"every site runs {self.release} already; nothing to do"]
        lines = []
        if self.leftover:
            lines.append(
                f"first: settle the deployment of {self.leftover.release_to} that began at {self.leftover.started_at} "
                f"and wasn't finished"
            )
        for site, start in self.before.items():
            had = start.release or "nothing"
            first = f", first one instance for {bake} s" if site == self.canary else ""
            lines.append(f"{site} ({regions[site]}): {had} -> {self.release}{first}")
        lines.append(
            f"if one site fails, every site returns to what it has now; config gets {self.release_before!r} back"
        )
        return lines


def plan_deployment(
    release: str, configured: str | None, facts: Mapping[str, FleetFacts], record: DeploymentRecord | None
) -> Plan:
    """What it takes to have every site run `release`; `configured` is what config wants now.

    The canary is at the first site that has instances to replace: a site without any has none to lose.
    """
    before = {site: _start(each, record.sites.get(site) if record else None) for site, each in facts.items()}
    leftover = record.in_progress if record else None
    settled = record.settled if record else None
    running = {start.release for start in before.values()}
    release_before = settled if record else (running.pop() if len(running) == 1 else None)
    done = (
        leftover is None
        and settled == release
        and configured == release
        and all(each.runs(release) for each in facts.values())
    )
    with_instances = [site for site, start in before.items() if start.desired > 0 and start.release != release]
    return Plan(
        release=release,
        release_before=release_before,
        before=before,
        canary=with_instances[0] if with_instances else None,
        leftover=leftover,
        done=done,
    )


def refuse_stale(wanted: str | None, configured: str | None, record: DeploymentRecord | None) -> str:
    """The release to deploy: the one that was asked for, else the one in config.

    Raises UsageError if there is neither, and RefusedError if config's is behind the record: nobody has said that it
    is meant, and the checkout may be a day old.
    """
    if wanted is not None:
        return wanted
    if configured is None:
        raise UsageError("Pulumi.yaml wants no release yet: say which", "lockstep deploy VERSION")
    if record is None or configured == record.settled:
        return configured
    fate = record.fate_of(configured)
    if fate is not None and fate.fate is Fate.REFUSED:
        raise RefusedError(
            f"release {configured}, which Pulumi.yaml wants, was rolled back at {fate.at} ({fate.reason}); nothing was "
            "changed",
            f"`lockstep deploy {configured}` tries it again",
        )
    if record.supersedes(configured):
        raise RefusedError(
            f"Pulumi.yaml wants release {configured}, and {record.settled}, which is newer, is settled: this checkout "
            "may be out of date; nothing was changed",
            f"`git pull`; or `lockstep deploy {configured}` if going back is what you want",
        )
    return configured


def refuse_another_release(wanted: str | None, record: DeploymentRecord | None) -> None:
    """Raise RefusedError if bringing the stacks up would roll the sites one by one, to another release or in the middle
    of a deployment: that is for `deploy`, which brings it to every site or to none."""
    if record is None:
        return
    if record.in_progress is not None:
        raise RefusedError(
            f"the deployment of {record.in_progress.release_to} that {record.in_progress.holder} began isn't finished; "
            "nothing was changed",
            "wait for it (`lockstep status`), or `lockstep settle` if it was broken off",
        )
    if record.settled is not None and wanted != record.settled:
        raise RefusedError(
            f"Pulumi.yaml wants release {wanted or 'none'}, and {record.settled} is settled; nothing was changed",
            f"`lockstep deploy {wanted}`" if wanted else f"write {record.settled} into Pulumi.yaml",
        )


def _start(facts: FleetFacts, recorded: str | None) -> SiteStart:
    """A site that runs several releases, because a roll was broken off, returns to the recorded one.

    The version is that of the instances with the release: the group's may have been changed by hand.
    """
    running = facts.releases
    release = next(iter(running)) if len(running) == 1 else recorded
    versions = [each.version for each in facts.serving if each.release == release]
    return SiteStart(release=release, version=max(versions, default=facts.version), desired=facts.desired)
