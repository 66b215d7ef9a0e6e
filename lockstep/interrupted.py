"""Finds and settles what an update that was killed has left: its lock, and resources that Pulumi didn't see arrive.

Pulumi writes "creating X" into its state before a call and the result after it. Killed in between, it can't know
whether AWS has X, and the next update would create a second one, or fail because the name is taken. Every resource of
Lockstep can be found again by what its inputs say: a name of its own, or its `Name` tag beside the `lockstep:` tags. So
it is taken into the state, and what AWS doesn't have is struck from the list. Settings that a repeated call simply sets
again (a bucket's versioning, a role's policy) need no search.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pulumi.automation.errors import CommandError, ConcurrentUpdateError

from lockstep import console
from lockstep.automation import StackOperations, StateMovedError, lock_holders
from lockstep.errors import IncompleteError, InterruptedUpdateError, RefusedError

Client = Callable[[str], Any]
Inputs = Mapping[str, Any]

# How often a stack may have moved on while it was looked at before the command gives up.
_ROUNDS = 5

# EC2's names for what carries a Name tag (EC2 API Reference, ResourceType).
_EC2_TYPES = {
    "aws:ec2/internetGateway:InternetGateway": "internet-gateway",
    "aws:ec2/launchTemplate:LaunchTemplate": "launch-template",
    "aws:ec2/routeTable:RouteTable": "route-table",
    "aws:ec2/securityGroup:SecurityGroup": "security-group",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/vpc:Vpc": "vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpc-endpoint",
}


@dataclass(frozen=True)
class Pending:
    """A resource that was being created when the update was killed; `id` is None if AWS doesn't have it."""

    urn: str
    type: str
    id: str | None

    @property
    def name(self) -> str:
        """What a person calls the resource: its name in the program."""
        return self.urn.rsplit("::", 1)[-1]


def settle_all(operations: StackOperations, stacks: Sequence[str]) -> None:
    """Settle what earlier, killed updates of `stacks` have left, and say so.

    Raises RefusedError if another update runs, IncompleteError if what is left can't be settled.
    """
    for stack in stacks:
        for _ in range(_ROUNDS):
            try:
                found = _settle(operations, stack)
                break
            except StateMovedError:
                continue
        else:
            raise RefusedError(
                f"{stack} is being changed by another update; nothing was changed", "wait for it, then run this again"
            )
        for each in found:
            end = f"is there as {each.id} and now in the state" if each.id else "isn't there, or is only a setting"
            console.progress(f"{stack}: an earlier update was killed while it created {each.name}, which {end}")


def _settle(operations: StackOperations, stack: str) -> list[Pending]:
    state = operations.export(stack)
    deployment = state.get("deployment") or {}
    if not deployment.get("pending_operations"):
        return []
    try:
        found = find_pending(deployment, _clients)
        operations.settle(stack, state, {each.urn: each.id for each in found if each.id is not None})
    except ConcurrentUpdateError as error:
        raise RefusedError(
            f"another update of {stack} runs ({lock_holders(str(error))}); nothing was changed",
            f"wait for it; if it is gone for good, `pulumi cancel --stack {stack}`; then run this again",
        ) from error
    except (ClientError, BotoCoreError, CommandError) as error:
        if operations.runner.interrupted:
            raise InterruptedUpdateError("interrupted while settling an earlier update", "lockstep up") from error
        raise IncompleteError(
            f"an earlier update of {stack} was killed, and what it left can't be settled: {error}",
            f"`pulumi refresh -s {stack}`, which asks about each resource, then `lockstep up`",
        ) from error
    return found


def find_pending(deployment: Mapping[str, Any], clients: Callable[[str], Client]) -> list[Pending]:
    """What `deployment` (a stack's state) says was being created, each with the id by which it can be imported.

    `clients(region)(service)` gives a boto3 client. Raises ClientError if AWS refuses to be asked.
    """
    regions = _provider_regions(deployment)
    # What the state has already is the resource that a new one was to replace: alike in name and tags.
    known = frozenset(each["id"] for each in deployment.get("resources") or [] if each.get("id"))
    found = []
    for operation in deployment.get("pending_operations") or []:
        resource = operation["resource"]
        if operation["type"] != "creating" or not resource.get("custom") or resource["type"].startswith("pulumi:"):
            continue
        inputs = resource.get("inputs") or {}
        region = inputs.get("region") or regions.get(resource.get("provider", "").rpartition("::")[0])
        finder = _FINDERS.get(resource["type"])
        ids = finder(clients(region), inputs, resource["type"]) if region and finder else []
        found.append(Pending(resource["urn"], resource["type"], next((id for id in ids if id not in known), None)))
    return found


