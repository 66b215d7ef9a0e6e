"""Which of several records of one name and type answers, by weight and health: pure.

Route 53 Developer Guide, "How Amazon Route 53 chooses records when health checking is configured" and "Values specific
for weighted records"; API Reference, "HealthCheckConfig".
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.dns.zones import Record


def candidates(records: Sequence[Record], is_healthy: Callable[[Record], bool]) -> Sequence[Record]:
    """Those of a group that may answer.

    Healthy ones with a weight above zero; if there is none, healthy ones of weight zero. If nothing is healthy, all
    count as healthy, so that those with a weight above zero answer. If no weight is above zero, all healthy ones.
    """
    weighted = [record for record in records if record.weight]
    others = [record for record in records if not record.weight]
    for group in (weighted, others):
        healthy = [record for record in group if is_healthy(record)]
        if healthy:
            return healthy
    return weighted or others


def choose(records: Sequence[Record], is_healthy: Callable[[Record], bool], chance: random.Random) -> Record:
    """One of a group: by weight, or with equal probability if all weights of those that may answer are zero.

    A record that is alone answers whatever its health: nothing else could.
    """
    if len(records) == 1:
        return records[0]
    possible = candidates(records, is_healthy)
    weights = [record.weight or 0 for record in possible]
    return chance.choices(possible, weights if any(weights) else None)[0]


def check_is_healthy(check_id: str, checks: Mapping[str, Mapping[str, Any]], health: Mapping[str, bool]) -> bool:
    """The status of a health check; `checks` has settings by id (HealthCheckConfig), `health` what is found out.

    A check of which nothing is found out yet is healthy ("until there's enough data": Developer Guide, "How Amazon
    Route 53 determines whether a health check is healthy"). A disabled check is healthy, a calculated one if enough of
    its children are; "Inverted" turns either round, which is how a disabled check is made unhealthy. The status of a
    deleted check "can't be predicted" (same guide, "Deleting health checks"); here it is healthy.
    """
    config = checks.get(check_id)
    if config is None:
        return True
    if config.get("Disabled"):
        found = True
    elif config["Type"] == "CALCULATED":
        # A child is never calculated itself (API Reference, HealthCheckConfig, "ChildHealthChecks").
        children = config.get("ChildHealthChecks") or ()
        found = sum(check_is_healthy(child, checks, health) for child in children) >= int(config["HealthThreshold"])
    else:
        found = health.get(check_id, True)
    return found != bool(config.get("Inverted"))
