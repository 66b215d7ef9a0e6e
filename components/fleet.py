"""The fleet of a site: its balancer, and the instances that serve the application behind it."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import autoscaling, ec2, lb, vpc

from components.access import Outbound, admit_clients, let_out
from components.cloud_config import cloud_config, encoded
from components.fleet_alarms import FleetAlarmsArgs, declare_alarms
from components.listeners import HTTP_PORT, HTTPS_PORT, declare_listeners
from components.names import BALANCER_NAME_MAX, GROUP_NAME_MAX, LAUNCH_TEMPLATE_NAME_MAX, logical
from lockstep.config.naming import RELEASE_TAG, errors_alarm_name, unhealthy_alarm_name

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

# Seconds. DNS moves new connections only: a client that keeps one open stays at a drained site for as long. The least
# that the balancer takes, which costs a client one connection a minute (API Reference, LoadBalancerAttribute,
# "client_keep_alive.seconds": 60 to 604,800, by default 3,600).
_CLIENT_KEEP_ALIVE: Final = 60
# Seconds without a byte, after which a connection ends, to clients and to instances alike. AWS's default, said because
# the application's own must be longer: else the balancer sends a request into a connection that closes, and answers 502
# (User Guide for Application Load Balancers, "Troubleshoot", HTTP 502).
_IDLE_TIMEOUT: Final = 60

# Seconds that a new instance has for booting, installing its packages and turning healthy.
_BOOT_GRACE: Final = 300


@dataclass(frozen=True, kw_only=True)
class FleetArgs:
    """`release` None means that there is nothing to run yet: everything exists but instances. `image` is the name of an
    image that Amazon owns; `tags` go to what Auto Scaling launches, which a provider's default tags don't reach.
    `after_template` runs when the launch template has changed, and `after_group` when the group was created or has
    changed: rolling the fleet is theirs. `clients` are the blocks that may send requests, None for anybody; `outbound`
    is what instances reach.

    `deregistration_seconds` is how long requests under way have when an instance leaves, `errors_per_minute` what makes
    the site's alarm ring. With `target_requests` per target and minute the group grows to `max_instances`. With a
    `certificate_arn` requests are taken over HTTPS, and those over HTTP redirected."""

    application: str
    site: str
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
    deregistration_seconds: int
    errors_per_minute: int
    clients: Sequence[ipaddress.IPv4Network] | None = None
    target_requests: int | None = None
    max_instances: int | None = None
    certificate_arn: pulumi.Input[str] | None = None
    after_template: pulumi.ResourceHook | None = None
    after_group: pulumi.ResourceHook | None = None

    def __post_init__(self) -> None:
        if self.instances < 1:
            raise ValueError(
                f"{self.instances} instances: a fleet has 1 or more, and none only while there is no release"
            )

        if (self.target_requests is None) != (self.max_instances is None):
            raise ValueError(
                f"target_requests {self.target_requests} with max_instances {self.max_instances}: what grows needs an "
                "end, and what doesn't has none"
            )
        if self.max_instances is not None and self.max_instances < 2 * self.instances:
            raise ValueError(f"max_instances {self.max_instances} leaves no room to replace {self.instances} at once")

    @property
    def wanted(self) -> int:
        """How many instances the group keeps."""
        return 0 if self.release is None else self.instances

    @property
    def most(self) -> int:
        """How many instances the group may have. A refresh launches the new instances before it ends the old ones."""
        return 0 if self.release is None else self.max_instances or 2 * self.instances


class Fleet(pulumi.ComponentResource):
    """An Application Load Balancer in the public subnets and an Auto Scaling group over all zones of the private ones.

    Creates: a balancer, its listeners and a target group; a security group for the balancer and one for the instances,
    with their rules, and a rule in the interface endpoints' group; a launch template; an Auto Scaling group, by option
    with a scaling policy; an alarm on unhealthy targets and one on their errors, by which rolls end.

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
        balancer, targets = self._balancer(args, balancer_group)
        listeners = declare_listeners(name, balancer, targets, args.certificate_arn, self._child)
        declare_alarms(
            name,
            balancer,
            targets,
            FleetAlarmsArgs(
                unhealthy_name=unhealthy_alarm_name(args.application, args.site),
                errors_name=errors_alarm_name(args.application, args.site),
                boot_grace=_BOOT_GRACE,
                errors_per_minute=args.errors_per_minute,
            ),
            self._child,
        )
        template = self._launch_template(args, instance_group)
        group = autoscaling.Group(
            logical(name, "group", GROUP_NAME_MAX),
            min_size=args.wanted,
            # Who scales by requests has set another number since.
            desired_capacity=args.wanted if args.target_requests is None else None,
            max_size=args.most,
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
                depends_on=[*listeners, *rules],
                ignore_changes=["launchTemplate"],
                # Its template names the security group; in another VPC neither that nor the new subnets fit the group.
                replace_with=[instance_group],
                hooks=_hooks(after_create=args.after_group, after_update=args.after_group),
            ),
        )

        if args.target_requests is not None:
            self._track(group, balancer, targets, args.target_requests)

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

    def _track(
        self, group: autoscaling.Group, balancer: lb.LoadBalancer, targets: lb.TargetGroup, requests: int
    ) -> None:
        """Scaling that holds `requests` per target and minute. It names the balancer and the target group together."""
        autoscaling.Policy(
            f"{self._name}-requests",
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            estimated_instance_warmup=_BOOT_GRACE,
            target_tracking_configuration={
                "predefined_metric_specification": {
                    "predefined_metric_type": "ALBRequestCountPerTarget",
                    "resource_label": pulumi.Output.concat(balancer.arn_suffix, "/", targets.arn_suffix),
                },
                "target_value": requests,
            },
            opts=self._child,
        )

    def _security_groups(
        self, args: FleetArgs
    ) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup, list[pulumi.CustomResource]]:
        """Clients to balancer, balancer to instances, instances to what the network reaches, and nothing else. The
        rules are resources of their own because the two groups name each other."""
        balancer = self._security_group("balancer", "Requests from the internet to the balancer", args.vpc_id)
        instances = self._security_group("instances", "Requests from the balancer to the instances", args.vpc_id)
        ports = {"http": HTTP_PORT} if args.certificate_arn is None else {"http": HTTP_PORT, "https": HTTPS_PORT}
        rules: list[pulumi.CustomResource] = [
            *admit_clients(
                self._name,
                balancer,
                region=args.region,
                ports=ports,
                checked="http" if args.certificate_arn is None else "https",
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

    def _balancer(self, args: FleetArgs, security_group: ec2.SecurityGroup) -> tuple[lb.LoadBalancer, lb.TargetGroup]:
        balancer = lb.LoadBalancer(
            logical(self._name, "alb", BALANCER_NAME_MAX),
            load_balancer_type="application",
            internal=False,
            subnets=args.public_subnet_ids,
            security_groups=[security_group.id],
            drop_invalid_header_fields=True,
            client_keep_alive=_CLIENT_KEEP_ALIVE,
            idle_timeout=_IDLE_TIMEOUT,
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
            deregistration_delay=args.deregistration_seconds,
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
        return balancer, targets

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
