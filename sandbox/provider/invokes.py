"""The functions (data sources) that the sandbox's provider answers.

An argument that isn't listed here is refused by name, and so is `aws:iam/getPolicyDocument:getPolicyDocument`: a policy
is text, which the program can write without a call.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.session import get_session

from sandbox.provider.aws import Aws
from sandbox.provider.calls import UnusableAnswerError, tag_map
from sandbox.provider.schema import Property, State, block_set, boolean, one_of, string, string_set, strings
from sandbox.provider.values import Json


@dataclass(frozen=True, kw_only=True)
class Invoke:
    """One function: its arguments and what answers it."""

    token: str
    run: Callable[[Aws, State], State]
    arguments: Mapping[str, Property] = field(default_factory=dict)
    regional: bool = True


def _filters_argument() -> Property:
    return block_set({"name": string(required=True), "values": string_set(required=True)})


def _aws_filters(arguments: State) -> list[dict[str, Json]]:
    return [{"Name": item["name"], "Values": item["values"]} for item in arguments.get("filters") or ()]


def _single(found: Sequence[Any], what: str) -> Any:
    """The one thing found. Raises UnusableAnswerError in terraform-provider-aws' words if there is none, or more."""
    if not found:
        raise UnusableAnswerError(f"no matching {what} found")
    if len(found) > 1:
        raise UnusableAnswerError(
            f"multiple {what}s matched; use additional constraints to reduce matches to a single {what}"
        )
    return found[0]


def _pages(aws: Aws, service: str, operation: str, key: str, **parameters: Json) -> list[Any]:
    pages = aws.client(service).get_paginator(operation).paginate(**parameters)
    return [item for page in pages for item in page[key]]


# Account and region


def _caller_identity(aws: Aws, arguments: State) -> State:
    answer = aws.call("sts", "get_caller_identity")
    account = answer["Account"]
    return {"accountId": account, "arn": answer["Arn"], "id": account, "userId": answer["UserId"]}


@cache
def _region_descriptions() -> Mapping[str, str]:
    partitions = get_session().get_data("endpoints")["partitions"]
    return {name: region["description"] for partition in partitions for name, region in partition["regions"].items()}


def _region(aws: Aws, arguments: State) -> State:
    return {
        "description": _region_descriptions()[aws.region],
        "endpoint": f"ec2.{aws.region}.amazonaws.com",
        "id": aws.region,
        "name": aws.region,
    }


