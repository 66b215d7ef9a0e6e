"""What another interval, threshold or TTL buys, each changed alone, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lockstep.config import limits
from lockstep.failover_model.prediction import Prediction, predict
from lockstep.failover_model.settings import Fault, Settings

THRESHOLDS: Final = (1, 2, 3, 5)
TTLS: Final = (10, 30, 60, 300)

# Amazon Route 53 pricing, "Health Checks" (https://aws.amazon.com/route53/pricing/, as of September 2026): an optional
# feature is 1.00 USD a month for each check of an AWS endpoint, and the fast interval is such a feature. The check
# itself (0.50 USD, the first 50 of an account free) costs the same whatever its settings.
FAST_INTERVAL: Final = 10
FAST_INTERVAL_DOLLARS: Final = 1.0


@dataclass(frozen=True)
class Change:
    """The settings as they are, or with one thing changed: what to expect, by the way in which the site is lost.

    `saves` is by how much the loss of service shrinks; `dollars` what the fast interval costs a month.
    """

    what: str
    predictions: dict[Fault, Prediction]
    saves: dict[Fault, float]
    dollars: float

    @property
    def back_99(self) -> float:
        """The 99 % figure of the slowest of the ways to lose a site."""
        return max(prediction.back_99 for prediction in self.predictions.values())

    def as_json(self) -> dict[str, Any]:
        """As data."""
        settings = next(iter(self.predictions.values())).settings
        return {
            "what": self.what,
            "interval": settings.interval,
            "threshold": settings.threshold,
            "ttl": settings.ttl,
            "dollarsAMonth": self.dollars,
            "faults": {
                fault.value: {**figures(prediction), "saves": round(self.saves[fault], 3)}
                for fault, prediction in self.predictions.items()
            },
        }


def figures(prediction: Prediction) -> dict[str, float | None]:
    """What is expected, as data; seconds but for the last two."""
    a_month = prediction.failovers_a_month
    return {
        "detectionMean": round(prediction.detection_mean, 3),
        "detectionMax": round(prediction.detection_max, 3),
        "lost": round(prediction.lost, 3),
        "back99": round(prediction.back_99, 3),
        "back99OfMean": round(prediction.back_99_of_mean, 3),
        "backMax": round(prediction.back_max, 3),
        "returnMean": round(prediction.return_mean, 3),
        "returnMax": round(prediction.return_max, 3),
        "failoversAMonth": None if a_month is None else round(a_month, 3),
        "shareOfYear": round(prediction.share_of_year, 6),
    }


def changes(now: Settings, faults: Sequence[Fault], sites: int, *, fixed_ttl: bool) -> list[Change]:
    """The settings as they are, then each change of one of them. With `fixed_ttl` the TTL can't be changed."""
    wanted: list[tuple[str, dict[str, Any]]] = [("as it is", {})]
    wanted += [(f"interval {each}", {"interval": each}) for each in limits.HEALTH_CHECK_INTERVALS]
    wanted += [(f"threshold {each}", {"threshold": each}) for each in THRESHOLDS]
    if not fixed_ttl:
        wanted += [(f"TTL {each}", {"ttl": each}) for each in TTLS]
    return [
        _change(what, now, change, faults, sites)
        for what, change in wanted
        if not change or any(getattr(now, name) != value for name, value in change.items())
    ]


def _change(what: str, now: Settings, change: dict[str, Any], faults: Sequence[Fault], sites: int) -> Change:
    before = {fault: predict(replace(now, fault=fault)) for fault in faults}
    after = {fault: predict(replace(now, fault=fault, **change)) for fault in faults}
    interval = change.get("interval", now.interval)
    return Change(
        what=what,
        predictions=after,
        saves={fault: before[fault].lost - after[fault].lost for fault in faults},
        dollars=sites * FAST_INTERVAL_DOLLARS if interval == FAST_INTERVAL else 0.0,
    )
