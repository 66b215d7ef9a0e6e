"""What must hold before a deployment begins. Nothing is changed by looking."""

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep import console, quotas
from lockstep.deployment.context import Context
from lockstep.deployment_record import DeploymentRecord, newest
from lockstep.errors import FailedUnchangedError, InvalidInputError, RefusedError
from lockstep.fleet import FleetFacts
from lockstep.publishing.check import ReleaseCheck, check_release
from lockstep.publishing.regions import open_buckets
from lockstep.regions import in_every_region, raise_for


@dataclass(frozen=True)
class Findings:
    """What every region says before a deployment."""

    facts: Mapping[str, FleetFacts]
    record: DeploymentRecord | None


def look(context: Context) -> Findings:
    """The fleets and the newest record. Raises InvalidInputError if a site isn't up, RegionUnreachableError if a region
    doesn't answer."""
    by_region = {site.region: site.name for site in context.sites}

    def ask(region: str) -> tuple[FleetFacts | None, DeploymentRecord | None]:
        return context.fleets[by_region[region]].facts_if_up(), context.store.read(region)

    answers, failures = in_every_region(context.regions, ask)
    raise_for(failures)
    missing = [by_region[region] for region, (facts, _) in answers.items() if facts is None]
    if missing:
        raise InvalidInputError(f"{', '.join(sorted(missing))} has no fleet yet: its stack isn't up", "lockstep up")
    found = {site.name: answers[site.region] for site in context.sites}
    return Findings(
        facts={name: facts for name, (facts, _) in found.items() if facts is not None},
        record=newest(record for _, record in found.values()),
    )


def check(context: Context, release: str) -> None:
    """Raise if `release` can't be deployed: what is missing or differs is named, region by region.

    InvalidInputError if it was never published or an image doesn't exist, FailedUnchangedError if what was published
    isn't whole any more, RefusedError if a region's quotas leave no room for a roll.
    """
    _check_images(context)
    quotas.check(context.client, context.config, console.warning, rolls_only=True)
    found = check_release(context.client, open_buckets(context.client, context.config), context.application, release)
    if found.problems:
        raise _unfit(release, found)


def _unfit(release: str, found: ReleaseCheck) -> InvalidInputError | FailedUnchangedError:
    listed = "\n".join(found.problems)
    if not found.published:
        return InvalidInputError(
            f"release {release} isn't published in any region; nothing was changed", f"lockstep publish {release} DIR"
        )
    return FailedUnchangedError(
        f"release {release} can't be deployed, as not every region has all of it; every site is as before:\n{listed}",
        f"`lockstep publish {release} DIR` completes what is missing; what was damaged has to be deleted first",
    )


def _check_images(context: Context) -> None:
    """The image that each site is configured with has to exist in its region."""
    wanted = {site.region: site.fleet.image for site in context.sites}

    def find(region: str) -> bool:
        answer = context.client("ec2", region).describe_images(
            Owners=["amazon"], Filters=[{"Name": "name", "Values": [wanted[region]]}], IncludeDeprecated=True
        )
        return bool(answer["Images"])

    answers, failures = in_every_region(wanted, find)
    raise_for(failures)
    lacking = sorted(region for region, there in answers.items() if not there)
    if lacking:
        each = "; ".join(f"{region} has no image {wanted[region]} of Amazon's" for region in lacking)
        raise InvalidInputError(f"{each}; nothing was changed", "set lockstep:fleet.image to one that every region has")


def check_sites_answer(context: Context, findings: Findings) -> None:
    """Raise RefusedError if a site that runs something doesn't answer at its own name now.

    What can't be asked before a deployment can't be verified after it.
    """
    silent = []
    for site, facts in findings.facts.items():
        if facts.serving:
            answers = context.probes[site].check(3, 5.0)
            if not answers.by_release:
                silent.append(f"{context.probes[site].url}: {answers.summary()}")
    if silent:
        raise RefusedError(
            "these sites have healthy instances, and don't answer at their own names from here, so that a release "
            f"couldn't be verified; nothing was changed:\n{chr(10).join(silent)}",
            "see `lockstep status`, and whether this machine reaches the sites (LOCKSTEP_HTTP_PROXY names a proxy)",
        )
