"""What an instance refresh does next, decided from facts."""

from dataclasses import replace

import pytest

from sandbox.api.instance_refresh_steps import (
    Bounds,
    Facts,
    Instance,
    Part,
    Stand,
    bounds,
    next_step,
    reason,
    scale_in,
    shrink,
    surplus,
)


def group(letters: str, desired: int, low: int = 100, high: int | None = 200, **more: object) -> Facts:
    """Facts of a group: o old, p protected, x failing; s starting, w warming, n new; k kept, f kept and failing.

    In the order of their launch; an instance's id is its letter and its place.
    """
    made = {
        "o": Instance(id="", part=Part.OLD),
        "p": Instance(id="", part=Part.OLD, held=True),
        "x": Instance(id="", part=Part.OLD, ready=False),
        "s": Instance(id="", part=Part.NEW, ready=False, warm=False),
        "w": Instance(id="", part=Part.NEW, warm=False),
        "n": Instance(id="", part=Part.NEW),
        "k": Instance(id="", part=Part.KEPT),
        "f": Instance(id="", part=Part.KEPT, ready=False),
    }
    instances = tuple(replace(made[letter], id=f"{letter}{place}") for place, letter in enumerate(letters))
    facts = Facts(desired=desired, bounds=bounds(desired, low, high), instances=instances)
    return replace(facts, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("desired", "low", "high", "wanted"),
    [
        (10, 90, None, Bounds(least=9, most=10)),
        # Rounded up, and yet one at a time.
        (4, 90, None, Bounds(least=3, most=4)),
        (1, 100, None, Bounds(least=0, most=1)),
        (4, 0, None, Bounds(least=0, most=4)),
        (4, 100, 200, Bounds(least=4, most=8)),
        (10, 90, 105, Bounds(least=9, most=10)),
        # No room between the two: one more than the minimum.
        (4, 100, 100, Bounds(least=4, most=5)),
        (4, 95, 105, Bounds(least=4, most=5)),
        (0, 100, None, Bounds(least=0, most=0)),
    ],
)
def test_percentages_are_of_the_desired_capacity(desired: int, low: int, high: int | None, wanted: Bounds) -> None:
    """A group that is one instance short while it is rolled answers too slowly or not at all."""
    assert bounds(desired, low, high) == wanted


@pytest.mark.parametrize(
    ("letters", "low", "high", "terminate", "launch"),
    [
        # Launch before terminate: nothing old goes before something new is warm.
        ("oooo", 100, 200, (), 4),
        ("oooossss", 100, 200, (), 0),
        ("oooowwww", 100, 200, (), 0),
        ("oooonwww", 100, 200, ("o0",), 0),
        ("oooonnnn", 100, 200, ("o0", "o1", "o2", "o3"), 0),
        ("oooo", 100, 100, (), 1),
        ("oooow", 100, 100, (), 0),
        # The one that goes makes room for the next.
        ("oooon", 100, 100, ("o0",), 1),
        # One ends while its replacement starts.
        ("oooo", 90, None, ("o0",), 1),
        ("ooow", 90, None, (), 0),
        ("ooon", 90, None, ("o0",), 1),
        ("oooo", 0, None, ("o0", "o1", "o2", "o3"), 4),
        # As many as there is range at the same time.
        ("oooo", 50, 150, ("o0", "o1"), 4),
        # What doesn't serve goes first, if enough others serve.
        ("oxoo", 50, None, ("x1", "o0"), 2),
        # A balancer that knows nothing of its targets yet is no reason to end them all.
        ("xxxx", 100, 200, (), 4),
    ],
)
def test_replacements_stay_within_the_bounds(
    letters: str, low: int, high: int | None, terminate: tuple[str, ...], launch: int
) -> None:
    """Old instances that go before the new ones serve are requests that fail during every deployment."""
    step = next_step(group(letters, 4, low, high))
    assert (step.stand, step.terminate, step.launch) == (Stand.REPLACING, terminate, launch)


def test_replacements_for_unhealthy_instances_count() -> None:
    """Auto Scaling launches them, not the refresh; else the group would be too large until the next checkpoint."""
    assert next_step(group("oooonn", 4, 50, 150, checkpoints=(25, 100))).terminate == ("o0", "o1")


