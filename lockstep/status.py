"""What every site wants and runs, and what that means. Reads only; what a region doesn't say is part of the answer.

Rule: each thing is asked for by itself, so that one service that fails hides nothing but its own part; and what isn't
known is a problem, never "fine".
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lockstep.config.models import Site
from lockstep.deployment.context import Context
from lockstep.deployment_record import DeploymentRecord, InProgress, newest
from lockstep.drain_switch import DrainSwitch, SwitchFacts
from lockstep.errors import ExitCode, LockstepError, RegionUnreachableError
from lockstep.fleet import FleetFacts
from lockstep.lease import Found, peek
from lockstep.regions import FailureKind, RegionFailure, in_every_region
from lockstep.site_probe import ProbeResult, SiteProbe
from lockstep.topology_record import TopologyRecord, topology_store
from lockstep.topology_record import newest as newest_topology
from lockstep.traffic import SiteTraffic, Wanted
from lockstep.traffic import judge as judge_traffic
from lockstep.traffic import read as read_traffic

REQUESTS = 4
REQUEST_SECONDS = 3.0
# What stands for all that isn't the health path: every checker looks at that path alone.
PAGE = "/"
PAGE_REQUESTS = 2
# An application needs no page there, nor need one name its release.
_NO_FAILURE = re.compile(r"HTTP 4\d\d\b|an answer without the header ")

Result = TypeVar("Result")


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


class Part(StrEnum):
    """What a region is asked for."""

    FLEET = "fleet"
    RECORD = "record"
    LEASE = "lease"
    TOPOLOGY = "topology"
    SWITCH = "switch"

    @property
    def unknown(self) -> str:
        """What isn't known without it."""
        return {
            Part.FLEET: "what it runs isn't known",
            Part.RECORD: "its record isn't known",
            Part.LEASE: "whether a deployment is at work isn't known",
            Part.TOPOLOGY: "its topology record isn't known",
            Part.SWITCH: "what the drain switch in its region was told isn't known",
        }[self]


@dataclass(frozen=True, kw_only=True)
class SiteStatus:
    """One site. `failures` has why a part isn't known; a part that is None without one isn't there.

    `url` is the health path at the site's own name, `answers` what was answered there, `requests` what at another path
    of it, if that was asked. `traffic` is its record in Route 53, None if that isn't known. `switch` is its own drain
    switch, which is in its peer's region, None if that one doesn't tell.
    """

    name: str
    region: str
    url: str
    weight: int
    wanted: str | None
    facts: FleetFacts | None
    record: DeploymentRecord | None
    answers: ProbeResult
    requests: ProbeResult = field(default_factory=ProbeResult)
    traffic: SiteTraffic | None = None
    lease: Found | None = None
    topology: TopologyRecord | None = None
    switch: SwitchFacts | None = None
    failures: Mapping[Part, RegionFailure] = field(default_factory=dict)

    @property
    def reachable(self) -> bool:
        """Whether its region has told anything."""
        return not {Part.FLEET, Part.RECORD} <= self.failures.keys()

    @property
    def absent(self) -> bool:
        """Whether its stack isn't up."""
        return self.facts is None and Part.FLEET not in self.failures

    @property
    def running(self) -> str | None:
        """The release that its serving instances run, joined by `+` where they differ; None if none serves."""
        found = sorted({instance.release or "unknown" for instance in (self.facts.serving if self.facts else ())})
        return "+".join(found) or None

    @property
    def failing_requests(self) -> dict[str, int]:
        """Those of `requests` that no user would call an answer, by their reason."""
        return {why: count for why, count in self.requests.failures.items() if not _NO_FAILURE.match(why)}

    @property
    def requests_asked(self) -> int:
        """How many `requests` there were."""
        return sum(self.requests.by_release.values()) + sum(self.requests.failures.values())

    def as_json(self, settled: str | None, topology: TopologyRecord) -> dict[str, Any]:
        """As data."""
        facts, switch = self.facts, self.switch
        return {
            "region": self.region,
            "reachable": self.reachable,
            "unknown": [part.value for part in Part if part in self.failures],
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
            "requests": {"path": PAGE, "asked": self.requests_asked, "failures": self.failing_requests}
            if self.requests_asked
            else None,
            "traffic": self.traffic.as_json() if self.traffic else None,
            "drained": self.name in topology.drained,
            "switch": {
                "state": switch.state,
                "drained": switch.drained,
                "at": switch.at.isoformat() if switch.at else None,
            }
            if switch
            else None,
        }


