"""The name server's process: `python -m sandbox.dns`. Its first line of output is its port."""

import argparse
import http.client
import json
import os
import signal
import sys
import threading
import time
from urllib.parse import urlsplit

from sandbox.api.zone_feed_path import PATH
from sandbox.dns.answers import Answerer
from sandbox.dns.server import NameServer
from sandbox.dns.zones import Zones

# How long to wait before an API that doesn't answer is asked again, and for an answer of one that does. Real seconds.
RETRY_SECONDS = 0.2
ANSWER_SECONDS = 30.0
HOST = "127.0.0.1"


def follow(answerer: Answerer, endpoint: str, ready: threading.Event) -> None:
    """Keep `answerer` at what the API says. What it knows stays good while the API doesn't answer."""
    version = 0
    while True:
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", f"{PATH}?after={version}")
            given = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            time.sleep(RETRY_SECONDS)
            continue
        finally:
            connection.close()
        if "zones" in given:
            answerer.zones = Zones.read(given)
        version = given["version"]
        ready.set()


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sandbox.dns")
    parser.add_argument("--endpoint", required=True, help="URL of the sandbox's API")
    parser.add_argument("--port", type=int, default=0, help="port to listen on, UDP and TCP; 0 takes a free one")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    answerer, ready = Answerer(), threading.Event()
    threading.Thread(target=follow, args=(answerer, arguments.endpoint, ready), daemon=True).start()
    server = NameServer(answerer, HOST, arguments.port)
    ready.wait()
    server.start()
    print(server.port, flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
