"""Takes requests at the listeners and passes them on, with the answers that a balancer gives itself when it can't.

User Guide for Application Load Balancers, "HTTP headers and Application Load Balancers", "Troubleshoot".
"""

import asyncio
import itertools
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox import clock
from sandbox.balancer.configuration import Configuration, Listener, Target
from sandbox.balancer.routing import action_for, eligible, group_for

SERVER: Final = "awselb/2.0"
CONNECT_SECONDS: Final = 10.0
_CHUNK: Final = 64 * 1024
# RFC 9110 section 7.6.1.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# "routing.http.drop_invalid_header_fields.enabled": names that aren't of these characters.
_VALID_NAME: Final = re.compile(r"[-A-Za-z0-9]+")
_PHRASES: Final = {
    400: "Bad Request",
    460: "Client Closed Request",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}

States = Callable[[str], dict[tuple[str, int], str]]
"""`states(group's ARN)`: the state of each of its targets."""


def own_answer(status: int) -> web.Response:
    """An answer of the balancer's, not of a target's."""
    title = f"{status} {_PHRASES[status]}"
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n"
    )
    return web.Response(
        status=status,
        reason=_PHRASES[status],
        text=f"{body}</html>\r\n",
        content_type="text/html",
        headers={"Server": SERVER},
    )


class Proxy:
    """The data path of one balancer. `configuration` may be replaced at any time; requests under way keep theirs."""

    def __init__(
        self, configuration: Configuration, states: States, on_idle: Callable[[str, tuple[str, int]], None]
    ) -> None:
        self.configuration = configuration
        self._states = states
        self._on_idle = on_idle
        self._turns: dict[str, itertools.count[int]] = {}
        self._under_way: Counter[tuple[str, str, int]] = Counter()
        self._chance = random.Random()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=clock.real(60)),
        )

    async def close(self) -> None:
        """End what is kept open to targets."""
        await self._session.close()

    def under_way(self, group: str, target: tuple[str, int]) -> int:
        """How many requests a target is answering."""
        return self._under_way[(group, *target)]

    def handler(self, port: int) -> Callable[[web.BaseRequest], Any]:
        """What answers at a listener's port."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            listener = next((each for each in self.configuration.listeners if each.port == port), None)
            if listener is None:
                return own_answer(503)
            return await self._answer(listener, request)

        return answer

    async def _answer(self, listener: Listener, request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if request.method == "CONNECT" or (not host and request.version >= aiohttp.HttpVersion11):
            return own_answer(400)
        action = action_for(listener, host, urlsplit(request.path_qs).path)
        if action["Type"] == "fixed-response":
            return _fixed(action["FixedResponseConfig"])
        if action["Type"] == "redirect":
            return _redirect(action["RedirectConfig"], listener, request)
        arn = group_for(action, self._chance)
        group = self.configuration.groups.get(arn or "")
        targets = eligible(group, self._states(group.arn)) if group else []
        if group is None or not targets:
            return own_answer(503)
        turn = next(self._turns.setdefault(group.arn, itertools.count()))
        return await self._forward(group.arn, targets[turn % len(targets)], listener, request)

    async def _forward(
        self, group: str, target: Target, listener: Listener, request: web.BaseRequest
    ) -> web.StreamResponse:
        key = (group, *target.key)
        self._under_way[key] += 1
        try:
            return await self._exchange(target, listener, request)
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]
                self._on_idle(group, target.key)

    async def _exchange(self, target: Target, listener: Listener, request: web.BaseRequest) -> web.StreamResponse:
        if target.host is None or not target.reachable:
            await asyncio.sleep(clock.real(CONNECT_SECONDS))
            return own_answer(504)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=clock.real(CONNECT_SECONDS), sock_read=clock.real(self.configuration.idle_timeout)
        )
        started = False
        try:
            async with self._session.request(
                request.method,
                # As it came: a path that is decoded and encoded anew isn't always the same.
                URL(f"http://{target.host}:{target.port}{request.raw_path}", encoded=True),
                headers=self._request_headers(listener, request),
                data=_body(request),
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                response.headers.extend(_kept(answer.headers))
                if request.method == "HEAD" or answer.status in (204, 304):
                    response.headers.pop("Transfer-Encoding", None)
                await response.prepare(request)
                started = True
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except TimeoutError:
            if started:
                raise
            return own_answer(504)
        except (aiohttp.ClientError, OSError):
            if started:
                # Half an answer can't be taken back: the client sees the connection end.
                raise
            return own_answer(502)

    def _request_headers(self, listener: Listener, request: web.BaseRequest) -> CIMultiDict[str]:
        headers = _kept(request.headers)
        if self.configuration.drop_invalid_headers:
            for name in [name for name in headers if not _VALID_NAME.fullmatch(name)]:
                del headers[name]
        peer = request.remote or ""
        before = headers.get("X-Forwarded-For")
        headers["X-Forwarded-For"] = f"{before}, {peer}" if before else peer
        headers["X-Forwarded-Proto"] = "http"
        headers["X-Forwarded-Port"] = str(listener.port)
        return headers


def _kept(headers: Any) -> CIMultiDict[str]:
    """End-to-end headers: without those of the connection, and those that it names."""
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )


def _body(request: web.BaseRequest) -> AsyncIterator[bytes] | None:
    if not request.body_exists:
        return None
    return request.content.iter_chunked(_CHUNK)


def _fixed(config: Any) -> web.Response:
    return web.Response(
        status=int(config["StatusCode"]),
        text=config.get("MessageBody", ""),
        content_type=config.get("ContentType", "text/plain"),
        headers={"Server": SERVER},
    )


def _redirect(config: Any, listener: Listener, request: web.BaseRequest) -> web.Response:
    url = urlsplit(request.path_qs)
    parts = {
        "#{protocol}": "http",
        "#{host}": request.headers.get("Host", "").partition(":")[0],
        "#{port}": str(listener.port),
        "#{path}": url.path.lstrip("/"),
        "#{query}": url.query,
    }

    def filled(text: str) -> str:
        for name, value in parts.items():
            text = text.replace(name, value)
        return text

    protocol = filled(config.get("Protocol", "#{protocol}")).lower()
    port = filled(config.get("Port", "#{port}"))
    usual = {"http": "80", "https": "443"}[protocol]
    host = filled(config.get("Host", "#{host}")) + ("" if port == usual else f":{port}")
    path, query = filled(config.get("Path", "/#{path}")), filled(config.get("Query", "#{query}"))
    status = int(config["StatusCode"].removeprefix("HTTP_"))
    location = f"{protocol}://{host}{path}{f'?{query}' if query else ''}"
    return web.Response(status=status, headers={"Location": location, "Server": SERVER})
