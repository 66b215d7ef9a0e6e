"""Takes a site out of service by order, and has it back: the plan, and the work.

Rule: the record says first what is meant, then the switch is told until traffic has followed. Only the region that
holds the switch is needed, which is never the site's own; Route 53's API isn't. Nothing is put back when it is broken
off: the same command goes on, and the other one undoes it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.config import Config
from lockstep.config.models import RecordType, Site
from lockstep.drain_switch import DrainSwitch
from lockstep.errors import IncompleteError, InvalidInputError, RefusedError, UsageError
from lockstep.name_servers import NameServers, NoAnswerError
from lockstep.record_store import Client
from lockstep.regions import RegionFailure, as_error, classify, in_every_region
from lockstep.site_probe import ProbeResult, SiteProbe
from lockstep.topology_record import TopologyRecord, newest, topology_store

# What a switch is told, minute by minute, at the most: Route 53 may take as long to see it.
WRITE_SECONDS: Final = 180.0
POLL_SECONDS: Final = 5.0
# Of each other site, and of the name servers. 32 answers without a site of equal share are chance once in 4e9 times.
REQUESTS: Final = 3
REQUEST_SECONDS: Final = 3.0
QUESTIONS: Final = 32

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to become of `site`: drained, or in service."""

    site: str
    drained: bool

    @property
    def command(self) -> str:
        """What gives the order."""
        return f"lockstep {'drain' if self.drained else 'undrain'} {self.site}"

    @property
    def undo(self) -> str:
        """What takes it back."""
        return f"lockstep {'undrain' if self.drained else 'drain'} {self.site}"

    @property
    def alarm(self) -> str:
        """The state that the switch's alarm has then."""
        return "ALARM" if self.drained else "OK"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is so before: the records by region, why others can't be read, whether the switch is there, and what the
    other sites answer at their own names."""

    records: Mapping[str, TopologyRecord | None]
    unread: Mapping[str, RegionFailure]
    switch_state: str | None
    answers: Mapping[str, ProbeResult]

    @property
    def record(self) -> TopologyRecord:
        """The newest one."""
        return newest(self.records.values())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to be done: `record` is what will be on record, in `regions`, and not in `unread` ones."""

    order: Order
    record: TopologyRecord
    regions: tuple[str, ...]
    unread: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done. `followed` is whether the zone's name servers were seen to do so, None if they can't be asked."""

    plan: Plan
    region: str
    state: str
    followed: bool | None
    seconds: float
    unwritten: Mapping[str, RegionFailure] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As data."""
        order = self.plan.order
        return {
            "site": order.site,
            "result": "drained" if order.drained else "in service",
            "epoch": self.plan.record.epoch,
            "drained": sorted(self.plan.record.drained),
            "recorded_in": [region for region in self.plan.regions if region not in self.unwritten],
            "not_recorded_in": sorted({*self.plan.unread, *self.unwritten}),
            "switch": {"region": self.region, "state": self.state},
            "dns_followed": self.followed,
            "seconds": round(self.seconds, 1),
            "undo": order.undo,
        }


def order_of(config: Config, site: str, *, drained: bool) -> Order:
    """The order. Raises UsageError if there is no such site."""
    names = [each.name for each in config.sites]
    if site not in names:
        raise UsageError(f"no site is called {site!r}", f"one of {', '.join(names)}")
    return Order(site=site, drained=drained)


