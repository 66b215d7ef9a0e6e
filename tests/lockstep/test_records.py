"""The deployment record: what it says, what that forbids, and where it is kept."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lockstep.config.limits import RELEASE_MAX
from lockstep.deployment_record import (
    PAST_MAX,
    VALUE_MAX,
    DeploymentRecord,
    Fate,
    InProgress,
    Stage,
    brought_together,
    compare_versions,
    heads,
    merged,
    newest,
    parse,
    what_stops,
)
from lockstep.deployment_store import DeploymentStore, RecordMovedError
from lockstep.errors import ExitCode, InvalidInputError, RegionUnreachableError
from lockstep.regions import FailureKind
from sandbox.api import faults

SITES = ("primary", "secondary")
REGIONS = ("eu-central-1", "eu-west-1")
NAME = "/lockstep/orders/deployment"
NOW = "2026-01-01T00:00:00Z"


def settled(*releases: str, sites: tuple[str, ...] = SITES) -> DeploymentRecord:
    """A record after `sites` were brought to each of `releases` in turn."""
    record = DeploymentRecord()
    for release in releases:
        record = record.settle(release, NOW, sites)
    return record


def deployment(release: str, **changes: Any) -> InProgress:
    values: dict[str, Any] = {
        "id": "d-1",
        "release_to": release,
        "release_from": "1.0.0",
        "sites_from": dict.fromkeys(SITES, "1.0.0"),
        "versions_from": dict.fromkeys(SITES, 1),
        "started_at": NOW,
        "holder": "ann@host pid 7",
        "stage": Stage.PREPARING,
    }
    return InProgress(**{**values, **changes})


def tried(release: str, reason: str = "it answers 503") -> DeploymentRecord:
    """A record after `release` was rolled back to 1.0.0."""
    return settled("1.0.0").begin(deployment(release)).at(Stage.CANARY).undo(reason, blames=True).undone(NOW)


def test_each_step_raises_the_epoch() -> None:
    """The highest one wins: of two with the same, a region that missed a write would look up to date."""
    steps = [DeploymentRecord()]
    steps.append(steps[-1].begin(deployment("1.1.0")))
    steps.append(steps[-1].at(Stage.ROLLING))
    steps.append(steps[-1].undo("a reason", blames=True))
    steps.append(steps[-1].undone(NOW))
    steps.append(steps[-1].settle("1.0.0", NOW, SITES))
    assert [record.epoch for record in steps] == [0, 1, 2, 3, 4, 5]


def test_a_deployment_settles_its_release_in_all_its_sites() -> None:
    """What runs, and what the next one returns to, is read from here."""
    record = settled("1.0.0").begin(deployment("1.1.0")).at(Stage.ROLLING).at(Stage.VERIFYING)
    assert record.in_progress is not None
    assert record.in_progress.stage is Stage.VERIFYING
    record = record.settle("1.1.0", NOW)
    assert record.settled == "1.1.0"
    assert record.sites == dict.fromkeys(SITES, "1.1.0")
    assert record.in_progress is None
    assert [(each.release, each.fate) for each in record.past] == [("1.0.0", Fate.SETTLED), ("1.1.0", Fate.SETTLED)]


def test_a_release_is_settled_once_the_last_site_runs_it() -> None:
    """A site that is updated alone doesn't make its release the one that all others are held to."""
    record = settled("1.0.0").settle("1.1.0", NOW, ["primary"])
    assert (record.settled, record.sites) == ("1.0.0", {"primary": "1.1.0", "secondary": "1.0.0"})
    assert record.fate_of("1.1.0") is None
    record = record.settle("1.1.0", NOW, ["secondary"])
    assert record.settled == "1.1.0"
    assert record.fate_of("1.1.0") is not None


def test_a_deployment_that_is_undone_leaves_what_was_and_refuses_the_release() -> None:
    """The next merge would bring it back."""
    record = tried("1.1.0", "primary:\n  it answers 503")
    assert (record.settled, record.sites) == ("1.0.0", dict.fromkeys(SITES, "1.0.0"))
    fate = record.fate_of("1.1.0")
    assert fate is not None
    assert (fate.fate, fate.reason, fate.at) == (Fate.REFUSED, "primary: it answers 503", NOW)


def test_sites_that_were_never_on_record_are_after_the_first_deployment_was_undone() -> None:
    """What they run, from before Lockstep, is what the next deployment returns to."""
    first = deployment("1.1.0", sites_from={"primary": "0.9.0", "secondary": None})
    record = DeploymentRecord().begin(first).undo("a reason", blames=True).undone(NOW)
    assert (record.settled, record.sites) == (None, {"primary": "0.9.0", "secondary": None})


