"""Writes `docs/fidelity.md`: what of each resource type the sandbox's provider has, and by what its values are checked.

All of it is found, not told: properties in pulumi-aws' argument classes and in the provider's descriptions, AWS's
models in botocore, and the operations that a type calls in the provider's source.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, get_args

import botocore.session
from pulumi._types import input_type_py_to_pulumi_names, input_type_types

from sandbox.provider.resources import RESOURCES
from sandbox.provider.schema import Kind, Property, ResourceType

GENERATED: Final = "<!-- Written by `make docs`; edit the code instead. -->"
# Operations whose names begin so take no values to keep.
_READING: Final = ("describe_", "list_", "get_", "head_", "delete_")
_EVERY_TYPE_HAS: Final = ("region", "tags", "tagsAll")
_IMPOSSIBLE: Final = "no value that AWS has"


@dataclass
class Fidelity:
    """One type. Paths are of values, nested ones too; `refused` are pulumi-aws' properties that the provider lacks."""

    token: str
    properties: int = 0
    refused: list[str] = field(default_factory=list)
    supported: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    closed_elsewhere: list[str] = field(default_factory=list)
    documented: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)


def class_of(token: str) -> Any:
    """pulumi-aws' class of a type token such as aws:ec2/vpc:Vpc."""
    _, module, name = token.split(":")
    return getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), name)


def arguments_of(token: str) -> Any:
    """pulumi-aws' argument class of a type token, which has another name where a nested object has that name."""
    made = class_of(token)
    module_of = importlib.import_module(made.__module__)
    return getattr(module_of, f"{made.__name__}InitArgs", None) or getattr(module_of, f"{made.__name__}Args")


def _nested(hint: Any) -> type | None:
    if inspect.isclass(hint) and hint.__name__.endswith("Args"):
        return hint
    return next((found for part in get_args(hint) if (found := _nested(part)) is not None), None)


def _values(arguments: type, path: str = "", above: frozenset[type] = frozenset()) -> Iterator[str]:
    """Paths of all values that a program can give; one of a type within itself is listed once."""
    hints = input_type_types(arguments)
    for name in input_type_py_to_pulumi_names(arguments).values():
        nested = _nested(hints.get(name))
        if nested is not None and nested not in above:
            yield from _values(nested, f"{path}{name}.", above | {arguments})
        else:
            yield path + name


def _supported(properties: Mapping[str, Property], path: str = "") -> Iterator[tuple[str, Property]]:
    for name, prop in properties.items():
        if not prop.settable:
            continue
        inner = prop.element if prop.kind in (Kind.LIST, Kind.SET) and prop.element is not None else prop
        if inner.kind is Kind.OBJECT:
            yield from _supported(inner.fields, f"{path}{name}.")
        else:
            # A list's own check is of its elements too.
            yield path + name, inner if prop.check is None else prop


def _refused(arguments: type, properties: Mapping[str, Property], path: str = "") -> Iterator[str]:
    """What of pulumi-aws' a description lacks, by the uppermost name."""
    hints = input_type_types(arguments)
    for name in input_type_py_to_pulumi_names(arguments).values():
        prop = properties.get(name)
        if prop is None or not prop.settable:
            if path or name not in _EVERY_TYPE_HAS:
                yield path + name
            continue
        inner = prop.element if prop.kind in (Kind.LIST, Kind.SET) and prop.element is not None else prop
        nested = _nested(hints.get(name))
        if inner.kind is Kind.OBJECT and nested is not None:
            yield from _refused(nested, inner.fields, f"{path}{name}.")


@cache
def _module(name: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(name)))


@cache
def _places() -> dict[str, tuple[str, str]]:
    """Module and name of each type, by token."""
    import sandbox.provider.resources as package

    found = {}
    for module in vars(package).values():
        if inspect.ismodule(module) and module.__name__.startswith(package.__name__):
            for name, value in vars(module).items():
                if isinstance(value, ResourceType):
                    found[value.token] = (module.__name__, name)
    return found


def operations(token: str) -> list[tuple[str, str]]:
    """Service and operation of the calls that give AWS values, from what the type's description refers to."""
    module, name = _places()[token]
    defined: dict[str, ast.stmt] = {}
    for statement in _module(module).body:
        match statement:
            case ast.FunctionDef(name=each) | ast.ClassDef(name=each):
                defined[each] = statement
            case ast.Assign(targets=[ast.Name(id=each)]) | ast.AnnAssign(target=ast.Name(id=each)):
                defined[each] = statement
    seen, waiting, found = {name}, [name], set[tuple[str, str]]()
    while waiting:
        for node in ast.walk(defined[waiting.pop()]):
            match node:
                case ast.Call(args=[ast.Constant(value=str(service)), ast.Constant(value=str(operation)), *_]):
                    found.add((service, operation))
                case ast.Name(id=each) if each in defined and each not in seen:
                    seen.add(each)
                    waiting.append(each)
    return sorted(
        (service, operation)
        for service, operation in found
        if not operation.startswith(_READING) and operation in _methods(service)
    )


@cache
def _session() -> Any:
    return botocore.session.get_session()


@cache
def _methods(service: str) -> Mapping[str, str]:
    """AWS's names of a service's operations by boto3's; none if there is no such service."""
    if service not in _session().get_available_services():
        return {}
    from botocore import xform_name

    return {xform_name(name): name for name in _session().get_service_model(service).operation_names}


