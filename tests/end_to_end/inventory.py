"""What AWS holds of Lockstep, by Pulumi type: run in the sandbox's environment, prints JSON."""

import json
from typing import Any

import boto3

REGIONS = ("eu-west-1", "eu-central-1", "eu-west-3")


def count() -> dict[str, int]:
    """How many there are of each type that a killed update could have made twice."""
    found = dict.fromkeys(
        (
            "aws:autoscaling/group:Group",
            "aws:cloudwatch/metricAlarm:MetricAlarm",
            "aws:ec2/internetGateway:InternetGateway",
            "aws:ec2/launchTemplate:LaunchTemplate",
            "aws:ec2/securityGroup:SecurityGroup",
            "aws:ec2/subnet:Subnet",
            "aws:ec2/vpc:Vpc",
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            "aws:lb/listener:Listener",
            "aws:lb/loadBalancer:LoadBalancer",
            "aws:lb/targetGroup:TargetGroup",
        ),
        0,
    )
    for region in REGIONS:
        ec2: Any = boto3.client("ec2", region_name=region)
        vpcs = [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
        mine = [{"Name": "vpc-id", "Values": vpcs or ["none"]}]
        groups = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
        gateways = ec2.describe_internet_gateways()["InternetGateways"]
        attached = [gateway for gateway in gateways if gateway["Attachments"][0]["VpcId"] in vpcs or not vpcs]
        elb: Any = boto3.client("elbv2", region_name=region)
        balancers = elb.describe_load_balancers()["LoadBalancers"]
        listeners = [
            listener
            for balancer in balancers
            for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        ]
        cloudwatch: Any = boto3.client("cloudwatch", region_name=region)
        scaling: Any = boto3.client("autoscaling", region_name=region)
        for token, items in {
            "aws:autoscaling/group:Group": scaling.describe_auto_scaling_groups()["AutoScalingGroups"],
            "aws:cloudwatch/metricAlarm:MetricAlarm": cloudwatch.describe_alarms()["MetricAlarms"],
            "aws:ec2/internetGateway:InternetGateway": attached if vpcs else [],
            "aws:ec2/launchTemplate:LaunchTemplate": ec2.describe_launch_templates()["LaunchTemplates"],
            "aws:ec2/securityGroup:SecurityGroup": [group for group in groups if group["GroupName"] != "default"],
            "aws:ec2/subnet:Subnet": ec2.describe_subnets(Filters=mine)["Subnets"],
            "aws:ec2/vpc:Vpc": vpcs,
            "aws:ec2/vpcEndpoint:VpcEndpoint": ec2.describe_vpc_endpoints()["VpcEndpoints"],
            "aws:lb/listener:Listener": listeners,
            "aws:lb/loadBalancer:LoadBalancer": balancers,
            "aws:lb/targetGroup:TargetGroup": elb.describe_target_groups()["TargetGroups"],
        }.items():
            found[token] += len(items)
    found["aws:s3/bucket:Bucket"] = len(boto3.client("s3", region_name=REGIONS[0]).list_buckets()["Buckets"])
    found["aws:iam/role:Role"] = len(boto3.client("iam", region_name="us-east-1").list_roles()["Roles"])
    route53 = boto3.client("route53", region_name="us-east-1")
    found["aws:route53/healthCheck:HealthCheck"] = len(route53.list_health_checks()["HealthChecks"])
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    found["aws:route53/record:Record"] = len([record for record in records if record["Type"] not in ("NS", "SOA")])
    return found


if __name__ == "__main__":
    print(json.dumps(count()))
