"""The process of one instance: `python -m sandbox.machine`, which the API starts and tells what to be.

| on its stdin, a JSON object a line | |
|---|---|
| first | what it is: see `Configuration` |
| `{"do": "stop"}`, or the end | stop the services in order, then end |

| on its stdout | |
|---|---|
| `{"console": text}` | a line of the instance's console |
| `{"state": "running"}` | booted, every service that was to be started runs |
| `{"state": "failed", "reason": text}` | the boot failed: it stays up, as on AWS, and serves nothing |

A boot that fails doesn't end the machine: an instance without a service is what a balancer sees.
"""

import json
import os
import selectors
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.machine import cloud_config, repository
from sandbox.machine.bucket import S3Endpoint
from sandbox.machine.cloud_config import CloudConfig, WriteFile
from sandbox.machine.errors import BootError
from sandbox.machine.metadata import MetadataServer
from sandbox.machine.services import Services
from tools.child import end_with_parent

_BUFFER = 65536


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a machine is told. `root` is an empty folder, its file system; `address` its loopback address;
    `facts` what its metadata service says; `provides` what its image has, as RPM's capabilities."""

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


def tell(**message: str) -> None:
    """One message to the API. Its end is the machine's, which the kernel sees to."""
    os.write(1, json.dumps(message).encode() + b"\n")


def say(text: str) -> None:
    """A line on the console."""
    tell(console=text)


def boot(machine: Configuration, services: Services) -> None:
    """Do what the user data says, in cloud-init's order. Raises BootError."""
    wanted = cloud_config.parse(machine.user_data)
    _write_files(machine.root, wanted)
    _write_repositories(machine.root, wanted)
    if wanted.packages:
        repository.install(machine.root, wanted.packages, machine.s3, machine.arch, machine.provides, say)
    for command in wanted.commands:
        if Path(command[0]).name != "systemctl":
            raise BootError(f"the sandbox runs nothing but systemctl in runcmd, and this is {' '.join(command)!r}")
        services.systemctl(command[1:])
    services.settle()


def _write_files(root: Path, wanted: CloudConfig) -> None:
    for entry in wanted.files:
        _write(root, entry)


def _write(root: Path, entry: WriteFile) -> None:
    path = root.joinpath(entry.path.lstrip("/"))
    if ".." in Path(entry.path).parts:
        raise BootError(f"write_files: {entry.path} leads out of the file system")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if entry.append else "w") as file:
        file.write(entry.content)
    if entry.permissions is not None:
        path.chmod(entry.permissions)


def _write_repositories(root: Path, wanted: CloudConfig) -> None:
    folder = root / wanted.repository_folder.lstrip("/")
    for name, options in wanted.repositories.items():
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={_ini(value)}" for key, value in options.items()]
        (folder / f"{name}.repo").write_text(f"[{name}]\n" + "\n".join(lines) + "\n")


def _ini(value: Any) -> str:
    """cloud-init writes booleans as dnf reads them."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def serve(services: Services) -> None:
    """Look after the services until told to stop."""
    pending, stopped = b"", False

    def listen() -> None:
        nonlocal pending, stopped
        data = os.read(0, _BUFFER)
        *lines, pending = (pending + data).split(b"\n")
        stopped = not data or any(json.loads(line).get("do") == "stop" for line in lines if line)

    services.selector.register(0, selectors.EVENT_READ, listen)
    known: list[str] = []
    while not stopped:
        for key, _ in services.selector.select(services.turn()):
            key.data()
        if services.failures != known:
            known = services.failures
            tell(state="failed", reason="; ".join(known))


def main() -> int:
    """Boot, serve, stop."""
    end_with_parent()
    machine = Configuration.read(_first_line())
    metadata = MetadataServer(machine.address, machine.facts)
    services = Services(machine.root, machine.address, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}, say)
    try:
        boot(machine, services)
        say(f"Cloud-init finished: instance {machine.facts['instance_id']} is up")
        tell(state="running")
    except BootError as error:
        say(f"Cloud-init failed: {error}")
        tell(state="failed", reason=str(error))
    try:
        serve(services)
    finally:
        services.stop()
    return 0


def _first_line() -> bytes:
    """Read no more than the line: what follows is for `serve`."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1)
        if not read:
            raise SystemExit(0)
        line += read
    return line


if __name__ == "__main__":
    sys.exit(main())
