"""All that `lockstep model` tells, as one object."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lockstep.failover_model.changes import Change, changes, figures
from lockstep.failover_model.prediction import Prediction, predict
from lockstep.failover_model.settings import Fault, Settings
from lockstep.failover_model.simulation import Flapping, Losses, simulate_flapping, simulate_losses

# How long a site that comes and goes is watched, in detection times.
FLAPPING_WATCHED: Final = 200


@dataclass(frozen=True)
class Loss:
    """A way to lose a site that has all of the traffic: what to expect, simulated, and when the site comes and goes."""

    prediction: Prediction
    simulated: Losses
    flapping: tuple[Flapping, ...]

    def as_json(self) -> dict[str, Any]:
        """As data."""
        detection, simulated = self.prediction.detection_mean, self.simulated
        return {
            **figures(self.prediction),
            "simulated": {
                "losses": len(simulated.detected),
                "detectionMean": round(simulated.detection_mean, 3),
                "detectionMax": round(simulated.detection_max, 3),
                "lost": round(simulated.mean_lost, 3),
                "back99": None if simulated.back_99 is None else round(simulated.back_99, 3),
            },
            "flapping": [
                {
                    "period": round(each.period, 3),
                    "seconds": round(each.seconds, 3),
                    "moves": len(each.changes),
                    "movesPerDetection": round(each.changes_per(detection), 3),
                    "shortestStay": None if each.shortest_stay is None else round(each.shortest_stay, 3),
                }
                for each in self.flapping
            ],
        }


@dataclass(frozen=True)
class Report:
    """What to expect with `settings`, by the way in which a site is lost, by site, and with other settings."""

    settings: Settings
    rto_seconds: int
    seed: int
    losses: dict[Fault, Loss]
    sites: dict[str, dict[Fault, Prediction]]
    changes: tuple[Change, ...]

    @property
    def back_99(self) -> float:
        """The 99 % figure of the slowest of the ways to lose a site."""
        return max(loss.prediction.back_99 for loss in self.losses.values())

    @property
    def meets_objective(self) -> bool:
        """Whether 99 % of the clients are back within the promised time."""
        return self.back_99 <= self.rto_seconds

    @property
    def remedies(self) -> tuple[Change, ...]:
        """The changes that would keep the promise."""
        return tuple(change for change in self.changes if change.back_99 <= self.rto_seconds)

    def as_json(self) -> dict[str, Any]:
        """As data."""
        settings = self.settings
        return {
            "settings": {
                "interval": settings.interval,
                "threshold": settings.threshold,
                "ttl": settings.ttl,
                "checkers": settings.checkers,
                "redsNeeded": settings.reds_needed,
                "push": settings.push,
                "staleShare": settings.stale_share,
                "staleSeconds": settings.stale_seconds,
                "seed": self.seed,
            },
            "objective": {
                "rtoSeconds": self.rto_seconds,
                "back99": round(self.back_99, 3),
                "met": self.meets_objective,
            },
            "faults": {fault.value: loss.as_json() for fault, loss in self.losses.items()},
            "sites": {
                site: {
                    "share": round(next(iter(predictions.values())).settings.share, 6),
                    "faults": {fault.value: figures(each) for fault, each in predictions.items()},
                }
                for site, predictions in self.sites.items()
            },
            "changes": [change.as_json() for change in self.changes],
        }


def make_report(
    settings: Settings,
    faults: Sequence[Fault],
    shares: dict[str, float],
    rto_seconds: int,
    *,
    fixed_ttl: bool,
    losses: int,
    seed: int,
) -> Report:
    """The report for `settings`, whose fault and share are replaced by each of `faults` and of `shares`."""
    whole = replace(settings, share=1.0)
    return Report(
        settings=whole,
        rto_seconds=rto_seconds,
        seed=seed,
        losses={fault: _loss(replace(whole, fault=fault), losses, seed) for fault in faults},
        sites={
            site: {fault: predict(replace(whole, fault=fault, share=share)) for fault in faults}
            for site, share in shares.items()
        },
        changes=tuple(changes(whole, faults, len(shares), fixed_ttl=fixed_ttl)),
    )


def _loss(settings: Settings, losses: int, seed: int) -> Loss:
    prediction = predict(settings)
    detection, interval = prediction.detection_mean, float(settings.interval)
    return Loss(
        prediction=prediction,
        simulated=simulate_losses(settings, count=losses, seed=seed),
        flapping=tuple(
            simulate_flapping(settings, period=period, seconds=FLAPPING_WATCHED * detection, seed=seed)
            for period in (interval / 2, interval, detection, 2 * detection, 5 * detection)
        ),
    )
