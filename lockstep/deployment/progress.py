"""What a deployment says of itself: who runs it, when, and to the person who waits."""

import os
import socket
from datetime import UTC, datetime

from lockstep import console
from lockstep.lease import user


def now_text() -> str:
    """The time, UTC, as records have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def this_holder() -> str:
    """Who this process is, for a record."""
    return f"{user()}@{socket.gethostname()} pid {os.getpid()}"


def say(site: str, text: str) -> None:
    """One line about one site, on stderr."""
    console.progress(f"{site}: {text}")
