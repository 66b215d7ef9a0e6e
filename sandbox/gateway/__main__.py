"""The gateway's process: `python -m sandbox.gateway`. Its first line of output is its port."""

import argparse
import os
import signal
import sys

from sandbox.gateway.proxy import HOST, Gateway


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sandbox.gateway")
    parser.add_argument("--dns", required=True, help="HOST:PORT of the name server")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    arguments = parser.parse_args()
    host, _, port = arguments.dns.rpartition(":")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        gateway = Gateway(arguments.port, (host, int(port)))
    except OSError as error:
        print(f"can't listen on {HOST}:{arguments.port}: {error.strerror}", file=sys.stderr)
        return 1
    with gateway:
        print(gateway.server_address[1], flush=True)
        gateway.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
