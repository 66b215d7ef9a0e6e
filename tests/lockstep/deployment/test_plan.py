"""What a deployment would do."""

import pytest

from lockstep.deployment.plan import plan_deployment, refuse_stale
from lockstep.deployment_record import DeploymentRecord, InProgress, Stage
from lockstep.errors import RefusedError, UsageError
from lockstep.fleet import FleetFacts
from tests.lockstep.deployment.facts import AFTER, BEFORE, NEW, facts, instance

EMPTY = facts(desired=0)
NOW = "2026-01-01T00:00:00Z"


def settled(*releases: str) -> DeploymentRecord:
    """A record after each of `releases` was settled in turn."""
    record = DeploymentRecord()
    for release in releases:
        record = record.settle(release, NOW, ("primary", "secondary"))
    return record


def deployment(release: str) -> InProgress:
    return InProgress(
        id="1",
        release_to=release,
        release_from="1.0.0",
        sites_from={"primary": "1.0.0", "secondary": "1.0.0"},
        versions_from={"primary": 1, "secondary": 1},
        started_at=NOW,
        holder="me",
        stage=Stage.ROLLING,
    )


def test_every_site_returns_to_what_it_has() -> None:
    """Otherwise undoing puts both sites on one site's release."""
    mixed = {"primary": BEFORE, "secondary": AFTER}
    plan = plan_deployment("1.2.0", "1.1.0", mixed, settled("1.0.0"))
    assert {site: (start.release, start.version) for site, start in plan.before.items()} == {
        "primary": ("1.0.0", 1),
        "secondary": ("1.1.0", NEW),
    }
    assert plan.release_before == "1.0.0"


def test_a_site_in_the_middle_of_a_roll_returns_to_the_record() -> None:
    """Its instances run two releases; one of them was never proved."""
    broken_off = facts(instance(1), instance(3, NEW))
    plan = plan_deployment("1.2.0", None, {"primary": broken_off, "secondary": BEFORE}, settled("1.0.0"))
    assert plan.before["primary"].release == "1.0.0"


def test_the_canary_is_where_instances_are_replaced() -> None:
    """A site without instances has none to lose, and none to compare with."""
    plan = plan_deployment("1.1.0", None, {"primary": EMPTY, "secondary": BEFORE}, None)
    assert plan.canary == "secondary"
    assert plan_deployment("1.0.0", None, {"primary": EMPTY, "secondary": EMPTY}, None).canary is None


def test_nothing_is_done_only_if_sites_record_and_config_agree() -> None:
    """Otherwise a second `deploy` rolls everything again, or leaves config behind."""
    both = {"primary": AFTER, "secondary": AFTER}
    assert plan_deployment("1.1.0", "1.1.0", both, settled("1.1.0")).done
    assert not plan_deployment("1.1.0", "1.0.0", both, settled("1.1.0")).done
    assert not plan_deployment("1.1.0", "1.1.0", both, settled("1.0.0")).done
    assert not plan_deployment("1.1.0", "1.1.0", both, settled("1.1.0").begin(deployment("1.1.0"))).done
    assert not plan_deployment("1.1.0", "1.1.0", {**both, "secondary": BEFORE}, settled("1.1.0")).done


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (
            {"primary": BEFORE, "secondary": BEFORE},
            ("primary (eu-west-1): 1.0.0 -> 1.1.0, first one instance for 60 s",),
        ),
        ({"primary": EMPTY, "secondary": EMPTY}, ("secondary (eu-central-1): nothing -> 1.1.0", "every site returns")),
    ],
)
def test_the_plan_says_what_happens_to_each_site(each: dict[str, FleetFacts], words: tuple[str, ...]) -> None:
    """Nobody can agree to what isn't said."""
    plan = plan_deployment("1.1.0", None, each, None)
    text = "\n".join(plan.lines({"primary": "eu-west-1", "secondary": "eu-central-1"}, 60))
    for word in words:
        assert word in text


def test_a_stale_checkout_is_refused_unless_the_release_is_named() -> None:
    """A checkout that is a day old must not undo a deployment."""
    record = settled("1.0.0", "1.1.0")
    with pytest.raises(RefusedError, match=r"1\.1\.0"):
        refuse_stale(None, "1.0.0", record)
    assert refuse_stale("1.0.0", "1.0.0", record) == "1.0.0"
    assert refuse_stale(None, "1.2.0", record) == "1.2.0"
    assert refuse_stale(None, "1.1.0", record) == "1.1.0"


def test_going_back_is_no_reason_to_refuse_the_release_that_is_settled_now() -> None:
    """After `deploy 1.0.0` the older release is what is wanted, and the newer one is behind."""
    record = settled("1.0.0", "1.1.0", "1.0.0")
    assert refuse_stale(None, "1.0.0", record) == "1.0.0"
    with pytest.raises(RefusedError):
        refuse_stale(None, "1.1.0", record)


def test_a_release_that_was_rolled_back_has_to_be_named() -> None:
    """A merge that repeats it would break production a second time."""
    tried = settled("1.0.0").begin(deployment("1.1.0")).undo("health checks failed", blames=True).undone(NOW)
    with pytest.raises(RefusedError, match="health checks failed"):
        refuse_stale(None, "1.1.0", tried)
    assert refuse_stale("1.1.0", "1.1.0", tried) == "1.1.0"


def test_without_any_release_there_is_nothing_to_deploy() -> None:
    """An empty string would become part of an object's key."""
    with pytest.raises(UsageError):
        refuse_stale(None, None, None)
