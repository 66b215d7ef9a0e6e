"""What the sites' stacks say to the stack that joins them.

Rule: nothing of `global` is declared before every site it needs is there. A record without a balancer, or a check of
half of the sites, would be worse than none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi

PROJECT: Final = "lockstep"
_PEERED: Final = ("vpcId", "privateRouteTableIds", "instanceGroupId")
_NEEDED: Final = ("region", "bucketName", "bucketArn", "albDnsName", "albZoneId", "drainAlarmName")


@dataclass(frozen=True, kw_only=True)
class NetworkOutputs:
    """What peering needs of a site's network. How many route tables there are is known in previews too."""

    vpc_id: pulumi.Output[str]
    private_route_table_ids: Sequence[pulumi.Output[str]]
    instance_group_id: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class SiteOutputs:
    """The outputs of one site's stack that others need. `release` is None where the site has none, and `network` where
    sites aren't peered.

    `drain_alarm_name` is the alarm in this site's region: the drain switch of the site whose peer this one is.
    """

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    alb_dns_name: pulumi.Output[str]
    alb_zone_id: pulumi.Output[str]
    drain_alarm_name: pulumi.Output[str]
    network: NetworkOutputs | None
    release: pulumi.Output[str] | None


async def read_sites(regions: Mapping[str, str], *, peered: bool = False) -> Mapping[str, SiteOutputs]:
    """The outputs of each site in `regions`, which gives the region that config wants for it; `peered` asks for those
    of their networks too.

    A site that isn't up yet, or is still where config no longer wants it, has unknown outputs in a preview, with a
    warning. In an update it raises pulumi.RunError, which names every such site and the command that brings it up.
    """
    references = {site: pulumi.StackReference(f"{pulumi.get_organization()}/{PROJECT}/{site}") for site in regions}
    saved = {site: await _saved(reference) for site, reference in references.items()}
    problems = {site: _problem(saved[site], region, peered) for site, region in regions.items()}
    late = [site for site, problem in problems.items() if problem]
    if late:
        message = _message(late, problems)
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(message)
        pulumi.log.warn(f"{message}\nThis preview goes on with what isn't known yet.")
    return {site: _outputs(reference, saved[site], problems[site], peered) for site, reference in references.items()}


async def _saved(reference: pulumi.StackReference) -> Mapping[str, Any]:
    """All outputs in the state of another stack: known at once, in previews too."""
    return await reference.outputs.future() or {}


def _problem(saved: Mapping[str, Any], region: str, peered: bool) -> str:
    """Why a site's outputs can't be used, or nothing."""
    needed = (*_NEEDED, *_PEERED) if peered else _NEEDED
    missing = [name for name in needed if saved.get(name) in (None, "", [])]
    if len(missing) == len(needed):
        return "isn't up yet"
    if missing:
        return f"is up in part only: its stack has no output {', '.join(missing)}"
    if saved["region"] != region:
        return f"is in {saved['region']}, and lockstep:region says {region}"
    return ""


def _message(late: Sequence[str], problems: Mapping[str, str]) -> str:
    lines = [f"stack {site} {problems[site]}: run `pulumi up -s {site}` first" for site in late]
    return "\n".join(["this stack joins the sites, and needs the outputs of all of them", *lines])


def _outputs(reference: pulumi.StackReference, saved: Mapping[str, Any], problem: str, peered: bool) -> SiteOutputs:
    def output(name: str) -> pulumi.Output[str]:
        value: pulumi.Output[str] = _unknown(reference) if problem else reference.get_output(name)
        return value

    def network() -> NetworkOutputs:
        # Of a site that isn't up yet the preview shows the one table that most have.
        tables = 1 if problem else len(saved["privateRouteTableIds"])
        ids: pulumi.Output[Any] = reference.get_output("privateRouteTableIds")

        def table(index: int) -> pulumi.Output[str]:
            return output("privateRouteTableIds") if problem else ids.apply(lambda found: str(found[index]))

        return NetworkOutputs(
            vpc_id=output("vpcId"),
            private_route_table_ids=[table(index) for index in range(tables)],
            instance_group_id=output("instanceGroupId"),
        )

    return SiteOutputs(
        bucket_name=output("bucketName"),
        bucket_arn=output("bucketArn"),
        alb_dns_name=output("albDnsName"),
        alb_zone_id=output("albZoneId"),
        drain_alarm_name=output("drainAlarmName"),
        network=network() if peered else None,
        release=output("release") if saved.get("release") and not problem else None,
    )


def _unknown(reference: pulumi.StackReference) -> pulumi.Output[str]:
    """What a resource that doesn't exist yet will have, with the reference as its source, for policies to see."""
    return reference.outputs.apply(lambda _: cast(str, pulumi.UNKNOWN))
