"""The real process `python -m sandbox.machine`, as the API starts it, and what tests ask of it."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox import processes
from sandbox.api import addresses
from tests.sandbox.checkout import PATIENCE, REPOSITORY
from tests.sandbox.machine.bucket import REGION, VPCE

INSTANCE = "i-0123456789abcdef0"
PROVIDES = ("python3 = 3.9.16-1", "/usr/bin/python3", "/bin/sh", "systemd = 252-1")
FACTS = {
    "account": "123456789012",
    "image_id": "ami-0123456789abcdef0",
    "instance_id": INSTANCE,
    "instance_type": "t4g.small",
    "private_ip": "10.1.16.7",
    "region": REGION,
    "zone": f"{REGION}b",
}
SPEED = "2"
"""Of the sandbox's timers: systemd's delays get shorter, and five starts still fit into its interval on a busy host."""


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns as soon as it is true; fails after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


class MachineProcess:
    """One machine. `messages` are what it said; it is ended by `close`."""

    def __init__(
        self,
        root: Path,
        user_data: str | Mapping[str, Any] | None,
        s3: Mapping[str, Any],
        *,
        arch: str = "aarch64",
        mark: str = "",
        speed: str = SPEED,
    ) -> None:
        self.root = root
        self.address = addresses.reserve()
        self.messages: list[dict[str, Any]] = []
        self.sent: list[bytes] = []
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.machine"],
            cwd=REPOSITORY,
            env={**environment, "LOCKSTEP_SANDBOX_SPEED": speed, processes.MARK: mark or f"member:{root}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        text = user_data if isinstance(user_data, str | None) else cloud_config(user_data)
        self.send(
            {
                "root": str(root),
                "address": self.address,
                "arch": arch,
                "user_data": text,
                "s3": dict(s3),
                "provides": PROVIDES,
                "facts": FACTS,
            }
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.messages.append(json.loads(line))

    def send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.sent.append(json.dumps(message).encode() + b"\n")
        self.process.stdin.write(self.sent[-1])
        self.process.stdin.flush()

    @property
    def console(self) -> str:
        return "\n".join(str(each["console"]) for each in self.messages if "console" in each)

    @property
    def states(self) -> list[str]:
        return [str(each["state"]) for each in self.messages if "state" in each]

    @property
    def reason(self) -> str:
        """Why it failed, which it has to."""
        eventually(lambda: self.states[-1:] == ["failed"], "it didn't fail")
        return self.reason_given

    @property
    def reason_given(self) -> str:
        """Why it failed last."""
        return str([each["reason"] for each in self.messages if "reason" in each][-1])

    def ends_of(self, service: str) -> list[int]:
        return [int(each["exit"]) for each in self.messages if each.get("service") == service]

    def wait_for(self, state: str) -> "MachineProcess":
        eventually(
            lambda: state in self.states or self.process.poll() is not None or "failed" in self.states,
            f"it isn't {state}:\n{self.console}",
        )
        assert state in self.states, self.console
        return self

    def get(
        self, path: str, port: int, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, str]:
        """One request to the machine."""
        connection = http.client.HTTPConnection(self.address, port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def descendants(self) -> set[processes.ProcessId]:
        """Its services' processes, by the sandbox's mark in their environments."""
        mine = processes.identify(self.process.pid)
        return {each for each in processes.members_of(self.root) if each != mine}

    def stop(self) -> int:
        """Tell it to stop; its exit status, once all that it said was read."""
        self.send({"do": "stop"})
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(PATIENCE)
            assert self.process.stdout is not None
            self.process.stdout.close()
            addresses.release(self.address)


def cloud_config(document: Mapping[str, Any]) -> str:
    return "#cloud-config\n" + yaml.safe_dump(dict(document), sort_keys=False)


def way_to_s3(url: str, region: str = REGION) -> dict[str, Any]:
    return {"region": region, "url": url, "vpce": VPCE, "why": ""}
