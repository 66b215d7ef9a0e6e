"""How events become a report, and when a lock may be removed."""

import os
import socket
import subprocess

import pytest
from pulumi.automation import EngineEvent

from lockstep.automation import OperationReport, _with_taken, lock_is_dead


def lock(pid: int, host: str = socket.gethostname()) -> str:
    return (
        "the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock "
        f"file with `pulumi cancel`.\n  file:///b/x.json: created by ops@{host} (pid {pid}) at 2026-01-01T00:00:00Z"
    )


@pytest.fixture
def dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_lock_of_a_dead_process_is_dead(dead: int) -> None:
    """Otherwise every killed update needs a person who knows `pulumi cancel`."""
    assert lock_is_dead(lock(dead))


def test_lock_of_a_process_nobody_has_reaped_is_dead() -> None:
    """It still answers to signals, and will never finish its update."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert lock_is_dead(lock(process.pid))
    process.wait()


def test_lock_of_a_living_process_is_not_touched() -> None:
    """Two updates of one stack at once lose each other's resources."""
    assert not lock_is_dead(lock(os.getpid()))


def test_lock_of_another_machine_is_not_touched(dead: int) -> None:
    """Nothing here can tell whether that machine still works."""
    assert not lock_is_dead(lock(dead, "elsewhere"))


def test_one_living_holder_is_enough(dead: int) -> None:
    """`pulumi cancel` removes all locks of a stack."""
    assert not lock_is_dead(lock(dead) + "\n" + lock(os.getpid()))


def test_other_errors_are_not_locks() -> None:
    """A backend that doesn't answer must not look like one that is free."""
    assert not lock_is_dead("error: could not list bucket")


def event(**data: object) -> EngineEvent:
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **data})


def outputs(op: str) -> EngineEvent:
    metadata = {"op": op, "urn": "urn:pulumi:s::p::t::n", "type": "t", "provider": ""}
    return event(resOutputsEvent={"metadata": metadata})


def test_report_counts_what_changed() -> None:
    """Exit 5 (as before) and exit 6 (half way) hang on it."""
    report = OperationReport("primary")
    for op in ("same", "create", "update", "refresh", "delete"):
        report.note(outputs(op))
    assert (report.seen, report.changed) == (5, 3)


def test_report_keeps_mandatory_findings_apart() -> None:
    """An advisory must not stop an update, a violation must."""
    report = OperationReport("primary")
    for level in ("advisory", "mandatory"):
        report.note(
            event(
                policyEvent={
                    "message": f"{level} text\n", "color": "never", "policyName": "p", "policyPackName": "k",
                    "policyPackVersion": "1", "policyPackVersionTag": "1", "enforcementLevel": level,
                }
            )
        )  # fmt: skip
    assert [finding.message for finding in report.violations] == ["mandatory text"]
    assert len(report.policies) == 2


def test_report_keeps_errors_and_leaves_passing_messages_out() -> None:
    """What the engine shows only while it works isn't what went wrong."""
    report = OperationReport("primary")
    for severity, ephemeral in (("error", False), ("warning", False), ("info", False), ("error", True)):
        message = {"message": f"{severity} {ephemeral}", "color": "never", "severity": severity, "ephemeral": ephemeral}
        report.note(event(diagnosticEvent=message))
    assert (report.errors, report.warnings) == (["error False"], ["warning False"])


def test_operation_that_failed_in_part_counts_as_a_change() -> None:
    """A balancer whose tags failed exists; "everything is as before" would be a lie."""
    report = OperationReport("primary")
    metadata = {"op": "update", "urn": "urn:pulumi:s::p::t::n", "type": "t", "provider": ""}
    for status in (0, 1, 2):
        report.note(event(resOpFailedEvent={"metadata": metadata, "status": status, "steps": 1}))
    assert report.changed == 2


def test_taken_resource_joins_the_state() -> None:
    """Left out, it would be created a second time."""
    merged = _with_taken([{"urn": "a", "id": "1"}], {"b": {"urn": "b", "id": "2"}})
    assert merged == [{"urn": "a", "id": "1"}, {"urn": "b", "id": "2"}]


def test_taken_replacement_leaves_the_old_resource_to_be_deleted() -> None:
    """Two living resources of one name are no state that Pulumi accepts, and the old one must not be forgotten."""
    old: list[dict[str, object]] = [
        {"urn": "a", "id": "1"},
        {"urn": "a", "id": "0", "delete": True},
        {"urn": "c", "id": "3"},
    ]
    merged = _with_taken(old, {"a": {"urn": "a", "id": "2"}})
    assert merged == [
        {"urn": "a", "id": "2"},
        {"urn": "a", "id": "1", "delete": True},
        {"urn": "a", "id": "0", "delete": True},
        {"urn": "c", "id": "3"},
    ]


def test_taken_replacement_of_what_was_deleted_first_takes_its_place() -> None:
    """Its entry names an id that AWS no longer has."""
    old: list[dict[str, object]] = [{"urn": "a", "id": "1", "pendingReplacement": True}]
    assert _with_taken(old, {"a": {"urn": "a", "id": "2"}}) == [{"urn": "a", "id": "2"}]
