"""What the name server answers from: zones, records, health checks and balancers' addresses, as they are now.

`GET /_sandbox/zones?after=VERSION` answers when there is something newer than VERSION, or after a while with the same.
So a change arrives at once, and the name server, which keeps what it has, never waits for the API to answer a query.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from moto.route53.models import route53_backends

from sandbox.api import balancers, control
from sandbox.api.workers import Worker
from sandbox.api.zone_feed_path import PATH

TURN_SECONDS: Final = 0.1
# How long an asker is kept waiting for something newer. Real seconds.
PATIENCE: Final = 5.0

_changed = threading.Condition()
_version = 0
_snapshot = ""


def snapshot() -> dict[str, Any]:
    """Everything that answers depend on. Call it under the backend lock."""
    zones: list[dict[str, Any]] = []
    checks: dict[str, Any] = {}
    for account in list(route53_backends.values()):
        for backend in list(account.values()):
            zones += [_zone(zone) for zone in backend.zones.values() if not zone.private_zone]
            checks |= {check.id: check.health_check_config for check in backend.health_checks.values()}
    return {
        "zones": sorted(zones, key=lambda zone: (len(zone["name"]), zone["name"], zone["id"])),
        "checks": checks,
        "balancers": balancers.addresses_by_name(),
    }


def _zone(zone: Any) -> dict[str, Any]:
    return {
        "id": zone.id,
        "name": _name(zone.name),
        "records": [
            {
                "name": _name(record.name),
                "type": record.type,
                "ttl": record.ttl,
                "values": [value["Value"] if isinstance(value, dict) else value for value in record.records or ()],
                "set": record.set_identifier,
                "weight": record.weight,
                "check": record.health_check_id,
                "alias": record.alias_target,
                "policy": _policy(record),
            }
            for record in zone.rrsets
        ],
    }


def _name(name: str) -> str:
    """Lower case, with a dot at the end; Route 53 writes an asterisk as octal 052."""
    return name.rstrip(".").lower().replace("\\052", "*") + "."


def _policy(record: Any) -> str:
    """Route 53's name for how the record is chosen."""
    others = {
        "failover": record.failover,
        "geolocation": record.geo_location,
        "latency": record.region,
        "multivalue answer": record.multi_value_answer,
    }
    other = next((name for name, value in others.items() if value), None)
    return other or ("simple" if record.set_identifier is None else "weighted")


def turn() -> None:
    """Tell whoever waits, if something has changed."""
    global _version, _snapshot
    now = json.dumps(snapshot(), sort_keys=True, default=str)
    if now != _snapshot:
        with _changed:
            _snapshot = now
            _version += 1
            _changed.notify_all()


def _answer(query: Mapping[str, str], _body: bytes) -> Mapping[str, Any]:
    after = int(query.get("after", "0"))
    with _changed:
        _changed.wait_for(lambda: _version > after, timeout=PATIENCE)
        return {"version": _version, **(json.loads(_snapshot) if _version > after else {})}


worker = Worker("zone feed", TURN_SECONDS, turn)
control.route(PATH, _answer)
