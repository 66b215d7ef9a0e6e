"""The failover model: how many seconds of a check are simulated in one, and what a prediction takes."""

from bench.measure import Result, medians
from lockstep.failover_model import Fault, Settings, predict, simulate_flapping, simulate_losses

LOSSES = 5_000
FLAPPING_SECONDS = 500_000.0
PREDICTIONS = 200
SETTINGS = Settings(interval=10, threshold=3, ttl=30, fault=Fault.VANISHES)


def run() -> list[Result]:
    """Losses of a site, each to its detection, and a site that comes and goes; 16 checkers, one process."""
    prediction = predict(SETTINGS)
    losses, flapping, predictions = medians(
        lambda: simulate_losses(SETTINGS, count=LOSSES, seed=1),
        lambda: simulate_flapping(SETTINGS, period=100.0, seconds=FLAPPING_SECONDS, seed=1),
        lambda: [predict(SETTINGS).back_99 for _ in range(PREDICTIONS)],
    )
    simulated = sum(simulate_losses(SETTINGS, count=LOSSES, seed=1).detected)
    return [
        Result("losses of a site, simulated seconds a second", simulated / losses, "s/s", "10,000 or more"),
        Result("a site that comes and goes, the same", FLAPPING_SECONDS / flapping, "s/s", "10,000 or more"),
        Result("99 % figure, closed form", predictions / PREDICTIONS * 1000, "ms"),
        Result("99 % figure, vanishes, 10 s x 3, TTL 30", prediction.back_99, "s"),
    ]
