"""The judge of how what a kill has left was settled, by the records that it found."""

from typing import Any

import pytest

from tests.campaigns.cases import RECORD_WRITE, Case
from tests.campaigns.kills import misjudged
from tests.campaigns.kinds import VERIFYING

A, B = "eu-central-1", "eu-west-1"
WAS, TO = "1.0.0", "1.1.0"
EARLY = Case("deploy", A, "autoscaling", "StartInstanceRefresh", 1, after=True)
LAST_BUT_ONE = Case("deploy", A, "ssm", RECORD_WRITE, VERIFYING, after=False)


def at(stage: str, epoch: int = 4) -> dict[str, Any]:
    return {"epoch": epoch, "settled": WAS, "inProgress": {"stage": stage, "releaseTo": TO}}


def done(settled: str, epoch: int = 5) -> dict[str, Any]:
    return {"epoch": epoch, "settled": settled, "inProgress": None}


@pytest.mark.parametrize(
    ("case", "records", "fine"),
    [
        (EARLY, (done(WAS), done(WAS)), {("nothing", WAS)}),
        (EARLY, (done(WAS, 0), at("preparing", 1)), {("undone", TO)}),
        (EARLY, (at("canary"), at("canary")), {("undone", TO)}),
        (EARLY, (at("rolling"), at("rolling")), {("undone", TO), ("finished", TO)}),
        (EARLY, (at("undoing", 5), at("rolling")), {("undone", TO)}),
        (LAST_BUT_ONE, (at("rolling"), at("rolling")), {("finished", TO)}),
        (LAST_BUT_ONE, (at("rolling", 3), at("verifying")), {("finished", TO)}),
        (LAST_BUT_ONE, (at("verifying"), done(TO)), {("records", TO)}),
        (LAST_BUT_ONE, (done(TO), done(TO)), {("nothing", TO)}),
    ],
)
def test_only_what_fits_the_records_is_right(
    case: Case, records: tuple[dict[str, Any], ...], fine: set[tuple[str, str]]
) -> None:
    """Done and undone all the same, or half done and called done: neither may come of a kill."""
    everything = {(what, release) for what in ("nothing", "records", "undone", "finished") for release in (WAS, TO)}
    found = {
        (what, release)
        for what, release in everything
        if misjudged(case, dict(zip((A, B), records, strict=True)), {"settle": what, "release": release}) is None
    }
    assert found == fine
