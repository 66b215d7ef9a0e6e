"""Why a mutant may survive: what it loses protects neither data nor traffic, or something else than a preview holds it.

Keys are the cases of `mutants`, an asterisk for any text. The first that fits counts. What says "held by" names the
test or the step that fails. A case that isn't here and survives is a failure: a policy is missing.
"""

from fnmatch import fnmatchcase
from typing import Final

COSMETIC: Final = "cosmetic: a name or a text for people"
TREE: Final = "cosmetic: where it stands in Pulumi's tree; region and tags come from the provider, held by test_program"
ORDER: Final = (
    "order of creation only: in a stack that is up all of it is there; in a new one a preview has no order to judge. "
    "Held by tests/components"
)
OUTPUT: Final = "an output of a component, which nothing reads: other components get the attribute"
BOOT: Final = (
    "what an instance does at boot: a preview can't run it. Held by test_cloud_config, by cloud-init's own schema, "
    "and by "
    "the first instance of a deployment, which gets no traffic before it serves"
)
HOOK: Final = (
    "when the fleet is rolled, not what it is: held by test_fleet and tests/end_to_end; without it `up` "
    "looks at the end"
)
AWS_DEFAULT: Final = "redundant: AWS's own default is the same"
KEPT: Final = "AWS keeps what nobody says any more, and a new stack's creation is refused without it"
READ: Final = "a read, which no policy can see; held by tests/components"
UNREAD: Final = "for people and commands: no stack and no policy reads it"

