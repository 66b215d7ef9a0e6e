"""What an instance refresh does next: decided from facts alone, without a clock, a group or an effect.

Rules: EC2 Auto Scaling User Guide, "How an instance refresh works" and "Add checkpoints to an instance refresh"; API
Reference, RefreshPreferences.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """What an instance is to a refresh: to be replaced, a replacement, or none of its business."""

    OLD = "old"
    NEW = "new"
    KEPT = "kept"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance in service.

    `ready`: its health checks pass, those of its balancers included. `warm`: it has been in service for the warm-up
    time. `held`: it is protected from scale-in, and the refresh respects that.
    """

    id: str
    part: Part
    ready: bool = True
    warm: bool = True
    held: bool = False

    @property
    def serves(self) -> bool:
        """Whether it counts for the minimum healthy percentage; a replacement does when it is warm."""
        return self.ready and (self.warm or self.part is not Part.NEW)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How many instances must serve, and how many there may be, those that start included."""

    least: int
    most: int


def bounds(desired: int, low: int, high: int | None) -> Bounds:
    """The bounds that the minimum and maximum healthy percentage set for `desired` instances.

    The minimum is rounded up. Without a maximum, an instance ends while its replacement starts, at least one at a time;
    with one that leaves no room, one instance is launched before another ends (RefreshPreferences,
    MaxHealthyPercentage).
    """
    least = math.ceil(desired * low / 100)
    if high is None:
        return Bounds(least=max(0, min(least, desired - 1)), most=desired)
    return Bounds(least=least, most=max(math.floor(desired * high / 100), least + 1))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A group under refresh at one moment.

    `instances` are those in service, in the order of their launch; `leaving` counts those on their way out.
    `checkpoints` are percentages, `checkpoint` the index of the one that is worked for or waited at, `waited` for how
    many seconds, None if it wasn't reached before; `delay` in seconds.
    """

    desired: int
    bounds: Bounds
    instances: tuple[Instance, ...]
    leaving: int = 0
    checkpoints: tuple[int, ...] = ()
    checkpoint: int = 0
    waited: float | None = None
    delay: float = 0.0

    def of(self, part: Part) -> list[Instance]:
        """The instances that are `part` of it."""
        return [each for each in self.instances if each.part is part]

    @property
    def share(self) -> int:
        """How many instances the refresh is about: the group's size without those that are kept."""
        return max(0, self.desired - len(self.of(Part.KEPT)))

    @property
    def updated(self) -> int:
        """How many replacements are healthy and warm."""
        return sum(each.serves for each in self.of(Part.NEW))

    @property
    def left(self) -> int:
        """How many instances have no replacement yet, ready or not."""
        return max(0, self.share - len(self.of(Part.NEW)))

    @property
    def percentage(self) -> int:
        """How much of it is done: updated instances in percent of its share, rounded down."""
        return 100 if self.share == 0 else 100 * min(self.updated, self.share) // self.share

    @property
    def score(self) -> int:
        """Grows with every replacement that gets healthy, gets warm, or lets an old instance go."""
        new = self.of(Part.NEW)
        return self.share - len(self.of(Part.OLD)) + sum(each.ready for each in new) + self.updated

    @property
    def goals(self) -> tuple[int, ...]:
        """How many instances must be replaced to reach each checkpoint; all of them if there is none."""
        return tuple(math.ceil(self.share * each / 100) for each in self.checkpoints) or (self.share,)

    def reaches(self, goal: int) -> bool:
        """Whether `goal` instances are replaced: the new ones warm, the old ones gone."""
        return self.updated >= goal and len(self.of(Part.OLD)) <= self.share - goal


class Stand(Enum):
    """How far a refresh is after a step."""

    REPLACING = "replacing"
    WAITING = "waiting at a checkpoint"
    FINISHING = "waiting for instances that end"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Step:
    """Instances to end, by id, and then a number to launch; `checkpoint` is the index it is for."""

    stand: Stand
    checkpoint: int
    terminate: tuple[str, ...] = ()
    launch: int = 0