def test_a_release_that_no_instance_ever_tried_is_not_refused() -> None:
    """A preview that failed for another reason, or a region that was down, says nothing about the release."""
    record = settled("1.0.0").begin(deployment("1.1.0")).undo("a region is down", blames=False).undone(NOW)
    assert record.fate_of("1.1.0") is None


def test_a_release_is_not_refused_for_the_machines_that_were_tried_with_it() -> None:
    """An instance type that doesn't boot would forbid the release that every site serves."""
    same = deployment("1.0.0", release_from="1.0.0")
    record = settled("1.0.0").begin(same).at(Stage.ROLLING).undo("it never boots", blames=True).undone(NOW)
    fate = record.fate_of("1.0.0")
    assert fate is not None
    assert fate.fate is Fate.SETTLED


def test_undoing_that_is_begun_again_keeps_its_first_reason() -> None:
    """`settle` knows only that something was broken off; what was wrong with the release is the message."""
    record = settled("1.0.0").begin(deployment("1.1.0")).at(Stage.ROLLING).undo("it answers 503", blames=True)
    record = record.undo("it was broken off", blames=True).undone(NOW)
    fate = record.fate_of("1.1.0")
    assert fate is not None
    assert fate.reason == "it answers 503"


def test_a_release_that_is_tried_again_has_its_last_fate() -> None:
    """What was corrected, in the infrastructure, would stay refused."""
    record = tried("1.1.0").settle("1.1.0", NOW, SITES)
    fate = record.fate_of("1.1.0")
    assert fate is not None
    assert fate.fate is Fate.SETTLED
    assert [each.release for each in record.past] == ["1.0.0", "1.1.0"]


def test_the_record_remembers_so_many_releases_and_no_more() -> None:
    """A parameter holds 4 KB."""
    record = settled(*(f"1.{number}.0" for number in range(40)))
    assert len(record.past) == PAST_MAX
    assert record.past[-1].release == "1.39.0"


@pytest.mark.parametrize("letter", ["a", '"', "é", "😀", "\x01"])
def test_a_parameter_holds_the_longest_record(letter: str) -> None:
    """The deployment would fail at its record, half way through and with no way back."""
    name, number = "9" * RELEASE_MAX, dict.fromkeys((f"site-{n}" + "x" * 50 for n in range(3)), 99999)
    record = DeploymentRecord(settled=name, sites=dict.fromkeys(number, name))
    holder = f"{'u' * 32}@{'h' * 64} pid 4194304"
    for n in range(PAST_MAX + 1):
        begun = deployment(f"{n}{name[1:]}", release_from=name, sites_from=record.sites, versions_from=number)
        record = record.begin(begun.model_copy(update={"holder": holder})).at(Stage.ROLLING)
        record = record.undo(letter * 500, blames=True)
        assert len(record.as_text().encode()) <= VALUE_MAX
        assert record.in_progress is not None
        assert record.in_progress.blame.startswith(letter * 10)
        assert record.in_progress.blame.endswith("…")
        record = record.undone(NOW)
    assert record.past[-1].release.startswith(str(PAST_MAX))
    assert len(record.past) >= 4


def test_what_was_settled_before_lies_behind_even_if_it_is_newer() -> None:
    """After `deploy 1.0.0` to go back, a checkout that still says 1.1.0 is the stale one."""
    record = settled("1.0.0", "1.1.0", "1.0.0")
    assert record.supersedes("1.1.0")
    assert record.supersedes("0.9.0")
    assert not record.supersedes("1.0.0")
    assert not record.supersedes("1.2.0")
    assert not DeploymentRecord().supersedes("1.0.0")


# From RPM's rpmvercmp: the first is older than, or equal to, the second.
OLDER = [
    ("1.0", "2.0"),
    ("2.0", "2.0.1"),
    ("2.0.1", "2.0.1a"),
    ("5.5p1", "5.5p2"),
    ("5.5p1", "5.5p10"),
    ("10xyz", "10.1xyz"),
    ("xyz10", "xyz10.1"),
    ("xyz.4", "8"),
    ("xyz.4", "2"),
    ("5.5p2", "5.6p1"),
    ("6.0", "6.0.rc1"),
    ("10a1", "10b2"),
    ("10a2", "10b2"),
    ("1.0a", "1.0aa"),
    ("10.0001", "10.0039"),
    ("4.999.9", "5.0"),
    ("20101121", "20101122"),
    ("1.9", "1.10"),
    ("1.0~rc1", "1.0"),
    ("1.0~rc1", "1.0~rc2"),
    ("1.0~rc1~git123", "1.0~rc1"),
    ("1.0", "1.0^"),
    ("1.0", "1.0^git1"),
    ("1.0^git1", "1.0^git2"),
    ("1.0^git1", "1.01"),
    ("1.0^20160101", "1.0.1"),
    ("1.0^20160101^git1", "1.0^20160102"),
    ("1.0~rc1", "1.0~rc1^git1"),
    ("1.0^git1~pre", "1.0^git1"),
    ("1.0~rc1", "1.0^git1"),
]
SAME = [("1.0", "1.0"), ("2.0", "2_0"), ("10.0001", "10.1"), ("a+", "a_"), ("+a", "_a"), ("+", "_"), ("1.0.", "1.0")]


