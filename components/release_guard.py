"""What stands between config and the fleet of a site: records that forbid a release, and what rolls it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import Provider
from pulumi_aws.ssm import get_parameters_by_path_output

from lockstep.config import Config
from lockstep.config.naming import records_path
from lockstep.deployment_record import parameter_name, parse, what_stops

if TYPE_CHECKING:
    from lockstep.deployment.hooks import SiteHooks


async def stop_what_records_forbid(config: Config, provider: Provider, deployment_id: str | None) -> None:
    """Raise pulumi.RunError if the deployment record of the site's own region forbids the release in config.

    The region's own record, because the other region may be gone; every record is written to all of them.
    """
    found = get_parameters_by_path_output(
        path=records_path(config.application), recursive=False, opts=pulumi.InvokeOptions(provider=provider)
    )
    parameters = await found.apply(lambda result: dict(zip(result.names, result.values, strict=True))).future()
    name = parameter_name(config.application)
    # Unknown while the provider is: nothing is there yet.
    text = (parameters or {}).get(name)
    if text is None:
        return
    record = parse(text, f"SSM parameter {name} in {config.region}")
    problem = what_stops(record, config.stack, config.site.release, deployment_id)
    if problem is not None:
        raise pulumi.RunError(problem)


async def see_that_it_runs(config: Config, fleet_name: pulumi.Output[str], deployment_id: str | None) -> None:
    """Once the fleet is as declared, have it run what its template says. Raises pulumi.RunError if it can't.

    The hooks run only where something changes, and Pulumi has saved the change before they can fail: the next update
    would see none. A preview changes nothing, and a deployment rolls the fleets itself.
    """
    if pulumi.runtime.is_dry_run() or deployment_id is not None or config.site.release is None:
        return
    await fleet_name.future()
    from lockstep.deployment.hooks import HookFailedError

    try:
        await asyncio.to_thread(site_hooks(config).after_all)
    except HookFailedError as error:
        raise pulumi.RunError(str(error)) from error


def site_hooks(config: Config) -> "SiteHooks":
    """What rolls the fleet of the running stack. It is imported only here: a preview needs none of it."""
    from lockstep.deployment.hooks import SiteHooks

    return SiteHooks(config)


def roll_hook(config: Config) -> pulumi.ResourceHook:
    """For after the launch template's update: rolls the fleet to it."""

    def roll(args: pulumi.ResourceHookArgs) -> None:
        before, now = args.old_outputs or {}, args.new_outputs or {}
        if before.get("vpcSecurityGroupIds") != now.get("vpcSecurityGroupIds"):
            # Another network: the group, which can't leave the old one, is replaced and starts from this template.
            return
        site_hooks(config).after_template(int(now["latestVersion"]))

    return _hook("roll-the-fleet", roll)


def wait_hook(config: Config) -> pulumi.ResourceHook:
    """For after the group's creation or update: waits until all of its instances serve."""
    return _hook("wait-for-the-fleet", lambda _: site_hooks(config).after_group())


def _hook(name: str, run: Callable[[pulumi.ResourceHookArgs], None]) -> pulumi.ResourceHook:
    """A resource hook that runs `run` in a thread, so that the program goes on answering the engine meanwhile."""

    async def in_thread(args: pulumi.ResourceHookArgs) -> None:
        await asyncio.to_thread(run, args)

    return pulumi.ResourceHook(name, in_thread)
