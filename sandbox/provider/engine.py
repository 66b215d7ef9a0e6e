"""What all resource types share: check, diff, create, read, update and delete, from a type's description.

The semantics follow pulumi-aws (the Terraform provider behind Pulumi's bridge): check fills in defaults and automatic
names, computed outputs are unknown until the update has run, refresh reports what differs from the program's inputs,
and a resource whose creation fails half way stays in the state.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, ParamValidationError
from botocore.session import get_session

from sandbox.provider.aws import Aws, ClientCache
from sandbox.provider.invokes import INVOKES, Invoke
from sandbox.provider.resources import RESOURCES
from sandbox.provider.schema import Change, Kind, Property, ResourceType, State, is_empty, matches
from sandbox.provider.values import UNKNOWN, Json, contains_unknown, is_unknown

_AUTO_NAME_DIGITS = 7
# Where IAM and Route 53 are served, whatever a provider's region (AWS General Reference, "Global services").
GLOBAL_REGION = "us-east-1"
# The bridge's list, in a resource's inputs, of what check filled in (pulumi-terraform-bridge, pkg/tfbridge/names.go).
DEFAULTS = "__defaults"


class ProviderError(Exception):
    """A call that AWS, or the sandbox, refuses; nothing was changed."""


class UnreachableError(ProviderError):
    """The sandbox's API does not answer."""


class PartialFailureError(ProviderError):
    """The resource exists, and a later step of its creation or update failed."""

    def __init__(self, message: str, id: str, state: State) -> None:
        super().__init__(message)
        self.id = id
        self.state = state


@dataclass(frozen=True)
class Failure:
    """An input that check refuses: the property's path and the reason."""

    property: str
    reason: str


@dataclass(frozen=True)
class ProviderConfig:
    """One provider resource of a program: its region (None while unknown) and the tags it puts on everything."""

    region: str | None
    default_tags: Mapping[str, str] = field(default_factory=dict)
    secret_tags: bool = False


@dataclass(frozen=True)
class Difference:
    """What an update would change, by property, and which of that replaces the resource."""

    changed: Mapping[str, str]
    replaces: frozenset[str]
    delete_before_replace: bool


def known_regions() -> frozenset[str]:
    """The regions of AWS's commercial partition, from botocore's endpoint data."""
    return frozenset(get_session().get_available_regions("ec2"))


