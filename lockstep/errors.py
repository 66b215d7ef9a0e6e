"""The errors that a user can meet, and the exit code of each.

Commands raise a subclass of `LockstepError`; `lockstep.cli.main` is the only place that turns one into a message on
stderr and an exit status.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses of every `lockstep` command. Scripts rely on these numbers; `docs/cli.md` lists them."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    INVALID = 3
    REFUSED = 4
    FAILED_UNCHANGED = 5
    INCOMPLETE = 6
    REGION_UNREACHABLE = 7
    OBJECTIVE_MISSED = 8
    DEGRADED = 10
    UNPROTECTED = 11
    INTERRUPTED = 130


class LockstepError(Exception):
    """A failure to show to the user: what failed and with which value, what it means, and the next command.

    `message` says what failed, with the value; `remedy` is the next step, as a command where there is one.
    """

    exit_code = ExitCode.UNEXPECTED

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(LockstepError):
    """The command line itself is wrong."""

    exit_code = ExitCode.USAGE


class InvalidInputError(LockstepError):
    """Configuration or input that can't be used; nothing was changed."""

    exit_code = ExitCode.INVALID


class RefusedError(LockstepError):
    """Refused for safety: going on would risk traffic or data, or nobody has agreed to the plan."""

    exit_code = ExitCode.REFUSED


class FailedUnchangedError(LockstepError):
    """The work failed, and everything is as it was before."""

    exit_code = ExitCode.FAILED_UNCHANGED


class IncompleteError(LockstepError):
    """The work stopped part way; the next run finds and settles what is there."""

    exit_code = ExitCode.INCOMPLETE


class RegionUnreachableError(LockstepError):
    """An AWS region, or the sandbox standing in for it, doesn't answer."""

    exit_code = ExitCode.REGION_UNREACHABLE


class InterruptedUpdateError(LockstepError):
    """The user stopped the command; what had begun was ended in order."""

    exit_code = ExitCode.INTERRUPTED
