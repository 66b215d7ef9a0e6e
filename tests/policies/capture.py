"""Runs a Pulumi program without an engine and turns what it registers into the engine's request to stack policies.

The program and the SDK are real: names, provider regions, unknowns and dependencies are what a preview would show. Not
real is the provider: outputs are the inputs, with the id unknown, as before a first update.
"""

from __future__ import annotations

import asyncio
import contextvars
import runpy
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from tests.policies.harness import Declared, Program, Provider


class _Recorder(mocks.MockMonitor):
    """Keeps the requests that the SDK sends to register resources."""

    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.registered: dict[str, resource_pb2.RegisterResourceRequest] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the protocol's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        self.registered[response.urn] = request
        return response


class _Preview(mocks.Mocks):
    """Answers as a provider does before the first update."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return None, dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program calls {args.token}, which has no answer here")


def capture(program: Path, project: str, config: dict[str, str]) -> Program:
    """The resources that the program in a folder declares in a preview, as a stack policy sees them."""
    recorder = _Recorder(_Preview())

    def run() -> None:
        runpy.run_path(str(program), run_name="__main__")

    def isolated() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        mocks.set_mocks(_Preview(), project=project, stack="stack", preview=True, monitor=recorder)
        pulumi.runtime.set_all_config({f"{project}:{key}": value for key, value in config.items()})
        asyncio.get_event_loop().run_until_complete(pulumi.runtime.stack.run_pulumi_func(run))

    # The SDK keeps its root stack in the context; left there, it would be in the way of every later program.
    contextvars.copy_context().run(isolated)
    return _program(recorder.registered)


def _program(registered: dict[str, resource_pb2.RegisterResourceRequest]) -> Program:
    program = Program()
    providers = {
        urn: Provider(request.name, _props(request).get("region"))
        for urn, request in registered.items()
        if request.type.startswith("pulumi:providers:")
    }
    by_urn: dict[str, Declared] = {}
    for urn, request in registered.items():
        if urn in providers or request.type == "pulumi:pulumi:Stack":
            continue
        sources: dict[str, list[Declared | str]] = {
            key: [by_urn.get(source, source) for source in part.urns]
            for key, part in request.propertyDependencies.items()
        }
        # A reference to a provider is its URN and its id.
        provider = providers.get(request.provider.rpartition("::")[0])
        by_urn[urn] = program.add(request.type, request.name, _props(request), sources, provider)
    return program


def _props(request: resource_pb2.RegisterResourceRequest) -> dict[str, Any]:
    return json_format.MessageToDict(request.object)
