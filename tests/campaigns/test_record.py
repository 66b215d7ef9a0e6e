"""What a campaign's file keeps, and what is tried again."""

from pathlib import Path

import pytest

from tests.campaigns import record as module
from tests.campaigns.record import NOT_TRIED, OK, WITH_CHANGES, Record

NOW = "a" * 40
OLDER = "b" * 40
CASES = {"publish": ["publish 1", "publish 2"], "deploy": ["deploy 1"]}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setattr(module, "is_current", lambda commit: commit == NOW)
    made = Record("kills", folder=tmp_path)
    made.begin(CASES)
    return made


def read(record: Record) -> Record:
    return Record.read("kills", record.folder)


def test_a_campaign_goes_on_where_it_was(record: Record) -> None:
    """It takes longer than a machine may be free."""
    assert record.begin(CASES) == ["publish 1", "publish 2", "deploy 1"]
    record.add("publish 1", NOW, result=OK)
    again = read(record)
    assert again.begin(CASES) == ["publish 2", "deploy 1"]
    assert again.cases == record.cases


def test_what_failed_is_tried_again(record: Record) -> None:
    """Otherwise a mended failure stands there for ever."""
    record.add("publish 1", NOW, result="failed")
    assert "publish 1" in read(record).begin(CASES)
    assert record.failed() == ["publish 1"]


@pytest.mark.parametrize("commit", [OLDER, NOW + WITH_CHANGES, ""])
def test_a_result_of_other_code_is_tried_again_unless_it_is_to_be_kept(record: Record, commit: str) -> None:
    """A result says nothing about code that it didn't run."""
    record.add("publish 1", commit, result=OK)
    assert "publish 1" in read(record).begin(CASES)
    assert "publish 1" not in read(record).begin(CASES, keep=True)


def test_other_kinds_stay_and_what_is_no_case_any_more_goes(record: Record) -> None:
    """A run of one kind must not forget the others."""
    for case in record.cases:
        record.add(case, NOW, result=OK)
    again = read(record)
    assert again.begin({"publish": ["publish 2", "publish 3"]}) == ["publish 3"]
    assert again.cases == ["deploy 1", "publish 2", "publish 3"]
    assert set(again.results) == {"deploy 1", "publish 2"}
    again.write()
    assert NOT_TRIED in (again.folder / "kills.json").read_text()
    assert read(again).results == again.results
