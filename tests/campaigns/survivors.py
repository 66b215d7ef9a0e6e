"""Why a mutant may survive: what it loses protects neither data nor traffic, or something else than a preview sees it.

Keys are the cases of `mutants`, an asterisk for any text. The first that fits counts.
"""

from fnmatch import fnmatchcase
from typing import Final

SURVIVORS: Final[dict[str, str]] = {}


def reason_for(case: str) -> str | None:
    """Why `case` may survive; None if nothing says so."""
    return next((reason for pattern, reason in SURVIVORS.items() if fnmatchcase(case, pattern)), None)
