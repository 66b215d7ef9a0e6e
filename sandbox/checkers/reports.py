"""How what the checkers find gets to the API: the latest of each checker, several in one request."""

import asyncio
import http.client
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.checkers.checker import Observation
from sandbox.checkers.endpoint import OBSERVATIONS_PATH

GATHER_SECONDS: Final = 0.2
"""How long an observation that changes no checker's opinion may wait for others. Real seconds."""

# How long to wait for an answer, and before trying again. Real seconds.
_ANSWER_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.2

Send = Callable[[Mapping[str, Any]], None]
"""Passes on a JSON object, and waits until it has been taken. Raises OSError, HTTPException or ValueError."""


class Reports:
    """Passes on observations, changes of opinion at once; what can't be passed on is kept until it can."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: dict[tuple[str, int], Observation] = {}
        self._opinions: dict[tuple[str, int], bool] = {}
        self._any, self._urgent = asyncio.Event(), asyncio.Event()
        self._complaint = ""

    def add(self, observation: Observation) -> None:
        """Pass this on soon. To be called in the loop that runs `go_on`."""
        key = (observation.check, observation.checker)
        if self._opinions.get(key, True) != observation.healthy:
            self._urgent.set()
        self._opinions[key] = observation.healthy
        self._waiting[key] = observation
        self._any.set()

    async def go_on(self) -> None:
        """Pass on what there is, for ever."""
        while True:
            await self._any.wait()
            if not self._urgent.is_set():
                await _first(self._urgent, GATHER_SECONDS)
            self._any.clear()
            self._urgent.clear()
            sent, self._waiting = self._waiting, {}
            try:
                observations = [asdict(each) for each in sent.values()]
                await asyncio.to_thread(self._send, {"observations": observations})
                self._complaint = ""
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._complain(f"{type(error).__name__}: {error}")
                self._waiting = sent | self._waiting
                self._any.set()
                await asyncio.sleep(_RETRY_SECONDS)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            print(f"health checkers: the API takes no observations: {text}", file=sys.stderr, flush=True)


async def _first(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def sender(endpoint: str) -> Send:
    """To the API at a URL, over one connection for as long as it holds. One thread at a time."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=_ANSWER_SECONDS)

    def send(report: Mapping[str, Any]) -> None:
        try:
            connection.request("POST", OBSERVATIONS_PATH, json.dumps(report).encode())
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status != http.client.OK:
            raise ValueError(f"HTTP {answer.status}: {body.decode(errors='replace')}")

    return send
