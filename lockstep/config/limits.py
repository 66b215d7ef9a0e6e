"""AWS's limits that a configuration can break, each with the document that states it."""

from typing import Final

# Route 53 API Reference, ResourceRecordSet, "Weight": an integer from 0 to 255.
WEIGHT_MIN: Final = 0
WEIGHT_MAX: Final = 255

# Seconds. Route 53 takes 0 to 2,147,483,647 (API Reference, ResourceRecordSet, "TTL"). 0 makes every request wait for a
# name server, and above two days, the longest value that the developer guide uses, no failover would be noticed.
TTL_MIN: Final = 1
TTL_MAX: Final = 172_800

# Seconds. Route 53 Developer Guide, "Choosing between alias and non-alias records": an alias of a load balancer has the
# balancer's TTL.
ALIAS_TTL: Final = 60

# Route 53 API Reference, HealthCheckConfig: "RequestInterval" is 10 or 30 seconds and can't be changed later,
# "FailureThreshold" is 1 to 10, "ResourcePath" has up to 255 characters.
HEALTH_CHECK_INTERVALS: Final = (10, 30)
HEALTH_CHECK_THRESHOLD_MIN: Final = 1
HEALTH_CHECK_THRESHOLD_MAX: Final = 10
HEALTH_CHECK_PATH_MAX: Final = 255

# RFC 1035 section 2.3.4: 63 characters in a label; 255 octets on the wire are 253 characters as written.
DNS_LABEL_MAX: Final = 63
DNS_NAME_MAX: Final = 253

# VPC User Guide, "VPC CIDR blocks": a block is between /16 and /28.
VPC_PREFIX_MIN: Final = 16
VPC_PREFIX_MAX: Final = 28

# User Guide for Application Load Balancers, "Subnets for your load balancer": at least /27 and 8 free addresses each,
# at least two Availability Zones.
BALANCER_SUBNET_PREFIX_MAX: Final = 27
ZONES_MIN: Final = 2

# Elastic Load Balancing quotas: 1,000 targets per Application Load Balancer. A refresh runs up to twice the instances.
INSTANCES_MAX: Final = 500

# Amazon VPC quotas, "Security groups": 60 inbound rules, of which a rule for a prefix list takes as many as the list's
# weight. VPC User Guide, "AWS-managed prefix list weight": com.amazonaws.REGION.route53-healthchecks weighs 25.
GROUP_RULES_MAX: Final = 60
HEALTH_CHECKERS_WEIGHT: Final = 25
# The checkers need one port, clients up to two: HTTP and HTTPS.
INGRESS_BLOCKS_MAX: Final = (GROUP_RULES_MAX - HEALTH_CHECKERS_WEIGHT) // 2

# AWS PrivateLink quotas: 50 interface endpoints for each VPC.
ENDPOINT_SERVICES_MAX: Final = 50

# CloudWatch Logs API Reference, PutRetentionPolicy, "retentionInDays".
LOG_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

# Seconds. Elastic Load Balancing API Reference, TargetGroupAttribute, "deregistration_delay.timeout_seconds".
DEREGISTRATION_MAX: Final = 3_600

# Requests per target and minute, and answers per minute. Neither service gives a limit; a million a minute are 17,000 a
# second, more than an instance serves.
PER_MINUTE_MAX: Final = 1_000_000

# ACM API Reference, RequestCertificate, "DomainName": 64 octets, as RFC 5280 limits a certificate's common name.
CERTIFICATE_NAME_MAX: Final = 64

# S3 User Guide, "Bucket naming rules": 3 to 63 characters.
BUCKET_NAME_MAX: Final = 63

# Systems Manager API Reference, PutParameter, "Name": letters, digits and . - _ in each part of a path, and a version
# is such a part. Its length also has to leave room in a bucket's key (1,024 bytes).
RELEASE_MAX: Final = 64

# EC2 Auto Scaling API Reference, RefreshPreferences, "CheckpointDelay" and "BakeTime": up to 172,800 seconds. Less than
# two rounds of the balancer's checks shows nothing.
BAKE_SECONDS_MIN: Final = 20
BAKE_SECONDS_MAX: Final = 172_800

# Days. S3 takes any positive integer (API Reference, PutBucketLifecycleConfiguration); above ten years what was to be
# kept for a while is kept for ever, and paid for.
KEPT_DAYS_MIN: Final = 1
KEPT_DAYS_MAX: Final = 3_650
