"""Values as the engine sends them: protobuf Structs with sentinels for what isn't known and wrappers for secrets."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import struct_pb2

# pulumi/pulumi pkg/resource/plugin/rpc.go: one sentinel per kind of unknown value.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SENTINELS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

Json = Any


def is_unknown(value: Json) -> bool:
    """Whether `value` is the engine's mark for "not known before the update"."""
    return isinstance(value, str) and value in _SENTINELS


def contains_unknown(value: Json) -> bool:
    """Whether `value` is, or holds anywhere inside, a value that isn't known yet."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return is_unknown(value)


def secret(value: Json) -> dict[str, Json]:
    """`value`, marked so that the engine encrypts it in the state and masks it on the screen."""
    return {_SIGNATURE_KEY: _SECRET_SIGNATURE, "value": value}


def holds_secret(value: struct_pb2.Value) -> bool:
    """Whether `value` is marked as a secret, or anything inside it is."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return any(holds_secret(item) for item in value.list_value.values)
    if kind == "struct_value":
        fields = value.struct_value.fields
        signed = _SIGNATURE_KEY in fields and fields[_SIGNATURE_KEY].string_value == _SECRET_SIGNATURE
        return signed or any(holds_secret(item) for item in fields.values())
    # What isn't a text reaches a provider's configuration as JSON in a text.
    return kind == "string_value" and _SECRET_SIGNATURE in value.string_value


def secret_keys(*structs: struct_pb2.Struct) -> frozenset[str]:
    """The top-level keys of `structs` under which anything is a secret."""
    return frozenset(key for struct in structs for key, value in struct.fields.items() if holds_secret(value))


def from_struct(struct: struct_pb2.Struct) -> dict[str, Json]:
    """A Struct as plain values: whole numbers as int, secrets unwrapped, nulls dropped.

    Hand-written because json_format.MessageToDict is several times slower and gives every number as a float.
    """
    plain = {key: _from_value(value) for key, value in struct.fields.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _from_value(value: struct_pb2.Value) -> Json:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        plain = from_struct(value.struct_value)
        signature = plain.get(_SIGNATURE_KEY)
        if signature == _SECRET_SIGNATURE:
            return plain.get("value")
        if signature == _OUTPUT_SIGNATURE:
            return plain.get("value", UNKNOWN)
        return plain
    return None


def to_struct(plain: Mapping[str, Json]) -> struct_pb2.Struct:
    """Plain values as a Struct; None is dropped. Raises TypeError for a value that JSON has no form for."""
    struct = struct_pb2.Struct()
    for key, value in plain.items():
        if value is not None:
            _to_value(struct.fields[key], value)
    return struct


def _to_value(target: struct_pb2.Value, value: Json) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, item in value.items():
            if item is not None:
                _to_value(target.struct_value.fields[key], item)
    elif isinstance(value, Iterable):
        target.list_value.SetInParent()
        for item in value:
            _to_value(target.list_value.values.add(), item)
    else:
        raise TypeError(f"{value!r} of type {type(value).__name__} has no JSON form")
