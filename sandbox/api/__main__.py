"""The API's process: `python -m sandbox.api`. Its first line of output is a JSON object with both URLs."""

import argparse
import json
import logging
import os
import signal
import sys

import boto3
from botocore.exceptions import ClientError

from lockstep.errors import InvalidInputError, LockstepError
from sandbox.api.server import ApiServer


def wait_for_end() -> None:
    """Block until SIGTERM or SIGINT.

    Handlers are installed explicitly: what a script starts in the background inherits "ignore SIGINT". They write to a
    pipe, because a handler may run while the main thread holds any lock; masking the signals instead would pass on to
    every process started from here.
    """
    readable, writable = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(writable, b"."))
    os.read(readable, 1)


def create_zone(endpoint: str, name: str) -> None:
    """Make the public hosted zone `name`. Raises InvalidInputError if the API refuses it."""
    client = boto3.client("route53", region_name="us-east-1", endpoint_url=endpoint)
    try:
        client.create_hosted_zone(Name=name, CallerReference="lockstep-sandbox")
    except ClientError as error:
        raise InvalidInputError(
            f"lockstep:zone is {name!r}, and Route 53 refuses such a hosted zone: {error}",
            "set `lockstep:zone` in Pulumi.yaml to a domain name, for example example.com",
        ) from error


def main() -> int:
    """Serve the API until asked to end; returns the error's exit status if it can't begin."""
    parser = argparse.ArgumentParser(prog="sandbox.api")
    parser.add_argument("--port", type=int, default=0, help="main port, which counts as TLS; 0 takes a free one")
    parser.add_argument("--plain-port", type=int, default=0, help="port that counts as plain HTTP; 0 takes a free one")
    parser.add_argument("--zone", help="public hosted zone that exists from the start, as it does on AWS")
    arguments = parser.parse_args()
    # A line for each request would grow the log without end.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        with ApiServer(arguments.port, arguments.plain_port, data_plane=True) as server:
            # It works on moto's backends, which must have been changed before they are imported there.
            from sandbox.api import acm_authority, zone_feed

            if arguments.zone:
                create_zone(server.endpoint_url, arguments.zone)
            began = {
                "endpoint": server.endpoint_url,
                "plainEndpoint": server.plain_endpoint_url,
                "authority": acm_authority.pem().decode(),
            }
            print(json.dumps(began), flush=True)
            wait_for_end()
            # The server lets answers in progress finish, and these would wait for a change of zones and checks.
            zone_feed.close()
    except LockstepError as error:
        print(f"{error.message}\n{error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
