"""Traffic without its stack: zone, checks and records on the sandbox's API as the `global` stack leaves them."""

from collections.abc import Callable
from typing import Any

from lockstep.traffic import CONTROL_PLANE, Wanted, WantedSite

DOMAIN = "orders.example.com"
# Those of the committed stack files.
WANTED = Wanted(
    zone="example.com",
    domain=DOMAIN,
    path="/healthz",
    sites={name: WantedSite(domain=f"{name}.{DOMAIN}", weight=100) for name in ("primary", "secondary")},
)


class HostedTraffic:
    """The zone, which is made at once; `bring_up` makes the rest."""

    def __init__(self, aws: Callable[..., Any]) -> None:
        self.route53 = aws("route53", CONTROL_PLANE)
        zone = self.route53.create_hosted_zone(Name=WANTED.zone, CallerReference="zone")["HostedZone"]["Id"]
        self.zone_id = zone.rpartition("/")[2]
        self.endpoints: dict[str, str] = {}
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
            self.checks[site] = self.check(
                site, Type="CALCULATED", ChildHealthChecks=[self.endpoints[site]], HealthThreshold=1
            )
            self.change("CREATE", self.record(site))

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
