"""The command `systemctl`, as far as cloud-config's runcmd may use it here."""

from collections.abc import Sequence
from typing import Final

from sandbox.machine.errors import BootError

COMMANDS: Final = ("daemon-reload", "enable", "disable", "start", "stop", "restart")
_OPTIONS: Final = frozenset({"--now", "--quiet", "-q", "--no-block"})


def parse(words: Sequence[str]) -> tuple[str, list[str], bool]:
    """The command, the units, and whether `--now` is there. Raises BootError for what isn't supported."""
    options = {word for word in words if word.startswith("-")}
    command, *names = [word for word in words if not word.startswith("-")] or [""]
    if unknown := options - _OPTIONS:
        raise BootError(f"the sandbox doesn't support systemctl {' '.join(sorted(unknown))}")
    if command not in COMMANDS:
        raise BootError(f"the sandbox doesn't support systemctl {command or 'without a command'}")
    if command == "daemon-reload":
        return command, [], False
    if not names:
        raise BootError(f"systemctl {command} has to be told a unit")
    return command, [name if "." in name else f"{name}.service" for name in names], "--now" in options
