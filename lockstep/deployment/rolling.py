"""Rolls the fleet of one site to a version of its launch template, and knows early when that goes wrong.

AWS does the work: an instance refresh with DesiredConfiguration, which launches before it terminates and changes the
group's template only when it has succeeded. What is watched is what AWS shows, never a clock: a refresh that AWS would
let run for an hour is given up as soon as an instance of the new version has failed for good.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.fleet import GOING_BACK, FleetFacts, Instance, SiteFleet, describe
from lockstep.regions import RegionFailure, classify

Say = Callable[[str, str], None]
"""`say(site, text)` tells the person who waits what has changed."""

POLL_SECONDS: Final = 1.0
# A refresh in which nothing at all moves for this long has hung: starting an instance takes minutes. Seconds.
STILL_SECONDS: Final = 1_800.0
# Requests to a region may fail for a moment; each has been tried three times by then.
UNANSWERED_MAX: Final = 3
# The first launch that fails may find room in another zone the next time.
LAUNCHES_FAILED_MAX: Final = 2
# Seconds that an instance serves before the next one is replaced.
WARM_UP: Final = 30


class RollFailedError(Exception):
    """A site doesn't run the version; `reason` says why, in one sentence."""

    def __init__(self, site: str, reason: str) -> None:
        super().__init__(f"{site}: {reason}")
        self.site = site
        self.reason = reason


class RegionLostError(RollFailedError):
    """The region of a site stopped answering while it was watched."""

    def __init__(self, site: str, failure: RegionFailure) -> None:
        super().__init__(site, failure.text)
        self.failure = failure


class StoppedError(Exception):
    """Whoever waits has asked to stop."""


def preferences(instances: int, *, bake: int | None = None, forward: bool = True) -> dict[str, Any]:
    """How a group of `instances` is rolled; with `bake` seconds, one instance comes first and is waited for.

    Launch before terminate, so that no request is lost to a missing instance; `forward`, AWS rolls back by itself if
    the refresh fails. A checkpoint can't be the whole group: for one instance the bake time at the end stands for it.
    """
    wanted: dict[str, Any] = {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 200,
        "InstanceWarmup": WARM_UP,
        "AutoRollback": forward,
        "SkipMatching": True,
    }
    if bake is None:
        return wanted
    if instances == 1:
        return {**wanted, "BakeTime": bake}
    return {**wanted, "CheckpointPercentages": [canary_percentage(instances), 100], "CheckpointDelay": bake}