def _members(service: str, operation: str) -> dict[str, list[Any]]:
    """Shapes of the values that an operation takes, by name, however deep."""
    found: dict[str, list[Any]] = {}

    def walk(shape: Any, above: frozenset[str]) -> None:
        if shape.name in above:
            return
        match shape.type_name:
            case "structure":
                for name, member in shape.members.items():
                    inner = member.member if member.type_name == "list" else member
                    if inner.type_name not in ("structure", "list", "map"):
                        found.setdefault(_plain(name), []).append(inner)
                    walk(member, above | {shape.name})
            case "list":
                walk(shape.member, above | {shape.name})
            case "map":
                walk(shape.value, above | {shape.name})

    shape = _session().get_service_model(service).operation_model(_methods(service)[operation]).input_shape
    if shape is not None:
        walk(shape, frozenset())
    return found


def _plain(name: str) -> str:
    return name.rpartition(".")[2].lower().rstrip("s")


def _refuses(prop: Property, value: Any) -> bool:
    if prop.check is None:
        return False
    try:
        return any(prop.check(each) is not None for each in (value, [value]))
    except (TypeError, ValueError, AttributeError, KeyError):
        # It wants a value of another form, and says so in its own way.
        return True


def _is_closed(shape: Any) -> bool:
    return bool(getattr(shape, "enum", None)) or bool({"min", "max"} & set(shape.metadata))


def _holds(prop: Property, shape: Any) -> bool:
    """Whether the provider refuses a value outside what the model says."""
    if prop.kind is Kind.BOOLEAN:
        return True
    if getattr(shape, "enum", None):
        return _refuses(prop, _IMPOSSIBLE)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "string":
        return _refuses(prop, "x" * (high + 1)) if high is not None else _refuses(prop, "x" * ((low or 1) - 1))
    return (low is None or _refuses(prop, low - 1)) and (high is None or _refuses(prop, high + 1))


def of(token: str) -> Fidelity:
    """What is known of one type."""
    description, arguments = RESOURCES[token], arguments_of(token)
    found = Fidelity(token, properties=sum(1 for _ in _values(arguments)))
    settable = description.all_properties
    found.refused = sorted(_refused(arguments, settable))
    calls = operations(token)
    found.operations = [f"{service}:{_methods(service)[operation]}" for service, operation in calls]
    members: dict[str, list[Any]] = {}
    for service, operation in calls:
        for name, shapes in _members(service, operation).items():
            members.setdefault(name, []).extend(shapes)
    for path, prop in _supported({name: prop for name, prop in settable.items() if name not in _EVERY_TYPE_HAS}):
        found.supported.append(path)
        shapes = members.get(_plain(path), [])
        if shapes:
            found.typed.append(path)
        closing = [shape for shape in shapes if _is_closed(shape)]
        if closing and any(_holds(prop, shape) for shape in closing):
            found.closed.append(path)
        elif closing:
            found.closed_elsewhere.append(path)
        elif prop.check is not None or prop.kind in (Kind.BOOLEAN, Kind.JSON):
            found.documented.append(path)
        else:
            found.unchecked.append(path)
    return found


def page() -> str:
    """`docs/fidelity.md`."""
    everything = [of(token) for token in sorted(RESOURCES)]
    lines = [
        "# Fidelity of the sandbox",
        "",
        GENERATED,
        "",
        "What the sandbox's provider has of each resource type, and what its values are checked by. A value is one",
        "that a program can give, nested ones too. Three things are checked of every value: mypy holds the program's",
        "arguments against pulumi-aws' types, the provider refuses by name what it doesn't have, and botocore holds",
        "each call against AWS's service model (types, required members, lengths) before it is sent.",
        "",
        "| column | meaning |",
        "|---|---|",
        "| has | values that pulumi-aws 7.51.1 has in the type |",
        "| of these here | values that the provider takes; it refuses the others by name |",
        "| in a model | values with a member of that name in the botocore models of the operations that it calls |",
        "| held to the model | values for which the model has an enumeration or a range, which the provider enforces |",
        "| left to the API | the same, but what is outside is refused by the API or not at all |",
        "| documented limits | values that the provider checks by AWS's documentation, where the model says nothing |",
        "| any | values without a closed form: identifiers of other resources (the API looks them up), free text |",
        "",
        "| type | has | of these here | in a model | held to the model | left to the API | documented limits | any |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in everything:
        counts = (each.supported, each.typed, each.closed, each.closed_elsewhere, each.documented, each.unchecked)
        cells = " | ".join(str(len(values)) for values in counts)
        lines.append(f"| `{each.token}` | {each.properties} | {cells} |")
    lines += [
        "",
        "## What couldn't be checked without AWS",
        "",
        "- Whether AWS accepts a combination of valid values. The provider and the API refuse those that AWS's",
        "  documentation names; each refusal cites its document in the source. There may be others.",
        "- Quotas of an account, capacity of an Availability Zone, and what an account is opted in to.",
        "- Eventual consistency: the sandbox shows each change at once. Waits are by observed state, as on AWS.",
        "- Error texts: codes are those of AWS's documentation, the words after them need not be.",
        "- pulumi-aws' own plan-time validation and diff suppression, other than what its schema and documentation",
        "  say: the provider here is another program.",
        "- Times: how long AWS takes for a creation or a refresh is set here by its documentation's examples.",
        "",
        "## By type",
    ]
    for each in everything:
        lines += ["", f"### `{each.token}`", ""]
        lines += [f"Calls that give values: {_names(each.operations)}."]
        for title, values in (
            ("Held to the model", each.closed),
            ("Left to the API", each.closed_elsewhere),
            ("Documented limits", each.documented),
            ("Any", each.unchecked),
            ("Refused by name", each.refused),
        ):
            if values:
                lines += ["", f"{title}: {_names(values)}."]
    return "\n".join(lines) + "\n"


def _names(values: list[str]) -> str:
    return ", ".join(f"`{value}`" for value in values) or "none"
