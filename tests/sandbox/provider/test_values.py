"""Values between the engine's protobuf Structs and plain Python."""

import pytest
from google.protobuf import struct_pb2

from sandbox.provider.values import UNKNOWN, contains_unknown, from_struct, secret, to_struct


def test_round_trip_keeps_types() -> None:
    """A port that came back as 80.0 would be refused by boto3."""
    plain = {"name": "a", "port": 80, "ratio": 0.5, "on": True, "off": False, "list": [1, "x"], "nested": {"deep": {}}}
    back = from_struct(to_struct(plain))
    assert back == plain
    assert isinstance(back["port"], int)
    assert back["on"] is True


def test_none_is_left_out() -> None:
    """Terraform's providers treat null as not set; a null in the state would look like drift."""
    assert from_struct(to_struct({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_secrets_arrive_unwrapped_and_leave_wrapped() -> None:
    """A wrapper passed on to AWS would become the value; a secret sent back bare would be stored in clear."""
    wrapped = to_struct({"value": secret("hush")})
    assert from_struct(wrapped) == {"value": "hush"}
    assert wrapped.fields["value"].struct_value.fields["value"].string_value == "hush"


@pytest.mark.parametrize("value", [UNKNOWN, [UNKNOWN], {"a": [{"b": UNKNOWN}]}])
def test_unknown_is_found_at_any_depth(value: object) -> None:
    """A check that judged a value which isn't known yet would refuse a valid program in preview."""
    assert contains_unknown(value)


def test_value_without_json_form_is_refused() -> None:
    """A datetime from botocore would otherwise be dropped silently from the state."""
    with pytest.raises(TypeError, match="no JSON form"):
        to_struct({"when": object()})


def test_empty_collections_survive() -> None:
    """An empty list that vanished would show as a change at every preview."""
    struct = to_struct({"tags": {}, "list": []})
    assert struct.fields["tags"].WhichOneof("kind") == "struct_value"
    assert from_struct(struct) == {"tags": {}, "list": []}
    assert isinstance(struct, struct_pb2.Struct)
