"""Settings for tests, and how far a mean of samples may be from what is expected."""

import math
from typing import Any

from lockstep.failover_model import Fault, Settings

# A false alarm in two million comparisons.
DEVIATIONS = 5.0


def settings(**changes: Any) -> Settings:
    """10 s x 3, TTL 30, refuses; with `changes`."""
    values: dict[str, Any] = {"interval": 10, "threshold": 3, "ttl": 30, "fault": Fault.REFUSES} | changes
    return Settings(**values)


def mean_error(deviation: float, samples: int) -> float:
    """How far the mean of `samples` may be off by chance."""
    return DEVIATIONS * deviation / math.sqrt(samples)


def share_error(share: float, samples: int) -> float:
    """How far a share counted in `samples` may be off by chance."""
    return mean_error(math.sqrt(share * (1 - share)), samples)
