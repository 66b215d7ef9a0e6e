"""What `docs/fidelity.md` says of the provider is found, and changes with it."""

from dataclasses import replace

import pytest

from sandbox.provider.resources import RESOURCES
from tools import fidelity

# It waits for another resource, and gives AWS nothing.
WAITS = "aws:acm/certificateValidation:CertificateValidation"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


@pytest.mark.parametrize("token", RESOURCES)
def test_every_value_is_counted_once(token: str) -> None:
    """A value in no column looks as if it were checked."""
    found = fidelity.of(token)
    split = [*found.closed, *found.closed_elsewhere, *found.documented, *found.unchecked]
    assert sorted(split) == sorted(found.supported)
    assert found.operations or token == WAITS, "no call gives AWS its values: what it refers to isn't followed"
    assert len(found.supported) <= found.properties


def test_a_value_that_the_provider_no_longer_checks_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is proof only if it notices."""
    assert "comparisonOperator" in fidelity.of(ALARM).closed
    kind = RESOURCES[ALARM]
    loose = replace(kind.properties["comparisonOperator"], check=None)
    changed = replace(kind, properties={**kind.properties, "comparisonOperator": loose})
    monkeypatch.setattr(fidelity, "RESOURCES", {**RESOURCES, ALARM: changed})
    found = fidelity.of(ALARM)
    assert "comparisonOperator" in found.closed_elsewhere
    assert "comparisonOperator" not in found.closed


def test_what_the_provider_lacks_is_named() -> None:
    """Who brings a program of their own reads here what will be refused."""
    assert "metricQueries" in fidelity.of(ALARM).refused
    assert "threshold" not in fidelity.of(ALARM).refused
