"""`lockstep drain SITE`: takes traffic off a site, whatever becomes of it, until `lockstep undrain SITE`.

Plan, ask, act. Broken off at any point, the same command goes on.
"""

from typing import Annotated

import typer


def drain(
    site: Annotated[str, typer.Argument(help="The site, for example primary.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Take traffic off a site until it is undrained; exit 4 if no other site serves."""
    from lockstep.commands.order import give

    give(site, drained=True, yes=yes, as_json=as_json)
