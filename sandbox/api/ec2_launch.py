"""How EC2 starts instances: launch templates, their versions, and RunInstances with or without one.

`plan` is the one place where a request, a template and an image are put together and judged. RunInstances starts
what it returns; Auto Scaling asks it before it accepts a template, as AWS does with a dry run.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.launch_templates import LaunchTemplates

from lockstep.quota_codes import VCPUS
from sandbox.api import service_quotas
from sandbox.api.change import Change, wrap

# EC2 API Reference, CreateLaunchTemplate: name pattern and length, version description.
NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
DESCRIPTION_MAX = 255
# EC2 User Guide, "Run commands at launch": 16 KB of user data, before base64.
USER_DATA_MAX = 16384
# EC2 API Reference, DeleteLaunchTemplateVersions.
DELETED_VERSIONS_MAX = 200
# EC2 API Reference, LaunchTemplateInstanceMetadataOptionsRequest.
HOP_LIMIT_MAX = 64
METADATA_CHOICES = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": ("enabled", "disabled"),
    "HttpProtocolIpv6": ("enabled", "disabled"),
    "InstanceMetadataTags": ("enabled", "disabled"),
}
TAGGABLE_AT_LAUNCH = ("instance", "volume", "network-interface", "spot-instances-request")
# What instances of the sandbox are started with. Anything else in a template is refused by name: starting an instance
# that lacks what its template asks for would be worse.
SUPPORTED_DATA = frozenset(
    {
        "BlockDeviceMappings",
        "CreditSpecification",
        "DisableApiStop",
        "DisableApiTermination",
        "EbsOptimized",
        "IamInstanceProfile",
        "ImageId",
        "InstanceInitiatedShutdownBehavior",
        "InstanceType",
        "KeyName",
        "MetadataOptions",
        "Monitoring",
        "NetworkInterfaces",
        "SecurityGroupIds",
        "SecurityGroups",
        "TagSpecifications",
        "UserData",
    }
)
# EC2 API Reference, RunInstances: what an omitted InstanceType means.
DEFAULT_INSTANCE_TYPE = "m1.small"
IMAGE_ID = re.compile(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})")


_lacks_capacity: Callable[[str], bool] = lambda region: False  # noqa: E731 - replaced as a whole


def use_capacity(lacks_capacity: Callable[[str], bool]) -> None:
    """Have `lacks_capacity(region)` say where nothing can be launched now."""
    global _lacks_capacity
    _lacks_capacity = lacks_capacity


def refuse(code: str, message: str) -> NoReturn:
    """Answer the request with the EC2 error `code`."""
    raise EC2ClientError(code, message)


def unsupported(what: str) -> NoReturn:
    """Answer as the server does for operations that the sandbox doesn't have, naming what it lacks."""
    refuse("NotImplemented", f"the sandbox doesn't support {what}")


def add_operation(responses: type, operation: str, answer: Any) -> None:
    """Give moto's response class an operation that moto lacks.

    Raises RuntimeError if moto has it by now: then the sandbox's must be compared with it, not put over it.
    """
    if hasattr(responses, operation):
        raise RuntimeError(f"moto answers {responses.__name__}.{operation} itself: drop or rewrite the sandbox's")
    setattr(responses, operation, answer)


# --- launch templates -----------------------------------------------------------------------------------------


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name or ""):
        refuse(
            "InvalidLaunchTemplateName.MalformedException",
            f"Launch template name '{name}' is invalid: a launch template name must be between 3 and 128 characters, "
            "and may contain letters, numbers, and the following characters: - ( ) . / _",
        )


def _check_description(description: str | None) -> None:
    if description and len(description) > DESCRIPTION_MAX:
        refuse(
            "InvalidParameterValue",
            f"The version description has {len(description)} characters; the maximum is {DESCRIPTION_MAX}",
        )


def _decoded(user_data: str) -> bytes:
    try:
        return base64.b64decode(user_data, validate=True)
    except binascii.Error:
        refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")


