"""The process of one balancer: `python -m sandbox.balancer`, which the API starts and tells what to do.

| on its stdin, a JSON object a line | |
|---|---|
| `{"do": "configure", "configuration": …}` | listeners, groups and targets from now on |
| `{"do": "stop"}`, or the end | finish the requests under way, then end |

| on its stdout | |
|---|---|
| `{"listening": [PORT…]}` | the listeners' ports that are open |
| `{"health": {ARN: [{id, port, state, reason, description}…]}}` | the health of all targets, whenever one changes |
| `{"drained": [ARN, id, port]}` | a draining target has answered its last request |
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import Any, Final

import aiohttp
from aiohttp import web

from sandbox import clock
from sandbox.balancer.configuration import Configuration, Group, Listener
from sandbox.balancer.health import DRAINING, TargetChecker
from sandbox.balancer.ports import PORT_OFFSET
from sandbox.balancer.proxy import Proxy
from tools.child import end_with_parent

# How long requests under way may take once the balancer is to end. AWS's seconds.
END_SECONDS: Final = 10.0


class Balancer:
    """Listeners, checkers and proxy, kept to the configuration."""

    def __init__(self) -> None:
        self._configuration = Configuration(address="")
        self._checkers: dict[tuple[str, str, int], TargetChecker] = {}
        self._drained: set[tuple[str, str, int]] = set()
        self._sites: dict[int, tuple[web.ServerRunner, web.TCPSite]] = {}
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        self._proxy = Proxy(self._configuration, self._states, self._on_idle)

    async def configure(self, configuration: Configuration) -> None:
        """Have `configuration` from now on."""
        self._configuration = self._proxy.configuration = configuration
        self._check_targets()
        await self._listen()
        self._tell_health()
        self._tell_drained()

    async def stop(self) -> None:
        """Take no new connections, let requests end, then end."""
        for checker in self._checkers.values():
            checker.stop()
        for runner, site in self._sites.values():
            await site.stop()
            await runner.shutdown()
            await runner.cleanup()
        await self._proxy.close()
        await self._session.close()

    def _states(self, arn: str) -> dict[tuple[str, int], str]:
        return {key[1:]: checker.health.state for key, checker in self._checkers.items() if key[0] == arn}

    def _check_targets(self) -> None:
        wanted = {
            (group.arn, *target.key): (group, target)
            for group in self._configuration.groups.values()
            for target in group.targets
        }
        for key in self._checkers.keys() - wanted.keys():
            self._checkers.pop(key).stop()
        for key, (group, target) in wanted.items():
            checker = self._checkers.get(key)
            if checker is not None and checker.group.check.enabled != group.check.enabled:
                checker.stop()
                checker = None
            if checker is None:
                self._checkers[key] = TargetChecker(self._session, group, target, self._tell_health)
            else:
                checker.update(group, target)

    async def _listen(self) -> None:
        wanted = {listener.port: listener for listener in self._configuration.listeners}
        for port in self._sites.keys() - wanted.keys():
            runner, site = self._sites.pop(port)
            await site.stop()
            await runner.cleanup()
        for port in wanted.keys() - self._sites.keys():
            self._sites[port] = await self._open(wanted[port])
        tell(listening=sorted(self._sites))

    async def _open(self, listener: Listener) -> tuple[web.ServerRunner, web.TCPSite]:
        keep_alive = clock.real(self._configuration.idle_timeout)
        server = web.Server(self._proxy.handler(listener.port), keepalive_timeout=keep_alive, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=clock.real(END_SECONDS))
        await runner.setup()
        site = web.TCPSite(runner, self._configuration.address, listener.port + PORT_OFFSET)
        await site.start()
        return runner, site

    def _tell_health(self) -> None:
        tell(health={arn: self._described(group) for arn, group in self._configuration.groups.items()})

    def _described(self, group: Group) -> list[dict[str, Any]]:
        healths = [(target, self._checkers[(group.arn, *target.key)].health) for target in group.targets]
        healths += [(target, DRAINING) for target in group.draining]
        return [
            {
                "id": target.id,
                "port": target.port,
                "state": health.state,
                "reason": health.reason,
                "description": health.description,
            }
            for target, health in healths
        ]

    def _tell_drained(self) -> None:
        draining = {
            (group.arn, *target.key) for group in self._configuration.groups.values() for target in group.draining
        }
        self._drained &= draining
        for key in draining - self._drained:
            if not self._proxy.under_way(key[0], key[1:]):
                self._drained.add(key)
                tell(drained=list(key))

    def _on_idle(self, _group: str, _target: tuple[str, int]) -> None:
        self._tell_drained()


def tell(**message: Any) -> None:
    """One message to the API."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


async def serve() -> None:
    """Do what the API says until it says stop, or is gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    balancer = Balancer()

    async def listen() -> None:
        while line := await reader.readline():
            message = json.loads(line)
            if message["do"] == "stop":
                break
            await balancer.configure(Configuration.read(message["configuration"]))
        ended.set()

    listening = loop.create_task(listen())
    waiting = loop.create_task(ended.wait())
    await asyncio.wait({listening, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if listening.done():
        # What went wrong there must not look like an orderly end.
        listening.result()
    await balancer.stop()


def main() -> int:
    """Run one balancer."""
    end_with_parent()
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