class Engine:
    """Runs descriptions against one API endpoint. Thread-safe."""

    def __init__(
        self,
        clients: ClientCache,
        resources: Mapping[str, ResourceType] = RESOURCES,
        invokes: Mapping[str, Invoke] = INVOKES,
    ) -> None:
        self._clients = clients
        self._resources = resources
        self._invokes = invokes

    def resource_type(self, token: str) -> ResourceType:
        """The description of `token`. Raises ProviderError for a type the sandbox lacks."""
        found = self._resources.get(token)
        if found is None:
            raise ProviderError(
                f"the sandbox doesn't support the resource type {token}; its types are in sandbox/provider/resources/"
            )
        return found

    def check(
        self, config: ProviderConfig, token: str, name: str, news: State, olds: State, seed: bytes
    ) -> tuple[State, list[Failure]]:
        """Inputs with defaults, automatic names and merged tags, and what is wrong with them."""
        kind = self.resource_type(token)
        inputs: State = {}
        failures: list[Failure] = []
        for key, value in news.items():
            prop = kind.all_properties.get(key)
            if prop is None or not prop.settable:
                reason = "is an output and can't be set" if prop else f"of {token} isn't supported by the sandbox"
                failures.append(Failure(key, f"property {key!r} {reason}"))
                continue
            inputs[key] = _coerce(prop, value)
            failures += _check_value(key, prop, inputs[key])
        failures += _check_combinations(kind, inputs)
        given = set(inputs)
        for key, prop in kind.all_properties.items():
            if key in given or any(other in given for other in prop.conflicts):
                continue
            if prop.default is not None:
                inputs[key] = prop.default
            elif prop.auto_name is not None:
                kept = olds.get(key) if key in olds.get(DEFAULTS, ()) else None
                inputs[key] = kept or _automatic_name(prop, name, seed)
        inputs[DEFAULTS] = sorted(inputs.keys() - given)
        if kind.taggable:
            inputs["tagsAll"] = _merge_tags(config.default_tags, inputs.get("tags"))
        if kind.regional and not is_unknown(inputs.get("region")):
            failures += _check_region(inputs.get("region") or config.region)
        if kind.validate is not None and not failures:
            failures += [Failure(path, reason) for path, reason in kind.validate(inputs)]
        return inputs, failures

    def diff(self, config: ProviderConfig, token: str, state: State, old_inputs: State, news: State) -> Difference:
        """What differs between the old inputs and the new ones; the region counts as an input."""
        kind = self.resource_type(token)
        changed: dict[str, str] = {}
        replaces: set[str] = set()
        for key, prop in kind.all_properties.items():
            if not prop.settable or key == "region":
                continue
            old, new = old_inputs.get(key), news.get(key)
            if not _differs(prop, old, new):
                continue
            changed[key] = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
            if prop.replaces:
                replaces.add(key)
        region = news.get("region") or config.region
        if kind.regional and state.get("region") not in (None, region):
            changed["region"] = "UPDATE"
            replaces.add("region")
        # A name that the program chose is taken until the old resource is gone.
        named = any(prop.auto_name and key not in news.get(DEFAULTS, ()) for key, prop in kind.properties.items())
        same_name = not any(prop.auto_name and key in changed for key, prop in kind.properties.items())
        delete_first = kind.delete_before_replace or (named and same_name)
        return Difference(changed, frozenset(replaces), bool(replaces) and delete_first)

    def preview_create(self, config: ProviderConfig, token: str, inputs: State) -> State:
        """Outputs of a creation that is only planned: what AWS computes is unknown."""
        kind = self.resource_type(token)
        state: State = {key: value for key, value in inputs.items() if key != DEFAULTS}
        for key, prop in kind.all_properties.items():
            if key not in state and prop.computed:
                state[key] = UNKNOWN
        if kind.regional:
            state["region"] = inputs.get("region") or config.region or UNKNOWN
        return state

    def preview_update(self, token: str, state: State, news: State) -> State:
        """Outputs of an update that is only planned."""
        kind = self.resource_type(token)
        planned = _merged(kind, state, news)
        for key, prop in kind.all_properties.items():
            if prop.volatile and key not in news:
                planned[key] = UNKNOWN
        return planned

    def create(self, config: ProviderConfig, token: str, inputs: State) -> tuple[str, State]:
        """Create, configure, wait, read. Raises PartialFailureError if it exists but a later step failed."""
        kind = self.resource_type(token)
        aws = self._aws(config, kind, inputs)
        with _as_provider_error(f"creating {token}", self._clients.endpoint_url):
            id = kind.create(aws, inputs)
        state: State = {**inputs, "region": aws.region} if kind.regional else dict(inputs)

        def configure() -> None:
            for update in kind.updates:
                if update.on_create and any(_worth_setting(kind, inputs, key) for key in update.properties):
                    update.run(aws, Change(id, {}, {**state}, frozenset(inputs)))

        self._finish(kind, aws, id, state, inputs, config, configure, f"{token} {id} was created, and then")
        return id, self._current(kind, aws, id, state, inputs, config) or state

    def read(
        self, config: ProviderConfig, token: str, id: str, state: State, inputs: State
    ) -> tuple[str, State, State] | None:
        """The id, state and inputs as AWS has them now; None if the resource is gone. No state means an import."""
        kind = self.resource_type(token)
        importing = not state
        prior = dict(state)
        if importing and kind.regional and "@" in id:
            # Terraform AWS provider v6, "Enhanced Region Support": an import id may end in @REGION.
            id, _, prior["region"] = id.rpartition("@")
        aws = self._aws(config, kind, prior)
        with _as_provider_error(f"reading {token} {id}", self._clients.endpoint_url):
            current = self._current(kind, aws, id, prior, inputs, config)
        if current is None:
            return None
        return id, current, _live_inputs(kind, inputs, current, importing)

    def update(
        self, config: ProviderConfig, token: str, id: str, state: State, old_inputs: State, news: State
    ) -> State:
        """Make the calls that the changed properties need, wait, read."""
        kind = self.resource_type(token)
        aws = self._aws(config, kind, {"region": state.get("region")})
        changed = frozenset(self.diff(config, token, state, old_inputs, news).changed)
        merged = _merged(kind, state, news)

        def configure() -> None:
            change = Change(id, state, merged, changed)
            for update in kind.updates:
                if changed.intersection(update.properties):
                    update.run(aws, change)
            if kind.write_tags is not None and "tagsAll" in changed:
                old_tags, new_tags = state.get("tagsAll") or {}, news.get("tagsAll") or {}
                add = {key: value for key, value in new_tags.items() if old_tags.get(key) != value}
                kind.write_tags(aws, id, merged, add, sorted(old_tags.keys() - new_tags.keys()))

        self._finish(kind, aws, id, merged, news, config, configure, f"updating {token} {id}:")
        return self._current(kind, aws, id, merged, news, config) or merged

    def delete(self, config: ProviderConfig, token: str, id: str, state: State) -> None:
        """Delete; what is gone already counts as deleted."""
        kind = self.resource_type(token)
        with _as_provider_error(f"deleting {token} {id}", self._clients.endpoint_url):
            kind.delete(self._aws(config, kind, state), id, state)

    def invoke(self, config: ProviderConfig, token: str, arguments: State) -> tuple[State, list[Failure]]:
        """The result of a function, and what is wrong with its arguments."""
        function = self._invokes.get(token)
        if function is None:
            raise ProviderError(f"the sandbox doesn't support the function {token}; see sandbox/provider/invokes.py")
        properties = {**function.arguments, **({"region": Property(computed=True)} if function.regional else {})}
        failures = [
            Failure(key, f"argument {key!r} of {token} isn't supported by the sandbox")
            for key in arguments
            if key not in properties
        ]
        values = {key: _coerce(properties[key], value) for key, value in arguments.items() if key in properties}
        for key, value in values.items():
            failures += _check_value(key, properties[key], value)
        failures += [
            Failure(key, f"argument {key!r} is required")
            for key, prop in properties.items()
            if prop.required and key not in values
        ]
        if failures:
            return {}, failures
        region = values.get("region") or config.region
        failures += _check_region(region)
        if failures:
            return {}, failures
        for key, prop in function.arguments.items():
            if prop.default is not None:
                values.setdefault(key, prop.default)
        with _as_provider_error(f"invoking {token}", self._clients.endpoint_url):
            result = function.run(Aws(self._clients, str(region)), values)
        return ({**result, "region": region} if function.regional else result), []

    def _aws(self, config: ProviderConfig, kind: ResourceType, values: State) -> Aws:
        region = values.get("region") or config.region if kind.regional else GLOBAL_REGION
        if region is None:
            raise ProviderError(f"{kind.token}: no region: set `region` on the provider or the resource")
        return Aws(self._clients, region)

    def _finish(
        self,
        kind: ResourceType,
        aws: Aws,
        id: str,
        state: State,
        inputs: State,
        config: ProviderConfig,
        configure: Callable[[], None],
        what: str,
    ) -> None:
        """The steps that follow once a resource exists; what is there after a failure goes into the state."""
        try:
            with _as_provider_error(what, self._clients.endpoint_url):
                configure()
                if kind.ready is not None:
                    kind.ready(aws, id, state)
        except ProviderError as error:
            try:
                with _as_provider_error("", ""):
                    live = self._current(kind, aws, id, state, inputs, config)
            except ProviderError:
                live = None
            raise PartialFailureError(str(error), id, live or state) from error

    def _current(
        self, kind: ResourceType, aws: Aws, id: str, prior: State, inputs: State, config: ProviderConfig
    ) -> State | None:
        current = kind.read(aws, id, prior)
        if current is None:
            return None
        state: State = {}
        for key, prop in kind.all_properties.items():
            value = current[key] if key in current else prior.get(key)
            wanted = inputs.get(key)
            if prop.kind in (Kind.JSON, Kind.SET, Kind.LIST) and not is_empty(wanted) and matches(prop, wanted, value):
                value = wanted
            if value is not None:
                state[key] = value
        if kind.regional:
            state["region"] = aws.region
        if kind.taggable:
            own = inputs.get("tags") or {}
            everything = state.get("tagsAll") or {}
            state["tagsAll"] = everything
            state["tags"] = {
                key: value for key, value in everything.items() if key in own or config.default_tags.get(key) != value
            }
        return state


