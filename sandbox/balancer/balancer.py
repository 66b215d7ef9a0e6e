"""Listeners, checkers and proxy of one balancer, kept to what it is told."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from sandbox.balancer.configuration import Configuration, Group, Target
from sandbox.balancer.health import DRAINING, Health, TargetChecker
from sandbox.balancer.listeners import Listeners
from sandbox.balancer.metrics import Metrics
from sandbox.balancer.proxy import Key, Proxy
from sandbox.standstill import REFUSE, stand_still

# How long requests may take when their listener or the balancer ends; AWS gives no figure. Real seconds, and fewer than
# the API waits for this process.
END_SECONDS: Final = 3.0

Tell = Callable[[Mapping[str, Any]], None]
Known = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The health of targets by their groups' ARNs and their ids, as `health` messages have it."""


class Balancer:
    """One balancer. `tell` is called with each message to the API: see `sandbox.balancer.__main__`."""

    def __init__(self, configuration: Configuration, known: Known, tell: Tell) -> None:
        self._configuration = configuration
        self._known = known
        self._tell = tell
        self._checkers: dict[Key, TargetChecker] = {}
        self._drained: set[Key] = set()
        # "After each health check is completed, the load balancer node closes the connection."
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, local_addr=(configuration.address, 0)),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept",),
            auto_decompress=False,
        )
        self._metrics = Metrics()
        self._proxy = Proxy(configuration, self._states, lambda _: self._tell_drained(), self._metrics)
        self._measuring = asyncio.get_running_loop().create_task(self._measure())
        self._listeners = Listeners(self._proxy.answer, self._proxy.idle_timeout)

    async def configure(self, configuration: Configuration) -> None:
        """Have `configuration` from now on. Raises OSError if a listener's port can't be had."""
        self._configuration = self._proxy.configuration = configuration
        self._check_targets()
        await self._listeners.have(configuration.address, configuration.listeners, END_SECONDS)
        self._proxy.cut_all_but({key for key, _, _ in self._targets()} | self._draining())
        self._tell({"listening": self._listeners.ports})
        self._tell_health()
        self._tell_drained()

    async def stand_still(self, how: str) -> None:
        """Stop the process until SIGCONT, as one in a region that is lost: `standstill.stand_still`."""
        if how == REFUSE:
            await self._listeners.reset_connections()
        stand_still(how, self._listeners.sockets)

    async def stop(self) -> None:
        """Take no new requests, let those under way end, then end."""
        self._measuring.cancel()
        for checker in self._checkers.values():
            checker.stop()
        await self._listeners.close(END_SECONDS)
        await self._proxy.close()
        await self._session.close()

    def _targets(self) -> list[tuple[Key, Group, Target]]:
        return [
            ((group.arn, *target.key), group, target)
            for group in self._configuration.groups.values()
            for target in group.targets
        ]

    def _draining(self) -> set[Key]:
        groups = self._configuration.groups.values()
        return {(group.arn, *target.key) for group in groups for target in group.draining}

    def _states(self, arn: str) -> dict[tuple[str, int], str]:
        return {key[1:]: checker.health.state for key, checker in self._checkers.items() if key[0] == arn}

    def _check_targets(self) -> None:
        wanted = self._targets()
        for key in self._checkers.keys() - {key for key, _, _ in wanted}:
            self._checkers.pop(key).stop()
        for key, group, target in wanted:
            checker = self._checkers.get(key)
            if checker is not None and _is_for(checker, group, target):
                checker.update(group, target)
                continue
            if checker is not None:
                checker.stop()
            known = self._known.get(group.arn, {}).get(target.id)
            self._checkers[key] = TargetChecker(
                self._session, group, target, self._tell_health, known=_health(known, target) if known else None
            )
        # What another node found says nothing of a target that is registered from now on.
        self._known = {}

    def _tell_health(self) -> None:
        self._tell({"health": {arn: self._described(group) for arn, group in self._configuration.groups.items()}})

    def _described(self, group: Group) -> list[dict[str, Any]]:
        healths = [(target, self._checkers[(group.arn, *target.key)].health) for target in group.targets]
        healths += [(target, DRAINING) for target in group.draining]
        return [
            {
                "id": target.id,
                "port": target.port,
                "registration": target.registration,
                "state": health.state,
                "reason": health.reason,
                "description": health.description,
            }
            for target, health in healths
        ]

    async def _measure(self) -> None:
        """Report each minute."""
        while True:
            await asyncio.sleep(self._metrics.seconds_left())
            states = {arn: list(self._states(arn).values()) for arn in self._configuration.groups}
            self._tell({"measured": self._metrics.report(states)})

    def _tell_drained(self) -> None:
        draining = self._draining()
        self._drained &= draining
        for key in draining - self._drained:
            if not self._proxy.under_way(key):
                self._drained.add(key)
                self._tell({"drained": list(key)})


def _is_for(checker: TargetChecker, group: Group, target: Target) -> bool:
    """Whether `checker` may go on: checks that begin, end or are of another registration begin anew."""
    return checker.group.check.enabled == group.check.enabled and checker.target.registration == target.registration


def _health(known: Mapping[str, Any], target: Target) -> Health | None:
    if known["registration"] != target.registration:
        return None
    return Health(str(known["state"]), str(known["reason"]), str(known["description"]))