@pytest.mark.parametrize(("older", "newer"), OLDER)
def test_versions_have_the_order_that_rpm_gives_them(older: str, newer: str) -> None:
    """1.10 would be refused as older than 1.9, and a candidate taken for newer than its release."""
    assert compare_versions(older, newer) == -1
    assert compare_versions(newer, older) == 1


@pytest.mark.parametrize(("one", "other"), SAME)
def test_versions_that_rpm_takes_for_the_same_are(one: str, other: str) -> None:
    """dnf would install nothing."""
    assert compare_versions(one, other) == compare_versions(other, one) == 0


AT_WORK = settled("1.0.0").begin(deployment("1.1.0"))
GOES_ON = {
    "no record": (None, "1.0.0", None),
    "no record and no release": (None, None, None),
    "nothing was ever deployed": (DeploymentRecord(), None, None),
    "the settled release": (settled("1.0.0"), "1.0.0", None),
    "a new release": (settled("1.0.0"), "1.1.0", None),
    "what this site has by itself": (settled("1.0.0").settle("0.9.0", NOW, ["primary"]), "0.9.0", None),
    "back to what the others have": (settled("1.0.0").settle("1.1.0", NOW, ["primary"]), "1.0.0", None),
    "back to what the others have, though it failed here once": (
        settled("1.0.0")
        .begin(deployment("1.0.0"))
        .at(Stage.CANARY)
        .undo("no", blames=True)
        .undone(NOW)
        .model_copy(update={"sites": {"primary": "1.1.0", "secondary": "1.0.0"}}),
        "1.0.0",
        None,
    ),
    "a release that was refused once and settled since": (
        tried("1.1.0").settle("1.1.0", NOW, SITES),
        "1.1.0",
        None,
    ),
    "the deployment itself, on its way": (AT_WORK, "1.1.0", "d-1"),
    "the deployment itself, on its way back": (AT_WORK.undo("a reason", blames=True), "1.0.0", "d-1"),
    "the deployment itself, on its way back to what this site had": (
        DeploymentRecord().begin(deployment("1.1.0", sites_from={"primary": "0.9.0"})),
        "0.9.0",
        "d-1",
    ),
    "the deployment itself, on its way back to nothing": (
        DeploymentRecord().begin(deployment("1.0.0", release_from=None, sites_from={"primary": None})),
        None,
        "d-1",
    ),
}


@pytest.mark.parametrize(("record", "wanted", "id"), GOES_ON.values(), ids=GOES_ON)
def test_the_program_goes_on_with(record: DeploymentRecord | None, wanted: str | None, id: str | None) -> None:
    """Every `pulumi up` would need the command line."""
    assert what_stops(record, "primary", wanted, id) is None


STOPS = {
    "a plain update while a deployment is at work": (
        AT_WORK,
        "1.1.0",
        None,
        ("1.1.0 is in progress", NOW, "ann@host pid 7", "`lockstep settle`"),
    ),
    "a deployment while another is at work": (AT_WORK, "1.2.0", "d-2", ("1.1.0 is in progress", "ann@host")),
    "the deployment itself, with a third release": (
        AT_WORK.undo("a reason", blames=True),
        "1.2.0",
        "d-1",
        ("wants release 1.2.0", "is of 1.1.0", "write 1.0.0", "`lockstep settle`"),
    ),
    "the deployment itself, with none": (AT_WORK, None, "d-1", ("wants release none",)),
    "no release while this site runs one": (
        DeploymentRecord(sites={"primary": "1.0.0", "secondary": None}),
        None,
        None,
        ("primary runs release 1.0.0", "never a deletion"),
    ),
    "no release while one is settled": (settled("1.0.0"), None, None, ("never a deletion", "1.0.0", "lockstep deploy")),
    "a release that was rolled back": (
        tried("1.1.0"),
        "1.1.0",
        None,
        ("rolled back", NOW, "it answers 503", "`lockstep deploy 1.1.0`", "write 1.0.0 into Pulumi.yaml"),
    ),
    "one that was rolled back before any was settled": (
        DeploymentRecord().begin(deployment("1.1.0")).at(Stage.CANARY).undo("no", blames=True).undone(NOW),
        "1.1.0",
        None,
        ("rolled back", "write another release into Pulumi.yaml"),
    ),
    "an older release": (
        settled("1.1.0"),
        "1.0.0",
        None,
        ("1.0.0 is older than 1.1.0", "`lockstep deploy 1.0.0`", "write 1.1.0 into Pulumi.yaml"),
    ),
    "one that was settled before": (settled("1.1.0", "1.0.0"), "1.1.0", None, ("`lockstep deploy 1.1.0`",)),
}


