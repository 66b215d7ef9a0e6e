"""Alarms on what a site's balancer sees of its targets: a roll that makes one ring is rolled back."""

import math
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, lb

_NAMESPACE: Final = "AWS/ApplicationELB"
# Elastic Load Balancing reports every minute (User Guide for Application Load Balancers, "CloudWatch metrics").
_PERIOD: Final = 60
# Minutes of errors in a row: one alone may be a client that tries again.
_ERROR_PERIODS: Final = 2


@dataclass(frozen=True, kw_only=True)
class FleetAlarmsArgs:
    """`boot_grace` is how long an instance may take to turn healthy, in seconds; `errors_per_minute` how many answers
    of targets with a status of 5xx are too many, in the whole site."""

    unhealthy_name: str
    errors_name: str
    boot_grace: int
    errors_per_minute: int


def declare_alarms(
    name: str,
    balancer: lb.LoadBalancer,
    targets: lb.TargetGroup,
    args: FleetAlarmsArgs,
    opts: pulumi.ResourceOptions,
) -> list[cloudwatch.MetricAlarm]:
    """An alarm on targets that stay unhealthy, and one on targets' errors. Their names are fixed: rolls find them."""
    unhealthy = _alarm(
        f"{name}-unhealthy",
        args.unhealthy_name,
        "A target has been unhealthy for longer than an instance may take to boot.",
        "UnHealthyHostCount",
        "Maximum",
        # An instance that boots is unhealthy too, so that less would end every roll.
        periods=math.ceil(args.boot_grace / _PERIOD) + 1,
        threshold=1,
        balancer=balancer,
        targets=targets,
        opts=opts,
    )
    errors = _alarm(
        f"{name}-errors",
        args.errors_name,
        f"Targets answer with {args.errors_per_minute} errors a minute or more.",
        "HTTPCode_Target_5XX_Count",
        "Sum",
        periods=_ERROR_PERIODS,
        threshold=args.errors_per_minute,
        balancer=balancer,
        targets=targets,
        opts=opts,
    )
    return [unhealthy, errors]


def _alarm(
    name: str,
    alarm_name: str,
    description: str,
    metric: str,
    statistic: str,
    *,
    periods: int,
    threshold: int,
    balancer: lb.LoadBalancer,
    targets: lb.TargetGroup,
    opts: pulumi.ResourceOptions,
) -> cloudwatch.MetricAlarm:
    return cloudwatch.MetricAlarm(
        name,
        name=alarm_name,
        alarm_description=description,
        namespace=_NAMESPACE,
        metric_name=metric,
        dimensions={"LoadBalancer": balancer.arn_suffix, "TargetGroup": targets.arn_suffix},
        statistic=statistic,
        period=_PERIOD,
        evaluation_periods=periods,
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=threshold,
        # Elastic Load Balancing reports no errors where there are none, and no hosts where none is registered.
        treat_missing_data="notBreaching",
        opts=opts,
    )
