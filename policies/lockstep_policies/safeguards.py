"""Group `safeguards`: what data and traffic rely on can't be deleted, closed or disarmed by a small edit.

Sources: Elastic Load Balancing user guide, "Deletion protection"; pulumi-aws, `s3.Bucket.forceDestroy` (a destroy
empties the bucket first); EC2 user guide, "Use the Instance Metadata Service", and "Amazon EBS encryption"; Application
Load Balancers user guide, "Desync mitigation mode" and "routing.http.drop_invalid_header_fields.enabled"; CloudWatch
user guide, "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from lockstep_policies.buckets import REPLICATION
from lockstep_policies.findings import EXEMPTIONS_SCHEMA, Findings, is_known, judged_by
from lockstep_policies.fleets import GROUPS, SUBNETS
from lockstep_policies.health_checks import ALARM, BALANCERS, CALCULATED, CHECK, RECORD, kind
from lockstep_policies.view import UNKNOWN, Resource, Stack, field, is_set

TEMPLATES: Final = ("aws:ec2/launchTemplate:LaunchTemplate",)
SECURITY_GROUPS: Final = ("aws:ec2/securityGroup:SecurityGroup",)
INGRESS: Final = ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",)
EGRESS: Final = ("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",)
OWNERSHIP: Final = ("aws:s3/bucketOwnershipControls:BucketOwnershipControls",)
LIFECYCLES: Final = ("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",)
ROLES: Final = ("aws:iam/role:Role",)
ROLE_POLICIES: Final = (
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
)
VPCS: Final = ("aws:ec2/vpc:Vpc",)
ENDPOINTS: Final = ("aws:ec2/vpcEndpoint:VpcEndpoint",)
ASSOCIATIONS: Final = ("aws:ec2/routeTableAssociation:RouteTableAssociation",)
TABLES: Final = ("aws:ec2/routeTable:RouteTable",)
ROUTES: Final = ("aws:ec2/route:Route",)
TARGETS: Final = ("aws:lb/targetGroup:TargetGroup", "aws:alb/targetGroup:TargetGroup")
BUCKET: Final = "aws:s3/bucket:Bucket"

#: What holds data, or is what clients' requests go through. Endpoint checks are left out: another interval replaces
#: them, and their parents hold the records' status meanwhile.
HOLDS_DATA_OR_TRAFFIC: Final = frozenset(
    {
        BUCKET,
        "aws:s3/bucketV2:BucketV2",
        *BALANCERS,
        *TARGETS,
        "aws:autoscaling/group:Group",
        "aws:rds/instance:Instance",
        "aws:rds/cluster:Cluster",
        "aws:rds/globalCluster:GlobalCluster",
        "aws:backup/vault:Vault",
        "aws:kms/key:Key",
    }
)
#: What AWS or the provider refuses by: types, property, its safe value and its default. A classic balancer has none.
_DELETION: Final = (
    (BALANCERS[:2], "enableDeletionProtection", True, False),
    ((BUCKET,), "forceDestroy", False, False),
)
#: What an instance needs to boot into the application and to be reached: wire name and argument.
_TEMPLATE_NEEDS: Final = (
    ("imageId", "image_id"),
    ("instanceType", "instance_type"),
    ("userData", "user_data"),
    ("vpcSecurityGroupIds", "vpc_security_group_ids"),
)
#: Route 53 developer guide, "How Route 53 determines whether a health check is healthy": 2xx and 3xx.
_GOOD_STATUS_MAX: Final = 399
#: Days for which overwritten and deleted objects are kept at least: a week has a weekend in it.
_NONCURRENT_DAYS_MIN: Final = 7
#: Values with which a drain switch is tried: its metric is 1 while a site is drained, else 0.
_DRAINED: Final = 1.0
_OPEN: Final = 0.0
_COMPARISONS: Final = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}


class Safeguards:
    """The checks of the group, over one stack."""

    def __init__(self, stack: Stack, findings: Findings) -> None:
        self._stack = stack
        self._findings = findings

    def run(self) -> None:
        """Judges deletion, and in Lockstep's stacks what instances, balancers and the drain switch are like."""
        if any(resource.is_protected for resource in self._stack.resources):
            for resource in self._stack.resources:
                self._findings.guard(resource, self._judge_deletion, resource)
        if not self._stack.has_contract:
            return
        for template in self._stack.of(*TEMPLATES):
            self._findings.guard(template, self._judge_template, template)
        for balancer in self._stack.of(*BALANCERS[:2]):
            self._findings.guard(balancer, self._judge_balancer, balancer)
        for targets in self._stack.of(*TARGETS):
            self._findings.guard(targets, self._judge_targets, targets)
        for types, judge in (
            (OWNERSHIP, self._judge_ownership),
            (LIFECYCLES, self._judge_lifecycle),
            (REPLICATION, self._judge_rights),
            (VPCS, self._judge_vpc),
            (ENDPOINTS, self._judge_endpoint),
        ):
            for resource in self._stack.of(*types):
                self._findings.guard(resource, judge, resource)
        for balancer in self._stack.of(*BALANCERS[:2]):
            if balancer.get("internal") is not True:
                self._findings.guard(balancer, self._judge_public_subnets, balancer)
        for group in self._stack.of(*GROUPS):
            self._findings.guard(group, self._judge_private_subnets, group)
        # One that isn't there is regions/contract's matter.
        for alarm in self._switches():
            self._findings.guard(alarm, self._judge_alarm, alarm)

    # Deletion

    def _judge_deletion(self, resource: Resource) -> None:
        if not resource.is_protected:
            if self._holds(resource):
                self._findings.violation(
                    "protected",
                    resource,
                    "other resources of this stack are protected from deletion and this one isn't, though it holds "
                    "data or traffic. Give its `ResourceOptions` `protect=True`. To tear the stack down, take the "
                    "protection off everything (`lockstep:protect` false).",
                )
            return
        for types, key, safe, default in _DELETION:
            value = resource.get(key)
            if resource.type in types and (default if value is None else value) is not safe:
                self._findings.violation(
                    "deletion",
                    resource,
                    f"`{key}` is {value if is_known(value) else 'not set'}, so that AWS's API deletes it, with what it "
                    f"holds, for whoever asks; Pulumi's `protect` is no protection there. Set it to {safe}.",
                )

    def _holds(self, resource: Resource) -> bool:
        if resource.type in HOLDS_DATA_OR_TRAFFIC:
            return True
        if resource.type == RECORD:
            return is_set(resource.get("setIdentifier"))
        if resource.type == CHECK:
            return kind(resource) in (CALCULATED, "CLOUDWATCH_METRIC")
        # Not a drain switch's alarm: it moves when a site joins. `retain_on_delete` keeps it, which no policy sees.
        return False

    # Instances

    def _judge_template(self, template: Resource) -> None:
        tokens = field(template.get("metadataOptions"), "httpTokens")
        if tokens != "required":
            self._findings.violation(
                "metadata",
                template,
                f"`http_tokens` of its `metadata_options` is {_said(tokens)}: a request that an instance is tricked "
                'into reads its credentials. Set it to "required".',
            )
        hops = field(template.get("metadataOptions"), "httpPutResponseHopLimit")
        if is_known(hops) and isinstance(hops, int) and hops > 2:
            self._findings.violation(
                "metadata",
                template,
                f"`http_put_response_hop_limit` is {hops}: a token may leave the instance. Set it to 1, or to 2 for "
                "containers.",
            )
        mappings = template.get("blockDeviceMappings")
        for mapping in mappings if isinstance(mappings, list) else [None]:
            encrypted = field(mapping, "ebs", "encrypted")
            if encrypted not in ("true", True):
                self._findings.violation(
                    "volumes",
                    template,
                    f"`encrypted` of a volume is {_said(encrypted)}, so it depends on the account's default. Set "
                    '`block_device_mappings` with `ebs={"encrypted": "true"}` for the root device.',
                )
        self._judge_groups(template, "vpcSecurityGroupIds")

        for key, argument in _TEMPLATE_NEEDS:
            if not is_set(template.get(key)):
                self._findings.violation(
                    "template",
                    template,
                    f"it has no `{argument}`: its instances don't boot into the application, or can't be reached. "
                    f"Set `{argument}`.",
                )

    # Data

    def _judge_ownership(self, controls: Resource) -> None:
        found = field(controls.get("rule"), "objectOwnership")
        if found != "BucketOwnerEnforced":
            self._findings.violation(
                "ownership",
                controls,
                f"`object_ownership` is {_said(found)}, so ACLs can open single objects past the bucket's policy. "
                'Set it to "BucketOwnerEnforced".',
            )

    def _judge_lifecycle(self, lifecycle: Resource) -> None:
        rules = lifecycle.get("rules")
        for rule in rules if isinstance(rules, list) else []:
            days = field(rule, "noncurrentVersionExpiration", "noncurrentDays")
            if isinstance(days, int) and days < _NONCURRENT_DAYS_MIN:
                self._findings.violation(
                    "versions",
                    lifecycle,
                    f"what is overwritten or deleted is kept for {days} days, and a mistake is seldom noticed "
                    f"sooner. Give `noncurrent_days` {_NONCURRENT_DAYS_MIN} or more.",
                )
            if field(rule, "status") != "Disabled" and field(rule, "expiration", "days") is not None:
                self._findings.violation(
                    "versions",
                    lifecycle,
                    "it expires current objects, which are the releases that run. Take `expiration` out of its rules.",
                )

    def _judge_rights(self, replication: Resource) -> None:
        for role in self._stack.referred(replication, "role", ROLES, by=("arn",)):
            own = is_set(role.get("inlinePolicies")) or is_set(role.get("managedPolicyArns"))
            if not own and not any(
                role in self._stack.referred(policy, "role", ROLES, by=("name", "id", "arn"))
                for policy in self._stack.of(*ROLE_POLICIES)
            ):
                self._findings.violation(
                    "rights",
                    role,
                    f"it has no policy, and {replication!r} replicates with it: S3 takes that and then fails every "
                    "object without a word. Declare an `iam.RolePolicy` for it.",
                )

    # The network

    def _judge_vpc(self, vpc: Resource) -> None:
        if vpc.get("enableDnsSupport") is False:
            self._findings.violation(
                "names",
                vpc,
                "`enable_dns_support` is False: instances resolve no name, not even that of their packages' bucket. "
                "Leave it out.",
            )

    def _judge_endpoint(self, endpoint: Resource) -> None:
        if (endpoint.get("vpcEndpointType") or "Gateway") != "Gateway":
            return
        if not is_set(endpoint.get("policy")):
            self._findings.violation(
                "endpoint",
                endpoint,
                "it has no `policy`, so everything passes, and data can leave for any bucket. Name the buckets and "
                "actions that instances need.",
            )

    def _judge_subnets(self, owner: Resource, key: str, *, public: bool) -> None:
        """A balancer's subnets lead to the internet, an instance's to S3 at least."""
        for subnet in self._stack.referred(owner, key, SUBNETS, by=("id",)):
            tables = [
                table
                for association in self._stack.of(*ASSOCIATIONS)
                if subnet in self._stack.referred(association, "subnetId", SUBNETS, by=("id",))
                for table in self._stack.referred(association, "routeTableId", TABLES, by=("id",))
            ]
            if not any(self._leads_out(table, public=public) for table in tables):
                wanted = "an internet gateway" if public else "S3's endpoint or a NAT gateway"
                self._findings.violation(
                    "routes",
                    subnet,
                    f"no route leads from it to {wanted}, which {owner!r} needs. Declare the route (`ec2.Route`, "
                    "`route_table_ids` of the endpoint) and the association (`ec2.RouteTableAssociation`).",
                )

    def _judge_public_subnets(self, balancer: Resource) -> None:
        self._judge_subnets(balancer, "subnets", public=True)

    def _judge_private_subnets(self, group: Resource) -> None:
        self._judge_subnets(group, "vpcZoneIdentifiers", public=False)

    def _leads_out(self, table: Resource, *, public: bool) -> bool:
        for route in self._stack.of(*ROUTES):
            if table in self._stack.referred(route, "routeTableId", TABLES, by=("id",)):
                keys = ("gatewayId",) if public else ("gatewayId", "natGatewayId")
                if any(is_set(route.get(key)) for key in keys):
                    return True
        return not public and any(
            table in self._stack.referred(endpoint, "routeTableIds", TABLES, by=("id",))
            for endpoint in self._stack.of(*ENDPOINTS)
        )

    # The way of a request

    def _judge_targets(self, targets: Resource) -> None:
        matcher = field(targets.get("healthCheck"), "matcher")
        codes = [int(code) for code in re.findall(r"\d+", matcher)] if isinstance(matcher, str) else []
        if any(code > _GOOD_STATUS_MAX for code in codes):
            self._findings.violation(
                "matcher",
                targets,
                f"`matcher` of its `health_check` is {matcher}, so an instance that answers with an error counts as "
                f"healthy. Statuses up to {_GOOD_STATUS_MAX} are what Route 53's checkers count as healthy too.",
            )

    def _judge_balancer(self, balancer: Resource) -> None:
        if balancer.get("dropInvalidHeaderFields") is not True:
            self._findings.violation(
                "headers",
                balancer,
                "it passes on header fields that aren't valid, by which requests are smuggled past it. Set "
                "`drop_invalid_header_fields=True`.",
            )
        # The API's `application` is the default; a Network Load Balancer lets everything through without a group.
        if balancer.get("loadBalancerType") in (None, "application") and not is_set(balancer.get("securityGroups")):
            self._findings.violation(
                "way-in",
                balancer,
                "it names no security group and so gets its VPC's default one, which lets in its own members only. Set "
                "`security_groups`.",
            )
        for group, rules in self._judge_groups(balancer, "securityGroups"):
            blocks = [rule.get("cidrIpv4") for rule in rules]
            if balancer.get("internal") is not True and blocks and all(_is_private(block) for block in blocks):
                self._findings.violation(
                    "way-in",
                    group,
                    f"all that it lets in to {balancer!r} comes from private addresses ({', '.join(map(str, blocks))}):"
                    " neither clients nor Route 53's checkers get through. Let in the internet, or a prefix list.",
                )

    def _judge_groups(self, owner: Resource, key: str) -> list[tuple[Resource, list[Resource]]]:
        """Every security group of `owner` lets something in and something out; returns each with what it lets in."""
        found = []
        for group in self._stack.referred(owner, key, SECURITY_GROUPS, by=("id",)):
            inside, outside = self._rules(group, INGRESS), self._rules(group, EGRESS)
            for rules, way, what in ((inside, "in", "ingress"), (outside, "out", "egress")):
                if not rules:
                    self._findings.violation(
                        "way-in",
                        group,
                        f"it lets nothing {way}, and {owner!r} has no other way. Declare a rule for what it needs "
                        f"(`vpc.SecurityGroup{what.capitalize()}Rule`).",
                    )
            found.append((group, inside))
        return found

    def _rules(self, group: Resource, types: tuple[str, ...]) -> list[Resource]:
        return [
            rule
            for rule in self._stack.of(*types)
            if group in self._stack.referred(rule, "securityGroupId", SECURITY_GROUPS, by=("id",))
        ]

    # The drain switch

    def _switches(self) -> list[Resource]:
        site = self._stack.site_contract
        return self._stack.referred(site, "drainAlarmName", (ALARM,), by=("name",)) if site is not None else []

    def _judge_alarm(self, alarm: Resource) -> None:
        missing = alarm.get("treatMissingData")
        if missing not in (None, "missing"):
            self._findings.violation(
                "drain-switch",
                alarm,
                f"`treat_missing_data` is {_said(missing)}: the metric has data for the minutes of an order only, so "
                'the switch would forget it or drain by itself. Set it to "missing".',
            )
        compare, threshold = _COMPARISONS.get(str(alarm.get("comparisonOperator"))), alarm.get("threshold")
        if compare is None or not isinstance(threshold, int | float):
            self._findings.unproved(
                "drain-switch",
                alarm,
                "threshold",
                "it can't be proved that an order switches it",
                remedy="Set `comparison_operator` and `threshold` to plain values.",
            )
        elif not compare(_DRAINED, threshold) or compare(_OPEN, threshold):
            self._findings.violation(
                "drain-switch",
                alarm,
                f"{alarm.get('comparisonOperator')} {threshold} doesn't tell 1 (drained) from 0 (open): no order "
                "switches it, or it is always drained. Set GreaterThanOrEqualToThreshold and 1.",
            )
        if not is_set(alarm.get("dimensions")):
            self._findings.violation(
                "drain-switch",
                alarm,
                "it has no `dimensions`, so it watches a metric that no order for a site is written to. Name the site.",
            )


def _said(value: Any) -> str:
    return "not known" if value is UNKNOWN else "not set" if value is None else str(value)


def _is_private(block: Any) -> bool:
    try:
        return isinstance(block, str) and ipaddress.ip_network(block).is_private
    except ValueError:
        return False


def _judge(args: StackValidationArgs, findings: Findings) -> None:
    Safeguards(Stack(args.resources), findings).run()


safeguards_policy = StackValidationPolicy(
    name="safeguards-are-on",
    display_name="Safeguards are on",
    description="What holds data or traffic can't be deleted by mistake, reached by tricks, or cut off by a lost rule.",
    validate=judged_by("safeguards", _judge),
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["disaster-recovery", "security"],
    remediation_steps=(
        "Protect what holds data or traffic, keep the balancer's deletion protection on, IMDSv2 required, volumes "
        "encrypted, a rule for each way of a request, and the drain switch as `lockstep drain` expects it."
    ),
    url="https://docs.aws.amazon.com/securityhub/latest/userguide/fsbp-standard.html",
    config_schema=PolicyConfigSchema(properties={"exemptions": EXEMPTIONS_SCHEMA}),
)
