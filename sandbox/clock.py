"""How fast the sandbox's time runs: one factor for every timer of the sandbox, 1 being honest.

A timer is written in AWS's seconds and waited for in real ones, `real(seconds)`. Work (a process that starts, a package
that unpacks, a request) takes what it takes at any speed.
"""

import os
from typing import Final

VARIABLE: Final = "LOCKSTEP_SANDBOX_SPEED"
DEFAULT: Final = 1.0
# Beyond this, starting a process takes longer than a health check's interval.
FASTEST: Final = 60.0


def parse(text: str) -> float:
    """The factor that `text` gives. Raises ValueError if it isn't a number from 1 to `FASTEST`."""
    speed = float(text)
    if not DEFAULT <= speed <= FASTEST:
        raise ValueError(f"{text} isn't from {DEFAULT:g} to {FASTEST:g}")
    return speed


SPEED: Final = parse(os.environ.get(VARIABLE) or str(DEFAULT))


def real(seconds: float) -> float:
    """How many real seconds `seconds` of AWS's take here."""
    return seconds / SPEED


def simulated(seconds: float) -> float:
    """How many of AWS's seconds pass in `seconds` real ones."""
    return seconds * SPEED
