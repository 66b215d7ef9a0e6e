"""A sample of the kill campaign, and that its file is about the calls that are made now."""

import random
from pathlib import Path

import pytest

from tests.campaigns import kills
from tests.campaigns.kinds import KINDS, KINDS_OF
from tests.campaigns.record import WITH_CHANGES, Record, tree_hash
from tests.campaigns.site import site

pytestmark = pytest.mark.engine


def test_a_command_that_is_killed_leaves_nothing_half_done(tmp_path: Path) -> None:
    """Killed at any call, the next run finishes or undoes it; the campaign tries them all, this one of one kind.

    Of one only, as finding out which calls it makes takes an undisturbed run.
    """
    chosen = random.Random(tree_hash())
    kind = chosen.choice(list(KINDS))
    with site(tmp_path) as made:
        cases = kills.compute(made, [kind])[kind]
        (name,) = (name for name, kinds in KINDS_OF.items() if kind in kinds)
        # A call that is new, or gone, makes what the file says about all of its kind out of date.
        assert sorted(Record.read(name).of(kind)) == sorted(map(str, cases)), f"run `make campaign {name}`"
        case = chosen.choice(cases)
        assert kills.run(made, case)["result"] == "ok", case


@pytest.mark.parametrize("name", list(KINDS_OF))
def test_the_campaigns_file_has_every_kind_and_no_failure(name: str) -> None:
    """A failure that is written down and left there is a defect that is shipped. The file says what isn't tried yet."""
    record = Record.read(name)
    assert [kind for kind in KINDS_OF[name] if not record.of(kind)] == []
    assert record.failed() == []
    assert [case for case, result in record.results.items() if result.get("commit", "").endswith(WITH_CHANGES)] == []
