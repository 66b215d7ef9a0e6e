"""What `lockstep status` finds out when a region, or one service of it, fails: on the sandbox's API, with faults."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from lockstep import automation, release_setting
from lockstep import aws as factory
from lockstep.commands.status import status
from lockstep.config.naming import package_bucket_name
from lockstep.deployment_record import DeploymentRecord, parameter_name
from lockstep.errors import ExitCode
from lockstep.lease import Holder, Lease
from lockstep.site_probe import PROXY_VARIABLE, RELEASE_HEADER
from lockstep.status import Part, Status, Verdict, look
from tests.http_server import Answering, listening
from tests.lockstep.publishing import conftest as publishing
from tests.lockstep.publishing.regions import ACCOUNT, APPLICATION, Regions, is_reading
from tests.lockstep.site_fleets import SITES, SiteGroup, context_of, make_group
from tests.lockstep.site_traffic import DOMAIN, HostedTraffic
from tests.lockstep.test_status import BEGUN, SETTLED

LOST = SITES["secondary"]

regions = publishing.regions


@dataclass
class Names:
    """What answers at the sites' own names, in turn: `releases` at the health path, HTTP 502 for None; `pages` at /."""

    releases: dict[str, list[str | None]] = field(default_factory=dict)
    pages: dict[str, list[int]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def answering(names: Names) -> Iterator[str]:
    """A proxy, for LOCKSTEP_HTTP_PROXY, that answers in the place of all sites."""
    lock = threading.Lock()

    class Handler(Answering):
        def respond(self) -> None:
            url = urlsplit(self.path)
            site = str(url.hostname).partition(".")[0]
            with lock:
                number = names.asked.count((site, url.path))
                names.asked.append((site, url.path))
            if url.path == "/":
                statuses = names.pages.get(site, [404])
                self.answer(statuses[number % len(statuses)])
            else:
                releases = names.releases[site]
                release = releases[number % len(releases)]
                self.answer(200 if release else 502, headers={RELEASE_HEADER: release} if release else None)

    with listening(Handler) as url:
        yield url


class World:
    """Two sites that run 1.0.0, which is wanted, settled and answered with; traffic as it is declared."""

    def __init__(self, regions: Regions, names: Names) -> None:
        self.regions = regions
        self.names = names
        self.traffic = HostedTraffic(regions.aws)
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
    names = Names()
    with answering(names) as url:
        monkeypatch.setenv(PROXY_VARIABLE, url)
        made = World(regions, names)
        made.bring_up(*SITES)
        made.traffic.bring_up()
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
        assert (site.requests_asked, site.failing_requests) == (2, {})
        assert site.traffic is not None
        assert (site.traffic.weight, site.traffic.check_id) == (100, world.traffic.checks[site.name])


@pytest.mark.parametrize(
    ("kind", "service", "part", "call"),
    [
        ("deny", "autoscaling", Part.FLEET, "autoscaling DescribeAutoScalingGroups"),
        ("throttle", "ec2", Part.FLEET, "ec2 DescribeInstances"),
        ("refuse", "elbv2", Part.FLEET, "elbv2 DescribeTargetHealth"),
        ("deny", "ssm", Part.RECORD, "ssm GetParameter"),
        ("deny", "cloudwatch", Part.SWITCH, "cloudwatch GetMetricData"),
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
    assert [problem.partition(":")[0] for problem in found.problems] == [*SITES, "traffic"]
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
    assert {site for site, _ in world.names.asked} == {"primary"}
    assert found.verdict.exit_code == 10


def test_looking_changes_nothing(world: World) -> None:
    """Anybody may run it at any time."""
    world.regions.control("calls?record=1")
    world.look()
    calls = {f"{call['service']} {call['operation']}" for call in world.regions.control("calls?record=0")["calls"]}
    assert {call.split()[0] for call in calls} == {
        "autoscaling",
        "cloudwatch",
        "ec2",
        "elbv2",
        "ssm",
        "s3",
        "sts",
        "route53",
    }
    assert all(is_reading(call) for call in calls)


def test_traffic_costs_three_calls(world: World) -> None:
    """Route 53 takes five requests a second of an account, those of other tools included (Quotas)."""
    world.regions.control("calls?record=1")
    world.look()
    calls = world.regions.control("calls?record=0")["calls"]
    assert sorted(call["operation"] for call in calls if call["service"] == "route53") == [
        "ListHealthChecks",
        "ListHostedZonesByName",
        "ListResourceRecordSets",
    ]


def test_a_check_that_was_removed_by_hand_is_told(world: World) -> None:
    """Route 53 lets anybody, and nothing looks wrong until traffic stays on a dead site."""
    removed = world.traffic.checks["secondary"]
    world.traffic.route53.delete_health_check(HealthCheckId=removed)
    found = world.look()
    (problem,) = found.problems
    for word in (f"secondary: its record in Route 53 has the health check {removed}", "pulumi refresh -s global"):
        assert word in problem
    assert found.verdict.exit_code == 10
    assert found.as_json()["sites"]["secondary"]["traffic"] == {
        "weight": 100,
        "check_id": removed,
        "problems": [problem.removeprefix("secondary: ")],
    }


def test_traffic_that_nobody_brought_up_is_one_problem(world: World) -> None:
    """Two sites that nobody gets to are no service."""
    world.traffic.change("DELETE", *(world.traffic.record(site) for site in SITES))
    (problem,) = world.look().problems
    assert problem.startswith(f"traffic: {DOMAIN} has no weighted record")
    assert "run `lockstep up`" in problem


@pytest.mark.parametrize("kind", ["refuse", "vanish", "throttle", "deny"])
def test_a_control_plane_that_is_gone_hides_nothing_but_what_traffic_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """us-east-1 takes it along, and neither site is there."""
    if kind == "vanish":
        once = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
        monkeypatch.setattr(factory, "CONFIG", once)
    found = world.look({"kind": kind, "region": "us-east-1"})
    (problem,) = found.problems
    for word in ("traffic: what Route 53's records and health checks are isn't known", "us-east-1", "route53 List"):
        assert word in problem
    assert "traffic still moves by itself" in problem
    assert unknown(found) == {"primary": set(), "secondary": set()}
    assert [site.traffic for site in found.sites.values()] == [None, None]
    assert [site.running for site in found.sites.values()] == ["1.0.0", "1.0.0"]
    assert (found.verdict, found.verdict.exit_code) == (Verdict.DEGRADED, 10)


def test_checks_that_may_not_be_listed_hide_only_themselves(world: World) -> None:
    """Weights are read by another call."""
    found = world.look({"kind": "deny", "service": "route53", "operation": "ListHealthChecks"})
    (problem,) = found.problems
    assert "what Route 53's health checks are isn't known" in problem
    assert [site.traffic and site.traffic.weight for site in found.sites.values()] == [100, 100]


@pytest.mark.parametrize(("statuses", "failed"), [([500], 2), ([503, 404], 1), ([200], 0), ([302], 0), ([401], 0)])
def test_requests_that_fail_while_the_health_path_answers_are_told(
    world: World, statuses: list[int], failed: int
) -> None:
    """Balancer and Route 53 look at the health path alone: the site keeps its share of the users and fails them."""
    world.names.pages["primary"] = statuses
    found = world.look()
    assert [
        f"primary: its health path /healthz answers, and {failed} of 2 requests to / fail" in problem
        for problem in found.problems
    ] == [True] * bool(failed)
    shown = found.as_json()["sites"]["primary"]["requests"]
    assert (shown["path"], shown["asked"], sum(shown["failures"].values())) == ("/", 2, failed)


def test_a_health_path_that_is_the_page_itself_is_asked_once(world: World) -> None:
    """There is no gap then, and the requests would be the same."""
    project = world.regions.project / "Pulumi.yaml"
    project.write_text(project.read_text().replace("path: /healthz", "path: /"))
    for site in world.traffic.endpoints.values():
        world.traffic.route53.update_health_check(HealthCheckId=site, ResourcePath="/")
    found = world.look()
    assert len(world.names.asked) == 8
    assert found.as_json()["sites"]["primary"]["requests"] is None


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


@pytest.mark.parametrize(
    ("weight", "cell"), [("100", "100 4 by"), ("50", "50 (config 100) 4 by"), ("none", "- (config 100) 4 by")]
)
def test_the_table_has_the_weight_that_is_and_the_one_that_should_be(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], weight: str, cell: str
) -> None:
    """A site that somebody took traffic off by hand looks well in everything else."""
    record = world.traffic.record("primary")
    if weight == "none":
        world.traffic.change("DELETE", record)
    else:
        world.traffic.change("UPSERT", record | {"Weight": int(weight)})
    assert cell in row_of("primary", world, monkeypatch, capsys)
    world.regions.set_faults({"kind": "deny", "service": "route53"})
    assert "? (config 100) 4 by" in row_of("primary", world, monkeypatch, capsys)


def row_of(site: str, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The line of a site in the table, with one blank between its words."""
    monkeypatch.setenv("LOCKSTEP_PROJECT", str(world.regions.project))
    monkeypatch.setattr(automation, "StackOperations", lambda *_: None)
    status()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(site)]
    return " ".join(row.split())
