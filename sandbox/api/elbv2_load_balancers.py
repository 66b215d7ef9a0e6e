"""Application load balancers as strict as AWS: names, zones, networks, deletion."""

import random
from typing import Any

from moto.elbv2.models import ELBv2Backend

from sandbox.api.change import Change, wrap
from sandbox.api.elbv2_attributes import LOAD_BALANCER_DEFAULTS
from sandbox.api.elbv2_error import check_name, refuse, unsupported

# AWS General Reference, "Elastic Load Balancing endpoints and quotas": hosted zone of application load balancers. Alias
# records name it, so a wrong one is a record that AWS refuses.
HOSTED_ZONES = {
    "af-south-1": "Z268VQBMOI5EKX",
    "ap-east-1": "Z3DQVH9N71FHZ0",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-northeast-2": "ZWKZPGTI48KDX",
    "ap-northeast-3": "Z5LXEXXYW11ES",
    "ap-south-1": "ZP97RAFLXTNZK",
    "ap-south-2": "Z0173938T07WNTVAEPZN",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ap-southeast-3": "Z08888821HLRG5A9ZRTER",
    "ap-southeast-4": "Z09517862IB2WZLPXG76F",
    "ap-southeast-5": "Z06010284QMVVW7WO5J",
    "ap-southeast-7": "Z0390008CMBRTHFGWBCB",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "ca-west-1": "Z06473681N0SF6OS049SD",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-central-2": "Z06391101F2ZOEP8P5EB3",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "eu-south-1": "Z3ULH7SSC9OV64",
    "eu-south-2": "Z0956581394HF5D5LXGAP",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "il-central-1": "Z09170902867EHPV2DABU",
    "me-central-1": "Z08230872XQRWHG2XF6I",
    "me-south-1": "ZS929ML54UICD",
    "sa-east-1": "Z2P70J7HTTTPLU",
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
}
# User Guide for Application Load Balancers, "Subnets for your load balancer": two zones, /27 and 8 free addresses each.
ZONES_MIN = 2
FREE_ADDRESSES_MIN = 8
SCHEMES = ("internet-facing", "internal")


