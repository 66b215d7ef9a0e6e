"""Runs the pack as the engine does, without an engine: real requests through the SDK's own servicer.

Real requests matter: with them a check sees what it will see in a preview (proxies that raise, floats for numbers,
unknowns, secrets in clear). Configuration defaults are filled in here because the engine does that, not the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer

from lockstep_policies import POLICIES

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"


def secret(value: Any) -> dict[str, Any]:
    """A value as the engine sends a secret."""
    return {_SIGNATURE: _SECRET, "value": value}


@dataclass
class Provider:
    """An explicit provider of a program, or the default one."""

    name: str
    region: str | None


#: A dependency on something that this stack doesn't manage: a StackReference, or a resource that is only read.
OUTSIDE: Final = "urn:pulumi:other::demo::pulumi:pulumi:StackReference::other"


@dataclass
class Declared:
    """A resource of a program: its outputs, and from where its properties come."""

    type: str
    name: str
    props: dict[str, Any]
    sources: dict[str, list[Declared | str]] = field(default_factory=dict)
    provider: Provider | None = None
    protect: bool = False

    @property
    def urn(self) -> str:
        return f"urn:pulumi:stack::demo::{self.type}::{self.name}"


@dataclass(frozen=True)
class Finding:
    """One diagnostic of the pack."""

    policy: str
    mandatory: bool
    urn: str
    message: str

    @property
    def rule(self) -> str:
        return self.message.rpartition("[")[2].rstrip("]")


@dataclass(frozen=True)
class Report:
    """What the pack said about a program."""

    findings: list[Finding]
    not_applicable: list[str]

    def rules(self, *, mandatory: bool) -> list[str]:
        return sorted({finding.rule for finding in self.findings if finding.mandatory is mandatory})

    def of(self, rule: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.rule == rule]

    @property
    def text(self) -> str:
        return "\n".join(f"{finding.mandatory} {finding.urn} {finding.message}" for finding in self.findings)


class Program:
    """The resources that a stack policy would see of a program."""

    def __init__(self, provider: Provider | None = None) -> None:
        self.provider = provider
        self.resources: list[Declared] = []

    def add(
        self,
        resource_type: str,
        name: str,
        props: dict[str, Any],
        sources: Mapping[str, Sequence[Declared | str]] | None = None,
        provider: Provider | None = None,
    ) -> Declared:
        """Adds a resource; `sources` says from which resources a property comes."""
        resource = Declared(
            resource_type,
            name,
            props,
            {key: list(value) for key, value in (sources or {}).items()},
            None if resource_type.startswith("lockstep:") else provider or self.provider,
        )
        self.resources.append(resource)
        return resource

    def __getitem__(self, name: str) -> Declared:
        (found,) = [resource for resource in self.resources if resource.name == name]
        return found

    def remove(self, *names: str) -> None:
        """Takes resources out, as deleting their lines from a program does."""
        assert {resource.name for resource in self.resources} >= set(names)
        self.resources = [resource for resource in self.resources if resource.name not in names]

    def request(self) -> analyzer_pb2.AnalyzeStackRequest:
        """The engine's request for all stack policies."""
        return analyzer_pb2.AnalyzeStackRequest(resources=[_message(resource) for resource in self.resources])


def _message(resource: Declared) -> analyzer_pb2.AnalyzerResource:
    message = analyzer_pb2.AnalyzerResource(
        type=resource.type, urn=resource.urn, name=resource.name, properties=_struct(resource.props)
    )
    message.options.protect = resource.protect
    for key, sources in resource.sources.items():
        # The engine leaves out properties without dependencies.
        if sources:
            urns = [source if isinstance(source, str) else source.urn for source in sources]
            message.propertyDependencies[key].urns.extend(urns)
    if resource.provider is not None:
        message.provider.type = "pulumi:providers:aws"
        message.provider.name = resource.provider.name
        message.provider.urn = f"urn:pulumi:stack::demo::pulumi:providers:aws::{resource.provider.name}"
        region = {} if resource.provider.region is None else {"region": resource.provider.region}
        message.provider.properties.CopyFrom(_struct(region))
    return message


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(values), struct_pb2.Struct())


def servicer() -> Any:
    """The pack behind the SDK's servicer, as `policies/__main__.py` serves it."""
    return _PolicyAnalyzerServicer("lockstep", "0.1.0", list(POLICIES), EnforcementLevel.MANDATORY)


def configure(server: Any, config: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Sends the configuration with the schemas' defaults and the policies' levels, as the engine does."""
    info = server.GetAnalyzerInfo(None, None)
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    names = {policy.name for policy in info.policies}
    assert set(config or {}) <= names
    for policy in info.policies:
        schema = json_format.MessageToDict(policy.configSchema).get("properties", {})
        values = {key: part["default"] for key, part in schema.items() if "default" in part}
        given = dict((config or {}).get(policy.name, {}))
        assert set(given) <= set(schema), f"{policy.name} has no option {sorted(set(given) - set(schema))}"
        request.policyConfig[policy.name].enforcementLevel = policy.enforcementLevel
        request.policyConfig[policy.name].properties.update(values | given)
    server.Configure(request, None)


def analyze(program: Program, config: Mapping[str, Mapping[str, Any]] | None = None) -> Report:
    """What the pack says about the program, violations and advisories."""
    server = servicer()
    configure(server, config)
    response = server.AnalyzeStack(program.request(), None)
    return Report(
        findings=[
            Finding(
                policy=item.policyName,
                mandatory=item.enforcementLevel == analyzer_pb2.MANDATORY,
                urn=item.urn,
                message=item.message,
            )
            for item in response.diagnostics
        ],
        not_applicable=[item.policy_name for item in response.not_applicable],
    )
