"""The engine's rules for all resource types, on a type made for the purpose, and on a VPC through the real API."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.api.server import ApiServer
from sandbox.provider.aws import Aws, ClientCache
from sandbox.provider.engine import Engine, PartialFailureError, ProviderConfig, ProviderError, UnreachableError
from sandbox.provider.invokes import Invoke
from sandbox.provider.schema import (
    AutoName,
    Change,
    ResourceType,
    State,
    Update,
    block,
    boolean,
    integer,
    json_text,
    output,
    string,
    string_set,
    strings,
)
from sandbox.provider.values import UNKNOWN

TOKEN = "test:thing:Thing"
CONFIG = ProviderConfig(region="eu-west-1", default_tags={"owner": "ops"})
VPC = "aws:ec2/vpc:Vpc"


def refused(code: str, operation: str = "Configure") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as AWS says it"}}, operation)


class Store:
    """What stands in for AWS behind the made-up type: resources by id, and a list of the calls."""

    def __init__(self) -> None:
        self.things: dict[str, State] = {}
        self.calls: list[str] = []
        self.fail: str | None = None

    def create(self, aws: Aws, inputs: State) -> str:
        self.calls.append(f"create in {aws.region}")
        if self.fail == "create":
            raise refused("Invalid", "CreateThing")
        kept = {key: value for key, value in inputs.items() if key not in ("size", "replaced_by")}
        self.things["t-1"] = {**kept, "arn": "arn:t-1", "chosen": inputs.get("chosen", "by AWS")}
        return "t-1"

    def read(self, aws: Aws, id: str, state: State) -> State | None:
        return dict(self.things[id]) if id in self.things else None

    def resize(self, aws: Aws, change: Change) -> None:
        self.calls.append("resize")
        if self.fail == "resize":
            raise refused("Throttled")
        self.things[change.id]["size"] = change.new.get("size")

    def edit(self, aws: Aws, change: Change) -> None:
        self.calls.append(f"edit {','.join(sorted(change.changed))}")
        self.things[change.id] |= {key: change.new.get(key) for key in ("note", "doc", "list", "set", "nested", "on")}

    def tag(self, aws: Aws, id: str, state: State, add: dict[str, str], remove: list[str]) -> None:
        self.calls.append(f"tag +{sorted(add)} -{remove}")
        tags = self.things[id].setdefault("tagsAll", {})
        self.things[id]["tagsAll"] = {key: value for key, value in {**tags, **add}.items() if key not in remove}

    def delete(self, aws: Aws, id: str, state: State) -> None:
        self.calls.append("delete")
        del self.things[id]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def thing(store: Store) -> ResourceType:
    nested = block({"path": string(required=True), "every": integer(1, 9, default=3), "port": integer(computed=True)})
    return ResourceType(
        token=TOKEN,
        properties={
            "name": string(replaces=True, auto_name=AutoName(max_length=16, lower=True)),
            "kind": string(replaces=True, required=True),
            "size": integer(1, 10, default=2),
            "on": boolean(),
            "auto_on": boolean(computed=True),
            "note": string(),
            "doc": json_text(),
            "list": strings(),
            "set": string_set(),
            "nested": nested,
            "chosen": string(computed=True, replaces=True),
            "either": string(replaces=True, conflicts=("kindred",)),
            "kindred": string(replaces=True, conflicts=("either",)),
            "arn": output(),
            "version": output(volatile=True),
            "password": string(replaces=True, secret=True),
        },
        create=store.create,
        read=store.read,
        delete=store.delete,
        updates=(
            Update(properties=("size",), run=store.resize, on_create=True),
            Update(properties=("note", "doc", "list", "set", "nested", "on", "auto_on"), run=store.edit),
        ),
        write_tags=store.tag,
    )


@pytest.fixture
def engine(thing: ResourceType) -> Engine:
    return Engine(ClientCache("http://127.0.0.1:9"), {TOKEN: thing}, {})


def checked(engine: Engine, olds: State | None = None, **news: Any) -> State:
    inputs, failures = engine.check(CONFIG, TOKEN, "Thing", {"kind": "a", **news}, olds or {}, b"seed")
    assert failures == []
    return inputs


def complaints(engine: Engine, **news: Any) -> dict[str, str]:
    _, failures = engine.check(CONFIG, TOKEN, "Thing", {"kind": "a", **news}, {}, b"seed")
    return {failure.property: failure.reason for failure in failures}


def test_check_fills_in_defaults_name_and_tags(engine: Engine) -> None:
    """Policies and previews see what check returns; without it a default tag would be missing there."""
    inputs = checked(engine, tags={"Name": "x"})
    assert inputs["size"] == 2
    assert inputs["tagsAll"] == {"owner": "ops", "Name": "x"}
    assert inputs["name"].startswith("thing-")
    assert len(inputs["name"]) == len("thing-") + 7


def test_automatic_name_is_kept_and_cut_to_the_limit(engine: Engine) -> None:
    """A new name at each update would replace the resource each time."""
    first, _ = engine.check(CONFIG, TOKEN, "a-very-long-resource-name", {"kind": "a"}, {}, b"seed")
    assert len(first["name"]) == 16
    again, _ = engine.check(CONFIG, TOKEN, "a-very-long-resource-name", {"kind": "a"}, first, b"other seed")
    assert again["name"] == first["name"]


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"colour": "red"}, "colour", "isn't supported by the sandbox"),
        ({"arn": "arn:x"}, "arn", "is an output"),
        ({"size": 11}, "size", "from 1 to 10, got 11"),
        ({"size": "many"}, "size", "expected integer"),
        ({"size": True}, "size", "expected integer"),
        ({"on": "perhaps"}, "on", "expected boolean"),
        ({"doc": "{"}, "doc", "invalid JSON"),
        ({"nested": {}}, "nested.path", "missing required"),
        ({"nested": {"path": "/", "every": 0}}, "nested.every", "from 1 to 9"),
        ({"nested": {"path": "/", "depth": 1}}, "nested.depth", "isn't supported"),
        ({"list": ["a", {}]}, "list[1]", "expected string"),
        ({"kind": None}, "kind", "missing required"),
        ({"either": "x", "kindred": "y"}, "either", "conflicts with 'kindred'"),
        ({"region": "eu-nowhere-1"}, "region", "isn't an AWS region"),
    ],
)
def test_check_names_property_and_reason(engine: Engine, given: State, path: str, text: str) -> None:
    """A refusal that comes only from the API comes after half of the stack exists."""
    news = {key: value for key, value in given.items() if value is not None}
    inputs = {"kind": "a", **news} if "kind" not in given else news
    _, failures = engine.check(CONFIG, TOKEN, "Thing", inputs, {}, b"seed")
    assert text in {failure.property: failure.reason for failure in failures}[path]


def test_numbers_and_flags_as_text_are_converted(engine: Engine) -> None:
    """`pulumi config set` stores texts; pulumi-aws takes them."""
    assert checked(engine, size="7", on="true")["size"] == 7
    assert checked(engine, size="7", on="true")["on"] is True


def test_unknown_values_pass_check(engine: Engine) -> None:
    """In preview nothing is known of a resource that another one makes."""
    assert complaints(engine, size=UNKNOWN, doc=UNKNOWN, nested=UNKNOWN, list=[UNKNOWN]) == {}


def test_no_region_is_an_error(engine: Engine) -> None:
    """Without it boto3 would take the machine's default, which may be the other site's region."""
    _, failures = engine.check(ProviderConfig(region=None), TOKEN, "t", {"kind": "a"}, {}, b"s")
    assert "missing region" in failures[0].reason


def test_unsupported_type_and_function_are_named(engine: Engine) -> None:
    """A type that is silently skipped would make a stack look complete."""
    with pytest.raises(ProviderError, match="aws:ec2/natGateway:NatGateway"):
        engine.check(CONFIG, "aws:ec2/natGateway:NatGateway", "n", {}, {}, b"")
    with pytest.raises(ProviderError, match="aws:ec2/getVpc:getVpc"):
        engine.invoke(CONFIG, "aws:ec2/getVpc:getVpc", {})


def test_preview_of_a_creation_leaves_computed_outputs_unknown(engine: Engine) -> None:
    """A value made up in preview would let a policy prove what isn't so."""
    planned = engine.preview_create(CONFIG, TOKEN, checked(engine))
    assert planned["arn"] == UNKNOWN
    assert planned["chosen"] == UNKNOWN
    assert "note" not in planned
    assert planned["region"] == "eu-west-1"


