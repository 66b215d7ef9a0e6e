"""How a service's command becomes a process: its words, its environment, its sockets, and a life tied to the machine's.

systemd.exec(5), systemd.service(5) "Command lines", sd_listen_fds(3).
"""

import fcntl
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sandbox import processes
from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem
from sandbox.machine.units import Unit

# systemd.exec(5), "Environment Variables in Spawned Processes".
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
LINE_MAX: Final = 48 * 1024
"""journald.conf(5), LineMax: a longer line of a service becomes several. Bytes."""

# The one program that a machine borrows from its host: the image has a python3 of its own on AWS. It runs without
# `site`, because what is installed beside the host's isn't on the image.
_PYTHON: Final = (sys.executable, "-S")
_PYTHON_PATHS: Final = ("/usr/bin/python3", "/bin/python3", "/usr/bin/python3.9")
_ENV_PATHS: Final = ("/usr/bin/env", "/bin/env")
_VARIABLE: Final = re.compile(r"\$\$|\$\{(?P<name>\w+)\}")
_WHOLE_VARIABLE: Final = re.compile(r"\$(?P<name>\w+)")
_FIRST_HIGH_DESCRIPTOR: Final = 100
_READ: Final = 65536

# Becomes the service. LISTEN_PID has to be its own process id, which only the new process knows, and the kernel is to
# end it with the machine (prctl(2), PR_SET_PDEATHSIG). systemd.exec(5), "Process Exit Codes": 203 is EXIT_EXEC.
_BECOME: Final = """
import ctypes, os, sys
parent, names, descriptors, program = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != parent:
    os._exit(1)
sources = [int(each) for each in descriptors.split(",") if each]
for target, source in enumerate(sources, 3):
    os.dup2(source, target)
    os.close(source)
if sources:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sources)), LISTEN_FDNAMES=names)
try:
    os.execve(program[0], program, os.environ)
except OSError as error:
    print(f"{program[0]} can't be executed: {error.strerror}", flush=True)
    os._exit(203)
"""


class Process:
    """A running command of a service. `output` is the descriptor of what it says, which ends at once if nobody is to
    hear it; `ended` is one that is readable once the process has ended.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", output: int) -> None:
        self._popen = popen
        os.set_blocking(output, False)
        self.output = output
        self.ended = os.pidfd_open(popen.pid)
        self._said = b""

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._popen.pid

    def lines(self) -> list[str]:
        """What it has said since, in whole lines. Raises EOFError once it can't say more."""
        try:
            data = os.read(self.output, _READ)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        *lines, self._said = (self._said + data).split(b"\n")
        if len(self._said) > LINE_MAX:
            lines, self._said = [*lines, self._said], b""
        return [line.decode(errors="replace") for line in lines]

    def signal(self, number: int, *, group: bool) -> None:
        """Signal it, or it and all that it started. Not to be called after `finish`."""
        if group:
            os.killpg(self.pid, number)
        else:
            self._popen.send_signal(number)

    def finish(self) -> tuple[int, list[str]]:
        """Take note of its end: its status (negative: the signal), and what it said last.

        What it has started is killed, as systemd does with what is left in a service's control group.
        """
        last: list[str] = []
        try:
            while found := self.lines():
                last += found
        except EOFError:
            pass
        if self._said:
            last.append(self._said.decode(errors="replace"))
        # Before it is reaped: until then nobody else can have its id.
        os.killpg(self.pid, 9)
        status = self._popen.wait()
        os.close(self.output)
        os.close(self.ended)
        return status, last


def start(
    system: FileSystem,
    unit: Unit,
    command: str,
    environment: Mapping[str, str],
    listeners: Sequence[tuple[str, socket.socket]] = (),
) -> Process:
    """Start `command` of `unit` with the sockets in `listeners`, by name. Raises BootError if that can't be."""
    variables = _environment(system, unit, environment)
    program, folder = _program(system, unit, command, variables), _folder(system, unit)
    # Numbers so high that putting one in its place doesn't overwrite another.
    passed = [fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, _FIRST_HIGH_DESCRIPTOR) for _, listener in listeners]
    become = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid())]
    sockets = [":".join(name for name, _ in listeners), ",".join(str(each) for each in passed)]
    # Made here, as either of a service's two streams may be the only one that is heard.
    output, said = os.pipe()
    try:
        popen = subprocess.Popen(
            [*become, *sockets, *program],
            stdin=subprocess.DEVNULL,
            stdout=said if _is_heard(unit, "StandardOutput") else subprocess.DEVNULL,
            stderr=said if _is_heard(unit, "StandardError") else subprocess.DEVNULL,
            cwd=folder,
            env=variables,
            pass_fds=passed,
            start_new_session=True,
        )
    except OSError as error:
        os.close(output)
        raise BootError(f"{unit.name}: {command!r} can't be started: {error}") from error
    finally:
        for descriptor in (said, *passed):
            os.close(descriptor)
    return Process(popen, output)


