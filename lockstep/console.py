"""How every command speaks: data on stdout, everything else on stderr.

`data`, `data_json` and `table` are for what a command reports, so that its output can be piped; `progress` and
`warning` are for the person who waits. `stdout` and `stderr` are the same two as rich consoles, for live displays and
wide tables; rich is imported when one of them is first used.
"""

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from lockstep.errors import RefusedError

if TYPE_CHECKING:
    from rich.console import Console

    stdout: Console
    stderr: Console


class OutputClosedError(Exception):
    """Whoever read stdout has gone, as `head` does when it has enough. Not a failure of the command."""


def __getattr__(name: str) -> "Console":
    """Make `stdout` or `stderr` when it is first asked for."""
    if name not in ("stdout", "stderr"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console

    console = Console(stderr=name == "stderr")
    globals()[name] = console
    return console


def data(text: str) -> None:
    """Write `text` and a line end to stdout. Raises OutputClosedError if nobody reads it any more."""
    _write_data(f"{text}\n")


def data_json(value: Any) -> None:
    """Write `value` to stdout as one JSON document. Raises OutputClosedError if nobody reads it any more."""
    _write_data(json.dumps(value, indent=2, sort_keys=False) + "\n")


def table(columns: list[str], rows: list[list[str]]) -> None:
    """Write `rows` under `columns` to stdout, aligned. Raises OutputClosedError if nobody reads it any more."""
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in [columns, *rows]:
        data("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def progress(text: str) -> None:
    """Tell the person who waits what has just happened, on stderr."""
    _write_notice(sys.stderr, text)


def warning(text: str) -> None:
    """Tell the person who waits what should worry them, on stderr."""
    _write_notice(sys.stderr, f"warning: {text}")


def error(message: str, remedy: str = "") -> None:
    """Show a failure on stderr, and what to do next. Only `lockstep.cli.main` calls this."""
    _write_notice(sys.stderr, f"error: {message}" + (f"\n{remedy}" if remedy else ""))


def confirm(question: str, *, yes: bool) -> None:
    """Return if the user, or `--yes`, agrees to the plan that was just shown.

    Raises RefusedError if they don't, or if nobody can be asked because stdin is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "nobody to ask: stdin is not a terminal, so nothing was changed", "add `--yes` to agree to the plan"
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("you didn't agree to the plan, so nothing was changed")


def _write_data(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosedError from error


def _write_notice(stream: TextIO, text: str) -> None:
    # Nobody to tell is no reason to stop half way through a change.
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        return
