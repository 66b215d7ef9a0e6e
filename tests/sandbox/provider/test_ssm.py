"""Parameters of Systems Manager, through the engine and the real API."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api.server import ApiServer
from sandbox.provider.engine import ProviderError
from sandbox.provider.resources.ssm import PARAMETER as DESCRIPTION
from sandbox.provider.schema import State
from sandbox.provider.values import UNKNOWN
from tests.sandbox.provider.program import Program, Resource

PARAMETER = "aws:ssm/parameter:Parameter"
NAME = "/lockstep/orders/deployment"


@pytest.fixture
def program(api: ApiServer) -> Program:
    return Program(api.endpoint_url)


@pytest.fixture
def ssm(program: Program) -> Any:
    return program.aws("ssm")


@pytest.fixture
def parameter(program: Program) -> Resource:
    return program.up(PARAMETER, name=NAME, type="String", value="1.0.0", tags={"site": "primary"})


def value_of(ssm: Any, name: str = NAME) -> str:
    return str(ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


def test_its_value_is_there(parameter: Resource, ssm: Any) -> None:
    """Without it the record that operators and instances read is missing or wrong."""
    assert parameter.id == NAME
    assert value_of(ssm) == "1.0.0"
    assert parameter.state["arn"] == f"arn:aws:ssm:eu-west-1:123456789012:parameter{NAME}"
    assert parameter.state["version"] == 1
    assert parameter.state["tier"] == "Standard"
    assert parameter.state["tags"] == {"site": "primary"}
    assert parameter.refresh() == frozenset()


def test_the_value_is_a_secret() -> None:
    """Without it passwords stand in the state file and on the screen."""
    assert DESCRIPTION.properties["value"].secret
    assert not DESCRIPTION.properties["insecureValue"].secret


@pytest.mark.parametrize("kind", ["String", "StringList", "SecureString"])
def test_each_type_is_read_back(program: Program, ssm: Any, kind: str) -> None:
    """Without it a parameter of that type is drift in every refresh, or its text is what AWS encrypted."""
    made = program.up(PARAMETER, name="it", type=kind, value="a,b")
    assert made.state["value"] == "a,b"
    assert value_of(ssm, "it") == "a,b"
    assert made.refresh() == frozenset()


def test_an_open_value_is_in_its_own_property(program: Program) -> None:
    """Without it what the program wants to be readable is masked."""
    made = program.up(PARAMETER, name="it", type="String", insecureValue="plain")
    assert made.state["insecureValue"] == "plain"
    assert "value" not in made.state
    assert made.refresh() == frozenset()


def test_a_new_value_is_a_new_version(parameter: Resource, ssm: Any) -> None:
    """Without it the record keeps the old value."""
    parameter.update(value="1.0.1")
    assert value_of(ssm) == "1.0.1"
    assert parameter.state["version"] == 2
    assert parameter.refresh() == frozenset()


def test_the_version_is_unknown_while_an_update_is_planned(parameter: Resource) -> None:
    """Without it the preview shows the version of before."""
    news = {**parameter.inputs, "value": "1.0.1"}
    assert parameter.program.engine.preview_update(PARAMETER, parameter.state, news)["version"] == UNKNOWN


@pytest.mark.parametrize(("name", "value"), [("description", "what is settled"), ("allowedPattern", r"\d+\.\d+\.\d+")])
def test_a_setting_is_changed_in_place(parameter: Resource, ssm: Any, name: str, value: str) -> None:
    """Without it the record is replaced: gone for a moment, and its history with it."""
    parameter.update(**{name: value})
    (details,) = ssm.describe_parameters()["Parameters"]
    assert details[name[0].upper() + name[1:]] == value
    assert value_of(ssm) == "1.0.0"
    assert parameter.refresh() == frozenset()


def test_tags_are_added_changed_and_removed(parameter: Resource, ssm: Any) -> None:
    """Without it commands that act on tagged things pass it over."""
    parameter.update(tags={"owner": "ops"})
    found = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    assert found == [{"Key": "owner", "Value": "ops"}]
    assert parameter.state["version"] == 1


def test_another_name_replaces(parameter: Resource) -> None:
    """Without it the preview promises an update that AWS can't make."""
    assert parameter.plan(name="/other").replaces == {"name"}


def test_a_parameter_that_exists_is_overwritten_only_if_the_program_says_so(
    parameter: Resource, program: Program, ssm: Any
) -> None:
    """Without it a program takes over another's record."""
    declared = {"name": NAME, "type": "String", "value": "2.0.0"}
    with pytest.raises(ProviderError, match="ParameterAlreadyExists"):
        program.up(PARAMETER, **declared)
    made = program.up(PARAMETER, **declared, overwrite=True, tags={"owner": "ops"})
    assert value_of(ssm) == "2.0.0"
    assert made.state["tags"]["owner"] == "ops"


def test_a_value_and_a_tag_changed_by_hand_are_found_and_repaired(parameter: Resource, ssm: Any) -> None:
    """Without it a record that somebody has edited by hand stays edited."""
    ssm.put_parameter(Name=NAME, Value="6.6.6", Type="String", Overwrite=True)
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId=NAME, TagKeys=["site"])
    assert parameter.refresh() == {"value", "tags", "tagsAll"}
    parameter.repair()
    assert value_of(ssm) == "1.0.0"
    assert parameter.refresh() == frozenset()


def test_deleted_by_hand_it_is_gone_and_deleting_it_again_is_fine(parameter: Resource, ssm: Any) -> None:
    """Without it a destroy stops at what somebody has deleted before."""
    ssm.delete_parameter(Name=NAME)
    assert parameter.gone
    parameter.delete()


def test_delete_deletes(parameter: Resource, ssm: Any) -> None:
    """Without it the next stack of that name finds an old record."""
    parameter.delete()
    with pytest.raises(ClientError, match="ParameterNotFound"):
        value_of(ssm)


def test_the_advanced_tier_has_no_way_back(program: Program) -> None:
    """Without it the state says standard and AWS bills for advanced."""
    made = program.up(PARAMETER, name="it", type="String", value="a", tier="Advanced")
    with pytest.raises(ProviderError, match="can't go back from the advanced tier"):
        made.update(tier="Standard")


@pytest.mark.parametrize(
    ("declared", "path", "reason"),
    [
        ({"type": "Text"}, "type", "one of String, StringList, SecureString"),
        ({"value": None}, "value", "one of value and insecureValue"),
        ({"insecureValue": "b"}, "value", "one of value and insecureValue"),
        ({"value": None, "insecureValue": "b", "type": "SecureString"}, "insecureValue", "can't be set"),
        ({"tier": "Cheap"}, "tier", "one of Standard, Advanced"),
        ({"valueWo": "b"}, "valueWo", "isn't supported by the sandbox"),
        ({"arn": "b"}, "arn", "is an output"),
    ],
)
def test_a_bad_value_is_refused_by_name(program: Program, declared: State, path: str, reason: str) -> None:
    """Without it a wrong value is found only while the site is half made."""
    base = {"name": "it", "type": "String", "value": "a"}
    wanted = {key: value for key, value in {**base, **declared}.items() if value is not None}
    assert reason in program.refusals(PARAMETER, **wanted)[path]
