"""The instance metadata service, version 2 only, at an address of the machine's own.

EC2 User Guide, "Use the Instance Metadata Service": a token by PUT, for 1 to 21,600 seconds; without one 401; a token
request that came through a proxy is refused.
"""

import json
import secrets
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

PORT: Final = 1338
_TOKEN_PATH: Final = "/latest/api/token"
_TTL_HEADER: Final = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER: Final = "X-aws-ec2-metadata-token"
_TTL_MAX: Final = 21_600


class MetadataServer:
    """Serves the facts of one instance until the process ends."""

    def __init__(self, address: str, facts: Mapping[str, str]) -> None:
        self._server = ThreadingHTTPServer((address, PORT), _handler(_tree(facts)))
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, name="metadata", daemon=True).start()

    @property
    def url(self) -> str:
        """What AWS_EC2_METADATA_SERVICE_ENDPOINT has to be."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"


def _tree(facts: Mapping[str, str]) -> dict[str, str]:
    document = {
        "accountId": facts["account"],
        "availabilityZone": facts["zone"],
        "imageId": facts["image_id"],
        "instanceId": facts["instance_id"],
        "instanceType": facts["instance_type"],
        "privateIp": facts["private_ip"],
        "region": facts["region"],
        "version": "2017-09-30",
    }
    return {
        "/latest/meta-data/ami-id": facts["image_id"],
        "/latest/meta-data/instance-id": facts["instance_id"],
        "/latest/meta-data/instance-type": facts["instance_type"],
        "/latest/meta-data/local-ipv4": facts["private_ip"],
        "/latest/meta-data/placement/availability-zone": facts["zone"],
        "/latest/meta-data/placement/region": facts["region"],
        "/latest/dynamic/instance-identity/document": json.dumps(document, indent=2),
    }


def _handler(tree: Mapping[str, str]) -> type[BaseHTTPRequestHandler]:
    tokens: dict[str, float] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            ttl = self.headers.get(_TTL_HEADER, "")
            if self.path != _TOKEN_PATH:
                self._answer(404, "")
            elif self.headers.get("X-Forwarded-For"):
                self._answer(403, "")
            elif not ttl.isdecimal() or not 1 <= int(ttl) <= _TTL_MAX:
                self._answer(400, "")
            else:
                token = secrets.token_urlsafe(32)
                tokens[token] = time.monotonic() + int(ttl)
                self._answer(200, token)

        def do_GET(self) -> None:
            if tokens.get(self.headers.get(_TOKEN_HEADER, ""), 0.0) < time.monotonic():
                self._answer(401, "")
            elif self.path in tree:
                self._answer(200, tree[self.path])
            else:
                below = sorted({path.removeprefix(self._folder()).split("/")[0] for path in tree if self._holds(path)})
                self._answer(200 if below else 404, "\n".join(below))

        def _folder(self) -> str:
            return self.path if self.path.endswith("/") else f"{self.path}/"

        def _holds(self, path: str) -> bool:
            return path.startswith(self._folder())

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: the console is the machine's."""

    return Handler
