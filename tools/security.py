"""Writes `docs/security.md`: Checkov's and AWS's rules for this program's resource types, each met or with a reason.

Checkov reads Terraform, CloudFormation and the like, and no Pulumi program; AWS's Foundational Security Best Practices
(FSBP, Security Hub) judge what runs. So a rule that a program can be held against has a check here, over what the
stacks declare, which a test runs: of what is met, and of what isn't.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

GENERATED: Final = "<!-- Written by `make docs`; edit the code instead. -->"

Inputs = Mapping[str, Any]
Declared = Mapping[str, Sequence[Inputs]]
"""Inputs of what all stacks declare, by type token."""


class Status(Enum):
    """What became of a rule."""

    MET = "met"
    BY_ACCOUNT = "by the account"
    NOT_MET = "not met"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One demand: `why` says where it is met, or why it isn't. `holds` is None where inputs don't tell."""

    fsbp: str = ""
    checkov: str = ""
    what: str
    status: Status = Status.MET
    why: str
    holds: Callable[[Declared], bool] | None = None


def _all(token: str, test: Callable[[Inputs], bool]) -> Callable[[Declared], bool]:
    """True if there is something of a type, and all of it passes."""

    def holds(declared: Declared) -> bool:
        found = declared.get(token, ())
        return bool(found) and all(test(each) for each in found)

    return holds


def _some(token: str) -> Callable[[Declared], bool]:
    return lambda declared: bool(declared.get(token))


def _ports(*allowed: int) -> Callable[[Inputs], bool]:
    """Whether a rule that lets in the whole internet is about these ports only."""

    def test(rule: Inputs) -> bool:
        return rule.get("cidrIpv4") != "0.0.0.0/0" or (
            rule.get("fromPort") == rule.get("toPort") and rule.get("fromPort") in allowed
        )

    return test


BUCKET: Final = "aws:s3/bucket:Bucket"
BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
BLOCK: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
LISTENER: Final = "aws:lb/listener:Listener"
TARGETS: Final = "aws:lb/targetGroup:TargetGroup"
GROUP: Final = "aws:autoscaling/group:Group"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
SUBNET: Final = "aws:ec2/subnet:Subnet"
INGRESS: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS: Final = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
SECURITY_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
CHECK: Final = "aws:route53/healthCheck:HealthCheck"
REPLICATION: Final = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