def _check_metadata_options(options: dict[str, Any]) -> None:
    for key, choices in METADATA_CHOICES.items():
        if key in options and options[key] not in choices:
            refuse("InvalidParameterValue", f"Value ({options[key]}) for parameter {key} is invalid: one of {choices}")
    hops = options.get("HttpPutResponseHopLimit")
    if hops is not None and not 1 <= int(hops) <= HOP_LIMIT_MAX:
        refuse(
            "InvalidParameterValue",
            f"Value ({hops}) for parameter HttpPutResponseHopLimit is invalid: 1 to {HOP_LIMIT_MAX}",
        )


def _check_tag_specifications(specifications: list[dict[str, Any]]) -> None:
    for specification in specifications:
        kind = specification.get("ResourceType")
        if kind not in TAGGABLE_AT_LAUNCH:
            refuse("InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation.")


def _template_data(data: dict[str, Any] | None) -> dict[str, Any]:
    """The checked `LaunchTemplateData` of a request, with user data in the type that moto's instances take."""
    if not data:
        refuse("MissingParameter", "The request must contain the parameter LaunchTemplateData")
    unknown = sorted(set(data) - SUPPORTED_DATA)
    if unknown:
        unsupported(f"launch templates with {', '.join(unknown)}")
    checked = dict(data)
    _check_metadata_options(checked.get("MetadataOptions", {}))
    _check_tag_specifications(checked.get("TagSpecifications", []))
    if checked.get("UserData"):
        if len(_decoded(checked["UserData"])) > USER_DATA_MAX:
            refuse("InvalidUserData.Malformed", f"User data is limited to {USER_DATA_MAX} bytes")
        checked["UserData"] = Base64EncodedString(checked["UserData"])
    return checked


def _template_of(responses: Any) -> LaunchTemplate:
    """The launch template that a request names by id or name."""
    name, identifier = responses._get_param("LaunchTemplateName"), responses._get_param("LaunchTemplateId")
    if bool(name) == bool(identifier):
        refuse(
            "InvalidParameterCombination" if name else "MissingParameter",
            "Either a launch template ID or a launch template name must be specified in the request, and only one.",
        )
    if identifier:
        template: LaunchTemplate = responses.ec2_backend.get_launch_template(identifier)
    else:
        template = responses.ec2_backend.get_launch_template_by_name(name)
    return template


def _created_by(responses: Any) -> str:
    return f"arn:{responses.partition}:iam::{responses.current_account}:root"


def _described_template(responses: Any, template: LaunchTemplate) -> dict[str, Any]:
    return {
        "CreateTime": template.create_time,
        "CreatedBy": _created_by(responses),
        "DefaultVersionNumber": template.default_version_number,
        "LatestVersionNumber": template.latest_version_number,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Tags": template.get_tags(),
    }


def _described_version(responses: Any, version: LaunchTemplateVersion) -> dict[str, Any]:
    return {
        "CreateTime": version.create_time,
        "CreatedBy": _created_by(responses),
        "DefaultVersion": version.template.is_default(version),
        "LaunchTemplateData": version.data,
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "VersionDescription": version.description,
        "VersionNumber": version.number,
    }


def _create_launch_template(_original: Any, responses: Any) -> ActionResult:
    name, description = responses._get_param("LaunchTemplateName"), responses._get_param("VersionDescription")
    _check_name(name)
    _check_description(description)
    data = _template_data(responses._get_param("LaunchTemplateData"))
    tags = responses._parse_tag_specification("launch-template")
    responses.error_on_dryrun()
    template = responses.ec2_backend.create_launch_template(name, description, data, tags)
    return ActionResult({"LaunchTemplate": _described_template(responses, template)})


def _create_launch_template_version(_original: Any, responses: Any) -> ActionResult:
    template = _template_of(responses)
    description = responses._get_param("VersionDescription")
    _check_description(description)
    data = _template_data(responses._get_param("LaunchTemplateData"))
    source = responses._get_param("SourceVersion")
    if source:
        data = {**template.get_version(source).data, **data}
    responses.error_on_dryrun()
    version = template.create_version(data, description)
    return ActionResult({"LaunchTemplateVersion": _described_version(responses, version)})


def _page(responses: Any, items: list[Any], default: int) -> tuple[list[Any], str | None]:
    """The page of `items` that a request asks for, and the token of the next one."""
    start = int(responses._get_param("NextToken") or 0)
    end = start + (responses._get_int_param("MaxResults") or default)
    return items[start:end], str(end) if end < len(items) else None


