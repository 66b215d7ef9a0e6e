"""One request on its way to a target, and the answer on its way back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from sandbox import clock
from sandbox.balancer import answers
from sandbox.balancer.configuration import Target
from sandbox.balancer.connections import reset
from sandbox.balancer.headers import end_to_end

# User Guide for Application Load Balancers, "Troubleshoot", HTTP 504.
CONNECT_SECONDS: Final = 10.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """A request that goes to `target` with `headers`, at `path` with its query, and ends if nothing moves for `idle`.

    `idle` is in real seconds. `last` ends the client's connection after the answer.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        request: web.BaseRequest,
        target: Target,
        *,
        path: str,
        headers: CIMultiDict[str],
        idle: float,
        last: bool,
    ) -> None:
        self._session = session
        self._request = request
        self._target = target
        self._path = path
        self._headers = headers
        self._idle = idle
        self._last = last
        self._timer = asyncio.timeout(idle)
        self._started = False
        self._waits_for_client = False
        self._client_failed = False

    async def run(self) -> web.StreamResponse:
        """The answer, which may be the balancer's own.

        A request is never tried again with another target: a connection that is refused or reset is a 502
        ("Troubleshoot", HTTP 502; "Connection idle timeout" on connections that a target closes as they are used).
        Raises ConnectionError if an answer that has begun can't be ended.
        """
        if self._target.host is None or not self._target.reachable:
            await asyncio.sleep(clock.real(CONNECT_SECONDS))
            return self.give_up(504)
        try:
            async with self._timer:
                return await self._pass_on()
        except TimeoutError:
            return self.give_up(408 if self._waits_for_client else 504)
        except (aiohttp.ClientError, OSError):
            return self.give_up(400 if self._client_failed else 502)

    def give_up(self, status: int) -> web.StreamResponse:
        """The balancer's own answer.

        Raises ConnectionError if the target's has begun: half of it can't be taken back.
        """
        if not self._started:
            answer = answers.error(status)
            if self._last or self._request.body_exists:
                answer.force_close()
            return answer
        transport = self._request.transport
        if transport is not None and self._is_old():
            # Its end is the end of the connection, so an orderly end would pass for a whole answer.
            reset(transport)
        raise ConnectionResetError("the target's answer broke off")

    async def _pass_on(self) -> web.StreamResponse:
        async with self._session.request(
            self._request.method,
            # As it came: a path that is decoded and encoded anew isn't always the same.
            URL(f"http://{self._target.host}:{self._target.port}{self._path}", encoded=True),
            headers=self._headers,
            data=self._body(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=clock.real(CONNECT_SECONDS)),
            allow_redirects=False,
        ) as answer:
            self._moved()
            return await self._pass_back(answer)

    async def _pass_back(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = answers.PassedAnswer(status=answer.status, reason=answer.reason)
        response.headers.extend(end_to_end(answer.headers))
        ends_with_connection = self._is_old() and hdrs.CONTENT_LENGTH not in response.headers
        if self._last or ends_with_connection:
            response.force_close()
        self._started = True
        await response.prepare(self._request)
        async for block in answer.content.iter_any():
            self._moved()
            await response.write(block)
            self._moved()
        await response.write_eof()
        return response

    def _is_old(self) -> bool:
        """Whether the client doesn't know chunks."""
        return self._request.version < aiohttp.HttpVersion11

    def _body(self) -> AsyncIterator[bytes] | None:
        return self._blocks() if self._request.body_exists else None

    async def _blocks(self) -> AsyncIterator[bytes]:
        while True:
            self._waits_for_client = True
            try:
                block = await self._request.content.readany()
            except Exception:
                self._client_failed = True
                raise
            self._waits_for_client = False
            self._moved()
            if not block:
                return
            yield block

    def _moved(self) -> None:
        """Something has been sent or received ("Connection idle timeout")."""
        # The exchange may be over while the rest of a body arrives.
        with contextlib.suppress(RuntimeError):
            self._timer.reschedule(asyncio.get_running_loop().time() + self._idle)


def allow_body(request: web.BaseRequest) -> None:
    """Tell a client that asks for it to send its body.

    Elastic Load Balancing User Guide, "How Elastic Load Balancing works": the balancer says so at once, and the target
    isn't asked.
    """
    expects = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
    if expects and request.version >= aiohttp.HttpVersion11 and request.transport is not None:
        request.transport.write(_CONTINUE)