class Draining:
    """One order, for one application: what is asked, and what is done."""

    def __init__(
        self,
        client: Client,
        config: Config,
        order: Order,
        say: Say,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._order = order
        self._site = config.site_named(order.site)
        self._say = say
        self._sleep = sleep
        self._clock = clock
        self._switch = DrainSwitch.of(client, config, self._site)
        self._store = topology_store(client, config.application, [site.region for site in config.sites])
        self._servers = NameServers(config.zone)

    def look(self) -> Facts:
        """Ask every region for its record, the switch's for the switch, and the other sites.

        Raises RegionUnreachableError, or what else is the matter, if the switch's region can't be asked.
        """
        others = [site for site in self._config.sites if site != self._site]
        answers = {
            site.name: SiteProbe(site.domain, self._config.health_check.path, https=self._config.https).check(
                REQUESTS, REQUEST_SECONDS
            )
            for site in others
        }
        records, unread = self._store.read_all()
        states, failed = in_every_region([self._switch.region], lambda region: self._switch.state())
        needed = {region: failure for region, failure in {**unread, **failed}.items() if region == self._switch.region}
        if needed:
            raise as_error(needed, f"the drain switch of {self._order.site} is in that region; nothing was changed")
        return Facts(records=records, unread=unread, switch_state=states[self._switch.region], answers=answers)

    def plan(self, facts: Facts, at: str, by: str) -> Plan:
        """What will be done. Raises RefusedError if nobody would be left to serve, InvalidInputError if there is no
        switch.
        """
        return plan(self._config, self._order, self._switch, facts, at, by)

    def carry_out(self, plan: Plan) -> Outcome:
        """Write the record, and tell the switch until traffic is seen to follow, three minutes at the most.

        Raises IncompleteError if it hasn't, or the switch's region can't be told any more.
        """
        unwritten = self._store.write(plan.record, plan.regions)
        if self._switch.region in unwritten:
            raise as_error(unwritten, "the drain switch was not told")
        for region, failure in unwritten.items():
            self._say(f"the record isn't written in {region}: {failure.text}")
        self._check_still_ours(plan, [region for region in plan.regions if region not in unwritten])
        return self._tell(plan, unwritten)

    def _check_still_ours(self, plan: Plan, regions: Iterable[str]) -> None:
        """SSM has no conditional writes: of two who write at the same time, one is overwritten, and has to know."""
        records, _ = in_every_region(regions, self._store.read)
        strange = sorted(region for region, record in records.items() if record != plan.record)
        if strange:
            raise IncompleteError(
                f"the topology record in {', '.join(strange)} was written by somebody else at the same time; the drain "
                f"switch of {self._order.site} was not told",
                f"see what is drained: `lockstep status`; then run `{self._order.command}` again",
            )

    def _tell(self, plan: Plan, unwritten: Mapping[str, RegionFailure]) -> Outcome:
        begun = self._clock()
        # Only a change that is seen shows that Route 53 has read the data: a site that is red anyway isn't in DNS, and
        # one that was drained a moment ago may still be.
        seen_before = self._look_at_dns() is False
        state, seen, followed, failure = "", "", None, None
        while True:
            try:
                self._switch.write(drained=self._order.drained)
                state, failure = self._switch.state() or "gone", None
            except (BotoCoreError, ClientError) as error:
                failure = classify(self._switch.region, error)
                if not failure.may_pass:
                    break
            followed = self._look_at_dns()
            now = failure.text if failure else _told(state, followed)
            if now != seen:
                self._say(f"{self._clock() - begun:.0f} s: {now}")
                seen = now
            late = self._clock() - begun >= WRITE_SECONDS
            if late or (failure is None and state == self._order.alarm and seen_before and followed):
                break
            self._sleep(POLL_SECONDS)
        outcome = Outcome(
            plan=plan,
            region=self._switch.region,
            state=state,
            followed=followed,
            seconds=self._clock() - begun,
            unwritten=unwritten,
        )
        self._check(outcome, failure)
        return outcome

    def _look_at_dns(self) -> bool | None:
        """Whether the name servers do as ordered; None if they don't answer. A site that has come back may be red."""
        try:
            leads_there = self._leads_there()
        except NoAnswerError:
            return None
        return leads_there is not self._order.drained

    def _leads_there(self) -> bool:
        """Whether the application's name leads to the site. An alias gives its balancer's addresses, and no name."""
        if self._config.record_type is RecordType.CNAME:
            return self._site.domain in self._servers.targets(self._config.domain, QUESTIONS)
        own = self._servers.addresses(self._site.domain, QUESTIONS)
        return not own.isdisjoint(self._servers.addresses(self._config.domain, QUESTIONS))

    def _check(self, outcome: Outcome, failure: RegionFailure | None) -> None:
        """Raise if it isn't done."""
        again = f"run `{self._order.command}` again; `{self._order.undo}` takes it back"
        if failure is not None:
            raise IncompleteError(
                f"{failure.text}; it is on record, and the drain switch wasn't told for long enough", again
            )
        if outcome.state != self._order.alarm:
            raise IncompleteError(
                f"the alarm {self._switch.name} in {self._switch.region} is {outcome.state} after "
                f"{outcome.seconds:.0f} s, and not {self._order.alarm}: Route 53 hasn't been told",
                again,
            )
        if outcome.followed is False and self._order.drained:
            raise IncompleteError(
                f"{self._config.domain} still leads to {self._site.domain} after {outcome.seconds:.0f} s. Route 53 "
                "serves every site when none is healthy, and takes a site off only by its health check",
                f"`lockstep status` says what is wrong; {again}",
            )


def _told(state: str, followed: bool | None) -> str:
    dns = {None: "name servers don't answer", True: "DNS has followed", False: "DNS hasn't followed yet"}[followed]
    return f"the alarm is {state}; {dns}"


def plan(config: Config, order: Order, switch: DrainSwitch, facts: Facts, at: str, by: str) -> Plan:
    """What an order comes to: pure. Raises RefusedError or InvalidInputError if it can't be given."""
    if facts.switch_state is None:
        raise InvalidInputError(
            f"{order.site} has no drain switch: there is no alarm {switch.name} in {switch.region}; nothing was "
            "changed",
            "lockstep up",
        )
    before = facts.record
    record = before.drain(order.site, at, by) if order.drained else before.undrain(order.site)
    if order.drained:
        _check_others(config, order, record, facts)
    regions = tuple(site.region for site in config.sites if site.region not in facts.unread)
    return Plan(
        order=order,
        record=record,
        regions=regions,
        unread=tuple(facts.unread),
        lines=tuple(_lines(config, order, switch, before, facts)),
    )


def _check_others(config: Config, order: Order, record: TopologyRecord, facts: Facts) -> None:
    """Somebody has to serve: a site that isn't drained and answers at its own name."""
    others = {name: answers for name, answers in facts.answers.items() if name not in record.drained}
    if any(answers.by_release for answers in others.values()):
        return
    each = [f"{name} is drained" for name in facts.answers if name in record.drained]
    each += [f"{name} doesn't answer ({answers.summary()})" for name, answers in others.items()]
    raise RefusedError(
        f"{order.site} is the last site that serves: {'; '.join(each)}; nothing was changed",
        "see `lockstep status`, and whether this machine reaches the sites (LOCKSTEP_HTTP_PROXY names a proxy)",
    )


def _lines(config: Config, order: Order, switch: DrainSwitch, before: TopologyRecord, facts: Facts) -> Iterable[str]:
    site: Site = config.site_named(order.site)
    already = before.drained.get(order.site)
    if order.drained and already is not None:
        yield f"{order.site} is drained on record, since {already.at} by {already.by}: its switch is told once more"
    elif not order.drained and already is None:
        yield f"{order.site} isn't drained on record: its switch is told so once more"
    what = "off" if order.drained else "back to"
    yield (
        f"traffic goes {what} {order.site} ({site.region}): {switch.name} in {switch.region} is told, and Route 53 "
        f"follows. That takes 1 to 3 minutes, and {config.ttl} s more for what resolvers keep"
    )
    if order.drained:
        served = ", ".join(
            f"{name} ({answers.summary()})"
            for name, answers in facts.answers.items()
            if name not in before.drained and answers.by_release
        )
        yield f"what is left to serve: {served}"
        yield f"{order.site} stays out, healthy or not, until `{order.undo}`"
    for region, failure in facts.unread.items():
        yield f"the record isn't written in {region}: {failure.text}"
    yield f"to take it back: {order.undo}"
