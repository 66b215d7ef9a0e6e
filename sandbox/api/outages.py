"""Regions that are lost: their API, machines and balancers go together, and come back as they were.

A lost region's requests are refused or held by its API (us-east-1's are those of Route 53 and IAM too:
`CONTROL_PLANES`), its processes stand still, and nothing is done there meanwhile. Only what isn't in a region
goes on: name servers and health checkers.

`GET` of PATH tells them; `POST` of `{"region": R, "how": "vanish" | "refuse"}` loses a region, with `null` for `how` it
is healed, and with `null` for both all are. It answers once that is so.
"""

import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from botocore.session import Session

from sandbox import standstill
from sandbox.api import balancers, control, faults, lost_regions, machines
from sandbox.api.backend_lock import backend_lock
from sandbox.api.children import Child
from sandbox.outages import PATH

# A process that doesn't stop for so long, or go on, is killed: it wouldn't hear of the other either. Real seconds; both
# together, as when a region is to be lost in another way, are less than who asked waits (`sandbox.outages`).
PATIENCE_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.01

_lock = threading.Lock()
_standing: dict[str, list[Child]] = {}
_since: dict[str, float] = {}


def lose(region: str, how: str) -> None:
    """Have `region` be lost: `vanish` or `refuse`. One that is lost already is lost that way from now on."""
    with _lock:
        before = lost_regions.known().get(region)
        if before == how:
            return
        since = _since[region] if before is not None else time.time()
        _heal(region)
        # First, so that nothing changes any more while processes are stopped one by one.
        with backend_lock:
            lost_regions.add(region, how)
            children = [*balancers.children_in(region), *machines.children_in(region)]
            _since[region], _standing[region] = since, children
        faults.lose(region, how)
        for child in children:
            child.stand_still(how)
        _wait_until_still(children)


def heal(region: str) -> None:
    """Have `region` go on where it was."""
    with _lock:
        _heal(region)


def heal_all() -> None:
    """Have every region go on."""
    for region in lost_regions.known():
        heal(region)


def _heal(region: str) -> None:
    children = _standing.get(region, [])
    for child in children:
        child.go_on()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for child in children:
        if not child.wait_until_going(max(0.0, deadline - time.monotonic())):
            print(f"sandbox API: {child.name} doesn't go on, and is killed", file=sys.stderr)
            child.kill()
    with backend_lock:
        lost_regions.remove(region)
        _standing.pop(region, None)
    faults.find(region)


def _wait_until_still(children: list[Child]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while running := [child for child in children if not child.is_still]:
        if time.monotonic() > deadline:
            for child in running:
                print(f"sandbox API: {child.name} didn't stand still, and is killed", file=sys.stderr)
                child.kill()
            deadline = float("inf")
        time.sleep(_POLL_SECONDS)


def _answer(_query: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    if body:
        wanted = json.loads(body)
        region, how = wanted["region"], wanted["how"]
        if region is not None and region not in Session().get_available_regions("ec2"):
            raise ValueError(f"AWS has no region {region!r}")
        if how is not None and how not in standstill.WAYS:
            raise ValueError(f"a region is lost by {' or '.join(standstill.WAYS)}, not {how!r}")
        if how is not None and region is not None:
            lose(region, how)
        elif region is not None:
            heal(region)
        elif how is None:
            heal_all()
        else:
            raise ValueError("which region is to be lost?")
    # Told also while a region is on its way.
    with backend_lock:
        ways = lost_regions.known()
        return {
            region: {"how": how, "processes": len(_standing.get(region, ())), "since": _since[region]}
            for region, how in ways.items()
        }


control.route(PATH, _answer)
