"""Nested properties as AWS's structures, and back: one walk over a property's description for each direction."""

from collections.abc import Mapping
from typing import Any

from sandbox.provider.calls import tag_list, tag_map
from sandbox.provider.schema import Kind, Property
from sandbox.provider.values import Json

Names = Mapping[str, str]
_NO_NAMES: Names = {}


def _check_text_boolean(value: Json) -> str | None:
    return None if value in ("true", "false") else f"expected true or false, got {value}"


def text_boolean(**options: Any) -> Property:
    """A boolean that may also be absent; pulumi-aws holds it as text (Terraform's nullable booleans)."""
    return Property(kind=Kind.STRING, check=_check_text_boolean, **options)


def aws_name(property_name: str, names: Names = _NO_NAMES) -> str:
    """AWS's name of a field: as `names` says, else the property's name with a capital first letter."""
    return names.get(property_name) or property_name[:1].upper() + property_name[1:]


def to_aws(prop: Property, value: Json, names: Names = _NO_NAMES) -> Json:
    """`value` as AWS's structure; fields without a value are left out, a map becomes a list of Key and Value."""
    if value is None:
        return None
    match prop.kind:
        case Kind.OBJECT:
            fields = {aws_name(name, names): to_aws(item, value.get(name), names) for name, item in prop.fields.items()}
            return {name: item for name, item in fields.items() if item is not None}
        case Kind.LIST | Kind.SET:
            assert prop.element is not None
            return [to_aws(prop.element, item, names) for item in value]
        case Kind.MAP:
            return tag_list(value)
        case _:
            return value == "true" if prop.check is _check_text_boolean else value


def from_aws(prop: Property, value: Json, names: Names = _NO_NAMES) -> Json:
    """AWS's structure as a property's value; fields that the description lacks are passed over."""
    if value is None:
        return None
    match prop.kind:
        case Kind.OBJECT:
            fields = {
                name: from_aws(item, value.get(aws_name(name, names)), names) for name, item in prop.fields.items()
            }
            return {name: item for name, item in fields.items() if item is not None}
        case Kind.LIST | Kind.SET:
            assert prop.element is not None
            return [from_aws(prop.element, item, names) for item in value]
        case Kind.MAP:
            return tag_map(value)
        case _:
            return str(value).lower() if prop.check is _check_text_boolean else value
