"""The process of one instance: `python -m sandbox.machine`, which the API starts and tells what to be.

| on its stdin, a JSON object a line | |
|---|---|
| first | what it is: see `Configuration` |
| `{"do": "stand-still", "how": …}` | stop, with all services, as `standstill.stand_still` does, until SIGCONT |
| `{"do": "stop"}`, or the end | stop the services in order, then end |

| on its stdout, a JSON object a line | |
|---|---|
| `{"console": text}` | a line of the instance's console |
| `{"state": "booting"}` | it is told what it is, and does it |
| `{"state": "running"}` | booted, every service that was to be started runs |
| `{"state": "failed", "reason": text}` | the boot or a service failed: it stays up, as on AWS, and doesn't serve |
| `{"still": false}` | it has stood still, and goes on |
| `{"service": name, "exit": status}` | a process of a service ended (negative: the signal) |

A boot that fails doesn't end the machine: an instance without a service is what a balancer sees.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sandbox.machine import cloud_config, repository, repository_files, systemctl
from sandbox.machine.bucket import S3Endpoint
from sandbox.machine.cloud_config import CloudConfig, WriteFile
from sandbox.machine.errors import BootError
from sandbox.machine.filesystem import FileSystem
from sandbox.machine.life import Stopped, StopRequest, die_with_parent, input_lines
from sandbox.machine.metadata import MetadataServer
from sandbox.machine.services import Services

_SYSTEMCTL: Final = ("systemctl", "/usr/bin/systemctl", "/bin/systemctl")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a machine is told.

    `root` is an empty folder, its file system; `address` its loopback address; `arch` RPM's name of its architecture;
    `user_data` is decoded; `facts` is what its metadata service says (`metadata.MetadataServer`); `provides` what its
    image has, as RPM's capabilities (`NAME` or `NAME = VERSION`).
    """

    root: Path
    address: str
    arch: str
    user_data: str | None
    s3: S3Endpoint
    provides: tuple[str, ...]
    facts: Mapping[str, str]

    @classmethod
    def read(cls, line: bytes) -> "Configuration":
        """From the first line of input."""
        given: dict[str, Any] = json.loads(line)
        return cls(
            **{
                **given,
                "root": Path(given["root"]),
                "s3": S3Endpoint(**given["s3"]),
                "provides": tuple(given["provides"]),
            }
        )


def tell(**message: str | int) -> None:
    """One message to the API. Its end is the machine's, which the kernel sees to."""
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(1, line) :]


def say(text: str) -> None:
    """A line on the console."""
    tell(console=text)


def boot(machine: Configuration, system: FileSystem, services: Services, stop: StopRequest) -> None:
    """Do what the user data says, in the order of cloud-init's modules. Raises BootError, and Stopped if it is told to
    stop before it starts services.
    """
    wanted = cloud_config.parse(machine.user_data)
    for command in wanted.commands:
        _check_command(command)
    with stop.interrupting():
        repository_files.prepare(system)
        _write_files(system, [file for file in wanted.files if not file.deferred])
        _write_repositories(system, wanted)
        if wanted.packages:
            repository.install(system, wanted.packages, machine.s3, machine.arch, machine.provides, say)
        _write_files(system, [file for file in wanted.files if file.deferred])
    for command in wanted.commands:
        services.systemctl(command[1:])
    services.settle(lambda: stop.is_told)


def _check_command(command: Sequence[str]) -> None:
    if command[0] not in _SYSTEMCTL:
        raise BootError(f"the sandbox runs nothing but systemctl in runcmd, and doesn't run `{' '.join(command)}`")
    systemctl.parse(command[1:])


def _write_files(system: FileSystem, files: Sequence[WriteFile]) -> None:
    for file in files:
        system.write(file.path, file.content, mode=file.permissions, append=file.append)


def _write_repositories(system: FileSystem, wanted: CloudConfig) -> None:
    for name, options in wanted.repositories.items():
        lines = [f"[{name}]", *(f"{key}={value}" for key, value in options.items())]
        system.write(f"{wanted.repository_folder}/{name}.repo", ("\n".join(lines) + "\n").encode())


def _is_booted(boot: Callable[[], None]) -> bool:
    """Whether the boot went well; if not, the console and the API are told why."""
    try:
        boot()
    except Exception as error:
        reason = str(error)
        if not isinstance(error, BootError):
            traceback.print_exc()
            reason = f"the sandbox's machine itself failed, see the sandbox's log: {error!r}"
        say(f"Cloud-init failed: {reason}")
        tell(state="failed", reason=reason)
        return False
    return True


def _serve(services: Services, stop: StopRequest, *, booted: bool) -> None:
    """Look after the services until told to stop."""
    known: list[str] = []
    while not stop.is_told:
        services.turn()
        if booted and services.failures != known:
            known = services.failures
            if known:
                tell(state="failed", reason="; ".join(known))
            else:
                tell(state="running")


def main() -> int:
    """Boot, serve, stop."""
    die_with_parent()
    lines = input_lines()
    first = next(lines, None)
    if first is None:
        return 0
    machine = Configuration.read(first)
    tell(state="booting")
    system = FileSystem(machine.root)
    metadata = MetadataServer(machine.address, {"architecture": machine.arch, **machine.facts})
    environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
    services = Services(system, machine.address, environment, say, lambda name, status: tell(service=name, exit=status))

    def stand_still(how: str) -> None:
        services.stand_still(how)
        tell(still=False)

    stop = StopRequest(stand_still)
    stop.listen(lines)
    stop.wake(services.selector)
    try:
        booted = _is_booted(lambda: boot(machine, system, services, stop))
        if booted:
            say(f"Cloud-init finished: instance {machine.facts['instance_id']} is up")
            tell(state="running")
        _serve(services, stop, booted=booted)
    except Stopped:
        say("Told to stop while it was booting")
    finally:
        services.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
