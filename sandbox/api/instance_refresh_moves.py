"""Moves instance refreshes on: takes the facts of a group, and does what `instance_refresh_steps` decides.

EC2 Auto Scaling User Guide, "How an instance refresh works", "Undo changes with a manual or auto rollback", "Cancel an
instance refresh". The group's own template changes only when a refresh with a desired configuration has succeeded;
until then `group.refreshing_to` is what its next instances are launched from, those of a scale-out included ("Core
concepts", Desired configuration).
"""

from collections.abc import Iterable
from typing import Any, Final

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError

from sandbox.api.autoscaling_activities import activities, at
from sandbox.api.autoscaling_members import (
    is_ready,
    launch,
    may_launch,
    settle,
    specification_of,
    suspended,
    terminate,
)
from sandbox.api.ec2_launch import template_version
from sandbox.api.instance_refresh_preferences import (
    bounds_of,
    checkpoint_delay_of,
    checkpoints_of,
    ringing,
    warm_up_of,
)
from sandbox.api.instance_refresh_record import (
    BACK,
    BAKING,
    CANCELLED,
    CANCELLING,
    FAILED,
    GOING_BACK,
    IN_PROGRESS,
    NOT_BACK,
    PENDING,
    SUCCESSFUL,
    Refresh,
    follow_template,
    seconds_since,
)
from sandbox.api.instance_refresh_steps import (
    Facts,
    Instance,
    Part,
    Stand,
    Step,
    next_step,
    reason,
    scale_in,
    shrink,
    surplus,
)

# "How an instance refresh works", Limitations, One-hour timeout and Total duration. AWS's seconds.
NO_PROGRESS_SECONDS: Final = 3_600
LONGEST_SECONDS: Final = 14 * 86_400


def move(group: Any, refresh: Refresh) -> None:
    """Do what is due of one refresh that is active."""
    if refresh.status == CANCELLING:
        _cancel(group, refresh)
        return
    # User Guide, "How suspended processes affect other processes": none is replaced, and nothing is cancelled.
    if suspended(group, "InstanceRefresh", "Launch", "Terminate"):
        refresh.moved = utcnow()
        refresh.reason = "Waiting for the processes InstanceRefresh, Launch and Terminate, of which one is suspended."
        _scale_in(group, refresh)
        return
    refresh.wanted = group.desired_capacity
    if refresh.status == PENDING:
        refresh.status, refresh.moved = IN_PROGRESS, utcnow()
    if refresh.rollback is None and (alarm := ringing(group, refresh.preferences)):
        fail(group, refresh, f"The CloudWatch alarm {alarm} is in the ALARM state.")
    elif refresh.status == BAKING:
        _bake(group, refresh)
    else:
        _replace(group, refresh)


def facts_of(group: Any, refresh: Refresh) -> Facts:
    """The group as the refresh sees it now."""
    warm_up = warm_up_of(group, refresh.preferences)
    members = group.active_instances()
    return Facts(
        desired=group.desired_capacity,
        bounds=bounds_of(group, refresh.preferences),
        instances=tuple(
            Instance(
                id=each.instance.id,
                part=_part(refresh, each),
                ready=is_ready(group, each),
                warm=each.age >= warm_up,
                held=each.protected_from_scale_in and _protection(refresh) != "Refresh",
            )
            for each in members
        ),
        leaving=len(group.instance_states) - len(members),
        # A rollback doesn't stop on its way.
        checkpoints=checkpoints_of(refresh.preferences) if refresh.rollback is None else (),
        checkpoint=refresh.checkpoint if refresh.rollback is None else 0,
        waited=None if refresh.since is None else seconds_since(refresh.since),
        delay=checkpoint_delay_of(refresh.preferences),
    )


def _part(refresh: Refresh, member: Any) -> Part:
    """A rollback replaces what the refresh has deployed, and nothing else; a refresh skips matches only if told to."""
    matches = all(member.template[name] == value for name, value in refresh.target.items())
    began = refresh.started if refresh.rollback is None else refresh.rollback["RollbackStartTime"]
    if matches and member.launched >= began:
        return Part.NEW
    if matches and (refresh.rollback is not None or refresh.preferences.get("SkipMatching")):
        return Part.KEPT
    return Part.KEPT if member.protected_from_scale_in and _protection(refresh) == "Ignore" else Part.OLD


