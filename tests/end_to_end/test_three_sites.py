"""A third site joins two that serve, as docs/third-site.md has it; a region is lost and comes back; all goes down.

The real CLI, engine, checkers, alarms and name server.
"""

import json
from typing import Any

import pytest

from tests.end_to_end.releases import GOOD, RPMS, Serving, ask, is_clean
from tests.end_to_end.shell import Shell, inventory

pytestmark = pytest.mark.engine

REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1", "tertiary": "eu-west-3"}
SITES = frozenset(REGIONS)
# Without one of three equal sites by chance: twice in a million.
QUESTIONS = 36
# A look takes a second or more; a loss is noticed within a minute of AWS's, ten seconds here.
LOOKS = 60
URL = "http://orders.example.com/healthz"


def answered(shell: Shell) -> frozenset[str]:
    """The sites that the application's name leads to at this moment."""
    # It fails if one of the requests does, as those to a lost region do.
    asked = shell(f"lockstep sandbox request {URL} -n {QUESTIONS} --json", expect=None)
    requests = json.loads(asked.stdout)["requests"]
    return frozenset(name.partition(".")[0] for request in requests for name in request["names"][1:2])


def wait_for(shell: Shell, sites: frozenset[str]) -> None:
    """Ask until the name leads to `sites` and no other."""
    found: list[frozenset[str]] = []
    for _ in range(LOOKS):
        found.append(answered(shell))
        if found[-1] == sites:
            return
    pytest.fail(f"the name never led to {sorted(sites)}: {[sorted(each) for each in found[-5:]]}")


def join(shell: Shell, release: str) -> None:
    """The steps of docs/third-site.md."""
    shell.edit("Pulumi.yaml", "default: [primary, secondary]", "default: [primary, secondary, tertiary]")
    shell("pulumi stack init tertiary")
    shell(f"pulumi config set lockstep:region {REGIONS['tertiary']} -s tertiary")
    shell("pulumi config set lockstep:cidr 10.30.0.0/16 -s tertiary")
    shell('pulumi config set lockstep:release "" -s tertiary')
    shell("pulumi up --yes -s tertiary")
    shell(f"lockstep publish {release} {RPMS / release} --yes")
    shell("pulumi config rm lockstep:release -s tertiary")
    shell("lockstep up --yes")
    shell(delete_alarm(REGIONS["primary"], "lockstep-orders-drain-secondary"))


def delete_alarm(region: str, name: str) -> str:
    """As `aws cloudwatch delete-alarms`; fails unless there is one of that name."""
    client = f"c = boto3.client('cloudwatch', region_name='{region}')"
    found = f"c.describe_alarms(AlarmNames=['{name}'])['MetricAlarms']"
    return f"python -c \"import boto3; {client}; assert {found}; c.delete_alarms(AlarmNames=['{name}'])\""


def status(shell: Shell, expect: int) -> dict[str, Any]:
    """What `lockstep status` says."""
    found: dict[str, Any] = shell.json("lockstep status --json", expect=expect)
    return found


def test_a_third_site_joins_and_a_region_is_lost(shell: Shell) -> None:
    """Everything that knows of two sites only would break here, on the day of the third or of the loss."""
    Serving.bring_up(shell)
    join(shell, GOOD[0])
    assert is_clean(shell)
    for stack in (*REGIONS, "global"):
        # The first one may find that fleets were rolled, which plans leave alone.
        shell(f"pulumi refresh --yes -s {stack}")
        shell(f"pulumi refresh --yes -s {stack} --expect-no-changes")
    assert is_clean(shell)
    assert status(shell, 0)["problems"] == []
    wait_for(shell, SITES)

    shell(f"lockstep publish {GOOD[1]} {RPMS / GOOD[1]} --yes")
    deployed = shell.json(f"lockstep deploy {GOOD[1]} --yes --json")["sites"]
    assert {name: site["releaseRunning"] for name, site in deployed.items()} == dict.fromkeys(REGIONS, GOOD[1])
    assert {site: ask(shell, site)[1]["version"] for site in REGIONS} == dict.fromkeys(REGIONS, GOOD[1])
    assert is_clean(shell)

    # The switch that has moved works where it is now.
    drained = shell.json("lockstep drain secondary --yes --json")
    assert drained["switch"] == {"region": REGIONS["tertiary"], "state": "ALARM"}
    assert answered(shell) == SITES - {"secondary"}
    shell("lockstep undrain secondary --yes")
    wait_for(shell, SITES)

    shell(f"lockstep sandbox break {REGIONS['secondary']}")
    wait_for(shell, SITES - {"secondary"})
    lost = status(shell, 10)
    assert {name: site["reachable"] for name, site in lost["sites"].items()} == {
        "primary": True,
        "secondary": False,
        "tertiary": True,
    }
    assert any(problem.startswith("secondary: nothing is known of it") for problem in lost["problems"])
    assert not any(problem.startswith(("primary: ", "tertiary: ")) for problem in lost["problems"]), lost["problems"]

    shell("lockstep sandbox heal")
    wait_for(shell, SITES)
    assert status(shell, 0)["problems"] == []
    assert is_clean(shell)

    shell.edit("Pulumi.yaml", "default: true\n", "default: false\n")
    shell("lockstep up --yes")
    for stack in ("global", *REGIONS):
        shell(f"pulumi destroy --yes -s {stack}")
    assert {kind: count for kind, count in inventory(shell).items() if count} == {}