def _program(system: FileSystem, unit: Unit, command: str, variables: Mapping[str, str]) -> list[str]:
    """The words of a command as the host has to be told them."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BootError(f"{command!r} of {unit.name} can't be read: {error}") from error
    if not words or not words[0].startswith("/"):
        raise BootError(
            f"the sandbox doesn't support {command!r} of {unit.name}: it has to begin with a program's path"
        )
    name, arguments = words[0], _arguments(words[1:], variables)
    if name in _ENV_PATHS and arguments[:1] == ["python3"]:
        name, arguments = _PYTHON_PATHS[0], arguments[1:]
    arguments = [_on_host(system, word) for word in arguments]
    if not system.is_file(name):
        if name in _PYTHON_PATHS:
            return [*_PYTHON, *arguments]
        raise BootError(
            f"{unit.name}: {name} is neither in a package nor on the sandbox's image, which has python3 only"
        )
    file = system.locate(name)
    return [*_interpreter(unit, name, file), str(file), *arguments]


def _arguments(words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """`$NAME` alone becomes as many words as it has, `${NAME}` in a word a part of it."""
    found: list[str] = []
    for word in words:
        if whole := _WHOLE_VARIABLE.fullmatch(word):
            found += variables.get(whole["name"], "").split()
        else:
            found.append(_VARIABLE.sub(lambda match: _value(match, variables), word))
    return found


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    return variables.get(match["name"], "") if match["name"] else "$"


def _on_host(system: FileSystem, word: str) -> str:
    """`/etc/orders.conf` and `--settings=/etc/orders.conf`, if the machine has that file; else the word as it is."""
    option, sign, path = ("", "", word) if word.startswith("/") else word.partition("=")
    return f"{option}{sign}{system.locate(path)}" if path.startswith("/") and system.exists(path) else word


def _interpreter(unit: Unit, name: str, file: Path) -> list[str]:
    """What runs a script; nothing for a program. The host's file at that path may be another, or none."""
    with file.open("rb") as opened:
        first = opened.readline(256).decode(errors="replace").strip()
    if not first.startswith("#!"):
        return []
    words = first.removeprefix("#!").split()
    if words[:1] and words[0] in _ENV_PATHS:
        words = [_PYTHON_PATHS[0] if words[1:] == ["python3"] else "", *words[2:]]
    if not words or words[0] not in _PYTHON_PATHS:
        raise BootError(f"{unit.name}: {name} begins {first!r}, and the sandbox's image has no interpreter but python3")
    return [*_PYTHON, *words[1:]]


def _folder(system: FileSystem, unit: Unit) -> Path:
    path = unit.one("Service", "WorkingDirectory", "/")
    folder = system.locate(path.removeprefix("-"))
    if folder.is_dir():
        return folder
    if path.startswith("-"):
        return system.root
    raise BootError(f"{unit.name}: WorkingDirectory={path} doesn't exist")


def _environment(system: FileSystem, unit: Unit, given: Mapping[str, str]) -> dict[str, str]:
    """systemd.exec(5): what files say is stronger than Environment=."""
    variables = {"PATH": PATH, "LANG": "C.UTF-8", **given}
    for value in unit.all("Service", "Environment"):
        variables |= _assignments(unit, _split(unit, value))
    for file in unit.all("Service", "EnvironmentFile"):
        path = file.removeprefix("-")
        if system.is_file(path):
            lines = [line.strip() for line in system.read_text(path).splitlines()]
            variables |= _assignments(unit, [word for line in lines for word in _line(unit, line)])
        elif not file.startswith("-"):
            raise BootError(f"{unit.name}: EnvironmentFile={file} doesn't exist")
    if processes.MARK in os.environ:
        variables[processes.MARK] = os.environ[processes.MARK]
    return variables


def _line(unit: Unit, line: str) -> list[str]:
    """A line of an environment file: one assignment, with or without quotes around its value."""
    if not line or line.startswith(("#", ";")):
        return []
    name, sign, value = line.partition("=")
    value = value.strip()
    unquoted = _split(unit, value) if value[:1] in ("'", '"') else [value]
    return [f"{name.strip()}{sign}{' '.join(unquoted)}"]


def _split(unit: Unit, value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise BootError(f"{value!r} of the environment of {unit.name} can't be read: {error}") from error


def _assignments(unit: Unit, words: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name.isidentifier():
            raise BootError(f"{word!r} of the environment of {unit.name} isn't NAME=VALUE")
        pairs[name] = value
    return pairs


def _is_heard(unit: Unit, key: str) -> bool:
    """systemd.exec(5): standard error goes where standard output goes, unless it is said otherwise."""
    output = unit.one("Service", "StandardOutput", "journal")
    value = unit.one("Service", key, output)
    return (output if value == "inherit" and key == "StandardError" else value) != "null"
