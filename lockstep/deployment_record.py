"""The deployment record: what is settled, what was refused, what is in progress, and what that forbids.

Rule: the record with the highest epoch is the truth, wherever it is read. Nothing here calls AWS.
"""

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from lockstep.config.naming import records_path
from lockstep.errors import InvalidInputError

# Systems Manager User Guide, "Managing parameter tiers": the bytes that a standard parameter holds.
VALUE_MAX: Final = 4096
# How many releases the record remembers, and the bytes of a reason as JSON, where quotes and other alphabets take more
# than one each.
PAST_MAX: Final = 8
REASON_MAX: Final = 160


class Stage(StrEnum):
    """How far a deployment in progress is."""

    PREPARING = "preparing"
    CANARY = "canary"
    ROLLING = "rolling"
    VERIFYING = "verifying"
    UNDOING = "undoing"


class Fate(StrEnum):
    """What became of a release: every site ran it, or it was rolled back."""

    SETTLED = "settled"
    REFUSED = "refused"


class _Part(BaseModel):
    """A part of the record: frozen, in camel case on paper. What a newer version adds is kept out, not refused."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class InProgress(_Part):
    """A deployment that has begun: everything that it takes to undo it.

    `sites_from` has the release, and `versions_from` the launch template's version, of each site that it is about,
    before it began. `release_from` is what config had. `holder` is who runs it. `blame` says, while it is undone, what
    is wrong with the release; empty if it was never tried.
    """

    id: str
    release_to: str
    release_from: str | None
    sites_from: Mapping[str, str | None]
    versions_from: Mapping[str, int]
    started_at: str
    holder: str
    stage: Stage
    blame: str = ""


class Past(_Part):
    """What became of a release, and when."""

    release: str
    fate: Fate
    epoch: int
    at: str
    reason: str = ""


class DeploymentRecord(_Part):
    """The record at one epoch.

    `settled` is the release that every site was last proved to run, `sites` the one that each site was last proved to.
    """

    epoch: int = 0
    settled: str | None = None
    sites: Mapping[str, str | None] = {}
    past: tuple[Past, ...] = ()
    in_progress: InProgress | None = None

    def as_text(self) -> str:
        """As it is stored."""
        return self.model_dump_json(by_alias=True)

    def begin(self, deployment: InProgress) -> Self:
        """With `deployment` in progress."""
        return self._next(in_progress=deployment)

    def at(self, stage: Stage) -> Self:
        """With the deployment in progress at `stage`."""
        assert self.in_progress is not None
        return self._next(in_progress=self.in_progress.model_copy(update={"stage": stage}))

    def settle(self, release: str, now: str, sites: Iterable[str] = ()) -> Self:
        """With the deployment in progress done: its sites, or `sites`, run `release`.

        The release is settled once every site that the record knows runs it.
        """
        names = tuple(sites) or tuple(self.in_progress.sites_from if self.in_progress else ())
        runs = {**self.sites, **dict.fromkeys(names, release)}
        everywhere = set(runs.values()) == {release}
        past = self._with_past(release, Fate.SETTLED, now) if everywhere else self.past
        return self._next(sites=runs, settled=release if everywhere else self.settled, past=past, in_progress=None)

    def undo(self, reason: str, *, blames: bool) -> Self:
        """With the deployment in progress on its way back, because of `reason`, which `blames` the release or not.

        Undone once more, because that was broken off, it keeps its first reason.
        """
        now = self.in_progress
        assert now is not None
        again = now.stage is Stage.UNDOING
        changes = {"stage": Stage.UNDOING, "blame": _shortened(reason) if blames and not again else now.blame}
        return self._next(in_progress=now.model_copy(update=changes))

    def undone(self, now: str) -> Self:
        """With the deployment in progress undone: its sites have what they had, and the release is refused if it was to
        blame.

        One that was to change only the machines, an image for one, says nothing against the release that they ran.
        """
        was = self.in_progress
        assert was is not None
        runs = {**self.sites, **was.sites_from}
        refused = was.blame and was.release_to != was.release_from
        past = self._with_past(was.release_to, Fate.REFUSED, now, was.blame) if refused else self.past
        return self._next(sites=runs, past=past, in_progress=None)

    def fate_of(self, release: str) -> Past | None:
        """What became of `release` last; None if it was never deployed, or too long ago."""
        return next((each for each in reversed(self.past) if each.release == release), None)

    def supersedes(self, release: str) -> bool:
        """Whether `release` lies behind what is settled: it was settled before, or its version is older."""
        if self.settled is None or release == self.settled:
            return False
        fate = self.fate_of(release)
        was_settled = fate is not None and fate.fate is Fate.SETTLED
        return was_settled or compare_versions(release, self.settled) < 0

    def _with_past(self, release: str, fate: Fate, now: str, reason: str = "") -> tuple[Past, ...]:
        others = tuple(each for each in self.past if each.release != release)
        return (*others, Past(release=release, fate=fate, epoch=self.epoch + 1, at=now, reason=reason))[-PAST_MAX:]

    def _next(self, **changes: Any) -> Self:
        """The record after this one. It forgets its oldest releases if no parameter would hold it: a deployment must
        not fail at its record."""
        record = self.model_copy(update={**changes, "epoch": self.epoch + 1})
        while record.past and len(record.as_text().encode()) > VALUE_MAX:
            record = record.model_copy(update={"past": record.past[1:]})
        return record


def _shortened(reason: str) -> str:
    one_line = " ".join(reason.split())
    if _size(one_line) <= REASON_MAX:
        return one_line
    while _size(one_line + "…") > REASON_MAX:
        one_line = one_line[:-1]
    return one_line + "…"


def _size(text: str) -> int:
    """The bytes that `text` takes in JSON, without its quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def what_stops(record: DeploymentRecord | None, site: str, wanted: str | None, deployment_id: str | None) -> str | None:
    """Why the program of `site` must not go on with the release `wanted` from config; None if it may.

    `deployment_id` is that of the deployment which runs the program, None for a plain `pulumi up`.
    """
    if record is None:
        return None
    now = record.in_progress
    if now is not None:
        if deployment_id == now.id:
            return _what_stops_its_own(now, site, wanted)
        return (
            f"the deployment of release {now.release_to} is in progress (since {now.started_at}, by {now.holder}): "
            "wait for it, or run `lockstep settle` if it was broken off"
        )
    runs = record.sites.get(site, record.settled)
    if wanted is None:
        kept = runs or record.settled
        return kept and (
            f"lockstep:release is empty, and {site} runs release {kept}: a release that is missing from config is "
            f"never a deletion. Write {kept} into Pulumi.yaml, or run `lockstep deploy VERSION`"
        )
    if wanted in (runs, record.settled):
        return None
    fate = record.fate_of(wanted)
    if fate is not None and fate.fate is Fate.REFUSED:
        return (
            f"release {wanted} was rolled back at {fate.at} ({fate.reason}): run `lockstep deploy {wanted}` to try it "
            f"again, or write {record.settled or 'another release'} into Pulumi.yaml"
        )
    if record.supersedes(wanted):
        return (
            f"release {wanted} is older than {record.settled}, which is settled: this checkout may be out of date. Run "
            f"`lockstep deploy {wanted}` to go back to it, or write {record.settled} into Pulumi.yaml"
        )
    return None


