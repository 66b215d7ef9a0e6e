"""The topology record: which sites are drained."""

import json

import pytest

from lockstep.errors import InvalidInputError
from lockstep.topology_record import TopologyRecord, newest, parameter_name, parse

NOW = "2026-01-01T00:00:00Z"
DRAINED = TopologyRecord().drain("primary", NOW, "me")


def test_each_change_raises_the_epoch_and_the_same_again_does_not() -> None:
    """The highest one wins; a repetition that raises it would make every region that missed it look wrong."""
    assert (DRAINED.epoch, list(DRAINED.drained)) == (1, ["primary"])
    assert DRAINED.drain("primary", "later", "somebody") is DRAINED
    back = DRAINED.undrain("primary")
    assert (back.epoch, back.drained) == (2, {})
    assert back.undrain("primary") is back


def test_it_reads_what_it_writes() -> None:
    """A record that can't be read back drains a site for ever."""
    assert parse(DRAINED.as_text(), "here") == DRAINED
    assert json.loads(DRAINED.as_text()) == {"epoch": 1, "drained": {"primary": {"at": NOW, "by": "me"}}}
    assert parameter_name("orders") == "/lockstep/orders/topology"


def test_what_a_newer_version_adds_is_kept() -> None:
    """Draining a site from an old checkout would forget which database is the writer."""
    text = json.dumps({"epoch": 7, "writer": "secondary", "drained": {}, "instances": {"primary": {"role": "fenced"}}})
    written = json.loads(parse(text, "here").drain("primary", NOW, "me").as_text())
    assert (written["epoch"], written["writer"]) == (8, "secondary")
    assert written["instances"] == {"primary": {"role": "fenced"}}


def test_what_is_no_record_is_named() -> None:
    """Read as an empty one, it would bring a drained site back."""
    with pytest.raises(InvalidInputError, match="SSM parameter here isn't a topology record"):
        parse('{"epoch": "many"}', "SSM parameter here")


def test_the_highest_epoch_is_the_truth_and_none_is_a_pair_in_service() -> None:
    """A region that was lost when its site was drained says that it serves."""
    other = TopologyRecord(epoch=1)
    assert newest([TopologyRecord(), None, DRAINED]) == DRAINED
    assert newest([DRAINED.undrain("primary"), DRAINED]).epoch == 2
    assert newest([other, DRAINED]) == newest([DRAINED, other]) == DRAINED
    assert newest([None, None]) == TopologyRecord()