def _describe_launch_templates(_original: Any, responses: Any) -> ActionResult:
    backend = responses.ec2_backend
    for identifier in responses._get_param("LaunchTemplateIds", []):
        backend.get_launch_template(identifier)
    responses.error_on_dryrun()
    templates = backend.describe_launch_templates(
        template_names=responses._get_param("LaunchTemplateNames", []),
        template_ids=responses._get_param("LaunchTemplateIds", []),
        filters=responses._filters_from_querystring(),
    )
    page, token = _page(responses, templates, default=200)
    return ActionResult(
        {"LaunchTemplates": [_described_template(responses, template) for template in page], "NextToken": token}
    )


def _chosen_versions(responses: Any) -> list[LaunchTemplateVersion]:
    wanted = responses._get_param("Versions", [])
    if not responses._get_param("LaunchTemplateName") and not responses._get_param("LaunchTemplateId"):
        if not wanted or not set(wanted) <= {"$Latest", "$Default"}:
            refuse(
                "MissingParameter" if not wanted else "InvalidParameterValue",
                "Without a launch template ID or name, the versions must be $Latest, $Default, or both.",
            )
        templates = responses.ec2_backend.launch_templates.values()
        return [template.get_version(version) for template in templates for version in wanted]
    template = _template_of(responses)
    if wanted:
        return [template.get_version(version) for version in wanted]
    low = responses._get_int_param("MinVersion") or 1
    high = responses._get_int_param("MaxVersion") or template.latest_version_number
    # AWS lists the newest version first.
    return [version for version in reversed(template.versions) if low <= version.number <= high]


def _describe_launch_template_versions(_original: Any, responses: Any) -> ActionResult:
    if responses._get_param("Filters"):
        unsupported("filters of DescribeLaunchTemplateVersions")
    responses.error_on_dryrun()
    page, token = _page(responses, _chosen_versions(responses), default=200)
    return ActionResult(
        {"LaunchTemplateVersions": [_described_version(responses, version) for version in page], "NextToken": token}
    )


def _delete_launch_template(original: Any, responses: Any) -> ActionResult:
    _template_of(responses)
    deleted: ActionResult = original(responses)
    return deleted


def _modify_launch_template(original: Any, responses: Any) -> ActionResult:
    _template_of(responses)
    modified: ActionResult = original(responses)
    return modified


def _not_deleted(template: LaunchTemplate, number: str, code: str, message: str) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": number,
        "ResponseError": {"Code": code, "Message": message},
    }


def _delete_launch_template_versions(responses: Any) -> ActionResult:
    """DeleteLaunchTemplateVersions, which moto lacks: each version by itself, never the default one."""
    template, numbers = _template_of(responses), responses._get_param("Versions", [])
    if len(numbers) > DELETED_VERSIONS_MAX:
        refuse("InvalidParameterValue", f"At most {DELETED_VERSIONS_MAX} versions can be deleted in a single request.")
    responses.error_on_dryrun()
    deleted, failed = [], []
    for number in numbers:
        found = [version for version in template.versions if str(version.number) == str(number)]
        if not found:
            message = f"The launch template version {number} does not exist."
            failed.append(_not_deleted(template, number, "launchTemplateVersionDoesNotExist", message))
        elif template.is_default(found[0]):
            message = f"Version {number} is the default version of the launch template and can't be deleted."
            failed.append(_not_deleted(template, number, "unexpectedError", message))
        else:
            template.versions.remove(found[0])
            deleted.append(
                {
                    "LaunchTemplateId": template.id,
                    "LaunchTemplateName": template.name,
                    "VersionNumber": found[0].number,
                }
            )
    return ActionResult(
        {
            "SuccessfullyDeletedLaunchTemplateVersions": deleted,
            "UnsuccessfullyDeletedLaunchTemplateVersions": failed,
        }
    )


