"""The cases of a campaign: which calls of a command it is killed at, from the calls that an undisturbed run makes.

What changes something is tried before and after it takes effect, at each of its occurrences. A read is tried at its
first one and before its answer only: killed after it, nothing is different. How often something is read depends on how
long things take, and so does how often a lease is renewed. Of calls that leave the same, one is tried: see
`without_alike`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Call = Mapping[str, Any]
Called = tuple[str, str, str]
"""Region, service and operation."""

_MUTATING: Final = (
    "Put",
    "Create",
    "Delete",
    "Start",
    "Update",
    "Rollback",
    "Cancel",
    "Complete",
    "Upload",
    "Abort",
)
_BY_THE_CLOCK: Final = ("GetConsoleOutput",)
# The lease, and its renewals.
LEASE_WRITE: Final = "PutObject"
RECORD_WRITE: Final = "PutParameter"
_PART_WRITE: Final = "UploadPart"


@dataclass(frozen=True)
class Case:
    """One call to be killed at; `nth` counts from 1, `after` is whether it takes effect."""

    kind: str
    region: str
    service: str
    operation: str
    nth: int
    after: bool

    @property
    def is_mutating(self) -> bool:
        """Whether the call changes something."""
        return _is_mutating(self.operation)

    def __str__(self) -> str:
        when = "after" if self.after else "before"
        return f"{self.kind} {when} {self.region} {self.service} {self.operation} {self.nth}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        """The case that `str` names."""
        kind, when, region, service, operation, nth = text.split(" ")
        return cls(kind, region, service, operation, int(nth), when == "after")


def count(calls: Iterable[Call]) -> Counter[Called]:
    """How often each call is made, but for those that come by the clock."""
    return Counter(
        (call["region"], call["service"], call["operation"])
        for call in calls
        if call["region"] is not None and call["operation"] not in _BY_THE_CLOCK
    )


def each(kind: str, counts: Mapping[Called, int], once: Sequence[str] = ()) -> list[Case]:
    """The cases of all calls; of the operations in `once`, their first occurrence only."""
    return [case for called, times in sorted(counts.items()) for case in _cases(kind, called, times, once)]


def _cases(kind: str, called: Called, times: int, once: Sequence[str]) -> Iterator[Case]:
    mutating = _is_mutating(called[2])
    last = times if mutating and called[2] not in once else 1
    for nth in range(1, last + 1):
        yield Case(kind, *called, nth, after=False)
        if mutating:
            yield Case(kind, *called, nth, after=True)


def without_alike(cases: Sequence[Case]) -> list[Case]:
    """`cases` without those that leave what another one does.

    A record is written to all regions side by side: killed there, some have it, and what follows is the same whichever
    these are. So it is before one region's call and after the other's, but for the last time, when what is left may be
    taken for the end: then it is all of them. Of a file's parts, which are sent side by side too, it is the first and
    the last.
    """
    last: Counter[tuple[str, str]] = Counter()
    for case in cases:
        last[(case.region, case.operation)] = max(last[(case.region, case.operation)], case.nth)
    regions = sorted({case.region for case in cases})

    def is_needed(case: Case) -> bool:
        if case.nth == last[(case.region, case.operation)]:
            return True
        if case.operation == RECORD_WRITE:
            return case.after == (case.region != regions[0])
        return case.operation != _PART_WRITE or case.nth == 1

    return [case for case in cases if is_needed(case)]


def on_the_way_back(kind: str, calls: Sequence[Call]) -> list[Case]:
    """What changes something, of a deployment that fails, from where it turns back: its last record but one."""
    turns = {region: times - 1 for (region, _, called), times in count(calls).items() if called == RECORD_WRITE}
    ahead = count(calls[: _index_of_turn(calls, turns)])

    def is_back(case: Case) -> bool:
        # Regions are written to side by side, so that one region's turn may come a little before the other's.
        if case.operation == RECORD_WRITE:
            return case.nth >= turns[case.region]
        return case.nth > ahead[(case.region, case.service, case.operation)]

    return [case for case in changes(kind, calls) if is_back(case)]


def changes(kind: str, calls: Sequence[Call]) -> list[Case]:
    """What changes something, but the lease: that is taken and given back by each command in the same way."""
    return without_alike([case for case in each(kind, count(calls)) if case.is_mutating and case.service != "s3"])


def _index_of_turn(calls: Sequence[Call], turns: Mapping[str, int]) -> int:
    written: Counter[str] = Counter()
    for index, call in enumerate(calls):
        if call["operation"] == RECORD_WRITE:
            written[call["region"]] += 1
            if written[call["region"]] == turns[call["region"]]:
                return index
    raise AssertionError("it never turned back")


def _is_mutating(operation: str) -> bool:
    return operation.startswith(_MUTATING)
