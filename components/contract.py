"""Contracts: what a stack promises, and what it got, where policies and other stacks can see it.

CrossGuard sees no StackReference (pulumi/pulumi#3950), but it sees components: resource policies their props, stack
policies their outputs. A contract gives the same values to both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True, kw_only=True)
class SiteContractArgs:
    """The outputs of a site and what it promises.

    `peer_region` is where the peer is, `replica_bucket_region` where packages are replicated to, objectives are in
    seconds. `drain_alarm_name` is the alarm in this site's region that takes traffic off the site whose peer this one
    is. `vpc_id`, `private_route_table_ids` and `instance_group_id`, the security group of the instances, are what
    peering connects. `release` is None while there is none, and `ready_instances` with it: how many instances the site
    always has, of the `load_instances` that the load of all sites needs. What isn't built yet has no field, so that
    nothing is promised of it: the digests of images and packages, the database and its role, and since when the sites
    are degraded: no record has it.
    """

    region: str
    bucket_name: pulumi.Input[str]
    bucket_arn: pulumi.Input[str]
    site_domain: str
    alb_dns_name: pulumi.Input[str]
    alb_zone_id: pulumi.Input[str]
    fleet_name: pulumi.Input[str]
    launch_template_id: pulumi.Input[str]
    drain_alarm_name: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    private_route_table_ids: pulumi.Input[Sequence[str]]
    instance_group_id: pulumi.Input[str]
    release: str | None
    peer_region: str
    replica_bucket_region: str
    load_instances: int
    ready_instances: int | None
    rto_seconds: int
    rpo_seconds: int

    def outputs(self) -> dict[str, pulumi.Input[Any]]:
        """The outputs of the stack; `release` is left out while there is none."""
        values: dict[str, pulumi.Input[Any]] = {
            "region": self.region,
            "bucketName": self.bucket_name,
            "bucketArn": self.bucket_arn,
            "siteDomain": self.site_domain,
            "albDnsName": self.alb_dns_name,
            "albZoneId": self.alb_zone_id,
            "fleetName": self.fleet_name,
            "launchTemplateId": self.launch_template_id,
            "drainAlarmName": self.drain_alarm_name,
            "vpcId": self.vpc_id,
            "privateRouteTableIds": self.private_route_table_ids,
            "instanceGroupId": self.instance_group_id,
        }
        return values if self.release is None else {**values, "release": self.release}


class SiteContract(pulumi.ComponentResource):
    """What a site promises to the others and to policies.

    Creates: nothing. It holds no data.
    """

    def __init__(self, name: str, args: SiteContractArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        values = {
            **args.outputs(),
            "peerRegion": args.peer_region,
            "replicaBucketRegion": args.replica_bucket_region,
            "loadInstances": args.load_instances,
            "rtoSeconds": args.rto_seconds,
            "rpoSeconds": args.rpo_seconds,
        }
        if args.ready_instances is not None:
            values["readyInstances"] = args.ready_instances
        super().__init__("lockstep:contract:SiteContract", name, values, opts)
        self.register_outputs(values)


@dataclass(frozen=True, kw_only=True)
class GlobalContractArgs:
    """The outputs of stack `global`, what it got from the sites, and what it promises; every mapping is by site.

    `health_check_ids` are the checks that the weighted records follow, `record_names` the records of the sites' own
    names. Regions, names and buckets are what policies pair with the resources; `releases` leaves out a site that has
    none yet, and so does `ready_instances`, which says how many instances each always has, of the `load_instances` that
    the whole load needs. Objectives are in seconds.
    """

    app_domain: str
    zone_id: pulumi.Input[str]
    health_check_ids: Mapping[str, pulumi.Input[str]]
    record_names: Mapping[str, pulumi.Input[str]]
    regions: Mapping[str, str]
    site_domains: Mapping[str, str]
    bucket_names: Mapping[str, pulumi.Input[str]]
    releases: Mapping[str, pulumi.Input[str]]
    load_instances: int
    ready_instances: Mapping[str, int]
    rto_seconds: int
    rpo_seconds: int

    def outputs(self) -> dict[str, pulumi.Input[Any]]:
        """The outputs of the stack."""
        return {
            "appDomain": self.app_domain,
            "zoneId": self.zone_id,
            "healthCheckIds": self.health_check_ids,
            "recordNames": self.record_names,
        }


class GlobalContract(pulumi.ComponentResource):
    """What joins the sites, as policies see it.

    Creates: nothing. It holds no data.
    """

    def __init__(self, name: str, args: GlobalContractArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        values = {
            **args.outputs(),
            "regions": args.regions,
            "siteDomains": args.site_domains,
            "bucketNames": args.bucket_names,
            "releases": args.releases,
            "loadInstances": args.load_instances,
            "readyInstances": args.ready_instances,
            "rtoSeconds": args.rto_seconds,
            "rpoSeconds": args.rpo_seconds,
        }
        super().__init__("lockstep:contract:GlobalContract", name, values, opts)
        self.register_outputs(values)
