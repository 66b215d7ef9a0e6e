"""Rolls the fleet of one site to a version of its launch template, and knows early when that goes wrong.

AWS does the work: an instance refresh with DesiredConfiguration, which launches before it terminates and changes the
group's template only when it has succeeded. What is watched is what AWS shows, never a clock: a refresh that AWS would
let run for an hour is given up as soon as an instance of the new version has failed for good.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.fleet import FleetFacts, Instance, Refresh, SiteFleet, describe
from lockstep.regions import RegionFailure, classify

Result = TypeVar("Result")
Say = Callable[[str, str], None]
"""`say(site, text)` tells the person who waits what has changed."""
Check = Callable[[], None]
"""Raises what ends the work if this process must change nothing more: its lease is lost, or it was told to end."""

POLL_SECONDS: Final = 1.0
# A refresh in which nothing at all moves for this long has hung: starting an instance takes minutes. Seconds.
STILL_SECONDS: Final = 1_800.0
# Requests to a region may fail for a moment; each has been tried three times by then.
UNANSWERED_MAX: Final = 3
# The first launch that fails may find room in another zone the next time.
LAUNCHES_FAILED_MAX: Final = 2
# Seconds that an instance serves before the next one is replaced.
WARM_UP: Final = 30
# CloudWatch API Reference, MetricAlarm, "StateValue".
RINGING: Final = "ALARM"


class RollFailedError(Exception):
    """A site doesn't run the version; `reason` says why, in one sentence.

    `blames` tells whether the release is at fault: what AWS refuses, or a region can't do, says nothing of it.
    """

    def __init__(self, site: str, reason: str, *, blames: bool = True) -> None:
        super().__init__(f"{site}: {reason}")
        self.site = site
        self.reason = reason
        self.blames = blames


class RegionLostError(RollFailedError):
    """The region of a site stopped answering while it was watched."""

    def __init__(self, site: str, failure: RegionFailure) -> None:
        super().__init__(site, failure.text, blames=False)
        self.failure = failure


class StoppedError(Exception):
    """Whoever waits has asked to stop."""


def preferences(
    instances: int, *, bake: int | None = None, forward: bool = True, alarms: Sequence[str] = ()
) -> dict[str, Any]:
    """How a group of `instances` is rolled; with `bake` seconds, one instance comes first and is waited for.

    The refresh fails as soon as one of `alarms` rings.

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
    if alarms:
        wanted["AlarmSpecification"] = {"Alarms": list(alarms)}
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

    def note(self, facts: FleetFacts, failed_launches: Sequence[str]) -> None:
        """Take in one poll."""
        present = {each.id: each for each in facts.instances}
        for instance_id, last in self.seen.items():
            now = present.get(instance_id)
            if now is None or now.is_leaving:
                raise RollFailedError(
                    self.site,
                    f"instance {instance_id} of {self.release} was replaced as unhealthy; it was last {_last(last)}",
                )
        for instance in facts.instances:
            is_new = instance.version == self.version and instance.id not in self.known
            if is_new and not instance.is_leaving:
                self.seen[instance.id] = instance
        if len(failed_launches) >= LAUNCHES_FAILED_MAX:
            raise RollFailedError(self.site, f"instances can't be launched: {failed_launches[0]}", blames=False)

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


def _unchecked() -> None:
    """Nothing can forbid it."""