def test_a_failing_replacement_leaves_the_rest_of_the_group_alone() -> None:
    """A release that doesn't start takes the instances of the old one down with it."""
    for letters in ("ooos", "oooossss"):
        low, high = (90, None) if len(letters) == 4 else (100, 200)
        step = next_step(group(letters, 4, low, high))
        assert (step.terminate, step.launch) == ((), 0)


def test_a_rollback_ends_what_fails_at_once_and_launches_no_more_than_are_missing() -> None:
    """A rollback that waits for instances which never get healthy takes an hour."""
    step = next_step(group("kkkkxxxx", 4))
    assert (step.terminate, step.launch) == (("x4", "x5", "x6", "x7"), 0)
    step = next_step(group("kkxx", 4, 50, None))
    assert (step.terminate, step.launch) == (("x2", "x3"), 2)
    # Its new instances serve: they go when the old version's do.
    assert next_step(group("kkoo", 4)).launch == 2
    assert next_step(group("kkoossn", 4)).terminate == ("o2",)


def test_nothing_to_replace_is_done() -> None:
    """A refresh that skips what matches would otherwise wait for instances nobody launches."""
    assert next_step(group("kkkk", 4)).stand is Stand.DONE
    assert next_step(group("", 0)).stand is Stand.DONE
    assert next_step(group("kkff", 4)).stand is Stand.DONE
    assert next_step(group("kkkk", 4, leaving=1)).stand is Stand.FINISHING


def test_done_is_when_the_old_ones_are_gone_and_the_new_ones_warm() -> None:
    """Success that is said too early has the next step of a deployment meet instances that don't serve yet."""
    assert next_step(group("nnnw", 4)).stand is Stand.REPLACING
    assert next_step(group("nnnno", 4)).stand is Stand.REPLACING
    assert next_step(group("nnnn", 4, leaving=1)).stand is Stand.FINISHING
    assert next_step(group("nnnn", 4)).stand is Stand.DONE
    # An instance that Auto Scaling couldn't launch is missing.
    assert next_step(group("nnn", 4)).stand is Stand.REPLACING


def test_a_checkpoint_stops_the_replacing_until_its_delay_is_over() -> None:
    """Without the stop there is no canary: all instances run a release before anyone could see that it is bad."""
    canary = group("oooo", 4, checkpoints=(25, 100), delay=60.0)
    assert next_step(canary).launch == 1
    assert next_step(replace(canary, instances=group("oooow", 4).instances)).launch == 0
    assert next_step(replace(canary, instances=group("oooon", 4).instances)).terminate == ("o0",)
    reached = replace(canary, instances=group("ooon", 4).instances)
    assert next_step(reached).stand is Stand.WAITING
    assert next_step(replace(reached, waited=59.0)).launch == 0
    after = next_step(replace(reached, waited=60.0))
    assert (after.stand, after.checkpoint, after.launch) == (Stand.REPLACING, 1, 3)


def test_a_checkpoint_that_is_passed_with_the_next_one_is_skipped() -> None:
    """User Guide, "Add checkpoints", Considerations: two instances and [10,40,100] wait once, not twice."""
    step = next_step(group("on", 2, checkpoints=(10, 40, 100), delay=60.0))
    assert (step.stand, step.checkpoint) == (Stand.WAITING, 1)
    # The time at the first one doesn't count for the second.
    assert next_step(group("on", 2, checkpoints=(10, 40, 100), delay=60.0, waited=99.0)).stand is Stand.WAITING
    waited = group("on", 2, checkpoints=(10, 40, 100), checkpoint=1, delay=60.0, waited=60.0)
    assert next_step(waited).checkpoint == 2


def test_the_last_checkpoint_ends_the_refresh_without_a_wait() -> None:
    """A partial refresh would stand for an hour more, or go on to the instances it was to leave alone."""
    half = group("oonn", 4, checkpoints=(25, 50), checkpoint=1, delay=3600.0)
    assert next_step(half).stand is Stand.DONE
    assert next_step(group("nnnn", 4, checkpoints=(25, 100), checkpoint=1, delay=3600.0)).stand is Stand.DONE


def test_a_group_that_grows_reaches_its_checkpoint_again() -> None:
    """User Guide, "Add checkpoints", Considerations: the share that was proved must be the share that is meant."""
    waiting = group("ooooooooonn", 10, checkpoints=(20, 100), delay=60.0, waited=30.0)
    grown = replace(waiting, desired=20, bounds=bounds(20, 100, 200))
    assert next_step(grown).stand is Stand.REPLACING
    assert next_step(grown).launch == 2


