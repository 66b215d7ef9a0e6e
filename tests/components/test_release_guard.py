"""What rolls a site's fleet from its program: when it is asked, and what its failure does to the update."""

import asyncio
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import release_guard
from lockstep import config
from lockstep.config import Config, stack_files
from lockstep.deployment.hooks import HookFailedError
from tests.components.recording import Recording, run
from tests.conftest import ROOT
from tests.test_program import SITES, bring_up, set_default


def configured(release: str | None) -> Config:
    """The committed configuration, as stack primary reads it, with `release`."""
    loaded = config.load(ROOT, "primary")
    return loaded.model_copy(
        update={"sites": tuple(each.model_copy(update={"release": release}) for each in loaded.sites)}
    )


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKSTEP_DEPLOYMENT", raising=False)


def look(
    release: str | None, *, deployment: str | None = None, preview: bool = False, fails: Exception | None = None
) -> list[str]:
    """What is asked of the fleet at the end of a program that declares one."""

    async def program() -> None:
        group = pulumi.Output.from_input("orders-primary-group")
        await release_guard.see_that_it_runs(configured(release), group, deployment)

    return run(program, preview=preview, recording=Recording(roll_fails=fails)).rolls


def test_each_update_ends_with_a_look_at_the_fleet() -> None:
    """What an earlier update's hooks couldn't do, no later one would: Pulumi sees no change."""
    assert len(look("1.1.0")) == 1


def test_everything_is_as_declared_by_then(tmp_path: Path) -> None:
    """The fleet would be looked at, and rolled, while its group is still the one of before."""
    for name in stack_files(SITES):
        shutil.copy(ROOT / name, tmp_path / name)
    set_default(tmp_path, "release", "1.1.0")
    recording = bring_up("primary", tmp_path)
    assert recording.rolls == [f"after all {len(recording.managed)}"]
    assert bring_up("global", tmp_path).rolls == []


@pytest.mark.parametrize(
    ("release", "how"),
    [("1.1.0", {"preview": True}), ("1.1.0", {"deployment": "its-id"}), (None, {})],
    ids=["a preview", "a deployment", "no release"],
)
def test_nothing_is_asked_of_the_fleet_in(release: str | None, how: dict[str, Any]) -> None:
    """A preview would roll it; and a deployment rolls all of them, or none."""
    assert look(release, **how) == []


def test_a_fleet_that_cannot_be_brought_there_fails_the_update_with_the_reason() -> None:
    """Otherwise it exits 0, and nobody looks."""
    with pytest.raises(pulumi.RunError, match="primary: it answers 503"):
        look("1.1.0", fails=HookFailedError("primary: it answers 503"))


@dataclass
class Asked:
    """Keeps what hooks ask, and in which thread."""

    calls: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def after_template(self, version: int) -> None:
        self._keep(f"template {version}")

    def after_group(self) -> None:
        self._keep("group")

    def _keep(self, call: str) -> None:
        self.calls.append(call)
        self.threads.append(threading.current_thread())


def call(hook: pulumi.ResourceHook, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """Run `hook` as the engine does after an update from `before` to `now`."""
    args = pulumi.ResourceHookArgs(urn="urn", id="id", name="name", type="type", old_outputs=before, new_outputs=now)

    async def ended() -> None:
        result = hook.callback(args)
        assert result is not None
        await result

    asyncio.run(ended())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    kept = Asked()
    monkeypatch.setattr(release_guard, "site_hooks", lambda _: kept)
    return kept


def hooks() -> dict[str, pulumi.ResourceHook]:
    """Those of a program, made while the engine's callbacks are there."""
    made: dict[str, pulumi.ResourceHook] = {}

    def program() -> None:
        made["template"] = release_guard.roll_hook(configured("1.1.0"))
        made["group"] = release_guard.wait_hook(configured("1.1.0"))

    run(program)
    return made


def test_a_new_version_of_the_template_is_rolled(asked: Asked) -> None:
    """With another one than the newest the site would serve what it did."""
    same = {"vpcSecurityGroupIds": ["sg-1"]}
    call(hooks()["template"], {**same, "latestVersion": 6}, {**same, "latestVersion": 7})
    assert asked.calls == ["template 7"]


def test_a_template_of_another_network_is_left_to_the_group_that_starts_there(asked: Asked) -> None:
    """The old group can't launch it: its subnets are of the network before."""
    before = {"vpcSecurityGroupIds": ["sg-1"], "latestVersion": 6}
    call(hooks()["template"], before, {"vpcSecurityGroupIds": ["sg-2"], "latestVersion": 7})
    assert asked.calls == []


def test_a_group_is_waited_for(asked: Asked) -> None:
    """An update that exits 0 while its instances fail to start."""
    call(hooks()["group"], None, {"name": "orders-primary-group"})
    assert asked.calls == ["group"]


def test_the_program_answers_the_engine_while_a_hook_runs(asked: Asked) -> None:
    """A roll takes minutes, and the other resources would wait for it."""
    call(hooks()["group"], None, {})
    assert asked.threads != [threading.main_thread()]
