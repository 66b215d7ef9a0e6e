"""`lockstep preview`: every stack planned, under the policies; nothing is changed."""

from typing import Annotated

import typer


def preview(
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Plan every stack under the policies; exit 4 if a policy forbids it."""
    from lockstep import config, project, rollout
    from lockstep.automation import StackOperations, interrupting
    from lockstep.progress import StackProgress
    from lockstep.stacks import dependencies

    root = project.find_root()
    settings = config.load(root, project.GLOBAL_STACK)
    needs = dependencies([site.name for site in settings.sites])
    progress = StackProgress("preview")
    operations = StackOperations(root, progress.event)
    with interrupting(operations.runner):
        rollout.check_stacks(operations, list(needs))
        # A plan reads what was applied, so the stacks don't wait for each other's plans.
        independent = {name: frozenset[str]() for name in needs}
        outcome = rollout.run_all("preview", independent, operations.preview, progress)
    rollout.show(outcome, as_json=as_json, advisories=True)
    error = rollout.preview_error(operations, outcome)
    if error is not None:
        raise error
