"""The time by which metrics are put and alarms evaluated.

Data has real time stamps, which its clients give it. An alarm's period is AWS's seconds, `clock.SPEED` of which pass in
a real one: alarms look at data on a time line that is that many times longer.
"""

from datetime import UTC, datetime
from typing import Final

from moto.core.utils import utcnow

from sandbox import clock

MINUTE: Final = 60


def now() -> datetime:
    """The real time, UTC, without a zone as moto has it."""
    return utcnow()


def plain(moment: datetime) -> datetime:
    """A moment as moto has it: UTC, without a zone."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def position(moment: datetime) -> float:
    """Where a moment is on the time line of alarms: AWS's seconds."""
    return clock.simulated(moment.replace(tzinfo=UTC).timestamp())


def moment(position: float) -> datetime:
    """The moment at a position on the time line of alarms."""
    return datetime.fromtimestamp(clock.real(position), UTC).replace(tzinfo=None)