def _clients(region: str) -> Client:
    from lockstep.aws import client

    return lambda service: client(service, region)


def _provider_regions(deployment: Mapping[str, Any]) -> dict[str, str]:
    return {
        resource["urn"]: resource.get("inputs", {}).get("region")
        for resource in deployment.get("resources") or []
        if resource["type"] == "pulumi:providers:aws"
    }


def _ask(client: Any, operation: str, **parameters: Any) -> dict[str, Any]:
    """A call's answer; empty if AWS says that there is no such thing."""
    try:
        answer: dict[str, Any] = getattr(client, operation)(**parameters)
    except ClientError as error:
        # Each service has its own code for "there is none": NoSuchEntity, LoadBalancerNotFound, 404, …
        if re.search("NotFound|NoSuch|^404$", error.response["Error"]["Code"]):
            return {}
        raise
    return answer


def _ec2(client: Client, inputs: Inputs, type: str) -> list[str]:
    tags = inputs.get("tagsAll") or {}
    if "Name" not in tags:
        return []
    owners: set[str] | None = None
    for key, value in tags.items():
        filters = [
            {"Name": "resource-type", "Values": [_EC2_TYPES[type]]},
            {"Name": "key", "Values": [key]},
            {"Name": "value", "Values": [value]},
        ]
        pages = client("ec2").get_paginator("describe_tags").paginate(Filters=filters)
        here = {tag["ResourceId"] for page in pages for tag in page["Tags"]}
        owners = here if owners is None else owners & here
    return sorted(owners or ())


