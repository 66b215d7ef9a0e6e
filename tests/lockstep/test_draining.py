"""`lockstep drain` and `undrain`, on the sandbox's API with faults, and on names that answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from lockstep import aws as factory
from lockstep import config
from lockstep.draining import POLL_SECONDS, WRITE_SECONDS, Draining, Outcome, order_of
from lockstep.errors import (
    ExitCode,
    IncompleteError,
    InvalidInputError,
    RefusedError,
    RegionUnreachableError,
    UsageError,
)
from lockstep.name_servers import VARIABLE, NameServers, NoAnswerError
from lockstep.project import GLOBAL_STACK
from lockstep.site_probe import PROXY_VARIABLE, RELEASE_HEADER
from lockstep.topology_record import TopologyRecord, parameter_name, topology_store
from tests.http_server import Answering, listening
from tests.lockstep.publishing import conftest as publishing
from tests.lockstep.publishing.regions import APPLICATION, Regions
from tests.lockstep.site_fleets import SITES
from tests.lockstep.site_traffic import DOMAIN, WANTED, HostedTraffic

regions = publishing.regions
NOW = "2026-01-01T00:00:00Z"
BOTH = [f"{site}.{DOMAIN}" for site in SITES]


@dataclass
class World:
    """Two sites with their switches; `silent` don't answer at their own names; `state` is what the alarm becomes once
    it was told.
    """

    regions: Regions
    silent: set[str] = field(default_factory=set)
    state: str | None = "ALARM"
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def order(self, site: str = "primary", *, drained: bool = True, client: Any = factory.client) -> Draining:
        settings = config.load(self.regions.project, GLOBAL_STACK)

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.set_state(site, self.state)

        return Draining(
            client,
            settings,
            order_of(settings, site, drained=drained),
            self.said.append,
            sleep=sleep,
            clock=lambda: sum(self.slept),
        )

    def set_state(self, site: str, state: str | None) -> None:
        """As CloudWatch does when it has looked at the data."""
        if state is not None:
            self.regions.aws("cloudwatch", WANTED.sites[site].alarm_region).set_alarm_state(
                AlarmName=WANTED.sites[site].alarm, StateValue=state, StateReason="test"
            )

    def carry_out(self, site: str = "primary", *, drained: bool = True) -> Outcome:
        order = self.order(site, drained=drained)
        return order.carry_out(order.plan(order.look(), NOW, "me"))

    def written(self, site: str = "primary") -> list[float]:
        """What the switch was told, in the region where it is: how often 0, and how often 1."""
        answer = self.regions.aws("cloudwatch", WANTED.sites[site].alarm_region).get_metric_statistics(
            Namespace="Lockstep",
            MetricName="Drain",
            Dimensions=[{"Name": "Site", "Value": site}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=3600,
            Statistics=["SampleCount", "Sum"],
        )
        count = sum(each["SampleCount"] for each in answer["Datapoints"])
        ones = sum(each["Sum"] for each in answer["Datapoints"])
        return [count - ones, ones]

    def record(self, region: str) -> dict[str, Any] | None:
        ssm = self.regions.aws("ssm", region)
        try:
            value = ssm.get_parameter(Name=parameter_name(APPLICATION))["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            return None
        found: dict[str, Any] = json.loads(value)
        return found

    def write(self, record: TopologyRecord, *where: str) -> None:
        assert not topology_store(self.regions.aws, APPLICATION, where or SITES.values()).write(record)


@pytest.fixture
def world(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    once = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
    monkeypatch.setattr(factory, "CONFIG", once)
    monkeypatch.setenv(VARIABLE, "127.0.0.1:9")
    made = World(regions)

    class Handler(Answering):
        def respond(self) -> None:
            site = str(urlsplit(self.path).hostname).partition(".")[0]
            well = site not in made.silent
            self.answer(200 if well else 502, headers={RELEASE_HEADER: "1.0.0"} if well else None)

    traffic = HostedTraffic(regions.aws)
    for site in SITES:
        traffic.alarm(site)
    with listening(Handler) as url:
        monkeypatch.setenv(PROXY_VARIABLE, url)
        yield made


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[list[str]]], None]:
    """`dns([[...], ...])`: where the name servers lead, look by look; the last one stays."""
    looks: list[list[str]] = []

    def targets(self: Any, name: str, times: int) -> frozenset[str]:
        assert (name, times >= 16) == (DOMAIN, True)
        found = looks.pop(0) if len(looks) > 1 else looks[0]
        if not found:
            raise NoAnswerError("silence")
        return frozenset(found)

    monkeypatch.setattr(NameServers, "targets", targets)
    return looks.extend


def test_a_site_is_drained_on_record_and_by_its_switch_until_dns_has_followed(
    world: World, dns: Callable[[list[list[str]]], None]
) -> None:
    """The main job."""
    dns([BOTH, BOTH, BOTH, BOTH[1:]])
    done = world.carry_out()
    assert [world.record(region) for region in SITES.values()] == [
        {"epoch": 1, "drained": {"primary": {"at": NOW, "by": "me"}}}
    ] * 2
    assert world.written() == [0, 3]
    assert world.written("secondary") == [0, 0]
    assert world.slept == [POLL_SECONDS] * 2
    assert (done.state, done.followed) == ("ALARM", True)
    assert done.as_json() | {"seconds": 0} == {
        "site": "primary",
        "result": "drained",
        "epoch": 1,
        "drained": ["primary"],
        "recorded_in": list(SITES.values()),
        "not_recorded_in": [],
        "switch": {"region": "eu-central-1", "state": "ALARM"},
        "dns_followed": True,
        "seconds": 0,
        "undo": "lockstep undrain primary",
    }


def test_an_alias_has_left_a_site_when_it_gives_none_of_its_addresses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names no target: a drain would be told as done, or never."""
    file = world.regions.project / "Pulumi.yaml"
    file.write_text(
        file.read_text().replace("default: cname", "default: alias").replace("default: 30\n", "default: 60\n")
    )
    own = frozenset({"192.0.2.1", "192.0.2.2"})
    looks = [own, own | {"198.51.100.1"}, frozenset({"192.0.2.2", "198.51.100.1"}), frozenset({"198.51.100.1"})]

    def addresses(self: Any, name: str, times: int) -> frozenset[str]:
        if name == f"primary.{DOMAIN}":
            return own
        assert (name, times >= 16) == (DOMAIN, True)
        return looks.pop(0) if len(looks) > 1 else looks[0]

    monkeypatch.setattr(NameServers, "addresses", addresses)
    done = world.carry_out()
    assert world.slept == [POLL_SECONDS] * 2
    assert (done.state, done.followed) == ("ALARM", True)


