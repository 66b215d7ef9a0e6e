"""Rules that hold for every resource type of the provider: they are pulumi-aws' types and have its properties."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from pulumi._types import input_type_py_to_pulumi_names, input_type_types

from sandbox.provider.resources import RESOURCES
from sandbox.provider.schema import Kind, Property, ResourceType

# pulumi-aws' modules use their own deprecated names while they load.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")


def _class_of(token: str) -> Any:
    """pulumi-aws' class of a type token such as aws:ec2/vpc:Vpc."""
    _, module, name = token.split(":")
    return getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), name)


def _arguments_of(token: str) -> Any:
    """pulumi-aws' argument class of a type token, which has another name where a nested object has that name."""
    made = _class_of(token)
    module = importlib.import_module(made.__module__)
    return getattr(module, f"{made.__name__}InitArgs", None) or getattr(module, f"{made.__name__}Args")


def _nested_class(hint: Any) -> type | None:
    """The argument class inside a type hint, such as Sequence[Union[RuleArgs, Awaitable[RuleArgs]]]."""
    if inspect.isclass(hint) and hint.__name__.endswith("Args"):
        return hint
    return next((found for part in get_args(hint) if (found := _nested_class(part)) is not None), None)


def _strangers(arguments: type, properties: Mapping[str, Property], path: str = "") -> Iterator[str]:
    """Paths of settable properties that pulumi-aws' `arguments` don't have."""
    names, hints = set(input_type_py_to_pulumi_names(arguments).values()), input_type_types(arguments)
    for name, prop in properties.items():
        if not prop.settable:
            continue
        if name not in names:
            yield path + name
            continue
        inner = prop.element if prop.kind in (Kind.LIST, Kind.SET) and prop.element is not None else prop
        if inner.kind is Kind.OBJECT:
            nested = _nested_class(hints[name])
            if nested is None:
                yield f"{path}{name} isn't an object"
            else:
                yield from _strangers(nested, inner.fields, f"{path}{name}.")


@pytest.mark.parametrize("token", RESOURCES)
def test_every_settable_property_is_one_of_pulumi_aws(token: str) -> None:
    """A misspelt name would be refused from every program, and one that doesn't exist could be relied on."""
    kind: ResourceType = RESOURCES[token]
    settable = {name: prop for name, prop in kind.all_properties.items() if name != "tagsAll"}
    assert list(_strangers(_arguments_of(token), settable)) == []


@pytest.mark.parametrize("token", RESOURCES)
def test_every_output_is_one_of_pulumi_aws(token: str) -> None:
    """A misspelt output would stay unknown in the programs that read it."""
    getters = {
        getattr(member.fget, "_pulumi_name", None) or _camel(name)
        for name, member in vars(_class_of(token)).items()
        if isinstance(member, property)
    }
    assert RESOURCES[token].all_properties.keys() - getters == set()


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


@pytest.mark.parametrize("token", RESOURCES)
def test_what_pulumi_aws_requires_is_required(token: str) -> None:
    """A property that may be left out in the sandbox alone makes a program fail on AWS only."""
    arguments = _arguments_of(token)
    names = input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments).parameters.values()
    wanted = {
        names[parameter.name]
        for parameter in parameters
        if parameter.name in names and parameter.default is inspect.Parameter.empty
    }
    properties = RESOURCES[token].properties
    assert {name for name in wanted if not (name in properties and properties[name].required)} == set()
