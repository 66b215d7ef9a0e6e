"""The exit statuses, which scripts and the runbook rely on."""

import inspect

from lockstep import errors
from lockstep.errors import ExitCode, LockstepError


def test_the_exit_codes_are_the_documented_numbers() -> None:
    """A pipeline that treats 5 as "nothing has changed" and 6 as "run settle" breaks traffic if the numbers move."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "UNEXPECTED": 1,
        "USAGE": 2,
        "INVALID": 3,
        "REFUSED": 4,
        "FAILED_UNCHANGED": 5,
        "INCOMPLETE": 6,
        "REGION_UNREACHABLE": 7,
        "OBJECTIVE_MISSED": 8,
        "DEGRADED": 10,
        "UNPROTECTED": 11,
        "INTERRUPTED": 130,
    }


def test_each_error_has_an_exit_code_that_says_more_than_unexpected() -> None:
    """An error class without its own number would look like a defect of lockstep."""
    classes = [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, LockstepError) and found is not LockstepError
    ]
    assert classes
    codes = [found.exit_code for found in classes]
    assert ExitCode.UNEXPECTED not in codes
    assert ExitCode.DONE not in codes


def test_an_error_carries_message_and_remedy_apart() -> None:
    """`main` prints the remedy on a line of its own, and tracebacks show the message."""
    error = errors.InvalidInputError("weight 300 is above 255", "pulumi config set …")
    assert (error.message, error.remedy, str(error)) == (
        "weight 300 is above 255",
        "pulumi config set …",
        "weight 300 is above 255",
    )
