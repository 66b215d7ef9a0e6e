"""What is made of what the regions and the sites say: every problem and every verdict, without a call."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep.deployment_record import DeploymentRecord, InProgress, Stage
from lockstep.drain_switch import SwitchFacts
from lockstep.errors import ExitCode
from lockstep.lease import TTL, Found, Holder
from lockstep.regions import FailureKind, RegionFailure
from lockstep.site_probe import ProbeResult
from lockstep.status import Part, SiteStatus, Status, Verdict, judge
from lockstep.topology_record import TopologyRecord
from lockstep.traffic import SiteTraffic
from tests.lockstep.deployment.facts import NEW, facts, instance, refresh

NOW = "2026-01-01T00:00:00Z"
SITES = ("primary", "secondary")
REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1"}
WHOLE = facts(instance(1), instance(2))
NEWER = facts(instance(3, NEW), instance(4, NEW))
HALF_WAY = facts(instance(1), instance(2), instance(3, NEW), refresh=refresh(percentage=50))
EMPTY = facts(desired=0)
REFUSED = "the connection was refused"


def settled(*releases: str) -> DeploymentRecord:
    record = DeploymentRecord()
    for release in releases:
        record = record.settle(release, NOW, SITES)
    return record


SETTLED = settled("1.0.0")
BEGUN = SETTLED.begin(
    InProgress(
        id="1",
        release_to="1.1.0",
        release_from="1.0.0",
        sites_from=dict.fromkeys(SITES, "1.0.0"),
        versions_from=dict.fromkeys(SITES, 1),
        started_at=NOW,
        holder="me@here pid 1",
        stage=Stage.CANARY,
    )
)
HELD = Found(
    Holder(id="1", who="me", host="elsewhere", pid=1, process_started="", command="lockstep deploy 1.1.0", since=NOW),
    "etag",
    age=1.0,
)
RAN_OUT = replace(HELD, age=TTL + 1)


def failure(kind: FailureKind = FailureKind.UNREACHABLE, call: str = "ssm GetParameter") -> RegionFailure:
    return RegionFailure(region="eu-west-1", kind=kind, code="C", text=f"eu-west-1: {call} failed", remedy="mend it")


def failing(*parts: Part, kind: FailureKind = FailureKind.UNREACHABLE) -> dict[Part, RegionFailure]:
    return {part: failure(kind, f"the call of {part}") for part in parts}


DRAINED = TopologyRecord().drain("primary", NOW, "me@here pid 1")
TOLD = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
SILENT: dict[str, Any] = {"facts": None, "record": None, "failures": failing(*Part)}
ABSENT: dict[str, Any] = {"facts": None, "record": None, "answers": ProbeResult({}, {"its name isn't known": 4})}


def site(name: str, **changes: Any) -> SiteStatus:
    """A site that is well: two instances of 1.0.0, which is settled, wanted and answered with."""
    values: dict[str, Any] = {
        "name": name,
        "region": REGIONS[name],
        "url": f"http://{name}.example.com/healthz",
        "weight": 100,
        "traffic": SiteTraffic(weight=100, check_id=f"{name}-check"),
        "wanted": "1.0.0",
        "facts": WHOLE,
        "record": SETTLED,
        "answers": ProbeResult({"1.0.0": 4}),
    }
    return SiteStatus(**{**values, **changes})


def draining(*states: SwitchFacts | None) -> list[str]:
    """The problems of a primary that is drained on record, by the states of its switch."""
    return [
        problem
        for state in states
        for problem in judge(
            {
                "primary": site("primary", topology=DRAINED, switch=state),
                "secondary": site("secondary", topology=DRAINED),
            }
        ).problems
    ]


def both(primary: Mapping[str, Any] | None = None, **common: Any) -> Status:
    """The verdict on two sites that are alike but for what only `primary` has."""
    return judge(
        {
            "primary": site("primary", **{**common, **(primary or {})}),
            "secondary": site("secondary", **common),
        }
    )


def test_two_sites_that_are_well_have_no_problems() -> None:
    """A status that always complains is one that nobody reads."""
    found = both()
    assert (found.verdict, found.problems, found.settled) == (Verdict.OK, (), "1.0.0")
    assert both(record=None, facts=EMPTY, wanted=None, answers=ProbeResult()).verdict is Verdict.OK


# What is wrong with the primary alone, the words that say so, and those of what to do.
PROBLEMS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "not-up": (ABSENT, ["it isn't up"], "lockstep up"),
    "no-instances-are-wanted": (
        {"facts": EMPTY, "answers": ProbeResult()},
        ["group wants 0 instances", "1.0.0 is on record", "serves nobody"],
        "pulumi up --refresh -s primary",
    ),
    "fewer-than-wanted-serve": (
        {"facts": facts(instance(1), instance(2, health="Unhealthy"))},
        ["1 of 2 instances serve"],
        "aws autoscaling describe-scaling-activities --region eu-west-1 --auto-scaling-group-name group",
    ),
    "another-release-runs": (
        {"facts": NEWER, "answers": ProbeResult({"1.1.0": 4})},
        ["it runs 1.1.0", "1.0.0 is on record"],
        "lockstep deploy 1.0.0",
    ),
    "two-releases-run": (
        {"facts": facts(instance(1), instance(3, NEW)), "answers": ProbeResult({"1.0.0": 2, "1.1.0": 2})},
        ["it runs 1.1.0", "1.0.0 is on record"],
        "lockstep deploy 1.0.0",
    ),
    "an-instance-without-a-release": (
        {"facts": facts(instance(1), instance(2, release=None))},
        ["it runs an unknown release", "1.0.0 is on record"],
        "lockstep deploy 1.0.0",
    ),
    "config-wants-another-release": (
        {"wanted": "1.1.0"},
        ["config wants 1.1.0", "1.0.0 is settled"],
        "`lockstep deploy 1.1.0`, or write 1.0.0 into Pulumi.yaml",
    ),
    "config-wants-none": (
        {"wanted": None},
        ["config wants no release", "1.0.0 is settled"],
        "write 1.0.0 into Pulumi.yaml",
    ),
    "an-old-record": (
        {"record": DeploymentRecord(epoch=0)},
        ["the record in eu-west-1 is behind", "epoch 0 of 1"],
        "lockstep settle",
    ),
    "no-record-where-the-other-has-one": ({"record": None}, ["the record in eu-west-1 is behind"], "lockstep settle"),
    "no-answer": (
        {"answers": ProbeResult({}, {REFUSED: 4})},
        ["its instances are healthy, and its own name doesn't answer", f"4 failed ({REFUSED})"],
        "curl -i http://primary.example.com/healthz",
    ),
    "some-requests-fail": (
        {"answers": ProbeResult({"1.0.0": 1}, {"HTTP 502": 2, REFUSED: 1})},
        ["3 of 4 requests to its own name fail", "2 failed (HTTP 502)", f"1 failed ({REFUSED})", "its users'"],
        "curl -i http://primary.example.com/healthz",
    ),
    "another-release-answers": (
        {"answers": ProbeResult({"1.1.0": 1, "1.0.0": 3})},
        ["its own name answers with 1.1.0", "1.0.0 is on record", "something else than its fleet"],
        "pulumi preview --refresh -s primary",
    ),
    "the-health-path-alone-answers": (
        {"requests": ProbeResult({}, {"HTTP 500": 1, REFUSED: 1})},
        [
            "its health path /healthz answers, and 2 of 2 requests to / fail",
            f"1 failed (HTTP 500), 1 failed ({REFUSED})",
            "look at the health path alone",
            "lockstep deploy",
        ],
        "curl -i http://primary.example.com/",
    ),
    "some-requests-beside-the-health-path-fail": (
        {"requests": ProbeResult({"1.0.0": 1}, {"HTTP 500": 1})},
        ["1 of 2 requests to / fail (1 failed (HTTP 500))"],
        "Have the health path fail",
    ),
    "traffic": (
        {"traffic": SiteTraffic(weight=50, problems=("Route 53 has weight 50 for it: mend it",))},
        ["Route 53 has weight 50 for it"],
        "mend it",
    ),
    "its-region-is-silent": (SILENT, ["nothing is known of it", "eu-west-1: the call of fleet failed"], "mend it"),
    "its-fleet-cannot-be-read": (
        {"facts": None, "failures": failing(Part.FLEET, kind=FailureKind.DENIED)},
        ["what it runs isn't known", "the call of fleet failed"],
        "mend it",
    ),
    "its-record-cannot-be-read": (
        {"record": None, "failures": failing(Part.RECORD, kind=FailureKind.DENIED)},
        ["its record isn't known", "the call of record failed"],
        "mend it",
    ),
    "its-lease-cannot-be-read": (
        {"failures": failing(Part.LEASE, kind=FailureKind.DENIED)},
        ["whether a deployment is at work isn't known", "the call of lease failed"],
        "mend it",
    ),
    "its-topology-cannot-be-read": (
        {"failures": failing(Part.TOPOLOGY, kind=FailureKind.DENIED)},
        ["its topology record isn't known", "the call of topology failed"],
        "mend it",
    ),
    "the-switch-in-its-region-cannot-be-read": (
        {"failures": failing(Part.SWITCH, kind=FailureKind.DENIED)},
        ["what the drain switch in its region was told isn't known", "the call of switch failed"],
        "mend it",
    ),
    "its-switch-is-gone": ({"switch": SwitchFacts(state=None)}, ["its drain switch is gone"], "lockstep up"),
    "its-switch-drains-it-and-no-record-says-so": (
        {"switch": SwitchFacts(state="ALARM", drained=True, at=TOLD)},
        ["was told at 2026-01-02T03:04:00Z to drain it, and no record says so"],
        "`lockstep undrain primary` lets traffic go back to it, or `lockstep drain primary` puts it on record",
    ),
    "an-old-topology": (
        {"topology": TopologyRecord(epoch=3)},
        ["the topology record in eu-west-1 is behind (epoch 3 of 4)"],
        "`lockstep undrain primary` writes it again",
    ),
}


@pytest.mark.parametrize(("changes", "words", "remedy"), PROBLEMS.values(), ids=PROBLEMS)
def test_one_site_that_is_not_well_is_one_problem_with_what_to_do_and_exit_10(
    changes: dict[str, Any], words: list[str], remedy: str
) -> None:
    """An outage that `status` calls ok, or doesn't explain, lasts until a user calls."""
    found = both(changes, topology=TopologyRecord(epoch=4))
    (problem,) = found.problems
    assert problem.startswith("primary: ")
    for word in [*words, remedy]:
        assert word in problem
    assert found.verdict is Verdict.DEGRADED
    assert found.verdict.exit_code == 10


