"""The generated pages are the ones that the code makes."""

import pytest

from lockstep.errors import ExitCode
from tools import reference


@pytest.mark.parametrize("name", reference.PAGES)
def test_committed_page_is_up_to_date(name: str) -> None:
    """A page that lags behind tells people options and limits that aren't there."""
    assert (reference.DOCS / name).read_text() == reference.PAGES[name](), "run `make docs`"


def test_every_exit_code_is_explained() -> None:
    """Scripts branch on these numbers."""
    assert set(reference.EXIT_CODES) == set(ExitCode)
