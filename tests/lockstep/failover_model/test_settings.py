"""Which settings there are, and which Route 53 doesn't have."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep import config
from lockstep.config import RecordType
from lockstep.errors import ExitCode, InvalidInputError
from lockstep.failover_model import Fault, of_config, shares
from lockstep.project import GLOBAL_STACK
from tests.lockstep.failover_model.facts import settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("checkers", "needed"), [(1, 1), (3, 3), (5, 5), (6, 5), (15, 13), (16, 14), (24, 20), (50, 41), (100, 82)]
)
def test_a_site_is_down_when_18_percent_of_the_checkers_or_fewer_see_it_well(checkers: int, needed: int) -> None:
    """One checker more or less moves every figure; at 50 and 100 the share is met exactly, which isn't more than it."""
    found = settings(checkers=checkers).reds_needed
    assert found == needed
    greens = checkers - found
    assert greens * 100 <= 18 * checkers < (greens + 1) * 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interval", 20),
        ("interval", 5),
        ("threshold", 0),
        ("threshold", 11),
        ("ttl", -1),
        ("ttl", 172_801),
        ("checkers", 0),
        ("checkers", 201),
        ("push", -0.1),
        ("push", math.nan),
        ("push", math.inf),
        ("share", 1.1),
        ("stale_share", -0.1),
        ("stale_seconds", -1),
    ],
)
def test_what_route_53_doesnt_have_is_refused_by_name(name: str, value: Any) -> None:
    """A figure for settings that can't be made would be promised to somebody."""
    with pytest.raises(InvalidInputError, match=f"{name.replace('_', ' ')} is {value}") as caught:
        settings(**{name: value})
    assert caught.value.exit_code == ExitCode.INVALID


def test_all_that_is_wrong_is_told_at_once() -> None:
    """One at a time takes as many runs as there are mistakes."""
    with pytest.raises(InvalidInputError, match=r"interval is 7.*threshold is 99.*share is 2"):
        settings(interval=7, threshold=99, share=2)


def test_the_projects_settings_are_its_configuration() -> None:
    """A prediction for other settings than those in use is worse than none."""
    found = config.load(ROOT, GLOBAL_STACK)
    changed = found.model_copy(
        update={"ttl": 17, "health_check": found.health_check.model_copy(update={"interval": 30, "threshold": 5})}
    )
    ours = of_config(changed, Fault.HANGS)
    assert (ours.interval, ours.threshold, ours.ttl, ours.fault, ours.share) == (30, 5, 17, Fault.HANGS, 1.0)


def test_an_alias_has_the_ttl_of_its_balancer() -> None:
    """`lockstep:ttl` has no effect on an alias: to count on it would promise half a minute too little."""
    found = config.load(ROOT, GLOBAL_STACK).model_copy(update={"record_type": RecordType.ALIAS, "ttl": 10})
    assert of_config(found, Fault.REFUSES).ttl == 60


def test_shares_follow_the_weights() -> None:
    """What a loss costs is in proportion to what the site had."""
    found = config.load(ROOT, GLOBAL_STACK)
    first, second = found.sites
    weighted = found.model_copy(
        update={"sites": (first.model_copy(update={"weight": 60}), second.model_copy(update={"weight": 40}))}
    )
    assert shares(weighted) == {first.name: 0.6, second.name: 0.4}
    alone = found.model_copy(update={"sites": (first, second.model_copy(update={"weight": 0}))})
    assert shares(alone) == {first.name: 1.0, second.name: 0.0}


def test_the_model_needs_neither_aws_nor_the_sandbox() -> None:
    """The sandbox is held against it: one that knew the other would agree with itself."""
    script = (
        "import sys, lockstep.commands.model, lockstep.failover_model\n"
        "found = {n.split('.')[0] for n in sys.modules} & {'sandbox', 'boto3', 'botocore', 'pulumi', 'moto'}\n"
        "sys.exit(f'loaded: {sorted(found)}' if found else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    sources = list((ROOT / "sandbox").rglob("*.py"))
    assert sources
    assert [str(path) for path in sources if "failover_model" in path.read_text()] == []
