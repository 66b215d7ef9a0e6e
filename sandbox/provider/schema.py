"""The language in which the provider's resource types are described.

A resource type is data: its properties, and the API calls that create, read, update, tag and delete it. The engine
(`sandbox.provider.engine`) does everything that all types share. `sandbox/provider/resources/` holds the types.

Property names are pulumi-aws' wire names (camelCase). A property that the description lacks is refused by name, as is a
value outside what pulumi-aws or AWS accept: the sandbox never says yes to what AWS would refuse.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Any

from sandbox.provider.aws import Aws
from sandbox.provider.values import Json, contains_unknown

State = dict[str, Json]
ValueCheck = Callable[[Json], str | None]


class Kind(Enum):
    """What a property holds."""

    STRING = auto()
    JSON = auto()
    INTEGER = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    LIST = auto()
    SET = auto()
    MAP = auto()
    OBJECT = auto()


@dataclass(frozen=True, kw_only=True)
class AutoName:
    """How pulumi-aws names a resource whose program doesn't: the resource's name, a hyphen, seven random digits."""

    max_length: int = 255
    lower: bool = False


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property of a resource type, or one field of a nested object.

    `computed`: AWS gives the value (if `settable`, only when the program doesn't). `replaces`: changing it replaces the
    resource. `default`: what pulumi-aws fills in. `check` gives the reason why a value is refused, or None.
    `volatile`: an output that every update of the resource may change, so it is unknown while one is planned.
    `normal`: the form in which AWS keeps a value; two values with the same normal form are equal.
    """

    kind: Kind = Kind.STRING
    required: bool = False
    settable: bool = True
    computed: bool = False
    replaces: bool = False
    volatile: bool = False
    secret: bool = False
    default: Json = None
    check: ValueCheck | None = None
    normal: Callable[[Json], Json] | None = None
    conflicts: tuple[str, ...] = ()
    element: "Property | None" = None
    fields: Mapping[str, "Property"] = field(default_factory=dict)
    auto_name: AutoName | None = None


def string(**options: Any) -> Property:
    """Text."""
    return Property(kind=Kind.STRING, **options)


def json_text(**options: Any) -> Property:
    """Text that holds JSON; two texts of the same document are equal."""
    return Property(kind=Kind.JSON, **options)


def integer(low: int | None = None, high: int | None = None, **options: Any) -> Property:
    """A whole number from `low` to `high`."""
    if low is not None or high is not None:
        options["check"] = between(low, high)
    return Property(kind=Kind.INTEGER, **options)


def boolean(**options: Any) -> Property:
    """True or false."""
    return Property(kind=Kind.BOOLEAN, **options)


def strings(element_check: ValueCheck | None = None, **options: Any) -> Property:
    """A list of texts whose order counts."""
    return Property(kind=Kind.LIST, element=string(check=element_check), **options)


def string_set(element_check: ValueCheck | None = None, **options: Any) -> Property:
    """A list of texts whose order doesn't count."""
    return Property(kind=Kind.SET, element=string(check=element_check), **options)


def string_map(**options: Any) -> Property:
    """Texts by key."""
    return Property(kind=Kind.MAP, element=string(), **options)


def block(fields: Mapping[str, Property], **options: Any) -> Property:
    """A nested object."""
    return Property(kind=Kind.OBJECT, fields=fields, **options)


def blocks(fields: Mapping[str, Property], **options: Any) -> Property:
    """A list of nested objects whose order counts."""
    return Property(kind=Kind.LIST, element=block(fields), **options)


def block_set(fields: Mapping[str, Property], **options: Any) -> Property:
    """A list of nested objects whose order doesn't count."""
    return Property(kind=Kind.SET, element=block(fields), **options)


def output(kind: Kind = Kind.STRING, **options: Any) -> Property:
    """A value that only AWS gives."""
    return Property(kind=kind, settable=False, computed=True, **options)


def between(low: int | None, high: int | None) -> ValueCheck:
    """A check that a number lies from `low` to `high`, both included."""

    def check(value: Json) -> str | None:
        if (low is None or value >= low) and (high is None or value <= high):
            return None
        if low is None:
            return f"expected at most {high}, got {value}"
        if high is None:
            return f"expected at least {low}, got {value}"
        return f"expected a number from {low} to {high}, got {value}"

    return check


