"""Runs a program against Pulumi's mocks and keeps what it declared, as the engine would have been told.

Pulumi's own mocks show types and inputs; protection, dependencies, ignored changes and providers are in the requests.
"""

import asyncio
import contextvars
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockEngine, MockMonitor, MockResourceArgs, Mocks, MockSettings
from pulumi.runtime.stack import run_in_stack

from components import release_guard

ACCOUNT = "123456789012"
ZONES = ["eu-west-1c", "eu-west-1a", "eu-west-1b"]
ZONE_ID = "Z123"

Program = Callable[[], Awaitable[None] | None]

_Settings: Any = MockSettings


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One resource as it was declared. Inputs have wire names; `parent` and `dependencies` are URNs."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    hooks: Mapping[str, tuple[str, ...]]
    dependencies: tuple[str, ...]
    property_dependencies: Mapping[str, tuple[str, ...]]
    provider: str
    custom: bool


@dataclass(kw_only=True)
class Recording:
    """What one run declared, in order: resources, registered outputs by URN, warnings, and resource hooks by name.

    `parameters` are the SSM parameters that the program finds. `rolls` are what was asked of the fleet, which no mock
    has, with how much was declared by then; `roll_fails` is what that ends with.
    """

    resources: list[Declared] = field(default_factory=list)
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    invokes: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    hooks: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    rolls: list[str] = field(default_factory=list)
    roll_fails: Exception | None = None

    def of(self, type_: str) -> list[Declared]:
        """Every resource of a type; fails if there is none, so that a test can't pass on an empty program."""
        found = [resource for resource in self.resources if resource.type == type_]
        assert found, f"nothing of type {type_} was declared, only {sorted({r.type for r in self.resources})}"
        return found

    def one(self, type_: str, name: str = "") -> Declared:
        """The resource of a type, by its name where there are several."""
        found = [resource for resource in self.of(type_) if name in ("", resource.name)]
        assert len(found) == 1, f"{type_} {name}: {[resource.name for resource in self.of(type_)]}"
        return found[0]

    def has(self, type_: str) -> bool:
        """Whether anything of a type was declared."""
        return any(resource.type == type_ for resource in self.resources)

    @property
    def managed(self) -> list[Declared]:
        """What exists in AWS: everything but components, providers and the stack."""
        return [resource for resource in self.resources if resource.type.startswith("aws:")]

    @property
    def stack_outputs(self) -> Mapping[str, Any]:
        """The outputs of the stack."""
        return next(values for urn, values in self.outputs.items() if "::pulumi:pulumi:Stack::" in urn)


def run(
    program: Program,
    *,
    root: Path = Path(),
    stack: str = "primary",
    preview: bool = False,
    sites: Mapping[str, Mapping[str, Any]] | None = None,
    zones: list[str] | None = None,
    recording: Recording | None = None,
) -> Recording:
    """Runs `program` as the engine runs a stack's; `sites` are the outputs that other stacks have.

    `recording` may be given to look at what a program that raises had declared before.
    """
    kept = Recording() if recording is None else recording

    def isolated() -> None:
        monitor = _Monitor(_Aws(kept, sites or {}, zones or ZONES, preview), kept)
        settings = _Settings(
            monitor=monitor,
            monitor_features=set(monitor.features().supportedFeatures),
            engine=MockEngine(_logger(kept)),
            project="lockstep",
            stack=stack,
            dry_run=preview,
            organization="organization",
            root_directory=str(root),
            callbacks=_Callbacks(kept),
        )
        pulumi.runtime.configure(settings)
        pulumi.runtime.set_all_config(engine_config(root, stack))
        with mock.patch.object(release_guard, "site_hooks", return_value=_Hooks(kept)):
            asyncio.run(run_in_stack(program))

    contextvars.copy_context().run(isolated)
    return kept


def engine_config(root: Path, stack: str) -> dict[str, str]:
    """What Pulumi's engine passes to a program: a stack's values, else the project's defaults; objects as JSON."""
    values: dict[str, Any] = {}
    if (root / "Pulumi.yaml").exists():
        for key, entry in (yaml.safe_load((root / "Pulumi.yaml").read_text()).get("config") or {}).items():
            values[key] = entry["default"] if isinstance(entry, dict) else entry
    if (root / f"Pulumi.{stack}.yaml").exists():
        values |= yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text()).get("config") or {}
    return {key: _engine_text(value) for key, value in values.items()}


def _engine_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