def _what_stops_its_own(now: InProgress, site: str, wanted: str | None) -> str | None:
    """A deployment brings its site to one of two releases; a third one was written into config meanwhile."""
    if wanted in (now.release_to, now.release_from, now.sites_from.get(site)):
        return None
    return (
        f"Pulumi.yaml wants release {wanted or 'none'}, and the deployment in progress is of {now.release_to}: write "
        f"{now.release_from or 'an empty text'} there, then run `lockstep settle`"
    )


def parameter_name(application: str) -> str:
    """The SSM parameter that holds the record."""
    return f"{records_path(application)}/deployment"


def parse(text: str, where: str) -> DeploymentRecord:
    """The record in `text`. Raises InvalidInputError, naming `where`, if it isn't one."""
    try:
        return DeploymentRecord.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        raise InvalidInputError(
            f"{where} isn't a deployment record ({problems})",
            "`aws ssm get-parameter-history` shows what was there before; put that back, then run this again",
        ) from error


def newest(records: Iterable[DeploymentRecord | None]) -> DeploymentRecord | None:
    """The record with the highest epoch; of several, one with a deployment in progress, as it forbids more."""
    return max(heads(records), key=lambda each: each.in_progress is not None, default=None)


def heads(records: Iterable[DeploymentRecord | None]) -> tuple[DeploymentRecord, ...]:
    """The records with the highest epoch: several, where sites couldn't reach each other's regions."""
    there = [each for each in records if each is not None]
    latest = max((each.epoch for each in there), default=0)
    return tuple(each for each in there if each.epoch == latest)


def merged(records: Mapping[str, DeploymentRecord | None]) -> DeploymentRecord | None:
    """The newest of `records`, which are given by site, with what others of the same epoch know better.

    Each site is right about itself; and what several have in progress is undone, or finished, as one.
    """
    latest = newest(records.values())
    if latest is None:
        return None
    same = {site: each for site, each in records.items() if each is not None and each.epoch == latest.epoch}
    own = {site: each.sites[site] for site, each in same.items() if site in each.sites}
    now = latest.in_progress
    if now is not None:
        begun = [each.in_progress for each in same.values() if each.in_progress is not None]
        sites = {site: release for each in begun for site, release in each.sites_from.items()}
        versions = {site: version for each in begun for site, version in each.versions_from.items()}
        now = now.model_copy(update={"sites_from": sites, "versions_from": versions})
    return latest.model_copy(update={"sites": {**latest.sites, **own}, "in_progress": now})


def brought_together(records: Mapping[str, DeploymentRecord | None], now: str) -> DeploymentRecord:
    """The record that follows all of `records`, which are given by site, while nothing is in progress."""
    latest = merged(records)
    assert latest is not None
    assert latest.in_progress is None
    release = next(iter(latest.sites.values()), None)
    if release is not None and release != latest.settled and set(latest.sites.values()) == {release}:
        return latest.settle(release, now, latest.sites)
    return latest._next()


_PART = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


def compare_versions(one: str, other: str) -> int:
    """-1, 0 or 1, as RPM compares versions (RPM reference manual, "Dependencies", and rpmvercmp's own tests).

    Separators only divide; digits compare as numbers and are newer than letters; `~` is older than nothing, `^` newer.
    """
    ours, theirs = _PART.findall(one), _PART.findall(other)
    for left, right in zip(ours, theirs, strict=False):
        if left == right:
            continue
        for mark in ("~", "^"):
            if mark in (left, right):
                # Beside an ordinary part both are older: 1.0~rc and 1.0^2 come before 1.0.1.
                return -1 if left == mark else 1
        if left.isdigit() and right.isdigit():
            if int(left) != int(right):
                return 1 if int(left) > int(right) else -1
            continue
        if left.isdigit() != right.isdigit():
            return 1 if left.isdigit() else -1
        return 1 if left > right else -1
    return _rest(ours[len(theirs) :], 1) or _rest(theirs[len(ours) :], -1)


def _rest(parts: list[str], longer: int) -> int:
    """What it means that one version goes on where the other ends."""
    if not parts:
        return 0
    return -longer if parts[0] == "~" else longer
