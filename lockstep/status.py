"""What every site wants and runs, and what that means. Reads only; a region that is silent is part of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lockstep.deployment.context import Context
from lockstep.deployment_record import DeploymentRecord, newest
from lockstep.errors import ExitCode
from lockstep.fleet import FleetFacts
from lockstep.lease import Found, peek
from lockstep.regions import RegionFailure, in_every_region
from lockstep.site_probe import ProbeResult

REQUESTS = 4
REQUEST_SECONDS = 3.0


class Verdict(StrEnum):
    """One word for all of it."""

    OK = "ok"
    IN_PROGRESS = "in progress"
    INCOMPLETE = "incomplete"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"

    @property
    def exit_code(self) -> ExitCode:
        """What `lockstep status` exits with."""
        return {
            Verdict.OK: ExitCode.DONE,
            Verdict.IN_PROGRESS: ExitCode.DONE,
            Verdict.INCOMPLETE: ExitCode.INCOMPLETE,
            Verdict.DEGRADED: ExitCode.DEGRADED,
            Verdict.UNREACHABLE: ExitCode.REGION_UNREACHABLE,
        }[self]


@dataclass(frozen=True, kw_only=True)
class SiteStatus:
    """One site. `facts` is None where it isn't up, or its region doesn't answer."""

    name: str
    region: str
    weight: int
    wanted: str | None
    facts: FleetFacts | None
    record: DeploymentRecord | None
    answers: ProbeResult
    lease: Found | None = None
    failure: RegionFailure | None = None

    @property
    def running(self) -> str | None:
        """The release that its serving instances run, joined by `+` where they differ; None if none serves."""
        found = sorted({instance.release or "unknown" for instance in (self.facts.serving if self.facts else ())})
        return "+".join(found) or None

    def as_json(self, settled: str | None) -> dict[str, Any]:
        """As data."""
        facts = self.facts
        return {
            "region": self.region,
            "reachable": self.failure is None,
            "release_wanted": self.wanted,
            "release_settled": settled,
            "release_running": self.running,
            "instances": len(facts.instances) if facts else None,
            "desired": facts.desired if facts else None,
            "healthy": len(facts.serving) if facts else None,
            "weight": self.weight,
            "refresh": facts.refresh.status if facts and facts.refresh and facts.refresh.active else None,
            "answers": dict(self.answers.by_release),
            "failures": dict(self.answers.failures),
        }


@dataclass(frozen=True, kw_only=True)
class Status:
    """All sites, the newest record, and what is wrong, a sentence for each."""

    sites: Mapping[str, SiteStatus]
    record: DeploymentRecord | None
    problems: tuple[str, ...]
    verdict: Verdict

    @property
    def settled(self) -> str | None:
        """The release that every site was last proved to run."""
        return self.record.settled if self.record else None

    def as_json(self) -> dict[str, Any]:
        """As data."""
        now = self.record.in_progress if self.record else None
        return {
            "verdict": self.verdict.value,
            "settled": self.settled,
            "in_progress": None
            if now is None
            else {"release": now.release_to, "stage": now.stage.value, "since": now.started_at, "holder": now.holder},
            "sites": {name: site.as_json(self.settled) for name, site in self.sites.items()},
            "problems": list(self.problems),
        }


def look(context: Context) -> Status:
    """Ask every region and every site. Never raises for a region: what it doesn't say is a problem of the answer."""
    by_region = {site.region: site for site in context.sites}

    def ask(region: str) -> tuple[FleetFacts | None, DeploymentRecord | None, Found | None]:
        site = by_region[region]
        facts = context.fleets[site.name].facts_if_up()
        lease = peek(context.client, context.buckets[region], region) if facts else None
        return facts, context.store.read(region), lease

    answers, failures = in_every_region(by_region, ask)
    sites = {}
    for site in context.sites:
        facts, record, lease = answers.get(site.region, (None, None, None))
        asked = facts is None or facts.desired > 0
        sites[site.name] = SiteStatus(
            name=site.name,
            region=site.region,
            weight=site.weight,
            wanted=site.release,
            facts=facts,
            record=record,
            lease=lease,
            failure=failures.get(site.region),
            answers=context.probes[site.name].check(REQUESTS, REQUEST_SECONDS) if asked else ProbeResult(),
        )
    return judge(sites)


def judge(sites: Mapping[str, SiteStatus]) -> Status:
    """What is wrong, and the verdict: pure."""
    record = newest(site.record for site in sites.values())
    problems, verdict = [], Verdict.OK
    now = record.in_progress if record else None
    if now is not None:
        at_work = any(site.lease is not None and not site.lease.is_free for site in sites.values())
        verdict = Verdict.IN_PROGRESS if at_work else Verdict.INCOMPLETE
        if not at_work:
            problems.append(
                f"the deployment of {now.release_to} was broken off while {now.stage.value}: run `lockstep settle`"
            )
    for site in sites.values():
        found = _problems_of(site, record, at_work=verdict is Verdict.IN_PROGRESS)
        problems += [f"{site.name}: {problem}" for problem in found]
        if found and verdict in (Verdict.OK, Verdict.IN_PROGRESS):
            verdict = Verdict.DEGRADED
    if sites and all(site.failure is not None for site in sites.values()):
        verdict = Verdict.UNREACHABLE
    return Status(sites=sites, record=record, problems=tuple(problems), verdict=verdict)


def _problems_of(site: SiteStatus, record: DeploymentRecord | None, *, at_work: bool) -> list[str]:
    if site.failure is not None:
        return [site.failure.text]
    if site.facts is None:
        return ["it isn't up: run `lockstep up`"]
    facts, problems = site.facts, []
    if len(facts.serving) < facts.desired and not at_work:
        problems.append(f"{len(facts.serving)} of {facts.desired} instances serve")
    settled = record.sites.get(site.name, record.settled) if record else None
    if settled is not None and not at_work and facts.releases - {settled}:
        others = ", ".join(sorted(str(release) for release in facts.releases - {settled}))
        problems.append(f"it runs {others}, and {settled} is on record")
    if record is not None and record.settled is not None and not at_work and site.wanted != record.settled:
        problems.append(f"config wants {site.wanted or 'no release'}, and {record.settled} is settled")
    if site.record != record:
        epochs = f"epoch {site.record.epoch if site.record else 0} of {record.epoch if record else 0}"
        problems.append(f"the record in {site.region} is behind ({epochs}): run `lockstep settle`")
    if facts.serving and not site.answers.by_release:
        problems.append(f"its instances are healthy, and its own name doesn't answer: {site.answers.summary()}")
    return problems