SURVIVORS: Final[dict[str, str]] = {
    # Texts and the tree
    "* tags removed": COSMETIC,
    "* tags.Name removed": COSMETIC,
    "* tags.propagate_at_launch = False": COSMETIC,
    "* description removed": COSMETIC,
    "* alarm_description removed": COSMETIC,
    "fleet Fleet._launch_template Name removed": COSMETIC,
    "fleet ec2.LaunchTemplate(template) tag_specifications.volume*": COSMETIC,
    "* rules.id removed": COSMETIC,
    "replication _as_declared id removed": COSMETIC,
    "replication _as_declared priority removed": "S3 asks for priorities that differ, and refuses a rule without",
    "* opts.parent removed": TREE,
    "* ResourceOptions.parent removed": TREE,
    "* ResourceOptions.parent#2 removed": TREE,
    # Order and hooks
    "* opts.depends_on removed": ORDER,
    "* opts.depends_on.* removed": ORDER,
    "* opts.replace_with removed": ORDER,
    "network Network.__init__ 0* removed": ORDER,
    "network Network.__init__ 1* removed": ORDER,
    "fleet *hooks*": HOOK,
    "fleet _hooks *": HOOK,
    "site Fleet FleetArgs.after_* removed": HOOK,
    # Outputs of components
    "drain_switch DrainSwitch.__init__ *": OUTPUT,
    "fleet Fleet.__init__ alb*": OUTPUT,
    "fleet Fleet.__init__ fleetName removed": OUTPUT,
    "fleet Fleet.__init__ launchTemplateId removed": OUTPUT,
    "network Network.__init__ vpcId removed": OUTPUT,
    "network Network.__init__ *SubnetIds removed": OUTPUT,
    "network Network.__init__ s3* removed": OUTPUT,
    "network Network.__init__ subnets.prefixlen_diff removed": "another layout of the same block: AWS refuses a "
    "subnet that "
    "overlaps one that is in use, and the plan says that all are replaced",
    "package_bucket PackageBucket.__init__ bucket* removed": OUTPUT,
    "replication Replication.__init__ roleArn removed": OUTPUT,
    "traffic Traffic.__init__ appDomain removed": OUTPUT,
    "traffic Traffic.__init__ zoneId removed": OUTPUT,
    "traffic Traffic.__init__ healthCheckIds removed": OUTPUT,
    "traffic Traffic.__init__ recordNames removed": OUTPUT,
    "contract GlobalContractArgs.outputs zoneId removed": UNREAD,
    "contract SiteContractArgs.outputs release removed": "a site without a release is a valid one; `lockstep "
    "deploy` and "
    "`status` read what runs, and refuse to count a site that doesn't run the settled release",
    "contract GlobalContract.__init__ releases removed": "the same, of the global stack: sites judge their own "
    "releases",
    # What an instance does
    "cloud_config _release *": BOOT,
    "fleet Fleet._launch_template cloud_config.*": BOOT,
    # The fleet
    "fleet autoscaling.Group(group) desired_capacity *": "AWS refuses fewer than `min_size`, which holds the load; "
    "else it "
    "is AWS's default",
    "fleet autoscaling.Group(group) max_size = args.wanted": "room to grow, not what is held ready (`min_size`)",
    "fleet autoscaling.Group(group) health_check_grace_period removed": AWS_DEFAULT,
    "fleet autoscaling.Group(group) wait_for_capacity_timeout removed": "how long `up` waits, not what there is",
    "fleet autoscaling.Group(group) launch_template*": "without effect where a group is: the change is ignored, and "
    "rolling "
    "is a deployment's. AWS refuses a new group without a template",
    "fleet autoscaling.Group(group) opts.ignore_changes removed": HOOK,
    "fleet lb.LoadBalancer(alb) load_balancer_type removed": AWS_DEFAULT,
    "fleet lb.LoadBalancer(alb) internal removed": AWS_DEFAULT,
    "fleet lb.TargetGroup(targets) target_type removed": AWS_DEFAULT,
    "fleet lb.TargetGroup(targets) health_check removed": "AWS's own check, of `/`: it takes longer; Route 53's "
    "asks the path",
    "fleet lb.TargetGroup(targets) health_check.enabled removed": AWS_DEFAULT,
    "fleet lb.TargetGroup(targets) health_check.protocol removed": AWS_DEFAULT,
    "fleet lb.TargetGroup(targets) health_check.port removed": AWS_DEFAULT,
    "fleet lb.TargetGroup(targets) health_check.path removed": "AWS's default, `/`: Route 53's check asks the path",
    "fleet lb.TargetGroup(targets) health_check.matcher removed": "AWS's default, 200: stricter",
    "fleet lb.TargetGroup(targets) health_check.interval removed": "AWS's default, 30 s: slower within a site; between "
    "sites Route 53 decides",
    "fleet lb.TargetGroup(targets) health_check.timeout removed": AWS_DEFAULT,
    "fleet lb.TargetGroup(targets) health_check.*healthy_threshold removed": "AWS's default, within the same minute",
    "listeners lb.Listener(*) protocol removed": KEPT,
    "listeners lb.Listener(*) port removed": KEPT,
    "fleet ec2.LaunchTemplate(template) metadata_options.http_endpoint removed": AWS_DEFAULT,
    "fleet ec2.LaunchTemplate(template) metadata_options.http_put_response_hop_limit removed": "the image's own, 2 "
    "at most",
    "fleet ec2.LaunchTemplate(template) block_device_mappings.ebs.volume_type removed": "cost: the image's own type",
    "fleet ec2.LaunchTemplate(template) block_device_mappings.ebs.delete_on_termination removed": "cost: the "
    "image's own "
    "setting, and volumes hold no data",
    "fleet Fleet._launch_template get_ami_output.*": READ,
    "release_guard *": READ,
    "traffic Traffic.__init__ get_zone_output.*": READ,
    "site build_site get_caller_identity_output.*": READ,
    "network Network._find_zones *": READ,
    "fleet ec2.SecurityGroup({role}) vpc_id removed": "AWS puts a new one into the default VPC, and refuses "
    "it for what "
    "is in this one",
    "fleet ec2.LaunchTemplate(template) block_device_mappings.device_name removed": "AWS refuses that",
    "joint Traffic TrafficArgs.protect = False": "all protection of the stack gone is what `lockstep:protect` false "
    "means, before a teardown: a policy can't tell the two apart, and the plan says nothing else. Held by test_traffic",
    # The drain switch
    "drain_switch cloudwatch.MetricAlarm(alarm) treat_missing_data removed": AWS_DEFAULT,
    # The network
    "network ec2.Vpc(vpc) cidr_block removed": KEPT,
    "network ec2.Vpc(vpc) enable_dns_support removed": AWS_DEFAULT,
    "network ec2.Vpc(vpc) enable_dns_hostnames *": "instances are reached by the balancer only, which uses addresses",
    "network ec2.InternetGateway(internet) vpc_id removed": KEPT,
    "network ec2.VpcEndpoint(s3) vpc_endpoint_type removed": AWS_DEFAULT,
    "network ec2.Subnet(*) map_public_ip_on_launch removed": AWS_DEFAULT,
    # The bucket
    "package_bucket s3.BucketOwnershipControls(ownership) removed": "AWS's default since April 2023 is the same",
    "package_bucket s3.BucketOwnershipControls(ownership) * removed": "AWS's default since April 2023 is the same",
    "package_bucket s3.BucketLifecycleConfiguration(lifecycle) *removed": "cost: what was overwritten is kept for ever",
    "package_bucket s3.BucketLifecycleConfiguration(lifecycle) rules.status = 'Disabled'": "cost: the same",
    "package_bucket s3.Bucket(bucket) force_destroy removed": AWS_DEFAULT,
}


def reason_for(case: str) -> str | None:
    """Why `case` may survive; None if nothing says so."""
    return next((reason for pattern, reason in SURVIVORS.items() if fnmatchcase(case, pattern)), None)
