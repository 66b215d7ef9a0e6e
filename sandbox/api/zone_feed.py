"""What the name server answers from: zones, records, health checks and balancers' addresses, as they are now.

`GET /_sandbox/zones?after=VERSION` is answered when there is something newer than VERSION, or after a while without
anything. So a change arrives at once ("within 60 seconds" on AWS: Route 53 API Reference, ChangeResourceRecordSets),
and the name server, which keeps what it has, never waits for the API while it answers.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moto.route53.models import route53_backends

from sandbox.api import balancers, control
from sandbox.api.workers import Worker
from sandbox.dns.feed import PATH, PATIENCE_SECONDS

TURN_SECONDS: Final = 0.1


class Versions:
    """Counts what is told: a snapshot is a new version if it differs from the one before."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._text = ""
        self._closed = False

    def close(self) -> None:
        """Keep nobody waiting, now or later: the API is about to end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def tell(self, snapshot: Mapping[str, Any]) -> None:
        """Pass a snapshot, a JSON object, to whoever waits for something newer."""
        text = json.dumps(snapshot)
        with self._changed:
            if text == self._text:
                return
            self._text = text
            self._version += 1
            self._changed.notify_all()

    def after(self, version: int, timeout: float) -> dict[str, Any]:
        """The snapshot with its `version`; without it if none newer than `version` comes in `timeout` real seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._version > version, timeout)
            known, text = self._version, self._text
        return {"version": known, **(json.loads(text) if known > version else {})}


def snapshot() -> dict[str, Any]:
    """Everything that answers depend on. Call it under the backend lock.

    `zones`: public ones, in the order of their creation; `checks`: HealthCheckConfig by id; `balancers`: by DNS name.
    """
    return {
        "zones": [_zone(zone) for backend in _backends() for zone in backend.zones.values() if not zone.private_zone],
        "checks": {
            check.id: check.health_check_config for each in _backends() for check in each.health_checks.values()
        },
        "balancers": balancers.addresses_by_name(),
    }


def _backends() -> Iterator[Any]:
    for account in list(route53_backends.values()):
        yield from list(account.values())


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


def _answer(query: Mapping[str, str], _body: bytes) -> Mapping[str, Any]:
    return versions.after(int(query.get("after", "0")), PATIENCE_SECONDS)


worker = Worker("zone feed", TURN_SECONDS, lambda: versions.tell(snapshot()))
control.route(PATH, _answer)
