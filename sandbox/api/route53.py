"""What the sandbox changes in moto's Route 53: as strict as AWS. One module for each kind of thing there is."""

from sandbox.api import route53_health_checks, route53_records, route53_zones

CHANGES = (*route53_zones.CHANGES, *route53_records.CHANGES, *route53_health_checks.CHANGES)
