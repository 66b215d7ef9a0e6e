"""The component layer against the same resources bare: time per resource, and how it grows with the size.

Both run under Pulumi's mocks, in one process: the SDK's registration is real, no provider answers. Bare are the same
resources, with the same inputs and options, declared from what a run of the components has recorded.
"""

import ipaddress
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.measure import Result
from lockstep.config.models import HealthCheck

SIZES: Final = (1, 10)
ROUNDS: Final = 5
REGIONS: Final = ("eu-west-1", "eu-central-1")


def run() -> list[Result]:
    """Milliseconds of CPU per resource, by size, of both, and the ratios."""
    from tests.components.recording import run as record

    managed = {size: len(record(_components(size)).managed) for size in SIZES}
    bare = {size: _bare(_components(size)) for size in SIZES}
    for size in SIZES:
        again = len(record(bare[size]).managed)
        assert again == managed[size], f"bare are {again} resources, not {managed[size]}"
    works: list[Callable[[], object]] = []
    for size in SIZES:
        works += [_recorded(_components(size)), _recorded(bare[size])]
    taken = _cpu_seconds(works)
    results, per_resource = [], []
    for index, size in enumerate(SIZES):
        layered, plain = taken[2 * index], taken[2 * index + 1]
        per_resource.append(layered / managed[size])
        results += [
            Result(f"{managed[size]} resources by components, each", layered / managed[size] * 1000, "ms"),
            Result("  the same bare, each", plain / managed[size] * 1000, "ms"),
            Result("  components / bare", layered / plain, "x", "1.25 or better"),
        ]
    growth = per_resource[-1] / per_resource[0]
    return [*results, Result(f"a resource at {SIZES[-1]} times the size / at one", growth, "x", "1, that is, linear")]


def _cpu_seconds(works: Sequence[Callable[[], object]]) -> list[float]:
    """The median CPU seconds of each, run in turn. CPU, because nothing here waits for anything."""
    taken: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(ROUNDS):
        for index, work in enumerate(works):
            begin = time.process_time()
            work()
            taken[index].append(time.process_time() - begin)
    return [statistics.median(values) for values in taken]


def _recorded(program: Callable[[], None]) -> Callable[[], object]:
    from tests.components.recording import run as record

    return lambda: record(program)


def _components(count: int) -> Callable[[], None]:
    """A program with `count` sites' networks, buckets and switches, and as many pairs' replication and traffic."""

    def program() -> None:
        from components.drain_switch import DrainSwitch, DrainSwitchArgs
        from components.network import Network, NetworkArgs
        from components.package_bucket import PackageBucket, PackageBucketArgs
        from components.replication import ReplicatedBucket, Replication, ReplicationArgs
        from components.traffic import Traffic, TrafficArgs, TrafficSite

        for index in range(count):
            name = f"site{index}"
            arn = f"arn:aws:s3:::packages-{name}"
            network = Network(
                name,
                NetworkArgs(
                    cidr=ipaddress.IPv4Network("10.10.0.0/16"), region=REGIONS[0], zones=2, package_bucket_arn=arn
                ),
            )
            PackageBucket(
                name,
                PackageBucketArgs(bucket_name=f"packages-{name}", s3_endpoint_id=network.s3_endpoint_id, protect=True),
            )
            DrainSwitch(name, DrainSwitchArgs(drains="secondary", alarm_name=f"drain-{name}", protect=True))
            buckets = [
                ReplicatedBucket(site=f"s{number}", region=region, name=f"p-{name}-{number}", arn=f"{arn}-{number}")
                for number, region in enumerate(REGIONS)
            ]
            Replication(name, ReplicationArgs(buckets=buckets))
            sites = [
                TrafficSite(
                    name=f"s{number}",
                    domain=f"s{number}.{name}.example.com",
                    weight=1,
                    alb_dns_name=f"alb-{number}.elb.amazonaws.com",
                    alb_zone_id="ZLB",
                    switch_alarm=f"drain-{number}",
                    switch_region=region,
                )
                for number, region in enumerate(REGIONS)
            ]
            Traffic(
                name,
                TrafficArgs(
                    zone="example.com",
                    domain=f"{name}.example.com",
                    ttl=30,
                    health_check=HealthCheck(path="/healthz", interval=10, threshold=3),
                    protect=True,
                    sites=sites,
                ),
            )

    return program


def _bare(program: Callable[[], None]) -> Callable[[], None]:
    """A program that declares what `program` does, without a component: same types, inputs, and protection."""
    from pulumi import ResourceOptions

    from tests.components.recording import Recording
    from tests.components.recording import run as record
    from tools.fidelity import class_of

    recording: Recording = record(program)
    declared = [(class_of(each.type), each) for each in recording.managed]

    def bare() -> None:
        made: dict[str, Any] = {}
        for resource_class, each in declared:
            # The same values come from the same resources: what takes the SDK its time is to wait for them.
            depends_on = [made[urn] for urn in each.dependencies if urn in made]
            arguments = {_snake(name): value for name, value in each.inputs.items()}
            made[each.urn] = resource_class(
                each.name, **arguments, opts=ResourceOptions(protect=each.protect, depends_on=depends_on)
            )

    return bare


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
