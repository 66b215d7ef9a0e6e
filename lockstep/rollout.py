"""What `lockstep preview` and `lockstep up` share: run every stack in order, sum up, and say how it ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi.automation.errors import CommandError, ConcurrentUpdateError

from lockstep import console
from lockstep.automation import OperationReport, StackOperations, lock_holders
from lockstep.errors import (
    FailedUnchangedError,
    IncompleteError,
    InterruptedUpdateError,
    InvalidInputError,
    LockstepError,
    RefusedError,
    RegionUnreachableError,
)
from lockstep.progress import StackProgress
from lockstep.stacks import run_in_order

# What botocore, pulumi-aws and the engine say when nothing answers at an endpoint, or at the sandbox's provider.
_UNREACHABLE = (
    "doesn't answer",
    "Could not connect to the endpoint URL",
    "connection refused",
    "did not begin responding to RPC connections",
)


@dataclass(frozen=True)
class Outcome:
    """How every stack of one command ended; a stack that wasn't run has no report."""

    stacks: Sequence[str]
    reports: Mapping[str, OperationReport]

    @property
    def failed(self) -> list[OperationReport]:
        """The reports of the stacks that failed."""
        return [report for report in self.reports.values() if report.failure is not None]

    @property
    def skipped(self) -> list[str]:
        """The stacks that weren't run, because one that they need failed."""
        return [name for name in self.stacks if name not in self.reports]

    @property
    def totals(self) -> dict[str, int]:
        """How many resources each stack that was run has."""
        return {name: report.seen for name, report in self.reports.items()}

    @property
    def changes(self) -> int:
        """How many resources were, or would be, created, updated, replaced or deleted."""
        return sum(sum(report.changes.values()) for report in self.reports.values())

    def as_json(self) -> dict[str, Any]:
        """The outcome as data: per stack `result`, `changes` by operation, `policies`, `errors`, `warnings`."""
        stacks: dict[str, Any] = {}
        for name in self.stacks:
            report = self.reports.get(name)
            if report is None:
                stacks[name] = {"result": "skipped"}
                continue
            stacks[name] = {
                "result": "succeeded" if report.failure is None else "failed",
                "changes": report.changes,
                "policies": [
                    {"policy": each.policy, "level": each.level, "message": each.message, "urn": each.urn}
                    for each in report.policies
                ],
                "errors": report.errors,
                "warnings": report.warnings,
            }
        return {"stacks": stacks}


def check_stacks(operations: StackOperations, stacks: Sequence[str]) -> None:
    """Raise InvalidInputError if the backend lacks one of `stacks`, or can't be asked."""
    try:
        missing = operations.missing(stacks)
    except CommandError as error:
        raise InvalidInputError(
            f"the Pulumi backend can't be asked for its stacks: {_last_line(error)}",
            'for the sandbox, run `eval "$(lockstep sandbox env)"`; for AWS, `pulumi login` to your backend',
        ) from error
    if missing:
        commands = "; ".join(f"pulumi stack init {name}" for name in missing)
        raise InvalidInputError(f"the Pulumi backend has no stack {', '.join(missing)}", commands)


def run_all(
    what: str,
    needs: Mapping[str, frozenset[str]],
    operation: Callable[[str], OperationReport],
    progress: StackProgress,
    expected: Mapping[str, int] | None = None,
) -> Outcome:
    """Run `operation` on every stack as their references allow, with progress."""

    def work(name: str) -> OperationReport:
        progress.begin(name, (expected or {}).get(name))
        report = operation(name)
        progress.end(name, f"{what} failed" if report.failure else _in_words(report.changes, done=what == "up"))
        return report

    with progress:
        reports = run_in_order(needs, work, lambda report: report.failure is None)
    return Outcome(tuple(needs), reports)


def show(outcome: Outcome, *, as_json: bool, advisories: bool = False) -> None:
    """The outcome on stdout, as a table or as JSON; what the policies and the engine said on stderr.

    Advisories, of which a first run has many, are only counted unless they are wanted.
    """
    if as_json:
        console.data_json(outcome.as_json())
    else:
        console.table(*_table(outcome))
    _show_notices(outcome, advisories)


