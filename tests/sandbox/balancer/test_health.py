"""How the health of a target follows from its checks."""

import pytest

from sandbox.balancer.configuration import HealthCheck
from sandbox.balancer.health import CHECKING, FAILED, HEALTHY, REGISTERING, TIMED_OUT, Health, mismatch, next_health

CHECK = HealthCheck(
    enabled=True, path="/", port=None, interval=10, timeout=5, healthy=3, unhealthy=2, matcher="200,202-204"
)


def after(*results: Health, start: Health = REGISTERING) -> Health:
    """The health after `results`, one after the other."""
    now, seen = start, []
    for result in results:
        seen.append(result)
        now = next_health(CHECK, now, seen)
    return now


def test_a_new_target_needs_one_good_check() -> None:
    """User Guide, "Health checks for your target groups": else a deployment waits for the threshold on each target."""
    assert after(HEALTHY) == HEALTHY


def test_a_new_target_that_fails_is_initial_until_the_threshold() -> None:
    """A machine that boots would count as unhealthy from its first second."""
    assert after(FAILED) == CHECKING
    assert after(FAILED, FAILED) == FAILED


def test_one_bad_check_changes_nothing() -> None:
    """A lost packet would take a target out of service."""
    assert after(FAILED, HEALTHY, FAILED, start=HEALTHY) == HEALTHY
    assert after(FAILED, TIMED_OUT, start=HEALTHY) == TIMED_OUT


def test_an_unhealthy_target_needs_as_many_good_checks_as_the_threshold() -> None:
    """One good answer of a target that flaps would get it requests again."""
    sick = mismatch(503)
    assert after(HEALTHY, HEALTHY, start=sick) == sick
    assert after(HEALTHY, HEALTHY, FAILED, HEALTHY, HEALTHY, start=sick) == sick
    assert after(HEALTHY, HEALTHY, HEALTHY, start=sick) == HEALTHY


def test_the_reason_is_that_of_the_latest_check() -> None:
    """API Reference, TargetHealth: who looks at it looks for what is wrong now."""
    assert after(FAILED, mismatch(500)).description == "Health checks failed with these codes: [500]"


@pytest.mark.parametrize(("status", "good"), [(200, True), (201, False), (202, True), (204, True), (205, False)])
def test_a_matcher_has_numbers_and_ranges(status: int, good: bool) -> None:
    """API Reference, Matcher."""
    assert CHECK.accepts(status) is good
