"""A sample of the kill campaign, and that its file is about the calls that are made now."""

import random
from pathlib import Path

import pytest

from tests.campaigns import kills
from tests.campaigns.record import NOT_TRIED, Record, tree_hash

pytestmark = pytest.mark.engine

SAMPLE = 3


def test_a_command_that_is_killed_leaves_nothing_half_done(tmp_path: Path) -> None:
    """Killed at any call, the next run finishes or undoes it; the campaign tries them all, this a few."""
    with kills.site(tmp_path) as site:
        cases = kills.compute(site)
        record = Record.read("kills")
        # A call that is new, or gone, makes what the file says about all of them out of date.
        assert sorted(record.cases) == sorted(str(case) for case in cases), "run `make campaign kills`"
        for case in random.Random(tree_hash()).sample(cases, SAMPLE):
            assert kills.run(site, case)["result"] == "ok", case


def test_no_case_of_the_campaign_has_failed() -> None:
    """A failure that is written down and left there is a defect that is shipped."""
    record = Record.read("kills")
    failed = [case for case, result in record.results.items() if result["result"] not in ("ok", NOT_TRIED)]
    assert failed == []
