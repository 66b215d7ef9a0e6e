"""The quotas of Service Quotas that a site counts against, and which instances count."""

import itertools
from dataclasses import dataclass
from typing import Final

# Amazon EC2 User Guide, "Amazon EC2 instance type quotas": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z)
# instances". Other families have quotas of their own, which aren't looked at.
_STANDARD: Final = frozenset("acdhimrtz") | {"im", "is"}


@dataclass(frozen=True)
class Quota:
    """A quota of Service Quotas, and what it counts."""

    service: str
    code: str
    what: str


VCPUS: Final = Quota("ec2", "L-1216C47A", "vCPUs of running On-Demand Standard instances")
BALANCERS: Final = Quota("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers")
VPCS: Final = Quota("vpc", "L-F678F1CE", "VPCs")


def is_standard(instance_type: str) -> bool:
    """Whether an instance type counts against VCPUS: by all letters before its number, so that `inf2` doesn't."""
    return "".join(itertools.takewhile(str.isalpha, instance_type)) in _STANDARD