class _as_provider_error:  # noqa: N801 - a context manager, used as a function
    """Turns botocore's errors into ProviderError, with `what` in front."""

    def __init__(self, what: str, endpoint_url: str) -> None:
        self._what = what
        self._endpoint_url = endpoint_url

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            answer = error.response["Error"]
            raise ProviderError(
                f"{self._what} {error.operation_name} was refused: {answer.get('Code')}: {answer.get('Message')}"
            ) from error
        if isinstance(error, ParamValidationError):
            raise ProviderError(f"{self._what} {error}") from error
        if isinstance(error, HTTPClientError | ConnectionError):
            raise UnreachableError(
                f"{self._what} the sandbox's API at {self._endpoint_url} doesn't answer ({error}): "
                "run `lockstep sandbox status`"
            ) from error
        if isinstance(error, BotoCoreError):
            raise ProviderError(f"{self._what} {error}") from error


def _differs(prop: Property, old: Json, new: Json) -> bool:
    if new is None:
        return not (prop.computed or is_empty(old) or old == prop.default)
    if old is None and prop.default is not None:
        old = prop.default
    if old is None and (is_empty(new) or (new is False and not prop.computed)):
        return False
    return not matches(prop, new, old)


def _merged(kind: ResourceType, state: State, news: State) -> State:
    """The new inputs over what stays of the old state: outputs, and what AWS chose where the program says nothing."""
    kept = {
        key: value
        for key, value in state.items()
        if (prop := kind.all_properties.get(key)) is not None and (prop.computed or not prop.settable)
    }
    return {**kept, **{key: value for key, value in news.items() if key != DEFAULTS}}