@pytest.mark.parametrize(("record", "wanted", "id", "words"), STOPS.values(), ids=STOPS)
def test_the_program_stops_at(
    record: DeploymentRecord, wanted: str | None, id: str | None, words: tuple[str, ...]
) -> None:
    """A checkout that is a day old must not undo a deployment, and whoever is stopped has to know what to do."""
    text = what_stops(record, "primary", wanted, id)
    assert text is not None
    assert [word for word in words if word not in text] == []


def test_the_record_is_read_as_it_was_written() -> None:
    """`settle` has nothing else to go by."""
    record = tried("1.1.0").begin(deployment("1.2.0", sites_from={"primary": None, "secondary": "1.0.0"}))
    assert parse(record.model_dump_json(by_alias=True), "here") == record


def test_what_a_later_version_adds_is_no_reason_to_refuse_the_record() -> None:
    """Two checkouts of different age work on one system."""
    document = json.loads(settled("1.0.0").model_dump_json(by_alias=True))
    assert document["sites"] == dict.fromkeys(SITES, "1.0.0")
    assert parse(json.dumps({**document, "approvedBy": "ann"}), "here") == settled("1.0.0")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": "x"}', '{"epoch": 1, "inProgress": {"id": "1"}}'])
def test_what_is_no_record_is_named_and_never_taken_for_none(text: str) -> None:
    """An empty record means that anything may be deployed."""
    with pytest.raises(InvalidInputError, match="SSM parameter x in eu-west-1 isn't a deployment record") as refused:
        parse(text, "SSM parameter x in eu-west-1")
    assert "get-parameter-history" in refused.value.remedy


def test_the_highest_epoch_is_the_truth() -> None:
    """A region that came back has a record of before."""
    older, newer = settled("1.0.0"), settled("1.0.0", "1.1.0")
    assert newest([newer, None, older]) is newer
    assert newest([None, None]) is None
    assert newest([]) is None


def test_of_two_records_of_the_same_epoch_the_one_with_work_left_is_newer() -> None:
    """The other one would allow another roll beside it."""
    quiet, at_work = settled("1.0.0", "1.1.0"), settled("1.0.0").begin(deployment("1.1.0"))
    assert newest([quiet, at_work]) is newest([at_work, quiet]) is at_work
    assert heads([settled("1.0.0"), at_work, None, quiet]) == (at_work, quiet)


def test_each_site_is_right_about_itself_in_records_of_the_same_epoch() -> None:
    """Sites that couldn't reach each other's region were updated alone."""
    records = {site: settled("1.0.0").settle("1.1.0", NOW, [site]) for site in SITES}
    now = merged(records)
    assert now is not None
    assert (now.epoch, now.sites) == (2, dict.fromkeys(SITES, "1.1.0"))
    together = brought_together(records, NOW)
    assert (together.epoch, together.settled, together.in_progress) == (3, "1.1.0", None)
    fate = together.fate_of("1.1.0")
    assert fate is not None
    assert fate.fate is Fate.SETTLED


def test_what_sites_have_in_progress_at_the_same_epoch_is_one_deployment() -> None:
    """Of two rolls that were broken off, one would be undone, and the other one's site stay as it is for ever."""
    records = {
        site: settled("1.0.0").begin(deployment("1.1.0", sites_from={site: "1.0.0"}, versions_from={site: number}))
        for number, site in enumerate(SITES)
    }
    now = merged(records)
    assert now is not None
    assert now.in_progress is not None
    assert now.in_progress.sites_from == dict.fromkeys(SITES, "1.0.0")
    assert now.in_progress.versions_from == {"primary": 0, "secondary": 1}


def test_an_older_record_says_nothing_about_its_site() -> None:
    """Its region missed the last write."""
    records = {"primary": settled("1.0.0"), "secondary": settled("1.0.0", "1.1.0")}
    assert merged(records) == records["secondary"]
    together = brought_together(records, NOW)
    assert (together.epoch, together.sites) == (3, dict.fromkeys(SITES, "1.1.0"))
    assert merged(dict.fromkeys(SITES)) is None


