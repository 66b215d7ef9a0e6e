"""`lockstep settle`: finishes or undoes what a killed deployment has left. Does nothing if nothing is left."""

from typing import Annotated

import typer


def settle(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Finish or undo what a deployment that was killed has left."""
    from lockstep import config, console, project, rollout
    from lockstep.automation import StackOperations
    from lockstep.deployment import preflight
    from lockstep.deployment.context import Context
    from lockstep.deployment.progress import say
    from lockstep.deployment.settle import settle as settle_all
    from lockstep.deployment.stopping import Stopping
    from lockstep.lease import Holder, Lease
    from lockstep.progress import StackProgress

    root = project.find_root()
    settings = config.load(root, project.GLOBAL_STACK)
    context = Context(root, settings, StackOperations(root, StackProgress("settle").event))
    rollout.check_stacks(context.operations, list(context.needs))
    record = preflight.look(context).record
    left = record.in_progress if record else None
    if left is not None:
        console.progress(
            f"the deployment of {left.release_to} that {left.holder} began at {left.started_at} was broken off while "
            f"{left.stage.value}: it is finished if every site runs {left.release_to}, else undone"
        )
        console.confirm("Settle it?", yes=yes)
    lease = Lease(context.client, context.buckets, Holder.this_process("lockstep settle"))
    with Stopping(context.operations.runner) as stopping, lease.hold():
        settled = settle_all(context, say, stopping.guard(lease))
    if as_json:
        console.data_json(settled.as_json())
        return
    told = {
        "nothing": "nothing to settle",
        "records": "the records agree again",
        "finished": f"every site runs {settled.release}",
        "undone": f"the deployment of {settled.release} is undone",
    }
    console.data(told[settled.what])
