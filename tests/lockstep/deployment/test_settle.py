"""What `settle` makes of what was broken off: the sandbox's fleets and records; of Pulumi only what is asked of it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockstep import config, release_setting
from lockstep.automation import OperationReport, StackOperations
from lockstep.config import stack_files
from lockstep.deployment.context import Context
from lockstep.deployment.settle import Settled, settle
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage
from lockstep.errors import RegionUnreachableError
from lockstep.lease import LeaseLostError
from lockstep.project import GLOBAL_STACK
from lockstep.site_probe import PROXY_VARIABLE
from sandbox.api import faults
from tests.conftest import ROOT
from tests.lockstep.site_fleets import SITES, Names, answering_names, make_group

NOW = "2026-01-01T00:00:00Z"
OWN, OTHER = SITES.values()
Aws = Callable[..., Any]


class Stacks(StackOperations):
    """Stacks that nothing is left of to settle, and whose updates change nothing."""

    def __init__(self) -> None:
        super().__init__(ROOT, lambda *_: None)
        self.updated: list[str] = []

    def export(self, name: str) -> dict[str, Any]:
        return {}

    def up(self, name: str, *_: Any, **__: Any) -> OperationReport:
        self.updated.append(name)
        return OperationReport(name)


@dataclass
class Left:
    """Two sites that run 1.0.0, and what somebody has left of an update."""

    aws: Aws
    project: Path
    names: Names
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stacks = Stacks()
        self.context = Context(self.project, config.load(self.project, GLOBAL_STACK), self.stacks, self.aws)
        self.groups = {site: make_group(self.aws, site) for site in SITES}

    def settle(self, check: Callable[[], None] = lambda: None) -> Settled:
        return settle(self.context, lambda site, text: self.said.append(f"{site}: {text}"), check)

    def begin(self, *sites: str, release: str = "1.0.0") -> DeploymentRecord:
        """On record, a roll of `sites` from 0.9.0 to `release`."""
        begun = InProgress(
            id="its-id",
            release_to=release,
            release_from="0.9.0",
            sites_from=dict.fromkeys(sites, "0.9.0"),
            versions_from=dict.fromkeys(sites, 1),
            started_at=NOW,
            holder="ann@host pid 7",
            stage=Stage.ROLLING,
        )
        record = DeploymentRecord().settle("0.9.0", NOW, SITES).begin(begun)
        self.context.store.write(record)
        return record

    def record(self, region: str = OWN) -> DeploymentRecord:
        found = self.context.store.read(region)
        assert found is not None
        return found


@pytest.fixture
def left(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Left]:
    for name in stack_files(SITES):
        shutil.copy(ROOT / name, tmp_path / name)
    with answering_names() as names:
        monkeypatch.setenv(PROXY_VARIABLE, names.url)
        names.releases = {site: ["1.0.0"] for site in SITES}
        yield Left(aws, tmp_path, names)
    faults.reset()


def test_what_was_only_not_written_down_is_finished(left: Left) -> None:
    """Every site would be rolled back from a release that it serves."""
    left.begin(*SITES)
    assert left.settle() == Settled("finished", "1.0.0")
    assert set(left.stacks.updated) == {*SITES, GLOBAL_STACK}
    assert release_setting.read(left.project) == "1.0.0"
    for region in SITES.values():
        assert (left.record(region).settled, left.record(region).in_progress) == ("1.0.0", None)


def test_only_the_stacks_that_it_is_about_are_updated(left: Left) -> None:
    """The template of another site would change, and nothing would roll it."""
    left.begin("secondary")
    assert left.settle() == Settled("finished", "1.0.0")
    assert left.stacks.updated == ["secondary"]
    assert left.record().sites == {"primary": "0.9.0", "secondary": "1.0.0"}
    assert left.record().settled == "0.9.0"


def test_a_site_whose_newest_machines_it_does_not_have_is_not_finished(left: Left) -> None:
    """An image that was to replace a broken one would be on record as rolled; nobody would try it again."""
    left.begin("primary")
    group = left.groups["primary"]
    data = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.small"}
    left.aws("ec2", OWN).create_launch_template_version(LaunchTemplateId=group.template, LaunchTemplateData=data)
    fleet = left.context.fleets["primary"]
    assert fleet.facts().runs("1.0.0")
    # What it returns to is what it runs: nothing is rolled.
    record = left.record()
    assert record.in_progress is not None
    begun = record.in_progress.model_copy(update={"release_from": "1.0.0", "sites_from": {"primary": "1.0.0"}})
    left.context.store.write(record.begin(begun))
    assert left.settle() == Settled("undone", "1.0.0")


def test_records_of_the_same_epoch_are_brought_together_in_every_region(left: Left) -> None:
    """Each region would keep its own, and `settle` fail each time, as neither is newer."""
    before = DeploymentRecord().settle("0.9.0", NOW, SITES)
    for site, region in SITES.items():
        left.context.store.write(before.settle("1.0.0", NOW, [site]), [region])
    assert left.settle().what == "records"
    assert left.record(OWN) == left.record(OTHER)
    assert left.record().epoch == before.epoch + 2
    assert left.record().settled == "1.0.0"
    assert left.settle() == Settled("nothing", "1.0.0")
    assert left.stacks.updated == []


def test_nothing_is_settled_while_a_region_cannot_be_asked(left: Left) -> None:
    """It may have the newest record, and the others' would take its place."""
    left.begin("primary")
    faults._replace([{"kind": "refuse", "region": OTHER, "service": "ssm"}])
    with pytest.raises(RegionUnreachableError, match=OTHER):
        left.settle()
    assert left.record().in_progress is not None


@pytest.mark.parametrize("time", [0, 1, 2])
def test_without_its_lease_it_changes_nothing_more(left: Left, time: int) -> None:
    """Whoever has the lease settles too."""
    begun, times = left.begin("primary"), iter(range(9))

    def lost_by_then() -> None:
        if next(times) == time:
            raise LeaseLostError("the lease is somebody else's now")

    if time < 2:
        with pytest.raises(LeaseLostError):
            left.settle(lost_by_then)
        assert left.stacks.updated == []
        assert release_setting.read(left.project) != "1.0.0"
    else:
        with pytest.raises(LeaseLostError):
            left.settle(lost_by_then)
        assert left.stacks.updated == ["primary"]
    assert left.record() == begun
