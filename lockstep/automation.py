"""Runs the Pulumi engine on the project's stacks through the Automation API.

Three things differ from the Automation API's own command runner. The CLI writes to files instead of pipes, so that an
update goes on to its end (and its state stays whole) when this process is killed. It runs in a session of its own and
is interrupted by us, once, so that a Ctrl-C ends it as Pulumi intends. And the user's selected stack is left alone.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi.automation import (
    CommandResult,
    EngineEvent,
    LocalWorkspace,
    OpType,
    PulumiCommand,
    Stack,
)
from pulumi.automation._stack import StackInitMode
from pulumi.automation.errors import ConcurrentUpdateError, InvalidVersionError, create_command_error
from semver import VersionInfo

from lockstep import console
from lockstep.errors import InterruptedUpdateError, InvalidInputError

Progress = Callable[[str, EngineEvent], None]
# The lock of a self-managed backend, as its error shows it: pulumi/pulumi pkg/backend/diy/lock.go.
_LOCK = re.compile(r"created by \S+@(?P<host>\S+) \(pid (?P<pid>\d+)\)")
# A CLI that is interrupted in one of these says itself what it had done.
_OPERATIONS = {"up", "preview", "refresh"}
_OLDEST = VersionInfo(3, 259, 0)
_UNCHANGED = {OpType.SAME, OpType.READ, OpType.REFRESH}


class StateMovedError(Exception):
    """A stack was changed by another process since its state was read."""


class PulumiRunner(PulumiCommand):
    """The Pulumi CLI, run so that it can be interrupted and outlives us. Thread-safe."""

    def __init__(self, root: Path) -> None:
        """Find the CLI that `make setup` built under `root`, else the one on PATH.

        Set-up builds one only if that on PATH isn't there or is too old. Raises InvalidInputError if there is none.
        """
        built = root / ".tools"
        try:
            if (built / "bin" / "pulumi").exists():
                super().__init__(root=str(built))
            elif shutil.which("pulumi") is not None:
                super().__init__(version=_OLDEST)
            else:
                raise InvalidInputError("the Pulumi CLI is neither on PATH nor in .tools/bin", "make setup")
        except InvalidVersionError as error:
            raise InvalidInputError(f"the Pulumi CLI on PATH is too old: {error}", "make setup") from error
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._interrupted = False

    @property
    def interrupted(self) -> bool:
        """Whether the user asked to stop."""
        return self._interrupted

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """Run one CLI command to its end. Raises CommandError, or a subclass that says what kind of failure it is."""
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        folder = os.path.dirname(self.command)  # noqa: PTH120 - empty for a bare name, where Path says "."
        if folder:
            # The language host beside our CLI is the one that goes with it.
            environment["PATH"] = os.pathsep.join([folder, environment.get("PATH", os.defpath)])
        command = [self.command, "--non-interactive", *args]
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
            with self._lock:
                self._running.add(process)
                if self._interrupted:
                    process.send_signal(signal.SIGINT)
            code = process.wait()
            with self._lock:
                self._running.discard(process)
            texts = []
            for stream in (stdout, stderr):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace").rstrip("\n"))
        result = CommandResult(stdout=texts[0], stderr=texts[1], code=code)
        if code != 0:
            if self._interrupted and args[0] not in _OPERATIONS:
                raise InterruptedUpdateError("interrupted", "run this again")
            raise create_command_error(result)
        return result

    def interrupt(self) -> None:
        """Ask every running operation to end after the calls that are under way; a second time, to end at once."""
        with self._lock:
            self._interrupted = True
            for process in self._running:
                process.send_signal(signal.SIGINT)

    def go_on(self) -> None:
        """Take back an interruption that has been dealt with: what is run now, to undo things, runs to its end."""
        with self._lock:
            self._interrupted = False


class interrupting:  # noqa: N801 - a context manager, used as a function
    """While it lasts, SIGINT and SIGTERM go to the running Pulumi operations instead of ending this process."""

    def __init__(self, runner: PulumiRunner) -> None:
        self._runner = runner
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        def forward(number: int, frame: FrameType | None) -> None:
            self._runner.interrupt()

        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, forward)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Workspace(LocalWorkspace):
    """A workspace that doesn't change which stack the user has selected."""

    def select_stack(self, stack_name: str) -> None:
        """Nothing: every command names its stack, and `stacks_missing` has looked whether it is there."""


