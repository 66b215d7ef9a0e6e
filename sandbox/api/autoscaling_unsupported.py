"""What EC2 Auto Scaling has and the sandbox refuses by name, because nothing would come of it."""

from typing import Any, NoReturn

from moto.autoscaling.responses import AutoScalingResponse

from sandbox.api.autoscaling_error import refuse, unsupported
from sandbox.api.change import Change, wrap

# Operations whose effect moto only writes down, or that end in groups which `settle` doesn't know.
UNSUPPORTED_OPERATIONS = {
    "attach_instances": "AttachInstances",
    "attach_load_balancers": "AttachLoadBalancers",
    "batch_put_scheduled_update_group_action": "BatchPutScheduledUpdateGroupAction",
    "detach_instances": "DetachInstances",
    "enter_standby": "EnterStandby",
    "exit_standby": "ExitStandby",
    "put_lifecycle_hook": "PutLifecycleHook",
    "put_scaling_policy": "PutScalingPolicy",
    "put_scheduled_update_group_action": "PutScheduledUpdateGroupAction",
    "put_warm_pool": "PutWarmPool",
}


def _no_launch_configuration(_original: Any, _responses: Any) -> NoReturn:
    refuse(
        "UnsupportedOperation",
        "The Launch Configuration creation operation is not available in your account. Use launch templates to create "
        "configuration templates for your Auto Scaling groups.",
    )


def _apply_unsupported() -> None:
    def answering(name: str) -> Any:
        return lambda _original, _responses: unsupported(name)

    for operation, name in UNSUPPORTED_OPERATIONS.items():
        wrap(AutoScalingResponse, operation, answering(name))
    wrap(AutoScalingResponse, "create_launch_configuration", _no_launch_configuration)


CHANGES: tuple[Change, ...] = (
    Change(
        name="autoscaling-unsupported",
        why=(
            "moto keeps scaling policies, schedules, hooks and warm pools that never act: they are refused by name. "
            "New AWS accounts have no launch configurations (EC2 Auto Scaling User Guide, 'Launch configurations')."
        ),
        apply=_apply_unsupported,
    ),
)
