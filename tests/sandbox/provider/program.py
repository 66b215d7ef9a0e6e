"""A program of one resource after another, run through the engine as the Pulumi engine would run it."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sandbox.provider.aws import ClientCache
from sandbox.provider.engine import Difference, Engine, Failure, ProviderConfig
from sandbox.provider.schema import State

SEED = b"0123456789"


@cache
def _clients(endpoint_url: str) -> ClientCache:
    """Clients are shared by all tests of an endpoint: EC2's takes longer to make than a test to run."""
    return ClientCache(endpoint_url)


class Program:
    """Declares resources in one region. Names, and so automatic names, don't depend on chance."""

    def __init__(self, endpoint_url: str, region: str = "eu-west-1") -> None:
        self.endpoint_url = endpoint_url
        self.engine = Engine(_clients(endpoint_url))
        self.config = ProviderConfig(region=region)

    def in_region(self, region: str) -> "Program":
        """The same program with another region's provider."""
        return Program(self.endpoint_url, region)

    def aws(self, service: str) -> Any:
        """A boto3 client: AWS by hand, behind the program's back."""
        return _clients(self.endpoint_url).client(service, str(self.config.region))

    def check(self, token: str, name: str = "it", /, **declared: Any) -> tuple[State, list[Failure]]:
        """The inputs that check makes of `declared`, and its failures."""
        return self.engine.check(self.config, token, name, declared, {}, SEED)

    def refusals(self, token: str, /, **declared: Any) -> dict[str, str]:
        """What check refuses: reasons by property."""
        return {failure.property: failure.reason for failure in self.check(token, **declared)[1]}

    def up(self, token: str, name: str = "it", /, **declared: Any) -> "Resource":
        """Create a resource. Fails the test if check refuses it."""
        inputs, failures = self.check(token, name, **declared)
        assert not failures, failures
        id, state = self.engine.create(self.config, token, inputs)
        return Resource(self, token, name, declared, id, inputs, state)

    def imported(self, token: str, id: str) -> tuple[str, State, State]:
        """A resource that exists already, as `pulumi import` reads it: id, state, inputs."""
        found = self.engine.read(self.config, token, id, {}, {})
        assert found is not None
        return found


@dataclass
class Resource:
    """A declared resource: what the program says, the inputs checked, and the state as the Pulumi engine keeps it."""

    program: Program
    token: str
    name: str
    declared: dict[str, Any]
    id: str
    inputs: State
    state: State
    live_inputs: State = field(default_factory=dict)

    def _checked(self, changes: dict[str, Any]) -> tuple[dict[str, Any], State]:
        declared = {key: value for key, value in {**self.declared, **changes}.items() if value is not None}
        engine, config = self.program.engine, self.program.config
        inputs, failures = engine.check(config, self.token, self.name, declared, self.inputs, SEED)
        assert not failures, failures
        return declared, inputs

    def plan(self, **changes: Any) -> Difference:
        """What the Pulumi engine would do if the program changed so (None takes a property away)."""
        _, news = self._checked(changes)
        return self.program.engine.diff(self.program.config, self.token, self.state, self.inputs, news)

    def update(self, **changes: Any) -> "Resource":
        """Change the program and run it; fails the test if that would replace the resource or change nothing."""
        declared, news = self._checked(changes)
        difference = self.plan(**changes)
        assert difference.changed, "nothing would change"
        assert not difference.replaces, difference
        engine, config = self.program.engine, self.program.config
        self.state = engine.update(config, self.token, self.id, self.state, self.inputs, news)
        self.declared, self.inputs = declared, news
        return self

    def refresh(self) -> frozenset[str]:
        """Read it, and give the properties in which AWS isn't as the program says. Fails the test if it is gone."""
        engine, config = self.program.engine, self.program.config
        found = engine.read(config, self.token, self.id, self.state, self.inputs)
        assert found is not None, f"{self.token} {self.id} is gone"
        self.id, self.state, self.live_inputs = found
        return frozenset(engine.diff(config, self.token, self.state, self.live_inputs, self.inputs).changed)

    def repair(self) -> None:
        """Run the program again after a refresh that found drift."""
        engine, config = self.program.engine, self.program.config
        self.state = engine.update(config, self.token, self.id, self.state, self.live_inputs, self.inputs)

    def delete(self) -> None:
        """Delete it."""
        self.program.engine.delete(self.program.config, self.token, self.id, self.state)

    @property
    def gone(self) -> bool:
        """Whether a refresh finds nothing."""
        engine, config = self.program.engine, self.program.config
        return engine.read(config, self.token, self.id, self.state, self.inputs) is None
