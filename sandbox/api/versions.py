"""What the API tells other processes of the sandbox as soon as it changes, and each change once."""

import json
import threading
from collections.abc import Mapping
from typing import Any


class Versions:
    """Counts what is told: a snapshot is a new version if it differs from the one before."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._text = ""
        self._closed = False

    def close(self) -> None:
        """Keep nobody waiting, now or later: the API is about to end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def tell(self, snapshot: Mapping[str, Any]) -> None:
        """Pass a snapshot, a JSON object, to whoever waits for something newer."""
        text = json.dumps(snapshot)
        with self._changed:
            if text == self._text:
                return
            self._text = text
            self._version += 1
            self._changed.notify_all()

    def after(self, version: int, timeout: float) -> dict[str, Any]:
        """The snapshot with its `version`; without it if none newer than `version` comes in `timeout` real seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._version > version, timeout)
            known, text = self._version, self._text
        return {"version": known, **(json.loads(text) if known > version else {})}