def test_undraining_is_the_same_the_other_way(world: World, dns: Callable[[list[list[str]]], None]) -> None:
    """What was taken off must come back with one command, and keep what else is on record."""
    world.write(TopologyRecord.model_validate({"epoch": 4, "writer": "primary"}).drain("primary", NOW, "me"))
    world.set_state("primary", "ALARM")
    world.state = "OK"
    dns([BOTH[1:], BOTH[1:], BOTH])
    done = world.carry_out(drained=False)
    assert world.record("eu-west-1") == world.record("eu-central-1") == {"epoch": 6, "writer": "primary", "drained": {}}
    assert world.written() == [2, 0]
    assert (done.as_json()["result"], done.state, done.followed) == ("in service", "OK", True)


def test_where_dns_shows_no_change_the_switch_is_told_for_three_minutes(
    world: World, dns: Callable[[list[list[str]]], None]
) -> None:
    """A site that is red is not in DNS anyway: nothing shows that Route 53 has read a single value."""
    dns([BOTH[1:]])
    assert world.carry_out().followed is True
    assert sum(world.slept) == WRITE_SECONDS
    assert world.written() == [0, WRITE_SECONDS / POLL_SECONDS + 1]


def test_where_nobody_can_ask_the_name_servers_the_switch_is_told_for_three_minutes(world: World) -> None:
    """Many networks let no questions out, and the site is to be drained all the same."""
    done = world.carry_out()
    assert (done.followed, sum(world.slept)) == (None, WRITE_SECONDS)
    assert "name servers don't answer" in world.said[-1]