class _Aws(Mocks):
    """Answers as AWS would, as far as these programs ask; in a preview computed values stay unknown."""

    def __init__(
        self, recording: Recording, sites: Mapping[str, Mapping[str, Any]], zones: list[str], preview: bool
    ) -> None:
        self._recording = recording
        self._sites = sites
        self._zones = zones
        self._preview = preview

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.typ == "pulumi:pulumi:StackReference":
            site = str(args.resource_id).rpartition("/")[2]
            if site not in self._sites:
                raise LookupError(f"unknown stack {args.resource_id}")
            return args.resource_id, {**args.inputs, "outputs": dict(self._sites[site]), "secretOutputNames": []}
        if self._preview or not args.custom:
            return "", dict(args.inputs)
        return f"{args.name}-id", {**args.inputs, **self._computed(args)}

    def _computed(self, args: MockResourceArgs) -> dict[str, Any]:
        if args.typ == "aws:ec2/vpcEndpoint:VpcEndpoint":
            return {"prefixListId": "pl-1"}
        if args.typ == "aws:ec2/eip:Eip":
            return {"allocationId": f"{args.name}-allocation"}
        if args.typ == "aws:s3/bucket:Bucket":
            bucket = args.inputs.get("bucket", f"{args.name}-1234567")
            return {"arn": f"arn:aws:s3:::{bucket}", "bucket": bucket}
        if args.typ == "aws:ec2/launchTemplate:LaunchTemplate":
            return {"latestVersion": 7}
        if args.typ == "aws:lb/loadBalancer:LoadBalancer":
            return {
                "arn": "arn:lb",
                "arnSuffix": f"suffix:{args.name}",
                "dnsName": f"{args.name}.elb.amazonaws.com",
                "zoneId": "ZLB",
            }
        if args.typ == "aws:lb/targetGroup:TargetGroup":
            return {"arn": f"arn:{args.name}", "arnSuffix": f"suffix:{args.name}"}
        if args.typ == "aws:acm/certificate:Certificate":
            return {"arn": f"arn:{args.name}", "domainValidationOptions": _validation_options(args.inputs)}
        if args.typ == "aws:route53/record:Record":
            return {"fqdn": args.inputs["name"]}
        return {"arn": f"arn:{args.name}", "name": args.inputs.get("name", f"{args.name}-1234567")}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        self._recording.invokes.append((args.token, dict(args.args)))
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": self._zones},
            "aws:ec2/getManagedPrefixList:getManagedPrefixList": {"id": "pl-checkers"},
            "aws:ec2/getAmi:getAmi": {"id": "ami-1", "rootDeviceName": "/dev/xvda"},
            "aws:route53/getZone:getZone": {"zoneId": ZONE_ID},
            "aws:ssm/getParametersByPath:getParametersByPath": {
                "names": list(self._recording.parameters),
                "values": list(self._recording.parameters.values()),
            },
        }
        return answers[args.token], []


class _Hooks:
    """Stands where the program would look at its fleet, and roll it."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def after_all(self) -> None:
        """Everything is declared."""
        self._recording.rolls.append(f"after all {len(self._recording.managed)}")
        if self._recording.roll_fails is not None:
            raise self._recording.roll_fails


class _Callbacks:
    """Stands where the engine would call the program back: keeps resource hooks, which no mock runs."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        self._recording.hooks[hook.name] = hook.callback


class _Monitor(MockMonitor):
    """Keeps every registration, with its options, and every registered output."""

    def __init__(self, mocks: Mocks, recording: Recording) -> None:
        super().__init__(mocks)
        self._recording = recording
        # The SDK's mocks are untyped.
        self._mock: Any = super()

    def features(self) -> Any:
        """What the mocked engine can do."""
        return self._mock.GetDeploymentInfo(empty_pb2.Empty())

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 the name of the engine's call
        self._recording.resources.append(
            Declared(
                type=request.type,
                name=request.name,
                urn=self.make_urn(request.parent, request.type, request.name),
                parent=request.parent,
                inputs=_plain(request.object),
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                ignore_changes=tuple(request.ignoreChanges),
                hooks={kind.name: tuple(names) for kind, names in request.hooks.ListFields()},
                dependencies=tuple(request.dependencies),
                property_dependencies={
                    name: tuple(dependencies.urns) for name, dependencies in request.propertyDependencies.items()
                },
                provider=request.provider,
                custom=request.custom,
            )
        )
        return self._mock.RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 the name of the engine's call
        self._recording.outputs[request.urn] = _plain(request.outputs)
        return self._mock.RegisterResourceOutputs(request)


def _validation_options(inputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """The records that ACM asks for, in no order that anybody may count on."""
    names = sorted({inputs["domainName"], *inputs.get("subjectAlternativeNames", ())}, reverse=True)
    return [
        {
            "domainName": name,
            "resourceRecordName": f"_challenge.{name}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_answer-to-{name}.acm-validations.aws.",
        }
        for name in names
    ]


def _plain(struct: Any) -> Mapping[str, Any]:
    # Unknown values stay what the engine sees: the sentinel that the SDK sends.
    values: Mapping[str, Any] = rpc.deserialize_properties(struct, keep_unknowns=True)
    return values


def _logger(recording: Recording) -> logging.Logger:
    logger = logging.Logger("program")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: recording.warnings.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    return logger