@dataclass(frozen=True, kw_only=True)
class Status:
    """All sites, the newest record, and what is wrong, a sentence for each."""

    sites: Mapping[str, SiteStatus]
    record: DeploymentRecord | None
    problems: tuple[str, ...]
    verdict: Verdict

    @property
    def topology(self) -> TopologyRecord:
        """Which sites are drained, as the newest record has it."""
        return newest_topology(site.topology for site in self.sites.values())

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
            "sites": {name: site.as_json(self.settled, self.topology) for name, site in self.sites.items()},
            "problems": list(self.problems),
        }


def look(context: Context) -> Status:
    """Ask every region and every site. Never raises for a region: what it doesn't say is a problem of the answer."""
    by_region = {site.region: site.name for site in context.sites}
    wanted = Wanted.of(context.config)
    with ThreadPoolExecutor(max_workers=4) as pool:
        asking = pool.submit(_ask, by_region, lambda region: context.fleets[by_region[region]].facts_if_up())
        reading = pool.submit(_ask, by_region, context.store.read)
        identifying = pool.submit(_why_no_account, context)
        routing = pool.submit(read_traffic, context.client, wanted)
    fleets, no_fleet = asking.result()
    records, no_record = reading.result()
    no_account = identifying.result()
    traffic = judge_traffic(routing.result(), wanted)
    # A region that has told nothing isn't waited for once more, and a site that isn't up has no bucket.
    silent = {region: failure for region, failure in no_fleet.items() if region in no_record}
    absent = {region for region, facts in fleets.items() if facts is None}
    to_ask = [region for region in by_region if region not in silent and region not in absent]
    leases: Mapping[str, Found | None] = {}
    if no_account is None:
        leases, no_lease = _ask(to_ask, lambda region: peek(context.client, context.buckets[region], region))
    else:
        no_lease = dict.fromkeys(to_ask, no_account)
    topologies, no_topology, switches, no_switch = _ask_about_drains(context, to_ask)
    # What keeps both records from being read is told once.
    twice = {
        region
        for region, failed in no_topology.items()
        if region in no_record and no_record[region].code == failed.code
    }
    failures = {
        Part.FLEET: no_fleet,
        Part.RECORD: no_record,
        Part.LEASE: {**silent, **no_lease},
        Part.TOPOLOGY: {**silent, **{region: each for region, each in no_topology.items() if region not in twice}},
        Part.SWITCH: {**silent, **no_switch},
    }
    answers, requests = _ask_names(context, [site for site in context.sites if not _is_empty(fleets.get(site.region))])
    sites = {}
    for site in context.sites:
        facts, probe = fleets.get(site.region), context.probes[site.name]
        sites[site.name] = SiteStatus(
            name=site.name,
            region=site.region,
            url=probe.url,
            weight=site.weight,
            wanted=site.release,
            facts=facts,
            record=records.get(site.region),
            lease=leases.get(site.region),
            topology=topologies.get(site.region),
            switch=switches.get(context.config.peer_of(site).region),
            failures={part: failed[site.region] for part, failed in failures.items() if site.region in failed},
            answers=answers.get(site.name, ProbeResult()),
            requests=requests.get(site.name, ProbeResult()),
            traffic=traffic.sites.get(site.name),
        )
    return judge(sites, traffic.problems)


