"""What a plain `pulumi up` does about its site's fleet: on the sandbox's API, its real leases and records."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import pytest
from moto.autoscaling.models import autoscaling_backends

from lockstep import config
from lockstep.config import Config
from lockstep.config.naming import package_bucket_name
from lockstep.deployment import hooks
from lockstep.deployment.hooks import HookFailedError, SiteHooks
from lockstep.deployment_record import DeploymentRecord, Fate, InProgress, Stage, what_stops
from lockstep.deployment_store import DeploymentStore
from lockstep.fleet import FleetFacts, SiteFleet
from lockstep.lease import KEY, Holder, Lease, peek
from sandbox.api import autoscaling_members, ec2_launch, faults, instance_refresh
from sandbox.api.backend_lock import backend_lock
from tests.conftest import ROOT
from tests.lockstep.site_fleets import SITES, SiteGroup, make_group
from tests.sandbox.api.refreshing import World

ACCOUNT = "123456789012"
NOW = "2026-01-01T00:00:00Z"
OWN, OTHER = SITES.values()
BUCKETS = {region: package_bucket_name("orders", ACCOUNT, region) for region in SITES.values()}
PATIENCE = 60.0
Aws = Callable[..., Any]


def configured(site: str, release: str | None) -> Config:
    """The committed configuration, as the stack of `site` reads it, with `release`."""
    loaded = config.load(ROOT, site)
    return loaded.model_copy(
        update={"sites": tuple(each.model_copy(update={"release": release}) for each in loaded.sites)}
    )


def everywhere(release: str) -> DeploymentRecord:
    return DeploymentRecord().settle(release, NOW, SITES)


class Bad(World):
    """The time, and templates whose instances never get healthy."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__(patch)
        patch.setattr(ec2_launch, "_lacks_capacity", faults.lacks_capacity)
        self.bad: set[tuple[str, int]] = set()

    def target_state(self, group_name: str, instance_id: str) -> str:
        for group in groups():
            for member in group.instance_states:
                if member.instance.id == instance_id and (group.name, int(member.template["Version"])) in self.bad:
                    return "unhealthy"
        return super().target_state(group_name, instance_id)


def groups() -> Iterator[Any]:
    for account in list(autoscaling_backends.values()):
        for backend in list(account.values()):
            yield from list(backend.autoscaling_groups.values())


@dataclass
class Place:
    """Both regions: buckets, records and groups; and what else happens while a hook sleeps."""

    aws: Aws
    world: Bad
    while_asleep: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = DeploymentStore(self.aws, "orders", SITES.values())
        for region, bucket in BUCKETS.items():
            self.make_bucket(region, bucket)

    def make_bucket(self, region: str, bucket: str) -> None:
        self.aws("s3", region).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})

    def group(self, site: str = "primary", release: str = "1.0.0", **options: Any) -> SiteGroup:
        made = make_group(self.aws, site, release, **options)
        made.update(HealthCheckType="ELB", HealthCheckGracePeriod=0)
        return made

    def hooks(self, release: str | None = "1.1.0", site: str = "primary") -> SiteHooks:
        return SiteHooks(configured(site, release), self.aws, self.sleep)

    def sleep(self, _: float) -> None:
        for each in self.while_asleep:
            each()
        with backend_lock:
            self.world.wait(31)
            # In this order an instance that is launched is seen before it is ended.
            for group in groups():
                autoscaling_members.settle(group)
            instance_refresh.turn()

    def facts(self, site: str = "primary") -> FleetFacts:
        return SiteFleet(self.aws, "orders", site, SITES[site]).facts()

    def record(self, region: str = OWN) -> DeploymentRecord:
        found = self.store.read(region)
        assert found is not None
        return found

    def fails(self, run: Callable[[], None]) -> str:
        """What Pulumi would show."""
        with pytest.raises(HookFailedError) as failed:
            run()
        return str(failed.value)

    def free(self) -> bool:
        """Whether nobody holds a lease."""
        return all(peek(self.aws, bucket, region) is None for region, bucket in BUCKETS.items())

    def break_(self, kind: str, **what: Any) -> None:
        faults._replace([{"kind": kind, **what}])


