"""The fleet: launch templates and Auto Scaling groups.

A launch template's data can't be changed: every update makes a new version that holds all of it. An Auto Scaling group
starts instances when its size changes, so creation and deletion wait for them, as terraform-provider-aws does.
"""

import re
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import (
    ID,
    Call,
    UnusableAnswerError,
    creating,
    deleting,
    fill,
    joining,
    kept,
    reading,
    search,
    wait_for,
    write_ec2_tags,
)
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    Property,
    ResourceType,
    State,
    Update,
    block,
    block_set,
    blocks,
    boolean,
    integer,
    length,
    one_of,
    output,
    string,
    string_map,
    string_set,
    strings,
)
from sandbox.provider.shapes import Names, aws_name, from_aws, text_boolean, to_aws
from sandbox.provider.values import Json

# Launch template

# EC2 API Reference, RequestLaunchTemplateData, where it isn't the property's name with a capital letter.
_DATA_NAMES: Names = {"securityGroups": "Groups", "vpcSecurityGroupIds": "SecurityGroupIds"}

# EC2 API Reference: InstanceMetadataOptionsRequest, EbsBlockDevice, InstanceNetworkInterfaceSpecification.
_DATA = block(
    {
        "blockDeviceMappings": blocks(
            {
                "deviceName": string(),
                "ebs": block(
                    {
                        "deleteOnTermination": text_boolean(),
                        "encrypted": text_boolean(),
                        "iops": integer(computed=True),
                        "kmsKeyId": string(),
                        "snapshotId": string(),
                        "throughput": integer(125, 2000, computed=True),
                        "volumeSize": integer(1, None, computed=True),
                        "volumeType": string(
                            computed=True, check=one_of("standard", "io1", "io2", "gp2", "gp3", "sc1", "st1")
                        ),
                    }
                ),
                "noDevice": string(),
                "virtualName": string(),
            }
        ),
        "creditSpecification": block({"cpuCredits": string(check=one_of("standard", "unlimited"))}),
        "disableApiStop": boolean(),
        "disableApiTermination": boolean(),
        "ebsOptimized": text_boolean(),
        "iamInstanceProfile": block({"arn": string(), "name": string()}),
        "imageId": string(),
        "instanceInitiatedShutdownBehavior": string(check=one_of("stop", "terminate")),
        "instanceType": string(),
        "keyName": string(),
        "metadataOptions": block(
            {
                "httpEndpoint": string(computed=True, check=one_of("enabled", "disabled")),
                "httpProtocolIpv6": string(computed=True, check=one_of("enabled", "disabled")),
                "httpPutResponseHopLimit": integer(1, 64, computed=True),
                "httpTokens": string(computed=True, check=one_of("optional", "required")),
                "instanceMetadataTags": string(computed=True, check=one_of("enabled", "disabled")),
            },
            computed=True,
        ),
        "monitoring": block({"enabled": boolean()}),
        "networkInterfaces": blocks(
            {
                "associatePublicIpAddress": text_boolean(),
                "deleteOnTermination": text_boolean(),
                "description": string(),
                "deviceIndex": integer(0, None),
                "networkInterfaceId": string(),
                "privateIpAddress": string(),
                "securityGroups": string_set(),
                "subnetId": string(),
            }
        ),
        "placement": block(
            {
                "availabilityZone": string(),
                "groupName": string(),
                "tenancy": string(check=one_of("default", "dedicated", "host")),
            }
        ),
        "tagSpecifications": blocks({"resourceType": string(), "tags": string_map()}),
        "userData": string(),
        "vpcSecurityGroupIds": string_set(),
    }
)


def _check_template_name(value: Json) -> str | None:
    # EC2 API Reference, CreateLaunchTemplate: LaunchTemplateName.
    if not re.fullmatch(r"[a-zA-Z0-9().\-/_]+", value):
        return f"may only hold letters, digits and ( ) . - / _, got {value!r}"
    return length(3, 128)(value)


def _template_data(inputs: State) -> Json:
    # AWS refuses a version without data; terraform-provider-aws sends empty user data then.
    return to_aws(_DATA, inputs, _DATA_NAMES) or {"UserData": ""}


