"""The peer's drain switch: an alarm here that takes traffic off the other site by order, whatever became of its region.

Rule: the switch of a site is never in the site's own region, because that is the one that may be lost when it is used.
"""

from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch

from lockstep import drain_switch


@dataclass(frozen=True, kw_only=True)
class DrainSwitchArgs:
    """`drains` is the site that the switch takes traffic off, `alarm_name` the alarm's name, by which it is found."""

    drains: str
    alarm_name: str
    protect: bool


class DrainSwitch(pulumi.ComponentResource):
    """Takes traffic off the site `drains` once `lockstep drain` writes its metric.

    Creates: a CloudWatch alarm, without actions: Route 53's health check in stack `global` follows its metric.

    The metric holds what was last told for two weeks, the topology record for ever. With `protect` no update deletes
    the alarm, not even when a site joins the ring and the switch moves: an alarm that is replaced stays in the region,
    and the health check in stack `global`, which is updated later, never follows one that is gone. It isn't protected
    in Pulumi's sense, which would refuse that update.
    """

    alarm_name: pulumi.Output[str]

    def __init__(self, name: str, args: DrainSwitchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("lockstep:drain_switch:DrainSwitch", name, {"drains": args.drains}, opts)
        alarm = cloudwatch.MetricAlarm(
            f"{name}-alarm",
            name=args.alarm_name,
            alarm_description=(
                f"Takes traffic off site {args.drains}. `lockstep drain {args.drains}` and `lockstep undrain "
                f"{args.drains}` write its metric, and nothing else does."
            ),
            namespace=drain_switch.NAMESPACE,
            metric_name=drain_switch.METRIC,
            dimensions={drain_switch.DIMENSION: args.drains},
            statistic=drain_switch.STATISTIC,
            period=drain_switch.PERIOD_SECONDS,
            evaluation_periods=drain_switch.PERIODS,
            comparison_operator=drain_switch.COMPARISON,
            threshold=drain_switch.DRAINED,
            treat_missing_data=drain_switch.MISSING_DATA,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.protect),
        )
        self.alarm_name = alarm.name
        self.register_outputs({"alarmName": self.alarm_name})