@pytest.mark.parametrize(
    ("answers", "requests", "problems"),
    [
        (ProbeResult({"1.0.0": 4}), ProbeResult({}, {"HTTP 404": 2}), 0),
        (ProbeResult({"1.0.0": 4}), ProbeResult({}, {"an answer without the header Lockstep-Release, in": 2}), 0),
        (ProbeResult({}, {REFUSED: 4}), ProbeResult({}, {REFUSED: 2}), 1),
        (ProbeResult({"1.0.0": 3}, {"HTTP 502": 1}), ProbeResult({"1.0.0": 1}, {"HTTP 502": 1}), 1),
        (ProbeResult({"1.0.0": 3}, {"HTTP 502": 1}), ProbeResult({}, {"HTTP 500": 2}), 2),
    ],
    ids=["no-page", "no-release", "nothing-answers", "all-fail-now-and-then", "both"],
)
def test_only_what_no_checker_sees_is_the_gap(answers: ProbeResult, requests: ProbeResult, problems: int) -> None:
    """An application needs no page at /, and a site that is down is one problem."""
    assert len(both({"answers": answers, "requests": requests}).problems) == problems


def test_a_drained_site_is_told_with_who_did_it_and_how_it_comes_back() -> None:
    """Somebody who finds it in the morning would look for a fault; and one site carries all of the load."""
    (problem,) = draining(SwitchFacts(state="INSUFFICIENT_DATA", drained=True, at=TOLD))
    assert problem.startswith("primary: it is drained, since 2026-01-01T00:00:00Z by me@here pid 1")
    assert "`lockstep undrain primary`" in problem
    (problem,) = draining(None)
    assert "it is drained" in problem
    silent = judge({"primary": site("primary", **SILENT), "secondary": site("secondary", topology=DRAINED)})
    assert sum("primary: it is drained" in problem for problem in silent.problems) == 1


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        (SwitchFacts(state="OK", drained=False, at=TOLD), "was told at 2026-01-02T03:04:00Z to have it serve"),
        (SwitchFacts(state="INSUFFICIENT_DATA"), "was told nothing in the last two weeks"),
    ],
)
def test_a_switch_that_does_not_do_what_the_record_says_is_told(switch: SwitchFacts, words: str) -> None:
    """The command was killed between the two, and traffic goes where nobody thinks it does."""
    _, problem = draining(switch)
    assert words in problem
    assert "`lockstep drain primary` tells it again" in problem