def _update_template(aws: Aws, change: Change) -> None:
    latest = change.old.get("latestVersion")
    if change.changed & {*_DATA.fields, "description"}:
        parameters = {"LaunchTemplateId": ID, "VersionDescription": "description", "LaunchTemplateData": _template_data}
        made = aws.call("ec2", "create_launch_template_version", **fill(parameters, change.id, change.new))
        latest = made["LaunchTemplateVersion"]["VersionNumber"]
    default = change.new.get("defaultVersion") if "defaultVersion" in change.changed else None
    if change.new.get("updateDefaultVersion"):
        default = latest
    if default is not None:
        aws.call("ec2", "modify_launch_template", LaunchTemplateId=change.id, DefaultVersion=str(default))


def _read_latest_version(aws: Aws, id: str, state: State) -> State:
    answer = aws.call(
        "ec2", "describe_launch_template_versions", LaunchTemplateId=id, Versions=[str(state["latestVersion"])]
    )
    version = answer["LaunchTemplateVersions"][0]
    data = version["LaunchTemplateData"]
    current: State = {
        name: from_aws(prop, data.get(aws_name(name, _DATA_NAMES)), _DATA_NAMES) for name, prop in _DATA.fields.items()
    }
    return current | {"description": version.get("VersionDescription") or None}


LAUNCH_TEMPLATE = ResourceType(
    token="aws:ec2/launchTemplate:LaunchTemplate",
    properties={
        "name": string(replaces=True, check=_check_template_name, auto_name=AutoName()),
        "description": string(check=length(0, 255)),
        **_DATA.fields,
        "defaultVersion": integer(1, None, computed=True, conflicts=("updateDefaultVersion",)),
        "updateDefaultVersion": boolean(),
        "arn": output(),
        "latestVersion": output(Kind.INTEGER, volatile=True),
    },
    create=creating(
        Call(
            "ec2",
            "create_launch_template",
            {
                "LaunchTemplateName": "name",
                "VersionDescription": "description",
                "LaunchTemplateData": _template_data,
            },
        ),
        id="LaunchTemplate.LaunchTemplateId",
        ec2_tags="launch-template",
    ),
    read=joining(
        reading(
            Call("ec2", "describe_launch_templates", {"LaunchTemplateIds": [ID]}),
            result="LaunchTemplates[0]",
            outputs={
                "name": "LaunchTemplateName",
                "defaultVersion": "DefaultVersionNumber",
                "latestVersion": "LatestVersionNumber",
            },
            missing=("InvalidLaunchTemplateId.NotFound",),
            tags="Tags",
        ),
        _read_latest_version,
        lambda aws, id, state: {"arn": f"arn:aws:ec2:{aws.region}:{aws.ACCOUNT_ID}:launch-template/{id}"},
    ),
    updates=(
        Update(
            properties=(*_DATA.fields, "description", "defaultVersion", "updateDefaultVersion"), run=_update_template
        ),
    ),
    delete=deleting(
        Call("ec2", "delete_launch_template", {"LaunchTemplateId": ID}), missing=("InvalidLaunchTemplateId.NotFound",)
    ),
    write_tags=write_ec2_tags,
)


# Auto Scaling group

# terraform-provider-aws, aws_autoscaling_group "Timeouts": seconds that a deletion may take.
_DELETE_TIMEOUT = 600.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")

_TAG = block(
    {
        "key": string(required=True),
        "value": string(required=True),
        "propagateAtLaunch": boolean(required=True),
    }
)
_MAINTENANCE = block(
    {"minHealthyPercentage": integer(0, 100, required=True), "maxHealthyPercentage": integer(100, 200, required=True)}
)
_GROUP_NAMES: Names = {"id": "LaunchTemplateId", "name": "LaunchTemplateName"}
_TEMPLATE = block({"id": string(computed=True), "name": string(computed=True), "version": string(computed=True)})


def _seconds(duration: str) -> float | None:
    """A duration in Go's form ("10m", "1h30m", "0") in seconds; None if it has another form."""
    if duration == "0":
        return 0.0
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", duration):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def _check_duration(value: Json) -> str | None:
    return "expected a duration such as 10m, got " + repr(value) if _seconds(value) is None else None


def _refuse_instance_refresh(value: Json) -> str:
    return (
        "isn't supported by the sandbox: pulumi-aws changes the group first and starts the refresh after, so an "
        "automatic rollback would return to the new version, and it doesn't wait: start the refresh with "
        "DesiredConfiguration instead"
    )


