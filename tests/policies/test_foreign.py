"""The pack on a plain program that knows nothing of Lockstep, as the SDK would register it in a first preview."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.policies.capture import capture
from tests.policies.harness import Report, analyze

# pulumi_aws warns about its own deprecated resources when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")

PROGRAM = Path(__file__).parents[1] / "end_to_end" / "foreign"


def report(without: str) -> Report:
    program = capture(PROGRAM, "foreign", {"without": without})
    assert len(program.resources) > 12
    return analyze(program)


def test_a_plain_program_passes_its_first_preview() -> None:
    """Otherwise nobody outside of this project could use the pack."""
    found = report("")
    assert found.rules(mandatory=True) == [], found.text
    assert found.not_applicable == ["sites-run-one-release", "sites-keep-to-their-region"]


@pytest.mark.parametrize(
    ("without", "rule", "resource", "remedy"),
    [
        ("health-check", "traffic/health-check", "shop-eu-central-1", "`health_check_id`"),
        ("replication", "buckets/replication", "downloads-eu-central-1", "aws.s3.BucketReplicationConfig"),
    ],
)
def test_what_is_taken_out_is_found_with_resource_and_remedy(
    without: str, rule: str, resource: str, remedy: str
) -> None:
    """This is the pull request that the pack exists to stop."""
    found = report(without)
    assert found.rules(mandatory=True) == [rule], found.text
    (finding,) = found.of(rule)[:1]
    assert finding.urn.endswith(f"::{resource}")
    assert remedy in finding.message
