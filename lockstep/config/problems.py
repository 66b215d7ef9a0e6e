"""What is wrong with a configuration, all of it, in one message."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    `place` is the file, with the line where there is one; `key` the path of the value; `found` the value as it stands
    in the file; `reason` says why where that isn't plain from `expected`; `fix` is a command, or the line to edit.
    """

    place: str
    key: str
    found: str
    expected: str
    fix: str
    reason: str = ""

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.key}", f"  found:    {self.found}", f"  expected: {self.expected}"]
        if self.reason:
            lines.append(f"  because:  {self.reason}")
        lines.append(f"  fix:      {self.fix}")
        return "\n".join(lines)


class ConfigError(InvalidInputError):
    """A configuration that can't be used. `problems` are all of those found, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n\n".join([f"{count} in the configuration; nothing was changed.", *map(str, problems)]))
        self.problems = tuple(problems)
