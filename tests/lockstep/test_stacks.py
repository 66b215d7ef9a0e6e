"""The order in which stacks come up."""

import threading

from lockstep.stacks import dependencies, run_in_order


def test_sites_wait_for_the_source_and_global_for_all() -> None:
    """A replica can't be made before its source, nor a record before its balancer."""
    assert dependencies(["a", "b", "c"], source="b") == {
        "a": frozenset({"b"}),
        "b": frozenset(),
        "c": frozenset({"b"}),
        "global": frozenset({"a", "b", "c"}),
    }


def test_sites_without_a_source_wait_for_nobody() -> None:
    """Waiting would double the time of every `up`."""
    assert dependencies(["a", "b"]) == {"a": frozenset(), "b": frozenset(), "global": frozenset({"a", "b"})}


def test_independent_stacks_run_at_once() -> None:
    """Each waits until the other has started, which only works in parallel."""
    meeting = threading.Barrier(2, timeout=10)

    def work(name: str) -> str:
        if name != "global":
            meeting.wait()
        return name

    results = run_in_order(dependencies(["a", "b"]), work, lambda _: True)
    assert results == {"a": "a", "b": "b", "global": "global"}
    assert list(results)[-1] == "global"


def test_a_stack_whose_need_failed_is_not_run() -> None:
    """Traffic must not be joined to a site that isn't there."""
    ran: list[str] = []

    def work(name: str) -> bool:
        ran.append(name)
        return name != "a"

    results = run_in_order(dependencies(["a", "b"]), work, bool)
    assert results == {"a": False, "b": True}
    assert sorted(ran) == ["a", "b"]