def _check_group(inputs: State) -> Iterable[tuple[str, str]]:
    template = inputs["launchTemplate"]
    if isinstance(template, dict) and not (template.get("id") or template.get("name")):
        yield "launchTemplate", "needs id or name"


def _launch_template(inputs: State) -> Json:
    template = dict(inputs["launchTemplate"])
    if template.get("id"):
        # AWS takes one of the two; both are there when a refresh has taken the template from AWS.
        template.pop("name", None)
    return {"Version": "$Default", **to_aws(_TEMPLATE, template, _GROUP_NAMES)}


def _maintenance_policy(inputs: State) -> Json:
    return to_aws(_MAINTENANCE, inputs.get("instanceMaintenancePolicy"))


def _read_maintenance_policy(policy: Json) -> Json:
    # -1 is no policy (EC2 Auto Scaling API Reference, InstanceMaintenancePolicy).
    return None if not policy or policy["MinHealthyPercentage"] == -1 else from_aws(_MAINTENANCE, policy)


def _subnets(inputs: State) -> Json:
    return ",".join(inputs.get("vpcZoneIdentifiers") or ()) or None


def _group_tags(name: str, tags: Iterable[State]) -> list[dict[str, Any]]:
    return [{**to_aws(_TAG, tag), "ResourceId": name, "ResourceType": "auto-scaling-group"} for tag in tags]