def test_preview_of_an_update_keeps_what_stays(engine: Engine, store: Store) -> None:
    """Outputs that become unknown at each update would ripple through every stack that reads them."""
    _, state = engine.create(CONFIG, TOKEN, checked(engine))
    planned = engine.preview_update(TOKEN, {**state, "version": "1"}, checked(engine, olds=state, note="new"))
    assert planned["arn"] == "arn:t-1"
    assert planned["version"] == UNKNOWN
    assert planned["note"] == "new"


def test_create_reads_back_and_sets_what_the_call_cannot_take(engine: Engine, store: Store) -> None:
    """The state must hold what AWS has, not what was asked for."""
    id, state = engine.create(CONFIG, TOKEN, checked(engine, size=5, tags={"a": "b"}))
    assert id == "t-1"
    assert store.calls == ["create in eu-west-1", "resize"]
    assert (state["size"], state["arn"], state["tags"]) == (5, "arn:t-1", {"a": "b"})
    assert state["tagsAll"] == {"a": "b", "owner": "ops"}


def test_default_value_costs_no_call(engine: Engine, store: Store) -> None:
    """pulumi-aws' defaults are AWS's; setting them again doubles the calls of a stack."""
    engine.create(CONFIG, TOKEN, checked(engine))
    assert store.calls == ["create in eu-west-1"]