class SiteRoll:
    """One roll of one site, or the wait for instances that a group starts by itself.

    `stop()` is asked before anything is changed and at each poll; when it is true StoppedError is raised. What it
    raises itself ends the work too.
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
        self._refresh_id: str | None = None
        # Launches that had failed before are somebody else's. By their ids: this machine's clock isn't AWS's.
        self._failed_before: frozenset[str] | None = None

    @property
    def site(self) -> str:
        """The site that is rolled."""
        return self._fleet.site

    def start(self, facts: FleetFacts, *, bake: int | None = None, forward: bool = True) -> None:
        """Start the refresh; `bake` and `forward` as in `preferences`."""
        self._watch.known = frozenset(instance.id for instance in facts.instances)
        self._failed_before = frozenset(self._asked(partial(self._fleet.failed_launches, facts)))
        # What goes back goes back, whatever rings: that may be why.
        alarms = self._silent_alarms() if forward else []
        how = preferences(facts.desired, bake=bake, forward=forward, alarms=alarms)
        self._go_on()
        try:
            self._refresh_id = self._fleet.start_refresh(facts, self._watch.version, how)
        except ClientError as error:
            # Sent again by botocore, as the first answer was lost, the request meets what it has begun.
            now = self._asked(self._fleet.facts).refresh
            if error.response["Error"]["Code"] != "InstanceRefreshInProgress" or now is None:
                raise
            if not now.goes_to(self._watch.version):
                raise
            self._refresh_id = now.id

    def _silent_alarms(self) -> list[str]:
        """The alarms that may end the roll.

        One that rings already would end it at once (EC2 Auto Scaling User Guide, "Start an instance refresh with auto
        rollback"), and what is rolled may be its cure.
        """
        found = self._asked(self._fleet.alarms)
        for name, state in found.items():
            if state == RINGING:
                self._say(self.site, f"alarm {name} rings already, and won't end this roll")
        return sorted(name for name, state in found.items() if state != RINGING)

    def adopt(self, refresh: Refresh, facts: FleetFacts) -> None:
        """Go on with a refresh to the version that somebody has started who could not finish it."""
        self._watch.known = frozenset(instance.id for instance in facts.instances)
        self._refresh_id = refresh.id

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
        said, stillness = "", _Stillness(self._clock)
        while True:
            self._go_on()
            facts = self._asked(self._fleet.facts)
            failed = self._asked(partial(self._fleet.failed_launches, facts))
            if self._failed_before is None:
                self._failed_before = frozenset(failed)
            self._judge(facts, [text for activity, text in failed.items() if activity not in self._failed_before])
            if (line := self._watch.progress(facts)) != said:
                said = line
                self._say(self.site, line)
            if done(facts):
                return
            if stillness.lasts(facts):
                raise RollFailedError(
                    self.site,
                    f"nothing has changed for {STILL_SECONDS / 60:g} minutes: {facts.shortfall(self._watch.release)}",
                )
            self._sleep(POLL_SECONDS)

    def _asked(self, ask: Callable[[], Result]) -> Result:
        return _patiently(self._fleet, ask, self._go_on, self._sleep)

    def _go_on(self) -> None:
        if self._stop():
            raise StoppedError

    def _judge(self, facts: FleetFacts, failed_launches: Sequence[str]) -> None:
        refresh = facts.refresh
        if self._refresh_id is not None and refresh is not None:
            if refresh.id != self._refresh_id:
                # One that has ended is an earlier one: what was just started may not be listed yet.
                if refresh.active:
                    taken = f"another instance refresh, {refresh.id}, has taken its place"
                    raise RollFailedError(self.site, taken, blames=False)
            elif refresh.has_failed:
                reason = f" ({refresh.reason})" if refresh.reason else ""
                # Nobody but a person cancels it.
                blames = refresh.status not in ("Cancelling", "Cancelled")
                raise RollFailedError(self.site, f"its instance refresh is {refresh.status}{reason}", blames=blames)
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
                return RollFailedError(self.site, f"{error.reason}. Its console ends: {said}", blames=error.blames)
        return error


class _Stillness:
    """Tells when nothing at all has changed for too long."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: FleetFacts | None = None
        self._moved = clock()

    def lasts(self, facts: FleetFacts) -> bool:
        """Take in one poll; whether the facts have been the same for STILL_SECONDS."""
        if facts != self._last:
            self._last, self._moved = facts, self._clock()
        return self._clock() - self._moved > STILL_SECONDS


def _patiently(fleet: SiteFleet, ask: Callable[[], Result], check: Check, sleep: Callable[[float], None]) -> Result:
    """What `ask` returns; a region that doesn't answer is asked again, UNANSWERED_MAX times in all.

    Raises RollFailedError for what AWS refuses, RegionLostError if there is no answer.
    """
    for attempt in count(1):
        try:
            return ask()
        except (BotoCoreError, ClientError) as error:
            failure = classify(fleet.region, error)
            if not failure.may_pass:
                raise RollFailedError(fleet.site, failure.text, blames=False) from error
            if attempt == UNANSWERED_MAX:
                raise RegionLostError(fleet.site, failure) from error
        sleep(POLL_SECONDS)
        check()
    raise AssertionError("unreachable")


def return_to(
    fleet: SiteFleet,
    release: str,
    version: int,
    say: Say,
    *,
    check: Check = _unchecked,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Bring a site back to `release`, started from `version` of its template, whatever it is at now.

    A refresh that moves to another version is rolled back by AWS; one that AWS can't roll back is cancelled; and what
    is left of another version is replaced by a second refresh. If that one moves already, because whoever started it
    was killed, it goes on: AWS would "roll it back" to the version that the site has to leave. Does nothing if the site
    runs the release. `check` is called before anything is changed and at each poll. Raises RollFailedError.
    """
    facts = end_refresh(fleet, say, keep=version, check=check, sleep=sleep, clock=clock)
    if facts.version != version and facts.is_empty:
        check()
        fleet.use_version(facts, version)

    def stop() -> bool:
        check()
        return False

    roll = SiteRoll(fleet, release, version, say, stop=stop, sleep=sleep, clock=clock)
    if facts.refresh and facts.refresh.active:
        say(fleet.site, "its instance refresh back is under way already")
        roll.adopt(facts.refresh, facts)
        roll.wait()
    elif any(each.version != version and not each.is_leaving for each in facts.instances):
        roll.start(facts, forward=False)
        roll.wait()
    elif facts.desired > 0:
        roll.wait_for_group()


def end_refresh(
    fleet: SiteFleet,
    say: Say,
    *,
    keep: int | None = None,
    check: Check = _unchecked,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> FleetFacts:
    """Have the active refresh of a site end, if there is one: rolled back where AWS can, else cancelled.

    One that goes to version `keep` is left alone. Returns the facts once that is so.
    """
    said, asked, stillness = "", False, _Stillness(clock)
    while True:
        check()
        facts = _patiently(fleet, fleet.facts, check, sleep)
        refresh = facts.refresh
        if refresh is None or not refresh.active or (keep is not None and refresh.goes_to(keep)):
            return facts
        if not asked:
            asked = True
            check()
            _ask_to_end(fleet, facts, say)
        line = f"refresh {refresh.status}, {len(facts.serving)} of {facts.desired} instances serve"
        if line != said:
            said = line
            say(fleet.site, line)
        if stillness.lasts(facts):
            raise RollFailedError(
                fleet.site, f"its instance refresh has been {refresh.status} for {STILL_SECONDS / 60:g} minutes"
            )
        sleep(POLL_SECONDS)


def _ask_to_end(fleet: SiteFleet, facts: FleetFacts, say: Say) -> None:
    assert facts.refresh is not None
    if facts.refresh.is_ending:
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
    if now is not None and now.active and not now.is_ending:
        fleet.cancel(facts)