def _protection(refresh: Refresh) -> str:
    """What becomes of instances that are protected from scale-in (RefreshPreferences, ScaleInProtectedInstances)."""
    return str(refresh.preferences.get("ScaleInProtectedInstances") or "Wait")


def _replace(group: Any, refresh: Refresh) -> None:
    if refresh.rollback is None:
        follow_template(group, refresh)
    group.refreshing_to = refresh.target
    step = next_step(facts_of(group, refresh))
    _reach(refresh, step)
    if step.stand is Stand.DONE:
        _complete(group, refresh)
        return
    _terminate(group, step.terminate)
    _launch(group, step.launch, refresh.target)
    facts = facts_of(group, refresh)
    _report(group, refresh, facts, step)
    if why := _too_long(group, refresh):
        fail(group, refresh, why)


def _scale_in(group: Any, refresh: Refresh) -> None:
    """What Auto Scaling does while the refresh stands still: it leaves this to the refresh while there is one."""
    if suspended(group, "Terminate"):
        refresh.wanted = max(refresh.wanted, group.desired_capacity)
        return
    _terminate(group, shrink(facts_of(group, refresh), refresh.wanted - group.desired_capacity))
    refresh.wanted = group.desired_capacity


def _reach(refresh: Refresh, step: Step) -> None:
    """Note which checkpoint it is at, and since when it waits."""
    waits = step.stand is Stand.WAITING
    if not waits or step.checkpoint != refresh.checkpoint:
        refresh.since = None
    if waits and refresh.since is None:
        refresh.since = utcnow()
    refresh.checkpoint = step.checkpoint


def _terminate(group: Any, ids: Iterable[str]) -> None:
    wanted = list(ids)
    by_id = {each.instance.id: each for each in group.active_instances()}
    for instance_id in wanted:
        now = at(utcnow())
        cause = f"At {now} an instance was taken out of service in response to an instance refresh."
        terminate(group, by_id[instance_id], f"{cause}  At {now} instance {instance_id} was selected for termination.")


def _launch(group: Any, number: int, target: dict[str, str]) -> None:
    for _ in range(number):
        cause = f"At {at(utcnow())} an instance was launched in response to an instance refresh."
        if not may_launch(group) or launch(group, cause, target) is None:
            return


def _report(group: Any, refresh: Refresh, facts: Facts, step: Step) -> None:
    if step.stand is Stand.WAITING or facts.score > refresh.score:
        refresh.moved, refresh.score = utcnow(), facts.score
    refresh.reason = _failed_launch(group) or reason(facts, step)
    if refresh.rollback is not None:
        # API Reference, InstanceRefresh: the percentage goes back to zero, and what wasn't updated stays as it was.
        before = refresh.rollback["PercentageCompleteOnRollback"]
        refresh.percentage = before * len(facts.of(Part.OLD)) // max(1, refresh.going)
        return
    refresh.percentage, refresh.left = max(refresh.percentage, facts.percentage), facts.left


def _failed_launch(group: Any) -> str | None:
    """What EC2 said if the group's last launch failed."""
    if not group.__dict__.get("failed_launches"):
        return None
    failed = (each for each in reversed(activities(group.autoscaling_backend)) if each["StatusCode"] == "Failed")
    return next((each["StatusMessage"] for each in failed if each["AutoScalingGroupName"] == group.name), None)


def _too_long(group: Any, refresh: Refresh) -> str | None:
    """Why it fails now, if it is time. A warm-up that takes longer than an hour is no lack of progress."""
    still = max(NO_PROGRESS_SECONDS, warm_up_of(group, refresh.preferences))
    if seconds_since(refresh.moved) > still:
        return f"Instances couldn't be replaced for {still // 60} minutes. {refresh.reason}".strip()
    if seconds_since(refresh.started) > LONGEST_SECONDS:
        return "The instance refresh took longer than 14 days."
    return None