def test_creation_that_fails_half_way_is_remembered(engine: Engine, store: Store) -> None:
    """Forgotten, the resource would run, and cost, without anybody knowing."""
    store.fail = "resize"
    with pytest.raises(PartialFailureError, match="Throttled: as AWS says it") as caught:
        engine.create(CONFIG, TOKEN, checked(engine, size=5))
    assert caught.value.id == "t-1"
    assert caught.value.state["arn"] == "arn:t-1"


def test_creation_that_is_refused_is_not_remembered(engine: Engine, store: Store) -> None:
    """There is nothing to remember; the message is AWS's own."""
    store.fail = "create"
    with pytest.raises(ProviderError, match="CreateThing was refused: Invalid: as AWS says it") as caught:
        engine.create(CONFIG, TOKEN, checked(engine))
    assert not isinstance(caught.value, PartialFailureError)


def test_same_inputs_differ_in_nothing(engine: Engine) -> None:
    """An order or a white space that shows as a change makes `--expect-no-changes` useless."""
    old = checked(engine, doc='{"a": [1, 2]}', set=["x", "y"], nested={"path": "/"})
    new = checked(engine, olds=old, doc='{ "a":[1,2] }', set=["y", "x"], nested={"path": "/", "every": 3})
    assert engine.diff(CONFIG, TOKEN, {"region": "eu-west-1"}, old, new).changed == {}


