"""Clients of a name, as the world has them: each with a resolver of its own that keeps an answer for its TTL.

They are outside the sandbox: they ask its name server over UDP, connect to what that says, and know nothing else. Their
patience, their pace and their resolvers' clocks run at the sandbox's speed.
"""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from sandbox.balancer.ports import PORT_OFFSET
from sandbox.dns.resolver import NoSuchNameError, Resolved, resolve
from sandbox.gateway.request import RELEASE_HEADER

# As long as many clients wait for a connection, or an answer, before they give up. AWS's seconds.
PATIENCE: Final = 3.0
_HTTP_PORT: Final = 80


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: by whom, from when to when (seconds of `time.time`), what answered it, or why nothing did."""

    client: int
    began: float
    ended: float
    region: str = ""
    release: str = ""
    failure: str = ""


@dataclass
class _Cache:
    """What a resolver has, until when (seconds of `time.monotonic`)."""

    answer: Resolved
    until: float


class Clients:
    """`count` clients that ask for `url`'s path at `name`, each every `pace` of AWS's seconds, while the block lasts.

    They begin at random moments of `spread` AWS's seconds, so that their resolvers' answers run out evenly.
    `requests` grows by each request when it is over.
    """

    def __init__(
        self,
        name: str,
        name_server: tuple[str, int],
        *,
        speed: float,
        count: int,
        pace: float,
        spread: float,
        path: str = "/",
        seed: int = 0,
    ) -> None:
        self.requests: list[Request] = []
        self._name, self._path, self._name_server = name, path, name_server
        self._speed, self._pace = speed, pace
        self._ended = threading.Event()
        chance = random.Random(seed)
        self._threads = [
            threading.Thread(target=self._run, args=(number, chance.uniform(0, spread)), name=f"client {number}")
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, begin: float) -> None:
        cache: _Cache | None = None
        due = time.monotonic() + begin / self._speed
        while not self._ended.wait(due - time.monotonic()):
            began = time.time()
            failure, answer = "", {}
            try:
                if cache is None or cache.until <= time.monotonic():
                    found = resolve(self._name, self._name_server)
                    cache = _Cache(found, time.monotonic() + found.ttl / self._speed)
                answer = self._get(cache.answer.address)
            except (OSError, NoSuchNameError, http.client.HTTPException, ValueError) as error:
                failure = " ".join(str(error).split()) or type(error).__name__
            self.requests.append(Request(client=number, began=began, ended=time.time(), failure=failure, **answer))
            # One that waited for an answer in vain asks again at once.
            due = max(due + self._pace / self._speed, time.monotonic())

    def _get(self, address: str) -> dict[str, str]:
        connection = http.client.HTTPConnection(address, _HTTP_PORT + PORT_OFFSET, timeout=PATIENCE / self._speed)
        try:
            connection.request("GET", self._path, headers={"Host": self._name, "Connection": "close"})
            answer = connection.getresponse()
            body: Any = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise ValueError(f"HTTP {answer.status} {answer.reason}")
        return {"region": str(body.get("region", "")), "release": answer.headers.get(RELEASE_HEADER, "")}
