"""CloudWatch's log groups, and the flow logs that a network writes to them.

What each property is follows the schemas of terraform-provider-aws v6, internal/service/logs/group.go and
internal/service/ec2/vpc_flow_log.go; ids are that provider's too.
"""

import re
from collections.abc import Iterable

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import ID, Call, deleting, reading, tag_map, write_ec2_tags
from sandbox.provider.schema import (
    AutoName,
    Change,
    ResourceType,
    State,
    Update,
    integer,
    is_empty,
    one_of,
    output,
    string,
)
from sandbox.provider.values import Json

# CloudWatch Logs API Reference, CreateLogGroup and PutRetentionPolicy. 0 is for ever.
_GROUP_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_RETENTION_DAYS = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
_GONE = ("ResourceNotFoundException",)


def _group_name(value: Json) -> str | None:
    if _GROUP_NAME.fullmatch(value) and not value.startswith("aws/"):
        return None
    return f"expected 1 to 512 letters, digits and characters of ._-/#, not aws/ first, got {value!r}"


def _group_arn(aws: Aws, name: str) -> str:
    return f"arn:{aws.PARTITION}:logs:{aws.region}:{aws.ACCOUNT_ID}:log-group:{name}"


def _read_group(aws: Aws, id: str, state: State) -> State | None:
    groups = aws.call("logs", "describe_log_groups", logGroupNamePrefix=id)["logGroups"]
    for group in groups:
        if group["logGroupName"] == id:
            arn = _group_arn(aws, id)
            tags = aws.call("logs", "list_tags_for_resource", resourceArn=arn)["tags"]
            days = group.get("retentionInDays", 0)
            return {"name": id, "arn": arn, "retentionInDays": days, "tagsAll": tag_map_of(tags)}
    return None


def tag_map_of(tags: dict[str, str]) -> dict[str, str]:
    """Tags that come as a map, without AWS's own."""
    return tag_map([{"Key": key, "Value": value} for key, value in tags.items()])


def _create_group(aws: Aws, inputs: State) -> str:
    tags = {"tags": inputs["tagsAll"]} if inputs.get("tagsAll") else {}
    aws.call("logs", "create_log_group", logGroupName=inputs["name"], **tags)
    return str(inputs["name"])


def _retain(aws: Aws, change: Change) -> None:
    days = change.new["retentionInDays"]
    if days:
        aws.call("logs", "put_retention_policy", logGroupName=change.id, retentionInDays=days)
    elif change.old.get("retentionInDays"):
        aws.call("logs", "delete_retention_policy", logGroupName=change.id)


def _tag_group(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    if remove:
        aws.call("logs", "untag_resource", resourceArn=_group_arn(aws, id), tagKeys=remove)
    if add:
        aws.call("logs", "tag_resource", resourceArn=_group_arn(aws, id), tags=add)


LOG_GROUP = ResourceType(
    token="aws:cloudwatch/logGroup:LogGroup",
    properties={
        "name": string(computed=True, replaces=True, auto_name=AutoName(max_length=512), check=_group_name),
        "retentionInDays": integer(default=0, check=one_of(*_RETENTION_DAYS)),
        "arn": output(),
    },
    create=_create_group,
    read=_read_group,
    updates=(Update(properties=("retentionInDays",), on_create=True, run=_retain),),
    delete=deleting(Call("logs", "delete_log_group", {"logGroupName": ID}), missing=_GONE),
    write_tags=_tag_group,
)


_SUBJECTS = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}
_SUBJECT_IDS = {"vpc": "vpcId", "subnet": "subnetId", "eni": "eniId"}


def _validate_flow_log(inputs: State) -> Iterable[tuple[str, str]]:
    given = [name for name in _SUBJECTS if not is_empty(inputs.get(name))]
    if len(given) != 1:
        yield (given or ["vpcId"])[-1], f"exactly one of {', '.join(_SUBJECTS)} must be set"
    if is_empty(inputs.get("iamRoleArn")):
        yield "iamRoleArn", "flow logs to CloudWatch Logs need the role that writes them"


def _create_flow_log(aws: Aws, inputs: State) -> str:
    """CreateFlowLogs succeeds as a call even where it fails for the network."""
    subject = next(name for name in _SUBJECTS if not is_empty(inputs.get(name)))
    tags = [{"Key": key, "Value": value} for key, value in inputs.get("tagsAll", {}).items()]
    answer = aws.call(
        "ec2",
        "create_flow_logs",
        ResourceType=_SUBJECTS[subject],
        ResourceIds=[inputs[subject]],
        TrafficType=inputs["trafficType"],
        LogDestinationType=inputs["logDestinationType"],
        LogDestination=inputs["logDestination"],
        DeliverLogsPermissionArn=inputs["iamRoleArn"],
        MaxAggregationInterval=inputs["maxAggregationInterval"],
        **({"TagSpecifications": [{"ResourceType": "vpc-flow-log", "Tags": tags}]} if tags else {}),
    )
    for failure in answer.get("Unsuccessful", ()):
        raise ClientError({"Error": failure["Error"]}, "CreateFlowLogs")
    return str(answer["FlowLogIds"][0])


def _read_flow_log(aws: Aws, id: str, state: State) -> State | None:
    found = _describe_flow_log(aws, id, state)
    if found is None:
        return None
    subject = str(found.pop("subject"))
    return {
        **found,
        _SUBJECT_IDS[subject.partition("-")[0]]: subject,
        "arn": f"arn:{aws.PARTITION}:ec2:{aws.region}:{aws.ACCOUNT_ID}:vpc-flow-log/{id}",
    }


_describe_flow_log = reading(
    Call("ec2", "describe_flow_logs", {"FlowLogIds": [ID]}),
    result="FlowLogs[0]",
    outputs={
        "subject": "ResourceId",
        "trafficType": "TrafficType",
        "logDestinationType": "LogDestinationType",
        "logDestination": "LogDestination",
        "iamRoleArn": "DeliverLogsPermissionArn",
        "maxAggregationInterval": "MaxAggregationInterval",
        "logFormat": "LogFormat",
    },
    tags="Tags",
)

FLOW_LOG = ResourceType(
    token="aws:ec2/flowLog:FlowLog",
    properties={
        **{name: string(replaces=True) for name in _SUBJECTS},
        "trafficType": string(required=True, replaces=True, check=one_of("ACCEPT", "REJECT", "ALL")),
        "logDestinationType": string(default="cloud-watch-logs", replaces=True, check=one_of("cloud-watch-logs")),
        "logDestination": string(required=True, replaces=True),
        "iamRoleArn": string(replaces=True),
        "maxAggregationInterval": integer(default=600, replaces=True, check=one_of(60, 600)),
        "arn": output(),
        "logFormat": output(),
    },
    create=_create_flow_log,
    read=_read_flow_log,
    delete=deleting(Call("ec2", "delete_flow_logs", {"FlowLogIds": [ID]}), missing=("InvalidFlowLogId.NotFound",)),
    write_tags=write_ec2_tags,
    validate=_validate_flow_log,
)
