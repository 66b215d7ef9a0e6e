"""The answers that a balancer gives itself: errors, fixed responses, redirects.

User Guide for Application Load Balancers, "Troubleshoot", "Fixed-response actions", "Redirect actions". Headers and
pages are those of AWS's answers.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web

SERVER: Final = "awselb/2.0"
# What AWS says where the standard's phrase is another, or there is none.
_PHRASES: Final = {460: "", 463: "", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}

_KEYWORD: Final = re.compile(r"#\{(protocol|host|port|path|query)\}")


class Answer(web.StreamResponse):
    """An answer in the form of AWS's balancers, which speak HTTP/1.1 to any client."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers[hdrs.CONNECTION] = "keep-alive" if self.keep_alive else "close"

    async def _write_headers(self) -> None:
        writer = self._payload_writer
        assert writer is not None
        await writer.write_headers(f"HTTP/1.1 {self.status} {self.reason}", self.headers)


class OwnAnswer(Answer, web.Response):
    """An answer of the balancer's own."""


class PassedAnswer(Answer):
    """A target's answer, with nothing in it that neither the target nor AWS's balancers say."""

    async def _prepare_headers(self) -> None:
        added = [name for name in (hdrs.SERVER, hdrs.CONTENT_TYPE) if name not in self.headers]
        await super()._prepare_headers()
        for name in added:
            self.headers.popall(name, None)


def error(status: int) -> OwnAnswer:
    """What a client gets when the balancer has no target's answer for it."""
    return _page(status)


def not_supported(what: str) -> OwnAnswer:
    """AWS's balancers do `what`, and the sandbox's don't."""
    text = f"the sandbox's load balancers don't support {what}\n"
    answer = OwnAnswer(status=501, text=text, headers={hdrs.SERVER: SERVER})
    answer.force_close()
    return answer


def fixed(config: Mapping[str, Any]) -> OwnAnswer:
    """A fixed-response action."""
    return OwnAnswer(
        status=int(config["StatusCode"]),
        reason=_phrase(int(config["StatusCode"])),
        text=config.get("MessageBody") or "",
        content_type=config.get("ContentType") or "text/plain",
        headers={hdrs.SERVER: SERVER},
    )


def redirect(
    config: Mapping[str, Any], *, host: str, port: int, path: str, query: str, scheme: str = "http"
) -> OwnAnswer:
    """A redirect action. `host`, `path` and `query` are the request's, `port` and `scheme` the listener's.

    The location always names the port, also where the protocol has it by default, as AWS's does.
    """
    known = {"protocol": scheme, "host": host, "port": str(port), "path": path.removeprefix("/"), "query": query}

    def part(name: str, usual: str) -> str:
        text = config.get(name)
        return _KEYWORD.sub(lambda found: known[found[1]], usual if text is None else str(text))

    scheme, name = part("Protocol", "#{protocol}").lower(), part("Host", "#{host}")
    location = f"{scheme}://{name}:{part('Port', '#{port}')}{part('Path', '/#{path}')}"
    asked = part("Query", "#{query}")
    answer = _page(int(config["StatusCode"].removeprefix("HTTP_")))
    answer.headers[hdrs.LOCATION] = f"{location}?{asked}" if asked else location
    return answer


def _page(status: int) -> OwnAnswer:
    title = f"{status} {_phrase(status)}".strip()
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        "</body>",
        "</html>",
        "",
    )
    return OwnAnswer(
        status=status,
        reason=_phrase(status),
        body="\r\n".join(lines).encode(),
        headers={hdrs.SERVER: SERVER, hdrs.CONTENT_TYPE: "text/html"},
    )


def _phrase(status: int) -> str:
    if status in _PHRASES:
        return _PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
