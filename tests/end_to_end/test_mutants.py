"""A sample of the mutants campaign, and that its file is about the program of now."""

import random
from collections.abc import Iterator

import pytest

from tests.campaigns import mutants
from tests.campaigns.mutants import Previews
from tests.campaigns.record import OK, WITH_CHANGES, Record, tree_hash
from tests.conftest import ROOT
from tests.end_to_end.releases import Serving
from tests.end_to_end.shell import environment_of_sandbox

pytestmark = pytest.mark.engine

SAMPLE = 8
ALL = mutants.cases(ROOT)


@pytest.fixture
def previews(serving: Serving) -> Iterator[Previews]:
    with mutants.previews(serving.shell.folder, environment_of_sandbox(serving.shell)) as made:
        yield made


def test_what_is_lost_by_an_edit_is_rejected_or_has_a_reason(previews: Previews) -> None:
    """The campaign tries them all, this one a few of those that it has tried, chosen anew with every commit."""
    previews.check_unchanged()
    record = Record.read("mutants")
    tried = [case for found in ALL.values() for case in found if case in record.results]
    chosen = random.Random(tree_hash()).sample(tried, SAMPLE)
    results = {case: previews.run(case) for case in chosen}
    assert {case: result for case, result in results.items() if result["result"] != OK} == {}


def test_a_record_without_its_check_is_rejected_by_the_rule_for_it(previews: Previews) -> None:
    """A sample may hold nothing that a policy rejects; this one always does."""
    found = previews.run("traffic route53.Record({name}) health_check_id removed")
    assert found["outcome"] == "policy"
    assert "traffic/health-check" in found["by"]


def test_the_campaigns_file_has_each_case_and_each_went_well() -> None:
    """A survivor that is left there is a policy that is missing. The file says what isn't tried yet."""
    record = Record.read("mutants")
    assert sorted(record.cases) == sorted(case for found in ALL.values() for case in found), (
        "run `make campaign mutants`; `python -m tests.campaigns mutants --keep` tries only what is new"
    )
    assert record.failed() == []
    assert [case for case, result in record.results.items() if result["commit"].endswith(WITH_CHANGES)] == []
