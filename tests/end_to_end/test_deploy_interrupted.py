"""A deployment that is told to stop, at every stage: by Ctrl-C, or by a CI system that ends its job."""

import random

import pytest

from tests.campaigns.record import tree_hash
from tests.end_to_end.releases import FAILING, Serving, both, in_wanted, is_clean, versions_at
from tests.end_to_end.shell import Shell

pytestmark = pytest.mark.engine

# One of them each time: they take a minute.
MOMENTS = (("preview primary: ", "INT"), ("prepare primary: ", "TERM"), ("1 of 2 instances serve ", "INT"))


def interrupt(shell: Shell, release: str, when: str, *signals: str) -> tuple[int, str]:
    """Deploy `release`, and send `signals` once it has said `when`; returns its exit code and what it said."""
    sent = "\n".join(f"kill -{each} $pid; sleep 0.3" for each in signals)
    done = shell(
        f"""rm -f said
        lockstep deploy {release} --yes 2>said & pid=$!
        until grep -qs "{when}" said; do kill -0 $pid || break; sleep 0.05; done
        {sent}
        wait $pid; code=$?
        cat said >&2; exit $code""",
        expect=None,
    )
    return done.returncode, done.stderr


def test_a_deployment_that_is_told_to_stop_goes_back(serving: Serving) -> None:
    """Nobody who stops it wants half a release, or a release refused that nothing was wrong with."""
    shell, release = serving.shell, serving.following
    when, signal = random.Random(tree_hash()).choice(MOMENTS)
    code, said = interrupt(shell, release, when, signal)
    assert code == 130, said
    assert f"{release} is undone, every site serves {serving.now}" in said
    assert versions_at(shell) == both(serving.now)
    assert in_wanted(shell) == serving.now
    assert shell.json("lockstep status --json")["verdict"] == "ok"
    # On its way back already, because the release is bad, it goes on, and ends as it would have.
    code, said = interrupt(shell, FAILING, "can't be deployed", "INT")
    assert code == 5, said
    # Told twice, it ends at once, and says who goes on.
    code, said = interrupt(shell, release, f"1 of 2 instances serve {release}", "INT", "INT")
    assert code == 130, said
    assert "lockstep settle" in said
    assert shell.json("lockstep settle --yes --json")["result"] == "undone"
    assert versions_at(shell) == both(serving.now)
    assert is_clean(shell)