@pytest.mark.parametrize(
    ("old", "new", "changed", "replaced"),
    [
        ({}, {"note": "n"}, {"note": "ADD"}, set()),
        ({"note": "n"}, {}, {"note": "DELETE"}, set()),
        ({"note": "n"}, {"note": "m"}, {"note": "UPDATE"}, set()),
        ({"list": ["a", "b"]}, {"list": ["b", "a"]}, {"list": "UPDATE"}, set()),
        ({"set": ["a"]}, {"set": ["a", "a"]}, {"set": "UPDATE"}, set()),
        ({"size": 3}, {}, {"size": "UPDATE"}, set()),
        ({"chosen": "me"}, {}, {}, set()),
        ({}, {"chosen": "me"}, {"chosen": "ADD"}, {"chosen"}),
        ({}, {"kind": "b"}, {"kind": "UPDATE"}, {"kind"}),
        ({}, {"kind": UNKNOWN}, {"kind": "UPDATE"}, {"kind"}),
        ({"nested": {"path": "/"}}, {"nested": {"path": "/x"}}, {"nested": "UPDATE"}, set()),
        ({"tags": {"a": "b"}}, {"tags": {"a": "c"}}, {"tags": "UPDATE", "tagsAll": "UPDATE"}, set()),
        ({"on": True}, {"on": False}, {"on": "UPDATE"}, set()),
        ({}, {"on": False}, {}, set()),
        ({}, {"auto_on": False}, {"auto_on": "ADD"}, set()),
    ],
)
def test_diff_names_what_changes_and_what_replaces(
    engine: Engine, old: State, new: State, changed: dict[str, str], replaced: set[str]
) -> None:
    """A missed change leaves AWS as it was; a missed replacement fails in the middle of an update."""
    before = checked(engine, **old)
    found = engine.diff(CONFIG, TOKEN, {"region": "eu-west-1"}, before, checked(engine, olds=before, **new))
    assert dict(found.changed) == changed
    assert found.replaces == replaced


def test_changed_region_replaces(engine: Engine) -> None:
    """An update in place would look for the resource in a region where it isn't."""
    inputs = checked(engine)
    found = engine.diff(replace(CONFIG, region="eu-central-1"), TOKEN, {"region": "eu-west-1"}, inputs, inputs)
    assert found.replaces == {"region"}


def test_update_makes_only_the_calls_it_needs(engine: Engine, store: Store) -> None:
    """A call for what didn't change can be refused, or roll something, for nothing."""
    old = checked(engine, tags={"a": "1", "b": "1"})
    id, state = engine.create(CONFIG, TOKEN, old)
    store.calls.clear()
    new = checked(engine, olds=old, tags={"a": "2"}, size=4)
    state = engine.update(CONFIG, TOKEN, id, state, old, new)
    assert store.calls == ["resize", "tag +['a'] -['b']"]
    assert (state["size"], state["tags"]) == (4, {"a": "2"})


def test_update_that_fails_half_way_keeps_what_aws_has(engine: Engine, store: Store) -> None:
    """With the old state kept, the next preview would not show what is left to do."""
    old = checked(engine)
    id, state = engine.create(CONFIG, TOKEN, old)
    store.fail = "resize"
    with pytest.raises(PartialFailureError) as caught:
        engine.update(CONFIG, TOKEN, id, state, old, checked(engine, olds=old, size=9))
    assert caught.value.id == id
    assert caught.value.state["arn"] == "arn:t-1"
    store.fail = None
    assert engine.update(CONFIG, TOKEN, id, state, old, checked(engine, olds=old, size=9))["size"] == 9


def live(engine: Engine, id: str, state: State, inputs: State) -> tuple[State, State]:
    found = engine.read(CONFIG, TOKEN, id, state, inputs)
    assert found is not None
    return found[1], found[2]


def test_refresh_without_drift_returns_the_same_inputs(engine: Engine, store: Store) -> None:
    """Otherwise `pulumi refresh --expect-no-changes` fails right after `up`."""
    inputs = checked(engine, doc='{"a": 1}', set=["b", "a"], nested={"path": "/"}, on=False, size=3)
    id, state = engine.create(CONFIG, TOKEN, inputs)
    store.things[id] |= {"doc": '{"a":1}', "set": ["a", "b"], "nested": {"path": "/", "every": 3, "port": 80}}
    assert live(engine, id, state, inputs)[1] == inputs