def canary_percentage(instances: int) -> int:
    """The checkpoint that one of `instances` reaches, in percent."""
    return max(1, 100 // instances)


@dataclass
class Watch:
    """What has been seen of one site's roll to `release`, from poll to poll; `version` is the launch template's.

    `known` instances were there before it began: they may go, whatever they run.

    Judging is pure: `note` takes the facts of one poll and raises RollFailedError when they mean that it failed.
    """

    site: str
    release: str
    version: int
    known: frozenset[str] = frozenset()
    seen: dict[str, Instance] = field(default_factory=dict)

    def note(self, facts: FleetFacts, failed_launches: list[str]) -> None:
        """Take in one poll."""
        present = {each.id: each for each in facts.instances}
        for instance_id, last in self.seen.items():
            now = present.get(instance_id)
            if now is None or now.lifecycle.startswith("Terminat"):
                raise RollFailedError(
                    self.site,
                    f"instance {instance_id} of {self.release} was replaced as unhealthy; it was last {_last(last)}",
                )
        for instance in facts.instances:
            is_new = instance.version == self.version and instance.id not in self.known
            if is_new and not instance.lifecycle.startswith("Terminat"):
                self.seen[instance.id] = instance
        if len(failed_launches) >= LAUNCHES_FAILED_MAX:
            raise RollFailedError(self.site, f"instances can't be launched: {failed_launches[0]}")

    def served(self, facts: FleetFacts) -> int:
        """How many instances of the version serve."""
        return sum(each.version == self.version for each in facts.serving)

    def progress(self, facts: FleetFacts) -> str:
        """One line for a person."""
        refresh = facts.refresh
        how = f", refresh {refresh.status} at {refresh.percentage} %" if refresh and refresh.active else ""
        return f"{self.served(facts)} of {facts.desired} instances serve {self.release}{how}"


def _last(instance: Instance) -> str:
    return "serving" if instance.serves else describe(instance)


Until = Callable[[FleetFacts], bool]


class SiteRoll:
    """One roll of one site, or the wait for instances that a group starts by itself.

    `stop()` is asked at each poll; when it is true StoppedError is raised.
    """

    def __init__(
        self,
        fleet: SiteFleet,
        release: str,
        version: int,
        say: Say,
        *,
        stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = fleet
        self._watch = Watch(fleet.site, release, version)
        self._say = say
        self._stop = stop
        self._sleep = sleep
        self._clock = clock
        self._since = datetime.now(UTC)
        self._refresh_id: str | None = None

    @property
    def site(self) -> str:
        """The site that is rolled."""
        return self._fleet.site

    def start(self, facts: FleetFacts, *, bake: int | None = None, forward: bool = True) -> None:
        """Start the refresh; `bake` and `forward` as in `preferences`."""
        self._watch.known = frozenset(instance.id for instance in facts.instances)
        how = preferences(facts.desired, bake=bake, forward=forward)
        self._refresh_id = self._fleet.start_refresh(facts, self._watch.version, how)

    def wait_for_canary(self, instances: int, each_poll: Callable[[bool], None]) -> None:
        """Wait until the refresh has gone past its first instance, or has succeeded.

        `each_poll(serves)` is called at each poll with whether the first instance serves; it may raise
        RollFailedError. Raises RollFailedError when the roll fails, StoppedError when asked to stop.
        """
        checkpoint = canary_percentage(instances)

        def past(facts: FleetFacts) -> bool:
            serves = self._watch.served(facts) > 0
            each_poll(serves)
            refresh = facts.refresh
            if refresh is None or refresh.id != self._refresh_id:
                return False
            beyond = instances > 1 and (len(self._watch.seen) > 1 or refresh.percentage > checkpoint)
            return refresh.status == "Successful" or (serves and beyond)

        self._wait(past)

    def wait(self) -> None:
        """Wait until the refresh has succeeded and every instance serves the release."""
        self._wait(lambda facts: self._succeeded(facts) and facts.runs(self._watch.release))

    def wait_for_group(self) -> None:
        """Wait until a group that was given instances, without a refresh, serves the release with all of them."""
        self._wait(lambda facts: facts.runs(self._watch.release))

    def _succeeded(self, facts: FleetFacts) -> bool:
        return facts.refresh is not None and facts.refresh.id == self._refresh_id and not facts.refresh.active

    def _wait(self, done: Until) -> None:
        said, moved, unanswered = "", self._clock(), 0
        last: FleetFacts | None = None
        while True:
            if self._stop():
                raise StoppedError
            try:
                facts = self._fleet.facts()
                failed = self._fleet.failed_launches(facts, self._since)
                unanswered = 0
            except (BotoCoreError, ClientError) as error:
                unanswered += 1
                self._give_up_on(error, unanswered)
                self._sleep(POLL_SECONDS)
                continue
            self._judge(facts, failed)
            if (line := self._watch.progress(facts)) != said:
                said = line
                self._say(self.site, line)
            if done(facts):
                return
            if facts != last:
                last, moved = facts, self._clock()
            elif self._clock() - moved > STILL_SECONDS:
                raise RollFailedError(
                    self.site,
                    f"nothing has changed for {STILL_SECONDS / 60:g} minutes: {facts.shortfall(self._watch.release)}",
                )
            self._sleep(POLL_SECONDS)

    def _give_up_on(self, error: BotoCoreError | ClientError, unanswered: int) -> None:
        """Raise unless the error may pass."""
        failure = classify(self._fleet.region, error)
        if not failure.may_pass:
            raise RollFailedError(self.site, failure.text) from error
        if unanswered >= UNANSWERED_MAX:
            raise RegionLostError(self.site, failure) from error

    def _judge(self, facts: FleetFacts, failed_launches: list[str]) -> None:
        refresh = facts.refresh
        if self._refresh_id is not None and refresh is not None:
            if refresh.id != self._refresh_id:
                raise RollFailedError(self.site, f"another instance refresh, {refresh.id}, has taken its place")
            if refresh.has_failed:
                reason = f" ({refresh.reason})" if refresh.reason else ""
                raise RollFailedError(self.site, f"its instance refresh is {refresh.status}{reason}")
        try:
            self._watch.note(facts, failed_launches)
        except RollFailedError as error:
            raise self._with_console(error) from None

    def _with_console(self, error: RollFailedError) -> RollFailedError:
        """The error, and what the console of the newest instance of the version says, if EC2 tells."""
        for instance_id in reversed(self._watch.seen):
            try:
                said = self._fleet.console_tail(instance_id)
            except (BotoCoreError, ClientError):
                return error
            if said:
                return RollFailedError(self.site, f"{error.reason}. Its console ends: {said}")
        return error


def return_to(
    fleet: SiteFleet,
    release: str,
    version: int,
    say: Say,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Bring a site back to `release`, started from `version` of its template, whatever it is at now.

    A refresh that moves is rolled back by AWS; one that AWS can't roll back is cancelled; and what is left of another
    version is replaced by a second refresh. Does nothing if the site runs it. Raises RollFailedError.
    """
    facts = fleet.facts()
    if facts.refresh and facts.refresh.active:
        _end_refresh(fleet, facts, say)
        facts = _settled(fleet, say, sleep, clock)
    if facts.version != version and not facts.instances:
        fleet.use_version(facts, version)
    roll = SiteRoll(fleet, release, version, say, sleep=sleep, clock=clock)
    if any(each.version != version for each in facts.instances):
        roll.start(facts, forward=False)
        roll.wait()
    elif facts.desired > 0:
        roll.wait_for_group()


def end_refresh(
    fleet: SiteFleet,
    say: Say,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Have the active refresh of a site end, if there is one: rolled back where AWS can, else cancelled."""
    facts = fleet.facts()
    if facts.refresh and facts.refresh.active:
        _end_refresh(fleet, facts, say)
        _settled(fleet, say, sleep, clock)


def _end_refresh(fleet: SiteFleet, facts: FleetFacts, say: Say) -> None:
    assert facts.refresh is not None
    if facts.refresh.status in (GOING_BACK, "Cancelling"):
        return
    say(fleet.site, "asked its instance refresh to roll back")
    try:
        fleet.roll_back(facts)
        return
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ActiveInstanceRefreshNotFound":
            return
        if code != "IrreversibleInstanceRefresh":
            raise
    # AWS may have begun to roll back by itself meanwhile, and would say the same.
    now = fleet.facts().refresh
    if now is not None and now.active and now.status != GOING_BACK:
        fleet.cancel(facts)


def _settled(fleet: SiteFleet, say: Say, sleep: Callable[[float], None], clock: Callable[[], float]) -> FleetFacts:
    """The facts once no refresh moves any more."""
    said, moved = "", clock()
    last: FleetFacts | None = None
    while True:
        facts = fleet.facts()
        if not (facts.refresh and facts.refresh.active):
            return facts
        line = f"refresh {facts.refresh.status}, {len(facts.serving)} of {facts.desired} instances serve"
        if line != said:
            said = line
            say(fleet.site, line)
        if facts != last:
            last, moved = facts, clock()
        elif clock() - moved > STILL_SECONDS:
            raise RollFailedError(
                fleet.site, f"its instance refresh has been {facts.refresh.status} for {STILL_SECONDS / 60:g} minutes"
            )
        sleep(POLL_SECONDS)
