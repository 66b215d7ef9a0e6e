"""The `lockstep` command: what commands there are, and what becomes of an error.

Command modules are imported only when their command runs, so that `lockstep --help`, and every command, costs only
what it uses. `main` is the one place that turns an error into a message and an exit status; `lockstep.errors.ExitCode`
has the numbers.
"""

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lockstep import console
from lockstep.errors import ExitCode, LockstepError

DEBUG_VARIABLE = "LOCKSTEP_DEBUG"


@dataclass(frozen=True)
class CommandEntry:
    """A command: its name, the module and attribute (a function or a Typer app) behind it, and its line in the help."""

    name: str
    module: str
    attribute: str
    help: str


COMMANDS = (
    CommandEntry("up", "lockstep.commands.up", "up", "Preview all stacks under the policies, ask, then bring them up."),
    CommandEntry(
        "preview",
        "lockstep.commands.preview",
        "preview",
        "Plan every stack under the policies; exit 4 if a policy forbids it.",
    ),
    CommandEntry(
        "publish",
        "lockstep.commands.publish",
        "publish",
        "Upload a release to every region's bucket, and record it once every region has all of it.",
    ),
    CommandEntry(
        "releases",
        "lockstep.commands.releases",
        "releases",
        "List the releases by region, and what is incomplete.",
    ),
    CommandEntry(
        "deploy",
        "lockstep.commands.deploy",
        "deploy",
        "Bring a release to every site; if one site fails, every site returns to what it had.",
    ),
    CommandEntry(
        "settle",
        "lockstep.commands.settle",
        "settle",
        "Finish or undo what a deployment that was killed has left.",
    ),
    CommandEntry(
        "status",
        "lockstep.commands.status",
        "status",
        "Show what every site wants and runs; exit 10 if a site is degraded.",
    ),
    CommandEntry(
        "drain",
        "lockstep.commands.drain",
        "drain",
        "Take traffic off a site until it is undrained; exit 4 if no other site serves.",
    ),
    CommandEntry(
        "undrain",
        "lockstep.commands.undrain",
        "undrain",
        "Let traffic go back to a site that was drained.",
    ),
    CommandEntry(
        "model",
        "lockstep.commands.model",
        "model",
        "Predict what losing a site costs; exit 8 if 99 % of its clients aren't back within the RTO.",
    ),
    CommandEntry("sandbox", "lockstep.commands.sandbox", "app", "The local stand-in for AWS."),
)

_app = typer.Typer(
    name="lockstep",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _LazyCommand(TyperCommand):
    """Stands for a command until it runs: `lockstep --help` shows it without importing it."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, help=entry.help)
        self._entry = entry

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which is imported here."""
        return load(self._entry).make_context(info_name, args, parent=parent, **extra)


def load(entry: CommandEntry) -> Any:
    """Import the command of `entry`."""
    found = getattr(importlib.import_module(entry.module), entry.attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(entry.name)(found)
        found = app
    return typer.main.get_command(found)


def root_command() -> TyperGroup:
    """The `lockstep` command with all of `COMMANDS`."""
    group = typer.main.get_group(_app)
    for entry in COMMANDS:
        group.add_command(_LazyCommand(entry))
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `lockstep` with `arguments` (default: those of the process); returns the exit status.

    SIGINT and SIGTERM interrupt a command alike. Both are installed explicitly, because what a script starts in the
    background inherits "ignore SIGINT".
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(given)
        sys.stdout.flush()
    except (console.OutputClosedError, BrokenPipeError):
        # The reader has what it wanted. Without this, Python would complain when it flushes stdout at its end.
        _discard_stdout()
        return ExitCode.DONE
    return status


def _run(arguments: list[str]) -> int:
    command = root_command()
    try:
        with command.make_context("lockstep", list(arguments)) as context:
            result = command.invoke(context)
        return result if isinstance(result, int) else ExitCode.DONE
    except typer.Exit as exit_:
        return exit_.exit_code
    except LockstepError as error:
        console.error(error.message, error.remedy)
        _show_traceback(arguments)
        return error.exit_code
    except typer.TyperException as error:
        return _show_usage_error(error)
    except (KeyboardInterrupt, typer.Abort):
        console.error("interrupted")
        return ExitCode.INTERRUPTED
    except console.OutputClosedError:
        raise
    except Exception as error:
        console.error(f"unexpected: {type(error).__name__}: {error}", _debug_hint(arguments))
        _show_traceback(arguments)
        return ExitCode.UNEXPECTED


def _show_usage_error(error: typer.TyperException) -> int:
    """A command line that is wrong. A group without a command shows its help instead: typer has done so by now."""
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return ExitCode.USAGE
    path = context.command_path if context else "lockstep"
    console.error(error.format_message(), f"`{path} --help` shows what it takes")
    return ExitCode.USAGE


def _show_traceback(arguments: list[str]) -> None:
    if _debug(arguments):
        traceback.print_exc()


def _debug_hint(arguments: list[str]) -> str:
    if _debug(arguments):
        return "this is a defect of lockstep: please report it with what follows"
    return f"this is a defect of lockstep: `lockstep --debug …`, or {DEBUG_VARIABLE}=1, shows where it happened"


def _debug(arguments: list[str]) -> bool:
    """Whether tracebacks are wanted; looks at the raw arguments, because the error may be in parsing them."""
    return "--debug" in arguments or os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _discard_stdout() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())


def _show_version(wanted: bool) -> None:
    if wanted:
        console.data(f"lockstep {version('lockstep')}")
        raise typer.Exit


@_app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show tracebacks of errors; {DEBUG_VARIABLE}=1 does the same.")
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Warm multi-region disaster recovery on AWS: two sites, in lockstep."""


if __name__ == "__main__":
    sys.exit(main())
