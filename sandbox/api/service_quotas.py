"""Quotas of the account, as Service Quotas tells them and as EC2 keeps to them.

Only those that something of the sandbox counts. Values are what AWS gives accounts in use: a new one begins with 5
vCPUs and is raised by itself (Amazon EC2 User Guide, "Amazon EC2 instance type quotas").
"""

from dataclasses import dataclass
from typing import Any, Final

from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

from lockstep.quota_codes import BALANCERS, VCPUS, VPCS, is_standard
from sandbox.api.change import Change, wrap

_SERVICES: Final = {
    "ec2": "Amazon Elastic Compute Cloud (Amazon EC2)",
    "elasticloadbalancing": "Elastic Load Balancing (ELB)",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
}


@dataclass
class Applied:
    """A quota and its value; `name` is AWS's."""

    name: str
    value: float


# Service Quotas console and the services' own pages: Elastic Load Balancing "Quotas for your Application Load
# Balancers", 50; VPC User Guide, "Amazon VPC quotas", 5.
APPLIED: Final[dict[tuple[str, str], Applied]] = {
    (VCPUS.service, VCPUS.code): Applied("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 1_152.0),
    (BALANCERS.service, BALANCERS.code): Applied("Application Load Balancers per Region", 50.0),
    (VPCS.service, VPCS.code): Applied("VPCs per Region", 5.0),
}


def _get(_original: Any, backend: ServiceQuotasBackend, service_code: str, quota_code: str) -> dict[str, Any]:
    applied = APPLIED.get((service_code, quota_code))
    if applied is None:
        raise NoSuchResource
    arn = f"arn:aws:servicequotas:{backend.region_name}:{backend.account_id}:{service_code}/{quota_code}"
    return {
        "ServiceCode": service_code,
        "ServiceName": _SERVICES[service_code],
        "QuotaArn": arn,
        "QuotaCode": quota_code,
        "QuotaName": applied.name,
        "Value": applied.value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def vcpus_left(backend: Any) -> float:
    """How many vCPUs of Standard instances EC2's `backend` may still start."""
    used = sum(
        _vcpus(instance.instance_type)
        for reservation in backend.reservations.values()
        for instance in reservation.instances
        if instance.state in ("pending", "running") and is_standard(instance.instance_type)
    )
    return APPLIED[(VCPUS.service, VCPUS.code)].value - used


def vcpus_wanted(instance_type: str, count: int) -> int:
    """What `count` instances count for; nothing if they are of a family whose quota isn't kept to."""
    return count * _vcpus(instance_type) if is_standard(instance_type) else 0


def _vcpus(instance_type: str) -> int:
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


CHANGES: tuple[Change, ...] = (
    Change(
        name="service-quotas-values",
        why=(
            "moto knows quotas of VPC only. Here are those that the sandbox keeps to or counts (Service Quotas API "
            "Reference, GetServiceQuota)."
        ),
        apply=lambda: wrap(ServiceQuotasBackend, "get_service_quota", _get),
    ),
)