def _worth_setting(kind: ResourceType, inputs: State, key: str) -> bool:
    value = inputs.get(key)
    return not is_empty(value) and value != kind.all_properties[key].default


def _live_inputs(kind: ResourceType, prior: State, state: State, importing: bool) -> State:
    """The inputs that a program would have to give for what AWS has: the prior ones, changed where AWS differs."""
    live: State = {}
    for key, prop in kind.all_properties.items():
        if not prop.settable or (importing and key == "region"):
            continue
        actual, before = state.get(key), prior.get(key)
        if before is not None:
            compared = actual if actual is not None else prop.default
            value = _live_value(prop, before, False if before is False and compared is None else compared)
        elif importing:
            value = None if is_empty(actual) or actual == prop.default else actual
        elif key == "tagsAll":
            value = actual
        elif prop.computed or is_empty(actual) or actual == prop.default or actual in (False, 0):
            value = None
        else:
            value = actual
        if value is not None:
            live[key] = value
    if DEFAULTS in prior:
        live[DEFAULTS] = prior[DEFAULTS]
    return live


def _live_value(prop: Property, before: Json, actual: Json) -> Json:
    """`before` where AWS agrees; of an object that differs, the fields that the program gave or would have to give."""
    if matches(prop, before, actual):
        return before
    if prop.kind is not Kind.OBJECT or not isinstance(actual, dict):
        return actual
    live: State = {}
    for name, field_ in prop.fields.items():
        value = actual.get(name)
        if before.get(name) is not None:
            value = _live_value(field_, before[name], value)
        elif field_.computed or is_empty(value) or value == field_.default or value in (False, 0):
            continue
        if value is not None:
            live[name] = value
    return live