def _ask_about_drains(
    context: Context, regions: Sequence[str]
) -> tuple[
    dict[str, TopologyRecord | None], dict[str, RegionFailure], dict[str, SwitchFacts], dict[str, RegionFailure]
]:
    """The topology record of each region, and the drain switch that is in it."""
    store = topology_store(context.client, context.application, context.regions)
    switches = {
        context.config.peer_of(site).region: DrainSwitch.of(context.client, context.config, site)
        for site in context.sites
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        reading = pool.submit(_ask, regions, store.read)
        asking = pool.submit(_ask, regions, lambda region: switches[region].facts())
    return *reading.result(), *asking.result()


def _is_empty(facts: FleetFacts | None) -> bool:
    return facts is not None and facts.desired == 0


def _ask_names(context: Context, sites: Sequence[Site]) -> tuple[dict[str, ProbeResult], dict[str, ProbeResult]]:
    """What sites answer at their own names, by site: to the health path, and to another one. All are asked at once."""
    pages = {
        site.name: SiteProbe(site.domain, PAGE, https=context.config.https)
        for site in sites
        if context.config.health_check.path != PAGE
    }
    with ThreadPoolExecutor(max_workers=2 * len(sites) or 1) as pool:
        checking = {site.name: context.probes[site.name] for site in sites}
        answers = {name: pool.submit(probe.check, REQUESTS, REQUEST_SECONDS) for name, probe in checking.items()}
        requests = {name: pool.submit(probe.check, PAGE_REQUESTS, REQUEST_SECONDS) for name, probe in pages.items()}
    return (
        {name: asked.result() for name, asked in answers.items()},
        {name: asked.result() for name, asked in requests.items()},
    )


def _ask(regions: Iterable[str], work: Callable[[str], Result]) -> tuple[dict[str, Result], dict[str, RegionFailure]]:
    """As `in_every_region`; what a region has and nobody can read is a failure of it too."""

    def ask(region: str) -> Result | RegionFailure:
        try:
            return work(region)
        except LockstepError as error:
            return _as_failure(region, error)

    answers, failures = in_every_region(regions, ask)
    for region, answer in answers.items():
        if isinstance(answer, RegionFailure):
            failures[region] = answer
    return {region: each for region, each in answers.items() if not isinstance(each, RegionFailure)}, failures


def _why_no_account(context: Context) -> RegionFailure | None:
    """Why nobody tells the account, and with it the buckets' names; None if it is known."""
    try:
        _ = context.account
    except LockstepError as error:
        return _as_failure("", error)
    return None


def _as_failure(region: str, error: LockstepError) -> RegionFailure:
    unreachable = isinstance(error, RegionUnreachableError)
    return RegionFailure(
        region=region,
        kind=FailureKind.UNREACHABLE if unreachable else FailureKind.REFUSED,
        code=type(error).__name__,
        text=error.message,
        remedy=error.remedy,
    )


def judge(sites: Mapping[str, SiteStatus], of_traffic: Sequence[str] = ()) -> Status:
    """What is wrong, and the verdict: pure. `of_traffic` is what is wrong with traffic, and with no site of its own."""
    record = newest(site.record for site in sites.values())
    topology = newest_topology(site.topology for site in sites.values())
    problems, verdict = [], Verdict.OK
    if record is not None and record.in_progress is not None:
        verdict, problem = _how_it_goes(record.in_progress, sites.values())
        problems += [problem] if problem else []
    for site in sites.values():
        found = _problems_of(site, record, topology, at_work=verdict is Verdict.IN_PROGRESS)
        problems += [f"{site.name}: {problem}" for problem in found]
    problems += [f"traffic: {problem}" for problem in of_traffic]
    if problems and verdict in (Verdict.OK, Verdict.IN_PROGRESS):
        verdict = Verdict.DEGRADED
    if sites and not any(site.reachable for site in sites.values()):
        verdict = Verdict.UNREACHABLE
    return Status(sites=sites, record=record, problems=tuple(problems), verdict=verdict)


def _how_it_goes(now: InProgress, sites: Iterable[SiteStatus]) -> tuple[Verdict, str]:
    """Whether somebody works on the deployment that the record has in progress, and what is wrong if that isn't sure.

    Whoever is at work holds the lease of every region, so that one region is enough to tell.
    """
    leases = [site for site in sites if not site.absent]
    if any(site.lease is not None and not site.lease.is_free for site in leases):
        return Verdict.IN_PROGRESS, ""
    if leases and all(Part.LEASE in site.failures for site in leases):
        return Verdict.IN_PROGRESS, (
            f"the deployment of {now.release_to} by {now.holder} isn't finished ({now.stage.value}), and whether it is "
            "still at work isn't known: `lockstep settle` finishes or undoes it, and refuses while it is"
        )
    return Verdict.INCOMPLETE, (
        f"the deployment of {now.release_to} was broken off while {now.stage.value}: run `lockstep settle`"
    )


def _problems_of(
    site: SiteStatus, record: DeploymentRecord | None, topology: TopologyRecord, *, at_work: bool
) -> list[str]:
    problems = _unknown(site) + list(site.traffic.problems if site.traffic else ())
    if site.absent:
        return [*problems, "it isn't up: run `lockstep up`"]
    problems += _problems_of_drains(site, topology)
    settled = (record.sites.get(site.name) or record.settled) if record else None
    others: frozenset[str | None] = frozenset()
    if site.facts is not None:
        others = site.facts.releases - {settled}
        problems += _problems_of_fleet(site, site.facts, settled, at_work=at_work)
    if record is not None and record.settled is not None and not at_work and site.wanted != record.settled:
        problems.append(
            f"config wants {site.wanted or 'no release'}, and {record.settled} is settled: "
            + (f"`lockstep deploy {site.wanted}`, or write" if site.wanted else "write")
            + f" {record.settled} into Pulumi.yaml"
        )
    if site.record != record and Part.RECORD not in site.failures:
        epochs = f"epoch {site.record.epoch if site.record else 0} of {record.epoch if record else 0}"
        problems.append(f"the record in {site.region} is behind ({epochs}): run `lockstep settle`")
    problems += _problems_of_answers(site, settled, others, at_work=at_work)
    return problems + _problems_of_requests(site, at_work=at_work)


def _problems_of_drains(site: SiteStatus, topology: TopologyRecord) -> list[str]:
    """Whether it is drained, and where the record, which says what is meant, and its switch don't agree."""
    drain, undrain = f"`lockstep drain {site.name}`", f"`lockstep undrain {site.name}`"
    problems, meant, switch = [], topology.drained.get(site.name), site.switch
    if meant is not None:
        problems.append(f"it is drained, since {meant.at} by {meant.by}: {undrain} lets traffic go back to it")
    if switch is not None:
        at = f"at {switch.at:%Y-%m-%dT%H:%M:%SZ}" if switch.at else ""
        if switch.state is None:
            problems.append(f"its drain switch is gone, so that {drain} does nothing: run `lockstep up`")
        elif meant is not None and (switch.drained is False or switch.at is None):
            # A switch that was told longer ago holds all the same, and is told again without harm.
            told = f"was told {at} to have it serve" if at else "was told nothing in the last two weeks"
            problems.append(f"it is drained on record, and its switch {told}: {drain} tells it again")
        elif meant is None and switch.drained:
            problems.append(
                f"its switch was told {at} to drain it, and no record says so: {undrain} lets traffic go back to it, "
                f"or {drain} puts it on record"
            )
    behind = site.topology or TopologyRecord()
    if behind != topology and Part.TOPOLOGY not in site.failures and Part.RECORD not in site.failures:
        again = next((f"`lockstep drain {name}`" for name in topology.drained), undrain)
        problems.append(
            f"the topology record in {site.region} is behind (epoch {behind.epoch} of {topology.epoch}): {again} "
            "writes it again"
        )
    return problems


def _unknown(site: SiteStatus) -> list[str]:
    """What isn't known, and why; a region that is down is said once."""
    failures = site.failures
    if not site.reachable and len({failure.kind for failure in failures.values()}) == 1:
        return [f"nothing is known of it: {_why(failures[Part.FLEET])}"]
    return [f"{part.unknown}: {_why(failures[part])}" for part in Part if part in failures]


def _why(failure: RegionFailure) -> str:
    return f"{failure.text}; {failure.remedy}" if failure.remedy else failure.text


def _problems_of_fleet(site: SiteStatus, facts: FleetFacts, settled: str | None, *, at_work: bool) -> list[str]:
    problems = []
    if settled is not None and facts.desired == 0:
        problems.append(
            f"its group {facts.group} wants 0 instances, and {settled} is on record: it serves nobody, and can't stand "
            f"in for another site. `pulumi up --refresh -s {site.name}` gives it its instances back"
        )
    if len(facts.serving) < facts.desired and not at_work:
        problems.append(
            f"{len(facts.serving)} of {facts.desired} instances serve: `aws autoscaling describe-scaling-activities "
            f"--region {site.region} --auto-scaling-group-name {facts.group}` says what Auto Scaling does about it"
        )
    if settled is not None and not at_work and (others := facts.releases - {settled}):
        problems.append(
            f"it runs {', '.join(sorted(release or 'an unknown release' for release in others))}, and {settled} is on "
            f"record: `lockstep deploy {settled}` brings every site back to it"
        )
    return problems


def _problems_of_answers(
    site: SiteStatus, settled: str | None, known: frozenset[str | None], *, at_work: bool
) -> list[str]:
    """What is wrong with the answers at its own name; `known` releases have been told as what its instances run."""
    answers, problems = site.answers, []
    failed, answered = sum(answers.failures.values()), sum(answers.by_release.values())
    if failed and not answered:
        if site.facts is None and settled is not None:
            problems.append(f"its own name doesn't answer: {answers.summary()}; `curl -i {site.url}`")
        elif site.facts is not None and site.facts.serving:
            problems.append(
                f"its instances are healthy, and its own name doesn't answer: {answers.summary()}; `curl -i {site.url}`"
            )
    elif failed and not at_work:
        problems.append(
            f"{failed} of {failed + answered} requests to its own name fail ({answers.summary()}), and so do its "
            f"users': `curl -i {site.url}`"
        )
    strange = set(answers.by_release) - {settled} - known
    if strange and settled is not None and not at_work:
        problems.append(
            f"its own name answers with {', '.join(sorted(strange))}, and {settled} is on record: something else than "
            f"its fleet gets its requests. `pulumi preview --refresh -s {site.name}` shows what was changed by hand"
        )
    return problems


def _problems_of_requests(site: SiteStatus, *, at_work: bool) -> list[str]:
    """What no checker sees: other requests fail while the health path answers. If that fails too, it has been told."""
    failing, asked = site.failing_requests, site.requests_asked
    failed = sum(failing.values())
    if not failed or not site.answers.by_release:
        return []
    # A deployment may cost a request, and what fails at the health path too is no gap.
    if failed < asked and (at_work or site.answers.failures):
        return []
    url = urlsplit(site.url)
    reasons = ", ".join(f"{count} failed ({why})" for why, count in sorted(failing.items()))
    return [
        f"its health path {url.path} answers, and {failed} of {asked} requests to {PAGE} fail ({reasons}): Route 53 "
        "and its balancer look at the health path alone, so that nothing takes traffic off it. Have the health path "
        "fail when the application can't serve, or `lockstep deploy` another release; "
        f"`curl -i {url.scheme}://{url.netloc}{PAGE}` shows it"
    ]
