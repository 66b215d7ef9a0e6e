"""`lockstep deploy`: one release in every site, or every site as it was.

Plan, ask, act. Killed at any point, the next `deploy` or `settle` finishes or undoes it from the record.
"""

from typing import Annotated

import typer


def deploy(
    version: Annotated[
        str | None, typer.Argument(help="The release; default: the one that Pulumi.yaml wants.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,
) -> None:
    """Bring a release to every site; if one site fails, every site returns to what it had."""
    from lockstep import config, console, interrupted, project, release_setting, rollout
    from lockstep.automation import StackOperations
    from lockstep.config.models import check_release_name
    from lockstep.deployment import preflight
    from lockstep.deployment.context import Context
    from lockstep.deployment.deploy import Deployment, Outcome
    from lockstep.deployment.plan import plan_deployment, refuse_stale
    from lockstep.deployment.progress import say
    from lockstep.deployment.settle import settle
    from lockstep.deployment.stopping import Stopping
    from lockstep.lease import Holder, Lease
    from lockstep.progress import StackProgress

    root = project.find_root()
    settings = config.load(root, project.GLOBAL_STACK)
    configured = release_setting.read(root)
    context = Context(root, settings, StackOperations(root, StackProgress("preview").event))
    rollout.check_stacks(context.operations, list(context.needs))
    findings = preflight.look(context)
    release = refuse_stale(version, configured, findings.record)
    check_release_name(release)
    plan = plan_deployment(release, configured, findings.facts, findings.record)
    regions = {site.name: site.region for site in context.sites}

    def show_unchanged() -> None:
        console.progress(f"every site runs {release} already; nothing to do")
        if as_json:
            done = Outcome(release=release, before=dict.fromkeys(findings.facts, release), sites=findings.facts)
            console.data_json({**done.as_json(regions), "result": "unchanged"})

    if plan.done:
        show_unchanged()
        return
    preflight.check(context, release)
    preflight.check_sites_answer(context, findings)
    for line in plan.lines(regions, settings.bake_seconds):
        console.progress(line)
    console.confirm(f"Deploy release {release} to {len(regions)} sites?", yes=yes)
    lease = Lease(context.client, context.buckets, Holder.this_process(f"lockstep deploy {release}"))
    with Stopping(context.operations.runner) as stopping, lease.hold():
        interrupted.settle_all(context.operations, list(context.needs))
        findings = preflight.look(context)
        if findings.record is not None and findings.record.in_progress is not None:
            settle(context, say, stopping.guard(lease))
            findings = preflight.look(context)
        # Whoever has been asked may have answered an hour later, and somebody else has deployed meanwhile.
        refuse_stale(version, configured, findings.record)
        plan = plan_deployment(release, release_setting.read(root), findings.facts, findings.record)
        if plan.done:
            show_unchanged()
            return
        preflight.check(context, release)
        outcome = Deployment(context, plan, lease, say, stopping, settings.bake_seconds).run()
    if as_json:
        console.data_json(outcome.as_json(regions))
    else:
        console.table(
            ["site", "region", "had", "runs", "healthy"],
            [
                [
                    site,
                    regions[site],
                    outcome.before[site] or "-",
                    (release if outcome.failure is None else outcome.before[site]) or "-",
                    f"{len(facts.serving)} of {facts.desired}",
                ]
                for site, facts in outcome.sites.items()
            ],
        )
    if outcome.failure is not None:
        raise outcome.failure
    console.progress(f"every site runs {release}")
