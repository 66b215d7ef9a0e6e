"""Targets that were deregistered and may still be answering requests.

User Guide for Application Load Balancers, "Deregistration delay": a target without requests under way is done at once,
any other when they are answered or the delay is over; its state is shown as `draining` until the delay is over.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow

from sandbox import clock
from sandbox.api import machines
from sandbox.api.elbv2_instances import instance_of
from sandbox.api.workers import alone

DELAY = "deregistration_delay.timeout_seconds"


@dataclass
class _Draining:
    """`instance_id` is the instance that was behind the target when it was deregistered; None if none was."""

    target: dict[str, Any]
    instance_id: str | None
    since: datetime = field(default_factory=utcnow)
    done: bool = False


_draining: dict[str, dict[str, _Draining]] = {}


def begin(group: Any, targets: Iterable[dict[str, Any]]) -> None:
    """Have these targets, as moto had them in `group`, drain."""
    for target in targets:
        instance = instance_of(group, target["Id"])
        instance_id = None if instance is None else str(instance.id)
        told = {"id": target["Id"], "port": int(target["Port"]), "host": _host(instance_id), "reachable": True}
        _draining.setdefault(group.arn, {})[target["Id"]] = _Draining(told, instance_id)


def cancel(arn: str, target_ids: Iterable[str]) -> None:
    """These targets are registered again."""
    for target_id in target_ids:
        _draining.get(arn, {}).pop(target_id, None)


def finish(arn: str, target_id: str) -> None:
    """A target has answered its last request."""
    if target_id in _draining.get(arn, {}):
        _draining[arn][target_id].done = True


def is_under_way(arn: str, target_id: str) -> bool:
    """Whether a target may still be answering requests."""
    found = _draining.get(arn, {}).get(target_id)
    return found is not None and not found.done


def shown(arn: str) -> dict[str, int]:
    """The ports of the targets whose state is shown as `draining`, by their ids."""
    return {target_id: each.target["port"] for target_id, each in _draining.get(arn, {}).items()}


def told(arn: str) -> list[dict[str, Any]]:
    """What a balancer's process is told of those that may still be answering requests."""
    return [each.target for each in _draining.get(arn, {}).values() if not each.done]


def settle(groups: dict[str, Any], used: Collection[str]) -> None:
    """Forget those whose delay is over or whose group is gone, and end those that nothing can be under way to.

    `groups` are all target groups by their ARNs, `used` those that a balancer uses.
    """
    for arn, targets in list(_draining.items()):
        if arn not in groups:
            del _draining[arn]
            continue
        with alone(f"draining of {arn}"):
            delay = clock.real(float(groups[arn].attributes[DELAY]))
            for target_id, each in list(targets.items()):
                if (utcnow() - each.since).total_seconds() >= delay:
                    del targets[target_id]
                elif arn not in used or _host(each.instance_id) is None:
                    each.done = True


def _host(instance_id: str | None) -> str | None:
    return None if instance_id is None else machines.address_of(instance_id)