def test_refresh_finds_drift(engine: Engine, store: Store) -> None:
    """What somebody changed by hand must show in the next preview."""
    inputs = checked(engine, note="mine", tags={"a": "b"})
    id, state = engine.create(CONFIG, TOKEN, inputs)
    store.things[id] |= {"note": "theirs", "list": ["new"], "tagsAll": {"a": "b", "owner": "other"}}
    state, inputs = live(engine, id, state, inputs)
    assert inputs["note"] == "theirs"
    assert inputs["list"] == ["new"]
    assert state["tags"] == {"a": "b", "owner": "other"}
    found = engine.diff(CONFIG, TOKEN, state, inputs, checked(engine, olds=inputs, note="mine", tags={"a": "b"}))
    assert set(found.changed) == {"note", "list", "tags", "tagsAll"}


def test_gone_is_gone(engine: Engine) -> None:
    """A resource deleted by hand must leave the state, else `up` never makes it again."""
    assert engine.read(CONFIG, TOKEN, "t-9", {"kind": "a"}, {"kind": "a"}) is None


def test_import_gives_the_inputs_a_program_would_need(engine: Engine, store: Store) -> None:
    """An import whose inputs differ from the program's would plan a change at once."""
    inputs = checked(engine, note="mine", tags={"a": "b"})
    id, _ = engine.create(CONFIG, TOKEN, inputs)
    found = engine.read(CONFIG, TOKEN, f"{id}@eu-west-1", {}, {})
    assert found is not None
    assert found[0] == id
    difference = engine.diff(CONFIG, TOKEN, found[1], found[2], checked(engine, olds=found[2], **inputs_of(inputs)))
    assert difference.changed == {}


def inputs_of(inputs: State) -> State:
    return {key: inputs[key] for key in ("name", "note", "tags")}


def test_delete_goes_to_the_region_of_the_state(engine: Engine, store: Store) -> None:
    """After a provider's region changed, the old resource still lives where the state says."""
    id, state = engine.create(CONFIG, TOKEN, checked(engine))
    engine.delete(replace(CONFIG, region=None), TOKEN, id, state)
    assert store.things == {}


def test_drifted_object_keeps_the_fields_the_program_gave(engine: Engine, store: Store) -> None:
    """With everything AWS fills in, an ignored change would bring in fields that pulumi-aws refuses together."""
    inputs = checked(engine, nested={"path": "/"})
    id, state = engine.create(CONFIG, TOKEN, inputs)
    store.things[id]["nested"] = {"path": "/other", "every": 3, "port": 80}
    assert live(engine, id, state, inputs)[1]["nested"] == {"path": "/other", "every": 3}


@pytest.mark.parametrize(("given", "first"), [({"name": "fixed"}, True), ({}, False)])
def test_fixed_name_is_freed_before_it_is_taken_again(engine: Engine, given: State, first: bool) -> None:
    """Replacing a balancer with a name of its own would otherwise fail with "already exists"."""
    old = checked(engine, **given)
    new = checked(engine, olds=old, **{"kind": "b", **given})
    found = engine.diff(CONFIG, TOKEN, {"region": "eu-west-1"}, old, new)
    assert found.replaces == {"kind"}
    assert found.delete_before_replace is first


def test_name_that_the_program_drops_becomes_automatic(engine: Engine) -> None:
    """Kept, the resource could never be replaced without an outage again."""
    old = checked(engine, name="fixed")
    assert checked(engine, olds=old)["name"].startswith("thing-")


def test_global_services_are_called_where_they_are_served(thing: ResourceType, store: Store) -> None:
    """IAM and Route 53 live in us-east-1; a lost region must take them along, or leave them, as on AWS."""
    engine = Engine(ClientCache("http://127.0.0.1:9"), {TOKEN: replace(thing, regional=False)}, {})
    engine.create(CONFIG, TOKEN, checked(engine))
    assert store.calls == ["create in us-east-1"]


