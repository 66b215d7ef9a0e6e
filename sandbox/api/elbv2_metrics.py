"""The metrics that Elastic Load Balancing publishes of a balancer, as its process has measured them.

User Guide for Application Load Balancers, "CloudWatch metrics for your Application Load Balancer": names, dimensions.
What the process doesn't measure (bytes, connections, response times) isn't published.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from moto.cloudwatch.models import cloudwatch_backends

from sandbox.api import cloudwatch_time
from sandbox.api.cloudwatch_metrics import key_of, record, sample_of
from sandbox.balancer.metrics import HEALTHY, MINUTE, UNHEALTHY

NAMESPACE: Final = "AWS/ApplicationELB"


def publish(region: str, balancer_arn: str, measured: Mapping[str, Any]) -> None:
    """Record what a balancer has measured in a minute. Call it under the backend lock."""
    account = balancer_arn.split(":")[4]
    backend = cloudwatch_backends[account][region]
    # Its middle: at its edge, rounding would decide which minute it belongs to.
    moment = cloudwatch_time.moment((measured["minute"] + 0.5) * MINUTE)
    balancer = {"Name": "LoadBalancer", "Value": balancer_arn.partition(":loadbalancer/")[2]}
    whole: Counter[str] = Counter()
    for arn, values in measured["groups"].items():
        group = {"Name": "TargetGroup", "Value": arn.rpartition(":")[2]}
        for name, value in values.items():
            record(backend, key_of(NAMESPACE, name, [balancer, group]), sample_of(moment, {value: 1}, unit="Count"))
            if name not in (HEALTHY, UNHEALTHY):
                whole[name] += value
    for name, value in whole.items():
        record(backend, key_of(NAMESPACE, name, [balancer]), sample_of(moment, {value: 1}, unit="Count"))