@pytest.fixture
def place(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.delenv("LOCKSTEP_DEPLOYMENT", raising=False)
    yield Place(aws, Bad(monkeypatch))
    faults.reset()


def test_a_new_template_is_rolled_and_the_record_says_so_in_every_region(place: Place) -> None:
    """The main job of a merge."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    place.hooks().after_template(group.add_version("1.1.0"))
    assert place.facts().runs("1.1.0")
    assert place.facts().version == 2
    for region in SITES.values():
        assert place.record(region).sites == {"primary": "1.1.0", "secondary": "1.0.0"}
        assert place.record(region).in_progress is None
    assert place.record().settled == "1.0.0"
    assert place.free()


def test_the_record_says_what_is_rolled_while_it_is(place: Place) -> None:
    """Whoever finds it after a kill has nothing else to go by."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    seen: list[DeploymentRecord] = []
    place.while_asleep.append(lambda: seen.append(place.record(OTHER)))
    place.hooks().after_template(group.add_version("1.1.0"))
    now = seen[0].in_progress
    assert now is not None
    assert (now.release_to, now.release_from, now.stage) == ("1.1.0", "1.0.0", Stage.ROLLING)
    assert (now.sites_from, now.versions_from) == ({"primary": "1.0.0"}, {"primary": 1})


def test_a_release_that_fails_is_taken_back_and_refused(place: Place) -> None:
    """The site would serve errors, and the next merge would bring the release back."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    place.world.bad.add(("primary", version))
    text = place.fails(lambda: place.hooks().after_template(version))
    for words in ("was replaced as unhealthy", "primary serves 1.0.0 as before", "Write 1.0.0 into Pulumi.yaml"):
        assert words in text
    assert place.facts().runs("1.0.0")
    for region in SITES.values():
        record = place.record(region)
        fate = record.fate_of("1.1.0")
        assert fate is not None
        assert fate.fate is Fate.REFUSED
        assert record.in_progress is None
        assert (record.settled, record.sites) == ("1.0.0", dict.fromkeys(SITES, "1.0.0"))
    assert place.free()


def test_a_release_that_an_instance_never_got_is_not_refused(place: Place) -> None:
    """A region without capacity says nothing about it, and nobody would dare to deploy it again."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    place.break_("capacity", region=OWN)
    text = place.fails(lambda: place.hooks().after_template(version))
    for words in ("can't be launched", "serves 1.0.0 as before", "Run this again"):
        assert words in text
    assert place.record().fate_of("1.1.0") is None
    assert place.facts().runs("1.0.0")
    faults.reset()
    place.hooks().after_all()
    assert place.facts().runs("1.1.0")


@pytest.mark.parametrize("code", ["deny", "throttle"])
def test_what_aws_refuses_to_begin_is_told_with_what_to_do_and_undone_in_the_record(place: Place, code: str) -> None:
    """The record would say for ever that a roll is under way, and boto's words name no remedy."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    place.break_(code, operation="StartInstanceRefresh")
    text = place.fails(lambda: place.hooks().after_template(version))
    for words in (f"{OWN}: ", "StartInstanceRefresh failed", "primary serves 1.0.0 as before", "un this again"):
        assert words in text
    assert place.record().in_progress is None
    assert place.record().fate_of("1.1.0") is None
    faults.reset()
    place.hooks().after_all()
    assert place.facts().runs("1.1.0")


def test_a_refresh_that_nobody_recorded_is_left_to_whoever_began_it(place: Place) -> None:
    """It would be cancelled, or taken for this one."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    theirs = group.refresh_to(version)
    text = place.fails(lambda: place.hooks().after_template(version))
    assert "cancel-instance-refresh --auto-scaling-group-name primary --region eu-west-1" in text
    now = place.facts().refresh
    assert now is not None
    assert (now.id, now.active) == (theirs, True)
    assert place.record() == everywhere("1.0.0")
    assert place.free()


def test_a_site_goes_back_though_its_record_cannot_be_written(place: Place) -> None:
    """It would serve a release that fails until the record can be."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    place.world.bad.add(("primary", version))
    place.while_asleep.append(lambda: place.break_("refuse", region=OWN, operation="PutParameter"))
    text = place.fails(lambda: place.hooks().after_template(version))
    assert "primary serves 1.0.0 as before, but the record doesn't say so" in text
    assert "`lockstep settle`" in text
    faults.reset()
    assert place.facts().runs("1.0.0")
    now = place.record().in_progress
    assert now is not None
    assert now.stage is Stage.ROLLING


def test_a_site_that_cannot_go_back_is_left_to_settle(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has to say that it is on its way."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    place.world.bad.add(("primary", version))
    place.while_asleep.append(lambda: place.break_("deny", operation="RollbackInstanceRefresh"))
    text = place.fails(lambda: place.hooks().after_template(version))
    for words in ("replaced as unhealthy", "can't go back", "RollbackInstanceRefresh", "`lockstep settle`"):
        assert words in text
    now = place.record().in_progress
    assert now is not None
    assert now.stage is Stage.UNDOING


def test_a_roll_ends_with_its_lease_and_undoes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the lease rolls the site too, one way or the other."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    thief = Holder.this_process("lockstep settle").model_dump_json().encode()
    held: list[Lease] = []

    def kept(*args: Any) -> Lease:
        held.append(Lease(*args))
        return held[-1]

    def steal() -> None:
        place.aws("s3", OWN).put_object(Bucket=BUCKETS[OWN], Key=KEY, Body=thief)
        # What the background does fifteen seconds later.
        for lease in held:
            for each in lease._holds.values():
                each.renew()

    place.while_asleep.append(steal)
    monkeypatch.setattr(hooks, "Lease", kept)
    text = place.fails(lambda: place.hooks().after_template(version))
    assert "the lease in eu-west-1 is `lockstep settle`" in text
    assert "`lockstep settle`" in text
    now = place.record().in_progress
    assert now is not None
    assert now.stage is Stage.ROLLING
    going = place.facts().refresh
    assert going is not None
    assert going.status in ("Pending", "InProgress")


def test_a_site_whose_record_somebody_else_has_written_is_left_to_them(place: Place) -> None:
    """They work without the lease, or have it: two would roll the site against each other."""
    group = place.group()
    place.store.write(everywhere("1.0.0"))
    version = group.add_version("1.1.0")
    place.world.bad.add(("primary", version))

    def write() -> None:
        now = place.record()
        if now.in_progress is not None and now.in_progress.id != "theirs":
            theirs = now.in_progress.model_copy(update={"id": "theirs"})
            place.store.write(now.begin(theirs).begin(theirs))

    place.while_asleep.append(write)
    text = place.fails(lambda: place.hooks().after_template(version))
    assert "somebody else has written it meanwhile" in text
    assert "`lockstep settle`" in text
    going = place.facts().refresh
    assert going is not None
    assert going.status == "InProgress"
    now = place.record().in_progress
    assert now is not None
    assert (now.id, now.stage) == ("theirs", Stage.ROLLING)


class TestOtherRegion:
    """A site that is updated alone needs its own region only."""

    @pytest.mark.parametrize("kind", ["refuse", "deny"])
    def test_may_be_out_of_reach(self, place: Place, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
        """What is left could not be changed while the other region is lost, which is what the other one is for."""
        group = place.group()
        place.store.write(everywhere("1.0.0"))
        version = group.add_version("1.1.0")
        place.break_(kind, region=OTHER)
        place.hooks().after_template(version)
        assert place.facts().runs("1.1.0")
        assert place.record().sites == {"primary": "1.1.0", "secondary": "1.0.0"}
        faults.reset()
        assert place.record(OTHER) == everywhere("1.0.0")
        told = capsys.readouterr().err
        assert f"primary goes on without {OTHER}" in told
        assert "`lockstep settle` brings it up to date" in told

    def test_keeps_a_newer_record_than_the_one_that_was_read(self, place: Place) -> None:
        """A deployment that was killed would be forgotten, with what every other site had."""
        group = place.group()
        place.store.write(everywhere("1.0.0"))
        theirs = everywhere("1.0.0").settle("1.2.0", NOW, SITES).settle("1.0.0", NOW, SITES).settle("1.2.0", NOW, SITES)
        place.store.write(theirs, [OTHER])
        version = group.add_version("1.1.0")
        place.break_("refuse", region=OTHER, service="ssm")
        asked = count()

        def answers_the_second_time(service: str, region: str) -> Any:
            if (service, region) == ("ssm", OTHER) and next(asked) == 1:
                faults.reset()
            return place.aws(service, region)

        flaky = SiteHooks(configured("primary", "1.1.0"), answers_the_second_time, place.sleep)
        text = place.fails(lambda: flaky.after_template(version))
        assert "primary runs 1.1.0, but the record doesn't say so" in text
        assert "`lockstep settle`" in text
        assert place.record(OTHER) == theirs

    def test_has_a_record_of_the_same_epoch_that_is_heard_too(self, place: Place) -> None:
        """Sites that couldn't reach each other's region: one's update would be on no record any more."""
        group = place.group()
        for site, region in SITES.items():
            place.store.write(everywhere("1.0.0").settle("1.1.0", NOW, [site]), [region])
        place.hooks("1.2.0").after_template(group.add_version("1.2.0"))
        for region in SITES.values():
            assert place.record(region).sites == {"primary": "1.2.0", "secondary": "1.1.0"}

    def test_has_a_roll_of_the_same_epoch_that_was_broken_off(self, place: Place) -> None:
        """Nobody would ever settle it."""
        group = place.group()
        place.store.write(everywhere("1.0.0").settle("1.1.0", NOW, ["primary"]), [OWN])
        begun = InProgress(
            id="theirs",
            release_to="1.1.0",
            release_from="1.0.0",
            sites_from={"secondary": "1.0.0"},
            versions_from={"secondary": 1},
            started_at=NOW,
            holder="ann@host pid 7",
            stage=Stage.ROLLING,
        )
        place.store.write(everywhere("1.0.0").begin(begun), [OTHER])
        text = place.fails(lambda: place.hooks("1.2.0").after_template(group.add_version("1.2.0")))
        assert "ann@host pid 7" in text
        assert "lockstep settle" in text
        assert versions(place) == {1}


class WaitsError(Exception):
    """A hook would wait."""


class TestAtOnce:
    """`lockstep up`, or a merge, updates all sites side by side."""

    def test_sites_take_turns(self, place: Place) -> None:
        """The record has room for one: the second would take the first one's place in it, or be refused by it."""
        sites = {site: place.group(site) for site in SITES}
        place.store.write(everywhere("1.0.0"))
        version = {site: group.add_version("1.1.0") for site, group in sites.items()}[next(iter(SITES))]
        waited: list[str | None] = []

        def second() -> None:
            def sleep(_: float) -> None:
                raise WaitsError

            hooks_ = SiteHooks(configured("secondary", "1.1.0"), place.aws, sleep)
            with pytest.raises(WaitsError):
                hooks_.after_template(version)
            now = place.record().in_progress
            waited.append(next(iter(now.sites_from)) if now else None)

        place.while_asleep.append(second)
        place.hooks().after_template(version)
        assert waited
        assert set(waited) == {"primary"}
        assert versions(place, "secondary") == {1}
        place.while_asleep.clear()
        place.hooks(site="secondary").after_template(version)
        assert place.record().settled == "1.1.0"

    def test_every_site_is_rolled_and_on_record(self, place: Place) -> None:
        """Of two that read the same record each writes its own; the other one's site is forgotten."""
        sites = {site: place.group(site) for site in SITES}
        place.store.write(everywhere("1.0.0"))
        made = {site: group.add_version("1.1.0") for site, group in sites.items()}
        in_parallel({site: partial(place.hooks(site=site).after_template, made[site]) for site in SITES})
        assert all(place.facts(site).runs("1.1.0") for site in SITES)
        # Two rolls, one after the other, each of which begins and ends.
        assert place.record() == place.record(OTHER)
        assert place.record().epoch == everywhere("1.0.0").epoch + 4
        assert (place.record().settled, place.record().in_progress) == ("1.1.0", None)
        assert place.free()

    def test_every_new_site_is_on_record(self, place: Place) -> None:
        """A release that is missing from config would take the instances away of one that isn't."""
        for site in SITES:
            place.group(site, "1.1.0")
        in_parallel({site: place.hooks(site=site).after_group for site in SITES})
        for region in SITES.values():
            assert place.record(region).sites == dict.fromkeys(SITES, "1.1.0")
            assert place.record(region).settled == "1.1.0"

    def test_a_site_does_not_wait_for_ever(self, place: Place) -> None:
        """Somebody else's update may hang."""
        group = place.group()
        place.store.write(everywhere("1.0.0"))
        version, times = group.add_version("1.1.0"), count(step=hooks.TURN_SECONDS * 0.6)
        patient = SiteHooks(configured("primary", "1.1.0"), place.aws, lambda _: None, lambda: next(times))
        with Lease(place.aws, BUCKETS, Holder.this_process("pulumi up -s secondary (release 1.1.0)")).hold():
            text = place.fails(lambda: patient.after_template(version))
        assert "`pulumi up -s secondary (release 1.1.0)`" in text
        assert place.record() == everywhere("1.0.0")


def in_parallel(work: Mapping[str, Callable[[], None]]) -> None:
    """Run all of it at once; raises what fails."""
    together = threading.Barrier(len(work))

    def run(each: Callable[[], None]) -> None:
        together.wait(PATIENCE)
        each()

    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(run, each) for each in work.values()]:
            future.result()


