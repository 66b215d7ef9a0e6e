"""The instance metadata service, version 2 only, at an address of the machine's own.

EC2 User Guide, "Use the Instance Metadata Service": a token by PUT, for 1 to 21,600 seconds, 400 for another time and
403 through a proxy; 401 without a token, as every launch template of this program has `http_tokens=required`.
"""

import json
import secrets
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

PORT: Final = 1338
"""At 169.254.169.254 it is 80, which nobody but root may listen on."""

_TOKEN_PATH: Final = "/latest/api/token"
_TTL_HEADER: Final = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER: Final = "X-aws-ec2-metadata-token"
_TTL_MAX: Final = 21_600
# The EC2 API's names of architectures, by RPM's.
_ARCHITECTURES: Final[Mapping[str, str]] = {"aarch64": "arm64"}


class MetadataServer:
    """Serves the facts of one instance until the process ends.

    `facts`: account, image_id, instance_id, instance_type, private_ip, region, zone; optionally `architecture`, which
    is RPM's. Raises OSError if `address` already has such a server.
    """

    def __init__(self, address: str, facts: Mapping[str, str]) -> None:
        self._server = _Server((address, PORT), _handler(_tree(facts)))
        Thread(target=self._server.serve_forever, name="metadata", daemon=True).start()

    @property
    def url(self) -> str:
        """What AWS_EC2_METADATA_SERVICE_ENDPOINT has to be."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _tree(facts: Mapping[str, str]) -> dict[str, str]:
    architecture = facts.get("architecture", "")
    document = {
        "accountId": facts["account"],
        "architecture": _ARCHITECTURES.get(architecture, architecture) or None,
        "availabilityZone": facts["zone"],
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": facts["image_id"],
        "instanceId": facts["instance_id"],
        "instanceType": facts["instance_type"],
        "kernelId": None,
        "marketplaceProductCodes": None,
        "privateIp": facts["private_ip"],
        "ramdiskId": None,
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
        server_version = "EC2ws"
        sys_version = ""

        def do_PUT(self) -> None:
            # Nothing is done with a body, but the next request on the connection begins after it.
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            ttl = self.headers.get(_TTL_HEADER, "")
            if self.path != _TOKEN_PATH:
                self._answer(404)
            elif self.headers.get("X-Forwarded-For"):
                self._answer(403)
            elif not ttl.isdecimal() or not 1 <= int(ttl) <= _TTL_MAX:
                self._answer(400)
            else:
                self._answer(200, _new_token(tokens, int(ttl)), {_TTL_HEADER: ttl})

        def do_GET(self) -> None:
            if tokens.get(self.headers.get(_TOKEN_HEADER, ""), 0.0) < time.monotonic():
                self._answer(401)
            elif self.path in tree:
                self._answer(200, tree[self.path])
            elif below := _listing(tree, self.path):
                self._answer(200, below)
            else:
                self._answer(404)

        def _answer(self, status: int, text: str = "", headers: Mapping[str, str] | None = None) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: the console is the machine's."""

    return Handler


def _new_token(tokens: dict[str, float], ttl: int) -> str:
    now = time.monotonic()
    for token in [token for token, until in list(tokens.items()) if until < now]:
        tokens.pop(token, None)
    token = secrets.token_urlsafe(40)
    tokens[token] = now + ttl
    return token


def _listing(tree: Mapping[str, str], path: str) -> str:
    """The names below `path`, a folder's with a slash."""
    folder = path if path.endswith("/") else f"{path}/"
    below = [each.removeprefix(folder) for each in tree if each.startswith(folder)]
    return "\n".join(sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in below}))
