"""What is kept of an instance refresh, and how AWS describes it (API Reference, InstanceRefresh)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError

from sandbox import clock
from sandbox.api import ec2_launch
from sandbox.api.autoscaling_members import specification_of

PENDING, IN_PROGRESS, BAKING, SUCCESSFUL = "Pending", "InProgress", "Baking", "Successful"
FAILED, CANCELLING, CANCELLED = "Failed", "Cancelling", "Cancelled"
GOING_BACK, BACK, NOT_BACK = "RollbackInProgress", "RollbackSuccessful", "RollbackFailed"
ACTIVE: Final = (PENDING, IN_PROGRESS, BAKING, CANCELLING, GOING_BACK)


@dataclass
class Refresh:
    """One refresh of one group.

    `old` is the launch template specification to roll back to, `new` the one that is rolled to, both with the version's
    number; `desired` is the DesiredConfiguration as it was asked for. `moved` is when anything got better for the last
    time, `score` how good it was then; `since` when the wait at a checkpoint or the baking began; `going` how many
    instances a rollback began with; `wanted` the group's desired capacity that its number of instances follows already.
    """

    id: str
    group: str
    old: dict[str, str]
    new: dict[str, str]
    desired: dict[str, Any] | None
    preferences: dict[str, Any]
    wanted: int
    started: datetime = field(default_factory=lambda: utcnow())
    status: str = PENDING
    reason: str = ""
    ended: datetime | None = None
    percentage: int = 0
    left: int = 0
    checkpoint: int = 0
    since: datetime | None = None
    moved: datetime = field(default_factory=lambda: utcnow())
    score: int = 0
    going: int = 0
    rollback: dict[str, Any] | None = None
    waits_for_leaving: bool = True

    @property
    def active(self) -> bool:
        """Whether it still moves."""
        return self.status in ACTIVE

    @property
    def target(self) -> dict[str, str]:
        """The version that instances are replaced by."""
        return self.new if self.rollback is None else self.old

    def described(self) -> dict[str, Any]:
        """As DescribeInstanceRefreshes has it."""
        described: dict[str, Any] = {
            "InstanceRefreshId": self.id,
            "AutoScalingGroupName": self.group,
            "Status": self.status,
            "StatusReason": self.reason or None,
            "StartTime": self.started,
            "EndTime": self.ended,
            "PercentageComplete": self.percentage,
            "InstancesToUpdate": self.left,
            "Preferences": {"SkipMatching": False, "AutoRollback": False, **self.preferences},
            "Strategy": "Rolling",
        }
        if self.desired is not None:
            described["DesiredConfiguration"] = self.desired
        if self.rollback is not None:
            described["RollbackDetails"] = self.rollback
        return described


def refreshes_of(group: Any) -> list[Refresh]:
    """Every refresh of a group, oldest first; they vanish with the group."""
    found: list[Refresh] = group.__dict__.setdefault("instance_refreshes", [])
    return found


def active_of(group: Any) -> Refresh | None:
    """The refresh of a group that moves; None if none does."""
    return next((refresh for refresh in refreshes_of(group) if refresh.active), None)


def numbered(group: Any, specification: dict[str, Any]) -> dict[str, str]:
    """A launch template specification with the number of its version. Raises EC2ClientError if there is none."""
    version = ec2_launch.template_version(group.ec2_backend, specification)
    return {"LaunchTemplateId": version.template.id, "Version": str(version.number)}


def follow_template(group: Any, refresh: Refresh) -> None:
    """Aim at what `$Latest` or `$Default` means by now: instances replaced meanwhile are replaced again.

    User Guide, "Use an instance refresh with skip matching".
    """
    wanted = specification_of(group) if refresh.desired is None else refresh.desired["LaunchTemplate"]
    try:
        new = numbered(group, wanted)
    # Of a template that is gone nothing can be launched any more; the failed launches say so.
    except EC2ClientError:
        return
    if new != refresh.new:
        refresh.new, refresh.score, refresh.moved = new, 0, utcnow()


def seconds_since(moment: datetime) -> float:
    """Seconds that have passed since `moment`, in AWS's time."""
    return clock.simulated((utcnow() - moment).total_seconds())
