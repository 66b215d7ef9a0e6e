"""Debian's programs, from `make tools-debian`, for tests that hold ours against them."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import ROOT

FOLDER: Final = ROOT / ".tools" / "debian" / "packages" / "bin"


def tool(name: str) -> Path:
    """Where `name` is, or would be."""
    return FOLDER / name


def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where `name` isn't; not in CI, where a missing tool makes the test fail."""
    is_missing = not tool(name).exists() and os.environ.get("LOCKSTEP_CI") != "1"
    return pytest.mark.skipif(is_missing, reason="Debian's tools aren't here: `make tools-debian` fetches them")