def _coerce(prop: Property, value: Json) -> Json:
    """`value` in the property's type where Pulumi's bridge converts: "30" for a number, 30 for a text, "true"."""
    if is_unknown(value):
        return value
    match prop.kind:
        case Kind.STRING if isinstance(value, bool):
            return "true" if value else "false"
        case Kind.STRING if isinstance(value, int | float):
            return str(value)
        case Kind.INTEGER if isinstance(value, str) and value.lstrip("-").isdigit():
            return int(value)
        case Kind.BOOLEAN if value in ("true", "false"):
            return value == "true"
        case Kind.LIST | Kind.SET if isinstance(value, list) and prop.element is not None:
            return [_coerce(prop.element, item) for item in value]
        case Kind.MAP if isinstance(value, dict) and prop.element is not None:
            return {key: _coerce(prop.element, item) for key, item in value.items() if item is not None}
        case Kind.OBJECT if isinstance(value, dict):
            coerced = {key: _coerce(prop.fields.get(key, Property()), item) for key, item in value.items()}
            defaults = {key: item.default for key, item in prop.fields.items() if item.default is not None}
            return {**defaults, **{key: item for key, item in coerced.items() if item is not None}}
        case _:
            return value


_PYTHON_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.JSON: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.LIST: (list,),
    Kind.SET: (list,),
    Kind.MAP: (dict,),
    Kind.OBJECT: (dict,),
}


def _check_value(path: str, prop: Property, value: Json) -> Iterator[Failure]:
    """What is wrong with one value: its type, unsupported or missing fields, and what its check says."""
    if is_unknown(value):
        return
    expected = _PYTHON_TYPES[prop.kind]
    fits: bool = isinstance(value, expected) and (bool in expected or not isinstance(value, bool))
    if not fits:
        yield Failure(path, f"expected {prop.kind.name.lower()}, got {type(value).__name__}: {value!r}")
        return
    if prop.kind is Kind.JSON and value and not contains_unknown(value):
        try:
            json.loads(value)
        except ValueError as error:
            yield Failure(path, f"contains an invalid JSON policy: {error}")
    if prop.kind in (Kind.LIST, Kind.SET) and prop.element is not None:
        for index, item in enumerate(value):
            yield from _check_value(f"{path}[{index}]", prop.element, item)
    if prop.kind is Kind.OBJECT:
        yield from _check_object(path, prop, value)
    if prop.check is not None and not contains_unknown(value) and (reason := prop.check(value)) is not None:
        yield Failure(path, reason)


def _check_object(path: str, prop: Property, value: State) -> Iterator[Failure]:
    for key, item in value.items():
        inner = prop.fields.get(key)
        if inner is None:
            yield Failure(f"{path}.{key}", f"property {key!r} of {path} isn't supported by the sandbox")
        elif item is not None:
            yield from _check_value(f"{path}.{key}", inner, item)
    for key, inner in prop.fields.items():
        if inner.required and value.get(key) is None:
            yield Failure(f"{path}.{key}", f"missing required property {key!r}")


def _check_combinations(kind: ResourceType, inputs: State) -> Iterator[Failure]:
    for key, prop in kind.all_properties.items():
        if prop.required and inputs.get(key) is None:
            yield Failure(key, f"missing required property {key!r}")
        for other in prop.conflicts:
            if not is_empty(inputs.get(key)) and not is_empty(inputs.get(other)) and key < other:
                yield Failure(key, f"conflicts with {other!r}: set one of them")


def _check_region(region: Json) -> Iterator[Failure]:
    if region is None:
        yield Failure("region", "missing region: set `aws:region`, or `region` on the provider or the resource")
    elif region not in _regions():
        yield Failure("region", f"{region!r} isn't an AWS region")


_region_cache: frozenset[str] = frozenset()


def _regions() -> frozenset[str]:
    global _region_cache
    _region_cache = _region_cache or known_regions()
    return _region_cache


def _automatic_name(prop: Property, name: str, seed: bytes) -> str:
    assert prop.auto_name is not None
    digits = (hashlib.sha256(seed).hexdigest() if seed else secrets.token_hex(_AUTO_NAME_DIGITS))[:_AUTO_NAME_DIGITS]
    stem = name[: prop.auto_name.max_length - len(digits) - 1]
    made = f"{stem}-{digits}"
    return made.lower() if prop.auto_name.lower else made


def _merge_tags(defaults: Mapping[str, str], tags: Json) -> Json:
    if contains_unknown(tags):
        return UNKNOWN
    return {**defaults, **(tags or {})}