def show_aside(outcome: Outcome) -> None:
    """The outcome on stderr, for a command whose stdout is one JSON document about something else."""
    for row in _table(outcome)[1]:
        console.progress("  ".join(row))
    _show_notices(outcome, advisories=False)


def _table(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    operations = ("create", "update", "replace", "delete")
    rows = []
    for name in outcome.stacks:
        report = outcome.reports.get(name)
        result = "not run" if report is None else "failed" if report.failure else "ok"
        counts = report.changes if report else {}
        rows.append([name, result, *(f"{counts.get(operation, 0)}" for operation in operations)])
    return ["stack", "result", *operations], rows


def _show_notices(outcome: Outcome, advisories: bool) -> None:
    """What the policies and the engine said, on stderr; of `advisories` only the number, unless they are wanted."""
    for report in outcome.reports.values():
        shown = report.policies if advisories else report.violations
        for finding in shown:
            # The SDK puts the policy's description in front of each message.
            said = finding.message.partition("\n")[2].strip() or finding.message
            console.progress(f"{report.stack}: {finding.level} policy {finding.policy}: {said}")
        if left := len(report.policies) - len(shown):
            console.progress(f"{report.stack}: advisories: {left}; `lockstep preview` shows them")
        for text in report.errors:
            console.progress(f"{report.stack}: {text}")
        for text in report.warnings:
            console.warning(f"{report.stack}: {text}")


def preview_error(operations: StackOperations, outcome: Outcome) -> LockstepError | None:
    """Why the previews don't allow an update; None if they do. Nothing was changed in any case."""
    if operations.runner.interrupted:
        return InterruptedUpdateError("interrupted; nothing was changed")
    violating = [report.stack for report in outcome.reports.values() if report.violations]
    if violating:
        return RefusedError(
            f"mandatory policies reject {', '.join(violating)}; nothing was changed",
            "do what each message above says, then `lockstep preview`",
        )
    if outcome.failed:
        return _failure(outcome, FailedUnchangedError, "nothing was changed", "correct it, then `lockstep preview`")
    return None


def update_error(operations: StackOperations, outcome: Outcome) -> LockstepError | None:
    """How an update that didn't succeed leaves things; None if it did."""
    changed = [report.stack for report in outcome.reports.values() if report.changed]
    left = f"{', '.join(changed)} changed in part or whole" if changed else "nothing was changed"
    if operations.runner.interrupted:
        return InterruptedUpdateError(f"interrupted; {left}", "lockstep up")
    if not outcome.failed:
        return None
    if changed or outcome.skipped == []:
        return _failure(outcome, IncompleteError if changed else FailedUnchangedError, left, "lockstep up")
    return _failure(outcome, FailedUnchangedError, left, "correct it, then `lockstep up`")


def _failure(outcome: Outcome, kind: type[LockstepError], left: str, remedy: str) -> LockstepError:
    names = ", ".join(report.stack for report in outcome.failed)
    causes = [text for report in outcome.failed for text in (*report.errors, _last_line(report.failure))]
    locked = [report for report in outcome.failed if isinstance(report.failure, ConcurrentUpdateError)]
    if locked:
        holders = lock_holders(str(locked[0].failure))
        changed = any(report.changed for report in outcome.reports.values())
        return (IncompleteError if changed else RefusedError)(
            f"another operation runs on {locked[0].stack} ({holders}); {left}",
            f"wait for it; if it is gone for good, `pulumi cancel --stack {locked[0].stack}`; then run this again",
        )
    if any(mark in cause for mark in _UNREACHABLE for cause in causes):
        return RegionUnreachableError(
            f"AWS doesn't answer on {names}; {left}", "in the sandbox, `lockstep sandbox status`; then run this again"
        )
    summary = causes[0].splitlines()[0] if causes else "no reason was given"
    return kind(f"{names} failed ({summary}); {left}", remedy)


def _last_line(error: Exception | None) -> str:
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")


_DONE = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}


def _in_words(changes: Mapping[str, int], *, done: bool) -> str:
    counted = (
        f"{count} {_DONE.get(operation, operation)}" if done else f"{count} to {operation}"
        for operation, count in sorted(changes.items())
    )
    return ", ".join(counted) or "no changes"
