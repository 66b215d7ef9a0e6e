"""The health checkers' process: `python -m sandbox.checkers`. Its first line of output is `ready`."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from sandbox.checkers.crew import Crew
from sandbox.checkers.endpoint import CHECKS_PATH
from sandbox.checkers.reports import Reports, sender
from sandbox.dns.feed import Feed
from sandbox.dns.resolver import resolve

READY: Final = "ready"
# Names that are resolved at the same time: one takes a millisecond, and a name server that stands still holds all up.
_RESOLVING: Final = 8


async def check(endpoint: str, name_server: tuple[str, int]) -> None:
    """Check what the API at `endpoint` says, for ever."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(_RESOLVING, "resolver")

    async def address_of(name: str) -> str:
        return (await loop.run_in_executor(pool, resolve, name, name_server)).address

    reports = Reports(sender(endpoint))
    crew = Crew(address_of, reports.add)
    ready = asyncio.Event()

    async def taken(given: Mapping[str, Any]) -> None:
        crew.take(given)
        ready.set()

    def take(given: Mapping[str, Any]) -> None:
        # What isn't understood is the feed's to say.
        asyncio.run_coroutine_threadsafe(taken(given), loop).result()

    feed = Feed(endpoint, CHECKS_PATH, "checks", "health checkers", take)
    threading.Thread(target=feed.follow, args=(threading.Event(),), name="feed", daemon=True).start()
    reporting = loop.create_task(reports.go_on())
    await ready.wait()
    print(READY, flush=True)
    done, _ = await asyncio.wait({crew.failed, reporting}, return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()


def main() -> int:
    """Check until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sandbox.checkers")
    parser.add_argument("--endpoint", required=True, help="URL of the sandbox's API")
    parser.add_argument("--dns", required=True, help="HOST:PORT of the name server")
    arguments = parser.parse_args()
    host, _, port = arguments.dns.rpartition(":")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        asyncio.run(check(arguments.endpoint, (host, int(port))))
    except Exception:
        # The feed's thread waits for an answer that nobody needs any more.
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
