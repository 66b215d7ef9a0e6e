"""A sample of the fault campaign, and that its file has every case: regions that are lost, and what the world sees."""

import random
import statistics
from collections.abc import Iterator

import pytest

from tests.campaigns import faults
from tests.campaigns.faults import TOLERANCE, World, cases, moved_mean
from tests.campaigns.record import NOT_TRIED, OK, WITH_CHANGES, Record, tree_hash
from tests.campaigns.site import site

pytestmark = pytest.mark.engine

# Two losses of each way for a mean; of the rest one of each kind, and what no other kind of case is about.
CHOSEN = random.Random(tree_hash())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with site(tmp_path_factory.mktemp("faults"), faults.SPEED) as made:
        yield World(made)


@pytest.mark.parametrize("how", ["vanish", "refuse"])
def test_traffic_leaves_a_lost_region_when_the_model_says(world: World, how: str) -> None:
    """The model is what the RTO is promised by; neither knows of the other."""
    found = [faults.run(world, f"lost {how} {number}")["moved"] for number in (1, 2)]
    assert statistics.fmean(found) == pytest.approx(moved_mean(how), rel=TOLERANCE)


@pytest.mark.parametrize("kind", [kind for kind in cases() if kind != "lost"])
def test_a_fault_has_the_effect_that_it_has_on_aws(world: World, kind: str) -> None:
    """The campaign tries them all, this one a case of each kind."""
    case = CHOSEN.choice(cases()[kind])
    assert faults.run(world, case)["result"] == OK, case


def test_the_campaigns_file_has_each_case_and_each_went_well() -> None:
    """What nobody has tried is what happens on the day."""
    record = Record.read("faults")
    assert record.cases == [case for kind in cases().values() for case in kind], "run `make campaign faults`"
    assert record.failed() == []
    assert [case for case in record.cases if record.results.get(case, {}).get("result", NOT_TRIED) == NOT_TRIED] == []
    assert [case for case, result in record.results.items() if result["commit"].endswith(WITH_CHANGES)] == []
    for how in ("vanish", "refuse"):
        moved = [float(each["moved"]) for case, each in record.results.items() if case.startswith(f"lost {how} ")]
        assert statistics.fmean(moved) == pytest.approx(moved_mean(how), rel=TOLERANCE)
