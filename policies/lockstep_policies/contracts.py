"""What Lockstep's contracts say: the only way in which a policy can see another stack.

A site's contract holds what its resources are (region, bucket, own name, balancer). The global stack's holds what it
received from every site, as maps by site, and what it made of it (records and health checks by site).
"""

from __future__ import annotations

import json
from typing import Any

import pulumi

from lockstep_policies.findings import is_known
from lockstep_policies.view import UNKNOWN, Stack, dns_name_of

#: Property of the global contract that holds each site's region, bucket, own name, ...: maps by site.
REGIONS = "regions"
BUCKET_NAMES = "bucketNames"
SITE_DOMAINS = "siteDomains"
RECORD_NAMES = "recordNames"
_BY_SITE = (REGIONS, BUCKET_NAMES, SITE_DOMAINS, RECORD_NAMES, "healthCheckIds", "releases")


def rto_seconds(stack: Stack) -> float | None:
    """The recovery time that the stack's contract promises, None if it has none or it isn't known."""
    return _number(stack, "rtoSeconds")


def rpo_seconds(stack: Stack) -> float | None:
    """The seconds of data that the stack's contract allows to be lost, None if it has none or it isn't known."""
    return _number(stack, "rpoSeconds")


def _number(stack: Stack, key: str) -> float | None:
    for contract in (stack.global_contract, stack.site_contract):
        value = contract.get(key) if contract is not None else None
        if isinstance(value, int | float):
            return value
    return None


def sites(stack: Stack) -> list[str]:
    """Every site that the global stack has to join: those of the configuration and those of the contract.

    The configuration counts because a contract that leaves a site out must not hide it.
    """
    contract = stack.global_contract
    if contract is None:
        return []
    named = {site for key in _BY_SITE for site in _map(contract.get(key))}
    return list(dict.fromkeys([*_configured_sites(), *sorted(named)]))


def _configured_sites() -> list[str]:
    text = pulumi.Config("lockstep").get("sites")
    try:
        value = json.loads(text) if text else []
    except json.JSONDecodeError:
        return []
    return [site for site in value if isinstance(site, str)] if isinstance(value, list) else []


def site_region(stack: Stack, site: str) -> Any:
    """A site's region as the global stack received it: a name, `UNKNOWN`, or None if the contract doesn't say."""
    return _of_site(stack, REGIONS, site)


def site_bucket(stack: Stack, site: str) -> Any:
    """The name of a site's package bucket, `UNKNOWN`, or None if the contract doesn't say."""
    return _of_site(stack, BUCKET_NAMES, site)


def bucket_region(stack: Stack, name: str) -> Any:
    """The region of a bucket by its name, from the contracts; None if they don't name it."""
    for site in sites(stack):
        if site_bucket(stack, site) == name:
            return site_region(stack, site)
    contract = stack.site_contract
    if contract is not None and contract.get("bucketName") == name:
        return contract.get("region")
    return None


def site_region_of(stack: Stack, name: str) -> str | None:
    """The region of the site that has a domain name as its own, from the global contract; None for other names."""
    for site in sites(stack):
        domain, region = _of_site(stack, SITE_DOMAINS, site), site_region(stack, site)
        if isinstance(domain, str) and dns_name_of(domain) == name and is_known(region):
            return str(region)
    return None


def application_names(stack: Stack) -> set[str]:
    """Names by which clients reach the application, whichever site answers."""
    contract = stack.global_contract
    name = contract.get("appDomain") if contract is not None else None
    return {dns_name_of(name)} if isinstance(name, str) else set()


def own_names(stack: Stack) -> set[str]:
    """The names that belong to one site each, as the stack's contract gives them."""
    site, whole = stack.site_contract, stack.global_contract
    found = [site.get("siteDomain")] if site is not None else []
    found += _map(whole.get(SITE_DOMAINS)).values() if whole is not None else []
    return {dns_name_of(name) for name in found if isinstance(name, str)}


def is_own_name(stack: Stack, name: str) -> bool:
    """Whether a domain name belongs to one site."""
    return name in own_names(stack)


def _of_site(stack: Stack, key: str, site: str) -> Any:
    contract = stack.global_contract
    value = contract.get(key) if contract is not None else None
    return UNKNOWN if value is UNKNOWN else _map(value).get(site)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
