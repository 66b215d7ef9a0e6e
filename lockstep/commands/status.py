"""`lockstep status`: what every site wants and runs. Reads only."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lockstep.status import SiteStatus


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> int:
    """Show what every site wants and runs; exit 10 if a site is degraded."""
    from lockstep import config, console, project
    from lockstep.automation import StackOperations
    from lockstep.deployment.context import Context
    from lockstep.status import Part, look

    root = project.find_root()
    settings = config.load(root, project.GLOBAL_STACK)
    found = look(Context(root, settings, StackOperations(root, lambda stack, event: None)))
    if as_json:
        console.data_json(found.as_json())
    else:
        console.table(
            ["site", "region", "wanted", "settled", "running", "healthy", "weight", "answers"],
            [
                [
                    site.name,
                    site.region,
                    site.wanted or "-",
                    found.settled or "-",
                    site.running or ("?" if Part.FLEET in site.failures else "-"),
                    f"{len(site.facts.serving)} of {site.facts.desired}" if site.facts else "-" if site.absent else "?",
                    _weight(site),
                    site.answers.summary() if site.answers != type(site.answers)() else "-",
                ]
                for site in found.sites.values()
            ],
        )
        console.progress(f"verdict: {found.verdict.value}")
    for problem in found.problems:
        console.warning(problem)
    return found.verdict.exit_code


def _weight(site: "SiteStatus") -> str:
    """What Route 53 has, and what config has where that isn't the same."""
    if site.traffic is not None and site.traffic.weight == site.weight:
        return f"{site.weight}"
    known = "?" if site.traffic is None else "-" if site.traffic.weight is None else f"{site.traffic.weight}"
    return f"{known} (config {site.weight})"
