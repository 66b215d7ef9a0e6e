"""API calls as data: templates filled from a resource's properties, and the CRUD functions made of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jmespath
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.provider.aws import Aws
from sandbox.provider.schema import Change, State, Update
from sandbox.provider.values import Json

ID = "$id"
# Seconds between two looks at a resource that isn't ready; the pause doubles from the first to the longest.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
Template = Any


@dataclass(frozen=True)
class Constant:
    """A literal in a call's template."""

    value: Json


def fill(template: Template, id: str, inputs: State) -> Json:
    """`template` with values put in; what has no value is left out.

    In a template, `ID` is the resource's id, other texts name a property (`"healthCheck.path"` for a nested one),
    `Constant(x)` is x itself, a function is called with the inputs, and dictionaries and lists are filled recursively.
    """
    if template == ID:
        return id
    if isinstance(template, Constant):
        return template.value
    if isinstance(template, str):
        value: Json = inputs
        for part in template.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value
    if isinstance(template, dict):
        filled = {key: fill(item, id, inputs) for key, item in template.items()}
        return {key: item for key, item in filled.items() if item is not None and item != {}} or None
    if isinstance(template, list):
        return [item for item in (fill(entry, id, inputs) for entry in template) if item is not None] or None
    if callable(template):
        return template(inputs)
    raise TypeError(f"{template!r} can't stand in a call's template")


@dataclass(frozen=True)
class Call:
    """One API call: boto3 service and method, and the template of its parameters."""

    service: str
    operation: str
    parameters: Template

    def __call__(self, aws: Aws, id: str, inputs: State) -> dict[str, Json]:
        """Make the call. Raises ClientError."""
        return aws.call(self.service, self.operation, **(fill(self.parameters, id, inputs) or {}))


def search(expression: str, answer: Json) -> Json:
    """What the JMESPath `expression` finds in `answer`."""
    return jmespath.search(expression, answer)


def creating(call: Call, id: str, ec2_tags: str | None = None, tags: str | None = None) -> Callable[[Aws, State], str]:
    """A `create` from one call. `id` is where its answer holds the id (JMESPath).

    Tags go with the call: `ec2_tags` names EC2's resource type for TagSpecifications, `tags` the parameter that takes a
    list of Key and Value.
    """

    def create(aws: Aws, inputs: State) -> str:
        parameters = fill(call.parameters, "", inputs) or {}
        pairs = [{"Key": key, "Value": value} for key, value in inputs.get("tagsAll", {}).items()]
        if ec2_tags and pairs:
            parameters["TagSpecifications"] = [{"ResourceType": ec2_tags, "Tags": pairs}]
        if tags and pairs:
            parameters[tags] = pairs
        return str(search(id, aws.call(call.service, call.operation, **parameters)))

    return create


def reading(
    call: Call,
    result: str,
    outputs: Mapping[str, str],
    missing: Sequence[str] = (),
    tags: str | None = None,
) -> Callable[[Aws, str, State], State | None]:
    """A `read` from one call.

    `result` is where the answer holds the resource (JMESPath; nothing there means gone), `outputs` where the resource
    holds each property, `missing` the error codes that mean gone, `tags` where the list of Key and Value is.
    """

    def read(aws: Aws, id: str, state: State) -> State | None:
        try:
            answer = call(aws, id, state)
        except ClientError as error:
            if error.response["Error"]["Code"] in missing:
                return None
            raise
        found = search(result, answer)
        if found is None:
            return None
        current: State = {name: search(expression, found) for name, expression in outputs.items()}
        if tags is not None:
            current["tagsAll"] = tag_map(search(tags, found))
        return current

    return read


def joining(*reads: Callable[[Aws, str, State], State | None]) -> Callable[[Aws, str, State], State | None]:
    """A `read` from several; the first decides whether the resource is there, the others see what it found."""

    def read(aws: Aws, id: str, state: State) -> State | None:
        current = reads[0](aws, id, state)
        if current is None:
            return None
        for more in reads[1:]:
            current |= more(aws, id, {**state, **current}) or {}
        return current

    return read


def tag_map(pairs: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """A list of Key and Value as a map, without AWS's own tags (`aws:` is reserved: AWS General Reference, Tagging)."""
    return {pair["Key"]: pair["Value"] for pair in pairs or () if not pair["Key"].startswith("aws:")}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A map of tags as AWS's list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def deleting(call: Call, missing: Sequence[str] = ()) -> Callable[[Aws, str, State], None]:
    """A `delete` from one call; the error codes in `missing` mean that it is gone already."""

    def delete(aws: Aws, id: str, state: State) -> None:
        try:
            call(aws, id, state)
        except ClientError as error:
            if error.response["Error"]["Code"] not in missing:
                raise

    return delete


def updating(call: Call) -> Callable[[Aws, Change], None]:
    """The `run` of an Update from one call, filled from the new inputs."""

    def run(aws: Aws, change: Change) -> None:
        call(aws, change.id, change.new)

    return run


def write_ec2_tags(aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
    """`write_tags` of EC2's types, whose tags hang on the id."""
    if remove:
        aws.call("ec2", "delete_tags", Resources=[id], Tags=[{"Key": key} for key in remove])
    if add:
        aws.call("ec2", "create_tags", Resources=[id], Tags=tag_list(add))


class UnusableAnswerError(BotoCoreError):
    """What AWS answered can't be used, for the reason given: nothing found, too much found, still not ready.

    Derives from botocore's base error, so that the engine reports it as it reports the errors of the calls themselves.
    """

    fmt = "{reason}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


def wait_for(
    observe: Callable[[], str],
    wanted: str,
    what: str,
    timeout: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until `observe` says `wanted`, at most `timeout` seconds.

    Raises UnusableAnswerError with the last state seen. `what` names the resource and the state waited for.
    """
    deadline = clock() + timeout
    pause = _FIRST_PAUSE
    while (seen := observe()) != wanted:
        if clock() >= deadline:
            raise UnusableAnswerError(f"waiting for {what}: after {timeout:g} s it is {seen}")
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def kept(*properties: str) -> Update:
    """An Update for properties that only the provider uses: a change goes into the state and AWS isn't called."""
    return Update(properties=properties, run=lambda aws, change: None)