def test_a_switch_that_was_told_both_in_one_minute_is_not_held_against_the_record() -> None:
    """CloudWatch keeps no order within a minute: `status` would complain after every drain that was taken back."""
    unsure = SwitchFacts(state="INSUFFICIENT_DATA", at=TOLD)
    assert len(draining(unsure)) == 1
    assert both({"switch": unsure}).problems == ()


def test_a_region_that_did_not_get_the_record_is_told_with_what_writes_it_again() -> None:
    """It was lost when its site was drained, and would say that it serves when the other one is lost."""
    found = judge({"primary": site("primary"), "secondary": site("secondary", topology=DRAINED)}).problems
    assert "the topology record in eu-west-1 is behind (epoch 0 of 1): `lockstep drain primary` writes it" in found[1]
    assert len(found) == 2


def test_what_is_wrong_with_traffic_is_told_beside_the_sites() -> None:
    """It degrades what all of them are for."""
    found = judge({name: site(name) for name in SITES}, ["nobody gets there: run `lockstep up`"])
    assert found.problems == ("traffic: nobody gets there: run `lockstep up`",)
    assert found.verdict is Verdict.DEGRADED
    silent = {name: site(name, **SILENT) for name in SITES}
    assert judge(silent, ["nobody knows"]).verdict is Verdict.UNREACHABLE