def _complete(group: Any, refresh: Refresh) -> None:
    facts = facts_of(group, refresh)
    if refresh.rollback is not None:
        refresh.percentage = 0
        _end(group, refresh, BACK, refresh.rollback["RollbackReason"])
        return
    refresh.percentage, refresh.left = facts.percentage, facts.left
    if int(refresh.preferences.get("BakeTime") or 0) > 0:
        refresh.status, refresh.since, refresh.reason = BAKING, utcnow(), ""
    else:
        _succeed(group, refresh)


def _bake(group: Any, refresh: Refresh) -> None:
    assert refresh.since is not None
    group.refreshing_to = refresh.target
    _terminate(group, scale_in(facts_of(group, refresh)))
    if seconds_since(refresh.since) >= int(refresh.preferences["BakeTime"]):
        _succeed(group, refresh)


def _succeed(group: Any, refresh: Refresh) -> None:
    if refresh.desired is not None:
        specification = refresh.desired["LaunchTemplate"]
        try:
            template = template_version(group.ec2_backend, specification).template
        except EC2ClientError as error:
            # It may have been deleted since its instances were launched, and no group can have it then.
            fail(group, refresh, f"The group can't use the launch template any more. {error.message}")
            return
        version = specification.get("Version")
        # moto keeps what was asked for, which it shows, beside what it works with.
        group.provided_launch_template_version = version
        group.launch_template_version = version or "$Default"
        group.ec2_launch_template = template
    _end(group, refresh, SUCCESSFUL, "")


def fail(group: Any, refresh: Refresh, why: str) -> None:
    """End a refresh that can't succeed, or roll it back if it is to be."""
    if refresh.rollback is not None:
        _end(group, refresh, NOT_BACK, why)
    elif refresh.preferences.get("AutoRollback"):
        roll_back(group, refresh, why)
    else:
        _end(group, refresh, FAILED, why)


def roll_back(group: Any, refresh: Refresh, why: str) -> None:
    """Begin to replace what the refresh has deployed by what the group had."""
    facts = facts_of(group, refresh)
    refresh.percentage, refresh.left = max(refresh.percentage, facts.percentage), facts.left
    refresh.rollback = {
        "RollbackReason": why,
        "RollbackStartTime": utcnow(),
        "PercentageCompleteOnRollback": refresh.percentage,
        "InstancesToUpdateOnRollback": refresh.left,
    }
    refresh.status, refresh.reason, refresh.since, refresh.checkpoint = GOING_BACK, why, None, 0
    facts = facts_of(group, refresh)
    refresh.going, refresh.moved, refresh.score = len(facts.of(Part.OLD)), utcnow(), facts.score
    group.refreshing_to = refresh.target
    # A capacity that was missing for the new version may be there for the old one.
    group.__dict__.pop("failed_launches", None)


def cancel(group: Any, refresh: Refresh, *, wait: bool) -> None:
    """Begin to stop a refresh or its rollback; `wait` for instances that are on their way out."""
    refresh.status, refresh.reason, refresh.waits_for_leaving = CANCELLING, "Cancelled by a user request.", wait
    group.refreshing_to = specification_of(group)


def _cancel(group: Any, refresh: Refresh) -> None:
    if not suspended(group, "Terminate"):
        _terminate(group, surplus(facts_of(group, refresh)))
    facts = facts_of(group, refresh)
    if facts.leaving == 0 or not refresh.waits_for_leaving:
        _end(group, refresh, CANCELLED, refresh.reason)


def _end(group: Any, refresh: Refresh, status: str, why: str) -> None:
    # Auto Scaling would end the oldest versions first, which may be the only ones that serve.
    if not suspended(group, "Terminate"):
        _terminate(group, surplus(facts_of(group, refresh)))
    refresh.status, refresh.reason, refresh.ended = status, why, utcnow()
    group.__dict__.pop("refreshing_to", None)
    settle(group)
