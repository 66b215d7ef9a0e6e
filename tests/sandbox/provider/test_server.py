"""The provider over gRPC: what the engine sends and gets, secrets above all."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2

from sandbox.api.server import ApiServer
from sandbox.provider.server import ProviderServer
from sandbox.provider.values import from_struct, secret, secret_keys, to_struct
from tools.protocol import provider_pb2, provider_pb2_grpc

VPC = "aws:ec2/vpc:Vpc"
URN = f"urn:pulumi:s::p::{VPC}::net"


@pytest.fixture
def provider(api: ApiServer) -> Iterator[Any]:
    """A connection that the engine would call a provider resource: configured for one region."""
    server = ProviderServer(api.endpoint_url)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        configure(stub, "eu-west-1", {"owner": "ops"})
        yield stub
    server.stop()


def configure(stub: Any, region: str, tags: Any) -> None:
    arguments = to_struct({"region": region, "defaultTags": json.dumps({"tags": tags})})
    stub.Configure(provider_pb2.ConfigureRequest(args=arguments))


def checked(stub: Any, **inputs: Any) -> struct_pb2.Struct:
    answer = stub.Check(provider_pb2.CheckRequest(urn=URN, type=VPC, name="net", news=to_struct(inputs)))
    assert not answer.failures
    inputs_: struct_pb2.Struct = answer.inputs
    return inputs_


def test_secret_tag_is_a_secret_wherever_it_turns_up(provider: Any) -> None:
    """`tagsAll` holds the same text; unmarked, it would stand in the state in clear."""
    inputs = checked(provider, cidrBlock="10.1.0.0/16", tags={"token": secret("hush")})
    assert secret_keys(inputs) == {"tags", "tagsAll"}
    made = provider.Create(provider_pb2.CreateRequest(urn=URN, type=VPC, properties=inputs))
    assert secret_keys(made.properties) == {"tags", "tagsAll"}
    assert from_struct(made.properties)["tags"] == {"token": "hush"}
    read = provider.Read(
        provider_pb2.ReadRequest(id=made.id, urn=URN, type=VPC, properties=made.properties, inputs=inputs)
    )
    assert secret_keys(read.properties) == {"tags", "tagsAll"}
    assert secret_keys(read.inputs) == {"tags", "tagsAll"}


def test_nothing_else_becomes_a_secret(provider: Any) -> None:
    """A secret CIDR would hide every diff of the network."""
    assert secret_keys(checked(provider, cidrBlock="10.1.0.0/16", tags={"a": "b"})) == frozenset()


def test_secret_default_tags_are_secrets_of_every_resource(provider: Any) -> None:
    """They reach each resource by the provider's configuration, not by its own inputs."""
    configure(provider, "eu-west-1", secret({"token": "hush"}))
    assert secret_keys(checked(provider, cidrBlock="10.1.0.0/16")) == {"tagsAll"}


def test_type_says_what_is_secret(provider: Any) -> None:
    """A parameter's value is a secret even when the program gave it in clear."""
    token = "aws:ssm/parameter:Parameter"
    news = to_struct({"name": "/p", "type": "SecureString", "value": "hush"})
    answer = provider.Check(provider_pb2.CheckRequest(type=token, name="p", news=news))
    made = provider.Create(provider_pb2.CreateRequest(type=token, properties=answer.inputs))
    assert "value" in secret_keys(made.properties)


def test_connections_keep_their_own_configuration(provider: Any, api: ApiServer) -> None:
    """Two stacks at once have two regions; mixed up, a site would be built in the other's."""
    server = ProviderServer(api.endpoint_url)
    server.start()
    regions = {}
    with (
        grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)]) as one,
        grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)]) as two,
    ):
        stubs = {region: provider_pb2_grpc.ResourceProviderStub(channel) for region, channel in
                 (("eu-west-1", one), ("eu-central-1", two))}  # fmt: skip
        for region, stub in stubs.items():
            configure(stub, region, {})
        for region, stub in stubs.items():
            inputs = checked(stub, cidrBlock="10.1.0.0/16")
            made = stub.Create(provider_pb2.CreateRequest(urn=URN, type=VPC, properties=inputs))
            regions[region] = from_struct(made.properties)["region"]
    server.stop()
    assert regions == {"eu-west-1": "eu-west-1", "eu-central-1": "eu-central-1"}


def test_connection_that_was_never_configured_is_told_why(api: ApiServer) -> None:
    """A provider restarted under a running update must not guess a region."""
    server = ProviderServer(api.endpoint_url)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Delete(provider_pb2.DeleteRequest(id="vpc-1", type=VPC))
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "run the operation again" in error.details()
    server.stop()


def test_cancel_ends_nothing(provider: Any) -> None:
    """It arrives at the end of every operation of every stack."""
    provider.Cancel(empty_pb2.Empty())
    assert from_struct(checked(provider, cidrBlock="10.1.0.0/16"))["cidrBlock"] == "10.1.0.0/16"


def test_schema_is_refused_with_the_way_on(provider: Any) -> None:
    """`pulumi import` asks for it after the import is done."""
    with pytest.raises(grpc.RpcError) as caught:
        provider.GetSchema(provider_pb2.GetSchemaRequest())
    error: Any = caught.value
    assert "--generate-code=false" in error.details()


@pytest.mark.parametrize(
    ("arguments", "key"), [({"region": "eu-nowhere-1"}, "region"), ({"assumeRoles": "[]"}, "assumeRoles")]
)
def test_provider_arguments_that_do_not_hold_are_named(provider: Any, arguments: dict[str, str], key: str) -> None:
    """A role that is silently not assumed would act in the wrong account on AWS."""
    answer = provider.CheckConfig(provider_pb2.CheckRequest(news=to_struct(arguments)))
    assert [failure.property for failure in answer.failures] == [key]