def next_step(facts: Facts) -> Step:
    """What to do now.

    A checkpoint that is reached together with a later one is skipped, none is waited at when it is the last, and one
    that a growing group falls short of again is waited at again ("Add checkpoints", Considerations).
    """
    goals, index = facts.goals, facts.checkpoint
    if not facts.reaches(goals[index]):
        return _replace(facts, index)
    while index + 1 < len(goals) and facts.reaches(goals[index + 1]):
        index += 1
    if index + 1 == len(goals):
        gone = facts.leaving == 0 and len(facts.instances) <= facts.desired
        return Step(stand=Stand.DONE if gone else Stand.FINISHING, checkpoint=index, terminate=scale_in(facts))
    if index != facts.checkpoint or facts.waited is None or facts.waited < facts.delay:
        return Step(stand=Stand.WAITING, checkpoint=index, terminate=scale_in(facts))
    return _replace(facts, index + 1)


def _replace(facts: Facts, index: int) -> Step:
    """End what may go within the bounds, then launch what there is room for, up to the checkpoint's goal."""
    goal, old, new = facts.goals[index], facts.of(Part.OLD), len(facts.of(Part.NEW))
    # Replacements that Auto Scaling launched for unhealthy instances may be more than the goal.
    may_go = max(0, len(old) + max(goal, new) - facts.share)
    serving, ending = sum(each.serves for each in facts.instances), list[str]()
    # What doesn't serve goes first: that is no loss while enough others do.
    for each in sorted((each for each in old if not each.held), key=lambda each: each.serves):
        if len(ending) == may_go or serving - each.serves < facts.bounds.least:
            break
        ending.append(each.id)
        serving -= each.serves
    room = facts.bounds.most - (len(facts.instances) - len(ending))
    replaceable = facts.share - sum(each.held for each in old)
    return Step(
        stand=Stand.REPLACING,
        checkpoint=index,
        terminate=tuple(ending),
        launch=max(0, min(room, min(goal, replaceable) - new)),
    )


def scale_in(facts: Facts) -> tuple[str, ...]:
    """Who goes if more instances serve than the group wants, and none is being replaced.

    One that doesn't serve may be the replacement for one that is unhealthy: Auto Scaling sees to those two itself.
    """
    return _least_wanted(facts)[: max(0, sum(each.serves for each in facts.instances) - facts.desired)]


def shrink(facts: Facts, number: int) -> tuple[str, ...]:
    """Who goes if the group wants `number` instances less while the refresh stands still.

    What the refresh has launched in addition stays: it would end instances that are still to be replaced otherwise.
    """
    return _least_wanted(facts)[: max(0, min(number, len(facts.instances) - facts.desired))]


def surplus(facts: Facts) -> tuple[str, ...]:
    """Who goes when the refresh ends, so that the group has the number that it wants."""
    return _least_wanted(facts)[: max(0, len(facts.instances) - facts.desired)]


def _least_wanted(facts: Facts) -> tuple[str, ...]:
    """Those that don't serve, then those that were to be replaced; of equals the newest."""
    newest_first = [each for each in reversed(facts.instances) if not each.held]
    return tuple(each.id for each in sorted(newest_first, key=lambda each: (each.serves, each.part is not Part.OLD)))


def reason(facts: Facts, step: Step) -> str:
    """What the refresh waits for, in words; empty if for nothing that could be named.

    AWS's words for instances that warm up (API Reference, DescribeInstanceRefreshes, Examples). It publishes no others.
    """
    if step.stand is Stand.WAITING:
        percentage = facts.checkpoints[step.checkpoint]
        return f"Waiting for {facts.delay:g} seconds at the checkpoint of {percentage} percent before continuing."
    new = facts.of(Part.NEW)
    if failing := _first(each for each in new if not each.ready):
        return f"Waiting for instances to pass their health checks before continuing. For example: {failing}."
    if warming := _first(each for each in new if not each.warm):
        return f"Waiting for instances to warm up before continuing. For example: {warming} is warming up."
    if step.launch == 0 and (held := _first(each for each in facts.of(Part.OLD) if each.held)):
        return f"Waiting for scale-in protection to be removed before continuing. For example: {held} is protected."
    if facts.leaving:
        return "Waiting for instances to terminate before continuing."
    return ""


def _first(instances: Iterable[Instance]) -> str | None:
    return next((each.id for each in instances), None)
