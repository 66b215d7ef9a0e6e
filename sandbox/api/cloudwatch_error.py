"""How CloudWatch refuses."""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from moto.cloudwatch.exceptions import CloudWatchException
from moto.core.utils import get_service_model


def refuse(code: str, message: str) -> NoReturn:
    """Refuse with an error code of AWS's."""
    raise CloudWatchException(code, message)


def invalid(message: str) -> NoReturn:
    """Refuse what no alarm can have."""
    refuse("ValidationError", message)


def unsupported(what: str) -> NoReturn:
    """Refuse what AWS has and the sandbox doesn't; the operation is named with it."""
    raise NotImplementedError(what)


def check_shape(operation: str, parameters: dict[str, Any]) -> None:
    """Refuse parameters outside the lengths, ranges, sets and patterns of the API reference's page on `operation`."""
    shape = get_service_model("cloudwatch").operation_model(operation).input_shape
    found = list(_violations(shape, parameters, ""))
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: "
        invalid(count + "; ".join(found))


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            inner = f"{path}.{_lower_first(name)}" if path else _lower_first(name)
            if value.get(name) is not None:
                yield from _violations(member, value[name], inner)
            elif name in shape.required_members:
                yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"
        return
    for broken in _constraints(shape, value):
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {broken}"
    if shape.type_name == "list":
        for number, item in enumerate(value, 1):
            yield from _violations(shape.member, item, f"{path}.{number}.member")


def _constraints(shape: Any, value: Any) -> Iterator[str]:
    limits = shape.metadata
    low, high = limits.get("min"), limits.get("max")
    size, noun = (value, "value") if shape.type_name in ("integer", "long", "double") else (None, "length")
    if size is None and shape.type_name in ("string", "list"):
        size = len(value)
    if low is not None and size is not None and size < low:
        yield f"have {noun} greater than or equal to {low}"
    if high is not None and size is not None and size > high:
        yield f"have {noun} less than or equal to {high}"
    if limits.get("enum") and value not in limits["enum"]:
        yield f"satisfy enum value set: [{', '.join(limits['enum'])}]"
    if limits.get("pattern") and not re.fullmatch(limits["pattern"], value, re.DOTALL):
        yield f"satisfy regular expression pattern: {limits['pattern']}"


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
