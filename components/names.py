"""Names of resources, kept within the limits of what AWS gives them to."""

from typing import Final

from lockstep.config.naming import shorten

# Elastic Load Balancing API Reference, CreateLoadBalancer and CreateTargetGroup, "Name".
BALANCER_NAME_MAX: Final = 32
# IAM API Reference, CreateRole, "RoleName".
ROLE_NAME_MAX: Final = 64
# S3 API Reference, ReplicationRule, "ID".
REPLICATION_RULE_ID_MAX: Final = 255
# CloudWatch API Reference, PutMetricAlarm, "AlarmActions".
ALARM_ACTIONS_MAX: Final = 5
# EC2 API Reference, CreateLaunchTemplate, "LaunchTemplateName".
LAUNCH_TEMPLATE_NAME_MAX: Final = 128
# EC2 API Reference, CreateSecurityGroup, "GroupName"; Auto Scaling API Reference, "AutoScalingGroupName".
GROUP_NAME_MAX: Final = 255

# Pulumi names a resource after its logical name and appends a hyphen and seven characters.
_AUTONAME_SUFFIX: Final = 8


def logical(name: str, role: str, limit: int) -> str:
    """`NAME-ROLE` as the logical name of a resource whose physical name, made from it, may have `limit` characters."""
    return shorten(f"{name}-{role}", limit - _AUTONAME_SUFFIX)
