"""What the name server answers from: zones, records, health checks and balancers' addresses, as they are now.

`GET /_sandbox/zones?after=VERSION` is answered when there is something newer than VERSION, or after a while without
anything. So a change arrives at once ("within 60 seconds" on AWS: Route 53 API Reference, ChangeResourceRecordSets),
and the name server, which keeps what it has, never waits for the API while it answers.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from moto.route53.models import route53_backends

from sandbox.api import backends, balancers, control, health_checkers, metric_checks
from sandbox.api.health_push import Push
from sandbox.api.versions import Versions
from sandbox.api.workers import Worker
from sandbox.dns.feed import PATH, PATIENCE_SECONDS

TURN_SECONDS: Final = 0.1


def snapshot() -> dict[str, Any]:
    """Everything that answers depend on. Call it under the backend lock.

    `zones`: public ones, in the order of their creation; `checks`: HealthCheckConfig by id; `health`: what the name
    servers know by now of checks that aren't calculated; `balancers`: by DNS name. The health checkers learn here what
    there is to check.
    """
    known = list(backends.every(route53_backends))
    checks = [check for backend in known for check in backend.health_checks.values()]
    return {
        "zones": [_zone(zone) for backend in known for zone in backend.zones.values() if not zone.private_zone],
        "checks": {check.id: check.health_check_config for check in checks},
        "health": health_checkers.look(checks, metric_checks.states()),
        "balancers": _balancers(),
    }


def _balancers() -> dict[str, dict[str, Any]]:
    """By DNS name; a change of their health, too, takes a while to reach the name servers (`health_push`).

    That Route 53 learns of it no later than of a check's is an assumption, as AWS gives no figure.
    """
    now, found = time.monotonic(), balancers.addresses_by_name()
    for name, each in found.items():
        if name not in _known:
            _push.start(name, each["healthy"])
        _push.send(name, each["healthy"], now)
    for gone in _known - found.keys():
        _push.forget(gone)
    _known.clear()
    _known.update(found)
    arrived = _push.arrived(now)
    return {name: {**each, "healthy": arrived[name]} for name, each in found.items()}


def _zone(zone: Any) -> dict[str, Any]:
    return {"id": zone.id, "name": zone.name, "records": [_record(record) for record in zone.rrsets]}


def _record(record: Any) -> dict[str, Any]:
    return {
        "name": record.name,
        "type": record.type,
        "ttl": record.ttl,
        "values": list(record.records or ()),
        "policy": _policy(record),
        "set": record.set_identifier,
        "weight": record.weight,
        "check": record.health_check_id,
        "alias": _alias(record.alias_target),
    }


def _alias(target: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not target:
        return None
    return {
        "name": target["DNSName"],
        "evaluatesTarget": str(target.get("EvaluateTargetHealth", False)).lower() == "true",
    }


def _policy(record: Any) -> str:
    """Route 53's name for how the record is chosen (Developer Guide, "Choosing a routing policy")."""
    held = {
        "weighted": record.weight is not None,
        "failover": bool(record.failover),
        "geolocation": bool(record.geo_location),
        "latency": bool(record.region),
        "multivalue answer": bool(record.multi_value_answer),
    }
    return next((name for name, holds in held.items() if holds), "simple")


versions: Final = Versions()
_push = Push()
_known: set[str] = set()


def close() -> None:
    """Keep neither the name server nor the checkers waiting: the API is about to end."""
    for each in (versions, health_checkers.versions):
        each.close()


def _answer(query: Mapping[str, str], _body: bytes) -> Mapping[str, Any]:
    return versions.after(int(query.get("after", "0")), PATIENCE_SECONDS)


worker = Worker("zone feed", TURN_SECONDS, lambda: versions.tell(snapshot()))
control.route(PATH, _answer)