class TestAgain:
    """The next `pulumi up` after one that failed: Pulumi sees no change, and calls nothing but `after_all`."""

    def test_rolls_what_was_not_rolled_as_somebody_was_at_work(self, place: Place) -> None:
        """It exited 0, and the site never got the new image."""
        version = machines(place, place.group())
        place.store.write(everywhere("1.0.0"))
        with Lease(place.aws, BUCKETS, Holder.this_process("lockstep deploy 2.0.0")).hold():
            text = place.fails(lambda: place.hooks("1.0.0").after_template(version))
        for words in ("another deployment is at work", "`lockstep deploy 2.0.0`", "run this again"):
            assert words in text
        assert versions(place) == {1}
        place.hooks("1.0.0").after_all()
        assert place.facts().runs("1.0.0")
        assert versions(place) == {version}

    @pytest.mark.parametrize(
        "fault",
        [
            {"service": "sts"},
            {"service": "s3", "region": OWN},
            {"service": "ssm", "region": OWN},
            {"service": "ssm", "region": OWN, "operation": "PutParameter"},
            {"service": "autoscaling", "region": OWN},
        ],
        ids=lambda fault: " ".join(fault.values()),
    )
    @pytest.mark.parametrize("kind", ["refuse", "deny"])
    def test_rolls_what_was_not_rolled_as_aws_did_not_answer(
        self, place: Place, kind: str, fault: dict[str, str]
    ) -> None:
        """As above; and what is shown has to be more than boto's words."""
        version = machines(place, place.group())
        place.store.write(everywhere("1.0.0"))
        place.break_(kind, **fault)
        text = place.fails(lambda: place.hooks("1.0.0").after_template(version))
        assert OWN in text
        assert "un this again" in text
        faults.reset()
        assert place.free()
        place.hooks("1.0.0").after_all()
        assert versions(place) == {version}
        assert place.record(OTHER) == place.record()
        assert place.record().in_progress is None

    def test_fails_again_with_the_reason_while_the_machines_are_bad(self, place: Place) -> None:
        """It exited 0; and the settled release was refused for what an instance type had done."""
        version = machines(place, place.group())
        place.store.write(everywhere("1.0.0"))
        place.world.bad.add(("primary", version))
        for run in (lambda: place.hooks("1.0.0").after_template(version), place.hooks("1.0.0").after_all):
            text = place.fails(run)
            assert "replaced as unhealthy" in text
            assert "lockstep:fleet" in text
            assert "into Pulumi.yaml" not in text
            assert versions(place) == {1}
            record = place.record()
            assert record.in_progress is None
            assert record.sites == dict.fromkeys(SITES, "1.0.0")
            fate = record.fate_of("1.0.0")
            assert fate is not None
            assert fate.fate is Fate.SETTLED
            assert what_stops(record, "primary", "1.0.0", None) is None
        place.world.bad.clear()
        place.hooks("1.0.0").after_all()
        assert versions(place) == {version}

    def test_does_nothing_once_the_change_was_taken_back(self, place: Place) -> None:
        """Each update would roll the fleet from one template to its like.

        Nor may the group have the new number: the next roll that is given up would replace every instance.
        """
        group = place.group()
        place.store.write(everywhere("1.0.0"))
        machines(place, group)
        back = group.add_version("1.0.0")
        place.hooks("1.0.0").after_template(back)
        place.while_asleep.append(lambda: pytest.fail("it rolls"))
        place.hooks("1.0.0").after_all()
        assert place.facts().version == 1
        assert versions(place) == {1}
        assert place.record() == everywhere("1.0.0")

    def test_rolls_what_was_left_of_two_versions(self, place: Place) -> None:
        """A refresh that somebody cancelled: the group's own template never changed."""
        group = place.group()
        place.store.write(everywhere("1.0.0"))
        version = group.add_version("1.1.0")
        half = {"CheckpointPercentages": [50, 100], "CheckpointDelay": 3600}
        group.refresh_to(version, **half)
        for _ in range(4):
            place.sleep(1)
        group.end_refresh()
        assert versions(place) == {1, version}
        place.hooks().after_all()
        assert versions(place) == {version}
        # And the other way, when the change is taken back.
        back = group.add_version("1.0.0")
        group.refresh_to(back, **half)
        for _ in range(4):
            place.sleep(1)
        group.end_refresh()
        assert versions(place) == {version, back}
        place.hooks().after_template(group.add_version("1.1.0"))
        assert place.facts().runs("1.1.0")

    def test_waits_for_a_site_that_never_served(self, place: Place) -> None:
        """The first `up` failed, its rerun had nothing to change and exited 0, and the site was on no record, so that
        a release missing from config took all instances away."""
        group = place.group(release="1.1.0")
        place.world.bad.add(("primary", 1))
        text = place.fails(lambda: stuck(place).after_group())
        assert "lockstep publish 1.1.0 DIR" in text
        assert place.store.read(OWN) is None
        assert "1.1.0 doesn't serve" in place.fails(lambda: stuck(place).after_all())
        place.world.bad.clear()
        stuck(place).after_all()
        assert place.record().sites == {"primary": "1.1.0", "secondary": None}
        assert place.record().settled is None
        assert len(group.members()) == 2

    def test_changes_nothing_if_all_is_well(self, place: Place) -> None:
        """Each `pulumi up` of each site would write the record, under the lease, for nothing."""
        place.group(release="1.1.0")
        place.store.write(everywhere("1.1.0"))
        for kind in ("PutParameter", "PutObject", "StartInstanceRefresh", "UpdateAutoScalingGroup"):
            place.break_("deny", operation=kind)
            place.hooks().after_all()
        assert place.record() == everywhere("1.1.0")

    def test_is_nothing_to_a_deployment_or_without_a_release_or_a_fleet(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deployment rolls all sites or none; and there may be nothing to look at yet."""
        place.hooks().after_all()
        group = place.group()
        version = group.add_version("1.1.0")
        place.hooks(None).after_all()
        monkeypatch.setenv("LOCKSTEP_DEPLOYMENT", "its-id")
        place.hooks().after_all()
        place.hooks().after_group()
        place.hooks().after_template(version)
        assert (place.facts().version, place.facts().refresh) == (1, None)
        assert place.store.read(OWN) is None


def machines(place: Place, group: SiteGroup) -> int:
    """A version of the template that changes only the instances' type."""
    ec2 = place.aws("ec2", group.region)
    found = ec2.describe_launch_template_versions(LaunchTemplateId=group.template, Versions=["1"])
    data = {**found["LaunchTemplateVersions"][0]["LaunchTemplateData"], "InstanceType": "t3.small"}
    ec2.create_launch_template_version(LaunchTemplateId=group.template, LaunchTemplateData=data)
    group.versions += 1
    return group.versions


def versions(place: Place, site: str = "primary") -> set[int]:
    """The versions of the template that the instances which stay were started from."""
    return {each.version for each in place.facts(site).instances if not each.is_leaving}


def stuck(place: Place) -> SiteHooks:
    """The hooks of a site whose balancer tells that none of its instances serves while the template is bad."""

    class Sick(SiteFleet):
        def facts(self) -> FleetFacts:
            found = super().facts()
            bad = {version for _, version in place.world.bad}
            return found.__class__(
                **{
                    **vars(found),
                    "instances": tuple(
                        each.__class__(**{**vars(each), "target_state": "unhealthy"}) if each.version in bad else each
                        for each in found.instances
                    ),
                }
            )

    made = place.hooks()
    made.__dict__["_fleet"] = Sick(place.aws, "orders", "primary", OWN)
    return made


def test_a_group_without_instances_is_pointed_at_the_new_version(place: Place) -> None:
    """Its first instances would be of the release before."""
    group = place.group(instances=0)
    version = group.add_version("1.1.0")
    place.hooks().after_template(version)
    assert (place.facts().version, place.facts().refresh) == (version, None)


def test_instances_on_their_way_out_are_not_rolled(place: Place) -> None:
    """After a first deployment that was undone they stay until the balancer has let go of them: minutes. The next
    attempt launched the refused release."""
    group = place.group()
    version = group.add_version("1.1.0")
    place.world.drains = True
    group.update(MinSize=0, DesiredCapacity=0)
    place.sleep(1)
    assert len(group.members()) == 2
    place.hooks().after_template(version)
    assert (place.facts().version, place.facts().refresh) == (version, None)