def test_what_is_wrong_at_several_sites_is_said_of_each() -> None:
    """A problem without its site sends somebody to the wrong region."""
    found = both(facts=EMPTY, answers=ProbeResult())
    assert [problem.partition(":")[0] for problem in found.problems] == list(SITES)


def test_a_site_without_instances_is_well_while_no_release_was_ever_settled() -> None:
    """The first `lockstep up` of a project would be reported as an outage."""
    begun = DeploymentRecord().begin(replaced(BEGUN.in_progress, sites_from=dict.fromkeys(SITES)))
    for record, verdict in ((None, Verdict.OK), (begun, Verdict.IN_PROGRESS)):
        found = both(record=record, facts=EMPTY, answers=ProbeResult(), lease=HELD, wanted=None)
        assert (found.verdict, found.problems) == (verdict, ())


def test_a_site_that_never_had_the_settled_release_should_have_it() -> None:
    """A deployment that was undone leaves a new site with nothing on record, and no stand-in for the other one."""
    record = replaced(SETTLED, sites={"primary": None, "secondary": "1.0.0"})
    (problem,) = both({"facts": EMPTY, "answers": ProbeResult()}, record=record).problems
    assert "wants 0 instances, and 1.0.0 is on record" in problem


def test_a_site_is_compared_with_its_own_record() -> None:
    """`pulumi up` of one site after the other leaves them apart for a while, and neither runs what it shouldn't."""
    record = SETTLED.settle("1.1.0", NOW, ("primary",))
    assert record.settled == "1.0.0"
    found = both({"facts": NEWER, "answers": ProbeResult({"1.1.0": 4})}, record=record)
    assert found.problems == ()


def test_where_the_fleet_is_not_known_its_answers_are_judged_all_the_same() -> None:
    """They are what users get, and need no login."""
    unknown = {"facts": None, "failures": failing(Part.FLEET)}
    silent = both({**unknown, "answers": ProbeResult({}, {REFUSED: 4})}).problems
    assert ["its own name doesn't answer" in problem for problem in silent] == [False, True]
    other = both({**unknown, "answers": ProbeResult({"1.1.0": 4})}).problems
    assert ["its own name answers with 1.1.0" in problem for problem in other] == [False, True]