def _with_taken(
    resources: Sequence[Mapping[str, Any]], taken: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """`resources` and those `taken`, by URN.

    One that replaces another goes before it, and the old one is marked for deletion; where the old one was deleted
    first, only its entry is left, and goes.
    """
    merged: list[Mapping[str, Any]] = []
    new = dict(taken)
    for each in resources:
        replacement = new.pop(each["urn"], None) if not each.get("delete") else None
        if replacement is None:
            merged.append(each)
            continue
        merged.append(replacement)
        if not each.get("pendingReplacement"):
            merged.append({**each, "delete": True})
    return [*merged, *new.values()]


def lock_holders(error: str) -> str:
    """Who holds the lock, in the words of a backend's `error`."""
    return "; ".join(f"process {each['pid']} on {each['host']}" for each in _LOCK.finditer(error)) or "somebody"


def lock_is_dead(error: str) -> bool:
    """Whether every process that holds the lock shown in a backend's `error` ran on this machine and is gone."""
    holders = list(_LOCK.finditer(error))
    return bool(holders) and all(
        holder["host"] == socket.gethostname() and not _alive(int(holder["pid"])) for holder in holders
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # A process that was killed, and whose parent hasn't noticed yet, still answers to signals.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


@dataclass(frozen=True)
class PolicyFinding:
    """One message of a policy."""

    policy: str
    level: str
    message: str
    urn: str


@dataclass
class OperationReport:
    """What one operation on one stack did, from the engine's events."""

    stack: str
    changes: dict[str, int] = field(default_factory=dict)
    policies: list[PolicyFinding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seen: int = 0
    changed: int = 0
    failure: Exception | None = None

    @property
    def violations(self) -> list[PolicyFinding]:
        """The policies' findings that forbid the update."""
        return [finding for finding in self.policies if finding.level == "mandatory"]

    def note(self, event: EngineEvent) -> None:
        """Take one event into account."""
        if event.policy_event is not None:
            found = event.policy_event
            self.policies.append(
                PolicyFinding(
                    found.policy_name, found.enforcement_level, found.message.strip(), found.resource_urn or ""
                )
            )
        if event.diagnostic_event is not None and not event.diagnostic_event.ephemeral:
            text = event.diagnostic_event.message.strip()
            if event.diagnostic_event.severity == "error":
                self.errors.append(text)
            elif event.diagnostic_event.severity == "warning":
                self.warnings.append(text)
        if event.res_outputs_event is not None:
            self.seen += 1
            self.changed += event.res_outputs_event.metadata.op not in _UNCHANGED
        if event.res_op_failed_event is not None:
            # 0 is "nothing happened", 1 and 2 are "in part" and "unknown" (resource.Status in pulumi/pulumi).
            self.changed += event.res_op_failed_event.status != 0
        if event.summary_event is not None:
            self.changes = {
                OpType(op).value: count
                for op, count in event.summary_event.resource_changes.items()
                if OpType(op) not in _UNCHANGED
            }


class StackOperations:
    """The operations that Lockstep runs on a project's stacks. One instance may run several stacks at once."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self._root = root
        self._progress = progress
        self.runner = PulumiRunner(root)
        self._packs = [str(root / "policies")]

    def report_to(self, progress: Progress) -> None:
        """Send the events of the operations that follow to `progress`."""
        self._progress = progress

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that the backend has no stack for. Raises CommandError if it can't be asked."""
        present = {summary.name.rsplit("/", 1)[-1] for summary in self._workspace().list_stacks()}
        return [name for name in names if name not in present]

    def export(self, name: str) -> dict[str, Any]:
        """The state of stack `name`, its secrets encrypted: `deployment` with `resources`, `pending_operations`."""
        state: dict[str, Any] = json.loads(self._cli("stack", "export", "--stack", name).stdout)
        return state

    def settle(self, name: str, state: Mapping[str, Any], found: Mapping[str, str]) -> None:
        """End the pending operations in `state` of stack `name`, as `export` gave it, and read AWS again.

        A resource that was being created is taken into the state if `found` has its id (by URN), else struck; the
        refresh that follows reads it, and settles what was being updated or deleted. Raises CommandError, and
        StateMovedError if the stack is another by now: the engine of a killed command may still have been at work.
        """
        deployment = dict(state["deployment"])
        pending = deployment.pop("pending_operations", [])
        created = [each["resource"] for each in pending if each["type"] == "creating"]
        taken = {each["urn"]: {**each, "id": found[each["urn"]]} for each in created if each["urn"] in found}
        deployment["resources"] = _with_taken(deployment.get("resources", []), taken)
        deployment["pending_operations"] = [each for each in pending if each["type"] != "creating"]

        def take_over() -> None:
            if self.export(name) != state:
                raise StateMovedError(name)
            self._import(name, {**state, "deployment": deployment})

        self._unlocked(name, take_over)
        self._unlocked(name, lambda: self._cli("refresh", "--yes", "--skip-preview", "--stack", name))
        if taken:
            # The refresh read them as an import, which makes the inputs up anew; then an automatic name would count as
            # the program's, and the next update would replace the resource to give it another.
            after = self.export(name)
            for each in after["deployment"].get("resources", []):
                if each["urn"] in taken and not each.get("delete"):
                    each["inputs"] = taken[each["urn"]].get("inputs", {})
            self._unlocked(name, lambda: self._import(name, after))

    def preview(self, name: str) -> OperationReport:
        """Plan stack `name` under the policies; nothing is changed."""
        report = OperationReport(name)

        def run() -> None:
            self._stack(name).preview(on_event=self._listener(report), policy_packs=self._packs, color="never")

        return self._run(report, run)

    def up(self, name: str) -> OperationReport:
        """Bring stack `name` to what the program says, under the policies."""
        report = OperationReport(name)

        def run() -> None:
            stack = self._stack(name)
            listener = self._listener(report)
            self._unlocked(
                name,
                lambda: stack.up(on_event=listener, policy_packs=self._packs, color="never", suppress_outputs=True),
            )

        return self._run(report, run)

    def _unlocked(self, name: str, operation: Callable[[], object]) -> None:
        """Run `operation`; if the lock of a process that is dead is in its way, remove that and run it again."""
        try:
            operation()
        except ConcurrentUpdateError as error:
            if not lock_is_dead(str(error)):
                raise
            self._cli("cancel", "--yes", "--stack", name)
            console.progress(f"{name}: removed the lock of an earlier update that was killed")
            operation()

    def _import(self, name: str, state: Mapping[str, Any]) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(state, file)
            file.flush()
            self._cli("stack", "import", "--stack", name, "--file", file.name)

    def _cli(self, *arguments: str) -> CommandResult:
        return self.runner.run(list(arguments), str(self._root), {})

    def _run(self, report: OperationReport, run: Callable[[], None]) -> OperationReport:
        try:
            run()
        # Everything that the Automation API raises belongs to this stack's report: its CommandErrors, and the
        # RuntimeError that it raises when the CLI ended without a summary.
        except Exception as error:
            report.failure = error
        return report

    def _listener(self, report: OperationReport) -> Callable[[EngineEvent], None]:
        def listen(event: EngineEvent) -> None:
            report.note(event)
            self._progress(report.stack, event)

        return listen

    def _workspace(self) -> LocalWorkspace:
        return _Workspace(work_dir=str(self._root), pulumi_command=self.runner)

    def _stack(self, name: str) -> Stack:
        return Stack(name, self._workspace(), StackInitMode.SELECT)