@pytest.mark.parametrize(
    ("state", "looks", "words"),
    [
        ("OK", [BOTH], "the alarm lockstep-orders-drain-primary in eu-central-1 is OK after 180 s, and not ALARM"),
        (None, [[]], "is INSUFFICIENT_DATA after 180 s"),
        ("ALARM", [BOTH], f"{DOMAIN} still leads to primary.{DOMAIN} after 180 s"),
    ],
)
def test_a_drain_that_has_no_effect_is_incomplete_and_says_what_to_do(
    world: World, dns: Callable[[list[list[str]]], None], state: str | None, looks: list[list[str]], words: str
) -> None:
    """Somebody would switch off a site that still serves."""
    world.state = state
    dns(looks)
    with pytest.raises(IncompleteError, match=words) as caught:
        world.carry_out()
    assert "lockstep drain primary" in caught.value.remedy
    assert "lockstep undrain primary" in caught.value.remedy
    assert caught.value.exit_code == ExitCode.INCOMPLETE


@pytest.mark.parametrize("others", ["silent", "drained"])
def test_the_last_site_that_serves_is_not_drained(world: World, others: str) -> None:
    """All red is all served: the drain would do nothing, and the one who did it would rely on it."""
    if others == "silent":
        world.silent = {"secondary"}
    else:
        world.write(TopologyRecord().drain("secondary", NOW, "you"))
    order = world.order()
    with pytest.raises(RefusedError, match="primary is the last site that serves: secondary") as caught:
        order.plan(order.look(), NOW, "me")
    assert caught.value.exit_code == ExitCode.REFUSED
    assert world.written() == [0, 0]


def test_undraining_asks_nobody_else(world: World, dns: Callable[[list[list[str]]], None]) -> None:
    """The other site has just failed: that is when it is wanted."""
    world.silent = {"secondary"}
    world.write(TopologyRecord().drain("primary", NOW, "me"))
    world.state = "OK"
    dns([BOTH[1:], BOTH])
    assert world.carry_out(drained=False).state == "OK"


def test_a_site_whose_region_is_lost_is_drained_by_the_other_region_alone(
    world: World, dns: Callable[[list[list[str]]], None]
) -> None:
    """That is when it is used; Route 53's API may be gone with us-east-1."""
    dns([BOTH, BOTH, BOTH[1:]])
    world.regions.set_faults({"kind": "refuse", "region": "eu-west-1"})
    world.regions.control("calls?record=1")
    done = world.carry_out()
    calls = world.regions.control("calls?record=0")["calls"]
    assert {call["service"] for call in calls} == {"ssm", "cloudwatch"}
    assert {call["region"] for call in calls if call["service"] == "cloudwatch"} == {"eu-central-1"}
    assert (done.as_json()["recorded_in"], done.as_json()["not_recorded_in"]) == (["eu-central-1"], ["eu-west-1"])
    assert world.record("eu-central-1") == {"epoch": 1, "drained": {"primary": {"at": NOW, "by": "me"}}}
    world.regions.set_faults()
    assert world.record("eu-west-1") is None


@pytest.mark.parametrize("drained", [True, False])
def test_without_the_switchs_region_nothing_is_changed(world: World, drained: bool) -> None:
    """A record of a drain that can't be done would be a lie."""
    world.regions.set_faults({"kind": "refuse", "region": "eu-central-1"})
    with pytest.raises(RegionUnreachableError, match="the drain switch of primary is in that region; nothing was"):
        world.carry_out(drained=drained)
    world.regions.set_faults()
    assert world.record("eu-west-1") is None
    assert world.written() == [0, 0]


def test_a_region_that_fails_for_a_moment_is_told_again(world: World, dns: Callable[[list[list[str]]], None]) -> None:
    """Three in the morning is when calls are throttled."""
    dns([BOTH, BOTH, BOTH, BOTH[1:]])
    order = world.order()
    plan = order.plan(order.look(), NOW, "me")
    world.regions.set_faults({"kind": "throttle", "service": "cloudwatch", "operation": "PutMetricData", "count": 1})
    assert order.carry_out(plan).state == "ALARM"
    assert any("Throttling" in line for line in world.said)


