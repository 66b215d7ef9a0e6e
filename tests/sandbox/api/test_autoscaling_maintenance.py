"""While unhealthy instances are replaced, a group keeps to its instance maintenance policy."""

import pytest

from sandbox.api.autoscaling_maintenance import Bounds, bounds_of, ending


@pytest.mark.parametrize(
    ("low", "high", "desired", "least", "most"),
    [
        (90, 110, 10, 9, 11),
        (100, 200, 3, 3, 6),
        # Launching first needs one more, though 110 % of 2 is less than 3.
        (100, 110, 2, 2, 3),
        (50, 100, 4, 2, 5),
        (0, 100, 0, 0, 1),
    ],
)
def test_percentages_become_numbers_that_leave_room_for_one(
    low: int, high: int, desired: int, least: int, most: int
) -> None:
    """Rounded down, a small group could never launch before it terminates, and would stand still for ever."""
    policy = {"MinHealthyPercentage": low, "MaxHealthyPercentage": high}
    assert bounds_of(policy, desired) == Bounds(least=least, most=most)


@pytest.mark.parametrize("policy", [None, {}, {"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1}])
def test_no_policy_sets_no_bounds(policy: dict[str, int] | None) -> None:
    """-1 takes a policy away; read as a percentage it would be one."""
    assert bounds_of(policy, 4) is None


@pytest.mark.parametrize(
    ("least", "ready", "unhealthy", "may_end"),
    [
        # Enough are ready: all may go.
        (5, 5, 5, 5),
        # None is ready in addition: none may go.
        (10, 5, 5, 0),
        # One is ready in addition: one may go.
        (10, 6, 5, 1),
        # A replacement that turned unhealthy takes no more room.
        (10, 5, 6, 1),
        (10, 10, 1, 1),
    ],
)
def test_an_unhealthy_instance_may_end_when_another_took_its_place(
    least: int, ready: int, unhealthy: int, may_end: int
) -> None:
    """Ended sooner, a group is smaller than its policy allows; ended never, it grows without end."""
    assert ending(Bounds(least=least, most=11), desired=10, ready=ready, unhealthy=unhealthy) == may_end


def test_without_a_policy_everything_unhealthy_may_end() -> None:
    """AWS terminates and launches at the same time where nothing else is set."""
    assert ending(None, desired=2, ready=0, unhealthy=2) == 2
