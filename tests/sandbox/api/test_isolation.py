"""One object that nothing can be done with keeps no other from its turn."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.api import (
    autoscaling_members,
    balancers,
    data_plane,
    elbv2_draining,
    images,
    instance_refresh,
    machines,
)
from sandbox.api.backend_lock import backend_lock
from tests.sandbox.api.test_autoscaling import Site as Fleet
from tests.sandbox.api.test_elbv2_rules import Site as Front


@pytest.fixture
def locked() -> Iterator[None]:
    """As in a worker's turn; nothing else of the API is asked meanwhile."""
    with backend_lock:
        yield


class Dealt:
    """Stands for what is done with an object: fails with the first one, and notes the others."""

    def __init__(self, name_of: Callable[..., str]) -> None:
        self._name_of = name_of
        self.bad = ""
        self.others: list[str] = []

    def __call__(self, *arguments: Any) -> None:
        name = self._name_of(*arguments)
        self.bad = self.bad or name
        if name == self.bad:
            raise ValueError(f"{name} is bad")
        self.others.append(name)


def take_turns(turn: Callable[[], None], dealt: Dealt, capfd: pytest.CaptureFixture[str]) -> None:
    """Two turns: the good one of two objects has its turn in each, and the log has the error once."""
    with backend_lock:
        turn()
        turn()
    assert len(dealt.others) == 2
    assert len(set(dealt.others)) == 1
    assert capfd.readouterr().err.count(f"failed: ValueError: {dealt.bad} is bad") == 1


def two_groups(aws: Any) -> Fleet:
    """Groups `fleet` and `other`."""
    fleet = Fleet(aws)
    fleet.create()
    fleet.asg.create_auto_scaling_group(
        AutoScalingGroupName="other",
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": fleet.template},
        VPCZoneIdentifier=fleet.subnets[0],
    )
    return fleet


def test_groups(aws: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A group that can't be settled would leave those of every region without replacements."""
    two_groups(aws)
    dealt = Dealt(lambda group: str(group.name))
    monkeypatch.setattr(autoscaling_members, "settle", dealt)
    take_turns(data_plane._settle_groups, dealt, capfd)


def test_instance_refreshes(aws: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A deployment that can't go on would stop the other site's."""
    fleet = two_groups(aws)
    for name in ("fleet", "other"):
        fleet.asg.start_instance_refresh(AutoScalingGroupName=name)
    dealt = Dealt(lambda group, _refresh: str(group.name))
    monkeypatch.setattr(instance_refresh, "move", dealt)
    take_turns(instance_refresh.turn, dealt, capfd)


def test_balancers(aws: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A balancer that can't be configured would leave all others with the targets that they had."""
    fronts = [Front(aws), Front(aws, block=2)]
    dealt = Dealt(lambda _running, _backend, balancer: str(balancer.name))
    monkeypatch.setattr(balancers, "_configure", dealt)
    take_turns(balancers.turn, dealt, capfd)
    for each in fronts:
        each.elb.delete_load_balancer(LoadBalancerArn=each.balancer)
    with backend_lock:
        balancers.turn()
    assert balancers.addresses_by_name() == {}


def test_machines(aws: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """An instance that no machine can be made for would keep every other one from booting."""
    image = images.image_id("eu-west-1", images.releases()[-1].image_name("x86_64"))
    aws("ec2").run_instances(ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=2)
    dealt = Dealt(lambda instance: str(instance.id))
    monkeypatch.setattr(machines, "_start", dealt)
    take_turns(machines.turn, dealt, capfd)


@pytest.mark.usefixtures("locked")
def test_targets_that_drain(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A target group that isn't whole would keep those of the others draining for ever."""
    monkeypatch.setattr(elbv2_draining, "_draining", {})
    instances = SimpleNamespace(get_instance_by_id=lambda target_id: SimpleNamespace(id=target_id))
    groups = {}
    for arn, attributes in (("bad", {}), ("good", {elbv2_draining.DELAY: "0"})):
        group = SimpleNamespace(arn=arn, target_type="instance", ec2_backend=instances, attributes=attributes)
        elbv2_draining.begin(group, [{"Id": "i-1", "Port": 80}])
        groups[arn] = group
    for _ in range(2):
        elbv2_draining.settle(groups, set(groups))
    assert {arn: list(elbv2_draining.shown(arn)) for arn in groups} == {"bad": ["i-1"], "good": []}
    assert capfd.readouterr().err.count("draining of bad failed: KeyError") == 1
