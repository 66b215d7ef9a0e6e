"""Health checks of endpoints: what the checkers have to look at, what they find, and what follows from it.

This is the one truth about a check: GetHealthCheckStatus shows it, and the name servers are told of it. Developer
Guide, "How Amazon Route 53 determines whether a health check is healthy".

`GET /_sandbox/checks?after=VERSION` tells the checkers what there is, `POST /_sandbox/observations` takes what they
find. `POST /_sandbox/checkers` with `{"blind": 13}`, or `{"blind": {CHECK: 13}}`, lets so many of the checkers see
nothing, until the next such request; `GET` tells that and the state of each check.
"""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sandbox.api import control
from sandbox.api.health_push import Push
from sandbox.api.versions import Versions
from sandbox.checkers.endpoint import CHECKS_PATH, OBSERVATIONS_PATH
from sandbox.checkers.places import CHECKERS, Place, places
from sandbox.dns.feed import PATIENCE_SECONDS

BLIND_PATH: Final = "/_sandbox/checkers"

HEALTHY_SHARE: Final = 0.18
"""A check is healthy if more than this share of its checkers says so (same page)."""

ENDPOINT_TYPES: Final = ("HTTP", "HTTP_STR_MATCH", "HTTPS", "HTTPS_STR_MATCH", "TCP")


def is_enough(healthy_checkers: int) -> bool:
    """Whether a check is healthy when so many of its checkers say so."""
    return healthy_checkers > HEALTHY_SHARE * CHECKERS


@dataclass
class _Check:
    """What is known of one check, by the number of the checker."""

    version: int
    places: tuple[Place, ...]
    found: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def healthy_checkers(self) -> int:
        """Those that haven't said anything yet included: a check is healthy until there is enough data."""
        return CHECKERS - sum(not each["healthy"] for each in self.found.values())

    @property
    def is_healthy(self) -> bool:
        return is_enough(self.healthy_checkers)


@dataclass
class _Blind:
    """How many of a check's checkers see nothing."""

    all: int = 0
    by_check: dict[str, int] = field(default_factory=dict)

    def of(self, check_id: str) -> int:
        return self.by_check.get(check_id, self.all)


versions: Final = Versions()
_lock = threading.Lock()
_checks: dict[str, _Check] = {}
_push = Push()
_blind = _Blind()


def look(health_checks: Iterable[Any], metric_states: Mapping[str, bool]) -> Mapping[str, bool]:
    """Tell the checkers what there is to check, and return what the name servers know of each check's health by now.

    A check that is disabled isn't looked at ("Route 53 stops submitting requests": API Reference, HealthCheckConfig).
    """
    now, told = time.monotonic(), []
    with _lock:
        existing = set()
        for check in health_checks:
            if check.config["Disabled"] or check.config["Type"] == "CALCULATED":
                continue
            existing.add(check.id)
            if check.config["Type"] in ENDPOINT_TYPES:
                told.append(_note(check))
            else:
                _push.send(check.id, metric_states.get(check.id, True), now)
        arrived = _push.arrived(now)
        for gone in (_checks.keys() | arrived.keys()) - existing:
            _checks.pop(gone, None)
            _push.forget(gone)
    versions.tell({"checks": told})
    return {id_: arrived.get(id_, True) for id_ in existing}


def _note(check: Any) -> dict[str, Any]:
    version, where = check.health_check_version, places(check.config.get("Regions", ()))
    known = _checks.setdefault(check.id, _Check(version, where))
    known.version, known.places = version, where
    return {"id": check.id, "version": version, "config": check.config, "blind": _blind.of(check.id)}


def statuses(check_id: str) -> list[dict[str, Any]]:
    """HealthCheckObservations: the last probe of each checker that has made one.

    Empty at first: "Until propagation has finished", there is no status (Developer Guide, "Viewing health check status
    and the reason for health check failures").
    """
    return [_observation(place, found["status"], found["at"]) for place, found in _found(check_id)]


def last_failures(check_id: str) -> list[dict[str, Any]]:
    """HealthCheckObservations: the last probe of each checker that failed; if none has, AWS's words for that."""
    observations = []
    for place, found in _found(check_id):
        if found["failure"] is None:
            status = (
                "The health check endpoint has not failed since the Route 53 health checker for this endpoint "
                f"restarted at {_moment(found['since']).isoformat(timespec='milliseconds')}"
            )
            observations.append(_observation(place, status, found["at"]))
        else:
            observations.append(_observation(place, found["failure"], found["failed_at"]))
    return observations


def _found(check_id: str) -> list[tuple[Place, Mapping[str, Any]]]:
    with _lock:
        check = _checks.get(check_id)
        return [] if check is None else [(check.places[number], check.found[number]) for number in sorted(check.found)]


def _observation(place: Place, status: str, at: float) -> dict[str, Any]:
    report = {"Status": status, "CheckedTime": _moment(at)}
    return {"Region": place.region, "IPAddress": place.address, "StatusReport": report}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def reset() -> None:
    """Every checker sees again."""
    _blind_again({"blind": 0})


# --- requests


def _answer_checks(query: Mapping[str, str], _body: bytes) -> Mapping[str, Any]:
    return versions.after(int(query.get("after", "0")), PATIENCE_SECONDS)


def _answer_observations(_query: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    """Observations of a check that is gone, or of settings that it had before, are of no use to anybody."""
    now = time.monotonic()
    with _lock:
        for each in json.loads(body)["observations"]:
            check = _checks.get(each["check"])
            if check is None or check.version != each["version"]:
                continue
            check.found[int(each["checker"])] = each
            _push.send(each["check"], check.is_healthy, now)
    return {}


def _answer_blind(_query: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    if body:
        _blind_again(json.loads(body))
    with _lock:
        arrived = _push.arrived(time.monotonic())
        return {
            "blind": _blind.by_check or _blind.all,
            "checks": {
                id_: {
                    "healthy": check.is_healthy,
                    "told": arrived.get(id_, True),
                    "healthyCheckers": check.healthy_checkers,
                    "reporting": len(check.found),
                }
                for id_, check in _checks.items()
            },
        }


def _blind_again(wanted: Mapping[str, Any]) -> None:
    blind = wanted.get("blind")
    counts: list[Any] = list(blind.values()) if isinstance(blind, Mapping) else [blind]
    if wanted.keys() != {"blind"} or any(type(each) is not int or not 0 <= each <= CHECKERS for each in counts):
        raise ValueError(f'{{"blind": N}} or {{"blind": {{CHECK: N}}}} with N from 0 to {CHECKERS}, not {dict(wanted)}')
    with _lock:
        _blind.all = 0 if isinstance(blind, Mapping) else counts[0]
        _blind.by_check = dict(blind) if isinstance(blind, Mapping) else {}


control.route(CHECKS_PATH, _answer_checks)
control.route(OBSERVATIONS_PATH, _answer_observations)
control.route(BLIND_PATH, _answer_blind)
