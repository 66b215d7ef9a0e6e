"""Resources created through the provider, against the same boto3 calls made directly."""

import ipaddress
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from bench.measure import Result, medians, sandbox
from sandbox.provider.aws import ClientCache
from sandbox.provider.values import from_struct, to_struct
from tools.protocol import provider_pb2, provider_pb2_grpc

COUNT = 100
# As many as the engine runs at once on two cores.
THREADS = 8
SUBNET = "aws:ec2/subnet:Subnet"


def run() -> list[Result]:
    """Subnets a second on both sides: one creating and one describing call each, on `THREADS` threads."""
    with sandbox() as environment, ThreadPoolExecutor(THREADS) as pool:
        clients = ClientCache(environment["AWS_ENDPOINT_URL"])
        ec2: Any = clients.client("ec2", "eu-west-1")
        port = environment["PULUMI_DEBUG_PROVIDERS"].rpartition(":")[2]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            provider = provider_pb2_grpc.ResourceProviderStub(channel)
            provider.Configure(provider_pb2.ConfigureRequest(args=to_struct({"region": "eu-west-1"})))
            blocks = ipaddress.ip_network("10.0.0.0/16").subnets(new_prefix=28)
            vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]

            def through_provider(block: str) -> None:
                asked = to_struct({"vpcId": vpc, "cidrBlock": block})
                checked = provider.Check(provider_pb2.CheckRequest(type=SUBNET, name="s", news=asked))
                made = provider.Create(provider_pb2.CreateRequest(type=SUBNET, name="s", properties=checked.inputs))
                assert from_struct(made.properties)["cidrBlock"] == block

            def directly(block: str) -> None:
                made = ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"]
                assert ec2.describe_subnets(SubnetIds=[made])["Subnets"][0]["CidrBlock"] == block

            def all_of(one: Any) -> None:
                list(pool.map(one, [str(block) for block in itertools.islice(blocks, COUNT)]))

            provided, direct = medians(lambda: all_of(through_provider), lambda: all_of(directly))
    return [
        Result("subnets through the provider", COUNT / provided, "a second"),
        Result("subnets by boto3", COUNT / direct, "a second"),
        Result("provider / boto3", direct / provided, "x", "0.8 or better"),
    ]
