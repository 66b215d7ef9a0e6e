"""Evaluates alarms when it is time: metric alarms each period or minute, composite ones when a child's state changes.

CloudWatch User Guide, "Alarm evaluation", "Create a composite alarm"; API reference, SetAlarmState. Nothing is
evaluated in a region that is lost.
"""

from typing import Any, Final

from moto.cloudwatch.models import cloudwatch_backends

from sandbox.api import backends, cloudwatch_time
from sandbox.api.cloudwatch_alarm import Alarm, enter
from sandbox.api.cloudwatch_alarms import children_of, resolve
from sandbox.api.cloudwatch_evaluation import ALARM, OK, boundary, verdict_at
from sandbox.api.cloudwatch_metrics import store_of
from sandbox.api.workers import Worker, alone

TURN_SECONDS: Final = 0.1


def turn() -> None:
    """Evaluate what is due. Call it under the backend lock."""
    for backend in backends.alive(cloudwatch_backends):
        _evaluate_region(backend)


def _evaluate_region(backend: Any) -> None:
    position = cloudwatch_time.position(cloudwatch_time.now())
    alarms: list[Alarm] = list(backend.alarms.values())
    for alarm in alarms:
        if alarm.watch is not None:
            with alone(f"alarm {alarm.alarm_arn}"):
                _evaluate_metric(backend, alarm, position)
    with alone(f"composite alarms of {backend.region_name}"):
        _evaluate_composites(backend, alarms)


def _evaluate_composites(backend: Any, alarms: list[Alarm]) -> None:
    composite = [alarm for alarm in alarms if alarm.rule is not None and not _is_in_cycle(backend, alarm)]
    # A composite alarm may watch others, so one more round for each that could still change.
    for _ in composite:
        changed = [alarm for alarm in composite if _evaluate_composite(backend, alarm)]
        if not changed:
            return


def _evaluate_metric(backend: Any, alarm: Alarm, position: float) -> None:
    assert alarm.watch is not None
    number = boundary(alarm.watch, position)
    if alarm.evaluated is not None and number <= alarm.evaluated:
        return
    alarm.evaluated = number
    verdict = verdict_at(alarm.watch, store_of(backend).get(alarm.watch.key, ()), number)
    if verdict.state not in (None, alarm.state_value):
        enter(backend, alarm, verdict.state, verdict.reason)


def _evaluate_composite(backend: Any, alarm: Alarm) -> bool:
    """Look at its children if one of them has changed; whether that changed it."""
    assert alarm.rule is not None
    seen = tuple((child.name, child.state_value, child.transitioned) for child in children_of(backend, alarm))
    if seen == alarm.evaluated:
        return False
    alarm.evaluated = seen

    def state_of(reference: str) -> str:
        child = resolve(backend, reference)
        assert child is not None, reference
        return child.state_value

    state = ALARM if alarm.rule.holds(state_of) else OK
    if state == alarm.state_value:
        return False
    enter(backend, alarm, state, f"{alarm.alarm_arn} is {state}: its rule is {alarm.rule.text}")
    return True


def _is_in_cycle(backend: Any, alarm: Alarm) -> bool:
    """Whether its evaluation leads back to an alarm that is being evaluated ("evaluation stops")."""

    def leads_back(each: Alarm, path: tuple[str, ...]) -> bool:
        if each.name in path:
            return True
        return any(leads_back(child, (*path, each.name)) for child in children_of(backend, each))

    return leads_back(alarm, ())


worker: Final = Worker("alarms", TURN_SECONDS, turn)
