"""What the server knows about the request being answered and moto's backends can't see: how it came in, from where."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """Facts of one request.

    `secure` is what `aws:SecureTransport` says: True on the main port, False on the plain one. `source_vpce` is what
    `aws:SourceVpce` says: the id of the VPC endpoint that the caller's request passed, None when it passed none.
    `region` and `service` are those of the request's SigV4 credential scope, None when the request isn't signed.
    """

    secure: bool
    source_vpce: str | None
    region: str | None
    service: str | None


# Outside of a request (a backend that works on its own, a test that calls one directly) nothing travels over a network.
_OUTSIDE = RequestContext(secure=True, source_vpce=None, region=None, service=None)

_current: ContextVar[RequestContext] = ContextVar("lockstep_request", default=_OUTSIDE)


def current() -> RequestContext:
    """The context of the request that this thread is answering; outside of one: secure, from nowhere."""
    return _current.get()


@contextmanager
def answering(context: RequestContext) -> Iterator[None]:
    """Make `context` the current one for the block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
