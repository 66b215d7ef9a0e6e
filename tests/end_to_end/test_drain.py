"""A site is drained and comes back: the real CLI, engine, alarms, checkers and name server."""

from typing import Any

import pytest

from tests.end_to_end.releases import REGIONS, Serving, is_clean
from tests.end_to_end.shell import Shell

pytestmark = pytest.mark.engine

QUESTIONS = 24
# A look takes a second or more, and an alarm that gets no data says so after three minutes, half a minute here.
LOOKS = 120
URL = "http://orders.example.com/healthz"


def served(shell: Shell) -> set[str]:
    """The sites that the application's name leads to, asked often enough to meet both."""
    requests = shell.json(f"lockstep sandbox request {URL} -n {QUESTIONS} --json")["requests"]
    return {name.partition(".")[0] for request in requests for name in request["names"][1:2]}


def site(shell: Shell, name: str, expect: int) -> dict[str, Any]:
    """What `lockstep status` says of a site."""
    found: dict[str, Any] = shell.json("lockstep status --json", expect=expect)["sites"][name]
    return found


def test_a_site_is_drained_and_comes_back(serving: Serving) -> None:
    """As an operator does it: traffic goes and comes by two commands, and no plan is disturbed by either."""
    shell = serving.shell
    assert is_clean(shell)
    assert served(shell) == {"primary", "secondary"}
    refused = shell("lockstep drain primary", expect=4)
    assert "lockstep undrain primary" in refused.stderr

    drained = shell.json("lockstep drain primary --yes --json")
    assert (drained["result"], drained["drained"], drained["dns_followed"]) == ("drained", ["primary"], True)
    assert drained["switch"] == {"region": REGIONS["secondary"], "state": "ALARM"}
    assert served(shell) == {"secondary"}
    found = site(shell, "primary", 10)
    assert (found["drained"], found["switch"]["drained"]) == (True, True)
    assert "secondary is the last site" in shell("lockstep drain secondary --yes", expect=4).stderr
    assert is_clean(shell)

    # Without data the switch holds: nothing has to be written for as long as a site is drained.
    silent = any(site(shell, "primary", 10)["switch"]["state"] == "INSUFFICIENT_DATA" for _ in range(LOOKS))
    assert silent
    assert served(shell) == {"secondary"}

    back = shell.json("lockstep undrain primary --yes --json")
    assert (back["result"], back["drained"], back["dns_followed"]) == ("in service", [], True)
    assert served(shell) == {"primary", "secondary"}
    assert shell.json("lockstep status --json")["problems"] == []
    assert is_clean(shell)
