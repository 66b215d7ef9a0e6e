"""Traffic: the application's name, spread over the sites by weight, and taken off a site that fails.

Rule: every weighted record has a health check of its own, of the site's own name. A record without one, and one with a
disabled check, count as healthy for ever, and a check of the shared name would judge whichever site DNS had answered.
A site gets traffic while its endpoint answers *and* its drain switch, which is in its peer's region, is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import route53

from components.listeners import listener_port
from lockstep import drain_switch
from lockstep.config.models import HealthCheck, RecordType


@dataclass(frozen=True, kw_only=True)
class TrafficSite:
    """One site as traffic sees it: `domain` is its own name, `weight` its share.

    `switch_alarm`, in `switch_region`, is its drain switch.
    """

    name: str
    domain: str
    weight: int
    alb_dns_name: pulumi.Input[str]
    alb_zone_id: pulumi.Input[str]
    switch_alarm: pulumi.Input[str]
    switch_region: str


@dataclass(frozen=True, kw_only=True)
class TrafficArgs:
    """`zone` is the name of the public hosted zone that holds `domain`, the application's name.

    `ttl`, in seconds, is a CNAME's: an alias has its balancer's, 60 (Developer Guide, "Choosing between alias and
    non-alias records"). Where the zone begins only an alias can be.

    `https` says that the sites take requests over HTTPS: their endpoint checks ask so too.
    """

    zone: str
    domain: str
    ttl: int
    health_check: HealthCheck
    protect: bool
    sites: Sequence[TrafficSite]
    https: bool = False
    record_type: RecordType = RecordType.CNAME

    def __post_init__(self) -> None:
        if self.domain == self.zone and self.record_type is RecordType.CNAME:
            raise ValueError("DNS allows no CNAME where a zone begins")
        if len(self.sites) < 2:
            raise ValueError("traffic can't leave a site that is the only one")
        if not any(site.weight for site in self.sites):
            raise ValueError("all weights are 0, which Route 53 serves like equal ones")


class Traffic(pulumi.ComponentResource):
    """Weighted DNS with a health check on every record.

    Creates, for each site: its own name, an alias of its balancer; an endpoint check of that name; a check of its drain
    switch; a calculated check that is healthy while both are; a weighted record of the application's name: a CNAME to
    the site's own, or an alias of its balancer.

    The zone is looked up: it exists beforehand and outlives this. Set identifiers are the sites' names and never
    change: another identifier is another record, and for a moment none.

    `protect` keeps weighted records, calculated checks and those of the switches from deletion: a new check of a switch
    is healthy, so that a drained site would get its traffic back. Endpoint checks are left out because their interval
    can't be changed in place.
    """

    app_domain: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    health_check_ids: Mapping[str, pulumi.Output[str]]
    record_names: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: TrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:traffic:Traffic", name, {"domain": args.domain, "ttl": args.ttl}, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._protected = pulumi.ResourceOptions(parent=self, protect=args.protect)

        zone = route53.get_zone_output(name=args.zone, private_zone=False, opts=pulumi.InvokeOptions(parent=self))
        own_names = {site.name: self._own_name(site, zone.zone_id) for site in args.sites}
        checks = {site.name: self._check(site) for site in args.sites}
        for site in args.sites:
            self._weighted(site, zone.zone_id, checks[site.name])

        self.app_domain = pulumi.Output.from_input(args.domain)
        self.zone_id = zone.zone_id
        self.health_check_ids = {site: check.id for site, check in checks.items()}
        self.record_names = {site: record.name for site, record in own_names.items()}
        self.register_outputs(
            {
                "appDomain": self.app_domain,
                "zoneId": self.zone_id,
                "healthCheckIds": self.health_check_ids,
                "recordNames": self.record_names,
            }
        )

    def _own_name(self, site: TrafficSite, zone_id: pulumi.Output[str]) -> route53.Record:
        """Answers always with the site's balancer, healthy or not: checks and people use it to look at that site."""
        return route53.Record(
            f"{self._name}-{site.name}-own",
            zone_id=zone_id,
            name=site.domain,
            type="A",
            aliases=[_alias_of(site)],
            opts=self._child,
        )

    def _check(self, site: TrafficSite) -> route53.HealthCheck:
        """The check that a weighted record follows: calculated, of the endpoint and the drain switch."""
        endpoint = route53.HealthCheck(
            f"{self._name}-{site.name}-endpoint",
            type="HTTPS" if self._args.https else "HTTP",
            fqdn=site.domain,
            # A balancer that has certificates for several names chooses by the name that the checker sends.
            enable_sni=True if self._args.https else None,
            port=listener_port(https=self._args.https),
            resource_path=self._args.health_check.path,
            request_interval=self._args.health_check.interval,
            failure_threshold=self._args.health_check.threshold,
            tags={"Name": f"{site.domain} endpoint"},
            opts=self._child,
        )
        return route53.HealthCheck(
            f"{self._name}-{site.name}",
            type="CALCULATED",
            child_healthchecks=[endpoint.id, self._switch(site).id],
            child_health_threshold=2,
            tags={"Name": site.domain},
            opts=self._protected,
        )

    def _switch(self, site: TrafficSite) -> route53.HealthCheck:
        """Route 53 keeps a copy of the alarm's settings: `triggers` have it copied again when they change."""
        return route53.HealthCheck(
            f"{self._name}-{site.name}-switch",
            type="CLOUDWATCH_METRIC",
            cloudwatch_alarm_name=site.switch_alarm,
            cloudwatch_alarm_region=site.switch_region,
            insufficient_data_health_status=drain_switch.WITHOUT_DATA,
            triggers=drain_switch.triggers(site.name),
            tags={"Name": f"{site.domain} drain switch"},
            opts=self._protected,
        )

    def _weighted(self, site: TrafficSite, zone_id: pulumi.Output[str], check: route53.HealthCheck) -> None:
        """An alias doesn't evaluate its target: the check decides, and it asks what the balancer's own doesn't."""
        is_alias = self._args.record_type is RecordType.ALIAS
        route53.Record(
            f"{self._name}-{site.name}",
            zone_id=zone_id,
            name=self._args.domain,
            type="A" if is_alias else "CNAME",
            ttl=None if is_alias else self._args.ttl,
            records=None if is_alias else [site.domain],
            aliases=[_alias_of(site)] if is_alias else None,
            set_identifier=site.name,
            weighted_routing_policies=[{"weight": site.weight}],
            health_check_id=check.id,
            opts=self._protected,
        )


def _alias_of(site: TrafficSite) -> route53.RecordAliasArgsDict:
    return {"name": site.alb_dns_name, "zone_id": site.alb_zone_id, "evaluate_target_health": False}
