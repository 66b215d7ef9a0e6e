"""How a command sums up what happened on all stacks, and with which exit code it ends."""

from typing import Any

import pytest
from pulumi.automation import CommandResult
from pulumi.automation.errors import CommandError, ConcurrentUpdateError

from lockstep import rollout
from lockstep.automation import OperationReport, PolicyFinding
from lockstep.errors import ExitCode
from lockstep.rollout import Outcome

STACKS = ("primary", "secondary", "global")


class Operations:
    """All that the summing up asks of the operations: whether the user interrupted them."""

    def __init__(self, *, interrupted: bool = False) -> None:
        self.runner = self
        self.interrupted = interrupted


def failure(text: str = "error: it broke", kind: type[CommandError] = CommandError) -> CommandError:
    return kind(CommandResult(stdout="", stderr=text, code=255))


def report(stack: str, **values: Any) -> OperationReport:
    return OperationReport(stack, **values)


def outcome(*reports: OperationReport) -> Outcome:
    return Outcome(STACKS, {each.stack: each for each in reports})


def code(error: Any) -> ExitCode:
    assert error is not None
    return ExitCode(error.exit_code)


def update_error(*reports: OperationReport, interrupted: bool = False) -> Any:
    operations: Any = Operations(interrupted=interrupted)
    return rollout.update_error(operations, outcome(*reports))


def preview_error(*reports: OperationReport, interrupted: bool = False) -> Any:
    operations: Any = Operations(interrupted=interrupted)
    return rollout.preview_error(operations, outcome(*reports))


def test_success_is_no_error() -> None:
    """Anything else than exit 0 stops a pipeline."""
    assert update_error(*(report(name, changed=3) for name in STACKS)) is None
    assert preview_error(*(report(name) for name in STACKS)) is None


def test_failure_before_any_change_is_as_before() -> None:
    """Exit 5 promises that nothing has to be looked at."""
    assert code(update_error(report("primary", failure=failure()))) is ExitCode.FAILED_UNCHANGED


@pytest.mark.parametrize(
    "reports",
    [
        (report("primary", failure=failure(), changed=1),),
        (report("primary", failure=failure()), report("secondary", changed=5)),
    ],
)
def test_failure_after_a_change_is_incomplete(reports: tuple[OperationReport, ...]) -> None:
    """Exit 6 says that something is left to settle, also when it was the other site that changed."""
    error = update_error(*reports)
    assert code(error) is ExitCode.INCOMPLETE
    assert "lockstep up" in error.remedy


def test_mandatory_policy_refuses_whatever_else_failed() -> None:
    """The engine reports a violated policy as a failed preview; the cause is the policy."""
    finding = PolicyFinding("traffic-fails-over", "mandatory", "no check", "urn")
    error = preview_error(report("global", policies=[finding], failure=failure()))
    assert code(error) is ExitCode.REFUSED
    assert "global" in error.message


def test_advisory_policy_refuses_nothing() -> None:
    """The first preview of an empty account has many."""
    assert preview_error(report("global", policies=[PolicyFinding("p", "advisory", "later", "")])) is None


@pytest.mark.parametrize(
    "text",
    [
        "the sandbox's API at http://127.0.0.1:1 doesn't answer",
        "plugin [aws] did not begin responding to RPC connections",
    ],
)
def test_unreachable_aws_has_its_own_code(text: str) -> None:
    """A script may wait for a region, and must not wait for a bug."""
    error = update_error(report("primary", failure=failure(), errors=[text]))
    assert code(error) is ExitCode.REGION_UNREACHABLE


def test_lock_of_another_update_refuses_and_names_its_holder() -> None:
    """Waiting is enough, and `pulumi cancel` on a living one loses resources."""
    text = "the stack is currently locked by 1 lock(s)\n  file:///x: created by ops@build-7 (pid 42) at 2026-01-01"
    error = update_error(report("primary", failure=failure(text, ConcurrentUpdateError)))
    assert code(error) is ExitCode.REFUSED
    assert "process 42 on build-7" in error.message
    changed = update_error(
        report("primary", failure=failure(text, ConcurrentUpdateError)), report("secondary", changed=1)
    )
    assert code(changed) is ExitCode.INCOMPLETE


def test_interruption_says_what_had_changed() -> None:
    """Whoever pressed Ctrl-C wants to know whether there is something to undo."""
    error = update_error(report("primary", failure=failure(), changed=2), interrupted=True)
    assert code(error) is ExitCode.INTERRUPTED
    assert "primary changed" in error.message
    assert "nothing was changed" in preview_error(interrupted=True).message


def test_json_names_every_stack_and_its_result() -> None:
    """A stack that is missing from the data looks like one that is fine."""
    data = outcome(report("primary", changes={"create": 2}), report("secondary", failure=failure())).as_json()["stacks"]
    assert {name: each["result"] for name, each in data.items()} == {
        "primary": "succeeded",
        "secondary": "failed",
        "global": "skipped",
    }
    assert data["primary"]["changes"] == {"create": 2}


def test_table_goes_to_stdout_and_findings_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """`lockstep preview | grep` works on the table; messages are for the person."""
    findings = [
        PolicyFinding("p", "advisory", "Description.\nnot known yet", "urn"),
        PolicyFinding("q", "mandatory", "bad", ""),
    ]
    rollout.show(outcome(report("primary", policies=findings, warnings=["w"])), as_json=False)
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["stack", *STACKS]
    assert "mandatory policy q: bad" in err
    assert "advisories: 1;" in err
    assert "not known yet" not in err
    rollout.show(outcome(report("primary", policies=findings)), as_json=False, advisories=True)
    assert "advisory policy p: not known yet" in capsys.readouterr().err
