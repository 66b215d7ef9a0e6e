"""The kinds of cases: how a site is brought to where a command begins, and which of its calls it is killed at there."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.campaigns.cases import (
    LEASE_WRITE,
    RECORD_WRITE,
    Call,
    Case,
    changes,
    count,
    each,
    on_the_way_back,
    without_alike,
)
from tests.campaigns.site import FAILING, LARGE, REGIONS, Site, other

FIRST, SECOND = REGIONS
# The site whose first instance is rolled first, and alone, is in the second region.
CANARY: Final = SECOND

_OF_PARTS: Final = (
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "ListMultipartUploads",
    "ListParts",
)
_ABORT: Final = "AbortMultipartUpload"
# lockstep.errors.ExitCode: of a file that was changed meanwhile, and of a release that fails.
_INVALID: Final = 3
_FAILED_UNCHANGED: Final = 5
_PARTS_ARRIVED: Final = 2
_PARTS_HELD: Final = 3

Fault = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A command that is to be started now, and killed.

    `release` is the one that it is about, in `folder` if it publishes it; else `ends` has what may be settled in the
    end. `exits` is how it ends undisturbed. With `gate`, that call is held first, `at_gate` done, and the call let go.
    """

    arguments: tuple[str, ...]
    release: str
    folder: Path | None = None
    ends: frozenset[str] = frozenset()
    exits: int = 0
    gate: Fault | None = None
    at_gate: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Kind:
    """`begin` brings a site to where the command begins, `select` takes cases from an undisturbed run's calls."""

    begin: Callable[[Site], Trial]
    select: Callable[[str, Sequence[Call]], list[Case]]


def _publish(site: Site, *, large: bool = False) -> Trial:
    name, folder = site.new_release(large=large)
    return Trial(arguments=("publish", name, str(folder), "--yes"), release=name, folder=folder)


def _publish_begun(site: Site) -> Trial:
    """Published before up to where one region has some parts of the large file, and not all."""
    trial = _publish(site, large=True)
    held = {"region": FIRST, "operation": "UploadPart", "skip": _PARTS_ARRIVED}
    break_off(site, trial.arguments, held, times=_PARTS_HELD)
    return trial


def _publish_changed(site: Site) -> Trial:
    """The large file is touched while it is sent: its upload is given up then."""
    trial = _publish(site, large=True)
    assert trial.folder is not None
    return Trial(
        arguments=trial.arguments,
        release=trial.release,
        folder=trial.folder,
        exits=_INVALID,
        gate={"region": FIRST, "operation": "UploadPart"},
        at_gate=partial(os.utime, trial.folder / LARGE),
    )


def _deploy(site: Site) -> Trial:
    before = site.settled()
    release = other(before)
    return Trial(arguments=("deploy", release, "--yes"), release=release, ends=frozenset({before, release}))


def _deploy_failing(site: Site) -> Trial:
    before = site.settled()
    return Trial(
        arguments=("deploy", FAILING, "--yes"), release=FAILING, ends=frozenset({before}), exits=_FAILED_UNCHANGED
    )


def _settle(
    site: Site, *, at: Fault, stage: str | None, forward: bool, until: Callable[[Site], bool] = lambda site: True
) -> Trial:
    """`lockstep settle` of a deployment that was killed `at` a call; `until` is waited for before and after that.

    The record has to be at `stage` then (None: not in progress), so that what is tried is what is meant.
    """
    before = site.settled()
    release = other(before)
    break_off(site, ("deploy", release, "--yes"), at, until=until)
    newest = max(site.records().values(), key=lambda record: int(record["epoch"]))
    found = (newest["inProgress"] or {}).get("stage")
    assert found == stage, f"the deployment was broken off while {found}, not {stage}: another call has to be held"
    return Trial(arguments=("settle", "--yes"), release=release, ends=frozenset({release if forward else before}))


def break_off(
    site: Site,
    arguments: Sequence[str],
    fault: Fault,
    *,
    times: int = 1,
    until: Callable[[Site], bool] = lambda site: True,
) -> None:
    """Kill `lockstep ARGUMENTS` when `fault` holds it and `until` is true."""
    site.hold(fault)
    process = site.start(arguments)
    reached = site.wait_for_hold(process, times)
    if reached:
        site.wait_until(f"what comes after {fault}", partial(until, site))
    process.kill()
    site.hold()
    assert reached, f"`{' '.join(arguments)}` never came to {fault}: {process.said}"


def _half_recorded(site: Site) -> bool:
    return any(record["inProgress"] is None for record in site.records().values())


def _of(names: Sequence[str], kind: str, calls: Sequence[Call]) -> list[Case]:
    return without_alike(each(kind, {called: times for called, times in count(calls).items() if called[2] in names}))


def _of_first_region(kind: str, calls: Sequence[Call]) -> list[Case]:
    """How far the other region is depends on how fast it was."""
    return [case for case in _of(_OF_PARTS, kind, calls) if case.region == FIRST]


def _all(kind: str, calls: Sequence[Call]) -> list[Case]:
    return each(kind, count(calls))


def _all_but_renewals(kind: str, calls: Sequence[Call]) -> list[Case]:
    return without_alike(each(kind, count(calls), once=[LEASE_WRITE]))


def _rolls(kind: str, calls: Sequence[Call]) -> list[Case]:
    """What differs from another way back: which sites are rolled, and how."""
    return [case for case in changes(kind, calls) if case.operation != RECORD_WRITE]


def _start_in(region: str, **more: Any) -> Fault:
    return {"region": region, "operation": "StartInstanceRefresh", **more}


def _record(nth: int, **more: Any) -> Fault:
    return {"region": CANARY, "operation": RECORD_WRITE, "skip": nth - 1, **more}


# A deployment writes its record five times: begun, canary, rolling, verifying, settled.
VERIFYING: Final = 4
SETTLED: Final = 5

KINDS: Final[Mapping[str, Kind]] = {
    "publish": Kind(_publish, _all),
    "publish-large": Kind(partial(_publish, large=True), partial(_of, _OF_PARTS)),
    "publish-begun": Kind(_publish_begun, _of_first_region),
    "publish-changed": Kind(_publish_changed, partial(_of, [_ABORT])),
    "deploy": Kind(_deploy, _all_but_renewals),
    "undo": Kind(_deploy_failing, on_the_way_back),
    # One site is at its first instance: AWS rolls it back.
    "settle-canary": Kind(partial(_settle, at=_start_in(CANARY, after=True), stage="canary", forward=False), changes),
    # One site has gone all the way, and the other one hasn't begun: the first is rolled once more.
    "settle-half": Kind(
        partial(_settle, at=_start_in(FIRST), stage="rolling", forward=False, until=lambda site: not site.refreshes()),
        _rolls,
    ),
    # All is done but for saying so.
    "settle-whole": Kind(partial(_settle, at=_record(VERIFYING, after=True), stage="verifying", forward=True), changes),
    # One region says so.
    "settle-records": Kind(
        partial(_settle, at=_record(SETTLED), stage=None, forward=True, until=_half_recorded), changes
    ),
}

# By campaign: what is killed is on its way forward, or on its way back and when it is settled.
_BACK: Final = ("undo", "settle")
KINDS_OF: Final = {
    "kills": [kind for kind in KINDS if not kind.startswith(_BACK)],
    "undo-kills": [kind for kind in KINDS if kind.startswith(_BACK)],
}
