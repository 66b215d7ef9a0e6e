"""Where zones, and checks, come from: the API, which is asked for what is newer than what is known, and answers when
there is.

The name server answers from what it has; it never asks anybody while a query waits.
"""

import http.client
import json
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

PATH: Final = "/_sandbox/zones"
"""On the API: `?after=VERSION` answers `{"version": N}`, and with `zones`, `checks`, `health` and `balancers` if N is
newer."""

PATIENCE_SECONDS: Final = 5.0
"""How long the API keeps an asker waiting for something newer. Real seconds."""

# How long to wait for an answer, and before asking again an API that gave none. Real seconds.
_ANSWER_SECONDS: Final = 2 * PATIENCE_SECONDS
_RETRY_SECONDS: Final = 0.2


class Feed:
    """Keeps `take` at what the API at `endpoint` (URL) says at `path`, in answers that have a `key` if there is news.

    `who` asks, in the log. `take` raises LookupError, TypeError or ValueError if it doesn't understand an answer.
    """

    def __init__(self, endpoint: str, path: str, key: str, who: str, take: Callable[[Mapping[str, Any]], None]) -> None:
        self._host = urlsplit(endpoint).netloc
        self._path = path
        self._key = key
        self._who = who
        self._take = take
        self._version = 0
        self._complaints: set[str] = set()

    def follow(self, ended: threading.Event) -> None:
        """Go on until `ended`. While the API doesn't answer, what was told last stays."""
        while not ended.is_set():
            try:
                self.ask()
                self._complaints.clear()
            except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
                self._complain(f"no {self._key} from the API: {type(error).__name__}: {error}")
                ended.wait(_RETRY_SECONDS)

    def ask(self) -> None:
        """Wait for something newer, for as long as the API lets us, and pass it on.

        Raises OSError or HTTPException if the API doesn't answer, LookupError, TypeError or ValueError if its answer
        isn't understood.
        """
        given = self._get(f"{self._path}?after={self._version}")
        if self._key in given:
            self._take(given)
        self._version = int(given["version"])

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ValueError(f"HTTP {answer.status}: {body.decode(errors='replace')}")
        given: dict[str, Any] = json.loads(body)
        return given

    def _complain(self, text: str) -> None:
        """Once for each reason, and not five times a second."""
        if text not in self._complaints:
            self._complaints.add(text)
            print(f"{self._who}: {text}", file=sys.stderr, flush=True)