def _check_subnets(backend: Any, subnet_ids: list[str], scheme: str) -> list[Any]:
    known = {subnet.id: subnet for subnet in backend.ec2_backend.describe_subnets()}
    for subnet_id in subnet_ids:
        if subnet_id not in known:
            refuse("SubnetNotFound", f"The subnet ID '{subnet_id}' does not exist")
    subnets = [known[subnet_id] for subnet_id in subnet_ids]
    zones = [subnet.availability_zone for subnet in subnets]
    if len(set(zones)) < len(zones):
        refuse(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    if len(zones) < ZONES_MIN:
        refuse("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        refuse("InvalidConfigurationRequest", "All subnets must belong to the same VPC")
    for subnet in subnets:
        if subnet.available_ip_address_count < FREE_ADDRESSES_MIN:
            refuse(
                "InvalidSubnet",
                f"Not enough IP space available in {subnet.id}. ELB requires at least {FREE_ADDRESSES_MIN} free IP "
                "addresses in each subnet.",
            )
    vpc_id = subnets[0].vpc_id
    gateways = backend.ec2_backend.internet_gateways.values()
    if scheme == "internet-facing" and not any(gateway.vpc and gateway.vpc.id == vpc_id for gateway in gateways):
        refuse("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")
    return subnets


def _check_groups(backend: Any, groups: list[str], vpc_id: str) -> list[str]:
    """The groups of a balancer in `vpc_id`: those given, if all are the VPC's own, else its default one."""
    for group_id in groups:
        group = backend.ec2_backend.get_security_group_from_id(group_id)
        if group is None or group.vpc_id != vpc_id:
            refuse("InvalidConfigurationRequest", "One or more security groups are invalid")
    return groups or [backend.ec2_backend.get_default_security_group(vpc_id).id]


def _same_settings(balancer: Any, settings: dict[str, Any]) -> bool:
    return bool(
        set(balancer.security_groups) == set(settings["security_groups"])
        and {subnet.id for subnet in balancer.subnets} == set(settings["subnet_ids"])
        and balancer.scheme == settings["scheme"]
        and balancer.ip_address_type == settings["ip_address_type"]
    )


def _dns_name(name: str, scheme: str, region: str) -> str:
    # User Guide for Application Load Balancers: name-id.region.elb.amazonaws.com, internal- before it if internal.
    prefix = "internal-" if scheme == "internal" else ""
    return f"{prefix}{name}-{random.randint(10**8, 2 * 10**9)}.{region}.elb.amazonaws.com".lower()


def _create_load_balancer(
    original: Any,
    backend: Any,
    name: str,
    security_groups: list[str],
    subnet_ids: list[str],
    subnet_mappings: list[dict[str, str]] | None = None,
    scheme: str | None = None,
    loadbalancer_type: str | None = None,
    ip_address_type: str = "ipv4",
    tags: list[dict[str, str]] | None = None,
) -> Any:
    if loadbalancer_type not in (None, "application"):
        unsupported(f"load balancers of type {loadbalancer_type}")
    check_name("The load balancer", name)
    if name.startswith("internal-"):
        refuse("ValidationError", f"The load balancer name '{name}' cannot begin with 'internal-'")
    scheme = scheme or "internet-facing"
    if scheme not in SCHEMES:
        refuse("InvalidScheme", f"Load balancer scheme '{scheme}' must be one of {', '.join(SCHEMES)}")
    if backend.region_name not in HOSTED_ZONES:
        unsupported(f"load balancers in {backend.region_name}")
    if any(set(mapping) - {"SubnetId"} for mapping in subnet_mappings or []):
        unsupported("subnet mappings with addresses of their own")
    wanted = [*subnet_ids, *(mapping["SubnetId"] for mapping in subnet_mappings or [])]
    subnets = _check_subnets(backend, wanted, scheme)
    groups = _check_groups(backend, security_groups, subnets[0].vpc_id)
    settings = {
        "security_groups": groups,
        "subnet_ids": wanted,
        "scheme": scheme,
        "ip_address_type": ip_address_type,
    }
    for existing in backend.load_balancers.values():
        if existing.name == name:
            if _same_settings(existing, settings):
                return existing
            refuse(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{name}' exists, but with different settings",
            )
    balancer = original(backend, name, loadbalancer_type="application", tags=tags, **settings)
    balancer.dns_name = _dns_name(name, scheme, backend.region_name)
    balancer.canonical_hosted_zone_id = HOSTED_ZONES[backend.region_name]
    balancer.attrs = dict(LOAD_BALANCER_DEFAULTS)
    return balancer


def balancer_with(backend: Any, arn: str) -> Any:
    """The load balancer of an ARN, or AWS's refusal."""
    if arn not in backend.load_balancers:
        refuse("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    return backend.load_balancers[arn]


def _describe_load_balancers(original: Any, backend: Any, arns: Any, names: Any) -> Any:
    known_names = {balancer.name for balancer in backend.load_balancers.values()}
    missing = [arn for arn in arns or [] if arn not in backend.load_balancers]
    missing += [name for name in names or [] if name not in known_names]
    if missing:
        refuse("LoadBalancerNotFound", f"Load balancers '[{', '.join(missing)}]' not found")
    return original(backend, arns, names)


def _delete_load_balancer(original: Any, backend: Any, arn: str) -> None:
    balancer = backend.load_balancers.get(arn)
    if balancer and balancer.attrs["deletion_protection.enabled"] == "true":
        refuse(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    original(backend, arn)


def _set_security_groups(original: Any, backend: Any, arn: str, sec_groups: list[str]) -> None:
    balancer = balancer_with(backend, arn)
    _check_groups(backend, sec_groups, balancer.vpc_id)
    original(backend, arn, sec_groups)


def _set_subnets(original: Any, backend: Any, arn: str, subnets: list[str], mappings: list[dict[str, Any]]) -> Any:
    balancer = balancer_with(backend, arn)
    wanted = [*subnets, *(mapping["SubnetId"] for mapping in mappings)]
    chosen = _check_subnets(backend, wanted, balancer.scheme)
    if chosen[0].vpc_id != balancer.vpc_id:
        refuse(
            "InvalidConfigurationRequest", f"The subnets are not in the VPC '{balancer.vpc_id}' of the load balancer"
        )
    return original(backend, arn, subnets, mappings)


def _apply() -> None:
    wrap(ELBv2Backend, "create_load_balancer", _create_load_balancer)
    wrap(ELBv2Backend, "describe_load_balancers", _describe_load_balancers)
    wrap(ELBv2Backend, "set_security_groups", _set_security_groups)
    wrap(ELBv2Backend, "set_subnets", _set_subnets)


CHANGES: tuple[Change, ...] = (
    Change(
        name="elbv2-load-balancers",
        why=(
            "moto makes two balancers of one name, in one subnet, with any name, scheme or security group, gives every "
            "region the hosted zone Z2P70J7EXAMPLE and the same DNS name to the same name. AWS: Elastic Load Balancing "
            "API Reference, CreateLoadBalancer, SetSubnets, SetSecurityGroups; hosted zones: AWS General Reference."
        ),
        apply=_apply,
    ),
    Change(
        name="elbv2-deletion-protection",
        why=(
            "moto deletes protected balancers. AWS answers OperationNotPermitted until deletion_protection.enabled is "
            "false (Elastic Load Balancing API Reference, DeleteLoadBalancer)."
        ),
        apply=lambda: wrap(ELBv2Backend, "delete_load_balancer", _delete_load_balancer),
    ),
)
