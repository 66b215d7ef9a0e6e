"""The provider protocol (pulumi/proto/provider.proto) in front of the engine.

One process serves every stack and every provider resource: the Pulumi engine attaches to it (PULUMI_DEBUG_PROVIDERS).
Create, read, update and delete don't say which provider resource they belong to, but each has a connection of its own,
so its configuration is kept by connection.
"""

import json
import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2, struct_pb2

from sandbox.provider.aws import ClientCache
from sandbox.provider.engine import (
    Engine,
    Failure,
    PartialFailureError,
    ProviderConfig,
    ProviderError,
    UnreachableError,
    known_regions,
)
from sandbox.provider.schema import State
from sandbox.provider.values import contains_unknown, from_struct, is_unknown, secret, secret_keys, to_struct
from tools.protocol import CHANNEL_OPTIONS, listen, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

VERSION = "7.51.1"
# The Pulumi engine runs up to four operations per processor and stack at once; three stacks may run together.
_THREADS = 64

# Arguments of aws.Provider that the sandbox honours, and those that only matter to reach AWS itself.
_HONOURED = {"region", "defaultTags"}
_IRRELEVANT = {
    "accessKey", "secretKey", "token", "profile", "maxRetries", "retryMode", "skipCredentialsValidation",
    "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId", "version", "pluginDownloadURL",
    "allowedAccountIds", "sharedConfigFiles", "sharedCredentialsFiles",
}  # fmt: skip

