"""The policy pack over a stack of 1,000 resources, as the engine calls it: one request for all policies."""

import json
import statistics
import sys
import time
from typing import Any

from bench.measure import ROOT, ROUNDS, Result

RESOURCES = 1000
TYPES = ("aws:sqs/queue:Queue", "aws:ec2/subnet:Subnet", "aws:s3/bucket:Bucket", "aws:autoscaling/group:Group")
_PROPERTIES = {
    "arn": "arn:aws:sqs:eu-west-1:123456789012:orders",
    "tags": {f"lockstep:{number}": "x" * 20 for number in range(10)},
    "blocks": [{"enabled": True, "size": 5, "text": "x" * 50} for _ in range(5)],
    "policy": "x" * 200,
}


def run() -> list[Result]:
    """CPU seconds of the pack, over resources of 1 KB."""
    sys.path.append(str(ROOT / "policies"))
    from pulumi_policy import EnforcementLevel
    from pulumi_policy.policy import _PolicyAnalyzerServicer

    from lockstep_policies import POLICIES

    judging = [policy for policy in POLICIES if policy.enforcement_level is EnforcementLevel.MANDATORY]
    request = _request()
    size = len(json.dumps(_PROPERTIES))
    one, groups, whole = (
        _cpu_seconds(_PolicyAnalyzerServicer("lockstep", "0.1.0", policies, EnforcementLevel.MANDATORY), request)
        for policies in (judging[:1], judging, POLICIES)
    )
    return [
        Result(f"{RESOURCES} resources of {size / 1000:.1f} KB, one policy", one, "s CPU"),
        Result(f"  {len(judging)} policies", groups, "s CPU", "under 1.5 s"),
        Result(f"  with the advisory one, {len(POLICIES)}", whole, "s CPU"),
    ]


def _request() -> Any:
    from google.protobuf import json_format
    from pulumi.runtime.proto import analyzer_pb2

    request = analyzer_pb2.AnalyzeStackRequest()
    for number in range(RESOURCES):
        kind = TYPES[number % len(TYPES)]
        added = request.resources.add(type=kind, name=f"r{number}", urn=f"urn:pulumi:bench::bench::{kind}::r{number}")
        json_format.ParseDict({**_PROPERTIES, "name": f"r{number}", "id": f"r{number}"}, added.properties)
    return request


def _cpu_seconds(servicer: Any, request: Any) -> float:
    """The median of several calls."""
    taken = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        servicer.AnalyzeStack(request, None)
        taken.append(time.process_time() - begin)
    return statistics.median(taken)
