"""What stands between config and the fleet of a site: records that forbid a release, and hooks that roll it."""

import asyncio
from collections.abc import Callable

import pulumi
from pulumi_aws import Provider
from pulumi_aws.ssm import get_parameters_by_path_output

from lockstep.config import Config
from lockstep.config.naming import records_path
from lockstep.deployment_record import parameter_name, parse, what_stops


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


def hook(name: str, run: Callable[[pulumi.ResourceHookArgs], None]) -> pulumi.ResourceHook:
    """A resource hook that runs `run` in a thread, so that the program goes on answering the engine meanwhile."""

    async def in_thread(args: pulumi.ResourceHookArgs) -> None:
        await asyncio.to_thread(run, args)

    return pulumi.ResourceHook(name, in_thread)
