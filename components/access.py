"""Who reaches the balancer, and what the instances reach: the rules of a fleet's security groups.

Rule: health checkers are never shut out. A site that they can't reach looks lost, and its traffic goes elsewhere.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, vpc

_ANYWHERE: Final = "0.0.0.0/0"
_HTTPS: Final = 443


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """What instances reach: S3 by its prefix list, interface endpoints by their security group, and `internet`."""

    s3_prefix_list_id: pulumi.Input[str]
    endpoint_group_id: pulumi.Input[str] | None = None
    internet: bool = False


def admit_clients(
    name: str,
    balancer: ec2.SecurityGroup,
    *,
    region: str,
    ports: Mapping[str, int],
    checked: str,
    clients: Sequence[ipaddress.IPv4Network] | None,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.CustomResource]:
    """The rules that let requests in: from anywhere if `clients` is None, else from these blocks and from Route 53's
    health checkers, to whose port, `checked`, a managed prefix list opens. `ports` are the listeners' by their names.

    The list weighs as much as 25 rules (VPC User Guide, "AWS-managed prefix list weight"), of 60 that a group may have.
    """
    blocks = [_ANYWHERE] if clients is None else [str(block) for block in clients]
    rules: list[pulumi.CustomResource] = [
        vpc.SecurityGroupIngressRule(
            # By the block, so that taking one off the list changes no other rule.
            f"{name}-balancer-{role}" + ("" if clients is None else f"-{block.replace('/', '-')}"),
            security_group_id=balancer.id,
            description=f"{role.upper()} from {'anywhere, health checkers included' if clients is None else 'clients'}",
            cidr_ipv4=block,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=opts,
        )
        for role, port in ports.items()
        for block in blocks
    ]
    if clients is not None:
        checkers = ec2.get_managed_prefix_list_output(
            name=f"com.amazonaws.{region}.route53-healthchecks", opts=pulumi.InvokeOptions(parent=opts.parent)
        )
        rules.append(
            vpc.SecurityGroupIngressRule(
                f"{name}-balancer-checkers",
                security_group_id=balancer.id,
                description="Route 53 health checkers",
                prefix_list_id=checkers.id,
                ip_protocol="tcp",
                from_port=ports[checked],
                to_port=ports[checked],
                opts=opts,
            )
        )
    return rules


def let_out(
    name: str, instances: ec2.SecurityGroup, outbound: Outbound, opts: pulumi.ResourceOptions
) -> list[pulumi.CustomResource]:
    """The rules that let instances out, over HTTPS only, and the one that lets them into the interface endpoints.

    What they ask of the VPC's own DNS server needs no rule (VPC User Guide, "Control traffic to your AWS resources
    using security groups": traffic to and from Amazon DNS isn't filtered).
    """

    def egress(
        role: str,
        description: str,
        *,
        prefix_list_id: pulumi.Input[str] | None = None,
        referenced_security_group_id: pulumi.Input[str] | None = None,
        cidr_ipv4: str | None = None,
    ) -> vpc.SecurityGroupEgressRule:
        return vpc.SecurityGroupEgressRule(
            f"{name}-instances-{role}",
            security_group_id=instances.id,
            description=description,
            prefix_list_id=prefix_list_id,
            referenced_security_group_id=referenced_security_group_id,
            cidr_ipv4=cidr_ipv4,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
            opts=opts,
        )

    rules: list[pulumi.CustomResource] = [
        egress("s3", "Packages from S3, through the endpoint", prefix_list_id=outbound.s3_prefix_list_id)
    ]
    if outbound.endpoint_group_id is not None:
        rules += [
            egress(
                "endpoints",
                "AWS services, through their endpoints",
                referenced_security_group_id=outbound.endpoint_group_id,
            ),
            vpc.SecurityGroupIngressRule(
                f"{name}-endpoints-instances",
                security_group_id=outbound.endpoint_group_id,
                description="From the instances",
                referenced_security_group_id=instances.id,
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                opts=opts,
            ),
        ]
    if outbound.internet:
        rules.append(egress("internet", "Anything over HTTPS, through the NAT gateways", cidr_ipv4=_ANYWHERE))
    return rules
