"""The stack that joins the sites: replication between their buckets, peering between their networks where there is a
database, traffic to their balancers, and a contract."""

from collections.abc import Mapping

import pulumi

from components.contract import GlobalContract, GlobalContractArgs
from components.peering import PeeredNetwork, Peering, PeeringArgs
from components.provider import provider_of
from components.references import SiteOutputs
from components.replication import ReplicatedBucket, Replication, ReplicationArgs
from components.traffic import Traffic, TrafficArgs, TrafficSite
from lockstep.config import Config


def join_sites(config: Config, sites: Mapping[str, SiteOutputs]) -> pulumi.Inputs:
    """Declares what joins the sites, from the outputs of each of them, and returns the stack's outputs."""
    name = f"{config.application}-{config.stack}"
    opts = pulumi.ResourceOptions(providers=[provider_of(config)])

    Replication(
        f"{name}-replication",
        ReplicationArgs(
            buckets=[
                ReplicatedBucket(
                    site=site.name,
                    region=site.region,
                    name=sites[site.name].bucket_name,
                    arn=sites[site.name].bucket_arn,
                )
                for site in config.sites
            ]
        ),
        opts,
    )
    networks = [
        PeeredNetwork(
            site=site.name,
            region=site.region,
            cidr=site.cidr,
            vpc_id=network.vpc_id,
            private_route_table_ids=network.private_route_table_ids,
            instance_group_id=network.instance_group_id,
        )
        for site in config.sites
        if (network := sites[site.name].network) is not None
    ]
    if networks:
        Peering(f"{name}-peering", PeeringArgs(networks=networks), opts)
    traffic = Traffic(
        name,
        TrafficArgs(
            zone=config.zone,
            domain=config.domain,
            ttl=config.ttl,
            health_check=config.health_check,
            protect=config.protect,
            https=config.https,
            record_type=config.record_type,
            sites=[
                TrafficSite(
                    name=site.name,
                    domain=site.domain,
                    weight=site.weight,
                    alb_dns_name=sites[site.name].alb_dns_name,
                    alb_zone_id=sites[site.name].alb_zone_id,
                    switch_alarm=sites[config.peer_of(site).name].drain_alarm_name,
                    switch_region=config.peer_of(site).region,
                )
                for site in config.sites
            ],
        ),
        opts,
    )
    contract = GlobalContractArgs(
        app_domain=config.domain,
        zone_id=traffic.zone_id,
        health_check_ids=traffic.health_check_ids,
        record_names=traffic.record_names,
        regions={site.name: site.region for site in config.sites},
        site_domains={site.name: site.domain for site in config.sites},
        bucket_names={site: outputs.bucket_name for site, outputs in sites.items()},
        load_instances=config.load_instances,
        ready_instances={
            site: config.site_named(site).fleet.instances
            for site, outputs in sites.items()
            if outputs.release is not None
        },
        releases={site: outputs.release for site, outputs in sites.items() if outputs.release is not None},
        rto_seconds=config.objectives.rto_seconds,
        rpo_seconds=config.objectives.rpo_seconds,
    )
    GlobalContract(name, contract)
    return contract.outputs()
