"""`python -m sandbox.provider --endpoint URL [--port N]`: the provider in a process of its own."""

import argparse
import signal
import threading

from sandbox.provider.server import serve_until


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.provider", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="URL of the sandbox's AWS API")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    arguments = parser.parse_args()
    ended = threading.Event()
    # Set explicitly: a background job of a script inherits "ignore SIGINT".
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    serve_until(ended, arguments.endpoint, arguments.port)


if __name__ == "__main__":
    main()