def test_property_without_update_call_is_refused_at_definition(thing: ResourceType) -> None:
    """Such a property would change in the state and never in AWS."""
    with pytest.raises(ValueError, match="on neither replaces"):
        replace(thing, updates=thing.updates[:1])


def test_function_checks_its_arguments() -> None:
    """An argument that is ignored gives another answer than AWS would."""
    ask = Invoke(
        token="test:index/ask:ask",
        arguments={"name": string(required=True), "deep": boolean(default=True)},
        run=lambda aws, given: {**given, "asked": aws.region},
    )
    engine = Engine(ClientCache("http://127.0.0.1:9"), {}, {ask.token: ask})
    answer, failures = engine.invoke(CONFIG, ask.token, {"name": "x"})
    assert (answer, failures) == (
        {"name": "x", "deep": True, "asked": "eu-west-1", "region": "eu-west-1"},
        [],
    )
    _, failures = engine.invoke(CONFIG, ask.token, {"nom": "x"})
    assert {failure.property for failure in failures} == {"nom", "name"}


def test_unreachable_api_says_so() -> None:
    """A dead sandbox must not look like a refusal by AWS."""
    engine = Engine(ClientCache("http://127.0.0.1:9"))
    inputs, failures = engine.check(CONFIG, VPC, "net", {"cidrBlock": "10.0.0.0/16"}, {}, b"s")
    assert failures == []
    with pytest.raises(UnreachableError, match="lockstep sandbox status"):
        engine.create(CONFIG, VPC, inputs)


@pytest.fixture
def real_engine(api: ApiServer) -> Engine:
    return Engine(ClientCache(api.endpoint_url))


def test_life_of_a_vpc(real_engine: Engine, aws: Any) -> None:
    """The engine and a real description on the real API: created, clean, drifted, repaired, deleted."""
    given = {"cidrBlock": "10.1.0.0/16", "enableDnsHostnames": True, "tags": {"Name": "net"}}
    inputs, failures = real_engine.check(CONFIG, VPC, "net", given, {}, b"s")
    assert failures == []
    id, state = real_engine.create(CONFIG, VPC, inputs)
    ec2 = aws("ec2")
    assert ec2.describe_vpcs(VpcIds=[id])["Vpcs"][0]["CidrBlock"] == "10.1.0.0/16"
    found = real_engine.read(CONFIG, VPC, id, state, inputs)
    assert found == (id, state, inputs)

    ec2.modify_vpc_attribute(VpcId=id, EnableDnsHostnames={"Value": False})
    ec2.create_tags(Resources=[id], Tags=[{"Key": "Name", "Value": "other"}])
    drifted = real_engine.read(CONFIG, VPC, id, state, inputs)
    assert drifted is not None
    assert set(real_engine.diff(CONFIG, VPC, drifted[1], drifted[2], inputs).changed) == {
        "enableDnsHostnames",
        "tags",
        "tagsAll",
    }
    repaired = real_engine.update(CONFIG, VPC, id, drifted[1], drifted[2], inputs)
    assert repaired == state

    real_engine.delete(CONFIG, VPC, id, state)
    assert real_engine.read(CONFIG, VPC, id, state, inputs) is None
    real_engine.delete(CONFIG, VPC, id, state)


def test_refusal_carries_the_words_of_aws(real_engine: Engine) -> None:
    """The code is what a reader searches for."""
    inputs, _ = real_engine.check(CONFIG, VPC, "net", {"cidrBlock": "10.1.0.0/8"}, {}, b"s")
    with pytest.raises(ProviderError, match=r"creating aws:ec2/vpc:Vpc CreateVpc was refused: InvalidVpc"):
        real_engine.create(CONFIG, VPC, inputs)