def _create_version(_original: Any, template: Any, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """Number versions one after another and never give the number of a deleted version again, as AWS does."""
    template.highest_version = getattr(template, "highest_version", 0) + 1
    version = LaunchTemplateVersion(template, template.highest_version, data, description)
    template.versions.append(version)
    return version


def _get_version(_original: Any, template: Any, number: Any) -> LaunchTemplateVersion:
    wanted = {"$latest": template.latest_version_number, "$default": template.default_version_number}.get(
        str(number).lower(), number
    )
    for version in template.versions:
        if str(version.number) == str(wanted):
            found: LaunchTemplateVersion = version
            return found
    refuse(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version {number} for the launch template with ID {template.id}.",
    )


def _default_version(_original: Any, template: Any) -> LaunchTemplateVersion:
    version: LaunchTemplateVersion = template.get_version(template.default_version_number)
    return version


# --- RunInstances ---------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class LaunchPlan:
    """What an instance is started with, after request, template and image were put together.

    `arguments` are moto's keyword arguments of `run_instances`; `profile` names the instance profile that the template
    asks for (the request's own is moto's to associate).
    """

    image_id: str
    user_data: Base64EncodedString | None
    security_group_names: list[str]
    arguments: dict[str, Any]
    profile: dict[str, str] = field(default_factory=dict)


def template_version(backend: Any, template: dict[str, Any]) -> LaunchTemplateVersion:
    """The version that a LaunchTemplateSpecification names; `$Default` if it names none."""
    if template.get("LaunchTemplateId"):
        found = backend.get_launch_template(template["LaunchTemplateId"])
    else:
        found = backend.get_launch_template_by_name(template.get("LaunchTemplateName"))
    version: LaunchTemplateVersion = found.get_version(template.get("Version") or "$Default")
    return version


@cache
def _zones_of_type(region: str, instance_type: str) -> tuple[str, ...]:
    offerings = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return tuple(sorted(offer["Location"] for offer in offerings if offer["InstanceType"] == instance_type))


def _check_image(backend: Any, image_id: str | None) -> Any:
    if not image_id:
        refuse("MissingParameter", "The request must contain the parameter ImageId")
    if not IMAGE_ID.fullmatch(image_id):
        refuse("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    image = backend.amis.get(image_id)
    if image is None:
        refuse("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if image.state != "available":
        refuse("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available.")
    return image


def _check_instance_type(backend: Any, instance_type: str, image: Any, zone: str) -> None:
    zones = _zones_of_type(backend.region_name, instance_type)
    if instance_type not in INSTANCE_TYPES:
        refuse("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    if not zones:
        refuse(
            "Unsupported",
            "The requested configuration is currently not supported. Please check the documentation for supported "
            f"configurations. ({instance_type} isn't offered in {backend.region_name})",
        )
    if zone not in zones:
        refuse(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
            f"({zone}). Please retry your request by not specifying an Availability Zone or choosing "
            f"{', '.join(zones)}.",
        )
    architectures = INSTANCE_TYPES[instance_type]["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        refuse(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching architectures, and try again.",
        )


def _default_subnet(backend: Any, zone: str | None) -> Any:
    vpc = backend.get_default_vpc()
    if vpc is None:
        refuse("VPCIdNotSpecified", "No default VPC for this user")
    subnets = sorted(
        (s for s in backend.describe_subnets(filters={"vpc-id": vpc.id}) if s.default_for_az),
        key=lambda s: s.availability_zone,
    )
    chosen = [s for s in subnets if zone in (None, s.availability_zone)]
    if not chosen:
        refuse("InvalidInput", f"No default subnet for availability zone: '{zone}'.")
    return chosen[0]


def _subnet(backend: Any, arguments: dict[str, Any], interfaces: list[dict[str, Any]]) -> Any:
    named = arguments.get("subnet_id") or next((i["SubnetId"] for i in interfaces if i.get("SubnetId")), None)
    return backend.get_subnet(named) if named else _default_subnet(backend, arguments.get("placement"))


def _check_groups(backend: Any, groups: list[str], subnet: Any) -> None:
    for group_id in groups:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            refuse("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group.vpc_id != subnet.vpc_id:
            refuse(
                "InvalidParameter",
                f"Security group {group_id} and subnet {subnet.id} belong to different networks.",
            )


def _check_profile(backend: Any, profile: dict[str, str]) -> None:
    from moto.iam.models import iam_backends

    if not profile:
        return
    known = iam_backends[backend.account_id][backend.partition].get_instance_profiles()
    by_name, by_arn = profile.get("Name"), profile.get("Arn")
    if by_name and by_name not in {known_profile.name for known_profile in known}:
        refuse(
            "InvalidParameterValue",
            f"Value ({by_name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        )
    if by_arn and by_arn not in {known_profile.arn for known_profile in known}:
        refuse(
            "InvalidParameterValue",
            f"Value ({by_arn}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
        )


def _block_devices(image: Any, *overrides: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The volumes of an instance: the image's, changed and added to by each list of mappings in turn."""
    merged = {m["DeviceName"]: dict(m["Ebs"]) for m in image.block_device_mappings}
    smallest = {device: ebs["VolumeSize"] for device, ebs in merged.items()}
    for mapping in [m for mappings in overrides for m in mappings or []]:
        device = mapping["DeviceName"]
        if mapping.get("NoDevice") == "":
            merged.pop(device, None)
            continue
        changes = {key: value for key, value in (mapping.get("Ebs") or {}).items() if value is not None}
        merged[device] = {**merged.get(device, {}), **changes}
    for device, ebs in merged.items():
        if int(ebs.get("VolumeSize", 0)) < smallest.get(device, 1):
            refuse(
                "InvalidBlockDeviceMapping",
                f"Volume of size {ebs.get('VolumeSize', 0)}GB is smaller than snapshot '{ebs.get('SnapshotId')}', "
                f"expect size >= {smallest.get(device, 1)}GB",
            )
    return [{"DeviceName": device, "Ebs": ebs} for device, ebs in merged.items()]


def _requested_devices(_original: Any, responses: Any) -> list[dict[str, Any]]:
    """A request's mappings as sent: moto asks for a size even to change the root's type, and fills in defaults."""
    mappings: list[dict[str, Any]] = responses._get_param("BlockDeviceMappings", [])
    for mapping in mappings:
        if not mapping.get("DeviceName"):
            refuse("MissingParameter", "The request must contain the parameter deviceName")
    return mappings


def _metadata_options(image: Any, *overrides: dict[str, Any] | None) -> dict[str, Any]:
    # EC2 User Guide, "Configure instance metadata options": an image with imds-support v2.0 requires tokens, hop
    # limit 2.
    imds_v2 = getattr(image, "imds_support", None) == "v2.0"
    merged: dict[str, Any] = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2} if imds_v2 else {}
    for options in overrides:
        merged.update({key: value for key, value in (options or {}).items() if value is not None})
    _check_metadata_options(merged)
    return merged


def _interfaces(requested: list[dict[str, Any]], group_ids: list[str]) -> list[dict[str, Any]]:
    """Network interfaces as moto takes them: made with the instance, deleted with it, groups at the instance."""
    if requested and group_ids:
        refuse(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level security groups may not be specified on the same request",
        )
    interfaces = [dict(interface) for interface in requested] or [{"DeviceIndex": 0}]
    for interface in interfaces:
        if not interface.get("NetworkInterfaceId"):
            interface.setdefault("DeleteOnTermination", True)
            interface.setdefault("DeviceIndex", 0)
    return interfaces


def _check_free_addresses(subnet: Any, count: int) -> None:
    if subnet.available_ip_address_count < count:
        refuse(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{subnet.id}' to satisfy the requested number of "
            "instances.",
        )


def plan(
    backend: Any,
    *,
    image_id: str | None,
    count: int,
    user_data: Base64EncodedString | None,
    security_group_names: list[str],
    arguments: dict[str, Any],
) -> LaunchPlan:
    """Put together and judge a launch of `count` instances; nothing is started.

    `arguments` are those of moto's `run_instances`; what they leave out comes from the launch template, then the image.
    Raises EC2ClientError with the code and text that RunInstances answers with.
    """
    arguments = dict(arguments)
    specification = arguments.get("launch_template") or {}
    version = template_version(backend, specification) if specification else None
    data: dict[str, Any] = version.data if version else {}
    if version:
        # The number, so that instances started by $Latest say which version they are of.
        arguments["launch_template"] = {"LaunchTemplateId": version.template.id, "Version": str(version.number)}

    image = _check_image(backend, image_id or data.get("ImageId"))
    group_ids = list(arguments.get("security_group_ids") or data.get("SecurityGroupIds") or [])
    names = list(security_group_names or data.get("SecurityGroups") or [])
    interfaces = _interfaces(arguments.get("nics") or data.get("NetworkInterfaces") or [], group_ids + names)
    subnet = _subnet(backend, arguments, interfaces)
    group_ids += [group for interface in interfaces for group in interface.pop("Groups", None) or []]
    _check_groups(backend, group_ids, subnet)
    if not group_ids and not names:
        group_ids = [backend.get_default_security_group(subnet.vpc_id).id]
    instance_type = arguments.get("instance_type")
    if not instance_type or arguments.get("is_instance_type_default"):
        instance_type = data.get("InstanceType") or DEFAULT_INSTANCE_TYPE
    _check_instance_type(backend, instance_type, image, subnet.availability_zone)
    _check_free_addresses(subnet, count)
    own_profile = arguments.get("iam_instance_profile_name") or arguments.get("iam_instance_profile_arn")
    profile: dict[str, str] = {} if own_profile else dict(data.get("IamInstanceProfile") or {})
    _check_profile(backend, profile)
    user_data = user_data if user_data is not None else data.get("UserData")
    if user_data is not None and len(_decoded(str(user_data))) > USER_DATA_MAX:
        refuse("InvalidParameterValue", f"User data is limited to {USER_DATA_MAX} bytes")

    arguments.update(
        instance_type=instance_type,
        is_instance_type_default=False,
        # The subnet decides the zone; moto would check a placement against offerings of any type.
        placement=None,
        subnet_id=subnet.id,
        security_group_ids=group_ids,
        nics=interfaces,
        tags=_launch_tags(data, arguments.get("tags") or {}),
        block_device_mappings=_block_devices(
            image, data.get("BlockDeviceMappings"), arguments.get("block_device_mappings")
        ),
        metadata_options=_metadata_options(image, data.get("MetadataOptions"), arguments.get("metadata_options")),
        monitoring_state=_monitoring(arguments, data),
        ebs_optimized=arguments.get("ebs_optimized") or data.get("EbsOptimized", False),
        disable_api_stop=arguments.get("disable_api_stop") or data.get("DisableApiStop", False),
        disable_api_termination=data.get("DisableApiTermination", False),
        instance_initiated_shutdown_behavior=(
            arguments.get("instance_initiated_shutdown_behavior") or data.get("InstanceInitiatedShutdownBehavior")
        ),
        region_name=backend.region_name,
    )
    return LaunchPlan(
        image_id=image.id,
        user_data=user_data,
        security_group_names=names,
        arguments=arguments,
        profile=profile,
    )


def _monitoring(arguments: dict[str, Any], data: dict[str, Any]) -> str:
    if arguments.get("monitoring_state") == "enabled" or (data.get("Monitoring") or {}).get("Enabled"):
        return "enabled"
    return "disabled"


def _launch_tags(data: dict[str, Any], requested: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Tags by resource type; a request's tag wins over the template's of the same key."""
    merged: dict[str, dict[str, str]] = {}
    for specification in data.get("TagSpecifications", []):
        tags = {tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])}
        merged.setdefault(specification["ResourceType"], {}).update(tags)
    for kind, tags in requested.items():
        merged.setdefault(kind, {}).update(tags)
    return merged


def _run_instances(
    original: Any,
    backend: Any,
    image_id: str | None,
    count: int,
    user_data: Base64EncodedString | None,
    security_group_names: list[str],
    **arguments: Any,
) -> Any:
    launch = plan(
        backend,
        image_id=image_id,
        count=count,
        user_data=user_data,
        security_group_names=security_group_names,
        arguments=arguments,
    )
    wanted = service_quotas.vcpus_wanted(launch.arguments["instance_type"], count)
    if wanted and wanted > service_quotas.vcpus_left(backend):
        limit = service_quotas.APPLIED[(VCPUS.service, VCPUS.code)].value
        refuse(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit:g} allows for the instance "
            "bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )
    if _lacks_capacity(backend.region_name):
        refuse(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {launch.arguments['instance_type']} capacity in the Availability "
            "Zone you requested. Our system will be working on provisioning additional capacity.",
        )
    reservation = original(
        backend, launch.image_id, count, launch.user_data, launch.security_group_names, **launch.arguments
    )
    # moto associates the request's own profile, and only with the first instance.
    named = {"Name": arguments.get("iam_instance_profile_name"), "Arn": arguments.get("iam_instance_profile_arn")}
    profile = launch.profile or named
    if any(profile.values()):
        for instance in reservation.instances if launch.profile else reservation.instances[1:]:
            backend.associate_iam_instance_profile(
                instance_id=instance.id,
                iam_instance_profile_name=profile.get("Name"),
                iam_instance_profile_arn=profile.get("Arn"),
            )
    return reservation


def _run_instances_request(original: Any, responses: Any) -> ActionResult:
    low, high = responses._get_int_param("MinCount"), responses._get_int_param("MaxCount")
    if not 1 <= low <= high:
        refuse("InvalidParameterValue", f"Invalid counts: MinCount {low} and MaxCount {high}")
    # moto would answer with IAM's error for a profile that doesn't exist.
    _check_profile(responses.ec2_backend, responses._get_param("IamInstanceProfile") or {})
    # moto starts MinCount instances; AWS starts MaxCount, and fewer only if it has no capacity for them.
    responses.params["MinCount"] = high
    started: ActionResult = original(responses)
    return started


def _apply_templates() -> None:
    wrap(LaunchTemplates, "create_launch_template", _create_launch_template)
    wrap(LaunchTemplates, "create_launch_template_version", _create_launch_template_version)
    wrap(LaunchTemplates, "describe_launch_templates", _describe_launch_templates)
    wrap(LaunchTemplates, "describe_launch_template_versions", _describe_launch_template_versions)
    wrap(LaunchTemplates, "delete_launch_template", _delete_launch_template)
    wrap(LaunchTemplates, "modify_launch_template", _modify_launch_template)


def _apply_versions() -> None:
    add_operation(LaunchTemplates, "delete_launch_template_versions", _delete_launch_template_versions)
    wrap(LaunchTemplate, "create_version", _create_version)
    wrap(LaunchTemplate, "get_version", _get_version)
    wrap(LaunchTemplate, "default_version", _default_version)


def _apply_run_instances() -> None:
    wrap(InstanceBackend, "run_instances", _run_instances)
    wrap(InstanceResponse, "run_instances", _run_instances_request)
    wrap(InstanceResponse, "_parse_block_device_mapping", _requested_devices)


CHANGES: tuple[Change, ...] = (
    Change(
        name="ec2-launch-templates",
        why=(
            "moto takes any name and data, keeps user data of later versions in a type that its own instances refuse "
            "(an AssertionError in Auto Scaling), ignores SourceVersion, writes the template's own tags into its "
            "data and lists 15 templates or versions without a token for the rest. AWS: EC2 API Reference, "
            "CreateLaunchTemplate, CreateLaunchTemplateVersion (SourceVersion), DescribeLaunchTemplates, "
            "DescribeLaunchTemplateVersions."
        ),
        apply=_apply_templates,
    ),
    Change(
        name="ec2-launch-template-versions-deleted",
        why=(
            "moto lacks DeleteLaunchTemplateVersions and finds versions by their place in a list, so that numbers "
            "would shift. On AWS a version keeps its number, deleted numbers aren't given again, and the default "
            "version can't be deleted (EC2 API Reference, DeleteLaunchTemplateVersions)."
        ),
        apply=_apply_versions,
    ),
    Change(
        name="ec2-run-instances",
        why=(
            "moto starts any type from any image, drops a template's metadata options, instance profile, interfaces "
            "and volume tags, adds a /dev/sda1 that the image doesn't have, never frees the interface of a "
            "terminated instance and starts MinCount instances. AWS checks and merges request, template and image "
            "(EC2 API Reference, RunInstances) and names what doesn't exist."
        ),
        apply=_apply_run_instances,
    ),
)
