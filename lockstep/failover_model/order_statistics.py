"""The k-th smallest of n independent numbers, each uniform on (0, 1): a beta distribution with whole parameters.

So its distribution function is a sum of binomial terms, and nothing has to be integrated numerically.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class OrderStatistic:
    """The `rank`-th smallest of `count` numbers."""

    rank: int
    count: int

    @property
    def mean(self) -> float:
        """Its expected value."""
        return self.rank / (self.count + 1)

    @property
    def deviation(self) -> float:
        """Its standard deviation."""
        return math.sqrt(self.mean * (1 - self.mean) / (self.count + 2))

    def below(self, x: float) -> float:
        """The probability that it is at most `x`: that `rank` or more of the numbers are."""
        if x <= 0:
            return 0.0
        if x >= 1:
            return 1.0
        return math.fsum(
            math.comb(self.count, number) * x**number * (1 - x) ** (self.count - number)
            for number in range(self.rank, self.count + 1)
        )

    def integral(self, x: float) -> float:
        """The integral of `below` from 0 to `x`: x P(X <= x) - E[X; X <= x].

        Weighted with its own value, the k-th of n is distributed as the next one of one number more.
        """
        weighted = OrderStatistic(self.rank + 1, self.count + 1)
        return x * self.below(x) - self.mean * weighted.below(x)
