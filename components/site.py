"""The stack of a site: network, packages, fleet, the peer's drain switch, and the contract with other stacks."""

import pulumi
from pulumi_aws import get_caller_identity_output

from components.certificate import Certificate, CertificateArgs
from components.contract import SiteContract, SiteContractArgs
from components.drain_switch import DrainSwitch, DrainSwitchArgs
from components.fleet import Fleet, FleetArgs
from components.flow_logs import FlowLogs, FlowLogsArgs
from components.log_bucket import LogBucket, LogBucketArgs, ServerAccessLogs
from components.network import Network, NetworkArgs
from components.package_bucket import AccessLogs, PackageBucket, PackageBucketArgs
from components.provider import provider_of
from components.release_guard import roll_hook, see_that_it_runs, stop_what_records_forbid, wait_hook
from lockstep.config import Config, Site
from lockstep.config.naming import bucket_arn, drain_alarm_name, package_bucket_name
from lockstep.deployment.marker import deployment_id


async def build_site(config: Config) -> pulumi.Inputs:
    """Declares everything of the site that the running stack is, in its own region, and returns the stack's outputs.

    Raises pulumi.RunError, before anything is declared, if the records forbid the release in config; and at the end, if
    the fleet doesn't run it.
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
            egress=site.network.egress,
            endpoint_services=site.network.endpoint_services,
        ),
        opts,
    )
    if site.network.flow_log_days:
        FlowLogs(
            f"{name}-flow-logs",
            FlowLogsArgs(
                vpc_id=network.vpc_id,
                account_id=account,
                region=site.region,
                days=site.network.flow_log_days,
                retain=site.protect,
            ),
            opts,
        )
    packages = PackageBucket(
        f"{name}-packages",
        PackageBucketArgs(
            bucket_name=bucket_name,
            s3_endpoint_id=network.s3_endpoint_id,
            protect=site.protect,
            noncurrent_days=site.packages.noncurrent_days,
            access_logs=_access_logs(name, site, account, bucket_name.apply(bucket_arn), opts),
        ),
        opts,
    )
    certificate = (
        Certificate(name, CertificateArgs(domain=config.domain, site_domain=site.domain, zone=config.zone), opts).arn
        if config.https
        else None
    )
    fleet = Fleet(
        name,
        FleetArgs(
            application=config.application,
            site=site.name,
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
            outbound=network.outbound,
            clients=site.network.clients,
            bucket_name=packages.bucket_name,
            deregistration_seconds=site.fleet.deregistration_seconds,
            errors_per_minute=site.fleet.errors_per_minute,
            target_requests=site.fleet.target_requests,
            max_instances=site.fleet.max_instances,
            certificate_arn=certificate,
            after_template=roll_hook(config),
            after_group=wait_hook(config),
        ),
        opts,
    )
    drained = config.switched_in(site)
    switch = DrainSwitch(
        f"{name}-drain-switch",
        DrainSwitchArgs(
            drains=drained.name,
            alarm_name=drain_alarm_name(config.application, drained.name),
            protect=site.protect,
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
        drain_alarm_name=switch.alarm_name,
        vpc_id=network.vpc_id,
        private_route_table_ids=network.private_route_table_ids,
        instance_group_id=fleet.instance_group_id,
        release=site.release,
        peer_region=peer.region,
        replica_bucket_region=peer.region,
        load_instances=config.load_instances,
        ready_instances=None if site.release is None else site.fleet.instances,
        rto_seconds=config.objectives.rto_seconds,
        rpo_seconds=config.objectives.rpo_seconds,
    )
    SiteContract(name, contract)
    await see_that_it_runs(config, fleet.fleet_name, deployment_id())
    return contract.outputs()


def _access_logs(
    name: str,
    site: Site,
    account: pulumi.Output[str],
    package_bucket_arn: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> AccessLogs | None:
    """The site's log bucket, if the requests to its package bucket are to be logged."""
    if not site.packages.access_logs:
        return None
    # The ARN is worked out from config: each bucket would wait for the other one.
    sender = ServerAccessLogs(prefix="packages", source_arn=package_bucket_arn)
    logs = LogBucket(
        f"{name}-logs",
        LogBucketArgs(account_id=account, senders=[sender], days=site.packages.access_log_days, protect=site.protect),
        opts,
    )
    return AccessLogs(bucket_name=logs.bucket_name, target_prefix=sender.target_prefix)