def test_a_region_that_failed_in_different_ways_tells_each() -> None:
    """The second may be the one that somebody can mend."""
    mixed = failing(*(part for part in Part if part is not Part.RECORD)) | failing(Part.RECORD, kind=FailureKind.DENIED)
    problems = both({**SILENT, "failures": mixed}).problems
    assert [word for problem in problems for word in re.findall(r"the call of (\w+)", problem)] == [*Part]


def test_a_region_that_is_silent_is_judged_by_the_record_of_the_others() -> None:
    """What the lost region's site should serve is known as long as one record is."""
    problems = both({**SILENT, "answers": ProbeResult({"1.1.0": 4})}).problems
    assert "1.1.0, and 1.0.0 is on record" in problems[1]


class TestInProgress:
    """What a deployment does to sites while it is at work isn't wrong with them; what it leaves is."""

    MIXED: Mapping[str, Any] = {"facts": HALF_WAY, "wanted": "1.1.0", "answers": ProbeResult({"1.0.0": 3, "1.1.0": 1})}

    @pytest.mark.parametrize(
        "changes",
        [
            MIXED,
            {"facts": facts(instance(1), instance(2, lifecycle="Terminating"))},
            {"answers": ProbeResult({"1.0.0": 3}, {"HTTP 502": 1})},
            {"requests": ProbeResult({"1.0.0": 1}, {"HTTP 502": 1})},
        ],
        ids=["two-releases", "an-instance-goes", "a-request-fails", "a-request-beside-it-fails"],
    )
    def test_a_deployment_at_work_is_no_problem(self, changes: Mapping[str, Any]) -> None:
        """A script that waits for its end would take it for an outage."""
        found = both(changes, record=BEGUN, lease=HELD)
        assert (found.verdict, found.problems, found.verdict.exit_code) == (Verdict.IN_PROGRESS, (), 0)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"answers": ProbeResult({}, {REFUSED: 4})}, "doesn't answer"),
            ({"facts": EMPTY, "answers": ProbeResult()}, "wants 0 instances"),
            ({"record": SETTLED}, "is behind"),
            (SILENT, "nothing is known of it"),
            (ABSENT, "isn't up"),
            ({"requests": ProbeResult({}, {"HTTP 500": 2})}, "2 of 2 requests to / fail"),
            ({"traffic": SiteTraffic(problems=("it has no record",))}, "it has no record"),
        ],
    )
    def test_what_no_deployment_does_is_a_problem_all_the_same(self, changes: Mapping[str, Any], words: str) -> None:
        """Nobody would look at an outage that begins during a deployment."""
        found = both(changes, record=BEGUN, lease=HELD)
        (problem,) = found.problems
        assert words in problem
        assert found.verdict is Verdict.DEGRADED

    @pytest.mark.parametrize("lease", [None, RAN_OUT], ids=["none", "ran-out"])
    def test_one_that_was_broken_off_is_to_be_settled(self, lease: Found | None) -> None:
        """Exit 6 tells a script what to run."""
        found = both(record=BEGUN, lease=lease)
        (problem,) = found.problems
        assert "the deployment of 1.1.0 was broken off while canary" in problem
        assert "lockstep settle" in problem
        assert (found.verdict, found.verdict.exit_code) == (Verdict.INCOMPLETE, 6)

    def test_what_it_left_is_told_and_stays_to_be_settled(self) -> None:
        """Exit 10 would hide that there is a command that mends it."""
        found = both(self.MIXED, record=BEGUN)
        assert len(found.problems) > 1
        assert found.verdict is Verdict.INCOMPLETE

    def test_one_region_is_enough_to_tell_that_it_is_at_work(self) -> None:
        """Whoever is at work holds the lease of all."""
        lease = {"lease": None, "failures": failing(Part.LEASE)}
        found = both(lease, record=BEGUN, lease=HELD)
        assert not any("broken off" in problem for problem in found.problems)
        found = both(lease, record=BEGUN, lease=None)
        assert any("broken off" in problem for problem in found.problems)

    def test_it_is_not_called_broken_off_while_no_lease_can_be_read(self) -> None:
        """What isn't known to be over must not be reported as over."""
        found = both({**self.MIXED}, record=BEGUN, failures=failing(Part.LEASE))
        assert not any("broken off" in problem for problem in found.problems)
        assert "the deployment of 1.1.0 by me@here pid 1 isn't finished (canary)" in found.problems[0]
        assert "lockstep settle" in found.problems[0]
        assert len(found.problems) == 3
        assert found.verdict is Verdict.DEGRADED

    def test_sites_that_are_gone_hold_no_lease(self) -> None:
        """Stacks that were taken down in the middle of a deployment have no buckets."""
        assert both(ABSENT, **{**ABSENT, "record": BEGUN}).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([SILENT, SILENT], Verdict.UNREACHABLE),
        ([SILENT, {}], Verdict.DEGRADED),
        ([{"facts": None, "failures": failing(Part.FLEET)}] * 2, Verdict.DEGRADED),
        ([{"record": None, "failures": failing(Part.RECORD, Part.LEASE)}] * 2, Verdict.DEGRADED),
    ],
    ids=["all-silent", "one-silent", "no-fleets", "no-records"],
)
def test_only_if_no_region_says_anything_are_they_unreachable(changes: list[Any], verdict: Verdict) -> None:
    """Scripts try again on 7, and on nothing else."""
    found = judge({name: site(name, **each) for name, each in zip(SITES, changes, strict=True)})
    assert found.verdict is verdict
    assert found.problems


