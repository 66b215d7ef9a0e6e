"""What a network's traffic was: one record for each flow, kept for a number of days."""

import json
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, ec2, iam

from components.names import ROLE_NAME_MAX, logical
from lockstep.config import limits

# Seconds; AWS's other choice, 60, makes up to ten times the records (EC2 API Reference, CreateFlowLogs).
_AGGREGATED: Final = 600


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    """`days` is how long records are kept. With `retain` they are kept that long even when this is taken away."""

    vpc_id: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: str
    days: int
    retain: bool

    def __post_init__(self) -> None:
        if self.days not in limits.LOG_RETENTION_DAYS:
            raise ValueError(
                f"{self.days} days: CloudWatch Logs knows {', '.join(map(str, limits.LOG_RETENTION_DAYS))}"
            )


class FlowLogs(pulumi.ComponentResource):
    """Flow logs of a whole VPC, accepted and rejected traffic alike, in CloudWatch Logs.

    Creates: a log group with a retention; an IAM role that writes to it, with its policy; a flow log.

    Data: records are encrypted by CloudWatch Logs with its own key, and end with their retention. With `retain` the
    group stays when it is removed from the program: turning flow logs off must not destroy what they have shown.
    """

    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:flow_logs:FlowLogs", name, {"days": args.days}, opts)
        child = pulumi.ResourceOptions(parent=self)

        group = cloudwatch.LogGroup(
            f"{name}-records",
            retention_in_days=args.days,
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.retain),
        )
        account = pulumi.Output.from_input(args.account_id)
        role = iam.Role(
            logical(name, "role", ROLE_NAME_MAX),
            description="VPC flow logs are written with it",
            assume_role_policy=account.apply(lambda account_id: _trust(account_id, args.region)),
            opts=child,
        )
        policy = iam.RolePolicy(
            f"{name}-policy",
            role=role.name,
            policy=pulumi.Output.all(account, group.arn).apply(
                lambda values: _policy(str(values[0]), str(values[1]), args.region)
            ),
            opts=child,
        )
        ec2.FlowLog(
            f"{name}-flows",
            vpc_id=args.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=_AGGREGATED,
            tags={"Name": name},
            # AWS takes a role without rights and then delivers nothing, silently.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

        self.log_group_name = group.name
        self.register_outputs({"logGroupName": self.log_group_name})


def _trust(account_id: str, region: str) -> str:
    """The service may use the role for flow logs of this account and region only: it serves other accounts too (VPC
    User Guide, "IAM role for publishing flow logs to CloudWatch Logs"; the confused deputy problem)."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": account_id},
                        "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:{region}:{account_id}:vpc-flow-log/*"},
                    },
                }
            ],
        }
    )


def _policy(account_id: str, group_arn: str, region: str) -> str:
    """What delivery needs, without logs:CreateLogGroup: the group is there, and a role that can make groups would make
    one without a retention when somebody deletes it."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Write",
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    "Resource": f"{group_arn}:*",
                },
                {
                    "Sid": "Find",
                    "Effect": "Allow",
                    "Action": "logs:DescribeLogGroups",
                    "Resource": f"arn:aws:logs:{region}:{account_id}:log-group:*",
                },
            ],
        }
    )
