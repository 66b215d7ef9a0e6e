"""`lockstep up`: every stack brought to what the program says, in the order that their references need.

Plan, ask, act: all stacks are previewed under the policies first; nothing is changed unless every preview passes and
the user agrees. Killed at any point, the next run finds what was left and settles it first.
"""

import sys
from typing import Annotated

import typer


def up(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Preview all stacks under the policies, ask, then bring them up."""
    from lockstep import aws, config, console, interrupted, project, quotas, rollout
    from lockstep.automation import StackOperations, interrupting
    from lockstep.deployment.plan import refuse_another_release
    from lockstep.deployment_store import DeploymentStore
    from lockstep.progress import StackProgress
    from lockstep.stacks import dependencies

    root = project.find_root()
    settings = config.load(root, project.GLOBAL_STACK)
    needs = dependencies([site.name for site in settings.sites])
    planning = StackProgress("preview")
    operations = StackOperations(root, planning.event)
    with interrupting(operations.runner):
        rollout.check_stacks(operations, list(needs))
        store = DeploymentStore(aws.client, settings.application, [site.region for site in settings.sites])
        refuse_another_release(settings.sites[0].release, store.current())
        interrupted.settle_all(operations, list(needs))
        independent = {name: frozenset[str]() for name in needs}
        plan = rollout.run_all("preview", independent, operations.preview, planning)
    refusal = rollout.preview_error(operations, plan)
    nobody_to_ask = bool(plan.changes) and not yes and not sys.stdin.isatty()
    if not as_json or refusal is not None or nobody_to_ask:
        rollout.show(plan, as_json=as_json)
    else:
        rollout.show_aside(plan)
    if refusal is not None:
        raise refusal
    if plan.changes:
        quotas.check(aws.client, settings, console.warning)
        console.confirm("Bring the stacks up as planned?", yes=yes)
    working = StackProgress("up")
    operations.report_to(working.event)
    with interrupting(operations.runner):
        outcome = rollout.run_all("up", needs, operations.up, working, plan.totals)
    rollout.show(outcome, as_json=as_json)
    failure = rollout.update_error(operations, outcome)
    if failure is not None:
        raise failure
