"""Takes requests at the listeners, decides who answers them, and keeps count of what targets are doing.

User Guide for Application Load Balancers, "Listener rules", "Deregistration delay", "Troubleshoot".
"""

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import hdrs, web

from sandbox import clock
from sandbox.balancer import answers
from sandbox.balancer.configuration import Configuration, Group, Listener, Target
from sandbox.balancer.exchange import Exchange, allow_body
from sandbox.balancer.headers import FORWARDED_MAX, for_target, forwarded_addresses
from sandbox.balancer.listeners import HEAD_MAX, LINE_MAX, Connection
from sandbox.balancer.metrics import Metrics
from sandbox.balancer.routing import action_for, choose, eligible, group_for, name_in

# How long a connection to a target is kept for the next request: the default idle time-out. AWS's seconds.
_KEEP_SECONDS: Final = 60.0
# "Quotas", HTTP headers: the whole head of an answer. Bytes.
_ANSWER_HEAD_MAX: Final = 32 * 1024
# What a header takes besides its name and value: a colon, a space and the end of the line.
_HEADER_OVERHEAD: Final = 4

States = Callable[[str], dict[tuple[str, int], str]]
"""`states(group's ARN)`: the state of each of its targets."""
Key = tuple[str, str, int]
"""A target: its group's ARN, its id and its port."""


class Proxy:
    """The data path of one balancer. `configuration` may be replaced at any time; requests under way keep theirs.

    `on_idle` is called with each target that has answered its last request.
    """

    def __init__(
        self, configuration: Configuration, states: States, on_idle: Callable[[Key], None], metrics: Metrics
    ) -> None:
        self.configuration = configuration
        self._metrics = metrics
        self._states = states
        self._on_idle = on_idle
        self._turns: dict[str, itertools.count[int]] = {}
        self._under_way: dict[Key, set[asyncio.Task[object]]] = {}
        self._cut: set[asyncio.Task[object]] = set()
        self._chance = random.Random()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            # Targets see the balancer's own address.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=clock.real(_KEEP_SECONDS), local_addr=(configuration.address, 0)
            ),
            max_line_size=LINE_MAX,
            max_field_size=_ANSWER_HEAD_MAX,
        )
        # aiohttp would send a request again if the target closes a kept connection as it is used; AWS answers 502
        # ("Connection idle timeout").
        self._session._retry_connection = False

    async def close(self) -> None:
        """End what is kept open to targets."""
        await self._session.close()

    def idle_timeout(self) -> float:
        """How long nothing may move on a connection. Real seconds."""
        return clock.real(self.configuration.idle_timeout)

    def under_way(self, key: Key) -> int:
        """How many requests a target is answering."""
        return len(self._under_way.get(key, ()))

    def cut_all_but(self, keys: set[Key]) -> None:
        """End the requests of targets that aren't any more, neither registered nor draining, with a 502."""
        for key, tasks in self._under_way.items():
            if key not in keys:
                for task in tasks - self._cut:
                    self._cut.add(task)
                    task.cancel()

    async def answer(self, port: int, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request at the listener of `port`."""
        listener = next((each for each in self.configuration.listeners if each.port == port), None)
        allow_body(request)
        last = self._is_last(request)
        refusal = _refusal(request)
        if listener is None or refusal is not None:
            answer = refusal or answers.error(503)
            answer.force_close()
            return answer
        response = await self._act(listener, request, last)
        if last and not response.prepared:
            response.force_close()
        return response

    def _is_last(self, request: web.BaseRequest) -> bool:
        """Whether the client's connection has lasted for as long as it may (client_keep_alive.seconds)."""
        assert isinstance(request.protocol, Connection)
        age = asyncio.get_running_loop().time() - request.protocol.opened
        return age >= clock.real(self.configuration.client_keep_alive)

    async def _act(self, listener: Listener, request: web.BaseRequest, last: bool) -> web.StreamResponse:
        authority, target = _split(request.raw_path)
        path, _, query = target.partition("?")
        host = authority or request.headers.get(hdrs.HOST) or self.configuration.dns_name
        client = _client(request)
        action = action_for(
            listener,
            host,
            path,
            method=request.method,
            headers=tuple(request.headers.items()),
            query=query,
            client=client[0],
        )
        if action["Type"] == "fixed-response":
            return answers.fixed(action["FixedResponseConfig"])
        if action["Type"] == "redirect":
            return answers.redirect(
                action["RedirectConfig"],
                host=name_in(host),
                port=listener.port,
                path=path,
                query=query,
                scheme=listener.scheme,
            )
        group = self.configuration.groups.get(group_for(action, self._chance) or "")
        chosen = self._target(group) if group else None
        if group is None or chosen is None:
            return answers.error(503)
        headers = for_target(
            request.headers,
            self.configuration,
            authority=authority,
            listener_port=listener.port,
            scheme=listener.scheme,
            client=client,
        )
        exchange = Exchange(
            self._session, request, chosen, path=target, headers=headers, idle=self.idle_timeout(), last=last
        )
        return await self._run((group.arn, *chosen.key), exchange)

    def _target(self, group: Group) -> Target | None:
        targets = eligible(group, self._states(group.arn))
        if not targets:
            return None
        turn = next(self._turns.setdefault(group.arn, itertools.count()))
        return choose(group, targets, turn, lambda target: self.under_way((group.arn, *target.key)))

    async def _run(self, key: Key, exchange: Exchange) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.setdefault(key, set()).add(task)
        self._metrics.chosen(key[0])
        try:
            answer = await exchange.run()
            if isinstance(answer, answers.PassedAnswer):
                self._metrics.answered(key[0], answer.status)
            return answer
        except asyncio.CancelledError:
            # Else the client has gone away.
            if task not in self._cut:
                raise
            task.uncancel()
            return exchange.give_up(502)
        finally:
            self._cut.discard(task)
            self._under_way[key].discard(task)
            if not self._under_way[key]:
                del self._under_way[key]
                self._on_idle(key)


def _refusal(request: web.BaseRequest) -> answers.OwnAnswer | None:
    """What AWS's balancers say of a request that they don't pass on, whatever the listener's rules."""
    if request.method == hdrs.METH_TRACE:
        return answers.error(405)
    if request.method == hdrs.METH_CONNECT or _head_size(request) > HEAD_MAX:
        return answers.error(400)
    if hdrs.HOST not in request.headers and request.version >= aiohttp.HttpVersion11:
        return answers.error(400)
    if forwarded_addresses(request.headers) > FORWARDED_MAX:
        return answers.error(463)
    if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
        return answers.not_supported("WebSocket connections")
    return None


def _head_size(request: web.BaseRequest) -> int:
    return sum(len(name) + len(value) + _HEADER_OVERHEAD for name, value in request.raw_headers)


def _split(target: str) -> tuple[str, str]:
    """What a request line names: the host, if it is a whole URL, and the path with its query."""
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        return "", target
    authority, slash, path = rest.partition("/")
    if not slash:
        authority, question, query = authority.partition("?")
        return authority, f"/{question}{query}"
    return authority, f"/{path}"


def _client(request: web.BaseRequest) -> tuple[str, int]:
    """Address and port of the client. Raises ConnectionResetError if it has gone."""
    if request.transport is None:
        raise ConnectionResetError("the client has gone")
    address, port = request.transport.get_extra_info("peername")[:2]
    return str(address), int(port)
