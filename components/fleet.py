"""The fleet of a site: its balancer, and the instances that serve the application behind it."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import autoscaling, ec2, lb, vpc

from components.access import Outbound, admit_clients, let_out
from components.cloud_config import cloud_config, encoded
from components.names import BALANCER_NAME_MAX, GROUP_NAME_MAX, LAUNCH_TEMPLATE_NAME_MAX, logical
from lockstep.config.naming import RELEASE_TAG

LISTENER_PORT: Final = 80
APPLICATION_PORT: Final = 8080

# Seconds and counts of the balancer's own check. It acts within one site and so may be quicker than Route 53's, which
# moves traffic between regions (limits: Elastic Load Balancing API Reference, CreateTargetGroup).
_CHECK_INTERVAL: Final = 10
_CHECK_TIMEOUT: Final = 5
_HEALTHY_AFTER: Final = 2
_UNHEALTHY_AFTER: Final = 3
# What Route 53's checkers count as healthy too: the two must not disagree (Route 53 Developer Guide, "How Route 53
# determines whether a health check is healthy").
_GOOD_STATUS: Final = "200-399"

# Seconds that a new instance has for booting, installing its packages and turning healthy.
_BOOT_GRACE: Final = 300


@dataclass(frozen=True, kw_only=True)
class FleetArgs:
    """`release` None means that there is nothing to run yet: everything exists but instances. `image` is the name of an
    image that Amazon owns; `tags` go to what Auto Scaling launches, which a provider's default tags don't reach.
    `after_template` runs when the launch template has changed, and `after_group` when the group was created or has
    changed: rolling the fleet is theirs. `clients` are the blocks that may send requests, None for anybody; `outbound`
    is what instances reach."""

    application: str
    region: str
    release: str | None
    image: str
    instance_type: str
    instances: int
    health_check_path: str
    protect: bool
    tags: Mapping[str, str]
    vpc_id: pulumi.Input[str]
    public_subnet_ids: pulumi.Input[Sequence[str]]
    private_subnet_ids: pulumi.Input[Sequence[str]]
    outbound: Outbound
    bucket_name: pulumi.Input[str]
    clients: Sequence[ipaddress.IPv4Network] | None = None
    after_template: pulumi.ResourceHook | None = None
    after_group: pulumi.ResourceHook | None = None

    def __post_init__(self) -> None:
        if self.instances < 1:
            raise ValueError(
                f"{self.instances} instances: a fleet has 1 or more, and none only while there is no release"
            )

    @property
    def wanted(self) -> int:
        """How many instances the group keeps."""
        return 0 if self.release is None else self.instances


class Fleet(pulumi.ComponentResource):
    """An Application Load Balancer in the public subnets and an Auto Scaling group over all zones of the private ones.

    Creates: a balancer, its HTTP listener and a target group; a security group for the balancer and one for the
    instances, with their rules, and a rule in the interface endpoints' group; a launch template; an Auto Scaling group.

    Balancer, target group and group always exist: a site without a release is everything but running instances, and
    health checks and records have something to point at from the first day. `protect` keeps all three from deletion.

    The group ignores changes of its `launch_template`. The provider would switch the group first and start a refresh
    after, without waiting, so that AWS "rolls back" to the new version; rolling is a deployment's own step, or that of
    `after_template`, which runs before the group is looked at. Instances hold no data, and no credentials: nothing on
    them needs a role yet.
    """

    alb_dns_name: pulumi.Output[str]
    alb_zone_id: pulumi.Output[str]
    fleet_name: pulumi.Output[str]
    launch_template_id: pulumi.Output[str]
    instance_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: FleetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:fleet:Fleet", name, {"release": args.release, "instances": args.wanted}, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._protected = pulumi.ResourceOptions(parent=self, protect=args.protect)

        balancer_group, instance_group, rules = self._security_groups(args)
        balancer, targets, listener = self._balancer(args, balancer_group)
        template = self._launch_template(args, instance_group)
        group = autoscaling.Group(
            logical(name, "group", GROUP_NAME_MAX),
            min_size=args.wanted,
            desired_capacity=args.wanted,
            # A refresh launches the new instances before it ends the old ones.
            max_size=2 * args.wanted,
            vpc_zone_identifiers=args.private_subnet_ids,
            target_group_arns=[targets.arn],
            health_check_type="ELB",
            health_check_grace_period=_BOOT_GRACE,
            # The provider counts instances that run, whether or not they serve; `after_group` knows better.
            wait_for_capacity_timeout="0",
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            tags=[
                {"key": key, "value": value, "propagate_at_launch": True}
                for key, value in {"Name": name, **args.tags}.items()
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                # An instance that boots before it can be reached or can reach its packages is replaced as unhealthy.
                depends_on=[listener, *rules],
                ignore_changes=["launchTemplate"],
                # Its template names the security group; in another VPC neither that nor the new subnets fit the group.
                replace_with=[instance_group],
                hooks=_hooks(after_create=args.after_group, after_update=args.after_group),
            ),
        )

        self.alb_dns_name = balancer.dns_name
        self.alb_zone_id = balancer.zone_id
        self.fleet_name = group.name
        self.launch_template_id = template.id
        self.instance_group_id = instance_group.id
        self.register_outputs(
            {
                "albDnsName": self.alb_dns_name,
                "albZoneId": self.alb_zone_id,
                "fleetName": self.fleet_name,
                "launchTemplateId": self.launch_template_id,
                "instanceGroupId": self.instance_group_id,
            }
        )

    def _security_groups(
        self, args: FleetArgs
    ) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup, list[pulumi.CustomResource]]:
        """Clients to balancer, balancer to instances, instances to what the network reaches, and nothing else. The
        rules are resources of their own because the two groups name each other."""
        balancer = self._security_group("balancer", "Requests from the internet to the balancer", args.vpc_id)
        instances = self._security_group("instances", "Requests from the balancer to the instances", args.vpc_id)
        rules: list[pulumi.CustomResource] = [
            *admit_clients(
                self._name,
                balancer,
                region=args.region,
                ports={"http": LISTENER_PORT},
                checked="http",
                clients=args.clients,
                opts=self._child,
            ),
            vpc.SecurityGroupEgressRule(
                f"{self._name}-balancer-instances",
                security_group_id=balancer.id,
                description="To the instances",
                referenced_security_group_id=instances.id,
                ip_protocol="tcp",
                from_port=APPLICATION_PORT,
                to_port=APPLICATION_PORT,
                opts=self._child,
            ),
            vpc.SecurityGroupIngressRule(
                f"{self._name}-instances-balancer",
                security_group_id=instances.id,
                description="From the balancer",
                referenced_security_group_id=balancer.id,
                ip_protocol="tcp",
                from_port=APPLICATION_PORT,
                to_port=APPLICATION_PORT,
                opts=self._child,
            ),
            *let_out(self._name, instances, args.outbound, self._child),
        ]
        return balancer, instances, rules

    def _security_group(self, role: str, description: str, vpc_id: pulumi.Input[str]) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            logical(self._name, role, GROUP_NAME_MAX),
            vpc_id=vpc_id,
            description=description,
            tags={"Name": f"{self._name}-{role}"},
            opts=self._child,
        )

    def _balancer(
        self, args: FleetArgs, security_group: ec2.SecurityGroup
    ) -> tuple[lb.LoadBalancer, lb.TargetGroup, lb.Listener]:
        balancer = lb.LoadBalancer(
            logical(self._name, "alb", BALANCER_NAME_MAX),
            load_balancer_type="application",
            internal=False,
            subnets=args.public_subnet_ids,
            security_groups=[security_group.id],
            drop_invalid_header_fields=True,
            enable_deletion_protection=args.protect,
            tags={"Name": self._name},
            # A balancer can't move to another VPC, and an update would try to; its group is replaced with the VPC.
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, replace_with=[security_group]),
        )
        targets = lb.TargetGroup(
            logical(self._name, "targets", BALANCER_NAME_MAX),
            vpc_id=args.vpc_id,
            target_type="instance",
            protocol="HTTP",
            port=APPLICATION_PORT,
            health_check={
                "enabled": True,
                "protocol": "HTTP",
                "path": args.health_check_path,
                "port": "traffic-port",
                "matcher": _GOOD_STATUS,
                "interval": _CHECK_INTERVAL,
                "timeout": _CHECK_TIMEOUT,
                "healthy_threshold": _HEALTHY_AFTER,
                "unhealthy_threshold": _UNHEALTHY_AFTER,
            },
            tags={"Name": self._name},
            opts=self._protected,
        )
        listener = lb.Listener(
            f"{self._name}-http",
            load_balancer_arn=balancer.arn,
            protocol="HTTP",
            port=LISTENER_PORT,
            default_actions=[{"type": "forward", "target_group_arn": targets.arn}],
            opts=self._child,
        )
        return balancer, targets, listener

    def _launch_template(self, args: FleetArgs, security_group: ec2.SecurityGroup) -> ec2.LaunchTemplate:
        image = ec2.get_ami_output(
            owners=["amazon"],
            filters=[{"name": "name", "values": [args.image]}],
            # Amazon marks images as deprecated after 90 days; a pinned one must still be found then.
            include_deprecated=True,
            opts=pulumi.InvokeOptions(parent=self),
        )
        user_data = pulumi.Output.from_input(args.bucket_name).apply(
            lambda bucket_name: encoded(
                cloud_config(
                    application=args.application,
                    release=args.release,
                    bucket_name=bucket_name,
                    region=args.region,
                )
            )
        )
        tags = {"Name": self._name, **args.tags}
        instance_tags = tags if args.release is None else {**tags, RELEASE_TAG: args.release}
        return ec2.LaunchTemplate(
            logical(self._name, "template", LAUNCH_TEMPLATE_NAME_MAX),
            image_id=image.id,
            instance_type=args.instance_type,
            user_data=user_data,
            vpc_security_group_ids=[security_group.id],
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
            },
            block_device_mappings=[
                {
                    "device_name": image.root_device_name,
                    "ebs": {"encrypted": "true", "volume_type": "gp3", "delete_on_termination": "true"},
                }
            ],
            tag_specifications=[
                {"resource_type": "instance", "tags": instance_tags},
                {"resource_type": "volume", "tags": tags},
            ],
            tags={"Name": self._name},
            opts=pulumi.ResourceOptions(parent=self, hooks=_hooks(after_update=args.after_template)),
        )


def _hooks(
    *, after_create: pulumi.ResourceHook | None = None, after_update: pulumi.ResourceHook | None = None
) -> pulumi.ResourceHookBinding:
    return pulumi.ResourceHookBinding(
        after_create=[after_create] if after_create else None,
        after_update=[after_update] if after_update else None,
    )
