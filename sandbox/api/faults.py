"""What goes wrong on purpose: requests of a region, service or operation that are refused, held, throttled, denied.

A request is matched after it has been read whole, by what AWS's front end knows of it: region and service of its
signature, operation, user agent. One without a signature (a machine that reads its packages) is of its bucket's region.
`POST /_sandbox/faults` with `{"faults": [...]}` replaces all faults; what was held goes on, and ends without an answer.
`GET` tells them, each with the number of requests that it has hit. `/_sandbox/calls` lists calls in order, to put a
fault on each of them in turn.
"""

import json
import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, NoReturn

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from sandbox.api import control
from sandbox.api.backend_lock import backend_lock
from sandbox.api.unsupported import ErrorResponse, Operation, error_response

# What each kind does to a request; `capacity` isn't about requests but about instances that are to be launched.
KINDS: Final = ("refuse", "vanish", "throttle", "deny", "capacity")
# API references, "Common errors" of each; all others say ThrottlingException.
_THROTTLED: Final = {
    "s3": "SlowDown",
    "ec2": "RequestLimitExceeded",
    "autoscaling": "Throttling",
    "elbv2": "Throttling",
}
_DENIED: Final = {"ec2": "UnauthorizedOperation", "ssm": "AccessDeniedException"}


@dataclass
class Fault:
    """One fault. What is None matches everything.

    `kind`: `refuse` resets the connection, `vanish` never answers, `throttle` is HTTP 503, `deny` an AWS refusal,
    `capacity` lets no instance be launched. `share` of the matching requests are hit, after the first `skip` have been
    let through, and at most `count`. With `after`, the request takes effect before its answer is lost (`refuse` and
    `vanish` only).
    """

    kind: str
    region: str | None = None
    service: str | None = None
    operation: str | None = None
    user_agent: str | None = None
    share: float = 1.0
    skip: int = 0
    count: int | None = None
    after: bool = False
    seen: int = 0
    hit: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a fault is one of {', '.join(KINDS)}, not {self.kind!r}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}, and must be more than 0 and at most 1")
        if self.after and self.kind not in ("refuse", "vanish"):
            raise ValueError(f"a fault of kind {self.kind} can't come after the effect")

    def matches(self, call: "Call") -> bool:
        """Whether it is about `call`; counts it if so."""
        if self.kind == "capacity" or not _same(self, call):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.count is not None and self.hit >= self.count):
            return False
        if self.share < 1 and _chance.random() >= self.share:
            return False
        self.hit += 1
        return True


@dataclass(frozen=True)
class Call:
    """A request, as faults see it."""

    region: str | None
    service: str
    operation: str
    user_agent: str


@dataclass(frozen=True)
class Met:
    """A fault that a request has met, and the event that ends its wait: its own plan's, whatever is set meanwhile."""

    fault: Fault
    released: threading.Event


@dataclass
class _Plan:
    """The faults that are set, and what waits because of them."""

    faults: list[Fault] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


_lock = threading.Lock()
_plan = _Plan()
# By lost region; `POST` to faults leaves them alone.
_outages: dict[str, _Plan] = {}
_calls: list[Call] | None = None
# Seeded anew with each plan, so that a share hits the same requests in each run.
_chance = random.Random(0)


def active() -> bool:
    """Whether requests have to be looked at; identifying each one costs time."""
    return bool(_plan.faults or _outages) or _calls is not None


def begin(call: Call) -> Met | None:
    """Note `call`, and return the fault that it meets."""
    with _lock:
        if _calls is not None:
            _calls.append(call)
        plans = (*_outages.values(), _plan)
        return next((Met(fault, each.released) for each in plans for fault in each.faults if fault.matches(call)), None)


def break_connection(met: Met) -> NoReturn:
    """Raise ConnectionResetError: at once, or for `vanish` when the faults change."""
    if met.fault.kind == "vanish":
        met.released.wait()
    raise ConnectionResetError(f"a fault is set: {met.fault.kind}")


def error(fault: Fault, operation: Operation) -> ErrorResponse:
    """AWS's answer to a request that is throttled or denied."""
    if fault.kind == "throttle":
        code = _THROTTLED.get(operation.service, "ThrottlingException")
        return error_response(operation, status=503, code=code, message="Please reduce your request rate.")
    code = _DENIED.get(operation.service, "AccessDenied")
    text = f"User: sandbox is not authorized to perform: {operation.service}:{operation.name}"
    return error_response(operation, status=403, code=code, message=text)


def lacks_capacity(region: str) -> bool:
    """Whether no instance can be launched in `region`."""
    with _lock:
        for fault in _plan.faults:
            if fault.kind == "capacity" and fault.region in (None, region):
                fault.hit += 1
                return True
    return False


def bucket_region(path: str) -> str | None:
    """The region of the bucket that a path-style S3 request is about; None if there is no such bucket."""
    name = path.strip("/").partition("/")[0]
    with backend_lock:
        bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)
        return None if bucket is None else str(bucket.region_name)


def lose(region: str, how: str) -> None:
    """Have each request of `region` meet with a fault of kind `how`, whatever other faults are set."""
    with _lock:
        _outages[region] = _Plan([Fault(how, region=region)])


def find(region: str) -> None:
    """Take back `lose`. What was held ends without an answer."""
    with _lock:
        before = _outages.pop(region, None)
    if before is not None:
        before.released.set()


def reset() -> None:
    """No faults, no list of calls. What was held goes on."""
    global _plan, _calls
    with _lock:
        before, _plan, _calls = [_plan, *_outages.values()], _Plan(), None
        _outages.clear()
    for each in before:
        each.released.set()


def _same(fault: Fault, call: Call) -> bool:
    wanted = ((fault.region, call.region), (fault.service, call.service), (fault.operation, call.operation))
    if any(one is not None and one != other for one, other in wanted):
        return False
    return fault.user_agent is None or fault.user_agent in call.user_agent


def _answer_faults(_query: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    if body:
        _replace(json.loads(body)["faults"])
    with _lock:
        return {"faults": [asdict(fault) for fault in _plan.faults]}


def _replace(wanted: list[dict[str, Any]]) -> None:
    global _plan
    settable = {each.name for each in fields(Fault)} - {"seen", "hit"}
    for each in wanted:
        if unknown := set(each) - settable:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(settable))}")
    faults = [Fault(**each) for each in wanted]
    with _lock:
        before, _plan = _plan, _Plan(faults)
        _chance.seed(0)
    before.released.set()


def _answer_calls(query: Mapping[str, str], _body: bytes) -> Mapping[str, Any]:
    """`?record=1` begins a new list, `?record=0` ends it; without, the list so far."""
    global _calls
    with _lock:
        so_far = [asdict(call) for call in _calls or ()]
        if "record" in query:
            _calls = [] if query["record"] == "1" else None
        return {"calls": so_far}


control.route("/_sandbox/faults", _answer_faults)
control.route("/_sandbox/calls", _answer_calls)