def test_each_verdict_has_its_exit_code() -> None:
    """Scripts rely on the numbers."""
    assert {verdict.value: verdict.exit_code for verdict in Verdict} == {
        "ok": ExitCode.DONE,
        "in progress": ExitCode.DONE,
        "incomplete": ExitCode.INCOMPLETE,
        "degraded": ExitCode.DEGRADED,
        "unreachable": ExitCode.REGION_UNREACHABLE,
    }


def test_the_outcome_as_data_tells_what_is_and_what_is_not_known() -> None:
    """A script can't tell an empty site from one that nobody could look at."""
    document = both({**SILENT, "answers": ProbeResult({"1.0.0": 3}, {REFUSED: 1})}, record=BEGUN, lease=HELD).as_json()
    assert document["verdict"] == "degraded"
    assert document["settled"] == "1.0.0"
    assert document["in_progress"] == {"release": "1.1.0", "stage": "canary", "since": NOW, "holder": "me@here pid 1"}
    assert document["sites"]["primary"] == {
        "region": "eu-west-1",
        "reachable": False,
        "unknown": ["fleet", "record", "lease", "topology", "switch"],
        "release_wanted": "1.0.0",
        "release_settled": "1.0.0",
        "release_running": None,
        "instances": None,
        "desired": None,
        "healthy": None,
        "weight": 100,
        "refresh": None,
        "answers": {"1.0.0": 3},
        "failures": {REFUSED: 1},
        "requests": None,
        "traffic": {"weight": 100, "check_id": "primary-check", "problems": []},
        "drained": False,
        "switch": None,
    }
    whole = document["sites"]["secondary"]
    assert (whole["reachable"], whole["unknown"], whole["release_running"]) == (True, [], "1.0.0")
    assert (whole["instances"], whole["desired"], whole["healthy"]) == (2, 2, 2)
    assert len(document["problems"]) == 1
    told = SwitchFacts(state="ALARM", drained=True, at=TOLD)
    drained = both({"switch": told}, topology=DRAINED).as_json()["sites"]
    assert [site["drained"] for site in drained.values()] == [True, False]
    assert drained["primary"]["switch"] == {"state": "ALARM", "drained": True, "at": "2026-01-02T03:04:00+00:00"}
    rolling = both(TestInProgress.MIXED, record=BEGUN, lease=HELD).as_json()["sites"]["primary"]
    assert (rolling["release_running"], rolling["refresh"]) == ("1.0.0+1.1.0", "InProgress")


def replaced(model: Any, **changes: Any) -> Any:
    """A record, or a part of one, with `changes`."""
    return model.model_copy(update=changes)
