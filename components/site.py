"""The stack of a site: network, packages, fleet, and the contract that the other stacks rely on."""

from functools import partial

import pulumi
from pulumi_aws import get_caller_identity_output

from components.contract import SiteContract, SiteContractArgs
from components.fleet import Fleet, FleetArgs
from components.network import Network, NetworkArgs
from components.package_bucket import PackageBucket, PackageBucketArgs
from components.provider import provider_of
from components.release_guard import hook, stop_what_records_forbid
from lockstep.config import Config
from lockstep.config.naming import bucket_arn, package_bucket_name
from lockstep.deployment.marker import deployment_id


async def build_site(config: Config) -> pulumi.Inputs:
    """Declares everything of the site that the running stack is, in its own region, and returns the stack's outputs.

    Raises pulumi.RunError, before anything is declared, if the records forbid the release in config.
    """
    site, peer, name = config.site, config.peer_of(config.site), f"{config.application}-{config.stack}"
    provider = provider_of(config)
    await stop_what_records_forbid(config, provider, deployment_id())
    opts = pulumi.ResourceOptions(providers=[provider])
    account = get_caller_identity_output(opts=pulumi.InvokeOptions(provider=provider)).account_id
    bucket_name = account.apply(lambda account_id: package_bucket_name(config.application, account_id, site.region))

    network = Network(
        name,
        NetworkArgs(
            cidr=site.cidr,
            region=site.region,
            zones=site.fleet.zones,
            package_bucket_arn=bucket_name.apply(bucket_arn),
        ),
        opts,
    )
    packages = PackageBucket(
        f"{name}-packages",
        PackageBucketArgs(bucket_name=bucket_name, s3_endpoint_id=network.s3_endpoint_id, protect=site.protect),
        opts,
    )
    fleet = Fleet(
        name,
        FleetArgs(
            application=config.application,
            region=site.region,
            release=site.release,
            image=site.fleet.image,
            instance_type=site.fleet.instance_types[0],
            instances=site.fleet.instances,
            health_check_path=config.health_check.path,
            protect=site.protect,
            tags=config.tags,
            vpc_id=network.vpc_id,
            public_subnet_ids=network.public_subnet_ids,
            private_subnet_ids=network.private_subnet_ids,
            s3_prefix_list_id=network.s3_prefix_list_id,
            bucket_name=packages.bucket_name,
            after_template=hook("roll-the-fleet", partial(_roll, config)),
            after_group=hook("wait-for-the-fleet", partial(_wait, config)),
        ),
        opts,
    )
    contract = SiteContractArgs(
        region=site.region,
        bucket_name=packages.bucket_name,
        bucket_arn=packages.bucket_arn,
        site_domain=site.domain,
        alb_dns_name=fleet.alb_dns_name,
        alb_zone_id=fleet.alb_zone_id,
        fleet_name=fleet.fleet_name,
        launch_template_id=fleet.launch_template_id,
        release=site.release,
        peer_region=peer.region,
        replica_bucket_region=peer.region,
        rto_seconds=config.objectives.rto_seconds,
        rpo_seconds=config.objectives.rpo_seconds,
    )
    SiteContract(name, contract)
    return contract.outputs()


def _roll(config: Config, args: pulumi.ResourceHookArgs) -> None:
    """The launch template has changed. What rolls it is imported only here: most runs change none."""
    from lockstep.deployment.hooks import SiteHooks

    before, now = args.old_outputs or {}, args.new_outputs or {}
    if before.get("vpcSecurityGroupIds") != now.get("vpcSecurityGroupIds"):
        # Another network: the group, which can't leave the old one, is replaced and starts from this template.
        return
    SiteHooks(config).after_template(int(now["latestVersion"]))


def _wait(config: Config, _: pulumi.ResourceHookArgs) -> None:
    """The group was created or has changed."""
    from lockstep.deployment.hooks import SiteHooks

    SiteHooks(config).after_group()