class Records:
    """The records of both regions, as the API has them."""

    def __init__(self, aws: Callable[..., Any]) -> None:
        self.aws = aws
        self.store = DeploymentStore(aws, "orders", REGIONS)

    def put(self, region: str, text: str) -> None:
        self.aws("ssm", region).put_parameter(Name=NAME, Value=text, Type="String", Overwrite=True)

    def epoch(self, region: str) -> int | None:
        record = self.store.read(region)
        return record.epoch if record else None

    def break_region(self, region: str, kind: str = "refuse", **what: Any) -> None:
        faults._replace([{"kind": kind, "region": region, "service": "ssm", **what}])


@pytest.fixture
def records(aws: Callable[..., Any]) -> Iterator[Records]:
    yield Records(aws)
    faults.reset()


def test_nothing_on_record_is_none(records: Records) -> None:
    """The first deployment of an application has nothing to go by."""
    assert records.store.current() is None
    assert records.store.read_all() == (dict.fromkeys(REGIONS), {})


def test_it_is_written_to_every_region_and_read_from_there(records: Records) -> None:
    """Whichever region is lost, the other one knows."""
    record = settled("1.0.0").begin(deployment("1.1.0"))
    assert records.store.write(record) == {}
    assert records.store.read_all() == (dict.fromkeys(REGIONS, record), {})
    assert records.store.current() == record
    assert records.store.write(record.at(Stage.CANARY)) == {}
    assert records.epoch(REGIONS[0]) == record.epoch + 1


def test_the_newest_is_current_whichever_region_has_it(records: Records) -> None:
    """The other region missed the last write."""
    older, newer = settled("1.0.0"), settled("1.0.0", "1.1.0")
    records.store.write(older)
    for region in REGIONS:
        records.store.write(newer, [region])
        assert records.store.current() == newer
        newer = newer.settle("1.1.0", NOW, SITES)


def test_a_record_of_somebody_else_is_never_written_over(records: Records) -> None:
    """The sites that their deployment has changed would be forgotten."""
    theirs = settled("1.0.0", "1.1.0")
    records.store.write(theirs)
    for mine in (settled("1.0.0"), settled("1.0.0", "1.2.0")):
        with pytest.raises(RecordMovedError, match="somebody else has written it meanwhile") as moved:
            records.store.write(mine, [REGIONS[1]])
        assert moved.value.region == REGIONS[1]
        assert moved.value.exit_code is ExitCode.INCOMPLETE
    assert records.store.current() == theirs
    # Sent again after an answer that was lost.
    assert records.store.write(theirs) == {}


def test_a_region_that_cannot_be_written_is_told_and_the_others_are_written(records: Records) -> None:
    """One region's loss is what this is for."""
    records.break_region(REGIONS[0])
    failures = records.store.write(settled("1.0.0"))
    assert list(failures) == [REGIONS[0]]
    assert failures[REGIONS[0]].kind is FailureKind.UNREACHABLE
    faults.reset()
    assert [records.epoch(region) for region in REGIONS] == [None, 1]


def test_a_region_that_cannot_be_read_is_not_an_empty_one(records: Records) -> None:
    """It may be the one that knows what is in progress."""
    records.store.write(settled("1.0.0"))
    records.break_region(REGIONS[0], "deny")
    found, failures = records.store.read_all()
    assert list(found) == [REGIONS[1]]
    assert failures[REGIONS[0]].kind is FailureKind.DENIED
    with pytest.raises(InvalidInputError, match=REGIONS[0]):
        records.store.current()
    records.break_region(REGIONS[0])
    with pytest.raises(RegionUnreachableError, match=f"{REGIONS[0]}.*nothing was changed"):
        records.store.current()


def test_a_parameter_that_is_no_record_is_named(records: Records) -> None:
    """Somebody has edited it by hand."""
    records.store.write(settled("1.0.0"))
    records.put(REGIONS[1], "1.0.0")
    with pytest.raises(InvalidInputError, match=f"{NAME} in {REGIONS[1]}"):
        records.store.current()


def test_a_record_that_no_parameter_holds_is_not_sent(records: Records) -> None:
    """Some regions would have it and AWS's words for the others say nothing of it."""
    too_long = DeploymentRecord(sites={"primary": "x" * VALUE_MAX})
    with pytest.raises(ValueError, match="a parameter holds 4096"):
        records.store.write(too_long)
    assert records.store.current() is None