def _partition(aws: Aws, arguments: State) -> State:
    return {
        "id": aws.PARTITION,
        "partition": aws.PARTITION,
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


# EC2


def _availability_zones(aws: Aws, arguments: State) -> State:
    filters = _aws_filters(arguments)
    if arguments.get("state"):
        filters.append({"Name": "state", "Values": [arguments["state"]]})
    answer = aws.call(
        "ec2",
        "describe_availability_zones",
        Filters=filters,
        AllAvailabilityZones=bool(arguments.get("allAvailabilityZones")),
    )
    names, ids = arguments.get("excludeNames") or (), arguments.get("excludeZoneIds") or ()
    zones = sorted(
        (zone for zone in answer["AvailabilityZones"] if zone["ZoneName"] not in names and zone["ZoneId"] not in ids),
        key=lambda zone: str(zone["ZoneName"]),
    )
    groups = dict.fromkeys(zone["GroupName"] for zone in zones if zone.get("GroupName"))
    return {
        **arguments,
        "id": aws.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
        "groupNames": sorted(groups),
    }


_IMAGE_OUTPUTS = {
    "architecture": "Architecture",
    "bootMode": "BootMode",
    "creationDate": "CreationDate",
    "deprecationTime": "DeprecationTime",
    "description": "Description",
    "enaSupport": "EnaSupport",
    "hypervisor": "Hypervisor",
    "imageId": "ImageId",
    "imageLocation": "ImageLocation",
    "imageOwnerAlias": "ImageOwnerAlias",
    "imageType": "ImageType",
    "imdsSupport": "ImdsSupport",
    "kernelId": "KernelId",
    "lastLaunchedTime": "LastLaunchedTime",
    "name": "Name",
    "ownerId": "OwnerId",
    "platform": "Platform",
    "platformDetails": "PlatformDetails",
    "public": "Public",
    "ramdiskId": "RamdiskId",
    "rootDeviceName": "RootDeviceName",
    "rootDeviceType": "RootDeviceType",
    "sriovNetSupport": "SriovNetSupport",
    "state": "State",
    "tpmSupport": "TpmSupport",
    "usageOperation": "UsageOperation",
    "virtualizationType": "VirtualizationType",
}
_VOLUME_OUTPUTS = {
    "delete_on_termination": "DeleteOnTermination",
    "encrypted": "Encrypted",
    "iops": "Iops",
    "snapshot_id": "SnapshotId",
    "throughput": "Throughput",
    "volume_size": "VolumeSize",
    "volume_type": "VolumeType",
}


def _text(value: Json) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _device(mapping: Mapping[str, Json]) -> State:
    volume = mapping.get("Ebs") or {}
    return {
        "deviceName": mapping.get("DeviceName", ""),
        "virtualName": mapping.get("VirtualName", ""),
        "noDevice": mapping.get("NoDevice", ""),
        "ebs": {name: _text(volume.get(key)) for name, key in _VOLUME_OUTPUTS.items()} if volume else {},
    }


def _root_snapshot(image: Mapping[str, Json]) -> str:
    volumes = (
        mapping.get("Ebs") or {}
        for mapping in image.get("BlockDeviceMappings", ())
        if mapping.get("DeviceName") == image.get("RootDeviceName")
    )
    return next((volume["SnapshotId"] for volume in volumes if volume.get("SnapshotId")), "")


def _check_most_recent(arguments: State, filters: Iterable[Mapping[str, Json]]) -> None:
    """terraform-provider-aws v6 refuses "the newest of anybody's": others could publish a newer image of that name."""
    by_owner = arguments.get("owners") or any(item["Name"] in ("image-id", "owner-id") for item in filters)
    if arguments["mostRecent"] and not by_owner and not arguments.get("allowUnsafeFilter"):
        raise UnusableAnswerError(
            "Most Recent Image Not Filtered: mostRecent is true and results are not filtered by owner or image ID, so "
            "a third party may introduce a newer image: set owners"
        )


def _image(aws: Aws, arguments: State) -> State:
    filters = _aws_filters(arguments)
    _check_most_recent(arguments, filters)
    parameters: dict[str, Json] = {"Filters": filters, "IncludeDeprecated": arguments["includeDeprecated"]}
    for name, key in (("owners", "Owners"), ("executableUsers", "ExecutableUsers")):
        if arguments.get(name):
            parameters[key] = arguments[name]
    images = aws.call("ec2", "describe_images", **parameters)["Images"]
    if not images:
        raise UnusableAnswerError(
            "Your query returned no results. Please change your search criteria and try again."
            f" (region {aws.region}, filters {filters}, owners {arguments.get('owners')})"
        )
    if len(images) > 1 and not arguments["mostRecent"]:
        raise UnusableAnswerError(
            "Your query returned more than one result. Please try a more specific search criteria, or set "
            f"`most_recent` attribute to true. (region {aws.region}, {len(images)} images)"
        )
    image = max(images, key=lambda found: str(found["CreationDate"]))
    reason = image.get("StateReason") or {"Code": "UNSET", "Message": "UNSET"}
    return {
        **arguments,
        **{name: image.get(key) for name, key in _IMAGE_OUTPUTS.items()},
        "id": image["ImageId"],
        "arn": f"arn:aws:ec2:{aws.region}::image/{image['ImageId']}",
        "blockDeviceMappings": [_device(mapping) for mapping in image.get("BlockDeviceMappings", ())],
        "productCodes": [
            {"productCodeId": code["ProductCodeId"], "productCodeType": code["ProductCodeType"]}
            for code in image.get("ProductCodes", ())
        ],
        "rootSnapshotId": _root_snapshot(image),
        "stateReason": {"code": reason["Code"], "message": reason["Message"]},
        "tags": tag_map(image.get("Tags")),
    }


def _managed_prefix_list(aws: Aws, arguments: State) -> State:
    filters = _aws_filters(arguments)
    if arguments.get("name"):
        filters.append({"Name": "prefix-list-name", "Values": [arguments["name"]]})
    parameters: dict[str, Json] = {"Filters": filters}
    if arguments.get("id"):
        parameters["PrefixListIds"] = [arguments["id"]]
    found = _single(
        _pages(aws, "ec2", "describe_managed_prefix_lists", "PrefixLists", **parameters), "EC2 Managed Prefix List"
    )
    id = found["PrefixListId"]
    entries = _pages(aws, "ec2", "get_managed_prefix_list_entries", "Entries", PrefixListId=id)
    return {
        **arguments,
        "id": id,
        "arn": found["PrefixListArn"],
        "name": found["PrefixListName"],
        "addressFamily": found["AddressFamily"],
        "maxEntries": found.get("MaxEntries", 0),
        "ownerId": found["OwnerId"],
        "version": found.get("Version", 0),
        "entries": [{"cidr": entry["Cidr"], "description": entry.get("Description", "")} for entry in entries],
        "tags": tag_map(found.get("Tags")),
    }


# Route 53


def _domain(name: str) -> str:
    return name.lower().removesuffix(".")


def _find_zone_id(aws: Aws, arguments: State) -> str:
    if arguments.get("zoneId"):
        if arguments.get("name"):
            raise UnusableAnswerError("only one of `zone_id` or `name` may be set")
        return str(arguments["zoneId"])
    wanted = arguments.get("name")
    zones = [
        zone
        for zone in _pages(aws, "route53", "list_hosted_zones", "HostedZones")
        if (not wanted or _domain(zone["Name"]) == _domain(wanted))
        and zone["Config"]["PrivateZone"] == arguments["privateZone"]
    ]
    return str(_single(zones, "Route 53 Hosted Zone")["Id"])


def _private_name_servers(aws: Aws, id: str, name: str) -> list[str]:
    """The name servers of a private zone, which has no delegation set: those of its own NS record."""
    answer = aws.call(
        "route53",
        "list_resource_record_sets",
        HostedZoneId=id,
        StartRecordName=name,
        StartRecordType="NS",
        MaxItems="1",
    )
    return sorted(item["Value"].removesuffix(".") for item in answer["ResourceRecordSets"][0]["ResourceRecords"])


def _zone(aws: Aws, arguments: State) -> State:
    id = _find_zone_id(aws, arguments).removeprefix("/hostedzone/")
    answer = aws.call("route53", "get_hosted_zone", Id=id)
    zone = answer["HostedZone"]
    private = zone["Config"]["PrivateZone"]
    servers = _private_name_servers(aws, id, zone["Name"]) if private else answer["DelegationSet"]["NameServers"]
    tags = aws.call("route53", "list_tags_for_resource", ResourceType="hostedzone", ResourceId=id)
    return {
        "id": id,
        "zoneId": id,
        "arn": f"arn:aws:route53:::hostedzone/{id}",
        "name": _domain(zone["Name"]),
        "callerReference": zone["CallerReference"],
        "comment": zone["Config"].get("Comment", ""),
        "privateZone": private,
        "nameServers": servers,
        "primaryNameServer": servers[0],
        "resourceRecordSetCount": zone["ResourceRecordSetCount"],
        "tags": tag_map(tags["ResourceTagSet"]["Tags"]),
    }


# Systems Manager


def _parameter(aws: Aws, arguments: State) -> State:
    name = arguments["name"]
    try:
        answer = aws.call("ssm", "get_parameter", Name=name, WithDecryption=arguments["withDecryption"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            raise UnusableAnswerError(f"reading SSM Parameter ({name}): couldn't find resource") from error
        raise
    found = answer["Parameter"]
    return {
        **arguments,
        "id": name,
        "arn": found["ARN"],
        "name": found["Name"],
        "type": found["Type"],
        "value": found["Value"],
        "insecureValue": None if found["Type"] == "SecureString" else found["Value"],
        "version": found["Version"],
    }


def _parameters(aws: Aws, arguments: State) -> State:
    path, found = arguments["path"], []
    request = {"Path": path, "Recursive": arguments["recursive"], "WithDecryption": arguments["withDecryption"]}
    answer = aws.call("ssm", "get_parameters_by_path", **request)
    found += answer["Parameters"]
    while answer.get("NextToken"):
        answer = aws.call("ssm", "get_parameters_by_path", **request, NextToken=answer["NextToken"])
        found += answer["Parameters"]
    return {
        **arguments,
        "id": path,
        "arns": [each["ARN"] for each in found],
        "names": [each["Name"] for each in found],
        "types": [each["Type"] for each in found],
        "values": [each["Value"] for each in found],
    }


_FUNCTIONS = (
    Invoke(token="aws:index/getCallerIdentity:getCallerIdentity", run=_caller_identity, regional=False),
    Invoke(token="aws:index/getPartition:getPartition", run=_partition, regional=False),
    Invoke(token="aws:index/getRegion:getRegion", run=_region),
    Invoke(
        token="aws:index/getAvailabilityZones:getAvailabilityZones",
        run=_availability_zones,
        arguments={
            "allAvailabilityZones": boolean(),
            "excludeNames": string_set(),
            "excludeZoneIds": string_set(),
            "filters": _filters_argument(),
            "state": string(check=one_of("available", "information", "impaired", "unavailable", "constrained")),
        },
    ),
    Invoke(
        token="aws:ec2/getAmi:getAmi",
        run=_image,
        arguments={
            "allowUnsafeFilter": boolean(),
            "executableUsers": strings(),
            "filters": _filters_argument(),
            "includeDeprecated": boolean(default=False),
            "mostRecent": boolean(default=False),
            "owners": strings(),
        },
    ),
    Invoke(
        token="aws:ec2/getManagedPrefixList:getManagedPrefixList",
        run=_managed_prefix_list,
        arguments={"filters": _filters_argument(), "id": string(), "name": string()},
    ),
    Invoke(
        token="aws:route53/getZone:getZone",
        run=_zone,
        arguments={"name": string(), "privateZone": boolean(default=False), "zoneId": string()},
        regional=False,
    ),
    Invoke(
        token="aws:ssm/getParameter:getParameter",
        run=_parameter,
        arguments={"name": string(required=True), "withDecryption": boolean(default=True)},
    ),
    Invoke(
        token="aws:ssm/getParametersByPath:getParametersByPath",
        run=_parameters,
        arguments={
            "path": string(required=True),
            "recursive": boolean(default=False),
            "withDecryption": boolean(default=True),
        },
    ),
)

INVOKES: Mapping[str, Invoke] = {function.token: function for function in _FUNCTIONS}
