"""What `lockstep status` finds out when a region, or one service of it, fails: on the sandbox's API, with faults."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from lockstep import automation, release_setting
from lockstep import aws as factory
from lockstep.commands.status import status
from lockstep.config.naming import package_bucket_name
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage, parameter_name
from lockstep.errors import ExitCode
from lockstep.lease import Holder, Lease
from lockstep.site_probe import PROXY_VARIABLE
from lockstep.status import Part, Status, Verdict, look
from tests.lockstep.publishing import conftest as publishing
from tests.lockstep.publishing.regions import ACCOUNT, APPLICATION, Regions, is_reading
from tests.lockstep.site_fleets import SITES, Names, SiteGroup, answering_names, context_of, make_group

NOW = "2026-01-01T00:00:00Z"
SETTLED = DeploymentRecord().settle("1.0.0", NOW, SITES)
BEGUN = SETTLED.begin(
    InProgress(
        id="1",
        release_to="1.1.0",
        release_from="1.0.0",
        sites_from=dict.fromkeys(SITES, "1.0.0"),
        versions_from=dict.fromkeys(SITES, 1),
        started_at=NOW,
        holder="me",
        stage=Stage.ROLLING,
    )
)
LOST = SITES["secondary"]

regions = publishing.regions


class World:
    """Two sites that run 1.0.0, which is wanted, settled and answered with."""

    def __init__(self, regions: Regions, names: Names) -> None:
        self.regions = regions
        self.names = names
        self.context = context_of(regions.project)
        self.groups: dict[str, SiteGroup] = {}

    def bring_up(self, *sites: str) -> None:
        for site in sites:
            self.groups[site] = make_group(self.regions.aws, site)
            self.names.releases[site] = ["1.0.0"]

    def write(self, record: DeploymentRecord) -> None:
        assert not self.context.store.write(record)

    def look(self, *faults: dict[str, Any]) -> Status:
        """As another command sees it, under `faults`."""
        self.regions.set_faults(*faults)
        return look(context_of(self.regions.project))


@pytest.fixture
def world(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    release_setting.write(regions.project, "1.0.0")
    once = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
    monkeypatch.setattr(factory, "CONFIG", once)
    with answering_names() as names:
        monkeypatch.setenv(PROXY_VARIABLE, names.url)
        made = World(regions, names)
        made.bring_up(*SITES)
        made.write(SETTLED)
        yield made


def unknown(found: Status) -> dict[str, set[Part]]:
    return {name: set(site.failures) for name, site in found.sites.items()}


def test_two_sites_that_are_well(world: World) -> None:
    """Otherwise nothing below proves anything."""
    found = world.look()
    assert (found.verdict, found.problems) == (Verdict.OK, ())
    for site in found.sites.values():
        assert site.facts is not None
        assert (site.running, site.record, site.lease, len(site.facts.serving)) == ("1.0.0", SETTLED, None, 2)
        assert dict(site.answers.by_release) == {"1.0.0": 4}


@pytest.mark.parametrize(
    ("kind", "service", "part", "call"),
    [
        ("deny", "autoscaling", Part.FLEET, "autoscaling DescribeAutoScalingGroups"),
        ("throttle", "ec2", Part.FLEET, "ec2 DescribeInstances"),
        ("refuse", "elbv2", Part.FLEET, "elbv2 DescribeTargetHealth"),
        ("deny", "ssm", Part.RECORD, "ssm GetParameter"),
        ("refuse", "s3", Part.LEASE, "s3 GetObject"),
    ],
)
def test_one_service_that_fails_hides_its_own_part_and_is_named(
    world: World, kind: str, service: str, part: Part, call: str
) -> None:
    """In the night of an outage the rest is what there is to go by."""
    found = world.look({"kind": kind, "region": LOST, "service": service})
    assert unknown(found) == {"primary": set(), "secondary": {part}}
    (problem,) = found.problems
    for word in ("secondary", LOST, call, part.unknown):
        assert word in problem
    site = found.sites["secondary"]
    assert (site.facts is None, site.record is None) == (part is Part.FLEET, part is Part.RECORD)
    assert dict(site.answers.by_release) == {"1.0.0": 4}
    assert site.reachable
    assert found.verdict is Verdict.DEGRADED


@pytest.mark.parametrize("kind", ["deny", "refuse"])
def test_an_account_that_nobody_tells_hides_nothing_but_the_leases(world: World, kind: str) -> None:
    """It is only asked for to know the buckets' names; one call of STS would blind all regions."""
    found = world.look({"kind": kind, "service": "sts"})
    assert unknown(found) == {name: {Part.LEASE} for name in SITES}
    assert {site.running for site in found.sites.values()} == {"1.0.0"}
    assert [site.record for site in found.sites.values()] == [SETTLED, SETTLED]
    assert len(found.problems) == 2
    for problem in found.problems:
        assert "whether a deployment is at work isn't known" in problem
        assert "sts" in problem
    assert found.verdict is Verdict.DEGRADED


@pytest.mark.parametrize(("kind", "region"), [("throttle", SITES["primary"]), ("refuse", LOST)])
def test_an_account_that_one_region_does_not_tell_hides_nothing(world: World, kind: str, region: str) -> None:
    """STS has an end point in every region, and any will do."""
    assert world.look({"kind": kind, "service": "sts", "region": region}).verdict is Verdict.OK


