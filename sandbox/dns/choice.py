"""Which of several records of one name answers, by weight and health: pure.

Route 53 Developer Guide, "How Amazon Route 53 chooses records when health checking is configured", "Values specific for
weighted records".
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.dns.zones import Record

IsHealthy = Callable[[Record], bool]


def choose(records: Sequence[Record], is_healthy: IsHealthy, chance: random.Random) -> Record:
    """One of `records`, which are all of one name and type.

    Records with a weight above zero come first; those of weight zero only if none of the others is healthy. If nothing
    is healthy, everything counts as healthy. If all weights are zero, all are equally likely.
    """
    if len(records) == 1:
        return records[0]
    weighted = [record for record in records if record.weight]
    candidates = [record for record in weighted if is_healthy(record)]
    if not candidates:
        candidates = [record for record in records if not record.weight and is_healthy(record)]
    if not candidates:
        candidates = weighted or list(records)
    weights = [record.weight or 0 for record in candidates]
    return chance.choices(candidates, weights if any(weights) else None)[0]


def check_is_healthy(
    check_id: str, checks: Mapping[str, Mapping[str, Any]], statuses: Mapping[str, bool], depth: int = 0
) -> bool:
    """Whether a health check counts as healthy, given what is known of endpoints: a new one is until it is known.

    Disabled: healthy for ever. Calculated: enough healthy children. Inverted: the other way round (API Reference,
    HealthCheckConfig). A check that doesn't exist, or calls itself, counts as healthy.
    """
    config = checks.get(check_id)
    if config is None or config.get("Disabled") or depth > len(checks):
        return True
    if config["Type"] == "CALCULATED":
        children = config.get("ChildHealthChecks") or []
        healthy = sum(check_is_healthy(child, checks, statuses, depth + 1) for child in children)
        found = healthy >= int(config.get("HealthThreshold", len(children)))
    else:
        # An inverted check starts unhealthy for the same reason that another one starts healthy.
        found = statuses.get(check_id, True)
    return found != bool(config.get("Inverted"))