def _security_group_rule(client: Client, inputs: Inputs, type: str) -> list[str]:
    """EC2 allows no two rules of one group with the same direction, protocol, ports and peer."""
    egress = "Egress" in type

    def peer(rule: Mapping[str, Any]) -> list[Any]:
        referenced = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
        return [rule.get("CidrIpv4"), rule.get("CidrIpv6"), rule.get("PrefixListId"), referenced]

    wanted = [inputs.get(key) for key in ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")]
    # EC2 says -1 where a rule of all protocols, or of one without ports, has none.
    ports = [inputs.get(key, -1) for key in ("fromPort", "toPort")]
    filters = [{"Name": "group-id", "Values": [inputs["securityGroupId"]]}]
    found = _ask(client("ec2"), "describe_security_group_rules", Filters=filters).get("SecurityGroupRules", [])
    return [
        str(rule["SecurityGroupRuleId"])
        for rule in found
        if rule["IsEgress"] == egress
        and rule["IpProtocol"] == str(inputs["ipProtocol"])
        and [rule.get("FromPort", -1), rule.get("ToPort", -1)] == ports
        and peer(rule) == wanted
    ]


def _route(client: Client, inputs: Inputs, type: str) -> list[str]:
    table, destination = inputs["routeTableId"], inputs["destinationCidrBlock"]
    found = _ask(client("ec2"), "describe_route_tables", RouteTableIds=[table]).get("RouteTables") or [{}]
    there = any(route.get("DestinationCidrBlock") == destination for route in found[0].get("Routes", []))
    return [f"{table}_{destination}"] if there else []


def _route_table_association(client: Client, inputs: Inputs, type: str) -> list[str]:
    table, subnet = inputs["routeTableId"], inputs["subnetId"]
    found = _ask(client("ec2"), "describe_route_tables", RouteTableIds=[table]).get("RouteTables") or [{}]
    there = any(association.get("SubnetId") == subnet for association in found[0].get("Associations", []))
    return [f"{subnet}/{table}"] if there else []


def _bucket(client: Client, inputs: Inputs, type: str) -> list[str]:
    name = str(inputs["bucket"])
    return [name] if _ask(client("s3"), "head_bucket", Bucket=name) else []


def _role(client: Client, inputs: Inputs, type: str) -> list[str]:
    return [str(inputs["name"])] if _ask(client("iam"), "get_role", RoleName=inputs["name"]) else []


def _instance_profile(client: Client, inputs: Inputs, type: str) -> list[str]:
    found = _ask(client("iam"), "get_instance_profile", InstanceProfileName=inputs["name"])
    return [str(inputs["name"])] if found else []


def _load_balancer(client: Client, inputs: Inputs, type: str) -> list[str]:
    found = _ask(client("elbv2"), "describe_load_balancers", Names=[inputs["name"]])
    return [item["LoadBalancerArn"] for item in found.get("LoadBalancers", [])]


def _target_group(client: Client, inputs: Inputs, type: str) -> list[str]:
    found = _ask(client("elbv2"), "describe_target_groups", Names=[inputs["name"]])
    return [item["TargetGroupArn"] for item in found.get("TargetGroups", [])]


def _listener(client: Client, inputs: Inputs, type: str) -> list[str]:
    found = _ask(client("elbv2"), "describe_listeners", LoadBalancerArn=inputs["loadBalancerArn"])
    return [item["ListenerArn"] for item in found.get("Listeners", []) if item.get("Port") == inputs.get("port")]


def _auto_scaling_group(client: Client, inputs: Inputs, type: str) -> list[str]:
    names = [inputs["name"]]
    found = _ask(client("autoscaling"), "describe_auto_scaling_groups", AutoScalingGroupNames=names)
    return [str(inputs["name"])] if found.get("AutoScalingGroups") else []


def _record(client: Client, inputs: Inputs, type: str) -> list[str]:
    zone, kind, identifier = inputs["zoneId"], inputs["type"], inputs.get("setIdentifier")
    name = inputs["name"].rstrip(".").lower()
    start = {"StartRecordName": name, "StartRecordType": kind}
    if identifier:
        start["StartRecordIdentifier"] = identifier
    found = _ask(client("route53"), "list_resource_record_sets", HostedZoneId=zone, MaxItems="1", **start)
    for record in found.get("ResourceRecordSets", []):
        same_name = record["Name"].rstrip(".").lower() == name
        if same_name and record["Type"] == kind and record.get("SetIdentifier") == identifier:
            return ["_".join(filter(None, (zone, name, kind, identifier)))]
    return []


def _health_check(client: Client, inputs: Inputs, type: str) -> list[str]:
    wanted = dict(inputs.get("tagsAll") or {})
    if "Name" not in wanted:
        return []
    route53 = client("route53")
    checks = [item for page in route53.get_paginator("list_health_checks").paginate() for item in page["HealthChecks"]]
    alike = [
        check["Id"]
        for check in checks
        if check["HealthCheckConfig"]["Type"] == inputs.get("type")
        and check["HealthCheckConfig"].get("FullyQualifiedDomainName") == inputs.get("fqdn")
    ]
    found = []
    # Ten at a time is what Route 53 allows (API Reference, ListTagsForResources).
    for start in range(0, len(alike), 10):
        asked = {"ResourceType": "healthcheck", "ResourceIds": alike[start : start + 10]}
        for tags in route53.list_tags_for_resources(**asked)["ResourceTagSets"]:
            if {tag["Key"]: tag["Value"] for tag in tags["Tags"]} == wanted:
                found.append(str(tags["ResourceId"]))
    return found


def _alarm(client: Client, inputs: Inputs, type: str) -> list[str]:
    found = _ask(client("cloudwatch"), "describe_alarms", AlarmNames=[inputs["name"]])
    return [item["AlarmName"] for item in found.get("MetricAlarms", [])]


Finder = Callable[[Client, Inputs, str], list[str]]

_FINDERS: Mapping[str, Finder] = {
    **dict.fromkeys(_EC2_TYPES, _ec2),
    "aws:autoscaling/group:Group": _auto_scaling_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:iam/instanceProfile:InstanceProfile": _instance_profile,
    "aws:iam/role:Role": _role,
    "aws:lb/listener:Listener": _listener,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:lb/targetGroup:TargetGroup": _target_group,
    "aws:route53/healthCheck:HealthCheck": _health_check,
    "aws:route53/record:Record": _record,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _security_group_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _security_group_rule,
}
