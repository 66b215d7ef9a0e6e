"""How many instances of a group may be missing, or too many, while unhealthy ones are replaced.

EC2 Auto Scaling User Guide, "Instance maintenance policies"; API Reference, InstanceMaintenancePolicy. Without a policy
a group ends what is unhealthy and starts as many.
"""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How many instances are to be ready at least, and how many there may be at most, unhealthy ones included."""

    least: int
    most: int


def bounds_of(policy: dict[str, Any] | None, desired: int) -> Bounds | None:
    """The bounds that a group's InstanceMaintenancePolicy sets for `desired` instances; None if it has none."""
    # -1 takes a policy away (API Reference, InstanceMaintenancePolicy).
    if not policy or int(policy["MinHealthyPercentage"]) < 0:
        return None
    spare = math.floor(desired * int(policy["MaxHealthyPercentage"]) / 100) - desired
    least = math.ceil(desired * int(policy["MinHealthyPercentage"]) / 100)
    # One more is needed to launch before anything is terminated, however small the group is.
    return Bounds(least=least, most=desired + max(1, spare))


def ending(bounds: Bounds | None, *, desired: int, ready: int, unhealthy: int) -> int:
    """How many of the unhealthy instances may be ended now.

    All, if enough others are ready; else one for each that became ready in addition. AWS doesn't say what becomes of
    replacements that turn unhealthy themselves; here they count as unhealthy, so that their number stays in bounds.
    """
    if bounds is None or ready >= bounds.least:
        return unhealthy
    return min(unhealthy, max(0, ready + unhealthy - desired))