RULES: Final = (
    # S3
    Rule(
        fsbp="S3.8, S3.2, S3.3",
        checkov="CKV_AWS_53 to 56, CKV2_AWS_6",
        what="a bucket blocks public access, by all four switches",
        why="`package_bucket.py`, `s3.BucketPublicAccessBlock`",
        holds=_all(
            BLOCK,
            lambda each: all(
                each.get(switch) is True
                for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
            ),
        ),
    ),
    Rule(
        fsbp="S3.5",
        checkov="CKV_AWS_379",
        what="requests without TLS are refused",
        why="`package_bucket.py`, `policy_of`, statement `RefusePlainHttp`",
        holds=_all(BUCKET_POLICY, lambda each: '"aws:SecureTransport": "false"' in each["policy"]),
    ),
    Rule(
        fsbp="S3.6",
        checkov="CKV_AWS_70",
        what="a bucket policy gives nobody else what changes the bucket",
        why="`package_bucket.py`, `policy_of`: reads only, through the site's own VPC endpoint. Checkov would count "
        "the principal `*`; the condition on `aws:SourceVpce` is what S3 itself takes for not public",
        holds=_all(BUCKET_POLICY, lambda each: "aws:SourceVpce" in each["policy"]),
    ),
    Rule(
        fsbp="S3.12",
        checkov="CKV2_AWS_65",
        what="ACLs have no effect",
        why="`package_bucket.py`, `object_ownership`",
        holds=_all(
            "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
            lambda each: each["rule"].get("objectOwnership") == "BucketOwnerEnforced",
        ),
    ),
    Rule(
        fsbp="S3.14",
        checkov="CKV_AWS_21",
        what="a bucket is versioned",
        why="`package_bucket.py`, `versioning_configuration`",
        holds=_all(
            "aws:s3/bucketVersioning:BucketVersioning",
            lambda each: each["versioningConfiguration"].get("status") == "Enabled",
        ),
    ),
    Rule(
        fsbp="S3.10, S3.13",
        checkov="CKV2_AWS_61, CKV_AWS_300",
        what="a versioned bucket has a lifecycle, and unfinished uploads end",
        why="`package_bucket.py`, `s3.BucketLifecycleConfiguration`",
        holds=_all(LIFECYCLE, lambda each: all("abortIncompleteMultipartUpload" in rule for rule in each["rules"])),
    ),
    Rule(
        fsbp="S3.7",
        checkov="CKV_AWS_144",
        what="a bucket is replicated to another region",
        why="`replication.py`, `s3.BucketReplicationConfig`; policy `packages-in-two-regions` proves the region",
        holds=_all(REPLICATION, lambda each: all(rule.get("status") == "Enabled" for rule in each["rules"])),
    ),
    Rule(
        fsbp="S3.17",
        checkov="CKV_AWS_145",
        what="objects are encrypted under a KMS key",
        status=Status.NOT_MET,
        why="instances read packages without credentials, and S3 refuses anonymous reads of objects under KMS keys. "
        "They are encrypted under S3's own keys (`package_bucket.py`, `sse_algorithm`); they are no secrets",
        holds=_all(
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            lambda each: "aws:kms" in str(each["rules"]),
        ),
    ),
    Rule(
        fsbp="S3.15",
        what="objects are locked",
        status=Status.NOT_MET,
        why="Object Lock would keep leases, which are deleted and written again. Releases are written once by "
        "conditional writes, versions keep what is deleted, and deletions aren't replicated",
        holds=_all(BUCKET, lambda each: each.get("objectLockEnabled") is True),
    ),
    Rule(
        fsbp="S3.20",
        what="deleting versions takes a second factor (MFA delete)",
        status=Status.NOT_MET,
        why="only the account's root user can switch it on, with long-term keys; no program should hold those",
        holds=_all(
            "aws:s3/bucketVersioning:BucketVersioning",
            lambda each: each["versioningConfiguration"].get("mfaDelete") == "Enabled",
        ),
    ),
    Rule(
        fsbp="S3.11",
        checkov="CKV2_AWS_62",
        what="a bucket sends event notifications",
        status=Status.NOT_MET,
        why="nothing here acts on them: publishing verifies what it wrote in every region",
        holds=_some("aws:s3/bucketNotification:BucketNotification"),
    ),
    Rule(
        fsbp="S3.22, S3.23",
        what="CloudTrail records reads and writes of objects",
        status=Status.BY_ACCOUNT,
        why="a trail is the account's, or the organization's, and costs by the event; a site's stack mustn't own it",
    ),
    # Balancer
    Rule(
        fsbp="ELB.4",
        checkov="CKV_AWS_131",
        what="a balancer drops header fields that aren't valid",
        why="`fleet.py`, `drop_invalid_header_fields`; policy `safeguards/headers`",
        holds=_all(BALANCER, lambda each: each.get("dropInvalidHeaderFields") is True),
    ),
    Rule(
        fsbp="ELB.6",
        checkov="CKV_AWS_150",
        what="a balancer has deletion protection",
        why="`fleet.py`, `enable_deletion_protection`, from `lockstep:protect`; policy `safeguards/deletion`",
        holds=_all(BALANCER, lambda each: each.get("enableDeletionProtection") is True),
    ),
    Rule(
        fsbp="ELB.12",
        checkov="CKV_AWS_328",
        what="desync mitigation is defensive or strictest",
        why="AWS's default, defensive; `fleet.py` doesn't change it",
        holds=_all(BALANCER, lambda each: each.get("desyncMitigationMode", "defensive") != "monitor"),
    ),
    Rule(
        fsbp="ELB.13",
        what="a balancer is in two zones or more",
        why="`network.py`: a public subnet for each of two zones or more, all given to `fleet.py`, `subnets`",
        holds=_all(BALANCER, lambda each: len(each["subnets"]) > 1),
    ),
    Rule(
        fsbp="ELB.16",
        checkov="CKV2_AWS_28",
        what="a balancer is behind a web ACL (WAF)",
        status=Status.NOT_MET,
        why="what to block is the application's to know, and a web ACL is paid for by the month and request. Attach "
        "one by `wafv2.WebAclAssociation` to the balancer's ARN",
        holds=_some("aws:wafv2/webAclAssociation:WebAclAssociation"),
    ),
    Rule(
        checkov="CKV_AWS_261",
        what="a target group has a health check with a path",
        why="`fleet.py`, `health_check`; policy `fleet/target-check`",
        holds=_all(TARGETS, lambda each: bool(each["healthCheck"].get("path"))),
    ),
    # Fleet
    Rule(
        fsbp="AutoScaling.1",
        checkov="CKV2_AWS_15",
        what="a group behind a balancer uses its health checks",
        why="`fleet.py`, `health_check_type`; policy `fleet/elb-check`",
        holds=_all(GROUP, lambda each: each.get("healthCheckType") == "ELB"),
    ),
    Rule(
        fsbp="AutoScaling.2",
        what="a group is in two zones or more",
        why="`fleet.py`, `vpc_zone_identifiers`; policy `fleet/zones`",
        holds=_all(GROUP, lambda each: len(each["vpcZoneIdentifiers"]) > 1),
    ),
    Rule(
        fsbp="AutoScaling.3, EC2.8, EC2.170",
        checkov="CKV_AWS_79",
        what="instances answer metadata requests with a token only (IMDSv2)",
        why="`fleet.py`, `http_tokens`; policy `safeguards/metadata`",
        holds=_all(TEMPLATE, lambda each: each["metadataOptions"].get("httpTokens") == "required"),
    ),
    Rule(
        checkov="CKV_AWS_341",
        what="a metadata token doesn't leave the instance",
        why="`fleet.py`, `http_put_response_hop_limit`",
        holds=_all(TEMPLATE, lambda each: each["metadataOptions"].get("httpPutResponseHopLimit") == 1),
    ),
    Rule(
        fsbp="AutoScaling.9",
        checkov="CKV_AWS_315",
        what="a group launches from a launch template",
        why="`fleet.py`, `launch_template`",
        holds=_all(GROUP, lambda each: "launchTemplate" in each or "mixedInstancesPolicy" in each),
    ),
    Rule(
        fsbp="AutoScaling.5, EC2.9, EC2.15, EC2.25",
        checkov="CKV_AWS_88, CKV_AWS_130",
        what="instances have no public address",
        why="`network.py`, `map_public_ip_on_launch`; `fleet.py` launches into private subnets",
        holds=lambda declared: (
            _all(SUBNET, lambda each: each.get("mapPublicIpOnLaunch") is not True)(declared)
            and _all(TEMPLATE, lambda each: "associatePublicIpAddress" not in str(each))(declared)
        ),
    ),
    Rule(
        fsbp="EC2.181",
        checkov="CKV_AWS_8",
        what="volumes of instances are encrypted",
        why="`fleet.py`, `block_device_mappings`; policy `safeguards/volumes`",
        holds=_all(
            TEMPLATE,
            lambda each: all(mapping["ebs"].get("encrypted") == "true" for mapping in each["blockDeviceMappings"]),
        ),
    ),
    Rule(
        fsbp="EC2.7",
        checkov="CKV_AWS_106",
        what="the account encrypts volumes by default",
        status=Status.BY_ACCOUNT,
        why="it is a setting of the account and region; volumes here are encrypted whatever it says",
    ),
    # Network
    Rule(
        fsbp="EC2.18, EC2.19, EC2.13, EC2.14",
        checkov="CKV_AWS_24, CKV_AWS_25",
        what="the internet reaches ports 80 and 443 only",
        why="`fleet.py`, `_security_groups`: the balancer's listeners, and nothing of the instances'",
        holds=_all(INGRESS, _ports(80, 443)),
    ),
    Rule(
        checkov="CKV_AWS_260",
        what="the internet doesn't reach port 80",
        status=Status.NOT_MET,
        why="clients begin there, and Route 53's checkers come from addresses all over the world",
        holds=_all(INGRESS, _ports(443)),
    ),
    Rule(
        checkov="CKV_AWS_382",
        what="security groups don't let out everything",
        why="`fleet.py`, `_security_groups`: the balancer to the instances, instances to S3's prefix list",
        holds=_all(EGRESS, lambda each: each.get("ipProtocol") != "-1"),
    ),
    Rule(
        checkov="CKV_AWS_23",
        what="security groups and their rules have descriptions",
        why="`fleet.py`, `description`",
        holds=lambda declared: all(
            _all(token, lambda each: bool(each.get("description")))(declared)
            for token in (SECURITY_GROUP, INGRESS, EGRESS)
        ),
    ),
    Rule(
        fsbp="EC2.2",
        checkov="CKV2_AWS_12",
        what="the default security group of a VPC lets nothing in or out",
        status=Status.NOT_MET,
        why="nothing is in it: balancer and instances have groups of their own. Taking its rules away would have to "
        "take over (`ec2.DefaultSecurityGroup`) what the VPC's creation made",
        holds=_some("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"),
    ),
    Rule(
        fsbp="EC2.10",
        what="calls of EC2's API go through a VPC endpoint",
        status=Status.NOT_MET,
        why="instances call no API: they have no credentials, and the only endpoint they need is S3's",
        holds=_all("aws:ec2/vpcEndpoint:VpcEndpoint", lambda each: str(each["serviceName"]).endswith(".ec2")),
    ),
    Rule(
        fsbp="EC2.21",
        checkov="CKV_AWS_229 to 232",
        what="network ACLs don't let the internet in to ports 22 and 3389",
        status=Status.NOT_MET,
        why="the VPC's default ACL, which lets through everything, is left: instances are in private subnets without a "
        "route in, and security groups, which are stateful, let in the balancer only",
        holds=_some("aws:ec2/networkAcl:NetworkAcl"),
    ),
    # IAM
    Rule(
        fsbp="IAM.1, IAM.21",
        checkov="CKV_AWS_62, 63, 355, 286 to 290",
        what="no policy allows everything, or every action of a service",
        why="`replication.py`, `_policy`: named actions on the two buckets' prefixes",
        holds=_all(ROLE_POLICY, lambda each: '"*"' not in each["policy"] and ':*"' not in each["policy"]),
    ),
    Rule(
        checkov="CKV_AWS_60, CKV_AWS_61",
        what="only a named service may assume a role",
        why="`replication.py`, `_TRUST`",
        holds=_all(ROLE, lambda each: '"*"' not in each["assumeRolePolicy"]),
    ),
    Rule(
        what="a service that assumes a role says for whom (`aws:SourceAccount`)",
        status=Status.NOT_MET,
        why="AWS's own trust policy for replication has none (S3 User Guide, \"Setting up permissions for live "
        'replication"), and the role may act on the two buckets only',
        holds=_all(ROLE, lambda each: "aws:SourceAccount" in each["assumeRolePolicy"]),
    ),
    # Route 53 and CloudWatch
    Rule(
        fsbp="Route53.1",
        what="health checks have tags",
        why="`traffic.py`, `tags`",
        holds=_all(CHECK, lambda each: bool(each.get("tags"))),
    ),
    Rule(
        fsbp="Route53.2",
        checkov="CKV2_AWS_38, CKV2_AWS_39",
        what="the zone is signed, and its queries are logged",
        status=Status.BY_ACCOUNT,
        why="the zone exists beforehand and outlives this: it is looked up, never changed",
        holds=None,
    ),
    Rule(
        fsbp="CloudWatch.15, CloudWatch.17",
        checkov="CKV_AWS_319",
        what="alarms have actions",
        status=Status.NOT_MET,
        why="the drain switch is one that Route 53 reads; nobody is to be woken by an order that was given "
        "(`drain_switch.py`)",
        holds=_all(ALARM, lambda each: bool(each.get("alarmActions"))),
    ),
    # What is to come
    Rule(
        fsbp="ELB.1, ELB.18",
        checkov="CKV_AWS_2, CKV_AWS_103, CKV2_AWS_20",
        what="requests are encrypted, and plain ones redirected",
        status=Status.NOT_MET,
        why="a certificate takes a public zone; by default there is none, and the listener is HTTP (`fleet.py`)",
        holds=_all(LISTENER, lambda each: each.get("protocol") == "HTTPS" or "redirect" in str(each["defaultActions"])),
    ),
    Rule(
        fsbp="ELB.5, S3.9",
        checkov="CKV_AWS_91, CKV_AWS_18",
        what="requests to balancers and buckets are logged",
        status=Status.NOT_MET,
        why="logs cost by the gigabyte and hold clients' addresses: for whoever runs the application to decide",
        holds=_all(BALANCER, lambda each: bool(each.get("accessLogs"))),
    ),
    Rule(
        fsbp="EC2.6",
        checkov="CKV2_AWS_11",
        what="a VPC has flow logs",
        status=Status.NOT_MET,
        why="they cost by the gigabyte; instances talk to the balancer and to S3 and can't do otherwise",
        holds=_some("aws:ec2/flowLog:FlowLog"),
    ),
    Rule(
        fsbp="AutoScaling.6",
        what="a group has several instance types in several zones",
        status=Status.NOT_MET,
        why="by default one type (`lockstep:fleet.instanceTypes`), so that two sites have the same capacity for the "
        "same count; it is in several zones",
        holds=_all(GROUP, lambda each: "mixedInstancesPolicy" in each),
    ),
)


def page() -> str:
    """`docs/security.md`."""
    met = sum(rule.status is Status.MET for rule in RULES)
    lines = [
        "# Security rules",
        "",
        GENERATED,
        "",
        "What Checkov and AWS's Security Hub (its Foundational Security Best Practices, FSBP, and a few of its other",
        "controls) demand of this program's resource types. Checkov reads no Pulumi programs, and Security Hub judges",
        "what runs, so neither runs here: a test holds each row that inputs can tell, met or not, against what all",
        "stacks declare by default. Rows with a policy are also held against every preview. Run Security Hub in your",
        "account for the rest.",
        "",
        f"{met} of {len(RULES)} are met; the others have a reason.",
        "",
        "| Security Hub | Checkov | demand | status | where, or why not |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {each.fsbp} | {each.checkov} | {each.what} | {each.status.value} | {each.why} |" for each in RULES]
    return "\n".join(lines) + "\n"
