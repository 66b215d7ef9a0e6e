"""Everything the sandbox changes in moto, in one list, and the moto version that the list was made for."""

from importlib.metadata import version

from sandbox.api import (
    acm,
    autoscaling,
    balancers,
    cloudwatch,
    ec2,
    ec2_gateways,
    ec2_launch,
    elbv2,
    iam,
    images,
    instance_refresh,
    logs,
    machines,
    rds,
    route53,
    s3,
    service_quotas,
)
from sandbox.api.change import Change

MOTO_VERSION = "5.2.5"

CHANGES: tuple[Change, ...] = (
    *route53.CHANGES,
    *acm.CHANGES,
    *images.CHANGES,
    *ec2_launch.CHANGES,
    *ec2.CHANGES,
    *ec2_gateways.CHANGES,
    *elbv2.CHANGES,
    *s3.CHANGES,
    *autoscaling.CHANGES,
    *instance_refresh.CHANGES,
    *machines.CHANGES,
    *balancers.CHANGES,
    *iam.CHANGES,
    *rds.CHANGES,
    *cloudwatch.CHANGES,
    *logs.CHANGES,
    *service_quotas.CHANGES,
)

_installed = False


def install() -> None:
    """Apply every change, once per process.

    Raises RuntimeError if moto is another version than the changes were written for.
    """
    global _installed
    if _installed:
        return
    found = version("moto")
    if found != MOTO_VERSION:
        raise RuntimeError(
            f"moto {found} is installed, and the sandbox's API changes are written for {MOTO_VERSION}: run `make setup`"
        )
    for change in CHANGES:
        change.apply()
    _installed = True
