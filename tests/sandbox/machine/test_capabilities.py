"""What packages provide and require, held against RPM's rules."""

import pytest

from sandbox.machine.capabilities import parse
from sandbox.machine.errors import BootError


@pytest.mark.parametrize(
    ("provided", "required", "meets"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a = 1.0-1", "a", True),
        ("a", "a >= 7", True),
        ("a = 1.0-1", "a = 1.0", True),
        ("a = 1.0-1", "a = 1.0-2", False),
        ("a = 1.0-1", "a > 1.0", False),
        ("a = 1.0-1", "a >= 1.0", True),
        ("a = 1.10", "a > 1.9", True),
        ("a = 1.0~rc1", "a < 1.0", True),
        ("a = 1:1.0", "a > 2.0", True),
        ("a = 1.0", "a < 1:0.5", True),
        ("a < 2", "a > 1", True),
        ("a < 2", "a > 3", False),
        ("a > 2", "a <= 2", False),
        ("a >= 2", "a <= 2", True),
        ("a < 2", "a = 2", False),
    ],
)
def test_provides_and_requirements_meet_as_rpm_compares_them(provided: str, required: str, meets: bool) -> None:
    """A package would be installed without what it needs, or refused although all is there."""
    assert parse(provided).overlaps(parse(required)) is meets


@pytest.mark.parametrize("text", ["a =", "a = b = c", "a == 1", "", "a = 1-2-3"])
def test_nonsense_is_refused(text: str) -> None:
    """An image's list with a slip in it would silently provide nothing."""
    with pytest.raises(BootError):
        parse(text)


@pytest.mark.parametrize("text", ["a", "a = 1.0-1", "a <= 1:2.0"])
def test_a_capability_is_written_as_it_is_read(text: str) -> None:
    """Messages name capabilities as spec files do."""
    assert str(parse(text)) == text