def one_of(*allowed: Json) -> ValueCheck:
    """A check that a value is one of `allowed`."""

    def check(value: Json) -> str | None:
        if value in allowed:
            return None
        return f"expected one of {', '.join(map(str, allowed))}, got {value}"

    return check


def length(low: int, high: int) -> ValueCheck:
    """A check that a text has from `low` to `high` characters."""

    def check(value: Json) -> str | None:
        if low <= len(value) <= high:
            return None
        return f"expected {low} to {high} characters, got {len(value)}: {value!r}"

    return check


def is_empty(value: Json) -> bool:
    """Whether `value` says nothing: absent, or an empty text or collection."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def matches(prop: Property, wanted: Json, actual: Json) -> bool:
    """Whether `actual` is what `wanted` asks for; fields that AWS fills in and the program left out are passed over."""
    if contains_unknown(wanted):
        return False
    if is_empty(wanted) and is_empty(actual):
        return True
    if wanted is None or actual is None:
        return False
    match prop.kind:
        case Kind.JSON:
            return bool(_document(wanted) == _document(actual))
        case Kind.OBJECT:
            return all(_field_matches(item, wanted.get(name), actual.get(name)) for name, item in prop.fields.items())
        case Kind.LIST:
            assert prop.element is not None
            return len(wanted) == len(actual) and all(
                matches(prop.element, want, have) for want, have in zip(wanted, actual, strict=True)
            )
        case Kind.SET:
            return _set_matches(prop, wanted, actual)
        case _ if prop.normal is not None:
            return bool(prop.normal(wanted) == prop.normal(actual))
        case _:
            return bool(wanted == actual)


def _field_matches(prop: Property, wanted: Json, actual: Json) -> bool:
    if wanted is None:
        return prop.computed or is_empty(actual) or bool(actual == prop.default) or actual in (False, 0)
    return matches(prop, wanted, actual if actual is not None else prop.default)


def _set_matches(prop: Property, wanted: Sequence[Json], actual: Sequence[Json]) -> bool:
    assert prop.element is not None
    left = list(actual)
    for want in wanted:
        found = next((index for index, have in enumerate(left) if matches(prop.element, want, have)), None)
        if found is None:
            return False
        del left[found]
    return not left


def _document(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Change:
    """An update as a type's calls see it: the old state, the new inputs and the names of what changed."""

    id: str
    old: State
    new: State
    changed: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Update:
    """The call that changes `properties`; with `on_create` also made after creation, for what create can't take."""

    properties: tuple[str, ...]
    run: Callable[[Aws, Change], None]
    on_create: bool = False


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One resource type.

    `create` returns the id, `ready` waits until the resource can be used, `read` gives the state (None: it is gone; a
    property missing from it can't be read back and keeps its value). `write_tags(aws, id, state, add, remove)` makes
    the type taggable. `validate` gives (property path, reason) pairs for rules over several properties.
    """

    token: str
    properties: Mapping[str, Property]
    create: Callable[[Aws, State], str]
    read: Callable[[Aws, str, State], State | None]
    delete: Callable[[Aws, str, State], None]
    updates: Sequence[Update] = ()
    ready: Callable[[Aws, str, State], None] | None = None
    write_tags: Callable[[Aws, str, State, dict[str, str], list[str]], None] | None = None
    validate: Callable[[State], Iterable[tuple[str, str]]] | None = None
    regional: bool = True
    delete_before_replace: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError if a property that can be set can neither be updated nor replaces the resource."""
        covered = {name for update in self.updates for name in update.properties}
        for name, prop in self.properties.items():
            if prop.settable and not prop.replaces and name not in covered:
                raise ValueError(f"{self.token}: {name} neither replaces the resource nor has an update call")

    @property
    def taggable(self) -> bool:
        """Whether the type has `tags` and `tagsAll`."""
        return self.write_tags is not None

    @cached_property
    def all_properties(self) -> Mapping[str, Property]:
        """The described properties and those that every such type has: `region`, `tags`, `tagsAll`."""
        extra: dict[str, Property] = {}
        if self.regional:
            extra["region"] = string(computed=True, replaces=True)
        if self.taggable:
            extra["tags"] = string_map()
            extra["tagsAll"] = string_map(computed=True)
        return {**self.properties, **extra}
