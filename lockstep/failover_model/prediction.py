"""How long a failover by DNS takes, in closed form.

A site is lost at 0. Each of n checkers sends its next probe at U(0, I), knows t later that it failed, and sends the
next one I after that; after F failures in a row it counts the site as down, F(I + t) - I after its first one was sent.
Route 53 does when all but 18 % of the checkers do, so that detection D is that plus an order statistic of U(0, I).
A later, fixed, the name servers know (A). From then on a resolver that asks gets a site that lives; what was cached
runs out during the next TTL, evenly, because busy resolvers ask as soon as an answer has run out.

So the clients of the lost site are back at D + A + U(0, TTL). That a well site answers a probe at once, and that a
client asks again when its answer has run out, are assumed; both hold to a tenth of a second or so.
"""

from dataclasses import dataclass
from typing import Final

from lockstep.failover_model.order_statistics import OrderStatistic
from lockstep.failover_model.settings import Settings

BACK: Final = 0.99

# What 99.99 % leave of a month of 30 days, and of a year.
MONTH_ALLOWANCE: Final = 30 * 86_400 * 1e-4
YEAR_ALLOWANCE: Final = 365.25 * 86_400 * 1e-4

_BISECTIONS: Final = 60


@dataclass(frozen=True)
class Prediction:
    """What follows from `settings`; all times are in seconds after the loss of the site."""

    settings: Settings

    @property
    def detection_mean(self) -> float:
        """When Route 53 counts the site as unhealthy, on average."""
        return self._before_last_phase + self._phase.mean * self.settings.interval

    @property
    def detection_deviation(self) -> float:
        """The standard deviation of that."""
        return self._phase.deviation * self.settings.interval

    @property
    def detection_max(self) -> float:
        """When it does at the latest."""
        return self._before_last_phase + self.settings.interval

    @property
    def lost(self) -> float:
        """Expected loss of service, as seconds of an outage of everything: it counts the lost site's share only."""
        cached = sum(share * seconds / 2 for share, seconds in self.settings.answers)
        return self.settings.share * (self.detection_mean + self.settings.push + cached)

    @property
    def back_99(self) -> float:
        """The 99 % figure: a client of the lost site, picked at random, is served again by then in 99 of 100 losses.

        Over the checkers' phases and the age of the cached answer together; `back_99_of_mean` isn't the same.
        """
        return self.back(BACK)

    @property
    def back_99_of_mean(self) -> float:
        """When 99 % of the clients are back in a loss that was detected after the mean time: D + A + 0.99 TTL.

        Less than `back_99`, as detection varies and late ones have more clients away. It knows no stale resolvers.
        """
        return self.detection_mean + self.settings.push + BACK * self.settings.ttl

    @property
    def back_max(self) -> float:
        """When the last client is back."""
        longest = max(seconds for _, seconds in self.settings.answers)
        return self.detection_max + self.settings.push + longest

    @property
    def return_mean(self) -> float:
        """How long after the site is well again Route 53 counts it as healthy, on average; then traffic returns.

        Sooner than it noticed the loss: more than 18 % of the checkers are enough, k of n, which need F answers in a
        row, so that it waits for the k-th probe to be sent. While the site is lost, n probes are sent in every I + t,
        all of them within I (they began at U(0, I) and keep their distances). From a moment at random it takes, with
        spacings s on a circle, the mean of s^2/2 plus that of s with each of the k - 1 that follow.
        """
        interval, takes = self.settings.interval, self.settings.fault.probe_seconds
        checkers = self.settings.checkers
        spacing, greens = interval / (checkers + 1), checkers - self.settings.reds_needed + 1
        wait = (greens * spacing * (interval + 2 * takes) + takes**2 / 2) / (interval + takes)
        return self._before_return + wait

    @property
    def return_max(self) -> float:
        """How long that takes at most."""
        return self._before_return + self.settings.interval + self.settings.fault.probe_seconds

    @property
    def failovers_a_month(self) -> float | None:
        """How many losses of this site fit into what 99.99 % leave of a month; None if they cost nothing."""
        return MONTH_ALLOWANCE / self.lost if self.lost else None

    @property
    def share_of_year(self) -> float:
        """How much one loss takes of what 99.99 % leave of a year."""
        return self.lost / YEAR_ALLOWANCE

    def back(self, fraction: float) -> float:
        """When `fraction` of the lost site's clients are served again."""
        low, high = 0.0, self.back_max
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if self.back_by(middle) < fraction:
                low = middle
            else:
                high = middle
        return high

    def back_by(self, seconds: float) -> float:
        """The share of the lost site's clients that are served again at `seconds`: P(D + A + U(0, TTL) <= seconds)."""
        since = seconds - self.settings.push - self._before_last_phase
        return sum(share * self._expired_by(since, kept) for share, kept in self.settings.answers)

    def _expired_by(self, since: float, kept: float) -> float:
        """As `back_by`, `since` the earliest detection; of resolvers that keep an answer for `kept`."""
        interval = self.settings.interval
        if kept == 0:
            return self._phase.below(since / interval)
        # The mean of the detection's distribution function over the window that the cached answers make.
        until, begin = since / interval, (since - kept) / interval
        return (self._phase_integral(until) - self._phase_integral(begin)) * interval / kept

    def _phase_integral(self, x: float) -> float:
        if x <= 0:
            return 0.0
        return self._phase.integral(min(x, 1.0)) + max(x - 1.0, 0.0)

    @property
    def _phase(self) -> OrderStatistic:
        return OrderStatistic(self.settings.reds_needed, self.settings.checkers)

    @property
    def _before_return(self) -> float:
        return (self.settings.threshold - 1) * float(self.settings.interval)

    @property
    def _before_last_phase(self) -> float:
        settings = self.settings
        return settings.threshold * (settings.interval + settings.fault.probe_seconds) - settings.interval


def predict(settings: Settings) -> Prediction:
    """The prediction for `settings`."""
    return Prediction(settings)
