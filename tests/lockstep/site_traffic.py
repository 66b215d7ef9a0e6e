"""Traffic without its stack: zone, checks and records on the sandbox's API as the `global` stack leaves them."""

from collections.abc import Callable
from typing import Any

from lockstep.traffic import CONTROL_PLANE, Wanted, WantedSite

DOMAIN = "orders.example.com"
REGIONS = {"primary": "eu-west-1", "secondary": "eu-central-1"}
# Those of the committed stack files.
WANTED = Wanted(
    zone="example.com",
    domain=DOMAIN,
    path="/healthz",
    sites={
        name: WantedSite(
            domain=f"{name}.{DOMAIN}", weight=100, alarm=f"lockstep-orders-drain-{name}", alarm_region=REGIONS[peer]
        )
        for name, peer in (("primary", "secondary"), ("secondary", "primary"))
    },
)


class HostedTraffic:
    """The zone, which is made at once; `bring_up` makes the rest, the alarms of the sites' stacks too."""

    def __init__(self, aws: Callable[..., Any]) -> None:
        self.aws = aws
        self.route53 = aws("route53", CONTROL_PLANE)
        zone = self.route53.create_hosted_zone(Name=WANTED.zone, CallerReference="zone")["HostedZone"]["Id"]
        self.zone_id = zone.rpartition("/")[2]
        self.endpoints: dict[str, str] = {}
        self.switches: dict[str, str] = {}
        self.checks: dict[str, str] = {}

    def bring_up(self) -> None:
        """Each site's checks and record."""
        for site, wanted in WANTED.sites.items():
            self.endpoints[site] = self.check(
                f"{site}-endpoint",
                Type="HTTP",
                FullyQualifiedDomainName=wanted.domain,
                Port=80,
                ResourcePath=WANTED.path,
                RequestInterval=10,
                FailureThreshold=3,
            )
            self.switches[site] = self.switch(site)
            self.checks[site] = self.check(
                site,
                Type="CALCULATED",
                ChildHealthChecks=[self.endpoints[site], self.switches[site]],
                HealthThreshold=2,
            )
            self.change("CREATE", self.record(site))

    def alarm(self, site: str, **changes: Any) -> None:
        """The drain switch of a site, with `changes`."""
        wanted = WANTED.sites[site]
        self.aws("cloudwatch", wanted.alarm_region).put_metric_alarm(
            **{
                "AlarmName": wanted.alarm,
                "Namespace": "Lockstep",
                "MetricName": "Drain",
                "Dimensions": [{"Name": "Site", "Value": site}],
                "Statistic": "Maximum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "Threshold": 1.0,
                "TreatMissingData": "missing",
                **changes,
            }
        )

    def switch(self, site: str) -> str:
        """The check of a site's drain switch, with the alarm that it follows; its id."""
        self.alarm(site)
        wanted = WANTED.sites[site]
        return self.check(
            f"{site}-switch",
            Type="CLOUDWATCH_METRIC",
            AlarmIdentifier={"Name": wanted.alarm, "Region": wanted.alarm_region},
            InsufficientDataHealthStatus="LastKnownStatus",
        )

    def check(self, reference: str, **config: Any) -> str:
        """Make a health check; its id."""
        made = self.route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
        return str(made["HealthCheck"]["Id"])

    def record(self, site: str, **changes: Any) -> dict[str, Any]:
        """The record of a site, with `changes`; None takes a field away."""
        record = {
            "Name": DOMAIN,
            "Type": "CNAME",
            "SetIdentifier": site,
            "Weight": 100,
            "TTL": 30,
            "ResourceRecords": [{"Value": f"{site}.{DOMAIN}"}],
            "HealthCheckId": self.checks.get(site),
        }
        return {name: value for name, value in (record | changes).items() if value is not None}

    def change(self, action: str, *records: dict[str, Any]) -> None:
        """As somebody does it by hand."""
        batch = [{"Action": action, "ResourceRecordSet": record} for record in records]
        self.route53.change_resource_record_sets(HostedZoneId=self.zone_id, ChangeBatch={"Changes": batch})
