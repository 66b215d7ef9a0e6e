"""What a failover's length depends on, within the ranges that Route 53 has.

Sources, all of the Route 53 Developer Guide unless they say otherwise: "How Amazon Route 53 determines whether a health
check is healthy" (18 %, 4 s to connect, 2 s to answer), API Reference, HealthCheckConfig (interval, threshold).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lockstep.config import limits
from lockstep.config.models import Config, RecordType
from lockstep.errors import InvalidInputError

# "More than 18 % of health checkers report that an endpoint is healthy" makes it healthy: up to that share may see it
# well, and it is unhealthy.
_GREEN_PERCENT: Final = 18

# AWS says "a dozen or so" locations; with 3 to 24 detection differs by less than a tenth of an interval.
CHECKERS: Final = 16
CHECKERS_MAX: Final = 200

# Seconds from the verdict to the last name server. AWS publishes no figure: assumed.
PUSH_SECONDS: Final = 5.0

# Beyond an hour, and a day, a model of minutes says nothing; a client is followed from answer to answer until then.
PUSH_MAX: Final = 3600.0
STALE_MAX: Final = 86_400.0

# An alias takes its target's TTL, and a balancer's is 60 (Developer Guide, "Choosing between alias and non-alias
# records").
ALIAS_TTL: Final = 60

# Of 8,524 resolvers 8.74 % kept an answer longer than its TTL (Bhowmick et al., PAM 2023). That as many clients ask
# them, and that they keep it for an hour, is assumed: so nobody is, unless asked for.
STALE_SHARE_SEEN: Final = 0.0874
STALE_SECONDS: Final = 3600.0


class Fault(StrEnum):
    """How a lost site meets a checker: it refuses at once, accepts and never answers, or its packets vanish."""

    REFUSES = "refuses"
    HANGS = "hangs"
    VANISHES = "vanishes"

    @property
    def probe_seconds(self) -> float:
        """How long a probe takes to fail: a round trip; that and 2 s for the answer; 4 s for the connection."""
        return {Fault.REFUSES: 0.1, Fault.HANGS: 2.1, Fault.VANISHES: 4.0}[self]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One health check, the record that it guards, and how the site behind it is lost. Times are in seconds.

    `share` is the part of the traffic that goes to the lost site. `stale_share` of the clients ask resolvers that keep
    an answer for `stale_seconds`, whatever its TTL. Raises InvalidInputError with all that is out of range.
    """

    interval: int
    threshold: int
    ttl: float
    fault: Fault
    checkers: int = CHECKERS
    push: float = PUSH_SECONDS
    share: float = 1.0
    stale_share: float = 0.0
    stale_seconds: float = STALE_SECONDS

    def __post_init__(self) -> None:
        lowest, highest = limits.HEALTH_CHECK_THRESHOLD_MIN, limits.HEALTH_CHECK_THRESHOLD_MAX
        intervals = limits.HEALTH_CHECK_INTERVALS
        wrong = [
            f"{name} is {value}, and has to be {form}"
            for name, value, good, form in (
                ("interval", self.interval, self.interval in intervals, " or ".join(map(str, intervals))),
                ("threshold", self.threshold, lowest <= self.threshold <= highest, f"{lowest} to {highest}"),
                ("ttl", self.ttl, 0 <= self.ttl <= limits.TTL_MAX, f"0 to {limits.TTL_MAX}"),
                ("checkers", self.checkers, 1 <= self.checkers <= CHECKERS_MAX, f"1 to {CHECKERS_MAX}"),
                ("push", self.push, 0 <= self.push <= PUSH_MAX, f"0 to {PUSH_MAX:g}"),
                ("share", self.share, 0 <= self.share <= 1, "0 to 1"),
                ("stale share", self.stale_share, 0 <= self.stale_share <= 1, "0 to 1"),
                ("stale seconds", self.stale_seconds, 0 <= self.stale_seconds <= STALE_MAX, f"0 to {STALE_MAX:g}"),
            )
            if not good
        ]
        if wrong:
            raise InvalidInputError(
                f"no failover can be computed: {'; '.join(wrong)}", "`lockstep model --help` shows what it takes"
            )

    @property
    def reds_needed(self) -> int:
        """How many checkers have to see a failure before Route 53 does: 14 of 16."""
        return self.checkers - self.checkers * _GREEN_PERCENT // 100

    @property
    def answers(self) -> tuple[tuple[float, float], ...]:
        """The share of the clients, and how long their resolvers keep an answer, for each kind of resolver."""
        kinds = ((1 - self.stale_share, float(self.ttl)), (self.stale_share, self.stale_seconds))
        return tuple(kind for kind in kinds if kind[0] > 0)


def of_config(config: Config, fault: Fault) -> Settings:
    """The settings of a project, for a site that had all of the traffic."""
    return Settings(
        interval=config.health_check.interval,
        threshold=config.health_check.threshold,
        ttl=ALIAS_TTL if has_fixed_ttl(config) else config.ttl,
        fault=fault,
    )


def has_fixed_ttl(config: Config) -> bool:
    """Whether the TTL of the project's record is AWS's to choose."""
    return config.record_type is RecordType.ALIAS


def shares(config: Config) -> dict[str, float]:
    """The part of the traffic that each site has while all are well."""
    total = sum(site.weight for site in config.sites)
    return {site.name: site.weight / total for site in config.sites}