def test_instances_protected_from_scale_in_are_waited_for() -> None:
    """Ending them breaks work that was promised to go on; launching for them makes a group of twice the size."""
    step = next_step(group("ppoo", 4))
    assert (step.terminate, step.launch) == ((), 2)
    stuck = group("ppnn", 4)
    assert (next_step(stuck).terminate, next_step(stuck).launch) == ((), 0)
    assert "p0" in reason(stuck, next_step(stuck))
    assert stuck.percentage == 50


def test_a_scale_in_during_a_wait_takes_one_that_serves_more_than_needed() -> None:
    """A wait of an hour would keep instances that somebody has turned off."""
    assert scale_in(group("ooon", 2)) == ("o2", "o1")
    # One that is being replaced as unhealthy, and its replacement, are Auto Scaling's.
    assert scale_in(group("nnnfs", 4)) == ()
    assert next_step(group("ooon", 4, checkpoints=(25, 100))).terminate == ()


@pytest.mark.parametrize(
    ("letters", "desired", "number", "gone"),
    [
        # Those that don't serve first, then the old ones, the newest of them.
        ("ooosn", 3, 1, ("s3",)),
        ("ooon", 2, 2, ("o2", "o1")),
        ("ooonnn", 2, 1, ("o2",)),
        # Never below what is wanted, nor one that is protected.
        ("oon", 2, 2, ("o1",)),
        ("ppn", 1, 2, ("n2",)),
        ("ooo", 4, -1, ()),
        ("oooonnnn", 4, 0, ()),
    ],
)
def test_a_scale_in_while_it_stands_still_takes_as_many_as_are_wanted_less(
    letters: str, desired: int, number: int, gone: tuple[str, ...]
) -> None:
    """More, and what is paused would go on; fewer, and the group would be paid for at its old size."""
    assert shrink(group(letters, desired), number) == gone


def test_a_refresh_that_ends_leaves_the_instances_that_serve() -> None:
    """Ending the oldest version first, as Auto Scaling does, would end the only ones that work: an outage."""
    assert surplus(group("oooossss", 4)) == ("s7", "s6", "s5", "s4")
    assert surplus(group("oooonwww", 4)) == ("w7", "w6", "w5", "o3")
    assert surplus(group("oooo", 4)) == ()
    assert surplus(group("pps", 2)) == ("s2",)


@pytest.mark.parametrize(
    ("letters", "percentage", "left"),
    [
        # A real one: three quarters in service, one updated and one that warms up.
        ("oonw", 25, 2),
        ("oooo", 0, 4),
        ("oooonnnn", 100, 0),
        ("kkon", 50, 1),
        ("kkkk", 100, 0),
        ("oonnnnn", 100, 0),
    ],
)
def test_progress_counts_warm_replacements(letters: str, percentage: int, left: int) -> None:
    """Whoever waits for a canary goes by the percentage."""
    facts = group(letters, 4)
    assert (facts.percentage, facts.left) == (percentage, left)


def test_progress_is_what_gets_better() -> None:
    """Instances that fail and are replaced over and over would keep a refresh alive for two weeks."""
    order = ["oooo", "oooos", "oooow", "oooon", "ooon", "ooonw", "ooonn"]
    scores = [group(each, 4).score for each in order]
    assert scores == sorted(scores)
    assert scores[0] == scores[1]
    assert len(set(scores)) == len(scores) - 1


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("ooow", "Waiting for instances to warm up before continuing. For example: w3 is warming up."),
        ("ooos", "to pass their health checks before continuing. For example: s3"),
        ("oooo", ""),
    ],
)
def test_the_reason_names_an_instance(letters: str, words: str) -> None:
    """A refresh that stands without a reason is looked for in the wrong place."""
    facts = group(letters, 4, 75, None)
    assert words in reason(facts, next_step(facts))
    waiting = group("ooon", 4, checkpoints=(25, 100), delay=60.0)
    assert "60 seconds at the checkpoint of 25 percent" in reason(waiting, next_step(waiting))
    ending = group("nnnn", 4, leaving=2)
    assert "terminate" in reason(ending, next_step(ending))