@pytest.mark.parametrize(("kind", "site"), [("refuse", "primary"), ("refuse", "secondary"), ("deny", "primary")])
def test_a_region_that_is_silent_is_one_problem_and_the_other_is_known_whole(
    world: World, kind: str, site: str
) -> None:
    """A lost region is when somebody looks."""
    found = world.look({"kind": kind, "region": SITES[site]})
    if kind == "deny":
        # The first region's STS says that the login may not, which would be the same everywhere.
        assert unknown(found)["secondary"] == {Part.LEASE}
    else:
        (problem,) = found.problems
        assert f"{site}: nothing is known of it: {SITES[site]}" in problem
    assert unknown(found)[site] == set(Part)
    assert not found.sites[site].reachable
    other = next(each for name, each in found.sites.items() if name != site)
    assert (other.running, other.record, other.reachable) == ("1.0.0", SETTLED, True)
    assert found.verdict is Verdict.DEGRADED


def test_a_silent_region_is_waited_for_once(world: World) -> None:
    """Its time-outs add up to minutes, when seconds count."""
    world.look({"kind": "refuse", "region": LOST})
    (fault,) = world.regions.control("faults")["faults"]
    assert fault["hit"] == 2


def test_regions_that_are_all_silent_are_unreachable_and_their_sites_are_asked_all_the_same(world: World) -> None:
    """The sites may well serve."""
    found = world.look({"kind": "refuse"})
    assert (found.verdict, found.verdict.exit_code) == (Verdict.UNREACHABLE, 7)
    assert len(found.problems) == 2
    assert [dict(site.answers.by_release) for site in found.sites.values()] == [{"1.0.0": 4}] * 2


def test_a_record_that_nobody_can_read_is_a_problem_of_its_region(world: World) -> None:
    """The other region's is whole, and so are the fleets."""
    name = parameter_name(APPLICATION)
    world.regions.aws("ssm", LOST).put_parameter(Name=name, Value="{", Type="String", Overwrite=True)
    found = world.look()
    assert unknown(found) == {"primary": set(), "secondary": {Part.RECORD}}
    (problem,) = found.problems
    assert f"SSM parameter {name} in {LOST} isn't a deployment record" in problem
    assert found.settled == "1.0.0"
    assert found.sites["secondary"].running == "1.0.0"


def test_a_site_that_is_not_up_is_not_one_that_cannot_be_looked_at(world: World) -> None:
    """It has no bucket either, and the one command that helps is to bring it up."""
    world.groups["secondary"].update(DesiredCapacity=0)
    world.groups["secondary"].autoscaling.delete_auto_scaling_group(AutoScalingGroupName="secondary", ForceDelete=True)
    world.regions.aws("s3", LOST).delete_bucket(Bucket=package_bucket_name(APPLICATION, ACCOUNT, LOST))
    found = world.look()
    assert unknown(found) == {"primary": set(), "secondary": set()}
    assert found.problems == ("secondary: it isn't up: run `lockstep up`",)


def test_a_bucket_that_is_gone_is_told_of_a_site_that_is_up(world: World) -> None:
    """Its instances serve until the first of them is replaced."""
    world.regions.aws("s3", LOST).delete_bucket(Bucket=package_bucket_name(APPLICATION, ACCOUNT, LOST))
    (problem,) = world.look().problems
    assert "s3 GetObject failed with NoSuchBucket" in problem


def test_a_deployment_at_work_is_seen_by_its_lease(world: World) -> None:
    """And one that was broken off by its absence."""
    world.write(BEGUN)
    with Lease(world.context.client, world.context.buckets, Holder.this_process("lockstep deploy 1.1.0")).hold():
        assert world.look().verdict is Verdict.IN_PROGRESS
        # One region is enough.
        assert "broken off" not in " ".join(world.look({"kind": "deny", "service": "s3", "region": LOST}).problems)
        world.regions.set_faults()
    assert world.look().verdict is Verdict.INCOMPLETE


def test_what_users_get_and_what_they_should_get_are_compared(world: World) -> None:
    """Instances that are well are no use behind a name that fails, or that leads elsewhere."""
    world.names.releases |= {"primary": ["1.0.0", None, None, None], "secondary": ["0.9.0"]}
    first, second = world.look().problems
    assert "primary: 3 of 4 requests to its own name fail" in first
    assert "secondary: its own name answers with 0.9.0, and 1.0.0 is on record" in second


def test_a_site_without_instances_is_not_ok_once_a_release_is_settled(world: World) -> None:
    """A group that somebody set to nothing is an outage of the site that is to stand in for the other."""
    world.groups["secondary"].update(DesiredCapacity=0)
    found = world.look()
    (problem,) = found.problems
    assert "its group secondary wants 0 instances, and 1.0.0 is on record" in problem
    assert "secondary" not in world.names.asked
    assert found.verdict.exit_code == 10


def test_looking_changes_nothing(world: World) -> None:
    """Anybody may run it at any time."""
    world.regions.control("calls?record=1")
    world.look()
    calls = {f"{call['service']} {call['operation']}" for call in world.regions.control("calls?record=0")["calls"]}
    assert {call.split()[0] for call in calls} == {"autoscaling", "ec2", "elbv2", "ssm", "s3", "sts"}
    assert all(is_reading(call) for call in calls)


def test_the_table_tells_what_is_not_known_from_what_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dash would be read as nothing that runs."""
    monkeypatch.setenv("LOCKSTEP_PROJECT", str(world.regions.project))
    monkeypatch.setattr(automation, "StackOperations", lambda *_: None)
    world.regions.set_faults({"kind": "deny", "region": LOST, "service": "autoscaling"})
    assert status() == ExitCode.DEGRADED
    shown = capsys.readouterr()
    rows = {row[0]: row[1:] for row in (line.split() for line in shown.out.splitlines())}
    assert rows["primary"][1:6] == ["1.0.0", "1.0.0", "1.0.0", "2", "of"]
    assert rows["secondary"][1:5] == ["1.0.0", "1.0.0", "?", "?"]
    assert "verdict: degraded" in shown.err
    assert "warning: secondary: what it runs isn't known" in shown.err
