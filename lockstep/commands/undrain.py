"""`lockstep undrain SITE`: lets traffic go back to a site that was drained.

Plan, ask, act. Broken off at any point, the same command goes on.
"""

from typing import Annotated

import typer


def undrain(
    site: Annotated[str, typer.Argument(help="The site, for example primary.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Let traffic go back to a site that was drained."""
    from lockstep.commands.order import give

    give(site, drained=False, yes=yes, as_json=as_json)