# Property, AWS's parameter, and how the value is made.
_GROUP_PARAMETERS: dict[str, tuple[str, Any]] = {
    "minSize": ("MinSize", "minSize"),
    "maxSize": ("MaxSize", "maxSize"),
    "desiredCapacity": ("DesiredCapacity", "desiredCapacity"),
    "launchTemplate": ("LaunchTemplate", _launch_template),
    "vpcZoneIdentifiers": ("VPCZoneIdentifier", _subnets),
    "healthCheckType": ("HealthCheckType", "healthCheckType"),
    "healthCheckGracePeriod": ("HealthCheckGracePeriod", "healthCheckGracePeriod"),
    "defaultCooldown": ("DefaultCooldown", "defaultCooldown"),
    "defaultInstanceWarmup": ("DefaultInstanceWarmup", "defaultInstanceWarmup"),
    "terminationPolicies": ("TerminationPolicies", lambda inputs: inputs.get("terminationPolicies") or ["Default"]),
    "protectFromScaleIn": ("NewInstancesProtectedFromScaleIn", "protectFromScaleIn"),
    "serviceLinkedRoleArn": ("ServiceLinkedRoleARN", "serviceLinkedRoleArn"),
    "instanceMaintenancePolicy": ("InstanceMaintenancePolicy", _maintenance_policy),
}
# What takes a property away again: terraform-provider-aws sends this when a program no longer says anything.
_CLEARED = {
    "InstanceMaintenancePolicy": {"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1},
    "DefaultInstanceWarmup": 0,
}


def _create_group(aws: Aws, inputs: State) -> str:
    name = str(inputs["name"])
    parameters = fill(dict(value for key, value in _GROUP_PARAMETERS.items() if key in inputs), "", inputs)
    if inputs.get("targetGroupArns"):
        parameters["TargetGroupARNs"] = inputs["targetGroupArns"]
    if inputs.get("tags"):
        parameters["Tags"] = _group_tags(name, inputs["tags"])
    aws.call("autoscaling", "create_auto_scaling_group", AutoScalingGroupName=name, **parameters)
    return name


def _update_group(aws: Aws, change: Change) -> None:
    wanted = dict(value for key, value in _GROUP_PARAMETERS.items() if key in change.changed)
    parameters = fill(wanted, change.id, change.new) or {}
    parameters |= {name: value for name, value in _CLEARED.items() if name in wanted and name not in parameters}
    aws.call("autoscaling", "update_auto_scaling_group", AutoScalingGroupName=change.id, **parameters)


def _group(aws: Aws, name: str) -> dict[str, Any] | None:
    answer = aws.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
    found: dict[str, Any] | None = search("AutoScalingGroups[0]", answer)
    return found


def _wait_for_capacity(aws: Aws, change: Change) -> None:
    timeout = _seconds(change.new["waitForCapacityTimeout"])
    if not timeout:
        return
    created = not change.old

    def observe() -> str:
        group = _group(aws, change.id)
        if group is None:
            raise UnusableAnswerError(f"Auto Scaling group {change.id} was deleted while its instances were starting")
        wanted = max(group["MinSize"], group["DesiredCapacity"])
        healthy = sum(
            instance["LifecycleState"] == "InService" and instance["HealthStatus"] == "Healthy"
            for instance in group["Instances"]
        )
        # terraform-provider-aws takes the capacity for a minimum after a creation and for exact after an update.
        return "ready" if healthy == wanted or (created and healthy > wanted) else f"at {healthy} of {wanted} instances"

    wait_for(observe, "ready", f"the instances of Auto Scaling group {change.id} to be healthy", timeout)


def _change_set(change: Change, name: str) -> tuple[list[str], list[str]]:
    """What goes and what comes in a property that holds a set of texts."""
    old, new = change.old.get(name) or [], change.new.get(name) or []
    return [item for item in old if item not in new], [item for item in new if item not in old]


def _move_set(name: str, parameter: str, leave: str, enter: str, on_create: bool = True, **more: str) -> Update:
    """An Update that calls `leave` for what goes and `enter` for what comes; `more` are parameters of `enter`."""

    def run(aws: Aws, change: Change) -> None:
        gone, come = _change_set(change, name)
        if gone:
            aws.call("autoscaling", leave, AutoScalingGroupName=change.id, **{parameter: gone})
        if come:
            extra = {key: change.new[value] for key, value in more.items()}
            aws.call("autoscaling", enter, AutoScalingGroupName=change.id, **{parameter: come}, **extra)

    return Update(properties=(name,), run=run, on_create=on_create)


def _update_group_tags(aws: Aws, change: Change) -> None:
    old, new = change.old.get("tags") or [], change.new.get("tags") or []
    keys = {tag["key"] for tag in new}
    gone = [tag for tag in old if tag["key"] not in keys]
    come = [tag for tag in new if tag not in old]
    if gone:
        aws.call("autoscaling", "delete_tags", Tags=_group_tags(change.id, gone))
    if come:
        aws.call("autoscaling", "create_or_update_tags", Tags=_group_tags(change.id, come))


def _read_group(aws: Aws, id: str, state: State) -> State | None:
    group = _group(aws, id)
    if group is None:
        return None
    tags = [tag for tag in group.get("Tags", ()) if not tag["Key"].startswith("aws:")]
    policies = group.get("TerminationPolicies")
    return {
        "name": group["AutoScalingGroupName"],
        "arn": group["AutoScalingGroupARN"],
        "minSize": group["MinSize"],
        "maxSize": group["MaxSize"],
        "desiredCapacity": group["DesiredCapacity"],
        "launchTemplate": from_aws(_TEMPLATE, group.get("LaunchTemplate"), _GROUP_NAMES),
        "vpcZoneIdentifiers": [subnet for subnet in group.get("VPCZoneIdentifier", "").split(",") if subnet],
        "availabilityZones": group["AvailabilityZones"],
        "targetGroupArns": group.get("TargetGroupARNs", []),
        "healthCheckType": group["HealthCheckType"],
        "healthCheckGracePeriod": group.get("HealthCheckGracePeriod"),
        "defaultCooldown": group["DefaultCooldown"],
        "defaultInstanceWarmup": group.get("DefaultInstanceWarmup"),
        # "Default" alone is what AWS sets when a group is created without policies.
        "terminationPolicies": None if policies == ["Default"] and not state.get("terminationPolicies") else policies,
        "protectFromScaleIn": group.get("NewInstancesProtectedFromScaleIn", False),
        "serviceLinkedRoleArn": group.get("ServiceLinkedRoleARN"),
        "instanceMaintenancePolicy": _read_maintenance_policy(group.get("InstanceMaintenancePolicy")),
        "suspendedProcesses": search("SuspendedProcesses[].ProcessName", group),
        "enabledMetrics": search("EnabledMetrics[].Metric", group),
        "metricsGranularity": search("EnabledMetrics[0].Granularity", group) or "1Minute",
        "tags": [from_aws(_TAG, tag) for tag in tags],
    }


def _drain_group(aws: Aws, name: str) -> None:
    """Scale to nothing and wait until the last instance is gone, protected ones included."""
    group = _group(aws, name)
    protected = search("Instances[?ProtectedFromScaleIn].InstanceId", group)
    if protected:
        aws.call(
            "autoscaling",
            "set_instance_protection",
            AutoScalingGroupName=name,
            InstanceIds=protected,
            ProtectedFromScaleIn=False,
        )
    aws.call(
        "autoscaling", "update_auto_scaling_group", AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0
    )

    def observe() -> str:
        left = len(search("Instances", _group(aws, name)) or ())
        return f"at {left} instances" if left else "empty"

    wait_for(observe, "empty", f"Auto Scaling group {name} to be empty", _DELETE_TIMEOUT)


def _delete_group(aws: Aws, id: str, state: State) -> None:
    if _group(aws, id) is None:
        return
    force = bool(state.get("forceDelete"))
    if not force:
        _drain_group(aws, id)
    try:
        aws.call("autoscaling", "delete_auto_scaling_group", AutoScalingGroupName=id, ForceDelete=force)
    except ClientError as error:
        answer = error.response["Error"]
        # AWS has no code of its own for a group that isn't there.
        if not (answer["Code"] == "ValidationError" and "not found" in answer["Message"]):
            raise
    wait_for(
        lambda: "gone" if _group(aws, id) is None else "still there",
        "gone",
        f"Auto Scaling group {id} to be gone",
        _DELETE_TIMEOUT,
    )


GROUP = ResourceType(
    token="aws:autoscaling/group:Group",
    properties={
        "name": string(replaces=True, check=length(1, 255), auto_name=AutoName()),
        "minSize": integer(0, None, required=True),
        "maxSize": integer(0, None, required=True),
        "desiredCapacity": integer(0, None, computed=True),
        # pulumi-aws takes a launch configuration or a mixed instances policy instead; the sandbox has neither.
        "launchTemplate": block(_TEMPLATE.fields, required=True),
        # pulumi-aws takes `availabilityZones` instead, for a default VPC; the sandbox's groups name their subnets.
        "vpcZoneIdentifiers": string_set(required=True),
        "targetGroupArns": string_set(computed=True),
        "healthCheckType": string(computed=True, check=one_of("EC2", "ELB")),
        "healthCheckGracePeriod": integer(0, None, default=300),
        "defaultCooldown": integer(0, None, computed=True),
        "defaultInstanceWarmup": integer(0, None),
        "terminationPolicies": strings(),
        "protectFromScaleIn": boolean(default=False),
        "serviceLinkedRoleArn": string(computed=True),
        "instanceMaintenancePolicy": _MAINTENANCE,
        "suspendedProcesses": string_set(),
        "enabledMetrics": string_set(),
        "metricsGranularity": string(default="1Minute", check=one_of("1Minute")),
        "tags": block_set(_TAG.fields),
        "forceDelete": boolean(default=False),
        "ignoreFailedScalingActivities": boolean(default=False),
        "waitForCapacityTimeout": string(default="10m", check=_check_duration),
        "instanceRefresh": Property(kind=Kind.MAP, check=_refuse_instance_refresh),
        "arn": output(),
        "availabilityZones": output(Kind.SET, element=string()),
    },
    create=_create_group,
    read=_read_group,
    updates=(
        Update(properties=tuple(_GROUP_PARAMETERS), run=_update_group),
        Update(properties=("tags",), run=_update_group_tags),
        _move_set(
            "targetGroupArns",
            "TargetGroupARNs",
            leave="detach_load_balancer_target_groups",
            enter="attach_load_balancer_target_groups",
            # CreateAutoScalingGroup takes them.
            on_create=False,
        ),
        # Before the processes are suspended: a new group has to start its instances first.
        Update(properties=("minSize", "desiredCapacity"), on_create=True, run=_wait_for_capacity),
        _move_set(
            "enabledMetrics",
            "Metrics",
            leave="disable_metrics_collection",
            enter="enable_metrics_collection",
            Granularity="metricsGranularity",
        ),
        _move_set("suspendedProcesses", "ScalingProcesses", leave="resume_processes", enter="suspend_processes"),
        kept(
            "forceDelete",
            "ignoreFailedScalingActivities",
            "waitForCapacityTimeout",
            "metricsGranularity",
            "instanceRefresh",
        ),
    ),
    delete=_delete_group,
    validate=_check_group,
)
