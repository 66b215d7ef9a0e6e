"""The name server's process: `python -m sandbox.dns`. Its first line of output is its port."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from sandbox.dns.answers import Answerer
from sandbox.dns.feed import PATH, Feed
from sandbox.dns.server import NameServer
from sandbox.dns.zones import Zones

HOST = "127.0.0.1"


def main() -> int:
    """Serve until SIGTERM; says its port when it has zones to answer from."""
    parser = argparse.ArgumentParser(prog="sandbox.dns")
    parser.add_argument("--endpoint", required=True, help="URL of the sandbox's API")
    parser.add_argument("--port", type=int, default=0, help="port to listen on, UDP and TCP; 0 takes a free one")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    answerer, ready, ended = Answerer(), threading.Event(), threading.Event()
    try:
        server = NameServer(answerer, HOST, arguments.port)
    except OSError as error:
        print(f"can't listen on {HOST}:{arguments.port}, UDP and TCP: {error.strerror}", file=sys.stderr)
        return 1

    def take(given: Mapping[str, Any]) -> None:
        answerer.zones = Zones.read(given)
        ready.set()

    feed = Feed(arguments.endpoint, PATH, "zones", "name server", take)
    threading.Thread(target=feed.follow, args=(ended,), name="feed", daemon=True).start()
    ready.wait()
    server.start()
    print(server.port, flush=True)
    ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
