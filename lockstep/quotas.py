"""Whether AWS would let every region have what the sites need, before anything is begun.

A region that can't start what a roll needs fails half way; one that can't take its peer's load fails when it is needed.
What can't be read stops nothing: an operator's role may well have no access to Service Quotas.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from lockstep.config import Config
from lockstep.config.models import Site
from lockstep.config.naming import APPLICATION_TAG, SITE_TAG
from lockstep.errors import RefusedError
from lockstep.quota_codes import BALANCERS, VCPUS, VPCS, Quota, is_standard
from lockstep.regions import FailureKind, classify, in_every_region, raise_for

Client = Callable[[str, str], Any]

# A roll starts as many instances as run, before it ends those.
_TIMES_IN_A_ROLL: Final = 2


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a region has of something, and how many there would be."""

    region: str
    quota: Quota
    used: int
    needed: int


@dataclass(frozen=True)
class _Answer:
    """What one region says: what is over its quota, and what it didn't tell."""

    over: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def check(client: Client, config: Config, warn: Callable[[str], None], *, rolls_only: bool = False) -> None:
    """Raise RefusedError if a region's quotas leave no room for its site; with `rolls_only` for a roll of its fleet.

    `warn` is told what can't be read. Raises RegionUnreachableError if a region doesn't answer.
    """
    sites = {site.region: site for site in config.sites}

    def ask(region: str) -> _Answer:
        over, unread = list[str](), list[str]()
        site = sites[region]
        for look in (_vcpus,) if rolls_only else (_vcpus, _balancers, _vpcs):
            try:
                demand = look(client, config.application, site)
                if demand is not None and demand.needed > demand.used:
                    limit = _limit(client, region, demand.quota)
                    over += _judge(demand, limit)
            except ClientError as error:
                failure = classify(region, error)
                if failure.kind is not FailureKind.DENIED:
                    raise
                unread.append(failure.text)
        return _Answer(tuple(over), tuple(unread))

    answers, failures = in_every_region(list(sites), ask)
    raise_for(failures)
    for region in sites:
        for text in answers[region].unread:
            warn(f"quotas of {region} aren't known, and AWS may refuse what is needed: {text}")
    _refuse(line for region in sites for line in answers[region].over)


def _refuse(lines: Iterable[str]) -> None:
    if found := list(lines):
        raise RefusedError(
            "\n".join(["AWS would refuse a part of it half way; nothing was changed:", *found]),
            "ask for the increases, which take minutes to days, and run this again when they are granted",
        )


def _judge(demand: Demand, limit: float) -> list[str]:
    """What is to be said of a demand, if it is over its quota."""
    if demand.needed <= limit:
        return []
    quota = demand.quota
    return [
        f"{demand.region}: {demand.needed} {quota.what} are needed ({demand.used} are there), and the quota "
        f"{quota.code} is {limit:g}: `aws service-quotas request-service-quota-increase --service-code "
        f"{quota.service} --quota-code {quota.code} --desired-value {demand.needed} --region {demand.region}`"
    ]


def _limit(client: Client, region: str, quota: Quota) -> float:
    """The quota of the account, which is AWS's default unless somebody has asked for more."""
    quotas = client("service-quotas", region)
    names = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    try:
        return float(quotas.get_service_quota(**names)["Quota"]["Value"])
    except ClientError as error:
        # Service Quotas API Reference, GetServiceQuota: only quotas that differ are there for some services.
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        return float(quotas.get_aws_default_service_quota(**names)["Quota"]["Value"])


def _vcpus(client: Client, application: str, site: Site) -> Demand | None:
    """None where the site needs none of this quota."""
    wanted = site.fleet.instance_types[0]
    if site.release is None or not is_standard(wanted):
        return None
    ec2 = client("ec2", site.region)
    running = [
        each
        for page in ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )
        for reservation in page["Reservations"]
        for each in reservation["Instances"]
        if "InstanceLifecycle" not in each and is_standard(each["InstanceType"])
    ]
    sizes = _sizes(ec2, sorted({wanted, *(each["InstanceType"] for each in running)}))
    used = sum(sizes[each["InstanceType"]] for each in running)
    own = sum(sizes[each["InstanceType"]] for each in running if _is_of(each, application, site.name))
    most = max(_TIMES_IN_A_ROLL * site.fleet.instances, site.fleet.max_instances or 0)
    # What runs may be of another type, and a roll keeps it until the new ones serve.
    needed = used - own + max(most * sizes[wanted], own + site.fleet.instances * sizes[wanted])
    return Demand(region=site.region, quota=VCPUS, used=used, needed=needed)


def _sizes(ec2: Any, types: Sequence[str]) -> Mapping[str, int]:
    """vCPUs of each instance type."""
    pages = ec2.get_paginator("describe_instance_types").paginate(InstanceTypes=list(types))
    return {
        each["InstanceType"]: math.ceil(each["VCpuInfo"]["DefaultVCpus"])
        for page in pages
        for each in page["InstanceTypes"]
    }


def _is_of(resource: Mapping[str, Any], application: str, site: str) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}
    return tags.get(APPLICATION_TAG) == application and tags.get(SITE_TAG) == site


def _all_vpcs(client: Client, region: str) -> list[Mapping[str, Any]]:
    pages = client("ec2", region).get_paginator("describe_vpcs").paginate()
    return [vpc for page in pages for vpc in page["Vpcs"]]


def _vpcs(client: Client, application: str, site: Site) -> Demand:
    found = _all_vpcs(client, site.region)
    missing = not any(_is_of(vpc, application, site.name) for vpc in found)
    return Demand(region=site.region, quota=VPCS, used=len(found), needed=len(found) + missing)


def _balancers(client: Client, application: str, site: Site) -> Demand:
    own = {vpc["VpcId"] for vpc in _all_vpcs(client, site.region) if _is_of(vpc, application, site.name)}
    pages = client("elbv2", site.region).get_paginator("describe_load_balancers").paginate()
    found = [each for page in pages for each in page["LoadBalancers"] if each["Type"] == "application"]
    missing = not any(each["VpcId"] in own for each in found)
    return Demand(region=site.region, quota=BALANCERS, used=len(found), needed=len(found) + missing)
