"""Systems Manager: parameters."""

from collections.abc import Iterable

from botocore.exceptions import ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.calls import UnusableAnswerError, fill, kept, search, tag_list, tag_map
from sandbox.provider.schema import (
    AutoName,
    Change,
    Kind,
    ResourceType,
    State,
    Update,
    boolean,
    is_empty,
    length,
    one_of,
    output,
    string,
)
from sandbox.provider.values import Json


def _value(inputs: State) -> Json:
    return inputs.get("insecureValue") or inputs.get("value")


_PARAMETERS = {
    "Type": "type",
    "Value": _value,
    "Description": "description",
    "AllowedPattern": "allowedPattern",
    "DataType": "dataType",
    "KeyId": lambda inputs: inputs.get("keyId") if inputs["type"] == "SecureString" else None,
    "Tier": "tier",
}


def _write_tags(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    if remove:
        aws.call("ssm", "remove_tags_from_resource", ResourceType="Parameter", ResourceId=id, TagKeys=remove)
    if add:
        aws.call("ssm", "add_tags_to_resource", ResourceType="Parameter", ResourceId=id, Tags=tag_list(add))


def _create_parameter(aws: Aws, inputs: State) -> str:
    parameters = fill(_PARAMETERS, "", inputs)
    if not inputs.get("overwrite") and inputs.get("tagsAll"):
        # AWS refuses tags together with Overwrite (Systems Manager API Reference, PutParameter); see _tag_overwritten.
        parameters["Tags"] = tag_list(inputs["tagsAll"])
    aws.call("ssm", "put_parameter", Name=inputs["name"], Overwrite=bool(inputs.get("overwrite")), **parameters)
    return str(inputs["name"])


def _tag_overwritten(aws: Aws, change: Change) -> None:
    if not change.old and change.new.get("overwrite"):
        _write_tags(aws, change.id, change.new, change.new["tagsAll"], [])


def _update_parameter(aws: Aws, change: Change) -> None:
    if change.old.get("tier") == "Advanced" and change.new.get("tier") == "Standard":
        raise UnusableAnswerError(
            f"parameter {change.id} can't go back from the advanced tier to the standard one: replace it"
        )
    parameters = fill(_PARAMETERS, change.id, change.new)
    # An update overwrites, unless the program says in so many words that it mustn't.
    aws.call("ssm", "put_parameter", Name=change.id, Overwrite=change.new.get("overwrite", True), **parameters)


def _read_parameter(aws: Aws, id: str, state: State) -> State | None:
    try:
        found = aws.call("ssm", "get_parameter", Name=id, WithDecryption=True)["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    name_is = {"Key": "Name", "Option": "Equals", "Values": [found["Name"]]}
    details = search("Parameters[0]", aws.call("ssm", "describe_parameters", ParameterFilters=[name_is])) or {}
    tags = aws.call("ssm", "list_tags_for_resource", ResourceType="Parameter", ResourceId=found["Name"])["TagList"]
    in_the_open = not is_empty(state.get("insecureValue")) and found["Type"] != "SecureString"
    return {
        "name": found["Name"],
        "type": found["Type"],
        "insecureValue": found["Value"] if in_the_open else None,
        "value": None if in_the_open else found["Value"],
        "version": found["Version"],
        "arn": found["ARN"],
        "dataType": found.get("DataType") or details.get("DataType"),
        "description": details.get("Description") or None,
        "allowedPattern": details.get("AllowedPattern") or None,
        "keyId": details.get("KeyId"),
        "tier": details.get("Tier"),
        "tagsAll": tag_map(tags),
    }


def _delete_parameter(aws: Aws, id: str, state: State) -> None:
    try:
        aws.call("ssm", "delete_parameter", Name=id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise


def _check_values(inputs: State) -> Iterable[tuple[str, str]]:
    values = [name for name in ("value", "insecureValue") if inputs.get(name) is not None]
    if len(values) != 1:
        yield "value", "one of value and insecureValue must be set"
    if inputs["type"] == "SecureString" and "insecureValue" in values:
        yield "insecureValue", "can't be set on a SecureString: use value"


PARAMETER = ResourceType(
    token="aws:ssm/parameter:Parameter",
    properties={
        "name": string(replaces=True, check=length(1, 2048), auto_name=AutoName()),
        "type": string(required=True, check=one_of("String", "StringList", "SecureString")),
        "value": string(computed=True, secret=True),
        "insecureValue": string(computed=True),
        "description": string(check=length(0, 1024)),
        "allowedPattern": string(check=length(0, 1024)),
        "dataType": string(computed=True, replaces=True, check=one_of("text", "aws:ec2:image", "aws:ssm:integration")),
        "keyId": string(computed=True),
        "overwrite": boolean(),
        "tier": string(computed=True, check=one_of("Standard", "Advanced")),
        "arn": output(),
        "version": output(Kind.INTEGER, volatile=True),
    },
    create=_create_parameter,
    read=_read_parameter,
    updates=(
        Update(properties=("tagsAll",), on_create=True, run=_tag_overwritten),
        Update(
            properties=("type", "value", "insecureValue", "description", "allowedPattern", "keyId", "tier"),
            run=_update_parameter,
        ),
        kept("overwrite"),
    ),
    delete=_delete_parameter,
    write_tags=_write_tags,
    validate=_check_values,
)