_Answer = TypeVar("_Answer")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The ResourceProvider service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._configs: dict[str, ProviderConfig] = {}

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "the sandbox's provider has no schema to write code from. An import itself is done by now: give "
            "`pulumi import` --generate-code=false",
        )
        raise AssertionError("abort returned")

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        # Arrives at the end of every operation of every stack; what other stacks do goes on.
        return empty_pb2.Empty()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        news = from_struct(request.news)
        failures = [
            provider_pb2.CheckFailure(
                property=key, reason=f"the sandbox's provider doesn't support the argument {key!r}"
            )
            for key in news
            if key not in _HONOURED | _IRRELEVANT
        ]
        region = news.get("region")
        if region is not None and not is_unknown(region) and region not in known_regions():
            failures.append(provider_pb2.CheckFailure(property="region", reason=f"{region!r} isn't an AWS region"))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        old, new = from_struct(request.old_inputs), from_struct(request.news)
        changed = sorted(key for key in old.keys() | new.keys() if key != "version" and old.get(key) != new.get(key))
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, diffs=changed)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        arguments = from_struct(request.args)
        region = arguments.get("region")
        default_tags = arguments.get("defaultTags", {})
        if isinstance(default_tags, str):
            # What isn't a text reaches a provider's configuration as JSON.
            default_tags = json.loads(default_tags) if not is_unknown(default_tags) else {}
        tags = default_tags.get("tags") or {}
        self._configs[context.peer()] = ProviderConfig(
            region=None if is_unknown(region) else region,
            default_tags={} if contains_unknown(tags) else tags,
            secret_tags="defaultTags" in secret_keys(request.args),
        )
        return provider_pb2.ConfigureResponse(supportsPreview=True, acceptSecrets=True)

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        def check() -> provider_pb2.CheckResponse:
            inputs, failures = self._engine.check(
                self._config(context),
                request.type,
                request.name,
                from_struct(request.news),
                from_struct(request.olds),
                request.randomSeed,
            )
            marked = self._marked(context, request.type, inputs, request.news)
            return provider_pb2.CheckResponse(inputs=marked, failures=_check_failures(failures))

        return self._answer(context, check)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        def diff() -> provider_pb2.DiffResponse:
            found = self._engine.diff(
                self._config(context),
                request.type,
                from_struct(request.olds),
                from_struct(request.old_inputs),
                from_struct(request.news),
            )
            details = {}
            for key, change in found.changed.items():
                name = f"{change}_REPLACE" if key in found.replaces else change
                details[key] = provider_pb2.PropertyDiff(
                    kind=provider_pb2.PropertyDiff.Kind.Value(name), inputDiff=True
                )
            some = provider_pb2.DiffResponse.DIFF_SOME if found.changed else provider_pb2.DiffResponse.DIFF_NONE
            return provider_pb2.DiffResponse(
                changes=some,
                diffs=sorted(found.changed),
                replaces=sorted(found.replaces),
                deleteBeforeReplace=found.delete_before_replace,
                detailedDiff=details,
                hasDetailedDiff=True,
            )

        return self._answer(context, diff)

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        def create() -> provider_pb2.CreateResponse:
            config, inputs = self._config(context), from_struct(request.properties)
            if request.preview:
                planned = self._engine.preview_create(config, request.type, inputs)
                outputs = self._marked(context, request.type, planned, request.properties)
                return provider_pb2.CreateResponse(properties=outputs)
            id, state = self._engine.create(config, request.type, inputs)
            outputs = self._marked(context, request.type, state, request.properties)
            return provider_pb2.CreateResponse(id=id, properties=outputs)

        return self._answer(context, create, request.type, request.properties)

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        def read() -> provider_pb2.ReadResponse:
            found = self._engine.read(
                self._config(context),
                request.type,
                request.id,
                from_struct(request.properties),
                from_struct(request.inputs),
            )
            if found is None:
                return provider_pb2.ReadResponse()
            id, state, inputs = found
            known = (request.properties, request.inputs)
            return provider_pb2.ReadResponse(
                id=id,
                properties=self._marked(context, request.type, state, *known),
                inputs=self._marked(context, request.type, inputs, *known),
            )

        return self._answer(context, read)

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        def update() -> provider_pb2.UpdateResponse:
            olds, news = from_struct(request.olds), from_struct(request.news)
            if request.preview:
                planned = self._engine.preview_update(request.type, olds, news)
                outputs = self._marked(context, request.type, planned, request.olds, request.news)
                return provider_pb2.UpdateResponse(properties=outputs)
            old_inputs = from_struct(request.old_inputs)
            state = self._engine.update(self._config(context), request.type, request.id, olds, old_inputs, news)
            outputs = self._marked(context, request.type, state, request.olds, request.news)
            return provider_pb2.UpdateResponse(properties=outputs)

        return self._answer(context, update, request.type, request.news)

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        def delete() -> empty_pb2.Empty:
            self._engine.delete(self._config(context), request.type, request.id, from_struct(request.properties))
            return empty_pb2.Empty()

        return self._answer(context, delete)

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        def invoke() -> provider_pb2.InvokeResponse:
            result, failures = self._engine.invoke(self._config(context), request.tok, from_struct(request.args))
            if secret_keys(request.args):
                result = {key: secret(value) for key, value in result.items()}
            # "return" is a keyword of Python, hence the dictionary.
            return provider_pb2.InvokeResponse(**{"return": to_struct(result)}, failures=_check_failures(failures))

        return self._answer(context, invoke)

    def _config(self, context: grpc.ServicerContext) -> ProviderConfig:
        config = self._configs.get(context.peer())
        if config is None:
            raise ProviderError(
                "this connection was never configured, because the sandbox's provider was restarted under a running "
                "operation: run the operation again"
            )
        return config

    def _marked(
        self, context: grpc.ServicerContext, token: str, values: State, *sources: struct_pb2.Struct
    ) -> struct_pb2.Struct:
        """`values`, with those marked as secrets that the type says are, or that were secrets in `sources`."""
        kind = self._engine.resource_type(token)
        keys = set(secret_keys(*sources)) | {key for key, prop in kind.properties.items() if prop.secret}
        if "tags" in keys or self._config(context).secret_tags:
            # They are made of the same values.
            keys |= {"tags", "tagsAll"}
        return to_struct({key: secret(value) if key in keys else value for key, value in values.items()})

    def _answer(
        self,
        context: grpc.ServicerContext,
        work: Callable[[], _Answer],
        token: str = "",
        inputs: struct_pb2.Struct | None = None,
    ) -> _Answer:
        """`work`'s answer; its errors as gRPC statuses that leave the engine sure of the resource's state."""
        try:
            return work()
        except PartialFailureError as error:
            known = inputs or struct_pb2.Struct()
            detail = provider_pb2.ErrorResourceInitFailed(
                id=error.id,
                properties=self._marked(context, token, error.state, known),
                reasons=[str(error)],
                inputs=known,
            )
            packed = any_pb2.Any()
            packed.Pack(detail)
            status = status_pb2.Status(
                code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message=str(error), details=[packed]
            )
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except UnreachableError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except ProviderError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise AssertionError("abort returned")


def _check_failures(failures: list[Failure]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=failure.property, reason=failure.reason) for failure in failures]


class ProviderServer:
    """Serves the provider on a loopback port until stopped."""

    def __init__(self, endpoint_url: str, port: int = 0) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=CHANNEL_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(
            Provider(Engine(ClientCache(endpoint_url))), self._server
        )
        self.port = listen(self._server, port)

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.stop(0).wait()


def serve_until(ended: threading.Event, endpoint_url: str, port: int = 0) -> None:
    """Serve until `ended` is set; the first line on stdout is the port."""
    server = ProviderServer(endpoint_url, port)
    server.start()
    print(server.port, flush=True)
    ended.wait()
    server.stop()