def test_a_call_that_is_forbidden_ends_it_and_leaves_it_to_be_resumed(world: World) -> None:
    """The record says what is meant, and `status` tells of the difference."""
    order = world.order()
    plan = order.plan(order.look(), NOW, "me")
    world.regions.set_faults({"kind": "deny", "service": "cloudwatch", "operation": "PutMetricData"})
    with pytest.raises(IncompleteError, match="the drain switch wasn't told for long enough") as caught:
        order.carry_out(plan)
    assert "run `lockstep drain primary` again" in caught.value.remedy
    assert world.slept == []


def test_a_record_that_somebody_else_writes_meanwhile_stops_it(world: World) -> None:
    """Two who drain different sites at once would drain both."""
    order = world.order()
    plan = order.plan(order.look(), NOW, "me")
    world.write(TopologyRecord().drain("secondary", NOW, "you"))
    with pytest.raises(IncompleteError, match="somebody else") as caught:
        order.carry_out(plan)
    assert "lockstep status" in caught.value.remedy
    assert world.written() == [0, 0]


def test_a_record_that_is_overwritten_at_once_stops_it(world: World) -> None:
    """SSM has no conditional writes: both have read, and found nothing, before either has written."""
    theirs = TopologyRecord().drain("secondary", NOW, "you")

    class Overwritten:
        def __init__(self, ssm: Any) -> None:
            self.get_parameter = ssm.get_parameter
            self._ssm = ssm

        def put_parameter(self, **parameters: Any) -> None:
            self._ssm.put_parameter(**parameters)
            self._ssm.put_parameter(**{**parameters, "Value": theirs.as_text()})

    def client(service: str, region: str) -> Any:
        made = factory.client(service, region)
        return Overwritten(made) if (service, region) == ("ssm", "eu-west-1") else made

    order = world.order(client=client)
    with pytest.raises(IncompleteError, match="in eu-west-1 was written by somebody else at the same time"):
        order.carry_out(order.plan(order.look(), NOW, "me"))
    assert world.written() == [0, 0]


def test_the_same_order_again_goes_on_where_it_was_broken_off(
    world: World, dns: Callable[[list[list[str]]], None]
) -> None:
    """Killed between the record and the switch, or while a region was lost."""
    world.write(TopologyRecord().drain("primary", "before", "you"), "eu-central-1")
    dns([BOTH, BOTH, BOTH[1:]])
    order = world.order()
    plan = order.plan(order.look(), NOW, "me")
    assert "primary is drained on record, since before by you" in plan.lines[0]
    assert order.carry_out(plan).plan.record.epoch == 1
    assert world.record("eu-west-1") == {"epoch": 1, "drained": {"primary": {"at": "before", "by": "you"}}}


def test_a_site_without_a_switch_is_told_before_anything_is_changed(world: World) -> None:
    """Its stack isn't up, or somebody has deleted the alarm."""
    cloudwatch = world.regions.aws("cloudwatch", "eu-central-1")
    cloudwatch.delete_alarms(AlarmNames=[WANTED.sites["primary"].alarm])
    with pytest.raises(InvalidInputError, match="there is no alarm lockstep-orders-drain-primary in eu-central-1"):
        world.carry_out()
    assert world.record("eu-central-1") is None


def test_a_site_that_is_none_is_named_with_those_that_are(world: World) -> None:
    """A slip of the hand must not look like a fault."""
    with pytest.raises(UsageError, match="'primry'") as caught:
        world.order("primry")
    assert "primary, secondary" in caught.value.remedy


@pytest.mark.parametrize("command", ["drain", "undrain"])
def test_without_a_terminal_the_plan_is_shown_and_nothing_changed(world: World, command: str) -> None:
    """A pipeline must say --yes; a person sees how long it takes and how to take it back before it is done."""
    done = world.regions.run(command, "primary")
    assert (done.returncode, done.stdout) == (ExitCode.REFUSED, "")
    undo = {"drain": "undrain", "undrain": "drain"}[command]
    for words in ("1 to 3 minutes, and 30 s more", f"to take it back: lockstep {undo} primary", "--yes"):
        assert words in done.stderr
    assert world.record("eu-central-1") is None
    assert world.written() == [0, 0]
